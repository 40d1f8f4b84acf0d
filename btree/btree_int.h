/*
 * btree_int.h -- what the files of btree/ share: the store, its trees, searches, structure modifications.
 *
 * Order in which page latches are taken (all are of RANK_PAGE; a thread takes only later ones than it holds):
 *
 *      1. leaf of the directory of trees
 *      2. pages of one user tree, parent before child, left before right
 *      3. pages of the graveyard, in the same order
 *      4. new pages and overflow pages (nobody else looks for them)
 *      5. pages of the free map, by number
 */
#ifndef ISOLDE_BTREE_INT_H
#define ISOLDE_BTREE_INT_H

#include <stdatomic.h>

#include "btree/btree.h"
#include "btree/node.h"
#include "src/buf/buf_open.h"

/* ---- well-known places ---------------------------------------------------------------------------- */

enum {
    SPACE_FIRST_MAP = 1,        /* page of the first piece of the free map */
    DIRECTORY_ROOT = 2,
    GRAVEYARD_ROOT = 3,
    FIRST_FREE_PAGE = 4,

    DIRECTORY_TREE = 1,         /* tree id, 8 bytes big-endian -> page number of its root, u64 */
    GRAVEYARD_TREE = 2,         /* see graveyard.c */
    FIRST_USER_TREE = 16,
};

enum { BTREE_HEIGHT_MAX = 40 };

/* ---- log records ---------------------------------------------------------------------------------- */

enum {
    LOG_PAGES = WAL_BTREE_FIRST,    /* a structure modification: actions on pages */
    LOG_ROW,                        /* a row operation, undoable unless of a system transaction: see row.c */
    LOG_ROW_UNDONE,                 /* its compensation: actions */
    LOG_CREATE,                     /* a new tree, undoable: tree id, actions */
    LOG_CREATE_UNDONE,              /* its compensation: nothing left to do */
};

/* An action changes one page in a way that redo can repeat.  In the log: code u8, page varint, then what is said here
 * (numbers as varints, runs of bytes as length and bytes). */
enum action {
    ACTION_IMAGE = 1,   /* run, run: the page is made anew of the two ends of its image (node_image) */
    ACTION_CUT,         /* slot, run separator: node_cut */
    ACTION_PUT_CHILD,   /* child, run key: a child is entered in an inner node */
    ACTION_DROP_CHILD,  /* slot: an entry of an inner node goes */
    ACTION_TRIM,        /* slot: entries from here on go */
    ACTION_SET,         /* flags, run key, run value: a record is put, replacing any of that key */
    ACTION_FLAGS,       /* flags, run key: a record's flags are changed */
    ACTION_REMOVE,      /* run key: a record goes */
    ACTION_USE,         /* page number: taken, in this page of the free map */
    ACTION_FREE,        /* page number: free, in this page of the free map */
    ACTION_RETIRE,      /* the page's type becomes PAGE_FREE, so that a stale hint does not take it for a leaf */
};

enum { LOG_PART_MAX = 40, LOG_HEAD_BYTES = 1400 };

/* A record under construction: small things are copied into `head`, large ones borrowed until it is appended. */
struct log_record {
    struct bytes parts[LOG_PART_MAX];
    int part_count;
    uint8_t head[LOG_HEAD_BYTES];
    size_t used;
    size_t open;                /* start in `head` of what is not yet in parts */
};

void log_begin(struct log_record *record);
void log_u8(struct log_record *record, uint8_t value);
void log_number(struct log_record *record, uint64_t value);
void log_run(struct log_record *record, struct bytes run);          /* borrowed */
void log_action(struct log_record *record, enum action action, PageNo page);
void log_image(struct log_record *record, struct node node);
void log_record_action(struct log_record *record, PageNo page, struct bytes key, struct bytes value, uint8_t flags);
Lsn log_append(struct log_record *record, struct wal *wal, struct wal_chain *chain, uint8_t type, uint8_t flags);
Lsn log_append_clr(struct log_record *record, struct wal *wal, struct wal_chain *chain, uint8_t type, Lsn undo_next);
/* The payload of a record that has been appended. */
uint64_t log_bytes(const struct log_record *record);

