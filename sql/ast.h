/*
 * ast.h -- a statement as it was written: what the grammar makes, what the binder and the utility statements read.
 *
 * Nothing is looked up yet: names are texts, folded to lower case where they were not quoted.  Lists are singly linked by `next`
 * in the order of the text.  Every node knows where it stands: `position` counts characters (not bytes) from 1.
 * Where PostgreSQL points at the operator of an expression, so does its node.
 *
 * A1  Everything lives in the arena given to parse_statement, and is immutable afterwards.
 * A2  A parsed statement holds only what the rest of the engine can carry out: what is refused by name is refused here.
 * A3  Parentheses leave no node; AND and OR chains are flat lists.
 */
#ifndef ISOLDE_SQL_AST_H
#define ISOLDE_SQL_AST_H

#include "src/base/op.h"
#include "src/base/types.h"
#include "txn/txn.h"

struct ast_expr;
struct ast_select;

/* Walks over trees count their depth and fail with 54001 beyond this. */
enum { AST_DEPTH_MAX = 4000, AST_NAME_BYTES_MAX = 63 };

/* ---- names and types ---- */

/* A word with its place: columns of lists, savepoints. */
struct ast_word {
    const char *text;
    int position;
    struct ast_word *next;
};

/* A table or index, perhaps with its schema. */
struct ast_name {
    const char *schema;             /* NULL when not given */
    const char *name;
    int position;
    struct ast_name *next;
};

/* A type's name; bind_type (query.h) resolves it. */
struct ast_type {
    const char *schema;             /* NULL when not given */
    const char *name;               /* "integer", "character varying", ... as written, or the SQL spelling's type */
    int modifier_count;             /* -1: none given */
    int64_t modifiers[2];
    int position;
    struct ast_type *next;          /* in a list */
};

/* ---- expressions ---- */

enum ast_expr_kind {
    AST_NULL, AST_BOOL,
    AST_INTEGER,        /* fits an integer */
    AST_NUMBER,         /* any other number, as text */
    AST_STRING,
    AST_COLUMN,         /* a, t.a, t.*, * */
    AST_PARAM,          /* $n */
    AST_CAST,           /* CAST(left AS type), left::type, type 'literal' */
    AST_OPERATOR,       /* left op right; prefix operators have no left */
    AST_AND, AST_OR,    /* args, two or more */
    AST_NOT,            /* left */
    AST_TEST,           /* left IS [NOT] NULL, TRUE, FALSE, UNKNOWN */
    AST_DISTINCT,       /* left IS [NOT] DISTINCT FROM right */
    AST_BETWEEN,        /* left [NOT] BETWEEN [SYMMETRIC] args[0] AND args[1] */
    AST_LIKE,           /* left [NOT] LIKE right [ESCAPE args[0]]; name is the operator's: ~~ or !~~ */
    AST_IN,             /* left [NOT] IN (args) or (select) */
    AST_CASE,           /* CASE [left] WHEN args[0] THEN args[1] ... ELSE right END */
    AST_CALL,           /* a function */
    AST_COALESCE, AST_GREATEST, AST_LEAST,  /* args */
    AST_NULLIF,         /* left, right */
    AST_EXISTS,         /* EXISTS (select) */
    AST_SUBQUERY,       /* (select) as a value */
    AST_ROW,            /* (args) of two or more, ROW(args) */
    AST_DEFAULT,        /* DEFAULT in VALUES and SET */
    AST_CLOCK,          /* current_date and the like: name */
};

enum ast_test { AST_IS_NULL, AST_IS_TRUE, AST_IS_FALSE, AST_IS_UNKNOWN };

struct ast_order {
    struct ast_expr *expr;
    bool descending;
    bool nulls_given, nulls_first;  /* nulls_first is settled also when not given: PostgreSQL's default */
    int position;
    struct ast_order *next;
};

