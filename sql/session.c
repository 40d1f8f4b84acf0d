/*
 * session.c -- from statements to transactions: BEGIN, COMMIT, savepoints, and what happens when nobody says BEGIN.
 *
 * Outside of a block each statement is a transaction.  Inside of a group (several statements in one text) they are one together, until
 * one of them opens a block.  A block stays open until COMMIT or ROLLBACK, whatever happens:
 *
 *                    BEGIN                        error
 *        none  ----------------->  open  ------------------------>  failed
 *          ^                       | ^                               | |
 *          |   COMMIT, ROLLBACK    | |        ROLLBACK TO            | |
 *          +-----------------------+ +-------------------------------+ |
 *          +-----------------------------------------------------------+
 *                               ROLLBACK, COMMIT
 *
 * When a statement fails in a block its work is undone at once, back to the newest savepoint or to the beginning, so that others need not
 * wait for its locks until the client has noticed.
 *
 * The engine's transaction begins with the first statement that needs one, not with BEGIN: SET TRANSACTION may come between.
 *
 * B1  While the block is none and no group is open, no transaction is in progress between statements.
 * B2  A statement runs in the order: locks on its tables, snapshot, definitions checked, work.
 */
#include "sql/fkey.h"
#include "sql/session_int.h"

#include <stdio.h>
#include <string.h>

#include "sql/change.h"
#include "src/base/mem.h"

/* 2000-01-01 as microseconds since 1970. */
#define EPOCH_2000_US INT64_C(946684800000000)

/* ---- opening and closing -------------------------------------------------------------------------- */

static void set_defaults(struct session *session);
static void drop_savepoints(struct session *session, int keep);

int session_open(struct op *op, struct database *database, struct session **out)
{
    struct session *session = mem_calloc(1, sizeof *session);

    *out = NULL;
    if (!session)
        return op_out_of_memory(op);
    session->database = database;
    if (txn_session_open(op, database->manager, &session->txn) != 0) {
        mem_free(session);
        return OP_FAILED;
    }
    txn_tell_rows(session->txn, change_describe_row);
    session->time_style.zones = zone_cache_new(op);
    if (!session->time_style.zones || settings_open(op, session) != 0) {
        session_close(session);
        return OP_FAILED;
    }
    set_defaults(session);
    *out = session;
    return 0;
}

void session_close(struct session *session)
{
    if (!session)
        return;
    prepared__cut(session);
    if (txn_in_progress(session->txn))
        txn_rollback(session->txn);
    cursor_close_all(session);
    named_close(session);
    drop_savepoints(session, 0);
    catalog__end(session);
    fkey_close(session);
    settings_close(session);
    zone_cache_free(session->time_style.zones);
    txn_session_close(session->txn);
    mem_free(session->view.local);
    mem_free(session->view.touched);
    mem_free(session->noted);
    mem_free(session->savepoints);
    mem_free(session);
}

struct txn_session *session_txn(struct session *session) { return session->txn; }
const struct time_style *session_time_style(const struct session *session) { return &session->time_style; }
struct database *session_database(struct session *session) { return session->database; }
const struct plan_options *session_plan_options(struct session *session) { return &session->plan_options; }
int64_t session_transaction_time(const struct session *session) { return session->transaction_time; }
int64_t session_statement_time(const struct session *session) { return session->statement_time; }

char session_transaction_status(const struct session *session)
{
    return session->block == BLOCK_NONE ? 'I' : session->block == BLOCK_OPEN ? 'T' : 'E';
}

const char *session__level_name(enum txn_level level)
{
    static const char *const names[] = {"read committed", "repeatable read", "serializable"};
    return names[level];
}

/* ---- notices -------------------------------------------------------------------------------------- */

void session_on_notice(struct session *session, void (*callback)(void *arg, const struct notice *notice), void *arg)
{
    session->on_notice = callback;
    session->notice_arg = arg;
}

