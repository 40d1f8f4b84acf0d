/*
 * plan_int.h -- what planner, executor and EXPLAIN share: the nodes of a physical plan.
 *
 * A node's output is described twice.  `layout` says in terms of the bound query what each output column is (a column of FROM, a grouping
 * expression, an aggregate); the planner turns expressions into positions by looking them up there.  `types` is what the
 * executor needs.  A node's `filter` is evaluated over its own output.
 *
 * L1  Expressions that the executor compiles hold no EXPR_COLUMN, EXPR_AGGREGATE or EXPR_SERIES: only slots of the stated input.
 * L2  Values of an outer query's row, or of the outer side of a nested loop, arrive through numbered cells (EXPR_OUTER) of the execution,
 *     set by whoever evaluates the sub-select or drives the loop, before the inner node is started.
 * L3  A plan is immutable once made: executions of several threads may share it.
 */
#ifndef ISOLDE_SQL_PLAN_INT_H
#define ISOLDE_SQL_PLAN_INT_H

#include "sql/exec.h"
#include "sql/row.h"
#include "sql/session.h"

enum { RELATIONS_MAX = 64 };
typedef uint64_t Relations;     /* a set of ranges of one query, one bit each */

enum plan_kind {
    PLAN_RESULT,        /* one row of no columns; with a filter: none when it is not true */
    PLAN_GATE,          /* the child's rows if `filter` (over no input) is true: EXPLAIN's "One-Time Filter" */
    PLAN_VALUES,
    PLAN_SERIES,        /* a set-returning function in FROM */
    PLAN_SCAN,
    PLAN_SUBQUERY_SCAN, /* renames the columns of a sub-select in FROM */
    PLAN_NEST_LOOP,
    PLAN_HASH_JOIN,
    PLAN_MATERIALIZE,
    PLAN_AGGREGATE,
    PLAN_PROJECT,       /* computes expressions; not shown by EXPLAIN */
    PLAN_PROJECT_SET,
    PLAN_SORT,
    PLAN_LIMIT,
    PLAN_LOCK_ROWS,     /* plan_lock.c */
    PLAN_APPEND,
    PLAN_SET,           /* INTERSECT and EXCEPT, over counts of each row */
};

/* How an outer join or an unnested sub-select treats rows of the left side. */
enum plan_join { PLAN_JOIN_INNER, PLAN_JOIN_LEFT, PLAN_JOIN_SEMI, PLAN_JOIN_ANTI };

/* One interval of an index column, in the column's value order. */
struct key_interval {
    enum { INTERVAL_RANGE, INTERVAL_POINT, INTERVAL_NULL, INTERVAL_NOT_NULL, INTERVAL_PREFIX } kind;
    struct expr *low, *high;    /* RANGE: NULL = open end; POINT and PREFIX: in low */
    bool low_inclusive, high_inclusive;
};

/* The alternatives for one index column; all parts but the last hold points and nulls only. */
struct key_part {
    int count;
    struct key_interval *intervals;
};

/* A pair: cell of the execution, slot of the input that fills it. */
struct outer_cell {
    int cell, slot;
};

struct sort_column {
    int slot;
    bool descending, nulls_first;
};

struct condition_list;

/* What SERIALIZABLE transactions record of a scan beside the keys: plan_footprint.c. */
struct footprint_plan {
    int condition_count;
    struct expr **conditions;       /* over columns of the scan's own range, parameters and cells; all of them hold for the rows read */
    uint64_t *read;                 /* bits: columns that are read of those rows */
    int range;                      /* place in FROM */
    int bound;                      /* leading columns of an index that the statement itself binds to values, of the best one */
    bool bound_unique;              /* they are a whole unique key */
};

struct plan_aggregate {
    const struct aggregate *aggregate;
    int arg_count;
    struct expr *args[2];
    struct expr *filter;
    bool distinct;
    int order_count;
    struct expr **order;            /* over the input */
    bool *descending, *nulls_first;
};

