/*
 * test_log.c -- the log alone: append, flush, read, wrap, restart, damage, failures.
 *
 * Records carry a number; the model is the list of what was appended and how far it was durable.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>

#include <cmocka.h>

#include "src/base/endian.h"
#include "src/base/rng.h"
#include "src/os/fault.h"
#include "src/os/os.h"
#include "wal/wal_open.h"

enum { ROW = WAL_BTREE_FIRST, SEGMENT = 16384, MANY = 100000 };

static const struct wal_identity identity = {.database_id = "0123456789abcde", .log_id = 42};

/* What restart handed to redo. */
struct seen {
    uint64_t *numbers;
    Lsn *lsns;
    size_t count;
};

struct world {
    struct op op;
    struct vfs *vfs;
    struct wal *wal;
    struct wal_start start;
    struct wal_restart restart;
    struct seen seen;
    struct wal_options options;
};

static int redo(void *context, struct op *op, const struct wal_record *record)
{
    struct seen *seen = context;
    assert_true(record->payload.len >= 8);
    assert_true(seen->count < MANY);
    seen->numbers[seen->count] = get_u64(record->payload.data);
    seen->lsns[seen->count++] = record->lsn;
    return OP_OK;
}

static struct wal_handlers handlers(struct world *w)
{
    return (struct wal_handlers){.context = &w->seen, .redo = redo};
}

static void open_new(struct world *w, struct vfs *vfs)
{
    memset(w, 0, sizeof(*w));
    op_init(&w->op);
    w->vfs = vfs;
    w->options = (struct wal_options){.segment_size = SEGMENT, .buffer_size = 65536, .max_wal_size = 8 * SEGMENT};
    w->seen.numbers = calloc(MANY, sizeof(uint64_t));
    w->seen.lsns = calloc(MANY, sizeof(Lsn));
    assert_int_equal(wal_create(&w->op, vfs, "log", &identity, 0, &w->options, &w->wal), 0);
    w->start.redo = w->start.proven = wal_end(w->wal);
}

static int reopen(struct world *w)
{
    w->seen.count = 0;
    w->wal = NULL;
    op_reset(&w->op);
    if (wal_open(&w->op, w->vfs, "log", &identity, &w->options, &w->wal))
        return OP_FAILED;
    struct wal_handlers h = handlers(w);
    return wal_restart(&w->op, w->wal, &w->start, &h, &w->op.arena, &w->restart);
}

static void close_world(struct world *w)
{
    wal_abandon(w->wal);
    os_vfs_destroy(w->vfs);
    op_end(&w->op);
    free(w->seen.numbers);
    free(w->seen.lsns);
}

/* Appends a record that carries `number` and is `len` bytes long. */
static Lsn put(struct world *w, struct wal_chain *chain, uint64_t number, size_t len)
{
    uint8_t bytes[9000];
    memset(bytes, (int)(number & 0xff), sizeof(bytes));
    put_u64(bytes, number);
    struct bytes parts[2] = {{bytes, 8}, {bytes + 8, len - 8}};
    return wal_append(w->wal, chain, ROW, chain ? WAL_UNDOABLE : 0, parts, 2);
}

static void appended_records_are_read_back_from_buffer_and_from_file(void **state)
{
    struct world w;
    open_new(&w, os_memory_vfs_new());
    Lsn lsns[400];
    struct wal_chain chain = {.txn = 7};
    for (uint64_t i = 0; i < 400; i++)
        lsns[i] = put(&w, &chain, i, 8 + i * 7 % 3000);
    assert_true(wal_end(w.wal) - lsns[0] > 5 * 65536);
    for (uint64_t i = 0; i < 400; i++) {
        struct wal_record record;
        assert_int_equal(wal_read(&w.op, w.wal, lsns[i], &w.op.arena, &record), 0);
        assert_int_equal(record.payload.len, 8 + i * 7 % 3000);
        assert_int_equal(get_u64(record.payload.data), i);
        assert_int_equal(record.txn, 7);
        assert_int_equal(record.prev, i ? lsns[i - 1] : 0);
        assert_int_equal(record.flags, WAL_UNDOABLE);
    }
    assert_int_equal(chain.first, lsns[0]);
    assert_int_equal(chain.last, lsns[399]);
    close_world(&w);
}

