/*
 * unix.c -- files of the machine.
 *
 * What is worth knowing about durability here:
 *
 *  - A file's contents are durable after fdatasync, which also writes a changed size.  Its name is durable only
 *    after a sync of the directory that holds it; so creating, removing and renaming sync that before they return.
 *    Some file systems have no such thing and say EINVAL; there is nothing better to be had on them.
 *  - After a failed sync the kernel may have dropped the changed pages and marked them clean, so that a second
 *    sync succeeds although the data is gone.  Hence no sync is repeated here, for whatever reason it failed.
 *  - The classic fcntl locks belong to the process and vanish when any descriptor of the file is closed anywhere in
 *    it.  Locks of the open file description (OFD) belong to the one os_file and also keep out a second opener in the
 *    same process.
 *
 * U1  Descriptors are closed on exec, and offsets are explicit (pread, pwrite): no state is shared between threads.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/mem.h"
#include "src/os/os.h"
#include "src/os/os_int.h"

struct unix_file {
    struct os_file base;
    int fd;
    bool read_only;
    char path[];
};

static struct unix_file *unix_file(struct os_file *file)
{
    return (struct unix_file *)file;
}

static int read_at(struct op *op, struct os_file *file, uint64_t offset, void *buffer, size_t len, size_t *got)
{
    while (*got < len) {
        ssize_t n = pread(unix_file(file)->fd, (char *)buffer + *got, len - *got, (off_t)(offset + *got));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return os__fail(op, errno, "read", file->path);
        if (n == 0)
            break;
        *got += (size_t)n;
    }
    return OP_OK;
}

static int write_at(struct op *op, struct os_file *file, uint64_t offset, const void *data, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = pwrite(unix_file(file)->fd, (const char *)data + done, len - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return os__fail(op, n < 0 ? errno : ENOSPC, "write", file->path);
        done += (size_t)n;
    }
    return OP_OK;
}

static int sync_file(struct op *op, struct os_file *file)
{
    if (fdatasync(unix_file(file)->fd) != 0)
        return os__fail(op, errno, "sync", file->path);
    return OP_OK;
}

static int truncate_file(struct op *op, struct os_file *file, uint64_t size)
{
    int result;

    do
        result = ftruncate(unix_file(file)->fd, (off_t)size);
    while (result != 0 && errno == EINTR);
    return result == 0 ? OP_OK : os__fail(op, errno, "truncate", file->path);
}

static int size_of(struct op *op, struct os_file *file, uint64_t *size)
{
    struct stat st;

    if (fstat(unix_file(file)->fd, &st) != 0)
        return os__fail(op, errno, "stat", file->path);
    *size = (uint64_t)st.st_size;
    return OP_OK;
}

/* A descriptor that cannot write may not hold an exclusive lock; a shared one keeps writers out all the same. */
static int lock_file(struct op *op, struct os_file *file, bool *taken)
{
    struct flock lock = {.l_type = unix_file(file)->read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};

    if (fcntl(unix_file(file)->fd, F_OFD_SETLK, &lock) == 0) {
        *taken = true;
        return OP_OK;
    }
    if (errno == EAGAIN || errno == EACCES)
        return OP_OK;
    return os__fail(op, errno, "lock", file->path);
}

static int identity_of(struct op *op, struct os_file *file, uint64_t *device, uint64_t *inode)
{
    struct stat st;

    if (fstat(unix_file(file)->fd, &st) != 0)
        return os__fail(op, errno, "stat", file->path);
    *device = (uint64_t)st.st_dev;
    *inode = (uint64_t)st.st_ino;
    return OP_OK;
}

static void close_file(struct os_file *file)
{
    close(unix_file(file)->fd);
    mem_free(file);
}

static void prefetch_file(struct os_file *file, uint64_t offset, uint64_t len)
{
    struct unix_file *unix_file = (struct unix_file *)file;

    (void)posix_fadvise(unix_file->fd, (off_t)offset, (off_t)len, POSIX_FADV_WILLNEED);
}

static const struct os_file_methods file_methods = {
    .read = read_at,
    .write = write_at,
    .sync = sync_file,
    .truncate = truncate_file,
    .size = size_of,
    .lock = lock_file,
    .identity = identity_of,
    .prefetch = prefetch_file,
    .close = close_file,
};

static int open_retrying(const char *path, int flags)
{
    int fd;

    do
        fd = open(path, flags, 0666);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* Makes the name of path, or its absence, durable. */
static int sync_directory(struct op *op, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory;
    int fd = -1, result = OP_FAILED;

    if (!slash)
        directory = mem_strdup(".");
    else if (slash == path)
        directory = mem_strdup("/");
    else if ((directory = mem_strdup(path)) != NULL)
        directory[slash - path] = '\0';
    if (!directory)
        return op_out_of_memory(op);

    fd = open_retrying(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL))
        result = os__fail(op, errno, "sync the directory of", path);
    else
        result = OP_OK;
    if (fd >= 0)
        close(fd);
    mem_free(directory);
    return result;
}

