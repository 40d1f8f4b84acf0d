/*
 * bind_expr.c -- expressions: each node of the tree to a node with a type.
 *
 * One function per kind of node, one switch.  What SQL spells in its own way becomes what it means: BETWEEN two comparisons, LIKE an
 * operator, NOT IN a negated IN, CASE x WHEN a CASE WHEN x = a.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sql/bind_int.h"

const char *bind__place_name(enum place place)
{
    static const char *const names[] = {
        [PLACE_TARGET] = "SELECT", [PLACE_WHERE] = "WHERE", [PLACE_JOIN_ON] = "JOIN/ON", [PLACE_GROUP_BY] = "GROUP BY",
        [PLACE_HAVING] = "HAVING", [PLACE_ORDER_BY] = "ORDER BY", [PLACE_LIMIT] = "LIMIT", [PLACE_OFFSET] = "OFFSET",
        [PLACE_VALUES] = "VALUES", [PLACE_FROM_FUNCTION] = "functions in FROM", [PLACE_UPDATE] = "UPDATE",
        [PLACE_RETURNING] = "RETURNING", [PLACE_DEFAULT] = "DEFAULT", [PLACE_FILTER] = "FILTER", [PLACE_INSERT] = "INSERT",
        [PLACE_CHECK] = "check constraints", [PLACE_GENERATED] = "column generation expressions", [PLACE_INDEX] = "index expressions",
        [PLACE_PREDICATE] = "index predicates", [PLACE_TRANSFORM] = "transform expressions",
        [PLACE_EXECUTE] = "EXECUTE parameters",
    };

    return names[place];
}

int bind__expr_in(struct binder *b, enum place place, const struct ast_expr *ast, struct expr **result)
{
    enum place before = b->scope->place;

    b->scope->place = place;
    int rc = bind__expr(b, ast, result);
    b->scope->place = before;
    return rc;
}

int bind__condition(struct binder *b, enum place place, const struct ast_expr *ast, struct expr **result)
{
    *result = NULL;
    if (!ast)
        return OP_OK;
    if (bind__expr_in(b, place, ast, result))
        return OP_FAILED;
    return bind__boolean(b, *result, bind__place_name(place), result);
}

/* ---- constants ---- */

static struct expr *constant(struct binder *b, Oid type, int position)
{
    return bind__node(b, EXPR_CONST, bind__type(type), position, 0);
}

/* Digits beyond an integer: a bigint when they fit, else a numeric. */
static int bind_number(struct binder *b, const struct ast_expr *ast, struct expr **result)
{
    struct bytes text = { (const uint8_t *)ast->text, ast->len };
    bool digits = true;
    char *end;

    for (const char *c = ast->text + (*ast->text == '-'); *c; c++)
        digits = digits && *c >= '0' && *c <= '9';
    errno = 0;
    long long value = digits ? strtoll(ast->text, &end, 10) : 0;
    bool fits = digits && errno == 0;
    /* -2147483648 is an integer, though its digits alone are not */
    Oid type = !fits ? TYPE_NUMERIC : value == INT32_MIN ? TYPE_INT4 : TYPE_INT8;
    if (!(*result = constant(b, type, ast->position)))
        return OP_FAILED;
    if (fits) {
        (*result)->value.i = value;
        return OP_OK;
    }
    return type_parse(b->op, (*result)->type, text, b->arena, &(*result)->value);
}

static int bind_constant(struct binder *b, const struct ast_expr *ast, struct expr **result)
{
    static const Oid types[] = { [AST_NULL] = TYPE_UNKNOWN, [AST_BOOL] = TYPE_BOOL, [AST_INTEGER] = TYPE_INT4,
                                 [AST_STRING] = TYPE_UNKNOWN };

    if (ast->kind == AST_NUMBER)
        return bind_number(b, ast, result);
    if (!(*result = constant(b, types[ast->kind], ast->position)))
        return OP_FAILED;
    if (ast->kind == AST_NULL)
        (*result)->value.null = true;
    else if (ast->kind == AST_BOOL)
        (*result)->value.b = ast->boolean;
    else if (ast->kind == AST_INTEGER)
        (*result)->value.i = ast->integer;
    else
        (*result)->value.s = (struct bytes){ (const uint8_t *)ast->text, ast->len };
    return OP_OK;
}

