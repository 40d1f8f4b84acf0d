/*
 * recover.c -- a database as it was at a chosen moment, from a backup and the log archived since.
 *
 *      backup                 archive
 *      pages, log up to end | piece | piece | piece | ...
 *                                  ^ cut: the moment
 *
 * The backup's pages as they were copied, its log, and what the archive has behind it are put together as a database after a crash at the
 * moment: the log simply ends there.  Restart does the rest (complete.c).
 *
 * A log ends with each clean close, and the next one begins.  Where the moment lies in a later log, each log before is replayed to
 * its end, at which nobody is in progress, and the header is then made to name the next one (`pass_over`).
 *
 * M1  Only files of the backup's own database and timeline are read; each must begin where the one before has ended.
 * M2  What comes out has a new timeline: its log is not mixed up with the one it was made of.
 * M3  Nothing is made when the moment cannot be reached exactly: before the backup's end, or behind the archive's.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "src/backup/backup_int.h"
#include "src/base/lsn.h"
#include "src/base/mem.h"
#include "wal/wal_archive.h"

struct recovery {
    const struct recover_options *options;
    struct vfs *vfs;
    char *part, *part_wal;
    struct os_file *backup, *out;
    bool begun;                 /* `part` is ours */
    struct backup__tail tail;
    struct header_identity identity;
    struct wal_history history;
    uint64_t log_id;            /* the log that is replayed now */
    Lsn from;                   /* its first record of interest */
    Lsn at;                     /* how far it is there */
    struct wal_archive_file next;   /* the archive's file that follows */
    Lsn gap_from, gap_to;       /* gap_to not 0: nothing follows gap_from, but there are files from gap_to on */
};

/* ---- the backup ----------------------------------------------------------------------------------- */

static int open_backup(struct op *op, struct recovery *recovery)
{
    const char *path = recovery->options->backup;
    struct header_slot slot;
    bool taken, found;
    if (os_open(op, recovery->vfs, path, OS_OPEN_READ_ONLY, &recovery->backup) || os_lock(op, recovery->backup, &taken))
        return OP_FAILED;
    if (!taken)
        return op_fail(op, "55006", "\"%s\" is an open database", path);
    if (buf_header_read(op, recovery->backup, &recovery->identity, &slot) ||
        backup__tail_read(op, recovery->backup, &recovery->tail, &found))
        return OP_FAILED;
    if (recovery->identity.incompatible & HEADER_UNFINISHED)
        return op_fail(op, "55000", "\"%s\" is an unfinished backup", path);
    if (!found || !(slot.flags & HEADER_COPY)) {
        op_fail(op, "55000", "\"%s\" is not a backup that recovery can start from", path);
        op_detail(op, "It is a database, or a backup that has been opened as one.");
        return OP_FAILED;
    }
    memcpy(recovery->history.database_id, recovery->tail.database_id, sizeof(recovery->history.database_id));
    recovery->history.timeline_id = recovery->tail.timeline_id;
    return OP_OK;
}

static int put_images(struct op *op, struct recovery *recovery)
{
    const struct backup__tail *tail = &recovery->tail;
    uint64_t *numbers = NULL;
    uint8_t *page = op_heap_alloc(op, tail->page_size);
    int result = page ? backup__tail_images(op, recovery->backup, tail, &numbers) : OP_FAILED;
    for (uint64_t i = 0; result == OP_OK && i < tail->images; i++) {
        result = backup__tail_image(op, recovery->backup, tail, numbers, i, page);
        if (result == OP_OK)
            result = os_write(op, recovery->out, numbers[i] * tail->page_size, page, tail->page_size);
    }
    mem_free(numbers);
    mem_free(page);
    return result;
}

