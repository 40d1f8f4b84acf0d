/*
 * numeric_arith.c -- sums, products and quotients of decimals, digit by digit in base 10^9.
 *
 * Sums and products are exact.  A quotient is computed to its display scale plus one limb and rounded half away from
 * zero; the scale is chosen as PostgreSQL does, so that all its digits agree: at least 16 significant ones, and no
 * fewer behind the point than either operand has.  Its estimate of the quotient's size counts in groups of four
 * digits (PostgreSQL's base is 10^4); quotient_scale does the same, though nothing here has that base.
 *
 * Long division is Knuth's algorithm D (The Art of Computer Programming, volume 2, 4.3.1).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sql/numeric.h"
#include "src/base/endian.h"

enum { SIGNIFICANT_DIGITS_MIN = 16, QUOTIENT_SCALE_MAX = 1000 };

/* ---- sums ----------------------------------------------------------------------------------------- */

static int larger(int a, int b) { return a > b ? a : b; }
static int smaller(int a, int b) { return a < b ? a : b; }

static int compare_magnitudes(const struct numeric_view *a, const struct numeric_view *b)
{
    int top = larger(a->weight, b->weight), bottom = smaller(a->weight - a->count, b->weight - b->count);
    for (int weight = top; weight > bottom; weight--) {
        uint32_t x = numeric__limb(a, weight), y = numeric__limb(b, weight);
        if (x != y)
            return x < y ? -1 : 1;
    }
    return 0;
}

/* |a| + |b| or |a| - |b| (then |a| >= |b|) into a draft with one limb of room above. */
static void combine(const struct numeric_view *a, const struct numeric_view *b, bool subtract,
                    struct numeric_draft *draft)
{
    uint32_t carry = 0;
    for (int i = draft->count - 1; i >= 0; i--) {
        int weight = draft->weight - i;
        uint32_t x = numeric__limb(a, weight), y = numeric__limb(b, weight) + carry;
        if (subtract) {
            carry = x < y;
            draft->limbs[i] = carry ? x + NUMERIC_BASE - y : x - y;
        } else {
            carry = x + y >= NUMERIC_BASE;
            draft->limbs[i] = carry ? x + y - NUMERIC_BASE : x + y;
        }
    }
}

static int add_special(struct op *op, struct arena *arena, enum numeric_kind a, enum numeric_kind b, struct bytes *out)
{
    if (a == NUMERIC_NAN || b == NUMERIC_NAN)
        return numeric__special(op, arena, NUMERIC_NAN, out);
    if (a == NUMERIC_FINITE)
        return numeric__special(op, arena, b, out);
    return numeric__special(op, arena, b == NUMERIC_FINITE || a == b ? a : NUMERIC_NAN, out);
}

static enum numeric_kind kind_negated(enum numeric_kind kind)
{
    return kind == NUMERIC_INFINITY ? NUMERIC_MINUS_INFINITY : kind == NUMERIC_MINUS_INFINITY ? NUMERIC_INFINITY : kind;
}

enum { FIXED_LIMBS = 32 };

/* Scratch for a draft: the caller's fixed array when it suffices. */
static uint32_t *limbs_for(struct op *op, uint32_t *fixed, int count)
{
    return count <= FIXED_LIMBS ? fixed : op_alloc(op, sizeof *fixed * (size_t)count);
}

/* Packs the draft, and gives back what was taken of the scratch memory since the mark. */
static int finish(struct op *op, struct arena *arena, struct numeric_draft *draft, struct arena_mark mark,
                  struct bytes *out)
{
    if (numeric__finish(op, arena, draft, out) != 0)
        return OP_FAILED;
    if (arena != &op->arena)
        arena_release(&op->arena, mark);
    return 0;
}

static int add_signed(struct op *op, struct arena *arena, struct bytes a, struct bytes b, bool negate_b,
                      struct bytes *out)
{
    struct numeric_view x, y;
    uint32_t fixed[FIXED_LIMBS];

