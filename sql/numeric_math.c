/*
 * numeric_math.c -- roots, powers, exponentials and logarithms of decimals.
 *
 * Everything is computed with some digits more than are asked for and rounded once at the end, so the last digit shown is right.
 * How many digits are shown is PostgreSQL's choice: about 16 significant ones, but never fewer behind the point than the argument has.
 *
 *      sqrt    Newton's iteration, from the root of the leading digits in floating point
 *      exp     the argument is halved until it is small, its series summed, and the sum squared as often
 *      ln      y' = y + 2 (x - e^y) / (x + e^y), three times as many digits with each step, on a mantissa in [1, 10)
 *      power   by squaring for whole exponents, else exp(y ln x)
 *
 * M1  A "working" value has `scale` digits behind the point; intermediate values are rounded to it at once, so they do not grow.
 */
#include <limits.h>
#include <math.h>
#include <stdio.h>

#include "sql/numeric.h"

enum {
    SIGNIFICANT = 16,           /* digits that a result shows at least */
    SHOWN_MAX = 1000,           /* digits behind the point that it shows at most */
    GUARD = 12,                 /* digits more while computing */
    EXP_MAX = 6000,             /* e^x beyond it does not fit */
    HALVINGS_MIN = 4,
};

static const double LOG10_E = 0.434294481903252, LN_10 = 2.302585092994046;

struct math {
    struct op *op;
    struct arena *arena;
};

/* ---- working values ------------------------------------------------------------------------------- */

static int rounded(const struct math *m, struct bytes value, int scale, struct bytes *out)
{
    return numeric_round(m->op, m->arena, value, scale, NUMERIC_HALF_AWAY, out);
}

static int multiply(const struct math *m, struct bytes a, struct bytes b, int scale, struct bytes *out)
{
    return numeric_multiply(m->op, m->arena, a, b, out) || rounded(m, *out, scale, out) ? OP_FAILED : OP_OK;
}

static int divide(const struct math *m, struct bytes a, struct bytes b, int scale, struct bytes *out)
{
    return numeric_divide_to(m->op, m->arena, a, b, scale, out);
}

static int whole(const struct math *m, int64_t value, struct bytes *out)
{
    return numeric_from_int64(m->op, m->arena, value, out);
}

/* value * 10^exponent, exactly. */
static int shifted(const struct math *m, struct bytes value, int exponent, struct bytes *out)
{
    char text[24];
    struct bytes power;
    int len = snprintf(text, sizeof text, "1e%d", exponent);
    return numeric_parse(m->op, m->arena, (struct bytes){ (const uint8_t *)text, (size_t)len }, &power)
                   || numeric_multiply(m->op, m->arena, value, power, out)
               ? OP_FAILED : OP_OK;
}

/* A double as it is, with some 17 digits. */
static int from_double(const struct math *m, double value, struct bytes *out)
{
    char text[40];
    int len = snprintf(text, sizeof text, "%.17e", value);
    return numeric_parse(m->op, m->arena, (struct bytes){ (const uint8_t *)text, (size_t)len }, out);
}

/* Mantissa in [1, 10) and decimal exponent of a finite value other than zero; the sign is dropped. */
static double mantissa_of(const struct numeric_view *view, int *exponent)
{
    double mantissa = 0;
    for (int i = 0; i < 3; i++)
        mantissa = mantissa * NUMERIC_BASE + numeric__limb(view, view->weight - i);
    *exponent = numeric__exponent(view);
    return mantissa / pow(10, *exponent - NUMERIC_LIMB_DIGITS * (view->weight - 2));
}

static int larger(int a, int b) { return a > b ? a : b; }

/* Digits behind the point that are shown when `weight` digits stand before it. */
static int shown(int weight, int scale)
{
    int digits = larger(larger(SIGNIFICANT - weight, scale), 0);
    return digits < SHOWN_MAX ? digits : SHOWN_MAX;
}

/* ---- square root ---------------------------------------------------------------------------------- */

