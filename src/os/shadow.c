/*
 * shadow.c -- a disk on which one file of another disk can be changed without being changed.
 *
 * Reads of the file see the lower file's bytes, but for the blocks that were written: those lie in a file of changes on the upper disk.
 * All other files are the upper disk's.  So a large file can be worked on while it stays as it is, and whoever wants the changes
 * after all can ask which blocks they are.  (overlay.c keeps changes of all files in memory: for databases that are only looked at.)
 *
 *      lower file    | a | b | c | d |
 *      places        {b: 0, d: 1}              changes   | b' | d' |
 *      seen          | a | b'| c | d'|
 *
 * D1  The lower file is never written.
 * D2  Bytes from `lower_end` on are zero in the lower file's stead: it was cut there once.
 * D3  The table of places and the sizes are guarded by the mutex, which is held while bytes are copied.
 */
#include <string.h>

#include "src/base/hash.h"
#include "src/base/mem.h"
#include "src/os/os_int.h"

enum { BLOCK = 4096, TABLE_FIRST = 256 };

struct place {
    uint64_t block;             /* number + 1; 0: empty */
    uint64_t slot;
};

struct shadow {
    struct vfs base;
    struct vfs *upper;
    char *path, *changes_path;
    struct os_file *lower, *changes;
    struct os_mutex mutex;
    struct place *places;       /* open addressing */
    size_t size, used;          /* size: power of two */
    uint64_t slots;             /* blocks in the file of changes */
    uint64_t lower_end, end;
};

struct shadow_file {
    struct os_file base;
    struct shadow *shadow;
};

/* ---- places --------------------------------------------------------------------------------------- */

static struct place *find(const struct shadow *shadow, uint64_t block)
{
    size_t i = hash_u64(block) & (shadow->size - 1);
    while (shadow->places[i].block != 0 && shadow->places[i].block != block + 1)
        i = (i + 1) & (shadow->size - 1);
    return &shadow->places[i];
}

static int grow(struct op *op, struct shadow *shadow)
{
    struct place *old = shadow->places;
    size_t old_size = shadow->size;
    shadow->size = old_size ? 2 * old_size : TABLE_FIRST;
    shadow->places = mem_calloc(shadow->size, sizeof *shadow->places);
    if (!shadow->places) {
        shadow->places = old;
        shadow->size = old_size;
        return op_out_of_memory(op);
    }
    for (size_t i = 0; i < old_size; i++)
        if (old[i].block != 0)
            *find(shadow, old[i].block - 1) = old[i];
    mem_free(old);
    return OP_OK;
}

static bool is_changed(const struct shadow *shadow, uint64_t block)
{
    return shadow->size > 0 && find(shadow, block)->block != 0;
}

/* ---- blocks: the mutex is held -------------------------------------------------------------------- */

/* The bytes of one block, all of it that there is and zeros. */
static int read_block(struct op *op, struct shadow *shadow, uint64_t block, uint8_t *to)
{
    size_t got = 0;
    if (is_changed(shadow, block)) {
        if (os_read(op, shadow->changes, find(shadow, block)->slot * BLOCK, to, BLOCK, &got))
            return OP_FAILED;
    } else if (block * BLOCK < shadow->lower_end) {
        if (os_read(op, shadow->lower, block * BLOCK, to, BLOCK, &got))
            return OP_FAILED;
        if (block * BLOCK + got > shadow->lower_end)
            got = shadow->lower_end - block * BLOCK;
    }
    memset(to + got, 0, BLOCK - got);
    return OP_OK;
}

static int write_block(struct op *op, struct shadow *shadow, uint64_t block, const uint8_t *from)
{
    if (2 * (shadow->used + 1) > shadow->size && grow(op, shadow))
        return OP_FAILED;
    struct place *place = find(shadow, block);
    uint64_t slot = place->block ? place->slot : shadow->slots;
    if (os_write(op, shadow->changes, slot * BLOCK, from, BLOCK))
        return OP_FAILED;
    if (!place->block) {
        *place = (struct place){block + 1, slot};
        shadow->used++;
        shadow->slots++;
    }
    return OP_OK;
}

/* ---- the methods of the open file ------------------------------------------------------------------ */

static struct shadow *shadow_of(struct os_file *file)
{
    return ((struct shadow_file *)file)->shadow;
}

