/*
 * test_btree.c -- trees on one thread: random operations against a model, cursors, splits, merges, overflow values.
 *
 * Pages are as small as they may be and the cache holds a few dozen, so that splits, merges and evictions happen all the time.
 */
#include "btree/btree_int.h"
#include "src/base/mem.h"
#include "tests/unit/btree/harness.h"

enum { ROWS = 3000 };

struct fixture {
    struct op op;
    uint32_t page_size;
    struct vfs *vfs;
    struct store *store;
    struct btree *tree;
    TreeId tree_id;
    TxnId next_txn;
    struct model_row rows[ROWS];
};

static struct store_options options_of(struct fixture *fixture)
{
    return (struct store_options){.vfs = fixture->vfs, .path = "test.db", .page_size = fixture->page_size,
                                  .cache_size = 64 * (uint64_t)fixture->page_size, .wal = {.segment_size = 16 * fixture->page_size, .buffer_size = 16 * fixture->page_size,
                                          .max_wal_size = 1 << 22},
                                  .create = true, .no_background = true};
}

static void open_store(struct fixture *fixture)
{
    struct op *op = &fixture->op;
    struct store_options options = options_of(fixture);
    OK(store_open(op, &options, &fixture->store));
    if (fixture->tree_id == 0) {
        struct wal_chain chain = {.txn = fixture->next_txn++};
        OK(btree_create(op, fixture->store, &chain, &fixture->tree_id));
        commit(op, fixture->store, &chain, true);
    }
    OK(btree_open(op, fixture->store, fixture->tree_id, &fixture->tree));
}

static int set_up_with(void **state, uint32_t page_size)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->page_size = page_size;
    op_init(&fixture->op);
    fixture->next_txn = 1;
    fixture->vfs = os_memory_vfs_new();
    open_store(fixture);
    *state = fixture;
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, 4096);
}

static int set_up_largest_pages(void **state)
{
    return set_up_with(state, 65536);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    struct op *op = &fixture->op;
    expect_whole(op, fixture->store);
    OK(store_close(op, fixture->store));
    os_vfs_destroy(fixture->vfs);
    op_end(op);
    free(fixture);
    return 0;
}

static bool change(struct fixture *fixture, struct wal_chain *chain, enum btree_change_kind kind, uint32_t number, uint32_t seed,
                   size_t len)
{
    static uint8_t value[VALUE_BYTES_MAX];
    struct op *op = &fixture->op;
    uint8_t key[KEY_BYTES_MAX];
    bool applied;
    value_of(value, seed, len);
    struct btree_change request = {.kind = kind, .key = key_of(key, number), .value = {value, len}};
    OK(btree_change(op, fixture->tree, chain, &request, &applied));
    return applied;
}

static size_t random_len(struct rng *rng)
{
    uint64_t dice = rng_below(rng, 100);
    return dice < 80 ? rng_below(rng, 120) : dice < 95 ? rng_below(rng, 1200) : rng_below(rng, VALUE_BYTES_MAX / 2);
}

/* One random change, in the tree and in the model. */
static void random_change(struct fixture *fixture, struct rng *rng, struct wal_chain *chain, struct model_row *rows)
{
    uint32_t number = (uint32_t)rng_below(rng, ROWS);
    enum btree_change_kind kind = (enum btree_change_kind)rng_below(rng, 3);
    struct model_row *row = &rows[number];
    uint32_t seed = (uint32_t)rng_next(rng);
    size_t len = random_len(rng);
    bool expected = kind == BTREE_INSERT ? !row->live : row->live;
    assert_int_equal(change(fixture, chain, kind, number, seed, len), expected);
    if (!expected)
        return;
    row->live = kind != BTREE_DELETE;
    row->ghost = kind == BTREE_DELETE;
    if (row->live) {
        row->seed = seed;
        row->len = (uint32_t)len;
    }
}

static void expect_model(struct fixture *fixture)
{
    for (uint32_t i = 0; i < ROWS; i++) {
        expect_row(&fixture->op, fixture->store, fixture->tree, i, &fixture->rows[i]);
        op_reset(&fixture->op);
    }
}

