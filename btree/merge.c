/*
 * merge.c -- pages that have become too empty are joined with a neighbour.
 *
 *      parent [ .. a | k | m .. ]            parent [ .. a | m .. ]
 *                |   |                ==>              |
 *           [a .. c) [k l)                         [a .. c k l)
 *
 * Records leave a page only when purge removes ghosts, so only purge comes here.  The right page's records move to the
 * left one, whose high fence becomes the right one's; the right page is retired and free.  When that leaves the parent
 * too empty, it is merged in turn, and a root with a single child takes over the child's contents: the only way in which
 * a tree loses height.
 *
 * M1  A merge is tried below a quarter of the page and done only if the result fills less than three quarters: so pages
 *     are not split and merged by turns.
 * M2  The three pages are latched parent first, then left, then right.  Nobody else latches two pages of one level without the
 *     parent, so this cannot meet another thread the other way round.
 * M3  The prefix of the joined page may be shorter than that of its parts: the room is computed with the new one.
 */
#include <string.h>

#include "btree/btree_int.h"

bool btree__is_underfull(struct node node)
{
    uint32_t room = node.usable - NODE_HEAD_BYTES;
    return node_free(node) > room - room / 4;
}

static uint32_t joined_bytes(struct node left, struct node right, struct bytes separator)
{
    size_t prefix_len = node_has_high(right) ? bytes_common(node_low(left), node_high(right)) : 0;
    uint32_t bytes = NODE_HEAD_BYTES + (uint32_t)node_low(left).len + (uint32_t)node_high(right).len;
    bytes += node_bytes_of(left, 0, node_head(left)->slots, prefix_len);
    bytes += node_bytes_of(right, 0, node_head(right)->slots, prefix_len);
    return node_is_leaf(left) ? bytes : bytes + (uint32_t)(separator.len);
}

/* Left takes over the contents of right; the caller knows that they fit. */
static void join(struct node left, struct node right)
{
    _Alignas(8) uint8_t copy[PAGE_SIZE_MAX];
    struct node old = {copy, left.usable};
    const struct node_head *head = node_head(old);
    memcpy(copy, left.data, left.usable);
    node_format(left, (enum page_type)head->page.type, head->page.level, head->page.tree_id, node_low(old),
                node_has_high(right) ? node_high(right) : (struct bytes){NULL, 0});
    node_append(left, old, 0, head->slots, (struct bytes){NULL, 0});
    node_append(left, right, 0, node_head(right)->slots, node_low(right));
}

static void retire(struct alter *alter, struct page_ref *ref)
{
    log_action(&alter->record, ACTION_RETIRE, ref->page_no);
    node_head(node_of(alter->store, ref))->page.type = PAGE_FREE;
}

static int check_pages(struct op *op, struct store *store, const struct page_ref *refs, int count)
{
    for (int i = 0; i < count; i++) {
        const char *rule = node_check_cells(node_of(store, &refs[i]));
        if (rule != NULL)
            return btree__damaged(op, store, refs[i].page_no, rule);
    }
    return OP_OK;
}

/* The node was latched with its parent.  Latches neighbours to left and right in that order: `refs` gets parent, left, right, and
 * *slot the right one's slot in the parent.  refs[2].data is NULL when there is no neighbour to the chosen side. */
static int latch_three(struct op *op, struct btree *tree, struct page_ref *parent, struct page_ref *node, unsigned slot,
                       bool with_right, struct page_ref refs[3])
{
    struct node inner = node_of(tree->store, parent);
    struct cell cell;
    refs[0] = *parent;
    refs[1] = *node;
    refs[2] = (struct page_ref){0};
    if (!node_cell(inner, with_right ? slot + 1 : slot - 1, &cell))
        return btree__damaged(op, tree->store, parent->page_no, "each cell lies within the heap");
    if (with_right)
        return btree__fix(op, tree, cell.child, LATCH_EXCLUSIVE, &refs[2]);
    PageNo page_no = node->page_no;
    buf_unfix(&refs[1], tree->store->buf);
    refs[1].data = NULL;
    if (btree__fix(op, tree, cell.child, LATCH_EXCLUSIVE, &refs[1]) != OP_OK)
        return OP_FAILED;
    return btree__fix(op, tree, page_no, LATCH_EXCLUSIVE, &refs[2]);
}

static bool siblings(struct node left, struct node right)
{
    return node_head(left)->page.level == node_head(right)->page.level && node_has_high(left) &&
           bytes_compare(node_high(left), node_low(right)) == 0;
}

