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
    int column_count, include_count;
    struct index_column columns[KEY_COLUMNS_MAX];       /* column -1: an expression; INCLUDEd ones last */
    const char *expressions[KEY_COLUMNS_MAX];           /* their texts and types */
    struct sql_type types[KEY_COLUMNS_MAX];
    const char *predicate;          /* NULL: not partial */
};

/* A row of pg_constraint about to be made. */
struct ddl_constraint {
    const char *name;
    const char *type;               /* c, f, p, u */
    Oid table, index;
    const int *columns;             /* attribute numbers */
    int column_count;
    const char *text;               /* CHECK */
    bool deferrable, deferred, validated;
    Oid parent;                     /* FOREIGN KEY */
    const int *parent_columns, *set_columns;
    int set_count;
    char on_update, on_delete;
};

/* ---- ddl_catalog.c: rows of the system tables ---- */

int ddl__insert_row(struct op *op, struct session *session, enum system_table which, const struct datum *values) MUST_CHECK;
/* Deletes every row whose index (NULL-th: the primary key) begins with this oid. */
int ddl__delete_rows(struct op *op, struct session *session, enum system_table which, int index, Oid oid) MUST_CHECK;
int ddl__new_oid(struct op *op, struct session *session, Oid *oid) MUST_CHECK;
/* Changes one column of a row of the catalog. */
int ddl__set(struct op *op, struct session *session, enum system_table which, const struct catalog_row *row, int column,
             struct datum value) MUST_CHECK;
/* The only row of a system table whose primary key begins with these values; XX001 when there is none. */
int ddl__row(struct op *op, struct session *session, enum system_table which, const struct datum *prefix, int prefix_count,
             struct catalog_row **row) MUST_CHECK;
/* Rows that describe an index; the new index's oid is given. */
int ddl__insert_index(struct op *op, struct session *session, const struct table_def *table, const struct ddl_index *index, Oid oid,
                      TreeId tree) MUST_CHECK;
int ddl__insert_constraint(struct op *op, struct session *session, const struct ddl_constraint *constraint) MUST_CHECK;
/* Rows that describe a column. */
int ddl__insert_column(struct op *op, struct session *session, Oid table, const struct column_def *column, const char *missing)
    MUST_CHECK;
/* What has been written so far counts from here on: the table as it is now, in place of an older definition that is given back. */
int ddl__reload(struct op *op, struct session *session, Oid oid, struct table_def **table) MUST_CHECK;
/* The constraint of a table by name; NULL when there is none. */
int ddl__find_constraint(struct op *op, struct session *session, Oid table, const char *name, struct catalog_row **row) MUST_CHECK;
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

/* ---- ddl_constraint.c ---- */

/* Columns of a key as an index; 42703, 42701. */
int ddl__plan_key(struct op *op, const struct table_def *table, const struct ast_constraint *constraint, struct ddl_index *index)
    MUST_CHECK;
/* Name and columns of a CHECK constraint, after a look at its expression; `taken` are names of others that are about to be made. */
int ddl__plan_check(struct op *op, struct session *session, struct table_def *table, const struct ast_constraint *constraint,
                    const char *const *taken, int taken_count, struct ddl_constraint *check) MUST_CHECK;
/* Goes through all rows of a table: 23514 for the constraint (NULL: none), 23502 for a column that may not be null (-1: none). */
int ddl__verify(struct op *op, struct session *session, struct table_def *table, const char *check, int not_null) MUST_CHECK;
/* X1: 40001 where the snapshot may lack rows that others have committed. */
int ddl__check_snapshot(struct op *op, struct session *session, const struct table_def *table) MUST_CHECK;

/* ---- ddl_foreign.c ---- */

/* A new foreign key of a table that is locked; its rows are checked. */
int ddl__add_foreign(struct op *op, struct session *session, struct table_def **child, const struct ast_constraint *constraint)
    MUST_CHECK;
const struct foreign_def *ddl__foreign(const struct table_def *child, const char *name);
/* What a table is about to lose: an index (oid), a column (attribute number), or, with neither, itself. */
struct ddl_release {
    Oid index;
    int number;
    const char *name, *detail;      /* "table p", "column a of table p"; what the constraint depends on */
    bool cascade;
    const Oid *dropped;             /* tables that go as well */
    int dropped_count;
};
/* 2BP01 when foreign keys of others depend on it, or drops them. */
int ddl__release_parent(struct op *op, struct session *session, const struct table_def *parent, const struct ddl_release *what)
    MUST_CHECK;

/* ---- ddl_rewrite.c ---- */

/* Calls visit for each row at the statement's snapshot, without a latch; values has room for the expressions of indexes. */
typedef int ddl_row_visit(void *arg, struct op *op, struct datum *values);
int ddl__each_row(struct op *op, struct session *session, const struct table_def *table, ddl_row_visit *visit, void *arg) MUST_CHECK;
/* New trees for the table and all its indexes; rows go over unless `empty`, by attribute number.  A column may get its values from an
 * expression over the old columns instead.  `before` is the definition that the rows have, *table the one that they get. */
struct ddl_transform {
    int number;                     /* attribute number */
    const struct expr *expr;        /* over `before`; a plain value of the new type */
};
int ddl__rewrite(struct op *op, struct session *session, const struct table_def *before, const struct ddl_transform *transform,
                 int transform_count, bool empty, struct table_def **table) MUST_CHECK;
/* The table's trees are about to go; tree: what takes their place, 0: nothing. */
int ddl__renounce_reads(struct op *op, struct session *session, const struct table_def *before, TreeId tree) MUST_CHECK;

/* ---- ddl_index.c ---- */

/* A new index with its rows of the catalog and its entries. */
int ddl__make_index(struct op *op, struct session *session, struct table_def **table, const struct ddl_index *index) MUST_CHECK;
/* The table of an index, locked against everybody; *table is NULL when there is no such index. */
int ddl__lock_index(struct op *op, struct session *session, const struct ast_name *name, struct table_def **table,
                    const struct index_def **index) MUST_CHECK;
/* Its rows and its tree; its constraint, if any, is the caller's. */
int ddl__drop_index(struct op *op, struct session *session, const struct table_def *table, const struct index_def *index) MUST_CHECK;

/* ---- ddl_build.c ---- */

/* Fills a new index's tree from the table at the statement's snapshot. 23505 when it cannot be unique. */
int ddl__build_index(struct op *op, struct session *session, struct table_def *table, const struct index_def *index) MUST_CHECK;

#endif
