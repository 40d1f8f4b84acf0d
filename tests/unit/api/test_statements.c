/*
 * Whole statements through the C API: what changes rows, what defines tables, what a transaction keeps and what it takes back.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "tests/unit/api/api_test.h"

/* ---- changing rows ---- */

static void insert_fills_in_defaults_and_nulls(void **state)
{
    struct fixture *f = *state;
    run(f->conn, "CREATE TABLE t (a int, b text DEFAULT 'none', c numeric(6,2) DEFAULT 1.5, d bool)");
    run(f->conn, "INSERT INTO t (a) VALUES (1), (2)");
    expect(f->conn, "INSERT INTO t VALUES (3, DEFAULT, 2.345, true) RETURNING *", "3|none|2.35|t");
    expect(f->conn, "INSERT INTO t DEFAULT VALUES RETURNING a, b", "null|none");
    expect(f->conn, "SELECT * FROM t WHERE a < 3 ORDER BY a", "1|none|1.50|null;2|none|1.50|null");
}

static void a_duplicate_key_names_constraint_and_value(void **state)
{
    struct fixture *f = *state;
    run(f->conn, "CREATE TABLE t (a int, b text, PRIMARY KEY (a, b), u int CONSTRAINT only_one UNIQUE)");
    run(f->conn, "INSERT INTO t VALUES (1, 'x', 1), (1, 'y', NULL), (2, 'x', NULL)");
    expect(f->conn, "INSERT INTO t VALUES (1, 'x', 9)", "23505 duplicate key value violates unique constraint \"t_pkey\"");
    const isolde_err *e = isolde_error(f->conn);
    assert_string_equal(isolde_error_detail(e), "Key (a, b)=(1, x) already exists.");
    assert_string_equal(isolde_error_constraint(e), "t_pkey");
    assert_string_equal(isolde_error_table(e), "t");
    expect(f->conn, "UPDATE t SET u = 1 WHERE b = 'y'", "23505 duplicate key value violates unique constraint \"only_one\"");
    expect(f->conn, "SELECT count(*) FROM t", "3");
}

static void a_null_in_a_not_null_column_shows_the_failing_row(void **state)
{
    struct fixture *f = *state;
    run(f->conn, "CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL)");
    expect(f->conn, "INSERT INTO t VALUES (1, NULL)",
           "23502 null value in column \"name\" of relation \"t\" violates not-null constraint");
    assert_string_equal(isolde_error_detail(isolde_error(f->conn)), "Failing row contains (1, null).");
    assert_string_equal(isolde_error_column(isolde_error(f->conn)), "name");
}

static void text_that_is_no_utf8_is_refused_on_every_way_in(void **state)
{
    static const struct { const char *text; int64_t len; } bad[] = { { "\xff\xfe", 2 }, { "a\0b", 3 }, { "\xc3", 1 }, { "\xed\xa0\x80", 3 } };
    struct fixture *f = *state;
    isolde_stmt *stmt;

    run(f->conn, "CREATE TABLE t (a text)");
    assert_int_equal(isolde_prepare(f->conn, "INSERT INTO t VALUES ($1)", -1, &stmt), ISOLDE_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bool taken = isolde_bind_text(stmt, 1, bad[i].text, bad[i].len) == ISOLDE_OK && isolde_step(stmt) == ISOLDE_DONE;
        assert_false(taken);
        assert_string_equal(isolde_error_sqlstate(isolde_error(f->conn)), "22021");
        isolde_reset(stmt);
    }
    assert_int_equal(isolde_bind_text(stmt, 1, "gr\xc3\xbcn", -1), ISOLDE_OK);
    assert_int_equal(isolde_step(stmt), ISOLDE_DONE);
    assert_int_equal(isolde_finalize(stmt), ISOLDE_OK);
    expect(f->conn, "SELECT a, length(a) FROM t", "gr\xc3\xbcn|4");
}

