/*
 * prepared.c -- a statement's life: parsed once, bound and planned until definitions change, run as often as wanted.
 *
 *      make    parse; bind and plan, so that parameters and columns are known
 *      step    the first: bind again if need be, locks, snapshot, start; then a row each; the last ends statement and transaction
 *
 * Rows of a SELECT stream from its execution.  Only one statement of a session can stream, because there is one snapshot: when another one
 * begins, what is left of the first is read into memory, and it ends.  Statements that change data run to their end before
 * their first RETURNING row is handed out, so that half a statement never depends on whether the caller reads on.
 *
 * P1  session->streaming is the only statement of the session whose state is STREAMING, COPY_IN or COPY_OUT.
 * P2  Before a statement runs, its stamp equals catalog_stamp() behind its table locks.
 * P3  After an error the statement is idle and holds nothing of the transaction.
 */
#include "sql/prepared_int.h"

#include <stdio.h>
#include <string.h>

#include "src/base/mem.h"

enum { KEPT_CHUNK_ROWS = 128 };

const char *prepared__command(const struct statement *statement)
{
    static const char *const names[] = {
        [STATEMENT_SELECT] = "SELECT", [STATEMENT_INSERT] = "INSERT", [STATEMENT_UPDATE] = "UPDATE", [STATEMENT_DELETE] = "DELETE",
        [STATEMENT_CREATE_TABLE] = "CREATE TABLE", [STATEMENT_CREATE_INDEX] = "CREATE INDEX", [STATEMENT_DROP_TABLE] = "DROP TABLE",
        [STATEMENT_DROP_INDEX] = "DROP INDEX",
        [STATEMENT_ALTER_TABLE] = "ALTER TABLE", [STATEMENT_TRUNCATE] = "TRUNCATE TABLE", [STATEMENT_LOCK] = "LOCK TABLE",
        [STATEMENT_TRANSACTION] = "TRANSACTION", [STATEMENT_PREPARE] = "PREPARE",
        [STATEMENT_EXECUTE] = "EXECUTE", [STATEMENT_DEALLOCATE] = "DEALLOCATE", [STATEMENT_DECLARE] = "DECLARE CURSOR",
        [STATEMENT_FETCH] = "FETCH", [STATEMENT_CLOSE] = "CLOSE CURSOR", [STATEMENT_SET_CONSTRAINTS] = "SET CONSTRAINTS", [STATEMENT_SET] = "SET",
        [STATEMENT_SHOW] = "SHOW", [STATEMENT_RESET] = "RESET", [STATEMENT_COPY] = "COPY", [STATEMENT_EXPLAIN] = "EXPLAIN",
        [STATEMENT_CHECKPOINT] = "CHECKPOINT", [STATEMENT_CHECK_DATABASE] = "CHECK DATABASE", [STATEMENT_ANALYZE] = "ANALYZE",
        [STATEMENT_VACUUM] = "VACUUM", [STATEMENT_BACKUP] = "BACKUP",
    };
    if (statement->kind == STATEMENT_CLOSE && !statement->cursor->name)
        return "CLOSE CURSOR ALL";
    if (statement->kind == STATEMENT_DEALLOCATE && !statement->prepare->name)
        return "DEALLOCATE ALL";
    if (statement->kind == STATEMENT_RENAME)
        return statement->rename->kind == AST_RENAME_INDEX ? "ALTER INDEX" : "ALTER TABLE";
    return names[statement->kind];
}

static bool has_plan(const struct statement *statement)
{
    return statement->kind <= STATEMENT_DELETE;
}

/* What was meant for an earlier statement, or came too late for it, ends neither planning nor execution of the next one. */
static void forget_interruption(struct session *session)
{
    atomic_store_explicit(txn_cancel_flag(session->txn), false, memory_order_relaxed);
}

/* ---- kept rows ------------------------------------------------------------------------------------ */

static void forget_kept(struct prepared *prepared)
{
    arena_reset(&prepared->kept.arena);
    prepared->kept.first = prepared->kept.last = prepared->kept.reading = NULL;
    prepared->kept.at = -1;
}

