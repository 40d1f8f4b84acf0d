/*
 * txn_int.h -- what the files of txn/ share: the manager, sessions, writers, version chains, waits.
 *
 * Three lifetimes:
 *   session   one connection; owns a slot in which its snapshot is published
 *   writer    (struct txn) one transaction that has written; lives until the last of its entries is gone, because
 *             an entry asks its writer whether and when it committed
 *   entry     (struct version) one change of one record, on the chain of its key
 *
 * Latches, in the order of src/base/rank.h: manager->mutex, session->fast_mutex, page latches, SIREAD partitions,
 * version buckets, manager->waits, ssi graph, manager->commits, then those of wal/.
 */
#ifndef ISOLDE_TXN_INT_H
#define ISOLDE_TXN_INT_H

#include <assert.h>
#include <string.h>

#include "src/base/endian.h"
#include "src/base/hash.h"
#include "src/base/mem.h"
#include "txn/txn.h"

#define TXN_NO_SNAPSHOT UINT64_MAX          /* in a slot: nothing published */
#define TXN_TS_ABORTED (UINT64_MAX - 1)     /* commit_ts of a writer whose undo is complete */
#define TXN_GIVEN_UP (UINT64_MAX - 1)       /* in a slot: its snapshot was in the way of too much (budget.c) */

enum {
    TXN_BUCKETS = 1 << 18,          /* of the version store; empty ones cost no memory until touched */
    TXN_SLOT_CHUNK = 64,
    TXN_SLOT_CHUNKS = 256,          /* at most 16,384 sessions */
    TXN_COMMIT_RING = 1 << 15,      /* commits ordered and not yet visible: at most one per session, and some slack */
    TXN_TREE_CACHE = 16,
    TXN_END_RESERVE = 128,          /* bytes of log for the record that ends a transaction */
};

struct deadlock;
struct ssi_txn;
struct ssi;
struct budget;
struct chain;
struct run;
struct version;

/* What is known of a tree beside its pages.  Lives as long as the manager. */
struct tree_info {
    TreeId id;
    struct tree_info *next;             /* in the manager's table; constant once it is there */
    atomic_uint_fast64_t entries;       /* versions and locks on its chains; changed under a leaf latch of the tree */
    atomic_uint_fast64_t recovered;     /* those of losers: while there are any the records' hints cannot be trusted */
    atomic_uint_fast64_t sireads;       /* SIREAD intervals and points on it */
    struct ssi_range *ranges;           /* SIREAD intervals that may grow; `range_mutex` */
    struct ssi_range *range_index;      /* the others; `range_mutex` */
    struct former_tree *_Atomic formers;    /* trees in the place of which it is; siread_ask.c; pushed under manager->mutex */
    struct os_mutex range_mutex;        /* RANK_SSI */
    atomic_uint run_count;              /* runs of appended rows; runs.c; changed under run_latch */
    _Atomic uint32_t run_latch;         /* of rank RANK_SSI; guards the rest */
    struct run *runs;
    struct run *open_run;               /* its last key is the last of the tree, and it may grow */
    TxnId tail_writer;                  /* who appended last, */
    uint32_t tail_count;                /* and how many rows in a row */
    atomic_bool ghosts_forgotten;       /* did not fit into the queue of purge */
    atomic_uint stretch_count;          /* stretches of ghosts; stretch.c; changed under stretch_latch */
    _Atomic uint32_t stretch_latch;     /* of rank RANK_SSI; guards the next */
    struct stretches *stretches;        /* NULL: never had any */
};

/* ---- writers and entries -------------------------------------------------------------------------- */

/* A transaction that has written (or locks rows). */
struct txn {
    TxnId id;
    _Atomic CommitTs commit_ts;         /* 0 in progress; set at *ordered*, in the log's order; or TXN_TS_ABORTED */
    atomic_uint references;             /* one per entry, one of its session, one per run */
    atomic_bool ended;                  /* visible or undone: its lock-only entries no longer count */
    atomic_bool contended;              /* somebody waits on a chain that it has changed */
    bool serializable;
    bool recovered;                     /* a loser of the last restart */
    bool half_undone;                   /* manager->mutex: its rollback met a failing disk, and is tried again */
    uint32_t undo_round;                /* manager->mutex: of loser__roll_back_all that tried it last */
    char stuck[6];                      /* SQLSTATE for which its waiters give up, "" while they had better wait; manager->waits */
    struct txn_manager *manager;
    struct txn_session *session;        /* NULL once ended; manager->waits */
    struct wal_chain chain;             /* the owner's thread */
    struct ssi_txn *ssi;                /* holds a reference; NULL below SERIALIZABLE */
    struct version *entries;            /* entries_latch */
    bool purged;                        /* nobody will purge what is listed from now on; entries_latch */
    _Atomic uint32_t entries_latch;
    struct run *runs;                   /* entries_latch */
    struct row_lock *locks;             /* its lock-only entries, newest first; the owner's thread */
    struct chain *held;                 /* chains changed by it on which somebody waits; manager->waits */
    struct txn *active_next, *active_prev;      /* manager->mutex */
    struct txn *purge_next, *purge_prev;        /* committed, entries still needed; manager->commits */
    bool queued;                        /* in that list, or among the strays */
    bool stray;                         /* a stand-in: see budget.c */
    bool created;                       /* it made a tree, which its rollback drops: see commit.c */
    bool buried;                        /* it let go of a tree or an overflow chain: see trees.c */
    uint64_t ring_index;                /* where its commit stands in the ring */
    bool sync_full;
};

