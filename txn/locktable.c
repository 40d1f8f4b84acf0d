/*
 * locktable.c -- the shared table of locks: on tables, and on numbers that applications agree upon (advisory locks).
 *
 * A lock is there while somebody holds it or waits for it; it knows its holders, with modes, and its queue.  The modes are PostgreSQL's
 * eight with its matrix; advisory locks use two of them, SHARE and EXCLUSIVE.  What a transaction holds stands in its own list too,
 * in the order in which it came, so that a savepoint gives back what came after it; what a session keeps beyond its
 * transactions is counted in the hold and linked to the session (advisory.c).
 *
 * Queues are fair: a request waits when it conflicts with what is held or with a request before it; but it is put before those
 * requests that conflict with what its session holds already, which would be deadlocks otherwise.
 *
 * H1  manager->waits guards all of it.
 * H2  Who waits has the memory with which it will be granted: a grant, made by another's thread, cannot fail.
 * H3  A waiter that nothing stands in the way of is granted before manager->waits is released.
 */
#include "txn/txn_int.h"

#define MODE(mode) (1u << (mode))

/* PostgreSQL's conflict matrix: which modes conflict with this one. */
static const uint16_t conflicts[9] = {
    [TXN_ACCESS_SHARE] = MODE(TXN_ACCESS_EXCLUSIVE),
    [TXN_ROW_SHARE] = MODE(TXN_EXCLUSIVE) | MODE(TXN_ACCESS_EXCLUSIVE),
    [TXN_ROW_EXCLUSIVE] = MODE(TXN_SHARE) | MODE(TXN_SHARE_ROW_EXCLUSIVE) | MODE(TXN_EXCLUSIVE) | MODE(TXN_ACCESS_EXCLUSIVE),
    [TXN_SHARE_UPDATE_EXCLUSIVE] = MODE(TXN_SHARE_UPDATE_EXCLUSIVE) | MODE(TXN_SHARE) | MODE(TXN_SHARE_ROW_EXCLUSIVE) |
                                   MODE(TXN_EXCLUSIVE) | MODE(TXN_ACCESS_EXCLUSIVE),
    [TXN_SHARE] = MODE(TXN_ROW_EXCLUSIVE) | MODE(TXN_SHARE_UPDATE_EXCLUSIVE) | MODE(TXN_SHARE_ROW_EXCLUSIVE) |
                  MODE(TXN_EXCLUSIVE) | MODE(TXN_ACCESS_EXCLUSIVE),
    [TXN_SHARE_ROW_EXCLUSIVE] = MODE(TXN_ROW_EXCLUSIVE) | MODE(TXN_SHARE_UPDATE_EXCLUSIVE) | MODE(TXN_SHARE) |
                                MODE(TXN_SHARE_ROW_EXCLUSIVE) | MODE(TXN_EXCLUSIVE) | MODE(TXN_ACCESS_EXCLUSIVE),
    [TXN_EXCLUSIVE] = MODE(TXN_ROW_SHARE) | MODE(TXN_ROW_EXCLUSIVE) | MODE(TXN_SHARE_UPDATE_EXCLUSIVE) | MODE(TXN_SHARE) |
                      MODE(TXN_SHARE_ROW_EXCLUSIVE) | MODE(TXN_EXCLUSIVE) | MODE(TXN_ACCESS_EXCLUSIVE),
    [TXN_ACCESS_EXCLUSIVE] = 0x1FE,
};

const char *locktable__mode_name(enum txn_table_lock mode)
{
    static const char *const names[] = {
        "", "AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock",
        "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
    };
    return names[mode];
}

/* ---- locks and holds ------------------------------------------------------------------------------- */

static struct lock **bucket_of(struct txn_manager *manager, struct lock_tag tag)
{
    return &manager->locks[hash_u64(tag.id + (uint64_t)tag.space * UINT64_C(0x9E3779B97F4A7C15)) % TXN_LOCK_HASH];
}

struct lock *locktable__find(struct txn_manager *manager, struct lock_tag tag, bool make)
{
    struct lock **head = bucket_of(manager, tag), *lock = *head;

