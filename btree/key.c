/*
 * key.c -- turning typed columns into byte strings that memcmp orders, and back.
 *
 * A tree compares keys with memcmp alone: one comparison for every type, collation and direction, prefixes can be cut
 * off, and a separator can be any byte string between two keys.  The price is paid here, once per key.
 *
 * Each column is a marker byte and, unless it is NULL, a body that tells its own end:
 *
 *      marker 00   NULL of a column with NULLS FIRST
 *      marker 01   a value follows
 *      marker 02   NULL of a column with NULLS LAST
 *
 *      (3, 'a', NULL)      01 80 00 00 00 00 00 00 03 | 01 61 00 01 | 02
 *
 * K1  For columns of one type list and one flag list: memcmp of the encodings = comparison of the values, column by
 *     column.  No encoding of a column is a proper prefix of another one, so what follows a column never decides
 *     before the column itself has.
 * K2  DESCENDING inverts each byte of the body and leaves the marker alone: where the NULLs go is a choice of its own.
 * K3  Equal values have equal bytes: -0.0 is stored as 0.0, every NaN as one NaN, decimals without zero limbs at
 *     either end.  So a unique index may compare bytes; what is lost is stored in the record's value.
 * K4  Decoding trusts nothing: bytes come from disk.
 */
#include "btree/key.h"

#include <math.h>
#include <string.h>

#include "src/base/mem.h"

enum { MARK_NULL_FIRST = 0, MARK_VALUE = 1, MARK_NULL_LAST = 2 };

/* Escapes inside a run of bytes: 00 is written as 00 FF, the end as 00 01, so that the end sorts before any more. */
enum { RUN_ZERO = 0xFF, RUN_END = 0x01 };

/* Decimal bodies open with the kind, in the order of the numbers. */
enum { DECIMAL_KIND_FIRST = 1, LIMB_BASE = 1000000000, LIMB_BIAS = 0x01000000, DECIMAL_END = 0 };

/* ---- building ------------------------------------------------------------------------------------- */

void key_init(struct key_builder *key, uint8_t *fixed, size_t fixed_size)
{
    key->data = fixed;
    key->fixed = fixed;
    key->len = 0;
    key->capacity = fixed != NULL ? fixed_size : 0;
    key->failed = false;
}

void key_reset(struct key_builder *key)
{
    key->len = 0;
    key->failed = false;
}

void key_free(struct key_builder *key)
{
    if (key->data != key->fixed)
        mem_free(key->data);
    key->data = key->fixed = NULL;
    key->len = key->capacity = 0;
}

int key_finish(struct op *op, struct key_builder *key, struct bytes *out)
{
    *out = (struct bytes){NULL, 0};
    if (key->failed)
        return op_out_of_memory(op);
    /* An empty key is a key, and NULL data would say "no key". */
    *out = (struct bytes){key->data != NULL ? key->data : (const uint8_t *)"", key->len};
    return OP_OK;
}

static bool grow(struct key_builder *key, size_t more)
{
    size_t wanted = key->capacity * 2 > key->len + more ? key->capacity * 2 : key->len + more;
    bool on_heap = key->data != key->fixed;
    uint8_t *data = mem_realloc(on_heap ? key->data : NULL, wanted);
    if (data == NULL) {
        key->failed = true;
        return false;
    }
    if (!on_heap && key->len > 0)
        memcpy(data, key->fixed, key->len);
    key->data = data;
    key->capacity = wanted;
    return true;
}

/* Room for `more` bytes at the end, or NULL (the builder has failed). */
static inline uint8_t *room(struct key_builder *key, size_t more)
{
    if (key->failed || (key->capacity - key->len < more && !grow(key, more)))
        return NULL;
    uint8_t *at = key->data + key->len;
    key->len += more;
    return at;
}

static inline void put_be64(uint8_t *at, uint64_t value)
{
    value = __builtin_bswap64(value);
    memcpy(at, &value, 8);
}

static inline uint64_t get_be64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, 8);
    return __builtin_bswap64(value);
}

static inline void put_be32(uint8_t *at, uint32_t value)
{
    value = __builtin_bswap32(value);
    memcpy(at, &value, 4);
}

static inline uint32_t get_be32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, 4);
    return __builtin_bswap32(value);
}

static void invert(uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)~at[i];
}

static void put_word(struct key_builder *key, uint64_t ordered, int flags)
{
    uint8_t *at = room(key, 9);
    if (at == NULL)
        return;
    at[0] = MARK_VALUE;
    put_be64(at + 1, flags & KEY_DESCENDING ? ~ordered : ordered);
}

void key_put_null(struct key_builder *key, int flags)
{
    uint8_t *at = room(key, 1);
    if (at != NULL)
        at[0] = flags & KEY_NULLS_FIRST ? MARK_NULL_FIRST : MARK_NULL_LAST;
}

