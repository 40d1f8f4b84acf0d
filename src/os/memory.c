/*
 * memory.c -- a private disk in memory, on which `:memory:` databases live.
 *
 * A file is an array of chunks, made when they are first written to; a chunk that was never written reads as zeros and
 * costs nothing.  The same engine runs on it, log and all; sync has nothing to do.
 *
 *     memory_vfs -> file -> file -> ...        by name
 *                    |
 *                    chunks[]: 64 KiB each, or NULL
 *
 * M1  memory_vfs.mutex guards the list of files, their names, their owners and their opener counts.
 * M2  memory_data.mutex guards one file's chunks and size.  It is held while bytes are copied, so that readers
 *     and writers of the same place see all or nothing of each other.
 * M3  A removed or replaced file lives on until its last opener has closed it, as on a real disk.
 */
#include <errno.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/os/os.h"
#include "src/os/os_int.h"

enum { CHUNK_BYTES = 64 * 1024 };

struct memory_data {
    struct memory_data *next;       /* M1 */
    char *path;                     /* M1; NULL once removed */
    struct memory_file *owner;      /* M1: the opener that has the lock, or NULL */
    int openers;                    /* M1 */
    uint64_t inode;                 /* constant */
    struct os_mutex mutex;
    uint64_t size;                  /* M2; bytes beyond it are zero in every chunk */
    uint8_t **chunks;               /* M2 */
    size_t chunk_count;             /* M2: length of chunks[] */
};

struct memory_vfs {
    struct vfs base;
    struct os_mutex mutex;
    struct memory_data *files;      /* M1 */
    uint64_t last_inode;            /* M1 */
};

struct memory_file {
    struct os_file base;
    struct memory_data *data;
    bool read_only;
    char path[];
};

static struct memory_vfs *memory_vfs(struct vfs *vfs)
{
    return (struct memory_vfs *)vfs;
}

static struct memory_file *memory_file(struct os_file *file)
{
    return (struct memory_file *)file;
}

static void data_free(struct memory_data *data)
{
    for (size_t i = 0; i < data->chunk_count; i++)
        mem_free(data->chunks[i]);
    mem_free(data->chunks);
    mem_free(data->path);
    os_mutex_destroy(&data->mutex);
    mem_free(data);
}

/* ---- contents: the file's mutex is held ---- */

static size_t part_len(uint64_t offset, size_t len)
{
    size_t room = CHUNK_BYTES - (size_t)(offset % CHUNK_BYTES);

    return len < room ? len : room;
}

static void copy_out(const struct memory_data *data, uint64_t offset, uint8_t *buffer, size_t len)
{
    while (len > 0) {
        size_t part = part_len(offset, len), index = (size_t)(offset / CHUNK_BYTES);
        const uint8_t *chunk = index < data->chunk_count ? data->chunks[index] : NULL;

        if (chunk)
            memcpy(buffer, chunk + offset % CHUNK_BYTES, part);
        else
            memset(buffer, 0, part);
        buffer += part;
        offset += part;
        len -= part;
    }
}

static bool make_room_for_chunk(struct memory_data *data, size_t index)
{
    size_t count = data->chunk_count ? data->chunk_count : 16;
    uint8_t **chunks;

    if (index < data->chunk_count)
        return true;
    while (count <= index)
        count *= 2;
    chunks = mem_realloc(data->chunks, count * sizeof *chunks);
    if (!chunks)
        return false;
    memset(chunks + data->chunk_count, 0, (count - data->chunk_count) * sizeof *chunks);
    data->chunks = chunks;
    data->chunk_count = count;
    return true;
}

static bool copy_in(struct memory_data *data, uint64_t offset, const uint8_t *from, size_t len)
{
    while (len > 0) {
        size_t part = part_len(offset, len), index = (size_t)(offset / CHUNK_BYTES);

        if (!make_room_for_chunk(data, index))
            return false;
        if (!data->chunks[index] && !(data->chunks[index] = mem_calloc(1, CHUNK_BYTES)))
            return false;
        memcpy(data->chunks[index] + offset % CHUNK_BYTES, from, part);
        from += part;
        offset += part;
        len -= part;
        if (offset > data->size)
            data->size = offset;
    }
    return true;
}

static void shrink(struct memory_data *data, uint64_t size)
{
    size_t keep = (size_t)((size + CHUNK_BYTES - 1) / CHUNK_BYTES);

    for (size_t i = keep; i < data->chunk_count; i++) {
        mem_free(data->chunks[i]);
        data->chunks[i] = NULL;
    }
    if (size % CHUNK_BYTES && keep <= data->chunk_count && data->chunks[keep - 1])
        memset(data->chunks[keep - 1] + size % CHUNK_BYTES, 0, CHUNK_BYTES - size % CHUNK_BYTES);
}

