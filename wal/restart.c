/*
 * restart.c -- from a log and a stale database file to the state at the moment of the crash.
 *
 * ARIES in one pass over the log [ARIES92 §6]: records from the redo point on are redone, whoever wrote them,
 * losers' too (history is repeated); beside that a table of transactions is kept, and whoever has neither
 * COMMIT nor ABORT at the end is a loser, to be rolled back by the layer above.
 *
 *      redo point            checkpoint record                          end
 *           |-------------------- analysis and redo ---------------------| X
 *
 * R1  What is read has been made durable before (settle.c): what is concluded here stays true after another crash.
 * R2  The redo handler marks each page that a record names dirty, also where nothing had to be done.
 * R3  A new epoch begins behind the end, in a segment of its own, so that nothing that an earlier life wrote
 *     beyond its end (and that may still reach the disk's surface or lie there already) is ever taken for a record.
 * R4  Where no valid record begins, the log ends, unless there is proof that it was once durable further on: the
 *     database file's slot, a flush mark before or behind the place, or a later epoch, which began where an earlier restart had read to.
 *     Then this is damage, and refused; and so is a segment's head that is neither valid nor empty.
 *
 * A second reader runs some megabytes ahead of redo and tells which pages will be needed, so that the disk can bring them in the
 * order of their places, many at once, instead of one by one in the order of the log.
 *
 * Not done: parallel redo.
 */
#include "wal/wal_int.h"

#include <string.h>

#include "src/base/hash.h"
#include "src/base/mem.h"
#include "src/base/planted.h"

/* ---- the table of transactions in progress --------------------------------------------------------- */

struct table {
    struct wal_chain *places;   /* open addressing; txn 0 = empty */
    size_t size, used;          /* size: power of two */
};

static struct wal_chain *table_place(const struct table *table, TxnId txn)
{
    size_t i = hash_u64(txn) & (table->size - 1);
    while (table->places[i].txn != 0 && table->places[i].txn != txn)
        i = (i + 1) & (table->size - 1);
    return &table->places[i];
}

static int table_grow(struct op *op, struct table *table)
{
    struct table bigger = {.size = table->size ? 2 * table->size : 64};
    bigger.places = mem_calloc(bigger.size, sizeof(*bigger.places));
    if (!bigger.places)
        return op_out_of_memory(op);
    for (size_t i = 0; i < table->size; i++)
        if (table->places[i].txn != 0)
            *table_place(&bigger, table->places[i].txn) = table->places[i];
    bigger.used = table->used;
    mem_free(table->places);
    *table = bigger;
    return OP_OK;
}

/* Enters the chain, or what it says that is newer. */
static int table_note(struct op *op, struct table *table, const struct wal_chain *seen)
{
    if (2 * (table->used + 1) > table->size && table_grow(op, table))
        return OP_FAILED;
    struct wal_chain *chain = table_place(table, seen->txn);
    if (chain->txn == 0) {
        *chain = *seen;
        table->used++;
    } else {
        chain->undoable += seen->undoable;
    }
    if (seen->last > chain->last)
        chain->last = seen->last;
    return OP_OK;
}

/* Removes, and moves up those behind whose path led over the place. */
static void table_remove(struct table *table, TxnId txn)
{
    if (table->size == 0)
        return;
    struct wal_chain *chain = table_place(table, txn);
    if (chain->txn == 0)
        return;
    *chain = (struct wal_chain){0};
    table->used--;
    size_t mask = table->size - 1;
    for (size_t i = ((size_t)(chain - table->places) + 1) & mask; table->places[i].txn != 0; i = (i + 1) & mask) {
        struct wal_chain moved = table->places[i];
        table->places[i] = (struct wal_chain){0};
        *table_place(table, moved.txn) = moved;
    }
}

/* ---- the pass ------------------------------------------------------------------------------------- */

struct pass {
    struct wal *wal;
    const struct wal_handlers *handlers;
    struct table table;
    Lsn redo;
    Lsn proven;                 /* highest proof of durability met so far */
    bool tolerant, damaged;     /* a damaged checkpoint or end is passed over, and noted */
    struct wal_checkpoint_state state;
    uint64_t redone;
    struct wal__reader ahead;   /* in front of redo */
    bool ahead_ended;
    Lsn look_at;                /* redo coming here, the reader looks further */
    Lsn upper;                  /* the log ends before this */
};

