/*
 * plan_join.c -- what FROM and WHERE say, as a problem for the search of a join order.
 *
 * The tree of FROM is taken apart into items that may be joined in many orders.  Inner joins dissolve: their ON conditions are conditions like
 * those of WHERE.  What is on the right of a left join (or of a semi or anti join, into which IN and EXISTS have been turned) is one
 * item, which says what must be there before it can be joined:
 *
 *      FROM a JOIN b ON p(a, b) LEFT JOIN (c JOIN d ON q(c, d)) ON r(b, c) WHERE s(a) AND d.x IS NULL
 *
 *      items        a {s}   b   [c, d] left, depends on b, on r
 *      conditions   p: needs a, b     d.x IS NULL: needs d and whatever d's item depends on, that is b, c, d
 *
 * J1  A left, semi or anti item joins as a whole, on the right side, a set that has all that it depends on.
 * J2  A condition that mentions the nullable side of a left join, and is not from that join's own ON, is applied after the join.
 * J3  An ON condition of a left join that mentions the right side alone filters the right side; all others stay at the join.
 */
#include <string.h>

#include "sql/plan_int.h"

static int take_apart(struct op *op, struct planner *planner, struct join_problem *problem, const struct from_node *from);

static Relations from_relations(const struct from_node *from)
{
    if (!from->is_join)
        return (Relations)1 << from->range;
    return from_relations(from->left) | from_relations(from->right);
}

static int new_item(struct op *op, struct join_problem *problem, enum plan_join join, struct join_item **item)
{
    *item = NULL;
    if (problem->item_count == RELATIONS_MAX)
        return op_fail(op, "54001", "more than %d tables in one FROM", RELATIONS_MAX);
    *item = &problem->items[problem->item_count++];
    **item = (struct join_item){ .join = join, .range = -1 };
    return OP_OK;
}

static struct join_item *item_of(struct join_problem *problem, int range)
{
    for (int i = 0; i < problem->item_count; i++)
        if (problem->items[i].relations >> range & 1)
            return &problem->items[i];
    return NULL;
}

/* The right side of an outer join that is itself a join: solved alone, its conditions pushed in. */
static int solve_composite(struct op *op, struct planner *planner, struct join_problem *outer, const struct from_node *from,
                           struct condition_list *pushed, struct join_item *item);

static int outer_item(struct op *op, struct planner *planner, struct join_problem *problem, const struct from_node *from)
{
    struct condition_list conditions = { 0 }, pushed = { 0 };
    Relations left = from_relations(from->left), right = from_relations(from->right);
    struct join_item *item;

    if (plan__split_and(op, planner->arena, from->on, &conditions) || new_item(op, problem, (enum plan_join)from->join, &item))
        return OP_FAILED;
    item->relations = right;
    for (int i = 0; i < conditions.count; i++) {
        struct condition *condition = conditions.items[i];
        bool own = condition->relations && (condition->relations & ~right) == 0;
        item->depends |= condition->relations & left;
        if (plan__add_condition(op, planner->arena, own ? &pushed : &item->on, condition))
            return OP_FAILED;
    }
    if (item->depends == 0)
        item->depends = left;
    if (from->right->is_join)
        return solve_composite(op, planner, problem, from->right, &pushed, item);
    item->range = from->right->range;
    item->filters = pushed;
    return OP_OK;
}

static int take_apart(struct op *op, struct planner *planner, struct join_problem *problem, const struct from_node *from)
{
    struct join_item *item;

    if (!from->is_join) {
        if (new_item(op, problem, PLAN_JOIN_INNER, &item))
            return OP_FAILED;
        item->range = from->range;
        item->relations = (Relations)1 << from->range;
        return OP_OK;
    }
    if (take_apart(op, planner, problem, from->left))
        return OP_FAILED;
    if ((enum plan_join)from->join != PLAN_JOIN_INNER)
        return outer_item(op, planner, problem, from);
    if (take_apart(op, planner, problem, from->right))
        return OP_FAILED;
    return plan__split_and(op, planner->arena, from->on, &problem->conditions);
}

/* ---- equalities that follow from others ----------------------------------------------------------- */

struct equality {
    const struct expr *a, *b;       /* columns, or b a value */
    const struct func *func;
};

