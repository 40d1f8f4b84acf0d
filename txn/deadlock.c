/*
 * deadlock.c -- finding and breaking circles of waiting transactions.
 *
 * The graph is read off the queues.  A waiter has an edge to every holder whose lock conflicts with its request (hard), and to everybody
 * before it in its queue whose request does (soft: another order of the queue would take it away).  A new circle can only be closed by
 * a new wait, so it is looked for right then [PostgreSQL waits a second first; on hot rows that second is what throughput dies of], from
 * the new waiter, breadth first, so the circle that is found is a shortest one:
 *
 *      origin -> its blockers -> theirs -> ...        each session remembers who led to it (`via`)
 *
 * A circle of hard edges alone must be broken.  One with a soft edge is solved, if it can be, by moving its waiter before the one it
 * would have waited for, as long as that closes no other circle:
 *
 *      table 1: held by A; queue: B (EXCLUSIVE), C (SHARE)         B waits for A, C for B (soft), A for C elsewhere
 *      moved:   queue: C, B                                        C conflicts with nothing that A holds: it is granted
 *
 * The victim is the member of the circle with the smallest deadlock timeout; among equals it is the one who closed it.  Another
 * session is condemned and woken: it looks for itself whether the circle is still there, and fails if it is.
 *
 * Q1  All of it happens under manager->waits, so the graph stands still.  It needs no memory.
 * Q2  When a wait begins to sleep, every circle through it has a condemned member, and all circles lead through the newest waiter.  So a
 *     sleeper that is not condemned is never part of a circle, whenever one looks.
 *     The condemned have no edges: the others have been told that they go, and nobody else need give way until they have gone.
 * Q3  After queues were put in another order there is no circle through the origin or anybody who was moved, or all orders are put back.
 *
 * Left out: PostgreSQL's search of all sets of orders; a circle that is not solved within a few moves is broken.
 */
#include "src/base/planted.h"
#include "txn/conflict.h"
#include "txn/txn_int.h"

enum { MOVES_MAX = 16, TRIES_MAX = 64, MEMBERS_TOLD = 64 };

/* ---- the search ------------------------------------------------------------------------------------- */

struct search {
    struct txn_session *origin;
    struct txn_session *last;       /* who leads back to the origin, once found */
    bool last_by_queue;             /* by a soft edge */
    struct txn_session *first_open, *last_open;
    uint64_t stamp;
};

/* An edge: true when it closes the circle. */
static bool reach(struct search *search, struct txn_session *from, struct txn_session *to, bool by_queue)
{
    if (to == NULL) {
        return false;
    }
    if (to == search->origin) {
        search->last = from;
        search->last_by_queue = by_queue;
        return true;
    }
    if (to->visited == search->stamp) {
        return false;
    }
    to->visited = search->stamp;
    to->via = from;
    to->via_queue = by_queue;
    to->search_next = NULL;
    *(search->last_open != NULL ? &search->last_open->search_next : &search->first_open) = to;
    search->last_open = to;
    return false;
}

static bool follow_row(struct search *search, struct txn_session *session)
{
    const struct wait *wait = &session->wait;
    const struct chain *chain = wait->chain;

    if (chain->holder != NULL && chain->holder != wait->writer &&
        rowlock__conflict((enum txn_row_lock)chain->holder_mode, wait->row_mode) &&
        reach(search, session, chain->holder->session, false)) {
        return true;
    }
    for (const struct row_lock *lock = chain->locks; lock != NULL; lock = lock->next) {
        if (rowlock__in_way(lock, wait->writer, wait->row_mode) && reach(search, session, lock->writer->session, false)) {
            return true;
        }
    }
    return false;
}

static bool follow_table(struct search *search, struct txn_session *session)
{
    const struct wait *wait = &session->wait;

    for (const struct lock_hold *hold = wait->lock->holds; hold != NULL; hold = hold->next) {
        if (locktable__in_way(hold, wait) && reach(search, session, hold->session, false)) {
            return true;
        }
    }
    return false;
}

/* Looks at everybody for whom the session waits. */
static bool follow(struct search *search, struct txn_session *session)
{
    const struct wait *wait = &session->wait;

    if (wait->kind == WAIT_NONE || !wait->asleep || wait->granted || wait->condemned) {
        return false;
    }
    if (wait->kind == WAIT_ROW ? follow_row(search, session) : follow_table(search, session)) {
        return true;
    }
    for (const struct wait *ahead = wait->prev; ahead != NULL; ahead = ahead->prev) {
        if (wait__conflicts(wait, ahead) && reach(search, session, ahead->session, true)) {
            return true;
        }
    }
    return false;
}

static bool find_circle(struct search *search, struct txn_session *origin)
{
    *search = (struct search){ .origin = origin, .stamp = ++origin->manager->visit_stamp };
    bool found = follow(search, origin);
    while (!found && search->first_open != NULL) {
        struct txn_session *next = search->first_open;
        search->first_open = next->search_next;
        if (search->first_open == NULL) {
            search->last_open = NULL;
        }
        found = follow(search, next);
    }
    return found;
}

