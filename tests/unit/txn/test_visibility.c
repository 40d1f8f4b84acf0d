/* What a transaction sees: snapshots, own writes by command, rollback, savepoints, purge. */
#include "tests/unit/txn/txn_test.h"

static void a_snapshot_sees_what_was_committed_before_it_and_nothing_else(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "a=1", "b=1", "c=1");

    begin(&db, 1, TXN_REPEATABLE_READ);
    assert_string_equal(get(&db, 1, "a"), "1");
    begin(&db, 2, TXN_READ_COMMITTED);
    put(&db, 2, "a", "2");
    insert(&db, 2, "d", "2");
    delete(&db, 2, "b");
    assert_string_equal(scan(&db, 1, NULL, NULL, false, 0), "a=1 b=1 c=1");
    assert_string_equal(scan(&db, 2, NULL, NULL, false, 0), "a=2 c=1 d=2");
    commit(&db, 2);
    assert_string_equal(scan(&db, 1, NULL, NULL, false, 0), "a=1 b=1 c=1");
    assert_string_equal(scan(&db, 1, NULL, NULL, true, 0), "c=1 b=1 a=1");
    assert_string_equal(get(&db, 1, "d"), "-");
    begin(&db, 3, TXN_REPEATABLE_READ);
    assert_string_equal(scan(&db, 3, NULL, NULL, false, 0), "a=2 c=1 d=2");
    commit(&db, 1);
    commit(&db, 3);
    db_close(&db);
}

static void read_committed_takes_a_snapshot_per_statement(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "a=1");

    begin(&db, 1, TXN_READ_COMMITTED);
    assert_string_equal(get(&db, 1, "a"), "1");
    begin(&db, 2, TXN_READ_COMMITTED);
    put(&db, 2, "a", "2");
    assert_string_equal(get(&db, 1, "a"), "1");
    commit(&db, 2);
    assert_string_equal(get(&db, 1, "a"), "2");
    commit(&db, 1);
    db_close(&db);
}

static void a_statement_does_not_see_its_own_writes_but_the_next_one_does(void **state)
{
    struct db db;
    struct txn_outcome outcome;
    char value[64];
    bool found;
    db_open(&db, false);
    FILL(&db, "a=1");

    begin(&db, 1, TXN_READ_COMMITTED);
    MUST(&db, txn_statement_begin(&db.op, db.s[1]));
    MUST(&db, txn_insert(&db.op, db.s[1], db.tree, text("b"), text("1"), &outcome));
    MUST(&db, txn_update(&db.op, db.s[1], db.tree, text("a"), text("2"), txn_read_ts(db.s[1]), &outcome));
    MUST(&db, txn_get(&db.op, db.s[1], db.tree, text("b"), copy_value, value, &found));
    assert_false(found);
    MUST(&db, txn_get(&db.op, db.s[1], db.tree, text("a"), copy_value, value, &found));
    assert_string_equal(value, "1");
    MUST(&db, txn_update(&db.op, db.s[1], db.tree, text("a"), text("3"), txn_read_ts(db.s[1]), &outcome));
    assert_int_equal(outcome.result, TXN_SELF_CHANGED);
    txn_next_command(db.s[1]);
    MUST(&db, txn_get(&db.op, db.s[1], db.tree, text("a"), copy_value, value, &found));
    assert_string_equal(value, "2");
    txn_statement_end(db.s[1]);
    assert_string_equal(scan(&db, 1, NULL, NULL, false, 0), "a=2 b=1");
    commit(&db, 1);
    db_close(&db);
}

static void rollback_restores_every_record(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "a=1", "b=1");

    begin(&db, 1, TXN_READ_COMMITTED);
    put(&db, 1, "a", "2");
    put(&db, 1, "a", "3");
    delete(&db, 1, "b");
    insert(&db, 1, "b", "4");
    insert(&db, 1, "c", "5");
    assert_string_equal(scan(&db, 1, NULL, NULL, false, 0), "a=3 b=4 c=5");
    undo(&db, 1);
    begin(&db, 1, TXN_READ_COMMITTED);
    assert_string_equal(scan(&db, 1, NULL, NULL, false, 0), "a=1 b=1");
    commit(&db, 1);
    MUST(&db, txn_purge(&db.op, db.manager));
    begin(&db, 1, TXN_READ_COMMITTED);
    assert_string_equal(scan(&db, 1, NULL, NULL, false, 0), "a=1 b=1");
    insert(&db, 1, "c", "6");
    commit(&db, 1);
    db_close(&db);
}

static void rolling_back_to_a_mark_undoes_what_came_after_it(void **state)
{
    struct db db;
    struct txn_mark outer, inner;
    db_open(&db, false);
    FILL(&db, "a=1", "b=1");

    begin(&db, 1, TXN_READ_COMMITTED);
    txn_mark(db.s[1], &outer);
    put(&db, 1, "a", "2");
    txn_mark(db.s[1], &inner);
    put(&db, 1, "a", "3");
    insert(&db, 1, "c", "3");
    delete(&db, 1, "b");
    MUST(&db, txn_rollback_to(&db.op, db.s[1], &inner));
    assert_string_equal(scan(&db, 1, NULL, NULL, false, 0), "a=2 b=1");
    insert(&db, 1, "c", "4");
    MUST(&db, txn_rollback_to(&db.op, db.s[1], &inner));
    assert_string_equal(scan(&db, 1, NULL, NULL, false, 0), "a=2 b=1");
    put(&db, 1, "b", "5");
    begin(&db, 2, TXN_READ_COMMITTED);
    assert_string_equal(scan(&db, 2, NULL, NULL, false, 0), "a=1 b=1");
    MUST(&db, txn_rollback_to(&db.op, db.s[1], &outer));
    assert_string_equal(scan(&db, 1, NULL, NULL, false, 0), "a=1 b=1");
    insert(&db, 1, "d", "6");
    commit(&db, 1);
    assert_string_equal(scan(&db, 2, NULL, NULL, false, 0), "a=1 b=1 d=6");
    commit(&db, 2);
    db_close(&db);
}

