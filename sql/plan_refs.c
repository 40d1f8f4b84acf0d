/*
 * plan_refs.c -- from names to positions: expressions over a node's input, and the plans of sub-selects.
 */
#include <string.h>

#include "sql/plan_int.h"

struct plan_node *plan__new_node(struct op *op, struct planner *planner, enum plan_kind kind, const struct query *scope, int columns)
{
    struct plan_node *node = op_arena_alloc(op, planner->arena, sizeof *node);

    if (!node)
        return NULL;
    node->kind = kind;
    node->id = planner->plan->node_count++;
    node->scope = scope;
    node->column_count = columns;
    node->types = op_arena_alloc(op, planner->arena, (columns + 1) * sizeof *node->types);
    node->layout = op_arena_alloc(op, planner->arena, (columns + 1) * sizeof *node->layout);
    return node->types && node->layout ? node : NULL;
}

static int find_in_layout(const struct expr *expr, int count, struct expr *const *layout)
{
    if (expr->kind == EXPR_CONST || expr->kind == EXPR_PARAM || expr->kind == EXPR_OUTER)
        return -1;
    for (int i = 0; i < count; i++) {
        const struct expr *other = layout[i];
        if (!other || other->kind != expr->kind)
            continue;
        if (expr->kind == EXPR_COLUMN) {
            if (expr->level == other->level && expr->range == other->range && expr->column == other->column)
                return i;
        } else if (expr == other || expr_equal(expr, other)) {
            return i;
        }
    }
    return -1;
}

int plan__to_slots(struct op *op, struct planner *planner, const struct query *scope, const struct expr *expr, int count,
                   struct expr *const *layout, struct expr **result)
{
    int slot = find_in_layout(expr, count, layout);

    *result = NULL;
    if (slot >= 0) {
        *result = plan__node(op, planner->arena, EXPR_SLOT, expr->type, 0);
        if (!*result)
            return OP_FAILED;
        (*result)->slot = slot;
        return OP_OK;
    }
    if (expr->kind == EXPR_SUBQUERY)
        return plan__plan_subquery(op, planner, scope, expr, count, layout, result);
    if (expr->kind == EXPR_COLUMN || expr->kind == EXPR_AGGREGATE || expr->kind == EXPR_SERIES)
        return op_fail_at(op, expr->position, expr->kind == EXPR_SERIES ? "0A000" : "XX000",
                          expr->kind == EXPR_SERIES ? "set-returning functions are not allowed here"
                                                    : "an expression needs a value that its plan does not provide");
    struct expr *copy = op_arena_alloc(op, planner->arena, sizeof *copy);
    if (!copy)
        return OP_FAILED;
    *copy = *expr;
    if (expr->arg_count) {
        copy->args = op_arena_alloc(op, planner->arena, expr->arg_count * sizeof *copy->args);
        if (!copy->args)
            return OP_FAILED;
    }
    for (int i = 0; i < expr->arg_count; i++)
        if (plan__to_slots(op, planner, scope, expr->args[i], count, layout, &copy->args[i]))
            return OP_FAILED;
    *result = copy;
    return OP_OK;
}

int plan__set_filter(struct op *op, struct planner *planner, struct plan_node *node, struct expr *condition)
{
    if (!condition)
        return OP_OK;
    node->filter_text = condition;
    return plan__to_slots(op, planner, node->scope, condition, node->column_count, node->layout, &node->filter);
}

/* ---- sub-selects ---------------------------------------------------------------------------------- */

struct outer_columns {
    struct planner *planner;
    struct cell_list cells;         /* the query's columns that the sub-select reads */
};

int plan__cell_of(struct op *op, struct planner *planner, struct cell_list *cells, const struct expr *column)
{
    for (int i = 0; i < cells->count; i++)
        if (cells->exprs[i]->range == column->range && cells->exprs[i]->column == column->column)
            return cells->cells[i];
    if (cells->count == cells->capacity) {
        int capacity = cells->capacity ? 2 * cells->capacity : 8;
        int *numbers = op_arena_alloc(op, planner->arena, capacity * sizeof *numbers);
        struct expr **exprs = op_arena_alloc(op, planner->arena, capacity * sizeof *exprs);
        if (!numbers || !exprs)
            return -1;
        if (cells->count) {
            memcpy(numbers, cells->cells, cells->count * sizeof *numbers);
            memcpy(exprs, cells->exprs, cells->count * sizeof *exprs);
        }
        cells->cells = numbers;
        cells->exprs = exprs;
        cells->capacity = capacity;
    }
    struct expr *own = plan__node(op, planner->arena, EXPR_COLUMN, column->type, 0);
    if (!own)
        return -1;
    own->range = column->range;
    own->column = column->column;
    cells->exprs[cells->count] = own;
    cells->cells[cells->count] = planner->plan->cell_count++;
    return cells->cells[cells->count++];
}