enum version_kind { VERSION_INSERT, VERSION_UPDATE, VERSION_DELETE };

/* One change: what stood there before it. */
struct version {
    struct version *older;              /* bucket latch */
    struct txn *writer;                 /* constant */
    struct chain *chain;                /* constant */
    struct version *own_next, *own_prev;        /* in the writer's list; its entries_latch */
    Lsn lsn;                            /* of the log record */
    uint32_t command;
    uint8_t kind;                       /* enum version_kind */
    uint8_t lock_mode;                  /* enum txn_row_lock: how it locks the row while its writer is in progress */
    bool before_present;                /* a live record stood there */
    bool before_overflow;               /* `before` is a reference to an overflow chain */
    CommitTs reborn;                    /* commit of the newest deletion pruned below this entry; 0: none was */
    CommitTs rekeyed;                   /* the same of the newest change that was more than NO KEY UPDATE */
    bool gap;                           /* entries between this one and the next older were dropped */
    bool claimed;                       /* taken off the writer's list to be freed; entries_latch */
    uint32_t before_len;
    uint8_t *moved_to;                  /* heap: the row's new key, NULL when none */
    uint32_t moved_to_len;
    uint32_t bytes;                     /* accounted */
    uint8_t before[];
};

/* A row lock without a change; rowlock.c. */
struct row_lock {
    struct row_lock *next;              /* of the chain; K2 */
    struct row_lock *own_next;          /* in the writer's list; the owner's thread */
    struct txn *writer;                 /* constant; takes its locks away before it goes */
    struct chain *chain;                /* constant */
    uint64_t position;                  /* session->lock_position when it was taken */
    uint8_t mode;                       /* enum txn_row_lock; constant */
    bool covered;                       /* K4; guarded as `next` */
};

/* The changes of one key, newest first, and the locks on it. */
struct chain {
    struct chain *next;                 /* in the bucket */
    uint64_t hash;
    struct txn_manager *manager;
    struct tree_info *info;
    struct version *head;
    struct row_lock *locks;             /* K2 */
    uint32_t length, prune_at;
    bool touched;                       /* looked up since eviction last came by; bucket latch */
    uint32_t pins;                      /* writers that are about to push an entry; bucket latch */
    atomic_uint waiters;                /* changed under manager->waits, raised under the bucket latch too */
    struct wait *first_wait, *last_wait;        /* manager->waits */
    struct txn *holder;                 /* who has changed the row and is in progress, while there are waiters; manager->waits */
    uint8_t holder_mode;                /* enum txn_row_lock; manager->waits */
    uint32_t overtaken;                 /* how often a waiter was passed by one who need not wait; manager->waits */
    struct chain *held_next, *held_prev;
    uint32_t key_len;
    uint8_t key[];
};

struct bucket {
    _Atomic uint32_t latch;
    uint32_t spilled;                   /* chains of this bucket in the file; see budget.c */
    struct chain *first;
};

/* ---- waiting -------------------------------------------------------------------------------------- */

enum wait_kind { WAIT_NONE, WAIT_ROW, WAIT_LOCK };

/* A session's place in one queue.  All but `word` is guarded by manager->waits. */
struct wait {
    enum wait_kind kind;
    struct txn_session *session;
    struct wait *next, *prev;           /* in the queue */
    bool granted;                       /* a row: it has the right of way; a table: it has the lock */
    bool asleep;                        /* its thread waits: it has edges in the graph */
    bool condemned;                     /* chosen to break a deadlock: it has no edges any more, and is about to fail */
    struct chain *chain;
    struct lock *lock;
    struct lock_hold *spare;            /* a lock: memory with which it is granted (H2 in locktable.c) */
    enum txn_table_lock mode;
    enum txn_row_lock row_mode;
    struct txn *writer;                 /* a row: of the session */
    _Atomic uint32_t word;              /* counts wake-ups */
};

