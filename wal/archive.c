/*
 * archive.c -- copying the log away before its segments are used again.
 *
 * A backup and all the log since it give back any moment in between; but the log is a ring.  So a thread of its own copies what is
 * durable to a directory: each segment when it is full, and after archive_timeout whatever there is.  A segment that has not been copied
 * is held (stream.c) and the ring grows instead.
 *
 *      ring:      | archived ... | durable, waiting |  end
 *                                ^ position, held
 *
 * When the directory is full or gone, writers go on, as in PostgreSQL: the log on disk grows, the archiver tries once a second,
 * and its error can be seen.  But a log without bound would in the end fill the disk of the database too; so when more than archive_limit
 * waits, wal_reserve fails with 53400 and says why.  Rollbacks and checkpoints go on, and writers do, once the archive does.
 *
 * A1  A file has its name only when it is whole and synced; then it is never written again.
 * A2  Position: everything below is in such files.  It is not remembered anywhere but by the files themselves: at open the archiver
 *     goes through those that continue what the ring holds.
 * A3  Bytes of another history under a name that is needed are not overwritten, and not taken for ours: the archiver stops there
 *     and says so.
 * A4  A clean close archives the end of the log first, and leaves the log where it is if that fails.
 */
#include "wal/wal_archive.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/hash.h"
#include "src/base/mem.h"
#include "wal/wal_int.h"

#define ARCHIVE_MAGIC "Isolde archive\0"    /* 16 bytes with its NULs */

enum { RETRY_NS = 1000 * 1000 * 1000, COPY_BYTES = 256 * 1024, NAME_BYTES = 33, ARCHIVE_FORMAT = 1 };

struct wal__archive {
    struct wal *wal;
    char *directory;
    struct wal_hold hold;
    struct os_mutex mutex;          /* RANK_WAL_ARCHIVE: one at a time copies; the counts below */
    _Atomic Lsn position;
    uint64_t copied_ns;             /* when all that was durable then had been copied */
    uint64_t files, failures;
    int64_t last_file_us, last_failure_us;
    char last_error[256];
    struct os_thread *thread;
    atomic_bool stop;
    _Atomic uint32_t word;
};

static char *file_path(struct op *op, const char *directory, uint64_t timeline, Lsn from, const char *suffix)
{
    size_t len = strlen(directory) + 1 + NAME_BYTES + strlen(suffix) + 1;
    char *path = op_heap_alloc(op, len);
    if (path)
        snprintf(path, len, "%s/%016" PRIX64 "-%016" PRIX64 "%s", directory, timeline, from, suffix);
    return path;
}

/* ---- reading -------------------------------------------------------------------------------------- */

static int check_head(struct op *op, const struct wal__archive_head *head, const struct wal_history *history, Lsn from,
                      const char *path)
{
    uint64_t payload = head->segment_size - WAL__BLOCK;
    if (memcmp(head->magic, ARCHIVE_MAGIC, sizeof(head->magic)) != 0 ||
        head->crc != crc32c(0, head, offsetof(struct wal__archive_head, crc)))
        return op_fail(op, "XX001", "\"%s\" is not a file of an archive, or its head is damaged", path);
    if (head->format > ARCHIVE_FORMAT)
        return op_fail(op, "0A000", "\"%s\" has the newer format %u", path, head->format);
    if (memcmp(head->database_id, history->database_id, sizeof(head->database_id)) != 0 || head->timeline_id != history->timeline_id)
        return op_fail(op, "XX001", "\"%s\" belongs to another database", path);
    uint32_t size = head->segment_size;
    if ((size & (size - 1)) || size < WAL__SEGMENT_MIN || size > WAL__SEGMENT_MAX || head->from != from ||
        head->to <= head->from || head->number == 0 || head->from / payload != head->number ||
        (head->to - 1) / payload != head->number)
        return op_fail(op, "XX001", "the head of \"%s\" is damaged: its positions are impossible", path);
    return OP_OK;
}

