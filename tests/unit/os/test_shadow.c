/*
 * The two disks that show another one and keep changes to themselves, against a model: random writes, truncations and reads; what
 * lies below is never changed.  And lists of files, on every disk.  SEED= and COUNT= choose the run.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/base/rng.h"
#include "src/os/fault.h"
#include "src/os/os.h"

enum { BELOW = 300000, MOST = 700000, LONGEST = 30000 };

static struct op op;
static struct rng rng;
static struct vfs *lower;
static uint8_t below[BELOW], model[MOST], buffer[MOST];
static size_t size;
static uint64_t seed, count;

static struct os_file *opened(struct vfs *vfs, const char *path, int flags)
{
    struct os_file *file;

    assert_int_equal(os_open(&op, vfs, path, flags, &file), OP_OK);
    return file;
}

static int begin_test(void **state)
{
    (void)state;
    op_init(&op);
    lower = os_memory_vfs_new();
    for (size_t i = 0; i < BELOW; i++)
        below[i] = (uint8_t)rng_next(&rng);
    struct os_file *file = opened(lower, "db", OS_OPEN_CREATE);
    assert_int_equal(os_write(&op, file, 0, below, BELOW), OP_OK);
    os_close(file);
    memset(model, 0, sizeof model);
    memcpy(model, below, BELOW);
    size = BELOW;
    return 0;
}

static int end_test(void **state)
{
    (void)state;
    struct os_file *file = opened(lower, "db", OS_OPEN_READ_ONLY);
    size_t got;
    assert_int_equal(os_read(&op, file, 0, buffer, sizeof buffer, &got), OP_OK);
    assert_int_equal(got, BELOW);
    assert_memory_equal(buffer, below, BELOW);
    os_close(file);
    os_vfs_destroy(lower);
    op_end(&op);
    return 0;
}

static void write_somewhere(struct os_file *file)
{
    size_t at = rng_below(&rng, MOST - LONGEST), len = 1 + rng_below(&rng, LONGEST);

    for (size_t i = at; i < at + len; i++)
        model[i] = (uint8_t)rng_next(&rng);
    assert_int_equal(os_write(&op, file, at, model + at, len), OP_OK);
    size = at + len > size ? at + len : size;
}

static void truncate_somewhere(struct os_file *file)
{
    size_t to = rng_below(&rng, MOST);

    assert_int_equal(os_truncate(&op, file, to), OP_OK);
    if (to < size)
        memset(model + to, 0, size - to);
    size = to;
}

static void read_somewhere(struct os_file *file)
{
    size_t at = rng_below(&rng, MOST), len = 1 + rng_below(&rng, LONGEST), got, expected;
    uint64_t found;

    expected = at >= size ? 0 : size - at < len ? size - at : len;
    assert_int_equal(os_read(&op, file, at, buffer, len, &got), OP_OK);
    assert_int_equal(got, expected);
    if (got > 0)
        assert_memory_equal(buffer, model + at, got);
    assert_int_equal(os_size(&op, file, &found), OP_OK);
    assert_int_equal(found, size);
}

static void live(struct vfs *vfs)
{
    struct os_file *file = opened(vfs, "db", 0);

    for (uint64_t i = 0; i < count; i++) {
        uint64_t dice = rng_below(&rng, 10);
        if (dice == 0)
            truncate_somewhere(file);
        else if (dice < 4)
            write_somewhere(file);
        else
            read_somewhere(file);
        if (i % 50 == 0)
            assert_int_equal(os_sync(&op, file), OP_OK);
    }
    os_close(file);
    file = opened(vfs, "db", 0);
    read_somewhere(file);
    os_close(file);
}

static void an_overlay_shows_what_was_written_and_else_what_lies_below(void **state)
{
    struct vfs *vfs = os_overlay_vfs_new(lower);

    (void)state;
    live(vfs);
    os_vfs_destroy(vfs);
}

static void a_shadow_shows_what_was_written_and_else_what_lies_below(void **state)
{
    struct vfs *vfs, *upper = os_memory_vfs_new();

    (void)state;
    assert_int_equal(os_shadow_new(&op, lower, "db", upper, "changes", &vfs), OP_OK);
    live(vfs);
    os_vfs_destroy(vfs);
    os_vfs_destroy(upper);
}

static void a_shadow_tells_what_was_written(void **state)
{
    struct vfs *vfs, *upper = os_memory_vfs_new();

    (void)state;
    assert_int_equal(os_shadow_new(&op, lower, "db", upper, "changes", &vfs), OP_OK);
    struct os_file *file = opened(vfs, "db", 0);
    assert_false(os_shadow_changed(vfs, 0, BELOW));
    assert_int_equal(os_write(&op, file, 200000, "x", 1), OP_OK);
    assert_true(os_shadow_changed(vfs, 200000, 1));
    assert_true(os_shadow_changed(vfs, 100000, 150000));
    assert_false(os_shadow_changed(vfs, 0, 100000));
    os_close(file);
    os_vfs_destroy(vfs);
    os_vfs_destroy(upper);
}

static void the_file_below_cannot_be_removed_or_renamed(void **state)
{
    struct vfs *vfs, *upper = os_memory_vfs_new();

    (void)state;
    assert_int_equal(os_shadow_new(&op, lower, "db", upper, "changes", &vfs), OP_OK);
    assert_int_equal(os_remove(&op, vfs, "db"), OP_FAILED);
    assert_string_equal(op.error.sqlstate, "0A000");
    op_reset(&op);
    assert_int_equal(os_rename(&op, vfs, "db", "other"), OP_FAILED);
    assert_string_equal(op.error.sqlstate, "0A000");
    op_reset(&op);
    os_close(opened(vfs, "beside", OS_OPEN_CREATE));
    assert_int_equal(os_rename(&op, vfs, "beside", "other"), OP_OK);
    bool there;
    assert_int_equal(os_exists(&op, upper, "other", &there), OP_OK);
    assert_true(there);
    os_vfs_destroy(vfs);
    assert_int_equal(os_shadow_new(&op, lower, "none", upper, "changes2", &vfs), OP_FAILED);
    op_reset(&op);
    os_vfs_destroy(upper);
}

/* ---- lists ---------------------------------------------------------------------------------------- */

