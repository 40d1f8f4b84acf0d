/* Row locks in four modes: the matrix, queues, upgrades, savepoints, what a key lock passes over, deadlocks and their victims. */
#include "tests/unit/txn/txn_test.h"
#include "txn/txn_int.h"

enum { LOCKS = 4, WAYS = 7 };

/* Four locks, then an update of no key, an update, a deletion. */
static struct step way_of(int way, const char *key)
{
    struct step step = { .kind = STEP_LOCK_ROW, .key = key, .value = way == 6 ? NULL : "2" };

    if (way < LOCKS) {
        step.row_mode = (enum txn_row_lock)(way + 1);
    } else {
        step.kind = way == 4 ? STEP_PUT_NO_KEY : way == 5 ? STEP_PUT : STEP_DELETE;
    }
    return step;
}

static void run(struct step *step, struct db *db, int s)
{
    step_start(step, db, s);
    step_join(step);
    assert_string_equal(step->sqlstate, "");
    assert_int_equal(step->outcome.result, TXN_WRITTEN);
}

static void lock(struct db *db, int s, const char *key, enum txn_row_lock mode)
{
    struct step step = { .kind = STEP_LOCK_ROW, .key = key, .row_mode = mode };
    run(&step, db, s);
}

static enum txn_result try_lock(struct db *db, int s, const char *key, enum txn_row_lock mode)
{
    struct txn_outcome outcome;

    MUST(db, txn_statement_begin(&db->op, db->s[s]));
    MUST(db, txn_lock_row(&db->op, db->s[s], db->tree, text(key), mode, TXN_NO_WAIT, txn_read_ts(db->s[s]), &outcome));
    txn_statement_end(db->s[s]);
    return outcome.result;
}

static void each_way_to_hold_a_row_conflicts_with_what_postgresql_says(void **state)
{
    /* Rows: held; columns: asked for; both as in way_of. From PostgreSQL's manual, table 13.3. */
    static const char *const matrix[WAYS] = { "...x.xx", "..xxxxx", ".xxxxxx", "xxxxxxx", ".xxxxxx", "xxxxxxx", "xxxxxxx" };
    struct db db;
    db_open(&db, false);
    FILL(&db, "a=1");
    for (int held = 0; held < WAYS; held++) {
        for (int asked = 0; asked < WAYS; asked++) {
            begin(&db, 1, TXN_READ_COMMITTED);
            begin(&db, 2, TXN_READ_COMMITTED);
            struct step first = way_of(held, "a"), second = way_of(asked, "a");
            run(&first, &db, 1);
            if (asked < LOCKS) {
                assert_int_equal(try_lock(&db, 2, "a", second.row_mode),
                                 matrix[held][asked] == 'x' ? TXN_LOCKED : TXN_WRITTEN);
            }
            undo(&db, 2);
            begin(&db, 2, TXN_READ_COMMITTED);
            step_start(&second, &db, 2);
            bool waits = step_waiting(&second);
            if (waits != (matrix[held][asked] == 'x')) {
                fail_msg("held %d, asked %d: %s", held, asked, waits ? "waits" : "passes");
            }
            undo(&db, 1);
            step_join(&second);
            assert_string_equal(second.sqlstate, "");
            assert_int_equal(second.outcome.result, TXN_WRITTEN);
            undo(&db, 2);
        }
    }
    assert_int_equal(txn_version_bytes(db.manager), 0);
    db_close(&db);
}

static void a_key_lock_passes_over_updates_of_other_columns(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "a=1");
    for (enum txn_level level = TXN_READ_COMMITTED; level <= TXN_SERIALIZABLE; level++) {
        begin(&db, 2, level);
        get(&db, 2, "a");
        begin(&db, 1, TXN_READ_COMMITTED);
        struct step update = { .kind = STEP_PUT_NO_KEY, .key = "a", .value = "2" };
        run(&update, &db, 1);
        struct step share = { .kind = STEP_LOCK_ROW, .key = "a", .row_mode = TXN_FOR_KEY_SHARE };
        run(&share, &db, 2);
        assert_string_equal(share.newest, level == TXN_READ_COMMITTED ? "1" : "2");    /* the committed one, before and after */
        commit(&db, 1);
        begin(&db, 3, level);
        get(&db, 3, "a");
        commit(&db, 2);
        /* Committed since the snapshot: in the way of all but a key lock. */
        begin(&db, 1, TXN_READ_COMMITTED);
        run(&update, &db, 1);
        commit(&db, 1);
        MUST(&db, txn_statement_begin(&db.op, db.s[3]));
        if (level > TXN_READ_COMMITTED) {
            assert_int_equal(try_lock(&db, 3, "a", TXN_FOR_KEY_SHARE), TXN_WRITTEN);
            struct step stronger = { .kind = STEP_LOCK_ROW, .key = "a", .row_mode = TXN_FOR_SHARE };
            step_start(&stronger, &db, 3);
            step_join(&stronger);
            assert_string_equal(stronger.sqlstate, "40001");
        }
        undo(&db, 3);
    }
    db_close(&db);
}

