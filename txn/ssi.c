/*
 * ssi.c -- serializable snapshot isolation: the graph of rw-antidependencies, and who must go.
 *
 * Under snapshots a transaction may read what a concurrent one overwrites; then it must come first in any serial order:
 * reader -rw-> writer.  Every cycle of a non-serializable execution contains two such edges in a row,
 *
 *      T1 -rw-> P -rw-> T3        P is the pivot, T1 and T3 may be the same transaction
 *
 * and T3 is the first of the three to commit [FLOOS05].  So whoever never lets such a structure commit
 * whole is serializable; that costs some needless aborts, but no waiting and no look at whole cycles.
 *
 *      example, write skew: T1 reads x and y, writes x; T2 reads x and y, writes y.
 *      T1 -rw-> T2 -rw-> T1.  The first to commit is T3 = T1; the other is the pivot and fails.
 *
 * G1  A structure is dangerous only if T3 committed before P and before T1 [PG12].
 * G2  If T1 is read only, only if T3 committed before T1's snapshot: else T1 can be put before T3.
 * G3  Nobody is aborted before one of the three has committed: the retry of a victim then starts after that commit, and
 *     cannot meet the same three again.
 * G4  The victim is the pivot if it is still in progress, else T1.  One that is ordered never is.
 * G5  The check at commit, the commit number and the place in the graph are one step, under the graph latch.
 * G6  An ended transaction is remembered until all that were in progress when it became visible have ended.
 * G7  Memory is bounded: reads are widened, and ended transactions summarised, beyond limits; either only adds conflicts.
 * G8  A declared READ ONLY transaction is safe once the writers of its time have ended, none of them with an edge to
 *     a commit before its snapshot; it is then tracked no longer.
 */
#include "src/base/planted.h"
#include "txn/ssi_int.h"

/* ---- the graph; latch held ------------------------------------------------------------------------ */

static CommitTs committed_at(const struct ssi_txn *self)
{
    return atomic_load_explicit(&((struct ssi_txn *)self)->commit_ts, memory_order_relaxed);
}

static bool in_progress(const struct ssi_txn *self)
{
    return !self->aborted && committed_at(self) == 0;
}

bool ssi__concurrent(const struct ssi_txn *reader, const struct ssi_txn *writer)
{
    if (reader->aborted || writer->aborted) {
        return false;
    }
    CommitTs reader_ts = committed_at(reader), writer_ts = committed_at(writer);
    if (writer_ts != 0 && writer_ts <= reader->read_ts) {
        return false;
    }
    if (reader->ended && reader->end_number < writer->begin_number) {
        return false;
    }
    /* The stand-in for many may stand for some that wrote nothing: of those only the moment of their end counts. */
    return reader_ts == 0 || !reader->wrote || reader == &reader->manager->ssi->summary || reader_ts > writer->read_ts;
}

static bool writes_nothing(const struct ssi_txn *self)
{
    return self->read_only || (committed_at(self) != 0 && !self->wrote);
}

/* T1 -> pivot -> a commit at `third`. */
static bool is_dangerous(const struct ssi_txn *first, const struct ssi_txn *pivot, CommitTs third)
{
    CommitTs first_ts = committed_at(first), pivot_ts = committed_at(pivot);

    if (first->aborted || pivot->aborted || atomic_load(&((struct ssi_txn *)first)->doomed) ||
        atomic_load(&((struct ssi_txn *)pivot)->doomed)) {
        return false;
    }
    if ((pivot_ts != 0 && pivot_ts <= third) || (first_ts != 0 && first_ts < third)) {
        return false;
    }
    return !writes_nothing(first) || third <= first->read_ts;
}

static int fail(struct op *op, const char *reason)
{
    op_fail(op, "40001", "could not serialize access due to read/write dependencies among transactions");
    if (reason != NULL) {
        op_detail(op, "%s", reason);
    }
    op_hint(op, "The transaction might succeed if retried.");
    return OP_FAILED;
}

