/* A crash with transactions in progress: losers come back, are invisible, hold their rows, and go. */
#include "tests/unit/txn/txn_test.h"

static void what_was_committed_stays_and_what_was_not_goes(void **state)
{
    struct db db;
    struct txn_mark mark;
    db_open(&db, false);
    FILL(&db, "a=1", "b=1", "c=1");
    begin(&db, 1, TXN_READ_COMMITTED);
    put(&db, 1, "a", "2");
    insert(&db, 1, "d", "2");
    delete(&db, 1, "b");
    txn_mark(db.s[1], &mark);
    put(&db, 1, "c", "2");
    MUST(&db, txn_rollback_to(&db.op, db.s[1], &mark));
    begin(&db, 2, TXN_READ_COMMITTED);
    put(&db, 2, "c", "3");
    txn_set_sync(db.s[2], TXN_SYNC_FULL);
    commit(&db, 2);
    db_crash(&db, false);
    begin(&db, 1, TXN_READ_COMMITTED);
    assert_string_equal(scan(&db, 1, NULL, NULL, false, 0), "a=1 b=1 c=3");
    insert(&db, 1, "d", "9");
    put(&db, 1, "a", "9");
    commit(&db, 1);
    db_crash(&db, true);
    begin(&db, 1, TXN_READ_COMMITTED);
    const char *rows = scan(&db, 1, NULL, NULL, false, 0);
    assert_true(strcmp(rows, "a=9 b=1 c=3 d=9") == 0 || strcmp(rows, "a=1 b=1 c=3") == 0);
    commit(&db, 1);
    db_close(&db);
}

static void a_large_loser_is_invisible_and_holds_its_rows_while_it_rolls_back(void **state)
{
    struct db db;
    char key[16];
    enum { ROWS = 20000 };
    db_open(&db, false);
    begin(&db, 1, TXN_READ_COMMITTED);
    for (int i = 0; i < ROWS; i += 2) {
        snprintf(key, sizeof(key), "%06d", i);
        insert(&db, 1, key, "old");
    }
    txn_set_sync(db.s[1], TXN_SYNC_FULL);
    commit(&db, 1);
    begin(&db, 1, TXN_READ_COMMITTED);
    for (int i = 0; i < ROWS; i++) {
        snprintf(key, sizeof(key), "%06d", i);
        if (i % 2) {
            insert(&db, 1, key, "new");
        } else if (i % 4) {
            put(&db, 1, key, "new");
        } else {
            delete(&db, 1, key);
        }
    }
    begin(&db, 2, TXN_READ_COMMITTED);
    insert(&db, 2, "x", "1");
    txn_set_sync(db.s[2], TXN_SYNC_FULL);
    commit(&db, 2);
    db_crash(&db, true);

    /* Whatever the background thread has reached, the loser is never seen. */
    struct listing listing;
    for (int round = 0; round < 3; round++) {
        begin(&db, 1, TXN_READ_COMMITTED);
        struct btree_range range = { .low_inclusive = true };
        struct txn_scan scan;
        int count = 0;
        MUST(&db, txn_statement_begin(&db.op, db.s[1]));
        txn_scan_open(&scan, db.s[1], db.tree, &range, false);
        for (bool more = true; more;) {
            memset(&listing, 0, sizeof(listing));
            MUST(&db, txn_scan_next(&db.op, &scan, list_row, &listing, &more));
            assert_null(strstr(listing.text, "=new"));
            count += listing.rows;
        }
        txn_scan_close(&scan);
        txn_statement_end(db.s[1]);
        assert_int_equal(count, ROWS / 2 + 1);
        commit(&db, 1);
    }
    /* A writer of one of its rows waits, and goes on when the row is restored. */
    begin(&db, 1, TXN_READ_COMMITTED);
    put(&db, 1, "000000", "mine");
    insert(&db, 1, "000001", "mine");
    commit(&db, 1);
    begin(&db, 1, TXN_READ_COMMITTED);
    assert_string_equal(scan(&db, 1, "000000", "000003", false, 0), "000000=mine 000001=mine 000002=old");
    commit(&db, 1);
    db_close(&db);
}

