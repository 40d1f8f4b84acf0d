/*
 * test_bounds.c -- the log stays within its limit beside idle writers, and rollback gets through on a full disk.
 *
 * The log is small here (256 KiB in segments of 16 KiB), so that a load of some megabytes goes round it many times.
 */
#include "src/os/fault.h"
#include "tests/unit/txn/txn_test.h"
#include "wal/wal_open.h"

enum { MAX_WAL = 256 * 1024, LOAD_ROWS = 20 };

static void make_tree(struct db *db, struct vfs *vfs)
{
    memset(db, 0, sizeof(*db));
    db->vfs = vfs;
    db->wal = (struct wal_options){ .segment_size = 16384, .buffer_size = 65536, .max_wal_size = MAX_WAL };
    db_attach(db, true, false);
    begin(db, 0, TXN_READ_COMMITTED);
    MUST(db, txn_statement_begin(&db->op, db->s[0]));
    MUST(db, txn_create_tree(&db->op, db->s[0], &db->tree_id));
    txn_statement_end(db->s[0]);
    txn_set_sync(db->s[0], TXN_SYNC_FULL);
    commit(db, 0);
    MUST(db, btree_open(&db->op, db->store, db->tree_id, &db->tree));
}

/* Rows to be changed, and rows for the load. */
static void make_rows(struct db *db)
{
    char key[16];

    FILL(db, "a=1", "b=1", "c=1");
    begin(db, 0, TXN_READ_COMMITTED);
    for (int i = 0; i < LOAD_ROWS; i++) {
        snprintf(key, sizeof(key), "load%02d", i);
        insert(db, 0, key, "0");
    }
    commit(db, 0);
}

static const char *load_value(char *value, unsigned round)
{
    memset(value, 'x', 400);
    value[400] = '\0';
    int len = snprintf(value, 401, "%u:", round);
    value[len] = 'x';
    return value;
}

/* One transaction of the load; false when it could not be made. */
static bool load_once(struct db *db, int s, unsigned round, char *sqlstate)
{
    char key[16], value[401];
    const char *state;

    begin(db, s, TXN_READ_COMMITTED);
    snprintf(key, sizeof(key), "load%02u", round % LOAD_ROWS);
    state = try_put(db, s, key, load_value(value, round));
    if (*state == '\0') {
        state = try_commit(db, s);
    } else {
        undo(db, s);
    }
    strcpy(sqlstate, state);
    return *state == '\0';
}

/* The load, with a checkpoint after each eighth of what the log may hold. */
static void load(struct db *db, uint64_t bytes)
{
    struct wal *wal = store_wal(db->store);
    Lsn from = wal_end(wal), checkpoint = from;
    char sqlstate[6];

    for (unsigned round = 0; wal_end(wal) - from < bytes; round++) {
        assert_true(load_once(db, 9, round, sqlstate));
        if (wal_end(wal) - checkpoint > MAX_WAL / 8) {
            MUST(db, store_checkpoint(&db->op, db->store));
            op_reset(&db->op);
            checkpoint = wal_end(wal);
            assert_true(wal_file_size(wal) <= MAX_WAL);
        }
    }
}

static void the_log_stays_within_its_limit_beside_idle_writers(void **state)
{
    struct db db;
    struct txn_mark mark;
    make_tree(&db, os_memory_vfs_new());
    make_rows(&db);
    begin(&db, 1, TXN_READ_COMMITTED);
    put(&db, 1, "a", "2");
    txn_mark(db.s[1], &mark);
    put(&db, 1, "b", "2");
    begin(&db, 2, TXN_REPEATABLE_READ);
    delete(&db, 2, "c");
    insert(&db, 2, "d", "2");
    load(&db, 8 * MAX_WAL);
    put(&db, 1, "b", "3");
    load(&db, 8 * MAX_WAL);
    MUST(&db, txn_rollback_to(&db.op, db.s[1], &mark));
    assert_string_equal(scan(&db, 1, NULL, "e", false, 0), "a=2 b=1 c=1");
    assert_string_equal(scan(&db, 2, NULL, "e", false, 0), "a=1 b=1 d=2");
    put(&db, 1, "b", "4");
    load(&db, 4 * MAX_WAL);
    undo(&db, 1);
    begin(&db, 3, TXN_READ_COMMITTED);
    assert_string_equal(scan(&db, 3, NULL, "e", false, 0), "a=1 b=1 c=1");
    load(&db, 4 * MAX_WAL);
    commit(&db, 2);
    assert_string_equal(scan(&db, 3, NULL, "e", false, 0), "a=1 b=1 d=2");
    commit(&db, 3);
    db_close(&db);
}

