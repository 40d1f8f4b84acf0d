/*
 * siread_ask.c -- who has read what is written?
 *
 * A row is written in several trees, and may have been read by way of any of them: so in each of them its key is looked up among the points and
 * intervals that are recorded, the old key and the new one.  Of each record found, its predicate says whether the change matters.
 *
 *      index on a, UPDATE t SET a = 7 ... of a row with a = 5
 *
 *      recorded    [1 .. 6] where b > 3        was in it, is not: goes, if it had b > 3
 *                  [6 .. 9]                    comes
 *                  [1 .. 9], reads b           stays; conflicts if b has changed too
 *
 * When an index is dropped, or a table gets new trees, what was read of the old ones goes on to count: they are kept as "formers" of the tree
 * that is written from now on, and since their keys mean nothing there, each record in them stands for all rows, with its predicate.
 *
 * A1  Asked after the row has been written in all its trees (R1 in siread.c).
 * A2  A former tree gets no new records: who reads at an older snapshot uses the newest definition of the table, or fails.
 */
#include "txn/ssi_int.h"

static int meet_reader(struct op *op, struct txn_session *session, struct ssi_txn *reader, const struct txn_predicate *predicate,
                       const void *row)
{
    struct ssi_evidence evidence = { .session = session, .predicate = predicate, .row = row };
    struct ssi *ssi = session->manager->ssi;
    int rc = 0;

    if (reader == session->ssi) {
        return 0;
    }
    os_mutex_lock(&ssi->graph);
    if (ssi__concurrent(reader, session->ssi)) {
        rc = ssi__add_edge(op, ssi, session->ssi, reader, session->ssi, &evidence);
    }
    CommitTs lost_to = rc != 0 ? session->ssi->lost_to : 0;
    os_mutex_unlock(&ssi->graph);
    commit__depend(session, lost_to);
    return rc;
}

static bool matters(struct txn_predicate *predicate, const struct txn_change *change)
{
    if (!change->was && !change->is) {
        return false;
    }
    return predicate == NULL || predicate->matters(predicate, change);
}

static int meet_points(struct op *op, struct txn_session *session, struct tree_info *info, struct bytes key,
                       const struct txn_change *change)
{
    uint64_t hash = version__hash(info->id, key);
    struct siread_bucket *bucket = siread__lock_bucket(session->manager->ssi, hash);
    int rc = 0;

    for (struct siread_point *point = bucket->first; point != NULL && rc == 0; point = point->next) {
        if (point->reader != session->ssi && siread__is_point(point, hash, info, key) && matters(point->predicate, change)) {
            rc = meet_reader(op, session, point->reader, point->predicate, change->row);
        }
    }
    siread__unlock_bucket(bucket);
    return rc;
}

struct question {
    struct op *op;
    struct txn_session *session;
    struct bytes was, is;
    const void *row;
    bool skip_was;          /* those that hold the old key have been asked */
};

static int ask_range(void *arg, struct ssi_range *range)
{
    struct question *question = arg;
    struct txn_change change = { question->row, siread__covers(range, question->was), siread__covers(range, question->is) };

    if (range->reader == question->session->ssi || (question->skip_was && change.was) || !matters(range->predicate, &change)) {
        return 0;
    }
    return meet_reader(question->op, question->session, range->reader, range->predicate, question->row);
}

static int meet_ranges(struct op *op, struct txn_session *session, struct tree_info *info, struct bytes was, struct bytes is,
                       const void *row)
{
    struct question question = { op, session, was, is, row, false };
    int rc = 0;

    os_mutex_lock(&info->range_mutex);
    for (struct ssi_range *range = info->ranges; range != NULL && rc == 0; range = range->next) {
        rc = ask_range(&question, range);
    }
    if (rc == 0 && was.data != NULL) {
        rc = siread__each_holding(info->range_index, was, ask_range, &question);
    }
    if (rc == 0 && is.data != NULL) {
        question.skip_was = true;
        rc = siread__each_holding(info->range_index, is, ask_range, &question);
    }
    os_mutex_unlock(&info->range_mutex);
    return rc;
}

/* ---- trees that are gone --------------------------------------------------------------------------- */

struct question_for_all {
    struct op *op;
    struct txn_session *session;
    const struct txn_change *change;
};

static int ask_any_range(void *arg, struct ssi_range *range)
{
    struct question_for_all *question = arg;

    return matters(range->predicate, question->change) ? meet_reader(question->op, question->session, range->reader, range->predicate, NULL) : 0;
}