int ssi__fail(struct op *op, struct txn_session *session)
{
    struct ssi *ssi = session->manager->ssi;
    struct ssi_txn *self = session->ssi;

    if (self == NULL) {
        return fail(op, NULL);
    }
    os_mutex_lock(&ssi->graph);
    fail(op, self->reason);
    CommitTs lost_to = self->lost_to;
    os_mutex_unlock(&ssi->graph);
    commit__depend(session, lost_to);
    return OP_FAILED;
}

CommitTs ssi__lost_to(struct ssi_txn *self)
{
    struct ssi *ssi = self->manager->ssi;

    os_mutex_lock(&ssi->graph);
    CommitTs lost_to = self->lost_to;
    os_mutex_unlock(&ssi->graph);
    return lost_to;
}

/* The two edges that meet in the pivot say why. */
static void doom(struct ssi_txn *victim, const struct ssi_edge *in, const struct ssi_edge *out, CommitTs third)
{
    if (!atomic_load(&victim->doomed)) {
        victim->reason = ssi__explain(in, out);
        victim->lost_to = third;
    }
    atomic_store(&victim->doomed, true);
}

/* G4.  self: the transaction of this thread. */
static int condemn(struct op *op, struct ssi_txn *self, struct ssi_txn *first, struct ssi_txn *pivot, const struct ssi_edge *in,
                   const struct ssi_edge *out, CommitTs third)
{
    struct ssi_txn *victim = in_progress(pivot) ? pivot : first;

    assert(in_progress(victim));
    doom(victim, in, out, third);
    return victim == self ? fail(op, victim->reason) : 0;
}

/* The edge to the transaction that committed then, if it is still known. */
static const struct ssi_edge *edge_to(const struct ssi_txn *pivot, CommitTs ts)
{
    const struct ssi_edge *out = pivot->out;

    while (out != NULL && committed_at(out->writer) != ts) {
        out = out->next_out;
    }
    return out;
}

/* Looks through both lists in step, since one of them is short: a transaction of hours has edges to thousands. */
static struct ssi_edge *find_link(const struct ssi_txn *reader, const struct ssi_txn *writer)
{
    struct ssi_edge *out = reader->out, *in = writer->in;

    while (out != NULL && in != NULL) {
        if (out->writer == writer) {
            return out;
        }
        if (in->reader == reader) {
            return in;
        }
        out = out->next_out;
        in = in->next_in;
    }
    return NULL;
}

static int add_link(struct op *op, struct ssi_txn *reader, struct ssi_txn *writer, struct ssi_edge **link, bool *is_new)
{
    *is_new = false;
    *link = find_link(reader, writer);
    if (*link != NULL) {
        return 0;
    }
    struct ssi_edge *edge = mem_calloc(1, sizeof(*edge));
    if (edge == NULL) {
        return op_out_of_memory(op);
    }
    *link = edge;
    edge->reader = reader;
    edge->writer = writer;
    edge->next_out = reader->out;
    if (reader->out != NULL) {
        reader->out->prev_out = edge;
    }
    reader->out = edge;
    edge->next_in = writer->in;
    if (writer->in != NULL) {
        writer->in->prev_in = edge;
    }
    writer->in = edge;
    *is_new = true;
    return 0;
}

static void remove_link(struct ssi_edge *edge)
{
    *(edge->prev_out != NULL ? &edge->prev_out->next_out : &edge->reader->out) = edge->next_out;
    if (edge->next_out != NULL) {
        edge->next_out->prev_out = edge->prev_out;
    }
    *(edge->prev_in != NULL ? &edge->prev_in->next_in : &edge->writer->in) = edge->next_in;
    if (edge->next_in != NULL) {
        edge->next_in->prev_in = edge->prev_in;
    }
    mem_free(edge->read);
    mem_free(edge->wrote);
    mem_free(edge);
}

