/*
 * connection.c -- connections: a session each, the last error, and what may come from other threads.
 */
#include <string.h>

#include "src/api/api_int.h"
#include "src/base/mem.h"

static void give_notice(void *arg, const struct notice *notice)
{
    struct isolde_conn *conn = arg;
    struct isolde_err report = {.severity = notice->severity};

    if (!conn->on_notice)
        return;
    memcpy(report.error.sqlstate, notice->sqlstate, 5);
    report.error.message = notice->message;
    report.error.detail = notice->detail;
    report.error.hint = notice->hint;
    conn->on_notice(conn->notice_arg, &report);
}

static void tell_wait(void *arg, bool waiting)
{
    struct isolde_conn *conn = arg;
    if (conn->on_wait)
        conn->on_wait(conn->wait_arg, waiting);
}

static int connect_to(struct op *op, struct isolde_db *db, struct isolde_conn **out)
{
    struct isolde_conn *conn = mem_calloc(1, sizeof *conn);

    if (!conn)
        return op_out_of_memory(op);
    conn->db = db;
    if (session_open(op, db->database, &conn->session) != 0) {
        mem_free(conn);
        return OP_FAILED;
    }
    op_init(&conn->op);
    conn->op.cancel = txn_cancel_flag(session_txn(conn->session));
    conn->op.time_style = session_time_style(conn->session);
    session_on_notice(conn->session, give_notice, conn);
    txn_on_wait(session_txn(conn->session), tell_wait, conn);
    os_mutex_lock(&db->latch);
    db->connections++;
    os_mutex_unlock(&db->latch);
    atomic_store(&conn->magic, API_CONNECTION);
    *out = conn;
    return 0;
}

int isolde_connect(isolde_db *db, isolde_conn **conn, isolde_err **err)
{
    struct op op;
    int result = ISOLDE_OK;

    if (err)
        *err = NULL;
    if (conn)
        *conn = NULL;
    op_init(&op);
    if (!api_is_db(db) || !conn) {
        op_fail(&op, "08003", "isolde_connect needs an open database and a place for the handle");
        result = ISOLDE_MISUSE;
    } else if (connect_to(&op, db, conn) != 0) {
        result = ISOLDE_ERROR;
    }
    if (result != ISOLDE_OK)
        api_export_error(&op, err);
    op_end(&op);
    return result;
}

int isolde_disconnect(isolde_conn *conn)
{
    if (!conn)
        return ISOLDE_OK;
    if (!api_is_conn(conn))
        return ISOLDE_MISUSE;
    struct isolde_db *db = conn->db;
    conn->on_notice = NULL;
    conn->on_wait = NULL;
    while (conn->statements)
        api_finalize(conn->statements);
    session_close(conn->session);
    conn->session = NULL;
    op_end(&conn->op);
    api_free_ring(&conn->closed);
    os_mutex_lock(&db->latch);
    db->connections--;
    api_bury(&db->closed, conn, &conn->magic);
    os_mutex_unlock(&db->latch);
    return ISOLDE_OK;
}

char isolde_transaction_status(const isolde_conn *conn)
{
    return api_is_conn(conn) ? session_transaction_status(conn->session) : 'I';
}

uint64_t isolde_commit_lsn(const isolde_conn *conn)
{
    return api_is_conn(conn) ? txn_last_commit(session_txn(conn->session)) : 0;
}

void isolde_interrupt(isolde_conn *conn)
{
    if (api_is_conn(conn))
        txn_interrupt(session_txn(conn->session));
}

int isolde_waiting(isolde_conn *conn)
{
    return api_is_conn(conn) && txn_waiting(session_txn(conn->session));
}

void isolde_on_wait(isolde_conn *conn, void (*callback)(void *arg, int waiting), void *arg)
{
    if (!api_is_conn(conn))
        return;
    conn->on_wait = callback;
    conn->wait_arg = arg;
}

void isolde_on_progress(isolde_conn *conn, void (*callback)(void *arg, const char *what, uint64_t done, uint64_t all), void *arg)
{
    if (api_is_conn(conn))
        session_on_progress(conn->session, callback, arg);
}

void isolde_on_notice(isolde_conn *conn, void (*callback)(void *arg, const isolde_err *notice), void *arg)
{
    if (!api_is_conn(conn))
        return;
    conn->on_notice = callback;
    conn->notice_arg = arg;
}
