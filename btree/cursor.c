/*
 * cursor.c -- reading one record, and walking a range leaf by leaf.
 *
 * A cursor holds no latch between calls; it remembers a key.  Each call latches one leaf, visits its records of the range, and
 * notes how far it came: the last record visited, or the leaf's fence, where the next leaf begins.  Leaves have no
 * links to their neighbours that a split would have to keep: going forwards the next leaf is the one that covers the high fence,
 * going backwards the one that covers what lies right below the low fence, and the search finds it, however the tree has
 * changed meanwhile.
 *
 *      forwards      [low .. high)  ->  the leaf that covers `high`
 *      backwards     [low .. high)  ->  the leaf whose range ends at `low` or goes beyond it
 *
 * A cursor that stopped within a leaf tries that page first: if it is still a leaf of the tree whose fences cover the
 * position, it is the right one.
 */
#include <string.h>

#include "btree/btree_int.h"
#include "src/base/mem.h"

enum { CELLS_AHEAD = 6 };      /* a scan asks for cells as long before it reads them: time for a miss of the cache */

int btree_get(struct op *op, struct btree *tree, struct bytes key,
              int (*visit)(void *arg, struct op *op, const struct btree_record *record), void *arg)
{
    struct page_ref leaf;
    struct cell cell = {0};
    unsigned slot;
    bool found;
    if (btree__find_leaf(op, tree, key, false, LATCH_SHARED, &leaf) != OP_OK)
        return OP_FAILED;
    int result = btree__search(op, tree->store, &leaf, key, &slot, &found);
    if (result == OP_OK && found && !node_cell(node_of(tree->store, &leaf), slot, &cell))
        result = btree__damaged(op, tree->store, leaf.page_no, "each cell lies within the heap");
    if (result == OP_OK) {
        struct btree_record record = {key, found ? cell.value : (struct bytes){NULL, 0}, found ? cell.flags : 0, leaf.page_no};
        result = visit(arg, op, found ? &record : NULL);
    }
    buf_unfix(&leaf, tree->store->buf);
    return result == OP_OK ? OP_OK : btree__blame(op, tree);
}

/* ---- position ------------------------------------------------------------------------------------- */

void btree_cursor_open(struct btree_cursor *cursor, struct btree *tree, const struct btree_range *range, bool backward)
{
    cursor->tree = tree;
    cursor->range = *range;
    cursor->backward = backward;
    cursor->done = cursor->started = cursor->position_visited = false;
    cursor->position = cursor->fixed;
    cursor->position_len = 0;
    cursor->position_capacity = sizeof cursor->fixed;
    cursor->hint_leaf = 0;
}

void btree_cursor_close(struct btree_cursor *cursor)
{
    if (cursor->position != cursor->fixed)
        mem_free(cursor->position);
    cursor->position = cursor->fixed;
    cursor->position_capacity = sizeof cursor->fixed;
    cursor->done = true;
}

static int set_position(struct op *op, struct btree_cursor *cursor, struct bytes key, bool visited)
{
    if (key.len > cursor->position_capacity) {
        uint8_t *larger = op_heap_alloc(op, key.len);
        if (larger == NULL)
            return OP_FAILED;
        if (cursor->position != cursor->fixed)
            mem_free(cursor->position);
        cursor->position = larger;
        cursor->position_capacity = key.len;
    }
    if (key.len > 0)
        memmove(cursor->position, key.data, key.len);
    cursor->position_len = key.len;
    cursor->position_visited = visited;
    cursor->started = true;
    return OP_OK;
}

/* The next leaf's search key in the direction of travel, and whether the record of that very key is still to be visited. */
struct bytes btree_cursor_at(const struct btree_cursor *cursor, bool *inclusive)
{
    const struct btree_range *range = &cursor->range;
    if (cursor->started) {
        /* A fence is the first key of the leaf above it: not yet visited going forwards, visited going backwards. */
        *inclusive = !cursor->backward && !cursor->position_visited;
        return (struct bytes){cursor->position, cursor->position_len};
    }
    *inclusive = cursor->backward ? range->high_inclusive : range->low_inclusive;
    return cursor->backward ? range->high : range->low;
}

