/*
 * modify.c -- running INSERT, UPDATE and DELETE.
 *
 * A source plan delivers what is to be inserted, or the rows to be changed with their clustered keys; here they are changed, one after the
 * other, a source batch at a time.  Expressions of SET and RETURNING are programs over whole batches.
 *
 * The source reads at the statement's snapshot and never sees this statement's own changes (they belong to the current command), so
 * an UPDATE that moves rows ahead of its own scan meets each of them once.
 *
 * At READ COMMITTED a row may have been changed since by a transaction that has committed.  The engine then answers with the newest version,
 * and the statement's condition and SET are computed again on that one row, in a batch of its own with programs of its own, because the
 * results of the first ones are still in use (M2):
 *
 *      UPDATE t SET n = n + 1 WHERE n > 3      saw n = 5; newest is n = 2: skipped; newest is n = 7: becomes 8
 *
 * A row whose primary key was changed left word where it went; it is looked for there.  Above READ COMMITTED the engine answers 40001.
 *
 * INSERT ... VALUES with one row has no source to run: its expressions are programs over nothing, and plain parameters are taken as they
 * are.  A prepared INSERT then allocates nothing from run to run.
 *
 * M1  What the source has handed out stays valid until the next batch is asked for: RETURNING is computed before that.
 * M2  A program's result is valid until it runs again.
 */
#include "sql/fkey.h"
#include "sql/modify_int.h"

#include <string.h>

#include "src/base/mem.h"

/* ---- making --------------------------------------------------------------------------------------- */

static int compile(struct op *op, struct modify *modify, const struct expr *expr, struct program **program)
{
    return execution_program(op, modify->execution, modify->query, expr, program);
}

static int compile_list(struct op *op, struct modify *modify, struct expr *const *exprs, int count, struct program ***programs)
{
    *programs = op_arena_alloc(op, &modify->arena, sizeof **programs * (size_t)(count + 1));
    if (!*programs)
        return OP_FAILED;
    for (int i = 0; i < count; i++)
        if (exprs[i] && compile(op, modify, exprs[i], &(*programs)[i]) != 0)
            return OP_FAILED;
    return 0;
}

static int make_row_batch(struct op *op, struct modify *modify, struct batch *batch)
{
    enum type_form *forms = op_arena_alloc(op, &modify->arena, sizeof *forms * (size_t)(modify->columns + 2));
    if (!forms)
        return OP_FAILED;
    for (int i = 0; i < modify->columns; i++)
        forms[i] = type_form(modify->table->columns[i].type.oid);
    forms[modify->columns] = FORM_BYTES;    /* the clustered key, where a source has it */
    return batch_init(op, &modify->arena, modify->columns + 1, forms, batch);
}

static int make_returning(struct op *op, struct modify *modify)
{
    const struct query *query = modify->query;
    if (!query->returning)
        return 0;
    modify->returning = op_arena_alloc(op, &modify->arena, sizeof *modify->returning * (size_t)(query->target_count + 1));
    modify->result.vectors = op_arena_alloc(op, &modify->arena, sizeof *modify->result.vectors * (size_t)(query->target_count + 1));
    if (!modify->returning || !modify->result.vectors)
        return OP_FAILED;
    for (int i = 0; i < query->target_count; i++)
        if (compile(op, modify, query->targets[i].expr, &modify->returning[i]) != 0)
            return OP_FAILED;
    return make_row_batch(op, modify, &modify->changed);
}

/* Which indexes an UPDATE's columns are part of; those with expressions, and where columns are generated all of them, may be. */
static int find_touched(struct op *op, struct modify *modify)
{
    const struct table_def *table = modify->table;
    bool generated = false;

    for (int i = 0; i < table->column_count; i++)
        generated |= table->columns[i].generated;
    modify->touched = op_arena_alloc(op, &modify->arena, sizeof *modify->touched * (size_t)(table->index_count + 1));
    if (!modify->touched)
        return OP_FAILED;
    for (int i = 0; i < table->index_count; i++) {
        const struct index_def *index = &table->indexes[i];
        modify->touched[i] = generated || index->predicate >= 0;
        for (int k = 0; k < index->column_count + index->include_count; k++) {
            modify->touched[i] |= index->columns[k].column >= table->column_count;
            for (int s = 0; s < modify->query->set_count; s++)
                modify->touched[i] |= index->columns[k].column == modify->query->set_columns[s];
        }
    }
    return 0;
}

