/*
 * test_pool.c -- the buffer pool and its log together, under a toy layer.
 *
 * Each page is an array of 64-bit cells.  There are two log records: "page p begins empty" and "cell c of page
 * p becomes v".  The model is the list of all changes with their LSNs: after a crash the pages must look as
 * after some prefix of it that holds everything that was durable.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/base/endian.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/buf/buf_open.h"
#include "src/os/fault.h"

enum { BEGIN = WAL_BTREE_FIRST, SET, CELLS = 16, PAGES = 150, HISTORY_MAX = 60000 };

struct change {
    Lsn lsn;
    PageNo page_no;
    uint32_t cell;
    uint64_t value;
};

struct world {
    struct op op;
    struct vfs *vfs;
    struct buf *buf;
    struct buf_options options;
    struct arena arena;
    struct wal_restart restart;
    Lsn last_redone;
    struct change *history;
    size_t count;
    size_t durable;             /* so many entries of the history are durable */
    uint64_t *model;            /* PAGES * CELLS */
};

static uint8_t *cell_at(struct page_ref *ref, uint32_t cell)
{
    return ref->data + PAGE_HEAD_BYTES + 248 * (size_t)cell;    /* all over the page: torn writes show */
}

static int redo(void *context, struct op *op, const struct wal_record *record)
{
    struct world *w = context;
    struct page_ref ref;
    PageNo page_no = get_u64(record->payload.data);
    if (record->type == BEGIN) {
        if (buf_fix_new(op, w->buf, page_no, &ref))
            return OP_FAILED;
        ref.data[4] = PAGE_LEAF;
    } else {
        if (buf_fix(op, w->buf, page_no, LATCH_EXCLUSIVE, &ref))
            return OP_FAILED;
        if (get_u64(ref.data + 8) < record->lsn)
            put_u64(cell_at(&ref, get_u32(record->payload.data + 8)), get_u64(record->payload.data + 12));
    }
    buf_mark_dirty(w->buf, &ref, record->lsn);
    buf_unfix(&ref, w->buf);
    w->last_redone = record->lsn;
    return OP_OK;
}

static int open_pool(struct world *w)
{
    struct wal_handlers handlers = {.context = w, .redo = redo};
    w->last_redone = 0;
    op_reset(&w->op);
    arena_reset(&w->arena);
    if (buf_open(&w->op, &w->options, &w->buf))
        return OP_FAILED;
    return buf_restart(&w->op, w->buf, &handlers, &w->arena, &w->restart);
}

static void world_init(struct world *w, struct vfs *vfs)
{
    memset(w, 0, sizeof(*w));
    op_init(&w->op);
    arena_init(&w->arena);
    w->vfs = vfs;
    w->options = (struct buf_options){.vfs = vfs, .path = "db", .create = true, .page_size = 4096,
        .cache_size = 16 * 4096, .wal = {.segment_size = 16384, .buffer_size = 65536, .max_wal_size = 8 * 16384}};
    w->history = calloc(HISTORY_MAX, sizeof(*w->history));
    w->model = calloc(PAGES * CELLS, sizeof(*w->model));
}

static void open_new(struct world *w, struct vfs *vfs)
{
    world_init(w, vfs);
    assert_int_equal(open_pool(w), 0);
    assert_true(buf_is_new(w->buf));
}

static void close_world(struct world *w)
{
    if (w->buf)
        buf_abandon(w->buf);
    os_vfs_destroy(w->vfs);
    arena_free(&w->arena);
    op_end(&w->op);
    free(w->history);
    free(w->model);
}

static int log_and_mark(struct op *op, struct buf *buf, uint8_t type, struct page_ref *ref, uint32_t cell,
                        uint64_t value, Lsn *lsn)
{
    uint8_t bytes[20];
    put_u64(bytes, ref->page_no);
    put_u32(bytes + 8, cell);
    put_u64(bytes + 12, value);
    struct bytes part = {bytes, sizeof(bytes)};
    *lsn = wal_append(buf_wal(buf), NULL, type, 0, &part, 1);
    if (type == SET)
        put_u64(cell_at(ref, cell), value);
    else
        ref->data[4] = PAGE_LEAF;
    buf_mark_dirty(buf, ref, *lsn);
    return OP_OK;
}

