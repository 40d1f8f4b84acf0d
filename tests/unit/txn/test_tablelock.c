/* Table locks: PostgreSQL's conflict matrix, fair queues, deadlocks with rows, release at savepoints and ends. */
#include "tests/unit/txn/txn_test.h"

/* Rows: held; columns: asked for.  From PostgreSQL's manual, table 13.2. */
static const char *const matrix[9] = {
    "", ".......x", "......xx", "....xxxx", "...xxxxx", "..xx.xxx", "..xxxxxx", ".xxxxxxx", "xxxxxxxx",
};

static void each_mode_conflicts_with_what_postgresql_says(void **state)
{
    struct db db;
    db_open(&db, false);
    txn_set_lock_timeout(db.s[2], 300);
    for (int held = TXN_ACCESS_SHARE; held <= TXN_ACCESS_EXCLUSIVE; held++) {
        for (int asked = TXN_ACCESS_SHARE; asked <= TXN_ACCESS_EXCLUSIVE; asked++) {
            begin(&db, 1, TXN_READ_COMMITTED);
            begin(&db, 2, TXN_READ_COMMITTED);
            MUST(&db, txn_lock_table(&db.op, db.s[1], 42, (enum txn_table_lock)held));
            const char *got = result_of(&db, txn_lock_table(&db.op, db.s[2], 42, (enum txn_table_lock)asked));
            assert_string_equal(got, matrix[held][asked - 1] == 'x' ? "55P03" : "");
            MUST(&db, txn_lock_table(&db.op, db.s[2], 43, (enum txn_table_lock)asked));
            commit(&db, 1);
            commit(&db, 2);
        }
    }
    db_close(&db);
}

static void a_weak_request_queues_behind_a_strong_one(void **state)
{
    struct db db;
    db_open(&db, false);
    for (int i = 1; i <= 3; i++) {
        begin(&db, i, TXN_READ_COMMITTED);
    }
    MUST(&db, txn_lock_table(&db.op, db.s[1], 1, TXN_ACCESS_SHARE));
    struct step strong = { .kind = STEP_LOCK_TABLE, .table = 1, .mode = TXN_ACCESS_EXCLUSIVE };
    step_start(&strong, &db, 2);
    assert_true(step_waiting(&strong));
    struct step weak = { .kind = STEP_LOCK_TABLE, .table = 1, .mode = TXN_ACCESS_SHARE };
    step_start(&weak, &db, 3);
    assert_true(step_waiting(&weak));
    /* Who holds the table already may strengthen its lock past those who wait for it. */
    MUST(&db, txn_lock_table(&db.op, db.s[1], 1, TXN_ROW_EXCLUSIVE));
    commit(&db, 1);
    step_join(&strong);
    assert_string_equal(strong.sqlstate, "");
    assert_true(step_waiting(&weak));
    commit(&db, 2);
    step_join(&weak);
    assert_string_equal(weak.sqlstate, "");
    commit(&db, 3);
    db_close(&db);
}

static void locks_go_with_the_savepoint_after_which_they_came(void **state)
{
    struct db db;
    struct txn_mark mark;
    db_open(&db, false);
    begin(&db, 1, TXN_READ_COMMITTED);
    begin(&db, 2, TXN_READ_COMMITTED);
    MUST(&db, txn_lock_table(&db.op, db.s[1], 1, TXN_ACCESS_SHARE));
    txn_mark(db.s[1], &mark);
    MUST(&db, txn_lock_table(&db.op, db.s[1], 1, TXN_EXCLUSIVE));
    MUST(&db, txn_lock_table(&db.op, db.s[1], 2, TXN_ACCESS_EXCLUSIVE));
    struct step step = { .kind = STEP_LOCK_TABLE, .table = 1, .mode = TXN_ROW_EXCLUSIVE };
    step_start(&step, &db, 2);
    assert_true(step_waiting(&step));
    MUST(&db, txn_rollback_to(&db.op, db.s[1], &mark));
    step_join(&step);
    assert_string_equal(step.sqlstate, "");
    MUST(&db, txn_lock_table(&db.op, db.s[2], 2, TXN_ACCESS_EXCLUSIVE));
    txn_set_lock_timeout(db.s[2], 1000);
    assert_string_equal(result_of(&db, txn_lock_table(&db.op, db.s[2], 1, TXN_ACCESS_EXCLUSIVE)), "55P03");
    commit(&db, 1);
    MUST(&db, txn_lock_table(&db.op, db.s[2], 1, TXN_ACCESS_EXCLUSIVE));
    commit(&db, 2);
    db_close(&db);
}

