/*
 * plan_rewrite.c -- equivalent queries that are easier to plan.
 *
 *      constants              are computed now
 *      FROM (SELECT ...) s    a plain one dissolves: its ranges and conditions become the outer query's
 *      WHERE over s           when s has groups, DISTINCT or UNION, conditions on its columns move inside
 *      a LEFT JOIN b          is an inner join when some condition above cannot be true for a row without b
 *      IN, EXISTS             become semi and anti joins (plan_unnest.c)
 *      min(a), max(a)         of an indexed column: the first row of the index
 *
 * Each select is rewritten when it is planned, so that what was moved into a sub-select is looked at again there.
 */
#include <string.h>

#include "sql/plan_int.h"

/* ---- levels --------------------------------------------------------------------------------------- */

struct raise {
    struct planner *planner;
    int by;
};

static struct expr *raise_column(void *arg, struct op *op, const struct expr *expr, int depth)
{
    const struct raise *raise = arg;

    if (expr->kind != EXPR_COLUMN || expr->level < depth)
        return NULL;
    struct expr *copy = op_arena_alloc(op, raise->planner->arena, sizeof *copy);
    if (!copy)
        return NULL;
    *copy = *expr;
    copy->level += raise->by;
    return copy;
}

/* A copy of an expression for use `by` sub-selects further in. */
static struct expr *copy_raised(struct op *op, struct planner *planner, const struct expr *expr, int by)
{
    struct raise raise = { planner, by };
    struct expr *copy = plan__copy(op, planner, expr);

    if (!copy || by == 0)
        return copy;
    return plan__map_expr(op, planner->arena, &copy, 0, raise_column, &raise) ? NULL : copy;
}

/* ---- constants ------------------------------------------------------------------------------------ */

static int fold_from(struct op *op, struct arena *arena, struct from_node *from)
{
    if (!from || !from->is_join)
        return OP_OK;
    if (from->on && expr_fold(op, arena, &from->on))
        return OP_FAILED;
    return fold_from(op, arena, from->left) || fold_from(op, arena, from->right) ? OP_FAILED : OP_OK;
}

static int fold_query(struct op *op, struct arena *arena, struct query *query)
{
    struct expr **single[] = { &query->where, &query->having, &query->limit, &query->offset };

    for (size_t i = 0; i < COUNT_OF(single); i++)
        if (*single[i] && expr_fold(op, arena, single[i]))
            return OP_FAILED;
    for (int i = 0; i < query->target_count && !query->grouped; i++)
        if (expr_fold(op, arena, &query->targets[i].expr))
            return OP_FAILED;
    for (int i = 0; i < query->order_count; i++)
        query->order[i].expr = query->targets[query->order[i].target].expr;
    for (int i = 0; i < query->range_count; i++) {
        struct range_entry *range = &query->ranges[i];
        for (int j = 0; range->function && j < range->function->arg_count; j++)
            if (expr_fold(op, arena, &range->function->args[j]))
                return OP_FAILED;
        for (int j = 0; range->values && j < range->row_count * range->column_count; j++)
            if (expr_fold(op, arena, &range->values[j]))
                return OP_FAILED;
    }
    return fold_from(op, arena, query->from);
}

/* ---- sub-selects in FROM -------------------------------------------------------------------------- */

struct substitution {
    struct planner *planner;
    int range;
    const struct query *inner;      /* its targets stand for the range's columns */
};

static const struct expr *target_of(const struct query *query, int column)
{
    for (int i = 0; i < query->target_count; i++)
        if (!query->targets[i].hidden && column-- == 0)
            return query->targets[i].expr;
    return NULL;
}

static struct expr *substitute(void *arg, struct op *op, const struct expr *expr, int depth)
{
    const struct substitution *s = arg;

    if (expr->kind != EXPR_COLUMN || expr->level != depth || expr->range != s->range)
        return NULL;
    return copy_raised(op, s->planner, target_of(s->inner, expr->column), depth);
}

struct shift {
    struct planner *planner;
    int by;
};

static struct expr *shift_range(void *arg, struct op *op, const struct expr *expr, int depth)
{
    const struct shift *shift = arg;

    if (expr->kind == EXPR_COLUMN && expr->level == depth)
        ((struct expr *)expr)->range += shift->by;
    return NULL;
}

static void shift_from(struct from_node *from, int by)
{
    if (from->is_join) {
        shift_from(from->left, by);
        shift_from(from->right, by);
    } else {
        from->range += by;
    }
}

static bool targets_are_plain(const struct query *query)
{
    for (int i = 0; i < query->target_count; i++)
        if (plan__is_volatile(query->targets[i].expr) || expr_contains(query->targets[i].expr, EXPR_SERIES))
            return false;
    return true;
}

