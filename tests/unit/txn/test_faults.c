/* The log fails under a commit: its outcome is unknown, nobody sees it, nothing else is lost. */
#include "src/os/fault.h"
#include "tests/unit/txn/txn_test.h"

static void a_commit_whose_sync_fails_is_unknown_and_never_becomes_visible(void **state)
{
    struct db db = { 0 };
    db.vfs = fault_vfs_new(7);
    db_attach(&db, true, false);
    begin(&db, 0, TXN_READ_COMMITTED);
    MUST(&db, txn_statement_begin(&db.op, db.s[0]));
    MUST(&db, txn_create_tree(&db.op, db.s[0], &db.tree_id));
    txn_statement_end(db.s[0]);
    txn_set_sync(db.s[0], TXN_SYNC_FULL);
    commit(&db, 0);
    MUST(&db, btree_open(&db.op, db.store, db.tree_id, &db.tree));
    FILL(&db, "a=1");

    begin(&db, 3, TXN_REPEATABLE_READ);
    assert_string_equal(get(&db, 3, "a"), "1");
    begin(&db, 4, TXN_READ_COMMITTED);
    insert(&db, 4, "b", "1");
    begin(&db, 1, TXN_READ_COMMITTED);
    put(&db, 1, "a", "2");
    txn_set_sync(db.s[1], TXN_SYNC_FULL);
    fault_fail_at(db.vfs, FAULT_SYNC, 1, 5, true);
    assert_string_equal(try_commit(&db, 1), "08007");
    assert_false(txn_in_progress(db.s[1]));

    begin(&db, 2, TXN_READ_COMMITTED);
    assert_string_equal(get(&db, 2, "a"), "1");
    assert_string_equal(get(&db, 3, "a"), "1");
    assert_string_equal(try_put(&db, 2, "a", "3"), "58030");
    undo(&db, 2);
    undo(&db, 4);
    begin(&db, 2, TXN_READ_COMMITTED);
    assert_string_equal(get(&db, 2, "b"), "-");
    commit(&db, 2);
    commit(&db, 3);

    fault_fail_at(db.vfs, FAULT_SYNC, 0, 0, false);
    db_crash(&db, false);
    begin(&db, 1, TXN_READ_COMMITTED);
    const char *value = get(&db, 1, "a");
    assert_true(strcmp(value, "1") == 0 || strcmp(value, "2") == 0);
    assert_string_equal(get(&db, 1, "b"), "-");
    put(&db, 1, "a", "4");
    commit(&db, 1);
    db_close(&db);
}

static void every_allocation_may_fail_and_nothing_is_lost(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "a=1", "b=1", "c=1");
    int failed = 0;
    for (uint64_t n = 1; n < 60; n++) {
        bool whole = true;
        const char *state_now;
        begin(&db, 1, TXN_SERIALIZABLE);
        mem_fail_at(n);
        state_now = get(&db, 1, "a");
        whole &= state_now[0] != '[';
        whole = whole && strcmp(try_put(&db, 1, "b", n % 2 ? "2" : "3"), "") == 0;
        whole = whole && strcmp(try_insert(&db, 1, "d", "1"), "") == 0;
        whole = whole && strcmp(try_delete(&db, 1, "c"), "") == 0;
        mem_fail_at(0);
        undo(&db, 1);
        failed += !whole;
        begin(&db, 1, TXN_READ_COMMITTED);
        assert_string_equal(scan(&db, 1, NULL, NULL, false, 0), "a=1 b=1 c=1");
        commit(&db, 1);
    }
    assert_true(failed > 5);
    MUST(&db, txn_purge(&db.op, db.manager));
    assert_int_equal(txn_version_bytes(db.manager), 0);
    db_close(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_commit_whose_sync_fails_is_unknown_and_never_becomes_visible),
        cmocka_unit_test(every_allocation_may_fail_and_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