static void what_was_carried_forward_is_undone_after_a_crash(void **state)
{
    struct db db;
    struct txn_mark mark;
    make_tree(&db, os_memory_vfs_new());
    make_rows(&db);
    begin(&db, 1, TXN_READ_COMMITTED);
    put(&db, 1, "a", "2");
    txn_mark(db.s[1], &mark);
    put(&db, 1, "b", "2");
    delete(&db, 1, "c");
    load(&db, 3 * MAX_WAL);
    MUST(&db, txn_rollback_to(&db.op, db.s[1], &mark));
    insert(&db, 1, "d", "2");
    load(&db, 3 * MAX_WAL);
    put(&db, 1, "a", "3");
    txn_set_sync(db.s[9], TXN_SYNC_FULL);
    load(&db, 1000);
    db_crash(&db, false);
    begin(&db, 1, TXN_READ_COMMITTED);
    assert_string_equal(scan(&db, 1, NULL, "e", false, 0), "a=1 b=1 c=1");
    put(&db, 1, "a", "5");
    commit(&db, 1);
    db_close(&db);
}

static void a_loser_is_carried_forward_too(void **state)
{
    struct db db;
    make_tree(&db, os_memory_vfs_new());
    make_rows(&db);
    begin(&db, 1, TXN_READ_COMMITTED);
    put(&db, 1, "a", "2");
    insert(&db, 1, "d", "2");
    load(&db, 2 * MAX_WAL);
    for (int life = 0; life < 3; life++) {
        /* The manager is not there yet when the first checkpoint of a life may come. */
        txn_set_sync(db.s[9], TXN_SYNC_FULL);
        load(&db, 1000);
        txn_manager_abandon(db.manager);
        store_abandon(db.store);
        op_end(&db.op);
        struct store_options options = { .vfs = db.vfs, .path = "t.db", .no_background = true, .page_size = 4096,
                                         .cache_size = 8 << 20, .wal = db.wal };
        op_init(&db.op);
        MUST(&db, store_open(&db.op, &options, &db.store));
        MUST(&db, store_checkpoint(&db.op, db.store));
        store_abandon(db.store);
        op_end(&db.op);
        db_attach(&db, false, false);
        MUST(&db, btree_open(&db.op, db.store, db.tree_id, &db.tree));
        begin(&db, 1, TXN_READ_COMMITTED);
        assert_string_equal(scan(&db, 1, NULL, "e", false, 0), "a=1 b=1 c=1");
        put(&db, 1, "a", "2");
        delete(&db, 1, "b");
        load(&db, 2 * MAX_WAL);
    }
    undo(&db, 1);
    db_close(&db);
}

static void the_background_keeps_the_log_within_its_limit(void **state)
{
    struct db db;
    char sqlstate[6];
    make_tree(&db, os_memory_vfs_new());
    make_rows(&db);
    db_crash(&db, true);
    struct wal *wal = store_wal(db.store);
    begin(&db, 1, TXN_READ_COMMITTED);
    put(&db, 1, "a", "2");
    Lsn from = wal_end(wal);
    for (unsigned round = 0; wal_end(wal) - from < 20 * MAX_WAL; round++) {
        assert_true(load_once(&db, 9, round, sqlstate));
        assert_true(wal_file_size(wal) <= MAX_WAL);
    }
    undo(&db, 1);
    begin(&db, 1, TXN_READ_COMMITTED);
    assert_string_equal(get(&db, 1, "a"), "1");
    commit(&db, 1);
    db_close(&db);
}

