/*
 * rowlock.c -- row locks in four modes: who holds what on a row, and what stands in whose way.
 *
 * A row is locked in two ways.  A change locks it by itself: its entry, as long as its writer is in progress, is a lock FOR UPDATE, or
 * FOR NO KEY UPDATE when it is an update that leaves alone all columns by which others may refer to the row.  SELECT FOR ... and foreign keys
 * lock without changing anything; for them there are lock-only entries (struct row_lock), which hang on the same chain beside the
 * versions, so that one look-up under one latch knows both:
 *
 *      chain of k:   versions  [writer 9, NO KEY UPDATE] -> [writer 7, committed]
 *                    locks     {writer 12, KEY SHARE} {writer 15, KEY SHARE}
 *
 *                        KEY SHARE   SHARE   NO KEY UPDATE   UPDATE        (x: one of the two waits)
 *      KEY SHARE                                                x
 *      SHARE                                       x            x
 *      NO KEY UPDATE                     x         x            x
 *      UPDATE                x           x         x            x
 *
 * A stronger mode conflicts with whatever a weaker one conflicts with; so what a transaction holds on a row is its strongest mode.
 * One who asks for more than it holds gets a further entry, which goes alone when a savepoint is rolled back.
 *
 * A change is released when its commit is ordered, a lock-only entry when the commit is visible: who goes on after a change meets it
 * and knows what it builds on (dep_ts); who goes on after a bare lock meets nothing.  A lock under a change of the same transaction that is
 * at least as strong is `covered`, and released with it.
 *
 * K1  Two transactions in progress never hold conflicting modes on one row.
 * K2  chain->locks changes under the bucket latch, and under manager->waits too while somebody queues there; so it may be read
 *     under either, by the latter only on a chain that has waiters.
 * K3  A transaction's lock-only entries are in its own list in the order of their positions, newest first; of two on the same row the
 *     newer one is stronger.
 * K4  `covered` says: a change by the same writer, of at least this mode, stands on the chain.
 * K5  Memory is found before the lock is taken; to release one needs none.
 *
 * Follows PostgreSQL's modes and matrix; unlike there the lock is not written into the row, a set of holders costs no log, and
 * a row's locks are gone after a restart with those who held them.
 */
#include "src/base/planted.h"
#include "txn/ssi.h"
#include "txn/txn_int.h"

#define MODE(mode) (1u << (mode))

bool rowlock__conflict(enum txn_row_lock held, enum txn_row_lock asked)
{
    static const uint8_t conflicts[] = {
        [TXN_FOR_KEY_SHARE] = MODE(TXN_FOR_UPDATE),
        [TXN_FOR_SHARE] = MODE(TXN_FOR_NO_KEY_UPDATE) | MODE(TXN_FOR_UPDATE),
        [TXN_FOR_NO_KEY_UPDATE] = MODE(TXN_FOR_SHARE) | MODE(TXN_FOR_NO_KEY_UPDATE) | MODE(TXN_FOR_UPDATE),
        [TXN_FOR_UPDATE] = MODE(TXN_FOR_KEY_SHARE) | MODE(TXN_FOR_SHARE) | MODE(TXN_FOR_NO_KEY_UPDATE) | MODE(TXN_FOR_UPDATE),
    };

    if (PLANTED("lock-share-with-update") && held == TXN_FOR_SHARE && asked == TXN_FOR_NO_KEY_UPDATE) {
        return false;
    }
    return (conflicts[held] & MODE(asked)) != 0;
}

/* The mode of the changes by the newest writer; bucket latch held, there is one. */
enum txn_row_lock rowlock__mode_of_head(const struct chain *chain)
{
    uint8_t mode = 0;

    for (const struct version *entry = chain->head; entry != NULL && entry->writer == chain->head->writer; entry = entry->older) {
        mode = entry->lock_mode > mode ? entry->lock_mode : mode;
    }
    return (enum txn_row_lock)mode;
}

bool rowlock__in_way(const struct row_lock *lock, const struct txn *writer, enum txn_row_lock mode)
{
    return lock->writer != writer && rowlock__conflict((enum txn_row_lock)lock->mode, mode) &&
           !atomic_load_explicit(&lock->writer->ended, memory_order_acquire) &&
           !(lock->covered && writer__ts(lock->writer) != 0);
}

bool rowlock__blocked(const struct chain *chain, const struct txn *writer, enum txn_row_lock mode)
{
    const struct version *head = chain->head;

    if (head != NULL && head->writer != writer && writer__ts(head->writer) == 0 &&
        rowlock__conflict(rowlock__mode_of_head(chain), mode)) {
        return true;
    }
    for (const struct row_lock *lock = chain->locks; lock != NULL; lock = lock->next) {
        if (rowlock__in_way(lock, writer, mode)) {
            return true;
        }
    }
    return false;
}

