/*
 * aggregate_stats.c -- variances, standard deviations, correlation and regression; bit_and, bit_or, bit_xor.
 *
 * Of doubles the sum of squared differences from the mean is kept, brought up to date with each value as Youngs and Cramer
 * (Technometrics 13, 1971) showed: sums of squares themselves would lose the difference in their own rounding.  Decimals and integers have no
 * such trouble: their sum and their sum of squares are exact.
 */
#include <math.h>

#include "sql/aggregate_int.h"
#include "sql/numeric.h"

static bool is_null(const struct vector *arg, int row) { return arg->has_nulls && arg->nulls[row]; }

/* ---- variance of doubles -------------------------------------------------------------------------- */

static int add_double(struct eval_env *env, struct aggregate_double_stats *s, double x)
{
    double before = s->sum;
    s->count++;
    s->sum += x;
    if (s->count == 1) {
        s->squares = isfinite(x) ? 0 : NAN;
        return 0;
    }
    double difference = x * s->count - s->sum;
    s->squares += difference * difference / (s->count * (s->count - 1));
    if (isinf(s->sum) || isinf(s->squares)) {
        if (!isinf(before) && !isinf(x))
            return op_fail(env->op, "22003", "value out of range: overflow");
        s->squares = NAN;
    }
    return 0;
}

AGGREGATE_STEP(aggregate__double_stats_step)
{
    const struct vector *arg = args[0];
    for (int i = 0; i < selected; i++) {
        int row = aggregate__row(arg, selection, i);
        if (!is_null(arg, row) && add_double(env, states[i], arg->doubles[row]) != 0)
            return OP_FAILED;
    }
    return 0;
}

AGGREGATE_FINISH(aggregate__double_stats_finish)
{
    const struct aggregate_double_stats *s = state;
    bool sample = aggregate->detail & STATS_SAMPLE;
    result->null = s->count < (sample ? 2 : 1);
    if (result->null)
        return 0;
    result->d = s->squares / (s->count - sample);
    if (aggregate->detail & STATS_ROOT)
        result->d = sqrt(result->d);
    return 0;
}

/* ---- variance of decimals and integers ------------------------------------------------------------ */

static int add_decimal(struct eval_env *env, struct arena *arena, struct aggregate_numeric_stats *s, struct bytes value)
{
    struct bytes square;
    return numeric_sum_add(env->op, arena, &s->sum, value) || numeric_multiply(env->op, env->arena, value, value, &square)
                   || numeric_sum_add(env->op, arena, &s->squares, square)
               ? OP_FAILED : OP_OK;
}

AGGREGATE_STEP(aggregate__numeric_stats_step)
{
    const struct vector *arg = args[0];
    for (int i = 0; i < selected; i++) {
        int row = aggregate__row(arg, selection, i);
        if (!is_null(arg, row) && add_decimal(env, arena, states[i], arg->bytes[row]) != 0)
            return OP_FAILED;
    }
    return 0;
}

AGGREGATE_STEP(aggregate__int_stats_step)
{
    const struct vector *arg = args[0];
    struct bytes value;
    for (int i = 0; i < selected; i++) {
        int row = aggregate__row(arg, selection, i);
        if (!is_null(arg, row)
            && (numeric_from_int64(env->op, env->arena, arg->ints[row], &value) || add_decimal(env, arena, states[i], value)))
            return OP_FAILED;
    }
    return 0;
}

/* (count * sum of squares - square of the sum) / (count * (count - 1)), or / count squared. */
AGGREGATE_FINISH(aggregate__numeric_stats_finish)
{
    const struct aggregate_numeric_stats *s = state;
    struct op *op = env->op;
    struct arena *arena = env->arena;
    bool sample = aggregate->detail & STATS_SAMPLE;
    int64_t count = s->sum.count;
    struct bytes sum, squares, square, number, divisor;
    struct numeric_view view;
    result->null = count < (sample ? 2 : 1);
    if (result->null)
        return 0;
    if (numeric_sum_result(op, arena, &s->sum, &sum) || numeric_sum_result(op, arena, &s->squares, &squares)
        || numeric_from_int64(op, arena, count, &number) || numeric_from_int64(op, arena, count - sample, &divisor))
        return OP_FAILED;
    numeric_view(sum, &view);
    if (view.kind != NUMERIC_FINITE)
        return numeric__special(op, arena, NUMERIC_NAN, &result->s);
    if (numeric_multiply(op, arena, squares, number, &squares) || numeric_multiply(op, arena, sum, sum, &square)
        || numeric_subtract(op, arena, squares, square, &squares) || numeric_multiply(op, arena, number, divisor, &divisor))
        return OP_FAILED;
    if (numeric_sign(squares) <= 0)
        return numeric_from_int64(op, arena, 0, &result->s);
    if (numeric_divide(op, arena, squares, divisor, &result->s))
        return OP_FAILED;
    if (!(aggregate->detail & STATS_ROOT))
        return 0;
    numeric_view(result->s, &view);
    return numeric_square_root_to(op, arena, result->s, view.scale, &result->s);
}

