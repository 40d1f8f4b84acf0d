/*
 * bind_select.c -- SELECT: the clauses in the order in which PostgreSQL looks at them.
 *
 * FROM comes first, since it brings the names.  Then the select list, WHERE, HAVING; ORDER BY and GROUP BY, which may speak of
 * the select list by position or label; LIMIT; and at the end, when all aggregates have been seen, the check that a grouped query
 * does not use what is not grouped.
 */
#include <string.h>

#include "sql/bind_int.h"

int bind__visible_targets(const struct query *query)
{
    int count = 0;

    while (count < query->target_count && !query->targets[count].hidden)
        count++;
    return count;
}

int bind__targets(struct binder *b, const struct ast_target *list, enum place place)
{
    enum place before = b->scope->place;
    int rc = OP_OK;

    b->scope->place = place;
    for (const struct ast_target *target = list; target && !rc; target = target->next) {
        struct expr *expr;
        if (target->expr->kind == AST_COLUMN && target->expr->star && !target->label) {
            rc = bind__star(b, target->expr, place);
            continue;
        }
        rc = bind__expr(b, target->expr, &expr);
        if (!rc)
            rc = bind__add_target(b, b->scope, expr, target->label ? target->label : bind__label(b, target->expr), false);
    }
    b->scope->place = before;
    return rc;
}

int bind__settle_targets(struct binder *b, struct query *query)
{
    for (int i = 0; i < query->target_count; i++)
        if (bind__settle(b, query->targets[i].expr, &query->targets[i].expr))
            return OP_FAILED;
    return OP_OK;
}

/* ---- the whole ---- */

static int bind_distinct(struct binder *b, const struct ast_select *ast)
{
    struct query *query = b->scope->query;

    query->distinct = ast->distinct;
    if (!ast->distinct)
        return OP_OK;
    for (int i = 0; i < query->order_count; i++)
        if (query->targets[query->order[i].target].hidden)
            return op_fail_at(b->op, query->targets[query->order[i].target].expr->position, "42P10",
                              "for SELECT DISTINCT, ORDER BY expressions must appear in select list");
    if (bind__visible_targets(query) == 0)
        return op_fail_at(b->op, ast->position, "42601", "SELECT DISTINCT must have at least one column");
    return bind__settle_targets(b, query);
}

static int bind_plain(struct binder *b, const struct ast_select *ast)
{
    struct query *query = b->scope->query;

    if (bind__from(b, ast->from) || bind__targets(b, ast->targets, PLACE_TARGET)
        || bind__condition(b, PLACE_WHERE, ast->where, &query->where)
        || bind__condition(b, PLACE_HAVING, ast->having, &query->having) || bind__order(b, ast->order) || bind__groups(b, ast)
        || bind_distinct(b, ast))
        return OP_FAILED;
    query->grouped = b->scope->has_aggregates || query->group_count > 0 || ast->having != NULL || ast->groups != NULL;
    return OP_OK;
}

static int bind_rows(struct binder *b, const struct ast_select *ast)
{
    return bind__values(b, ast) || bind__order(b, ast->order) ? OP_FAILED : OP_OK;
}

static int finish(struct binder *b, const struct ast_select *ast, bool settle)
{
    struct query *query = b->scope->query;

    if (bind__limit(b, PLACE_OFFSET, ast->offset, &query->offset) || bind__limit(b, PLACE_LIMIT, ast->limit, &query->limit))
        return OP_FAILED;
    if (settle && bind__settle_targets(b, query))
        return OP_FAILED;
    for (int i = 0; i < query->order_count; i++)
        query->order[i].expr = query->targets[query->order[i].target].expr;
    if (query->grouped && bind__check_groups(b))
        return OP_FAILED;
    return bind__locking(b, ast);
}

int bind__select(struct binder *b, const struct ast_select *ast, bool settle, struct query **result)
{
    struct scope scope;
    struct query *query = bind__query(b, QUERY_SELECT);
    int rc;

    *result = query;
    if (!query || bind__enter(b, ast->position))
        return OP_FAILED;
    bind__push(b, &scope, query);
    if (ast->kind == AST_SELECT_SET)
        rc = bind__set_operation(b, ast) || bind__order(b, ast->order);
    else
        rc = ast->kind == AST_SELECT_VALUES ? bind_rows(b, ast) : bind_plain(b, ast);
    if (!rc)
        rc = finish(b, ast, settle);
    bind__pop(b);
    bind__leave(b);
    return rc ? OP_FAILED : OP_OK;
}
