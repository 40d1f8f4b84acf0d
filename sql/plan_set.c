/*
 * plan_set.c -- UNION, INTERSECT and EXCEPT.
 *
 *      UNION ALL       Append
 *      UNION           Append, each row once
 *      the others      Append, with two columns more: 1 and null for rows of the left side, null and 1 for those of the right; then
 *                      an aggregation that counts both for each distinct row; then PLAN_SET, which knows what to make of the counts
 *
 * So INTERSECT and EXCEPT spill to disk as any aggregation does, and nulls are equal to each other as in GROUP BY.
 */
#include <string.h>

#include "sql/plan_int.h"

struct branches {
    struct plan_node **children;
    int count, capacity;
};

static int add_branch(struct op *op, struct planner *planner, struct branches *branches, struct plan_node *child)
{
    if (branches->count == branches->capacity) {
        int larger = branches->capacity ? 2 * branches->capacity : 8;
        struct plan_node **nodes = op_arena_alloc(op, planner->arena, larger * sizeof *nodes);
        if (!nodes)
            return OP_FAILED;
        if (branches->count)
            memcpy(nodes, branches->children, branches->count * sizeof *nodes);
        branches->children = nodes;
        branches->capacity = larger;
    }
    branches->children[branches->count++] = child;
    return OP_OK;
}

/* The branches of nested UNIONs are appended by one node, if the outer one does not have to keep what the inner one removes. */
static int union_branches(struct op *op, struct planner *planner, struct query *query, bool all, double goal, struct branches *branches)
{
    struct query *sides[2] = { query->left, query->right };

    for (int i = 0; i < 2; i++) {
        struct query *side = sides[i];
        struct plan_node *child;
        bool nested = !side->order_count && !side->limit && !side->offset
            && (side->set == SET_UNION_ALL || (side->set == SET_UNION && !all));
        if (nested) {
            if (union_branches(op, planner, side, all, goal, branches))
                return OP_FAILED;
        } else if (plan__select(op, planner, side, goal, &child) || add_branch(op, planner, branches, child)) {
            return OP_FAILED;
        }
    }
    return OP_OK;
}

static int append(struct op *op, struct planner *planner, struct query *query, const struct branches *branches,
                  struct plan_node **result)
{
    struct plan_node *first = branches->children[0];
    struct plan_node *node = *result = plan__new_node(op, planner, PLAN_APPEND, query, first->column_count);

    if (!node)
        return OP_FAILED;
    node->append.count = branches->count;
    node->append.children = branches->children;
    memcpy(node->types, first->types, node->column_count * sizeof *node->types);
    for (int i = 0; i < node->column_count && i < query->target_count; i++)
        node->layout[i] = query->targets[i].expr;
    for (int i = 0; i < branches->count; i++) {
        node->rows += branches->children[i]->rows;
        node->total_cost += branches->children[i]->total_cost;
    }
    node->startup_cost = first->startup_cost;
    node->width = plan__width(node->types, node->column_count);
    return OP_OK;
}

/* ---- INTERSECT, EXCEPT ---------------------------------------------------------------------------- */

static const struct sql_type count_type = { TYPE_INT8, -1 };

static struct expr *slot(struct op *op, struct planner *planner, struct sql_type type, int number)
{
    struct expr *expr = plan__node(op, planner->arena, EXPR_SLOT, type, 0);

    if (expr)
        expr->slot = number;
    return expr;
}

/* The side's rows, and behind them 1 in the column of their side and null in the other's. */
static int mark_side(struct op *op, struct planner *planner, struct query *query, int side, struct plan_node **result)
{
    struct plan_node *input = *result;
    int columns = input->column_count;
    struct plan_node *node = *result = plan__above(op, planner, PLAN_PROJECT, query, input, columns + 2);

    if (!node)
        return OP_FAILED;
    node->project.count = columns + 2;
    node->project.exprs = op_arena_alloc(op, planner->arena, (columns + 2) * sizeof *node->project.exprs);
    if (!node->project.exprs)
        return OP_FAILED;
    for (int i = 0; i < columns + 2; i++) {
        bool mark = i >= columns;
        node->types[i] = mark ? count_type : input->types[i];
        node->layout[i] = mark ? NULL : input->layout[i];
        struct expr *expr = mark ? plan__node(op, planner->arena, EXPR_CONST, count_type, 0) : slot(op, planner, input->types[i], i);
        if (!expr)
            return OP_FAILED;
        if (mark)
            expr->value = (struct datum){ .null = i - columns != side, .i = 1 };
        node->project.exprs[i] = expr;
    }
    node->width = plan__width(node->types, columns + 2);
    return OP_OK;
}

