/*
 * threads.c -- the power fails while eight threads commit, and a background thread writes pages, flushes and purges.
 *
 * power.c cuts before every call of one thread; here nobody can say which call that is, but between two calls the disk
 * does not change, so a copy of it at a random moment is a cut before some call.  Each thread writes down what its next
 * transaction will be, before it commits; and then how many were acknowledged.
 *
 *      A  how many each thread was told are durable           looked at before the disk is copied
 *      S  how many each thread has begun to commit            looked at after it
 *
 * P1  After restart the rows of each thread are as after its n-th transaction, for some n from A to S: nothing
 *     acknowledged is lost, and each transaction is there wholly or not at all.
 * P2  Some transactions of all threads add one to the same counter.  It holds just as many as are there.
 * P3  It is at least what anybody has seen it to be: those transactions wait for the disk, and nobody is shown
 *     what they did while it may still be lost.
 * P4  CHECK finds nothing, and none of this is changed by another cut during restart.
 *
 * SEED= chooses what the threads do, not how they meet; COUNT= is the number of cuts.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/hash.h"
#include "tests/crash/power.h"

enum { THREADS = 8, OWN_ROWS = 90, CUTS_PER_LIFE = 25, COUNTER = 65000, COUNT_EACH = 5 };

/* What one transaction did to its thread's rows. */
struct deed {
    uint32_t count;
    bool adds;                      /* one to the counter */
    struct change changes[12];
};

struct worker {
    int index;
    struct op op;
    struct rng rng;
    struct txn_session *session;
    struct row rows[OWN_ROWS];
    struct deed *deeds;             /* [begun] is being made */
    _Atomic size_t begun, durable;  /* published by the worker: deeds below `begun` are never touched again */
    size_t room;
    pthread_t thread;
};

struct life {
    struct vfs *vfs;
    struct store *store;
    struct txn_manager *manager;
    TreeId tree_id;
    struct btree *tree;
    struct worker workers[THREADS];
    _Atomic bool stop;
    _Atomic uint64_t seen;          /* the counter, by whom it was read */
};

static struct {
    uint64_t seed, count, cuts, failures, commits, rollbacks;
} all;

/* Readers of deeds and the one who makes room for more. */
static pthread_mutex_t deeds_mutex[THREADS];

static uint64_t number_of_run(const char *name, uint64_t usual)
{
    const char *text = getenv(name);

    return text != NULL ? strtoull(text, NULL, 10) : usual;
}

static void must(struct op *op, int rc, const char *what)
{
    if (rc == 0) {
        return;
    }
    fprintf(stderr, "%s: %s %s (%s)\n", what, op->error.sqlstate, op->error.message, op->error.detail ? op->error.detail : "");
    printf("threads seed=%llu count=%llu failures=1\n", (unsigned long long)all.seed, (unsigned long long)all.cuts);
    fflush(stdout);
    abort();
}
#define MUST(op, call) must((op), (call), #call)

/* ---- a thread's transactions ---------------------------------------------------------------------- */

static uint32_t random_length(struct rng *rng)
{
    uint64_t dice = rng_below(rng, 100);

    return (uint32_t)(dice < 70 ? rng_below(rng, 120) : dice < 95 ? rng_below(rng, 900) : rng_below(rng, 9000));
}

