/*
 * write.c -- dirty pages on their way to the disk.
 *
 * Pages are written in batches: chosen, sorted, copied under their latch to a private buffer, and from then on
 * nobody is kept from changing them.  Then, in this order:
 *
 *      log durable up to the newest page LSN of the batch        (P1)
 *      copies and directory to the double-write area, sync       (torn pages: double_write.c)
 *      copies to their places, sync
 *      pages leave the dirty page table, unless changed again    (P2)
 *
 * A page changed while its copy is on the way stays dirty, with the first of these changes as its new recovery
 * LSN, but only once the copy is synced; until then the old one counts.
 *
 * O1  One batch at a time; the double-write area is free when write_latch is.
 * O2  Choosing never waits for a page latch: who needs a frame may hold latches itself.
 */
#include "src/buf/buf_int.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/planted.h"

static int by_page(const void *a, const void *b)
{
    const struct buf__batch_entry *x = a, *y = b;
    return x->page_no < y->page_no ? -1 : x->page_no > y->page_no;
}

static bool is_eligible(const struct buf__frame *frame, enum buf__choice choice, Lsn limit)
{
    Lsn recovery = atomic_load_explicit(&frame->recovery_lsn, memory_order_relaxed);
    return recovery != 0 && (choice == BUF__COLD || recovery < limit);
}

/* Fills buf->batch.  Cold ones: from the hand on, those not used lately first.  Old ones: from where the last
 * batch ended. */
static void choose(struct buf *buf, enum buf__choice choice, Lsn limit)
{
    buf->batch_len = 0;
    uint64_t hand = choice == BUF__COLD ? atomic_load_explicit(&buf->hand, memory_order_relaxed) : buf->scan_at;
    int rounds = choice == BUF__COLD ? 2 : 1;
    for (int round = 0; round < rounds && buf->batch_len < buf->batch_max; round++) {
        for (uint32_t i = 0; i < buf->frame_count && buf->batch_len < buf->batch_max; i++) {
            uint32_t at = (uint32_t)((hand + i) % buf->frame_count);
            struct buf__frame *frame = &buf->frames[at];
            bool warm = atomic_load_explicit(&frame->used, memory_order_relaxed);
            if ((rounds == 2 && warm != (round == 1)) || !is_eligible(frame, choice, limit))
                continue;
            PageNo page_no = atomic_load_explicit(&frame->page_no, memory_order_acquire);
            if (page_no != 0)
                buf->batch[buf->batch_len++] = (struct buf__batch_entry){page_no, at + 1};
            if (choice == BUF__OLD)
                buf->scan_at = at + 1;
        }
    }
    qsort(buf->batch, buf->batch_len, sizeof(buf->batch[0]), by_page);
}

/* Copies the page into the batch if nobody has it latched exclusively and it is still dirty in this frame. */
static bool copy_page(struct buf *buf, const struct buf__batch_entry *entry, uint8_t *to)
{
    struct buf__frame *frame = &buf->frames[entry->frame - 1];
    if (!buf__try_latch(buf, entry->page_no, entry->frame, LATCH_SHARED))
        return false;
    /* A page whose mark was set between the two rounds of choosing was chosen twice; one copy is on its way already. */
    bool dirty = atomic_load(&frame->recovery_lsn) != 0 && !atomic_load(&frame->writing);
    if (dirty) {
        memcpy(to, buf__frame_data(buf, entry->frame), buf->page_size);
        frame->redirtied = 0;
        atomic_store_explicit(&frame->writing, true, memory_order_release);
    }
    buf__unlatch(buf, entry->page_no, LATCH_SHARED);
    return dirty;
}

static void lock_frame(struct buf__frame *frame)
{
    while (atomic_flag_test_and_set_explicit(&frame->guard, memory_order_acquire))
        os_pause();
}

/* The copy is on its way no more.  synced: it is durable in its place. */
static void finish_page(struct buf *buf, uint32_t number, bool synced)
{
    struct buf__frame *frame = &buf->frames[number - 1];
    lock_frame(frame);
    if (synced) {
        atomic_store_explicit(&frame->recovery_lsn, frame->redirtied, memory_order_release);
        if (frame->redirtied == 0)
            atomic_fetch_sub_explicit(&buf->dirty_count, 1, memory_order_relaxed);
    }
    frame->redirtied = 0;
    atomic_store_explicit(&frame->writing, false, memory_order_release);
    atomic_flag_clear_explicit(&frame->guard, memory_order_release);
}

static uint8_t *batch_page(const struct buf *buf, uint32_t i)
{
    return buf->batch_bytes + BUF__DIRECTORY_BYTES + (uint64_t)i * buf->page_size;
}

/* Copies the chosen pages, dropping those that cannot be had now; *newest is the highest page LSN among them. */
static void copy_batch(struct buf *buf, Lsn *newest)
{
    uint32_t kept = 0;
    *newest = 0;
    for (uint32_t i = 0; i < buf->batch_len; i++) {
        uint8_t *page = batch_page(buf, kept);
        if (!copy_page(buf, &buf->batch[i], page))
            continue;
        page_set_checksum(page, buf->page_size);
        Lsn lsn = get_u64(page + offsetof(struct page_head, lsn));
        if (lsn > *newest)
            *newest = lsn;
        buf->batch[kept++] = buf->batch[i];
    }
    buf->batch_len = kept;
}

