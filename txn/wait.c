/*
 * wait.c -- waiting for another transaction: queues, the graph of who waits for whom, deadlocks.
 *
 * A session waits for one thing at a time: for a row (the entry at the head of a chain has to go, by commit, abort or a
 * rollback to a savepoint), or for a table lock.  Each row and each table has one queue, first come first served:
 *
 *      chain of row k:  holder = writer 7      queue: session 3 -> session 8 -> session 5
 *
 * When the entry goes, the first in the queue is granted the right of way and wakes; nobody else may pass before it has
 * made up its mind.  If it then writes the row, it becomes the holder for those behind it.  If the row has changed and it must
 * evaluate its condition again (READ COMMITTED), it keeps the right of way until its next call.
 *
 * The graph is not stored; it is read off the queues: a waiter has an edge to the holder and to everybody before it in its
 * queue.  A new cycle can only be closed by a new wait, so it is looked for right then, and the one who closes it
 * fails with 40P01 [PostgreSQL waits a second first; on hot rows that second is what throughput dies of].
 *
 * W1  manager->waits guards all queues; a place in a row's queue is taken under the bucket latch too, so that the entry
 *     cannot go unnoticed: its owner looks for waiters after it has set commit_ts, the waiter looks at commit_ts again
 *     after it has said that it waits (`contended`).
 * W2  Nobody sleeps while holding a latch.
 * W3  A session in a queue is either asleep there, or has the right of way.
 */
#include "txn/txn_int.h"

/* ---- queues --------------------------------------------------------------------------------------- */

static void unlink_wait(struct wait *wait)
{
    struct wait **first = wait->kind == WAIT_ROW ? &wait->chain->first_wait : &wait->table->first_wait;
    struct wait **last = wait->kind == WAIT_ROW ? &wait->chain->last_wait : &wait->table->last_wait;

    *(wait->prev != NULL ? &wait->prev->next : first) = wait->next;
    *(wait->next != NULL ? &wait->next->prev : last) = wait->prev;
    wait->next = wait->prev = NULL;
}

static void wake(struct wait *wait)
{
    atomic_fetch_add_explicit(&wait->word, 1, memory_order_release);
    os_wake_word(&wait->word, 1);
}

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

/* The row is free: the first in the queue may go. */
static void grant_first(struct chain *chain)
{
    set_holder(chain, NULL);
    struct wait *first = chain->first_wait;
    if (first != NULL && !first->granted) {
        first->granted = true;
        wake(first);
    }
}

bool wait__enqueue_row(struct txn_session *session, struct chain *chain, struct txn *holder, bool lock_only)
{
    struct txn_manager *manager = session->manager;
    struct wait *wait = &session->wait;
    bool waiting = true;

    os_mutex_lock(&manager->waits);
    if (wait->kind == WAIT_NONE) {
        wait->kind = WAIT_ROW;
        wait->chain = chain;
        wait->prev = chain->last_wait;
        wait->next = NULL;
        *(wait->prev != NULL ? &wait->prev->next : &chain->first_wait) = wait;
        chain->last_wait = wait;
        atomic_fetch_add_explicit(&chain->waiters, 1, memory_order_seq_cst);
    }
    assert(wait->kind == WAIT_ROW && wait->chain == chain);
    wait->granted = false;
    wait->lock_only = lock_only;
    if (holder != NULL) {
        atomic_store_explicit(&holder->contended, true, memory_order_seq_cst);
        bool gone = lock_only ? atomic_load(&holder->ended)
                              : atomic_load_explicit(&holder->commit_ts, memory_order_seq_cst) != 0;
        if (gone) {
            if (chain->first_wait == wait) {
                wait->granted = true;
            }
            waiting = false;
        } else {
            set_holder(chain, holder);
        }
    } else if (chain->first_wait == wait) {
        wait->granted = true;
        waiting = false;
    }
    os_mutex_unlock(&manager->waits);
    return waiting;
}

bool wait__has_way(struct txn_session *session, struct chain *chain)
{
    struct txn_manager *manager = session->manager;

    if (atomic_load_explicit(&chain->waiters, memory_order_acquire) == 0) {
        return true;
    }
    os_mutex_lock(&manager->waits);
    bool first = chain->first_wait == NULL || chain->first_wait == &session->wait;
    os_mutex_unlock(&manager->waits);
    return first;
}

