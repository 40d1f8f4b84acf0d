/*
 * commit.c -- how a transaction ends: ordered, visible, acknowledged; or undone.
 *
 *      ordered       the commit record has its LSN.  That LSN is commit_ts, set while the log's position is held, so that
 *                    commits are numbered in the order of their records.  From here on it is committed for every
 *                    conflict, and who waits for its rows goes on (early lock release).
 *      visible       it and all commits before it have what they asked for: full = durable, normal and off = in the
 *                    log buffer.  visible_ts moves; new snapshots see it; lock-only row locks and table locks go.
 *      acknowledged  COMMIT returns.
 *
 * Ordered commits stand in a ring, in log order, each with its commit_ts and whether it is `ready` (in the buffer) or must be
 * durable first.  Whoever has something to report moves visible_ts over the longest prefix that is done:
 *
 *      ring   | 100 done | 140 done | 180 full, not durable | 210 done |
 *                                ^ visible_ts = 140: 210 waits for 180
 *
 * A flush makes everything before it durable, so a committer never waits for another thread to report: having flushed up to its own
 * record it may itself step over all before it.
 *
 * C1  visible_ts never passes a commit whose durability is outstanding.
 * C2  A transaction that has written nothing appends nothing and waits for nothing.
 * C3  Rollback walks the transaction's log chain backwards; each record restored pops its entry under the leaf's latch.  A disk
 *     that fails meanwhile leaves the other entries in place: readers go on undoing them in thought, and the rollback is tried
 *     again in the background (loser.c), or by the next open if the log is broken.
 * C4  Rollback needs no memory that it has not got: room for a record is in its op, which the session has from its beginning,
 *     handles of trees are made with the trees or when they are first used, pages and log are promised before the change.
 */
#include "txn/ssi.h"
#include "src/base/planted.h"
#include "txn/txn_int.h"

enum { RING_READY = 1, RING_FULL = 2, RING_SHIFT = 2 };

void commit__depend(struct txn_session *session, CommitTs ts)
{
    if (ts > session->dep_ts && ts > atomic_load_explicit(&session->manager->visible_ts, memory_order_acquire)) {
        session->dep_ts = ts;
    }
}

/* ---- ordered -> visible --------------------------------------------------------------------------- */

static void advance_visible(struct txn_manager *manager)
{
    Lsn durable = wal_durable_end(manager->wal);
    CommitTs visible = 0;

    os_mutex_lock(&manager->commits);
    uint64_t tail = atomic_load_explicit(&manager->ring_tail, memory_order_acquire);
    while (manager->ring_head < tail) {
        uint64_t word = atomic_load_explicit(&manager->ring[manager->ring_head % TXN_COMMIT_RING], memory_order_acquire);
        CommitTs ts = word >> RING_SHIFT;
        if (!(word & RING_READY) && ts >= durable) {
            break;
        }
        visible = ts;
        manager->ring_head++;
    }
    if (visible != 0) {
        atomic_store_explicit(&manager->visible_ts, visible, memory_order_release);
    }
    os_mutex_unlock(&manager->commits);
}

int commit__await_visible(struct op *op, struct txn_manager *manager, CommitTs ts)
{
    if (atomic_load_explicit(&manager->visible_ts, memory_order_acquire) >= ts) {
        return 0;
    }
    advance_visible(manager);
    if (atomic_load_explicit(&manager->visible_ts, memory_order_acquire) >= ts) {
        return 0;
    }
    if (wal_flush(op, manager->wal, ts) != 0) {
        return OP_FAILED;
    }
    advance_visible(manager);
    assert(atomic_load(&manager->visible_ts) >= ts);
    return 0;
}

/* Called by the log while the position of the commit record is held. */
static void ordered(void *arg, Lsn lsn)
{
    struct txn *txn = arg;
    struct txn_manager *manager = txn->manager;
    uint64_t index = atomic_load_explicit(&manager->ring_tail, memory_order_relaxed);

    txn->ring_index = index;
    atomic_store_explicit(&manager->ring[index % TXN_COMMIT_RING], lsn << RING_SHIFT | (txn->sync_full ? RING_FULL : 0),
                          memory_order_release);
    atomic_store_explicit(&manager->ring_tail, index + 1, memory_order_release);
    atomic_store_explicit(&txn->commit_ts, lsn, memory_order_seq_cst);
}

static void append_commit(struct txn *txn)
{
    struct txn_manager *manager = txn->manager;
    uint8_t payload[9];
    struct bytes part = { payload, sizeof(payload) };

    put_u64(payload, (uint64_t)os_wall_us());
    payload[8] = 0;
    wal_append_ordered(manager->wal, &txn->chain, WAL_COMMIT, &part, 1, ordered, txn);
    if (!txn->sync_full || PLANTED("txn-visible-early")) {
        atomic_fetch_or_explicit(&manager->ring[txn->ring_index % TXN_COMMIT_RING], RING_READY, memory_order_acq_rel);
    }
}

