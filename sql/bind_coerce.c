/*
 * bind_coerce.c -- turning an expression to another type.
 *
 * SQL's types meet everywhere: a literal and a column, the branches of a CASE, a value and the column it goes to.  PostgreSQL knows three
 * strengths of conversion: implicit (anywhere), assignment (into a column), explicit (CAST).  Literals in quotes have no type
 * until they meet one, and are then read by that type's input function, here, so that a wrong one is reported with its place.
 */
#include <string.h>

#include "sql/bind_int.h"

const char *bind__type_name(Oid oid)
{
    const struct type_info *info = type_info(oid);

    return info ? info->name : "???";
}

bool bind__can_coerce(Oid from, Oid to, enum cast_context context)
{
    if (from == to || from == TYPE_UNKNOWN || to == TYPE_ANY || to == TYPE_ANYNONARRAY)
        return true;
    const struct cast *cast = cast_find(from, to);
    return cast && cast->context <= context;
}

static struct expr *call(struct binder *b, const struct func *func, struct expr *arg, struct sql_type type)
{
    struct expr *expr = bind__node(b, EXPR_FUNC, type, arg->position, 1);

    if (expr) {
        expr->func = func;
        expr->args[0] = arg;
    }
    return expr;
}

/* A literal is read as the type that it has met. */
static int coerce_literal(struct binder *b, const struct expr *expr, struct sql_type to, struct expr **result)
{
    struct expr *constant = bind__node(b, EXPR_CONST, to, expr->position, 0);

    if (!constant)
        return OP_FAILED;
    constant->value = expr->value;
    if (!expr->value.null && type_parse(b->op, constant->type, expr->value.s, b->arena, &constant->value)) {
        if (!b->op->error.position)
            b->op->error.position = expr->position;
        return OP_FAILED;
    }
    *result = constant;
    return OP_OK;
}

static int coerce_parameter(struct binder *b, const struct expr *expr, Oid to, struct expr **result)
{
    struct sql_type *settled = &b->params->types[expr->slot];

    if (settled->oid == TYPE_UNKNOWN) {
        *settled = bind__type(to);
    } else if (settled->oid != to) {
        op_fail_at(b->op, expr->position, "42P08", "inconsistent types deduced for parameter $%d", expr->slot + 1);
        op_detail(b->op, "%s versus %s", bind__type_name(settled->oid), bind__type_name(to));
        return OP_FAILED;
    }
    struct expr *param = bind__node(b, EXPR_PARAM, bind__type(to), expr->position, 0);
    if (!param)
        return OP_FAILED;
    param->slot = expr->slot;
    *result = param;
    return OP_OK;
}

/* The type without its modifier. */
static int coerce_type(struct binder *b, struct expr *expr, Oid to, struct expr **result)
{
    Oid from = expr->type.oid;

    *result = expr;
    if (from == to)
        return OP_OK;
    if (to == TYPE_ANY || to == TYPE_ANYNONARRAY)
        return bind__settle(b, expr, result);
    if (from == TYPE_UNKNOWN && expr->kind == EXPR_PARAM)
        return coerce_parameter(b, expr, to, result);
    if (from == TYPE_UNKNOWN && expr->kind == EXPR_CONST)
        return coerce_literal(b, expr, bind__type(to), result);
    const struct cast *cast = cast_find(from == TYPE_UNKNOWN ? TYPE_TEXT : from, to);
    if (from == TYPE_UNKNOWN && to == TYPE_TEXT)
        cast = NULL;
    else if (!cast)
        return op_fail_at(b->op, expr->position, "42846", "cannot cast type %s to %s", bind__type_name(from), bind__type_name(to));
    if (cast && cast->func) {
        *result = call(b, cast->func, expr, bind__type(to));
        b->is_volatile = b->is_volatile || cast->func->volatility == FUNC_VOLATILE;
    } else if ((*result = bind__node(b, EXPR_RELABEL, bind__type(to), expr->position, 1))) {
        (*result)->args[0] = expr;
    }
    return *result ? OP_OK : OP_FAILED;
}