static int bind_param(struct binder *b, const struct ast_expr *ast, struct expr **result)
{
    if (ast->integer > b->params->count)
        return op_fail_at(b->op, ast->position, "42P02", "there is no parameter $%d", ast->integer);
    *result = bind__node(b, EXPR_PARAM, b->params->types[ast->integer - 1], ast->position, 0);
    if (*result)
        (*result)->slot = ast->integer - 1;
    return *result ? OP_OK : OP_FAILED;
}

/* ---- logic ---- */

static int bind_logic(struct binder *b, const struct ast_expr *ast, struct expr **result)
{
    const char *what = ast->kind == AST_AND ? "AND" : "OR";
    struct expr *expr = bind__node(b, ast->kind == AST_AND ? EXPR_AND : EXPR_OR, bind__type(TYPE_BOOL), ast->position,
                                   ast->arg_count);
    int i = 0;

    if (!expr)
        return OP_FAILED;
    for (const struct ast_expr *arg = ast->args; arg; arg = arg->next, i++)
        if (bind__expr(b, arg, &expr->args[i]) || bind__boolean(b, expr->args[i], what, &expr->args[i]))
            return OP_FAILED;
    if (expr->args[0]->position && expr->args[0]->position < expr->position)
        expr->position = expr->args[0]->position;
    *result = expr;
    return OP_OK;
}

static int negate(struct binder *b, struct expr *arg, int position, struct expr **result)
{
    struct expr *expr = bind__node(b, EXPR_NOT, bind__type(TYPE_BOOL), position, 1);

    if (expr)
        expr->args[0] = arg;
    *result = expr;
    return expr ? OP_OK : OP_FAILED;
}

static int bind_not(struct binder *b, const struct ast_expr *ast, struct expr **result)
{
    struct expr *arg;

    if (bind__expr(b, ast->left, &arg) || bind__boolean(b, arg, "NOT", &arg))
        return OP_FAILED;
    return negate(b, arg, ast->position, result);
}

static struct expr *unary(struct binder *b, enum expr_kind kind, struct expr *arg, int position)
{
    struct expr *expr = bind__node(b, kind, bind__type(TYPE_BOOL), position, 1);

    if (!expr)
        return NULL;
    expr->args[0] = arg;
    if (arg->position && arg->position < position)
        expr->position = arg->position;
    return expr;
}

static int bind_test(struct binder *b, const struct ast_expr *ast, struct expr **result)
{
    static const struct { enum expr_kind kind, negated; const char *name, *negated_name; } tests[] = {
        [AST_IS_NULL] = { EXPR_IS_NULL, EXPR_IS_NOT_NULL, NULL, NULL },
        [AST_IS_TRUE] = { EXPR_IS_TRUE, EXPR_IS_NOT_TRUE, "IS TRUE", "IS NOT TRUE" },
        [AST_IS_FALSE] = { EXPR_IS_FALSE, EXPR_IS_NOT_FALSE, "IS FALSE", "IS NOT FALSE" },
        [AST_IS_UNKNOWN] = { EXPR_IS_UNKNOWN, EXPR_IS_NOT_UNKNOWN, "IS UNKNOWN", "IS NOT UNKNOWN" },
    };
    struct expr *arg;

    if (bind__expr(b, ast->left, &arg))
        return OP_FAILED;
    if (ast->test == AST_IS_NULL) {
        if (bind__settle(b, arg, &arg))
            return OP_FAILED;
    } else if (bind__boolean(b, arg, ast->negated ? tests[ast->test].negated_name : tests[ast->test].name, &arg)) {
        return OP_FAILED;
    }
    *result = unary(b, ast->negated ? tests[ast->test].negated : tests[ast->test].kind, arg, ast->position);
    return *result ? OP_OK : OP_FAILED;
}