static int make(struct op *op, struct modify *modify, const struct plan *source)
{
    struct query *query = modify->query;
    size_t values = sizeof(struct datum) * (size_t)(modify->columns + 1);

    modify->old_values = op_arena_alloc(op, &modify->arena, values);
    modify->new_values = op_arena_alloc(op, &modify->arena, values);
    if (!modify->old_values || !modify->new_values ||
        execution_make(op, modify->session, source, &modify->execution) != 0 ||
        change_open(op, &modify->arena, modify->session->txn, modify->table, &modify->change) != 0 ||
        change_compile(op, modify->session, &modify->arena, query->ranges[0].table, &modify->change) != 0 ||
        make_returning(op, modify) != 0)
        return OP_FAILED;
    if (query->conflict == CONFLICT_UPDATE && (modify__make_conflict(op, modify) != 0 || find_touched(op, modify) != 0))
        return OP_FAILED;
    if (query->kind == QUERY_INSERT)
        return modify__make_insert(op, modify);
    if (query->kind == QUERY_UPDATE &&
        (compile_list(op, modify, query->set_values, query->set_count, &modify->set) != 0 || find_touched(op, modify) != 0))
        return OP_FAILED;
    modify->set_results = op_arena_alloc(op, &modify->arena, sizeof *modify->set_results * (size_t)(query->set_count + 1));
    return modify->set_results ? 0 : OP_FAILED;
}

int modify_make(struct op *op, struct session *session, struct query *query, const struct plan *source, struct modify **out)
{
    struct modify *modify = mem_calloc(1, sizeof *modify);

    *out = NULL;
    if (!modify)
        return op_out_of_memory(op);
    modify->session = session;
    modify->query = query;
    modify->table = query->ranges[0].table;
    modify->columns = modify->table->column_count;
    arena_init(&modify->arena);
    arena_init(&modify->results);
    if (make(op, modify, source) != 0) {
        modify_free(modify);
        return OP_FAILED;
    }
    *out = modify;
    return 0;
}

void modify_free(struct modify *modify)
{
    if (!modify)
        return;
    modify_stop(modify);
    execution_free(modify->execution);
    change_close(&modify->change);
    arena_free(&modify->results);
    arena_free(&modify->arena);
    mem_free(modify);
}

/* ---- running -------------------------------------------------------------------------------------- */

/* The environment in which this file's programs run: executions point it at arenas of their own. */
struct eval_env *modify__env(struct op *op, struct modify *modify)
{
    struct eval_env *env = execution_env(modify->execution);
    env->op = op;
    env->arena = &modify->results;
    env->params = modify->params;
    env->transaction_time = modify->session->transaction_time;
    env->statement_time = modify->session->statement_time;
    return env;
}

int modify_start(struct op *op, struct modify *modify, const struct datum *params, int param_count)
{
    modify->params = params;
    modify->count = 0;
    modify->done = false;
    modify->running = true;
    arena_reset(&modify->results);
    if (modify->single)
        return 0;
    return execution_start(op, modify->execution, params, param_count);
}

void modify_stop(struct modify *modify)
{
    if (!modify->running)
        return;
    modify->running = false;
    if (!modify->single)
        execution_stop(modify->execution);
}

int64_t modify_count(const struct modify *modify)
{
    return modify->count;
}

struct execution *modify_execution(struct modify *modify)
{
    return modify->execution;
}

/* Adds a row to what RETURNING is computed from. */
void modify__note_changed(struct modify *modify, const struct datum *values)
{
    modify->count++;
    if (!modify->query->returning)
        return;
    for (int i = 0; i < modify->columns; i++)
        vector_set(&modify->changed.vectors[i], modify->changed.count, &values[i]);
    modify->changed.count++;
}

static void forget_changed(struct modify *modify)
{
    modify->changed.count = 0;
    for (int i = 0; modify->query->returning && i < modify->columns; i++)
        modify->changed.vectors[i].has_nulls = false;
}

static int compute_returning(struct op *op, struct modify *modify, struct batch **out)
{
    struct batch *changed = &modify->changed, *result = &modify->result;
    struct eval_env *env = modify__env(op, modify);

    changed->selected = changed->count;
    changed->selection = NULL;
    for (int i = 0; i < modify->query->target_count; i++) {
        const struct vector *vector;
        if (program_run(env, modify->returning[i], changed, &vector) != 0)
            return OP_FAILED;
        result->vectors[i] = *vector;
    }
    result->columns = modify->query->target_count;
    result->count = result->selected = changed->count;
    result->selection = NULL;
    *out = result;
    return 0;
}

