/*
 * plan_order.c -- in which order to join.
 *
 * Up to ten items: dynamic programming over sets [SELINGER79], bushy trees included.  For each set the best few plans are kept, made of the
 * plans of two parts of it; parts without a condition between them are joined only when there is no other way.  Beyond ten: greedily,
 * always the pair with the smallest result.
 *
 * The estimated size of a set does not depend on how it was joined: it is the product of its items' sizes and of the selectivities of all
 * conditions that it can decide.
 */
#include <string.h>

#include "sql/plan_int.h"

enum { EXHAUSTIVE_MAX = 10 };

/* One set of items that has been planned. */
struct set {
    uint64_t items;
    Relations relations;
    double rows;
    bool valid;                     /* can stand on the left: everything depended on is inside */
    struct path_list paths;
};

static Relations relations_of(const struct join_problem *problem, uint64_t items)
{
    Relations relations = 0;

    for (; items; items &= items - 1)
        relations |= problem->items[__builtin_ctzll(items)].relations;
    return relations;
}

static bool is_valid(const struct join_problem *problem, uint64_t items, Relations relations)
{
    for (; items; items &= items - 1) {
        const struct join_item *item = &problem->items[__builtin_ctzll(items)];
        if (item->join != PLAN_JOIN_INNER && item->depends & ~relations)
            return false;
    }
    return true;
}

static double set_rows(struct op *op, struct planner *planner, struct join_problem *problem, uint64_t items, Relations relations)
{
    double rows = 1;

    for (uint64_t rest = items; rest; rest &= rest - 1) {
        struct join_item *item = &problem->items[__builtin_ctzll(rest)];
        double matches = item->rows;
        if (item->join != PLAN_JOIN_INNER)
            matches *= plan__list_selectivity(op, planner, problem->query, &item->on);
        switch (item->join) {
        case PLAN_JOIN_INNER: rows *= matches; break;
        case PLAN_JOIN_LEFT: rows *= matches < 1 ? 1 : matches; break;
        case PLAN_JOIN_SEMI: rows *= matches > 1 ? 1 : matches; break;
        case PLAN_JOIN_ANTI: rows *= matches > 0.9 ? 0.1 : 1 - matches; break;
        }
    }
    for (int i = 0; i < problem->conditions.count; i++) {
        struct condition *condition = problem->conditions.items[i];
        if (condition->required & ~relations || condition->implied)
            continue;
        if (condition->selectivity < 0)
            condition->selectivity = plan__selectivity(op, planner, problem->query, condition->expr);
        rows *= condition->selectivity;
    }
    return rows < 1 ? 1 : rows;
}

static bool connected(const struct join_problem *problem, const struct set *a, const struct set *b)
{
    Relations all = a->relations | b->relations;

    for (int i = 0; i < problem->conditions.count; i++) {
        Relations required = problem->conditions.items[i]->required;
        if ((required & ~all) == 0 && required & a->relations && required & b->relations)
            return true;
    }
    return false;
}

/* ---- single items --------------------------------------------------------------------------------- */

static int make_subquery_scan(struct op *op, struct planner *planner, struct join_problem *problem, struct join_item *item,
                              struct plan_node **result)
{
    const struct range_entry *range = &problem->query->ranges[item->range];
    struct plan_node *child, *node;

    if (plan__select(op, planner, range->subquery, 0, &child))
        return OP_FAILED;
    node = *result = plan__new_node(op, planner, PLAN_SUBQUERY_SCAN, problem->query, range->column_count);
    if (!node)
        return OP_FAILED;
    node->left = child;
    node->subquery.alias = range->alias;
    node->startup_cost = child->startup_cost;
    node->total_cost = child->total_cost;
    node->rows = child->rows;
    return OP_OK;
}

static int make_series(struct op *op, struct planner *planner, struct join_problem *problem, struct join_item *item,
                       struct plan_node **result)
{
    const struct range_entry *range = &problem->query->ranges[item->range];
    const struct expr *call = range->function;
    struct plan_node *node = *result = plan__new_node(op, planner, PLAN_SERIES, problem->query, range->column_count);

