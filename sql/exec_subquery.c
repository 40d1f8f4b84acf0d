/*
 * exec_subquery.c -- sub-selects inside of expressions.
 *
 * A sub-select that does not look at the outer row is computed once per run: its value, whether it has rows, or for IN all its values
 * in a hash table.  A correlated one is run for each row: the outer values that it reads are put into the execution's cells, and
 * its plan is started again.  The same cells serve sub-selects of any depth, for an inner one runs only while the
 * row of the outer one stands still.
 *
 * IN is three-valued: true when a value matches; else null when the left side is null or a null was among the values; else false,
 * and false for an empty set whatever the left side.
 */
#include <limits.h>
#include <string.h>

#include "sql/exec_int.h"
#include "src/base/hash.h"
#include "src/base/mem.h"

struct subplan_state {
    const struct subplan *subplan;
    struct execution *execution;
    struct operator *root;
    bool known;                     /* ONCE, HASHED: computed in run `run` */
    uint64_t run;
    struct datum value;             /* ONCE: the scalar; or b: exists */
    struct arena arena;             /* the value, or the hash table's tuples */
    struct tuple_table table;
    bool has_null, has_rows;
    struct key_builder key;
};

struct subplan_state *exec__subplan_make(struct op *op, struct execution *execution, const struct subplan *subplan)
{
    struct subplan_state *state = op_arena_alloc(op, &execution->arena, sizeof *state);

    if (!state)
        return NULL;
    state->subplan = subplan;
    state->execution = execution;
    arena_init(&state->arena);
    key_init(&state->key, NULL, 0);
    return exec__make(op, execution, subplan->root, &state->root) ? NULL : state;
}

void exec__subplan_stop(struct subplan_state *state)
{
    exec__stop(state->root);
    exec__table_free(&state->table);
    arena_free(&state->arena);
    state->known = false;
}

void exec__subplan_free(struct subplan_state *state)
{
    exec__subplan_stop(state);
    key_free(&state->key);
}

struct operator *exec__subplan_root(struct subplan_state *state)
{
    return state->root;
}

static int copy_value(struct op *op, struct arena *arena, enum type_form form, struct datum *value)
{
    if (value->null || form != FORM_BYTES)
        return OP_OK;
    uint8_t *copy = arena_alloc(arena, value->s.len + 1);
    if (!copy)
        return op_out_of_memory(op);
    if (value->s.len)
        memcpy(copy, value->s.data, value->s.len);
    value->s.data = copy;
    return OP_OK;
}

/* Runs it for one value; the result is copied into the arena. */
static int run_scalar(struct op *op, struct subplan_state *state, struct arena *arena, struct datum *value)
{
    struct batch *batch;
    int rows = 0;

    *value = (struct datum){ .null = true };
    if (exec__start(op, state->root))
        return OP_FAILED;
    for (;;) {
        if (exec__next(op, state->root, 2, &batch))
            return OP_FAILED;
        if (!batch)
            return OP_OK;
        if ((rows += batch->selected) > 1)
            return op_fail(op, "21000", "more than one row returned by a subquery used as an expression");
        if (batch->selected == 0)
            continue;
        vector_get(&batch->vectors[0], batch_row(batch, 0), value);
        if (copy_value(op, arena, type_form(state->subplan->type.oid), value))
            return OP_FAILED;
    }
}

static int run_exists(struct op *op, struct subplan_state *state, bool *exists)
{
    struct batch *batch;

    *exists = false;
    if (exec__start(op, state->root))
        return OP_FAILED;
    do {
        if (exec__next(op, state->root, 1, &batch))
            return OP_FAILED;
        *exists = batch && batch->selected;
    } while (batch && !*exists);
    return OP_OK;
}

static int encode(struct op *op, struct subplan_state *state, Oid type, const struct vector *vector, int row, struct bytes *key,
                  bool *null)
{
    struct key_column column = { type, 0, vector };

    return exec__encode_key(op, &column, 1, row, &state->key, null) || key_finish(op, &state->key, key) ? OP_FAILED : OP_OK;
}

static int run_hashed(struct op *op, struct subplan_state *state)
{
    const struct tuple_shape nothing = { 0 };
    struct batch *batch;

    exec__table_free(&state->table);
    arena_reset(&state->arena);
    state->has_null = state->has_rows = false;
    if (exec__table_init(op, &state->table, 64) || exec__start(op, state->root))
        return OP_FAILED;
    for (;;) {
        if (exec__next(op, state->root, INT_MAX, &batch))
            return OP_FAILED;
        if (!batch)
            break;
        for (int i = 0; i < batch->selected; i++) {
            struct tuple *tuple;
            struct bytes key;
            bool null;
            state->has_rows = true;
            if (encode(op, state, state->subplan->type.oid, &batch->vectors[0], batch_row(batch, i), &key, &null))
                return OP_FAILED;
            if (null) {
                state->has_null = true;
                continue;
            }
            uint64_t hash = hash_bytes(key.data, key.len, 0);
            for (tuple = exec__table_chain(&state->table, hash); tuple && !tuple_matches(tuple, hash, key); tuple = tuple->next)
                ;
            if (tuple)
                continue;
            if (exec__tuple_make(op, &state->arena, &nothing, NULL, 0, hash, key, &tuple)
                || exec__table_add(op, &state->table, tuple))
                return OP_FAILED;
        }
    }
    exec__stop(state->root);
    return OP_OK;
}

