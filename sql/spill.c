/*
 * spill.c -- runs of bytes in the temporary file.
 *
 * The file is cut into extents of 256 KiB.  A run takes one extent after another as it is written, through a buffer of the size of
 * an extent, and gives them back when it is closed; freed extents are reused, lowest first.  When the last run is closed the file is cut to
 * nothing, so that one large sort does not leave its size behind.
 */
#include <string.h>

#include "sql/spill.h"
#include "src/base/mem.h"

enum { EXTENT_BYTES = 256 * 1024 };

struct spill {
    struct vfs *vfs;
    char *path;
    struct os_mutex mutex;          /* guards all below */
    struct os_file *file;           /* opened at the first need */
    uint8_t *taken;                 /* one byte per extent */
    size_t extents, capacity, used, first_free;
    size_t runs;
};

struct spill_run {
    struct spill *spill;
    size_t *extents;
    size_t count, capacity;
    uint8_t *buffer;                /* the extent that is being written or read */
    size_t at, filled;              /* position and bytes in the buffer */
    size_t current;                 /* extent in the buffer while reading */
    uint64_t bytes, read;
    bool reading;
};

int spill_make(struct op *op, struct vfs *vfs, const char *database_path, struct spill **result)
{
    size_t len = strlen(database_path);
    struct spill *spill = mem_calloc(1, sizeof *spill);

    *result = NULL;
    if (!spill)
        return op_out_of_memory(op);
    spill->vfs = vfs;
    spill->path = mem_alloc(len + 5);
    if (!spill->path) {
        mem_free(spill);
        return op_out_of_memory(op);
    }
    memcpy(spill->path, database_path, len);
    memcpy(spill->path + len, "-tmp", 5);
    os_mutex_init(&spill->mutex, RANK_FREE_SPACE);
    *result = spill;
    return OP_OK;
}

void spill_destroy(struct spill *spill)
{
    if (!spill)
        return;
    if (spill->file) {
        struct op op;
        os_close(spill->file);
        op_init(&op);
        if (os_remove(&op, spill->vfs, spill->path))
            op_clear_error(&op);    /* the next user of the file cuts it */
        op_end(&op);
    }
    os_mutex_destroy(&spill->mutex);
    mem_free(spill->taken);
    mem_free(spill->path);
    mem_free(spill);
}

uint64_t spill_bytes(struct spill *spill)
{
    os_mutex_lock(&spill->mutex);
    uint64_t bytes = (uint64_t)spill->used * EXTENT_BYTES;
    os_mutex_unlock(&spill->mutex);
    return bytes;
}

int spill_run_open(struct op *op, struct spill *spill, struct spill_run **result)
{
    struct spill_run *run = mem_calloc(1, sizeof *run);
    int failed = OP_OK;

    *result = NULL;
    if (!run)
        return op_out_of_memory(op);
    os_mutex_lock(&spill->mutex);
    if (!spill->file) {
        failed = os_open(op, spill->vfs, spill->path, OS_OPEN_CREATE, &spill->file);
        if (!failed)
            failed = os_truncate(op, spill->file, 0);
    }
    if (!failed)
        spill->runs++;
    os_mutex_unlock(&spill->mutex);
    if (failed) {
        mem_free(run);
        return OP_FAILED;
    }
    run->spill = spill;
    *result = run;
    return OP_OK;
}

/* The lowest free extent. */
static int take_extent(struct op *op, struct spill *spill, size_t *extent)
{
    os_mutex_lock(&spill->mutex);
    size_t at = spill->first_free;
    while (at < spill->extents && spill->taken[at])
        at++;
    if (at == spill->capacity) {
        size_t capacity = spill->capacity ? 2 * spill->capacity : 64;
        uint8_t *taken = mem_realloc(spill->taken, capacity);
        if (!taken) {
            os_mutex_unlock(&spill->mutex);
            return op_out_of_memory(op);
        }
        spill->taken = taken;
        spill->capacity = capacity;
    }
    if (at == spill->extents)
        spill->extents++;
    spill->taken[at] = 1;
    spill->first_free = at + 1;
    spill->used++;
    os_mutex_unlock(&spill->mutex);
    *extent = at;
    return OP_OK;
}

