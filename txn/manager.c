/*
 * manager.c -- one transaction manager per open store: opening, closing, what is known of trees, writers.
 *
 * Opening order: the manager's tables, the losers of a restart (they are writers in progress again, for whom checkpoints keep the
 * log), the manager's hooks in the store, what the losers wrote (so that nobody sees or overwrites it), then the tree in which the manager itself keeps
 * what must survive (sequences), and last the background thread.
 *
 * A writer (struct txn) outlives its transaction: as long as one entry of it is on a chain, readers ask it for its
 * commit_ts.  It is reference counted; the count is one for its session and one for each entry.
 */
#include "src/base/planted.h"
#include "txn/ssi.h"
#include "txn/txn_int.h"
#include "wal/wal_open.h"

struct tree_info *manager__tree(struct op *op, struct txn_manager *manager, TreeId id)
{
    struct tree_info *_Atomic *head = &manager->trees[hash_u64(id) % TXN_TREE_HASH];
    struct tree_info *info;

    os_mutex_lock(&manager->mutex);
    for (info = atomic_load(head); info != NULL && info->id != id; info = info->next) {
    }
    if (info == NULL) {
        info = mem_calloc(1, sizeof(*info));
        if (info != NULL) {
            info->id = id;
            os_mutex_init(&info->range_mutex, RANK_SSI);
            info->next = atomic_load(head);
            atomic_store(head, info);
        }
    }
    os_mutex_unlock(&manager->mutex);
    if (info == NULL) {
        op_out_of_memory(op);
    }
    return info;
}

struct tree_info *manager__known_tree(struct txn_manager *manager, TreeId id)
{
    struct tree_info *info = atomic_load(&manager->trees[hash_u64(id) % TXN_TREE_HASH]);

    while (info != NULL && info->id != id) {
        info = info->next;
    }
    return info;
}

struct txn *writer__new(struct op *op, struct txn_manager *manager, TxnId id)
{
    struct txn *txn = mem_calloc(1, sizeof(*txn));

    if (txn == NULL) {
        op_out_of_memory(op);
        return NULL;
    }
    txn->id = id;
    txn->manager = manager;
    atomic_fetch_add_explicit(&manager->writer_count, 1, memory_order_relaxed);
    txn->chain.txn = id;
    atomic_init(&txn->references, 1);
    return txn;
}

/* From now on checkpoints know it: before its first log record. */
void writer__activate(struct txn *txn)
{
    struct txn_manager *manager = txn->manager;

    os_mutex_lock(&manager->mutex);
    if (txn->id == 0) {
        txn->id = atomic_fetch_add(&manager->next_txn, 1);
        txn->chain.txn = txn->id;
    }
    txn->active_next = manager->active.active_next;
    txn->active_prev = &manager->active;
    txn->active_next->active_prev = txn;
    manager->active.active_next = txn;
    os_mutex_unlock(&manager->mutex);
}

void writer__deactivate(struct txn *txn)
{
    struct txn_manager *manager = txn->manager;

    os_mutex_lock(&manager->mutex);
    txn->active_next->active_prev = txn->active_prev;
    txn->active_prev->active_next = txn->active_next;
    os_mutex_unlock(&manager->mutex);
}

/* The last reference goes under `commits`, because the list of writers to purge hands out references under it. */
void writer__unref(struct txn *txn)
{
    struct txn_manager *manager = txn->manager;
    unsigned references = atomic_load_explicit(&txn->references, memory_order_relaxed);

    while (references > 1) {
        if (atomic_compare_exchange_weak_explicit(&txn->references, &references, references - 1, memory_order_acq_rel,
                                                  memory_order_relaxed)) {
            return;
        }
    }
    os_mutex_lock(&manager->commits);
    bool last = atomic_fetch_sub_explicit(&txn->references, 1, memory_order_acq_rel) == 1;
    if (last && txn->stray) {
        atomic_fetch_sub_explicit(&manager->stray_count, 1, memory_order_relaxed);
    }
    if (last && txn->queued) {
        txn->purge_next->purge_prev = txn->purge_prev;
        txn->purge_prev->purge_next = txn->purge_next;
    }
    os_mutex_unlock(&manager->commits);
    if (last) {
        if (txn->ssi != NULL) {
            ssi__unref(txn->ssi);
        }
        atomic_fetch_sub_explicit(&manager->writer_count, 1, memory_order_relaxed);
        mem_free(txn);
    }
}

