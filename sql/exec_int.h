/*
 * exec_int.h -- the parts of a running plan: operators, tuples, key encoding.
 *
 * Each plan node has one operator, which pulls batches from its children.  An operator may be started again without having been
 * drained: that is how the inner side of a nested loop and the sub-selects are run for each outer row.
 *
 * X1  A batch that an operator hands up stays valid until it is asked for the next one, started again or stopped.
 * X2  Results of an operator's programs live in its own arena `results`; whoever runs programs points env->arena there first and
 *     resets it only when its previous batch is no longer wanted.
 * X3  In its steady state an execution allocates nothing: arenas keep a block, key builders their buffers.
 */
#ifndef ISOLDE_SQL_EXEC_INT_H
#define ISOLDE_SQL_EXEC_INT_H

#include "sql/plan_int.h"
#include "sql/spill.h"

struct operator;

struct operator_methods {
    int (*start)(struct op *op, struct operator *o);
    /* *batch = NULL at the end.  goal: how many rows are wanted at most; more may be given. */
    int (*next)(struct op *op, struct operator *o, int goal, struct batch **batch);
    void (*stop)(struct operator *o);       /* gives back what costs more than the steady state; may be called twice */
    void (*free)(struct operator *o);       /* NULL: nothing of its own */
};

struct operator {
    const struct operator_methods *methods;
    const struct plan_node *node;
    struct execution *execution;
    struct operator *left, *right;
    struct program *filter;
    uint16_t *selection;
    struct arena results;
    struct batch out;
    bool started;
    /* for EXPLAIN ANALYZE */
    uint64_t rows, loops, removed, first_ns, total_ns;
    bool counting_first;
};

struct subplan_state;

struct execution {
    struct session *session;
    struct txn_session *txn;
    const struct plan *plan;
    struct arena arena;             /* operators, programs, vectors: as long as the execution */
    struct eval_env env;
    struct program_hooks hooks;
    struct operator **operators;    /* by node id */
    int operator_count;
    struct operator *root;
    struct subplan_state **subplans;/* by subplan id */
    int subplan_count;
    struct datum *cells;
    int cell_count;
    uint64_t run;                   /* number of the run: what is kept from an earlier one is stale */
    uint64_t work_mem;
    bool instrument, running;
    struct planner *late;           /* for execution_program: sub-selects planned after the plan was made */
    struct plan *late_plan;
};

/* exec.c */
int exec__make(struct op *op, struct execution *execution, const struct plan_node *node, struct operator **o) MUST_CHECK;
int exec__start(struct op *op, struct operator *o) MUST_CHECK;
int exec__next(struct op *op, struct operator *o, int goal, struct batch **batch) MUST_CHECK;
void exec__stop(struct operator *o);
/* Allocates an operator of this size in the execution's arena, and its filter. */
int exec__new(struct op *op, struct execution *execution, const struct plan_node *node, size_t size,
              const struct operator_methods *methods, void *o) MUST_CHECK;
int exec__compile(struct op *op, struct execution *execution, const struct expr *expr, struct program **program) MUST_CHECK;
int exec__compile_list(struct op *op, struct execution *execution, struct expr *const *exprs, int count, struct program ***programs)
    MUST_CHECK;
/* Applies the operator's filter to its output batch; env->arena must be set. */
int exec__filter(struct op *op, struct operator *o) MUST_CHECK;
static inline struct eval_env *exec__env(struct operator *o)
{
    o->execution->env.arena = &o->results;
    return &o->execution->env;
}
/* Vectors for the operator's output, of its node's types. */
int exec__make_out(struct op *op, struct operator *o) MUST_CHECK;
void exec__clear_nulls(struct batch *batch);
/* For operators that hold nothing beyond their steady state. */
void exec__stop_nothing(struct operator *o);
/* Forms of the types. */
enum type_form *exec__forms(struct op *op, struct arena *arena, const struct sql_type *types, int count);

/* exec_subquery.c */
struct subplan_state *exec__subplan_make(struct op *op, struct execution *execution, const struct subplan *subplan);
int exec__subquery(void *context, struct eval_env *env, const struct expr *expr, const struct vector *arg, const struct batch *input,
                   int count, const uint16_t *selection, struct vector *out);
void exec__subplan_stop(struct subplan_state *state);
void exec__subplan_free(struct subplan_state *state);
struct operator *exec__subplan_root(struct subplan_state *state);

/* ---- exec_tuple.c: rows in memory, position independent, so that they can be spilled as they are ---- */

/* Header, key (padded to 8), one byte per column for null (padded to 8), a cell of 8 bytes per column, then the bytes. */
struct tuple {
    struct tuple *next;             /* in a hash chain or a list */
    uint64_t hash;
    uint32_t size, key_len;
};

struct tuple_shape {
    int columns;
    enum type_form *forms;
};

static inline size_t exec__pad(size_t n) { return (n + 7) & ~(size_t)7; }
static inline const uint8_t *tuple_key(const struct tuple *tuple) { return (const uint8_t *)(tuple + 1); }

int exec__shape(struct op *op, struct arena *arena, const struct vector *vectors, int columns, struct tuple_shape *shape) MUST_CHECK;
int exec__tuple_make(struct op *op, struct arena *arena, const struct tuple_shape *shape, const struct vector *vectors, int row,
                     uint64_t hash, struct bytes key, struct tuple **tuple) MUST_CHECK;
