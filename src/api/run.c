/*
 * run.c -- the two conveniences: all statements of a text, and a transaction that is run again when it lost.
 */
#include <stdlib.h>
#include <string.h>

#include "sql/ast.h"
#include "src/api/api_int.h"
#include "src/base/mem.h"
#include "src/base/planted.h"
#include "src/os/os.h"

/* ---- isolde_exec ---------------------------------------------------------------------------------- */

struct exec_call {
    int (*callback)(void *arg, int columns, const char *const *values, const char *const *names);
    void *arg;
};

/* Positions count from the beginning of the whole text. */
static void shift_position(struct op *op, const char *sql, size_t before)
{
    if (op->error.position == 0)
        return;
    for (size_t i = 0; i < before; i++)
        op->error.position += ((unsigned char)sql[i] & 0xc0) != 0x80;
}

/* Counts the statements; a text with a wrong one runs none of them, as in PostgreSQL. */
static int count_statements(struct op *op, const char *sql, size_t len, int *count)
{
    struct arena arena;
    int result = 0;

    *count = 0;
    arena_init(&arena);
    for (size_t at = 0, tail; at < len && result == 0; at += tail) {
        struct statement *statement;
        result = parse_statement(op, &arena, sql + at, len - at, &tail, &statement);
        if (result != 0)
            shift_position(op, sql, at);
        else if (statement)
            ++*count;
        if (tail == 0)
            break;
        arena_reset(&arena);
    }
    arena_free(&arena);
    return result;
}

/* Hands the row to the callback. */
static int hand_over(struct op *op, struct isolde_stmt *stmt, const struct exec_call *call, int columns, const char **names,
                     const char **values)
{
    if (!names || !values)
        return op_out_of_memory(op);
    for (int i = 0; i < columns; i++) {
        values[i] = isolde_column_text(stmt, i);
        if (!values[i] && isolde_column_type(stmt, i) != ISOLDE_NULL)
            return op_out_of_memory(op);
    }
    if (call->callback(call->arg, columns, values, names) == 0)
        return 0;
    op_clear_error(op);
    return op_fail(op, "57014", "canceling statement because the callback asked for it");
}

static int run_rows(struct isolde_stmt *stmt, const struct exec_call *call)
{
    int columns = isolde_column_count(stmt), code;
    const char **names = mem_calloc((size_t)columns + 1, sizeof *names), **values = mem_calloc((size_t)columns + 1, sizeof *values);

    for (int i = 0; names && i < columns; i++)
        names[i] = isolde_column_name(stmt, i);
    while ((code = isolde_step(stmt)) == ISOLDE_ROW) {
        if (!call->callback || hand_over(&stmt->conn->op, stmt, call, columns, names, values) == 0)
            continue;
        prepared_cancel(&stmt->conn->op, stmt->prepared);
        code = ISOLDE_ERROR;
        break;
    }
    mem_free(names);
    mem_free(values);
    return code;
}

/* Runs one statement of the text; *used is where the next one begins.  What RETURNING hands out is committed only when the callback has
 * had all of it: a row may find no memory, or the callback may want no more, and then nothing must be left of the statement. */
static int run_one(struct isolde_conn *conn, const char *sql, size_t len, const struct exec_call *call, size_t *used)
{
    isolde_stmt *stmt;
    bool held = false;
    int code = isolde_prepare(conn, sql, (long)len, &stmt);

    if (code != ISOLDE_OK)
        return code;
    *used = isolde_tail(stmt);
    if (call->callback && prepared_returns_changes(stmt->prepared) && !PLANTED("api-commit-before-rows"))
        held = session_group_begin(conn->session);
    code = run_rows(stmt, call);
    if (code == ISOLDE_COPY_IN || code == ISOLDE_COPY_OUT) {
        code = api_misuse(conn, "COPY with STDIN or STDOUT needs isolde_step");
        prepared_cancel(&conn->op, stmt->prepared);
    }
    api_finalize(stmt);
    if (held && session_group_end(&conn->op, conn->session) != 0)
        code = ISOLDE_ERROR;
    return code == ISOLDE_DONE ? ISOLDE_OK : code;
}

