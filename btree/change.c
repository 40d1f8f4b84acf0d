/*
 * change.c -- inserting, updating, deleting, loading and purging records.
 *
 * A change of one record, in the usual case:
 *
 *      reserve log space            before any latch, because it may wait
 *      latch the leaf exclusively   by way of the last leaf for appends, else from the root
 *      judge                        the layer above decides about visibility and conflicts
 *      append the log record        from here on nothing can fail
 *      change the page, stamp it with the record's LSN
 *      applied                      the layer above enters its version
 *
 * When the page is full, the latch is given back, the page split, and all begins again, the judgement too: meanwhile
 * another thread may have changed the record.
 *
 * Ascending insertions skip the search: the tree remembers its last leaf, and a leaf of the tree without an upper
 * bound whose low fence is not above the key is the right one.  The memory is forgotten when it misses, so that a tree with
 * random insertions does not pay for it.
 *
 * C1  The latch is held from judge to applied without a break.
 * C2  A value that needs an overflow chain gets it before the leaf is latched (overflow.c); the row's own log record
 *     moves chains between record and graveyard.
 */
#include <string.h>

#include "btree/btree_int.h"
#include "src/base/planted.h"

enum step { STEP_DONE, STEP_FULL, STEP_PAGES, STEP_GRAVEYARD_FULL, STEP_NEW_CHAIN, STEP_FAILED };

/* One call of btree_change. */
struct work {
    struct btree *tree;
    struct wal_chain *chain;
    TxnId owner;                        /* in whose name overflow chains lie in the graveyard */
    struct btree_change *change;
    bool applied;
    uint32_t missing;                   /* STEP_FULL: bytes of room that are needed */
    bool has_chain;                     /* an overflow chain was written for `written` */
    struct reference reference;
    uint8_t stored[NODE_REFERENCE_BYTES];
    struct bytes written;
    struct grave_move move;
};

size_t btree_key_max(const struct store *store)
{
    return store->key_max;
}

static bool is_long(const struct store *store, struct bytes key, struct bytes value)
{
    return NODE_SLOT_BYTES + NODE_LEAF_CELL_BYTES + key.len + value.len > store->cell_max;
}

static int check_key(struct op *op, const struct store *store, struct bytes key)
{
    if (key.len <= store->key_max)
        return OP_OK;
    op_fail(op, "54000", "key of %zu bytes exceeds the maximum of %u bytes", key.len, store->key_max);
    op_hint(op, "Values larger than a quarter of a page cannot be indexed.");
    return OP_FAILED;
}

/* ---- finding the leaf ----------------------------------------------------------------------------- */

static bool try_last_leaf(struct btree *tree, struct bytes key, struct page_ref *leaf)
{
    PageNo hint = atomic_load_explicit(&tree->right_leaf, memory_order_relaxed);
    bool taken;
    if (hint == 0)
        return false;
    buf_try_fix(tree->store->buf, hint, LATCH_EXCLUSIVE, leaf, &taken);
    if (!taken)
        return false;
    struct node node = node_of(tree->store, leaf);
    if (node_head(node)->page.type == PAGE_LEAF && node_head(node)->page.tree_id == tree->id && !node_has_high(node) &&
        node_check_head(node) == NULL && bytes_compare(node_low(node), key) <= 0)
        return true;
    buf_unfix(leaf, tree->store->buf);
    atomic_store_explicit(&tree->right_leaf, 0, memory_order_relaxed);
    return false;
}

/* The leaf for an insertion, and where in it. */
static int find_for_insert(struct op *op, struct btree *tree, struct bytes key, struct page_ref *leaf, unsigned *slot,
                           bool *found)
{
    bool hinted = try_last_leaf(tree, key, leaf);
    if (hinted && node_is_beyond(node_of(tree->store, leaf), key)) {
        *slot = node_head(node_of(tree->store, leaf))->slots;
        *found = false;
        return OP_OK;
    }
    if (!hinted && btree__find_leaf(op, tree, key, false, LATCH_EXCLUSIVE, leaf) != OP_OK)
        return OP_FAILED;
    if (btree__search(op, tree->store, leaf, key, slot, found) != OP_OK) {
        buf_unfix(leaf, tree->store->buf);
        return OP_FAILED;
    }
    struct node node = node_of(tree->store, leaf);
    if (!hinted && !node_has_high(node) && !*found && *slot == node_head(node)->slots)
        atomic_store_explicit(&tree->right_leaf, leaf->page_no, memory_order_relaxed);
    return OP_OK;
}