/* Joins refs[1] and refs[2] below refs[0], if they fit; lets go of all of them in any case. */
static int merge_pair(struct op *op, struct btree *tree, struct alter *alter, struct page_ref refs[3], unsigned right_slot,
                      bool *merged)
{
    struct store *store = tree->store;
    struct page_ref *held[3];
    for (int i = 0; i < 3; i++)
        held[i] = alter_adopt(alter, &refs[i]);
    struct node parent = node_of(store, held[0]), left = node_of(store, held[1]), right = node_of(store, held[2]);
    if (check_pages(op, store, alter->refs, 3) != OP_OK)
        return OP_FAILED;
    if (!siblings(left, right))
        return btree__damaged(op, store, held[2]->page_no, "neighbours share a fence");
    if (joined_bytes(left, right, node_low(right)) > store->usable - store->usable / 4)
        return OP_OK;
    alter_free(alter, held[2]->page_no);
    if (alter_ready(op, alter) != OP_OK)
        return OP_FAILED;
    join(left, right);
    log_image(&alter->record, left);
    log_action(&alter->record, ACTION_DROP_CHILD, held[0]->page_no);
    log_number(&alter->record, right_slot);
    node_remove(parent, right_slot);
    retire(alter, held[2]);
    atomic_store_explicit(&tree->right_leaf, 0, memory_order_relaxed);
    alter_commit(alter);
    *merged = true;
    return OP_OK;
}

/* A root with one child takes over its contents. */
static int collapse_root(struct op *op, struct btree *tree, struct alter *alter, struct page_ref *root, struct page_ref *child)
{
    struct store *store = tree->store;
    struct page_ref *root_ref = alter_adopt(alter, root), *child_ref = alter_adopt(alter, child);
    struct node node = node_of(store, root_ref), only = node_of(store, child_ref);
    if (check_pages(op, store, alter->refs, 2) != OP_OK)
        return OP_FAILED;
    if (node_low(only).len > 0 || node_has_high(only))
        return btree__damaged(op, store, child_ref->page_no, "an only child covers what its parent does");
    alter_free(alter, child_ref->page_no);
    if (alter_ready(op, alter) != OP_OK)
        return OP_FAILED;
    node_format(node, (enum page_type)node_head(only)->page.type, node_head(only)->page.level, tree->id,
                (struct bytes){NULL, 0}, (struct bytes){NULL, 0});
    node_append(node, only, 0, node_head(only)->slots, (struct bytes){NULL, 0});
    log_image(&alter->record, node);
    retire(alter, child_ref);
    atomic_store_explicit(&tree->right_leaf, 0, memory_order_relaxed);
    alter_commit(alter);
    return OP_OK;
}

/* Tries the neighbour on one side.  *merged tells; otherwise all latches are free again. */
static int try_side(struct op *op, struct btree *tree, struct bytes key, unsigned level, bool with_right, bool *merged,
                    bool *collapsed)
{
    struct store *store = tree->store;
    struct alter alter;
    struct page_ref parent, node, refs[3] = {{0}};
    unsigned slot;
    int result = OP_FAILED;
    *merged = *collapsed = false;
    if (alter_begin(op, &alter, store, 2 * (uint64_t)store->page_size + LOG_HEAD_BYTES, 0, true) != OP_OK)
        return OP_FAILED;
    if (btree__find_pair(op, tree, key, level, &parent, &node) != OP_OK)
        goto out;
    result = OP_OK;
    if (parent.data == NULL)
        goto out;
    struct node inner = node_of(store, &parent);
    if (node_head(inner)->slots == 1 && parent.page_no == tree->root) {
        result = collapse_root(op, tree, &alter, &parent, &node);
        *collapsed = result == OP_OK;
        if (*collapsed)
            return OP_OK;
        goto out;
    }
    if (!btree__is_underfull(node_of(store, &node)))
        goto out;
    if (!node_search_child(inner, key, false, &slot)) {
        result = btree__damaged(op, store, parent.page_no, "each cell lies within the heap");
        goto out;
    }
    if (with_right ? slot + 1u >= node_head(inner)->slots : slot == 0)
        goto out;
    result = latch_three(op, tree, &parent, &node, slot, with_right, refs);
    parent.data = node.data = NULL;     /* in refs now, or let go */
    if (result == OP_OK)
        result = merge_pair(op, tree, &alter, refs, with_right ? slot + 1 : slot, merged);
    if (*merged)
        return OP_OK;
out:
    for (int i = 2; i >= 0; i--)
        buf_unfix(&refs[i], store->buf);
    buf_unfix(&node, store->buf);
    buf_unfix(&parent, store->buf);
    alter_abort(&alter);
    return result;
}

int btree__shrink(struct op *op, struct btree *tree, struct bytes key)
{
    for (unsigned level = 0; level + 1 < BTREE_HEIGHT_MAX; level++) {
        bool merged, collapsed, anything = false;
        do {
            merged = collapsed = false;
            for (int side = 0; side < 2 && !merged && !collapsed; side++)
                if (try_side(op, tree, key, level, side == 0, &merged, &collapsed) != OP_OK)
                    return OP_FAILED;
            anything = anything || merged || collapsed;
        } while (merged || collapsed);
        if (!anything)
            return OP_OK;
    }
    return OP_OK;
}
