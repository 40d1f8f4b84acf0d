/*
 * plan.c -- from a bound query to a physical plan.
 *
 *      rewrite                     plan_rewrite.c, plan_unnest.c: sub-selects become joins, conditions move down
 *      FROM and WHERE              plan_join.c, plan_order.c, plan_path.c, plan_index.c: the cheapest way to join
 *      GROUP BY, HAVING            aggregate over it
 *      the select list             series are run, expressions computed
 *      DISTINCT, ORDER BY, LIMIT   aggregate, sort unless the order is there already, limit
 *
 * The query given is copied first: planning changes its trees, and an execution may plan parts of it again.
 */
#include <string.h>

#include "sql/plan_int.h"

/* ---- columns needed above the joins --------------------------------------------------------------- */

struct use_map {
    const struct query *query;
    uint64_t **bits;
};

static void use_column(void *arg, const struct expr *column)
{
    struct use_map *map = arg;

    map->bits[column->range][column->column / 64] |= (uint64_t)1 << column->column % 64;
}

static int used_columns(struct op *op, struct planner *planner, const struct query *query, uint64_t ***result)
{
    struct use_map map = { query, op_arena_alloc(op, planner->arena, (query->range_count + 1) * sizeof *map.bits) };

    *result = map.bits;
    if (!map.bits)
        return OP_FAILED;
    for (int i = 0; i < query->range_count; i++) {
        map.bits[i] = op_arena_alloc(op, planner->arena, (query->ranges[i].column_count / 64 + 1) * 8);
        if (!map.bits[i])
            return OP_FAILED;
    }
    if (query->kind != QUERY_SELECT) {
        memset(map.bits[0], 0xff, (query->ranges[0].column_count / 64 + 1) * 8);
        return OP_OK;
    }
    for (int i = 0; i < query->target_count; i++)
        plan__columns(query->targets[i].expr, 0, use_column, &map);
    for (int i = 0; i < query->group_count; i++)
        plan__columns(query->groups[i], 0, use_column, &map);
    plan__columns(query->having, 0, use_column, &map);
    return OP_OK;
}

/* ---- nodes on top --------------------------------------------------------------------------------- */

struct plan_node *plan__above(struct op *op, struct planner *planner, enum plan_kind kind, const struct query *query,
                              struct plan_node *child, int columns)
{
    struct plan_node *node = plan__new_node(op, planner, kind, query, columns);

    if (!node)
        return NULL;
    node->left = child;
    node->rows = child->rows;
    node->startup_cost = child->startup_cost;
    node->total_cost = child->total_cost;
    return node;
}

void plan__same_columns(struct plan_node *node, const struct plan_node *child)
{
    memcpy(node->types, child->types, node->column_count * sizeof *node->types);
    memcpy(node->layout, child->layout, node->column_count * sizeof *node->layout);
    node->width = plan__width(node->types, node->column_count);
}

struct collected_exprs {
    struct op *op;
    struct planner *planner;
    enum expr_kind kind;
    int count, capacity;
    struct expr **items;
    bool failed;
};

/* Gathers the distinct outermost nodes of a kind. */
static bool collect_kind(void *arg, const struct expr *expr)
{
    struct collected_exprs *c = arg;

    if (expr->kind != c->kind)
        return true;
    for (int i = 0; i < c->count; i++)
        if (c->kind != EXPR_SERIES && expr_equal(c->items[i], expr))
            return true;
    if (c->count == c->capacity) {
        int capacity = c->capacity ? 2 * c->capacity : 8;
        struct expr **items = op_arena_alloc(c->op, c->planner->arena, capacity * sizeof *items);
        if (!items) {
            c->failed = true;
            return false;
        }
        if (c->count)
            memcpy(items, c->items, c->count * sizeof *items);
        c->items = items;
        c->capacity = capacity;
    }
    c->items[c->count++] = (struct expr *)expr;
    return true;
}

/* ---- aggregation ---------------------------------------------------------------------------------- */