static void an_update_never_meets_a_row_twice(void **state)
{
    struct fixture *f = *state;
    run(f->conn, "CREATE TABLE t (id int PRIMARY KEY, n int)");
    run(f->conn, "CREATE INDEX ON t (n)");
    run(f->conn, "INSERT INTO t SELECT i, i FROM generate_series(1, 3000) AS g(i)");
    run(f->conn, "SET enable_seqscan = off");
    run(f->conn, "UPDATE t SET n = n + 1000 WHERE n > 0");
    expect(f->conn, "SELECT min(n), max(n), count(*) FROM t", "1001|4000|3000");
    run(f->conn, "UPDATE t SET id = id + 10000");
    expect(f->conn, "SELECT min(id), max(id), count(*) FROM t", "10001|13000|3000");
    run(f->conn, "INSERT INTO t SELECT id + 10000, n FROM t");
    expect(f->conn, "SELECT count(*) FROM t", "6000");
    assert_non_null(strstr(ask(f->conn, "CHECK DATABASE"), "no error found"));
}

static void keys_are_checked_row_by_row(void **state)
{
    struct fixture *f = *state;
    run(f->conn, "CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE)");
    run(f->conn, "INSERT INTO t VALUES (1, 10), (2, 20), (3, 30)");
    expect(f->conn, "UPDATE t SET id = id + 1", "23505 duplicate key value violates unique constraint \"t_pkey\"");
    run(f->conn, "UPDATE t SET id = id - 1");
    run(f->conn, "UPDATE t SET u = u - 10");
    expect(f->conn, "SELECT * FROM t ORDER BY id", "0|0;1|10;2|20");
    assert_non_null(strstr(ask(f->conn, "CHECK DATABASE"), "no error found"));
}

static void returning_and_set_may_hold_subqueries(void **state)
{
    struct fixture *f = *state;
    run(f->conn, "CREATE TABLE t (a int, b int)");
    run(f->conn, "INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)");
    expect(f->conn, "UPDATE t SET b = (SELECT max(a) FROM t) WHERE a > 1 RETURNING a, b, (SELECT sum(b) FROM t)", "2|3|6;3|3|6");
    expect(f->conn, "DELETE FROM t WHERE a IN (SELECT a FROM t WHERE a < 3) RETURNING a + b", "2;5");
}

/* ---- definitions ---- */

static void definitions_belong_to_their_transaction(void **state)
{
    struct fixture *f = *state;
    run(f->conn, "BEGIN");
    run(f->conn, "CREATE TABLE t (a int PRIMARY KEY)");
    run(f->conn, "INSERT INTO t VALUES (1)");
    expect(f->other, "SELECT * FROM t", "42P01 relation \"t\" does not exist");
    run(f->conn, "SAVEPOINT s");
    run(f->conn, "CREATE INDEX i ON t (a)");
    run(f->conn, "DROP TABLE t");
    expect(f->conn, "SELECT * FROM t", "42P01 relation \"t\" does not exist");
    run(f->conn, "ROLLBACK TO s");
    expect(f->conn, "SELECT * FROM t", "1");
    expect(f->conn, "SELECT relname FROM pg_class ORDER BY 1", "t;t_pkey");
    run(f->conn, "COMMIT");
    expect(f->other, "SELECT * FROM t", "1");
    run(f->conn, "BEGIN; DROP TABLE t; ROLLBACK");
    expect(f->other, "SELECT * FROM t", "1");
    run(f->conn, "DROP TABLE t");
    expect(f->other, "SELECT * FROM t", "42P01 relation \"t\" does not exist");
}