static int shadow_read(struct op *op, struct os_file *file, uint64_t offset, void *buffer, size_t len, size_t *got)
{
    struct shadow *shadow = shadow_of(file);
    uint8_t block[BLOCK];
    int result = OP_OK;
    *got = 0;
    os_mutex_lock(&shadow->mutex);
    if (offset < shadow->end && len > shadow->end - offset)
        len = shadow->end - offset;
    while (result == OP_OK && offset < shadow->end && *got < len) {
        uint64_t at = offset + *got;
        size_t within = at % BLOCK, part = BLOCK - within < len - *got ? BLOCK - within : len - *got;
        result = read_block(op, shadow, at / BLOCK, block);
        if (result == OP_OK)
            memcpy((uint8_t *)buffer + *got, block + within, part);
        *got += part;
    }
    os_mutex_unlock(&shadow->mutex);
    return result;
}

static int shadow_write(struct op *op, struct os_file *file, uint64_t offset, const void *data, size_t len)
{
    struct shadow *shadow = shadow_of(file);
    uint8_t block[BLOCK];
    int result = os__check_range(op, offset, len, shadow->path);
    os_mutex_lock(&shadow->mutex);
    for (size_t done = 0; result == OP_OK && done < len;) {
        uint64_t at = offset + done;
        size_t within = at % BLOCK, part = BLOCK - within < len - done ? BLOCK - within : len - done;
        if (part < BLOCK)
            result = read_block(op, shadow, at / BLOCK, block);
        memcpy(block + within, (const uint8_t *)data + done, part);
        if (result == OP_OK)
            result = write_block(op, shadow, at / BLOCK, block);
        done += part;
        if (result == OP_OK && at + part > shadow->end)
            shadow->end = at + part;
    }
    os_mutex_unlock(&shadow->mutex);
    return result;
}

static int shadow_sync(struct op *op, struct os_file *file)
{
    return os_sync(op, shadow_of(file)->changes);
}

/* Blocks beyond the new end that were changed become zero; those that were not are hidden by lower_end. */
static int shadow_truncate(struct op *op, struct os_file *file, uint64_t size)
{
    struct shadow *shadow = shadow_of(file);
    static const uint8_t zeros[BLOCK];
    uint8_t block[BLOCK];
    int result = OP_OK;
    os_mutex_lock(&shadow->mutex);
    for (size_t i = 0; result == OP_OK && size < shadow->end && i < shadow->size; i++) {
        uint64_t at = (shadow->places[i].block - 1) * BLOCK;
        if (shadow->places[i].block == 0 || at + BLOCK <= size)
            continue;
        if (at >= size) {
            result = os_write(op, shadow->changes, shadow->places[i].slot * BLOCK, zeros, BLOCK);
        } else {
            result = read_block(op, shadow, at / BLOCK, block);
            memset(block + (size - at), 0, BLOCK - (size - at));
            if (result == OP_OK)
                result = os_write(op, shadow->changes, shadow->places[i].slot * BLOCK, block, BLOCK);
        }
    }
    if (result == OP_OK && size < shadow->lower_end)
        shadow->lower_end = size;
    if (result == OP_OK)
        shadow->end = size;
    os_mutex_unlock(&shadow->mutex);
    return result;
}

static int shadow_size(struct op *op, struct os_file *file, uint64_t *size)
{
    struct shadow *shadow = shadow_of(file);
    os_mutex_lock(&shadow->mutex);
    *size = shadow->end;
    os_mutex_unlock(&shadow->mutex);
    return OP_OK;
}

static int shadow_lock(struct op *op, struct os_file *file, bool *taken)
{
    return os_lock(op, shadow_of(file)->lower, taken);
}

static int shadow_identity(struct op *op, struct os_file *file, uint64_t *device, uint64_t *inode)
{
    return os_identity(op, shadow_of(file)->lower, device, inode);
}

/* Most of what will be read still lies below. */
static void shadow_prefetch(struct os_file *file, uint64_t offset, uint64_t len)
{
    os_prefetch(shadow_of(file)->lower, offset, len);
}

static void shadow_close(struct os_file *file)
{
    mem_free(file);
}

static const struct os_file_methods file_methods = {
    .read = shadow_read,
    .write = shadow_write,
    .sync = shadow_sync,
    .truncate = shadow_truncate,
    .size = shadow_size,
    .lock = shadow_lock,
    .identity = shadow_identity,
    .prefetch = shadow_prefetch,
    .close = shadow_close,
};

/* ---- the disk ------------------------------------------------------------------------------------- */

