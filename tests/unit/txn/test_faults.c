/*
 * What fails under a transaction: the log's sync at its commit, memory, the disk under its rollback.  A commit is then unknown or not
 * there; a rollback needs no memory, and if the disk stops it, those who wait for its rows hear of it, until it gets through.
 */
#include "src/base/hash.h"
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

/* ---- rollback without memory ---------------------------------------------------------------------- */

static char *long_text(char fill, size_t len)
{
    static char buffer[40001];

    memset(buffer, fill, len);
    buffer[len] = '\0';
    return buffer;
}

static void key_of(char key[16], int number)
{
    snprintf(key, 16, "k%05d", number);
}

enum { LOADED = 400 };

static void load(struct db *db)
{
    char key[16];

    begin(db, 0, TXN_READ_COMMITTED);
    for (int i = 0; i < LOADED; i++) {
        key_of(key, i);
        insert(db, 0, key, long_text((char)('a' + i % 7), 300 + (size_t)i % 400));
    }
    insert(db, 0, "long", long_text('l', 20000));
    commit(db, 0);
}

/* On a disk whose own memory is not counted. */
static void open_on_disk(struct db *db, uint64_t cache_size)
{
    memset(db, 0, sizeof(*db));
    db->vfs = fault_vfs_new(11);
    db->cache_size = cache_size;
    db_attach(db, true, false);
    begin(db, 0, TXN_READ_COMMITTED);
    MUST(db, txn_statement_begin(&db->op, db->s[0]));
    MUST(db, txn_create_tree(&db->op, db->s[0], &db->tree_id));
    txn_statement_end(db->s[0]);
    commit(db, 0);
    MUST(db, btree_open(&db->op, db->store, db->tree_id, &db->tree));
    load(db);
}

/* All kinds of changes: shrinking values, so that undo must split pages; long values; a run of appended rows; trees. */
static void change_much(struct db *db, int s, bool trees)
{
    struct txn_outcome outcome;
    struct btree *tree;
    char key[16];
    TreeId id;

    for (int i = 0; i < LOADED; i += 1) {
        key_of(key, i);
        if (i % 9 == 0) {
            delete(db, s, key);
        } else {
            put(db, s, key, "short");
        }
    }
    for (int i = 0; i < LOADED; i++) {
        snprintf(key, sizeof(key), "k%05dx", i);
        insert(db, s, key, long_text('n', 150));
    }
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof(key), "z%05d", i);
        insert(db, s, key, "appended");
    }
    put(db, s, "long", long_text('m', 30000));
    insert(db, s, "new long", long_text('n', 25000));
    for (int i = 0; trees && i < 3; i++) {
        MUST(db, txn_statement_begin(&db->op, db->s[s]));
        MUST(db, txn_create_tree(&db->op, db->s[s], &id));
        if (i > 0) {
            MUST(db, btree_open(&db->op, db->store, id, &tree));
            MUST(db, txn_insert(&db->op, db->s[s], tree, text("x"), text("y"), &outcome));
        }
        txn_statement_end(db->s[s]);
    }
}

static int hash_row(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    uint64_t *sum = arg;

    *sum = hash_bytes(row->key.data, row->key.len, *sum);
    *sum = hash_bytes(row->value.data, row->value.len, *sum);
    return 0;
}

/* One number for all that the session sees. */
static uint64_t contents(struct db *db, int s)
{
    struct btree_range range = { .low_inclusive = true };
    struct txn_scan scan;
    bool more = true;
    uint64_t sum = 0;

    MUST(db, txn_statement_begin(&db->op, db->s[s]));
    txn_scan_open(&scan, db->s[s], db->tree, &range, false);
    while (more) {
        MUST(db, txn_scan_next(&db->op, &scan, hash_row, &sum, &more));
    }
    txn_scan_close(&scan);
    txn_statement_end(db->s[s]);
    return sum;
}

static void a_rollback_needs_no_memory(void **state)
{
    struct db db;
    struct txn_mark mark;

    open_on_disk(&db, 0);
    begin(&db, 5, TXN_READ_COMMITTED);
    uint64_t before = contents(&db, 5);
    for (int round = 0; round < 4; round++) {
        bool to_mark = round % 2 == 1;
        begin(&db, 1, TXN_READ_COMMITTED);
        txn_mark(db.s[1], &mark);
        change_much(&db, 1, round < 2);
        mem_fail_from(1);
        int rc = to_mark ? txn_rollback_to(&db.op, db.s[1], &mark) : 0;
        if (!to_mark) {
            undo(&db, 1);
        }
        mem_fail_at(0);
        MUST(&db, rc);
        begin(&db, 2, TXN_READ_COMMITTED);
        txn_set_lock_timeout(db.s[2], 1000);
        put(&db, 2, "k00007", "free");
        delete(&db, 2, "long");
        insert(&db, 2, "z00007", "free");
        undo(&db, 2);
        undo(&db, 1);
        assert_int_equal(contents(&db, 5), before);
    }
    commit(&db, 5);
    db_close(&db);
}