void session_notice_detail(struct session *session, const char *severity, const char *sqlstate, const char *message,
                           const char *detail)
{
    enum { RANK_NOTICE = 6, RANK_WARNING = 7 };     /* places in client_min_messages' list */
    int rank = strcmp(severity, "WARNING") == 0 ? RANK_WARNING : RANK_NOTICE;

    if (session->on_notice && rank >= session->min_messages)
        session->on_notice(session->notice_arg,
                           &(struct notice){.severity = severity, .sqlstate = sqlstate, .message = message, .detail = detail});
}

void session_notice(struct session *session, const char *severity, const char *sqlstate, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    session_notice_detail(session, severity, sqlstate, text, NULL);
}

void session_on_progress(struct session *session, void (*callback)(void *arg, const char *what, uint64_t done, uint64_t all),
                         void *arg)
{
    session->on_progress = callback;
    session->progress_arg = arg;
}

void session_progress(struct session *session, const char *what, uint64_t done, uint64_t all)
{
    if (session->on_progress)
        session->on_progress(session->progress_arg, what, done, all);
}

/* ---- the transaction ------------------------------------------------------------------------------ */

static bool default_is_on(const struct session *session, enum setting_id id)
{
    return strcmp(session->settings.value[id], "on") == 0;
}

static void set_defaults(struct session *session)
{
    const char *level = session->settings.value[SETTING_DEFAULT_ISOLATION];
    session->level = strcmp(level, "serializable") == 0 ? TXN_SERIALIZABLE
                   : strcmp(level, "repeatable read") == 0 ? TXN_REPEATABLE_READ : TXN_READ_COMMITTED;
    session->read_only = session->database->read_only || default_is_on(session, SETTING_DEFAULT_READ_ONLY);
    session->deferrable = default_is_on(session, SETTING_DEFAULT_DEFERRABLE);
}

static void drop_savepoints(struct session *session, int keep)
{
    while (session->savepoint_count > keep)
        mem_free(session->savepoints[--session->savepoint_count].name);
}

/* The transaction is over, one way or the other. */
static void forget_transaction(struct session *session)
{
    drop_savepoints(session, 0);
    catalog__end(session);
    fkey_end(session);
    session->block = BLOCK_NONE;
    session->snapshot_taken = session->statement_active = false;
    set_defaults(session);
}

static void roll_back(struct session *session)
{
    prepared__cut(session);
    if (txn_in_progress(session->txn))
        txn_rollback(session->txn);
    settings_rollback(session, 0);
    cursor_end(session, false);
    forget_transaction(session);
}

static int commit(struct op *op, struct session *session)
{
    prepared__cut(session);
    if (fkey_check_deferred(op, session) != 0) {
        roll_back(session);
        return OP_FAILED;
    }
    if (txn_in_progress(session->txn) && txn_commit(op, session->txn) != 0) {
        settings_rollback(session, 0);
        cursor_end(session, false);
        forget_transaction(session);
        return OP_FAILED;
    }
    settings_commit(session);
    cursor_end(session, true);
    forget_transaction(session);
    return 0;
}

int session__begin(struct op *op, struct session *session, bool read_only)
{
    session->statement_time = os_wall_us() - EPOCH_2000_US;
    if (txn_in_progress(session->txn))
        return 0;
    if (session->block == BLOCK_NONE)
        session->transaction_time = session->statement_time;
    bool alone = session->block == BLOCK_NONE && !session->group;
    return txn_begin(op, session->txn, session->level, session->read_only || (alone && read_only), session->deferrable);
}

int session__snapshot(struct op *op, struct session *session)
{
    if (txn_statement_begin(op, session->txn) != 0)
        return OP_FAILED;
    session->statement_active = session->snapshot_taken = true;
    return 0;
}

void session__snapshot_end(struct session *session)
{
    if (session->statement_active)
        txn_statement_end(session->txn);
    session->statement_active = false;
}

int session__succeed(struct op *op, struct session *session)
{
    session__snapshot_end(session);
    if (session->block != BLOCK_NONE || session->group)
        return 0;
    return commit(op, session);
}

