/*
 * wal.h -- the write-ahead log: append, make durable, read back, restart.
 *
 * The log is an endless stream of records addressed by LSN (the byte position of a record's first byte).
 * On disk it is a ring of preallocated segments in `app.db-wal`, each with a head that names the segment number
 * it holds, so that any slot of the file can hold any segment and the ring can grow and shrink.
 *
 * W1  A record is durable once the durable end lies beyond its LSN; flushes end at record boundaries.
 * W2  Records of one transaction are linked backwards by LSN (struct wal_chain).
 * W3  Record checksums are seeded with database id, epoch and LSN: a stale record of an earlier lap of the ring or
 *     of an earlier life of the database is never taken.
 * W4  Every flush carries the durable end known when it was written; an invalid record below the
 *     newest such proof is damage and refused, above all proofs it is the tail and is cut.
 * W5  After a failed write or sync the log is broken for good: wal_reserve and wal_flush fail (58030, with the first
 *     cause), nothing is retried, and appends go nowhere, which is safe because no page passes the durable end.
 */
#ifndef ISOLDE_WAL_H
#define ISOLDE_WAL_H

#include "src/base/op.h"
#include "src/base/types.h"
#include "src/os/os.h"

struct wal;

/* Who writes which record.  The log itself knows only the WAL_ ones; the others belong to the layers above. */
enum wal_type {
    WAL_FLUSH_MARK = 1,     /* the durable end at the time of a flush (W4) */
    WAL_CHECKPOINT,         /* redo point, transactions in progress, next ids */
    WAL_COMMIT,             /* payload: wall clock i64 (us), flags u8; its LSN is the commit_ts */
    WAL_ABORT,              /* a transaction whose undo is complete */
    WAL_CARRIED,            /* copy of an old undo record, made by a checkpoint (carry.c) */
    WAL_BTREE_FIRST = 16,   /* 16..63: btree/ */
    WAL_BTREE_LAST = 63,
    WAL_TXN_FIRST = 64,     /* 64..79: txn/ */
    WAL_TXN_LAST = 79,
};

enum {
    WAL_UNDOABLE = 1,       /* record flag: rollback hands it to the undo handler */
    WAL_CLR = 2,            /* compensation record: rollback goes on at its undo_next */
    WAL_COMMIT_DDL = 1,     /* flag in the payload of WAL_COMMIT */
    WAL_RECORD_MAX_BYTES = 1 << 20,
};

/* The log records of one transaction; the transaction owns it and its thread alone appends to it.  Records keep the LSN under
 * which they were written, wherever they are read: links, marks of savepoints and versions go by it. */
struct wal_chain {
    TxnId txn;
    Lsn first;              /* oldest log that its rollback reads; 0 until the first record */
    Lsn last;               /* newest record, 0 when none */
    Lsn carried;            /* newest copy made by a checkpoint; 0: none */
    Lsn carried_to;         /* undo records up to this LSN are read from their copies; 0: none */
    uint64_t written;       /* bytes of log since the transaction began, or since restart; its thread writes, others look */
    uint64_t undoable;      /* bytes of records that are not undone; the same */
    uint64_t promised;      /* bytes of log kept for the undo of these; its thread */
    bool walking, carrying; /* the log's latch for this: see carry.c */
    uint64_t undo_pages;    /* pages of the file kept for its undo, of which undo_spare are not spoken for; its thread: btree/space.c */
    uint64_t undo_spare, undo_leaf;
    uint32_t undo_room;
};

struct wal_record {
    Lsn lsn;
    Lsn next_lsn;           /* of the record that follows in the log */
    uint8_t type;
    uint8_t flags;
    TxnId txn;              /* 0: a system transaction, redo-only */
    Lsn prev;               /* the transaction's record before this one; 0 when none */
    Lsn undo_next;          /* CLR only: where rollback goes on; 0: nothing left */
    struct bytes payload;
};

