/*
 * carry.c -- reading a transaction's undo records back, and carrying old ones forward.
 *
 * The log is a ring, and a checkpoint sets its older segments free.  But a transaction that changed one row an hour ago and
 * sits idle may still roll back, and would need its old record.  If that record kept its segment, and so all behind it, from
 * being used again, one forgotten session would let the log grow for as long as it sleeps.  So a checkpoint that meets such
 * a transaction copies its undo records to the head of the log:
 *
 *      before     1 -- 2 ....................................... | end
 *      after      (1)  (2)  free to be overwritten ............. | C(1) <- C(2)
 *                                                                       chain.carried = C(2), carried_to = 2
 *
 * A copy holds the record as it was, with its own LSN and link: everything else that names a record (the prev of a newer one,
 * a savepoint's mark, the undo_next of a compensation record, an entry of the version store) goes on to name it so.  Only the
 * one who walks the chain has to know: at carried_to and below he follows the copies instead.  Copies are system records, which
 * restart passes over; what counts is the checkpoint record, which names the newest of them.  A crash before that is durable
 * finds the records where they were, because log is released only after it.
 *
 * Only what is not yet undone is copied, and a later checkpoint copies the copies.  A transaction whose records exceed the
 * checkpoint's budget is left as it is, and keeps its log.
 *
 *      copy    0 transaction u64   8 LSN u64   16 prev u64   24 older copy u64   32 type u8   33 flags u8   34 payload
 *
 * C1  A chain is walked or carried, never both: what a walk may still read is not released under it.
 * C2  `first` moves to the settled end of the log of before the copies; whatever the transaction has appended since lies
 *     behind it, and so do the copies.
 * C3  Copies are linked from newer to older, in the order of the records that they stand for.
 */
#include "wal/wal_int.h"

#include <string.h>

#include "src/base/mem.h"
#include "src/base/planted.h"

enum { COPY_BYTES = 34 };

/* ---- walking -------------------------------------------------------------------------------------- */

int wal__uncarry(struct op *op, TxnId txn, struct wal_record *record, Lsn *older)
{
    const uint8_t *bytes = record->payload.data;
    Lsn place = record->lsn;
    if (record->type != WAL_CARRIED || record->payload.len < COPY_BYTES || get_u64(bytes) != txn)
        return op_fail(op, "XX001", "log record %llX is not a copy of one of transaction %llu", (unsigned long long)place,
                       (unsigned long long)txn);
    *older = get_u64(bytes + 24);
    record->txn = txn;
    record->lsn = get_u64(bytes + 8);
    record->prev = get_u64(bytes + 16);
    record->type = bytes[32];
    record->flags = bytes[33];
    record->payload = (struct bytes){bytes + COPY_BYTES, record->payload.len - COPY_BYTES};
    if (record->lsn >= place || record->prev >= record->lsn || *older >= place)
        return op_fail(op, "XX001", "log record %llX is a copy with wrong links", (unsigned long long)place);
    return OP_OK;
}

static void start_walk(struct wal *wal, struct wal_chain *chain, Lsn last, struct wal_walk *walk)
{
    *walk = (struct wal_walk){.wal = wal, .chain = chain, .at = last, .copy = chain->carried};
}

void wal_walk_begin(struct wal *wal, struct wal_chain *chain, struct wal_walk *walk)
{
    os_mutex_lock(&wal->carry_latch);
    while (chain->carrying)
        os_cond_wait(&wal->carry_done, &wal->carry_latch, 0);
    chain->walking = true;
    os_mutex_unlock(&wal->carry_latch);
    start_walk(wal, chain, chain->last, walk);
}

void wal_walk_end(struct wal_walk *walk)
{
    mem_free(walk->window);
    os_mutex_lock(&walk->wal->carry_latch);
    walk->chain->walking = false;
    os_cond_broadcast(&walk->wal->carry_done);
    os_mutex_unlock(&walk->wal->carry_latch);
}