/* Opens; *created says whether this call made the file.  Returns the descriptor, or -1 with errno. */
static int open_or_create(const char *path, int flags, bool *created)
{
    /* O_NONBLOCK changes nothing for a file, and keeps a pipe under that name from blocking us. */
    int mode = (flags & OS_OPEN_READ_ONLY ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK;
    int fd = -1;

    *created = false;
    if (!(flags & OS_OPEN_CREATE) || !(flags & OS_OPEN_EXCLUSIVE)) {
        fd = open_retrying(path, mode);
        if (fd >= 0 || errno != ENOENT || !(flags & OS_OPEN_CREATE))
            return fd;
    }
    fd = open_retrying(path, mode | O_CREAT | O_EXCL);
    if (fd >= 0)
        *created = true;
    else if (errno == EEXIST && !(flags & OS_OPEN_EXCLUSIVE))
        fd = open_retrying(path, mode);     /* another process was faster */
    return fd;
}

static int check_kind(struct op *op, int fd, const char *path)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return os__fail(op, errno, "stat", path);
    if (!S_ISREG(st.st_mode))
        return op_fail(op, "58030", "could not open file \"%s\": it is not a regular file", path);
    return OP_OK;
}

static int unix_open(struct op *op, struct vfs *vfs, const char *path, int flags, struct os_file **file)
{
    size_t path_size = strlen(path) + 1;
    struct unix_file *opened = op_heap_alloc(op, sizeof *opened + path_size);
    bool created;

    if (!opened)
        return OP_FAILED;
    memcpy(opened->path, path, path_size);
    opened->base = (struct os_file){&file_methods, vfs, opened->path};
    opened->read_only = flags & OS_OPEN_READ_ONLY;
    opened->fd = open_or_create(path, flags, &created);
    if (opened->fd < 0) {
        int error = errno;

        mem_free(opened);
        return os__fail(op, error, "open", path);
    }
    if (check_kind(op, opened->fd, path) || (created && sync_directory(op, path))) {
        close_file(&opened->base);
        return OP_FAILED;
    }
    *file = &opened->base;
    return OP_OK;
}

static int unix_exists(struct op *op, struct vfs *vfs, const char *path, bool *exists)
{
    struct stat st;

    *exists = stat(path, &st) == 0;
    if (!*exists && errno != ENOENT && errno != ENOTDIR)
        return os__fail(op, errno, "look for", path);
    return OP_OK;
}

static int unix_remove(struct op *op, struct vfs *vfs, const char *path)
{
    if (unlink(path) != 0)
        return errno == ENOENT ? OP_OK : os__fail(op, errno, "remove", path);
    return sync_directory(op, path);
}

/* One step, where the file system can do that; else an empty file is made first, which reserves the name. */
static int rename_new(const char *from, const char *to)
{
    int fd;

    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    fd = open_retrying(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC);
    if (fd < 0)
        return -1;
    close(fd);
    return rename(from, to);
}

static int unix_rename(struct op *op, struct vfs *vfs, const char *from, const char *to, bool replace)
{
    if ((replace ? rename(from, to) : rename_new(from, to)) != 0)
        return os__fail(op, errno, "rename", errno == EEXIST ? to : from);
    return sync_directory(op, to) || sync_directory(op, from) ? OP_FAILED : OP_OK;
}

static int unix_list(struct op *op, struct vfs *vfs, const char *directory,
                     int (*visit)(void *arg, struct op *op, const char *name), void *arg)
{
    DIR *dir = opendir(directory);
    int result = dir ? OP_OK : os__fail(op, errno, "list", directory);

    while (result == OP_OK) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry) {
            result = errno ? os__fail(op, errno, "list", directory) : OP_OK;
            break;
        }
        if (entry->d_name[0] != '.')
            result = visit(arg, op, entry->d_name);
    }
    if (dir)
        closedir(dir);
    return result;
}

static void unix_destroy(struct vfs *vfs)
{
}

static const struct vfs_methods unix_methods = {
    .open = unix_open,
    .exists = unix_exists,
    .remove = unix_remove,
    .rename = unix_rename,
    .list = unix_list,
    .destroy = unix_destroy,
};

struct vfs *os_unix_vfs(void)
{
    static struct vfs unix_vfs = {&unix_methods, "unix"};

    return &unix_vfs;
}