int bind__coerce(struct binder *b, struct expr *expr, struct sql_type type, enum cast_context context, struct expr **result)
{
    const struct func *modifier;

    /* What the number of INTERVAL '1' YEAR counts is said by the modifier. */
    if (type.oid == TYPE_INTERVAL && expr->kind == EXPR_CONST && expr->type.oid == TYPE_UNKNOWN)
        return coerce_literal(b, expr, type, result);
    if (coerce_type(b, expr, type.oid, result))
        return OP_FAILED;
    if (type.modifier < 0 || (*result)->type.modifier == type.modifier)
        return OP_OK;
    modifier = cast_modifier(type.oid, context == CAST_EXPLICIT);
    if (!modifier)
        return OP_OK;
    *result = call(b, modifier, *result, type);
    return *result ? OP_OK : OP_FAILED;
}

int bind__cast(struct binder *b, struct expr *expr, struct sql_type type, int position, struct expr **result)
{
    if (!bind__can_coerce(expr->type.oid, type.oid, CAST_EXPLICIT))
        return op_fail_at(b->op, position, "42846", "cannot cast type %s to %s", bind__type_name(expr->type.oid),
                          bind__type_name(type.oid));
    return bind__coerce(b, expr, type, CAST_EXPLICIT, result);
}

int bind__assign(struct binder *b, struct expr *expr, struct sql_type type, const char *column, bool is_default,
                 struct expr **result)
{
    if (!bind__can_coerce(expr->type.oid, type.oid, CAST_ASSIGNMENT)) {
        op_fail_at(b->op, expr->position, "42804", "column \"%s\" is of type %s but %sexpression is of type %s", column,
                   bind__type_name(type.oid), is_default ? "default " : "", bind__type_name(expr->type.oid));
        op_hint(b->op, "You will need to rewrite or cast the expression.");
        return OP_FAILED;
    }
    return bind__coerce(b, expr, type, CAST_ASSIGNMENT, result);
}

int bind__settle(struct binder *b, struct expr *expr, struct expr **result)
{
    *result = expr;
    return expr->type.oid == TYPE_UNKNOWN ? coerce_type(b, expr, TYPE_TEXT, result) : OP_OK;
}

int bind__boolean(struct binder *b, struct expr *expr, const char *what, struct expr **result)
{
    if (!bind__can_coerce(expr->type.oid, TYPE_BOOL, CAST_IMPLICIT))
        return op_fail_at(b->op, expr->position, "42804", "argument of %s must be type boolean, not type %s", what,
                          bind__type_name(expr->type.oid));
    return coerce_type(b, expr, TYPE_BOOL, result);
}

/* ---- one type for several expressions ---- */

int bind__common_type(struct binder *b, struct expr *const *exprs, int count, const char *what, struct sql_type *type)
{
    const struct type_info *chosen = NULL;
    int32_t modifier = -1;

    *type = bind__type(TYPE_TEXT);
    for (int i = 0; i < count; i++) {
        const struct type_info *other = type_info(exprs[i]->type.oid);
        if (!other || other->oid == TYPE_UNKNOWN || other == chosen)
            continue;
        if (!chosen) {
            chosen = other;
            continue;
        }
        if (other->category != chosen->category) {
            type->oid = TYPE_INVALID;
            if (!what)
                return OP_OK;
            return op_fail_at(b->op, exprs[i]->position, "42804", "%s types %s and %s cannot be matched", what, chosen->name,
                              other->name);
        }
        if (!chosen->preferred && bind__can_coerce(chosen->oid, other->oid, CAST_IMPLICIT)
            && !bind__can_coerce(other->oid, chosen->oid, CAST_IMPLICIT))
            chosen = other;
    }
    if (!chosen)
        return OP_OK;
    /* a modifier stays only when all agree on it */
    for (int i = 0; i < count; i++) {
        if (exprs[i]->type.oid != chosen->oid || (i > 0 && exprs[i]->type.modifier != modifier)) {
            modifier = -1;
            break;
        }
        modifier = exprs[i]->type.modifier;
    }
    *type = (struct sql_type){ chosen->oid, modifier };
    return OP_OK;
}

int bind__coerce_common(struct binder *b, struct expr **expr, struct sql_type type, const char *what)
{
    if (!bind__can_coerce((*expr)->type.oid, type.oid, CAST_IMPLICIT))
        return op_fail_at(b->op, (*expr)->position, "42846", "%s could not convert type %s to %s", what,
                          bind__type_name((*expr)->type.oid), bind__type_name(type.oid));
    return bind__coerce(b, *expr, type, CAST_IMPLICIT, expr);
}