int ssi__add_edge(struct op *op, struct ssi *ssi, struct ssi_txn *self, struct ssi_txn *reader, struct ssi_txn *writer,
                  const struct ssi_evidence *evidence)
{
    struct ssi_edge loose = { .reader = reader, .writer = writer }, *link = &loose;
    bool is_new = true;
    int rc = 0;

    /* What was summarised has no lists any more; what matters of it is when it and those after it committed. */
    if (!writer->summarised && add_link(op, reader, writer, &link, &is_new) != 0) {
        return OP_FAILED;
    }
    if (is_new) {
        ssi__describe_edge(link, evidence);
    }
    if (!is_new && reader != &ssi->summary) {
        return 0;       /* an edge of the stand-in may be another reader's: it is judged again */
    }
    CommitTs writer_ts = committed_at(writer);
    if (writer_ts != 0 && writer_ts < reader->earliest_out) {
        reader->earliest_out = writer_ts;
    }
    /* The writer as pivot. */
    if (writer->earliest_out != UINT64_MAX && is_dangerous(reader, writer, writer->earliest_out)) {
        rc = condemn(op, self, reader, writer, link, edge_to(writer, writer->earliest_out), writer->earliest_out);
    }
    /* The reader as pivot: only once the writer has committed (G3). */
    for (struct ssi_edge *edge = reader->in; writer_ts != 0 && edge != NULL && rc == 0; edge = edge->next_in) {
        if (is_dangerous(edge->reader, reader, writer_ts)) {
            rc = condemn(op, self, edge->reader, reader, edge, link, writer_ts);
        }
    }
    if (link == &loose) {
        mem_free(loose.read);
        mem_free(loose.wrote);
    }
    return rc;
}

int ssi__read_met_newer(struct op *op, struct txn_session *session, struct ssi_txn *writer, const struct ssi_evidence *evidence)
{
    struct ssi *ssi = session->manager->ssi;
    struct ssi_txn *self = session->ssi;
    int rc = 0;

    if (writer == self || atomic_load_explicit(&self->safe, memory_order_relaxed)) {
        return 0;
    }
    os_mutex_lock(&ssi->graph);
    if (ssi__concurrent(self, writer)) {
        rc = ssi__add_edge(op, ssi, self, self, writer, evidence);
    }
    CommitTs lost_to = rc != 0 ? self->lost_to : 0;
    os_mutex_unlock(&ssi->graph);
    commit__depend(session, lost_to);
    return rc;
}

bool ssi__has_missed(struct txn_session *session, struct ssi_txn *writer)
{
    struct ssi *ssi = session->manager->ssi;
    struct ssi_txn *self = session->ssi;

    if (self == NULL || writer == self) {
        return false;
    }
    os_mutex_lock(&ssi->graph);
    /* Of what was summarised only the earliest is known: it may have been this one. */
    bool missed = writer->summarised ? self->earliest_out <= committed_at(writer) : find_link(self, writer) != NULL;
    os_mutex_unlock(&ssi->graph);
    return missed;
}

/* ---- beginning ------------------------------------------------------------------------------------ */

static void lock_pool(struct ssi *ssi)
{
    while (atomic_exchange_explicit(&ssi->pool_latch, 1, memory_order_acquire) != 0) {
        os_pause();
    }
}

static void unlock_pool(struct ssi *ssi)
{
    atomic_store_explicit(&ssi->pool_latch, 0, memory_order_release);
}

/* One that was freed, empty again but for the memory of its arenas. */
static struct ssi_txn *take_pooled(struct ssi *ssi)
{
    lock_pool(ssi);
    struct ssi_txn *self = ssi->pool;
    if (self != NULL) {
        ssi->pool = self->next;
        ssi->pool_count--;
    }
    unlock_pool(ssi);
    if (self != NULL) {
        struct arena arena = self->arena, texts = self->texts;
        memset(self, 0, sizeof(*self));
        self->arena = arena;
        self->texts = texts;
    }
    return self;
}

static bool give_to_pool(struct ssi *ssi, struct ssi_txn *self)
{
    bool room;

    arena_reset(&self->arena);
    arena_reset(&self->texts);
    lock_pool(ssi);
    room = ssi->pool_count < SSI_POOL_MAX;
    if (room) {
        self->next = ssi->pool;
        ssi->pool = self;
        ssi->pool_count++;
    }
    unlock_pool(ssi);
    return room;
}

