/* engine_isolde.c -- schedules on Isolde, through its C API. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "isolation-tests/engine.h"
#include "src/isolde.h"

struct isolde_engine {
    struct engine engine;
    isolde_db *db;
};

struct link {
    isolde_conn *conn;
    struct link_events events;
};

static void on_notice(void *arg, const isolde_err *notice)
{
    struct link *link = arg;
    if (link->events.notice)
        link->events.notice(link->events.arg, isolde_error_severity(notice), isolde_error_message(notice));
}

static void on_wait(void *arg, int waiting)
{
    struct link *link = arg;
    (void)waiting;
    if (link->events.changed)
        link->events.changed(link->events.arg);
}

static struct link *connect_isolde(struct engine *engine, const struct link_events *events)
{
    struct link *link = must_alloc(NULL, 1, sizeof *link);
    isolde_err *err = NULL;
    *link = (struct link){ .events = *events };
    if (isolde_connect(((struct isolde_engine *)(void *)engine)->db, &link->conn, &err) != ISOLDE_OK) {
        fprintf(stderr, "connection failed: %s\n", err ? isolde_error_message(err) : "out of memory");
        isolde_error_free(err);
        free(link);
        return NULL;
    }
    isolde_on_notice(link->conn, on_notice, link);
    isolde_on_wait(link->conn, on_wait, link);
    return link;
}

static void note_error(isolde_conn *conn, struct reply *reply)
{
    const isolde_err *err = isolde_error(conn);
    reply_set_error(reply, isolde_error_severity(err), isolde_error_sqlstate(err), isolde_error_message(err),
                    isolde_error_detail(err));
}

/* Returns ISOLDE_DONE or an error. */
static int run_statement(isolde_stmt *stmt, struct reply *reply)
{
    int result = isolde_step(stmt);     /* which columns there are shows now: a wait for DDL may have changed them */
    int columns = isolde_column_count(stmt);
    struct reply rows = { 0 };
    struct table *table = reply_add_table(&rows, columns);
    for (int c = 0; c < columns; c++)
        table->names[c] = must_copy(isolde_column_name(stmt, c));
    for (; result == ISOLDE_ROW; result = isolde_step(stmt)) {
        table_add_row(table);
        for (int c = 0; c < columns; c++) {
            const char *value = isolde_column_text(stmt, c);
            table->cells[(table->rows - 1) * columns + c] = value ? must_copy(value) : NULL;
        }
    }
    if (result == ISOLDE_DONE && columns > 0) {
        *reply_add_table(reply, 0) = *table;
        *table = (struct table){ 0 };
    }
    reply_free(&rows);
    return result;
}

static void run_isolde(struct link *link, const char *sql, struct reply *reply)
{
    isolde_conn *conn = link->conn;
    int result = ISOLDE_DONE;
    *reply = (struct reply){ 0 };
    isolde_group_begin(conn);
    while (result == ISOLDE_DONE && sql[strspn(sql, " \t\r\n;")]) {
        isolde_stmt *stmt = NULL;
        result = isolde_prepare(conn, sql, -1, &stmt);
        if (result == ISOLDE_OK) {
            sql += isolde_tail(stmt);
            result = run_statement(stmt, reply);
        }
        if (result == ISOLDE_DONE)
            reply_add_tag(reply, isolde_command_tag(stmt));
        else
            note_error(conn, reply);
        isolde_finalize(stmt);
    }
    if (isolde_group_end(conn) != ISOLDE_OK && result == ISOLDE_DONE)
        note_error(conn, reply);
    reply->status = isolde_transaction_status(conn);
}

static bool is_waiting_isolde(struct link *link)
{
    return isolde_waiting(link->conn);
}

static void cancel_isolde(struct link *link)
{
    isolde_interrupt(link->conn);
}

static void disconnect_isolde(struct link *link)
{
    if (link)
        isolde_disconnect(link->conn);
    free(link);
}

static void close_isolde(struct engine *engine)
{
    isolde_close(((struct isolde_engine *)(void *)engine)->db);
    free(engine);
}

struct engine *engine_open_isolde(const char *path)
{
    struct isolde_engine *own = must_alloc(NULL, 1, sizeof *own);
    isolde_err *err = NULL;
    *own = (struct isolde_engine){
        .engine = { .connect = connect_isolde, .run = run_isolde, .is_waiting = is_waiting_isolde, .cancel = cancel_isolde,
                    .disconnect = disconnect_isolde, .close = close_isolde },
    };
    if (isolde_open(path, NULL, &own->db, &err) == ISOLDE_OK)
        return &own->engine;
    fprintf(stderr, "%s\n", err ? isolde_error_message(err) : "out of memory");
    isolde_error_free(err);
    free(own);
    return NULL;
}

struct engine *engine_open(const struct target *target)
{
#ifdef HAVE_LIBPQ
    if (target->conninfo)
        return engine_open_libpq(target->conninfo);
#else
    if (target->conninfo) {
        fprintf(stderr, "this isolde-isolation was built without libpq\n");
        return NULL;
    }
#endif
    return engine_open_isolde(target->database ? target->database : ":memory:");
}
