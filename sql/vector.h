/*
 * vector.h -- batches of rows as typed columns: what operators hand up.
 *
 * A batch has up to BATCH_ROWS rows in vectors, one per column, and optionally a selection: the indexes of the rows
 * that are still in.  A vector is owned by whoever filled it; its contents are valid until that operator is asked for
 * its next batch.
 */
#ifndef ISOLDE_SQL_VECTOR_H
#define ISOLDE_SQL_VECTOR_H

#include "sql/type.h"

enum { BATCH_ROWS = 1024 };

struct vector {
    enum type_form form;
    bool constant;          /* entry 0 stands for every row */
    bool has_nulls;         /* false: no entry is null and `nulls` need not be looked at */
    uint8_t *nulls;         /* BATCH_ROWS bytes, 1 = null */
    union {
        void *data;
        uint8_t *bools;
        int64_t *ints;
        double *doubles;
        struct bytes *bytes;
    };
};

struct batch {
    int count;              /* rows in the vectors */
    int selected;           /* rows that are in: entries of `selection`, or = count when selection is NULL */
    uint16_t *selection;    /* ascending row indexes; NULL = all */
    int columns;
    struct vector *vectors;
};

/* Vectors with room for BATCH_ROWS entries, in the arena. */
int vector_init(struct op *op, struct arena *arena, enum type_form form, struct vector *vector) MUST_CHECK;
/* The same with room for `rows` entries (1 for constant vectors). */
int vector_init_rows(struct op *op, struct arena *arena, enum type_form form, int rows,
                     struct vector *vector) MUST_CHECK;
int batch_init(struct op *op, struct arena *arena, int columns, const enum type_form *forms,
               struct batch *batch) MUST_CHECK;

static inline bool vector_is_null(const struct vector *vector, int row)
{
    return vector->has_nulls && vector->nulls[vector->constant ? 0 : row];
}
static inline int batch_row(const struct batch *batch, int i) { return batch->selection ? batch->selection[i] : i; }
/* Entry `row` as a datum: bytes are borrowed from the vector. */
void vector_get(const struct vector *vector, int row, struct datum *value);
/* Stores a datum (bytes are not copied). Keeps has_nulls true to its word. */
void vector_set(struct vector *vector, int row, const struct datum *value);
/* Makes entry `row` null, and has_nulls true to its word. */
void vector_set_null(struct vector *vector, int row);

#endif
