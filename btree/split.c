/*
 * split.c -- making room: a full page becomes two.
 *
 *            parent [ .. a | m .. ]                       parent [ .. a | k | m .. ]
 *                      |                                            |    |
 *      [a .. f | k .. l]                      ==>        [a .. f)          [k .. m)
 *
 * The left half keeps the page's number; what it loses is described in the log by one slot number.  The right half goes to a
 * new page and is logged whole.  Between them stands a separator, the shortest byte string above the last key on the left
 * and not above the first on the right: it becomes the high fence here, the low fence there, and the parent's new key.
 *
 * The root's page number is known to everyone, so a full root moves its contents to two new pages and becomes their
 * parent: the only way in which a tree grows in height.
 *
 * Rows are often appended in the order of their keys.  When the new key lies above everything in the last leaf, the leaf is
 * left as it is, full, and an empty one is hung beside it: pages of a loaded table are full, and the log holds no copies.
 *
 * P1  One split is one log record (B4); between two splits of one insertion the tree is whole.
 * P2  If the parent has no room for the separator it is split first, and the search begins again.
 * P3  A node with one record has room for any other (N5), so splitting comes to an end.
 */
#include <string.h>

#include "btree/btree_int.h"
#include "src/base/planted.h"

/* Where to split, and the key that will stand between the halves. */
struct cut {
    unsigned slot;              /* first slot of the right half; slots: the right half begins empty */
    uint8_t buffer[PAGE_SIZE_MAX / 4];
    struct bytes separator;
};

/* The separator between slot - 1 and slot, for a leaf.  `right`: the key that begins the right half. */
static bool make_separator(struct node node, unsigned slot, struct bytes right, struct cut *cut)
{
    uint8_t buffer[PAGE_SIZE_MAX / 4];
    struct bytes left;
    if (!node_key(node, slot - 1, buffer, &left))
        return false;
    size_t len = bytes_common(left, right) + 1;
    if (len > right.len)
        return false;       /* keys out of order */
    memmove(cut->buffer, right.data, len);
    cut->separator = (struct bytes){cut->buffer, len};
    cut->slot = slot;
    return true;
}

/* Length of the separator between two neighbours, to choose the shortest. */
static size_t separator_len(struct node node, unsigned slot)
{
    struct cell left, right;
    if (!node_cell(node, slot - 1, &left) || !node_cell(node, slot, &right))
        return SIZE_MAX;
    return node_is_leaf(node) ? bytes_common(left.suffix, right.suffix) + 1 : right.suffix.len;
}

/* The slot nearest to the middle by bytes, or one close to it with a shorter separator. */
static unsigned middle_of(struct node node)
{
    unsigned slots = node_head(node)->slots, best = 0;
    uint32_t total = node_bytes_of(node, 0, slots, node_head(node)->prefix_len), sum = 0;
    size_t best_len = SIZE_MAX;
    unsigned middle = 1;
    for (unsigned i = 0; i + 1 < slots; i++) {
        sum += node_bytes_of(node, i, i + 1, node_head(node)->prefix_len);
        if (sum <= total / 2)
            middle = i + 1;
        if (sum >= total / 2 - total / 16 && sum <= total / 2 + total / 16) {
            size_t len = separator_len(node, i + 1);
            if (len < best_len) {
                best_len = len;
                best = i + 1;
            }
        }
    }
    return best != 0 ? best : middle;
}

/* Whether both halves fit, each with the separator as a fence. */
static bool halves_fit(struct node node, const struct cut *cut)
{
    struct bytes separator = cut->separator;
    unsigned slots = node_head(node)->slots;
    size_t right_prefix = node_has_high(node) ? bytes_common(separator, node_high(node)) : 0;
    uint32_t left = NODE_HEAD_BYTES + (uint32_t)(node_low(node).len + separator.len) +
                    node_bytes_of(node, 0, cut->slot, bytes_common(node_low(node), separator));
    uint32_t right = NODE_HEAD_BYTES + (uint32_t)(separator.len + node_high(node).len) +
                     node_bytes_of(node, cut->slot, slots, right_prefix);
    return left <= node.usable && right <= node.usable;
}

