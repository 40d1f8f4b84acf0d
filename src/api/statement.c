/*
 * statement.c -- prepared statements: preparing, binding, stepping, and COPY by pieces.
 */
#include <string.h>

#include "src/api/api_int.h"
#include "src/base/mem.h"

/* ---- preparing ------------------------------------------------------------------------------------ */

static int settle(struct op *op, struct isolde_stmt *stmt)
{
    size_t columns = (size_t)prepared_column_count(stmt->prepared) + 1;

    stmt->columns = op_arena_alloc(op, &stmt->arena, sizeof *stmt->columns * columns);
    stmt->type_names = op_arena_alloc(op, &stmt->arena, sizeof *stmt->type_names * columns);
    if (!stmt->columns || !stmt->type_names)
        return OP_FAILED;
    for (int i = 0; i < prepared_column_count(stmt->prepared); i++) {
        stmt->type_names[i] = type_format(&stmt->arena, prepared_column_type(stmt->prepared, i));
        if (!stmt->type_names[i])
            return op_out_of_memory(op);
    }
    return 0;
}

static int prepare(struct op *op, struct isolde_conn *conn, const char *sql, size_t len, struct isolde_stmt **out)
{
    struct isolde_stmt *stmt = mem_calloc(1, sizeof *stmt);

    if (!stmt) {
        op_out_of_memory(op);
        session_fail(op, conn->session);
        return OP_FAILED;
    }
    stmt->conn = conn;
    arena_init(&stmt->arena);
    arena_init(&stmt->texts);
    if (prepared_make(op, conn->session, sql, len, &stmt->tail, &stmt->prepared) != 0 || settle(op, stmt) != 0) {
        session_fail(op, conn->session);
        prepared_free(stmt->prepared);
        arena_free(&stmt->arena);
        mem_free(stmt);
        return OP_FAILED;
    }
    stmt->next = conn->statements;
    stmt->link = &conn->statements;
    if (stmt->next)
        stmt->next->link = &stmt->next;
    conn->statements = stmt;
    atomic_store(&stmt->magic, API_STATEMENT);
    *out = stmt;
    return 0;
}

int isolde_prepare(isolde_conn *conn, const char *sql, long len, isolde_stmt **stmt)
{
    if (stmt)
        *stmt = NULL;
    if (!api_is_conn(conn))
        return ISOLDE_MISUSE;
    struct op *op = api_begin(conn);
    if (!sql || !stmt)
        return api_misuse(conn, "isolde_prepare needs a text and a place for the handle");
    return api_result(conn, prepare(op, conn, sql, len < 0 ? strlen(sql) : (size_t)len, stmt));
}

int api_finalize(struct isolde_stmt *stmt)
{
    struct isolde_conn *conn = stmt->conn;

    prepared_free(stmt->prepared);
    stmt->prepared = NULL;
    *stmt->link = stmt->next;
    if (stmt->next)
        stmt->next->link = stmt->link;
    arena_free(&stmt->texts);
    arena_free(&stmt->arena);
    api_bury(&conn->closed, stmt, &stmt->magic);
    return ISOLDE_OK;
}

int isolde_finalize(isolde_stmt *stmt)
{
    if (!stmt)
        return ISOLDE_OK;
    return api_is_stmt(stmt) ? api_finalize(stmt) : ISOLDE_MISUSE;
}

size_t isolde_tail(const isolde_stmt *stmt) { return api_is_stmt(stmt) ? stmt->tail : 0; }
int isolde_parameter_count(const isolde_stmt *stmt) { return api_is_stmt(stmt) ? prepared_parameter_count(stmt->prepared) : 0; }

/* ---- binding -------------------------------------------------------------------------------------- */

static int bind(struct isolde_stmt *stmt, int n, Oid type, const struct datum *value)
{
    if (!api_is_stmt(stmt))
        return ISOLDE_MISUSE;
    struct op *op = api_begin(stmt->conn);
    int count = prepared_parameter_count(stmt->prepared);
    if (n < 1 || n > count)
        return api_misuse(stmt->conn, "there is no parameter $%d: the statement has %d", n, count);
    return api_result(stmt->conn, prepared_bind(op, stmt->prepared, n, type, value));
}

int isolde_bind_null(isolde_stmt *stmt, int n)
{
    return bind(stmt, n, TYPE_TEXT, &(struct datum){.null = true});
}

int isolde_bind_bool(isolde_stmt *stmt, int n, int value)
{
    return bind(stmt, n, TYPE_BOOL, &(struct datum){.b = value != 0});
}

