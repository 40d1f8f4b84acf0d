/* The disk for faults: what a power cut leaves, a disk that is full, calls that fail. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/base/rng.h"
#include "src/os/fault.h"
#include "src/os/os.h"

enum { SECTOR = 512 };

static struct vfs *vfs;
static struct op op;

static int begin_test(void **state)
{
    op_init(&op);
    vfs = fault_vfs_new(5);
    return 0;
}

static int end_test(void **state)
{
    os_vfs_destroy(vfs);
    op_end(&op);
    return 0;
}

static struct os_file *opened(const char *path)
{
    struct os_file *file;

    assert_int_equal(os_open(&op, vfs, path, OS_OPEN_CREATE, &file), OP_OK);
    return file;
}

static void fill(struct os_file *file, uint64_t sector, size_t count, char with)
{
    char *bytes = malloc(count * SECTOR);

    memset(bytes, with, count * SECTOR);
    assert_int_equal(os_write(&op, file, sector * SECTOR, bytes, count * SECTOR), OP_OK);
    free(bytes);
}

static void sync_it(struct os_file *file)
{
    assert_int_equal(os_sync(&op, file), OP_OK);
}

/* The byte that fills a whole sector; fails when the sector is a mixture, '-' when it lies beyond the end. */
static char content(struct os_file *file, uint64_t sector)
{
    char bytes[SECTOR];
    size_t got;

    assert_int_equal(os_read(&op, file, sector * SECTOR, bytes, SECTOR, &got), OP_OK);
    if (got == 0)
        return '-';
    assert_int_equal(got, SECTOR);
    for (int i = 1; i < SECTOR; i++)
        assert_int_equal(bytes[i], bytes[0]);
    return bytes[0];
}

static uint64_t size_of(struct os_file *file)
{
    uint64_t size;

    assert_int_equal(os_size(&op, file, &size), OP_OK);
    return size;
}

static void expect_failure(int result, const char *sqlstate)
{
    assert_int_equal(result, OP_FAILED);
    assert_string_equal(op.error.sqlstate, sqlstate);
    op_reset(&op);
}

static void what_is_synced_survives_every_cut(void **state)
{
    for (int loss = FAULT_LOSE_ALL; loss <= FAULT_KEEP_RANDOM; loss++)
        for (uint64_t seed = 0; seed < 20; seed++) {
            struct os_file *file = opened("f");

            fill(file, 0, 8, 's');
            sync_it(file);
            os_close(file);
            fault_power_on(vfs, (enum fault_loss)loss, seed);
            file = opened("f");
            assert_int_equal(size_of(file), 8 * SECTOR);
            for (int i = 0; i < 8; i++)
                assert_int_equal(content(file, i), 's');
            os_close(file);
            assert_int_equal(os_remove(&op, vfs, "f"), OP_OK);
        }
}

static void lose_all_goes_back_to_the_last_sync(void **state)
{
    struct os_file *file = opened("f");

    fill(file, 0, 4, 's');
    sync_it(file);
    fill(file, 2, 6, 'n');
    os_close(file);
    fault_power_on(vfs, FAULT_LOSE_ALL, 0);
    file = opened("f");
    assert_int_equal(size_of(file), 4 * SECTOR);
    for (int i = 0; i < 4; i++)
        assert_int_equal(content(file, i), 's');
    os_close(file);
}

static void keep_all_loses_nothing(void **state)
{
    struct os_file *file = opened("f");

    fill(file, 0, 4, 's');
    sync_it(file);
    fill(file, 2, 6, 'n');
    assert_int_equal(os_truncate(&op, file, 7 * SECTOR), OP_OK);
    os_close(file);
    fault_power_on(vfs, FAULT_KEEP_ALL, 0);
    file = opened("f");
    assert_int_equal(size_of(file), 7 * SECTOR);
    assert_int_equal(content(file, 1), 's');
    for (int i = 2; i < 7; i++)
        assert_int_equal(content(file, i), 'n');
    os_close(file);
}

