/*
 * row.c -- how a row becomes a record, and a record a row.
 *
 * A table is a tree whose keys are the encoded primary key (or a hidden row id) and whose values hold the rest.  What the key gives back
 * exactly is not stored twice; what it loses (the scale of a numeric, the sign of a zero) is.  The value:
 *
 *      header   varint: columns of the table when the row was written * 2 + 1 if any stored column is null
 *      nulls    only if so: one bit per stored column, 1 = null, low bit first
 *      columns  those that are not null, in the order of the table:
 *                  boolean 1 byte; smallint 2; integer, date, oid, real 4; bigint, timestamp, double precision 8, little-endian;
 *                  text, varchar, numeric: varint length, bytes
 *
 *      (7, 'Isolde', NULL, 1.5) with the first column as key:   09 | 02 | 06 49 73 6f 6c 64 65 | 00 .. f8 3f
 *
 * Fixed widths rather than varints: a reader steps over what it does not want by adding, and the common row (no nulls, written with
 * today's columns) is read by a short program in which neighbouring unwanted columns have become one step.
 *
 * A secondary index has keys (columns, primary key) and empty values.  A unique one has keys (columns) and the primary key as
 * value, so that one record decides who owns a key; where a column is NULL, and NULLs are distinct, the primary key follows
 * in the key as well.  With INCLUDE the value is
 *
 *      primary  unique only: varint length, bytes
 *      nulls    one bit per INCLUDEd column
 *      columns  those that are not null, as in a row
 *
 * R1  A stored column's width depends on its type alone.
 * A column that was dropped keeps its place: old rows have its value, newer ones an empty one, so that the common row stays common.
 *
 * R2  Columns added after a row was written have the value that was their default then (column_def.missing), or null.
 * R3  Bytes come from disk: every step is bounded, and what does not fit is XX001.
 */
#include "sql/row.h"

#include <string.h>

#include "src/base/endian.h"
#include "src/base/mem.h"
#include "sql/interval.h"
#include "sql/numeric.h"

/* How a column stands in a value. */
enum store_kind {
    STORE_BOOL, STORE_I16, STORE_I32, STORE_U32, STORE_I64, STORE_F32, STORE_F64, STORE_BYTES
};

static const uint8_t store_width[] = {1, 2, 4, 4, 8, 4, 8, 0};

static enum store_kind store_kind(Oid type)
{
    switch (type) {
    case TYPE_BOOL: return STORE_BOOL;
    case TYPE_INT2: return STORE_I16;
    case TYPE_INT4: case TYPE_DATE: return STORE_I32;
    case TYPE_OID: return STORE_U32;
    case TYPE_FLOAT4: return STORE_F32;
    case TYPE_FLOAT8: return STORE_F64;
    default: return type_form(type) == FORM_INT64 ? STORE_I64 : STORE_BYTES;
    }
}

/* Whether a key gives the value back exactly. */
static bool lossless(Oid type)
{
    return type != TYPE_NUMERIC && type != TYPE_INTERVAL && type != TYPE_FLOAT4 && type != TYPE_FLOAT8;
}

void row_settle(struct table_def *table)
{
    for (int i = 0; i < table->column_count; i++)
        table->columns[i].key_only = false;
    if (!table->has_primary)
        return;
    const struct index_def *primary = &table->indexes[0];
    for (int i = 0; i < primary->column_count; i++) {
        struct column_def *column = &table->columns[primary->columns[i].column];
        column->key_only = lossless(column->type.oid);
    }
}

/* ---- keys ----------------------------------------------------------------------------------------- */

static int key_flags(const struct index_column *column)
{
    return (column->descending ? KEY_DESCENDING : 0) | (column->nulls_first ? KEY_NULLS_FIRST : 0);
}

