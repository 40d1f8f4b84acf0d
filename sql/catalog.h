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
struct virtual_table;

struct column_def {
    const char *name;
    int number;                 /* attribute number, from 1, never reused */
    struct sql_type type;
    bool not_null;
    const char *default_sql;    /* text of the default, or of what a generated column is computed from; NULL when absent */
    bool generated;             /* GENERATED ALWAYS AS (default_sql) STORED */
    bool has_missing;           /* added to a table with rows: those written before have `missing` */
    struct datum missing;
    bool key_only;              /* the primary key gives it back exactly: not stored in the row's value (row_settle) */
};

/* Where a column's value lies in a row: one per attribute number that ever was. */
struct stored_column_def {
    int column;                 /* index in table_def.columns; -1: dropped */
    Oid type;
};

struct index_column {
    int column;                 /* index in table_def.columns; from column_count on: an expression */
    bool descending, nulls_first;
};

struct index_def {
    Oid oid;
    const char *name;
    TreeId tree;                /* the table's own tree for the primary key */
    bool unique, primary;
    bool constraint;            /* made by PRIMARY KEY or UNIQUE: dropped with it, named in 23505 */
    int column_count;           /* of the key */
    int include_count;          /* INCLUDE: behind those of the key in `columns` */
    struct index_column *columns;
    int predicate;              /* partial: a boolean expression's place in table_def.columns; -1: holds all rows */
    CommitTs valid_from;        /* older snapshots do not read it */
};

/* CHECK (sql). */
struct check_def {
    Oid oid;
    const char *name;
    const char *sql;
    bool validated;             /* all rows are known to satisfy it */
};

/* FOREIGN KEY, as both its tables know it. */
struct foreign_def {
    Oid oid;
    const char *name;
    Oid child, parent;
    Oid index;                  /* unique, of the parent: its columns are the referenced ones */
    int count;
    int *child_numbers, *parent_numbers;    /* attribute numbers, pairwise */
    int set_count;              /* ON DELETE SET NULL (columns); 0: all of them */
    int *set_numbers;
    char on_update, on_delete;  /* a NO ACTION, r RESTRICT, c CASCADE, n SET NULL, d SET DEFAULT */
    bool deferrable, deferred, validated;
};

struct table_def {
    Oid oid;
    const char *schema;         /* "public", "pg_catalog" */
    const char *name;
    TreeId tree;
    int column_count;
    struct column_def *columns; /* behind them: expressions of indexes, whose default_sql is their text */
    int expression_count;
    int stored_count;           /* attribute numbers given so far */
    struct stored_column_def *stored;   /* in order of number; NULL: the columns as they are */
    int check_count;
    struct check_def *checks;   /* by name: in the order in which they are checked */
    int foreign_count;
    struct foreign_def *foreigns;       /* of which this table is the child */
    int referrer_count;
    struct foreign_def *referrers;      /* of which it is the parent */
    int index_count;
    struct index_def *indexes;  /* the primary key first, when there is one */
    bool has_primary;           /* else clustered on a hidden row id (8 bytes, key_put_int) */
    bool system;                /* a catalog table: read-only for SQL */
    const struct virtual_table *rows;   /* virtual.h: where its rows come from; NULL: from its tree */
    CommitTs version;           /* commit that made this definition; 0 for bootstrap */
    atomic_int references;
    struct arena arena;         /* holds all of the above */
};

/* A column by its attribute number; -1 when there is none. */
static inline int catalog_column(const struct table_def *table, int number)
{
    for (int i = 0; i < table->column_count; i++)
        if (table->columns[i].number == number)
            return i;
    return -1;
}

/* Values of a row that an index may ask for: those of its columns, then those of expressions. */
static inline int catalog_value_count(const struct table_def *table) { return table->column_count + table->expression_count; }
/* How many values an older row was written with, at most; and where the i-th of them is: -1 when its column has been dropped. */
static inline int catalog_stored_count(const struct table_def *table)
{
    return table->stored ? table->stored_count : table->column_count;
}
static inline int catalog_stored_column(const struct table_def *table, int i) { return table->stored ? table->stored[i].column : i; }

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
