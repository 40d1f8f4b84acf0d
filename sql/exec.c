/*
 * exec.c -- running a plan: an execution, its operators, and the one place through which all batches pass.
 *
 * An execution is made once for a prepared statement and then started as often as the statement is run.  What a run needs lies in
 * arenas that keep their memory, so that a point query costs no allocation after its first run.
 *
 *      execution_make     operators bottom up, programs compiled, vectors with room for a batch
 *      execution_start    parameters and snapshot are there: the root is started, and starts its children as it needs them
 *      execution_next     the root's next batch
 *      execution_stop     cursors closed, spill files and large memory given back
 */
#include <limits.h>
#include <string.h>

#include "sql/advisory.h"
#include "sql/exec_int.h"
#include "src/base/mem.h"

static exec_maker *const makers[] = {
    [PLAN_RESULT] = exec__make_result,
    [PLAN_GATE] = exec__make_gate,
    [PLAN_VALUES] = exec__make_values,
    [PLAN_SERIES] = exec__make_series,
    [PLAN_SCAN] = exec__make_scan,
    [PLAN_SUBQUERY_SCAN] = exec__make_subquery_scan,
    [PLAN_NEST_LOOP] = exec__make_nest_loop,
    [PLAN_HASH_JOIN] = exec__make_hash_join,
    [PLAN_MATERIALIZE] = exec__make_materialize,
    [PLAN_AGGREGATE] = exec__make_aggregate,
    [PLAN_PROJECT] = exec__make_project,
    [PLAN_PROJECT_SET] = exec__make_project_set,
    [PLAN_SORT] = exec__make_sort,
    [PLAN_LIMIT] = exec__make_limit,
    [PLAN_LOCK_ROWS] = exec__make_lock_rows,
    [PLAN_APPEND] = exec__make_append,
    [PLAN_SET] = exec__make_set,
};

/* ---- operators ------------------------------------------------------------------------------------ */

int exec__make(struct op *op, struct execution *execution, const struct plan_node *node, struct operator **o)
{
    return makers[node->kind](op, execution, node, o);
}

enum type_form *exec__forms(struct op *op, struct arena *arena, const struct sql_type *types, int count)
{
    enum type_form *forms = op_arena_alloc(op, arena, (count + 1) * sizeof *forms);

    for (int i = 0; forms && i < count; i++)
        forms[i] = type_form(types[i].oid);
    return forms;
}

int exec__make_out(struct op *op, struct operator *o)
{
    struct arena *arena = &o->execution->arena;
    enum type_form *forms = exec__forms(op, arena, o->node->types, o->node->column_count);

    return forms ? batch_init(op, arena, o->node->column_count, forms, &o->out) : OP_FAILED;
}

void exec__clear_nulls(struct batch *batch)
{
    for (int i = 0; i < batch->columns; i++)
        batch->vectors[i].has_nulls = false;
}

void exec__stop_nothing(struct operator *o)
{
}

int exec__new(struct op *op, struct execution *execution, const struct plan_node *node, size_t size,
              const struct operator_methods *methods, void *result)
{
    struct operator *o = op_arena_alloc(op, &execution->arena, size);

    *(struct operator **)result = NULL;
    if (!o)
        return OP_FAILED;
    o->methods = methods;
    o->node = node;
    o->execution = execution;
    arena_init(&o->results);
    o->selection = op_arena_alloc(op, &execution->arena, BATCH_ROWS * sizeof *o->selection);
    if (!o->selection)
        return OP_FAILED;
    if (node->id >= execution->operator_count) {
        int count = node->id + 16;
        struct operator **operators = op_arena_alloc(op, &execution->arena, count * sizeof *operators);
        if (!operators)
            return OP_FAILED;
        if (execution->operator_count)
            memcpy(operators, execution->operators, execution->operator_count * sizeof *operators);
        execution->operators = operators;
        execution->operator_count = count;
    }
    execution->operators[node->id] = o;
    *(struct operator **)result = o;
    if (node->left && exec__make(op, execution, node->left, &o->left))
        return OP_FAILED;
    if (node->right && exec__make(op, execution, node->right, &o->right))
        return OP_FAILED;
    if (node->filter && exec__compile(op, execution, node->filter, &o->filter))
        return OP_FAILED;
    return OP_OK;
}

int exec__compile(struct op *op, struct execution *execution, const struct expr *expr, struct program **program)
{
    return program_compile(op, &execution->arena, expr, &execution->hooks, program);
}

