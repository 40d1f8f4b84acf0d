/*
 * append.c -- putting records into the log buffer.
 *
 * The buffer is circular and addressed by LSN, so that appending is: take the latch, take the next position, copy,
 * release.  Two things are kept out of the latch: the checksum of everything but the LSN, and all waiting.
 *
 *      buffer:    ... | durable | written, not synced | appended, not written | free ...
 *                               ^ written             ^ end                   ^ limit
 *
 * `limit` is one buffer size beyond the *block* that `written` lies in: that block will be written once more
 * when it fills up, and must then repeat its durable bytes exactly, so they stay in the buffer.
 *
 * A1  Under append_latch, [base, filled) less what is older than one buffer size is intact in the buffer.
 * A2  When the log is broken, positions go on (callers cannot fail any more) but nothing is copied; no page
 *     whose LSN lies beyond the durable end ever reaches the disk, so what was lost was never seen.
 */
#include "wal/wal_int.h"

#include <string.h>

#include "src/base/hash.h"
#include "src/base/planted.h"

enum { SLACK_BYTES = 65536 };

/* A record on its way into the buffer. */
struct pending {
    uint8_t head[WAL__HEAD_MAX];
    uint32_t head_len;
    uint32_t len;               /* head and payload */
    uint32_t crc;               /* over everything but the LSN */
    const struct bytes *parts;
    int part_count;
};

uint32_t wal__record_crc(uint32_t seed, const uint8_t *record, uint32_t len, Lsn lsn)
{
    uint32_t crc = crc32c(seed, record, 4);
    crc = crc32c(crc, record + 8, len - 8);
    return crc32c(crc, &lsn, sizeof(lsn));
}

static void prepare(const struct wal *wal, struct pending *rec, const struct wal_chain *chain, uint8_t type,
                    uint8_t flags, Lsn undo_next, const struct bytes *parts, int part_count)
{
    uint64_t payload = 0;
    for (int i = 0; i < part_count; i++)
        payload += parts[i].len;
    assert(payload <= WAL_RECORD_MAX_BYTES);

    rec->parts = parts;
    rec->part_count = part_count;
    rec->head_len = WAL__HEAD_SYSTEM;
    if (chain) {
        flags |= WAL__HAS_TXN;
        put_u64(rec->head + 12, chain->txn);
        put_u64(rec->head + 20, chain->last);
        rec->head_len = WAL__HEAD_TXN;
    }
    if (flags & WAL_CLR) {
        put_u64(rec->head + WAL__HEAD_TXN, undo_next);
        rec->head_len = WAL__HEAD_CLR;
    }
    rec->len = rec->head_len + (uint32_t)payload;
    put_u32(rec->head, rec->len);
    rec->head[8] = type;
    rec->head[9] = flags;
    put_u16(rec->head + 10, 0);
    uint32_t crc = crc32c(wal->seed, rec->head, 4);
    crc = crc32c(crc, rec->head + 8, rec->head_len - 8);
    for (int i = 0; i < part_count; i++)
        if (parts[i].len > 0)
            crc = crc32c(crc, parts[i].data, parts[i].len);
    rec->crc = crc;
}

static Lsn copy_in(struct wal *wal, Lsn at, const void *data, size_t len)
{
    if (len == 0)
        return at;
    uint64_t size = wal->options.buffer_size, place = at & (size - 1);
    size_t first = len < size - place ? len : size - place;
    memcpy(wal->buffer + place, data, first);
    if (first < len)
        memcpy(wal->buffer, (const uint8_t *)data + first, len - first);
    return at + len;
}

static void copy_record(struct wal *wal, struct pending *rec, Lsn lsn)
{
    static const uint8_t zeros[8];
    put_u32(rec->head + 4, crc32c(rec->crc, &lsn, sizeof(lsn)));
    Lsn at = copy_in(wal, lsn, rec->head, rec->head_len);
    for (int i = 0; i < rec->part_count; i++)
        at = copy_in(wal, at, rec->parts[i].data, rec->parts[i].len);
    copy_in(wal, at, zeros, wal__align(rec->len) - rec->len);
}

/* A short critical section on few cores: a moment of spinning is cheaper than sleeping in the kernel. */
static void lock_append(struct wal *wal)
{
    for (int i = 0; i < 64; i++) {
        if (os_mutex_try_lock(&wal->append_latch))
            return;
        os_pause();
    }
    os_mutex_lock(&wal->append_latch);
}

