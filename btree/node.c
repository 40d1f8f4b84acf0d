/*
 * node.c -- reading and changing one slotted page.
 *
 * The layout is drawn in node.h.  Nothing here knows of latches, logs or other pages: these functions take a page
 * that the caller has latched and leave another one in it, and the same functions serve the first execution and redo, so that
 * both end with the same contents.
 *
 * Reading trusts nothing that came from disk: node_check_head bounds what the head says, node_cell bounds each cell.
 * Changing relies on a check that the caller has made before it wrote the log record.
 */
#include "btree/node.h"

#include <string.h>

#include "btree/btree.h"
#include "src/base/endian.h"

size_t bytes_common(struct bytes a, struct bytes b)
{
    size_t shorter = a.len < b.len ? a.len : b.len, i = 0;
    while (i < shorter && a.data[i] == b.data[i])
        i++;
    return i;
}

uint32_t node_cell_max(uint32_t usable)
{
    return (usable - NODE_HEAD_BYTES) / 4;
}

uint32_t node_key_max(uint32_t usable)
{
    return node_cell_max(usable) - NODE_SLOT_BYTES - NODE_LEAF_CELL_BYTES - NODE_REFERENCE_BYTES;
}

uint32_t node_head_of(const uint8_t *suffix, size_t len)
{
    uint32_t head = 0;
    if (len >= 4) {
        memcpy(&head, suffix, 4);
        return __builtin_bswap32(head);
    }
    for (size_t i = 0; i < len; i++)
        head |= (uint32_t)suffix[i] << (24 - 8 * i);
    return head;
}

/* What a slot keeps of its suffix. */
static uint32_t slot_head(struct bytes suffix, size_t skip)
{
    return suffix.len > skip ? node_head_of(suffix.data + skip, suffix.len - skip) : 0;
}

/* ---- reading -------------------------------------------------------------------------------------- */

static uint32_t slots_end(struct node node)
{
    return NODE_HEAD_BYTES + NODE_SLOT_BYTES * (uint32_t)node_head(node)->slots;
}

const char *node_check_head(struct node node)
{
    const struct node_head *head = node_head(node);
    if (head->page.type != PAGE_LEAF && head->page.type != PAGE_INNER)
        return "the page is not part of a tree";
    if ((head->page.type == PAGE_LEAF) != (head->page.level == 0))
        return "leaves and only leaves are at level 0";
    if (NODE_HEAD_BYTES + (uint32_t)head->low_len + head->high_len > node.usable)
        return "fences lie within the page";
    if (slots_end(node) > head->heap || head->heap > node_heap_end(node))
        return "the heap lies between slots and fences";
    if (head->garbage > node_heap_end(node) - head->heap)
        return "garbage is part of the heap";
    if (head->prefix_len > head->low_len || (head->prefix_len > head->high_len))
        return "the prefix is common to both fences";
    if (head->flags & NODE_NO_HIGH && head->high_len != 0)
        return "a node without an upper bound has no high fence";
    if (head->page.type == PAGE_INNER && head->slots == 0)
        return "an inner node has a child";
    return NULL;
}

const char *node_check_cells(struct node node)
{
    const struct node_head *head = node_head(node);
    uint32_t live = 0;
    struct cell cell;
    const char *rule = node_check_head(node);
    if (rule != NULL)
        return rule;
    if (head->low_len > node_key_max(node.usable) || head->high_len > node_key_max(node.usable))
        return "a fence is no longer than a key";
    for (unsigned i = 0; i < head->slots; i++) {
        if (!node_cell(node, i, &cell))
            return "each cell lies within the heap";
        if (head->prefix_len + cell.suffix.len > node_key_max(node.usable))
            return "a key is no longer than a quarter of a page";
        live += cell.size;
    }
    if (live + head->garbage != node_heap_end(node) - head->heap)
        return "cells and garbage fill the heap";
    return NULL;
}

