/*
 * flush.c -- making the log durable: group commit by a leader.
 *
 * A sync costs as much as a hundred appends, so those who commit at the same time should share one.  The
 * thread that finds no other at work leads: it writes everything appended so far and syncs it for all who
 * wait.  Nobody else is involved: no thread is woken to do the work, none hands it over.  Who comes while a
 * flush is under way waits for the next one.
 *
 *      round 1   A leads:  |write|------- sync --------|
 *      round 2                                          B leads:  |write|------- sync --------|
 *                                C, D append here, and wait for round 2, which takes them along
 *
 * Writes are strictly one after the other, because two rounds may share a block and the fuller one must land
 * last.  Up to WAL__OVERLAP syncs may be in flight, and rounds become durable in order, after their own sync
 * and all before it have succeeded: the kernel reports a failed write-back to one sync only, not to its
 * neighbours.  Measured with small commits, one at a time is best from four threads on (16 threads: 61,000 to
 * 65,000 a second against 40,000 to 50,000 with two): the second write waits anyway, while the block that both
 * share is being written back, and smaller rounds mean more syncs and more wake-ups.
 *
 * F1  durable <= written <= end; durable is the end of a round, thus a record boundary.
 * F2  A round is announced after it and every round before it was synced.
 * F3  A writer writes whole blocks; what was durable in the first one is repeated from the buffer exactly
 *     (append.c keeps it), what lies beyond the end in the last one is zero.
 * F4  After a failed write or sync no round is announced any more; nothing is retried [RPAA20].
 *
 * Sleepers wait on the word of the round that will carry their record.  Whoever frees a place for a new round
 * wakes one sleeper of the next round, which then leads, unless a running thread came first.
 */
#include "wal/wal_int.h"

#include <stdio.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/planted.h"

enum { SPIN_ROUNDS = 100 };

/* ---- broken log ----------------------------------------------------------------------------------- */

static void wake_all_rounds(struct wal *wal)
{
    for (int i = 0; i < WAL__ROUNDS; i++) {
        atomic_fetch_add(&wal->rounds[i].word, 1);
        os_wake_word(&wal->rounds[i].word, INT32_MAX);
    }
    os_cond_broadcast(&wal->write_free);
}

void wal__break(struct wal *wal, const char *message)
{
    os_mutex_lock(&wal->flush_latch);
    if (!atomic_load(&wal->broken)) {
        snprintf(wal->broken_message, sizeof(wal->broken_message), "%s", message ? message : "unknown error");
        atomic_store(&wal->broken, true);
        wake_all_rounds(wal);
    }
    os_mutex_unlock(&wal->flush_latch);
}

void wal_break(struct wal *wal, const struct op *cause)
{
    wal__break(wal, cause->error.message);
}

bool wal_is_broken(const struct wal *wal)
{
    return atomic_load(&wal->broken);
}

int wal__fail_broken(struct op *op, struct wal *wal)
{
    op_fail(op, "58030", "the log cannot be written any more");
    op_detail(op, "The first cause was: %s", wal->broken_message);
    op_hint(op, "Close the database and open it again; what was committed is not lost.");
    return OP_FAILED;
}

/* ---- writing -------------------------------------------------------------------------------------- */

/* Copies stream bytes of the buffer; the caller knows that they are there and stay. */
static void copy_out(const struct wal *wal, Lsn from, size_t len, uint8_t *to)
{
    uint64_t size = wal->options.buffer_size, place = from & (size - 1);
    size_t first = len < size - place ? len : size - place;
    memcpy(to, wal->buffer + place, first);
    if (first < len)
        memcpy(to + first, wal->buffer, len - first);
}

/* Copies [from, end) to the bounce buffer, fills the last block with zeros, and writes it at `offset`. */
static int write_bounced(struct op *op, struct wal *wal, Lsn from, Lsn end, uint64_t offset)
{
    size_t len = end - from, padded = (len + WAL__BLOCK - 1) & ~(size_t)(WAL__BLOCK - 1);
    copy_out(wal, from, len, wal->bounce);
    memset(wal->bounce + len, 0, padded - len);
    return os_write(op, wal->file, offset, wal->bounce, padded);
}

