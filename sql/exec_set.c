/*
 * exec_set.c -- the small operators: results, values, series, projections, limits, appends.
 */
#include <limits.h>
#include <string.h>

#include "sql/exec_int.h"

static int make_out(struct op *op, struct operator *o)
{
    struct arena *arena = &o->execution->arena;
    enum type_form *forms = exec__forms(op, arena, o->node->types, o->node->column_count);

    return forms ? batch_init(op, arena, o->node->column_count, forms, &o->out) : OP_FAILED;
}

static void stop_nothing(struct operator *o)
{
}

static void clear_nulls(struct batch *batch)
{
    for (int i = 0; i < batch->columns; i++)
        batch->vectors[i].has_nulls = false;
}

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

static const struct operator_methods result_methods = { result_start, result_next, stop_nothing, NULL };

int exec__make_result(struct op *op, struct execution *execution, const struct plan_node *node, struct operator **result)
{
    struct result_operator *r;

    if (exec__new(op, execution, node, sizeof *r, &result_methods, &r))
        return OP_FAILED;
    *result = &r->base;
    return make_out(op, &r->base);
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

static const struct operator_methods gate_methods = { gate_start, gate_next, stop_nothing, NULL };

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
        clear_nulls(&o->out);
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

static const struct operator_methods values_methods = { values_start, values_next, stop_nothing, NULL };

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
    return make_out(op, &v->base);
}

/* ---- a series in FROM ----------------------------------------------------------------------------- */

struct series_operator {
    struct operator base;
    struct program **programs;
    struct arena arena;             /* the running series */
    struct func_series *series;
};

static int series_open(struct op *op, struct eval_env *env, const struct func *func, struct program **programs, int count,
                       struct arena *arena, struct func_series **series)
{
    struct datum args[FUNC_ARGS_MAX];

    *series = NULL;
    for (int i = 0; i < count; i++) {
        if (program_value(env, programs[i], &args[i]))
            return OP_FAILED;
        if (args[i].null)
            return OP_OK;
    }
    return func_series_open(op, func, args, count, arena, series);
}

static int series_start(struct op *op, struct operator *o)
{
    struct series_operator *s = (struct series_operator *)o;

    arena_reset(&s->arena);
    arena_reset(&o->results);
    return series_open(op, exec__env(o), o->node->series.func, s->programs, o->node->series.arg_count, &s->arena, &s->series);
}

static int series_next(struct op *op, struct operator *o, int goal, struct batch **batch)
{
    struct series_operator *s = (struct series_operator *)o;
    int most = goal < BATCH_ROWS && !o->filter ? goal : BATCH_ROWS;

    *batch = NULL;
    if (!s->series)
        return OP_OK;
    do {
        clear_nulls(&o->out);
        o->out.selection = NULL;
        if (func_series_next(op, s->series, most, &o->out.vectors[0], &o->out.count))
            return OP_FAILED;
        o->out.selected = o->out.count;
        if (o->out.count == 0)
            return OP_OK;
        arena_reset(&o->results);
        if (exec__filter(op, o) || op_check_cancel(op))
            return OP_FAILED;
    } while (!o->out.selected);
    *batch = &o->out;
    return OP_OK;
}

static void series_free(struct operator *o)
{
    arena_free(&((struct series_operator *)o)->arena);
}

static const struct operator_methods series_methods = { series_start, series_next, stop_nothing, series_free };

int exec__make_series(struct op *op, struct execution *execution, const struct plan_node *node, struct operator **result)
{
    struct series_operator *s;

    if (exec__new(op, execution, node, sizeof *s, &series_methods, &s))
        return OP_FAILED;
    arena_init(&s->arena);
    if (exec__compile_list(op, execution, node->series.args, node->series.arg_count, &s->programs))
        return OP_FAILED;
    *result = &s->base;
    return make_out(op, &s->base);
}

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

static const struct operator_methods project_methods = { project_start, project_next, stop_nothing, NULL };

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

static const struct operator_methods subquery_scan_methods = { project_start, subquery_scan_next, stop_nothing, NULL };

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

/* ---- series in the select list -------------------------------------------------------------------- */

