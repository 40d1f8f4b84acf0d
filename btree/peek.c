/*
 * peek.c -- reading inner pages without a latch.
 *
 * Inner pages are read by every operation and changed by hardly any, so taking even a shared latch would make all
 * threads write to the same cache line for nothing.  Instead a reader notes the page's version, reads, and asks
 * afterwards whether the version is still the same (buf_peek, buf_validate).
 *
 * In between, a writer may be at work, or the frame may hold another page: everything that is read may be nonsense.
 *
 *  O1  Every number is loaded once, atomically, into a local, and bounded before it is used as an offset.
 *  O2  Nothing that was read is followed before buf_validate has said that it was true.
 *  O3  All such reads of the project are in this file.
 *
 * Keys are compared with bytes that may be changing under memcmp.  That is harmless on every machine and a
 * race by the letter of C, so builds for ThreadSanitizer let buf_peek take a shared latch.
 */
#include <string.h>

#include "btree/btree_int.h"
#include "src/base/endian.h"

struct view {
    const uint8_t *data;
    uint32_t usable, heap, heap_end;
    unsigned slots;
    size_t prefix_len, skip;
};

static uint16_t load_u16(const uint8_t *data, size_t offset)
{
    return __atomic_load_n((const uint16_t *)(const void *)(data + offset), __ATOMIC_RELAXED);
}

static uint32_t load_u32(const uint8_t *data, size_t offset)
{
    return __atomic_load_n((const uint32_t *)(const void *)(data + offset), __ATOMIC_RELAXED);
}

static uint64_t load_u64(const uint8_t *data, size_t offset)
{
    return __atomic_load_n((const uint64_t *)(const void *)(data + offset), __ATOMIC_RELAXED);
}

static uint64_t load_slot(const struct view *view, unsigned slot)
{
    return load_u64(view->data, NODE_HEAD_BYTES + (size_t)slot * NODE_SLOT_BYTES);
}

static bool open_view(const struct page_peek *peek, uint32_t usable, TreeId tree, struct view *view, unsigned *level)
{
    const uint8_t *data = peek->data;
    uint16_t type_and_level = load_u16(data, offsetof(struct page_head, type));
    *level = type_and_level >> 8;
    if ((type_and_level & 0xFF) != PAGE_INNER || *level == 0 || *level >= BTREE_HEIGHT_MAX)
        return false;
    if (load_u64(data, offsetof(struct page_head, tree_id)) != tree)
        return false;
    view->data = data;
    view->usable = usable;
    view->slots = load_u16(data, offsetof(struct node_head, slots));
    view->heap = load_u32(data, offsetof(struct node_head, heap));
    view->prefix_len = load_u16(data, offsetof(struct node_head, prefix_len));
    view->skip = load_u16(data, offsetof(struct node_head, skip));
    uint32_t fences = (uint32_t)load_u16(data, offsetof(struct node_head, low_len)) +
                      load_u16(data, offsetof(struct node_head, high_len));
    if (fences > usable)
        return false;
    view->heap_end = usable - fences;
    return view->slots > 0 && NODE_HEAD_BYTES + view->slots * NODE_SLOT_BYTES <= view->heap && view->heap <= view->heap_end;
}

/* Offset of the slot's cell and length of its suffix. */
static bool cell_at(const struct view *view, unsigned slot, uint32_t *offset, uint32_t *suffix_len)
{
    uint64_t word = load_slot(view, slot);
    *offset = (uint32_t)(word & 0xFFFF);
    *suffix_len = (uint32_t)(word >> 16 & 0xFFFF);
    return *offset >= view->heap && *offset + NODE_INNER_CELL_BYTES + *suffix_len <= view->heap_end;
}

static unsigned first_head_from(const struct view *view, unsigned from, unsigned to, uint32_t head)
{
    unsigned count = to - from;
    while (count > 0) {
        unsigned half = count / 2;
        bool below = (uint32_t)(load_slot(view, from + half) >> 32) < head;
        from += below ? half + 1 : 0;
        count = below ? count - half - 1 : half;
    }
    return from;
}

/* As node_search_child, in untrusted bytes. */
static bool search(const struct view *view, struct bytes key, bool before, unsigned *slot)
{
    if (key.len < view->prefix_len)
        return false;
    struct bytes suffix = {key.data + view->prefix_len, key.len - view->prefix_len};
    uint32_t head, offset, len;
    if (view->skip > 0 && view->slots > 1) {
        if (!cell_at(view, 1, &offset, &len) || len < view->skip)
            return false;
        int order = bytes_compare((struct bytes){suffix.data, suffix.len < view->skip ? suffix.len : view->skip},
                                  (struct bytes){view->data + offset + NODE_INNER_CELL_BYTES, view->skip});
        if (order != 0) {
            *slot = order < 0 ? 0 : view->slots - 1;
            return true;
        }
    }
    head = suffix.len > view->skip ? node_head_of(suffix.data + view->skip, suffix.len - view->skip) : 0;
    unsigned from = first_head_from(view, 1, view->slots, head), to = from;
    if (from < view->slots && (uint32_t)(load_slot(view, from) >> 32) == head)
        to = head == UINT32_MAX ? view->slots : first_head_from(view, from, view->slots, head + 1);
    while (from < to) {
        unsigned middle = from + (to - from) / 2;
        if (!cell_at(view, middle, &offset, &len))
            return false;
        int order = bytes_compare((struct bytes){view->data + offset + NODE_INNER_CELL_BYTES, len}, suffix);
        if (order < 0 || (order == 0 && !before))
            from = middle + 1;
        else
            to = middle;
    }
    *slot = from - 1;
    return true;
}

bool peek_child(const struct page_peek *peek, uint32_t usable, TreeId tree, enum peek_what what, struct bytes key,
                PageNo *child, unsigned *level)
{
    struct view view;
    unsigned slot = 0;
    uint32_t offset, len;
    if (!open_view(peek, usable, tree, &view, level))
        return false;
    if (what == PEEK_LAST)
        slot = view.slots - 1;
    else if (what != PEEK_FIRST && !search(&view, key, what == PEEK_BEFORE, &slot))
        return false;
    if (!cell_at(&view, slot, &offset, &len))
        return false;
    *child = get_u48(view.data + offset);
    return *child != 0;
}

bool peek_level(const struct page_peek *peek, TreeId tree, unsigned *level)
{
    uint16_t type_and_level = load_u16(peek->data, offsetof(struct page_head, type));
    *level = type_and_level >> 8;
    uint8_t type = (uint8_t)(type_and_level & 0xFF);
    return load_u64(peek->data, offsetof(struct page_head, tree_id)) == tree && *level < BTREE_HEIGHT_MAX &&
           (type == PAGE_INNER || type == PAGE_LEAF) && (type == PAGE_LEAF) == (*level == 0);
}