/* store_hooks.collect: who is in progress, for a checkpoint.  An ordered commit is not, even when its session has not yet
 * said goodbye: its record lies before the end of the log that this checkpoint knows. */
static int collect(void *context, struct op *op, struct wal_checkpoint_state *state)
{
    struct txn_manager *manager = context;
    size_t count = 0, capacity = 0;
    int rc = 0;

    os_mutex_lock(&manager->mutex);
    for (struct txn *txn = manager->active.active_next; txn != &manager->active; txn = txn->active_next) {
        capacity++;
    }
    state->chains = op_arena_alloc(op, &op->arena, (capacity + 1) * sizeof(*state->chains));
    if (state->chains == NULL) {
        rc = OP_FAILED;
        goto out;
    }
    for (struct txn *txn = manager->active.active_next; txn != &manager->active; txn = txn->active_next) {
        /* `last` is read before `first`, for they are written the other way round: a chain that is seen to have records is seen to
         * have a first one, too, or its log would be released under it. */
        Lsn last = __atomic_load_n(&txn->chain.last, __ATOMIC_ACQUIRE);
        struct wal_chain chain = {
            .txn = txn->id,
            .last = last,
            .first = __atomic_load_n(&txn->chain.first, __ATOMIC_ACQUIRE),
            .carried = txn->chain.carried,      /* changed by checkpoints only */
            .carried_to = txn->chain.carried_to,
        };
        if (chain.last != 0 && writer__ts(txn) == 0) {
            state->chains[count++] = chain;
        }
    }
    state->chain_count = count;
    state->next_txn = atomic_load(&manager->next_txn);
    if (state->newest_commit < txn_visible_ts(manager)) {
        state->newest_commit = txn_visible_ts(manager);
    }
out:
    os_mutex_unlock(&manager->mutex);
    return rc;
}

int txn_writers(struct op *op, struct txn_manager *manager, struct txn_writer_info **list, size_t *count)
{
    size_t capacity = 1;

    *count = 0;
    os_mutex_lock(&manager->mutex);
    for (struct txn *txn = manager->active.active_next; txn != &manager->active; txn = txn->active_next) {
        capacity++;
    }
    *list = op_arena_alloc(op, &op->arena, capacity * sizeof(**list));
    Lsn end = wal_end(manager->wal);
    for (struct txn *txn = manager->active.active_next; *list != NULL && txn != &manager->active; txn = txn->active_next) {
        Lsn first = __atomic_load_n(&txn->chain.first, __ATOMIC_ACQUIRE);
        if (first == 0 || writer__ts(txn) != 0) {
            continue;
        }
        os_mutex_lock(&manager->waits);
        uint32_t session = txn->session != NULL ? txn->session->number : 0;
        os_mutex_unlock(&manager->waits);
        (*list)[(*count)++] = (struct txn_writer_info){
            .id = txn->id, .session = session, .log_bytes = __atomic_load_n(&txn->chain.written, __ATOMIC_RELAXED),
            .undo_bytes = __atomic_load_n(&txn->chain.undoable, __ATOMIC_RELAXED),
            .kept_bytes = end > first ? end - first : 0,
        };
    }
    os_mutex_unlock(&manager->mutex);
    return *list != NULL ? 0 : OP_FAILED;
}