    numeric_view(a, &x);
    numeric_view(b, &y);
    if (negate_b) {
        y.kind = kind_negated(y.kind);
        y.negative = !y.negative;
    }
    if (x.kind != NUMERIC_FINITE || y.kind != NUMERIC_FINITE)
        return add_special(op, arena, x.kind, y.kind, out);
    struct numeric_draft draft = { .scale = larger(x.scale, y.scale), .weight = larger(x.weight, y.weight) + 1 };
    draft.count = draft.weight - smaller(x.weight - x.count, y.weight - y.count);
    struct arena_mark mark = arena_mark(&op->arena);
    draft.limbs = limbs_for(op, fixed, draft.count);
    if (!draft.limbs)
        return OP_FAILED;
    bool subtract = x.negative != y.negative;
    if (subtract && compare_magnitudes(&x, &y) < 0) {
        draft.negative = y.negative;
        combine(&y, &x, true, &draft);
    } else {
        draft.negative = x.negative;
        combine(&x, &y, subtract, &draft);
    }
    return finish(op, arena, &draft, mark, out);
}

int numeric_add(struct op *op, struct arena *arena, struct bytes a, struct bytes b, struct bytes *out)
{
    return add_signed(op, arena, a, b, false, out);
}

int numeric_subtract(struct op *op, struct arena *arena, struct bytes a, struct bytes b, struct bytes *out)
{
    return add_signed(op, arena, a, b, true, out);
}

static int with_sign(struct op *op, struct arena *arena, struct bytes a, bool flip, struct bytes *out)
{
    struct numeric_view view;
    numeric_view(a, &view);
    if (view.kind == NUMERIC_INFINITY || view.kind == NUMERIC_MINUS_INFINITY)
        return numeric__special(op, arena, flip ? kind_negated(view.kind) : NUMERIC_INFINITY, out);
    if (view.kind == NUMERIC_NAN || view.count == 0 || (!flip && !view.negative)) {
        *out = a;
        return 0;
    }
    uint8_t *copy = arena_alloc(arena, a.len);
    if (!copy)
        return op_out_of_memory(op);
    memcpy(copy, a.data, a.len);
    copy[1] ^= 0x40;        /* the sign bit of the head */
    *out = (struct bytes){ copy, a.len };
    return 0;
}

int numeric_negate(struct op *op, struct arena *arena, struct bytes a, struct bytes *out)
{
    return with_sign(op, arena, a, true, out);
}

int numeric_absolute(struct op *op, struct arena *arena, struct bytes a, struct bytes *out)
{
    return with_sign(op, arena, a, false, out);
}

/* ---- products ------------------------------------------------------------------------------------- */

static int multiply_special(struct op *op, struct arena *arena, struct bytes a, struct bytes b, struct bytes *out)
{
    int x = numeric_sign(a), y = numeric_sign(b);
    if (x == 2 || y == 2 || x == 0 || y == 0)       /* NaN, or infinity times zero */
        return numeric__special(op, arena, NUMERIC_NAN, out);
    return numeric__special(op, arena, x == y ? NUMERIC_INFINITY : NUMERIC_MINUS_INFINITY, out);
}

/* draft->limbs (of x.count + y.count limbs) = product of the magnitudes. */
static void multiply_limbs(const struct numeric_view *x, const struct numeric_view *y, uint32_t *limbs)
{
    memset(limbs, 0, sizeof *limbs * (size_t)(x->count + y->count));
    for (int i = x->count - 1; i >= 0; i--) {
        uint64_t factor = get_u32(x->limbs + 4 * i), carry = 0;
        for (int j = y->count - 1; j >= 0; j--) {
            uint64_t t = factor * get_u32(y->limbs + 4 * j) + limbs[i + j + 1] + carry;
            carry = t / NUMERIC_BASE;
            limbs[i + j + 1] = (uint32_t)(t % NUMERIC_BASE);
        }
        limbs[i] = (uint32_t)carry;
    }
}