/* ---- another order ---------------------------------------------------------------------------------- */

static void move_before(struct wait *wait, struct wait *place)
{
    struct wait **first = wait__first_of(wait), **last = wait__last_of(wait);

    *(wait->prev != NULL ? &wait->prev->next : first) = wait->next;
    *(wait->next != NULL ? &wait->next->prev : last) = wait->prev;
    wait->next = place;
    wait->prev = place != NULL ? place->prev : *last;
    *(wait->prev != NULL ? &wait->prev->next : first) = wait;
    *(place != NULL ? &place->prev : last) = wait;
}

struct soft_edge {
    struct wait *waiter, *ahead;
};

/* The soft edges of the circle just found, at most `capacity`. */
static size_t soft_edges(const struct search *search, struct soft_edge *edges, size_t capacity)
{
    size_t count = 0;
    struct txn_session *to = search->origin, *from = search->last;
    bool by_queue = search->last_by_queue;

    for (;;) {
        if (by_queue && count < capacity) {
            edges[count++] = (struct soft_edge){ &from->wait, &to->wait };
        }
        if (from == search->origin) {
            return count;
        }
        to = from;
        by_queue = to->via_queue;
        from = to->via;
    }
}

/* What was moved, to be put back in reverse; and how many moves may still be tried. */
struct moves {
    struct wait *moved[MOVES_MAX], *old_place[MOVES_MAX];
    size_t count;
    int tries;
};

static void put_back(struct moves *moves, size_t count)
{
    while (moves->count > count) {
        moves->count--;
        move_before(moves->moved[moves->count], moves->old_place[moves->count]);
    }
}

/* True when no circle leads through the session (any more).  A move gives edges only to those that were passed, and all of these lead to who
 * was moved: so what it closes leads through that one. */
static bool solve(struct moves *moves, struct txn_session *origin)
{
    struct search search;
    struct soft_edge edges[MOVES_MAX];

    if (!find_circle(&search, origin)) {
        return true;
    }
    size_t count = soft_edges(&search, edges, MOVES_MAX), before = moves->count;
    for (size_t i = 0; i < count && moves->count < MOVES_MAX && moves->tries > 0; i++) {
        struct wait *moved = edges[i].waiter;
        if (edges[i].ahead->granted) {
            continue;       /* it has the right of way: it is about to take what it waited for */
        }
        moves->tries--;
        moves->moved[moves->count] = moved;
        moves->old_place[moves->count++] = moved->next;
        move_before(moved, edges[i].ahead);
        if (solve(moves, moved->session) && solve(moves, origin)) {
            return true;
        }
        put_back(moves, before);
    }
    return false;
}

static bool solve_by_order(struct txn_session *origin)
{
    struct moves moves = { .tries = PLANTED("lock-no-reorder") ? 0 : TRIES_MAX };
    bool solved = solve(&moves, origin);

    assert(solved || moves.count == 0);
    for (size_t i = 0; i < moves.count; i++) {
        wait__regrant(moves.moved[i]);
    }
    return solved;
}

/* ---- the victim ------------------------------------------------------------------------------------- */

/* The circle's members, the origin first, each waiting for the next. */
static size_t list_members(const struct search *search, struct txn_session **members)
{
    size_t count = 1;

    for (struct txn_session *at = search->last; at != search->origin; at = at->via) {
        count++;
    }
    size_t place = count;
    for (struct txn_session *at = search->last; at != search->origin; at = at->via) {
        if (--place < MEMBERS_TOLD) {
            members[place] = at;
        }
    }
    members[0] = search->origin;
    return count < MEMBERS_TOLD ? count : MEMBERS_TOLD;
}

/* What a member of the circle waits for, kept until the latch is given back and it can be put into words. */
struct deadlock_wait {
    bool queued;
    bool row;
    TreeId tree;
    struct bytes key;
    enum txn_row_lock row_mode;
    struct lock_tag tag;
    enum txn_table_lock mode;
};

struct deadlock {
    size_t count;
    struct conflict_party *parties;     /* each waits for the next, the last one for the first */
    struct deadlock_wait *waits;
};

static const char *copy(struct op *op, const void *data, size_t len)
{
    char *to = arena_alloc(&op->arena, len + 1);

    if (to != NULL) {
        memcpy(to, data, len);
        to[len] = '\0';
    }
    return to;
}