/* What each cell must be, and what all of them together. */
static const char *check_order(struct node node)
{
    struct cell cell, before;
    bool leaf = node_is_leaf(node);
    unsigned ghosts = 0, first = leaf ? 0 : 1;
    size_t skip = node_head(node)->skip;
    memset(&before, 0, sizeof before);
    for (unsigned i = 0; i < node_head(node)->slots && node_cell(node, i, &cell); i++) {
        if (node_slots(node)[i].head != slot_head(cell.suffix, skip))
            return "a slot keeps the first bytes of its key";
        if (i >= first && cell.suffix.len < skip)
            return "keys are no shorter than what they have in common";
        if (i > first && memcmp(cell.suffix.data, before.suffix.data, skip) != 0)
            return "keys begin with what they have in common";
        if (!leaf && (cell.child == 0 || (i == 0 && cell.suffix.len != 0)))
            return "an inner cell names a child, and the first one has no key";
        if (i > first && bytes_compare(before.suffix, cell.suffix) >= 0)
            return "keys are in strictly ascending order";
        if (leaf && cell.flags & BTREE_OVERFLOW && cell.value.len != NODE_REFERENCE_BYTES)
            return "a reference to an overflow chain has 24 bytes";
        ghosts += (cell.flags & BTREE_GHOST) != 0;
        before = cell;
    }
    return ghosts == node_head(node)->ghosts ? NULL : "the head counts the ghosts";
}

/* N2: marks the bytes of each cell in a map of the page, and finds those marked twice. */
static bool cells_overlap(struct node node)
{
    uint64_t map[PAGE_SIZE_MAX / 64];
    struct cell cell;
    memset(map, 0, (node.usable + 63) / 64 * 8);
    for (unsigned i = 0; i < node_head(node)->slots; i++) {
        if (!node_cell(node, i, &cell))
            return true;
        uint32_t start = (uint32_t)(cell.start - node.data);
        for (uint32_t at = start; at < start + cell.size; at++) {
            if (map[at / 64] >> (at % 64) & 1)
                return true;
            map[at / 64] |= UINT64_C(1) << (at % 64);
        }
    }
    return false;
}

static bool key_is_covered(struct node node, unsigned slot)
{
    uint8_t buffer[PAGE_SIZE_MAX / 4];
    struct bytes key;
    return node_key(node, slot, buffer, &key) && node_covers(node, key);
}

const char *node_check(struct node node)
{
    const struct node_head *head = node_head(node);
    unsigned first = node_is_leaf(node) ? 0 : 1;
    const char *rule = node_check_cells(node);
    if (rule == NULL)
        rule = check_order(node);
    if (rule != NULL)
        return rule;
    if (cells_overlap(node))
        return "cells do not overlap";
    if (node_has_high(node) ? head->prefix_len != bytes_common(node_low(node), node_high(node)) : head->prefix_len != 0)
        return "the prefix is what both fences have in common";
    if (node_has_high(node) && bytes_compare(node_low(node), node_high(node)) >= 0)
        return "the low fence is below the high fence";
    if (head->slots > first && (!key_is_covered(node, first) || !key_is_covered(node, head->slots - 1u)))
        return "keys lie between the fences";
    return NULL;
}

bool node_covers(struct node node, struct bytes key)
{
    struct bytes low = node_low(node);
    if (low.len > 0 && bytes_compare(key, low) < 0)
        return false;
    return !node_has_high(node) || bytes_compare(key, node_high(node)) < 0;
}

/* The first slot in [from, to) whose head is not below `head`. */
static unsigned first_head_from(const struct node_slot *slots, unsigned from, unsigned to, uint32_t head)
{
    unsigned count = to - from;
    while (count > 0) {
        unsigned half = count / 2;
        bool below = slots[from + half].head < head;
        from += below ? half + 1 : 0;
        count = below ? count - half - 1 : half;
    }
    return from;
}

