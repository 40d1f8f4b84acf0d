/*
 * exec_agg.c -- grouping by hash, and aggregates without groups.
 *
 * Each input batch is dealt with column by column: the grouping expressions give every row its group, then each aggregate steps over the
 * whole batch with an array of state pointers, one per row.  Without GROUP BY there is one group, which exists even without rows.
 *
 * When the groups outgrow work_mem no further ones are begun: rows of groups that are in memory go on, rows of others are spilled, in 16
 * runs by hash.  After the groups in memory have been handed up, each run is aggregated in the same way (as in [PG] nodeAgg.c).
 *
 * Aggregates with DISTINCT or ORDER BY keep their arguments as tuples until the group is complete.  DISTINCT drops what it has
 * seen before through a hash table over (group, arguments); at the end both are stepped in the order of their keys.
 */
#include <string.h>

#include "sql/exec_int.h"
#include "src/base/hash.h"
#include "src/base/mem.h"

enum { FAN_OUT = 16, ROUNDS_MAX = 4 };

struct group {
    struct group *next;             /* in the bucket */
    struct group *later;            /* in the order of appearance */
    uint64_t hash, id;
    struct tuple *tuple;            /* grouping values, with the encoded key; NULL without GROUP BY */
    char states[] __attribute__((aligned(16)));
};

struct collected {
    struct tuple *first;
    size_t count;
};

struct call {
    const struct plan_aggregate *plan;
    struct program *args[2], *filter;
    struct program **order;
    const struct vector *vectors[2];
    size_t offset;                  /* of its state (or struct collected) within a group */
    bool collects;
    /* collecting */
    struct tuple_shape shape;       /* of the arguments */
    struct key_column *columns;     /* order keys, then arguments when DISTINCT */
    int column_count;
    struct tuple_table seen;        /* DISTINCT */
    struct vector replay[2];
    void *state;
};

struct spilled {
    struct spill_run *run;
    int round;
    struct spilled *next;
};

struct aggregate_operator {
    struct operator base;
    struct program **group_programs;
    struct key_column *columns;
    struct tuple_shape shape, in_shape;
    bool single_int;
    struct call *calls;
    size_t state_bytes;
    struct key_builder key;
    struct arena groups;            /* groups, states, collected tuples */
    struct arena loan;
    struct group **buckets;
    size_t mask;
    uint64_t group_count;
    struct group *first, *last, *null_group, *emit;
    struct group **of_row;          /* group of the i-th selected row; NULL: spilled */
    void **states;
    uint16_t *narrowed, *mapping;
    bool full;                      /* no further groups */
    struct spill_run *runs[FAN_OUT];/* of this pass */
    struct spilled *waiting;
    int round;
    bool aggregated;
    struct batch from_run;
    struct vector *view;
};

/* ---- groups --------------------------------------------------------------------------------------- */

static void forget_groups(struct aggregate_operator *a)
{
    for (int i = 0; i < a->base.node->aggregate.aggregate_count; i++)
        exec__table_free(&a->calls[i].seen);
    if (a->groups.total > 256 * 1024)
        arena_free(&a->groups);
    else
        arena_reset(&a->groups);
    if (a->mask >= 4096) {
        mem_free(a->buckets);
        a->buckets = NULL;
    } else if (a->buckets) {
        memset(a->buckets, 0, (a->mask + 1) * sizeof *a->buckets);
    }
    a->first = a->last = a->null_group = a->emit = NULL;
    a->group_count = 0;
    a->full = false;
}

static int grow_buckets(struct op *op, struct aggregate_operator *a)
{
    size_t size = a->buckets ? (a->mask + 1) * 4 : 256;
    struct group **buckets = mem_calloc(size, sizeof *buckets);

    if (!buckets)
        return op_out_of_memory(op);
    for (struct group *group = a->first; group; group = group->later) {
        if (group == a->null_group)
            continue;
        size_t at = (group->hash >> 7) & (size - 1);
        group->next = buckets[at];
        buckets[at] = group;
    }
    mem_free(a->buckets);
    a->buckets = buckets;
    a->mask = size - 1;
    return OP_OK;
}

