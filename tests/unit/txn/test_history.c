/*
 * Random transactions from several threads; what each has read and written is noted and judged afterwards.
 *
 * Every write has a unique number.  Versions of a key are ordered by the commit_ts of their writers, so for each read it is
 * known which version it should have met: the newest with commit_ts <= read_ts, or the transaction's own write.  That checks
 * snapshots exactly, absent keys included.  At SERIALIZABLE the edges
 *
 *      ww  writer of a version -> writer of the next          wr  writer -> reader
 *      rw  reader -> writer of the next version               rt  ended -> began later
 *
 * among committed transactions must form no cycle.
 */
#include "tests/unit/txn/txn_test.h"

enum { KEYS = 24, THREADS = 4, READS_MAX = 256, WRITES_MAX = 12, PER_THREAD_MAX = 4096 };

struct noted_read {
    int key;
    uint64_t value;             /* 0: absent */
    bool own;
};

struct noted {
    CommitTs read_ts, commit_ts;
    uint64_t began, ended;      /* of one clock for all threads */
    int read_count, write_count;
    struct noted_read *reads;
    struct { int key; uint64_t value; } writes[WRITES_MAX];     /* value 0: deleted; the last one of a key counts */
};

struct actor {
    struct db *db;
    int s;
    struct rng rng;
    enum txn_level level;
    struct noted *log;
    size_t count;
    struct noted now;
    struct noted_read reads[READS_MAX];
    struct os_thread *thread;
    uint64_t aborted;
};

static uint64_t seed, transactions_each;
static atomic_uint_fast64_t tick, next_value;
static atomic_int errors;

static void key_of(char out[16], int key)
{
    snprintf(out, 16, "k%03d", key);
}

static void note_read(struct actor *actor, int key, uint64_t value)
{
    bool own = false;
    for (int i = 0; i < actor->now.write_count; i++) {
        own |= actor->now.writes[i].key == key;
    }
    if (actor->now.read_count < READS_MAX) {
        actor->reads[actor->now.read_count++] = (struct noted_read){ key, value, own };
    }
}

static int take_value(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    *(uint64_t *)arg = get_u64(row->value.data);
    return 0;
}

struct range_read {
    uint64_t values[KEYS];
    int limit, rows, last;
};

static int take_row(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    struct range_read *read = arg;
    char digits[8];
    snprintf(digits, sizeof(digits), "%.*s", (int)row->key.len - 1, (const char *)row->key.data + 1);
    read->last = atoi(digits);
    read->values[read->last] = get_u64(row->value.data);
    *stop = ++read->rows == read->limit;
    return 0;
}

static int read_key(struct op *op, struct actor *actor)
{
    int key = (int)rng_below(&actor->rng, KEYS);
    char name[16];
    uint64_t value = 0;
    bool found;

    key_of(name, key);
    if (txn_get(op, actor->db->s[actor->s], actor->db->tree, text(name), take_value, &value, &found) != 0) {
        return OP_FAILED;
    }
    note_read(actor, key, value);
    return 0;
}

static int read_range(struct op *op, struct actor *actor)
{
    int low = (int)rng_below(&actor->rng, KEYS), high = low + (int)rng_below(&actor->rng, (uint64_t)(KEYS - low)) + 1;
    bool backward = rng_below(&actor->rng, 2), more = true;
    struct range_read read = { .limit = rng_below(&actor->rng, 3) == 0 ? 2 : 0 };
    char low_name[16], high_name[16];
    struct txn_scan scan;
    int rc = 0;

    key_of(low_name, low);
    key_of(high_name, high);
    struct btree_range range = { .low = text(low_name), .high = text(high_name), .low_inclusive = true };
    txn_scan_open(&scan, actor->db->s[actor->s], actor->db->tree, &range, backward);
    while (rc == 0 && more && (read.limit == 0 || read.rows < read.limit)) {
        rc = txn_scan_next(op, &scan, take_row, &read, &more);
    }
    txn_scan_close(&scan);
    if (read.limit != 0 && read.rows == read.limit) {
        *(backward ? &low : &high) = backward ? read.last : read.last + 1;
    }
    for (int key = low; rc == 0 && key < high; key++) {
        note_read(actor, key, read.values[key]);
    }
    return rc;
}