/* Writes [from, end), which lies in one segment and begins at a block. */
static int write_in_segment(struct op *op, struct wal *wal, Lsn from, Lsn end)
{
    uint64_t offset, epoch;
    if (!wal__locate(wal, from, &offset, &epoch)) {
        if (wal__open_segment(op, wal, from / wal->payload))
            return OP_FAILED;
        if (!wal__locate(wal, from, &offset, &epoch))
            return op_fail(op, "XX000", "log segment %llu has no slot", (unsigned long long)(from / wal->payload));
    }
    if (end - from <= WAL__BOUNCE_BYTES)
        return write_bounced(op, wal, from, end, offset);
    Lsn body = wal__block_floor(end);
    while (from < body) {
        uint64_t size = wal->options.buffer_size, place = from & (size - 1);
        size_t len = body - from < size - place ? body - from : size - place;
        if (os_write(op, wal->file, offset, wal->buffer + place, len))
            return OP_FAILED;
        from += len;
        offset += len;
    }
    return body < end ? write_bounced(op, wal, body, end, offset) : OP_OK;
}

/* Writes everything up to `end`.  The caller has `writing`. */
static int write_out(struct op *op, struct wal *wal, Lsn end)
{
    Lsn written = atomic_load(&wal->written);
    if (end == written)
        return OP_OK;
    Lsn from = wal__block_floor(written);
    while (from < end) {
        Lsn boundary = (from / wal->payload + 1) * wal->payload;
        Lsn to = end < boundary ? end : boundary;
        if (write_in_segment(op, wal, from, to))
            return OP_FAILED;
        from = to;
    }
    atomic_store(&wal->written, end);
    atomic_store_explicit(&wal->limit, wal__block_floor(end) + wal->options.buffer_size, memory_order_release);
    return OP_OK;
}

/* Under flush_latch: nobody writes any more; let the next ones have a look. */
static void end_writing(struct wal *wal)
{
    wal->writing = false;
    if (wal->write_waiters > 0)
        os_cond_broadcast(&wal->write_free);
}

/* Under flush_latch: the word on which one sleeper of the next round is to be woken, or NULL. */
static _Atomic uint32_t *call_one(struct wal *wal)
{
    struct wal__round *next = &wal->rounds[wal->next_round % WAL__ROUNDS];
    if (atomic_load(&next->sleepers) == 0)
        return NULL;
    atomic_fetch_add(&next->word, 1);
    return &next->word;
}

/* Outside the latch, so that who wakes does not run into it. */
static void wake_one(_Atomic uint32_t *word)
{
    if (word)
        os_wake_word(word, 1);
}

void wal__make_room(struct wal *wal)
{
    os_mutex_lock(&wal->flush_latch);
    wal->write_waiters++;
    while (wal->writing && !atomic_load(&wal->broken))
        os_cond_wait(&wal->write_free, &wal->flush_latch, 0);
    wal->write_waiters--;
    if (atomic_load(&wal->broken)) {
        os_mutex_unlock(&wal->flush_latch);
        return;
    }
    wal->writing = true;
    os_mutex_unlock(&wal->flush_latch);

    struct op op;
    op_init(&op);
    os_mutex_lock(&wal->append_latch);
    Lsn end = atomic_load(&wal->filled);
    os_mutex_unlock(&wal->append_latch);
    if (write_out(&op, wal, end))
        wal__break(wal, op.error.message);
    arena_free(&op.arena);      /* not op_end, which wants no latch held: the caller may have pages latched */

    os_mutex_lock(&wal->flush_latch);
    end_writing(wal);
    _Atomic uint32_t *word = call_one(wal);
    os_mutex_unlock(&wal->flush_latch);
    wake_one(word);
}

/* ---- leading -------------------------------------------------------------------------------------- */

/* What a round takes with it: everything appended so far, closed by a mark of what is durable now (R4). */
static Lsn take_all(struct wal *wal)
{
    os_mutex_lock(&wal->append_latch);
    Lsn durable = atomic_load(&wal->durable);
    if (durable > wal->marked && atomic_load(&wal->filled) > atomic_load(&wal->written))
        wal__append_mark(wal, durable);
    Lsn end = atomic_load(&wal->filled);
    os_mutex_unlock(&wal->append_latch);
    return end;
}

