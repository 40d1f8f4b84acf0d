/*
 * The limits of the version store: what does not fit into memory is found in the file, and what does not fit there costs the oldest snapshot.
 */
#include "tests/unit/txn/txn_test.h"
#include "txn/txn_int.h"

enum { ROWS = 3000, VALUE = 100, MEMORY = 128 << 10, SLACK = 32 << 10 };

static void key_of(char out[16], int row)
{
    snprintf(out, 16, "k%06d", row);
}

static void value_of(char out[VALUE + 1], int row, int round)
{
    memset(out, 'x', VALUE);
    out[VALUE] = '\0';
    int len = snprintf(out, VALUE, "%d/%d", row, round);
    out[len] = ' ';
}

static void open_small(struct db *db, uint64_t memory, uint64_t disk, int rows)
{
    char key[16], value[VALUE + 1];

    db_open_limited(db, false, &(struct txn_options){ .version_memory = memory, .version_disk = disk });
    begin(db, 0, TXN_READ_COMMITTED);
    for (int i = 0; i < rows; i++) {
        key_of(key, i);
        value_of(value, i, 0);
        insert(db, 0, key, value);
    }
    commit(db, 0);
}

static void update_rows(struct db *db, int s, int from, int to, int round)
{
    char key[16], value[VALUE + 1];

    for (int i = from; i < to; i++) {
        key_of(key, i);
        value_of(value, i, round);
        put(db, s, key, value);
    }
}

struct seen {
    int count, round;       /* round: of all rows, or -1 when they differ */
    int next;
};

static int look(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    struct seen *seen = arg;
    int number, round;
    char key[16] = "";

    assert_true(row->key.len < sizeof key);
    memcpy(key, row->key.data, row->key.len);       /* nothing ends it where it lies */
    assert_int_equal(sscanf((const char *)row->value.data, "%d/%d", &number, &round), 2);
    assert_int_equal(number, atoi(key + 1));
    seen->round = seen->count == 0 || seen->round == round ? round : -1;
    seen->count++;
    return 0;
}

/* All rows as the session sees them. */
static struct seen look_at_all(struct db *db, int s, bool backward)
{
    struct seen seen = { .round = -1 };
    struct btree_range range = { .low = { NULL, 0 } };
    struct txn_scan scan;

    MUST(db, txn_statement_begin(&db->op, db->s[s]));
    txn_scan_open(&scan, db->s[s], db->tree, &range, backward);
    for (bool more = true; more;) {
        MUST(db, txn_scan_next(&db->op, &scan, look, &seen, &more));
    }
    txn_scan_close(&scan);
    txn_statement_end(db->s[s]);
    op_reset(&db->op);
    return seen;
}

static struct txn_version_stats stats_of(struct db *db)
{
    struct txn_version_stats stats;
    txn_version_stats(db->manager, &stats);
    return stats;
}

static void nothing_is_left(struct db *db)
{
    MUST(db, txn_purge(&db->op, db->manager));
    struct txn_version_stats stats = stats_of(db);
    assert_int_equal(stats.spilled_entries, 0);
    assert_int_equal(stats.disk, 0);
    assert_int_equal(txn_version_bytes(db->manager), 0);
}

static void an_old_snapshot_sees_what_was_spilled(void **state)
{
    struct db db;
    char key[16], value[VALUE + 1];

    open_small(&db, MEMORY, 0, ROWS);
    begin(&db, 1, TXN_REPEATABLE_READ);
    assert_string_equal(get(&db, 1, "nothing"), "-");
    for (int round = 1; round <= 3; round++) {
        for (int i = 0; i < ROWS; i++) {
            begin(&db, 2, TXN_READ_COMMITTED);
            update_rows(&db, 2, i, i + 1, round);
            commit(&db, 2);
            assert_true(stats_of(&db).memory <= MEMORY + SLACK);
        }
    }
    begin(&db, 2, TXN_READ_COMMITTED);
    for (int i = 0; i < ROWS; i += 2) {
        key_of(key, i);
        delete(&db, 2, key);
    }
    for (int i = ROWS; i < ROWS + 100; i++) {
        key_of(key, i);
        value_of(value, i, 4);
        insert(&db, 2, key, value);
    }
    commit(&db, 2);
    MUST(&db, txn_purge(&db.op, db.manager));
    assert_true(stats_of(&db).spilled_entries > ROWS);
    assert_true(stats_of(&db).spilled_entries < 5 * ROWS);
    struct seen seen = look_at_all(&db, 1, false);
    assert_int_equal(seen.count, ROWS);
    assert_int_equal(seen.round, 0);
    seen = look_at_all(&db, 1, true);
    assert_int_equal(seen.count, ROWS);
    assert_int_equal(seen.round, 0);
    key_of(key, 16);
    assert_memory_equal(get(&db, 1, key), "16/0 ", 5);
    begin(&db, 3, TXN_READ_COMMITTED);
    seen = look_at_all(&db, 3, false);
    assert_int_equal(seen.count, ROWS / 2 + 100);
    commit(&db, 3);
    assert_string_equal(try_put(&db, 1, key, "lost"), "40001");
    undo(&db, 1);
    nothing_is_left(&db);
    db_close(&db);
}

