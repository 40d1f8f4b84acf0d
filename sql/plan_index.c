/*
 * plan_index.c -- the ways to read one table: conditions become key ranges.
 *
 * For each index, its columns are gone through from the left.  A column that some condition binds to points (=, IN, IS NULL, an OR of
 * those) lets the next column be used too; one that is bound to ranges (<, BETWEEN, LIKE 'abc%', an OR of ranges) is the last.
 *
 *      index (a, b, c), WHERE a = 1 AND b IN (2, 3) AND c > 4 AND d = 5
 *              a: point 1;  b: points 2, 3;  c: range (4, );  d stays a filter
 *
 * A condition becomes a range only when nothing is lost: the comparison is between the bare column and a value of a type with the
 * same key encoding (so an integer column against a bigint, but not against a numeric: the binder puts a cast around the column then,
 * which hides it).  LIKE alone stays a filter as well.
 *
 * The value may come from constants, parameters, uncorrelated sub-selects, and in the inner side of a nested loop from columns of the outer
 * side, which arrive through cells.
 */
#include <string.h>

#include "sql/exec_int.h"

enum { PARTS_MAX = 30, ALTERNATIVES_MAX = 2000 };

struct matcher {
    struct op *op;
    struct planner *planner;
    struct join_problem *problem;
    int range;
    const struct table_def *table;
    Relations outer;
    struct cell_list *cells;
    bool failed;
    struct expr **expressions;      /* of the table's indexes, over this range; NULL: there are none */
};

/* A growing list of alternatives for one column. */
struct intervals {
    int count, capacity;
    struct key_interval *items;
    bool points_only;
    bool lossy;                     /* the condition must be checked again */
    bool uses_outer;
};

