/*
 * write.c -- insert, update, delete and lock of one record: who may, who waits, who has lost.
 *
 * Every write is one call of btree_change.  Under the leaf's exclusive latch `judge` looks at the record and at its chain
 * and decides:
 *
 *      another's change or lock is    wait for it to go, without latches, then look again
 *      in the way (rowlock.c)
 *      others have the right of way   queue behind them
 *      head committed after `seen`    first updater wins: REPEATABLE READ and above fail with 40001, READ COMMITTED
 *                                     gets the newest version to evaluate its condition on, or hears that the row is gone
 *      else                           change it, and push an entry with what stood there
 *
 * The entry is pushed in `applied`, under the same latch as the change, so nobody ever meets the one without the other.  A bare row lock
 * is judged in the same way under the leaf's shared latch, and leaves the record alone.
 *
 * F1  A write never overwrites an uncommitted change of another.
 * F2  At REPEATABLE READ and above a write never overwrites a version that its snapshot does not see.
 * F3  What a transaction built on before it was visible is noted in dep_ts before the latch is released.
 * F4  A serialization failure dooms the transaction, and is reported only once the commit it lost to is visible, so that a
 *     retry sees that commit.
 */
#include "src/base/planted.h"
#include "txn/ssi.h"
#include "txn/txn_int.h"

enum write_verdict { VERDICT_GO, VERDICT_WAIT, VERDICT_ANSWER, VERDICT_LOST_UPDATE, VERDICT_LOST_DELETE,
                     VERDICT_LOST_DEPENDENCY };

/* The first three are those of enum version_kind. */
enum write_kind { WRITE_INSERT = VERSION_INSERT, WRITE_UPDATE = VERSION_UPDATE, WRITE_DELETE = VERSION_DELETE, WRITE_LOCK };

struct write_call {
    struct txn_session *session;
    struct txn *writer;
    struct tree_info *info;
    struct btree *tree;
    enum write_kind kind;
    enum txn_row_lock mode;         /* how it locks the row */
    enum txn_wait wait;
    bool internal;                  /* txn/'s own records: no first-updater-wins */
    bool unprobed;                  /* insert: nobody else can have this key, so that it tells nothing that it is free */
    uint64_t hash;
    struct bytes key, moved_to;
    CommitTs seen;
    struct txn_outcome *outcome;

    enum write_verdict verdict;
    CommitTs lost_to;
    TxnId lost_to_writer;
    struct chain *chain;            /* found, and then pinned; or made, and not yet in its bucket */
    bool chain_is_new;
    bool in_run;                    /* a run takes the row: no entry is needed */
    struct version *entry;          /* ready to be pushed */
    struct bytes newest_reference;  /* outcome->newest must be read from this overflow chain */
    Lsn lsn;
};

/* ---- judging -------------------------------------------------------------------------------------- */

/* The newest change that is committed or the caller's own.  One of another in progress may stand above it, if their locks agree. */
static struct version *newest_settled(const struct write_call *call, struct version *head)
{
    while (head != NULL && head->writer != call->writer && writer__ts(head->writer) == 0) {
        head = head->older;
    }
    return head;
}

/* The newest committed version goes to the caller: for a duplicate's message, or for re-evaluation. */
static int answer_newest(struct op *op, struct write_call *call, const struct btree_record *record,
                         const struct chain *chain, CommitTs ts)
{
    struct txn_outcome *outcome = call->outcome;
    struct bytes from = record->value;
    bool overflow = (record->flags & BTREE_OVERFLOW) != 0;

    /* What others have not committed is undone in thought. */
    for (const struct version *entry = chain != NULL ? chain->head : NULL;
         entry != NULL && entry->writer != call->writer && writer__ts(entry->writer) == 0; entry = entry->older) {
        from = (struct bytes){ entry->before, entry->before_len };
        overflow = entry->before_overflow;
    }
    uint8_t *copy = op_alloc(op, from.len + 1);
    if (copy == NULL) {
        return OP_FAILED;
    }
    memcpy(copy, from.data, from.len);
    struct bytes value = { copy, from.len };
    if (overflow) {
        call->newest_reference = value;
    } else {
        outcome->newest = value;
    }
    outcome->newest_ts = ts > call->session->read_ts ? ts : call->session->read_ts;
    return 0;
}

