/*
 * stats.c -- how large a tree is, and how much of it lies in a range.
 *
 * The planner wants numbers cheaply and can live with error.  A walk down from the root that chooses each child at
 * random, with the product of the fan-outs on its way, is an unbiased estimate of the number of leaves [Knu75]; a dozen walks
 * give it within a few percent, because the fan-outs of a B-tree hardly differ.  The random numbers are seeded by
 * the tree's id, so that the same tree gives the same plan.
 *
 * A key's place in the tree is a fraction between 0 and 1: its slot in the root says which part, the slot one level down
 * which part of that, and so on.  A range's share is the difference of its bounds' places.
 */
#include <string.h>

#include "btree/btree_int.h"
#include "src/base/mem.h"
#include "src/base/rng.h"

enum { SAMPLES = 12, RETRIES = 4 };

/* What one step of a walk learns of a page. */
struct glimpse {
    unsigned slots, ghosts, slot;
    bool leaf;
    PageNo child;
};

enum way { WAY_RANDOM, WAY_KEY };

/* Looks at one page.  *gone: it is no longer part of the tree, begin again. */
static int look(struct op *op, struct btree *tree, PageNo page_no, enum way way, struct bytes key, struct rng *rng,
                struct glimpse *glimpse, bool *gone)
{
    struct page_ref ref;
    struct cell cell = {0};
    bool found, sound;
    memset(glimpse, 0, sizeof *glimpse);
    *gone = page_no >= buf_page_count(tree->store->buf);
    if (*gone)
        return OP_OK;
    if (buf_fix(op, tree->store->buf, page_no, LATCH_SHARED, &ref) != OP_OK)
        return OP_FAILED;
    struct node node = node_of(tree->store, &ref);
    *gone = node_head(node)->page.tree_id != tree->id || node_check_head(node) != NULL || (way == WAY_KEY && !node_covers(node, key));
    if (!*gone) {
        glimpse->slots = node_head(node)->slots;
        glimpse->ghosts = node_head(node)->ghosts;
        glimpse->leaf = node_is_leaf(node);
        if (way == WAY_RANDOM) {
            glimpse->slot = glimpse->slots > 0 ? (unsigned)rng_below(rng, glimpse->slots) : 0;
            sound = true;
        } else {
            sound = glimpse->leaf ? node_search(node, key, &glimpse->slot, &found)
                                  : node_search_child(node, key, false, &glimpse->slot);
        }
        *gone = !sound || (!glimpse->leaf && !node_cell(node, glimpse->slot, &cell));
        glimpse->child = !*gone && !glimpse->leaf ? cell.child : 0;
    }
    buf_unfix(&ref, tree->store->buf);
    return OP_OK;
}

static int sample(struct op *op, struct btree *tree, struct rng *rng, double *leaves, double *records, bool *gone)
{
    PageNo page_no = tree->root;
    struct glimpse glimpse;
    *leaves = 1;
    for (int depth = 0; depth < BTREE_HEIGHT_MAX; depth++) {
        if (look(op, tree, page_no, WAY_RANDOM, (struct bytes){NULL, 0}, rng, &glimpse, gone) != OP_OK)
            return OP_FAILED;
        if (*gone || glimpse.leaf)
            break;
        *leaves *= glimpse.slots;
        page_no = glimpse.child;
    }
    *records = *leaves * (glimpse.slots - glimpse.ghosts);
    return OP_OK;
}

int btree_estimate(struct op *op, struct btree *tree, uint64_t *records, uint64_t *leaf_pages)
{
    struct rng rng;
    double leaf_sum = 0, record_sum = 0;
    int taken = 0;
    rng_seed(&rng, tree->id);
    *records = *leaf_pages = 0;
    for (int i = 0; i < SAMPLES + RETRIES && taken < SAMPLES; i++) {
        double leaves, found;
        bool gone;
        if (sample(op, tree, &rng, &leaves, &found, &gone) != OP_OK)
            return OP_FAILED;
        if (gone)
            continue;
        leaf_sum += leaves;
        record_sum += found;
        taken++;
    }
    if (taken > 0) {
        *leaf_pages = (uint64_t)(leaf_sum / taken + 0.5);
        *records = (uint64_t)(record_sum / taken + 0.5);
    }
    return OP_OK;
}

