/*
 * read.c -- reading records back: one by its LSN (rollback), or all in order (restart, views).
 *
 * A reader walks the stream through a window.  At a position where no valid record begins there are three
 * cases: the epoch ended here and a later one goes on in a segment of its own (its head says so); this is the
 * tail of the log; or a record is damaged.  Telling the last two apart needs a proof that more was once
 * durable here: flush marks further on.
 *
 * D1  Nothing of a record is believed before its checksum, seeded with epoch and LSN, agrees.
 */
#include "wal/wal_int.h"

#include <string.h>

#include "src/base/mem.h"
#include "src/base/planted.h"

enum {
    WINDOW_STEP = 256 * 1024,
    RECORD_BYTES_MAX = WAL_RECORD_MAX_BYTES + WAL__HEAD_MAX,
    WALK_WINDOW = 256 * 1024,
    WINDOW_BEFORE = WALK_WINDOW - 32 * 1024,
    WALK_ALONE = 4,             /* records that a walk reads singly before it takes to windows */
};

bool wal__decode(const uint8_t *bytes, uint32_t len, Lsn lsn, struct wal_record *record)
{
    uint8_t flags = bytes[9];
    uint32_t head = WAL__HEAD_SYSTEM;
    if (flags & WAL__HAS_TXN)
        head = WAL__HEAD_TXN;
    if (flags & WAL_CLR)
        head = WAL__HEAD_CLR;
    if (len < head || ((flags & WAL_CLR) && !(flags & WAL__HAS_TXN)))
        return false;
    *record = (struct wal_record){
        .lsn = lsn, .next_lsn = lsn + wal__align(len), .type = bytes[8], .flags = flags & (WAL_UNDOABLE | WAL_CLR),
        .txn = flags & WAL__HAS_TXN ? get_u64(bytes + 12) : 0,
        .prev = flags & WAL__HAS_TXN ? get_u64(bytes + 20) : 0,
        .undo_next = flags & WAL_CLR ? get_u64(bytes + WAL__HEAD_TXN) : 0,
        .payload = {bytes + head, len - head},
    };
    /* A link that does not point backwards could be followed for ever. */
    return record->prev < lsn && record->undo_next < lsn;
}

/* ---- one record ----------------------------------------------------------------------------------- */

/* Copies from the buffer if all of [lsn, lsn + len) is there. */
static bool read_buffer(struct wal *wal, Lsn lsn, void *to, size_t len)
{
    uint64_t size = wal->options.buffer_size;
    os_mutex_lock(&wal->append_latch);
    Lsn filled = atomic_load(&wal->filled);
    bool there = wal->started && lsn >= wal->base && lsn + len <= filled && lsn + size >= filled;
    if (there) {
        size_t place = lsn & (size - 1), first = len < size - place ? len : size - place;
        memcpy(to, wal->buffer + place, first);
        memcpy((uint8_t *)to + first, wal->buffer, len - first);
    }
    os_mutex_unlock(&wal->append_latch);
    return there;
}

/* Reads stream bytes from the file; *got is short where the segment's successor is missing or of another epoch. */
static int read_file(struct op *op, struct wal *wal, Lsn lsn, void *to, size_t len, uint64_t epoch, size_t *got)
{
    *got = 0;
    while (*got < len) {
        Lsn at = lsn + *got, boundary = (at / wal->payload + 1) * wal->payload;
        uint64_t offset, found_epoch;
        if (!wal__locate(wal, at, &offset, &found_epoch) || found_epoch != epoch)
            return OP_OK;
        size_t piece = len - *got < boundary - at ? len - *got : boundary - at, read;
        if (os_read(op, wal->file, offset, (uint8_t *)to + *got, piece, &read))
            return OP_FAILED;
        *got += read;
        if (read < piece)
            return OP_OK;
    }
    return OP_OK;
}

static int damaged(struct op *op, Lsn lsn, const char *rule)
{
    op_fail(op, "XX001", "log record %llX is damaged", (unsigned long long)lsn);
    op_detail(op, "%s", rule);
    return OP_FAILED;
}