/* ---- cursors -------------------------------------------------------------------------------------- */

struct scan {
    struct fixture *fixture;
    struct rng *rng;
    int64_t next, end;          /* model's numbers still expected: next towards end, exclusive */
    bool backward;
    bool stop_often;
    struct bytes entered_to;
};

static void skip_dead(struct scan *scan)
{
    while (scan->next != scan->end && !scan->fixture->rows[scan->next].live)
        scan->next += scan->backward ? -1 : 1;
}

static int scan_record(void *arg, struct op *op, const struct btree_record *record, bool *stop)
{
    struct scan *scan = arg;
    *stop = scan->stop_often && rng_below(scan->rng, 3) == 0;
    if (record->flags & BTREE_GHOST)
        return OP_OK;
    skip_dead(scan);
    assert_int_not_equal(scan->next, scan->end);
    assert_int_equal(number_of(record->key), scan->next);
    scan->next += scan->backward ? -1 : 1;
    return OP_OK;
}

static void scan_random_range(struct fixture *fixture, struct rng *rng)
{
    struct op *op = &fixture->op;
    uint8_t low_buffer[KEY_BYTES_MAX], high_buffer[KEY_BYTES_MAX];
    uint32_t low = (uint32_t)rng_below(rng, ROWS), high = low + (uint32_t)rng_below(rng, ROWS - low);
    bool has_low = rng_below(rng, 4) > 0, has_high = rng_below(rng, 4) > 0, backward = rng_below(rng, 2), more = true;
    struct btree_range range = {.low_inclusive = rng_below(rng, 2), .high_inclusive = rng_below(rng, 2)};
    struct scan scan = {.fixture = fixture, .rng = rng, .backward = backward, .stop_often = rng_below(rng, 2)};
    int64_t first = has_low ? (int64_t)low + !range.low_inclusive : 0;
    int64_t last = has_high ? (int64_t)high - !range.high_inclusive : ROWS - 1;
    if (has_low)
        range.low = key_of(low_buffer, low);
    if (has_high)
        range.high = key_of(high_buffer, high);
    if (last < first)
        last = first - 1;
    scan.next = backward ? last : first;
    scan.end = backward ? first - 1 : last + 1;
    struct btree_visitor visitor = {.arg = &scan, .record = scan_record};
    struct btree_cursor cursor;
    btree_cursor_open(&cursor, fixture->tree, &range, backward);
    while (more)
        OK(btree_cursor_next_leaf(op, &cursor, &visitor, &more));
    btree_cursor_close(&cursor);
    skip_dead(&scan);
    assert_int_equal(scan.next, scan.end);
}

/* ---- tests ---------------------------------------------------------------------------------------- */

static void purge_some(struct fixture *fixture, struct rng *rng)
{
    struct op *op = &fixture->op;
    uint8_t key[KEY_BYTES_MAX];
    uint32_t from = (uint32_t)rng_below(rng, ROWS);
    for (uint32_t i = from; i < from + ROWS / 4 && i < ROWS; i++) {
        bool removed;
        if (!fixture->rows[i].ghost)
            continue;
        OK(btree_purge(op, fixture->tree, key_of(key, i), NULL, NULL, &removed));
        assert_true(removed);
        fixture->rows[i].ghost = false;
    }
    uint64_t freed;
    OK(btree_free_graves(op, fixture->store, everyone_is_dead, NULL, &freed));
}

