/*
 * compose.c -- a log file put together from pieces, for restart to read.
 *
 * A backup brings its own piece of log along, and recovery adds what was archived since.  Made into an ordinary log file, restart
 * replays them with the code that replays a crash; there is no second reader of log records.
 *
 * Segments take slots in the order in which they come.  What no piece fills is zero, and ends the log there.
 */
#include <string.h>

#include "src/base/hash.h"
#include "src/base/mem.h"
#include "wal/wal_int.h"
#include "wal/wal_stream.h"

struct wal_composer {
    struct os_file *file;
    uint64_t log_id;
    uint32_t segment_size;
    uint64_t slots;             /* begun so far */
    uint64_t number, epoch;     /* of the newest one */
};

void wal__fill_file_head(uint8_t *block, const struct wal_identity *identity, uint32_t segment_size)
{
    struct wal__file_head head = {.magic = WAL__FILE_MAGIC, .format = WAL__FORMAT, .segment_size = segment_size,
                                  .log_id = identity->log_id};
    memcpy(head.database_id, identity->database_id, sizeof(head.database_id));
    head.crc = crc32c(0, &head, offsetof(struct wal__file_head, crc));
    memcpy(block, &head, sizeof(head));
}

int wal_compose(struct op *op, struct vfs *vfs, const char *path, const struct wal_identity *identity, uint32_t segment_size,
                struct wal_composer **out)
{
    uint8_t block[WAL__BLOCK] __attribute__((aligned(8))) = {0};
    struct wal_composer *composer = mem_calloc(1, sizeof(*composer));
    *out = NULL;
    if (!composer)
        return op_out_of_memory(op);
    composer->log_id = identity->log_id;
    composer->segment_size = segment_size;
    wal__fill_file_head(block, identity, segment_size);
    if (os_remove(op, vfs, path) || os_open(op, vfs, path, OS_OPEN_CREATE | OS_OPEN_EXCLUSIVE, &composer->file) ||
        os_write(op, composer->file, 0, block, sizeof(block))) {
        wal_compose_abandon(composer);
        return OP_FAILED;
    }
    *out = composer;
    return OP_OK;
}

static uint64_t slot_offset(const struct wal_composer *composer, uint64_t slot)
{
    return WAL__BLOCK + slot * composer->segment_size;
}

int wal_compose_resume(struct op *op, struct vfs *vfs, const char *path, struct wal_composer **out)
{
    struct wal__file_head head = {0};
    struct wal__segment_head last = {0};
    uint64_t size;
    size_t got, got_last;
    struct wal_composer *composer = mem_calloc(1, sizeof(*composer));
    *out = NULL;
    if (!composer)
        return op_out_of_memory(op);
    int result = os_open(op, vfs, path, 0, &composer->file);
    if (result == OP_OK)
        result = os_read(op, composer->file, 0, &head, sizeof(head), &got);
    if (result == OP_OK)
        result = os_size(op, composer->file, &size);
    if (result == OP_OK && (got < sizeof(head) || head.segment_size < WAL__SEGMENT_MIN || size < WAL__BLOCK + head.segment_size))
        result = op_fail(op, "XX001", "\"%s\" is no log, or an empty one", path);
    if (result == OP_OK) {
        composer->log_id = head.log_id;
        composer->segment_size = head.segment_size;
        composer->slots = (size - WAL__BLOCK) / head.segment_size;
        result = os_read(op, composer->file, slot_offset(composer, composer->slots - 1), &last, sizeof(last), &got_last);
    }
    if (result) {
        wal_compose_abandon(composer);
        return OP_FAILED;
    }
    composer->number = last.number;
    composer->epoch = last.epoch;
    *out = composer;
    return OP_OK;
}

/* Zeros from the cut on: what lies behind it in its segment, and the heads of the segments that follow. */
int wal_compose_cut(struct op *op, struct wal_composer *composer, Lsn cut)
{
    static const uint8_t zeros[WAL__BLOCK];
    uint64_t payload = composer->segment_size - WAL__BLOCK;
    for (uint64_t slot = 0; slot < composer->slots; slot++) {
        struct wal__segment_head head;
        size_t got;
        if (os_read(op, composer->file, slot_offset(composer, slot), &head, sizeof(head), &got))
            return OP_FAILED;
        Lsn begin = head.number * payload, from = begin;
        if (begin + payload <= cut)
            continue;
        if (begin >= cut && os_write(op, composer->file, slot_offset(composer, slot), zeros, WAL__BLOCK))
            return OP_FAILED;
        if (cut > begin)
            from = cut;
        while (from < begin + payload) {
            size_t len = begin + payload - from < WAL__BLOCK ? begin + payload - from : WAL__BLOCK;
            if (os_write(op, composer->file, slot_offset(composer, slot) + WAL__BLOCK + (from - begin), zeros, len))
                return OP_FAILED;
            from += len;
        }
    }
    return OP_OK;
}

static int begin_slot(struct op *op, struct wal_composer *composer, const struct wal_piece *piece)
{
    uint8_t block[WAL__BLOCK] __attribute__((aligned(8))) = {0};
    struct wal__slot slot = {piece->number, piece->epoch, piece->epoch_start, piece->previous_end};
    wal__fill_segment_head(block, composer->log_id, &slot);
    composer->number = piece->number;
    composer->epoch = piece->epoch;
    composer->slots++;
    return os_write(op, composer->file, slot_offset(composer, composer->slots - 1), block, sizeof(block));
}

int wal_compose_put(struct op *op, struct wal_composer *composer, const struct wal_piece *piece, Lsn from, const void *bytes,
                    size_t len)
{
    uint64_t payload = composer->segment_size - WAL__BLOCK;
    if (piece->log_id != composer->log_id || piece->segment_size != composer->segment_size || piece->number == 0 ||
        from < piece->number * payload || from + len > (piece->number + 1) * payload || piece->number < composer->number)
        return op_fail(op, "XX001", "a piece of log does not belong where it is put: %llX", (unsigned long long)from);
    if ((composer->slots == 0 || piece->number != composer->number || piece->epoch != composer->epoch) &&
        begin_slot(op, composer, piece))
        return OP_FAILED;
    return os_write(op, composer->file, slot_offset(composer, composer->slots - 1) + WAL__BLOCK + from % payload, bytes, len);
}

int wal_compose_end(struct op *op, struct wal_composer *composer)
{
    int result = os_truncate(op, composer->file, slot_offset(composer, composer->slots));
    if (result == OP_OK)
        result = os_sync(op, composer->file);
    wal_compose_abandon(composer);
    return result;
}

void wal_compose_abandon(struct wal_composer *composer)
{
    if (!composer)
        return;
    os_close(composer->file);
    mem_free(composer);
}