/* ---- operators ---- */

static int refuse_row(struct binder *b, const struct ast_expr *ast)
{
    if (ast && ast->kind == AST_ROW)
        return op_fail_at(b->op, ast->position, "0A000", "A row as a value is not supported");
    return OP_OK;
}

static int bind_operator(struct binder *b, const struct ast_expr *ast, struct expr **result)
{
    struct expr *left = NULL, *right;

    if (ast->left && bind__expr(b, ast->left, &left))
        return OP_FAILED;
    if (bind__expr(b, ast->right, &right))
        return OP_FAILED;
    return bind__operation(b, ast->call.name, left, right, ast->position, result);
}

static int bind_distinct(struct binder *b, const struct ast_expr *ast, struct expr **result)
{
    struct expr *left, *right, *expr;
    const struct func *equal;

    if (bind__expr(b, ast->left, &left) || bind__expr(b, ast->right, &right))
        return OP_FAILED;
    if (ast->left->kind == AST_NULL || ast->right->kind == AST_NULL) {
        struct expr *tested = ast->right->kind == AST_NULL ? left : right;
        if (bind__settle(b, tested, &tested))
            return OP_FAILED;
        *result = unary(b, ast->negated ? EXPR_IS_NULL : EXPR_IS_NOT_NULL, tested, ast->position);
        return *result ? OP_OK : OP_FAILED;
    }
    if (bind__equality(b, &left, &right, ast->position, &equal))
        return OP_FAILED;
    int position = left->position && left->position < ast->position ? left->position : ast->position;
    if (!(expr = bind__node(b, EXPR_DISTINCT, bind__type(TYPE_BOOL), position, 2)))
        return OP_FAILED;
    expr->func = equal;
    expr->args[0] = left;
    expr->args[1] = right;
    *result = expr;
    return ast->negated ? negate(b, expr, position, result) : OP_OK;
}

static int bind_nullif(struct binder *b, const struct ast_expr *ast, struct expr **result)
{
    struct expr *left, *right, *expr;
    const struct func *equal;

    if (bind__expr(b, ast->left, &left) || bind__expr(b, ast->right, &right)
        || bind__equality(b, &left, &right, ast->position, &equal))
        return OP_FAILED;
    if (!(expr = bind__node(b, EXPR_NULLIF, left->type, ast->position, 2)))
        return OP_FAILED;
    expr->func = equal;
    expr->args[0] = left;
    expr->args[1] = right;
    *result = expr;
    return OP_OK;
}

static int join_two(struct binder *b, enum expr_kind kind, struct expr *left, struct expr *right, struct expr **result)
{
    struct expr *expr = bind__node(b, kind, bind__type(TYPE_BOOL), left->position, 2);

    if (!expr)
        return OP_FAILED;
    expr->args[0] = left;
    expr->args[1] = right;
    *result = expr;
    return OP_OK;
}

/* x between low and high, or outside of them. */
static int bind_bounds(struct binder *b, const struct ast_expr *ast, struct expr *x, struct expr *low, struct expr *high,
                       struct expr **result)
{
    struct expr *first, *second;

    if (bind__operation(b, ast->negated ? "<" : ">=", x, low, ast->position, &first)
        || bind__operation(b, ast->negated ? ">" : "<=", x, high, ast->position, &second))
        return OP_FAILED;
    return join_two(b, ast->negated ? EXPR_OR : EXPR_AND, first, second, result);
}

static int bind_between(struct binder *b, const struct ast_expr *ast, struct expr **result)
{
    struct expr *x, *low, *high, *one, *other;

    if (refuse_row(b, ast->left) || bind__expr(b, ast->left, &x) || bind__expr(b, ast->args, &low)
        || bind__expr(b, ast->args->next, &high))
        return OP_FAILED;
    if (!ast->symmetric)
        return bind_bounds(b, ast, x, low, high, result);
    if (bind_bounds(b, ast, x, low, high, &one) || bind_bounds(b, ast, x, high, low, &other))
        return OP_FAILED;
    return join_two(b, ast->negated ? EXPR_AND : EXPR_OR, one, other, result);
}

