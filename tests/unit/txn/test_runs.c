/* Rows appended in a run share one entry; nobody may notice. */
#include "tests/unit/txn/txn_test.h"

static void append_rows(struct db *db, int s, int from, int to)
{
    char key[16];
    for (int i = from; i < to; i++) {
        snprintf(key, sizeof(key), "k%04d", i);
        insert(db, s, key, "1");
    }
}

static int rows(struct db *db, int s)
{
    struct btree_range range = { .low_inclusive = true };
    struct listing listing;
    struct txn_scan scan;
    int count = 0;
    MUST(db, txn_statement_begin(&db->op, db->s[s]));
    txn_scan_open(&scan, db->s[s], db->tree, &range, false);
    for (bool more = true; more;) {
        memset(&listing, 0, sizeof(listing));
        MUST(db, txn_scan_next(&db->op, &scan, list_row, &listing, &more));
        count += listing.rows;
    }
    txn_scan_close(&scan);
    txn_statement_end(db->s[s]);
    return count;
}

static void a_load_needs_few_entries_and_is_invisible_until_it_commits(void **state)
{
    struct db db;
    db_open(&db, false);
    begin(&db, 1, TXN_READ_COMMITTED);
    begin(&db, 2, TXN_REPEATABLE_READ);
    assert_int_equal(rows(&db, 2), 0);
    append_rows(&db, 1, 0, 5000);
    assert_true(txn_version_bytes(db.manager) < 4096);
    begin(&db, 3, TXN_READ_COMMITTED);
    assert_int_equal(rows(&db, 3), 0);
    assert_int_equal(rows(&db, 1), 5000);
    assert_string_equal(get(&db, 3, "k4000"), "-");
    commit(&db, 1);
    assert_int_equal(rows(&db, 3), 5000);
    assert_int_equal(rows(&db, 2), 0);
    assert_string_equal(try_put(&db, 2, "k0100", "2"), "40001");
    undo(&db, 2);
    commit(&db, 3);
    MUST(&db, txn_purge(&db.op, db.manager));
    assert_int_equal(txn_version_bytes(db.manager), 0);
    db_close(&db);
}

static void a_row_of_a_run_can_be_waited_for_changed_and_deleted(void **state)
{
    struct db db;
    db_open(&db, false);
    begin(&db, 1, TXN_READ_COMMITTED);
    append_rows(&db, 1, 0, 100);
    begin(&db, 2, TXN_READ_COMMITTED);
    struct step step = { .kind = STEP_INSERT, .key = "k0050", .value = "2" };
    step_start(&step, &db, 2);
    assert_true(step_waiting(&step));
    put(&db, 1, "k0060", "x");
    delete(&db, 1, "k0070");
    commit(&db, 1);
    step_join(&step);
    assert_int_equal(step.outcome.result, TXN_DUPLICATE);
    assert_int_equal(rows(&db, 2), 99);
    begin(&db, 3, TXN_REPEATABLE_READ);
    assert_int_equal(rows(&db, 3), 99);
    delete(&db, 2, "k0010");
    commit(&db, 2);
    assert_int_equal(rows(&db, 3), 99);
    commit(&db, 3);
    db_close(&db);
}

static void rows_inserted_into_the_middle_of_a_run_are_no_part_of_it(void **state)
{
    struct db db;
    db_open(&db, false);
    begin(&db, 1, TXN_READ_COMMITTED);
    append_rows(&db, 1, 0, 100);
    begin(&db, 2, TXN_READ_COMMITTED);
    insert(&db, 2, "k0050a", "2");
    commit(&db, 2);
    MUST(&db, txn_purge(&db.op, db.manager));
    begin(&db, 2, TXN_READ_COMMITTED);
    assert_string_equal(scan(&db, 2, NULL, NULL, false, 0), "k0050a=2");
    append_rows(&db, 1, 100, 150);
    insert(&db, 2, "k0999", "2");
    append_rows(&db, 1, 150, 151);
    assert_int_equal(rows(&db, 2), 2);
    undo(&db, 1);
    assert_int_equal(rows(&db, 2), 2);
    commit(&db, 2);
    begin(&db, 3, TXN_READ_COMMITTED);
    assert_int_equal(rows(&db, 3), 2);
    commit(&db, 3);
    db_close(&db);
}

