/*
 * engine_libpq.c -- the same schedules on a PostgreSQL, so that the two can be compared.
 *
 * Whether a session waits is asked of pg_isolation_test_session_is_blocked(), as PostgreSQL's own tester does.
 */
#include <libpq-fe.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "isolation-tests/engine.h"

enum { LINKS_MAX = 64, POLL_MS = 5 };

struct libpq_engine {
    struct engine engine;
    char *conninfo;
    PGconn *monitor;
    int pids[LINKS_MAX];
    int pid_count;
};

struct link {
    struct libpq_engine *owner;
    PGconn *conn;
    struct link_events events;
};

static void on_notice(void *arg, const PGresult *notice)
{
    struct link *link = arg;
    const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY), *message = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
    if (link->events.notice)
        link->events.notice(link->events.arg, severity ? severity : "NOTICE", message ? message : "");
}

static PGconn *open_conn(const char *conninfo)
{
    PGconn *conn = PQconnectdb(conninfo);
    if (PQstatus(conn) == CONNECTION_OK)
        return conn;
    fprintf(stderr, "connection failed: %s", PQerrorMessage(conn));
    PQfinish(conn);
    return NULL;
}

static struct link *connect_libpq(struct engine *engine, const struct link_events *events)
{
    struct libpq_engine *own = (struct libpq_engine *)(void *)engine;
    if (own->pid_count == LINKS_MAX) {
        fprintf(stderr, "more than %d sessions\n", LINKS_MAX);
        return NULL;
    }
    PGconn *conn = open_conn(own->conninfo);
    if (!conn)
        return NULL;
    struct link *link = must_alloc(NULL, 1, sizeof *link);
    *link = (struct link){ .owner = own, .conn = conn, .events = *events };
    own->pids[own->pid_count++] = PQbackendPID(conn);
    PQsetNoticeReceiver(conn, on_notice, link);
    return link;
}

static void take_result(const PGresult *result, struct reply *reply)
{
    int columns = PQnfields(result);
    switch (PQresultStatus(result)) {
    case PGRES_TUPLES_OK: {
        struct table *table = reply_add_table(reply, columns);
        for (int c = 0; c < columns; c++)
            table->names[c] = must_copy(PQfname(result, c));
        for (int r = 0; r < PQntuples(result); r++) {
            table_add_row(table);
            for (int c = 0; c < columns; c++)
                if (!PQgetisnull(result, r, c))
                    table->cells[r * columns + c] = must_copy(PQgetvalue(result, r, c));
        }
        reply_add_tag(reply, PQcmdStatus((PGresult *)(uintptr_t)result));
        break;
    }
    case PGRES_COMMAND_OK:
        reply_add_tag(reply, PQcmdStatus((PGresult *)(uintptr_t)result));
        break;
    case PGRES_EMPTY_QUERY:
        break;
    default: {
        const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY), *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
        reply_set_error(reply, severity ? severity : "ERROR", state ? state : "XX000",
                        message ? message : PQresultErrorMessage(result), PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL));
    }
    }
}

static void run_libpq(struct link *link, const char *sql, struct reply *reply)
{
    PGresult *result;
    *reply = (struct reply){ 0 };
    if (!PQsendQuery(link->conn, sql))
        reply_set_error(reply, "FATAL", "08006", PQerrorMessage(link->conn), NULL);
    while ((result = PQgetResult(link->conn)) != NULL) {
        if (!reply->failed)
            take_result(result, reply);
        PQclear(result);
    }
    PGTransactionStatusType status = PQtransactionStatus(link->conn);
    reply->status = status == PQTRANS_INTRANS ? 'T' : status == PQTRANS_INERROR ? 'E' : 'I';
}

static bool is_waiting_libpq(struct link *link)
{
    struct libpq_engine *own = link->owner;
    char pid[16], pids[LINKS_MAX * 12 + 3] = "{";
    const char *values[] = { pid, pids };
    snprintf(pid, sizeof pid, "%d", PQbackendPID(link->conn));
    for (int i = 0; i < own->pid_count; i++)
        snprintf(pids + strlen(pids), sizeof pids - strlen(pids), "%s%d", i ? "," : "", own->pids[i]);
    strcat(pids, "}");
    PGresult *result = PQexecParams(own->monitor, "SELECT pg_catalog.pg_isolation_test_session_is_blocked($1::int, $2::int[])", 2,
                                    NULL, values, NULL, NULL, 0);
    bool waiting = PQntuples(result) == 1 && PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    return waiting;
}

static void cancel_libpq(struct link *link)
{
    PGcancel *cancel = PQgetCancel(link->conn);
    char why[256];
    if (cancel && !PQcancel(cancel, why, sizeof why))
        fprintf(stderr, "cancel failed: %s\n", why);
    PQfreeCancel(cancel);
}

static void disconnect_libpq(struct link *link)
{
    if (link)
        PQfinish(link->conn);
    free(link);
}

static void close_libpq(struct engine *engine)
{
    struct libpq_engine *own = (struct libpq_engine *)(void *)engine;
    PQfinish(own->monitor);
    free(own->conninfo);
    free(own);
}

struct engine *engine_open_libpq(const char *conninfo)
{
    PGconn *monitor = open_conn(conninfo);
    if (!monitor)
        return NULL;
    struct libpq_engine *own = must_alloc(NULL, 1, sizeof *own);
    *own = (struct libpq_engine){
        .engine = { .poll_ms = POLL_MS, .connect = connect_libpq, .run = run_libpq, .is_waiting = is_waiting_libpq,
                    .cancel = cancel_libpq, .disconnect = disconnect_libpq, .close = close_libpq },
        .conninfo = must_copy(conninfo), .monitor = monitor,
    };
    return &own->engine;
}
