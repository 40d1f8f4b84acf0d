/*
 * What unix.c does when the kernel is in a bad mood: calls that are interrupted, reads and writes that do a part of their work.
 *
 * The linker puts the functions below between unix.c and the C library (--wrap in Makefile.am).  Each fails now and then, by a
 * seed, in the way that POSIX allows; what must not be repeated (a sync) fails for good.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "src/base/rng.h"
#include "src/os/os.h"

enum call { READ, WRITE, TRUNCATE, OPEN, SYNC, DIRECTORY_SYNC, LOCK, RENAME, RENAME_NEW, UNLINK, STAT, CALLS };

static struct rng rng;
static int interrupts[CALLS], errors[CALLS];    /* one in so many calls is interrupted; errno of the next call; 0: none */
static bool partial;                            /* reads and writes do a part of their work */
static uint64_t interrupted, shortened, made[CALLS];

/* Whether the call fails, with errno set. */
static bool fails(enum call call)
{
    made[call]++;
    if (errors[call]) {
        errno = errors[call];
        errors[call] = 0;
        return true;
    }
    if (!interrupts[call] || rng_below(&rng, (uint64_t)interrupts[call]) != 0)
        return false;
    interrupted++;
    errno = EINTR;
    return true;
}

static size_t part_of(size_t len)
{
    if (!partial || len < 2 || rng_below(&rng, 3) == 0)
        return len;
    shortened++;
    return 1 + rng_below(&rng, len - 1);
}

ssize_t __real_pread(int fd, void *buffer, size_t len, off_t offset);
ssize_t __wrap_pread(int fd, void *buffer, size_t len, off_t offset);
ssize_t __wrap_pread(int fd, void *buffer, size_t len, off_t offset)
{
    return fails(READ) ? -1 : __real_pread(fd, buffer, part_of(len), offset);
}

ssize_t __real_pwrite(int fd, const void *data, size_t len, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t offset)
{
    return fails(WRITE) ? -1 : __real_pwrite(fd, data, part_of(len), offset);
}

int __real_ftruncate(int fd, off_t size);
int __wrap_ftruncate(int fd, off_t size);
int __wrap_ftruncate(int fd, off_t size)
{
    return fails(TRUNCATE) ? -1 : __real_ftruncate(fd, size);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    return fails(OPEN) ? -1 : __real_open(path, flags, 0666);
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
    return fails(SYNC) ? -1 : __real_fdatasync(fd);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    return fails(DIRECTORY_SYNC) ? -1 : __real_fsync(fd);
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, struct flock *lock);
int __wrap_fcntl(int fd, int command, struct flock *lock)
{
    return fails(LOCK) ? -1 : __real_fcntl(fd, command, lock);
}

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to)
{
    return fails(RENAME) ? -1 : __real_rename(from, to);
}

int __real_renameat2(int from_directory, const char *from, int to_directory, const char *to, unsigned flags);
int __wrap_renameat2(int from_directory, const char *from, int to_directory, const char *to, unsigned flags);
int __wrap_renameat2(int from_directory, const char *from, int to_directory, const char *to, unsigned flags)
{
    return fails(RENAME_NEW) ? -1 : __real_renameat2(from_directory, from, to_directory, to, flags);
}

int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __wrap_unlink(const char *path)
{
    return fails(UNLINK) ? -1 : __real_unlink(path);
}

int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st)
{
    return fails(STAT) ? -1 : __real_fstat(fd, st);
}

/* ---- the tests ------------------------------------------------------------------------------------ */

static struct op op;
static struct vfs *vfs;
static char directory[64], path[96], other[96];

static void be_kind(void)
{
    memset(interrupts, 0, sizeof interrupts);
    memset(errors, 0, sizeof errors);
    memset(made, 0, sizeof made);
    partial = false;
    interrupted = shortened = 0;
}

static int begin_test(void **state)
{
    (void)state;
    op_init(&op);
    be_kind();
    vfs = os_unix_vfs();
    snprintf(directory, sizeof directory, "/tmp/isolde-test-interrupts.XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/file", directory);
    snprintf(other, sizeof other, "%s/other", directory);
    return 0;
}

