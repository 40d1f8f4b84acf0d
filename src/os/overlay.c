/*
 * overlay.c -- a disk that shows the files of another one and keeps every change to itself.
 *
 * A database that is only to be looked at must not change by that: its disk may be read-only, it may be evidence.  But one that was
 * not closed cleanly has to be restarted before it can be read.  So restart writes, as always, and what it
 * writes stays in memory:
 *
 *      read     a block that was written comes from memory, any other from the file below
 *      write    the block is copied up first, unless it is written whole
 *
 *      file      | 0 | 1 | 2 | 3 | 4 |         of the disk below, opened for reading only
 *      blocks[]    .   x   .   .   x   x       4 KiB each, NULL: unchanged
 *
 * V1  The disk below is never written to.
 * V2  overlay_vfs.mutex guards the list of files; overlay_data.mutex one file's blocks and sizes.
 * V3  What lies beyond `below_size` is never read from below: the file was shorter once.
 *
 * Zeros written to where nothing is cost nothing, so files that are preallocated stay small.
 */
#include <errno.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/os/os.h"
#include "src/os/os_int.h"

enum { BLOCK_BYTES = 4096 };

struct overlay_data {
    struct overlay_data *next;
    char *path;                     /* V2: the list's mutex */
    bool removed;                   /* V2: the same */
    struct overlay_file *owner;     /* V2: the same; the opener that has the lock */
    struct os_file *below;          /* NULL: there is none */
    struct os_mutex mutex;
    uint64_t size, below_size;
    uint8_t **blocks;
    size_t block_count;
};

struct overlay_vfs {
    struct vfs base;
    struct vfs *below;
    struct os_mutex mutex;
    struct overlay_data *files;
};

struct overlay_file {
    struct os_file base;
    struct overlay_data *data;
    bool read_only;
    char path[];
};

static struct overlay_vfs *overlay_vfs(struct vfs *vfs)
{
    return (struct overlay_vfs *)vfs;
}

static struct overlay_data *data_of(struct os_file *file)
{
    return ((struct overlay_file *)file)->data;
}

/* ---- contents: the file's mutex is held ----------------------------------------------------------- */

static uint8_t *block_at(const struct overlay_data *data, uint64_t offset)
{
    size_t index = (size_t)(offset / BLOCK_BYTES);
    return index < data->block_count ? data->blocks[index] : NULL;
}

