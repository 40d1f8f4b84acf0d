/*
 * workload.c -- a few interleaved transactions that together use every part of the storage.
 *
 * One thread drives eight sessions, so that a seed says all.  Their changes never meet (a row that a session has
 * changed is left alone by the others), so nobody waits.  Sizes are such that a few dozen pages of cache hold a
 * fraction of the rows: pages of transactions in progress are written out, and read again to be undone.  The trees
 * grow for a while and shrink for a while: splits, then ghosts, purge and merges.  One value in twelve lies in an
 * overflow chain.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/hash.h"
#include "src/buf/buf_open.h"
#include "tests/crash/power.h"

const char workload_name[] = "power";
const uint64_t workload_steps = 6600;

struct promise {
    uint64_t newest_id;
    struct model model;
};

static void *must(void *block)
{
    if (block == NULL) {
        abort();
    }
    return block;
}

struct run *run_new(struct vfs *disk, uint64_t seed)
{
    struct run *run = must(calloc(1, sizeof(*run)));

    op_init(&run->op);
    run->vfs = disk;
    rng_seed(&run->rng, seed);
    return run;
}

void run_free(struct run *run)
{
    model_free(&run->model);
    op_end(&run->op);
    free(run);
}

struct vfs *run_disk(const struct run *run)
{
    return run->vfs;
}

struct rng *run_rng(struct run *run)
{
    return &run->rng;
}

const struct op_error *run_error(const struct run *run)
{
    return &run->op.error;
}

struct promise *run_promise(const struct run *run)
{
    struct promise *promise = must(calloc(1, sizeof(*promise)));

    promise->newest_id = run->newest_id;
    model_copy(&promise->model, &run->model);
    return promise;
}

void promise_free(struct promise *promise)
{
    model_free(&promise->model);
    free(promise);
}

void run_believe(struct run *run, const struct promise *promise)
{
    run->newest_id = promise->newest_id;
    model_copy(&run->model, &promise->model);
}

void run_settle(struct run *run)
{
    model_settle(&run->model, run->model.pending_count);
}

/* ---- open and close ------------------------------------------------------------------------------- */

static int open_store(struct run *run)
{
    struct store_options options = {
        .vfs = run->vfs, .path = "power.db", .page_size = 4096, .cache_size = 64 * 4096,
        .create = true, .no_background = true,
        .wal = { .segment_size = 1 << 16, .buffer_size = 1 << 16, .max_wal_size = 1 << 19 },
    };

    return store_open(&run->op, &options, &run->store);
}

static int create_trees(struct run *run)
{
    struct op *op = &run->op;
    struct txn_session *session = run->sessions[0].txn;
    TreeId ids[TREES];

    if (txn_begin(op, session, TXN_READ_COMMITTED, false, false) != 0 || txn_statement_begin(op, session) != 0) {
        return OP_FAILED;
    }
    for (int i = 0; i < TREES; i++) {
        if (txn_create_tree(op, session, &ids[i]) != 0) {
            return OP_FAILED;
        }
    }
    txn_statement_end(session);
    if (txn_commit(op, session) != 0) {
        return OP_FAILED;
    }
    memcpy(run->model.tree_ids, ids, sizeof(ids));
    run->model.created = true;
    return 0;
}

int run_open(struct run *run)
{
    struct op *op = &run->op;
    struct txn_options options = { .no_background = true };

    run->store = NULL;
    run->manager = NULL;
    memset(run->sessions, 0, sizeof(run->sessions));
    if (open_store(run) != 0 || txn_manager_open(op, run->store, &options, &run->manager) != 0) {
        return OP_FAILED;
    }
    run->tally.restarts += store_restart(run->store)->was_clean ? 0 : 1;
    for (int i = 0; i < SESSIONS; i++) {
        if (txn_session_open(op, run->manager, &run->sessions[i].txn) != 0) {
            return OP_FAILED;
        }
    }
    if (txn_session_open(op, run->manager, &run->reader) != 0) {
        return OP_FAILED;
    }
    if (!run->model.created && create_trees(run) != 0) {
        return OP_FAILED;
    }
    for (int i = 0; i < TREES; i++) {
        if (btree_open(op, run->store, run->model.tree_ids[i], &run->trees[i]) != 0) {
            return OP_FAILED;
        }
    }
    return 0;
}