/* Four sectors overwritten: each of the sixteen subsets must turn up. */
static void random_loss_meets_every_subset_of_the_sectors(void **state)
{
    bool met[16] = {false};

    for (uint64_t seed = 0; seed < 400; seed++) {
        struct os_file *file = opened("f");
        int kept = 0;

        fill(file, 0, 4, 'o');
        sync_it(file);
        fill(file, 0, 4, 'n');
        os_close(file);
        fault_power_on(vfs, FAULT_KEEP_RANDOM, seed);
        file = opened("f");
        for (int i = 0; i < 4; i++) {
            char found = content(file, i);

            assert_true(found == 'o' || found == 'n');
            kept |= (found == 'n') << i;
        }
        met[kept] = true;
        os_close(file);
    }
    for (int i = 0; i < 16; i++)
        assert_true(met[i]);
}

static void random_loss_may_keep_an_earlier_content_of_a_sector_written_twice(void **state)
{
    int old = 0, earlier = 0, newest = 0;

    for (uint64_t seed = 0; seed < 400; seed++) {
        struct os_file *file = opened("f");
        char found;

        fill(file, 0, 1, 'o');
        sync_it(file);
        fill(file, 0, 1, 'e');
        fill(file, 0, 1, 'n');
        os_close(file);
        fault_power_on(vfs, FAULT_KEEP_RANDOM, seed);
        file = opened("f");
        found = content(file, 0);
        old += found == 'o';
        earlier += found == 'e';
        newest += found == 'n';
        os_close(file);
    }
    assert_int_equal(old + earlier + newest, 400);
    assert_true(old > 50 && earlier > 10 && newest > 50);
}

static void random_loss_treats_growth_as_apart_from_the_contents(void **state)
{
    bool shorter = false, zeros_within = false, whole = false;

    for (uint64_t seed = 0; seed < 200; seed++) {
        struct os_file *file;

        assert_int_equal(os_remove(&op, vfs, "f"), OP_OK);
        file = opened("f");
        fill(file, 0, 1, 'o');
        sync_it(file);
        fill(file, 1, 3, 'n');
        os_close(file);
        fault_power_on(vfs, FAULT_KEEP_RANDOM, seed);
        file = opened("f");
        assert_int_equal(content(file, 0), 'o');
        if (size_of(file) < 4 * SECTOR)
            shorter = true;
        else if (content(file, 1) == 'n' && content(file, 2) == 'n' && content(file, 3) == 'n')
            whole = true;
        else
            zeros_within = true;
        os_close(file);
    }
    assert_true(shorter && zeros_within && whole);
}

static void a_truncation_survives_wholly_or_not_at_all(void **state)
{
    int survived = 0;

    for (uint64_t seed = 0; seed < 100; seed++) {
        struct os_file *file = opened("f");

        fill(file, 0, 6, 'o');
        sync_it(file);
        assert_int_equal(os_truncate(&op, file, 2 * SECTOR), OP_OK);
        os_close(file);
        fault_power_on(vfs, FAULT_KEEP_RANDOM, seed);
        file = opened("f");
        if (size_of(file) == 2 * SECTOR) {
            survived++;
        } else {
            assert_int_equal(size_of(file), 6 * SECTOR);
            for (int i = 0; i < 6; i++)
                assert_int_equal(content(file, i), 'o');
        }
        os_close(file);
    }
    assert_in_range(survived, 20, 80);
}

static void a_synced_truncation_leaves_no_old_bytes_behind(void **state)
{
    struct os_file *file = opened("f");

    fill(file, 0, 6, 'o');
    sync_it(file);
    assert_int_equal(os_truncate(&op, file, 2 * SECTOR), OP_OK);
    assert_int_equal(os_truncate(&op, file, 6 * SECTOR), OP_OK);
    sync_it(file);
    os_close(file);
    fault_power_on(vfs, FAULT_LOSE_ALL, 0);
    file = opened("f");
    assert_int_equal(size_of(file), 6 * SECTOR);
    assert_int_equal(content(file, 1), 'o');
    for (int i = 2; i < 6; i++)
        assert_int_equal(content(file, i), 0);
    os_close(file);
}