static int new_group(struct op *op, struct aggregate_operator *a, int row, uint64_t hash, struct bytes key, struct group **result)
{
    struct group *group = arena_calloc(&a->groups, sizeof *group + a->state_bytes);

    *result = NULL;
    if (!group)
        return op_out_of_memory(op);
    group->hash = hash;
    group->id = ++a->group_count;
    if (a->shape.columns) {
        for (int i = 0; i < a->shape.columns; i++)
            a->view[i] = *a->columns[i].vector;
        if (exec__tuple_make(op, &a->groups, &a->shape, a->view, row, hash, key, &group->tuple))
            return OP_FAILED;
    }
    if (a->last)
        a->last->later = group;
    else
        a->first = group;
    a->last = group;
    *result = group;
    return OP_OK;
}

static int add_group(struct op *op, struct aggregate_operator *a, int row, uint64_t hash, struct bytes key, struct group **result)
{
    if ((!a->buckets || a->group_count > a->mask) && grow_buckets(op, a))
        return OP_FAILED;
    if (new_group(op, a, row, hash, key, result))
        return OP_FAILED;
    size_t at = (hash >> 7) & a->mask;
    (*result)->next = a->buckets[at];
    a->buckets[at] = *result;
    return OP_OK;
}

static int spill_row(struct op *op, struct aggregate_operator *a, const struct batch *in, int row, uint64_t hash)
{
    struct spill *spill = database_spill(session_database(a->base.execution->session));
    int at = (int)(hash >> (60 - 4 * a->round)) & (FAN_OUT - 1);
    struct tuple *tuple;

    if (!a->runs[at] && spill_run_open(op, spill, &a->runs[at]))
        return OP_FAILED;
    arena_reset(&a->loan);
    if (exec__tuple_make(op, &a->loan, &a->in_shape, in->vectors, row, 0, (struct bytes){ 0 }, &tuple))
        return OP_FAILED;
    return exec__tuple_write(op, a->runs[at], tuple);
}

static int find_groups_int(struct op *op, struct aggregate_operator *a, const struct batch *in)
{
    const struct vector *vector = a->columns[0].vector;
    const struct bytes no_key = { 0 };

    for (int i = 0; i < in->selected; i++) {
        int row = batch_row(in, i);
        struct group **found = &a->of_row[i];
        if (vector_is_null(vector, row)) {
            if (!a->null_group && new_group(op, a, row, 0, no_key, &a->null_group))
                return OP_FAILED;
            *found = a->null_group;
            continue;
        }
        uint64_t hash = hash_u64((uint64_t)vector->ints[vector->constant ? 0 : row]);
        *found = a->buckets ? a->buckets[(hash >> 7) & a->mask] : NULL;
        while (*found && (*found)->hash != hash)
            *found = (*found)->next;
        if (*found)
            continue;
        if (a->full ? spill_row(op, a, in, row, hash) : add_group(op, a, row, hash, no_key, found))
            return OP_FAILED;
    }
    return OP_OK;
}

static int find_groups(struct op *op, struct aggregate_operator *a, const struct batch *in)
{
    for (int i = 0; i < in->selected; i++) {
        int row = batch_row(in, i);
        struct group **found = &a->of_row[i];
        struct bytes key;
        bool null;
        if (exec__encode_key(op, a->columns, a->shape.columns, row, &a->key, &null) || key_finish(op, &a->key, &key))
            return OP_FAILED;
        uint64_t hash = hash_bytes(key.data, key.len, 0);
        *found = a->buckets ? a->buckets[(hash >> 7) & a->mask] : NULL;
        while (*found && !tuple_matches((*found)->tuple, hash, key))
            *found = (*found)->next;
        if (*found)
            continue;
        if (a->full ? spill_row(op, a, in, row, hash) : add_group(op, a, row, hash, key, found))
            return OP_FAILED;
    }
    return OP_OK;
}

/* ---- stepping ------------------------------------------------------------------------------------- */