void key_put_bool(struct key_builder *key, bool value, int flags)
{
    uint8_t *at = room(key, 2);
    if (at == NULL)
        return;
    at[0] = MARK_VALUE;
    at[1] = flags & KEY_DESCENDING ? (uint8_t)~(value ? 1 : 0) : (value ? 1 : 0);
}

void key_put_int(struct key_builder *key, int64_t value, int flags)
{
    put_word(key, (uint64_t)value ^ (UINT64_C(1) << 63), flags);
}

void key_put_double(struct key_builder *key, double value, int flags)
{
    /* Positive numbers order as their bits do; of negative ones the bits are inverted, which also puts them first. */
    uint64_t bits;
    if (value == 0)
        value = 0;      /* K3: loses the sign */
    memcpy(&bits, &value, 8);
    if (isnan(value))
        bits = UINT64_C(0x7FF8) << 48;
    put_word(key, bits >> 63 ? ~bits : bits | UINT64_C(1) << 63, flags);
}

void key_put_bytes(struct key_builder *key, struct bytes value, int flags)
{
    size_t start = key->len;
    uint8_t *at = room(key, 1);
    if (at == NULL)
        return;
    at[0] = MARK_VALUE;
    const uint8_t *from = value.data, *end = value.data + value.len;
    while (from < end) {
        const uint8_t *zero = memchr(from, 0, (size_t)(end - from));
        size_t run = (size_t)((zero != NULL ? zero : end) - from);
        at = room(key, run + (zero != NULL ? 2 : 0));
        if (at == NULL)
            return;
        memcpy(at, from, run);
        from += run;
        if (zero != NULL) {
            at[run] = 0;
            at[run + 1] = RUN_ZERO;
            from++;
        }
    }
    at = room(key, 2);
    if (at == NULL)
        return;
    at[0] = 0;
    at[1] = RUN_END;
    if (flags & KEY_DESCENDING)
        invert(key->data + start + 1, key->len - start - 1);
}

void key_put_decimal(struct key_builder *key, enum key_decimal_kind kind, int32_t weight, const uint32_t *limbs,
                     size_t limb_count, int flags)
{
    bool finite = kind == KEY_DECIMAL_NEGATIVE || kind == KEY_DECIMAL_POSITIVE;
    size_t digits = finite ? 4 + 4 * limb_count + 1 : 0;
    uint8_t *at = room(key, 2 + digits);
    if (at == NULL)
        return;
    at[0] = MARK_VALUE;
    at[1] = (uint8_t)(DECIMAL_KIND_FIRST + (int)kind);
    if (finite) {
        put_be32(at + 2, (uint32_t)weight ^ UINT32_C(0x80000000));
        for (size_t i = 0; i < limb_count; i++)
            put_be32(at + 6 + 4 * i, limbs[i] + LIMB_BIAS);
        at[6 + 4 * limb_count] = DECIMAL_END;
        if (kind == KEY_DECIMAL_NEGATIVE)
            invert(at + 2, digits);
    }
    if (flags & KEY_DESCENDING)
        invert(at + 1, 1 + digits);
}

void key_put_raw(struct key_builder *key, struct bytes encoded)
{
    uint8_t *at = room(key, encoded.len);
    if (at != NULL && encoded.len > 0)
        memcpy(at, encoded.data, encoded.len);
}

bool key_successor(struct key_builder *key)
{
    while (key->len > 0 && key->data[key->len - 1] == 0xFF)
        key->len--;
    if (key->len == 0)
        return false;
    key->data[key->len - 1]++;
    return true;
}

/* ---- reading -------------------------------------------------------------------------------------- */

static inline bool has(const struct key_reader *reader, size_t len)
{
    return (size_t)(reader->end - reader->at) >= len;
}

static inline uint8_t mask_of(int flags)
{
    return flags & KEY_DESCENDING ? 0xFF : 0;
}

bool key_get_null(struct key_reader *reader, int flags, bool *null)
{
    *null = false;
    if (!has(reader, 1))
        return false;
    uint8_t mark = *reader->at++;
    if (mark == MARK_VALUE)
        return true;
    *null = true;
    return mark == (flags & KEY_NULLS_FIRST ? MARK_NULL_FIRST : MARK_NULL_LAST);
}

bool key_get_bool(struct key_reader *reader, int flags, bool *value)
{
    *value = false;
    if (!has(reader, 1))
        return false;
    uint8_t byte = (uint8_t)(*reader->at++ ^ mask_of(flags));
    *value = byte == 1;
    return byte <= 1;
}

