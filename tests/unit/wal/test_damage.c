/*
 * test_damage.c -- one bit is changed in every place of a log, and restart must notice each.
 *
 * The log has two epochs of several segments, records of many sizes that cross from one to the next, and a flush mark before each flush.
 * The test walks its bytes by itself, as man/isolde-format.5 describes them, and so knows of each place what it belongs to and which
 * proofs of durability are left when it is spoilt:
 *
 *      below a proof           refused, XX001; redo never goes beyond the place
 *      above all proofs        the tail: cut there, and told
 *      padding, owner          nothing is lost
 *
 * SEED= chooses the bits, COUNT= how many places of each record's payload are tried beside all of its head.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/base/endian.h"
#include "src/base/rng.h"
#include "src/os/fault.h"
#include "wal/format.h"
#include "wal/wal_open.h"

enum { ROW = WAL_BTREE_FIRST, SEGMENT = WAL__SEGMENT_MIN, PAYLOAD = SEGMENT - WAL__BLOCK, PER_LIFE = 45, RECORDS_MAX = 400, SLOTS_MAX = 16 };

static const struct wal_identity identity = {.database_id = "0123456789abcde", .log_id = 42};
static struct rng rng;
static uint64_t seed, count, trials;

/* A record, as found by the test's own walk. */
struct place {
    Lsn lsn;
    uint32_t len;
    uint8_t type;
    uint64_t epoch, number;     /* number: what a row carries, or a flush mark proves */
};

static struct {
    struct op op;
    struct vfs *disk;
    struct wal_options options;
    struct wal_start start;
    uint8_t *bytes;             /* the file */
    size_t size;
    uint64_t slots[SLOTS_MAX];  /* segment numbers, 0: free */
    struct place places[RECORDS_MAX];
    size_t place_count, row_count;
} log_;

/* ---- making it ------------------------------------------------------------------------------------ */

struct seen {
    size_t count;
    Lsn last;
};

static int redo(void *context, struct op *op, const struct wal_record *record)
{
    struct seen *seen = context;

    (void)op;
    assert_int_equal(get_u64(record->payload.data), seen->count);
    seen->count++;
    seen->last = record->lsn;
    return OP_OK;
}

static int reopen(struct vfs *disk, struct seen *seen, struct wal **wal, struct wal_restart *restart)
{
    struct wal_handlers handlers = {.context = seen, .redo = redo};

    *seen = (struct seen){0};
    *wal = NULL;
    *restart = (struct wal_restart){0};
    op_reset(&log_.op);
    return wal_open(&log_.op, disk, "log", &identity, &log_.options, wal) != OP_OK ||
           wal_restart(&log_.op, *wal, &log_.start, &handlers, &log_.op.arena, restart) != OP_OK;
}

static void append_some(struct wal *wal, uint64_t from)
{
    static uint8_t bytes[3000];
    struct wal_chain chain = {.txn = 7 + from};

    for (uint64_t i = from; i < from + PER_LIFE; i++) {
        memset(bytes, (int)(i + 1), sizeof bytes);
        put_u64(bytes, i);
        struct bytes part = {bytes, 8 + i * 397 % 1900};
        Lsn lsn = wal_append(wal, i % 4 == 0 ? NULL : &chain, ROW, 0, &part, 1);
        if (i % 3 == 2)
            assert_int_equal(wal_flush(&log_.op, wal, lsn), 0);
    }
}

static void make_log(void)
{
    struct wal *wal;
    struct seen seen;
    struct wal_restart restart;

    op_init(&log_.op);
    log_.disk = fault_vfs_new(1);
    log_.options = (struct wal_options){.segment_size = SEGMENT, .buffer_size = 65536, .max_wal_size = 14 * SEGMENT};
    assert_int_equal(wal_create(&log_.op, log_.disk, "log", &identity, 0, &log_.options, &wal), 0);
    log_.start.redo = log_.start.proven = wal_end(wal);
    append_some(wal, 0);
    wal_abandon(wal);
    fault_power_on(log_.disk, FAULT_LOSE_ALL, 1);
    assert_int_equal(reopen(log_.disk, &seen, &wal, &restart), 0);
    assert_int_equal(seen.count, PER_LIFE);
    append_some(wal, PER_LIFE);
    wal_abandon(wal);
    fault_power_on(log_.disk, FAULT_LOSE_ALL, 1);
}

