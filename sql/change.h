/*
 * change.h -- changing rows: the record in the table's tree and the entries in all its indexes, as one step.
 *
 * INSERT, UPDATE, DELETE, COPY and the catalog's own rows all go through here.
 */
#ifndef ISOLDE_SQL_CHANGE_H
#define ISOLDE_SQL_CHANGE_H

#include "sql/row.h"
#include "sql/row_expr.h"
#include "txn/txn.h"

enum { CHANGE_KEY_BYTES = 160 };

/* Open trees and buffers for changing one table; kept from statement to statement. */
struct change {
    struct txn_session *txn;
    const struct table_def *table;      /* borrowed */
    struct btree *tree;
    struct btree **trees;               /* one per index of the table */
    struct key_builder key, new_key, old_entry, new_entry;
    struct row_buffer value, entry;
    struct session *session;            /* NULL for the catalog's own rows */
    bool foreign;                       /* the table has foreign keys, or others have some that refer to it */
    struct row_exprs *exprs;            /* NULL: the table has none, or is one of the catalog's */
    struct datum *old_all, *new_all;    /* rows with the expressions of indexes */
    uint8_t key_bytes[4][CHANGE_KEY_BYTES];
};

/* Memory for `trees` comes from the arena; change_close frees the rest. */
int change_open(struct op *op, struct arena *arena, struct txn_session *txn, const struct table_def *table, struct change *change)
    MUST_CHECK;
/* Generated columns, CHECK constraints and expressions of indexes; for tables of users, once, before rows are changed. */
int change_compile(struct op *op, struct session *session, struct arena *arena, struct table_def *table, struct change *change)
    MUST_CHECK;
void change_close(struct change *change);

/* Computes generated columns, then NOT NULL: 23502, CHECK: 23514. */
int change_check(struct op *op, struct change *change, struct datum *values) MUST_CHECK;
/* 23505 when a key is taken. */
int change_insert(struct op *op, struct change *change, const struct datum *values) MUST_CHECK;
/* The same for ON CONFLICT: when a key of one of the arbiters (indexes in the table's indexes) is taken, *conflict is the clustered key
 * of the row that has it, in the op's arena, and nothing has been changed; else its data is NULL.  *since: when what is in the way was
 * committed, or the snapshot's time when that is later. */
int change_insert_unless(struct op *op, struct change *change, const struct datum *values, const int *arbiters, int arbiter_count,
                         struct bytes *conflict, CommitTs *since) MUST_CHECK;
/* The row with this clustered key goes from the old to the new values.  touched: which indexes have changed columns (NULL: look at all).
 * When outcome->result is not TXN_WRITTEN nothing was changed. */
int change_update(struct op *op, struct change *change, struct bytes key, const struct datum *old_values,
                  const struct datum *new_values, const bool *touched, CommitTs seen, struct txn_outcome *outcome) MUST_CHECK;
int change_delete(struct op *op, struct change *change, struct bytes key, const struct datum *old_values, CommitTs seen,
                  struct txn_outcome *outcome) MUST_CHECK;

/* For error reports: the row of a struct footprint_row, as snprintf: 'row (id)=(3) of table "t"'. */
int change_describe_row(const void *row, char *text, size_t size);
/* The same of a record of the table's tree; its value may be without data. */
int change_describe_record(const struct table_def *table, struct bytes key, struct bytes value, char *text, size_t size);
/* "Key (a, b)=(1, x)", in the op's arena; NULL when memory is exhausted. */
const char *change_key_text(struct op *op, const struct table_def *table, const struct index_def *index,
                            const struct datum *values);

#endif