static void count_store(struct run *run)
{
    struct buf_stats stats;

    buf_stats(store_buf(run->store), &stats);
    run->tally.evictions += stats.evictions;
    run->tally.checkpoints += stats.checkpoints;
}

void run_abandon(struct run *run)
{
    if (run->store != NULL) {
        count_store(run);
    }
    if (run->manager != NULL) {
        txn_manager_abandon(run->manager);
    }
    if (run->store != NULL) {
        store_abandon(run->store);
    }
    run->store = NULL;
    run->manager = NULL;
    op_clear_error(&run->op);
}

int run_close(struct run *run)
{
    count_store(run);
    for (int i = 0; i < SESSIONS; i++) {
        txn_session_close(run->sessions[i].txn);
    }
    txn_session_close(run->reader);
    txn_manager_close(run->manager);
    run->manager = NULL;
    struct store *store = run->store;
    run->store = NULL;
    return store_close(&run->op, store);
}

/* ---- one change ----------------------------------------------------------------------------------- */

static const struct row *own_row(const struct session *session, int tree, uint32_t number)
{
    for (size_t i = session->count; i-- > 0;) {
        if (session->changes[i].tree == tree && session->changes[i].number == number) {
            return &session->changes[i].row;
        }
    }
    return NULL;
}

static bool is_taken(const struct run *run, const struct session *but, int tree, uint32_t number)
{
    for (int i = 0; i < SESSIONS; i++) {
        if (&run->sessions[i] != but && own_row(&run->sessions[i], tree, number) != NULL) {
            return true;
        }
    }
    return false;
}

static uint32_t random_length(struct rng *rng)
{
    uint64_t dice = rng_below(rng, 100);

    return (uint32_t)(dice < 60 ? rng_below(rng, 120) : dice < 92 ? rng_below(rng, 900) : rng_below(rng, 12000));
}

static int write_row(struct run *run, struct session *session, const struct change *change, const struct row *before)
{
    static _Thread_local uint8_t value[VALUE_BYTES_MAX];
    uint8_t key[KEY_BYTES_MAX];
    struct op *op = &run->op;
    struct bytes k = model_key(key, change->tree, change->number), v = { value, change->row.len };
    struct btree *tree = run->trees[change->tree];
    struct txn_outcome outcome;
    CommitTs seen = txn_read_ts(session->txn);
    int rc;

    model_value(value, &change->row);
    if (!change->row.live) {
        rc = txn_delete(op, session->txn, tree, k, (struct bytes){ NULL, 0 }, seen, &outcome);
    } else if (before->live) {
        rc = txn_update(op, session->txn, tree, k, v, seen, &outcome);
    } else {
        rc = txn_insert(op, session->txn, tree, k, v, &outcome);
    }
    if (rc == 0 && outcome.result != TXN_WRITTEN) {
        return op_fail(op, "XX000", "row %u of tree %d: outcome %d where the model has it %s",
                       change->number, change->tree, outcome.result, before->live ? "live" : "absent");
    }
    return rc;
}

static int change_row(struct run *run, struct session *session)
{
    struct rng *rng = &run->rng;
    struct change change = { .tree = (int)rng_below(rng, TREES), .number = (uint32_t)rng_below(rng, ROWS) };
    const struct row *before = own_row(session, change.tree, change.number);

    if (session->count == CHANGES_MAX || is_taken(run, session, change.tree, change.number)) {
        return 0;
    }
    if (before == NULL) {
        before = model_newest(&run->model, change.tree, change.number);
    }
    if (!before->live && !run->grow && rng_below(rng, 20) != 0) {
        return 0;
    }
    change.row.live = !before->live || rng_below(rng, 100) < (run->grow ? 85 : 10);
    if (change.row.live) {
        change.row.seed = (uint32_t)rng_next(rng);
        change.row.len = random_length(rng);
    }
    if (txn_statement_begin(&run->op, session->txn) != 0) {
        return OP_FAILED;
    }
    struct row old = *before;
    int rc = write_row(run, session, &change, &old);
    txn_statement_end(session->txn);
    session->changes[session->count++] = change;
    return rc;
}