/* In a sub-select: columns of the query around it become cells. */
static struct expr *outer_to_cell(void *arg, struct op *op, const struct expr *expr, int depth)
{
    struct outer_columns *outer = arg;

    if (expr->kind != EXPR_COLUMN || expr->level != depth)
        return NULL;
    int cell = plan__cell_of(op, outer->planner, &outer->cells, expr);
    struct expr *mapped = cell < 0 ? NULL : plan__node(op, outer->planner->arena, EXPR_OUTER, expr->type, 0);
    if (mapped)
        mapped->slot = cell;
    return mapped;
}

/* EXISTS asks for rows, not for what is in them. */
static void strip_for_exists(struct query *query)
{
    if (query->set != SET_NONE || query->grouped)
        return;
    for (int i = 0; i < query->target_count; i++)
        if (expr_contains(query->targets[i].expr, EXPR_SERIES))
            return;
    query->distinct = false;
    query->order_count = 0;
    query->target_count = 0;
}

static int subplan_cells(struct op *op, struct planner *planner, const struct query *scope, const struct outer_columns *outer,
                         int count, struct expr *const *layout, struct subplan *subplan)
{
    subplan->cell_count = outer->cells.count;
    subplan->cells = op_arena_alloc(op, planner->arena, (outer->cells.count + 1) * sizeof *subplan->cells);
    if (!subplan->cells)
        return OP_FAILED;
    for (int i = 0; i < outer->cells.count; i++) {
        int slot = find_in_layout(outer->cells.exprs[i], count, layout);
        if (slot < 0)
            return op_fail(op, "42803", "subquery uses ungrouped column \"%s.%s\" from outer query",
                           scope->ranges[outer->cells.exprs[i]->range].alias,
                           scope->ranges[outer->cells.exprs[i]->range].column_names[outer->cells.exprs[i]->column]);
        subplan->cells[i] = (struct outer_cell){ outer->cells.cells[i], slot };
        struct cell_name *name = op_arena_alloc(op, planner->arena, sizeof *name);
        if (!name)
            return OP_FAILED;
        *name = (struct cell_name){ outer->cells.cells[i], scope, outer->cells.exprs[i], planner->plan->cell_names };
        planner->plan->cell_names = name;
    }
    return OP_OK;
}

int plan__plan_subquery(struct op *op, struct planner *planner, const struct query *scope, const struct expr *expr, int count,
                        struct expr *const *layout, struct expr **result)
{
    struct outer_columns outer = { .planner = planner };
    struct subplan *subplan = op_arena_alloc(op, planner->arena, sizeof *subplan);
    struct query *query = plan__copy_query(op, planner->arena, expr->subquery);
    struct expr *copy = op_arena_alloc(op, planner->arena, sizeof *copy);

    if (!subplan || !query || !copy)
        return OP_FAILED;
    if (plan__map_query(op, planner->arena, query, 1, outer_to_cell, &outer)
        || subplan_cells(op, planner, scope, &outer, count, layout, subplan))
        return OP_FAILED;
    subplan->source = expr;
    subplan->kind = expr->subquery_kind;
    subplan->equal = expr->subquery_equal;
    subplan->type = query->target_count ? query->targets[0].expr->type : (struct sql_type){ TYPE_INT4, -1 };
    if (subplan->kind == SUBQUERY_EXISTS)
        strip_for_exists(query);
    bool once = !plan__query_depends(query) && !plan__query_is_volatile(query);
    subplan->use = !once ? SUBPLAN_ROWS : subplan->kind == SUBQUERY_IN ? SUBPLAN_HASHED : SUBPLAN_ONCE;
    *copy = *expr;
    if (subplan->kind == SUBQUERY_IN) {
        if (!(copy->args = op_arena_alloc(op, planner->arena, sizeof *copy->args)))
            return OP_FAILED;
        if (plan__to_slots(op, planner, scope, expr->args[0], count, layout, &copy->args[0]))
            return OP_FAILED;
        subplan->arg_type = copy->args[0]->type;
    }
    subplan->id = planner->plan->subplan_count++;
    subplan->number = subplan->id + 1;
    if (plan__select(op, planner, query, subplan->kind == SUBQUERY_EXISTS ? 1 : 0, &subplan->root))
        return OP_FAILED;
    plan__note_depends(subplan->root);
    subplan->next = planner->plan->subplans;
    planner->plan->subplans = subplan;
    copy->subquery = &subplan->stub;
    *result = copy;
    return OP_OK;
}

