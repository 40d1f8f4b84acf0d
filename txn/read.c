/*
 * read.c -- point reads and scans at the session's snapshot.
 *
 * A record on the page is what is newest; version.c says what of it the snapshot sees.  The caller's visit function runs
 * under the leaf's latch, with the bytes as they stand on the page wherever possible: nothing is copied for a row
 * that nobody has changed lately.
 *
 * At SERIALIZABLE each read is recorded before the latch is given back: a point for txn_get, whether it is there or not; for
 * a scan an interval that grows leaf by leaf, up to the fence of the leaf that is being visited.  A writer that comes to that
 * leaf later finds the record; one that was there before is met as a version that the snapshot does not see.
 *
 * Rows are handed up by the leaf.  After each the slot is asked whether the snapshot was given up meanwhile (snapshot.c, S4): then some of them
 * may be wrong, and the caller gets 72000 instead.
 */
#include "src/base/planted.h"
#include "txn/ssi_int.h"
#include "txn/txn_int.h"

struct get_call {
    struct txn_session *session;
    struct tree_info *info;
    struct bytes key;
    const struct txn_watch *watch;
    txn_row_visit visit;            /* NULL: only the watch wants to know */
    void *arg;
    bool *found;
};

static struct view view_of(const struct txn_session *session, CommitTs read_ts, uint32_t command)
{
    return (struct view){ .own = session->writer, .read_ts = read_ts, .command = command };
}

/* Gives the row to the caller, its value read from its overflow chain if it has one. */
static int hand_up(struct op *op, struct txn_session *session, const struct resolved *seen, struct bytes key,
                   struct arena *arena, txn_row_visit visit, void *arg, bool *stop)
{
    struct txn_row row = { .key = key, .value = seen->value };

    if (seen->overflow &&
        btree_read_overflow(op, session->manager->store, seen->value, arena, &row.value) != 0) {
        return OP_FAILED;
    }
    return visit(arg, op, &row, stop);
}

/* A version newer than the snapshot was met: the edge goes to its writer. */
static int note_newer(struct op *op, struct txn_session *session, struct ssi_txn *newer)
{
    if (newer == NULL) {
        return 0;
    }
    int rc = session->ssi != NULL ? ssi__read_met_newer(op, session, newer) : 0;
    ssi__unref(newer);
    return rc;
}

static int image_bytes(struct op *op, struct txn_session *session, const struct newer_image *image, struct arena *arena,
                       struct bytes *value)
{
    *value = image->value;
    return image->present && image->overflow ? btree_read_overflow(op, session->manager->store, image->value, arena, value) : 0;
}

static int ask_watch(struct op *op, struct txn_session *session, const struct txn_watch *watch, struct bytes key,
                     const struct newer_version *version, struct arena *arena, bool *matters)
{
    struct bytes before, after;

    *matters = version->unknown;
    if (version->unknown) {
        return 0;
    }
    if (image_bytes(op, session, &version->before, arena, &before) != 0 ||
        image_bytes(op, session, &version->after, arena, &after) != 0) {
        return OP_FAILED;
    }
    return watch->newer(watch->arg, op, key, version->before.present ? &before : NULL, version->after.present ? &after : NULL, matters);
}

/*
 * Versions newer than the snapshot were met; `seen` is the writer of the oldest.  The edge goes to the writer of the oldest one that
 * makes a difference: whatever changed the row after that came after its commit.
 */
static int note_watched(struct op *op, struct txn_session *session, struct tree_info *info, const struct view *view,
                        const struct btree_record *record, const struct txn_watch *watch, struct ssi_txn *seen)
{
    struct newer_version *oldest;
    struct arena scratch;
    bool known, matters = false;

    arena_init(&scratch);
    int rc = version__newer(op, session->manager, info, view, record, &scratch, &oldest, &known);
    for (struct newer_version *version = oldest; version != NULL; version = version->newer) {
        if (rc == 0 && !matters) {
            rc = ask_watch(op, session, watch, record->key, version, &scratch, &matters);
            if (rc == 0 && matters && version->writer != NULL) {
                rc = ssi__read_met_newer(op, session, version->writer);
            }
            matters = matters && version->writer != NULL;
        }
        if (version->writer != NULL) {
            ssi__unref(version->writer);
        }
    }
    if (rc == 0 && !known) {
        rc = ssi__read_met_newer(op, session, seen);
    }
    arena_free(&scratch);
    return rc;
}

static int meet_newer(struct op *op, struct txn_session *session, struct tree_info *info, const struct view *view,
                      const struct btree_record *record, const struct txn_watch *watch, struct ssi_txn *newer)
{
    if (newer == NULL || watch == NULL || session->ssi == NULL) {
        return note_newer(op, session, newer);
    }
    int rc = note_watched(op, session, info, view, record, watch, newer);
    ssi__unref(newer);
    return rc;
}