/* The first slot in [from, slots) whose suffix is >= the key's; *found when it is equal. */
static bool lower_bound(struct node node, unsigned from, struct bytes key, unsigned *slot, bool *found)
{
    const struct node_slot *slots = node_slots(node);
    unsigned count = node_head(node)->slots;
    size_t prefix_len = node_head(node)->prefix_len;
    struct cell cell;
    *found = false;
    *slot = from;
    if (key.len < prefix_len)
        return false;
    struct bytes suffix = {key.data + prefix_len, key.len - prefix_len};
    size_t skip = node_head(node)->skip;
    if (skip > 0 && from < count) {
        if (!node_cell(node, from, &cell) || cell.suffix.len < skip)
            return false;
        int order = bytes_compare((struct bytes){suffix.data, suffix.len < skip ? suffix.len : skip},
                                  (struct bytes){cell.suffix.data, skip});
        if (order != 0) {
            *slot = order < 0 ? from : count;
            return true;
        }
    }
    uint32_t head = slot_head(suffix, skip);
    from = first_head_from(slots, from, count, head);
    unsigned to = from;
    if (from < count && slots[from].head == head)
        to = head == UINT32_MAX ? count : first_head_from(slots, from, count, head + 1);
    while (from < to) {
        unsigned middle = from + (to - from) / 2;
        if (!node_cell(node, middle, &cell))
            return false;
        int order = bytes_compare(cell.suffix, suffix);
        if (order == 0) {
            *found = true;
            *slot = middle;
            return true;
        }
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    *slot = from;
    return true;
}

bool node_search(struct node node, struct bytes key, unsigned *slot, bool *found)
{
    return lower_bound(node, 0, key, slot, found);
}

bool node_is_beyond(struct node node, struct bytes key)
{
    unsigned slots = node_head(node)->slots;
    size_t prefix_len = node_head(node)->prefix_len;
    struct cell cell;
    if (slots == 0)
        return true;
    return key.len >= prefix_len && node_cell(node, slots - 1, &cell) &&
           bytes_compare((struct bytes){key.data + prefix_len, key.len - prefix_len}, cell.suffix) > 0;
}

bool node_search_child(struct node node, struct bytes key, bool before, unsigned *slot)
{
    bool found;
    if (!lower_bound(node, 1, key, slot, &found))
        return false;
    if (!found || before)
        (*slot)--;
    return true;
}

bool node_key(struct node node, unsigned slot, uint8_t *buffer, struct bytes *key)
{
    struct bytes prefix = node_prefix(node);
    struct cell cell;
    if (!node_cell(node, slot, &cell) || prefix.len + cell.suffix.len > PAGE_SIZE_MAX / 4)
        return false;
    if (prefix.len > 0)
        memcpy(buffer, prefix.data, prefix.len);
    memcpy(buffer + prefix.len, cell.suffix.data, cell.suffix.len);
    *key = (struct bytes){buffer, prefix.len + cell.suffix.len};
    return true;
}

/* ---- room ----------------------------------------------------------------------------------------- */

uint32_t node_free(struct node node)
{
    return node_head(node)->heap - slots_end(node) + node_head(node)->garbage;
}

uint32_t node_record_bytes(struct node node, size_t key_len, size_t value_len)
{
    return (uint32_t)(NODE_SLOT_BYTES + NODE_LEAF_CELL_BYTES + key_len - node_head(node)->prefix_len + value_len);
}

uint32_t node_child_bytes(struct node node, size_t key_len)
{
    return (uint32_t)(NODE_SLOT_BYTES + NODE_INNER_CELL_BYTES + key_len - node_head(node)->prefix_len);
}

bool node_must_compact(struct node node, uint32_t bytes)
{
    return node_head(node)->heap - slots_end(node) < bytes;
}

/* ---- changing ------------------------------------------------------------------------------------- */

void node_format(struct node node, enum page_type type, unsigned level, TreeId tree, struct bytes low, struct bytes high)
{
    struct node_head *head = node_head(node);
    head->page.type = (uint8_t)type;
    head->page.level = (uint8_t)level;
    head->page.reserved = 0;
    head->page.tree_id = tree;
    head->slots = head->ghosts = 0;
    head->garbage = 0;
    head->low_len = (uint16_t)low.len;
    head->high_len = (uint16_t)high.len;
    head->flags = high.data == NULL ? NODE_NO_HIGH : 0;
    head->prefix_len = high.data == NULL ? 0 : (uint16_t)bytes_common(low, high);
    head->skip = head->zero = 0;
    head->heap = node_heap_end(node);
    if (low.len > 0)
        memcpy(node.data + node.usable - low.len, low.data, low.len);
    if (high.len > 0)
        memcpy(node.data + node.usable - low.len - high.len, high.data, high.len);
}

/* Moves the cells together at the end of the heap. */
static void compact(struct node node)
{
    _Alignas(8) uint8_t copy[PAGE_SIZE_MAX];
    struct node old = {copy, node.usable};
    struct node_head *head = node_head(node);
    struct node_slot *slots = node_slots(node);
    struct cell cell;
    memcpy(copy, node.data, node.usable);
    uint32_t heap = node_heap_end(node);
    for (unsigned i = 0; i < head->slots; i++) {
        bool sound = node_cell(old, i, &cell);
        assert(sound);
        if (!sound || cell.size > heap - slots_end(node))
            continue;
        heap -= cell.size;
        memcpy(node.data + heap, cell.start, cell.size);
        slots[i].offset = (uint16_t)heap;
    }
    head->heap = heap;
    head->garbage = 0;
}

/* Takes `size` bytes of heap; `slots` more slots will be needed too. */
static uint8_t *take_heap(struct node node, uint32_t size, unsigned slots)
{
    if (node_must_compact(node, size + slots * NODE_SLOT_BYTES))
        compact(node);
    assert(!node_must_compact(node, size + slots * NODE_SLOT_BYTES));
    node_head(node)->heap -= size;
    return node.data + node_head(node)->heap;
}

static void give_heap(struct node node, uint32_t offset, uint32_t size)
{
    if (offset == node_head(node)->heap)
        node_head(node)->heap += size;
    else
        node_head(node)->garbage += size;
}

static void set_skip(struct node node, size_t skip)
{
    struct cell cell;
    node_head(node)->skip = (uint16_t)skip;
    for (unsigned i = 0; i < node_head(node)->slots; i++)
        if (node_cell(node, i, &cell))
            node_slots(node)[i].head = slot_head(cell.suffix, skip);
}

/* Makes the heads tell as much as they can: what first and last key have in common, all have. */
static void choose_skip(struct node node)
{
    unsigned first = node_is_leaf(node) ? 0 : 1, slots = node_head(node)->slots;
    struct cell low, high;
    if (slots < first + 2 || !node_cell(node, first, &low) || !node_cell(node, slots - 1, &high))
        return;
    size_t skip = bytes_common(low.suffix, high.suffix);
    if (skip != node_head(node)->skip)
        set_skip(node, skip);
}

/* N6 for a suffix that is about to come in. */
static void admit(struct node node, struct bytes suffix)
{
    unsigned first = node_is_leaf(node) ? 0 : 1;
    struct cell cell;
    if (node_head(node)->skip == 0)
        return;
    size_t common = node_head(node)->slots > first && node_cell(node, first, &cell) ? bytes_common(cell.suffix, suffix) : 0;
    if (common < node_head(node)->skip)
        set_skip(node, common);
}

static void open_slot(struct node node, unsigned slot, const uint8_t *cell, struct bytes suffix)
{
    struct node_head *head = node_head(node);
    struct node_slot *slots = node_slots(node);
    if (slot > 0 || node_is_leaf(node))
        admit(node, suffix);
    memmove(&slots[slot + 1], &slots[slot], (head->slots - slot) * sizeof slots[0]);
    slots[slot].offset = (uint16_t)(cell - node.data);
    slots[slot].suffix_len = (uint16_t)suffix.len;
    slots[slot].head = slot_head(suffix, head->skip);
    head->slots++;
    if (head->slots >= 8 && (head->slots & (head->slots - 1)) == 0)
        choose_skip(node);      /* a page that grows by appends: now and then */
}

static void write_leaf_cell(uint8_t *at, struct bytes suffix, struct bytes value, uint8_t flags)
{
    at[0] = flags;
    put_u16(at + 1, (uint16_t)value.len);
    if (suffix.len > 0)
        memcpy(at + NODE_LEAF_CELL_BYTES, suffix.data, suffix.len);
    if (value.len > 0)
        memcpy(at + NODE_LEAF_CELL_BYTES + suffix.len, value.data, value.len);
}

void node_insert(struct node node, unsigned slot, struct bytes key, struct bytes value, uint8_t flags)
{
    size_t prefix_len = node_head(node)->prefix_len;
    struct bytes suffix = {key.data + prefix_len, key.len - prefix_len};
    uint8_t *at = take_heap(node, (uint32_t)(NODE_LEAF_CELL_BYTES + suffix.len + value.len), 1);
    write_leaf_cell(at, suffix, value, flags);
    open_slot(node, slot, at, suffix);
    node_head(node)->ghosts += (flags & BTREE_GHOST) != 0;
}

void node_set_flags(struct node node, unsigned slot, uint8_t flags)
{
    uint8_t *at = node.data + node_slots(node)[slot].offset;
    node_head(node)->ghosts += ((flags & BTREE_GHOST) != 0) - ((at[0] & BTREE_GHOST) != 0);
    at[0] = flags;
}

void node_replace(struct node node, unsigned slot, struct bytes value, uint8_t flags)
{
    struct node_slot *at = &node_slots(node)[slot];
    uint8_t *old = node.data + at->offset;
    uint32_t fixed = NODE_LEAF_CELL_BYTES + (uint32_t)at->suffix_len, old_len = get_u16(old + 1);
    node_set_flags(node, slot, flags);
    if (value.len <= old_len) {
        if (value.len > 0)
            memmove(old + fixed, value.data, value.len);
        put_u16(old + 1, (uint16_t)value.len);
        node_head(node)->garbage += old_len - (uint32_t)value.len;
        return;
    }
    /* The suffix is moved by way of a copy: making room may overwrite the old cell. */
    uint8_t suffix[PAGE_SIZE_MAX / 4];
    size_t suffix_len = at->suffix_len;
    memcpy(suffix, old + NODE_LEAF_CELL_BYTES, suffix_len);
    give_heap(node, at->offset, fixed + old_len);
    /* While it has no cell the slot must not take part in a compaction. */
    struct node_slot *slots = node_slots(node);
    unsigned after = node_head(node)->slots - slot - 1u;
    uint32_t kept_head = at->head;
    memmove(at, at + 1, after * sizeof *at);
    node_head(node)->slots--;
    uint8_t *fresh = take_heap(node, fixed + (uint32_t)value.len, 1);
    write_leaf_cell(fresh, (struct bytes){suffix, suffix_len}, value, flags);
    memmove(&slots[slot + 1], &slots[slot], after * sizeof *at);
    slots[slot].offset = (uint16_t)(fresh - node.data);
    slots[slot].suffix_len = (uint16_t)suffix_len;
    slots[slot].head = kept_head;
    node_head(node)->slots++;
}

static void close_slots(struct node node, unsigned from, unsigned to)
{
    struct node_head *head = node_head(node);
    struct node_slot *slots = node_slots(node);
    memmove(&slots[from], &slots[to], (head->slots - to) * sizeof slots[0]);
    head->slots = (uint16_t)(head->slots - (to - from));
    if (head->slots == 0) {
        head->skip = 0;
        head->heap = node_heap_end(node);
        head->garbage = 0;
    }
}

void node_remove(struct node node, unsigned slot)
{
    struct cell cell;
    bool sound = node_cell(node, slot, &cell);
    assert(sound);
    if (sound) {
        node_head(node)->ghosts -= (cell.flags & BTREE_GHOST) != 0;
        give_heap(node, node_slots(node)[slot].offset, cell.size);
    }
    close_slots(node, slot, slot + 1);
}

void node_trim(struct node node, unsigned slot)
{
    while (node_head(node)->slots > slot)
        node_remove(node, node_head(node)->slots - 1u);
}

void node_insert_child(struct node node, unsigned slot, struct bytes key, PageNo child)
{
    size_t prefix_len = node_head(node)->prefix_len;
    struct bytes suffix = {NULL, 0};
    if (slot > 0)
        suffix = (struct bytes){key.data + prefix_len, key.len - prefix_len};
    uint8_t *at = take_heap(node, (uint32_t)(NODE_INNER_CELL_BYTES + suffix.len), 1);
    put_u48(at, child);
    if (suffix.len > 0)
        memcpy(at + NODE_INNER_CELL_BYTES, suffix.data, suffix.len);
    open_slot(node, slot, at, suffix);
}

void node_set_child(struct node node, unsigned slot, PageNo child)
{
    put_u48(node.data + node_slots(node)[slot].offset, child);
}

uint32_t node_bytes_of(struct node source, unsigned from, unsigned to, size_t prefix_len)
{
    uint32_t total = 0;
    struct cell cell;
    for (unsigned i = from; i < to; i++) {
        if (node_cell(source, i, &cell))
            total += NODE_SLOT_BYTES + cell.size + (uint32_t)(node_head(source)->prefix_len - prefix_len);
    }
    return total;
}

/* A key in two pieces, less the first `skip` bytes, put in one. */
static struct bytes join(struct bytes prefix, struct bytes suffix, size_t skip, uint8_t *buffer)
{
    if (skip >= prefix.len)
        return (struct bytes){suffix.data + (skip - prefix.len), suffix.len - (skip - prefix.len)};
    size_t kept = prefix.len - skip;
    memcpy(buffer, prefix.data + skip, kept);
    memcpy(buffer + kept, suffix.data, suffix.len);
    return (struct bytes){buffer, kept + suffix.len};
}

void node_append(struct node node, struct node source, unsigned from, unsigned to, struct bytes first_key)
{
    uint8_t buffer[PAGE_SIZE_MAX / 2];
    struct bytes prefix = node_prefix(source);
    size_t skip = node_head(node)->prefix_len;
    bool leaf = node_is_leaf(node);
    struct cell cell;
    for (unsigned i = from; i < to; i++) {
        unsigned slot = node_head(node)->slots;
        bool sound = node_cell(source, i, &cell);
        assert(sound);
        if (!sound)
            continue;
        struct bytes suffix = {NULL, 0};
        if (leaf || (slot > 0 && i > 0))
            suffix = join(prefix, cell.suffix, skip, buffer);
        else if (slot > 0)
            suffix = (struct bytes){first_key.data + skip, first_key.len - skip};
        uint32_t fixed = leaf ? NODE_LEAF_CELL_BYTES : NODE_INNER_CELL_BYTES;
        uint8_t *at = take_heap(node, (uint32_t)(fixed + suffix.len + cell.value.len), 1);
        if (leaf) {
            write_leaf_cell(at, suffix, cell.value, cell.flags);
            node_head(node)->ghosts += (cell.flags & BTREE_GHOST) != 0;
        } else {
            put_u48(at, cell.child);
            if (suffix.len > 0)
                memcpy(at + fixed, suffix.data, suffix.len);
        }
        open_slot(node, slot, at, suffix);
    }
    choose_skip(node);
}

void node_cut(struct node node, unsigned slot, struct bytes separator)
{
    _Alignas(8) uint8_t copy[PAGE_SIZE_MAX];
    struct node old = {copy, node.usable};
    memcpy(copy, node.data, node.usable);
    const struct node_head *head = node_head(old);
    node_format(node, (enum page_type)head->page.type, head->page.level, head->page.tree_id, node_low(old), separator);
    node_append(node, old, 0, slot, (struct bytes){NULL, 0});
}

/* ---- images --------------------------------------------------------------------------------------- */

void node_image(struct node node, struct bytes *front, struct bytes *back)
{
    *front = (struct bytes){node.data, slots_end(node)};
    *back = (struct bytes){node.data + node_head(node)->heap, node.usable - node_head(node)->heap};
}

bool node_restore(struct node node, struct bytes front, struct bytes back)
{
    uint64_t page_no = node_head(node)->page.page_no;
    if (front.len < NODE_HEAD_BYTES || front.len + back.len > node.usable)
        return false;
    memcpy(node.data, front.data, front.len);
    memset(node.data + front.len, 0, node.usable - front.len - back.len);
    memcpy(node.data + node.usable - back.len, back.data, back.len);
    node_head(node)->page.page_no = page_no;
    return true;
}
