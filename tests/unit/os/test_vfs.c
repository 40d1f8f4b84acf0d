/* What every disk does alike: the same tests on the machine's, on the one in memory, and on the one for faults. */
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
#include "src/os/fault.h"
#include "src/os/os.h"

static struct vfs *vfs;
static struct op op;
static char directory[64];
static char a[96], b[96];       /* two names on the disk */

static int use(struct vfs *chosen)
{
    vfs = chosen;
    snprintf(directory, sizeof directory, "/tmp/isolde-test-vfs.XXXXXX");
    if (!vfs || !mkdtemp(directory))
        return -1;
    snprintf(a, sizeof a, "%s/a", directory);
    snprintf(b, sizeof b, "%s/b", directory);
    return 0;
}

static int use_unix(void **state)
{
    return use(os_unix_vfs());
}

static int use_memory(void **state)
{
    return use(os_memory_vfs_new());
}

/* On top of the machine's disk, where nothing may appear. */
static int use_overlay(void **state)
{
    return use(os_overlay_vfs_new(os_unix_vfs()));
}

static int use_fault(void **state)
{
    return use(fault_vfs_new(1));
}

static int leave(void **state)
{
    os_vfs_destroy(vfs);
    return rmdir(directory);
}

static int begin_test(void **state)
{
    op_init(&op);
    return 0;
}

static int end_test(void **state)
{
    op_reset(&op);
    if (os_remove(&op, vfs, a) || os_remove(&op, vfs, b))
        return -1;
    op_end(&op);
    return 0;
}

static struct os_file *opened(const char *path, int flags)
{
    struct os_file *file;

    assert_int_equal(os_open(&op, vfs, path, flags, &file), OP_OK);
    assert_non_null(file);
    assert_string_equal(file->path, path);
    return file;
}

static void expect_refusal(int result, const char *sqlstate, const char *path)
{
    assert_int_equal(result, OP_FAILED);
    assert_string_equal(op.error.sqlstate, sqlstate);
    assert_non_null(strstr(op.error.message, path));
    op_reset(&op);
}

static void expect_bytes(struct os_file *file, uint64_t offset, const char *bytes, size_t len)
{
    char *buffer = malloc(len + 1);
    size_t got;

    assert_int_equal(os_read(&op, file, offset, buffer, len, &got), OP_OK);
    assert_int_equal(got, len);
    assert_memory_equal(buffer, bytes, len);
    free(buffer);
}

static void expect_size(struct os_file *file, uint64_t expected)
{
    uint64_t size;

    assert_int_equal(os_size(&op, file, &size), OP_OK);
    assert_int_equal(size, expected);
}

static void expect_existence(const char *path, bool expected)
{
    bool exists;

    assert_int_equal(os_exists(&op, vfs, path, &exists), OP_OK);
    assert_int_equal(exists, expected);
}

static void opening_an_absent_file_says_58P01_and_names_it(void **state)
{
    struct os_file *file;

    expect_refusal(os_open(&op, vfs, a, 0, &file), "58P01", a);
    assert_null(file);
    expect_existence(a, false);
}

static void create_makes_an_empty_file_and_finds_it_again(void **state)
{
    struct os_file *file = opened(a, OS_OPEN_CREATE);

    expect_size(file, 0);
    assert_int_equal(os_write(&op, file, 0, "hello", 5), OP_OK);
    os_close(file);
    expect_existence(a, true);
    file = opened(a, OS_OPEN_CREATE);
    expect_bytes(file, 0, "hello", 5);
    os_close(file);
}

static void exclusive_create_refuses_a_file_that_is_there(void **state)
{
    struct os_file *file = opened(a, OS_OPEN_CREATE | OS_OPEN_EXCLUSIVE);

    os_close(file);
    expect_refusal(os_open(&op, vfs, a, OS_OPEN_CREATE | OS_OPEN_EXCLUSIVE, &file), "58P02", a);
}

static void a_read_only_file_can_be_read_and_not_written(void **state)
{
    struct os_file *file = opened(a, OS_OPEN_CREATE);

    assert_int_equal(os_write(&op, file, 0, "hello", 5), OP_OK);
    os_close(file);
    file = opened(a, OS_OPEN_READ_ONLY);
    expect_bytes(file, 1, "ell", 3);
    expect_refusal(os_write(&op, file, 0, "x", 1), "58030", a);
    assert_int_equal(os_truncate(&op, file, 0), OP_FAILED);
    op_reset(&op);
    expect_bytes(file, 0, "hello", 5);
    os_close(file);
}