static int write_key(struct op *op, struct actor *actor)
{
    struct txn_session *session = actor->db->s[actor->s];
    int key = (int)rng_below(&actor->rng, KEYS);
    struct txn_outcome outcome;
    char name[16];
    uint8_t bytes[8];
    uint64_t value = 0, written = atomic_fetch_add(&next_value, 1);
    bool found;
    int rc;

    if (actor->now.write_count == WRITES_MAX) {
        return 0;
    }
    key_of(name, key);
    if (txn_get(op, session, actor->db->tree, text(name), take_value, &value, &found) != 0) {
        return OP_FAILED;
    }
    note_read(actor, key, value);
    put_u64(bytes, written);
    struct bytes data = { bytes, 8 };
    if (!found) {
        rc = txn_insert(op, session, actor->db->tree, text(name), data, &outcome);
    } else if (rng_below(&actor->rng, 3) == 0) {
        written = 0;
        rc = txn_delete(op, session, actor->db->tree, text(name), (struct bytes){ NULL, 0 }, txn_read_ts(session), &outcome);
    } else {
        rc = txn_update(op, session, actor->db->tree, text(name), data, txn_read_ts(session), &outcome);
    }
    if (rc == 0 && outcome.result == TXN_WRITTEN) {
        actor->now.writes[actor->now.write_count].key = key;
        actor->now.writes[actor->now.write_count++].value = written;
    } else if (rc == 0 && !(outcome.result == TXN_DUPLICATE && !found)) {
        fprintf(stderr, "result %d\n", (int)outcome.result);
        atomic_fetch_add(&errors, 1);
    } else if (rc == 0) {
        return op_fail(op, "23505", "duplicate");
    }
    return rc;
}

static void heard_end(void *arg, bool committed, CommitTs ts)
{
    ((struct actor *)arg)->now.commit_ts = committed ? ts : 0;
}

static int one_statement(struct op *op, struct actor *actor)
{
    struct txn_session *session = actor->db->s[actor->s];
    struct txn_mark mark;
    int writes = actor->now.write_count, rc;

    if (txn_statement_begin(op, session) != 0) {
        return OP_FAILED;
    }
    actor->now.read_ts = txn_read_ts(session);
    txn_mark(session, &mark);
    switch (rng_below(&actor->rng, 4)) {
    case 0:
        rc = read_key(op, actor);
        break;
    case 1:
        rc = read_range(op, actor);
        break;
    default:
        rc = write_key(op, actor);
        break;
    }
    txn_statement_end(session);
    if (rc == 0 && rng_below(&actor->rng, 10) == 0) {
        rc = txn_rollback_to(op, session, &mark);
        actor->now.write_count = writes;
    }
    return rc;
}

static int one_transaction(struct op *op, struct actor *actor)
{
    struct txn_session *session = actor->db->s[actor->s];
    int statements = 1 + (int)rng_below(&actor->rng, 5);

    memset(&actor->now, 0, sizeof(actor->now));
    actor->now.began = atomic_fetch_add(&tick, 1);
    bool read_only = rng_below(&actor->rng, 8) == 0;
    if (txn_begin(op, session, actor->level, read_only, false) != 0 ||
        txn_on_end(op, session, heard_end, actor) != 0) {
        return OP_FAILED;
    }
    for (int i = 0; i < statements; i++) {
        if (read_only) {
            if (txn_statement_begin(op, session) != 0) {
                return OP_FAILED;
            }
            actor->now.read_ts = txn_read_ts(session);
            int rc = rng_below(&actor->rng, 2) ? read_key(op, actor) : read_range(op, actor);
            txn_statement_end(session);
            if (rc != 0) {
                return OP_FAILED;
            }
        } else if (one_statement(op, actor) != 0) {
            return OP_FAILED;
        }
    }
    if (rng_below(&actor->rng, 12) == 0) {
        return op_fail(op, "40001", "changed its mind");
    }
    if (txn_commit(op, session) != 0) {
        return OP_FAILED;
    }
    actor->now.ended = atomic_fetch_add(&tick, 1);
    actor->now.reads = malloc(sizeof(struct noted_read) * (size_t)(actor->now.read_count + 1));
    memcpy(actor->now.reads, actor->reads, sizeof(struct noted_read) * (size_t)actor->now.read_count);
    actor->log[actor->count++] = actor->now;
    return 0;
}