static void a_large_transaction_stays_within_memory(void **state)
{
    struct db db;
    char key[16];

    open_small(&db, MEMORY, 0, ROWS);
    for (int end = 0; end < 2; end++) {
        begin(&db, 1, TXN_REPEATABLE_READ);
        assert_string_equal(get(&db, 1, "nothing"), "-");
        begin(&db, 2, TXN_READ_COMMITTED);
        update_rows(&db, 2, 0, ROWS, 7);
        update_rows(&db, 2, 0, ROWS / 2, 8);
        assert_true(stats_of(&db).memory <= MEMORY + SLACK);
        assert_true(stats_of(&db).spilled_entries > ROWS / 2);
        /* Its rows are locked, wherever their chains are. */
        txn_set_lock_timeout(db.s[3], 1000);
        for (int i = 0; i < ROWS; i += 311) {
            begin(&db, 3, TXN_READ_COMMITTED);
            key_of(key, i);
            assert_string_equal(try_put(&db, 3, key, "stolen"), "55P03");
            undo(&db, 3);
        }
        struct seen seen = look_at_all(&db, 1, false);
        assert_int_equal(seen.count, ROWS);
        assert_int_equal(seen.round, 0);
        key_of(key, 5);
        assert_memory_equal(get(&db, 2, key), "5/8 ", 4);
        end == 0 ? undo(&db, 2) : commit(&db, 2);
        assert_true(stats_of(&db).memory <= MEMORY + SLACK);
        assert_int_equal(look_at_all(&db, 1, false).round, 0);
        undo(&db, 1);
        begin(&db, 3, TXN_READ_COMMITTED);
        seen = look_at_all(&db, 3, false);
        assert_int_equal(seen.count, ROWS);
        assert_int_equal(seen.round, end == 0 ? 0 : -1);
        commit(&db, 3);
        nothing_is_left(&db);
    }
    db_close(&db);
}

static void savepoints_undo_what_was_spilled(void **state)
{
    struct db db;
    struct txn_mark mark;

    open_small(&db, MEMORY, 0, ROWS);
    begin(&db, 1, TXN_READ_COMMITTED);
    update_rows(&db, 1, 0, ROWS, 1);
    txn_mark(db.s[1], &mark);
    update_rows(&db, 1, 0, ROWS, 2);
    assert_int_equal(look_at_all(&db, 1, false).round, 2);
    MUST(&db, txn_rollback_to(&db.op, db.s[1], &mark));
    assert_int_equal(look_at_all(&db, 1, false).round, 1);
    begin(&db, 2, TXN_READ_COMMITTED);
    assert_int_equal(look_at_all(&db, 2, false).round, 0);
    commit(&db, 2);
    commit(&db, 1);
    nothing_is_left(&db);
    db_close(&db);
}

static void the_oldest_snapshot_alone_is_given_up(void **state)
{
    struct db db;
    struct txn_snapshot_info *list;
    size_t count;
    int round = 1;

    /* There is room for what one of them keeps. */
    open_small(&db, MEMORY, 160 << 10, ROWS);
    begin(&db, 1, TXN_REPEATABLE_READ);
    assert_int_equal(look_at_all(&db, 1, false).round, 0);
    begin(&db, 2, TXN_READ_COMMITTED);
    update_rows(&db, 2, 0, ROWS / 4, round);
    commit(&db, 2);
    begin(&db, 3, TXN_REPEATABLE_READ);
    assert_int_equal(look_at_all(&db, 3, false).count, ROWS);

    /* It is seen coming. */
    MUST(&db, txn_snapshots(&db.op, db.manager, &list, &count));
    assert_int_equal(count, 2);
    const struct txn_snapshot_info *old = list[0].read_ts < list[1].read_ts ? &list[0] : &list[1];
    const struct txn_snapshot_info *young = old == &list[0] ? &list[1] : &list[0];
    assert_true(old->versions >= ROWS / 4 && old->versions <= ROWS / 3);
    assert_true(old->bytes > ROWS / 4 * VALUE && old->age_us >= young->age_us);
    assert_int_equal(young->versions, 0);

    for (int i = 0; stats_of(&db).snapshots_given_up == 0; i++) {
        begin(&db, 2, TXN_READ_COMMITTED);
        update_rows(&db, 2, 0, ROWS / 4, ++round);
        commit(&db, 2);
        assert_true(i < 1000);
    }
    assert_int_equal(stats_of(&db).snapshots_given_up, 1);
    assert_string_equal(get(&db, 1, "k000001"), "[72000]");
    assert_string_equal(try_put(&db, 1, "k000001", "too late"), "72000");
    struct seen seen = look_at_all(&db, 3, false);
    assert_int_equal(seen.count, ROWS);
    assert_memory_equal(get(&db, 3, "k000001"), "1/1 ", 4);
    assert_memory_equal(get(&db, 3, "k001500"), "1500/0 ", 7);
    undo(&db, 1);
    begin(&db, 1, TXN_REPEATABLE_READ);
    assert_int_equal(look_at_all(&db, 1, false).count, ROWS);
    undo(&db, 1);
    undo(&db, 3);
    nothing_is_left(&db);
    db_close(&db);
}