bool key_get_int(struct key_reader *reader, int flags, int64_t *value)
{
    *value = 0;
    if (!has(reader, 8))
        return false;
    uint64_t ordered = get_be64(reader->at);
    reader->at += 8;
    if (flags & KEY_DESCENDING)
        ordered = ~ordered;
    *value = (int64_t)(ordered ^ (UINT64_C(1) << 63));
    return true;
}

bool key_get_double(struct key_reader *reader, int flags, double *value)
{
    *value = 0;
    if (!has(reader, 8))
        return false;
    uint64_t ordered = get_be64(reader->at);
    reader->at += 8;
    if (flags & KEY_DESCENDING)
        ordered = ~ordered;
    uint64_t bits = ordered >> 63 ? ordered & ~(UINT64_C(1) << 63) : ~ordered;
    memcpy(value, &bits, 8);
    return true;
}

bool key_get_bytes(struct key_reader *reader, int flags, uint8_t *out, size_t *len)
{
    uint8_t mask = mask_of(flags), zero = mask;
    uint8_t *to = out;
    *len = 0;
    for (;;) {
        const uint8_t *at = memchr(reader->at, zero, (size_t)(reader->end - reader->at));
        if (at == NULL || reader->end - at < 2)
            return false;
        while (reader->at < at)
            *to++ = (uint8_t)(*reader->at++ ^ mask);
        uint8_t what = (uint8_t)(at[1] ^ mask);
        reader->at = at + 2;
        if (what == RUN_END) {
            *len = (size_t)(to - out);
            return true;
        }
        if (what != RUN_ZERO)
            return false;
        *to++ = 0;
    }
}

bool key_get_decimal(struct key_reader *reader, int flags, enum key_decimal_kind *kind, int32_t *weight,
                     uint32_t *limbs, size_t *limb_count)
{
    uint8_t mask = mask_of(flags);
    *kind = KEY_DECIMAL_ZERO;
    *weight = 0;
    *limb_count = 0;
    if (!has(reader, 1))
        return false;
    int which = (uint8_t)(*reader->at++ ^ mask) - DECIMAL_KIND_FIRST;
    if (which < (int)KEY_DECIMAL_MINUS_INFINITY || which > (int)KEY_DECIMAL_NAN)
        return false;
    *kind = (enum key_decimal_kind)which;
    if (*kind != KEY_DECIMAL_NEGATIVE && *kind != KEY_DECIMAL_POSITIVE)
        return true;
    if (*kind == KEY_DECIMAL_NEGATIVE)
        mask = (uint8_t)~mask;
    uint32_t wide_mask = mask ? UINT32_MAX : 0;
    if (!has(reader, 4))
        return false;
    *weight = (int32_t)((get_be32(reader->at) ^ wide_mask) ^ UINT32_C(0x80000000));
    reader->at += 4;
    for (;;) {
        if (!has(reader, 1))
            return false;
        if ((uint8_t)(*reader->at ^ mask) == DECIMAL_END) {
            reader->at++;
            return *limb_count > 0;
        }
        if (!has(reader, 4))
            return false;
        uint32_t limb = (get_be32(reader->at) ^ wide_mask) - LIMB_BIAS;
        if (limb >= LIMB_BASE)
            return false;
        limbs[(*limb_count)++] = limb;
        reader->at += 4;
    }
}

bool key_skip_bytes(struct key_reader *reader, int flags)
{
    uint8_t mask = mask_of(flags);
    for (;;) {
        const uint8_t *at = memchr(reader->at, mask, (size_t)(reader->end - reader->at));
        if (at == NULL || reader->end - at < 2)
            return false;
        uint8_t what = (uint8_t)(at[1] ^ mask);
        reader->at = at + 2;
        if (what == RUN_END)
            return true;
        if (what != RUN_ZERO)
            return false;
    }
}

bool key_skip_decimal(struct key_reader *reader, int flags)
{
    if (!has(reader, 1))
        return false;
    uint8_t mask = mask_of(flags);
    int kind = (uint8_t)(*reader->at++ ^ mask) - DECIMAL_KIND_FIRST;
    if (kind < (int)KEY_DECIMAL_MINUS_INFINITY || kind > (int)KEY_DECIMAL_NAN)
        return false;
    if (kind != KEY_DECIMAL_NEGATIVE && kind != KEY_DECIMAL_POSITIVE)
        return true;
    if (kind == KEY_DECIMAL_NEGATIVE)
        mask = (uint8_t)~mask;
    if (!has(reader, 4))
        return false;
    for (reader->at += 4; has(reader, 1); reader->at += 4) {
        if ((uint8_t)(*reader->at ^ mask) == DECIMAL_END) {
            reader->at++;
            return true;
        }
        if (!has(reader, 4))
            return false;
    }
    return false;
}