static int begin_page(struct op *op, struct buf *buf, PageNo page_no)
{
    struct page_ref ref;
    Lsn lsn;
    if (wal_reserve(op, buf_wal(buf), 200))
        return OP_FAILED;
    int result = buf_extend(op, buf, page_no + 1);
    if (result == OP_OK)
        result = buf_fix_new(op, buf, page_no, &ref);
    if (result == OP_OK) {
        log_and_mark(op, buf, BEGIN, &ref, 0, 0, &lsn);
        buf_unfix(&ref, buf);
    }
    wal_unreserve(buf_wal(buf), 200);
    return result;
}

static int set_cell(struct op *op, struct buf *buf, PageNo page_no, uint32_t cell, uint64_t value, Lsn *lsn)
{
    struct page_ref ref;
    if (wal_reserve(op, buf_wal(buf), 200))
        return OP_FAILED;
    int result = buf_fix(op, buf, page_no, LATCH_EXCLUSIVE, &ref);
    if (result == OP_OK) {
        log_and_mark(op, buf, SET, &ref, cell, value, lsn);
        buf_unfix(&ref, buf);
    }
    wal_unreserve(buf_wal(buf), 200);
    return result;
}

static void begin_pages(struct world *w)
{
    for (PageNo p = 1; p < PAGES; p++)
        assert_int_equal(begin_page(&w->op, w->buf, p), 0);
    assert_int_equal(wal_flush(&w->op, buf_wal(w->buf), wal_end(buf_wal(w->buf)) - 1), 0);
}

static int set(struct world *w, PageNo page_no, uint32_t cell, uint64_t value)
{
    Lsn lsn;
    if (set_cell(&w->op, w->buf, page_no, cell, value, &lsn))
        return OP_FAILED;
    assert_true(w->count < HISTORY_MAX);
    w->history[w->count++] = (struct change){lsn, page_no, cell, value};
    return OP_OK;
}

static uint64_t get(struct world *w, PageNo page_no, uint32_t cell)
{
    struct page_ref ref;
    assert_int_equal(buf_fix(&w->op, w->buf, page_no, LATCH_SHARED, &ref), 0);
    uint64_t value = get_u64(cell_at(&ref, cell));
    buf_unfix(&ref, w->buf);
    return value;
}

/* The pages must look as after the first n changes. */
static void check_pages(struct world *w, size_t n)
{
    memset(w->model, 0, PAGES * CELLS * sizeof(*w->model));
    for (size_t i = 0; i < n; i++)
        w->model[w->history[i].page_no * CELLS + w->history[i].cell] = w->history[i].value;
    for (PageNo p = 1; p < PAGES; p++)
        for (uint32_t c = 0; c < CELLS; c++)
            if (get(w, p, c) != w->model[p * CELLS + c])
                fail_msg("page %d cell %u: %llx instead of %llx", (int)p, c, (unsigned long long)get(w, p, c),
                         (unsigned long long)w->model[p * CELLS + c]);
}

/* After a restart: which changes are there?  Those up to the last redone one, or below the redo point. */
static void check_after_restart(struct world *w)
{
    size_t n = 0;
    Lsn below = w->last_redone ? w->last_redone + 1 : w->restart.state.redo;
    while (n < w->count && w->history[n].lsn < below)
        n++;
    assert_true(n >= w->durable);
    check_pages(w, n);
    w->count = w->durable = n;
}

static void pages_that_did_not_fit_are_read_back(void **state)
{
    struct world w;
    open_new(&w, fault_vfs_new(1));
    begin_pages(&w);
    for (uint64_t i = 0; i < 3000; i++)
        assert_int_equal(set(&w, 1 + i * 7 % (PAGES - 1), i % CELLS, i), 0);
    check_pages(&w, w.count);
    struct buf_stats stats;
    buf_stats(w.buf, &stats);
    assert_true(stats.evictions > 100);
    assert_true(stats.pages_written > 2 * stats.batches);
    close_world(&w);
}

