/*
 * node.h -- the page of a tree: slots, heap and fences.
 *
 *        0 +--------------------------------------------------------------+
 *          | page head (src/buf/page.h): crc, type, level, LSN, tree id   |
 *       32 +--------------------------------------------------------------+
 *          | node head: slots, ghosts, heap, garbage, fence lengths ...   |
 *       56 +--------------------------------------------------------------+
 *          | slot 0 | slot 1 | slot 2 | ...      8 bytes each, key order  |
 *          +- - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - +
 *          |                       free space                             |
 *     heap +- - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - +
 *          | cells, in any order, with `garbage` dead bytes among them    |
 *          +--------------------------------------------------------------+
 *          | high fence | low fence                                       |
 *   usable +--------------------------------------------------------------+
 *          | reserved tail of the page                                    |
 *          +--------------------------------------------------------------+
 *
 *      slot    offset of the cell u16 | length of the suffix u16 | head u32: 4 bytes of the suffix, from byte `skip` on, as
 *              a big-endian number, padded with zeros
 *      cell    leaf: flags u8 | length of the value u16 | suffix | value
 *              inner: child u48 | suffix
 *
 * All keys of a node lie in [low fence, high fence) and so begin with what the fences have in common: that prefix is
 * stored only once, in the low fence, and a slot's key is the prefix and its suffix.  Most comparisons of a search
 * are decided by the heads alone, within the slot array, without touching a cell.
 *
 * A node at the right edge has no high fence and so no prefix, though its keys may have much in common: `skip` counts the
 * bytes with which all suffixes begin.  The heads begin behind them, and a search compares them once.
 *
 * Slot 0 of an inner node has an empty suffix and stands for the low fence: its child takes everything below slot 1.
 *
 * N1  Slots are in strictly ascending order of their keys (from slot 1 on in inner nodes).
 * N2  56 + 8 * slots <= heap <= usable - fences; each cell lies within [heap, usable - fences), and cells do not overlap.
 * N3  Live cells + garbage + free space + slots + heads + fences = usable.
 * N4  prefix_len is the length of what both fences have in common (0 without a high fence).
 * N6  All suffixes (from slot 1 on in inner nodes) begin with the same `skip` bytes.
 * N5  A node has room for four of the largest cells, fences counted as such: so a node that is full can be split.
 */
#ifndef ISOLDE_BTREE_NODE_H
#define ISOLDE_BTREE_NODE_H

#include <assert.h>
#include <string.h>

#include "src/base/endian.h"
#include "src/base/types.h"
#include "src/buf/page.h"

struct node_head {
    struct page_head page;
    uint16_t slots;
    uint16_t ghosts;            /* records with BTREE_GHOST */
    uint32_t heap;              /* offset of the lowest cell */
    uint32_t garbage;           /* dead bytes between heap and fences */
    uint16_t low_len, high_len, prefix_len;
    uint16_t flags;             /* NODE_NO_HIGH */
    uint16_t skip;
    uint16_t zero;
};

struct node_slot {
    uint16_t offset;
    uint16_t suffix_len;
    uint32_t head;
};

enum {
    NODE_NO_HIGH = 1,           /* rightmost of its level: no upper bound */
    NODE_HEAD_BYTES = 56,
    NODE_SLOT_BYTES = 8,
    NODE_LEAF_CELL_BYTES = 3,   /* before the suffix */
    NODE_INNER_CELL_BYTES = 6,
    NODE_REFERENCE_BYTES = 24,  /* of an overflow chain: the shortest form that any value can be given */
};

static_assert(sizeof(struct node_head) == NODE_HEAD_BYTES, "the node's head is 56 bytes on disk, page head included");
static_assert(offsetof(struct node_head, heap) == 36, "heap at 36");
static_assert(offsetof(struct node_head, flags) == 50, "flags at 50");
static_assert(sizeof(struct node_slot) == NODE_SLOT_BYTES, "a slot is 8 bytes on disk");
static_assert(offsetof(struct node_slot, head) == 4, "head at 4 of the slot");

