/*
 * row_expr.h -- expressions over one row of a table: generated columns, CHECK constraints, indexes on expressions, partial indexes.
 *
 * Compiled once per statement that changes the table.  The values of a row are an array of datums, one per column, and behind them
 * one per expression of an index (catalog_value_count).
 */
#ifndef ISOLDE_SQL_ROW_EXPR_H
#define ISOLDE_SQL_ROW_EXPR_H

#include "sql/query.h"

struct row_exprs;

/* *exprs is NULL when the table has none.  Everything lives in the arena; row_exprs_close gives back the rest (NULL is fine). */
int row_exprs_open(struct op *op, struct session *session, struct arena *arena, struct table_def *table, struct row_exprs **exprs)
    MUST_CHECK;
void row_exprs_close(struct row_exprs *exprs);
/* Computes generated columns.  Their bytes are valid until the next call of this function. */
int row_exprs_generate(struct op *op, struct row_exprs *exprs, struct datum *values) MUST_CHECK;
/* Checks every CHECK constraint: *failed is the first that is false, or NULL. */
int row_exprs_check(struct op *op, struct row_exprs *exprs, const struct datum *values, const struct check_def **failed) MUST_CHECK;
/* Checks one of them. */
int row_exprs_check_one(struct op *op, struct row_exprs *exprs, const struct datum *values, int check, bool *failed) MUST_CHECK;
/* The whole row: columns are copied to `all`, behind them come the expressions.  Their bytes live in the op's scratch arena. */
int row_exprs_extend(struct op *op, struct row_exprs *exprs, const struct datum *values, struct datum *all) MUST_CHECK;
/* Whether an index has an entry for this row, whose expressions have been computed. */
static inline bool row_in_index(const struct index_def *index, const struct datum *all)
{
    return index->predicate < 0 || (!all[index->predicate].null && all[index->predicate].b);
}

/* One expression over a table, to be run row by row. */
struct row_expr;
int row_expr_make(struct op *op, struct arena *arena, const struct table_def *table, const struct expr *expr, struct row_expr **out)
    MUST_CHECK;
int row_expr_value(struct op *op, struct session *session, struct row_expr *expr, const struct datum *values, struct datum *value)
    MUST_CHECK;

#endif
