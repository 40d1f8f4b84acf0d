/*
 * evict.c -- which frame to use next.
 *
 * Clock: a hand goes round the frames; each use of a page sets a mark, the hand clears it, and who has none
 * when the hand comes is evicted.  One byte per frame, no list to keep in order, so a hit costs a load (and a
 * store once per round) [CORB68].
 *
 * A dirty page is not evicted but first written, and never alone: whoever finds no clean frame writes a whole
 * batch of cold dirty pages (write.c), two syncs for up to 128 pages.  Usually the background writer has done
 * so before.
 *
 * E1  A latched page is not evicted (its latch is its pin).
 * E2  The exclusive latch is tried, never waited for, so that a thread that holds latches can evict.
 * E3  An eighth of the frames is kept clean: who would make a page dirty beyond that writes a batch first, and fails if that is
 *     impossible.  So when the log cannot be written any more, and no dirty page therefore, there is always a frame to read with.
 */
#include "src/buf/buf_int.h"

enum { EXHAUSTED_AFTER_MS = 2000 };

void buf__give_frame(struct buf *buf, uint32_t frame)
{
    os_mutex_lock(&buf->free_latch);
    buf->free_frames[buf->free_count++] = frame;
    os_mutex_unlock(&buf->free_latch);
}

static bool pop_free(struct buf *buf, uint32_t *frame)
{
    os_mutex_lock(&buf->free_latch);
    bool any = buf->free_count > 0;
    if (any)
        *frame = buf->free_frames[--buf->free_count];
    os_mutex_unlock(&buf->free_latch);
    return any;
}

static bool try_evict(struct buf *buf, uint32_t frame)
{
    struct buf__frame *info = &buf->frames[frame - 1];
    PageNo page_no = atomic_load_explicit(&info->page_no, memory_order_acquire);
    if (page_no == 0 || atomic_load_explicit(&info->recovery_lsn, memory_order_relaxed) != 0)
        return false;
    if (!buf__try_latch(buf, page_no, frame, LATCH_EXCLUSIVE))
        return false;
    if (atomic_load(&info->recovery_lsn) != 0 || atomic_load(&info->writing)) {
        buf__unlatch(buf, page_no, LATCH_EXCLUSIVE);
        return false;
    }
    atomic_store(&info->page_no, 0);
    buf__unlatch_evicted(buf, page_no, frame);
    atomic_fetch_add_explicit(&buf->stat_evictions, 1, memory_order_relaxed);
    return true;
}

/* Two rounds: the first takes the marks away. */
static bool sweep(struct buf *buf, uint32_t *frame)
{
    for (uint64_t steps = 2 * (uint64_t)buf->frame_count + 1; steps > 0; steps--) {
        uint32_t at = (uint32_t)(atomic_fetch_add_explicit(&buf->hand, 1, memory_order_relaxed) % buf->frame_count);
        struct buf__frame *info = &buf->frames[at];
        if (atomic_load_explicit(&info->used, memory_order_relaxed)) {
            atomic_store_explicit(&info->used, 0, memory_order_relaxed);
            continue;
        }
        if (try_evict(buf, at + 1)) {
            *frame = at + 1;
            return true;
        }
    }
    return false;
}

int buf__take_frame(struct op *op, struct buf *buf, uint32_t *frame)
{
    uint64_t deadline = 0;
    for (;;) {
        if (pop_free(buf, frame) || sweep(buf, frame))
            return OP_OK;
        uint32_t found, written;
        if (buf__write_batch(op, buf, BUF__COLD, 0, &found, &written))
            return OP_FAILED;
        if (written > 0)
            continue;
        uint64_t now = os_clock_ns();
        if (deadline == 0)
            deadline = now + (uint64_t)EXHAUSTED_AFTER_MS * 1000000;
        if (now >= deadline) {
            op_fail(op, "53200", "the page cache is exhausted");
            op_detail(op, "All %u frames are in use at once.", buf->frame_count);
            op_hint(op, "Increase cache_size.");
            return OP_FAILED;
        }
        os_sleep_us(500);
    }
}
