/*
 * The limits of the version store, as a program meets them: options of the open call, views of schema isolde, and SQLSTATE 72000.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/isolde.h"

static void run(isolde_conn *conn, const char *sql)
{
    if (isolde_exec(conn, sql, NULL, NULL) != ISOLDE_OK) {
        fail_msg("%s: %s", sql, isolde_error_message(isolde_error(conn)));
    }
}

static const char *failure(isolde_conn *conn, const char *sql)
{
    return isolde_exec(conn, sql, NULL, NULL) == ISOLDE_OK ? "" : isolde_error_sqlstate(isolde_error(conn));
}

/* The number in `column` of the first row. */
static long long number(isolde_conn *conn, const char *sql, int column)
{
    isolde_stmt *stmt;

    assert_int_equal(isolde_prepare(conn, sql, -1, &stmt), ISOLDE_OK);
    assert_int_equal(isolde_step(stmt), ISOLDE_ROW);
    long long value = atoll(isolde_column_text(stmt, column));
    isolde_finalize(stmt);
    return value;
}

static void an_idle_snapshot_is_seen_and_then_given_up(void **state)
{
    isolde_db *db;
    isolde_conn *idle, *young, *writer;

    assert_int_equal(isolde_open(":memory:", "version_store_memory=1MB version_store_disk=1MB", &db, NULL), ISOLDE_OK);
    isolde_connect(db, &idle, NULL);
    isolde_connect(db, &young, NULL);
    isolde_connect(db, &writer, NULL);
    run(writer, "CREATE TABLE t (id int PRIMARY KEY, v text)");
    run(writer, "INSERT INTO t SELECT g, repeat('x', 400) FROM generate_series(1, 20000) g");
    run(idle, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    run(idle, "SELECT count(*) FROM t");
    run(writer, "UPDATE t SET v = v || 'y' WHERE id <= 1000");
    assert_true(number(writer, "SELECT versions FROM isolde.snapshots ORDER BY age_ms DESC LIMIT 1", 0) >= 1000);
    assert_true(number(writer, "SELECT value FROM isolde.version_store WHERE name = 'memory'", 0) > 100000);
    run(writer, "UPDATE t SET v = v || 'z' WHERE id > 1000");
    run(young, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    run(young, "SELECT count(*) FROM t");
    run(writer, "UPDATE t SET v = 'new' WHERE id <= 100");
    assert_string_equal(failure(idle, "SELECT count(*) FROM t"), "72000");
    assert_string_equal(failure(idle, "SELECT count(*) FROM t"), "25P02");
    run(idle, "ROLLBACK");
    assert_int_equal(number(young, "SELECT count(*) FROM t WHERE v LIKE '%y'", 0), 1000);
    run(young, "COMMIT");
    run(idle, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    assert_int_equal(number(idle, "SELECT count(*) FROM t WHERE v = 'new'", 0), 100);
    run(idle, "COMMIT");
    isolde_disconnect(idle);
    isolde_disconnect(young);
    isolde_disconnect(writer);
    assert_int_equal(isolde_close(db), ISOLDE_OK);
}

static void limits_that_make_no_sense_are_refused(void **state)
{
    isolde_db *db;

    assert_int_equal(isolde_open(":memory:", "version_store_memory=10kB", &db, NULL), ISOLDE_ERROR);
    assert_int_equal(isolde_open(":memory:", "version_store_disk=much", &db, NULL), ISOLDE_ERROR);
}

/* The first line that EXPLAIN gives with this word in it, or "". */
static void explained(isolde_conn *conn, const char *sql, const char *word, char line[200])
{
    char text[600];
    isolde_stmt *stmt;

    snprintf(text, sizeof text, "EXPLAIN %s", sql);
    line[0] = '\0';
    assert_int_equal(isolde_prepare(conn, text, -1, &stmt), ISOLDE_OK);
    while (isolde_step(stmt) == ISOLDE_ROW)
        if (!line[0] && strstr(isolde_column_text(stmt, 0), word))
            snprintf(line, 200, "%s", isolde_column_text(stmt, 0));
    isolde_finalize(stmt);
}

static void views_of_the_engine_are_joined_and_searched_like_tables(void **state)
{
    static const char joined[] = "SELECT count(v.value) FROM (VALUES ('memory'), ('disk'), ('no such'), ('memory')) w (name)"
                                 " LEFT JOIN isolde.version_store v ON v.name = w.name";
    static const char ranged[] = "SELECT count(*) FROM isolde.version_store WHERE name >= 'memory' AND name < 'rows_s'";
    isolde_db *db;
    isolde_conn *conn;
    char line[200];

    assert_int_equal(isolde_open(":memory:", "", &db, NULL), ISOLDE_OK);
    isolde_connect(db, &conn, NULL);
    assert_int_equal(number(conn, joined, 0), 3);
    assert_int_equal(number(conn, ranged, 0), 4);
    run(conn, "SET enable_hashjoin = off; SET enable_seqscan = off");
    explained(conn, joined, "version_store", line);
    assert_non_null(strstr(line, "Index Scan using version_store_name_index"));
    assert_int_equal(number(conn, joined, 0), 3);
    assert_int_equal(number(conn, ranged, 0), 4);
    assert_int_equal(number(conn, "SELECT count(*) FROM (SELECT name FROM isolde.version_store ORDER BY name DESC LIMIT 2) s"
                                  " WHERE name LIKE 'v%' OR name LIKE 's%'", 0), 2);
    assert_int_equal(number(conn, "SELECT count(*) FROM isolde.version_store WHERE name IN ('disk', 'memory', 'disk')", 0), 2);
    assert_string_equal(failure(conn, "DELETE FROM isolde.version_store"), "42501");
    assert_string_equal(failure(conn, "DROP TABLE isolde.version_store"), "42501");
    assert_string_equal(failure(conn, "SELECT * FROM version_store"), "42P01");
    isolde_disconnect(conn);
    assert_int_equal(isolde_close(db), ISOLDE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_snapshot_is_seen_and_then_given_up),
        cmocka_unit_test(limits_that_make_no_sense_are_refused),
        cmocka_unit_test(views_of_the_engine_are_joined_and_searched_like_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