static void reading_beyond_the_end_gets_less(void **state)
{
    struct os_file *file = opened(a, OS_OPEN_CREATE);
    char buffer[10];
    size_t got = 99;

    assert_int_equal(os_write(&op, file, 0, "hello", 5), OP_OK);
    assert_int_equal(os_read(&op, file, 3, buffer, sizeof buffer, &got), OP_OK);
    assert_int_equal(got, 2);
    assert_memory_equal(buffer, "lo", 2);
    assert_int_equal(os_read(&op, file, 5, buffer, sizeof buffer, &got), OP_OK);
    assert_int_equal(got, 0);
    assert_int_equal(os_read(&op, file, 1000000, buffer, sizeof buffer, &got), OP_OK);
    assert_int_equal(got, 0);
    os_close(file);
}

static void a_gap_left_by_a_distant_write_reads_as_zeros(void **state)
{
    struct os_file *file = opened(a, OS_OPEN_CREATE);
    static const char zeros[300000];

    assert_int_equal(os_write(&op, file, 300000, "end", 3), OP_OK);
    expect_size(file, 300003);
    expect_bytes(file, 0, zeros, sizeof zeros);
    expect_bytes(file, 300000, "end", 3);
    os_close(file);
}

static void truncation_forgets_what_it_cuts_off(void **state)
{
    struct os_file *file = opened(a, OS_OPEN_CREATE);
    static char noise[200000];
    static const char zeros[200000];

    memset(noise, 'n', sizeof noise);
    assert_int_equal(os_write(&op, file, 0, noise, sizeof noise), OP_OK);
    assert_int_equal(os_truncate(&op, file, 1001), OP_OK);
    expect_size(file, 1001);
    assert_int_equal(os_truncate(&op, file, 150000), OP_OK);
    expect_size(file, 150000);
    expect_bytes(file, 0, noise, 1001);
    expect_bytes(file, 1001, zeros, 150000 - 1001);
    assert_int_equal(os_truncate(&op, file, 0), OP_OK);
    expect_size(file, 0);
    os_close(file);
}

static void a_write_of_nothing_changes_nothing(void **state)
{
    struct os_file *file = opened(a, OS_OPEN_CREATE);

    assert_int_equal(os_write(&op, file, 100, "", 0), OP_OK);
    expect_size(file, 0);
    assert_int_equal(os_sync(&op, file), OP_OK);
    os_close(file);
}

static void absurd_offsets_are_refused(void **state)
{
    struct os_file *file = opened(a, OS_OPEN_CREATE);
    char buffer[8];
    size_t got;

    expect_refusal(os_write(&op, file, UINT64_MAX - 2, "hello", 5), "58030", a);
    expect_refusal(os_write(&op, file, INT64_MAX, "hello", 5), "58030", a);
    expect_refusal(os_read(&op, file, UINT64_MAX, buffer, 8, &got), "58030", a);
    expect_refusal(os_truncate(&op, file, UINT64_MAX), "58030", a);
    expect_size(file, 0);
    os_close(file);
}

static void a_removed_file_lives_on_for_who_has_it_open(void **state)
{
    struct os_file *file = opened(a, OS_OPEN_CREATE), *fresh;

    assert_int_equal(os_write(&op, file, 0, "old", 3), OP_OK);
    assert_int_equal(os_remove(&op, vfs, a), OP_OK);
    expect_existence(a, false);
    fresh = opened(a, OS_OPEN_CREATE);
    expect_size(fresh, 0);
    assert_int_equal(os_write(&op, fresh, 0, "new", 3), OP_OK);
    expect_bytes(file, 0, "old", 3);
    os_close(file);
    expect_bytes(fresh, 0, "new", 3);
    os_close(fresh);
}

static void removing_an_absent_file_is_fine(void **state)
{
    assert_int_equal(os_remove(&op, vfs, a), OP_OK);
}

static void rename_replaces_its_target(void **state)
{
    struct os_file *file = opened(a, OS_OPEN_CREATE), *old = opened(b, OS_OPEN_CREATE);

    assert_int_equal(os_write(&op, file, 0, "new", 3), OP_OK);
    assert_int_equal(os_write(&op, old, 0, "old", 3), OP_OK);
    assert_int_equal(os_rename(&op, vfs, a, b), OP_OK);
    expect_existence(a, false);
    expect_existence(b, true);
    expect_bytes(old, 0, "old", 3);
    os_close(old);
    os_close(file);
    file = opened(b, 0);
    expect_bytes(file, 0, "new", 3);
    os_close(file);
    assert_int_equal(os_rename(&op, vfs, b, b), OP_OK);
    expect_existence(b, true);
}