static int read_head(struct op *op, const struct wal_history *history, Lsn from, struct wal_archive_file *file)
{
    struct wal__archive_head head = {0};
    size_t got;
    if (os_read(op, file->file, 0, &head, sizeof(head), &got))
        return OP_FAILED;
    if (got < sizeof(head))
        memset(&head, 0, sizeof(head));
    if (check_head(op, &head, history, from, file->file->path))
        return OP_FAILED;
    file->piece = (struct wal_piece){.log_id = head.log_id, .segment_size = head.segment_size, .number = head.number,
                                     .epoch = head.epoch, .epoch_start = head.epoch_start, .previous_end = head.previous_end,
                                     .from = head.from, .to = head.to};
    file->crc = head.bytes_crc;
    file->written_us = head.written_us;
    return OP_OK;
}

int wal_archive_open(struct op *op, struct vfs *vfs, const char *directory, const struct wal_history *history, Lsn from,
                     struct wal_archive_file *file)
{
    bool exists;
    *file = (struct wal_archive_file){0};
    char *path = file_path(op, directory, history->timeline_id, from, "");
    int result = path ? os_exists(op, vfs, path, &exists) : OP_FAILED;
    if (result == OP_OK && exists)
        result = os_open(op, vfs, path, OS_OPEN_READ_ONLY, &file->file);
    if (result == OP_OK && exists && read_head(op, history, from, file)) {
        wal_archive_close(file);
        result = OP_FAILED;
    }
    mem_free(path);
    return result;
}

int wal_archive_follow(struct op *op, struct vfs *vfs, const char *directory, const struct wal_history *history,
                       uint32_t segment_size, Lsn end, struct wal_archive_file *file)
{
    uint64_t payload = segment_size - WAL__BLOCK;
    if (wal_archive_open(op, vfs, directory, history, end, file))
        return OP_FAILED;
    if (file->file)
        return OP_OK;
    Lsn next = (end / payload + 1) * payload;
    if (wal_archive_open(op, vfs, directory, history, next, file))
        return OP_FAILED;
    if (file->file && (file->piece.epoch_start != next || file->piece.previous_end != end))
        wal_archive_close(file);
    return OP_OK;
}

int wal_archive_read(struct op *op, struct wal_archive_file *file, uint8_t **bytes)
{
    size_t len = file->piece.to - file->piece.from, got;
    *bytes = op_heap_alloc(op, len);
    if (!*bytes)
        return OP_FAILED;
    int result = os_read(op, file->file, sizeof(struct wal__archive_head), *bytes, len, &got);
    if (result == OP_OK && (got < len || crc32c(0, *bytes, len) != file->crc))
        result = op_fail(op, "XX001", "\"%s\" is damaged: its checksum is wrong", file->file->path);
    if (result) {
        mem_free(*bytes);
        *bytes = NULL;
    }
    return result;
}

void wal_archive_close(struct wal_archive_file *file)
{
    os_close(file->file);
    *file = (struct wal_archive_file){0};
}

struct search {
    uint64_t timeline;
    Lsn after, best;
};

static int visit_name(void *arg, struct op *op, const char *name)
{
    struct search *search = arg;
    char copy[NAME_BYTES + 1];
    uint64_t timeline;
    Lsn from;
    (void)op;
    if (strlen(name) != NAME_BYTES || name[16] != '-')
        return OP_OK;
    memcpy(copy, name, sizeof(copy));
    copy[16] = '\0';
    char *end;
    timeline = strtoull(copy, &end, 16);
    if (*end != '\0' || timeline != search->timeline)
        return OP_OK;
    from = strtoull(copy + 17, &end, 16);
    if (*end == '\0' && from > search->after && (search->best == 0 || from < search->best))
        search->best = from;
    return OP_OK;
}

int wal_archive_next_name(struct op *op, struct vfs *vfs, const char *directory, const struct wal_history *history, Lsn after,
                          Lsn *next)
{
    struct search search = {history->timeline_id, after, 0};
    int result = os_list(op, vfs, directory, visit_name, &search);
    *next = search.best;
    return result;
}