static void names_are_chosen_as_postgresql_chooses_them(void **state)
{
    struct fixture *f = *state;
    run(f->conn, "CREATE TABLE t (a int UNIQUE, b int, c int, UNIQUE (b, c), UNIQUE (a), PRIMARY KEY (c))");
    run(f->conn, "CREATE INDEX ON t (b, c); CREATE INDEX ON t (b, c); CREATE INDEX ON t (a DESC)");
    expect(f->conn, "SELECT relname FROM pg_class WHERE relkind = 'i' ORDER BY 1",
           "t_a_idx;t_a_key;t_b_c_idx;t_b_c_idx1;t_b_c_key;t_pkey");
    expect(f->conn, "CREATE INDEX t_pkey ON t (a)", "42P07 relation \"t_pkey\" already exists");
    expect(f->conn, "DROP INDEX t_a_key", "2BP01 cannot drop index t_a_key because constraint t_a_key on table t requires it");
    run(f->conn, "DROP INDEX t_a_idx");
    expect(f->conn, "DROP INDEX t_a_idx", "42704 index \"t_a_idx\" does not exist");
}

static void a_unique_index_is_refused_over_duplicates(void **state)
{
    struct fixture *f = *state;
    run(f->conn, "CREATE TABLE t (a int, b text)");
    run(f->conn, "INSERT INTO t VALUES (1, 'x'), (2, 'x'), (3, NULL), (4, NULL)");
    expect(f->conn, "CREATE UNIQUE INDEX u ON t (b)", "23505 could not create unique index \"u\"");
    assert_string_equal(isolde_error_detail(isolde_error(f->conn)), "Key (b)=(x) is duplicated.");
    run(f->conn, "DELETE FROM t WHERE a = 2");
    run(f->conn, "CREATE UNIQUE INDEX u ON t (b)");
    expect(f->conn, "INSERT INTO t VALUES (5, 'x')", "23505 duplicate key value violates unique constraint \"u\"");
    run(f->conn, "INSERT INTO t VALUES (5, NULL)");
    assert_non_null(strstr(ask(f->conn, "CHECK DATABASE"), "no error found"));
}

static void an_index_is_built_over_many_rows_of_every_type(void **state)
{
    struct fixture *f = *state;
    run(f->conn, "CREATE TABLE t (i int, n numeric, d double precision, s text, t date, b bool)");
    run(f->conn, "INSERT INTO t SELECT i, i / 7.0, i * 0.5, 'row ' || i, '2020-01-01'::date + i % 500, i % 2 = 0 "
                 "FROM generate_series(1, 5000) AS g(i)");
    run(f->conn, "INSERT INTO t VALUES (NULL, NULL, NULL, NULL, NULL, NULL), (0, 'NaN', '-infinity', '', '2000-02-29', false)");
    run(f->conn, "CREATE INDEX ON t (n, s); CREATE INDEX ON t (d DESC, i); CREATE INDEX ON t (t, b, s DESC); CREATE INDEX ON t (s)");
    assert_non_null(strstr(ask(f->conn, "CHECK DATABASE"), "no error found"));
    run(f->conn, "SET enable_seqscan = off");
    expect(f->conn, "SELECT i FROM t WHERE s = 'row 4711'", "4711");
    run(f->conn, "DELETE FROM t WHERE i % 3 = 0; UPDATE t SET s = upper(s), n = n + 1 WHERE i % 3 = 1");
    assert_non_null(strstr(ask(f->conn, "CHECK DATABASE"), "no error found"));
}

/* ---- prepared statements ---- */

static void a_prepared_statement_outlives_new_definitions(void **state)
{
    struct fixture *f = *state;
    isolde_stmt *stmt;
    run(f->conn, "CREATE TABLE t (a int PRIMARY KEY, b int); INSERT INTO t VALUES (1, 10), (2, 20)");
    assert_int_equal(isolde_prepare(f->conn, "SELECT b FROM t WHERE b = $1", -1, &stmt), ISOLDE_OK);
    assert_string_equal(isolde_column_type_name(stmt, 0), "integer");
    for (int round = 0; round < 4; round++) {
        if (round == 1)
            run(f->other, "CREATE INDEX ON t (b)");
        if (round == 2)
            run(f->other, "DROP TABLE t; CREATE TABLE t (b int, z text); INSERT INTO t VALUES (20, 'new')");
        if (round == 3)
            run(f->other, "DROP TABLE t; CREATE TABLE t (b text)");
        assert_int_equal(isolde_bind_int64(stmt, 1, 20), ISOLDE_OK);
        int code = isolde_step(stmt);
        if (round == 3) {
            assert_int_equal(code, ISOLDE_ERROR);
            break;
        }
        assert_int_equal(code, ISOLDE_ROW);
        assert_int_equal(isolde_column_int64(stmt, 0), 20);
        assert_int_equal(isolde_step(stmt), ISOLDE_DONE);
        assert_string_equal(isolde_command_tag(stmt), "SELECT 1");
    }
    assert_int_equal(isolde_finalize(stmt), ISOLDE_OK);
}