static int find(struct op *op, struct btree *tree, struct bytes key, struct page_ref *leaf, unsigned *slot, bool *found)
{
    if (btree__find_leaf(op, tree, key, false, LATCH_EXCLUSIVE, leaf) != OP_OK)
        return OP_FAILED;
    if (btree__search(op, tree->store, leaf, key, slot, found) == OP_OK)
        return OP_OK;
    buf_unfix(leaf, tree->store->buf);
    return OP_FAILED;
}

/* ---- one change ----------------------------------------------------------------------------------- */

static int read_record(struct op *op, const struct store *store, const struct page_ref *leaf, unsigned slot, struct bytes key,
                       struct btree_record *record)
{
    struct cell cell;
    if (!node_cell(node_of(store, leaf), slot, &cell))
        return btree__damaged(op, store, leaf->page_no, "each cell lies within the heap");
    *record = (struct btree_record){key, cell.value, cell.flags, leaf->page_no};
    return OP_OK;
}

/* Whether the kind of change suits the record as it stands. */
static bool suits(enum btree_change_kind kind, const struct btree_record *before)
{
    bool live = before != NULL && !(before->flags & BTREE_GHOST);
    return kind == BTREE_INSERT ? !live : live;
}

static int ask_judge(struct op *op, struct btree_change *change, const struct btree_record *before, bool *apply)
{
    *apply = suits(change->kind, before);
    if (change->judge == NULL)
        return OP_OK;
    *apply = false;
    if (change->judge(change->arg, op, before, change, apply) != OP_OK)
        return OP_FAILED;
    if (*apply && !suits(change->kind, before))
        return op_fail(op, "XX000", "a change does not suit the record that it was asked for");
    return OP_OK;
}

/* What will be stored, in the form that the leaf keeps.  False when there is no chain for it yet. */
static bool stored_form(struct work *work, struct bytes *stored, uint8_t *flags)
{
    struct btree_change *change = work->change;
    *flags = change->set_flags & BTREE_VERSIONED;
    *stored = change->value;
    if (change->kind == BTREE_DELETE || !is_long(work->tree->store, change->key, change->value))
        return true;
    if (!work->has_chain || work->written.data != change->value.data || work->written.len != change->value.len)
        return false;
    *stored = (struct bytes){work->stored, NODE_REFERENCE_BYTES};
    *flags |= BTREE_OVERFLOW;
    return true;
}

static void describe(struct btree_row_log *row, const struct work *work, const struct btree_record *before, struct bytes stored,
                     uint8_t flags)
{
    memset(row, 0, sizeof *row);
    row->tree = work->tree->id;
    row->kind = work->change->kind;
    row->key = work->change->key;
    row->had_before = before != NULL;
    if (before != NULL) {
        row->before_ghost = before->flags & BTREE_GHOST;
        row->before = before->value;
        row->before_flags = before->flags;
    }
    row->after = row->kind == BTREE_DELETE ? (struct bytes){NULL, 0} : stored;
    row->after_flags = row->kind == BTREE_DELETE ? (uint8_t)((row->before_flags & BTREE_OVERFLOW) | BTREE_GHOST | flags) : flags;
}