struct ast_expr {
    enum ast_expr_kind kind;
    int position;
    bool negated;                   /* NOT of TEST, DISTINCT, BETWEEN, LIKE, IN */
    int clause_position;            /* a condition of CASE: where its WHEN stands */
    struct ast_expr *next;          /* in the list that this is part of */
    struct ast_expr *left, *right;
    struct ast_expr *args;
    int arg_count;
    union {
        bool boolean;               /* BOOL */
        int integer;                /* INTEGER, PARAM */
        struct {                    /* STRING, NUMBER */
            const char *text;
            size_t len;
        };
        struct {                    /* COLUMN: names[0] . names[1] ...; a star is the last, without a name */
            struct ast_word *names;
            int name_count;
            bool star;
        };
        struct {                    /* OPERATOR, LIKE, CLOCK, CALL */
            const char *name;
            const char *schema;     /* NULL when not given */
            bool star;              /* f(*) */
            bool distinct;
            bool spelled;           /* an SQL spelling such as SUBSTRING(x FROM y): found in pg_catalog alone */
            struct ast_order *order;
            struct ast_expr *filter;
        } call;
        enum ast_test test;         /* TEST */
        bool symmetric;             /* BETWEEN */
        struct ast_type *type;      /* CAST */
        struct ast_select *select;  /* EXISTS, SUBQUERY, IN (NULL for a list) */
    };
};

/* An item of a select list or of RETURNING. */
struct ast_target {
    struct ast_expr *expr;
    const char *label;              /* AS label; NULL when not given */
    int position;
    struct ast_target *next;
};

/* ---- queries ---- */

enum ast_join_kind { AST_JOIN_INNER, AST_JOIN_LEFT, AST_JOIN_RIGHT };
enum ast_from_kind { AST_FROM_TABLE, AST_FROM_SELECT, AST_FROM_CALL, AST_FROM_JOIN };

struct ast_from {
    enum ast_from_kind kind;
    int position;
    struct ast_name *table;         /* TABLE */
    struct ast_select *select;      /* SELECT */
    struct ast_expr *call;          /* CALL */
    const char *alias;              /* NULL when not given */
    struct ast_word *columns;       /* alias (columns) */
    enum ast_join_kind join;        /* JOIN */
    bool natural;
    struct ast_word *using;         /* NULL when not given */
    struct ast_expr *on;            /* NULL when not given */
    struct ast_from *left, *right;
    struct ast_from *next;
};

/* One row of VALUES. */
struct ast_row {
    struct ast_expr *values;
    int count;
    int position;
    struct ast_row *next;
};

/* What a statement does about a lock that it cannot have now. */
enum ast_wait { AST_WAIT, AST_SKIP_LOCKED, AST_NOWAIT };

/* FOR UPDATE and the like. */
struct ast_locking {
    enum txn_row_lock mode;
    struct ast_name *tables;        /* OF; NULL: all */
    enum ast_wait wait;
    int position;
    struct ast_locking *next;
};

enum ast_select_kind { AST_SELECT_PLAIN, AST_SELECT_VALUES, AST_SELECT_SET };
enum ast_set_operation { AST_UNION, AST_INTERSECT, AST_EXCEPT };

struct ast_select {
    enum ast_select_kind kind;
    int position;
    bool distinct;                  /* PLAIN */
    struct ast_target *targets;
    struct ast_from *from;
    struct ast_expr *where;
    struct ast_expr *groups;
    struct ast_expr *having;
    struct ast_row *rows;           /* VALUES */
    enum ast_set_operation operation;   /* SET */
    bool all;
    struct ast_select *left, *right;
    struct ast_order *order;        /* any kind */
    struct ast_expr *limit, *offset;
    struct ast_locking *locking;    /* NULL: none */
};

/* ---- changes of data ---- */

enum ast_conflict_kind { AST_CONFLICT_NONE, AST_CONFLICT_NOTHING, AST_CONFLICT_UPDATE };

/* ON CONFLICT. */
struct ast_conflict {
    enum ast_conflict_kind action;
    struct ast_index_column *columns;       /* the target: columns and expressions, or a constraint, or nothing */
    struct ast_expr *target_where;
    const char *constraint;
    struct ast_set_item *sets;
    struct ast_expr *where;
    int position;                   /* of ON */
    int target_position;
};