/* Reading a record back: every take is bounded; `failed` sticks. */
struct log_reader {
    const uint8_t *at, *end;
    bool failed;
};
uint8_t log_take_u8(struct log_reader *reader);
uint64_t log_take_number(struct log_reader *reader);
struct bytes log_take_run(struct log_reader *reader);

/* ---- the store ------------------------------------------------------------------------------------ */

/* Which pages are in use; the truth is in the pages of the free map, this is their copy for the allocator. */
struct space {
    struct os_mutex grow_mutex; /* RANK_BTREE_GROW: one thread at a time makes the file longer */
    struct os_mutex mutex;      /* RANK_FREE_SPACE; guards everything here */
    uint64_t *used;             /* a bit per page */
    size_t words;               /* of used */
    PageNo limit;               /* pages that may be taken lie below: the end of the file, less a tail to be cut */
    PageNo lowest_free;         /* no free page lies below */
    uint64_t free_count;        /* free pages below limit */
    uint64_t reserved;          /* of those, promised to someone who takes them at once */
    uint64_t promised;          /* and to undo */
};

struct btree {
    TreeId id;
    PageNo root;
    struct store *store;
    struct btree *next_in_bucket;       /* guarded by the registry's mutex */
    _Atomic PageNo right_leaf;          /* hint: the last leaf; relaxed, checked against the page itself */
};

enum { REGISTRY_BUCKETS = 256 };

struct store {
    struct vfs *vfs;
    char *path;                         /* as given to store_open */
    struct buf *buf;
    struct wal *wal;
    uint32_t usable;
    uint32_t page_size;
    uint32_t cell_max, key_max;
    struct wal_handlers handlers;
    PageNo *ahead;                      /* restart: pages that redo will need soon */
    size_t ahead_count;
    void (*progress)(void *arg, const struct store_progress *progress);     /* the opening thread's, with the next five */
    void *progress_arg;
    const char *phase;
    uint64_t opened_ns, phase_ns, told_ns;
    struct os_mutex hooks_mutex;        /* RANK_STORE_HOOKS: guards who is asked by a checkpoint */
    struct store_hooks hooks;           /* changed under the mutex, and only while nobody rolls back */
    struct wal_checkpoint_state last_state;     /* what the layer above said last: when nobody answers any more */
    bool tolerant;                      /* store_options */
    uint64_t skipped;                   /* records that restart could not apply */
    struct wal_restart restart;
    struct arena restart_arena;
    struct space space;
    struct os_mutex registry_mutex;     /* RANK_BTREE_REGISTRY */
    struct btree *registry[REGISTRY_BUCKETS];
    struct btree directory, graveyard;
    struct os_mutex graves_mutex;       /* RANK_BTREE_GRAVES: one thread at a time frees a buried chain */
    _Atomic bool walking_graves;        /* one thread at a time walks the graveyard */
    _Atomic TreeId next_tree;
    _Atomic unsigned drops;         /* trees that are being dropped at once, without a grave: a watch that begins now does not know them */
    _Atomic bool has_graves;
    struct ghost_pages {
        PageNo *pages;
        size_t count, capacity;
    } ghost_pages;                      /* ghosts.c; guarded by space.mutex */
    struct scrub *scrub;                /* NULL: none is running */
    struct store_scrub_state scrubbed;  /* guarded by space.mutex */
    struct watch *_Atomic watch;        /* of a check under way, or NULL; its contents under space.mutex */
};

static inline struct node node_of(const struct store *store, const struct page_ref *ref)
{
    return (struct node){ref->data, store->usable};
}

/* XX001 that names page, tree and rule. */
int btree__damaged(struct op *op, const struct store *store, PageNo page_no, const char *rule);

/* Notes in a report of damage in which tree it was met; always OP_FAILED. */
int btree__blame(struct op *op, const struct btree *tree);

/* ---- search --------------------------------------------------------------------------------------- */

/* Latches the leaf that covers key (before: that covers what lies right below it). */
int btree__find_leaf(struct op *op, struct btree *tree, struct bytes key, bool before, enum latch_mode mode,
                     struct page_ref *leaf) MUST_CHECK;
