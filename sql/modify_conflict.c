/*
 * modify_conflict.c -- INSERT ... ON CONFLICT.
 *
 * The arbiters' keys are claimed first, each by inserting its entry: that waits for whoever is inserting the same key, and answers
 * exactly, whatever the snapshot shows.  Is one taken, what was claimed is undone, and then
 *
 *      DO NOTHING      the row is left out
 *      DO UPDATE       the row that is there is locked in its newest version, WHERE and SET are computed on it; if it has
 *                      gone meanwhile, everything is tried again
 *
 * At REPEATABLE READ and above a row that the snapshot does not see may not decide what happens: 40001.
 *
 * K1  No 23505 for an arbiter, ever.
 * K2  A command updates a row at most once: 21000, also for a row that it has inserted itself.
 */
#include <string.h>

#include "sql/modify_int.h"

int modify__make_conflict(struct op *op, struct modify *modify)
{
    const struct query *query = modify->query;
    struct modify_conflict *conflict = op_arena_alloc(op, &modify->arena, sizeof *conflict);
    enum type_form *forms = op_arena_alloc(op, &modify->arena, sizeof *forms * (size_t)(2 * modify->columns + 1));
    int *wanted = op_arena_alloc(op, &modify->arena, sizeof *wanted * (size_t)(modify->columns + 1));
    size_t values = sizeof(struct datum) * (size_t)(modify->columns + 1);

    if (!conflict || !forms || !wanted)
        return OP_FAILED;
    for (int i = 0; i < modify->columns; i++) {
        wanted[i] = i;
        forms[i] = forms[modify->columns + i] = type_form(modify->table->columns[i].type.oid);
    }
    conflict->old_values = op_arena_alloc(op, &modify->arena, values);
    conflict->new_values = op_arena_alloc(op, &modify->arena, values);
    conflict->set = op_arena_alloc(op, &modify->arena, sizeof *conflict->set * (size_t)(query->set_count + 1));
    if (!conflict->old_values || !conflict->new_values || !conflict->set ||
        batch_init(op, &modify->arena, 2 * modify->columns, forms, &conflict->batch) != 0 ||
        row_reader_make(op, &modify->arena, modify->table, NULL, wanted, modify->columns, &conflict->reader) != 0 ||
        (query->conflict_where &&
         execution_program(op, modify->execution, modify->query, query->conflict_where, &conflict->where) != 0))
        return OP_FAILED;
    for (int i = 0; i < query->set_count; i++)
        if (execution_program(op, modify->execution, modify->query, query->set_values[i], &conflict->set[i]) != 0)
            return OP_FAILED;
    modify->conflict = conflict;
    return 0;
}

static int fail_twice(struct op *op)
{
    op_fail(op, "21000", "ON CONFLICT DO UPDATE command cannot affect row a second time");
    op_hint(op, "Ensure that no rows proposed for insertion within the same command have duplicate constrained values.");
    return OP_FAILED;
}

/* DO NOTHING decides by a row that the snapshot must see. */
static int check_seen(struct op *op, struct modify *modify, CommitTs since)
{
    if (modify->session->level < TXN_REPEATABLE_READ || since <= txn_read_ts(modify->session->txn))
        return 0;
    op_fail(op, "40001", "could not serialize access due to concurrent update");
    op_detail(op, "The row with which the new one conflicts was committed after this transaction's snapshot was taken.");
    op_hint(op, "The transaction might succeed if retried.");
    return OP_FAILED;
}

/* The newest version of the row that is there, locked; *gone when it has been deleted. */
static int lock_newest(struct op *op, struct modify *modify, struct bytes key, struct bytes *value, CommitTs *seen, bool *gone)
{
    struct txn_outcome outcome;

    *seen = txn_read_ts(modify->session->txn);
    *gone = false;
    for (;;) {
        if (txn_lock_row(op, modify->session->txn, modify->change.tree, key, TXN_FOR_UPDATE, TXN_WAIT, *seen, &outcome) != 0)
            return OP_FAILED;
        if (outcome.newest_ts > *seen)
            *seen = outcome.newest_ts;
        switch (outcome.result) {
        case TXN_WRITTEN:
            *value = outcome.newest;
            return 0;
        case TXN_CHANGED:
            break;
        case TXN_GONE:
            *gone = true;
            return 0;
        default:
            return fail_twice(op);
        }
    }
}

