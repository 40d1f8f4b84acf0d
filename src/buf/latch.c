/*
 * latch.c -- finding a page in memory and latching it, in one atomic operation on its state word.
 *
 * A hit is: load the page's word, see its frame, compare-and-swap the latch bits.  There is no hash table and
 * no separate pin: whoever holds the latch also pins.  A miss is the same with the exclusive latch on a word
 * without a frame: its holder reads the page in, others wait for the latch as they would for a writer.
 *
 * Optimistic readers write nothing at all: they remember the word, read, and look whether frame and version
 * are still the same.
 *
 *      reader:  load word (acquire) ... read bytes ... fence, load word again
 *      writer:  latch exclusively, fence ... change bytes ... release: version + 1
 *
 * L1  A frame number in a word changes only under the exclusive latch of that page.
 * L2  Contents change only under the exclusive latch, and each release of it changes the version.
 * L3  A sleeper set the waiters bit after it had read its parking word; whoever frees the latch and sees the
 *     bit bumps the parking word.  So no wake-up is lost.
 *
 * Sleepers park by a hash of the page number; a shared parking place costs spurious wake-ups only.
 */
#include "src/buf/buf_int.h"

#include <string.h>

#include "src/base/hash.h"
#include "src/base/mem.h"
#include "src/base/planted.h"

enum { LATCH_SPINS = 100, BACKGROUND_WAIT_US = 50 };

#if defined(__SANITIZE_THREAD__)
#define PEEK_LATCHES 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PEEK_LATCHES 1
#endif
#endif
#ifndef PEEK_LATCHES
#define PEEK_LATCHES 0
#define FENCE(order) atomic_thread_fence(order)
#else
#define FENCE(order) ((void)(order))    /* ThreadSanitizer knows no fences, and nobody peeks there */
#endif

static struct buf__parking *parking_of(struct buf *buf, PageNo page_no)
{
    return &buf->parking[hash_u64(page_no) % BUF__PARKING];
}

static void wake(struct buf *buf, PageNo page_no, _Atomic uint64_t *word)
{
    atomic_fetch_and(word, ~BUF__WAITERS);
    struct buf__parking *parking = parking_of(buf, page_no);
    atomic_fetch_add(&parking->word, 1);
    os_wake_word(&parking->word, INT32_MAX);
}

static inline bool is_free(uint64_t state, enum latch_mode mode)
{
    uint64_t latch = state & BUF__LATCH_MASK;
    return mode == LATCH_EXCLUSIVE ? latch == 0 : latch < BUF__SHARED_MAX;
}

static inline uint64_t latched(uint64_t state, enum latch_mode mode)
{
    return mode == LATCH_EXCLUSIVE ? state | BUF__EXCLUSIVE : state + 1;
}

static inline bool swap(_Atomic uint64_t *word, uint64_t *state, enum latch_mode mode)
{
    bool taken = atomic_compare_exchange_weak_explicit(word, state, latched(*state, mode), memory_order_acquire,
                                                       memory_order_relaxed);
    if (taken)
        FENCE(memory_order_release);    /* no change of contents is seen before the latch is */
    return taken;
}

/* Waits until the latch looks free, or for a while. */
static void wait_free(struct buf *buf, PageNo page_no, _Atomic uint64_t *word, enum latch_mode mode)
{
    for (int i = 0; i < LATCH_SPINS; i++) {
        if (is_free(atomic_load_explicit(word, memory_order_relaxed), mode))
            return;
        os_pause();
    }
    struct buf__parking *parking = parking_of(buf, page_no);
    uint32_t seen = atomic_load(&parking->word);
    uint64_t state = atomic_load(word);
    if (is_free(state, mode))
        return;
    if ((state & BUF__WAITERS) || atomic_compare_exchange_strong(word, &state, state | BUF__WAITERS))
        os_wait_word(&parking->word, seen, 0);
}

bool buf__try_latch(struct buf *buf, PageNo page_no, uint32_t frame, enum latch_mode mode)
{
    _Atomic uint64_t *word = buf__state(buf, page_no);
    uint64_t state = atomic_load_explicit(word, memory_order_relaxed);
    while (buf__frame_of(state) == frame && is_free(state, mode))
        if (swap(word, &state, mode))
            return true;
    return false;
}

/* Adds `delta` to the word while the latch is given up, and wakes those who wait for it. */
static inline void release(struct buf *buf, PageNo page_no, uint64_t delta, bool last)
{
    _Atomic uint64_t *word = buf__state(buf, page_no);
    uint64_t before = atomic_fetch_add_explicit(word, delta, memory_order_release);
    if ((before & BUF__WAITERS) && (last || (before & BUF__LATCH_MASK) == 1))
        wake(buf, page_no, word);
}

