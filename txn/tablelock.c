/*
 * tablelock.c -- locks on whole tables, in PostgreSQL's eight modes.
 *
 * Every statement locks the tables that it uses, nearly always in a weak mode (ACCESS SHARE, ROW SHARE, ROW EXCLUSIVE), and weak
 * modes do not conflict with each other.  So a weak lock is only noted in the session's own list, as long as nobody holds or wants a
 * strong mode on a table of the same partition.  Who wants a strong one first raises the partition's counter, then moves
 * the weak locks of that table out of all sessions' lists into the shared table, where conflicts are looked for.
 *
 * Queues are fair: a request waits when it conflicts with what is held or with a request before it; but it is put before those
 * requests that conflict with what its session holds already, which would be deadlocks otherwise.
 *
 * L1  session->fast_mutex guards the session's list against strong lockers; manager->waits guards the shared table.
 * L2  A weak lock is noted only while the partition's counter is zero, looked at under fast_mutex; a strong locker raises it before
 *     it takes any fast_mutex.  So either the locker finds the note, or the session sees the counter.
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

const char *tablelock__mode_name(enum txn_table_lock mode)
{
    static const char *const names[] = {
        "", "AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock",
        "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
    };
    return names[mode];
}

static atomic_uint *partition_of(struct txn_manager *manager, uint64_t table)
{
    return &manager->strong[hash_u64(table) % TXN_STRONG_PARTITIONS];
}

/* ---- the shared table; manager->waits held --------------------------------------------------------- */

static struct table_lock *find_lock(struct txn_manager *manager, uint64_t table, bool make)
{
    struct table_lock **head = &manager->table_locks[hash_u64(table) % TXN_LOCK_HASH];
    struct table_lock *lock = *head;

    while (lock != NULL && lock->table != table) {
        lock = lock->next;
    }
    if (lock == NULL && make) {
        lock = mem_calloc(1, sizeof(*lock));
        if (lock != NULL) {
            lock->table = table;
            lock->next = *head;
            *head = lock;
        }
    }
    return lock;
}

static void drop_lock_if_idle(struct txn_manager *manager, struct table_lock *lock)
{
    if (lock->holds != NULL || lock->first_wait != NULL) {
        return;
    }
    struct table_lock **at = &manager->table_locks[hash_u64(lock->table) % TXN_LOCK_HASH];
    while (*at != lock) {
        at = &(*at)->next;
    }
    *at = lock->next;
    mem_free(lock);
}

static struct table_hold *hold_of(struct table_lock *lock, const struct txn_session *session)
{
    struct table_hold *hold = lock->holds;

    while (hold != NULL && hold->session != session) {
        hold = hold->next;
    }
    return hold;
}

static unsigned modes_of(const struct table_hold *hold)
{
    unsigned modes = 0;

    for (int mode = 1; hold != NULL && mode <= TXN_ACCESS_EXCLUSIVE; mode++) {
        modes |= hold->count[mode] > 0 ? MODE(mode) : 0;
    }
    return modes;
}

static bool add_hold(struct table_lock *lock, struct txn_session *session, enum txn_table_lock mode)
{
    struct table_hold *hold = hold_of(lock, session);

    if (hold == NULL) {
        hold = mem_calloc(1, sizeof(*hold));
        if (hold == NULL) {
            return false;
        }
        hold->session = session;
        hold->next = lock->holds;
        lock->holds = hold;
    }
    hold->count[mode]++;
    return true;
}

static void remove_hold(struct table_lock *lock, struct txn_session *session, enum txn_table_lock mode)
{
    for (struct table_hold **at = &lock->holds; *at != NULL; at = &(*at)->next) {
        struct table_hold *hold = *at;
        if (hold->session == session) {
            hold->count[mode]--;
            if (modes_of(hold) == 0) {
                *at = hold->next;
                mem_free(hold);
            }
            return;
        }
    }
}

static bool conflicts_with_holds(const struct table_lock *lock, const struct txn_session *session, enum txn_table_lock mode)
{
    for (const struct table_hold *hold = lock->holds; hold != NULL; hold = hold->next) {
        if (hold->session != session && (modes_of(hold) & conflicts[mode])) {
            return true;
        }
    }
    return false;
}

/* Grants every waiter that nobody before it stands in the way of. */
static void grant_waiters(struct table_lock *lock)
{
    unsigned ahead = 0;

    for (struct wait *wait = lock->first_wait, *next; wait != NULL; wait = next) {
        next = wait->next;
        bool blocked = (ahead & conflicts[wait->mode]) || conflicts_with_holds(lock, wait->session, wait->mode);
        if (!blocked && add_hold(lock, wait->session, wait->mode)) {
            *(wait->prev != NULL ? &wait->prev->next : &lock->first_wait) = wait->next;
            *(wait->next != NULL ? &wait->next->prev : &lock->last_wait) = wait->prev;
            wait->next = wait->prev = NULL;
            wait->granted = true;
            wait__wake(wait);
        } else {
            ahead |= MODE(wait->mode);
        }
    }
}