/* Makes the cut at one slot.  key: what is to be inserted, for a right half that begins empty. */
static bool try_cut(struct node node, unsigned slot, struct bytes key, struct cut *cut, bool *fits)
{
    uint8_t buffer[PAGE_SIZE_MAX / 4];
    struct bytes right = key;
    bool sound = true;
    if (!node_is_leaf(node)) {
        cut->slot = slot;
        sound = node_key(node, slot, cut->buffer, &cut->separator);
    } else {
        if (slot < node_head(node)->slots)
            sound = node_key(node, slot, buffer, &right);
        sound = sound && make_separator(node, slot, right, cut);
    }
    *fits = sound && halves_fit(node, cut);
    return sound;
}

/* The slot at which one would like to split: the end for what is appended, else the middle. */
static bool preferred_slot(struct node node, struct bytes key, unsigned *slot)
{
    unsigned slots = node_head(node)->slots;
    bool found;
    if (node_is_leaf(node) ? !node_search(node, key, slot, &found) : !node_search_child(node, key, false, slot))
        return false;
    bool rightmost = !node_has_high(node);
    if (node_is_leaf(node) && rightmost && *slot == slots && !found)
        return true;
    *slot = !node_is_leaf(node) && rightmost && *slot == slots - 1 ? slots - 1 : middle_of(node);
    return true;
}

/* A new fence takes room too, so a full page cannot be cut just anywhere.  There is always a slot where it can: let k be
 * the largest for which the left half fits; if k is not the last slot, then what lies behind slot k is shorter than the
 * fence for which there was no room, and so fits on the right with slot k and both fences (N5). */
static int choose_cut(struct op *op, struct store *store, const struct page_ref *ref, struct bytes key, struct cut *cut)
{
    struct node node = node_of(store, ref);
    unsigned slots = node_head(node)->slots, slot;
    bool fits = false;
    if (slots < 2)
        return op_fail(op, "XX000", "a page with %u entries cannot be split", slots);
    bool sound = preferred_slot(node, key, &slot) && try_cut(node, slot, key, cut, &fits);
    for (slot = slots - 1; sound && !fits && slot > 0; slot--)
        sound = try_cut(node, slot, key, cut, &fits);
    if (!sound)
        return btree__damaged(op, store, ref->page_no, "each cell lies within the heap");
    return fits ? OP_OK : btree__damaged(op, store, ref->page_no, "a full page can be split");
}

/* Fills a new page with what lies from the cut on. */
static void fill_right(struct node right, struct node node, const struct cut *cut)
{
    const struct node_head *head = node_head(node);
    struct bytes high = node_has_high(node) ? node_high(node) : (struct bytes){NULL, 0};
    node_format(right, (enum page_type)head->page.type, head->page.level, head->page.tree_id, cut->separator, high);
    node_append(right, node, cut->slot, head->slots, (struct bytes){NULL, 0});
}

static int split_root(struct op *op, struct btree *tree, struct alter *alter, struct page_ref *root, const struct cut *cut)
{
    struct page_ref *left_ref, *right_ref;
    struct store *store = tree->store;
    if (alter_new(op, alter, &left_ref) != OP_OK || alter_new(op, alter, &right_ref) != OP_OK ||
        alter_ready(op, alter) != OP_OK)
        return OP_FAILED;
    struct node node = node_of(store, root), left = node_of(store, left_ref), right = node_of(store, right_ref);
    unsigned level = node_head(node)->page.level;
    node_format(left, (enum page_type)node_head(node)->page.type, level, tree->id, (struct bytes){NULL, 0}, cut->separator);
    node_append(left, node, 0, cut->slot, (struct bytes){NULL, 0});
    fill_right(right, node, cut);
    node_format(node, PAGE_INNER, level + 1, tree->id, (struct bytes){NULL, 0}, (struct bytes){NULL, 0});
    node_insert_child(node, 0, (struct bytes){NULL, 0}, left_ref->page_no);
    node_insert_child(node, 1, cut->separator, right_ref->page_no);
    log_image(&alter->record, left);
    log_image(&alter->record, right);
    log_image(&alter->record, node);
    if (level == 0)
        atomic_store_explicit(&tree->right_leaf, right_ref->page_no, memory_order_relaxed);
    alter_commit(alter);
    return OP_OK;
}

