/*
 * purge.c -- what nobody may see any more goes: ghosts, in the background; and the losers of a restart.
 *
 * Version entries are freed by committing threads themselves (version.c), which costs little.  Taking a ghost off its page is
 * a structure change of the tree and may merge pages; so deletions are queued, by key, by whoever sees that one has
 * become dead: the purge of its entry, the rollback of an insert, or a reader that meets a ghost without a chain.  After a restart
 * redo names the leaves on which there are ghosts, and so does the scrub as it passes (btree/ghosts.c).  A tree whose ghosts did not
 * fit into the queue is walked, piece by piece, when it is empty again.
 *
 *      queue:  (tree 7, k) (tree 7, m) ...  -> background thread -> btree_purge(judge: still a ghost, still no chain)
 *
 * P1  The queue holds hints: an item may be stale or lost; `judge` decides under the leaf's latch.
 * P2  One round of purge runs at a time, so that no tree is dropped while a round looks at it.
 */
#include "txn/txn_int.h"

enum { GHOSTS_MAX = 1 << 16, RECENT = 1024, IDLE_MS = 50, PIECE_LEAVES = 512 };

struct ghost {
    struct ghost *next;
    struct tree_info *info;
    uint32_t len;
    uint8_t key[];
};

struct purge {
    struct txn_manager *manager;
    struct os_mutex round;              /* RANK_TXN_PURGE: P2 */
    _Atomic uint32_t latch;             /* guards the queue; a leaf of the latch order, held for a few stores */
    struct ghost *first, *last;
    uint32_t count;
    _Atomic uint64_t recent[RECENT];    /* hashes of what was queued since the last round */
    struct tree_info *walked;           /* a tree that is walked: where the next piece begins.  round */
    uint8_t *walk_key;
    size_t walk_key_len;
    atomic_bool forgetful;              /* some tree's ghosts did not fit */
    atomic_bool stop, abandoned;        /* abandoned: stop without rolling back the losers that are left */
    _Atomic uint32_t word;              /* wakes the thread */
    struct os_thread *thread;
};

/* ---- the queue ------------------------------------------------------------------------------------ */

static void lock_queue(struct purge *purge)
{
    while (atomic_exchange_explicit(&purge->latch, 1, memory_order_acquire) != 0) {
        os_pause();
    }
}

static void unlock_queue(struct purge *purge)
{
    atomic_store_explicit(&purge->latch, 0, memory_order_release);
}

void purge__ghost(struct txn_manager *manager, struct tree_info *info, struct bytes key)
{
    struct purge *purge = manager->purge;
    uint64_t hash = version__hash(info->id, key) | 1;
    _Atomic uint64_t *seen = &purge->recent[hash_u64(hash) % RECENT];

    if (atomic_exchange_explicit(seen, hash, memory_order_relaxed) == hash) {
        return;
    }
    struct ghost *ghost = mem_alloc(sizeof(*ghost) + key.len);
    if (ghost == NULL) {
        return;
    }
    ghost->next = NULL;
    ghost->info = info;
    ghost->len = (uint32_t)key.len;
    memcpy(ghost->key, key.data, key.len);
    lock_queue(purge);
    bool full = purge->count >= GHOSTS_MAX;
    if (!full) {
        if (purge->last != NULL) {
            purge->last->next = ghost;
        } else {
            purge->first = ghost;
        }
        purge->last = ghost;
        purge->count++;
    }
    unlock_queue(purge);
    if (full) {
        atomic_store(&info->ghosts_forgotten, true);
        atomic_store(&purge->forgetful, true);
        mem_free(ghost);
    }
}

/* ---- a round -------------------------------------------------------------------------------------- */

struct ghost_judge {
    struct txn_manager *manager;
    struct tree_info *info;
    struct bytes key;
};

static int judge_ghost(void *arg, struct op *op, const struct btree_record *record, bool *remove)
{
    struct ghost_judge *judge = arg;

    *remove = (record->flags & BTREE_GHOST) && !version__has_chain(judge->manager, judge->info, judge->key);
    return 0;
}

