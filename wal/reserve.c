/*
 * reserve.c -- room in the log: who gets it at once, who waits for it, and what is kept for whom.
 *
 * Whoever is going to append reserves the bytes first, while he can still fail and wait.  What undo of a change will take is promised
 * with the change, and kept until the transaction ends.  Together:
 *
 *      first kept segment                 end                                  ceiling
 *        |   records                       | reserved | promised | slack | headroom |
 *        |<------------------------------- max_wal_size --------------------------->|
 *
 * The ring may be made larger up to max_wal_size at any time (`capacity` follows).  Beyond it the log grows only for those who may
 * not wait: undo, checkpoints and the copies they carry.  Everybody else waits until a checkpoint has set segments free, and while
 * there is something for it to free, it comes at once, whatever its pace would be.  So what waits for nobody always finds its room
 * below the limit: slack for flush marks and the checkpoint's record, headroom for what it carries.
 *
 * No checkpoint can help when segments are kept for a transaction that is too large to be carried, or for a backup or an archive that
 * lags behind: then the log exceeds the limit.  Nor is there one when the disk of the pages is full; it says so (wal_give_up).
 *
 * P1  end + reserved + promised + slack <= capacity, but for what undo has taken of the slack (S3).
 * P2  What a change reserves lies below the ceiling less the headroom, as long as a checkpoint could make room there.
 * P3  Who waits here holds no latch, and no mutex that a checkpoint wants.
 */
#include <string.h>

#include "src/base/planted.h"
#include "wal/wal_int.h"

enum { SLACK_BYTES = 65536 };

/* With two slots, a checkpoint can always make this room. */
uint64_t wal__slack(const struct wal *wal)
{
    uint64_t half = wal->payload / 2;
    return half < SLACK_BYTES ? half : SLACK_BYTES;
}

uint64_t wal_carry_room(const struct wal *wal)
{
    return wal_room(wal) / 8;
}

/* ---- waiting for a checkpoint --------------------------------------------------------------------- */

/* Pages are written more slowly than they are changed: who makes changes waits, before what is left is needed. */
static bool is_ahead(const struct wal *wal)
{
    Lsn redo = atomic_load_explicit(&wal->redo, memory_order_relaxed);
    return wal_end(wal) - redo > wal_room(wal) / 3 * 2 && redo != atomic_load(&wal->stuck) && !atomic_load(&wal->broken);
}

/* Does what is reserved reach beyond what changes may take of max_wal_size? */
static bool is_crowded(const struct wal *wal)
{
    return wal_end(wal) + atomic_load(&wal->reserved) + atomic_load(&wal->promised) + wal__slack(wal) + wal_carry_room(wal) >
           atomic_load(&wal->ceiling);
}

/* Would a checkpoint set a segment free? */
static bool can_be_helped(const struct wal *wal)
{
    Lsn redo = atomic_load(&wal->redo);
    return wal->hurry && !atomic_load(&wal->broken) && redo != atomic_load(&wal->stuck) && !atomic_load(&wal->pinned) &&
           redo / wal->payload < wal_end(wal) / wal->payload;
}

/* With the caller's bytes reserved already, so that of those who come together not all find the same room. */
static bool must_wait(const struct wal *wal)
{
    return wal->hurry && (is_ahead(wal) || (!PLANTED("wal-no-ceiling") && is_crowded(wal) && can_be_helped(wal)));
}

/* Reserves the bytes once nothing speaks against it; meanwhile they are not reserved, or all who wait would wait for each other. */
static int reserve_in_turn(struct op *op, struct wal *wal, uint64_t bytes)
{
    enum { LOOK_NS = 10000000 };
    int result = OP_OK;
    atomic_fetch_add(&wal->awaiting, 1);
    for (;;) {
        uint32_t seen = atomic_load(&wal->redo_word);
        atomic_fetch_add(&wal->reserved, bytes);
        if (!must_wait(wal))
            break;
        atomic_fetch_sub(&wal->reserved, bytes);
        wal->hurry(wal->hurry_arg);
        os_wait_word(&wal->redo_word, seen, os_clock_ns() + LOOK_NS);
        result = op_check_cancel(op);
        if (result)
            break;
    }
    atomic_fetch_sub(&wal->awaiting, 1);
    return result;
}

