/*
 * open.c -- making a log file, and opening one that was left behind.
 *
 * The file's head binds it to its database by ids that are also in the database file's header.  Its second
 * sector names the process that has the database open, for the message that a second one gets.
 */
#include "wal/wal_int.h"

#include <stdio.h>
#include <string.h>

#include "src/base/hash.h"
#include "src/base/mem.h"

enum { FIRST_SLOTS = 2, SEGMENTS_LEAST = 4, SEGMENT_DEFAULT = 4 << 20 };

static int check_options(struct op *op, struct wal_options *options)
{
    if (options->max_wal_size == 0)
        options->max_wal_size = 256u << 20;
    if (options->segment_size == 0) {
        options->segment_size = SEGMENT_DEFAULT;
        while (options->segment_size > WAL__SEGMENT_MIN && options->segment_size > options->max_wal_size / 16)
            options->segment_size /= 2;
    }
    if (options->buffer_size == 0)
        options->buffer_size = 4u << 20;
    if (options->flush_delay_us == 0)
        options->flush_delay_us = 10000;
    if (options->archive_timeout_us == 0)
        options->archive_timeout_us = UINT64_C(60) * 1000 * 1000;
    if (options->archive_limit == 0)
        options->archive_limit = 16 * options->max_wal_size;
    uint32_t segment = options->segment_size, buffer = options->buffer_size;
    if ((segment & (segment - 1)) || segment < WAL__SEGMENT_MIN || segment > WAL__SEGMENT_MAX)
        return op_fail(op, "22023", "log segment size %u is not a power of two between %d and %d", segment,
                       WAL__SEGMENT_MIN, WAL__SEGMENT_MAX);
    if ((buffer & (buffer - 1)) || buffer < WAL__BUFFER_MIN)
        return op_fail(op, "22023", "log buffer size %u is not a power of two of at least %d", buffer, WAL__BUFFER_MIN);
    if (options->max_wal_size < (uint64_t)SEGMENTS_LEAST * segment)
        return op_fail(op, "22023", "max_wal_size of %llu bytes is less than %d segments of %u bytes",
                       (unsigned long long)options->max_wal_size, SEGMENTS_LEAST, segment);
    return OP_OK;
}

/* Memory and latches; no file yet. */
static int wal_new(struct op *op, struct vfs *vfs, const char *path, const struct wal_identity *identity,
                   const struct wal_options *options, struct wal **out)
{
    struct wal *wal = mem_alloc_aligned(alignof(struct wal), sizeof(*wal));
    if (!wal)
        return op_out_of_memory(op);
    memset(wal, 0, sizeof(*wal));
    os_mutex_init(&wal->append_latch, RANK_WAL_BUFFER);
    os_mutex_init(&wal->carry_latch, RANK_WAL_CARRY);
    os_mutex_init(&wal->flush_latch, RANK_WAL_FLUSH);
    os_mutex_init(&wal->segments_latch, RANK_WAL_SEGMENTS);
    os_cond_init(&wal->write_free);
    os_cond_init(&wal->grown);
    os_cond_init(&wal->carry_done);
    wal->vfs = vfs;
    wal->options = *options;
    wal->identity = *identity;
    wal->base = UINT64_MAX;
    *out = wal;
    if (check_options(op, &wal->options))
        return OP_FAILED;
    wal->payload = wal->options.segment_size - WAL__BLOCK;
    wal->path = mem_strdup(path);
    wal->buffer = mem_alloc_aligned(WAL__BLOCK, wal->options.buffer_size);
    wal->bounce = mem_alloc_aligned(WAL__BLOCK, WAL__BOUNCE_BYTES);
    return wal->path && wal->buffer && wal->bounce ? OP_OK : op_out_of_memory(op);
}

static int write_owner(struct op *op, struct wal *wal)
{
    uint8_t sector[WAL__OWNER_AT] __attribute__((aligned(8))) = {0};
    struct wal__owner owner = {.pid = os_pid()};
    os_hostname(owner.host, sizeof(owner.host));
    owner.host[sizeof(owner.host) - 1] = '\0';
    owner.crc = crc32c(0, &owner, offsetof(struct wal__owner, crc));
    memcpy(sector, &owner, sizeof(owner));
    return os_write(op, wal->file, WAL__OWNER_AT, sector, sizeof(sector));
}

