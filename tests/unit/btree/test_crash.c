/*
 * test_crash.c -- the power fails at a random moment of a random workload, and again while the database restarts.
 *
 * After each restart the tree must hold what the committed transactions made of it: all of it and nothing else, where the
 * commit during which the power failed may have happened or not.  The losers are rolled back, the graveyard is emptied, and
 * CHECK must find every page in use exactly once, or free.
 */
#include "tests/unit/btree/harness.h"

enum { ROWS = 400 };

struct run {
    struct op op;
    struct vfs *vfs;
    struct store *store;
    struct btree *tree;
    TreeId tree_id;
    TxnId next_txn;
    struct rng rng;
    struct wal_chain *active;
    struct model_row committed[ROWS], working[ROWS];
};

static int collect(void *context, struct op *op, struct wal_checkpoint_state *state)
{
    struct run *run = context;
    state->chain_count = 0;
    state->next_txn = run->next_txn;
    state->chains = op_calloc(op, sizeof *state->chains);
    if (state->chains == NULL)
        return OP_FAILED;
    if (run->active != NULL && run->active->last != 0)
        state->chains[state->chain_count++] = *run->active;
    return OP_OK;
}

static int write_commit(struct run *run, struct wal_chain *chain)
{
    struct op *op = &run->op;
    uint8_t payload[9] = {0};
    struct bytes part = {payload, sizeof payload};
    if (wal_reserve(op, store_wal(run->store), 64) != OP_OK)
        return OP_FAILED;
    Lsn lsn = wal_append(store_wal(run->store), chain, WAL_COMMIT, 0, &part, 1);
    store_forget_promises(run->store, chain);
    wal_unreserve(store_wal(run->store), 64);
    return wal_flush(op, store_wal(run->store), lsn);
}

static int write_abort(struct run *run, struct wal_chain *chain)
{
    struct op *op = &run->op;
    if (store_rollback(op, run->store, chain, 0) != OP_OK || wal_reserve(op, store_wal(run->store), 64) != OP_OK)
        return OP_FAILED;
    wal_append(store_wal(run->store), chain, WAL_ABORT, 0, NULL, 0);
    store_forget_promises(run->store, chain);
    wal_unreserve(store_wal(run->store), 64);
    return OP_OK;
}

/* Opens, rolls back the losers, frees what is buried: all that may be interrupted by another power cut. */
static int open_and_recover(struct run *run)
{
    struct op *op = &run->op;
    struct store_options options = {.vfs = run->vfs, .path = "test.db", .page_size = 4096, .cache_size = 48 * 4096,
                                    .wal = {.segment_size = 1 << 16, .buffer_size = 1 << 16, .max_wal_size = 1 << 20},
                                    .create = true, .no_background = true};
    struct store_hooks hooks = {.context = run, .collect = collect};
    uint64_t freed;
    if (store_open(op, &options, &run->store) != OP_OK)
        return OP_FAILED;
    const struct wal_restart *restart = store_restart(run->store);
    if (restart->state.next_txn > run->next_txn)
        run->next_txn = restart->state.next_txn;
    for (size_t i = 0; i < restart->state.chain_count; i++) {
        struct wal_chain chain = restart->state.chains[i];
        if (write_abort(run, &chain) != OP_OK)
            return OP_FAILED;
    }
    run->active = NULL;
    store_set_hooks(run->store, &hooks);
    if (btree_free_graves(op, run->store, everyone_is_dead, NULL, &freed) != OP_OK)
        return OP_FAILED;
    return run->tree_id == 0 ? OP_OK : btree_open(op, run->store, run->tree_id, &run->tree);
}

static int create_tree(struct run *run)
{
    struct op *op = &run->op;
    struct wal_chain chain = {.txn = run->next_txn++};
    TreeId id;
    if (btree_create(op, run->store, &chain, &id) != OP_OK || write_commit(run, &chain) != OP_OK)
        return OP_FAILED;
    run->tree_id = id;
    return btree_open(op, run->store, id, &run->tree);
}

/* ---- the workload --------------------------------------------------------------------------------- */

