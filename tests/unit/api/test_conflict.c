/* What a deadlock tells: who waited for whom, for which row, table or advisory lock, as DETAIL and as JSON. */
#include <pthread.h>
#include <unistd.h>

#include "tests/unit/api/api_test.h"

struct waiter {
    isolde_conn *conn;
    const char *sql;
    char answer[200];
    pthread_t thread;
};

static void *wait_for_it(void *arg)
{
    struct waiter *waiter = arg;
    snprintf(waiter->answer, sizeof waiter->answer, "%.199s", ask(waiter->conn, waiter->sql));
    return NULL;
}

static void start(struct waiter *waiter)
{
    assert_int_equal(pthread_create(&waiter->thread, NULL, wait_for_it, waiter), 0);
    while (!isolde_waiting(waiter->conn))
        usleep(500);
}

/* The text with each number that depends on what ran before replaced by '#': those behind "session" and "transaction". */
static const char *without_numbers(const char *text)
{
    static char out[4096];
    static const char *const words[] = {"ession ", "ransaction ", "\"session\":", "\"transaction\":"};
    size_t len = 0;

    for (const char *at = text; *at && len < sizeof out - 40;) {
        size_t word = 0;
        for (size_t i = 0; i < sizeof words / sizeof *words && !word; i++)
            word = strncmp(at, words[i], strlen(words[i])) == 0 ? strlen(words[i]) : 0;
        if (!word) {
            out[len++] = *at++;
            continue;
        }
        memcpy(out + len, at, word);
        len += word;
        at += word;
        if (*at >= '0' && *at <= '9')
            out[len++] = '#';
        at += strspn(at, "0123456789");
    }
    out[len] = '\0';
    return out;
}

/* `other` waits with one statement, then `conn` closes the circle with another, and fails. */
static void check(struct fixture *f, const char *mine, const char *others, const char *waits, const char *closes, const char *first,
                  const char *second)
{
    struct waiter waiter = {.conn = f->other, .sql = waits};
    char expected[2048];

    run(f->conn, "BEGIN");
    run(f->other, "BEGIN");
    ask(f->conn, mine);
    ask(f->other, others);
    start(&waiter);
    expect(f->conn, closes, "40P01 deadlock detected");
    const isolde_err *err = isolde_error(f->conn);
    snprintf(expected, sizeof expected,
             "Session # (transaction #) waits for %s; blocked by session # (transaction #).\n"
             "Session # (transaction #) waits for %s; blocked by session # (transaction #).\nSession #: %s\nSession #: %s",
             first, second, closes, waits);
    assert_string_equal(without_numbers(isolde_error_detail(err)), expected);
    assert_string_equal(isolde_error_hint(err), "The transaction might succeed if retried.");
    assert_int_equal(isolde_error_retryable(err), 1);
    run(f->conn, "ROLLBACK");
    pthread_join(waiter.thread, NULL);
    assert_null(strstr(waiter.answer, "40P01"));
    run(f->other, "ROLLBACK");
}

static void a_deadlock_names_rows_tables_and_numbers(void **state)
{
    struct fixture *f = *state;

    run(f->conn, "CREATE TABLE account (id int PRIMARY KEY, v int, name text UNIQUE)");
    run(f->conn, "CREATE TABLE odd (a text, b numeric(8,2), v int, PRIMARY KEY (b, a))");
    run(f->conn, "CREATE TABLE heap (v int)");
    run(f->conn, "INSERT INTO account VALUES (5, 0, 'x'), (6, 0, 'y')");
    run(f->conn, "INSERT INTO odd VALUES ('it''s', 12.50, 0)");
    run(f->conn, "INSERT INTO heap VALUES (1)");
    check(f, "UPDATE account SET v = 1 WHERE id = 5", "UPDATE account SET v = 1 WHERE id = 6",
          "SELECT * FROM account WHERE id = 5 FOR SHARE", "DELETE FROM account WHERE id = 6",
          "a lock FOR UPDATE on row (id)=(6) of table \"account\"", "a lock FOR SHARE on row (id)=(5) of table \"account\"");
    check(f, "INSERT INTO account VALUES (7, 0, 'new')", "UPDATE odd SET v = 1", "INSERT INTO account VALUES (8, 0, 'new')",
          "UPDATE odd SET v = 2", "a lock FOR NO KEY UPDATE on row (b, a)=(12.5, it's) of table \"odd\"",
          "a lock FOR UPDATE on key (name)=(new) of index \"account_name_key\" of table \"account\"");
    check(f, "LOCK TABLE heap; UPDATE account SET v = 1 WHERE id = 5", "SELECT pg_advisory_xact_lock(-7); UPDATE odd SET v = 1",
          "SELECT * FROM heap", "SELECT pg_advisory_xact_lock_shared(-7)", "ShareLock on advisory lock -7",
          "AccessShareLock on table \"heap\"");
    check(f, "SELECT pg_advisory_xact_lock(1, -2); UPDATE account SET v = 1 WHERE id = 5", "UPDATE odd SET v = 1",
          "SELECT pg_advisory_xact_lock(1, -2)", "UPDATE odd SET v = 2",
          "a lock FOR NO KEY UPDATE on row (b, a)=(12.5, it's) of table \"odd\"", "ExclusiveLock on advisory lock (1, -2)");
}

static void the_json_tells_the_same(void **state)
{
    struct fixture *f = *state;
    struct waiter waiter = {.conn = f->other, .sql = "UPDATE heap SET v = 3 WHERE v > 0"};

    run(f->conn, "CREATE TABLE \"a\"\"b\" (k text PRIMARY KEY)");
    run(f->conn, "CREATE TABLE heap (v int)");
    run(f->conn, "INSERT INTO \"a\"\"b\" VALUES (E'q\"\\\\\\n')");
    run(f->conn, "INSERT INTO heap VALUES (1)");
    assert_null(isolde_error_conflict(isolde_error(f->conn)));
    run(f->conn, "BEGIN");
    run(f->other, "BEGIN");
    run(f->conn, "UPDATE heap SET v = 2");
    run(f->other, "UPDATE \"a\"\"b\" SET k = 'z'");
    start(&waiter);
    expect(f->conn, "DELETE FROM \"a\"\"b\"", "40P01 deadlock detected");
    assert_string_equal(without_numbers(isolde_error_conflict(isolde_error(f->conn))),
        "{\"kind\":\"deadlock\",\"transactions\":["
        "{\"session\":#,\"transaction\":#,\"statement\":\"DELETE FROM \\\"a\\\"\\\"b\\\"\",\"victim\":true},"
        "{\"session\":#,\"transaction\":#,\"statement\":\"UPDATE heap SET v = 3 WHERE v > 0\",\"victim\":false}],\"edges\":["
        "{\"from\":0,\"to\":1,\"object\":\"row (k)=(q\\\"\\\\\\u000a) of table \\\"a\\\"b\\\"\",\"mode\":\"a lock FOR UPDATE\",\"queued\":false},"
        "{\"from\":1,\"to\":0,\"object\":\"row 1 of table \\\"heap\\\"\",\"mode\":\"a lock FOR NO KEY UPDATE\",\"queued\":false}]}");
    run(f->conn, "ROLLBACK");
    assert_null(isolde_error_conflict(isolde_error(f->conn)));
    pthread_join(waiter.thread, NULL);
    assert_string_equal(waiter.answer, "");
    run(f->other, "ROLLBACK");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_deadlock_names_rows_tables_and_numbers, open_memory, close_memory),
        cmocka_unit_test_setup_teardown(the_json_tells_the_same, open_memory, close_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