static void change_row(struct life *life, struct worker *worker, struct deed *deed)
{
    static _Thread_local uint8_t value[VALUE_BYTES_MAX];
    struct op *op = &worker->op;
    uint32_t own = (uint32_t)rng_below(&worker->rng, OWN_ROWS), number = (uint32_t)worker->index * OWN_ROWS + own;
    struct row *row = &worker->rows[own], before = *row;
    uint8_t key[KEY_BYTES_MAX];
    struct bytes k = model_key(key, 0, number), v = { value, 0 };
    struct txn_outcome outcome;

    *row = (struct row){ 0 };
    if (!before.live || rng_below(&worker->rng, 3) != 0) {
        *row = (struct row){ true, (uint32_t)rng_next(&worker->rng), random_length(&worker->rng) };
    }
    model_value(value, row);
    v.len = row->len;
    MUST(op, txn_statement_begin(op, worker->session));
    CommitTs seen = txn_read_ts(worker->session);
    if (!row->live) {
        MUST(op, txn_delete(op, worker->session, life->tree, k, (struct bytes){ NULL, 0 }, seen, &outcome));
    } else if (before.live) {
        MUST(op, txn_update(op, worker->session, life->tree, k, v, seen, &outcome));
    } else {
        MUST(op, txn_insert(op, worker->session, life->tree, k, v, &outcome));
    }
    txn_statement_end(worker->session);
    if (outcome.result != TXN_WRITTEN) {
        must(op, op_fail(op, "XX000", "row %u: outcome %d", number, outcome.result), "a row of one's own");
    }
    deed->changes[deed->count++] = (struct change){ 0, number, *row };
}

static int note_counter(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    memcpy(arg, row->value.data, sizeof(uint64_t));
    return 0;
}

static void add_one(struct life *life, struct worker *worker)
{
    struct op *op = &worker->op;
    uint8_t key[KEY_BYTES_MAX];
    struct bytes k = model_key(key, 0, COUNTER);
    struct txn_outcome outcome = { .result = TXN_CHANGED };
    uint64_t counter;
    bool found;

    MUST(op, txn_statement_begin(op, worker->session));
    MUST(op, txn_get(op, worker->session, life->tree, k, note_counter, &counter, &found));
    CommitTs seen = txn_read_ts(worker->session);
    while (outcome.result == TXN_CHANGED) {
        counter++;
        MUST(op, txn_update(op, worker->session, life->tree, k, (struct bytes){ (const uint8_t *)&counter, sizeof(counter) },
                            seen, &outcome));
        if (outcome.result == TXN_CHANGED) {
            memcpy(&counter, outcome.newest.data, sizeof(counter));
            seen = outcome.newest_ts;
        }
    }
    txn_statement_end(worker->session);
}

/* Undoes the transaction's second half in the database and in the model. */
static void half_rolled_back(struct life *life, struct worker *worker, struct deed *deed)
{
    struct row rows[OWN_ROWS];
    struct txn_mark mark;
    uint32_t count = deed->count;

    memcpy(rows, worker->rows, sizeof(rows));
    txn_mark(worker->session, &mark);
    for (int i = 0; i < 4; i++) {
        change_row(life, worker, deed);
    }
    MUST(&worker->op, txn_rollback_to(&worker->op, worker->session, &mark));
    memcpy(worker->rows, rows, sizeof(rows));
    deed->count = count;
}

static void make_room(struct worker *worker, size_t index)
{
    if (index < worker->room) {
        return;
    }
    pthread_mutex_lock(&deeds_mutex[worker->index]);
    worker->room = worker->room * 2 + 64;
    worker->deeds = realloc(worker->deeds, worker->room * sizeof(*worker->deeds));
    pthread_mutex_unlock(&deeds_mutex[worker->index]);
    if (worker->deeds == NULL) {
        abort();
    }
}

