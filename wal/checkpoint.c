/*
 * checkpoint.c -- the record that a checkpoint leaves in the log.
 *
 *      0 redo LSN   8 next transaction   16 next tree   24 newest commit   32 count
 *     40 count x (txn, first, last, carried, carried to)
 *
 * The database file's slot points at it.  It may be written long after the state was collected; but the redo point is not newer
 * than the settled end of the log at that time, so restart, which reads from there, meets whatever those transactions did since.
 */
#include "wal/wal_int.h"

enum { FIXED_BYTES = 40, CHAIN_BYTES = 40 };

int wal_checkpoint(struct op *op, struct wal *wal, const struct wal_checkpoint_state *state, Lsn *lsn)
{
    *lsn = 0;
    size_t len = FIXED_BYTES + CHAIN_BYTES * state->chain_count;
    if (len > WAL_RECORD_MAX_BYTES || len > wal->options.buffer_size / 4)
        return op_fail(op, "53000", "too many transactions in progress for a checkpoint: %zu", state->chain_count);
    uint8_t *bytes = op_alloc(op, len);
    if (!bytes)
        return OP_FAILED;
    put_u64(bytes, state->redo);
    put_u64(bytes + 8, state->next_txn);
    put_u64(bytes + 16, state->next_tree);
    put_u64(bytes + 24, state->newest_commit);
    put_u64(bytes + 32, state->chain_count);
    for (size_t i = 0; i < state->chain_count; i++) {
        uint8_t *at = bytes + FIXED_BYTES + i * CHAIN_BYTES;
        put_u64(at, state->chains[i].txn);
        put_u64(at + 8, state->chains[i].first);
        put_u64(at + 16, state->chains[i].last);
        put_u64(at + 24, state->chains[i].carried);
        put_u64(at + 32, state->chains[i].carried_to);
    }
    if (wal__reserve(op, wal, len + WAL__HEAD_MAX, 0))
        return OP_FAILED;
    struct bytes part = {bytes, len};
    *lsn = wal_append(wal, NULL, WAL_CHECKPOINT, 0, &part, 1);
    wal_unreserve(wal, len + WAL__HEAD_MAX);
    return wal_flush(op, wal, *lsn);
}

int wal__decode_checkpoint(struct op *op, const struct wal_record *record, struct arena *arena,
                           struct wal_checkpoint_state *state)
{
    const uint8_t *bytes = record->payload.data;
    size_t len = record->payload.len;
    if (record->type != WAL_CHECKPOINT || len < FIXED_BYTES || (len - FIXED_BYTES) % CHAIN_BYTES != 0 ||
        get_u64(bytes + 32) != (len - FIXED_BYTES) / CHAIN_BYTES)
        return op_fail(op, "XX001", "log record %llX is not a checkpoint", (unsigned long long)record->lsn);
    *state = (struct wal_checkpoint_state){
        .redo = get_u64(bytes), .next_txn = get_u64(bytes + 8), .next_tree = get_u64(bytes + 16),
        .newest_commit = get_u64(bytes + 24), .chain_count = (size_t)get_u64(bytes + 32),
    };
    if (state->chain_count == 0)
        return OP_OK;
    state->chains = op_arena_alloc(op, arena, state->chain_count * sizeof(*state->chains));
    if (!state->chains)
        return OP_FAILED;
    for (size_t i = 0; i < state->chain_count; i++) {
        const uint8_t *at = bytes + FIXED_BYTES + i * CHAIN_BYTES;
        state->chains[i] = (struct wal_chain){.txn = get_u64(at), .first = get_u64(at + 8), .last = get_u64(at + 16),
                                              .carried = get_u64(at + 24), .carried_to = get_u64(at + 32)};
    }
    return OP_OK;
}

Lsn wal_oldest_needed(const struct wal_checkpoint_state *state)
{
    Lsn oldest = state->redo;
    for (size_t i = 0; i < state->chain_count; i++)
        if (state->chains[i].first != 0 && state->chains[i].first < oldest)
            oldest = state->chains[i].first;
    return oldest;
}