static void the_cut_comes_before_the_chosen_call_and_stays(void **state)
{
    struct os_file *file = opened("f"), *other;
    size_t got;
    char byte;
    bool exists;

    fill(file, 0, 1, 'o');
    sync_it(file);
    assert_int_equal(fault_calls(vfs), 2);
    fault_cut_at(vfs, 3);
    fill(file, 0, 1, '1');
    fill(file, 1, 1, '2');
    assert_false(fault_is_cut(vfs));
    expect_failure(os_write(&op, file, 0, "3", 1), "58030");
    assert_true(fault_is_cut(vfs));
    expect_failure(os_read(&op, file, 0, &byte, 1, &got), "58030");
    expect_failure(os_sync(&op, file), "58030");
    expect_failure(os_open(&op, vfs, "g", OS_OPEN_CREATE, &other), "58030");
    expect_failure(os_exists(&op, vfs, "f", &exists), "58030");
    expect_failure(os_remove(&op, vfs, "f"), "58030");
    fault_power_on(vfs, FAULT_KEEP_ALL, 0);
    assert_false(fault_is_cut(vfs));
    assert_int_equal(fault_calls(vfs), 0);
    expect_failure(os_read(&op, file, 0, &byte, 1, &got), "58030");
    os_close(file);
    file = opened("f");
    assert_int_equal(content(file, 0), '1');
    assert_int_equal(content(file, 1), '2');
    os_close(file);
}

static void every_changing_call_is_counted_and_can_be_the_last(void **state)
{
    for (uint64_t at = 1; at <= 6; at++) {
        struct os_file *file;
        bool f, g;
        int result;

        assert_int_equal(os_remove(&op, vfs, "f"), OP_OK);
        assert_int_equal(os_remove(&op, vfs, "g"), OP_OK);
        file = opened("f");
        fault_cut_at(vfs, at);
        result = os_write(&op, file, 0, "x", 1) || os_sync(&op, file) || os_truncate(&op, file, 0)
            || os_rename(&op, vfs, "f", "g") || os_remove(&op, vfs, "g");
        assert_int_equal(result, at <= 5);
        os_close(file);
        op_reset(&op);
        fault_power_on(vfs, FAULT_LOSE_ALL, 0);
        assert_int_equal(os_exists(&op, vfs, "f", &f), OP_OK);
        assert_int_equal(os_exists(&op, vfs, "g", &g), OP_OK);
        assert_int_equal(f, at <= 4);
        assert_int_equal(g, at == 5);
    }
}

static void a_killed_process_loses_nothing_until_the_power_goes_too(void **state)
{
    struct os_file *file = opened("f"), *heir;
    bool taken;

    fill(file, 0, 1, 'o');
    sync_it(file);
    fill(file, 0, 1, 'n');
    assert_int_equal(os_lock(&op, file, &taken), OP_OK);
    fault_power_on(vfs, FAULT_KILL, 0);
    heir = opened("f");
    assert_int_equal(os_lock(&op, heir, &taken), OP_OK);
    assert_true(taken);
    assert_int_equal(content(heir, 0), 'n');
    os_close(file);
    os_close(heir);
    fault_power_on(vfs, FAULT_LOSE_ALL, 0);
    file = opened("f");
    assert_int_equal(content(file, 0), 'o');
    os_close(file);
}

static void the_same_seed_leaves_the_same_disk(void **state)
{
    char left[2][40] = {{0}};

    for (int round = 0; round < 2; round++) {
        struct vfs *disk = fault_vfs_new(77);
        struct vfs *before = vfs;
        struct os_file *file;

        vfs = disk;
        file = opened("f");
        fill(file, 0, 30, 'o');
        sync_it(file);
        for (int i = 0; i < 30; i += 3)
            fill(file, (uint64_t)i, 5, 'n');
        os_close(file);
        fault_power_on(disk, FAULT_KEEP_RANDOM, 123);
        file = opened("f");
        for (int i = 0; i < 32; i++)
            left[round][i] = content(file, (uint64_t)i);
        os_close(file);
        os_vfs_destroy(disk);
        vfs = before;
    }
    assert_memory_equal(left[0], left[1], sizeof left[0]);
}