static int collect(struct op *op, struct aggregate_operator *a, struct call *call, struct group *group, int row)
{
    struct collected *collected = (struct collected *)(group->states + call->offset);
    struct tuple *tuple;
    struct bytes key;
    uint64_t hash = 0;
    bool null;

    if (exec__encode_key(op, call->columns, call->column_count, row, &a->key, &null))
        return OP_FAILED;
    if (call->plan->distinct) {
        key_put_int(&a->key, (int64_t)group->id, 0);
        if (key_finish(op, &a->key, &key))
            return OP_FAILED;
        hash = hash_bytes(key.data, key.len, 0);
        if (!call->seen.buckets && exec__table_init(op, &call->seen, 64))
            return OP_FAILED;
        for (tuple = exec__table_chain(&call->seen, hash); tuple; tuple = tuple->next)
            if (tuple_matches(tuple, hash, key))
                return OP_OK;
        struct tuple *mark;     /* the list of the group and the chain of the table both need a link */
        if (exec__tuple_make(op, &a->groups, &(struct tuple_shape){ 0 }, NULL, 0, hash, key, &mark)
            || exec__table_add(op, &call->seen, mark))
            return OP_FAILED;
    }
    if (key_finish(op, &a->key, &key))
        return OP_FAILED;
    struct vector view[2];
    for (int i = 0; i < call->plan->arg_count; i++)
        view[i] = *call->vectors[i];
    if (exec__tuple_make(op, &a->groups, &call->shape, view, row, hash, key, &tuple))
        return OP_FAILED;
    tuple->next = collected->first;
    collected->first = tuple;
    collected->count++;
    return OP_OK;
}

/* Rows that take part in an aggregate: positions in of_row, row numbers in the batch.  NULL selection: all rows of the batch. */
struct part {
    int count;
    const uint16_t *selection;
    const uint16_t *positions;      /* NULL: 0, 1, 2, ... */
};

static int narrow(struct op *op, struct aggregate_operator *a, struct call *call, const struct batch *in, struct part *part)
{
    bool spilled = a->full;
    bool skip = call->plan->aggregate->skip_nulls && call->plan->arg_count && call->vectors[0]->has_nulls;
    const struct vector *filter = NULL;

    *part = (struct part){ in->selected, in->selection, NULL };
    if (call->filter && program_run(exec__env(&a->base), call->filter, in, &filter))
        return OP_FAILED;
    if (!filter && !skip && !spilled)
        return OP_OK;
    part->count = 0;
    for (int i = 0; i < in->selected; i++) {
        int row = batch_row(in, i);
        if (!a->of_row[i] || (skip && vector_is_null(call->vectors[0], row)))
            continue;
        if (filter && (vector_is_null(filter, row) || !filter->bools[filter->constant ? 0 : row]))
            continue;
        a->narrowed[part->count] = (uint16_t)row;
        a->mapping[part->count++] = (uint16_t)i;
    }
    part->selection = a->narrowed;
    part->positions = a->mapping;
    return OP_OK;
}

static int step_call(struct op *op, struct aggregate_operator *a, struct call *call, const struct batch *in)
{
    struct eval_env *env = exec__env(&a->base);
    struct part part;

    for (int i = 0; i < call->plan->arg_count; i++)
        if (program_run(env, call->args[i], in, &call->vectors[i]))
            return OP_FAILED;
    if (narrow(op, a, call, in, &part))
        return OP_FAILED;
    if (call->collects) {
        for (int i = 0; i < call->plan->order_count; i++)
            if (program_run(env, call->order[i], in, &call->columns[i].vector))
                return OP_FAILED;
        for (int i = call->plan->order_count; i < call->column_count; i++)
            call->columns[i].vector = call->vectors[i - call->plan->order_count];
        for (int i = 0; i < part.count; i++) {
            int row = part.selection ? part.selection[i] : i;
            if (collect(op, a, call, a->of_row[part.positions ? part.positions[i] : i], row))
                return OP_FAILED;
        }
        return OP_OK;
    }
    if (part.count == 0)
        return OP_OK;
    for (int i = 0; i < part.count; i++)
        a->states[i] = a->of_row[part.positions ? part.positions[i] : i]->states + call->offset;
    return call->plan->aggregate->step(env, call->plan->aggregate, &a->groups, call->vectors, part.count, part.selection, a->states);
}

