/*
 * exec_lock.c -- LockRows: locks each row that comes from below, and hands it up as it is then.
 *
 * At READ COMMITTED a row may have changed since the snapshot.  Then its newest version is locked, the changed columns take the place of the
 * old ones in the joined row, and conditions and select list are computed again on that one row (plan_lock.c):
 *
 *      joined row      [targets | a.id  a.n  b.id  key of a  key of b]        b's part has changed
 *      locked          b's newest version is decoded into b.id
 *      judged          left joins, WHERE, targets: programs over the part behind the targets
 *
 * A row whose key was changed is followed to where it went.  One that is gone, no longer matches, or is locked by another (SKIP
 * LOCKED) is left out; its locks stay until the transaction ends, as in PostgreSQL.
 *
 * No more rows are locked than are asked for; so the rest of a batch from below waits for the next call.
 */
#include <string.h>

#include "sql/exec_int.h"

struct locked_table {
    struct btree *tree;
    struct row_reader *reader;
    struct vector *vectors;         /* those of `row` that the reader fills */
};

struct lock_operator {
    struct operator base;
    struct locked_table *tables;
    struct batch *in;
    int at;                         /* next selected row of `in` */
    struct batch row;               /* one row: as it is now */
    bool changed;                   /* `row` counts, not the input's */
    struct program *where, **ons, **targets;
    uint16_t *chosen;
};

static int lock_start(struct op *op, struct operator *o)
{
    struct lock_operator *l = (struct lock_operator *)o;

    l->in = NULL;
    return exec__start(op, o->left);
}

/* ---- a row that has changed ------------------------------------------------------------------------- */

static void clear_vectors(struct batch *batch, int rows)
{
    for (int i = 0; i < batch->columns; i++) {
        if (batch->vectors[i].has_nulls)
            memset(batch->vectors[i].nulls, 0, (size_t)rows);
        batch->vectors[i].has_nulls = false;
    }
}

static int copy_row(struct op *op, const struct batch *from, int row, struct batch *to, int to_row)
{
    for (int i = 0; i < to->columns; i++)
        if (exec__vector_copy(op, NULL, &from->vectors[i], row, &to->vectors[i], to_row))
            return OP_FAILED;
    return OP_OK;
}

static int keep_bytes(struct op *op, struct lock_operator *l, struct bytes from, struct bytes *to)
{
    uint8_t *copy = arena_alloc(&l->base.results, from.len + 1);

    if (!copy)
        return op_out_of_memory(op);
    memcpy(copy, from.data, from.len);
    *to = (struct bytes){ copy, from.len };
    return OP_OK;
}

/* This table's part of the row, from its newest version. */
static int take_newest(struct op *op, struct lock_operator *l, int table, int row, struct bytes key, struct bytes value)
{
    const struct plan_lock *lock = &l->base.node->lock.locks[table];
    struct locked_table *t = &l->tables[table];

    if (!l->changed) {
        clear_vectors(&l->row, 1);
        if (copy_row(op, l->in, row, &l->row, 0))
            return OP_FAILED;
        l->changed = true;
    }
    for (int i = 0; i < lock->count; i++) {
        t->vectors[i] = l->row.vectors[lock->slots[i]];
        t->vectors[i].has_nulls = false;
        t->vectors[i].nulls[0] = 0;
    }
    if (row_decode(op, t->reader, key, value, &l->base.results, t->vectors, 0))
        return OP_FAILED;
    for (int i = 0; i < lock->count; i++)
        l->row.vectors[lock->slots[i]].has_nulls = t->vectors[i].has_nulls;
    return keep_bytes(op, l, key, &l->row.vectors[lock->key_slot].bytes[0]);
}

static void select_one(struct batch *batch)
{
    batch->count = batch->selected = 1;
    batch->selection = NULL;
}

/* A left join whose condition fails has nulls on its right. */
static int judge_outers(struct op *op, struct lock_operator *l, struct eval_env *env)
{
    int at = 0;

    for (const struct plan_outer *outer = l->base.node->lock.outers; outer; outer = outer->next, at++) {
        const struct vector *result;
        struct datum value;
        if (program_run(env, l->ons[at], &l->row, &result))
            return OP_FAILED;
        vector_get(result, 0, &value);
        for (int i = 0; i < outer->count && (value.null || !value.b); i++)
            vector_set_null(&l->row.vectors[outer->slots[i]], 0);
    }
    return OP_OK;
}

static int judge_again(struct op *op, struct lock_operator *l, bool *matches)
{
    struct operator *o = &l->base;
    struct eval_env *env = exec__env(o);

    select_one(&l->row);
    if (judge_outers(op, l, env) || (l->where && program_filter(env, l->where, &l->row, l->chosen)))
        return OP_FAILED;
    *matches = l->row.selected > 0;
    select_one(&l->row);
    for (int i = 0; i < o->node->lock.target_count && *matches; i++) {
        const struct vector *result;
        struct vector *target = &l->row.vectors[i];
        if (program_run(env, l->targets[i], &l->row, &result))
            return OP_FAILED;
        target->has_nulls = false;
        if (exec__vector_copy(op, &o->results, result, 0, target, 0))
            return OP_FAILED;
    }
    return OP_OK;
}

/* ---- locking ---------------------------------------------------------------------------------------- */

static int refuse(struct op *op, const struct plan_lock *lock)
{
    return op_fail(op, "55P03", "could not obtain lock on row in relation \"%s\"", lock->table->name);
}