int isolde_bind_int64(isolde_stmt *stmt, int n, int64_t value)
{
    return bind(stmt, n, TYPE_INT8, &(struct datum){.i = value});
}

int isolde_bind_double(isolde_stmt *stmt, int n, double value)
{
    return bind(stmt, n, TYPE_FLOAT8, &(struct datum){.d = value});
}

int isolde_bind_text(isolde_stmt *stmt, int n, const char *text, long len)
{
    if (!text)
        return isolde_bind_null(stmt, n);
    return bind(stmt, n, TYPE_TEXT, &(struct datum){.s = {(const uint8_t *)text, len < 0 ? strlen(text) : (size_t)len}});
}

int isolde_bind_blob(isolde_stmt *stmt, int n, const void *data, size_t len)
{
    if (!data && len == 0)
        return isolde_bind_null(stmt, n);
    if (!data)
        return api_is_stmt(stmt) ? api_misuse(stmt->conn, "a blob of %zu bytes at NULL", len) : ISOLDE_MISUSE;
    return bind(stmt, n, TYPE_BYTEA, &(struct datum){.s = {data, len}});
}

/* ---- running -------------------------------------------------------------------------------------- */

static void forget_row(struct isolde_stmt *stmt)
{
    if (!stmt->has_row)
        return;
    stmt->has_row = false;
    arena_reset(&stmt->texts);
    memset(stmt->columns, 0, sizeof *stmt->columns * (size_t)prepared_column_count(stmt->prepared));
}

static int step_code(enum step_result result)
{
    switch (result) {
    case STEP_ROW: return ISOLDE_ROW;
    case STEP_COPY_IN: return ISOLDE_COPY_IN;
    case STEP_COPY_OUT: return ISOLDE_COPY_OUT;
    case STEP_DONE: break;
    }
    return ISOLDE_DONE;
}

int isolde_step(isolde_stmt *stmt)
{
    enum step_result result;

    if (!api_is_stmt(stmt))
        return ISOLDE_MISUSE;
    struct op *op = api_begin(stmt->conn);
    forget_row(stmt);
    if (prepared_step(op, stmt->prepared, &result) != 0)
        return api_result(stmt->conn, OP_FAILED);
    stmt->has_row = result == STEP_ROW;
    return step_code(result);
}

int isolde_reset(isolde_stmt *stmt)
{
    if (!api_is_stmt(stmt))
        return ISOLDE_MISUSE;
    struct op *op = api_begin(stmt->conn);
    forget_row(stmt);
    return api_result(stmt->conn, prepared_reset(op, stmt->prepared));
}

int64_t isolde_rows_affected(const isolde_stmt *stmt) { return api_is_stmt(stmt) ? prepared_rows(stmt->prepared) : 0; }
const char *isolde_command_tag(const isolde_stmt *stmt) { return api_is_stmt(stmt) ? prepared_tag(stmt->prepared) : ""; }

/* ---- COPY ----------------------------------------------------------------------------------------- */

int isolde_copy_put(isolde_stmt *stmt, const void *data, size_t len)
{
    if (!api_is_stmt(stmt))
        return ISOLDE_MISUSE;
    struct op *op = api_begin(stmt->conn);
    if (!data && len > 0)
        return api_misuse(stmt->conn, "%zu bytes of COPY data at NULL", len);
    return api_result(stmt->conn, prepared_copy_put(op, stmt->prepared, data, len));
}

int isolde_copy_end(isolde_stmt *stmt, const char *failure)
{
    enum step_result result;

    if (!api_is_stmt(stmt))
        return ISOLDE_MISUSE;
    struct op *op = api_begin(stmt->conn);
    if (prepared_copy_end(op, stmt->prepared, failure, &result) != 0)
        return api_result(stmt->conn, OP_FAILED);
    return step_code(result);
}

int isolde_copy_get(isolde_stmt *stmt, const void **data, size_t *len)
{
    struct bytes piece;

    if (!api_is_stmt(stmt))
        return ISOLDE_MISUSE;
    struct op *op = api_begin(stmt->conn);
    if (!data || !len)
        return api_misuse(stmt->conn, "isolde_copy_get needs places for data and length");
    *data = NULL;
    *len = 0;
    if (prepared_copy_get(op, stmt->prepared, &piece) != 0)
        return api_result(stmt->conn, OP_FAILED);
    *data = piece.data;
    *len = piece.len;
    return piece.len ? ISOLDE_OK : ISOLDE_DONE;
}