static int slots_of(struct op *op, struct planner *planner, const struct query *query, const struct plan_node *input,
                    const struct expr *expr, struct expr **result)
{
    return plan__to_slots(op, planner, query, expr, input->column_count, input->layout, result);
}

static int plan_call(struct op *op, struct planner *planner, const struct query *query, const struct plan_node *input,
                     const struct expr *expr, struct plan_aggregate *call)
{
    struct arena *arena = planner->arena;

    call->aggregate = expr->aggregate;
    call->arg_count = expr->arg_count;
    call->distinct = expr->distinct;
    for (int i = 0; i < expr->arg_count; i++)
        if (slots_of(op, planner, query, input, expr->args[i], &call->args[i]))
            return OP_FAILED;
    if (expr->filter && slots_of(op, planner, query, input, expr->filter, &call->filter))
        return OP_FAILED;
    call->order_count = expr->order_count;
    call->order = op_arena_alloc(op, arena, (expr->order_count + 1) * sizeof *call->order);
    call->descending = op_arena_alloc(op, arena, expr->order_count + 1);
    call->nulls_first = op_arena_alloc(op, arena, expr->order_count + 1);
    if (!call->order || !call->descending || !call->nulls_first)
        return OP_FAILED;
    for (int i = 0; i < expr->order_count; i++) {
        call->descending[i] = expr->order[i].descending;
        call->nulls_first[i] = expr->order[i].nulls_first;
        if (slots_of(op, planner, query, input, expr->order[i].expr, &call->order[i]))
            return OP_FAILED;
    }
    return OP_OK;
}

/* A column that is determined by the grouping columns (their table's primary key): becomes a grouping column itself. */
static bool collect_dependent(void *arg, const struct expr *expr)
{
    struct collected_exprs *groups = arg;

    for (int i = 0; i < groups->count; i++)
        if (expr_equal(groups->items[i], expr))
            return false;
    if (expr->kind == EXPR_AGGREGATE)
        return false;
    if (expr->kind == EXPR_COLUMN && expr->level == 0)
        collect_kind(groups, expr);
    return true;
}

/* expr_walk goes on beside what was refused: each argument by itself. */
static void walk_dependent(struct collected_exprs *groups, const struct expr *expr)
{
    if (!expr || !collect_dependent(groups, expr))
        return;
    for (int i = 0; i < expr->arg_count; i++)
        walk_dependent(groups, expr->args[i]);
}

static int aggregate_node(struct op *op, struct planner *planner, const struct query *query, struct plan_node *input,
                          const struct collected_exprs *groups, const struct collected_exprs *calls, struct plan_node **result)
{
    struct plan_node *node = *result = plan__above(op, planner, PLAN_AGGREGATE, query, input, groups->count + calls->count);
    struct arena *arena = planner->arena;

    if (!node)
        return OP_FAILED;
    node->aggregate.group_count = groups->count;
    node->aggregate.aggregate_count = calls->count;
    node->aggregate.groups = op_arena_alloc(op, arena, (groups->count + 1) * sizeof *node->aggregate.groups);
    node->aggregate.aggregates = op_arena_alloc(op, arena, (calls->count + 1) * sizeof *node->aggregate.aggregates);
    if (!node->aggregate.groups || !node->aggregate.aggregates)
        return OP_FAILED;
    for (int i = 0; i < groups->count; i++) {
        node->layout[i] = groups->items[i];
        node->types[i] = groups->items[i]->type;
        if (slots_of(op, planner, query, input, groups->items[i], &node->aggregate.groups[i]))
            return OP_FAILED;
    }
    for (int i = 0; i < calls->count; i++) {
        node->layout[groups->count + i] = calls->items[i];
        node->types[groups->count + i] = calls->items[i]->type;
        if (plan_call(op, planner, query, input, calls->items[i], &node->aggregate.aggregates[i]))
            return OP_FAILED;
    }
    node->width = plan__width(node->types, node->column_count);
    node->rows = groups->count ? plan__group_count(op, planner, query, groups->items, groups->count, input->rows) : 1;
    node->total_cost = input->total_cost + plan__aggregate_cost(planner, input->rows * (calls->count + 1), node->rows, node->width);
    node->startup_cost = node->total_cost - node->rows * PLAN_ROW_COST;
    return OP_OK;
}