struct ast_insert {
    struct ast_name *table;
    const char *alias;
    struct ast_word *columns;       /* NULL: all, in order */
    struct ast_select *select;      /* VALUES, SELECT; NULL: DEFAULT VALUES */
    struct ast_conflict conflict;
    struct ast_target *returning;
};

struct ast_set_item {
    struct ast_word column;
    bool field;                     /* column.field was written */
    struct ast_expr *value;
    struct ast_set_item *next;
};

/* UPDATE and DELETE. */
struct ast_change {
    struct ast_name *table;
    const char *alias;
    struct ast_set_item *sets;      /* UPDATE */
    struct ast_expr *where;
    struct ast_target *returning;
};

/* ---- definitions ---- */

struct ast_column {
    const char *name;
    struct ast_type *type;
    bool not_null;
    bool null_given;                /* NULL was written: conflicts with NOT NULL have been refused already (42601) */
    struct ast_expr *default_value; /* NULL when absent */
    const char *default_sql;        /* its text */
    bool generated;                 /* GENERATED ALWAYS AS (default_value) STORED */
    int position;
    struct ast_column *next;
};

enum ast_constraint_kind { AST_PRIMARY_KEY, AST_UNIQUE, AST_CHECK, AST_FOREIGN_KEY };

/* A constraint of a column or of the table. */
struct ast_constraint {
    enum ast_constraint_kind kind;
    const char *name;               /* CONSTRAINT name; NULL when not given */
    struct ast_word *columns;       /* PRIMARY KEY, UNIQUE, FOREIGN KEY; of a column: that column, also for CHECK */
    bool of_column;
    struct ast_word *include;       /* PRIMARY KEY, UNIQUE */
    struct ast_expr *check;         /* CHECK */
    const char *check_sql;
    struct ast_name *parent;        /* FOREIGN KEY */
    struct ast_word *parent_columns;/* NULL: its primary key */
    char on_update, on_delete;      /* a NO ACTION, r RESTRICT, c CASCADE, n SET NULL, d SET DEFAULT */
    struct ast_word *set_columns;   /* ON DELETE SET NULL (columns) */
    bool deferrable, deferrable_given, deferred, not_valid;
    int position;
    struct ast_constraint *next;
};

struct ast_create_table {
    struct ast_name *table;
    bool if_not_exists;
    struct ast_column *columns;
    struct ast_constraint *constraints;     /* of columns and table, in the order of the text */
};

struct ast_index_column {
    const char *name;               /* NULL: an expression */
    struct ast_expr *expr;
    const char *sql;
    const char *label;              /* what a generated name of the index calls it: a function's name, or "expr" */
    bool descending, nulls_first;
    int position;
    struct ast_index_column *next;
};

struct ast_create_index {
    const char *name;               /* NULL: chosen by PostgreSQL's rule */
    bool unique, if_not_exists;
    struct ast_name *table;
    struct ast_index_column *columns;
    struct ast_word *include;
    struct ast_expr *where;         /* NULL: not partial */
    const char *where_sql;
};

/* DROP TABLE, DROP INDEX. */
struct ast_drop {
    struct ast_name *names;
    bool if_exists, cascade;
};

/* What ALTER TABLE does, one after the other. */
enum ast_alter_kind {
    AST_DROP_COLUMN, AST_DROP_CONSTRAINT, AST_ALTER_TYPE, AST_ADD_COLUMN, AST_ALTER_DEFAULT, AST_DROP_DEFAULT, AST_SET_NOT_NULL,
    AST_DROP_NOT_NULL, AST_DROP_EXPRESSION, AST_ADD_CONSTRAINT, AST_VALIDATE_CONSTRAINT
};