static int analyse(struct op *op, struct pass *pass, const struct wal_record *record)
{
    if (record->type == WAL_FLUSH_MARK && record->payload.len == 8) {
        Lsn durable = get_u64(record->payload.data);
        if (durable > pass->proven)
            pass->proven = durable;
    }
    if (record->txn == 0)
        return OP_OK;
    if (record->txn >= pass->state.next_txn)
        pass->state.next_txn = record->txn + 1;
    if (record->type == WAL_COMMIT && record->lsn > pass->state.newest_commit)
        pass->state.newest_commit = record->lsn;
    if (record->type == WAL_COMMIT || record->type == WAL_ABORT) {
        table_remove(&pass->table, record->txn);
        return OP_OK;
    }
    /* One that is met in the middle of its chain had ended before the checkpoint collected its state, so its
     * end follows. */
    return table_note(op, &pass->table,
                      &(struct wal_chain){.txn = record->txn, .first = record->lsn, .last = record->lsn,
                                          .undoable = record->flags & WAL_UNDOABLE ? record->payload.len : 0});
}

static int handle(struct op *op, struct pass *pass, const struct wal_record *record)
{
    if (analyse(op, pass, record))
        return OP_FAILED;
    if (record->type < WAL_BTREE_FIRST || record->lsn < pass->redo)
        return OP_OK;
    struct arena_mark mark = arena_mark(&op->arena);
    if (pass->handlers->redo(pass->handlers->context, op, record))
        return OP_FAILED;
    arena_release(&op->arena, mark);
    pass->redone++;
    return OP_OK;
}

/* R4: the segment behind a damaged head may hold what was durable, and nobody can say where in the log it stands. */
static int check_heads(struct op *op, struct pass *pass)
{
    if (pass->wal->spoilt_heads == 0 || PLANTED("wal-head-forgiven"))
        return OP_OK;
    pass->damaged = true;
    if (pass->tolerant)
        return OP_OK;
    op_fail(op, "XX001", "the log is damaged");
    op_detail(op, "The heads of %zu of its segments are neither valid nor empty.", pass->wal->spoilt_heads);
    return OP_FAILED;
}

/* Reads what the checkpoint remembers. */
static int begin_pass(struct op *op, struct pass *pass, const struct wal_start *start, struct arena *arena)
{
    pass->redo = start->redo;
    pass->proven = start->proven;
    if (start->checkpoint == 0)
        return OP_OK;
    struct wal_record record;
    struct wal_checkpoint_state state;
    if (wal_read(op, pass->wal, start->checkpoint, arena, &record) ||
        wal__decode_checkpoint(op, &record, arena, &state)) {
        if (!pass->tolerant || strcmp(op->error.sqlstate, "XX001") != 0)
            return OP_FAILED;
        op_clear_error(op);
        pass->damaged = true;
        return OP_OK;
    }
    pass->state = state;
    for (size_t i = 0; i < state.chain_count; i++) {
        if (state.chains[i].last != 0 && table_note(op, &pass->table, &state.chains[i]))
            return OP_FAILED;
    }
    return OP_OK;
}

enum { AHEAD_BYTES = 2 << 20, AHEAD_RECORDS = 8192, PROGRESS_BYTES = 64 * 1024 };

/* Keeps at least one piece of the log foreseen that redo has not reached. */
static int look_ahead(struct op *op, struct pass *pass, Lsn at)
{
    struct wal_record record;
    Lsn from = pass->ahead.pos;
    if (!pass->handlers->foresee || pass->ahead_ended || at < pass->look_at)
        return OP_OK;
    pass->look_at = from;
    for (int i = 0; i < AHEAD_RECORDS && pass->ahead.pos - from < AHEAD_BYTES; i++) {
        bool found;
        if (wal__reader_next(op, &pass->ahead, &record, &found))
            return OP_FAILED;
        pass->ahead_ended = !found;
        if (!found)
            break;
        if (record.type >= WAL_BTREE_FIRST)
            pass->handlers->foresee(pass->handlers->context, &record);
    }
    pass->handlers->foresee(pass->handlers->context, NULL);
    return OP_OK;
}

static Lsn upper_end(const struct wal *wal)
{
    uint64_t number = 0;
    for (size_t i = 0; i < wal->slot_count; i++)
        if (wal->slots[i].number > number)
            number = wal->slots[i].number;
    return (number + 1) * wal->payload;
}

static int run_pass(struct op *op, struct pass *pass, struct wal__reader *reader)
{
    Lsn told = pass->redo;
    for (;;) {
        struct wal_record record;
        bool found;
        if (look_ahead(op, pass, reader->pos))
            return OP_FAILED;
        if (pass->handlers->progress && reader->pos - told >= PROGRESS_BYTES) {
            told = reader->pos;
            pass->handlers->progress(pass->handlers->context, told - pass->redo, pass->upper - pass->redo);
        }
        if (wal__reader_next(op, reader, &record, &found))
            return OP_FAILED;
        if (!found)
            return OP_OK;
        if (handle(op, pass, &record))
            return OP_FAILED;
    }
}

