/*
 * segments.c -- the ring of segments in the log file.
 *
 * The file is a row of equal slots, and any slot may hold any segment: its head says which.  A checkpoint
 * frees the slots whose segments restart no longer needs; the writer takes a free slot each time it steps over
 * a segment boundary.  So the file stops growing once checkpoints keep up, and a commit overwrites blocks that
 * exist: its sync writes data and no metadata.
 *
 * S1  A slot is zero-written and synced before it is first used.
 * S2  A slot is reused only after the checkpoint that made its segment needless is durable in the database file.
 * S3  capacity = end of the newest segment + what free slots hold; wal_reserve keeps `end` plus all
 *     reservations below it.
 * S4  An epoch begins with a segment of its own, whose head tells where the epoch before ended.
 */
#include "wal/wal_int.h"

#include <string.h>

#include "src/base/hash.h"
#include "src/base/mem.h"

enum { ZERO_BYTES = 256 * 1024 };

uint32_t wal__seed(const struct wal_identity *identity, uint64_t epoch)
{
    uint32_t crc = crc32c(0, identity->database_id, sizeof(identity->database_id));
    crc = crc32c(crc, &identity->log_id, sizeof(identity->log_id));
    return crc32c(crc, &epoch, sizeof(epoch));
}

uint64_t wal__slot_offset(const struct wal *wal, size_t slot)
{
    return WAL__BLOCK + (uint64_t)slot * wal->options.segment_size;
}

/* Under segments_latch. */
static bool find_slot(const struct wal *wal, uint64_t number, size_t *slot)
{
    for (size_t i = 0; i < wal->slot_count; i++)
        if (wal->slots[i].number == number) {
            *slot = i;
            return true;
        }
    return false;
}

bool wal__locate(struct wal *wal, Lsn lsn, uint64_t *offset, uint64_t *epoch)
{
    size_t slot;
    os_mutex_lock(&wal->segments_latch);
    bool found = find_slot(wal, lsn / wal->payload, &slot);
    if (found) {
        *offset = wal__slot_offset(wal, slot) + WAL__BLOCK + lsn % wal->payload;
        *epoch = wal->slots[slot].epoch;
    }
    os_mutex_unlock(&wal->segments_latch);
    return found;
}

size_t wal__slots_allowed(const struct wal *wal)
{
    return (size_t)((wal->options.max_wal_size - WAL__BLOCK) / wal->options.segment_size);
}

void wal__update_capacity(struct wal *wal)
{
    size_t used = wal->slot_count - wal->free_count, allowed = wal__slots_allowed(wal);
    atomic_store(&wal->capacity, (wal->newest + 1 + wal->free_count) * wal->payload);
    atomic_store(&wal->ceiling, (wal->newest + 1 + (allowed > used ? allowed - used : 0)) * wal->payload);
}

void wal__fill_segment_head(uint8_t *block, uint64_t log_id, const struct wal__slot *slot)
{
    struct wal__segment_head head = {
        .magic = WAL__SEGMENT_MAGIC, .log_id = log_id, .number = slot->number, .epoch = slot->epoch,
        .epoch_start = slot->epoch_start, .previous_end = slot->previous_end,
    };
    head.crc = crc32c(0, &head.log_id, sizeof(head) - offsetof(struct wal__segment_head, log_id));
    memcpy(block, &head, sizeof(head));
}

static int write_head(struct op *op, struct wal *wal, size_t index, const struct wal__slot *slot)
{
    uint8_t block[WAL__BLOCK] __attribute__((aligned(8))) = {0};
    wal__fill_segment_head(block, wal->identity.log_id, slot);
    return os_write(op, wal->file, wal__slot_offset(wal, index), block, sizeof(block));
}

/* Takes a free slot for the segment; the lowest, so that the file's tail becomes free. */
static bool take_slot(struct wal *wal, uint64_t number, size_t *index, struct wal__slot *slot)
{
    os_mutex_lock(&wal->segments_latch);
    bool found = find_slot(wal, number, index) || (wal->free_count > 0 && find_slot(wal, 0, index));
    if (found) {
        struct wal__slot *taken = &wal->slots[*index];
        if (taken->number == 0)
            wal->free_count--;
        taken->number = number;
        taken->epoch = wal->epoch;
        taken->epoch_start = wal->epoch_start;
        taken->previous_end = wal->previous_end;
        if (number > wal->newest)
            wal->newest = number;
        wal__update_capacity(wal);
        *slot = *taken;
    }
    os_mutex_unlock(&wal->segments_latch);
    return found;
}

int wal__open_segment(struct op *op, struct wal *wal, uint64_t number)
{
    size_t index = 0;
    struct wal__slot slot = {0};
    while (!take_slot(wal, number, &index, &slot))
        if (wal__grow(op, wal, SIZE_MAX, atomic_load(&wal->capacity)))
            return OP_FAILED;
    wal__archive_wake(wal);     /* the one before is full */
    return write_head(op, wal, index, &slot);
}

