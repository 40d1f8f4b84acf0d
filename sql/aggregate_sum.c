/*
 * aggregate_sum.c -- sums and averages.
 *
 * Sums of integers are kept in 128 bits, which no table can overflow.  When a whole batch belongs to one group, its
 * values are added first, in halves of 32 bits: those sums fit 64 bits, need no checks, and become vector instructions.
 *
 * Doubles are added in the order of the rows, one by one: another order would round differently, and the result would
 * depend on how rows fall into batches.
 */
#include <math.h>

#include "sql/aggregate_int.h"
#include "sql/numeric.h"

/* ---- integers ------------------------------------------------------------------------------------- */

static inline void add_wide(struct aggregate_int_sum *sum, __int128 value)
{
    unsigned __int128 total = ((unsigned __int128)(uint64_t)sum->high << 64 | sum->low) + (unsigned __int128)value;
    sum->low = (uint64_t)total;
    sum->high = (int64_t)(uint64_t)(total >> 64);
}

static __int128 wide(const struct aggregate_int_sum *sum)
{
    return (__int128)((unsigned __int128)(uint64_t)sum->high << 64 | sum->low);
}

static void sum_dense(struct aggregate_int_sum *sum, const int64_t *values, int count)
{
    uint64_t low = 0;
    int64_t high = 0;
    for (int i = 0; i < count; i++) {
        low += (uint32_t)values[i];
        high += values[i] >> 32;
    }
    add_wide(sum, (__int128)high * ((__int128)1 << 32) + low);
    sum->count += count;
}

AGGREGATE_STEP(aggregate__int_sum_step)
{
    const struct vector *arg = args[0];
    if (aggregate__dense(arg, selection) && aggregate__single(states, selected)) {
        sum_dense(states[0], arg->ints, selected);
        return 0;
    }
    for (int i = 0; i < selected; i++) {
        int row = aggregate__row(arg, selection, i);
        if (arg->has_nulls && arg->nulls[row])
            continue;
        struct aggregate_int_sum *sum = states[i];
        add_wide(sum, arg->ints[row]);
        sum->count++;
    }
    return 0;
}

AGGREGATE_FINISH(aggregate__int_sum_finish)
{
    const struct aggregate_int_sum *sum = state;
    __int128 total = wide(sum);
    result->null = sum->count == 0;
    result->i = (int64_t)total;
    return result->i == total ? 0 : op_fail(env->op, "22003", "bigint out of range");
}

AGGREGATE_FINISH(aggregate__int_sum_numeric_finish)
{
    const struct aggregate_int_sum *sum = state;
    result->null = sum->count == 0;
    return result->null ? 0 : numeric_from_int128(env->op, env->arena, wide(sum), &result->s);
}

static int divide_by_count(struct eval_env *env, struct bytes total, int64_t count, struct datum *result)
{
    struct bytes divisor;
    if (numeric_from_int64(env->op, env->arena, count, &divisor) != 0)
        return OP_FAILED;
    return numeric_divide(env->op, env->arena, total, divisor, &result->s);
}

AGGREGATE_FINISH(aggregate__int_average_finish)
{
    const struct aggregate_int_sum *sum = state;
    if (aggregate__int_sum_numeric_finish(env, aggregate, state, result) != 0)
        return OP_FAILED;
    return result->null ? 0 : divide_by_count(env, result->s, sum->count, result);
}

/* ---- doubles -------------------------------------------------------------------------------------- */

AGGREGATE_STEP(aggregate__double_sum_step)
{
    const struct vector *arg = args[0];
    if (aggregate__dense(arg, selection) && aggregate__single(states, selected)) {
        struct aggregate_double_sum *one = states[0];
        double sum = one->sum;
        for (int i = 0; i < selected; i++)
            sum += arg->doubles[i];
        if (!isfinite(sum))
            for (int i = 0; i < selected; i++)
                one->infinite |= !isfinite(arg->doubles[i]);
        one->sum = sum;
        one->count += selected;
        return 0;
    }
    for (int i = 0; i < selected; i++) {
        int row = aggregate__row(arg, selection, i);
        if (arg->has_nulls && arg->nulls[row])
            continue;
        struct aggregate_double_sum *sum = states[i];
        sum->sum += arg->doubles[row];
        sum->infinite |= !isfinite(arg->doubles[row]);
        sum->count++;
    }
    return 0;
}

/* A sum of reals is a real at every step. */
AGGREGATE_STEP(aggregate__float_sum_step)
{
    const struct vector *arg = args[0];
    for (int i = 0; i < selected; i++) {
        int row = aggregate__row(arg, selection, i);
        if (arg->has_nulls && arg->nulls[row])
            continue;
        struct aggregate_double_sum *sum = states[i];
        sum->sum = (double)((float)sum->sum + (float)arg->doubles[row]);
        sum->infinite |= !isfinite(arg->doubles[row]);
        sum->count++;
    }
    return 0;
}

AGGREGATE_FINISH(aggregate__double_sum_finish)
{
    const struct aggregate_double_sum *sum = state;
    result->null = sum->count == 0;
    result->d = sum->sum;
    return isinf(sum->sum) && !sum->infinite ? op_fail(env->op, "22003", "value out of range: overflow") : 0;
}

AGGREGATE_FINISH(aggregate__double_average_finish)
{
    const struct aggregate_double_sum *sum = state;
    if (aggregate__double_sum_finish(env, aggregate, state, result) != 0)
        return OP_FAILED;
    if (!result->null)
        result->d /= (double)sum->count;
    return 0;
}

/* ---- decimals ------------------------------------------------------------------------------------- */

AGGREGATE_STEP(aggregate__numeric_sum_step)
{
    const struct vector *arg = args[0];
    for (int i = 0; i < selected; i++) {
        int row = aggregate__row(arg, selection, i);
        if (arg->has_nulls && arg->nulls[row])
            continue;
        if (numeric_sum_add(env->op, arena, states[i], arg->bytes[row]) != 0)
            return OP_FAILED;
    }
    return 0;
}

AGGREGATE_FINISH(aggregate__numeric_sum_finish)
{
    const struct numeric_sum *sum = state;
    result->null = sum->count == 0;
    return result->null ? 0 : numeric_sum_result(env->op, env->arena, sum, &result->s);
}

AGGREGATE_FINISH(aggregate__numeric_average_finish)
{
    const struct numeric_sum *sum = state;
    if (aggregate__numeric_sum_finish(env, aggregate, state, result) != 0)
        return OP_FAILED;
    return result->null ? 0 : divide_by_count(env, result->s, sum->count, result);
}
