/*
 * plan_unnest.c -- IN and EXISTS become joins.
 *
 *      WHERE EXISTS (SELECT 1 FROM u WHERE u.a = t.a AND u.b > 3)         t semi join u on u.a = t.a and u.b > 3
 *      WHERE NOT EXISTS (...)                                              t anti join u ...
 *      WHERE t.x IN (SELECT y FROM u WHERE ...)                            t semi join u on t.x = u.y and ...
 *
 * A semi join hands up a row of t at its first match, so duplicates in u do no harm.  NOT IN is left alone: one NULL in u makes it null for
 * every row that does not match, and an anti join would say true; it is computed with a hash table that knows of NULLs.
 *
 * What reads the outer row must stand in the sub-select's own WHERE, from where it moves to the join's condition.  A sub-select of one table
 * gives that table to the join directly, so that its indexes can be used; any other becomes a sub-select in FROM, whose outputs are the
 * columns that the moved conditions need.
 *
 * U1  The sub-select is joined with something: its conditions mention the outer query, else it is computed once and not joined.
 * U2  Nothing volatile is moved: how often it is called would change.
 */
#include <string.h>

#include "sql/plan_int.h"

struct unnest {
    struct planner *planner;
    struct query *outer, *inner;
    int range;                      /* of the outer query: the new one */
    bool lifted;                    /* one table, lifted as it is */
    int lifted_range;               /* its number in the inner query */
    struct condition_list moved;    /* conditions that mention the outer query (all of them, when lifted) */
    /* not lifted: the new outputs */
    int output_count;
    const struct expr **outputs;
};

static bool is_simple(const struct query *inner)
{
    return inner->set == SET_NONE && !inner->mark_count && !inner->grouped && !inner->distinct && !inner->limit && !inner->offset;
}

static void found_column(void *arg, const struct expr *column)
{
    *(bool *)arg = true;
}

/* Whether the sub-select, apart from its WHERE, reads columns of the query around it. */
static bool reads_outer_elsewhere(struct query *inner, bool exists)
{
    struct expr *where = inner->where;
    int targets = inner->target_count;
    bool found = false;

    inner->where = NULL;
    if (exists)
        inner->target_count = 0;
    plan__query_columns(inner, 1, found_column, &found);
    inner->where = where;
    inner->target_count = targets;
    return found;
}

static bool mentions_outer_query(const struct expr *expr)
{
    bool found = false;

    plan__columns(expr, 1, found_column, &found);
    return found;
}

/* Columns of level `base` + nesting are the outer query's, of level base - 1 the inner's.  After the move both are the outer query's. */
static struct expr *move_column(void *arg, struct op *op, const struct expr *expr, int depth)
{
    struct unnest *u = arg;

    if (expr->kind != EXPR_COLUMN || expr->level < depth)
        return NULL;
    struct expr *copy = op_arena_alloc(op, u->planner->arena, sizeof *copy);
    if (!copy)
        return NULL;
    *copy = *expr;
    if (expr->level > depth) {
        copy->level--;
        return copy;
    }
    copy->range = u->range;
    if (u->lifted)
        return copy;
    for (int i = 0; i < u->output_count; i++) {
        if (u->outputs[i]->kind == EXPR_COLUMN && u->outputs[i]->range == expr->range && u->outputs[i]->column == expr->column) {
            copy->column = i;
            return copy;
        }
    }
    op_fail(op, "XX000", "a column of a sub-select was lost");
    return NULL;
}

static void add_output(void *arg, const struct expr *column)
{
    struct unnest *u = arg;

    for (int i = 0; i < u->output_count; i++)
        if (u->outputs[i]->kind == EXPR_COLUMN && u->outputs[i]->range == column->range && u->outputs[i]->column == column->column)
            return;
    u->outputs[u->output_count++] = column;
}

static void count_column(void *arg, const struct expr *column)
{
    ++*(int *)arg;
}

/* Separates the conditions that must move from those that stay. */
static int split_where(struct op *op, struct unnest *u)
{
    struct condition_list all = { 0 }, stay = { 0 };
    struct arena *arena = u->planner->arena;

    if (plan__split_and(op, arena, u->inner->where, &all))
        return OP_FAILED;
    for (int i = 0; i < all.count; i++) {
        bool moves = u->lifted || mentions_outer_query(all.items[i]->expr);
        if (plan__add_condition(op, arena, moves ? &u->moved : &stay, all.items[i]))
            return OP_FAILED;
    }
    u->inner->where = plan__join_conditions(op, arena, &stay);
    return OP_OK;
}

static int make_outputs(struct op *op, struct unnest *u, const struct expr *value)
{
    int most = 1;

    for (int i = 0; i < u->moved.count; i++)
        plan__columns(u->moved.items[i]->expr, 0, count_column, &most);
    u->outputs = op_arena_alloc(op, u->planner->arena, (most + 1) * sizeof *u->outputs);
    if (!u->outputs)
        return OP_FAILED;
    if (value)
        u->outputs[u->output_count++] = value;
    for (int i = 0; i < u->moved.count; i++)
        plan__columns(u->moved.items[i]->expr, 0, add_output, u);
    return OP_OK;
}