static int answer_gone(struct op *op, struct write_call *call, const struct version *deletion)
{
    call->outcome->result = TXN_GONE;
    call->verdict = VERDICT_ANSWER;
    if (deletion != NULL && deletion->moved_to != NULL) {
        uint8_t *copy = op_alloc(op, deletion->moved_to_len + 1);
        if (copy == NULL) {
            return OP_FAILED;
        }
        memcpy(copy, deletion->moved_to, deletion->moved_to_len);
        call->outcome->moved_to = (struct bytes){ copy, deletion->moved_to_len };
    }
    return 0;
}

/* The row was changed by a commit that the caller has not seen. */
static int judge_changed(struct op *op, struct write_call *call, const struct btree_record *record,
                         const struct chain *chain, struct version *newest)
{
    struct txn_session *session = call->session;
    CommitTs ts = writer__ts(newest->writer);
    const struct version *deletion = NULL, *oldest = newest;
    bool rekeyed = false;

    for (const struct version *entry = newest; entry != NULL; entry = entry->older) {
        if (writer__ts(entry->writer) <= call->seen) {
            break;
        }
        oldest = entry;
        rekeyed |= entry->lock_mode > TXN_FOR_NO_KEY_UPDATE || entry->rekeyed > call->seen;
        if (entry->kind == VERSION_DELETE || entry->reborn > call->seen) {
            deletion = entry;
        }
    }
    if (call->kind == WRITE_LOCK && call->mode == TXN_FOR_KEY_SHARE && !rekeyed) {
        return 0;       /* the lock is on the key, and that is as it was seen */
    }
    commit__depend(session, ts);
    if (session->level != TXN_READ_COMMITTED) {
        call->lost_to = ts;
        call->lost_to_writer = newest->writer->id;
        /* What befell the version that was seen; a changed key is an update, and locks do not tell the two apart, as in PostgreSQL. */
        bool deleted = oldest == deletion && deletion->moved_to == NULL && call->kind != WRITE_LOCK;
        call->verdict = deleted ? VERDICT_LOST_DELETE : VERDICT_LOST_UPDATE;
        return 0;
    }
    if (deletion != NULL) {
        return answer_gone(op, call, deletion);
    }
    call->outcome->result = TXN_CHANGED;
    call->verdict = VERDICT_ANSWER;
    return answer_newest(op, call, record, chain, ts);
}

/* Update, delete and lock: the row must be live, and as the caller saw it. */
static int judge_existing(struct op *op, struct write_call *call, const struct btree_record *record,
                          const struct chain *chain, struct version *newest)
{
    bool live = record != NULL && !(record->flags & BTREE_GHOST);

    if (newest != NULL && newest->writer == call->writer) {
        if (newest->command >= call->session->command || !live) {
            call->outcome->result = TXN_SELF_CHANGED;
            call->verdict = VERDICT_ANSWER;
        }
        return 0;
    }
    if (newest != NULL && !call->internal && writer__ts(newest->writer) > call->seen) {
        return judge_changed(op, call, record, chain, newest);
    }
    return live ? 0 : answer_gone(op, call, NULL);
}

/* Insert: the key must be free, and must not have been taken away from under the snapshot. */
static int judge_new(struct op *op, struct write_call *call, const struct btree_record *record, struct version *newest)
{
    struct txn_session *session = call->session;
    bool live = record != NULL && !(record->flags & BTREE_GHOST);
    CommitTs ts = newest != NULL && newest->writer != call->writer ? writer__ts(newest->writer) : 0;

    if (ts > session->read_ts) {
        commit__depend(session, ts);
    }
    if (live) {
        call->outcome->result = TXN_DUPLICATE;
        call->verdict = VERDICT_ANSWER;
        if (session->level == TXN_SERIALIZABLE && ts > session->read_ts) {
            /* Nothing that follows can be right; if it had looked for the key, not even this answer is. */
            session->doomed = true;
            if (newest->writer->ssi != NULL && ssi__has_missed(session, newest->writer->ssi)) {
                call->verdict = VERDICT_LOST_DEPENDENCY;
                call->lost_to = ts;
                return 0;
            }
        }
        return answer_newest(op, call, record, NULL, ts);
    }
    if (ts > session->read_ts && session->level != TXN_READ_COMMITTED && !call->internal) {
        /* Deleted by a concurrent transaction: was it there for us? */
        const struct version *hidden = newest;
        for (const struct version *entry = newest; entry != NULL; entry = entry->older) {
            if (writer__ts(entry->writer) <= session->read_ts) {
                break;
            }
            hidden = entry;
        }
        if (hidden->before_present && hidden->writer != call->writer) {
            call->verdict = VERDICT_LOST_DELETE;
            call->lost_to = ts;
            call->lost_to_writer = newest->writer->id;
        }
    }
    return 0;
}

