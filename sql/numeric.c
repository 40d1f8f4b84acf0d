/*
 * numeric.c -- decimal numbers at rest: packing, order, keys, rounding, and the way to and from machine integers.
 *
 * A number is a run of limbs, digits in base 10^9.  That base is the largest power of ten whose product of two
 * digits, plus carries, fits 64 bits; so school arithmetic needs one machine operation per limb pair, nine decimal
 * digits at a time, and printing needs no big division.
 *
 * A display scale is not a multiple of nine, so the last limb usually ends in zeros: 0.5 is the limb 500,000,000 at
 * weight -1.  Values that are equal have equal limbs (N1), whatever their scales, and compare by them.
 *
 * Arithmetic builds a draft (struct numeric_draft) in scratch memory, and numeric__finish packs it.
 */
#include "sql/numeric.h"

#include <assert.h>
#include <string.h>

#include "src/base/endian.h"
#include "src/base/hash.h"
#include "src/base/mem.h"

enum { HEAD_SCALE = 0x3fff, HEAD_NEGATIVE = 0x4000, HEAD_SPECIAL = 0x8000 };

static const uint32_t powers[] = { 1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000 };

void numeric_view(struct bytes packed, struct numeric_view *view)
{
    uint16_t head = get_u16(packed.data);

    view->weight = (int16_t)get_u16(packed.data + 2);
    view->count = (int)((packed.len - NUMERIC_HEAD_BYTES) / 4);
    view->limbs = packed.data + NUMERIC_HEAD_BYTES;
    view->negative = (head & HEAD_NEGATIVE) != 0;
    view->scale = head & HEAD_SCALE;
    view->kind = NUMERIC_FINITE;
    if (head & HEAD_SPECIAL) {
        view->kind = view->scale == 0 ? NUMERIC_NAN : view->scale == 1 ? NUMERIC_INFINITY : NUMERIC_MINUS_INFINITY;
        view->scale = 0;
    }
}

bool numeric_is_valid(struct bytes packed)
{
    if (packed.len < NUMERIC_HEAD_BYTES || (packed.len - NUMERIC_HEAD_BYTES) % 4 != 0)
        return false;
    uint16_t head = get_u16(packed.data);
    struct numeric_view view;
    if (head & HEAD_SPECIAL)
        return packed.len == NUMERIC_HEAD_BYTES && head <= HEAD_SPECIAL + 2;
    numeric_view(packed, &view);
    if (view.count == 0)
        return !view.negative && view.weight == 0;
    for (int i = 0; i < view.count; i++)
        if (get_u32(view.limbs + 4 * i) >= NUMERIC_BASE)
            return false;
    return get_u32(view.limbs) != 0 && get_u32(view.limbs + 4 * (view.count - 1)) != 0;
}

uint32_t numeric__limb(const struct numeric_view *view, int weight)
{
    int i = view->weight - weight;
    return i < 0 || i >= view->count ? 0 : get_u32(view->limbs + 4 * i);
}

static int digits_of(uint32_t limb)
{
    int n = 1;
    while (n < NUMERIC_LIMB_DIGITS && limb >= powers[n])
        n++;
    return n;
}

int numeric__exponent(const struct numeric_view *view)
{
    assert(view->count > 0);
    return view->weight * NUMERIC_LIMB_DIGITS + digits_of(get_u32(view->limbs)) - 1;
}

int numeric__special(struct op *op, struct arena *arena, enum numeric_kind kind, struct bytes *out)
{
    uint8_t *data = arena_alloc(arena, NUMERIC_HEAD_BYTES);
    if (!data)
        return op_out_of_memory(op);
    put_u16(data, (uint16_t)(HEAD_SPECIAL + (kind == NUMERIC_NAN ? 0 : kind == NUMERIC_INFINITY ? 1 : 2)));
    put_u16(data + 2, 0);
    *out = (struct bytes){ data, NUMERIC_HEAD_BYTES };
    return 0;
}