void buf__unlatch(struct buf *buf, PageNo page_no, enum latch_mode mode)
{
    if (mode == LATCH_EXCLUSIVE)
        release(buf, page_no, BUF__VERSION_ONE - BUF__EXCLUSIVE, true);
    else
        release(buf, page_no, UINT64_MAX, false);   /* less one holder */
}

void buf__unlatch_evicted(struct buf *buf, PageNo page_no, uint32_t frame)
{
    release(buf, page_no, BUF__VERSION_ONE - BUF__EXCLUSIVE - frame * BUF__FRAME_ONE, true);
}

int buf__ensure_states(struct op *op, struct buf *buf, PageNo page_count)
{
    uint64_t needed = (page_count + BUF__CHUNK_PAGES - 1) / BUF__CHUNK_PAGES;
    if (needed > BUF__CHUNKS)
        return op_fail(op, "54000", "a database cannot have more than %llu pages",
                       (unsigned long long)BUF__CHUNKS * BUF__CHUNK_PAGES);
    for (uint64_t i = needed; i-- > 0 && !atomic_load_explicit(&buf->chunks[i], memory_order_relaxed);) {
        _Atomic uint64_t *chunk = mem_calloc(BUF__CHUNK_PAGES, sizeof(*chunk));
        if (!chunk)
            return op_out_of_memory(op);
        atomic_store_explicit(&buf->chunks[i], chunk, memory_order_release);
    }
    return OP_OK;
}

void buf__spare_states(struct buf *buf, PageNo page_count)
{
    struct op op;
    op_init(&op);
    if (page_count + BUF__CHUNK_PAGES <= (PageNo)BUF__CHUNKS * BUF__CHUNK_PAGES)
        (void)!buf__ensure_states(&op, buf, page_count + BUF__CHUNK_PAGES);
    op_end(&op);
}

void buf__fence(struct buf *buf)
{
    for (uint32_t i = 0; i < buf->frame_count; i++) {
        PageNo page_no = atomic_load(&buf->frames[i].page_no);
        if (page_no == 0)
            continue;
        _Atomic uint64_t *word = buf__state(buf, page_no);
        uint64_t state = atomic_load(word);
        while ((state & BUF__LATCH_MASK) == BUF__EXCLUSIVE) {
            uint64_t now = atomic_load(word);
            if ((now ^ state) & ~BUF__WAITERS)
                break;
            os_sleep_us(BACKGROUND_WAIT_US);
        }
    }
}

/* ---- fixing --------------------------------------------------------------------------------------- */

static int damaged(struct op *op, struct buf *buf, PageNo page_no, const char *rule)
{
    op_fail(op, "XX001", "page %llu of \"%s\" is damaged: %s", (unsigned long long)page_no, buf->path, rule);
    return OP_FAILED;
}

/* Reads a page and looks for the rule that it breaks.  The caller has its exclusive latch. */
static int read_and_verify(struct op *op, struct buf *buf, PageNo page_no, uint8_t *data, const char **broken)
{
    size_t got;
    if (os_read(op, buf->file, page_no * buf->page_size, data, buf->page_size, &got))
        return OP_FAILED;
    memset(data + got, 0, buf->page_size - got);
    atomic_fetch_add_explicit(&buf->stat_reads, 1, memory_order_relaxed);
    const char *rule = page_verify(data, buf->page_size, page_no);
    if (!rule && !buf->restarting && get_u64(data + offsetof(struct page_head, lsn)) >= wal_end(buf->wal))
        rule = "its LSN lies beyond the end of the log";
    *broken = rule;
    return OP_OK;
}

static int read_page(struct op *op, struct buf *buf, PageNo page_no, uint8_t *data)
{
    const char *rule;
    if (read_and_verify(op, buf, page_no, data, &rule))
        return OP_FAILED;
    if (rule)
        return damaged(op, buf, page_no, rule);
    put_u64(data + offsetof(struct page_head, page_no), page_no);   /* a page never written is all zeros */
    return OP_OK;
}

int buf_read_cold(struct op *op, struct buf *buf, PageNo page_no, uint8_t *page, bool *cold, const char **rule)
{
    *cold = false;
    *rule = NULL;
    if (page_no == 0 || page_no >= buf_page_count(buf))
        return OP_OK;
    _Atomic uint64_t *word = buf__state(buf, page_no);
    uint64_t state = atomic_load_explicit(word, memory_order_relaxed);
    if (buf__frame_of(state) != 0 || !is_free(state, LATCH_EXCLUSIVE) || !swap(word, &state, LATCH_EXCLUSIVE))
        return OP_OK;
    int result = read_and_verify(op, buf, page_no, page, rule);
    buf__unlatch(buf, page_no, LATCH_EXCLUSIVE);
    *cold = result == OP_OK;
    return result;
}