static void put_key_column(struct key_builder *key, Oid type, const struct datum *value, int flags)
{
    if (value->null) {
        key_put_null(key, flags);
        return;
    }
    switch (type_form(type)) {
    case FORM_BOOL: key_put_bool(key, value->b, flags); break;
    case FORM_INT64: key_put_int(key, value->i, flags); break;
    case FORM_DOUBLE: key_put_double(key, value->d, flags); break;
    case FORM_BYTES:
        if (type == TYPE_NUMERIC)
            numeric_put_key(key, value->s, flags);
        else if (type == TYPE_INTERVAL)
            interval_put_key(key, interval_get(value->s), flags);
        else
            key_put_bytes(key, value->s, flags);
        break;
    }
}

int row_encode_datum(struct op *op, Oid type, const struct datum *value, int flags, struct key_builder *key)
{
    put_key_column(key, type, value, flags);
    return key->failed ? op_out_of_memory(op) : 0;
}

/* Returns whether one of the columns is null. */
static bool put_columns(const struct table_def *table, const struct index_def *index, const struct datum *values,
                        struct key_builder *key)
{
    bool null = false;
    for (int i = 0; i < index->column_count; i++) {
        int column = index->columns[i].column;
        null |= values[column].null;
        put_key_column(key, table->columns[column].type.oid, &values[column], key_flags(&index->columns[i]));
    }
    return null;
}

int row_encode_key(struct op *op, const struct table_def *table, const struct index_def *index, const struct datum *values,
                   struct bytes primary_key, int64_t row_id, struct key_builder *key)
{
    key_reset(key);
    if (!index && table->has_primary)
        index = &table->indexes[0];
    if (!index) {
        key_put_int(key, row_id, 0);
    } else {
        bool null = put_columns(table, index, values, key);
        if (!index->primary && (!index->unique || null))
            key_put_raw(key, primary_key);
    }
    return key->failed ? op_out_of_memory(op) : 0;
}

/* Steps over one column of an encoded key. */
static bool skip_key_column(struct key_reader *reader, Oid type, int flags)
{
    bool null, b;
    int64_t i;
    double d;

    if (!key_get_null(reader, flags, &null))
        return false;
    if (null)
        return true;
    switch (type_form(type)) {
    case FORM_BOOL: return key_get_bool(reader, flags, &b);
    case FORM_INT64: return key_get_int(reader, flags, &i);
    case FORM_DOUBLE: return key_get_double(reader, flags, &d);
    case FORM_BYTES: break;
    }
    return type == TYPE_NUMERIC ? key_skip_decimal(reader, flags) : key_skip_bytes(reader, flags);
}

static int malformed(struct op *op, const struct table_def *table)
{
    return op_fail(op, "XX001", "a record of table \"%s\" is damaged", table->name);
}

/* The part of a unique index's value that is the primary key; false when the bytes do not fit. */
static bool split_entry(const struct index_def *index, struct bytes value, struct bytes *primary_key, struct bytes *included)
{
    uint64_t len;

    *primary_key = value;
    *included = (struct bytes){value.data + value.len, 0};
    if (index->include_count == 0)
        return true;
    *included = value;
    if (!index->unique)
        return true;
    size_t used = varint_get(value.data, value.data + value.len, &len);
    if (used == 0 || len > value.len - used)
        return false;
    *primary_key = (struct bytes){value.data + used, (size_t)len};
    *included = (struct bytes){value.data + used + len, value.len - used - (size_t)len};
    return true;
}

int row_primary_key(struct op *op, const struct table_def *table, const struct index_def *index, struct bytes key,
                    struct bytes value, struct arena *arena, struct bytes *primary_key)
{
    struct key_reader reader = {key.data, key.data + key.len};
    struct bytes found = key, included;