static void a_key_lock_notices_that_the_key_was_changed_in_between(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "a=1");
    begin(&db, 2, TXN_REPEATABLE_READ);
    get(&db, 2, "a");
    for (int i = 0; i < 30; i++) {
        begin(&db, 1, TXN_READ_COMMITTED);
        struct step update = { .kind = i == 11 ? STEP_PUT : STEP_PUT_NO_KEY, .key = "a", .value = "2" };
        run(&update, &db, 1);
        commit(&db, 1);
    }
    struct step share = { .kind = STEP_LOCK_ROW, .key = "a", .row_mode = TXN_FOR_KEY_SHARE };
    step_start(&share, &db, 2);
    step_join(&share);
    assert_string_equal(share.sqlstate, "40001");
    undo(&db, 2);
    db_close(&db);
}

static void who_holds_a_lock_strengthens_it_before_those_who_wait(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "a=1");
    for (int i = 1; i <= 4; i++) {
        begin(&db, i, TXN_READ_COMMITTED);
    }
    lock(&db, 1, "a", TXN_FOR_SHARE);
    lock(&db, 2, "a", TXN_FOR_KEY_SHARE);
    struct step waiter = { .kind = STEP_PUT_NO_KEY, .key = "a", .value = "3" };
    step_start(&waiter, &db, 3);
    assert_true(step_waiting(&waiter));
    /* Compatible with the other holder: at once.  Not compatible: before the one who waits. */
    lock(&db, 1, "a", TXN_FOR_NO_KEY_UPDATE);
    struct step upgrade = { .kind = STEP_DELETE, .key = "a" };
    step_start(&upgrade, &db, 1);
    assert_true(step_waiting(&upgrade));
    commit(&db, 2);
    step_join(&upgrade);
    assert_string_equal(upgrade.sqlstate, "");
    assert_true(step_waiting(&waiter));
    undo(&db, 1);
    step_join(&waiter);
    assert_int_equal(waiter.outcome.result, TXN_WRITTEN);
    commit(&db, 3);
    commit(&db, 4);
    db_close(&db);
}

static void two_who_both_strengthen_a_shared_lock_are_a_deadlock(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "a=1");
    begin(&db, 1, TXN_READ_COMMITTED);
    begin(&db, 2, TXN_READ_COMMITTED);
    lock(&db, 1, "a", TXN_FOR_SHARE);
    lock(&db, 2, "a", TXN_FOR_SHARE);
    struct step first = { .kind = STEP_PUT_NO_KEY, .key = "a", .value = "2" };
    step_start(&first, &db, 1);
    assert_true(step_waiting(&first));
    assert_string_equal(try_put(&db, 2, "a", "3"), "40P01");
    undo(&db, 2);
    step_join(&first);
    assert_string_equal(first.sqlstate, "");
    commit(&db, 1);
    db_close(&db);
}

static void the_least_deadlock_timeout_of_the_circle_gives_way(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "a=1", "b=1", "c=1");
    for (int i = 1; i <= 3; i++) {
        begin(&db, i, TXN_READ_COMMITTED);
        txn_set_deadlock_timeout(db.s[i], i == 2 ? 1000 : 5000000);
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
    step_join(&second);
    assert_string_equal(second.sqlstate, "40P01");
    assert_true(step_waiting(&third));
    undo(&db, 2);
    step_join(&first);
    assert_string_equal(first.sqlstate, "");
    commit(&db, 1);
    step_join(&third);
    commit(&db, 3);
    db_close(&db);
}