/* All that was read of a tree, wherever in it. */
static int meet_all(struct op *op, struct txn_session *session, struct tree_info *info, const struct txn_change *change)
{
    struct ssi *ssi = session->manager->ssi;
    int rc = 0;

    for (size_t i = 0; i < SIREAD_BUCKETS && rc == 0; i++) {
        struct siread_bucket *bucket = siread__lock_bucket(ssi, i);
        for (struct siread_point *point = bucket->first; point != NULL && rc == 0; point = point->next) {
            if (point->info == info && matters(point->predicate, change)) {
                rc = meet_reader(op, session, point->reader, point->predicate, change->row);
            }
        }
        siread__unlock_bucket(bucket);
    }
    struct question_for_all question = { op, session, change };
    os_mutex_lock(&info->range_mutex);
    for (struct ssi_range *range = info->ranges; range != NULL && rc == 0; range = range->next) {
        rc = ask_any_range(&question, range);
    }
    rc = rc == 0 ? siread__each(info->range_index, ask_any_range, &question) : rc;
    os_mutex_unlock(&info->range_mutex);
    return rc;
}

static int meet_formers(struct op *op, struct txn_session *session, struct tree_info *info, struct bytes was, struct bytes is,
                        const void *row)
{
    struct txn_change change = { row, was.data != NULL, is.data != NULL };
    int rc = 0;

    for (struct former_tree *former = atomic_load_explicit(&info->formers, memory_order_acquire); former != NULL && rc == 0;
         former = former->next) {
        if (atomic_load_explicit(&former->info->sireads, memory_order_acquire) > 0) {
            rc = meet_all(op, session, former->info, &change);
        }
    }
    return rc;
}

int ssi__wrote(struct op *op, struct txn_session *session, struct tree_info *info, struct bytes was, struct bytes is,
               const void *row)
{
    bool same = was.data != NULL && is.data != NULL && was.len == is.len && memcmp(was.data, is.data, is.len) == 0;
    struct txn_change change = { row, was.data != NULL, same };

    atomic_store(&session->ssi->wrote, true);
    if (meet_formers(op, session, info, was, is, row) != 0) {
        return OP_FAILED;
    }
    if (atomic_load_explicit(&info->sireads, memory_order_acquire) == 0) {
        return 0;
    }
    if (was.data != NULL && meet_points(op, session, info, was, &change) != 0) {
        return OP_FAILED;
    }
    change = (struct txn_change){ row, false, true };
    if (is.data != NULL && !same && meet_points(op, session, info, is, &change) != 0) {
        return OP_FAILED;
    }
    return meet_ranges(op, session, info, was, is, row);
}

bool txn_is_read(struct txn_session *session, struct btree *tree)
{
    if (session->ssi == NULL) {
        return false;
    }
    atomic_store(&session->ssi->wrote, true);
    ssi__note_statement(session);
    struct tree_info *info = manager__known_tree(session->manager, btree_id(tree));
    return info != NULL && (atomic_load_explicit(&info->sireads, memory_order_acquire) > 0 ||
                            atomic_load_explicit(&info->formers, memory_order_acquire) != NULL);
}

int txn_wrote_row(struct op *op, struct txn_session *session, struct btree *tree, struct bytes was, struct bytes is, const void *row)
{
    struct tree_info *info = session__tree(op, session, tree);

    if (info == NULL) {
        return OP_FAILED;
    }
    return session->ssi != NULL ? ssi__wrote(op, session, info, was, is, row) : 0;
}

int txn_wrote_all(struct op *op, struct txn_session *session, TreeId tree)
{
    struct tree_info *info = manager__known_tree(session->manager, tree);

    if (session->ssi == NULL) {
        return 0;
    }
    atomic_store(&session->ssi->wrote, true);
    struct txn_change change = { NULL, true, false };
    return info != NULL ? meet_all(op, session, info, &change) : 0;
}

/* manager->mutex held. */
static int add_former(struct op *op, struct tree_info *to, struct tree_info *gone)
{
    if (atomic_load_explicit(&gone->sireads, memory_order_acquire) == 0) {
        return 0;
    }
    struct former_tree *former = op_heap_alloc(op, sizeof(*former));
    if (former == NULL) {
        return OP_FAILED;
    }
    former->info = gone;
    former->next = atomic_load(&to->formers);
    atomic_store(&to->formers, former);
    return 0;
}

int txn_move_reads(struct op *op, struct txn_session *session, TreeId from, TreeId to)
{
    struct txn_manager *manager = session->manager;
    struct tree_info *gone = manager__known_tree(manager, from), *target = gone != NULL ? manager__tree(op, manager, to) : NULL;

    if (gone == NULL || gone == target) {
        return 0;
    }
    if (target == NULL) {
        return OP_FAILED;
    }
    os_mutex_lock(&manager->mutex);
    int rc = add_former(op, target, gone);
    for (struct former_tree *older = atomic_load(&gone->formers); older != NULL && rc == 0; older = older->next) {
        rc = add_former(op, target, older->info);
    }
    os_mutex_unlock(&manager->mutex);
    return rc;
}

void ssi__free_formers(struct tree_info *info)
{
    for (struct former_tree *former = atomic_load(&info->formers), *next; former != NULL; former = next) {
        next = former->next;
        mem_free(former);
    }
}
