/*
 * bind_union.c -- queries whose rows come from several places: UNION, INTERSECT, EXCEPT and VALUES.
 *
 * All branches must agree in the number of columns and in types.  The types are chosen column by column, as for CASE, and the branches
 * are turned to them where they make their outputs, so that a literal in one branch is read as the type of the other.
 */
#include <string.h>

#include "sql/bind_int.h"

int bind__outputs(struct binder *b, const struct query *query, struct range_entry *range)
{
    int count = bind__visible_targets(query);

    range->column_count = count;
    range->column_names = bind__alloc(b, (size_t)(count + 1) * sizeof(*range->column_names));
    range->column_types = bind__alloc(b, (size_t)(count + 1) * sizeof(*range->column_types));
    if (!range->column_names || !range->column_types)
        return OP_FAILED;
    for (int i = 0; i < count; i++) {
        range->column_names[i] = query->targets[i].name;
        range->column_types[i] = query->targets[i].expr->type;
    }
    return OP_OK;
}

/* ---- turning outputs to types ---- */

static int coerce_expr(struct binder *b, struct expr **expr, struct sql_type type, enum cast_context context, const char *column)
{
    if (context == CAST_ASSIGNMENT)
        return bind__assign(b, *expr, type, column, false, expr);
    return bind__coerce(b, *expr, type, context, expr);
}

/* A sort by the output as it was keeps its order: the old expression stays as a hidden target. */
static int keep_order(struct binder *b, struct query *query, int column)
{
    struct scope scope = { .query = query, .target_capacity = query->target_count };

    for (int i = 0; i < query->order_count; i++) {
        if (query->order[i].target != column)
            continue;
        query->order[i].target = query->target_count;
        return bind__add_target(b, &scope, query->targets[column].expr, query->targets[column].name, true);
    }
    return OP_OK;
}

static int coerce_in_place(struct binder *b, struct query *query, const struct sql_type *types, enum cast_context context,
                           const char *const *columns)
{
    for (int i = 0; i < bind__visible_targets(query); i++) {
        struct expr *old = query->targets[i].expr;
        if (coerce_expr(b, &query->targets[i].expr, types[i], context, columns ? columns[i] : NULL))
            return OP_FAILED;
        if (query->targets[i].expr == old || query->distinct || old->type.oid == TYPE_UNKNOWN)
            continue;
        struct expr *coerced = query->targets[i].expr;
        query->targets[i].expr = old;
        if (keep_order(b, query, i))
            return OP_FAILED;
        query->targets[i].expr = coerced;
    }
    for (int i = 0; i < query->order_count; i++)
        query->order[i].expr = query->targets[query->order[i].target].expr;
    return OP_OK;
}

/* A union's outputs are those of its branches. */
static int coerce_branches(struct binder *b, struct query *query, const struct sql_type *types)
{
    if (bind__coerce_output(b, &query->left, types, CAST_IMPLICIT, NULL)
        || bind__coerce_output(b, &query->right, types, CAST_IMPLICIT, NULL))
        return OP_FAILED;
    for (int i = 0; i < query->target_count; i++) {
        struct expr *old = query->targets[i].expr;
        struct expr *expr = bind__node(b, EXPR_COLUMN, types[i], old->position, 0);
        if (!expr)
            return OP_FAILED;
        expr->column = old->column;
        query->targets[i].expr = expr;
    }
    for (int i = 0; i < query->order_count; i++)
        query->order[i].expr = query->targets[query->order[i].target].expr;
    return OP_OK;
}

/* SELECT cast(columns) FROM (query): where a cast inside would change which rows are equal.  Only for queries that have no outer one. */
static int wrap(struct binder *b, struct query **query)
{
    struct scope scope;
    struct range_entry *range;
    int index;
    struct query *outer = bind__query(b, QUERY_SELECT);

    if (!outer)
        return OP_FAILED;
    bind__push(b, &scope, outer);
    int rc = bind__add_range(b, &range, &index);
    if (!rc) {
        range->kind = RANGE_SUBQUERY;
        range->alias = "source";
        range->subquery = *query;
        outer->from = bind__alloc(b, sizeof(*outer->from));
        rc = outer->from ? bind__outputs(b, *query, range) : OP_FAILED;
    }
    for (int i = 0; !rc && i < bind__visible_targets(*query); i++) {
        struct expr *column = bind__column_ref(b, &scope, 0, i, 0, (*query)->targets[i].expr->position);
        rc = column ? bind__add_target(b, &scope, column, (*query)->targets[i].name, false) : OP_FAILED;
    }
    bind__pop(b);
    *query = outer;
    return rc;
}

int bind__coerce_output(struct binder *b, struct query **query, const struct sql_type *types, enum cast_context context,
                        const char *const *columns)
{
    bool same = true, settled = true;

    for (int i = 0; i < bind__visible_targets(*query); i++) {
        const struct expr *expr = (*query)->targets[i].expr;
        if (expr->type.oid != types[i].oid || (types[i].modifier >= 0 && expr->type.modifier != types[i].modifier)) {
            same = false;
            settled = settled && expr->type.oid != TYPE_UNKNOWN;
        }
    }
    if (same)
        return OP_OK;
    if (context == CAST_ASSIGNMENT && settled && ((*query)->distinct || (*query)->set != SET_NONE) && wrap(b, query))
        return OP_FAILED;
    if ((*query)->set != SET_NONE)
        return coerce_branches(b, *query, types);
    return coerce_in_place(b, *query, types, context, columns);
}

/* ---- UNION, INTERSECT, EXCEPT ---- */

