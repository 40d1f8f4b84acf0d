/*
 * fault.c -- a disk for tests that loses power, fills up and fails, from a seed.
 *
 * A real disk keeps what was synced and may keep, or not, any 512-byte sector written since, in any order: the kernel
 * writes back when it likes, and a sector is all that the drive promises to write as a whole.  A test that pulls
 * the plug of a real machine sees a few of those outcomes in a week; here each is a matter of a seed.
 *
 * Every sector is held up to three times:
 *
 *     durable     what is on the platter for certain
 *     earlier     one of the contents written since the last sync and overwritten since, chosen at random
 *     written     what a read returns
 *
 * and of the size likewise.  A power cut picks one of them for each sector changed since the last sync.
 *
 * F1  A dirty sector is in its file's dirty list; a sector that is not dirty survives a cut as `durable`.
 * F2  Bytes beyond a file's written size are zero in `written`, those beyond its durable size in `durable`.
 * F3  A truncation survives as a whole or not at all: the blocks that it frees do not turn into zeros one by one.
 * F4  After a failed sync the kernel calls the pages clean, whether they reached the platter or not.  So each dirty
 *     sector is kept by the seed, or its new contents stay readable and are never made durable by a later sync.
 * F5  Creating, removing and renaming are durable when they return, as unix.c makes them; a cut comes before.
 * F6  Handles from before fault_power_on belong to a process that is dead: they can only be closed.
 *
 * The disk's own memory comes from malloc directly, so that a test that makes the N-th allocation fail counts those
 * of the engine only.
 */
#include "src/os/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/rng.h"
#include "src/os/os_int.h"

enum { SECTOR_BYTES = 512 };

struct sector {
    uint8_t durable[SECTOR_BYTES], earlier[SECTOR_BYTES], written[SECTOR_BYTES];
    uint32_t overwritten;       /* contents lost to later ones since the last sync; 0: `earlier` means nothing */
    bool dirty;
};

struct fault_data {
    struct fault_data *next;
    char *path;                 /* NULL once removed */
    struct fault_file *owner;   /* the opener that has the lock, or NULL */
    int openers;
    uint64_t inode;
    uint64_t durable_size, earlier_size, written_size;
    uint64_t low_size;          /* the least size since the last sync */
    struct sector **sectors;    /* NULL where nothing was ever written */
    size_t sector_count;        /* length of sectors[] */
    size_t *dirty;              /* numbers of sectors that are, or were, dirty */
    size_t dirty_count, dirty_room;
};

struct failure {
    uint64_t left;              /* calls until it fires; 0: never */
    int error;
    bool sticky, fired;
};

struct fault_vfs {
    struct vfs base;
    struct os_mutex mutex;      /* guards everything here and in every file */
    struct rng rng;
    struct fault_data *files;
    uint64_t last_inode;
    uint64_t generation;        /* counts the lives between power cuts */
    uint64_t calls, cut_left, capacity;
    bool cut;
    void (*watch)(struct vfs *copy, void *arg);
    void *watch_arg;
    struct failure failures[FAULT_CALL_COUNT];
};

struct fault_file {
    struct os_file base;
    struct fault_data *data;
    uint64_t generation;
    bool read_only;
    char path[];
};

static struct fault_vfs *fault_vfs(struct vfs *vfs)
{
    return (struct fault_vfs *)vfs;
}

static struct fault_file *fault_file(struct os_file *file)
{
    return (struct fault_file *)file;
}

static void *must(void *block)
{
    if (!block)
        abort();
    return block;
}

static bool toss(struct fault_vfs *vfs)
{
    return rng_next(&vfs->rng) >> 63;
}

/* ---- sectors -------------------------------------------------------------------------------------- */

static struct sector *sector_at(struct fault_data *data, size_t index)
{
    size_t count = data->sector_count ? data->sector_count : 64;

    if (index >= data->sector_count) {
        while (count <= index)
            count *= 2;
        data->sectors = must(realloc(data->sectors, count * sizeof(struct sector *)));
        memset(data->sectors + data->sector_count, 0, (count - data->sector_count) * sizeof(struct sector *));
        data->sector_count = count;
    }
    if (!data->sectors[index])
        data->sectors[index] = must(calloc(1, sizeof(struct sector)));
    return data->sectors[index];
}

