/*
 * aggregate.c -- which aggregates exist; and counting, bool_and, bool_or and string_agg.
 *
 * An aggregate takes a batch at a time: an argument vector, and for each selected row the state of its group.
 * Without GROUP BY all those states are one, and the hot aggregates (aggregate_sum.c, aggregate_extreme.c) then run
 * over the array without a look at the states.
 */
#include <string.h>

#include "sql/aggregate_int.h"
#include "sql/numeric.h"

/* ---- count ---------------------------------------------------------------------------------------- */

static AGGREGATE_STEP(count_rows_step)
{
    if (aggregate__single(states, selected)) {
        *(int64_t *)states[0] += selected;
        return 0;
    }
    for (int i = 0; i < selected; i++)
        ++*(int64_t *)states[i];
    return 0;
}

static AGGREGATE_STEP(count_step)
{
    const struct vector *arg = args[0];
    if (!arg->has_nulls)
        return count_rows_step(env, aggregate, arena, args, selected, selection, states);
    for (int i = 0; i < selected; i++)
        *(int64_t *)states[i] += !arg->nulls[aggregate__row(arg, selection, i)];
    return 0;
}

static AGGREGATE_FINISH(count_finish)
{
    result->null = false;
    result->i = *(const int64_t *)state;
    return 0;
}

/* ---- bool_and, bool_or: detail is the value that settles it ---------------------------------------- */

struct bool_state { bool any, settled; };

static AGGREGATE_STEP(bool_step)
{
    const struct vector *arg = args[0];
    for (int i = 0; i < selected; i++) {
        int row = aggregate__row(arg, selection, i);
        if (arg->has_nulls && arg->nulls[row])
            continue;
        struct bool_state *state = states[i];
        state->any = true;
        state->settled |= arg->bools[row] == aggregate->detail;
    }
    return 0;
}

static AGGREGATE_FINISH(bool_finish)
{
    const struct bool_state *bools = state;
    result->null = !bools->any;
    result->b = bools->settled == (aggregate->detail != 0);
    return 0;
}

/* ---- string_agg ----------------------------------------------------------------------------------- */

struct text_state { uint8_t *data; size_t len, room; bool any; };

static int append(struct eval_env *env, struct arena *arena, struct text_state *text, struct bytes piece)
{
    if (text->len + piece.len > text->room) {
        size_t room = (text->len + piece.len) * 2;
        uint8_t *fresh = arena_alloc(arena, room);
        if (!fresh)
            return op_out_of_memory(env->op);
        if (text->len)
            memcpy(fresh, text->data, text->len);
        text->data = fresh;
        text->room = room;
    }
    if (piece.len)
        memcpy(text->data + text->len, piece.data, piece.len);
    text->len += piece.len;
    return 0;
}

/* The delimiter before the first value is not used; a null one is nothing. */
static AGGREGATE_STEP(string_step)
{
    const struct vector *arg = args[0], *delimiter = args[1];
    for (int i = 0; i < selected; i++) {
        int row = aggregate__row(arg, selection, i), other = aggregate__row(delimiter, selection, i);
        struct text_state *text = states[i];
        if (arg->has_nulls && arg->nulls[row])
            continue;
        if (text->any && !(delimiter->has_nulls && delimiter->nulls[other]) &&
            append(env, arena, text, delimiter->bytes[other]) != 0)
            return OP_FAILED;
        text->any = true;
        if (append(env, arena, text, arg->bytes[row]) != 0)
            return OP_FAILED;
    }
    return 0;
}

static AGGREGATE_FINISH(string_finish)
{
    const struct text_state *text = state;
    result->null = !text->any;
    result->s = (struct bytes){ text->data, text->len };
    return 0;
}

/* ---- the table, sorted by name -------------------------------------------------------------------- */

#define INT_SUM sizeof(struct aggregate_int_sum), aggregate__int_sum_step
#define DOUBLE_SUM sizeof(struct aggregate_double_sum), aggregate__double_sum_step
#define FLOAT_SUM sizeof(struct aggregate_double_sum), aggregate__float_sum_step
#define NUMERIC_SUM sizeof(struct numeric_sum), aggregate__numeric_sum_step
#define INT_EXTREME sizeof(struct aggregate_int_extreme), aggregate__int_extreme_step, aggregate__int_extreme_finish
#define DOUBLE_EXTREME                                                                                                 \
    sizeof(struct aggregate_double_extreme), aggregate__double_extreme_step, aggregate__double_extreme_finish