/* Latches the leftmost (or the rightmost) leaf. */
int btree__find_edge(struct op *op, struct btree *tree, bool rightmost, enum latch_mode mode, struct page_ref *leaf) MUST_CHECK;
/* Latches, exclusively, the node at `level` that covers key and its parent; parent->data is NULL when the node is the root, and
 * both are NULL when the tree is not that high. */
int btree__find_pair(struct op *op, struct btree *tree, struct bytes key, unsigned level, struct page_ref *parent,
                     struct page_ref *node) MUST_CHECK;
/* node_search with damage reported. */
int btree__search(struct op *op, const struct store *store, const struct page_ref *leaf, struct bytes key, unsigned *slot,
                  bool *found) MUST_CHECK;
/* Latches page as a node of the tree, its head checked. */
int btree__fix(struct op *op, struct btree *tree, PageNo page_no, enum latch_mode mode, struct page_ref *ref) MUST_CHECK;

/* peek.c: optimistic reading of an inner page.  False when what was read makes no sense, as it may under a writer. */
enum peek_what { PEEK_KEY, PEEK_BEFORE, PEEK_FIRST, PEEK_LAST };
bool peek_child(const struct page_peek *peek, uint32_t usable, TreeId tree, enum peek_what what, struct bytes key,
                PageNo *child, unsigned *level);
/* Type and level of a peeked page of the tree; false when it is not one. */
bool peek_level(const struct page_peek *peek, TreeId tree, unsigned *level);

/* ---- space ---------------------------------------------------------------------------------------- */

int space_open(struct op *op, struct store *store, bool create) MUST_CHECK;
void space_close(struct store *store);
/* Promises n free pages to the caller, making the file longer if need be.  urgent: rollback, may use the last ones.  Hold no
 * page latch. */
int space_reserve(struct op *op, struct store *store, uint64_t n, bool urgent) MUST_CHECK;
void space_unreserve(struct store *store, uint64_t n);
/* The transaction makes a record on the leaf shorter by `bytes`: keeps pages for its undo, and log, which the caller has reserved
 * (space_split_log_bytes for each page).  With latches; false: call space_promise without, and try again. */
bool space_keep_for_undo(struct store *store, struct wal_chain *chain, PageNo leaf, uint32_t bytes) MUST_CHECK;
int space_promise(struct op *op, struct store *store, struct wal_chain *chain) MUST_CHECK;
uint64_t space_split_log_bytes(const struct store *store);
/* Bytes of room that undo of the change will want back, on its leaf or in the graveyard; buries: the change moves chains there. */
uint32_t btree__undo_room(const struct btree_row_log *row, bool buries);
/* Takes one promised page (unreserve it nevertheless when done). */
PageNo space_take(struct store *store);
void space_give(struct store *store, PageNo page);
PageNo space_map_page(const struct store *store, PageNo page);
/* Changes the page's bit in its latched page of the map. */
void space_map_set(const struct store *store, const struct page_ref *map, PageNo page, bool used);
bool space_map_get(const struct store *store, const struct page_ref *map, PageNo page);
uint64_t space_map_span(const struct store *store);
PageNo space_limit(struct store *store);
/* Whether the allocator takes the page for a free one. */
bool space_is_free(struct store *store, PageNo page);
/* Asks the buffer pool to cut off a free tail at the next checkpoint. */
void space_trim(struct store *store);

/* ---- structure modifications ---------------------------------------------------------------------- */

enum { ALTER_PAGES = 16, ALTER_FREED = 64, ALTER_MAPS = 6 };

/* One system transaction under way: the pages it has latched, taken and freed, and its log record.
 *   prepare   alter_begin, alter_fix..., alter_new..., alter_free..., alter_ready      may fail: alter_abort
 *   apply     change pages, log_... into alter.record, alter_commit                    cannot fail */
struct alter {
    struct store *store;
    struct page_ref refs[ALTER_PAGES];
    int ref_count;
    struct page_ref maps[ALTER_MAPS];
    int map_count;
    PageNo taken[4], freed[ALTER_FREED];
    int taken_count, freed_count;
    uint64_t log_bytes, pages;      /* reserved */
    struct log_record record;
};