static void restart_redoes_every_durable_record_in_order(void **state)
{
    struct world w;
    open_new(&w, fault_vfs_new(1));
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(wal_flush(&w.op, w.wal, put(&w, NULL, i, 300)), 0);
    wal_abandon(w.wal);
    fault_power_on(w.vfs, FAULT_LOSE_ALL, 1);
    assert_int_equal(reopen(&w), 0);
    assert_int_equal(w.seen.count, 100);
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(w.seen.numbers[i], i);
    close_world(&w);
}

static void restart_tells_losers_and_the_next_transaction(void **state)
{
    struct world w;
    open_new(&w, fault_vfs_new(1));
    struct wal_chain a = {.txn = 5}, b = {.txn = 6}, c = {.txn = 9};
    put(&w, &a, 1, 50), put(&w, &b, 2, 50), put(&w, &c, 3, 50);
    Lsn commit = wal_append_ordered(w.wal, &a, WAL_COMMIT, NULL, 0, NULL, NULL);
    put(&w, &b, 4, 50);
    wal_append(w.wal, &c, WAL_ABORT, 0, NULL, 0);
    assert_int_equal(wal_flush(&w.op, w.wal, b.last), 0);
    assert_int_equal(wal_flush(&w.op, w.wal, wal_end(w.wal) - 1), 0);
    wal_abandon(w.wal);
    assert_int_equal(reopen(&w), 0);
    assert_int_equal(w.restart.state.chain_count, 1);
    assert_int_equal(w.restart.state.chains[0].txn, 6);
    assert_int_equal(w.restart.state.chains[0].first, b.first);
    assert_int_equal(w.restart.state.chains[0].last, b.last);
    assert_int_equal(w.restart.state.next_txn, 10);
    assert_int_equal(w.restart.state.newest_commit, commit);
    close_world(&w);
}

/* More than the first table of restart holds; those that ended must not hide others that stood behind them in it. */
static void restart_tells_hundreds_of_losers_apart_from_those_that_ended(void **state)
{
    enum { TXNS = 500 };
    static struct wal_chain chains[TXNS];
    static bool told[TXNS];
    struct world w;
    size_t losers = 0;
    open_new(&w, fault_vfs_new(1));
    memset(told, 0, sizeof(told));
    for (uint64_t i = 0; i < 2 * TXNS; i++) {
        if (i < TXNS)
            chains[i] = (struct wal_chain){.txn = 1 + i};
        put(&w, &chains[i % TXNS], i, 16);
    }
    for (uint64_t i = 0; i < TXNS; i++) {
        if (i % 3 == 0)
            wal_append(w.wal, &chains[i], WAL_ABORT, 0, NULL, 0);
        losers += i % 3 != 0;
    }
    assert_int_equal(wal_flush(&w.op, w.wal, wal_end(w.wal) - 1), 0);
    wal_abandon(w.wal);
    assert_int_equal(reopen(&w), 0);
    assert_int_equal(w.restart.state.chain_count, losers);
    for (size_t i = 0; i < losers; i++) {
        const struct wal_chain *chain = &w.restart.state.chains[i];
        assert_true(chain->txn >= 1 && chain->txn <= TXNS && chain->txn % 3 != 1 && !told[chain->txn - 1]);
        told[chain->txn - 1] = true;
        assert_int_equal(chain->first, chains[chain->txn - 1].first);
        assert_int_equal(chain->last, chains[chain->txn - 1].last);
    }
    assert_int_equal(w.restart.state.next_txn, TXNS + 1);
    close_world(&w);
}

