/*
 * Memory fails: every allocation that the script makes, once and by turns, alone or with all that follow.
 *
 * After each: an error 53200 or none, the transaction rolled back; and with memory back nobody waits, the tables hold what was
 * acknowledged, and CHECK finds nothing.  SEED= chooses which allocations are tried, COUNT= about how many (0: all of them),
 * ONLY= a unit by the beginning of its name.
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

#include "src/api/api_int.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/os/fault.h"
#include "tests/unit/api/trial.h"

enum { TRIALS = 1500 };

static uint64_t seed, count, tried;
static struct rng rng;

static uint64_t from_environment(const char *name, uint64_t usual)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : usual;
}

static bool is_memory(const char *sqlstate)
{
    return strcmp(sqlstate, "53200") == 0;
}

/* The unit with the n-th allocation failing, or all from there on.  False when it made fewer. */
static bool try_unit(struct trial *trial, uint64_t n, bool lasting)
{
    snprintf(trial->told, sizeof trial->told, "%s, allocation %" PRIu64 " %s (SEED=%" PRIu64 ")", trial->unit->name, n,
             lasting ? "and all later ones" : "alone", seed);
    trial_watch(trial, true);
    trial_reset(trial);
    trial->may_fail = is_memory;
    if (lasting)
        mem_fail_from(n);
    else
        mem_fail_at(n);
    trial_run(trial);
    uint64_t made = mem_fail_at(0);
    trial->may_fail = NULL;
    trial_judge(trial);
    tried++;
    return made >= n;
}

/* How many allocations the unit makes, when nothing fails. */
static uint64_t allocations_of(struct trial *trial)
{
    trial_reset(trial);
    mem_fail_at(UINT64_MAX);
    trial_run(trial);
    return mem_fail_at(0);
}

static void every_allocation_of_the_script_may_fail(void **state)
{
    struct trial trial = {0};
    isolde_db *db;
    const char *only = getenv("ONLY");

    snprintf(trial.told, sizeof trial.told, "opening");
    assert_int_equal(isolde_open(":memory:", "cache_size=4MB synchronous=normal", &db, NULL), ISOLDE_OK);
    trial_open(&trial, db, true);
    for (size_t i = 0; i < trial_unit_count; i++) {
        if (only && strncmp(trial_units[i].name, only, strlen(only)) != 0)
            continue;
        trial_learn(&trial, &trial_units[i]);
        uint64_t all = allocations_of(&trial), share = count ? count / trial_unit_count : all;
        uint64_t stride = all > share && share > 0 ? all / share : 1;
        if (getenv("VERBOSE"))
            fprintf(stderr, "%s: %" PRIu64 " allocations\n", trial.unit->name, all);
        for (uint64_t n = 1 + rng_below(&rng, stride); try_unit(&trial, n, rng_below(&rng, 4) == 0);)
            n += stride == 1 ? 1 : 1 + rng_below(&rng, 2 * stride - 1);
        trial_check(&trial);
    }
    trial_watch(&trial, false);
    trial_disconnect(&trial);
    trial_free(&trial);
    assert_int_equal(isolde_close(db), ISOLDE_OK);
}

/* ---- values --------------------------------------------------------------------------------------- */