/* ---- walking it ----------------------------------------------------------------------------------- */

static uint64_t offset_of(Lsn lsn)
{
    for (size_t i = 0; i < SLOTS_MAX; i++)
        if (log_.slots[i] == lsn / PAYLOAD)
            return WAL__BLOCK + i * SEGMENT + WAL__BLOCK + lsn % PAYLOAD;
    fail_msg("no segment for %" PRIX64, lsn);
    return 0;
}

static uint8_t byte_at(Lsn lsn)
{
    return log_.bytes[offset_of(lsn)];
}

static uint64_t number_at(Lsn lsn, int bytes)
{
    uint64_t number = 0;

    for (int i = bytes; i-- > 0;)
        number = number << 8 | byte_at(lsn + (Lsn)i);
    return number;
}

static void walk_epoch(uint64_t epoch, Lsn from, Lsn *end)
{
    for (*end = from; number_at(*end, 4) != 0;) {
        uint8_t flags = byte_at(*end + 9);
        Lsn payload = *end + (flags & WAL__HAS_TXN ? WAL__HEAD_TXN : WAL__HEAD_SYSTEM);
        struct place place = {*end, (uint32_t)number_at(*end, 4), byte_at(*end + 8), epoch, number_at(payload, 8)};
        assert_true(log_.place_count < RECORDS_MAX && (place.type == ROW || place.type == WAL_FLUSH_MARK));
        log_.row_count += place.type == ROW;
        log_.places[log_.place_count++] = place;
        *end += wal__align(place.len);
    }
}

static void walk_log(void)
{
    struct os_file *file;
    uint64_t size, later = 0;
    Lsn end;

    assert_int_equal(os_open(&log_.op, log_.disk, "log", 0, &file), 0);
    assert_int_equal(os_size(&log_.op, file, &size), 0);
    log_.bytes = calloc(1, size);
    assert_int_equal(os_read(&log_.op, file, 0, log_.bytes, size, &log_.size), 0);
    os_close(file);
    for (size_t i = 0; WAL__BLOCK + i * SEGMENT < size; i++) {
        const uint8_t *head = log_.bytes + WAL__BLOCK + i * SEGMENT;
        assert_true(i < SLOTS_MAX);
        log_.slots[i] = get_u64(head + 16);
        if (get_u64(head + 24) == 2)
            later = get_u64(head + 32);
    }
    walk_epoch(1, log_.start.redo, &end);
    walk_epoch(2, later, &end);
    assert_int_equal(log_.row_count, 2 * PER_LIFE);
}

/* ---- spoiling it ---------------------------------------------------------------------------------- */

/* The last LSN that is proven when this record cannot be read. */
static Lsn proof_without(const struct place *spoilt)
{
    Lsn proven = log_.start.proven;

    for (size_t i = 0; i < log_.place_count; i++) {
        const struct place *place = &log_.places[i];
        if (place->epoch > spoilt->epoch)
            return UINT64_MAX;      /* it was begun behind the end of the one before */
        if (place != spoilt && place->type == WAL_FLUSH_MARK && place->number > proven)
            proven = place->number;
    }
    return proven;
}

static size_t rows_before(const struct place *place)
{
    size_t rows = 0;

    for (const struct place *before = log_.places; before < place; before++)
        rows += before->type == ROW;
    return rows;
}

static void demand(bool good, const char *what, uint64_t offset, int bit)
{
    if (!good)
        fail_msg("byte %" PRIu64 ", bit %d (SEED=%" PRIu64 "): %s: %s %s", offset, bit, seed, what, log_.op.error.sqlstate,
                 log_.op.error.message ? log_.op.error.message : "");
}

