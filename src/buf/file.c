/*
 * file.c -- how long the database file is.
 *
 * page_count is the logical length: pages below it may be fixed.  The file itself runs ahead of it, a piece at
 * a time, written with zeros so that the space is really there: a change that was logged must not fail for
 * want of disk later.
 *
 * Cutting is put off.  The log from the redo point on may still name pages of the tail, in the life before
 * they were freed; after a crash redo would find them gone.  So the file is cut at the first checkpoint whose
 * redo point has passed the request.
 */
#include "src/buf/buf_int.h"

#include "src/base/mem.h"

enum { EXTEND_BYTES = 1 << 20 };

uint32_t buf_page_size(const struct buf *buf)
{
    return buf->page_size;
}

uint32_t buf_usable_size(const struct buf *buf)
{
    return buf->usable_size;
}

PageNo buf_page_count(const struct buf *buf)
{
    return atomic_load_explicit(&buf->page_count, memory_order_acquire);
}

static const uint8_t zeros[PAGE_SIZE_MAX];

/* An eighth more than there is, between one page and a megabyte, and at least what is asked for. */
static int make_room(struct op *op, struct buf *buf, PageNo page_count)
{
    PageNo step = buf->file_pages / 8, most = EXTEND_BYTES / buf->page_size;
    if (step > most)
        step = most;
    PageNo wanted = buf->file_pages + step > page_count ? buf->file_pages + step : page_count;
    int result = OP_OK;
    while (result == OP_OK && buf->file_pages < wanted) {
        size_t left = (wanted - buf->file_pages) * buf->page_size, len = left < sizeof zeros ? left : sizeof zeros;
        result = os_write(op, buf->file, buf->file_pages * buf->page_size, zeros, len);
        if (result == OP_OK)
            buf->file_pages += len / buf->page_size;
    }
    return result;
}

int buf_extend(struct op *op, struct buf *buf, PageNo page_count)
{
    if (page_count <= buf_page_count(buf))
        return OP_OK;
    os_mutex_lock(&buf->extend_latch);
    int result = buf__ensure_states(op, buf, page_count);
    if (result == OP_OK)
        buf__spare_states(buf, page_count);
    if (result == OP_OK && page_count > buf->file_pages)
        result = make_room(op, buf, page_count);
    if (result == OP_OK && page_count > buf_page_count(buf))
        atomic_store_explicit(&buf->page_count, page_count, memory_order_release);
    os_mutex_unlock(&buf->extend_latch);
    return result;
}

void buf_truncate_later(struct buf *buf, PageNo page_count)
{
    os_mutex_lock(&buf->extend_latch);
    if (page_count > 0 && page_count < buf_page_count(buf)) {
        if (buf->truncated_from < buf_page_count(buf))
            buf->truncated_from = buf_page_count(buf);
        atomic_store_explicit(&buf->page_count, page_count, memory_order_release);
        buf->truncate_lsn = wal_end(buf->wal);
    }
    os_mutex_unlock(&buf->extend_latch);
}

/* Pages that nobody uses any more leave memory, written or not.  Their frames are free once the latches are
 * released. */
static uint32_t drop_tail(struct buf *buf, PageNo first, uint32_t *dropped)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < buf->frame_count; i++) {
        struct buf__frame *frame = &buf->frames[i];
        PageNo page_no = atomic_load(&frame->page_no);
        if (page_no < first || !buf__try_latch(buf, page_no, i + 1, LATCH_EXCLUSIVE))
            continue;
        if (atomic_exchange(&frame->recovery_lsn, 0) != 0)
            atomic_fetch_sub_explicit(&buf->dirty_count, 1, memory_order_relaxed);
        atomic_store(&frame->page_no, 0);
        buf__unlatch_evicted(buf, page_no, i + 1);
        dropped[count++] = i + 1;
    }
    return count;
}

int buf__truncate(struct op *op, struct buf *buf, Lsn redo)
{
    int result = OP_OK;
    uint32_t count = 0, *dropped = op_heap_alloc(op, buf->frame_count * sizeof(*dropped));
    if (!dropped)
        return OP_FAILED;
    os_mutex_lock(&buf->extend_latch);
    if (buf->truncate_lsn != 0 && redo >= buf->truncate_lsn && atomic_load(&buf->backups) == 0) {
        PageNo page_count = buf_page_count(buf);
        os_mutex_lock(&buf->write_latch);   /* no batch may be on its way to the tail meanwhile */
        count = drop_tail(buf, page_count, dropped);
        if (page_count < buf->file_pages)
            result = os_truncate(op, buf->file, page_count * buf->page_size);
        if (result == OP_OK) {
            buf->file_pages = page_count;
            buf->truncate_lsn = 0;
            buf->truncated_from = 0;
        }
        os_mutex_unlock(&buf->write_latch);
    }
    os_mutex_unlock(&buf->extend_latch);
    for (uint32_t i = 0; i < count; i++)
        buf__give_frame(buf, dropped[i]);
    mem_free(dropped);
    return result;
}

PageNo buf__named_pages(struct buf *buf, Lsn redo)
{
    os_mutex_lock(&buf->extend_latch);
    PageNo count = buf_page_count(buf);
    if (buf->truncate_lsn != 0 && redo < buf->truncate_lsn && buf->truncated_from > count)
        count = buf->truncated_from;
    os_mutex_unlock(&buf->extend_latch);
    return count;
}
