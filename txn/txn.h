/*
 * txn.h -- transactions over the trees of a store: snapshots, versions, conflicts, locks, serializability.
 *
 * What SQL sees: sessions (one per connection), in which one transaction at a time reads trees at a snapshot
 * and changes records.  Keys and values are opaque bytes here.
 *
 * T1  commit_ts is the LSN of the commit record; a snapshot is one number, read_ts, and sees exactly the commits
 *     with commit_ts <= read_ts, and the session's own changes of earlier commands.
 * T2  A commit passes ordered, visible, acknowledged, in this order; visible_ts never passes a commit whose durability
 *     (as asked for) is still outstanding.
 * T3  An uncommitted change locks its row; a lock without a change hangs on the same chain.
 * T4  Nothing that a published snapshot may see is purged.
 * T5  No wait for a transaction while a latch is held.
 * T6  The committed SERIALIZABLE transactions have a serial order that respects real time.
 */
#ifndef ISOLDE_TXN_H
#define ISOLDE_TXN_H

#include "btree/btree.h"

struct txn_manager;
struct txn_session;

enum txn_level { TXN_READ_COMMITTED, TXN_REPEATABLE_READ, TXN_SERIALIZABLE };
enum txn_sync { TXN_SYNC_OFF, TXN_SYNC_NORMAL, TXN_SYNC_FULL };

struct txn_options {
    uint32_t reads_each;            /* SERIALIZABLE: reads recorded one by one per transaction, then widened; 0 = 8,192 */
    uint32_t ended_kept;            /* SERIALIZABLE: ended transactions kept apart, then summarised; 0 = 16,384 */
    uint64_t version_memory;        /* bytes of older versions and row locks in memory, beyond which they are spilled; 0 = 64 MiB */
    uint64_t version_disk;          /* bytes of the file for them, beyond which the oldest snapshot gets 72000; 0 = 16 GiB */
    uint32_t advisory_locks;        /* held at once by all sessions; 0 = 262,144 */
    bool no_background;             /* tests: purge runs only in txn_purge */
};

/* ---- the manager ---------------------------------------------------------------------------------- */

/* Registers its hooks with the store, takes over the losers of a restart (they are in progress until rolled back, in the
 * background unless no_background) and serves sessions from then on. */
int txn_manager_open(struct op *op, struct store *store, const struct txn_options *options,
                     struct txn_manager **manager) MUST_CHECK;
/* No session may exist.  Waits for background work. */
void txn_manager_close(struct txn_manager *manager);
/* Frees the manager and all its sessions without ending their transactions, as if the process were killed: before store_abandon. */
void txn_manager_abandon(struct txn_manager *manager);
/* What transactions have met at: the key of a tree, or a table as txn_lock_table knows it. */
struct txn_thing {
    bool row;
    TreeId tree;
    struct bytes key;
    uint64_t table;
};
/* Who knows what trees and keys stand for tells it for error details: a text in the op's arena, NULL when not known.  Called by the thread
 * that fails, without latches; ones of rank RANK_SQL_CATALOG may be taken inside. */
void txn_on_describe(struct txn_manager *manager, const char *(*describe)(void *arg, struct op *op, const struct txn_thing *thing),
                     void *arg);
struct store *txn_manager_store(struct txn_manager *manager);
CommitTs txn_visible_ts(const struct txn_manager *manager);
/* Bytes of older versions, row locks included, that are in memory now. */
uint64_t txn_version_bytes(const struct txn_manager *manager);
struct txn_version_stats {
    uint64_t memory, memory_limit, disk, disk_limit;    /* bytes */
    uint64_t spilled_entries;                           /* on disk now */
    uint64_t spills, loads, reads;                      /* chains written, brought back for a writer, and read where they were */
    uint64_t snapshots_given_up;
};
void txn_version_stats(struct txn_manager *manager, struct txn_version_stats *stats);
/* One published snapshot, and what committed after it and is kept: a snapshot that keeps too much is given up, the oldest first. */
struct txn_snapshot_info {
    uint32_t session;               /* txn_session_number */
    CommitTs read_ts;
    uint64_t age_us;
    uint64_t versions, bytes;       /* of those on disk an estimate */
    bool active;                    /* a statement is in progress */
    bool given_up;                  /* its session has not noticed yet: its next row or write is 72000 */
};
/* All of them, in the op's arena, the oldest first. */
int txn_snapshots(struct op *op, struct txn_manager *manager, struct txn_snapshot_info **list, size_t *count) MUST_CHECK;
/* Transactions in progress that have written, for views; those of a session of its own, and losers. */
struct txn_writer_info {
    TxnId id;
    uint32_t session;               /* 0: a loser, which is rolled back in the background */
    uint64_t log_bytes;             /* written since it began, or since restart */
    uint64_t undo_bytes;            /* of them: records that its rollback would read */
    uint64_t kept_bytes;            /* the log that is kept for it, from its oldest record to the end */
};
/* In the op's arena, in no order. */
int txn_writers(struct op *op, struct txn_manager *manager, struct txn_writer_info **list, size_t *count) MUST_CHECK;
/* Purges what no snapshot needs, once, now. */
int txn_purge(struct op *op, struct txn_manager *manager) MUST_CHECK;