static int read_bytes(struct op *op, struct wal *wal, Lsn lsn, void *to, size_t len)
{
    if (read_buffer(wal, lsn, to, len))
        return OP_OK;
    uint64_t offset, epoch;
    size_t got;
    if (lsn + len > atomic_load(&wal->written) && atomic_load(&wal->broken))
        return wal__fail_broken(op, wal);
    if (!wal__locate(wal, lsn, &offset, &epoch))
        return damaged(op, lsn, "The segment that held it is gone.");
    if (read_file(op, wal, lsn, to, len, epoch, &got))
        return OP_FAILED;
    return got == len ? OP_OK : damaged(op, lsn, "It reaches beyond the end of the log.");
}

/* Checks the bytes of a whole record and takes it apart. */
static int verify(struct op *op, struct wal *wal, Lsn lsn, const uint8_t *bytes, uint32_t len, struct wal_record *record)
{
    uint64_t offset, epoch = wal->epoch;
    if (lsn < wal->base && !wal__locate(wal, lsn, &offset, &epoch))
        return damaged(op, lsn, "The segment that held it is gone.");
    uint32_t seed = epoch == wal->epoch ? wal->seed : wal__seed(&wal->identity, epoch);
    if (wal__record_crc(seed, bytes, len, lsn) != get_u32(bytes + 4))
        return damaged(op, lsn, "Its checksum is wrong.");
    if (!wal__decode(bytes, len, lsn, record))
        return damaged(op, lsn, "Its links are wrong.");
    return OP_OK;
}

int wal_read(struct op *op, struct wal *wal, Lsn lsn, struct arena *arena, struct wal_record *record)
{
    *record = (struct wal_record){0};
    uint8_t start[4];
    if (read_bytes(op, wal, lsn, start, sizeof(start)))
        return OP_FAILED;
    uint32_t len = get_u32(start);
    if (len < WAL__HEAD_SYSTEM || len > RECORD_BYTES_MAX)
        return damaged(op, lsn, "Its length is impossible.");
    uint8_t *bytes = op_arena_alloc(op, arena, len);
    if (!bytes || read_bytes(op, wal, lsn, bytes, len))
        return OP_FAILED;
    return verify(op, wal, lsn, bytes, len, record);
}

/* ---- many records, newest first ------------------------------------------------------------------- */

/* Tells the disk what is wanted next: the operating system reads ahead, but not backwards. */
static void foresee_before(struct wal *wal, Lsn low)
{
    enum { FORESEEN = 8 * WALK_WINDOW };
    Lsn segment, from;
    uint64_t offset, epoch;
    if (low == 0)
        return;
    segment = (low - 1) / wal->payload * wal->payload;
    from = low - segment > FORESEEN ? low - FORESEEN : segment;
    if (wal__locate(wal, from, &offset, &epoch))
        os_prefetch(wal->file, offset, low - from);
}

/* Reads what lies around lsn, more of it before than behind, within one segment.  A window is for speed: without memory for
 * it, records are read one by one. */
static int move_window(struct op *op, struct wal_walk *walk, Lsn lsn)
{
    struct wal *wal = walk->wal;
    Lsn segment = lsn / wal->payload * wal->payload, written = atomic_load(&wal->written);
    Lsn low = lsn > segment + WINDOW_BEFORE ? lsn - WINDOW_BEFORE : segment;
    Lsn high = low + WALK_WINDOW < segment + wal->payload ? low + WALK_WINDOW : segment + wal->payload;
    uint64_t offset, epoch;
    size_t got;
    walk->low = walk->high = 0;
    if (!walk->window)
        walk->window = mem_alloc(WALK_WINDOW);
    if (high > written)
        high = written;
    if (!walk->window || high <= lsn || !wal__locate(wal, low, &offset, &epoch))
        return OP_OK;
    if (read_file(op, wal, low, walk->window, high - low, epoch, &got))
        return OP_FAILED;
    walk->low = low;
    walk->high = low + got;
    foresee_before(wal, low);
    return OP_OK;
}

static bool in_window(const struct wal_walk *walk, Lsn lsn, uint32_t *len)
{
    if (lsn < walk->low || lsn + WAL__HEAD_SYSTEM > walk->high)
        return false;
    *len = get_u32(walk->window + (lsn - walk->low));
    return *len >= WAL__HEAD_SYSTEM && *len <= walk->high - lsn;
}

