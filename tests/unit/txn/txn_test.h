/*
 * txn_test.h -- a database in memory with some sessions, and short words for what the tests do with them.
 *
 * Keys and values are C strings.  A word that is expected to work fails the test when it does not; the try_ words return the
 * SQLSTATE instead ("" for success).  Sessions are driven from the test's thread where nothing waits; where something does, a
 * `struct step` runs one call in a thread of its own and knows when it waits, by the session's callback.
 */
#ifndef TXN_TEST_H
#define TXN_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/base/endian.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "txn/txn.h"

enum { SESSIONS = 10 };

struct db {
    struct vfs *vfs;
    struct store *store;
    struct txn_manager *manager;
    struct txn_session *s[SESSIONS];
    TreeId tree_id;
    struct btree *tree;
    struct op op;
    struct txn_options limits;          /* of the manager; 0: its own */
    uint64_t cache_size;                /* 0: 8 MiB */
    struct wal_options wal;             /* zeros: its own */
};

static inline struct bytes text(const char *s)
{
    return (struct bytes){ (const uint8_t *)s, strlen(s) };
}

static inline void must(struct op *op, int rc, const char *what, int line)
{
    if (rc != 0) {
        fail_msg("line %d: %s: %s %s", line, what, op->error.sqlstate, op->error.message);
    }
}
#define MUST(db, call) must(&(db)->op, (call), #call, __LINE__)

static inline void db_attach(struct db *db, bool create, bool background)
{
    struct store_options options = { .vfs = db->vfs, .path = "t.db", .create = create, .no_background = !background,
                                     .cache_size = db->cache_size != 0 ? db->cache_size : 8 << 20, .page_size = 4096,
                                     .wal = db->wal };
    struct txn_options txn_options = db->limits;
    txn_options.no_background = !background;

    op_init(&db->op);
    MUST(db, store_open(&db->op, &options, &db->store));
    MUST(db, txn_manager_open(&db->op, db->store, &txn_options, &db->manager));
    for (int i = 0; i < SESSIONS; i++) {
        MUST(db, txn_session_open(&db->op, db->manager, &db->s[i]));
        txn_set_sync(db->s[i], TXN_SYNC_NORMAL);
    }
}

static inline void db_open_limited(struct db *db, bool background, const struct txn_options *limits)
{
    memset(db, 0, sizeof(*db));
    db->limits = *limits;
    db->vfs = os_memory_vfs_new();
    db_attach(db, true, background);
    MUST(db, txn_begin(&db->op, db->s[0], TXN_READ_COMMITTED, false, false));
    MUST(db, txn_statement_begin(&db->op, db->s[0]));
    MUST(db, txn_create_tree(&db->op, db->s[0], &db->tree_id));
    txn_statement_end(db->s[0]);
    MUST(db, txn_commit(&db->op, db->s[0]));
    MUST(db, btree_open(&db->op, db->store, db->tree_id, &db->tree));
}

static inline void db_open(struct db *db, bool background)
{
    db_open_limited(db, background, &(struct txn_options){ .reads_each = 0 });
}

static inline void db_close_sessions(struct db *db)
{
    for (int i = 0; i < SESSIONS; i++) {
        txn_session_close(db->s[i]);
        db->s[i] = NULL;
    }
}

static inline void report_finding(void *arg, const char *line)
{
    fprintf(stderr, "check: %s\n", line);
}

static inline void db_close(struct db *db)
{
    uint64_t findings = 0;

    db_close_sessions(db);
    MUST(db, txn_purge(&db->op, db->manager));
    txn_manager_close(db->manager);
    MUST(db, store_check(&db->op, db->store, report_finding, NULL, &findings));
    assert_int_equal(findings, 0);
    MUST(db, store_close(&db->op, db->store));
    op_end(&db->op);
    os_vfs_destroy(db->vfs);
}

/* As if the process were killed, and started again. */
static inline void db_crash(struct db *db, bool background)
{
    txn_manager_abandon(db->manager);
    store_abandon(db->store);
    op_end(&db->op);
    db_attach(db, false, background);
    MUST(db, btree_open(&db->op, db->store, db->tree_id, &db->tree));
}

/* ---- words ---------------------------------------------------------------------------------------- */

static inline const char *result_of(struct db *db, int rc)
{
    static _Thread_local char state[6];

    snprintf(state, sizeof(state), "%s", rc == 0 ? "" : db->op.error.sqlstate);
    op_reset(&db->op);
    return state;
}

static inline void begin(struct db *db, int s, enum txn_level level)
{
    MUST(db, txn_begin(&db->op, db->s[s], level, false, false));
}

static inline void begin_read_only(struct db *db, int s, enum txn_level level)
{
    MUST(db, txn_begin(&db->op, db->s[s], level, true, false));
}

