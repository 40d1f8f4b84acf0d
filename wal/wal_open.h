/*
 * wal_open.h -- birth, restart, checkpoints and end of a log: for src/buf, whose file header names the log.
 *
 * Life of a log:   wal_create                     (beside a clean database file)
 *             or   wal_open, wal_restart          (beside an unclean one)
 *           then   appends, wal_checkpoint + wal_release from time to time
 *           then   wal_close and removal of the file, or wal_abandon.
 */
#ifndef ISOLDE_WAL_WAL_OPEN_H
#define ISOLDE_WAL_WAL_OPEN_H

#include "wal/wal.h"

/* What binds a log to its database file; both names are random and in the heads of both files. */
struct wal_identity {
    uint8_t database_id[16];
    uint64_t log_id;            /* a log never outlives a clean close, so each has a new id */
    uint64_t timeline_id;       /* of the database's history; names files of the archive */
};

/* Makes a new log file (replacing a left-over one) whose first LSN lies beyond `highest`, and syncs it. */
int wal_create(struct op *op, struct vfs *vfs, const char *path, const struct wal_identity *identity, Lsn highest,
               const struct wal_options *options, struct wal **wal) MUST_CHECK;
/* Opens an existing log and syncs it; only wal_restart may follow.  58P01 when the file is missing, XX001
 * when it is damaged or belongs to another database. */
int wal_open(struct op *op, struct vfs *vfs, const char *path, const struct wal_identity *identity,
             const struct wal_options *options, struct wal **wal) MUST_CHECK;

/* Where restart begins, from the database file's newest checkpoint slot. */
struct wal_start {
    Lsn checkpoint;             /* of the newest WAL_CHECKPOINT record; 0: none since the log was created */
    Lsn redo;                   /* records from here on are redone */
    Lsn proven;                 /* everything below was durable: a cut below is damage (R4) */
    bool tolerant;              /* salvage: damage below a proof ends the log too */
};

/* Analysis and redo: reads from start->redo to the end, hands every record that is not the log's own to handlers->redo
 * (CLRs and rows too; the handler ignores what names no page), and begins a new epoch behind the end (R3).  `restart` is
 * filled; chains of losers live in `arena`.  state.next_tree is the checkpoint's: the redo handler sees tree creations itself. */
int wal_restart(struct op *op, struct wal *wal, const struct wal_start *start, const struct wal_handlers *handlers,
                struct arena *arena, struct wal_restart *restart) MUST_CHECK;

/* Starts the thread that flushes for those who do not wait (wal_flush_delay) and preallocates segments ahead. */
int wal_start_background(struct op *op, struct wal *wal) MUST_CHECK;
/* Flushes, stops the thread, frees.  The file stays. */
int wal_close(struct op *op, struct wal *wal) MUST_CHECK;
/* Frees without writing anything. */
void wal_abandon(struct wal *wal);

/* Appends a WAL_CHECKPOINT record and makes it durable. */
int wal_checkpoint(struct op *op, struct wal *wal, const struct wal_checkpoint_state *state, Lsn *lsn) MUST_CHECK;
/* Who wants a change while the log takes most of max_wal_size calls hurry(arg), which brings a checkpoint about, and
 * waits for it.  NULL: nobody waits. Call before other threads append, or when they do no more. */
void wal_pace(struct wal *wal, void (*hurry)(void *arg), void *arg);
/* Does somebody wait for a checkpoint? */
bool wal_awaits_checkpoint(const struct wal *wal);
/* What the copies of one checkpoint may take: so much is kept for them. */
uint64_t wal_carry_room(const struct wal *wal);
/* No checkpoint can be had just now: nobody waits until the redo point has moved. */
void wal_give_up(struct wal *wal);
/* Restart would begin to read at `redo` now. */
void wal_set_redo(struct wal *wal, Lsn redo);
uint32_t wal_buffer_size(const struct wal *wal);
/* What restart must be able to read for this state: min(redo, chain.first of all chains). */
Lsn wal_oldest_needed(const struct wal_checkpoint_state *state);
/* Appends copies of the chain's undo records, so that nothing older than the end of the log of before is needed for its rollback.
 * *carried is how many bytes that took; 0 when the chain is being walked for long, when its records take more than `budget`
 * bytes, or when the disk is full: then it stays as it was.  Any thread, one at a time. */
int wal_carry(struct op *op, struct wal *wal, struct wal_chain *chain, uint64_t budget, uint64_t *carried) MUST_CHECK;
/* The end of the log; what was appended before it is entered in its chain, or has been ordered. */
Lsn wal_settled_end(struct wal *wal);
/* Segments that lie wholly below `oldest` may be overwritten from now on; gives disk space beyond max_wal_size
 * back. */
void wal_release(struct wal *wal, Lsn oldest);

/* Breaks the log (W5) because something else that commits rely on has failed: the cause of op's error is kept. */
void wal_break(struct wal *wal, const struct op *cause);

uint64_t wal_room(const struct wal *wal);               /* bytes of records that a file of that size has room for */
uint64_t wal_file_size(const struct wal *wal);          /* bytes on disk now */

/* Who has the database open: for the error that a second process gets.  *pid is 0 when it cannot be told. */
void wal_read_owner(struct vfs *vfs, const char *path, uint64_t *pid, char *host, size_t host_size);

/* Walks all records from `from` (a record's LSN) to the end; for views and tools.  visit: *stop = true ends
 * the walk. */
int wal_scan(struct op *op, struct wal *wal, Lsn from,
             int (*visit)(void *arg, struct op *op, const struct wal_record *record, bool *stop), void *arg) MUST_CHECK;

#endif