static void free_txn(struct ssi_txn *self)
{
    arena_free(&self->arena);
    arena_free(&self->texts);
    mem_free(self);
}

static struct ssi_txn *new_txn(struct op *op, struct txn_session *session)
{
    struct ssi_txn *self = take_pooled(session->manager->ssi);

    if (self == NULL && (self = mem_calloc(1, sizeof(*self))) == NULL) {
        op_out_of_memory(op);
        return NULL;
    }
    atomic_init(&self->references, 2);
    self->manager = session->manager;
    self->read_only = session->read_only;
    self->earliest_out = UINT64_MAX;
    self->session = session->number;
    return self;
}

static void append_to(struct ssi_txn **first, struct ssi_txn **last, struct ssi_txn *self)
{
    self->next = NULL;
    self->prev = *last;
    *(*last != NULL ? &(*last)->next : first) = self;
    *last = self;
}

static void take_from(struct ssi_txn **first, struct ssi_txn **last, struct ssi_txn *self)
{
    *(self->prev != NULL ? &self->prev->next : first) = self->next;
    *(self->next != NULL ? &self->next->prev : last) = self->prev;
}

static void enter(struct ssi *ssi, struct ssi_txn *self)
{
    self->begin_number = ++ssi->clock;
    append_to(&ssi->first, &ssi->last, self);
    if (!self->read_only) {
        ssi->writers++;
        return;
    }
    self->pending = ssi->writers;
    self->next_reader = ssi->readers;
    if (ssi->readers != NULL) {
        ssi->readers->prev_reader = self;
    }
    ssi->readers = self;
}

static void leave(struct ssi *ssi, struct ssi_txn *self)
{
    take_from(&ssi->first, &ssi->last, self);
    if (!self->read_only) {
        ssi->writers--;
        return;
    }
    *(self->prev_reader != NULL ? &self->prev_reader->next_reader : &ssi->readers) = self->next_reader;
    if (self->next_reader != NULL) {
        self->next_reader->prev_reader = self->prev_reader;
    }
}

/* Whoever decides ends the wait, so that from then on nobody takes the session for one that waits (txn_waiting). */
static void decided(struct ssi_txn *reader)
{
    if (reader->undecided != NULL) {
        atomic_store(reader->undecided, false);
        reader->undecided = NULL;
    }
}

/* G8: after a writer ended, the read-only transactions of its time look again. */
static void settle_readers(struct ssi *ssi, const struct ssi_txn *ended)
{
    for (struct ssi_txn *reader = ssi->readers; reader != NULL; reader = reader->next_reader) {
        if (reader->begin_number < ended->begin_number || reader->pending == 0) {
            continue;
        }
        if (!ended->aborted && ended->wrote && ended->earliest_out <= reader->read_ts) {
            reader->unsafe = true;
        }
        if (--reader->pending == 0 && !reader->unsafe) {
            atomic_store(&reader->safe, true);
        }
        if (reader->pending == 0 || reader->unsafe) {
            decided(reader);
        }
    }
}

/* Waits until the read-only snapshot is known to be safe or not. */
static int await_verdict(struct op *op, struct txn_session *session, struct ssi_txn *self, bool *safe)
{
    struct ssi *ssi = session->manager->ssi;
    int rc = 0;

    os_mutex_lock(&ssi->graph);
    while (rc == 0 && self->pending > 0 && !self->unsafe) {
        os_cond_wait(&ssi->changed, &ssi->graph, os_clock_ns() + 50 * 1000 * 1000);
        if (atomic_load(&session->cancel)) {
            rc = op_fail(op, "57014", "canceling statement due to user request");
        } else if (session->deadline_ns != 0 && os_clock_ns() >= session->deadline_ns) {
            rc = op_fail(op, "57014", "canceling statement due to statement timeout");
        }
    }
    decided(self);
    *safe = !self->unsafe;
    os_mutex_unlock(&ssi->graph);
    return rc;
}

