/*
 * exec_tuple.c -- rows kept in memory: by sorts, hash tables and materialized inputs.
 *
 * A batch is a loan until the next call.  What must be kept longer is copied into a tuple: one block that holds the row, and in front
 * of it, already encoded, the key by which it will be sorted or found.  Inside of a tuple nothing points anywhere (variable-length
 * values are offsets from its beginning), so it is written to a spill file and read back as it is.
 *
 *      | next, hash, size, key_len | key ... pad | null bytes ... pad | cell 0 | cell 1 | ... | bytes of the long values |
 *
 * Keys use the same encoding as the B-tree's: equal values have equal bytes, and memcmp gives their order.
 */
#include <string.h>

#include "sql/exec_int.h"
#include "src/base/hash.h"
#include "src/base/mem.h"

int exec__shape(struct op *op, struct arena *arena, const struct vector *vectors, int columns, struct tuple_shape *shape)
{
    shape->columns = columns;
    shape->forms = op_arena_alloc(op, arena, (columns + 1) * sizeof *shape->forms);
    if (!shape->forms)
        return OP_FAILED;
    for (int i = 0; i < columns; i++)
        shape->forms[i] = vectors[i].form;
    return OP_OK;
}

static inline uint8_t *tuple_nulls(const struct tuple *tuple)
{
    return (uint8_t *)(tuple + 1) + exec__pad(tuple->key_len);
}

static inline uint64_t *tuple_cells(const struct tuple_shape *shape, const struct tuple *tuple)
{
    return (uint64_t *)(tuple_nulls(tuple) + exec__pad(shape->columns));
}

static size_t payload_size(const struct tuple_shape *shape, const struct vector *vectors, int row)
{
    size_t size = 0;
    for (int i = 0; i < shape->columns; i++) {
        const struct vector *vector = &vectors[i];
        if (shape->forms[i] == FORM_BYTES && !vector_is_null(vector, row))
            size += vector->bytes[vector->constant ? 0 : row].len;
    }
    return size;
}

int exec__tuple_make(struct op *op, struct arena *arena, const struct tuple_shape *shape, const struct vector *vectors, int row,
                     uint64_t hash, struct bytes key, struct tuple **result)
{
    size_t fixed = sizeof(struct tuple) + exec__pad(key.len) + exec__pad(shape->columns) + 8 * (size_t)shape->columns;
    size_t size = fixed + payload_size(shape, vectors, row);

    *result = NULL;
    if (size > UINT32_MAX)
        return op_fail(op, "54000", "a row of %zu bytes is too long to be sorted or hashed", size);
    struct tuple *tuple = arena_alloc(arena, exec__pad(size));
    if (!tuple)
        return op_out_of_memory(op);
    *tuple = (struct tuple){ .hash = hash, .size = (uint32_t)size, .key_len = (uint32_t)key.len };
    if (key.len)
        memcpy(tuple + 1, key.data, key.len);
    uint8_t *nulls = tuple_nulls(tuple);
    uint64_t *cells = tuple_cells(shape, tuple);
    size_t at = fixed;

    for (int i = 0; i < shape->columns; i++) {
        const struct vector *vector = &vectors[i];
        int from = vector->constant ? 0 : row;
        nulls[i] = vector->has_nulls && vector->nulls[from];
        cells[i] = 0;
        if (nulls[i])
            continue;
        switch (shape->forms[i]) {
        case FORM_BOOL: cells[i] = vector->bools[from]; break;
        case FORM_INT64: memcpy(&cells[i], &vector->ints[from], 8); break;
        case FORM_DOUBLE: memcpy(&cells[i], &vector->doubles[from], 8); break;
        case FORM_BYTES: {
            struct bytes value = vector->bytes[from];
            cells[i] = (uint64_t)at << 32 | (uint32_t)value.len;
            if (value.len)
                memcpy((char *)tuple + at, value.data, value.len);
            at += value.len;
            break;
        }
        }
    }
    *result = tuple;
    return OP_OK;
}

void exec__tuple_column(const struct tuple_shape *shape, const struct tuple *tuple, int column, struct vector *vector, int to)
{
    if (tuple_nulls(tuple)[column]) {
        vector->has_nulls = true;
        vector->nulls[to] = 1;
        return;
    }
    uint64_t cell = tuple_cells(shape, tuple)[column];
    vector->nulls[to] = 0;
    switch (shape->forms[column]) {
    case FORM_BOOL: vector->bools[to] = (uint8_t)cell; break;
    case FORM_INT64: memcpy(&vector->ints[to], &cell, 8); break;
    case FORM_DOUBLE: memcpy(&vector->doubles[to], &cell, 8); break;
    case FORM_BYTES: vector->bytes[to] = (struct bytes){ (const uint8_t *)tuple + (cell >> 32), (uint32_t)cell }; break;
    }
}

void exec__tuple_read(const struct tuple_shape *shape, const struct tuple *tuple, struct vector *vectors, int to)
{
    for (int i = 0; i < shape->columns; i++)
        exec__tuple_column(shape, tuple, i, &vectors[i], to);
}