/* Writers in progress whose oldest log lies below `redo`, a reference to each. */
static int gather_old(struct op *op, struct txn_manager *manager, Lsn redo, struct txn ***old, size_t *count)
{
    size_t capacity = 1;

    *count = 0;
    os_mutex_lock(&manager->mutex);
    for (struct txn *txn = manager->active.active_next; txn != &manager->active; txn = txn->active_next) {
        capacity++;
    }
    *old = op_arena_alloc(op, &op->arena, capacity * sizeof(**old));
    for (struct txn *txn = manager->active.active_next; *old != NULL && txn != &manager->active; txn = txn->active_next) {
        Lsn first = __atomic_load_n(&txn->chain.first, __ATOMIC_ACQUIRE);
        if (first != 0 && first < redo && writer__ts(txn) == 0) {
            writer__ref(txn);
            (*old)[(*count)++] = txn;
        }
    }
    os_mutex_unlock(&manager->mutex);
    return *old != NULL ? 0 : OP_FAILED;
}

/*
 * store_hooks.carry: small transactions do not keep the log.  Together they may take an eighth of max_wal_size, one alone a
 * sixteenth; who has written more than that is a large writer, and the log waits for it.
 */
static int carry(void *context, struct op *op, Lsn redo)
{
    struct txn_manager *manager = context;
    uint64_t left = wal_carry_room(manager->wal), each = left / 2;
    struct txn **old;
    size_t count;
    int rc = gather_old(op, manager, redo, &old, &count);

    for (size_t i = 0; i < count; i++) {
        uint64_t carried = 0, size = __atomic_load_n(&old[i]->chain.undoable, __ATOMIC_RELAXED);
        uint64_t budget = left < each ? left : each;
        if (rc == 0 && size <= budget) {
            rc = wal_carry(op, manager->wal, &old[i]->chain, budget, &carried);
        }
        left -= carried;
        writer__unref(old[i]);
    }
    return rc;
}

static void free_manager(struct txn_manager *manager)
{
    ssi__close(manager);
    for (size_t i = 0; i < TXN_TREE_HASH; i++) {
        for (struct tree_info *info = atomic_load(&manager->trees[i]), *next; info != NULL; info = next) {
            next = info->next;
            os_mutex_destroy(&info->range_mutex);
            stretch__free_all(info);
            ssi__free_formers(info);
            mem_free(info);
        }
    }
    for (size_t i = 0; i < TXN_LOCK_HASH; i++) {
        for (struct lock *lock = manager->locks[i], *next; lock != NULL; lock = next) {
            next = lock->next;
            mem_free(lock);
        }
    }
    for (unsigned c = 0; c < atomic_load(&manager->slot_chunks); c++) {
        mem_free(atomic_load(&manager->slots[c]));
    }
    os_mutex_destroy(&manager->mutex);
    os_mutex_destroy(&manager->waits);
    os_mutex_destroy(&manager->commits);
    arena_free(&manager->undo.arena);
    mem_free((void *)manager->ring);
    mem_free(manager->buckets);
    mem_free(manager);
}

/* What is left of writers whose end the log did not survive, or which nobody purged yet. */
static void free_versions(struct txn_manager *manager)
{
    for (size_t i = 0; manager->buckets != NULL && i < TXN_BUCKETS; i++) {
        for (struct chain *chain = manager->buckets[i].first, *next; chain != NULL; chain = next) {
            next = chain->next;
            for (struct version *entry = chain->head, *older; entry != NULL; entry = older) {
                older = entry->older;
                version__unlist(entry);
                writer__unref(entry->writer);
                mem_free(entry->moved_to);
                mem_free(entry);
            }
            for (struct row_lock *lock = chain->locks, *other; lock != NULL; lock = other) {
                other = lock->next;
                mem_free(lock);
            }
            mem_free(chain);
        }
    }
}

static struct txn_manager *new_manager(struct op *op, struct store *store, const struct txn_options *options)
{
    struct txn_manager *manager = mem_calloc(1, sizeof(*manager));