static int plan_grouping(struct op *op, struct planner *planner, struct query *query, struct plan_node **node)
{
    struct collected_exprs groups = { op, planner, EXPR_COLUMN, 0, 0, NULL, false };
    struct collected_exprs calls = { op, planner, EXPR_AGGREGATE, 0, 0, NULL, false };

    for (int i = 0; i < query->group_count; i++) {
        groups.kind = query->groups[i]->kind;
        collect_kind(&groups, query->groups[i]);
    }
    groups.kind = EXPR_COLUMN;
    for (int i = 0; i < query->target_count; i++) {
        expr_walk(query->targets[i].expr, collect_kind, &calls);
        walk_dependent(&groups, query->targets[i].expr);
    }
    if (query->having) {
        expr_walk(query->having, collect_kind, &calls);
        walk_dependent(&groups, query->having);
    }
    if (groups.failed || calls.failed || aggregate_node(op, planner, query, *node, &groups, &calls, node))
        return OP_FAILED;
    if (query->having) {
        (*node)->rows *= 0.33;
        if ((*node)->rows < 1)
            (*node)->rows = 1;
    }
    return plan__set_filter(op, planner, *node, query->having);
}

int plan__distinct(struct op *op, struct planner *planner, struct query *query, struct plan_node **result)
{
    struct plan_node *input = *result;
    struct plan_node *node = *result = plan__above(op, planner, PLAN_AGGREGATE, query, input, input->column_count);

    if (!node)
        return OP_FAILED;
    plan__same_columns(node, input);
    node->aggregate.is_distinct = true;
    node->aggregate.group_count = input->column_count;
    node->aggregate.groups = op_arena_alloc(op, planner->arena, (input->column_count + 1) * sizeof *node->aggregate.groups);
    if (!node->aggregate.groups)
        return OP_FAILED;
    for (int i = 0; i < input->column_count; i++) {
        node->aggregate.groups[i] = plan__node(op, planner->arena, EXPR_SLOT, input->types[i], 0);
        if (!node->aggregate.groups[i])
            return OP_FAILED;
        node->aggregate.groups[i]->slot = i;
    }
    node->rows = plan__group_count(op, planner, query, input->layout, input->column_count, input->rows);
    node->total_cost = input->total_cost + plan__aggregate_cost(planner, input->rows, node->rows, node->width);
    node->startup_cost = node->total_cost - node->rows * PLAN_ROW_COST;
    return OP_OK;
}

/* ---- the select list ------------------------------------------------------------------------------ */

static int plan_series(struct op *op, struct planner *planner, struct query *query, struct plan_node **result)
{
    struct collected_exprs series = { op, planner, EXPR_SERIES, 0, 0, NULL, false };
    struct plan_node *input = *result, *node;

    for (int i = 0; i < query->target_count; i++)
        expr_walk(query->targets[i].expr, collect_kind, &series);
    if (series.failed)
        return OP_FAILED;
    if (series.count == 0)
        return OP_OK;
    node = *result = plan__above(op, planner, PLAN_PROJECT_SET, query, input, input->column_count + series.count);
    if (!node)
        return OP_FAILED;
    memcpy(node->types, input->types, input->column_count * sizeof *node->types);
    memcpy(node->layout, input->layout, input->column_count * sizeof *node->layout);
    node->project.count = series.count;
    node->project.exprs = op_arena_alloc(op, planner->arena, series.count * sizeof *node->project.exprs);
    if (!node->project.exprs)
        return OP_FAILED;
    for (int i = 0; i < series.count; i++) {
        struct expr *call = plan__copy(op, planner, series.items[i]);
        if (!call)
            return OP_FAILED;
        for (int j = 0; j < call->arg_count; j++)
            if (slots_of(op, planner, query, input, series.items[i]->args[j], &call->args[j]))
                return OP_FAILED;
        node->project.exprs[i] = call;
        node->layout[input->column_count + i] = series.items[i];
        node->types[input->column_count + i] = series.items[i]->type;
    }
    node->width = plan__width(node->types, node->column_count);
    node->rows = input->rows * 1000;
    node->total_cost += node->rows * PLAN_ROW_COST;
    return OP_OK;
}

