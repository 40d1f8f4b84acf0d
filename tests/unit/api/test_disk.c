/*
 * The disk fails: the N-th call of some kind during the script, or while the database is opened, once or from then on, with EIO or
 * as full.  The script spills sorts and versions, and the log is archived meanwhile: their files are on the same disk.
 *
 * After each: an error 58030, 53100 or 08007, or none; the transaction rolled back.  With the disk well again the database goes
 * on; or, when the log could not be written or synced, it refuses every change with a message that says so, and goes on
 * reading, until it is opened again.  Then it holds what was acknowledged, and of the commits reported as unknown each
 * wholly or not at all.  SEED= chooses the calls, COUNT= how many are tried, ONLY= a unit by the beginning of its name.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "src/api/api_int.h"
#include "src/base/rng.h"
#include "src/os/fault.h"
#include "tests/unit/api/trial.h"

enum { TRIALS = 250, PATIENCE_MS = 10000 };

static const char options[] = "cache_size=2MB max_wal_size=8MB synchronous=full archive_directory=archive archive_timeout=50ms";
static const char *const call_names[FAULT_CALL_COUNT] = {
    [FAULT_READ] = "read", [FAULT_WRITE] = "write", [FAULT_SYNC] = "sync", [FAULT_TRUNCATE] = "truncation", [FAULT_OPEN] = "open",
    [FAULT_REMOVE] = "removal", [FAULT_RENAME] = "renaming", [FAULT_LOCK] = "lock", [FAULT_LOOK] = "look",
};
static uint64_t seed, count, tried, refused, failures_met;
static struct rng rng;
static struct vfs *disk;

static uint64_t from_environment(const char *name, uint64_t usual)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : usual;
}

static bool is_disk(const char *sqlstate)
{
    return strcmp(sqlstate, "58030") == 0 || strcmp(sqlstate, "53100") == 0 || strcmp(sqlstate, "08007") == 0;
}

static void open_database(struct trial *trial, bool create)
{
    isolde_db *db;
    isolde_err *err;

    if (api_open_on(disk, "t.db", options, &db, &err) != ISOLDE_OK)
        trial_fail(trial, "opening: %s %s", isolde_error_sqlstate(err), isolde_error_message(err));
    trial_open(trial, db, create);
}

/* Whether changes are possible.  A rollback that the disk has stopped is tried again in the background, which takes a moment. */
static bool can_write(struct trial *trial)
{
    isolde_conn *conn = trial->conn[0];

    for (int waited = 0; ; waited += 20) {
        int code = isolde_exec(conn, "BEGIN; UPDATE t SET v = v; DELETE FROM h; UPDATE big SET grp = grp WHERE id < 5", NULL, NULL);
        const isolde_err *err = isolde_error(conn);
        bool final = code != ISOLDE_OK && (strstr(isolde_error_message(err), "the log is broken") ||
                                           strstr(isolde_error_message(err), "the log cannot be written any more"));
        if (code != ISOLDE_OK && !is_disk(isolde_error_sqlstate(err)))
            trial_fail(trial, "changing something: %s %s", isolde_error_sqlstate(err), isolde_error_message(err));
        if (code != ISOLDE_OK && !final && waited >= PATIENCE_MS)
            trial_fail(trial, "changes stay impossible: %s %s", isolde_error_sqlstate(err), isolde_error_message(err));
        isolde_exec(conn, "ROLLBACK", NULL, NULL);
        if (code == ISOLDE_OK || final)
            return code == ISOLDE_OK;
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
}

static void open_again(struct trial *trial)
{
    trial_disconnect(trial);
    isolde_close(trial->db);        /* says so when it is not complete */
    fault_power_on(disk, FAULT_KILL, 0);
    open_database(trial, false);
    trial_judge_unknown(trial);
    trial_check(trial);
}

static void try_unit(struct trial *trial, enum fault_call call, uint64_t n, int error, bool sticky)
{
    snprintf(trial->told, sizeof trial->told, "%s, %s %" PRIu64 " %s with %s (SEED=%" PRIu64 ")", trial->unit->name, call_names[call], n,
             sticky ? "and all later ones" : "alone", error == EIO ? "EIO" : "ENOSPC", seed);
    trial_watch(trial, true);
    trial_reset(trial);
    trial->may_fail = is_disk;
    fault_fail_at(disk, call, n, error, sticky);
    trial_run(trial);
    fault_fail_at(disk, call, 0, 0, false);
    tried++;
    bool writable = can_write(trial);
    trial->may_fail = NULL;
    trial_judge(trial);
    if (!writable) {
        refused++;
        open_again(trial);
    } else if (trial->unknown) {
        trial_fail(trial, "a commit is unknown, and the database goes on");
    }
}

static void whatever_call_fails_nothing_acknowledged_is_lost(void **state)
{
    static const struct { enum fault_call call; int error; uint64_t calls; } kinds[] = {
        {FAULT_READ, EIO, 40}, {FAULT_READ, EIO, 8}, {FAULT_WRITE, EIO, 30}, {FAULT_WRITE, EIO, 6}, {FAULT_WRITE, ENOSPC, 20},
        {FAULT_SYNC, EIO, 8}, {FAULT_TRUNCATE, EIO, 2}, {FAULT_OPEN, EIO, 3}, {FAULT_OPEN, ENOSPC, 3}, {FAULT_REMOVE, EIO, 2},
        {FAULT_RENAME, EIO, 2}, {FAULT_RENAME, ENOSPC, 2}, {FAULT_LOOK, EIO, 3},
    };
    struct trial trial = {0};
    const char *only = getenv("ONLY");
    uint64_t each = (count + trial_unit_count - 1) / trial_unit_count;

    snprintf(trial.told, sizeof trial.told, "opening");
    disk = fault_vfs_new(seed);
    open_database(&trial, true);
    for (size_t i = 0; i < trial_unit_count; i++) {
        if (only && strncmp(trial_units[i].name, only, strlen(only)) != 0)
            continue;
        trial_learn(&trial, &trial_units[i]);
        for (uint64_t turn = 0; turn < each; turn++) {
            uint64_t kind = rng_below(&rng, COUNT_OF(kinds));
            uint64_t n = 1 + rng_below(&rng, kinds[kind].calls);
            try_unit(&trial, kinds[kind].call, n, kinds[kind].error, rng_below(&rng, 3) == 0);
        }
        trial.acknowledged = 0;
        trial_reset(&trial);
        open_again(&trial);
    }
    trial_watch(&trial, false);
    trial_disconnect(&trial);
    trial_free(&trial);
    assert_int_equal(isolde_close(trial.db), ISOLDE_OK);
    os_vfs_destroy(disk);
    assert_true(only || count < TRIALS || refused > 0);
}

/* Opens with the n-th call of this kind failing.  True when that many calls are not made. */
static bool open_with_failure(struct trial *trial, enum fault_call call, uint64_t n, int error)
{
    isolde_db *db;
    isolde_err *err;
    uint64_t before = failures_met;

    snprintf(trial->told, sizeof trial->told, "opening, %s %" PRIu64 " with %s", call_names[call], n, error == EIO ? "EIO" : "ENOSPC");
    trial_watch(trial, true);
    struct vfs *whole = disk;
    disk = fault_copy(whole);
    fault_power_on(disk, FAULT_KILL, 0);
    fault_fail_at(disk, call, n, error, false);
    int code = api_open_on(disk, "t.db", options, &db, &err);
    if (code != ISOLDE_OK) {
        failures_met++;
        if (!is_disk(isolde_error_sqlstate(err)))
            trial_fail(trial, "%s %s", isolde_error_sqlstate(err), isolde_error_message(err));
        isolde_error_free(err);
    } else {
        isolde_close(db);
    }
    tried++;
    fault_power_on(disk, FAULT_KILL, 0);
    open_database(trial, false);
    trial_judge(trial);
    trial_check(trial);
    trial_disconnect(trial);
    isolde_close(trial->db);
    os_vfs_destroy(disk);
    disk = whole;
    return failures_met == before;
}

/* A database that was killed: restart, new log, archive, first checkpoint. */
static void an_open_that_fails_loses_nothing(void **state)
{
    static const struct { enum fault_call call; int error; } kinds[] = {
        {FAULT_READ, EIO}, {FAULT_WRITE, EIO}, {FAULT_WRITE, ENOSPC}, {FAULT_SYNC, EIO}, {FAULT_TRUNCATE, EIO}, {FAULT_OPEN, EIO},
        {FAULT_REMOVE, EIO}, {FAULT_RENAME, EIO}, {FAULT_LOCK, EIO}, {FAULT_LOOK, EIO},
    };
    struct trial trial = {0};

    (void)state;
    snprintf(trial.told, sizeof trial.told, "opening");
    disk = fault_vfs_new(seed);
    open_database(&trial, true);
    trial_learn(&trial, &trial_units[0]);
    trial_reset(&trial);
    trial_run(&trial);
    struct vfs *killed = fault_copy(disk);
    trial_disconnect(&trial);
    assert_int_equal(isolde_close(trial.db), ISOLDE_OK);
    os_vfs_destroy(disk);
    disk = killed;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        int met_none = 0;
        for (uint64_t n = 1; n < 60 && met_none < 3; n++)
            met_none = open_with_failure(&trial, kinds[i].call, n, kinds[i].error) ? met_none + 1 : 0;
    }
    printf("openings that failed: %" PRIu64 "\n", failures_met);
    assert_true(failures_met > 20);
    trial_watch(&trial, false);
    trial_free(&trial);
    os_vfs_destroy(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_call_fails_nothing_acknowledged_is_lost),
        cmocka_unit_test(an_open_that_fails_loses_nothing),
    };
    seed = from_environment("SEED", 1);
    count = from_environment("COUNT", TRIALS);
    rng_seed(&rng, seed);
    printf("test_disk seed=%" PRIu64 "\n", seed);
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    printf("test_disk seed=%" PRIu64 " count=%" PRIu64 " refused=%" PRIu64 " failures=%d\n", seed, tried, refused, failures);
    return failures != 0;
}