/* The pattern with its ESCAPE character turned to the usual one. */
static int bind_escape(struct binder *b, const struct ast_expr *ast, struct expr **pattern)
{
    int count;
    const struct func *func = func_candidates("like_escape", &count);
    struct expr *escape, *call;

    if (bind__expr(b, ast->args, &escape))
        return OP_FAILED;
    if (!bind__can_coerce((*pattern)->type.oid, TYPE_TEXT, CAST_IMPLICIT) || !bind__can_coerce(escape->type.oid, TYPE_TEXT, CAST_IMPLICIT)
        || count == 0) {
        op_fail_at(b->op, ast->position, "42883", "function pg_catalog.like_escape(%s, %s) does not exist",
                   bind__type_name((*pattern)->type.oid), bind__type_name(escape->type.oid));
        op_hint(b->op, "No function matches the given name and argument types. You might need to add explicit type casts.");
        return OP_FAILED;
    }
    if (!(call = bind__node(b, EXPR_FUNC, bind__type(TYPE_TEXT), (*pattern)->position, 2)))
        return OP_FAILED;
    call->func = func;
    if (bind__coerce(b, *pattern, bind__type(TYPE_TEXT), CAST_IMPLICIT, &call->args[0])
        || bind__coerce(b, escape, bind__type(TYPE_TEXT), CAST_IMPLICIT, &call->args[1]))
        return OP_FAILED;
    *pattern = call;
    return OP_OK;
}

static int bind_like(struct binder *b, const struct ast_expr *ast, struct expr **result)
{
    struct expr *left, *pattern;

    if (bind__expr(b, ast->left, &left) || bind__expr(b, ast->right, &pattern))
        return OP_FAILED;
    if (ast->args && bind_escape(b, ast, &pattern))
        return OP_FAILED;
    return bind__operation(b, ast->call.name, left, pattern, ast->position, result);
}

/* ---- IN ---- */

/* No type suits all: x = a OR x = b, each with an operator of its own. */
static int in_by_operators(struct binder *b, const struct ast_expr *ast, struct expr **items, struct expr **result)
{
    struct expr *expr = bind__node(b, ast->negated ? EXPR_AND : EXPR_OR, bind__type(TYPE_BOOL), ast->position, ast->arg_count);

    if (!expr)
        return OP_FAILED;
    for (int i = 0; i < ast->arg_count; i++)
        if (bind__operation(b, ast->negated ? "<>" : "=", items[0], items[i + 1], ast->position, &expr->args[i]))
            return OP_FAILED;
    *result = ast->arg_count == 1 ? expr->args[0] : expr;
    return OP_OK;
}

static int bind_in_list(struct binder *b, const struct ast_expr *ast, struct expr **result)
{
    struct expr *expr = bind__node(b, EXPR_IN, bind__type(TYPE_BOOL), ast->position, ast->arg_count + 1), *sample;
    struct sql_type common;
    int i = 1;

    if (!expr || refuse_row(b, ast->left) || bind__expr(b, ast->left, &expr->args[0]))
        return OP_FAILED;
    for (const struct ast_expr *item = ast->args; item; item = item->next, i++)
        if (bind__expr(b, item, &expr->args[i]))
            return OP_FAILED;
    if (bind__common_type(b, expr->args, expr->arg_count, NULL, &common))
        return OP_FAILED;
    if (ast->arg_count == 1 || !common.oid)
        return in_by_operators(b, ast, expr->args, result);
    common.modifier = -1;
    if (!(sample = bind__node(b, EXPR_CONST, common, ast->position, 0))
        || bind__operator(b, "=", expr->args[0], sample, ast->position, &expr->func)
        || bind__coerce(b, expr->args[0], bind__type(expr->func->args[0]), CAST_IMPLICIT, &expr->args[0]))
        return OP_FAILED;
    for (i = 1; i < expr->arg_count; i++)
        if (bind__coerce(b, expr->args[i], common, CAST_IMPLICIT, &expr->args[i])
            || bind__coerce(b, expr->args[i], bind__type(expr->func->args[1]), CAST_IMPLICIT, &expr->args[i]))
            return OP_FAILED;
    expr->negated = ast->negated;
    if (expr->args[0]->position && expr->args[0]->position < expr->position)
        expr->position = expr->args[0]->position;
    *result = expr;
    return OP_OK;
}

