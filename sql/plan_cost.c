/*
 * plan_cost.c -- how many rows, and at what price.
 *
 * There are no collected statistics yet: sizes come from the trees themselves (records and pages, and the share of a tree that a range of
 * known keys covers), everything else from the usual default guesses [SELINGER79].  Costs are in PostgreSQL's unit, one page read in
 * sequence; a look-up by key costs less than there, for trees are mostly in the cache.
 */
#include <math.h>
#include <string.h>

#include "sql/plan_int.h"
#include "sql/virtual.h"

enum { DEFAULT_DISTINCT = 200 };
static const double default_equal = 0.005, default_range = 1.0 / 3, default_like = 0.01, default_null = 0.005, default_bool = 0.5;

int plan__table_size(struct op *op, struct planner *planner, const struct table_def *table, double *rows, double *pages)
{
    struct store *store = txn_manager_store(txn_session_manager(session_txn(planner->session)));
    struct btree *tree;
    uint64_t records, leaf_pages;

    if (table->rows) {
        *rows = table->rows->expected;
        *pages = 1;
        return OP_OK;
    }
    if (btree_open(op, store, table->tree, &tree))
        return OP_FAILED;
    if (btree_estimate(op, tree, &records, &leaf_pages)) {
        if (strcmp(op->error.sqlstate, "XX001") != 0)
            return OP_FAILED;
        op_clear_error(op);     /* the statement may well do without the page that is damaged */
        records = leaf_pages = 0;
    }
    *rows = (double)records;
    *pages = leaf_pages ? (double)leaf_pages : 1;
    if (records == 0) {     /* most likely it has not been filled yet, and the plan is kept */
        *rows = 1000;
        *pages = 10;
    }
    return OP_OK;
}

int plan__width(const struct sql_type *types, int count)
{
    int width = 0;

    for (int i = 0; i < count; i++) {
        const struct type_info *info = type_info(types[i].oid);
        width += info && info->length > 0 ? info->length : 32;
    }
    return width;
}

/* ---- selectivity ---------------------------------------------------------------------------------- */

static bool is_unique_column(const struct table_def *table, int column)
{
    for (int i = 0; i < table->index_count; i++) {
        const struct index_def *index = &table->indexes[i];
        if (index->unique && index->predicate < 0 && index->column_count == 1 && index->columns[0].column == column)
            return true;
    }
    return false;
}

static double distinct_values(struct op *op, struct planner *planner, const struct query *query, const struct expr *expr)
{
    double rows, pages;

    expr = plan__bare(expr);
    if (expr->kind != EXPR_COLUMN || expr->level != 0 || expr->range >= query->range_count)
        return DEFAULT_DISTINCT;
    const struct range_entry *range = &query->ranges[expr->range];
    if (expr->type.oid == TYPE_BOOL)
        return 2;
    if (range->kind == RANGE_VALUES)
        return range->row_count;
    if (range->kind != RANGE_TABLE)
        return DEFAULT_DISTINCT;
    if (plan__table_size(op, planner, range->table, &rows, &pages)) {
        op_clear_error(op);
        return DEFAULT_DISTINCT;
    }
    if (is_unique_column(range->table, expr->column))
        return rows;
    return rows < DEFAULT_DISTINCT ? (rows < 1 ? 1 : rows) : DEFAULT_DISTINCT;
}

static double equal_selectivity(struct op *op, struct planner *planner, const struct query *query, const struct expr *expr)
{
    double a = 0, b = 0;

    if (plan__bare(expr->args[0])->kind == EXPR_COLUMN)
        a = distinct_values(op, planner, query, expr->args[0]);
    if (plan__bare(expr->args[1])->kind == EXPR_COLUMN)
        b = distinct_values(op, planner, query, expr->args[1]);
    double most = a > b ? a : b;
    return most >= 1 ? 1 / most : default_equal;
}

double plan__selectivity(struct op *op, struct planner *planner, const struct query *query, const struct expr *expr)
{
    double selectivity = 1;
    int which;

    switch (expr->kind) {
    case EXPR_CONST:
        return !expr->value.null && expr->value.b;
    case EXPR_AND:
        for (int i = 0; i < expr->arg_count; i++)
            selectivity *= plan__selectivity(op, planner, query, expr->args[i]);
        return selectivity;
    case EXPR_OR:
        for (int i = 0; i < expr->arg_count; i++)
            selectivity *= 1 - plan__selectivity(op, planner, query, expr->args[i]);
        return 1 - selectivity;
    case EXPR_NOT:
        return 1 - plan__selectivity(op, planner, query, expr->args[0]);
    case EXPR_IS_NULL:
    case EXPR_IS_UNKNOWN:
        return default_null;
    case EXPR_IS_NOT_NULL:
    case EXPR_IS_NOT_UNKNOWN:
        return 1 - default_null;
    case EXPR_IN:
        selectivity = (expr->arg_count - 1) / distinct_values(op, planner, query, expr->args[0]);
        selectivity = selectivity > 1 ? 1 : selectivity;
        return expr->negated ? 1 - selectivity : selectivity;
    case EXPR_FUNC:
        if (plan__comparison(expr, &which))
            return which == 0 ? equal_selectivity(op, planner, query, expr) : default_range;
        if (expr->arg_count == 2 && expr->func->name[0] == '<' && expr->func->name[1] == '>')
            return 1 - equal_selectivity(op, planner, query, expr);
        return expr->func->name[0] == '~' ? default_like : default_range;
    default:
        return default_bool;
    }
}