static inline const char *try_commit(struct db *db, int s)
{
    return result_of(db, txn_commit(&db->op, db->s[s]));
}

static inline void commit(struct db *db, int s)
{
    MUST(db, txn_commit(&db->op, db->s[s]));
}

static inline void undo(struct db *db, int s)
{
    txn_rollback(db->s[s]);
}

static inline int copy_value(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    char *out = arg;
    size_t len = row->value.len < 60 ? row->value.len : 60;

    memcpy(out, row->value.data, len);
    out[len] = '\0';
    return 0;
}

/* The value as one statement sees it; "-" when there is none; the SQLSTATE in brackets when it fails. */
static inline const char *get(struct db *db, int s, const char *key)
{
    static _Thread_local char value[64];
    bool found = false;

    value[0] = '\0';
    int rc = txn_statement_begin(&db->op, db->s[s]);
    if (rc == 0) {
        rc = txn_get(&db->op, db->s[s], db->tree, text(key), copy_value, value, &found);
        txn_statement_end(db->s[s]);
    }
    if (rc != 0) {
        snprintf(value, sizeof(value), "[%s]", db->op.error.sqlstate);
        op_reset(&db->op);
    } else if (!found) {
        strcpy(value, "-");
    }
    return value;
}

struct listing {
    char text[512];
    int rows, limit;
};

static inline int list_row(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    struct listing *listing = arg;
    size_t len = strlen(listing->text);

    snprintf(listing->text + len, sizeof(listing->text) - len, "%s%.*s=%.*s", len > 0 ? " " : "", (int)row->key.len,
             (const char *)row->key.data, (int)row->value.len, (const char *)row->value.data);
    *stop = ++listing->rows == listing->limit;
    return 0;
}

/* "a=1 b=2" for low <= key < high; NULL bounds are open; limit 0: all. */
static inline const char *scan(struct db *db, int s, const char *low, const char *high, bool backward, int limit)
{
    static _Thread_local struct listing listing;
    struct btree_range range = { .low_inclusive = true };
    struct txn_scan scan;
    bool more = true;

    memset(&listing, 0, sizeof(listing));
    listing.limit = limit;
    if (low != NULL) {
        range.low = text(low);
    }
    if (high != NULL) {
        range.high = text(high);
    }
    int rc = txn_statement_begin(&db->op, db->s[s]);
    if (rc == 0) {
        txn_scan_open(&scan, db->s[s], db->tree, &range, backward);
        while (rc == 0 && more && (limit == 0 || listing.rows < limit)) {
            rc = txn_scan_next(&db->op, &scan, list_row, &listing, &more);
        }
        txn_scan_close(&scan);
        txn_statement_end(db->s[s]);
    }
    if (rc != 0) {
        snprintf(listing.text, sizeof(listing.text), "[%s]", db->op.error.sqlstate);
        op_reset(&db->op);
    }
    return listing.text;
}

static inline const char *try_put(struct db *db, int s, const char *key, const char *value)
{
    struct txn_outcome outcome;
    int rc = txn_statement_begin(&db->op, db->s[s]);

    if (rc == 0) {
        rc = txn_update(&db->op, db->s[s], db->tree, text(key), text(value), txn_read_ts(db->s[s]), &outcome);
        txn_statement_end(db->s[s]);
    }
    if (rc == 0 && outcome.result != TXN_WRITTEN) {
        return outcome.result == TXN_GONE ? "gone" : outcome.result == TXN_CHANGED ? "changed" : "self";
    }
    return result_of(db, rc);
}

static inline const char *try_insert(struct db *db, int s, const char *key, const char *value)
{
    struct txn_outcome outcome;
    int rc = txn_statement_begin(&db->op, db->s[s]);

    if (rc == 0) {
        rc = txn_insert(&db->op, db->s[s], db->tree, text(key), text(value), &outcome);
        txn_statement_end(db->s[s]);
    }
    return rc == 0 && outcome.result == TXN_DUPLICATE ? "duplicate" : result_of(db, rc);
}

static inline const char *try_delete(struct db *db, int s, const char *key)
{
    struct txn_outcome outcome;
    int rc = txn_statement_begin(&db->op, db->s[s]);

    if (rc == 0) {
        rc = txn_delete(&db->op, db->s[s], db->tree, text(key), (struct bytes){ NULL, 0 }, txn_read_ts(db->s[s]), &outcome);
        txn_statement_end(db->s[s]);
    }
    if (rc == 0 && outcome.result != TXN_WRITTEN) {
        return outcome.result == TXN_GONE ? "gone" : outcome.result == TXN_CHANGED ? "changed" : "self";
    }
    return result_of(db, rc);
}

#define put(db, s, key, value) assert_string_equal(try_put(db, s, key, value), "")
#define insert(db, s, key, value) assert_string_equal(try_insert(db, s, key, value), "")
#define delete(db, s, key) assert_string_equal(try_delete(db, s, key), "")

