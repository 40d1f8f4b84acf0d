/*
 * snapshot.c -- which commits may a transaction see?
 *
 * A reader must not watch the database change under it, and must not wait for writers.  So it notes one number, the
 * newest commit that is visible; whatever commits later, or has not committed, does not exist for it.
 *
 * The number is published in the session's slot, so that purge spares what the snapshot may look at.  Between reading
 * visible_ts and publishing it purge may pass by; hence the handshake V2, which needs no latch:
 *
 *      reader                              purge
 *      r = visible_ts                      h = visible_ts
 *      slot = r                            horizon = max(horizon, h)        (announce)
 *      horizon > r ?  again                free up to min(h, all slots)
 *
 * All four accesses to slot and horizon are sequentially consistent.  Either purge sees the slot, or the reader sees the
 * announcement and takes a newer number, which it can, because nothing is announced that was not visible already.
 *
 * S1  A snapshot is immutable: reading it needs no latch.
 * S2  Nothing that a published snapshot may see is purged.
 * S3  A transaction that built on a commit which is ordered but not yet visible (dep_ts) reads at that commit; everything
 *     before it in the log is ordered too, so the number stands for a set of commits as well as any other.
 * S4  A snapshot that is in the way of too much is given up (budget.c): its slot says so before anything is freed that it may see.  So
 *     whoever looks at the slot after having looked at versions knows whether they were all there.
 */
#include "txn/txn_int.h"

int slot__acquire(struct op *op, struct txn_manager *manager, struct slot **slot)
{
    unsigned chunks = atomic_load(&manager->slot_chunks);

    *slot = NULL;
    for (unsigned c = 0; c < chunks; c++) {
        struct slot *chunk = atomic_load(&manager->slots[c]);
        for (int i = 0; i < TXN_SLOT_CHUNK; i++) {
            if (!atomic_load(&chunk[i].in_use)) {
                atomic_store(&chunk[i].in_use, true);
                *slot = &chunk[i];
                return 0;
            }
        }
    }
    if (chunks == TXN_SLOT_CHUNKS) {
        return op_fail(op, "53300", "too many connections");
    }
    struct slot *chunk = mem_alloc_aligned(64, TXN_SLOT_CHUNK * sizeof(*chunk));
    if (chunk == NULL) {
        return op_out_of_memory(op);
    }
    memset(chunk, 0, TXN_SLOT_CHUNK * sizeof(*chunk));
    for (int i = 0; i < TXN_SLOT_CHUNK; i++) {
        atomic_init(&chunk[i].read_ts, TXN_NO_SNAPSHOT);
    }
    atomic_store(&chunk[0].in_use, true);
    atomic_store(&manager->slots[chunks], chunk);
    atomic_store(&manager->slot_chunks, chunks + 1);
    *slot = &chunk[0];
    return 0;
}

/* Publishes a snapshot of all that is visible, and of dep_ts. */
void snapshot__take(struct txn_session *session)
{
    struct txn_manager *manager = session->manager;
    CommitTs read_ts;

    do {
        read_ts = atomic_load_explicit(&manager->visible_ts, memory_order_acquire);
        if (session->dep_ts > read_ts) {
            read_ts = session->dep_ts;
        }
        atomic_store_explicit(&session->slot->read_ts, read_ts, memory_order_seq_cst);
    } while (atomic_load_explicit(&manager->horizon, memory_order_seq_cst) > read_ts);
    session->read_ts = read_ts;
    session->has_snapshot = true;
    atomic_store_explicit(&session->slot->taken_ns, os_clock_ns(), memory_order_relaxed);
}

void snapshot__drop(struct txn_session *session)
{
    atomic_store_explicit(&session->slot->read_ts, TXN_NO_SNAPSHOT, memory_order_release);
    session->has_snapshot = false;
}

int snapshot__fail(struct op *op)
{
    op_clear_error(op);         /* damage, say: what the snapshot could still see may have been freed under it */
    op_fail(op, "72000", "snapshot too old");
    op_detail(op, "Older versions of rows that were kept for this transaction's snapshot had exceeded the limits of the version store.");
    op_hint(op, "Retry the transaction.  The limits are version_store_memory and version_store_disk.");
    return OP_FAILED;
}

bool txn_hold_trees(struct txn_session *session)
{
    atomic_store_explicit(&session->slot->reading, true, memory_order_seq_cst);
    if (session->has_snapshot) {
        return false;
    }
    snapshot__take(session);    /* a tree dropped by a commit after it lies in the graveyard as long as it is published */
    return true;
}

void txn_release_trees(struct txn_session *session)
{
    atomic_store_explicit(&session->slot->reading, false, memory_order_release);
    snapshot__drop(session);
}

static CommitTs announce(struct txn_manager *manager)
{
    CommitTs visible = atomic_load_explicit(&manager->visible_ts, memory_order_acquire);
    CommitTs announced = atomic_load_explicit(&manager->horizon, memory_order_seq_cst);

    while (announced < visible &&
           !atomic_compare_exchange_weak_explicit(&manager->horizon, &announced, visible, memory_order_seq_cst,
                                                  memory_order_seq_cst)) {
    }
    return visible;
}

CommitTs snapshot__horizon(struct txn_manager *manager)
{
    CommitTs horizon = announce(manager);
    unsigned chunks = atomic_load_explicit(&manager->slot_chunks, memory_order_acquire);

    for (unsigned c = 0; c < chunks; c++) {
        struct slot *chunk = atomic_load_explicit(&manager->slots[c], memory_order_acquire);
        for (int i = 0; i < TXN_SLOT_CHUNK; i++) {
            CommitTs read_ts = atomic_load_explicit(&chunk[i].read_ts, memory_order_seq_cst);
            if (read_ts < horizon) {
                horizon = read_ts;
            }
        }
    }
    return horizon;
}

bool snapshot__list(struct txn_manager *manager, CommitTs *list, size_t capacity, size_t *count, CommitTs *visible)
{
    bool more = false;

    *visible = announce(manager);
    *count = 0;
    unsigned chunks = atomic_load_explicit(&manager->slot_chunks, memory_order_acquire);

    for (unsigned c = 0; c < chunks; c++) {
        struct slot *chunk = atomic_load_explicit(&manager->slots[c], memory_order_acquire);
        for (int i = 0; i < TXN_SLOT_CHUNK; i++) {
            CommitTs read_ts = atomic_load_explicit(&chunk[i].read_ts, memory_order_seq_cst);
            if (read_ts >= *visible) {
                continue;
            }
            more |= *count == capacity;
            if (*count == capacity && read_ts >= list[capacity - 1]) {
                continue;
            }
            size_t at = *count < capacity ? (*count)++ : capacity - 1;
            for (; at > 0 && list[at - 1] > read_ts; at--) {
                list[at] = list[at - 1];
            }
            list[at] = read_ts;
        }
    }
    return more;
}
