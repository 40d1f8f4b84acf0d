/* What only the machine's disk does: other processes, odd files, limits; and allocation failures on every disk. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "src/base/mem.h"
#include "src/os/os.h"

static struct op op;
static char directory[64], path[96];

static int begin_test(void **state)
{
    op_init(&op);
    snprintf(directory, sizeof directory, "/tmp/isolde-test-unix.XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/file", directory);
    return 0;
}

static int end_test(void **state)
{
    unlink(path);
    op_end(&op);
    return rmdir(directory);
}

static struct os_file *opened(const char *name, int flags)
{
    struct os_file *file;

    assert_int_equal(os_open(&op, os_unix_vfs(), name, flags, &file), OP_OK);
    return file;
}

/* Runs in a process of its own; its exit status. */
static int in_child(int (*act)(void))
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(act());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int try_the_lock(void)
{
    struct os_file *file;
    bool taken;

    if (os_open(&op, os_unix_vfs(), path, 0, &file) || os_lock(&op, file, &taken))
        return 9;
    return taken;
}

static void the_lock_keeps_out_another_process(void **state)
{
    struct os_file *file = opened(path, OS_OPEN_CREATE);
    bool taken;

    assert_int_equal(os_lock(&op, file, &taken), OP_OK);
    assert_true(taken);
    assert_int_equal(in_child(try_the_lock), 0);
    os_close(file);
    assert_int_equal(in_child(try_the_lock), 1);
}

static int write_beyond_the_limit(void)
{
    struct rlimit limit = {1000, 1000};
    struct os_file *file;
    char bytes[4000] = {0};
    uint64_t size;

    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    if (os_open(&op, os_unix_vfs(), path, OS_OPEN_CREATE, &file)
        || os_write(&op, file, 0, bytes, sizeof bytes) == OP_OK)
        return 1;
    if (strcmp(op.error.sqlstate, "58030") != 0 || !strstr(op.error.message, path))
        return 2;
    return os_size(&op, file, &size) || size != 1000 ? 3 : 0;
}

static void a_short_write_goes_on_and_reports_why_it_cannot(void **state)
{
    assert_int_equal(in_child(write_beyond_the_limit), 0);
}

static void a_directory_and_a_pipe_are_not_taken_for_files(void **state)
{
    struct os_file *file;

    assert_int_equal(os_open(&op, os_unix_vfs(), directory, 0, &file), OP_FAILED);
    assert_string_equal(op.error.sqlstate, "58030");
    op_reset(&op);
    assert_int_equal(os_open(&op, os_unix_vfs(), directory, OS_OPEN_READ_ONLY, &file), OP_FAILED);
    op_reset(&op);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(os_open(&op, os_unix_vfs(), path, OS_OPEN_READ_ONLY, &file), OP_FAILED);
    assert_non_null(strstr(op.error.message, "regular"));
    assert_null(file);
}

static void a_missing_directory_says_58P01(void **state)
{
    struct os_file *file;
    char name[128];
    bool exists;

    snprintf(name, sizeof name, "%s/none/file", directory);
    assert_int_equal(os_open(&op, os_unix_vfs(), name, OS_OPEN_CREATE, &file), OP_FAILED);
    assert_string_equal(op.error.sqlstate, "58P01");
    op_reset(&op);
    assert_int_equal(os_exists(&op, os_unix_vfs(), name, &exists), OP_OK);
    assert_false(exists);
    assert_int_equal(os_remove(&op, os_unix_vfs(), name), OP_OK);
}

static void removing_a_directory_is_refused(void **state)
{
    assert_int_equal(os_remove(&op, os_unix_vfs(), directory), OP_FAILED);
    assert_non_null(strstr(op.error.message, directory));
}

static void names_without_a_directory_are_of_the_working_one(void **state)
{
    char before[4096];
    struct os_file *file;

    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(directory), 0);
    file = opened("file", OS_OPEN_CREATE);
    assert_int_equal(os_write(&op, file, 0, "x", 1), OP_OK);
    os_close(file);
    assert_int_equal(os_rename(&op, os_unix_vfs(), "file", "other"), OP_OK);
    assert_int_equal(os_remove(&op, os_unix_vfs(), "other"), OP_OK);
    assert_int_equal(chdir(before), 0);
    assert_int_equal(access(path, F_OK), -1);
}

static int open_as_nobody(void)
{
    struct os_file *file;

    if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
        return 9;
    if (os_open(&op, os_unix_vfs(), path, 0, &file) == OP_OK)
        return 1;
    return strcmp(op.error.sqlstate, "42501") == 0 ? 0 : 2;
}

static void a_file_of_another_user_says_42501(void **state)
{
    os_close(opened(path, OS_OPEN_CREATE));
    assert_int_equal(chmod(path, 0), 0);
    assert_int_equal(chmod(directory, 0755), 0);
    assert_int_equal(in_child(open_as_nobody), 0);
}

static int exercise(struct vfs *vfs)
{
    struct os_file *file = NULL;
    static const char bytes[200000];
    char other[128];
    int result;

    snprintf(other, sizeof other, "%s2", path);
    result = os_open(&op, vfs, path, OS_OPEN_CREATE, &file) || os_write(&op, file, 0, bytes, sizeof bytes)
        || os_sync(&op, file) || os_rename(&op, vfs, path, other) || os_remove(&op, vfs, other);
    os_close(file);
    return result;
}

/* Exhausted memory at the n-th allocation, for every n: 53200, nothing leaked, and the next try succeeds. */
static void exhaust_at_every_allocation(struct vfs *vfs)
{
    int failures = 0;

    for (uint64_t n = 1; n < 1000; n++) {
        int result;
        uint64_t made;

        (void)mem_fail_at(n);
        result = exercise(vfs);
        made = mem_fail_at(0);
        if (result == OP_OK) {
            assert_true(made < n);
            break;
        }
        failures++;
        assert_string_equal(op.error.sqlstate, "53200");
        op_reset(&op);
        assert_int_equal(exercise(vfs), OP_OK);
    }
    assert_true(failures > 2);
}

static void the_machines_disk_survives_every_failed_allocation(void **state)
{
    char other[128];

    exhaust_at_every_allocation(os_unix_vfs());
    snprintf(other, sizeof other, "%s2", path);
    unlink(other);
}

static void the_disk_in_memory_survives_every_failed_allocation(void **state)
{
    struct vfs *vfs;

    (void)mem_fail_at(1);
    vfs = os_memory_vfs_new();
    (void)mem_fail_at(0);
    assert_null(vfs);
    vfs = os_memory_vfs_new();
    assert_non_null(vfs);
    exhaust_at_every_allocation(vfs);
    os_vfs_destroy(vfs);
    os_vfs_destroy(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_test, end_test)
    const struct CMUnitTest tests[] = {
        TEST(the_lock_keeps_out_another_process),
        TEST(a_short_write_goes_on_and_reports_why_it_cannot),
        TEST(a_directory_and_a_pipe_are_not_taken_for_files),
        TEST(a_missing_directory_says_58P01),
        TEST(removing_a_directory_is_refused),
        TEST(names_without_a_directory_are_of_the_working_one),
        TEST(a_file_of_another_user_says_42501),
        TEST(the_machines_disk_survives_every_failed_allocation),
        TEST(the_disk_in_memory_survives_every_failed_allocation),
    };

    return cmocka_run_group_tests_name("unix", tests, NULL, NULL);
}