static void values_bound_as_anything_become_the_parameter_s_type(void **state)
{
    struct fixture *f = *state;
    isolde_stmt *stmt;
    run(f->conn, "CREATE TABLE t (a smallint, b numeric(5,1), c text, d date, e bool, f real)");
    assert_int_equal(isolde_prepare(f->conn, "INSERT INTO t VALUES ($1, $2, $3, $4, $5, $6)", -1, &stmt), ISOLDE_OK);
    assert_int_equal(isolde_parameter_count(stmt), 6);
    assert_int_equal(isolde_bind_int64(stmt, 1, 40000), ISOLDE_ERROR);
    assert_string_equal(isolde_error_sqlstate(isolde_error(f->conn)), "22003");
    assert_int_equal(isolde_bind_text(stmt, 1, " 12 ", -1), ISOLDE_OK);
    assert_int_equal(isolde_bind_double(stmt, 2, 2.25), ISOLDE_OK);
    assert_int_equal(isolde_bind_int64(stmt, 3, 7), ISOLDE_OK);
    assert_int_equal(isolde_bind_text(stmt, 4, "2024-02-30", -1), ISOLDE_ERROR);
    assert_string_equal(isolde_error_sqlstate(isolde_error(f->conn)), "22008");
    assert_int_equal(isolde_bind_text(stmt, 4, "2024-02-29", -1), ISOLDE_OK);
    assert_int_equal(isolde_bind_bool(stmt, 5, 1), ISOLDE_OK);
    assert_int_equal(isolde_bind_null(stmt, 6), ISOLDE_OK);
    assert_int_equal(isolde_step(stmt), ISOLDE_DONE);
    assert_int_equal(isolde_rows_affected(stmt), 1);
    isolde_finalize(stmt);
    expect(f->conn, "SELECT * FROM t", "12|2.3|7|2024-02-29|t|null");
}

static void another_statement_may_run_while_rows_are_read(void **state)
{
    struct fixture *f = *state;
    isolde_stmt *reading;
    run(f->conn, "CREATE TABLE t (a int PRIMARY KEY)");
    run(f->conn, "INSERT INTO t SELECT i FROM generate_series(1, 3000) AS g(i)");
    assert_int_equal(isolde_prepare(f->conn, "SELECT a FROM t ORDER BY a", -1, &reading), ISOLDE_OK);
    for (int i = 1; i <= 3000; i++) {
        assert_int_equal(isolde_step(reading), ISOLDE_ROW);
        assert_int_equal(isolde_column_int64(reading, 0), i);
        if (i % 500 == 1)
            run(f->conn, "DELETE FROM t WHERE a > 1500");
    }
    assert_int_equal(isolde_step(reading), ISOLDE_DONE);
    isolde_finalize(reading);
    expect(f->conn, "SELECT count(*) FROM t", "1500");
}

/* ---- transactions ---- */