int wal__read_near(struct op *op, struct wal_walk *walk, Lsn lsn, struct arena *arena, struct wal_record *record)
{
    struct wal *wal = walk->wal;
    uint32_t len;
    if (lsn >= wal->base && lsn + wal->options.buffer_size / 2 >= wal_end(wal))
        return wal_read(op, wal, lsn, arena, record);
    if (!in_window(walk, lsn, &len)) {
        if (++walk->misses > WALK_ALONE && move_window(op, walk, lsn))
            return OP_FAILED;
        if (!in_window(walk, lsn, &len))
            return wal_read(op, wal, lsn, arena, record);
    }
    uint8_t *bytes = op_arena_alloc(op, arena, len);
    if (!bytes)
        return OP_FAILED;
    memcpy(bytes, walk->window + (lsn - walk->low), len);
    return verify(op, wal, lsn, bytes, len, record);
}

/* ---- all records in order ------------------------------------------------------------------------- */

int wal__reader_open(struct op *op, struct wal *wal, Lsn from, struct wal__reader *reader)
{
    *reader = (struct wal__reader){.wal = wal, .pos = from, .low = from, .high = from};
    uint64_t offset;
    if (!wal__locate(wal, from, &offset, &reader->epoch))
        return damaged(op, from, "Restart needs it, and no segment of the log holds it.");
    reader->seed = wal__seed(&wal->identity, reader->epoch);
    return OP_OK;
}

void wal__reader_close(struct wal__reader *reader)
{
    mem_free(reader->window);
    reader->window = NULL;
}

/* Tries to have `len` bytes from pos in the window; *there is false when the epoch's stream ends before. */
static int fill_window(struct op *op, struct wal__reader *reader, size_t len, bool *there)
{
    *there = reader->pos + len <= reader->high;
    if (*there)
        return OP_OK;
    size_t kept = reader->high - reader->pos, wanted = len + WINDOW_STEP;
    if (wanted > reader->window_size) {
        uint8_t *window = mem_alloc(wanted);
        if (!window)
            return op_out_of_memory(op);
        if (kept > 0)
            memcpy(window, reader->window + (reader->pos - reader->low), kept);
        mem_free(reader->window);
        reader->window = window;
        reader->window_size = wanted;
    } else if (kept > 0) {
        memmove(reader->window, reader->window + (reader->pos - reader->low), kept);
    }
    reader->low = reader->pos;
    size_t got;
    if (read_file(op, reader->wal, reader->high, reader->window + kept, wanted - kept, reader->epoch, &got))
        return OP_FAILED;
    reader->high += got;
    *there = reader->pos + len <= reader->high;
    return OP_OK;
}

/* Is there a valid record at pos, in this epoch? */
static int try_record(struct op *op, struct wal__reader *reader, struct wal_record *record, bool *found)
{
    *found = false;
    bool there;
    if (fill_window(op, reader, WAL__HEAD_SYSTEM, &there))
        return OP_FAILED;
    if (!there)
        return OP_OK;
    uint32_t len = get_u32(reader->window + (reader->pos - reader->low));
    if (len < WAL__HEAD_SYSTEM || len > RECORD_BYTES_MAX)
        return OP_OK;
    if (fill_window(op, reader, wal__align(len), &there))   /* padding too: pos must not leave the window */
        return OP_FAILED;
    if (!there)
        return OP_OK;
    const uint8_t *bytes = reader->window + (reader->pos - reader->low);
    Lsn seeded = PLANTED("wal-accept-stale") ? 0 : reader->pos;
    if (seeded != 0 && wal__record_crc(reader->seed, bytes, len, seeded) != get_u32(bytes + 4))
        return OP_OK;
    *found = wal__decode(bytes, len, reader->pos, record);
    return OP_OK;
}

/* Does a later epoch go on after pos?  Then moves there. */
static bool next_epoch(struct wal__reader *reader)
{
    struct wal *wal = reader->wal;
    bool found = false;
    os_mutex_lock(&wal->segments_latch);
    for (size_t i = 0; i < wal->slot_count; i++) {
        const struct wal__slot *slot = &wal->slots[i];
        if (slot->number == 0 || slot->epoch <= reader->epoch || slot->previous_end != reader->pos ||
            slot->epoch_start != slot->number * wal->payload)
            continue;
        reader->epoch = slot->epoch;
        reader->pos = reader->low = reader->high = slot->epoch_start;
        found = true;
        break;
    }
    os_mutex_unlock(&wal->segments_latch);
    if (found)
        reader->seed = wal__seed(&wal->identity, reader->epoch);
    return found;
}

