/*
 * catalog.h -- tables, indexes and columns: definitions as the statement's snapshot sees them.
 *
 * The catalog is kept in ordinary versioned tables.  What is read from them is cached as immutable definitions that live as long as someone
 * holds a reference.
 */
#ifndef ISOLDE_SQL_CATALOG_H
#define ISOLDE_SQL_CATALOG_H

#include <stdatomic.h>

#include "sql/type.h"
#include "txn/txn.h"

struct session;

struct column_def {
    const char *name;
    int number;                 /* attribute number, from 1, never reused */
    struct sql_type type;
    bool not_null;
    const char *default_sql;    /* source text of the default expression; NULL when absent */
    bool key_only;              /* the primary key gives it back exactly: not stored in the row's value (row_settle) */
};

struct index_column {
    int column;                 /* index in table_def.columns */
    bool descending, nulls_first;
};

struct index_def {
    Oid oid;
    const char *name;
    TreeId tree;                /* the table's own tree for the primary key */
    bool unique, primary;
    bool constraint;            /* made by PRIMARY KEY or UNIQUE: dropped with it, named in 23505 */
    int column_count;
    struct index_column *columns;
    CommitTs valid_from;        /* older snapshots do not read it */
};

struct table_def {
    Oid oid;
    const char *schema;         /* "public", "pg_catalog" */
    const char *name;
    TreeId tree;
    int column_count;
    struct column_def *columns;
    int index_count;
    struct index_def *indexes;  /* the primary key first, when there is one */
    bool has_primary;           /* else clustered on a hidden row id (8 bytes, key_put_int) */
    bool system;                /* a catalog table: read-only for SQL */
    CommitTs version;           /* commit that made this definition; 0 for bootstrap */
    atomic_int references;
    struct arena arena;         /* holds all of the above */
};

/* By name: *table is NULL when there is none.  schema NULL: the search path.  Release it with catalog_release. */
int catalog_find_table(struct op *op, struct session *session, const char *schema, const char *name,
                       struct table_def **table) MUST_CHECK;
/* By oid. */
int catalog_table(struct op *op, struct session *session, Oid oid, struct table_def **table) MUST_CHECK;
void catalog_release(struct table_def *table);      /* NULL is fine */
struct table_def *catalog_hold(struct table_def *table);
/* Oids of all visible tables, in the order of their names, in the op's scratch arena. */
int catalog_list_tables(struct op *op, struct session *session, Oid **oids, int *count) MUST_CHECK;
/* Changes whenever a definition that this session may use has changed: a kept plan is valid while it is the same. */
uint64_t catalog_stamp(struct session *session);

#endif
