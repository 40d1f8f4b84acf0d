/*
 * footprint.h -- the condition and the columns of a scan, compiled, as a predicate that txn/ puts to what others write.
 */
#ifndef ISOLDE_SQL_FOOTPRINT_H
#define ISOLDE_SQL_FOOTPRINT_H

#include "sql/catalog.h"
#include "sql/expr.h"

struct footprint;
struct plan_node;

/* What txn_wrote_row is given: a row of a table before and after, NULL where it is not there. */
struct footprint_row {
    const struct table_def *table;
    const struct datum *before, *after;
};

/* Of a scan node, for one execution; predicates made of it may outlive both. */
int footprint_make(struct op *op, const struct plan_node *scan, struct footprint **footprint) MUST_CHECK;
void footprint_release(struct footprint *footprint);    /* NULL is fine */
/* A reference to the predicate for the values of parameters and cells as they are now; the same as before if they are the same. */
int footprint_predicate(struct op *op, struct footprint *footprint, const struct eval_env *env, struct txn_predicate **predicate)
    MUST_CHECK;
/* The reader's own question about a version that it does not see: records of the table's tree, with the values as they were at the last
 * footprint_predicate. */
int footprint_judge(struct op *op, struct footprint *footprint, struct bytes key, const struct bytes *before, const struct bytes *after,
                    bool *matters) MUST_CHECK;

#endif