int wal__reader_next(struct op *op, struct wal__reader *reader, struct wal_record *record, bool *found)
{
    do {
        if (try_record(op, reader, record, found))
            return OP_FAILED;
        if (*found) {
            reader->pos = record->next_lsn;
            return OP_OK;
        }
    } while (next_epoch(reader));
    return OP_OK;
}

/* Looks at every mark from reader->pos to where the stream breaks off. */
static int scan_marks(struct op *op, struct wal__reader *reader, Lsn *proven)
{
    for (;; reader->pos += 8) {
        bool there;
        Lsn at = reader->pos;
        if (fill_window(op, reader, WAL__MARK_BYTES, &there))
            return OP_FAILED;
        if (!there)
            return OP_OK;
        const uint8_t *bytes = reader->window + (at - reader->low);
        uint32_t len = WAL__HEAD_SYSTEM + 8;
        if (get_u32(bytes) != len || bytes[8] != WAL_FLUSH_MARK)
            continue;
        if (wal__record_crc(reader->seed, bytes, len, at) != get_u32(bytes + 4))
            continue;
        Lsn durable = get_u64(bytes + WAL__HEAD_SYSTEM);
        if (durable > *proven)
            *proven = durable;
    }
}

/* The first segment above this one that the epoch has; 0: none. */
static uint64_t next_segment(struct wal *wal, uint64_t epoch, uint64_t above)
{
    uint64_t next = 0;
    os_mutex_lock(&wal->segments_latch);
    for (size_t i = 0; i < wal->slot_count; i++) {
        const struct wal__slot *slot = &wal->slots[i];
        if (slot->number > above && slot->epoch == epoch && (next == 0 || slot->number < next))
            next = slot->number;
    }
    os_mutex_unlock(&wal->segments_latch);
    return next;
}

/* A later epoch was begun where the log had been read to, and synced; and its first segment before the others. */
static void prove_by_epochs(struct wal *wal, uint64_t epoch, Lsn *proven)
{
    for (size_t i = 0; i < wal->slot_count; i++) {
        const struct wal__slot *slot = &wal->slots[i];
        Lsn begun = slot->number * wal->payload == slot->epoch_start ? slot->previous_end : slot->epoch_start;
        if (slot->number != 0 && slot->epoch > epoch && begun > *proven)
            *proven = begun;
    }
}

/* Segments may be missing in between: what lies behind them proves as much. */
int wal__reader_find_proof(struct op *op, struct wal__reader *reader, Lsn *proven)
{
    struct wal *wal = reader->wal;
    Lsn stop = reader->pos;
    prove_by_epochs(wal, reader->epoch, proven);
    for (uint64_t number = stop / wal->payload; number != 0; number = next_segment(wal, reader->epoch, number)) {
        if (number * wal->payload > reader->pos)
            reader->pos = reader->low = reader->high = number * wal->payload;
        if (scan_marks(op, reader, proven))
            return OP_FAILED;
        if (reader->pos / wal->payload > number)
            number = (reader->pos - 1) / wal->payload;
    }
    reader->pos = reader->low = reader->high = stop;
    return OP_OK;
}

int wal_scan(struct op *op, struct wal *wal, Lsn from,
             int (*visit)(void *arg, struct op *op, const struct wal_record *record, bool *stop), void *arg)
{
    struct wal__reader reader;
    int result = wal_flush(op, wal, wal_end(wal) - 1);
    if (result || wal__reader_open(op, wal, from, &reader))
        return OP_FAILED;
    bool found = true, stop = false;
    while (result == OP_OK && found && !stop) {
        struct wal_record record;
        result = wal__reader_next(op, &reader, &record, &found);
        if (result == OP_OK && found)
            result = visit(arg, op, &record, &stop);
    }
    wal__reader_close(&reader);
    return result;
}