/* The record at walk->at, or where that is carried_to or below, the newest copy of one not newer.  *place: where it lies. */
static int read_next(struct op *op, struct wal_walk *walk, struct arena *arena, struct wal_record *record, Lsn *place,
                     bool *found)
{
    *found = true;
    *place = walk->at;
    if (walk->at > walk->chain->carried_to) {
        if (wal__read_near(op, walk, walk->at, arena, record))
            return OP_FAILED;
        if (record->txn != walk->chain->txn)
            return op_fail(op, "XX001", "log record %llX belongs to transaction %llu, not %llu",
                           (unsigned long long)walk->at, (unsigned long long)record->txn,
                           (unsigned long long)walk->chain->txn);
        return OP_OK;
    }
    if (PLANTED("wal-lose-carried"))
        walk->copy = 0;
    while (walk->copy != 0) {
        *place = walk->copy;
        if (wal__read_near(op, walk, walk->copy, arena, record) ||
            wal__uncarry(op, walk->chain->txn, record, &walk->copy))
            return OP_FAILED;
        if (record->lsn <= walk->at)
            return OP_OK;
    }
    *found = false;
    return OP_OK;
}

static int walk_to_undoable(struct op *op, struct wal_walk *walk, Lsn stop, struct arena *arena, struct wal_record *record,
                            Lsn *place, bool *found)
{
    *found = false;
    while (walk->at > stop) {
        struct arena_mark mark = arena_mark(arena);
        bool there;
        if (read_next(op, walk, arena, record, place, &there))
            return OP_FAILED;
        if (!there || record->lsn <= stop) {
            walk->at = 0;
            return OP_OK;
        }
        walk->at = record->flags & WAL_CLR ? record->undo_next : record->prev;
        if (record->flags & WAL_UNDOABLE) {
            *found = true;
            return OP_OK;
        }
        arena_release(arena, mark);
    }
    return OP_OK;
}

int wal_walk_next(struct op *op, struct wal_walk *walk, Lsn stop, struct arena *arena, struct wal_record *record, bool *found)
{
    Lsn place;
    return walk_to_undoable(op, walk, stop, arena, record, &place, found);
}

/* ---- carrying ------------------------------------------------------------------------------------- */

/* Where the undo records of a chain lie, newest first. */
struct places {
    Lsn *lsns;
    size_t count, capacity;
    uint64_t bytes;             /* of the copies */
};

static int add_place(struct op *op, struct places *places, Lsn place)
{
    if (places->count == places->capacity) {
        size_t capacity = places->capacity ? 2 * places->capacity : 64;
        Lsn *lsns = mem_realloc(places->lsns, capacity * sizeof(*lsns));
        if (!lsns)
            return op_out_of_memory(op);
        places->lsns = lsns;
        places->capacity = capacity;
    }
    places->lsns[places->count++] = place;
    return OP_OK;
}

/* *fits is false when they exceed the budget. */
static int find_places(struct op *op, struct wal_walk *walk, uint64_t budget, struct places *places, bool *fits)
{
    *fits = true;
    for (bool found = true; found && *fits;) {
        struct arena_mark mark = arena_mark(&op->arena);
        struct wal_record record;
        Lsn place;
        if (walk_to_undoable(op, walk, 0, &op->arena, &record, &place, &found))
            return OP_FAILED;
        if (found) {
            places->bytes += wal__align(WAL__HEAD_SYSTEM + COPY_BYTES + record.payload.len);
            *fits = places->bytes <= budget && record.payload.len <= WAL_RECORD_MAX_BYTES - COPY_BYTES;
            if (add_place(op, places, place))
                return OP_FAILED;
        }
        arena_release(&op->arena, mark);
    }
    return OP_OK;
}