static int project(struct op *op, struct planner *planner, struct query *query, struct plan_node *input, int count,
                   struct expr *const *exprs, struct plan_node **result)
{
    struct plan_node *node;
    bool same = count == input->column_count;

    for (int i = 0; i < count && same; i++)
        same = input->layout[i] == exprs[i] || (input->layout[i] && input->layout[i]->kind == EXPR_COLUMN
                                                && expr_equal(input->layout[i], exprs[i]));
    if (same && input->kind != PLAN_RESULT) {
        *result = input;
        return OP_OK;
    }
    node = *result = plan__above(op, planner, PLAN_PROJECT, query, input, count);
    if (!node)
        return OP_FAILED;
    node->project.count = count;
    node->project.exprs = op_arena_alloc(op, planner->arena, (count + 1) * sizeof *node->project.exprs);
    if (!node->project.exprs)
        return OP_FAILED;
    double cost = 0;
    for (int i = 0; i < count; i++) {
        node->layout[i] = exprs[i];
        node->types[i] = exprs[i]->type;
        cost += plan__expr_cost(exprs[i]);
        if (slots_of(op, planner, query, input, exprs[i], &node->project.exprs[i]))
            return OP_FAILED;
    }
    node->width = plan__width(node->types, count);
    node->total_cost += node->rows * cost;
    return OP_OK;
}

static struct expr **target_exprs(struct op *op, struct planner *planner, const struct query *query, bool visible, int *count)
{
    struct expr **exprs = op_arena_alloc(op, planner->arena, (query->target_count + 1) * sizeof *exprs);

    *count = 0;
    for (int i = 0; exprs && i < query->target_count; i++)
        if (!visible || !query->targets[i].hidden)
            exprs[(*count)++] = query->targets[i].expr;
    return exprs;
}

/* ---- ORDER BY, LIMIT ------------------------------------------------------------------------------ */

/* Number of rows that LIMIT and OFFSET will fetch at most, when it is known; 0 = unknown. */
static double known_limit(const struct query *query)
{
    double rows = 0;

    if (!query->limit || query->limit->kind != EXPR_CONST || query->limit->value.null)
        return query->limit ? 100 : 0;
    rows = (double)query->limit->value.i;
    if (query->offset && query->offset->kind == EXPR_CONST && !query->offset->value.null)
        rows += (double)query->offset->value.i;
    return rows < 1 ? 1 : rows;
}

static int plan_sort(struct op *op, struct planner *planner, struct query *query, struct plan_node **result)
{
    struct plan_node *input = *result;
    struct plan_node *node = *result = plan__above(op, planner, PLAN_SORT, query, input, input->column_count);
    int count = query->order_count;

    if (!node)
        return OP_FAILED;
    plan__same_columns(node, input);
    node->sort.columns = op_arena_alloc(op, planner->arena, (count + 1) * sizeof *node->sort.columns);
    node->sort.texts = op_arena_alloc(op, planner->arena, (count + 1) * sizeof *node->sort.texts);
    if (!node->sort.columns || !node->sort.texts)
        return OP_FAILED;
    for (int i = 0; i < count; i++) {
        const struct sort_key *key = &query->order[i];
        if (query->targets[key->target].expr->kind == EXPR_CONST)
            continue;
        node->sort.texts[node->sort.count] = query->targets[key->target].expr;
        node->sort.columns[node->sort.count++] = (struct sort_column){ key->target, key->descending, key->nulls_first };
    }
    node->total_cost = input->total_cost + plan__sort_cost(planner, input->rows, input->width) + input->rows * PLAN_OPERATOR_COST;
    node->startup_cost = node->total_cost - input->rows * PLAN_OPERATOR_COST;
    if (query->limit && !query->mark_count && (plan__to_slots(op, planner, query, query->limit, 0, NULL, &node->sort.limit)
                         || (query->offset && plan__to_slots(op, planner, query, query->offset, 0, NULL, &node->sort.offset))))
        return OP_FAILED;
    return OP_OK;
}

