/*
 * test_threads.c -- eight threads change one tree, each its own rows among everybody's, and scan across all of them.
 *
 * Each thread knows exactly what its own rows must be at any moment, its own transaction included; a scan must meet all
 * of them, in order, whatever the others do to the pages meanwhile.
 *
 * In a second run of the same a thread makes and drops trees, and another one checks the whole store over and over: CHECK must
 * find nothing, until a page is damaged on purpose, and then that, and nothing else, while all go on.
 */
#include "btree/btree_int.h"
#include "tests/unit/btree/harness.h"

enum { THREADS = 8, ROWS = 4000, DROPPER = THREADS };

struct shared {
    struct vfs *vfs;
    struct store *store;
    struct btree *tree;
    _Atomic uint64_t next_txn;
    _Atomic TxnId active[THREADS + 1];
    _Atomic Lsn first[THREADS + 1];     /* nothing of the active transaction's log lies below */
    uint64_t seed, rounds;
    atomic_bool done;
    atomic_bool planted;                /* a leaked page */
    uint64_t checks, found, drops;
};

struct worker {
    struct shared *shared;
    int index;
    struct op op;
    struct rng rng;
    struct model_row rows[ROWS];        /* only those with number % THREADS == index are ours */
    int64_t next, end;
    bool backward;
};

static uint32_t own_row(struct worker *worker)
{
    return (uint32_t)(rng_below(&worker->rng, ROWS / THREADS) * THREADS) + (uint32_t)worker->index;
}

static void random_change(struct worker *worker, struct wal_chain *chain)
{
    static _Thread_local uint8_t value[VALUE_BYTES_MAX];
    struct op *op = &worker->op;
    uint8_t key[KEY_BYTES_MAX];
    uint32_t number = own_row(worker), seed = (uint32_t)rng_next(&worker->rng);
    uint64_t dice = rng_below(&worker->rng, 100);
    size_t len = dice < 80 ? rng_below(&worker->rng, 150) : dice < 96 ? rng_below(&worker->rng, 1000) : rng_below(&worker->rng, 9000);
    struct model_row *row = &worker->rows[number];
    enum btree_change_kind kind = !row->live ? BTREE_INSERT : rng_below(&worker->rng, 2) ? BTREE_UPDATE : BTREE_DELETE;
    bool applied;
    value_of(value, seed, len);
    struct btree_change change = {.kind = kind, .key = key_of(key, number), .value = {value, len}};
    OK(btree_change(op, worker->shared->tree, chain, &change, &applied));
    assert_true(applied);
    *row = (struct model_row){kind != BTREE_DELETE, kind == BTREE_DELETE || row->ghost, seed, (uint32_t)len};
}

static void skip_others(struct worker *worker)
{
    while (worker->next != worker->end && (worker->next % THREADS != worker->index || !worker->rows[worker->next].live))
        worker->next += worker->backward ? -1 : 1;
}

static int scan_record(void *arg, struct op *op, const struct btree_record *record, bool *stop)
{
    struct worker *worker = arg;
    uint32_t number = number_of(record->key);
    *stop = rng_below(&worker->rng, 50) == 0;
    if (number % THREADS != (uint32_t)worker->index || record->flags & BTREE_GHOST)
        return OP_OK;
    skip_others(worker);
    assert_int_equal(number, worker->next);
    worker->next += worker->backward ? -1 : 1;
    return OP_OK;
}

static void scan(struct worker *worker)
{
    struct op *op = &worker->op;
    uint8_t low[KEY_BYTES_MAX], high[KEY_BYTES_MAX];
    uint32_t from = (uint32_t)rng_below(&worker->rng, ROWS), to = from + (uint32_t)rng_below(&worker->rng, ROWS - from);
    struct btree_range range = {key_of(low, from), key_of(high, to), true, false};
    struct btree_visitor visitor = {.arg = worker, .record = scan_record};
    struct btree_cursor cursor;
    bool more = true;
    worker->backward = rng_below(&worker->rng, 2);
    worker->next = worker->backward ? (int64_t)to - 1 : from;
    worker->end = worker->backward ? (int64_t)from - 1 : to;
    btree_cursor_open(&cursor, worker->shared->tree, &range, worker->backward);
    while (more)
        OK(btree_cursor_next_leaf(op, &cursor, &visitor, &more));
    btree_cursor_close(&cursor);
    skip_others(worker);
    assert_int_equal(worker->next, worker->end);
}

static bool is_dead(void *arg, TxnId txn)
{
    struct shared *shared = arg;
    for (int i = 0; i <= THREADS; i++)
        if (atomic_load(&shared->active[i]) == txn)
            return false;
    return true;
}