static void the_chosen_call_of_each_kind_fails_once(void **state)
{
    struct os_file *file = opened("f"), *other;
    size_t got;
    char byte;

    fault_fail_at(vfs, FAULT_WRITE, 2, EIO, false);
    fill(file, 0, 1, '1');
    expect_failure(os_write(&op, file, 0, "2", 1), "58030");
    fill(file, 0, 1, '3');
    fault_fail_at(vfs, FAULT_READ, 1, EIO, false);
    expect_failure(os_read(&op, file, 0, &byte, 1, &got), "58030");
    assert_int_equal(got, 0);
    assert_int_equal(content(file, 0), '3');
    fault_fail_at(vfs, FAULT_TRUNCATE, 1, ENOSPC, false);
    expect_failure(os_truncate(&op, file, 0), "53100");
    assert_int_equal(size_of(file), SECTOR);
    fault_fail_at(vfs, FAULT_OPEN, 1, EACCES, false);
    expect_failure(os_open(&op, vfs, "g", OS_OPEN_CREATE, &other), "42501");
    fault_fail_at(vfs, FAULT_RENAME, 1, EIO, false);
    expect_failure(os_rename(&op, vfs, "f", "g"), "58030");
    fault_fail_at(vfs, FAULT_REMOVE, 1, EIO, false);
    expect_failure(os_remove(&op, vfs, "f"), "58030");
    assert_int_equal(os_rename(&op, vfs, "f", "g"), OP_OK);
    os_close(file);
}

static void a_sticky_failure_stays_until_it_is_taken_back(void **state)
{
    struct os_file *file = opened("f");

    fault_fail_at(vfs, FAULT_WRITE, 1, ENOSPC, true);
    for (int i = 0; i < 3; i++)
        expect_failure(os_write(&op, file, 0, "x", 1), "53100");
    fault_fail_at(vfs, FAULT_WRITE, 0, 0, false);
    assert_int_equal(os_write(&op, file, 0, "x", 1), OP_OK);
    os_close(file);
}

static void a_failing_write_may_have_written_a_part(void **state)
{
    struct os_file *file = opened("f");
    bool nothing = false, part = false;

    for (int round = 0; round < 60; round++) {
        char bytes[100], back[100];
        size_t got, changed = 0;

        memset(bytes, 'o', sizeof bytes);
        assert_int_equal(os_write(&op, file, 0, bytes, sizeof bytes), OP_OK);
        memset(bytes, 'n', sizeof bytes);
        fault_fail_at(vfs, FAULT_WRITE, 1, EIO, false);
        expect_failure(os_write(&op, file, 0, bytes, round % 2 ? 3 : sizeof bytes), "58030");
        assert_int_equal(os_read(&op, file, 0, back, sizeof back, &got), OP_OK);
        while (changed < got && back[changed] == 'n')
            changed++;
        nothing = nothing || changed == 0;
        part = part || (changed > 3 && changed < sizeof bytes);
    }
    assert_true(nothing && part);
    os_close(file);
}

/* The kernel has marked the pages clean: a second sync that succeeds proves nothing about the first one's data. */
static void after_a_failed_sync_a_second_one_does_not_save_the_data(void **state)
{
    int lost = 0, kept = 0;

    for (uint64_t round = 0; round < 40; round++) {
        struct os_file *file = opened("f");

        fill(file, 0, 8, 'o');
        sync_it(file);
        fill(file, 0, 8, 'n');
        fault_fail_at(vfs, FAULT_SYNC, 1, EIO, false);
        expect_failure(os_sync(&op, file), "58030");
        for (int i = 0; i < 8; i++)
            assert_int_equal(content(file, (uint64_t)i), 'n');
        sync_it(file);
        os_close(file);
        fault_power_on(vfs, FAULT_KEEP_ALL, round);
        file = opened("f");
        for (int i = 0; i < 8; i++) {
            lost += content(file, (uint64_t)i) == 'o';
            kept += content(file, (uint64_t)i) == 'n';
        }
        os_close(file);
    }
    assert_true(lost > 50 && kept > 50);
}

