/* The shared table of locks: what waits is granted without memory; advisory locks of sessions and transactions, and their limit. */
#include "tests/unit/txn/txn_test.h"

enum { FEW = 5 };

static const struct txn_advisory_key one = { .number = 1 }, pair = { .number = 1, .pair = true };

static bool try_lock(struct db *db, int s, struct txn_advisory_key key, bool shared, bool keep)
{
    bool locked;

    MUST(db, txn_lock_advisory(&db->op, db->s[s], key, shared, keep, &locked));
    return locked;
}

static void a_wait_is_granted_though_memory_has_run_out(void **state)
{
    static const struct step kinds[] = {
        { .kind = STEP_LOCK_TABLE, .table = 7, .mode = TXN_ACCESS_EXCLUSIVE }, { .kind = STEP_LOCK_ADVISORY, .table = 7 },
    };
    struct db db;
    db_open(&db, false);
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct step first = kinds[i], second = kinds[i];
        begin(&db, 1, TXN_READ_COMMITTED);
        begin(&db, 2, TXN_READ_COMMITTED);
        step_start(&first, &db, 1);
        step_join(&first);
        step_start(&second, &db, 2);
        assert_true(step_waiting(&second));
        mem_fail_from(1);
        undo(&db, 1);
        bool waiting = txn_waiting(db.s[2]);
        mem_fail_at(0);
        assert_false(waiting);
        step_join(&second);
        assert_string_equal(second.sqlstate, "");
        undo(&db, 2);
    }
    db_close(&db);
}

static void what_a_session_keeps_it_gives_back_as_often_as_it_took_it(void **state)
{
    struct db db;
    db_open(&db, false);
    begin(&db, 1, TXN_READ_COMMITTED);
    assert_true(try_lock(&db, 1, one, false, true));
    assert_true(try_lock(&db, 1, one, false, true));
    assert_true(try_lock(&db, 1, one, true, true));
    assert_true(try_lock(&db, 1, one, false, false));
    undo(&db, 1);
    assert_true(try_lock(&db, 2, pair, false, true));      /* another space */
    assert_false(try_lock(&db, 2, one, true, true));
    assert_true(txn_unlock_advisory(db.s[1], one, false));
    assert_true(txn_unlock_advisory(db.s[1], one, false));
    assert_false(txn_unlock_advisory(db.s[1], one, false));
    assert_true(try_lock(&db, 2, one, true, true));
    assert_false(try_lock(&db, 2, one, false, true));
    assert_true(txn_unlock_advisory(db.s[1], one, true));
    assert_true(try_lock(&db, 2, one, false, true));
    txn_session_close(db.s[2]);
    db.s[2] = NULL;
    assert_true(try_lock(&db, 1, one, false, true));
    db_close(&db);
}

static void a_savepoint_gives_back_what_came_after_it(void **state)
{
    struct db db;
    struct txn_mark mark;
    db_open(&db, false);
    begin(&db, 1, TXN_READ_COMMITTED);
    assert_true(try_lock(&db, 1, one, true, false));
    txn_mark(db.s[1], &mark);
    assert_true(try_lock(&db, 1, one, true, false));
    assert_true(try_lock(&db, 1, one, false, false));
    assert_true(try_lock(&db, 1, pair, false, true));
    assert_false(try_lock(&db, 2, one, true, true));
    MUST(&db, txn_rollback_to(&db.op, db.s[1], &mark));
    assert_true(try_lock(&db, 2, one, true, true));
    assert_false(try_lock(&db, 2, one, false, true));
    assert_false(try_lock(&db, 2, pair, true, true));
    commit(&db, 1);
    assert_true(try_lock(&db, 2, one, false, true));
    db_close(&db);
}

static void too_many_are_refused_and_the_others_stay(void **state)
{
    struct db db;
    bool locked;
    db_open_limited(&db, false, &(struct txn_options){ .advisory_locks = FEW });
    begin(&db, 1, TXN_READ_COMMITTED);
    for (uint64_t i = 0; i < FEW; i++) {
        assert_true(try_lock(&db, 1, (struct txn_advisory_key){ .number = i }, false, i % 2 == 0));
    }
    struct txn_advisory_key more = { .number = FEW };
    assert_string_equal(result_of(&db, txn_lock_advisory(&db.op, db.s[1], more, false, false, &locked)), "53200");
    assert_string_equal(result_of(&db, txn_lock_advisory(&db.op, db.s[2], one, false, true, NULL)), "53200");
    assert_true(try_lock(&db, 1, one, true, false));
    MUST(&db, txn_lock_table(&db.op, db.s[1], 1, TXN_EXCLUSIVE));
    commit(&db, 1);
    assert_true(try_lock(&db, 1, more, false, true));
    txn_unlock_advisory_all(db.s[1]);
    for (uint64_t i = 0; i < FEW; i++) {
        assert_true(try_lock(&db, 2, (struct txn_advisory_key){ .number = i }, false, true));
    }
    db_close(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_is_granted_though_memory_has_run_out),
        cmocka_unit_test(what_a_session_keeps_it_gives_back_as_often_as_it_took_it),
        cmocka_unit_test(a_savepoint_gives_back_what_came_after_it),
        cmocka_unit_test(too_many_are_refused_and_the_others_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