static void transaction(struct life *life, struct worker *worker)
{
    struct op *op = &worker->op;
    struct rng *rng = &worker->rng;
    size_t index = atomic_load(&worker->begun);
    struct row before[OWN_ROWS];

    make_room(worker, index);
    struct deed *deed = &worker->deeds[index];
    *deed = (struct deed){ .adds = rng_below(rng, COUNT_EACH) == 0 };
    memcpy(before, worker->rows, sizeof(before));
    MUST(op, txn_begin(op, worker->session, TXN_READ_COMMITTED, false, false));
    for (uint64_t i = 1 + rng_below(rng, 6); i > 0; i--) {
        change_row(life, worker, deed);
    }
    if (rng_below(rng, 6) == 0) {
        half_rolled_back(life, worker, deed);
    }
    if (rng_below(rng, 8) == 0) {
        txn_rollback(worker->session);
        memcpy(worker->rows, before, sizeof(before));
        __atomic_fetch_add(&all.rollbacks, 1, __ATOMIC_RELAXED);
        return;
    }
    if (deed->adds) {
        add_one(life, worker);
    }
    bool full = deed->adds || rng_below(rng, 3) != 0;
    txn_set_sync(worker->session, full ? TXN_SYNC_FULL : rng_below(rng, 2) ? TXN_SYNC_OFF : TXN_SYNC_NORMAL);
    atomic_store(&worker->begun, index + 1);
    MUST(op, txn_commit(op, worker->session));
    if (full) {
        atomic_store(&worker->durable, index + 1);
    }
    __atomic_fetch_add(&all.commits, 1, __ATOMIC_RELAXED);
}

/* A tree that comes and goes, and nobody's rows are in it. */
static void passing_tree(struct life *life, struct worker *worker)
{
    static const uint8_t value[3000];
    struct op *op = &worker->op;
    struct txn_session *session = worker->session;
    struct btree *tree;
    TreeId id;

    MUST(op, txn_begin(op, session, TXN_READ_COMMITTED, false, false));
    MUST(op, txn_create_tree(op, session, &id));
    MUST(op, btree_open(op, life->store, id, &tree));
    for (uint32_t i = 0; i < 30; i++) {
        uint8_t key[KEY_BYTES_MAX];
        bool added;
        MUST(op, txn_load(op, session, tree, model_key(key, 0, i), (struct bytes){ value, i * 100 }, &added));
    }
    if (rng_below(&worker->rng, 3) == 0) {
        txn_rollback(session);
        return;
    }
    MUST(op, txn_commit(op, session));
    MUST(op, txn_begin(op, session, TXN_READ_COMMITTED, false, false));
    MUST(op, txn_drop_tree(op, session, id));
    if (rng_below(&worker->rng, 3) == 0) {
        txn_rollback(session);
    } else {
        MUST(op, txn_commit(op, session));
    }
}

static void look_at_counter(struct life *life, struct worker *worker)
{
    struct op *op = &worker->op;
    uint8_t key[KEY_BYTES_MAX];
    uint64_t counter = 0;
    bool found;

    MUST(op, txn_begin(op, worker->session, TXN_READ_COMMITTED, true, false));
    MUST(op, txn_statement_begin(op, worker->session));
    MUST(op, txn_get(op, worker->session, life->tree, model_key(key, 0, COUNTER), note_counter, &counter, &found));
    MUST(op, txn_await_dependencies(op, worker->session));
    uint64_t seen = atomic_load(&life->seen);
    while (counter > seen && !atomic_compare_exchange_weak(&life->seen, &seen, counter)) {
    }
    txn_statement_end(worker->session);
    txn_rollback(worker->session);
}

static struct life *running;

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct life *life = running;

    while (!atomic_load(&life->stop)) {
        transaction(life, worker);
        look_at_counter(life, worker);
        if (rng_below(&worker->rng, 40) == 0) {
            passing_tree(life, worker);
        }
        op_reset(&worker->op);
    }
    return NULL;
}

/* ---- judging what a cut leaves -------------------------------------------------------------------- */

struct found {
    bool live;
    uint64_t hash;
    size_t len;
};

struct finding {
    struct found rows[THREADS * OWN_ROWS];
    uint64_t counter;
};

static int note_row(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    struct finding *finding = arg;
    uint32_t number = model_number(row->key);

    if (number == COUNTER) {
        memcpy(&finding->counter, row->value.data, sizeof(finding->counter));
        return 0;
    }
    if (number >= THREADS * OWN_ROWS || finding->rows[number].live) {
        return op_fail(op, "XX000", "a key that nobody wrote, or one twice, number %u", number);
    }
    finding->rows[number] = (struct found){ true, hash_bytes(row->value.data, row->value.len, 1), row->value.len };
    return 0;
}

