/*
 * numeric.h -- exact decimal numbers of any size.
 *
 * The packed form, in vectors and in records (all little-endian):
 *
 *      byte 0..1   head:  bits 0-13 display scale; bit 14 sign (1 = negative); bit 15 special
 *      byte 2..3   weight (signed): the first limb counts 10^(9 * weight)
 *      byte 4..    limbs of 4 bytes, each 0 .. 999,999,999, most significant first
 *
 *      special:    head = 0x8000 NaN, 0x8001 infinity, 0x8002 -infinity; weight 0, no limbs
 *
 *          123.45 = 123 * 10^0 + 450000000 * 10^-9  ->  scale 2, weight 0, limbs 123, 450000000
 *
 * N1  No leading and no trailing zero limbs; zero has no limbs, weight 0 and no sign.
 * N2  The display scale is what is printed: 1.0 and 1.00 are equal values with different bytes.
 * N3  Digits behind the display scale are zero.
 *
 * Results have PostgreSQL's display scales: sum and difference the larger of both, product the sum of both, a
 * quotient at least 16 significant digits.
 */
#ifndef ISOLDE_SQL_NUMERIC_H
#define ISOLDE_SQL_NUMERIC_H

#include "btree/key.h"
#include "src/base/op.h"

enum {
    NUMERIC_BASE = 1000000000,
    NUMERIC_LIMB_DIGITS = 9,
    NUMERIC_SCALE_MAX = 16383,          /* display scale of a value */
    NUMERIC_INTEGER_DIGITS_MAX = 131072,/* digits before the decimal point */
    NUMERIC_PRECISION_MAX = 1000,       /* of a column */
    NUMERIC_HEAD_BYTES = 4,
};

enum numeric_kind { NUMERIC_MINUS_INFINITY, NUMERIC_FINITE, NUMERIC_INFINITY, NUMERIC_NAN };     /* in their order */

/* A packed value taken apart; the limbs stay where they are. */
struct numeric_view {
    enum numeric_kind kind;
    bool negative;
    int scale, weight, count;
    const uint8_t *limbs;
};
/* The bytes must be well-formed (numeric_is_valid for those from disk). */
void numeric_view(struct bytes packed, struct numeric_view *view);
bool numeric_is_valid(struct bytes packed);

/* Column modifiers ((precision << 16) | scale) + 4; the scale may be negative, -1000 to 1000. */
static inline int numeric_modifier_precision(int32_t modifier) { return ((modifier - 4) >> 16) & 0xffff; }
static inline int numeric_modifier_scale(int32_t modifier) { return (((modifier - 4) & 0x7ff) ^ 1024) - 1024; }
static inline int32_t numeric_modifier(int precision, int scale) { return ((precision << 16) | (scale & 0x7ff)) + 4; }
/* Rounds to the modifier's scale; 22003 when the precision does not suffice. -1: as it is. */
int numeric_apply_modifier(struct op *op, struct arena *arena, struct bytes value, int32_t modifier,
                           struct bytes *out) MUST_CHECK;

/* ---- order ---- */
int numeric_compare(struct bytes a, struct bytes b);
uint64_t numeric_hash(struct bytes value);

/* ---- keys: order-preserving bytes lose only the display scale ---- */
void numeric_put_key(struct key_builder *key, struct bytes value, int flags);
/* From what key_get_decimal read; scale: the display scale, or -1 for the smallest that shows all digits. */
int numeric_from_key(struct op *op, struct arena *arena, enum key_decimal_kind kind, int32_t weight,
                     const uint32_t *limbs, size_t limb_count, int scale, struct bytes *out) MUST_CHECK;

/* ---- text and other types ---- */
/* 22P02 and 22003 as PostgreSQL's numeric_in; white space around is allowed. */
int numeric_parse(struct op *op, struct arena *arena, struct bytes text, struct bytes *out) MUST_CHECK;
int numeric_print(struct op *op, struct arena *arena, struct bytes value, struct bytes *text) MUST_CHECK;
int numeric_from_int64(struct op *op, struct arena *arena, int64_t value, struct bytes *out) MUST_CHECK;
int numeric_from_int128(struct op *op, struct arena *arena, __int128 value, struct bytes *out) MUST_CHECK;
/* Digits: how many significant decimal digits the binary value is good for (15 double, 6 float). */
int numeric_from_double(struct op *op, struct arena *arena, double value, int digits, struct bytes *out) MUST_CHECK;
/* Rounds half away from zero; false when it does not fit. Finite values only. */
bool numeric_to_int64(struct bytes value, int64_t *out);
double numeric_to_double(struct op *op, struct bytes value);     /* infinite when out of range */

