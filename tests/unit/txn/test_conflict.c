/* Two writers of one row: who waits, who goes on, who has lost; deadlocks; row locks; duplicates. */
#include "tests/unit/txn/txn_test.h"

static void a_writer_waits_for_the_first_and_goes_on_when_it_aborts(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "a=1");
    for (enum txn_level level = TXN_READ_COMMITTED; level <= TXN_SERIALIZABLE; level++) {
        begin(&db, 1, level);
        begin(&db, 2, level);
        put(&db, 1, "a", "2");
        struct step step = { .kind = STEP_PUT, .key = "a", .value = "3" };
        step_start(&step, &db, 2);
        assert_true(step_waiting(&step));
        assert_true(txn_waiting(db.s[2]));
        undo(&db, 1);
        assert_false(step_waiting(&step));
        step_join(&step);
        assert_string_equal(step.sqlstate, "");
        assert_int_equal(step.outcome.result, TXN_WRITTEN);
        undo(&db, 2);
    }
    db_close(&db);
}

static void first_updater_wins_at_repeatable_read_and_above(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "a=1", "b=1");
    for (enum txn_level level = TXN_REPEATABLE_READ; level <= TXN_SERIALIZABLE; level++) {
        begin(&db, 1, level);
        begin(&db, 2, level);
        get(&db, 1, "b");
        get(&db, 2, "b");
        put(&db, 1, "a", "2");
        struct step step = { .kind = STEP_PUT, .key = "a", .value = "3" };
        step_start(&step, &db, 2);
        assert_true(step_waiting(&step));
        commit(&db, 1);
        step_join(&step);
        assert_string_equal(step.sqlstate, "40001");
        assert_string_equal(get(&db, 2, "a"), "[40001]");
        assert_string_equal(try_commit(&db, 2), "40001");
        assert_false(txn_in_progress(db.s[2]));
    }
    begin(&db, 1, TXN_REPEATABLE_READ);
    get(&db, 1, "b");
    begin(&db, 2, TXN_READ_COMMITTED);
    delete(&db, 2, "a");
    commit(&db, 2);
    assert_string_equal(try_put(&db, 1, "a", "9"), "40001");
    undo(&db, 1);
    begin(&db, 1, TXN_REPEATABLE_READ);
    get(&db, 1, "b");
    begin(&db, 2, TXN_READ_COMMITTED);
    delete(&db, 2, "b");
    commit(&db, 2);
    assert_string_equal(try_insert(&db, 1, "b", "9"), "40001");
    undo(&db, 1);
    db_close(&db);
}

static void read_committed_hands_out_the_newest_version_and_takes_it_the_second_time(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "a=1");
    begin(&db, 1, TXN_READ_COMMITTED);
    begin(&db, 2, TXN_READ_COMMITTED);
    put(&db, 1, "a", "2");
    MUST(&db, txn_statement_begin(&db.op, db.s[2]));
    struct step step = { .kind = STEP_PUT, .key = "a", .value = "3", .in_statement = true };
    step_start(&step, &db, 2);
    assert_true(step_waiting(&step));
    struct step third = { .kind = STEP_PUT, .key = "a", .value = "4" };
    begin(&db, 3, TXN_READ_COMMITTED);
    step_start(&third, &db, 3);
    assert_true(step_waiting(&third));
    commit(&db, 1);
    step_join(&step);
    assert_int_equal(step.outcome.result, TXN_CHANGED);
    assert_string_equal(step.newest, "2");
    /* It keeps the right of way while it evaluates its condition again. */
    os_sleep_us(20000);
    assert_true(step_waiting(&third));
    struct txn_outcome outcome;
    MUST(&db, txn_update(&db.op, db.s[2], db.tree, text("a"), text("3"), step.outcome.newest_ts, &outcome));
    assert_int_equal(outcome.result, TXN_WRITTEN);
    txn_statement_end(db.s[2]);
    assert_true(step_waiting(&third));
    commit(&db, 2);
    step_join(&third);
    assert_int_equal(third.outcome.result, TXN_CHANGED);
    undo(&db, 3);
    db_close(&db);
}