/* A page of an overflow chain: overflow.c. */
struct overflow_head {
    struct page_head page;
    uint64_t next;
    uint32_t len;
    uint32_t zero;
};

enum { OVERFLOW_HEAD_BYTES = 48 };

static_assert(sizeof(struct overflow_head) == OVERFLOW_HEAD_BYTES, "an overflow page's head is 48 bytes on disk");
static_assert(offsetof(struct overflow_head, next) == 32, "next page at 32");

/* A page seen as a node; passed by copy. */
struct node {
    uint8_t *data;
    uint32_t usable;
};

/* A cell whose bounds have been checked. */
struct cell {
    const uint8_t *start;
    uint32_t size;              /* of the whole cell */
    struct bytes suffix;
    struct bytes value;         /* leaf */
    uint8_t flags;              /* leaf */
    PageNo child;               /* inner */
};

static inline struct node_head *node_head(struct node node) { return (struct node_head *)(void *)node.data; }
static inline struct node_slot *node_slots(struct node node)
{
    return (struct node_slot *)(void *)(node.data + NODE_HEAD_BYTES);
}
static inline bool node_is_leaf(struct node node) { return node_head(node)->page.type == PAGE_LEAF; }
static inline bool node_has_high(struct node node) { return !(node_head(node)->flags & NODE_NO_HIGH); }
static inline struct bytes node_low(struct node node)
{
    const struct node_head *head = node_head(node);
    return (struct bytes){node.data + node.usable - head->low_len, head->low_len};
}
static inline struct bytes node_high(struct node node)
{
    const struct node_head *head = node_head(node);
    return (struct bytes){node.data + node.usable - head->low_len - head->high_len, head->high_len};
}
static inline struct bytes node_prefix(struct node node)
{
    return (struct bytes){node_low(node).data, node_head(node)->prefix_len};
}

static inline uint32_t node_heap_end(struct node node)
{
    return node.usable - node_head(node)->low_len - node_head(node)->high_len;
}

/* False when the slot leads out of the heap. slot < slots.  Inline: a scan calls it for each row. */
static inline bool node_cell(struct node node, unsigned slot, struct cell *cell)
{
    const struct node_slot *at = &node_slots(node)[slot];
    uint32_t end = node_heap_end(node), offset = at->offset;
    bool leaf = node_is_leaf(node);
    uint32_t fixed = leaf ? NODE_LEAF_CELL_BYTES : NODE_INNER_CELL_BYTES;
    uint32_t size = fixed + at->suffix_len;
    if (offset < node_head(node)->heap || offset + size > end)
        return false;
    cell->start = node.data + offset;
    cell->suffix = (struct bytes){cell->start + fixed, at->suffix_len};
    if (leaf) {
        cell->flags = cell->start[0];
        cell->value = (struct bytes){cell->start + size, get_u16(cell->start + 1)};
        cell->child = 0;
        size += (uint32_t)cell->value.len;
        if (offset + size > end)
            return false;
    } else {
        cell->flags = 0;
        cell->value = (struct bytes){NULL, 0};
        cell->child = get_u48(cell->start);
    }
    cell->size = size;
    return true;
}

/* memcmp's order, then the shorter first.  Keys are short: eight bytes at a time inline beat a call. */
static inline int bytes_compare(struct bytes a, struct bytes b)
{
    size_t shorter = a.len < b.len ? a.len : b.len, i = 0;
    while (i < shorter) {
        if (shorter - i < 8 && shorter >= 8)
            i = shorter - 8;        /* the bytes before are equal: compare some of them again */
        if (shorter >= 8) {
            uint64_t left, right;
            memcpy(&left, a.data + i, 8);
            memcpy(&right, b.data + i, 8);
            if (left != right)
                return __builtin_bswap64(left) < __builtin_bswap64(right) ? -1 : 1;
            i += 8;
        } else {
            if (a.data[i] != b.data[i])
                return a.data[i] < b.data[i] ? -1 : 1;
            i++;
        }
    }
    return (a.len > b.len) - (a.len < b.len);
}
/* The largest cell with its slot, and the longest key (N5). */
uint32_t node_cell_max(uint32_t usable);
uint32_t node_key_max(uint32_t usable);
/* The first 4 bytes of a suffix as the number that a slot keeps. */
uint32_t node_head_of(const uint8_t *suffix, size_t len);

