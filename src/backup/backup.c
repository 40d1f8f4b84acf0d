/*
 * backup.c -- an online copy, step by step.
 *
 *      begin     a checkpoint; from its redo point on the log is held
 *      step      some pages, as the file has them at that moment; then the log as far as it is durable
 *      ...
 *      last      the log up to its end at this moment; replay; the tail (tail.c); OUT-part becomes OUT
 *
 * The pages are of different moments.  That is no harm, for it is what a crash leaves too: each page has all that was logged before
 * the redo point, and perhaps more; replaying the log from there to `end` brings every page to that moment (complete.c).
 * So the copy is of the *end* of the backup, which for a long one is what one wants, and no writer ever waits.
 *
 *      pages       1   2   3   4        5   6
 *      log      |--------------------|----------|-----|
 *               redo                                 end
 *
 * Each step drains the log, so that it is not held longer than between two steps.
 */
#include "src/backup/backup_int.h"

#include <string.h>

#include "src/base/mem.h"

struct backup {
    struct store *store;
    struct vfs *vfs;
    char *path, *part, *part_wal, *part_log, *part_new;
    bool overwrite;
    struct os_file *file;
    struct buf_backup source;
    bool holding;               /* `source` is in use */
    struct wal_composer *log;
    Lsn log_at;                 /* the log is copied up to here */
    PageNo next, total;
    uint32_t page_size, segment_size;
    uint8_t *buffer;
    bool done;
    struct op failure;          /* of the first step that failed */
    Lsn end;
    int64_t end_us;             /* wall clock when the end was known */
};

/* ---- beginning ------------------------------------------------------------------------------------ */

static int begin_files(struct op *op, struct backup *backup)
{
    struct header_identity *identity = &backup->source.identity;
    struct wal_identity log = {.log_id = backup->source.slot.log_id};
    struct wal_piece piece;
    memcpy(log.database_id, identity->database_id, sizeof(log.database_id));
    if (backup__write_header(op, backup->file, identity, &backup->source.slot) || os_sync(op, backup->file) ||
        wal_stream_next(op, store_wal(backup->store), backup->log_at, &piece))
        return OP_FAILED;
    backup->segment_size = piece.segment_size;
    return wal_compose(op, backup->vfs, backup->part_log, &log, piece.segment_size, &backup->log);
}

static int begin(struct op *op, struct backup *backup, const struct backup_options *options)
{
    backup->path = backup__path(op, options->path, "");
    backup->part = backup__path(op, options->path, "-part");
    backup->part_wal = backup__path(op, options->path, "-part-wal");
    backup->part_log = backup__path(op, options->path, "-part-log");
    backup->part_new = backup__path(op, options->path, "-part-new");
    backup->buffer = op_heap_alloc(op, BACKUP__BUFFER_BYTES);
    if (!backup->path || !backup->part || !backup->part_wal || !backup->part_log || !backup->part_new || !backup->buffer)
        return OP_FAILED;
    if (backup__check_place(op, backup->vfs, backup->path, backup->overwrite) ||
        backup__open_part(op, backup->vfs, backup->part, NULL, &backup->file) ||
        store_backup_begin(op, backup->store, &backup->source))
        return OP_FAILED;
    backup->holding = true;
    backup->log_at = backup->source.oldest;
    backup->total = backup->source.slot.page_count;
    backup->page_size = buf_page_size(store_buf(backup->store));
    backup->next = 1;           /* page 0 is the header */
    return begin_files(op, backup);
}

int backup_begin(struct op *op, struct store *store, const struct backup_options *options, struct backup **out)
{
    *out = NULL;
    struct backup *backup = mem_calloc(1, sizeof(*backup));
    if (!backup)
        return op_out_of_memory(op);
    backup->store = store;
    backup->vfs = options->vfs;
    backup->overwrite = options->overwrite;
    op_init(&backup->failure);
    if (begin(op, backup, options)) {
        backup_end(backup);
        return OP_FAILED;
    }
    *out = backup;
    return OP_OK;
}

/* ---- steps ---------------------------------------------------------------------------------------- */

static int copy_pages(struct op *op, struct backup *backup, uint64_t pages)
{
    uint64_t most = BACKUP__BUFFER_BYTES / backup->page_size;
    while (pages > 0 && backup->next < backup->total) {
        uint64_t count = backup->total - backup->next;
        count = count < pages ? count : pages;
        count = count < most ? count : most;
        for (uint64_t i = 0; i < count; i++)
            if (buf_backup_page(op, store_buf(backup->store), backup->next + i, backup->buffer + i * backup->page_size))
                return OP_FAILED;
        if (os_write(op, backup->file, backup->next * backup->page_size, backup->buffer, count * backup->page_size) ||
            op_check_cancel(op))
            return OP_FAILED;
        backup->next += count;
        pages -= count;
    }
    return OP_OK;
}

static int copy_piece(struct op *op, struct backup *backup, const struct wal_piece *piece)
{
    Lsn at = piece->from;
    while (at < piece->to) {
        size_t len = piece->to - at < BACKUP__BUFFER_BYTES ? piece->to - at : BACKUP__BUFFER_BYTES;
        if (wal_stream_read(op, store_wal(backup->store), piece, at, backup->buffer, len) ||
            wal_compose_put(op, backup->log, piece, at, backup->buffer, len))
            return OP_FAILED;
        at += len;
    }
    backup->log_at = piece->to;
    wal_hold_move(store_wal(backup->store), &backup->source.hold, backup->log_at);
    return OP_OK;
}