/* Before a sector's contents change: notes it as dirty, and sometimes keeps what it had (F1). */
static void make_dirty(struct fault_vfs *vfs, struct fault_data *data, size_t index)
{
    struct sector *sector = sector_at(data, index);

    if (sector->dirty) {
        if (rng_below(&vfs->rng, ++sector->overwritten) == 0)
            memcpy(sector->earlier, sector->written, SECTOR_BYTES);
        return;
    }
    if (data->dirty_count == data->dirty_room) {
        data->dirty_room = data->dirty_room ? 2 * data->dirty_room : 64;
        data->dirty = must(realloc(data->dirty, data->dirty_room * sizeof *data->dirty));
    }
    data->dirty[data->dirty_count++] = index;
    sector->dirty = true;
    sector->overwritten = 0;
}

/* Sizes from before the least one are forgotten: a cut that keeps the truncation cannot bring them back (F3). */
static void set_size(struct fault_vfs *vfs, struct fault_data *data, uint64_t size)
{
    if (size < data->low_size)
        data->low_size = data->earlier_size = size;
    else if (toss(vfs))
        data->earlier_size = data->written_size;
    data->written_size = size;
}

static void put(struct fault_vfs *vfs, struct fault_data *data, uint64_t offset, const uint8_t *from, size_t len)
{
    while (len > 0) {
        size_t index = (size_t)(offset / SECTOR_BYTES), start = (size_t)(offset % SECTOR_BYTES);
        size_t part = SECTOR_BYTES - start < len ? SECTOR_BYTES - start : len;

        make_dirty(vfs, data, index);
        memcpy(data->sectors[index]->written + start, from, part);
        from += part;
        offset += part;
        len -= part;
    }
    if (offset > data->written_size)
        set_size(vfs, data, offset);
}

static void get(const struct fault_data *data, uint64_t offset, uint8_t *to, size_t len)
{
    while (len > 0) {
        size_t index = (size_t)(offset / SECTOR_BYTES), start = (size_t)(offset % SECTOR_BYTES);
        size_t part = SECTOR_BYTES - start < len ? SECTOR_BYTES - start : len;

        if (index < data->sector_count && data->sectors[index])
            memcpy(to, data->sectors[index]->written + start, part);
        else
            memset(to, 0, part);
        to += part;
        offset += part;
        len -= part;
    }
}

/* Zeros in `durable` all that lies beyond size (F2). */
static void cut_durable(struct fault_data *data, uint64_t size)
{
    for (size_t i = (size_t)(size / SECTOR_BYTES); i < data->sector_count; i++) {
        size_t start = i == size / SECTOR_BYTES ? (size_t)(size % SECTOR_BYTES) : 0;

        if (data->sectors[i])
            memset(data->sectors[i]->durable + start, 0, SECTOR_BYTES - start);
    }
}

static void resize(struct fault_vfs *vfs, struct fault_data *data, uint64_t size)
{
    size_t first_gone = (size_t)((size + SECTOR_BYTES - 1) / SECTOR_BYTES);

    if (size == data->written_size)
        return;
    if (size < data->written_size && size % SECTOR_BYTES) {
        make_dirty(vfs, data, first_gone - 1);
        memset(data->sectors[first_gone - 1]->written + size % SECTOR_BYTES, 0, SECTOR_BYTES - size % SECTOR_BYTES);
    }
    for (size_t i = first_gone; size < data->written_size && i < data->sector_count; i++)
        if (data->sectors[i]) {
            memset(data->sectors[i]->written, 0, SECTOR_BYTES);
            data->sectors[i]->dirty = false;
        }
    set_size(vfs, data, size);
}

static void sync_all(struct fault_data *data)
{
    cut_durable(data, data->low_size);
    for (size_t i = 0; i < data->dirty_count; i++) {
        struct sector *sector = data->sectors[data->dirty[i]];

        if (sector->dirty)
            memcpy(sector->durable, sector->written, SECTOR_BYTES);
        sector->dirty = false;
    }
    data->dirty_count = 0;
    data->durable_size = data->earlier_size = data->low_size = data->written_size;
}