static int aggregate_batch(struct op *op, struct aggregate_operator *a, const struct batch *in)
{
    const struct plan_node *node = a->base.node;

    arena_reset(&a->base.results);
    struct eval_env *env = exec__env(&a->base);
    if (node->aggregate.group_count == 0) {
        for (int i = 0; i < in->selected; i++)
            a->of_row[i] = a->first;
    } else {
        for (int i = 0; i < node->aggregate.group_count; i++)
            if (program_run(env, a->group_programs[i], in, &a->columns[i].vector))
                return OP_FAILED;
        if (a->single_int ? find_groups_int(op, a, in) : find_groups(op, a, in))
            return OP_FAILED;
    }
    for (int i = 0; i < node->aggregate.aggregate_count; i++)
        if (step_call(op, a, &a->calls[i], in))
            return OP_FAILED;
    if (!a->full && a->groups.total > a->base.execution->work_mem && a->round < ROUNDS_MAX)
        a->full = node->aggregate.group_count > 0;
    return OP_OK;
}

/* ---- input ---------------------------------------------------------------------------------------- */

/* Runs that this pass has filled wait behind it. */
static int end_pass(struct op *op, struct aggregate_operator *a)
{
    for (int i = 0; i < FAN_OUT; i++) {
        if (!a->runs[i])
            continue;
        struct spilled *spilled = mem_calloc(1, sizeof *spilled);
        if (!spilled)
            return op_out_of_memory(op);
        *spilled = (struct spilled){ a->runs[i], a->round + 1, a->waiting };
        a->waiting = spilled;
        a->runs[i] = NULL;
        if (spill_rewind(op, spilled->run))
            return OP_FAILED;
    }
    a->emit = a->first;
    a->aggregated = true;
    return OP_OK;
}

static int aggregate_input(struct op *op, struct aggregate_operator *a)
{
    struct batch *in;

    a->round = 0;
    if (a->base.node->aggregate.group_count == 0) {
        struct group *only;
        if (new_group(op, a, 0, 0, (struct bytes){ 0 }, &only))
            return OP_FAILED;
    }
    if (exec__start(op, a->base.left))
        return OP_FAILED;
    for (;;) {
        if (exec__next(op, a->base.left, INT32_MAX, &in))
            return OP_FAILED;
        if (!in)
            break;
        if (in->selected && aggregate_batch(op, a, in))
            return OP_FAILED;
    }
    exec__stop(a->base.left);
    return end_pass(op, a);
}

static int aggregate_run(struct op *op, struct aggregate_operator *a)
{
    struct spilled *spilled = a->waiting;
    struct arena rows;
    int failed = OP_OK;
    bool end = false;

    forget_groups(a);
    a->waiting = spilled->next;
    a->round = spilled->round;
    arena_init(&rows);
    while (!failed && !end) {
        struct batch *batch = &a->from_run;
        struct tuple *tuple;
        arena_reset(&rows);
        for (int i = 0; i < batch->columns; i++)
            batch->vectors[i].has_nulls = false;
        for (batch->count = 0; batch->count < BATCH_ROWS; batch->count++) {
            failed = exec__tuple_load(op, &rows, spilled->run, &tuple);
            if (failed || (end = !tuple))
                break;
            exec__tuple_read(&a->in_shape, tuple, batch->vectors, batch->count);
        }
        batch->selected = batch->count;
        if (!failed && batch->count)
            failed = aggregate_batch(op, a, batch);
        if (!failed)
            failed = op_check_cancel(op);
    }
    arena_free(&rows);
    spill_run_close(spilled->run);
    mem_free(spilled);
    return failed ? OP_FAILED : end_pass(op, a);
}

/* ---- output --------------------------------------------------------------------------------------- */

/* Steps what was collected for a group, in the order of the keys. */
static int replay(struct op *op, struct aggregate_operator *a, struct call *call, const struct collected *collected)
{
    const struct aggregate *aggregate = call->plan->aggregate;
    struct eval_env *env = exec__env(&a->base);
    const struct vector *vectors[2] = { &call->replay[0], &call->replay[1] };
    struct tuple **tuples = op_heap_alloc(op, (collected->count + 1) * sizeof *tuples);
    size_t count = 0;
    int rows = 0, failed;

    if (!tuples)
        return OP_FAILED;
    for (struct tuple *tuple = collected->first; tuple; tuple = tuple->next)
        tuples[collected->count - ++count] = tuple;
    failed = exec__sort_tuples(op, tuples, count);
    for (int i = 0; i < BATCH_ROWS; i++)
        a->states[i] = call->state;
    for (size_t i = 0; i <= count && !failed; i++) {
        if (rows && (i == count || rows == BATCH_ROWS)) {
            failed = aggregate->step(env, aggregate, &a->groups, vectors, rows, NULL, a->states);
            rows = 0;
        }
        if (rows == 0)
            call->replay[0].has_nulls = call->replay[1].has_nulls = false;
        if (i < count && !failed)
            exec__tuple_read(&call->shape, tuples[i], call->replay, rows++);
    }
    mem_free(tuples);
    return failed;
}