#define BYTES_EXTREME                                                                                                  \
    sizeof(struct aggregate_bytes_extreme), aggregate__bytes_extreme_step, aggregate__bytes_extreme_finish
#define EXTREME(name, type, how, sign) { name, 1, { TYPE_##type }, TYPE_##type, true, how, sign }
#define EXTREMES(name, sign)                                                                                           \
    EXTREME(name, INT2, INT_EXTREME, sign), EXTREME(name, INT4, INT_EXTREME, sign),                                    \
    EXTREME(name, INT8, INT_EXTREME, sign), EXTREME(name, OID, INT_EXTREME, sign),                                     \
    EXTREME(name, FLOAT4, DOUBLE_EXTREME, sign), EXTREME(name, FLOAT8, DOUBLE_EXTREME, sign),                          \
    EXTREME(name, NUMERIC, BYTES_EXTREME, sign), EXTREME(name, TEXT, BYTES_EXTREME, sign),                             \
    EXTREME(name, DATE, INT_EXTREME, sign), EXTREME(name, TIMESTAMP, INT_EXTREME, sign),                               \
    EXTREME(name, TIMESTAMPTZ, INT_EXTREME, sign), EXTREME(name, TIME, INT_EXTREME, sign),                             \
    EXTREME(name, INTERVAL, BYTES_EXTREME, sign)
#define INTERVAL_SUM sizeof(struct aggregate_interval_sum), aggregate__interval_sum_step
#define STATS(name, how)                                                                                               \
    { name, 1, { TYPE_INT2 }, TYPE_NUMERIC, true, INT_STATS, how }, { name, 1, { TYPE_INT4 }, TYPE_NUMERIC, true, INT_STATS, how }, \
    { name, 1, { TYPE_INT8 }, TYPE_NUMERIC, true, INT_STATS, how },                                                    \
    { name, 1, { TYPE_FLOAT4 }, TYPE_FLOAT8, true, DOUBLE_STATS, how },                                                \
    { name, 1, { TYPE_FLOAT8 }, TYPE_FLOAT8, true, DOUBLE_STATS, how },                                                \
    { name, 1, { TYPE_NUMERIC }, TYPE_NUMERIC, true, NUMERIC_STATS, how }
#define INT_STATS sizeof(struct aggregate_numeric_stats), aggregate__int_stats_step, aggregate__numeric_stats_finish
#define NUMERIC_STATS sizeof(struct aggregate_numeric_stats), aggregate__numeric_stats_step, aggregate__numeric_stats_finish
#define DOUBLE_STATS sizeof(struct aggregate_double_stats), aggregate__double_stats_step, aggregate__double_stats_finish
#define PAIR(name, what)                                                                                               \
    { name, 2, { TYPE_FLOAT8, TYPE_FLOAT8 }, TYPE_FLOAT8, true, sizeof(struct aggregate_pair_stats), aggregate__pair_step, \
      aggregate__pair_finish, what }
