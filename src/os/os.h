/*
 * os.h -- everything that Isolde asks of the operating system: files, threads, waiting, time, randomness.
 *
 * Nothing above this folder calls open, pthread or clock functions itself.  That is what lets the tests cut
 * the power at any write, run out of disk, or schedule threads from a seed.
 */
#ifndef ISOLDE_OS_H
#define ISOLDE_OS_H

#include <pthread.h>

#include "src/base/op.h"
#include "src/base/rank.h"
#include "src/base/types.h"

/* ---- files ---------------------------------------------------------------------------------------- */

enum {
    OS_OPEN_CREATE = 1,     /* create when absent */
    OS_OPEN_EXCLUSIVE = 2,  /* with CREATE: fail (58P02) when present */
    OS_OPEN_READ_ONLY = 4,
};

struct vfs;
struct os_file;

struct vfs_methods {
    int (*open)(struct op *op, struct vfs *vfs, const char *path, int flags, struct os_file **file);
    int (*exists)(struct op *op, struct vfs *vfs, const char *path, bool *exists);
    int (*remove)(struct op *op, struct vfs *vfs, const char *path);    /* durable on return; absent is fine */
    /* Durable on return.  Without `replace` it fails (58P02) when there is a file `to`. */
    int (*rename)(struct op *op, struct vfs *vfs, const char *from, const char *to, bool replace);
    int (*list)(struct op *op, struct vfs *vfs, const char *directory, int (*visit)(void *arg, struct op *op, const char *name),
                void *arg);
    void (*destroy)(struct vfs *vfs);
};

struct vfs {
    const struct vfs_methods *methods;
    const char *name;       /* "unix", "memory", "overlay", "shadow", "fault" */
};

struct os_file_methods {
    int (*read)(struct op *op, struct os_file *file, uint64_t offset, void *buffer, size_t len, size_t *got);
    int (*write)(struct op *op, struct os_file *file, uint64_t offset, const void *data, size_t len);
    int (*sync)(struct op *op, struct os_file *file);
    int (*truncate)(struct op *op, struct os_file *file, uint64_t size);
    int (*size)(struct op *op, struct os_file *file, uint64_t *size);
    int (*lock)(struct op *op, struct os_file *file, bool *taken);
    int (*identity)(struct op *op, struct os_file *file, uint64_t *device, uint64_t *inode);
    void (*prefetch)(struct os_file *file, uint64_t offset, uint64_t len);      /* NULL: no use */
    void (*close)(struct os_file *file);
};

struct os_file {
    const struct os_file_methods *methods;
    struct vfs *vfs;
    const char *path;       /* for messages */
};

struct vfs *os_unix_vfs(void);      /* static; never destroyed */
/* A private disk in memory; files live until os_vfs_destroy.  NULL when memory is exhausted. */
struct vfs *os_memory_vfs_new(void) MUST_CHECK;
/* A disk that shows the files of another one, opened for reading only, and keeps all changes to itself, in memory.  `below` must
 * outlive it.  NULL when memory is exhausted. */
struct vfs *os_overlay_vfs_new(struct vfs *below) MUST_CHECK;
/* A disk that shows the file `path` of `lower`, which must exist, and keeps what is written to it in another file, on `upper`,
 * where all other files are too.  The lower file is opened for reading only, and locked as such. */
int os_shadow_new(struct op *op, struct vfs *lower, const char *path, struct vfs *upper, const char *changes_path,
                   struct vfs **shadow) MUST_CHECK;
/* Whether any block of these bytes was written. */
bool os_shadow_changed(struct vfs *shadow, uint64_t offset, uint64_t len);
void os_vfs_destroy(struct vfs *vfs);

/* Errors name the file.  ENOSPC and EDQUOT are 53100, ENOENT 58P01, EEXIST 58P02, EACCES 42501, ENOMEM
 * 53200, the rest 58030. */
int os_open(struct op *op, struct vfs *vfs, const char *path, int flags, struct os_file **file) MUST_CHECK;
int os_exists(struct op *op, struct vfs *vfs, const char *path, bool *exists) MUST_CHECK;
int os_remove(struct op *op, struct vfs *vfs, const char *path) MUST_CHECK;
int os_rename(struct op *op, struct vfs *vfs, const char *from, const char *to) MUST_CHECK;
/* The same, but never over a file that is there: 58P02. */
int os_rename_new(struct op *op, struct vfs *vfs, const char *from, const char *to) MUST_CHECK;
/* Calls visit for the name of each file of the directory, in no order; its failure ends the walk.  58P01 without such a directory. */
int os_list(struct op *op, struct vfs *vfs, const char *directory, int (*visit)(void *arg, struct op *op, const char *name),
            void *arg) MUST_CHECK;