/* ---- two variables: f(y, x) ----------------------------------------------------------------------- */

/* One of the sums that became infinite although nothing infinite went in. */
static bool overflows(const struct aggregate_pair_stats *s, double before_x, double before_y, double x, double y)
{
    bool x_was = isinf(before_x) || isinf(x), y_was = isinf(before_y) || isinf(y);
    return ((isinf(s->sum_x) || isinf(s->xx)) && !x_was) || ((isinf(s->sum_y) || isinf(s->yy)) && !y_was)
           || (isinf(s->xy) && !x_was && !y_was);
}

static int add_pair(struct eval_env *env, struct aggregate_pair_stats *s, double y, double x)
{
    double before_x = s->sum_x, before_y = s->sum_y;
    s->count++;
    s->sum_x += x;
    s->sum_y += y;
    if (s->count == 1) {
        s->xx = isfinite(x) ? 0 : NAN;
        s->yy = isfinite(y) ? 0 : NAN;
        s->xy = isfinite(x) && isfinite(y) ? 0 : NAN;
        return 0;
    }
    double from_x = x * s->count - s->sum_x, from_y = y * s->count - s->sum_y, scale = 1.0 / (s->count * (s->count - 1));
    s->xx += from_x * from_x * scale;
    s->yy += from_y * from_y * scale;
    s->xy += from_x * from_y * scale;
    if (overflows(s, before_x, before_y, x, y))
        return op_fail(env->op, "22003", "value out of range: overflow");
    s->xx = isinf(s->xx) ? NAN : s->xx;
    s->yy = isinf(s->yy) ? NAN : s->yy;
    s->xy = isinf(s->xy) ? NAN : s->xy;
    return 0;
}

AGGREGATE_STEP(aggregate__pair_step)
{
    for (int i = 0; i < selected; i++) {
        int first = aggregate__row(args[0], selection, i), second = aggregate__row(args[1], selection, i);
        if (is_null(args[0], first) || is_null(args[1], second))
            continue;
        if (add_pair(env, states[i], args[0]->doubles[first], args[1]->doubles[second]) != 0)
            return OP_FAILED;
    }
    return 0;
}

AGGREGATE_FINISH(aggregate__pair_count_finish)
{
    result->null = false;
    result->i = (int64_t)((const struct aggregate_pair_stats *)state)->count;
    return 0;
}

AGGREGATE_FINISH(aggregate__pair_finish)
{
    const struct aggregate_pair_stats *s = state;
    result->null = s->count < (aggregate->detail == PAIR_COVAR_SAMP ? 2 : 1);
    if (result->null)
        return 0;
    switch ((enum aggregate_pair)aggregate->detail) {
    case PAIR_SXX: result->d = s->xx; break;
    case PAIR_SYY: result->d = s->yy; break;
    case PAIR_SXY: result->d = s->xy; break;
    case PAIR_AVGX: result->d = s->sum_x / s->count; break;
    case PAIR_AVGY: result->d = s->sum_y / s->count; break;
    case PAIR_COVAR_POP: result->d = s->xy / s->count; break;
    case PAIR_COVAR_SAMP: result->d = s->xy / (s->count - 1); break;
    case PAIR_CORR:
        result->null = s->xx == 0 || s->yy == 0;
        result->d = s->xy / sqrt(s->xx * s->yy);
        break;
    case PAIR_R2:
        result->null = s->xx == 0;
        result->d = s->yy == 0 ? 1 : s->xy * s->xy / (s->xx * s->yy);
        break;
    case PAIR_SLOPE:
        result->null = s->xx == 0;
        result->d = s->xy / s->xx;
        break;
    case PAIR_INTERCEPT:
        result->null = s->xx == 0;
        result->d = (s->sum_y - s->sum_x * s->xy / s->xx) / s->count;
        break;
    }
    return 0;
}

/* ---- bits: detail is '&', '|' or '#' --------------------------------------------------------------- */

AGGREGATE_STEP(aggregate__bits_step)
{
    const struct vector *arg = args[0];
    for (int i = 0; i < selected; i++) {
        int row = aggregate__row(arg, selection, i);
        if (is_null(arg, row))
            continue;
        struct aggregate_bits *bits = states[i];
        int64_t value = arg->ints[row];
        bits->value = !bits->any ? value : aggregate->detail == '&' ? bits->value & value
                      : aggregate->detail == '|' ? bits->value | value : bits->value ^ value;
        bits->any = true;
    }
    return 0;
}

AGGREGATE_FINISH(aggregate__bits_finish)
{
    const struct aggregate_bits *bits = state;
    result->null = !bits->any;
    result->i = bits->value;
    return 0;
}