/* ONCE and HASHED: computes it if that has not been done in this run. */
static int know(struct op *op, struct subplan_state *state)
{
    int failed = OP_OK;

    if (state->known && state->run == state->execution->run)
        return OP_OK;
    if (state->subplan->use == SUBPLAN_HASHED) {
        failed = run_hashed(op, state);
    } else if (state->subplan->kind == SUBQUERY_EXISTS) {
        state->value = (struct datum){ 0 };
        failed = run_exists(op, state, &state->value.b);
        exec__stop(state->root);
    } else {
        arena_reset(&state->arena);
        failed = run_scalar(op, state, &state->arena, &state->value);
        exec__stop(state->root);
    }
    state->known = !failed;
    state->run = state->execution->run;
    return failed;
}

static int hashed_in(struct op *op, struct subplan_state *state, const struct vector *arg, int row, struct datum *result)
{
    struct tuple *tuple;
    struct bytes key;
    bool null;

    *result = (struct datum){ 0 };
    if (!state->has_rows)
        return OP_OK;
    if (encode(op, state, state->subplan->arg_type.oid, arg, row, &key, &null))
        return OP_FAILED;
    if ((result->null = null))
        return OP_OK;
    uint64_t hash = hash_bytes(key.data, key.len, 0);
    for (tuple = exec__table_chain(&state->table, hash); tuple; tuple = tuple->next)
        if (tuple_matches(tuple, hash, key))
            break;
    result->b = tuple != NULL;
    result->null = !tuple && state->has_null;
    return OP_OK;
}

static int run_in(struct op *op, struct subplan_state *state, const struct datum *left, struct datum *result)
{
    struct batch *batch;

    *result = (struct datum){ 0 };
    if (exec__start(op, state->root))
        return OP_FAILED;
    for (;;) {
        if (exec__next(op, state->root, INT_MAX, &batch))
            return OP_FAILED;
        if (!batch)
            return OP_OK;
        for (int i = 0; i < batch->selected; i++) {
            struct datum value;
            vector_get(&batch->vectors[0], batch_row(batch, i), &value);
            if (left->null || value.null) {
                result->null = true;
                if (left->null)
                    return OP_OK;
            } else if (type_compare(state->subplan->type.oid, left, &value) == 0) {
                *result = (struct datum){ .b = true };
                return OP_OK;
            }
        }
    }
}

static int evaluate(struct op *op, struct subplan_state *state, const struct vector *arg, int row, struct arena *arena,
                    struct datum *result)
{
    const struct subplan *subplan = state->subplan;

    switch (subplan->use) {
    case SUBPLAN_ONCE:
        *result = state->value;
        return OP_OK;
    case SUBPLAN_HASHED:
        return hashed_in(op, state, arg, row, result);
    case SUBPLAN_ROWS:
        break;
    }
    if (subplan->kind == SUBQUERY_SCALAR)
        return run_scalar(op, state, arena, result);
    if (subplan->kind == SUBQUERY_EXISTS) {
        *result = (struct datum){ 0 };
        return run_exists(op, state, &result->b);
    }
    struct datum left;
    vector_get(arg, row, &left);
    return run_in(op, state, &left, result);
}

int exec__subquery(void *context, struct eval_env *env, const struct expr *expr, const struct vector *arg, const struct batch *input,
                   int count, const uint16_t *selection, struct vector *out)
{
    struct execution *execution = context;
    const struct subplan *subplan = (const struct subplan *)expr->subquery;
    struct subplan_state *state = execution->subplans[subplan->id];
    struct arena *arena = env->arena;
    struct op *op = env->op;
    int failed = OP_OK;

    if (subplan->use != SUBPLAN_ROWS)
        failed = know(op, state);
    for (int i = 0; i < count && !failed; i++) {
        int row = selection ? selection[i] : i;
        struct datum value;
        for (int j = 0; j < subplan->cell_count; j++)
            vector_get(&input->vectors[subplan->cells[j].slot], row, &execution->cells[subplan->cells[j].cell]);
        failed = evaluate(op, state, arg, row, arena, &value);
        if (!failed)
            vector_set(out, row, &value);
    }
    env->arena = arena;
    return failed;
}