static void act(void *arg)
{
    struct actor *actor = arg;
    struct op op;

    op_init(&op);
    for (uint64_t i = 0; i < transactions_each; i++) {
        if (one_transaction(&op, actor) != 0) {
            const char *state = op.error.sqlstate;
            if (strcmp(state, "40001") != 0 && strcmp(state, "40P01") != 0 && strcmp(state, "23505") != 0 &&
                strcmp(state, "72000") != 0) {
                fprintf(stderr, "unexpected: %s %s\n", state, op.error.message);
                atomic_fetch_add(&errors, 1);
            }
            txn_rollback(actor->db->s[actor->s]);
            actor->aborted++;
        }
        op_reset(&op);
    }
    op_end(&op);
}

/* ---- judging -------------------------------------------------------------------------------------- */

struct key_version {
    CommitTs ts;
    uint64_t value;
    int txn;
};

struct history {
    struct noted **txns;
    int count;
    struct key_version *versions[KEYS];
    int version_count[KEYS];
    /* Edges as lists: nodes 0..count-1 transactions, then moments of the clock. */
    int *head, *next, *to;
    int nodes, edges, capacity;
};

static void add_edge(struct history *history, int from, int to)
{
    if (from == to || from < 0 || to < 0) {
        return;
    }
    if (history->edges == history->capacity) {
        history->capacity = history->capacity * 2 + 1024;
        history->next = realloc(history->next, sizeof(int) * (size_t)history->capacity);
        history->to = realloc(history->to, sizeof(int) * (size_t)history->capacity);
    }
    history->to[history->edges] = to;
    history->next[history->edges] = history->head[from];
    history->head[from] = history->edges++;
}

static int by_ts(const void *a, const void *b)
{
    const struct key_version *left = a, *right = b;
    return (left->ts > right->ts) - (left->ts < right->ts);
}

static void collect_versions(struct history *history)
{
    for (int key = 0; key < KEYS; key++) {
        history->versions[key] = malloc(sizeof(struct key_version) * (size_t)(history->count + 1));
        history->versions[key][0] = (struct key_version){ 0, 0, -1 };
        history->version_count[key] = 1;
    }
    for (int t = 0; t < history->count; t++) {
        const struct noted *txn = history->txns[t];
        for (int i = txn->write_count - 1; i >= 0; i--) {
            bool later = false;
            for (int j = i + 1; j < txn->write_count; j++) {
                later |= txn->writes[j].key == txn->writes[i].key;
            }
            int key = txn->writes[i].key;
            if (!later) {
                history->versions[key][history->version_count[key]++] =
                    (struct key_version){ txn->commit_ts, txn->writes[i].value, t };
            }
        }
    }
    for (int key = 0; key < KEYS; key++) {
        qsort(history->versions[key], (size_t)history->version_count[key], sizeof(struct key_version), by_ts);
        for (int i = 1; i < history->version_count[key]; i++) {
            add_edge(history, history->versions[key][i - 1].txn, history->versions[key][i].txn);
        }
    }
}

