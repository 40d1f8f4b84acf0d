/*
 * func_math.c -- roots, powers, logarithms, trigonometry, divisors, buckets.
 *
 * Floating-point functions are libm's, with PostgreSQL's idea of errors: what is infinite or zero although the arguments were not is
 * reported (22003), and so is what has no real result.
 */
#include <math.h>

#include "sql/func_int.h"
#include "sql/numeric.h"

/* ---- floating point ------------------------------------------------------------------------------- */

static int overflow(const struct func_call *call) { return op_fail(call->env->op, "22003", "value out of range: overflow"); }
static int underflow(const struct func_call *call) { return op_fail(call->env->op, "22003", "value out of range: underflow"); }
static int bad_input(const struct func_call *call) { return op_fail(call->env->op, "22003", "input is out of range"); }

/* Functions that are defined everywhere, and whose results neither overflow nor underflow. */
#define EVERYWHERE(name, result)                                                                                       \
    FUNC_ROW(name)                                                                                                     \
    {                                                                                                                  \
        double x = args[0].d;                                                                                          \
        out->d = result;                                                                                               \
        return 0;                                                                                                      \
    }
EVERYWHERE(func__double_cube_root, cbrt(x))
EVERYWHERE(func__double_arc_tangent, atan(x))
EVERYWHERE(func__double_sinh, sinh(x))
EVERYWHERE(func__double_cosh, cosh(x))
EVERYWHERE(func__double_tanh, tanh(x))
EVERYWHERE(func__double_arc_sinh, asinh(x))

/* Functions of angles: an infinite one has no place on the circle. */
#define OF_ANGLE(name, result)                                                                                         \
    FUNC_ROW(name)                                                                                                     \
    {                                                                                                                  \
        double x = args[0].d;                                                                                          \
        if (isinf(x))                                                                                                  \
            return bad_input(call);                                                                                    \
        out->d = result;                                                                                               \
        return 0;                                                                                                      \
    }
OF_ANGLE(func__double_sine, sin(x))
OF_ANGLE(func__double_cosine, cos(x))
OF_ANGLE(func__double_tangent, tan(x))
OF_ANGLE(func__double_cotangent, 1 / tan(x))

#define BETWEEN(name, low, high, result)                                                                               \
    FUNC_ROW(name)                                                                                                     \
    {                                                                                                                  \
        double x = args[0].d;                                                                                          \
        if (x < (low) || x > (high))                                                                                   \
            return bad_input(call);                                                                                    \
        out->d = result;                                                                                               \
        return 0;                                                                                                      \
    }
BETWEEN(func__double_arc_sine, -1, 1, asin(x))
BETWEEN(func__double_arc_cosine, -1, 1, acos(x))
BETWEEN(func__double_arc_cosh, 1, INFINITY, acosh(x))
BETWEEN(func__double_arc_tanh, -1, 1, atanh(x))

FUNC_ROW(func__double_arc_tangent_2)
{
    out->d = atan2(args[0].d, args[1].d);
    return 0;
}

FUNC_ROW(func__double_pi)
{
    out->d = M_PI;
    return 0;
}

FUNC_ROW(func__double_degrees)
{
    out->d = args[0].d / (M_PI / 180);
    return isinf(out->d) && !isinf(args[0].d) ? overflow(call) : 0;
}

FUNC_ROW(func__double_radians)
{
    out->d = args[0].d * (M_PI / 180);
    return out->d == 0 && args[0].d != 0 ? underflow(call) : 0;
}

FUNC_ROW(func__double_square_root)
{
    if (args[0].d < 0)
        return op_fail(call->env->op, "2201F", "cannot take square root of a negative number");
    out->d = sqrt(args[0].d);
    return 0;
}

FUNC_ROW(func__double_exp)
{
    double x = args[0].d;
    out->d = exp(x);
    if (isinf(out->d) && !isinf(x))
        return overflow(call);
    return out->d == 0 && !isinf(x) ? underflow(call) : 0;
}

static int check_log(const struct func_call *call, double x)
{
    if (x == 0)
        return op_fail(call->env->op, "2201E", "cannot take logarithm of zero");
    return x < 0 ? op_fail(call->env->op, "2201E", "cannot take logarithm of a negative number") : 0;
}

FUNC_ROW(func__double_ln)
{
    out->d = log(args[0].d);
    return check_log(call, args[0].d);
}

FUNC_ROW(func__double_log10)
{
    out->d = log10(args[0].d);
    return check_log(call, args[0].d);
}

FUNC_ROW(func__double_power)
{
    double x = args[0].d, y = args[1].d;
    if (x == 0 && y < 0)
        return op_fail(call->env->op, "2201F", "zero raised to a negative power is undefined");
    if (x < 0 && !isnan(y) && floor(y) != y)
        return op_fail(call->env->op, "2201F", "a negative number raised to a non-integer power yields a complex result");
    out->d = pow(x, y);
    if (!isfinite(x) || !isfinite(y))
        return 0;
    if (isinf(out->d))
        return overflow(call);
    return out->d == 0 && x != 0 ? underflow(call) : 0;
}