static void a_large_writer_exceeds_the_limit_until_it_ends(void **state)
{
    struct db db;
    char key[16], value[401];
    make_tree(&db, os_memory_vfs_new());
    make_rows(&db);
    db_crash(&db, true);
    struct wal *wal = store_wal(db.store);
    begin(&db, 1, TXN_READ_COMMITTED);
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(key, sizeof(key), "big%05u", i);
        insert(&db, 1, key, load_value(value, i));
    }
    assert_true(wal_file_size(wal) > MAX_WAL);
    undo(&db, 1);
    /* The file is cut once its tail is free: when the log has gone on in the slots before. */
    MUST(&db, store_checkpoint(&db.op, db.store));
    char sqlstate[6];
    for (Lsn from = wal_end(wal); wal_end(wal) - from < MAX_WAL / 8;) {
        assert_true(load_once(&db, 9, 1, sqlstate));
    }
    MUST(&db, store_checkpoint(&db.op, db.store));
    assert_true(wal_file_size(wal) <= MAX_WAL);
    db_close(&db);
}

static void a_transaction_that_writes_too_much_log_is_ended(void **state)
{
    struct db db;
    struct txn_writer_info *list;
    size_t count;
    char key[16], value[401], answer[6] = "";
    make_tree(&db, os_memory_vfs_new());
    make_rows(&db);
    txn_set_max_log(db.s[1], 20000);
    begin(&db, 1, TXN_READ_COMMITTED);
    put(&db, 1, "a", "2");
    begin(&db, 2, TXN_READ_COMMITTED);
    unsigned rows = 0;
    while (*answer == '\0' && rows < 200) {
        snprintf(key, sizeof(key), "big%05u", rows++);
        strcpy(answer, try_insert(&db, 1, key, load_value(value, rows)));
        insert(&db, 2, strcat(key, "+"), value);
    }
    assert_string_equal(answer, "53400");
    assert_in_range(rows, 20000 / 600, 20000 / 400 + 1);
    MUST(&db, txn_writers(&db.op, db.manager, &list, &count));
    assert_int_equal(count, 2);
    for (size_t i = 0; i < count; i++) {
        assert_in_range(list[i].log_bytes, 20000, 25000);
        assert_true(list[i].undo_bytes <= list[i].log_bytes && list[i].undo_bytes > 15000);
        assert_true(list[i].kept_bytes >= list[i].log_bytes);
        assert_true(list[i].session != 0);
    }
    op_reset(&db.op);
    undo(&db, 1);
    commit(&db, 2);
    begin(&db, 1, TXN_READ_COMMITTED);
    put(&db, 1, "a", "3");
    commit(&db, 1);
    MUST(&db, txn_writers(&db.op, db.manager, &list, &count));
    assert_int_equal(count, 0);
    db_close(&db);
}

/* ---- many writers ----------------------------------------------------------------------------------- */

enum { WRITERS = 8, WRITER_ROWS = 40, WRITER_TRANSACTIONS = 400, WRITERS_WAL = 1 << 20 };

/* One of many writers, each with rows of its own; nobody waits for a lock. */
struct writer {
    struct db db;           /* a copy with an op of its own */
    int s;
    uint64_t largest;       /* file of the log that it has seen */
    char failure[6];
    struct os_thread *thread;
};

static void writer_key(char *key, int s, unsigned i)
{
    sprintf(key, "w%d-%02u", s, i % WRITER_ROWS);
}

/* Five changes; every eighth transaction goes back to its beginning first, every eighth is undone. */
static void write_once(struct writer *writer, unsigned round)
{
    struct db *db = &writer->db;
    struct wal *wal = store_wal(db->store);
    struct txn_mark mark;
    char key[16], value[401];
    const char *failure = result_of(db, txn_begin(&db->op, db->s[writer->s], TXN_READ_COMMITTED, false, false));

    txn_mark(db->s[writer->s], &mark);
    for (unsigned i = 0; i < 5 && *failure == '\0'; i++) {
        writer_key(key, writer->s, round * 3 + i);
        failure = try_put(db, writer->s, key, load_value(value, round));
        uint64_t size = wal_file_size(wal);
        writer->largest = size > writer->largest ? size : writer->largest;
    }
    if (round % 8 == 7 && *failure == '\0') {
        failure = result_of(db, txn_rollback_to(&db->op, db->s[writer->s], &mark));
    }
    if (round % 8 == 3 || *failure != '\0') {
        undo(db, writer->s);
    } else {
        failure = try_commit(db, writer->s);
    }
    memcpy(writer->failure, failure, sizeof(writer->failure));
}