static void a_circle_that_another_order_of_the_queue_solves_is_none(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "a=1");
    for (int i = 1; i <= 3; i++) {
        begin(&db, i, TXN_READ_COMMITTED);
    }
    /* 1 holds SHARE of a; 2 waits to update it; 3 holds a table and comes for SHARE behind 2; 1 asks for the table. */
    lock(&db, 1, "a", TXN_FOR_SHARE);
    struct step waiter = { .kind = STEP_PUT_NO_KEY, .key = "a", .value = "2" };
    step_start(&waiter, &db, 2);
    assert_true(step_waiting(&waiter));
    MUST(&db, txn_lock_table(&db.op, db.s[3], 1, TXN_EXCLUSIVE));
    bool queues = false;
    for (int i = 0; i < 40; i++) {          /* in the end newcomers have to queue */
        begin(&db, 4, TXN_READ_COMMITTED);
        queues = try_lock(&db, 4, "a", TXN_FOR_SHARE) == TXN_LOCKED;
        undo(&db, 4);
    }
    assert_true(queues);
    struct step share = { .kind = STEP_LOCK_ROW, .key = "a", .row_mode = TXN_FOR_SHARE };
    step_start(&share, &db, 3);
    assert_true(step_waiting(&share));
    struct step table = { .kind = STEP_LOCK_TABLE, .table = 1, .mode = TXN_EXCLUSIVE };
    step_start(&table, &db, 1);
    step_join(&share);
    assert_string_equal(share.sqlstate, "");
    assert_true(step_waiting(&table));
    commit(&db, 3);
    step_join(&table);
    assert_string_equal(table.sqlstate, "");
    assert_true(step_waiting(&waiter));
    commit(&db, 1);
    step_join(&waiter);
    assert_string_equal(waiter.sqlstate, "");
    commit(&db, 2);
    db_close(&db);
}

static void a_savepoint_gives_back_what_was_locked_after_it_and_no_more(void **state)
{
    struct db db;
    struct txn_mark mark;
    db_open(&db, false);
    FILL(&db, "a=1", "b=1");
    begin(&db, 1, TXN_READ_COMMITTED);
    begin(&db, 2, TXN_READ_COMMITTED);
    lock(&db, 1, "a", TXN_FOR_KEY_SHARE);
    txn_mark(db.s[1], &mark);
    lock(&db, 1, "a", TXN_FOR_NO_KEY_UPDATE);
    lock(&db, 1, "b", TXN_FOR_UPDATE);
    put(&db, 1, "a", "2");
    assert_int_equal(try_lock(&db, 2, "a", TXN_FOR_KEY_SHARE), TXN_LOCKED);
    struct step waiter = { .kind = STEP_PUT_NO_KEY, .key = "a", .value = "3" };
    step_start(&waiter, &db, 2);
    assert_true(step_waiting(&waiter));
    MUST(&db, txn_rollback_to(&db.op, db.s[1], &mark));
    step_join(&waiter);
    assert_int_equal(waiter.outcome.result, TXN_WRITTEN);
    assert_int_equal(try_lock(&db, 2, "b", TXN_FOR_UPDATE), TXN_WRITTEN);
    begin(&db, 3, TXN_READ_COMMITTED);
    assert_int_equal(try_lock(&db, 3, "a", TXN_FOR_KEY_SHARE), TXN_WRITTEN);
    commit(&db, 3);
    assert_int_equal(try_lock(&db, 2, "a", TXN_FOR_UPDATE), TXN_LOCKED);
    commit(&db, 1);
    assert_int_equal(try_lock(&db, 2, "a", TXN_FOR_UPDATE), TXN_WRITTEN);
    commit(&db, 2);
    assert_int_equal(txn_version_bytes(db.manager), 0);
    db_close(&db);
}

static void those_who_agree_are_let_in_together(void **state)
{
    struct db db;
    struct step readers[4], writer = { .kind = STEP_PUT, .key = "a", .value = "9" };
    db_open(&db, false);
    FILL(&db, "a=1");
    begin(&db, 1, TXN_READ_COMMITTED);
    put(&db, 1, "a", "2");
    for (int i = 0; i < 4; i++) {
        readers[i] = (struct step){ .kind = STEP_LOCK_ROW, .key = "a", .row_mode = i % 2 ? TXN_FOR_SHARE : TXN_FOR_KEY_SHARE };
        begin(&db, 2 + i, TXN_READ_COMMITTED);
        step_start(&readers[i], &db, 2 + i);
        assert_true(step_waiting(&readers[i]));
        if (i == 2) {
            begin(&db, 8, TXN_READ_COMMITTED);
            step_start(&writer, &db, 8);
            assert_true(step_waiting(&writer));
        }
    }
    undo(&db, 1);
    for (int i = 0; i < 3; i++) {
        step_join(&readers[i]);
        assert_int_equal(readers[i].outcome.result, TXN_WRITTEN);
    }
    assert_true(step_waiting(&writer));
    assert_true(step_waiting(&readers[3]));
    for (int i = 0; i < 3; i++) {
        commit(&db, 2 + i);
    }
    step_join(&writer);
    assert_string_equal(writer.sqlstate, "");
    assert_true(step_waiting(&readers[3]));
    commit(&db, 8);
    step_join(&readers[3]);
    assert_int_equal(readers[3].outcome.result, TXN_CHANGED);
    commit(&db, 5);
    db_close(&db);
}

