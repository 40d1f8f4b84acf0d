/*
 * plan_footprint.c -- what a scan reads of its table, whatever way it takes to find it.
 *
 * A SERIALIZABLE transaction is told of writes that would have changed what it has read.  What it has looked at on the way there depends on the
 * plan: all of the table, or one key.  What it wanted to know does not:
 *
 *      SELECT name FROM t WHERE a = 5 AND lower(b) = $1      condition: a = 5 and lower(b) = $1;  columns read: name
 *      SELECT count(*) FROM t WHERE a > 5                    condition: a > 5;                    columns read: none
 *      UPDATE t SET n = n + 1 WHERE id = 7                   condition: id = 7;                   columns read: n
 *
 * The condition is the part of WHERE and ON that can be judged by a row alone, together with constants, parameters, and the values
 * that an outer row supplied.  It is tested on the row that a writer replaces and on the one that it puts there: so a scan of the whole
 * table conflicts with exactly the writes with which a look-up by key does, and no statistics can change who is aborted.
 *
 * What cannot be judged by another thread at another time is no part of the condition, and its columns count as read: sub-selects, functions
 * that are not immutable, and what would be too large to be kept.
 *
 * Of two tables that are joined, one supplies values for the join columns of the other, of which only rows with such values are of
 * interest.  Which one supplies is a matter of the statement and the catalog: the one of which the statement itself binds the longer
 * part of a key, a whole unique key before all, else the first in the text (plan__supplies).
 *
 * O1  Two states of the table in which the same rows satisfy the condition, with the same contents of the columns read, give the
 *     scan's consumer the same rows.
 */
#include <string.h>

#include "sql/exec_int.h"

enum { CONDITION_NODES_MAX = 400, CONDITION_BYTES_MAX = 16384 };

struct judge {
    int range;
    Relations outer;
    int nodes;
    size_t bytes;
};

/* Can it be kept, and tested on any row? */
static bool visit_testable(void *arg, const struct expr *expr)
{
    struct judge *judge = arg;

    if (++judge->nodes > CONDITION_NODES_MAX)
        return false;
    switch (expr->kind) {
    case EXPR_COLUMN:
        return expr->level == 0 && (expr->range == judge->range || (judge->outer >> expr->range & 1));
    case EXPR_FUNC:
        return expr->func->volatility == FUNC_IMMUTABLE;
    case EXPR_CONST:
        if (!expr->value.null && type_form(expr->type.oid) == FORM_BYTES)
            judge->bytes += expr->value.s.len;
        return judge->bytes <= CONDITION_BYTES_MAX;
    case EXPR_SUBQUERY:
    case EXPR_AGGREGATE:
    case EXPR_SERIES:
    case EXPR_DEFAULT:
    case EXPR_SLOT:
        return false;
    default:
        return true;
    }
}

struct to_cells {
    struct planner *planner;
    int range;
    struct cell_list *cells;
};

static struct expr *outer_to_cell(void *arg, struct op *op, const struct expr *expr, int depth)
{
    struct to_cells *map = arg;

    if (expr->kind != EXPR_COLUMN || expr->level != depth || expr->range == map->range)
        return NULL;
    struct expr *cell = plan__node(op, map->planner->arena, EXPR_OUTER, expr->type, 0);
    if (cell)
        cell->slot = plan__cell_of(op, map->planner, map->cells, expr);
    return cell;
}

static int add_conditions(struct op *op, struct planner *planner, const struct condition_list *list, struct judge *judge,
                          struct needed *needed, struct cell_list *cells, struct footprint_plan *footprint)
{
    struct to_cells map = { planner, needed->range, cells };

    for (int i = 0; i < list->count; i++) {
        const struct expr *expr = list->items[i]->expr;
        if (!expr_walk(expr, visit_testable, judge)) {
            plan__columns(expr, 0, plan__need_column, needed);
            continue;
        }
        struct expr *copy = plan__copy(op, planner, expr);
        if (!copy || plan__map_expr(op, planner->arena, &copy, 0, outer_to_cell, &map))
            return OP_FAILED;
        footprint->conditions[footprint->condition_count++] = copy;
    }
    return OP_OK;
}

/* What CHECK, generated columns and indexed expressions look at is read by a change of the row as well. */
static bool changes_read_all(const struct table_def *table)
{
    bool all = table->check_count > 0 || table->expression_count > 0;

    for (int i = 0; i < table->column_count; i++)
        all |= table->columns[i].generated;
    return all;
}

/* Beside what conditions say.  Of the rows that a statement changes it reads what it computes the new ones from: the rest is protected by
 * the change itself. */
