/*
 * buf_open.h -- opening, restart, checkpoints and closing of the database file and the log that it names.
 *
 * The order in which the layer above calls:
 *
 *      buf_open            opens (or creates) app.db, locks it, checks its header; opens or makes the log;
 *                          restores torn pages from app.db-dw
 *      buf_restart         runs wal_restart with the layer's redo handler; does nothing but fill in the
 *                          state when the file was closed cleanly
 *      buf_start_background
 *      ...                 buf_checkpoint now and then
 *      buf_close or buf_abandon
 *
 * The log belongs to the pool: it is opened and closed with it.
 */
#ifndef ISOLDE_BUF_BUF_OPEN_H
#define ISOLDE_BUF_BUF_OPEN_H

#include "src/buf/buf.h"
#include "src/buf/header.h"
#include "wal/wal_open.h"

struct buf_options {
    struct vfs *vfs;
    const char *path;           /* "app.db"; "-wal" and "-dw" are appended for the files beside it */
    bool create;                /* make the file when absent; else 58P01 */
    uint32_t page_size;         /* at creation; 0 = default */
    uint32_t reserved_bytes;    /* at creation; per page */
    uint64_t cache_size;        /* bytes of frames; 0 = 64 MiB, at least 16 frames */
    bool finishing;             /* the file may be an unfinished backup, which others are refused */
    struct wal_options wal;     /* zeros = defaults */
    bool tolerant;              /* salvage: a damaged log is read as far as it goes */
    bool read_only;             /* features that are read-only compatible need not be known; the vfs keeps writes to itself */
};

/* 58P01 absent, 55006 another process (or handle) has it open (DETAIL: pid and host), XX002 not a database
 * file, 0A000 newer format or unknown features, XX001 damage or a missing or foreign log, 22023 bad option. */
int buf_open(struct op *op, const struct buf_options *options, struct buf **buf) MUST_CHECK;
struct wal *buf_wal(struct buf *buf);
const struct header_identity *buf_identity(const struct buf *buf);
/* True when buf_open has just made the file: it holds page 0 only, and the layer above must build its own
 * first pages. */
bool buf_is_new(const struct buf *buf);

/* Between buf_open and the end of buf_restart, buf_fix_new also makes the file longer as needed, so that redo
 * can rebuild pages whose place was lost with the power.  Chains of losers live in the arena. */
int buf_restart(struct op *op, struct buf *buf, const struct wal_handlers *handlers, struct arena *arena,
                struct wal_restart *restart) MUST_CHECK;

/* Asks the disk for pages that will soon be fixed: page numbers in ascending order, each once.  A hint. */
void buf_prefetch(struct buf *buf, const PageNo *pages, size_t count);

/* What a checkpoint asks of the layers above: fill next_txn, next_tree, newest_commit and the chains (op's
 * arena) of every transaction that has appended a record but not yet its COMMIT or ABORT.  May list more (one
 * that is just committing: restart sees its COMMIT), never fewer; a chain's `last` may be stale but not newer
 * than the truth. `redo` is set by the checkpoint. */
struct buf_checkpoint_hooks {
    void *context;
    int (*collect)(void *context, struct op *op, struct wal_checkpoint_state *state);
    /* Carries old undo records forward (wal_carry), so that log below `redo` is not kept for them; NULL: nobody does. */
    int (*carry)(void *context, struct op *op, Lsn redo);
};

/* One fuzzy checkpoint: writes the pages that are dirty now, moves the redo point, notes it in the file
 * header, lets the log reuse its older segments, cuts the file as buf_truncate_later asked.  Nobody waits for
 * it.  Hold no latch. */
int buf_checkpoint(struct op *op, struct buf *buf, const struct buf_checkpoint_hooks *hooks) MUST_CHECK;
/* Enough log has been written since the last checkpoint for the next one. Any thread. */
bool buf_checkpoint_due(const struct buf *buf);

/* Starts the background writer and the log's thread.  When a checkpoint is due, the writer calls
 * checkpoint(context, op); NULL: never. */
int buf_start_background(struct op *op, struct buf *buf, int (*checkpoint)(void *context, struct op *op), void *context)
    MUST_CHECK;
/* Stops them and waits for what they were at.  buf_close does it too; for layers that must go first. */
void buf_stop_background(struct buf *buf);

/* Clean close: checkpoint with no transaction in progress, mark the file clean, remove log and double-write
 * file. Frees everything whatever happens; on an error the log stays and the next open restarts from it. */
int buf_close(struct op *op, struct buf *buf, const struct buf_checkpoint_hooks *hooks) MUST_CHECK;
/* Frees everything without writing: as if the process were killed. */
void buf_abandon(struct buf *buf);

/* Reads a page that is not in memory into `page`, under its latch and past the frames.  *cold is false when it is in memory, or
 * busy; *rule says what is wrong with it, NULL: nothing. */
int buf_read_cold(struct op *op, struct buf *buf, PageNo page_no, uint8_t *page, bool *cold, const char **rule) MUST_CHECK;

/* ---- for views and tests -------------------------------------------------------------------------- */

struct buf_stats {
    uint64_t frames, used, dirty;
    uint64_t hits_missed;           /* pages read from disk */
    uint64_t pages_written, batches, evictions, checkpoints;
    Lsn redo;                       /* of the newest checkpoint */
};
void buf_stats(struct buf *buf, struct buf_stats *stats);

/* Where the page sums of a page are right: NULL, or the rule that is broken.  `page_no` is what its place says. */
const char *page_verify(const uint8_t *page, uint32_t page_size, PageNo page_no);
void page_set_checksum(uint8_t *page, uint32_t page_size);

#endif