/* Bucket latch held. */
static void let_go_of_chain(struct write_call *call, struct bucket *bucket)
{
    if (call->chain_is_new) {
        mem_free(call->chain);
    } else if (call->chain != NULL) {
        call->chain->pins--;
        version__drop_chain(bucket, call->chain);
    }
    call->chain = NULL;
    call->chain_is_new = false;
}

static int prepare_entry(struct op *op, struct write_call *call, const struct btree_record *record, struct chain *chain)
{
    if (chain != NULL) {
        chain->pins++;
        call->chain = chain;
    } else {
        call->chain = version__new_chain(op, call->session->manager, call->info, call->hash, call->key);
        if (call->chain == NULL) {
            return OP_FAILED;
        }
        call->chain_is_new = true;
    }
    call->entry = version__new(op, call->writer, (uint8_t)call->kind, call->session->command, record, call->moved_to);
    if (call->entry == NULL) {
        return OP_FAILED;
    }
    call->entry->lock_mode = (uint8_t)call->mode;
    return 0;
}

/* With the bucket latch held: decides, and when it must wait, enqueues. */
static int decide(struct op *op, struct write_call *call, const struct btree_record *record, struct chain *chain)
{
    struct txn_session *session = call->session;
    struct version *newest = NULL;

    call->verdict = VERDICT_GO;
    if (chain != NULL) {
        bool mine = rowlock__held(chain, call->writer) >= (int)call->mode;
        if (!mine && (rowlock__blocked(chain, call->writer, call->mode) || !wait__has_way(session, chain, call->mode))) {
            if (call->wait == TXN_NO_WAIT) {
                call->outcome->result = TXN_LOCKED;
                call->verdict = VERDICT_ANSWER;
                return 0;
            }
            if (wait__enqueue_row(session, chain, call->mode)) {
                call->verdict = VERDICT_WAIT;
                return 0;
            }
        }
        newest = newest_settled(call, chain->head);
    }
    if (!call->internal && snapshot__lost(session)) {
        return snapshot__fail(op);      /* what it must not overwrite may have been forgotten */
    }
    return call->kind == WRITE_INSERT ? judge_new(op, call, record, newest)
                                      : judge_existing(op, call, record, chain, newest);
}

static void cleanup(struct write_call *call)
{
    version__discard(call->entry);
    call->entry = NULL;
    if (call->chain != NULL) {
        struct bucket *bucket = version__lock(call->session->manager, call->hash);
        let_go_of_chain(call, bucket);
        version__unlock(bucket);
    }
}

/* Under the leaf's latch: all that can be decided, and if it is to go ahead, all that could still fail. */
static int judge_record(struct op *op, struct write_call *call, const struct btree_record *record)
{
    if (record != NULL && run__any(call->info) &&
        run__materialise(op, call->session->manager, call->info, call->hash, call->key) != 0) {
        return OP_FAILED;
    }
    struct bucket *bucket;
    struct chain *chain;

    cleanup(call);
    if (version__lock_chain(op, call->session->manager, call->hash, call->info, call->key, &bucket, &chain) != 0) {
        return OP_FAILED;
    }
    int rc = decide(op, call, record, chain);
    if (rc == 0 && call->verdict == VERDICT_GO) {
        rc = prepare_entry(op, call, record, chain);
    }
    version__unlock(bucket);
    return rc;
}