static int common_types(struct binder *b, const char *what, const struct query *left, const struct query *right, int count, struct sql_type *types)
{
    for (int i = 0; i < count; i++) {
        struct expr *pair[2] = { left->targets[i].expr, right->targets[i].expr };
        if (bind__common_type(b, pair, 2, what, &types[i]))
            return OP_FAILED;
        for (int j = 0; j < 2; j++)
            if (!bind__can_coerce(pair[j]->type.oid, types[i].oid, CAST_IMPLICIT))
                return op_fail_at(b->op, pair[j]->position, "42846", "%s could not convert type %s to %s",
                                  what, bind__type_name(pair[j]->type.oid), bind__type_name(types[i].oid));
    }
    return OP_OK;
}

int bind__set_operation(struct binder *b, const struct ast_select *ast)
{
    static const char *const names[] = { [AST_UNION] = "UNION", [AST_INTERSECT] = "INTERSECT", [AST_EXCEPT] = "EXCEPT" };
    static const enum set_kind kinds[][2] = { [AST_UNION] = { SET_UNION, SET_UNION_ALL },
                                              [AST_INTERSECT] = { SET_INTERSECT, SET_INTERSECT_ALL },
                                              [AST_EXCEPT] = { SET_EXCEPT, SET_EXCEPT_ALL } };
    const char *what = names[ast->operation];
    struct query *query = b->scope->query, *left, *right;

    /* the branches do not see this query's names: there are none yet */
    if (bind__select(b, ast->left, false, &left) || bind__select(b, ast->right, false, &right))
        return OP_FAILED;
    int count = bind__visible_targets(left);
    if (count != bind__visible_targets(right))
        return op_fail_at(b->op, bind__visible_targets(right) ? right->targets[0].expr->position : ast->right->position, "42601",
                          "each %s query must have the same number of columns", what);
    struct sql_type *types = bind__alloc(b, (size_t)(count + 1) * sizeof(*types));
    if (!types || common_types(b, what, left, right, count, types) || bind__coerce_output(b, &left, types, CAST_IMPLICIT, NULL)
        || bind__coerce_output(b, &right, types, CAST_IMPLICIT, NULL))
        return OP_FAILED;
    query->set = kinds[ast->operation][ast->all];
    query->left = left;
    query->right = right;
    for (int i = 0; i < count; i++) {
        struct expr *column = bind__node(b, EXPR_COLUMN, types[i], left->targets[i].expr->position, 0);
        if (!column)
            return OP_FAILED;
        column->column = i;
        if (bind__add_target(b, b->scope, column, left->targets[i].name, false))
            return OP_FAILED;
    }
    return OP_OK;
}

/* ---- VALUES ---- */

static int bind_value_rows(struct binder *b, const struct ast_select *ast, struct range_entry *range)
{
    int i = 0;

    for (const struct ast_row *row = ast->rows; row; row = row->next) {
        if (row->count != range->column_count)
            return op_fail_at(b->op, row->values->position, "42601", "VALUES lists must all be the same length");
        for (const struct ast_expr *value = row->values; value; value = value->next, i++)
            if (bind__expr_in(b, PLACE_VALUES, value, &range->values[i]))
                return OP_FAILED;
    }
    return OP_OK;
}

/* Each column of the rows gets one type. */
static int settle_column(struct binder *b, struct range_entry *range, int column)
{
    struct expr **values = bind__alloc(b, (size_t)range->row_count * sizeof(*values));

    if (!values)
        return OP_FAILED;
    for (int i = 0; i < range->row_count; i++)
        values[i] = range->values[i * range->column_count + column];
    if (bind__common_type(b, values, range->row_count, "VALUES", &range->column_types[column]))
        return OP_FAILED;
    for (int i = 0; i < range->row_count; i++)
        if (bind__coerce_common(b, &range->values[i * range->column_count + column], bind__type(range->column_types[column].oid),
                                "VALUES"))
            return OP_FAILED;
    return OP_OK;
}

static int prepare_values(struct binder *b, const struct ast_select *ast, struct range_entry *range)
{
    range->kind = RANGE_VALUES;
    range->alias = "*VALUES*";
    range->column_count = ast->rows->count;
    for (const struct ast_row *row = ast->rows; row; row = row->next)
        range->row_count++;
    range->column_names = bind__alloc(b, (size_t)range->column_count * sizeof(*range->column_names));
    range->column_types = bind__alloc(b, (size_t)range->column_count * sizeof(*range->column_types));
    range->values = bind__alloc(b, (size_t)range->row_count * (size_t)range->column_count * sizeof(*range->values));
    if (!range->column_names || !range->column_types || !range->values)
        return OP_FAILED;
    for (int i = 0; i < range->column_count; i++)
        if (!(range->column_names[i] = arena_printf(b->arena, "column%d", i + 1)))
            return op_out_of_memory(b->op);
    return bind_value_rows(b, ast, range);
}

int bind__values(struct binder *b, const struct ast_select *ast)
{
    struct range_entry values = { 0 }, *range;
    struct query *query = b->scope->query;
    int index;

    /* the rows are bound before their columns can be seen */
    if (prepare_values(b, ast, &values))
        return OP_FAILED;
    for (int i = 0; i < values.column_count; i++)
        if (settle_column(b, &values, i))
            return OP_FAILED;
    if (bind__add_range(b, &range, &index) || !(query->from = bind__alloc(b, sizeof(*query->from))))
        return OP_FAILED;
    *range = values;
    query->from->range = index;
    for (int i = 0; i < values.column_count; i++) {
        struct expr *column = bind__column_ref(b, b->scope, index, i, 0, values.values[i]->position);
        if (!column || bind__add_target(b, b->scope, column, values.column_names[i], false))
            return OP_FAILED;
    }
    return OP_OK;
}
