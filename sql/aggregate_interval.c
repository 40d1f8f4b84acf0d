/* aggregate_interval.c -- sums and averages of intervals: months, days and time each by itself. */
#include "sql/aggregate_int.h"
#include "sql/interval.h"

AGGREGATE_STEP(aggregate__interval_sum_step)
{
    const struct vector *arg = args[0];
    for (int i = 0; i < selected; i++) {
        int row = aggregate__row(arg, selection, i);
        struct aggregate_interval_sum *sum = states[i];
        if (arg->has_nulls && arg->nulls[row])
            continue;
        if (interval_add(env->op, sum->total, interval_get(arg->bytes[row]), &sum->total) != 0)
            return OP_FAILED;
        sum->count++;
    }
    return 0;
}

AGGREGATE_FINISH(aggregate__interval_sum_finish)
{
    const struct aggregate_interval_sum *sum = state;
    result->null = sum->count == 0;
    return result->null ? 0 : interval_put(env->op, env->arena, sum->total, &result->s);
}

AGGREGATE_FINISH(aggregate__interval_average_finish)
{
    const struct aggregate_interval_sum *sum = state;
    struct interval average;
    result->null = sum->count == 0;
    if (result->null)
        return 0;
    if (interval_divide(env->op, sum->total, (double)sum->count, &average) != 0)
        return OP_FAILED;
    return interval_put(env->op, env->arena, average, &result->s);
}
