/*
 * plan_path.c -- the ways to join two sets of ranges: nested loop, index nested loop, hash join.
 */
#include <string.h>

#include "sql/plan_int.h"

/* The conditions of one join, sorted by what becomes of them. */
struct join_conditions {
    struct condition_list on;       /* decide about pairs */
    struct condition_list after;    /* apply to what comes out (outer joins) */
};

struct candidate {
    struct op *op;
    struct planner *planner;
    struct join_problem *problem;
    const struct join_side *left, *right;
    enum plan_join join;
    struct join_conditions conditions;
    double rows;
    struct path_list *paths;
};

static int collect_conditions(struct candidate *c)
{
    Relations all = c->left->relations | c->right->relations;
    struct arena *arena = c->planner->arena;
    struct condition_list *ready = c->join == PLAN_JOIN_INNER ? &c->conditions.on : &c->conditions.after;

    if (c->join != PLAN_JOIN_INNER)
        for (int i = 0; i < c->right->item->on.count; i++)
            if (plan__add_condition(c->op, arena, &c->conditions.on, c->right->item->on.items[i]))
                return OP_FAILED;
    for (int i = 0; i < c->problem->conditions.count; i++) {
        struct condition *condition = c->problem->conditions.items[i];
        if (condition->required & ~all || (condition->required & ~c->left->relations) == 0
            || (condition->required & ~c->right->relations) == 0)
            continue;
        if (plan__add_condition(c->op, arena, ready, condition))
            return OP_FAILED;
    }
    return OP_OK;
}

/* ---- what comes out ------------------------------------------------------------------------------- */

struct column_use {
    const struct expr *column;
    bool found;
};

static void look_for(void *arg, const struct expr *column)
{
    struct column_use *use = arg;

    use->found |= column->range == use->column->range && column->column == use->column->column;
}

static bool mentions(const struct condition_list *list, const struct expr *column)
{
    struct column_use use = { column, false };

    for (int i = 0; i < list->count && !use.found; i++)
        plan__columns(list->items[i]->expr, 0, look_for, &use);
    return use.found;
}

/* Whether a column is still needed above this join. */
static bool needed_above(const struct candidate *c, const struct expr *column)
{
    const struct join_problem *problem = c->problem;
    Relations all = c->left->relations | c->right->relations;
    struct column_use use = { column, false };

    if (problem->used[column->range][column->column / 64] >> column->column % 64 & 1)
        return true;
    for (int i = 0; i < problem->conditions.count && !use.found; i++)
        if (problem->conditions.items[i]->required & ~all)
            plan__columns(problem->conditions.items[i]->expr, 0, look_for, &use);
    for (int i = 0; i < problem->item_count && !use.found; i++)
        if (problem->items[i].relations & ~all)
            for (int j = 0; j < problem->items[i].on.count && !use.found; j++)
                plan__columns(problem->items[i].on.items[j]->expr, 0, look_for, &use);
    return use.found;
}

static int pick_slots(struct candidate *c, const struct plan_node *side, bool right, const struct condition_list *on, int **slots, int *count)
{
    bool hand_up = !right || c->join == PLAN_JOIN_INNER || c->join == PLAN_JOIN_LEFT;

    *count = 0;
    *slots = op_arena_alloc(c->op, c->planner->arena, (side->column_count + 1) * sizeof **slots);
    if (!*slots)
        return OP_FAILED;
    for (int i = 0; i < side->column_count; i++) {
        const struct expr *column = side->layout[i];
        bool wanted = !column     /* the clustered key of the table that is changed */
            || (hand_up && (needed_above(c, column) || mentions(&c->conditions.after, column))) || mentions(on, column);
        if (wanted)
            (*slots)[(*count)++] = i;
    }
    return OP_OK;
}

