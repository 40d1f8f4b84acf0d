/*
 * session.c -- one connection's transactions: begin, statements, marks, and what belongs to the session.
 *
 * READ COMMITTED takes a snapshot per statement, the others one per transaction, at the first statement.  Within a transaction
 * each statement has a command number; what the transaction wrote with an earlier number is visible to it, what the
 * statement itself wrote is not.  That settles the Halloween problem: an UPDATE cannot meet its own new rows.
 */
#include "txn/ssi.h"
#include "txn/txn_int.h"

int txn_session_open(struct op *op, struct txn_manager *manager, struct txn_session **out)
{
    int rc = 0;

    *out = NULL;
    struct txn_session *session = mem_calloc(1, sizeof(*session));
    if (session == NULL) {
        return op_out_of_memory(op);
    }
    session->manager = manager;
    session->sync = TXN_SYNC_FULL;
    session->wait.session = session;
    session->deadlock_timeout_us = 1000000;
    atomic_init(&session->cancel, false);
    arena_init(&session->arena);
    if (commit__prepare_undo(op, manager, &session->undo) != 0) {
        arena_free(&session->undo.arena);
        mem_free(session);
        return OP_FAILED;
    }
    os_mutex_init(&session->fast_mutex, RANK_LOCK_TABLE);
    os_mutex_lock(&manager->mutex);
    rc = slot__acquire(op, manager, &session->slot);
    if (rc == 0) {
        session->number = ++manager->next_number;
        session->next = manager->sessions;
        if (session->next != NULL) {
            session->next->prev = session;
        }
        manager->sessions = session;
        atomic_fetch_add(&manager->session_count, 1);
    }
    os_mutex_unlock(&manager->mutex);
    if (rc != 0) {
        os_mutex_destroy(&session->fast_mutex);
        arena_free(&session->undo.arena);
        mem_free(session);
        return OP_FAILED;
    }
    *out = session;
    return 0;
}

void txn_session_close(struct txn_session *session)
{
    if (session == NULL) {
        return;
    }
    struct txn_manager *manager = session->manager;
    if (session->in_progress) {
        txn_rollback(session);
    }
    txn_unlock_advisory_all(session);
    os_mutex_lock(&manager->mutex);
    if (session->next != NULL) {
        session->next->prev = session->prev;
    }
    if (session->prev != NULL) {
        session->prev->next = session->next;
    } else {
        manager->sessions = session->next;
    }
    atomic_store(&session->slot->read_ts, TXN_NO_SNAPSHOT);
    atomic_store(&session->slot->reading, false);
    atomic_store(&session->slot->in_use, false);
    atomic_fetch_sub(&manager->session_count, 1);
    os_mutex_unlock(&manager->mutex);
    session__free(session);
}

void session__free(struct txn_session *session)
{
    os_mutex_destroy(&session->fast_mutex);
    arena_free(&session->arena);
    arena_free(&session->undo.arena);
    mem_free(session->own_locks);
    mem_free(session);
}

struct txn_manager *txn_session_manager(struct txn_session *session)
{
    return session->manager;
}

uint32_t txn_session_number(const struct txn_session *session)
{
    return session->number;
}

void txn_set_statement(struct txn_session *session, const char *text, size_t len)
{
    session->statement = text;
    session->statement_len = len;
}

void txn_set_lock_timeout(struct txn_session *session, uint64_t microseconds)
{
    session->lock_timeout_us = microseconds;
}

void txn_set_deadlock_timeout(struct txn_session *session, uint64_t microseconds)
{
    os_mutex_lock(&session->manager->waits);
    session->deadlock_timeout_us = microseconds;
    os_mutex_unlock(&session->manager->waits);
}

struct bytes txn_statement(const struct txn_session *session)
{
    return (struct bytes){ (const uint8_t *)session->statement, session->statement != NULL ? session->statement_len : 0 };
}

void txn_set_statement_deadline(struct txn_session *session, uint64_t deadline_ns)
{
    session->deadline_ns = deadline_ns;
}

void txn_set_sync(struct txn_session *session, enum txn_sync sync)
{
    session->sync = sync;
}

void txn_set_max_log(struct txn_session *session, uint64_t bytes)
{
    session->max_log = bytes;
}

void txn_tell_rows(struct txn_session *session, int (*describe)(const void *row, char *text, size_t size))
{
    session->tells_rows = true;
    session->describe_row = describe;
}

void txn_interrupt(struct txn_session *session)
{
    atomic_store(&session->cancel, true);
    wait__interrupt(session);
}

atomic_bool *txn_cancel_flag(struct txn_session *session)
{
    return &session->cancel;
}