/* The new range of the outer query. */
static int add_range(struct op *op, struct unnest *u)
{
    struct arena *arena = u->planner->arena;
    struct query *outer = u->outer, *inner = u->inner;
    struct range_entry *ranges = op_arena_alloc(op, arena, (outer->range_count + 2) * sizeof *ranges), *range;

    if (!ranges)
        return OP_FAILED;
    memcpy(ranges, outer->ranges, outer->range_count * sizeof *ranges);
    outer->ranges = ranges;
    range = &ranges[outer->range_count++];
    if (u->lifted) {
        *range = inner->ranges[u->lifted_range];
        return OP_OK;
    }
    range->kind = RANGE_SUBQUERY;
    range->alias = "sub";
    range->subquery = inner;
    range->column_count = u->output_count;
    range->column_names = op_arena_alloc(op, arena, (u->output_count + 1) * sizeof *range->column_names);
    range->column_types = op_arena_alloc(op, arena, (u->output_count + 1) * sizeof *range->column_types);
    struct target *targets = op_arena_alloc(op, arena, (u->output_count + 1) * sizeof *targets);
    if (!range->column_names || !range->column_types || !targets)
        return OP_FAILED;
    for (int i = 0; i < u->output_count; i++) {
        const struct expr *output = u->outputs[i];
        const char *name = output->kind == EXPR_COLUMN ? inner->ranges[output->range].column_names[output->column] : "value";
        range->column_names[i] = name;
        range->column_types[i] = output->type;
        targets[i] = (struct target){ plan__copy(op, u->planner, output), name, false };
        if (!targets[i].expr)
            return OP_FAILED;
        if (output->kind == EXPR_COLUMN)
            targets[i].expr->level = 0;     /* it may have been met in a sub-select further in */
    }
    if (is_simple(inner)) {
        inner->targets = targets;
        inner->target_count = u->output_count;
        inner->order_count = 0;
    }
    return OP_OK;
}

static int add_join(struct op *op, struct unnest *u, enum plan_join kind, struct expr *on)
{
    struct from_node *join = op_arena_alloc(op, u->planner->arena, sizeof *join);
    struct from_node *leaf = op_arena_alloc(op, u->planner->arena, sizeof *leaf);

    if (!join || !leaf)
        return OP_FAILED;
    leaf->range = u->range;
    *join = (struct from_node){ .is_join = true, .join = (enum join_kind)kind, .left = u->outer->from, .right = leaf, .on = on };
    u->outer->from = join;
    return OP_OK;
}

/* t.x = u.y */
static struct expr *membership(struct op *op, struct unnest *u, const struct expr *in)
{
    struct expr *expr = plan__node(op, u->planner->arena, EXPR_FUNC, (struct sql_type){ TYPE_BOOL, -1 }, 2);
    struct expr *value;

    if (!expr)
        return NULL;
    if (u->lifted) {
        value = plan__copy(op, u->planner, u->inner->targets[0].expr);
        if (!value || plan__map_expr(op, u->planner->arena, &value, 0, move_column, u))
            return NULL;
    } else if (!(value = plan__column(op, u->planner->arena, u->outer, u->range, 0))) {
        return NULL;
    }
    expr->func = in->subquery_equal;
    expr->args[0] = in->args[0];
    expr->args[1] = value;
    return expr;
}

static int transform(struct op *op, struct unnest *u, const struct expr *sub, enum plan_join kind)
{
    bool in = sub->subquery_kind == SUBQUERY_IN;
    struct expr *on = NULL;

    u->range = u->outer->range_count;
    if (is_simple(u->inner) && split_where(op, u))
        return OP_FAILED;
    if (!u->lifted && make_outputs(op, u, in ? u->inner->targets[0].expr : NULL))
        return OP_FAILED;
    if (add_range(op, u))
        return OP_FAILED;
    if (in && !(on = membership(op, u, sub)))
        return OP_FAILED;
    for (int i = 0; i < u->moved.count; i++) {
        struct expr *condition = u->moved.items[i]->expr;
        if (plan__map_expr(op, u->planner->arena, &condition, 0, move_column, u))
            return OP_FAILED;
        if (!(on = plan__and(op, u->planner->arena, on, condition)))
            return OP_FAILED;
    }
    return add_join(op, u, kind, on);
}

static bool has_series(const struct query *query)
{
    for (int i = 0; i < query->target_count; i++)
        if (expr_contains(query->targets[i].expr, EXPR_SERIES))
            return true;
    return false;
}

int plan__unnest(struct op *op, struct planner *planner, struct query *query, struct expr *conjunct, bool *done)
{
    bool negated = conjunct->kind == EXPR_NOT;
    const struct expr *sub = negated ? conjunct->args[0] : conjunct;

    *done = false;
    if (sub->kind != EXPR_SUBQUERY || sub->subquery_kind == SUBQUERY_SCALAR || query->range_count == RELATIONS_MAX)
        return OP_OK;
    bool exists = sub->subquery_kind == SUBQUERY_EXISTS;
    struct query *inner = sub->subquery;
    if ((negated && !exists) || plan__query_is_volatile(inner) || has_series(inner) || !inner->from
        || reads_outer_elsewhere(inner, exists))
        return OP_OK;
    bool correlated = inner->where && mentions_outer_query(inner->where);
    if (!is_simple(inner) && (correlated || exists))
        return OP_OK;
    if (exists ? !correlated : plan__relations(sub->args[0]) == 0 || plan__is_volatile(sub->args[0])
                                   || expr_contains(sub->args[0], EXPR_SUBQUERY))
        return OP_OK;
    struct unnest u = { .planner = planner, .outer = query, .inner = inner };
    if (is_simple(inner) && !inner->from->is_join && inner->ranges[inner->from->range].kind == RANGE_TABLE) {
        u.lifted = true;
        u.lifted_range = inner->from->range;
    }
    *done = true;
    return transform(op, &u, sub, negated ? PLAN_JOIN_ANTI : PLAN_JOIN_SEMI);
}
