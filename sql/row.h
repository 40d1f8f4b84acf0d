/*
 * row.h -- how a table's row becomes a record (key, value) and back.
 *
 * The key is the encoded primary key (or the hidden row id); the value holds all other columns, and those key columns whose
 * encoding loses information.  A value begins with the number of columns it was written with, so that columns can
 * be added without touching old rows.
 */
#ifndef ISOLDE_SQL_ROW_H
#define ISOLDE_SQL_ROW_H

#include "btree/key.h"
#include "sql/catalog.h"
#include "sql/vector.h"

/* Settles how a new definition's rows are laid out (column_def.key_only); once, before its first use. */
void row_settle(struct table_def *table);
/* Encodes the key of index `index` (or, with NULL, the clustered key: then row_id is used when the table has no primary key). */
int row_encode_key(struct op *op, const struct table_def *table, const struct index_def *index, const struct datum *values,
                   struct bytes primary_key, int64_t row_id, struct key_builder *key) MUST_CHECK;
/* Appends one value (or NULL) as a key column of this type; flags as key.h's. */
int row_encode_datum(struct op *op, Oid type, const struct datum *value, int flags, struct key_builder *key) MUST_CHECK;
/* Encodes the value of a row; grows the buffer on the heap. */
struct row_buffer {
    uint8_t *data;
    size_t len, capacity;
};
int row_encode_value(struct op *op, const struct table_def *table, const struct datum *values, struct row_buffer *buffer) MUST_CHECK;
void row_buffer_free(struct row_buffer *buffer);
/* The value of an index's record: *value is borrowed from primary_key or from the buffer. */
int row_encode_entry(struct op *op, const struct table_def *table, const struct index_def *index, const struct datum *values,
                     struct bytes primary_key, struct row_buffer *buffer, struct bytes *value) MUST_CHECK;

/* Which columns a reader wants and where they go: compiled once per scan. */
struct row_reader;
/* wanted[i] is a column of the table, stored in out vector i.  index: NULL to read table records, or an index whose records hold
 * all wanted columns. */
int row_reader_make(struct op *op, struct arena *arena, const struct table_def *table, const struct index_def *index,
                    const int *wanted, int wanted_count, struct row_reader **reader) MUST_CHECK;
/* Whether an index's records can give these columns (an index-only scan). */
bool row_index_covers(const struct table_def *table, const struct index_def *index, const int *wanted, int wanted_count);
/* Decodes a record into row `row` of the vectors; bytes are copied into the arena.  XX001 when malformed. */
int row_decode(struct op *op, const struct row_reader *reader, struct bytes key, struct bytes value, struct arena *arena,
               struct vector *out, int row) MUST_CHECK;
/* From an index record to the clustered key of its row. */
int row_primary_key(struct op *op, const struct table_def *table, const struct index_def *index, struct bytes key,
                    struct bytes value, struct arena *arena, struct bytes *primary_key) MUST_CHECK;

#endif