static void random_operations_agree_with_a_model(void **state)
{
    struct fixture *fixture = *state;
    struct op *op = &fixture->op;
    uint64_t seed = seed_of_run(), count = number_of_run("COUNT", 400);
    struct rng rng;
    static struct model_row before[ROWS];
    rng_seed(&rng, seed);
    printf("test_btree seed=%llu\n", (unsigned long long)seed);
    for (uint64_t round = 0; round < count; round++) {
        struct wal_chain chain = {.txn = fixture->next_txn++};
        bool aborts = rng_below(&rng, 4) == 0;
        memcpy(before, fixture->rows, sizeof before);
        for (uint64_t i = rng_below(&rng, 200); i > 0; i--) {
            random_change(fixture, &rng, &chain, fixture->rows);
            op_reset(op);
        }
        if (aborts) {
            end_abort(op, fixture->store, &chain);
            for (int i = 0; i < ROWS; i++)      /* what was inserted remains as a ghost */
                before[i].ghost = before[i].ghost || (!before[i].live && (fixture->rows[i].live || fixture->rows[i].ghost));
            memcpy(fixture->rows, before, sizeof before);
        } else {
            commit(op, fixture->store, &chain, rng_below(&rng, 2));
        }
        scan_random_range(fixture, &rng);
        if (rng_below(&rng, 10) == 0)
            purge_some(fixture, &rng);
        if (rng_below(&rng, 40) == 0)
            OK(store_checkpoint(op, fixture->store));
        if (rng_below(&rng, 40) == 0) {
            expect_whole(op, fixture->store);
            expect_model(fixture);
        }
        if (rng_below(&rng, 50) == 0) {
            OK(store_close(op, fixture->store));
            open_store(fixture);
        }
        op_reset(op);
    }
    expect_model(fixture);
    printf("test_btree seed=%llu count=%llu failures=0\n", (unsigned long long)seed, (unsigned long long)count);
}

static void deleting_and_purging_everything_leaves_one_page(void **state)
{
    struct fixture *fixture = *state;
    struct op *op = &fixture->op;
    struct btree_stats stats;
    struct rng rng;
    rng_seed(&rng, 1);
    struct wal_chain chain = {.txn = fixture->next_txn++};
    for (uint32_t i = 0; i < ROWS; i++)
        assert_true(change(fixture, &chain, BTREE_INSERT, i * 7919 % ROWS, i, i % 5 == 0 ? 3000 : 100));
    OK(btree_stats(op, fixture->tree, &stats));
    assert_int_equal(stats.records, ROWS);
    assert_true(stats.height >= 2);
    expect_whole(op, fixture->store);
    for (uint32_t i = 0; i < ROWS; i++)
        assert_true(change(fixture, &chain, BTREE_DELETE, i * 104729 % ROWS, 0, 0));
    commit(op, fixture->store, &chain, true);
    for (uint32_t i = 0; i < ROWS; i++) {
        uint8_t key[KEY_BYTES_MAX];
        bool removed;
        OK(btree_purge(op, fixture->tree, key_of(key, i * 7919 % ROWS), NULL, NULL, &removed));
        assert_true(removed);
    }
    OK(btree_stats(op, fixture->tree, &stats));
    assert_int_equal(stats.records + stats.ghosts, 0);
    assert_int_equal(stats.height, 1);
    struct store_space space;
    OK(store_space(op, fixture->store, &space));
    assert_int_equal(space.pages - space.free_pages, 5);    /* header, map, directory, graveyard, the tree's root */
    OK(store_checkpoint(op, fixture->store));
    OK(store_checkpoint(op, fixture->store));
    OK(store_space(op, fixture->store, &space));
    assert_true(space.pages < 64);
}

static void ascending_insertions_fill_pages(void **state)
{
    struct fixture *fixture = *state;
    struct op *op = &fixture->op;
    struct btree_stats stats;
    uint8_t key[8], value[16] = {0};
    enum { COUNT = 100000 };
    for (uint32_t i = 0; i < COUNT; i++) {
        bool added;
        for (int j = 0; j < 8; j++)
            key[j] = (uint8_t)((uint64_t)i >> (56 - 8 * j));
        OK(btree_load(op, fixture->tree, 1, (struct bytes){key, 8}, (struct bytes){value, 16}, &added));
        assert_true(added);
    }
    OK(btree_stats(op, fixture->tree, &stats));
    assert_int_equal(stats.records, COUNT);
    /* 8 slot, 3 cell, at most 8 of the key, 16 of the value */
    assert_true(stats.leaf_pages <= COUNT / (4000 / 35) + 1);
    uint64_t records, leaves;
    OK(btree_estimate(op, fixture->tree, &records, &leaves));
    assert_true(records > COUNT / 2 && records < COUNT * 2);
    struct btree_range range = {.low = {(const uint8_t *)"\0\0\0\0\0\0\x61\xA8", 8}};
    double fraction;
    OK(btree_estimate_range(op, fixture->tree, &range, &fraction));
    assert_true(fraction > 0.7 && fraction < 0.8);
}