static void a_waiter_follows_a_row_whose_key_was_changed(void **state)
{
    struct db db;
    struct txn_outcome outcome;
    db_open(&db, false);
    FILL(&db, "a=1", "x=1");
    begin(&db, 1, TXN_READ_COMMITTED);
    MUST(&db, txn_statement_begin(&db.op, db.s[1]));
    MUST(&db, txn_delete(&db.op, db.s[1], db.tree, text("a"), text("b"), txn_read_ts(db.s[1]), &outcome));
    MUST(&db, txn_insert(&db.op, db.s[1], db.tree, text("b"), text("1"), &outcome));
    txn_statement_end(db.s[1]);
    begin(&db, 2, TXN_READ_COMMITTED);
    struct step step = { .kind = STEP_PUT, .key = "a", .value = "3" };
    step_start(&step, &db, 2);
    assert_true(step_waiting(&step));
    commit(&db, 1);
    step_join(&step);
    assert_int_equal(step.outcome.result, TXN_GONE);
    assert_string_equal(step.moved_to, "b");
    commit(&db, 2);
    db_close(&db);
}

static void a_row_deleted_and_inserted_again_counts_as_gone(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "a=1");
    begin(&db, 2, TXN_READ_COMMITTED);
    MUST(&db, txn_statement_begin(&db.op, db.s[2]));
    CommitTs seen = txn_read_ts(db.s[2]);
    for (int i = 0; i < 20; i++) {
        begin(&db, 1, TXN_READ_COMMITTED);
        if (i == 3) {
            delete(&db, 1, "a");
            commit(&db, 1);
            begin(&db, 1, TXN_READ_COMMITTED);
            insert(&db, 1, "a", "again");
        } else {
            put(&db, 1, "a", "x");
        }
        commit(&db, 1);
    }
    struct txn_outcome outcome;
    MUST(&db, txn_update(&db.op, db.s[2], db.tree, text("a"), text("3"), seen, &outcome));
    assert_int_equal(outcome.result, TXN_GONE);
    assert_null(outcome.moved_to.data);
    txn_statement_end(db.s[2]);
    commit(&db, 2);
    db_close(&db);
}

static void a_second_inserter_waits_and_hears_how_the_first_ended(void **state)
{
    struct db db;
    db_open(&db, false);
    for (int abort = 0; abort < 2; abort++) {
        const char *key = abort ? "b" : "a";
        begin(&db, 1, TXN_READ_COMMITTED);
        begin(&db, 2, TXN_READ_COMMITTED);
        insert(&db, 1, key, "1");
        struct step step = { .kind = STEP_INSERT, .key = key, .value = "2" };
        step_start(&step, &db, 2);
        assert_true(step_waiting(&step));
        if (abort) {
            undo(&db, 1);
        } else {
            commit(&db, 1);
        }
        step_join(&step);
        assert_string_equal(step.sqlstate, "");
        assert_int_equal(step.outcome.result, abort ? TXN_WRITTEN : TXN_DUPLICATE);
        if (!abort) {
            assert_string_equal(step.newest, "1");
        }
        commit(&db, 2);
    }
    db_close(&db);
}