static void statements_of_one_text_form_one_transaction(void **state)
{
    struct fixture *f = *state;
    run(f->conn, "CREATE TABLE t (a int)");
    expect(f->conn, "INSERT INTO t VALUES (1); SELECT 1/0; INSERT INTO t VALUES (2)", "22012 division by zero");
    expect(f->conn, "SELECT count(*) FROM t", "0");
    expect(f->conn, "INSERT INTO t VALUES (1); COMMIT; INSERT INTO t VALUES (2); SELECT 1/0", "22012 division by zero");
    expect(f->conn, "SELECT a FROM t", "1");
    expect(f->conn, "INSERT INTO t VALUES (5); SELEC", "42601 syntax error at or near \"SELEC\"");
    assert_int_equal(isolde_error_position(isolde_error(f->conn)), 27);
    expect(f->conn, "SELECT a FROM t", "1");
}

static void a_failed_block_hears_only_its_end(void **state)
{
    struct fixture *f = *state;
    run(f->conn, "CREATE TABLE t (a int PRIMARY KEY)");
    run(f->conn, "BEGIN; INSERT INTO t VALUES (1); SAVEPOINT s; INSERT INTO t VALUES (2)");
    expect(f->conn, "INSERT INTO t VALUES (1)", "23505 duplicate key value violates unique constraint \"t_pkey\"");
    assert_int_equal(isolde_transaction_status(f->conn), 'E');
    expect(f->conn, "SELECT 1", "25P02 current transaction is aborted, commands ignored until end of transaction block");
    run(f->conn, "ROLLBACK TO s");
    assert_int_equal(isolde_transaction_status(f->conn), 'T');
    run(f->conn, "INSERT INTO t VALUES (3); RELEASE s");
    expect(f->conn, "ROLLBACK TO s", "3B001 savepoint \"s\" does not exist");
    isolde_stmt *stmt;
    assert_int_equal(isolde_prepare(f->conn, "COMMIT", -1, &stmt), ISOLDE_OK);
    assert_int_equal(isolde_step(stmt), ISOLDE_DONE);
    assert_string_equal(isolde_command_tag(stmt), "ROLLBACK");
    isolde_finalize(stmt);
    expect(f->conn, "SELECT count(*) FROM t", "0");
}

static void settings_are_undone_with_their_transaction(void **state)
{
    struct fixture *f = *state;
    run(f->conn, "SET work_mem = '8MB'");
    run(f->conn, "BEGIN; SET work_mem = '16MB'; SAVEPOINT s; SET LOCAL work_mem = '2048kB'");
    expect(f->conn, "SHOW work_mem", "2MB");
    run(f->conn, "ROLLBACK TO s");
    expect(f->conn, "SHOW work_mem", "16MB");
    run(f->conn, "ROLLBACK");
    expect(f->conn, "SHOW work_mem", "8MB");
    run(f->conn, "BEGIN; SET LOCAL work_mem = '1GB'; SET lock_timeout = '90s'; COMMIT");
    expect(f->conn, "SHOW work_mem", "8MB");
    expect(f->conn, "SHOW lock_timeout", "90s");
    expect(f->conn, "SET lock_timeout = -1", "22023 -1 ms is outside the valid range for parameter \"lock_timeout\" (0 .. 2147483647)");
    expect(f->conn, "SHOW nonsense", "42704 unrecognized configuration parameter \"nonsense\"");
    run(f->conn, "RESET work_mem");
    expect(f->conn, "SHOW work_mem", "4MB");
}

