/*
 * error.c -- reports: a connection's last one, and those that stand alone.
 */
#include <string.h>

#include "src/api/api_int.h"
#include "src/base/mem.h"

/* What isolde_error gives for a handle that is none. */
static const struct isolde_err no_handle = {
    .error = {.sqlstate = "08003", .message = "the connection is NULL or closed"}, .severity = "ERROR",
};

static const struct isolde_err no_memory = {
    .error = {.sqlstate = "53200", .message = "out of memory"}, .severity = "ERROR",
};

struct op *api_begin(struct isolde_conn *conn)
{
    op_reset(&conn->op);
    return &conn->op;
}

int api_result(struct isolde_conn *conn, int status)
{
    if (status == 0)
        return ISOLDE_OK;
    const char *state = conn->op.error.sqlstate;
    if (strcmp(state, "40001") == 0 || strcmp(state, "40P01") == 0)
        conn->conflict = true;
    return ISOLDE_ERROR;
}

int api_misuse(struct isolde_conn *conn, const char *format, ...)
{
    va_list args;
    char *text;

    op_clear_error(&conn->op);
    va_start(args, format);
    text = arena_vprintf(&conn->op.arena, format, args);
    va_end(args);
    op_fail(&conn->op, "22023", "%s", text ? text : "misuse");
    return ISOLDE_MISUSE;
}

void api_export_error(const struct op *op, struct isolde_err **err)
{
    if (!err)
        return;
    struct isolde_err *out = mem_calloc(1, sizeof *out);
    if (!out) {
        *err = (struct isolde_err *)&no_memory;
        return;
    }
    struct op copy;
    op_init(&copy);
    op_copy_error(&copy, op);
    out->error = copy.error;
    out->severity = "ERROR";
    out->arena = copy.arena;        /* the texts move with it */
    *err = out;
}

void isolde_error_free(isolde_err *err)
{
    if (!err || err == &no_memory || err == &no_handle)
        return;
    arena_free(&err->arena);
    mem_free(err);
}

const isolde_err *isolde_error(const isolde_conn *conn)
{
    if (!api_is_conn(conn))
        return &no_handle;
    /* The view is the connection's own, and only its thread looks at it. */
    struct isolde_err *view = (struct isolde_err *)&conn->error;
    view->error = conn->op.error;
    view->severity = "ERROR";
    return view;
}

const char *isolde_error_sqlstate(const isolde_err *err)
{
    return !err || err->error.sqlstate[0] == '\0' ? "00000" : err->error.sqlstate;
}

const char *isolde_error_message(const isolde_err *err) { return err && err->error.message ? err->error.message : ""; }
const char *isolde_error_severity(const isolde_err *err) { return err ? err->severity : "ERROR"; }
const char *isolde_error_detail(const isolde_err *err) { return err ? err->error.detail : NULL; }
const char *isolde_error_hint(const isolde_err *err) { return err ? err->error.hint : NULL; }
const char *isolde_error_context(const isolde_err *err) { return err ? err->error.context : NULL; }
const char *isolde_error_conflict(const isolde_err *err) { return err ? err->error.conflict : NULL; }
const char *isolde_error_schema(const isolde_err *err) { return err ? err->error.schema : NULL; }
const char *isolde_error_table(const isolde_err *err) { return err ? err->error.table : NULL; }
const char *isolde_error_column(const isolde_err *err) { return err ? err->error.column : NULL; }
const char *isolde_error_constraint(const isolde_err *err) { return err ? err->error.constraint : NULL; }
int isolde_error_position(const isolde_err *err) { return err ? err->error.position : 0; }

int isolde_error_retryable(const isolde_err *err)
{
    const char *state = isolde_error_sqlstate(err);
    return strcmp(state, "40001") == 0 || strcmp(state, "40P01") == 0;
}

const char *isolde_version(void)
{
    return PACKAGE_VERSION;
}