static int purge_ghost(struct op *op, struct txn_manager *manager, struct ghost *ghost)
{
    struct ghost_judge judge = { manager, ghost->info, { ghost->key, ghost->len } };
    struct btree *tree;
    bool removed;

    if (btree_open(op, manager->store, ghost->info->id, &tree) != 0) {
        if (strcmp(op->error.sqlstate, "XX000") == 0) {
            op_clear_error(op);     /* dropped meanwhile */
            return 0;
        }
        return OP_FAILED;
    }
    return btree_purge(op, tree, judge.key, judge_ghost, &judge, &removed);
}

static int purge_ghosts(struct op *op, struct purge *purge)
{
    lock_queue(purge);
    struct ghost *ghosts = purge->first;
    purge->first = purge->last = NULL;
    purge->count = 0;
    unlock_queue(purge);
    for (int i = 0; i < RECENT; i++) {
        atomic_store_explicit(&purge->recent[i], 0, memory_order_relaxed);
    }
    int rc = 0;
    for (struct ghost *ghost = ghosts, *next; ghost != NULL; ghost = next) {
        next = ghost->next;
        if (rc == 0) {
            rc = purge_ghost(op, purge->manager, ghost);
        }
        mem_free(ghost);
    }
    return rc;
}

static bool has_room(struct purge *purge)
{
    lock_queue(purge);
    bool room = purge->count < GHOSTS_MAX / 2;
    unlock_queue(purge);
    return room;
}

static int see_ghost(void *arg, struct op *op, TreeId tree, struct bytes key)
{
    struct purge *purge = arg;
    struct tree_info *info = manager__tree(op, purge->manager, tree);

    if (info == NULL) {
        return OP_FAILED;
    }
    purge__ghost(purge->manager, info, key);
    return 0;
}

/* What redo and the scrub have met. */
static int take_ghost_pages(struct op *op, struct purge *purge)
{
    bool any = true;
    int rc = 0;

    while (rc == 0 && any && has_room(purge)) {
        rc = btree_take_ghost_page(op, purge->manager->store, see_ghost, purge, &any);
    }
    return rc;
}

/* ---- trees whose ghosts did not fit ---------------------------------------------------------------- */

static int walk_record(void *arg, struct op *op, const struct btree_record *record, bool *stop)
{
    struct purge *purge = arg;

    if (record->flags & BTREE_GHOST) {
        purge__ghost(purge->manager, purge->walked, record->key);
    }
    return 0;
}

static struct tree_info *find_forgotten(struct purge *purge)
{
    struct txn_manager *manager = purge->manager;

    for (size_t i = 0; i < TXN_TREE_HASH; i++) {
        for (struct tree_info *info = atomic_load(&manager->trees[i]); info != NULL; info = info->next) {
            if (atomic_exchange(&info->ghosts_forgotten, false)) {
                return info;
            }
        }
    }
    return NULL;
}

/* Remembers where the cursor stands; without memory the walk ends here. */
static void keep_place(struct purge *purge, const struct btree_cursor *cursor, bool more)
{
    bool inclusive;
    struct bytes key = btree_cursor_at(cursor, &inclusive);
    uint8_t *copy = more ? mem_alloc(key.len + 1) : NULL;

    mem_free(purge->walk_key);
    purge->walk_key = copy;
    purge->walk_key_len = key.len;
    if (copy == NULL) {
        purge->walked = NULL;
    } else if (key.len > 0) {
        memcpy(copy, key.data, key.len);
    }
}

/* Queues the ghosts of some leaves. */
static int walk_piece(struct op *op, struct purge *purge)
{
    struct btree_visitor visitor = { .arg = purge, .record = walk_record };
    struct btree_range range = { .low = { purge->walk_key, purge->walk_key_len }, .low_inclusive = true };
    struct btree_cursor cursor;
    struct btree *tree;
    bool more = true;
    int rc = 0;

    if (btree_open(op, purge->manager->store, purge->walked->id, &tree) != 0) {
        op_clear_error(op);         /* dropped meanwhile */
        mem_free(purge->walk_key);
        purge->walk_key = NULL;
        purge->walked = NULL;
        return 0;
    }
    btree_cursor_open(&cursor, tree, &range, false);
    for (int leaf = 0; leaf < PIECE_LEAVES && rc == 0 && more && has_room(purge); leaf++) {
        rc = btree_cursor_next_leaf(op, &cursor, &visitor, &more);
    }
    keep_place(purge, &cursor, rc == 0 && more);
    btree_cursor_close(&cursor);
    return rc;
}