static struct datum *keep_row(struct op *op, struct prepared *prepared)
{
    struct kept_rows *kept = &prepared->kept;
    if (!kept->last || kept->last->count == KEPT_CHUNK_ROWS) {
        struct kept_chunk *chunk = arena_alloc(&kept->arena, sizeof *chunk + sizeof(struct datum) * KEPT_CHUNK_ROWS *
                                                                 (size_t)prepared->column_count);
        if (!chunk) {
            op_out_of_memory(op);
            return NULL;
        }
        chunk->next = NULL;
        chunk->count = 0;
        *(kept->last ? &kept->last->next : &kept->first) = chunk;
        kept->last = chunk;
    }
    return &kept->last->values[kept->last->count++ * prepared->column_count];
}

static int keep_bytes(struct op *op, struct prepared *prepared, struct bytes from, struct bytes *to)
{
    char *copy = arena_strndup(&prepared->kept.arena, (const char *)from.data, from.len);
    if (!copy)
        return op_out_of_memory(op);
    *to = (struct bytes){(const uint8_t *)copy, from.len};
    return 0;
}

int prepared__keep_texts(struct op *op, struct prepared *prepared, const char *const *texts)
{
    struct datum *row = keep_row(op, prepared);
    if (!row)
        return OP_FAILED;
    for (int i = 0; i < prepared->column_count; i++) {
        row[i].null = !texts[i];
        if (texts[i] && keep_bytes(op, prepared, (struct bytes){(const uint8_t *)texts[i], strlen(texts[i])}, &row[i].s) != 0)
            return OP_FAILED;
    }
    return 0;
}

int prepared__keep_values(struct op *op, struct prepared *prepared, const struct datum *values)
{
    struct datum *row = keep_row(op, prepared);
    if (!row)
        return OP_FAILED;
    for (int i = 0; i < prepared->column_count; i++) {
        row[i] = values[i];
        if (!row[i].null && type_form(prepared->columns[i].type.oid) == FORM_BYTES &&
            keep_bytes(op, prepared, row[i].s, &row[i].s) != 0)
            return OP_FAILED;
    }
    return 0;
}

int prepared__keep_batch(struct op *op, struct prepared *prepared, const struct batch *batch, int from)
{
    for (int i = from; i < batch->selected; i++) {
        struct datum *row = keep_row(op, prepared);
        if (!row)
            return OP_FAILED;
        for (int c = 0; c < prepared->column_count; c++) {
            vector_get(&batch->vectors[c], batch_row(batch, i), &row[c]);
            if (!row[c].null && batch->vectors[c].form == FORM_BYTES && keep_bytes(op, prepared, row[c].s, &row[c].s) != 0)
                return OP_FAILED;
        }
    }
    return 0;
}

/* ---- binding -------------------------------------------------------------------------------------- */

static void forget_plan(struct prepared *prepared)
{
    execution_free(prepared->execution);
    modify_free(prepared->modify);
    prepared->execution = NULL;
    prepared->modify = NULL;
    prepared->plan = NULL;
    if (prepared->query)
        query_release(prepared->query);
    prepared->query = NULL;
    prepared->lock_count = 0;
    prepared->stamp = 0;
    arena_reset(&prepared->plan_arena);
}

int prepared__add_column(struct op *op, struct prepared *prepared, const char *name, Oid type)
{
    struct prepared_column *columns = op_arena_alloc(op, &prepared->arena, sizeof *columns * (size_t)(prepared->column_count + 1));
    char *copy = arena_strdup(&prepared->arena, name);
    if (!columns || !copy)
        return op_out_of_memory(op);
    if (prepared->column_count)
        memcpy(columns, prepared->columns, sizeof *columns * (size_t)prepared->column_count);
    columns[prepared->column_count++] = (struct prepared_column){copy, {type, -1}};
    prepared->columns = columns;
    return 0;
}