/* A join node with its output; on: what is checked for each pair beyond keys and key ranges. */
static struct plan_node *join_node(struct candidate *c, enum plan_kind kind, struct plan_node *left, struct plan_node *right,
                                   const struct condition_list *on)
{
    struct plan_node *node;
    int left_count, right_count, *left_slots, *right_slots;

    if (pick_slots(c, left, false, on, &left_slots, &left_count) || pick_slots(c, right, true, on, &right_slots, &right_count))
        return NULL;
    bool both = c->join == PLAN_JOIN_INNER || c->join == PLAN_JOIN_LEFT;
    node = plan__new_node(c->op, c->planner, kind, c->problem->query, left_count + right_count);
    if (!node)
        return NULL;
    node->left = left;
    node->right = right;
    node->join.join = c->join;
    node->join.left_count = left_count;
    node->join.left_slots = left_slots;
    node->join.right_count = right_count;
    node->join.right_slots = right_slots;
    for (int i = 0; i < left_count; i++) {
        node->types[i] = left->types[left_slots[i]];
        node->layout[i] = left->layout[left_slots[i]];
    }
    for (int i = 0; i < right_count; i++) {
        node->types[left_count + i] = right->types[right_slots[i]];
        node->layout[left_count + i] = right->layout[right_slots[i]];
    }
    node->join.on_text = plan__join_conditions(c->op, c->planner->arena, on);
    if (node->join.on_text
        && plan__to_slots(c->op, c->planner, node->scope, node->join.on_text, node->column_count, node->layout, &node->join.on))
        return NULL;
    node->column_count = both ? left_count + right_count : left_count;
    node->rows = c->rows;
    node->width = plan__width(node->types, node->column_count);
    if (plan__set_filter(c->op, c->planner, node, plan__join_conditions(c->op, c->planner->arena, &c->conditions.after)))
        return NULL;
    return node;
}

static bool keeps_order(const struct path *left)
{
    return left->ordered;
}

/* ---- nested loops --------------------------------------------------------------------------------- */

static struct plan_node *materialize(struct candidate *c, struct plan_node *child)
{
    struct plan_node *node;

    if (child->kind == PLAN_MATERIALIZE)
        return child;
    node = plan__new_node(c->op, c->planner, PLAN_MATERIALIZE, c->problem->query, child->column_count);
    if (!node)
        return NULL;
    memcpy(node->types, child->types, child->column_count * sizeof *node->types);
    memcpy(node->layout, child->layout, child->column_count * sizeof *node->layout);
    node->left = child;
    node->rows = child->rows;
    node->width = child->width;
    node->startup_cost = child->startup_cost;
    node->total_cost = child->total_cost + child->rows * PLAN_OPERATOR_COST * 2;
    return node;
}

static int nest_loop(struct candidate *c, const struct path *left, const struct path *right)
{
    const struct plan_node *l = left->node, *r = right->node;
    double pairs = l->rows * r->rows;
    double on_cost = 0;

    for (int i = 0; i < c->conditions.on.count; i++)
        on_cost += plan__expr_cost(c->conditions.on.items[i]->expr);
    double startup = l->startup_cost + r->startup_cost;
    double total = l->total_cost + r->total_cost + r->rows * PLAN_OPERATOR_COST * 2 + pairs * (PLAN_ROW_COST + on_cost);
    if (!c->planner->options->enable_nestloop)
        startup += PLAN_DISABLED_COST, total += PLAN_DISABLED_COST;
    if (!plan__path_wins(c->paths, startup, total, keeps_order(left)))
        return OP_OK;
    struct plan_node *inner = materialize(c, right->node);
    struct plan_node *node = inner ? join_node(c, PLAN_NEST_LOOP, left->node, inner, &c->conditions.on) : NULL;
    if (!node)
        return OP_FAILED;
    node->startup_cost = startup;
    node->total_cost = total;
    plan__add_path(c->paths, node, keeps_order(left));
    return OP_OK;
}

static bool covers(const struct condition_list *list, const struct condition *condition)
{
    for (int i = 0; list && i < list->count; i++)
        if (list->items[i] == condition)
            return true;
    return false;
}