static void leave_row(struct wait *wait)
{
    struct chain *chain = wait->chain;
    bool had_way = wait->granted;

    unlink_wait(wait);
    atomic_fetch_sub_explicit(&chain->waiters, 1, memory_order_release);
    wait->kind = WAIT_NONE;
    wait->chain = NULL;
    wait->granted = false;
    if (chain->first_wait == NULL) {
        set_holder(chain, NULL);
    } else if (had_way) {
        grant_first(chain);
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
        session->wait.granted = false;      /* the way is not handed on: the row is taken */
        leave_row(&session->wait);
    }
    if (chain->first_wait != NULL) {
        atomic_store_explicit(&session->writer->contended, true, memory_order_seq_cst);
        chain->first_wait->granted = false;
        set_holder(chain, session->writer);
    }
    os_mutex_unlock(&manager->waits);
}

void wait__leave(struct txn_session *session)
{
    struct txn_manager *manager = session->manager;
    struct wait *wait = &session->wait;

    if (wait->kind == WAIT_NONE) {
        return;
    }
    if (wait->kind == WAIT_TABLE) {
        os_mutex_lock(&manager->waits);
        tablelock__leave(manager, wait);
        os_mutex_unlock(&manager->waits);
        return;
    }
    struct chain *chain = wait->chain;
    struct bucket *bucket = version__lock(manager, chain->hash);
    os_mutex_lock(&manager->waits);
    leave_row(wait);
    os_mutex_unlock(&manager->waits);
    version__drop_chain(bucket, chain);
    version__unlock(bucket);
}

void wait__release_writer(struct txn *txn, bool locks_too)
{
    struct txn_manager *manager = txn->manager;

    if (!atomic_load_explicit(&txn->contended, memory_order_seq_cst)) {
        return;
    }
    os_mutex_lock(&manager->waits);
    for (struct chain *chain = txn->held, *next; chain != NULL; chain = next) {
        next = chain->held_next;
        if (locks_too || chain->first_wait == NULL || !chain->first_wait->lock_only) {
            grant_first(chain);
        }
    }
    os_mutex_unlock(&manager->waits);
}

void wait__release_chain(struct txn_manager *manager, struct chain *chain)
{
    if (atomic_load_explicit(&chain->waiters, memory_order_acquire) == 0) {
        return;
    }
    os_mutex_lock(&manager->waits);
    grant_first(chain);
    os_mutex_unlock(&manager->waits);
}

void wait__set_stuck(struct txn *txn, const char *sqlstate)
{
    struct txn_manager *manager = txn->manager;

    os_mutex_lock(&manager->waits);
    memcpy(txn->stuck, sqlstate, strlen(sqlstate) + 1);
    for (struct chain *chain = txn->held; chain != NULL; chain = chain->held_next) {
        for (struct wait *wait = chain->first_wait; wait != NULL; wait = wait->next) {
            wake(wait);
        }
    }
    os_mutex_unlock(&manager->waits);
}

void wait__interrupt(struct txn_session *session)
{
    wake(&session->wait);
}

/* ---- deadlocks ------------------------------------------------------------------------------------ */

enum { CYCLE_MAX = 256 };

struct search {
    struct txn_session *origin;
    uint64_t stamp;
    struct txn_session *path[CYCLE_MAX];
    size_t depth;
    bool found;
};

static bool follow(void *arg, struct txn_session *session);

/* Visits everybody for whom the session waits. */
static bool visit_blockers(struct search *search, struct txn_session *session)
{
    struct wait *wait = &session->wait;

    if (wait->kind == WAIT_NONE || !wait->asleep || wait->granted) {
        return false;
    }
    if (wait->kind == WAIT_TABLE) {
        return tablelock__blockers(wait, follow, search);
    }
    if (wait->chain->holder != NULL && wait->chain->holder->session != NULL &&
        follow(search, wait->chain->holder->session)) {
        return true;
    }
    for (struct wait *ahead = wait->prev; ahead != NULL; ahead = ahead->prev) {
        if (follow(search, ahead->session)) {
            return true;
        }
    }
    return false;
}

static bool follow(void *arg, struct txn_session *session)
{
    struct search *search = arg;

    if (session == search->origin) {
        search->found = true;
        return true;
    }
    if (session->visited == search->stamp || search->depth == CYCLE_MAX) {
        return false;
    }
    session->visited = search->stamp;
    search->path[search->depth++] = session;
    if (visit_blockers(search, session)) {
        return true;
    }
    search->depth--;
    return false;
}