/* No record, hence no chain: the key is free. */
static int judge_absent(struct op *op, struct write_call *call, bool at_end)
{
    call->verdict = VERDICT_GO;
    if (call->entry != NULL || call->chain != NULL) {
        cleanup(call);
    }
    if (!call->internal && snapshot__lost(call->session)) {
        return snapshot__fail(op);
    }
    if (at_end && run__takes(call->session, call->info, call->key)) {
        call->in_run = true;
        return 0;
    }
    if (run__any(call->info) && run__exclude(op, call->info, call->key) != 0) {
        return OP_FAILED;
    }
    return prepare_entry(op, call, NULL, NULL);
}

static int judge(void *arg, struct op *op, const struct btree_record *before, struct btree_change *change, bool *apply)
{
    struct write_call *call = arg;

    *apply = false;
    call->in_run = false;
    if (before == NULL && call->kind == WRITE_INSERT) {
        *apply = true;
        return judge_absent(op, call, change->at_end);
    }
    if (judge_record(op, call, before) != 0) {
        return OP_FAILED;
    }
    if (call->verdict == VERDICT_GO) {
        if (before != NULL && (before->flags & BTREE_OVERFLOW)) {
            call->writer->buried = true;
        }
        *apply = true;
    }
    return 0;
}

static void push_entry(struct write_call *call)
{
    struct txn_manager *manager = call->session->manager;
    struct bucket *bucket = version__lock(manager, call->hash);

    call->entry->lsn = call->lsn;
    if (call->chain_is_new) {
        version__add_chain(bucket, call->chain);
        call->chain_is_new = false;
    } else {
        call->chain->pins--;
    }
    assert(!rowlock__blocked(call->chain, call->writer, call->mode));
    version__push(manager, bucket, call->chain, call->entry);
    rowlock__cover(call->chain, call->writer);
    wait__took_row(call->session, call->chain);
    call->entry = NULL;
    call->chain = NULL;
    version__unlock(bucket);
}

static void applied(void *arg, Lsn lsn, const struct btree_record *now)
{
    struct write_call *call = arg;

    if (call->kind == WRITE_INSERT && stretch__any(call->info)) {
        stretch__cut(call->info, call->key);
    }
    if (call->in_run) {
        run__append(call->session, call->info, call->key);
        return;
    }
    call->lsn = lsn;
    push_entry(call);
}

/* ---- one write ------------------------------------------------------------------------------------ */

/* The commit that it lost to must be visible before the client hears of it (F4). */
static int fail_lost(struct op *op, struct write_call *call)
{
    struct txn_session *session = call->session;
    struct op wait;

    session->doomed = true;
    op_init(&wait);
    if (commit__await_visible(&wait, session->manager, call->lost_to) != 0) {
        op_copy_error(op, &wait);
    }
    op_end(&wait);
    if (call->verdict == VERDICT_LOST_DEPENDENCY) {
        return ssi__fail(op, session);
    }
    bool deleted = call->verdict == VERDICT_LOST_DELETE;
    op_fail(op, "40001", "could not serialize access due to concurrent %s", deleted ? "delete" : "update");
    op_detail(op, "Transaction %llu has %s it and committed after this transaction's snapshot was taken.",
              (unsigned long long)call->lost_to_writer, deleted ? "deleted" : "changed");
    op_hint(op, "The transaction might succeed if retried.");
    return OP_FAILED;
}

static int finish_answer(struct op *op, struct write_call *call)
{
    if (call->newest_reference.data == NULL) {
        return 0;
    }
    return btree_read_overflow(op, call->session->manager->store, call->newest_reference, &op->arena,
                               &call->outcome->newest);
}

/* A right of way belongs to one row; whoever turns to another gives it up. */
static void leave_other_row(struct write_call *call)
{
    struct wait *wait = &call->session->wait;

    if (wait->kind == WAIT_NONE) {
        return;
    }
    struct chain *chain = wait->chain;
    if (wait->kind != WAIT_ROW || chain->info != call->info || chain->key_len != call->key.len ||
        memcmp(chain->key, call->key.data, call->key.len) != 0) {
        wait__leave(call->session);
    }
}

static int fail_log_limit(struct op *op, const struct txn_session *session)
{
    op_fail(op, "53400", "the transaction exceeds max_transaction_log");
    op_detail(op, "It has written %llu bytes of log, and %llu are allowed.", (unsigned long long)session->writer->chain.written,
              (unsigned long long)session->max_log);
    op_hint(op, "Make smaller transactions, or raise max_transaction_log.");
    return OP_FAILED;
}