static void the_wait_that_closes_a_cycle_fails_at_once_and_names_the_members(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "a=1", "b=1", "c=1");
    for (int i = 1; i <= 3; i++) {
        static const char *const statements[] = { "", "update a", "update b", "update c" };
        begin(&db, i, TXN_READ_COMMITTED);
        txn_set_statement(db.s[i], statements[i], strlen(statements[i]));
    }
    put(&db, 1, "a", "2");
    put(&db, 2, "b", "2");
    put(&db, 3, "c", "2");
    struct step first = { .kind = STEP_PUT, .key = "b", .value = "3" };
    struct step second = { .kind = STEP_PUT, .key = "c", .value = "3" };
    struct step third = { .kind = STEP_PUT, .key = "a", .value = "3" };
    step_start(&first, &db, 1);
    assert_true(step_waiting(&first));
    step_start(&second, &db, 2);
    assert_true(step_waiting(&second));
    step_start(&third, &db, 3);
    step_join(&third);
    assert_string_equal(third.sqlstate, "40P01");
    assert_non_null(strstr(third.detail, "blocked by session"));
    assert_non_null(strstr(third.detail, "update b"));
    undo(&db, 3);
    step_join(&second);
    assert_string_equal(second.sqlstate, "");
    commit(&db, 2);
    step_join(&first);
    assert_int_equal(first.outcome.result, TXN_CHANGED);
    commit(&db, 1);
    db_close(&db);
}

static void timeouts_and_interrupts_end_a_wait(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "a=1");
    begin(&db, 1, TXN_READ_COMMITTED);
    put(&db, 1, "a", "2");

    begin(&db, 2, TXN_READ_COMMITTED);
    txn_set_lock_timeout(db.s[2], 20000);
    assert_string_equal(try_put(&db, 2, "a", "3"), "55P03");
    undo(&db, 2);
    txn_set_lock_timeout(db.s[2], 0);

    begin(&db, 2, TXN_READ_COMMITTED);
    txn_set_statement_deadline(db.s[2], os_clock_ns() + 20000000);
    assert_string_equal(try_put(&db, 2, "a", "3"), "57014");
    txn_set_statement_deadline(db.s[2], 0);
    undo(&db, 2);

    begin(&db, 2, TXN_READ_COMMITTED);
    struct step step = { .kind = STEP_PUT, .key = "a", .value = "3" };
    step_start(&step, &db, 2);
    assert_true(step_waiting(&step));
    txn_interrupt(db.s[2]);
    step_join(&step);
    assert_string_equal(step.sqlstate, "57014");
    atomic_store(txn_cancel_flag(db.s[2]), false);
    undo(&db, 2);
    commit(&db, 1);
    db_close(&db);
}

static void a_locked_row_is_readable_and_not_writable_until_the_lock_goes(void **state)
{
    struct db db;
    struct txn_mark mark;
    db_open(&db, false);
    FILL(&db, "a=1");
    begin(&db, 1, TXN_READ_COMMITTED);
    txn_mark(db.s[1], &mark);
    struct step lock = { .kind = STEP_LOCK_ROW, .key = "a" };
    step_start(&lock, &db, 1);
    step_join(&lock);
    assert_int_equal(lock.outcome.result, TXN_WRITTEN);
    assert_string_equal(lock.newest, "1");
    begin(&db, 2, TXN_READ_COMMITTED);
    assert_string_equal(get(&db, 2, "a"), "1");
    struct step step = { .kind = STEP_PUT, .key = "a", .value = "2" };
    step_start(&step, &db, 2);
    assert_true(step_waiting(&step));
    MUST(&db, txn_rollback_to(&db.op, db.s[1], &mark));
    step_join(&step);
    assert_int_equal(step.outcome.result, TXN_WRITTEN);
    commit(&db, 2);
    step_start(&lock, &db, 1);
    step_join(&lock);
    put(&db, 1, "a", "3");
    begin(&db, 2, TXN_READ_COMMITTED);
    struct step again = { .kind = STEP_LOCK_ROW, .key = "a" };
    step_start(&again, &db, 2);
    assert_true(step_waiting(&again));
    commit(&db, 1);
    step_join(&again);
    assert_int_equal(again.outcome.result, TXN_CHANGED);
    assert_string_equal(again.newest, "3");
    commit(&db, 2);
    db_close(&db);
}