/* ---- UPDATE and DELETE ---------------------------------------------------------------------------- */

static void read_values(const struct batch *batch, int row, int columns, struct datum *values)
{
    for (int i = 0; i < columns; i++)
        vector_get(&batch->vectors[i], row, &values[i]);
}

static void apply_set(const struct modify *modify, const struct vector *const *results, int row, struct datum *values)
{
    for (int i = 0; i < modify->query->set_count; i++)
        vector_get(results[i], row, &values[modify->query->set_columns[i]]);
}

/* One row changes if it is still as the values say. */
static int try_row(struct op *op, struct modify *modify, struct bytes key, const struct datum *old_values,
                   struct datum *new_values, CommitTs seen, struct txn_outcome *outcome)
{
    if (modify->query->kind == QUERY_DELETE)
        return change_delete(op, &modify->change, key, old_values, seen, outcome);
    if (change_check(op, &modify->change, new_values) != 0)
        return OP_FAILED;
    return change_update(op, &modify->change, key, old_values, new_values, modify->touched, seen, outcome);
}

/* What is needed to judge a row again; made when it happens first. */
static int make_recheck(struct op *op, struct modify *modify)
{
    struct modify_recheck *recheck = op_arena_alloc(op, &modify->arena, sizeof *recheck);
    const struct query *query = modify->query;

    if (!recheck)
        return OP_FAILED;
    int *wanted = op_arena_alloc(op, &modify->arena, sizeof *wanted * (size_t)modify->columns);
    if (!wanted || make_row_batch(op, modify, &recheck->batch) != 0)
        return OP_FAILED;
    for (int i = 0; i < modify->columns; i++)
        wanted[i] = i;
    if (row_reader_make(op, &modify->arena, modify->table, NULL, wanted, modify->columns, &recheck->reader) != 0 ||
        (query->where && compile(op, modify, query->where, &recheck->where) != 0) ||
        compile_list(op, modify, query->set_values, query->set_count, &recheck->set) != 0)
        return OP_FAILED;
    recheck->old_values = op_arena_alloc(op, &modify->arena, sizeof(struct datum) * (size_t)(modify->columns + 1));
    recheck->new_values = op_arena_alloc(op, &modify->arena, sizeof(struct datum) * (size_t)(modify->columns + 1));
    recheck->results = op_arena_alloc(op, &modify->arena, sizeof *recheck->results * (size_t)(query->set_count + 1));
    if (!recheck->old_values || !recheck->new_values || !recheck->results)
        return OP_FAILED;
    modify->recheck = recheck;
    return 0;
}

/* The statement's condition and SET on the newest version. */
static int judge_again(struct op *op, struct modify *modify, struct bytes key, struct bytes value, bool *matches)
{
    struct modify_recheck *recheck = modify->recheck;
    struct batch *batch = &recheck->batch;
    struct eval_env *env;

    *matches = true;
    batch->count = batch->selected = 1;
    batch->selection = NULL;
    for (int i = 0; i <= modify->columns; i++)
        batch->vectors[i].has_nulls = false;
    if (row_decode(op, recheck->reader, key, value, &modify->results, batch->vectors, 0) != 0)
        return OP_FAILED;
    batch->vectors[modify->columns].bytes[0] = key;
    env = modify__env(op, modify);
    if (recheck->where && program_filter(env, recheck->where, batch, recheck->selection) != 0)
        return OP_FAILED;
    *matches = batch->selected > 0;
    if (!*matches)
        return 0;
    batch->selected = 1;
    batch->selection = NULL;
    read_values(batch, 0, modify->columns, recheck->old_values);
    memcpy(recheck->new_values, recheck->old_values, sizeof(struct datum) * (size_t)modify->columns);
    for (int i = 0; i < modify->query->set_count; i++)
        if (program_run(env, recheck->set[i], batch, &recheck->results[i]) != 0)
            return OP_FAILED;
    apply_set(modify, recheck->results, 0, recheck->new_values);
    return 0;
}