/* ---- sub-selects ---- */

static int bind_subselect(struct binder *b, const struct ast_expr *ast, bool one_column, struct query **query)
{
    static const char *const forbidden[] = {
        [PLACE_DEFAULT] = "DEFAULT expression", [PLACE_CHECK] = "check constraint", [PLACE_INDEX] = "index expression",
        [PLACE_GENERATED] = "column generation expression", [PLACE_PREDICATE] = "index predicate",
        [PLACE_TRANSFORM] = "transform expression", [PLACE_EXECUTE] = "EXECUTE parameter",
    };

    if ((size_t)b->scope->place < COUNT_OF(forbidden) && forbidden[b->scope->place])
        return op_fail_at(b->op, ast->position, "0A000", "cannot use subquery in %s", forbidden[b->scope->place]);
    if (bind__select(b, ast->select, true, query))
        return OP_FAILED;
    if (one_column && bind__visible_targets(*query) != 1)
        return op_fail_at(b->op, ast->position, "42601", "subquery must return only one column");
    return OP_OK;
}

static int bind_in_select(struct binder *b, const struct ast_expr *ast, struct expr **result)
{
    struct expr *expr = bind__node(b, EXPR_SUBQUERY, bind__type(TYPE_BOOL), ast->position, 1), *output;
    struct query *query;

    if (!expr || refuse_row(b, ast->left) || bind__expr(b, ast->left, &expr->args[0]))
        return OP_FAILED;
    if (bind_subselect(b, ast, false, &query))
        return OP_FAILED;
    if (bind__visible_targets(query) != 1)
        return op_fail_at(b->op, ast->position, "42601", "subquery has too %s columns", bind__visible_targets(query) ? "many" : "few");
    if (!(output = bind__node(b, EXPR_CONST, query->targets[0].expr->type, query->targets[0].expr->position, 0))
        || bind__operator(b, "=", expr->args[0], output, ast->position, &expr->subquery_equal))
        return OP_FAILED;
    struct sql_type wanted = bind__type(expr->subquery_equal->args[1]);
    if (bind__coerce(b, expr->args[0], bind__type(expr->subquery_equal->args[0]), CAST_IMPLICIT, &expr->args[0])
        || bind__coerce_output(b, &query, &wanted, CAST_IMPLICIT, NULL))
        return OP_FAILED;
    expr->subquery_kind = SUBQUERY_IN;
    expr->subquery = query;
    expr->position = expr->args[0]->position && expr->args[0]->position < ast->position ? expr->args[0]->position : ast->position;
    *result = expr;
    return ast->negated ? negate(b, expr, expr->position, result) : OP_OK;
}

static int bind_subquery(struct binder *b, const struct ast_expr *ast, struct expr **result)
{
    struct query *query;
    bool exists = ast->kind == AST_EXISTS;

    if (bind_subselect(b, ast, !exists, &query))
        return OP_FAILED;
    struct sql_type type = exists ? bind__type(TYPE_BOOL) : query->targets[0].expr->type;
    struct expr *expr = bind__node(b, EXPR_SUBQUERY, type, ast->position, 0);
    if (!expr)
        return OP_FAILED;
    expr->subquery_kind = exists ? SUBQUERY_EXISTS : SUBQUERY_SCALAR;
    expr->subquery = query;
    *result = expr;
    return OP_OK;
}