static int prepare(struct op *op, struct write_call *call)
{
    struct txn_session *session = call->session;

    if (session->read_only && !call->internal) {
        return op_fail(op, "25006", "cannot execute a write in a read-only transaction");
    }
    if (session__writer(op, session, &call->writer) != 0) {
        return OP_FAILED;
    }
    if (session->max_log != 0 && call->writer->chain.written > session->max_log && !call->internal) {
        return fail_log_limit(op, session);
    }
    call->info = session__tree(op, session, call->tree);
    if (call->info == NULL) {
        return OP_FAILED;
    }
    call->hash = version__hash(call->info->id, call->key);
    leave_other_row(call);
    if (call->kind == WRITE_INSERT && session->ssi != NULL && !call->internal && !call->unprobed && !PLANTED("ssi-probe-unrecorded")) {
        return ssi__read_existence(op, session, call->info, call->key);     /* the probe for a duplicate */
    }
    return 0;
}

/* After the change has been applied, without latches. */
static int after_write(struct op *op, struct write_call *call)
{
    struct txn_session *session = call->session;

    if (session->ssi == NULL || call->internal || session->tells_rows) {
        return 0;
    }
    struct bytes none = { NULL, 0 };
    return ssi__wrote(op, session, call->info, call->kind == WRITE_INSERT ? none : call->key,
                      call->kind == WRITE_DELETE ? none : call->key, NULL);
}

static int write_row(struct op *op, struct write_call *call, struct btree_change *change)
{
    bool done = false;
    int rc = prepare(op, call);

    change->arg = call;
    change->judge = judge;
    change->applied = applied;
    change->set_flags = BTREE_VERSIONED;
    while (rc == 0 && !done) {
        rc = btree_change(op, call->tree, &call->writer->chain, change, &done);
        if (rc != 0 || done || call->verdict != VERDICT_WAIT) {
            break;
        }
        rc = wait__sleep(op, call->session);
    }
    if (rc == 0 && done) {
        call->outcome->result = TXN_WRITTEN;
        rc = after_write(op, call);
    } else if (rc == 0 && call->verdict == VERDICT_ANSWER) {
        rc = finish_answer(op, call);
    } else if (rc == 0) {
        rc = fail_lost(op, call);
    }
    if (call->verdict != VERDICT_ANSWER || call->outcome->result != TXN_CHANGED) {
        wait__leave(call->session);
    }
    cleanup(call);
    budget__keep(call->session->manager);
    return rc;
}

int txn_insert(struct op *op, struct txn_session *session, struct btree *tree, struct bytes key, struct bytes value,
               struct txn_outcome *outcome)
{
    struct write_call call = { .session = session, .tree = tree, .kind = WRITE_INSERT, .mode = TXN_FOR_UPDATE, .key = key,
                               .outcome = outcome };
    struct btree_change change = { .kind = BTREE_INSERT, .key = key, .value = value };

    memset(outcome, 0, sizeof(*outcome));
    return write_row(op, &call, &change);
}

int txn_add(struct op *op, struct txn_session *session, struct btree *tree, struct bytes key, struct bytes value,
            struct txn_outcome *outcome)
{
    struct write_call call = { .session = session, .tree = tree, .kind = WRITE_INSERT, .mode = TXN_FOR_UPDATE, .unprobed = true,
                               .key = key, .outcome = outcome };
    struct btree_change change = { .kind = BTREE_INSERT, .key = key, .value = value };

    memset(outcome, 0, sizeof(*outcome));
    return write_row(op, &call, &change);
}

static int update_row(struct op *op, struct txn_session *session, struct btree *tree, struct bytes key, struct bytes value,
                      enum txn_row_lock mode, CommitTs seen, struct txn_outcome *outcome)
{
    struct write_call call = { .session = session, .tree = tree, .kind = WRITE_UPDATE, .mode = mode, .key = key, .seen = seen,
                               .outcome = outcome };
    struct btree_change change = { .kind = BTREE_UPDATE, .key = key, .value = value };

    memset(outcome, 0, sizeof(*outcome));
    return write_row(op, &call, &change);
}