/* F4: the size is journalled, and stays for the next sync. */
static void sync_badly(struct fault_vfs *vfs, struct fault_data *data)
{
    for (size_t i = 0; i < data->dirty_count; i++) {
        struct sector *sector = data->sectors[data->dirty[i]];

        if (sector->dirty && toss(vfs))
            memcpy(sector->durable, sector->written, SECTOR_BYTES);
        sector->dirty = false;
    }
    data->dirty_count = 0;
    cut_durable(data, data->durable_size);
}

static void data_free(struct fault_data *data)
{
    for (size_t i = 0; i < data->sector_count; i++)
        free(data->sectors[i]);
    free(data->sectors);
    free(data->dirty);
    free(data->path);
    free(data);
}

static void *duplicate(const void *from, size_t size)
{
    return size ? memcpy(must(malloc(size)), from, size) : NULL;
}

static struct fault_data *copy_data(const struct fault_data *from)
{
    struct fault_data *data = duplicate(from, sizeof *data);

    data->owner = NULL;
    data->openers = 0;
    data->path = must(strdup(from->path));
    data->sectors = duplicate(from->sectors, from->sector_count * sizeof(struct sector *));
    for (size_t i = 0; i < from->sector_count; i++)
        if (from->sectors[i])
            data->sectors[i] = duplicate(from->sectors[i], sizeof(struct sector));
    data->dirty = duplicate(from->dirty, from->dirty_room * sizeof *from->dirty);
    return data;
}

/* The disk's mutex is held. */
static struct vfs *copy_disk(const struct fault_vfs *from)
{
    struct fault_vfs *copy = must(calloc(1, sizeof *copy));
    struct fault_data **link = &copy->files;

    copy->base = from->base;
    os_mutex_init(&copy->mutex, RANK_OS);
    copy->rng = from->rng;
    copy->last_inode = from->last_inode;
    copy->capacity = from->capacity;
    for (const struct fault_data *data = from->files; data; data = data->next) {
        *link = copy_data(data);
        link = &(*link)->next;
    }
    *link = NULL;
    return &copy->base;
}

/* ---- a call begins: the power, and failures on order ---------------------------------------------- */

static bool changes_the_disk(enum fault_call call)
{
    return call == FAULT_WRITE || call == FAULT_SYNC || call == FAULT_TRUNCATE || call == FAULT_REMOVE
        || call == FAULT_RENAME;
}

static int no_power(struct op *op, const char *path)
{
    return op_fail(op, "58030", "could not use file \"%s\": the power is cut", path);
}

/* The errno that this call is to fail with, or 0. */
static int failure_due(struct fault_vfs *vfs, enum fault_call call)
{
    struct failure *failure = &vfs->failures[call];

    if (failure->fired)
        return failure->sticky ? failure->error : 0;
    if (failure->left == 0 || --failure->left > 0)
        return 0;
    failure->fired = true;
    return failure->error;
}

/* Hands a copy to who watches.  The mutex is held, and given back meanwhile, so that the watcher may take its time. */
static void show(struct fault_vfs *vfs)
{
    void (*watch)(struct vfs *copy, void *arg) = vfs->watch;
    void *arg = vfs->watch_arg;
    struct vfs *copy;

    if (!watch)
        return;
    copy = copy_disk(vfs);
    os_mutex_unlock(&vfs->mutex);
    watch(copy, arg);
    os_mutex_lock(&vfs->mutex);
}

/* Takes the disk's mutex, which is held on success.  file: NULL for calls on names.  *error: 0, or the errno value
 * with which the call must fail after what it does by then. */
static int begin(struct op *op, struct fault_vfs *vfs, struct os_file *file, enum fault_call call, const char *path,
                 int *error)
{
    *error = 0;
    os_mutex_lock(&vfs->mutex);
    if (file && fault_file(file)->generation != vfs->generation) {
        os_mutex_unlock(&vfs->mutex);
        return op_fail(op, "58030", "could not use file \"%s\": it was opened before the power was cut", path);
    }
    if (!vfs->cut && changes_the_disk(call)) {
        show(vfs);
        vfs->calls++;
        if (vfs->cut_left && --vfs->cut_left == 0)
            vfs->cut = true;
    }
    if (vfs->cut) {
        os_mutex_unlock(&vfs->mutex);
        return no_power(op, path);
    }
    *error = failure_due(vfs, call);
    return OP_OK;
}

