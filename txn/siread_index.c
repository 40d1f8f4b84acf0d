/*
 * siread_index.c -- the intervals that were read of a tree, so that a writer finds those that hold its key.
 *
 * Ten thousand transactions may each have read some intervals of one tree, and every writer of it asks which of them hold its key.  So they
 * are kept in a search tree by their low ends, in which each node knows the highest end below it (an interval tree): where that is
 * under the key, nothing below is of interest.
 *
 *                    [10 .. 40]  max 90
 *                   /                  \
 *        [5 .. 90]  max 90        [30 .. 35]  max 35          key 50: the right side is not looked at
 *
 * It is balanced by random priorities (a treap): a node is above all nodes of lower priority, so that its shape depends on nothing but these.
 * An interval that still grows with its scan is not in here, but in the tree's list of growing ones.
 *
 * I1  In order by low end, then by address; `reach` is the highest end in the subtree.
 * I2  All is guarded by info->range_mutex.
 */
#include "src/base/hash.h"
#include "txn/ssi_int.h"

static int compare_bytes_of(const struct siread_bound *a, const uint8_t *data, size_t len)
{
    size_t shorter = a->len < len ? a->len : len;
    int order = shorter > 0 ? memcmp(a->data, data, shorter) : 0;

    return order != 0 ? order : (a->len > len) - (a->len < len);
}

static bool lies_before(const struct ssi_range *a, const struct ssi_range *b)
{
    if (a->low.unbounded || b->low.unbounded) {
        return a->low.unbounded == b->low.unbounded ? a < b : a->low.unbounded;
    }
    int order = compare_bytes_of(&a->low, b->low.data, b->low.len);
    return order != 0 ? order < 0 : a < b;
}

static const struct siread_bound *higher(const struct siread_bound *a, const struct siread_bound *b)
{
    if (a->unbounded || b->unbounded) {
        return a->unbounded ? a : b;
    }
    return compare_bytes_of(a, b->data, b->len) >= 0 ? a : b;
}

static void settle(struct ssi_range *node)
{
    node->reach = &node->high;
    if (node->left != NULL) {
        node->reach = higher(node->reach, node->left->reach);
    }
    if (node->right != NULL) {
        node->reach = higher(node->reach, node->right->reach);
    }
}

/* What comes before the pivot goes to *left, the rest to *right. */
static void split(struct ssi_range *root, const struct ssi_range *pivot, struct ssi_range **left, struct ssi_range **right)
{
    if (root == NULL) {
        *left = *right = NULL;
    } else if (lies_before(root, pivot)) {
        split(root->right, pivot, &root->right, right);
        *left = root;
        settle(root);
    } else {
        split(root->left, pivot, left, &root->left);
        *right = root;
        settle(root);
    }
}

static struct ssi_range *join(struct ssi_range *left, struct ssi_range *right)
{
    if (left == NULL || right == NULL) {
        return left != NULL ? left : right;
    }
    if (left->priority > right->priority) {
        left->right = join(left->right, right);
        settle(left);
        return left;
    }
    right->left = join(left, right->left);
    settle(right);
    return right;
}

void siread__index(struct ssi_range **root, struct ssi_range *range)
{
    while (*root != NULL && (*root)->priority >= range->priority) {
        (*root)->reach = higher((*root)->reach, &range->high);
        root = lies_before(range, *root) ? &(*root)->left : &(*root)->right;
    }
    split(*root, range, &range->left, &range->right);
    settle(range);
    *root = range;
}

static struct ssi_range *without(struct ssi_range *root, struct ssi_range *range)
{
    if (root == range) {
        return join(root->left, root->right);
    }
    if (lies_before(range, root)) {
        root->left = without(root->left, range);
    } else {
        root->right = without(root->right, range);
    }
    settle(root);
    return root;
}

void siread__unindex(struct ssi_range **root, struct ssi_range *range)
{
    *root = without(*root, range);
}

int siread__each_holding(struct ssi_range *root, struct bytes key, int (*visit)(void *arg, struct ssi_range *range), void *arg)
{
    while (root != NULL && (root->reach->unbounded || compare_bytes_of(root->reach, key.data, key.len) >= 0)) {
        int rc = siread__each_holding(root->left, key, visit, arg);
        if (rc != 0) {
            return rc;
        }
        if (!root->low.unbounded && compare_bytes_of(&root->low, key.data, key.len) > 0) {
            return 0;       /* as do all to its right */
        }
        if (siread__covers(root, key) && (rc = visit(arg, root)) != 0) {
            return rc;
        }
        root = root->right;
    }
    return 0;
}

int siread__each(struct ssi_range *root, int (*visit)(void *arg, struct ssi_range *range), void *arg)
{
    int rc = 0;

    for (; root != NULL && rc == 0; root = root->right) {
        rc = siread__each(root->left, visit, arg);
        rc = rc == 0 ? visit(arg, root) : rc;
    }
    return rc;
}

uint32_t siread__priority(const struct ssi_range *range)
{
    return (uint32_t)hash_u64((uint64_t)(uintptr_t)range);
}
