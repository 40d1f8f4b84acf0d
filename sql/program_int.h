/*
 * program_int.h -- the compiled form of an expression.
 *
 * A program is a list of instructions over registers (vectors) and row sets.  Instructions run one after the other,
 * each for all rows of its row set; the only jumps go forward, over a part whose row set has turned out empty.  That
 * is how CASE, AND, OR and COALESCE are lazy: what must not be computed for a row is computed with a row set that
 * lacks it.
 *
 *      CASE WHEN a > 0 THEN 10 / a ELSE 0 END
 *
 *      slot    v1 <- a
 *      call    v2 <- v1 > 0                rows 0 (all)
 *      narrow  rows 3 <- rows 2 where v2 is true, or jump to L
 *      call    v3 <- 10 / v1               rows 3
 *      copy    v4 <- v3                    rows 3
 *   L: narrow  rows 2 <- rows 2 where v2 is not true, or jump to the end
 *      copy    v4 <- 0                     rows 2
 *
 * P1  Within a part the current row set is not empty.  So an instruction whose arguments are all constant runs once,
 *     for row 0 (ROWS_ONE), into a constant register.
 * P2  A register's has_nulls and null bytes are right for the rows it was computed for, and mean nothing for others.
 * P3  Registers are reused as soon as their value has been consumed, never between an instruction's input and its
 *     output.
 */
#ifndef ISOLDE_SQL_PROGRAM_INT_H
#define ISOLDE_SQL_PROGRAM_INT_H

#include "sql/expr.h"
#include "sql/func_int.h"

enum opcode {
    CODE_SLOT,          /* out <- column `number` of the input (no copying of entries) */
    CODE_PARAM, CODE_OUTER,     /* out <- parameter or outer value `number` */
    CODE_CALL,          /* out <- func(args) */
    CODE_COPY,          /* out <- a, for these rows only */
    CODE_RESET,         /* out has no nulls from here on */
    CODE_NARROW,        /* to <- rows where a is as `test` says, else jump */
    CODE_AND, CODE_OR,  /* out <- out and a: out is not false (not true) in these rows */
    CODE_NOT,
    CODE_IS,            /* out <- a is as `test` says */
    CODE_DISTINCT,      /* out <- a is distinct from b, c being a = b */
    CODE_NULLIF,        /* out <- a, or null where b is true */
    CODE_EXTREME,       /* out <- the larger (number 1) or smaller (-1) of out and a */
    CODE_IN_FIRST,      /* out <- false, or null where a is */
    CODE_IN_SET,        /* out <- a in set */
    CODE_SUBQUERY,
};

enum test { TEST_TRUE, TEST_NOT_TRUE, TEST_FALSE, TEST_NOT_FALSE, TEST_NULL, TEST_NOT_NULL };

/* A list of constants, sorted, without nulls. */
struct constant_set {
    Oid type;
    bool has_null, negated;
    int count;
    struct datum *values;
    int64_t *ints;              /* the same for FORM_INT64, else NULL */
};

struct instruction {
    enum opcode code;
    enum test test;
    int rows, to;               /* row sets */
    int jump;                   /* NARROW: where to go on when nothing is left; -1 nowhere */
    int number;
    struct vector *out, *a, *b, *c;
    const struct expr *expr;    /* CALL, SUBQUERY, EXTREME */
    const struct func *func;
    int arg_count;
    const struct vector **args;
    struct sql_type *arg_types;
    const struct constant_set *set;
};

struct row_set {
    int count;
    const uint16_t *selection;  /* NULL: rows 0 .. count - 1 */
    uint16_t *buffer;           /* room of its own */
};

enum { ROWS_INPUT, ROWS_ONE, ROWS_FIRST_FREE };

struct code {
    struct instruction *instructions;
    int count, capacity;
};

struct program {
    const struct expr *expr;
    struct code value;          /* computes `result` */
    struct code filter;         /* narrows ROWS_INPUT by each condition of a conjunction; boolean programs only */
    struct vector *result;
    struct row_set *rows;
    int rows_count, rows_capacity;
    uint16_t *scratch;          /* rows without null arguments, during a call */
    struct program_hooks hooks;
};

int program__execute(struct eval_env *env, struct program *program, const struct code *code,
                     const struct batch *input) MUST_CHECK;

#endif