/* Copies all of the log that is durable, at least up to `least`. */
static int copy_log(struct op *op, struct backup *backup, Lsn least)
{
    struct wal *wal = store_wal(backup->store);
    for (;;) {
        struct wal_piece piece;
        if (wal_hold_lost(wal, &backup->source.hold)) {
            op_fail(op, "55000", "the backup was too slow: log that it needs has been overwritten");
            op_hint(op, "Make its steps follow each other faster, or raise max_wal_size.");
            return OP_FAILED;
        }
        if (wal_stream_next(op, wal, backup->log_at, &piece))
            return OP_FAILED;
        if (piece.from == piece.to)
            break;
        if (copy_piece(op, backup, &piece) || op_check_cancel(op))
            return OP_FAILED;
        if (least != 0 && backup->log_at >= least)
            break;
    }
    if (backup->log_at < least)
        return op_fail(op, "XX000", "the log ends at %llX, before the end of the backup", (unsigned long long)backup->log_at);
    return OP_OK;
}

/* Everything that is in the log now belongs to the copy. */
static int end_log(struct op *op, struct backup *backup)
{
    struct wal *wal = store_wal(backup->store);
    if (wal_flush(op, wal, wal_end(wal) - 1) || copy_log(op, backup, wal_durable_end(wal)))
        return OP_FAILED;
    backup->end = backup->log_at;
    backup->end_us = os_wall_us();
    struct wal_composer *log = backup->log;
    backup->log = NULL;
    return wal_compose_end(op, log);
}

/* Replays the log beside the copy, keeps what that would change in the tail, and then changes it. */
static int complete_beside(struct op *op, struct backup *backup, struct vfs *shadow)
{
    struct header_identity *identity = &backup->source.identity;
    struct backup__tail tail = {.page_size = backup->page_size, .timeline_id = identity->timeline_id, .end = backup->end,
                                .end_us = backup->end_us, .slot = backup->source.slot, .oldest = backup->source.oldest,
                                .segment_size = backup->segment_size};
    struct os_file *after = NULL;
    struct header_identity seen;
    struct header_slot slot;
    memcpy(tail.database_id, identity->database_id, sizeof(tail.database_id));
    tail.slot.highest_lsn = backup->end;
    if (backup__copy_file(op, backup->vfs, backup->part_log, backup->part_wal) || backup__replay(op, shadow, backup->part) ||
        os_open(op, shadow, backup->part, 0, &after))
        return OP_FAILED;
    int result = buf_header_read(op, after, &seen, &slot);
    if (result == OP_OK)
        result = backup__tail_write(op, backup->vfs, shadow, backup->part_log, backup->file, slot.page_count, &tail);
    for (PageNo page_no = 0; result == OP_OK && page_no < slot.page_count; page_no++) {
        uint32_t crc;
        uint64_t at = page_no * backup->page_size;
        if (os_shadow_changed(shadow, at, backup->page_size))
            result = backup__copy_bytes(op, after, at, backup->file, at, backup->page_size, &crc);
    }
    os_close(after);
    return result;
}

static int complete(struct op *op, struct backup *backup)
{
    struct vfs *shadow;
    buf_backup_end_pages(store_buf(backup->store), &backup->source);
    if (end_log(op, backup))
        return OP_FAILED;
    buf_backup_end(store_buf(backup->store), &backup->source);
    backup->holding = false;
    struct header_slot slot = backup->source.slot;
    slot.highest_lsn = backup->end;
    if (os_truncate(op, backup->file, slot.page_count * backup->page_size) ||
        backup__write_header(op, backup->file, &backup->source.identity, &slot) || os_sync(op, backup->file))
        return OP_FAILED;
    os_close(backup->file);         /* its lock: the store opens the file, and keeps others away meanwhile */
    backup->file = NULL;
    if (os_open(op, backup->vfs, backup->part, 0, &backup->file) ||
        os_shadow_new(op, backup->vfs, backup->part, backup->vfs, backup->part_new, &shadow))
        return OP_FAILED;
    int result = complete_beside(op, backup, shadow);
    os_vfs_destroy(shadow);
    if (result || os_sync(op, backup->file))
        return OP_FAILED;
    os_close(backup->file);
    backup->file = NULL;
    if (os_remove(op, backup->vfs, backup->part_log) ||
        backup__publish(op, backup->vfs, backup->part, backup->path, backup->overwrite, HEADER_COPY))
        return OP_FAILED;
    backup->done = true;
    return OP_OK;
}

int backup_step(struct op *op, struct backup *backup, uint64_t pages, bool *done)
{
    *done = backup->done;
    if (backup->done)
        return OP_OK;
    if (op_failed(&backup->failure)) {
        op_copy_error(op, &backup->failure);
        return OP_FAILED;
    }
    int result = copy_pages(op, backup, pages);
    if (result == OP_OK)
        result = backup->next < backup->total ? copy_log(op, backup, 0) : complete(op, backup);
    if (result)
        op_copy_error(&backup->failure, op);
    *done = backup->done;
    return result;
}

void backup_progress(const struct backup *backup, uint64_t *remaining, uint64_t *total)
{
    *total = backup->total;
    *remaining = backup->done ? 0 : backup->total - backup->next + 1;
}

Lsn backup_end_lsn(const struct backup *backup)
{
    return backup->done ? backup->end : 0;
}

void backup_end(struct backup *backup)
{
    if (!backup)
        return;
    if (backup->holding)
        buf_backup_end(store_buf(backup->store), &backup->source);
    wal_compose_abandon(backup->log);
    bool began = backup->file != NULL || backup->total > 0;
    os_close(backup->file);
    if (began && !backup->done)
        backup__remove_part(backup->vfs, backup->part);
    op_end(&backup->failure);
    mem_free(backup->buffer);
    mem_free(backup->part_new);
    mem_free(backup->part_log);
    mem_free(backup->part_wal);
    mem_free(backup->part);
    mem_free(backup->path);
    mem_free(backup);
}