static int ignore_row(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    return 0;
}

/* At SERIALIZABLE the row that is there counts as read, whole: WHERE may leave it as it is, or a savepoint undo what is made of it. */
static int note_read(struct op *op, struct modify *modify, struct bytes key)
{
    bool found;

    return txn_records_reads(modify->session->txn) ? txn_get(op, modify->session->txn, modify->change.tree, key, ignore_row, NULL, &found)
                                                   : 0;
}

/* Both rows into the batch, and WHERE over them. */
static int judge(struct op *op, struct modify *modify, struct bytes key, struct bytes value, bool *matches)
{
    struct modify_conflict *conflict = modify->conflict;
    struct batch *batch = &conflict->batch;

    batch->count = batch->selected = 1;
    batch->selection = NULL;
    for (int i = 0; i < 2 * modify->columns; i++)
        batch->vectors[i].has_nulls = false;
    if (row_decode(op, conflict->reader, key, value, &modify->results, batch->vectors, 0) != 0)
        return OP_FAILED;
    for (int i = 0; i < modify->columns; i++) {
        vector_get(&batch->vectors[i], 0, &conflict->old_values[i]);
        vector_set(&batch->vectors[modify->columns + i], 0, &modify->new_values[i]);
    }
    if (conflict->where && program_filter(modify__env(op, modify), conflict->where, batch, conflict->selection) != 0)
        return OP_FAILED;
    *matches = batch->selected > 0;
    batch->selected = 1;
    batch->selection = NULL;
    return 0;
}

static int update_row(struct op *op, struct modify *modify, struct bytes key, CommitTs seen)
{
    struct modify_conflict *conflict = modify->conflict;
    struct eval_env *env = modify__env(op, modify);
    struct txn_outcome outcome;
    int before = modify->changed.count;

    memcpy(conflict->new_values, conflict->old_values, sizeof(struct datum) * (size_t)modify->columns);
    for (int i = 0; i < modify->query->set_count; i++) {
        const struct vector *result;
        if (program_run(env, conflict->set[i], &conflict->batch, &result) != 0)
            return OP_FAILED;
        vector_get(result, 0, &conflict->new_values[modify->query->set_columns[i]]);
    }
    if (change_check(op, &modify->change, conflict->new_values) != 0 ||
        change_update(op, &modify->change, key, conflict->old_values, conflict->new_values, modify->touched, seen, &outcome) != 0)
        return OP_FAILED;
    if (outcome.result != TXN_WRITTEN)
        return fail_twice(op);
    modify__note_changed(modify, conflict->new_values);
    return modify__keep_returned(op, modify, before);
}

int modify__insert_conflict(struct op *op, struct modify *modify)
{
    const struct query *query = modify->query;
    struct bytes key, value;
    CommitTs since, seen;
    bool gone = true, matches;

    while (gone) {
        if (change_insert_unless(op, &modify->change, modify->new_values, query->arbiters, query->arbiter_count, &key, &since) != 0)
            return OP_FAILED;
        if (!key.data) {
            modify__note_changed(modify, modify->new_values);
            return 0;
        }
        if (query->conflict == CONFLICT_NOTHING)
            return check_seen(op, modify, since);
        uint8_t *copy = op_alloc(op, key.len);
        if (!copy)
            return OP_FAILED;
        memcpy(copy, key.data, key.len);
        key.data = copy;
        if (lock_newest(op, modify, key, &value, &seen, &gone) != 0)
            return OP_FAILED;
    }
    if (note_read(op, modify, key) != 0 || judge(op, modify, key, value, &matches) != 0)
        return OP_FAILED;
    return matches ? update_row(op, modify, key, seen) : 0;
}