/* ---- arithmetic; 22003 on overflow, 22012 on division by zero ---- */
int numeric_add(struct op *op, struct arena *arena, struct bytes a, struct bytes b, struct bytes *out) MUST_CHECK;
int numeric_subtract(struct op *op, struct arena *arena, struct bytes a, struct bytes b, struct bytes *out) MUST_CHECK;
int numeric_multiply(struct op *op, struct arena *arena, struct bytes a, struct bytes b, struct bytes *out) MUST_CHECK;
int numeric_divide(struct op *op, struct arena *arena, struct bytes a, struct bytes b, struct bytes *out) MUST_CHECK;
/* Rounded to `scale` digits behind the point. */
int numeric_divide_to(struct op *op, struct arena *arena, struct bytes a, struct bytes b, int scale, struct bytes *out) MUST_CHECK;
/* The quotient cut to an integer; and what remains, with the sign of a. */
int numeric_divide_integer(struct op *op, struct arena *arena, struct bytes a, struct bytes b,
                           struct bytes *out) MUST_CHECK;
int numeric_modulo(struct op *op, struct arena *arena, struct bytes a, struct bytes b, struct bytes *out) MUST_CHECK;
int numeric_negate(struct op *op, struct arena *arena, struct bytes a, struct bytes *out) MUST_CHECK;
int numeric_absolute(struct op *op, struct arena *arena, struct bytes a, struct bytes *out) MUST_CHECK;
int numeric_sign(struct bytes value);       /* -1, 0, 1; NaN 2 */

/* ---- numeric_math.c; 2201E and 2201F where there is no result ---- */
int numeric_square_root(struct op *op, struct arena *arena, struct bytes a, struct bytes *out) MUST_CHECK;
/* Rounded to `scale` digits behind the point; a must not be negative. */
int numeric_square_root_to(struct op *op, struct arena *arena, struct bytes a, int scale, struct bytes *out) MUST_CHECK;
int numeric_exp(struct op *op, struct arena *arena, struct bytes a, struct bytes *out) MUST_CHECK;
int numeric_ln(struct op *op, struct arena *arena, struct bytes a, struct bytes *out) MUST_CHECK;
int numeric_log(struct op *op, struct arena *arena, struct bytes base, struct bytes a, struct bytes *out) MUST_CHECK;
int numeric_power(struct op *op, struct arena *arena, struct bytes a, struct bytes b, struct bytes *out) MUST_CHECK;

enum numeric_rounding { NUMERIC_HALF_AWAY, NUMERIC_TRUNCATE, NUMERIC_CEILING, NUMERIC_FLOOR };
/* To `scale` digits behind the point, negative: before it. The result's display scale is max(scale, 0). */
int numeric_round(struct op *op, struct arena *arena, struct bytes a, int scale, enum numeric_rounding how,
                  struct bytes *out)
    MUST_CHECK;

/* ---- sums: many additions without a packed value in between ---- */
struct numeric_sum {
    int64_t small[8];           /* limbs of weight 3 .. -4, not yet carried */
    uint64_t pending;           /* additions since the last carry */
    int scale;                  /* largest display scale so far */
    int64_t count, nans, infinities, minus_infinities;
    struct bytes large;         /* packed: what did not fit above; len 0 = nothing */
    size_t large_room;
};
int numeric_sum_add(struct op *op, struct arena *arena, struct numeric_sum *sum, struct bytes value) MUST_CHECK;
int numeric_sum_result(struct op *op, struct arena *arena, const struct numeric_sum *sum, struct bytes *out) MUST_CHECK;

/* ---- inside of numeric*.c: a value under construction ---- */
struct numeric_draft {
    bool negative;
    int scale, weight, count;
    uint32_t *limbs;            /* may have zero limbs at both ends */
};
/* Strips zero limbs, checks the limits (22003) and packs. */
int numeric__finish(struct op *op, struct arena *arena, struct numeric_draft *draft, struct bytes *out) MUST_CHECK;
/* Rounds in place; limbs must have room for one limb in front of limbs[0] (limbs[-1]) for a carry. */
void numeric__round(struct numeric_draft *draft, int scale, enum numeric_rounding how);
int numeric__special(struct op *op, struct arena *arena, enum numeric_kind kind, struct bytes *out) MUST_CHECK;
/* Exponent of the leading decimal digit: value in [10^e, 10^(e+1)).  Not for zero. */
int numeric__exponent(const struct numeric_view *view);
uint32_t numeric__limb(const struct numeric_view *view, int weight);    /* 0 outside of the value */

#endif
