/* The anomalies that SERIALIZABLE must prevent, and what it must let pass. */
#include "tests/unit/txn/txn_test.h"

static void write_skew_on_items_fails_for_one_of_the_two(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "x=1", "y=1");
    for (int order = 0; order < 2; order++) {
        begin(&db, 1, TXN_SERIALIZABLE);
        begin(&db, 2, TXN_SERIALIZABLE);
        get(&db, 1, "x");
        get(&db, 1, "y");
        get(&db, 2, "x");
        get(&db, 2, "y");
        put(&db, 1, "x", "0");
        put(&db, 2, "y", "0");
        assert_string_equal(try_commit(&db, order ? 2 : 1), "");
        assert_string_equal(try_commit(&db, order ? 1 : 2), "40001");
    }
    /* At REPEATABLE READ both commit. */
    begin(&db, 1, TXN_REPEATABLE_READ);
    begin(&db, 2, TXN_REPEATABLE_READ);
    get(&db, 1, "y");
    get(&db, 2, "x");
    put(&db, 1, "x", "5");
    put(&db, 2, "y", "5");
    commit(&db, 1);
    commit(&db, 2);
    db_close(&db);
}

static void write_skew_after_the_first_has_committed_fails_at_the_write(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "x=1", "y=1");
    begin(&db, 1, TXN_SERIALIZABLE);
    begin(&db, 2, TXN_SERIALIZABLE);
    get(&db, 1, "y");
    get(&db, 2, "x");
    put(&db, 1, "x", "0");
    commit(&db, 1);
    assert_string_equal(try_put(&db, 2, "y", "0"), "40001");
    undo(&db, 2);
    db_close(&db);
}

static void write_skew_on_ranges_and_phantoms_fails(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "a1=1", "b1=1");
    begin(&db, 1, TXN_SERIALIZABLE);
    begin(&db, 2, TXN_SERIALIZABLE);
    assert_string_equal(scan(&db, 1, "a", "c", false, 0), "a1=1 b1=1");
    assert_string_equal(scan(&db, 2, "a", "c", true, 0), "b1=1 a1=1");
    insert(&db, 1, "a2", "1");
    insert(&db, 2, "b2", "1");
    commit(&db, 1);
    assert_string_equal(try_commit(&db, 2), "40001");
    db_close(&db);
}

static void absent_keys_and_empty_trees_are_read_too(void **state)
{
    struct db db;
    db_open(&db, false);
    begin(&db, 1, TXN_SERIALIZABLE);
    begin(&db, 2, TXN_SERIALIZABLE);
    assert_string_equal(get(&db, 1, "k"), "-");
    assert_string_equal(scan(&db, 2, NULL, NULL, false, 0), "");
    insert(&db, 1, "l", "1");
    assert_string_equal(try_insert(&db, 2, "k", "1"), "");
    commit(&db, 2);
    assert_string_equal(try_commit(&db, 1), "40001");
    db_close(&db);
}

static void disjoint_ranges_of_one_small_table_both_commit(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "a1=1", "a2=1", "b1=1", "b2=1");
    begin(&db, 1, TXN_SERIALIZABLE);
    begin(&db, 2, TXN_SERIALIZABLE);
    assert_string_equal(scan(&db, 1, "a", "b", false, 0), "a1=1 a2=1");
    assert_string_equal(scan(&db, 2, "b", "c", false, 0), "b1=1 b2=1");
    put(&db, 1, "a1", "2");
    put(&db, 2, "b1", "2");
    insert(&db, 1, "a3", "2");
    insert(&db, 2, "b", "2");
    commit(&db, 1);
    commit(&db, 2);
    db_close(&db);
}

static void a_scan_that_stops_early_covers_only_what_it_walked(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "a=1", "b=1", "c=1", "d=1", "z=1");
    begin(&db, 1, TXN_SERIALIZABLE);
    begin(&db, 2, TXN_SERIALIZABLE);
    assert_string_equal(scan(&db, 1, NULL, NULL, false, 2), "a=1 b=1");
    assert_string_equal(get(&db, 2, "z"), "1");
    put(&db, 1, "z", "2");
    put(&db, 2, "c", "2");
    commit(&db, 2);
    commit(&db, 1);
    begin(&db, 1, TXN_SERIALIZABLE);
    begin(&db, 2, TXN_SERIALIZABLE);
    assert_string_equal(scan(&db, 1, NULL, NULL, true, 2), "z=2 d=1");
    assert_string_equal(get(&db, 2, "a"), "1");
    put(&db, 1, "a", "2");
    insert(&db, 2, "e", "2");
    commit(&db, 2);
    assert_string_equal(try_commit(&db, 1), "40001");
    db_close(&db);
}