void session__fail(struct op *op, struct session *session)
{
    catalog__name_damage(op, session->database);
    session__snapshot_end(session);
    if (session->block == BLOCK_NONE) {
        roll_back(session);
        return;
    }
    if (session->block == BLOCK_FAILED)
        return;
    prepared__cut(session);
    session->block = BLOCK_FAILED;
    if (!txn_in_progress(session->txn)) {
        drop_savepoints(session, 0);
        return;
    }
    struct op undo;
    op_init(&undo);
    if (session->savepoint_count == 0 ||
        txn_rollback_to(&undo, session->txn, &session->savepoints[session->savepoint_count - 1].mark) != 0) {
        txn_rollback(session->txn);
        drop_savepoints(session, 0);
        catalog__end(session);
    }
    catalog__forget_local(session);
    fkey_rollback(session, session->savepoint_count ? session->savepoints[session->savepoint_count - 1].deferred : 0);
    op_end(&undo);
}

void session_fail(struct op *op, struct session *session)
{
    session__fail(op, session);
}

int session__check_state(struct op *op, const struct session *session, const struct statement *statement)
{
    if (session->block != BLOCK_FAILED)
        return 0;
    if (statement && statement->kind == STATEMENT_TRANSACTION) {
        enum ast_transaction_kind kind = statement->transaction->kind;
        if (kind == AST_COMMIT || kind == AST_ROLLBACK || kind == AST_ROLLBACK_TO)
            return 0;
    }
    return op_fail(op, "25P02", "current transaction is aborted, commands ignored until end of transaction block");
}

int session__check_writable(struct op *op, const struct session *session, const char *command)
{
    if (!session->read_only)
        return 0;
    return op_fail(op, "25006", "cannot execute %s in a read-only transaction", command);
}

bool session_group_begin(struct session *session)
{
    bool first = !session->group;
    session->group = true;
    return first;
}

int session_group_end(struct op *op, struct session *session)
{
    session->group = false;
    if (session->block != BLOCK_NONE)
        return 0;
    if (op_failed(op)) {
        roll_back(session);
        return 0;
    }
    return commit(op, session);
}

/* ---- BEGIN and its kind --------------------------------------------------------------------------- */

static enum txn_level level_of(enum ast_isolation isolation)
{
    return isolation == AST_SERIALIZABLE ? TXN_SERIALIZABLE
         : isolation == AST_REPEATABLE_READ ? TXN_REPEATABLE_READ : TXN_READ_COMMITTED;
}

int session__set_modes(struct op *op, struct session *session, const struct ast_modes *modes)
{
    if (modes->isolation != AST_ISOLATION_NONE && level_of(modes->isolation) != session->level) {
        if (session->snapshot_taken)
            return op_fail(op, "25001", "SET TRANSACTION ISOLATION LEVEL must be called before any query");
        if (session->savepoint_count > 0)
            return op_fail(op, "25001", "SET TRANSACTION ISOLATION LEVEL must not be called in a subtransaction");
    }
    if (modes->read_only == AST_CHOICE_NO && session->database->read_only)
        return op_fail(op, "25006", "cannot set transaction read-write mode: the database is open for reading only");
    if (modes->read_only == AST_CHOICE_NO && session->read_only && session->snapshot_taken)
        return op_fail(op, "25001", "transaction read-write mode must be set before any query");
    if (modes->deferrable != AST_CHOICE_NONE && session->snapshot_taken)
        return op_fail(op, "25001", "SET TRANSACTION [NOT] DEFERRABLE must be called before any query");
    if (modes->isolation != AST_ISOLATION_NONE)
        session->level = level_of(modes->isolation);
    if (modes->read_only != AST_CHOICE_NONE)
        session->read_only = modes->read_only == AST_CHOICE_YES;
    if (modes->deferrable != AST_CHOICE_NONE)
        session->deferrable = modes->deferrable == AST_CHOICE_YES;
    /* A transaction that a savepoint has begun already, but that has read nothing, begins again. */
    if (txn_in_progress(session->txn) && !session->snapshot_taken) {
        if (session->savepoint_count == 0) {
            txn_rollback(session->txn);
            return txn_begin(op, session->txn, session->level, session->read_only, session->deferrable);
        }
    }
    return 0;
}

