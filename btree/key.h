/*
 * key.h -- keys are byte strings whose memcmp order is the order of the typed columns they encode.
 *
 * Every column begins with a marker byte that puts NULL before or after all values; what follows depends
 * on the type and is self-delimiting, so that columns can be concatenated.  A descending column has all its bytes
 * (but not its NULL marker) inverted.
 *
 *   integer   8 bytes big-endian, sign bit flipped
 *   double    8 bytes big-endian, IEEE bits made monotone; -0 = 0; NaN after infinity
 *   boolean   1 byte
 *   bytes     00 escaped as 00 FF, ended by 00 01 (text in collation "C", bytea)
 *   decimal   sign, exponent, digits in base 10^9 without trailing zeros; NaN last; equal values of different scale are equal
 *
 * Where the encoding loses information (scale of a numeric, zero's sign) the value is stored in the record as well.
 */
#ifndef ISOLDE_BTREE_KEY_H
#define ISOLDE_BTREE_KEY_H

#include "src/base/op.h"
#include "src/base/types.h"

enum { KEY_DESCENDING = 1, KEY_NULLS_FIRST = 2 };   /* flags of one column; without NULLS_FIRST, NULLs are last */

/* A growing key.  `data` starts in the caller's `fixed` buffer (may be NULL) and moves to the heap when it is outgrown. */
struct key_builder {
    uint8_t *data;
    size_t len, capacity;
    uint8_t *fixed;
    bool failed;            /* memory was exhausted; reported by key_finish */
};

void key_init(struct key_builder *key, uint8_t *fixed, size_t fixed_size);
void key_reset(struct key_builder *key);        /* empty again, memory kept */
void key_free(struct key_builder *key);
int key_finish(struct op *op, struct key_builder *key, struct bytes *out) MUST_CHECK;   /* borrowed from the builder */

void key_put_null(struct key_builder *key, int flags);
void key_put_bool(struct key_builder *key, bool value, int flags);
void key_put_int(struct key_builder *key, int64_t value, int flags);
void key_put_double(struct key_builder *key, double value, int flags);
void key_put_bytes(struct key_builder *key, struct bytes value, int flags);

/* A decimal in limbs: value = sign * sum(limb[i] * 10^(9 * (weight - i))), no leading or trailing zero limbs. */
enum key_decimal_kind { KEY_DECIMAL_MINUS_INFINITY, KEY_DECIMAL_NEGATIVE, KEY_DECIMAL_ZERO, KEY_DECIMAL_POSITIVE,
                        KEY_DECIMAL_PLUS_INFINITY, KEY_DECIMAL_NAN };
void key_put_decimal(struct key_builder *key, enum key_decimal_kind kind, int32_t weight, const uint32_t *limbs,
                     size_t limb_count, int flags);
void key_put_raw(struct key_builder *key, struct bytes encoded);     /* already encoded columns */

/* Decoding walks the columns from left to right. */
struct key_reader {
    const uint8_t *at, *end;
};
/* Reads the marker: *null tells whether the column is NULL (then nothing follows). False when bytes are malformed. */
bool key_get_null(struct key_reader *reader, int flags, bool *null);
bool key_get_bool(struct key_reader *reader, int flags, bool *value);
bool key_get_int(struct key_reader *reader, int flags, int64_t *value);
bool key_get_double(struct key_reader *reader, int flags, double *value);
/* out: room for at least reader->end - reader->at bytes; *len is set. */
bool key_get_bytes(struct key_reader *reader, int flags, uint8_t *out, size_t *len);
/* limbs: room for at least (end - at) / 4 + 1 entries. */
bool key_get_decimal(struct key_reader *reader, int flags, enum key_decimal_kind *kind, int32_t *weight,
                     uint32_t *limbs, size_t *limb_count);
/* Step over a body without decoding it. */
bool key_skip_bytes(struct key_reader *reader, int flags);
bool key_skip_decimal(struct key_reader *reader, int flags);

/* The smallest key greater than every key that begins with `prefix`: in place; false when there is none (all FF). */
bool key_successor(struct key_builder *key);

#endif