/* ---- the methods of an open file ---- */

static int memory_read(struct op *op, struct os_file *file, uint64_t offset, void *buffer, size_t len, size_t *got)
{
    struct memory_data *data = memory_file(file)->data;

    os_mutex_lock(&data->mutex);
    if (offset < data->size) {
        *got = len < data->size - offset ? len : (size_t)(data->size - offset);
        copy_out(data, offset, buffer, *got);
    }
    os_mutex_unlock(&data->mutex);
    return OP_OK;
}

static int memory_write(struct op *op, struct os_file *file, uint64_t offset, const void *from, size_t len)
{
    struct memory_data *data = memory_file(file)->data;
    bool done;

    if (memory_file(file)->read_only)
        return os__fail(op, EBADF, "write", file->path);
    os_mutex_lock(&data->mutex);
    done = copy_in(data, offset, from, len);
    os_mutex_unlock(&data->mutex);
    return done ? OP_OK : op_out_of_memory(op);
}

static int memory_sync(struct op *op, struct os_file *file)
{
    return OP_OK;
}

static int memory_truncate(struct op *op, struct os_file *file, uint64_t size)
{
    struct memory_data *data = memory_file(file)->data;

    if (memory_file(file)->read_only)
        return os__fail(op, EBADF, "truncate", file->path);
    os_mutex_lock(&data->mutex);
    if (size < data->size)
        shrink(data, size);
    data->size = size;
    os_mutex_unlock(&data->mutex);
    return OP_OK;
}

static int memory_size(struct op *op, struct os_file *file, uint64_t *size)
{
    struct memory_data *data = memory_file(file)->data;

    os_mutex_lock(&data->mutex);
    *size = data->size;
    os_mutex_unlock(&data->mutex);
    return OP_OK;
}

static int memory_lock(struct op *op, struct os_file *file, bool *taken)
{
    struct memory_vfs *vfs = memory_vfs(file->vfs);
    struct memory_data *data = memory_file(file)->data;

    os_mutex_lock(&vfs->mutex);
    if (!data->owner)
        data->owner = memory_file(file);
    *taken = data->owner == memory_file(file);
    os_mutex_unlock(&vfs->mutex);
    return OP_OK;
}

/* The address of the disk stands for the device: no two that exist at once share it. */
static int memory_identity(struct op *op, struct os_file *file, uint64_t *device, uint64_t *inode)
{
    *device = (uint64_t)(uintptr_t)file->vfs;
    *inode = memory_file(file)->data->inode;
    return OP_OK;
}

static void memory_close(struct os_file *file)
{
    struct memory_vfs *vfs = memory_vfs(file->vfs);
    struct memory_data *data = memory_file(file)->data;
    bool last;

    os_mutex_lock(&vfs->mutex);
    if (data->owner == memory_file(file))
        data->owner = NULL;
    last = --data->openers == 0 && !data->path;
    os_mutex_unlock(&vfs->mutex);
    if (last)
        data_free(data);
    mem_free(file);
}

static const struct os_file_methods file_methods = {
    .read = memory_read,
    .write = memory_write,
    .sync = memory_sync,
    .truncate = memory_truncate,
    .size = memory_size,
    .lock = memory_lock,
    .identity = memory_identity,
    .close = memory_close,
};

/* ---- the directory: the disk's mutex is held ---- */

static struct memory_data **find(struct memory_vfs *vfs, const char *path)
{
    struct memory_data **link = &vfs->files;

    while (*link && strcmp((*link)->path, path) != 0)
        link = &(*link)->next;
    return link;
}

/* Takes the file at link off the list; it is freed now, or by its last opener. */
static void unlink_data(struct memory_data **link)
{
    struct memory_data *data = *link;

    *link = data->next;
    mem_free(data->path);
    data->path = NULL;
    if (data->openers == 0)
        data_free(data);
}

static struct memory_data *create(struct memory_vfs *vfs, const char *path)
{
    struct memory_data *data = mem_calloc(1, sizeof *data);

    if (!data)
        return NULL;
    data->path = mem_strdup(path);
    if (!data->path) {
        mem_free(data);
        return NULL;
    }
    os_mutex_init(&data->mutex, RANK_OS);
    data->inode = ++vfs->last_inode;
    data->next = vfs->files;
    vfs->files = data;
    return data;
}