static int plan_limit(struct op *op, struct planner *planner, struct query *query, struct plan_node **result)
{
    struct plan_node *input = *result;
    struct plan_node *node = *result = plan__above(op, planner, PLAN_LIMIT, query, input, input->column_count);
    double rows = known_limit(query);

    if (!node)
        return OP_FAILED;
    plan__same_columns(node, input);
    if (rows > 0 && rows < input->rows) {
        node->total_cost = plan__cost_for(input, rows);
        node->rows = rows;
    }
    if (query->limit && plan__to_slots(op, planner, query, query->limit, 0, NULL, &node->limit.limit))
        return OP_FAILED;
    return query->offset ? plan__to_slots(op, planner, query, query->offset, 0, NULL, &node->limit.offset) : OP_OK;
}

/* Everything above FROM, WHERE and GROUP BY. */
static int finish_select(struct op *op, struct planner *planner, struct query *query, bool ordered, struct plan_node **node)
{
    struct expr **exprs;
    int count;

    if (query->kind != QUERY_SELECT)
        return OP_OK;
    if (plan_series(op, planner, query, node))
        return OP_FAILED;
    exprs = target_exprs(op, planner, query, false, &count);
    if (!exprs || project(op, planner, query, *node, count, exprs, node))
        return OP_FAILED;
    if (query->distinct && plan__distinct(op, planner, query, node))
        return OP_FAILED;
    if (query->order_count && !ordered && plan_sort(op, planner, query, node))
        return OP_FAILED;
    if (query->recheck && plan__lock_rows(op, planner, query, node))
        return OP_FAILED;
    if ((query->limit || query->offset) && plan_limit(op, planner, query, node))
        return OP_FAILED;
    exprs = target_exprs(op, planner, query, true, &count);
    if (!exprs || count == query->target_count)
        return exprs ? OP_OK : OP_FAILED;
    return project(op, planner, query, *node, count, exprs, node);
}

/* ---- SELECT --------------------------------------------------------------------------------------- */

static const struct path *choose(struct planner *planner, const struct query *query, const struct path_list *paths, bool want_order,
                                 double goal)
{
    const struct path *best = NULL;
    double best_cost = 0;

    for (int i = 0; i < paths->count; i++) {
        const struct path *path = &paths->paths[i];
        double cost;
        if (want_order && !path->ordered)
            cost = path->node->total_cost + plan__sort_cost(planner, path->node->rows, path->node->width);
        else
            cost = plan__cost_for(path->node, goal);
        if (!best || cost < best_cost) {
            best = path;
            best_cost = cost;
        }
    }
    return best;
}

static int plan_no_from(struct op *op, struct planner *planner, struct query *query, struct plan_node **node)
{
    *node = plan__new_node(op, planner, PLAN_RESULT, query, 0);
    if (!*node)
        return OP_FAILED;
    (*node)->rows = 1;
    (*node)->total_cost = PLAN_ROW_COST;
    return plan__set_filter(op, planner, *node, query->where);
}

static bool has_series(const struct query *query)
{
    for (int i = 0; i < query->target_count; i++)
        if (expr_contains(query->targets[i].expr, EXPR_SERIES))
            return true;
    return false;
}