/* ---- CASE and its kin ---- */

static int bind_case_conditions(struct binder *b, const struct ast_expr *ast, struct expr *expr)
{
    struct expr *subject = NULL;
    int i = 0;

    if (ast->left && (bind__expr(b, ast->left, &subject) || bind__settle(b, subject, &subject)))
        return OP_FAILED;
    for (const struct ast_expr *when = ast->args; when; when = when->next->next, i += 2) {
        if (bind__expr(b, when, &expr->args[i]))
            return OP_FAILED;
        if (subject && bind__operation(b, "=", subject, expr->args[i], when->clause_position, &expr->args[i]))
            return OP_FAILED;
        if (bind__boolean(b, expr->args[i], "CASE/WHEN", &expr->args[i]) || bind__expr(b, when->next, &expr->args[i + 1]))
            return OP_FAILED;
    }
    return OP_OK;
}

static int bind_case(struct binder *b, const struct ast_expr *ast, struct expr **result)
{
    int n = ast->arg_count + 1, results = ast->arg_count / 2 + 1;
    struct expr *expr = bind__node(b, EXPR_CASE, bind__type(TYPE_UNKNOWN), ast->position, n);
    struct expr **values = bind__alloc(b, (size_t)results * sizeof(*values));

    if (!expr || !values || bind_case_conditions(b, ast, expr))
        return OP_FAILED;
    if (ast->right) {
        if (bind__expr(b, ast->right, &expr->args[n - 1]))
            return OP_FAILED;
    } else {
        if (!(expr->args[n - 1] = constant(b, TYPE_UNKNOWN, 0)))
            return OP_FAILED;
        expr->args[n - 1]->value.null = true;
    }
    /* ELSE goes first into the choice of the type */
    values[0] = expr->args[n - 1];
    for (int i = 1; i < results; i++)
        values[i] = expr->args[i * 2 - 1];
    if (bind__common_type(b, values, results, "CASE", &expr->type))
        return OP_FAILED;
    if (bind__coerce_common(b, &expr->args[n - 1], bind__type(expr->type.oid), "CASE/ELSE"))
        return OP_FAILED;
    for (int i = 1; i < n - 1; i += 2)
        if (bind__coerce_common(b, &expr->args[i], bind__type(expr->type.oid), "CASE/THEN"))
            return OP_FAILED;
    *result = expr;
    return OP_OK;
}

/* COALESCE, GREATEST, LEAST. */
static int bind_choice(struct binder *b, const struct ast_expr *ast, struct expr **result)
{
    enum expr_kind kind = ast->kind == AST_COALESCE ? EXPR_COALESCE : ast->kind == AST_GREATEST ? EXPR_GREATEST : EXPR_LEAST;
    const char *name = ast->kind == AST_COALESCE ? "COALESCE" : ast->kind == AST_GREATEST ? "GREATEST" : "LEAST";
    struct expr *expr = bind__node(b, kind, bind__type(TYPE_UNKNOWN), ast->position, ast->arg_count);
    int i = 0;

    if (!expr)
        return OP_FAILED;
    for (const struct ast_expr *arg = ast->args; arg; arg = arg->next, i++)
        if (bind__expr(b, arg, &expr->args[i]))
            return OP_FAILED;
    if (bind__common_type(b, expr->args, expr->arg_count, name, &expr->type))
        return OP_FAILED;
    for (i = 0; i < expr->arg_count; i++)
        if (bind__coerce_common(b, &expr->args[i], bind__type(expr->type.oid), name))
            return OP_FAILED;
    *result = expr;
    return OP_OK;
}

static int bind_cast(struct binder *b, const struct ast_expr *ast, struct expr **result)
{
    struct sql_type type;
    struct expr *arg;

    if (bind_type(b->op, ast->type, &type) || bind__expr(b, ast->left, &arg))
        return OP_FAILED;
    if (bind__cast(b, arg, type, ast->position, result))
        return OP_FAILED;
    if (*result != arg && (*result)->kind != EXPR_CONST && (*result)->kind != EXPR_PARAM && ast->position < (*result)->position)
        (*result)->position = ast->position;
    return OP_OK;
}