static void a_checkpoint_lets_restart_begin_later_but_not_forget_who_was_in_progress(void **state)
{
    struct world w;
    open_new(&w, fault_vfs_new(1));
    struct wal_chain idle = {.txn = 3};
    put(&w, &idle, 1000, 100);
    for (uint64_t i = 0; i < 50; i++)
        put(&w, NULL, i, 100);
    struct wal_checkpoint_state cp = {.next_txn = 4, .next_tree = 8, .redo = wal_end(w.wal),
                                      .chain_count = 1, .chains = &idle};
    w.start.redo = cp.redo;
    assert_int_equal(wal_checkpoint(&w.op, w.wal, &cp, &w.start.checkpoint), 0);
    w.start.proven = wal_durable_end(w.wal);
    assert_int_equal(wal_oldest_needed(&cp), idle.first);
    wal_release(w.wal, wal_oldest_needed(&cp));
    Lsn last = put(&w, NULL, 77, 100);
    assert_int_equal(wal_flush(&w.op, w.wal, last), 0);
    wal_abandon(w.wal);
    assert_int_equal(reopen(&w), 0);
    assert_int_equal(w.seen.count, 1);
    assert_int_equal(w.seen.numbers[0], 77);
    assert_int_equal(w.restart.state.chain_count, 1);
    assert_int_equal(w.restart.state.chains[0].first, idle.first);
    assert_int_equal(w.restart.state.next_tree, 8);
    close_world(&w);
}

static void the_ring_wraps_and_the_file_stops_growing(void **state)
{
    struct world w;
    open_new(&w, fault_vfs_new(1));
    uint64_t largest = 0;
    for (uint64_t i = 0; i < 4000; i++) {
        assert_int_equal(wal_reserve(&w.op, w.wal, 1100), 0);
        Lsn lsn = put(&w, NULL, i, 1000);
        wal_unreserve(w.wal, 1100);
        if (i % 20 == 0) {
            assert_int_equal(wal_flush(&w.op, w.wal, lsn), 0);
            struct wal_checkpoint_state cp = {.redo = lsn};
            assert_int_equal(wal_checkpoint(&w.op, w.wal, &cp, &w.start.checkpoint), 0);
            w.start.redo = lsn;
            w.start.proven = wal_durable_end(w.wal);
            wal_release(w.wal, lsn);
        }
        if (wal_file_size(w.wal) > largest)
            largest = wal_file_size(w.wal);
    }
    assert_true(largest <= 12 * SEGMENT);
    assert_int_equal(wal_flush(&w.op, w.wal, wal_end(w.wal) - 1), 0);
    wal_abandon(w.wal);
    fault_power_on(w.vfs, FAULT_LOSE_ALL, 1);
    assert_int_equal(reopen(&w), 0);
    assert_int_equal(w.seen.count, 20);
    assert_int_equal(w.seen.numbers[0], 3980);
    assert_int_equal(w.seen.numbers[19], 3999);
    close_world(&w);
}

static void damage_below_the_proof_is_refused(void **state)
{
    struct world w;
    open_new(&w, fault_vfs_new(1));
    Lsn lsns[20];
    for (uint64_t i = 0; i < 20; i++) {
        lsns[i] = put(&w, NULL, i, 200);
        assert_int_equal(wal_flush(&w.op, w.wal, lsns[i]), 0);
    }
    uint64_t offset = 4096 + 4096 + lsns[10] % (SEGMENT - 4096) + 100;
    wal_abandon(w.wal);
    assert_int_equal(fault_flip_bit(&w.op, w.vfs, "log", offset, 3), 0);
    assert_int_equal(reopen(&w), OP_FAILED);
    assert_string_equal(w.op.error.sqlstate, "XX001");
    close_world(&w);
}

