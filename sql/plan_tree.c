/*
 * plan_tree.c -- bound expressions and queries as trees: copying, rewriting, and asking what they mention.
 *
 * Levels.  In a sub-select (also one in FROM, or a branch of a UNION) a column of the query around it has level 1, of the one around that level 2.  All functions here that
 * enter sub-selects carry the depth at which they are: a column belongs to the query where the walk began when level = depth.
 */
#include <string.h>

#include "sql/plan_int.h"

/* ---- making --------------------------------------------------------------------------------------- */

struct expr *plan__node(struct op *op, struct arena *arena, enum expr_kind kind, struct sql_type type, int arg_count)
{
    struct expr *expr = op_arena_alloc(op, arena, sizeof *expr);

    if (!expr)
        return NULL;
    expr->kind = kind;
    expr->type = type;
    expr->arg_count = arg_count;
    if (arg_count && !(expr->args = op_arena_alloc(op, arena, arg_count * sizeof *expr->args)))
        return NULL;
    return expr;
}

struct expr *plan__and(struct op *op, struct arena *arena, struct expr *a, struct expr *b)
{
    if (!a || !b)
        return a ? a : b;
    struct expr *expr = plan__node(op, arena, EXPR_AND, (struct sql_type){ TYPE_BOOL, -1 }, 2);
    if (expr) {
        expr->args[0] = a;
        expr->args[1] = b;
    }
    return expr;
}

struct expr *plan__column(struct op *op, struct arena *arena, const struct query *query, int range, int column)
{
    struct expr *expr = plan__node(op, arena, EXPR_COLUMN, query->ranges[range].column_types[column], 0);

    if (expr) {
        expr->range = range;
        expr->column = column;
    }
    return expr;
}