int numeric__finish(struct op *op, struct arena *arena, struct numeric_draft *draft, struct bytes *out)
{
    while (draft->count > 0 && draft->limbs[0] == 0) {
        draft->limbs++;
        draft->count--;
        draft->weight--;
    }
    while (draft->count > 0 && draft->limbs[draft->count - 1] == 0)
        draft->count--;
    if (draft->count == 0) {
        draft->weight = 0;
        draft->negative = false;
    } else if (draft->weight * (int64_t)NUMERIC_LIMB_DIGITS + digits_of(draft->limbs[0]) > NUMERIC_INTEGER_DIGITS_MAX) {
        return op_fail(op, "22003", "value overflows numeric format");
    }
    if (draft->scale > NUMERIC_SCALE_MAX)
        return op_fail(op, "22003", "value overflows numeric format");
    size_t len = NUMERIC_HEAD_BYTES + 4 * (size_t)draft->count;
    uint8_t *data = arena_alloc(arena, len);
    if (!data)
        return op_out_of_memory(op);
    put_u16(data, (uint16_t)(draft->scale | (draft->negative ? HEAD_NEGATIVE : 0)));
    put_u16(data + 2, (uint16_t)(int16_t)draft->weight);
    if (draft->count)
        memcpy(data + NUMERIC_HEAD_BYTES, draft->limbs, 4 * (size_t)draft->count);
    *out = (struct bytes){ data, len };
    return 0;
}

/* ---- rounding ------------------------------------------------------------------------------------- */

/* Adds `amount` to limb i and carries to the left, into limbs[-1] if need be. */
static void add_at(struct numeric_draft *draft, int i, uint32_t amount)
{
    while (i >= 0) {
        uint32_t sum = draft->limbs[i] + amount;
        if (sum < NUMERIC_BASE) {
            draft->limbs[i] = sum;
            return;
        }
        draft->limbs[i--] = sum - NUMERIC_BASE;
        amount = 1;
    }
    draft->limbs--;
    draft->limbs[0] = amount;
    draft->count++;
    draft->weight++;
}

static bool any_nonzero(const uint32_t *limbs, int from, int count)
{
    for (int i = from; i < count; i++)
        if (limbs[i])
            return true;
    return false;
}

static bool rounds_up(enum numeric_rounding how, bool negative, bool half, bool rest)
{
    switch (how) {
    case NUMERIC_HALF_AWAY: return half;
    case NUMERIC_TRUNCATE: return false;
    case NUMERIC_CEILING: return rest && !negative;
    case NUMERIC_FLOOR: return rest && negative;
    }
    return false;
}

void numeric__round(struct numeric_draft *draft, int scale, enum numeric_rounding how)
{
    draft->scale = scale > 0 ? scale : 0;
    if (draft->count == 0)
        return;
    /* Position of the last digit kept, counted in digits from the start of limbs[0]; and the limb it lies in. */
    int64_t keep = ((int64_t)draft->weight + 1) * NUMERIC_LIMB_DIGITS + scale;
    if (keep >= (int64_t)draft->count * NUMERIC_LIMB_DIGITS)
        return;
    if (keep < 0) {
        bool rest = any_nonzero(draft->limbs, 0, draft->count), up = rounds_up(how, draft->negative, false, rest);
        draft->count = 0;
        if (up) {
            int places = -scale;        /* to one unit of the last place kept, somewhere before the value */
            draft->weight = places >= 0 ? places / NUMERIC_LIMB_DIGITS : -((scale - 1) / NUMERIC_LIMB_DIGITS + 1);
            places %= NUMERIC_LIMB_DIGITS;
            draft->limbs[0] = powers[places >= 0 ? places : places + NUMERIC_LIMB_DIGITS];
            draft->count = 1;
        }
        return;
    }
    int limb = (int)(keep / NUMERIC_LIMB_DIGITS), inside = (int)(keep % NUMERIC_LIMB_DIGITS);
    uint32_t unit = powers[NUMERIC_LIMB_DIGITS - inside];       /* the kept part of `limb` is a multiple of it */
    uint32_t cut = draft->limbs[limb] % unit;
    bool rest = cut || any_nonzero(draft->limbs, limb + 1, draft->count);
    bool up = rounds_up(how, draft->negative, cut >= unit / 2, rest);
    draft->limbs[limb] -= cut;
    draft->count = limb + 1;
    if (!up)
        return;
    if (unit == NUMERIC_BASE)
        add_at(draft, limb - 1, 1);     /* nothing of this limb is kept */
    else
        add_at(draft, limb, unit);
}

/* A draft with the value's limbs and one spare in front. */
static int draft_of(struct op *op, const struct numeric_view *view, struct numeric_draft *draft)
{
    uint32_t *limbs = op_alloc(op, sizeof *limbs * (size_t)(view->count + 2));
    if (!limbs)
        return OP_FAILED;
    draft->limbs = limbs + 1;
    memcpy(draft->limbs, view->limbs, 4 * (size_t)view->count);
    draft->negative = view->negative;
    draft->scale = view->scale;
    draft->weight = view->weight;
    draft->count = view->count;
    return 0;
}