static int split_child(struct op *op, struct btree *tree, struct alter *alter, struct page_ref *parent_ref,
                       struct page_ref *ref, const struct cut *cut)
{
    struct page_ref *right_ref;
    struct store *store = tree->store;
    if (alter_new(op, alter, &right_ref) != OP_OK || alter_ready(op, alter) != OP_OK)
        return OP_FAILED;
    struct node node = node_of(store, ref), right = node_of(store, right_ref), parent = node_of(store, parent_ref);
    unsigned slot;
    if (!node_search_child(parent, cut->separator, false, &slot))
        return btree__damaged(op, store, parent_ref->page_no, "each cell lies within the heap");
    fill_right(right, node, cut);
    log_image(&alter->record, right);
    log_action(&alter->record, ACTION_CUT, ref->page_no);
    log_number(&alter->record, cut->slot);
    log_run(&alter->record, cut->separator);
    log_action(&alter->record, ACTION_PUT_CHILD, parent_ref->page_no);
    log_number(&alter->record, right_ref->page_no);
    log_run(&alter->record, cut->separator);
    node_cut(node, cut->slot, cut->separator);
    node_insert_child(parent, slot + 1, cut->separator, right_ref->page_no);
    if (node_is_leaf(right) && !node_has_high(right))
        atomic_store_explicit(&tree->right_leaf, right_ref->page_no, memory_order_relaxed);
    if (PLANTED("btree-split-unlogged")) {
        alter_log_maps(alter);
        alter_finish(alter, node_head(node)->page.lsn);
        return OP_OK;
    }
    alter_commit(alter);
    return OP_OK;
}

/* NULL, or the rule that one of the pages breaks. */
static int check_pages(struct op *op, struct store *store, const struct page_ref *parent, const struct page_ref *node)
{
    const char *rule = node_check_cells(node_of(store, node));
    if (rule != NULL)
        return btree__damaged(op, store, node->page_no, rule);
    rule = parent->data != NULL ? node_check_cells(node_of(store, parent)) : NULL;
    return rule != NULL ? btree__damaged(op, store, parent->page_no, rule) : OP_OK;
}

enum step { STEP_DONE, STEP_AGAIN, STEP_PARENT_FULL, STEP_FAILED };

/* One split at most.  With STEP_PARENT_FULL, cut holds the separator for which the parent has no room. */
static enum step split_once(struct op *op, struct btree *tree, struct bytes key, unsigned level, uint32_t bytes, bool urgent,
                            struct cut *cut)
{
    struct store *store = tree->store;
    struct alter alter;
    struct page_ref parent, node, *parent_ref = NULL;
    if (alter_begin(op, &alter, store, 3 * (uint64_t)store->page_size + LOG_HEAD_BYTES, 2, urgent) != OP_OK)
        return STEP_FAILED;
    enum step step = STEP_FAILED;
    if (btree__find_pair(op, tree, key, level, &parent, &node) != OP_OK)
        goto out;
    step = STEP_DONE;
    if (node.data == NULL || node_free(node_of(store, &node)) >= bytes)
        goto out;
    step = STEP_FAILED;
    if (check_pages(op, store, &parent, &node) != OP_OK || choose_cut(op, store, &node, key, cut) != OP_OK)
        goto out;
    if (parent.data != NULL && node_free(node_of(store, &parent)) < node_child_bytes(node_of(store, &parent), cut->separator.len)) {
        step = STEP_PARENT_FULL;
        goto out;
    }
    if (parent.data != NULL)
        parent_ref = alter_adopt(&alter, &parent);
    struct page_ref *node_ref = alter_adopt(&alter, &node);
    int result = parent_ref != NULL ? split_child(op, tree, &alter, parent_ref, node_ref, cut)
                                    : split_root(op, tree, &alter, node_ref, cut);
    if (result == OP_OK)
        return STEP_AGAIN;
out:
    buf_unfix(&node, store->buf);
    buf_unfix(&parent, store->buf);
    alter_abort(&alter);
    return step;
}

int btree__make_room(struct op *op, struct btree *tree, struct bytes key, unsigned level, uint32_t bytes, bool urgent)
{
    struct cut cut;
    for (;;) {
        switch (split_once(op, tree, key, level, bytes, urgent, &cut)) {
        case STEP_DONE:
            return OP_OK;
        case STEP_AGAIN:
            break;
        case STEP_PARENT_FULL:
            if (level + 1 >= BTREE_HEIGHT_MAX) {
                op_fail(op, "XX000", "a tree is higher than %d levels", BTREE_HEIGHT_MAX);
                return OP_FAILED;
            }
            if (btree__make_room(op, tree, cut.separator, level + 1,
                                 NODE_SLOT_BYTES + NODE_INNER_CELL_BYTES + (uint32_t)cut.separator.len, urgent) != OP_OK)
                return OP_FAILED;
            break;
        default:
            return OP_FAILED;
        }
    }
}