static int plan_plain(struct op *op, struct planner *planner, struct query *query, double goal, struct plan_node **node)
{
    bool blocking = query->grouped || query->distinct;
    bool want_order = query->order_count && !blocking && !has_series(query);
    struct path_list paths;
    uint64_t **used;
    bool ordered = false;

    if (!query->from) {
        if (plan_no_from(op, planner, query, node))
            return OP_FAILED;
    } else {
        double limit = known_limit(query);
        if (limit > 0 && (goal <= 0 || limit < goal))
            goal = limit;
        if (blocking || (query->order_count && !want_order))
            goal = 0;
        if (used_columns(op, planner, query, &used)
            || plan__from(op, planner, query, want_order ? query->order : NULL, want_order ? query->order_count : 0, goal, used, &paths))
            return OP_FAILED;
        const struct path *path = choose(planner, query, &paths, want_order, goal);
        *node = path->node;
        ordered = want_order && path->ordered;
    }
    if (query->grouped && plan_grouping(op, planner, query, node))
        return OP_FAILED;
    return finish_select(op, planner, query, ordered, node);
}

/* ---- the whole ------------------------------------------------------------------------------------ */

/* The rows of UNION and the like, then ORDER BY and LIMIT. */
static int plan_set(struct op *op, struct planner *planner, struct query *query, double goal, struct plan_node **result)
{
    if (plan__set_operation(op, planner, query, query->order_count ? 0 : goal, result))
        return OP_FAILED;
    if (query->order_count && plan_sort(op, planner, query, result))
        return OP_FAILED;
    return query->limit || query->offset ? plan_limit(op, planner, query, result) : OP_OK;
}

int plan__select(struct op *op, struct planner *planner, struct query *query, double goal, struct plan_node **node)
{
    if (plan__rewrite(op, planner, query))
        return OP_FAILED;
    if (query->set != SET_NONE)
        return plan_set(op, planner, query, goal, node);
    return plan_plain(op, planner, query, goal, node);
}

/* ---- the entry ------------------------------------------------------------------------------------ */

static void mark_expr(struct plan *plan, const struct plan_node *owner, const struct expr *expr);
static void mark_node(struct plan *plan, const struct plan_node *node);

/* What a changed row is judged by is planned a second time; EXPLAIN shows only the first. */
static void mark_hidden(struct plan *plan, const struct expr *expr)
{
    static const struct plan_node nowhere;

    if (!expr)
        return;
    if (expr->kind == EXPR_SUBQUERY) {
        struct subplan *subplan = (struct subplan *)expr->subquery;
        subplan->owner = &nowhere;
        int shown = plan->shown_subplans;
        mark_node(plan, subplan->root);
        plan->shown_subplans = shown;
    }
    for (int i = 0; i < expr->arg_count; i++)
        mark_hidden(plan, expr->args[i]);
}

static void mark_lock(struct plan *plan, const struct plan_node *node)
{
    mark_hidden(plan, node->lock.where);
    for (const struct plan_outer *outer = node->lock.outers; outer; outer = outer->next)
        mark_hidden(plan, outer->on);
    for (int i = 0; i < node->lock.target_count; i++)
        mark_hidden(plan, node->lock.targets[i]);
}