/* For checkpoints: what each thread may still have to undo. */
static int collect(void *context, struct op *op, struct wal_checkpoint_state *state)
{
    struct shared *shared = context;
    state->chain_count = 0;
    state->next_txn = atomic_load(&shared->next_txn);
    state->chains = op_calloc(op, (THREADS + 1) * sizeof *state->chains);
    if (state->chains == NULL)
        return OP_FAILED;
    for (int i = 0; i <= THREADS; i++) {
        TxnId txn = atomic_load(&shared->active[i]);
        Lsn first = atomic_load(&shared->first[i]);
        if (txn != 0)
            state->chains[state->chain_count++] = (struct wal_chain){.txn = txn, .first = first, .last = first};
    }
    return OP_OK;
}

static void purge(struct worker *worker)
{
    struct op *op = &worker->op;
    uint8_t key[KEY_BYTES_MAX];
    uint64_t freed;
    for (uint32_t i = (uint32_t)worker->index; i < ROWS; i += THREADS) {
        bool removed;
        if (worker->rows[i].live || !worker->rows[i].ghost)
            continue;
        OK(btree_purge(op, worker->shared->tree, key_of(key, i), NULL, NULL, &removed));
        worker->rows[i].ghost = false;
    }
    OK(btree_free_graves(op, worker->shared->store, is_dead, worker->shared, &freed));
}

static void transaction(struct worker *worker)
{
    struct op *op = &worker->op;
    struct shared *shared = worker->shared;
    struct wal_chain chain = {.txn = atomic_fetch_add(&shared->next_txn, 1)};
    static _Thread_local struct model_row before[ROWS];
    memcpy(before, worker->rows, sizeof before);
    atomic_store(&shared->first[worker->index], wal_end(store_wal(shared->store)));
    atomic_store(&shared->active[worker->index], chain.txn);
    for (uint64_t i = 1 + rng_below(&worker->rng, 40); i > 0; i--)
        random_change(worker, &chain);
    if (rng_below(&worker->rng, 3) == 0)
        scan(worker);
    if (rng_below(&worker->rng, 4) == 0) {
        end_abort(op, shared->store, &chain);
        for (int i = 0; i < ROWS; i++)
            before[i].ghost = before[i].ghost || (!before[i].live && (worker->rows[i].live || worker->rows[i].ghost));
        memcpy(worker->rows, before, sizeof before);
    } else {
        commit(op, shared->store, &chain, rng_below(&worker->rng, 4) == 0);
    }
    atomic_store(&shared->active[worker->index], 0);
}

static void work(void *arg)
{
    struct worker *worker = arg;
    struct op *op = &worker->op;
    for (uint64_t round = 0; round < worker->shared->rounds; round++) {
        transaction(worker);
        scan(worker);
        for (int i = 0; i < 20; i++) {
            uint32_t number = own_row(worker);
            expect_row(op, worker->shared->store, worker->shared->tree, number, &worker->rows[number]);
        }
        if (rng_below(&worker->rng, 8) == 0)
            purge(worker);
        if (worker->index == 0 && rng_below(&worker->rng, 10) == 0)
            OK(store_checkpoint(op, worker->shared->store));
        op_reset(op);
    }
}

/* ---- CHECK beside all of them --------------------------------------------------------------------- */

/* Makes a tree, fills it, and drops it, by a transaction that drops or one that rolls back. */
static void make_and_drop(struct worker *worker)
{
    static uint8_t value[9000];
    struct op *op = &worker->op;
    struct shared *shared = worker->shared;
    struct wal_chain chain = {.txn = atomic_fetch_add(&shared->next_txn, 1)};
    struct btree *tree;
    TreeId id;
    uint64_t freed;
    bool buries = rng_below(&worker->rng, 2);
    atomic_store(&shared->first[DROPPER], wal_end(store_wal(shared->store)));
    atomic_store(&shared->active[DROPPER], chain.txn);
    OK(btree_create(op, shared->store, &chain, &id));
    OK(btree_open(op, shared->store, id, &tree));
    for (uint32_t i = 0; i < 400; i++) {
        uint8_t key[KEY_BYTES_MAX];
        bool applied;
        struct btree_change change = {.kind = BTREE_INSERT, .key = key_of(key, i * 7919 % ROWS),
                                      .value = {value, i % 20 == 0 ? 9000 : 120}};
        OK(btree_change(op, tree, &chain, &change, &applied));
    }
    if (buries) {
        OK(btree_bury(op, shared->store, &chain, id));
        commit(op, shared->store, &chain, false);
    } else {
        end_abort(op, shared->store, &chain);
    }
    atomic_store(&shared->active[DROPPER], 0);
    OK(btree_free_graves(op, shared->store, is_dead, shared, &freed));
    shared->drops++;
    op_reset(op);
}

static void drop_over_and_over(void *arg)
{
    struct worker *worker = arg;
    while (!atomic_load(&worker->shared->done))
        make_and_drop(worker);
}

static void see_finding(void *arg, TreeId tree, const char *line)
{
    struct shared *shared = arg;
    shared->found++;
    if (!atomic_load(&shared->planted) || strstr(line, "nothing leads there") == NULL)
        fail_msg("finding: %s", line);
}