static int end_test(void **state)
{
    (void)state;
    be_kind();
    __real_unlink(path);
    __real_unlink(other);
    op_end(&op);
    return rmdir(directory);
}

static struct os_file *opened(void)
{
    struct os_file *file;

    assert_int_equal(os_open(&op, vfs, path, OS_OPEN_CREATE, &file), OP_OK);
    return file;
}

static void expect_failure(int result, const char *sqlstate, const char *word)
{
    assert_int_equal(result, OP_FAILED);
    assert_string_equal(op.error.sqlstate, sqlstate);
    assert_non_null(strstr(op.error.message, word));
    assert_non_null(strstr(op.error.message, directory));
    op_reset(&op);
}

static void interrupted_and_partial_reads_and_writes_are_completed(void **state)
{
    enum { SIZE = 50000, TURNS = 200 };
    static uint8_t model[SIZE], buffer[SIZE];
    struct os_file *file = opened();
    size_t got;

    (void)state;
    assert_int_equal(os_truncate(&op, file, SIZE), OP_OK);
    partial = true;
    interrupts[READ] = interrupts[WRITE] = 3;
    for (int turn = 0; turn < TURNS; turn++) {
        size_t at = rng_below(&rng, SIZE), len = rng_below(&rng, SIZE - at + 1);
        for (size_t i = at; i < at + len; i++)
            model[i] = (uint8_t)rng_next(&rng);
        assert_int_equal(os_write(&op, file, at, model + at, len), OP_OK);
        at = rng_below(&rng, SIZE);
        assert_int_equal(os_read(&op, file, at, buffer, SIZE, &got), OP_OK);
        assert_int_equal(got, SIZE - at);
        assert_memory_equal(buffer, model + at, got);
    }
    assert_true(interrupted > TURNS && shortened > TURNS);
    os_close(file);
}

static void interrupted_truncations_and_opens_are_repeated(void **state)
{
    struct os_file *file;
    uint64_t size;

    (void)state;
    interrupts[TRUNCATE] = interrupts[OPEN] = 2;
    for (uint64_t turn = 1; turn < 40; turn++) {
        assert_int_equal(os_open(&op, vfs, path, turn % 3 == 0 ? OS_OPEN_READ_ONLY : OS_OPEN_CREATE, &file), OP_OK);
        if (turn % 3 != 0) {
            assert_int_equal(os_truncate(&op, file, turn * 1000), OP_OK);
            assert_int_equal(os_size(&op, file, &size), OP_OK);
            assert_int_equal(size, turn * 1000);
        }
        os_close(file);
        if (turn % 7 == 0)
            assert_int_equal(os_remove(&op, vfs, path), OP_OK);
        if (turn % 7 == 0)
            os_close(opened());
    }
    assert_true(interrupted > 20);
}

/* The kernel may have forgotten by then what it could not write. */
static void a_sync_is_not_repeated_whatever_stopped_it(void **state)
{
    static const int reasons[] = {EINTR, EIO, ENOSPC};
    struct os_file *file = opened();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(reasons); i++) {
        made[SYNC] = 0;
        errors[SYNC] = reasons[i];
        expect_failure(os_sync(&op, file), reasons[i] == ENOSPC ? "53100" : "58030", "sync");
        assert_int_equal(made[SYNC], 1);
    }
    assert_int_equal(os_sync(&op, file), OP_OK);
    os_close(file);
}

static void an_error_after_a_part_was_done_is_reported(void **state)
{
    static const uint8_t bytes[3000];
    uint8_t buffer[3000];
    struct os_file *file = opened();
    size_t got;

    (void)state;
    assert_int_equal(os_write(&op, file, 0, bytes, sizeof bytes), OP_OK);
    errors[WRITE] = ENOSPC;
    expect_failure(os_write(&op, file, 0, bytes, sizeof bytes), "53100", "write");
    errors[WRITE] = EDQUOT;
    expect_failure(os_write(&op, file, 0, bytes, sizeof bytes), "53100", "write");
    errors[READ] = EIO;
    expect_failure(os_read(&op, file, 0, buffer, sizeof buffer, &got), "58030", "read");
    errors[TRUNCATE] = EIO;
    expect_failure(os_truncate(&op, file, 10), "58030", "truncate");
    os_close(file);
}