static int get_record(void *arg, struct op *op, const struct btree_record *record)
{
    struct get_call *call = arg;
    struct txn_session *session = call->session;
    const struct txn_watch *watch = call->watch;
    struct resolved seen;
    bool stop = false;

    *call->found = false;
    if (session->ssi != NULL && (watch == NULL || !watch->recorded) && (record != NULL || !PLANTED("ssi-absent-unrecorded")) &&
        ssi__read_point(op, session, call->info, call->key, watch != NULL ? watch->predicate : NULL) != 0) {
        return OP_FAILED;
    }
    if (record == NULL) {
        return 0;
    }
    struct view view = view_of(session, session->read_ts, session->command);
    struct arena scratch;       /* not the op's: what visit allocates there has to stay */
    arena_init(&scratch);
    int rc = version__resolve(op, session->manager, call->info, &view, record, &scratch, &seen);
    if (rc == 0) {
        rc = meet_newer(op, session, call->info, &view, record, watch, seen.newer);
    }
    if (rc == 0 && seen.present && call->visit != NULL) {
        *call->found = true;
        rc = hand_up(op, session, &seen, record->key, &scratch, call->visit, call->arg, &stop);
    }
    arena_free(&scratch);
    return rc;
}

int txn_get(struct op *op, struct txn_session *session, struct btree *tree, struct bytes key, txn_row_visit visit,
            void *arg, bool *found)
{
    return txn_get_watched(op, session, tree, key, visit, arg, NULL, found);
}

int txn_look(struct op *op, struct txn_session *session, struct btree *tree, struct bytes key, const struct txn_watch *watch)
{
    struct txn_watch look = *watch;
    bool found;

    look.recorded = true;
    return txn_get_watched(op, session, tree, key, NULL, NULL, &look, &found);
}

bool txn_records_reads(const struct txn_session *session)
{
    return session->ssi != NULL && !atomic_load_explicit(&session->ssi->safe, memory_order_relaxed);
}

int txn_get_watched(struct op *op, struct txn_session *session, struct btree *tree, struct bytes key, txn_row_visit visit,
                    void *arg, const struct txn_watch *watch, bool *found)
{
    struct get_call call = { .session = session, .key = key, .watch = watch, .visit = visit, .arg = arg, .found = found };

    *found = false;
    call.info = session__tree(op, session, tree);
    if (call.info == NULL) {
        return OP_FAILED;
    }
    int rc = btree_get(op, tree, key, get_record, &call);
    return snapshot__lost(session) && !PLANTED("txn-snapshot-unchecked") ? snapshot__fail(op) : rc;
}

/* ---- scans ---------------------------------------------------------------------------------------- */

struct scan_call {
    struct txn_scan *scan;
    struct tree_info *info;
    struct view view;
    txn_row_visit visit;
    void *arg;
    struct bytes last;          /* behind this row the caller stopped; NULL data otherwise */
};

void txn_scan_open(struct txn_scan *scan, struct txn_session *session, struct btree *tree, const struct btree_range *range,
                   bool backward)
{
    memset(scan, 0, sizeof(*scan));
    scan->session = session;
    scan->read_ts = session->read_ts;
    scan->command = session->command;
    arena_init(&scan->arena);
    btree_cursor_open(&scan->cursor, tree, range, backward);
    session->open_scans++;
}

static int enter_leaf(void *arg, struct op *op, PageNo leaf, const struct btree_range *covered)
{
    struct scan_call *call = arg;
    struct txn_scan *scan = call->scan;

    return ssi__scan_covers(op, scan->session, call->info, (struct ssi_range **)&scan->ssi,
                            scan->watch != NULL ? scan->watch->predicate : NULL, &scan->cursor.range, covered, scan->cursor.backward);
}

static int scan_record(void *arg, struct op *op, const struct btree_record *record, bool *stop)
{
    struct scan_call *call = arg;
    struct txn_session *session = call->scan->session;
    struct resolved seen;

    int rc = version__resolve(op, session->manager, call->info, &call->view, record, &call->scan->arena, &seen);
    if (rc == 0) {
        rc = meet_newer(op, session, call->info, &call->view, record, call->scan->watch, seen.newer);
    }
    if (rc == 0 && seen.present) {
        rc = hand_up(op, session, &seen, record->key, &call->scan->arena, call->visit, call->arg, stop);
    }
    if (rc == 0 && *stop && call->scan->ssi != NULL) {
        rc = ssi__scan_stopped(op, call->info, call->scan->ssi, record->key, call->scan->cursor.backward);
    }
    return rc;
}

int txn_scan_next(struct op *op, struct txn_scan *scan, txn_row_visit visit, void *arg, bool *more)
{
    struct txn_session *session = scan->session;
    struct scan_call call = { .scan = scan, .visit = visit, .arg = arg };
    struct btree_visitor visitor = { .arg = &call, .record = scan_record };

    *more = false;
    if (scan->ended) {
        return 0;
    }
    call.info = session__tree(op, session, scan->cursor.tree);
    if (call.info == NULL) {
        return OP_FAILED;
    }
    call.view = view_of(session, scan->read_ts, scan->command);
    if (session->ssi != NULL && !PLANTED("ssi-scan-unrecorded")) {
        visitor.enter_leaf = enter_leaf;
    }
    arena_reset(&scan->arena);
    int rc = btree_cursor_next_leaf(op, &scan->cursor, &visitor, more);
    if (snapshot__lost(session) && !PLANTED("txn-snapshot-unchecked")) {
        return snapshot__fail(op);
    }
    if (rc != 0) {
        return OP_FAILED;
    }
    scan->ended = !*more;
    return 0;
}

void txn_scan_close(struct txn_scan *scan)
{
    if (scan->session == NULL) {
        return;
    }
    btree_cursor_close(&scan->cursor);
    arena_free(&scan->arena);
    scan->session->open_scans--;
    scan->session = NULL;
}
