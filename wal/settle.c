/*
 * settle.c -- what restart reads must be what the disk holds.
 *
 * After a failed sync the kernel calls the pages of its cache clean, whether they reached the disk or not: they can be
 * read, and no later sync writes them.  So a process that is started again after such a failure may read the record of
 * a commit, show its rows, acknowledge commits that build on it; and the power fails, and the record was never there.
 * Syncing the file first (R1) does not help: only writing the same bytes again does.
 *
 * What was durable once needs no writing, and how far that goes is told by the proofs in the log itself, flush marks and
 * the slot of the database file.  They are true even if they are not durable themselves.  So:
 *
 *      slot's proof               last proof            end
 *           |---- only looked through ----|-- written again --| X
 *
 * together with the heads of all segments, one block each.  As a flush mark follows every flush of some size, what is
 * written again is about as much as one flush.
 *
 * Bytes are repeated as they are, in whole sectors, so a power cut during this leaves what was there or what would be.
 */
#include "wal/wal_int.h"

#include "src/base/mem.h"

enum { PIECE_BYTES = 65536 };

/* Writes what can be read there once more. */
static int repeat(struct op *op, struct wal *wal, uint8_t *piece, uint64_t offset, uint64_t len)
{
    while (len > 0) {
        size_t part = len < PIECE_BYTES ? len : PIECE_BYTES, got;
        if (os_read(op, wal->file, offset, piece, part, &got) || os_write(op, wal->file, offset, piece, got))
            return OP_FAILED;
        if (got < part)
            return OP_OK;
        offset += part;
        len -= part;
    }
    return OP_OK;
}

/* Follows the records from `from` to where none begins, and raises *proven to what they prove. */
static int look_through(struct op *op, struct wal *wal, Lsn from, Lsn *proven, Lsn *end)
{
    struct wal__reader reader;
    struct wal_record record;
    bool found = true;
    if (wal__reader_open(op, wal, from, &reader))
        return OP_FAILED;
    int result = OP_OK;
    while (result == OP_OK && found) {
        result = wal__reader_next(op, &reader, &record, &found);
        if (result == OP_OK && found && record.type == WAL_FLUSH_MARK && record.payload.len == 8 &&
            get_u64(record.payload.data) > *proven)
            *proven = get_u64(record.payload.data);
    }
    *end = reader.pos;
    wal__reader_close(&reader);
    return result;
}

static int repeat_slot(struct op *op, struct wal *wal, uint8_t *piece, size_t slot, Lsn from, Lsn end)
{
    uint64_t offset = wal__slot_offset(wal, slot);
    Lsn low = wal->slots[slot].number * wal->payload, high = low + wal->payload;
    if (wal->slots[slot].number == 0)
        return OP_OK;
    if (repeat(op, wal, piece, offset, WAL__BLOCK))
        return OP_FAILED;
    low = low > from ? low : from;
    high = high < end ? high : end;
    if (low >= high)
        return OP_OK;
    uint64_t begin = WAL__BLOCK + low % wal->payload;
    return repeat(op, wal, piece, offset + begin, high - low);
}

int wal__settle(struct op *op, struct wal *wal, const struct wal_start *start)
{
    enum { SECTOR_BYTES = 512 };
    Lsn proven = start->proven, end;
    if (look_through(op, wal, start->checkpoint ? start->checkpoint : start->redo, &proven, &end))
        return OP_FAILED;
    Lsn from = proven - proven % SECTOR_BYTES;      /* a segment's payload is a multiple of it */
    end = (end / SECTOR_BYTES + 1) * SECTOR_BYTES;
    uint8_t *piece = op_heap_alloc(op, PIECE_BYTES);
    int result = piece ? OP_OK : OP_FAILED;
    for (size_t i = 0; result == OP_OK && i < wal->slot_count; i++)
        result = repeat_slot(op, wal, piece, i, from, end);
    mem_free(piece);
    if (result == OP_OK && os_sync(op, wal->file)) {
        wal__break(wal, op->error.message);
        result = OP_FAILED;
    }
    return result;
}
