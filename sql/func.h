/*
 * func.h -- functions, operators, casts and aggregates: what exists, with which types, and how it is computed.
 *
 * All are found by name in static tables; the binder chooses among candidates by PostgreSQL's resolution rules.
 * Operators are functions whose name is the operator's ("+", "=", "||"); unary ones have one argument.
 */
#ifndef ISOLDE_SQL_FUNC_H
#define ISOLDE_SQL_FUNC_H

#include "sql/vector.h"

enum { FUNC_ARGS_MAX = 8 };
enum func_volatility { FUNC_IMMUTABLE, FUNC_STABLE, FUNC_VOLATILE };

struct session;
struct func;

/* What a function may ask about its surroundings; one per execution. */
struct eval_env {
    struct op *op;
    struct arena *arena;            /* results of this batch; reset by the operator before its next batch */
    int64_t transaction_time;       /* now(): microseconds since 2000-01-01 UTC */
    int64_t statement_time;
    const struct datum *params;     /* $1 is params[0]; types were settled by the binder */
    struct datum *outer;            /* values of the outer query's row for correlated sub-selects */
    void *subplans;                 /* the executor's own */
    struct session *session;        /* NULL where only immutable functions are computed */
    /* The session's part of the functions for advisory locks: one call (advisory.c). */
    int (*advisory)(struct eval_env *env, const struct func *func, const struct datum *args, struct datum *result);
};

/* Computes out[row] for every row in the selection (NULL: 0..count-1).  For strict functions nulls are dealt with
 * by the caller: rows with a null argument are not in the selection.  type: the bound result type with modifier. */
typedef int (*func_eval)(struct eval_env *env, const struct func *func, int arg_count, const struct vector *const *args,
                         const struct sql_type *arg_types, struct sql_type type, int count, const uint16_t *selection,
                         struct vector *out);

struct func {
    const char *name;
    int arg_count;                  /* -1: any number of the last type */
    Oid args[FUNC_ARGS_MAX];
    Oid result;
    bool strict;
    bool set_returning;             /* generate_series: see func_series */
    enum func_volatility volatility;
    func_eval eval;
    intptr_t detail;                /* the kernel's own */
};

/* All functions (or operators) of this name: *count of them, consecutive; NULL when there is none. */
const struct func *func_candidates(const char *name, int *count);

enum cast_context { CAST_IMPLICIT, CAST_ASSIGNMENT, CAST_EXPLICIT };
struct cast {
    Oid from, to;
    enum cast_context context;      /* the widest context in which it applies by itself */
    const struct func *func;        /* NULL: the bits are the same (varchar -> text) */
};
/* NULL when there is no such cast. Same type: see cast_modifier. unknown literals are converted by type_parse, not
 * here. */
const struct cast *cast_find(Oid from, Oid to);
/* The function that enforces a modifier on a value of its own type (varchar(n), numeric(p,s)); NULL when the type
 * has none. detail of the call: explicit casts cut varchar, assignments fail with 22001. */
const struct func *cast_modifier(Oid type, bool explicit_cast);

/* ---- comparison operators of a type, for planner and sorts ---- */
const struct func *func_equal(Oid type);            /* "=" (type, type) */
/* <, <=, =, >=, > as (-2, -1, 0, 1, 2): which one this function is; false when it is none. Index ranges are made of
 * these. */
bool func_comparison(const struct func *func, int *which);

/* ---- aggregates ---- */

struct aggregate {
    const char *name;
    int arg_count;                  /* 0 for count(*) */
    Oid args[2];
    Oid result;
    bool skip_nulls;                /* rows with a null first argument do not count; step sees to that itself */
    size_t state_bytes;             /* fixed part of a group's state, zeroed at the start */
    /* states[i] is the state of the group of the i-th selected row (one pointer repeated when not grouped). Memory
     * beyond the fixed part comes from `arena`, which lives as long as the groups. */
    int (*step)(struct eval_env *env, const struct aggregate *aggregate, struct arena *arena,
                const struct vector *const *args, int selected, const uint16_t *selection, void *const *states);
    int (*finish)(struct eval_env *env, const struct aggregate *aggregate, const void *state, struct datum *result);
    intptr_t detail;
};
const struct aggregate *aggregate_candidates(const char *name, int *count);

/* ---- set-returning functions ---- */
struct func_series;     /* a running generate_series */
int func_series_open(struct op *op, const struct func *func, const struct datum *args, int arg_count,
                     struct arena *arena, struct func_series **series) MUST_CHECK;
/* Fills out[0..*count-1], at most `most` of them; *count = 0 at the end. */
int func_series_next(struct op *op, struct func_series *series, int most, struct vector *out, int *count) MUST_CHECK;

#endif