static int disk_open(struct op *op, struct vfs *vfs, const char *path, int flags, struct os_file **file)
{
    struct shadow *shadow = (struct shadow *)vfs;
    if (strcmp(path, shadow->path) != 0)
        return os_open(op, shadow->upper, path, flags, file);
    struct shadow_file *opened = mem_calloc(1, sizeof *opened);
    if (!opened)
        return op_out_of_memory(op);
    opened->base = (struct os_file){&file_methods, vfs, shadow->path};
    opened->shadow = shadow;
    *file = &opened->base;
    return OP_OK;
}

static int disk_exists(struct op *op, struct vfs *vfs, const char *path, bool *exists)
{
    struct shadow *shadow = (struct shadow *)vfs;
    *exists = true;
    return strcmp(path, shadow->path) == 0 ? OP_OK : os_exists(op, shadow->upper, path, exists);
}

static int disk_remove(struct op *op, struct vfs *vfs, const char *path)
{
    struct shadow *shadow = (struct shadow *)vfs;
    if (strcmp(path, shadow->path) == 0)
        return op_fail(op, "0A000", "\"%s\" cannot be removed: it is only looked at", path);
    return os_remove(op, shadow->upper, path);
}

static int disk_rename(struct op *op, struct vfs *vfs, const char *from, const char *to, bool replace)
{
    struct shadow *shadow = (struct shadow *)vfs;
    if (strcmp(from, shadow->path) == 0 || strcmp(to, shadow->path) == 0)
        return op_fail(op, "0A000", "\"%s\" cannot be renamed: it is only looked at", shadow->path);
    return replace ? os_rename(op, shadow->upper, from, to) : os_rename_new(op, shadow->upper, from, to);
}

static int disk_list(struct op *op, struct vfs *vfs, const char *directory, int (*visit)(void *arg, struct op *op, const char *name),
                     void *arg)
{
    return os_list(op, ((struct shadow *)vfs)->upper, directory, visit, arg);
}

static void disk_destroy(struct vfs *vfs)
{
    struct shadow *shadow = (struct shadow *)vfs;
    struct op op;
    os_close(shadow->lower);
    os_close(shadow->changes);
    op_init(&op);
    if (shadow->changes && os_remove(&op, shadow->upper, shadow->changes_path))
        op_clear_error(&op);    /* it is nobody's */
    op_end(&op);
    os_mutex_destroy(&shadow->mutex);
    mem_free(shadow->places);
    mem_free(shadow->path);
    mem_free(shadow->changes_path);
    mem_free(shadow);
}

static const struct vfs_methods disk_methods = {
    .open = disk_open,
    .exists = disk_exists,
    .remove = disk_remove,
    .rename = disk_rename,
    .list = disk_list,
    .destroy = disk_destroy,
};

int os_shadow_new(struct op *op, struct vfs *lower, const char *path, struct vfs *upper, const char *changes_path, struct vfs **out)
{
    struct shadow *shadow = mem_calloc(1, sizeof *shadow);
    *out = NULL;
    if (!shadow)
        return op_out_of_memory(op);
    shadow->base = (struct vfs){&disk_methods, "shadow"};
    shadow->upper = upper;
    os_mutex_init(&shadow->mutex, RANK_OVERLAY);
    shadow->path = mem_strdup(path);
    shadow->changes_path = mem_strdup(changes_path);
    int result = shadow->path && shadow->changes_path ? OP_OK : op_out_of_memory(op);
    if (result || os_open(op, lower, path, OS_OPEN_READ_ONLY, &shadow->lower) ||
        os_size(op, shadow->lower, &shadow->lower_end) || os_remove(op, upper, changes_path) ||
        os_open(op, upper, changes_path, OS_OPEN_CREATE, &shadow->changes)) {
        disk_destroy(&shadow->base);
        return OP_FAILED;
    }
    shadow->end = shadow->lower_end;
    *out = &shadow->base;
    return OP_OK;
}

bool os_shadow_changed(struct vfs *vfs, uint64_t offset, uint64_t len)
{
    struct shadow *shadow = (struct shadow *)vfs;
    bool changed = false;
    os_mutex_lock(&shadow->mutex);
    for (uint64_t block = offset / BLOCK; !changed && block * BLOCK < offset + len; block++)
        changed = is_changed(shadow, block);
    os_mutex_unlock(&shadow->mutex);
    return changed;
}