int numeric_multiply(struct op *op, struct arena *arena, struct bytes a, struct bytes b, struct bytes *out)
{
    struct numeric_view x, y;
    uint32_t fixed[FIXED_LIMBS];

    numeric_view(a, &x);
    numeric_view(b, &y);
    if (x.kind != NUMERIC_FINITE || y.kind != NUMERIC_FINITE)
        return multiply_special(op, arena, a, b, out);
    struct numeric_draft draft = { .negative = x.negative != y.negative, .scale = x.scale + y.scale,
                                   .weight = x.weight + y.weight + 1, .count = x.count + y.count };
    struct arena_mark mark = arena_mark(&op->arena);
    draft.limbs = limbs_for(op, fixed, draft.count + 1);
    if (!draft.limbs)
        return OP_FAILED;
    draft.limbs++;      /* room for a carry of rounding */
    multiply_limbs(&x, &y, draft.limbs);
    if (draft.scale > NUMERIC_SCALE_MAX)
        numeric__round(&draft, NUMERIC_SCALE_MAX, NUMERIC_HALF_AWAY);
    return finish(op, arena, &draft, mark, out);
}

/* ---- quotients ------------------------------------------------------------------------------------ */

/* The first group of one to four digits when digits are grouped in fours from the decimal point, and its weight. */
static void leading_group(const struct numeric_view *view, int *weight, int *digit)
{
    if (view->count == 0) {
        *weight = 0;
        *digit = 0;
        return;
    }
    int exponent = numeric__exponent(view);
    *weight = exponent >= 0 ? exponent / 4 : -((-exponent + 3) / 4);
    int wanted = exponent - *weight * 4 + 1;        /* how many digits it has */
    uint64_t lead = (uint64_t)numeric__limb(view, view->weight) * NUMERIC_BASE + numeric__limb(view, view->weight - 1);
    uint64_t bound = 10;
    for (int i = 1; i < wanted; i++)
        bound *= 10;
    while (lead >= bound)
        lead /= 10;
    *digit = (int)lead;
}

static int quotient_scale(const struct numeric_view *x, const struct numeric_view *y)
{
    int x_weight, x_digit, y_weight, y_digit;
    leading_group(x, &x_weight, &x_digit);
    leading_group(y, &y_weight, &y_digit);
    int weight = x_weight - y_weight - (x_digit <= y_digit);
    int scale = SIGNIFICANT_DIGITS_MIN - weight * 4;
    scale = larger(scale, larger(x->scale, y->scale));
    return smaller(larger(scale, 0), QUOTIENT_SCALE_MAX);
}

/* limbs[0..count-1] / divisor in place; returns the remainder. */
static uint32_t divide_by_limb(uint32_t *limbs, int count, uint32_t divisor)
{
    uint64_t rest = 0;
    for (int i = 0; i < count; i++) {
        rest = rest * NUMERIC_BASE + limbs[i];
        limbs[i] = (uint32_t)(rest / divisor);
        rest %= divisor;
    }
    return (uint32_t)rest;
}

static void multiply_by_limb(uint32_t *limbs, int count, uint32_t factor)
{
    uint64_t carry = 0;
    for (int i = count - 1; i >= 0; i--) {
        carry += (uint64_t)limbs[i] * factor;
        limbs[i] = (uint32_t)(carry % NUMERIC_BASE);
        carry /= NUMERIC_BASE;
    }
}

/* u[0..n] -= q * v[0..n-1]; true when that went below zero. */
static bool subtract_product(uint32_t *u, const uint32_t *v, int n, uint64_t q)
{
    uint64_t carry = 0;
    int64_t borrow = 0;
    for (int i = n - 1; i >= 0; i--) {
        carry += q * v[i];
        int64_t t = (int64_t)u[i + 1] - (int64_t)(carry % NUMERIC_BASE) - borrow;
        carry /= NUMERIC_BASE;
        borrow = t < 0;
        u[i + 1] = (uint32_t)(t + (borrow ? NUMERIC_BASE : 0));
    }
    int64_t t = (int64_t)u[0] - (int64_t)carry - borrow;
    u[0] = (uint32_t)(t < 0 ? t + NUMERIC_BASE : t);
    return t < 0;
}

