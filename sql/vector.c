/*
 * vector.c -- columns of a batch: making them, and reading or writing one entry.
 *
 * Operators and kernels work on the arrays directly; the functions here are for the edges, where a row is wanted.
 *
 * V1  While has_nulls is false the bytes of `nulls` mean nothing; whoever sets it makes all of them valid.
 */
#include "sql/vector.h"

#include <string.h>

static size_t form_size(enum type_form form)
{
    switch (form) {
    case FORM_BOOL: return sizeof(uint8_t);
    case FORM_INT64: return sizeof(int64_t);
    case FORM_DOUBLE: return sizeof(double);
    case FORM_BYTES: return sizeof(struct bytes);
    }
    return sizeof(struct bytes);
}

int vector_init_rows(struct op *op, struct arena *arena, enum type_form form, int rows, struct vector *vector)
{
    memset(vector, 0, sizeof *vector);
    vector->form = form;
    vector->data = op_arena_alloc(op, arena, form_size(form) * (size_t)rows);
    vector->nulls = op_arena_alloc(op, arena, (size_t)rows);
    return vector->data && vector->nulls ? 0 : OP_FAILED;
}

int vector_init(struct op *op, struct arena *arena, enum type_form form, struct vector *vector)
{
    return vector_init_rows(op, arena, form, BATCH_ROWS, vector);
}

int batch_init(struct op *op, struct arena *arena, int columns, const enum type_form *forms, struct batch *batch)
{
    memset(batch, 0, sizeof *batch);
    batch->columns = columns;
    batch->vectors = op_arena_alloc(op, arena, sizeof *batch->vectors * (size_t)(columns ? columns : 1));
    if (!batch->vectors)
        return OP_FAILED;
    for (int i = 0; i < columns; i++)
        if (vector_init(op, arena, forms[i], &batch->vectors[i]) != 0)
            return OP_FAILED;
    return 0;
}

void vector_get(const struct vector *vector, int row, struct datum *value)
{
    if (vector->constant)
        row = 0;
    value->null = vector->has_nulls && vector->nulls[row];
    if (value->null)
        return;
    switch (vector->form) {
    case FORM_BOOL: value->b = vector->bools[row]; break;
    case FORM_INT64: value->i = vector->ints[row]; break;
    case FORM_DOUBLE: value->d = vector->doubles[row]; break;
    case FORM_BYTES: value->s = vector->bytes[row]; break;
    }
}

void vector_set_null(struct vector *vector, int row)
{
    if (!vector->has_nulls) {
        memset(vector->nulls, 0, vector->constant ? 1 : BATCH_ROWS);
        vector->has_nulls = true;
    }
    vector->nulls[row] = 1;
}

void vector_set(struct vector *vector, int row, const struct datum *value)
{
    if (value->null) {
        vector_set_null(vector, row);
        return;
    }
    if (vector->has_nulls)
        vector->nulls[row] = 0;
    switch (vector->form) {
    case FORM_BOOL: vector->bools[row] = value->b; break;
    case FORM_INT64: vector->ints[row] = value->i; break;
    case FORM_DOUBLE: vector->doubles[row] = value->d; break;
    case FORM_BYTES: vector->bytes[row] = value->s; break;
    }
}
