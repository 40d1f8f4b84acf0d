/*
 * loser.c -- transactions that were in progress at a crash become transactions in progress again.
 *
 * Restart has redone history, losers included.  Before the database serves anybody, each loser's log chain is walked backwards,
 * and for each row operation not yet undone the version entry is built again that the operation had left in memory.  From then
 * on a loser is like any writer in progress: its changes are invisible, its rows are locked; and it is rolled back in
 * the background, through the one path of rollback, popping entry after entry.
 *
 * A rollback that cannot go on because the disk fails or is full leaves a loser too: its changes stay invisible and its rows
 * locked until the same thread gets through, or the next restart does.  It needs no memory that it has not got (C4 in commit.c), so
 * want of memory is no reason.  Who waits for such a row goes on waiting while a full disk is the reason, for it may get room; any
 * other reason he is told.
 *
 * A loser has no table locks.  So a table may be dropped on which it has rows; but the tree is not freed before it is rolled back
 * (trees.c).
 *
 * The records' hints may be lost, since they are not logged; so while a tree has entries of losers every record is looked up.
 */
#include "src/base/planted.h"
#include "txn/txn_int.h"

/* The entry goes below those already there: the walk meets the newest first. */
static int rebuild_entry(struct op *op, struct txn *txn, const struct btree_row_log *row, Lsn lsn)
{
    static const uint8_t kinds[] = { VERSION_INSERT, VERSION_UPDATE, VERSION_DELETE };
    struct txn_manager *manager = txn->manager;
    struct tree_info *info = manager__tree(op, manager, row->tree);
    struct btree_record before = { .key = row->key, .value = row->before,
                                   .flags = (uint8_t)(row->before_flags | (row->before_ghost ? BTREE_GHOST : 0)) };

    if (info == NULL) {
        return OP_FAILED;
    }
    struct version *entry = version__new(op, txn, kinds[row->kind], 0, row->had_before ? &before : NULL,
                                         (struct bytes){ NULL, 0 });
    if (entry == NULL) {
        return OP_FAILED;
    }
    entry->lsn = lsn;
    uint64_t hash = version__hash(info->id, row->key);
    struct bucket *bucket;
    struct chain *chain;
    if (version__lock_chain(op, manager, hash, info, row->key, &bucket, &chain) != 0) {
        version__discard(entry);
        return OP_FAILED;
    }
    if (chain == NULL) {
        chain = version__new_chain(op, manager, info, hash, row->key);
        if (chain != NULL) {
            chain->prune_at = UINT32_MAX;
            version__add_chain(bucket, chain);
        }
    }
    if (chain != NULL) {
        struct version *newer = chain->head;
        version__push(manager, bucket, chain, entry);
        if (newer != NULL) {
            chain->head = newer;
            while (newer->older != NULL) {
                newer = newer->older;
            }
            newer->older = entry;
            entry->older = NULL;
        }
    } else {
        version__discard(entry);
    }
    version__unlock(bucket);
    budget__stow(manager, hash, info, row->key);
    budget__keep(manager);
    return chain != NULL ? 0 : OP_FAILED;
}

/* The entry of each row, and the handle of each tree.  *done of `total` bytes of such records have been read, of all losers: for
 * the progress report. */
static int rebuild_entries(struct op *op, struct txn *txn, uint64_t *done, uint64_t total)
{
    struct wal_walk walk;
    struct arena arena;
    uint64_t undoable = 0, promised = 0, pages = 0, count = 0;
    bool found = true;
    int rc = 0;

    arena_init(&arena);
    wal_walk_begin(txn->manager->wal, &txn->chain, &walk);
    while (rc == 0 && found) {
        struct wal_record record;
        struct btree_row_log row;
        rc = wal_walk_next(op, &walk, 0, &arena, &record, &found);
        if (rc == 0 && found) {
            rc = store_prepare_undo(op, txn->manager->store, &record);
        }
        if (rc == 0 && found && btree_decode_row_log(&record, &row)) {
            rc = rebuild_entry(op, txn, &row, record.lsn);
            promised += btree_undo_bytes(&row);
            pages += store_count_undo(txn->manager->store, &txn->chain, &row);
        }
        undoable += found ? record.payload.len : 0;
        *done += found ? record.payload.len : 0;
        if (found && ++count % 1024 == 0) {
            store_tell_progress(txn->manager->store, "restoring transactions in progress", *done, total);
        }
        arena_reset(&arena);
    }
    wal_walk_end(&walk);
    __atomic_store_n(&txn->chain.undoable, undoable, __ATOMIC_RELAXED);
    arena_free(&arena);
    return rc == 0 ? store_renew_promises(op, txn->manager->store, &txn->chain, promised, pages) : rc;
}