static void rows_appended_by_oneself_are_locked_for_nothing(void **state)
{
    struct db db;
    struct txn_outcome outcome;
    db_open(&db, false);
    begin(&db, 1, TXN_READ_COMMITTED);
    MUST(&db, txn_statement_begin(&db.op, db.s[1]));
    char key[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "%06d", i);
        MUST(&db, txn_insert(&db.op, db.s[1], db.tree, text(key), text("1"), &outcome));
    }
    txn_statement_end(db.s[1]);
    uint64_t bytes = txn_version_bytes(db.manager);
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "%06d", i);
        assert_int_equal(try_lock(&db, 1, key, TXN_FOR_UPDATE), TXN_WRITTEN);
    }
    assert_int_equal(txn_version_bytes(db.manager), bytes);
    begin(&db, 2, TXN_READ_COMMITTED);
    struct step second = { .kind = STEP_INSERT, .key = "000500", .value = "2" };
    step_start(&second, &db, 2);
    assert_true(step_waiting(&second));
    commit(&db, 1);
    step_join(&second);
    assert_int_equal(second.outcome.result, TXN_DUPLICATE);
    commit(&db, 2);
    db_close(&db);
}

/* As a thread that has judged the row, and then is slower than the commit of who was in its way. */
static bool queue_late(struct db *db, int s, const char *key, enum txn_row_lock mode)
{
    struct txn_session *session = db->s[s];
    struct tree_info *info = session__tree(&db->op, session, db->tree);
    uint64_t hash = version__hash(info->id, text(key));
    struct txn *writer;

    MUST(db, session__writer(&db->op, session, &writer));
    struct bucket *bucket = version__lock(db->manager, hash);
    bool waits = wait__enqueue_row(session, version__find(bucket, hash, info, text(key)), mode);
    version__unlock(bucket);
    return waits;
}

static void who_finds_a_holder_gone_before_it_says_so_grants_those_who_wait_for_it(void **state)
{
    struct db db;
    db_open(&db, false);
    FILL(&db, "a=1");
    begin(&db, 1, TXN_READ_COMMITTED);
    begin(&db, 2, TXN_READ_COMMITTED);
    begin(&db, 3, TXN_READ_COMMITTED);
    put(&db, 1, "a", "2");
    struct step first = { .kind = STEP_LOCK_ROW, .key = "a" };
    step_start(&first, &db, 2);
    assert_true(step_waiting(&first));
    /* The commit is ordered; its thread is about to look for those who wait. */
    atomic_store(&db.s[1]->writer->commit_ts, 1);
    assert_true(queue_late(&db, 3, "a", TXN_FOR_UPDATE));
    assert_false(txn_waiting(db.s[2]));
    wait__release_writer(db.s[1]->writer);
    step_join(&first);
    assert_string_equal(first.sqlstate, "");
    assert_int_equal(first.outcome.result, TXN_WRITTEN);
    wait__leave(db.s[3]);
    undo(&db, 3);
    undo(&db, 2);
    atomic_store(&db.s[1]->writer->commit_ts, 0);
    undo(&db, 1);
    assert_int_equal(txn_version_bytes(db.manager), 0);
    db_close(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_way_to_hold_a_row_conflicts_with_what_postgresql_says),
        cmocka_unit_test(a_key_lock_passes_over_updates_of_other_columns),
        cmocka_unit_test(a_key_lock_notices_that_the_key_was_changed_in_between),
        cmocka_unit_test(who_holds_a_lock_strengthens_it_before_those_who_wait),
        cmocka_unit_test(two_who_both_strengthen_a_shared_lock_are_a_deadlock),
        cmocka_unit_test(the_least_deadlock_timeout_of_the_circle_gives_way),
        cmocka_unit_test(a_circle_that_another_order_of_the_queue_solves_is_none),
        cmocka_unit_test(a_savepoint_gives_back_what_was_locked_after_it_and_no_more),
        cmocka_unit_test(those_who_agree_are_let_in_together),
        cmocka_unit_test(rows_appended_by_oneself_are_locked_for_nothing),
        cmocka_unit_test(who_finds_a_holder_gone_before_it_says_so_grants_those_who_wait_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