static void a_savepoint_cuts_the_run_short_and_it_goes_on(void **state)
{
    struct db db;
    struct txn_mark mark;
    db_open(&db, false);
    begin(&db, 1, TXN_READ_COMMITTED);
    append_rows(&db, 1, 0, 50);
    txn_mark(db.s[1], &mark);
    append_rows(&db, 1, 50, 90);
    put(&db, 1, "k0020", "x");
    put(&db, 1, "k0060", "x");
    MUST(&db, txn_rollback_to(&db.op, db.s[1], &mark));
    assert_int_equal(rows(&db, 1), 50);
    assert_string_equal(get(&db, 1, "k0020"), "1");
    append_rows(&db, 1, 60, 100);
    assert_int_equal(rows(&db, 1), 90);
    begin(&db, 2, TXN_READ_COMMITTED);
    insert(&db, 2, "k0055", "2");
    assert_int_equal(rows(&db, 2), 1);
    commit(&db, 2);
    begin(&db, 2, TXN_REPEATABLE_READ);
    assert_int_equal(rows(&db, 2), 1);
    commit(&db, 1);
    assert_int_equal(rows(&db, 2), 1);
    commit(&db, 2);
    begin(&db, 2, TXN_READ_COMMITTED);
    assert_int_equal(rows(&db, 2), 91);
    commit(&db, 2);
    db_close(&db);
}

static void a_scan_does_not_meet_rows_that_its_own_statement_appends(void **state)
{
    struct db db;
    struct txn_outcome outcome;
    struct listing listing;
    struct txn_scan scan;
    struct btree_range range = { .low_inclusive = true };
    char key[16];
    int seen = 0, number = 1000;
    db_open(&db, false);
    begin(&db, 1, TXN_READ_COMMITTED);
    append_rows(&db, 1, 0, 300);
    MUST(&db, txn_statement_begin(&db.op, db.s[1]));
    txn_scan_open(&scan, db.s[1], db.tree, &range, false);
    for (bool more = true; more;) {
        memset(&listing, 0, sizeof(listing));
        MUST(&db, txn_scan_next(&db.op, &scan, list_row, &listing, &more));
        seen += listing.rows;
        for (int i = 0; i < listing.rows; i++) {
            snprintf(key, sizeof(key), "k%04d", number++);
            MUST(&db, txn_insert(&db.op, db.s[1], db.tree, text(key), text("2"), &outcome));
            if (number % 50 == 0) {
                txn_next_command(db.s[1]);
            }
        }
    }
    txn_scan_close(&scan);
    txn_statement_end(db.s[1]);
    assert_int_equal(seen, 300);
    assert_int_equal(rows(&db, 1), 600);
    commit(&db, 1);
    db_close(&db);
}

static void a_serializable_reader_of_a_run_gets_its_edge(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "a=1");
    begin(&db, 1, TXN_SERIALIZABLE);
    begin(&db, 2, TXN_SERIALIZABLE);
    get(&db, 1, "a");
    append_rows(&db, 1, 0, 30);
    assert_string_equal(scan(&db, 2, "k0010", "k0020", false, 0), "");
    put(&db, 2, "a", "2");
    commit(&db, 1);
    assert_string_equal(try_commit(&db, 2), "40001");
    db_close(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_load_needs_few_entries_and_is_invisible_until_it_commits),
        cmocka_unit_test(a_row_of_a_run_can_be_waited_for_changed_and_deleted),
        cmocka_unit_test(rows_inserted_into_the_middle_of_a_run_are_no_part_of_it),
        cmocka_unit_test(a_savepoint_cuts_the_run_short_and_it_goes_on),
        cmocka_unit_test(a_scan_does_not_meet_rows_that_its_own_statement_appends),
        cmocka_unit_test(a_serializable_reader_of_a_run_gets_its_edge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