int wal__add_slot(struct op *op, struct wal *wal, const struct wal__slot *slot)
{
    if (wal->slot_count == wal->slot_capacity) {
        size_t capacity = wal->slot_capacity ? 2 * wal->slot_capacity : 16;
        struct wal__slot *slots = mem_realloc(wal->slots, capacity * sizeof(*slots));
        if (!slots)
            return op_out_of_memory(op);
        wal->slots = slots;
        wal->slot_capacity = capacity;
    }
    wal->slots[wal->slot_count++] = *slot;
    if (slot->number == 0)
        wal->free_count++;
    wal__update_capacity(wal);
    return OP_OK;
}

int wal__write_zeros(struct op *op, struct wal *wal, uint64_t offset)
{
    uint32_t step = wal->options.segment_size < ZERO_BYTES ? wal->options.segment_size : ZERO_BYTES;
    void *zeros = mem_calloc(1, step);
    if (!zeros)
        return op_out_of_memory(op);
    int result = OP_OK;
    for (uint64_t done = 0; result == OP_OK && done < wal->options.segment_size; done += step)
        result = os_write(op, wal->file, offset + done, zeros, step);
    mem_free(zeros);
    return result;
}

/* Makes one slot at the end of the file (S1). */
static int prepare_slot(struct op *op, struct wal *wal, uint64_t offset)
{
    if (wal__write_zeros(op, wal, offset))
        return OP_FAILED;
    if (os_sync(op, wal->file)) {
        wal__break(wal, op->error.message);
        return OP_FAILED;
    }
    return OP_OK;
}

int wal__grow(struct op *op, struct wal *wal, size_t most, uint64_t seen)
{
    os_mutex_lock(&wal->segments_latch);
    if (wal->slot_count >= most || atomic_load(&wal->capacity) != seen) {
        os_mutex_unlock(&wal->segments_latch);
        return OP_OK;
    }
    if (wal->growing) {
        while (wal->growing)
            os_cond_wait(&wal->grown, &wal->segments_latch, 0);
        os_mutex_unlock(&wal->segments_latch);
        return OP_OK;       /* the caller looks again whether that was enough */
    }
    wal->growing = true;
    uint64_t offset = wal__slot_offset(wal, wal->slot_count);
    os_mutex_unlock(&wal->segments_latch);

    int result = prepare_slot(op, wal, offset);

    os_mutex_lock(&wal->segments_latch);
    if (result == OP_OK)
        result = wal__add_slot(op, wal, &(struct wal__slot){0});
    wal->growing = false;
    os_cond_broadcast(&wal->grown);
    os_mutex_unlock(&wal->segments_latch);
    return result;
}

/* Under segments_latch: takes free slots at the end out of the ring while the file is larger than asked for.
 * True when the file is to be cut; then nobody else may grow it meanwhile. */
static bool shrink(struct wal *wal)
{
    size_t wanted = wal__slots_allowed(wal), before = wal->slot_count;
    while (!wal->growing && wal->slot_count > wanted && wal->slot_count > 2 &&
           wal->slots[wal->slot_count - 1].number == 0) {
        uint64_t left = (wal->newest + wal->free_count) * wal->payload;
        if (wal_end(wal) + atomic_load(&wal->reserved) + atomic_load(&wal->promised) + 2 * wal->payload > left)
            break;
        wal->slot_count--;
        wal->free_count--;
        wal__update_capacity(wal);
    }
    wal->growing = wal->growing || wal->slot_count < before;
    return wal->slot_count < before;
}

static void cut_file(struct wal *wal)
{
    struct op op;
    op_init(&op);
    if (os_truncate(&op, wal->file, wal_file_size(wal)))
        op_clear_error(&op);    /* the space stays taken until the log is removed; nothing depends on it */
    op_end(&op);
    os_mutex_lock(&wal->segments_latch);
    wal->growing = false;
    os_cond_broadcast(&wal->grown);
    os_mutex_unlock(&wal->segments_latch);
}

void wal_release(struct wal *wal, Lsn oldest)
{
    os_mutex_lock(&wal->segments_latch);
    if (oldest > atomic_load(&wal->released))
        atomic_store(&wal->released, oldest);
    uint64_t first_needed = wal__first_held(wal, oldest / wal->payload);
    for (size_t i = 0; i < wal->slot_count; i++) {
        struct wal__slot *slot = &wal->slots[i];
        if (slot->number != 0 && slot->number < first_needed && slot->number < wal->newest) {
            *slot = (struct wal__slot){0};
            wal->free_count++;
        }
    }
    atomic_store(&wal->pinned, first_needed < atomic_load(&wal->redo) / wal->payload);
    wal__update_capacity(wal);
    bool cut = shrink(wal);
    os_mutex_unlock(&wal->segments_latch);
    wal__wake_waiters(wal);
    if (cut)
        cut_file(wal);
}

uint32_t wal_buffer_size(const struct wal *wal)
{
    return wal->options.buffer_size;
}

uint64_t wal_room(const struct wal *wal)
{
    return wal__slots_allowed(wal) * wal->payload;
}


uint64_t wal_file_size(const struct wal *wal)
{
    struct wal *mutable = (struct wal *)wal;
    os_mutex_lock(&mutable->segments_latch);
    uint64_t size = wal__slot_offset(wal, wal->slot_count);
    os_mutex_unlock(&mutable->segments_latch);
    return size;
}