/* ---- the methods of an open file ------------------------------------------------------------------ */

static int fault_read(struct op *op, struct os_file *file, uint64_t offset, void *buffer, size_t len, size_t *got)
{
    struct fault_vfs *vfs = fault_vfs(file->vfs);
    struct fault_data *data = fault_file(file)->data;
    int error;

    if (begin(op, vfs, file, FAULT_READ, file->path, &error))
        return OP_FAILED;
    if (!error && offset < data->written_size) {
        *got = len < data->written_size - offset ? len : (size_t)(data->written_size - offset);
        get(data, offset, buffer, *got);
    }
    os_mutex_unlock(&vfs->mutex);
    return error ? os__fail(op, error, "read", file->path) : OP_OK;
}

/* How far the file whose size would become `size` may grow before the disk is full. */
static uint64_t size_allowed(struct fault_vfs *vfs, struct fault_data *data, uint64_t size)
{
    uint64_t others = 0, room;

    if (!vfs->capacity || size <= data->written_size)
        return size;
    for (struct fault_data *other = vfs->files; other; other = other->next)
        if (other != data)
            others += other->written_size;
    room = vfs->capacity > others ? vfs->capacity - others : 0;
    if (room < data->written_size)
        room = data->written_size;
    return size < room ? size : room;
}

static int fault_write(struct op *op, struct os_file *file, uint64_t offset, const void *from, size_t len)
{
    struct fault_vfs *vfs = fault_vfs(file->vfs);
    struct fault_data *data = fault_file(file)->data;
    uint64_t allowed;
    int error;

    if (begin(op, vfs, file, FAULT_WRITE, file->path, &error))
        return OP_FAILED;
    if (fault_file(file)->read_only) {
        error = EBADF;
        len = 0;
    } else if (error) {
        len = (size_t)rng_below(&vfs->rng, (uint64_t)len + 1);
    }
    allowed = size_allowed(vfs, data, offset + len);
    if (allowed < offset + len) {
        len = allowed > offset ? (size_t)(allowed - offset) : 0;
        error = ENOSPC;
    }
    if (len > 0)
        put(vfs, data, offset, from, len);
    os_mutex_unlock(&vfs->mutex);
    return error ? os__fail(op, error, "write", file->path) : OP_OK;
}

static int fault_sync(struct op *op, struct os_file *file)
{
    struct fault_vfs *vfs = fault_vfs(file->vfs);
    int error;

    if (begin(op, vfs, file, FAULT_SYNC, file->path, &error))
        return OP_FAILED;
    if (error)
        sync_badly(vfs, fault_file(file)->data);
    else
        sync_all(fault_file(file)->data);
    os_mutex_unlock(&vfs->mutex);
    return error ? os__fail(op, error, "sync", file->path) : OP_OK;
}

static int fault_truncate(struct op *op, struct os_file *file, uint64_t size)
{
    struct fault_vfs *vfs = fault_vfs(file->vfs);
    struct fault_data *data = fault_file(file)->data;
    int error;

    if (begin(op, vfs, file, FAULT_TRUNCATE, file->path, &error))
        return OP_FAILED;
    if (fault_file(file)->read_only)
        error = EBADF;
    else if (!error && size_allowed(vfs, data, size) < size)
        error = ENOSPC;
    if (!error)
        resize(vfs, data, size);
    os_mutex_unlock(&vfs->mutex);
    return error ? os__fail(op, error, "truncate", file->path) : OP_OK;
}

static int fault_size(struct op *op, struct os_file *file, uint64_t *size)
{
    struct fault_vfs *vfs = fault_vfs(file->vfs);
    int error;

    if (begin(op, vfs, file, FAULT_LOOK, file->path, &error))
        return OP_FAILED;
    *size = error ? 0 : fault_file(file)->data->written_size;
    os_mutex_unlock(&vfs->mutex);
    return error ? os__fail(op, error, "stat", file->path) : OP_OK;
}