/* The flag may come between two rows of one leaf. */
struct slow {
    struct db *db;
    int rows;
};

static int count_row(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    struct slow *slow = arg;

    if (slow->rows++ == 3) {
        atomic_store(&slow->db->s[1]->slot->read_ts, TXN_GIVEN_UP);
    }
    return 0;
}

static void a_batch_resolved_while_the_snapshot_goes_is_not_handed_up(void **state)
{
    struct db db;
    struct slow slow = { .db = &db };
    struct btree_range range = { .low = { NULL, 0 } };
    struct txn_scan scan;
    bool more;

    open_small(&db, MEMORY, 0, 100);
    begin(&db, 1, TXN_REPEATABLE_READ);
    MUST(&db, txn_statement_begin(&db.op, db.s[1]));
    txn_scan_open(&scan, db.s[1], db.tree, &range, false);
    assert_string_equal(result_of(&db, txn_scan_next(&db.op, &scan, count_row, &slow, &more)), "72000");
    txn_scan_close(&scan);
    txn_statement_end(db.s[1]);
    undo(&db, 1);
    db_close(&db);
}

static void a_row_updated_again_and_again_costs_an_idle_snapshot_one_version(void **state)
{
    struct db db;
    char key[16], value[VALUE + 1];

    open_small(&db, 0, 0, 10);
    begin(&db, 1, TXN_REPEATABLE_READ);
    assert_string_equal(get(&db, 1, "nothing"), "-");
    for (int i = 0; i < 20000; i++) {
        key_of(key, i % 10);
        value_of(value, i % 10, i);
        begin(&db, 2, TXN_READ_COMMITTED);
        put(&db, 2, key, value);
        commit(&db, 2);
    }
    struct txn_snapshot_info *list;
    size_t count;
    MUST(&db, txn_snapshots(&db.op, db.manager, &list, &count));
    assert_int_equal(count, 1);
    assert_true(list[0].versions >= 10 && list[0].versions <= 40);
    assert_true(stats_of(&db).memory < 40 * 1024);
    assert_int_equal(look_at_all(&db, 1, false).round, 0);
    undo(&db, 1);
    nothing_is_left(&db);
    db_close(&db);
}

/* Its contents are nobody's: it is cut in the background, and may be written over before. */
static void the_file_that_a_crash_has_left_is_cut(void **state)
{
    struct db db;
    struct os_file *file;
    uint64_t size;

    open_small(&db, MEMORY, 0, ROWS);
    begin(&db, 1, TXN_READ_COMMITTED);
    update_rows(&db, 1, 0, ROWS, 1);
    assert_true(stats_of(&db).spilled_entries > 0);
    txn_set_sync(db.s[2], TXN_SYNC_FULL);
    begin(&db, 2, TXN_READ_COMMITTED);
    insert(&db, 2, "x", "1");
    commit(&db, 2);
    db_crash(&db, false);
    MUST(&db, os_open(&db.op, db.vfs, "t.db-versions", 0, &file));
    MUST(&db, os_size(&db.op, file, &size));
    assert_true(size > 0);
    MUST(&db, txn_purge(&db.op, db.manager));
    MUST(&db, os_size(&db.op, file, &size));
    assert_int_equal(size, 0);
    os_close(file);
    db_close(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_old_snapshot_sees_what_was_spilled),
        cmocka_unit_test(a_large_transaction_stays_within_memory),
        cmocka_unit_test(savepoints_undo_what_was_spilled),
        cmocka_unit_test(the_oldest_snapshot_alone_is_given_up),
        cmocka_unit_test(a_batch_resolved_while_the_snapshot_goes_is_not_handed_up),
        cmocka_unit_test(a_row_updated_again_and_again_costs_an_idle_snapshot_one_version),
        cmocka_unit_test(the_file_that_a_crash_has_left_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
