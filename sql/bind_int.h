/*
 * bind_int.h -- the binder's own: what is visible where, and the steps from tree to bound query.
 *
 * B1  A bound expression's `position` is the leftmost character of its text, as PostgreSQL reports types that do not fit;
 *     errors about an operator or a function use the tree's position, where the operator stands.
 * B2  An expression of type unknown is a string literal, NULL, or a parameter without a type; coercion settles it.
 * B3  Nodes are not changed once they are part of another node, but for parameters, whose type may be settled later.
 * B4  Every table that a statement names is held in the binder's list, and moves to the query at the end.
 */
#ifndef ISOLDE_SQL_BIND_INT_H
#define ISOLDE_SQL_BIND_INT_H

#include "sql/ast.h"
#include "sql/query.h"

/* A column that an unqualified name or a star may mean. */
struct space_column {
    const char *name;
    int range, column;
};

/* What a part of FROM makes visible. */
struct space {
    struct space_column *columns;   /* in the order of SELECT *; columns joined by USING once */
    int count;
    int *ranges;
    int range_count;
};

/* The clause in which an expression stands: what may occur in it, and how errors call it. */
enum place {
    PLACE_TARGET, PLACE_WHERE, PLACE_JOIN_ON, PLACE_GROUP_BY, PLACE_HAVING, PLACE_ORDER_BY, PLACE_LIMIT, PLACE_OFFSET,
    PLACE_VALUES, PLACE_FROM_FUNCTION, PLACE_UPDATE, PLACE_RETURNING, PLACE_DEFAULT, PLACE_FILTER, PLACE_INSERT,
    PLACE_CHECK, PLACE_GENERATED, PLACE_INDEX, PLACE_PREDICATE, PLACE_TRANSFORM,
    PLACE_EXECUTE
};

/* One query's names; chained outwards for correlated sub-selects. */
struct scope {
    struct scope *outer;
    struct query *query;
    int range_capacity;
    struct space space;             /* visible now */
    enum place place;
    bool has_aggregates;
    int target_capacity;
};

struct held {
    struct table_def *table;
    struct held *next;
};

struct binder {
    struct op *op;
    struct session *session;
    struct arena *arena;
    struct bind_params *params;
    struct scope *scope;            /* innermost */
    struct held *held;
    int depth;
    bool is_volatile;
    const char *locking;            /* of the first locking clause; NULL: none */
    Oid *locked;                    /* tables of which rows are locked */
    int locked_count, locked_capacity;
};

/* ---- bind.c ---- */
void *bind__alloc(struct binder *b, size_t size);
int bind__enter(struct binder *b, int position) MUST_CHECK;     /* counts depth: 54001 */
void bind__leave(struct binder *b);
struct query *bind__query(struct binder *b, enum query_kind kind);
struct expr *bind__node(struct binder *b, enum expr_kind kind, struct sql_type type, int position, int arg_count);
/* A growing array of pointers or structs in the arena: room for one more; false after 53200. */
bool bind__grow(struct binder *b, void *array, int count, int *capacity, size_t size);
int bind__add_target(struct binder *b, struct scope *scope, struct expr *expr, const char *name, bool hidden) MUST_CHECK;
void bind__push(struct binder *b, struct scope *scope, struct query *query);
void bind__pop(struct binder *b);

static inline struct sql_type bind__type(Oid oid) { return (struct sql_type){ oid, -1 }; }

/* ---- bind_lock.c ---- */
/* FOR UPDATE and the like, after all else of the select is bound. */
int bind__locking(struct binder *b, const struct ast_select *ast) MUST_CHECK;

/* ---- bind_coerce.c ---- */
/* Position and name are for the error; context as the cast's. Fails with 42846 when there is no cast (explicit), else as
 * the caller of bind__can_coerce deserves. */
int bind__coerce(struct binder *b, struct expr *expr, struct sql_type type, enum cast_context context, struct expr **result) MUST_CHECK;
bool bind__can_coerce(Oid from, Oid to, enum cast_context context);
/* 42846 unless it can be cast explicitly. */
int bind__cast(struct binder *b, struct expr *expr, struct sql_type type, int position, struct expr **result) MUST_CHECK;
/* For assignment to a column: 42804. */
int bind__assign(struct binder *b, struct expr *expr, struct sql_type type, const char *column, bool is_default,
                 struct expr **result) MUST_CHECK;
int bind__boolean(struct binder *b, struct expr *expr, const char *what, struct expr **result) MUST_CHECK;
/* Unknown becomes text. */
int bind__settle(struct binder *b, struct expr *expr, struct expr **result) MUST_CHECK;
/* The type that all can be turned to; what: "CASE", "UNION"; NULL: *type.oid = 0 instead of an error. */
int bind__common_type(struct binder *b, struct expr *const *exprs, int count, const char *what, struct sql_type *type) MUST_CHECK;
int bind__coerce_common(struct binder *b, struct expr **expr, struct sql_type type, const char *what) MUST_CHECK;
const char *bind__type_name(Oid oid);

