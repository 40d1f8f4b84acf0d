/*
 * wait.c -- waiting for another transaction: queues, rights of way, sleeping.
 *
 * A session waits for one thing at a time: for a row (what is in its way there has to go, by commit, abort or a rollback to a savepoint),
 * or for a lock of the shared table (locktable.c).  Each row and each lock has one queue, first come first served:
 *
 *      chain of row k:  held by writer 7      queue: session 3 -> session 8 -> session 5
 *
 * When something goes from the row, every waiter that neither a holder nor a conflicting waiter before it stands in the way of is granted
 * the right of way and wakes; nobody who conflicts with it may pass before it has made up its mind.  If it then takes the row, it becomes
 * a holder for those behind it.  If the row has changed and it must evaluate its condition again (READ COMMITTED), it keeps the right of
 * way until its next call.
 *
 * Who comes to a row and conflicts with none of its holders does not queue, even where a stronger request waits: KEY SHARE locks go on
 * while somebody waits to delete the parent, as in PostgreSQL.  But unlike there such a waiter is passed PASSES_MAX times at most; then those
 * who come later queue behind it.  Who holds a lock on the row already and wants a stronger one goes before those who wait for what
 * it holds: behind them it would wait for itself.
 *
 * The graph of who waits for whom is not stored; it is read off the queues (deadlock.c).
 *
 * W1  manager->waits guards all queues; a place in a row's queue is taken under the bucket latch too, so that no holder
 *     can go unnoticed: a lock-only entry goes under the bucket latch; a writer looks for waiters after it has set commit_ts, the waiter looks
 *     at commit_ts again after it has said that it waits (`contended`).
 * W2  Nobody sleeps while holding a latch.
 * W3  A session in a queue is either asleep there, or has the right of way.
 * W4  A waiter that nothing stands in the way of, in front or on the row, is granted before manager->waits is released.  So whoever changes what
 *     stands in the way, be it by finding that a writer's commit is ordered which has not come to tell it (`find_holder`), grants in the
 *     same section: nobody else will.  Debug builds look for waiters that were forgotten, and for circles, once a second.
 */
#include "src/base/planted.h"
#include "txn/txn_int.h"

enum { PASSES_MAX = 32 };

/* ---- queues of both kinds --------------------------------------------------------------------------- */

struct wait **wait__first_of(struct wait *wait)
{
    return wait->kind == WAIT_ROW ? &wait->chain->first_wait : &wait->lock->first_wait;
}

struct wait **wait__last_of(struct wait *wait)
{
    return wait->kind == WAIT_ROW ? &wait->chain->last_wait : &wait->lock->last_wait;
}

static void unlink_wait(struct wait *wait)
{
    *(wait->prev != NULL ? &wait->prev->next : wait__first_of(wait)) = wait->next;
    *(wait->next != NULL ? &wait->next->prev : wait__last_of(wait)) = wait->prev;
    wait->next = wait->prev = NULL;
}

void wait__wake(struct wait *wait)
{
    atomic_fetch_add_explicit(&wait->word, 1, memory_order_release);
    os_wake_word(&wait->word, 1);
}

bool wait__conflicts(const struct wait *wait, const struct wait *ahead)
{
    return wait->kind == WAIT_ROW ? rowlock__conflict(ahead->row_mode, wait->row_mode)
                                  : locktable__modes_conflict(ahead->mode, wait->mode);
}

/* ---- the queue of a row ----------------------------------------------------------------------------- */

static void set_holder(struct chain *chain, struct txn *holder)
{
    if (chain->holder == holder) {
        return;
    }
    if (chain->holder != NULL) {
        *(chain->held_prev != NULL ? &chain->held_prev->held_next : &chain->holder->held) = chain->held_next;
        if (chain->held_next != NULL) {
            chain->held_next->held_prev = chain->held_prev;
        }
        writer__unref(chain->holder);
    }
    chain->holder = holder;
    if (holder != NULL) {
        writer__ref(holder);
        chain->held_prev = NULL;
        chain->held_next = holder->held;
        if (holder->held != NULL) {
            holder->held->held_prev = chain;
        }
        holder->held = chain;
    }
}

/* Whose change is in progress, and how it locks the row.  Called by wait__settle only: the writer that is found gone will not find this
 * chain among those that it held. */