/* ---- sessions ------------------------------------------------------------------------------------- */

int txn_session_open(struct op *op, struct txn_manager *manager, struct txn_session **session) MUST_CHECK;
/* Rolls back what is in progress. */
void txn_session_close(struct txn_session *session);
struct txn_manager *txn_session_manager(struct txn_session *session);
uint32_t txn_session_number(const struct txn_session *session);     /* never the same twice in the life of a manager */
/* Text of the statement in progress, for error details and views; borrowed until the next call. */
void txn_set_statement(struct txn_session *session, const char *text, size_t len);
struct bytes txn_statement(const struct txn_session *session);
/* Limits on waiting, microseconds; 0 = none.  cancel: may be set by another thread; see txn_interrupt. */
void txn_set_lock_timeout(struct txn_session *session, uint64_t microseconds);
/* One second to begin with.  The cycle is found when the wait begins; the time only tells who must give way. */
void txn_set_deadlock_timeout(struct txn_session *session, uint64_t microseconds);
void txn_set_statement_deadline(struct txn_session *session, uint64_t deadline_ns);
void txn_set_sync(struct txn_session *session, enum txn_sync sync);
/* A transaction that has written more than so many bytes of log fails with 53400 at its next write; 0 = no limit. */
void txn_set_max_log(struct txn_session *session, uint64_t bytes);
/* Any thread: ends the statement in progress, also a wait, with 57014. */
void txn_interrupt(struct txn_session *session);
atomic_bool *txn_cancel_flag(struct txn_session *session);
/* Called (in the session's thread, without latches) when a wait for another transaction begins (waiting = true) and ends. */
void txn_on_wait(struct txn_session *session, void (*callback)(void *arg, bool waiting), void *arg);

/* Any thread: whether the session waits for another transaction that is still in its way.  Exact: false once the call that ended
 * the wait (a commit, say) has returned, though the waiting thread may not have woken yet. */
bool txn_waiting(struct txn_session *session);

/* ---- transactions --------------------------------------------------------------------------------- */

int txn_begin(struct op *op, struct txn_session *session, enum txn_level level, bool read_only, bool deferrable) MUST_CHECK;
bool txn_in_progress(const struct txn_session *session);
TxnId txn_id(struct txn_session *session);      /* assigned at the first call or the first write */
/* The session's newest commit that wrote something; 0: none yet. */
CommitTs txn_last_commit(const struct txn_session *session);
/* Returns after the commit is visible and as durable as txn_set_sync asked.  Fails with 40001 (then the transaction is
 * rolled back) or 08007 (outcome unknown: the log's sync failed).  In every case the transaction has ended. */
int txn_commit(struct op *op, struct txn_session *session) MUST_CHECK;
/* Cannot fail for the caller: a broken log makes the database read-only and restart finishes the undo. */
void txn_rollback(struct txn_session *session);

/* A statement begins: READ COMMITTED takes a new snapshot, the others one at the first statement.  Each call is also a new command:
 * what was written by earlier commands becomes visible to it.  40001 for a doomed transaction. */
int txn_statement_begin(struct op *op, struct txn_session *session) MUST_CHECK;
/* The statement is over: READ COMMITTED gives its snapshot back. */
void txn_statement_end(struct txn_session *session);
/* Within one statement: later reads see what was written so far. (Constraint checks and the like.) */
void txn_next_command(struct txn_session *session);
CommitTs txn_read_ts(const struct txn_session *session);
/* Before rows or errors reach the client: waits until what the session has built on is visible (dep_ts). */
int txn_await_dependencies(struct op *op, struct txn_session *session) MUST_CHECK;

/* Outside of a statement: no tree that the catalog names from now on is freed until txn_release_trees.  For planning, which asks trees
 * for their sizes before the statement has its snapshot.  False (and nothing to release) when a snapshot does so already. */