    while (lock != NULL && (lock->tag.id != tag.id || lock->tag.space != tag.space)) {
        lock = lock->next;
    }
    if (lock == NULL && make) {
        lock = mem_calloc(1, sizeof(*lock));
        if (lock != NULL) {
            lock->tag = tag;
            lock->next = *head;
            *head = lock;
        }
    }
    return lock;
}

static void drop_lock_if_idle(struct txn_manager *manager, struct lock *lock)
{
    if (lock->holds != NULL || lock->first_wait != NULL) {
        return;
    }
    struct lock **at = bucket_of(manager, lock->tag);
    while (*at != lock) {
        at = &(*at)->next;
    }
    *at = lock->next;
    mem_free(lock);
}

struct lock_hold *locktable__hold_of(const struct lock *lock, const struct txn_session *session)
{
    struct lock_hold *hold = lock->holds;

    while (hold != NULL && hold->session != session) {
        hold = hold->next;
    }
    return hold;
}

static unsigned modes_of(const struct lock_hold *hold)
{
    unsigned modes = 0;

    for (int mode = 1; hold != NULL && mode <= TXN_ACCESS_EXCLUSIVE; mode++) {
        modes |= hold->count[mode] > 0 ? MODE(mode) : 0;
    }
    return modes;
}

bool locktable__add_hold(struct lock *lock, struct txn_session *session, enum txn_table_lock mode, struct lock_hold **spare)
{
    struct lock_hold *hold = locktable__hold_of(lock, session);

    if (hold == NULL) {
        hold = spare != NULL && *spare != NULL ? *spare : mem_calloc(1, sizeof(*hold));
        if (hold == NULL) {
            return false;
        }
        if (spare != NULL) {
            *spare = NULL;
        }
        hold->session = session;
        hold->lock = lock;
        hold->next = lock->holds;
        lock->holds = hold;
        session->manager->advisory_count += lock->tag.space != LOCK_TABLE;
    }
    hold->count[mode]++;
    return true;
}

static bool conflicts_with_holds(const struct lock *lock, const struct txn_session *session, enum txn_table_lock mode)
{
    for (const struct lock_hold *hold = lock->holds; hold != NULL; hold = hold->next) {
        if (hold->session != session && (modes_of(hold) & conflicts[mode])) {
            return true;
        }
    }
    return false;
}

/* ---- queues ---------------------------------------------------------------------------------------- */

static void unlink_wait(struct lock *lock, struct wait *wait)
{
    *(wait->prev != NULL ? &wait->prev->next : &lock->first_wait) = wait->next;
    *(wait->next != NULL ? &wait->next->prev : &lock->last_wait) = wait->prev;
    wait->next = wait->prev = NULL;
}

/* H3: grants every waiter that nobody before it stands in the way of. */
static void grant_waiters(struct lock *lock)
{
    unsigned ahead = 0;

    for (struct wait *wait = lock->first_wait, *next; wait != NULL; wait = next) {
        next = wait->next;
        bool blocked = (ahead & conflicts[wait->mode]) || conflicts_with_holds(lock, wait->session, wait->mode);
        if (blocked) {
            ahead |= MODE(wait->mode);
            continue;
        }
        bool added = locktable__add_hold(lock, wait->session, wait->mode, &wait->spare);
        assert(added);
        (void)added;
        unlink_wait(lock, wait);
        wait->granted = true;
        wait__wake(wait);
    }
}

void locktable__remove_hold(struct lock *lock, struct txn_session *session, enum txn_table_lock mode)
{
    struct txn_manager *manager = session->manager;
    struct lock_hold **at = &lock->holds;

    while ((*at)->session != session) {
        at = &(*at)->next;
    }
    struct lock_hold *hold = *at;
    assert(hold->count[mode] > 0);
    hold->count[mode]--;
    if (modes_of(hold) == 0) {
        *at = hold->next;
        manager->advisory_count -= lock->tag.space != LOCK_TABLE;
        mem_free(hold);
    }
    grant_waiters(lock);
    drop_lock_if_idle(manager, lock);
}