static void add_interval(struct matcher *m, struct intervals *list, struct key_interval interval)
{
    if (list->count == list->capacity) {
        int capacity = list->capacity ? 2 * list->capacity : 4;
        struct key_interval *items = op_arena_alloc(m->op, m->planner->arena, capacity * sizeof *items);
        if (!items) {
            m->failed = true;
            return;
        }
        if (list->count)
            memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    if (interval.kind != INTERVAL_POINT && interval.kind != INTERVAL_NULL)
        list->points_only = false;
    list->items[list->count++] = interval;
}

/* A column of the table, or behind them an expression of an index. */
static bool is_column(const struct matcher *m, const struct expr *expr, int column)
{
    if (column >= m->table->column_count)
        return m->expressions && expr_equal(plan__bare(expr), plan__bare(m->expressions[column - m->table->column_count]));
    expr = plan__bare(expr);
    return expr->kind == EXPR_COLUMN && expr->level == 0 && expr->range == m->range && expr->column == column;
}

/* Whether the expression can be computed before the scan begins. */
static bool is_value(const struct matcher *m, const struct expr *expr)
{
    return (plan__relations(expr) & ~m->outer) == 0 && !plan__is_volatile(expr) && !expr_contains(expr, EXPR_AGGREGATE);
}

static bool comparable(const struct matcher *m, int column, const struct expr *value)
{
    Oid type = m->table->columns[column].type.oid;

    return plan__same_key_class(type, value->type.oid) && type != TYPE_BPCHAR;
}

struct value_map {
    struct matcher *m;
    struct intervals *list;
};

static struct expr *column_to_cell(void *arg, struct op *op, const struct expr *expr, int depth)
{
    struct value_map *map = arg;

    if (expr->kind != EXPR_COLUMN || expr->level != depth)
        return NULL;
    struct expr *cell = plan__node(op, map->m->planner->arena, EXPR_OUTER, expr->type, 0);
    if (!cell)
        return NULL;
    cell->slot = plan__cell_of(op, map->m->planner, map->m->cells, expr);
    map->list->uses_outer = true;
    return cell;
}

/* The value in the form in which the scan computes it. */
static struct expr *make_value(struct matcher *m, struct intervals *list, const struct expr *expr)
{
    struct value_map map = { m, list };
    struct expr *copy = plan__copy(m->op, m->planner, expr), *slots;

    if (!copy || plan__map_expr(m->op, m->planner->arena, &copy, 0, column_to_cell, &map)
        || plan__to_slots(m->op, m->planner, m->problem->query, copy, 0, NULL, &slots)) {
        m->failed = true;
        return NULL;
    }
    return slots;
}

static bool match_comparison(struct matcher *m, const struct expr *expr, int column, struct intervals *list)
{
    const struct expr *value;
    int which;

    if (!plan__comparison(expr, &which))
        return false;
    if (is_column(m, expr->args[0], column)) {
        value = expr->args[1];
    } else if (is_column(m, expr->args[1], column)) {
        value = expr->args[0];
        which = -which;
    } else {
        return false;
    }
    if (!comparable(m, column, value) || !is_value(m, value))
        return false;
    struct expr *computed = make_value(m, list, value);
    struct key_interval interval = { .kind = which == 0 ? INTERVAL_POINT : INTERVAL_RANGE };
    if (which >= 0) {
        interval.low = computed;
        interval.low_inclusive = which != 2;
    } else {
        interval.high = computed;
        interval.high_inclusive = which != -2;
    }
    add_interval(m, list, interval);
    return true;
}

static bool match_in(struct matcher *m, const struct expr *expr, int column, struct intervals *list)
{
    if (expr->kind != EXPR_IN || expr->negated || !is_column(m, expr->args[0], column) || expr->arg_count > ALTERNATIVES_MAX)
        return false;
    for (int i = 1; i < expr->arg_count; i++)
        if (!comparable(m, column, expr->args[i]) || !is_value(m, expr->args[i]))
            return false;
    for (int i = 1; i < expr->arg_count; i++)
        add_interval(m, list, (struct key_interval){ .kind = INTERVAL_POINT, .low = make_value(m, list, expr->args[i]) });
    return true;
}

static bool match_null(struct matcher *m, const struct expr *expr, int column, struct intervals *list)
{
    if ((expr->kind != EXPR_IS_NULL && expr->kind != EXPR_IS_NOT_NULL) || !is_column(m, expr->args[0], column))
        return false;
    add_interval(m, list, (struct key_interval){ .kind = expr->kind == EXPR_IS_NULL ? INTERVAL_NULL : INTERVAL_NOT_NULL });
    return true;
}

static bool match_bool(struct matcher *m, const struct expr *expr, int column, struct intervals *list)
{
    bool negated = expr->kind == EXPR_NOT;
    const struct expr *inner = negated ? expr->args[0] : expr;

    if (m->table->columns[column].type.oid != TYPE_BOOL || !is_column(m, inner, column))
        return false;
    struct expr *value = plan__node(m->op, m->planner->arena, EXPR_CONST, (struct sql_type){ TYPE_BOOL, -1 }, 0);
    if (!value) {
        m->failed = true;
        return false;
    }
    value->value.b = !negated;
    add_interval(m, list, (struct key_interval){ .kind = INTERVAL_POINT, .low = value });
    return true;
}

/* LIKE with a constant pattern that begins with plain characters. */
static bool match_like(struct matcher *m, const struct expr *expr, int column, struct intervals *list)
{
    if (expr->kind != EXPR_FUNC || strcmp(expr->func->name, "~~") != 0 || expr->arg_count != 2
        || !is_column(m, expr->args[0], column) || !plan__same_key_class(m->table->columns[column].type.oid, TYPE_TEXT))
        return false;
    const struct expr *pattern = plan__bare(expr->args[1]);
    if (pattern->kind != EXPR_CONST || pattern->value.null)
        return false;
    struct bytes text = pattern->value.s;
    uint8_t *prefix = op_arena_alloc(m->op, m->planner->arena, text.len + 1);
    size_t len = 0, at = 0;
    if (!prefix) {
        m->failed = true;
        return false;
    }
    for (; at < text.len && text.data[at] != '%' && text.data[at] != '_'; at++) {
        if (text.data[at] == '\\' && ++at == text.len)
            return false;
        prefix[len++] = text.data[at];
    }
    if (len == 0)
        return false;
    struct expr *value = plan__copy(m->op, m->planner, pattern);
    if (!value) {
        m->failed = true;
        return false;
    }
    value->value.s = (struct bytes){ prefix, len };
    add_interval(m, list, (struct key_interval){ .kind = at == text.len ? INTERVAL_POINT : INTERVAL_PREFIX, .low = value });
    list->lossy = at != text.len;
    return true;
}

static bool match_one(struct matcher *m, const struct expr *expr, int column, struct intervals *list);

/* Arms of an OR: each must bind this column alone; an arm may be an AND of a lower and an upper bound. */
static bool match_or(struct matcher *m, const struct expr *expr, int column, struct intervals *list)
{
    if (expr->kind != EXPR_OR)
        return false;
    for (int i = 0; i < expr->arg_count; i++) {
        const struct expr *arm = expr->args[i];
        int before = list->count;
        if (arm->kind == EXPR_AND && arm->arg_count == 2) {
            if (!match_comparison(m, arm->args[0], column, list) || list->count != before + 1
                || !match_comparison(m, arm->args[1], column, list) || list->count != before + 2)
                return false;
            struct key_interval *a = &list->items[before], *b = &list->items[before + 1];
            if (a->kind != INTERVAL_RANGE || b->kind != INTERVAL_RANGE || !!a->low == !!b->low)
                return false;
            struct key_interval *low = a->low ? a : b, *high = a->low ? b : a;
            *a = (struct key_interval){ INTERVAL_RANGE, low->low, high->high, low->low_inclusive, high->high_inclusive };
            list->count--;
        } else if (!match_one(m, arm, column, list)) {
            return false;
        }
    }
    return true;
}

static bool match_one(struct matcher *m, const struct expr *expr, int column, struct intervals *list)
{
    return match_comparison(m, expr, column, list) || match_in(m, expr, column, list) || match_null(m, expr, column, list)
        || match_bool(m, expr, column, list) || match_like(m, expr, column, list) || match_or(m, expr, column, list);
}

/* ---- one index ------------------------------------------------------------------------------------ */

struct index_match {
    const struct index_def *index;
    int part_count;
    struct key_part parts[PARTS_MAX];
    struct condition_list matched;  /* in the ranges */
    struct condition_list exact;    /* need not be checked again */
    bool uses_outer;
    int alternatives;
    bool points[PARTS_MAX];         /* the part is one point: its column is constant */
    bool all_points, has_null;
};

static int use_condition(struct matcher *m, struct index_match *match, struct condition *condition, const struct intervals *list)
{
    match->uses_outer |= list->uses_outer;
    if (plan__add_condition(m->op, m->planner->arena, &match->matched, condition))
        return OP_FAILED;
    return list->lossy ? OP_OK : plan__add_condition(m->op, m->planner->arena, &match->exact, condition);
}

static void add_part(struct index_match *match, const struct intervals *list)
{
    int at = match->part_count++;

    match->parts[at] = (struct key_part){ list->count, list->items };
    match->points[at] = list->count == 1 && list->points_only;
    match->alternatives *= list->count;
    match->all_points &= list->points_only;
    for (int i = 0; i < list->count; i++)
        match->has_null |= list->items[i].kind == INTERVAL_NULL;
}

/* Points for the column: the condition with the fewest alternatives. */
static int match_points(struct matcher *m, const struct condition_list *conditions, int column, struct index_match *match, bool *found)
{
    struct intervals best = { 0 };
    struct condition *chosen = NULL;

    for (int i = 0; i < conditions->count; i++) {
        struct intervals list = { .points_only = true };
        if (!match_one(m, conditions->items[i]->expr, column, &list) || m->failed || !list.points_only || list.lossy)
            continue;
        if (list.count * match->alternatives > ALTERNATIVES_MAX
            || (list.count > 1 && !m->planner->options->enable_bitmapscan))
            continue;
        if (!chosen || list.count < best.count) {
            best = list;
            chosen = conditions->items[i];
        }
    }
    *found = chosen != NULL;
    if (!chosen)
        return m->failed ? OP_FAILED : OP_OK;
    add_part(match, &best);
    return use_condition(m, match, chosen, &best);
}

/* A range: the first lower and the first upper bound, or else one condition that gives several ranges. */
static int match_range(struct matcher *m, const struct condition_list *conditions, int column, struct index_match *match, bool *found)
{
    struct key_interval *range = op_arena_alloc(m->op, m->planner->arena, sizeof *range);
    struct intervals single = { 1, 1, range, false, false, false };

    *found = false;
    if (!range)
        return OP_FAILED;
    range->kind = INTERVAL_RANGE;
    for (int i = 0; i < conditions->count; i++) {
        struct condition *condition = conditions->items[i];
        struct intervals list = { .points_only = true };
        if (!match_one(m, condition->expr, column, &list) || m->failed || list.count != 1)
            continue;
        const struct key_interval *one = &list.items[0];
        if (one->kind == INTERVAL_RANGE && one->low && !range->low && !one->high) {
            range->low = one->low;
            range->low_inclusive = one->low_inclusive;
        } else if (one->kind == INTERVAL_RANGE && one->high && !range->high && !one->low) {
            range->high = one->high;
            range->high_inclusive = one->high_inclusive;
        } else if (!*found && (one->kind == INTERVAL_PREFIX || one->kind == INTERVAL_NOT_NULL)) {
            add_part(match, &list);
            *found = true;
            return use_condition(m, match, condition, &list);
        } else {
            continue;
        }
        *found = true;
        single.uses_outer |= list.uses_outer;
        if (use_condition(m, match, condition, &list))
            return OP_FAILED;
    }
    if (*found)
        add_part(match, &single);
    for (int i = 0; !*found && i < conditions->count && m->planner->options->enable_bitmapscan; i++) {
        struct intervals list = { .points_only = true };
        if (!match_one(m, conditions->items[i]->expr, column, &list) || m->failed || list.count < 2)
            continue;
        *found = true;
        add_part(match, &list);
        if (use_condition(m, match, conditions->items[i], &list))
            return OP_FAILED;
    }
    return m->failed ? OP_FAILED : OP_OK;
}

static int match_index(struct matcher *m, const struct index_def *index, const struct condition_list *conditions,
                       struct index_match *match)
{
    *match = (struct index_match){ .index = index, .alternatives = 1, .all_points = true };
    for (int i = 0; i < index->column_count && i < PARTS_MAX; i++) {
        int column = index->columns[i].column;
        bool found;
        if (match_points(m, conditions, column, match, &found))
            return OP_FAILED;
        if (found)
            continue;
        return match_range(m, conditions, column, match, &found);
    }
    return OP_OK;
}

/* ---- order ---------------------------------------------------------------------------------------- */

/* Column `i` of what the index is really sorted by: its own columns, then (not unique) the primary key. */
static const struct index_column *order_column(const struct table_def *table, const struct index_def *index, int i)
{
    if (i < index->column_count)
        return &index->columns[i];
    i -= index->column_count;
    if (index->unique || !table->has_primary || i >= table->indexes[0].column_count)
        return NULL;
    return &table->indexes[0].columns[i];
}

static bool bound_to_point(const struct index_match *match, int column)
{
    for (int i = 0; i < match->part_count; i++)
        if (match->points[i] && match->index->columns[i].column == column)
            return true;
    return false;
}

/* Whether a scan gives the wanted order: 1 forward, -1 backward, 0 no. */
static int gives_order(const struct join_problem *problem, int range, const struct table_def *table, const struct index_match *match)
{
    int direction = 0, at = 0;

    if (!problem->order)
        return 0;
    for (int i = 0; i < problem->order_count; i++) {
        const struct sort_key *key = &problem->order[i];
        const struct expr *expr = plan__bare(key->expr);
        if (expr->kind != EXPR_COLUMN || expr->level != 0 || expr->range != range)
            return 0;
        if (bound_to_point(match, expr->column))
            continue;
        const struct index_column *column = order_column(table, match->index, at);
        while (column && column->column != expr->column && bound_to_point(match, column->column))
            column = order_column(table, match->index, ++at);
        if (!column)
            return match->index->unique && at >= match->index->column_count && match->index->primary ? (direction ? direction : 1) : 0;
        if (column->column != expr->column)
            return 0;
        bool not_null = table->columns[column->column].not_null;
        bool same = column->descending == key->descending && (not_null || column->nulls_first == key->nulls_first);
        bool opposite = column->descending != key->descending && (not_null || column->nulls_first != key->nulls_first);
        if (!same && !opposite)
            return 0;
        if (direction && direction != (same ? 1 : -1))
            return 0;
        direction = same ? 1 : -1;
        at++;
    }
    return direction ? direction : 1;
}

/* ---- nodes ---------------------------------------------------------------------------------------- */

void plan__need_column(void *arg, const struct expr *column)
{
    struct needed *needed = arg;

    if (column->range == needed->range)
        needed->bits[column->column / 64] |= (uint64_t)1 << column->column % 64;
}

static int needed_columns(struct matcher *m, struct join_item *item, const struct condition_list *filters, int **wanted, int *count)
{
    int words = m->table->column_count / 64 + 1;
    struct needed needed = { op_arena_alloc(m->op, m->planner->arena, words * 8), m->range };
    struct join_problem *problem = m->problem;

    *wanted = op_arena_alloc(m->op, m->planner->arena, (m->table->column_count + 1) * sizeof **wanted);
    *count = 0;
    if (!needed.bits || !*wanted)
        return OP_FAILED;
    memcpy(needed.bits, problem->used[m->range], words * 8);
    for (int i = 0; i < problem->conditions.count; i++)
        plan__columns(problem->conditions.items[i]->expr, 0, plan__need_column, &needed);
    for (int i = 0; i < problem->item_count; i++)
        for (int j = 0; j < problem->items[i].on.count; j++)
            plan__columns(problem->items[i].on.items[j]->expr, 0, plan__need_column, &needed);
    for (int i = 0; i < filters->count; i++)
        plan__columns(filters->items[i]->expr, 0, plan__need_column, &needed);
    for (int i = 0; i < m->table->column_count; i++)
        if (needed.bits[i / 64] >> i % 64 & 1)
            (*wanted)[(*count)++] = i;
    return OP_OK;
}

static bool in_list(const struct condition_list *list, const struct condition *condition)
{
    for (int i = 0; i < list->count; i++)
        if (list->items[i] == condition)
            return true;
    return false;
}

static struct plan_node *scan_node(struct matcher *m, const struct index_match *match, const int *wanted, int count)
{
    bool with_key = m->problem->query->kind != QUERY_SELECT || plan__locks_range(m->problem->query, m->range);
    struct plan_node *node = plan__new_node(m->op, m->planner, PLAN_SCAN, m->problem->query, count + with_key);

    if (!node)
        return NULL;
    node->scan.table = (struct table_def *)m->table;
    node->scan.alias = m->problem->query->ranges[m->range].alias;
    node->scan.wanted = (int *)wanted;
    node->scan.wanted_count = count;
    node->scan.with_key = with_key;
    for (int i = 0; i < count; i++) {
        node->types[i] = m->table->columns[wanted[i]].type;
        node->layout[i] = plan__column(m->op, m->planner->arena, m->problem->query, m->range, wanted[i]);
        if (!node->layout[i])
            return NULL;
    }
    if (with_key)
        node->types[count] = (struct sql_type){ TYPE_TEXT, -1 };
    if (with_key && m->problem->query->kind == QUERY_SELECT
        && !(node->layout[count] = plan__key_column(m->op, m->planner->arena, m->range, m->table->column_count)))
        return NULL;
    if (!match)
        return node;
    node->scan.index = match->index;
    node->scan.part_count = match->part_count;
    node->scan.parts = op_arena_alloc(m->op, m->planner->arena, (match->part_count + 1) * sizeof *node->scan.parts);
    if (!node->scan.parts)
        return NULL;
    memcpy(node->scan.parts, match->parts, match->part_count * sizeof *node->scan.parts);
    struct condition_list *covered = op_arena_alloc(m->op, m->planner->arena, sizeof *covered);
    if (!covered)
        return NULL;
    *covered = match->exact;
    node->scan.covered = covered;
    node->scan.cond_text = plan__join_conditions(m->op, m->planner->arena, &match->matched);
    node->scan.point = match->index->unique && match->part_count == match->index->column_count && match->all_points
        && !match->has_null;
    return node;
}

/* Share of the index that known key ranges cover; -1 when values are not known yet. */
static double known_fraction(struct matcher *m, const struct index_match *match)
{
    struct key_ranges ranges;
    struct plan_node node = { .kind = PLAN_SCAN };
    struct store *store = txn_manager_store(txn_session_manager(session_txn(m->planner->session)));
    struct btree *tree;
    double sum = 0;

    if (m->table->rows || match->alternatives > 50)
        return -1;
    for (int i = 0; i < match->part_count; i++)
        for (int j = 0; j < match->parts[i].count; j++) {
            const struct key_interval *interval = &match->parts[i].intervals[j];
            if ((interval->low && interval->low->kind != EXPR_CONST) || (interval->high && interval->high->kind != EXPR_CONST))
                return -1;
        }
    node.scan.table = (struct table_def *)m->table;
    node.scan.index = match->index;
    node.scan.part_count = match->part_count;
    node.scan.parts = (struct key_part *)match->parts;
    struct execution scratch = { 0 };
    arena_init(&scratch.arena);
    memset(&ranges, 0, sizeof ranges);
    if (exec__ranges_make(m->op, &scratch, &node, &ranges) || exec__ranges_compute(m->op, NULL, &ranges)
        || btree_open(m->op, store, match->index->tree, &tree))
        sum = -1;
    for (int i = 0; i < ranges.count && sum >= 0; i++) {
        double fraction;
        if (btree_estimate_range(m->op, tree, &ranges.ranges[i], &fraction))
            sum = -1;
        else
            sum += fraction;
    }
    if (op_failed(m->op))
        op_clear_error(m->op);      /* an estimate is not worth failing for: the run will say it */
    exec__ranges_free(&ranges);
    arena_free(&scratch.arena);
    return sum > 1 ? 1 : sum;
}

static double match_selectivity(struct matcher *m, const struct index_match *match, double rows)
{
    double selectivity = match->part_count ? known_fraction(m, match) : 1;

    if (selectivity < 0)
        selectivity = plan__list_selectivity(m->op, m->planner, m->problem->query, &match->matched);
    if (match->index->unique && match->part_count == match->index->column_count && match->all_points && !match->has_null && rows >= 1) {
        double most = match->alternatives / rows;
        if (selectivity > most)
            selectivity = most;
    }
    return selectivity;
}

static void cost_scan(struct matcher *m, struct plan_node *node, const struct index_match *match, double table_rows, double pages,
                      double selectivity, double filter_cost)
{
    const struct plan_options *options = m->planner->options;
    double fetched = table_rows * selectivity;

    if (!match) {
        node->total_cost = pages * PLAN_PAGE_COST + table_rows * (PLAN_ROW_COST + filter_cost);
        if (!options->enable_seqscan)
            node->startup_cost += PLAN_DISABLED_COST, node->total_cost += PLAN_DISABLED_COST;
        return;
    }
    bool clustered = match->index->tree == m->table->tree;
    double leaf_share = clustered ? pages : pages / 3;
    node->startup_cost = PLAN_LOOKUP_COST / 2;
    node->total_cost = PLAN_LOOKUP_COST * match->alternatives + leaf_share * selectivity * PLAN_PAGE_COST
        + fetched * (PLAN_ROW_COST / 2 + filter_cost + PLAN_OPERATOR_COST);
    if (clustered && match->part_count == 0)
        node->total_cost += table_rows * PLAN_ROW_COST / 2;
    if (!clustered && !node->scan.index_only)
        node->total_cost += fetched * PLAN_LOOKUP_COST * 2;
    if (!options->enable_indexscan || (node->scan.index_only && !options->enable_indexonlyscan))
        node->startup_cost += PLAN_DISABLED_COST, node->total_cost += PLAN_DISABLED_COST;
}

static int filters_without(struct matcher *m, const struct condition_list *all, const struct condition_list *exact,
                           struct condition_list *rest)
{
    *rest = (struct condition_list){ 0 };
    for (int i = 0; i < all->count; i++)
        if (!exact || !in_list(exact, all->items[i]))
            if (plan__add_condition(m->op, m->planner->arena, rest, all->items[i]))
                return OP_FAILED;
    return OP_OK;
}

/* One path: whole table (match NULL) or an index. */
static int add_scan(struct matcher *m, struct join_item *item, const struct index_match *match, int direction, bool ordered,
                    double table_rows, double pages, struct path_list *paths)
{
    struct condition_list filters;
    int *wanted, count;

    if (filters_without(m, &item->filters, match ? &match->exact : NULL, &filters)
        || needed_columns(m, item, &filters, &wanted, &count))
        return OP_FAILED;
    bool index_only = match && match->index->tree != m->table->tree && m->problem->query->kind == QUERY_SELECT
        && !plan__locks_range(m->problem->query, m->range)
        && m->planner->options->enable_indexonlyscan && row_index_covers(m->table, match->index, wanted, count);
    if (match && match->part_count == 0 && !ordered && !index_only)
        return OP_OK;
    struct plan_node *node = scan_node(m, match, wanted, count);
    if (!node)
        return OP_FAILED;
    node->scan.index_only = index_only;
    node->scan.backward = direction < 0;
    struct expr *filter = plan__join_conditions(m->op, m->planner->arena, &filters);
    double selectivity = match ? match_selectivity(m, match, table_rows) : 1;
    cost_scan(m, node, match, table_rows, pages, selectivity, plan__expr_cost(filter));
    node->width = plan__width(node->types, node->column_count);
    node->rows = m->outer ? table_rows * selectivity * plan__list_selectivity(m->op, m->planner, m->problem->query, &filters)
                          : item->rows;
    if (node->rows < 1)
        node->rows = 1;
    if (!plan__path_wins(paths, node->startup_cost, node->total_cost, ordered))
        return OP_OK;
    if (plan__set_filter(m->op, m->planner, node, filter))
        return OP_FAILED;
    if (!m->table->rows     /* what the engine tells of itself is not recorded */
        && plan__footprint(m->op, m->planner, m->problem, item, match ? &match->matched : NULL, m->outer, m->cells, &node->scan.footprint))
        return OP_FAILED;
    plan__add_path(paths, node, ordered);
    return OP_OK;
}

static struct expr *to_range(void *arg, struct op *op, const struct expr *expr)
{
    struct matcher *m = arg;
    if (expr->kind != EXPR_COLUMN)
        return NULL;
    struct expr *column = op_arena_alloc(op, m->planner->arena, sizeof *column);
    if (column) {
        *column = *expr;
        column->range = m->range;
    }
    return column;
}

/* Expressions and conditions of the table's indexes, over this item's columns. */
static int bind_expressions(struct matcher *m)
{
    struct table_def *table = m->problem->query->ranges[m->range].table;
    struct arena *arena = m->planner->arena;

    if (table->expression_count == 0)
        return OP_OK;
    m->expressions = op_arena_alloc(m->op, arena, (size_t)table->expression_count * sizeof *m->expressions);
    if (!m->expressions)
        return OP_FAILED;
    for (int i = 0; i < table->expression_count; i++) {
        const struct column_def *column = &table->columns[table->column_count + i];
        struct expr *expr;
        if (bind_table_expression(m->op, m->planner->session, arena, column->default_sql, NULL, table, BIND_INDEX,
                                  (struct sql_type){ 0, -1 }, &expr)
            || expr_fold(m->op, arena, &expr) || !(m->expressions[i] = expr_copy(m->op, arena, expr, to_range, m)))
            return OP_FAILED;
    }
    return OP_OK;
}

/* A partial index holds what the conditions ask for if they imply its own. */
static bool holds_enough(struct matcher *m, const struct index_def *index, const struct condition_list *filters)
{
    if (index->predicate < 0)
        return true;
    const struct expr **given = op_arena_alloc(m->op, m->planner->arena, ((size_t)filters->count + 1) * sizeof(struct expr *));
    for (int i = 0; given && i < filters->count; i++)
        given[i] = filters->items[i]->expr;
    return given && expr_implied(given, filters->count, m->expressions[index->predicate - m->table->column_count]);
}

static bool index_usable(struct matcher *m, const struct index_def *index, const struct condition_list *filters)
{
    struct txn_session *session = session_txn(m->planner->session);

    if (!holds_enough(m, index, filters))
        return false;
    return index->valid_from == 0 || !txn_in_progress(session) || txn_read_ts(session) == 0
        || index->valid_from <= txn_read_ts(session);
}

int plan__scan_paths(struct op *op, struct planner *planner, struct join_problem *problem, struct join_item *item,
                     const struct condition_list *joining, Relations outer, struct path_list *paths, struct cell_list *cells)
{
    const struct table_def *table = problem->query->ranges[item->range].table;
    struct condition_list conditions = item->filters;
    double rows, pages;

    paths->count = 0;
    if (plan__table_size(op, planner, table, &rows, &pages))
        return OP_FAILED;
    struct matcher m = { op, planner, problem, item->range, table, outer, cells, false, NULL };
    if (bind_expressions(&m))
        return OP_FAILED;
    if (!outer && add_scan(&m, item, NULL, 1, false, rows, pages, paths))
        return OP_FAILED;
    if (joining) {
        conditions = (struct condition_list){ 0 };
        for (int i = 0; i < joining->count; i++)
            if (plan__add_condition(op, planner->arena, &conditions, joining->items[i]))
                return OP_FAILED;
        for (int i = 0; i < item->filters.count; i++)
            if (plan__add_condition(op, planner->arena, &conditions, item->filters.items[i]))
                return OP_FAILED;
    }
    for (int i = 0; i < table->index_count; i++) {
        struct index_match match;
        if (!index_usable(&m, &table->indexes[i], &item->filters))
            continue;
        if (match_index(&m, &table->indexes[i], &conditions, &match))
            return OP_FAILED;
        if (outer && !match.uses_outer)
            continue;
        int direction = outer ? 0 : gives_order(problem, item->range, table, &match);
        if (add_scan(&m, item, &match, direction ? direction : 1, direction != 0, rows, pages, paths))
            return OP_FAILED;
    }
    return OP_OK;
}

/* Selectivity of the item's own conditions, from the index that knows most of them. */
double plan__known_selectivity(struct op *op, struct planner *planner, struct join_problem *problem, struct join_item *item)
{
    const struct table_def *table = problem->query->ranges[item->range].table;
    struct matcher m = { op, planner, problem, item->range, table, 0, NULL, false, NULL };
    double best = -1;
    int most = 0;

    if (bind_expressions(&m))
        return -1;

    for (int i = 0; i < table->index_count; i++) {
        struct index_match match;
        if (!index_usable(&m, &table->indexes[i], &item->filters) || match_index(&m, &table->indexes[i], &item->filters, &match)
            || match.matched.count <= most)
            continue;
        double fraction = known_fraction(&m, &match);
        if (fraction < 0)
            continue;
        struct condition_list rest;
        if (filters_without(&m, &item->filters, &match.matched, &rest))
            continue;
        most = match.matched.count;
        best = fraction * plan__list_selectivity(op, planner, problem->query, &rest);
    }
    return best >= 0 ? best : plan__list_selectivity(op, planner, problem->query, &item->filters);
}