/* The version that a snapshot should meet. */
static int version_at(const struct history *history, int key, CommitTs read_ts)
{
    int at = 0;
    while (at + 1 < history->version_count[key] && history->versions[key][at + 1].ts <= read_ts) {
        at++;
    }
    return at;
}

static int check_reads(struct history *history)
{
    int wrong = 0;
    for (int t = 0; t < history->count; t++) {
        const struct noted *txn = history->txns[t];
        for (int i = 0; i < txn->read_count; i++) {
            const struct noted_read *read = &txn->reads[i];
            if (read->own) {
                continue;
            }
            int at = version_at(history, read->key, txn->read_ts);
            const struct key_version *version = &history->versions[read->key][at];
            if (version->value != read->value) {
                fprintf(stderr, "txn %d at %llu read key %d as %llu, not %llu\n", t, (unsigned long long)txn->read_ts,
                        read->key, (unsigned long long)read->value, (unsigned long long)version->value);
                wrong++;
            }
            add_edge(history, version->txn, t);
            if (at + 1 < history->version_count[read->key]) {
                add_edge(history, t, history->versions[read->key][at + 1].txn);
            }
        }
    }
    return wrong;
}

static bool has_cycle(struct history *history)
{
    int *state = calloc((size_t)history->nodes, sizeof(int)), *stack = malloc(sizeof(int) * (size_t)history->nodes);
    int *edge = malloc(sizeof(int) * (size_t)history->nodes);
    bool cycle = false;

    for (int start = 0; start < history->nodes && !cycle; start++) {
        int depth = 0;
        if (state[start] != 0) {
            continue;
        }
        stack[depth] = start;
        edge[depth] = history->head[start];
        state[start] = 1;
        while (depth >= 0 && !cycle) {
            if (edge[depth] < 0) {
                state[stack[depth--]] = 2;
                continue;
            }
            int to = history->to[edge[depth]];
            edge[depth] = history->next[edge[depth]];
            if (state[to] == 1) {
                cycle = true;
                fprintf(stderr, "cycle through %d\n", to);
            } else if (state[to] == 0) {
                state[to] = 1;
                stack[++depth] = to;
                edge[depth] = history->head[to];
            }
        }
    }
    free(state);
    free(stack);
    free(edge);
    return cycle;
}

static void judge(struct actor *actors, bool acyclic)
{
    struct history history = { 0 };
    int moments = (int)atomic_load(&tick) + 1;

    for (int a = 0; a < THREADS; a++) {
        history.count += (int)actors[a].count;
    }
    history.nodes = history.count + moments;
    history.txns = malloc(sizeof(*history.txns) * (size_t)(history.count + 1));
    history.head = malloc(sizeof(int) * (size_t)history.nodes);
    memset(history.head, 0xff, sizeof(int) * (size_t)history.nodes);
    int t = 0;
    for (int a = 0; a < THREADS; a++) {
        for (size_t i = 0; i < actors[a].count; i++) {
            history.txns[t++] = &actors[a].log[i];
        }
    }
    for (t = 0; t < history.count; t++) {
        add_edge(&history, history.count + (int)history.txns[t]->began, t);
        add_edge(&history, t, history.count + (int)history.txns[t]->ended);
    }
    for (int m = 0; m + 1 < moments; m++) {
        add_edge(&history, history.count + m, history.count + m + 1);
    }
    collect_versions(&history);
    assert_int_equal(check_reads(&history), 0);
    if (acyclic) {
        assert_false(has_cycle(&history));
    }
    for (int key = 0; key < KEYS; key++) {
        free(history.versions[key]);
    }
    free(history.txns);
    free(history.head);
    free(history.next);
    free(history.to);
}

