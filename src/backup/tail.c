/*
 * tail.c -- what a backup carries behind its pages, so that recovery can start from it.
 *
 * The pages of a finished backup are those of a clean database: the log up to the end has been replayed on them, and who was in progress has
 * been rolled back.  From there the archived log cannot be replayed, for in it those transactions go on, and may commit.  So the
 * backup also keeps what it was before: the pages that completion has changed, as they were copied, and the log.
 *
 *      0            pages of a clean database
 *      images_at    numbers of the pages that were changed (8 bytes each), then these pages as they were copied
 *      log_at       a log file: from what restart needs to the end of the backup
 *      end - 512    struct tail
 *
 * Opening the copy as a database cuts all of this off (HEADER_COPY).
 *
 * L1  The images over the pages, the slot in the header, and the log beside it are what was copied: a database after a crash.
 * L2  Everything here has a checksum: images those of pages, the rest its own.
 */
#include <string.h>

#include "src/backup/backup_int.h"
#include "src/base/hash.h"
#include "src/base/mem.h"

#define TAIL_MAGIC "Isolde backup\0\0"   /* 16 bytes with its NULs */

static_assert(sizeof(struct backup__tail) == 232, "tail");
static_assert(offsetof(struct backup__tail, slot) == 64, "slot at 64");
static_assert(offsetof(struct backup__tail, images) == 152, "number of images at 152");
static_assert(offsetof(struct backup__tail, crc) == 228, "checksum at 228");

int backup__tail_read(struct op *op, struct os_file *file, struct backup__tail *tail, bool *found)
{
    uint64_t size;
    size_t got;
    *found = false;
    if (os_size(op, file, &size))
        return OP_FAILED;
    if (size < BACKUP__TAIL_BYTES)
        return OP_OK;
    if (os_read(op, file, size - BACKUP__TAIL_BYTES, tail, sizeof(*tail), &got))
        return OP_FAILED;
    if (got < sizeof(*tail) || memcmp(tail->magic, TAIL_MAGIC, sizeof(tail->magic)) != 0)
        return OP_OK;
    if (tail->crc != crc32c(0, tail, offsetof(struct backup__tail, crc)))
        return op_fail(op, "XX001", "the end of \"%s\" is damaged", file->path);
    if (tail->format > BACKUP__TAIL_FORMAT)
        return op_fail(op, "0A000", "backup \"%s\" has the newer format %u", file->path, tail->format);
    if (tail->log_at > size || tail->log_bytes > size - tail->log_at || tail->images_at > size || tail->page_size < PAGE_SIZE_MIN ||
        tail->images > (size - tail->images_at) / tail->page_size)
        return op_fail(op, "XX001", "the end of \"%s\" is damaged: its places are impossible", file->path);
    *found = true;
    return OP_OK;
}

int backup__tail_images(struct op *op, struct os_file *file, const struct backup__tail *tail, uint64_t **numbers)
{
    size_t len = tail->images * sizeof(uint64_t), got = 0;
    *numbers = op_heap_alloc(op, len + 1);
    if (!*numbers)
        return OP_FAILED;
    int result = os_read(op, file, tail->images_at, *numbers, len, &got);
    if (result == OP_OK && (got < len || crc32c(0, *numbers, len) != tail->images_crc))
        result = op_fail(op, "XX001", "the list of pages kept in \"%s\" is damaged", file->path);
    if (result) {
        mem_free(*numbers);
        *numbers = NULL;
    }
    return result;
}

int backup__tail_image(struct op *op, struct os_file *file, const struct backup__tail *tail, const uint64_t *numbers, uint64_t i,
                       uint8_t *page)
{
    size_t got;
    uint64_t at = tail->images_at + tail->images * sizeof(uint64_t) + i * tail->page_size;
    if (os_read(op, file, at, page, tail->page_size, &got))
        return OP_FAILED;
    const char *rule = got < tail->page_size ? "it is cut short" : page_verify(page, tail->page_size, numbers[i]);
    if (rule)
        return op_fail(op, "XX001", "page %llu kept in \"%s\" is damaged: %s", (unsigned long long)numbers[i], file->path, rule);
    return OP_OK;
}

/* ---- copying between files -------------------------------------------------------------------------- */