/* ---- copying -------------------------------------------------------------------------------------- */

static void history_of(const struct wal *wal, struct wal_history *history)
{
    memcpy(history->database_id, wal->identity.database_id, sizeof(history->database_id));
    history->timeline_id = wal->identity.timeline_id;
}

/* Is the piece there already, or the beginning of it?  *to is where that ends, `from` when there is none. */
static int look_for(struct op *op, struct wal__archive *archive, const struct wal_piece *piece, Lsn *to)
{
    struct wal *wal = archive->wal;
    struct wal_archive_file file;
    struct wal_history history;
    history_of(wal, &history);
    *to = piece->from;
    if (wal_archive_open(op, wal->vfs, archive->directory, &history, piece->from, &file))
        return OP_FAILED;
    if (!file.file)
        return OP_OK;
    *to = file.piece.to;
    bool ours = file.piece.log_id == piece->log_id && file.piece.epoch == piece->epoch && file.piece.to <= piece->to;
    int result = ours ? OP_OK : op_fail(op, "55000", "\"%s\" is of another history of this database", file.file->path);
    wal_archive_close(&file);
    return result;
}

static int copy_bytes(struct op *op, struct wal *wal, const struct wal_piece *piece, struct os_file *file, uint32_t *crc)
{
    uint8_t *buffer = op_heap_alloc(op, COPY_BYTES);
    int result = buffer ? OP_OK : OP_FAILED;
    for (Lsn at = piece->from; result == OP_OK && at < piece->to;) {
        size_t len = piece->to - at < COPY_BYTES ? piece->to - at : COPY_BYTES;
        result = wal_stream_read(op, wal, piece, at, buffer, len);
        if (result == OP_OK)
            result = os_write(op, file, sizeof(struct wal__archive_head) + (at - piece->from), buffer, len);
        *crc = crc32c(*crc, buffer, len);
        at += len;
    }
    mem_free(buffer);
    return result;
}

static int write_piece(struct op *op, struct wal *wal, const struct wal_piece *piece, struct os_file *file)
{
    struct wal__archive_head head = {
        .magic = ARCHIVE_MAGIC, .format = ARCHIVE_FORMAT, .segment_size = piece->segment_size,
        .timeline_id = wal->identity.timeline_id, .log_id = piece->log_id, .number = piece->number, .epoch = piece->epoch,
        .epoch_start = piece->epoch_start, .previous_end = piece->previous_end, .from = piece->from, .to = piece->to,
        .written_us = os_wall_us(),
    };
    memcpy(head.database_id, wal->identity.database_id, sizeof(head.database_id));
    if (copy_bytes(op, wal, piece, file, &head.bytes_crc))
        return OP_FAILED;
    head.crc = crc32c(0, &head, offsetof(struct wal__archive_head, crc));
    return os_write(op, file, 0, &head, sizeof(head)) || os_sync(op, file) ? OP_FAILED : OP_OK;
}

/* A file in the making is of nobody: what a crash has left is replaced. */
static int make_file(struct op *op, struct wal__archive *archive, const struct wal_piece *piece)
{
    struct wal *wal = archive->wal;
    struct os_file *file = NULL;
    char *path = file_path(op, archive->directory, wal->identity.timeline_id, piece->from, "");
    char *part = file_path(op, archive->directory, wal->identity.timeline_id, piece->from, ".part");
    int result = path && part ? os_remove(op, wal->vfs, part) : OP_FAILED;
    if (result == OP_OK)
        result = os_open(op, wal->vfs, part, OS_OPEN_CREATE | OS_OPEN_EXCLUSIVE, &file);
    if (result == OP_OK)
        result = write_piece(op, wal, piece, file);
    os_close(file);
    if (result == OP_OK)
        result = os_rename(op, wal->vfs, part, path);
    mem_free(path);
    mem_free(part);
    return result;
}