/* Reads up to len bytes; *got is less only at the end of the file.  EINTR and short reads are dealt with inside. */
int os_read(struct op *op, struct os_file *file, uint64_t offset, void *buffer, size_t len, size_t *got) MUST_CHECK;
/* Writes all of it or fails (then any part may have been written).  Extends the file as needed. */
int os_write(struct op *op, struct os_file *file, uint64_t offset, const void *data, size_t len) MUST_CHECK;
/* Contents and size are durable on return (fdatasync).  A failure is final: the caller must never retry. */
int os_sync(struct op *op, struct os_file *file) MUST_CHECK;
int os_truncate(struct op *op, struct os_file *file, uint64_t size) MUST_CHECK;
int os_size(struct op *op, struct os_file *file, uint64_t *size) MUST_CHECK;
/* An exclusive advisory lock of the whole file, held until close; *taken is false when another opener has it.  On a
 * file opened read-only it is shared with others of that kind, where the disk is the machine's. */
int os_lock(struct op *op, struct os_file *file, bool *taken) MUST_CHECK;
/* What distinguishes this file from every other one of the same machine. */
int os_identity(struct op *op, struct os_file *file, uint64_t *device, uint64_t *inode) MUST_CHECK;
/* These bytes will be read soon: a hint, which waits for nothing. */
void os_prefetch(struct os_file *file, uint64_t offset, uint64_t len);
void os_close(struct os_file *file);    /* NULL is fine */

/* ---- threads and waiting -------------------------------------------------------------------------- */

struct os_thread;

int os_thread_start(struct op *op, void (*run)(void *arg), void *arg, const char *name, struct os_thread **thread)
    MUST_CHECK;
void os_thread_join(struct os_thread *thread);      /* waits and frees */

/* A mutex that knows its rank; debug builds check the order. */
struct os_mutex {
    pthread_mutex_t mutex;
    enum rank rank;
};
struct os_cond {
    pthread_cond_t cond;
};
void os_mutex_init(struct os_mutex *mutex, enum rank rank);
void os_mutex_destroy(struct os_mutex *mutex);
#ifdef ISOLDE_DEBUG
void os_mutex_lock_at(struct os_mutex *mutex, const char *file, int line);
bool os_mutex_try_lock_at(struct os_mutex *mutex, const char *file, int line) MUST_CHECK;
#define os_mutex_lock(mutex) os_mutex_lock_at((mutex), __FILE__, __LINE__)
#define os_mutex_try_lock(mutex) os_mutex_try_lock_at((mutex), __FILE__, __LINE__)
#else
void os_mutex_lock(struct os_mutex *mutex);
bool os_mutex_try_lock(struct os_mutex *mutex) MUST_CHECK;
#endif
void os_mutex_unlock(struct os_mutex *mutex);
void os_cond_init(struct os_cond *cond);
void os_cond_destroy(struct os_cond *cond);
/* Until woken (also spuriously) or until os_clock_ns() reaches deadline_ns (0: no deadline). False on timeout. */
bool os_cond_wait(struct os_cond *cond, struct os_mutex *mutex, uint64_t deadline_ns);
void os_cond_signal(struct os_cond *cond);
void os_cond_broadcast(struct os_cond *cond);

/* Sleep while *word == expected, until woken by os_wake_word or the deadline; may return spuriously. (futex) */
void os_wait_word(const _Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns);
void os_wake_word(const _Atomic uint32_t *word, int how_many);

void os_sleep_us(uint64_t microseconds);
void os_yield(void);
static inline void os_pause(void)       /* inside a spin loop */
{
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
}

/* ---- time, randomness, process -------------------------------------------------------------------- */

uint64_t os_clock_ns(void);         /* monotonic, nanoseconds, arbitrary origin */
int64_t os_wall_us(void);           /* microseconds since 1970-01-01 00:00 UTC */
void os_random(void *buffer, size_t len);
uint64_t os_pid(void);
void os_hostname(char *buffer, size_t size);

#endif