/* Under flush_latch: announces every round at the front that has been synced, in order (F2).  Returns how
 * many; their sleepers are to be woken. */
static uint64_t announce(struct wal *wal)
{
    uint64_t before = wal->first_round;
    while (wal->first_round < wal->next_round && wal->rounds[wal->first_round % WAL__ROUNDS].synced) {
        struct wal__round *round = &wal->rounds[wal->first_round % WAL__ROUNDS];
        atomic_store(&wal->durable, round->end);
        round->synced = false;
        wal->first_round++;
        atomic_fetch_add(&round->word, 1);
    }
    return wal->first_round - before;
}

/* Writes everything appended so far and enters it as a round in flight.  Called with flush_latch held and
 * `writing` free, returns without the latch. */
static struct wal__round *write_round(struct op *op, struct wal *wal)
{
    wal->writing = true;
    os_mutex_unlock(&wal->flush_latch);
    Lsn end = take_all(wal);
    if (write_out(op, wal, end)) {
        wal__break(wal, op->error.message);
        return NULL;
    }
    os_mutex_lock(&wal->flush_latch);
    struct wal__round *round = &wal->rounds[wal->next_round++ % WAL__ROUNDS];
    round->end = end;
    round->synced = false;
    end_writing(wal);
    _Atomic uint32_t *word = wal->next_round - wal->first_round < WAL__OVERLAP ? call_one(wal) : NULL;
    os_mutex_unlock(&wal->flush_latch);
    wake_one(word);
    return round;
}

/* Leads one round.  Called with flush_latch held and `writing` free, returns without the latch. */
static void lead(struct op *op, struct wal *wal)
{
    struct wal__round *round = write_round(op, wal);
    if (!round)
        return;
    if (!PLANTED("wal-skip-sync") && os_sync(op, wal->file)) {
        wal__break(wal, op->error.message);
        return;
    }
    os_mutex_lock(&wal->flush_latch);
    uint64_t first = wal->first_round, announced = 0;
    if (!atomic_load(&wal->broken)) {
        round->synced = true;
        announced = announce(wal);
    }
    _Atomic uint32_t *word = call_one(wal);
    os_mutex_unlock(&wal->flush_latch);
    for (uint64_t i = first; i < first + announced; i++)
        if (atomic_load(&wal->rounds[i % WAL__ROUNDS].sleepers) > 0)
            os_wake_word(&wal->rounds[i % WAL__ROUNDS].word, INT32_MAX);
    wake_one(word);
}

/* Sleeps until the round that carries (or will carry) lsn is over or somebody else should look.  Called with
 * flush_latch held, returns without. */
static void sleep_for(struct wal *wal, Lsn lsn)
{
    uint64_t number = wal->next_round;
    if (atomic_load(&wal->written) > lsn)
        for (number = wal->first_round; number < wal->next_round; number++)
            if (wal->rounds[number % WAL__ROUNDS].end > lsn)
                break;
    struct wal__round *round = &wal->rounds[number % WAL__ROUNDS];
    uint32_t seen = atomic_load(&round->word);
    atomic_fetch_add(&round->sleepers, 1);
    os_mutex_unlock(&wal->flush_latch);
    for (int i = 0; i < SPIN_ROUNDS && atomic_load_explicit(&round->word, memory_order_acquire) == seen; i++)
        os_pause();
    if (atomic_load(&round->word) == seen)
        os_wait_word(&round->word, seen, 0);
    atomic_fetch_sub(&round->sleepers, 1);
}

/* Does a round in flight carry the record at lsn? */
static bool is_carried(struct wal *wal, Lsn lsn)
{
    return wal->first_round < wal->next_round && wal->rounds[(wal->next_round - 1) % WAL__ROUNDS].end > lsn;
}

int wal_flush(struct op *op, struct wal *wal, Lsn lsn)
{
    if (wal_durable_end(wal) > lsn)
        return OP_OK;
    assert(lsn < wal_end(wal));
    while (atomic_load(&wal->durable) <= lsn && !atomic_load(&wal->broken)) {
        os_mutex_lock(&wal->flush_latch);
        if (atomic_load(&wal->durable) > lsn || atomic_load(&wal->broken))
            os_mutex_unlock(&wal->flush_latch);
        else if (!wal->writing && wal->next_round - wal->first_round < WAL__OVERLAP && !is_carried(wal, lsn))
            lead(op, wal);
        else
            sleep_for(wal, lsn);
    }
    return atomic_load(&wal->durable) > lsn ? OP_OK : wal__fail_broken(op, wal);
}