/* The place of a key among all records, 0 .. 1, and how much of that one record is. */
static int place_of(struct op *op, struct btree *tree, struct bytes key, double *place, double *record)
{
    for (int i = 0; i < RETRIES; i++) {
        PageNo page_no = tree->root;
        struct glimpse glimpse;
        double width = 1;
        bool gone = false;
        *place = 0;
        for (int depth = 0; depth < BTREE_HEIGHT_MAX; depth++) {
            if (look(op, tree, page_no, WAY_KEY, key, NULL, &glimpse, &gone) != OP_OK)
                return OP_FAILED;
            if (gone)
                break;
            double slots = glimpse.slots > 0 ? glimpse.slots : 1;
            *place += width * glimpse.slot / slots;
            width /= slots;
            if (glimpse.leaf)
                break;
            page_no = glimpse.child;
        }
        *record = width;
        if (!gone)
            return OP_OK;
    }
    return OP_OK;
}

int btree_estimate_range(struct op *op, struct btree *tree, const struct btree_range *range, double *fraction)
{
    double from = 0, to = 1, record = 0;
    *fraction = 1;
    if (range->low.data != NULL && place_of(op, tree, range->low, &from, &record) != OP_OK)
        return OP_FAILED;
    if (range->high.data != NULL && place_of(op, tree, range->high, &to, &record) != OP_OK)
        return OP_FAILED;
    if (range->high.data != NULL && range->high_inclusive)
        to += record;
    if (to < from)
        to = from;
    *fraction = to - from > 1 ? 1 : to - from;
    return OP_OK;
}

/* ---- exact numbers -------------------------------------------------------------------------------- */

static void count_leaf(const struct store *store, struct node node, struct btree_stats *stats)
{
    struct cell cell;
    stats->leaf_pages++;
    stats->records += node_head(node)->slots - node_head(node)->ghosts;
    stats->ghosts += node_head(node)->ghosts;
    for (unsigned i = 0; i < node_head(node)->slots; i++)
        if (node_cell(node, i, &cell) && cell.flags & BTREE_OVERFLOW)
            stats->overflow_pages += (btree_overflow_size(cell.value) + store->usable - 49) / (store->usable - 48);
}

static int count_pages(struct op *op, struct btree *tree, PageNo page_no, unsigned depth, struct btree_stats *stats)
{
    struct page_ref ref;
    struct cell cell;
    if (depth > BTREE_HEIGHT_MAX || page_no >= buf_page_count(tree->store->buf))
        return OP_OK;
    if (buf_fix(op, tree->store->buf, page_no, LATCH_SHARED, &ref) != OP_OK)
        return OP_FAILED;
    struct node node = node_of(tree->store, &ref);
    unsigned count = 0;
    PageNo *children = NULL;
    int result = OP_OK;
    /* A page that a merge has taken away meanwhile is left out. */
    if (node_head(node)->page.tree_id == tree->id && node_check_head(node) == NULL) {
        if (depth == 0)
            stats->height = node_head(node)->page.level + 1u;
        if (node_is_leaf(node)) {
            count_leaf(tree->store, node, stats);
        } else {
            stats->inner_pages++;
            children = op_heap_alloc(op, node_head(node)->slots * sizeof *children);
            result = children != NULL ? OP_OK : OP_FAILED;
            for (unsigned i = 0; result == OP_OK && i < node_head(node)->slots; i++)
                if (node_cell(node, i, &cell))
                    children[count++] = cell.child;
        }
    }
    buf_unfix(&ref, tree->store->buf);
    for (unsigned i = 0; result == OP_OK && i < count; i++)
        result = count_pages(op, tree, children[i], depth + 1, stats);
    mem_free(children);
    return result == OP_OK ? op_check_cancel(op) : result;
}

int btree_stats(struct op *op, struct btree *tree, struct btree_stats *stats)
{
    memset(stats, 0, sizeof *stats);
    return count_pages(op, tree, tree->root, 0, stats);
}