static void losers_of_a_restart_are_rolled_back_without_memory(void **state)
{
    struct db db;

    open_on_disk(&db, 0);
    begin(&db, 1, TXN_READ_COMMITTED);
    uint64_t before = contents(&db, 1);
    change_much(&db, 1, true);
    MUST(&db, wal_flush(&db.op, store_wal(db.store), wal_end(store_wal(db.store)) - 1));
    db_crash(&db, true);
    mem_fail_from(1);
    os_sleep_us(20000);
    mem_fail_at(0);
    begin(&db, 2, TXN_READ_COMMITTED);
    txn_set_lock_timeout(db.s[2], 10 * 1000 * 1000);
    put(&db, 2, "k00001", "free");
    insert(&db, 2, "z00001", "free");
    undo(&db, 2);
    begin(&db, 3, TXN_READ_COMMITTED);
    assert_int_equal(contents(&db, 3), before);
    commit(&db, 3);
    db_close(&db);
}

/* ---- rollback on a failing disk ------------------------------------------------------------------- */

/* Session 1 has changed two rows, and their pages are no longer in memory. */
static uint64_t change_and_evict(struct db *db)
{
    begin(db, 5, TXN_READ_COMMITTED);
    uint64_t before = contents(db, 5);
    begin(db, 1, TXN_READ_COMMITTED);
    put(db, 1, "k00003", "changed");
    put(db, 1, "k00390", "changed");
    MUST(db, store_checkpoint(&db->op, db->store));
    for (int i = 0; i < 700; i += 2) {
        char key[16];
        key_of(key, 20 + i % 350);
        get(db, 5, key);
    }
    return before;
}

static void waiters_hear_of_a_rollback_that_the_disk_stops(void **state)
{
    struct db db;
    open_on_disk(&db, 32 * 4096);
    uint64_t before = change_and_evict(&db);

    fault_fail_at(db.vfs, FAULT_READ, 1, 5, true);
    undo(&db, 1);
    assert_false(txn_in_progress(db.s[1]));
    assert_int_equal(txn_purge(&db.op, db.manager), OP_FAILED);
    assert_string_equal(db.op.error.sqlstate, "58030");
    op_reset(&db.op);
    fault_fail_at(db.vfs, FAULT_READ, 0, 0, false);
    begin(&db, 2, TXN_READ_COMMITTED);
    assert_string_equal(try_put(&db, 2, "k00003", "mine"), "58030");
    undo(&db, 2);
    assert_int_equal(contents(&db, 5), before);

    MUST(&db, txn_purge(&db.op, db.manager));
    begin(&db, 2, TXN_READ_COMMITTED);
    txn_set_lock_timeout(db.s[2], 1000);
    put(&db, 2, "k00003", "mine");
    put(&db, 2, "k00390", "mine");
    undo(&db, 2);
    assert_int_equal(contents(&db, 5), before);
    commit(&db, 5);
    db_close(&db);
}

static void waiters_wait_while_a_rollback_finds_the_disk_full(void **state)
{
    struct db db;
    open_on_disk(&db, 32 * 4096);
    uint64_t before = change_and_evict(&db);
    fault_fail_at(db.vfs, FAULT_READ, 1, 28, true);     /* as if the frame for what is read had to be written first */
    undo(&db, 1);
    fault_fail_at(db.vfs, FAULT_READ, 0, 0, false);
    struct step step = { .kind = STEP_PUT, .key = "k00003", .value = "mine" };
    begin(&db, 2, TXN_READ_COMMITTED);
    step_start(&step, &db, 2);
    assert_true(step_waiting(&step));
    MUST(&db, txn_purge(&db.op, db.manager));
    step_join(&step);
    assert_string_equal(step.sqlstate, "");
    undo(&db, 2);
    assert_int_equal(contents(&db, 5), before);
    commit(&db, 5);
    db_close(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_commit_whose_sync_fails_is_unknown_and_never_becomes_visible),
        cmocka_unit_test(every_allocation_may_fail_and_nothing_is_lost),
        cmocka_unit_test(a_rollback_needs_no_memory),
        cmocka_unit_test(losers_of_a_restart_are_rolled_back_without_memory),
        cmocka_unit_test(waiters_hear_of_a_rollback_that_the_disk_stops),
        cmocka_unit_test(waiters_wait_while_a_rollback_finds_the_disk_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