static void an_old_snapshot_survives_many_updates_and_costs_one_version_per_row(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "a=old", "b=old");

    begin(&db, 1, TXN_REPEATABLE_READ);
    assert_string_equal(get(&db, 1, "a"), "old");
    for (int i = 0; i < 1000; i++) {
        begin(&db, 2, TXN_READ_COMMITTED);
        put(&db, 2, "a", i % 2 ? "x" : "y");
        commit(&db, 2);
        if (i == 500) {
            begin(&db, 3, TXN_REPEATABLE_READ);
            assert_string_equal(get(&db, 3, "a"), "y");
        }
    }
    assert_string_equal(scan(&db, 1, NULL, NULL, false, 0), "a=old b=old");
    assert_string_equal(scan(&db, 3, NULL, NULL, false, 0), "a=y b=old");
    assert_true(txn_version_bytes(db.manager) < 4096);
    commit(&db, 1);
    commit(&db, 3);
    MUST(&db, txn_purge(&db.op, db.manager));
    assert_int_equal(txn_version_bytes(db.manager), 0);
    db_close(&db);
}

static void long_values_are_versioned_too(void **state)
{
    struct db db;
    static char big[3][40001];
    db_open(&db, false);
    for (int i = 0; i < 3; i++) {
        memset(big[i], '0' + i, 40000);
    }
    begin(&db, 0, TXN_READ_COMMITTED);
    insert(&db, 0, "a", big[0]);
    insert(&db, 0, "b", big[0]);
    commit(&db, 0);
    begin(&db, 1, TXN_REPEATABLE_READ);
    assert_memory_equal(get(&db, 1, "a"), big[0], 60);
    begin(&db, 2, TXN_READ_COMMITTED);
    put(&db, 2, "a", big[1]);
    delete(&db, 2, "b");
    commit(&db, 2);
    begin(&db, 2, TXN_READ_COMMITTED);
    put(&db, 2, "a", big[2]);
    undo(&db, 2);
    MUST(&db, txn_purge(&db.op, db.manager));
    assert_memory_equal(get(&db, 1, "a"), big[0], 60);
    assert_memory_equal(get(&db, 1, "b"), big[0], 60);
    begin(&db, 2, TXN_READ_COMMITTED);
    assert_memory_equal(get(&db, 2, "a"), big[1], 60);
    commit(&db, 2);
    commit(&db, 1);
    db_close(&db);
}

static void a_dropped_tree_lives_until_no_snapshot_needs_it(void **state)
{
    struct db db;
    struct store_space before, after;
    db_open(&db, false);
    FILL(&db, "a=1");
    MUST(&db, store_space(&db.op, db.store, &before));

    begin(&db, 1, TXN_REPEATABLE_READ);
    assert_string_equal(get(&db, 1, "a"), "1");
    begin(&db, 2, TXN_READ_COMMITTED);
    MUST(&db, txn_drop_tree(&db.op, db.s[2], db.tree_id));
    undo(&db, 2);
    MUST(&db, txn_purge(&db.op, db.manager));
    begin(&db, 2, TXN_READ_COMMITTED);
    MUST(&db, txn_drop_tree(&db.op, db.s[2], db.tree_id));
    commit(&db, 2);
    MUST(&db, txn_purge(&db.op, db.manager));
    assert_string_equal(get(&db, 1, "a"), "1");
    commit(&db, 1);
    MUST(&db, txn_purge(&db.op, db.manager));
    MUST(&db, store_space(&db.op, db.store, &after));
    assert_true(after.pages - after.free_pages < before.pages - before.free_pages);
    db_close(&db);
}

static void callbacks_hear_how_the_transaction_ended(void **state)
{
    struct db db;
    db_open(&db, false);
    (void)state;
    begin(&db, 1, TXN_READ_COMMITTED);
    insert(&db, 1, "a", "1");
    commit(&db, 1);
    assert_true(txn_visible_ts(db.manager) > 0);
    begin_read_only(&db, 1, TXN_READ_COMMITTED);
    assert_string_equal(try_insert(&db, 1, "b", "1"), "25006");
    undo(&db, 1);
    db_close(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_sees_what_was_committed_before_it_and_nothing_else),
        cmocka_unit_test(read_committed_takes_a_snapshot_per_statement),
        cmocka_unit_test(a_statement_does_not_see_its_own_writes_but_the_next_one_does),
        cmocka_unit_test(rollback_restores_every_record),
        cmocka_unit_test(rolling_back_to_a_mark_undoes_what_came_after_it),
        cmocka_unit_test(an_old_snapshot_survives_many_updates_and_costs_one_version_per_row),
        cmocka_unit_test(long_values_are_versioned_too),
        cmocka_unit_test(a_dropped_tree_lives_until_no_snapshot_needs_it),
        cmocka_unit_test(callbacks_hear_how_the_transaction_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