struct project_set_operator {
    struct operator base;
    int series_count;
    const struct func **funcs;
    int *arg_counts;
    struct program ***programs;     /* per series, its arguments */
    struct func_series **series;
    struct vector **ahead;          /* what each running series has given and is not yet used */
    int *ahead_at, *ahead_count;
    struct arena arena;             /* the running series */
    struct batch *in;
    const struct vector ***args;    /* per series, its arguments for the batch */
    int at;                         /* position among the selected input rows */
    bool running;
};

static int project_set_start(struct op *op, struct operator *o)
{
    struct project_set_operator *p = (struct project_set_operator *)o;

    p->in = NULL;
    p->running = false;
    return exec__start(op, o->left);
}

/* The arguments of every series for the whole input batch. */
static int project_set_args(struct op *op, struct project_set_operator *p)
{
    arena_reset(&p->base.results);
    struct eval_env *env = exec__env(&p->base);
    for (int i = 0; i < p->series_count; i++)
        for (int j = 0; j < p->arg_counts[i]; j++)
            if (program_run(env, p->programs[i][j], p->in, &p->args[i][j]))
                return OP_FAILED;
    return OP_OK;
}

static int project_set_open(struct op *op, struct project_set_operator *p, int row)
{
    arena_reset(&p->arena);
    for (int i = 0; i < p->series_count; i++) {
        struct datum args[FUNC_ARGS_MAX];
        bool null = false;
        for (int j = 0; j < p->arg_counts[i]; j++) {
            vector_get(p->args[i][j], row, &args[j]);
            null |= args[j].null;
        }
        p->series[i] = NULL;
        p->ahead_at[i] = p->ahead_count[i] = 0;
        if (!null && func_series_open(op, p->funcs[i], args, p->arg_counts[i], &p->arena, &p->series[i]))
            return OP_FAILED;
    }
    p->running = true;
    return OP_OK;
}

/* One output row from the running series: *any = false when all have ended.  Ended ones give NULL beside longer ones. */
static int project_set_row(struct op *op, struct project_set_operator *p, int row, bool *any)
{
    int base = p->base.node->column_count - p->series_count, to = p->base.out.count;

    *any = false;
    for (int i = 0; i < p->series_count; i++) {
        if (p->series[i] && p->ahead_at[i] == p->ahead_count[i]) {
            p->ahead_at[i] = 0;
            p->ahead[i]->has_nulls = false;
            if (func_series_next(op, p->series[i], BATCH_ROWS, p->ahead[i], &p->ahead_count[i]))
                return OP_FAILED;
            if (p->ahead_count[i] == 0)
                p->series[i] = NULL;
        }
        *any |= p->series[i] != NULL;
    }
    if (!*any)
        return OP_OK;
    for (int i = 0; i < p->series_count; i++) {
        struct vector *out = &p->base.out.vectors[base + i];
        if (!p->series[i])
            vector_set(out, to, &(struct datum){ .null = true });
        else if (exec__vector_copy(op, NULL, p->ahead[i], p->ahead_at[i]++, out, to))
            return OP_FAILED;
    }
    for (int i = 0; i < base; i++)
        if (exec__vector_copy(op, NULL, &p->in->vectors[i], row, &p->base.out.vectors[i], to))
            return OP_FAILED;
    p->base.out.count++;
    return OP_OK;
}

static int project_set_next(struct op *op, struct operator *o, int goal, struct batch **batch)
{
    struct project_set_operator *p = (struct project_set_operator *)o;
    int most = goal < BATCH_ROWS ? goal : BATCH_ROWS;

    *batch = NULL;
    clear_nulls(&o->out);
    o->out.count = 0;
    o->out.selection = NULL;
    while (o->out.count < most) {
        if (!p->in || p->at == p->in->selected) {
            if (o->out.count)
                break;          /* the values given out borrow from the input batch */
            if (exec__next(op, o->left, goal, &p->in))
                return OP_FAILED;
            if (!p->in)
                break;
            p->at = 0;
            if (project_set_args(op, p))
                return OP_FAILED;
            continue;
        }
        int row = batch_row(p->in, p->at);
        bool any;
        if (!p->running && project_set_open(op, p, row))
            return OP_FAILED;
        if (project_set_row(op, p, row, &any))
            return OP_FAILED;
        if (!any) {
            p->running = false;
            p->at++;
        }
    }
    o->out.selected = o->out.count;
    if (o->out.count)
        *batch = &o->out;
    return OP_OK;
}

