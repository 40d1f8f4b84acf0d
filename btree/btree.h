/*
 * btree.h -- trees of records (key, value) in the pages of a store.
 *
 * One structure serves tables and indexes.  The page holds the newest version of each record, committed or not; the
 * layer above (txn/) keeps older ones and decides under the leaf's latch what a transaction may see or change.
 *
 * B1  Keys of a leaf are strictly ascending and lie in [low fence, high fence).
 * B2  A tree's root page never moves; its pages at one level cover the key space without gap or overlap.
 * B3  A change of a record is logged (redo and undo in one record) before the leaf's latch is released.
 * B4  Splits, merges and root changes are system transactions: one redo-only log record each, never undone.
 * B5  Undo finds its record again by (tree, key): it may have moved to another page meanwhile.
 * B6  An overflow chain is immutable; an update writes a new one.
 * B7  An overflow chain is owned by exactly one record, ghosts included, or by one entry of the graveyard: nothing leaks.
 */
#ifndef ISOLDE_BTREE_H
#define ISOLDE_BTREE_H

#include "btree/store.h"

/* Flags of a record on the page. */
enum {
    BTREE_GHOST = 1,        /* deleted; kept until purge removes it */
    BTREE_VERSIONED = 2,    /* hint, unlogged: older versions or locks may be in the version store */
    BTREE_OVERFLOW = 4,     /* the value is a reference to an overflow chain */
};

/* A record as it stands on a latched leaf.  `key` and `value` are valid only until the callback returns. */
struct btree_record {
    struct bytes key;
    struct bytes value;     /* inline value, or with BTREE_OVERFLOW the reference (see btree_read_overflow) */
    uint8_t flags;
    PageNo leaf;
};

/* An interval of keys.  NULL data = unbounded on that side. */
struct btree_range {
    struct bytes low, high;
    bool low_inclusive, high_inclusive;
};

/* ---- trees ---------------------------------------------------------------------------------------- */

/* A new empty tree, entered in the directory of trees.  Logged in the chain: undoing it drops the tree. */
int btree_create(struct op *op, struct store *store, struct wal_chain *chain, TreeId *tree_id) MUST_CHECK;
/* The handle of a tree: cheap, cached, valid until btree_drop or store_close. XX000 when there is no such tree. */
int btree_open(struct op *op, struct store *store, TreeId tree_id, struct btree **tree) MUST_CHECK;
/* Frees every page and the directory entry, at once, in system transactions; going on after a crash needs another call (absent
 * is fine).  Nobody may be using the tree. */
int btree_drop(struct op *op, struct store *store, TreeId tree_id) MUST_CHECK;
TreeId btree_id(const struct btree *tree);
/* Longest key that a tree of this store takes: a quarter of the usable page.  Longer: 54000 by btree_change. */
size_t btree_key_max(const struct store *store);

/* ---- reading -------------------------------------------------------------------------------------- */

/* Calls visit(arg, record) under the leaf's shared latch with the record of exactly this key, ghosts included, or with NULL
 * when there is none (the latch of the leaf where it would be is held then too). */
int btree_get(struct op *op, struct btree *tree, struct bytes key,
              int (*visit)(void *arg, struct op *op, const struct btree_record *record), void *arg) MUST_CHECK;

struct btree_visitor {
    void *arg;
    /* Before the records of a leaf, under its latch: the part of the key space that will be visited now is
     * [from, to) going forwards, or (from, to] read backwards; NULL data = the end of the range or of the tree.  May be NULL. */
    int (*enter_leaf)(void *arg, struct op *op, PageNo leaf, const struct btree_range *covered);
    /* Each record in order, ghosts included.  *stop = true ends the visit after this one; the cursor goes on behind it. */
    int (*record)(void *arg, struct op *op, const struct btree_record *record, bool *stop);
    /* Behind the last record, if none has stopped the visit, still under the latch.  May be NULL. */
    void (*leave_leaf)(void *arg, const struct btree_range *covered);
};