static int finish_call(struct op *op, struct aggregate_operator *a, struct call *call, struct group *group, struct datum *value)
{
    void *state = group->states + call->offset;

    if (call->collects) {
        memset(call->state, 0, call->plan->aggregate->state_bytes);
        if (replay(op, a, call, state))
            return OP_FAILED;
        state = call->state;
    }
    return call->plan->aggregate->finish(exec__env(&a->base), call->plan->aggregate, state, value);
}

static int emit_groups(struct op *op, struct aggregate_operator *a)
{
    const struct plan_node *node = a->base.node;
    struct batch *out = &a->base.out;

    arena_reset(&a->base.results);
    for (int i = 0; i < out->columns; i++)
        out->vectors[i].has_nulls = false;
    out->selection = NULL;
    for (out->count = 0; out->count < BATCH_ROWS && a->emit; a->emit = a->emit->later, out->count++) {
        struct group *group = a->emit;
        if (group->tuple)
            exec__tuple_read(&a->shape, group->tuple, out->vectors, out->count);
        for (int i = 0; i < node->aggregate.aggregate_count; i++) {
            struct datum value;
            if (finish_call(op, a, &a->calls[i], group, &value))
                return OP_FAILED;
            vector_set(&out->vectors[a->shape.columns + i], out->count, &value);
        }
    }
    out->selected = out->count;
    return exec__filter(op, &a->base);
}

/* ---- the operator --------------------------------------------------------------------------------- */

static void drop_runs(struct aggregate_operator *a)
{
    for (int i = 0; i < FAN_OUT; i++) {
        spill_run_close(a->runs[i]);
        a->runs[i] = NULL;
    }
    while (a->waiting) {
        struct spilled *next = a->waiting->next;
        spill_run_close(a->waiting->run);
        mem_free(a->waiting);
        a->waiting = next;
    }
}

static int aggregate_start(struct op *op, struct operator *o)
{
    struct aggregate_operator *a = (struct aggregate_operator *)o;

    drop_runs(a);
    forget_groups(a);
    a->aggregated = false;
    return OP_OK;
}

static int aggregate_next(struct op *op, struct operator *o, int goal, struct batch **batch)
{
    struct aggregate_operator *a = (struct aggregate_operator *)o;

    *batch = NULL;
    if (!a->aggregated && aggregate_input(op, a))
        return OP_FAILED;
    for (;;) {
        if (!a->emit) {
            if (!a->waiting)
                return OP_OK;
            if (aggregate_run(op, a))
                return OP_FAILED;
            continue;
        }
        if (emit_groups(op, a))
            return OP_FAILED;
        if (o->out.selected) {
            *batch = &o->out;
            return OP_OK;
        }
    }
}

static void aggregate_stop(struct operator *o)
{
    struct aggregate_operator *a = (struct aggregate_operator *)o;

    drop_runs(a);
    forget_groups(a);
    arena_free(&a->loan);
}

static void aggregate_free(struct operator *o)
{
    struct aggregate_operator *a = (struct aggregate_operator *)o;

    if (a->calls)
        aggregate_stop(o);
    mem_free(a->buckets);
    arena_free(&a->groups);
    key_free(&a->key);
}

static const struct operator_methods aggregate_methods = { aggregate_start, aggregate_next, aggregate_stop, aggregate_free };