int isolde_exec(isolde_conn *conn, const char *sql,
                int (*callback)(void *arg, int columns, const char *const *values, const char *const *names), void *arg)
{
    struct exec_call call = {callback, arg};
    int count, code = ISOLDE_OK;

    if (!api_is_conn(conn))
        return ISOLDE_MISUSE;
    struct op *op = api_begin(conn);
    if (!sql)
        return api_misuse(conn, "isolde_exec needs a text");
    size_t len = strlen(sql), at = 0;
    if (count_statements(op, sql, len, &count) != 0) {
        session_fail(op, conn->session);
        return api_result(conn, OP_FAILED);
    }
    bool grouped = count > 1 && session_group_begin(conn->session);
    while (at < len && code == ISOLDE_OK) {
        size_t used = 0;
        code = run_one(conn, sql + at, len - at, &call, &used);
        if (code != ISOLDE_OK)
            shift_position(op, sql, at);
        else if (used == 0)
            break;
        at += used;
    }
    if (grouped && session_group_end(op, conn->session) != 0)
        code = ISOLDE_ERROR;
    return code == ISOLDE_ERROR ? api_result(conn, OP_FAILED) : code;
}

/* ---- isolde_run ----------------------------------------------------------------------------------- */

/* A short pause, longer each time, so that those who lost together do not meet again. */
static void pause_before(int attempt)
{
    uint32_t chance;
    uint64_t most = attempt < 8 ? UINT64_C(100) << attempt : 25600;
    os_random(&chance, sizeof chance);
    os_sleep_us(chance % most);
}

/* Ends what is open, leaving the error of the statement that failed. */
static void give_up(struct isolde_conn *conn)
{
    struct op kept;

    op_init(&kept);
    op_copy_error(&kept, &conn->op);
    if (isolde_transaction_status(conn) != 'I' && isolde_exec(conn, "ROLLBACK", NULL, NULL) == ISOLDE_OK)
        op_reset(&conn->op);
    if (op_failed(&kept) && !op_failed(&conn->op))
        op_copy_error(&conn->op, &kept);
    op_end(&kept);
}

/* One attempt; *again tells that it lost against another transaction. */
static int attempt(struct isolde_conn *conn, const char *begin, int (*body)(isolde_conn *conn, void *arg), void *arg, bool *again)
{
    conn->conflict = false;
    *again = false;
    int code = isolde_exec(conn, begin, NULL, NULL);
    if (code == ISOLDE_OK && isolde_transaction_status(conn) != 'T')
        code = api_misuse(conn, "\"%s\" does not open a transaction", begin);
    if (code != ISOLDE_OK)
        return code;
    code = body(conn, arg);
    if (code == 0 && isolde_transaction_status(conn) == 'E' && !op_failed(&conn->op)) {
        op_fail(&conn->op, "25P02", "the transaction has failed");
        code = ISOLDE_ERROR;
    } else if (code == 0 && isolde_transaction_status(conn) == 'E') {
        code = ISOLDE_ERROR;
    }
    if (code == 0)
        code = isolde_exec(conn, "COMMIT", NULL, NULL);
    *again = code != 0 && conn->conflict;
    if (code != 0)
        give_up(conn);
    return code;
}

int isolde_run(isolde_conn *conn, const char *begin, int (*body)(isolde_conn *conn, void *arg), void *arg, int attempts)
{
    bool again;
    int code;

    if (!api_is_conn(conn))
        return ISOLDE_MISUSE;
    api_begin(conn);
    if (!body)
        return api_misuse(conn, "isolde_run needs a body");
    if (isolde_transaction_status(conn) != 'I')
        return api_misuse(conn, "isolde_run inside of a transaction");
    if (attempts <= 0)
        attempts = 100;
    for (int i = 1;; i++) {
        code = attempt(conn, begin ? begin : "BEGIN", body, arg, &again);
        if (!again || i >= attempts)
            return code;
        pause_before(i);
    }
}

int isolde_group_begin(isolde_conn *conn)
{
    if (!api_is_conn(conn))
        return ISOLDE_MISUSE;
    api_begin(conn);
    if (session_group_begin(conn->session))
        conn->unread = false;
    return ISOLDE_OK;
}

int isolde_group_end(isolde_conn *conn)
{
    if (!api_is_conn(conn))
        return ISOLDE_MISUSE;
    struct op *op = api_begin(conn);
    if (conn->unread)
        op_out_of_memory(op);       /* who could not read a row must not find its change committed */
    conn->unread = false;
    int status = session_group_end(op, conn->session);
    return api_result(conn, op_failed(op) ? OP_FAILED : status);
}
