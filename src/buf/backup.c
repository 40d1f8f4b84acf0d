/*
 * backup.c -- what a copy of the database file needs while the pool goes on changing it.
 *
 * A backup copies pages one after the other while others change them, and the log from a redo point on.  That is what a crash
 * leaves: pages of different ages, none older than the redo point allows.  Restart makes one moment of them.  So all that has to be
 * promised here is what restart asks of a file after a crash:
 *
 * K1  The slot that the copy gets is that of a checkpoint which was complete before the first page was copied; the log from what
 *     that checkpoint needs is held before it is taken.
 * K2  The file is not cut while pages are copied: the log may name pages of the tail in their former life.
 * K3  A page is copied as the file has it, checked; one that is just being written is read again, and at last copied under its latch.
 */
#include <string.h>

#include "src/base/hash.h"
#include "src/buf/buf_int.h"

enum { READ_TRIES = 20, READ_PAUSE_US = 200 };

int buf_backup_begin(struct op *op, struct buf *buf, const struct buf_checkpoint_hooks *hooks, struct buf_backup *backup)
{
    struct wal_checkpoint_state state;
    Lsn lsn;
    *backup = (struct buf_backup){.identity = buf->identity};
    atomic_fetch_add(&buf->backups, 1);
    wal_hold(buf->wal, &backup->hold, 0, true);
    if (buf__checkpoint_for(op, buf, hooks, &state, &lsn, &backup->slot)) {
        buf_backup_end_pages(buf, backup);
        wal_hold_end(buf->wal, &backup->hold);
        return OP_FAILED;
    }
    backup->oldest = wal_oldest_needed(&state);
    wal_hold_move(buf->wal, &backup->hold, backup->oldest);
    return OP_OK;
}

void buf_backup_end_pages(struct buf *buf, struct buf_backup *backup)
{
    if (!backup->pages_ended)
        atomic_fetch_sub(&buf->backups, 1);
    backup->pages_ended = true;
}

void buf_backup_end(struct buf *buf, struct buf_backup *backup)
{
    buf_backup_end_pages(buf, backup);
    wal_hold_end(buf->wal, &backup->hold);
}

/* The frame's copy, which is newer than the file's, or the file's once more: then buf_fix names what is wrong with it. */
static int copy_latched(struct op *op, struct buf *buf, PageNo page_no, uint8_t *to)
{
    struct page_ref ref;
    if (buf_fix(op, buf, page_no, LATCH_SHARED, &ref))
        return OP_FAILED;
    memcpy(to, ref.data, buf->page_size);
    buf_unfix(&ref, buf);
    if (((const struct page_head *)(const void *)to)->type != PAGE_UNUSED)
        page_set_checksum(to, buf->page_size);
    return OP_OK;
}

int buf_backup_page(struct op *op, struct buf *buf, PageNo page_no, uint8_t *to)
{
    for (int try = 0; try < READ_TRIES; try++) {
        size_t got;
        if (try > 0)
            os_sleep_us(READ_PAUSE_US);
        if (os_read(op, buf->file, page_no * buf->page_size, to, buf->page_size, &got))
            return OP_FAILED;
        memset(to + got, 0, buf->page_size - got);      /* space that was never written: the log has all of the page */
        if (!page_verify(to, buf->page_size, page_no))
            return OP_OK;
    }
    if (page_no < buf_page_count(buf))
        return copy_latched(op, buf, page_no, to);
    return op_fail(op, "XX001", "page %llu of \"%s\" is damaged: %s", (unsigned long long)page_no, buf->path,
                   page_verify(to, buf->page_size, page_no));
}

/* ---- the header of a copy -------------------------------------------------------------------------- */

void buf_header_image(const struct header_identity *identity, const struct header_slot *slot, uint8_t *image)
{
    struct header_identity own = *identity;
    struct header_slot first = *slot;
    memset(image, 0, HEADER_BYTES);
    own.crc = crc32c(0, &own, offsetof(struct header_identity, crc));
    first.sequence = 1;
    first.crc = crc32c(0, &first, offsetof(struct header_slot, crc));
    memcpy(image, &own, sizeof(own));
    memcpy(image + HEADER_SLOT_A, &first, sizeof(first));
}

int buf_header_read(struct op *op, struct os_file *file, struct header_identity *identity, struct header_slot *slot)
{
    uint8_t header[HEADER_BYTES] __attribute__((aligned(8)));
    size_t got;
    if (os_read(op, file, 0, header, sizeof(header), &got))
        return OP_FAILED;
    if (got < sizeof(header))
        return op_fail(op, "XX002", "\"%s\" is not a database file", file->path);
    memcpy(identity, header, sizeof(*identity));
    return buf__check_identity(op, file->path, identity) || buf__choose_slot(op, file->path, header, slot) ? OP_FAILED : OP_OK;
}