static bool hinted_leaf(struct btree_cursor *cursor, struct bytes key, bool before, struct page_ref *leaf)
{
    bool taken;
    if (cursor->hint_leaf == 0 || key.data == NULL)
        return false;
    buf_try_fix(cursor->tree->store->buf, cursor->hint_leaf, LATCH_SHARED, leaf, &taken);
    if (!taken)
        return false;
    struct node node = node_of(cursor->tree->store, leaf);
    if (node_head(node)->page.type == PAGE_LEAF && node_head(node)->page.tree_id == cursor->tree->id &&
        node_check_head(node) == NULL && node_covers(node, key) &&
        (!before || bytes_compare(node_low(node), key) < 0))
        return true;
    buf_unfix(leaf, cursor->tree->store->buf);
    return false;
}

static int find_leaf(struct op *op, struct btree_cursor *cursor, struct bytes key, bool inclusive, struct page_ref *leaf)
{
    bool before = cursor->backward && !inclusive;
    if (key.data == NULL)
        return btree__find_edge(op, cursor->tree, cursor->backward, LATCH_SHARED, leaf);
    if (hinted_leaf(cursor, key, before, leaf))
        return OP_OK;
    if (before && key.len == 0) {
        leaf->data = NULL;      /* nothing lies below the empty key */
        return OP_OK;
    }
    return btree__find_leaf(op, cursor->tree, key, before, LATCH_SHARED, leaf);
}

/* ---- one leaf ------------------------------------------------------------------------------------- */

/* The slots of a leaf that are to be visited: [from, to). */
struct span {
    unsigned from, to;
    bool range_ends;            /* nothing of the range lies beyond this leaf */
};

/* The first slot whose key is above the bound (above or equal when `inclusive`). */
static bool slot_from(struct node node, struct bytes bound, bool inclusive, unsigned *slot)
{
    bool found;
    if (!node_search(node, bound, slot, &found))
        return false;
    *slot += found && !inclusive;
    return true;
}

static bool find_span(const struct btree_cursor *cursor, struct node node, struct bytes key, bool inclusive, struct span *span)
{
    const struct btree_range *range = &cursor->range;
    unsigned slots = node_head(node)->slots;
    bool sound = true;
    span->from = 0;
    span->to = slots;
    if (cursor->backward) {
        if (key.data != NULL && (!node_has_high(node) || bytes_compare(key, node_high(node)) < 0))
            sound = slot_from(node, key, !inclusive, &span->to);
        span->range_ends = node_low(node).len == 0;
        if (range->low.data != NULL && bytes_compare(range->low, node_low(node)) >= 0) {
            span->range_ends = true;
            if (node_covers(node, range->low))
                sound = sound && slot_from(node, range->low, range->low_inclusive, &span->from);
            else
                span->from = slots;
        }
    } else {
        if (key.data != NULL)
            sound = slot_from(node, key, inclusive, &span->from);
        span->range_ends = !node_has_high(node);
        if (range->high.data != NULL && (!node_has_high(node) || bytes_compare(range->high, node_high(node)) < 0)) {
            span->range_ends = true;
            if (bytes_compare(range->high, node_low(node)) < 0)
                span->to = 0;
            else
                sound = sound && slot_from(node, range->high, !range->high_inclusive, &span->to);
        } else if (range->high.data != NULL && !range->high_inclusive && bytes_compare(range->high, node_high(node)) == 0) {
            span->range_ends = true;
        }
    }
    if (span->to < span->from)
        span->to = span->from;
    return sound;
}

/* The part of the key space that is visited on this leaf. */
static void find_covered(const struct btree_cursor *cursor, struct node node, const struct span *span, struct bytes key, bool inclusive,
                         struct btree_range *covered)
{
    const struct btree_range *range = &cursor->range;
    if (cursor->backward) {
        covered->high = key;
        covered->high_inclusive = inclusive;
        covered->low = span->range_ends ? range->low : node_low(node);
        covered->low_inclusive = span->range_ends ? range->low_inclusive : true;
    } else {
        covered->low = key;
        covered->low_inclusive = inclusive;
        covered->high = span->range_ends ? range->high : node_high(node);
        covered->high_inclusive = span->range_ends ? range->high_inclusive : false;
    }
}