/* A table of which rows are locked: where the input has its clustered key and those of its columns that travel along. */
struct plan_lock {
    struct table_def *table;
    enum txn_row_lock mode;
    enum ast_wait wait;
    int key_slot;
    int count;
    int *columns, *slots;
};

/* A left join: what becomes null when its condition fails on a row that has changed. */
struct plan_outer {
    struct expr *on;
    int count;
    int *slots;
    struct plan_outer *next;
};

struct plan_node {
    enum plan_kind kind;
    int id;                         /* index of its operator in an execution */
    struct plan_node *left, *right;
    int column_count;
    struct sql_type *types;
    struct expr **layout;
    struct expr *filter;            /* over the own output; NULL when there is none */
    struct expr *filter_text;       /* as bound, for EXPLAIN */
    const struct query *scope;      /* whose ranges the texts speak of */
    double rows, startup_cost, total_cost;
    int width;
    bool depends;                   /* reads EXPR_OUTER cells set outside of this node */
    union {
        struct {                                /* SCAN */
            struct table_def *table;
            const struct index_def *index;      /* NULL: whole table by its clustered key */
            const char *alias;
            int wanted_count;
            int *wanted;                        /* columns of the table; table->column_count = the clustered key as bytes */
            bool with_key;                      /* the last output column is the clustered key */
            bool index_only, point, backward;
            int part_count;
            struct key_part *parts;
            struct expr *cond_text;
            const struct condition_list *covered;   /* planner: conditions that the ranges enforce by themselves */
            struct footprint_plan *footprint;
        } scan;
        struct {                                /* VALUES */
            int row_count;
            struct expr **values;               /* over no input */
            const char *alias;
        } values;
        struct {                                /* SERIES */
            const struct func *func;
            int arg_count;
            struct expr **args;
            const char *alias;
        } series;
        struct {                                /* SUBQUERY_SCAN */
            const char *alias;
        } subquery;
        struct {                                /* NEST_LOOP, HASH_JOIN */
            enum plan_join join;
            int left_count;                     /* output: these slots of the left side ... */
            int *left_slots;
            int right_count;                    /* ... then these of the right (none handed up for SEMI and ANTI) */
            int *right_slots;
            int cell_count;                     /* NEST_LOOP: what the right side is given of each left row */
            struct outer_cell *cells;
            int key_count;                      /* HASH_JOIN: pairs of equal expressions over left and right input */
            struct expr **left_keys, **right_keys;
            struct expr *keys_text;
            struct expr *on;                    /* further condition, over all left_slots then all right_slots */
            struct expr *on_text;
            bool right_unique;                  /* at most one match for each left row */
        } join;
        struct {                                /* AGGREGATE */
            int group_count;
            struct expr **groups;
            int aggregate_count;
            struct plan_aggregate *aggregates;
            bool is_distinct;                   /* made by DISTINCT or UNION */
        } aggregate;
        struct {                                /* PROJECT: exprs; PROJECT_SET: the input's columns, then the series */
            int count;
            struct expr **exprs;
        } project;
        struct {                                /* SORT */
            int count;
            struct sort_column *columns;
            struct expr **texts;
            struct expr *limit, *offset;        /* top-N: no more than limit + offset rows are wanted; NULL: all */
        } sort;
        struct {                                /* LIMIT */
            struct expr *limit, *offset;        /* over no input; NULL when absent */
        } limit;
        struct {                                /* LOCK_ROWS */
            int count;
            struct plan_lock *locks;
            struct expr *where;                 /* for a row that has changed, over the input; NULL when there is none */
            struct plan_outer *outers;
            int target_count;                   /* the first slots, computed again */
            struct expr **targets;
        } lock;
        struct {                                /* APPEND */
            int count;
            struct plan_node **children;
        } append;
        struct {                                /* SET */
            enum set_kind kind;
        } set;
    };
};

enum subplan_use {
    SUBPLAN_ROWS,       /* run for each row */
    SUBPLAN_ONCE,       /* uncorrelated: one value (or existence) for the whole run */
    SUBPLAN_HASHED,     /* uncorrelated IN: all values in a hash table */
};