static int begin(struct op *op, struct session *session, const struct ast_modes *modes)
{
    if (session->block != BLOCK_NONE) {
        session_notice(session, "WARNING", "25001", "there is already a transaction in progress");
        return session__set_modes(op, session, modes);
    }
    if (!txn_in_progress(session->txn))     /* else the group's statements so far become part of the block */
        session->transaction_time = session->statement_time = os_wall_us() - EPOCH_2000_US;
    session->block = BLOCK_OPEN;
    return session__set_modes(op, session, modes);
}

/* AND CHAIN: a new block with the modes of the one that has ended. */
static void chain(struct session *session, enum txn_level level, bool read_only, bool deferrable)
{
    session->block = BLOCK_OPEN;
    session->level = level;
    session->read_only = read_only;
    session->deferrable = deferrable;
    session->transaction_time = session->statement_time = os_wall_us() - EPOCH_2000_US;
}

static int finish(struct op *op, struct session *session, const struct ast_transaction *statement, const char **tag)
{
    enum txn_level level = session->level;
    bool read_only = session->read_only, deferrable = session->deferrable, outside = session->block == BLOCK_NONE;
    bool committing = statement->kind == AST_COMMIT && session->block != BLOCK_FAILED;

    *tag = committing ? "COMMIT" : "ROLLBACK";
    if (outside && statement->chain)
        return op_fail(op, "25P01", "%s AND CHAIN can only be used in transaction blocks", *tag);
    if (outside)
        session_notice(session, "WARNING", "25P01", "there is no transaction in progress");
    if (!committing)
        roll_back(session);
    else if (commit(op, session) != 0)
        return OP_FAILED;
    if (statement->chain)
        chain(session, level, read_only, deferrable);
    return 0;
}

static int find_savepoint(struct op *op, const struct session *session, const char *name)
{
    int i = session->savepoint_count;
    while (--i >= 0)
        if (strcmp(session->savepoints[i].name, name) == 0)
            return i;
    op_fail(op, "3B001", "savepoint \"%s\" does not exist", name);
    return -1;
}

static int make_savepoint(struct op *op, struct session *session, const char *name)
{
    if (session->savepoint_count == session->savepoint_capacity) {
        int capacity = session->savepoint_capacity ? session->savepoint_capacity * 2 : 8;
        struct savepoint *grown = mem_realloc(session->savepoints, sizeof *grown * (size_t)capacity);
        if (!grown)
            return op_out_of_memory(op);
        session->savepoints = grown;
        session->savepoint_capacity = capacity;
    }
    struct savepoint *savepoint = &session->savepoints[session->savepoint_count];
    if (session__begin(op, session, false) != 0)
        return OP_FAILED;
    savepoint->name = mem_strdup(name);
    if (!savepoint->name)
        return op_out_of_memory(op);
    txn_mark(session->txn, &savepoint->mark);
    savepoint->deferred = fkey_position(session);
    savepoint->settings = settings_position(session);
    session->savepoint_count++;
    return 0;
}

static int rollback_to(struct op *op, struct session *session, const char *name)
{
    int i = find_savepoint(op, session, name);
    if (i < 0)
        return OP_FAILED;
    prepared__cut(session);
    if (txn_rollback_to(op, session->txn, &session->savepoints[i].mark) != 0)
        return OP_FAILED;
    settings_rollback(session, session->savepoints[i].settings);
    fkey_rollback(session, session->savepoints[i].deferred);
    cursor_rolled_back(session, i);
    drop_savepoints(session, i + 1);
    catalog__rolled_back(session);
    session->block = BLOCK_OPEN;
    return 0;
}