/* A position between records of a range; no latch is held between calls.  Embedded; btree_cursor_close frees its key. */
struct btree_cursor {
    struct btree *tree;
    struct btree_range range;       /* borrowed from the caller, must outlive the cursor */
    bool backward;
    bool done;
    bool started;
    uint8_t *position;              /* last key visited, or the fence reached */
    size_t position_len, position_capacity;
    bool position_visited;          /* position is a record already visited, not a fence */
    PageNo hint_leaf;               /* where it stood: a shortcut that is checked against the leaf's fences */
    uint8_t fixed[64];
};

void btree_cursor_open(struct btree_cursor *cursor, struct btree *tree, const struct btree_range *range, bool backward);
/* Visits the records of the next leaf of the range (one leaf per latch). *more is false when the range is exhausted. */
int btree_cursor_next_leaf(struct op *op, struct btree_cursor *cursor, const struct btree_visitor *visitor, bool *more)
    MUST_CHECK;
/* The key at which (inclusive) or beyond which the next visit begins; NULL data: at the end of the tree. */
struct bytes btree_cursor_at(const struct btree_cursor *cursor, bool *inclusive);
/* Goes on at `bound` (backwards: right below it), or is at the end when the range ends before. */
int btree_cursor_skip(struct op *op, struct btree_cursor *cursor, struct bytes bound) MUST_CHECK;
void btree_cursor_close(struct btree_cursor *cursor);

/* Reads a value that lies in an overflow chain into the arena.  Without the leaf's latch only while purge cannot free the chain (a
 * snapshot that sees the record is published); the latch of its own leaf suffices as well. */
int btree_read_overflow(struct op *op, struct store *store, struct bytes reference, struct arena *arena,
                        struct bytes *value) MUST_CHECK;
/* Total bytes of the value behind a reference. */
uint64_t btree_overflow_size(struct bytes reference);

/* ---- changing ------------------------------------------------------------------------------------- */

enum btree_change_kind {
    BTREE_INSERT,           /* the key gets a record with this value; absent or ghost before */
    BTREE_UPDATE,           /* live before, new value */
    BTREE_DELETE,           /* live before; becomes a ghost (which keeps its old value) */
};

struct btree_change {
    enum btree_change_kind kind;
    struct bytes key, value;        /* value of any size: long ones are put in an overflow chain first */
    uint8_t set_flags;              /* BTREE_VERSIONED or 0 */
    bool at_end;                    /* set before `judge`: the key lies behind every record of the tree, ghosts included */
    void *arg;
    /* Under the leaf's exclusive latch, before anything is changed: `before` is the record as it stands, or NULL when absent.  *apply =
     * false leaves everything as it is.  May change kind, value and set_flags of the change, but not make the value longer. May be
     * called more than once (after a split); must be repeatable until `applied`. May be NULL. */
    int (*judge)(void *arg, struct op *op, const struct btree_record *before, struct btree_change *change, bool *apply);
    /* Under the same latch, after the change: lsn of its log record, and the record as it stands now.  Cannot fail. May be NULL. */
    void (*applied)(void *arg, Lsn lsn, const struct btree_record *now);
};

/* Finds the leaf, makes room (splitting as needed), asks `judge`, logs, applies.  chain: the transaction's (undoable).  With
 * chain NULL the change is a system transaction (redo-only; no long values).  *applied tells whether it was. */
int btree_change(struct op *op, struct btree *tree, struct wal_chain *chain, struct btree_change *change, bool *applied)
    MUST_CHECK;
/* As BTREE_INSERT of a new key but redo-only though it belongs to a transaction: for a tree that the same transaction created and
 * that nobody else can see (index builds).  Fast for ascending keys.  *added is false when the key exists.  txn: that transaction; until
 * a long value's chain is in the tree it lies in the graveyard, and must not be freed from there by whoever passes. */