static int root(const struct math *m, struct bytes value, int scale, struct bytes *out)
{
    struct numeric_view view;
    int exponent;
    struct bytes guess, next, half, zero;
    numeric_view(value, &view);
    if (view.count == 0)
        return whole(m, 0, &zero) || rounded(m, zero, scale, out) ? OP_FAILED : OP_OK;
    double mantissa = mantissa_of(&view, &exponent);
    bool odd = exponent % 2 != 0;
    int wanted = larger(scale, 0) + GUARD, places = wanted + larger(exponent / 2, 0);
    if (from_double(m, sqrt(odd ? mantissa * 10 : mantissa), &guess)
        || shifted(m, guess, (exponent - odd) / 2, &guess)
        || numeric_parse(m->op, m->arena, (struct bytes){ (const uint8_t *)"0.5", 3 }, &half))
        return OP_FAILED;
    /* Each step doubles the digits that are right, 15 to begin with. */
    for (int right = 15; ; right *= 2) {
        if (divide(m, value, guess, wanted, &next) || numeric_add(m->op, m->arena, guess, next, &next)
            || multiply(m, next, half, wanted, &guess))
            return OP_FAILED;
        if (right > places + larger(-exponent, 0))
            break;
    }
    return rounded(m, guess, scale, out);
}

int numeric_square_root_to(struct op *op, struct arena *arena, struct bytes a, int scale, struct bytes *out)
{
    struct math m = { op, arena };
    return root(&m, a, scale, out);
}

int numeric_square_root(struct op *op, struct arena *arena, struct bytes a, struct bytes *out)
{
    struct math m = { op, arena };
    struct numeric_view view;
    numeric_view(a, &view);
    if (view.kind == NUMERIC_NAN || view.kind == NUMERIC_INFINITY)
        return numeric__special(op, arena, view.kind, out);
    if (view.kind == NUMERIC_MINUS_INFINITY || view.negative)
        return op_fail(op, "2201F", "cannot take square root of a negative number");
    /* PostgreSQL counts in groups of four digits. */
    int exponent = view.count ? numeric__exponent(&view) : 0;
    int group = exponent >= 0 ? exponent / 4 : -((-exponent + 3) / 4);
    return root(&m, a, shown(group * 2 + 1, view.scale), out);
}

/* ---- e^x ------------------------------------------------------------------------------------------ */

/* |x| < EXP_MAX.  The result has `digits` significant digits at least, and some more. */
static int power_of_e(const struct math *m, struct bytes x, int digits, struct bytes *out)
{
    double value = numeric_to_double(m->op, x);
    int halvings = HALVINGS_MIN;
    struct bytes term, sum, small, number;
    for (double size = fabs(value); size > 0.5; size /= 2)
        halvings++;
    /* Squaring loses a bit of precision each time; a small result needs its digits far behind the point. */
    int weight = (int)(fabs(value) * LOG10_E) + 1, scale = digits + weight + GUARD + halvings / 3 + 1;
    if (whole(m, (int64_t)1 << halvings, &number) || divide(m, x, number, scale, &small) || whole(m, 1, &sum))
        return OP_FAILED;
    term = sum;
    for (int n = 1;; n++) {
        struct numeric_view view;
        if (multiply(m, term, small, scale, &term) || whole(m, n, &number) || divide(m, term, number, scale, &term)
            || numeric_add(m->op, m->arena, sum, term, &sum))
            return OP_FAILED;
        numeric_view(term, &view);
        if (view.count == 0)
            break;
    }
    for (int i = 0; i < halvings; i++)
        if (multiply(m, sum, sum, scale, &sum))
            return OP_FAILED;
    *out = sum;
    return OP_OK;
}

int numeric_exp(struct op *op, struct arena *arena, struct bytes a, struct bytes *out)
{
    struct math m = { op, arena };
    struct numeric_view view;
    numeric_view(a, &view);
    if (view.kind == NUMERIC_MINUS_INFINITY)
        return whole(&m, 0, out);
    if (view.kind != NUMERIC_FINITE)
        return numeric__special(op, arena, view.kind, out);
    double value = numeric_to_double(op, a);
    double weight = value * LOG10_E;
    int scale = shown((int)(weight > 2000 ? 2000 : weight < -2000 ? -2000 : weight), view.scale);
    if (value >= EXP_MAX)
        return op_fail(op, "22003", "value overflows numeric format");
    if (value <= -EXP_MAX)
        return whole(&m, 0, out) || rounded(&m, *out, scale, out) ? OP_FAILED : OP_OK;
    return power_of_e(&m, a, larger(scale, SIGNIFICANT), out) || rounded(&m, *out, scale, out) ? OP_FAILED : OP_OK;
}