static int fault_lock(struct op *op, struct os_file *file, bool *taken)
{
    struct fault_vfs *vfs = fault_vfs(file->vfs);
    struct fault_data *data = fault_file(file)->data;
    int error;

    if (begin(op, vfs, file, FAULT_LOCK, file->path, &error))
        return OP_FAILED;
    if (!error && !data->owner)
        data->owner = fault_file(file);
    *taken = !error && data->owner == fault_file(file);
    os_mutex_unlock(&vfs->mutex);
    return error ? os__fail(op, error, "lock", file->path) : OP_OK;
}

static int fault_identity(struct op *op, struct os_file *file, uint64_t *device, uint64_t *inode)
{
    *device = (uint64_t)(uintptr_t)file->vfs;
    *inode = fault_file(file)->data->inode;
    return OP_OK;
}

static void fault_close(struct os_file *file)
{
    struct fault_vfs *vfs = fault_vfs(file->vfs);
    struct fault_data *data = fault_file(file)->data;

    os_mutex_lock(&vfs->mutex);
    if (data->owner == fault_file(file))
        data->owner = NULL;
    if (--data->openers == 0 && !data->path)
        data_free(data);
    os_mutex_unlock(&vfs->mutex);
    free(file);
}

static const struct os_file_methods file_methods = {
    .read = fault_read,
    .write = fault_write,
    .sync = fault_sync,
    .truncate = fault_truncate,
    .size = fault_size,
    .lock = fault_lock,
    .identity = fault_identity,
    .close = fault_close,
};

/* ---- the directory -------------------------------------------------------------------------------- */

static struct fault_data **find(struct fault_vfs *vfs, const char *path)
{
    struct fault_data **link = &vfs->files;

    while (*link && strcmp((*link)->path, path) != 0)
        link = &(*link)->next;
    return link;
}

static void unlink_data(struct fault_data **link)
{
    struct fault_data *data = *link;

    *link = data->next;
    free(data->path);
    data->path = NULL;
    if (data->openers == 0)
        data_free(data);
}

static struct fault_data *create(struct fault_vfs *vfs, const char *path)
{
    struct fault_data *data = must(calloc(1, sizeof *data));

    data->path = must(strdup(path));
    data->inode = ++vfs->last_inode;
    data->next = vfs->files;
    vfs->files = data;
    return data;
}

static int fault_open(struct op *op, struct vfs *base, const char *path, int flags, struct os_file **file)
{
    struct fault_vfs *vfs = fault_vfs(base);
    struct fault_file *opened;
    struct fault_data *data;
    int error;

    if (begin(op, vfs, NULL, FAULT_OPEN, path, &error))
        return OP_FAILED;
    data = *find(vfs, path);
    if (!error && data && flags & OS_OPEN_CREATE && flags & OS_OPEN_EXCLUSIVE)
        error = EEXIST;
    else if (!error && !data && !(flags & OS_OPEN_CREATE))
        error = ENOENT;
    if (error) {
        os_mutex_unlock(&vfs->mutex);
        return os__fail(op, error, "open", path);
    }
    opened = must(calloc(1, sizeof *opened + strlen(path) + 1));
    memcpy(opened->path, path, strlen(path) + 1);
    opened->base = (struct os_file){&file_methods, base, opened->path};
    opened->data = data ? data : create(vfs, path);
    opened->data->openers++;
    opened->generation = vfs->generation;
    opened->read_only = flags & OS_OPEN_READ_ONLY;
    os_mutex_unlock(&vfs->mutex);
    *file = &opened->base;
    return OP_OK;
}

static int fault_exists(struct op *op, struct vfs *base, const char *path, bool *exists)
{
    struct fault_vfs *vfs = fault_vfs(base);
    int error;

    if (begin(op, vfs, NULL, FAULT_LOOK, path, &error))
        return OP_FAILED;
    *exists = !error && *find(vfs, path) != NULL;
    os_mutex_unlock(&vfs->mutex);
    return error ? os__fail(op, error, "look for", path) : OP_OK;
}

static int fault_remove(struct op *op, struct vfs *base, const char *path)
{
    struct fault_vfs *vfs = fault_vfs(base);
    struct fault_data **link;
    int error;

    if (begin(op, vfs, NULL, FAULT_REMOVE, path, &error))
        return OP_FAILED;
    link = find(vfs, path);
    if (!error && *link)
        unlink_data(link);
    os_mutex_unlock(&vfs->mutex);
    return error ? os__fail(op, error, "remove", path) : OP_OK;
}