static int begin_once(struct op *op, struct txn_session *session)
{
    struct ssi *ssi = session->manager->ssi;
    struct ssi_txn *self = new_txn(op, session);

    if (self == NULL) {
        return OP_FAILED;
    }
    os_mutex_lock(&ssi->graph);
    snapshot__take(session);
    self->read_ts = session->read_ts;
    bool safe = self->read_only && ssi->writers == 0;
    if (!safe) {
        enter(ssi, self);
        session->ssi = self;
        if (session->deferrable && self->pending > 0) {
            self->undecided = &session->undecided;
            atomic_store(&session->undecided, true);
        }
    }
    os_mutex_unlock(&ssi->graph);
    if (safe) {
        if (!give_to_pool(ssi, self)) {
            free_txn(self);
        }
    } else if (session->writer != NULL) {
        ssi__bind_writer(session, session->writer);
    }
    return 0;
}

int ssi__begin(struct op *op, struct txn_session *session)
{
    for (;;) {
        bool safe = false;
        if (begin_once(op, session) != 0) {
            return OP_FAILED;
        }
        if (!session->deferrable || session->ssi == NULL) {
            return 0;
        }
        if (session->on_wait != NULL) {
            session->on_wait(session->on_wait_arg, true);
        }
        int rc = await_verdict(op, session, session->ssi, &safe);
        if (session->on_wait != NULL) {
            session->on_wait(session->on_wait_arg, false);
        }
        ssi__end(session, true);
        if (rc != 0 || safe) {
            return rc;
        }
        snapshot__drop(session);
    }
}

void ssi__leave_if_safe(struct txn_session *session)
{
    if (atomic_load_explicit(&session->ssi->safe, memory_order_acquire)) {
        ssi__end(session, true);
    }
}

void ssi__bind_writer(struct txn_session *session, struct txn *writer)
{
    ssi__ref(session->ssi);
    writer->ssi = session->ssi;
}

void ssi__ref(struct ssi_txn *self)
{
    atomic_fetch_add_explicit(&self->references, 1, memory_order_relaxed);
}

void ssi__unref(struct ssi_txn *self)
{
    if (atomic_fetch_sub_explicit(&self->references, 1, memory_order_acq_rel) == 1) {
        mem_free(self->reason);
        struct ssi *ssi = self->manager->ssi;
        if (ssi == NULL || !give_to_pool(ssi, self)) {
            free_txn(self);
        }
    }
}

bool ssi__is_doomed(struct ssi_txn *self)
{
    return atomic_load_explicit(&self->doomed, memory_order_acquire);
}

/* ---- ending --------------------------------------------------------------------------------------- */

/* This transaction is about to be the first of the three to commit: pivots that lead to it must go. */
static void doom_pivots(struct ssi_txn *self)
{
    for (struct ssi_edge *in = self->in; in != NULL; in = in->next_in) {
        struct ssi_txn *pivot = in->reader;
        if (!in_progress(pivot) || atomic_load(&pivot->doomed)) {
            continue;
        }
        for (struct ssi_edge *edge = pivot->in; edge != NULL; edge = edge->next_in) {
            struct ssi_txn *first = edge->reader;
            if (in_progress(first) && !first->read_only && !atomic_load(&first->doomed)) {
                doom(pivot, edge, in, 0);
                break;
            }
        }
    }
}

int ssi__commit(struct op *op, struct txn_session *session, void (*append)(struct txn *txn))
{
    struct ssi *ssi = session->manager->ssi;
    struct ssi_txn *self = session->ssi;

    os_mutex_lock(&ssi->graph);
    if (atomic_load(&self->doomed) && !PLANTED("ssi-commit-unchecked")) {
        os_mutex_unlock(&ssi->graph);
        return ssi__fail(op, session);
    }
    if (!PLANTED("ssi-pivot-spared")) {
        doom_pivots(self);
    }
    append(session->writer);
    CommitTs ts = writer__ts(session->writer);
    atomic_store(&self->commit_ts, ts);
    for (struct ssi_edge *in = self->in; in != NULL; in = in->next_in) {
        if (ts < in->reader->earliest_out) {
            in->reader->earliest_out = ts;
        }
        if (atomic_load(&in->reader->doomed) && in->reader->lost_to == 0) {
            in->reader->lost_to = ts;
        }
    }
    os_mutex_unlock(&ssi->graph);
    return 0;
}