static void a_clean_close_leaves_one_file_that_is_the_whole_database(void **state)
{
    struct world w;
    bool exists;
    open_new(&w, fault_vfs_new(1));
    begin_pages(&w);
    for (uint64_t i = 0; i < 500; i++)
        assert_int_equal(set(&w, 1 + i * 7 % (PAGES - 1), i % CELLS, i), 0);
    assert_int_equal(buf_close(&w.op, w.buf, NULL), 0);
    w.buf = NULL;
    assert_int_equal(os_exists(&w.op, w.vfs, "db-wal", &exists), 0);
    assert_false(exists);
    assert_int_equal(os_exists(&w.op, w.vfs, "db-dw", &exists), 0);
    assert_false(exists);
    fault_power_on(w.vfs, FAULT_LOSE_ALL, 1);
    assert_int_equal(open_pool(&w), 0);
    assert_true(w.restart.was_clean);
    check_pages(&w, w.count);
    close_world(&w);
}

static void after_a_crash_the_log_brings_pages_back(void **state)
{
    struct world w;
    open_new(&w, fault_vfs_new(1));
    begin_pages(&w);
    for (uint64_t i = 0; i < 500; i++)
        assert_int_equal(set(&w, 1 + i * 7 % (PAGES - 1), i % CELLS, i), 0);
    assert_int_equal(wal_flush(&w.op, buf_wal(w.buf), w.history[w.count - 1].lsn), 0);
    w.durable = w.count;
    buf_abandon(w.buf);
    fault_power_on(w.vfs, FAULT_LOSE_ALL, 1);
    assert_int_equal(open_pool(&w), 0);
    assert_false(w.restart.was_clean);
    check_after_restart(&w);
    assert_int_equal(w.count, 500);
    close_world(&w);
}

static void a_damaged_page_is_named(void **state)
{
    struct world w;
    open_new(&w, fault_vfs_new(1));
    begin_pages(&w);
    assert_int_equal(buf_close(&w.op, w.buf, NULL), 0);
    w.buf = NULL;
    assert_int_equal(fault_flip_bit(&w.op, w.vfs, "db", 77 * 4096 + 1000, 2), 0);
    assert_int_equal(open_pool(&w), 0);
    struct page_ref ref;
    assert_int_equal(buf_fix(&w.op, w.buf, 77, LATCH_SHARED, &ref), OP_FAILED);
    assert_string_equal(w.op.error.sqlstate, "XX001");
    assert_non_null(strstr(w.op.error.message, "page 77"));
    assert_null(ref.data);
    op_reset(&w.op);
    assert_int_equal(get(&w, 78, 0), 0);
    close_world(&w);
}

static void one_handle_at_a_time(void **state)
{
    struct world w;
    open_new(&w, fault_vfs_new(1));
    struct buf *other;
    assert_int_equal(buf_open(&w.op, &w.options, &other), OP_FAILED);
    assert_string_equal(w.op.error.sqlstate, "55006");
    assert_non_null(strstr(w.op.error.detail, "Process"));
    assert_null(other);
    close_world(&w);
}

static void what_is_not_a_database_is_refused_by_name(void **state)
{
    struct world w;
    struct os_file *file;
    char text[5000];
    memset(text, 'x', sizeof(text));
    world_init(&w, fault_vfs_new(1));
    assert_int_equal(os_open(&w.op, w.vfs, "db", OS_OPEN_CREATE, &file), 0);
    assert_int_equal(os_write(&w.op, file, 0, text, sizeof(text)), 0);
    os_close(file);
    assert_int_equal(open_pool(&w), OP_FAILED);
    assert_string_equal(w.op.error.sqlstate, "XX002");
    w.options.path = "absent";
    w.options.create = false;
    assert_int_equal(open_pool(&w), OP_FAILED);
    assert_string_equal(w.op.error.sqlstate, "58P01");
    w.options.create = true;
    w.options.page_size = 5000;
    assert_int_equal(open_pool(&w), OP_FAILED);
    assert_string_equal(w.op.error.sqlstate, "22023");
    close_world(&w);
}