static bool dissolves(const struct query *inner)
{
    return inner->kind == QUERY_SELECT && !inner->mark_count && inner->set == SET_NONE && !inner->grouped && !inner->distinct && !inner->limit && !inner->offset
        && !inner->order_count && inner->from && targets_are_plain(inner);
}

/* Puts the sub-select's FROM in the place of the range; false when it stands where it may not (nullable side). */
static bool replace_leaf(struct from_node *from, int range, bool nullable, const struct from_node *by)
{
    if (!from->is_join) {
        if (from->range != range || nullable)
            return false;
        *from = *by;
        return true;
    }
    return replace_leaf(from->left, range, nullable, by)
        || replace_leaf(from->right, range, nullable || (int)from->join != PLAN_JOIN_INNER, by);
}

static bool is_nullable(const struct from_node *from, int range, bool nullable)
{
    if (!from->is_join)
        return from->range == range && nullable;
    return is_nullable(from->left, range, nullable)
        || is_nullable(from->right, range, nullable || (int)from->join != PLAN_JOIN_INNER);
}

static int append_ranges(struct op *op, struct planner *planner, struct query *query, const struct query *inner)
{
    struct range_entry *ranges = op_arena_alloc(op, planner->arena, (query->range_count + inner->range_count + 1) * sizeof *ranges);

    if (!ranges)
        return OP_FAILED;
    memcpy(ranges, query->ranges, query->range_count * sizeof *ranges);
    memcpy(ranges + query->range_count, inner->ranges, inner->range_count * sizeof *ranges);
    query->ranges = ranges;
    query->range_count += inner->range_count;
    return OP_OK;
}

/* Columns of the query around, as the sub-select's branches and deeper ones see them, come one level nearer. */
static struct expr *lower_column(void *arg, struct op *op, const struct expr *expr, int depth)
{
    if (expr->kind == EXPR_COLUMN && expr->level > depth)
        ((struct expr *)expr)->level--;
    return NULL;
}

static int dissolve(struct op *op, struct planner *planner, struct query *query, int at)
{
    struct query *inner = query->ranges[at].subquery;
    struct substitution substitution = { planner, at, inner };
    struct shift shift = { planner, query->range_count };

    query->ranges[at].subquery = NULL;
    query->ranges[at].kind = RANGE_VALUES;      /* nobody reads it any more */
    if (plan__map_query(op, planner->arena, inner, 0, lower_column, NULL)
        || plan__map_query(op, planner->arena, inner, 0, shift_range, &shift)
        || plan__map_query(op, planner->arena, query, 0, substitute, &substitution)
        || append_ranges(op, planner, query, inner))
        return OP_FAILED;
    shift_from(inner->from, shift.by);
    replace_leaf(query->from, at, false, inner->from);
    if (!inner->where)
        return OP_OK;
    query->where = plan__and(op, planner->arena, query->where, inner->where);
    return query->where ? OP_OK : OP_FAILED;
}

static int dissolve_all(struct op *op, struct planner *planner, struct query *query)
{
    for (int i = 0; query->from && i < query->range_count; i++) {
        const struct range_entry *range = &query->ranges[i];
        if (range->kind != RANGE_SUBQUERY || !dissolves(range->subquery) || is_nullable(query->from, i, false)
            || query->range_count + range->subquery->range_count > RELATIONS_MAX)
            continue;
        if (dissolve(op, planner, query, i))
            return OP_FAILED;
    }
    return OP_OK;
}

/* ---- conditions move into sub-selects ------------------------------------------------------------- */

static bool takes_conditions(const struct query *query)
{
    if (query->limit || query->offset || !targets_are_plain(query))
        return false;
    return query->set == SET_NONE || (takes_conditions(query->left) && takes_conditions(query->right));
}

struct group_check {
    const struct query *inner;
    bool keys_only;
};

static void check_group_key(void *arg, const struct expr *column)
{
    struct group_check *check = arg;
    const struct expr *target = target_of(check->inner, column->column);

    for (int i = 0; i < check->inner->group_count; i++)
        if (expr_equal(check->inner->groups[i], target))
            return;
    check->keys_only = false;
}