    if (manager == NULL) {
        op_out_of_memory(op);
        return NULL;
    }
    manager->store = store;
    manager->wal = store_wal(store);
    if (options != NULL) {
        manager->options = *options;
    }
    if (manager->options.reads_each == 0) {
        manager->options.reads_each = 8192;
    }
    if (manager->options.advisory_locks == 0) {
        manager->options.advisory_locks = 262144;
    }
    if (manager->options.ended_kept == 0) {
        manager->options.ended_kept = 16384;
    }
    os_mutex_init(&manager->mutex, RANK_TXN_MANAGER);
    os_mutex_init(&manager->waits, RANK_WAIT_QUEUE);
    os_mutex_init(&manager->commits, RANK_COMMIT_ORDER);
    manager->active.active_next = manager->active.active_prev = &manager->active;
    manager->purge_list.purge_next = manager->purge_list.purge_prev = &manager->purge_list;
    manager->strays.purge_next = manager->strays.purge_prev = &manager->strays;
    manager->oldest_stray = UINT64_MAX;
    manager->buckets = mem_calloc(TXN_BUCKETS, sizeof(*manager->buckets));
    manager->ring = mem_calloc(TXN_COMMIT_RING, sizeof(*manager->ring));
    if (manager->buckets == NULL || manager->ring == NULL || ssi__open(op, manager) != 0) {
        if (!op_failed(op)) {
            op_out_of_memory(op);
        }
        free_manager(manager);
        return NULL;
    }
    return manager;
}

/* A transaction that could not be rolled back must be a loser of the next restart, so there must be one. */
static void break_log(struct txn_manager *manager)
{
    struct op op;

    op_init(&op);
    (void)op_fail(&op, "58030", "a transaction could not be rolled back before the database was closed");
    wal_break(manager->wal, &op);
    op_end(&op);
}

int txn_manager_open(struct op *op, struct store *store, const struct txn_options *options, struct txn_manager **out)
{
    *out = NULL;
    struct txn_manager *manager = new_manager(op, store, options);
    if (manager == NULL) {
        return OP_FAILED;
    }
    const struct wal_restart *restart = store_restart(store);
    CommitTs newest = wal_end(manager->wal) > 0 ? wal_end(manager->wal) - 1 : 0;
    if (restart->state.newest_commit > newest) {
        newest = restart->state.newest_commit;
    }
    /* Whatever committed before is visible to all: any number from the newest commit to the log's end says so. */
    atomic_init(&manager->visible_ts, newest > 0 ? newest : 1);
    atomic_init(&manager->next_txn, restart->state.next_txn > 0 ? restart->state.next_txn : 1);

    if (loser__enter(op, manager) != 0) {
        goto failed;
    }
    struct store_hooks hooks = { .context = manager, .undone = version__undone, .collect = collect, .carry = carry };
    store_set_hooks(store, &hooks);
    if (commit__prepare_undo(op, manager, &manager->undo) != 0 || purge__open(op, manager) != 0 ||
        budget__open(op, manager) != 0 || loser__adopt(op, manager) != 0 || system_tree__open(op, manager) != 0 ||
        sequence__open(op, manager) != 0) {
        goto failed;
    }
    if (manager->options.no_background) {
        if (loser__roll_back_all(op, manager) != 0) {
            goto failed;
        }
    } else if (purge__start(op, manager) != 0) {
        goto failed;
    }
    *out = manager;
    return 0;
failed:
    if (restart->state.chain_count > 0 && !PLANTED("txn-drop-unadopted")) {
        break_log(manager);     /* a loser may not have been adopted: the log must stay */
    }
    txn_manager_close(manager);
    return OP_FAILED;
}

static void close_manager(struct txn_manager *manager, bool abandoned)
{
    struct store_hooks none = { .context = NULL };

    if (manager->purge != NULL) {
        purge__close(manager, abandoned);
    }
    store_set_hooks(manager->store, &none);
    sequence__close(manager);
    run__free_all(manager);
    free_versions(manager);
    budget__close(manager);
    if (!abandoned && manager->active.active_next != &manager->active) {
        break_log(manager);
    }
    while (manager->active.active_next != &manager->active) {
        struct txn *txn = manager->active.active_next;
        writer__deactivate(txn);
        writer__unref(txn);
    }
    free_manager(manager);
}