/* ---- decimals ------------------------------------------------------------------------------------- */

#define DECIMAL(name, operation)                                                                                       \
    FUNC_ROW(name) { return operation(call->env->op, call->env->arena, args[0].s, &out->s); }
DECIMAL(func__numeric_square_root, numeric_square_root)
DECIMAL(func__numeric_exp, numeric_exp)
DECIMAL(func__numeric_ln, numeric_ln)

FUNC_ROW(func__numeric_log)
{
    return numeric_log(call->env->op, call->env->arena, args[0].s, args[1].s, &out->s);
}

FUNC_ROW(func__numeric_log10)
{
    struct bytes ten;
    return numeric_from_int64(call->env->op, call->env->arena, 10, &ten)
                   || numeric_log(call->env->op, call->env->arena, ten, args[0].s, &out->s)
               ? OP_FAILED : OP_OK;
}

FUNC_ROW(func__numeric_power)
{
    return numeric_power(call->env->op, call->env->arena, args[0].s, args[1].s, &out->s);
}

FUNC_ROW(func__numeric_factorial)
{
    struct op *op = call->env->op;
    struct bytes factor;
    if (args[0].i < 0)
        return op_fail(op, "22003", "factorial of a negative number is undefined");
    if (args[0].i > 32177)
        return op_fail(op, "22003", "value overflows numeric format");
    if (numeric_from_int64(op, call->env->arena, 1, &out->s))
        return OP_FAILED;
    for (int64_t i = 2; i <= args[0].i; i++)
        if (op_check_cancel(op) || numeric_from_int64(op, call->env->arena, i, &factor)
            || numeric_multiply(op, call->env->arena, out->s, factor, &out->s))
            return OP_FAILED;
    return 0;
}

/* The scale without the zeros at the end; NULL for what is not finite. */
static bool least_scale(struct bytes value, int *scale)
{
    struct numeric_view view;
    numeric_view(value, &view);
    if (view.kind != NUMERIC_FINITE)
        return false;
    *scale = 0;
    int least = view.count ? view.weight - view.count + 1 : 0;      /* weight of the last limb */
    if (least >= 0)
        return true;
    *scale = -least * NUMERIC_LIMB_DIGITS;
    for (uint32_t limb = numeric__limb(&view, least); limb % 10 == 0; limb /= 10)
        --*scale;
    return true;
}

FUNC_ROW(func__numeric_min_scale)
{
    int scale = 0;
    out->null = !least_scale(args[0].s, &scale);
    out->i = scale;
    return 0;
}

FUNC_ROW(func__numeric_trim_scale)
{
    int scale;
    if (least_scale(args[0].s, &scale))
        return numeric_round(call->env->op, call->env->arena, args[0].s, scale, NUMERIC_HALF_AWAY, &out->s);
    out->s = args[0].s;
    return 0;
}

/* ---- divisors ------------------------------------------------------------------------------------- */

static uint64_t size_of(int64_t value) { return value < 0 ? 0 - (uint64_t)value : (uint64_t)value; }

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* detail of both: the size of the result in bytes follows from its type. */
static int fit(const struct func_call *call, uint64_t value, struct datum *out)
{
    int size = type__int_size(call->func->result);
    if (value > INT64_MAX || !type__int_fits((int64_t)value, size))
        return op_fail(call->env->op, "22003", "%s out of range", type__int_name(size));
    out->i = (int64_t)value;
    return 0;
}

FUNC_ROW(func__int_gcd) { return fit(call, common_divisor(size_of(args[0].i), size_of(args[1].i)), out); }

FUNC_ROW(func__int_lcm)
{
    uint64_t a = size_of(args[0].i), b = size_of(args[1].i), multiple;
    if (a == 0 || b == 0)
        return fit(call, 0, out);
    if (__builtin_mul_overflow(a / common_divisor(a, b), b, &multiple))
        multiple = UINT64_MAX;
    return fit(call, multiple, out);
}

static int decimal_divisor(const struct func_call *call, struct bytes a, struct bytes b, struct bytes *out)
{
    struct op *op = call->env->op;
    struct arena *arena = call->env->arena;
    struct bytes rest;
    while (numeric_sign(b) != 0) {
        if (op_check_cancel(op) || numeric_modulo(op, arena, a, b, &rest))
            return OP_FAILED;
        a = b;
        b = rest;
    }
    return numeric_absolute(op, arena, a, out);
}

/* What is shown: the larger of both scales.  *special: one of them is not finite, and so the result NaN. */
static int common_scale(const struct func_call *call, const struct datum *args, bool *special, int *scale, struct datum *out)
{
    struct numeric_view a, b;
    numeric_view(args[0].s, &a);
    numeric_view(args[1].s, &b);
    *special = a.kind != NUMERIC_FINITE || b.kind != NUMERIC_FINITE;
    *scale = a.scale > b.scale ? a.scale : b.scale;
    return *special ? numeric__special(call->env->op, call->env->arena, NUMERIC_NAN, &out->s) : 0;
}