static void add_back(uint32_t *u, const uint32_t *v, int n)
{
    uint32_t carry = 0;
    for (int i = n - 1; i >= 0; i--) {
        uint32_t t = u[i + 1] + v[i] + carry;
        carry = t >= NUMERIC_BASE;
        u[i + 1] = carry ? t - NUMERIC_BASE : t;
    }
    u[0] = (u[0] + carry) % NUMERIC_BASE;
}

/* Algorithm D: u has m + n + 1 limbs (u[0] = 0), v has n >= 2; q gets m + 1 limbs.  u and v are destroyed. */
static void divide_limbs(uint32_t *u, uint32_t *v, int n, int m, uint32_t *q)
{
    uint32_t normal = (uint32_t)(NUMERIC_BASE / ((uint64_t)v[0] + 1));
    if (normal > 1) {
        multiply_by_limb(u, m + n + 1, normal);
        multiply_by_limb(v, n, normal);
    }
    for (int j = 0; j <= m; j++) {
        uint64_t top = (uint64_t)u[j] * NUMERIC_BASE + u[j + 1];
        uint64_t guess = top / v[0], rest = top % v[0];
        while (guess >= NUMERIC_BASE || guess * v[1] > rest * NUMERIC_BASE + u[j + 2]) {
            guess--;
            rest += v[0];
            if (rest >= NUMERIC_BASE)
                break;
        }
        if (subtract_product(u + j, v, n, guess)) {
            guess--;
            add_back(u + j, v, n);
        }
        q[j] = (uint32_t)guess;
    }
}

/* |x| / |y| cut behind `scale` digits and some; drafts with one limb of room before limbs[0]. */
static int divide_magnitudes(struct op *op, const struct numeric_view *x, const struct numeric_view *y, int scale,
                             struct numeric_draft *draft)
{
    /* Quotient limbs of weight `top` down to -places. */
    int top = x->weight - y->weight, places = scale / NUMERIC_LIMB_DIGITS + 1, n = y->count, m = top + places;
    if (m < 0 || x->count == 0) {
        draft->count = 0;
        draft->limbs = op_calloc(op, 2 * sizeof *draft->limbs);
        if (!draft->limbs)
            return OP_FAILED;
        draft->limbs++;
        return 0;
    }
    uint32_t *u = op_calloc(op, sizeof *u * (size_t)(m + n + 2)), *v = op_alloc(op, sizeof *v * (size_t)n);
    uint32_t *q = op_calloc(op, sizeof *q * (size_t)(m + 2));
    if (!u || !v || !q)
        return OP_FAILED;
    for (int i = 0; i < x->count && i < m + n; i++)
        u[i + 1] = get_u32(x->limbs + 4 * i);
    for (int i = 0; i < n; i++)
        v[i] = get_u32(y->limbs + 4 * i);
    draft->limbs = q + 1;
    draft->weight = top;
    draft->count = m + 1;
    if (n == 1) {
        memcpy(draft->limbs, u + 1, sizeof *u * (size_t)(m + 1));
        divide_by_limb(draft->limbs, m + 1, v[0]);
    } else {
        divide_limbs(u, v, n, m, draft->limbs);
    }
    return 0;
}

/* A quotient of which one is not finite; *done false when both are. */
static int divide_special(struct op *op, struct arena *arena, const struct numeric_view *x,
                          const struct numeric_view *y, struct bytes *out)
{
    if (x->kind == NUMERIC_NAN || y->kind == NUMERIC_NAN)
        return numeric__special(op, arena, NUMERIC_NAN, out);
    if (x->kind == NUMERIC_FINITE)
        return numeric_from_int64(op, arena, 0, out);
    if (y->kind != NUMERIC_FINITE)
        return numeric__special(op, arena, NUMERIC_NAN, out);
    if (y->count == 0)
        return op_fail(op, "22012", "division by zero");
    return numeric__special(op, arena, y->negative ? kind_negated(x->kind) : x->kind, out);
}