static bool equality_of(const struct condition *condition, struct equality *e)
{
    const struct expr *expr = condition->expr;
    int which;

    if (!plan__comparison(expr, &which) || which != 0)
        return false;
    const struct expr *a = expr->args[0], *b = expr->args[1];
    if (a->type.oid != b->type.oid)
        return false;
    if (a->kind != EXPR_COLUMN) {
        const struct expr *swap = a;
        a = b;
        b = swap;
    }
    *e = (struct equality){ a, b, expr->func };
    return a->kind == EXPR_COLUMN && a->level == 0
        && ((b->kind == EXPR_COLUMN && b->level == 0) || b->kind == EXPR_CONST || b->kind == EXPR_PARAM || b->kind == EXPR_OUTER);
}

static bool same_column(const struct expr *a, const struct expr *b)
{
    return a->kind == EXPR_COLUMN && b->kind == EXPR_COLUMN && a->range == b->range && a->column == b->column;
}

static bool known_already(const struct condition_list *list, const struct expr *a, const struct expr *b)
{
    for (int i = 0; i < list->count; i++) {
        struct equality e;
        if (!equality_of(list->items[i], &e))
            continue;
        if ((same_column(e.a, a) && (same_column(e.b, b) || expr_equal(e.b, b)))
            || (same_column(e.a, b) && same_column(e.b, a)))
            return true;
    }
    return false;
}

/* a = b and b = c: adds a = c.  A few rounds reach all that a chain of joins gives. */
static int add_implied(struct op *op, struct planner *planner, struct condition_list *list)
{
    enum { IMPLIED_MAX = 64 };
    int added = 0;

    for (int i = 0; i < list->count && added < IMPLIED_MAX; i++) {
        for (int j = 0; j < i && added < IMPLIED_MAX; j++) {
            struct equality e, f;
            if (!equality_of(list->items[i], &e) || !equality_of(list->items[j], &f) || e.func != f.func)
                continue;
            const struct expr *one = NULL, *two = NULL;
            if (same_column(e.a, f.a))
                one = e.b, two = f.b;
            else if (same_column(e.a, f.b))
                one = e.b, two = f.a;
            else if (same_column(e.b, f.a))
                one = e.a, two = f.b;
            else if (same_column(e.b, f.b))
                one = e.a, two = f.a;
            if (!one || (one->kind != EXPR_COLUMN && two->kind != EXPR_COLUMN))
                continue;
            if (one->kind != EXPR_COLUMN) {
                const struct expr *swap = one;
                one = two;
                two = swap;
            }
            if (same_column(one, two) || known_already(list, one, two)
                || (two->kind == EXPR_COLUMN && one->range == two->range))
                continue;
            struct expr *expr = plan__node(op, planner->arena, EXPR_FUNC, (struct sql_type){ TYPE_BOOL, -1 }, 2);
            if (!expr)
                return OP_FAILED;
            expr->func = e.func;
            expr->args[0] = plan__copy(op, planner, one);
            expr->args[1] = plan__copy(op, planner, two);
            if (!expr->args[0] || !expr->args[1] || plan__split_and(op, planner->arena, expr, list))
                return OP_FAILED;
            list->items[list->count - 1]->implied = two->kind == EXPR_COLUMN;
            added++;
        }
    }
    return OP_OK;
}

/* ---- placing conditions --------------------------------------------------------------------------- */

/* What must have been joined for a condition on these ranges (J2). */
static Relations closure(struct join_problem *problem, Relations relations)
{
    Relations before;

    do {
        before = relations;
        for (int i = 0; i < problem->item_count; i++) {
            const struct join_item *item = &problem->items[i];
            if (item->join != PLAN_JOIN_INNER && relations & item->relations)
                relations |= item->relations | item->depends;
        }
    } while (relations != before);
    return relations;
}

static int place_conditions(struct op *op, struct planner *planner, struct join_problem *problem, struct condition_list *all)
{
    Relations everything = 0;
    struct arena *arena = planner->arena;

    for (int i = 0; i < problem->item_count; i++)
        if (problem->items[i].join == PLAN_JOIN_INNER || problem->items[i].join == PLAN_JOIN_LEFT)
            everything |= problem->items[i].relations;
    problem->conditions = (struct condition_list){ 0 };
    for (int i = 0; i < all->count; i++) {
        struct condition *condition = all->items[i];
        struct condition_list *place = &problem->conditions;
        if (condition->relations == 0 && !plan__is_volatile(condition->expr)) {
            place = &problem->gates;
        } else {
            condition->required = closure(problem, condition->relations ? condition->relations : everything);
            struct join_item *item = condition->relations ? item_of(problem, __builtin_ctzll(condition->relations)) : NULL;
            if (!item && problem->item_count == 1)
                item = &problem->items[0];
            if (item && item->join == PLAN_JOIN_INNER && (condition->required & ~item->relations) == 0)
                place = &item->filters;
        }
        if (plan__add_condition(op, arena, place, condition))
            return OP_FAILED;
    }
    return OP_OK;
}