/* Rows that the statement hands out; the same ones each time it is bound. */
static int settle_columns(struct op *op, struct prepared *prepared)
{
    const struct query *query = prepared->query;
    bool rows = query->kind == QUERY_SELECT || query->returning;
    int count = 0;

    for (int i = 0; rows && i < query->target_count; i++)
        count += !query->targets[i].hidden;
    if (prepared->columns_known && prepared->opened) {
        bool same = count == prepared->column_count;
        for (int i = 0, c = 0; same && rows && i < query->target_count; i++)
            if (!query->targets[i].hidden)
                same = query->targets[i].expr->type.oid == prepared->columns[c++].type.oid;
        return same ? 0 : op_fail(op, "0A000", "cached plan must not change result type");
    }
    prepared->columns = op_arena_alloc(op, &prepared->arena, sizeof *prepared->columns * (size_t)(count + 1));
    prepared->row = op_arena_alloc(op, &prepared->arena, sizeof *prepared->row * (size_t)(count + 1));
    if (!prepared->columns || !prepared->row)
        return OP_FAILED;
    prepared->column_count = 0;
    for (int i = 0; rows && i < query->target_count; i++) {
        if (query->targets[i].hidden)
            continue;
        char *name = arena_strdup(&prepared->arena, query->targets[i].name);
        if (!name)
            return op_out_of_memory(op);
        prepared->columns[prepared->column_count++] = (struct prepared_column){name, query->targets[i].expr->type};
    }
    prepared->columns_known = true;
    return 0;
}

/* The tables that the binder has asked the catalog for. */
static int settle_locks(struct op *op, struct prepared *prepared)
{
    const struct session *session = prepared->session;
    const struct query *query = prepared->query;
    Oid target = query->kind == QUERY_SELECT ? TYPE_INVALID : query->ranges[0].table->oid;

    prepared->locks = op_arena_alloc(op, &prepared->plan_arena, sizeof *prepared->locks * (size_t)(session->noted_count + 1));
    if (!prepared->locks)
        return OP_FAILED;
    for (int i = 0; i < session->noted_count; i++) {
        bool seen = false;
        for (int k = 0; k < prepared->lock_count; k++)
            seen |= prepared->locks[k].oid == session->noted[i];
        if (!seen)
            prepared->locks[prepared->lock_count++] =
                (struct table_lock){session->noted[i], session->noted[i] == target ? TXN_ROW_EXCLUSIVE : TXN_ACCESS_SHARE};
    }
    for (int i = 0; i < query->locked_count; i++)
        for (int k = 0; k < prepared->lock_count; k++)
            if (prepared->locks[k].oid == query->locked[i] && prepared->locks[k].mode < TXN_ROW_SHARE)
                prepared->locks[k].mode = TXN_ROW_SHARE;
    return 0;
}

static int bind_and_plan(struct op *op, struct prepared *prepared)
{
    struct session *session = prepared->session;
    struct bind_params params = {.count = prepared->param_count, .types = prepared->param_types};
    bool explained = prepared->planned != prepared->statement;

    session->noted_count = 0;
    if (bind_statement(op, session, &prepared->plan_arena, prepared->planned, &params, &prepared->query) != 0 ||
        settle_locks(op, prepared) != 0)
        return OP_FAILED;
    if (prepared->query->kind != QUERY_SELECT && prepared->query->ranges[0].table->system)
        return op_fail(op, "42501", "permission denied: \"%s\" is a system catalog", prepared->query->ranges[0].table->name);
    if (!explained && settle_columns(op, prepared) != 0)
        return OP_FAILED;
    if (plan_query(op, session, &prepared->plan_arena, prepared->query, &session->plan_options, &prepared->plan) != 0)
        return OP_FAILED;
    if (prepared->query->kind == QUERY_SELECT)
        return execution_make(op, session, prepared->plan, &prepared->execution);
    return modify_make(op, session, prepared->query, prepared->plan, &prepared->modify);
}