/* Neighbours go out as one write. */
static int write_in_place(struct op *op, struct buf *buf)
{
    for (uint32_t i = 0; i < buf->batch_len;) {
        uint32_t n = 1;
        while (i + n < buf->batch_len && buf->batch[i + n].page_no == buf->batch[i].page_no + n)
            n++;
        uint64_t offset = buf->batch[i].page_no * buf->page_size;
        if (os_write(op, buf->file, offset, batch_page(buf, i), (size_t)n * buf->page_size))
            return OP_FAILED;
        i += n;
    }
    return PLANTED("buf-skip-in-place-sync") ? OP_OK : buf__sync(op, buf, buf->file);
}

static int write_copies(struct op *op, struct buf *buf, Lsn newest)
{
    /* While restarting, what pages carry comes from a log that was synced before it was read. */
    if (!buf->restarting && !PLANTED("buf-write-before-log") && wal_flush(op, buf->wal, newest))
        return OP_FAILED;
    if (buf__double_write(op, buf))
        return OP_FAILED;
    return write_in_place(op, buf);
}

int buf__write_batch(struct op *op, struct buf *buf, enum buf__choice choice, Lsn limit, uint32_t *found,
                     uint32_t *written)
{
    *found = *written = 0;
    uint64_t before = atomic_load(&buf->batches);
    os_mutex_lock(&buf->write_latch);
    if (choice == BUF__COLD && atomic_load(&buf->batches) != before) {
        os_mutex_unlock(&buf->write_latch);     /* somebody else has just made clean frames */
        *written = 1;
        return OP_OK;
    }
    choose(buf, choice, limit);
    *found = buf->batch_len;
    Lsn newest;
    copy_batch(buf, &newest);
    int result = buf->batch_len == 0 ? OP_OK : write_copies(op, buf, newest);
    for (uint32_t i = 0; i < buf->batch_len; i++)
        finish_page(buf, buf->batch[i].frame, result == OP_OK);
    if (result == OP_OK && buf->batch_len > 0) {
        *written = buf->batch_len;
        atomic_fetch_add(&buf->batches, 1);
        atomic_fetch_add_explicit(&buf->stat_written, buf->batch_len, memory_order_relaxed);
    }
    os_mutex_unlock(&buf->write_latch);
    return result;
}

/* ---- background writer ---------------------------------------------------------------------------- */

void buf__kick_writer(struct buf *buf)
{
    if (atomic_load_explicit(&buf->kicked, memory_order_relaxed) || atomic_exchange(&buf->kicked, true))
        return;
    atomic_fetch_add(&buf->thread_word, 1);
    os_wake_word(&buf->thread_word, 1);
}

static bool is_checkpoint_due(const struct buf *buf)
{
    return buf->checkpoint && buf_checkpoint_due(buf);
}

/* Writes cold pages until three eighths of the frames at most are dirty, or a checkpoint is due, which writes them all: under a load
 * that makes pages dirty as fast as they are written there would be no end. */
static int write_cold(struct op *op, struct buf *buf)
{
    uint32_t found = 1, written = 1;
    while (!atomic_load(&buf->stop) && written > 0 && atomic_load(&buf->dirty_count) > buf->frame_count / 8 * 3 &&
           !is_checkpoint_due(buf))
        if (buf__write_batch(op, buf, BUF__COLD, 0, &found, &written))
            return OP_FAILED;
    return OP_OK;
}

static void background(void *arg)
{
    enum { ROUND_NS = 200 * 1000 * 1000 };
    struct buf *buf = arg;
    struct op op;
    op_init(&op);
    while (!atomic_load(&buf->stop)) {
        uint32_t seen = atomic_load(&buf->thread_word);
        if (!atomic_load(&buf->kicked))
            os_wait_word(&buf->thread_word, seen, os_clock_ns() + ROUND_NS);
        if (atomic_load(&buf->stop))
            break;
        bool kicked = atomic_exchange(&buf->kicked, false);
        /* What fails here fails again, with a report, in the thread that needs a frame or commits. */
        int failed = kicked ? write_cold(&op, buf) : OP_OK;
        if (!failed && is_checkpoint_due(buf))
            failed = buf->checkpoint(buf->checkpoint_context, &op);
        op_reset(&op);
        if (failed) {
            wal_give_up(buf->wal);
            os_sleep_us(10000);
        }
    }
    op_end(&op);
}

static void hurry(void *arg)
{
    struct buf *buf = arg;
    atomic_fetch_add(&buf->thread_word, 1);
    os_wake_word(&buf->thread_word, 1);
}

int buf_start_background(struct op *op, struct buf *buf, int (*checkpoint)(void *context, struct op *op), void *context)
{
    buf->checkpoint = checkpoint;
    buf->checkpoint_context = context;
    if (checkpoint)
        wal_pace(buf->wal, hurry, buf);
    if (wal_start_background(op, buf->wal))
        return OP_FAILED;
    return os_thread_start(op, background, buf, "isolde-writer", &buf->thread);
}

void buf_stop_background(struct buf *buf)
{
    if (!buf->thread)
        return;
    atomic_store(&buf->stop, true);
    atomic_fetch_add(&buf->thread_word, 1);
    os_wake_word(&buf->thread_word, 1);
    os_thread_join(buf->thread);
    buf->thread = NULL;
    wal_pace(buf->wal, NULL, NULL);
}