static void numbers_are_never_handed_out_twice(void **state)
{
    struct db db;
    uint64_t id, highest = 0, other;
    db_open(&db, false);
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 100; i++) {
            MUST(&db, txn_next_id(&db.op, db.s[1], 7, &id));
            assert_true(id > highest);
            highest = id;
        }
        MUST(&db, txn_next_id(&db.op, db.s[1], 8, &other));
        begin(&db, 1, TXN_READ_COMMITTED);
        char key[16];
        snprintf(key, sizeof(key), "r%d", round);
        insert(&db, 1, key, "1");
        txn_set_sync(db.s[1], TXN_SYNC_FULL);
        commit(&db, 1);
        if (round < 3) {
            db_crash(&db, false);
        }
    }
    db_close(&db);
}

static void what_an_unfinished_transaction_had_buried_or_written_is_freed(void **state)
{
    struct db db;
    struct store_space before, after;
    static char big[60001];
    db_open(&db, false);
    memset(big, 'x', 60000);
    begin(&db, 1, TXN_READ_COMMITTED);
    insert(&db, 1, "a", big);
    txn_set_sync(db.s[1], TXN_SYNC_FULL);
    commit(&db, 1);
    MUST(&db, txn_purge(&db.op, db.manager));
    MUST(&db, store_space(&db.op, db.store, &before));
    begin(&db, 1, TXN_READ_COMMITTED);
    big[0] = 'y';
    put(&db, 1, "a", big);
    insert(&db, 1, "b", big);
    MUST(&db, txn_drop_tree(&db.op, db.s[1], db.tree_id));
    begin(&db, 2, TXN_READ_COMMITTED);
    insert(&db, 2, "c", "1");
    txn_set_sync(db.s[2], TXN_SYNC_FULL);
    commit(&db, 2);
    db_crash(&db, false);
    MUST(&db, txn_purge(&db.op, db.manager));
    MUST(&db, store_space(&db.op, db.store, &after));
    assert_int_equal(after.pages - after.free_pages, before.pages - before.free_pages);
    begin(&db, 1, TXN_READ_COMMITTED);
    assert_int_equal(get(&db, 1, "a")[0], 'x');
    assert_string_equal(get(&db, 1, "b"), "-");
    commit(&db, 1);
    db_close(&db);
}

static void ghosts_are_found_again_after_a_restart(void **state)
{
    struct db db;
    struct btree_stats stats;
    char key[16];
    db_open(&db, false);
    begin(&db, 1, TXN_READ_COMMITTED);
    for (int i = 0; i < 500; i++) {
        snprintf(key, sizeof(key), "%03d", i);
        insert(&db, 1, key, "1");
    }
    commit(&db, 1);
    begin(&db, 1, TXN_READ_COMMITTED);
    for (int i = 0; i < 400; i++) {
        snprintf(key, sizeof(key), "%03d", i);
        delete(&db, 1, key);
    }
    txn_set_sync(db.s[1], TXN_SYNC_FULL);
    commit(&db, 1);
    db_crash(&db, false);
    MUST(&db, btree_stats(&db.op, db.tree, &stats));
    assert_int_equal(stats.ghosts, 400);
    begin(&db, 1, TXN_READ_COMMITTED);
    for (int round = 0; round < 4; round++) {
        scan(&db, 1, NULL, NULL, false, 0);
        MUST(&db, txn_purge(&db.op, db.manager));
    }
    commit(&db, 1);
    MUST(&db, btree_stats(&db.op, db.tree, &stats));
    assert_int_equal(stats.ghosts, 0);
    assert_int_equal(stats.records, 100);
    db_close(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_committed_stays_and_what_was_not_goes),
        cmocka_unit_test(a_large_loser_is_invisible_and_holds_its_rows_while_it_rolls_back),
        cmocka_unit_test(numbers_are_never_handed_out_twice),
        cmocka_unit_test(what_an_unfinished_transaction_had_buried_or_written_is_freed),
        cmocka_unit_test(ghosts_are_found_again_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