struct wal_options {
    uint64_t max_wal_size;      /* bytes of log that checkpoints keep to, at least four segments; default 256 MiB */
    uint32_t segment_size;      /* of a new log: bytes, power of two; default a sixteenth of max_wal_size, 4 MiB at most */
    uint32_t buffer_size;       /* bytes of log buffer, power of two; default 4 MiB */
    uint64_t flush_delay_us;    /* wal_flush_delay: a background flush comes at least this often; default 10 ms */
    const char *archive_directory;  /* copied; NULL: the log is not archived */
    uint64_t archive_timeout_us;    /* what is durable is in the archive after this time; default 60 s */
    uint64_t archive_limit;     /* bytes that may wait for the archive before writers fail; 0: 16 times max_wal_size */
};

/* ---- append --------------------------------------------------------------------------------------- */

/* Makes sure that `bytes` more of log can be appended without failing, also when they turn out to be undo.
 * Fails with 53100 (disk full) or 58030 (broken log).  Balance every call with wal_unreserve of the same bytes once the
 * records have been appended.  May write and wait, also for a checkpoint when the log has grown far, until op is cancelled: hold
 * no page latch, and no mutex that a checkpoint takes. */
int wal_reserve(struct op *op, struct wal *wal, uint64_t bytes) MUST_CHECK;
/* The same for undo, which may take half of the room that others must leave, so that it gets through on a full disk. */
int wal_reserve_undo(struct op *op, struct wal *wal, uint64_t bytes) MUST_CHECK;
void wal_unreserve(struct wal *wal, uint64_t bytes);

/* Of what is reserved just now, `bytes` stay reserved for the undo of what was appended.  The caller gives back its whole
 * reservation as ever. */
void wal_promise(struct wal *wal, struct wal_chain *chain, uint64_t bytes);
/* Makes a promise of undo a reservation, to be given back by wal_unreserve.  False when the chain has no such promise (one of
 * before a restart, for which there was no room): reserve then. */
bool wal_redeem(struct wal *wal, struct wal_chain *chain, uint64_t bytes) MUST_CHECK;
/* Promises again what the undo of a loser takes.  Waits for nobody; on a full disk there is no promise, which is no failure. */
int wal_renew_promise(struct op *op, struct wal *wal, struct wal_chain *chain, uint64_t bytes) MUST_CHECK;
/* Nothing of the chain will be undone any more. */
void wal_forget_promises(struct wal *wal, struct wal_chain *chain);

/* Appends one record made of `parts` and links it to the chain (chain NULL: a system record, txn 0).  Cannot fail: the
 * space was reserved.  May be called with page latches held; when the buffer is full it writes the log out (no sync
 * needed to free buffer space).  Thread-safe.  Returns the record's LSN. */
Lsn wal_append(struct wal *wal, struct wal_chain *chain, uint8_t type, uint8_t flags, const struct bytes *parts,
               int part_count);
/* The same for a compensation record; undo_next is the prev of the record that was undone. */
Lsn wal_append_clr(struct wal *wal, struct wal_chain *chain, uint8_t type, Lsn undo_next, const struct bytes *parts,
                   int part_count);
/* As wal_append, calling `ordered(arg, lsn)` while the position is held, so that a commit's LSN and its place in the
 * commit order are one step: no other record gets an LSN in between. `ordered` must be short
 * and take no latch: it is called under RANK_WAL_BUFFER. */
Lsn wal_append_ordered(struct wal *wal, struct wal_chain *chain, uint8_t type, const struct bytes *parts,
                       int part_count, void (*ordered)(void *arg, Lsn lsn), void *arg);

/* ---- durability ----------------------------------------------------------------------------------- */

/* Returns once the record that begins at lsn is durable: one caller leads and writes for all who wait, the others
 * spin briefly, then sleep.  Fails with 58030 when the log is broken.  Page latches may be held (eviction does). */
