/*
 * graveyard.c -- what must be freed, but not yet.
 *
 * An update of a long value makes a new overflow chain, and the old one is needed until the update has committed and no
 * snapshot sees what was before.  If it rolls back, it is the new one that has to go.  A dropped tree is the same case.  Were this
 * remembered in memory only, a crash would leak pages for ever; so it is remembered in a tree, changed by the very log
 * records that make things obsolete:
 *
 *      key     transaction u64 big-endian | kind u8 | id u64 big-endian
 *      value   reference of the chain (overflow.c); nothing for a tree
 *
 *      kind 'n'    a chain that this transaction has written, named by its last page: not yet used, or undone.  Once the
 *                  transaction has used it for a record that had another chain before, that other chain lies here.
 *           'o'    a chain that this transaction has made obsolete without a new one
 *           't'    a tree that it has dropped; id is the tree's
 *
 * A record goes from (no chain or old one) to (no chain or new one), and the entry changes in the same log record:
 *
 *      before   after       the row operation             its undo
 *      -        new         removes n:new                 puts n:new = new
 *      old      new         sets    n:new = old           sets n:new = new
 *      old      -           puts    o:old = old           removes o:old
 *
 * So one entry, on one page of this tree, is all that a row operation ever touches here.  Entries of a transaction are freed
 * when it has ended and nobody can see what was before: after a commit these are the old chains, after a rollback the new
 * ones, and the code that frees them need not know which.  Transaction 0 stands for "at once": a chain of a ghost that
 * purge has removed.
 *
 * Freeing a chain takes pages off its front, some dozens per log record, and sets the entry to the rest; freeing a
 * tree is tree.c's.  Either is resumed where a crash has cut it off.
 */
#include <string.h>

#include "btree/btree_int.h"
#include "src/base/endian.h"

static void put_be64(uint8_t *at, uint64_t value)
{
    put_u64(at, __builtin_bswap64(value));
}

static uint64_t get_be64(const uint8_t *at)
{
    return __builtin_bswap64(get_u64(at));
}

struct bytes grave_key(uint8_t buffer[GRAVE_KEY_BYTES], TxnId txn, enum grave_kind kind, uint64_t id)
{
    put_be64(buffer, txn);
    buffer[8] = (uint8_t)kind;
    put_be64(buffer + 9, id);
    return (struct bytes){buffer, GRAVE_KEY_BYTES};
}

/* ---- as part of a row operation ------------------------------------------------------------------- */

void grave_plan(struct grave_move *move, TxnId txn, struct bytes before, struct bytes after, bool undo)
{
    struct reference reference;
    memset(move, 0, sizeof *move);
    if (before.data == NULL && after.data == NULL)
        return;
    bool is_new = after.data != NULL;
    if (!reference_get(is_new ? after : before, &reference))
        return;
    move->needed = true;
    move->key = grave_key(move->key_buffer, txn, is_new ? GRAVE_NEW : GRAVE_OLD, reference.tail);
    struct bytes buried = undo ? after : before;
    move->put = buried.data != NULL;
    if (move->put)
        memcpy(move->value, buried.data, NODE_REFERENCE_BYTES);
    if (before.data != NULL)
        memcpy(move->moved[0], before.data, NODE_REFERENCE_BYTES);
    if (after.data != NULL)
        memcpy(move->moved[1], after.data, NODE_REFERENCE_BYTES);
}

int grave_prepare(struct op *op, struct store *store, struct grave_move *move, bool *room)
{
    unsigned slot;
    bool found;
    uint32_t bytes;
    *room = true;
    if (!move->needed)
        return OP_OK;
    if (btree__find_leaf(op, &store->graveyard, move->key, false, LATCH_EXCLUSIVE, &move->leaf) != OP_OK)
        return OP_FAILED;
    int result = btree__search(op, store, &move->leaf, move->key, &slot, &found);
    if (result == OP_OK && move->put) {
        *room = row_has_room(node_of(store, &move->leaf), slot, found, move->key.len, NODE_REFERENCE_BYTES, &bytes);
        if (*room)
            result = row_check_moving(op, store, &move->leaf, bytes);
    }
    if (result != OP_OK || !*room)
        grave_release(store, move);
    return result;
}