    *primary_key = (struct bytes){NULL, 0};
    if (!index->primary && index->unique && !split_entry(index, value, &found, &included))
        return malformed(op, table);
    if (!index->unique) {
        for (int i = 0; i < index->column_count; i++)
            if (!skip_key_column(&reader, table->columns[index->columns[i].column].type.oid, key_flags(&index->columns[i])))
                return malformed(op, table);
        found = (struct bytes){reader.at, (size_t)(reader.end - reader.at)};
    }
    if (found.len == 0)
        return malformed(op, table);
    uint8_t *copy = arena_alloc(arena, found.len);
    if (!copy)
        return op_out_of_memory(op);
    memcpy(copy, found.data, found.len);
    *primary_key = (struct bytes){copy, found.len};
    return 0;
}

/* ---- writing a value ------------------------------------------------------------------------------ */

void row_buffer_free(struct row_buffer *buffer)
{
    mem_free(buffer->data);
    *buffer = (struct row_buffer){0};
}

static int grow(struct op *op, struct row_buffer *buffer, size_t wanted)
{
    size_t capacity = buffer->capacity * 2 > wanted ? buffer->capacity * 2 : wanted + 64;
    uint8_t *data = mem_realloc(buffer->data, capacity);
    if (!data)
        return op_out_of_memory(op);
    buffer->data = data;
    buffer->capacity = capacity;
    return 0;
}

/* Upper bound of the encoded size, the number of stored columns, and whether one of them is null. */
static size_t measure(const struct table_def *table, const struct datum *values, int *stored, bool *nulls)
{
    size_t size = VARINT_MAX_BYTES;
    for (int i = 0; i < catalog_stored_count(table); i++) {
        int column = catalog_stored_column(table, i);
        if (column >= 0 && table->columns[column].key_only)
            continue;
        ++*stored;
        if (column >= 0 && values[column].null)
            *nulls = true;
        else if (column >= 0 && type_form(table->columns[column].type.oid) == FORM_BYTES)
            size += values[column].s.len + VARINT_MAX_BYTES;
        else
            size += 8;
    }
    return size + (size_t)*stored / 8 + 1;
}

static uint8_t *put_stored(uint8_t *at, Oid type, const struct datum *value)
{
    enum store_kind kind = store_kind(type);
    switch (kind) {
    case STORE_BOOL: *at = value->b; break;
    case STORE_I16: put_u16(at, (uint16_t)value->i); break;
    case STORE_I32: case STORE_U32: put_u32(at, (uint32_t)value->i); break;
    case STORE_I64: put_u64(at, (uint64_t)value->i); break;
    case STORE_F32: {
        float narrow = (float)value->d;
        memcpy(at, &narrow, 4);
        break;
    }
    case STORE_F64: memcpy(at, &value->d, 8); break;
    case STORE_BYTES:
        at += varint_put(at, value->s.len);
        if (value->s.len)
            memcpy(at, value->s.data, value->s.len);
        return at + value->s.len;
    }
    return at + store_width[kind];
}

int row_encode_value(struct op *op, const struct table_def *table, const struct datum *values, struct row_buffer *buffer)
{
    static const struct datum nothing;
    int stored = 0, bit = 0;
    bool nulls = false;
    size_t size = measure(table, values, &stored, &nulls);

    if (size > buffer->capacity && grow(op, buffer, size) != 0)
        return OP_FAILED;
    uint8_t *at = buffer->data;
    at += varint_put(at, (uint64_t)catalog_stored_count(table) * 2 + nulls);
    uint8_t *bitmap = at;
    if (nulls) {
        size_t bytes = ((size_t)stored + 7) / 8;
        memset(bitmap, 0, bytes);
        at += bytes;
    }
    for (int i = 0; i < catalog_stored_count(table); i++) {
        int column = catalog_stored_column(table, i);
        if (column < 0)
            at = put_stored(at, table->stored[i].type, &nothing);
        else if (table->columns[column].key_only)
            continue;
        else if (values[column].null)
            bitmap[bit / 8] |= (uint8_t)(1 << bit % 8);
        else
            at = put_stored(at, table->columns[column].type.oid, &values[column]);
        bit++;
    }
    buffer->len = (size_t)(at - buffer->data);
    return 0;
}