int wal_flush(struct op *op, struct wal *wal, Lsn lsn) MUST_CHECK;
/* The end of what is durable: every record with lsn < this is. Any thread, no latch. */
Lsn wal_durable_end(const struct wal *wal);
/* The LSN that the next record will get. */
Lsn wal_end(const struct wal *wal);
bool wal_is_broken(const struct wal *wal);

/* ---- reading -------------------------------------------------------------------------------------- */

/* Reads the record at lsn, from the buffer or the file; its payload lives in the arena.  XX001 when damaged. */
int wal_read(struct op *op, struct wal *wal, Lsn lsn, struct arena *arena, struct wal_record *record) MUST_CHECK;

/* ---- rollback ------------------------------------------------------------------------------------- */

/* The layers above register what recovery and rollback call; filled at open, constant afterwards. */
struct wal_handlers {
    void *context;
    /* Bring every page that the record names up to it: fix it, apply unless its page LSN is already >= lsn, and mark
     * it dirty in either case (R2). */
    int (*redo)(void *context, struct op *op, const struct wal_record *record);
    /* Undo one WAL_UNDOABLE record and append exactly one CLR with undo_next = record->prev to the chain.  May only
     * fail for damage or a broken log. */
    int (*undo)(void *context, struct op *op, struct wal_chain *chain, const struct wal_record *record);
    /* At restart, ahead of redo: the record will be redone; then, after some of them, NULL: ask for their pages now.  NULL: no use. */
    void (*foresee)(void *context, const struct wal_record *record);
    /* At restart, now and then: how far redo has come.  NULL: nobody wants to know. */
    void (*progress)(void *context, uint64_t done, uint64_t total);
};

/* A walk over what is not undone of a chain, newest first, through copies where the records themselves are gone.  While it lasts
 * the chain is not carried forward; so let it be short, or end. */
struct wal_walk {
    struct wal *wal;
    struct wal_chain *chain;
    Lsn at;                 /* the next record */
    Lsn copy;               /* the newest copy that is still ahead */
    uint32_t misses;        /* records that were not in the window */
    uint8_t *window;        /* a piece of the log file: stream bytes low .. high */
    Lsn low, high;
};
void wal_walk_begin(struct wal *wal, struct wal_chain *chain, struct wal_walk *walk);
/* The next record that is undoable; records at `stop` and before are not looked at.  Its payload lives in the arena. */
int wal_walk_next(struct op *op, struct wal_walk *walk, Lsn stop, struct arena *arena, struct wal_record *record,
                  bool *found) MUST_CHECK;
void wal_walk_end(struct wal_walk *walk);

/* Undoes the chain's records newer than `stop` (0: all). The one path of rollback: live, to a savepoint, and at
 * restart.  Does not write the WAL_ABORT record. */
int wal_rollback(struct op *op, struct wal *wal, const struct wal_handlers *handlers, struct wal_chain *chain,
                 Lsn stop) MUST_CHECK;

/* ---- checkpoints and restart ---------------------------------------------------------------------- */

/* What a checkpoint remembers beside the redo point. */
struct wal_checkpoint_state {
    TxnId next_txn;
    TreeId next_tree;
    Lsn redo;                       /* restart begins to read here */
    CommitTs newest_commit;
    size_t chain_count;
    struct wal_chain *chains;       /* transactions in progress that have written; in the op's arena */
};

/* After analysis and redo: who was in progress. */
struct wal_restart {
    struct wal_checkpoint_state state;  /* brought forward to the end of the log; chains are the losers */
    Lsn end;                            /* where the log goes on */
    bool was_clean;
    uint64_t records_redone;
    uint64_t bytes_cut;                 /* bytes of unproved tail that were cut */
    bool damaged;                       /* tolerant: it was damaged there, below a proof of durability */
    Lsn cut_at;                         /* where no valid record began: the end of what was read */
};

#endif