static int fault_rename(struct op *op, struct vfs *base, const char *from, const char *to, bool replace)
{
    struct fault_vfs *vfs = fault_vfs(base);
    struct fault_data *data, **replaced;
    int error;

    if (begin(op, vfs, NULL, FAULT_RENAME, from, &error))
        return OP_FAILED;
    data = *find(vfs, from);
    if (!error && !data)
        error = ENOENT;
    if (!error && !replace && *find(vfs, to))
        error = EEXIST;
    if (!error && strcmp(from, to) != 0) {
        replaced = find(vfs, to);
        if (*replaced)
            unlink_data(replaced);
        free(data->path);
        data->path = must(strdup(to));
    }
    os_mutex_unlock(&vfs->mutex);
    return error ? os__fail(op, error, "rename", from) : OP_OK;
}

static int fault_list(struct op *op, struct vfs *base, const char *directory,
                      int (*visit)(void *arg, struct op *op, const char *name), void *arg)
{
    struct fault_vfs *vfs = fault_vfs(base);
    size_t len = strlen(directory);
    int error, result;

    if (begin(op, vfs, NULL, FAULT_LOOK, directory, &error))
        return OP_FAILED;
    result = error ? os__fail(op, error, "list", directory) : OP_OK;
    for (struct fault_data *data = vfs->files; data && result == OP_OK; data = data->next)
        if (strncmp(data->path, directory, len) == 0 && data->path[len] == '/' && !strchr(data->path + len + 1, '/'))
            result = visit(arg, op, data->path + len + 1);
    os_mutex_unlock(&vfs->mutex);
    return result;
}

static void fault_destroy(struct vfs *base)
{
    struct fault_vfs *vfs = fault_vfs(base);

    while (vfs->files)
        unlink_data(&vfs->files);
    os_mutex_destroy(&vfs->mutex);
    free(vfs);
}

static const struct vfs_methods fault_methods = {
    .open = fault_open,
    .exists = fault_exists,
    .remove = fault_remove,
    .rename = fault_rename,
    .list = fault_list,
    .destroy = fault_destroy,
};

/* ---- what a test asks for ------------------------------------------------------------------------- */

struct vfs *fault_vfs_new(uint64_t seed)
{
    struct fault_vfs *vfs = must(calloc(1, sizeof *vfs));

    vfs->base = (struct vfs){&fault_methods, "fault"};
    os_mutex_init(&vfs->mutex, RANK_OS);
    rng_seed(&vfs->rng, seed);
    return &vfs->base;
}

struct vfs *fault_copy(struct vfs *base)
{
    struct fault_vfs *vfs = fault_vfs(base);
    struct vfs *copy;

    os_mutex_lock(&vfs->mutex);
    copy = copy_disk(vfs);
    os_mutex_unlock(&vfs->mutex);
    return copy;
}

void fault_watch(struct vfs *base, void (*watch)(struct vfs *copy, void *arg), void *arg)
{
    struct fault_vfs *vfs = fault_vfs(base);

    os_mutex_lock(&vfs->mutex);
    vfs->watch = watch;
    vfs->watch_arg = arg;
    os_mutex_unlock(&vfs->mutex);
}

void fault_cut_at(struct vfs *base, uint64_t n)
{
    struct fault_vfs *vfs = fault_vfs(base);

    os_mutex_lock(&vfs->mutex);
    vfs->cut_left = n;
    os_mutex_unlock(&vfs->mutex);
}

bool fault_is_cut(struct vfs *base)
{
    struct fault_vfs *vfs = fault_vfs(base);
    bool cut;

    os_mutex_lock(&vfs->mutex);
    cut = vfs->cut;
    os_mutex_unlock(&vfs->mutex);
    return cut;
}

uint64_t fault_calls(struct vfs *base)
{
    struct fault_vfs *vfs = fault_vfs(base);
    uint64_t calls;

    os_mutex_lock(&vfs->mutex);
    calls = vfs->calls;
    os_mutex_unlock(&vfs->mutex);
    return calls;
}