/* One table's part of the row; *keep is false when the row is to be left out. */
static int lock_part(struct op *op, struct lock_operator *l, int table, int row, bool *keep)
{
    const struct plan_lock *lock = &l->base.node->lock.locks[table];
    struct txn_session *txn = l->base.execution->txn;
    struct bytes key = l->in->vectors[lock->key_slot].bytes[row];
    enum txn_wait wait = lock->wait == AST_WAIT ? TXN_WAIT : TXN_NO_WAIT;
    CommitTs seen = txn_read_ts(txn);
    struct txn_outcome outcome;
    bool moved = false;

    for (;;) {
        if (txn_lock_row(op, txn, l->tables[table].tree, key, lock->mode, wait, seen, &outcome))
            return OP_FAILED;
        switch (outcome.result) {
        case TXN_WRITTEN:
            return moved ? take_newest(op, l, table, row, key, outcome.newest) : OP_OK;
        case TXN_CHANGED:
            seen = outcome.newest_ts > seen ? outcome.newest_ts : seen;
            break;
        case TXN_GONE:
            *keep = outcome.moved_to.data != NULL;
            if (!*keep)
                return OP_OK;
            key = outcome.moved_to;
            break;
        case TXN_LOCKED:
            *keep = false;
            return lock->wait == AST_NOWAIT ? refuse(op, lock) : OP_OK;
        default:
            *keep = false;      /* changed by this very statement, or before it by its own transaction's newer command */
            return OP_OK;
        }
        moved = true;
    }
}

/* Locks a row of the input and adds it to the output. */
static int lock_row(struct op *op, struct lock_operator *l, int row)
{
    struct operator *o = &l->base;
    bool keep = true;

    l->changed = false;
    for (int i = 0; i < o->node->lock.count && keep; i++)
        if (lock_part(op, l, i, row, &keep))
            return OP_FAILED;
    if (keep && l->changed && judge_again(op, l, &keep))
        return OP_FAILED;
    if (!keep) {
        o->removed++;
        return OP_OK;
    }
    return copy_row(op, l->changed ? &l->row : l->in, l->changed ? 0 : row, &o->out, o->out.count++);
}

static int lock_next(struct op *op, struct operator *o, int goal, struct batch **batch)
{
    struct lock_operator *l = (struct lock_operator *)o;
    int most = goal < BATCH_ROWS ? goal : BATCH_ROWS;

    *batch = NULL;
    arena_reset(&o->results);
    clear_vectors(&o->out, BATCH_ROWS);
    o->out.count = 0;
    while (o->out.count == 0) {
        if (!l->in) {
            if (exec__next(op, o->left, goal, &l->in))
                return OP_FAILED;
            l->at = 0;
            if (!l->in)
                return OP_OK;
        }
        for (; l->at < l->in->selected && o->out.count < most; l->at++) {
            struct arena_mark mark = arena_mark(&op->arena);
            if (lock_row(op, l, batch_row(l->in, l->at)))
                return OP_FAILED;
            arena_release(&op->arena, mark);
        }
        if (l->at == l->in->selected)
            l->in = NULL;       /* its values are still there until the next is asked for */
    }
    o->out.selected = o->out.count;
    o->out.selection = NULL;
    *batch = &o->out;
    return OP_OK;
}

static void lock_stop(struct operator *o)
{
    ((struct lock_operator *)o)->in = NULL;
}

static const struct operator_methods lock_methods = { lock_start, lock_next, lock_stop, NULL };

/* ---- making ----------------------------------------------------------------------------------------- */

static int make_table(struct op *op, struct execution *execution, const struct plan_lock *lock, struct locked_table *table)
{
    struct store *store = txn_manager_store(txn_session_manager(execution->txn));

    table->vectors = op_arena_alloc(op, &execution->arena, (size_t)(lock->count + 1) * sizeof *table->vectors);
    if (!table->vectors || btree_open(op, store, lock->table->tree, &table->tree))
        return OP_FAILED;
    return row_reader_make(op, &execution->arena, lock->table, NULL, lock->columns, lock->count, &table->reader);
}

static int make_programs(struct op *op, struct execution *execution, const struct plan_node *node, struct lock_operator *l)
{
    int count = 0, at = 0;

    for (const struct plan_outer *outer = node->lock.outers; outer; outer = outer->next)
        count++;
    l->ons = op_arena_alloc(op, &execution->arena, (size_t)(count + 1) * sizeof *l->ons);
    l->chosen = op_arena_alloc(op, &execution->arena, BATCH_ROWS * sizeof *l->chosen);
    if (!l->ons || !l->chosen)
        return OP_FAILED;
    for (const struct plan_outer *outer = node->lock.outers; outer; outer = outer->next)
        if (exec__compile(op, execution, outer->on, &l->ons[at++]))
            return OP_FAILED;
    if (node->lock.where && exec__compile(op, execution, node->lock.where, &l->where))
        return OP_FAILED;
    return exec__compile_list(op, execution, node->lock.targets, node->lock.target_count, &l->targets);
}

int exec__make_lock_rows(struct op *op, struct execution *execution, const struct plan_node *node, struct operator **result)
{
    struct lock_operator *l;

    if (exec__new(op, execution, node, sizeof *l, &lock_methods, &l))
        return OP_FAILED;
    enum type_form *forms = exec__forms(op, &execution->arena, node->types, node->column_count);
    l->tables = op_arena_alloc(op, &execution->arena, (size_t)(node->lock.count + 1) * sizeof *l->tables);
    if (!forms || !l->tables || batch_init(op, &execution->arena, node->column_count, forms, &l->base.out)
        || batch_init(op, &execution->arena, node->column_count, forms, &l->row) || make_programs(op, execution, node, l))
        return OP_FAILED;
    for (int i = 0; i < node->lock.count; i++)
        if (make_table(op, execution, &node->lock.locks[i], &l->tables[i]))
            return OP_FAILED;
    *result = &l->base;
    return OP_OK;
}
