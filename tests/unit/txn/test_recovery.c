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

static void make_ghosts(struct db *db)
{
    char key[16];

    begin(db, 1, TXN_READ_COMMITTED);
    for (int i = 0; i < 500; i++) {
        snprintf(key, sizeof(key), "%03d", i);
        insert(db, 1, key, "1");
    }
    commit(db, 1);
    begin(db, 1, TXN_READ_COMMITTED);
    for (int i = 0; i < 400; i++) {
        snprintf(key, sizeof(key), "%03d", i);
        delete(db, 1, key);
    }
    txn_set_sync(db->s[1], TXN_SYNC_FULL);
    commit(db, 1);
}

static void expect_ghosts(struct db *db, uint64_t ghosts)
{
    struct btree_stats stats;

    MUST(db, btree_stats(&db->op, db->tree, &stats));
    assert_int_equal(stats.ghosts, ghosts);
    assert_int_equal(stats.records, 100);
}

/* Nobody reads the tree: redo has seen them. */
static void ghosts_go_after_a_crash(void **state)
{
    struct db db;
    db_open(&db, false);
    make_ghosts(&db);
    db_crash(&db, false);
    expect_ghosts(&db, 400);
    MUST(&db, txn_purge(&db.op, db.manager));
    expect_ghosts(&db, 0);
    db_close(&db);
}

static void note_damage(void *arg, PageNo page, TreeId tree, const char *rule)
{
    fail_msg("page %llu: %s", (unsigned long long)page, rule);
}

/* Redo has nothing to do with their leaves: the scrub passes them. */
static void ghosts_that_are_older_than_redo_are_met_by_the_scrub(void **state)
{
    struct db db;
    db_open(&db, false);
    make_ghosts(&db);
    MUST(&db, store_checkpoint(&db.op, db.store));
    db_crash(&db, false);
    MUST(&db, txn_purge(&db.op, db.manager));
    expect_ghosts(&db, 400);
    struct store_scrub scrub = { .rate = UINT64_C(1) << 40, .pause_us = 1000, .damaged = note_damage };
    MUST(&db, store_start_scrub(&db.op, db.store, &scrub));
    struct btree_stats stats = { .ghosts = 400 };
    for (int tries = 0; stats.ghosts > 0 && tries < 30000; tries++) {
        os_sleep_us(1000);
        MUST(&db, txn_purge(&db.op, db.manager));
        MUST(&db, btree_stats(&db.op, db.tree, &stats));
    }
    store_stop_scrub(db.store);
    expect_ghosts(&db, 0);
    db_close(&db);
}

/* The queue has room for 65,536; a clean close leaves none. */
static void more_ghosts_than_the_queue_holds_go_too(void **state)
{
    enum { MANY = 80000 };
    struct btree_stats stats;
    struct db db;
    char key[16];
    db_open(&db, false);
    begin(&db, 1, TXN_READ_COMMITTED);
    for (int i = 0; i < MANY; i++) {
        snprintf(key, sizeof(key), "%06d", i);
        insert(&db, 1, key, "1");
    }
    commit(&db, 1);
    begin(&db, 2, TXN_REPEATABLE_READ);
    assert_string_equal(get(&db, 2, "000000"), "1");
    begin(&db, 1, TXN_READ_COMMITTED);
    for (int i = 0; i < MANY; i++) {
        snprintf(key, sizeof(key), "%06d", i);
        delete(&db, 1, key);
    }
    commit(&db, 1);
    commit(&db, 2);
    for (int round = 0; round < 8; round++) {
        MUST(&db, txn_purge(&db.op, db.manager));
    }
    MUST(&db, btree_stats(&db.op, db.tree, &stats));
    assert_int_equal(stats.records, 0);
    struct store_space space;
    MUST(&db, store_space(&db.op, db.store, &space));
    uint64_t before = space.pages;
    MUST(&db, store_checkpoint(&db.op, db.store));
    MUST(&db, store_space(&db.op, db.store, &space));
    assert_true(space.pages < before / 2);
    db_close(&db);
}

/* ---- a checkpoint in the middle of opening ----------------------------------------------------------- */

/* A disk that takes a checkpoint of `store` whenever it is asked whether a file exists, as the manager asks while it opens. */
struct watching_vfs {
    struct vfs vfs;
    struct vfs *below;
    struct store *store;
    int checkpoints;
};

static int watching_open(struct op *op, struct vfs *vfs, const char *path, int flags, struct os_file **file)
{
    return os_open(op, ((struct watching_vfs *)vfs)->below, path, flags, file);
}