/* Reserves log space and `pages` pages of the file: hold no page latch. */
int alter_begin(struct op *op, struct alter *alter, struct store *store, uint64_t log_bytes, unsigned pages, bool urgent)
    MUST_CHECK;
/* The latched page is part of the change; the alteration owns the latch from now on. */
struct page_ref *alter_adopt(struct alter *alter, struct page_ref *ref);
/* Takes a page and latches it, zeroed. */
int alter_new(struct op *op, struct alter *alter, struct page_ref **ref) MUST_CHECK;
void alter_free(struct alter *alter, PageNo page);
/* Whether freeing this page too would latch too many pages of the map. */
bool alter_can_free(const struct alter *alter, PageNo page);
/* Latches the pages of the free map that the change touches: the last step of preparation. */
int alter_ready(struct op *op, struct alter *alter) MUST_CHECK;
/* Writes the bits of the free map and the actions for them into the record: before it is appended. */
void alter_log_maps(struct alter *alter);
/* Appends the record as LOG_PAGES, marks all pages dirty, lets go of everything. */
Lsn alter_commit(struct alter *alter);
/* The same when the caller has appended the record himself. */
void alter_finish(struct alter *alter, Lsn lsn);
/* Lets go of everything; nothing has been changed. */
void alter_abort(struct alter *alter);

/* Redo of LOG_PAGES and of the actions of other records. */
int action_redo(struct op *op, struct store *store, struct log_reader *reader, Lsn lsn) MUST_CHECK;

/* Splits until the node at `level` that covers key has room for `bytes`. */
int btree__make_room(struct op *op, struct btree *tree, struct bytes key, unsigned level, uint32_t bytes, bool urgent)
    MUST_CHECK;
/* Merges the leaf that covers key with a neighbour, and what follows upwards, where they have become too empty. */
int btree__shrink(struct op *op, struct btree *tree, struct bytes key) MUST_CHECK;
/* Whether a node is so empty that a merge should be tried. */
bool btree__is_underfull(struct node node);

/* ---- overflow chains and the graveyard ------------------------------------------------------------ */

struct reference {
    PageNo first;               /* where reading begins */
    uint64_t size;              /* bytes of the value */
    PageNo tail;                /* last page: names the chain as long as it exists */
};
bool reference_get(struct bytes stored, struct reference *reference);
void reference_put(uint8_t stored[NODE_REFERENCE_BYTES], const struct reference *reference);

/* Writes a value to a new chain, entered in the graveyard under txn: the row operation that uses it takes it out. */
/* Bytes of a value that one page of a chain holds. */
uint32_t overflow_room(const struct store *store);
int overflow_write(struct op *op, struct btree *tree, TxnId txn, struct bytes value, struct reference *reference) MUST_CHECK;
/* The pages of a chain from `first` on, at most `max`; *rest: where the next ones begin, 0 at the end. */
int overflow_pages(struct op *op, struct store *store, PageNo first, PageNo *pages, int max, int *count, PageNo *rest)
    MUST_CHECK;

enum grave_kind { GRAVE_NEW = 'n', GRAVE_OLD = 'o', GRAVE_TREE = 't' };
enum { GRAVE_KEY_BYTES = 17 };
/* Key of an entry: the transaction, the kind, the chain's tail page or the tree. */
struct bytes grave_key(uint8_t buffer[GRAVE_KEY_BYTES], TxnId txn, enum grave_kind kind, uint64_t id);

/* What a row operation does to the graveyard: at most one entry changes, in the row operation's own log record. */
struct grave_move {
    bool needed, put;           /* put the entry, or remove it */
    uint8_t key_buffer[GRAVE_KEY_BYTES], value[NODE_REFERENCE_BYTES];
    struct bytes key;
    uint8_t moved[2][NODE_REFERENCE_BYTES];     /* chains that change their owner: references, or zeros */
    struct page_ref leaf;       /* latched while the move is prepared */
};
/* The move for a record that goes from `before` to `after` (NULL data: has no chain); undo: the way back. */
void grave_plan(struct grave_move *move, TxnId txn, struct bytes before, struct bytes after, bool undo);
/* Latches the leaf of the entry.  *room false: nothing is held; call grave_make_room without latches and begin again. */
int grave_prepare(struct op *op, struct store *store, struct grave_move *move, bool *room) MUST_CHECK;
int grave_make_room(struct op *op, struct store *store, struct grave_move *move) MUST_CHECK;
void grave_log(struct log_record *record, struct grave_move *move);
void grave_apply(struct store *store, struct grave_move *move, Lsn lsn);      /* lets the latch go */
void grave_release(struct store *store, struct grave_move *move);
/* Frees what the entry of this key holds, and the entry. Absent is fine. */
int grave_free(struct op *op, struct store *store, struct bytes key) MUST_CHECK;