static void find_holder(struct chain *chain)
{
    struct txn *writer = chain->first_wait != NULL && chain->head != NULL ? chain->head->writer : NULL;

    if (writer != NULL && writer__ts(writer) == 0) {
        if (!PLANTED("lock-waiter-unannounced")) {
            atomic_store_explicit(&writer->contended, true, memory_order_seq_cst);
        }
        if (atomic_load_explicit(&writer->commit_ts, memory_order_seq_cst) == 0) {
            set_holder(chain, writer);
            chain->holder_mode = (uint8_t)rowlock__mode_of_head(chain);
            return;
        }
    }
    set_holder(chain, NULL);
}

static bool holders_in_way(const struct chain *chain, const struct wait *wait)
{
    if (chain->holder != NULL && chain->holder != wait->writer &&
        rowlock__conflict((enum txn_row_lock)chain->holder_mode, wait->row_mode)) {
        return true;
    }
    for (const struct row_lock *lock = chain->locks; lock != NULL; lock = lock->next) {
        if (rowlock__in_way(lock, wait->writer, wait->row_mode)) {
            return true;
        }
    }
    return false;
}

static bool queue_in_way(const struct wait *wait)
{
    for (const struct wait *ahead = wait->prev; ahead != NULL; ahead = ahead->prev) {
        if (rowlock__conflict(ahead->row_mode, wait->row_mode)) {
            return true;
        }
    }
    return false;
}

/* W4. */
static void grant_row(struct chain *chain)
{
    for (struct wait *wait = chain->first_wait; wait != NULL; wait = wait->next) {
        if (!wait->granted && !holders_in_way(chain, wait) && !queue_in_way(wait)) {
            wait->granted = true;
            if (wait->asleep) {
                wait__wake(wait);
            }
        }
    }
}

void wait__settle(struct chain *chain)
{
    find_holder(chain);
    grant_row(chain);
}

void wait__regrant(struct wait *member)
{
    if (member->kind == WAIT_ROW) {
        grant_row(member->chain);
    } else {
        locktable__regrant(member->lock);
    }
}

/* Behind everybody, but before those who wait for what the session holds. */
static void join_queue(struct wait *wait, struct chain *chain, enum txn_row_lock mode)
{
    int held = rowlock__held(chain, wait->writer);
    struct wait *before = held > 0 ? chain->first_wait : NULL;

    while (before != NULL && !rowlock__conflict((enum txn_row_lock)held, before->row_mode)) {
        before = before->next;
    }
    wait->kind = WAIT_ROW;
    wait->chain = chain;
    wait->row_mode = mode;
    wait->next = before;
    wait->prev = before != NULL ? before->prev : chain->last_wait;
    *(wait->prev != NULL ? &wait->prev->next : &chain->first_wait) = wait;
    *(before != NULL ? &before->prev : &chain->last_wait) = wait;
    atomic_fetch_add_explicit(&chain->waiters, 1, memory_order_seq_cst);
}

bool wait__enqueue_row(struct txn_session *session, struct chain *chain, enum txn_row_lock mode)
{
    struct txn_manager *manager = session->manager;
    struct wait *wait = &session->wait;

    os_mutex_lock(&manager->waits);
    if (wait->kind == WAIT_NONE) {
        wait->writer = session->writer;
        join_queue(wait, chain, mode);
    }
    assert(wait->kind == WAIT_ROW && wait->chain == chain);
    wait->row_mode = mode;
    wait->granted = false;
    if (PLANTED("lock-newcomer-grants-none")) {
        find_holder(chain);
        wait->granted = !holders_in_way(chain, wait) && !queue_in_way(wait);
    } else {
        wait__settle(chain);
    }
    bool waiting = !wait->granted;
    os_mutex_unlock(&manager->waits);
    return waiting;
}

bool wait__has_way(struct txn_session *session, struct chain *chain, enum txn_row_lock mode)
{
    struct txn_manager *manager = session->manager;
    const struct wait *wait = &session->wait;
    bool has = true;

    if (atomic_load_explicit(&chain->waiters, memory_order_acquire) == 0) {
        return true;
    }
    os_mutex_lock(&manager->waits);
    bool queued = wait->kind == WAIT_ROW && wait->chain == chain;
    bool holds = rowlock__held(chain, session->writer) > 0;
    bool passes = false;
    for (const struct wait *ahead = chain->first_wait; ahead != NULL && ahead != wait && has; ahead = ahead->next) {
        if (rowlock__conflict(ahead->row_mode, mode)) {
            passes = true;
            has = !queued && !ahead->granted && (holds || chain->overtaken < PASSES_MAX);
        }
    }
    if (has && passes && !holds) {
        chain->overtaken++;
    }
    os_mutex_unlock(&manager->waits);
    return has;
}