struct trial {
    struct op op;
    struct vfs *disk;
    struct store *store;
    struct txn_manager *manager;
    struct txn_session *session;
    struct btree *tree;
};

static int open_store(struct op *op, struct vfs *vfs, bool background, struct store **store)
{
    struct store_options options = {
        .vfs = vfs, .path = "threads.db", .page_size = 4096, .cache_size = 96 * 4096, .create = true,
        .no_background = !background,
        .wal = { .segment_size = 1 << 16, .buffer_size = 1 << 16, .max_wal_size = 1 << 20 },
    };

    return store_open(op, &options, store);
}

static int trial_open(struct trial *trial, TreeId tree_id)
{
    struct txn_options options = { .no_background = true };

    return open_store(&trial->op, trial->disk, false, &trial->store) != 0
                   || txn_manager_open(&trial->op, trial->store, &options, &trial->manager) != 0
                   || txn_session_open(&trial->op, trial->manager, &trial->session) != 0
                   || btree_open(&trial->op, trial->store, tree_id, &trial->tree) != 0
               ? OP_FAILED : OP_OK;
}

static void trial_abandon(struct trial *trial)
{
    if (trial->manager != NULL) {
        txn_manager_abandon(trial->manager);
    }
    if (trial->store != NULL) {
        store_abandon(trial->store);
    }
    trial->manager = NULL;
    trial->store = NULL;
    op_clear_error(&trial->op);
}

static int read_all(struct trial *trial, struct finding *finding)
{
    struct op *op = &trial->op;
    struct btree_range range = { .low_inclusive = true };
    struct txn_scan scan;
    bool more = true;

    if (txn_begin(op, trial->session, TXN_READ_COMMITTED, true, false) != 0 || txn_statement_begin(op, trial->session) != 0) {
        return OP_FAILED;
    }
    txn_scan_open(&scan, trial->session, trial->tree, &range, false);
    int rc = 0;
    while (rc == 0 && more) {
        rc = txn_scan_next(op, &scan, note_row, finding, &more);
    }
    txn_scan_close(&scan);
    txn_statement_end(trial->session);
    txn_rollback(trial->session);
    return rc;
}

static bool row_is(const struct found *found, const struct row *row)
{
    static uint8_t value[VALUE_BYTES_MAX];

    if (found->live != row->live || !row->live) {
        return found->live == row->live;
    }
    model_value(value, row);
    return found->len == row->len && found->hash == hash_bytes(value, row->len, 1);
}

static int first_difference(const struct finding *finding, const struct worker *worker, const struct row *rows)
{
    for (int i = 0; i < OWN_ROWS; i++) {
        if (!row_is(&finding->rows[worker->index * OWN_ROWS + i], &rows[i])) {
            return i;
        }
    }
    return -1;
}

/* P1 for one thread.  *added: how many of the transactions that are there add to the counter. */
static int explain(const struct finding *finding, struct worker *worker, size_t acknowledged, size_t begun, uint64_t *added)
{
    struct row rows[OWN_ROWS] = { { 0 } };
    int at = -1;

    pthread_mutex_lock(&deeds_mutex[worker->index]);
    for (size_t n = 0; n <= begun; n++) {
        if (n >= acknowledged && (at = first_difference(finding, worker, rows)) < 0) {
            break;
        }
        if (n == begun) {
            break;
        }
        const struct deed *deed = &worker->deeds[n];
        for (uint32_t i = 0; i < deed->count; i++) {
            rows[deed->changes[i].number - (uint32_t)worker->index * OWN_ROWS] = deed->changes[i].row;
        }
        *added += deed->adds;
    }
    pthread_mutex_unlock(&deeds_mutex[worker->index]);
    if (at >= 0) {
        fprintf(stderr, "  thread %d: no number of transactions from %zu to %zu explains its rows; with all, row %d differs\n",
                worker->index, acknowledged, begun, at);
    }
    return at >= 0;
}