static void write_much(void *arg)
{
    struct writer *writer = arg;

    op_init(&writer->db.op);
    for (unsigned round = 0; round < WRITER_TRANSACTIONS && writer->failure[0] == '\0'; round++) {
        write_once(writer, round);
    }
    op_end(&writer->db.op);
}

static void open_for_writers(struct db *db)
{
    char key[16], value[401];

    make_tree(db, os_memory_vfs_new());
    make_rows(db);
    begin(db, 0, TXN_READ_COMMITTED);
    for (int s = 0; s < WRITERS; s++) {
        for (unsigned i = 0; i < WRITER_ROWS; i++) {
            writer_key(key, s, i);
            insert(db, 0, key, load_value(value, 0));
        }
    }
    commit(db, 0);
    db_close_sessions(db);
    txn_manager_close(db->manager);
    MUST(db, store_close(&db->op, db->store));
    op_end(&db->op);
    db->wal = (struct wal_options){ .segment_size = 65536, .buffer_size = 65536, .max_wal_size = WRITERS_WAL };
    db_attach(db, false, true);
    MUST(db, btree_open(&db->op, db->store, db->tree_id, &db->tree));
}

/* However the threads take turns: who would make the log too large waits, and a checkpoint comes for him. */
static void many_writers_together_keep_the_log_within_its_limit(void **state)
{
    struct db db;
    struct writer writers[WRITERS];
    uint64_t size = 0;

    open_for_writers(&db);
    struct wal *wal = store_wal(db.store);
    begin(&db, 9, TXN_READ_COMMITTED);
    put(&db, 9, "a", "2");
    Lsn from = wal_end(wal);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){ .db = db, .s = i };
        MUST(&db, os_thread_start(&db.op, write_much, &writers[i], "writer", &writers[i].thread));
    }
    for (int i = 0; i < WRITERS; i++) {
        os_thread_join(writers[i].thread);
        assert_string_equal(writers[i].failure, "");
        size = writers[i].largest > size ? writers[i].largest : size;
    }
    assert_true(wal_end(wal) - from > 8 * WRITERS_WAL);
    assert_in_range(size, 0, WRITERS_WAL);
    undo(&db, 9);
    begin(&db, 9, TXN_READ_COMMITTED);
    assert_string_equal(get(&db, 9, "a"), "1");
    commit(&db, 9);
    db_close(&db);
}

/* ---- power cuts ----------------------------------------------------------------------------------- */

/* Until something fails: idle writers beside a load, with savepoints and checkpoints.  *done: loads acknowledged. */
static void work_until_cut(struct db *db, unsigned *done)
{
    struct txn_mark mark;
    char sqlstate[6];

    begin(db, 1, TXN_READ_COMMITTED);
    begin(db, 2, TXN_READ_COMMITTED);
    if (*try_put(db, 1, "a", "2") != '\0' || *try_delete(db, 2, "c") != '\0') {
        return;
    }
    txn_mark(db->s[1], &mark);
    txn_set_sync(db->s[9], TXN_SYNC_FULL);
    for (unsigned round = 1; round < 60 && !fault_is_cut(db->vfs); round++) {
        if (!load_once(db, 9, round, sqlstate)) {
            return;
        }
        *done = round;
        if (round % 12 == 0) {
            (void)*try_put(db, 1, "b", "2");
        }
        if (round % 24 == 0) {
            (void)*result_of(db, txn_rollback_to(&db->op, db->s[1], &mark));
        }
        if (round % 10 == 0) {
            (void)*result_of(db, store_checkpoint(&db->op, db->store));
        }
    }
}