static void spoil(uint64_t offset, const struct place *place, bool matters, bool *was_refused)
{
    struct vfs *disk = fault_copy(log_.disk);
    struct wal *wal;
    struct seen seen;
    struct wal_restart restart;
    int bit = (int)rng_below(&rng, 8);

    trials++;
    assert_int_equal(fault_flip_bit(&log_.op, disk, "log", offset, bit), 0);
    bool refused = reopen(disk, &seen, &wal, &restart) != 0;
    if (!matters) {
        demand(!refused && seen.count == log_.row_count, "nothing is lost", offset, bit);
    } else if (!place || proof_without(place) > place->lsn) {
        demand(refused && strcmp(log_.op.error.sqlstate, "XX001") == 0, "refused", offset, bit);
        demand(!place || seen.count == rows_before(place), "redo stops there", offset, bit);
    } else {
        demand(!refused && seen.count == rows_before(place), "cut there", offset, bit);
        demand(restart.cut_at == place->lsn, "and told so", offset, bit);
    }
    *was_refused = refused;
    wal_abandon(wal);
    os_vfs_destroy(disk);
}

static void every_record_that_is_spoilt_is_cut_or_refused(void **state)
{
    size_t cut = 0, refused = 0;

    (void)state;
    for (size_t i = 0; i < log_.place_count; i++) {
        const struct place *place = &log_.places[i];
        uint32_t head = place->len < WAL__HEAD_CLR ? place->len : WAL__HEAD_CLR;
        bool was_refused;
        for (uint32_t at = 0; at < head + count; at++) {
            uint32_t byte = at < head ? at : (uint32_t)rng_below(&rng, place->len);
            spoil(offset_of(place->lsn + byte), place, true, &was_refused);
            *(was_refused ? &refused : &cut) += 1;
        }
        for (Lsn at = place->len; at < wal__align(place->len); at++)
            spoil(offset_of(place->lsn + at), place, false, &was_refused);
    }
    assert_true(cut > 0 && refused > 10 * cut);
}

static void every_head_that_is_spoilt_is_refused(void **state)
{
    bool refused;

    (void)state;
    for (uint64_t at = 0; at < sizeof(struct wal__file_head); at++)
        spoil(at, NULL, true, &refused);
    for (uint64_t at = 0; at < sizeof(struct wal__owner); at++)
        spoil(WAL__OWNER_AT + at, NULL, false, &refused);
    for (size_t i = 0; i < SLOTS_MAX; i++)
        for (uint64_t at = 0; log_.slots[i] != 0 && at < sizeof(struct wal__segment_head); at++)
            spoil(WAL__BLOCK + i * SEGMENT + at, NULL, true, &refused);
}

/* A sector that the disk has lost looks as if its segment had never been begun; what follows tells. */
static void a_segment_that_is_gone_is_missed(void **state)
{
    static const uint8_t none[512];
    uint64_t last = 0;

    (void)state;
    for (size_t i = 0; i < SLOTS_MAX; i++)
        last = log_.slots[i] > last ? log_.slots[i] : last;
    for (size_t i = 0; i < SLOTS_MAX; i++) {
        struct vfs *disk = fault_copy(log_.disk);
        struct os_file *file;
        struct wal *wal;
        struct seen seen;
        struct wal_restart restart;
        if (log_.slots[i] != 0 && log_.slots[i] != last) {
            assert_int_equal(os_open(&log_.op, disk, "log", 0, &file), 0);
            assert_int_equal(os_write(&log_.op, file, WAL__BLOCK + i * SEGMENT, none, sizeof none), 0);
            os_close(file);
            assert_int_not_equal(reopen(disk, &seen, &wal, &restart), 0);
            assert_string_equal(log_.op.error.sqlstate, "XX001");
            wal_abandon(wal);
            trials++;
        }
        os_vfs_destroy(disk);
    }
}