/* Logs and applies.  The page has room, the graveyard is prepared: cannot fail. */
static void apply(struct work *work, struct page_ref *leaf, unsigned slot, bool found, const struct btree_row_log *row)
{
    struct store *store = work->tree->store;
    struct btree_change *change = work->change;
    struct node node = node_of(store, leaf);
    struct log_record log;
    log_begin(&log);
    row_log(&log, row, leaf->page_no);
    grave_log(&log, &work->move);
    Lsn lsn = log_append(&log, store->wal, work->chain, LOG_ROW, work->chain != NULL ? WAL_UNDOABLE : 0);
    if (work->chain != NULL)
        wal_promise(store->wal, work->chain, btree_undo_bytes(row));
    if (row->kind == BTREE_DELETE)
        node_set_flags(node, slot, row->after_flags);
    else if (found)
        node_replace(node, slot, row->after, row->after_flags);
    else
        node_insert(node, slot, row->key, row->after, row->after_flags);
    buf_mark_dirty(store->buf, leaf, lsn);
    grave_apply(store, &work->move, lsn);
    work->applied = true;
    if (change->applied != NULL) {
        struct cell cell;
        bool sound = node_cell(node, slot, &cell);
        assert(sound);
        struct btree_record now = {row->key, sound ? cell.value : row->after, row->after_flags, leaf->page_no};
        change->applied(change->arg, lsn, &now);
    }
}

static struct bytes chain_of(struct bytes value, uint8_t flags)
{
    return flags & BTREE_OVERFLOW ? value : (struct bytes){NULL, 0};
}

/* With the leaf latched and the slot found. */
static enum step change_on_leaf(struct op *op, struct work *work, struct page_ref *leaf, unsigned slot, bool found)
{
    struct store *store = work->tree->store;
    struct btree_change *change = work->change;
    struct btree_record record, *before = found ? &record : NULL;
    struct btree_row_log row;
    struct bytes stored;
    uint8_t flags;
    bool go, room = true;
    uint32_t bytes;
    if (found && read_record(op, store, leaf, slot, change->key, &record) != OP_OK)
        return STEP_FAILED;
    change->at_end = !found && !node_has_high(node_of(store, leaf)) && slot == node_head(node_of(store, leaf))->slots;
    if (ask_judge(op, change, before, &go) != OP_OK)
        return STEP_FAILED;
    if (!go)
        return STEP_DONE;
    if (!stored_form(work, &stored, &flags))
        return STEP_NEW_CHAIN;
    describe(&row, work, before, stored, flags);
    if (row.kind != BTREE_DELETE) {
        if (!row_has_room(node_of(store, leaf), slot, found, row.key.len, row.after.len, &bytes)) {
            work->missing = bytes;
            return STEP_FULL;
        }
        if (row_check_moving(op, store, leaf, bytes) != OP_OK)
            return STEP_FAILED;
        grave_plan(&work->move, work->owner, chain_of(row.before, row.before_flags), chain_of(row.after, flags), false);
        uint32_t undo = btree__undo_room(&row, work->move.needed);
        if (work->chain != NULL && undo > 0 && !space_keep_for_undo(store, work->chain, leaf->page_no, undo))
            return STEP_PAGES;
        if (grave_prepare(op, store, &work->move, &room) != OP_OK)
            return STEP_FAILED;
    } else {
        work->move.needed = false;
    }
    if (!room)
        return STEP_GRAVEYARD_FULL;
    apply(work, leaf, slot, found, &row);
    return STEP_DONE;
}

static enum step try_change(struct op *op, struct work *work)
{
    struct store *store = work->tree->store;
    struct page_ref leaf;
    unsigned slot;
    bool found;
    uint64_t reserved = row_log_bytes(store) + 2 * space_split_log_bytes(store);
    if (wal_reserve(op, store->wal, reserved) != OP_OK)
        return STEP_FAILED;
    enum step step = STEP_FAILED;
    int result = work->change->kind == BTREE_INSERT ? find_for_insert(op, work->tree, work->change->key, &leaf, &slot, &found)
                                                    : find(op, work->tree, work->change->key, &leaf, &slot, &found);
    if (result == OP_OK) {
        step = change_on_leaf(op, work, &leaf, slot, found);
        buf_unfix(&leaf, store->buf);
    }
    wal_unreserve(store->wal, reserved);
    return step;
}