static void a_damaged_last_record_is_the_tail(void **state)
{
    struct world w;
    open_new(&w, fault_vfs_new(1));
    Lsn last = 0;
    for (uint64_t i = 0; i < 20; i++) {
        last = put(&w, NULL, i, 200);
        assert_int_equal(wal_flush(&w.op, w.wal, last), 0);
    }
    uint64_t offset = 4096 + 4096 + last % (SEGMENT - 4096) + 100;
    wal_abandon(w.wal);
    assert_int_equal(fault_flip_bit(&w.op, w.vfs, "log", offset, 3), 0);
    assert_int_equal(reopen(&w), 0);
    assert_int_equal(w.seen.count, 19);
    close_world(&w);
}

static void a_log_of_another_database_is_refused(void **state)
{
    struct world w;
    open_new(&w, fault_vfs_new(1));
    wal_abandon(w.wal);
    struct wal_identity other = identity;
    other.log_id++;
    assert_int_equal(wal_open(&w.op, w.vfs, "log", &other, &w.options, &w.wal), OP_FAILED);
    assert_string_equal(w.op.error.sqlstate, "XX001");
    assert_null(w.wal);
    close_world(&w);
}

static void a_failed_sync_breaks_the_log_for_good(void **state)
{
    struct world w;
    open_new(&w, fault_vfs_new(1));
    assert_int_equal(wal_flush(&w.op, w.wal, put(&w, NULL, 1, 100)), 0);
    fault_fail_at(w.vfs, FAULT_SYNC, 1, EIO, false);
    Lsn lost = put(&w, NULL, 2, 100);
    assert_int_equal(wal_flush(&w.op, w.wal, lost), OP_FAILED);
    assert_string_equal(w.op.error.sqlstate, "58030");
    assert_true(wal_is_broken(w.wal));
    op_reset(&w.op);
    assert_int_equal(wal_flush(&w.op, w.wal, lost), OP_FAILED);
    op_reset(&w.op);
    assert_int_equal(wal_reserve(&w.op, w.wal, 100), OP_FAILED);
    for (uint64_t i = 0; i < 300; i++)
        put(&w, NULL, i, 1000);     /* go nowhere, and do not block */
    wal_abandon(w.wal);
    fault_power_on(w.vfs, FAULT_LOSE_ALL, 1);
    assert_int_equal(reopen(&w), 0);
    /* The outcome of what the failed sync carried is unknown; the rest was never written. */
    assert_true(w.seen.count == 1 || w.seen.count == 2);
    close_world(&w);
}

static void a_full_disk_is_reported_before_the_change(void **state)
{
    struct world w;
    open_new(&w, fault_vfs_new(1));
    fault_capacity(w.vfs, 200000);
    int result = OP_OK;
    for (uint64_t i = 0; i < 1000 && result == OP_OK; i++) {
        result = wal_reserve(&w.op, w.wal, 600);
        if (result)
            break;
        Lsn lsn = put(&w, NULL, i, 500);
        wal_unreserve(w.wal, 600);
        assert_int_equal(wal_flush(&w.op, w.wal, lsn), 0);
    }
    assert_int_equal(result, OP_FAILED);
    assert_string_equal(w.op.error.sqlstate, "53100");
    assert_false(wal_is_broken(w.wal));
    op_reset(&w.op);
    wal_release(w.wal, wal_end(w.wal));     /* as a checkpoint would */
    assert_int_equal(wal_reserve(&w.op, w.wal, 600), 0);
    close_world(&w);
}

/* ---- rollback ------------------------------------------------------------------------------------- */

struct undone {
    struct wal *wal;
    uint64_t numbers[10];
    size_t count;
    size_t stop_after;
};

static int undo(void *context, struct op *op, struct wal_chain *chain, const struct wal_record *record)
{
    struct undone *undone = context;
    if (undone->count == undone->stop_after)
        return op_fail(op, "XX000", "stopped by the test");
    undone->numbers[undone->count++] = get_u64(record->payload.data);
    wal_append_clr(undone->wal, chain, ROW, record->prev, &record->payload, 1);
    return OP_OK;
}

