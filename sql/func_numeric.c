/* func_numeric.c -- numeric.h's arithmetic as SQL functions. */
#include "sql/func_int.h"
#include "sql/numeric.h"

#define BINARY(name, operation)                                                                                        \
    FUNC_ROW(name) { return operation(call->env->op, call->env->arena, args[0].s, args[1].s, &out->s); }

BINARY(func__numeric_add, numeric_add)
BINARY(func__numeric_subtract, numeric_subtract)
BINARY(func__numeric_multiply, numeric_multiply)
BINARY(func__numeric_divide, numeric_divide)
BINARY(func__numeric_divide_integer, numeric_divide_integer)
BINARY(func__numeric_modulo, numeric_modulo)

FUNC_ROW(func__numeric_negate) { return numeric_negate(call->env->op, call->env->arena, args[0].s, &out->s); }
FUNC_ROW(func__numeric_absolute) { return numeric_absolute(call->env->op, call->env->arena, args[0].s, &out->s); }

FUNC_ROW(func__numeric_plus)
{
    out->s = args[0].s;
    return 0;
}

/* Places beyond what a value can have make no difference. */
static int round_places(const struct func_call *call, const struct datum *args)
{
    int64_t places = call->arg_count > 1 ? args[1].i : 0, least = -NUMERIC_INTEGER_DIGITS_MAX - 1;
    return (int)(places > NUMERIC_SCALE_MAX ? NUMERIC_SCALE_MAX : places < least ? least : places);
}

FUNC_ROW(func__numeric_round)
{
    return numeric_round(call->env->op, call->env->arena, args[0].s, round_places(call, args), NUMERIC_HALF_AWAY,
                         &out->s);
}

FUNC_ROW(func__numeric_truncate)
{
    return numeric_round(call->env->op, call->env->arena, args[0].s, round_places(call, args), NUMERIC_TRUNCATE,
                         &out->s);
}

FUNC_ROW(func__numeric_ceiling)
{
    return numeric_round(call->env->op, call->env->arena, args[0].s, 0, NUMERIC_CEILING, &out->s);
}

FUNC_ROW(func__numeric_floor)
{
    return numeric_round(call->env->op, call->env->arena, args[0].s, 0, NUMERIC_FLOOR, &out->s);
}

FUNC_ROW(func__numeric_sign)
{
    int sign = numeric_sign(args[0].s);
    if (sign == 2)
        return numeric__special(call->env->op, call->env->arena, NUMERIC_NAN, &out->s);
    return numeric_from_int64(call->env->op, call->env->arena, sign, &out->s);
}

FUNC_ROW(func__numeric_scale)
{
    struct numeric_view view;
    numeric_view(args[0].s, &view);
    out->null = view.kind != NUMERIC_FINITE;
    out->i = view.scale;
    return 0;
}
