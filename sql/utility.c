/*
 * utility.c -- statements without a plan: definitions, settings, EXPLAIN, CHECKPOINT and their kind.
 *
 * Those that touch the database run in a transaction of their own or in the block's; those that only speak to the session (SET, SHOW,
 * BEGIN) need none.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "sql/fkey.h"
#include "sql/prepared_int.h"

/* ---- what they hand out --------------------------------------------------------------------------- */

int utility_describe(struct op *op, struct prepared *prepared)
{
    const struct statement *statement = prepared->statement;
    enum setting_id id;

    switch (statement->kind) {
    case STATEMENT_SHOW:
        if (!statement->show->name)
            return prepared__add_column(op, prepared, "name", TYPE_TEXT) != 0 ||
                   prepared__add_column(op, prepared, "setting", TYPE_TEXT) != 0 ||
                   prepared__add_column(op, prepared, "description", TYPE_TEXT) != 0 ? OP_FAILED : 0;
        id = settings_find(op, statement->show->name);
        return id == SETTING_COUNT ? OP_FAILED : prepared__add_column(op, prepared, settings_name(id), TYPE_TEXT);
    case STATEMENT_EXPLAIN:
        return prepared__add_column(op, prepared, "QUERY PLAN", TYPE_TEXT);
    case STATEMENT_CHECK_DATABASE:
        return prepared__add_column(op, prepared, "check", TYPE_TEXT);
    case STATEMENT_BACKUP:
        return backup_describe(op, prepared);
    case STATEMENT_COPY:
        return copy_describe(op, prepared);
    case STATEMENT_EXECUTE:
        return named_describe(op, prepared);
    case STATEMENT_FETCH:
        return cursor_describe(op, prepared);
    default:
        return 0;
    }
}

/* ---- SHOW, RESET ---------------------------------------------------------------------------------- */

static int show(struct op *op, struct prepared *prepared)
{
    const struct session *session = prepared->session;
    const char *name = prepared->statement->show->name;

    if (name) {
        enum setting_id id = settings_find(op, name);
        const char *texts[] = {id < SETTING_COUNT ? settings_value(session, id) : NULL};
        return id == SETTING_COUNT ? OP_FAILED : prepared__keep_texts(op, prepared, texts);
    }
    for (enum setting_id id = 0; id < SETTING_COUNT; id++) {
        const char *texts[] = {settings_name(id), settings_value(session, id), settings_about(id)};
        if (prepared__keep_texts(op, prepared, texts) != 0)
            return OP_FAILED;
    }
    return 0;
}

static int reset(struct op *op, struct session *session, const struct ast_show *statement)
{
    if (!statement->name)
        return settings_reset_all(op, session);
    enum setting_id id = settings_find(op, statement->name);
    return id == SETTING_COUNT ? OP_FAILED : settings_set(op, session, id, NULL, false);
}

/* ---- EXPLAIN -------------------------------------------------------------------------------------- */

struct explain_options {
    bool analyze, costs, timing, summary;
};

int utility_flag(struct op *op, const struct ast_option *option, bool *flag)
{
    const char *value = option->value;
    if (!value || strcasecmp(value, "on") == 0 || strcasecmp(value, "true") == 0 || strcmp(value, "1") == 0) {
        *flag = true;
        return 0;
    }
    if (strcasecmp(value, "off") == 0 || strcasecmp(value, "false") == 0 || strcmp(value, "0") == 0) {
        *flag = false;
        return 0;
    }
    return op_fail(op, "42601", "%s requires a Boolean value", option->name);
}