    if (!node)
        return OP_FAILED;
    node->series.func = call->func;
    node->series.alias = range->alias;
    node->series.arg_count = call->arg_count;
    node->series.args = op_arena_alloc(op, planner->arena, (call->arg_count + 1) * sizeof *node->series.args);
    if (!node->series.args)
        return OP_FAILED;
    for (int i = 0; i < call->arg_count; i++)
        if (plan__to_slots(op, planner, problem->query, call->args[i], 0, NULL, &node->series.args[i]))
            return OP_FAILED;
    node->rows = 1000;
    if (call->arg_count >= 2 && call->args[0]->kind == EXPR_CONST && call->args[1]->kind == EXPR_CONST
        && type_form(call->args[0]->type.oid) == FORM_INT64 && call->arg_count == 2) {
        double span = (double)call->args[1]->value.i - (double)call->args[0]->value.i + 1;
        node->rows = span < 1 ? 1 : span;
    }
    node->total_cost = node->rows * PLAN_ROW_COST;
    return OP_OK;
}

static int make_values(struct op *op, struct planner *planner, struct join_problem *problem, struct join_item *item,
                       struct plan_node **result)
{
    const struct range_entry *range = &problem->query->ranges[item->range];
    int count = range->row_count * range->column_count;
    struct plan_node *node = *result = plan__new_node(op, planner, PLAN_VALUES, problem->query, range->column_count);

    if (!node)
        return OP_FAILED;
    node->values.row_count = range->row_count;
    node->values.alias = range->alias;
    node->values.values = op_arena_alloc(op, planner->arena, (count + 1) * sizeof *node->values.values);
    if (!node->values.values)
        return OP_FAILED;
    for (int i = 0; i < count; i++)
        if (plan__to_slots(op, planner, problem->query, range->values[i], 0, NULL, &node->values.values[i]))
            return OP_FAILED;
    node->rows = range->row_count;
    node->total_cost = node->rows * PLAN_ROW_COST;
    return OP_OK;
}

static int other_range(struct op *op, struct planner *planner, struct join_problem *problem, struct join_item *item,
                       struct path_list *paths)
{
    const struct range_entry *range = &problem->query->ranges[item->range];
    struct expr *filter = plan__join_conditions(op, planner->arena, &item->filters);
    struct plan_node *node = NULL;
    int failed;

    switch (range->kind) {
    case RANGE_SUBQUERY: failed = make_subquery_scan(op, planner, problem, item, &node); break;
    case RANGE_FUNCTION: failed = make_series(op, planner, problem, item, &node); break;
    default: failed = make_values(op, planner, problem, item, &node); break;
    }
    if (failed)
        return OP_FAILED;
    for (int i = 0; i < range->column_count; i++) {
        node->types[i] = range->column_types[i];
        if (!(node->layout[i] = plan__column(op, planner->arena, problem->query, item->range, i)))
            return OP_FAILED;
    }
    node->width = plan__width(node->types, node->column_count);
    node->total_cost += node->rows * plan__expr_cost(filter);
    node->rows *= plan__list_selectivity(op, planner, problem->query, &item->filters);
    if (node->rows < 1)
        node->rows = 1;
    item->rows = node->rows;
    paths->count = 0;
    plan__add_path(paths, node, false);
    return plan__set_filter(op, planner, node, filter);
}

static int plan_item(struct op *op, struct planner *planner, struct join_problem *problem, struct join_item *item,
                     struct path_list *paths)
{
    double rows, pages;

    paths->count = 0;
    if (item->range < 0) {
        plan__add_path(paths, item->node, false);
        return OP_OK;
    }
    const struct range_entry *range = &problem->query->ranges[item->range];
    if (range->kind != RANGE_TABLE)
        return other_range(op, planner, problem, item, paths);
    if (plan__table_size(op, planner, range->table, &rows, &pages))
        return OP_FAILED;
    item->rows = rows * plan__known_selectivity(op, planner, problem, item);
    if (item->rows < 1)
        item->rows = 1;
    return plan__scan_paths(op, planner, problem, item, NULL, 0, paths, NULL);
}

/* ---- pairs ---------------------------------------------------------------------------------------- */

/* Adds to `target` the ways to join a (left) with b (right), if that is allowed. */
static int join_pair(struct op *op, struct planner *planner, struct join_problem *problem, const struct set *a, const struct set *b,
                     struct set *target)
{
    struct join_item *item = (b->items & (b->items - 1)) == 0 ? &problem->items[__builtin_ctzll(b->items)] : NULL;

    if (!a->valid || a->paths.count == 0 || b->paths.count == 0)
        return OP_OK;
    if (item && item->join != PLAN_JOIN_INNER) {
        if (item->depends & ~a->relations)
            return OP_OK;
    } else if (!b->valid) {
        return OP_OK;
    }
    struct join_side left = { a->relations, a->rows, &a->paths, NULL };
    struct join_side right = { b->relations, b->rows, &b->paths, item };
    return plan__join_paths(op, planner, problem, &left, &right, target->rows, &target->paths);
}