static void rollback_goes_back_once_even_if_it_was_cut_short(void **state)
{
    struct world w;
    open_new(&w, os_memory_vfs_new());
    struct wal_chain chain = {.txn = 2};
    for (uint64_t i = 1; i <= 5; i++)
        put(&w, &chain, i, 64);
    struct undone undone = {.wal = w.wal, .stop_after = 2};
    struct wal_handlers h = {.context = &undone, .undo = undo};
    assert_int_equal(wal_rollback(&w.op, w.wal, &h, &chain, 0), OP_FAILED);
    op_reset(&w.op);
    undone.stop_after = 10;
    assert_int_equal(wal_rollback(&w.op, w.wal, &h, &chain, 0), 0);
    assert_int_equal(undone.count, 5);
    for (uint64_t i = 0; i < 5; i++)
        assert_int_equal(undone.numbers[i], 5 - i);
    close_world(&w);
}

static void rollback_to_a_mark_leaves_what_is_older(void **state)
{
    struct world w;
    open_new(&w, os_memory_vfs_new());
    struct wal_chain chain = {.txn = 2};
    put(&w, &chain, 1, 64);
    Lsn mark = chain.last;
    put(&w, &chain, 2, 64), put(&w, &chain, 3, 64);
    struct undone undone = {.wal = w.wal, .stop_after = 10};
    struct wal_handlers h = {.context = &undone, .undo = undo};
    assert_int_equal(wal_rollback(&w.op, w.wal, &h, &chain, mark), 0);
    assert_int_equal(undone.count, 2);
    put(&w, &chain, 4, 64);
    assert_int_equal(wal_rollback(&w.op, w.wal, &h, &chain, 0), 0);
    assert_int_equal(undone.count, 4);
    assert_int_equal(undone.numbers[2], 4);
    assert_int_equal(undone.numbers[3], 1);
    close_world(&w);
}

static void options_that_cannot_be_kept_are_refused(void **state)
{
    static const struct wal_options bad[] = {
        {.segment_size = 10000}, {.segment_size = 8192}, {.buffer_size = 32768}, {.buffer_size = 100000},
        {.segment_size = 65536, .max_wal_size = 3 * 65536}, {.max_wal_size = 50000},
    };
    struct vfs *vfs = os_memory_vfs_new();
    struct op op;
    op_init(&op);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct wal *wal = NULL;
        assert_int_equal(wal_create(&op, vfs, "log", &identity, 0, &bad[i], &wal), OP_FAILED);
        assert_string_equal(op.error.sqlstate, "22023");
        op_reset(&op);
    }
    op_end(&op);
    os_vfs_destroy(vfs);
}

static void a_small_log_has_small_segments_and_is_not_prepared_before_it_is_used(void **state)
{
    struct op op;
    struct wal *wal;
    struct wal_options options = {.max_wal_size = 1 << 20};
    struct vfs *vfs = os_memory_vfs_new();
    op_init(&op);
    assert_int_equal(wal_create(&op, vfs, "log", &identity, 0, &options, &wal), 0);
    assert_int_equal(wal_start_background(&op, wal), 0);
    struct bytes part = {(const uint8_t *)"x", 1};
    assert_int_equal(wal_flush(&op, wal, wal_append(wal, NULL, ROW, 0, &part, 1)), 0);
    os_sleep_us(50000);
    assert_int_equal(wal_file_size(wal), 4096 + 2 * 65536);
    assert_int_equal(wal_close(&op, wal), 0);
    op_end(&op);
    os_vfs_destroy(vfs);
}

/* ---- threads -------------------------------------------------------------------------------------- */

struct committer {
    struct world *w;
    uint64_t first, count;
    int failures;
};