int backup__copy_bytes(struct op *op, struct os_file *from, uint64_t from_at, struct os_file *to, uint64_t to_at, uint64_t len,
                       uint32_t *crc)
{
    uint8_t *buffer = op_heap_alloc(op, BACKUP__BUFFER_BYTES);
    int result = buffer ? OP_OK : OP_FAILED;
    *crc = 0;
    for (uint64_t done = 0; result == OP_OK && done < len;) {
        size_t part = len - done < BACKUP__BUFFER_BYTES ? len - done : BACKUP__BUFFER_BYTES, got;
        result = os_read(op, from, from_at + done, buffer, part, &got);
        if (result == OP_OK && got < part)
            result = op_fail(op, "XX001", "\"%s\" is cut short", from->path);
        if (result == OP_OK)
            result = os_write(op, to, to_at + done, buffer, part);
        if (result == OP_OK)
            result = op_check_cancel(op);
        *crc = crc32c(*crc, buffer, part);
        done += part;
    }
    mem_free(buffer);
    return result;
}

int backup__copy_file(struct op *op, struct vfs *vfs, const char *from, const char *to)
{
    struct os_file *in = NULL, *out = NULL;
    uint64_t size;
    uint32_t crc;
    int result = os_open(op, vfs, from, OS_OPEN_READ_ONLY, &in);
    if (result == OP_OK)
        result = os_remove(op, vfs, to);
    if (result == OP_OK)
        result = os_open(op, vfs, to, OS_OPEN_CREATE, &out);
    if (result == OP_OK)
        result = os_size(op, in, &size);
    if (result == OP_OK)
        result = backup__copy_bytes(op, in, 0, out, 0, size, &crc);
    os_close(out);
    os_close(in);
    return result;
}

/* ---- writing -------------------------------------------------------------------------------------- */

/* Pages of the copy that were changed by completion, or that it has cut off; *numbers has room for all. */
static uint64_t list_changed(struct vfs *shadow, const struct backup__tail *tail, PageNo pages, uint64_t *numbers)
{
    uint64_t count = 0;
    for (PageNo page_no = 1; page_no < tail->slot.page_count; page_no++)
        if (page_no >= pages || os_shadow_changed(shadow, page_no * tail->page_size, tail->page_size)) {
            if (numbers)
                numbers[count] = page_no;
            count++;
        }
    return count;
}

static int write_images(struct op *op, struct vfs *shadow, struct os_file *file, struct backup__tail *tail, PageNo pages)
{
    uint8_t *page = op_heap_alloc(op, tail->page_size);
    tail->images = list_changed(shadow, tail, pages, NULL);
    uint64_t *numbers = op_heap_alloc(op, tail->images * sizeof(*numbers) + 1);
    int result = page && numbers ? OP_OK : OP_FAILED;
    if (result == OP_OK) {
        list_changed(shadow, tail, pages, numbers);
        tail->images_crc = crc32c(0, numbers, tail->images * sizeof(*numbers));
        result = os_write(op, file, tail->images_at, numbers, tail->images * sizeof(*numbers));
    }
    uint64_t at = tail->images_at + tail->images * sizeof(*numbers);
    for (uint64_t i = 0; result == OP_OK && i < tail->images; i++, at += tail->page_size) {
        size_t got;
        result = os_read(op, file, numbers[i] * tail->page_size, page, tail->page_size, &got);
        if (result == OP_OK)
            result = os_write(op, file, at, page, tail->page_size);
    }
    tail->log_at = at;
    mem_free(numbers);
    mem_free(page);
    return result;
}

static int write_log(struct op *op, struct vfs *vfs, const char *log, struct os_file *file, struct backup__tail *tail)
{
    struct os_file *in;
    if (os_open(op, vfs, log, OS_OPEN_READ_ONLY, &in))
        return OP_FAILED;
    int result = os_size(op, in, &tail->log_bytes);
    if (result == OP_OK)
        result = backup__copy_bytes(op, in, 0, file, tail->log_at, tail->log_bytes, &tail->log_crc);
    os_close(in);
    return result;
}

int backup__tail_write(struct op *op, struct vfs *vfs, struct vfs *shadow, const char *log, struct os_file *file, PageNo pages,
                       struct backup__tail *tail)
{
    uint8_t sector[BACKUP__TAIL_BYTES] __attribute__((aligned(8))) = {0};
    memcpy(tail->magic, TAIL_MAGIC, sizeof(tail->magic));
    tail->format = BACKUP__TAIL_FORMAT;
    tail->images_at = (pages > tail->slot.page_count ? pages : tail->slot.page_count) * tail->page_size;
    if (write_images(op, shadow, file, tail, pages) || write_log(op, vfs, log, file, tail))
        return OP_FAILED;
    tail->crc = crc32c(0, tail, offsetof(struct backup__tail, crc));
    memcpy(sector, tail, sizeof(*tail));
    return os_write(op, file, tail->log_at + tail->log_bytes, sector, sizeof(sector)) || os_sync(op, file) ? OP_FAILED : OP_OK;
}