void wal_read_owner(struct vfs *vfs, const char *path, uint64_t *pid, char *host, size_t host_size)
{
    struct op op;
    struct os_file *file = NULL;
    struct wal__owner owner;
    size_t got = 0;
    *pid = 0;
    host[0] = '\0';
    op_init(&op);
    if (os_open(&op, vfs, path, OS_OPEN_READ_ONLY, &file) == OP_OK &&
        os_read(&op, file, WAL__OWNER_AT, &owner, sizeof(owner), &got) == OP_OK && got == sizeof(owner) &&
        owner.crc == crc32c(0, &owner, offsetof(struct wal__owner, crc))) {
        *pid = owner.pid;
        snprintf(host, host_size, "%.*s", (int)sizeof(owner.host), owner.host);
    }
    os_close(file);
    op_end(&op);
}

static int write_file_head(struct op *op, struct wal *wal)
{
    uint8_t block[WAL__BLOCK] __attribute__((aligned(8))) = {0};
    wal__fill_file_head(block, &wal->identity, wal->options.segment_size);
    if (os_write(op, wal->file, 0, block, sizeof(block)))
        return OP_FAILED;
    return write_owner(op, wal);
}

/* Appends go on at `lsn`. */
static void start_at(struct wal *wal, Lsn lsn)
{
    wal->seed = wal__seed(&wal->identity, wal->epoch);
    wal->base = lsn;
    wal->marked = lsn;
    atomic_store(&wal->end, lsn);
    atomic_store(&wal->filled, lsn);
    atomic_store(&wal->written, lsn);
    atomic_store(&wal->durable, lsn);
    atomic_store(&wal->redo, lsn);
    atomic_store(&wal->limit, lsn + wal->options.buffer_size);
    wal->started = true;
}

int wal__begin_epoch(struct op *op, struct wal *wal, uint64_t epoch, uint64_t number, Lsn previous_end)
{
    wal->epoch = epoch;
    wal->epoch_start = number * wal->payload;
    wal->previous_end = previous_end;
    wal->newest = number;
    wal__update_capacity(wal);
    if (wal__open_segment(op, wal, number))
        return OP_FAILED;
    if (os_sync(op, wal->file)) {
        wal__break(wal, op->error.message);
        return OP_FAILED;
    }
    start_at(wal, wal->epoch_start);
    return OP_OK;
}

int wal_create(struct op *op, struct vfs *vfs, const char *path, const struct wal_identity *identity, Lsn highest,
               const struct wal_options *options, struct wal **out)
{
    *out = NULL;
    struct wal *wal = NULL;
    if (wal_new(op, vfs, path, identity, options, &wal) || os_remove(op, vfs, path) ||
        os_open(op, vfs, path, OS_OPEN_CREATE | OS_OPEN_EXCLUSIVE, &wal->file) || write_file_head(op, wal))
        goto failed;
    /* One sync for all, when the epoch begins. */
    for (size_t i = 0; i < FIRST_SLOTS; i++)
        if (wal__write_zeros(op, wal, wal__slot_offset(wal, i)) || wal__add_slot(op, wal, &(struct wal__slot){0}))
            goto failed;
    if (wal__begin_epoch(op, wal, 1, highest / wal->payload + 1, highest) || wal__archive_open(op, wal, wal_end(wal)))
        goto failed;
    *out = wal;
    return OP_OK;
failed:
    wal_abandon(wal);
    return OP_FAILED;
}