struct ast_alter_action {
    enum ast_alter_kind kind;
    const char *name;               /* of the column or constraint */
    bool if_exists, cascade;        /* IF EXISTS, or IF NOT EXISTS */
    struct ast_column *column;      /* ADD COLUMN */
    struct ast_constraint *constraints;     /* ADD CONSTRAINT: one; ADD COLUMN: those of the column */
    struct ast_type *type;          /* ALTER TYPE */
    struct ast_expr *value;         /* USING, or SET DEFAULT */
    const char *value_sql;
    int position;
    struct ast_alter_action *next;
};

struct ast_alter {
    struct ast_name *table;
    bool if_exists;
    struct ast_alter_action *actions;
};

enum ast_rename_kind { AST_RENAME_TABLE, AST_RENAME_INDEX, AST_RENAME_COLUMN, AST_RENAME_CONSTRAINT };

struct ast_rename {
    enum ast_rename_kind kind;
    struct ast_name *object;        /* table or index */
    bool if_exists;
    const char *from, *to;          /* from: of a column or constraint */
};

/* SET CONSTRAINTS. */
struct ast_set_constraints {
    struct ast_name *names;         /* NULL: ALL */
    bool deferred;
};

struct statement;

/* PREPARE, EXECUTE, DEALLOCATE. */
struct ast_prepare {
    const char *name;               /* DEALLOCATE: NULL for ALL */
    struct ast_type *types;         /* PREPARE */
    struct statement *statement;
    struct ast_expr *args;          /* EXECUTE */
    int arg_count;
};

/* DECLARE, CLOSE. */
struct ast_cursor {
    const char *name;               /* CLOSE: NULL for ALL */
    bool scroll, no_scroll, hold;
    struct statement *statement;
};

enum ast_direction { AST_FORWARD, AST_BACKWARD, AST_ABSOLUTE, AST_RELATIVE };

/* FETCH, MOVE. */
struct ast_fetch {
    const char *name;
    bool move;
    enum ast_direction direction;
    int64_t count;                  /* INT64_MAX: ALL */
};

struct ast_lock {
    struct ast_name *tables;
    enum txn_table_lock mode;
    bool nowait;
};

struct ast_truncate {
    struct ast_name *tables;
    bool restart, cascade;
};

/* ---- transactions and settings ---- */

enum ast_isolation {
    AST_ISOLATION_NONE,             /* not given */
    AST_READ_UNCOMMITTED, AST_READ_COMMITTED, AST_REPEATABLE_READ, AST_SERIALIZABLE
};
enum ast_choice { AST_CHOICE_NONE, AST_CHOICE_NO, AST_CHOICE_YES };

struct ast_modes {
    enum ast_isolation isolation;
    enum ast_choice read_only;
    enum ast_choice deferrable;
};

enum ast_transaction_kind {
    AST_BEGIN, AST_START, AST_COMMIT, AST_ROLLBACK, AST_SAVEPOINT, AST_ROLLBACK_TO, AST_RELEASE
};

struct ast_transaction {
    enum ast_transaction_kind kind;
    struct ast_modes modes;         /* BEGIN, START */
    bool chain;                     /* COMMIT, ROLLBACK AND CHAIN */
    const char *savepoint;
};

enum ast_set_scope { AST_SET_PLAIN, AST_SET_SESSION, AST_SET_LOCAL };
enum ast_set_kind {
    AST_SET_VALUE,                  /* name TO value, ... */
    AST_SET_DEFAULT,                /* name TO DEFAULT */
    AST_SET_TRANSACTION,            /* SET TRANSACTION modes */
    AST_SET_CHARACTERISTICS         /* SET SESSION CHARACTERISTICS AS TRANSACTION modes */
};

/* A value as text: on, 10, 'abc', -1.5, 100MB in quotes. */
struct ast_set {
    enum ast_set_scope scope;
    enum ast_set_kind kind;
    const char *name;
    struct ast_word *values;
    struct ast_modes modes;
};

/* SHOW and RESET. */
struct ast_show {
    const char *name;               /* NULL: ALL */
};

/* ---- COPY, EXPLAIN ---- */