static int fill_cells(struct candidate *c, struct plan_node *node, const struct cell_list *cells)
{
    node->join.cells = op_arena_alloc(c->op, c->planner->arena, (cells->count + 1) * sizeof *node->join.cells);
    if (!node->join.cells)
        return OP_FAILED;
    for (int i = 0; i < cells->count; i++) {
        struct expr *slot;
        if (plan__to_slots(c->op, c->planner, node->scope, cells->exprs[i], node->left->column_count, node->left->layout, &slot))
            return OP_FAILED;
        node->join.cells[node->join.cell_count++] = (struct outer_cell){ cells->cells[i], slot->slot };
    }
    return OP_OK;
}

static bool at_most_one(const struct plan_node *scan)
{
    for (int i = 0; i < scan->scan.part_count; i++)
        if (scan->scan.parts[i].count != 1)
            return false;
    return scan->scan.point;
}

static int index_nest_loop(struct candidate *c, const struct path *left, const struct path *right, const struct cell_list *cells)
{
    const struct plan_node *l = left->node;
    struct plan_node *scan = right->node;
    struct condition_list on = { 0 };
    double startup = l->startup_cost + scan->startup_cost;
    double total = l->total_cost + l->rows * (scan->total_cost + PLAN_ROW_COST);

    if (!c->planner->options->enable_nestloop)
        startup += PLAN_DISABLED_COST, total += PLAN_DISABLED_COST;
    if (!plan__path_wins(c->paths, startup, total, keeps_order(left)))
        return OP_OK;
    for (int i = 0; i < c->conditions.on.count; i++)
        if (!covers(scan->scan.covered, c->conditions.on.items[i])
            && plan__add_condition(c->op, c->planner->arena, &on, c->conditions.on.items[i]))
            return OP_FAILED;
    struct plan_node *node = join_node(c, PLAN_NEST_LOOP, left->node, scan, &on);
    if (!node || fill_cells(c, node, cells))
        return OP_FAILED;
    node->join.right_unique = at_most_one(scan);
    node->startup_cost = startup;
    node->total_cost = total;
    plan__add_path(c->paths, node, keeps_order(left));
    return OP_OK;
}

static int index_nest_loops(struct candidate *c)
{
    struct join_item *item = c->right->item;
    struct path_list scans;
    struct cell_list cells = { 0 };

    if (!item || item->range < 0 || c->problem->query->ranges[item->range].kind != RANGE_TABLE || c->conditions.on.count == 0)
        return OP_OK;
    if (plan__scan_paths(c->op, c->planner, c->problem, item, &c->conditions.on, c->left->relations, &scans, &cells))
        return OP_FAILED;
    for (int i = 0; i < scans.count; i++)
        for (int j = 0; j < c->left->paths->count; j++)
            if (index_nest_loop(c, &c->left->paths->paths[j], &scans.paths[i], &cells))
                return OP_FAILED;
    return OP_OK;
}

/* ---- hash joins ----------------------------------------------------------------------------------- */

/* An equality between something of the left and something of the right. */
static bool hash_key(const struct candidate *c, const struct expr *expr, const struct expr **left, const struct expr **right)
{
    int which;

    if (!plan__comparison(expr, &which) || which != 0 || !plan__same_key_class(expr->args[0]->type.oid, expr->args[1]->type.oid)
        || plan__is_volatile(expr) || expr_contains(expr, EXPR_SUBQUERY))
        return false;
    for (int i = 0; i < 2; i++) {
        Relations a = plan__relations(expr->args[i]), b = plan__relations(expr->args[1 - i]);
        if (a && b && (a & ~c->left->relations) == 0 && (b & ~c->right->relations) == 0) {
            *left = expr->args[i];
            *right = expr->args[1 - i];
            return true;
        }
    }
    return false;
}