static void print_finding(void *arg, const char *line)
{
    fprintf(stderr, "  check: %s\n", line);
}

struct moment {
    size_t acknowledged[THREADS], begun[THREADS];
    uint64_t seen;
    struct vfs *disk;
};

static int complain(struct trial *trial, const char *what)
{
    const struct op_error *error = &trial->op.error;

    fprintf(stderr, "  %s: %s %s (%s)\n", what, error->sqlstate, error->message, error->detail ? error->detail : "");
    return 1;
}

static int judge(struct life *life, struct trial *trial, const struct moment *moment)
{
    static struct finding finding;
    uint64_t added = 0, findings = 0;
    int failures = 0;

    memset(&finding, 0, sizeof(finding));
    if (trial_open(trial, life->tree_id) != 0 || read_all(trial, &finding) != 0) {
        return complain(trial, "opening and reading");
    }
    for (int i = 0; i < THREADS; i++) {
        failures += explain(&finding, &life->workers[i], moment->acknowledged[i], moment->begun[i], &added);
    }
    if (failures == 0 && (finding.counter != added || finding.counter < moment->seen)) {
        fprintf(stderr, "  the counter is %llu, %llu transactions add to it, and it was seen to be %llu\n",
                (unsigned long long)finding.counter, (unsigned long long)added, (unsigned long long)moment->seen);
        failures++;
    }
    if (store_check(&trial->op, trial->store, print_finding, NULL, &findings) != 0) {
        return complain(trial, "check");
    }
    return failures + (findings > 0);
}

/* One cut: some of it also during restart, and then in that restart too. */
static int try_moment(struct life *life, struct moment *moment, struct rng *rng)
{
    struct trial *trial = calloc(1, sizeof(*trial));
    int failures = 0;

    if (trial == NULL) {
        abort();
    }
    op_init(&trial->op);
    trial->disk = moment->disk;
    fault_power_on(trial->disk, (enum fault_loss)rng_below(rng, 4), rng_next(rng));
    for (uint64_t again = rng_below(rng, 3); again > 0 && failures == 0; again--) {
        fault_cut_at(trial->disk, 1 + rng_below(rng, 60));
        if (trial_open(trial, life->tree_id) != 0 && !fault_is_cut(trial->disk)) {
            failures += complain(trial, "restart");
        }
        trial_abandon(trial);
        fault_power_on(trial->disk, (enum fault_loss)rng_below(rng, 3), rng_next(rng));
    }
    if (failures == 0) {
        failures = judge(life, trial, moment);
    }
    trial_abandon(trial);
    op_end(&trial->op);
    os_vfs_destroy(trial->disk);
    free(trial);
    return failures;
}

static void take_moment(struct life *life, struct moment *moment)
{
    moment->seen = atomic_load(&life->seen);
    for (int i = 0; i < THREADS; i++) {
        moment->acknowledged[i] = atomic_load(&life->workers[i].durable);
    }
    moment->disk = fault_copy(life->vfs);
    for (int i = 0; i < THREADS; i++) {
        moment->begun[i] = atomic_load(&life->workers[i].begun);
    }
}

/* ---- a life --------------------------------------------------------------------------------------- */

