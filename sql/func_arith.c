/*
 * func_arith.c -- arithmetic of machine integers and doubles.
 *
 * The integer types share a form (64 bits), so one loop serves them: smallint and integer cannot overflow 64 bits, and
 * their range is checked on the result.  No loop leaves in the middle: whether anything went wrong is gathered
 * beside the results and looked at once, at the end, which lets the compiler use vector instructions.
 */
#include <float.h>
#include <math.h>

#include "sql/func_int.h"

static int out_of_range(struct eval_env *env, int size)
{
    return op_fail(env->op, "22003", "%s out of range", type__int_name(size));
}

static int division_by_zero(struct eval_env *env) { return op_fail(env->op, "22012", "division by zero"); }

/* The same loop for each result size: exact64 for bigint, narrow for the others. */
#define INT_BINARY(builtin, operator)                                                                                  \
    bool bad = false;                                                                                                  \
    switch (func->detail) {                                                                                            \
    case 8:                                                                                                            \
        FUNC_BINARY_LOOP(int64_t, ints, int64_t, out->ints, bad |= builtin(x, y, &r));                                 \
        break;                                                                                                         \
    case 4:                                                                                                            \
        FUNC_BINARY_LOOP(int64_t, ints, int64_t, out->ints, { r = x operator y; bad |= r != (int32_t)r; });            \
        break;                                                                                                         \
    default:                                                                                                           \
        FUNC_BINARY_LOOP(int64_t, ints, int64_t, out->ints, { r = x operator y; bad |= r != (int16_t)r; });            \
    }                                                                                                                  \
    return bad ? out_of_range(env, (int)func->detail) : 0

FUNC_KERNEL(func__int_add) { INT_BINARY(__builtin_add_overflow, +); }
FUNC_KERNEL(func__int_subtract) { INT_BINARY(__builtin_sub_overflow, -); }
FUNC_KERNEL(func__int_multiply) { INT_BINARY(__builtin_mul_overflow, *); }

/* The smallest integer has no counterpart; its quotient by -1 is the one that overflows.  Dividing 32 bits takes
 * the machine a fraction of the time of 64. */
#define DIVIDE(narrow)                                                                                                 \
    FUNC_BINARY_LOOP(int64_t, ints, int64_t, out->ints, {                                                              \
        bool flip = y == -1;                                                                                           \
        zero |= y == 0;                                                                                                \
        bad |= flip && x == INT64_MIN;                                                                                 \
        r = flip ? (int64_t) - (uint64_t)x : (narrow)x / (narrow)(y == 0 ? 1 : y);                                     \
        bad |= !type__int_fits(r, size);                                                                               \
    })

FUNC_KERNEL(func__int_divide)
{
    int size = (int)func->detail;
    bool zero = false, bad = false;
    if (size == 8)
        DIVIDE(int64_t);
    else
        DIVIDE(int32_t);
    if (zero)
        return division_by_zero(env);
    return bad ? out_of_range(env, size) : 0;
}

FUNC_KERNEL(func__int_modulo)
{
    bool zero = false;
    if (func->detail == 8)
        FUNC_BINARY_LOOP(int64_t, ints, int64_t, out->ints, {
            zero |= y == 0;
            r = x % (y == 0 || y == -1 ? 1 : y);
        });
    else
        FUNC_BINARY_LOOP(int64_t, ints, int64_t, out->ints, {
            zero |= y == 0;
            r = (int32_t)x % (int32_t)(y == 0 || y == -1 ? 1 : y);
        });
    return zero ? division_by_zero(env) : 0;
}

FUNC_KERNEL(func__int_and) { FUNC_BINARY_LOOP(int64_t, ints, int64_t, out->ints, r = x & y); return 0; }
FUNC_KERNEL(func__int_or) { FUNC_BINARY_LOOP(int64_t, ints, int64_t, out->ints, r = x | y); return 0; }
FUNC_KERNEL(func__int_xor) { FUNC_BINARY_LOOP(int64_t, ints, int64_t, out->ints, r = x ^ y); return 0; }
FUNC_KERNEL(func__int_not) { FUNC_UNARY_LOOP(int64_t, args[0]->ints, int64_t, out->ints, r = ~x); return 0; }

/* Bits beyond the type's size are cut; the machine takes a shift modulo the size of its register (32 bits for
 * smallint). */
static int64_t shifted(int64_t x, int64_t by, int size, bool left)
{
    if (size == 8)
        return left ? (int64_t)((uint64_t)x << (by & 63)) : x >> (by & 63);
    int32_t r = left ? (int32_t)((uint32_t)x << (by & 31)) : (int32_t)x >> (by & 31);
    return size == 4 ? r : (int16_t)r;
}