static void the_read_only_anomaly_is_prevented(void **state)
{
    struct db db;
    db_open(&db, false);
    /* Fekete, O'Neil, O'Neil 2004: savings y, checking x. */
    FILL(&db, "x=0", "y=0");
    begin(&db, 1, TXN_SERIALIZABLE);
    get(&db, 1, "x");
    get(&db, 1, "y");
    begin(&db, 2, TXN_SERIALIZABLE);
    get(&db, 2, "y");
    put(&db, 2, "y", "20");
    commit(&db, 2);
    begin_read_only(&db, 3, TXN_SERIALIZABLE);
    assert_string_equal(get(&db, 3, "x"), "0");
    assert_string_equal(get(&db, 3, "y"), "20");
    commit(&db, 3);
    assert_string_equal(try_put(&db, 1, "x", "-11"), "40001");
    undo(&db, 1);
    /* Without the reader, or with one whose snapshot is older than the deposit, nobody fails. */
    begin(&db, 1, TXN_SERIALIZABLE);
    get(&db, 1, "x");
    get(&db, 1, "y");
    begin_read_only(&db, 3, TXN_SERIALIZABLE);
    get(&db, 3, "x");
    begin(&db, 2, TXN_SERIALIZABLE);
    put(&db, 2, "y", "30");
    commit(&db, 2);
    get(&db, 3, "y");
    commit(&db, 3);
    put(&db, 1, "x", "-11");
    commit(&db, 1);
    db_close(&db);
}

static void a_retry_does_not_fail_against_the_same_transactions(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "x=1", "y=1");
    begin(&db, 1, TXN_SERIALIZABLE);
    begin(&db, 2, TXN_SERIALIZABLE);
    get(&db, 1, "y");
    get(&db, 2, "x");
    put(&db, 1, "x", "2");
    put(&db, 2, "y", "2");
    commit(&db, 1);
    assert_string_equal(try_commit(&db, 2), "40001");
    begin(&db, 2, TXN_SERIALIZABLE);
    get(&db, 2, "x");
    put(&db, 2, "y", "2");
    commit(&db, 2);
    db_close(&db);
}

static void a_duplicate_that_the_transaction_had_looked_for_is_a_serialization_failure(void **state)
{
    struct db db;
    db_open(&db, false);
    begin(&db, 1, TXN_SERIALIZABLE);
    begin(&db, 2, TXN_SERIALIZABLE);
    assert_string_equal(get(&db, 1, "name"), "-");
    assert_string_equal(get(&db, 2, "name"), "-");
    insert(&db, 1, "name", "1");
    commit(&db, 1);
    assert_string_equal(try_insert(&db, 2, "name", "2"), "40001");
    undo(&db, 2);
    begin(&db, 2, TXN_SERIALIZABLE);
    get(&db, 2, "other");
    begin(&db, 1, TXN_SERIALIZABLE);
    insert(&db, 1, "third", "1");
    commit(&db, 1);
    assert_string_equal(try_insert(&db, 2, "third", "2"), "duplicate");
    assert_string_equal(get(&db, 2, "other"), "[40001]");
    undo(&db, 2);
    db_close(&db);
}

static void aborted_writers_leave_no_edge_and_own_writes_no_conflict(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "x=1", "y=1");
    begin(&db, 1, TXN_SERIALIZABLE);
    begin(&db, 2, TXN_SERIALIZABLE);
    get(&db, 1, "x");
    get(&db, 2, "y");
    put(&db, 2, "x", "2");
    undo(&db, 2);
    put(&db, 1, "y", "2");
    assert_string_equal(scan(&db, 1, NULL, NULL, false, 0), "x=1 y=2");
    put(&db, 1, "x", "2");
    delete(&db, 1, "y");
    insert(&db, 1, "y", "3");
    commit(&db, 1);
    db_close(&db);
}