static void a_value_without_memory_is_an_error_and_undoes_its_group(void **state)
{
    isolde_db *db;
    isolde_conn *conn;
    isolde_stmt *stmt;

    assert_int_equal(isolde_open(":memory:", NULL, &db, NULL), ISOLDE_OK);
    assert_int_equal(isolde_connect(db, &conn, NULL), ISOLDE_OK);
    assert_int_equal(isolde_exec(conn, "CREATE TABLE t (a int)", NULL, NULL), ISOLDE_OK);
    for (int lost = 1; lost >= 0; lost--) {
        assert_int_equal(isolde_group_begin(conn), ISOLDE_OK);
        assert_int_equal(isolde_prepare(conn, "INSERT INTO t VALUES (1) RETURNING a, repeat('long', 2000)", -1, &stmt), ISOLDE_OK);
        assert_int_equal(isolde_step(stmt), ISOLDE_ROW);
        mem_fail_at(lost);
        assert_int_equal(isolde_column_text(stmt, 1) == NULL, lost);
        mem_fail_at(0);
        assert_string_equal(isolde_error_sqlstate(isolde_error(conn)), lost ? "53200" : "00000");
        assert_int_equal(isolde_column_type(stmt, 1), ISOLDE_TEXT);
        assert_int_equal(isolde_finalize(stmt), ISOLDE_OK);
        assert_int_equal(isolde_group_end(conn), lost ? ISOLDE_ERROR : ISOLDE_OK);
        assert_string_equal(isolde_error_sqlstate(isolde_error(conn)), lost ? "53200" : "00000");
        assert_int_equal(isolde_prepare(conn, "SELECT count(*) FROM t", -1, &stmt), ISOLDE_OK);
        assert_int_equal(isolde_step(stmt), ISOLDE_ROW);
        assert_int_equal(isolde_column_int64(stmt, 0), !lost);
        assert_int_equal(isolde_finalize(stmt), ISOLDE_OK);
    }
    assert_int_equal(isolde_disconnect(conn), ISOLDE_OK);
    assert_int_equal(isolde_close(db), ISOLDE_OK);
}

static int refuse_second(void *arg, int columns, const char *const *values, const char *const *names)
{
    (void)columns, (void)values, (void)names;
    return ++*(int *)arg == 2;
}

static void what_the_callback_refuses_is_not_committed(void **state)
{
    isolde_db *db;
    isolde_conn *conn;
    int rows = 0;

    assert_int_equal(isolde_open(":memory:", NULL, &db, NULL), ISOLDE_OK);
    assert_int_equal(isolde_connect(db, &conn, NULL), ISOLDE_OK);
    assert_int_equal(isolde_exec(conn, "CREATE TABLE t (a int)", NULL, NULL), ISOLDE_OK);
    assert_int_equal(isolde_exec(conn, "INSERT INTO t VALUES (1), (2), (3) RETURNING a", refuse_second, &rows), ISOLDE_ERROR);
    assert_string_equal(isolde_error_sqlstate(isolde_error(conn)), "57014");
    assert_int_equal(rows, 2);
    assert_int_equal(isolde_exec(conn, "SELECT a FROM t", refuse_second, &rows), ISOLDE_OK);
    assert_int_equal(rows, 2);
    assert_int_equal(isolde_disconnect(conn), ISOLDE_OK);
    assert_int_equal(isolde_close(db), ISOLDE_OK);
}

/* ---- opening and closing -------------------------------------------------------------------------- */

static const char options[] = "cache_size=2MB max_wal_size=8MB synchronous=full";

/* Opens a copy of the disk, connects and disconnects and closes, with the n-th allocation failing.  Then the copy is opened once
 * more, and must hold what the disk holds.  False when fewer were made. */
static bool try_open(struct trial *trial, struct vfs *disk, uint64_t n, bool lasting)
{
    struct vfs *copy = fault_copy(disk);
    isolde_db *db;
    isolde_err *err;
    isolde_conn *conn;

    trial_watch(trial, true);
    if (lasting)
        mem_fail_from(n);
    else
        mem_fail_at(n);
    int code = api_open_on(copy, "t.db", options, &db, &err);
    if (code != ISOLDE_OK && (!err || !is_memory(isolde_error_sqlstate(err))) && !(lasting && !err))
        trial_fail(trial, "opening: %s %s", err ? isolde_error_sqlstate(err) : "no error", err ? isolde_error_message(err) : "");
    isolde_error_free(err);
    if (code == ISOLDE_OK) {
        if (isolde_connect(db, &conn, &err) == ISOLDE_OK)
            assert_int_equal(isolde_disconnect(conn), ISOLDE_OK);
        else if (err && !is_memory(isolde_error_sqlstate(err)))
            trial_fail(trial, "connecting: %s %s", isolde_error_sqlstate(err), isolde_error_message(err));
        isolde_error_free(err);
        isolde_close(db);       /* which may say that it is not complete: then the log stays */
    }
    uint64_t made = mem_fail_at(0);
    fault_power_on(copy, FAULT_KILL, n);
    if (api_open_on(copy, "t.db", options, &db, &err) != ISOLDE_OK)
        trial_fail(trial, "opening again: %s %s", isolde_error_sqlstate(err), isolde_error_message(err));
    trial_open(trial, db, false);
    trial_judge(trial);
    trial_check(trial);
    trial_disconnect(trial);
    assert_int_equal(isolde_close(db), ISOLDE_OK);
    os_vfs_destroy(copy);
    tried++;
    return made >= n;
}