static void a_missing_or_foreign_log_beside_an_unclean_file_is_refused(void **state)
{
    struct world w;
    open_new(&w, fault_vfs_new(1));
    begin_pages(&w);
    buf_abandon(w.buf);
    w.buf = NULL;
    assert_int_equal(os_rename(&w.op, w.vfs, "db-wal", "kept-wal"), 0);
    assert_int_equal(open_pool(&w), OP_FAILED);
    assert_string_equal(w.op.error.sqlstate, "XX001");
    assert_non_null(strstr(w.op.error.message, "missing"));
    w.options.path = "other";
    assert_int_equal(open_pool(&w), 0);
    buf_abandon(w.buf);
    w.buf = NULL;
    w.options.path = "db";
    assert_int_equal(os_rename(&w.op, w.vfs, "other-wal", "db-wal"), 0);
    assert_int_equal(open_pool(&w), OP_FAILED);
    assert_string_equal(w.op.error.sqlstate, "XX001");
    assert_int_equal(os_rename(&w.op, w.vfs, "kept-wal", "db-wal"), 0);
    assert_int_equal(open_pool(&w), 0);
    close_world(&w);
}

static void when_all_frames_are_latched_fixing_fails_cleanly(void **state)
{
    struct world w;
    open_new(&w, fault_vfs_new(1));
    begin_pages(&w);
    struct page_ref refs[16], one_more;
    for (int i = 0; i < 16; i++)
        assert_int_equal(buf_fix(&w.op, w.buf, 1 + (PageNo)i, LATCH_SHARED, &refs[i]), 0);
    assert_int_equal(buf_fix(&w.op, w.buf, 100, LATCH_SHARED, &one_more), OP_FAILED);
    assert_string_equal(w.op.error.sqlstate, "53200");
    for (int i = 0; i < 16; i++)
        buf_unfix(&refs[i], w.buf);
    op_reset(&w.op);
    assert_int_equal(get(&w, 100, 0), 0);
    close_world(&w);
}

static void an_optimistic_reader_notices_a_writer_and_an_eviction(void **state)
{
    struct world w;
    struct page_peek peek;
    open_new(&w, fault_vfs_new(1));
    begin_pages(&w);
    get(&w, 5, 0);
    assert_true(buf_peek(w.buf, 5, &peek));
    assert_true(buf_validate(w.buf, &peek));
#ifndef __SANITIZE_THREAD__
    assert_int_equal(set(&w, 5, 0, 1), 0);
    assert_false(buf_validate(w.buf, &peek));
    assert_int_equal(buf_checkpoint(&w.op, w.buf, NULL), 0);    /* a dirty page would not be evicted first */
    assert_true(buf_peek(w.buf, 5, &peek));
    for (PageNo p = 20; p < 60; p++)
        get(&w, p, 0);
    assert_false(buf_validate(w.buf, &peek));
    assert_false(buf_peek(w.buf, 5, &peek));
#endif
    buf_peek_end(w.buf, &peek);
    close_world(&w);
}

static void the_tail_is_cut_once_no_log_needs_it(void **state)
{
    struct world w;
    uint64_t size;
    struct os_file *file;
    open_new(&w, fault_vfs_new(1));
    begin_pages(&w);
    assert_int_equal(buf_checkpoint(&w.op, w.buf, NULL), 0);
    buf_truncate_later(w.buf, 50);
    assert_int_equal(buf_page_count(w.buf), 50);
    assert_int_equal(buf_checkpoint(&w.op, w.buf, NULL), 0);
    assert_int_equal(os_open(&w.op, w.vfs, "db", OS_OPEN_READ_ONLY, &file), 0);
    assert_int_equal(os_size(&w.op, file, &size), 0);
    assert_int_equal(size, 50 * 4096);
    os_close(file);
    struct page_ref ref;
    assert_int_equal(buf_fix(&w.op, w.buf, 50, LATCH_SHARED, &ref), OP_FAILED);
    op_reset(&w.op);
    assert_int_equal(begin_page(&w.op, w.buf, 50), 0);
    close_world(&w);
}