static int find_or_create(struct op *op, struct memory_vfs *vfs, const char *path, int flags,
                          struct memory_data **found)
{
    struct memory_data *data = *find(vfs, path);

    if (data && flags & OS_OPEN_CREATE && flags & OS_OPEN_EXCLUSIVE)
        return os__fail(op, EEXIST, "open", path);
    if (!data && !(flags & OS_OPEN_CREATE))
        return os__fail(op, ENOENT, "open", path);
    if (!data && !(data = create(vfs, path)))
        return op_out_of_memory(op);
    data->openers++;
    *found = data;
    return OP_OK;
}

static int memory_open(struct op *op, struct vfs *base, const char *path, int flags, struct os_file **file)
{
    struct memory_vfs *vfs = memory_vfs(base);
    size_t path_size = strlen(path) + 1;
    struct memory_file *opened = op_heap_alloc(op, sizeof *opened + path_size);
    int result;

    if (!opened)
        return OP_FAILED;
    memcpy(opened->path, path, path_size);
    opened->base = (struct os_file){&file_methods, base, opened->path};
    opened->read_only = flags & OS_OPEN_READ_ONLY;
    os_mutex_lock(&vfs->mutex);
    result = find_or_create(op, vfs, path, flags, &opened->data);
    os_mutex_unlock(&vfs->mutex);
    if (result) {
        mem_free(opened);
        return result;
    }
    *file = &opened->base;
    return OP_OK;
}

static int memory_exists(struct op *op, struct vfs *base, const char *path, bool *exists)
{
    struct memory_vfs *vfs = memory_vfs(base);

    os_mutex_lock(&vfs->mutex);
    *exists = *find(vfs, path) != NULL;
    os_mutex_unlock(&vfs->mutex);
    return OP_OK;
}

static int memory_remove(struct op *op, struct vfs *base, const char *path)
{
    struct memory_vfs *vfs = memory_vfs(base);
    struct memory_data **link;

    os_mutex_lock(&vfs->mutex);
    link = find(vfs, path);
    if (*link)
        unlink_data(link);
    os_mutex_unlock(&vfs->mutex);
    return OP_OK;
}

static int memory_rename(struct op *op, struct vfs *base, const char *from, const char *to, bool replace)
{
    struct memory_vfs *vfs = memory_vfs(base);
    struct memory_data *data, **replaced;
    char *name = mem_strdup(to);
    int result = OP_OK;

    if (!name)
        return op_out_of_memory(op);
    os_mutex_lock(&vfs->mutex);
    data = *find(vfs, from);
    if (!data) {
        result = os__fail(op, ENOENT, "rename", from);
    } else if (!replace && *find(vfs, to)) {
        result = os__fail(op, EEXIST, "rename", from);
    } else if (strcmp(from, to) != 0) {
        replaced = find(vfs, to);
        if (*replaced)
            unlink_data(replaced);
        mem_free(data->path);
        data->path = name;
        name = NULL;
    }
    os_mutex_unlock(&vfs->mutex);
    mem_free(name);
    return result;
}

/* A name with the directory before it lies in the directory.  The visitor must not use the disk. */
static int memory_list(struct op *op, struct vfs *base, const char *directory,
                       int (*visit)(void *arg, struct op *op, const char *name), void *arg)
{
    struct memory_vfs *vfs = memory_vfs(base);
    size_t len = strlen(directory);
    int result = OP_OK;

    os_mutex_lock(&vfs->mutex);
    for (struct memory_data *data = vfs->files; data && result == OP_OK; data = data->next)
        if (strncmp(data->path, directory, len) == 0 && data->path[len] == '/' && !strchr(data->path + len + 1, '/'))
            result = visit(arg, op, data->path + len + 1);
    os_mutex_unlock(&vfs->mutex);
    return result;
}

static void memory_destroy(struct vfs *base)
{
    struct memory_vfs *vfs = memory_vfs(base);

    while (vfs->files)
        unlink_data(&vfs->files);
    os_mutex_destroy(&vfs->mutex);
    mem_free(vfs);
}

static const struct vfs_methods memory_methods = {
    .open = memory_open,
    .exists = memory_exists,
    .remove = memory_remove,
    .rename = memory_rename,
    .list = memory_list,
    .destroy = memory_destroy,
};

struct vfs *os_memory_vfs_new(void)
{
    struct memory_vfs *vfs = mem_calloc(1, sizeof *vfs);

    if (!vfs)
        return NULL;
    vfs->base = (struct vfs){&memory_methods, "memory"};
    os_mutex_init(&vfs->mutex, RANK_OS);
    return &vfs->base;
}