static void mark_node(struct plan *plan, const struct plan_node *node)
{
    if (!node)
        return;
    mark_expr(plan, node, node->filter);
    switch (node->kind) {
    case PLAN_SCAN:
        for (int i = 0; i < node->scan.part_count; i++)
            for (int j = 0; j < node->scan.parts[i].count; j++) {
                mark_expr(plan, node, node->scan.parts[i].intervals[j].low);
                mark_expr(plan, node, node->scan.parts[i].intervals[j].high);
            }
        break;
    case PLAN_VALUES:
        for (int i = 0; i < node->values.row_count * node->column_count; i++)
            mark_expr(plan, node, node->values.values[i]);
        break;
    case PLAN_SERIES:
        for (int i = 0; i < node->series.arg_count; i++)
            mark_expr(plan, node, node->series.args[i]);
        break;
    case PLAN_NEST_LOOP:
    case PLAN_HASH_JOIN:
        mark_expr(plan, node, node->join.on);
        for (int i = 0; i < node->join.key_count; i++) {
            mark_expr(plan, node, node->join.left_keys[i]);
            mark_expr(plan, node, node->join.right_keys[i]);
        }
        break;
    case PLAN_AGGREGATE:
        for (int i = 0; i < node->aggregate.group_count; i++)
            mark_expr(plan, node, node->aggregate.groups[i]);
        for (int i = 0; i < node->aggregate.aggregate_count; i++) {
            const struct plan_aggregate *call = &node->aggregate.aggregates[i];
            mark_expr(plan, node, call->filter);
            for (int j = 0; j < call->arg_count; j++)
                mark_expr(plan, node, call->args[j]);
            for (int j = 0; j < call->order_count; j++)
                mark_expr(plan, node, call->order[j]);
        }
        break;
    case PLAN_PROJECT:
    case PLAN_PROJECT_SET:
        for (int i = 0; i < node->project.count; i++)
            mark_expr(plan, node, node->project.exprs[i]);
        break;
    case PLAN_SORT:
        mark_expr(plan, node, node->sort.limit);
        mark_expr(plan, node, node->sort.offset);
        break;
    case PLAN_LIMIT:
        mark_expr(plan, node, node->limit.limit);
        mark_expr(plan, node, node->limit.offset);
        break;
    case PLAN_LOCK_ROWS:
        mark_lock(plan, node);
        break;
    case PLAN_APPEND:
        for (int i = 0; i < node->append.count; i++)
            mark_node(plan, node->append.children[i]);
        break;
    case PLAN_RESULT:
    case PLAN_GATE:
    case PLAN_SUBQUERY_SCAN:
    case PLAN_MATERIALIZE:
    case PLAN_SET:
        break;
    }
    mark_node(plan, node->left);
    mark_node(plan, node->right);
}

static void mark_expr(struct plan *plan, const struct plan_node *owner, const struct expr *expr)
{
    if (!expr)
        return;
    if (expr->kind == EXPR_SUBQUERY) {
        struct subplan *subplan = (struct subplan *)expr->subquery;
        if (!subplan->owner)
            subplan->number = ++plan->shown_subplans;
        subplan->owner = owner;
        mark_node(plan, subplan->root);
    }
    for (int i = 0; i < expr->arg_count; i++)
        mark_expr(plan, owner, expr->args[i]);
}

/* Sub-selects of plans that were considered and not chosen are forgotten. */
static void keep_reachable(struct plan *plan)
{
    struct subplan **link = &plan->subplans;

    mark_node(plan, plan->root);
    while (*link) {
        if ((*link)->owner)
            link = &(*link)->next;
        else
            *link = (*link)->next;
    }
}

int plan_query(struct op *op, struct session *session, struct arena *arena, struct query *query, const struct plan_options *options,
               struct plan **result)
{
    struct plan *plan = op_arena_alloc(op, arena, sizeof *plan);
    struct planner planner = { session, arena, options, plan, 0, NULL };

    *result = NULL;
    if (!plan)
        return OP_FAILED;
    plan->arena = arena;
    struct query *copy = plan__copy_query(op, arena, query->kind == QUERY_INSERT ? query->source : query);
    if (!copy)
        return OP_FAILED;
    plan->query = copy;
    if (copy->kind != QUERY_SELECT) {
        planner.returning_count = copy->target_count;
        planner.returning = copy->targets;
        copy->target_count = 0;
        copy->order_count = 0;
    }
    if (plan__select(op, &planner, copy, 0, &plan->root))
        return OP_FAILED;
    plan__note_depends(plan->root);
    keep_reachable(plan);
    plan->column_count = plan->root->column_count;
    plan->types = plan->root->types;
    *result = plan;
    return OP_OK;
}

int plan_column_count(const struct plan *plan)
{
    return plan->column_count;
}

const struct sql_type *plan_column_types(const struct plan *plan)
{
    return plan->types;
}