/* R4: the pass ended at reader->pos. Was that the tail? */
static int check_end(struct op *op, struct pass *pass, struct wal__reader *reader, uint64_t *bytes_cut)
{
    Lsn end = reader->pos;
    Lsn boundary = (end / pass->wal->payload + 1) * pass->wal->payload;
    *bytes_cut = 0;
    if (wal__reader_find_proof(op, reader, &pass->proven))
        return OP_FAILED;
    if (pass->proven > end && pass->tolerant) {
        pass->damaged = true;
        return OP_OK;
    }
    if (pass->proven > end && !PLANTED("wal-cut-proven")) {
        op_fail(op, "XX001", "the log is damaged at %llX", (unsigned long long)end);
        op_detail(op, "No valid record begins there, but the log was durable up to %llX.",
                  (unsigned long long)pass->proven);
        return OP_FAILED;
    }
    size_t got;
    uint8_t next[8] = {0};
    uint64_t offset, epoch;
    if (wal__locate(pass->wal, end, &offset, &epoch) && epoch == reader->epoch &&
        os_read(op, pass->wal->file, offset, next, sizeof(next), &got))
        return OP_FAILED;
    if (get_u64(next) != 0)
        *bytes_cut = boundary - end;
    return OP_OK;
}

/* ---- the new epoch -------------------------------------------------------------------------------- */

/* Every slot is free that holds nothing from `oldest` to `end` of the epochs that were read. */
static void free_stale_slots(struct wal *wal, Lsn oldest, Lsn end, uint64_t epoch)
{
    uint64_t first = wal__first_held(wal, oldest / wal->payload), last = end / wal->payload;
    wal->free_count = 0;
    for (size_t i = 0; i < wal->slot_count; i++) {
        struct wal__slot *slot = &wal->slots[i];
        if (slot->number < first || slot->number > last || slot->epoch > epoch)
            *slot = (struct wal__slot){0};
        if (slot->number == 0)
            wal->free_count++;
    }
}

static uint64_t highest_epoch(const struct wal *wal)
{
    uint64_t epoch = 0;
    for (size_t i = 0; i < wal->slot_count; i++)
        if (wal->slots[i].epoch > epoch)
            epoch = wal->slots[i].epoch;
    return epoch;
}

/* The stream goes on in the segment behind `end`; or in the same one, if restart got there but wrote nothing
 * into it yet. */
static int go_on(struct op *op, struct wal *wal, Lsn oldest, Lsn end, uint64_t epoch)
{
    uint64_t fresh = highest_epoch(wal) + 1, number = end / wal->payload + 1;
    Lsn previous_end = end;
    for (size_t i = 0; i < wal->slot_count; i++)
        if (wal->slots[i].epoch == epoch && wal->slots[i].number != 0 && wal->slots[i].epoch_start == end &&
            wal->slots[i].previous_end != 0) {
            number = end / wal->payload;
            previous_end = wal->slots[i].previous_end;
        }
    free_stale_slots(wal, oldest, end, epoch);
    return wal__begin_epoch(op, wal, fresh, number, previous_end);
}

static int collect_losers(struct op *op, struct pass *pass, struct arena *arena)
{
    struct wal_checkpoint_state *state = &pass->state;
    state->chain_count = 0;
    state->chains = NULL;
    if (pass->table.used == 0)
        return OP_OK;
    state->chains = op_arena_alloc(op, arena, pass->table.used * sizeof(*state->chains));
    if (!state->chains)
        return OP_FAILED;
    for (size_t i = 0; i < pass->table.size; i++)
        if (pass->table.places[i].txn != 0)
            state->chains[state->chain_count++] = pass->table.places[i];
    return OP_OK;
}

int wal_restart(struct op *op, struct wal *wal, const struct wal_start *start, const struct wal_handlers *handlers,
                struct arena *arena, struct wal_restart *restart)
{
    struct pass pass = {.wal = wal, .handlers = handlers, .tolerant = start->tolerant, .upper = upper_end(wal)};
    struct wal__reader reader = {0};
    int result = OP_FAILED;
    uint64_t cut = 0;
    *restart = (struct wal_restart){0};
    if ((!PLANTED("wal-restart-trusts-cache") && wal__settle(op, wal, start)) || check_heads(op, &pass) || begin_pass(op, &pass, start, arena) ||
        wal__reader_open(op, wal, start->redo, &reader) || wal__reader_open(op, wal, start->redo, &pass.ahead) ||
        run_pass(op, &pass, &reader) || check_end(op, &pass, &reader, &cut) || collect_losers(op, &pass, arena))
        goto out;
    pass.state.redo = start->redo;
    if (wal__archive_open(op, wal, wal_oldest_needed(&pass.state)) ||
        go_on(op, wal, wal_oldest_needed(&pass.state), reader.pos, reader.epoch))
        goto out;
    *restart = (struct wal_restart){.state = pass.state, .end = wal_end(wal), .records_redone = pass.redone,
                                    .bytes_cut = cut, .cut_at = reader.pos, .damaged = pass.damaged};
    result = OP_OK;
out:
    wal__reader_close(&reader);
    wal__reader_close(&pass.ahead);
    mem_free(pass.table.places);
    return result;
}