int row_encode_entry(struct op *op, const struct table_def *table, const struct index_def *index, const struct datum *values,
                     struct bytes primary_key, struct row_buffer *buffer, struct bytes *value)
{
    size_t size = primary_key.len + 2 * VARINT_MAX_BYTES + (size_t)index->include_count;

    *value = index->unique ? primary_key : (struct bytes){(const uint8_t *)"", 0};
    if (index->include_count == 0)
        return 0;
    const struct index_column *included = index->columns + index->column_count;
    for (int i = 0; i < index->include_count; i++)
        size += VARINT_MAX_BYTES + (type_form(table->columns[included[i].column].type.oid) == FORM_BYTES &&
                                    !values[included[i].column].null ? values[included[i].column].s.len : 8);
    if (size > buffer->capacity && grow(op, buffer, size) != 0)
        return OP_FAILED;
    uint8_t *at = buffer->data;
    if (index->unique) {
        at += varint_put(at, primary_key.len);
        memcpy(at, primary_key.data, primary_key.len);
        at += primary_key.len;
    }
    uint8_t *bitmap = at;
    memset(bitmap, 0, ((size_t)index->include_count + 7) / 8);
    at += ((size_t)index->include_count + 7) / 8;
    for (int i = 0; i < index->include_count; i++) {
        int column = included[i].column;
        if (values[column].null)
            bitmap[i / 8] |= (uint8_t)(1 << i % 8);
        else
            at = put_stored(at, table->columns[column].type.oid, &values[column]);
    }
    buffer->len = (size_t)(at - buffer->data);
    *value = (struct bytes){buffer->data, buffer->len};
    return 0;
}

/* ---- readers -------------------------------------------------------------------------------------- */

enum { STEP_PASS_BYTES = STORE_BYTES + 1, STEP_NOTHING };

/* One step over a value without nulls: `pass` bytes of unwanted fixed columns, then one column. */
struct value_step {
    uint32_t pass;
    int16_t out;            /* vector; -1: stepped over */
    uint8_t kind;           /* store_kind, STEP_PASS_BYTES or STEP_NOTHING */
};

/* A stored column as the careful path sees it; number: its place among all columns that ever were. */
struct stored_column {
    int16_t number, column, out;
    uint8_t kind;
};

struct key_step {
    Oid type;
    int flags;
    int16_t out;
    uint8_t form;
};

struct row_reader {
    const struct table_def *table;
    int wanted_count;
    bool from_index, key_in_value;      /* index: the primary key stands in the value */
    const struct index_def *index;      /* an index with INCLUDEd columns */
    bool wants_included;
    struct stored_column *included;
    int key_count, primary_count;       /* steps over the record's key, then over the primary key of an index record */
    struct key_step *key_steps, *primary_steps;
    int step_count;                     /* fast path */
    struct value_step *steps;
    int stored_count, stored_total;     /* careful path: up to the last wanted column; and all */
    struct stored_column *stored;
    uint64_t usual_header;              /* today's columns, no nulls */
};

static int position_of(const int *wanted, int wanted_count, int column)
{
    for (int i = 0; i < wanted_count; i++)
        if (wanted[i] == column)
            return i;
    return -1;
}

bool row_index_covers(const struct table_def *table, const struct index_def *index, const int *wanted, int wanted_count)
{
    for (int i = 0; i < wanted_count; i++) {
        bool found = false, included = false;
        for (int k = 0; k < index->column_count; k++)
            found |= index->columns[k].column == wanted[i];
        for (int k = 0; k < index->include_count; k++)
            included |= index->columns[index->column_count + k].column == wanted[i];
        if (table->has_primary)
            for (int k = 0; k < table->indexes[0].column_count; k++)
                found |= table->indexes[0].columns[k].column == wanted[i];
        if (!included && (!found || !lossless(table->columns[wanted[i]].type.oid)))
            return false;
    }
    return true;
}