int rowlock__held(const struct chain *chain, const struct txn *writer)
{
    int mode = chain->head != NULL && chain->head->writer == writer ? (int)rowlock__mode_of_head(chain) : 0;

    for (const struct row_lock *lock = chain->locks; lock != NULL; lock = lock->next) {
        if (lock->writer == writer && lock->mode > mode) {
            mode = lock->mode;
        }
    }
    return mode;
}

/* ---- entries; bucket latch held --------------------------------------------------------------------- */

/* K2.  True when manager->waits was taken. */
static bool lock_queue(struct chain *chain)
{
    struct txn_manager *manager = chain->manager;

    if (atomic_load_explicit(&chain->waiters, memory_order_acquire) == 0) {
        return false;
    }
    os_mutex_lock(&manager->waits);
    return true;
}

static void unlock_queue(struct chain *chain, bool locked)
{
    if (locked) {
        os_mutex_unlock(&chain->manager->waits);
    }
}

/* K1, for what is being added. */
static void check_alone(const struct chain *chain, const struct txn *writer, enum txn_row_lock mode)
{
    assert(!rowlock__blocked(chain, writer, mode));
    (void)chain, (void)writer, (void)mode;
}

static void push_lock(struct txn_session *session, struct chain *chain, struct row_lock *lock)
{
    struct txn *writer = session->writer;

    check_alone(chain, writer, (enum txn_row_lock)lock->mode);
    bool queued = lock_queue(chain);
    lock->next = chain->locks;
    chain->locks = lock;
    unlock_queue(chain, queued);
    lock->chain = chain;
    lock->position = ++session->lock_position;
    lock->own_next = writer->locks;
    writer->locks = lock;
    atomic_fetch_add_explicit(&chain->manager->version_bytes, sizeof(*lock), memory_order_relaxed);
}

/* K4, after a change was pushed or undone. */
void rowlock__cover(struct chain *chain, const struct txn *writer)
{
    if (chain->locks == NULL) {
        return;
    }
    int covering = 0;
    for (const struct version *entry = chain->head; entry != NULL; entry = entry->older) {
        if (entry->writer == writer && entry->lock_mode > covering) {
            covering = entry->lock_mode;
        }
    }
    bool queued = lock_queue(chain);
    for (struct row_lock *lock = chain->locks; lock != NULL; lock = lock->next) {
        if (lock->writer == writer) {
            lock->covered = lock->mode <= covering;
        }
    }
    unlock_queue(chain, queued);
}

/* Takes it off its chain; those who can may go on. */
static void remove_lock(struct row_lock *lock)
{
    struct chain *chain = lock->chain;
    struct row_lock **at = &chain->locks;
    bool queued = lock_queue(chain);

    while (*at != lock) {
        at = &(*at)->next;
    }
    *at = lock->next;
    if (queued) {
        wait__settle(chain);
    }
    unlock_queue(chain, queued);
    atomic_fetch_sub_explicit(&chain->manager->version_bytes, sizeof(*lock), memory_order_relaxed);
    mem_free(lock);
}

void rowlock__release(struct txn_session *session, uint64_t position)
{
    struct txn *txn = session->writer;

    while (txn->locks != NULL && txn->locks->position > position) {
        struct row_lock *lock = txn->locks;
        struct chain *chain = lock->chain;
        struct bucket *bucket = version__lock(session->manager, chain->hash);
        txn->locks = lock->own_next;
        remove_lock(lock);
        version__drop_chain(bucket, chain);
        version__unlock(bucket);
    }
}

int rowlock__take(struct op *op, struct txn_session *session, struct bucket *bucket, struct chain *chain, struct tree_info *info,
                  uint64_t hash, struct bytes key, enum txn_row_lock mode)
{
    if (chain != NULL && rowlock__held(chain, session->writer) >= (int)mode) {
        wait__took_row(session, chain);
        return 0;
    }
    struct row_lock *lock = mem_calloc(1, sizeof(*lock));
    if (lock == NULL) {
        return op_out_of_memory(op);
    }
    if (chain == NULL) {
        chain = version__new_chain(op, session->manager, info, hash, key);
        if (chain == NULL) {
            mem_free(lock);
            return OP_FAILED;
        }
        version__add_chain(bucket, chain);
    }
    lock->writer = session->writer;
    lock->mode = (uint8_t)mode;
    push_lock(session, chain, lock);
    wait__took_row(session, chain);
    return 0;
}
