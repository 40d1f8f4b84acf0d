/*
 * explain.c -- a plan as text, in the manner of PostgreSQL's EXPLAIN.
 *
 *      Limit  (cost=... rows=10 width=8)
 *        ->  Nested Loop  (...)
 *              Join Filter: (a.x < b.x)
 *              ->  Seq Scan on a  (...)
 *                    Filter: (y = 1)
 *
 * A node's line stands at its arrow's column; its properties six columns further to the right, where its children's arrows stand too.
 * Projections are not shown, and a hash join's right side gets a line "Hash" of its own, as there.
 */
#include <stdio.h>
#include <string.h>

#include "sql/exec_int.h"

struct explainer {
    struct op *op;
    const struct plan *plan;
    const struct execution *execution;
    bool costs, analyze, timing;
    int (*line)(void *arg, struct op *op, const char *text);
    void *arg;
    bool qualify;                   /* column names with their tables */
};

static int explain_node(struct explainer *x, const struct plan_node *node, int column, const struct plan_node *projection);

/* ---- texts ---------------------------------------------------------------------------------------- */

struct naming {
    struct explainer *x;
    const struct query *scope;
};

static const char *quoted(struct explainer *x, const char *name)
{
    const char *at = name;

    if ((*at >= 'a' && *at <= 'z') || *at == '_')
        while ((*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') || *at == '_')
            at++;
    return *at == '\0' ? name : arena_printf(&x->op->arena, "\"%s\"", name);
}

static const char *column_text(struct explainer *x, const struct query *scope, const struct expr *column)
{
    if (column->range >= scope->range_count) {      /* of a UNION: its left branch names the column */
        const struct query *left = scope;
        while (left->set != SET_NONE)
            left = left->left;
        for (int i = 0, visible = 0; i < left->target_count; i++)
            if (!left->targets[i].hidden && visible++ == column->column)
                return quoted(x, left->targets[i].name);
        return NULL;
    }
    const struct range_entry *range = &scope->ranges[column->range];
    const char *name = quoted(x, range->column_names[column->column]);
    return x->qualify ? arena_printf(&x->op->arena, "%s.%s", quoted(x, range->alias), name) : name;
}

static const char *subplan_text(struct explainer *x, const struct expr *expr)
{
    for (const struct subplan *subplan = x->plan->subplans; subplan; subplan = subplan->next) {
        if (subplan->source != expr && (const struct query *)&subplan->stub != expr->subquery)
            continue;
        if (subplan->use == SUBPLAN_ONCE)
            return arena_printf(&x->op->arena, "$%d", subplan->number - 1);
        return arena_printf(&x->op->arena, "(%sSubPlan %d)", subplan->use == SUBPLAN_HASHED ? "hashed " : "", subplan->number);
    }
    return "(SubPlan)";
}

static const char *name_of(void *arg, const struct expr *expr)
{
    struct naming *naming = arg;
    struct explainer *x = naming->x;

    switch (expr->kind) {
    case EXPR_COLUMN:
        return column_text(x, naming->scope, expr);
    case EXPR_SUBQUERY:
        return subplan_text(x, expr);
    case EXPR_OUTER:
        for (const struct cell_name *name = x->plan->cell_names; name; name = name->next)
            if (name->cell == expr->slot) {
                bool qualify = x->qualify;
                x->qualify = true;
                const char *text = column_text(x, name->scope, name->column);
                x->qualify = qualify;
                return text;
            }
        return NULL;
    default:
        return NULL;
    }
}

static const char *text_of(struct explainer *x, const struct query *scope, const struct expr *expr)
{
    struct naming naming = { x, scope };

    return expr_print(x->op, &x->op->arena, expr, name_of, &naming);
}

static int put(struct explainer *x, int column, const char *text)
{
    if (!text)
        return op_out_of_memory(x->op);
    text = arena_printf(&x->op->arena, "%*s%s", column, "", text);
    return text ? x->line(x->arg, x->op, text) : op_out_of_memory(x->op);
}

static int put_property(struct explainer *x, const struct plan_node *node, int column, const char *label, const struct expr *expr)
{
    if (!expr)
        return OP_OK;
    const char *text = text_of(x, node->scope, expr);
    return text ? put(x, column, arena_printf(&x->op->arena, "%s: %s", label, text)) : op_out_of_memory(x->op);
}

/* "a, (count(*)) DESC": what is computed below stands in parentheses. */
static const char *list_text(struct explainer *x, const struct plan_node *node, int count, struct expr *const *exprs, bool computed_below,
                             const struct sort_column *order)
{
    const char *list = "";

    for (int i = 0; i < count && list; i++) {
        const char *text = text_of(x, node->scope, exprs[i]), *tail = "";
        bool bare = !computed_below || plan__bare(exprs[i])->kind == EXPR_COLUMN;
        if (!text)
            return NULL;
        if (order && order[i].descending)
            tail = order[i].nulls_first ? " DESC" : " DESC NULLS LAST";
        else if (order && order[i].nulls_first)
            tail = " NULLS FIRST";
        list = arena_printf(&x->op->arena, "%s%s%s%s%s%s", list, i ? ", " : "", bare ? "" : "(", text, bare ? "" : ")", tail);
    }
    return list;
}

/* ---- a node's line -------------------------------------------------------------------------------- */

static const char *scan_name(struct explainer *x, const struct plan_node *node)
{
    const char *table = quoted(x, node->scan.table->name);
    const char *alias = strcmp(node->scan.alias, node->scan.table->name) == 0
        ? "" : arena_printf(&x->op->arena, " %s", quoted(x, node->scan.alias));

    if (!node->scan.index)
        return arena_printf(&x->op->arena, "Seq Scan on %s%s", table, alias);
    return arena_printf(&x->op->arena, "Index %sScan %susing %s on %s%s", node->scan.index_only ? "Only " : "",
                        node->scan.backward ? "Backward " : "", quoted(x, node->scan.index->name), table, alias);
}

static const char *series_name(struct explainer *x, const struct plan_node *node)
{
    const char *name = node->series.func->name;

    return strcmp(name, node->series.alias) == 0
        ? arena_printf(&x->op->arena, "Function Scan on %s", name)
        : arena_printf(&x->op->arena, "Function Scan on %s %s", name, quoted(x, node->series.alias));
}

static const char *set_name(enum set_kind kind)
{
    switch (kind) {
    case SET_INTERSECT: return "HashSetOp Intersect";
    case SET_INTERSECT_ALL: return "HashSetOp Intersect All";
    case SET_EXCEPT: return "HashSetOp Except";
    default: return "HashSetOp Except All";
    }
}

static const char *node_name(struct explainer *x, const struct plan_node *node)
{
    static const char *const loops[] = { "Nested Loop", "Nested Loop Left Join", "Nested Loop Semi Join", "Nested Loop Anti Join" };
    static const char *const hashes[] = { "Hash Join", "Hash Left Join", "Hash Semi Join", "Hash Anti Join" };

    switch (node->kind) {
    case PLAN_RESULT: case PLAN_GATE: return "Result";
    case PLAN_VALUES: return arena_printf(&x->op->arena, "Values Scan on %s", quoted(x, node->values.alias));
    case PLAN_SERIES: return series_name(x, node);
    case PLAN_SCAN: return scan_name(x, node);
    case PLAN_SUBQUERY_SCAN: return arena_printf(&x->op->arena, "Subquery Scan on %s", quoted(x, node->subquery.alias));
    case PLAN_NEST_LOOP: return loops[node->join.join];
    case PLAN_HASH_JOIN: return hashes[node->join.join];
    case PLAN_MATERIALIZE: return "Materialize";
    case PLAN_AGGREGATE: return node->aggregate.group_count ? "HashAggregate" : "Aggregate";
    case PLAN_PROJECT: return "Result";
    case PLAN_PROJECT_SET: return "ProjectSet";
    case PLAN_SORT: return "Sort";
    case PLAN_LIMIT: return "Limit";
    case PLAN_LOCK_ROWS: return "LockRows";
    case PLAN_APPEND: return "Append";
    case PLAN_SET: return set_name(node->set.kind);
    }
    return NULL;
}

static const char *actual_text(struct explainer *x, const struct plan_node *node)
{
    const struct operator *o = x->execution && node->id < x->execution->operator_count ? x->execution->operators[node->id] : NULL;

    if (!x->analyze)
        return "";
    if (!o || o->loops == 0)
        return " (never executed)";
    double loops = (double)o->loops, rows = (double)o->rows / loops;
    if (!x->timing)
        return arena_printf(&x->op->arena, " (actual rows=%.0f loops=%.0f)", rows, loops);
    return arena_printf(&x->op->arena, " (actual time=%.3f..%.3f rows=%.0f loops=%.0f)", (double)o->first_ns / 1e6 / loops,
                        (double)o->total_ns / 1e6 / loops, rows, loops);
}

static int put_line(struct explainer *x, const char *name, const struct plan_node *node, double startup, int column)
{
    const char *cost = "", *actual = actual_text(x, node);

    if (x->costs)
        cost = arena_printf(&x->op->arena, "  (cost=%.2f..%.2f rows=%.0f width=%d)", startup, node->total_cost, node->rows, node->width);
    if (!name || !cost || !actual)
        return op_out_of_memory(x->op);
    return put(x, column, arena_printf(&x->op->arena, "%s%s%s%s", column ? "->  " : "", name, cost, actual));
}

/* ---- a node's properties -------------------------------------------------------------------------- */

static int put_removed(struct explainer *x, const struct plan_node *node, int column)
{
    const struct operator *o = x->execution && node->id < x->execution->operator_count ? x->execution->operators[node->id] : NULL;

    if (!x->analyze || !o || !o->removed || !o->loops)
        return OP_OK;
    return put(x, column, arena_printf(&x->op->arena, "Rows Removed by Filter: %.0f", (double)o->removed / (double)o->loops));
}

static int put_properties(struct explainer *x, const struct plan_node *node, int column)
{
    const char *list;
    int failed = OP_OK;

    switch (node->kind) {
    case PLAN_SCAN:
        failed = put_property(x, node, column, "Index Cond", node->scan.cond_text);
        break;
    case PLAN_HASH_JOIN:
        failed = put_property(x, node, column, "Hash Cond", node->join.keys_text);
        break;
    case PLAN_AGGREGATE:
        if (node->aggregate.group_count) {
            list = list_text(x, node, node->aggregate.group_count, node->layout, node->aggregate.is_distinct, NULL);
            failed = put(x, column, list ? arena_printf(&x->op->arena, "Group Key: %s", list) : NULL);
        }
        break;
    case PLAN_SORT:
        list = list_text(x, node, node->sort.count, node->sort.texts, true, node->sort.columns);
        failed = put(x, column, list ? arena_printf(&x->op->arena, "Sort Key: %s", list) : NULL);
        break;
    default:
        break;
    }
    if (!failed && (node->kind == PLAN_HASH_JOIN || node->kind == PLAN_NEST_LOOP))
        failed = put_property(x, node, column, "Join Filter", node->join.on_text);
    bool one_time = node->kind == PLAN_GATE || node->kind == PLAN_RESULT;
    if (!failed)
        failed = put_property(x, node, column, one_time ? "One-Time Filter" : "Filter", node->filter_text);
    return failed || !node->filter ? failed : put_removed(x, node, column);
}

/* Sub-selects used by this node, or by the projection on top of it. */
static int put_subplans(struct explainer *x, const struct plan_node *node, const struct plan_node *projection, int column, bool init)
{
    for (int number = 1; number <= x->plan->shown_subplans; number++) {
        for (const struct subplan *subplan = x->plan->subplans; subplan; subplan = subplan->next) {
            if (subplan->number != number || (subplan->owner != node && (!projection || subplan->owner != projection))
                || (subplan->use == SUBPLAN_ONCE) != init)
                continue;
            const char *label = init ? arena_printf(&x->op->arena, "InitPlan %d (returns $%d)", number, number - 1)
                                     : arena_printf(&x->op->arena, "SubPlan %d", number);
            if (put(x, column, label) || explain_node(x, subplan->root, column + 2, NULL))
                return OP_FAILED;
        }
    }
    return OP_OK;
}

static int explain_children(struct explainer *x, const struct plan_node *node, int column)
{
    /* The counting below INTERSECT and EXCEPT is part of them. */
    const struct plan_node *child = node->kind == PLAN_SET ? node->left->left : node->left;
    if (child && explain_node(x, child, column, NULL))
        return OP_FAILED;
    if (node->kind == PLAN_HASH_JOIN) {
        if (put_line(x, "Hash", node->right, node->right->total_cost, column))
            return OP_FAILED;
        return explain_node(x, node->right, column + 6, NULL);
    }
    if (node->right && explain_node(x, node->right, column, NULL))
        return OP_FAILED;
    for (int i = 0; node->kind == PLAN_APPEND && i < node->append.count; i++)
        if (explain_node(x, node->append.children[i], column, NULL))
            return OP_FAILED;
    return OP_OK;
}

static int explain_node(struct explainer *x, const struct plan_node *node, int column, const struct plan_node *projection)
{
    if (node->kind == PLAN_PROJECT)
        return explain_node(x, node->left, column, node);
    int inner = column ? column + 6 : 2;
    if (put_line(x, node_name(x, node), node, node->startup_cost, column) || put_properties(x, node, inner)
        || put_subplans(x, node, projection, inner, true) || explain_children(x, node, inner))
        return OP_FAILED;
    return put_subplans(x, node, projection, inner, false);
}

/* ---- the entry ------------------------------------------------------------------------------------ */

static int count_ranges(const struct plan_node *node)
{
    if (!node)
        return 0;
    int count = node->kind == PLAN_SCAN || node->kind == PLAN_VALUES || node->kind == PLAN_SERIES || node->kind == PLAN_SUBQUERY_SCAN;
    for (int i = 0; node->kind == PLAN_APPEND && i < node->append.count; i++)
        count += count_ranges(node->append.children[i]);
    return count + count_ranges(node->left) + count_ranges(node->right);
}

int plan_explain(struct op *op, const struct plan *plan, const struct execution *execution, bool costs, bool analyze, bool timing,
                 int (*line)(void *arg, struct op *op, const char *text), void *arg)
{
    struct explainer x = { op, plan, execution, costs, analyze, timing, line, arg, false };

    x.qualify = count_ranges(plan->root) > 1 || plan->subplans;
    return explain_node(&x, plan->root, 0, NULL);
}