/* Steps over an index's columns up to the last one that is still wanted; `done` marks vectors that have their source. */
static int plan_key(struct op *op, struct arena *arena, const struct table_def *table, const struct index_def *index,
                    const int *wanted, int wanted_count, bool *done, bool whole, struct key_step **steps, int *count)
{
    *count = 0;
    *steps = op_arena_alloc(op, arena, sizeof **steps * (size_t)(index->column_count + 1));
    if (!*steps)
        return OP_FAILED;
    for (int i = 0; i < index->column_count; i++) {
        int column = index->columns[i].column;
        Oid type = table->columns[column].type.oid;
        int out = lossless(type) ? position_of(wanted, wanted_count, column) : -1;
        if (out >= 0 && done[out])
            out = -1;
        if (out >= 0) {
            done[out] = true;
            *count = i + 1;
        }
        (*steps)[i] = (struct key_step){type, key_flags(&index->columns[i]), (int16_t)out, (uint8_t)type_form(type)};
    }
    if (whole)
        *count = index->column_count;
    return 0;
}

/* The stored columns, and the short program for the usual row. */
static int plan_value(struct op *op, struct arena *arena, struct row_reader *reader, const int *wanted, bool *done)
{
    const struct table_def *table = reader->table;
    size_t most = (size_t)catalog_stored_count(table) + 1;
    uint32_t pass = 0;

    reader->stored = op_arena_alloc(op, arena, sizeof *reader->stored * most);
    reader->steps = op_arena_alloc(op, arena, sizeof *reader->steps * most);
    if (!reader->stored || !reader->steps)
        return OP_FAILED;
    int last_step = 0;
    for (int i = 0; i < catalog_stored_count(table); i++) {
        int column = catalog_stored_column(table, i);
        if (column >= 0 && table->columns[column].key_only)
            continue;
        int out = column < 0 ? -1 : position_of(wanted, reader->wanted_count, column);
        if (out >= 0 && done[out])
            out = -1;
        uint8_t kind = (uint8_t)store_kind(column < 0 ? table->stored[i].type : table->columns[column].type.oid);
        reader->stored[reader->stored_total++] = (struct stored_column){(int16_t)i, (int16_t)column, (int16_t)out, kind};
        if (out < 0 && kind != STORE_BYTES) {
            pass += store_width[kind];
            continue;
        }
        reader->steps[reader->step_count++] =
            (struct value_step){pass, (int16_t)out, out < 0 ? (uint8_t)STEP_PASS_BYTES : kind};
        pass = 0;
        if (out >= 0) {
            done[out] = true;
            last_step = reader->step_count;
            reader->stored_count = reader->stored_total;
        }
    }
    reader->step_count = last_step;
    reader->usual_header = (uint64_t)catalog_stored_count(table) * 2;
    return 0;
}

/* INCLUDEd columns that neither key gives. */
static int plan_included(struct op *op, struct arena *arena, struct row_reader *reader, const struct index_def *index,
                         const int *wanted, bool *done)
{
    bool any = false;

    reader->included = op_arena_alloc(op, arena, sizeof *reader->included * (size_t)(index->include_count + 1));
    if (!reader->included)
        return OP_FAILED;
    for (int i = 0; i < index->include_count; i++) {
        int column = index->columns[index->column_count + i].column;
        int out = position_of(wanted, reader->wanted_count, column);
        if (out >= 0 && done[out])
            out = -1;
        if (out >= 0)
            any = done[out] = true;
        reader->included[i] = (struct stored_column){0, (int16_t)column, (int16_t)out,
                                                     (uint8_t)store_kind(reader->table->columns[column].type.oid)};
    }
    reader->index = index;
    reader->wants_included = any;
    return 0;
}