void wal__wake_waiters(struct wal *wal)
{
    atomic_fetch_add(&wal->redo_word, 1);
    os_wake_word(&wal->redo_word, INT32_MAX);
}

bool wal_awaits_checkpoint(const struct wal *wal)
{
    return atomic_load(&wal->awaiting) > 0;
}

void wal_give_up(struct wal *wal)
{
    atomic_store(&wal->stuck, atomic_load(&wal->redo));
    wal__wake_waiters(wal);
}

void wal_pace(struct wal *wal, void (*hurry)(void *arg), void *arg)
{
    wal->hurry = hurry;
    wal->hurry_arg = arg;
}

void wal_set_redo(struct wal *wal, Lsn redo)
{
    atomic_store(&wal->redo, redo);
    wal__wake_waiters(wal);
}

/* ---- reserving ------------------------------------------------------------------------------------ */

/* The bytes are reserved: gives them their place, or takes the reservation back.  undo: what is promised to undo is there for the
 * taking. */
static int prepare_room(struct op *op, struct wal *wal, uint64_t bytes, uint64_t slack, bool undo)
{
    for (;;) {
        uint64_t wanted = wal_end(wal) + atomic_load(&wal->reserved) + slack;
        if (!undo)
            wanted += atomic_load(&wal->promised);
        uint64_t capacity = atomic_load(&wal->capacity);
        if (wanted <= capacity)
            return OP_OK;
        if (wal__grow(op, wal, SIZE_MAX, capacity)) {
            atomic_fetch_sub(&wal->reserved, bytes);
            return OP_FAILED;
        }
    }
}

int wal__reserve(struct op *op, struct wal *wal, uint64_t bytes, uint64_t slack)
{
    if (atomic_load(&wal->broken))
        return wal__fail_broken(op, wal);
    atomic_fetch_add(&wal->reserved, bytes);
    return prepare_room(op, wal, bytes, slack, false);
}

int wal_reserve(struct op *op, struct wal *wal, uint64_t bytes)
{
    if (wal__archive_check(op, wal))
        return OP_FAILED;
    if (atomic_load(&wal->broken))
        return wal__fail_broken(op, wal);
    atomic_fetch_add(&wal->reserved, bytes);
    if (must_wait(wal)) {
        atomic_fetch_sub(&wal->reserved, bytes);
        if (reserve_in_turn(op, wal, bytes))
            return OP_FAILED;
    }
    return prepare_room(op, wal, bytes, wal__slack(wal), false);
}

int wal_reserve_undo(struct op *op, struct wal *wal, uint64_t bytes)
{
    if (atomic_load(&wal->broken))
        return wal__fail_broken(op, wal);
    atomic_fetch_add(&wal->reserved, bytes);
    return prepare_room(op, wal, bytes, wal__slack(wal) / 2, true);
}

void wal_unreserve(struct wal *wal, uint64_t bytes)
{
    uint64_t before = atomic_fetch_sub(&wal->reserved, bytes);
    assert(before >= bytes);
    (void)before;
}

void wal_promise(struct wal *wal, struct wal_chain *chain, uint64_t bytes)
{
    if (PLANTED("wal-undo-unreserved"))
        return;
    chain->promised += bytes;
    atomic_fetch_add(&wal->promised, bytes);
}

int wal_renew_promise(struct op *op, struct wal *wal, struct wal_chain *chain, uint64_t bytes)
{
    if (wal__reserve(op, wal, bytes, wal__slack(wal)) == OP_OK) {
        wal_promise(wal, chain, bytes);
        wal_unreserve(wal, bytes);
        return OP_OK;
    }
    if (strcmp(op->error.sqlstate, "53100") != 0)
        return OP_FAILED;
    op_clear_error(op);
    return OP_OK;
}

bool wal_redeem(struct wal *wal, struct wal_chain *chain, uint64_t bytes)
{
    if (chain->promised < bytes)
        return false;
    chain->promised -= bytes;
    atomic_fetch_add(&wal->reserved, bytes);    /* first, so that nobody finds the room free in between */
    atomic_fetch_sub(&wal->promised, bytes);
    return true;
}

void wal_forget_promises(struct wal *wal, struct wal_chain *chain)
{
    atomic_fetch_sub(&wal->promised, chain->promised);
    chain->promised = 0;
}