/* What may be locked by name: a table, or what the application means by a number or two (advisory locks). */
enum lock_space { LOCK_TABLE, LOCK_ADVISORY, LOCK_ADVISORY_PAIR };

struct lock_tag {
    uint64_t id;
    enum lock_space space;
};

/* What one session holds of one lock in the shared table.  All guarded by manager->waits. */
struct lock_hold {
    struct lock_hold *next;             /* of the same lock */
    struct txn_session *session;
    struct lock *lock;
    uint32_t count[9];                  /* per mode, how often: once by the transaction, and what is kept */
    uint16_t noted;                     /* bits of modes that the transaction holds; advisory locks only */
    uint32_t kept[9];                   /* per mode: advisory locks of the session, which outlive the transaction */
    struct lock_hold *kept_next, *kept_prev;    /* in the session's list, while there are any */
};
struct lock {
    struct lock *next;                  /* in the hash */
    struct lock_tag tag;
    struct lock_hold *holds;
    struct wait *first_wait, *last_wait;
};
/* What a transaction holds, in the order in which it was acquired. */
struct lock_own {
    struct lock_tag tag;
    uint64_t position;                  /* session->lock_position when acquired */
    uint8_t mode;
    bool fast;                          /* only noted here, not in the shared table */
};

/* ---- sessions ------------------------------------------------------------------------------------- */

struct slot {
    _Atomic CommitTs read_ts;           /* published snapshot; partner: snapshot__horizon */
    atomic_bool in_use;
    atomic_bool reading;                /* a statement may be looking at trees; partner: trees__free_graves */
    _Atomic uint64_t taken_ns;          /* when the snapshot was taken */
    char pad[40];
};

struct end_call {
    struct end_call *next;
    void (*callback)(void *arg, bool committed, CommitTs ts);
    void *arg;
};

struct txn_session {
    struct txn_manager *manager;
    struct slot *slot;
    struct txn_session *next, *prev;    /* manager->mutex */
    uint32_t number;

    bool in_progress, read_only, deferrable, has_snapshot, in_statement;
    enum txn_level level;
    enum txn_sync sync;
    uint64_t max_log;                   /* bytes of log that a transaction may write; 0: any */
    CommitTs read_ts, dep_ts;
    CommitTs last_commit;
    uint32_t command;
    uint32_t open_scans;
    struct txn *writer;                 /* NULL until the first write */
    struct ssi_txn *ssi;                /* NULL: below SERIALIZABLE, or nothing needs recording */
    bool doomed;                        /* a serialization failure was met: nothing but ROLLBACK goes on */
    bool tells_rows;                    /* see txn_tell_rows */
    int (*describe_row)(const void *row, char *text, size_t size);
    struct end_call *end_calls;
    struct arena arena;                 /* of the transaction */

    const char *statement;              /* read by others only while this session sleeps in a wait */
    size_t statement_len;
    uint64_t lock_timeout_us, deadline_ns;
    uint64_t deadlock_timeout_us;       /* of the members of a cycle the one with the least fails; read under manager->waits */
    atomic_bool cancel;
    atomic_bool undecided;              /* DEFERRABLE: it waits for a safe snapshot; set and cleared under the graph latch */
    void (*on_wait)(void *arg, bool waiting);
    void *on_wait_arg;
    struct wait wait;
    /* Of the last search for a cycle (deadlock.c); manager->waits. */
    uint64_t visited;                   /* its stamp */
    struct deadlock *deadlock;           /* the circle for which it has just failed, in its op's arena; the owner's thread */
    struct txn_session *via, *search_next;      /* who waits for this one, and the list of those not yet looked at */
    bool via_queue;                     /* it does so only because this one is before it in a queue */

    struct os_mutex fast_mutex;         /* RANK_LOCK_TABLE: guards own_locks against strong lockers */
    struct lock_own *own_locks;
    size_t own_count, own_capacity;
    uint64_t lock_position;
    struct lock_hold *kept;             /* advisory locks of the session itself; manager->waits */

    struct tree_info *tree_cache[TXN_TREE_CACHE];
    struct op undo;                     /* of its rollbacks, whose memory it has beforehand (C4 in commit.c) */
};

/* ---- the manager ---------------------------------------------------------------------------------- */

enum { TXN_STRONG_PARTITIONS = 1024, TXN_LOCK_HASH = 1 << 14, TXN_TREE_HASH = 1024 };

struct txn_manager {
    struct store *store;
    struct wal *wal;
    struct txn_options options;
    _Atomic TxnId next_txn;