/* Binds and plans, again while a table was found and its tree was gone when the planner asked for its size. */
static int bind_anew(struct op *op, struct prepared *prepared, uint64_t stamp)
{
    struct session *session = prepared->session;
    bool holds = txn_hold_trees(session->txn);

    forget_plan(prepared);
    int result = bind_and_plan(op, prepared);
    while (result != 0 && strcmp(op->error.sqlstate, "XX000") == 0 && catalog_stamp(session) != stamp) {
        op_clear_error(op);
        forget_plan(prepared);
        stamp = catalog_stamp(session);
        result = bind_and_plan(op, prepared);
    }
    if (holds)
        txn_release_trees(session->txn);
    if (result == 0) {
        prepared->stamp = stamp;
        prepared->plan_stamp = session->plan_stamp;
    } else {
        forget_plan(prepared);
    }
    return result;
}

int prepared__bind(struct op *op, struct prepared *prepared)
{
    struct session *session = prepared->session;
    bool needs_snapshot = txn_in_progress(session->txn) && !session->statement_active &&
                          (session->view.own_changes || (session->snapshot_taken && session->level >= TXN_REPEATABLE_READ));

    if (needs_snapshot && session__snapshot(op, session) != 0)
        return OP_FAILED;
    uint64_t stamp = catalog_stamp(session);
    int result = 0;
    if (!prepared->query || stamp != prepared->stamp || session->plan_stamp != prepared->plan_stamp)
        result = bind_anew(op, prepared, stamp);
    if (needs_snapshot)
        session__snapshot_end(session);
    return result;
}

/* ---- making and freeing --------------------------------------------------------------------------- */

/* The statement inside of a PREPARE or DECLARE. */
static struct statement *inner_of(struct statement *statement)
{
    struct statement *inner = statement->kind == STATEMENT_PREPARE ? statement->prepare->statement : statement->cursor->statement;
    inner->param_count = statement->param_count;
    return inner;
}

static int parse(struct op *op, struct prepared *prepared, const char *sql, size_t len, bool inner, size_t *tail)
{
    prepared->sql = arena_strndup(&prepared->arena, sql, len);
    if (!prepared->sql)
        return op_out_of_memory(op);
    if (parse_statement(op, &prepared->arena, prepared->sql, len, tail, &prepared->statement) != 0)
        return OP_FAILED;
    prepared->len = *tail;
    if (!prepared->statement)
        return 0;
    if (inner)
        prepared->statement = inner_of(prepared->statement);
    const struct statement *statement = prepared->statement;
    if (has_plan(statement))
        prepared->planned = statement;
    else if (statement->kind == STATEMENT_EXPLAIN)
        prepared->planned = statement->explain->statement;
    else if (statement->kind == STATEMENT_COPY)
        prepared->planned = statement->copy->query;
    return 0;
}

static int make_params(struct op *op, struct prepared *prepared, const struct sql_type *types, int type_count)
{
    bool kept = prepared->statement->kind == STATEMENT_PREPARE;     /* they are the inner statement's */
    int count = kept ? 0 : prepared->statement->param_count > type_count ? prepared->statement->param_count : type_count;
    size_t room = (size_t)count + 1;

    if (count > 65535)
        return op_fail(op, "54000", "a statement can have at most 65535 parameters");
    prepared->param_types = op_arena_alloc(op, &prepared->arena, sizeof *prepared->param_types * room);
    prepared->params = op_arena_alloc(op, &prepared->arena, sizeof *prepared->params * room);
    prepared->buffers = op_arena_alloc(op, &prepared->arena, sizeof *prepared->buffers * room);
    if (!prepared->param_types || !prepared->params || !prepared->buffers)
        return OP_FAILED;
    prepared->param_count = count;
    for (int i = 0; i < count; i++) {
        prepared->param_types[i] = i < type_count ? types[i] : (struct sql_type){TYPE_UNKNOWN, -1};
        prepared->params[i].null = true;
    }
    if (count > 0 && !has_plan(prepared->statement))
        return op_fail(op, "42P02", "there is no parameter $1 in %s", prepared__command(prepared->statement));
    return 0;
}