/* Which contents of a dirty sector the platter has. */
static void settle_sector(struct fault_vfs *vfs, struct sector *sector, enum fault_loss loss)
{
    const uint8_t *kept = sector->durable;

    if (loss == FAULT_KEEP_ALL)
        kept = sector->written;
    else if (loss == FAULT_KEEP_RANDOM && toss(vfs))
        kept = sector->overwritten && rng_below(&vfs->rng, 4) == 0 ? sector->earlier : sector->written;
    if (kept != sector->durable)
        memcpy(sector->durable, kept, SECTOR_BYTES);
}

static uint64_t settle_size(struct fault_vfs *vfs, struct fault_data *data, enum fault_loss loss)
{
    uint64_t size = data->durable_size;

    if (loss == FAULT_KEEP_ALL)
        return data->written_size;
    if (loss == FAULT_LOSE_ALL)
        return size;
    if (data->low_size < size && toss(vfs)) {
        cut_durable(data, data->low_size);      /* F3 */
        size = data->low_size;
    }
    switch (rng_below(&vfs->rng, 3)) {
    case 0:
        return data->written_size > size ? data->written_size : size;
    case 1:
        return data->earlier_size > size ? data->earlier_size : size;
    default:
        return size;
    }
}

static void settle(struct fault_vfs *vfs, struct fault_data *data, enum fault_loss loss)
{
    uint64_t size = settle_size(vfs, data, loss);

    for (size_t i = 0; i < data->dirty_count; i++) {
        struct sector *sector = data->sectors[data->dirty[i]];

        if (sector->dirty)
            settle_sector(vfs, sector, loss);
        sector->dirty = false;
    }
    data->dirty_count = 0;
    cut_durable(data, size);
    for (size_t i = 0; i < data->sector_count; i++)
        if (data->sectors[i])
            memcpy(data->sectors[i]->written, data->sectors[i]->durable, SECTOR_BYTES);
    data->durable_size = data->earlier_size = data->written_size = data->low_size = size;
}

void fault_power_on(struct vfs *base, enum fault_loss loss, uint64_t seed)
{
    struct fault_vfs *vfs = fault_vfs(base);

    os_mutex_lock(&vfs->mutex);
    rng_seed(&vfs->rng, seed);
    for (struct fault_data *data = vfs->files; data; data = data->next) {
        data->owner = NULL;
        if (loss != FAULT_KILL)
            settle(vfs, data, loss);
    }
    vfs->generation++;
    vfs->cut = false;
    vfs->cut_left = 0;
    vfs->calls = 0;
    memset(vfs->failures, 0, sizeof vfs->failures);
    os_mutex_unlock(&vfs->mutex);
}

void fault_fail_at(struct vfs *base, enum fault_call call, uint64_t n, int error, bool sticky)
{
    struct fault_vfs *vfs = fault_vfs(base);

    os_mutex_lock(&vfs->mutex);
    vfs->failures[call] = (struct failure){.left = n, .error = error, .sticky = sticky};
    os_mutex_unlock(&vfs->mutex);
}

void fault_capacity(struct vfs *base, uint64_t bytes)
{
    struct fault_vfs *vfs = fault_vfs(base);

    os_mutex_lock(&vfs->mutex);
    vfs->capacity = bytes;
    os_mutex_unlock(&vfs->mutex);
}

int fault_flip_bit(struct op *op, struct vfs *base, const char *path, uint64_t offset, int bit)
{
    struct fault_vfs *vfs = fault_vfs(base);
    struct fault_data *data;
    struct sector *sector;
    int result = OP_OK;

    os_mutex_lock(&vfs->mutex);
    data = *find(vfs, path);
    if (!data) {
        result = os__fail(op, ENOENT, "flip a bit of", path);
    } else if (offset >= data->written_size) {
        result = op_fail(op, "22023", "could not flip a bit of file \"%s\": it ends before byte %llu", path,
                         (unsigned long long)offset);
    } else {
        sector = sector_at(data, (size_t)(offset / SECTOR_BYTES));
        sector->durable[offset % SECTOR_BYTES] ^= (uint8_t)(1 << bit);
        sector->earlier[offset % SECTOR_BYTES] ^= (uint8_t)(1 << bit);
        sector->written[offset % SECTOR_BYTES] ^= (uint8_t)(1 << bit);
    }
    os_mutex_unlock(&vfs->mutex);
    return result;
}