/* ---- overflow chains of a change ------------------------------------------------------------------ */

static int write_chain(struct op *op, struct work *work)
{
    work->written = work->change->value;
    work->has_chain = true;
    if (overflow_write(op, work->tree, work->owner, work->written, &work->reference) != OP_OK)
        return OP_FAILED;
    reference_put(work->stored, &work->reference);
    return OP_OK;
}

/* The chain that was written turned out not to be needed: it lies in the graveyard and goes at once. */
static int discard_chain(struct op *op, struct work *work)
{
    uint8_t buffer[GRAVE_KEY_BYTES];
    bool written = work->has_chain && work->reference.tail != 0;
    work->has_chain = false;
    if (!written)
        return OP_OK;
    return grave_free(op, work->tree->store, grave_key(buffer, work->owner, GRAVE_NEW, work->reference.tail));
}

static int finish(struct op *op, struct work *work)
{
    if (!work->applied)
        return discard_chain(op, work);
    /* Nobody waits for a system transaction's leavings. */
    if (work->chain == NULL && work->move.needed && work->move.put)
        return grave_free(op, work->tree->store, work->move.key);
    return OP_OK;
}

static int change_as(struct op *op, struct btree *tree, struct wal_chain *chain, TxnId owner, struct btree_change *change,
                     bool *applied)
{
    struct work work;
    work.tree = tree;
    work.chain = chain;
    work.owner = owner;
    work.change = change;
    work.applied = work.has_chain = false;
    work.move.needed = false;
    *applied = false;
    if (check_key(op, tree->store, change->key) != OP_OK)
        return OP_FAILED;
    if (change->kind != BTREE_DELETE && is_long(tree->store, change->key, change->value) && write_chain(op, &work) != OP_OK)
        return OP_FAILED;
    for (;;) {
        int result = OP_OK;
        switch (try_change(op, &work)) {
        case STEP_DONE:
            *applied = work.applied;
            return finish(op, &work);
        case STEP_FULL:
            result = btree__make_room(op, tree, change->key, 0, work.missing, false);
            break;
        case STEP_PAGES:
            result = space_promise(op, tree->store, work.chain);
            break;
        case STEP_GRAVEYARD_FULL:
            result = grave_make_room(op, tree->store, &work.move);
            break;
        case STEP_NEW_CHAIN:
            result = discard_chain(op, &work);
            if (result == OP_OK)
                result = write_chain(op, &work);
            break;
        case STEP_FAILED:
            result = OP_FAILED;
        }
        if (result != OP_OK)
            return OP_FAILED;       /* a chain that was written is freed with the transaction's other leavings */
    }
}

int btree_change(struct op *op, struct btree *tree, struct wal_chain *chain, struct btree_change *change, bool *applied)
{
    return change_as(op, tree, chain, chain != NULL ? chain->txn : 0, change, applied);
}

int btree_load(struct op *op, struct btree *tree, TxnId txn, struct bytes key, struct bytes value, bool *added)
{
    struct btree_change change = {.kind = BTREE_INSERT, .key = key, .value = value};
    return change_as(op, tree, NULL, PLANTED("btree-load-unowned") ? 0 : txn, &change, added);
}

/* ---- removing ------------------------------------------------------------------------------------- */

/* Removes the record at the slot; its chain goes to the graveyard under transaction 0, to be freed by the caller. */
static int remove_on_leaf(struct op *op, struct btree *tree, struct page_ref *leaf, unsigned slot, struct bytes key,
                          const struct btree_record *record, struct grave_move *move, bool *room)
{
    struct store *store = tree->store;
    struct log_record log;
    grave_plan(move, 0, chain_of(record->value, record->flags), (struct bytes){NULL, 0}, false);
    if (grave_prepare(op, store, move, room) != OP_OK || !*room)
        return *room ? OP_FAILED : OP_OK;
    log_begin(&log);
    log_action(&log, ACTION_REMOVE, leaf->page_no);
    log_run(&log, key);
    grave_log(&log, move);
    Lsn lsn = log_append(&log, store->wal, NULL, LOG_PAGES, 0);
    node_remove(node_of(store, leaf), slot);
    buf_mark_dirty(store->buf, leaf, lsn);
    grave_apply(store, move, lsn);
    return OP_OK;
}