Lsn wal_durable_end(const struct wal *wal)
{
    return atomic_load_explicit(&wal->durable, memory_order_acquire);
}

/* ---- background ----------------------------------------------------------------------------------- */

void wal__wake_background(struct wal *wal)
{
    if (atomic_exchange(&wal->idle, false)) {
        atomic_fetch_add(&wal->thread_word, 1);
        os_wake_word(&wal->thread_word, 1);
    }
}

/* Nothing to flush: sleeps until somebody appends. */
static void sleep_idle(struct wal *wal)
{
    uint32_t seen = atomic_load(&wal->thread_word);
    atomic_store(&wal->idle, true);     /* pairs with the look at `idle` after an append */
    if (atomic_load(&wal->end) == atomic_load(&wal->durable) && !atomic_load(&wal->stop))
        os_wait_word(&wal->thread_word, seen, 0);
    atomic_store(&wal->idle, false);
}

/* Prepares segments ahead, so that no committing thread has to. A full disk shows when one has to after all. */
static void grow_ahead(struct op *op, struct wal *wal)
{
    uint64_t ahead = wal->payload;
    while (!atomic_load(&wal->stop) &&
           wal_end(wal) + atomic_load(&wal->reserved) + atomic_load(&wal->promised) + ahead > atomic_load(&wal->capacity) &&
           wal_file_size(wal) + wal->options.segment_size <= wal->options.max_wal_size) {
        if (wal__grow(op, wal, wal__slots_allowed(wal), atomic_load(&wal->capacity)))
            break;
    }
}

/* The thread for those who do not wait: flushes what is older than the delay. */
static void background(void *arg)
{
    struct wal *wal = arg;
    struct op op;
    op_init(&op);
    while (!atomic_load(&wal->stop) && !atomic_load(&wal->broken)) {
        Lsn end = wal_end(wal);
        if (end == wal_durable_end(wal)) {
            sleep_idle(wal);
            continue;
        }
        uint32_t seen = atomic_load(&wal->thread_word);
        uint64_t deadline = os_clock_ns() + wal->options.flush_delay_us * 1000;
        while (!atomic_load(&wal->stop) && os_clock_ns() < deadline)
            os_wait_word(&wal->thread_word, seen, deadline);
        int failed = wal_flush(&op, wal, end - 1);
        if (!failed)
            grow_ahead(&op, wal);
        op_reset(&op);
    }
    op_end(&op);
}

int wal_start_background(struct op *op, struct wal *wal)
{
    if (wal__archive_start(op, wal))
        return OP_FAILED;
    return os_thread_start(op, background, wal, "isolde-wal", &wal->thread);
}

static void stop_background(struct wal *wal)
{
    if (!wal->thread)
        return;
    atomic_store(&wal->stop, true);
    atomic_fetch_add(&wal->thread_word, 1);
    os_wake_word(&wal->thread_word, 1);
    os_thread_join(wal->thread);
    wal->thread = NULL;
}

int wal_close(struct op *op, struct wal *wal)
{
    int result = OP_OK;
    if (wal->started && wal_end(wal) > wal_durable_end(wal))
        result = wal_flush(op, wal, wal_end(wal) - 1);
    wal_abandon(wal);
    return result;
}

void wal_abandon(struct wal *wal)
{
    if (!wal)
        return;
    wal__archive_close(wal);
    stop_background(wal);
    os_close(wal->file);
    os_mutex_destroy(&wal->carry_latch);
    os_mutex_destroy(&wal->append_latch);
    os_mutex_destroy(&wal->flush_latch);
    os_mutex_destroy(&wal->segments_latch);
    os_cond_destroy(&wal->write_free);
    os_cond_destroy(&wal->grown);
    os_cond_destroy(&wal->carry_done);
    mem_free(wal->buffer);
    mem_free(wal->bounce);
    mem_free(wal->slots);
    mem_free(wal->path);
    mem_free(wal);
}