    _Atomic CommitTs visible_ts;        /* written under commits; release, partner: snapshot__take */
    _Atomic CommitTs horizon;           /* highest ever announced; partner: snapshot__take (V2) */

    struct os_mutex mutex;              /* RANK_TXN_MANAGER */
    struct txn_session *sessions;
    uint32_t next_number;
    struct txn active;                  /* list head: writers in progress */
    atomic_bool losers_left;            /* a rollback could not go on: see loser__keep */
    uint32_t undo_round;
    struct op undo;                     /* of the rollbacks of losers, one at a time (C4 in commit.c) */
    struct tree_info *_Atomic trees[TXN_TREE_HASH];     /* pushed under mutex, read without */
    struct slot *_Atomic slots[TXN_SLOT_CHUNKS];
    atomic_uint slot_chunks;
    atomic_uint session_count;

    struct bucket *buckets;
    atomic_uint_fast64_t version_bytes; /* entries and chains in memory */
    atomic_uint_fast64_t writer_count;
    struct budget *budget;

    struct os_mutex waits;              /* RANK_WAIT_QUEUE */
    struct lock *locks[TXN_LOCK_HASH];  /* waits */
    uint64_t advisory_count;            /* holds of advisory locks and requests for them; waits */
    atomic_uint strong[TXN_STRONG_PARTITIONS];
    uint64_t visit_stamp;

    struct os_mutex commits;            /* RANK_COMMIT_ORDER */
    _Atomic uint64_t *ring;             /* commit_ts << 2 | full << 1 | ready, by index modulo the ring's size */
    _Atomic uint64_t ring_tail;         /* written inside wal_append_ordered only */
    uint64_t ring_head;                 /* commits */
    struct txn purge_list;              /* list head: committed writers with entries, oldest first; commits */
    struct txn strays;                  /* list head: stand-ins for committed writers (budget.c), in no order; commits */
    CommitTs oldest_stray;              /* not newer than any of them; commits */
    atomic_uint_fast64_t stray_count;

    const char *(*describe)(void *arg, struct op *op, const struct txn_thing *thing);     /* set before the first session waits */
    void *describe_arg;

    struct ssi *ssi;
    struct purge *purge;
    struct sequences *sequences;
    struct btree *system_tree;          /* sequences */
    TreeId system_tree_id;
    struct tree_info *system_info;
};

/* ---- manager.c, session.c ------------------------------------------------------------------------- */

struct tree_info *manager__tree(struct op *op, struct txn_manager *manager, TreeId id) MUST_CHECK;
/* The same through the session's cache. */
static inline struct tree_info *session__tree(struct op *op, struct txn_session *session, struct btree *tree)
{
    TreeId id = btree_id(tree);
    struct tree_info **cached = &session->tree_cache[id % TXN_TREE_CACHE];
    if (*cached == NULL || (*cached)->id != id) {
        *cached = manager__tree(op, session->manager, id);
    }
    return *cached;
}
/* NULL when nothing has asked for it yet.  No latch. */
struct tree_info *manager__known_tree(struct txn_manager *manager, TreeId id);
/* The session's writer, made at the first call. */
int session__writer(struct op *op, struct txn_session *session, struct txn **writer) MUST_CHECK;
struct txn *writer__new(struct op *op, struct txn_manager *manager, TxnId id) MUST_CHECK;
/* Enters it among those in progress; a writer without an id gets one under the same latch. */
void writer__activate(struct txn *txn);
void writer__deactivate(struct txn *txn);
void writer__unref(struct txn *txn);
static inline void writer__ref(struct txn *txn)
{
    atomic_fetch_add_explicit(&txn->references, 1, memory_order_relaxed);
}
static inline CommitTs writer__ts(const struct txn *txn)
{
    return atomic_load_explicit(&((struct txn *)txn)->commit_ts, memory_order_acquire);
}
/* Frees a session that is off all lists. */
void session__free(struct txn_session *session);
int system_tree__open(struct op *op, struct txn_manager *manager) MUST_CHECK;

/* ---- snapshot.c ----------------------------------------------------------------------------------- */

void snapshot__take(struct txn_session *session);
void snapshot__drop(struct txn_session *session);
/* min(visible_ts, oldest published snapshot), announced first (V2). */
CommitTs snapshot__horizon(struct txn_manager *manager);
/* Published snapshots below *visible, sorted, for pruning; when there are more than `capacity` the oldest, and true. */
bool snapshot__list(struct txn_manager *manager, CommitTs *list, size_t capacity, size_t *count, CommitTs *visible);
/* The session's snapshot was given up: what it has read since the last call of this may be wrong.  72000. */
static inline bool snapshot__lost(const struct txn_session *session)
{
    return session->has_snapshot &&
           atomic_load_explicit(&session->slot->read_ts, memory_order_seq_cst) == TXN_GIVEN_UP;
}
int snapshot__fail(struct op *op);
int slot__acquire(struct op *op, struct txn_manager *manager, struct slot **slot) MUST_CHECK;

