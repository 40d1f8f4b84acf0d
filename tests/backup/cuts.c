/*
 * cuts.c -- the power fails before every write, sync, truncation, rename and removal of a backup and of a recovery, and neither the
 * database nor what was finished before is harmed.
 *
 *      commits, backup (more commits between its steps), commits, backup over the first one, archive, recovery to a new file
 *
 * Before each call to the disk the power is cut on a copy of it, with all, nothing or some of what was not synced surviving, and then
 *
 * C1  the database opens and holds what was acknowledged, and perhaps the commit in flight;
 * C2  a backup or recovered database under its own name is whole: nothing to find for verification, and it opens with all that was
 *     committed when it was begun; one that was done is there; the old one is there until the new one is;
 * C3  what has not got its name yet is refused, or finished and whole but for the name; it does not stand in the way of the next one.
 *
 * SEED= chooses what survives, COUNT= how often chance is asked at each call.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/backup/backup.h"
#include "src/base/endian.h"
#include "src/base/rng.h"
#include "src/os/fault.h"
#include "txn/txn.h"
#include "wal/wal_archive.h"

enum { ROW_BYTES = 700 };

/* What had happened by some moment. */
struct state {
    uint32_t committed, pending;    /* rows that are acknowledged; 1 while a commit is in flight */
    bool copied, recovered;         /* each is done */
    uint32_t copy_least, new_least; /* rows that the file of that name must have, if it is there */
    TreeId tree;
};

struct db {
    struct op op;
    struct vfs *disk;
    struct store *store;
    struct txn_manager *manager;
    struct txn_session *session;
    struct btree *tree;
};

static struct state state;
static uint64_t seed, count, calls, trials, failures, unfinished;

static void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void complain(const char *format, ...)
{
    va_list args;

    fprintf(stderr, "FAILED: call %" PRIu64 " (SEED=%" PRIu64 "): ", calls, seed);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    failures++;
}

static bool went_well(struct op *op, int result, const char *what)
{
    if (result != 0)
        complain("%s: %s %s (%s)", what, op->error.sqlstate, op->error.message, op->error.detail ? op->error.detail : "");
    return result == 0;
}

/* ---- a database ----------------------------------------------------------------------------------- */

static int open_engine(struct db *db, const char *path, bool create)
{
    struct store_options options = {
        .vfs = db->disk, .path = path, .page_size = 4096, .cache_size = 32 * 4096, .create = create, .no_background = true,
        .wal = {.segment_size = 1 << 15, .buffer_size = 1 << 16, .max_wal_size = 1 << 20,
                .archive_directory = strcmp(path, "app.db") == 0 ? "archive" : NULL},
    };
    struct txn_options txn = {.no_background = true};

    return store_open(&db->op, &options, &db->store) != 0 || txn_manager_open(&db->op, db->store, &txn, &db->manager) != 0 ||
           txn_session_open(&db->op, db->manager, &db->session) != 0;
}

static void abandon(struct db *db)
{
    if (db->manager)
        txn_manager_abandon(db->manager);
    if (db->store)
        store_abandon(db->store);
    db->manager = NULL;
    db->store = NULL;
    op_end(&db->op);
}

static int open_db(struct db *db, struct vfs *disk, const char *path, TreeId tree)
{
    *db = (struct db){.disk = disk};
    op_init(&db->op);
    return open_engine(db, path, tree == 0) != 0 || (tree != 0 && btree_open(&db->op, db->store, tree, &db->tree) != 0);
}

static int create_tree(struct db *db)
{
    return txn_begin(&db->op, db->session, TXN_READ_COMMITTED, false, false) != 0 ||
           txn_statement_begin(&db->op, db->session) != 0 || txn_create_tree(&db->op, db->session, &state.tree) != 0 ||
           (txn_statement_end(db->session), txn_commit(&db->op, db->session)) != 0 ||
           btree_open(&db->op, db->store, state.tree, &db->tree) != 0;
}

static int commit_row(struct db *db)
{
    static uint8_t value[ROW_BYTES];
    uint8_t key[4];
    struct txn_outcome outcome;

    put_u32(key, __builtin_bswap32(state.committed));
    memset(value, (int)state.committed, sizeof value);
    if (txn_begin(&db->op, db->session, TXN_READ_COMMITTED, false, false) != 0 || txn_statement_begin(&db->op, db->session) != 0 ||
        txn_insert(&db->op, db->session, db->tree, (struct bytes){key, 4}, (struct bytes){value, ROW_BYTES}, &outcome) != 0)
        return OP_FAILED;
    txn_statement_end(db->session);
    state.pending = 1;
    txn_set_sync(db->session, TXN_SYNC_FULL);
    if (txn_commit(&db->op, db->session) != 0)
        return OP_FAILED;
    state.pending = 0;
    state.committed++;
    return 0;
}