enum { SCALE_OF_QUOTIENT = -1 };

/* To `scale` digits behind the point. */
static int divide(struct op *op, struct arena *arena, struct bytes a, struct bytes b, int scale, enum numeric_rounding how,
                  struct bytes *out)
{
    struct numeric_view x, y;
    numeric_view(a, &x);
    numeric_view(b, &y);
    if (x.kind != NUMERIC_FINITE || y.kind != NUMERIC_FINITE)
        return divide_special(op, arena, &x, &y, out);
    if (y.count == 0)
        return op_fail(op, "22012", "division by zero");
    struct arena_mark mark = arena_mark(&op->arena);
    struct numeric_draft draft = { .negative = x.negative != y.negative };
    if (scale == SCALE_OF_QUOTIENT)
        scale = quotient_scale(&x, &y);
    if (divide_magnitudes(op, &x, &y, scale, &draft) != 0)
        return OP_FAILED;
    numeric__round(&draft, scale, how);
    return finish(op, arena, &draft, mark, out);
}

int numeric_divide(struct op *op, struct arena *arena, struct bytes a, struct bytes b, struct bytes *out)
{
    return divide(op, arena, a, b, SCALE_OF_QUOTIENT, NUMERIC_HALF_AWAY, out);
}

int numeric_divide_to(struct op *op, struct arena *arena, struct bytes a, struct bytes b, int scale, struct bytes *out)
{
    return divide(op, arena, a, b, scale, NUMERIC_HALF_AWAY, out);
}

int numeric_divide_integer(struct op *op, struct arena *arena, struct bytes a, struct bytes b, struct bytes *out)
{
    return divide(op, arena, a, b, 0, NUMERIC_TRUNCATE, out);
}

int numeric_modulo(struct op *op, struct arena *arena, struct bytes a, struct bytes b, struct bytes *out)
{
    struct numeric_view x, y;
    struct bytes quotient, product;

    numeric_view(a, &x);
    numeric_view(b, &y);
    if (x.kind == NUMERIC_NAN || y.kind == NUMERIC_NAN)
        return numeric__special(op, arena, NUMERIC_NAN, out);
    if (y.kind == NUMERIC_FINITE && y.count == 0)
        return op_fail(op, "22012", "division by zero");
    if (x.kind != NUMERIC_FINITE)
        return numeric__special(op, arena, NUMERIC_NAN, out);
    if (y.kind != NUMERIC_FINITE) {
        *out = a;
        return 0;
    }
    if (divide(op, arena, a, b, 0, NUMERIC_TRUNCATE, &quotient) != 0 || numeric_multiply(op, arena, quotient, b, &product) != 0)
        return OP_FAILED;
    return numeric_subtract(op, arena, a, product, out);
}

/* ---- long sums ------------------------------------------------------------------------------------ */

enum { SUM_LIMBS = 8, SUM_TOP_WEIGHT = 3 };
static const uint64_t SUM_PENDING_MAX = 1000000000;     /* additions of less than 10^9 each that surely fit 63 bits */