/* A sub-select as it is used at one place: expr->subquery of the compiled expression points at `stub`. */
struct subplan {
    struct query stub;              /* first: nothing of it is read */
    int id;                         /* its state in an execution */
    int number;                     /* EXPLAIN's SubPlan or InitPlan number */
    enum subplan_use use;
    enum subquery_kind kind;
    const struct expr *source;      /* as bound, for EXPLAIN */
    struct sql_type type;           /* of the first column */
    struct sql_type arg_type;       /* IN: of the left side */
    const struct func *equal;
    struct plan_node *root;
    int cell_count;
    struct outer_cell *cells;       /* filled from the row that the expression is evaluated for */
    struct subplan *next;
    const struct plan_node *owner;  /* node under which EXPLAIN shows it; NULL: not yet known */
};

/* What a cell holds, for EXPLAIN. */
struct cell_name {
    int cell;
    const struct query *scope;
    const struct expr *column;
    struct cell_name *next;
};

struct plan {
    struct arena *arena;
    struct cell_name *cell_names;
    struct query *query;
    struct plan_node *root;
    int node_count, cell_count, subplan_count;
    int shown_subplans;             /* numbers given out for EXPLAIN */
    struct subplan *subplans;       /* newest first */
    int column_count;
    struct sql_type *types;
};

/* ---- planner: state of one plan_query ---- */

struct planner {
    struct session *session;
    struct arena *arena;
    const struct plan_options *options;
    struct plan *plan;
    int returning_count;            /* of the statement whose source rows are planned */
    struct target *returning;
};

/* A condition of WHERE or ON, after splitting at AND. */
struct condition {
    struct expr *expr;
    Relations relations;            /* ranges that it mentions */
    Relations required;             /* ranges that must be joined before it holds: adds what those depend on */
    double selectivity;
    bool implied;                   /* derived from others: may be left out */
    bool used;                      /* scratch of plan building */
};

struct condition_list {
    int count, capacity;
    struct condition **items;
};

/* One thing to be joined: a range, or a set of ranges that were joined by themselves (right side of a left join). */
struct join_item {
    Relations relations;
    enum plan_join join;
    Relations depends;              /* not INNER: what must be there before */
    struct condition_list on;       /* not INNER: its ON conditions that mention the left side */
    int range;                      /* a single range, or -1 */
    struct plan_node *node;         /* composite: planned */
    struct condition_list filters;  /* conditions on this range alone */
    double rows;
};

enum { PATHS_MAX = 12 };
/* Candidates for the same rows, none of them worse than another in every respect. */
struct path {
    struct plan_node *node;
    bool ordered;                   /* in the order that the query wants */
};
struct path_list {
    int count;
    struct path paths[PATHS_MAX];
};

/* Columns of outer ranges that an inner node reads, and the cells that carry them. */
struct cell_list {
    int count, capacity;
    int *cells;
    struct expr **exprs;
};

struct join_problem {
    struct query *query;
    int item_count;
    struct join_item items[RELATIONS_MAX];
    struct condition_list conditions;   /* of two items or more, and those to be applied after an outer join */
    struct condition_list gates;        /* of no range */
    const struct sort_key *order;       /* wanted order; NULL when none */
    int order_count;
    double goal;                        /* rows that will be fetched; 0 = all */
    uint64_t **used;                    /* per range: columns that are needed above the joins */
};