void exec__tuple_datum(const struct tuple_shape *shape, const struct tuple *tuple, int column, struct datum *value)
{
    *value = (struct datum){ .null = tuple_nulls(tuple)[column] };
    if (value->null)
        return;
    uint64_t cell = tuple_cells(shape, tuple)[column];
    switch (shape->forms[column]) {
    case FORM_BOOL: value->b = cell; break;
    case FORM_INT64: memcpy(&value->i, &cell, 8); break;
    case FORM_DOUBLE: memcpy(&value->d, &cell, 8); break;
    case FORM_BYTES: value->s = (struct bytes){ (const uint8_t *)tuple + (cell >> 32), (uint32_t)cell }; break;
    }
}

int exec__tuple_write(struct op *op, struct spill_run *run, const struct tuple *tuple)
{
    return spill_write(op, run, tuple, tuple->size);
}

int exec__tuple_load(struct op *op, struct arena *arena, struct spill_run *run, struct tuple **result)
{
    struct tuple head;
    bool end;

    *result = NULL;
    if (spill_read(op, run, &head, sizeof head, &end))
        return OP_FAILED;
    if (end)
        return OP_OK;
    struct tuple *tuple = arena_alloc(arena, exec__pad(head.size));
    if (!tuple)
        return op_out_of_memory(op);
    *tuple = head;
    tuple->next = NULL;
    if (spill_read(op, run, tuple + 1, head.size - sizeof head, &end))
        return OP_FAILED;
    if (end)
        return op_fail(op, "XX000", "a temporary file ends within a row");
    *result = tuple;
    return OP_OK;
}

int exec__vector_copy(struct op *op, struct arena *arena, const struct vector *source, int from, struct vector *target, int to)
{
    if (source->constant)
        from = 0;
    if (source->has_nulls && source->nulls[from]) {
        target->has_nulls = true;
        target->nulls[to] = 1;
        return OP_OK;
    }
    target->nulls[to] = 0;
    switch (source->form) {
    case FORM_BOOL: target->bools[to] = source->bools[from]; break;
    case FORM_INT64: target->ints[to] = source->ints[from]; break;
    case FORM_DOUBLE: target->doubles[to] = source->doubles[from]; break;
    case FORM_BYTES: {
        struct bytes value = source->bytes[from];
        if (arena && value.len) {
            uint8_t *copy = arena_alloc(arena, value.len);
            if (!copy)
                return op_out_of_memory(op);
            memcpy(copy, value.data, value.len);
            value.data = copy;
        }
        target->bytes[to] = value;
        break;
    }
    }
    return OP_OK;
}

int exec__encode_key(struct op *op, const struct key_column *columns, int count, int row, struct key_builder *key, bool *has_null)
{
    *has_null = false;
    key_reset(key);
    for (int i = 0; i < count; i++) {
        const struct vector *vector = columns[i].vector;
        int from = vector->constant ? 0 : row;
        int flags = columns[i].flags;
        if (vector->has_nulls && vector->nulls[from]) {
            *has_null = true;
            key_put_null(key, flags);
            continue;
        }
        switch (vector->form) {
        case FORM_BOOL: key_put_bool(key, vector->bools[from], flags); break;
        case FORM_INT64: key_put_int(key, vector->ints[from], flags); break;
        case FORM_DOUBLE: key_put_double(key, vector->doubles[from], flags); break;
        case FORM_BYTES: {
            struct datum value = { .s = vector->bytes[from] };
            if (row_encode_datum(op, columns[i].type, &value, flags, key))
                return OP_FAILED;
            break;
        }
        }
    }
    return OP_OK;
}

int exec__table_init(struct op *op, struct tuple_table *table, size_t expected)
{
    size_t size = 64;
    while (size < expected && size < (size_t)1 << 20)
        size *= 2;
    *table = (struct tuple_table){ .mask = size - 1 };
    table->buckets = mem_calloc(size, sizeof *table->buckets);
    return table->buckets ? OP_OK : op_out_of_memory(op);
}

static int table_grow(struct op *op, struct tuple_table *table)
{
    size_t size = (table->mask + 1) * 4;
    struct tuple **buckets = mem_calloc(size, sizeof *buckets);

    if (!buckets)
        return op_out_of_memory(op);
    for (size_t i = 0; i <= table->mask; i++) {
        struct tuple *next;
        for (struct tuple *tuple = table->buckets[i]; tuple; tuple = next) {
            size_t at = (tuple->hash >> 7) & (size - 1);
            next = tuple->next;
            tuple->next = buckets[at];
            buckets[at] = tuple;
        }
    }
    mem_free(table->buckets);
    table->buckets = buckets;
    table->mask = size - 1;
    return OP_OK;
}

int exec__table_add(struct op *op, struct tuple_table *table, struct tuple *tuple)
{
    if (table->count > table->mask && table_grow(op, table))
        return OP_FAILED;
    size_t at = (tuple->hash >> 7) & table->mask;
    tuple->next = table->buckets[at];
    table->buckets[at] = tuple;
    table->count++;
    return OP_OK;
}

void exec__table_clear(struct tuple_table *table)
{
    if (table->buckets && table->count)
        memset(table->buckets, 0, (table->mask + 1) * sizeof *table->buckets);
    table->count = 0;
}

void exec__table_free(struct tuple_table *table)
{
    mem_free(table->buckets);
    *table = (struct tuple_table){ 0 };
}