/* ---- reading -------------------------------------------------------------------------------------- */

struct found {
    bool live;
    uint64_t hash;
    size_t len;
};

struct finding {
    int tree;
    struct found rows[TREES][ROWS];
};

static int note_row(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    struct finding *finding = arg;
    uint32_t number = model_number(row->key);

    if (number >= ROWS || finding->rows[finding->tree][number].live) {
        return op_fail(op, "XX000", "a key that nobody wrote, or one twice, number %u", number);
    }
    finding->rows[finding->tree][number] = (struct found){
        true, hash_bytes(row->value.data, row->value.len, 1), row->value.len,
    };
    return 0;
}

static int read_all(struct run *run, struct finding *finding)
{
    struct op *op = &run->op;
    struct txn_session *session = run->reader;
    int rc = txn_begin(op, session, TXN_READ_COMMITTED, true, false);

    for (int i = 0; i < TREES && rc == 0; i++) {
        struct btree_range range = { .low_inclusive = true };
        struct txn_scan scan;
        bool more = true;
        finding->tree = i;
        rc = txn_statement_begin(op, session);
        txn_scan_open(&scan, session, run->trees[i], &range, false);
        while (rc == 0 && more) {
            rc = txn_scan_next(op, &scan, note_row, finding, &more);
        }
        txn_scan_close(&scan);
        txn_statement_end(session);
    }
    txn_rollback(session);
    return rc;
}

/* Whoever meets ghosts tells purge of them. */
static int read_and_purge(struct run *run)
{
    struct finding finding;

    memset(&finding, 0, sizeof(finding));
    return read_all(run, &finding) != 0 ? OP_FAILED : txn_purge(&run->op, run->manager);
}

/* ---- transactions --------------------------------------------------------------------------------- */

static int begin(struct run *run, struct session *session)
{
    session->active = true;
    session->count = 0;
    session->mark_count = SIZE_MAX;
    return txn_begin(&run->op, session->txn, TXN_READ_COMMITTED, false, false);
}

static int commit(struct run *run, struct session *session)
{
    uint64_t dice = rng_below(&run->rng, 10);
    enum txn_sync sync = dice < 7 ? TXN_SYNC_FULL : dice < 9 ? TXN_SYNC_OFF : TXN_SYNC_NORMAL;
    uint64_t id;

    if (run->model.pending_count > PENDING_MAX - 2) {
        sync = TXN_SYNC_FULL;
    }
    if (rng_below(&run->rng, 4) == 0) {
        if (txn_next_id(&run->op, session->txn, 1, &id) != 0) {
            return OP_FAILED;
        }
        if (id <= run->newest_id) {
            return op_fail(&run->op, "XX000", "the number %llu was handed out twice", (unsigned long long)id);
        }
        run->newest_id = id;
    }
    bool wrote = session->count > 0;
    if (wrote) {
        model_begin_commit(&run->model, session->changes, session->count);
    }
    session->count = 0;
    txn_set_sync(session->txn, sync);
    if (txn_commit(&run->op, session->txn) != 0) {
        return OP_FAILED;
    }
    session->active = false;
    run->tally.commits++;
    if (wrote && sync == TXN_SYNC_FULL) {
        model_settle(&run->model, run->model.pending_count);
        run->model.highest_id = run->newest_id;
    }
    return 0;
}

static void roll_back(struct run *run, struct session *session)
{
    txn_rollback(session->txn);
    session->active = false;
    session->count = 0;
    run->tally.rollbacks++;
}

static int savepoint(struct run *run, struct session *session)
{
    if (session->mark_count == SIZE_MAX) {
        txn_mark(session->txn, &session->mark);
        session->mark_count = session->count;
        return 0;
    }
    session->count = session->mark_count;
    session->mark_count = SIZE_MAX;
    run->tally.savepoint_rollbacks++;
    return txn_rollback_to(&run->op, session->txn, &session->mark);
}

