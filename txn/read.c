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
    struct ssi_evidence evidence = { .session = session, .reading = true };
    int rc = session->ssi != NULL ? ssi__read_met_newer(op, session, newer, &evidence) : 0;
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
    struct ssi_evidence evidence = { .session = session, .reading = true, .predicate = watch->predicate, .watch = watch,
                                     .key = record->key };

    arena_init(&scratch);
    int rc = version__newer(op, session->manager, info, view, record, &scratch, &oldest, &known);
    for (struct newer_version *version = oldest; version != NULL; version = version->newer) {
        if (rc == 0 && !matters) {
            rc = ask_watch(op, session, watch, record->key, version, &scratch, &matters);
            if (rc == 0 && matters && version->writer != NULL) {
                evidence.command = version->command;
                evidence.value = version->before.present && !version->before.overflow ? version->before.value
                                 : version->after.present && !version->after.overflow ? version->after.value : (struct bytes){ NULL, 0 };
                rc = ssi__read_met_newer(op, session, version->writer, &evidence);
            }
            matters = matters && version->writer != NULL;
        }
        if (version->writer != NULL) {
            ssi__unref(version->writer);
        }
    }
    if (rc == 0 && !known) {
        rc = ssi__read_met_newer(op, session, seen, &evidence);
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

/* The ghosts that a scan walks over one after the other, within a leaf: see stretch.c. */
struct ghost_walk {
    bool known;                 /* the end at which they begin is known */
    struct bytes begin;         /* NULL data going backwards: the end of the tree */
    uint32_t ghosts;
    CommitTs since;
    uint8_t begin_key[64], end_key[64];
};

struct scan_call {
    struct txn_scan *scan;
    struct tree_info *info;
    struct view view;
    struct ghost_walk walk;
    txn_row_visit visit;
    void *arg;
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

/* ---- stretches of ghosts -------------------------------------------------------------------------- */

/* The key, or the one that follows it, copied; false when it is too long to bother. */
static bool copy_key(uint8_t buffer[64], struct bytes key, bool next, struct bytes *copy)
{
    if (key.len >= 64) {
        return false;
    }
    if (key.len > 0) {
        memcpy(buffer, key.data, key.len);
    }
    buffer[key.len] = 0;
    *copy = (struct bytes){ buffer, key.len + next };
    return true;
}

static void begin_walk(struct scan_call *call, const struct btree_range *covered)
{
    struct ghost_walk *walk = &call->walk;
    bool backward = call->scan->cursor.backward;
    struct bytes begin = backward ? covered->high : covered->low;

    walk->ghosts = 0;
    walk->since = 0;
    walk->known = begin.data == NULL || (backward ? !covered->high_inclusive : covered->low_inclusive);
    walk->begin = begin;
    if (begin.data == NULL && !backward) {
        walk->begin = (struct bytes){ walk->begin_key, 0 };
    }
}

static void walk_over(struct scan_call *call, struct bytes key, CommitTs since)
{
    struct ghost_walk *walk = &call->walk;

    if (!walk->known) {
        walk->known = copy_key(walk->begin_key, key, call->scan->cursor.backward, &walk->begin);
        walk->ghosts = 0;
        walk->since = 0;
    }
    walk->ghosts++;
    walk->since = since > walk->since ? since : walk->since;
}

/* At a record that is no such ghost, or at the edge of the leaf.  inclusive: going backwards, the end itself belongs to the ghosts. */
static void end_walk(struct scan_call *call, struct bytes end, bool inclusive, bool closing)
{
    struct ghost_walk *walk = &call->walk;
    bool backward = call->scan->cursor.backward;

    if (walk->ghosts > 0 && walk->known) {
        if (!backward) {
            stretch__note(call->info, walk->begin, end, walk->ghosts, walk->since, closing);
        } else if (copy_key(walk->end_key, end, !inclusive, &end)) {
            stretch__note(call->info, end, walk->begin, walk->ghosts, walk->since, closing);
        }
    }
    walk->ghosts = 0;
    walk->known = false;
}

/* Does the bound lie beyond the range? */
static bool is_beyond(const struct btree_cursor *cursor, const struct stretch_key *bound)
{
    struct bytes end = cursor->backward ? cursor->range.low : cursor->range.high;
    size_t shorter = end.len < bound->len ? end.len : bound->len;
    int order = end.data == NULL || shorter == 0 ? 0 : memcmp(bound->data, end.data, shorter);

    order = order != 0 ? order : (bound->len > end.len) - (bound->len < end.len);
    return end.data != NULL && (cursor->backward ? order < 0 : order > 0);
}

/* At SERIALIZABLE the interval is recorded as walked; *still tells whether it may be skipped all the same (E4). */
static int record_skip(struct op *op, struct scan_call *call, struct bytes key, bool inclusive, const struct stretch_key *bound,
                       bool endless, bool *still)
{
    struct txn_scan *scan = call->scan;
    bool backward = scan->cursor.backward, again_endless;
    struct btree_range covered = { .low = key, .low_inclusive = inclusive };
    struct bytes edge = { bound->data, bound->len };
    struct stretch_key again = { .data = NULL };

    if (endless || is_beyond(&scan->cursor, bound)) {
        edge.data = NULL;
    }
    if (backward) {
        covered = (struct btree_range){ .low = edge, .low_inclusive = true, .high = key, .high_inclusive = inclusive };
    } else {
        covered.high = edge;
    }
    *still = false;
    if (ssi__scan_covers(op, scan->session, call->info, (struct ssi_range **)&scan->ssi,
                         scan->watch != NULL ? scan->watch->predicate : NULL, &scan->cursor.range, &covered, backward) != 0) {
        return OP_FAILED;
    }
    if (stretch__skip(call->info, scan->read_ts, backward, key, inclusive, &again, &again_endless)) {
        *still = again_endless == endless && again.len == bound->len &&
                 (bound->len == 0 || memcmp(again.data, bound->data, bound->len) == 0);
    }
    stretch__free_key(&again);
    return 0;
}

static int skip_stretches(struct op *op, struct scan_call *call)
{
    struct txn_scan *scan = call->scan;
    struct stretch_key bound = { .data = NULL };
    bool inclusive, endless, skip;
    struct bytes key = btree_cursor_at(&scan->cursor, &inclusive);
    int rc = 0;

    if (key.data == NULL && !scan->cursor.backward) {
        key = (struct bytes){ (const uint8_t *)"", 0 };
    }
    skip = stretch__skip(call->info, scan->read_ts, scan->cursor.backward, key, inclusive, &bound, &endless);
    if (skip && scan->session->ssi != NULL && !PLANTED("ssi-scan-unrecorded")) {
        rc = record_skip(op, call, key, inclusive, &bound, endless, &skip);
    }
    if (rc == 0 && skip && endless) {
        scan->cursor.done = true;
    } else if (rc == 0 && skip) {
        rc = btree_cursor_skip(op, &scan->cursor, (struct bytes){ bound.data, bound.len });
    }
    stretch__free_key(&bound);
    return rc;
}

/* ---- leaf by leaf --------------------------------------------------------------------------------- */

static int enter_leaf(void *arg, struct op *op, PageNo leaf, const struct btree_range *covered)
{
    struct scan_call *call = arg;
    struct txn_scan *scan = call->scan;

    begin_walk(call, covered);
    if (scan->session->ssi == NULL || PLANTED("ssi-scan-unrecorded")) {
        return 0;
    }
    return ssi__scan_covers(op, scan->session, call->info, (struct ssi_range **)&scan->ssi,
                            scan->watch != NULL ? scan->watch->predicate : NULL, &scan->cursor.range, covered, scan->cursor.backward);
}

static int scan_record(void *arg, struct op *op, const struct btree_record *record, bool *stop)
{
    struct scan_call *call = arg;
    struct txn_session *session = call->scan->session;
    struct resolved seen;

    int rc = version__resolve(op, session->manager, call->info, &call->view, record, &call->scan->arena, &seen);
    if (rc == 0 && (record->flags & BTREE_GHOST) && !seen.present && seen.since != UINT64_MAX) {
        walk_over(call, record->key, seen.since);
    } else if (rc == 0) {
        end_walk(call, record->key, false, false);
    }
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

static void leave_leaf(void *arg, const struct btree_range *covered)
{
    struct scan_call *call = arg;
    bool backward = call->scan->cursor.backward;
    struct bytes end = backward ? covered->low : covered->high;

    if (backward && end.data == NULL) {
        end = (struct bytes){ (const uint8_t *)"", 0 };
    }
    end_walk(call, end, !backward || covered->low.data == NULL || covered->low_inclusive, true);
}

int txn_scan_next(struct op *op, struct txn_scan *scan, txn_row_visit visit, void *arg, bool *more)
{
    struct txn_session *session = scan->session;
    struct scan_call call = { .scan = scan, .visit = visit, .arg = arg };
    struct btree_visitor visitor = { .arg = &call, .enter_leaf = enter_leaf, .record = scan_record, .leave_leaf = leave_leaf };

    *more = false;
    if (scan->ended) {
        return 0;
    }
    call.info = session__tree(op, session, scan->cursor.tree);
    if (call.info == NULL) {
        return OP_FAILED;
    }
    call.view = view_of(session, scan->read_ts, scan->command);
    if (stretch__any(call.info) && skip_stretches(op, &call) != 0) {
        return OP_FAILED;
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
    if (scan->ssi != NULL) {
        ssi__scan_closed(scan->ssi);
    }
    btree_cursor_close(&scan->cursor);
    arena_free(&scan->arena);
    scan->session->open_scans--;
    scan->session = NULL;
}