int grave_make_room(struct op *op, struct store *store, struct grave_move *move)
{
    return btree__make_room(op, &store->graveyard, move->key, 0,
                            NODE_SLOT_BYTES + NODE_LEAF_CELL_BYTES + GRAVE_KEY_BYTES + NODE_REFERENCE_BYTES, true);
}

void grave_log(struct log_record *record, struct grave_move *move)
{
    if (!move->needed)
        return;
    if (move->put) {
        log_record_action(record, move->leaf.page_no, move->key, (struct bytes){move->value, NODE_REFERENCE_BYTES}, 0);
    } else {
        log_action(record, ACTION_REMOVE, move->leaf.page_no);
        log_run(record, move->key);
    }
}

void grave_apply(struct store *store, struct grave_move *move, Lsn lsn)
{
    if (!move->needed)
        return;
    for (int i = 0; i < 2; i++)
        watch_move(store, (struct bytes){move->moved[i], NODE_REFERENCE_BYTES});
    if (move->put) {
        row_set(node_of(store, &move->leaf), move->key, (struct bytes){move->value, NODE_REFERENCE_BYTES}, 0);
        atomic_store_explicit(&store->has_graves, true, memory_order_relaxed);
    } else {
        row_remove(node_of(store, &move->leaf), move->key);
    }
    buf_mark_dirty(store->buf, &move->leaf, lsn);
    grave_release(store, move);
}

void grave_release(struct store *store, struct grave_move *move)
{
    buf_unfix(&move->leaf, store->buf);
    move->leaf.data = NULL;
}

/* ---- freeing -------------------------------------------------------------------------------------- */

struct entry {
    bool found;
    bool ghost;
    struct reference reference;
};

static int read_entry(void *arg, struct op *op, const struct btree_record *record)
{
    struct entry *entry = arg;
    entry->found = record != NULL;
    entry->ghost = record != NULL && record->flags & BTREE_GHOST;
    if (record != NULL && !entry->ghost && !reference_get(record->value, &entry->reference))
        return op_fail(op, "XX001", "an entry of the graveyard is damaged");
    return OP_OK;
}

/* Frees some pages from the front of the chain; the graves mutex is held, so the entry does not change under us. */
static int free_front(struct op *op, struct store *store, struct bytes key, struct reference *reference)
{
    PageNo pages[ALTER_FREED], rest;
    int count, taken = 0;
    struct alter alter;
    struct grave_move move = {.needed = true, .key = key};
    bool room;
    if (overflow_pages(op, store, reference->first, pages, ALTER_FREED, &count, &rest) != OP_OK ||
        alter_begin(op, &alter, store, LOG_HEAD_BYTES + 64, 0, true) != OP_OK)
        return OP_FAILED;
    while (taken < count && alter_can_free(&alter, pages[taken]))
        alter_free(&alter, pages[taken++]);
    if (taken < count)
        rest = pages[taken];
    reference->first = rest;
    move.put = rest != 0;
    reference_put(move.value, reference);
    reference_put(move.moved[0], reference);
    if (grave_prepare(op, store, &move, &room) != OP_OK || alter_ready(op, &alter) != OP_OK) {
        grave_release(store, &move);
        alter_abort(&alter);
        return OP_FAILED;
    }
    assert(room);       /* the entry is there and keeps its length */
    grave_log(&alter.record, &move);
    alter_log_maps(&alter);
    Lsn lsn = log_append(&alter.record, store->wal, NULL, LOG_PAGES, 0);
    grave_apply(store, &move, lsn);
    alter_finish(&alter, lsn);
    return OP_OK;
}

int grave_free(struct op *op, struct store *store, struct bytes key)
{
    struct entry entry;
    int result;
    os_mutex_lock(&store->graves_mutex);
    do {
        result = btree_get(op, &store->graveyard, key, read_entry, &entry);
        if (result == OP_OK && entry.found && !entry.ghost)
            result = free_front(op, store, key, &entry.reference);
    } while (result == OP_OK && entry.found && !entry.ghost && entry.reference.first != 0);
    os_mutex_unlock(&store->graves_mutex);
    return result;
}

