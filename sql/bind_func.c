/*
 * bind_func.c -- function calls: which function, whether it may stand here, and what becomes of its arguments.
 *
 * Three kinds look alike in the text.  An ordinary function computes a value from values.  An aggregate computes one from all rows of a
 * group: it makes its query a grouped one, must not be nested, and may not stand where rows are not grouped yet (WHERE).  A
 * set-returning function makes rows.
 */
#include <string.h>

#include "sql/bind_int.h"

enum { CANDIDATES_MAX = 64, CALL_ARGS_MAX = 100 };

/* How errors about aggregates and set-returning functions name the clause. */
static const char *clause_name(enum place place)
{
    if (place == PLACE_JOIN_ON)
        return "JOIN conditions";
    if (place == PLACE_DEFAULT)
        return "DEFAULT expressions";
    return place == PLACE_INSERT ? "VALUES" : bind__place_name(place);
}

/* Functions that PostgreSQL has and this engine has not, sorted as they come to mind. */
static bool is_foreign(const char *name)
{
    static const char *const names[] = {
        "any_value", "array_agg", "array_append", "array_cat", "array_length", "array_position", "array_to_string",
        "array_upper", "cardinality", "convert_from", "convert_to",
        "cume_dist", "currval", "date_bin", "decode", "dense_rank", "encode",
        "first_value", "format", "gen_random_uuid", "grouping", "has_table_privilege", "json_agg",
        "json_build_object", "json_object_agg", "jsonb_agg", "jsonb_array_elements", "jsonb_build_object", "jsonb_each",
        "jsonb_pretty", "jsonb_set", "jsonb_typeof", "lag", "last_value", "lastval", "lead",
        "md5", "mode", "nextval", "nth_value", "ntile", "num_nonnulls", "num_nulls",
        "obj_description", "overlay", "parse_ident", "percent_rank", "percentile_cont", "percentile_disc",
        "pg_get_constraintdef", "pg_get_expr", "pg_get_indexdef", "pg_get_viewdef", "pg_sleep", "pg_table_size",
        "quote_ident", "quote_literal", "quote_nullable", "random", "rank", "regexp_match", "regexp_matches", "regexp_replace",
        "regexp_split_to_array", "regexp_split_to_table", "row_number", "row_to_json", "set_config", "setseed",
        "setval", "sha256", "bit_length", "inet", "string_to_array", "to_char", "to_date",
        "to_json", "to_jsonb", "to_number", "txid_current", "unnest",
        "current_setting",
    };

    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* "f(integer, unknown)" */
static const char *signature(struct binder *b, const struct ast_expr *ast, struct expr *const *args)
{
    const char *schema = ast->call.schema ? ast->call.schema : ast->call.spelled ? "pg_catalog" : NULL;
    const char *text = arena_printf(b->arena, "%s%s%s(", schema ? schema : "", schema ? "." : "", ast->call.name);

    for (int i = 0; text && i < ast->arg_count; i++)
        text = arena_printf(b->arena, "%s%s%s", text, i ? ", " : "", bind__type_name(args[i]->type.oid));
    text = text ? arena_printf(b->arena, "%s)", text) : NULL;
    return text ? text : ast->call.name;
}

static int fail_call(struct binder *b, const struct ast_expr *ast, struct expr *const *args, bool several)
{
    if (several) {
        op_fail_at(b->op, ast->position, "42725", "function %s is not unique", signature(b, ast, args));
        op_hint(b->op, "Could not choose a best candidate function. You might need to add explicit type casts.");
        return OP_FAILED;
    }
    if (is_foreign(ast->call.name))
        return op_fail_at(b->op, ast->position, "0A000", "function %s is not supported", ast->call.name);
    op_fail_at(b->op, ast->position, "42883", "function %s does not exist", signature(b, ast, args));
    op_hint(b->op, "No function matches the given name and argument types. You might need to add explicit type casts.");
    return OP_FAILED;
}

static int bind_args(struct binder *b, const struct ast_expr *ast, struct expr ***args)
{
    int i = 0;

    if (ast->arg_count > CALL_ARGS_MAX)
        return op_fail_at(b->op, ast->position, "54023", "cannot pass more than %d arguments to a function", CALL_ARGS_MAX);
    if (!(*args = bind__alloc(b, sizeof(**args) * (size_t)(ast->arg_count + 1))))
        return OP_FAILED;
    for (const struct ast_expr *arg = ast->args; arg; arg = arg->next, i++)
        if (bind__expr(b, arg, &(*args)[i]))
            return OP_FAILED;
    return OP_OK;
}

/* Index among the candidates, or an error. */
static __attribute__((noinline)) int choose(struct binder *b, const struct ast_expr *ast, struct expr *const *args, const struct candidate *candidates,
                  int count, int *chosen)
{
    Oid types[CALL_ARGS_MAX];

    for (int i = 0; i < ast->arg_count; i++)
        types[i] = args[i]->type.oid;
    *chosen = resolve__choose(candidates, count, types, ast->arg_count);
    return *chosen < 0 ? fail_call(b, ast, args, *chosen == -2) : OP_OK;
}

/* ---- aggregates ---- */

struct level_walk { int count, lowest; };

static bool note_level(void *arg, const struct expr *expr)
{
    struct level_walk *walk = arg;

    if (expr->kind == EXPR_COLUMN) {
        if (walk->count++ == 0 || expr->level < walk->lowest)
            walk->lowest = expr->level;
    }
    return true;
}

static bool find_nested(void *arg, const struct expr *expr)
{
    const struct expr **found = arg;

    if (expr->kind == EXPR_AGGREGATE || expr->kind == EXPR_SERIES) {
        *found = expr;
        return false;
    }
    return true;
}

static int check_aggregate(struct binder *b, const struct ast_expr *ast, const struct expr *expr)
{
    struct level_walk walk = { 0 };
    const struct expr *nested = NULL;
    enum place place = b->scope->place;

    for (int i = 0; i < expr->arg_count; i++) {
        (void)expr_walk(expr->args[i], note_level, &walk);
        (void)expr_walk(expr->args[i], find_nested, &nested);
    }
    if (nested && nested->kind == EXPR_AGGREGATE)
        return op_fail_at(b->op, nested->position, "42803", "aggregate function calls cannot be nested");
    if (nested) {
        op_fail_at(b->op, nested->position, "0A000", "aggregate function calls cannot contain set-returning function calls");
        op_hint(b->op, "You might be able to move the set-returning function into a LATERAL FROM item.");
        return OP_FAILED;
    }
    if (walk.count && walk.lowest > 0)
        return op_fail_at(b->op, ast->position, "0A000", "An aggregate over columns of an outer query is not supported");
    if (place != PLACE_TARGET && place != PLACE_HAVING && place != PLACE_ORDER_BY)
        return op_fail_at(b->op, ast->position, "42803", "aggregate functions are not allowed in %s", clause_name(place));
    return OP_OK;
}

/* With DISTINCT only arguments may be sorted by; written as they are before their coercion. */
static int find_argument(struct binder *b, const struct expr *expr, struct expr *const *args, struct expr **key)
{
    for (int i = 0; i < expr->arg_count; i++)
        if (expr_equal(expr->args[i], *key) || expr_equal(args[i], *key)) {
            *key = expr->args[i];
            return OP_OK;
        }
    return op_fail_at(b->op, (*key)->position, "42P10",
                      "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list");
}

/* ORDER BY inside of the call. */
static int bind_aggregate_order(struct binder *b, const struct ast_expr *ast, struct expr *expr, struct expr *const *args)
{
    int count = 0, i = 0;

    for (const struct ast_order *order = ast->call.order; order; order = order->next)
        count++;
    if (count && !(expr->order = bind__alloc(b, sizeof(*expr->order) * (size_t)count)))
        return OP_FAILED;
    for (const struct ast_order *order = ast->call.order; order; order = order->next, i++) {
        struct expr *key;
        if (bind__expr(b, order->expr, &key) || bind__settle(b, key, &key))
            return OP_FAILED;
        if (expr->distinct && find_argument(b, expr, args, &key))
            return OP_FAILED;
        expr->order[i] = (struct sort_key){ .expr = key, .target = -1, .descending = order->descending,
                                            .nulls_first = order->nulls_first };
    }
    expr->order_count = count;
    return OP_OK;
}

static int bind_aggregate_parts(struct binder *b, const struct ast_expr *ast, struct expr *expr, struct expr **args)
{
    const struct aggregate *aggregate = expr->aggregate;

    for (int i = 0; i < ast->arg_count; i++)
        if (bind__coerce(b, args[i], bind__type(aggregate->args[i]), CAST_IMPLICIT, &expr->args[i]))
            return OP_FAILED;
    expr->distinct = ast->call.distinct;
    if (check_aggregate(b, ast, expr) || bind_aggregate_order(b, ast, expr, args))
        return OP_FAILED;
    if (!ast->call.filter)
        return OP_OK;
    return bind__condition(b, PLACE_FILTER, ast->call.filter, &expr->filter);
}

static __attribute__((noinline)) int make_aggregate(struct binder *b, const struct ast_expr *ast, const struct aggregate *aggregate, struct expr **args,
                          struct expr **result)
{
    struct expr *expr = bind__node(b, EXPR_AGGREGATE, bind__type(aggregate->result), ast->position, ast->arg_count);

    if (!expr)
        return OP_FAILED;
    expr->aggregate = aggregate;
    if (bind_aggregate_parts(b, ast, expr, args))
        return OP_FAILED;
    b->scope->has_aggregates = true;
    *result = expr;
    return OP_OK;
}

/* Kept out of the recursion through arguments, since it needs room on the stack. */
static __attribute__((noinline)) int choose_aggregate(struct binder *b, const struct ast_expr *ast, struct expr *const *args,
                                                      const struct aggregate *aggregates, int all,
                                                      const struct aggregate **chosen)
{
    struct candidate candidates[CANDIDATES_MAX];
    int count = 0, index;

    for (int i = 0; i < all && count < CANDIDATES_MAX; i++)
        if (aggregates[i].arg_count == ast->arg_count)
            candidates[count++] = (struct candidate){ .item = &aggregates[i], .args = aggregates[i].args,
                                                      .declared = ast->arg_count };
    if (choose(b, ast, args, candidates, count, &index))
        return OP_FAILED;
    *chosen = candidates[index].item;
    return OP_OK;
}

static int bind_aggregate(struct binder *b, const struct ast_expr *ast, const struct aggregate *aggregates, int all,
                          struct expr **result)
{
    const struct aggregate *chosen;
    struct expr **args;

    if (bind_args(b, ast, &args))
        return OP_FAILED;
    if (ast->arg_count == 0 && !ast->call.star)
        for (int i = 0; i < all; i++)
            if (aggregates[i].arg_count == 0)
                return op_fail_at(b->op, ast->position, "42809", "%s(*) must be used to call a parameterless aggregate function",
                                  ast->call.name);
    if (choose_aggregate(b, ast, args, aggregates, all, &chosen))
        return OP_FAILED;
    return make_aggregate(b, ast, chosen, args, result);
}

/* ---- functions ---- */

static int check_not_aggregate(struct binder *b, const struct ast_expr *ast)
{
    const char *what = ast->call.star ? "(*)" : ast->call.distinct ? "DISTINCT" : ast->call.order ? "ORDER BY"
                       : ast->call.filter ? "FILTER" : NULL;

    if (!what)
        return OP_OK;
    if (ast->call.star)
        return op_fail_at(b->op, ast->position, "42809", "%s(*) specified, but %s is not an aggregate function", ast->call.name,
                          ast->call.name);
    return op_fail_at(b->op, ast->position, "42809", "%s specified, but %s is not an aggregate function", what, ast->call.name);
}

static int check_series(struct binder *b, const struct ast_expr *ast)
{
    enum place place = b->scope->place;

    if (place == PLACE_TARGET || place == PLACE_ORDER_BY || place == PLACE_INSERT || place == PLACE_FROM_FUNCTION)
        return OP_OK;
    return op_fail_at(b->op, ast->position, "0A000", "set-returning functions are not allowed in %s", clause_name(place));
}

/* Types that a function declares; the last one is repeated when it takes any number. */
static int declared_args(const struct func *func)
{
    int declared = func->arg_count;

    if (declared < 0)
        for (declared = 0; declared < FUNC_ARGS_MAX && func->args[declared]; declared++)
            ;
    return declared;
}

static __attribute__((noinline)) int make_call(struct binder *b, const struct ast_expr *ast, const struct func *func, struct expr **args,
                     struct expr **result)
{
    enum expr_kind kind = func->set_returning ? EXPR_SERIES : EXPR_FUNC;
    struct expr *expr = bind__node(b, kind, bind__type(func->result), ast->position, ast->arg_count);

    if (!expr || check_not_aggregate(b, ast) || (func->set_returning && check_series(b, ast)))
        return OP_FAILED;
    expr->func = func;
    int declared = declared_args(func);
    for (int i = 0; i < ast->arg_count; i++) {
        Oid wanted = func->args[i < declared ? i : declared - 1];
        if (bind__coerce(b, args[i], bind__type(wanted), CAST_IMPLICIT, &expr->args[i]))
            return OP_FAILED;
        if (args[i]->position && args[i]->position < expr->position)
            expr->position = args[i]->position;
    }
    b->is_volatile = b->is_volatile || func->volatility == FUNC_VOLATILE;
    *result = expr;
    return OP_OK;
}

static int list_candidates(const struct func *funcs, int all, int arg_count, struct candidate *candidates)
{
    int count = 0;

    for (int i = 0; i < all && count < CANDIDATES_MAX; i++) {
        int declared = declared_args(&funcs[i]);
        if (funcs[i].arg_count < 0 ? arg_count >= declared : arg_count == declared)
            candidates[count++] = (struct candidate){ .item = &funcs[i], .args = funcs[i].args, .declared = declared };
    }
    return count;
}

/* A type's name used as a function: int4('7'). */
static const struct type_info *type_as_function(const struct ast_expr *ast)
{
    const struct type_info *info = ast->arg_count == 1 && !ast->call.star ? type_by_name(ast->call.name) : NULL;

    return info && strcmp(info->pg_name, ast->call.name) == 0 ? info : NULL;
}

/* *chosen = NULL: the name is a type's, and the call a cast to it. */
static __attribute__((noinline)) int choose_function(struct binder *b, const struct ast_expr *ast, struct expr *const *args,
                                                     const struct type_info *type, const struct func **chosen)
{
    struct candidate candidates[CANDIDATES_MAX];
    int all, index;
    const struct func *funcs = func_candidates(ast->call.name, &all);
    int count = list_candidates(funcs, all, ast->arg_count, candidates);

    *chosen = NULL;
    if (count == 0 && type && bind__can_coerce(args[0]->type.oid, type->oid, CAST_EXPLICIT))
        return OP_OK;
    if (choose(b, ast, args, candidates, count, &index))
        return OP_FAILED;
    *chosen = candidates[index].item;
    return OP_OK;
}

static int bind_function(struct binder *b, const struct ast_expr *ast, struct expr **result)
{
    const struct type_info *type = type_as_function(ast);
    const struct func *chosen;
    struct expr **args;

    if (bind_args(b, ast, &args) || choose_function(b, ast, args, type, &chosen))
        return OP_FAILED;
    if (!chosen)
        return bind__cast(b, args[0], bind__type(type->oid), ast->position, result);
    return make_call(b, ast, chosen, args, result);
}

int bind__call(struct binder *b, const struct ast_expr *ast, struct expr **result)
{
    int count;
    const struct aggregate *aggregates = aggregate_candidates(ast->call.name, &count);

    if (ast->call.schema && strcmp(ast->call.schema, "pg_catalog") != 0 && strcmp(ast->call.schema, "public") != 0)
        return op_fail_at(b->op, ast->position, "3F000", "schema \"%s\" does not exist", ast->call.schema);
    if (!count)
        return bind_function(b, ast, result);
    return bind_aggregate(b, ast, aggregates, count, result);
}