int btree_load(struct op *op, struct btree *tree, TxnId txn, struct bytes key, struct bytes value, bool *added) MUST_CHECK;

/* Physically removes the ghost of this key if `judge` (under the leaf's exclusive latch; NULL = yes) agrees; merges the leaf with
 * a neighbour when it has become too empty.  A system transaction. */
int btree_purge(struct op *op, struct btree *tree, struct bytes key,
                int (*judge)(void *arg, struct op *op, const struct btree_record *ghost, bool *remove), void *arg,
                bool *removed) MUST_CHECK;
/* Clears BTREE_VERSIONED if `judge` agrees under the latch: unlogged, dirties nothing.  Gives up without waiting for a latch. */
void btree_clear_versioned(struct btree *tree, PageNo leaf, struct bytes key,
                           bool (*judge)(void *arg, const struct btree_record *record), void *arg);
/* ---- the graveyard -------------------------------------------------------------------------------- */

/* What a transaction makes obsolete, or leaves behind when undone, lies in a logged tree, the graveyard, under its TxnId until nobody
 * needs it: overflow chains get there and out again by btree_change, btree_purge and rollback themselves. */

/* Enters a tree that this transaction drops: its pages are freed by btree_free_graves later.  Undoing it takes the tree back out. */
int btree_bury(struct op *op, struct store *store, struct wal_chain *chain, TreeId tree_id) MUST_CHECK;
/* Frees what was buried by transactions for which dead(arg, txn) is true: they have ended, and no snapshot sees what was before
 * their end (losers that are rolled back count as ended).  Call it now and then, and after a restart; a crash in between loses nothing.
 * *freed counts chains and trees. */
int btree_free_graves(struct op *op, struct store *store, bool (*dead)(void *arg, TxnId txn), void *arg,
                      uint64_t *freed) MUST_CHECK;
/* True once something has been buried since btree_free_graves last began with nothing to do: whether a call may be worth it. */
bool btree_has_graves(const struct store *store);

/* ---- row operations in the log -------------------------------------------------------------------- */

/* What one logged row operation was: for rebuilding the version entries of losers at restart, and a change stream. */
struct btree_row_log {
    TreeId tree;
    enum btree_change_kind kind;
    struct bytes key;
    bool had_before, before_ghost;
    struct bytes before, after;     /* stored form: with the OVERFLOW flag they are references */
    uint8_t before_flags, after_flags;
    PageNo page;                    /* decoded: the leaf on which it was done */
};
/* False when the record is not a row operation. */
bool btree_decode_row_log(const struct wal_record *record, struct btree_row_log *row);
/* Bytes of log that undoing it takes at most, if no page has to be split. */
uint64_t btree_undo_bytes(const struct btree_row_log *row);

/* ---- ghosts that nobody has told of --------------------------------------------------------------- */

/* Were leaves with ghosts met by redo or by the scrub? */
bool btree_has_ghost_pages(struct store *store);
/* Takes one of them off the list and calls see for each ghost on it, without latches; *any is false when the list is empty. */
int btree_take_ghost_page(struct op *op, struct store *store,
                          int (*see)(void *arg, struct op *op, TreeId tree, struct bytes key), void *arg, bool *any) MUST_CHECK;

/* ---- statistics and checking ---------------------------------------------------------------------- */

struct btree_stats {
    uint64_t leaf_pages, inner_pages, overflow_pages, records, ghosts;
    unsigned height;
};
int btree_stats(struct op *op, struct btree *tree, struct btree_stats *stats) MUST_CHECK;
/* A cheap estimate of the number of records and leaf pages (from a few descents); for the planner. */
int btree_estimate(struct op *op, struct btree *tree, uint64_t *records, uint64_t *leaf_pages) MUST_CHECK;
/* Fraction (0..1) of the tree's records that lie in the range, estimated from the path of both bounds. */
int btree_estimate_range(struct op *op, struct btree *tree, const struct btree_range *range, double *fraction) MUST_CHECK;

#endif
