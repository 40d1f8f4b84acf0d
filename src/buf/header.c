/* header.c -- reading and writing page 0 (header.h has the format). */
#include <stdio.h>
#include <string.h>

#include "src/base/hash.h"
#include "src/buf/buf_int.h"

static uint32_t slot_crc(const struct header_slot *slot)
{
    return crc32c(0, slot, offsetof(struct header_slot, crc));
}

static uint32_t identity_crc(const struct header_identity *identity)
{
    return crc32c(0, identity, offsetof(struct header_identity, crc));
}

int buf__header_write_slot(struct op *op, struct buf *buf)
{
    uint8_t sector[512] __attribute__((aligned(8))) = {0};
    buf->slot.sequence++;
    buf->slot.crc = slot_crc(&buf->slot);
    memcpy(sector, &buf->slot, sizeof(buf->slot));
    uint64_t at = buf->slot.sequence % 2 ? HEADER_SLOT_A : HEADER_SLOT_B;
    if (os_write(op, buf->file, at, sector, sizeof(sector)))
        return OP_FAILED;
    return buf__sync(op, buf, buf->file);
}

static int check_creation(struct op *op, const struct buf_options *options, uint32_t page_size)
{
    if ((page_size & (page_size - 1)) || page_size < PAGE_SIZE_MIN || page_size > PAGE_SIZE_MAX)
        return op_fail(op, "22023", "page size %u is not a power of two between %d and %d", page_size, PAGE_SIZE_MIN,
                       PAGE_SIZE_MAX);
    if (options->reserved_bytes > HEADER_RESERVED_MAX || options->reserved_bytes % 8 != 0)
        return op_fail(op, "22023", "reserved bytes per page must be a multiple of 8 up to %d", HEADER_RESERVED_MAX);
    return OP_OK;
}

/* The identity is written last, alone in its sector: until it is there the file is not a database yet, but an
 * unfinished beginning, which the next open makes afresh. */
int buf__header_create(struct op *op, struct buf *buf, const struct buf_options *options)
{
    uint32_t page_size = options->page_size ? options->page_size : PAGE_SIZE_DEFAULT;
    if (check_creation(op, options, page_size))
        return OP_FAILED;
    struct header_identity identity = {.magic = HEADER_MAGIC, .format = HEADER_FORMAT, .page_size = page_size,
                                       .reserved_bytes = options->reserved_bytes, .created_us = os_wall_us()};
    os_random(identity.database_id, sizeof(identity.database_id));
    os_random(&identity.timeline_id, sizeof(identity.timeline_id));
    identity.crc = identity_crc(&identity);

    uint8_t *page = op_calloc(op, page_size);
    if (!page || os_truncate(op, buf->file, 0) || os_write(op, buf->file, 0, page, page_size))
        return OP_FAILED;
    buf->slot = (struct header_slot){.flags = HEADER_CLEAN, .page_count = 1, .next_txn = 1, .next_tree = 1};
    if (buf__header_write_slot(op, buf))
        return OP_FAILED;
    memcpy(page, &identity, sizeof(identity));
    if (os_write(op, buf->file, 0, page, 512) || buf__sync(op, buf, buf->file))
        return OP_FAILED;
    buf->identity = identity;
    buf->is_new = true;
    return OP_OK;
}

static void too_new(struct op *op, const char *path, const struct header_identity *identity, uint64_t unknown)
{
    op_fail(op, "0A000", "database \"%s\" was written by a newer version", path);
    op_detail(op, "It has format %u, this program knows %d; features this program does not know: %llX.",
              identity->format, HEADER_FORMAT, (unsigned long long)unknown);
}

int buf__check_identity(struct op *op, const char *path, const struct header_identity *identity)
{
    uint64_t unknown = identity->incompatible & ~(uint64_t)HEADER_UNFINISHED;
    if (memcmp(identity->magic, HEADER_MAGIC, sizeof(identity->magic)) != 0)
        return op_fail(op, "XX002", "\"%s\" is not a database file", path);
    if (identity->crc != identity_crc(identity))
        return op_fail(op, "XX001", "page 0 of \"%s\" is damaged: its identity has a wrong checksum", path);
    if (identity->format > HEADER_FORMAT || unknown != 0) {
        too_new(op, path, identity, unknown);
        return OP_FAILED;
    }
    uint32_t size = identity->page_size;
    if (identity->format == 0 || (size & (size - 1)) || size < PAGE_SIZE_MIN || size > PAGE_SIZE_MAX ||
        identity->reserved_bytes > HEADER_RESERVED_MAX)
        return op_fail(op, "XX001", "page 0 of \"%s\" is damaged: its sizes are impossible", path);
    return OP_OK;
}

int buf__choose_slot(struct op *op, const char *path, const uint8_t *header, struct header_slot *slot)
{
    struct header_slot slots[2];
    memcpy(&slots[0], header + HEADER_SLOT_A, sizeof(slots[0]));
    memcpy(&slots[1], header + HEADER_SLOT_B, sizeof(slots[1]));
    const struct header_slot *best = NULL;
    for (int i = 0; i < 2; i++)
        if (slots[i].sequence != 0 && slots[i].crc == slot_crc(&slots[i]) &&
            (!best || slots[i].sequence > best->sequence))
            best = &slots[i];
    if (!best || best->page_count == 0)
        return op_fail(op, "XX001", "page 0 of \"%s\" is damaged: no checkpoint slot is valid", path);
    *slot = *best;
    return OP_OK;
}

int buf__header_read(struct op *op, struct buf *buf, const struct buf_options *options)
{
    if (buf_header_read(op, buf->file, &buf->identity, &buf->slot))
        return OP_FAILED;
    if (!options->finishing && (buf->identity.incompatible & HEADER_UNFINISHED)) {
        op_fail(op, "55000", "\"%s\" is an unfinished backup", buf->path);
        op_detail(op, "The backup or recovery that was making this file has not been completed.");
        op_hint(op, "Make it again; this file can be removed.");
        return OP_FAILED;
    }
    if (!options->read_only && buf->identity.read_only_compatible != 0) {
        too_new(op, buf->path, &buf->identity, buf->identity.read_only_compatible);
        op_hint(op, "Open it with read_only=on: these features are in the way of writing only.");
        return OP_FAILED;
    }
    return OP_OK;
}

/* A backup that is opened to be written begins a history of its own, which must not be taken for the original's.  What it has
 * behind its pages (the log for recovery) would be in the way of new pages. */
int buf__header_leave_copy(struct op *op, struct buf *buf)
{
    uint8_t sector[512] __attribute__((aligned(8))) = {0};
    if (!(buf->slot.flags & HEADER_COPY))
        return OP_OK;
    os_random(&buf->identity.timeline_id, sizeof(buf->identity.timeline_id));
    buf->identity.crc = identity_crc(&buf->identity);
    memcpy(sector, &buf->identity, sizeof(buf->identity));
    if (os_truncate(op, buf->file, buf->slot.page_count * buf->page_size) ||
        os_write(op, buf->file, 0, sector, sizeof(sector)) || buf__sync(op, buf, buf->file))
        return OP_FAILED;
    buf->file_pages = buf->slot.page_count;
    return OP_OK;
}

int buf__header_settle(struct op *op, struct buf *buf)
{
    uint8_t header[HEADER_BYTES];
    size_t got;
    if (os_read(op, buf->file, 0, header, sizeof(header), &got) || os_write(op, buf->file, 0, header, got))
        return OP_FAILED;
    return buf__sync(op, buf, buf->file);
}