static void keys_beyond_a_quarter_page_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct op *op = &fixture->op;
    static uint8_t key[65536];   /* also the bytes of the values */
    bool applied;
    size_t most = btree_key_max(fixture->store);
    for (uint32_t i = 0; i < 200; i++) {
        memset(key, (int)(i * 37 % 251), most);
        struct btree_change request = {.kind = BTREE_INSERT, .key = {key, most}, .value = {key, i * 40}};
        OK(btree_change(op, fixture->tree, NULL, &request, &applied));
        assert_true(applied);
    }
    struct btree_change request = {.kind = BTREE_INSERT, .key = {key, most + 1}, .value = {key, 1}};
    assert_int_equal(btree_change(op, fixture->tree, NULL, &request, &applied), OP_FAILED);
    assert_string_equal(op->error.sqlstate, "54000");
    op_clear_error(op);
}

static void dropped_tree_gives_all_its_pages_back(void **state)
{
    struct fixture *fixture = *state;
    struct op *op = &fixture->op;
    struct store_space before, after;
    struct wal_chain chain = {.txn = fixture->next_txn++};
    TreeId id;
    struct btree *tree, *own = fixture->tree;
    OK(store_space(op, fixture->store, &before));
    OK(btree_create(op, fixture->store, &chain, &id));
    OK(btree_open(op, fixture->store, id, &tree));
    fixture->tree = tree;
    for (uint32_t i = 0; i < ROWS; i++)
        assert_true(change(fixture, &chain, BTREE_INSERT, i, i, i % 10 == 0 ? 9000 : 200));
    expect_whole(op, fixture->store);
    commit(op, fixture->store, &chain, false);
    struct wal_chain drop = {.txn = fixture->next_txn++};
    OK(btree_bury(op, fixture->store, &drop, id));
    end_abort(op, fixture->store, &drop);
    uint64_t freed;
    OK(btree_free_graves(op, fixture->store, everyone_is_dead, NULL, &freed));
    assert_int_equal(freed, 0);
    OK(btree_bury(op, fixture->store, &drop, id));
    commit(op, fixture->store, &drop, true);
    OK(btree_free_graves(op, fixture->store, everyone_is_dead, NULL, &freed));
    assert_int_equal(freed, 1);
    OK(store_space(op, fixture->store, &after));
    assert_int_equal(after.pages - after.free_pages, before.pages - before.free_pages);
    fixture->tree = own;
}

/* As a crash may leave it: CHECK comes by between any two steps. */
static void tree_that_is_being_freed_is_whole_after_each_step(void **state)
{
    struct fixture *fixture = *state;
    struct op *op = &fixture->op;
    struct wal_chain chain = {.txn = fixture->next_txn++}, drop = {.txn = fixture->next_txn++};
    struct btree *tree, *own = fixture->tree;
    TreeId id;
    bool gone = false;
    int steps = 0;
    OK(btree_create(op, fixture->store, &chain, &id));
    OK(btree_open(op, fixture->store, id, &tree));
    fixture->tree = tree;
    for (uint32_t i = 0; i < ROWS; i++)
        assert_true(change(fixture, &chain, BTREE_INSERT, i, i, i % 50 == 0 ? 9000 : 900));
    commit(op, fixture->store, &chain, false);
    OK(btree_bury(op, fixture->store, &drop, id));
    commit(op, fixture->store, &drop, true);
    for (; !gone; steps++) {
        OK(btree__drop_step(op, tree, &gone));
        expect_whole(op, fixture->store);
    }
    assert_true(steps > 5);
    uint64_t freed;
    OK(btree_free_graves(op, fixture->store, everyone_is_dead, NULL, &freed));
    expect_whole(op, fixture->store);
    fixture->tree = own;
}

