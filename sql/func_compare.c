/*
 * func_compare.c -- the comparison operators, one kernel for each form of value.
 *
 * Text is compared byte by byte, which for UTF-8 is the order of code points.  Among doubles NaN equals itself and is
 * larger than everything else, so that they have a total order and can be keys.
 */
#include <string.h>

#include "sql/datetime.h"
#include "sql/func_int.h"
#include "sql/interval.h"
#include "sql/numeric.h"

FUNC_KERNEL(func__int_compare)
{
    switch ((enum func_order)func->detail) {
    case ORDER_LT: FUNC_BINARY_LOOP(int64_t, ints, uint8_t, out->bools, r = x < y); break;
    case ORDER_LE: FUNC_BINARY_LOOP(int64_t, ints, uint8_t, out->bools, r = x <= y); break;
    case ORDER_EQ: FUNC_BINARY_LOOP(int64_t, ints, uint8_t, out->bools, r = x == y); break;
    case ORDER_GE: FUNC_BINARY_LOOP(int64_t, ints, uint8_t, out->bools, r = x >= y); break;
    case ORDER_GT: FUNC_BINARY_LOOP(int64_t, ints, uint8_t, out->bools, r = x > y); break;
    case ORDER_NE: FUNC_BINARY_LOOP(int64_t, ints, uint8_t, out->bools, r = x != y); break;
    }
    return 0;
}

static inline uint8_t double_less(double x, double y) { return (x < y) | ((y != y) & (x == x)); }
static inline uint8_t double_equal(double x, double y) { return (x == y) | ((x != x) & (y != y)); }

FUNC_KERNEL(func__double_compare)
{
    switch ((enum func_order)func->detail) {
    case ORDER_LT: FUNC_BINARY_LOOP(double, doubles, uint8_t, out->bools, r = double_less(x, y)); break;
    case ORDER_LE: FUNC_BINARY_LOOP(double, doubles, uint8_t, out->bools, r = !double_less(y, x)); break;
    case ORDER_EQ: FUNC_BINARY_LOOP(double, doubles, uint8_t, out->bools, r = double_equal(x, y)); break;
    case ORDER_GE: FUNC_BINARY_LOOP(double, doubles, uint8_t, out->bools, r = !double_less(x, y)); break;
    case ORDER_GT: FUNC_BINARY_LOOP(double, doubles, uint8_t, out->bools, r = double_less(y, x)); break;
    case ORDER_NE: FUNC_BINARY_LOOP(double, doubles, uint8_t, out->bools, r = !double_equal(x, y)); break;
    }
    return 0;
}

/* Whether an order (< 0, 0, > 0) fulfils the operator. */
static inline uint8_t order_is(int order, enum func_order wanted)
{
    switch (wanted) {
    case ORDER_LT: return order < 0;
    case ORDER_LE: return order <= 0;
    case ORDER_EQ: return order == 0;
    case ORDER_GE: return order >= 0;
    case ORDER_GT: return order > 0;
    case ORDER_NE: return order != 0;
    }
    return 0;
}

FUNC_KERNEL(func__bool_compare)
{
    enum func_order wanted = (enum func_order)func->detail;
    FUNC_BINARY_LOOP(uint8_t, bools, uint8_t, out->bools, r = order_is((int)x - (int)y, wanted));
    return 0;
}

static inline uint8_t bytes_equal(struct bytes x, struct bytes y)
{
    return x.len == y.len && (x.len == 0 || memcmp(x.data, y.data, x.len) == 0);
}

static inline int bytes_order(struct bytes x, struct bytes y)
{
    size_t shorter = x.len < y.len ? x.len : y.len;
    int order = shorter ? memcmp(x.data, y.data, shorter) : 0;
    return order ? order : (x.len > y.len) - (x.len < y.len);
}

FUNC_KERNEL(func__bytes_compare)
{
    enum func_order wanted = (enum func_order)func->detail;
    if (wanted == ORDER_EQ)
        FUNC_BINARY_LOOP(struct bytes, bytes, uint8_t, out->bools, r = bytes_equal(x, y));
    else if (wanted == ORDER_NE)
        FUNC_BINARY_LOOP(struct bytes, bytes, uint8_t, out->bools, r = !bytes_equal(x, y));
    else
        FUNC_BINARY_LOOP(struct bytes, bytes, uint8_t, out->bools, r = order_is(bytes_order(x, y), wanted));
    return 0;
}

FUNC_KERNEL(func__numeric_compare)
{
    enum func_order wanted = (enum func_order)func->detail;
    FUNC_BINARY_LOOP(struct bytes, bytes, uint8_t, out->bools, r = order_is(numeric_compare(x, y), wanted));
    return 0;
}

FUNC_KERNEL(func__date_timestamp_compare)
{
    enum func_order wanted = (enum func_order)func->detail;
    if (func->args[0] == TYPE_DATE)
        FUNC_BINARY_LOOP(int64_t, ints, uint8_t, out->bools, r = order_is(date_compare_timestamp(x, y), wanted));
    else
        FUNC_BINARY_LOOP(int64_t, ints, uint8_t, out->bools, r = order_is(-date_compare_timestamp(y, x), wanted));
    return 0;
}

/* A date or a timestamp as a moment, by the session's zone; what lies beyond the last moment comes after all finite ones. */
static int as_moment(struct eval_env *env, Oid type, int64_t value, int64_t *moment)
{
    int64_t local = value;

    *moment = value;
    if (type == TYPE_TIMESTAMPTZ)
        return 0;
    if (type == TYPE_DATE) {
        bool beyond = date_is_finite(value) && value > TIMESTAMP_END / TIMESTAMP_DAY;
        if (beyond) {
            *moment = TIMESTAMP_INFINITY - 1;
            return 0;
        }
        if (date_to_timestamp(env->op, value, &local) != 0)
            return OP_FAILED;
    }
    *moment = timestamp_is_finite(local) ? local - zone_offset_of_local(time_style_of(env->op)->zone, local) * TIMESTAMP_SECOND : local;
    return 0;
}

FUNC_KERNEL(func__moment_compare)
{
    enum func_order wanted = (enum func_order)func->detail;
    for (int i = 0; i < count; i++) {
        int row = selection ? selection[i] : i;
        struct datum a, b;
        int64_t x, y;
        vector_get(args[0], row, &a);
        vector_get(args[1], row, &b);
        if (as_moment(env, func->args[0], a.i, &x) != 0 || as_moment(env, func->args[1], b.i, &y) != 0)
            return OP_FAILED;
        out->bools[row] = order_is((x > y) - (x < y), wanted);
    }
    return 0;
}

FUNC_KERNEL(func__interval_compare)
{
    enum func_order wanted = (enum func_order)func->detail;
    FUNC_BINARY_LOOP(struct bytes, bytes, uint8_t, out->bools, r = order_is(interval_compare(interval_get(x), interval_get(y)), wanted));
    return 0;
}
