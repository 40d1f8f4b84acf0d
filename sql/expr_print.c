/*
 * expr_print.c -- expressions back to SQL, as PostgreSQL's EXPLAIN writes them.
 *
 * Every operator has its parentheses, every cast is written out, constants carry their type unless it is plain from
 * their look.  Names of columns and of sub-selects are the caller's business.
 */
#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#include "sql/expr.h"
#include "sql/func_int.h"

struct printer {
    struct op *op;
    struct arena *arena;
    const char *(*name)(void *arg, const struct expr *expr);
    void *arg;
    char *text;
    size_t len, room;
    bool failed;
};

static void put(struct printer *p, const char *text, size_t len)
{
    if (p->failed)
        return;
    if (p->len + len + 1 > p->room) {
        size_t room = (p->len + len + 1) * 2;
        char *fresh = arena_alloc(p->arena, room);
        if (!fresh) {
            p->failed = true;
            op_out_of_memory(p->op);
            return;
        }
        if (p->len)
            memcpy(fresh, p->text, p->len);
        p->text = fresh;
        p->room = room;
    }
    memcpy(p->text + p->len, text, len);
    p->len += len;
    p->text[p->len] = '\0';
}

static void put_text(struct printer *p, const char *text) { put(p, text, strlen(text)); }

static void print(struct printer *p, const struct expr *expr);

static void print_list(struct printer *p, struct expr *const *args, int count)
{
    for (int i = 0; i < count; i++) {
        if (i)
            put_text(p, ", ");
        print(p, args[i]);
    }
}

static void put_type(struct printer *p, struct sql_type type)
{
    const char *name = type_format(p->arena, type);
    if (name)
        put_text(p, name);
    else
        p->failed = op_out_of_memory(p->op) != 0;
}

/* ---- constants ------------------------------------------------------------------------------------ */

static void put_quoted(struct printer *p, struct bytes text)
{
    if (text.len && memchr(text.data, '\\', text.len))
        put_text(p, "E");
    put_text(p, "'");
    for (size_t i = 0; i < text.len; i++) {
        char c = (char)text.data[i];
        if (c == '\'' || c == '\\')
            put(p, &c, 1);
        put(p, &c, 1);
    }
    put_text(p, "'");
}

/* Whether the text alone gives a literal of the type: 5 is an integer, 1.5 a numeric. */
static bool is_plain(Oid type, struct bytes text)
{
    if (text.len == 0 || text.data[0] == '-')
        return false;
    if (type == TYPE_INT4)
        return true;
    return type == TYPE_NUMERIC && isdigit(text.data[0]) && memchr(text.data, '.', text.len);
}

static void print_constant(struct printer *p, const struct expr *expr)
{
    struct bytes text;
    if (expr->value.null) {
        put_text(p, "NULL");
    } else if (expr->type.oid == TYPE_BOOL) {
        put_text(p, expr->value.b ? "true" : "false");
        return;
    } else if (type_print(p->op, expr->type, &expr->value, p->arena, &text) != 0) {
        p->failed = true;
        return;
    } else if (is_plain(expr->type.oid, text)) {
        put(p, (const char *)text.data, text.len);
        return;
    } else {
        put_quoted(p, text);
    }
    put_text(p, "::");
    put_type(p, expr->type);
}

/* ---- functions and operators ---------------------------------------------------------------------- */

static bool is_operator(const char *name) { return !isalpha((unsigned char)name[0]) && name[0] != '_'; }

static bool is_cast(const struct func *func) { return func < func__table || func >= func__table + func__table_count; }

/* A modifier applied to what was just cast to the same type is one cast. */
static const struct expr *cast_operand(const struct expr *cast)
{
    const struct expr *inner = cast->args[0];
    bool modifies = cast->kind == EXPR_FUNC && cast->func->args[0] == cast->func->result;
    bool inner_casts = inner->kind == EXPR_RELABEL || (inner->kind == EXPR_FUNC && is_cast(inner->func));
    return modifies && inner_casts ? inner->args[0] : inner;
}

static void print_cast(struct printer *p, const struct expr *expr)
{
    put_text(p, "(");
    print(p, cast_operand(expr));
    put_text(p, ")::");
    put_type(p, expr->type);
}

static void print_name(struct printer *p, const char *name)
{
    static const char *const keywords[] = { "left", "like", "position", "right", "substring" };
    for (size_t i = 0; i < COUNT_OF(keywords); i++)
        if (strcmp(keywords[i], name) == 0) {
            put_text(p, "\"");
            put_text(p, name);
            put_text(p, "\"");
            return;
        }
    put_text(p, name);
}