static int copy_piece(struct op *op, struct wal__archive *archive, const struct wal_piece *piece)
{
    Lsn to;
    if (look_for(op, archive, piece, &to))
        return OP_FAILED;
    if (to == piece->from) {
        if (make_file(op, archive, piece))
            return OP_FAILED;
        to = piece->to;
        archive->files++;
        archive->last_file_us = os_wall_us();
    }
    atomic_store(&archive->position, to);
    wal_hold_move(archive->wal, &archive->hold, to);
    return OP_OK;
}

/* Copies what is full, and everything when it is time.  Under the mutex. */
static int copy_some(struct op *op, struct wal__archive *archive, bool everything)
{
    struct wal *wal = archive->wal;
    uint64_t now = os_clock_ns();
    everything = everything || now - archive->copied_ns >= wal->options.archive_timeout_us * 1000;
    for (;;) {
        struct wal_piece piece;
        if (wal_stream_next(op, wal, atomic_load(&archive->position), &piece))
            return OP_FAILED;
        bool full = piece.to % wal->payload == 0 || piece.epoch < wal->epoch;
        if (piece.from == piece.to || (!full && !everything))
            break;
        if (copy_piece(op, archive, &piece))
            return OP_FAILED;
    }
    if (everything)
        archive->copied_ns = now;
    return OP_OK;
}

static int copy_noted(struct op *op, struct wal__archive *archive, bool everything)
{
    os_mutex_lock(&archive->mutex);
    Lsn before = atomic_load(&archive->position);
    int result = copy_some(op, archive, everything);
    archive->last_error[0] = '\0';
    if (result) {
        archive->failures++;
        archive->last_failure_us = os_wall_us();
        snprintf(archive->last_error, sizeof(archive->last_error), "%s", op->error.message);
    }
    bool moved = atomic_load(&archive->position) != before;
    os_mutex_unlock(&archive->mutex);
    if (moved)
        wal_release(archive->wal, archive->wal->released);
    return result;
}

static void run(void *arg)
{
    struct wal__archive *archive = arg;
    struct op op;
    op_init(&op);
    while (!atomic_load(&archive->stop) && !atomic_load(&archive->wal->broken)) {
        uint32_t seen = atomic_load(&archive->word);
        int failed = copy_noted(&op, archive, false);
        op_reset(&op);
        uint64_t pause = archive->wal->options.archive_timeout_us * 1000;
        if (failed || pause > RETRY_NS)
            pause = RETRY_NS;
        if (!atomic_load(&archive->stop))
            os_wait_word(&archive->word, seen, os_clock_ns() + pause);
    }
    op_end(&op);
}

/* ---- life ----------------------------------------------------------------------------------------- */

/* Where the archive of this log ends: goes from the oldest segment that has a file from file to file (A2). */
static int find_position(struct op *op, struct wal__archive *archive, Lsn oldest)
{
    struct wal *wal = archive->wal;
    struct wal_history history;
    Lsn found = 0;
    history_of(wal, &history);
    for (uint64_t after = 0; found == 0;) {
        uint64_t number = UINT64_MAX;
        for (size_t i = 0; i < wal->slot_count; i++)
            if (wal->slots[i].number > after && wal->slots[i].number < number)
                number = wal->slots[i].number;
        if (number == UINT64_MAX || number > oldest / wal->payload)
            break;
        struct wal_archive_file file;
        if (wal_archive_open(op, wal->vfs, archive->directory, &history, number * wal->payload, &file))
            op_clear_error(op);     /* it will be met again, by the archiver */
        else if (file.file && file.piece.log_id == wal->identity.log_id)
            found = number * wal->payload;
        wal_archive_close(&file);
        after = number;
    }
    while (found != 0) {
        struct wal_archive_file file;
        if (wal_archive_follow(op, wal->vfs, archive->directory, &history, wal->options.segment_size, found, &file)) {
            op_clear_error(op);
            break;
        }
        bool more = file.file && file.piece.log_id == wal->identity.log_id;
        if (more)
            found = file.piece.to;
        wal_archive_close(&file);
        if (!more)
            break;
    }
    /* With a gap before what restart needs, the archive begins anew. */
    uint64_t offset, epoch;
    Lsn begin = oldest / wal->payload * wal->payload;
    bool whole = found != 0;
    for (Lsn at = found; whole && at < begin; at += wal->payload)
        whole = wal__locate(wal, at, &offset, &epoch);
    atomic_store(&archive->position, whole ? found : begin);
    return OP_OK;
}

