/*
 * search.c -- from the root to a leaf.
 *
 * The usual way down reads inner pages without latches (peek.c) and latches the leaf only.  Reading a child's number is
 * not enough: by the time the child is looked at, it may have been split or merged.  So at each step
 *
 *      read the child's number in the parent
 *      note the child's version (or, at the leaf, take its latch)
 *      ask whether the parent is still the same
 *
 * and only then is the child known to have been the right one at that version.  At the leaf the fences are the
 * last word: a leaf of the tree whose fences cover the key is the right one, however it was found.  That is also why
 * hints (the last leaf of a tree, the leaf where a cursor stood) need no version.
 *
 * When a page is not in memory, or someone is changing it, the thread latches it for a moment, which reads or waits,
 * and tries again.  After a few tries in vain it goes down with shared latches, parent before child, which always
 * gets there.
 *
 * S1  Latches are taken from parent to child; only structure modifications hold a parent while they wait for a child exclusively.
 * S2  The root's page number is fixed, its level is not: whoever latches the root looks at the level again.
 */
#include <string.h>

#include "btree/btree_int.h"

enum { TRIES_WITHOUT_LATCH = 8 };

struct target {
    enum peek_what what;
    struct bytes key;
};

int btree__damaged(struct op *op, const struct store *store, PageNo page_no, const char *rule)
{
    op_fail(op, "XX001", "page %llu of the database file is damaged", (unsigned long long)page_no);
    op_detail(op, "Broken rule: %s.", rule);
    return OP_FAILED;
}

static int fix_node(struct op *op, struct btree *tree, PageNo page_no, enum latch_mode mode, struct page_ref *ref,
                    const char **rule)
{
    *rule = NULL;
    if (page_no >= buf_page_count(tree->store->buf)) {
        ref->data = NULL;
        return btree__damaged(op, tree->store, page_no, "a child lies within the file");
    }
    if (buf_fix(op, tree->store->buf, page_no, mode, ref) != OP_OK)
        return OP_FAILED;
    struct node node = node_of(tree->store, ref);
    *rule = node_head(node)->page.tree_id != tree->id ? "a page belongs to the tree that leads to it" : node_check_head(node);
    return OP_OK;
}

int btree__blame(struct op *op, const struct btree *tree)
{
    if (strcmp(op->error.sqlstate, "XX001") == 0 && op->error.tree == 0)
        op->error.tree = tree->id;
    return OP_FAILED;
}

int btree__fix(struct op *op, struct btree *tree, PageNo page_no, enum latch_mode mode, struct page_ref *ref)
{
    const char *rule;
    if (fix_node(op, tree, page_no, mode, ref, &rule) != OP_OK)
        return btree__blame(op, tree);
    if (rule == NULL)
        return OP_OK;
    buf_unfix(ref, tree->store->buf);
    ref->data = NULL;
    btree__damaged(op, tree->store, page_no, rule);
    return btree__blame(op, tree);
}

static bool covers(struct node node, const struct target *target)
{
    switch (target->what) {
    case PEEK_FIRST:
        return node_low(node).len == 0;
    case PEEK_LAST:
        return !node_has_high(node);
    case PEEK_BEFORE:
        return bytes_compare(node_low(node), target->key) < 0 &&
               (!node_has_high(node) || bytes_compare(target->key, node_high(node)) <= 0);
    default:
        return node_covers(node, target->key);
    }
}

/* The child of a latched inner node on the way to the target. */
static int child_of(struct op *op, struct btree *tree, const struct page_ref *ref, const struct target *target, PageNo *child)
{
    struct node node = node_of(tree->store, ref);
    unsigned slot = 0;
    struct cell cell;
    bool sound = true;
    if (target->what == PEEK_LAST)
        slot = node_head(node)->slots - 1u;
    else if (target->what != PEEK_FIRST)
        sound = node_search_child(node, target->key, target->what == PEEK_BEFORE, &slot);
    if (!sound || !node_cell(node, slot, &cell))
        return btree__damaged(op, tree->store, ref->page_no, "each cell lies within the heap");
    *child = cell.child;
    return OP_OK;
}

/* ---- with latches --------------------------------------------------------------------------------- */