static void a_failed_read_or_write_is_an_error_and_loses_nothing(void **state)
{
    struct world w;
    open_new(&w, fault_vfs_new(1));
    begin_pages(&w);
    uint64_t failures = 0;
    for (uint64_t i = 0; i < 2000; i++) {
        if (i % 20 == 0)
            fault_fail_at(w.vfs, i % 40 ? FAULT_READ : FAULT_WRITE, 1 + i % 7, EIO, false);
        if (set(&w, 1 + i * 7 % (PAGES - 1), i % CELLS, i)) {
            failures++;
            assert_string_equal(w.op.error.sqlstate, "58030");
            op_reset(&w.op);
        }
        if (wal_is_broken(buf_wal(w.buf)))
            break;
    }
    assert_true(failures > 0);
    fault_fail_at(w.vfs, FAULT_READ, 0, 0, false);
    fault_fail_at(w.vfs, FAULT_WRITE, 0, 0, false);
    if (!wal_is_broken(buf_wal(w.buf)))
        check_pages(&w, w.count);
    w.durable = 0;
    Lsn durable = wal_durable_end(buf_wal(w.buf));
    while (w.durable < w.count && w.history[w.durable].lsn < durable)
        w.durable++;
    buf_abandon(w.buf);
    fault_power_on(w.vfs, FAULT_LOSE_ALL, 1);
    assert_int_equal(open_pool(&w), 0);
    check_after_restart(&w);
    close_world(&w);
}

/* A sync of the log fails while changes fill the cache: changes are refused from then on, and every page can still be read. */
static void when_the_log_is_broken_reading_goes_on(void **state)
{
    struct world w;
    int result = OP_OK;
    open_new(&w, fault_vfs_new(3));
    begin_pages(&w);
    fault_fail_at(w.vfs, FAULT_SYNC, 1, EIO, true);
    for (uint64_t i = 0; result == OP_OK; i++)
        result = set(&w, 1 + i % (PAGES - 1), i % CELLS, i + 1);
    assert_string_equal(w.op.error.sqlstate, "58030");
    assert_true(wal_is_broken(buf_wal(w.buf)));
    op_reset(&w.op);
    check_pages(&w, w.count);
    assert_int_equal(set(&w, 1, 1, 1), OP_FAILED);
    op_reset(&w.op);
    check_pages(&w, w.count);
    close_world(&w);
}

/* ---- threads -------------------------------------------------------------------------------------- */

enum { THREADS = 8, START_VALUE = 1000 };

struct mover {
    struct world *w;
    uint64_t seed, moves;
    int failures;
    atomic_bool *stop;
};

/* Moves amounts between cells of two pages, latched in page order: the total never changes. */
static void move(void *arg)
{
    struct mover *m = arg;
    struct buf *buf = m->w->buf;
    struct op op;
    struct rng rng;
    op_init(&op);
    rng_seed(&rng, m->seed);
    for (uint64_t i = 0; i < m->moves; i++) {
        PageNo a = 1 + rng_below(&rng, PAGES - 2), b = a + 1 + rng_below(&rng, PAGES - 1 - a);
        struct page_ref ra, rb;
        Lsn lsn = 0;
        uint32_t cell = (uint32_t)rng_below(&rng, CELLS);
        if (wal_reserve(&op, buf_wal(buf), 400) || buf_fix(&op, buf, a, LATCH_EXCLUSIVE, &ra)) {
            m->failures++;
            break;
        }
        if (buf_fix(&op, buf, b, LATCH_EXCLUSIVE, &rb)) {
            m->failures++;
            buf_unfix(&ra, buf);
            break;
        }
        log_and_mark(&op, buf, SET, &ra, cell, get_u64(cell_at(&ra, cell)) - 1, &lsn);
        log_and_mark(&op, buf, SET, &rb, cell, get_u64(cell_at(&rb, cell)) + 1, &lsn);
        buf_unfix(&rb, buf);
        buf_unfix(&ra, buf);
        wal_unreserve(buf_wal(buf), 400);
        if (rng_below(&rng, 50) == 0 && wal_flush(&op, buf_wal(buf), lsn))
            m->failures++;
        struct page_peek peek;
        if (buf_peek(buf, b, &peek)) {
            uint64_t no = __atomic_load_n((const uint64_t *)(const void *)(peek.data + 16), __ATOMIC_RELAXED);
            if (buf_validate(buf, &peek) && no != b)
                m->failures++;
        }
        buf_peek_end(buf, &peek);
    }
    if (m->failures)
        fprintf(stderr, "mover: %s\n", op.error.message);
    op_end(&op);
}