static int read_options(struct op *op, const struct ast_option *option, struct explain_options *options)
{
    bool timing_given = false, summary_given = false;

    *options = (struct explain_options){.costs = true};
    for (; option; option = option->next) {
        bool flag = true;
        if (strcmp(option->name, "format") == 0) {
            if (!option->value || strcasecmp(option->value, "text") != 0)
                return op_fail_at(op, option->position, "0A000", "EXPLAIN FORMAT %s is not supported",
                                  option->value ? option->value : "");
            continue;
        }
        if (utility_flag(op, option, &flag) != 0)
            return OP_FAILED;
        if (strcmp(option->name, "analyze") == 0) {
            options->analyze = flag;
        } else if (strcmp(option->name, "costs") == 0) {
            options->costs = flag;
        } else if (strcmp(option->name, "timing") == 0) {
            options->timing = flag;
            timing_given = true;
        } else if (strcmp(option->name, "summary") == 0) {
            options->summary = flag;
            summary_given = true;
        } else if (strcmp(option->name, "verbose") == 0 || strcmp(option->name, "buffers") == 0 ||
                   strcmp(option->name, "wal") == 0 || strcmp(option->name, "settings") == 0) {
            if (flag)
                return op_fail_at(op, option->position, "0A000", "EXPLAIN option \"%s\" is not supported", option->name);
        } else {
            return op_fail_at(op, option->position, "42601", "unrecognized EXPLAIN option \"%s\"", option->name);
        }
    }
    if (timing_given && options->timing && !options->analyze)
        return op_fail(op, "22023", "EXPLAIN option TIMING requires ANALYZE");
    if (!timing_given)
        options->timing = options->analyze;
    if (!summary_given)
        options->summary = options->analyze;
    return 0;
}

static int explain_line(void *arg, struct op *op, const char *text)
{
    const char *texts[] = {text};
    return prepared__keep_texts(op, arg, texts);
}

/* Runs the statement that is explained, forgetting its rows. */
static int run_explained(struct op *op, struct prepared *prepared, bool timing)
{
    struct execution *execution = prepared->modify ? modify_execution(prepared->modify) : prepared->execution;
    struct batch *batch;
    int result;

    if (timing)
        execution_instrument(execution);
    result = prepared->modify ? modify_start(op, prepared->modify, prepared->params, prepared->param_count)
                              : execution_start(op, execution, prepared->params, prepared->param_count);
    if (result != 0)
        return OP_FAILED;
    do {
        result = prepared->modify ? modify_next(op, prepared->modify, &batch) : execution_next(op, execution, &batch);
        if (result != 0 || prepared__check_deadline(op, prepared) != 0)
            return OP_FAILED;
    } while (batch);
    return 0;
}

static int explain(struct op *op, struct prepared *prepared)
{
    struct explain_options options;
    uint64_t begun = os_clock_ns(), planned, ran;

    if (read_options(op, prepared->statement->explain->options, &options) != 0 || prepared__open(op, prepared) != 0)
        return OP_FAILED;
    planned = os_clock_ns();
    if (options.analyze && run_explained(op, prepared, options.timing) != 0)
        return OP_FAILED;
    ran = os_clock_ns();
    struct execution *execution = prepared->modify ? modify_execution(prepared->modify) : prepared->execution;
    const struct execution *shown = options.analyze ? execution : NULL;
    int result = prepared->modify
        ? modify_explain(op, prepared->query, prepared->plan, shown, options.costs, options.analyze, options.timing, ran - planned,
                         explain_line, prepared)
        : plan_explain(op, prepared->plan, shown, options.costs, options.analyze, options.timing, explain_line, prepared);
    if (result != 0)
        return OP_FAILED;
    if (options.summary) {
        char text[64];
        snprintf(text, sizeof text, "Planning Time: %.3f ms", (double)(planned - begun) / 1e6);
        if (explain_line(prepared, op, text) != 0)
            return OP_FAILED;
        snprintf(text, sizeof text, "Execution Time: %.3f ms", (double)(ran - planned) / 1e6);
        if (options.analyze && explain_line(prepared, op, text) != 0)
            return OP_FAILED;
    }
    return 0;
}

/* ---- running -------------------------------------------------------------------------------------- */

