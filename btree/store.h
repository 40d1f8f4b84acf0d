/*
 * store.h -- one open database file with its log: open order, restart, checkpoints, close.
 *
 * The store ties src/os, wal, src/buf and btree together; the layers above see trees in it.
 */
#ifndef ISOLDE_BTREE_STORE_H
#define ISOLDE_BTREE_STORE_H

#include "src/buf/buf.h"
#include "src/os/os.h"
#include "wal/wal.h"

struct btree_row_log;

struct store;
struct btree;

/* How far opening has come, when it takes long. */
struct store_progress {
    const char *phase;              /* a few words: what is being done */
    int percent;                    /* of this phase */
    double seconds_left;            /* of this phase, at the speed so far */
};

struct store_options {
    struct vfs *vfs;
    const char *path;               /* "app.db"; "app.db-wal", "app.db-dw" and "app.db-tmp" lie beside it */
    uint32_t page_size;             /* at creation only; 0 = 8 KiB */
    uint64_t cache_size;            /* bytes of frames; 0 = 64 MiB */
    struct wal_options wal;         /* zeros = defaults */
    bool create;                    /* make the file when absent; else 58P01 */
    bool tolerant;                  /* salvage: a damaged log, and damaged pages met by restart, are passed over */
    bool read_only;                 /* of buf_options: the vfs keeps writes to itself */
    bool no_background;             /* tests: no background writer, no checkpointer thread */
    /* Called in the opening thread once a restart has taken a second, then ten times a second at most; NULL: not. */
    void (*progress)(void *arg, const struct store_progress *progress);
    void *progress_arg;
    bool finishing;                 /* completes a backup: the file may be one that is refused otherwise */
};

/* What btree/ calls in the layer above while it undoes a row operation; NULL functions are skipped. */
struct store_hooks {
    void *context;
    /* The record of `key` was restored by rollback; called under the leaf's exclusive latch (V1: pop the entry here).
     * Returns the flags that the restored record keeps (BTREE_VERSIONED or 0). */
    uint8_t (*undone)(void *context, TxnId txn, TreeId tree, struct bytes key, Lsn undone_lsn);
    /* Transactions in progress, for a checkpoint: fills chains (op's arena), chain_count and next_txn. */
    int (*collect)(void *context, struct op *op, struct wal_checkpoint_state *state);
    /* Before that: carries forward the undo records below `redo` of those whom it can (wal_carry). */
    int (*carry)(void *context, struct op *op, Lsn redo);
};

/* Opens (after restart if need be) or creates.  Errors: 58P01 absent, XX001 damage, 55006 another process has it (DETAIL:
 * pid and host), 0A000 newer format, 22023 bad option, XX002 not a database file. */
int store_open(struct op *op, const struct store_options *options, struct store **store) MUST_CHECK;
/* The layer above is ready: hooks are called from now on.  Losers wait in store_restart() for their rollback. */
void store_set_hooks(struct store *store, const struct store_hooks *hooks);
/* For the layer above, while it opens: the same call, done of total, with the caller's phase. */
void store_tell_progress(struct store *store, const char *phase, uint64_t done, uint64_t total);
const struct wal_restart *store_restart(const struct store *store);
/* Log records that a tolerant restart could not apply. */
uint64_t store_skipped(const struct store *store);
/* Rolls a chain back to `stop` (0: wholly), with CLRs, through the handlers of btree/. */
int store_rollback(struct op *op, struct store *store, struct wal_chain *chain, Lsn stop) MUST_CHECK;
/* What store_rollback allocates for one record, from its op's arena: the caller that has it there beforehand needs no memory to undo,
 * provided that the trees are known (store_prepare_undo). */
size_t store_undo_bytes(const struct store *store);
/* Pages that undo of the change will need, counted for one row after the other of a loser's chain; and promising all of them
 * again, with the bytes of log.  On a full disk there is no promise, which is no failure. */
uint64_t store_count_undo(const struct store *store, struct wal_chain *chain, const struct btree_row_log *row);
int store_renew_promises(struct op *op, struct store *store, struct wal_chain *chain, uint64_t log_bytes, uint64_t pages) MUST_CHECK;
/* Nothing of the chain will be undone any more: what was kept for that, log and pages, is free. */
void store_forget_promises(struct store *store, struct wal_chain *chain);
/* Before a record of a loser is undone, and as early as one likes: makes ready in memory what that will need. */
int store_prepare_undo(struct op *op, struct store *store, const struct wal_record *record) MUST_CHECK;
/* One fuzzy checkpoint now; returns when it is complete. */
int store_checkpoint(struct op *op, struct store *store) MUST_CHECK;
/* Clean close: flushes, checkpoints, marks the file clean and removes the log and the double-write file. No
 * transaction may be in progress.  Frees the store whatever happens; an error says what was not done (the log then stays). */
int store_close(struct op *op, struct store *store) MUST_CHECK;
/* Frees everything without writing anything: as if the process were killed. */
void store_abandon(struct store *store);

struct buf_backup;
/* As buf_backup_begin (src/buf/buf_backup.h), with the store's hooks. */
int store_backup_begin(struct op *op, struct store *store, struct buf_backup *backup) MUST_CHECK;

/* A thread of its own that reads, at `rate` bytes per second, pages that are not in memory. Ended by store_stop_scrub, or when the store
 * is closed. */
struct store_scrub {
    uint64_t rate;                  /* not 0 */
    uint64_t pause_us;              /* before the first pass and between two; 0: seconds at first, then an hour */
    void *arg;
    /* From that thread: a page is damaged; tree 0: not known whose. */
    void (*damaged)(void *arg, PageNo page, TreeId tree, const char *rule);
};
/* What the scrub has done since the store was opened, and the pages that it found damaged last. */
enum { STORE_DAMAGE_MAX = 64 };
struct store_scrub_state {
    uint64_t passes, pages_read, damaged;       /* damaged: distinct pages, as long as they are listed */
    PageNo page;                                /* where it stands; 0: between two passes */
    int count;
    struct store_damage {
        PageNo page;
        TreeId tree;                            /* 0: not known whose */
        const char *rule;
    } list[STORE_DAMAGE_MAX];
};
void store_scrub_state(struct store *store, struct store_scrub_state *state);
int store_start_scrub(struct op *op, struct store *store, const struct store_scrub *options) MUST_CHECK;
void store_stop_scrub(struct store *store);

struct wal *store_wal(struct store *store);
struct buf *store_buf(struct store *store);
struct vfs *store_vfs(struct store *store);
const char *store_path(const struct store *store);      /* as given to store_open */

/* Pages by use, for views and tests. */
struct store_space {
    uint64_t pages, free_pages;
};
int store_space(struct op *op, struct store *store, struct store_space *space) MUST_CHECK;

/* CHECK: every page reached exactly once or free; every invariant of every tree.  Exact beside any number of threads that
 * read, change, create and drop meanwhile.  One check at a time: 55006. */
struct store_checker {
    void *arg;
    void (*report)(void *arg, TreeId tree, const char *line);           /* each finding; tree 0: of none; may be NULL */
    void (*progress)(void *arg, uint64_t pages, uint64_t all_pages);    /* now and then; may be NULL */
};
int store_check_with(struct op *op, struct store *store, const struct store_checker *checker, uint64_t *findings) MUST_CHECK;
int store_check(struct op *op, struct store *store, void (*report)(void *arg, const char *line), void *arg,
                uint64_t *findings) MUST_CHECK;

#endif