/* ---- version.c ------------------------------------------------------------------------------------ */

/* Who looks: which entries are visible. */
struct view {
    struct txn *own;
    CommitTs read_ts;
    uint32_t command;
};

struct resolved {
    bool present;
    bool settled;                       /* a visible entry, or an absence, says so: runs are not asked */
    bool copied;                        /* value was copied from an entry into the arena */
    bool overflow;
    struct bytes value;
    CommitTs since;                     /* every view from here on sees the same; UINT64_MAX where another version is newer, or own */
    struct ssi_txn *newer;              /* writer of the oldest version that the view does not see: a reference, or NULL */
};

static inline uint64_t version__hash(TreeId tree, struct bytes key)
{
    return hash_bytes(key.data, key.len, tree);
}
struct bucket *version__lock(struct txn_manager *manager, uint64_t hash);
void version__unlock(struct bucket *bucket);
struct chain *version__find(struct bucket *bucket, uint64_t hash, const struct tree_info *info, struct bytes key);
struct chain *version__new_chain(struct op *op, struct txn_manager *manager, struct tree_info *info, uint64_t hash,
                                 struct bytes key) MUST_CHECK;
void version__add_chain(struct bucket *bucket, struct chain *chain);
/* Locks the bucket and finds the chain, brought back into memory if it was spilled; NULL when there is none.  On failure nothing is
 * locked.  The leaf's latch is held, so that the chain does not appear meanwhile. */
int version__lock_chain(struct op *op, struct txn_manager *manager, uint64_t hash, struct tree_info *info, struct bytes key,
                        struct bucket **bucket, struct chain **chain) MUST_CHECK;
/* Frees the chain when it has neither entries nor locks nor waiters. */
void version__drop_chain(struct bucket *bucket, struct chain *chain);
/* The entry of a change of `before`; not yet on a chain. */
struct version *version__new(struct op *op, struct txn *writer, uint8_t kind, uint32_t command,
                             const struct btree_record *before, struct bytes moved_to) MUST_CHECK;
void version__discard(struct version *entry);           /* one that never was on a chain */
void version__push(struct txn_manager *manager, struct bucket *bucket, struct chain *chain, struct version *entry);
/* Off the chain and freed; the bucket latch is held, the entry is off its writer's list. */
void version__remove(struct txn_manager *manager, struct bucket *bucket, struct version *entry);
void version__unlist(struct version *entry);
/* True when the caller may free it, or do with it what it likes (V3). */
bool version__claim(struct version *entry);
/* Enters it in its writer's list; false when nobody would purge it there. */
bool version__list(struct version *entry);
/* Must the record be looked up at all? */
static inline bool version__interesting(const struct tree_info *info, const struct btree_record *record)
{
    return atomic_load_explicit(&((struct tree_info *)info)->entries, memory_order_acquire) > 0 &&
           ((record->flags & BTREE_VERSIONED) ||
            atomic_load_explicit(&((struct tree_info *)info)->recovered, memory_order_acquire) > 0);
}
/* What the view sees of the record; called under the leaf's latch. */
int version__resolve(struct op *op, struct txn_manager *manager, struct tree_info *info, const struct view *view,
                     const struct btree_record *record, struct arena *arena, struct resolved *out) MUST_CHECK;
/* A version that the view does not see, and by whom: what was there before and after. */
struct newer_version {
    struct newer_version *newer;        /* of the next one, by another writer or not */
    struct ssi_txn *writer;             /* a reference; NULL below SERIALIZABLE */
    uint32_t command;
    bool unknown;                       /* what was there after, and who made what follows, is not known any more */
    struct newer_image { bool present, overflow; struct bytes value; } before, after;
};
/* The versions of others that the view does not see, the oldest first, in the arena; under the leaf's latch.  *known is false when they
 * are on disk: then nothing is known but what version__resolve said. */
int version__newer(struct op *op, struct txn_manager *manager, struct tree_info *info, const struct view *view,
                   const struct btree_record *record, struct arena *arena, struct newer_version **oldest, bool *known) MUST_CHECK;
void version__prune(struct txn_manager *manager, struct bucket *bucket, struct chain *chain);
/* Frees the entries of a writer that everybody sees. */
void version__purge_writer(struct txn *txn);
/* Purges committed writers up to the horizon. */
void version__purge_committed(struct txn_manager *manager, CommitTs horizon);
/* store_hooks.undone */
uint8_t version__undone(void *context, TxnId txn, TreeId tree, struct bytes key, Lsn undone_lsn);
bool version__has_chain(struct txn_manager *manager, const struct tree_info *info, struct bytes key);

