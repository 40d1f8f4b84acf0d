/*
 * stream.c -- copying the log while it is written.
 *
 * The ring reuses a segment as soon as restart can do without it.  A backup and the archive need it a little longer, so they hold
 * it: a hold is a position, and no segment at or behind the lowest of them is freed (segments.c asks wal__first_held).
 *
 * What is below the durable end never changes any more; the block in which that end lies is written again, but repeats its durable
 * bytes exactly (F3).  So a copy needs no latch but to find the place.
 *
 * H1  A slot whose segment lies at or behind a hold is not freed.
 * H2  A bounded hold that would make the log larger than max_wal_size allows is given up, and says so: a backup that nobody
 *     carries on must not fill the disk.
 */
#include "wal/wal_stream.h"

#include "src/base/mem.h"
#include "wal/wal_int.h"

/* ---- holding -------------------------------------------------------------------------------------- */

void wal_hold(struct wal *wal, struct wal_hold *hold, Lsn from, bool bounded)
{
    os_mutex_lock(&wal->segments_latch);
    *hold = (struct wal_hold){.from = from, .bounded = bounded, .next = wal->holds};
    wal->holds = hold;
    os_mutex_unlock(&wal->segments_latch);
}

void wal_hold_move(struct wal *wal, struct wal_hold *hold, Lsn from)
{
    os_mutex_lock(&wal->segments_latch);
    if (from > hold->from)
        hold->from = from;
    os_mutex_unlock(&wal->segments_latch);
}

bool wal_hold_lost(struct wal *wal, const struct wal_hold *hold)
{
    os_mutex_lock(&wal->segments_latch);
    bool lost = hold->lost;
    os_mutex_unlock(&wal->segments_latch);
    return lost;
}

void wal_hold_end(struct wal *wal, struct wal_hold *hold)
{
    os_mutex_lock(&wal->segments_latch);
    for (struct wal_hold **link = &wal->holds; *link; link = &(*link)->next)
        if (*link == hold) {
            *link = hold->next;
            break;
        }
    os_mutex_unlock(&wal->segments_latch);
}

uint64_t wal__first_held(struct wal *wal, uint64_t first_needed)
{
    for (struct wal_hold *hold = wal->holds; hold; hold = hold->next) {
        if (hold->lost || hold->from / wal->payload >= first_needed)
            continue;
        if (hold->bounded && (wal->newest - hold->from / wal->payload) * wal->options.segment_size > wal->options.max_wal_size &&
            hold->from != 0)
            hold->lost = true;
        else
            first_needed = hold->from / wal->payload;
    }
    return first_needed;
}

uint64_t wal_segment_payload(uint32_t segment_size)
{
    return segment_size - WAL__BLOCK;
}

/* ---- reading -------------------------------------------------------------------------------------- */

static const struct wal__slot *slot_of(const struct wal *wal, uint64_t number)
{
    for (size_t i = 0; number != 0 && i < wal->slot_count; i++)
        if (wal->slots[i].number == number)
            return &wal->slots[i];
    return NULL;
}

/* The first segment of the epoch that follows `epoch`. */
static const struct wal__slot *next_epoch(const struct wal *wal, uint64_t epoch)
{
    const struct wal__slot *next = NULL;
    for (size_t i = 0; i < wal->slot_count; i++) {
        const struct wal__slot *slot = &wal->slots[i];
        if (slot->number != 0 && slot->epoch > epoch && slot->epoch_start == slot->number * wal->payload &&
            (!next || slot->epoch < next->epoch))
            next = slot;
    }
    return next;
}

static void describe(const struct wal *wal, const struct wal__slot *slot, Lsn from, Lsn to, struct wal_piece *piece)
{
    *piece = (struct wal_piece){.log_id = wal->identity.log_id, .segment_size = wal->options.segment_size,
                                .number = slot->number, .epoch = slot->epoch, .epoch_start = slot->epoch_start,
                                .previous_end = slot->previous_end, .from = from, .to = to};
}

/* Under segments_latch.  False when the log has no such place. */
static bool find_piece(const struct wal *wal, Lsn from, Lsn durable, struct wal_piece *piece)
{
    for (;;) {
        const struct wal__slot *slot = slot_of(wal, from / wal->payload);
        if (!slot) {
            /* The end of an epoch, or of all there is, may lie exactly where a segment would begin. */
            for (size_t i = 0; i < wal->slot_count && !slot; i++)
                if (wal->slots[i].number != 0 && wal->slots[i].previous_end == from &&
                    wal->slots[i].epoch_start == wal->slots[i].number * wal->payload)
                    slot = &wal->slots[i];
            if (!slot) {
                *piece = (struct wal_piece){.log_id = wal->identity.log_id, .segment_size = wal->options.segment_size,
                                            .number = from / wal->payload, .from = from, .to = from};
                return from == durable;
            }
            from = slot->epoch_start;
        }
        Lsn boundary = (slot->number + 1) * wal->payload;
        const struct wal__slot *later = slot->epoch < wal->epoch ? next_epoch(wal, slot->epoch) : NULL;
        Lsn end = later ? later->previous_end : durable;
        if (from < end || !later) {
            describe(wal, slot, from, end < boundary ? end : boundary, piece);
            return from <= end;
        }
        if (from > end)
            return false;
        from = later->epoch_start;
    }
}

int wal_stream_next(struct op *op, struct wal *wal, Lsn from, struct wal_piece *piece)
{
    Lsn durable = wal_durable_end(wal);
    os_mutex_lock(&wal->segments_latch);
    bool found = find_piece(wal, from, durable, piece);
    os_mutex_unlock(&wal->segments_latch);
    if (found)
        return OP_OK;
    *piece = (struct wal_piece){0};
    return op_fail(op, "58P01", "the log no longer has %llX", (unsigned long long)from);
}

int wal_stream_read(struct op *op, struct wal *wal, const struct wal_piece *piece, Lsn from, void *to, size_t len)
{
    uint64_t offset, epoch;
    size_t got = 0;
    assert(from >= piece->from && from + len <= piece->to);
    if (!wal__locate(wal, from, &offset, &epoch) || epoch != piece->epoch)
        return op_fail(op, "58P01", "the log no longer has %llX", (unsigned long long)from);
    if (os_read(op, wal->file, offset, to, len, &got))
        return OP_FAILED;
    if (got < len)
        return op_fail(op, "XX001", "the log is cut short at %llX", (unsigned long long)(from + got));
    return OP_OK;
}