static void a_rename_to_a_new_name_replaces_nothing(void **state)
{
    struct os_file *file = opened(a, OS_OPEN_CREATE), *old = opened(b, OS_OPEN_CREATE);

    assert_int_equal(os_write(&op, file, 0, "new", 3), OP_OK);
    assert_int_equal(os_write(&op, old, 0, "old", 3), OP_OK);
    os_close(file);
    os_close(old);
    assert_int_equal(os_rename_new(&op, vfs, a, b), OP_FAILED);
    assert_string_equal(op.error.sqlstate, "58P02");
    op_reset(&op);
    file = opened(b, 0);
    expect_bytes(file, 0, "old", 3);
    os_close(file);
    expect_existence(a, true);
    assert_int_equal(os_remove(&op, vfs, b), OP_OK);
    assert_int_equal(os_rename_new(&op, vfs, a, b), OP_OK);
    expect_existence(a, false);
    file = opened(b, 0);
    expect_bytes(file, 0, "new", 3);
    os_close(file);
}

static void renaming_an_absent_file_says_58P01(void **state)
{
    expect_refusal(os_rename(&op, vfs, a, b), "58P01", a);
}

static void a_lock_keeps_out_other_openers_until_it_is_closed(void **state)
{
    struct os_file *first = opened(a, OS_OPEN_CREATE), *second = opened(a, 0);
    bool taken;

    assert_int_equal(os_lock(&op, first, &taken), OP_OK);
    assert_true(taken);
    assert_int_equal(os_lock(&op, first, &taken), OP_OK);
    assert_true(taken);
    assert_int_equal(os_lock(&op, second, &taken), OP_OK);
    assert_false(taken);
    os_close(opened(a, 0));     /* closing an unrelated handle does not drop the lock */
    assert_int_equal(os_lock(&op, second, &taken), OP_OK);
    assert_false(taken);
    os_close(first);
    assert_int_equal(os_lock(&op, second, &taken), OP_OK);
    assert_true(taken);
    os_close(second);
}

static void identity_is_equal_for_one_file_and_different_for_two(void **state)
{
    struct os_file *first = opened(a, OS_OPEN_CREATE), *again = opened(a, 0), *other = opened(b, OS_OPEN_CREATE);
    uint64_t device[3], inode[3];

    assert_int_equal(os_identity(&op, first, &device[0], &inode[0]), OP_OK);
    assert_int_equal(os_identity(&op, again, &device[1], &inode[1]), OP_OK);
    assert_int_equal(os_identity(&op, other, &device[2], &inode[2]), OP_OK);
    assert_int_equal(device[0], device[1]);
    assert_int_equal(inode[0], inode[1]);
    assert_int_equal(device[0], device[2]);
    assert_int_not_equal(inode[0], inode[2]);
    os_close(first);
    os_close(again);
    os_close(other);
    os_close(NULL);
}

/* The model is a plain array. */
static void random_writes_reads_and_truncations_match_a_model(void **state)
{
    enum { SIZE = 400000, ROUNDS = 3000, PIECE = 20000 };
    static uint8_t model[SIZE], buffer[PIECE];
    struct os_file *file = opened(a, OS_OPEN_CREATE);
    uint64_t size = 0;
    struct rng rng;

    rng_seed(&rng, 11);
    memset(model, 0, sizeof model);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t offset = rng_below(&rng, SIZE - PIECE);
        size_t len = rng_below(&rng, rng_below(&rng, 4) ? 700 : PIECE), got;
        uint64_t want = offset >= size ? 0 : len < size - offset ? len : size - offset;

        switch (rng_below(&rng, 20)) {
        case 0:
            offset = rng_below(&rng, SIZE);
            assert_int_equal(os_truncate(&op, file, offset), OP_OK);
            if (offset < size)
                memset(model + offset, 0, size - offset);
            size = offset;
            break;
        case 1:
            assert_int_equal(os_sync(&op, file), OP_OK);
            break;
        case 2: case 3: case 4: case 5: case 6: case 7: case 8:
            for (size_t i = 0; i < len; i++)
                buffer[i] = (uint8_t)rng_next(&rng);
            assert_int_equal(os_write(&op, file, offset, buffer, len), OP_OK);
            memcpy(model + offset, buffer, len);
            if (len > 0 && offset + len > size)
                size = offset + len;
            break;
        default:
            assert_int_equal(os_read(&op, file, offset, buffer, len, &got), OP_OK);
            assert_int_equal(got, want);
            assert_memory_equal(buffer, model + offset, got);
        }
        expect_size(file, size);
    }
    os_close(file);
}