static int random_change(struct run *run, struct wal_chain *chain, struct model_row *rows)
{
    static uint8_t value[VALUE_BYTES_MAX];
    uint8_t key[KEY_BYTES_MAX];
    uint32_t number = (uint32_t)rng_below(&run->rng, ROWS), seed = (uint32_t)rng_next(&run->rng);
    uint64_t dice = rng_below(&run->rng, 100);
    size_t len = dice < 60 ? rng_below(&run->rng, 100) : dice < 90 ? rng_below(&run->rng, 1400) : rng_below(&run->rng, 14000);
    struct model_row *row = &rows[number];
    enum btree_change_kind kind = !row->live ? BTREE_INSERT : rng_below(&run->rng, 2) ? BTREE_UPDATE : BTREE_DELETE;
    bool applied;
    value_of(value, seed, len);
    struct btree_change change = {.kind = kind, .key = key_of(key, number), .value = {value, len}};
    if (btree_change(&run->op, run->tree, chain, &change, &applied) != OP_OK)
        return OP_FAILED;
    assert_true(applied);
    *row = (struct model_row){kind != BTREE_DELETE, kind == BTREE_DELETE, seed, (uint32_t)len};
    return OP_OK;
}

static int purge_ghosts(struct run *run)
{
    uint8_t key[KEY_BYTES_MAX];
    uint64_t freed;
    uint32_t from = (uint32_t)rng_below(&run->rng, ROWS);
    for (uint32_t i = from; i < ROWS && i < from + 100; i++) {
        bool removed;
        if (!run->committed[i].live && btree_purge(&run->op, run->tree, key_of(key, i), NULL, NULL, &removed) != OP_OK)
            return OP_FAILED;
    }
    return btree_free_graves(&run->op, run->store, everyone_is_dead, NULL, &freed);
}

/* A tree that is made, filled and then dropped, or undone. */
static int passing_tree(struct run *run)
{
    struct op *op = &run->op;
    struct wal_chain chain = {.txn = run->next_txn++};
    struct btree *tree;
    TreeId id;
    uint64_t freed;
    static const uint8_t value[6000];
    run->active = &chain;
    if (btree_create(op, run->store, &chain, &id) != OP_OK || btree_open(op, run->store, id, &tree) != OP_OK)
        return OP_FAILED;
    for (uint32_t i = 0; i < 60; i++) {
        uint8_t key[KEY_BYTES_MAX];
        bool added;
        if (btree_load(op, tree, chain.txn, key_of(key, i), (struct bytes){value, i * 100}, &added) != OP_OK)
            return OP_FAILED;
    }
    if (rng_below(&run->rng, 2))
        return write_abort(run, &chain);
    if (write_commit(run, &chain) != OP_OK)
        return OP_FAILED;
    struct wal_chain drop = {.txn = run->next_txn++};
    run->active = &drop;
    if (btree_bury(op, run->store, &drop, id) != OP_OK || write_commit(run, &drop) != OP_OK)
        return OP_FAILED;
    run->active = NULL;
    return btree_free_graves(op, run->store, everyone_is_dead, NULL, &freed);
}

static int one_transaction(struct run *run, bool *in_commit)
{
    struct wal_chain chain = {.txn = run->next_txn++};
    run->active = &chain;
    memcpy(run->working, run->committed, sizeof run->working);
    int result = OP_OK;
    for (uint64_t i = 1 + rng_below(&run->rng, 30); result == OP_OK && i > 0; i--) {
        result = random_change(run, &chain, run->working);
        if (result == OP_OK && rng_below(&run->rng, 60) == 0)
            result = store_checkpoint(&run->op, run->store);
    }
    if (result == OP_OK && rng_below(&run->rng, 4) == 0) {
        result = write_abort(run, &chain);
    } else if (result == OP_OK) {
        *in_commit = true;
        result = write_commit(run, &chain);
        if (result == OP_OK) {
            memcpy(run->committed, run->working, sizeof run->committed);
            *in_commit = false;
        }
    }
    run->active = NULL;
    return result;
}

