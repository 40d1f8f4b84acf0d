/*
 * aggregate_extreme.c -- min and max, for each form of value.
 *
 * Of equal values the last one stays (1.0 and 1.00 differ when printed), as in PostgreSQL.  Text and decimals are
 * copied into the groups' memory, into the same place as long as they fit.
 */
#include <math.h>
#include <string.h>

#include "sql/aggregate_int.h"
#include "sql/numeric.h"

static int64_t extreme_dense(const int64_t *values, int count, bool largest)
{
    int64_t best = values[0];
    if (largest)
        for (int i = 1; i < count; i++)
            best = values[i] > best ? values[i] : best;
    else
        for (int i = 1; i < count; i++)
            best = values[i] < best ? values[i] : best;
    return best;
}

static void take_int(struct aggregate_int_extreme *state, int64_t value, bool largest)
{
    if (!state->any || (largest ? value >= state->value : value <= state->value))
        state->value = value;
    state->any = true;
}

AGGREGATE_STEP(aggregate__int_extreme_step)
{
    const struct vector *arg = args[0];
    bool largest = aggregate->detail > 0;
    if (aggregate__dense(arg, selection) && aggregate__single(states, selected)) {
        take_int(states[0], extreme_dense(arg->ints, selected, largest), largest);
        return 0;
    }
    for (int i = 0; i < selected; i++) {
        int row = aggregate__row(arg, selection, i);
        if (!arg->has_nulls || !arg->nulls[row])
            take_int(states[i], arg->ints[row], largest);
    }
    return 0;
}

AGGREGATE_FINISH(aggregate__int_extreme_finish)
{
    const struct aggregate_int_extreme *extreme = state;
    result->null = !extreme->any;
    result->i = extreme->value;
    return 0;
}

/* NaN is larger than all else. */
static inline bool double_above(double a, double b) { return a > b || (isnan(a) && !isnan(b)); }

AGGREGATE_STEP(aggregate__double_extreme_step)
{
    const struct vector *arg = args[0];
    bool largest = aggregate->detail > 0;
    for (int i = 0; i < selected; i++) {
        int row = aggregate__row(arg, selection, i);
        if (arg->has_nulls && arg->nulls[row])
            continue;
        struct aggregate_double_extreme *extreme = states[i];
        double value = arg->doubles[row], old = extreme->value;
        if (!extreme->any || !(largest ? double_above(old, value) : double_above(value, old)))
            extreme->value = value;
        extreme->any = true;
    }
    return 0;
}

AGGREGATE_FINISH(aggregate__double_extreme_finish)
{
    const struct aggregate_double_extreme *extreme = state;
    result->null = !extreme->any;
    result->d = extreme->value;
    return 0;
}

static int keep_bytes(struct eval_env *env, struct arena *arena, struct aggregate_bytes_extreme *extreme,
                      struct bytes value)
{
    if (value.len > extreme->room || !extreme->data) {
        size_t room = value.len < 16 ? 16 : value.len * 2;
        extreme->data = arena_alloc(arena, room);
        if (!extreme->data)
            return op_out_of_memory(env->op);
        extreme->room = room;
    }
    if (value.len)
        memcpy(extreme->data, value.data, value.len);
    extreme->len = value.len;
    extreme->any = true;
    return 0;
}

AGGREGATE_STEP(aggregate__bytes_extreme_step)
{
    const struct vector *arg = args[0];
    Oid type = aggregate->args[0];
    for (int i = 0; i < selected; i++) {
        int row = aggregate__row(arg, selection, i);
        if (arg->has_nulls && arg->nulls[row])
            continue;
        struct aggregate_bytes_extreme *extreme = states[i];
        struct datum old = { .s = { extreme->data, extreme->len } }, value = { .s = arg->bytes[row] };
        if (extreme->any && type_compare(type, &value, &old) * (int)aggregate->detail < 0)
            continue;
        if (keep_bytes(env, arena, extreme, value.s) != 0)
            return OP_FAILED;
    }
    return 0;
}

AGGREGATE_FINISH(aggregate__bytes_extreme_finish)
{
    const struct aggregate_bytes_extreme *extreme = state;
    result->null = !extreme->any;
    result->s = (struct bytes){ extreme->data, extreme->len };
    return 0;
}