enum { REGION = 70000, WORKERS = 4 };

struct worker {
    int number;
    struct os_file *shared;
    int failures;
};

/* Fills its own region of the shared file again and again, and opens, renames and removes files of its own. */
static void work_alone_in_a_crowd(void *arg)
{
    struct worker *worker = arg;
    uint64_t start = (uint64_t)worker->number * REGION;
    char names[2][96], *out = malloc(REGION), *in = malloc(REGION);
    struct os_file *own = NULL;
    struct op mine;
    size_t got = 0;

    op_init(&mine);
    for (int i = 0; i < 2; i++)
        snprintf(names[i], sizeof names[i], "%s/w%d-%d", directory, worker->number, i);
    for (int round = 0; round < 20 && !op_failed(&mine); round++) {
        memset(out, 'a' + (worker->number * 20 + round) % 26, REGION);
        if (os_write(&mine, worker->shared, start, out, REGION) || os_sync(&mine, worker->shared)
            || os_read(&mine, worker->shared, start, in, REGION, &got)
            || os_open(&mine, vfs, names[0], OS_OPEN_CREATE | OS_OPEN_EXCLUSIVE, &own)
            || os_write(&mine, own, 0, out, 100) || os_rename(&mine, vfs, names[0], names[1])
            || os_remove(&mine, vfs, names[1]))
            worker->failures++;
        os_close(own);
        own = NULL;
        worker->failures += got != REGION || memcmp(in, out, REGION) != 0;
    }
    free(out);
    free(in);
    op_end(&mine);
}

static void threads_that_use_one_file_and_one_directory_do_not_disturb_each_other(void **state)
{
    struct worker workers[WORKERS];
    struct os_thread *threads[WORKERS];
    struct os_file *file = opened(a, OS_OPEN_CREATE);

    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){i, file, 0};
        assert_int_equal(os_thread_start(&op, work_alone_in_a_crowd, &workers[i], "worker", &threads[i]), OP_OK);
    }
    for (int i = 0; i < WORKERS; i++) {
        os_thread_join(threads[i]);
        assert_int_equal(workers[i].failures, 0);
    }
    expect_size(file, WORKERS * REGION);
    os_close(file);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_test, end_test)
    const struct CMUnitTest tests[] = {
        TEST(opening_an_absent_file_says_58P01_and_names_it),
        TEST(create_makes_an_empty_file_and_finds_it_again),
        TEST(exclusive_create_refuses_a_file_that_is_there),
        TEST(a_read_only_file_can_be_read_and_not_written),
        TEST(reading_beyond_the_end_gets_less),
        TEST(a_gap_left_by_a_distant_write_reads_as_zeros),
        TEST(truncation_forgets_what_it_cuts_off),
        TEST(a_write_of_nothing_changes_nothing),
        TEST(absurd_offsets_are_refused),
        TEST(a_removed_file_lives_on_for_who_has_it_open),
        TEST(removing_an_absent_file_is_fine),
        TEST(rename_replaces_its_target),
        TEST(a_rename_to_a_new_name_replaces_nothing),
        TEST(renaming_an_absent_file_says_58P01),
        TEST(a_lock_keeps_out_other_openers_until_it_is_closed),
        TEST(identity_is_equal_for_one_file_and_different_for_two),
        TEST(random_writes_reads_and_truncations_match_a_model),
        TEST(threads_that_use_one_file_and_one_directory_do_not_disturb_each_other),
    };
    int failures = 0;

    failures += cmocka_run_group_tests_name("vfs unix", tests, use_unix, leave);
    failures += cmocka_run_group_tests_name("vfs memory", tests, use_memory, leave);
    failures += cmocka_run_group_tests_name("vfs overlay", tests, use_overlay, leave);
    failures += cmocka_run_group_tests_name("vfs fault", tests, use_fault, leave);
    return failures;
}
