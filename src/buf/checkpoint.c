/*
 * checkpoint.c -- moving the point where restart begins to read.
 *
 * Fuzzy: nobody is stopped, pages go on changing.  In order:
 *
 *  1. Write what is dirty now and older than the checkpoint's beginning, in batches.
 *  2. begin = end of the log.  Fence: wait until each page that is latched exclusively at this moment has been
 *     let go.  A change is logged, then entered in the dirty page table, both under the latch; so after the
 *     fence every change logged before `begin` is in the table.
 *  3. redo = min(begin, recovery LSNs in the table).
 *  4. Carry forward the undo records of small transactions that began before `redo`.
 *  5. Collect the transactions in progress.  Append the checkpoint record, make it durable.
 *  6. Write the header slot, sync.  From here on restart begins at `redo`.
 *  7. Log segments below min(redo, first record of any transaction in progress) may be reused; the tail of the
 *     file is cut.
 *
 * C1  Everything that the new slot lets go (log, pages of the tail) goes after the slot is durable.
 * C2  One checkpoint at a time.  No latch is held while the layers above are asked.
 * C3  `begin` is the settled end: what a transaction had appended before it is known when it is collected, the rest is redone.
 */
#include <string.h>

#include "src/base/mem.h"
#include "src/base/planted.h"
#include "src/buf/buf_int.h"
#include "wal/wal_archive.h"

int buf__sync(struct op *op, struct buf *buf, struct os_file *file)
{
    if (buf->wal && wal_is_broken(buf->wal)) {
        op_fail(op, "58030", "an earlier failure has made the database read-only");
        op_hint(op, "Close the database and open it again; what was committed is not lost.");
        return OP_FAILED;
    }
    if (os_sync(op, file) == OP_OK)
        return OP_OK;
    if (buf->wal)
        wal_break(buf->wal, op);
    return OP_FAILED;
}

/* Writes everything whose recovery LSN is below the limit. */
static int write_old(struct op *op, struct buf *buf, Lsn limit)
{
    uint32_t found, written;
    do {
        if (buf__write_batch(op, buf, BUF__OLD, limit, &found, &written))
            return OP_FAILED;
        if (found > 0 && written == 0)
            os_sleep_us(200);   /* all of them are latched just now */
    } while (found > 0);
    return OP_OK;
}

static Lsn redo_point(struct buf *buf, Lsn begin)
{
    Lsn redo = begin;
    if (PLANTED("buf-checkpoint-forgets-dirty"))
        return redo;
    for (uint32_t i = 0; i < buf->frame_count; i++) {
        Lsn recovery = atomic_load(&buf->frames[i].recovery_lsn);
        if (recovery != 0 && recovery < redo)
            redo = recovery;
    }
    return redo;
}

static int write_slot(struct op *op, struct buf *buf, const struct wal_checkpoint_state *state, Lsn checkpoint,
                      uint32_t flags)
{
    struct header_slot *slot = &buf->slot;
    slot->flags = flags;
    slot->checkpoint_lsn = checkpoint;
    slot->redo_lsn = state->redo;
    slot->highest_lsn = flags & HEADER_CLEAN ? wal_end(buf->wal) : wal_durable_end(buf->wal);
    slot->page_count = buf__named_pages(buf, state->redo);
    slot->next_txn = state->next_txn;
    slot->next_tree = state->next_tree;
    slot->newest_commit = state->newest_commit;
    return buf__header_write_slot(op, buf);
}