/* Each row once, with how often it came from the left and from the right. */
static int count_sides(struct op *op, struct planner *planner, struct query *query, struct plan_node **result)
{
    struct plan_node *input = *result;
    int columns = input->column_count - 2, candidates;
    struct plan_node *node = *result = plan__above(op, planner, PLAN_AGGREGATE, query, input, columns + 2);
    const struct aggregate *count = aggregate_candidates("count", &candidates);

    while (count->arg_count != 1)
        count++;
    if (!node)
        return OP_FAILED;
    plan__same_columns(node, input);
    node->aggregate.group_count = columns;
    node->aggregate.aggregate_count = 2;
    node->aggregate.groups = op_arena_alloc(op, planner->arena, (columns + 1) * sizeof *node->aggregate.groups);
    node->aggregate.aggregates = op_arena_alloc(op, planner->arena, 2 * sizeof *node->aggregate.aggregates);
    if (!node->aggregate.groups || !node->aggregate.aggregates)
        return OP_FAILED;
    for (int i = 0; i < columns; i++)
        if (!(node->aggregate.groups[i] = slot(op, planner, input->types[i], i)))
            return OP_FAILED;
    for (int i = 0; i < 2; i++) {
        struct plan_aggregate *call = &node->aggregate.aggregates[i];
        *call = (struct plan_aggregate){ .aggregate = count, .arg_count = 1 };
        if (!(call->args[0] = slot(op, planner, count_type, columns + i)))
            return OP_FAILED;
    }
    node->rows = plan__group_count(op, planner, query, input->layout, columns, input->rows);
    node->total_cost = input->total_cost + plan__aggregate_cost(planner, input->rows * 3, node->rows, node->width);
    node->startup_cost = node->total_cost - node->rows * PLAN_ROW_COST;
    return OP_OK;
}

static int plan_counted(struct op *op, struct planner *planner, struct query *query, struct plan_node **result)
{
    struct query *sides[2] = { query->left, query->right };
    struct branches branches = { 0 };
    double rows[2];

    for (int i = 0; i < 2; i++) {
        struct plan_node *child;
        if (plan__select(op, planner, sides[i], 0, &child))
            return OP_FAILED;
        rows[i] = child->rows;
        if (mark_side(op, planner, query, i, &child) || add_branch(op, planner, &branches, child))
            return OP_FAILED;
    }
    if (append(op, planner, query, &branches, result) || count_sides(op, planner, query, result))
        return OP_FAILED;
    struct plan_node *input = *result;
    struct plan_node *node = *result = plan__above(op, planner, PLAN_SET, query, input, input->column_count - 2);
    if (!node)
        return OP_FAILED;
    plan__same_columns(node, input);
    node->set.kind = query->set;
    bool intersect = query->set == SET_INTERSECT || query->set == SET_INTERSECT_ALL;
    node->rows = intersect && rows[1] < rows[0] ? rows[1] : rows[0];
    if (node->rows > input->rows)
        node->rows = input->rows;
    return OP_OK;
}

int plan__set_operation(struct op *op, struct planner *planner, struct query *query, double goal, struct plan_node **result)
{
    bool all = query->set == SET_UNION_ALL;
    struct branches branches = { 0 };

    if (query->set != SET_UNION && !all)
        return plan_counted(op, planner, query, result);
    if (union_branches(op, planner, query, all, all ? goal : 0, &branches) || append(op, planner, query, &branches, result))
        return OP_FAILED;
    return all ? OP_OK : plan__distinct(op, planner, query, result);
}