/* plan_tree.c: expressions and queries as trees */
struct query *plan__copy_query(struct op *op, struct arena *arena, const struct query *query);
struct expr *plan__copy(struct op *op, struct planner *planner, const struct expr *expr);
typedef struct expr *(*plan__map)(void *arg, struct op *op, const struct expr *expr, int depth);
int plan__map_query(struct op *op, struct arena *arena, struct query *query, int depth, plan__map map, void *arg) MUST_CHECK;
int plan__map_expr(struct op *op, struct arena *arena, struct expr **expr, int depth, plan__map map, void *arg) MUST_CHECK;
/* Ranges of this query level that the expression mentions, also from sub-selects below. */
Relations plan__relations(const struct expr *expr);
bool plan__mentions_outer(const struct expr *expr, int depth);
bool plan__is_volatile(const struct expr *expr);
bool plan__query_is_volatile(const struct query *query);
/* Calls visit for every column of the level `depth` levels out, in the expression and in its sub-selects. */
void plan__columns(const struct expr *expr, int depth, void (*visit)(void *arg, const struct expr *column), void *arg);
void plan__query_columns(const struct query *query, int depth, void (*visit)(void *arg, const struct expr *column), void *arg);
struct expr *plan__node(struct op *op, struct arena *arena, enum expr_kind kind, struct sql_type type, int arg_count);
struct expr *plan__and(struct op *op, struct arena *arena, struct expr *a, struct expr *b);
struct expr *plan__column(struct op *op, struct arena *arena, const struct query *query, int range, int column);
int plan__split_and(struct op *op, struct arena *arena, struct expr *expr, struct condition_list *list) MUST_CHECK;
int plan__add_condition(struct op *op, struct arena *arena, struct condition_list *list, struct condition *condition) MUST_CHECK;
struct expr *plan__join_conditions(struct op *op, struct arena *arena, const struct condition_list *list);
const struct expr *plan__bare(const struct expr *expr);     /* without relabels */
/* For `a op b` with a comparison: which, as func_comparison; false for anything else. */
bool plan__comparison(const struct expr *expr, int *which);
/* Whether equal values of both types have equal key encodings: so their "=" may be hashed and searched for. */
bool plan__same_key_class(Oid a, Oid b);
bool plan__query_depends(const struct query *query);
bool plan__depends(const struct expr *expr);
/* Whether the condition cannot be true when all columns of these ranges are null. */
bool plan__rejects_null(const struct expr *expr, Relations relations);

/* plan_refs.c: nodes and positions */
struct plan_node *plan__new_node(struct op *op, struct planner *planner, enum plan_kind kind, const struct query *scope, int columns);
/* A copy in which everything found in the layout has become a slot, and sub-selects are planned. */
int plan__to_slots(struct op *op, struct planner *planner, const struct query *scope, const struct expr *expr, int count,
                   struct expr *const *layout, struct expr **result) MUST_CHECK;
int plan__set_filter(struct op *op, struct planner *planner, struct plan_node *node, struct expr *condition) MUST_CHECK;
int plan__plan_subquery(struct op *op, struct planner *planner, const struct query *scope, const struct expr *expr, int count,
                        struct expr *const *layout, struct expr **result) MUST_CHECK;
void plan__note_depends(struct plan_node *node);

/* plan_rewrite.c */
/* plan_lock.c */
/* Are rows of this range locked? */
bool plan__locks_range(const struct query *query, int range);
/* The clustered key as a column behind the table's own. */
struct expr *plan__key_column(struct op *op, struct arena *arena, int range, int column);
/* Before sub-selects become joins: what is needed to judge a row again. */
int plan__prepare_recheck(struct op *op, struct planner *planner, struct query *query) MUST_CHECK;
int plan__lock_rows(struct op *op, struct planner *planner, struct query *query, struct plan_node **node) MUST_CHECK;

int plan__rewrite(struct op *op, struct planner *planner, struct query *query) MUST_CHECK;
/* plan_unnest.c: one conjunct of WHERE becomes a semi or anti join, if it can. */
int plan__unnest(struct op *op, struct planner *planner, struct query *query, struct expr *conjunct, bool *done) MUST_CHECK;

/* plan_cost.c */
double plan__selectivity(struct op *op, struct planner *planner, const struct query *query, const struct expr *expr);
double plan__list_selectivity(struct op *op, struct planner *planner, const struct query *query, const struct condition_list *list);
int plan__table_size(struct op *op, struct planner *planner, const struct table_def *table, double *rows, double *pages) MUST_CHECK;
double plan__sort_cost(const struct planner *planner, double rows, int width);
double plan__aggregate_cost(const struct planner *planner, double rows, double groups, int width);
double plan__group_count(struct op *op, struct planner *planner, const struct query *query, struct expr *const *groups, int count,
                         double rows);
