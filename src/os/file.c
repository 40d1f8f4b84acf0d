/*
 * file.c -- the calls on files, passed on to whichever disk they live on.
 *
 * A vfs is a disk: the machine's (unix.c), one in memory (memory.c), or one that fails on purpose (fault.c).  Each
 * fills two tables of functions.  What is common to all of them stands here: the meaning of the system's error
 * numbers, and the bounds of offsets.
 */
#include "src/os/os.h"

#include <errno.h>
#include <string.h>

#include "src/base/planted.h"
#include "src/os/os_int.h"

static const char *sqlstate_of(int error)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT:
        return "53100";
    case ENOENT:
        return "58P01";
    case EEXIST:
        return "58P02";
    case EACCES:
        return "42501";
    case ENOMEM:
        return "53200";
    default:
        return "58030";
    }
}

int os__fail(struct op *op, int error, const char *action, const char *path)
{
    char buffer[128];
    const char *reason = strerror_r(error, buffer, sizeof buffer);

    return op_fail(op, sqlstate_of(error), "could not %s file \"%s\": %s", action, path, reason);
}

int os__check_range(struct op *op, uint64_t offset, size_t len, const char *path)
{
    if (offset > INT64_MAX || len > INT64_MAX - offset)
        return os__fail(op, EFBIG, "reach so far into", path);
    return OP_OK;
}

void os_vfs_destroy(struct vfs *vfs)
{
    if (vfs)
        vfs->methods->destroy(vfs);
}

int os_open(struct op *op, struct vfs *vfs, const char *path, int flags, struct os_file **file)
{
    *file = NULL;
    return vfs->methods->open(op, vfs, path, flags, file);
}

int os_exists(struct op *op, struct vfs *vfs, const char *path, bool *exists)
{
    *exists = false;
    return vfs->methods->exists(op, vfs, path, exists);
}

int os_remove(struct op *op, struct vfs *vfs, const char *path)
{
    return vfs->methods->remove(op, vfs, path);
}

int os_rename(struct op *op, struct vfs *vfs, const char *from, const char *to)
{
    return vfs->methods->rename(op, vfs, from, to, true);
}

int os_rename_new(struct op *op, struct vfs *vfs, const char *from, const char *to)
{
    return vfs->methods->rename(op, vfs, from, to, false);
}

int os_list(struct op *op, struct vfs *vfs, const char *directory, int (*visit)(void *arg, struct op *op, const char *name), void *arg)
{
    return vfs->methods->list(op, vfs, directory, visit, arg);
}

int os_read(struct op *op, struct os_file *file, uint64_t offset, void *buffer, size_t len, size_t *got)
{
    *got = 0;
    if (os__check_range(op, offset, len, file->path))
        return OP_FAILED;
    return file->methods->read(op, file, offset, buffer, len, got);
}

int os_write(struct op *op, struct os_file *file, uint64_t offset, const void *data, size_t len)
{
    if (os__check_range(op, offset, len, file->path))
        return OP_FAILED;
    return file->methods->write(op, file, offset, data, len);
}

int os_sync(struct op *op, struct os_file *file)
{
    if (PLANTED("os-sync-skipped"))
        return OP_OK;
    if (PLANTED("os-sync-retried") && file->methods->sync(op, file)) {
        op_clear_error(op);
        return file->methods->sync(op, file);
    }
    return file->methods->sync(op, file);
}

int os_truncate(struct op *op, struct os_file *file, uint64_t size)
{
    if (os__check_range(op, size, 0, file->path))
        return OP_FAILED;
    return file->methods->truncate(op, file, size);
}

int os_size(struct op *op, struct os_file *file, uint64_t *size)
{
    *size = 0;
    return file->methods->size(op, file, size);
}

int os_lock(struct op *op, struct os_file *file, bool *taken)
{
    *taken = false;
    return file->methods->lock(op, file, taken);
}

int os_identity(struct op *op, struct os_file *file, uint64_t *device, uint64_t *inode)
{
    *device = *inode = 0;
    return file->methods->identity(op, file, device, inode);
}

void os_prefetch(struct os_file *file, uint64_t offset, uint64_t len)
{
    if (file->methods->prefetch && offset <= INT64_MAX && len <= INT64_MAX - offset)
        file->methods->prefetch(file, offset, len);
}

void os_close(struct os_file *file)
{
    if (file)
        file->methods->close(file);
}