static void reads_stay_recorded_after_rolling_back_to_a_mark(void **state)
{
    struct db db;
    struct txn_mark mark;
    db_open(&db, false);
    FILL(&db, "x=1", "y=1");
    begin(&db, 1, TXN_SERIALIZABLE);
    begin(&db, 2, TXN_SERIALIZABLE);
    txn_mark(db.s[1], &mark);
    get(&db, 1, "y");
    MUST(&db, txn_rollback_to(&db.op, db.s[1], &mark));
    get(&db, 2, "x");
    put(&db, 1, "x", "2");
    put(&db, 2, "y", "2");
    commit(&db, 1);
    assert_string_equal(try_commit(&db, 2), "40001");
    db_close(&db);
}

static void a_deferrable_transaction_waits_for_a_safe_snapshot(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "x=1");
    MUST(&db, txn_begin(&db.op, db.s[1], TXN_SERIALIZABLE, true, true));
    assert_string_equal(get(&db, 1, "x"), "1");
    commit(&db, 1);
    begin(&db, 2, TXN_SERIALIZABLE);
    get(&db, 2, "x");
    MUST(&db, txn_begin(&db.op, db.s[1], TXN_SERIALIZABLE, true, true));
    txn_set_statement_deadline(db.s[1], os_clock_ns() + 30000000);
    assert_string_equal(get(&db, 1, "x"), "[57014]");
    txn_set_statement_deadline(db.s[1], 0);
    undo(&db, 1);
    commit(&db, 2);
    MUST(&db, txn_begin(&db.op, db.s[1], TXN_SERIALIZABLE, true, true));
    assert_string_equal(get(&db, 1, "x"), "1");
    commit(&db, 1);
    db_close(&db);
}

static void a_long_transaction_among_many_short_ones_keeps_its_edges_in_the_summary(void **state)
{
    struct db db;
    char key[16];
    db_open_limited(&db, false, &(struct txn_options){ .ended_kept = 10 });
    FILL(&db, "x=1", "y=1");
    begin(&db, 1, TXN_SERIALIZABLE);
    assert_string_equal(get(&db, 1, "y"), "1");
    begin(&db, 2, TXN_SERIALIZABLE);
    get(&db, 2, "x");
    put(&db, 2, "y", "2");
    commit(&db, 2);
    for (int i = 0; i < 300; i++) {
        begin(&db, 2, TXN_SERIALIZABLE);
        snprintf(key, sizeof(key), "z%d", i);
        insert(&db, 2, key, "1");
        commit(&db, 2);
    }
    /* The reader of x has long been summarised, and y's writer too. */
    assert_string_equal(try_put(&db, 1, "x", "2"), "40001");
    undo(&db, 1);
    begin(&db, 1, TXN_SERIALIZABLE);
    get(&db, 1, "y");
    put(&db, 1, "x", "2");
    commit(&db, 1);
    db_close(&db);
}

static void the_earliest_conflict_of_a_summarised_writer_is_kept(void **state)
{
    struct db db;
    char key[16];
    db_open_limited(&db, false, &(struct txn_options){ .ended_kept = 10 });
    FILL(&db, "x=1", "y=1", "z=1");
    begin(&db, 1, TXN_SERIALIZABLE);
    assert_string_equal(get(&db, 1, "z"), "1");
    /* 2 -rw-> 3, and 3 commits first; then 2 writes what 1 will read. */
    begin(&db, 2, TXN_SERIALIZABLE);
    get(&db, 2, "y");
    begin(&db, 3, TXN_SERIALIZABLE);
    put(&db, 3, "y", "2");
    commit(&db, 3);
    put(&db, 2, "x", "2");
    commit(&db, 2);
    for (int i = 0; i < 100; i++) {
        begin(&db, 2, TXN_SERIALIZABLE);
        snprintf(key, sizeof(key), "k%d", i);
        insert(&db, 2, key, "1");
        commit(&db, 2);
    }
    assert_string_equal(get(&db, 1, "x"), "[40001]");
    undo(&db, 1);
    db_close(&db);
}