typedef int purge_judge(void *arg, struct op *op, const struct btree_record *ghost, bool *remove);

static int try_remove(struct op *op, struct btree *tree, struct bytes key, bool ghosts_only, purge_judge *judge, void *arg,
                      struct grave_move *move, bool *removed, bool *room, bool *underfull)
{
    struct store *store = tree->store;
    struct page_ref leaf;
    struct btree_record record;
    unsigned slot;
    bool found, go = true;
    *removed = *underfull = false;
    *room = true;
    if (wal_reserve(op, store->wal, row_log_bytes(store)) != OP_OK)
        return OP_FAILED;
    int result = find(op, tree, key, &leaf, &slot, &found);
    if (result != OP_OK)
        goto out;
    if (found)
        result = read_record(op, store, &leaf, slot, key, &record);
    if (result == OP_OK && found && (!ghosts_only || record.flags & BTREE_GHOST)) {
        if (judge != NULL)
            result = judge(arg, op, &record, &go);
        if (result == OP_OK && go) {
            result = remove_on_leaf(op, tree, &leaf, slot, key, &record, move, room);
            *removed = result == OP_OK && *room;
            *underfull = *removed && btree__is_underfull(node_of(store, &leaf));
        }
    }
    buf_unfix(&leaf, store->buf);
out:
    wal_unreserve(store->wal, row_log_bytes(store));
    return result;
}

static int remove_record(struct op *op, struct btree *tree, struct bytes key, bool ghosts_only, purge_judge *judge, void *arg,
                         bool *removed, bool *underfull)
{
    struct grave_move move;
    bool room;
    move.needed = false;
    move.leaf.data = NULL;
    for (;;) {
        if (try_remove(op, tree, key, ghosts_only, judge, arg, &move, removed, &room, underfull) != OP_OK)
            return OP_FAILED;
        if (room)
            break;
        if (grave_make_room(op, tree->store, &move) != OP_OK)
            return OP_FAILED;
    }
    return *removed && move.needed ? grave_free(op, tree->store, move.key) : OP_OK;
}

int btree_purge(struct op *op, struct btree *tree, struct bytes key,
                int (*judge)(void *arg, struct op *op, const struct btree_record *ghost, bool *remove), void *arg,
                bool *removed)
{
    bool underfull;
    if (remove_record(op, tree, key, true, judge, arg, removed, &underfull) != OP_OK)
        return OP_FAILED;
    return underfull ? btree__shrink(op, tree, key) : OP_OK;
}

int row_erase(struct op *op, struct btree *tree, struct bytes key)
{
    bool removed, underfull;
    return remove_record(op, tree, key, false, NULL, NULL, &removed, &underfull);
}

void btree_clear_versioned(struct btree *tree, PageNo leaf, struct bytes key,
                           bool (*judge)(void *arg, const struct btree_record *record), void *arg)
{
    struct page_ref ref;
    struct cell cell;
    unsigned slot;
    bool taken, found;
    buf_try_fix(tree->store->buf, leaf, LATCH_EXCLUSIVE, &ref, &taken);
    if (!taken)
        return;
    struct node node = node_of(tree->store, &ref);
    if (node_head(node)->page.type == PAGE_LEAF && node_head(node)->page.tree_id == tree->id && node_check_head(node) == NULL &&
        node_covers(node, key) && node_search(node, key, &slot, &found) && found && node_cell(node, slot, &cell) &&
        cell.flags & BTREE_VERSIONED) {
        struct btree_record record = {key, cell.value, cell.flags, leaf};
        if (judge(arg, &record))
            node_set_flags(node, slot, cell.flags & (uint8_t)~BTREE_VERSIONED);
    }
    buf_unfix(&ref, tree->store->buf);
}