/* Takes the small limbs as one number into *out, in scratch. */
static int sum_collect(struct op *op, struct arena *arena, const struct numeric_sum *sum, struct bytes *out)
{
    enum { EXTRA = 3 };         /* carries above the top limb */
    uint32_t limbs[SUM_LIMBS + EXTRA];
    int64_t values[SUM_LIMBS + EXTRA] = { 0 };
    bool negative = false;

    memcpy(values + EXTRA, sum->small, sizeof sum->small);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = SUM_LIMBS + EXTRA - 1; i > 0; i--) {
            int64_t carry = values[i] / NUMERIC_BASE, rest = values[i] % NUMERIC_BASE;
            if (rest < 0) {
                rest += NUMERIC_BASE;
                carry--;
            }
            values[i] = rest;
            values[i - 1] += carry;
        }
        if (values[0] >= 0)
            break;
        negative = true;
        for (int i = 0; i < SUM_LIMBS + EXTRA; i++)
            values[i] = -values[i];
    }
    for (int i = 0; i < SUM_LIMBS + EXTRA; i++)
        limbs[i] = (uint32_t)values[i];
    struct numeric_draft draft = { .negative = negative, .scale = sum->scale, .weight = SUM_TOP_WEIGHT + EXTRA,
                                   .count = SUM_LIMBS + EXTRA, .limbs = limbs };
    return numeric__finish(op, arena, &draft, out);
}

/* Adds to the packed part, which is replaced in the arena only when it has outgrown its place. */
static int sum_add_large(struct op *op, struct arena *arena, struct numeric_sum *sum, struct bytes value)
{
    struct arena_mark mark = arena_mark(&op->arena);
    struct bytes total = value;
    if (sum->large.len && numeric_add(op, &op->arena, sum->large, value, &total) != 0)
        return OP_FAILED;
    if (total.len > sum->large_room) {
        /* Twice the room, so that a growing sum moves seldom. */
        uint8_t *room = arena_alloc(arena, 2 * total.len);
        if (!room)
            return op_out_of_memory(op);
        sum->large.data = room;
        sum->large_room = 2 * total.len;
    }
    memcpy((uint8_t *)sum->large.data, total.data, total.len);
    sum->large.len = total.len;
    if (arena != &op->arena)
        arena_release(&op->arena, mark);
    return 0;
}

static int sum_carry(struct op *op, struct arena *arena, struct numeric_sum *sum)
{
    struct arena_mark mark = arena_mark(&op->arena);
    struct bytes value;
    if (sum_collect(op, &op->arena, sum, &value) != 0 || sum_add_large(op, arena, sum, value) != 0)
        return OP_FAILED;
    memset(sum->small, 0, sizeof sum->small);
    sum->pending = 0;
    if (arena != &op->arena)
        arena_release(&op->arena, mark);
    return 0;
}

int numeric_sum_add(struct op *op, struct arena *arena, struct numeric_sum *sum, struct bytes value)
{
    struct numeric_view view;
    numeric_view(value, &view);
    sum->count++;
    if (view.kind != NUMERIC_FINITE) {
        sum->nans += view.kind == NUMERIC_NAN;
        sum->infinities += view.kind == NUMERIC_INFINITY;
        sum->minus_infinities += view.kind == NUMERIC_MINUS_INFINITY;
        return 0;
    }
    if (view.scale > sum->scale)
        sum->scale = view.scale;
    int first = SUM_TOP_WEIGHT - view.weight;
    if (first < 0 || first + view.count > SUM_LIMBS)
        return sum_add_large(op, arena, sum, value);
    if (view.negative)
        for (int i = 0; i < view.count; i++)
            sum->small[first + i] -= get_u32(view.limbs + 4 * i);
    else
        for (int i = 0; i < view.count; i++)
            sum->small[first + i] += get_u32(view.limbs + 4 * i);
    return ++sum->pending < SUM_PENDING_MAX ? 0 : sum_carry(op, arena, sum);
}

int numeric_sum_result(struct op *op, struct arena *arena, const struct numeric_sum *sum, struct bytes *out)
{
    if (sum->nans || (sum->infinities && sum->minus_infinities))
        return numeric__special(op, arena, NUMERIC_NAN, out);
    if (sum->infinities || sum->minus_infinities)
        return numeric__special(op, arena, sum->infinities ? NUMERIC_INFINITY : NUMERIC_MINUS_INFINITY, out);
    struct bytes small;
    if (sum_collect(op, arena, sum, &small) != 0)
        return OP_FAILED;
    *out = small;
    return sum->large.len ? numeric_add(op, arena, small, sum->large, out) : 0;
}