/* The member sleeps, or is the one that asks: what it does stands still. */
static bool keep_member(struct op *op, struct deadlock *kept, size_t i, const struct txn_session *member, bool queued)
{
    const struct wait *wait = &member->wait;
    struct conflict_party *party = &kept->parties[i];

    *party = (struct conflict_party){ .session = member->number, .transaction = member->writer != NULL ? member->writer->id : 0 };
    if (member->statement != NULL) {
        party->statement = copy(op, member->statement, member->statement_len);
        party->statement_len = member->statement_len;
    }
    kept->waits[i] = (struct deadlock_wait){ .queued = queued, .row = wait->kind == WAIT_ROW, .row_mode = wait->row_mode,
                                             .mode = wait->mode };
    if (wait->kind != WAIT_ROW) {
        kept->waits[i].tag = wait->lock->tag;
        return true;
    }
    const char *key = copy(op, wait->chain->key, wait->chain->key_len);
    kept->waits[i].tree = wait->chain->info->id;
    kept->waits[i].key = (struct bytes){ (const uint8_t *)key, wait->chain->key_len };
    return key != NULL;
}

/* The circle is noted for deadlock__explain. */
static int fail_deadlock(struct op *op, const struct search *search)
{
    struct txn_session *members[MEMBERS_TOLD];
    size_t count = list_members(search, members);
    struct deadlock *kept = arena_calloc(&op->arena, sizeof(*kept));

    op_fail(op, "40P01", "deadlock detected");
    if (kept == NULL) {
        return OP_FAILED;
    }
    kept->count = count;
    kept->parties = arena_calloc(&op->arena, count * sizeof(*kept->parties));
    kept->waits = arena_calloc(&op->arena, count * sizeof(*kept->waits));
    bool ok = kept->parties != NULL && kept->waits != NULL;
    for (size_t i = 0; i < count && ok; i++) {
        bool queued = i + 1 < count ? members[i + 1]->via_queue : search->last_by_queue;
        ok = keep_member(op, kept, i, members[i], queued);
    }
    search->origin->deadlock = ok ? kept : NULL;
    return OP_FAILED;
}

/* ---- putting it into words; without latches -------------------------------------------------------- */

static const char *name_thing(struct op *op, struct txn_manager *manager, const struct deadlock_wait *wait)
{
    struct txn_thing thing = { .row = wait->row, .tree = wait->tree, .key = wait->key, .table = wait->tag.id };
    bool named = wait->row || wait->tag.space == LOCK_TABLE;
    const char *name = named && manager->describe != NULL ? manager->describe(manager->describe_arg, op, &thing) : NULL;

    if (name != NULL) {
        return name;
    }
    if (wait->row) {
        return arena_printf(&op->arena, "a row of tree %llu", (unsigned long long)wait->tree);
    }
    return locktable__name(op, wait->tag);
}

static const char *row_mode_name(enum txn_row_lock mode)
{
    static const char *const names[] = { "", "a lock FOR KEY SHARE", "a lock FOR SHARE", "a lock FOR NO KEY UPDATE", "a lock FOR UPDATE" };
    return names[mode];
}

void deadlock__explain(struct op *op, struct txn_session *session)
{
    const struct deadlock *kept = session->deadlock;

    session->deadlock = NULL;
    if (kept == NULL) {
        return;
    }
    struct conflict_edge *edges = arena_calloc(&op->arena, kept->count * sizeof(*edges));
    if (edges == NULL) {
        return;
    }
    for (size_t i = 0; i < kept->count; i++) {
        const struct deadlock_wait *wait = &kept->waits[i];
        const char *thing = name_thing(op, session->manager, wait);
        edges[i] = (struct conflict_edge){
            .from = i, .to = (i + 1) % kept->count, .thing = thing != NULL ? thing : "something", .queued = wait->queued,
            .mode = wait->row ? row_mode_name(wait->row_mode) : locktable__mode_name(wait->mode),
        };
    }
    conflict__explain(op, &(struct conflict){ .kind = CONFLICT_DEADLOCK, .parties = kept->parties, .party_count = kept->count,
                                              .edges = edges, .edge_count = kept->count });
}

/* ---- whom to fail ----------------------------------------------------------------------------------- */

static struct txn_session *choose_victim(const struct search *search)
{
    struct txn_session *victim = search->origin;

    for (struct txn_session *at = search->last; at != search->origin; at = at->via) {
        if (at->deadlock_timeout_us < victim->deadlock_timeout_us) {
            victim = at;
        }
    }
    return victim;
}

int deadlock__check(struct op *op, struct txn_session *session)
{
    struct search search;

    while (!solve_by_order(session) && find_circle(&search, session)) {
        struct txn_session *victim = choose_victim(&search);
        victim->wait.condemned = true;
        if (victim == session) {
            return fail_deadlock(op, &search);
        }
        wait__wake(&victim->wait);
    }
    return 0;
}

int deadlock__confirm(struct op *op, struct txn_session *session)
{
    struct search search;

    session->wait.condemned = false;
    session->wait.condemned = find_circle(&search, session);
    return session->wait.condemned ? fail_deadlock(op, &search) : 0;
}

bool deadlock__is_member(struct txn_session *session)
{
    struct search search;

    return find_circle(&search, session);
}
