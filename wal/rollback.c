/*
 * rollback.c -- undoing a transaction's records, newest first.
 *
 * Live, to a savepoint and at restart, rollback is one walk back over the chain (carry.c).  Each undoable record is
 * undone by its layer, which writes a compensation record (CLR) that points at what comes next.  A walk that
 * was cut short by a crash meets the CLRs first and jumps over what is undone already, so nothing is undone
 * twice and log for undo is bounded [ARIES92 §5].
 *
 *      chain:   1 -- 2 -- 3 -- 4 -- CLR(4) -- CLR(3)          CLR(3).undo_next = 2: go on there
 */
#include "wal/wal_int.h"

static int undo_next(struct op *op, struct wal_walk *walk, const struct wal_handlers *handlers, Lsn stop, bool *found)
{
    struct wal_record record;
    struct wal_chain *chain = walk->chain;
    if (wal_walk_next(op, walk, stop, &op->arena, &record, found))
        return OP_FAILED;
    if (!*found)
        return OP_OK;
    if (handlers->undo(handlers->context, op, chain, &record))
        return OP_FAILED;
    uint64_t size = wal__align(WAL__HEAD_TXN + record.payload.len);
    __atomic_store_n(&chain->undoable, chain->undoable > size ? chain->undoable - size : 0, __ATOMIC_RELAXED);
    return OP_OK;
}

int wal_rollback(struct op *op, struct wal *wal, const struct wal_handlers *handlers, struct wal_chain *chain, Lsn stop)
{
    struct wal_walk walk;
    int result = OP_OK;
    wal_walk_begin(wal, chain, &walk);
    for (bool found = true; found && result == OP_OK;) {
        struct arena_mark mark = arena_mark(&op->arena);
        result = undo_next(op, &walk, handlers, stop, &found);
        if (result == OP_OK)        /* what went wrong is told from the arena */
            arena_release(&op->arena, mark);
    }
    wal_walk_end(&walk);
    return result;
}
