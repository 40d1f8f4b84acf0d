/*
 * query.h -- a bound statement: names resolved, types settled, nothing decided yet about how to run it.
 */
#ifndef ISOLDE_SQL_QUERY_H
#define ISOLDE_SQL_QUERY_H

#include "sql/ast.h"
#include "sql/catalog.h"
#include "sql/expr.h"

enum query_kind { QUERY_SELECT, QUERY_INSERT, QUERY_UPDATE, QUERY_DELETE };

enum range_kind { RANGE_TABLE, RANGE_SUBQUERY, RANGE_FUNCTION, RANGE_VALUES };

/* An entry of FROM. */
struct range_entry {
    enum range_kind kind;
    const char *alias;              /* the name by which columns are qualified */
    int column_count;
    const char **column_names;
    struct sql_type *column_types;
    struct table_def *table;        /* TABLE (a reference held by the query) */
    struct query *subquery;         /* SUBQUERY */
    struct expr *function;          /* FUNCTION: an EXPR_SERIES */
    int row_count;                  /* VALUES: row_count * column_count expressions, row by row */
    struct expr **values;
};

enum join_kind { JOIN_INNER, JOIN_LEFT };

/* The shape of FROM. */
struct from_node {
    bool is_join;
    int range;                      /* not a join: index in ranges */
    enum join_kind join;
    struct from_node *left, *right;
    struct expr *on;                /* NULL: no condition (cross join) */
};

struct target {
    struct expr *expr;
    const char *name;
    bool hidden;                    /* computed for ORDER BY or the like, not handed out */
};

enum set_kind { SET_NONE, SET_UNION, SET_UNION_ALL, SET_INTERSECT, SET_INTERSECT_ALL, SET_EXCEPT, SET_EXCEPT_ALL };

/* FOR UPDATE and the like, settled for one table of FROM. */
struct row_mark {
    int range;
    enum txn_row_lock mode;
    enum ast_wait wait;
};

struct query {
    enum query_kind kind;
    /* FROM ... WHERE ... */
    int range_count;
    struct range_entry *ranges;
    struct from_node *from;         /* NULL when there is none */
    struct expr *where;             /* NULL when there is none */
    /* SELECT */
    int target_count;
    struct target *targets;         /* for INSERT, UPDATE, DELETE: RETURNING (over range 0, the new or deleted row) */
    bool grouped;                   /* has GROUP BY, HAVING or aggregates */
    int group_count;
    struct expr **groups;           /* expressions equal to those that occur in targets and HAVING */
    struct expr *having;
    bool distinct;
    int order_count;
    struct sort_key *order;
    struct expr *limit, *offset;    /* bigint or NULL */
    int mark_count;                 /* rows of these tables are locked, in this order */
    struct row_mark *marks;
    struct query *recheck;          /* planner: the query as its conditions are judged again on a row that has changed */
    /* UNION and the like: then ranges, from, where and groups are empty, and targets are columns of the left branch (EXPR_COLUMN
     * with range 0), by which ORDER BY sorts. Types of both branches agree with the targets' */
    enum set_kind set;
    struct query *left, *right;
    /* INSERT: ranges[0] is the target table.  source gives one column per entry of insert_columns, already cast for assignment;
     * columns that are not named get defaults[i] (an expression, or NULL for null). UPDATE and DELETE: ranges[0] is the target. */
    struct query *source;
    int insert_count;
    int *insert_columns;            /* indexes in the table's columns */
    struct expr **defaults;         /* INSERT: one per column of the table; used for the columns that insert_columns leaves out */
    /* ON CONFLICT: the unique indexes whose conflicts count (all of them when none is named), and what DO UPDATE does with columns of
     * range 0, the row that is there, and of range 1, the one that was to be inserted.  set_* hold its SET. */
    enum conflict_action { CONFLICT_NONE, CONFLICT_NOTHING, CONFLICT_UPDATE } conflict;
    int arbiter_count;
    int *arbiters;                  /* indexes in the table's indexes */
    struct expr *conflict_where;
    int set_count;                  /* UPDATE, DO UPDATE */
    int *set_columns;
    struct expr **set_values;       /* cast for assignment; may use columns of range 0 */
    bool returning;
    /* what the statement as a whole needs */
    bool is_volatile;               /* calls a volatile function, or locks rows */
    const char *locking;            /* "SELECT FOR UPDATE": as errors call it; NULL when no rows are locked */
    Oid *locked;                    /* tables of which SELECT ... FOR locks rows, anywhere in the statement */
    int locked_count;
    struct held *held;              /* the binder's own: tables that query_release gives back */
};

/* ---- the binder ---- */

struct statement;   /* sql/ast.h: one parsed statement */
struct ast_expr;
struct ast_type;

struct bind_params {
    int count;
    struct sql_type *types;         /* settled from context; text where nothing tells */
};

/* Binds SELECT, VALUES, INSERT, UPDATE, DELETE.  Everything lives in the arena; tables are held until query_release.
 * params: in: number and known types (TYPE_UNKNOWN = to be inferred); out: settled. */
int bind_statement(struct op *op, struct session *session, struct arena *arena, const struct statement *statement,
                   struct bind_params *params, struct query **query) MUST_CHECK;
/* An expression without columns, from its text, cast for assignment to `type` (oid 0: as it is): defaults. */
int bind_expression(struct op *op, struct session *session, struct arena *arena, const char *sql, struct sql_type type,
                    struct expr **expr) MUST_CHECK;
/* What an expression over the columns of one table is for: what may stand in it, and how errors call it. */
enum bind_purpose { BIND_CHECK, BIND_GENERATED, BIND_INDEX, BIND_PREDICATE, BIND_TRANSFORM };
/* An expression over the columns of one table (range 0), parsed, or from its text where `ast` is NULL; cast for assignment to `type`
 * (oid 0: as it is). The table need not be in the catalog. */
int bind_table_expression(struct op *op, struct session *session, struct arena *arena, const char *sql, const struct ast_expr *ast,
                          struct table_def *table, enum bind_purpose purpose, struct sql_type type, struct expr **expr) MUST_CHECK;
/* ALTER COLUMN TYPE: USING (`ast` NULL: the column itself), cast for assignment to the new type. */
int bind_transform(struct op *op, struct session *session, struct arena *arena, const struct ast_expr *ast, struct table_def *table,
                   int column, struct sql_type type, struct expr **expr) MUST_CHECK;
/* EXECUTE: the value of parameter `number`, cast for assignment to its type. */
int bind_argument(struct op *op, struct session *session, struct arena *arena, const struct ast_expr *ast, int number,
                  struct sql_type type, struct expr **expr) MUST_CHECK;
void query_release(struct query *query);
/* The same SELECT written twice at one place: `a` and `b` give the same rows. */
bool query_equal(const struct query *a, const struct query *b);
/* A column's DEFAULT as parsed, cast for assignment to the column: what CREATE TABLE checks, with positions in its own text. */
int bind_default(struct op *op, struct session *session, struct arena *arena, const struct ast_expr *expr, const char *column,
                 struct sql_type type, struct expr **bound) MUST_CHECK;
/* A type's name: 42704 when there is none, 0A000 when PostgreSQL has it and this does not, 22023 for a modifier out of range. */
int bind_type(struct op *op, const struct ast_type *name, struct sql_type *type) MUST_CHECK;

#endif