/* Salvage reads as far as the log goes, and says that more was there. */
static void salvage_reads_up_to_the_damage(void **state)
{
    (void)state;
    log_.start.tolerant = true;
    for (size_t i = 0; i < log_.place_count; i++) {
        const struct place *place = &log_.places[i];
        struct vfs *disk = fault_copy(log_.disk);
        struct wal *wal;
        struct seen seen;
        struct wal_restart restart;
        assert_int_equal(fault_flip_bit(&log_.op, disk, "log", offset_of(place->lsn + 8), 0), 0);
        assert_int_equal(reopen(disk, &seen, &wal, &restart), 0);
        assert_int_equal(seen.count, rows_before(place));
        assert_int_equal(restart.damaged, proof_without(place) > place->lsn);
        wal_abandon(wal);
        os_vfs_destroy(disk);
        trials++;
    }
    log_.start.tolerant = false;
}

static void salvage_passes_over_a_damaged_head(void **state)
{
    struct vfs *disk = fault_copy(log_.disk);
    struct wal *wal;
    struct seen seen;
    struct wal_restart restart;

    (void)state;
    log_.start.tolerant = true;
    assert_int_equal(fault_flip_bit(&log_.op, disk, "log", WAL__BLOCK + SEGMENT + 20, 3), 0);
    assert_int_equal(reopen(disk, &seen, &wal, &restart), 0);
    assert_true(restart.damaged && seen.count > 0 && seen.count < log_.row_count);
    wal_abandon(wal);
    os_vfs_destroy(disk);
    log_.start.tolerant = false;
}

/* Rollback reads records one by one, by links that lead to them. */
static void a_record_that_is_damaged_while_the_log_is_in_use_is_not_believed(void **state)
{
    static const struct { uint32_t byte; const char *rule; } cases[] = {
        {0, "checksum"}, {3, "length"}, {5, "checksum"}, {8, "checksum"}, {12, "checksum"},
    };
    struct wal *wal;
    struct seen seen;
    struct wal_restart restart;
    struct wal_record record;
    struct vfs *disk = fault_copy(log_.disk);
    const struct place *place = &log_.places[3];

    (void)state;
    assert_int_equal(reopen(disk, &seen, &wal, &restart), 0);
    assert_int_equal(wal_read(&log_.op, wal, place->lsn, &log_.op.arena, &record), 0);
    assert_int_equal(record.next_lsn, place->lsn + wal__align(place->len));
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint64_t offset = offset_of(place->lsn + cases[i].byte);
        assert_int_equal(fault_flip_bit(&log_.op, disk, "log", offset, 4), 0);
        assert_int_equal(wal_read(&log_.op, wal, place->lsn, &log_.op.arena, &record), OP_FAILED);
        assert_string_equal(log_.op.error.sqlstate, "XX001");
        assert_non_null(strstr(log_.op.error.detail, cases[i].rule));
        op_reset(&log_.op);
        assert_int_equal(fault_flip_bit(&log_.op, disk, "log", offset, 4), 0);
    }
    assert_int_equal(wal_read(&log_.op, wal, 1000 * (Lsn)PAYLOAD, &log_.op.arena, &record), OP_FAILED);
    assert_non_null(strstr(log_.op.error.detail, "segment"));
    op_reset(&log_.op);
    wal_abandon(wal);
    os_vfs_destroy(disk);
}

static uint64_t number_of_run(const char *name, uint64_t usual)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 10) : usual;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_record_that_is_spoilt_is_cut_or_refused),
        cmocka_unit_test(every_head_that_is_spoilt_is_refused),
        cmocka_unit_test(a_segment_that_is_gone_is_missed),
        cmocka_unit_test(salvage_reads_up_to_the_damage),
        cmocka_unit_test(salvage_passes_over_a_damaged_head),
        cmocka_unit_test(a_record_that_is_damaged_while_the_log_is_in_use_is_not_believed),
    };

    seed = number_of_run("SEED", 1);
    count = number_of_run("COUNT", 6);
    rng_seed(&rng, seed);
    make_log();
    walk_log();
    int failures = cmocka_run_group_tests_name("damage", tests, NULL, NULL);
    printf("test_damage seed=%" PRIu64 " count=%" PRIu64 " failures=%d\n", seed, trials, failures);
    os_vfs_destroy(log_.disk);
    op_end(&log_.op);
    free(log_.bytes);
    return failures != 0;
}