void tablelock__regrant(struct table_lock *lock)
{
    grant_waiters(lock);
}

bool tablelock__held_up(const struct wait *wait)
{
    bool held_up = conflicts_with_holds(wait->table, wait->session, wait->mode);

    for (const struct wait *ahead = wait->prev; ahead != NULL && !held_up; ahead = ahead->prev) {
        held_up = tablelock__modes_conflict(ahead->mode, wait->mode);
    }
    return held_up;
}

bool tablelock__in_way(const struct table_hold *hold, const struct wait *wait)
{
    return hold->session != wait->session && (modes_of(hold) & conflicts[wait->mode]);
}

bool tablelock__modes_conflict(enum txn_table_lock one, enum txn_table_lock other)
{
    return (conflicts[one] & MODE(other)) != 0;
}

const char *tablelock__describe(struct op *op, const struct wait *wait)
{
    return arena_printf(&op->arena, "%s on relation %llu", tablelock__mode_name(wait->mode),
                        (unsigned long long)wait->table->table);
}

void tablelock__leave(struct txn_manager *manager, struct wait *wait)
{
    struct table_lock *lock = wait->table;

    if (wait->granted) {
        remove_hold(lock, wait->session, wait->mode);
    } else {
        *(wait->prev != NULL ? &wait->prev->next : &lock->first_wait) = wait->next;
        *(wait->next != NULL ? &wait->next->prev : &lock->last_wait) = wait->prev;
        wait->next = wait->prev = NULL;
    }
    wait->kind = WAIT_NONE;
    wait->table = NULL;
    wait->granted = wait->condemned = false;
    grant_waiters(lock);
    drop_lock_if_idle(manager, lock);
}

/* Behind everybody, but before those whose request conflicts with what the session holds. */
static void enqueue(struct table_lock *lock, struct txn_session *session, enum txn_table_lock mode)
{
    struct wait *wait = &session->wait, *before = lock->first_wait;
    unsigned held = modes_of(hold_of(lock, session));

    while (before != NULL && !(conflicts[before->mode] & held)) {
        before = before->next;
    }
    wait->kind = WAIT_TABLE;
    wait->table = lock;
    wait->mode = mode;
    wait->granted = false;
    wait->next = before;
    wait->prev = before != NULL ? before->prev : lock->last_wait;
    *(wait->prev != NULL ? &wait->prev->next : &lock->first_wait) = wait;
    *(before != NULL ? &before->prev : &lock->last_wait) = wait;
}

/* ---- acquiring ------------------------------------------------------------------------------------ */

static bool holds_already(const struct txn_session *session, uint64_t table, enum txn_table_lock mode)
{
    for (size_t i = session->own_count; i-- > 0;) {
        if (session->own_locks[i].table == table && session->own_locks[i].mode == mode) {
            return true;
        }
    }
    return false;
}

static int reserve_own(struct op *op, struct txn_session *session)
{
    if (session->own_count < session->own_capacity) {
        return 0;
    }
    size_t capacity = session->own_capacity == 0 ? 16 : session->own_capacity * 2;
    os_mutex_lock(&session->fast_mutex);
    struct table_own *grown = mem_realloc(session->own_locks, capacity * sizeof(*grown));
    if (grown != NULL) {
        session->own_locks = grown;
        session->own_capacity = capacity;
    }
    os_mutex_unlock(&session->fast_mutex);
    return grown != NULL ? 0 : op_out_of_memory(op);
}

static void note_own(struct txn_session *session, uint64_t table, enum txn_table_lock mode, bool fast)
{
    session->own_locks[session->own_count++] = (struct table_own){
        .table = table, .position = ++session->lock_position, .mode = (uint8_t)mode, .fast = fast,
    };
}

static bool take_fast(struct txn_session *session, uint64_t table, enum txn_table_lock mode)
{
    os_mutex_lock(&session->fast_mutex);
    bool taken = atomic_load_explicit(partition_of(session->manager, table), memory_order_seq_cst) == 0;
    if (taken) {
        note_own(session, table, mode, true);
    }
    os_mutex_unlock(&session->fast_mutex);
    return taken;
}