/* The steps above; the caller has the checkpoint flag.  The state lives in op's arena. */
static int checkpoint(struct op *op, struct buf *buf, const struct buf_checkpoint_hooks *hooks,
                      struct wal_checkpoint_state *state, Lsn *lsn)
{
    if (!PLANTED("buf-checkpoint-forgets-dirty") && write_old(op, buf, wal_end(buf->wal)))
        return OP_FAILED;
    uint64_t dirtied = atomic_load(&buf->dirtied);
    Lsn begin = wal_settled_end(buf->wal);
    buf__fence(buf);
    Lsn redo = redo_point(buf, begin);
    *state = (struct wal_checkpoint_state){.next_txn = buf->slot.next_txn, .next_tree = buf->slot.next_tree,
                                           .newest_commit = buf->slot.newest_commit};
    if (hooks && hooks->carry && hooks->carry(hooks->context, op, redo))
        return OP_FAILED;
    if (hooks && hooks->collect && hooks->collect(hooks->context, op, state))
        return OP_FAILED;
    state->redo = redo;
    if (wal_checkpoint(op, buf->wal, state, lsn) || write_slot(op, buf, state, *lsn, 0))
        return OP_FAILED;
    atomic_store(&buf->redo, redo);
    atomic_store(&buf->dirtied_at_redo, dirtied);
    wal_set_redo(buf->wal, redo);
    Lsn oldest = wal_oldest_needed(state);
    wal_release(buf->wal, oldest);
    atomic_fetch_add_explicit(&buf->stat_checkpoints, 1, memory_order_relaxed);
    return buf__truncate(op, buf, redo);
}

static void begin_checkpoint(struct buf *buf)
{
    os_mutex_lock(&buf->checkpoint_latch);
    while (buf->checkpointing)
        os_cond_wait(&buf->checkpoint_done, &buf->checkpoint_latch, 0);
    buf->checkpointing = true;
    os_mutex_unlock(&buf->checkpoint_latch);
}

static void end_checkpoint(struct buf *buf)
{
    os_mutex_lock(&buf->checkpoint_latch);
    buf->checkpointing = false;
    os_cond_broadcast(&buf->checkpoint_done);
    os_mutex_unlock(&buf->checkpoint_latch);
}

int buf__checkpoint_for(struct op *op, struct buf *buf, const struct buf_checkpoint_hooks *hooks,
                        struct wal_checkpoint_state *state, Lsn *lsn, struct header_slot *slot)
{
    begin_checkpoint(buf);
    int result = checkpoint(op, buf, hooks, state, lsn);
    *slot = buf->slot;
    end_checkpoint(buf);
    return result;
}

int buf_checkpoint(struct op *op, struct buf *buf, const struct buf_checkpoint_hooks *hooks)
{
    struct wal_checkpoint_state state;
    struct header_slot slot;
    Lsn lsn;
    return buf__checkpoint_for(op, buf, hooks, &state, &lsn, &slot);
}

/*
 * Two things make restart long: log to read, and pages to bring in, change and write again.  A page that became dirty, was written to
 * make room, and became dirty again counts twice, as it would then.  While the checkpoint runs more comes, so it begins at half.
 * The costs are those of the reference machine (doc/PERFORMANCE.md).
 */
bool buf_checkpoint_due(const struct buf *buf)
{
    enum { TARGET_US = 3000000, BYTES_PER_US = 100, PAGE_US = 60 };
    uint64_t bytes = wal_end(buf->wal) - atomic_load(&buf->redo);
    uint64_t pages = atomic_load(&buf->dirtied) - atomic_load(&buf->dirtied_at_redo);
    uint64_t restart_us = bytes / BYTES_PER_US + pages * PAGE_US;
    return !wal_is_broken(buf->wal) &&
           (bytes > wal_room(buf->wal) / 8 * 3 || restart_us > TARGET_US / 2 || wal_awaits_checkpoint(buf->wal));
}

/* ---- restart and close ---------------------------------------------------------------------------- */

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* A page that claims to be newer than the log is damaged, though its checksum is right.  It could be read while the end of the log was
 * not known yet; it must not be written, and whoever reads it again is told. */
