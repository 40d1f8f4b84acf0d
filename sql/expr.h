/*
 * expr.h -- bound expressions, and their compiled form.
 *
 * The binder makes trees in which every node has its type and every name is resolved.  The planner replaces column
 * references by positions in an operator's input (EXPR_SLOT); expr_compile turns the tree into a flat program over
 * vectors.
 */
#ifndef ISOLDE_SQL_EXPR_H
#define ISOLDE_SQL_EXPR_H

#include "sql/func.h"

enum expr_kind {
    EXPR_CONST,         /* value */
    EXPR_COLUMN,        /* column of a range table entry, of this query or one further out */
    EXPR_SLOT,          /* column `slot` of the operator's input batch (planner) */
    EXPR_PARAM,         /* $n: slot = n - 1 */
    EXPR_OUTER,         /* env->outer[slot]: a value of the outer query's current row (planner) */
    EXPR_FUNC,          /* func(args): functions, operators and casts that compute */
    EXPR_RELABEL,       /* args[0] taken as another type with the same form (varchar as text) */
    EXPR_AND, EXPR_OR,  /* two or more args, three-valued */
    EXPR_NOT,
    EXPR_IS_NULL, EXPR_IS_NOT_NULL,
    EXPR_IS_TRUE, EXPR_IS_NOT_TRUE, EXPR_IS_FALSE, EXPR_IS_NOT_FALSE, EXPR_IS_UNKNOWN, EXPR_IS_NOT_UNKNOWN,
    EXPR_DISTINCT,      /* args[0] IS DISTINCT FROM args[1]; func is the "=" of the type */
    EXPR_NULLIF,        /* func is the "=" */
    EXPR_CASE,          /* args: when, then, when, then, ..., else (always there); WHENs are boolean */
    EXPR_COALESCE,
    EXPR_GREATEST, EXPR_LEAST,
    EXPR_IN,            /* args[0] IN (args[1], ...), func is the "="; negated for NOT IN */
    EXPR_AGGREGATE,     /* aggregate(args) FILTER (WHERE filter), with DISTINCT and ORDER BY */
    EXPR_SERIES,        /* a set-returning function in the select list */
    EXPR_SUBQUERY,      /* see subquery_kind */
    EXPR_DEFAULT,       /* DEFAULT in VALUES or SET; replaced by the binder with the column's default */
};

enum subquery_kind { SUBQUERY_SCALAR, SUBQUERY_EXISTS, SUBQUERY_IN /* args[0] = ANY (subquery), func is the "=" */ };

struct query;
struct sort_key;

struct expr {
    enum expr_kind kind;
    struct sql_type type;
    int position;               /* 1-based character in the statement, for errors; 0 unknown */
    int arg_count;
    struct expr **args;
    union {
        struct datum value;     /* CONST */
        struct {
            int range, column;  /* COLUMN: index in the query's range table, column from 0 */
            int level;          /* 0 = this query, 1 = the one around it, ... */
        };
        int slot;               /* SLOT, PARAM, OUTER */
        const struct func *func;/* FUNC, DISTINCT, NULLIF, IN, SERIES */
        struct {                /* AGGREGATE */
            const struct aggregate *aggregate;
            bool distinct;
            struct expr *filter;            /* NULL when absent */
            int order_count;
            struct sort_key *order;
        };
        struct {                /* SUBQUERY */
            enum subquery_kind subquery_kind;
            struct query *subquery;
            const struct func *subquery_equal;  /* IN */
        };
    };
    bool negated;               /* IN: NOT IN */
};

struct sort_key {
    struct expr *expr;          /* for a query's ORDER BY: a target's expression */
    int target;                 /* index in the query's targets; -1 in aggregates */
    bool descending, nulls_first;
};

/* ---- programs ---- */

struct program;     /* compiled once, run over many batches; used by one thread at a time */

/* The tree may hold CONST, SLOT, PARAM, OUTER, and everything computed; no COLUMN, AGGREGATE, SERIES. Sub-selects
 * are computed by the executor through `subquery`, called per evaluation with the rows to compute. */
struct program_hooks {
    void *context;
    int (*subquery)(void *context, struct eval_env *env, const struct expr *expr, const struct vector *arg,
                    const struct batch *input, int count, const uint16_t *selection, struct vector *out);
};
int program_compile(struct op *op, struct arena *arena, const struct expr *expr, const struct program_hooks *hooks,
                    struct program **program) MUST_CHECK;
/* *result is valid until the next run of the same program (or points into the input for a bare column). Only the
 * batch's selected rows are computed; the entries of others are undefined.  An error of a row that a CASE, AND or
 * COALESCE skips is not raised. */
int program_run(struct eval_env *env, struct program *program, const struct batch *input, const struct vector **result)
    MUST_CHECK;
/* Narrows the batch's selection to the rows for which the boolean program is true; `selection` has room for
 * BATCH_ROWS. */
int program_filter(struct eval_env *env, struct program *program, struct batch *batch, uint16_t *selection) MUST_CHECK;
/* One value without any input: constants, parameters, now(). */
int program_value(struct eval_env *env, struct program *program, struct datum *value) MUST_CHECK;

/* ---- trees ---- */

/* No columns, parameters, sub-selects or volatile and stable functions below. */
bool expr_is_constant(const struct expr *expr);
bool expr_contains(const struct expr *expr, enum expr_kind kind);
bool expr_equal(const struct expr *a, const struct expr *b);
/* Whether rows that satisfy all of `given` surely satisfy the predicate: each of its conjuncts is among them, or says that an
 * operand of one is not null. */
bool expr_implied(const struct expr *const *given, int count, const struct expr *predicate);
/* Deep copy, giving each node to `map` first (may be NULL): a non-NULL answer replaces the node, and is not walked
 * further. */
struct expr *expr_copy(struct op *op, struct arena *arena, const struct expr *expr,
                       struct expr *(*map)(void *arg, struct op *op, const struct expr *expr), void *arg);
/* Calls visit for each node, parents first; false stops the walk and is returned. Sub-queries are not entered. */
bool expr_walk(const struct expr *expr, bool (*visit)(void *arg, const struct expr *expr), void *arg);
/* SQL text as PostgreSQL's EXPLAIN would print it; names of COLUMN, SLOT, OUTER and SUBQUERY nodes by `name` (NULL:
 * $0...). NULL after having reported 53200. */
const char *expr_print(struct op *op, struct arena *arena, const struct expr *expr,
                       const char *(*name)(void *arg, const struct expr *column), void *arg);
/* Computes what is constant now (an error in a constant is left for the run). */
int expr_fold(struct op *op, struct arena *arena, struct expr **expr) MUST_CHECK;

#endif