/* A tree that is made, filled, and then dropped again or never was. */
static int passing_tree(struct run *run)
{
    static const uint8_t value[6000];
    struct op *op = &run->op;
    struct txn_session *session = run->sessions[SESSIONS - 1].txn;
    struct btree *tree;
    TreeId id;

    if (run->sessions[SESSIONS - 1].active) {
        return 0;
    }
    if (txn_begin(op, session, TXN_READ_COMMITTED, false, false) != 0 || txn_create_tree(op, session, &id) != 0
        || btree_open(op, run->store, id, &tree) != 0) {
        return OP_FAILED;
    }
    for (uint32_t i = 0; i < 40; i++) {
        uint8_t key[KEY_BYTES_MAX];
        bool added;
        if (txn_load(op, session, tree, model_key(key, 0, i), (struct bytes){ value, i * 110 }, &added) != 0) {
            return OP_FAILED;
        }
    }
    if (rng_below(&run->rng, 3) == 0) {
        txn_rollback(session);
        return 0;
    }
    if (txn_commit(op, session) != 0 || txn_begin(op, session, TXN_READ_COMMITTED, false, false) != 0
        || txn_drop_tree(op, session, id) != 0) {
        return OP_FAILED;
    }
    if (rng_below(&run->rng, 3) != 0) {
        return txn_commit(op, session);
    }
    txn_rollback(session);
    if (txn_begin(op, session, TXN_READ_COMMITTED, false, false) != 0 || txn_drop_tree(op, session, id) != 0) {
        return OP_FAILED;
    }
    return txn_commit(op, session);
}

static int look_at_trees(struct run *run)
{
    uint64_t leaves = 0, overflow = 0;

    for (int i = 0; i < TREES; i++) {
        struct btree_stats stats;
        if (btree_stats(&run->op, run->trees[i], &stats) != 0) {
            return OP_FAILED;
        }
        leaves += stats.leaf_pages;
        overflow += stats.overflow_pages;
    }
    struct tally *tally = &run->tally;
    tally->most_leaves = leaves > tally->most_leaves ? leaves : tally->most_leaves;
    tally->most_overflow = overflow > tally->most_overflow ? overflow : tally->most_overflow;
    tally->merged_leaves += leaves < tally->last_leaves ? tally->last_leaves - leaves : 0;
    tally->last_leaves = leaves;
    return 0;
}

static int housekeeping(struct run *run)
{
    uint64_t dice = rng_below(&run->rng, 400);

    if (buf_checkpoint_due(store_buf(run->store)) || dice == 0) {
        return store_checkpoint(&run->op, run->store);
    }
    if (dice < 8) {
        return read_and_purge(run);
    }
    return dice == 8 ? passing_tree(run) : dice < 18 ? look_at_trees(run) : 0;
}

static int step(struct run *run)
{
    struct session *session = &run->sessions[rng_below(&run->rng, SESSIONS)];
    uint64_t dice = rng_below(&run->rng, 100);

    if (!session->active) {
        return begin(run, session);
    }
    if (dice < 9 || session->count == CHANGES_MAX) {
        return commit(run, session);
    }
    if (dice < 12) {
        roll_back(run, session);
        return 0;
    }
    return dice < 17 ? savepoint(run, session) : change_row(run, session);
}

int run_steps(struct run *run, uint64_t steps)
{
    int rc = 0;

    for (uint64_t i = 0; i < steps && rc == 0; i++) {
        run->grow = i / 700 % 2 == 0;
        rc = step(run);
        if (rc == 0) {
            rc = housekeeping(run);
        }
        if (rc == 0) {
            op_reset(&run->op);
        }
    }
    return rc;
}

/* ---- comparing ------------------------------------------------------------------------------------ */

static bool row_is(const struct found *found, const struct row *row)
{
    static _Thread_local uint8_t value[VALUE_BYTES_MAX];

    if (found->live != row->live || !row->live) {
        return found->live == row->live;
    }
    if (found->len != row->len) {
        return false;
    }
    model_value(value, row);
    return found->hash == hash_bytes(value, row->len, 1);
}

/* -1 when all is as the model's acknowledged state says, else tree * ROWS + number of the first difference. */
static int first_difference(const struct model *model, const struct finding *finding)
{
    for (int tree = 0; tree < TREES; tree++) {
        for (uint32_t number = 0; number < ROWS; number++) {
            if (!row_is(&finding->rows[tree][number], &model->acknowledged[tree][number])) {
                return tree * ROWS + (int)number;
            }
        }
    }
    return -1;
}

