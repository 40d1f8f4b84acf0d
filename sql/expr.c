/*
 * expr.c -- bound expressions as trees: walking, comparing, copying, and computing what is constant.
 */
#include "sql/query.h"

#include <string.h>

bool expr_walk(const struct expr *expr, bool (*visit)(void *arg, const struct expr *expr), void *arg)
{
    if (!expr)
        return true;
    if (!visit(arg, expr))
        return false;
    for (int i = 0; i < expr->arg_count; i++)
        if (!expr_walk(expr->args[i], visit, arg))
            return false;
    if (expr->kind != EXPR_AGGREGATE)
        return true;
    for (int i = 0; i < expr->order_count; i++)
        if (!expr_walk(expr->order[i].expr, visit, arg))
            return false;
    return expr_walk(expr->filter, visit, arg);
}

static bool visit_constant(void *arg, const struct expr *expr)
{
    switch (expr->kind) {
    case EXPR_COLUMN: case EXPR_SLOT: case EXPR_PARAM: case EXPR_OUTER: case EXPR_AGGREGATE: case EXPR_SERIES:
    case EXPR_SUBQUERY: case EXPR_DEFAULT:
        return false;
    case EXPR_FUNC:
        return expr->func->volatility == FUNC_IMMUTABLE;
    default:
        return true;
    }
}

bool expr_is_constant(const struct expr *expr) { return expr_walk(expr, visit_constant, NULL); }

static bool visit_other_kind(void *arg, const struct expr *expr) { return expr->kind != *(const enum expr_kind *)arg; }

bool expr_contains(const struct expr *expr, enum expr_kind kind) { return !expr_walk(expr, visit_other_kind, &kind); }

/* ---- equality ------------------------------------------------------------------------------------- */

static bool datum_equal(Oid type, const struct datum *a, const struct datum *b)
{
    if (a->null || b->null)
        return a->null == b->null;
    /* Byte for byte: 1.0 and 1.00 print differently, and so do the zeros. */
    switch (type_form(type)) {
    case FORM_BOOL: return a->b == b->b;
    case FORM_INT64: return a->i == b->i;
    case FORM_DOUBLE: return memcmp(&a->d, &b->d, sizeof a->d) == 0;
    case FORM_BYTES: return a->s.len == b->s.len && (a->s.len == 0 || memcmp(a->s.data, b->s.data, a->s.len) == 0);
    }
    return false;
}

static bool aggregate_equal(const struct expr *a, const struct expr *b)
{
    if (a->aggregate != b->aggregate || a->distinct != b->distinct || a->order_count != b->order_count ||
        (a->filter == NULL) != (b->filter == NULL) || (a->filter && !expr_equal(a->filter, b->filter)))
        return false;
    for (int i = 0; i < a->order_count; i++)
        if (a->order[i].descending != b->order[i].descending || a->order[i].nulls_first != b->order[i].nulls_first ||
            !expr_equal(a->order[i].expr, b->order[i].expr))
            return false;
    return true;
}

static bool same_node(const struct expr *a, const struct expr *b)
{
    switch (a->kind) {
    case EXPR_CONST: return datum_equal(a->type.oid, &a->value, &b->value);
    case EXPR_COLUMN: return a->range == b->range && a->column == b->column && a->level == b->level;
    case EXPR_SLOT: case EXPR_PARAM: case EXPR_OUTER: return a->slot == b->slot;
    case EXPR_FUNC: case EXPR_DISTINCT: case EXPR_NULLIF: case EXPR_IN: case EXPR_SERIES:
        return a->func == b->func && a->negated == b->negated;
    case EXPR_AGGREGATE: return aggregate_equal(a, b);
    case EXPR_SUBQUERY:
        return a->subquery_kind == b->subquery_kind && a->subquery_equal == b->subquery_equal && a->negated == b->negated
            && query_equal(a->subquery, b->subquery);
    default: return true;
    }
}

bool expr_equal(const struct expr *a, const struct expr *b)
{
    if (a == b)
        return true;
    if (!a || !b || a->kind != b->kind || a->type.oid != b->type.oid || a->type.modifier != b->type.modifier ||
        a->arg_count != b->arg_count || !same_node(a, b))
        return false;
    for (int i = 0; i < a->arg_count; i++)
        if (!expr_equal(a->args[i], b->args[i]))
            return false;
    return true;
}

/* ---- copies --------------------------------------------------------------------------------------- */