/* ---- ending --------------------------------------------------------------------------------------- */

static void call_ends(struct txn_session *session, bool committed, CommitTs ts)
{
    struct end_call *calls = session->end_calls;

    session->end_calls = NULL;
    for (; calls != NULL; calls = calls->next) {
        calls->callback(calls->arg, committed, ts);
    }
}

/* The session is done with its transaction; its writer lives on in its entries. */
static void forget(struct txn_session *session)
{
    struct txn *txn = session->writer;
    struct txn_manager *manager = session->manager;

    if (txn != NULL) {
        os_mutex_lock(&manager->waits);
        txn->session = NULL;
        os_mutex_unlock(&manager->waits);
        session->writer = NULL;
        writer__unref(txn);
    }
    if (session->has_snapshot) {
        snapshot__drop(session);
    }
    session->in_progress = false;
    session->in_statement = false;
    atomic_store_explicit(&session->slot->reading, false, memory_order_release);
    session->lock_position = 0;
    arena_reset(&session->arena);
}

/* Entries of a visible commit: gone at once if no snapshot needs them, else they queue. */
static void retire_entries(struct txn_session *session, struct txn *txn)
{
    struct txn_manager *manager = session->manager;
    CommitTs ts = writer__ts(txn);

    if (session->has_snapshot) {
        snapshot__drop(session);
    }
    CommitTs horizon = snapshot__horizon(manager);
    if (ts <= horizon) {
        version__purge_writer(txn);
    } else {
        os_mutex_lock(&manager->commits);
        struct txn *after = manager->purge_list.purge_prev;
        while (after != &manager->purge_list && writer__ts(after) > ts) {
            after = after->purge_prev;
        }
        txn->purge_prev = after;
        txn->purge_next = after->purge_next;
        txn->purge_next->purge_prev = txn;
        after->purge_next = txn;
        txn->queued = true;
        if (txn->buried) {
            writer__ref(txn);
        }
        os_mutex_unlock(&manager->commits);
    }
    version__purge_committed(manager, horizon);
}

static void commit_read_only(struct txn_session *session)
{
    bool had_snapshot = session->has_snapshot;

    call_ends(session, true, session->read_ts);
    locktable__release(session, 0);
    if (session->ssi != NULL) {
        ssi__end(session, true);
    }
    forget(session);
    if (had_snapshot && session->level != TXN_READ_COMMITTED) {
        struct txn_manager *manager = session->manager;
        CommitTs horizon = snapshot__horizon(manager);
        version__purge_committed(manager, horizon);
        }
}

static int fail_unknown(struct op *op, const struct op *cause)
{
    op_fail(op, "08007", "the commit could not be confirmed: its outcome is unknown");
    op_detail(op, "%s", cause->error.message != NULL ? cause->error.message : "The log could not be synced.");
    op_hint(op, "The database is read-only until it is opened again; then the transaction is there wholly or not at all.");
    return OP_FAILED;
}

/* Waits until the ordered commit is visible. */
static int make_visible(struct op *op, struct txn *txn)
{
    struct txn_manager *manager = txn->manager;
    CommitTs ts = writer__ts(txn);
    struct op flush;
    int rc = 0;

    op_init(&flush);
    if (txn->sync_full) {
        rc = wal_flush(&flush, manager->wal, ts);
    }
    if (rc == 0) {
        rc = commit__await_visible(&flush, manager, ts);
    }
    if (rc != 0) {
        rc = fail_unknown(op, &flush);
    }
    op_end(&flush);
    return rc;
}

/* The error is there; the commit that the transaction lost to must be visible before the client hears of it, so that a retry sees it. */
static int fail_after(struct op *op, struct txn_manager *manager, CommitTs lost_to)
{
    struct op wait;

    op_init(&wait);
    if (commit__await_visible(&wait, manager, lost_to) != 0) {
        op_clear_error(&wait);      /* the log is broken: no retry will succeed whatever it sees */
    }
    op_end(&wait);
    return OP_FAILED;
}

static int commit_writer(struct op *op, struct txn_session *session)
{
    struct txn_manager *manager = session->manager;
    struct txn *txn = session->writer;

    txn->sync_full = session->sync == TXN_SYNC_FULL && !PLANTED("txn-commit-unflushed");
    if (wal_is_broken(manager->wal)) {
        txn_rollback(session);
        return op_fail(op, "58030", "the log is broken: the database is read-only until it is opened again");
    }
    if (session->ssi != NULL) {
        if (ssi__commit(op, session, append_commit) != 0) {
            CommitTs lost_to = ssi__lost_to(session->ssi);
            txn_rollback(session);
            return fail_after(op, manager, lost_to);
        }
    } else {
        append_commit(txn);
    }
    store_forget_promises(manager->store, &txn->chain);
    wal_unreserve(manager->wal, TXN_END_RESERVE);
    wait__release_writer(txn);
    CommitTs ts = writer__ts(txn);
    session->last_commit = ts;
    call_ends(session, true, ts);
    int rc = make_visible(op, txn);
    atomic_store(&txn->ended, true);
    rowlock__release(session, 0);
    locktable__release(session, 0);
    if (session->ssi != NULL) {
        ssi__end(session, true);
    }
    if (rc == 0) {
        retire_entries(session, txn);
    }
    writer__deactivate(txn);        /* only now: see trees.c, D1 */
    forget(session);
    return rc;
}

