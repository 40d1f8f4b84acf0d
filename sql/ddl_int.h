/*
 * ddl_int.h -- what the statements that define tables and indexes share.
 */
#ifndef ISOLDE_SQL_DDL_INT_H
#define ISOLDE_SQL_DDL_INT_H

#include "sql/session_int.h"

/* An index about to be made. */
struct ddl_index {
    const char *name;
    bool unique, primary, constraint;
    int column_count;
    struct index_column columns[KEY_COLUMNS_MAX];
};

/* ---- ddl_catalog.c: rows of the system tables ---- */

int ddl__insert_row(struct op *op, struct session *session, enum system_table which, const struct datum *values) MUST_CHECK;
/* Deletes every row whose index (NULL-th: the primary key) begins with this oid. */
int ddl__delete_rows(struct op *op, struct session *session, enum system_table which, int index, Oid oid) MUST_CHECK;
int ddl__new_oid(struct op *op, struct session *session, Oid *oid) MUST_CHECK;
/* Rows that describe an index. */
int ddl__insert_index(struct op *op, struct session *session, Oid table, const int *numbers, const struct ddl_index *index, Oid oid,
                      TreeId tree) MUST_CHECK;
/* A relation of this name, table or index, at the statement's snapshot. */
int ddl__relation_exists(struct op *op, struct session *session, const char *name, bool *exists) MUST_CHECK;
/* Only public can be written to. */
int ddl__check_schema(struct op *op, const struct ast_name *name) MUST_CHECK;
/* Finds and locks a table, and takes the snapshot behind the lock; *table is NULL when there is none. */
int ddl__lock_table(struct op *op, struct session *session, const struct ast_name *name, enum txn_table_lock mode,
                    struct table_def **table) MUST_CHECK;

/* ---- ddl_names.c ---- */

/* "name1_name2_label", cut to fit a name as PostgreSQL cuts it; name2 may be NULL. */
const char *ddl__object_name(struct op *op, const char *name1, const char *name2, const char *label);
/* The same, with a number behind when that is taken, in the catalog or among `taken`. */
int ddl__choose_name(struct op *op, struct session *session, const char *name1, const char *name2, const char *label,
                     const char *const *taken, int taken_count, const char **name) MUST_CHECK;
/* "a_b" of the columns. */
const char *ddl__join_names(struct op *op, const char *const *names, int count);

/* ---- ddl_build.c ---- */

/* Fills a new index's tree from the table at the statement's snapshot. 23505 when it cannot be unique. */
int ddl__build_index(struct op *op, struct session *session, const struct table_def *table, const struct index_def *index)
    MUST_CHECK;

#endif