int plan__width(const struct sql_type *types, int count);
double plan__expr_cost(const struct expr *expr);    /* of one evaluation */
double plan__cost_for(const struct plan_node *node, double goal);
bool plan__path_wins(const struct path_list *list, double startup, double total, bool ordered);
void plan__add_path(struct path_list *list, struct plan_node *node, bool ordered);
#define PLAN_DISABLED_COST 1e10
#define PLAN_ROW_COST 0.01
#define PLAN_OPERATOR_COST 0.0025
#define PLAN_PAGE_COST 1.0
#define PLAN_LOOKUP_COST 0.3        /* a descent of a tree that is mostly cached */

/* plan_index.c: all ways to read one table.  outer: ranges whose columns may be used in key ranges, as cells (for index nested loops): then
 * only paths that use them are given, and cells tells what must be set.  rows: of the range after its own conditions. */
int plan__scan_paths(struct op *op, struct planner *planner, struct join_problem *problem, struct join_item *item,
                     const struct condition_list *joining, Relations outer, struct path_list *paths, struct cell_list *cells)
    MUST_CHECK;
/* plan_footprint.c.  matched: conditions of which the key ranges were made, with columns of `outer` as cells. */
int plan__footprint(struct op *op, struct planner *planner, const struct join_problem *problem, const struct join_item *item,
                    const struct condition_list *matched, Relations outer, struct cell_list *cells, struct footprint_plan **result)
    MUST_CHECK;
/* Of two tables that are joined: does the one supply keys to the other? */
bool plan__supplies(const struct footprint_plan *one, const struct footprint_plan *other);
double plan__known_selectivity(struct op *op, struct planner *planner, struct join_problem *problem, struct join_item *item);
int plan__cell_of(struct op *op, struct planner *planner, struct cell_list *cells, const struct expr *column);

/* plan_join.c */
int plan__from(struct op *op, struct planner *planner, struct query *query, const struct sort_key *order, int order_count,
               double goal, uint64_t **used, struct path_list *paths) MUST_CHECK;
/* plan_order.c: which to join first */
int plan__join_order(struct op *op, struct planner *planner, struct join_problem *problem, struct path_list *paths) MUST_CHECK;
/* plan_path.c: all ways to join two sets */
struct join_side {
    Relations relations;
    double rows;
    const struct path_list *paths;
    struct join_item *item;         /* right side: when it is a single item */
};
int plan__join_paths(struct op *op, struct planner *planner, struct join_problem *problem, const struct join_side *left,
                     const struct join_side *right, double rows, struct path_list *paths) MUST_CHECK;

/* plan.c */
/* goal: rows that will be fetched; 0 = all */
int plan__select(struct op *op, struct planner *planner, struct query *query, double goal, struct plan_node **node) MUST_CHECK;
/* A node over `child`, with its rows and costs to begin with; NULL: no memory. */
struct plan_node *plan__above(struct op *op, struct planner *planner, enum plan_kind kind, const struct query *query,
                              struct plan_node *child, int columns);
void plan__same_columns(struct plan_node *node, const struct plan_node *child);
/* Each row once: all columns are grouping columns. */
int plan__distinct(struct op *op, struct planner *planner, struct query *query, struct plan_node **result) MUST_CHECK;

/* plan_set.c: UNION, INTERSECT and EXCEPT, before ORDER BY and LIMIT */
int plan__set_operation(struct op *op, struct planner *planner, struct query *query, double goal, struct plan_node **result) MUST_CHECK;

/* The columns of one range, as bits; for plan__columns. */
struct needed {
    uint64_t *bits;
    int range;
};
void plan__need_column(void *arg, const struct expr *column);

#endif