/* One option as in (FORMAT csv, HEADER, FORCE_QUOTE (a, b)). The old spellings have been turned into these. */
struct ast_option {
    const char *name;               /* lower case */
    const char *value;              /* text of a word, a string or a number; NULL when there is none */
    bool star;                      /* value is * */
    struct ast_word *list;          /* value is (a, b) */
    int position;
    struct ast_option *next;
};

struct ast_copy {
    struct ast_name *table;         /* NULL: a query */
    struct ast_word *columns;
    struct statement *query;        /* SELECT, VALUES, or INSERT/UPDATE/DELETE (with RETURNING, checked by who runs it) */
    bool from;
    const char *file;               /* NULL: STDIN or STDOUT */
    struct ast_option *options;
};

struct ast_explain {
    struct statement *statement;
    struct ast_option *options;     /* EXPLAIN ANALYZE VERBOSE gives options without values */
};

/* ANALYZE, VACUUM */
struct ast_maintain {
    struct ast_name *tables;        /* NULL: all */
    struct ast_option *options;
};

struct ast_backup {
    const char *path;
    struct ast_option *options;
};

/* ---- statements ---- */

enum statement_kind {
    STATEMENT_SELECT, STATEMENT_INSERT, STATEMENT_UPDATE, STATEMENT_DELETE,
    STATEMENT_CREATE_TABLE, STATEMENT_CREATE_INDEX, STATEMENT_DROP_TABLE, STATEMENT_DROP_INDEX,
    STATEMENT_ALTER_TABLE, STATEMENT_RENAME, STATEMENT_TRUNCATE, STATEMENT_LOCK,
    STATEMENT_PREPARE, STATEMENT_EXECUTE, STATEMENT_DEALLOCATE, STATEMENT_DECLARE, STATEMENT_FETCH, STATEMENT_CLOSE,
    STATEMENT_TRANSACTION, STATEMENT_SET_CONSTRAINTS, STATEMENT_SET, STATEMENT_SHOW, STATEMENT_RESET,
    STATEMENT_COPY, STATEMENT_EXPLAIN,
    STATEMENT_CHECKPOINT, STATEMENT_CHECK_DATABASE, STATEMENT_ANALYZE, STATEMENT_VACUUM,
    STATEMENT_BACKUP
};

struct statement {
    enum statement_kind kind;
    int position;                   /* of its first word */
    int param_count;                /* highest $n */
    union {
        struct ast_select *select;
        struct ast_insert *insert;
        struct ast_change *change;  /* UPDATE, DELETE */
        struct ast_create_table *create_table;
        struct ast_create_index *create_index;
        struct ast_drop *drop;
        struct ast_alter *alter;
        struct ast_rename *rename;
        struct ast_truncate *truncate;
        struct ast_prepare *prepare;    /* PREPARE, EXECUTE, DEALLOCATE */
        struct ast_cursor *cursor;      /* DECLARE, CLOSE */
        struct ast_fetch *fetch;        /* FETCH, MOVE */
        struct ast_set_constraints *set_constraints;
        struct ast_lock *lock;
        struct ast_transaction *transaction;
        struct ast_set *set;
        struct ast_show *show;      /* SHOW, RESET */
        struct ast_copy *copy;
        struct ast_explain *explain;
        struct ast_maintain *maintain;
        struct ast_backup *backup;
    };
};

/* Parses the first statement of the text; *statement = NULL when there is none (spaces, comments, a lone semicolon).
 * *tail: byte offset behind the statement and its semicolon, set also when the statement is wrong.
 * 42601 for wrong syntax, 0A000 for what PostgreSQL has and this does not, 22021 for text that is not UTF-8. */
int parse_statement(struct op *op, struct arena *arena, const char *sql, size_t len, size_t *tail,
                    struct statement **statement) MUST_CHECK;
/* An expression alone: the text of a default. */
int parse_expression(struct op *op, struct arena *arena, const char *sql, struct ast_expr **expr) MUST_CHECK;

#endif
