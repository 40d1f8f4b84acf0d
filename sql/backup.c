/*
 * backup.c -- BACKUP TO 'file' [WITH (OVERWRITE)]: an online copy, made by src/backup in steps, so that the statement can be interrupted.
 *
 * It is of no transaction: the copy is of the moment at which it ends, which the statement's row tells as an LSN.
 */
#include <string.h>

#include "sql/prepared_int.h"
#include "src/backup/backup.h"
#include "src/base/lsn.h"

enum { STEP_PAGES = 256 };

static int read_options(struct op *op, const struct ast_option *option, bool *overwrite)
{
    for (; option; option = option->next) {
        if (strcmp(option->name, "overwrite") != 0)
            return op_fail_at(op, option->position, "42601", "unrecognized BACKUP option \"%s\"", option->name);
        if (utility_flag(op, option, overwrite) != 0)
            return OP_FAILED;
    }
    return 0;
}

static int copy(struct op *op, struct prepared *prepared, struct backup *backup)
{
    bool done = false;
    while (!done) {
        uint64_t remaining, total;
        if (backup_step(op, backup, STEP_PAGES, &done) != 0 || prepared__check_deadline(op, prepared) != 0 || op_check_cancel(op) != 0)
            return OP_FAILED;
        backup_progress(backup, &remaining, &total);
        session_progress(prepared->session, "pages", total - remaining, total);
    }
    return 0;
}

int backup_describe(struct op *op, struct prepared *prepared)
{
    return prepared__add_column(op, prepared, "end_lsn", TYPE_TEXT);
}

int backup_database(struct op *op, struct prepared *prepared)
{
    struct session *session = prepared->session;
    const struct ast_backup *statement = prepared->statement->backup;
    struct backup_options options = {.vfs = os_unix_vfs(), .path = statement->path};
    struct backup *backup;
    char lsn[LSN_TEXT_BYTES];

    if (session->block != BLOCK_NONE || txn_in_progress(session->txn))
        return op_fail(op, "25001", "BACKUP cannot run inside a transaction block");
    if (statement->path[0] == '\0')
        return op_fail(op, "22023", "BACKUP needs the name of a file");
    if (read_options(op, statement->options, &options.overwrite) != 0 ||
        backup_begin(op, session->database->store, &options, &backup) != 0)
        return OP_FAILED;
    int result = copy(op, prepared, backup);
    lsn_print(backup_end_lsn(backup), lsn);
    backup_end(backup);
    if (result != 0)
        return OP_FAILED;
    const char *texts[] = {lsn};
    return prepared__keep_texts(op, prepared, texts);
}