/* It is on no list any more. */
static void forget(struct ssi *ssi, struct ssi_txn *gone)
{
    siread__forget(gone);
    os_mutex_lock(&ssi->graph);
    while (gone->out != NULL) {
        remove_link(gone->out);
    }
    while (gone->in != NULL) {
        remove_link(gone->in);
    }
    os_mutex_unlock(&ssi->graph);
    ssi__unref(gone);
}

void ssi__end(struct txn_session *session, bool committed)
{
    struct txn_manager *manager = session->manager;
    struct ssi *ssi = manager->ssi;
    struct ssi_txn *self = session->ssi;

    os_mutex_lock(&ssi->graph);
    self->ended = true;
    self->aborted = !committed;
    self->end_number = ++ssi->clock;
    if (committed && committed_at(self) == 0) {
        atomic_store(&self->commit_ts, atomic_load(&manager->visible_ts));
    }
    leave(ssi, self);
    if (committed) {
        append_to(&ssi->first_ended, &ssi->last_ended, self);
        ssi->retained++;
    }
    if (!self->read_only) {
        settle_readers(ssi, self);
        os_cond_broadcast(&ssi->changed);
    }
    os_mutex_unlock(&ssi->graph);
    session->ssi = NULL;
    if (!committed) {
        forget(ssi, self);
    }
    ssi__unref(self);
    ssi__purge(manager);
}

/* ---- summarising ---------------------------------------------------------------------------------- */

/* With a transaction open for hours, millions of others end and may not be forgotten.  Beyond a number of them the oldest are
 * merged into one stand-in: it has read all that they read, widened, has ended when the last of them did, and takes over their edges
 * to writers in progress.  Edges to them need no list: their readers have noted when they committed.  As writers they are themselves
 * still, as long as a version of theirs is kept, and have noted the earliest commit to which they have an edge. */
static struct ssi_txn *take_ended(struct ssi *ssi)
{
    struct ssi_txn *oldest = ssi->first_ended;

    if (oldest != NULL) {
        take_from(&ssi->first_ended, &ssi->last_ended, oldest);
        ssi->retained--;
    }
    return oldest;
}

/* Without memory for the summary it stays, and is forgotten in its time. */
static void put_back(struct ssi *ssi, struct ssi_txn *self)
{
    self->prev = NULL;
    self->next = ssi->first_ended;
    *(ssi->first_ended != NULL ? &ssi->first_ended->prev : &ssi->last_ended) = self;
    ssi->first_ended = self;
    ssi->retained++;
}

static void absorb(struct op *op, struct ssi *ssi, struct ssi_txn *gone)
{
    struct ssi_txn *summary = &ssi->summary;
    struct ssi_edge *link;
    bool is_new;

    if (committed_at(gone) > committed_at(summary)) {
        atomic_store(&summary->commit_ts, committed_at(gone));
    }
    if (gone->end_number > summary->end_number) {
        summary->end_number = gone->end_number;
    }
    if (PLANTED("ssi-summary-forgets")) {
        gone->earliest_out = UINT64_MAX;
    }
    while (gone->out != NULL) {
        struct ssi_txn *writer = gone->out->writer;
        remove_link(gone->out);
        if (in_progress(writer) && add_link(op, summary, writer, &link, &is_new) != 0) {
            atomic_store(&writer->doomed, true);    /* without memory for the edge nothing is known of it any more */
        }
    }
    while (gone->in != NULL) {
        remove_link(gone->in);
    }
    gone->summarised = true;
}