int loser__enter(struct op *op, struct txn_manager *manager)
{
    const struct wal_restart *restart = store_restart(manager->store);

    for (size_t i = 0; i < restart->state.chain_count && !PLANTED("txn-forget-losers"); i++) {
        struct txn *txn = writer__new(op, manager, restart->state.chains[i].txn);
        if (txn == NULL) {
            return OP_FAILED;
        }
        txn->chain = restart->state.chains[i];
        txn->recovered = true;
        writer__activate(txn);
    }
    return 0;
}

int loser__adopt(struct op *op, struct txn_manager *manager)
{
    const struct wal_restart *restart = store_restart(manager->store);
    uint64_t done = 0, total = 0;

    for (size_t i = 0; i < restart->state.chain_count; i++) {
        total += restart->state.chains[i].undoable;
    }
    for (struct txn *txn = manager->active.active_next; txn != &manager->active; txn = txn->active_next) {
        if (rebuild_entries(op, txn, &done, total) != 0) {
            return OP_FAILED;
        }
    }
    return 0;
}

/* A full disk may get room again: for that one waits.  Anything else is told. */
static void note_reason(struct txn *txn, const struct op *undo)
{
    bool waits = strcmp(undo->error.sqlstate, "53100") == 0 || strcmp(undo->error.sqlstate, "53200") == 0;

    wait__set_stuck(txn, waits ? "" : undo->error.sqlstate);
}

void loser__keep(struct txn *txn, const struct op *undo)
{
    writer__ref(txn);
    os_mutex_lock(&txn->manager->mutex);
    txn->half_undone = true;
    os_mutex_unlock(&txn->manager->mutex);
    note_reason(txn, undo);
    atomic_store(&txn->manager->losers_left, true);
}

static bool is_loser(const struct txn *txn)
{
    return txn->recovered || txn->half_undone;
}

bool loser__any(const struct txn_manager *manager)
{
    const struct txn *txn = manager->active.active_next;

    while (txn != &manager->active && !is_loser(txn)) {
        txn = txn->active_next;
    }
    return txn != &manager->active;
}

/* One that this round has not tried yet. */
static struct txn *next_loser(struct txn_manager *manager, uint32_t round)
{
    os_mutex_lock(&manager->mutex);
    struct txn *txn = manager->active.active_next;
    while (txn != &manager->active && (!is_loser(txn) || txn->undo_round == round)) {
        txn = txn->active_next;
    }
    txn->undo_round = round;
    os_mutex_unlock(&manager->mutex);
    return txn != &manager->active ? txn : NULL;
}

static void finish_loser(struct txn *txn)
{
    atomic_store(&txn->ended, true);
    wait__release_writer(txn);
    if (txn->half_undone) {
        wal_unreserve(txn->manager->wal, TXN_END_RESERVE);
    }
    writer__deactivate(txn);
    writer__unref(txn);
}

int loser__roll_back_all(struct op *op, struct txn_manager *manager)
{
    uint32_t round = ++manager->undo_round;
    struct txn *txn;
    bool left = false;

    while ((txn = next_loser(manager, round)) != NULL) {
        if (commit__undo(&manager->undo, txn) == 0) {
            finish_loser(txn);
            continue;
        }
        note_reason(txn, &manager->undo);
        left = true;
    }
    if (!left) {
        return 0;
    }
    atomic_store(&manager->losers_left, true);
    op_fail(op, "58030", "a transaction could not be rolled back yet");
    op_detail(op, "%s", manager->undo.error.message != NULL ? manager->undo.error.message : "");
    return OP_FAILED;
}