double plan__list_selectivity(struct op *op, struct planner *planner, const struct query *query, const struct condition_list *list)
{
    double selectivity = 1;

    for (int i = 0; i < list->count; i++) {
        struct condition *condition = list->items[i];
        if (condition->selectivity < 0)
            condition->selectivity = plan__selectivity(op, planner, query, condition->expr);
        if (!condition->implied)
            selectivity *= condition->selectivity;
    }
    return selectivity;
}

double plan__group_count(struct op *op, struct planner *planner, const struct query *query, struct expr *const *groups, int count,
                         double rows)
{
    double product = 1;

    for (int i = 0; i < count; i++)
        product *= distinct_values(op, planner, query, groups[i]);
    if (product > rows)
        product = rows;
    return product < 1 ? 1 : product;
}

/* ---- cost ----------------------------------------------------------------------------------------- */

double plan__expr_cost(const struct expr *expr)
{
    if (!expr)
        return 0;
    double cost = 0;
    switch (expr->kind) {
    case EXPR_CONST: case EXPR_COLUMN: case EXPR_SLOT: case EXPR_PARAM: case EXPR_OUTER: case EXPR_RELABEL:
        break;
    case EXPR_SUBQUERY:
        cost = 1;
        break;
    default:
        cost = PLAN_OPERATOR_COST;
    }
    for (int i = 0; i < expr->arg_count; i++)
        cost += plan__expr_cost(expr->args[i]);
    return cost;
}

double plan__sort_cost(const struct planner *planner, double rows, int width)
{
    double n = rows < 2 ? 2 : rows;
    double cost = 2 * PLAN_OPERATOR_COST * n * log2(n);
    double bytes = rows * (width + 48);

    if (bytes > (double)planner->options->work_mem)
        cost += 2 * PLAN_PAGE_COST * bytes / 8192;
    return planner->options->enable_sort ? cost : cost + PLAN_DISABLED_COST;
}

double plan__aggregate_cost(const struct planner *planner, double rows, double groups, int width)
{
    double cost = rows * 2 * PLAN_OPERATOR_COST + groups * PLAN_ROW_COST;
    double bytes = groups * (width + 64);

    if (bytes > (double)planner->options->work_mem)
        cost += 2 * PLAN_PAGE_COST * rows * width / 8192;
    return planner->options->enable_hashagg ? cost : cost + PLAN_DISABLED_COST;
}

double plan__cost_for(const struct plan_node *node, double goal)
{
    if (goal <= 0 || goal >= node->rows)
        return node->total_cost;
    return node->startup_cost + (node->total_cost - node->startup_cost) * goal / node->rows;
}

bool plan__path_wins(const struct path_list *list, double startup, double total, bool ordered)
{
    for (int i = 0; i < list->count; i++) {
        const struct path *path = &list->paths[i];
        if (path->node->startup_cost <= startup && path->node->total_cost <= total && path->ordered >= ordered)
            return false;
    }
    return true;
}

void plan__add_path(struct path_list *list, struct plan_node *node, bool ordered)
{
    int kept = 0, worst = 0;

    if (!plan__path_wins(list, node->startup_cost, node->total_cost, ordered))
        return;
    for (int i = 0; i < list->count; i++) {
        const struct path *path = &list->paths[i];
        if (!(node->startup_cost <= path->node->startup_cost && node->total_cost <= path->node->total_cost && ordered >= path->ordered))
            list->paths[kept++] = *path;
    }
    list->count = kept;
    if (kept < PATHS_MAX) {
        list->paths[list->count++] = (struct path){ node, ordered };
        return;
    }
    for (int i = 1; i < kept; i++)
        if (list->paths[i].node->total_cost > list->paths[worst].node->total_cost)
            worst = i;
    if (list->paths[worst].node->total_cost > node->total_cost)
        list->paths[worst] = (struct path){ node, ordered };
}