static void leave_row(struct wait *wait)
{
    struct chain *chain = wait->chain;

    unlink_wait(wait);
    atomic_fetch_sub_explicit(&chain->waiters, 1, memory_order_release);
    wait->kind = WAIT_NONE;
    wait->chain = NULL;
    wait->granted = wait->condemned = false;
    chain->overtaken = 0;
    if (chain->first_wait == NULL) {
        set_holder(chain, NULL);
    }
}

void wait__took_row(struct txn_session *session, struct chain *chain)
{
    struct txn_manager *manager = session->manager;

    if (atomic_load_explicit(&chain->waiters, memory_order_acquire) == 0) {
        return;
    }
    os_mutex_lock(&manager->waits);
    if (session->wait.kind == WAIT_ROW && session->wait.chain == chain) {
        leave_row(&session->wait);
    }
    wait__settle(chain);
    os_mutex_unlock(&manager->waits);
}

void wait__look_again(struct chain *chain)
{
    struct txn_manager *manager = chain->manager;

    if (atomic_load_explicit(&chain->waiters, memory_order_acquire) == 0) {
        return;
    }
    os_mutex_lock(&manager->waits);
    wait__settle(chain);
    os_mutex_unlock(&manager->waits);
}

void wait__leave(struct txn_session *session)
{
    struct txn_manager *manager = session->manager;
    struct wait *wait = &session->wait;

    if (wait->kind == WAIT_NONE) {
        return;
    }
    if (wait->kind == WAIT_LOCK) {
        os_mutex_lock(&manager->waits);
        locktable__leave(manager, wait);
        os_mutex_unlock(&manager->waits);
        return;
    }
    struct chain *chain = wait->chain;
    struct bucket *bucket = version__lock(manager, chain->hash);
    os_mutex_lock(&manager->waits);
    leave_row(wait);
    wait__settle(chain);
    os_mutex_unlock(&manager->waits);
    version__drop_chain(bucket, chain);
    version__unlock(bucket);
}

void wait__release_writer(struct txn *txn)
{
    struct txn_manager *manager = txn->manager;

    if (!atomic_load_explicit(&txn->contended, memory_order_seq_cst)) {
        return;
    }
    os_mutex_lock(&manager->waits);
    while (txn->held != NULL) {
        struct chain *chain = txn->held;
        set_holder(chain, NULL);
        grant_row(chain);
    }
    os_mutex_unlock(&manager->waits);
}

void wait__set_stuck(struct txn *txn, const char *sqlstate)
{
    struct txn_manager *manager = txn->manager;

    os_mutex_lock(&manager->waits);
    memcpy(txn->stuck, sqlstate, strlen(sqlstate) + 1);
    for (struct chain *chain = txn->held; chain != NULL; chain = chain->held_next) {
        for (struct wait *wait = chain->first_wait; wait != NULL; wait = wait->next) {
            wait__wake(wait);
        }
    }
    os_mutex_unlock(&manager->waits);
}

void wait__interrupt(struct txn_session *session)
{
    wait__wake(&session->wait);
}

/* ---- sleeping ------------------------------------------------------------------------------------- */

/* Of two times that have passed the earlier one is what ended the wait. */
static int check_limits(struct op *op, struct txn_session *session, uint64_t lock_deadline)
{
    uint64_t now = os_clock_ns(), statement = session->deadline_ns;

    if (atomic_load(&session->cancel)) {
        return op_fail(op, "57014", "canceling statement due to user request");
    }
    if (lock_deadline != 0 && now >= lock_deadline && (statement == 0 || lock_deadline <= statement)) {
        return op_fail(op, "55P03", "canceling statement due to lock timeout");
    }
    if (statement != 0 && now >= statement) {
        return op_fail(op, "57014", "canceling statement due to statement timeout");
    }
    return 0;
}

/* manager->waits held: there is no use in waiting for a rollback that does not come. */
static int check_stuck(struct op *op, const struct wait *wait)
{
    const struct txn *holder = wait->kind == WAIT_ROW ? wait->chain->holder : NULL;

    if (holder == NULL || holder->stuck[0] == '\0' ||
        !rowlock__conflict((enum txn_row_lock)wait->chain->holder_mode, wait->row_mode)) {
        return 0;
    }
    op_fail(op, holder->stuck, "the row is held by a transaction that could not be rolled back");
    op_detail(op, "Its rollback was stopped by a failing disk, and is tried again.");
    return OP_FAILED;
}

