/*
 * exec_series.c -- set-returning functions, in FROM and in the select list.
 */
#include "sql/exec_int.h"

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
        exec__clear_nulls(&o->out);
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

static const struct operator_methods series_methods = { series_start, series_next, exec__stop_nothing, series_free };

int exec__make_series(struct op *op, struct execution *execution, const struct plan_node *node, struct operator **result)
{
    struct series_operator *s;

    if (exec__new(op, execution, node, sizeof *s, &series_methods, &s))
        return OP_FAILED;
    arena_init(&s->arena);
    if (exec__compile_list(op, execution, node->series.args, node->series.arg_count, &s->programs))
        return OP_FAILED;
    *result = &s->base;
    return exec__make_out(op, &s->base);
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
    exec__clear_nulls(&o->out);
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

static const struct operator_methods project_set_methods = { project_set_start, project_set_next, exec__stop_nothing, project_set_free };

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
    return exec__make_out(op, &p->base);
}