int numeric_round(struct op *op, struct arena *arena, struct bytes a, int scale, enum numeric_rounding how,
                  struct bytes *out)
{
    struct numeric_view view;
    numeric_view(a, &view);
    if (view.kind != NUMERIC_FINITE) {
        *out = a;
        return 0;
    }
    struct arena_mark mark = arena_mark(&op->arena);
    struct numeric_draft draft;
    int result = draft_of(op, &view, &draft);
    if (result == 0) {
        numeric__round(&draft, scale, how);
        result = numeric__finish(op, arena, &draft, out);
    }
    if (arena != &op->arena && result == 0)
        arena_release(&op->arena, mark);
    return result;
}

int numeric_apply_modifier(struct op *op, struct arena *arena, struct bytes value, int32_t modifier, struct bytes *out)
{
    struct numeric_view view;
    *out = value;
    if (modifier < 4)
        return 0;
    int precision = numeric_modifier_precision(modifier), scale = numeric_modifier_scale(modifier);
    numeric_view(value, &view);
    if (view.kind == NUMERIC_NAN)
        return 0;
    if (view.kind != NUMERIC_FINITE) {
        op_fail(op, "22003", "numeric field overflow");
        op_detail(op, "A field with precision %d, scale %d cannot hold an infinite value.", precision, scale);
        return OP_FAILED;
    }
    if (view.scale != scale) {
        if (numeric_round(op, arena, value, scale, NUMERIC_HALF_AWAY, out) != 0)
            return OP_FAILED;
        numeric_view(*out, &view);
    }
    if (view.count && numeric__exponent(&view) + 1 > precision - scale) {
        int digits = precision - scale;
        op_fail(op, "22003", "numeric field overflow");
        op_detail(op, "A field with precision %d, scale %d must round to an absolute value less than %s%d.", precision,
                  scale, digits ? "10^" : "", digits ? digits : 1);
        return OP_FAILED;
    }
    return 0;
}

/* ---- order ---------------------------------------------------------------------------------------- */

static int compare_magnitudes(const struct numeric_view *a, const struct numeric_view *b)
{
    if (a->count == 0 || b->count == 0)
        return (a->count != 0) - (b->count != 0);
    if (a->weight != b->weight)
        return a->weight < b->weight ? -1 : 1;
    int shorter = a->count < b->count ? a->count : b->count;
    for (int i = 0; i < shorter; i++) {
        uint32_t x = get_u32(a->limbs + 4 * i), y = get_u32(b->limbs + 4 * i);
        if (x != y)
            return x < y ? -1 : 1;
    }
    return (a->count > b->count) - (a->count < b->count);
}

int numeric_compare(struct bytes a, struct bytes b)
{
    struct numeric_view x, y;
    numeric_view(a, &x);
    numeric_view(b, &y);
    if (x.kind != y.kind || x.kind != NUMERIC_FINITE)
        return (x.kind > y.kind) - (x.kind < y.kind);
    if (x.negative != y.negative)
        return x.negative ? -1 : 1;
    int order = compare_magnitudes(&x, &y);
    return x.negative ? -order : order;
}

uint64_t numeric_hash(struct bytes value)
{
    struct numeric_view view;
    numeric_view(value, &view);
    uint64_t seed = (uint64_t)view.kind << 32 | (uint64_t)view.negative << 16 | (uint16_t)view.weight;
    return hash_bytes(view.limbs, 4 * (size_t)view.count, seed);
}

int numeric_sign(struct bytes value)
{
    struct numeric_view view;
    numeric_view(value, &view);
    switch (view.kind) {
    case NUMERIC_NAN: return 2;
    case NUMERIC_INFINITY: return 1;
    case NUMERIC_MINUS_INFINITY: return -1;
    case NUMERIC_FINITE: break;
    }
    return view.count == 0 ? 0 : view.negative ? -1 : 1;
}

/* ---- keys ----------------------------------------------------------------------------------------- */

