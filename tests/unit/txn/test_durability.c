/*
 * What a commit asked for, and others' view of it: ordered, then visible, then acknowledged.
 *
 * The disk calls us before each sync.  At that moment the commit record is written and may be lost, and other sessions run.
 */
#include <pthread.h>

#include "src/os/fault.h"
#include "tests/unit/txn/txn_test.h"

static struct {
    struct db *db;
    bool armed;
    int looks;
    char seen[16];
    pthread_t hurried;
} world;

/* Asks for no durability, and so brings visibility forward as far as it may go. */
static void *commit_without_waiting(void *arg)
{
    struct txn_session *session = world.db->s[3];
    struct txn_outcome outcome;
    struct op op;

    op_init(&op);
    txn_set_sync(session, TXN_SYNC_OFF);
    if (txn_begin(&op, session, TXN_READ_COMMITTED, false, false) != 0 || txn_statement_begin(&op, session) != 0
        || txn_insert(&op, session, world.db->tree, text("z"), text("1"), &outcome) != 0) {
        abort();
    }
    txn_statement_end(session);
    if (txn_commit(&op, session) != 0) {
        abort();
    }
    op_end(&op);
    return NULL;
}

static int note(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    snprintf(world.seen, sizeof(world.seen), "%.*s", (int)row->value.len, (const char *)row->value.data);
    return 0;
}

static void *look(void *arg)
{
    struct txn_session *session = world.db->s[2];
    struct op op;
    bool found;

    op_init(&op);
    for (int i = 0; i < 20 && strcmp(world.seen, "2") != 0; i++) {
        if (txn_begin(&op, session, TXN_READ_COMMITTED, true, false) != 0 || txn_statement_begin(&op, session) != 0
            || txn_get(&op, session, world.db->tree, text("a"), note, NULL, &found) != 0) {
            abort();
        }
        txn_statement_end(session);
        txn_rollback(session);
        os_sleep_us(1000);
        world.looks++;
    }
    op_end(&op);
    return NULL;
}

/* The thread that commits stands here, before each of its calls to the disk. */
static void watch(struct vfs *copy, void *arg)
{
    pthread_t looker;

    os_vfs_destroy(copy);
    if (!world.armed || world.looks > 0) {
        return;
    }
    pthread_create(&world.hurried, NULL, commit_without_waiting, NULL);
    pthread_create(&looker, NULL, look, NULL);
    pthread_join(looker, NULL);
}

static void nobody_sees_a_commit_before_it_is_as_durable_as_it_asked_for(void **state)
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
    MUST(&db, wal_flush(&db.op, store_wal(db.store), wal_end(store_wal(db.store)) - 1));

    world.db = &db;
    fault_watch(db.vfs, watch, NULL);
    begin(&db, 1, TXN_READ_COMMITTED);
    put(&db, 1, "a", "2");
    txn_set_sync(db.s[1], TXN_SYNC_FULL);
    world.armed = true;
    commit(&db, 1);
    pthread_join(world.hurried, NULL);
    fault_watch(db.vfs, NULL, NULL);
    assert_int_equal(world.looks, 20);
    assert_string_equal(world.seen, "1");
    begin(&db, 2, TXN_READ_COMMITTED);
    assert_string_equal(get(&db, 2, "a"), "2");
    assert_string_equal(get(&db, 2, "z"), "1");
    commit(&db, 2);
    db_close(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_sees_a_commit_before_it_is_as_durable_as_it_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