/* Pages and log as they were copied (L1). */
static int restore_copy(struct op *op, struct recovery *recovery)
{
    const struct backup__tail *tail = &recovery->tail;
    struct os_file *log = NULL;
    uint32_t crc = 0;
    recovery->identity.incompatible |= HEADER_UNFINISHED;
    if (backup__write_header(op, recovery->out, &recovery->identity, &tail->slot) || os_sync(op, recovery->out) ||
        backup__copy_bytes(op, recovery->backup, tail->page_size, recovery->out, tail->page_size,
                           (tail->slot.page_count - 1) * tail->page_size, &crc) ||
        put_images(op, recovery) || os_remove(op, recovery->vfs, recovery->part_wal) ||
        os_open(op, recovery->vfs, recovery->part_wal, OS_OPEN_CREATE, &log))
        return OP_FAILED;
    int result = backup__copy_bytes(op, recovery->backup, tail->log_at, log, 0, tail->log_bytes, &crc);
    os_close(log);
    if (result == OP_OK && crc != tail->log_crc)
        result = op_fail(op, "XX001", "the log kept in \"%s\" is damaged", recovery->options->backup);
    recovery->log_id = tail->slot.log_id;
    recovery->from = tail->slot.redo_lsn;
    recovery->at = tail->end;
    return result;
}

/* ---- the archive ---------------------------------------------------------------------------------- */

static int follow(struct op *op, struct recovery *recovery, Lsn end)
{
    const char *archive = recovery->options->archive;
    wal_archive_close(&recovery->next);
    if (!archive)
        return OP_OK;
    if (wal_archive_follow(op, recovery->vfs, archive, &recovery->history, recovery->tail.segment_size, end, &recovery->next))
        return OP_FAILED;
    recovery->gap_from = end;
    return recovery->next.file ? OP_OK : wal_archive_next_name(op, recovery->vfs, archive, &recovery->history, end, &recovery->gap_to);
}

static int fail_gap(struct op *op, const struct recovery *recovery)
{
    char from[LSN_TEXT_BYTES], to[LSN_TEXT_BYTES];
    lsn_print(recovery->gap_from, from);
    lsn_print(recovery->gap_to, to);
    op_fail(op, "55000", "the archive has a gap");
    op_detail(op, "What follows %s is missing; the next file begins at %s.", from, to);
    op_hint(op, "Without the missing files only moments before %s can be recovered.", from);
    return OP_FAILED;
}

/* The first file that continues the backup.  Segments begin files, so this one may begin with what the backup has too. */
static int find_first(struct op *op, struct recovery *recovery)
{
    uint64_t payload = wal_segment_payload(recovery->tail.segment_size);
    Lsn end = recovery->tail.end, at = end / payload * payload;
    if (!recovery->options->archive || wal_archive_open(op, recovery->vfs, recovery->options->archive, &recovery->history, at,
                                                        &recovery->next))
        return op_failed(op) ? OP_FAILED : OP_OK;
    if (!recovery->next.file && follow(op, recovery, end))
        return OP_FAILED;
    while (recovery->next.file && recovery->next.piece.to <= end && recovery->next.piece.log_id == recovery->log_id) {
        Lsn to = recovery->next.piece.to;
        if (to == end)
            return follow(op, recovery, end);
        if (follow(op, recovery, to))
            return OP_FAILED;
    }
    return OP_OK;
}

/* Adds what the archive has of this log; not more than the target may need. */
static int extend_log(struct op *op, struct recovery *recovery, struct wal_composer *log)
{
    const struct wal_target *target = &recovery->options->target;
    while (recovery->next.file && recovery->next.piece.log_id == recovery->log_id &&
           !(target->by_lsn && recovery->at > target->lsn + WAL_RECORD_MAX_BYTES)) {
        struct wal_piece piece = recovery->next.piece;
        uint8_t *bytes;
        if (op_check_cancel(op) || wal_archive_read(op, &recovery->next, &bytes))
            return OP_FAILED;
        int result = wal_compose_put(op, log, &piece, piece.from, bytes, piece.to - piece.from);
        mem_free(bytes);
        if (result || follow(op, recovery, piece.to))
            return OP_FAILED;
        recovery->at = piece.to;
    }
    return OP_OK;
}