/* ---- reading; the page may be damaged ------------------------------------------------------------- */

/* Whether the heads are sound, so that everything below stays within the page; NULL or the broken rule. */
const char *node_check_head(struct node node);
/* Whether cells may be moved about: all of them lie within the heap and are not more than fit; NULL or the broken rule. */
const char *node_check_cells(struct node node);
/* Every rule of one node, order included; NULL or the broken rule. */
const char *node_check(struct node node);
/* Whether low fence <= key < high fence. */
bool node_covers(struct node node, struct bytes key);
/* Leaf: the first slot whose key is >= key (which the node covers); *found when equal.  False when damaged. */
bool node_search(struct node node, struct bytes key, unsigned *slot, bool *found);
/* Leaf: whether key lies above every record, so that it would get the slot behind the last. */
bool node_is_beyond(struct node node, struct bytes key);
/* Inner: the slot of the child that covers key; before: that covers what lies right below key.  False when damaged. */
bool node_search_child(struct node node, struct bytes key, bool before, unsigned *slot);
/* Writes prefix and suffix of the slot's key; buffer: room for node_key_max bytes. False when damaged. */
bool node_key(struct node node, unsigned slot, uint8_t *buffer, struct bytes *key);

/* ---- room ----------------------------------------------------------------------------------------- */

uint32_t node_free(struct node node);       /* garbage included */
/* Bytes of slot and cell that a record takes here; key: whole. */
uint32_t node_record_bytes(struct node node, size_t key_len, size_t value_len);
uint32_t node_child_bytes(struct node node, size_t key_len);
/* Whether a change that needs `bytes` of fresh heap must first move cells together (then check the node before). */
bool node_must_compact(struct node node, uint32_t bytes);

/* ---- changing; the page is sound (node_check where cells are moved) and has room -------------------- */

/* An empty node. The fences must not lie in this page; high NULL data: none. */
void node_format(struct node node, enum page_type type, unsigned level, TreeId tree, struct bytes low, struct bytes high);
void node_insert(struct node node, unsigned slot, struct bytes key, struct bytes value, uint8_t flags);
void node_replace(struct node node, unsigned slot, struct bytes value, uint8_t flags);
void node_set_flags(struct node node, unsigned slot, uint8_t flags);
void node_remove(struct node node, unsigned slot);
void node_insert_child(struct node node, unsigned slot, struct bytes key, PageNo child);
void node_set_child(struct node node, unsigned slot, PageNo child);
/* Keeps the slots below `slot`; separator becomes the high fence. */
void node_cut(struct node node, unsigned slot, struct bytes separator);
/* Keeps the slots below `slot`; fences stay. */
void node_trim(struct node node, unsigned slot);
/* Appends the slots [from, to) of another node; in an inner node slot 0 loses its suffix.  The first key of an inner `from`
 * that becomes a later slot of `node` is given as first_key. */
void node_append(struct node node, struct node source, unsigned from, unsigned to, struct bytes first_key);
/* Bytes that a node with this prefix length and these fences would take for the slots [from, to) of source. */
uint32_t node_bytes_of(struct node source, unsigned from, unsigned to, size_t prefix_len);

/* How long the common prefix of two byte strings is. */
size_t bytes_common(struct bytes a, struct bytes b);

/* ---- as stored in log records --------------------------------------------------------------------- */

/* The page without its free space, in two pieces. */
void node_image(struct node node, struct bytes *front, struct bytes *back);
/* Rebuilds a page from its pieces; its number is kept.  False when they do not fit. */
bool node_restore(struct node node, struct bytes front, struct bytes back);

#endif
