/*
 * CHECK DATABASE finds rows that no statement could have made: they are put into a table's tree past SQL, as they lie in another table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/api/api_int.h"
#include "src/isolde.h"
#include "txn/txn.h"

static void run(isolde_conn *conn, const char *sql)
{
    if (isolde_exec(conn, sql, NULL, NULL) != ISOLDE_OK) {
        fail_msg("%s: %s", sql, isolde_error_message(isolde_error(conn)));
    }
}

static TreeId tree_of(isolde_conn *conn, const char *table)
{
    char sql[200];
    isolde_stmt *stmt;

    snprintf(sql, sizeof(sql), "SELECT relfilenode FROM pg_class WHERE relname = '%s'", table);
    assert_int_equal(isolde_prepare(conn, sql, -1, &stmt), ISOLDE_OK);
    assert_int_equal(isolde_step(stmt), ISOLDE_ROW);
    TreeId tree = (TreeId)isolde_column_int64(stmt, 0);
    isolde_finalize(stmt);
    return tree;
}

struct raw_rows {
    struct raw_row {
        uint8_t key[64], value[512];
        size_t key_len, value_len;
    } list[16];
    size_t count;
};

static int take_row(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    struct raw_rows *rows = arg;
    struct raw_row *raw = &rows->list[rows->count++];

    assert_true(rows->count <= 16 && row->key.len <= sizeof(raw->key) && row->value.len <= sizeof(raw->value));
    memcpy(raw->key, row->key.data, row->key.len);
    memcpy(raw->value, row->value.data, row->value.len);
    raw->key_len = row->key.len;
    raw->value_len = row->value.len;
    return 0;
}

/* All rows of one table's tree are put into another's. */
static void copy_raw(isolde_db *db, TreeId from, TreeId to)
{
    struct txn_session *session;
    struct raw_rows rows = { .count = 0 };
    struct btree_range everything = { .low_inclusive = true };
    struct btree *tree;
    struct txn_scan scan;
    struct txn_outcome outcome;
    struct op op;
    bool more = true;

    op_init(&op);
    assert_int_equal(txn_session_open(&op, db->manager, &session), 0);
    assert_int_equal(txn_begin(&op, session, TXN_READ_COMMITTED, false, false), 0);
    assert_int_equal(txn_statement_begin(&op, session), 0);
    assert_int_equal(btree_open(&op, db->store, from, &tree), 0);
    txn_scan_open(&scan, session, tree, &everything, false);
    while (more) {
        assert_int_equal(txn_scan_next(&op, &scan, take_row, &rows, &more), 0);
    }
    txn_scan_close(&scan);
    assert_int_equal(btree_open(&op, db->store, to, &tree), 0);
    for (size_t i = 0; i < rows.count; i++) {
        struct raw_row *raw = &rows.list[i];
        assert_int_equal(txn_insert(&op, session, tree, (struct bytes){ raw->key, raw->key_len },
                                    (struct bytes){ raw->value, raw->value_len }, &outcome), 0);
        assert_int_equal(outcome.result, TXN_WRITTEN);
    }
    txn_statement_end(session);
    assert_int_equal(txn_commit(&op, session), 0);
    txn_session_close(session);
    op_end(&op);
}

static int add_line(void *arg, int columns, const char *const *values, const char *const *names)
{
    strncat(arg, values[0], 3000 - strlen(arg) - 2);
    strcat(arg, "\n");
    return 0;
}

static const char *report_of(isolde_conn *conn)
{
    static char report[3000];

    report[0] = '\0';
    if (isolde_exec(conn, "CHECK DATABASE", add_line, report) != ISOLDE_OK) {
        fail_msg("%s", isolde_error_message(isolde_error(conn)));
    }
    return report;
}

static void expect_line(const char *report, const char *line)
{
    if (strstr(report, line) == NULL) {
        fail_msg("no line \"%s\" in\n%s", line, report);
    }
}