/* ---- resolve.c ---- */
struct candidate {
    const void *item;
    const Oid *args;
    int declared;               /* types in args; the last one is repeated for a call with more */
};
/* The best of the candidates by PostgreSQL's rules: its index, -1 none fits, -2 several fit equally. */
int resolve__choose(const struct candidate *candidates, int count, const Oid *types, int arg_count);
int bind__operator(struct binder *b, const char *name, struct expr *left, struct expr *right, int position,
                   const struct func **func) MUST_CHECK;
/* left op right as an expression. */
int bind__operation(struct binder *b, const char *name, struct expr *left, struct expr *right, int position,
                    struct expr **result) MUST_CHECK;
/* Both sides turned to what "=" needs. */
int bind__equality(struct binder *b, struct expr **left, struct expr **right, int position, const struct func **equal) MUST_CHECK;

/* ---- bind_expr.c ---- */
int bind__expr(struct binder *b, const struct ast_expr *ast, struct expr **result) MUST_CHECK;
/* In a clause of its own. */
int bind__expr_in(struct binder *b, enum place place, const struct ast_expr *ast, struct expr **result) MUST_CHECK;
int bind__condition(struct binder *b, enum place place, const struct ast_expr *ast, struct expr **result) MUST_CHECK;
const char *bind__place_name(enum place place);
/* The first set-returning function in it; NULL when there is none. */
const struct expr *bind__find_series(const struct expr *expr);

/* ---- bind_func.c ---- */
int bind__call(struct binder *b, const struct ast_expr *ast, struct expr **result) MUST_CHECK;

/* ---- bind_name.c ---- */
int bind__column(struct binder *b, const struct ast_expr *ast, struct expr **result) MUST_CHECK;
/* A star in a select list. */
int bind__star(struct binder *b, const struct ast_expr *ast, enum place place) MUST_CHECK;
struct expr *bind__column_ref(struct binder *b, struct scope *scope, int range, int column, int level, int position);
/* The name that a result column gets from its expression. */
const char *bind__label(struct binder *b, const struct ast_expr *ast);

/* ---- bind_from.c ---- */
int bind__from(struct binder *b, const struct ast_from *list) MUST_CHECK;
/* The table a statement changes, as range 0; visible. */
int bind__target_table(struct binder *b, const struct ast_name *name, const char *alias, struct table_def **table) MUST_CHECK;
int bind__add_range(struct binder *b, struct range_entry **range, int *index) MUST_CHECK;

/* ---- bind_select.c ---- */
/* settle: unknown outputs become text; else they are left to the caller. */
int bind__select(struct binder *b, const struct ast_select *ast, bool settle, struct query **query) MUST_CHECK;
int bind__targets(struct binder *b, const struct ast_target *list, enum place place) MUST_CHECK;
int bind__settle_targets(struct binder *b, struct query *query) MUST_CHECK;
int bind__visible_targets(const struct query *query);

/* ---- bind_group.c ---- */
int bind__groups(struct binder *b, const struct ast_select *ast) MUST_CHECK;
int bind__check_groups(struct binder *b) MUST_CHECK;
int bind__order(struct binder *b, const struct ast_order *list) MUST_CHECK;
int bind__limit(struct binder *b, enum place place, const struct ast_expr *ast, struct expr **result) MUST_CHECK;

/* ---- bind_union.c ---- */
/* Both branches, and the outputs as targets of the current query. */
int bind__set_operation(struct binder *b, const struct ast_select *ast) MUST_CHECK;
int bind__values(struct binder *b, const struct ast_select *ast) MUST_CHECK;
/* Turns output `column` of a query to a type, in place or by a query around it. */
int bind__coerce_output(struct binder *b, struct query **query, const struct sql_type *types, enum cast_context context,
                        const char *const *columns) MUST_CHECK;
/* Names and types of a query's visible outputs. */
int bind__outputs(struct binder *b, const struct query *query, struct range_entry *range) MUST_CHECK;

/* ---- bind_change.c ---- */
int bind__insert(struct binder *b, const struct ast_insert *ast, struct query **query) MUST_CHECK;
int bind__update(struct binder *b, const struct ast_change *ast, struct query **query) MUST_CHECK;
int bind__sets(struct binder *b, const struct ast_set_item *sets, const struct table_def *table, struct query *query) MUST_CHECK;
int bind__delete(struct binder *b, const struct ast_change *ast, struct query **query) MUST_CHECK;

/* ---- bind_conflict.c ---- */
/* ON CONFLICT; range 0 is the table. */
int bind__conflict(struct binder *b, const struct ast_conflict *ast, struct table_def *table, struct query *query) MUST_CHECK;

#endif
