/*
 * exec.h -- from a bound query to rows: planning and running.
 *
 * A plan is immutable and belongs to a prepared statement; an execution holds the operators' state and is reused from run to run, so
 * that a point query allocates nothing in its steady state.
 */
#ifndef ISOLDE_SQL_EXEC_H
#define ISOLDE_SQL_EXEC_H

#include "sql/query.h"

struct plan;
struct execution;

struct plan_options {
    bool enable_seqscan, enable_indexscan, enable_indexonlyscan, enable_bitmapscan, enable_sort, enable_hashjoin, enable_mergejoin,
         enable_nestloop, enable_hashagg;
    uint64_t work_mem;              /* bytes */
};

/* Plans a SELECT, or the source rows of a data-changing statement: for UPDATE and DELETE a scan of range 0 that hands out all of its
 * columns, then the clustered key (FORM_BYTES), with WHERE applied. */
int plan_query(struct op *op, struct session *session, struct arena *arena, struct query *query, const struct plan_options *options,
               struct plan **plan) MUST_CHECK;
int plan_column_count(const struct plan *plan);
const struct sql_type *plan_column_types(const struct plan *plan);

/* Operators with all their memory, in a heap of its own. */
int execution_make(struct op *op, struct session *session, const struct plan *plan, struct execution **execution) MUST_CHECK;
/* Begins a run: the session's statement snapshot must be there. params must outlive the run. */
int execution_start(struct op *op, struct execution *execution, const struct datum *params, int param_count) MUST_CHECK;
/* The next batch, or *batch = NULL at the end.  The batch is valid until the next call. */
int execution_next(struct op *op, struct execution *execution, struct batch **batch) MUST_CHECK;
/* Ends the run: gives back cursors, spill files and large memory; can be started again. */
void execution_stop(struct execution *execution);
void execution_free(struct execution *execution);   /* NULL is fine */
struct eval_env *execution_env(struct execution *execution);
/* Compiles an expression of a data-changing statement (SET, WHERE, RETURNING) over a batch that the caller fills: columns of range 0
 * become slots of the same number, those of range 1 (ON CONFLICT's excluded) follow.  Sub-selects in it are planned too, see the execution's snapshot and its params, and live as long
 * as it does; run the program with execution_env() while the execution runs. */
int execution_program(struct op *op, struct execution *execution, struct query *query, const struct expr *expr,
                      struct program **program) MUST_CHECK;
/* Before a start: measure the times of each operator too, for EXPLAIN ANALYZE. */
void execution_instrument(struct execution *execution);

/* The data-changing statements: drive a source execution and change rows, with constraints, indexes and re-evaluation at READ COMMITTED. */
struct modify;
int modify_make(struct op *op, struct session *session, struct query *query, const struct plan *source, struct modify **modify)
    MUST_CHECK;
int modify_start(struct op *op, struct modify *modify, const struct datum *params, int param_count) MUST_CHECK;
/* Runs to the next batch of RETURNING rows; *batch = NULL when all is done (without RETURNING: at once). */
int modify_next(struct op *op, struct modify *modify, struct batch **batch) MUST_CHECK;
int64_t modify_count(const struct modify *modify);
struct execution *modify_execution(struct modify *modify);      /* the source's: for execution_instrument and EXPLAIN */
void modify_stop(struct modify *modify);
void modify_free(struct modify *modify);

/* EXPLAIN: lines as PostgreSQL's text format, through `line`.  With an execution that has run: actual rows and times too. */
int plan_explain(struct op *op, const struct plan *plan, const struct execution *execution, bool costs, bool analyze, bool timing,
                 int (*line)(void *arg, struct op *op, const char *text), void *arg) MUST_CHECK;
/* For Insert, Update and Delete on top of a source plan; with an execution of that which has run (analyze): what took elapsed_ns. */
int modify_explain(struct op *op, const struct query *query, const struct plan *source, const struct execution *execution, bool costs,
                   bool analyze, bool timing, uint64_t elapsed_ns, int (*line)(void *arg, struct op *op, const char *text), void *arg)
    MUST_CHECK;

#endif