/* The row is not as it was seen: follows it to its newest version, as often as need be. */
static int change_again(struct op *op, struct modify *modify, struct bytes key, CommitTs seen, struct txn_outcome *outcome)
{
    bool matches;

    if (!modify->recheck && make_recheck(op, modify) != 0)
        return OP_FAILED;
    for (;;) {
        if (outcome->result == TXN_SELF_CHANGED || (outcome->result == TXN_GONE && !outcome->moved_to.data))
            return 0;
        if (outcome->result == TXN_GONE) {
            key = outcome->moved_to;
            if (txn_lock_row(op, modify->session->txn, modify->change.tree, key, TXN_FOR_UPDATE, TXN_WAIT, seen, outcome) != 0)
                return OP_FAILED;
            if (outcome->result == TXN_WRITTEN)
                outcome->result = TXN_CHANGED;
            continue;
        }
        if (judge_again(op, modify, key, outcome->newest, &matches) != 0)
            return OP_FAILED;
        if (!matches)
            return 0;
        seen = outcome->newest_ts > seen ? outcome->newest_ts : seen;
        struct modify_recheck *recheck = modify->recheck;
        if (try_row(op, modify, key, recheck->old_values, recheck->new_values, seen, outcome) != 0)
            return OP_FAILED;
        if (outcome->result == TXN_WRITTEN) {
            modify__note_changed(modify, modify->query->kind == QUERY_DELETE ? recheck->old_values : recheck->new_values);
            return 0;
        }
    }
}

/* Values that RETURNING shows must outlive the next row that is judged again. */
int modify__keep_returned(struct op *op, struct modify *modify, int before)
{
    if (!modify->query->returning || modify->changed.count == before)
        return 0;
    for (int i = 0; i < modify->columns; i++) {
        struct vector *vector = &modify->changed.vectors[i];
        if (vector->form != FORM_BYTES || vector_is_null(vector, before) || vector->bytes[before].len == 0)
            continue;
        uint8_t *copy = op_arena_alloc(op, &modify->results, vector->bytes[before].len);
        if (!copy)
            return OP_FAILED;
        memcpy(copy, vector->bytes[before].data, vector->bytes[before].len);
        vector->bytes[before].data = copy;
    }
    return 0;
}

static int change_one(struct op *op, struct modify *modify, const struct batch *source, int row)
{
    CommitTs seen = txn_read_ts(modify->session->txn);
    struct bytes key = source->vectors[modify->columns].bytes[row];
    struct datum *old_values = modify->old_values, *new_values = modify->old_values;
    struct txn_outcome outcome;

    read_values(source, row, modify->columns, old_values);
    if (modify->query->kind == QUERY_UPDATE) {
        new_values = modify->new_values;
        memcpy(new_values, old_values, sizeof *new_values * (size_t)modify->columns);
        apply_set(modify, modify->set_results, row, new_values);
    }
    if (try_row(op, modify, key, old_values, new_values, seen, &outcome) != 0)
        return OP_FAILED;
    if (outcome.result == TXN_WRITTEN) {
        modify__note_changed(modify, new_values);
        return 0;
    }
    int before = modify->changed.count;
    if (change_again(op, modify, key, seen, &outcome) != 0)
        return OP_FAILED;
    return modify__keep_returned(op, modify, before);
}

static int change_batch(struct op *op, struct modify *modify, const struct batch *source)
{
    struct eval_env *env = modify__env(op, modify);

    for (int i = 0; i < modify->query->set_count; i++)
        if (program_run(env, modify->set[i], source, &modify->set_results[i]) != 0)
            return OP_FAILED;
    for (int i = 0; i < source->selected; i++) {
        struct arena_mark mark = arena_mark(&op->arena);
        if (change_one(op, modify, source, batch_row(source, i)) != 0)
            return OP_FAILED;
        arena_release(&op->arena, mark);
    }
    return 0;
}

/* ---- the whole ------------------------------------------------------------------------------------ */

/* One source batch is carried out; *end when there is none. */
static int advance(struct op *op, struct modify *modify, bool *end)
{
    struct batch *source;

    *end = false;
    if (modify->single) {
        *end = modify->done;
        modify->done = true;
        return *end ? 0 : modify__insert_single(op, modify);
    }
    if (execution_next(op, modify->execution, &source) != 0 || op_check_cancel(op) != 0)
        return OP_FAILED;
    if (!source) {
        *end = true;
        return 0;
    }
    return modify->query->kind == QUERY_INSERT ? modify__insert_batch(op, modify, source) : change_batch(op, modify, source);
}

int modify_next(struct op *op, struct modify *modify, struct batch **batch)
{
    bool end = false;

    *batch = NULL;
    while (!end) {
        forget_changed(modify);
        arena_reset(&modify->results);
        if (advance(op, modify, &end) != 0)
            return OP_FAILED;
        if (modify->changed.count > 0)
            return compute_returning(op, modify, batch);
    }
    return fkey_check(op, modify->session);
}