int txn_update(struct op *op, struct txn_session *session, struct btree *tree, struct bytes key, struct bytes value,
               CommitTs seen, struct txn_outcome *outcome)
{
    return update_row(op, session, tree, key, value, TXN_FOR_UPDATE, seen, outcome);
}

int txn_update_no_key(struct op *op, struct txn_session *session, struct btree *tree, struct bytes key, struct bytes value,
                      CommitTs seen, struct txn_outcome *outcome)
{
    return update_row(op, session, tree, key, value, TXN_FOR_NO_KEY_UPDATE, seen, outcome);
}

int txn_delete(struct op *op, struct txn_session *session, struct btree *tree, struct bytes key, struct bytes moved_to,
               CommitTs seen, struct txn_outcome *outcome)
{
    struct write_call call = { .session = session, .tree = tree, .kind = WRITE_DELETE, .mode = TXN_FOR_UPDATE, .key = key,
                               .moved_to = moved_to, .seen = seen, .outcome = outcome };
    struct btree_change change = { .kind = BTREE_DELETE, .key = key };

    memset(outcome, 0, sizeof(*outcome));
    return write_row(op, &call, &change);
}

int write__internal(struct op *op, struct txn_session *session, struct btree *tree, enum btree_change_kind kind,
                    struct bytes key, struct bytes value)
{
    static const enum write_kind kinds[] = { WRITE_INSERT, WRITE_UPDATE, WRITE_DELETE };
    struct txn_outcome outcome = { .result = TXN_WRITTEN };
    struct write_call call = { .session = session, .tree = tree, .kind = kinds[kind], .mode = TXN_FOR_UPDATE, .key = key,
                               .internal = true, .outcome = &outcome };
    struct btree_change change = { .kind = kind, .key = key, .value = value };

    return write_row(op, &call, &change);
}

/* ---- row locks ------------------------------------------------------------------------------------ */

/* Under the leaf's shared latch. */
static int lock_record(void *arg, struct op *op, const struct btree_record *record)
{
    struct write_call *call = arg;
    struct txn_session *session = call->session;
    struct txn_manager *manager = session->manager;
    bool own_run = record != NULL && run__any(call->info) && run__is_of(call->info, call->writer, call->key);

    if (record != NULL && !own_run && run__any(call->info) &&
        run__materialise(op, manager, call->info, call->hash, call->key) != 0) {
        return OP_FAILED;
    }
    struct bucket *bucket;
    struct chain *chain;
    if (version__lock_chain(op, manager, call->hash, call->info, call->key, &bucket, &chain) != 0) {
        return OP_FAILED;
    }
    int rc = decide(op, call, record, chain);
    if (rc == 0 && call->verdict == VERDICT_GO) {
        rc = answer_newest(op, call, record, chain, 0);
        if (rc == 0 && (chain != NULL || !own_run)) {   /* what it appended itself is locked as it is */
            rc = rowlock__take(op, session, bucket, chain, call->info, call->hash, call->key, call->mode);
        }
    }
    version__unlock(bucket);
    return rc;
}

int txn_lock_row(struct op *op, struct txn_session *session, struct btree *tree, struct bytes key, enum txn_row_lock mode,
                 enum txn_wait wait, CommitTs seen, struct txn_outcome *outcome)
{
    struct write_call call = { .session = session, .tree = tree, .kind = WRITE_LOCK, .mode = mode, .wait = wait, .key = key,
                               .seen = seen, .outcome = outcome };

    memset(outcome, 0, sizeof(*outcome));
    int rc = prepare(op, &call);
    while (rc == 0) {
        rc = btree_get(op, tree, key, lock_record, &call);
        if (rc != 0 || call.verdict != VERDICT_WAIT) {
            break;
        }
        rc = wait__sleep(op, session);
    }
    if (rc == 0 && call.verdict == VERDICT_GO) {
        outcome->result = TXN_WRITTEN;
        rc = finish_answer(op, &call);
    } else if (rc == 0 && call.verdict == VERDICT_ANSWER) {
        rc = finish_answer(op, &call);
    } else if (rc == 0) {
        rc = fail_lost(op, &call);
    }
    if (call.verdict != VERDICT_ANSWER || outcome->result != TXN_CHANGED) {
        wait__leave(session);
    }
    budget__keep(session->manager);
    return rc;
}
