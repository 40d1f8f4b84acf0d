/*
 * Wrong calls of the C API: they say so, and do nothing.
 */
#include "tests/unit/api/api_test.h"

static void null_handles_are_misuse(void **state)
{
    (void)state;
    isolde_err *err;
    isolde_conn *conn;
    isolde_stmt *stmt;
    assert_int_equal(isolde_open(NULL, NULL, NULL, &err), ISOLDE_MISUSE);
    assert_string_equal(isolde_error_sqlstate(err), "22023");
    isolde_error_free(err);
    assert_int_equal(isolde_connect(NULL, &conn, NULL), ISOLDE_MISUSE);
    assert_int_equal(isolde_exec(NULL, "SELECT 1", NULL, NULL), ISOLDE_MISUSE);
    assert_int_equal(isolde_prepare(NULL, "SELECT 1", -1, &stmt), ISOLDE_MISUSE);
    assert_null(stmt);
    assert_int_equal(isolde_step(NULL), ISOLDE_MISUSE);
    assert_int_equal(isolde_bind_int64(NULL, 1, 1), ISOLDE_MISUSE);
    assert_int_equal(isolde_finalize(NULL), ISOLDE_OK);
    assert_int_equal(isolde_disconnect(NULL), ISOLDE_OK);
    assert_int_equal(isolde_close(NULL), ISOLDE_OK);
    assert_string_equal(isolde_error_sqlstate(isolde_error(NULL)), "08003");
    assert_null(isolde_column_text(NULL, 0));
    isolde_interrupt(NULL);
}

static void closed_handles_are_misuse(void **state)
{
    struct fixture *f = *state;
    isolde_stmt *stmt;
    isolde_conn *conn;
    assert_int_equal(isolde_prepare(f->conn, "SELECT 1", -1, &stmt), ISOLDE_OK);
    assert_int_equal(isolde_finalize(stmt), ISOLDE_OK);
    assert_int_equal(isolde_finalize(stmt), ISOLDE_MISUSE);
    assert_int_equal(isolde_step(stmt), ISOLDE_MISUSE);
    assert_int_equal(isolde_connect(f->db, &conn, NULL), ISOLDE_OK);
    assert_int_equal(isolde_disconnect(conn), ISOLDE_OK);
    assert_int_equal(isolde_disconnect(conn), ISOLDE_MISUSE);
    assert_int_equal(isolde_exec(conn, "SELECT 1", NULL, NULL), ISOLDE_MISUSE);
}

static void a_database_with_connections_stays_open(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(isolde_close(f->db), ISOLDE_ERROR);
    expect(f->conn, "SELECT 1", "1");
}

static void numbers_out_of_range_are_misuse(void **state)
{
    struct fixture *f = *state;
    isolde_stmt *stmt;
    assert_int_equal(isolde_prepare(f->conn, "SELECT $1::int + 1", -1, &stmt), ISOLDE_OK);
    assert_int_equal(isolde_bind_int64(stmt, 0, 1), ISOLDE_MISUSE);
    assert_int_equal(isolde_bind_int64(stmt, 2, 1), ISOLDE_MISUSE);
    assert_null(isolde_column_name(stmt, 1));
    assert_null(isolde_column_text(stmt, 0));       /* no row yet */
    assert_int_equal(isolde_bind_int64(stmt, 1, 41), ISOLDE_OK);
    assert_int_equal(isolde_step(stmt), ISOLDE_ROW);
    assert_int_equal(isolde_column_int64(stmt, 0), 42);
    assert_int_equal(isolde_column_int64(stmt, 7), 0);
    assert_int_equal(isolde_column_type(stmt, -1), ISOLDE_NULL);
    isolde_finalize(stmt);
}

static void an_interruption_that_comes_too_late_hits_nothing(void **state)
{
    struct fixture *f = *state;
    isolde_interrupt(f->conn);      /* planning a join asks for interruptions, too */
    expect(f->conn, "SELECT count(*) FROM generate_series(1, 3) a JOIN generate_series(1, 3) b ON a < b", "3");
}

static void wrong_options_are_named(void **state)
{
    (void)state;
    static const char *const options[] = {"synchronous=maybe", "cache_size=many", "page_size=5000", "speed=high", "create"};
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        isolde_db *db;
        isolde_err *err;
        assert_int_equal(isolde_open(":memory:", options[i], &db, &err), ISOLDE_ERROR);
        assert_string_equal(isolde_error_sqlstate(err), "22023");
        assert_null(db);
        isolde_error_free(err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_handles_are_misuse),
        cmocka_unit_test_setup_teardown(closed_handles_are_misuse, open_memory, close_memory),
        cmocka_unit_test_setup_teardown(a_database_with_connections_stays_open, open_memory, close_memory),
        cmocka_unit_test_setup_teardown(numbers_out_of_range_are_misuse, open_memory, close_memory),
        cmocka_unit_test_setup_teardown(an_interruption_that_comes_too_late_hits_nothing, open_memory, close_memory),
        cmocka_unit_test(wrong_options_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
