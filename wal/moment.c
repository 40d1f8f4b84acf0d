/*
 * moment.c -- which LSN was it at half past two?
 *
 * Commits carry the wall clock as of just before they got their LSN, so two that commit together may have clocks and LSNs in different order.
 * The first commit whose clock lies behind the target ends the search: everything that had been acknowledged by then has a lower
 * LSN, and nothing that began to commit later has.
 */
#include "wal/wal_int.h"

static bool is_behind(const struct wal_record *record, const struct wal_target *target)
{
    if (target->by_lsn)
        return record->lsn > target->lsn;
    return target->by_time && record->type == WAL_COMMIT && record->payload.len >= 8 &&
           (int64_t)get_u64(record->payload.data) > target->time_us;
}

static int search(struct op *op, struct wal__reader *reader, const struct wal_target *target, struct wal_moment *moment)
{
    for (;;) {
        struct wal_record record;
        bool found;
        if (wal__reader_next(op, reader, &record, &found) || op_check_cancel(op))
            return OP_FAILED;
        moment->cut = reader->pos;
        if (!found)
            return OP_OK;
        if (is_behind(&record, target)) {
            moment->reached = true;
            moment->cut = record.lsn;
            return OP_OK;
        }
        moment->last = record.lsn;
        if (record.type == WAL_COMMIT && record.payload.len >= 8) {
            moment->commits++;
            moment->last_commit_us = (int64_t)get_u64(record.payload.data);
        }
    }
}

int wal_find_moment(struct op *op, struct vfs *vfs, const char *path, const struct wal_identity *identity, Lsn from,
                    const struct wal_target *target, struct wal_moment *moment)
{
    struct wal_options options = {0};
    struct wal__reader reader = {0};
    struct wal *wal;
    *moment = (struct wal_moment){.cut = from};
    if (wal_open(op, vfs, path, identity, &options, &wal))
        return OP_FAILED;
    int result = wal__reader_open(op, wal, from, &reader);
    if (result == OP_OK)
        result = search(op, &reader, target, moment);
    wal__reader_close(&reader);
    wal_abandon(wal);
    return result;
}
