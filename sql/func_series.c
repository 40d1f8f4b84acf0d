/*
 * func_series.c -- generate_series: the rows of an arithmetic progression, of numbers or of moments.
 */
#include <string.h>

#include "sql/func_int.h"
#include "sql/interval.h"
#include "sql/numeric.h"

struct func_series {
    Oid type;
    bool done;
    int64_t at, last, step;             /* integers */
    int size;
    struct bytes number, number_last, number_step;      /* decimals, in `arena` */
    int direction;
    struct interval interval;           /* the step between moments */
    struct arena *arena;
};

static int open_int(struct op *op, const struct datum *args, int arg_count, struct func_series *series)
{
    series->at = args[0].i;
    series->last = args[1].i;
    series->step = arg_count > 2 ? args[2].i : 1;
    series->size = type__int_size(series->type);
    if (series->step == 0)
        return op_fail(op, "22023", "step size cannot equal zero");
    series->done = series->step > 0 ? series->at > series->last : series->at < series->last;
    return 0;
}

static int check_finite(struct op *op, struct bytes value, const char *what)
{
    struct numeric_view view;
    numeric_view(value, &view);
    if (view.kind == NUMERIC_NAN)
        return op_fail(op, "22023", "%s cannot be NaN", what);
    return view.kind == NUMERIC_FINITE ? 0 : op_fail(op, "22023", "%s cannot be infinity", what);
}

/* Past the end, seen from the direction of the steps. */
static bool number_done(const struct func_series *series)
{
    return numeric_compare(series->number, series->number_last) * series->direction > 0;
}

static int keep(struct op *op, struct arena *arena, struct bytes value, struct bytes *kept)
{
    uint8_t *copy = arena_alloc(arena, value.len);
    if (!copy)
        return op_out_of_memory(op);
    memcpy(copy, value.data, value.len);
    *kept = (struct bytes){ copy, value.len };
    return 0;
}

static int open_numeric(struct op *op, const struct datum *args, int arg_count, struct func_series *series)
{
    if (keep(op, series->arena, args[0].s, &series->number) != 0 ||
        keep(op, series->arena, args[1].s, &series->number_last) != 0)
        return OP_FAILED;
    if (check_finite(op, args[0].s, "start value") != 0 || check_finite(op, args[1].s, "stop value") != 0)
        return OP_FAILED;
    if (arg_count > 2 ? keep(op, series->arena, args[2].s, &series->number_step) != 0
                      : numeric_from_int64(op, series->arena, 1, &series->number_step) != 0)
        return OP_FAILED;
    if (check_finite(op, series->number_step, "step size") != 0)
        return OP_FAILED;
    series->direction = numeric_sign(series->number_step);
    if (series->direction == 0)
        return op_fail(op, "22023", "step size cannot equal zero");
    series->done = number_done(series);
    return 0;
}

static int open_moments(struct op *op, const struct datum *args, struct func_series *series)
{
    series->at = args[0].i;
    series->last = args[1].i;
    series->interval = interval_get(args[2].s);
    series->direction = interval_compare(series->interval, (struct interval){ 0 });
    if (series->direction == 0)
        return op_fail(op, "22023", "step size cannot equal zero");
    series->done = series->direction > 0 ? series->at > series->last : series->at < series->last;
    return 0;
}

int func_series_open(struct op *op, const struct func *func, const struct datum *args, int arg_count,
                     struct arena *arena, struct func_series **series)
{
    *series = op_arena_alloc(op, arena, sizeof **series);
    if (!*series)
        return OP_FAILED;
    (*series)->type = func->result;
    (*series)->arena = arena;
    for (int i = 0; i < arg_count; i++)
        if (args[i].null) {
            (*series)->done = true;
            return 0;
        }
    if (func->result == TYPE_TIMESTAMP || func->result == TYPE_TIMESTAMPTZ)
        return open_moments(op, args, *series);
    return func->result == TYPE_NUMERIC ? open_numeric(op, args, arg_count, *series) : open_int(op, args, arg_count,
                                                                                                *series);
}

static void next_ints(struct func_series *series, int most, struct vector *out, int *count)
{
    while (*count < most && !series->done) {
        out->ints[(*count)++] = series->at;
        bool over = __builtin_add_overflow(series->at, series->step, &series->at);
        series->done = over || !type__int_fits(series->at, series->size) ||
                       (series->step > 0 ? series->at > series->last : series->at < series->last);
    }
}

static int next_numbers(struct op *op, struct func_series *series, int most, struct vector *out, int *count)
{
    while (*count < most && !series->done) {
        out->bytes[(*count)++] = series->number;
        if (numeric_add(op, series->arena, series->number, series->number_step, &series->number) != 0)
            return OP_FAILED;
        series->done = number_done(series);
    }
    return 0;
}

static int next_moments(struct op *op, struct func_series *series, int most, struct vector *out, int *count)
{
    const struct zone *zone = series->type == TYPE_TIMESTAMPTZ ? time_style_of(op)->zone : NULL;
    while (*count < most && !series->done) {
        out->ints[(*count)++] = series->at;
        if (timestamp_add_interval(op, series->at, series->interval, zone, &series->at) != 0)
            return OP_FAILED;
        series->done = series->direction > 0 ? series->at > series->last : series->at < series->last;
    }
    return 0;
}

int func_series_next(struct op *op, struct func_series *series, int most, struct vector *out, int *count)
{
    *count = 0;
    out->has_nulls = false;
    if (series->type == TYPE_NUMERIC)
        return next_numbers(op, series, most, out, count);
    if (series->type == TYPE_TIMESTAMP || series->type == TYPE_TIMESTAMPTZ)
        return next_moments(op, series, most, out, count);
    next_ints(series, most, out, count);
    return 0;
}