FUNC_KERNEL(func__int_shift_left)
{
    FUNC_BINARY_LOOP(int64_t, ints, int64_t, out->ints, r = shifted(x, y, (int)func->detail, true));
    return 0;
}

FUNC_KERNEL(func__int_shift_right)
{
    FUNC_BINARY_LOOP(int64_t, ints, int64_t, out->ints, r = shifted(x, y, (int)func->detail, false));
    return 0;
}

FUNC_KERNEL(func__int_negate)
{
    int size = (int)func->detail;
    bool bad = false;
    FUNC_UNARY_LOOP(int64_t, args[0]->ints, int64_t, out->ints, {
        bad |= __builtin_sub_overflow((int64_t)0, x, &r);
        bad |= !type__int_fits(r, size);
    });
    return bad ? out_of_range(env, size) : 0;
}

FUNC_KERNEL(func__int_absolute)
{
    int size = (int)func->detail;
    bool bad = false;
    FUNC_UNARY_LOOP(int64_t, args[0]->ints, int64_t, out->ints, {
        r = x;
        if (x < 0)
            bad |= __builtin_sub_overflow((int64_t)0, x, &r);
        bad |= !type__int_fits(r, size);
    });
    return bad ? out_of_range(env, size) : 0;
}

FUNC_KERNEL(func__same)
{
    if (out->form == FORM_DOUBLE)
        FUNC_UNARY_LOOP(double, args[0]->doubles, double, out->doubles, r = x);
    else
        FUNC_UNARY_LOOP(int64_t, args[0]->ints, int64_t, out->ints, r = x);
    return 0;
}

/* ---- doubles -------------------------------------------------------------------------------------- */

static int double_failed(struct eval_env *env, bool over)
{
    return op_fail(env->op, "22003", "value out of range: %s", over ? "overflow" : "underflow");
}

/* An infinite result of finite operands is an error; so is a zero where it cannot be (lost). float4: rounded to a
 * float. */
#define DOUBLE_BINARY(operator, lost)                                                                                  \
    bool over = false, under = false;                                                                                  \
    if (func->detail == 8)                                                                                             \
        FUNC_BINARY_LOOP(double, doubles, double, out->doubles, {                                                      \
            r = x operator y;                                                                                          \
            over |= isinf(r) && !isinf(x) && !isinf(y);                                                                \
            under |= r == 0 && (lost);                                                                                 \
        });                                                                                                            \
    else                                                                                                               \
        FUNC_BINARY_LOOP(double, doubles, double, out->doubles, {                                                      \
            r = (double)((float)x operator (float)y);                                                                  \
            over |= isinf(r) && !isinf(x) && !isinf(y);                                                                \
            under |= r == 0 && (lost);                                                                                 \
        });                                                                                                            \
    return over || under ? double_failed(env, over) : 0

FUNC_KERNEL(func__double_add) { DOUBLE_BINARY(+, false); }
FUNC_KERNEL(func__double_subtract) { DOUBLE_BINARY(-, false); }
FUNC_KERNEL(func__double_multiply) { DOUBLE_BINARY(*, x != 0 && y != 0); }

FUNC_KERNEL(func__double_divide)
{
    bool zero = false, over = false, under = false, narrow = func->detail == 4;
    FUNC_BINARY_LOOP(double, doubles, double, out->doubles, {
        zero |= y == 0 && !isnan(x);
        r = narrow ? (double)((float)x / (float)y) : x / y;
        over |= isinf(r) && !isinf(x);
        under |= r == 0 && x != 0 && !isinf(y);
    });
    if (zero)
        return division_by_zero(env);
    return over || under ? double_failed(env, over) : 0;
}

#define DOUBLE_UNARY(name, expression)                                                                                 \
    FUNC_KERNEL(name)                                                                                                  \
    {                                                                                                                  \
        FUNC_UNARY_LOOP(double, args[0]->doubles, double, out->doubles, r = (expression));                             \
        return 0;                                                                                                      \
    }

DOUBLE_UNARY(func__double_negate, -x)
DOUBLE_UNARY(func__double_absolute, fabs(x))
DOUBLE_UNARY(func__double_round, rint(x))       /* half to even */
DOUBLE_UNARY(func__double_truncate, trunc(x))
DOUBLE_UNARY(func__double_ceiling, ceil(x))
DOUBLE_UNARY(func__double_floor, floor(x))
DOUBLE_UNARY(func__double_sign, (x > 0) - (x < 0))