static int make_call(struct op *op, struct aggregate_operator *a, const struct plan_aggregate *plan, struct call *call)
{
    struct execution *execution = a->base.execution;
    struct arena *arena = &execution->arena;

    call->plan = plan;
    call->collects = plan->distinct || plan->order_count;
    call->offset = a->state_bytes;
    a->state_bytes += (call->collects ? sizeof(struct collected) : plan->aggregate->state_bytes) + 15;
    a->state_bytes &= ~(size_t)15;
    for (int i = 0; i < plan->arg_count; i++)
        if (exec__compile(op, execution, plan->args[i], &call->args[i]))
            return OP_FAILED;
    if (plan->filter && exec__compile(op, execution, plan->filter, &call->filter))
        return OP_FAILED;
    if (!call->collects)
        return OP_OK;
    call->column_count = plan->order_count + (plan->distinct ? plan->arg_count : 0);
    call->columns = op_arena_alloc(op, arena, (call->column_count + 1) * sizeof *call->columns);
    call->state = op_arena_alloc(op, arena, plan->aggregate->state_bytes + 16);
    call->shape.columns = plan->arg_count;
    call->shape.forms = op_arena_alloc(op, arena, (plan->arg_count + 1) * sizeof *call->shape.forms);
    if (!call->columns || !call->state || !call->shape.forms
        || exec__compile_list(op, execution, plan->order, plan->order_count, &call->order))
        return OP_FAILED;
    for (int i = 0; i < call->column_count; i++) {
        bool ordering = i < plan->order_count;
        const struct expr *expr = ordering ? plan->order[i] : plan->args[i - plan->order_count];
        call->columns[i].type = expr->type.oid;
        if (ordering)
            call->columns[i].flags = (plan->descending[i] ? KEY_DESCENDING : 0) | (plan->nulls_first[i] ? KEY_NULLS_FIRST : 0);
    }
    for (int i = 0; i < plan->arg_count; i++) {
        call->shape.forms[i] = type_form(plan->args[i]->type.oid);
        if (vector_init(op, arena, call->shape.forms[i], &call->replay[i]))
            return OP_FAILED;
    }
    return OP_OK;
}

static int make_aggregate(struct op *op, struct aggregate_operator *a)
{
    const struct plan_node *node = a->base.node;
    struct execution *execution = a->base.execution;
    struct arena *arena = &execution->arena;
    int groups = node->aggregate.group_count;
    enum type_form *forms = exec__forms(op, arena, node->types, node->column_count);
    enum type_form *in_forms = exec__forms(op, arena, node->left->types, node->left->column_count);

    a->calls = op_arena_alloc(op, arena, (node->aggregate.aggregate_count + 1) * sizeof *a->calls);
    a->columns = op_arena_alloc(op, arena, (groups + 1) * sizeof *a->columns);
    a->view = op_arena_alloc(op, arena, (groups + 1) * sizeof *a->view);
    a->of_row = op_arena_alloc(op, arena, BATCH_ROWS * sizeof *a->of_row);
    a->states = op_arena_alloc(op, arena, BATCH_ROWS * sizeof *a->states);
    a->narrowed = op_arena_alloc(op, arena, BATCH_ROWS * sizeof *a->narrowed);
    a->mapping = op_arena_alloc(op, arena, BATCH_ROWS * sizeof *a->mapping);
    if (!forms || !in_forms || !a->calls || !a->columns || !a->view || !a->of_row || !a->states || !a->narrowed || !a->mapping)
        return OP_FAILED;
    for (int i = 0; i < groups; i++)
        a->columns[i].type = node->aggregate.groups[i]->type.oid;
    a->single_int = groups == 1 && type_form(a->columns[0].type) == FORM_INT64;
    a->shape = (struct tuple_shape){ groups, forms };
    a->in_shape = (struct tuple_shape){ node->left->column_count, in_forms };
    for (int i = 0; i < node->aggregate.aggregate_count; i++)
        if (make_call(op, a, &node->aggregate.aggregates[i], &a->calls[i]))
            return OP_FAILED;
    if (exec__compile_list(op, execution, node->aggregate.groups, groups, &a->group_programs)
        || batch_init(op, arena, node->column_count, forms, &a->base.out))
        return OP_FAILED;
    return batch_init(op, arena, node->left->column_count, in_forms, &a->from_run);
}

int exec__make_aggregate(struct op *op, struct execution *execution, const struct plan_node *node, struct operator **result)
{
    struct aggregate_operator *a;

    if (exec__new(op, execution, node, sizeof *a, &aggregate_methods, &a))
        return OP_FAILED;
    arena_init(&a->groups);
    arena_init(&a->loan);
    key_init(&a->key, NULL, 0);
    *result = &a->base;
    return make_aggregate(op, a);
}
