/*
 * backup.c -- handles of online backups.
 *
 * A backup counts as a connection of its database: isolde_close refuses while one is open.  It needs no connection itself, and runs
 * beside all of them.
 */
#include <string.h>

#include "sql/datetime.h"
#include "src/api/api_int.h"
#include "src/backup/backup.h"
#include "src/base/lsn.h"
#include "src/base/mem.h"
#include "wal/wal_archive.h"

#define EPOCH_2000_US INT64_C(946684800000000)  /* of the engine's timestamps, since 1970 */

struct isolde_backup {
    _Atomic uint32_t magic;
    struct isolde_db *db;
    struct backup *backup;
    struct op op;                   /* of the last call */
    struct isolde_err error;        /* a view of op.error */
};

static bool is_backup(const struct isolde_backup *backup) { return backup && atomic_load(&backup->magic) == API_BACKUP; }

static void count(struct isolde_db *db, int change)
{
    os_mutex_lock(&db->latch);
    db->connections += change;
    os_mutex_unlock(&db->latch);
}

static int begin(struct op *op, struct isolde_db *db, const char *path, bool overwrite, struct isolde_backup **out)
{
    struct backup_options options = {.vfs = os_unix_vfs(), .path = path, .overwrite = overwrite};
    struct isolde_backup *handle = mem_calloc(1, sizeof *handle);

    if (!handle)
        return op_out_of_memory(op);
    if (backup_begin(op, db->store, &options, &handle->backup) != 0) {
        mem_free(handle);
        return OP_FAILED;
    }
    handle->db = db;
    op_init(&handle->op);
    count(db, 1);
    atomic_store(&handle->magic, API_BACKUP);
    *out = handle;
    return 0;
}

int isolde_backup_begin(isolde_db *db, const char *path, int overwrite, isolde_backup **backup, isolde_err **err)
{
    struct op op;
    int result = ISOLDE_OK;

    if (err)
        *err = NULL;
    if (backup)
        *backup = NULL;
    op_init(&op);
    if (!api_is_db(db) || !path || path[0] == '\0' || !backup) {
        op_fail(&op, "22023", "isolde_backup_begin needs an open database, a path and a place for the handle");
        result = ISOLDE_MISUSE;
    } else if (begin(&op, db, path, overwrite != 0, backup) != 0) {
        result = ISOLDE_ERROR;
    }
    if (result != ISOLDE_OK)
        api_export_error(&op, err);
    op_end(&op);
    return result;
}

int isolde_backup_step(isolde_backup *backup, int pages)
{
    bool done;

    if (!is_backup(backup))
        return ISOLDE_MISUSE;
    op_reset(&backup->op);
    if (backup_step(&backup->op, backup->backup, pages < 0 ? UINT64_MAX : (uint64_t)pages, &done) != 0)
        return ISOLDE_ERROR;
    return done ? ISOLDE_DONE : ISOLDE_OK;
}

int64_t isolde_backup_remaining(const isolde_backup *backup)
{
    uint64_t remaining = 0, total;
    if (is_backup(backup))
        backup_progress(backup->backup, &remaining, &total);
    return (int64_t)remaining;
}

int64_t isolde_backup_total(const isolde_backup *backup)
{
    uint64_t remaining, total = 0;
    if (is_backup(backup))
        backup_progress(backup->backup, &remaining, &total);
    return (int64_t)total;
}

uint64_t isolde_backup_lsn(const isolde_backup *backup)
{
    return is_backup(backup) ? backup_end_lsn(backup->backup) : 0;
}

const isolde_err *isolde_backup_error(isolde_backup *backup)
{
    if (!is_backup(backup))
        return isolde_error(NULL);
    backup->error.error = backup->op.error;
    backup->error.severity = "ERROR";
    return &backup->error;
}

int isolde_backup_finish(isolde_backup *backup)
{
    if (!backup)
        return ISOLDE_OK;
    if (!is_backup(backup))
        return ISOLDE_MISUSE;
    struct isolde_db *db = backup->db;
    bool done = backup_end_lsn(backup->backup) != 0;
    backup_end(backup->backup);
    op_end(&backup->op);
    os_mutex_lock(&db->latch);
    db->connections--;
    api_bury(&db->closed, backup, &backup->magic);
    os_mutex_unlock(&db->latch);
    return done ? ISOLDE_OK : ISOLDE_ERROR;
}