static int describe(struct op *op, struct prepared *prepared, const struct sql_type *types, int type_count)
{
    if (session__check_state(op, prepared->session, prepared->statement) != 0 || make_params(op, prepared, types, type_count) != 0)
        return OP_FAILED;
    if (!has_plan(prepared->statement) && utility_describe(op, prepared) != 0)
        return OP_FAILED;
    if (prepared->planned && prepared__bind(op, prepared) != 0)
        return OP_FAILED;
    prepared->row = op_arena_alloc(op, &prepared->arena, sizeof *prepared->row * (size_t)(prepared->column_count + 1));
    return prepared->row ? 0 : OP_FAILED;
}

static int make(struct op *op, struct session *session, const char *sql, size_t len, bool inner, const struct sql_type *types,
                int type_count, size_t *tail, struct prepared **out)
{
    struct prepared *prepared = mem_calloc(1, sizeof *prepared);

    *out = NULL;
    *tail = len;
    if (!prepared) {
        op_out_of_memory(op);
        session__fail(op, session);
        return OP_FAILED;
    }
    if (!session->streaming && !inner)      /* else it may be meant for the statement whose rows are being read */
        forget_interruption(session);
    prepared->session = session;
    prepared->next = session->first;
    prepared->link = &session->first;
    if (session->first)
        session->first->link = &prepared->next;
    session->first = prepared;
    arena_init(&prepared->arena);
    arena_init(&prepared->plan_arena);
    arena_init(&prepared->kept.arena);
    if (parse(op, prepared, sql, len, inner, tail) != 0 ||
        (prepared->statement && describe(op, prepared, types, type_count) != 0)) {
        session__fail(op, session);
        prepared_free(prepared);
        return OP_FAILED;
    }
    *out = prepared;
    return 0;
}

int prepared_make(struct op *op, struct session *session, const char *sql, size_t len, size_t *tail, struct prepared **out)
{
    return make(op, session, sql, len, false, NULL, 0, tail, out);
}

int prepared__make_inner(struct op *op, struct session *session, const char *sql, size_t len, const struct sql_type *types,
                         int type_count, struct prepared **inner)
{
    size_t tail;
    return make(op, session, sql, len, true, types, type_count, &tail, inner);
}

void prepared_free(struct prepared *prepared)
{
    struct op op;

    if (!prepared)
        return;
    op_init(&op);
    if (prepared_reset(&op, prepared) != 0)
        op_clear_error(&op);
    op_end(&op);
    forget_plan(prepared);
    copy_free(prepared->copy);
    for (int i = 0; i < prepared->param_count; i++)
        mem_free(prepared->buffers[i].data);
    *prepared->link = prepared->next;
    if (prepared->next)
        prepared->next->link = prepared->link;
    arena_free(&prepared->kept.arena);
    arena_free(&prepared->plan_arena);
    arena_free(&prepared->arena);
    mem_free(prepared);
}

/* ---- starting ------------------------------------------------------------------------------------- */

static void start_clock(struct prepared *prepared)
{
    struct session *session = prepared->session;

    forget_interruption(session);
    txn_set_statement(session->txn, prepared->sql, prepared->len);
    prepared->deadline_ns = 0;
    if (session->statement_timeout_us)
        prepared->deadline_ns = os_clock_ns() + session->statement_timeout_us * 1000;
    txn_set_statement_deadline(session->txn, prepared->deadline_ns);
}

int prepared__check_deadline(struct op *op, const struct prepared *prepared)
{
    if (prepared->deadline_ns && os_clock_ns() >= prepared->deadline_ns)
        return op_fail(op, "57014", "canceling statement due to statement timeout");
    return 0;
}

static int lock_tables(struct op *op, const struct prepared *prepared)
{
    for (int i = 0; i < prepared->lock_count; i++)
        if (txn_lock_table(op, prepared->session->txn, prepared->locks[i].oid, prepared->locks[i].mode) != 0)
            return OP_FAILED;
    return 0;
}