void locktable__regrant(struct lock *lock)
{
    grant_waiters(lock);
}

bool locktable__held_up(const struct wait *wait)
{
    bool held_up = conflicts_with_holds(wait->lock, wait->session, wait->mode);

    for (const struct wait *ahead = wait->prev; ahead != NULL && !held_up; ahead = ahead->prev) {
        held_up = locktable__modes_conflict(ahead->mode, wait->mode);
    }
    return held_up;
}

bool locktable__in_way(const struct lock_hold *hold, const struct wait *wait)
{
    return hold->session != wait->session && (modes_of(hold) & conflicts[wait->mode]);
}

bool locktable__modes_conflict(enum txn_table_lock one, enum txn_table_lock other)
{
    return (conflicts[one] & MODE(other)) != 0;
}

const char *locktable__name(struct op *op, struct lock_tag tag)
{
    switch (tag.space) {
    case LOCK_TABLE: return arena_printf(&op->arena, "relation %llu", (unsigned long long)tag.id);
    case LOCK_ADVISORY: return arena_printf(&op->arena, "advisory lock %lld", (long long)tag.id);
    case LOCK_ADVISORY_PAIR: break;
    }
    return arena_printf(&op->arena, "advisory lock (%d, %d)", (int)(tag.id >> 32), (int)(uint32_t)tag.id);
}

void locktable__leave(struct txn_manager *manager, struct wait *wait)
{
    struct lock *lock = wait->lock;
    bool granted = wait->granted;

    if (!granted) {
        unlink_wait(lock, wait);
    }
    mem_free(wait->spare);
    wait->spare = NULL;
    wait->kind = WAIT_NONE;
    wait->lock = NULL;
    wait->granted = wait->condemned = false;
    if (granted) {
        locktable__remove_hold(lock, wait->session, wait->mode);
        return;
    }
    grant_waiters(lock);
    drop_lock_if_idle(manager, lock);
}

/* Behind everybody, but before those whose request conflicts with what the session holds. */
static void enqueue(struct lock *lock, struct txn_session *session, enum txn_table_lock mode)
{
    struct wait *wait = &session->wait, *before = lock->first_wait;
    unsigned held = modes_of(locktable__hold_of(lock, session));

    while (before != NULL && !(conflicts[before->mode] & held)) {
        before = before->next;
    }
    wait->kind = WAIT_LOCK;
    wait->lock = lock;
    wait->mode = mode;
    wait->granted = false;
    wait->next = before;
    wait->prev = before != NULL ? before->prev : lock->last_wait;
    *(wait->prev != NULL ? &wait->prev->next : &lock->first_wait) = wait;
    *(before != NULL ? &before->prev : &lock->last_wait) = wait;
}

/* ---- acquiring ------------------------------------------------------------------------------------- */

static bool must_wait_for(const struct lock *lock, const struct txn_session *session, enum txn_table_lock mode)
{
    unsigned held = modes_of(locktable__hold_of(lock, session));

    if (conflicts_with_holds(lock, session, mode)) {
        return true;
    }
    for (const struct wait *ahead = lock->first_wait; ahead != NULL; ahead = ahead->next) {
        if (conflicts[ahead->mode] & held) {
            return false;       /* it waits for us: it is no reason to wait for it */
        }
        if (MODE(ahead->mode) & conflicts[mode]) {
            return true;
        }
    }
    return false;
}

static int fail_too_many(struct op *op, const struct txn_manager *manager)
{
    op_fail(op, "53200", "out of shared memory");
    op_detail(op, "%u advisory locks are held, and no more are allowed.", (unsigned)manager->options.advisory_locks);
    op_hint(op, "Release advisory locks that are not needed any more.");
    return OP_FAILED;
}