/* Rows "k=v", committed. */
static inline void fill(struct db *db, const char *const *rows, size_t count)
{
    begin(db, 0, TXN_READ_COMMITTED);
    for (size_t i = 0; i < count; i++) {
        char key[64];
        const char *equals = strchr(rows[i], '=');
        snprintf(key, sizeof(key), "%.*s", (int)(equals - rows[i]), rows[i]);
        insert(db, 0, key, equals + 1);
    }
    commit(db, 0);
}
#define FILL(db, ...) fill(db, (const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

/* ---- steps that may wait -------------------------------------------------------------------------- */

enum step_kind { STEP_PUT, STEP_PUT_NO_KEY, STEP_INSERT, STEP_DELETE, STEP_LOCK_ROW, STEP_LOCK_TABLE, STEP_LOCK_ADVISORY };

struct step {
    struct db db;           /* a copy with an op of its own */
    int s;
    enum step_kind kind;
    const char *key, *value;
    CommitTs seen;          /* 0: the statement's own snapshot */
    uint64_t table;
    enum txn_table_lock mode;
    enum txn_row_lock row_mode;     /* 0: FOR UPDATE */
    bool in_statement;      /* the statement has begun already, and goes on afterwards */
    struct txn_outcome outcome;
    char newest[64], moved_to[64], sqlstate[6], detail[512];
    atomic_bool done;
    struct os_thread *thread;
};

static inline int step_call(struct step *step, struct op *op, struct txn_session *session)
{
    CommitTs seen = step->seen != 0 ? step->seen : txn_read_ts(session);
    struct btree *tree = step->db.tree;

    switch (step->kind) {
    case STEP_PUT:
        return txn_update(op, session, tree, text(step->key), text(step->value), seen, &step->outcome);
    case STEP_PUT_NO_KEY:
        return txn_update_no_key(op, session, tree, text(step->key), text(step->value), seen, &step->outcome);
    case STEP_INSERT:
        return txn_insert(op, session, tree, text(step->key), text(step->value), &step->outcome);
    case STEP_DELETE:
        return txn_delete(op, session, tree, text(step->key),
                          step->value != NULL ? text(step->value) : (struct bytes){ NULL, 0 }, seen, &step->outcome);
    case STEP_LOCK_ROW:
        return txn_lock_row(op, session, tree, text(step->key), step->row_mode != 0 ? step->row_mode : TXN_FOR_UPDATE,
                            TXN_WAIT, seen, &step->outcome);
    case STEP_LOCK_TABLE:
        return txn_lock_table(op, session, step->table, step->mode);
    case STEP_LOCK_ADVISORY:
        return txn_lock_advisory(op, session, (struct txn_advisory_key){ .number = step->table }, false, false, NULL);
    }
    return OP_FAILED;
}

static inline void copy_text(char *to, size_t size, struct bytes from)
{
    snprintf(to, size, "%.*s", (int)from.len, from.data != NULL ? (const char *)from.data : "");
}

static inline void step_run(void *arg)
{
    struct step *step = arg;
    struct txn_session *session = step->db.s[step->s];
    struct op *op = &step->db.op;

    op_init(op);
    int rc = step->in_statement ? 0 : txn_statement_begin(op, session);
    if (rc == 0) {
        rc = step_call(step, op, session);
        if (!step->in_statement) {
            txn_statement_end(session);
        }
    }
    copy_text(step->newest, sizeof(step->newest), step->outcome.newest);
    copy_text(step->moved_to, sizeof(step->moved_to), step->outcome.moved_to);
    snprintf(step->sqlstate, sizeof(step->sqlstate), "%s", rc == 0 ? "" : op->error.sqlstate);
    snprintf(step->detail, sizeof(step->detail), "%s", rc != 0 && op->error.detail != NULL ? op->error.detail : "");
    op_end(op);
    atomic_store(&step->done, true);
}

static inline void step_start(struct step *step, struct db *db, int s)
{
    struct op op;

    step->db = *db;
    step->s = s;
    op_init(&op);
    assert_int_equal(os_thread_start(&op, step_run, step, "step", &step->thread), 0);
    op_end(&op);
}

/* True when it waits, false when it is done. */
static inline bool step_waiting(struct step *step)
{
    for (;;) {
        if (atomic_load(&step->done)) {
            return false;
        }
        if (txn_waiting(step->db.s[step->s])) {
            return true;
        }
        os_sleep_us(200);
    }
}

static inline void step_join(struct step *step)
{
    os_thread_join(step->thread);
}

static inline uint64_t env_number(const char *name, uint64_t otherwise)
{
    const char *value = getenv(name);
    return value != NULL ? strtoull(value, NULL, 10) : otherwise;
}

#endif