static void tag(struct prepared *prepared, const char *text)
{
    snprintf(prepared->tag, sizeof prepared->tag, "%s", text);
}

/* Definitions: in a transaction that may write. */
static int define(struct op *op, struct prepared *prepared)
{
    struct session *session = prepared->session;
    const struct statement *statement = prepared->statement;

    if (session__check_writable(op, session, prepared__command(statement)) != 0 || session__begin(op, session, false) != 0)
        return OP_FAILED;
    switch (statement->kind) {
    case STATEMENT_CREATE_TABLE: return ddl_create_table(op, session, statement->create_table);
    case STATEMENT_CREATE_INDEX: return ddl_create_index(op, session, statement->create_index);
    case STATEMENT_DROP_TABLE: return ddl_drop_table(op, session, statement->drop);
    case STATEMENT_ALTER_TABLE: return ddl_alter_table(op, session, statement->alter);
    case STATEMENT_RENAME: return ddl_rename(op, session, statement->rename);
    case STATEMENT_TRUNCATE: return ddl_truncate(op, session, statement->truncate);
    default: return ddl_drop_index(op, session, statement->drop);
    }
}

static int transaction(struct op *op, struct prepared *prepared)
{
    const char *text;
    if (session__transaction(op, prepared->session, prepared->statement->transaction, &text) != 0)
        return OP_FAILED;
    tag(prepared, text);
    return 0;
}

static int checkpoint(struct op *op, struct session *session)
{
    return store_checkpoint(op, session->database->store);
}

static int vacuum(struct session *session)
{
    session_notice(session, "NOTICE", "00000", "VACUUM has nothing to do: old row versions are removed as soon as nobody can see them");
    return 0;
}

int utility_run(struct op *op, struct prepared *prepared)
{
    struct session *session = prepared->session;
    const struct statement *statement = prepared->statement;

    tag(prepared, prepared__command(statement));
    switch (statement->kind) {
    case STATEMENT_CREATE_TABLE: case STATEMENT_CREATE_INDEX: case STATEMENT_DROP_TABLE: case STATEMENT_DROP_INDEX:
    case STATEMENT_ALTER_TABLE: case STATEMENT_RENAME: case STATEMENT_TRUNCATE:
        return define(op, prepared);
    case STATEMENT_LOCK: return session__lock_tables(op, session, statement->lock);
    case STATEMENT_TRANSACTION: return transaction(op, prepared);
    case STATEMENT_PREPARE: return named_prepare(op, prepared);
    case STATEMENT_EXECUTE:
        if (named_execute(op, prepared) != 0)
            return OP_FAILED;
        tag(prepared, named_tag(prepared));
        return 0;
    case STATEMENT_DEALLOCATE: return named_deallocate(op, session, statement->prepare->name);
    case STATEMENT_DECLARE: return cursor_declare(op, prepared);
    case STATEMENT_FETCH: return cursor_fetch(op, prepared);
    case STATEMENT_CLOSE: return cursor_close(op, session, statement->cursor->name);
    case STATEMENT_SET_CONSTRAINTS: return fkey_set(op, session, statement->set_constraints);
    case STATEMENT_SET: return session__set(op, session, statement->set);
    case STATEMENT_SHOW: return show(op, prepared);
    case STATEMENT_RESET: return reset(op, session, statement->show);
    case STATEMENT_EXPLAIN: return explain(op, prepared);
    case STATEMENT_COPY: return copy_start(op, prepared);
    case STATEMENT_CHECKPOINT: return checkpoint(op, session);
    case STATEMENT_CHECK_DATABASE: return check_database(op, prepared);
    case STATEMENT_BACKUP: return backup_database(op, prepared);
    case STATEMENT_VACUUM: return vacuum(session);
    default: break;
    }
    op_fail(op, "0A000", "%s is not supported", prepared__command(statement));
    op_hint(op, "The planner estimates from the trees themselves.");
    return OP_FAILED;
}