static int note_row(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    uint32_t *rows = arg;

    (void)stop;
    if (row->key.len != 4 || __builtin_bswap32(get_u32(row->key.data)) != *rows || row->value.len != ROW_BYTES ||
        row->value.data[ROW_BYTES - 1] != (uint8_t)*rows)
        return op_fail(op, "XX001", "row %u is missing or another one", *rows);
    ++*rows;
    return 0;
}

static int count_rows(struct db *db, uint32_t *rows)
{
    struct btree_range range = {.low_inclusive = true};
    struct txn_scan scan;
    bool more = true;
    int result = 0;

    *rows = 0;
    if (txn_begin(&db->op, db->session, TXN_READ_COMMITTED, true, false) != 0 || txn_statement_begin(&db->op, db->session) != 0)
        return OP_FAILED;
    txn_scan_open(&scan, db->session, db->tree, &range, false);
    while (result == 0 && more)
        result = txn_scan_next(&db->op, &scan, note_row, rows, &more);
    txn_scan_close(&scan);
    txn_statement_end(db->session);
    txn_rollback(db->session);
    return result;
}

static void print_finding(void *arg, const char *line)
{
    fprintf(stderr, "  %s: %s\n", (const char *)arg, line);
}

/* It opens, CHECK finds nothing, and the number of its rows is one of these. */
static void look_into(struct vfs *disk, const char *path, const struct state *then, uint32_t least, uint32_t most)
{
    struct db db;
    uint64_t findings = 0;
    uint32_t rows = 0;

    if (went_well(&db.op, open_db(&db, disk, path, then->tree), path) && went_well(&db.op, count_rows(&db, &rows), path) &&
        went_well(&db.op, store_check(&db.op, db.store, print_finding, (void *)(uintptr_t)path, &findings), path)) {
        if (rows < least || rows > most || findings > 0)
            complain("%s has %u rows, not %u to %u, and %" PRIu64 " findings", path, rows, least, most, findings);
    }
    abandon(&db);
}

/* ---- one cut -------------------------------------------------------------------------------------- */

static bool exists(struct vfs *disk, const char *path)
{
    struct op op;
    bool there = false;

    op_init(&op);
    went_well(&op, os_exists(&op, disk, path, &there), path);
    op_end(&op);
    return there;
}

static void verify(struct vfs *disk, const char *path)
{
    struct verify_options options = {.vfs = disk, .path = path, .report = print_finding, .arg = (void *)(uintptr_t)path};
    struct verify_result result = {0};
    struct op op;

    op_init(&op);
    if (went_well(&op, backup_verify(&op, &options, &result), path) && result.findings > 0)
        complain("%s: %" PRIu64 " findings", path, result.findings);
    op_end(&op);
}

/* A copy of the disk: whoever opens a finished part makes a database of it. */
static void look_at_part(struct vfs *from, const char *path, const struct state *then)
{
    struct vfs *disk;
    struct db db;
    uint32_t rows = 0;

    if (!exists(from, path))
        return;
    disk = fault_copy(from);
    fault_power_on(disk, FAULT_KILL, 0);
    if (open_db(&db, disk, path, then->tree) != 0)
        unfinished++;
    else if (went_well(&db.op, count_rows(&db, &rows), path) && (rows < then->copy_least || rows > then->committed + then->pending))
        complain("%s was opened, and has %u rows", path, rows);
    abandon(&db);
    os_vfs_destroy(disk);
}

/* Another try, over what is there. */
static int copy_again(struct db *db, struct vfs *disk)
{
    struct backup_options options = {.vfs = disk, .path = "copy.db", .overwrite = true};
    struct backup *backup = NULL;
    bool done = false;
    int result = backup_begin(&db->op, db->store, &options, &backup);

    while (result == 0 && !done)
        result = backup_step(&db->op, backup, UINT64_MAX, &done);
    backup_end(backup);
    return result;
}

static void go_on(struct vfs *disk, const struct state *then)
{
    struct db db;

    if (went_well(&db.op, open_db(&db, disk, "app.db", then->tree), "app.db"))
        went_well(&db.op, copy_again(&db, disk), "the next backup");
    abandon(&db);
    look_into(disk, "copy.db", then, then->committed, then->committed + then->pending);
    if (exists(disk, "copy.db-part"))
        complain("the next backup left its part");
}

struct trial {
    struct vfs *disk;
    struct state then;
    enum fault_loss loss;
    uint64_t seed;
};