static void try_all_opens(struct trial *trial, struct vfs *disk, const char *what)
{
    uint64_t stride = count == 0 ? 1 : 8;

    for (uint64_t n = 1 + rng_below(&rng, stride); ; n += stride == 1 ? 1 : 1 + rng_below(&rng, 2 * stride - 1)) {
        bool lasting = rng_below(&rng, 2) == 0;
        snprintf(trial->told, sizeof trial->told, "%s, allocation %" PRIu64 " %s (SEED=%" PRIu64 ")", what, n,
                 lasting ? "and all later ones" : "alone", seed);
        if (!try_open(trial, disk, n, lasting))
            break;
    }
}

static void every_allocation_of_open_and_close_may_fail(void **state)
{
    static const struct trial_unit none = {"nothing", {{.kind = TRIAL_EXEC}}};
    struct trial trial = {0};
    struct vfs *disk = fault_vfs_new(seed), *crashed;
    isolde_db *db;

    snprintf(trial.told, sizeof trial.told, "making a database");
    assert_int_equal(api_open_on(disk, "t.db", options, &db, NULL), ISOLDE_OK);
    trial_open(&trial, db, true);
    trial_learn(&trial, &none);
    assert_int_equal(isolde_exec(trial.conn[0], "BEGIN; CREATE TABLE fresh (a int); INSERT INTO fresh VALUES (1);"
                                 "UPDATE t SET v = v + 1; INSERT INTO h VALUES (8, repeat('x', 30000)); DELETE FROM t WHERE id = 3",
                                 NULL, NULL), ISOLDE_OK);
    assert_int_equal(isolde_exec(trial.conn[1], "INSERT INTO t VALUES (99, 9, 'w99'); DELETE FROM t WHERE id = 99; CHECKPOINT;"
                                 "INSERT INTO h VALUES (98, 'gone'); DELETE FROM h WHERE k = 98", NULL, NULL), ISOLDE_OK);
    crashed = fault_copy(disk);
    assert_int_equal(isolde_exec(trial.conn[0], "ROLLBACK", NULL, NULL), ISOLDE_OK);
    trial_disconnect(&trial);
    assert_int_equal(isolde_close(db), ISOLDE_OK);
    try_all_opens(&trial, disk, "opening what was closed");
    try_all_opens(&trial, crashed, "opening what has crashed");
    trial_watch(&trial, false);
    trial_free(&trial);
    os_vfs_destroy(crashed);
    os_vfs_destroy(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_of_the_script_may_fail),
        cmocka_unit_test(every_allocation_of_open_and_close_may_fail),
        cmocka_unit_test(a_value_without_memory_is_an_error_and_undoes_its_group),
        cmocka_unit_test(what_the_callback_refuses_is_not_committed),
    };
    seed = from_environment("SEED", 1);
    count = from_environment("COUNT", TRIALS);
    rng_seed(&rng, seed);
    printf("test_memory seed=%" PRIu64 "\n", seed);
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    printf("test_memory seed=%" PRIu64 " count=%" PRIu64 " failures=%d\n", seed, tried, failures);
    return failures != 0;
}
