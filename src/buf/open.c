/*
 * open.c -- from a path to a buffer pool with its log, in an order that survives a crash at every step.
 *
 *      clean file:     make the log (with a new id), sync it;  write the slot "unclean, log id";  go
 *      unclean file:   open the log that the slot names, sync it;  restore torn pages;  restart reads the log
 *
 * A crash before the slot is written leaves a clean file beside a foreign log, which the next open replaces.
 */
#include <stdio.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/buf/buf_int.h"

static char *path_with(const char *path, const char *suffix)
{
    size_t len = strlen(path) + strlen(suffix) + 1;
    char *joined = mem_alloc(len);
    if (joined)
        snprintf(joined, len, "%s%s", path, suffix);
    return joined;
}

static int buf_new(struct op *op, const struct buf_options *options, struct buf **out)
{
    struct buf *buf = mem_alloc_aligned(alignof(struct buf), sizeof(*buf));
    if (!buf)
        return op_out_of_memory(op);
    memset(buf, 0, sizeof(*buf));
    os_mutex_init(&buf->free_latch, RANK_BUF_MAP);
    os_mutex_init(&buf->extend_latch, RANK_BUF_MAP);
    os_mutex_init(&buf->write_latch, RANK_BUF_WRITE);
    os_mutex_init(&buf->checkpoint_latch, RANK_CHECKPOINT);
    os_cond_init(&buf->checkpoint_done);
    buf->vfs = options->vfs;
    buf->tolerant = options->tolerant;
    buf->path = mem_strdup(options->path);
    buf->wal_path = path_with(options->path, "-wal");
    buf->dw_path = path_with(options->path, "-dw");
    *out = buf;
    return buf->path && buf->wal_path && buf->dw_path ? OP_OK : op_out_of_memory(op);
}

static int fail_locked(struct op *op, struct buf *buf)
{
    uint64_t pid;
    char host[128];
    wal_read_owner(buf->vfs, buf->wal_path, &pid, host, sizeof(host));
    op_fail(op, "55006", "database \"%s\" is already open", buf->path);
    if (pid != 0)
        op_detail(op, "Process %llu on host %s has it open.", (unsigned long long)pid, host);
    return OP_FAILED;
}

/* Is this the beginning of a file whose creation was cut short?  Its first sector is still empty then. */
static int is_unfinished(struct op *op, struct buf *buf, bool *unfinished)
{
    uint64_t size;
    uint8_t sector[512];
    size_t got;
    *unfinished = false;
    if (os_size(op, buf->file, &size) || os_read(op, buf->file, 0, sector, sizeof(sector), &got))
        return OP_FAILED;
    bool empty = true;
    for (size_t i = 0; i < got; i++)
        empty = empty && sector[i] == 0;
    *unfinished = empty && size <= PAGE_SIZE_MAX;
    return OP_OK;
}

