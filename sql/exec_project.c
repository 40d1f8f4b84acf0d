/*
 * exec_project.c -- operators that change columns or cut rows off: projections, sub-selects in FROM, LIMIT.
 */
#include <limits.h>

#include "sql/exec_int.h"

/* ---- projection, and a sub-select in FROM --------------------------------------------------------- */

struct project_operator {
    struct operator base;
    struct program **programs;
};

static int project_start(struct op *op, struct operator *o)
{
    return exec__start(op, o->left);
}

static int project_next(struct op *op, struct operator *o, int goal, struct batch **batch)
{
    struct project_operator *p = (struct project_operator *)o;
    struct batch *in;

    *batch = NULL;
    do {
        if (exec__next(op, o->left, goal, &in))
            return OP_FAILED;
        if (!in)
            return OP_OK;
    } while (in->selected == 0);
    arena_reset(&o->results);
    struct eval_env *env = exec__env(o);
    o->out.count = in->count;
    o->out.selected = in->selected;
    o->out.selection = in->selection;
    for (int i = 0; i < o->node->project.count; i++) {
        const struct expr *expr = o->node->project.exprs[i];
        if (expr->kind == EXPR_SLOT) {
            o->out.vectors[i] = in->vectors[expr->slot];
            continue;
        }
        const struct vector *vector;
        if (program_run(env, p->programs[i], in, &vector))
            return OP_FAILED;
        o->out.vectors[i] = *vector;
    }
    *batch = &o->out;
    return OP_OK;
}

static const struct operator_methods project_methods = { project_start, project_next, exec__stop_nothing, NULL };

int exec__make_project(struct op *op, struct execution *execution, const struct plan_node *node, struct operator **result)
{
    struct project_operator *p;

    if (exec__new(op, execution, node, sizeof *p, &project_methods, &p))
        return OP_FAILED;
    p->programs = op_arena_alloc(op, &execution->arena, (node->project.count + 1) * sizeof *p->programs);
    p->base.out.columns = node->column_count;
    p->base.out.vectors = op_arena_alloc(op, &execution->arena, (node->column_count + 1) * sizeof *p->base.out.vectors);
    if (!p->programs || !p->base.out.vectors)
        return OP_FAILED;
    for (int i = 0; i < node->project.count; i++)
        if (node->project.exprs[i]->kind != EXPR_SLOT && exec__compile(op, execution, node->project.exprs[i], &p->programs[i]))
            return OP_FAILED;
    *result = &p->base;
    return OP_OK;
}

/* The child's columns as they are, behind a condition of its own. */
static int subquery_scan_next(struct op *op, struct operator *o, int goal, struct batch **batch)
{
    struct batch *in;

    *batch = NULL;
    do {
        if (exec__next(op, o->left, goal, &in))
            return OP_FAILED;
        if (!in)
            return OP_OK;
        o->out.count = in->count;
        o->out.selected = in->selected;
        o->out.selection = in->selection;
        for (int i = 0; i < o->node->column_count; i++)
            o->out.vectors[i] = in->vectors[i];
        arena_reset(&o->results);
        if (exec__filter(op, o))
            return OP_FAILED;
    } while (o->out.selected == 0);
    *batch = &o->out;
    return OP_OK;
}

static const struct operator_methods subquery_scan_methods = { project_start, subquery_scan_next, exec__stop_nothing, NULL };

int exec__make_subquery_scan(struct op *op, struct execution *execution, const struct plan_node *node, struct operator **result)
{
    struct operator *o;

    if (exec__new(op, execution, node, sizeof *o, &subquery_scan_methods, &o))
        return OP_FAILED;
    o->out.columns = node->column_count;
    o->out.vectors = op_arena_alloc(op, &execution->arena, (node->column_count + 1) * sizeof *o->out.vectors);
    *result = o;
    return o->out.vectors ? OP_OK : OP_FAILED;
}

/* ---- LIMIT ---------------------------------------------------------------------------------------- */

struct limit_operator {
    struct operator base;
    struct program *limit, *offset;
    int64_t to_skip, left;          /* left < 0: no limit */
    bool computed;
};

static int limit_start(struct op *op, struct operator *o)
{
    ((struct limit_operator *)o)->computed = false;
    return OP_OK;
}

static int limit_compute(struct op *op, struct operator *o)
{
    struct limit_operator *l = (struct limit_operator *)o;
    struct datum value;

    arena_reset(&o->results);
    struct eval_env *env = exec__env(o);
    l->to_skip = 0;
    l->left = -1;
    if (l->offset) {
        if (program_value(env, l->offset, &value))
            return OP_FAILED;
        if (!value.null && value.i < 0)
            return op_fail(op, "2201X", "OFFSET must not be negative");
        l->to_skip = value.null ? 0 : value.i;
    }
    if (l->limit) {
        if (program_value(env, l->limit, &value))
            return OP_FAILED;
        if (!value.null && value.i < 0)
            return op_fail(op, "2201W", "LIMIT must not be negative");
        l->left = value.null ? -1 : value.i;
    }
    l->computed = true;
    return l->left == 0 ? OP_OK : exec__start(op, o->left);
}

/* Cuts the batch's selected rows to [from, from + count). */
static void cut(struct operator *o, const struct batch *in, int from, int count)
{
    o->out.vectors = in->vectors;
    o->out.columns = in->columns;
    o->out.count = in->count;
    o->out.selection = o->selection;
    o->out.selected = count;
    for (int i = 0; i < count; i++)
        o->selection[i] = (uint16_t)batch_row(in, from + i);
}

static int limit_next(struct op *op, struct operator *o, int goal, struct batch **batch)
{
    struct limit_operator *l = (struct limit_operator *)o;
    struct batch *in;

    *batch = NULL;
    if (!l->computed && limit_compute(op, o))
        return OP_FAILED;
    for (;;) {
        if (l->left == 0)
            return OP_OK;
        int64_t want = l->left < 0 || l->left > goal ? goal : l->left;
        want = want > INT_MAX - l->to_skip ? INT_MAX : want + l->to_skip;
        if (exec__next(op, o->left, (int)want, &in))
            return OP_FAILED;
        if (!in)
            return OP_OK;
        if (in->selected <= l->to_skip) {
            l->to_skip -= in->selected;
            continue;
        }
        int from = (int)l->to_skip, count = in->selected - from;
        l->to_skip = 0;
        if (l->left >= 0 && count > l->left)
            count = (int)l->left;
        if (l->left > 0)
            l->left -= count;
        if (from == 0 && count == in->selected) {
            *batch = in;
            return OP_OK;
        }
        cut(o, in, from, count);
        *batch = &o->out;
        return OP_OK;
    }
}

static const struct operator_methods limit_methods = { limit_start, limit_next, exec__stop_nothing, NULL };

int exec__make_limit(struct op *op, struct execution *execution, const struct plan_node *node, struct operator **result)
{
    struct limit_operator *l;

    if (exec__new(op, execution, node, sizeof *l, &limit_methods, &l))
        return OP_FAILED;
    if (node->limit.limit && exec__compile(op, execution, node->limit.limit, &l->limit))
        return OP_FAILED;
    if (node->limit.offset && exec__compile(op, execution, node->limit.offset, &l->offset))
        return OP_FAILED;
    *result = &l->base;
    return OP_OK;
}