/* CURRENT_DATE and the like have no parentheses. */
static bool print_sql_value(struct printer *p, const char *name)
{
    static const char *const names[] = { "current_date", "current_timestamp", "localtimestamp" };
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcmp(names[i], name) == 0) {
            for (; *name; name++) {
                char c = (char)toupper((unsigned char)*name);
                put(p, &c, 1);
            }
            return true;
        }
    return false;
}

static void print_binary(struct printer *p, const struct expr *a, const char *operator, const struct expr *b)
{
    put_text(p, "(");
    print(p, a);
    put_text(p, " ");
    put_text(p, operator);
    put_text(p, " ");
    print(p, b);
    put_text(p, ")");
}

static void print_function(struct printer *p, const struct expr *expr)
{
    const struct func *func = expr->func;
    if (is_cast(func)) {
        print_cast(p, expr);
    } else if (is_operator(func->name) && expr->arg_count == 2) {
        print_binary(p, expr->args[0], func->name, expr->args[1]);
    } else if (is_operator(func->name)) {
        put_text(p, "(");
        put_text(p, func->name);
        put_text(p, " ");
        print(p, expr->args[0]);
        put_text(p, ")");
    } else if (expr->arg_count > 0 || !print_sql_value(p, func->name)) {
        print_name(p, func->name);
        put_text(p, "(");
        print_list(p, expr->args, expr->arg_count);
        put_text(p, ")");
    }
}

static void print_aggregate(struct printer *p, const struct expr *expr)
{
    print_name(p, expr->aggregate->name);
    put_text(p, expr->distinct ? "(DISTINCT " : "(");
    if (expr->arg_count)
        print_list(p, expr->args, expr->arg_count);
    else
        put_text(p, "*");
    for (int i = 0; i < expr->order_count; i++) {
        const struct sort_key *key = &expr->order[i];
        put_text(p, i ? ", " : " ORDER BY ");
        print(p, key->expr);
        if (key->descending)
            put_text(p, " DESC");
        if (key->nulls_first != key->descending)
            put_text(p, key->nulls_first ? " NULLS FIRST" : " NULLS LAST");
    }
    put_text(p, ")");
    if (expr->filter) {
        put_text(p, " FILTER (WHERE ");
        print(p, expr->filter);
        put_text(p, ")");
    }
}

/* ---- IN ------------------------------------------------------------------------------------------- */

/* An element inside of an array literal, which itself stands in quotes. */
static void put_element(struct printer *p, struct bytes text)
{
    bool quote = text.len == 0 || (text.len == 4 && strncasecmp((const char *)text.data, "null", 4) == 0);
    for (size_t i = 0; i < text.len; i++)
        quote |= strchr("{},\"\\ \t\n\r\v\f", text.data[i]) != NULL;
    if (quote)
        put_text(p, "\"");
    for (size_t i = 0; i < text.len; i++) {
        char c = (char)text.data[i];
        if (c == '"' || c == '\\')
            put_text(p, "\\");
        if (c == '\'')
            put_text(p, "'");
        put(p, &c, 1);
    }
    if (quote)
        put_text(p, "\"");
}

static void print_in_constants(struct printer *p, const struct expr *expr)
{
    struct bytes text;
    put_text(p, "(");
    print(p, expr->args[0]);
    put_text(p, expr->negated ? " <> ALL ('{" : " = ANY ('{");
    for (int i = 1; i < expr->arg_count; i++) {
        const struct expr *item = expr->args[i];
        if (i > 1)
            put_text(p, ",");
        if (item->value.null)
            put_text(p, "NULL");
        else if (type_print(p->op, item->type, &item->value, p->arena, &text) != 0)
            p->failed = true;
        else
            put_element(p, text);
    }
    put_text(p, "}'::");
    put_type(p, (struct sql_type){ expr->args[1]->type.oid, -1 });
    put_text(p, "[]))");
}

static void print_in(struct printer *p, const struct expr *expr)
{
    bool constants = expr->arg_count > 2;
    for (int i = 1; i < expr->arg_count; i++)
        constants &= expr->args[i]->kind == EXPR_CONST;
    if (constants) {
        print_in_constants(p, expr);
        return;
    }
    if (expr->arg_count > 2)
        put_text(p, "(");
    for (int i = 1; i < expr->arg_count; i++) {
        if (i > 1)
            put_text(p, expr->negated ? " AND " : " OR ");
        print_binary(p, expr->args[0], expr->negated ? "<>" : "=", expr->args[i]);
    }
    if (expr->arg_count > 2)
        put_text(p, ")");
}

/* ---- the tree ------------------------------------------------------------------------------------- */