static void tables_and_rows_make_deadlocks_together(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "a=1");
    begin(&db, 1, TXN_READ_COMMITTED);
    begin(&db, 2, TXN_READ_COMMITTED);
    put(&db, 1, "a", "2");
    MUST(&db, txn_lock_table(&db.op, db.s[2], 1, TXN_EXCLUSIVE));
    struct step step = { .kind = STEP_PUT, .key = "a", .value = "3" };
    step_start(&step, &db, 2);
    assert_true(step_waiting(&step));
    assert_string_equal(result_of(&db, txn_lock_table(&db.op, db.s[1], 1, TXN_ROW_EXCLUSIVE)), "40P01");
    undo(&db, 1);
    step_join(&step);
    assert_string_equal(step.sqlstate, "");
    commit(&db, 2);
    db_close(&db);
}

struct locker {
    struct db *db;
    int s;
    struct rng rng;
    struct os_thread *thread;
};
static atomic_int inside, broken;

static void lock_and_unlock(void *arg)
{
    struct locker *locker = arg;
    struct txn_session *session = locker->db->s[locker->s];
    struct op op;

    op_init(&op);
    for (int i = 0; i < 1500; i++) {
        bool strong = rng_below(&locker->rng, 8) == 0;
        if (txn_begin(&op, session, TXN_READ_COMMITTED, false, false) != 0 ||
            txn_lock_table(&op, session, 5, strong ? TXN_ACCESS_EXCLUSIVE : TXN_ROW_EXCLUSIVE) != 0) {
            atomic_fetch_add(&broken, 1);
        }
        int others = atomic_fetch_add(&inside, strong ? 1000 : 1);
        if (strong ? others != 0 : others >= 1000) {
            atomic_fetch_add(&broken, 1);
        }
        if (rng_below(&locker->rng, 4) == 0) {
            os_yield();
        }
        atomic_fetch_sub(&inside, strong ? 1000 : 1);
        if (txn_commit(&op, session) != 0) {
            atomic_fetch_add(&broken, 1);
        }
        op_reset(&op);
    }
    op_end(&op);
}

static void strong_locks_exclude_weak_ones_taken_on_the_fast_path(void **state)
{
    struct db db;
    struct locker lockers[6];
    db_open(&db, false);
    for (int i = 0; i < 6; i++) {
        lockers[i] = (struct locker){ .db = &db, .s = i };
        rng_seed(&lockers[i].rng, env_number("SEED", 1) + (uint64_t)i);
        MUST(&db, os_thread_start(&db.op, lock_and_unlock, &lockers[i], "locker", &lockers[i].thread));
    }
    for (int i = 0; i < 6; i++) {
        os_thread_join(lockers[i].thread);
    }
    assert_int_equal(atomic_load(&broken), 0);
    db_close(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_mode_conflicts_with_what_postgresql_says),
        cmocka_unit_test(a_weak_request_queues_behind_a_strong_one),
        cmocka_unit_test(locks_go_with_the_savepoint_after_which_they_came),
        cmocka_unit_test(tables_and_rows_make_deadlocks_together),
        cmocka_unit_test(strong_locks_exclude_weak_ones_taken_on_the_fast_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