static int read_columns(struct op *op, struct planner *planner, const struct join_problem *problem, int range, struct needed *needed)
{
    const struct query *query = problem->query;
    const struct table_def *table = query->ranges[range].table;
    size_t words = (size_t)table->column_count / 64 + 1;

    needed->range = range;
    needed->bits = op_arena_alloc(op, planner->arena, words * 8);
    if (!needed->bits)
        return OP_FAILED;
    bool target = (query->kind == QUERY_UPDATE || query->kind == QUERY_DELETE) && range == 0;
    if (!target || changes_read_all(table)) {
        memcpy(needed->bits, problem->used[range], words * 8);
    } else {
        for (int i = 0; i < query->set_count; i++)
            plan__columns(query->set_values[i], 0, plan__need_column, needed);
        for (int i = 0; i < planner->returning_count; i++)
            plan__columns(planner->returning[i].expr, 0, plan__need_column, needed);
    }
    for (int i = 0; i < problem->conditions.count; i++)
        plan__columns(problem->conditions.items[i]->expr, 0, plan__need_column, needed);
    for (int i = 0; i < problem->item_count; i++)
        for (int j = 0; j < problem->items[i].on.count; j++)
            plan__columns(problem->items[i].on.items[j]->expr, 0, plan__need_column, needed);
    return OP_OK;
}

static bool in_list(const struct condition_list *list, const struct condition *condition)
{
    for (int i = 0; i < list->count; i++)
        if (list->items[i] == condition)
            return true;
    return false;
}

/* ---- which table of a join comes first -------------------------------------------------------------- */

static bool binds(const struct expr *expr, int range, int column)
{
    int which;

    if (!plan__comparison(expr, &which) || which != 0)
        return false;
    for (int i = 0; i < 2; i++) {
        const struct expr *one = plan__bare(expr->args[i]), *other = expr->args[1 - i];
        if (one->kind == EXPR_COLUMN && one->level == 0 && one->range == range && one->column == column && plan__relations(other) == 0
            && !plan__depends(other))
            return true;
    }
    return false;
}

static int bound_prefix(const struct footprint_plan *footprint, const struct index_def *index)
{
    int length = 0;

    for (; length < index->column_count; length++) {
        bool bound = false;
        for (int i = 0; i < footprint->condition_count && !bound; i++)
            bound = binds(footprint->conditions[i], footprint->range, index->columns[length].column);
        if (!bound)
            break;
    }
    return length;
}

static void find_bound(struct footprint_plan *footprint, const struct table_def *table)
{
    for (int i = 0; i < table->index_count; i++) {
        const struct index_def *index = &table->indexes[i];
        int length = index->predicate < 0 ? bound_prefix(footprint, index) : 0;
        if (length > footprint->bound)
            footprint->bound = length;
        footprint->bound_unique |= index->unique && index->predicate < 0 && length == index->column_count;
    }
}

bool plan__supplies(const struct footprint_plan *one, const struct footprint_plan *other)
{
    if (one->bound_unique != other->bound_unique)
        return one->bound_unique;
    if (one->bound != other->bound)
        return one->bound > other->bound;
    return one->range < other->range;
}

/* ---- the whole -------------------------------------------------------------------------------------- */

int plan__footprint(struct op *op, struct planner *planner, const struct join_problem *problem, const struct join_item *item,
                    const struct condition_list *matched, Relations outer, struct cell_list *cells, struct footprint_plan **result)
{
    struct footprint_plan *footprint = op_arena_alloc(op, planner->arena, sizeof *footprint);
    int most = item->filters.count + (matched ? matched->count : 0);
    struct judge judge = { .range = item->range, .outer = outer };
    struct condition_list supplied = { 0 };
    struct needed needed;

    *result = footprint;
    if (!footprint || read_columns(op, planner, problem, item->range, &needed))
        return OP_FAILED;
    footprint->read = needed.bits;
    footprint->range = item->range;
    footprint->conditions = op_arena_alloc(op, planner->arena, ((size_t)most + 1) * sizeof(struct expr *));
    if (!footprint->conditions || add_conditions(op, planner, &item->filters, &judge, &needed, cells, footprint))
        return OP_FAILED;
    find_bound(footprint, problem->query->ranges[item->range].table);
    for (int i = 0; matched && i < matched->count; i++)
        if (!in_list(&item->filters, matched->items[i]) && plan__add_condition(op, planner->arena, &supplied, matched->items[i]))
            return OP_FAILED;
    return add_conditions(op, planner, &supplied, &judge, &needed, cells, footprint);
}