static void rows_that_violate_constraints_are_found(void **state)
{
    isolde_db *db;
    isolde_conn *conn;

    assert_int_equal(isolde_open(":memory:", NULL, &db, NULL), ISOLDE_OK);
    assert_int_equal(isolde_connect(db, &conn, NULL), ISOLDE_OK);
    run(conn, "CREATE TABLE parent (id int PRIMARY KEY)");
    run(conn, "CREATE TABLE strict (id int PRIMARY KEY, n int CONSTRAINT positive CHECK (n > 0), "
              "twice int GENERATED ALWAYS AS (n * 2) STORED, p int CONSTRAINT of_parent REFERENCES parent, "
              "CONSTRAINT ratio CHECK (100 / n > 0))");
    run(conn, "CREATE TABLE loose (id int PRIMARY KEY, n int, twice int, p int)");
    run(conn, "CREATE TABLE keyless (a int, b text, CHECK (b <> 'bad'))");
    run(conn, "CREATE TABLE keyless_loose (a int, b text)");
    run(conn, "INSERT INTO parent VALUES (1)");
    run(conn, "INSERT INTO strict (id, n, p) VALUES (1, 5, 1), (2, 7, NULL)");
    run(conn, "INSERT INTO loose VALUES (10, -1, -2, 1), (11, 5, 11, 1), (12, 5, 10, 99), (13, NULL, NULL, NULL), (14, 0, 0, 1)");
    run(conn, "INSERT INTO keyless_loose VALUES (7, 'bad'), (8, 'good')");
    expect_line(report_of(conn), "no error found");
    copy_raw(db, tree_of(conn, "loose"), tree_of(conn, "strict"));
    copy_raw(db, tree_of(conn, "keyless_loose"), tree_of(conn, "keyless"));
    const char *report = report_of(conn);
    expect_line(report, "table \"strict\": the row with key (id)=(10) violates check constraint \"positive\"\n");
    expect_line(report, "table \"strict\": the row with key (id)=(11) does not hold what is generated for column \"twice\"\n");
    expect_line(report, "table \"strict\": key (p)=(99) of foreign key \"of_parent\" is not present in table \"parent\"\n");
    expect_line(report, "table \"strict\": the row with key (id)=(14) violates check constraint \"positive\"\n");
    expect_line(report, "table \"strict\": the row with key (id)=(14) cannot be tested against check constraint \"ratio\"\n");
    expect_line(report, "table \"keyless\": the row with key (a, b)=(7, bad) violates check constraint \"keyless_b_check\"\n");
    expect_line(report, "DAMAGED");
    assert_null(strstr(report, "(13)"));
    assert_null(strstr(report, "(12) "));
    /* What is not validated binds nobody. */
    run(conn, "DELETE FROM strict WHERE id >= 10");
    run(conn, "DELETE FROM keyless");
    run(conn, "ALTER TABLE loose ADD CONSTRAINT later CHECK (n > 0) NOT VALID");
    expect_line(report_of(conn), "no error found");
    isolde_disconnect(conn);
    assert_int_equal(isolde_close(db), ISOLDE_OK);
}

static long long number(isolde_conn *conn, const char *sql)
{
    isolde_stmt *stmt;

    assert_int_equal(isolde_prepare(conn, sql, -1, &stmt), ISOLDE_OK);
    assert_int_equal(isolde_step(stmt), ISOLDE_ROW);
    long long value = isolde_column_int64(stmt, 0);
    isolde_finalize(stmt);
    return value;
}

static void views_tell_of_log_and_scrub(void **state)
{
    isolde_db *db;
    isolde_conn *conn;

    assert_int_equal(isolde_open(":memory:", "max_wal_size=1MB", &db, NULL), ISOLDE_OK);
    assert_int_equal(isolde_connect(db, &conn, NULL), ISOLDE_OK);
    long long before = number(conn, "SELECT value FROM isolde.log WHERE name = 'end'");
    run(conn, "CREATE TABLE t (id int)");
    assert_true(number(conn, "SELECT value FROM isolde.log WHERE name = 'end'") > before);
    assert_true(number(conn, "SELECT value FROM isolde.log WHERE name = 'since_checkpoint'") > 0);
    run(conn, "CHECKPOINT");
    assert_true(number(conn, "SELECT value FROM isolde.log WHERE name = 'checkpoints'") > 0);
    assert_in_range(number(conn, "SELECT value FROM isolde.log WHERE name = 'limit'"), 800000, 1 << 20);
    assert_int_equal(number(conn, "SELECT count(*) FROM isolde.scrub"), 4);
    assert_int_equal(number(conn, "SELECT count(*) FROM isolde.damage d JOIN pg_class c ON c.relfilenode = d.tree"), 0);
    isolde_disconnect(conn);
    assert_int_equal(isolde_close(db), ISOLDE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_that_violate_constraints_are_found),
        cmocka_unit_test(views_tell_of_log_and_scrub),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
