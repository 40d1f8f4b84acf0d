/*
 * Many threads, one database: what must hold whatever they do at the same time.
 */
#include <pthread.h>
#include <time.h>

#include "tests/unit/api/api_test.h"

enum { THREADS = 4, ACCOUNTS = 20 };

static unsigned long seed;
static int count;

struct worker {
    struct fixture *f;
    isolde_conn *conn;
    const char *begin;
    unsigned state;
    int index, done, failed;
    char error[256];
};

static void note(struct worker *w)
{
    if (w->failed++ == 0)
        snprintf(w->error, sizeof w->error, "%s %s", isolde_error_sqlstate(isolde_error(w->conn)),
                 isolde_error_message(isolde_error(w->conn)));
}

static void run_threads(struct fixture *f, const char *begin, void *(*body)(void *))
{
    struct worker workers[THREADS];
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.f = f, .begin = begin, .state = (unsigned)seed * 31 + (unsigned)i,
                                     .index = i};
        assert_int_equal(isolde_connect(f->db, &workers[i].conn, NULL), ISOLDE_OK);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, body, &workers[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(isolde_disconnect(workers[i].conn), ISOLDE_OK);
        if (workers[i].failed)
            fail_msg("worker %d: %d failures, first: %s", i, workers[i].failed, workers[i].error);
    }
}

/* ---- the bank ---- */

static int transfer(isolde_conn *conn, void *arg)
{
    struct worker *w = arg;
    int from = rand_r(&w->state) % ACCOUNTS, to = rand_r(&w->state) % ACCOUNTS, amount = rand_r(&w->state) % 10;
    char sql[256];
    snprintf(sql, sizeof sql, "UPDATE account SET balance = balance - %d WHERE id = %d", amount, from);
    if (isolde_exec(conn, sql, NULL, NULL) != ISOLDE_OK)
        return -1;
    snprintf(sql, sizeof sql, "UPDATE account SET balance = balance + %d WHERE id = %d", amount, to);
    return isolde_exec(conn, sql, NULL, NULL) != ISOLDE_OK ? -1 : 0;
}

static void *transfers(void *arg)
{
    struct worker *w = arg;
    for (int i = 0; i < count; i++)
        if (isolde_run(w->conn, w->begin, transfer, w, 1000) != 0)
            note(w);
    return NULL;
}

static void check_bank(void **state, const char *begin)
{
    struct fixture *f = *state;
    run(f->conn, "CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL)");
    run(f->conn, "INSERT INTO account SELECT i, 100 FROM generate_series(0, 19) AS g(i)");
    run(f->conn, "CREATE INDEX ON account (balance)");
    run_threads(f, begin, transfers);
    expect(f->conn, "SELECT count(*), sum(balance) FROM account", "20|2000");
    run(f->conn, "SET enable_seqscan = off");
    expect(f->conn, "SELECT count(*), sum(balance) FROM account WHERE balance > -1000000", "20|2000");
    assert_non_null(strstr(ask(f->conn, "CHECK DATABASE"), "no error found"));
}

static void transfers_keep_the_total_at_read_committed(void **state) { check_bank(state, "BEGIN ISOLATION LEVEL READ COMMITTED"); }
static void transfers_keep_the_total_at_repeatable_read(void **state) { check_bank(state, "BEGIN ISOLATION LEVEL REPEATABLE READ"); }
static void transfers_keep_the_total_at_serializable(void **state) { check_bank(state, "BEGIN ISOLATION LEVEL SERIALIZABLE"); }

/* ---- one unique key ---- */

static void *take_numbers(void *arg)
{
    struct worker *w = arg;
    for (int i = 0; i < count; i++) {
        char sql[128];
        snprintf(sql, sizeof sql, "INSERT INTO taken VALUES (%d)", i);
        if (isolde_exec(w->conn, sql, NULL, NULL) == ISOLDE_OK)
            w->done++;
        else if (strcmp(isolde_error_sqlstate(isolde_error(w->conn)), "23505") != 0)
            note(w);
    }
    return NULL;
}

static void each_unique_key_is_taken_once(void **state)
{
    struct fixture *f = *state;
    char expected[64];
    run(f->conn, "CREATE TABLE taken (n int UNIQUE)");
    run_threads(f, NULL, take_numbers);
    snprintf(expected, sizeof expected, "%d|%d", count, count);
    expect(f->conn, "SELECT count(*), count(DISTINCT n) FROM taken", expected);
    assert_non_null(strstr(ask(f->conn, "CHECK DATABASE"), "no error found"));
}

/* ---- definitions change while others work ---- */

static bool is_expected(isolde_conn *conn)
{
    static const char *const states[] = {"40001", "40P01", "42P01", "42P07", "42704", "23505"};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (strcmp(isolde_error_sqlstate(isolde_error(conn)), states[i]) == 0)
            return true;
    return false;
}