static void checkpoint_often(void *arg)
{
    struct mover *m = arg;
    struct op op;
    op_init(&op);
    while (!atomic_load(m->stop)) {
        if (buf_checkpoint(&op, m->w->buf, NULL)) {
            m->failures++;
            fprintf(stderr, "checkpoint: %s\n", op.error.message);
            break;
        }
        op_reset(&op);
        os_sleep_us(1000);
    }
    op_end(&op);
}

static uint64_t total(struct world *w)
{
    uint64_t sum = 0;
    for (PageNo p = 1; p < PAGES; p++)
        for (uint32_t c = 0; c < CELLS; c++)
            sum += get(w, p, c);
    return sum;
}

static void eight_threads_on_a_tiny_cache_keep_the_total(void **state)
{
    struct world w;
    struct mover movers[THREADS + 1];
    struct os_thread *threads[THREADS + 1];
    atomic_bool stop = false;
    world_init(&w, fault_vfs_new(1));
    w.options.cache_size = 32 * 4096;
    assert_int_equal(open_pool(&w), 0);
    begin_pages(&w);
    for (PageNo p = 1; p < PAGES; p++)
        for (uint32_t c = 0; c < CELLS; c++)
            assert_int_equal(set(&w, p, c, START_VALUE), 0);
    assert_int_equal(buf_start_background(&w.op, w.buf, NULL, NULL), 0);
    for (int i = 0; i <= THREADS; i++) {
        movers[i] = (struct mover){.w = &w, .seed = (uint64_t)i, .moves = 800, .stop = &stop};
        void (*run)(void *) = i < THREADS ? move : checkpoint_often;
        assert_int_equal(os_thread_start(&w.op, run, &movers[i], "mover", &threads[i]), 0);
    }
    for (int i = 0; i <= THREADS; i++) {
        if (i == THREADS)
            atomic_store(&stop, true);
        os_thread_join(threads[i]);
        assert_int_equal(movers[i].failures, 0);
    }
    assert_int_equal(total(&w), (uint64_t)START_VALUE * (PAGES - 1) * CELLS);
    assert_int_equal(wal_flush(&w.op, buf_wal(w.buf), wal_end(buf_wal(w.buf)) - 1), 0);
    struct buf_stats stats;
    buf_stats(w.buf, &stats);
    assert_true(stats.checkpoints > 0);
    buf_abandon(w.buf);
    fault_power_on(w.vfs, FAULT_KEEP_RANDOM, 3);
    assert_int_equal(open_pool(&w), 0);
    assert_int_equal(total(&w), (uint64_t)START_VALUE * (PAGES - 1) * CELLS);
    close_world(&w);
}

/* Each thread counts up a cell of its own in one page after the other, and notes what was acknowledged. */
struct counter {
    struct buf *buf;
    uint32_t cell;
    uint64_t tried[PAGES], acknowledged[PAGES];
};

static void count_up(void *arg)
{
    struct counter *c = arg;
    struct op op;
    op_init(&op);
    for (uint64_t i = 0; i < 1000000; i++) {
        PageNo page_no = 1 + (i * 31 + c->cell * 17) % (PAGES - 1);
        Lsn lsn;
        c->tried[page_no]++;
        if (set_cell(&op, c->buf, page_no, c->cell, c->tried[page_no], &lsn) || wal_flush(&op, buf_wal(c->buf), lsn))
            break;
        c->acknowledged[page_no] = c->tried[page_no];
    }
    op_end(&op);
}