static int walk_forgotten(struct op *op, struct purge *purge)
{
    if (purge->walked == NULL && atomic_load(&purge->forgetful)) {
        atomic_store(&purge->forgetful, false);
        purge->walked = find_forgotten(purge);
        if (purge->walked != NULL) {
            atomic_store(&purge->forgetful, true);      /* there may be others */
        }
    }
    return purge->walked != NULL ? walk_piece(op, purge) : 0;
}

static int run_round(struct op *op, struct purge *purge)
{
    struct txn_manager *manager = purge->manager;

    CommitTs horizon = snapshot__horizon(manager);
    version__purge_committed(manager, horizon);
    budget__sweep(manager, horizon);
    os_mutex_lock(&purge->round);
    int rc = take_ghost_pages(op, purge);
    if (rc == 0) {
        rc = walk_forgotten(op, purge);
    }
    if (rc == 0) {
        rc = purge_ghosts(op, purge);
    }
    if (rc == 0 && btree_has_graves(manager->store)) {
        rc = trees__free_graves(op, manager);
    }
    os_mutex_unlock(&purge->round);
    return rc;
}

int txn_purge(struct op *op, struct txn_manager *manager)
{
    if (manager->options.no_background && atomic_exchange(&manager->losers_left, false) &&
        loser__roll_back_all(op, manager) != 0) {
        return OP_FAILED;
    }
    return run_round(op, manager->purge);
}

void purge__pause(struct txn_manager *manager)
{
    os_mutex_lock(&manager->purge->round);
}

void purge__resume(struct txn_manager *manager)
{
    os_mutex_unlock(&manager->purge->round);
}

/* ---- the thread ----------------------------------------------------------------------------------- */

static bool has_work(struct purge *purge)
{
    lock_queue(purge);
    bool any = purge->first != NULL;
    unlock_queue(purge);
    return any || btree_has_graves(purge->manager->store) || btree_has_ghost_pages(purge->manager->store) ||
           atomic_load(&purge->forgetful) ||
           budget__due(purge->manager, snapshot__horizon(purge->manager));
}

/* Errors (a damaged page, a broken log) are met again by whoever uses the tree, and reported there. */
static void run(void *arg)
{
    struct purge *purge = arg;
    struct op op;
    bool losers = true;

    op_init(&op);
    while (!atomic_load(&purge->stop) || (losers && !atomic_load(&purge->abandoned))) {
        losers = losers || atomic_exchange(&purge->manager->losers_left, false);
        if (losers) {
            (void)!loser__roll_back_all(&op, purge->manager);
            losers = false;
        } else if (has_work(purge)) {
            (void)!run_round(&op, purge);
        }
        op_reset(&op);
        if (!atomic_load(&purge->stop)) {
            os_wait_word(&purge->word, 0, os_clock_ns() + (uint64_t)IDLE_MS * 1000 * 1000);
        }
    }
    if (!atomic_load(&purge->abandoned)) {
        (void)!run_round(&op, purge);   /* after a clean close nobody would look for them */
    }
    op_end(&op);
}

int purge__open(struct op *op, struct txn_manager *manager)
{
    struct purge *purge = mem_calloc(1, sizeof(*purge));

    if (purge == NULL) {
        return op_out_of_memory(op);
    }
    purge->manager = manager;
    os_mutex_init(&purge->round, RANK_TXN_PURGE);
    manager->purge = purge;
    return 0;
}

int purge__start(struct op *op, struct txn_manager *manager)
{
    return os_thread_start(op, run, manager->purge, "isolde-purge", &manager->purge->thread);
}

void purge__close(struct txn_manager *manager, bool abandoned)
{
    struct purge *purge = manager->purge;

    if (purge == NULL) {
        return;
    }
    if (purge->thread != NULL) {
        atomic_store(&purge->abandoned, abandoned);
        atomic_store(&purge->stop, true);
        atomic_store(&purge->word, 1);
        os_wake_word(&purge->word, 1);
        os_thread_join(purge->thread);
    }
    for (struct ghost *ghost = purge->first, *next; ghost != NULL; ghost = next) {
        next = ghost->next;
        mem_free(ghost);
    }
    os_mutex_destroy(&purge->round);
    mem_free(purge->walk_key);
    mem_free(purge);
    manager->purge = NULL;
}