static void print_junction(struct printer *p, const struct expr *expr)
{
    put_text(p, "(");
    for (int i = 0; i < expr->arg_count; i++) {
        if (i)
            put_text(p, expr->kind == EXPR_AND ? " AND " : " OR ");
        print(p, expr->args[i]);
    }
    put_text(p, ")");
}

static void print_postfix(struct printer *p, const struct expr *expr, const char *test)
{
    put_text(p, "(");
    print(p, expr->args[0]);
    put_text(p, test);
    put_text(p, ")");
}

static void print_call(struct printer *p, const char *name, const struct expr *expr)
{
    put_text(p, name);
    put_text(p, "(");
    print_list(p, expr->args, expr->arg_count);
    put_text(p, ")");
}

static void print_case(struct printer *p, const struct expr *expr)
{
    put_text(p, "CASE");
    for (int i = 0; i + 1 < expr->arg_count; i += 2) {
        put_text(p, " WHEN ");
        print(p, expr->args[i]);
        put_text(p, " THEN ");
        print(p, expr->args[i + 1]);
    }
    put_text(p, " ELSE ");
    print(p, expr->args[expr->arg_count - 1]);
    put_text(p, " END");
}

static void print_named(struct printer *p, const struct expr *expr)
{
    const char *name = p->name ? p->name(p->arg, expr) : NULL;
    if (!name)
        name = expr->kind == EXPR_SUBQUERY ? "(SubPlan)"
               : arena_printf(p->arena, "$%d", expr->kind == EXPR_COLUMN ? expr->column : expr->slot);
    if (name)
        put_text(p, name);
    else
        p->failed = op_out_of_memory(p->op) != 0;
}

static void print_param(struct printer *p, const struct expr *expr)
{
    const char *name = arena_printf(p->arena, "$%d", expr->slot + 1);
    if (name)
        put_text(p, name);
    else
        p->failed = op_out_of_memory(p->op) != 0;
}

static void print(struct printer *p, const struct expr *expr)
{
    if (p->failed)
        return;
    switch (expr->kind) {
    case EXPR_CONST: print_constant(p, expr); break;
    case EXPR_COLUMN: case EXPR_SLOT: case EXPR_OUTER: case EXPR_SUBQUERY: print_named(p, expr); break;
    case EXPR_PARAM: print_param(p, expr); break;
    case EXPR_FUNC: case EXPR_SERIES: print_function(p, expr); break;
    case EXPR_RELABEL: print_cast(p, expr); break;
    case EXPR_AND: case EXPR_OR: print_junction(p, expr); break;
    case EXPR_NOT:
        put_text(p, "(NOT ");
        print(p, expr->args[0]);
        put_text(p, ")");
        break;
    case EXPR_IS_NULL: print_postfix(p, expr, " IS NULL"); break;
    case EXPR_IS_NOT_NULL: print_postfix(p, expr, " IS NOT NULL"); break;
    case EXPR_IS_TRUE: print_postfix(p, expr, " IS TRUE"); break;
    case EXPR_IS_NOT_TRUE: print_postfix(p, expr, " IS NOT TRUE"); break;
    case EXPR_IS_FALSE: print_postfix(p, expr, " IS FALSE"); break;
    case EXPR_IS_NOT_FALSE: print_postfix(p, expr, " IS NOT FALSE"); break;
    case EXPR_IS_UNKNOWN: print_postfix(p, expr, " IS UNKNOWN"); break;
    case EXPR_IS_NOT_UNKNOWN: print_postfix(p, expr, " IS NOT UNKNOWN"); break;
    case EXPR_DISTINCT: print_binary(p, expr->args[0], "IS DISTINCT FROM", expr->args[1]); break;
    case EXPR_NULLIF: print_call(p, "NULLIF", expr); break;
    case EXPR_CASE: print_case(p, expr); break;
    case EXPR_COALESCE: print_call(p, "COALESCE", expr); break;
    case EXPR_GREATEST: print_call(p, "GREATEST", expr); break;
    case EXPR_LEAST: print_call(p, "LEAST", expr); break;
    case EXPR_IN: print_in(p, expr); break;
    case EXPR_AGGREGATE: print_aggregate(p, expr); break;
    case EXPR_DEFAULT: put_text(p, "DEFAULT"); break;
    }
}

const char *expr_print(struct op *op, struct arena *arena, const struct expr *expr,
                       const char *(*name)(void *arg, const struct expr *column), void *arg)
{
    struct printer p = { .op = op, .arena = arena, .name = name, .arg = arg };
    print(&p, expr);
    return p.failed ? NULL : p.text;
}