/* Bytes of one block as they are now. */
static int read_part(struct op *op, struct overlay_data *data, uint64_t offset, uint8_t *to, size_t len)
{
    const uint8_t *block = block_at(data, offset);
    size_t got = 0, wanted = 0;

    if (block) {
        memcpy(to, block + offset % BLOCK_BYTES, len);
        return OP_OK;
    }
    if (data->below && offset < data->below_size)
        wanted = len < data->below_size - offset ? len : (size_t)(data->below_size - offset);
    if (wanted > 0 && os_read(op, data->below, offset, to, wanted, &got) != OP_OK)
        return OP_FAILED;
    memset(to + got, 0, len - got);
    return OP_OK;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

static int make_room(struct op *op, struct overlay_data *data, size_t index)
{
    size_t count = data->block_count ? data->block_count : 64;
    uint8_t **blocks;

    if (index < data->block_count)
        return OP_OK;
    while (count <= index)
        count *= 2;
    blocks = mem_realloc(data->blocks, count * sizeof *blocks);
    if (!blocks)
        return op_out_of_memory(op);
    memset(blocks + data->block_count, 0, (count - data->block_count) * sizeof *blocks);
    data->blocks = blocks;
    data->block_count = count;
    return OP_OK;
}

static int write_part(struct op *op, struct overlay_data *data, uint64_t offset, const uint8_t *from, size_t len)
{
    size_t index = (size_t)(offset / BLOCK_BYTES);
    uint8_t *block = block_at(data, offset);

    if (!block && offset - offset % BLOCK_BYTES >= data->below_size && is_zero(from, len))
        return OP_OK;
    if (!block) {
        if (make_room(op, data, index) != OP_OK || !(block = op_heap_alloc(op, BLOCK_BYTES)))
            return OP_FAILED;
        if (read_part(op, data, (uint64_t)index * BLOCK_BYTES, block, BLOCK_BYTES) != OP_OK) {
            mem_free(block);
            return OP_FAILED;
        }
        data->blocks[index] = block;
    }
    memcpy(block + offset % BLOCK_BYTES, from, len);
    return OP_OK;
}

static size_t part_len(uint64_t offset, size_t len)
{
    size_t room = BLOCK_BYTES - (size_t)(offset % BLOCK_BYTES);
    return len < room ? len : room;
}

/* What lies behind the new end must be zeros when the file grows again. */
static int cut(struct op *op, struct overlay_data *data, uint64_t size)
{
    static const uint8_t zeros[BLOCK_BYTES];
    size_t keep = (size_t)((size + BLOCK_BYTES - 1) / BLOCK_BYTES);

    if (size % BLOCK_BYTES != 0 && write_part(op, data, size, zeros, part_len(size, BLOCK_BYTES)) != OP_OK)
        return OP_FAILED;
    for (size_t i = keep; i < data->block_count; i++) {
        mem_free(data->blocks[i]);
        data->blocks[i] = NULL;
    }
    if (data->below_size > size)
        data->below_size = size;
    return OP_OK;
}

/* ---- files ---------------------------------------------------------------------------------------- */

static int overlay_read(struct op *op, struct os_file *file, uint64_t offset, void *buffer, size_t len, size_t *got)
{
    struct overlay_data *data = data_of(file);
    int result = OP_OK;

    os_mutex_lock(&data->mutex);
    if (offset >= data->size)
        len = 0;
    else if (len > data->size - offset)
        len = (size_t)(data->size - offset);
    while (result == OP_OK && *got < len) {
        size_t part = part_len(offset + *got, len - *got);
        result = read_part(op, data, offset + *got, (uint8_t *)buffer + *got, part);
        *got += part;
    }
    os_mutex_unlock(&data->mutex);
    return result;
}

static int overlay_write(struct op *op, struct os_file *file, uint64_t offset, const void *from, size_t len)
{
    struct overlay_data *data = data_of(file);
    int result = OP_OK;
    size_t done = 0;

    if (((struct overlay_file *)file)->read_only)
        return os__fail(op, EBADF, "write", file->path);

    os_mutex_lock(&data->mutex);
    while (result == OP_OK && done < len) {
        size_t part = part_len(offset + done, len - done);
        result = write_part(op, data, offset + done, (const uint8_t *)from + done, part);
        done += part;
    }
    if (result == OP_OK && len > 0 && offset + len > data->size)
        data->size = offset + len;
    os_mutex_unlock(&data->mutex);
    return result;
}

static int overlay_sync(struct op *op, struct os_file *file)
{
    return OP_OK;
}

static int overlay_truncate(struct op *op, struct os_file *file, uint64_t size)
{
    struct overlay_data *data = data_of(file);

    if (((struct overlay_file *)file)->read_only)
        return os__fail(op, EBADF, "truncate", file->path);
    os_mutex_lock(&data->mutex);
    int result = size < data->size ? cut(op, data, size) : OP_OK;
    if (result == OP_OK)
        data->size = size;
    os_mutex_unlock(&data->mutex);
    return result;
}

static int overlay_size(struct op *op, struct os_file *file, uint64_t *size)
{
    struct overlay_data *data = data_of(file);

    os_mutex_lock(&data->mutex);
    *size = data->size;
    os_mutex_unlock(&data->mutex);
    return OP_OK;
}

/* The lock of the file below too, shared with other readers: it keeps writers out. */
static int overlay_lock(struct op *op, struct os_file *file, bool *taken)
{
    struct overlay_data *data = data_of(file);
    struct overlay_vfs *vfs = overlay_vfs(file->vfs);
    int result = OP_OK;

    os_mutex_lock(&vfs->mutex);
    *taken = !data->owner || data->owner == (struct overlay_file *)file;
    if (*taken && data->below)
        result = os_lock(op, data->below, taken);
    if (result == OP_OK && *taken)
        data->owner = (struct overlay_file *)file;
    os_mutex_unlock(&vfs->mutex);
    return result;
}

static int overlay_identity(struct op *op, struct os_file *file, uint64_t *device, uint64_t *inode)
{
    struct overlay_data *data = data_of(file);

    *device = 0;
    *inode = (uint64_t)(uintptr_t)data;
    return data->below ? os_identity(op, data->below, device, inode) : OP_OK;
}

static void overlay_close(struct os_file *file)
{
    struct overlay_data *data = data_of(file);
    struct overlay_vfs *vfs = overlay_vfs(file->vfs);

    os_mutex_lock(&vfs->mutex);
    if (data->owner == (struct overlay_file *)file)
        data->owner = NULL;
    os_mutex_unlock(&vfs->mutex);
    mem_free(file);
}

static const struct os_file_methods file_methods = {
    .read = overlay_read,
    .write = overlay_write,
    .sync = overlay_sync,
    .truncate = overlay_truncate,
    .size = overlay_size,
    .lock = overlay_lock,
    .identity = overlay_identity,
    .close = overlay_close,
};

/* ---- the disk: its mutex is held ------------------------------------------------------------------ */

/* The newest of this name, removed or not. */
static struct overlay_data *find(struct overlay_vfs *vfs, const char *path)
{
    struct overlay_data *data = vfs->files;

    while (data && strcmp(data->path, path) != 0)
        data = data->next;
    return data;
}

static void data_free(struct overlay_data *data)
{
    for (size_t i = 0; i < data->block_count; i++)
        mem_free(data->blocks[i]);
    mem_free(data->blocks);
    mem_free(data->path);
    os_close(data->below);
    os_mutex_destroy(&data->mutex);
    mem_free(data);
}

static int data_new(struct op *op, struct overlay_vfs *vfs, const char *path, struct os_file *below, struct overlay_data **out)
{
    struct overlay_data *data = mem_calloc(1, sizeof *data);

    *out = NULL;
    if (!data)
        return op_out_of_memory(op);
    os_mutex_init(&data->mutex, RANK_OVERLAY);
    data->path = mem_strdup(path);
    if (!data->path || (below && os_size(op, below, &data->below_size) != OP_OK)) {
        data_free(data);
        return op_failed(op) ? OP_FAILED : op_out_of_memory(op);
    }
    data->below = below;
    data->size = data->below_size;
    data->next = vfs->files;
    vfs->files = data;
    *out = data;
    return OP_OK;
}

/* Is there such a file, here or below? */
static int look_up(struct op *op, struct overlay_vfs *vfs, const char *path, struct overlay_data **data, bool *exists)
{
    *data = find(vfs, path);
    *exists = *data && !(*data)->removed;
    return *data ? OP_OK : os_exists(op, vfs->below, path, exists);
}

static int open_data(struct op *op, struct overlay_vfs *vfs, const char *path, int flags, struct overlay_data **data)
{
    struct os_file *below = NULL;
    bool exists;

    if (look_up(op, vfs, path, data, &exists) != OP_OK)
        return OP_FAILED;
    if (!exists && !(flags & OS_OPEN_CREATE))
        return os__fail(op, ENOENT, "open", path);
    if (exists && (flags & OS_OPEN_CREATE) && (flags & OS_OPEN_EXCLUSIVE))
        return os__fail(op, EEXIST, "open", path);
    if (exists && *data)
        return OP_OK;
    if (exists && os_open(op, vfs->below, path, OS_OPEN_READ_ONLY, &below) != OP_OK)
        return OP_FAILED;
    if (data_new(op, vfs, path, below, data) == OP_OK)
        return OP_OK;
    os_close(below);
    return OP_FAILED;
}

static int overlay_open(struct op *op, struct vfs *base, const char *path, int flags, struct os_file **out)
{
    struct overlay_vfs *vfs = overlay_vfs(base);
    size_t path_size = strlen(path) + 1;
    struct overlay_file *file = op_heap_alloc(op, sizeof *file + path_size);
    struct overlay_data *data = NULL;

    if (!file)
        return OP_FAILED;
    os_mutex_lock(&vfs->mutex);
    int result = open_data(op, vfs, path, flags, &data);
    os_mutex_unlock(&vfs->mutex);
    if (result != OP_OK) {
        mem_free(file);
        return OP_FAILED;
    }
    memcpy(file->path, path, path_size);
    file->base = (struct os_file){&file_methods, base, file->path};
    file->data = data;
    file->read_only = flags & OS_OPEN_READ_ONLY;
    *out = &file->base;
    return OP_OK;
}

static int overlay_exists(struct op *op, struct vfs *base, const char *path, bool *exists)
{
    struct overlay_vfs *vfs = overlay_vfs(base);
    struct overlay_data *data;

    os_mutex_lock(&vfs->mutex);
    int result = look_up(op, vfs, path, &data, exists);
    os_mutex_unlock(&vfs->mutex);
    return result;
}

/* From now on there is no file of this name; what had it lives on for its openers. */
static int hide(struct op *op, struct overlay_vfs *vfs, const char *path)
{
    struct overlay_data *data;

    if (data_new(op, vfs, path, NULL, &data) != OP_OK)
        return OP_FAILED;
    data->removed = true;
    return OP_OK;
}

static int overlay_remove(struct op *op, struct vfs *base, const char *path)
{
    struct overlay_vfs *vfs = overlay_vfs(base);
    struct overlay_data *data;
    bool exists;

    os_mutex_lock(&vfs->mutex);
    int result = look_up(op, vfs, path, &data, &exists);
    if (result == OP_OK && exists)
        result = hide(op, vfs, path);
    os_mutex_unlock(&vfs->mutex);
    return result;
}

/* The file goes to the front of the list under its new name: there it is found before what had that name. */
static int move(struct op *op, struct overlay_vfs *vfs, const char *from, const char *to)
{
    struct overlay_data *data, **link = &vfs->files;
    char *path;

    if (open_data(op, vfs, from, 0, &data) != OP_OK)
        return OP_FAILED;
    if (strcmp(from, to) == 0)
        return OP_OK;
    if (!(path = mem_strdup(to)))
        return op_out_of_memory(op);
    if (hide(op, vfs, from) != OP_OK) {
        mem_free(path);
        return OP_FAILED;
    }
    while (*link != data)
        link = &(*link)->next;
    *link = data->next;
    data->next = vfs->files;
    vfs->files = data;
    mem_free(data->path);
    data->path = path;
    return OP_OK;
}

static int overlay_rename(struct op *op, struct vfs *base, const char *from, const char *to, bool replace)
{
    struct overlay_vfs *vfs = overlay_vfs(base);
    bool taken = false;

    if (!replace && overlay_exists(op, base, to, &taken) != OP_OK)
        return OP_FAILED;
    if (taken)
        return os__fail(op, EEXIST, "rename", to);
    os_mutex_lock(&vfs->mutex);
    int result = move(op, vfs, from, to);
    os_mutex_unlock(&vfs->mutex);
    return result;
}

/* Files that are only in memory are not among them: those belong to databases, and directories are looked at for archives. */
static int overlay_list(struct op *op, struct vfs *base, const char *directory,
                        int (*visit)(void *arg, struct op *op, const char *name), void *arg)
{
    return os_list(op, overlay_vfs(base)->below, directory, visit, arg);
}

static void overlay_destroy(struct vfs *base)
{
    struct overlay_vfs *vfs = overlay_vfs(base);

    while (vfs->files) {
        struct overlay_data *data = vfs->files;
        vfs->files = data->next;
        data_free(data);
    }
    os_mutex_destroy(&vfs->mutex);
    mem_free(vfs);
}

static const struct vfs_methods vfs_methods = {
    .open = overlay_open,
    .exists = overlay_exists,
    .remove = overlay_remove,
    .rename = overlay_rename,
    .list = overlay_list,
    .destroy = overlay_destroy,
};

struct vfs *os_overlay_vfs_new(struct vfs *below)
{
    struct overlay_vfs *vfs = mem_calloc(1, sizeof *vfs);

    if (!vfs)
        return NULL;
    vfs->base = (struct vfs){&vfs_methods, "overlay"};
    vfs->below = below;
    os_mutex_init(&vfs->mutex, RANK_OVERLAY);
    return &vfs->base;
}
