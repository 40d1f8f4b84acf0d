/*
 * tablelock.c -- locks on whole tables, in PostgreSQL's eight modes.
 *
 * Every statement locks the tables that it uses, nearly always in a weak mode (ACCESS SHARE, ROW SHARE, ROW EXCLUSIVE), and weak
 * modes do not conflict with each other.  So a weak lock is only noted in the session's own list, as long as nobody holds or wants a
 * strong mode on a table of the same partition.  Who wants a strong one first raises the partition's counter, then moves
 * the weak locks of that table out of all sessions' lists into the shared table (locktable.c), where conflicts are looked for.
 *
 * L1  session->fast_mutex guards the session's list against strong lockers; manager->waits guards the shared table.
 * L2  A weak lock is noted only while the partition's counter is zero, looked at under fast_mutex; a strong locker raises it before
 *     it takes any fast_mutex.  So either the locker finds the note, or the session sees the counter.
 */
#include "txn/txn_int.h"

static atomic_uint *partition_of(struct txn_manager *manager, uint64_t table)
{
    return &manager->strong[hash_u64(table) % TXN_STRONG_PARTITIONS];
}

void tablelock__weaken(struct txn_manager *manager, uint64_t table)
{
    atomic_fetch_sub(partition_of(manager, table), 1);
}

static struct lock_tag tag_of(uint64_t table)
{
    return (struct lock_tag){ .id = table, .space = LOCK_TABLE };
}

static bool holds_already(const struct txn_session *session, uint64_t table, enum txn_table_lock mode)
{
    for (size_t i = session->own_count; i-- > 0;) {
        const struct lock_own *own = &session->own_locks[i];
        if (own->tag.id == table && own->tag.space == LOCK_TABLE && own->mode == mode) {
            return true;
        }
    }
    return false;
}

static bool take_fast(struct txn_session *session, uint64_t table, enum txn_table_lock mode)
{
    os_mutex_lock(&session->fast_mutex);
    bool taken = atomic_load_explicit(partition_of(session->manager, table), memory_order_seq_cst) == 0;
    if (taken) {
        locktable__note_own(session, tag_of(table), mode, true);
    }
    os_mutex_unlock(&session->fast_mutex);
    return taken;
}

/* The session's noted weak locks of the table go to the shared table; its fast_mutex is held. */
static bool collect_from(struct txn_session *session, uint64_t table)
{
    struct txn_manager *manager = session->manager;
    bool ok = true;

    for (size_t i = 0; i < session->own_count; i++) {
        struct lock_own *own = &session->own_locks[i];
        if (own->tag.id != table || !own->fast) {
            continue;
        }
        os_mutex_lock(&manager->waits);
        struct lock *lock = locktable__find(manager, own->tag, true);
        if (lock != NULL && locktable__add_hold(lock, session, (enum txn_table_lock)own->mode, NULL)) {
            own->fast = false;
        } else {
            ok = false;
        }
        os_mutex_unlock(&manager->waits);
    }
    return ok;
}

static int collect_fast(struct op *op, struct txn_manager *manager, uint64_t table)
{
    bool ok = true;

    os_mutex_lock(&manager->mutex);
    for (struct txn_session *session = manager->sessions; session != NULL; session = session->next) {
        os_mutex_lock(&session->fast_mutex);
        ok = collect_from(session, table) && ok;
        os_mutex_unlock(&session->fast_mutex);
    }
    os_mutex_unlock(&manager->mutex);
    return ok ? 0 : op_out_of_memory(op);
}

static int lock_table(struct op *op, struct txn_session *session, uint64_t table, enum txn_table_lock mode, bool *locked)
{
    struct txn_manager *manager = session->manager;
    bool strong = mode > TXN_ROW_EXCLUSIVE;

    if (holds_already(session, table, mode)) {
        return 0;
    }
    if (locktable__reserve_own(op, session) != 0) {
        return OP_FAILED;
    }
    if (!strong && take_fast(session, table, mode)) {
        return 0;
    }
    if (strong) {
        atomic_fetch_add(partition_of(manager, table), 1);
    }
    int rc = strong ? collect_fast(op, manager, table) : 0;
    if (rc == 0) {
        rc = locktable__take(op, session, tag_of(table), mode, locked);
    }
    if (rc != 0 || (locked != NULL && !*locked)) {
        if (strong) {
            tablelock__weaken(manager, table);
        }
        return rc;
    }
    os_mutex_lock(&session->fast_mutex);
    locktable__note_own(session, tag_of(table), mode, false);
    os_mutex_unlock(&session->fast_mutex);
    return 0;
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