/* Marks a page as used that is not, as though its log record had been lost. */
static void plant_leak(struct worker *worker)
{
    struct op *op = &worker->op;
    struct store *store = worker->shared->store;
    struct page_ref map;
    OK(space_reserve(op, store, 1, false));
    PageNo page = space_take(store);
    OK(buf_fix(op, store->buf, space_map_page(store, page), LATCH_EXCLUSIVE, &map));
    space_map_set(store, &map, page, true);
    buf_mark_dirty(store->buf, &map, 1);
    buf_unfix(&map, store->buf);
    space_unreserve(store, 1);
    atomic_store(&worker->shared->planted, true);
}

static void check_over_and_over(void *arg)
{
    struct worker *worker = arg;
    struct shared *shared = worker->shared;
    struct op *op = &worker->op;
    struct store_checker checker = {.arg = shared, .report = see_finding};
    uint64_t findings;
    while (!atomic_load(&shared->done)) {
        OK(store_check_with(op, shared->store, &checker, &findings));
        assert_int_equal(findings, atomic_load(&shared->planted) ? 1 : 0);
        shared->checks++;
        if (shared->checks == 20)
            plant_leak(worker);
        op_reset(op);
    }
}

static void share_a_tree(bool checked)
{
    struct op main_op, *op = &main_op;
    struct shared shared = {.seed = seed_of_run(), .rounds = number_of_run("COUNT", checked ? 150 : 300)};
    struct os_thread *threads[THREADS + 2];
    struct worker *others = calloc(2, sizeof *others);
    struct worker *workers = calloc(THREADS, sizeof *workers);
    struct wal_chain chain = {.txn = 1};
    TreeId id;
    op_init(op);
    printf("test_threads seed=%llu\n", (unsigned long long)shared.seed);
    shared.vfs = os_memory_vfs_new();
    struct store_options options = {.vfs = shared.vfs, .path = "test.db", .page_size = 4096, .cache_size = 64 * 4096,
                                    .wal = {.segment_size = 1 << 18, .buffer_size = 1 << 18, .max_wal_size = 1 << 23},
                                    .create = true};
    OK(store_open(op, &options, &shared.store));
    OK(btree_create(op, shared.store, &chain, &id));
    commit(op, shared.store, &chain, true);
    OK(btree_open(op, shared.store, id, &shared.tree));
    atomic_store(&shared.next_txn, 2);
    struct store_hooks hooks = {.context = &shared, .collect = collect}, no_hooks = {0};
    store_set_hooks(shared.store, &hooks);
    for (int i = 0; i < THREADS; i++) {
        workers[i].shared = &shared;
        workers[i].index = i;
        op_init(&workers[i].op);
        rng_seed(&workers[i].rng, shared.seed + (uint64_t)i);
        OK(os_thread_start(op, work, &workers[i], "test", &threads[i]));
    }
    for (int i = 0; checked && i < 2; i++) {
        others[i].shared = &shared;
        op_init(&others[i].op);
        rng_seed(&others[i].rng, shared.seed + 100);
        OK(os_thread_start(op, i == 0 ? drop_over_and_over : check_over_and_over, &others[i], "test", &threads[THREADS + i]));
    }
    for (int i = 0; i < THREADS; i++)
        os_thread_join(threads[i]);
    atomic_store(&shared.done, true);
    for (int i = 0; checked && i < 2; i++) {
        os_thread_join(threads[THREADS + i]);
        op_end(&others[i].op);
    }
    free(others);
    struct buf_stats stats;
    buf_stats(store_buf(shared.store), &stats);
    assert_true(stats.evictions > 10 * stats.frames);       /* the pages do not fit */
    for (uint32_t i = 0; i < ROWS; i++) {
        expect_row(op, shared.store, shared.tree, i, &workers[i % THREADS].rows[i]);
        op_reset(op);
    }
    if (!shared.planted)
        expect_whole(op, shared.store);
    store_set_hooks(shared.store, &no_hooks);
    OK(store_close(op, shared.store));
    options.create = false;
    OK(store_open(op, &options, &shared.store));
    if (!shared.planted)
        expect_whole(op, shared.store);
    OK(store_close(op, shared.store));
    os_vfs_destroy(shared.vfs);
    for (int i = 0; i < THREADS; i++)
        op_end(&workers[i].op);
    free(workers);
    op_end(op);
    if (checked)
        printf("checks=%llu findings=%llu drops=%llu\n", (unsigned long long)shared.checks, (unsigned long long)shared.found,
               (unsigned long long)shared.drops);
    printf("test_threads seed=%llu count=%llu failures=0\n", (unsigned long long)shared.seed, (unsigned long long)shared.rounds);
}

static void threads_share_a_tree(void **state)
{
    share_a_tree(false);
}

static void check_beside_threads_finds_what_is_damaged_and_nothing_else(void **state)
{
    share_a_tree(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_share_a_tree),
                                       cmocka_unit_test(check_beside_threads_finds_what_is_damaged_and_nothing_else)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