/* ---- logarithms ----------------------------------------------------------------------------------- */

/* Of a value in (0, 10], to `scale` digits behind the point. */
static int log_of_mantissa(const struct math *m, struct bytes x, int scale, struct bytes *out)
{
    struct bytes y, power, above, below, step, two;
    int places = scale + GUARD;
    double start = numeric_to_double(m->op, x);
    if (from_double(m, log(start), &y) || whole(m, 2, &two))
        return OP_FAILED;
    for (int right = 14;; right *= 3) {
        if (power_of_e(m, y, places, &power) || numeric_subtract(m->op, m->arena, x, power, &above)
            || numeric_add(m->op, m->arena, x, power, &below) || multiply(m, above, two, places + GUARD, &above)
            || divide(m, above, below, places, &step) || numeric_add(m->op, m->arena, y, step, &y)
            || rounded(m, y, places, &y))
            return OP_FAILED;
        if (right > places)
            break;
    }
    return rounded(m, y, scale, out);
}

/* Of a positive value. */
static int natural_log(const struct math *m, struct bytes x, int scale, struct bytes *out)
{
    struct numeric_view view;
    struct bytes mantissa, ten, number, tens;
    int exponent, places = scale + GUARD;
    numeric_view(x, &view);
    exponent = numeric__exponent(&view);
    /* Just below 1 the mantissa would be taken from 10, and what counts would cancel out. */
    if (exponent == -1 && numeric_to_double(m->op, x) > 0.5)
        exponent = 0;
    if (shifted(m, x, -exponent, &mantissa) || log_of_mantissa(m, mantissa, places, out))
        return OP_FAILED;
    if (exponent != 0
        && (whole(m, 10, &ten) || log_of_mantissa(m, ten, places + 7, &tens) || whole(m, exponent, &number)
            || numeric_multiply(m->op, m->arena, tens, number, &tens) || numeric_add(m->op, m->arena, *out, tens, out)))
        return OP_FAILED;
    return rounded(m, *out, scale, out);
}

/* Decimal weight of ln x: how far its first digit is from the point. */
static int log_weight(const struct math *m, struct bytes x)
{
    struct numeric_view view;
    struct bytes one, rest;
    numeric_view(x, &view);
    if (view.kind != NUMERIC_FINITE || view.negative || view.count == 0)
        return 0;
    double value = numeric_to_double(m->op, x);
    if (value >= 0.9 && value <= 1.1) {
        struct numeric_view difference;
        if (whole(m, 1, &one) || numeric_subtract(m->op, m->arena, x, one, &rest))
            return 0;
        numeric_view(rest, &difference);
        return difference.count ? numeric__exponent(&difference) : 0;
    }
    int exponent;
    double mantissa = mantissa_of(&view, &exponent);
    return (int)log10(fabs(log(mantissa) + exponent * LN_10));
}

/* 2201E for what has no logarithm. */
static int check_log(struct op *op, const struct numeric_view *view)
{
    if (view->kind == NUMERIC_MINUS_INFINITY || (view->kind == NUMERIC_FINITE && view->negative))
        return op_fail(op, "2201E", "cannot take logarithm of a negative number");
    if (view->kind == NUMERIC_FINITE && view->count == 0)
        return op_fail(op, "2201E", "cannot take logarithm of zero");
    return OP_OK;
}

int numeric_ln(struct op *op, struct arena *arena, struct bytes a, struct bytes *out)
{
    struct math m = { op, arena };
    struct numeric_view view;
    numeric_view(a, &view);
    if (view.kind == NUMERIC_NAN)
        return numeric__special(op, arena, NUMERIC_NAN, out);
    if (check_log(op, &view))
        return OP_FAILED;
    if (view.kind == NUMERIC_INFINITY)
        return numeric__special(op, arena, NUMERIC_INFINITY, out);
    return natural_log(&m, a, shown(log_weight(&m, a), view.scale), out);
}