/* ---- the walk ------------------------------------------------------------------------------------- */

enum { WALK_BATCH = 64 };

struct walk {
    bool (*dead)(void *arg, TxnId txn);
    void *arg;
    uint8_t keys[WALK_BATCH][GRAVE_KEY_BYTES];
    bool ghost[WALK_BATCH];
    int count;
    bool others;                /* entries that are still needed */
};

static int walk_record(void *arg, struct op *op, const struct btree_record *record, bool *stop)
{
    struct walk *walk = arg;
    if (record->key.len != GRAVE_KEY_BYTES)
        return op_fail(op, "XX001", "an entry of the graveyard is damaged");
    TxnId txn = get_be64(record->key.data);
    if (txn != 0 && !walk->dead(walk->arg, txn)) {
        walk->others = true;
        return OP_OK;
    }
    memcpy(walk->keys[walk->count], record->key.data, GRAVE_KEY_BYTES);
    walk->ghost[walk->count++] = record->flags & BTREE_GHOST;
    *stop = walk->count == WALK_BATCH;
    return OP_OK;
}

static int bury_finally(struct op *op, struct store *store, struct bytes key, bool ghost, uint64_t *freed)
{
    bool removed;
    if (ghost)
        return btree_purge(op, &store->graveyard, key, NULL, NULL, &removed);
    (*freed)++;
    if (key.data[8] != GRAVE_TREE) {
        int result = grave_free(op, store, key);
        return result == OP_OK ? btree__shrink(op, &store->graveyard, key) : result;
    }
    if (btree_drop(op, store, get_be64(key.data + 9)) != OP_OK)
        return OP_FAILED;
    return row_erase(op, &store->graveyard, key);
}

static int walk_all(struct op *op, struct store *store, struct walk *walk, uint64_t *freed)
{
    struct btree_cursor cursor;
    struct btree_range all = {{NULL, 0}, {NULL, 0}, true, true};
    struct btree_visitor visitor = {.arg = walk, .record = walk_record};
    bool more = true;
    int result = OP_OK;
    btree_cursor_open(&cursor, &store->graveyard, &all, false);
    while (result == OP_OK && more) {
        walk->count = 0;
        result = btree_cursor_next_leaf(op, &cursor, &visitor, &more);
        for (int i = 0; result == OP_OK && i < walk->count; i++)
            result = bury_finally(op, store, (struct bytes){walk->keys[i], GRAVE_KEY_BYTES}, walk->ghost[i], freed);
        if (result == OP_OK)
            result = op_check_cancel(op);
    }
    btree_cursor_close(&cursor);
    return result;
}

int btree_free_graves(struct op *op, struct store *store, bool (*dead)(void *arg, TxnId txn), void *arg, uint64_t *freed)
{
    struct walk walk = {.dead = dead, .arg = arg};
    *freed = 0;
    if (atomic_exchange(&store->walking_graves, true))
        return OP_OK;
    atomic_store(&store->has_graves, false);
    int result = walk_all(op, store, &walk, freed);
    if (walk.others || result != OP_OK)
        atomic_store(&store->has_graves, true);
    atomic_store(&store->walking_graves, false);
    return result;
}

bool btree_has_graves(const struct store *store)
{
    return atomic_load_explicit(&store->has_graves, memory_order_relaxed);
}

int btree_bury(struct op *op, struct store *store, struct wal_chain *chain, TreeId tree_id)
{
    uint8_t buffer[GRAVE_KEY_BYTES];
    bool applied;
    struct btree_change change = {.kind = BTREE_INSERT, .key = grave_key(buffer, chain->txn, GRAVE_TREE, tree_id),
                                  .value = {(const uint8_t *)"", 0}};
    if (btree_change(op, &store->graveyard, chain, &change, &applied) != OP_OK)
        return OP_FAILED;
    atomic_store_explicit(&store->has_graves, true, memory_order_relaxed);
    return OP_OK;
}