/* The latch of a writer's lists. */
void version__lock_list(struct txn *txn);
void version__unlock_list(struct txn *txn);

/* ---- budget.c ------------------------------------------------------------------------------------- */

int budget__open(struct op *op, struct txn_manager *manager) MUST_CHECK;
/* After the buckets' own chains are gone. */
void budget__close(struct txn_manager *manager);
/* The chain has got an entry; its bucket's latch is held. */
void budget__note_chain(struct txn_manager *manager, const struct chain *chain);
/* Spills until the memory of the version store is within its limit; without latches.  Never fails. */
void budget__keep(struct txn_manager *manager);
/* The chain, which has just got an entry, goes to the file at once when memory is nearly full: for him who makes more chains than have
 * room, in the order of keys, which the file likes better than the order of the clock.  Without latches; may do nothing. */
void budget__stow(struct txn_manager *manager, uint64_t hash, struct tree_info *info, struct bytes key);
/* While held, no chain of this hash's shard is spilled or brought back. */
void budget__hold(struct txn_manager *manager, uint64_t hash);
void budget__release(struct txn_manager *manager, uint64_t hash);
/* Held: brings the chain back into memory if it is spilled. */
int budget__load(struct op *op, struct txn_manager *manager, uint64_t hash, struct tree_info *info, struct bytes key) MUST_CHECK;
/* Held: as version__resolve, of a chain that is spilled and stays so; *found is false when it is not. */
int budget__resolve(struct op *op, struct txn_manager *manager, uint64_t hash, const struct tree_info *info, const struct view *view,
                    struct bytes key, struct arena *arena, struct resolved *out, bool *found) MUST_CHECK;
/* Is the chain spilled?  An error counts as yes. */
bool budget__has(struct txn_manager *manager, uint64_t hash, const struct tree_info *info, struct bytes key);
bool budget__due(struct txn_manager *manager, CommitTs horizon);
/* Frees what is spilled and not needed any more. */
void budget__sweep(struct txn_manager *manager, CommitTs horizon);

/* ---- runs.c --------------------------------------------------------------------------------------- */

/* An insert behind all records of the tree, its leaf latched: true when a run takes the row, and no entry is needed. */
bool run__takes(struct txn_session *session, struct tree_info *info, struct bytes key);
/* The row is there; after run__takes, under the same latch. */
void run__append(struct txn_session *session, struct tree_info *info, struct bytes key);
/* A record is about to be inserted where there is none: it is no part of the run around it. */
int run__exclude(struct op *op, struct tree_info *info, struct bytes key) MUST_CHECK;
/* The row, if it lies in a run and has no entry, gets one, so that it can be changed, locked, and waited for. */
int run__materialise(struct op *op, struct txn_manager *manager, struct tree_info *info, uint64_t hash, struct bytes key)
    MUST_CHECK;
/* Does the row lie in a run of this writer? */
bool run__is_of(struct tree_info *info, const struct txn *writer, struct bytes key);
void run__undone(struct tree_info *info, TxnId id, struct bytes key);
/* The writer's commit is visible to all, or it was undone. */
void run__drop_all(struct txn *writer);
/* At the end: also those of losers that stay, and of commits whose outcome is unknown. */
void run__free_all(struct txn_manager *manager);
/* Does the record lie in a run that the view does not see?  *newer: as in struct resolved. */
bool run__hides(struct tree_info *info, const struct view *view, struct bytes key, struct ssi_txn **newer);
static inline bool run__any(const struct tree_info *info)
{
    return atomic_load_explicit(&((struct tree_info *)info)->run_count, memory_order_acquire) > 0;
}

/* ---- stretch.c ------------------------------------------------------------------------------------ */

struct stretch_key {
    uint8_t *data;
    uint32_t len, capacity;
};

/* A scan has seen nothing but `ghosts` ghosts from `low` to below `high` (NULL data: to the end of the tree), none with a version
 * newer than `since`, and still holds the latch of the leaf in which all of that lies.  closing: there the leaf ends.  May forget. */
void stretch__note(struct tree_info *info, struct bytes low, struct bytes high, uint32_t ghosts, CommitTs since, bool closing);
/* A row is inserted under this key, the leaf latched exclusively (E2). */
void stretch__cut(struct tree_info *info, struct bytes key);
/* A scan is about to look at what lies from `key` on (backward: right below it, or at it if inclusive; NULL data: at the end): true when
 * it may go on at *bound instead (backward: below it), or *endless: when nothing follows.  The caller frees the key in the end. */