static Lsn append_copy(struct wal *wal, const struct wal_record *record, Lsn older)
{
    uint8_t head[COPY_BYTES];
    put_u64(head, record->txn);
    put_u64(head + 8, record->lsn);
    put_u64(head + 16, record->prev);
    put_u64(head + 24, older);
    head[32] = record->type;
    head[33] = record->flags;
    struct bytes parts[2] = {{head, COPY_BYTES}, record->payload};
    return wal_append(wal, NULL, WAL_CARRIED, 0, parts, 2);
}

/* Oldest first (C3).  The places hold until the log is released, which is up to the caller. */
static int copy_all(struct op *op, struct wal_walk *walk, const struct places *places, Lsn *newest)
{
    *newest = 0;
    for (size_t i = places->count; i-- > 0;) {
        struct arena_mark mark = arena_mark(&op->arena);
        struct wal_record record;
        Lsn older;
        if (wal__read_near(op, walk, places->lsns[i], &op->arena, &record))
            return OP_FAILED;
        if (record.type == WAL_CARRIED && wal__uncarry(op, walk->chain->txn, &record, &older))
            return OP_FAILED;
        *newest = append_copy(walk->wal, &record, *newest);
        arena_release(&op->arena, mark);
    }
    return OP_OK;
}

/* True when nobody walks the chain; then none will until end_carrying.  Who walks a short chain is soon through, unless he drops trees,
 * for which he may want room in the log himself: so one waits a little, but not for ever. */
static bool begin_carrying(struct wal *wal, struct wal_chain *chain)
{
    enum { PATIENCE_NS = 100000000 };
    uint64_t deadline = os_clock_ns() + PATIENCE_NS;
    os_mutex_lock(&wal->carry_latch);
    while (chain->walking && os_cond_wait(&wal->carry_done, &wal->carry_latch, deadline)) {
    }
    bool free = !chain->walking && !chain->carrying;
    if (free)
        chain->carrying = true;
    os_mutex_unlock(&wal->carry_latch);
    return free;
}

static void end_carrying(struct wal *wal, struct wal_chain *chain)
{
    os_mutex_lock(&wal->carry_latch);
    chain->carrying = false;
    os_cond_broadcast(&wal->carry_done);
    os_mutex_unlock(&wal->carry_latch);
}

/* Room for the copies; a full disk is no error. */
static int reserve_copies(struct op *op, struct wal *wal, uint64_t bytes, bool *reserved)
{
    *reserved = wal__reserve(op, wal, bytes, wal__slack(wal)) == OP_OK;
    if (*reserved)
        return OP_OK;
    if (strcmp(op->error.sqlstate, "53100") != 0)
        return OP_FAILED;
    op_clear_error(op);
    return OP_OK;
}

int wal_carry(struct op *op, struct wal *wal, struct wal_chain *chain, uint64_t budget, uint64_t *carried)
{
    struct places places = {0};
    struct wal_walk walk;
    bool reserved = false, fits;
    Lsn newest;
    *carried = 0;
    if (!begin_carrying(wal, chain))
        return OP_OK;
    os_mutex_lock(&wal->append_latch);
    Lsn last = chain->last, end = atomic_load(&wal->end);   /* C2 */
    os_mutex_unlock(&wal->append_latch);
    start_walk(wal, chain, last, &walk);
    int result = find_places(op, &walk, budget, &places, &fits);
    if (result != OP_OK || !fits)
        goto out;
    result = reserve_copies(op, wal, places.bytes, &reserved);
    if (!reserved)
        goto out;
    result = copy_all(op, &walk, &places, &newest);
    wal_unreserve(wal, places.bytes);
    if (result != OP_OK)
        goto out;
    chain->carried = newest;
    chain->carried_to = last;
    __atomic_store_n(&chain->first, end, __ATOMIC_RELEASE);
    *carried = places.bytes;
out:
    mem_free(walk.window);
    mem_free(places.lsns);
    end_carrying(wal, chain);
    return result;
}