#ifdef ISOLDE_DEBUG

enum { LOOK_EACH_NS = 1000000000 };

/* Is anything in the way that has not been taken away yet?  A holder that has ended counts until it has said so. */
static bool is_held_up(const struct wait *wait)
{
    const struct chain *chain = wait->chain;

    if (wait->kind == WAIT_LOCK) {
        return locktable__held_up(wait);
    }
    if (chain->holder != NULL && chain->holder != wait->writer &&
        rowlock__conflict((enum txn_row_lock)chain->holder_mode, wait->row_mode)) {
        return true;
    }
    for (const struct row_lock *lock = chain->locks; lock != NULL; lock = lock->next) {
        if (lock->writer != wait->writer && rowlock__conflict((enum txn_row_lock)lock->mode, wait->row_mode)) {
            return true;
        }
    }
    return queue_in_way(wait);
}

/* W4 and Q2, of one who has not been granted; manager->waits held. */
static void look_again(struct txn_session *session)
{
    assert(is_held_up(&session->wait));
    assert(session->wait.condemned || !deadlock__is_member(session));
}

static uint64_t wake_up_at(uint64_t deadline)
{
    uint64_t look = os_clock_ns() + LOOK_EACH_NS;
    return deadline != 0 && deadline < look ? deadline : look;
}

#else

static void look_again(struct txn_session *session)
{
    (void)session;
}

static uint64_t wake_up_at(uint64_t deadline)
{
    return deadline;
}

#endif

static int sleep_until_granted(struct op *op, struct txn_session *session, uint64_t lock_deadline)
{
    struct txn_manager *manager = session->manager;
    struct wait *wait = &session->wait;
    uint64_t deadline = lock_deadline;

    if (session->deadline_ns != 0 && (deadline == 0 || session->deadline_ns < deadline)) {
        deadline = session->deadline_ns;
    }
    for (;;) {
        uint32_t word = atomic_load_explicit(&wait->word, memory_order_acquire);
        int rc = 0;
        os_mutex_lock(&manager->waits);
        bool granted = wait->granted;
        if (!granted) {
            look_again(session);
        }
        if (!granted && (rc = check_stuck(op, wait)) == 0 && wait->condemned) {
            rc = deadlock__confirm(op, session);
        }
        os_mutex_unlock(&manager->waits);
        if (granted || rc != 0) {
            return rc;
        }
        if (rc != 0 || check_limits(op, session, lock_deadline) != 0) {
            return OP_FAILED;
        }
        os_wait_word(&wait->word, word, wake_up_at(deadline));
    }
}

bool txn_waiting(struct txn_session *session)
{
    struct txn_manager *manager = session->manager;
    const struct wait *wait = &session->wait;

    os_mutex_lock(&manager->waits);
    bool waiting = wait->asleep && !wait->granted && !wait->condemned;
    os_mutex_unlock(&manager->waits);
    return (waiting || atomic_load(&session->undecided)) && !atomic_load(&session->cancel);
}

int wait__sleep(struct op *op, struct txn_session *session)
{
    struct txn_manager *manager = session->manager;
    struct wait *wait = &session->wait;
    uint64_t lock_deadline = 0;
    int rc = 0;

    if (session->lock_timeout_us != 0) {
        lock_deadline = os_clock_ns() + session->lock_timeout_us * 1000;
    }
    os_mutex_lock(&manager->waits);
    wait->asleep = true;
    wait->condemned = false;
    if (!wait->granted) {
        rc = deadlock__check(op, session);
    }
    bool granted = wait->granted;
    os_mutex_unlock(&manager->waits);
    if (rc == 0 && !granted) {
        if (session->on_wait != NULL) {
            session->on_wait(session->on_wait_arg, true);
        }
        rc = sleep_until_granted(op, session, lock_deadline);
        if (session->on_wait != NULL) {
            session->on_wait(session->on_wait_arg, false);
        }
    }
    os_mutex_lock(&manager->waits);
    wait->asleep = false;
    os_mutex_unlock(&manager->waits);
    if (rc != 0) {
        wait__leave(session);
        deadlock__explain(op, session);
    }
    return rc;
}
