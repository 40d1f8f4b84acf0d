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
        /* A checkpoint reads them from another thread, and moves `first`, once it is set, when it carries the records (carry.c). */
        if (__atomic_load_n(&chain->first, __ATOMIC_RELAXED) == 0)
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
