/*
 * advisory.c -- locks on numbers: what they stand for is agreed upon by the applications, not known here.
 *
 * A lock is named by 64 bits, or by two times 32 (another space), and is taken shared or exclusively, for the transaction or for the
 * session.  The transaction's go like table locks: at its end, or by a rollback to an earlier savepoint.  The session's outlive
 * commits and rollbacks, are counted (as many unlocks as locks), and go with the session at the latest.  Both kinds of
 * one session never conflict with each other, wait in the same fair queues, and are part of the same search for deadlocks as
 * rows and tables.
 *
 * B1  hold->count[mode] = 1 if the transaction holds it (hold->noted) + hold->kept[mode].
 * B2  A hold is in session->kept while kept[] of any mode is not zero.
 *
 * Outside of any isolation level: they say nothing about data.
 */
#include "txn/txn_int.h"

static struct lock_tag tag_of(struct txn_advisory_key key)
{
    return (struct lock_tag){ .id = key.number, .space = key.pair ? LOCK_ADVISORY_PAIR : LOCK_ADVISORY };
}

static enum txn_table_lock mode_of(bool shared)
{
    return shared ? TXN_SHARE : TXN_EXCLUSIVE;
}

/* The transaction holds it already. */
static bool is_noted(struct txn_session *session, struct lock_tag tag, enum txn_table_lock mode)
{
    os_mutex_lock(&session->manager->waits);
    const struct lock *lock = locktable__find(session->manager, tag, false);
    const struct lock_hold *hold = lock != NULL ? locktable__hold_of(lock, session) : NULL;
    bool noted = hold != NULL && (hold->noted & 1u << mode);
    os_mutex_unlock(&session->manager->waits);
    return noted;
}

static bool keeps_any(const struct lock_hold *hold)
{
    return hold->kept[TXN_SHARE] > 0 || hold->kept[TXN_EXCLUSIVE] > 0;
}

static void enlist(struct txn_session *session, struct lock_hold *hold)
{
    hold->kept_prev = NULL;
    hold->kept_next = session->kept;
    if (session->kept != NULL) {
        session->kept->kept_prev = hold;
    }
    session->kept = hold;
}

static void delist(struct txn_session *session, struct lock_hold *hold)
{
    *(hold->kept_prev != NULL ? &hold->kept_prev->kept_next : &session->kept) = hold->kept_next;
    if (hold->kept_next != NULL) {
        hold->kept_next->kept_prev = hold->kept_prev;
    }
}

/* It has just been taken. */
static void note(struct txn_session *session, struct lock_tag tag, enum txn_table_lock mode, bool keep)
{
    os_mutex_lock(&session->fast_mutex);
    os_mutex_lock(&session->manager->waits);
    struct lock_hold *hold = locktable__hold_of(locktable__find(session->manager, tag, false), session);
    if (!keep) {
        hold->noted |= (uint16_t)(1u << mode);
        locktable__note_own(session, tag, mode, false);
    } else {
        if (!keeps_any(hold)) {
            enlist(session, hold);
        }
        hold->kept[mode]++;
    }
    os_mutex_unlock(&session->manager->waits);
    os_mutex_unlock(&session->fast_mutex);
}

int txn_lock_advisory(struct op *op, struct txn_session *session, struct txn_advisory_key key, bool shared, bool keep, bool *locked)
{
    struct lock_tag tag = tag_of(key);
    enum txn_table_lock mode = mode_of(shared);

    if (locked != NULL) {
        *locked = true;
    }
    if (!keep && is_noted(session, tag, mode)) {
        return 0;
    }
    if (!keep && locktable__reserve_own(op, session) != 0) {
        return OP_FAILED;
    }
    if (locktable__take(op, session, tag, mode, locked) != 0) {
        return OP_FAILED;
    }
    if (locked == NULL || *locked) {
        note(session, tag, mode, keep);
    }
    return 0;
}

/* manager->waits held; the hold may go. */
static void give_back(struct txn_session *session, struct lock_hold *hold, enum txn_table_lock mode)
{
    hold->kept[mode]--;
    if (!keeps_any(hold)) {
        delist(session, hold);
    }
    locktable__remove_hold(hold->lock, session, mode);
}

bool txn_unlock_advisory(struct txn_session *session, struct txn_advisory_key key, bool shared)
{
    enum txn_table_lock mode = mode_of(shared);

    os_mutex_lock(&session->manager->waits);
    const struct lock *lock = locktable__find(session->manager, tag_of(key), false);
    struct lock_hold *hold = lock != NULL ? locktable__hold_of(lock, session) : NULL;
    bool held = hold != NULL && hold->kept[mode] > 0;
    if (held) {
        give_back(session, hold, mode);
    }
    os_mutex_unlock(&session->manager->waits);
    return held;
}

void txn_unlock_advisory_all(struct txn_session *session)
{
    os_mutex_lock(&session->manager->waits);
    while (session->kept != NULL) {
        struct lock_hold *hold = session->kept;
        give_back(session, hold, hold->kept[TXN_SHARE] > 0 ? TXN_SHARE : TXN_EXCLUSIVE);
    }
    os_mutex_unlock(&session->manager->waits);
}