static void rolling_back_to_a_mark_lets_the_waiters_of_its_rows_go_on(void **state)
{
    struct db db;
    struct txn_mark mark;
    db_open(&db, false);
    FILL(&db, "a=1");
    begin(&db, 1, TXN_REPEATABLE_READ);
    txn_mark(db.s[1], &mark);
    put(&db, 1, "a", "2");
    put(&db, 1, "a", "3");
    begin(&db, 2, TXN_REPEATABLE_READ);
    struct step step = { .kind = STEP_PUT, .key = "a", .value = "4" };
    step_start(&step, &db, 2);
    assert_true(step_waiting(&step));
    MUST(&db, txn_rollback_to(&db.op, db.s[1], &mark));
    step_join(&step);
    assert_int_equal(step.outcome.result, TXN_WRITTEN);
    assert_string_equal(step.sqlstate, "");
    commit(&db, 2);
    commit(&db, 1);
    begin(&db, 1, TXN_READ_COMMITTED);
    assert_string_equal(get(&db, 1, "a"), "4");
    commit(&db, 1);
    db_close(&db);
}

/* Entries of the row: by commits 1 and 2, which only session 4's snapshot keeps, by commit 3, and by session 3 in progress; the last
 * one makes the chain so long that it is pruned.  Commit 2 stood between no snapshots, commit 3 did not either; but after session 3
 * has rolled back, commit 3 is what the record is. */
static void what_was_pruned_under_a_change_that_is_undone_still_counts(void **state)
{
    struct db db;
    struct txn_outcome outcome;

    db_open(&db, false);
    FILL(&db, "a=0");
    begin(&db, 4, TXN_READ_COMMITTED);
    MUST(&db, txn_statement_begin(&db.op, db.s[4]));
    for (int i = 1; i <= 2; i++) {
        begin(&db, 1, TXN_READ_COMMITTED);
        put(&db, 1, "a", i == 1 ? "1" : "2");
        commit(&db, 1);
    }
    MUST(&db, txn_update(&db.op, db.s[4], db.tree, text("a"), text("mine"), txn_read_ts(db.s[4]), &outcome));
    assert_int_equal(outcome.result, TXN_CHANGED);
    assert_memory_equal(outcome.newest.data, "2", 1);
    CommitTs seen = outcome.newest_ts;

    begin(&db, 1, TXN_READ_COMMITTED);
    put(&db, 1, "a", "3");
    commit(&db, 1);
    begin(&db, 3, TXN_READ_COMMITTED);
    put(&db, 3, "a", "4");
    undo(&db, 3);
    MUST(&db, txn_update(&db.op, db.s[4], db.tree, text("a"), text("mine"), seen, &outcome));
    assert_int_equal(outcome.result, TXN_CHANGED);
    assert_memory_equal(outcome.newest.data, "3", 1);
    MUST(&db, txn_update(&db.op, db.s[4], db.tree, text("a"), text("mine"), outcome.newest_ts, &outcome));
    assert_int_equal(outcome.result, TXN_WRITTEN);
    txn_statement_end(db.s[4]);
    commit(&db, 4);
    db_close(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_writer_waits_for_the_first_and_goes_on_when_it_aborts),
        cmocka_unit_test(first_updater_wins_at_repeatable_read_and_above),
        cmocka_unit_test(read_committed_hands_out_the_newest_version_and_takes_it_the_second_time),
        cmocka_unit_test(a_waiter_follows_a_row_whose_key_was_changed),
        cmocka_unit_test(a_row_deleted_and_inserted_again_counts_as_gone),
        cmocka_unit_test(a_second_inserter_waits_and_hears_how_the_first_ended),
        cmocka_unit_test(the_wait_that_closes_a_cycle_fails_at_once_and_names_the_members),
        cmocka_unit_test(timeouts_and_interrupts_end_a_wait),
        cmocka_unit_test(a_locked_row_is_readable_and_not_writable_until_the_lock_goes),
        cmocka_unit_test(rolling_back_to_a_mark_lets_the_waiters_of_its_rows_go_on),
        cmocka_unit_test(what_was_pruned_under_a_change_that_is_undone_still_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