int row_reader_make(struct op *op, struct arena *arena, const struct table_def *table, const struct index_def *index,
                    const int *wanted, int wanted_count, struct row_reader **out)
{
    bool *done = op_calloc(op, (size_t)wanted_count + 1);
    struct row_reader *reader = op_arena_alloc(op, arena, sizeof *reader);

    *out = NULL;
    if (!done || !reader)
        return OP_FAILED;
    reader->table = table;
    reader->wanted_count = wanted_count;
    if (index && !index->primary) {
        reader->from_index = true;
        reader->key_in_value = index->unique;
        if (plan_key(op, arena, table, index, wanted, wanted_count, done, false, &reader->key_steps, &reader->key_count) != 0)
            return OP_FAILED;
        if (table->has_primary &&
            plan_key(op, arena, table, &table->indexes[0], wanted, wanted_count, done, false, &reader->primary_steps,
                     &reader->primary_count) != 0)
            return OP_FAILED;
        if (reader->primary_count > 0 && !reader->key_in_value)
            reader->key_count = index->column_count;    /* all of them lie before it */
        if (index->include_count > 0 && plan_included(op, arena, reader, index, wanted, done) != 0)
            return OP_FAILED;
    } else {
        if (table->has_primary &&
            plan_key(op, arena, table, &table->indexes[0], wanted, wanted_count, done, false, &reader->key_steps,
                     &reader->key_count) != 0)
            return OP_FAILED;
        if (plan_value(op, arena, reader, wanted, done) != 0)
            return OP_FAILED;
    }
    *out = reader;
    return 0;
}

/* ---- decoding ------------------------------------------------------------------------------------- */

static inline void set_null(struct vector *vector, int row)
{
    if (!vector->has_nulls) {
        memset(vector->nulls, 0, BATCH_ROWS);
        vector->has_nulls = true;
    }
    vector->nulls[row] = 1;
}

static inline void set_present(struct vector *vector, int row)
{
    if (vector->has_nulls)
        vector->nulls[row] = 0;
}

/* Copies bytes for a vector. */
static inline bool copy_bytes(struct arena *arena, const uint8_t *from, size_t len, struct bytes *to)
{
    uint8_t *copy = arena_alloc(arena, len ? len : 1);
    if (!copy)
        return false;
    memcpy(copy, from, len);
    *to = (struct bytes){copy, len};
    return true;
}

/* Reads one stored column; NULL when the bytes end before it does, or (with *memory false) memory is exhausted. */
static inline const uint8_t *read_stored(const uint8_t *at, const uint8_t *end, uint8_t kind, struct arena *arena,
                                         struct vector *vector, int row, bool *memory)
{
    uint64_t len;
    float narrow;

    if (kind == STORE_BYTES) {
        if (at < end && *at < 0x80) {
            len = *at++;
        } else {
            size_t used = varint_get(at, end, &len);
            if (used == 0)
                return NULL;
            at += used;
        }
        if (len > (uint64_t)(end - at))
            return NULL;
        if (!copy_bytes(arena, at, (size_t)len, &vector->bytes[row])) {
            *memory = false;
            return NULL;
        }
        return at + len;
    }
    if ((size_t)(end - at) < store_width[kind])
        return NULL;
    switch ((enum store_kind)kind) {
    case STORE_BOOL: vector->bools[row] = *at != 0; break;
    case STORE_I16: vector->ints[row] = (int16_t)get_u16(at); break;
    case STORE_I32: vector->ints[row] = (int32_t)get_u32(at); break;
    case STORE_U32: vector->ints[row] = get_u32(at); break;
    case STORE_I64: vector->ints[row] = (int64_t)get_u64(at); break;
    case STORE_F32:
        memcpy(&narrow, at, 4);
        vector->doubles[row] = (double)narrow;
        break;
    case STORE_F64: memcpy(&vector->doubles[row], at, 8); break;
    case STORE_BYTES: break;
    }
    return at + store_width[kind];
}

static const uint8_t *pass_bytes(const uint8_t *at, const uint8_t *end)
{
    uint64_t len;
    size_t used = varint_get(at, end, &len);
    if (used == 0 || len > (uint64_t)(end - at - used))
        return NULL;
    return at + used + len;
}