static void project_set_free(struct operator *o)
{
    arena_free(&((struct project_set_operator *)o)->arena);
}

static const struct operator_methods project_set_methods = { project_set_start, project_set_next, stop_nothing, project_set_free };

int exec__make_project_set(struct op *op, struct execution *execution, const struct plan_node *node, struct operator **result)
{
    struct project_set_operator *p;
    struct arena *arena = &execution->arena;

    if (exec__new(op, execution, node, sizeof *p, &project_set_methods, &p))
        return OP_FAILED;
    arena_init(&p->arena);
    int count = p->series_count = node->project.count;
    p->funcs = op_arena_alloc(op, arena, count * sizeof *p->funcs);
    p->arg_counts = op_arena_alloc(op, arena, count * sizeof *p->arg_counts);
    p->programs = op_arena_alloc(op, arena, count * sizeof *p->programs);
    p->series = op_arena_alloc(op, arena, count * sizeof *p->series);
    p->ahead = op_arena_alloc(op, arena, count * sizeof *p->ahead);
    p->ahead_at = op_arena_alloc(op, arena, count * sizeof *p->ahead_at);
    p->ahead_count = op_arena_alloc(op, arena, count * sizeof *p->ahead_count);
    p->args = op_arena_alloc(op, arena, count * sizeof *p->args);
    if (!p->funcs || !p->arg_counts || !p->programs || !p->series || !p->ahead || !p->ahead_at || !p->ahead_count || !p->args)
        return OP_FAILED;
    for (int i = 0; i < count; i++) {
        const struct expr *expr = node->project.exprs[i];
        p->funcs[i] = expr->func;
        p->arg_counts[i] = expr->arg_count;
        p->ahead[i] = op_arena_alloc(op, arena, sizeof **p->ahead);
        p->args[i] = op_arena_alloc(op, arena, FUNC_ARGS_MAX * sizeof **p->args);
        if (!p->ahead[i] || !p->args[i] || vector_init(op, arena, type_form(expr->type.oid), p->ahead[i])
            || exec__compile_list(op, execution, expr->args, expr->arg_count, &p->programs[i]))
            return OP_FAILED;
    }
    *result = &p->base;
    return make_out(op, &p->base);
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

static const struct operator_methods limit_methods = { limit_start, limit_next, stop_nothing, NULL };

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

/* ---- UNION ALL ------------------------------------------------------------------------------------ */

struct append_operator {
    struct operator base;
    struct operator **children;
    int at;
    bool started;
};

static int append_start(struct op *op, struct operator *o)
{
    struct append_operator *a = (struct append_operator *)o;

    a->at = 0;
    a->started = false;
    return OP_OK;
}

static int append_next(struct op *op, struct operator *o, int goal, struct batch **batch)
{
    struct append_operator *a = (struct append_operator *)o;

    *batch = NULL;
    for (; a->at < o->node->append.count; a->at++, a->started = false) {
        if (!a->started && exec__start(op, a->children[a->at]))
            return OP_FAILED;
        a->started = true;
        if (exec__next(op, a->children[a->at], goal, batch))
            return OP_FAILED;
        if (*batch)
            return OP_OK;
        exec__stop(a->children[a->at]);
    }
    return OP_OK;
}

static void append_stop(struct operator *o)
{
    struct append_operator *a = (struct append_operator *)o;

    for (int i = 0; i < o->node->append.count; i++)
        exec__stop(a->children[i]);
}

static const struct operator_methods append_methods = { append_start, append_next, append_stop, NULL };

int exec__make_append(struct op *op, struct execution *execution, const struct plan_node *node, struct operator **result)
{
    struct append_operator *a;

    if (exec__new(op, execution, node, sizeof *a, &append_methods, &a))
        return OP_FAILED;
    a->children = op_arena_alloc(op, &execution->arena, node->append.count * sizeof *a->children);
    if (!a->children)
        return OP_FAILED;
    for (int i = 0; i < node->append.count; i++)
        if (exec__make(op, execution, node->append.children[i], &a->children[i]))
            return OP_FAILED;
    *result = &a->base;
    return OP_OK;
}
