/*
 * query_equal.c -- are two sub-selects the same?
 *
 * SELECT (SELECT max(v) FROM b) ... GROUP BY (SELECT max(v) FROM b) is allowed because the two are the same expression, and
 * expressions are compared as bound.  The two stand in the same query, so columns of queries further out are compared by their
 * places; ranges of the sub-selects themselves by their position in FROM, and by their names, as in PostgreSQL.
 */
#include "sql/query.h"

#include <string.h>

static bool list_equal(struct expr *const *a, struct expr *const *b, int count)
{
    for (int i = 0; i < count; i++)
        if (!expr_equal(a[i], b[i]))
            return false;
    return true;
}

static bool range_equal(const struct range_entry *a, const struct range_entry *b)
{
    if (a->kind != b->kind || a->column_count != b->column_count || strcmp(a->alias ? a->alias : "", b->alias ? b->alias : "") != 0)
        return false;
    switch (a->kind) {
    case RANGE_TABLE: return a->table == b->table;
    case RANGE_SUBQUERY: return query_equal(a->subquery, b->subquery);
    case RANGE_FUNCTION: return expr_equal(a->function, b->function);
    case RANGE_VALUES:
        return a->row_count == b->row_count && list_equal(a->values, b->values, a->row_count * a->column_count);
    }
    return false;
}

static bool from_equal(const struct from_node *a, const struct from_node *b)
{
    if (!a || !b)
        return a == b;
    if (a->is_join != b->is_join)
        return false;
    if (!a->is_join)
        return a->range == b->range;
    return a->join == b->join && from_equal(a->left, b->left) && from_equal(a->right, b->right) && expr_equal(a->on, b->on);
}

static bool order_equal(const struct query *a, const struct query *b)
{
    if (a->order_count != b->order_count)
        return false;
    for (int i = 0; i < a->order_count; i++) {
        const struct sort_key *x = &a->order[i], *y = &b->order[i];
        if (x->target != y->target || x->descending != y->descending || x->nulls_first != y->nulls_first)
            return false;
    }
    return true;
}

static bool targets_equal(const struct query *a, const struct query *b)
{
    if (a->target_count != b->target_count)
        return false;
    for (int i = 0; i < a->target_count; i++)
        if (a->targets[i].hidden != b->targets[i].hidden || !expr_equal(a->targets[i].expr, b->targets[i].expr))
            return false;
    return true;
}

bool query_equal(const struct query *a, const struct query *b)
{
    if (a == b)
        return true;
    if (!a || !b || a->kind != QUERY_SELECT || b->kind != QUERY_SELECT || a->set != b->set || a->range_count != b->range_count
        || a->mark_count || b->mark_count || a->distinct != b->distinct || a->grouped != b->grouped || a->group_count != b->group_count)
        return false;
    for (int i = 0; i < a->range_count; i++)
        if (!range_equal(&a->ranges[i], &b->ranges[i]))
            return false;
    return from_equal(a->from, b->from) && expr_equal(a->where, b->where) && targets_equal(a, b)
        && list_equal(a->groups, b->groups, a->group_count) && expr_equal(a->having, b->having) && order_equal(a, b)
        && expr_equal(a->limit, b->limit) && expr_equal(a->offset, b->offset)
        && query_equal(a->left, b->left) && query_equal(a->right, b->right);
}