static void begin_life(struct op *op, struct life *life, struct rng *rng)
{
    struct txn_session *session;
    struct txn_outcome outcome;
    struct txn_options options = { 0 };
    uint8_t key[KEY_BYTES_MAX];
    uint64_t zero = 0;

    life->vfs = fault_vfs_new(rng_next(rng));
    MUST(op, open_store(op, life->vfs, true, &life->store));
    MUST(op, txn_manager_open(op, life->store, &options, &life->manager));
    MUST(op, txn_session_open(op, life->manager, &session));
    MUST(op, txn_begin(op, session, TXN_READ_COMMITTED, false, false));
    MUST(op, txn_statement_begin(op, session));
    MUST(op, txn_create_tree(op, session, &life->tree_id));
    MUST(op, btree_open(op, life->store, life->tree_id, &life->tree));
    MUST(op, txn_insert(op, session, life->tree, model_key(key, 0, COUNTER), (struct bytes){ (uint8_t *)&zero, sizeof(zero) },
                        &outcome));
    txn_statement_end(session);
    txn_set_sync(session, TXN_SYNC_FULL);
    MUST(op, txn_commit(op, session));
    txn_session_close(session);
    running = life;
    for (int i = 0; i < THREADS; i++) {
        struct worker *worker = &life->workers[i];
        worker->index = i;
        op_init(&worker->op);
        rng_seed(&worker->rng, rng_next(rng));
        MUST(op, txn_session_open(op, life->manager, &worker->session));
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&life->workers[i].thread, NULL, work, &life->workers[i]);
    }
}

/* All stop; closed or killed, everything is there then. */
static int end_life(struct op *op, struct life *life, struct rng *rng)
{
    struct moment moment;
    int failures;

    atomic_store(&life->stop, true);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(life->workers[i].thread, NULL);
    }
    if (rng_below(rng, 2) == 0) {
        for (int i = 0; i < THREADS; i++) {
            txn_session_close(life->workers[i].session);
        }
        txn_manager_close(life->manager);
        MUST(op, store_close(op, life->store));
        for (int i = 0; i < THREADS; i++) {
            atomic_store(&life->workers[i].durable, atomic_load(&life->workers[i].begun));
        }
    } else {
        txn_manager_abandon(life->manager);
        store_abandon(life->store);
    }
    take_moment(life, &moment);
    failures = try_moment(life, &moment, rng);
    os_vfs_destroy(life->vfs);
    for (int i = 0; i < THREADS; i++) {
        op_end(&life->workers[i].op);
        free(life->workers[i].deeds);
    }
    free(life);
    return failures;
}

static void live(struct op *op, struct rng *rng)
{
    struct life *life = calloc(1, sizeof(*life));
    uint64_t failures = 0;

    if (life == NULL) {
        abort();
    }
    begin_life(op, life, rng);
    for (int i = 0; i < CUTS_PER_LIFE && all.cuts < all.count && failures == 0; i++) {
        struct moment moment;
        os_sleep_us(rng_below(rng, 20000));
        take_moment(life, &moment);
        failures += (uint64_t)try_moment(life, &moment, rng);
        all.cuts++;
    }
    failures += (uint64_t)end_life(op, life, rng);
    all.cuts++;
    all.failures += failures;
    if (failures > 0) {
        fprintf(stderr, "FAILED: SEED=%llu, before cut %llu\n", (unsigned long long)all.seed, (unsigned long long)all.cuts);
    }
}

int main(void)
{
    struct rng rng;
    struct op op;

    all.seed = number_of_run("SEED", 1);
    all.count = number_of_run("COUNT", 60);
    printf("threads seed=%llu\n", (unsigned long long)all.seed);
    fflush(stdout);
    for (int i = 0; i < THREADS; i++) {
        pthread_mutex_init(&deeds_mutex[i], NULL);
    }
    op_init(&op);
    rng_seed(&rng, all.seed);
    while (all.cuts < all.count && all.failures == 0) {
        live(&op, &rng);
    }
    op_end(&op);
    printf("%llu commits, %llu rollbacks\n", (unsigned long long)all.commits, (unsigned long long)all.rollbacks);
    printf("threads seed=%llu count=%llu failures=%llu\n", (unsigned long long)all.seed, (unsigned long long)all.cuts,
           (unsigned long long)all.failures);
    return all.failures == 0 ? 0 : 1;
}
