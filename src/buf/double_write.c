/*
 * double_write.c -- pages that were being written when the power went.
 *
 * The disk writes 512 bytes at a time; a page that was half written is neither the old nor the new one, and
 * redo cannot start from it.  So each batch goes first to an area of its own, is synced there, and only then
 * goes to its places.  After a crash a page that fails its check in its place was torn in the newest batch,
 * and lies whole in the area.
 *
 *      app.db-dw:     | directory, 4096 bytes | page | page | ...
 *
 *      directory:      0 magic (16)    16 crc32c of bytes 20..4095    20 entries u32     24 batch number u64
 *                     32 database id (16)   48 log id u64   56 page size u32   60 zero u32
 *                     64 entries x (page number u64, page LSN u64, page crc32c u32, zero u32)
 *
 * W1  The area is overwritten only after the batch before is synced in its places; so of two batches at most
 *     the newer one can have torn pages, and it was whole in the area before the first of them was written.
 * W2  A copy is used only if its own checksum is right and the directory is of this very log: what an earlier
 *     life left behind restores nothing.
 * W3  Before the area is used again after a crash, the pages that it names are durable in their places: those found
 *     whole there are written once more, for they may be so in the kernel's cache only (see wal/settle.c).
 */
#include "src/buf/buf_int.h"
#include "src/buf/double_write.h"

#include <string.h>

#include "src/base/hash.h"
#include "src/base/mem.h"
#include "src/base/planted.h"

static_assert(64 + 24 * BUF__BATCH_PAGES <= BUF__DIRECTORY_BYTES, "a batch's entries fit");

enum { CRC_FROM = offsetof(struct double_write_head, entries) };

static void fill_directory(struct buf *buf)
{
    uint8_t *directory = buf->batch_bytes;
    memset(directory, 0, BUF__DIRECTORY_BYTES);
    struct double_write_head head = {.magic = DOUBLE_WRITE_MAGIC, .entries = buf->batch_len, .batch = ++buf->batch_number,
                                  .log_id = buf->slot.log_id, .page_size = buf->page_size};
    memcpy(head.database_id, buf->identity.database_id, sizeof(head.database_id));
    memcpy(directory, &head, sizeof(head));
    for (uint32_t i = 0; i < buf->batch_len; i++) {
        const uint8_t *page = directory + BUF__DIRECTORY_BYTES + (uint64_t)i * buf->page_size;
        struct double_write_entry entry = {.page_no = buf->batch[i].page_no,
                                        .lsn = get_u64(page + offsetof(struct page_head, lsn)), .crc = get_u32(page)};
        memcpy(directory + sizeof(head) + i * sizeof(entry), &entry, sizeof(entry));
    }
    put_u32(directory + offsetof(struct double_write_head, crc),
            crc32c(0, directory + CRC_FROM, BUF__DIRECTORY_BYTES - CRC_FROM));
}

int buf__double_write(struct op *op, struct buf *buf)
{
    fill_directory(buf);
    size_t len = BUF__DIRECTORY_BYTES + (size_t)buf->batch_len * buf->page_size;
    if (os_write(op, buf->dw, 0, buf->batch_bytes, len))
        return OP_FAILED;
    return PLANTED("buf-skip-double-write-sync") ? OP_OK : buf__sync(op, buf, buf->dw);
}

/* Reads the directory; *head->entries is 0 when there is nothing to restore. */
static int read_directory(struct op *op, struct buf *buf, uint8_t *directory, struct double_write_head *head)
{
    size_t got;
    *head = (struct double_write_head){0};
    if (os_read(op, buf->dw, 0, directory, BUF__DIRECTORY_BYTES, &got))
        return OP_FAILED;
    struct double_write_head seen;
    memcpy(&seen, directory, sizeof(seen));
    if (got < BUF__DIRECTORY_BYTES || memcmp(seen.magic, DOUBLE_WRITE_MAGIC, sizeof(seen.magic)) != 0 ||
        seen.crc != crc32c(0, directory + CRC_FROM, BUF__DIRECTORY_BYTES - CRC_FROM) ||
        seen.log_id != buf->slot.log_id || seen.page_size != buf->page_size || seen.entries > BUF__BATCH_PAGES ||
        memcmp(seen.database_id, buf->identity.database_id, sizeof(seen.database_id)) != 0)
        return OP_OK;
    *head = seen;
    return OP_OK;
}

/* Writes one page in its place: what is there already, or the copy, if the place fails its check and the copy does not.
 * A place beyond the end of the file was never written: the log still has all of that page. */
static int restore_page(struct op *op, struct buf *buf, const struct double_write_entry *entry, uint32_t index,
                        uint8_t *page)
{
    uint64_t offset = entry->page_no * buf->page_size;
    size_t got;
    if (entry->page_no == 0 || entry->page_no >= (uint64_t)BUF__CHUNKS * BUF__CHUNK_PAGES)
        return OP_OK;
    if (os_read(op, buf->file, offset, page, buf->page_size, &got))
        return OP_FAILED;
    if (got == 0)
        return OP_OK;
    if (got == buf->page_size && !page_verify(page, buf->page_size, entry->page_no))
        return PLANTED("buf-restart-trusts-cache") ? OP_OK : os_write(op, buf->file, offset, page, buf->page_size);
    if (os_read(op, buf->dw, BUF__DIRECTORY_BYTES + (uint64_t)index * buf->page_size, page, buf->page_size, &got))
        return OP_FAILED;
    if (got < buf->page_size || get_u32(page) != entry->crc || page_verify(page, buf->page_size, entry->page_no))
        return OP_OK;
    return os_write(op, buf->file, offset, page, buf->page_size);
}

int buf__double_write_restore(struct op *op, struct buf *buf)
{
    struct double_write_head head;
    uint8_t *directory = op_heap_alloc(op, BUF__DIRECTORY_BYTES), *page = op_heap_alloc(op, buf->page_size);
    int result = directory && page ? OP_OK : OP_FAILED;
    /* What is concluded from both files must stay true after another crash. */
    if (result == OP_OK && (buf__sync(op, buf, buf->dw) || buf__sync(op, buf, buf->file)))
        result = OP_FAILED;
    if (result == OP_OK)
        result = read_directory(op, buf, directory, &head);
    for (uint32_t i = 0; result == OP_OK && i < head.entries; i++) {
        struct double_write_entry entry;
        memcpy(&entry, directory + sizeof(head) + i * sizeof(entry), sizeof(entry));
        result = restore_page(op, buf, &entry, i, page);
    }
    if (result == OP_OK && head.entries > 0) {
        buf->batch_number = head.batch;
        result = buf__sync(op, buf, buf->file);
    }
    mem_free(directory);
    mem_free(page);
    return result;
}