static void undone_creation_leaves_no_tree(void **state)
{
    struct fixture *fixture = *state;
    struct op *op = &fixture->op;
    struct store_space before, after;
    struct wal_chain chain = {.txn = fixture->next_txn++};
    TreeId id;
    struct btree *tree;
    OK(store_space(op, fixture->store, &before));
    OK(btree_create(op, fixture->store, &chain, &id));
    OK(btree_open(op, fixture->store, id, &tree));
    for (uint32_t i = 0; i < 500; i++) {
        uint8_t key[KEY_BYTES_MAX], value[2000] = {0};
        bool added;
        OK(btree_load(op, tree, chain.txn, key_of(key, i), (struct bytes){value, i * 4}, &added));
    }
    end_abort(op, fixture->store, &chain);
    assert_int_equal(btree_open(op, fixture->store, id, &tree), OP_FAILED);
    op_clear_error(op);
    OK(store_space(op, fixture->store, &after));
    assert_int_equal(after.pages - after.free_pages, before.pages - before.free_pages);
}

/* What a program does in a database, each step of which may run out of memory. */
static int broad_script(struct op *op, struct vfs *vfs)
{
    struct store_options options = {.vfs = vfs, .path = "test.db", .page_size = 4096, .cache_size = 64 * 4096,
                                    .wal = {.segment_size = 1 << 16, .buffer_size = 1 << 16}, .create = true,
                                    .no_background = true};
    static uint8_t value[12000];
    struct store *store;
    struct btree *tree;
    struct wal_chain chain = {.txn = 1};
    TreeId id;
    uint64_t freed, findings;
    if (store_open(op, &options, &store) != OP_OK)
        return OP_FAILED;
    int result = btree_create(op, store, &chain, &id);
    if (result == OP_OK)
        result = btree_open(op, store, id, &tree);
    for (uint32_t i = 0; result == OP_OK && i < 200; i++) {
        uint8_t key[KEY_BYTES_MAX];
        bool applied;
        struct btree_change change = {.kind = BTREE_INSERT, .key = key_of(key, i * 7 % 200), .value = {value, i * 60}};
        result = btree_change(op, tree, &chain, &change, &applied);
    }
    if (result == OP_OK)
        result = store_rollback(op, store, &chain, 0);
    if (result == OP_OK)
        result = btree_free_graves(op, store, everyone_is_dead, NULL, &freed);
    if (result == OP_OK)
        result = store_checkpoint(op, store);
    if (result == OP_OK)
        result = store_check(op, store, print_finding, NULL, &findings);
    if (result != OP_OK) {
        store_abandon(store);
        return OP_FAILED;
    }
    assert_int_equal(findings, 0);
    return store_close(op, store);
}

static void every_failing_allocation_gives_an_error(void **state)
{
    uint64_t step = 1 + number_of_run("STEP", 0);
    for (uint64_t n = 1;; n += step) {
        struct op op;
        struct vfs *vfs = os_memory_vfs_new();
        op_init(&op);
        mem_fail_at(n);
        int result = broad_script(&op, vfs);
        uint64_t made = mem_fail_at(0);
        if (result != OP_OK)
            assert_string_equal(op.error.sqlstate, "53200");
        op_end(&op);
        os_vfs_destroy(vfs);
        if (result == OP_OK && made < n)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ascending_insertions_fill_pages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keys_beyond_a_quarter_page_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(deleting_and_purging_everything_leaves_one_page, set_up, tear_down),
        cmocka_unit_test_setup_teardown(dropped_tree_gives_all_its_pages_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(undone_creation_leaves_no_tree, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tree_that_is_being_freed_is_whole_after_each_step, set_up, tear_down),
        cmocka_unit_test_setup_teardown(random_operations_agree_with_a_model, set_up, tear_down),
        cmocka_unit_test_setup_teardown(random_operations_agree_with_a_model, set_up_largest_pages, tear_down),
        cmocka_unit_test_setup_teardown(keys_beyond_a_quarter_page_are_refused, set_up_largest_pages, tear_down),
        cmocka_unit_test(every_failing_allocation_gives_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
