/*
 * verify.c -- is a backup good, before one needs it?
 *
 *  1. every page of it has its checksum and its number
 *  2. so have the pages kept for recovery; the kept log can be read record by record, and ends where the backup ends
 *  3. the files of the archive continue the backup without a gap, and each has its checksum
 *
 * Whether the pages make sense together is asked of the database itself, opened for reading only (CHECK DATABASE); the layers above
 * do that.  Damage is a finding, in words; only what keeps us from looking is an error.
 */
#include <string.h>

#include "src/backup/backup_int.h"
#include "src/base/lsn.h"
#include "src/base/mem.h"
#include "wal/wal_archive.h"

struct verification {
    const struct verify_options *options;
    struct os_file *file;
    struct header_identity identity;
    struct header_slot slot;
    struct backup__tail tail;
    bool has_tail;
    uint64_t findings;
};

static void report(struct verification *verification, const char *line)
{
    verification->findings++;
    verification->options->report(verification->options->arg, line);
}

/* Damage becomes a finding; other errors stay. */
static int forgive(struct op *op, struct verification *verification)
{
    if (strncmp(op->error.sqlstate, "XX", 2) != 0)
        return OP_FAILED;
    report(verification, op->error.message);
    op_clear_error(op);
    return OP_OK;
}

static int say(struct op *op, struct verification *verification, const char *format, ...) PRINTF_LIKE(3, 4);

static int say(struct op *op, struct verification *verification, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *line = arena_vprintf(&op->arena, format, args);
    va_end(args);
    if (!line)
        return op_out_of_memory(op);
    report(verification, line);
    return OP_OK;
}

static int verify_pages(struct op *op, struct verification *verification)
{
    uint32_t size = verification->identity.page_size;
    uint8_t *page = op_heap_alloc(op, size);
    int result = page ? OP_OK : OP_FAILED;
    for (PageNo page_no = 1; result == OP_OK && page_no < verification->slot.page_count; page_no++) {
        size_t got;
        result = os_read(op, verification->file, page_no * size, page, size, &got);
        if (result == OP_OK && got < size) {
            result = say(op, verification, "the file is cut short: it ends within page %llu of %llu", (unsigned long long)page_no,
                         (unsigned long long)verification->slot.page_count);
            break;
        }
        const char *rule = result == OP_OK ? page_verify(page, size, page_no) : NULL;
        if (rule)
            result = say(op, verification, "page %llu is damaged: %s", (unsigned long long)page_no, rule);
        if (result == OP_OK)
            result = op_check_cancel(op);
    }
    mem_free(page);
    return result;
}

static int verify_images(struct op *op, struct verification *verification)
{
    const struct backup__tail *tail = &verification->tail;
    uint64_t *numbers;
    if (backup__tail_images(op, verification->file, tail, &numbers))
        return forgive(op, verification);
    uint8_t *page = op_heap_alloc(op, tail->page_size);
    int result = page ? OP_OK : OP_FAILED;
    for (uint64_t i = 0; result == OP_OK && i < tail->images; i++)
        if (backup__tail_image(op, verification->file, tail, numbers, i, page))
            result = forgive(op, verification);
    mem_free(page);
    mem_free(numbers);
    return result;
}

/* Reads the kept log as restart would, from a copy in memory. */
static int read_log(struct op *op, struct verification *verification, struct vfs *memory)
{
    const struct backup__tail *tail = &verification->tail;
    struct wal_identity identity = {.log_id = tail->slot.log_id};
    struct wal_target everything = {0};
    struct wal_moment moment;
    struct os_file *log;
    uint32_t crc = 0;
    memcpy(identity.database_id, tail->database_id, sizeof(identity.database_id));
    if (os_open(op, memory, "log", OS_OPEN_CREATE, &log))
        return OP_FAILED;
    int result = backup__copy_bytes(op, verification->file, tail->log_at, log, 0, tail->log_bytes, &crc);
    os_close(log);
    if (result)
        return OP_FAILED;
    if (crc != tail->log_crc)
        report(verification, "the log kept for recovery is damaged: its checksum is wrong");
    if (wal_find_moment(op, memory, "log", &identity, tail->slot.redo_lsn, &everything, &moment))
        return OP_FAILED;
    if (moment.cut == tail->end)
        return OP_OK;
    return say(op, verification, "the log kept for recovery ends at %llX, not at the end of the backup, %llX",
               (unsigned long long)moment.cut, (unsigned long long)tail->end);
}