static void what_threads_were_promised_survives_a_power_cut(void **state)
{
    static struct counter counters[THREADS];
    for (uint64_t round = 1; round <= 6; round++) {
        struct world w;
        struct os_thread *threads[THREADS];
        open_new(&w, fault_vfs_new(round));
        begin_pages(&w);
        assert_int_equal(buf_start_background(&w.op, w.buf, NULL, NULL), 0);
        fault_cut_at(w.vfs, 100 * round * round);
        memset(counters, 0, sizeof(counters));
        for (uint32_t i = 0; i < THREADS; i++) {
            counters[i].buf = w.buf;
            counters[i].cell = i;
            assert_int_equal(os_thread_start(&w.op, count_up, &counters[i], "counter", &threads[i]), 0);
        }
        for (int i = 0; i < THREADS; i++)
            os_thread_join(threads[i]);
        buf_abandon(w.buf);
        w.buf = NULL;
        fault_power_on(w.vfs, round % 2 ? FAULT_LOSE_ALL : FAULT_KEEP_RANDOM, round);
        if (open_pool(&w))
            fail_msg("%s", w.op.error.message);
        for (PageNo p = 1; p < PAGES; p++)
            for (uint32_t i = 0; i < THREADS; i++) {
                assert_true(get(&w, p, i) >= counters[i].acknowledged[p]);
                assert_true(get(&w, p, i) <= counters[i].tried[p]);
            }
        close_world(&w);
    }
}

static void on_a_full_disk_the_file_does_not_grow_but_work_goes_on(void **state)
{
    struct world w;
    open_new(&w, fault_vfs_new(1));
    begin_pages(&w);
    for (uint64_t i = 0; i < 200; i++)
        assert_int_equal(set(&w, 1 + i * 7 % (PAGES - 1), i % CELLS, i), 0);
    assert_int_equal(buf_checkpoint(&w.op, w.buf, NULL), 0);
    fault_capacity(w.vfs, 1);
    int result = OP_OK;
    for (PageNo p = PAGES; p < PAGES + 1000 && result == OP_OK; p++)
        result = buf_extend(&w.op, w.buf, p + 1);
    assert_int_equal(result, OP_FAILED);
    assert_string_equal(w.op.error.sqlstate, "53100");
    op_reset(&w.op);
    for (uint64_t i = 0; i < 2000; i++) {
        if (set(&w, 1 + i * 7 % (PAGES - 1), i % CELLS, i) == OP_OK)
            continue;
        assert_string_equal(w.op.error.sqlstate, "53100");      /* no room for log: a checkpoint makes some */
        op_reset(&w.op);
        assert_int_equal(buf_checkpoint(&w.op, w.buf, NULL), 0);
        assert_int_equal(set(&w, 1 + i * 7 % (PAGES - 1), i % CELLS, i), 0);
    }
    check_pages(&w, w.count);
    assert_int_equal(buf_close(&w.op, w.buf, NULL), 0);
    w.buf = NULL;
    close_world(&w);
}

/* ---- random crashes ------------------------------------------------------------------------------- */

static void live(struct world *w, struct rng *rng)
{
    uint64_t steps = 1 + rng_below(rng, 400);
    for (uint64_t i = 0; i < steps && !wal_is_broken(buf_wal(w->buf)); i++) {
        op_reset(&w->op);
        if (set(w, 1 + rng_below(rng, PAGES - 1), (uint32_t)rng_below(rng, CELLS), rng_next(rng)))
            continue;
        if (rng_below(rng, 10) == 0 && wal_flush(&w->op, buf_wal(w->buf), w->history[w->count - 1].lsn) == OP_OK)
            w->durable = w->count;
        if (rng_below(rng, 100) == 0 && buf_checkpoint(&w->op, w->buf, NULL))
            return;
    }
}