int wal__archive_open(struct op *op, struct wal *wal, Lsn oldest)
{
    if (!wal->options.archive_directory)
        return OP_OK;
    struct wal__archive *archive = mem_calloc(1, sizeof(*archive));
    if (!archive)
        return op_out_of_memory(op);
    os_mutex_init(&archive->mutex, RANK_WAL_ARCHIVE);
    archive->wal = wal;
    archive->copied_ns = os_clock_ns();
    wal->archive = archive;
    archive->directory = mem_strdup(wal->options.archive_directory);
    if (!archive->directory)
        return op_out_of_memory(op);
    if (find_position(op, archive, oldest))
        return OP_FAILED;
    wal_hold(wal, &archive->hold, atomic_load(&archive->position), false);
    return OP_OK;
}

int wal__archive_start(struct op *op, struct wal *wal)
{
    if (!wal->archive)
        return OP_OK;
    return os_thread_start(op, run, wal->archive, "isolde-archiver", &wal->archive->thread);
}

void wal__archive_wake(struct wal *wal)
{
    if (!wal->archive)
        return;
    atomic_fetch_add(&wal->archive->word, 1);
    os_wake_word(&wal->archive->word, 1);
}

static void stop(struct wal__archive *archive)
{
    if (!archive->thread)
        return;
    atomic_store(&archive->stop, true);
    atomic_fetch_add(&archive->word, 1);
    os_wake_word(&archive->word, 1);
    os_thread_join(archive->thread);
    archive->thread = NULL;
}

void wal__archive_close(struct wal *wal)
{
    struct wal__archive *archive = wal->archive;
    if (!archive)
        return;
    stop(archive);
    wal_hold_end(wal, &archive->hold);
    os_mutex_destroy(&archive->mutex);
    mem_free(archive->directory);
    mem_free(archive);
    wal->archive = NULL;
}

int wal_archive_rest(struct op *op, struct wal *wal, bool last)
{
    if (!wal->archive)
        return OP_OK;
    if (last)
        stop(wal->archive);
    return wal_flush(op, wal, wal_end(wal) - 1) || copy_noted(op, wal->archive, true) ? OP_FAILED : OP_OK;
}

int wal__archive_check(struct op *op, struct wal *wal)
{
    struct wal__archive *archive = wal->archive;
    if (!archive || wal->options.archive_limit == 0 ||
        wal_end(wal) - atomic_load(&archive->position) <= wal->options.archive_limit)
        return OP_OK;
    char error[sizeof(archive->last_error)];
    os_mutex_lock(&archive->mutex);
    memcpy(error, archive->last_error, sizeof(error));
    os_mutex_unlock(&archive->mutex);
    op_fail(op, "53400", "more log waits for the archive than archive_limit allows");
    op_detail(op, "%s", error[0] ? error : "The archiver is slower than the writers.");
    op_hint(op, "See that files can be written to \"%s\"; writing goes on by itself then.", archive->directory);
    return OP_FAILED;
}

void wal_archive_status(struct wal *wal, struct wal_archive_status *status)
{
    struct wal__archive *archive = wal->archive;
    *status = (struct wal_archive_status){.end = wal_end(wal), .limit = wal->options.archive_limit};
    if (!archive)
        return;
    snprintf(status->directory, sizeof(status->directory), "%s", archive->directory);
    status->archived = atomic_load(&archive->position);
    os_mutex_lock(&archive->mutex);
    status->files = archive->files;
    status->failures = archive->failures;
    status->last_file_us = archive->last_file_us;
    status->last_failure_us = archive->last_failure_us;
    memcpy(status->last_error, archive->last_error, sizeof(status->last_error));
    os_mutex_unlock(&archive->mutex);
}