static int savepoint_statement(struct op *op, struct session *session, const struct ast_transaction *statement, const char **tag)
{
    static const char *const tags[] = {[AST_SAVEPOINT] = "SAVEPOINT", [AST_ROLLBACK_TO] = "ROLLBACK", [AST_RELEASE] = "RELEASE"};
    static const char *const names[] = {[AST_SAVEPOINT] = "SAVEPOINT", [AST_ROLLBACK_TO] = "ROLLBACK TO SAVEPOINT",
                                        [AST_RELEASE] = "RELEASE SAVEPOINT"};
    int i;

    *tag = tags[statement->kind];
    if (session->block == BLOCK_NONE)
        return op_fail(op, "25P01", "%s can only be used in transaction blocks", names[statement->kind]);
    switch (statement->kind) {
    case AST_SAVEPOINT:
        return make_savepoint(op, session, statement->savepoint);
    case AST_ROLLBACK_TO:
        return rollback_to(op, session, statement->savepoint);
    default:
        i = find_savepoint(op, session, statement->savepoint);
        if (i < 0)
            return OP_FAILED;
        cursor_released(session, i);
        drop_savepoints(session, i);
        return 0;
    }
}

int session__transaction(struct op *op, struct session *session, const struct ast_transaction *statement, const char **tag)
{
    switch (statement->kind) {
    case AST_BEGIN: case AST_START:
        *tag = statement->kind == AST_BEGIN ? "BEGIN" : "START TRANSACTION";
        return begin(op, session, &statement->modes);
    case AST_COMMIT: case AST_ROLLBACK:
        return finish(op, session, statement, tag);
    case AST_SAVEPOINT: case AST_ROLLBACK_TO: case AST_RELEASE:
        break;
    }
    return savepoint_statement(op, session, statement, tag);
}

/* ---- SET ------------------------------------------------------------------------------------------ */

/* SET SESSION CHARACTERISTICS sets the defaults. */
static int set_characteristics(struct op *op, struct session *session, const struct ast_modes *modes)
{
    if (modes->isolation != AST_ISOLATION_NONE &&
        settings_set(op, session, SETTING_DEFAULT_ISOLATION, session__level_name(level_of(modes->isolation)), false) != 0)
        return OP_FAILED;
    if (modes->read_only != AST_CHOICE_NONE &&
        settings_set(op, session, SETTING_DEFAULT_READ_ONLY, modes->read_only == AST_CHOICE_YES ? "on" : "off", false) != 0)
        return OP_FAILED;
    if (modes->deferrable != AST_CHOICE_NONE &&
        settings_set(op, session, SETTING_DEFAULT_DEFERRABLE, modes->deferrable == AST_CHOICE_YES ? "on" : "off", false) != 0)
        return OP_FAILED;
    return 0;
}

/* The list of values as one text. */
static const char *join_values(struct op *op, const struct ast_word *values)
{
    const char *text = values ? values->text : "";
    while (text && values && (values = values->next) != NULL)
        text = arena_printf(&op->arena, "%s, %s", text, values->text);
    if (!text)
        op_out_of_memory(op);
    return text;
}

int session__set(struct op *op, struct session *session, const struct ast_set *statement)
{
    bool in_block = session->block != BLOCK_NONE || session->group;
    enum setting_id id;
    const char *value = NULL;

    if (statement->kind == AST_SET_CHARACTERISTICS)
        return set_characteristics(op, session, &statement->modes);
    if (statement->kind == AST_SET_TRANSACTION) {
        if (in_block)
            return session__set_modes(op, session, &statement->modes);
        session_notice(session, "WARNING", "25P01", "SET TRANSACTION can only be used in transaction blocks");
        return 0;
    }
    id = settings_find(op, statement->name);
    if (id == SETTING_COUNT)
        return OP_FAILED;
    if (statement->kind == AST_SET_VALUE) {
        if (statement->values && statement->values->next && id != SETTING_SEARCH_PATH && id != SETTING_DATESTYLE)
            return op_fail(op, "22023", "SET %s takes only one argument", settings_name(id));
        value = join_values(op, statement->values);
        if (!value)
            return OP_FAILED;
    }
    if (statement->scope == AST_SET_LOCAL && !in_block)
        session_notice(session, "WARNING", "25P01", "SET LOCAL can only be used in transaction blocks");
    return settings_set(op, session, id, value, statement->scope == AST_SET_LOCAL);
}