/* current_date and the like are functions without parentheses. */
static int bind_clock(struct binder *b, const struct ast_expr *ast, struct expr **result)
{
    int count;
    const struct func *func = func_candidates(ast->call.name, &count);

    if (!count)
        return op_fail_at(b->op, ast->position, "0A000", "%s is not supported", ast->call.name);
    *result = bind__node(b, EXPR_FUNC, bind__type(func->result), ast->position, 0);
    if (*result)
        (*result)->func = func;
    return *result ? OP_OK : OP_FAILED;
}

static bool find_series(void *arg, const struct expr *expr)
{
    const struct expr **found = arg;

    if (expr->kind == EXPR_SERIES)
        *found = expr;
    return *found == NULL;
}

const struct expr *bind__find_series(const struct expr *expr)
{
    const struct expr *found = NULL;

    (void)expr_walk(expr, find_series, &found);
    return found;
}

/* Set-returning functions would make a CASE return several rows: refused inside of it. */
static int check_no_series(struct binder *b, const struct expr *expr, const char *what)
{
    const struct expr *series = bind__find_series(expr);

    if (!series)
        return OP_OK;
    op_fail_at(b->op, series->position, "0A000", "set-returning functions are not allowed in %s", what);
    op_hint(b->op, "You might be able to move the set-returning function into a LATERAL FROM item.");
    return OP_FAILED;
}

static int bind_by_kind(struct binder *b, const struct ast_expr *ast, struct expr **result)
{
    switch (ast->kind) {
    case AST_NULL: case AST_BOOL: case AST_INTEGER: case AST_NUMBER: case AST_STRING:
        return bind_constant(b, ast, result);
    case AST_COLUMN:
        return bind__column(b, ast, result);
    case AST_PARAM:
        return bind_param(b, ast, result);
    case AST_CAST:
        return bind_cast(b, ast, result);
    case AST_OPERATOR:
        return bind_operator(b, ast, result);
    case AST_AND: case AST_OR:
        return bind_logic(b, ast, result);
    case AST_NOT:
        return bind_not(b, ast, result);
    case AST_TEST:
        return bind_test(b, ast, result);
    case AST_DISTINCT:
        return bind_distinct(b, ast, result);
    case AST_BETWEEN:
        return bind_between(b, ast, result);
    case AST_LIKE:
        return bind_like(b, ast, result);
    case AST_IN:
        return ast->select ? bind_in_select(b, ast, result) : bind_in_list(b, ast, result);
    case AST_CASE:
        return bind_case(b, ast, result) || check_no_series(b, *result, "CASE") ? OP_FAILED : OP_OK;
    case AST_CALL:
        return bind__call(b, ast, result);
    case AST_COALESCE:
        return bind_choice(b, ast, result) || check_no_series(b, *result, "COALESCE") ? OP_FAILED : OP_OK;
    case AST_GREATEST: case AST_LEAST:
        return bind_choice(b, ast, result);
    case AST_NULLIF:
        return bind_nullif(b, ast, result);
    case AST_EXISTS: case AST_SUBQUERY:
        return bind_subquery(b, ast, result);
    case AST_ROW:
        return refuse_row(b, ast);
    case AST_DEFAULT:
        return op_fail_at(b->op, ast->position, "42601", "DEFAULT is not allowed in this context");
    case AST_CLOCK:
        return bind_clock(b, ast, result);
    }
    return op_fail(b->op, "XX000", "an expression of unknown kind %d", (int)ast->kind);
}

int bind__expr(struct binder *b, const struct ast_expr *ast, struct expr **result)
{
    *result = NULL;
    if (bind__enter(b, ast->position))
        return OP_FAILED;
    int rc = bind_by_kind(b, ast, result);
    bind__leave(b);
    return rc;
}