static void fill_ref(struct buf *buf, struct page_ref *ref, PageNo page_no, uint64_t frame, enum latch_mode mode)
{
    ref->data = buf__frame_data(buf, frame);
    ref->page_no = page_no;
    ref->frame = (uint32_t)frame;
    ref->mode = mode;
    struct buf__frame *info = &buf->frames[frame - 1];
    if (!atomic_load_explicit(&info->used, memory_order_relaxed))
        atomic_store_explicit(&info->used, 1, memory_order_relaxed);
}

/* The page is not in memory and the caller has just latched its word exclusively: gets a frame and fills it. */
static int bring_in(struct op *op, struct buf *buf, PageNo page_no, bool fresh, enum latch_mode mode,
                    struct page_ref *ref)
{
    uint32_t frame;
    if (buf__take_frame(op, buf, &frame)) {
        buf__unlatch(buf, page_no, LATCH_EXCLUSIVE);
        return OP_FAILED;
    }
    uint8_t *data = buf__frame_data(buf, frame);
    if (!fresh && read_page(op, buf, page_no, data)) {
        buf__give_frame(buf, frame);
        buf__unlatch(buf, page_no, LATCH_EXCLUSIVE);
        return OP_FAILED;
    }
    atomic_store(&buf->frames[frame - 1].page_no, page_no);
    atomic_fetch_add_explicit(buf__state(buf, page_no), frame * BUF__FRAME_ONE, memory_order_release);
    if (mode == LATCH_SHARED)
        release(buf, page_no, BUF__VERSION_ONE - BUF__EXCLUSIVE + 1, true);
    fill_ref(buf, ref, page_no, frame, mode);
    return OP_OK;
}

static int fix(struct op *op, struct buf *buf, PageNo page_no, bool fresh, enum latch_mode mode, struct page_ref *ref)
{
    _Atomic uint64_t *word = buf__state(buf, page_no);
    uint64_t state = atomic_load_explicit(word, memory_order_relaxed);
    for (;;) {
        uint64_t frame = buf__frame_of(state);
        enum latch_mode wanted = frame != 0 ? mode : LATCH_EXCLUSIVE;
        if (!is_free(state, wanted)) {
            wait_free(buf, page_no, word, wanted);
            state = atomic_load_explicit(word, memory_order_relaxed);
        } else if (swap(word, &state, wanted)) {
            if (frame == 0)
                return bring_in(op, buf, page_no, fresh, mode, ref);
            fill_ref(buf, ref, page_no, frame, mode);
            return OP_OK;
        }
    }
}

static bool is_dirty(struct buf *buf, PageNo page_no)
{
    uint64_t frame = buf__frame_of(atomic_load_explicit(buf__state(buf, page_no), memory_order_relaxed));
    return frame != 0 && atomic_load_explicit(&buf->frames[frame - 1].recovery_lsn, memory_order_relaxed) != 0;
}

/* E3: before one more page may become dirty. */
static int keep_clean_frames(struct op *op, struct buf *buf, PageNo page_no)
{
    uint32_t found, written;
    if (atomic_load_explicit(&buf->dirty_count, memory_order_relaxed) < buf->dirty_max || is_dirty(buf, page_no) ||
        PLANTED("buf-cache-all-dirty"))
        return OP_OK;
    return buf__write_batch(op, buf, BUF__COLD, 0, &found, &written);
}

int buf_fix(struct op *op, struct buf *buf, PageNo page_no, enum latch_mode mode, struct page_ref *ref)
{
    ref->data = NULL;
    if (page_no == 0 || page_no >= buf_page_count(buf))
        return damaged(op, buf, page_no, "a reference leads there, but the file has no such page");
    if (mode == LATCH_EXCLUSIVE && keep_clean_frames(op, buf, page_no))
        return OP_FAILED;
    if (fix(op, buf, page_no, false, mode, ref))
        return OP_FAILED;
    RANK_ENTER(RANK_PAGE);
    return OP_OK;
}

void buf_try_fix(struct buf *buf, PageNo page_no, enum latch_mode mode, struct page_ref *ref, bool *taken)
{
    ref->data = NULL;
    *taken = false;
    if (page_no == 0 || page_no >= buf_page_count(buf))
        return;
    uint64_t frame = buf__frame_of(atomic_load_explicit(buf__state(buf, page_no), memory_order_relaxed));
    if (frame == 0 || !buf__try_latch(buf, page_no, (uint32_t)frame, mode))
        return;
    fill_ref(buf, ref, page_no, frame, mode);
    *taken = true;
    RANK_ENTER_TRIED(RANK_PAGE);
}