int prepared__open(struct op *op, struct prepared *prepared)
{
    struct session *session = prepared->session;

    if (prepared__bind(op, prepared) != 0)
        return OP_FAILED;
    bool changes = prepared->query->kind != QUERY_SELECT;
    const char *command = changes ? prepared__command(prepared->planned) : prepared->query->locking;
    if (command && session__check_writable(op, session, command) != 0)
        return OP_FAILED;
    if (session__begin(op, session, !changes && !prepared->query->is_volatile) != 0)
        return OP_FAILED;
    for (;;) {      /* P2 */
        if (lock_tables(op, prepared) != 0 || session__snapshot(op, session) != 0)
            return OP_FAILED;
        if (catalog_stamp(session) == prepared->stamp && session->plan_stamp == prepared->plan_stamp) {
            prepared->opened = true;
            return 0;
        }
        if (op_check_cancel(op) != 0 || prepared__bind(op, prepared) != 0)
            return OP_FAILED;
    }
}

/* ---- ending --------------------------------------------------------------------------------------- */

/* Gives back what the execution holds. */
static void stop(struct prepared *prepared)
{
    struct session *session = prepared->session;

    if (prepared->execution)
        execution_stop(prepared->execution);
    if (prepared->modify)
        modify_stop(prepared->modify);
    copy_free(prepared->copy);
    prepared->copy = NULL;
    prepared->batch = NULL;
    prepared->state = PREPARED_IDLE;
    if (session->streaming == prepared)
        session->streaming = NULL;
}

/* What failed may have built on a commit that is not visible yet. */
static int fail(struct op *op, struct prepared *prepared)
{
    struct op wait;

    stop(prepared);
    forget_kept(prepared);
    op_init(&wait);
    wait.cancel = op->cancel;
    if (txn_in_progress(prepared->session->txn) && txn_await_dependencies(&wait, prepared->session->txn) != 0)
        op_clear_error(&wait);      /* the error in hand says more */
    op_end(&wait);
    session__fail(op, prepared->session);
    return OP_FAILED;
}

void prepared_cancel(struct op *op, struct prepared *prepared)
{
    if (fail(op, prepared) != 0)
        forget_kept(prepared);
}

void prepared__cut(struct session *session)
{
    if (session->streaming)
        stop(session->streaming);
}

/* The rest of a streaming SELECT. */
static int drain(struct op *op, struct prepared *prepared)
{
    int from = prepared->at + 1;

    forget_kept(prepared);
    while (prepared->batch) {
        if (prepared__keep_batch(op, prepared, prepared->batch, from) != 0)
            return OP_FAILED;
        from = 0;
        if (execution_next(op, prepared->execution, &prepared->batch) != 0 || prepared__check_deadline(op, prepared) != 0)
            return OP_FAILED;
    }
    return 0;
}

int prepared__detach(struct op *op, struct session *session)
{
    struct prepared *prepared = session->streaming;

    if (!prepared)
        return 0;
    if (prepared->state != PREPARED_STREAMING)
        return op_fail(op, "55000", "a COPY is in progress on this connection");
    if (drain(op, prepared) != 0)
        return fail(op, prepared);
    stop(prepared);
    prepared->state = PREPARED_BUFFERED;
    prepared->kept.reading = prepared->kept.first;
    prepared->kept.at = -1;
    if (session__succeed(op, session) != 0)
        return fail(op, prepared);
    return 0;
}

int prepared_reset(struct op *op, struct prepared *prepared)
{
    bool open = prepared->state != PREPARED_IDLE && prepared->state != PREPARED_BUFFERED;

    if (open && prepared->state == PREPARED_COPY_IN) {
        op_fail(op, "57014", "COPY from stdin failed: the statement was reset");
        fail(op, prepared);
        op_clear_error(op);
        return 0;
    }
    stop(prepared);
    forget_kept(prepared);
    if (open && session__succeed(op, prepared->session) != 0)
        return fail(op, prepared);
    return 0;
}

/* ---- stepping ------------------------------------------------------------------------------------- */

/* The statement is complete. */
static int finish(struct op *op, struct prepared *prepared, enum step_result *result)
{
    stop(prepared);
    if (session__succeed(op, prepared->session) != 0)
        return fail(op, prepared);
    *result = STEP_DONE;
    return 0;
}