static void repeatable_read_refuses_a_layout_it_has_not_seen(void **state)
{
    struct fixture *f = *state;
    run(f->conn, "CREATE TABLE t (a int PRIMARY KEY, b int); INSERT INTO t VALUES (1, 1); CREATE TABLE s (a int)");
    run(f->conn, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM s");
    run(f->other, "CREATE INDEX ON t (b)");
    expect(f->conn, "SELECT * FROM t WHERE b = 1", "1|1");
    run(f->conn, "INSERT INTO t VALUES (2, 2); COMMIT");
    assert_non_null(strstr(ask(f->conn, "CHECK DATABASE"), "no error found"));
    run(f->conn, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM s");
    run(f->other, "DROP TABLE t; CREATE TABLE t (z text)");
    assert_memory_equal(ask(f->conn, "SELECT * FROM t"), "40001", 5);
    run(f->conn, "ROLLBACK");
}

struct blocked {
    isolde_conn *conn;
    const char *sql;
    char answer[256];
    atomic_bool done;
};

static void *run_blocked(void *arg)
{
    struct blocked *b = arg;
    snprintf(b->answer, sizeof b->answer, "%s", ask(b->conn, b->sql));
    atomic_store(&b->done, true);
    return NULL;
}

/* Runs sql in the other connection, where it must wait, then `release` in the first. */
static const char *wait_then(struct fixture *f, const char *sql, const char *release, struct blocked *b)
{
    pthread_t thread;
    *b = (struct blocked){.conn = f->other, .sql = sql};
    assert_int_equal(pthread_create(&thread, NULL, run_blocked, b), 0);
    while (!isolde_waiting(f->other) && !atomic_load(&b->done))
        ;
    assert_false(atomic_load(&b->done));
    run(f->conn, release);
    pthread_join(thread, NULL);
    return b->answer;
}

static void read_committed_judges_a_changed_row_again(void **state)
{
    struct fixture *f = *state;
    struct blocked b;
    run(f->conn, "CREATE TABLE t (id int PRIMARY KEY, n int, s text); INSERT INTO t VALUES (1, 5, 'a'), (2, 7, 'b'), (3, 9, 'c')");
    run(f->conn, "BEGIN; UPDATE t SET n = 1, s = 'changed' WHERE id = 1; UPDATE t SET n = 8, s = 'kept' WHERE id = 2");
    assert_string_equal(wait_then(f, "UPDATE t SET n = n + 100 WHERE n > 3 RETURNING *", "COMMIT", &b), "2|108|kept;3|109|c");
    expect(f->conn, "SELECT * FROM t ORDER BY id", "1|1|changed;2|108|kept;3|109|c");
    run(f->conn, "BEGIN; DELETE FROM t WHERE id = 2");
    assert_string_equal(wait_then(f, "DELETE FROM t WHERE n > 100 RETURNING id", "COMMIT", &b), "3");
}

static void read_committed_follows_a_row_to_its_new_key(void **state)
{
    struct fixture *f = *state;
    struct blocked b;
    run(f->conn, "CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 5), (2, 6)");
    run(f->conn, "BEGIN; UPDATE t SET id = 10 WHERE id = 1");
    assert_string_equal(wait_then(f, "UPDATE t SET n = n + 1 WHERE n = 5 RETURNING *", "COMMIT", &b), "10|6");
    run(f->conn, "BEGIN; UPDATE t SET id = 20 WHERE id = 2");
    assert_string_equal(wait_then(f, "UPDATE t SET n = n + 1 WHERE id = 2 RETURNING *", "COMMIT", &b), "");
    run(f->conn, "UPDATE t SET n = 0");
    expect(f->conn, "SELECT * FROM t ORDER BY id", "10|0;20|0");
}

static void first_updater_wins_at_repeatable_read(void **state)
{
    struct fixture *f = *state;
    struct blocked b;
    run(f->conn, "CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 5)");
    run(f->conn, "BEGIN; UPDATE t SET n = 6");
    run(f->other, "SET default_transaction_isolation = 'repeatable read'");
    assert_string_equal(wait_then(f, "UPDATE t SET n = 7", "COMMIT", &b), "40001 could not serialize access due to concurrent update");
    run(f->other, "UPDATE t SET n = 7");
}

static void a_second_inserter_waits_for_the_first(void **state)
{
    struct fixture *f = *state;
    struct blocked b;
    run(f->conn, "CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE)");
    run(f->conn, "BEGIN; INSERT INTO t VALUES (1, 1)");
    assert_string_equal(wait_then(f, "INSERT INTO t VALUES (2, 1)", "COMMIT", &b),
                        "23505 duplicate key value violates unique constraint \"t_u_key\"");
    run(f->conn, "BEGIN; INSERT INTO t VALUES (3, 3)");
    assert_string_equal(wait_then(f, "INSERT INTO t VALUES (4, 3)", "ROLLBACK", &b), "");
    expect(f->conn, "SELECT * FROM t ORDER BY id", "1|1;4|3");
}

static void an_index_dropped_after_the_snapshot_is_gone(void **state)
{
    struct fixture *f = *state;
    run(f->conn, "CREATE TABLE t (u int); CREATE TABLE x (n int); CREATE INDEX i ON t (u)");
    run(f->other, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    expect(f->other, "SELECT count(*) FROM x", "0");
    run(f->conn, "DROP INDEX i");
    run(f->other, "DROP INDEX IF EXISTS i");
    expect(f->other, "DROP INDEX i", "42704 index \"i\" does not exist");
    run(f->other, "ROLLBACK");
}

static void a_table_lock_holds_definitions_back(void **state)
{
    struct fixture *f = *state;
    struct blocked b;
    run(f->conn, "CREATE TABLE t (id int PRIMARY KEY)");
    run(f->conn, "BEGIN; INSERT INTO t VALUES (1)");
    assert_string_equal(wait_then(f, "DROP TABLE t", "COMMIT", &b), "");
    run(f->conn, "CREATE TABLE t (id int PRIMARY KEY)");
    run(f->conn, "BEGIN; DROP TABLE t; CREATE TABLE t (id text, extra int)");
    assert_string_equal(wait_then(f, "INSERT INTO t VALUES (2)", "COMMIT", &b), "");
    run(f->conn, "SET lock_timeout = '10ms'");
    run(f->other, "BEGIN; DROP TABLE t");
    expect(f->conn, "SELECT * FROM t", "55P03 canceling statement due to lock timeout");
}

/* ---- plans and snapshots ---- */

enum { KEPT_BEFORE, KEPT_RUN_BEFORE, KEPT_IN_SNAPSHOT, KEPT_RUN_IN_SNAPSHOT, KEPT_AFTER_INDEX, KEPT_ORDERS };

static long sum_of(isolde_stmt *stmt, int v)
{
    long sum = 0;
    int code;

    assert_int_equal(isolde_bind_int64(stmt, 1, v), ISOLDE_OK);
    while ((code = isolde_step(stmt)) == ISOLDE_ROW)
        sum += (long)isolde_column_int64(stmt, 0);
    assert_int_equal(code, ISOLDE_DONE);
    return sum;
}

static void prepare_sum(struct fixture *f, isolde_stmt **stmt)
{
    assert_int_equal(isolde_prepare(f->conn, "SELECT id FROM p WHERE v = $1", -1, stmt), ISOLDE_OK);
}

/* An index made after the snapshot lacks what the snapshot sees: rows changed or deleted before the index was made, and an index that
 * had been dropped by then.  Whenever the statement was prepared and run, its rows are those of the snapshot; and in the next
 * transaction those of that one. */
static void check_plan_order(struct fixture *f, int order, const char *level, bool had_index)
{
    isolde_stmt *stmt = NULL;
    char begin[80];

    run(f->other, "DROP TABLE IF EXISTS p, q; CREATE TABLE q (a int); CREATE TABLE p (id int PRIMARY KEY, v int, w int);"
                  "INSERT INTO p SELECT i, i, i FROM generate_series(1, 1500) AS g(i)");
    if (had_index)
        run(f->other, "CREATE INDEX p_v ON p (v)");
    if (order == KEPT_BEFORE || order == KEPT_RUN_BEFORE)
        prepare_sum(f, &stmt);
    if (order == KEPT_RUN_BEFORE)
        assert_int_equal(sum_of(stmt, 7), 7);
    snprintf(begin, sizeof begin, "BEGIN ISOLATION LEVEL %s", level);
    run(f->conn, begin);
    expect(f->conn, "SELECT count(*) FROM q", "0");
    if (order == KEPT_IN_SNAPSHOT || order == KEPT_RUN_IN_SNAPSHOT)
        prepare_sum(f, &stmt);
    if (order == KEPT_RUN_IN_SNAPSHOT)
        assert_int_equal(sum_of(stmt, 7), 7);
    run(f->other, "UPDATE p SET v = v + 5000 WHERE id BETWEEN 5 AND 9; DELETE FROM p WHERE id = 12");
    if (had_index && order != KEPT_RUN_IN_SNAPSHOT)     /* which holds a lock on the table */
        run(f->other, "DROP INDEX p_v");
    run(f->other, "UPDATE p SET v = v + 5000 WHERE id BETWEEN 20 AND 29");
    run(f->other, "CREATE INDEX p_v2 ON p (v)");
    run(f->other, "UPDATE p SET v = v + 5000 WHERE id BETWEEN 40 AND 49; INSERT INTO p VALUES (2000, 7, 0)");
    if (order == KEPT_AFTER_INDEX)
        prepare_sum(f, &stmt);
    for (int turn = 0; turn < 2; turn++) {
        assert_int_equal(sum_of(stmt, 7), 7);
        assert_int_equal(sum_of(stmt, 12), 12);
        assert_int_equal(sum_of(stmt, 25), 25);
        assert_int_equal(sum_of(stmt, 45), 45);
        assert_int_equal(sum_of(stmt, 5007), 0);
        assert_int_equal(sum_of(stmt, 700), 700);
        run(f->other, "UPDATE p SET v = v + 5000 WHERE id = 700; UPDATE p SET v = v - 5000 WHERE id = 700");
    }
    run(f->conn, "COMMIT");
    for (int turn = 0; turn < 2; turn++) {
        run(f->conn, begin);
        assert_int_equal(sum_of(stmt, 7), 2000);
        assert_int_equal(sum_of(stmt, 12), 0);
        assert_int_equal(sum_of(stmt, 5025), 25);
        assert_int_equal(sum_of(stmt, 5045), 45);
        run(f->conn, "COMMIT");
    }
    assert_int_equal(sum_of(stmt, 5007), 7);
    isolde_finalize(stmt);
}

static void a_kept_plan_reads_no_index_younger_than_the_snapshot(void **state)
{
    for (int order = 0; order < KEPT_ORDERS; order++)
        for (int variant = 0; variant < 4; variant++)
            check_plan_order(*state, order, variant & 1 ? "SERIALIZABLE" : "REPEATABLE READ", variant & 2);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, open_memory, close_memory)
    const struct CMUnitTest tests[] = {
        test(insert_fills_in_defaults_and_nulls), test(a_duplicate_key_names_constraint_and_value),
        test(a_null_in_a_not_null_column_shows_the_failing_row), test(text_that_is_no_utf8_is_refused_on_every_way_in),
        test(an_update_never_meets_a_row_twice),
        test(keys_are_checked_row_by_row), test(returning_and_set_may_hold_subqueries),
        test(definitions_belong_to_their_transaction), test(names_are_chosen_as_postgresql_chooses_them),
        test(a_unique_index_is_refused_over_duplicates), test(an_index_is_built_over_many_rows_of_every_type),
        test(a_prepared_statement_outlives_new_definitions), test(values_bound_as_anything_become_the_parameter_s_type),
        test(another_statement_may_run_while_rows_are_read), test(statements_of_one_text_form_one_transaction),
        test(a_failed_block_hears_only_its_end), test(settings_are_undone_with_their_transaction),
        test(repeatable_read_refuses_a_layout_it_has_not_seen), test(read_committed_judges_a_changed_row_again),
        test(read_committed_follows_a_row_to_its_new_key), test(first_updater_wins_at_repeatable_read),
        test(a_second_inserter_waits_for_the_first), test(an_index_dropped_after_the_snapshot_is_gone),
        test(a_table_lock_holds_definitions_back),
        test(a_kept_plan_reads_no_index_younger_than_the_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