int numeric_log(struct op *op, struct arena *arena, struct bytes base, struct bytes a, struct bytes *out)
{
    struct math m = { op, arena };
    struct numeric_view x, b;
    struct bytes above, below;
    numeric_view(a, &x);
    numeric_view(base, &b);
    if (x.kind == NUMERIC_NAN || b.kind == NUMERIC_NAN)
        return numeric__special(op, arena, NUMERIC_NAN, out);
    if (check_log(op, &b) || check_log(op, &x))
        return OP_FAILED;
    if (x.kind == NUMERIC_INFINITY)
        return numeric__special(op, arena, b.kind == NUMERIC_INFINITY ? NUMERIC_NAN : NUMERIC_INFINITY, out);
    if (b.kind == NUMERIC_INFINITY)
        return whole(&m, 0, out);
    int x_weight = log_weight(&m, a), b_weight = log_weight(&m, base), scale = shown(x_weight - b_weight, larger(x.scale, b.scale));
    /* Both with as many significant digits as the quotient needs. */
    int digits = scale + larger(x_weight - b_weight, 0) + GUARD;
    if (natural_log(&m, a, larger(digits - x_weight, 0), &above) || natural_log(&m, base, larger(digits - b_weight, 0), &below))
        return OP_FAILED;
    return divide(&m, above, below, scale, out);
}

/* ---- powers --------------------------------------------------------------------------------------- */

/* Keeps the leading digits of a working value whose size changes with every step. */
static int keep_digits(const struct math *m, struct bytes *value, int digits)
{
    struct numeric_view view;
    numeric_view(*value, &view);
    if (view.count == 0)
        return OP_OK;
    int places = digits - numeric__exponent(&view);
    return places < view.scale ? rounded(m, *value, places, value) : OP_OK;
}

static int whole_power(const struct math *m, struct bytes base, int64_t exponent, int scale, struct bytes *out)
{
    struct numeric_view view;
    struct bytes factor = base, result, one;
    uint64_t left = exponent < 0 ? 0 - (uint64_t)exponent : (uint64_t)exponent;
    int first;
    numeric_view(base, &view);
    if (whole(m, 1, &one))
        return OP_FAILED;
    if (view.count == 0 || exponent == 0) {
        *out = exponent == 0 ? one : base;
        return rounded(m, *out, scale, out);
    }
    double weight = (log10(mantissa_of(&view, &first)) + first) * (double)exponent;
    if (weight > NUMERIC_INTEGER_DIGITS_MAX)
        return op_fail(m->op, "22003", "value overflows numeric format");
    if (weight + 1 < -scale - GUARD)
        return whole(m, 0, out) || rounded(m, *out, scale, out) ? OP_FAILED : OP_OK;
    int digits = (int)fabs(weight) + scale + 2 * GUARD;
    for (result = one; left > 0; left >>= 1) {
        if ((left & 1) && (numeric_multiply(m->op, m->arena, result, factor, &result) || keep_digits(m, &result, digits)))
            return OP_FAILED;
        if (left > 1 && (numeric_multiply(m->op, m->arena, factor, factor, &factor) || keep_digits(m, &factor, digits)))
            return OP_FAILED;
    }
    if (exponent < 0)
        return divide(m, one, result, scale, out);
    return rounded(m, result, scale, out);
}

static bool is_whole(const struct numeric_view *view)
{
    return view->count <= view->weight + 1 || view->count == 0;
}

static bool is_odd(const struct numeric_view *view)
{
    return view->count > 0 && is_whole(view) && numeric__limb(view, 0) % 2 == 1;
}