void txn_manager_close(struct txn_manager *manager)
{
    if (manager != NULL) {
        assert(atomic_load(&manager->session_count) == 0);
        close_manager(manager, false);
    }
}

void txn_manager_abandon(struct txn_manager *manager)
{
    while (manager->sessions != NULL) {
        struct txn_session *session = manager->sessions;
        manager->sessions = session->next;
        if (session->ssi != NULL) {
            ssi__end(session, false);
        }
        locktable__release(session, 0);
        txn_unlock_advisory_all(session);
        session__free(session);
    }
    close_manager(manager, true);
}

void txn_on_describe(struct txn_manager *manager, const char *(*describe)(void *arg, struct op *op, const struct txn_thing *thing),
                     void *arg)
{
    manager->describe = describe;
    manager->describe_arg = arg;
}

struct store *txn_manager_store(struct txn_manager *manager)
{
    return manager->store;
}

CommitTs txn_visible_ts(const struct txn_manager *manager)
{
    return atomic_load_explicit(&((struct txn_manager *)manager)->visible_ts, memory_order_acquire);
}

uint64_t txn_version_bytes(const struct txn_manager *manager)
{
    return atomic_load_explicit(&((struct txn_manager *)manager)->version_bytes, memory_order_relaxed);
}

/* ---- the manager's own tree ----------------------------------------------------------------------- */

/*
 * One tree holds what the manager itself must remember: 'S' sequences, and 'M', a mark by which the tree is known.
 * It is made in the first transaction of a database, so its id is among the first that trees get; a crash
 * before that transaction committed uses up ids, which is why a few are tried.
 */
enum { SYSTEM_TREE_TRIES = 64 };
static const struct bytes system_mark = { (const uint8_t *)"M isolde transactions", 21 };

static int note_found(void *arg, struct op *op, const struct btree_record *record)
{
    *(bool *)arg = record != NULL && !(record->flags & BTREE_GHOST);
    return 0;
}

static int find_system_tree(struct op *op, struct txn_manager *manager, bool *found)
{
    struct op probe;

    *found = false;
    op_init(&probe);
    for (TreeId id = 1; id <= SYSTEM_TREE_TRIES && !*found; id++) {
        struct btree *tree;
        if (btree_open(&probe, manager->store, id, &tree) != 0) {
            if (strcmp(probe.error.sqlstate, "XX000") != 0) {
                op_copy_error(op, &probe);
                break;
            }
        } else if (btree_get(&probe, tree, system_mark, note_found, found) != 0) {
            op_copy_error(op, &probe);
            break;
        } else if (*found) {
            manager->system_tree = tree;
            manager->system_tree_id = id;
        }
        op_reset(&probe);
    }
    op_end(&probe);
    return op_failed(op) ? OP_FAILED : 0;
}

static int make_system_tree(struct op *op, struct txn_manager *manager)
{
    struct txn_session *session = NULL;
    TreeId id;
    struct btree *tree;
    int rc = OP_FAILED;

    if (txn_session_open(op, manager, &session) != 0 || txn_begin(op, session, TXN_READ_COMMITTED, false, false) != 0 ||
        txn_statement_begin(op, session) != 0 || txn_create_tree(op, session, &id) != 0 ||
        btree_open(op, manager->store, id, &tree) != 0) {
        goto out;
    }
    manager->system_tree = tree;
    manager->system_tree_id = id;
    if (write__internal(op, session, tree, BTREE_INSERT, system_mark, (struct bytes){ NULL, 0 }) != 0) {
        goto out;
    }
    txn_statement_end(session);
    rc = txn_commit(op, session);
out:
    txn_session_close(session);
    return rc;
}

int system_tree__open(struct op *op, struct txn_manager *manager)
{
    bool found;

    if (find_system_tree(op, manager, &found) != 0 || (!found && make_system_tree(op, manager) != 0)) {
        return OP_FAILED;
    }
    manager->system_info = manager__tree(op, manager, manager->system_tree_id);
    return manager->system_info != NULL ? 0 : OP_FAILED;
}