static const char *describe_target(struct op *op, const struct wait *wait)
{
    const char *text;

    if (wait->kind == WAIT_TABLE) {
        text = arena_printf(&op->arena, "%s on relation %llu", tablelock__mode_name(wait->mode),
                            (unsigned long long)wait->table->table);
    } else if (wait->chain->holder != NULL) {
        text = arena_printf(&op->arena, "ShareLock on transaction %llu", (unsigned long long)wait->chain->holder->id);
    } else {
        text = arena_printf(&op->arena, "ExclusiveLock on tuple of relation %llu",
                            (unsigned long long)wait->chain->info->id);
    }
    return text != NULL ? text : "a lock";
}

/* Who waits for whom, one line each, then what each of them was doing. */
static int fail_deadlock(struct op *op, const struct search *search)
{
    const char *detail = "";
    size_t members = search->depth + 1;

    for (size_t i = 0; i < members && detail != NULL; i++) {
        struct txn_session *waiter = i == 0 ? search->origin : search->path[i - 1];
        struct txn_session *blocker = i + 1 == members ? search->origin : search->path[i];
        detail = arena_printf(&op->arena, "%s%sSession %u waits for %s; blocked by session %u.", detail, i > 0 ? "\n" : "",
                              waiter->number, describe_target(op, &waiter->wait), blocker->number);
    }
    for (size_t i = 0; i < members && detail != NULL; i++) {
        struct txn_session *member = i == 0 ? search->origin : search->path[i - 1];
        if (member->statement != NULL) {
            detail = arena_printf(&op->arena, "%s\nSession %u: %.*s", detail, member->number, (int)member->statement_len,
                                  member->statement);
        }
    }
    op_fail(op, "40P01", "deadlock detected");
    if (detail != NULL) {
        op_detail(op, "%s", detail);
    }
    return OP_FAILED;
}

/* manager->waits held; the session is about to sleep. */
static int check_deadlock(struct op *op, struct txn_session *session)
{
    struct search search = { .origin = session, .stamp = ++session->manager->visit_stamp };

    visit_blockers(&search, session);
    return search.found ? fail_deadlock(op, &search) : 0;
}

/* ---- sleeping ------------------------------------------------------------------------------------- */

static int check_limits(struct op *op, struct txn_session *session, uint64_t lock_deadline)
{
    uint64_t now = os_clock_ns();

    if (atomic_load(&session->cancel)) {
        return op_fail(op, "57014", "canceling statement due to user request");
    }
    if (session->deadline_ns != 0 && now >= session->deadline_ns) {
        return op_fail(op, "57014", "canceling statement due to statement timeout");
    }
    if (lock_deadline != 0 && now >= lock_deadline) {
        return op_fail(op, "55P03", "canceling statement due to lock timeout");
    }
    return 0;
}

/* manager->waits held: there is no use in waiting for a rollback that does not come. */
static int check_stuck(struct op *op, const struct wait *wait)
{
    const struct txn *holder = wait->kind == WAIT_ROW ? wait->chain->holder : NULL;

    if (holder == NULL || holder->stuck[0] == '\0') {
        return 0;
    }
    op_fail(op, holder->stuck, "the row is held by a transaction that could not be rolled back");
    op_detail(op, "Its rollback was stopped by a failing disk, and is tried again.");
    return OP_FAILED;
}

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
        os_mutex_lock(&manager->waits);
        bool granted = wait->granted;
        int rc = granted ? 0 : check_stuck(op, wait);
        os_mutex_unlock(&manager->waits);
        if (granted || rc != 0) {
            return rc;
        }
        if (check_limits(op, session, lock_deadline) != 0) {
            return OP_FAILED;
        }
        os_wait_word(&wait->word, word, deadline);
    }
}

bool txn_waiting(struct txn_session *session)
{
    struct txn_manager *manager = session->manager;

    os_mutex_lock(&manager->waits);
    bool waiting = session->wait.asleep && !session->wait.granted && !atomic_load(&session->cancel);
    os_mutex_unlock(&manager->waits);
    return waiting;
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
    if (!wait->granted) {
        rc = check_deadlock(op, session);
    }
    os_mutex_unlock(&manager->waits);
    if (rc == 0) {
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
    }
    return rc;
}