/* One of the two is infinite, neither is NaN. */
static int power_special(const struct math *m, const struct numeric_view *base, const struct numeric_view *exponent,
                         struct bytes a, struct bytes *out)
{
    bool up = exponent->kind == NUMERIC_FINITE ? !exponent->negative : exponent->kind == NUMERIC_INFINITY;
    struct bytes one, size;
    if (exponent->kind == NUMERIC_FINITE) {
        if (exponent->count == 0)
            return whole(m, 1, out);
        if (base->kind == NUMERIC_MINUS_INFINITY && !is_whole(exponent))
            return op_fail(m->op, "2201F", "a negative number raised to a non-integer power yields a complex result");
        if (!up)
            return whole(m, 0, out);
        bool negative = base->kind == NUMERIC_MINUS_INFINITY && is_odd(exponent);
        return numeric__special(m->op, m->arena, negative ? NUMERIC_MINUS_INFINITY : NUMERIC_INFINITY, out);
    }
    if (whole(m, 1, &one) || numeric_absolute(m->op, m->arena, a, &size))
        return OP_FAILED;
    int order = numeric_compare(size, one);
    if (base->kind == NUMERIC_FINITE && order == 0)
        return whole(m, 1, out);
    if (base->kind == NUMERIC_FINITE && base->count == 0 && !up)
        return op_fail(m->op, "2201F", "zero raised to a negative power is undefined");
    return (order > 0) == up ? numeric__special(m->op, m->arena, NUMERIC_INFINITY, out) : whole(m, 0, out);
}

static int power_finite(const struct math *m, struct bytes a, struct bytes b, const struct numeric_view *base,
                        const struct numeric_view *exponent, struct bytes *out)
{
    int64_t times;
    struct bytes size, product;
    if (is_whole(exponent) && numeric_to_int64(b, &times) && times >= INT_MIN && times <= INT_MAX)
        return whole_power(m, a, times, shown(0, base->scale), out);
    if (base->count == 0)
        return rounded(m, a, SIGNIFICANT, out);
    if (numeric_absolute(m->op, m->arena, a, &size))
        return OP_FAILED;
    int first;
    double estimate = (log(mantissa_of(base, &first)) + first * LN_10) * numeric_to_double(m->op, b);
    if (estimate >= EXP_MAX)
        return op_fail(m->op, "22003", "value overflows numeric format");
    if (estimate <= -EXP_MAX)
        return whole(m, 0, out) || rounded(m, *out, SHOWN_MAX, out) ? OP_FAILED : OP_OK;
    int weight = (int)(estimate * LOG10_E), scale = shown(weight, larger(base->scale, exponent->scale));
    int digits = scale + larger(weight, 0) + GUARD, places = digits + GUARD;
    if (exponent->count)
        places += larger(numeric__exponent(exponent), 0);
    if (natural_log(m, size, places, &product) || numeric_multiply(m->op, m->arena, product, b, &product)
        || rounded(m, product, digits + GUARD, &product) || power_of_e(m, product, digits, out))
        return OP_FAILED;
    if (base->negative && is_odd(exponent) && numeric_negate(m->op, m->arena, *out, out))
        return OP_FAILED;
    return rounded(m, *out, scale, out);
}

int numeric_power(struct op *op, struct arena *arena, struct bytes a, struct bytes b, struct bytes *out)
{
    struct math m = { op, arena };
    struct numeric_view base, exponent;
    struct bytes one;
    numeric_view(a, &base);
    numeric_view(b, &exponent);
    if (base.kind == NUMERIC_NAN || exponent.kind == NUMERIC_NAN) {
        if (whole(&m, 1, &one))
            return OP_FAILED;
        bool is_one = (exponent.kind == NUMERIC_FINITE && exponent.count == 0)
                      || (base.kind == NUMERIC_FINITE && numeric_compare(a, one) == 0);
        *out = one;
        return is_one ? OP_OK : numeric__special(op, arena, NUMERIC_NAN, out);
    }
    if (base.kind != NUMERIC_FINITE || exponent.kind != NUMERIC_FINITE)
        return power_special(&m, &base, &exponent, a, out);
    if (base.count == 0 && exponent.negative)
        return op_fail(op, "2201F", "zero raised to a negative power is undefined");
    if (base.negative && !is_whole(&exponent))
        return op_fail(op, "2201F", "a negative number raised to a non-integer power yields a complex result");
    return power_finite(&m, a, b, &base, &exponent, out);
}