static int open_file(struct op *op, struct buf *buf, const struct buf_options *options)
{
    bool taken, unfinished;
    if (os_open(op, buf->vfs, buf->path, options->create ? OS_OPEN_CREATE : 0, &buf->file) ||
        os_lock(op, buf->file, &taken))
        return OP_FAILED;
    if (!taken)
        return fail_locked(op, buf);
    if (is_unfinished(op, buf, &unfinished))
        return OP_FAILED;
    if (unfinished && options->create)
        return buf__header_create(op, buf, options);
    return buf__header_read(op, buf, options) == OP_OK ? buf__header_settle(op, buf) : OP_FAILED;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static int make_frames(struct op *op, struct buf *buf, uint64_t cache_size)
{
    uint64_t frames = (cache_size ? cache_size : UINT64_C(64) << 20) / buf->page_size;
    if (frames < BUF__FRAMES_MIN)
        frames = BUF__FRAMES_MIN;
    if (frames > BUF__FRAMES_MAX)
        frames = BUF__FRAMES_MAX;
    buf->frame_count = (uint32_t)frames;
    buf->dirty_max = buf->frame_count - buf->frame_count / 8;
    buf->batch_max = smaller(smaller(BUF__BATCH_BYTES / buf->page_size, BUF__BATCH_PAGES), buf->frame_count);
    buf->frames = mem_calloc(frames, sizeof(*buf->frames));
    buf->pages = mem_alloc_aligned(4096, frames * buf->page_size);
    buf->free_frames = mem_alloc(frames * sizeof(*buf->free_frames));
    buf->chunks = mem_calloc(BUF__CHUNKS, sizeof(*buf->chunks));
    buf->parking = mem_alloc_aligned(alignof(struct buf__parking), BUF__PARKING * sizeof(*buf->parking));
    buf->batch_bytes = mem_alloc_aligned(4096, BUF__DIRECTORY_BYTES + (size_t)buf->batch_max * buf->page_size);
    if (!buf->frames || !buf->pages || !buf->free_frames || !buf->chunks || !buf->parking || !buf->batch_bytes)
        return op_out_of_memory(op);
    memset(buf->parking, 0, BUF__PARKING * sizeof(*buf->parking));
    for (uint32_t i = 0; i < buf->frame_count; i++)
        buf->free_frames[i] = buf->frame_count - i;     /* frame 1 on top */
    buf->free_count = buf->frame_count;
    return OP_OK;
}

static int set_geometry(struct op *op, struct buf *buf)
{
    uint64_t size;
    buf->page_size = buf->identity.page_size;
    buf->usable_size = buf->page_size - buf->identity.reserved_bytes;
    if (os_size(op, buf->file, &size))
        return OP_FAILED;
    buf->file_pages = size / buf->page_size;
    atomic_store(&buf->page_count, buf->slot.page_count);
    if (buf->was_clean && buf->file_pages < buf->slot.page_count)
        return op_fail(op, "XX001", "\"%s\" is cut short: it has %llu pages of %llu", buf->path,
                       (unsigned long long)buf->file_pages, (unsigned long long)buf->slot.page_count);
    return OP_OK;
}

/* The double-write area gets its space now: on a full disk, pages must still find their way home. */
static int open_double_write(struct op *op, struct buf *buf)
{
    uint64_t size, wanted = BUF__DIRECTORY_BYTES + (uint64_t)buf->batch_max * buf->page_size;
    if (os_open(op, buf->vfs, buf->dw_path, OS_OPEN_CREATE, &buf->dw) || os_size(op, buf->dw, &size))
        return OP_FAILED;
    if (size >= wanted)
        return OP_OK;
    memset(buf->batch_bytes, 0, wanted - size);
    return os_write(op, buf->dw, size, buf->batch_bytes, wanted - size);
}

static void identify(const struct buf *buf, struct wal_identity *identity)
{
    memcpy(identity->database_id, buf->identity.database_id, sizeof(identity->database_id));
    identity->log_id = buf->slot.log_id;
    identity->timeline_id = buf->identity.timeline_id;
}

/* A clean file gets a new log. */
static int begin_log(struct op *op, struct buf *buf, const struct buf_options *options)
{
    struct wal_identity identity;
    if (buf__header_leave_copy(op, buf))
        return OP_FAILED;
    os_random(&buf->slot.log_id, sizeof(buf->slot.log_id));
    identify(buf, &identity);
    if (wal_create(op, buf->vfs, buf->wal_path, &identity, buf->slot.highest_lsn, &options->wal, &buf->wal) ||
        open_double_write(op, buf))
        return OP_FAILED;
    buf->slot.flags = 0;
    buf->slot.checkpoint_lsn = 0;
    buf->slot.redo_lsn = wal_end(buf->wal);
    buf->slot.highest_lsn = wal_durable_end(buf->wal);
    return buf__header_write_slot(op, buf);
}

/* An unclean one needs the log that it names. */
static int resume_log(struct op *op, struct buf *buf, const struct buf_options *options)
{
    struct wal_identity identity;
    bool exists;
    if (os_exists(op, buf->vfs, buf->wal_path, &exists))
        return OP_FAILED;
    if (!exists) {
        op_fail(op, "XX001", "the log \"%s\" is missing", buf->wal_path);
        op_detail(op, "The database was not closed cleanly; without its log it is not complete.");
        return OP_FAILED;
    }
    identify(buf, &identity);
    buf->restarting = true;
    if (open_double_write(op, buf) ||
        wal_open(op, buf->vfs, buf->wal_path, &identity, &options->wal, &buf->wal))
        return OP_FAILED;
    return buf__double_write_restore(op, buf);
}

int buf_open(struct op *op, const struct buf_options *options, struct buf **out)
{
    struct buf *buf = NULL;
    *out = NULL;
    if (buf_new(op, options, &buf) || open_file(op, buf, options))
        goto failed;
    buf->was_clean = buf->slot.flags & HEADER_CLEAN;
    if (set_geometry(op, buf) || make_frames(op, buf, options->cache_size) ||
        buf__ensure_states(op, buf, buf->slot.page_count))
        goto failed;
    if (buf->was_clean ? begin_log(op, buf, options) : resume_log(op, buf, options))
        goto failed;
    atomic_store(&buf->redo, buf->slot.redo_lsn);
    *out = buf;
    return OP_OK;
failed:
    if (buf)
        buf_abandon(buf);
    return OP_FAILED;
}

struct wal *buf_wal(struct buf *buf)
{
    return buf->wal;
}

const struct header_identity *buf_identity(const struct buf *buf)
{
    return &buf->identity;
}

bool buf_is_new(const struct buf *buf)
{
    return buf->is_new;
}

void buf_abandon(struct buf *buf)
{
    buf_stop_background(buf);
    wal_abandon(buf->wal);
    os_close(buf->dw);
    os_close(buf->file);
    for (size_t i = 0; buf->chunks && i < BUF__CHUNKS && buf->chunks[i]; i++)
        mem_free((void *)buf->chunks[i]);
    os_mutex_destroy(&buf->free_latch);
    os_mutex_destroy(&buf->extend_latch);
    os_mutex_destroy(&buf->write_latch);
    os_mutex_destroy(&buf->checkpoint_latch);
    os_cond_destroy(&buf->checkpoint_done);
    mem_free((void *)buf->chunks);
    mem_free(buf->parking);
    mem_free(buf->batch_bytes);
    mem_free(buf->free_frames);
    mem_free(buf->pages);
    mem_free(buf->frames);
    mem_free(buf->path);
    mem_free(buf->wal_path);
    mem_free(buf->dw_path);
    mem_free(buf);
}