static void power_may_go_at_any_call(void **state)
{
    uint64_t seed = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : 1;
    uint64_t count = getenv("COUNT") ? strtoull(getenv("COUNT"), NULL, 10) : 25;
    for (uint64_t i = 0; i < count; i++) {
        struct rng rng;
        struct world w;
        rng_seed(&rng, seed + i);
        open_new(&w, fault_vfs_new(seed + i));
        begin_pages(&w);
        for (int lives = 0; lives < 6; lives++) {
            fault_cut_at(w.vfs, 1 + rng_below(&rng, 150));
            live(&w, &rng);
            buf_abandon(w.buf);
            w.buf = NULL;
            fault_power_on(w.vfs, (enum fault_loss)rng_below(&rng, 4), rng_next(&rng));
            if (rng_below(&rng, 2))
                fault_cut_at(w.vfs, 1 + rng_below(&rng, 20));
            while (open_pool(&w)) {
                if (!fault_is_cut(w.vfs))
                    fail_msg("seed %llu: %s", (unsigned long long)(seed + i), w.op.error.message);
                if (w.buf)
                    buf_abandon(w.buf);
                w.buf = NULL;
                fault_power_on(w.vfs, FAULT_KEEP_RANDOM, rng_next(&rng));
            }
            fault_cut_at(w.vfs, 0);
            if (!fault_is_cut(w.vfs))
                check_after_restart(&w);
        }
        close_world(&w);
    }
    printf("buf-power-cuts seed=%llu count=%llu failures=0\n", (unsigned long long)seed, (unsigned long long)count);
}

static void without_memory_opening_fails_cleanly_and_works_the_next_time(void **state)
{
    uint64_t failures = 0;
    for (uint64_t n = 1; n < 60; n++) {
        struct world w;
        open_new(&w, fault_vfs_new(n));
        begin_pages(&w);
        buf_abandon(w.buf);
        w.buf = NULL;
        op_reset(&w.op);
        mem_fail_at(n);
        int result = open_pool(&w);
        mem_fail_at(0);
        if (result) {
            failures++;
            assert_string_equal(w.op.error.sqlstate, "53200");
            if (w.buf)
                buf_abandon(w.buf);
            w.buf = NULL;
            assert_int_equal(open_pool(&w), 0);
        }
        check_pages(&w, 0);
        close_world(&w);
    }
    assert_true(failures > 10);
}

static void creation_and_clean_close_may_be_cut_anywhere(void **state)
{
    for (uint64_t cut = 1; cut < 40; cut++) {
        struct world w;
        world_init(&w, fault_vfs_new(cut));
        fault_cut_at(w.vfs, cut);
        bool made = open_pool(&w) == OP_OK && begin_page(&w.op, w.buf, 1) == OP_OK &&
                    wal_flush(&w.op, buf_wal(w.buf), wal_end(buf_wal(w.buf)) - 1) == OP_OK;
        if (w.buf) {
            op_reset(&w.op);
            int closed = buf_close(&w.op, w.buf, NULL);
            (void)closed;
            w.buf = NULL;
        }
        fault_power_on(w.vfs, FAULT_KEEP_RANDOM, cut);
        if (open_pool(&w))
            fail_msg("cut at %llu: %s", (unsigned long long)cut, w.op.error.message);
        if (made)
            assert_int_equal(get(&w, 1, 0), 0);
        close_world(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_that_did_not_fit_are_read_back),
        cmocka_unit_test(a_clean_close_leaves_one_file_that_is_the_whole_database),
        cmocka_unit_test(after_a_crash_the_log_brings_pages_back),
        cmocka_unit_test(a_damaged_page_is_named),
        cmocka_unit_test(one_handle_at_a_time),
        cmocka_unit_test(what_is_not_a_database_is_refused_by_name),
        cmocka_unit_test(a_missing_or_foreign_log_beside_an_unclean_file_is_refused),
        cmocka_unit_test(when_all_frames_are_latched_fixing_fails_cleanly),
        cmocka_unit_test(an_optimistic_reader_notices_a_writer_and_an_eviction),
        cmocka_unit_test(the_tail_is_cut_once_no_log_needs_it),
        cmocka_unit_test(a_failed_read_or_write_is_an_error_and_loses_nothing),
        cmocka_unit_test(when_the_log_is_broken_reading_goes_on),
        cmocka_unit_test(eight_threads_on_a_tiny_cache_keep_the_total),
        cmocka_unit_test(what_threads_were_promised_survives_a_power_cut),
        cmocka_unit_test(on_a_full_disk_the_file_does_not_grow_but_work_goes_on),
        cmocka_unit_test(power_may_go_at_any_call),
        cmocka_unit_test(without_memory_opening_fails_cleanly_and_works_the_next_time),
        cmocka_unit_test(creation_and_clean_close_may_be_cut_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