bool txn_hold_trees(struct txn_session *session) MUST_CHECK;
void txn_release_trees(struct txn_session *session);

/* A point to which the transaction can be undone.  Marks nest; rolling back to one forgets the later ones. */
struct txn_mark {
    Lsn lsn;
    uint32_t command;
    uint64_t lock_position;
};
void txn_mark(struct txn_session *session, struct txn_mark *mark);
/* Undoes all since the mark and releases its locks; reads stay recorded.  Fails only for a broken log or damage. */
int txn_rollback_to(struct op *op, struct txn_session *session, const struct txn_mark *mark) MUST_CHECK;

/* Called once when the transaction has ended: at commit between ordered and visible, at abort after undo. Latches of rank
 * RANK_SQL_CATALOG may be taken inside.  Registered per transaction; freed with it. */
int txn_on_end(struct op *op, struct txn_session *session, void (*callback)(void *arg, bool committed, CommitTs ts),
               void *arg) MUST_CHECK;

/* ---- what SERIALIZABLE transactions read ----------------------------------------------------------- */

/*
 * What was looked at is known by key; what of it matters is for the floor above to say.  A predicate goes with what is recorded as read:
 * the condition that the statement put to the rows, and the columns that it read of those that satisfied it.
 */
struct txn_change {
    const void *row;                /* as txn_wrote_row was given it: before and after, in the caller's terms; NULL: not known */
    bool was, is;                   /* the row lies in what was read: before the change, after it */
};
struct txn_predicate {
    atomic_uint references;
    /* Would the change have made a difference to whoever has read?  Asked by any thread, also after the reader has ended, with latches of
     * rank RANK_SSI held.  When in doubt, yes. */
    bool (*matters)(struct txn_predicate *self, const struct txn_change *change);
    /* For error reports, as snprintf: "SELECT ... read t WHERE a = 3"; NULL: nothing can be said. */
    int (*describe)(struct txn_predicate *self, char *text, size_t size);
    void (*free)(struct txn_predicate *self);
};
void txn_predicate_release(struct txn_predicate *predicate);        /* NULL is fine */

/* How a read is recorded, and what becomes of versions that it does not see.  NULL instead: any change of what was looked at matters. */
struct txn_watch {
    struct txn_predicate *predicate;    /* goes with what is recorded; NULL: all changes matter */
    bool recorded;                      /* txn_get: the key lies in what has been recorded already */
    /* A version is newer than the snapshot.  Would it have made a difference?  NULL before or after: the record was not there.  Called under
     * the leaf's latch, for the oldest first, until one does; what depends on another tree is to be looked at later, by txn_look. */
    int (*newer)(void *arg, struct op *op, struct bytes key, const struct bytes *before, const struct bytes *after, bool *matters);
    /* For error reports, as snprintf: the row that has this record.  NULL: nothing can be said. */
    int (*describe)(void *arg, struct bytes key, struct bytes value, char *text, size_t size);
    void *arg;
};

/* Of what is read only matters whether it is there: for unique keys, foreign keys. */
extern const struct txn_watch txn_existence;
/* Is anything recorded at all?  Otherwise a watch is not needed. */
bool txn_records_reads(const struct txn_session *session);
/* From now on the session tells of each row that it has changed by txn_wrote_row, and not its single writes but those are
 * held against what others have read. */
void txn_tell_rows(struct txn_session *session, int (*describe)(const void *row, char *text, size_t size));
/* Might others have read something in this tree?  Asked after the row has been written in all trees. */
bool txn_is_read(struct txn_session *session, struct btree *tree);
/* A row was written in this tree: its key before and after, without data where it is not there; row: for the predicates. */
int txn_wrote_row(struct op *op, struct txn_session *session, struct btree *tree, struct bytes was, struct bytes is,
                  const void *row) MUST_CHECK;

/* All rows of this tree go, or become others. */
int txn_wrote_all(struct op *op, struct txn_session *session, TreeId tree) MUST_CHECK;
/* Rows that were found by `from` are found by `to` from now on: what was read of the one counts with writes of the other.  Nobody can
 * read `from` at the same time. */
int txn_move_reads(struct op *op, struct txn_session *session, TreeId from, TreeId to) MUST_CHECK;

/* ---- reading -------------------------------------------------------------------------------------- */

/* A version that the snapshot sees.  The bytes are valid only during the callback. */
struct txn_row {
    struct bytes key, value;        /* value: whole, overflow chains already followed */
};
typedef int (*txn_row_visit)(void *arg, struct op *op, const struct txn_row *row, bool *stop);