/* ---- recovery ------------------------------------------------------------------------------------- */

static int read_target(struct op *op, const char *until, struct wal_target *target)
{
    int64_t time;

    *target = (struct wal_target){0};
    if (!until)
        return 0;
    if (lsn_parse(until, &target->lsn)) {
        target->by_lsn = true;
        return 0;
    }
    if (timestamp_parse(op, (struct bytes){(const uint8_t *)until, strlen(until)}, true, -1, &time) != 0 || time == TIMESTAMP_INFINITY ||
        time == TIMESTAMP_MINUS_INFINITY) {
        op_clear_error(op);
        op_fail(op, "22023", "\"%s\" is neither an LSN nor a time", until);
        op_hint(op, "An LSN looks like 0/1A2B3C, a time like 2026-11-20 14:30:00.");
        return OP_FAILED;
    }
    target->by_time = true;
    target->time_us = time + EPOCH_2000_US;
    return 0;
}

int isolde_recover(const char *backup, const char *archive, const char *until, const char *path, int overwrite, uint64_t *lsn,
                   isolde_err **err)
{
    struct recover_options options = {.vfs = os_unix_vfs(), .backup = backup, .archive = archive, .path = path,
                                      .overwrite = overwrite != 0};
    struct recover_result recovered = {0};
    struct op op;
    int result = ISOLDE_OK;

    if (err)
        *err = NULL;
    op_init(&op);
    if (!backup || !path || path[0] == '\0') {
        op_fail(&op, "22023", "isolde_recover needs a backup and the path of the new database");
        result = ISOLDE_MISUSE;
    } else if (read_target(&op, until, &options.target) != 0 || backup_recover(&op, &options, &recovered) != 0) {
        result = ISOLDE_ERROR;
    }
    if (lsn)
        *lsn = recovered.end;
    if (result != ISOLDE_OK)
        api_export_error(&op, err);
    op_end(&op);
    return result;
}

int isolde_archive(isolde_db *db, isolde_err **err)
{
    struct op op;
    int result = ISOLDE_OK;

    if (err)
        *err = NULL;
    op_init(&op);
    if (!api_is_db(db)) {
        op_fail(&op, "08003", "isolde_archive needs an open database");
        result = ISOLDE_MISUSE;
    } else if (wal_archive_rest(&op, store_wal(db->store), false) != 0) {
        result = ISOLDE_ERROR;
    }
    if (result != ISOLDE_OK)
        api_export_error(&op, err);
    op_end(&op);
    return result;
}

static void ignore(void *arg, const char *line)
{
    (void)arg;
    (void)line;
}

int isolde_verify(const char *backup, const char *archive, void (*report)(void *arg, const char *line), void *arg, uint64_t *findings,
                  uint64_t *end, uint64_t *archived, isolde_err **err)
{
    struct verify_options options = {.vfs = os_unix_vfs(), .path = backup, .archive = archive, .report = report ? report : ignore,
                                     .arg = arg};
    struct verify_result verified = {0};
    struct op op;
    int result = ISOLDE_OK;

    if (err)
        *err = NULL;
    op_init(&op);
    if (!backup) {
        op_fail(&op, "22023", "isolde_verify needs the path of a backup");
        result = ISOLDE_MISUSE;
    } else if (backup_verify(&op, &options, &verified) != 0) {
        result = ISOLDE_ERROR;
    }
    if (findings)
        *findings = verified.findings;
    if (end)
        *end = verified.end;
    if (archived)
        *archived = verified.archived;
    if (result != ISOLDE_OK)
        api_export_error(&op, err);
    op_end(&op);
    return result;
}

int isolde_archive_status(isolde_db *db, struct isolde_archive_status *status)
{
    struct wal_archive_status known;

    if (!status || !api_is_db(db))
        return ISOLDE_MISUSE;
    wal_archive_status(store_wal(db->store), &known);
    *status = (struct isolde_archive_status){
        .archived = known.archived, .end = known.end, .limit = known.limit, .files = known.files, .failures = known.failures,
        .last_file_us = known.last_file_us, .last_failure_us = known.last_failure_us,
    };
    memcpy(status->directory, known.directory, sizeof status->directory);
    memcpy(status->last_error, known.last_error, sizeof status->last_error);
    return known.directory[0] ? ISOLDE_OK : ISOLDE_DONE;
}