static void a_name_that_cannot_be_made_durable_is_an_error(void **state)
{
    struct os_file *file;

    (void)state;
    errors[DIRECTORY_SYNC] = EIO;
    expect_failure(os_open(&op, vfs, path, OS_OPEN_CREATE, &file), "58030", "directory");
    assert_null(file);
    os_close(opened());
    errors[DIRECTORY_SYNC] = EIO;
    expect_failure(os_rename(&op, vfs, path, other), "58030", "directory");
    assert_int_equal(os_rename(&op, vfs, other, path), OP_OK);
    errors[DIRECTORY_SYNC] = EIO;
    expect_failure(os_remove(&op, vfs, path), "58030", "directory");
    errors[DIRECTORY_SYNC] = EINVAL;    /* a file system that knows no such thing */
    os_close(opened());
    assert_int_equal(os_remove(&op, vfs, path), OP_OK);
}

static void names_and_locks_that_fail_say_so(void **state)
{
    struct os_file *file = opened();
    uint64_t size, device, inode;
    bool taken;

    (void)state;
    errors[RENAME] = EIO;
    expect_failure(os_rename(&op, vfs, path, other), "58030", "rename");
    errors[RENAME] = ENOSPC;
    expect_failure(os_rename(&op, vfs, path, other), "53100", "rename");
    errors[RENAME_NEW] = EIO;
    expect_failure(os_rename_new(&op, vfs, path, other), "58030", "rename");
    errors[UNLINK] = EACCES;
    expect_failure(os_remove(&op, vfs, path), "42501", "remove");
    errors[STAT] = EIO;
    expect_failure(os_size(&op, file, &size), "58030", "stat");
    errors[STAT] = EIO;
    expect_failure(os_identity(&op, file, &device, &inode), "58030", "stat");
    errors[LOCK] = ENOLCK;
    expect_failure(os_lock(&op, file, &taken), "58030", "lock");
    assert_false(taken);
    errors[LOCK] = EAGAIN;
    assert_int_equal(os_lock(&op, file, &taken), OP_OK);
    assert_false(taken);
    errors[LOCK] = EACCES;
    assert_int_equal(os_lock(&op, file, &taken), OP_OK);
    assert_false(taken);
    assert_int_equal(os_lock(&op, file, &taken), OP_OK);
    assert_true(taken);
    os_close(file);
    errors[STAT] = EIO;
    expect_failure(os_open(&op, vfs, path, 0, &file), "58030", "stat");
    errors[OPEN] = EMFILE;
    expect_failure(os_open(&op, vfs, path, 0, &file), "58030", "open");
}

/* Then an empty file reserves the name. */
static void a_file_system_without_exclusive_renaming_replaces_nothing_either(void **state)
{
    struct os_file *file;

    (void)state;
    os_close(opened());
    assert_int_equal(os_open(&op, vfs, other, OS_OPEN_CREATE, &file), OP_OK);
    os_close(file);
    errors[RENAME_NEW] = EINVAL;
    expect_failure(os_rename_new(&op, vfs, path, other), "58P02", "rename");
    assert_int_equal(os_remove(&op, vfs, other), OP_OK);
    errors[RENAME_NEW] = ENOSYS;
    assert_int_equal(os_rename_new(&op, vfs, path, other), OP_OK);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(access(other, F_OK), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_test, end_test)
    const struct CMUnitTest tests[] = {
        TEST(interrupted_and_partial_reads_and_writes_are_completed),
        TEST(interrupted_truncations_and_opens_are_repeated),
        TEST(a_sync_is_not_repeated_whatever_stopped_it),
        TEST(an_error_after_a_part_was_done_is_reported),
        TEST(a_name_that_cannot_be_made_durable_is_an_error),
        TEST(names_and_locks_that_fail_say_so),
        TEST(a_file_system_without_exclusive_renaming_replaces_nothing_either),
    };
    const char *text = getenv("SEED");
    uint64_t seed = text ? strtoull(text, NULL, 10) : 1;

    rng_seed(&rng, seed);
    int failures = cmocka_run_group_tests_name("interrupts", tests, NULL, NULL);
    printf("test_interrupts seed=%" PRIu64 " count=%zu failures=%d\n", seed, COUNT_OF(tests), failures);
    return failures != 0;
}