static int copy_datum(struct op *op, struct arena *arena, Oid type, struct datum *value)
{
    if (value->null || type_form(type) != FORM_BYTES)
        return 0;
    uint8_t *copy = arena_alloc(arena, value->s.len + 1);
    if (!copy)
        return op_out_of_memory(op);
    if (value->s.len)
        memcpy(copy, value->s.data, value->s.len);
    copy[value->s.len] = '\0';
    value->s.data = copy;
    return 0;
}

struct copier {
    struct op *op;
    struct arena *arena;
    struct expr *(*map)(void *arg, struct op *op, const struct expr *expr);
    void *arg;
};

static struct expr *copy(const struct copier *c, const struct expr *expr);

static int copy_aggregate(const struct copier *c, struct expr *made)
{
    const struct sort_key *order = made->order;
    if (made->filter && !(made->filter = copy(c, made->filter)))
        return OP_FAILED;
    if (made->order_count == 0)
        return 0;
    made->order = op_arena_alloc(c->op, c->arena, sizeof *made->order * (size_t)made->order_count);
    if (!made->order)
        return OP_FAILED;
    for (int i = 0; i < made->order_count; i++) {
        made->order[i] = order[i];
        if (!(made->order[i].expr = copy(c, order[i].expr)))
            return OP_FAILED;
    }
    return 0;
}

static struct expr *copy(const struct copier *c, const struct expr *expr)
{
    struct expr *made = c->map ? c->map(c->arg, c->op, expr) : NULL;
    if (made)
        return made;
    if (op_failed(c->op) || !(made = op_arena_alloc(c->op, c->arena, sizeof *made)))
        return NULL;
    *made = *expr;
    if (expr->kind == EXPR_CONST && copy_datum(c->op, c->arena, expr->type.oid, &made->value) != 0)
        return NULL;
    if (expr->arg_count) {
        made->args = op_arena_alloc(c->op, c->arena, sizeof *made->args * (size_t)expr->arg_count);
        if (!made->args)
            return NULL;
        for (int i = 0; i < expr->arg_count; i++)
            if (!(made->args[i] = copy(c, expr->args[i])))
                return NULL;
    }
    return expr->kind == EXPR_AGGREGATE && copy_aggregate(c, made) != 0 ? NULL : made;
}

struct expr *expr_copy(struct op *op, struct arena *arena, const struct expr *expr,
                       struct expr *(*map)(void *arg, struct op *op, const struct expr *expr), void *arg)
{
    struct copier copier = { op, arena, map, arg };
    return copy(&copier, expr);
}

/* ---- folding -------------------------------------------------------------------------------------- */

static struct expr *make_constant(struct op *op, struct arena *arena, const struct expr *like,
                                  const struct datum *value)
{
    struct expr *made = op_arena_alloc(op, arena, sizeof *made);
    if (!made)
        return NULL;
    made->kind = EXPR_CONST;
    made->type = like->type;
    made->position = like->position;
    made->value = *value;
    return copy_datum(op, arena, made->type.oid, &made->value) == 0 ? made : NULL;
}

/* Replaces a constant tree by its value, unless computing it fails: then that is the run's business, if it comes to
 * it. */
static int fold_constant(struct op *op, struct arena *arena, struct expr **expr)
{
    struct op scratch;
    struct program *program;
    struct datum value;
    int result = 0;

    op_init(&scratch);
    struct eval_env env = { .op = &scratch, .arena = &scratch.arena };
    if (program_compile(&scratch, &scratch.arena, *expr, NULL, &program) == 0 &&
        program_value(&env, program, &value) == 0) {
        struct expr *made = make_constant(op, arena, *expr, &value);
        if (made)
            *expr = made;
        else
            result = OP_FAILED;
    }
    op_end(&scratch);
    return result;
}

static bool is_bool(const struct expr *expr, bool value)
{
    return expr->kind == EXPR_CONST && !expr->value.null && expr->value.b == value;
}

static bool is_null(const struct expr *expr) { return expr->kind == EXPR_CONST && expr->value.null; }

/* x AND true is x; x AND false is false; and with OR the other way round. */
static int fold_junction(struct op *op, struct arena *arena, struct expr **expr)
{
    struct expr *e = *expr;
    bool neutral = e->kind == EXPR_AND;
    int kept = 0;
    for (int i = 0; i < e->arg_count; i++) {
        if (is_bool(e->args[i], !neutral)) {
            *expr = e->args[i];
            return 0;
        }
        if (!is_bool(e->args[i], neutral))
            e->args[kept++] = e->args[i];
    }
    e->arg_count = kept;
    if (kept == 1)
        *expr = e->args[0];
    if (kept > 0)
        return 0;
    struct expr *made = make_constant(op, arena, e, &(struct datum){ .b = neutral });
    if (!made)
        return OP_FAILED;
    *expr = made;
    return 0;
}