static void check_after_cut(struct db *db, unsigned done)
{
    char key[16], expected[64];
    const char *value;

    begin(db, 1, TXN_READ_COMMITTED);
    assert_string_equal(scan(db, 1, NULL, "e", false, 0), "a=1 b=1 c=1");
    for (unsigned back = 0; back < 3 && back < done; back++) {
        snprintf(key, sizeof(key), "load%02u", (done - back) % LOAD_ROWS);
        snprintf(expected, sizeof(expected), "%u:", done - back);
        value = get(db, 1, key);
        assert_memory_equal(value, expected, strlen(expected));
    }
    commit(db, 1);
}

static void idle_writers_are_undone_wherever_the_power_is_cut(void **state)
{
    const char *count = getenv("COUNT"), *seed_text = getenv("SEED");
    uint64_t seed = seed_text != NULL ? strtoull(seed_text, NULL, 10) : 1;
    unsigned cuts = count != NULL ? (unsigned)atoi(count) : 60;
    struct rng rng;

    rng_seed(&rng, seed);
    for (unsigned i = 0; i < cuts; i++) {
        struct db db;
        unsigned done = 0;
        make_tree(&db, fault_vfs_new(seed + i));
        db.wal.max_wal_size = 8 * 16384;
        make_rows(&db);
        fault_cut_at(db.vfs, 1 + rng_below(&rng, 600));
        work_until_cut(&db, &done);
        fault_cut_at(db.vfs, 0);
        txn_manager_abandon(db.manager);
        store_abandon(db.store);
        op_end(&db.op);
        fault_power_on(db.vfs, (enum fault_loss)rng_below(&rng, 3), seed + i);
        db_attach(&db, false, false);
        MUST(&db, btree_open(&db.op, db.store, db.tree_id, &db.tree));
        check_after_cut(&db, done);
        db_close(&db);
    }
    printf("txn-bounds seed=%llu count=%u failures=0\n", (unsigned long long)seed, cuts);
}

/* ---- full disk ------------------------------------------------------------------------------------ */

enum { BIG_ROWS = 400 };

static void big_row(char *key, char *value, int i, char fill)
{
    sprintf(key, "row%04d", i);
    memset(value, fill, 200);
    value[200] = '\0';
}

/* Changes rows of all kinds, until the disk is full or all have been changed. */
static void change_all(struct db *db, int s)
{
    char key[16], value[201];
    const char *state = "";

    begin(db, s, TXN_READ_COMMITTED);
    for (int i = 0; i < BIG_ROWS && *state == '\0'; i++) {
        big_row(key, value, i, 'n');
        if (i % 4 == 3) {
            state = try_delete(db, s, key);
        } else if (i % 4 == 2) {
            state = try_insert(db, s, strcat(key, "+"), value);
        } else {
            state = try_put(db, s, key, value);
        }
    }
    assert_true(*state == '\0' || strcmp(state, "53100") == 0);
}

static void expect_old_rows(struct db *db)
{
    char key[16], value[201];

    begin(db, 3, TXN_READ_COMMITTED);
    txn_set_lock_timeout(db->s[3], 1000);
    for (int i = 0; i < BIG_ROWS; i++) {
        big_row(key, value, i, 'o');
        assert_int_equal(get(db, 3, key)[0], 'o');
    }
    /* Nobody holds the rows any more: with room again, a write meets no lock. */
    fault_capacity(db->vfs, 0);
    for (int i = 0; i < BIG_ROWS; i++) {
        big_row(key, value, i, 'o');
        put(db, 3, key, value);
    }
    undo(db, 3);
}

static void a_rollback_gets_through_however_full_the_disk_is(void **state)
{
    for (unsigned room = 0; room < 24; room++) {
        struct db db;
        char key[16], value[201], sqlstate[6] = "";
        make_tree(&db, fault_vfs_new(room + 1));
        make_rows(&db);
        begin(&db, 0, TXN_READ_COMMITTED);
        for (int i = 0; i < BIG_ROWS; i++) {
            big_row(key, value, i, 'o');
            insert(&db, 0, key, value);
        }
        commit(&db, 0);
        MUST(&db, store_checkpoint(&db.op, db.store));
        fault_capacity(db.vfs, 1400 * 1024 + (uint64_t)room * 24 * 1024);
        change_all(&db, 1);
        unsigned rounds = 0;
        while (load_once(&db, 9, rounds, sqlstate)) {
            rounds++;
            assert_true(rounds < 100000);
        }
        assert_string_equal(sqlstate, "53100");
        undo(&db, 1);
        expect_old_rows(&db);
        db_close(&db);
    }
}

