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

/* The other side of a join supplies values of these columns of the table, and only rows with such values are of interest. */
struct footprint_restriction {
    int count;                      /* 0: there is none */
    const int *columns;
    const Oid *types;               /* as which the values are encoded */
};
/* A set of such values, each encoded as exec__encode_key does.  Beyond FOOTPRINT_KEYS_MAX of them it holds all there are. */
enum { FOOTPRINT_KEYS_MAX = 1000 };
struct footprint_keys;
struct footprint_keys *footprint_keys_make(struct op *op);
int footprint_keys_add(struct op *op, struct footprint_keys *keys, struct bytes key) MUST_CHECK;
bool footprint_keys_full(const struct footprint_keys *keys);
void footprint_keys_free(struct footprint_keys *keys);  /* NULL is fine */

/* Of a scan node, for one execution; statement: its text, for error reports; predicates made of it may outlive both. */
int footprint_make(struct op *op, const struct plan_node *scan, const struct footprint_restriction *restriction,
                   struct bytes statement, struct footprint **footprint) MUST_CHECK;
void footprint_release(struct footprint *footprint);    /* NULL is fine */
/* The predicate for the values of parameters and cells as they are now, borrowed until the next call; the same as before if they are the
 * same.  keys: what the join supplies, taken over; NULL: not known. */
int footprint_predicate(struct op *op, struct footprint *footprint, const struct eval_env *env, struct footprint_keys *keys,
                        struct txn_predicate **predicate) MUST_CHECK;
/* The reader's own question about a version that it does not see: records of the table's tree, with the values as they were at the last
 * footprint_predicate. */
int footprint_judge(struct op *op, struct footprint *footprint, struct bytes key, const struct bytes *before, const struct bytes *after,
                    bool *matters) MUST_CHECK;

#endif