/* Moves all noted weak locks of the table into the shared table. */
static int collect_fast(struct op *op, struct txn_manager *manager, uint64_t table)
{
    bool failed = false;

    os_mutex_lock(&manager->mutex);
    for (struct txn_session *session = manager->sessions; session != NULL; session = session->next) {
        os_mutex_lock(&session->fast_mutex);
        for (size_t i = 0; i < session->own_count; i++) {
            struct table_own *own = &session->own_locks[i];
            if (own->table != table || !own->fast) {
                continue;
            }
            os_mutex_lock(&manager->waits);
            struct table_lock *lock = find_lock(manager, table, true);
            if (lock != NULL && add_hold(lock, session, own->mode)) {
                own->fast = false;
            } else {
                failed = true;
            }
            os_mutex_unlock(&manager->waits);
        }
        os_mutex_unlock(&session->fast_mutex);
    }
    os_mutex_unlock(&manager->mutex);
    return failed ? op_out_of_memory(op) : 0;
}

/* In the shared table: at once, or after a wait.  locked: NULL, or where it is told that there would be a wait instead. */
static int take_shared(struct op *op, struct txn_session *session, uint64_t table, enum txn_table_lock mode, bool *locked)
{
    struct txn_manager *manager = session->manager;
    bool must_wait = false, failed = false;

    os_mutex_lock(&manager->waits);
    struct table_lock *lock = find_lock(manager, table, true);
    if (lock == NULL) {
        os_mutex_unlock(&manager->waits);
        return op_out_of_memory(op);
    }
    unsigned held = modes_of(hold_of(lock, session));
    must_wait = conflicts_with_holds(lock, session, mode);
    for (struct wait *ahead = lock->first_wait; ahead != NULL && !must_wait; ahead = ahead->next) {
        if (conflicts[ahead->mode] & held) {
            break;      /* it waits for us: it is no reason to wait for it */
        }
        must_wait = (MODE(ahead->mode) & conflicts[mode]) != 0;
    }
    if (must_wait && locked != NULL) {
        *locked = false;
        os_mutex_unlock(&manager->waits);
        return 0;
    }
    if (must_wait) {
        enqueue(lock, session, mode);
    } else {
        failed = !add_hold(lock, session, mode);
        drop_lock_if_idle(manager, lock);
    }
    os_mutex_unlock(&manager->waits);
    if (failed) {
        return op_out_of_memory(op);
    }
    if (must_wait) {
        if (wait__sleep(op, session) != 0) {
            return OP_FAILED;
        }
        /* Others read it while they look for a deadlock. */
        os_mutex_lock(&manager->waits);
        session->wait.kind = WAIT_NONE;
        session->wait.granted = false;
        os_mutex_unlock(&manager->waits);
    }
    os_mutex_lock(&session->fast_mutex);
    note_own(session, table, mode, false);
    os_mutex_unlock(&session->fast_mutex);
    return 0;
}

static int lock_table(struct op *op, struct txn_session *session, uint64_t table, enum txn_table_lock mode, bool *locked)
{
    struct txn_manager *manager = session->manager;
    bool strong = mode > TXN_ROW_EXCLUSIVE;

    if (holds_already(session, table, mode)) {
        return 0;
    }
    if (reserve_own(op, session) != 0) {
        return OP_FAILED;
    }
    if (!strong && take_fast(session, table, mode)) {
        return 0;
    }
    wait__leave(session);
    if (!strong) {
        return take_shared(op, session, table, mode, locked);
    }
    atomic_fetch_add(partition_of(manager, table), 1);
    int rc = collect_fast(op, manager, table) != 0 ? OP_FAILED : take_shared(op, session, table, mode, locked);
    if (rc != 0 || (locked != NULL && !*locked)) {
        atomic_fetch_sub(partition_of(manager, table), 1);
    }
    return rc;
}

int txn_lock_table(struct op *op, struct txn_session *session, uint64_t table, enum txn_table_lock mode)
{
    return lock_table(op, session, table, mode, NULL);
}

int txn_try_lock_table(struct op *op, struct txn_session *session, uint64_t table, enum txn_table_lock mode, bool *locked)
{
    *locked = true;
    return lock_table(op, session, table, mode, locked);
}

void tablelock__release(struct txn_session *session, uint64_t position)
{
    struct txn_manager *manager = session->manager;

    os_mutex_lock(&session->fast_mutex);
    while (session->own_count > 0 && session->own_locks[session->own_count - 1].position > position) {
        struct table_own *own = &session->own_locks[--session->own_count];
        if (own->fast) {
            continue;
        }
        os_mutex_lock(&manager->waits);
        struct table_lock *lock = find_lock(manager, own->table, false);
        if (lock != NULL) {
            remove_hold(lock, session, own->mode);
            grant_waiters(lock);
            drop_lock_if_idle(manager, lock);
        }
        os_mutex_unlock(&manager->waits);
        if (own->mode > TXN_ROW_EXCLUSIVE) {
            atomic_fetch_sub(partition_of(manager, own->table), 1);
        }
    }
    os_mutex_unlock(&session->fast_mutex);
}