static int watching_exists(struct op *op, struct vfs *vfs, const char *path, bool *exists)
{
    struct watching_vfs *watching = (struct watching_vfs *)vfs;

    if (watching->store != NULL) {
        watching->checkpoints++;
        if (store_checkpoint(op, watching->store) != 0) {
            return OP_FAILED;
        }
    }
    return os_exists(op, watching->below, path, exists);
}

static int watching_remove(struct op *op, struct vfs *vfs, const char *path)
{
    return os_remove(op, ((struct watching_vfs *)vfs)->below, path);
}

static int watching_rename(struct op *op, struct vfs *vfs, const char *from, const char *to)
{
    return os_rename(op, ((struct watching_vfs *)vfs)->below, from, to);
}

static int watching_list(struct op *op, struct vfs *vfs, const char *directory,
                         int (*visit)(void *arg, struct op *op, const char *name), void *arg)
{
    return os_list(op, ((struct watching_vfs *)vfs)->below, directory, visit, arg);
}

static void watching_destroy(struct vfs *vfs)
{
    os_vfs_destroy(((struct watching_vfs *)vfs)->below);
}

static const struct vfs_methods watching_methods = { watching_open, watching_exists, watching_remove, watching_rename,
                                                     watching_list, watching_destroy };

/* The log that a loser needs is kept from the first checkpoint on: the second life of the loser is killed too, and has it. */
static void a_checkpoint_while_losers_are_adopted_keeps_their_log(void **state)
{
    struct db db = { .wal = { .segment_size = 16384, .buffer_size = 65536, .max_wal_size = 128 * 1024 } };
    struct watching_vfs watching = { .vfs = { &watching_methods, "watching" }, .below = os_memory_vfs_new() };
    struct txn_options limits = { .no_background = true };
    char key[16], value[301];

    db.vfs = &watching.vfs;
    memset(value, 'x', 300);
    value[300] = '\0';
    db_attach(&db, true, false);
    begin(&db, 0, TXN_READ_COMMITTED);
    MUST(&db, txn_statement_begin(&db.op, db.s[0]));
    MUST(&db, txn_create_tree(&db.op, db.s[0], &db.tree_id));
    txn_statement_end(db.s[0]);
    commit(&db, 0);
    MUST(&db, btree_open(&db.op, db.store, db.tree_id, &db.tree));
    FILL(&db, "a=1");
    begin(&db, 1, TXN_READ_COMMITTED);
    for (int i = 0; i < 400; i++) {
        snprintf(key, sizeof(key), "row%04d", i);
        insert(&db, 1, key, value);
    }
    begin(&db, 2, TXN_READ_COMMITTED);
    put(&db, 2, "a", "2");
    txn_set_sync(db.s[2], TXN_SYNC_FULL);
    commit(&db, 2);
    txn_manager_abandon(db.manager);
    store_abandon(db.store);
    op_end(&db.op);

    struct store_options options = { .vfs = db.vfs, .path = "t.db", .no_background = true, .page_size = 4096, .cache_size = 8 << 20,
                                     .wal = db.wal };
    op_init(&db.op);
    MUST(&db, store_open(&db.op, &options, &db.store));
    watching.store = db.store;
    MUST(&db, txn_manager_open(&db.op, db.store, &limits, &db.manager));
    watching.store = NULL;
    assert_true(watching.checkpoints > 0);
    for (int i = 0; i < SESSIONS; i++) {
        MUST(&db, txn_session_open(&db.op, db.manager, &db.s[i]));
    }
    MUST(&db, btree_open(&db.op, db.store, db.tree_id, &db.tree));
    begin(&db, 1, TXN_READ_COMMITTED);
    assert_string_equal(scan(&db, 1, NULL, NULL, false, 0), "a=2");
    commit(&db, 1);
    db_close(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_committed_stays_and_what_was_not_goes),
        cmocka_unit_test(a_large_loser_is_invisible_and_holds_its_rows_while_it_rolls_back),
        cmocka_unit_test(numbers_are_never_handed_out_twice),
        cmocka_unit_test(what_an_unfinished_transaction_had_buried_or_written_is_freed),
        cmocka_unit_test(ghosts_go_after_a_crash),
        cmocka_unit_test(ghosts_that_are_older_than_redo_are_met_by_the_scrub),
        cmocka_unit_test(more_ghosts_than_the_queue_holds_go_too),
        cmocka_unit_test(a_checkpoint_while_losers_are_adopted_keeps_their_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