static void identify_log(const struct recovery *recovery, struct wal_identity *identity)
{
    *identity = (struct wal_identity){.log_id = recovery->log_id};
    memcpy(identity->database_id, recovery->history.database_id, sizeof(identity->database_id));
}

static int find_moment(struct op *op, struct recovery *recovery, struct wal_moment *moment)
{
    struct wal_identity identity;
    identify_log(recovery, &identity);
    if (wal_find_moment(op, recovery->vfs, recovery->part_wal, &identity, recovery->from, &recovery->options->target, moment))
        return OP_FAILED;
    /* The archive may end within a record, but not so far from it that another one would have fitted. */
    if (!moment->reached && moment->cut + WAL_RECORD_MAX_BYTES < recovery->at)
        return op_fail(op, "XX001", "the archived log is damaged at %llX", (unsigned long long)moment->cut);
    return OP_OK;
}

static int cut_log(struct op *op, struct recovery *recovery, Lsn cut)
{
    struct wal_composer *log;
    if (wal_compose_resume(op, recovery->vfs, recovery->part_wal, &log))
        return OP_FAILED;
    if (wal_compose_cut(op, log, cut)) {
        wal_compose_abandon(log);
        return OP_FAILED;
    }
    return wal_compose_end(op, log);
}

/* ---- from one log to the next --------------------------------------------------------------------- */

/* The log that is there ended with a clean close: replays it, and makes the file one that waits for the next log. */
static int pass_over(struct op *op, struct recovery *recovery)
{
    struct header_identity identity;
    struct header_slot slot;
    struct wal_composer *log;
    struct wal_identity own;
    if (backup__replay(op, recovery->vfs, recovery->part) || os_open(op, recovery->vfs, recovery->part, 0, &recovery->out) ||
        buf_header_read(op, recovery->out, &identity, &slot))
        return OP_FAILED;
    recovery->log_id = slot.log_id = recovery->next.piece.log_id;
    recovery->from = recovery->at = slot.redo_lsn = slot.highest_lsn = recovery->next.piece.from;
    slot.checkpoint_lsn = 0;
    slot.flags = 0;
    identify_log(recovery, &own);
    if (backup__write_header(op, recovery->out, &identity, &slot) || os_sync(op, recovery->out) ||
        wal_compose(op, recovery->vfs, recovery->part_wal, &own, recovery->tail.segment_size, &log))
        return OP_FAILED;
    os_close(recovery->out);
    recovery->out = NULL;
    if (extend_log(op, recovery, log)) {
        wal_compose_abandon(log);
        return OP_FAILED;
    }
    return wal_compose_end(op, log);
}

/* ---- the moment ------------------------------------------------------------------------------------ */

static void print_time(int64_t us, char *text, size_t size)
{
    time_t seconds = (time_t)(us / 1000000);
    struct tm parts;
    char date[32];
    gmtime_r(&seconds, &parts);
    strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &parts);
    snprintf(text, size, "%s.%06d UTC", date, (int)(us % 1000000));
}

static int fail_early(struct op *op, const struct recovery *recovery)
{
    char end[LSN_TEXT_BYTES], time[64];
    lsn_print(recovery->tail.end, end);
    print_time(recovery->tail.end_us, time, sizeof(time));
    op_fail(op, "22023", "the moment to recover to lies before the end of the backup");
    op_detail(op, "The backup ends at %s, %s.", end, time);
    op_hint(op, "Take an older backup.");
    return OP_FAILED;
}