int exec__compile_list(struct op *op, struct execution *execution, struct expr *const *exprs, int count, struct program ***programs)
{
    *programs = op_arena_alloc(op, &execution->arena, (count + 1) * sizeof **programs);
    if (!*programs)
        return OP_FAILED;
    for (int i = 0; i < count; i++)
        if (exprs[i] && exec__compile(op, execution, exprs[i], &(*programs)[i]))
            return OP_FAILED;
    return OP_OK;
}

int exec__filter(struct op *op, struct operator *o)
{
    int before = o->out.selected;

    if (!o->filter || before == 0)
        return OP_OK;
    if (program_filter(exec__env(o), o->filter, &o->out, o->selection))
        return OP_FAILED;
    o->removed += before - o->out.selected;
    return OP_OK;
}

int exec__start(struct op *op, struct operator *o)
{
    o->started = true;
    o->loops++;
    o->counting_first = true;
    if (!o->execution->instrument)
        return o->methods->start(op, o);
    uint64_t begin = os_clock_ns();
    int result = o->methods->start(op, o);
    begin = os_clock_ns() - begin;
    o->total_ns += begin;
    o->first_ns += begin;
    return result;
}

int exec__next(struct op *op, struct operator *o, int goal, struct batch **batch)
{
    if (op_check_cancel(op))
        return OP_FAILED;
    uint64_t begin = o->execution->instrument ? os_clock_ns() : 0;
    int result = o->methods->next(op, o, goal, batch);
    if (begin) {
        uint64_t spent = os_clock_ns() - begin;
        o->total_ns += spent;
        if (o->counting_first)
            o->first_ns += spent;
        o->counting_first = false;
    }
    if (result == OP_OK && *batch)
        o->rows += (*batch)->selected;
    return result;
}

void exec__stop(struct operator *o)
{
    if (!o || !o->started)
        return;
    o->started = false;
    o->methods->stop(o);
    exec__stop(o->left);
    exec__stop(o->right);
    if (o->results.total > 256 * 1024)
        arena_free(&o->results);
}

static void free_operators(struct execution *execution)
{
    for (int i = 0; i < execution->operator_count; i++) {
        struct operator *o = execution->operators[i];
        if (!o)
            continue;
        if (o->methods->free)
            o->methods->free(o);
        arena_free(&o->results);
    }
}

/* ---- executions ----------------------------------------------------------------------------------- */

static int grow_subplans(struct op *op, struct execution *execution, int count)
{
    struct subplan_state **states = op_arena_alloc(op, &execution->arena, (count + 1) * sizeof *states);

    if (!states)
        return OP_FAILED;
    for (int i = 0; i < execution->subplan_count; i++)
        states[i] = execution->subplans[i];
    execution->subplans = states;
    execution->subplan_count = count;
    return OP_OK;
}

/* States for the sub-selects of a plan that have none yet. */
static int make_subplans(struct op *op, struct execution *execution, const struct plan *plan)
{
    if (plan->subplan_count > execution->subplan_count && grow_subplans(op, execution, plan->subplan_count))
        return OP_FAILED;
    for (const struct subplan *subplan = plan->subplans; subplan; subplan = subplan->next) {
        if (execution->subplans[subplan->id])
            continue;
        execution->subplans[subplan->id] = exec__subplan_make(op, execution, subplan);
        if (!execution->subplans[subplan->id])
            return OP_FAILED;
    }
    return OP_OK;
}

static int make_cells(struct op *op, struct execution *execution, int count)
{
    if (count <= execution->cell_count && execution->cells)
        return OP_OK;
    struct datum *cells = op_arena_alloc(op, &execution->arena, (count + 1) * sizeof *cells);
    if (!cells)
        return OP_FAILED;
    if (execution->cell_count)
        memcpy(cells, execution->cells, execution->cell_count * sizeof *cells);
    execution->cells = cells;
    execution->cell_count = count;
    execution->env.outer = cells;
    return OP_OK;
}

static int make_execution(struct op *op, struct execution *execution)
{
    const struct plan *plan = execution->plan;

    execution->operators = op_arena_alloc(op, &execution->arena, (plan->node_count + 1) * sizeof *execution->operators);
    if (!execution->operators)
        return OP_FAILED;
    execution->operator_count = plan->node_count;
    if (make_cells(op, execution, plan->cell_count) || make_subplans(op, execution, plan))
        return OP_FAILED;
    return exec__make(op, execution, plan->root, &execution->root);
}