/* ---- the watch of a check (watch.c) ---------------------------------------------------------------- */

int watch_begin(struct op *op, struct store *store, PageNo *page_count) MUST_CHECK;
void watch_end(struct store *store);
/* Notes, under the latches of the change: a page was taken or freed; the chain of this reference has another owner or another
 * beginning; a tree is being freed. */
void watch_page(struct store *store, PageNo page);
void watch_move(struct store *store, struct bytes stored);
void watch_dropping(struct store *store, TreeId tree);
/* For the check. */
bool watch_moved(struct store *store, PageNo page);
bool watch_chain(struct store *store, PageNo tail, struct reference *reference);
bool watch_chain_moved(struct store *store, PageNo tail);
int watch_chains(struct op *op, struct store *store, PageNo **tails, size_t *count) MUST_CHECK;
bool watch_is_dropping(struct store *store, TreeId tree);
bool watch_is_lost(struct store *store);

/* ---- ghosts --------------------------------------------------------------------------------------- */

/* Notes the latched page if it is a leaf with ghosts. */
void ghosts_note(struct store *store, const struct page_ref *ref);

/* ---- rows ----------------------------------------------------------------------------------------- */

/* Puts, changes or removes a record by key on a latched page that has room: what redo and the first execution share. */
/* NULL when row_set can put such a record, otherwise the rule that keeps it from it. */
const char *row_check_set(struct node node, struct bytes key, size_t value_len);
void row_set(struct node node, struct bytes key, struct bytes value, uint8_t flags);
void row_set_flags(struct node node, struct bytes key, uint8_t flags);
void row_remove(struct node node, struct bytes key);

/* Writes the payload of a row operation, but for its actions on the graveyard. */
void row_log(struct log_record *log, const struct btree_row_log *row, PageNo page);
int row_redo(struct op *op, struct store *store, const struct wal_record *record) MUST_CHECK;
int row_undo(struct op *op, struct store *store, struct wal_chain *chain, const struct wal_record *record) MUST_CHECK;
/* One step of freeing a tree that is in the graveyard: what hangs rightmost goes.  *gone when it was the last. */
int btree__drop_step(struct op *op, struct btree *tree, bool *gone) MUST_CHECK;
/* Makes the handle of the tree that undoing the record will ask for. */
int tree_prepare_undo(struct op *op, struct store *store, const struct wal_record *record) MUST_CHECK;
int tree_create_undo(struct op *op, struct store *store, struct wal_chain *chain, const struct wal_record *record) MUST_CHECK;
/* Removes a record that is there, ghost or not, and frees its overflow chain. */
int row_erase(struct op *op, struct btree *tree, struct bytes key) MUST_CHECK;
/* Bytes of log to reserve for one row operation and its undo. */
uint64_t row_log_bytes(const struct store *store);
/* Whether the record at `slot` (found), or a new one, can be given a value of this length. */
bool row_has_room(struct node node, unsigned slot, bool found, size_t key_len, size_t value_len, uint32_t *bytes);
/* Checks the whole page if putting such a record will move cells. */
int row_check_moving(struct op *op, const struct store *store, const struct page_ref *leaf, uint32_t bytes) MUST_CHECK;

/* ---- trees ---------------------------------------------------------------------------------------- */

void tree_init(struct btree *tree, struct store *store, TreeId id, PageNo root);
void registry_init(struct store *store);
void registry_close(struct store *store);
/* Root page of a tree in the directory; 0 when there is none. */
int directory_look_up(struct op *op, struct store *store, TreeId id, PageNo *root) MUST_CHECK;
struct bytes directory_key(uint8_t buffer[8], TreeId id);

#endif