static int read_file_head(struct op *op, struct wal *wal)
{
    struct wal__file_head head;
    size_t got;
    if (os_read(op, wal->file, 0, &head, sizeof(head), &got))
        return OP_FAILED;
    if (got < sizeof(head) || memcmp(head.magic, WAL__FILE_MAGIC, sizeof(head.magic)) != 0 ||
        head.crc != crc32c(0, &head, offsetof(struct wal__file_head, crc)))
        return op_fail(op, "XX001", "\"%s\" is not a log, or its head is damaged", wal->path);
    if (head.format > WAL__FORMAT)
        return op_fail(op, "0A000", "log \"%s\" has the newer format %u", wal->path, head.format);
    if (memcmp(head.database_id, wal->identity.database_id, sizeof(head.database_id)) != 0 ||
        head.log_id != wal->identity.log_id) {
        op_fail(op, "XX001", "log \"%s\" belongs to another database", wal->path);
        op_detail(op, "The database was not closed cleanly, and names another log.");
        return OP_FAILED;
    }
    uint32_t size = head.segment_size;
    if ((size & (size - 1)) || size < WAL__SEGMENT_MIN || size > WAL__SEGMENT_MAX)
        return op_fail(op, "XX001", "log \"%s\" has the impossible segment size %u", wal->path, size);
    wal->options.segment_size = size;
    wal->payload = size - WAL__BLOCK;
    if (wal->options.max_wal_size < (uint64_t)SEGMENTS_LEAST * size)
        wal->options.max_wal_size = (uint64_t)SEGMENTS_LEAST * size;    /* the log was made for more */
    return OP_OK;
}

/* Prepared slots are all zeros, and a head is one sector: power cuts leave no half of one. */
static bool is_spoilt(const struct wal__segment_head *head, uint32_t crc)
{
    static const struct wal__segment_head none;
    return (head->magic != WAL__SEGMENT_MAGIC || head->crc != crc) && memcmp(head, &none, sizeof(none)) != 0;
}

/* The older of two slots that claim the same segment is free. */
static void drop_double(struct wal *wal)
{
    struct wal__slot *newest = &wal->slots[wal->slot_count - 1];
    for (size_t i = 0; newest->number != 0 && i + 1 < wal->slot_count; i++) {
        struct wal__slot *other = &wal->slots[i];
        if (other->number != newest->number)
            continue;
        *(other->epoch < newest->epoch ? other : newest) = (struct wal__slot){0};
        wal->free_count++;
    }
}

static int read_segment_heads(struct op *op, struct wal *wal)
{
    uint64_t size;
    if (os_size(op, wal->file, &size))
        return OP_FAILED;
    uint64_t count = size < WAL__BLOCK ? 0 : (size - WAL__BLOCK) / wal->options.segment_size;
    for (uint64_t i = 0; i < count; i++) {
        struct wal__segment_head head;
        struct wal__slot slot = {0};
        size_t got;
        if (os_read(op, wal->file, wal__slot_offset(wal, i), &head, sizeof(head), &got))
            return OP_FAILED;
        uint32_t crc = crc32c(0, &head.log_id, sizeof(head) - offsetof(struct wal__segment_head, log_id));
        if (got == sizeof(head) && head.magic == WAL__SEGMENT_MAGIC && head.crc == crc &&
            head.log_id == wal->identity.log_id && head.number != 0 && head.number < UINT64_MAX / wal->payload - 1)
            slot = (struct wal__slot){head.number, head.epoch, head.epoch_start, head.previous_end};
        else if (got == sizeof(head) && is_spoilt(&head, crc))
            wal->spoilt_heads++;
        if (wal__add_slot(op, wal, &slot))
            return OP_FAILED;
        drop_double(wal);
    }
    return OP_OK;
}

int wal_open(struct op *op, struct vfs *vfs, const char *path, const struct wal_identity *identity,
             const struct wal_options *options, struct wal **out)
{
    *out = NULL;
    struct wal *wal = NULL;
    if (wal_new(op, vfs, path, identity, options, &wal) || os_open(op, vfs, path, 0, &wal->file))
        goto failed;
    if (read_file_head(op, wal) || write_owner(op, wal) || os_sync(op, wal->file) || read_segment_heads(op, wal))
        goto failed;
    *out = wal;
    return OP_OK;
failed:
    wal_abandon(wal);
    return OP_FAILED;
}