int execution_make(struct op *op, struct session *session, const struct plan *plan, struct execution **result)
{
    struct execution *execution = mem_calloc(1, sizeof *execution);

    *result = NULL;
    if (!execution)
        return op_out_of_memory(op);
    execution->session = session;
    execution->txn = session_txn(session);
    execution->plan = plan;
    arena_init(&execution->arena);
    execution->hooks = (struct program_hooks){ .context = execution, .subquery = exec__subquery };
    execution->env.op = op;
    execution->env.arena = &execution->arena;
    if (make_execution(op, execution)) {
        execution_free(execution);
        return OP_FAILED;
    }
    *result = execution;
    return OP_OK;
}

int execution_start(struct op *op, struct execution *execution, const struct datum *params, int param_count)
{
    execution->env.op = op;
    execution->env.params = params;
    execution->env.session = execution->session;
    execution->env.advisory = session__advisory;
    execution->env.transaction_time = session_transaction_time(execution->session);
    execution->env.statement_time = session_statement_time(execution->session);
    execution->work_mem = session_plan_options(execution->session)->work_mem;
    execution->run++;
    execution->running = true;
    return exec__start(op, execution->root);
}

int execution_next(struct op *op, struct execution *execution, struct batch **batch)
{
    execution->env.op = op;
    do {
        if (exec__next(op, execution->root, INT_MAX, batch))
            return OP_FAILED;
    } while (*batch && (*batch)->selected == 0);
    return OP_OK;
}

void execution_stop(struct execution *execution)
{
    if (!execution->running)
        return;
    execution->running = false;
    exec__stop(execution->root);
    for (int i = 0; i < execution->subplan_count; i++)
        if (execution->subplans[i])
            exec__subplan_stop(execution->subplans[i]);
}

void execution_free(struct execution *execution)
{
    if (!execution)
        return;
    execution_stop(execution);
    free_operators(execution);
    for (int i = 0; i < execution->subplan_count; i++)
        if (execution->subplans[i])
            exec__subplan_free(execution->subplans[i]);
    arena_free(&execution->arena);
    mem_free(execution);
}

struct eval_env *execution_env(struct execution *execution)
{
    return &execution->env;
}

void execution_instrument(struct execution *execution)
{
    execution->instrument = true;
}

/* ---- expressions of data-changing statements ------------------------------------------------------ */

/* A planner whose plan numbers its nodes, cells and sub-selects behind those of the execution's own plan. */
static int make_late_planner(struct op *op, struct execution *execution, struct query *query)
{
    struct planner *late = op_arena_alloc(op, &execution->arena, sizeof *late);
    struct plan *plan = op_arena_alloc(op, &execution->arena, sizeof *plan);

    if (!late || !plan)
        return OP_FAILED;
    *plan = *execution->plan;
    plan->arena = &execution->arena;
    plan->subplans = NULL;
    late->session = execution->session;
    late->arena = &execution->arena;
    late->options = session_plan_options(execution->session);
    late->plan = plan;
    execution->late = late;
    execution->late_plan = plan;
    return OP_OK;
}

int execution_program(struct op *op, struct execution *execution, struct query *query, const struct expr *expr,
                      struct program **program)
{
    struct expr **layout, *copy, *slots;
    int columns = 0;

    if (!execution->late && make_late_planner(op, execution, query))
        return OP_FAILED;
    struct planner *late = execution->late;
    for (int range = 0; range < query->range_count; range++)
        columns += query->ranges[range].column_count;
    layout = op_arena_alloc(op, &execution->arena, ((size_t)columns + 1) * sizeof *layout);
    copy = plan__copy(op, late, expr);
    if (!layout || !copy)
        return OP_FAILED;
    columns = 0;
    for (int range = 0; range < query->range_count; range++)
        for (int i = 0; i < query->ranges[range].column_count; i++)
            if (!(layout[columns++] = plan__column(op, late->arena, query, range, i)))
                return OP_FAILED;
    if (plan__to_slots(op, late, query, copy, columns, layout, &slots)
        || make_cells(op, execution, late->plan->cell_count) || make_subplans(op, execution, late->plan))
        return OP_FAILED;
    return exec__compile(op, execution, slots, program);
}