static int descend_latched(struct op *op, struct btree *tree, const struct target *target, enum latch_mode mode,
                           struct page_ref *leaf)
{
    struct buf *buf = tree->store->buf;
    struct page_ref parent = {0}, ref = {0};
    PageNo child;
    enum latch_mode root_mode = LATCH_SHARED;
    for (;;) {
        if (btree__fix(op, tree, tree->root, root_mode, &ref) != OP_OK)
            return OP_FAILED;
        if (root_mode == mode || node_head(node_of(tree->store, &ref))->page.level > 0)
            break;
        buf_unfix(&ref, buf);
        root_mode = mode;
    }
    for (;;) {
        unsigned level = node_head(node_of(tree->store, &ref))->page.level;
        if (!covers(node_of(tree->store, &ref), target)) {
            PageNo page_no = ref.page_no;
            buf_unfix(&ref, buf);
            return btree__damaged(op, tree->store, page_no, "the way from the root leads to the page that covers the key");
        }
        if (level == 0) {
            *leaf = ref;
            return OP_OK;
        }
        parent = ref;
        if (child_of(op, tree, &parent, target, &child) != OP_OK) {
            buf_unfix(&parent, buf);
            return OP_FAILED;
        }
        int result = btree__fix(op, tree, child, level == 1 ? mode : LATCH_SHARED, &ref);
        if (result == OP_OK && node_head(node_of(tree->store, &ref))->page.level != level - 1) {
            buf_unfix(&ref, buf);
            result = btree__damaged(op, tree->store, child, "a child is one level below its parent");
        }
        buf_unfix(&parent, buf);
        if (result != OP_OK)
            return OP_FAILED;
    }
}

/* ---- without -------------------------------------------------------------------------------------- */

enum outcome { ARRIVED, AGAIN, FAILED };

/* Brings a page that could not be peeked into memory, or waits for its writer. */
static enum outcome touch(struct op *op, struct btree *tree, PageNo page_no)
{
    struct page_ref ref;
    if (page_no >= buf_page_count(tree->store->buf))
        return AGAIN;
    if (buf_fix(op, tree->store->buf, page_no, LATCH_SHARED, &ref) != OP_OK)
        return FAILED;
    buf_unfix(&ref, tree->store->buf);
    return AGAIN;
}

/* Latches a page that is expected to be the target's leaf. */
static enum outcome arrive(struct op *op, struct btree *tree, PageNo page_no, const struct target *target,
                           enum latch_mode mode, struct page_ref *leaf)
{
    const char *rule;
    if (page_no >= buf_page_count(tree->store->buf))
        return AGAIN;       /* freed and cut off meanwhile, or damage: with latches it will show */
    if (fix_node(op, tree, page_no, mode, leaf, &rule) != OP_OK)
        return FAILED;
    struct node node = node_of(tree->store, leaf);
    if (rule == NULL && node_is_leaf(node) && covers(node, target))
        return ARRIVED;
    buf_unfix(leaf, tree->store->buf);
    leaf->data = NULL;
    return AGAIN;
}

static enum outcome descend_once(struct op *op, struct btree *tree, const struct target *target, enum latch_mode mode,
                                 struct page_ref *leaf)
{
    struct buf *buf = tree->store->buf;
    struct page_peek parent, peek;
    PageNo child;
    unsigned level;
    if (!buf_peek(buf, tree->root, &parent))
        return touch(op, tree, tree->root);
    for (;;) {
        if (!peek_level(&parent, tree->id, &level) || level == 0 ||
            !peek_child(&parent, tree->store->usable, tree->id, target->what, target->key, &child, &level)) {
            bool leaf_root = buf_validate(buf, &parent) && level == 0 && parent.page_no == tree->root;
            buf_peek_end(buf, &parent);
            return leaf_root ? arrive(op, tree, tree->root, target, mode, leaf) : AGAIN;
        }
        if (!buf_validate(buf, &parent)) {
            buf_peek_end(buf, &parent);
            return AGAIN;
        }
        if (level == 1) {
            buf_peek_end(buf, &parent);
            return arrive(op, tree, child, target, mode, leaf);
        }
        if (!buf_peek(buf, child, &peek)) {
            buf_peek_end(buf, &parent);
            return touch(op, tree, child);
        }
        bool valid = buf_validate(buf, &parent);
        buf_peek_end(buf, &parent);
        if (!valid) {
            buf_peek_end(buf, &peek);
            return AGAIN;
        }
        parent = peek;
    }
}