void numeric_put_key(struct key_builder *key, struct bytes value, int flags)
{
    enum { FEW = 16 };
    uint32_t few[FEW], *limbs = few;
    struct numeric_view view;
    enum key_decimal_kind kind;

    numeric_view(value, &view);
    switch (view.kind) {
    case NUMERIC_NAN: kind = KEY_DECIMAL_NAN; break;
    case NUMERIC_INFINITY: kind = KEY_DECIMAL_PLUS_INFINITY; break;
    case NUMERIC_MINUS_INFINITY: kind = KEY_DECIMAL_MINUS_INFINITY; break;
    default: kind = view.count == 0 ? KEY_DECIMAL_ZERO : view.negative ? KEY_DECIMAL_NEGATIVE : KEY_DECIMAL_POSITIVE;
    }
    if (view.count > FEW)
        limbs = mem_alloc(4 * (size_t)view.count);
    if (!limbs) {
        key->failed = true;
        return;
    }
    memcpy(limbs, view.limbs, 4 * (size_t)view.count);
    key_put_decimal(key, kind, view.weight, limbs, (size_t)view.count, flags);
    if (limbs != few)
        mem_free(limbs);
}

int numeric_from_key(struct op *op, struct arena *arena, enum key_decimal_kind kind, int32_t weight,
                     const uint32_t *limbs, size_t limb_count, int scale, struct bytes *out)
{
    switch (kind) {
    case KEY_DECIMAL_MINUS_INFINITY: return numeric__special(op, arena, NUMERIC_MINUS_INFINITY, out);
    case KEY_DECIMAL_PLUS_INFINITY: return numeric__special(op, arena, NUMERIC_INFINITY, out);
    case KEY_DECIMAL_NAN: return numeric__special(op, arena, NUMERIC_NAN, out);
    default: break;
    }
    struct numeric_draft draft = { .negative = kind == KEY_DECIMAL_NEGATIVE, .weight = weight,
                                   .count = (int)limb_count };
    if (kind == KEY_DECIMAL_ZERO)
        draft.count = 0;
    if (scale < 0) {
        /* Places behind the point, less the zeros at the end of the last limb. */
        scale = draft.count ? (draft.count - 1 - weight) * NUMERIC_LIMB_DIGITS : 0;
        for (uint32_t last = draft.count ? limbs[limb_count - 1] : 0; scale > 0 && last && last % 10 == 0; last /= 10)
            scale--;
        if (scale < 0)
            scale = 0;
    }
    draft.scale = scale;
    draft.limbs = (uint32_t *)limbs;    /* numeric__finish only reads them */
    return numeric__finish(op, arena, &draft, out);
}

/* ---- machine integers ----------------------------------------------------------------------------- */

int numeric_from_int128(struct op *op, struct arena *arena, __int128 value, struct bytes *out)
{
    enum { LIMBS = 5 };
    uint32_t limbs[LIMBS];
    unsigned __int128 rest = value < 0 ? -(unsigned __int128)value : (unsigned __int128)value;

    for (int i = LIMBS - 1; i >= 0; i--) {
        limbs[i] = (uint32_t)(rest % NUMERIC_BASE);
        rest /= NUMERIC_BASE;
    }
    struct numeric_draft draft = { .negative = value < 0, .weight = LIMBS - 1, .count = LIMBS, .limbs = limbs };
    return numeric__finish(op, arena, &draft, out);
}

int numeric_from_int64(struct op *op, struct arena *arena, int64_t value, struct bytes *out)
{
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    uint32_t limbs[3] = { (uint32_t)(rest / NUMERIC_BASE / NUMERIC_BASE),
                          (uint32_t)(rest / NUMERIC_BASE % NUMERIC_BASE), (uint32_t)(rest % NUMERIC_BASE) };
    struct numeric_draft draft = { .negative = value < 0, .weight = 2, .count = 3, .limbs = limbs };
    return numeric__finish(op, arena, &draft, out);
}

bool numeric_to_int64(struct bytes value, int64_t *out)
{
    struct numeric_view view;
    numeric_view(value, &view);
    *out = 0;
    if (view.count == 0 || view.weight < -1)
        return true;
    if (view.weight > 2)
        return false;
    unsigned __int128 sum = 0;
    for (int weight = view.weight; weight >= 0; weight--)
        sum = sum * NUMERIC_BASE + numeric__limb(&view, weight);
    if (numeric__limb(&view, -1) >= NUMERIC_BASE / 2)
        sum++;
    if (sum > (unsigned __int128)INT64_MAX + view.negative)
        return false;
    *out = (int64_t)(view.negative ? -(uint64_t)sum : (uint64_t)sum);
    return true;
}