int txn_commit(struct op *op, struct txn_session *session)
{
    if (!session->in_progress) {
        return op_fail(op, "25P01", "there is no transaction in progress");
    }
    wait__leave(session);
    if (session->doomed || (session->ssi != NULL && ssi__is_doomed(session->ssi) && !PLANTED("ssi-commit-unchecked"))) {
        CommitTs lost_to = session->ssi != NULL ? ssi__lost_to(session->ssi) : 0;
        ssi__fail(op, session);
        txn_rollback(session);
        return fail_after(op, session->manager, lost_to);
    }
    if (session->writer == NULL || session->writer->chain.last == 0) {
        if (session->writer != NULL) {
            /* An id and perhaps row locks, but nothing in the log: there is nothing to make durable. */
            struct txn *txn = session->writer;
            int rc = txn_await_dependencies(op, session);
            atomic_store(&txn->commit_ts, TXN_TS_ABORTED);
            atomic_store(&txn->ended, true);
            rowlock__release(session, 0);
            wal_unreserve(session->manager->wal, TXN_END_RESERVE);
            writer__deactivate(txn);
            commit_read_only(session);
            return rc;
        }
        int rc = txn_await_dependencies(op, session);
        commit_read_only(session);
        return rc;
    }
    return commit_writer(op, session);
}

/* ---- rollback ------------------------------------------------------------------------------------- */

static void aborted(void *arg, Lsn lsn)
{
    struct txn *txn = arg;

    atomic_store_explicit(&txn->commit_ts, TXN_TS_ABORTED, memory_order_seq_cst);
}

/*
 * Undoes what the log chain holds behind `lsn`.  To undo the making of a tree is to drop it at once, and a round of purge may be looking
 * at a ghost in it (P2).
 */
static int undo_to(struct op *op, struct txn *txn, Lsn lsn)
{
    struct txn_manager *manager = txn->manager;

    if (!txn->created) {
        return store_rollback(op, manager->store, &txn->chain, lsn);
    }
    purge__pause(manager);
    int rc = store_rollback(op, manager->store, &txn->chain, lsn);
    purge__resume(manager);
    return rc;
}

int commit__prepare_undo(struct op *op, struct txn_manager *manager, struct op *undo)
{
    op_init(undo);
    if (!PLANTED("txn-undo-without-room") &&
        op_arena_alloc(op, &undo->arena, store_undo_bytes(manager->store)) == NULL) {
        return OP_FAILED;
    }
    op_reset(undo);     /* which keeps the room */
    return 0;
}

int commit__undo(struct op *undo, struct txn *txn)
{
    struct txn_manager *manager = txn->manager;

    op_reset(undo);
    if (txn->chain.last == 0) {
        aborted(txn, 0);
    } else if (undo_to(undo, txn, 0) == 0) {
        wal_append_ordered(manager->wal, &txn->chain, WAL_ABORT, NULL, 0, aborted, txn);
    } else {
        return OP_FAILED;
    }
    store_forget_promises(manager->store, &txn->chain);
    run__drop_all(txn);
    return 0;
}

void txn_rollback(struct txn_session *session)
{
    struct txn *txn = session->writer;

    if (!session->in_progress) {
        return;
    }
    wait__leave(session);
    if (txn != NULL) {
        int rc = commit__undo(&session->undo, txn);
        atomic_store(&txn->ended, true);
        rowlock__release(session, 0);
        if (rc == 0) {
            wait__release_writer(txn);
            wal_unreserve(session->manager->wal, TXN_END_RESERVE);
            writer__deactivate(txn);
        } else {
            loser__keep(txn, &session->undo);
        }
    }
    call_ends(session, false, 0);
    locktable__release(session, 0);
    if (session->ssi != NULL) {
        ssi__end(session, false);
    }
    forget(session);
    version__purge_committed(session->manager, snapshot__horizon(session->manager));
}

int txn_rollback_to(struct op *op, struct txn_session *session, const struct txn_mark *mark)
{
    struct txn *txn = session->writer;

    wait__leave(session);
    if (txn != NULL && txn->chain.last > mark->lsn) {
        op_reset(&session->undo);
        if (undo_to(&session->undo, txn, mark->lsn) != 0) {
            op_copy_error(op, &session->undo);
            return OP_FAILED;
        }
    }
    if (txn != NULL) {
        rowlock__release(session, mark->lock_position);
    }
    locktable__release(session, mark->lock_position);
    return 0;
}