/* ---- which nodes read cells that others set ------------------------------------------------------- */

/* Cells as bits; those from 63 on share a bit that is never taken away, which only makes more be computed again. */
static uint64_t cell_bit(int cell)
{
    return (uint64_t)1 << (cell < 63 ? cell : 63);
}

static uint64_t without_cells(uint64_t used, const struct outer_cell *cells, int count)
{
    for (int i = 0; i < count; i++)
        if (cells[i].cell < 63)
            used &= ~cell_bit(cells[i].cell);
    return used;
}

static uint64_t node_cells(struct plan_node *node);

static uint64_t expr_cells(const struct expr *expr)
{
    uint64_t used = 0;

    if (!expr)
        return 0;
    if (expr->kind == EXPR_OUTER)
        used |= cell_bit(expr->slot);
    if (expr->kind == EXPR_SUBQUERY) {
        const struct subplan *subplan = (const struct subplan *)expr->subquery;
        used |= without_cells(node_cells(subplan->root), subplan->cells, subplan->cell_count);
    }
    for (int i = 0; i < expr->arg_count; i++)
        used |= expr_cells(expr->args[i]);
    return used;
}

static uint64_t exprs_cells(struct expr *const *exprs, int count)
{
    uint64_t used = 0;

    for (int i = 0; i < count; i++)
        used |= expr_cells(exprs[i]);
    return used;
}

static uint64_t aggregate_cells(const struct plan_node *node)
{
    uint64_t used = exprs_cells(node->aggregate.groups, node->aggregate.group_count);

    for (int i = 0; i < node->aggregate.aggregate_count; i++) {
        const struct plan_aggregate *a = &node->aggregate.aggregates[i];
        used |= exprs_cells(a->args, a->arg_count) | expr_cells(a->filter) | exprs_cells(a->order, a->order_count);
    }
    return used;
}

static uint64_t own_cells(const struct plan_node *node)
{
    uint64_t used = expr_cells(node->filter);

    switch (node->kind) {
    case PLAN_SCAN:
        for (int i = 0; i < node->scan.part_count; i++)
            for (int j = 0; j < node->scan.parts[i].count; j++)
                used |= expr_cells(node->scan.parts[i].intervals[j].low) | expr_cells(node->scan.parts[i].intervals[j].high);
        break;
    case PLAN_VALUES:
        used |= exprs_cells(node->values.values, node->values.row_count * node->column_count);
        break;
    case PLAN_SERIES:
        used |= exprs_cells(node->series.args, node->series.arg_count);
        break;
    case PLAN_NEST_LOOP:
    case PLAN_HASH_JOIN:
        used |= exprs_cells(node->join.left_keys, node->join.key_count) | exprs_cells(node->join.right_keys, node->join.key_count)
            | expr_cells(node->join.on);
        break;
    case PLAN_AGGREGATE:
        used |= aggregate_cells(node);
        break;
    case PLAN_PROJECT:
    case PLAN_PROJECT_SET:
        used |= exprs_cells(node->project.exprs, node->project.count);
        break;
    case PLAN_SORT:
        used |= expr_cells(node->sort.limit) | expr_cells(node->sort.offset);
        break;
    case PLAN_LIMIT:
        used |= expr_cells(node->limit.limit) | expr_cells(node->limit.offset);
        break;
    case PLAN_LOCK_ROWS:
        used |= expr_cells(node->lock.where) | exprs_cells(node->lock.targets, node->lock.target_count);
        for (const struct plan_outer *outer = node->lock.outers; outer; outer = outer->next)
            used |= expr_cells(outer->on);
        break;
    case PLAN_APPEND:
        for (int i = 0; i < node->append.count; i++)
            used |= node_cells(node->append.children[i]);
        break;
    case PLAN_RESULT:
    case PLAN_GATE:
    case PLAN_SUBQUERY_SCAN:
    case PLAN_MATERIALIZE:
    case PLAN_SET:
        break;
    }
    return used;
}

static uint64_t node_cells(struct plan_node *node)
{
    if (!node)
        return 0;
    uint64_t used = own_cells(node) | node_cells(node->left);
    uint64_t right = node_cells(node->right);
    if (node->kind == PLAN_NEST_LOOP)
        right = without_cells(right, node->join.cells, node->join.cell_count);
    used |= right;
    node->depends = used != 0;
    return used;
}

void plan__note_depends(struct plan_node *node)
{
    node_cells(node);
}