static void drop_future_pages(struct buf *buf)
{
    Lsn end = wal_end(buf->wal);
    for (uint32_t i = 0; i < buf->frame_count; i++) {
        struct buf__frame *frame = &buf->frames[i];
        PageNo page_no = atomic_load(&frame->page_no);
        if (page_no == 0 || get_u64(buf__frame_data(buf, i + 1) + offsetof(struct page_head, lsn)) < end ||
            !buf__try_latch(buf, page_no, i + 1, LATCH_EXCLUSIVE))
            continue;
        if (atomic_exchange(&frame->recovery_lsn, 0) != 0)
            atomic_fetch_sub_explicit(&buf->dirty_count, 1, memory_order_relaxed);
        atomic_store(&frame->page_no, 0);
        buf__unlatch_evicted(buf, page_no, i + 1);
        buf__give_frame(buf, i + 1);
    }
}

int buf_restart(struct op *op, struct buf *buf, const struct wal_handlers *handlers, struct arena *arena,
                struct wal_restart *restart)
{
    *restart = (struct wal_restart){.was_clean = buf->was_clean};
    const struct header_slot *slot = &buf->slot;
    if (!buf->was_clean) {
        struct wal_start start = {.checkpoint = slot->checkpoint_lsn, .redo = slot->redo_lsn, .proven = slot->highest_lsn,
                                  .tolerant = buf->tolerant};
        if (wal_restart(op, buf->wal, &start, handlers, arena, restart))
            return OP_FAILED;
        buf->restarting = false;
        drop_future_pages(buf);
        wal_set_redo(buf->wal, slot->redo_lsn);
    }
    struct wal_checkpoint_state *state = &restart->state;
    state->next_txn = larger(state->next_txn, slot->next_txn);
    state->next_tree = larger(state->next_tree, slot->next_tree);
    state->newest_commit = larger(state->newest_commit, slot->newest_commit);
    state->redo = slot->redo_lsn;
    restart->end = wal_end(buf->wal);
    return OP_OK;
}

/* Makes the file the whole database. */
static int close_clean(struct op *op, struct buf *buf, const struct buf_checkpoint_hooks *hooks)
{
    struct wal_checkpoint_state state;
    Lsn lsn;
    if (checkpoint(op, buf, hooks, &state, &lsn) || write_old(op, buf, UINT64_MAX))
        return OP_FAILED;
    if (state.chain_count > 0)
        return op_fail(op, "XX000", "the database is closed with a transaction in progress");
    PageNo page_count = buf_page_count(buf);
    if (page_count < buf->file_pages && os_truncate(op, buf->file, page_count * buf->page_size))
        return OP_FAILED;
    buf->truncate_lsn = 0;
    /* The archive first: once the slot says "clean", the next open replaces the log. */
    if (buf__sync(op, buf, buf->file) || wal_archive_rest(op, buf->wal, true) || write_slot(op, buf, &state, 0, HEADER_CLEAN))
        return OP_FAILED;
    if (os_remove(op, buf->vfs, buf->wal_path) || os_remove(op, buf->vfs, buf->dw_path))
        return OP_FAILED;
    return OP_OK;
}

int buf_close(struct op *op, struct buf *buf, const struct buf_checkpoint_hooks *hooks)
{
    buf_stop_background(buf);
    int result = buf->restarting ? OP_OK : close_clean(op, buf, hooks);
    buf_abandon(buf);
    return result;
}

void buf_stats(struct buf *buf, struct buf_stats *stats)
{
    *stats = (struct buf_stats){
        .frames = buf->frame_count, .dirty = atomic_load(&buf->dirty_count),
        .hits_missed = atomic_load(&buf->stat_reads), .pages_written = atomic_load(&buf->stat_written),
        .batches = atomic_load(&buf->batches), .evictions = atomic_load(&buf->stat_evictions),
        .checkpoints = atomic_load(&buf->stat_checkpoints), .redo = atomic_load(&buf->redo),
    };
    os_mutex_lock(&buf->free_latch);
    stats->used = buf->frame_count - buf->free_count;
    os_mutex_unlock(&buf->free_latch);
}