/* The visible version of exactly this key: visit is called with it, under the leaf's latch (be quick, call nothing
 * of this header), or not at all.  At SERIALIZABLE the key is recorded as read, present or not. */
int txn_get(struct op *op, struct txn_session *session, struct btree *tree, struct bytes key, txn_row_visit visit,
            void *arg, bool *found) MUST_CHECK;
int txn_get_watched(struct op *op, struct txn_session *session, struct btree *tree, struct bytes key, txn_row_visit visit,
                    void *arg, const struct txn_watch *watch, bool *found) MUST_CHECK;
/* Gives the watch the versions of this key that the snapshot does not see. */
int txn_look(struct op *op, struct txn_session *session, struct btree *tree, struct bytes key, const struct txn_watch *watch) MUST_CHECK;

/* A scan of a range; embedded in the caller, no allocation per scan in the usual case.  The range is borrowed. */
struct txn_scan {
    struct txn_session *session;
    struct btree_cursor cursor;
    CommitTs read_ts;
    uint32_t command;
    struct arena arena;             /* for values from overflow chains */
    void *ssi;                      /* the SIREAD interval that grows with the scan; NULL below SERIALIZABLE */
    const struct txn_watch *watch;  /* set after txn_scan_open, borrowed; NULL: see there */
    bool ended;
};
/* At SERIALIZABLE what is recorded as read grows leaf by leaf with the scan and ends where it ends. */
void txn_scan_open(struct txn_scan *scan, struct txn_session *session, struct btree *tree, const struct btree_range *range,
                   bool backward);
/* Visits the visible versions of the next leaf.  visit may stop early (*stop); the next call goes on behind that row. *more is
 * false when the range is exhausted. */
int txn_scan_next(struct op *op, struct txn_scan *scan, txn_row_visit visit, void *arg, bool *more) MUST_CHECK;
void txn_scan_close(struct txn_scan *scan);

/* ---- writing -------------------------------------------------------------------------------------- */

enum txn_result {
    TXN_WRITTEN,
    TXN_DUPLICATE,      /* insert: a live record has this key; `newest` is its value */
    TXN_CHANGED,        /* READ COMMITTED only: the row has a newer committed version than `seen`: evaluate again */
    TXN_GONE,           /* READ COMMITTED only: deleted meanwhile; moved_to is set when its key was changed */
    TXN_SELF_CHANGED,   /* changed or deleted before by this very command: skip the row */
    TXN_LOCKED,         /* txn_lock_row with TXN_NO_WAIT: it would have had to wait */
};

/* PostgreSQL's four row lock modes.  KEY SHARE only conflicts with UPDATE, SHARE with the two above it, NO KEY UPDATE with all but KEY
 * SHARE, UPDATE with all. */
enum txn_row_lock { TXN_FOR_KEY_SHARE = 1, TXN_FOR_SHARE, TXN_FOR_NO_KEY_UPDATE, TXN_FOR_UPDATE };
enum txn_wait { TXN_WAIT, TXN_NO_WAIT };

/* What became of a write.  The bytes live in the op's scratch arena. */
struct txn_outcome {
    enum txn_result result;
    struct bytes newest;            /* DUPLICATE and CHANGED: value of the newest committed version */
    CommitTs newest_ts;             /* of that version: pass it as `seen` with the second try */
    struct bytes moved_to;          /* GONE: the row's new key; NULL data when it was deleted */
};

/* All of them wait for a writer in progress of the same key (deadlocks: 40P01 for the one with the least deadlock timeout, among
 * equals for the one whose wait closes the cycle).
 * Errors: 40001, 40P01, 55P03, 57014, 25006 (read only), 54000 (key too long), 53100, 58030. */

/* The key must be free: absent, ghost that is committed, or deleted by this transaction.  At REPEATABLE READ and above, a key whose
 * ghost was deleted by a concurrent transaction in the snapshot of which it was visible gives 40001. */
int txn_insert(struct op *op, struct txn_session *session, struct btree *tree, struct bytes key, struct bytes value,
               struct txn_outcome *outcome) MUST_CHECK;
/* The same where nobody else can have the key, as that of an index entry that ends in the row's own: it is not recorded as looked for. */
int txn_add(struct op *op, struct txn_session *session, struct btree *tree, struct bytes key, struct bytes value,
            struct txn_outcome *outcome) MUST_CHECK;
/* seen: txn_read_ts() of the scan that found the row, or newest_ts after TXN_CHANGED. REPEATABLE READ and above fail with
 * 40001 where READ COMMITTED answers CHANGED or GONE.  Locks the row FOR UPDATE. */