/* Branches that are never taken go; one that is always taken ends the list. */
static void fold_case(struct expr **expr)
{
    struct expr *e = *expr, *last = e->args[e->arg_count - 1];
    int kept = 0;
    for (int i = 0; i + 1 < e->arg_count; i += 2) {
        if (is_bool(e->args[i], false) || is_null(e->args[i]))
            continue;
        if (is_bool(e->args[i], true)) {
            last = e->args[i + 1];
            break;
        }
        e->args[kept] = e->args[i];
        e->args[kept + 1] = e->args[i + 1];
        kept += 2;
    }
    e->args[kept] = last;
    e->arg_count = kept + 1;
    if (kept == 0)
        *expr = last;
}

static void fold_coalesce(struct expr **expr)
{
    struct expr *e = *expr;
    int kept = 0;
    for (int i = 0; i < e->arg_count; i++) {
        if (is_null(e->args[i]) && (i + 1 < e->arg_count || kept > 0))
            continue;
        e->args[kept++] = e->args[i];
        if (e->args[i]->kind == EXPR_CONST)
            break;
    }
    e->arg_count = kept;
    if (kept == 1)
        *expr = e->args[0];
}

/* A strict function of null is null. */
static int fold_strict(struct op *op, struct arena *arena, struct expr **expr)
{
    struct expr *e = *expr;
    if (!e->func->strict || e->func->volatility == FUNC_VOLATILE || e->func->set_returning)
        return 0;
    for (int i = 0; i < e->arg_count; i++)
        if (is_null(e->args[i])) {
            struct expr *made = make_constant(op, arena, e, &(struct datum){ .null = true });
            if (!made)
                return OP_FAILED;
            *expr = made;
            return 0;
        }
    return 0;
}

int expr_fold(struct op *op, struct arena *arena, struct expr **expr)
{
    struct expr *e = *expr;
    if (!e || e->kind == EXPR_CONST)
        return 0;
    for (int i = 0; i < e->arg_count; i++)
        if (expr_fold(op, arena, &e->args[i]) != 0)
            return OP_FAILED;
    if (e->kind == EXPR_AGGREGATE) {
        for (int i = 0; i < e->order_count; i++)
            if (expr_fold(op, arena, &e->order[i].expr) != 0)
                return OP_FAILED;
        return expr_fold(op, arena, &e->filter);
    }
    switch (e->kind) {
    case EXPR_AND: case EXPR_OR:
        if (fold_junction(op, arena, expr) != 0)
            return OP_FAILED;
        break;
    case EXPR_CASE: fold_case(expr); break;
    case EXPR_COALESCE: fold_coalesce(expr); break;
    case EXPR_FUNC:
        if (fold_strict(op, arena, expr) != 0)
            return OP_FAILED;
        break;
    default: break;
    }
    if ((*expr)->kind == EXPR_CONST || !expr_is_constant(*expr))
        return 0;
    return fold_constant(op, arena, expr);
}

/* ---- implication ---------------------------------------------------------------------------------- */

/* A condition that is true only when this is not null. */
static bool needs_value(const struct expr *condition, const struct expr *value)
{
    if (expr_equal(condition, value))
        return true;
    if (condition->kind == EXPR_IS_NOT_NULL)
        return expr_equal(condition->args[0], value);
    bool strict = (condition->kind == EXPR_FUNC && condition->func->strict) || condition->kind == EXPR_RELABEL ||
                  (condition->kind == EXPR_IN && !condition->negated);
    for (int i = 0; strict && i < (condition->kind == EXPR_IN ? 1 : condition->arg_count); i++)
        if (needs_value(condition->args[i], value))
            return true;
    return false;
}

static bool implied_by(const struct expr *given, const struct expr *predicate)
{
    if (given->kind == EXPR_AND) {
        for (int i = 0; i < given->arg_count; i++)
            if (implied_by(given->args[i], predicate))
                return true;
        return false;
    }
    return expr_equal(given, predicate) ||
           (predicate->kind == EXPR_IS_NOT_NULL && needs_value(given, predicate->args[0]));
}

bool expr_implied(const struct expr *const *given, int count, const struct expr *predicate)
{
    if (predicate->kind == EXPR_AND) {
        for (int i = 0; i < predicate->arg_count; i++)
            if (!expr_implied(given, count, predicate->args[i]))
                return false;
        return true;
    }
    for (int i = 0; i < count; i++)
        if (implied_by(given[i], predicate))
            return true;
    return false;
}
