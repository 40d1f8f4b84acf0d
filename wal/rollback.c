/*
 * rollback.c -- undoing a transaction's records, newest first.
 *
 * Live, to a savepoint and at restart, rollback is one walk back over the chain.  Each undoable record is
 * undone by its layer, which writes a compensation record (CLR) that points at what comes next.  A walk that
 * was cut short by a crash meets the CLRs first and jumps over what is undone already, so nothing is undone
 * twice and log for undo is bounded [ARIES92 §5].
 *
 *      chain:   1 -- 2 -- 3 -- 4 -- CLR(4) -- CLR(3)          CLR(3).undo_next = 2: go on there
 */
#include "wal/wal_int.h"

int wal_rollback(struct op *op, struct wal *wal, const struct wal_handlers *handlers, struct wal_chain *chain, Lsn stop)
{
    Lsn at = chain->last;
    while (at > stop) {
        struct arena_mark mark = arena_mark(&op->arena);
        struct wal_record record;
        if (wal_read(op, wal, at, &op->arena, &record))
            return OP_FAILED;
        if (record.txn != chain->txn)
            return op_fail(op, "XX001", "log record %llX belongs to transaction %llu, not %llu", (unsigned long long)at,
                           (unsigned long long)record.txn, (unsigned long long)chain->txn);
        if (record.flags & WAL_CLR) {
            at = record.undo_next;
        } else {
            if ((record.flags & WAL_UNDOABLE) && handlers->undo(handlers->context, op, chain, &record))
                return OP_FAILED;
            at = record.prev;
        }
        arena_release(&op->arena, mark);
    }
    return OP_OK;
}