/* The next kept row, or the end. */
static void step_kept(struct prepared *prepared, enum step_result *result)
{
    struct kept_rows *kept = &prepared->kept;

    if (kept->reading && ++kept->at == kept->reading->count) {
        kept->reading = kept->reading->next;
        kept->at = 0;
    }
    if (kept->reading) {
        *result = STEP_ROW;
        return;
    }
    if (prepared->planned == prepared->statement && prepared->statement->kind == STATEMENT_SELECT)
        prepared->tag_counts = true;
    forget_kept(prepared);
    prepared->state = PREPARED_IDLE;
    *result = STEP_DONE;
}

/* The next row of a SELECT. */
static int step_stream(struct op *op, struct prepared *prepared, enum step_result *result)
{
    if (prepared->batch && ++prepared->at < prepared->batch->selected) {
        *result = STEP_ROW;
        return 0;
    }
    if (execution_next(op, prepared->execution, &prepared->batch) != 0 ||
        txn_await_dependencies(op, prepared->session->txn) != 0 || prepared__check_deadline(op, prepared) != 0)
        return fail(op, prepared);
    if (prepared->batch) {
        prepared->at = 0;
        *result = STEP_ROW;
        return 0;
    }
    prepared->tag_counts = true;
    return finish(op, prepared, result);
}

static int start_select(struct op *op, struct prepared *prepared, enum step_result *result)
{
    if (prepared__open(op, prepared) != 0 ||
        execution_start(op, prepared->execution, prepared->params, prepared->param_count) != 0)
        return fail(op, prepared);
    prepared->state = PREPARED_STREAMING;
    prepared->session->streaming = prepared;
    prepared->batch = NULL;
    return step_stream(op, prepared, result);
}

static int run_modify(struct op *op, struct prepared *prepared, enum step_result *result)
{
    struct batch *batch;

    if (prepared__open(op, prepared) != 0 ||
        modify_start(op, prepared->modify, prepared->params, prepared->param_count) != 0)
        return fail(op, prepared);
    do {
        if (modify_next(op, prepared->modify, &batch) != 0 || prepared__check_deadline(op, prepared) != 0 ||
            (batch && prepared__keep_batch(op, prepared, batch, 0) != 0))
            return fail(op, prepared);
    } while (batch);
    prepared->rows = modify_count(prepared->modify);
    prepared->tag_counts = true;
    if (finish(op, prepared, result) != 0)
        return OP_FAILED;
    if (prepared->kept.first) {
        prepared->state = PREPARED_BUFFERED;
        prepared->kept.reading = prepared->kept.first;
        prepared->kept.at = -1;
        step_kept(prepared, result);
    }
    return 0;
}

static int run_utility(struct op *op, struct prepared *prepared, enum step_result *result)
{
    if (utility_run(op, prepared) != 0)
        return fail(op, prepared);
    if (prepared->state == PREPARED_COPY_IN || prepared->state == PREPARED_COPY_OUT) {
        *result = prepared->state == PREPARED_COPY_IN ? STEP_COPY_IN : STEP_COPY_OUT;
        return 0;
    }
    if (finish(op, prepared, result) != 0)
        return OP_FAILED;
    if (prepared->kept.first) {
        prepared->state = PREPARED_BUFFERED;
        prepared->kept.reading = prepared->kept.first;
        prepared->kept.at = -1;
        step_kept(prepared, result);
    }
    return 0;
}

/* From the beginning. */
static int start(struct op *op, struct prepared *prepared, enum step_result *result)
{
    prepared->rows = 0;
    prepared->tag[0] = '\0';
    prepared->tag_counts = false;
    forget_kept(prepared);
    if (!prepared->statement) {
        *result = STEP_DONE;
        return 0;
    }
    if (session__check_state(op, prepared->session, prepared->statement) != 0)
        return OP_FAILED;
    start_clock(prepared);
    if (prepared__detach(op, prepared->session) != 0)
        return OP_FAILED;
    switch (prepared->statement->kind) {
    case STATEMENT_SELECT: return start_select(op, prepared, result);
    case STATEMENT_INSERT: case STATEMENT_UPDATE: case STATEMENT_DELETE: return run_modify(op, prepared, result);
    default: return run_utility(op, prepared, result);
    }
}