/* One more row in a transaction of its own; its SQLSTATE. */
static const char *add_row(struct db *db, const char *key)
{
    char value[201];

    memset(value, 'n', 170);
    value[170] = '\0';
    begin(db, 2, TXN_READ_COMMITTED);
    const char *answer = try_insert(db, 2, key, value);
    if (*answer == '\0') {
        return try_commit(db, 2);
    }
    undo(db, 2);
    return answer;
}

/* Nothing grows any more: uses up the free pages, and then the log. */
static void fill_disk(struct db *db)
{
    char key[16], sqlstate[6] = "";
    const char *answer = "";
    bool again = false;

    fault_capacity(db->vfs, 1);
    for (int i = 0; *answer == '\0' || !again; i++) {
        snprintf(key, sizeof(key), "z%06d", i);
        again = *answer != '\0';
        if (again) {
            MUST(db, store_checkpoint(&db->op, db->store));
            op_reset(&db->op);
        }
        answer = add_row(db, key);
        again = again && *answer != '\0';
        assert_true(*answer == '\0' || strcmp(answer, "53100") == 0);
    }
    for (unsigned round = 0; load_once(db, 9, round, sqlstate); round++) {
        assert_true(round < 100000);
    }
}

/* Rows of a whole table are made short, others fill the room, and there is no page left on the disk: undo splits nearly every leaf. */
static void a_rollback_that_splits_gets_through_on_a_full_disk(void **state)
{
    enum { ROWS = 3 * BIG_ROWS };
    struct store_space before, after;
    struct db db;
    char key[16], value[201];

    make_tree(&db, fault_vfs_new(1));
    make_rows(&db);
    begin(&db, 0, TXN_READ_COMMITTED);
    for (int i = 0; i < ROWS; i++) {
        big_row(key, value, i, 'o');
        insert(&db, 0, key, value);
    }
    commit(&db, 0);
    begin(&db, 1, TXN_READ_COMMITTED);
    for (int i = 0; i < ROWS; i++) {
        big_row(key, value, i, 'o');
        put(&db, 1, key, "short");
    }
    for (int i = 0; i < ROWS; i++) {
        big_row(key, value, i, 'o');
        strcat(key, "+");
        assert_string_equal(add_row(&db, key), "");
        if (i % 100 == 0) {
            MUST(&db, store_checkpoint(&db.op, db.store));
            op_reset(&db.op);
        }
    }
    fill_disk(&db);
    MUST(&db, store_space(&db.op, db.store, &before));
    undo(&db, 1);
    MUST(&db, store_space(&db.op, db.store, &after));
    assert_true(before.free_pages >= after.free_pages + 30);
    begin(&db, 3, TXN_READ_COMMITTED);
    txn_set_lock_timeout(db.s[3], 1000);
    fault_capacity(db.vfs, 0);
    for (int i = 0; i < ROWS; i++) {
        big_row(key, value, i, 'o');
        assert_int_equal(get(&db, 3, key)[0], 'o');
        put(&db, 3, key, value);
    }
    undo(&db, 3);
    db_close(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_log_stays_within_its_limit_beside_idle_writers),
        cmocka_unit_test(what_was_carried_forward_is_undone_after_a_crash),
        cmocka_unit_test(a_loser_is_carried_forward_too),
        cmocka_unit_test(the_background_keeps_the_log_within_its_limit),
        cmocka_unit_test(a_large_writer_exceeds_the_limit_until_it_ends),
        cmocka_unit_test(a_transaction_that_writes_too_much_log_is_ended),
        cmocka_unit_test(many_writers_together_keep_the_log_within_its_limit),
        cmocka_unit_test(idle_writers_are_undone_wherever_the_power_is_cut),
        cmocka_unit_test(a_rollback_gets_through_however_full_the_disk_is),
        cmocka_unit_test(a_rollback_that_splits_gets_through_on_a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