static void *work_and_redefine(void *arg)
{
    static const char *const statements[] = {
        "CREATE TABLE IF NOT EXISTS moving (a int PRIMARY KEY, b int)", "DROP TABLE IF EXISTS moving",
        "CREATE INDEX IF NOT EXISTS moving_b ON moving (b)", "DROP INDEX IF EXISTS moving_b",
        "BEGIN; DROP TABLE moving; CREATE TABLE moving (a int PRIMARY KEY, b int, c text DEFAULT 'new'); COMMIT",
        "BEGIN; CREATE INDEX moving_b ON moving (b); SELECT count(*) FROM moving WHERE b > 3; ROLLBACK",
    };
    struct worker *w = arg;
    for (int i = 0; i < count / 4; i++) {
        char sql[160];
        int n = rand_r(&w->state) % 1000, what = rand_r(&w->state) % 12;
        if (what < 6)
            snprintf(sql, sizeof sql, "%s", statements[what]);
        else if (what < 9)
            snprintf(sql, sizeof sql, "INSERT INTO moving (a, b) VALUES (%d, %d)", n, n % 10);
        else if (what < 11)
            snprintf(sql, sizeof sql, "UPDATE moving SET b = b + 1 WHERE a < %d", n);
        else
            snprintf(sql, sizeof sql, "SELECT count(*) FROM moving WHERE b = %d", n % 10);
        if (isolde_exec(w->conn, sql, NULL, NULL) != ISOLDE_OK && !is_expected(w->conn))
            note(w);
        if (isolde_transaction_status(w->conn) != 'I')
            isolde_exec(w->conn, "ROLLBACK", NULL, NULL);
    }
    return NULL;
}

static void definitions_may_change_under_running_statements(void **state)
{
    struct fixture *f = *state;
    run_threads(f, NULL, work_and_redefine);
    assert_non_null(strstr(ask(f->conn, "CHECK DATABASE"), "no error found"));
}

/* Undone inserts leave ghosts for purge; the rollback then drops the trees in which they are. */
static void *fill_and_forget(void *arg)
{
    struct worker *w = arg;
    char sql[320];
    snprintf(sql, sizeof sql,
             "BEGIN; CREATE TABLE own%p (a int PRIMARY KEY); SAVEPOINT s; INSERT INTO own%p SELECT generate_series(1, 2000); "
             "ROLLBACK TO s; ROLLBACK", arg, arg);
    for (int i = 0; i < count / 8; i++)
        if (isolde_exec(w->conn, sql, NULL, NULL) != ISOLDE_OK)
            note(w);
    return NULL;
}

static void purge_stays_out_of_trees_that_a_rollback_drops(void **state)
{
    struct fixture *f = *state;
    run_threads(f, NULL, fill_and_forget);
    assert_non_null(strstr(ask(f->conn, "CHECK DATABASE"), "no error found"));
}

/* ---- CHECK DATABASE beside writers ---- */

static int change_words(isolde_conn *conn, void *arg)
{
    struct worker *w = arg;
    char sql[400];
    int id = rand_r(&w->state) % 60, len = rand_r(&w->state) % 4 ? 30 : 20000;
    const char *end = rand_r(&w->state) % 3 ? "" : "SAVEPOINT s; DELETE FROM word WHERE id % 3 = 0; ROLLBACK TO s;";
    snprintf(sql, sizeof sql,
             "DELETE FROM word WHERE id = %d; %s INSERT INTO word SELECT %d, %d, repeat('x', %d) WHERE NOT EXISTS (SELECT 1 FROM word "
             "WHERE id = %d); UPDATE word SET n = n + 1, text = repeat('y', %d) WHERE id = %d",
             id, end, id, id, len, id, len / 2, (id + 7) % 60);
    return isolde_exec(conn, sql, NULL, NULL) != ISOLDE_OK ? -1 : rand_r(&w->state) % 5 == 0;
}

static void *check_or_write(void *arg)
{
    struct worker *w = arg;
    if (w->index == 0) {
        for (int i = 0; i < count / 10; i++) {
            const char *verdict = ask(w->conn, "CHECK DATABASE");
            if (!strstr(verdict, "no error found") && !is_expected(w->conn) && w->failed++ == 0)
                snprintf(w->error, sizeof w->error, "%.250s", verdict);
        }
        return NULL;
    }
    for (int i = 0; i < count / 3; i++)
        if (isolde_run(w->conn, NULL, change_words, w, 1000) < 0)
            note(w);
    return work_and_redefine(w);
}

static void check_finds_nothing_beside_writers(void **state)
{
    struct fixture *f = *state;
    run(f->conn, "CREATE TABLE word (id int PRIMARY KEY, n int, text text); CREATE INDEX ON word (n)");
    run(f->conn, "INSERT INTO word SELECT i, i, repeat('z', i * 300) FROM generate_series(0, 59) AS g(i)");
    run_threads(f, NULL, check_or_write);
    assert_non_null(strstr(ask(f->conn, "CHECK DATABASE"), "no error found"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(transfers_keep_the_total_at_read_committed, open_memory, close_memory),
        cmocka_unit_test_setup_teardown(transfers_keep_the_total_at_repeatable_read, open_memory, close_memory),
        cmocka_unit_test_setup_teardown(transfers_keep_the_total_at_serializable, open_memory, close_memory),
        cmocka_unit_test_setup_teardown(each_unique_key_is_taken_once, open_memory, close_memory),
        cmocka_unit_test_setup_teardown(definitions_may_change_under_running_statements, open_memory, close_memory),
        cmocka_unit_test_setup_teardown(check_finds_nothing_beside_writers, open_memory, close_memory),
        cmocka_unit_test_setup_teardown(purge_stays_out_of_trees_that_a_rollback_drops, open_memory, close_memory),
    };
    seed = getenv("SEED") ? strtoul(getenv("SEED"), NULL, 10) : 1;
    count = getenv("COUNT") ? atoi(getenv("COUNT")) : 300;
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    printf("api-threads seed=%lu count=%d failures=%d\n", seed, count, failures);
    return failures != 0;
}