struct names {
    int count;
    bool stop;
};

static int note(void *arg, struct op *visitor, const char *name)
{
    struct names *names = arg;

    assert_true(strcmp(name, "one") == 0 || strcmp(name, "two") == 0);
    names->count++;
    return names->stop ? op_fail(visitor, "XX000", "enough") : OP_OK;
}

static void list(struct vfs *vfs, const char *directory)
{
    char path[3][100];
    struct names names = {0, false};

    snprintf(path[0], 100, "%s/one", directory);
    snprintf(path[1], 100, "%s/two", directory);
    snprintf(path[2], 100, "%s-three", directory);
    for (int i = 0; i < 3; i++)
        os_close(opened(vfs, path[i], OS_OPEN_CREATE));
    assert_int_equal(os_list(&op, vfs, directory, note, &names), OP_OK);
    assert_int_equal(names.count, 2);
    names = (struct names){0, true};
    assert_int_equal(os_list(&op, vfs, directory, note, &names), OP_FAILED);
    assert_int_equal(names.count, 1);
    assert_string_equal(op.error.message, "enough");
    op_reset(&op);
    for (int i = 0; i < 3; i++)
        assert_int_equal(os_remove(&op, vfs, path[i]), OP_OK);
}

static void every_disk_lists_the_files_of_a_directory_and_no_others(void **state)
{
    struct vfs *memory = os_memory_vfs_new(), *fault = fault_vfs_new(1);
    char directory[] = "/tmp/isolde-test-shadow.XXXXXX";
    struct names names = {0, false};

    (void)state;
    list(memory, "folder");
    list(fault, "folder");
    assert_non_null(mkdtemp(directory));
    list(os_unix_vfs(), directory);
    assert_int_equal(remove(directory), 0);
    assert_int_equal(os_list(&op, os_unix_vfs(), directory, note, &names), OP_FAILED);
    assert_string_equal(op.error.sqlstate, "58P01");
    op_reset(&op);
    os_vfs_destroy(memory);
    os_vfs_destroy(fault);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_test, end_test)
    const struct CMUnitTest tests[] = {
        TEST(an_overlay_shows_what_was_written_and_else_what_lies_below),
        TEST(a_shadow_shows_what_was_written_and_else_what_lies_below),
        TEST(a_shadow_tells_what_was_written),
        TEST(the_file_below_cannot_be_removed_or_renamed),
        TEST(every_disk_lists_the_files_of_a_directory_and_no_others),
    };

    seed = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : 1;
    count = getenv("COUNT") ? strtoull(getenv("COUNT"), NULL, 10) : 1500;
    rng_seed(&rng, seed);
    int failures = cmocka_run_group_tests_name("shadow", tests, NULL, NULL);
    printf("test_shadow seed=%" PRIu64 " count=%" PRIu64 " failures=%d\n", seed, count, failures);
    return failures != 0;
}