int plan__add_condition(struct op *op, struct arena *arena, struct condition_list *list, struct condition *condition)
{
    if (list->count == list->capacity) {
        int capacity = list->capacity ? 2 * list->capacity : 8;
        struct condition **items = op_arena_alloc(op, arena, capacity * sizeof *items);
        if (!items)
            return OP_FAILED;
        if (list->count)
            memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = condition;
    return OP_OK;
}

int plan__split_and(struct op *op, struct arena *arena, struct expr *expr, struct condition_list *list)
{
    if (!expr)
        return OP_OK;
    if (expr->kind == EXPR_AND) {
        for (int i = 0; i < expr->arg_count; i++)
            if (plan__split_and(op, arena, expr->args[i], list))
                return OP_FAILED;
        return OP_OK;
    }
    struct condition *condition = op_arena_alloc(op, arena, sizeof *condition);
    if (!condition)
        return OP_FAILED;
    condition->expr = expr;
    condition->relations = condition->required = plan__relations(expr);
    condition->selectivity = -1;
    return plan__add_condition(op, arena, list, condition);
}

struct expr *plan__join_conditions(struct op *op, struct arena *arena, const struct condition_list *list)
{
    if (list->count <= 1)
        return list->count ? list->items[0]->expr : NULL;
    struct expr *expr = plan__node(op, arena, EXPR_AND, (struct sql_type){ TYPE_BOOL, -1 }, list->count);
    for (int i = 0; expr && i < list->count; i++)
        expr->args[i] = list->items[i]->expr;
    return expr;
}

/* ---- copying -------------------------------------------------------------------------------------- */

static struct expr *copy_expr(struct op *op, struct arena *arena, const struct expr *expr);

static struct expr **copy_exprs(struct op *op, struct arena *arena, struct expr *const *exprs, int count)
{
    struct expr **copies = op_arena_alloc(op, arena, (count + 1) * sizeof *copies);

    for (int i = 0; copies && i < count; i++)
        if (exprs[i] && !(copies[i] = copy_expr(op, arena, exprs[i])))
            return NULL;
    return copies;
}

static struct expr *copy_expr(struct op *op, struct arena *arena, const struct expr *expr)
{
    struct expr *copy = op_arena_alloc(op, arena, sizeof *copy);

    if (!copy)
        return NULL;
    *copy = *expr;
    if (expr->arg_count && !(copy->args = copy_exprs(op, arena, expr->args, expr->arg_count)))
        return NULL;
    if (expr->kind == EXPR_SUBQUERY && !(copy->subquery = plan__copy_query(op, arena, expr->subquery)))
        return NULL;
    if (expr->kind != EXPR_AGGREGATE)
        return copy;
    if (expr->filter && !(copy->filter = copy_expr(op, arena, expr->filter)))
        return NULL;
    if (!(copy->order = op_arena_alloc(op, arena, (expr->order_count + 1) * sizeof *copy->order)))
        return NULL;
    for (int i = 0; i < expr->order_count; i++) {
        copy->order[i] = expr->order[i];
        if (!(copy->order[i].expr = copy_expr(op, arena, expr->order[i].expr)))
            return NULL;
    }
    return copy;
}

struct expr *plan__copy(struct op *op, struct planner *planner, const struct expr *expr)
{
    return copy_expr(op, planner->arena, expr);
}

static struct from_node *copy_from(struct op *op, struct arena *arena, const struct from_node *from)
{
    struct from_node *copy = op_arena_alloc(op, arena, sizeof *copy);

    if (!copy)
        return NULL;
    *copy = *from;
    if (!from->is_join)
        return copy;
    copy->left = copy_from(op, arena, from->left);
    copy->right = copy_from(op, arena, from->right);
    if (!copy->left || !copy->right || (from->on && !(copy->on = copy_expr(op, arena, from->on))))
        return NULL;
    return copy;
}

static int copy_ranges(struct op *op, struct arena *arena, struct query *copy)
{
    const struct range_entry *from = copy->ranges;

    copy->ranges = op_arena_alloc(op, arena, (copy->range_count + 1) * sizeof *copy->ranges);
    if (!copy->ranges)
        return OP_FAILED;
    for (int i = 0; i < copy->range_count; i++) {
        struct range_entry *range = &copy->ranges[i];
        *range = from[i];
        if (range->subquery && !(range->subquery = plan__copy_query(op, arena, range->subquery)))
            return OP_FAILED;
        if (range->function && !(range->function = copy_expr(op, arena, range->function)))
            return OP_FAILED;
        if (range->values && !(range->values = copy_exprs(op, arena, range->values, range->row_count * range->column_count)))
            return OP_FAILED;
    }
    return OP_OK;
}

static int copy_optional(struct op *op, struct arena *arena, struct expr **expr)
{
    if (!*expr)
        return OP_OK;
    *expr = copy_expr(op, arena, *expr);
    return *expr ? OP_OK : OP_FAILED;
}

static int copy_targets(struct op *op, struct arena *arena, struct query *copy)
{
    const struct target *targets = copy->targets;
    const struct sort_key *order = copy->order;

    copy->targets = op_arena_alloc(op, arena, (copy->target_count + 1) * sizeof *copy->targets);
    copy->order = op_arena_alloc(op, arena, (copy->order_count + 1) * sizeof *copy->order);
    if (!copy->targets || !copy->order)
        return OP_FAILED;
    for (int i = 0; i < copy->target_count; i++) {
        copy->targets[i] = targets[i];
        if (!(copy->targets[i].expr = copy_expr(op, arena, targets[i].expr)))
            return OP_FAILED;
    }
    for (int i = 0; i < copy->order_count; i++) {
        copy->order[i] = order[i];
        copy->order[i].expr = copy->targets[order[i].target].expr;
    }
    return OP_OK;
}

struct query *plan__copy_query(struct op *op, struct arena *arena, const struct query *query)
{
    struct query *copy = op_arena_alloc(op, arena, sizeof *copy);

    if (!copy)
        return NULL;
    *copy = *query;
    if (copy_ranges(op, arena, copy) || copy_targets(op, arena, copy) || copy_optional(op, arena, &copy->where)
        || copy_optional(op, arena, &copy->having) || copy_optional(op, arena, &copy->limit) || copy_optional(op, arena, &copy->offset))
        return NULL;
    if (query->from && !(copy->from = copy_from(op, arena, query->from)))
        return NULL;
    if (query->groups && !(copy->groups = copy_exprs(op, arena, query->groups, query->group_count)))
        return NULL;
    if (query->left && !(copy->left = plan__copy_query(op, arena, query->left)))
        return NULL;
    if (query->right && !(copy->right = plan__copy_query(op, arena, query->right)))
        return NULL;
    if (query->source && !(copy->source = plan__copy_query(op, arena, query->source)))
        return NULL;
    return copy;
}

/* ---- rewriting in place --------------------------------------------------------------------------- */

int plan__map_expr(struct op *op, struct arena *arena, struct expr **expr, int depth, plan__map map, void *arg)
{
    if (!*expr)
        return OP_OK;
    struct expr *mapped = map(arg, op, *expr, depth);
    if (op_failed(op))
        return OP_FAILED;
    if (mapped) {
        *expr = mapped;
        return OP_OK;
    }
    for (int i = 0; i < (*expr)->arg_count; i++)
        if (plan__map_expr(op, arena, &(*expr)->args[i], depth, map, arg))
            return OP_FAILED;
    if ((*expr)->kind == EXPR_AGGREGATE) {
        if (plan__map_expr(op, arena, &(*expr)->filter, depth, map, arg))
            return OP_FAILED;
        for (int i = 0; i < (*expr)->order_count; i++)
            if (plan__map_expr(op, arena, &(*expr)->order[i].expr, depth, map, arg))
                return OP_FAILED;
    }
    if ((*expr)->kind == EXPR_SUBQUERY)
        return plan__map_query(op, arena, (*expr)->subquery, depth + 1, map, arg);
    return OP_OK;
}

static int map_from(struct op *op, struct arena *arena, struct from_node *from, int depth, plan__map map, void *arg)
{
    if (!from || !from->is_join)
        return OP_OK;
    if (map_from(op, arena, from->left, depth, map, arg) || map_from(op, arena, from->right, depth, map, arg))
        return OP_FAILED;
    return plan__map_expr(op, arena, &from->on, depth, map, arg);
}

/* depth: that of the query's own expressions. */
int plan__map_query(struct op *op, struct arena *arena, struct query *query, int depth, plan__map map, void *arg)
{
    for (int i = 0; i < query->range_count; i++) {
        struct range_entry *range = &query->ranges[i];
        if (range->subquery && plan__map_query(op, arena, range->subquery, depth + 1, map, arg))
            return OP_FAILED;
        if (plan__map_expr(op, arena, &range->function, depth, map, arg))
            return OP_FAILED;
        for (int j = 0; range->values && j < range->row_count * range->column_count; j++)
            if (plan__map_expr(op, arena, &range->values[j], depth, map, arg))
                return OP_FAILED;
    }
    if (map_from(op, arena, query->from, depth, map, arg) || plan__map_expr(op, arena, &query->where, depth, map, arg)
        || plan__map_expr(op, arena, &query->having, depth, map, arg) || plan__map_expr(op, arena, &query->limit, depth, map, arg)
        || plan__map_expr(op, arena, &query->offset, depth, map, arg))
        return OP_FAILED;
    for (int i = 0; i < query->target_count; i++)
        if (plan__map_expr(op, arena, &query->targets[i].expr, depth, map, arg))
            return OP_FAILED;
    for (int i = 0; i < query->order_count; i++)
        query->order[i].expr = query->targets[query->order[i].target].expr;
    for (int i = 0; i < query->group_count; i++)
        if (plan__map_expr(op, arena, &query->groups[i], depth, map, arg))
            return OP_FAILED;
    if (query->left && plan__map_query(op, arena, query->left, depth + 1, map, arg))
        return OP_FAILED;
    return query->right ? plan__map_query(op, arena, query->right, depth + 1, map, arg) : OP_OK;
}

/* ---- asking --------------------------------------------------------------------------------------- */

/* Visits every expression node, entering sub-selects; false stops. */
typedef bool (*visit_node)(void *arg, const struct expr *expr, int depth);

static bool walk_query(const struct query *query, int depth, visit_node visit, void *arg);

static bool walk(const struct expr *expr, int depth, visit_node visit, void *arg)
{
    if (!expr)
        return true;
    if (!visit(arg, expr, depth))
        return false;
    for (int i = 0; i < expr->arg_count; i++)
        if (!walk(expr->args[i], depth, visit, arg))
            return false;
    if (expr->kind == EXPR_AGGREGATE) {
        if (!walk(expr->filter, depth, visit, arg))
            return false;
        for (int i = 0; i < expr->order_count; i++)
            if (!walk(expr->order[i].expr, depth, visit, arg))
                return false;
    }
    return expr->kind != EXPR_SUBQUERY || walk_query(expr->subquery, depth + 1, visit, arg);
}

static bool walk_from(const struct from_node *from, int depth, visit_node visit, void *arg)
{
    return !from || !from->is_join
        || (walk_from(from->left, depth, visit, arg) && walk_from(from->right, depth, visit, arg) && walk(from->on, depth, visit, arg));
}

static bool walk_query(const struct query *query, int depth, visit_node visit, void *arg)
{
    for (int i = 0; i < query->range_count; i++) {
        const struct range_entry *range = &query->ranges[i];
        if (range->subquery && !walk_query(range->subquery, depth + 1, visit, arg))
            return false;
        if (!walk(range->function, depth, visit, arg))
            return false;
        for (int j = 0; range->values && j < range->row_count * range->column_count; j++)
            if (!walk(range->values[j], depth, visit, arg))
                return false;
    }
    if (!walk_from(query->from, depth, visit, arg) || !walk(query->where, depth, visit, arg)
        || !walk(query->having, depth, visit, arg) || !walk(query->limit, depth, visit, arg)
        || !walk(query->offset, depth, visit, arg))
        return false;
    for (int i = 0; i < query->target_count; i++)
        if (!walk(query->targets[i].expr, depth, visit, arg))
            return false;
    for (int i = 0; i < query->group_count; i++)
        if (!walk(query->groups[i], depth, visit, arg))
            return false;
    return (!query->left || walk_query(query->left, depth + 1, visit, arg))
        && (!query->right || walk_query(query->right, depth + 1, visit, arg));
}

struct column_visit {
    int base;
    void (*visit)(void *arg, const struct expr *column);
    void *arg;
};

static bool visit_column(void *arg, const struct expr *expr, int depth)
{
    struct column_visit *v = arg;

    if (expr->kind == EXPR_COLUMN && expr->level == depth)
        v->visit(v->arg, expr);
    return true;
}

void plan__columns(const struct expr *expr, int depth, void (*visit)(void *arg, const struct expr *column), void *arg)
{
    struct column_visit v = { depth, visit, arg };

    walk(expr, depth, visit_column, &v);
}

void plan__query_columns(const struct query *query, int depth, void (*visit)(void *arg, const struct expr *column), void *arg)
{
    struct column_visit v = { depth, visit, arg };

    walk_query(query, depth, visit_column, &v);
}

static void add_relation(void *arg, const struct expr *column)
{
    *(Relations *)arg |= (Relations)1 << column->range;
}

Relations plan__relations(const struct expr *expr)
{
    Relations relations = 0;

    plan__columns(expr, 0, add_relation, &relations);
    return relations;
}

static bool not_outer_column(void *arg, const struct expr *expr, int depth)
{
    return !(expr->kind == EXPR_COLUMN && expr->level > depth);
}

bool plan__mentions_outer(const struct expr *expr, int depth)
{
    return !walk(expr, depth, not_outer_column, NULL);
}

static bool not_volatile(void *arg, const struct expr *expr, int depth)
{
    return !(expr->kind == EXPR_FUNC && expr->func->volatility == FUNC_VOLATILE) && expr->kind != EXPR_SERIES;
}

bool plan__is_volatile(const struct expr *expr)
{
    return !walk(expr, 0, not_volatile, NULL);
}

static bool not_volatile_function(void *arg, const struct expr *expr, int depth)
{
    return !(expr->kind == EXPR_FUNC && expr->func->volatility == FUNC_VOLATILE);
}

bool plan__query_is_volatile(const struct query *query)
{
    return !walk_query(query, 0, not_volatile_function, NULL);
}

static bool not_cell(void *arg, const struct expr *expr, int depth)
{
    return expr->kind != EXPR_OUTER;
}

bool plan__query_depends(const struct query *query)
{
    return !walk_query(query, 0, not_cell, NULL);
}

bool plan__depends(const struct expr *expr)
{
    return !walk(expr, 0, not_cell, NULL);
}

const struct expr *plan__bare(const struct expr *expr)
{
    while (expr->kind == EXPR_RELABEL)
        expr = expr->args[0];
    return expr;
}

bool plan__comparison(const struct expr *expr, int *which)
{
    return expr->kind == EXPR_FUNC && expr->arg_count == 2 && func_comparison(expr->func, which);
}

static Oid key_class(Oid oid)
{
    switch (oid) {
    case TYPE_INT2: case TYPE_INT4: case TYPE_INT8: case TYPE_OID: return TYPE_INT8;
    case TYPE_FLOAT4: case TYPE_FLOAT8: return TYPE_FLOAT8;
    case TYPE_VARCHAR: case TYPE_TEXT: case TYPE_UNKNOWN: return TYPE_TEXT;
    default: return oid;
    }
}

bool plan__same_key_class(Oid a, Oid b)
{
    return key_class(a) == key_class(b);
}

/* ---- nulls ---------------------------------------------------------------------------------------- */

/* Whether the value is null when all columns of the relations are. */
static bool null_with(const struct expr *expr, Relations relations)
{
    switch (expr->kind) {
    case EXPR_COLUMN:
        return expr->level == 0 && relations >> expr->range & 1;
    case EXPR_RELABEL:
    case EXPR_NOT:
        return null_with(expr->args[0], relations);
    case EXPR_FUNC:
        for (int i = 0; expr->func->strict && i < expr->arg_count; i++)
            if (null_with(expr->args[i], relations))
                return true;
        return false;
    default:
        return false;
    }
}

bool plan__rejects_null(const struct expr *expr, Relations relations)
{
    switch (expr->kind) {
    case EXPR_CONST:
        return expr->value.null || !expr->value.b;
    case EXPR_AND:
        for (int i = 0; i < expr->arg_count; i++)
            if (plan__rejects_null(expr->args[i], relations))
                return true;
        return false;
    case EXPR_OR:
        for (int i = 0; i < expr->arg_count; i++)
            if (!plan__rejects_null(expr->args[i], relations))
                return false;
        return true;
    case EXPR_IS_NOT_NULL:
    case EXPR_IS_TRUE:
    case EXPR_IS_FALSE:
    case EXPR_IS_NOT_UNKNOWN:
    case EXPR_IN:
        return null_with(expr->args[0], relations);
    default:
        return null_with(expr, relations);
    }
}