static void that_a_key_was_free_is_read_though_the_insert_is_undone(void **state)
{
    struct db db;
    struct txn_mark mark;
    db_open(&db, false);
    FILL(&db, "x=1");
    begin(&db, 1, TXN_SERIALIZABLE);
    begin(&db, 2, TXN_SERIALIZABLE);
    get(&db, 2, "x");
    txn_mark(db.s[1], &mark);
    assert_string_equal(try_insert(&db, 1, "k", "1"), "");
    MUST(&db, txn_rollback_to(&db.op, db.s[1], &mark));
    put(&db, 1, "x", "2");
    assert_string_equal(try_insert(&db, 2, "k", "2"), "");
    commit(&db, 1);
    assert_string_equal(try_commit(&db, 2), "40001");
    /* Only whether it is there was read. */
    FILL(&db, "l=1");
    begin(&db, 1, TXN_SERIALIZABLE);
    begin(&db, 2, TXN_SERIALIZABLE);
    get(&db, 2, "x");
    assert_string_equal(try_insert(&db, 1, "l", "1"), "duplicate");
    put(&db, 1, "x", "3");
    put(&db, 2, "l", "2");
    commit(&db, 1);
    commit(&db, 2);
    db_close(&db);
}

static void a_read_only_snapshot_becomes_safe_half_way(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "x=1", "y=1");
    begin(&db, 1, TXN_SERIALIZABLE);
    get(&db, 1, "y");
    begin_read_only(&db, 2, TXN_SERIALIZABLE);
    assert_string_equal(get(&db, 2, "x"), "1");
    assert_true(txn_records_reads(db.s[2]));
    put(&db, 1, "x", "2");
    commit(&db, 1);
    assert_string_equal(get(&db, 2, "y"), "1");
    assert_false(txn_records_reads(db.s[2]));
    commit(&db, 2);
    /* With nobody else about it is safe from the start. */
    begin_read_only(&db, 2, TXN_SERIALIZABLE);
    assert_string_equal(get(&db, 2, "y"), "1");
    assert_false(txn_records_reads(db.s[2]));
    commit(&db, 2);
    db_close(&db);
}

static void a_read_of_an_insert_that_another_has_changed_goes_to_the_inserter(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "x=1", "y=1");
    begin(&db, 1, TXN_SERIALIZABLE);
    get(&db, 1, "y");
    /* 2 inserts k and has read what 1 writes; 3, which is no contemporary of 2, changes it. */
    begin(&db, 2, TXN_SERIALIZABLE);
    get(&db, 2, "x");
    insert(&db, 2, "k", "1");
    commit(&db, 2);
    begin(&db, 3, TXN_SERIALIZABLE);
    put(&db, 3, "k", "2");
    commit(&db, 3);
    begin(&db, 3, TXN_SERIALIZABLE);
    put(&db, 3, "k", "3");
    commit(&db, 3);
    assert_string_equal(get(&db, 1, "k"), "-");
    assert_string_equal(try_put(&db, 1, "x", "2"), "40001");
    undo(&db, 1);
    db_close(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_skew_on_items_fails_for_one_of_the_two),
        cmocka_unit_test(write_skew_after_the_first_has_committed_fails_at_the_write),
        cmocka_unit_test(write_skew_on_ranges_and_phantoms_fails),
        cmocka_unit_test(absent_keys_and_empty_trees_are_read_too),
        cmocka_unit_test(disjoint_ranges_of_one_small_table_both_commit),
        cmocka_unit_test(a_scan_that_stops_early_covers_only_what_it_walked),
        cmocka_unit_test(the_read_only_anomaly_is_prevented),
        cmocka_unit_test(a_retry_does_not_fail_against_the_same_transactions),
        cmocka_unit_test(a_duplicate_that_the_transaction_had_looked_for_is_a_serialization_failure),
        cmocka_unit_test(aborted_writers_leave_no_edge_and_own_writes_no_conflict),
        cmocka_unit_test(reads_stay_recorded_after_rolling_back_to_a_mark),
        cmocka_unit_test(a_deferrable_transaction_waits_for_a_safe_snapshot),
        cmocka_unit_test(a_long_transaction_among_many_short_ones_keeps_its_edges_in_the_summary),
        cmocka_unit_test(the_earliest_conflict_of_a_summarised_writer_is_kept),
        cmocka_unit_test(that_a_key_was_free_is_read_though_the_insert_is_undone),
        cmocka_unit_test(a_read_only_snapshot_becomes_safe_half_way),
        cmocka_unit_test(a_read_of_an_insert_that_another_has_changed_goes_to_the_inserter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