static void commit_many(void *arg)
{
    struct committer *c = arg;
    struct op op;
    op_init(&op);
    for (uint64_t i = 0; i < c->count; i++) {
        Lsn lsn = put(c->w, NULL, c->first + i, 16 + (c->first + i) % 200);
        if (wal_flush(&op, c->w->wal, lsn) || wal_durable_end(c->w->wal) <= lsn)
            c->failures++;
        if (i % 7 == 0) {
            struct wal_record record;
            if (wal_read(&op, c->w->wal, lsn, &op.arena, &record) || get_u64(record.payload.data) != c->first + i)
                c->failures++;
            op_reset(&op);
        }
    }
    op_end(&op);
}

static void threads_share_flushes_and_all_their_records_are_durable(void **state)
{
    enum { THREADS = 8, EACH = 300 };
    struct world w;
    open_new(&w, fault_vfs_new(1));
    assert_int_equal(wal_start_background(&w.op, w.wal), 0);
    struct committer committers[THREADS];
    struct os_thread *threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        committers[i] = (struct committer){&w, (uint64_t)i * EACH, EACH, 0};
        assert_int_equal(os_thread_start(&w.op, commit_many, &committers[i], "committer", &threads[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        os_thread_join(threads[i]);
        assert_int_equal(committers[i].failures, 0);
    }
    wal_abandon(w.wal);
    fault_power_on(w.vfs, FAULT_LOSE_ALL, 1);
    assert_int_equal(reopen(&w), 0);
    assert_int_equal(w.seen.count, THREADS * EACH);
    uint8_t *met = calloc(THREADS * EACH, 1);
    for (size_t i = 0; i < w.seen.count; i++)
        met[w.seen.numbers[i]]++;
    for (size_t i = 0; i < THREADS * EACH; i++)
        assert_int_equal(met[i], 1);
    free(met);
    close_world(&w);
}

static void the_background_thread_makes_records_durable_that_nobody_waits_for(void **state)
{
    struct world w;
    open_new(&w, os_memory_vfs_new());
    assert_int_equal(wal_start_background(&w.op, w.wal), 0);
    for (int round = 0; round < 3; round++) {
        Lsn lsn = put(&w, NULL, 1, 100);
        for (int i = 0; i < 2000 && wal_durable_end(w.wal) <= lsn; i++)
            os_sleep_us(1000);
        assert_true(wal_durable_end(w.wal) > lsn);
    }
    close_world(&w);
}

/* ---- random lives --------------------------------------------------------------------------------- */

/* Lives of a log: append, flush, checkpoint, then the process dies or the power goes, also in the middle of a
 * call.  What was durable must come back, in order, and behind it only a prefix of what was appended after. */
static void live(struct world *w, struct rng *rng, uint64_t *next, uint64_t *durable)
{
    uint64_t steps = 1 + rng_below(rng, 60);
    for (uint64_t i = 0; i < steps && !wal_is_broken(w->wal); i++) {
        uint64_t n = 1 + rng_below(rng, 8), len = 8 + rng_below(rng, rng_below(rng, 10) ? 300 : 8000);
        if (wal_reserve(&w->op, w->wal, n * (len + 64)))
            return;
        Lsn lsn = 0;
        for (uint64_t j = 0; j < n; j++)
            lsn = put(w, NULL, (*next)++, len);
        wal_unreserve(w->wal, n * (len + 64));
        if (rng_below(rng, 3) == 0) {
            if (wal_flush(&w->op, w->wal, lsn))
                return;
            *durable = *next;
        }
        if (rng_below(rng, 20) == 0) {
            struct wal_checkpoint_state cp = {.redo = lsn, .next_txn = *next - 1};
            Lsn at;
            if (wal_checkpoint(&w->op, w->wal, &cp, &at))
                return;
            *durable = *next;
            w->start = (struct wal_start){.checkpoint = at, .redo = lsn, .proven = wal_durable_end(w->wal)};
            wal_release(w->wal, lsn);
        }
    }
}

static void check_what_came_back(struct world *w, uint64_t *next, uint64_t *durable)
{
    for (size_t i = 1; i < w->seen.count; i++)
        assert_int_equal(w->seen.numbers[i], w->seen.numbers[i - 1] + 1);
    uint64_t end = w->seen.count ? w->seen.numbers[w->seen.count - 1] + 1 : *durable;
    assert_true(end >= *durable);
    assert_true(end <= *next);
    *next = *durable = end;
}

static void what_was_durable_survives_any_life(void **state)
{
    uint64_t seed = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : 1;
    uint64_t count = getenv("COUNT") ? strtoull(getenv("COUNT"), NULL, 10) : 150;
    for (uint64_t i = 0; i < count; i++) {
        struct rng rng;
        rng_seed(&rng, seed + i);
        struct world w;
        open_new(&w, fault_vfs_new(seed + i));
        uint64_t next = 0, durable = 0;
        for (int lives = 0; lives < 6; lives++) {
            if (rng_below(&rng, 2))
                fault_cut_at(w.vfs, 1 + rng_below(&rng, 40));
            live(&w, &rng, &next, &durable);
            wal_abandon(w.wal);
            fault_power_on(w.vfs, (enum fault_loss)rng_below(&rng, 4), rng_next(&rng));
            while (reopen(&w)) {            /* the power goes during restart, too */
                if (!fault_is_cut(w.vfs))
                    fail_msg("seed %llu: %s", (unsigned long long)(seed + i), w.op.error.message);
                wal_abandon(w.wal);
                fault_power_on(w.vfs, FAULT_KEEP_RANDOM, rng_next(&rng));
            }
            check_what_came_back(&w, &next, &durable);
            if (rng_below(&rng, 3) == 0) {
                wal_abandon(w.wal);
                fault_power_on(w.vfs, FAULT_KEEP_RANDOM, rng_next(&rng));
                fault_cut_at(w.vfs, 1 + rng_below(&rng, 6));
                while (reopen(&w)) {
                    wal_abandon(w.wal);
                    fault_power_on(w.vfs, FAULT_KEEP_RANDOM, rng_next(&rng));
                }
                fault_cut_at(w.vfs, 0);
                check_what_came_back(&w, &next, &durable);
            }
        }
        close_world(&w);
    }
    printf("wal-lives seed=%llu count=%llu failures=0\n", (unsigned long long)seed, (unsigned long long)count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appended_records_are_read_back_from_buffer_and_from_file),
        cmocka_unit_test(restart_redoes_every_durable_record_in_order),
        cmocka_unit_test(restart_tells_losers_and_the_next_transaction),
        cmocka_unit_test(restart_tells_hundreds_of_losers_apart_from_those_that_ended),
        cmocka_unit_test(a_checkpoint_lets_restart_begin_later_but_not_forget_who_was_in_progress),
        cmocka_unit_test(the_ring_wraps_and_the_file_stops_growing),
        cmocka_unit_test(damage_below_the_proof_is_refused),
        cmocka_unit_test(a_damaged_last_record_is_the_tail),
        cmocka_unit_test(a_log_of_another_database_is_refused),
        cmocka_unit_test(a_failed_sync_breaks_the_log_for_good),
        cmocka_unit_test(a_full_disk_is_reported_before_the_change),
        cmocka_unit_test(rollback_goes_back_once_even_if_it_was_cut_short),
        cmocka_unit_test(rollback_to_a_mark_leaves_what_is_older),
        cmocka_unit_test(options_that_cannot_be_kept_are_refused),
        cmocka_unit_test(a_small_log_has_small_segments_and_is_not_prepared_before_it_is_used),
        cmocka_unit_test(threads_share_flushes_and_all_their_records_are_durable),
        cmocka_unit_test(the_background_thread_makes_records_durable_that_nobody_waits_for),
        cmocka_unit_test(what_was_durable_survives_any_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