FUNC_ROW(func__numeric_gcd)
{
    bool special;
    int scale;
    if (common_scale(call, args, &special, &scale, out) || special)
        return special ? 0 : OP_FAILED;
    return decimal_divisor(call, args[0].s, args[1].s, &out->s)
                   || numeric_round(call->env->op, call->env->arena, out->s, scale, NUMERIC_HALF_AWAY, &out->s)
               ? OP_FAILED : OP_OK;
}

FUNC_ROW(func__numeric_lcm)
{
    struct op *op = call->env->op;
    struct arena *arena = call->env->arena;
    struct bytes divisor, quotient;
    bool special;
    int scale;
    if (common_scale(call, args, &special, &scale, out) || special)
        return special ? 0 : OP_FAILED;
    if (numeric_sign(args[0].s) == 0 || numeric_sign(args[1].s) == 0) {
        if (numeric_from_int64(op, arena, 0, &out->s))
            return OP_FAILED;
    } else if (decimal_divisor(call, args[0].s, args[1].s, &divisor)
               || numeric_divide_integer(op, arena, args[0].s, divisor, &quotient)
               || numeric_multiply(op, arena, quotient, args[1].s, &out->s) || numeric_absolute(op, arena, out->s, &out->s)) {
        return OP_FAILED;
    }
    return numeric_round(op, arena, out->s, scale, NUMERIC_HALF_AWAY, &out->s);
}

/* ---- buckets -------------------------------------------------------------------------------------- */

static int bad_bucket(const struct func_call *call, const char *message) { return op_fail(call->env->op, "2201G", "%s", message); }

/* 0 below the range, count + 1 at its end and beyond; a range may run downwards. */
static int outer_bucket(int64_t count, int64_t *bucket, struct op *op)
{
    *bucket = count + 1;
    return *bucket > INT32_MAX ? op_fail(op, "22003", "integer out of range") : 0;
}

FUNC_ROW(func__double_bucket)
{
    double value = args[0].d, low = args[1].d, high = args[2].d;
    int64_t count = args[3].i;
    if (count <= 0)
        return bad_bucket(call, "count must be greater than zero");
    if (isnan(value) || isnan(low) || isnan(high))
        return bad_bucket(call, "operand, lower bound, and upper bound cannot be NaN");
    if (isinf(low) || isinf(high))
        return bad_bucket(call, "lower and upper bounds must be finite");
    if (low == high)
        return bad_bucket(call, "lower bound cannot equal upper bound");
    bool up = low < high;
    if (up ? value < low : value > low) {
        out->i = 0;
        return 0;
    }
    if (up ? value >= high : value <= high)
        return outer_bucket(count, &out->i, call->env->op);
    /* Halved where the width itself would overflow. */
    double width = up ? high - low : low - high, part = up ? value - low : low - value;
    if (isinf(width)) {
        width = up ? high / 2 - low / 2 : low / 2 - high / 2;
        part = up ? value / 2 - low / 2 : low / 2 - value / 2;
    }
    out->i = (int64_t)((double)count * (part / width));
    out->i = (out->i >= count ? count - 1 : out->i) + 1;
    return 0;
}

FUNC_ROW(func__numeric_bucket)
{
    struct op *op = call->env->op;
    struct arena *arena = call->env->arena;
    struct numeric_view value, low, high;
    struct bytes part, width, number;
    int64_t count = args[3].i;
    numeric_view(args[0].s, &value);
    numeric_view(args[1].s, &low);
    numeric_view(args[2].s, &high);
    if (count <= 0)
        return bad_bucket(call, "count must be greater than zero");
    if (value.kind == NUMERIC_NAN || low.kind == NUMERIC_NAN || high.kind == NUMERIC_NAN)
        return bad_bucket(call, "operand, lower bound, and upper bound cannot be NaN");
    if (low.kind != NUMERIC_FINITE || high.kind != NUMERIC_FINITE)
        return bad_bucket(call, "lower and upper bounds must be finite");
    int order = numeric_compare(args[1].s, args[2].s);
    if (order == 0)
        return bad_bucket(call, "lower bound cannot equal upper bound");
    bool up = order < 0;
    int from_low = numeric_compare(args[0].s, args[1].s), from_high = numeric_compare(args[0].s, args[2].s);
    if (up ? from_low < 0 : from_low > 0) {
        out->i = 0;
        return 0;
    }
    if (up ? from_high >= 0 : from_high <= 0)
        return outer_bucket(count, &out->i, op);
    /* Both differences have one sign, which the quotient loses. */
    if (numeric_subtract(op, arena, args[0].s, args[1].s, &part) || numeric_subtract(op, arena, args[2].s, args[1].s, &width)
        || numeric_from_int64(op, arena, count, &number) || numeric_multiply(op, arena, part, number, &part)
        || numeric_divide_integer(op, arena, part, width, &part))
        return OP_FAILED;
    if (!numeric_to_int64(part, &out->i))
        return op_fail(op, "22003", "integer out of range");
    out->i++;
    return 0;
}