/* A condition without any range decides for all rows at once. */
static int add_gate(struct op *op, struct planner *planner, struct join_problem *problem, struct path_list *paths)
{
    struct expr *condition = plan__join_conditions(op, planner->arena, &problem->gates);

    if (!condition)
        return OP_OK;
    for (int i = 0; i < paths->count; i++) {
        struct plan_node *child = paths->paths[i].node;
        struct plan_node *node = plan__new_node(op, planner, PLAN_GATE, problem->query, child->column_count);
        if (!node)
            return OP_FAILED;
        memcpy(node->types, child->types, child->column_count * sizeof *node->types);
        memcpy(node->layout, child->layout, child->column_count * sizeof *node->layout);
        node->left = child;
        node->rows = child->rows;
        node->width = child->width;
        node->startup_cost = child->startup_cost;
        node->total_cost = child->total_cost;
        node->filter_text = condition;
        if (plan__to_slots(op, planner, problem->query, condition, 0, NULL, &node->filter))
            return OP_FAILED;
        paths->paths[i].node = node;
    }
    return OP_OK;
}

static void mark_column(void *arg, const struct expr *column)
{
    uint64_t **bits = arg;

    bits[column->range][column->column / 64] |= (uint64_t)1 << column->column % 64;
}

/* What the query reads at all: any of it may be wanted outside of a part that is solved by itself. */
static int columns_anywhere(struct op *op, struct planner *planner, const struct query *query, uint64_t **bits)
{
    for (int i = 0; i < query->range_count; i++)
        if (!(bits[i] = op_arena_alloc(op, planner->arena, (query->ranges[i].column_count / 64 + 1) * 8)))
            return OP_FAILED;
    plan__query_columns(query, 0, mark_column, bits);
    return OP_OK;
}

static int solve_composite(struct op *op, struct planner *planner, struct join_problem *outer, const struct from_node *from,
                           struct condition_list *pushed, struct join_item *item)
{
    struct join_problem *problem = op_arena_alloc(op, planner->arena, sizeof *problem);
    struct path_list paths;
    struct condition_list all;

    if (!problem)
        return OP_FAILED;
    problem->query = outer->query;
    problem->used = op_arena_alloc(op, planner->arena, outer->query->range_count * sizeof *problem->used);
    if (!problem->used || take_apart(op, planner, problem, from))
        return OP_FAILED;
    if (columns_anywhere(op, planner, outer->query, problem->used))
        return OP_FAILED;
    all = problem->conditions;
    for (int i = 0; i < pushed->count; i++)
        if (plan__add_condition(op, planner->arena, &all, pushed->items[i]))
            return OP_FAILED;
    if (place_conditions(op, planner, problem, &all) || plan__join_order(op, planner, problem, &paths)
        || add_gate(op, planner, problem, &paths))
        return OP_FAILED;
    item->node = paths.paths[0].node;
    for (int i = 1; i < paths.count; i++)
        if (paths.paths[i].node->total_cost < item->node->total_cost)
            item->node = paths.paths[i].node;
    item->rows = item->node->rows;
    return OP_OK;
}

int plan__from(struct op *op, struct planner *planner, struct query *query, const struct sort_key *order, int order_count,
               double goal, uint64_t **used, struct path_list *paths)
{
    struct join_problem *problem = op_arena_alloc(op, planner->arena, sizeof *problem);

    if (!problem)
        return OP_FAILED;
    *problem = (struct join_problem){ .query = query, .order = order, .order_count = order_count, .goal = goal, .used = used };
    if (take_apart(op, planner, problem, query->from))
        return OP_FAILED;
    struct condition_list all = problem->conditions;
    if (plan__split_and(op, planner->arena, query->where, &all) || add_implied(op, planner, &all)
        || place_conditions(op, planner, problem, &all) || plan__join_order(op, planner, problem, paths))
        return OP_FAILED;
    return add_gate(op, planner, problem, paths);
}