bool stretch__skip(struct tree_info *info, CommitTs read_ts, bool backward, struct bytes key, bool inclusive, struct stretch_key *bound,
                   bool *endless) MUST_CHECK;
void stretch__free_key(struct stretch_key *key);
void stretch__free_all(struct tree_info *info);
static inline bool stretch__any(const struct tree_info *info)
{
    return atomic_load_explicit(&((struct tree_info *)info)->stretch_count, memory_order_acquire) > 0;
}

/* ---- rowlock.c ------------------------------------------------------------------------------------ */

bool rowlock__conflict(enum txn_row_lock held, enum txn_row_lock asked);
/* Does this lock stand in the way of the writer's request?  K2. */
bool rowlock__in_way(const struct row_lock *lock, const struct txn *writer, enum txn_row_lock mode);
/* The rest: bucket latch held. */
/* The strongest mode of the changes of the newest writer. */
enum txn_row_lock rowlock__mode_of_head(const struct chain *chain);
/* Does anything that others hold on the row stand in the way? */
bool rowlock__blocked(const struct chain *chain, const struct txn *writer, enum txn_row_lock mode);
/* The strongest mode that the writer holds, by a change or a lock; 0: none. */
int rowlock__held(const struct chain *chain, const struct txn *writer);
/* Takes a lock that nobody is in the way of, if the session does not hold it; chain NULL: there is none yet. */
int rowlock__take(struct op *op, struct txn_session *session, struct bucket *bucket, struct chain *chain, struct tree_info *info,
                  uint64_t hash, struct bytes key, enum txn_row_lock mode) MUST_CHECK;
/* The writer has changed the row, or a change of it was undone. */
void rowlock__cover(struct chain *chain, const struct txn *writer);
/* Without latches: lock-only entries taken after `position` go. */
void rowlock__release(struct txn_session *session, uint64_t position);

/* ---- wait.c --------------------------------------------------------------------------------------- */

/* Under the chain's bucket latch: enqueues the session.  False when nothing stands in its way any more: go on. */
bool wait__enqueue_row(struct txn_session *session, struct chain *chain, enum txn_row_lock mode);
/* May the session take the row, which nobody holds against it, or must it let others go first?  Bucket latch held. */
bool wait__has_way(struct txn_session *session, struct chain *chain, enum txn_row_lock mode);
/* The session has taken the row: it is in no queue any more, and those who wait there wait for it from now on.  Bucket latch held. */
void wait__took_row(struct txn_session *session, struct chain *chain);
/* Something went from the chain: those who can may go on.  Bucket latch held. */
void wait__look_again(struct chain *chain);
/* Finds out whose change is in the way of those who queue, and grants those whom nothing is in the way of any more (W4); manager->waits held
 * too. */
void wait__settle(struct chain *chain);
/* Sleeps until granted, after a search for a deadlock.  On failure the place in the queue is given up. */
int wait__sleep(struct op *op, struct txn_session *session) MUST_CHECK;
/* Gives up a place or a right of way, if the session has one. */
void wait__leave(struct txn_session *session);
/* Ordered or undone: who waits for the writer's changes may go on. */
void wait__release_writer(struct txn *txn);
/* Those who wait for the writer hear that its rollback is stuck with this SQLSTATE; "": that it is not. */
void wait__set_stuck(struct txn *txn, const char *sqlstate);
void wait__interrupt(struct txn_session *session);
/* manager->waits held. */
void wait__wake(struct wait *wait);
/* Does what is before it in the queue stand in the way? */
bool wait__conflicts(const struct wait *wait, const struct wait *ahead);
/* Who could be granted after the queue was put in another order? */
void wait__regrant(struct wait *member);
struct wait **wait__first_of(struct wait *member);
struct wait **wait__last_of(struct wait *member);

/* ---- deadlock.c; manager->waits held ---------------------------------------------------------------- */

/* The session is about to sleep.  Fails with 40P01 when it must give way. */
int deadlock__check(struct op *op, struct txn_session *session) MUST_CHECK;
/* It was condemned by another's search: does the cycle still exist? */
int deadlock__confirm(struct op *op, struct txn_session *session) MUST_CHECK;
/* Without latches: the 40P01 that one of the two has just given tells who waited for whom. */
void deadlock__explain(struct op *op, struct txn_session *session);
/* Is it part of a circle? */
bool deadlock__is_member(struct txn_session *session);

/* ---- locktable.c ---------------------------------------------------------------------------------- */