static int fail_late(struct op *op, const struct recovery *recovery, const struct wal_moment *moment)
{
    char end[LSN_TEXT_BYTES], time[64];
    lsn_print(moment->cut, end);
    print_time(moment->last_commit_us, time, sizeof(time));
    op_fail(op, "22023", "the moment to recover to lies behind the end of the archived log");
    op_detail(op, moment->commits > 0 ? "The log ends at %s; its last commit is of %s." : "The log ends at %s.", end, time);
    op_hint(op, recovery->options->archive ? "Without a moment, everything that is there is recovered."
                                           : "No archive was named.");
    return OP_FAILED;
}

/* Replays log after log until the target is in the one that is there. */
static int reach(struct op *op, struct recovery *recovery, struct wal_moment *moment)
{
    const struct wal_target *target = &recovery->options->target;
    uint64_t commits = 0;
    if (target->by_time && target->time_us < recovery->tail.end_us)
        return fail_early(op, recovery);
    int64_t last_commit_us = 0;
    for (;;) {
        if (find_moment(op, recovery, moment))
            return OP_FAILED;
        if (moment->cut < recovery->tail.end)
            return moment->reached ? fail_early(op, recovery)
                                   : op_fail(op, "XX001", "the log kept in \"%s\" is damaged", recovery->options->backup);
        commits += moment->commits;
        if (moment->last_commit_us == 0)
            moment->last_commit_us = last_commit_us;
        last_commit_us = moment->last_commit_us;
        if (moment->reached || !recovery->next.file || recovery->next.piece.log_id == recovery->log_id)
            break;
        if (target->by_lsn && target->lsn < recovery->next.piece.from && target->lsn >= moment->cut)
            break;      /* between two logs there is nothing */
        if (pass_over(op, recovery))
            return OP_FAILED;
    }
    moment->commits = commits;
    if (!moment->reached && recovery->gap_to != 0)
        return fail_gap(op, recovery);
    if (!moment->reached && (target->by_time || (target->by_lsn && target->lsn >= moment->cut && !recovery->next.file)))
        return fail_late(op, recovery, moment);
    return OP_OK;
}

static int recover(struct op *op, struct recovery *recovery, struct recover_result *result)
{
    const struct recover_options *options = recovery->options;
    struct wal_composer *log;
    struct wal_moment moment;
    recovery->part = backup__path(op, options->path, "-part");
    recovery->part_wal = backup__path(op, options->path, "-part-wal");
    if (!recovery->part || !recovery->part_wal || open_backup(op, recovery) ||
        backup__check_place(op, recovery->vfs, options->path, options->overwrite) ||
        backup__open_part(op, recovery->vfs, recovery->part, recovery->identity.database_id, &recovery->out))
        return OP_FAILED;
    recovery->begun = true;
    if (restore_copy(op, recovery) || os_sync(op, recovery->out) || find_first(op, recovery) ||
        wal_compose_resume(op, recovery->vfs, recovery->part_wal, &log))
        return OP_FAILED;
    os_close(recovery->out);
    recovery->out = NULL;
    if (extend_log(op, recovery, log)) {
        wal_compose_abandon(log);
        return OP_FAILED;
    }
    if (wal_compose_end(op, log) || reach(op, recovery, &moment) || cut_log(op, recovery, moment.cut) ||
        backup__replay(op, recovery->vfs, recovery->part) ||
        backup__publish(op, recovery->vfs, recovery->part, options->path, options->overwrite, 0))
        return OP_FAILED;
    *result = (struct recover_result){moment.cut, moment.commits, moment.last_commit_us};
    return OP_OK;
}

int backup_recover(struct op *op, const struct recover_options *options, struct recover_result *result)
{
    struct recovery recovery = {.options = options, .vfs = options->vfs};
    *result = (struct recover_result){0};
    int outcome = recover(op, &recovery, result);
    bool ours = outcome && recovery.begun;
    wal_archive_close(&recovery.next);
    os_close(recovery.out);
    os_close(recovery.backup);
    if (ours)
        backup__remove_part(options->vfs, recovery.part);
    mem_free(recovery.part_wal);
    mem_free(recovery.part);
    return outcome;
}