static void tell_difference(const struct model *model, const struct finding *finding, int at, size_t settled)
{
    const struct found *found = &finding->rows[at / ROWS][at % ROWS];
    const struct row *row = &model->acknowledged[at / ROWS][at % ROWS];

    fprintf(stderr, "  with %zu pending commits: row %d of tree %d is %s (%zu bytes), the model has it %s (%u bytes)\n",
            settled, at % ROWS, at / ROWS, found->live ? "there" : "absent", found->len,
            row->live ? "there" : "absent", row->len);
}

/* Looks for the number of pending commits that explains what the database holds; *explained is false when there is
 * none, and the first differences are told when `loud`. */
static int compare(struct run *run, bool loud, bool *explained, size_t *survived)
{
    struct finding finding;
    struct model model;

    memset(&finding, 0, sizeof(finding));
    *explained = false;
    *survived = 0;
    if (read_all(run, &finding) != 0) {
        return OP_FAILED;
    }
    model_copy(&model, &run->model);
    for (size_t total = model.pending_count; !*explained && *survived <= total; ++*survived) {
        int at = first_difference(&model, &finding);
        if (at < 0) {
            *explained = true;
            break;
        }
        if (loud) {
            tell_difference(&model, &finding, at, *survived);
        }
        if (model.pending_count > 0) {
            model_settle(&model, 1);
        }
    }
    model_free(&model);
    return 0;
}

static void print_finding(void *arg, const char *line)
{
    (void)arg;
    fprintf(stderr, "  check: %s\n", line);
}

static int complain(struct run *run, const char *what)
{
    const struct op_error *error = &run->op.error;

    fprintf(stderr, "  %s: %s %s (%s)\n", what, error->sqlstate, error->message ? error->message : "",
            error->detail ? error->detail : "");
    return 1;
}

/* Numbers are handed out once, whatever happens between. */
static int take_number(struct run *run)
{
    uint64_t id;

    if (txn_begin(&run->op, run->reader, TXN_READ_COMMITTED, false, false) != 0
        || txn_next_id(&run->op, run->reader, 1, &id) != 0) {
        return complain(run, "taking a number");
    }
    txn_rollback(run->reader);
    if (id <= run->model.highest_id) {
        fprintf(stderr, "  the number %llu was handed out before\n", (unsigned long long)id);
        return 1;
    }
    run->newest_id = id;
    return 0;
}

int run_judge(struct run *run)
{
    bool explained;
    size_t survived;
    uint64_t findings = 0;

    if (compare(run, false, &explained, &survived) != 0) {
        return complain(run, "reading everything");
    }
    if (!explained) {
        fprintf(stderr, "  the database holds something else than what was committed:\n");
        if (compare(run, true, &explained, &survived) != 0) {
            return complain(run, "reading everything again");
        }
        return 1;
    }
    model_settle(&run->model, survived);
    model_free(&run->model);
    if (take_number(run) != 0) {
        return 1;
    }
    if (store_check(&run->op, run->store, print_finding, NULL, &findings) != 0) {
        return complain(run, "check");
    }
    return findings > 0;
}

/* ---- what it went through ------------------------------------------------------------------------- */

bool run_was_worth_it(const struct run *run)
{
    const struct tally *t = &run->tally;

    return t->checkpoints >= 2 && t->evictions > 0 && t->rollbacks > 0 && t->savepoint_rollbacks > 0 && t->merged_leaves > 0
        && t->most_overflow > 0;
}

void run_tell(const struct run *run)
{
    const struct tally *t = &run->tally;
    const struct { const char *what; uint64_t number; } facts[] = {
        { "commits", t->commits }, { "rollbacks", t->rollbacks },
        { "rollbacks to savepoints", t->savepoint_rollbacks }, { "checkpoints", t->checkpoints },
        { "evictions", t->evictions }, { "leaves", t->most_leaves }, { "leaves merged", t->merged_leaves },
        { "overflow pages", t->most_overflow },
    };

    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
        printf("%s%llu %s", i > 0 ? ", " : "", (unsigned long long)facts[i].number, facts[i].what);
    }
    printf("\n");
}