static int workload(struct run *run, bool *in_commit)
{
    for (;;) {
        int result = one_transaction(run, in_commit);
        if (result == OP_OK && rng_below(&run->rng, 5) == 0)
            result = purge_ghosts(run);
        if (result == OP_OK && rng_below(&run->rng, 15) == 0)
            result = passing_tree(run);
        run->active = NULL;
        if (result == OP_OK && rng_below(&run->rng, 10) == 0)
            result = store_checkpoint(&run->op, run->store);
        if (result != OP_OK)
            return result;
        op_reset(&run->op);
    }
}

/* ---- judging -------------------------------------------------------------------------------------- */

static bool row_is(struct run *run, uint32_t number, const struct model_row *row)
{
    static uint8_t got[VALUE_BYTES_MAX], wanted[VALUE_BYTES_MAX];
    struct op *op = &run->op;
    uint8_t key[KEY_BYTES_MAX];
    struct seen_row seen = {.value = got, .store = run->store};
    OK(btree_get(op, run->tree, key_of(key, number), see_row, &seen));
    bool live = seen.found && !seen.ghost;
    if (live)
        value_of(wanted, row->seed, row->len);
    bool same = live == row->live && (!live || (seen.len == row->len && memcmp(got, wanted, seen.len) == 0));
    op_reset(op);
    return same;
}

static bool state_is(struct run *run, const struct model_row *rows)
{
    for (uint32_t i = 0; i < ROWS; i++)
        if (!row_is(run, i, &rows[i]))
            return false;
    return true;
}

static void expect_committed_state(struct run *run, bool in_commit)
{
    if (state_is(run, run->committed))
        return;
    if (!in_commit || !state_is(run, run->working))
        fail_msg("the tree does not hold what was committed");
    memcpy(run->committed, run->working, sizeof run->committed);
}

/* Power on, open; the power may fail again meanwhile, a few times. */
static void come_back(struct run *run)
{
    struct op *op = &run->op;
    for (int again = (int)rng_below(&run->rng, 3);; again--) {
        fault_power_on(run->vfs, (enum fault_loss)rng_below(&run->rng, 3), rng_next(&run->rng));
        op_clear_error(op);
        run->store = NULL;
        if (again > 0)
            fault_cut_at(run->vfs, 1 + rng_below(&run->rng, 60));
        int result = open_and_recover(run);
        if (result == OP_OK && again <= 0)
            return;
        if (result != OP_OK && !fault_is_cut(run->vfs))
            OK(result);
        if (run->store != NULL)
            store_abandon(run->store);
    }
}

static void committed_state_survives_power_cuts(void **state)
{
    uint64_t seed = seed_of_run(), count = number_of_run("COUNT", 120);
    printf("test_crash seed=%llu\n", (unsigned long long)seed);
    for (uint64_t round = 0; round < count; round++) {
        struct run *run = calloc(1, sizeof *run);
        struct op *op = &run->op;
        op_init(op);
        rng_seed(&run->rng, seed + round);
        run->vfs = fault_vfs_new(seed + round);
        run->next_txn = 1;
        OK(open_and_recover(run));
        OK(create_tree(run));
        for (int life = 0; life < 3; life++) {
            bool in_commit = false;
            fault_cut_at(run->vfs, 1 + rng_below(&run->rng, 300));
            assert_int_equal(workload(run, &in_commit), OP_FAILED);
            if (!fault_is_cut(run->vfs))
                OK(OP_FAILED);
            store_abandon(run->store);
            come_back(run);
            expect_committed_state(run, in_commit);
            expect_whole(op, run->store);
        }
        OK(store_close(op, run->store));
        OK(open_and_recover(run));
        expect_committed_state(run, false);
        expect_whole(op, run->store);
        store_abandon(run->store);
        os_vfs_destroy(run->vfs);
        op_end(op);
        free(run);
    }
    printf("test_crash seed=%llu count=%llu failures=0\n", (unsigned long long)seed, (unsigned long long)count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(committed_state_survives_power_cuts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