static int descend(struct op *op, struct btree *tree, const struct target *target, enum latch_mode mode,
                   struct page_ref *leaf)
{
    leaf->data = NULL;
    for (int i = 0; i < TRIES_WITHOUT_LATCH; i++) {
        enum outcome outcome = descend_once(op, tree, target, mode, leaf);
        if (outcome != AGAIN)
            return outcome == ARRIVED ? OP_OK : btree__blame(op, tree);
    }
    return descend_latched(op, tree, target, mode, leaf) == OP_OK ? OP_OK : btree__blame(op, tree);
}

int btree__find_leaf(struct op *op, struct btree *tree, struct bytes key, bool before, enum latch_mode mode,
                     struct page_ref *leaf)
{
    struct target target = {before ? PEEK_BEFORE : PEEK_KEY, key};
    return descend(op, tree, &target, mode, leaf);
}

int btree__find_edge(struct op *op, struct btree *tree, bool rightmost, enum latch_mode mode, struct page_ref *leaf)
{
    struct target target = {rightmost ? PEEK_LAST : PEEK_FIRST, {NULL, 0}};
    return descend(op, tree, &target, mode, leaf);
}

int btree__search(struct op *op, const struct store *store, const struct page_ref *leaf, struct bytes key, unsigned *slot,
                  bool *found)
{
    if (!node_search(node_of(store, leaf), key, slot, found))
        return btree__damaged(op, store, leaf->page_no, "each cell lies within the heap");
    return OP_OK;
}

/* ---- for structure modifications ------------------------------------------------------------------ */

/* Latches the root: exclusively if it is the node looked for or its parent. */
static int fix_root(struct op *op, struct btree *tree, unsigned level, struct page_ref *ref)
{
    enum latch_mode mode = LATCH_SHARED;
    for (;;) {
        if (btree__fix(op, tree, tree->root, mode, ref) != OP_OK)
            return OP_FAILED;
        unsigned root_level = node_head(node_of(tree->store, ref))->page.level;
        enum latch_mode wanted = root_level <= level + 1 ? LATCH_EXCLUSIVE : LATCH_SHARED;
        if (wanted == mode || mode == LATCH_EXCLUSIVE)
            return OP_OK;
        buf_unfix(ref, tree->store->buf);
        mode = wanted;
    }
}

int btree__find_pair(struct op *op, struct btree *tree, struct bytes key, unsigned level, struct page_ref *parent,
                     struct page_ref *node)
{
    struct target target = {PEEK_KEY, key};
    struct buf *buf = tree->store->buf;
    struct page_ref ref, next;
    PageNo child;
    parent->data = node->data = NULL;
    if (fix_root(op, tree, level, &ref) != OP_OK)
        return OP_FAILED;
    unsigned at = node_head(node_of(tree->store, &ref))->page.level;
    if (at < level) {
        buf_unfix(&ref, buf);
        return OP_OK;
    }
    if (at == level) {
        *node = ref;
        return OP_OK;
    }
    for (;;) {
        if (child_of(op, tree, &ref, &target, &child) != OP_OK)
            break;
        if (btree__fix(op, tree, child, at <= level + 2 ? LATCH_EXCLUSIVE : LATCH_SHARED, &next) != OP_OK)
            break;
        struct node found = node_of(tree->store, &next);
        if (node_head(found)->page.level != at - 1 || !node_covers(found, key)) {
            buf_unfix(&next, buf);
            btree__damaged(op, tree->store, child, "a child covers its part of its parent, one level below");
            break;
        }
        if (at == level + 1) {
            *parent = ref;
            *node = next;
            return OP_OK;
        }
        buf_unfix(&ref, buf);
        ref = next;
        at--;
    }
    buf_unfix(&ref, buf);
    return OP_FAILED;
}