/* manager->waits held: takes the lock, or (*waiting) enqueues; with `locked` it does not enqueue. */
static int take(struct op *op, struct txn_session *session, struct lock_tag tag, enum txn_table_lock mode, bool *locked,
                bool *waiting)
{
    struct txn_manager *manager = session->manager;
    struct lock *lock = locktable__find(manager, tag, true);
    struct lock_hold *spare = NULL;
    int rc = 0;

    *waiting = false;
    if (lock == NULL) {
        return op_out_of_memory(op);
    }
    if (locktable__hold_of(lock, session) == NULL) {
        if (tag.space != LOCK_TABLE && manager->advisory_count >= manager->options.advisory_locks) {
            rc = fail_too_many(op, manager);
        } else if ((spare = mem_calloc(1, sizeof(*spare))) == NULL) {
            rc = op_out_of_memory(op);
        }
    }
    bool blocked = rc == 0 && must_wait_for(lock, session, mode);
    if (rc == 0 && !blocked) {
        rc = locktable__add_hold(lock, session, mode, &spare) ? 0 : OP_FAILED;
        assert(rc == 0);
    } else if (blocked && locked != NULL) {
        *locked = false;
    } else if (blocked) {
        enqueue(lock, session, mode);
        session->wait.spare = spare;
        spare = NULL;
        *waiting = true;
    }
    mem_free(spare);
    drop_lock_if_idle(manager, lock);
    return rc;
}

int locktable__take(struct op *op, struct txn_session *session, struct lock_tag tag, enum txn_table_lock mode, bool *locked)
{
    struct txn_manager *manager = session->manager;
    struct wait *wait = &session->wait;
    bool waiting;

    wait__leave(session);
    os_mutex_lock(&manager->waits);
    int rc = take(op, session, tag, mode, locked, &waiting);
    os_mutex_unlock(&manager->waits);
    if (!waiting) {
        return rc;
    }
    if (wait__sleep(op, session) != 0) {
        return OP_FAILED;
    }
    /* Others read it while they look for a deadlock. */
    os_mutex_lock(&manager->waits);
    wait->kind = WAIT_NONE;
    wait->lock = NULL;
    wait->granted = wait->condemned = false;
    mem_free(wait->spare);
    wait->spare = NULL;
    os_mutex_unlock(&manager->waits);
    return 0;
}

/* ---- the transaction's list ------------------------------------------------------------------------ */

int locktable__reserve_own(struct op *op, struct txn_session *session)
{
    if (session->own_count < session->own_capacity) {
        return 0;
    }
    size_t capacity = session->own_capacity == 0 ? 16 : session->own_capacity * 2;
    os_mutex_lock(&session->fast_mutex);
    struct lock_own *grown = mem_realloc(session->own_locks, capacity * sizeof(*grown));
    if (grown != NULL) {
        session->own_locks = grown;
        session->own_capacity = capacity;
    }
    os_mutex_unlock(&session->fast_mutex);
    return grown != NULL ? 0 : op_out_of_memory(op);
}

void locktable__note_own(struct txn_session *session, struct lock_tag tag, enum txn_table_lock mode, bool fast)
{
    session->own_locks[session->own_count++] = (struct lock_own){
        .tag = tag, .position = ++session->lock_position, .mode = (uint8_t)mode, .fast = fast,
    };
}

/* manager->waits held. */
static void release_one(struct txn_session *session, const struct lock_own *own)
{
    struct lock *lock = locktable__find(session->manager, own->tag, false);

    assert(lock != NULL);
    locktable__hold_of(lock, session)->noted &= (uint16_t)~MODE(own->mode);
    locktable__remove_hold(lock, session, (enum txn_table_lock)own->mode);
}

void locktable__release(struct txn_session *session, uint64_t position)
{
    struct txn_manager *manager = session->manager;

    os_mutex_lock(&session->fast_mutex);
    while (session->own_count > 0 && session->own_locks[session->own_count - 1].position > position) {
        const struct lock_own *own = &session->own_locks[--session->own_count];
        if (own->fast) {
            continue;
        }
        os_mutex_lock(&manager->waits);
        release_one(session, own);
        os_mutex_unlock(&manager->waits);
        if (own->tag.space == LOCK_TABLE && own->mode > TXN_ROW_EXCLUSIVE) {
            tablelock__weaken(manager, own->tag.id);
        }
    }
    os_mutex_unlock(&session->fast_mutex);
}