static void init_set(struct op *op, struct planner *planner, struct join_problem *problem, uint64_t items, struct set *set)
{
    set->items = items;
    set->relations = relations_of(problem, items);
    set->valid = is_valid(problem, items, set->relations);
    set->rows = set->valid ? set_rows(op, planner, problem, items, set->relations) : 0;
    set->paths.count = 0;
}

static int exhaustive(struct op *op, struct planner *planner, struct join_problem *problem, struct set *singles, struct path_list *paths)
{
    uint64_t all = ((uint64_t)1 << problem->item_count) - 1;
    struct set *sets = op_arena_alloc(op, planner->arena, (all + 1) * sizeof *sets);

    if (!sets)
        return OP_FAILED;
    for (int i = 0; i < problem->item_count; i++)
        sets[(uint64_t)1 << i] = singles[i];
    for (uint64_t items = 1; items <= all; items++) {
        struct set *set = &sets[items];
        if ((items & (items - 1)) == 0)
            continue;
        init_set(op, planner, problem, items, set);
        if (!set->valid)
            continue;
        for (int pass = 0; pass < 2 && set->paths.count == 0; pass++) {
            for (uint64_t part = (items - 1) & items; part; part = (part - 1) & items) {
                const struct set *a = &sets[part], *b = &sets[items & ~part];
                bool special = (b->items & (b->items - 1)) == 0
                    && problem->items[__builtin_ctzll(b->items)].join != PLAN_JOIN_INNER;
                if (pass == 0 && !special && !connected(problem, a, b))
                    continue;
                if (join_pair(op, planner, problem, a, b, set))
                    return OP_FAILED;
            }
        }
        if (op_check_cancel(op))
            return OP_FAILED;
    }
    *paths = sets[all].paths;
    return OP_OK;
}

static double pair_rows(struct op *op, struct planner *planner, struct join_problem *problem, const struct set *a, const struct set *b)
{
    Relations relations = a->relations | b->relations;

    return is_valid(problem, a->items | b->items, relations)
        ? set_rows(op, planner, problem, a->items | b->items, relations) : -1;
}

static int greedy(struct op *op, struct planner *planner, struct join_problem *problem, struct set *sets, struct path_list *paths)
{
    int count = problem->item_count;

    while (count > 1) {
        int best_a = -1, best_b = -1;
        bool best_connected = false;
        double best_rows = 0;
        for (int i = 0; i < count; i++) {
            for (int j = i + 1; j < count; j++) {
                double rows = pair_rows(op, planner, problem, &sets[i], &sets[j]);
                if (rows < 0)
                    continue;
                bool special = !sets[i].valid || !sets[j].valid;
                bool linked = special || connected(problem, &sets[i], &sets[j]);
                if (best_a < 0 || linked > best_connected || (linked == best_connected && rows < best_rows)) {
                    best_a = i;
                    best_b = j;
                    best_rows = rows;
                    best_connected = linked;
                }
            }
        }
        struct set joined;
        init_set(op, planner, problem, sets[best_a].items | sets[best_b].items, &joined);
        if (join_pair(op, planner, problem, &sets[best_a], &sets[best_b], &joined)
            || join_pair(op, planner, problem, &sets[best_b], &sets[best_a], &joined))
            return OP_FAILED;
        sets[best_a] = joined;
        sets[best_b] = sets[--count];
    }
    *paths = sets[0].paths;
    return OP_OK;
}

int plan__join_order(struct op *op, struct planner *planner, struct join_problem *problem, struct path_list *paths)
{
    struct set *singles = op_arena_alloc(op, planner->arena, problem->item_count * sizeof *singles);

    if (!singles)
        return OP_FAILED;
    for (int i = 0; i < problem->item_count; i++) {
        struct set *set = &singles[i];
        set->items = (uint64_t)1 << i;
        set->relations = problem->items[i].relations;
        set->valid = problem->items[i].join == PLAN_JOIN_INNER;
        if (plan_item(op, planner, problem, &problem->items[i], &set->paths))
            return OP_FAILED;
        set->rows = problem->items[i].rows;
    }
    if (problem->item_count == 1) {
        *paths = singles[0].paths;
        return OP_OK;
    }
    int failed = problem->item_count <= EXHAUSTIVE_MAX ? exhaustive(op, planner, problem, singles, paths)
                                                       : greedy(op, planner, problem, singles, paths);
    if (!failed && paths->count == 0)
        return op_fail(op, "XX000", "no way was found to join the tables of this query");
    return failed;
}