#define BITS(name, what) BITS_OF(name, INT2, what), BITS_OF(name, INT4, what), BITS_OF(name, INT8, what)
#define BITS_OF(name, type, what)                                                                                      \
    { name, 1, { TYPE_##type }, TYPE_##type, true, sizeof(struct aggregate_bits), aggregate__bits_step, aggregate__bits_finish, what }
#define BOOLS(name, value)                                                                                             \
    { name, 1, { TYPE_BOOL }, TYPE_BOOL, true, sizeof(struct bool_state), bool_step, bool_finish, value }

static const struct aggregate aggregates[] = {
    { "avg", 1, { TYPE_INT2 }, TYPE_NUMERIC, true, INT_SUM, aggregate__int_average_finish, 0 },
    { "avg", 1, { TYPE_INT4 }, TYPE_NUMERIC, true, INT_SUM, aggregate__int_average_finish, 0 },
    { "avg", 1, { TYPE_INT8 }, TYPE_NUMERIC, true, INT_SUM, aggregate__int_average_finish, 0 },
    { "avg", 1, { TYPE_FLOAT4 }, TYPE_FLOAT8, true, DOUBLE_SUM, aggregate__double_average_finish, 0 },
    { "avg", 1, { TYPE_FLOAT8 }, TYPE_FLOAT8, true, DOUBLE_SUM, aggregate__double_average_finish, 0 },
    { "avg", 1, { TYPE_NUMERIC }, TYPE_NUMERIC, true, NUMERIC_SUM, aggregate__numeric_average_finish, 0 },
    { "avg", 1, { TYPE_INTERVAL }, TYPE_INTERVAL, true, INTERVAL_SUM, aggregate__interval_average_finish, 0 },
    BITS("bit_and", '&'),
    BITS("bit_or", '|'),
    BITS("bit_xor", '#'),
    BOOLS("bool_and", false),
    BOOLS("bool_or", true),
    PAIR("corr", PAIR_CORR),
    { "count", 0, { 0 }, TYPE_INT8, false, sizeof(int64_t), count_rows_step, count_finish, 0 },
    { "count", 1, { TYPE_ANY }, TYPE_INT8, true, sizeof(int64_t), count_step, count_finish, 0 },
    PAIR("covar_pop", PAIR_COVAR_POP),
    PAIR("covar_samp", PAIR_COVAR_SAMP),
    BOOLS("every", false),
    EXTREMES("max", 1),
    EXTREMES("min", -1),
    PAIR("regr_avgx", PAIR_AVGX),
    PAIR("regr_avgy", PAIR_AVGY),
    { "regr_count", 2, { TYPE_FLOAT8, TYPE_FLOAT8 }, TYPE_INT8, true, sizeof(struct aggregate_pair_stats), aggregate__pair_step,
      aggregate__pair_count_finish, 0 },
    PAIR("regr_intercept", PAIR_INTERCEPT),
    PAIR("regr_r2", PAIR_R2),
    PAIR("regr_slope", PAIR_SLOPE),
    PAIR("regr_sxx", PAIR_SXX),
    PAIR("regr_sxy", PAIR_SXY),
    PAIR("regr_syy", PAIR_SYY),
    STATS("stddev", STATS_SAMPLE | STATS_ROOT),
    STATS("stddev_pop", STATS_ROOT),
    STATS("stddev_samp", STATS_SAMPLE | STATS_ROOT),
    { "string_agg", 2, { TYPE_TEXT, TYPE_TEXT }, TYPE_TEXT, true, sizeof(struct text_state), string_step, string_finish,
      0 },
    { "sum", 1, { TYPE_INT2 }, TYPE_INT8, true, INT_SUM, aggregate__int_sum_finish, 0 },
    { "sum", 1, { TYPE_INT4 }, TYPE_INT8, true, INT_SUM, aggregate__int_sum_finish, 0 },
    { "sum", 1, { TYPE_INT8 }, TYPE_NUMERIC, true, INT_SUM, aggregate__int_sum_numeric_finish, 0 },
    { "sum", 1, { TYPE_FLOAT4 }, TYPE_FLOAT4, true, FLOAT_SUM, aggregate__double_sum_finish, 0 },
    { "sum", 1, { TYPE_FLOAT8 }, TYPE_FLOAT8, true, DOUBLE_SUM, aggregate__double_sum_finish, 0 },
    { "sum", 1, { TYPE_NUMERIC }, TYPE_NUMERIC, true, NUMERIC_SUM, aggregate__numeric_sum_finish, 0 },
    { "sum", 1, { TYPE_INTERVAL }, TYPE_INTERVAL, true, INTERVAL_SUM, aggregate__interval_sum_finish, 0 },
    STATS("var_pop", 0),
    STATS("var_samp", STATS_SAMPLE),
    STATS("variance", STATS_SAMPLE),
};

const struct aggregate *aggregate_candidates(const char *name, int *count)
{
    const struct aggregate *first = NULL;
    *count = 0;
    for (size_t i = 0; i < COUNT_OF(aggregates); i++)
        if (strcmp(aggregates[i].name, name) == 0) {
            if (!first)
                first = &aggregates[i];
            ++*count;
        }
    return first;
}