/* At once, or after a wait.  locked: NULL, or where it is told that there would be a wait instead. */
int locktable__take(struct op *op, struct txn_session *session, struct lock_tag tag, enum txn_table_lock mode, bool *locked) MUST_CHECK;
/* Room for one more entry of the transaction's list. */
int locktable__reserve_own(struct op *op, struct txn_session *session) MUST_CHECK;
/* Enters it there; session->fast_mutex held. */
void locktable__note_own(struct txn_session *session, struct lock_tag tag, enum txn_table_lock mode, bool fast);
/* What the transaction acquired after this position goes. */
void locktable__release(struct txn_session *session, uint64_t position);
/* The rest: manager->waits held. */
struct lock *locktable__find(struct txn_manager *manager, struct lock_tag tag, bool make);
struct lock_hold *locktable__hold_of(const struct lock *lock, const struct txn_session *session);
/* spare: where memory may be taken from; false when there is none and none can be had. */
bool locktable__add_hold(struct lock *lock, struct txn_session *session, enum txn_table_lock mode, struct lock_hold **spare) MUST_CHECK;
/* Takes one away, and grants whom it was in the way of. */
void locktable__remove_hold(struct lock *lock, struct txn_session *session, enum txn_table_lock mode);
/* Does what the session holds conflict with what is waited for? */
bool locktable__in_way(const struct lock_hold *hold, const struct wait *wait);
bool locktable__modes_conflict(enum txn_table_lock one, enum txn_table_lock other);
/* The wait is taken out of its queue and those behind it are looked at again. */
void locktable__leave(struct txn_manager *manager, struct wait *wait);
void locktable__regrant(struct lock *lock);
/* Is there a reason not to grant the wait? */
bool locktable__held_up(const struct wait *wait);
const char *locktable__mode_name(enum txn_table_lock mode);
/* "advisory lock 7", in the op's arena; NULL without memory. */
const char *locktable__name(struct op *op, struct lock_tag tag);

/* ---- tablelock.c ---------------------------------------------------------------------------------- */

/* A strong lock of this table is gone. */
void tablelock__weaken(struct txn_manager *manager, uint64_t table);

/* ---- commit.c ------------------------------------------------------------------------------------- */

/* Advances visible_ts over the ring, and flushes if need be until ts is visible. */
int commit__await_visible(struct op *op, struct txn_manager *manager, CommitTs ts) MUST_CHECK;
void commit__depend(struct txn_session *session, CommitTs ts);
/* Undoes the writer's log chain and records that in the log.  undo: made by commit__prepare_undo; has the error on failure. */
int commit__undo(struct op *undo, struct txn *txn) MUST_CHECK;
int commit__prepare_undo(struct op *op, struct txn_manager *manager, struct op *undo) MUST_CHECK;

/* ---- purge.c, trees.c, loser.c, sequence.c ---------------------------------------------------- */

int purge__open(struct op *op, struct txn_manager *manager) MUST_CHECK;
int purge__start(struct op *op, struct txn_manager *manager) MUST_CHECK;
/* Between the two nothing is purged: a rollback is dropping trees.  Nothing of txn.h may be called in between. */
void purge__pause(struct txn_manager *manager);
void purge__resume(struct txn_manager *manager);
/* Waits for the thread, which first rolls back the losers that are left, unless abandoned. */
void purge__close(struct txn_manager *manager, bool abandoned);
/* A ghost that nobody may need any more; called with latches held, never fails, may forget. */
void purge__ghost(struct txn_manager *manager, struct tree_info *info, struct bytes key);
/* Frees what dead transactions have buried. */
int trees__free_graves(struct op *op, struct txn_manager *manager) MUST_CHECK;
/* Those whom restart has found are in progress again, for checkpoints at least: before the manager's hooks are asked, or a checkpoint
 * that forgets them would let go of their log. */
int loser__enter(struct op *op, struct txn_manager *manager) MUST_CHECK;
/* Their version entries are built again; nobody else is active yet. */
int loser__adopt(struct op *op, struct txn_manager *manager) MUST_CHECK;
/* The transaction of a session that is gone could not be undone, for this reason: it goes on as a loser. */
void loser__keep(struct txn *txn, const struct op *undo);
/* Is there a transaction whose rollback is not complete? manager->mutex held. */
bool loser__any(const struct txn_manager *manager);
/* Tries to roll back every loser; fails, having tried them all, when some are left. */
int loser__roll_back_all(struct op *op, struct txn_manager *manager) MUST_CHECK;
int sequence__open(struct op *op, struct txn_manager *manager) MUST_CHECK;
void sequence__close(struct txn_manager *manager);

/* A change of a record inside the session's transaction, for what txn/ keeps in trees itself. */
int write__internal(struct op *op, struct txn_session *session, struct btree *tree, enum btree_change_kind kind,
                    struct bytes key, struct bytes value) MUST_CHECK;

#endif