int txn_update(struct op *op, struct txn_session *session, struct btree *tree, struct bytes key, struct bytes value,
               CommitTs seen, struct txn_outcome *outcome) MUST_CHECK;
/* moved_to: the row's new primary key when this delete is half of a key change, so that waiters can follow; else NULL data. */
int txn_delete(struct op *op, struct txn_session *session, struct btree *tree, struct bytes key, struct bytes moved_to,
               CommitTs seen, struct txn_outcome *outcome) MUST_CHECK;
/* The same for an update that leaves all columns alone by which a foreign key may refer to the row: locks it FOR NO KEY UPDATE. */
int txn_update_no_key(struct op *op, struct txn_session *session, struct btree *tree, struct bytes key, struct bytes value,
                      CommitTs seen, struct txn_outcome *outcome) MUST_CHECK;
/*
 * Locks the row without changing it, until the end of the transaction or a rollback to an earlier mark.  WRITTEN: it is locked, and `newest`
 * is its newest committed version (or the transaction's own), which is the one that was seen; but FOR KEY SHARE, which conflicts with
 * no NO KEY UPDATE, may have passed over some: then `newest` has what they changed.  Otherwise as txn_update.
 */
int txn_lock_row(struct op *op, struct txn_session *session, struct btree *tree, struct bytes key, enum txn_row_lock mode,
                 enum txn_wait wait, CommitTs seen, struct txn_outcome *outcome) MUST_CHECK;

/* ---- trees and locks ------------------------------------------------------------------------------ */

/* DDL.  A created tree vanishes with a rollback; a dropped one is freed by purge when no snapshot needs it. */
int txn_create_tree(struct op *op, struct txn_session *session, TreeId *tree_id) MUST_CHECK;
int txn_drop_tree(struct op *op, struct txn_session *session, TreeId tree_id) MUST_CHECK;
/* Fills a tree that this transaction created and nobody else can see; *added is false when the key exists. */
int txn_load(struct op *op, struct txn_session *session, struct btree *tree, struct bytes key, struct bytes value, bool *added)
    MUST_CHECK;

/* PostgreSQL's eight table lock modes and conflict matrix. */
enum txn_table_lock {
    TXN_ACCESS_SHARE = 1, TXN_ROW_SHARE, TXN_ROW_EXCLUSIVE, TXN_SHARE_UPDATE_EXCLUSIVE, TXN_SHARE, TXN_SHARE_ROW_EXCLUSIVE,
    TXN_EXCLUSIVE, TXN_ACCESS_EXCLUSIVE
};
/* Held until the end of the transaction or rollback to an earlier mark.  The weak modes (up to ROW EXCLUSIVE) cost a few
 * atomic operations while nobody holds a strong one. */
int txn_lock_table(struct op *op, struct txn_session *session, uint64_t table, enum txn_table_lock mode) MUST_CHECK;
/* Without waiting: *locked is false when it would have had to. */
int txn_try_lock_table(struct op *op, struct txn_session *session, uint64_t table, enum txn_table_lock mode, bool *locked) MUST_CHECK;

/* Advisory locks: on a number, or on two of 32 bits (the first in the upper half), which mean what the applications agree upon. */
struct txn_advisory_key {
    uint64_t number;
    bool pair;
};
/* keep: for the session, until as many calls of txn_unlock_advisory or its close; else for the transaction, which must be in progress, as
 * txn_lock_table.  locked: NULL to wait, or where it is told that there would be a wait.  53200 when there are too many. */
int txn_lock_advisory(struct op *op, struct txn_session *session, struct txn_advisory_key key, bool shared, bool keep, bool *locked)
    MUST_CHECK;
/* Gives back one that the session keeps; false when it keeps none of this mode. */
bool txn_unlock_advisory(struct txn_session *session, struct txn_advisory_key key, bool shared);
void txn_unlock_advisory_all(struct txn_session *session);

/* The tree of the layer's own: blocks of numbers.  Not to be dropped. */
TreeId txn_system_tree(const struct txn_manager *manager);
/* From now on txn_next_id gives numbers of this sequence that are not below `from`. */
int txn_skip_ids(struct op *op, struct txn_session *session, uint64_t sequence, uint64_t from) MUST_CHECK;
/* A number that no other call on this database ever gets (object ids, hidden row ids), in blocks that are logged ahead. */
int txn_next_id(struct op *op, struct txn_session *session, uint64_t sequence, uint64_t *id) MUST_CHECK;

#endif