static void summarise(struct txn_manager *manager)
{
    struct ssi *ssi = manager->ssi;
    struct ssi_txn *gone;
    struct op op;

    op_init(&op);
    for (;;) {
        os_mutex_lock(&ssi->graph);
        bool due = ssi->retained > manager->options.ended_kept && !ssi->summarising;
        gone = due ? take_ended(ssi) : NULL;
        if (gone != NULL) {
            ssi->summarising = true;
            absorb(&op, ssi, gone);
        }
        os_mutex_unlock(&ssi->graph);
        if (gone == NULL) {
            break;
        }
        bool done = siread__hand_over(&op, gone, &ssi->summary) == 0;
        os_mutex_lock(&ssi->graph);
        absorb(&op, ssi, gone);         /* the edges of writers that met it in between */
        ssi->summarising = false;
        if (!done) {
            put_back(ssi, gone);
        }
        os_mutex_unlock(&ssi->graph);
        if (!done) {
            break;
        }
        ssi__unref(gone);
        op_reset(&op);
    }
    op_end(&op);
}

/* Nobody in progress is a contemporary of what was summarised; graph latch held. */
static bool summary_is_over(const struct ssi *ssi)
{
    if (ssi->summarising || ssi->summary.end_number == 0) {
        return false;
    }
    return ssi->first == NULL || ssi->first->begin_number > ssi->summary.end_number;
}

static void forget_summary(struct ssi *ssi)
{
    os_mutex_lock(&ssi->graph);
    bool over = summary_is_over(ssi);
    if (over) {
        ssi->summarising = true;
        while (ssi->summary.out != NULL) {
            remove_link(ssi->summary.out);
        }
    }
    os_mutex_unlock(&ssi->graph);
    if (!over) {
        return;
    }
    siread__forget(&ssi->summary);
    os_mutex_lock(&ssi->graph);
    ssi->summary.end_number = 0;
    ssi->summarising = false;
    os_mutex_unlock(&ssi->graph);
}

/* Of the oldest ended transaction nobody in progress is a contemporary (G6). */
static bool is_forgettable(const struct ssi *ssi)
{
    if (ssi->first_ended == NULL) {
        return false;
    }
    return ssi->first == NULL || ssi->first_ended->end_number < ssi->first->begin_number || PLANTED("ssi-freed-early");
}

void ssi__purge(struct txn_manager *manager)
{
    struct ssi *ssi = manager->ssi;
    struct ssi_txn *gone;

    do {
        os_mutex_lock(&ssi->graph);
        gone = is_forgettable(ssi) ? take_ended(ssi) : NULL;
        os_mutex_unlock(&ssi->graph);
        if (gone != NULL) {
            forget(ssi, gone);
        }
    } while (gone != NULL);
    summarise(manager);
    forget_summary(ssi);
}

/* ---- open and close ------------------------------------------------------------------------------- */

int ssi__open(struct op *op, struct txn_manager *manager)
{
    struct ssi *ssi = mem_calloc(1, sizeof(*ssi));

    if (ssi == NULL) {
        return op_out_of_memory(op);
    }
    manager->ssi = ssi;
    os_mutex_init(&ssi->graph, RANK_SSI_GRAPH);
    os_cond_init(&ssi->changed);
    ssi->summary = (struct ssi_txn){ .manager = manager, .ended = true, .earliest_out = UINT64_MAX };
    arena_init(&ssi->summary.arena);
    atomic_store(&ssi->summary.wrote, true);
    ssi->buckets = mem_calloc(SIREAD_BUCKETS, sizeof(*ssi->buckets));
    return ssi->buckets != NULL ? 0 : op_out_of_memory(op);
}

void ssi__close(struct txn_manager *manager)
{
    struct ssi *ssi = manager->ssi;

    if (ssi == NULL) {
        return;
    }
    ssi__purge(manager);
    siread__forget(&ssi->summary);
    for (struct ssi_txn *self; (self = take_pooled(ssi)) != NULL;) {
        free_txn(self);
    }
    arena_free(&ssi->summary.arena);
    os_mutex_destroy(&ssi->graph);
    os_cond_destroy(&ssi->changed);
    mem_free(ssi->buckets);
    mem_free(ssi);
    manager->ssi = NULL;
}