static void a_full_disk_takes_what_fits_and_says_53100(void **state)
{
    struct os_file *f = opened("f"), *g = opened("g");

    fault_capacity(vfs, 10 * SECTOR);
    fill(f, 0, 6, 'f');
    fill(g, 0, 4, 'g');
    expect_failure(os_write(&op, f, 6 * SECTOR, "x", 1), "53100");
    fill(f, 0, 6, 'F');
    assert_int_equal(os_truncate(&op, g, 0), OP_OK);
    expect_failure(os_truncate(&op, g, 5 * SECTOR), "53100");
    fill(f, 6, 4, 'f');
    assert_int_equal(size_of(f), 10 * SECTOR);
    os_close(f);
    assert_int_equal(os_remove(&op, vfs, "f"), OP_OK);
    fill(g, 0, 10, 'g');
    os_close(g);
}

static void a_flipped_bit_stays_flipped(void **state)
{
    struct os_file *file = opened("f");

    fill(file, 0, 2, 0);
    sync_it(file);
    assert_int_equal(fault_flip_bit(&op, vfs, "f", 700, 3), OP_OK);
    expect_failure(fault_flip_bit(&op, vfs, "f", 2 * SECTOR, 3), "22023");
    expect_failure(fault_flip_bit(&op, vfs, "absent", 0, 3), "58P01");
    os_close(file);
    fault_power_on(vfs, FAULT_LOSE_ALL, 0);
    file = opened("f");
    for (uint64_t i = 0; i < 2 * SECTOR; i++) {
        char byte;
        size_t got;

        assert_int_equal(os_read(&op, file, i, &byte, 1, &got), OP_OK);
        assert_int_equal(byte, i == 700 ? 8 : 0);
    }
    os_close(file);
}

static void a_copy_keeps_what_is_unsynced_and_goes_its_own_way(void **state)
{
    struct os_file *file = opened("f");
    struct vfs *original = vfs, *copy;
    bool taken;

    fill(file, 0, 2, 'o');
    sync_it(file);
    fill(file, 0, 1, 'n');
    assert_int_equal(os_lock(&op, file, &taken), OP_OK);
    copy = fault_copy(original);
    fill(file, 1, 1, 'l');

    vfs = copy;
    fault_power_on(copy, FAULT_KEEP_ALL, 0);
    os_close(opened("g"));
    vfs = original;
    assert_int_equal(content(file, 1), 'l');
    sync_it(file);
    os_close(file);

    vfs = copy;
    file = opened("f");
    assert_int_equal(os_lock(&op, file, &taken), OP_OK);
    assert_true(taken);
    assert_int_equal(content(file, 0), 'n');
    assert_int_equal(content(file, 1), 'o');
    os_close(file);
    os_vfs_destroy(copy);
    vfs = original;
}

/* The work: sector 0 counts up, each number synced before the next is written.  Acknowledged is the last one synced. */
struct watcher {
    int acknowledged;
    int cuts;
};

static void cut_the_copy(struct vfs *copy, void *arg)
{
    struct watcher *watcher = arg;
    struct vfs *original = vfs;
    struct os_file *file;
    char found;

    fault_power_on(copy, (enum fault_loss)(watcher->cuts % 3), (uint64_t)watcher->cuts);
    vfs = copy;
    file = opened("f");
    found = content(file, 0);
    if (watcher->acknowledged > 0)
        assert_in_range(found, watcher->acknowledged, watcher->acknowledged + 1);
    os_close(file);
    os_vfs_destroy(copy);
    vfs = original;
    watcher->cuts++;
}