/* condition: over columns of range `range`, which are the sub-select's outputs. */
static int push_into(struct op *op, struct planner *planner, struct query *inner, int range, const struct expr *condition)
{
    if (inner->set != SET_NONE)
        return push_into(op, planner, inner->left, range, condition) || push_into(op, planner, inner->right, range, condition)
            ? OP_FAILED : OP_OK;
    struct substitution substitution = { planner, range, inner };
    struct group_check check = { inner, true };
    struct expr *copy = plan__copy(op, planner, condition);
    if (!copy)
        return OP_FAILED;
    plan__columns(condition, 0, check_group_key, &check);
    if (plan__map_expr(op, planner->arena, &copy, 0, substitute, &substitution))
        return OP_FAILED;
    struct expr **place = inner->grouped && !(check.keys_only && inner->group_count) ? &inner->having : &inner->where;
    *place = plan__and(op, planner->arena, *place, copy);
    return *place ? OP_OK : OP_FAILED;
}

static int push_conditions(struct op *op, struct planner *planner, struct query *query)
{
    struct condition_list list = { 0 }, rest = { 0 };

    if (!query->from || !query->where || plan__split_and(op, planner->arena, query->where, &list))
        return query->from && query->where ? OP_FAILED : OP_OK;
    for (int i = 0; i < list.count; i++) {
        struct condition *condition = list.items[i];
        Relations relations = condition->relations;
        int range = relations ? __builtin_ctzll(relations) : -1;
        bool pushed = range >= 0 && (relations & (relations - 1)) == 0 && query->ranges[range].kind == RANGE_SUBQUERY
            && !is_nullable(query->from, range, false) && !plan__is_volatile(condition->expr)
            && !expr_contains(condition->expr, EXPR_SUBQUERY) && takes_conditions(query->ranges[range].subquery);
        if (pushed ? push_into(op, planner, query->ranges[range].subquery, range, condition->expr)
                   : plan__add_condition(op, planner->arena, &rest, condition))
            return OP_FAILED;
    }
    if (rest.count < list.count) {
        query->where = plan__join_conditions(op, planner->arena, &rest);
        return query->where || rest.count == 0 ? OP_OK : OP_FAILED;
    }
    return OP_OK;
}

/* ---- left joins that are inner ones --------------------------------------------------------------- */

static Relations relations_below(const struct from_node *from)
{
    return from->is_join ? relations_below(from->left) | relations_below(from->right) : (Relations)1 << from->range;
}

/* condition: what every row that leaves `from` must satisfy to be of any use; NULL: nothing. */
static int reduce_outer(struct op *op, struct planner *planner, struct from_node *from, struct expr *condition)
{
    if (!from || !from->is_join)
        return OP_OK;
    if (from->join == JOIN_LEFT && condition && plan__rejects_null(condition, relations_below(from->right)))
        from->join = JOIN_INNER;
    struct expr *both = condition;
    if (from->on && !(both = plan__and(op, planner->arena, condition, from->on)))
        return OP_FAILED;
    bool inner = from->join == JOIN_INNER;
    return reduce_outer(op, planner, from->left, inner ? both : condition)
        || reduce_outer(op, planner, from->right, inner ? both : from->on) ? OP_FAILED : OP_OK;
}

/* ---- IN and EXISTS -------------------------------------------------------------------------------- */

static int unnest_all(struct op *op, struct planner *planner, struct query *query)
{
    struct condition_list list = { 0 }, rest = { 0 };

    if (!query->from || !query->where || !expr_contains(query->where, EXPR_SUBQUERY))
        return OP_OK;
    if (plan__split_and(op, planner->arena, query->where, &list))
        return OP_FAILED;
    for (int i = 0; i < list.count; i++) {
        bool done;
        if (plan__unnest(op, planner, query, list.items[i]->expr, &done))
            return OP_FAILED;
        if (!done && plan__add_condition(op, planner->arena, &rest, list.items[i]))
            return OP_FAILED;
    }
    query->where = plan__join_conditions(op, planner->arena, &rest);
    return query->where || rest.count == 0 ? OP_OK : OP_FAILED;
}

/* ---- min and max ---------------------------------------------------------------------------------- */

static const struct index_def *index_by(const struct table_def *table, int column)
{
    for (int i = 0; i < table->index_count; i++)
        if (table->indexes[i].predicate < 0 && table->indexes[i].columns[0].column == column)
            return &table->indexes[i];
    return NULL;
}

struct column_check {
    int column;
    bool only;
};

static void check_column(void *arg, const struct expr *column)
{
    struct column_check *check = arg;

    check->only &= column->column == check->column;
}

/* min or max of a column that leads an index, with no condition but on that column. */
static bool is_extreme(const struct query *query, const struct expr *expr)
{
    if (expr->kind != EXPR_AGGREGATE || expr->distinct || expr->filter || expr->order_count || expr->arg_count != 1
        || (strcmp(expr->aggregate->name, "min") != 0 && strcmp(expr->aggregate->name, "max") != 0))
        return false;
    const struct expr *column = plan__bare(expr->args[0]);
    if (column->kind != EXPR_COLUMN || column->level != 0 || !index_by(query->ranges[column->range].table, column->column))
        return false;
    struct column_check check = { column->column, true };
    plan__columns(query->where, 0, check_column, &check);
    return check.only;
}