/* The usual row: today's columns, no nulls. */
static int decode_usual(struct op *op, const struct row_reader *reader, const uint8_t *at, const uint8_t *end,
                        struct arena *arena, struct vector *out, int row)
{
    bool memory = true;
    for (int i = 0; i < reader->step_count; i++) {
        const struct value_step *step = &reader->steps[i];
        if ((size_t)(end - at) < step->pass)
            return malformed(op, reader->table);
        at += step->pass;
        if (step->kind == STEP_PASS_BYTES) {
            at = pass_bytes(at, end);
        } else {
            at = read_stored(at, end, step->kind, arena, &out[step->out], row, &memory);
            set_present(&out[step->out], row);
        }
        if (!at)
            return memory ? malformed(op, reader->table) : op_out_of_memory(op);
    }
    return 0;
}

/* The value of a column that was added after the row was written (R2); its bytes live as long as the definition. */
static void set_missing(const struct table_def *table, const struct stored_column *stored, struct vector *vector, int row)
{
    const struct column_def *column = &table->columns[stored->column];
    if (!column->has_missing) {
        set_null(vector, row);
        return;
    }
    set_present(vector, row);
    switch (vector->form) {
    case FORM_BOOL: vector->bools[row] = column->missing.b; break;
    case FORM_INT64: vector->ints[row] = column->missing.i; break;
    case FORM_DOUBLE: vector->doubles[row] = column->missing.d; break;
    case FORM_BYTES: vector->bytes[row] = column->missing.s; break;
    }
}

/* Any row: nulls, and columns that it was written without. */
static int decode_careful(struct op *op, const struct row_reader *reader, uint64_t header, const uint8_t *at, const uint8_t *end,
                          struct arena *arena, struct vector *out, int row)
{
    const uint8_t *bitmap = NULL;
    uint64_t written = header / 2;
    int there = 0;
    bool memory = true;

    while (there < reader->stored_total && (uint64_t)reader->stored[there].number < written)
        there++;
    if (header & 1) {
        size_t bytes = ((size_t)there + 7) / 8;
        if ((size_t)(end - at) < bytes)
            return malformed(op, reader->table);
        bitmap = at;
        at += bytes;
    }
    for (int i = 0; i < reader->stored_count; i++) {
        const struct stored_column *column = &reader->stored[i];
        if (i >= there) {
            if (column->out >= 0)
                set_missing(reader->table, column, &out[column->out], row);
            continue;
        }
        if (bitmap && bitmap[i / 8] >> i % 8 & 1) {
            if (column->out >= 0)
                set_null(&out[column->out], row);
            continue;
        }
        if (column->out >= 0) {
            at = read_stored(at, end, column->kind, arena, &out[column->out], row, &memory);
            set_present(&out[column->out], row);
        } else if (column->kind == STORE_BYTES) {
            at = pass_bytes(at, end);
        } else {
            at = (size_t)(end - at) < store_width[column->kind] ? NULL : at + store_width[column->kind];
        }
        if (!at)
            return memory ? malformed(op, reader->table) : op_out_of_memory(op);
    }
    return 0;
}

/* One wanted column of a key. */
static bool read_key_column(struct key_reader *reader, const struct key_step *step, struct arena *arena, struct vector *vector,
                            int row, bool *memory)
{
    bool null;
    if (!key_get_null(reader, step->flags, &null))
        return false;
    if (null) {
        set_null(vector, row);
        return true;
    }
    set_present(vector, row);
    switch ((enum type_form)step->form) {
    case FORM_INT64: return key_get_int(reader, step->flags, &vector->ints[row]);
    case FORM_DOUBLE: return key_get_double(reader, step->flags, &vector->doubles[row]);
    case FORM_BOOL: {
        bool value;
        if (!key_get_bool(reader, step->flags, &value))
            return false;
        vector->bools[row] = value;
        return true;
    }
    case FORM_BYTES: break;
    }
    uint8_t *text = arena_alloc(arena, (size_t)(reader->end - reader->at) + 1);
    size_t len;
    if (!text) {
        *memory = false;
        return false;
    }
    if (!key_get_bytes(reader, step->flags, text, &len))
        return false;
    vector->bytes[row] = (struct bytes){text, len};
    return true;
}