static Lsn append(struct wal *wal, struct wal_chain *chain, struct pending *rec, void (*ordered)(void *arg, Lsn lsn),
                  void *arg)
{
    assert(wal->started);
    uint64_t size = wal__align(rec->len);
    assert(size <= wal->options.buffer_size / 2);

    lock_append(wal);
    Lsn lsn;
    bool broken;
    for (;;) {
        lsn = atomic_load_explicit(&wal->end, memory_order_relaxed);
        broken = atomic_load(&wal->broken);
        if (broken || lsn + size <= atomic_load_explicit(&wal->limit, memory_order_acquire))
            break;
        os_mutex_unlock(&wal->append_latch);
        wal__make_room(wal);
        lock_append(wal);
    }
    if (!broken) {
        copy_record(wal, rec, lsn);
        atomic_store_explicit(&wal->filled, lsn + size, memory_order_relaxed);
    }
    atomic_store_explicit(&wal->end, lsn + size, memory_order_release);
    if (chain) {
        /* A checkpoint reads them from another thread. */
        if (chain->first == 0)
            __atomic_store_n(&chain->first, lsn, __ATOMIC_RELEASE);
        __atomic_store_n(&chain->last, lsn, __ATOMIC_RELEASE);
        __atomic_store_n(&chain->written, chain->written + size, __ATOMIC_RELAXED);
        if (rec->head[9] & WAL_UNDOABLE)
            __atomic_store_n(&chain->undoable, chain->undoable + size, __ATOMIC_RELAXED);
    }
    if (ordered)
        ordered(arg, lsn);
    os_mutex_unlock(&wal->append_latch);
    if (atomic_load(&wal->idle))    /* seen after `end` was stored: the unlock between is a full barrier */
        wal__wake_background(wal);
    return lsn;
}

Lsn wal_append(struct wal *wal, struct wal_chain *chain, uint8_t type, uint8_t flags, const struct bytes *parts,
               int part_count)
{
    struct pending rec;
    prepare(wal, &rec, chain, type, flags & WAL_UNDOABLE, 0, parts, part_count);
    return append(wal, chain, &rec, NULL, NULL);
}

Lsn wal_append_clr(struct wal *wal, struct wal_chain *chain, uint8_t type, Lsn undo_next, const struct bytes *parts,
                   int part_count)
{
    struct pending rec;
    prepare(wal, &rec, chain, type, WAL_CLR, undo_next, parts, part_count);
    return append(wal, chain, &rec, NULL, NULL);
}

Lsn wal_append_ordered(struct wal *wal, struct wal_chain *chain, uint8_t type, const struct bytes *parts,
                       int part_count, void (*ordered)(void *arg, Lsn lsn), void *arg)
{
    struct pending rec;
    prepare(wal, &rec, chain, type, 0, 0, parts, part_count);
    return append(wal, chain, &rec, ordered, arg);
}

void wal__append_mark(struct wal *wal, Lsn durable)
{
    Lsn lsn = atomic_load_explicit(&wal->end, memory_order_relaxed);
    if (atomic_load(&wal->broken) || lsn + WAL__MARK_BYTES > atomic_load_explicit(&wal->limit, memory_order_acquire))
        return;
    struct bytes part = {(const uint8_t *)&durable, sizeof(durable)};
    struct pending rec;
    prepare(wal, &rec, NULL, WAL_FLUSH_MARK, 0, 0, &part, 1);
    copy_record(wal, &rec, lsn);
    wal->marked = durable;
    atomic_store_explicit(&wal->filled, lsn + WAL__MARK_BYTES, memory_order_relaxed);
    atomic_store_explicit(&wal->end, lsn + WAL__MARK_BYTES, memory_order_release);
}

/* undo: what is promised to undo is there for the taking. */
static int reserve(struct op *op, struct wal *wal, uint64_t bytes, uint64_t slack, bool undo)
{
    if (atomic_load(&wal->broken))
        return wal__fail_broken(op, wal);
    atomic_fetch_add(&wal->reserved, bytes);
    for (;;) {
        uint64_t wanted = wal_end(wal) + atomic_load(&wal->reserved) + slack;
        if (!undo)
            wanted += atomic_load(&wal->promised);
        uint64_t capacity = atomic_load(&wal->capacity);
        if (wanted <= capacity)
            return OP_OK;
        if (wal__grow(op, wal, SIZE_MAX, capacity)) {
            atomic_fetch_sub(&wal->reserved, bytes);
            return OP_FAILED;
        }
    }
}