/* Writes column values into row `to` of the vectors; bytes are borrowed from the tuple. */
void exec__tuple_read(const struct tuple_shape *shape, const struct tuple *tuple, struct vector *vectors, int to);
void exec__tuple_column(const struct tuple_shape *shape, const struct tuple *tuple, int column, struct vector *vector, int to);
void exec__tuple_datum(const struct tuple_shape *shape, const struct tuple *tuple, int column, struct datum *value);
int exec__tuple_write(struct op *op, struct spill_run *run, const struct tuple *tuple) MUST_CHECK;
/* *tuple = NULL at the end. */
int exec__tuple_load(struct op *op, struct arena *arena, struct spill_run *run, struct tuple **tuple) MUST_CHECK;

/* Copies entry `from` to entry `to`; bytes go to the arena (NULL: they are borrowed). */
int exec__vector_copy(struct op *op, struct arena *arena, const struct vector *source, int from, struct vector *target, int to)
    MUST_CHECK;

/* Key columns for hashing and sorting, as bytes that compare with memcmp. */
struct key_column {
    Oid type;
    int flags;
    const struct vector *vector;
};
int exec__encode_key(struct op *op, const struct key_column *columns, int count, int row, struct key_builder *key, bool *has_null)
    MUST_CHECK;

/* A chained hash table of tuples. */
struct tuple_table {
    struct tuple **buckets;
    size_t mask, count;
};
int exec__table_init(struct op *op, struct tuple_table *table, size_t expected) MUST_CHECK;
int exec__table_add(struct op *op, struct tuple_table *table, struct tuple *tuple) MUST_CHECK;
void exec__table_clear(struct tuple_table *table);      /* empty, buckets kept when they are few */
void exec__table_free(struct tuple_table *table);
static inline struct tuple *exec__table_chain(const struct tuple_table *table, uint64_t hash)
{
    return table->buckets[(hash >> 7) & table->mask];
}
static inline bool tuple_matches(const struct tuple *tuple, uint64_t hash, struct bytes key)
{
    return tuple->hash == hash && tuple->key_len == key.len
        && (key.len == 0 || __builtin_memcmp(tuple_key(tuple), key.data, key.len) == 0);
}

/* exec_sort.c: orders tuples by their keys, in place. */
int exec__sort_tuples(struct op *op, struct tuple **tuples, size_t count) MUST_CHECK;

/* ---- exec_range.c: from a plan's key parts to intervals of encoded keys ---- */

struct key_ranges {
    const struct plan_node *node;
    struct program **programs;      /* low and high of each interval, in order; NULL for what needs none */
    struct datum *values;
    int program_count;
    struct arena arena;             /* of several ranges */
    struct key_builder low, high;
    uint8_t fixed_low[128], fixed_high[128];
    int count;
    struct btree_range *ranges;     /* in key order, disjoint */
    struct btree_range single;
};
int exec__ranges_make(struct op *op, struct execution *execution, const struct plan_node *node, struct key_ranges *ranges) MUST_CHECK;
int exec__ranges_compute(struct op *op, struct eval_env *env, struct key_ranges *ranges) MUST_CHECK;
void exec__ranges_free(struct key_ranges *ranges);

/* Makers, one per plan kind. */
typedef int exec_maker(struct op *op, struct execution *execution, const struct plan_node *node, struct operator **o);
exec_maker exec__make_result, exec__make_gate, exec__make_values, exec__make_series, exec__make_scan, exec__make_subquery_scan,
           exec__make_nest_loop, exec__make_hash_join, exec__make_materialize, exec__make_aggregate, exec__make_project,
           exec__make_project_set, exec__make_sort, exec__make_limit, exec__make_lock_rows, exec__make_append,
           exec__make_set, exec__make_virtual;

/* exec_scan.c: of the table that this operator scans only rows matter that have one of the values for these columns of its output which the
 * other side of the join supplies.  To be said when it is made; false: nothing can be done with that. */
struct footprint_keys;
bool exec__scan_restrict(struct op *op, struct operator *scan, int count, struct expr *const *keys, const Oid *types);
/* Before it is started, and taken over: the values.  Without them all rows matter. */
void exec__scan_supply(struct operator *scan, struct footprint_keys *keys);

/* exec_join.c: what nested loop and hash join share */
struct join_output {
    const struct plan_node *node;
    struct operator *owner;
    struct batch wide;              /* left columns, then right columns: the candidates */
    struct program *on;
    int left_count, right_count;
    const int *left_slots;          /* where the left columns are in `left`; NULL: in order */
    const struct batch *left;
    struct tuple_shape right_shape; /* hash join: the right side's values come from tuples */
    int count;
    bool has_null_extended;
    bool *matched;                  /* per row of the left batch */
    uint16_t *left_rows;            /* of each candidate */
    bool *null_extended;            /* the candidate that stands for "no match" */
    struct tuple **tuples;          /* hash join: right side of each candidate */
    uint16_t *chosen;
};
int exec__join_init(struct op *op, struct operator *owner, bool from_tuples, struct join_output *join) MUST_CHECK;
/* A new left batch; it must stay valid until the candidates made of it have been flushed. */
void exec__join_left(struct join_output *join, const struct batch *left);
/* One more candidate.  Nested loop: the right side's values have been put into row `count` of wide before. */
static inline void exec__join_pair(struct join_output *join, int left_row)
{
    join->left_rows[join->count] = (uint16_t)left_row;
    join->null_extended[join->count++] = false;
}
/* Ends a left row that keeps itself when nothing matched (LEFT, ANTI). */
void exec__join_unmatched(struct join_output *join, int left_row);
/* Judges the candidates and makes the owner's output batch of them; forgets the candidates. */
int exec__join_flush(struct op *op, struct join_output *join) MUST_CHECK;

#endif