static void *try_once(void *arg)
{
    struct trial *trial = arg;
    const struct state *then = &trial->then;
    struct vfs *disk = trial->disk;
    uint32_t most = then->committed + then->pending;

    fault_power_on(disk, trial->loss, trial->seed);
    look_at_part(disk, "copy.db-part", then);
    look_at_part(disk, "new.db-part", then);
    if (then->copied && !exists(disk, "copy.db"))
        complain("the backup that was done is gone");
    if (then->recovered && !exists(disk, "new.db"))
        complain("the recovered database is gone");
    if (exists(disk, "copy.db")) {
        verify(disk, "copy.db");
        look_into(disk, "copy.db", then, then->copy_least, most);
    }
    if (exists(disk, "new.db"))
        look_into(disk, "new.db", then, then->new_least, most);
    look_into(disk, "app.db", then, then->committed, most);
    if (trial->seed % 4 == 0)
        go_on(disk, then);
    os_vfs_destroy(disk);
    trials++;
    return NULL;
}

/* A thread of its own: this one may hold latches. */
static void run_trial(struct vfs *disk, enum fault_loss loss, uint64_t trial_seed)
{
    struct trial trial = {disk, state, loss, trial_seed};
    pthread_t thread;

    if (pthread_create(&thread, NULL, try_once, &trial) != 0)
        abort();
    pthread_join(thread, NULL);
}

static void cut(struct vfs *disk, void *arg)
{
    (void)arg;
    calls++;
    if (failures < 10) {
        run_trial(fault_copy(disk), FAULT_LOSE_ALL, 4 * calls + 1);
        run_trial(fault_copy(disk), FAULT_KEEP_ALL, 4 * calls + 2);
        for (uint64_t i = 0; i < count; i++)
            run_trial(fault_copy(disk), FAULT_KEEP_RANDOM, seed * 1000003 + calls * 101 + i);
    }
    os_vfs_destroy(disk);
}

/* ---- the run -------------------------------------------------------------------------------------- */

static int commit_rows(struct db *db, int rows)
{
    int result = 0;

    while (result == 0 && rows-- > 0)
        result = commit_row(db);
    return result;
}

static int copy(struct db *db, bool overwrite)
{
    struct backup_options options = {.vfs = db->disk, .path = "copy.db", .overwrite = overwrite};
    struct backup *backup = NULL;
    bool done = false;
    uint32_t least = state.committed;
    int result = backup_begin(&db->op, db->store, &options, &backup);

    if (!state.copied)
        state.copy_least = least;
    while (result == 0 && !done) {
        result = backup_step(&db->op, backup, 9, &done);
        if (result == 0 && !done)
            result = commit_row(db);
    }
    backup_end(backup);
    state.copied = result == 0;
    state.copy_least = least;
    return result;
}

static int recover(struct db *db)
{
    struct recover_options options = {.vfs = db->disk, .backup = "copy.db", .archive = "archive", .path = "new.db"};
    struct recover_result result;

    state.new_least = state.committed;
    if (wal_archive_rest(&db->op, store_wal(db->store), false) != 0 || backup_recover(&db->op, &options, &result) != 0)
        return OP_FAILED;
    state.recovered = true;
    return 0;
}

static uint64_t number_of_run(const char *name, uint64_t usual)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 10) : usual;
}

int main(void)
{
    struct db db;
    struct vfs *disk = fault_vfs_new(1);

    seed = number_of_run("SEED", 7);    /* which found a first page of which only some sectors were there */
    count = number_of_run("COUNT", 1);
    printf("cuts seed=%" PRIu64 "\n", seed);
    if (went_well(&db.op, open_db(&db, disk, "app.db", 0), "create") && went_well(&db.op, create_tree(&db), "create") &&
        went_well(&db.op, commit_rows(&db, 60), "commit")) {
        fault_watch(disk, cut, NULL);
        if (went_well(&db.op, copy(&db, false), "backup") && went_well(&db.op, commit_rows(&db, 3), "commit") &&
            went_well(&db.op, copy(&db, true), "second backup") && went_well(&db.op, commit_rows(&db, 3), "commit"))
            went_well(&db.op, recover(&db), "recover");
        fault_watch(disk, NULL, NULL);
    }
    abandon(&db);
    os_vfs_destroy(disk);
    if (failures == 0 && (calls < 60 || unfinished == 0))
        complain("the run did not use what it is meant to use");
    printf("cuts seed=%" PRIu64 " count=%" PRIu64 " calls=%" PRIu64 " failures=%" PRIu64 "\n", seed, trials, calls, failures);
    return failures != 0;
}