int wal__reserve(struct op *op, struct wal *wal, uint64_t bytes, uint64_t slack)
{
    return reserve(op, wal, bytes, slack, false);
}

/* With two slots, a checkpoint can always make this room. */
uint64_t wal__slack(const struct wal *wal)
{
    uint64_t half = wal->payload / 2;
    return half < SLACK_BYTES ? half : SLACK_BYTES;
}

/*
 * A checkpoint begins when the log since the redo point takes three eighths of max_wal_size.  Should changes be made faster than pages
 * are written, they wait at two thirds; what is left is for carried records, preallocation, and the rounding of segments.
 * Nobody waits for a checkpoint that does not come: one that fails says so (wal_give_up).
 */
static bool is_ahead(const struct wal *wal)
{
    Lsn redo = atomic_load_explicit(&wal->redo, memory_order_relaxed);
    return wal_end(wal) - redo > wal_room(wal) / 3 * 2 && redo != atomic_load(&wal->stuck);
}

void wal_give_up(struct wal *wal)
{
    atomic_store(&wal->stuck, atomic_load(&wal->redo));
    atomic_fetch_add(&wal->redo_word, 1);
    os_wake_word(&wal->redo_word, INT32_MAX);
}

static void await_checkpoint(struct wal *wal)
{
    const uint64_t longest_ns = UINT64_C(20000000000), look_ns = 10000000;
    uint64_t now = os_clock_ns(), deadline = now + longest_ns;
    while (is_ahead(wal) && !atomic_load(&wal->broken)) {
        uint32_t seen = atomic_load(&wal->redo_word);
        if (!is_ahead(wal))
            return;
        if (now >= deadline) {
            wal_give_up(wal);
            return;
        }
        wal->hurry(wal->hurry_arg);
        os_wait_word(&wal->redo_word, seen, now + look_ns);
        now = os_clock_ns();
    }
}

void wal_pace(struct wal *wal, void (*hurry)(void *arg), void *arg)
{
    wal->hurry = hurry;
    wal->hurry_arg = arg;
}

void wal_set_redo(struct wal *wal, Lsn redo)
{
    atomic_store(&wal->redo, redo);
    atomic_fetch_add(&wal->redo_word, 1);
    os_wake_word(&wal->redo_word, INT32_MAX);
}

int wal_reserve(struct op *op, struct wal *wal, uint64_t bytes)
{
    if (wal__archive_check(op, wal))
        return OP_FAILED;
    if (wal->hurry && is_ahead(wal))
        await_checkpoint(wal);
    return wal__reserve(op, wal, bytes, wal__slack(wal));
}

int wal_reserve_undo(struct op *op, struct wal *wal, uint64_t bytes)
{
    return reserve(op, wal, bytes, wal__slack(wal) / 2, true);
}

void wal_unreserve(struct wal *wal, uint64_t bytes)
{
    uint64_t before = atomic_fetch_sub(&wal->reserved, bytes);
    assert(before >= bytes);
    (void)before;
}

void wal_promise(struct wal *wal, struct wal_chain *chain, uint64_t bytes)
{
    if (PLANTED("wal-undo-unreserved"))
        return;
    chain->promised += bytes;
    atomic_fetch_add(&wal->promised, bytes);
}

bool wal_redeem(struct wal *wal, struct wal_chain *chain, uint64_t bytes)
{
    if (chain->promised < bytes)
        return false;
    chain->promised -= bytes;
    atomic_fetch_add(&wal->reserved, bytes);    /* first, so that nobody finds the room free in between */
    atomic_fetch_sub(&wal->promised, bytes);
    return true;
}

void wal_forget_promises(struct wal *wal, struct wal_chain *chain)
{
    atomic_fetch_sub(&wal->promised, chain->promised);
    chain->promised = 0;
}

Lsn wal_settled_end(struct wal *wal)
{
    os_mutex_lock(&wal->append_latch);
    Lsn end = atomic_load(&wal->end);
    os_mutex_unlock(&wal->append_latch);
    return end;
}

Lsn wal_end(const struct wal *wal)
{
    return atomic_load_explicit(&wal->end, memory_order_acquire);
}