struct extremes {
    struct planner *planner;
    const struct query *query;
    bool all, any;
};

static bool check_extreme(void *arg, const struct expr *expr)
{
    struct extremes *e = arg;

    if (expr->kind == EXPR_AGGREGATE) {
        e->any = true;
        e->all &= is_extreme(e->query, expr);
        return false;
    }
    if (expr->kind == EXPR_SUBQUERY || expr->kind == EXPR_SERIES)
        e->all = false;
    return e->all;
}

/* (SELECT a FROM t WHERE ... AND a IS NOT NULL ORDER BY a LIMIT 1) */
static struct query *first_of_index(struct op *op, struct planner *planner, const struct query *query, const struct expr *aggregate)
{
    struct arena *arena = planner->arena;
    struct query *inner = plan__copy_query(op, arena, query);
    struct expr *not_null = plan__node(op, arena, EXPR_IS_NOT_NULL, (struct sql_type){ TYPE_BOOL, -1 }, 1);
    struct expr *one = plan__node(op, arena, EXPR_CONST, (struct sql_type){ TYPE_INT8, -1 }, 0);
    const struct expr *column = plan__bare(aggregate->args[0]);
    bool max = strcmp(aggregate->aggregate->name, "max") == 0;

    if (!inner || !not_null || !one)
        return NULL;
    const struct index_def *index = index_by(query->ranges[column->range].table, column->column);
    bool forward = index->columns[0].descending == max;
    not_null->args[0] = plan__copy(op, planner, column);
    one->value.i = 1;
    inner->grouped = false;
    inner->having = NULL;
    inner->target_count = 1;
    inner->targets[0] = (struct target){ plan__copy(op, planner, aggregate->args[0]), "first", false };
    inner->order_count = 1;
    if (!(inner->order = op_arena_alloc(op, arena, sizeof *inner->order)) || !not_null->args[0] || !inner->targets[0].expr)
        return NULL;
    inner->order[0] = (struct sort_key){ inner->targets[0].expr, 0, max, forward == index->columns[0].nulls_first };
    inner->limit = one;
    inner->offset = NULL;
    inner->where = plan__and(op, arena, inner->where, not_null);
    return inner->where ? inner : NULL;
}

static struct expr *replace_extreme(void *arg, struct op *op, const struct expr *expr, int depth)
{
    struct extremes *e = arg;

    if (expr->kind != EXPR_AGGREGATE)
        return NULL;
    struct expr *sub = plan__node(op, e->planner->arena, EXPR_SUBQUERY, expr->type, 0);
    if (!sub)
        return NULL;
    sub->subquery_kind = SUBQUERY_SCALAR;
    sub->subquery = first_of_index(op, e->planner, e->query, expr);
    return sub->subquery ? sub : NULL;
}

static int use_index_ends(struct op *op, struct planner *planner, struct query *query)
{
    struct extremes e = { planner, query, true, false };

    if (!query->grouped || query->group_count || query->having || !query->from || query->from->is_join
        || query->ranges[query->from->range].kind != RANGE_TABLE
        || (query->where && (plan__is_volatile(query->where) || expr_contains(query->where, EXPR_SUBQUERY))))
        return OP_OK;
    for (int i = 0; i < query->target_count && e.all; i++)
        expr_walk(query->targets[i].expr, check_extreme, &e);
    if (!e.all || !e.any)
        return OP_OK;
    for (int i = 0; i < query->target_count; i++)
        if (plan__map_expr(op, planner->arena, &query->targets[i].expr, 0, replace_extreme, &e))
            return OP_FAILED;
    for (int i = 0; i < query->order_count; i++)
        query->order[i].expr = query->targets[query->order[i].target].expr;
    query->grouped = false;
    query->from = NULL;
    query->where = NULL;
    return OP_OK;
}

int plan__rewrite(struct op *op, struct planner *planner, struct query *query)
{
    if (query->set != SET_NONE)
        return fold_query(op, planner->arena, query);
    if (dissolve_all(op, planner, query) || fold_query(op, planner->arena, query)
        || reduce_outer(op, planner, query->from, query->where) || plan__prepare_recheck(op, planner, query)
        || push_conditions(op, planner, query) || unnest_all(op, planner, query))
        return OP_FAILED;
    return use_index_ends(op, planner, query);
}