static int flush_buffer(struct op *op, struct spill_run *run)
{
    if (run->at == 0)
        return OP_OK;
    if (run->count == run->capacity) {
        size_t capacity = run->capacity ? 2 * run->capacity : 16;
        size_t *extents = mem_realloc(run->extents, capacity * sizeof *extents);
        if (!extents)
            return op_out_of_memory(op);
        run->extents = extents;
        run->capacity = capacity;
    }
    if (take_extent(op, run->spill, &run->extents[run->count]))
        return OP_FAILED;
    uint64_t offset = (uint64_t)run->extents[run->count++] * EXTENT_BYTES;
    if (os_write(op, run->spill->file, offset, run->buffer, run->at))
        return OP_FAILED;
    run->at = 0;
    return OP_OK;
}

int spill_write(struct op *op, struct spill_run *run, const void *data, size_t len)
{
    const uint8_t *from = data;

    if (!run->buffer) {
        run->buffer = op_heap_alloc(op, EXTENT_BYTES);
        if (!run->buffer)
            return OP_FAILED;
    }
    run->bytes += len;
    while (len) {
        size_t part = EXTENT_BYTES - run->at < len ? EXTENT_BYTES - run->at : len;
        memcpy(run->buffer + run->at, from, part);
        run->at += part;
        from += part;
        len -= part;
        if (run->at == EXTENT_BYTES && flush_buffer(op, run))
            return OP_FAILED;
    }
    return OP_OK;
}

int spill_rewind(struct op *op, struct spill_run *run)
{
    if (!run->reading) {
        if (flush_buffer(op, run))
            return OP_FAILED;
        mem_free(run->buffer);      /* many runs may wait to be read: they hold no buffer until then */
        run->buffer = NULL;
        run->reading = true;
    }
    run->current = 0;
    run->at = run->filled = 0;
    run->read = 0;
    return OP_OK;
}

static int fill_buffer(struct op *op, struct spill_run *run)
{
    uint64_t left = run->bytes - run->read;
    size_t want = left < EXTENT_BYTES ? (size_t)left : EXTENT_BYTES, got;

    if (!run->buffer) {
        run->buffer = op_heap_alloc(op, EXTENT_BYTES);
        if (!run->buffer)
            return OP_FAILED;
    }
    if (os_read(op, run->spill->file, (uint64_t)run->extents[run->current] * EXTENT_BYTES, run->buffer, want, &got))
        return OP_FAILED;
    if (got != want)
        return op_fail(op, "XX000", "the temporary file \"%s\" is shorter than what was written", run->spill->path);
    run->current++;
    run->at = 0;
    run->filled = got;
    return OP_OK;
}

int spill_read(struct op *op, struct spill_run *run, void *data, size_t len, bool *end)
{
    uint8_t *to = data;

    *end = run->bytes - run->read < len;
    if (*end)
        return OP_OK;
    while (len) {
        if (run->at == run->filled && fill_buffer(op, run))
            return OP_FAILED;
        size_t part = run->filled - run->at < len ? run->filled - run->at : len;
        memcpy(to, run->buffer + run->at, part);
        run->at += part;
        run->read += part;
        to += part;
        len -= part;
    }
    return OP_OK;
}

uint64_t spill_run_bytes(const struct spill_run *run)
{
    return run->bytes;
}

void spill_run_close(struct spill_run *run)
{
    if (!run)
        return;
    struct spill *spill = run->spill;
    os_mutex_lock(&spill->mutex);
    for (size_t i = 0; i < run->count; i++) {
        spill->taken[run->extents[i]] = 0;
        if (run->extents[i] < spill->first_free)
            spill->first_free = run->extents[i];
    }
    spill->used -= run->count;
    if (--spill->runs == 0) {
        struct op op;
        op_init(&op);
        if (os_truncate(&op, spill->file, 0))
            op_clear_error(&op);    /* only space is lost, until the file is removed */
        op_end(&op);
        spill->extents = spill->first_free = 0;
    }
    os_mutex_unlock(&spill->mutex);
    mem_free(run->extents);
    mem_free(run->buffer);
    mem_free(run);
}