int prepared_step(struct op *op, struct prepared *prepared, enum step_result *result)
{
    int status;

    *result = STEP_DONE;
    switch (prepared->state) {
    case PREPARED_IDLE: status = start(op, prepared, result); break;
    case PREPARED_STREAMING: status = step_stream(op, prepared, result); break;
    case PREPARED_BUFFERED: step_kept(prepared, result); status = 0; break;
    default:
        *result = prepared->state == PREPARED_COPY_IN ? STEP_COPY_IN : STEP_COPY_OUT;
        return 0;
    }
    if (status == 0 && *result == STEP_ROW && prepared->statement->kind == STATEMENT_SELECT)
        prepared->rows++;
    return status;
}

/* ---- COPY by pieces ------------------------------------------------------------------------------- */

int prepared_copy_put(struct op *op, struct prepared *prepared, const void *data, size_t len)
{
    if (prepared->state != PREPARED_COPY_IN)
        return op_fail(op, "55000", "the statement is not waiting for COPY data");
    return copy_put(op, prepared, data, len) != 0 ? fail(op, prepared) : 0;
}

int prepared_copy_end(struct op *op, struct prepared *prepared, const char *failure, enum step_result *result)
{
    *result = STEP_DONE;
    if (prepared->state != PREPARED_COPY_IN)
        return op_fail(op, "55000", "the statement is not waiting for COPY data");
    if (failure)
        op_fail(op, "57014", "COPY from stdin failed: %s", failure);
    if (failure || copy_finish(op, prepared) != 0)
        return fail(op, prepared);
    return finish(op, prepared, result);
}

int prepared_copy_get(struct op *op, struct prepared *prepared, struct bytes *piece)
{
    enum step_result result;

    *piece = (struct bytes){NULL, 0};
    if (prepared->state == PREPARED_IDLE && prepared->statement && prepared->statement->kind == STATEMENT_COPY)
        return 0;
    if (prepared->state != PREPARED_COPY_OUT)
        return op_fail(op, "55000", "the statement has no COPY data");
    if (copy_get(op, prepared, piece) != 0)
        return fail(op, prepared);
    return piece->len ? 0 : finish(op, prepared, &result);
}

/* ---- asking --------------------------------------------------------------------------------------- */

int prepared_parameter_count(const struct prepared *prepared) { return prepared->param_count; }
const struct sql_type *prepared_parameter_types(const struct prepared *prepared) { return prepared->param_types; }
int prepared_column_count(const struct prepared *prepared) { return prepared->column_count; }
bool prepared_returns_changes(const struct prepared *prepared)
{
    return prepared->statement && prepared->statement->kind != STATEMENT_SELECT && has_plan(prepared->statement) &&
           prepared->column_count > 0;
}
const char *prepared_column_name(const struct prepared *prepared, int column) { return prepared->columns[column].name; }
struct sql_type prepared_column_type(const struct prepared *prepared, int column) { return prepared->columns[column].type; }
int64_t prepared_rows(const struct prepared *prepared) { return prepared->rows; }

const char *prepared_tag(struct prepared *prepared)
{
    if (prepared->tag_counts)
        snprintf(prepared->tag, sizeof prepared->tag, "%s%s %lld", prepared__command(prepared->statement),
                 prepared->statement->kind == STATEMENT_INSERT ? " 0" : "", (long long)prepared->rows);
    return prepared->tag;
}

const struct datum *prepared_value(struct prepared *prepared, int column)
{
    if (prepared->state == PREPARED_BUFFERED)
        return &prepared->kept.reading->values[prepared->kept.at * prepared->column_count + column];
    vector_get(&prepared->batch->vectors[column], batch_row(prepared->batch, prepared->at), &prepared->row[column]);
    return &prepared->row[column];
}