void txn_on_wait(struct txn_session *session, void (*callback)(void *arg, bool waiting), void *arg)
{
    session->on_wait = callback;
    session->on_wait_arg = arg;
}

/* ---- transactions --------------------------------------------------------------------------------- */

int txn_begin(struct op *op, struct txn_session *session, enum txn_level level, bool read_only, bool deferrable)
{
    if (session->in_progress) {
        return op_fail(op, "25001", "there is already a transaction in progress");
    }
    session->in_progress = true;
    session->level = level;
    session->read_only = read_only;
    session->deferrable = deferrable && read_only && level == TXN_SERIALIZABLE;
    session->has_snapshot = false;
    session->in_statement = false;
    session->doomed = false;
    session->dep_ts = 0;
    session->read_ts = 0;
    session->command = 0;
    session->open_scans = 0;
    session->end_calls = NULL;
    return 0;
}

bool txn_in_progress(const struct txn_session *session)
{
    return session->in_progress;
}

int session__writer(struct op *op, struct txn_session *session, struct txn **writer)
{
    struct txn_manager *manager = session->manager;

    *writer = session->writer;
    if (*writer != NULL) {
        return 0;
    }
    /* The record that ends the transaction must always find room. */
    if (wal_reserve(op, manager->wal, TXN_END_RESERVE) != 0) {
        return OP_FAILED;
    }
    struct txn *txn = writer__new(op, manager, 0);
    if (txn == NULL) {
        wal_unreserve(manager->wal, TXN_END_RESERVE);
        return OP_FAILED;
    }
    txn->session = session;
    txn->serializable = session->level == TXN_SERIALIZABLE;
    writer__activate(txn);
    if (session->ssi != NULL) {
        ssi__bind_writer(session, txn);
    }
    session->writer = txn;
    *writer = txn;
    return 0;
}

TxnId txn_id(struct txn_session *session)
{
    struct txn *txn = NULL;
    struct op op;

    if (session->writer == NULL) {
        op_init(&op);
        if (session__writer(&op, session, &txn) != 0) {
            txn = NULL;
        }
        op_end(&op);
    }
    return session->writer != NULL ? session->writer->id : 0;
}

int txn_statement_begin(struct op *op, struct txn_session *session)
{
    if (!session->in_progress) {
        return op_fail(op, "25P01", "there is no transaction in progress");
    }
    if (session->ssi != NULL) {
        ssi__leave_if_safe(session);
    }
    if (session->doomed || (session->ssi != NULL && ssi__is_doomed(session->ssi))) {
        session->doomed = true;
        return ssi__fail(op, session);
    }
    atomic_store_explicit(&session->slot->reading, true, memory_order_seq_cst);
    if (snapshot__lost(session)) {
        return snapshot__fail(op);
    }
    session->command++;
    session->in_statement = true;
    if (session->level == TXN_READ_COMMITTED) {
        snapshot__take(session);
        return 0;
    }
    if (!session->has_snapshot) {
        if (session->level == TXN_SERIALIZABLE) {
            return ssi__begin(op, session);
        }
        snapshot__take(session);
    }
    return 0;
}

void txn_statement_end(struct txn_session *session)
{
    session->in_statement = false;
    atomic_store_explicit(&session->slot->reading, false, memory_order_release);
    wait__leave(session);
    if (session->level == TXN_READ_COMMITTED && session->has_snapshot) {
        snapshot__drop(session);
    }
}

void txn_next_command(struct txn_session *session)
{
    session->command++;
}

CommitTs txn_read_ts(const struct txn_session *session)
{
    return session->read_ts;
}

CommitTs txn_last_commit(const struct txn_session *session)
{
    return session->last_commit;
}

int txn_await_dependencies(struct op *op, struct txn_session *session)
{
    if (session->dep_ts == 0) {
        return 0;
    }
    return commit__await_visible(op, session->manager, session->dep_ts);
}

int txn_on_end(struct op *op, struct txn_session *session, void (*callback)(void *arg, bool committed, CommitTs ts),
               void *arg)
{
    struct end_call *call = op_arena_alloc(op, &session->arena, sizeof(*call));

    if (call == NULL) {
        return OP_FAILED;
    }
    call->callback = callback;
    call->arg = arg;
    call->next = session->end_calls;
    session->end_calls = call;
    return 0;
}

void txn_mark(struct txn_session *session, struct txn_mark *mark)
{
    mark->lsn = session->writer != NULL ? session->writer->chain.last : 0;
    mark->command = session->command;
    mark->lock_position = session->lock_position;
}