int buf_fix_new(struct op *op, struct buf *buf, PageNo page_no, struct page_ref *ref)
{
    ref->data = NULL;
    if (buf->restarting && page_no >= buf_page_count(buf) && buf_extend(op, buf, page_no + 1))
        return OP_FAILED;
    if (page_no == 0 || page_no >= buf_page_count(buf))
        return damaged(op, buf, page_no, "it is to be made, but the file has no such page");
    if (keep_clean_frames(op, buf, page_no))
        return OP_FAILED;
    if (fix(op, buf, page_no, true, LATCH_EXCLUSIVE, ref))
        return OP_FAILED;
    memset(ref->data, 0, buf->page_size);
    put_u64(ref->data + offsetof(struct page_head, page_no), page_no);
    RANK_ENTER(RANK_PAGE);
    return OP_OK;
}

void buf_unfix(struct page_ref *ref, struct buf *buf)
{
    if (!ref->data)
        return;
    ref->data = NULL;
    buf__unlatch(buf, ref->page_no, ref->mode);
    RANK_LEAVE(RANK_PAGE);
}

void buf_mark_dirty(struct buf *buf, struct page_ref *ref, Lsn lsn)
{
    assert(ref->data && ref->mode == LATCH_EXCLUSIVE && lsn != 0);
    struct buf__frame *frame = &buf->frames[ref->frame - 1];
    uint8_t *at = ref->data + offsetof(struct page_head, lsn);
    if (lsn > get_u64(at))
        put_u64(at, lsn);
    if (atomic_load_explicit(&frame->writing, memory_order_acquire)) {
        while (atomic_flag_test_and_set_explicit(&frame->guard, memory_order_acquire))
            os_pause();
        bool writing = atomic_load_explicit(&frame->writing, memory_order_relaxed);
        if (writing && frame->redirtied == 0)
            frame->redirtied = lsn;
        atomic_flag_clear_explicit(&frame->guard, memory_order_release);
        if (writing)
            return;
    }
    if (atomic_load_explicit(&frame->recovery_lsn, memory_order_relaxed) == 0) {
        atomic_store_explicit(&frame->recovery_lsn, lsn, memory_order_release);
        atomic_fetch_add_explicit(&buf->dirtied, 1, memory_order_relaxed);
        uint32_t dirty = atomic_fetch_add_explicit(&buf->dirty_count, 1, memory_order_relaxed) + 1;
        if (dirty > buf->frame_count / 2)
            buf__kick_writer(buf);
    }
}

void buf_prefetch(struct buf *buf, const PageNo *pages, size_t count)
{
    for (size_t i = 0; i < count;) {
        size_t n = 1;
        bool there = pages[i] < buf_page_count(buf) &&
                     buf__frame_of(atomic_load_explicit(buf__state(buf, pages[i]), memory_order_relaxed)) != 0;
        while (i + n < count && pages[i + n] == pages[i] + n)
            n++;
        if (!there || n > 1)
            os_prefetch(buf->file, pages[i] * buf->page_size, n * buf->page_size);
        i += n;
    }
}

/* ---- optimistic reading --------------------------------------------------------------------------- */

bool buf_peek(struct buf *buf, PageNo page_no, struct page_peek *peek)
{
    peek->data = NULL;
    if (page_no == 0 || page_no >= buf_page_count(buf))
        return false;
    uint64_t state = atomic_load_explicit(buf__state(buf, page_no), memory_order_acquire);
    uint64_t frame = buf__frame_of(state);
    if (frame == 0 || (state & BUF__LATCH_MASK) == BUF__EXCLUSIVE)
        return false;
    if (PEEK_LATCHES) {
        if (!buf__try_latch(buf, page_no, (uint32_t)frame, LATCH_SHARED))
            return false;
        RANK_ENTER_TRIED(RANK_PAGE);
    }
    peek->data = buf__frame_data(buf, frame);
    peek->page_no = page_no;
    peek->state = state & ~(BUF__LATCH_MASK | BUF__WAITERS);
    struct buf__frame *info = &buf->frames[frame - 1];
    if (!atomic_load_explicit(&info->used, memory_order_relaxed))
        atomic_store_explicit(&info->used, 1, memory_order_relaxed);
    return true;
}

bool buf_validate(struct buf *buf, const struct page_peek *peek)
{
    if (PEEK_LATCHES)
        return true;
    FENCE(memory_order_acquire);
    uint64_t state = atomic_load_explicit(buf__state(buf, peek->page_no), memory_order_relaxed);
    return (state & BUF__LATCH_MASK) != BUF__EXCLUSIVE && (state & ~(BUF__LATCH_MASK | BUF__WAITERS)) == peek->state;
}

void buf_peek_end(struct buf *buf, struct page_peek *peek)
{
    if (PEEK_LATCHES && peek->data) {
        buf__unlatch(buf, peek->page_no, LATCH_SHARED);
        RANK_LEAVE(RANK_PAGE);
    }
    peek->data = NULL;
}