static int hash_keys(struct candidate *c, struct plan_node *node, const struct condition_list *keys)
{
    struct arena *arena = c->planner->arena;

    node->join.left_keys = op_arena_alloc(c->op, arena, keys->count * sizeof *node->join.left_keys);
    node->join.right_keys = op_arena_alloc(c->op, arena, keys->count * sizeof *node->join.right_keys);
    if (!node->join.left_keys || !node->join.right_keys)
        return OP_FAILED;
    node->join.key_count = keys->count;
    struct condition_list texts = { 0 };
    for (int i = 0; i < keys->count; i++) {
        const struct expr *left, *right;
        if (!hash_key(c, keys->items[i]->expr, &left, &right))
            continue;
        if (plan__to_slots(c->op, c->planner, node->scope, left, node->left->column_count, node->left->layout, &node->join.left_keys[i])
            || plan__to_slots(c->op, c->planner, node->scope, right, node->right->column_count, node->right->layout,
                              &node->join.right_keys[i]))
            return OP_FAILED;
        struct expr *text = plan__copy(c->op, c->planner, keys->items[i]->expr);
        if (!text)
            return OP_FAILED;
        text->args[0] = (struct expr *)left;
        text->args[1] = (struct expr *)right;
        if (plan__split_and(c->op, arena, text, &texts))
            return OP_FAILED;
    }
    node->join.keys_text = plan__join_conditions(c->op, arena, &texts);
    return node->join.keys_text ? OP_OK : OP_FAILED;
}

static int hash_join(struct candidate *c, const struct path *left, const struct path *right)
{
    const struct plan_node *l = left->node, *r = right->node;
    struct condition_list keys = { 0 }, rest = { 0 };
    const struct expr *a, *b;
    double on_cost = 0;

    for (int i = 0; i < c->conditions.on.count; i++) {
        struct condition *condition = c->conditions.on.items[i];
        bool key = hash_key(c, condition->expr, &a, &b);
        if (plan__add_condition(c->op, c->planner->arena, key ? &keys : &rest, condition))
            return OP_FAILED;
        if (!key)
            on_cost += plan__expr_cost(condition->expr);
    }
    if (keys.count == 0)
        return OP_OK;
    double startup = r->total_cost + r->rows * (PLAN_ROW_COST + PLAN_OPERATOR_COST * keys.count) + l->startup_cost;
    double total = startup + l->total_cost - l->startup_cost + l->rows * PLAN_OPERATOR_COST * (keys.count + 1)
        + c->rows * (PLAN_ROW_COST / 2 + on_cost);
    double bytes = r->rows * (r->width + 48);
    if (bytes > (double)c->planner->options->work_mem)
        total += 2 * PLAN_PAGE_COST * (bytes + l->rows * (l->width + 48)) / 8192;
    if (!c->planner->options->enable_hashjoin)
        startup += PLAN_DISABLED_COST, total += PLAN_DISABLED_COST;
    if (!plan__path_wins(c->paths, startup, total, false))
        return OP_OK;
    struct plan_node *node = join_node(c, PLAN_HASH_JOIN, left->node, right->node, &rest);
    if (!node || hash_keys(c, node, &keys))
        return OP_FAILED;
    node->startup_cost = startup;
    node->total_cost = total;
    plan__add_path(c->paths, node, false);
    return OP_OK;
}

/* ---- all of them ---------------------------------------------------------------------------------- */

static const struct path *cheapest(const struct path_list *paths)
{
    const struct path *best = &paths->paths[0];

    for (int i = 1; i < paths->count; i++)
        if (paths->paths[i].node->total_cost < best->node->total_cost)
            best = &paths->paths[i];
    return best;
}

int plan__join_paths(struct op *op, struct planner *planner, struct join_problem *problem, const struct join_side *left,
                     const struct join_side *right, double rows, struct path_list *paths)
{
    struct candidate c = { op, planner, problem, left, right, PLAN_JOIN_INNER, { { 0 }, { 0 } }, rows, paths };
    const struct path *inner = cheapest(right->paths);

    if (right->item)
        c.join = right->item->join;
    if (collect_conditions(&c))
        return OP_FAILED;
    for (int i = 0; i < left->paths->count; i++)
        if (hash_join(&c, &left->paths->paths[i], inner) || nest_loop(&c, &left->paths->paths[i], inner))
            return OP_FAILED;
    return index_nest_loops(&c);
}