static void who_watches_sees_the_disk_before_every_change(void **state)
{
    struct os_file *file = opened("f");
    struct watcher watcher = {0, 0};

    fault_watch(vfs, cut_the_copy, &watcher);
    for (int i = 1; i <= 30; i++) {
        fill(file, 0, 1, (char)i);
        sync_it(file);
        watcher.acknowledged = i;
    }
    fault_watch(vfs, NULL, NULL);
    fill(file, 0, 1, 0);
    os_close(file);
    assert_int_equal(watcher.cuts, 60);
}

/* A model of random work: after any cut each sector holds something that was written to it since its last sync. */
static void after_random_work_every_sector_holds_a_content_it_had_since_the_last_sync(void **state)
{
    enum { SECTORS = 40, ROUNDS = 300 };
    const char *given = getenv("SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : 1;
    bool possible[SECTORS][256];
    struct rng rng;

    rng_seed(&rng, seed);
    for (int round = 0; round < ROUNDS; round++) {
        struct os_file *file;

        assert_int_equal(os_remove(&op, vfs, "f"), OP_OK);
        file = opened("f");
        fill(file, 0, SECTORS, 1);
        sync_it(file);
        memset(possible, 0, sizeof possible);
        for (int i = 0; i < SECTORS; i++)
            possible[i][1] = true;
        for (int step = 2; step < 30; step++) {
            uint64_t at = rng_below(&rng, SECTORS), count = 1 + rng_below(&rng, SECTORS - at);

            if (rng_below(&rng, 6) == 0) {
                sync_it(file);
                for (int i = 0; i < SECTORS; i++) {
                    char now = content(file, (uint64_t)i);

                    memset(possible[i], 0, sizeof possible[i]);
                    possible[i][(uint8_t)now] = true;
                }
            } else {
                fill(file, at, count, (char)step);
                for (uint64_t i = at; i < at + count; i++)
                    possible[i][step] = true;
            }
        }
        os_close(file);
        fault_power_on(vfs, FAULT_KEEP_RANDOM, rng_next(&rng));
        file = opened("f");
        for (int i = 0; i < SECTORS; i++)
            assert_true(possible[i][(uint8_t)content(file, (uint64_t)i)]);
        os_close(file);
    }
    print_message("fault seed=%llu count=%d failures=0\n", (unsigned long long)seed, ROUNDS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_test, end_test)
    const struct CMUnitTest tests[] = {
        TEST(what_is_synced_survives_every_cut),
        TEST(lose_all_goes_back_to_the_last_sync),
        TEST(keep_all_loses_nothing),
        TEST(random_loss_meets_every_subset_of_the_sectors),
        TEST(random_loss_may_keep_an_earlier_content_of_a_sector_written_twice),
        TEST(random_loss_treats_growth_as_apart_from_the_contents),
        TEST(a_truncation_survives_wholly_or_not_at_all),
        TEST(a_synced_truncation_leaves_no_old_bytes_behind),
        TEST(the_cut_comes_before_the_chosen_call_and_stays),
        TEST(every_changing_call_is_counted_and_can_be_the_last),
        TEST(a_killed_process_loses_nothing_until_the_power_goes_too),
        TEST(the_same_seed_leaves_the_same_disk),
        TEST(the_chosen_call_of_each_kind_fails_once),
        TEST(a_sticky_failure_stays_until_it_is_taken_back),
        TEST(a_failing_write_may_have_written_a_part),
        TEST(after_a_failed_sync_a_second_one_does_not_save_the_data),
        TEST(a_full_disk_takes_what_fits_and_says_53100),
        TEST(a_flipped_bit_stays_flipped),
        TEST(a_copy_keeps_what_is_unsynced_and_goes_its_own_way),
        TEST(who_watches_sees_the_disk_before_every_change),
        TEST(after_random_work_every_sector_holds_a_content_it_had_since_the_last_sync),
    };

    return cmocka_run_group_tests_name("fault", tests, NULL, NULL);
}