static int decode_key(struct op *op, const struct row_reader *reader, struct key_reader *key, const struct key_step *steps,
                      int count, struct arena *arena, struct vector *out, int row)
{
    bool memory = true;
    for (int i = 0; i < count; i++) {
        const struct key_step *step = &steps[i];
        bool good = step->out < 0 ? skip_key_column(key, step->type, step->flags)
                                  : read_key_column(key, step, arena, &out[step->out], row, &memory);
        if (!good)
            return memory ? malformed(op, reader->table) : op_out_of_memory(op);
    }
    return 0;
}

static int decode_included(struct op *op, const struct row_reader *reader, struct bytes included, struct arena *arena,
                           struct vector *out, int row)
{
    size_t bitmap_len = ((size_t)reader->index->include_count + 7) / 8;
    const uint8_t *at = included.data + bitmap_len, *end = included.data + included.len;
    bool memory = true;

    if (included.len < bitmap_len)
        return malformed(op, reader->table);
    for (int i = 0; i < reader->index->include_count; i++) {
        const struct stored_column *column = &reader->included[i];
        if (included.data[i / 8] >> i % 8 & 1) {
            if (column->out >= 0)
                set_null(&out[column->out], row);
            continue;
        }
        if (column->out >= 0) {
            at = read_stored(at, end, column->kind, arena, &out[column->out], row, &memory);
            set_present(&out[column->out], row);
        } else if (column->kind == STORE_BYTES) {
            at = pass_bytes(at, end);
        } else {
            at = (size_t)(end - at) < store_width[column->kind] ? NULL : at + store_width[column->kind];
        }
        if (!at)
            return memory ? malformed(op, reader->table) : op_out_of_memory(op);
    }
    return 0;
}

/* What an index record gives beside its own columns; `keys` stands behind those. */
static int decode_entry(struct op *op, const struct row_reader *reader, struct key_reader keys, struct bytes value,
                        struct arena *arena, struct vector *out, int row)
{
    struct bytes primary_key = value, included;

    if (reader->index) {
        if (!split_entry(reader->index, value, &primary_key, &included))
            return malformed(op, reader->table);
        if (reader->wants_included && decode_included(op, reader, included, arena, out, row) != 0)
            return OP_FAILED;
    }
    if (reader->primary_count == 0)
        return 0;
    if (reader->key_in_value)
        keys = (struct key_reader){primary_key.data, primary_key.data + primary_key.len};
    return decode_key(op, reader, &keys, reader->primary_steps, reader->primary_count, arena, out, row);
}

int row_decode(struct op *op, const struct row_reader *reader, struct bytes key, struct bytes value, struct arena *arena,
               struct vector *out, int row)
{
    const uint8_t *at = value.data, *end = value.data + value.len;
    struct key_reader keys = {key.data, key.data + key.len};
    uint64_t header;

    if (reader->key_count > 0 &&
        decode_key(op, reader, &keys, reader->key_steps, reader->key_count, arena, out, row) != 0)
        return OP_FAILED;
    if (reader->from_index)
        return decode_entry(op, reader, keys, value, arena, out, row);
    if (reader->stored_count == 0)
        return 0;
    if (at < end && *at < 0x80) {
        header = *at++;
    } else {
        size_t used = varint_get(at, end, &header);
        if (used == 0)
            return malformed(op, reader->table);
        at += used;
    }
    if (header == reader->usual_header)
        return decode_usual(op, reader, at, end, arena, out, row);
    return decode_careful(op, reader, header, at, end, arena, out, row);
}
