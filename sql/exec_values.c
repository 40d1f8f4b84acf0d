/*
 * exec_values.c -- rows from nowhere: one row of nothing, a gate, VALUES.
 */
#include "sql/exec_int.h"

/* ---- one row of nothing --------------------------------------------------------------------------- */

struct result_operator {
    struct operator base;
    bool done;
};

static int result_start(struct op *op, struct operator *o)
{
    ((struct result_operator *)o)->done = false;
    return OP_OK;
}

static int result_next(struct op *op, struct operator *o, int goal, struct batch **batch)
{
    struct result_operator *r = (struct result_operator *)o;

    *batch = NULL;
    if (r->done)
        return OP_OK;
    r->done = true;
    arena_reset(&o->results);
    o->out.count = o->out.selected = 1;
    o->out.selection = NULL;
    if (exec__filter(op, o))
        return OP_FAILED;
    if (o->out.selected)
        *batch = &o->out;
    return OP_OK;
}

static const struct operator_methods result_methods = { result_start, result_next, exec__stop_nothing, NULL };

int exec__make_result(struct op *op, struct execution *execution, const struct plan_node *node, struct operator **result)
{
    struct result_operator *r;

    if (exec__new(op, execution, node, sizeof *r, &result_methods, &r))
        return OP_FAILED;
    *result = &r->base;
    return exec__make_out(op, &r->base);
}

/* ---- a condition that no row has a part in -------------------------------------------------------- */

struct gate_operator {
    struct operator base;
    struct batch empty;             /* one row of no columns */
    bool checked, open;
};

static int gate_start(struct op *op, struct operator *o)
{
    ((struct gate_operator *)o)->checked = false;
    return OP_OK;
}

static int gate_next(struct op *op, struct operator *o, int goal, struct batch **batch)
{
    struct gate_operator *g = (struct gate_operator *)o;

    *batch = NULL;
    if (!g->checked) {
        arena_reset(&o->results);
        g->empty = (struct batch){ .count = 1, .selected = 1 };
        if (program_filter(exec__env(o), o->filter, &g->empty, o->selection))
            return OP_FAILED;
        g->checked = true;
        g->open = g->empty.selected > 0;
        if (g->open && exec__start(op, o->left))
            return OP_FAILED;
    }
    return g->open ? exec__next(op, o->left, goal, batch) : OP_OK;
}

static const struct operator_methods gate_methods = { gate_start, gate_next, exec__stop_nothing, NULL };

int exec__make_gate(struct op *op, struct execution *execution, const struct plan_node *node, struct operator **result)
{
    struct gate_operator *g;

    if (exec__new(op, execution, node, sizeof *g, &gate_methods, &g))
        return OP_FAILED;
    *result = &g->base;
    return OP_OK;
}

/* ---- VALUES --------------------------------------------------------------------------------------- */

struct values_operator {
    struct operator base;
    struct program **programs;
    int at;
};

static int values_start(struct op *op, struct operator *o)
{
    ((struct values_operator *)o)->at = 0;
    return OP_OK;
}

static int values_next(struct op *op, struct operator *o, int goal, struct batch **batch)
{
    struct values_operator *v = (struct values_operator *)o;
    int columns = o->node->column_count;
    int most = goal < BATCH_ROWS ? goal : BATCH_ROWS;

    *batch = NULL;
    do {
        arena_reset(&o->results);
        struct eval_env *env = exec__env(o);
        exec__clear_nulls(&o->out);
        o->out.count = 0;
        o->out.selection = NULL;
        for (; v->at < o->node->values.row_count && o->out.count < most; v->at++, o->out.count++) {
            for (int i = 0; i < columns; i++) {
                const struct expr *expr = o->node->values.values[v->at * columns + i];
                struct datum value;
                if (expr->kind == EXPR_CONST)
                    value = expr->value;
                else if (program_value(env, v->programs[v->at * columns + i], &value))
                    return OP_FAILED;
                vector_set(&o->out.vectors[i], o->out.count, &value);
            }
        }
        o->out.selected = o->out.count;
        if (exec__filter(op, o))
            return OP_FAILED;
    } while (o->out.count && !o->out.selected);
    if (o->out.count)
        *batch = &o->out;
    return OP_OK;
}

static const struct operator_methods values_methods = { values_start, values_next, exec__stop_nothing, NULL };

int exec__make_values(struct op *op, struct execution *execution, const struct plan_node *node, struct operator **result)
{
    struct values_operator *v;
    int count = node->values.row_count * node->column_count;

    if (exec__new(op, execution, node, sizeof *v, &values_methods, &v))
        return OP_FAILED;
    v->programs = op_arena_alloc(op, &execution->arena, (count + 1) * sizeof *v->programs);
    if (!v->programs)
        return OP_FAILED;
    for (int i = 0; i < count; i++)
        if (node->values.values[i]->kind != EXPR_CONST && exec__compile(op, execution, node->values.values[i], &v->programs[i]))
            return OP_FAILED;
    *result = &v->base;
    return exec__make_out(op, &v->base);
}