static void run_history(enum txn_level level, const struct txn_options *limits)
{
    static struct actor actors[THREADS];
    struct db db;
    uint64_t committed = 0, aborted = 0;

    db_open_limited(&db, true, limits);
    atomic_store(&tick, 0);
    atomic_store(&next_value, 1);
    memset(actors, 0, sizeof(actors));
    for (int i = 0; i < THREADS; i++) {
        actors[i] = (struct actor){ .db = &db, .s = i + 1, .level = level };
        actors[i].log = calloc(transactions_each + 1, sizeof(struct noted));
        rng_seed(&actors[i].rng, seed * 1000 + (uint64_t)i + 17 * (uint64_t)level);
        txn_set_sync(db.s[i + 1], i == 0 ? TXN_SYNC_FULL : TXN_SYNC_OFF);
        MUST(&db, os_thread_start(&db.op, act, &actors[i], "actor", &actors[i].thread));
    }
    for (int i = 0; i < THREADS; i++) {
        os_thread_join(actors[i].thread);
        committed += actors[i].count;
        aborted += actors[i].aborted;
    }
    assert_int_equal(atomic_load(&errors), 0);
    struct txn_version_stats stats;
    txn_version_stats(db.manager, &stats);
    print_message("%llu committed, %llu aborted; %llu chains spilled, %llu brought back, %llu read there; %llu snapshots given up\n",
                  (unsigned long long)committed, (unsigned long long)aborted, (unsigned long long)stats.spills,
                  (unsigned long long)stats.loads, (unsigned long long)stats.reads, (unsigned long long)stats.snapshots_given_up);
    judge(actors, level == TXN_SERIALIZABLE);
    for (int i = 0; i < THREADS; i++) {
        for (size_t j = 0; j < actors[i].count; j++) {
            free(actors[i].log[j].reads);
        }
        free(actors[i].log);
    }
    db_close(&db);
}

static void snapshots_of_random_histories_are_exact(void **state)
{
    run_history(TXN_REPEATABLE_READ, &(struct txn_options){ .reads_each = 0 });
}

static void serializable_random_histories_have_a_serial_order(void **state)
{
    run_history(TXN_SERIALIZABLE, &(struct txn_options){ .reads_each = 0 });
}

static void histories_stay_serializable_when_reads_are_widened_and_summarised(void **state)
{
    run_history(TXN_SERIALIZABLE, &(struct txn_options){ .reads_each = 3 });
    run_history(TXN_SERIALIZABLE, &(struct txn_options){ .ended_kept = 1 });
    run_history(TXN_SERIALIZABLE, &(struct txn_options){ .reads_each = 2, .ended_kept = 2 });
}

/* Room for ten chains or so: they go out and come back all the time. */
static void histories_are_the_same_when_versions_are_spilled(void **state)
{
    run_history(TXN_REPEATABLE_READ, &(struct txn_options){ .version_memory = 4096 });
    run_history(TXN_SERIALIZABLE, &(struct txn_options){ .version_memory = 4096 });
    run_history(TXN_SERIALIZABLE, &(struct txn_options){ .version_memory = 2048, .ended_kept = 1 });
}

/* No room on disk either: now and then the oldest snapshot is given up, and what the others see stays right. */
static void histories_are_right_when_snapshots_are_given_up(void **state)
{
    run_history(TXN_REPEATABLE_READ, &(struct txn_options){ .version_memory = 2048, .version_disk = 1 });
    run_history(TXN_SERIALIZABLE, &(struct txn_options){ .version_memory = 2048, .version_disk = 1 });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshots_of_random_histories_are_exact),
        cmocka_unit_test(serializable_random_histories_have_a_serial_order),
        cmocka_unit_test(histories_stay_serializable_when_reads_are_widened_and_summarised),
        cmocka_unit_test(histories_are_the_same_when_versions_are_spilled),
        cmocka_unit_test(histories_are_right_when_snapshots_are_given_up),
    };
    seed = env_number("SEED", 1);
    transactions_each = env_number("COUNT", 1500);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    printf("txn-history seed=%llu count=%llu failures=%d\n", (unsigned long long)seed,
           (unsigned long long)transactions_each * THREADS, failed);
    return failed;
}