static int verify_log(struct op *op, struct verification *verification)
{
    struct vfs *memory = os_memory_vfs_new();
    if (!memory)
        return op_out_of_memory(op);
    int result = read_log(op, verification, memory);
    os_vfs_destroy(memory);
    return result ? forgive(op, verification) : OP_OK;
}

static int verify_tail(struct op *op, struct verification *verification)
{
    if (backup__tail_read(op, verification->file, &verification->tail, &verification->has_tail))
        return forgive(op, verification);
    if (!verification->has_tail) {
        if (verification->slot.flags & HEADER_COPY)
            report(verification, "what recovery starts from is missing at the end of the file");
        return OP_OK;
    }
    return verify_images(op, verification) || verify_log(op, verification) ? OP_FAILED : OP_OK;
}

/* ---- the archive ----------------------------------------------------------------------------------- */

static int name_gap(struct op *op, struct verification *verification, const struct wal_history *history, Lsn end)
{
    char from[LSN_TEXT_BYTES], to[LSN_TEXT_BYTES];
    Lsn later;
    if (wal_archive_next_name(op, verification->options->vfs, verification->options->archive, history, end, &later))
        return OP_FAILED;
    if (later == 0)
        return OP_OK;
    lsn_print(end, from);
    lsn_print(later, to);
    return say(op, verification, "the archive has a gap from %s to %s", from, to);
}

/* Goes from file to file, from the segment in which the backup ends. */
static int verify_archive(struct op *op, struct verification *verification, Lsn *reach)
{
    const struct verify_options *options = verification->options;
    const struct backup__tail *tail = &verification->tail;
    struct wal_history history = {.timeline_id = tail->timeline_id};
    uint64_t payload = wal_segment_payload(tail->segment_size);
    Lsn at = tail->end / payload * payload;
    struct wal_archive_file file;
    memcpy(history.database_id, tail->database_id, sizeof(history.database_id));
    if (wal_archive_open(op, options->vfs, options->archive, &history, at, &file))
        return forgive(op, verification);
    if (!file.file) {
        at = tail->end;
        if (wal_archive_follow(op, options->vfs, options->archive, &history, tail->segment_size, at, &file))
            return forgive(op, verification);
    }
    while (file.file) {
        uint8_t *bytes = NULL;
        int result = op_check_cancel(op);
        if (result == OP_OK && wal_archive_read(op, &file, &bytes))
            result = forgive(op, verification);
        mem_free(bytes);
        at = file.piece.to;
        *reach = at > *reach ? at : *reach;
        wal_archive_close(&file);
        if (result)
            return OP_FAILED;
        if (wal_archive_follow(op, options->vfs, options->archive, &history, tail->segment_size, at, &file))
            return forgive(op, verification);
    }
    return name_gap(op, verification, &history, at);
}

static int verify(struct op *op, struct verification *verification, struct verify_result *result)
{
    const struct verify_options *options = verification->options;
    bool taken;
    if (os_open(op, options->vfs, options->path, OS_OPEN_READ_ONLY, &verification->file) ||
        os_lock(op, verification->file, &taken))
        return OP_FAILED;
    if (!taken)
        return op_fail(op, "55006", "\"%s\" is an open database", options->path);
    if (buf_header_read(op, verification->file, &verification->identity, &verification->slot))
        return OP_FAILED;
    if (verification->identity.incompatible & HEADER_UNFINISHED)
        return op_fail(op, "55000", "\"%s\" is an unfinished backup", options->path);
    if (!(verification->slot.flags & HEADER_CLEAN))
        return op_fail(op, "55000", "\"%s\" is not a backup, but a database that was not closed cleanly", options->path);
    if (verify_pages(op, verification) || verify_tail(op, verification))
        return OP_FAILED;
    result->pages = verification->slot.page_count;
    if (!verification->has_tail)
        return OP_OK;
    result->end = result->archived = verification->tail.end;
    return options->archive ? verify_archive(op, verification, &result->archived) : OP_OK;
}

int backup_verify(struct op *op, const struct verify_options *options, struct verify_result *result)
{
    struct verification verification = {.options = options};
    *result = (struct verify_result){0};
    int outcome = verify(op, &verification, result);
    os_close(verification.file);
    result->findings = verification.findings;
    return outcome;
}