static int visit_records(struct op *op, struct btree_cursor *cursor, const struct btree_visitor *visitor, struct node node,
                         const struct page_ref *leaf, const struct span *span, bool *stopped)
{
    uint8_t buffer[PAGE_SIZE_MAX / 4];
    struct bytes prefix = node_prefix(node);
    struct cell cell;
    unsigned count = span->to - span->from;
    *stopped = false;
    if (prefix.len > sizeof buffer)
        return btree__damaged(op, cursor->tree->store, leaf->page_no, "a fence is no longer than a key");
    if (prefix.len > 0)
        memcpy(buffer, prefix.data, prefix.len);
    for (unsigned i = 0; i < count && !*stopped; i++) {
        unsigned slot = cursor->backward ? span->to - 1 - i : span->from + i;
        if (i + CELLS_AHEAD < count)
            __builtin_prefetch(node.data + node_slots(node)[cursor->backward ? slot - CELLS_AHEAD : slot + CELLS_AHEAD].offset);
        if (!node_cell(node, slot, &cell) || prefix.len + cell.suffix.len > sizeof buffer)
            return btree__damaged(op, cursor->tree->store, leaf->page_no, "each cell lies within the heap");
        memcpy(buffer + prefix.len, cell.suffix.data, cell.suffix.len);
        struct btree_record record = {{buffer, prefix.len + cell.suffix.len}, cell.value, cell.flags, leaf->page_no};
        if (visitor->record(visitor->arg, op, &record, stopped) != OP_OK)
            return OP_FAILED;
        if (*stopped && set_position(op, cursor, record.key, true) != OP_OK)
            return OP_FAILED;
    }
    return OP_OK;
}

/* Everything of this leaf has been visited: the position moves to its edge. */
static int leave(struct op *op, struct btree_cursor *cursor, struct node node, const struct span *span)
{
    cursor->hint_leaf = 0;
    if (span->range_ends) {
        cursor->done = true;
        return OP_OK;
    }
    return set_position(op, cursor, cursor->backward ? node_low(node) : node_high(node), false);
}

int btree_cursor_skip(struct op *op, struct btree_cursor *cursor, struct bytes bound)
{
    const struct btree_range *range = &cursor->range;
    cursor->hint_leaf = 0;
    if (cursor->backward) {
        cursor->done = bound.len == 0 || (range->low.data != NULL && bytes_compare(range->low, bound) >= 0);
    } else if (range->high.data != NULL) {
        int order = bytes_compare(range->high, bound);
        cursor->done = order < 0 || (order == 0 && !range->high_inclusive);
    }
    return cursor->done ? OP_OK : set_position(op, cursor, bound, false);
}

int btree_cursor_next_leaf(struct op *op, struct btree_cursor *cursor, const struct btree_visitor *visitor, bool *more)
{
    struct store *store = cursor->tree->store;
    struct page_ref leaf;
    struct span span;
    bool inclusive, stopped;
    *more = false;
    if (cursor->done)
        return OP_OK;
    struct bytes key = btree_cursor_at(cursor, &inclusive);
    if (find_leaf(op, cursor, key, inclusive, &leaf) != OP_OK)
        return btree__blame(op, cursor->tree);
    if (leaf.data == NULL) {
        cursor->done = true;
        return OP_OK;
    }
    struct node node = node_of(store, &leaf);
    int result = OP_OK;
    if (!find_span(cursor, node, key, inclusive, &span))
        result = btree__damaged(op, store, leaf.page_no, "each cell lies within the heap");
    struct btree_range covered = {.low_inclusive = false};
    if (result == OP_OK)
        find_covered(cursor, node, &span, key, inclusive, &covered);
    if (result == OP_OK && visitor->enter_leaf != NULL)
        result = visitor->enter_leaf(visitor->arg, op, leaf.page_no, &covered);
    if (result == OP_OK)
        result = visit_records(op, cursor, visitor, node, &leaf, &span, &stopped);
    if (result == OP_OK && !stopped && visitor->leave_leaf != NULL)
        visitor->leave_leaf(visitor->arg, &covered);
    if (result == OP_OK && stopped)
        cursor->hint_leaf = leaf.page_no;
    else if (result == OP_OK)
        result = leave(op, cursor, node, &span);
    buf_unfix(&leaf, store->buf);
    *more = result == OP_OK && !cursor->done;
    return result == OP_OK ? OP_OK : btree__blame(op, cursor->tree);
}
