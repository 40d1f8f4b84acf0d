/*
 * check.c -- CHECK: is the database whole?
 *
 * Every page of the file must be exactly one of: header, page of the free map, node of one tree, part of one overflow
 * chain, or free; and its bit in the free map must say so.  So the check walks all trees from the directory, and
 * the graveyard, notes each page it comes by, and compares the notes with the free map at the end.  On the way each node is
 * held against what its parent promises:
 *
 *  1. It belongs to the tree, and lies one level below its parent.
 *  2. Its fences are the keys on both sides of its entry in the parent; at the edges of a level they are the tree's.
 *     A tree that is being freed loses its branches from the right, and what is its right edge then ends too early.
 *  3. Everything in node_check: order, bounds, prefix, heads, space, ghosts.
 *  4. Each overflow chain is as long as its reference says and ends at the page that it names, and belongs to one record
 *     or one entry of the graveyard.
 *
 * A damaged page is one finding; its siblings are checked all the same.  What lies below it shows up as "nothing leads there".
 */
#include <stdio.h>
#include <string.h>

#include "btree/btree_int.h"
#include "src/base/endian.h"
#include "src/base/mem.h"

struct tree_entry {
    TreeId id;
    PageNo root;
};

struct check {
    struct op *op;
    struct store *store;
    void (*report)(void *arg, const char *line);
    void *arg;
    uint64_t findings;
    uint8_t *seen;              /* a bit per page */
    PageNo page_count;
    struct tree_entry *trees;
    size_t tree_count, tree_capacity;
    TreeId *graves;             /* trees in the graveyard */
    size_t grave_count, grave_capacity;
};

static void finding(struct check *check, const char *format, ...) PRINTF_LIKE(2, 3);

static void finding(struct check *check, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    check->findings++;
    if (check->report != NULL)
        check->report(check->arg, line);
}

/* The error that an operation has met becomes a finding, and the check goes on.  Real failures stay errors. */
static int damage_to_finding(struct check *check)
{
    const struct op_error *error = &check->op->error;
    if (strcmp(error->sqlstate, "XX001") != 0)
        return OP_FAILED;
    finding(check, "%s%s%s", error->message, error->detail != NULL ? ": " : "", error->detail != NULL ? error->detail : "");
    op_clear_error(check->op);
    return OP_OK;
}

static unsigned long long n(uint64_t number)
{
    return (unsigned long long)number;
}

/* Notes a page; false (and a finding) when it does not exist or was come by before. */
static bool note(struct check *check, PageNo page_no, const char *use, TreeId tree)
{
    if (page_no == 0 || page_no >= check->page_count) {
        finding(check, "page %llu: %s of tree %llu lies beyond the end of the file", n(page_no), use, n(tree));
        return false;
    }
    if (check->seen[page_no / 8] >> (page_no % 8) & 1) {
        finding(check, "page %llu: %s of tree %llu, but it has another use as well", n(page_no), use, n(tree));
        return false;
    }
    check->seen[page_no / 8] |= (uint8_t)(1u << (page_no % 8));
    return true;
}

/* ---- overflow chains ------------------------------------------------------------------------------ */

static int check_chain(struct check *check, TreeId tree, PageNo leaf, struct bytes stored)
{
    struct reference reference;
    if (!reference_get(stored, &reference)) {
        finding(check, "page %llu: a reference to an overflow chain of tree %llu is damaged", n(leaf), n(tree));
        return OP_OK;
    }
    uint64_t size = 0;
    PageNo last = 0;
    for (PageNo page_no = reference.first; page_no != 0;) {
        struct page_ref ref;
        if (!note(check, page_no, "overflow page", tree))
            return OP_OK;
        if (buf_fix(check->op, check->store->buf, page_no, LATCH_SHARED, &ref) != OP_OK)
            return damage_to_finding(check);
        bool sound = ((const struct page_head *)(const void *)ref.data)->type == PAGE_OVERFLOW;
        PageNo next = get_u64(ref.data + 32);
        size += get_u32(ref.data + 40);
        buf_unfix(&ref, check->store->buf);
        if (!sound) {
            finding(check, "page %llu: part of an overflow chain of tree %llu, but of another type", n(page_no), n(tree));
            return OP_OK;
        }
        last = page_no;
        page_no = next;
    }
    if (tree != GRAVEYARD_TREE && size != reference.size)
        finding(check, "page %llu: an overflow chain of tree %llu has %llu bytes instead of %llu", n(leaf), n(tree), n(size),
                n(reference.size));
    if (last != reference.tail)
        finding(check, "page %llu: an overflow chain of tree %llu ends at page %llu instead of %llu", n(leaf), n(tree), n(last),
                n(reference.tail));
    return OP_OK;
}

/* ---- records of the well-known trees -------------------------------------------------------------- */

/* Makes room for one more. */
static int grow(struct check *check, void **items, size_t item_bytes, size_t count, size_t *capacity)
{
    if (count < *capacity)
        return OP_OK;
    size_t larger_capacity = *capacity * 2 + 16;
    void *larger = mem_realloc(*items, larger_capacity * item_bytes);
    if (larger == NULL)
        return op_out_of_memory(check->op);
    *items = larger;
    *capacity = larger_capacity;
    return OP_OK;
}

static int add_tree(struct check *check, struct bytes key, const struct cell *cell, PageNo leaf)
{
    if (key.len != 8 || cell->value.len != 8) {
        finding(check, "page %llu: an entry of the directory of trees is damaged", n(leaf));
        return OP_OK;
    }
    if (grow(check, (void **)&check->trees, sizeof *check->trees, check->tree_count, &check->tree_capacity) != OP_OK)
        return OP_FAILED;
    check->trees[check->tree_count++] = (struct tree_entry){__builtin_bswap64(get_u64(key.data)), get_u64(cell->value.data)};
    return OP_OK;
}

static int check_grave(struct check *check, PageNo leaf, struct bytes key, const struct cell *cell)
{
    if (key.len != GRAVE_KEY_BYTES) {
        finding(check, "page %llu: an entry of the graveyard is damaged", n(leaf));
        return OP_OK;
    }
    if (cell->flags & BTREE_GHOST)
        return OP_OK;
    if (key.data[8] != GRAVE_TREE)
        return check_chain(check, GRAVEYARD_TREE, leaf, cell->value);
    if (grow(check, (void **)&check->graves, sizeof *check->graves, check->grave_count, &check->grave_capacity) != OP_OK)
        return OP_FAILED;
    check->graves[check->grave_count++] = __builtin_bswap64(get_u64(key.data + 9));
    return OP_OK;
}

static bool is_in_graveyard(const struct check *check, TreeId tree)
{
    for (size_t i = 0; i < check->grave_count; i++)
        if (check->graves[i] == tree)
            return true;
    return false;
}

static int check_record(struct check *check, TreeId tree, PageNo leaf, struct bytes key, const struct cell *cell)
{
    if (tree == DIRECTORY_TREE && !(cell->flags & BTREE_GHOST))
        return add_tree(check, key, cell, leaf);
    if (tree == GRAVEYARD_TREE)
        return check_grave(check, leaf, key, cell);
    return cell->flags & BTREE_OVERFLOW ? check_chain(check, tree, leaf, cell->value) : OP_OK;
}

/* ---- nodes ---------------------------------------------------------------------------------------- */

/* What a parent promises of its child. */
struct promise {
    TreeId tree;
    PageNo page_no;
    int level;                  /* -1: the root, any */
    struct bytes low, high;     /* high NULL data: none */
    bool trimmed;               /* at the right edge of a tree that is being freed: there may be less, up to `high` */
};

static int check_node(struct check *check, const struct promise *promise);

static bool keeps_high(struct node node, const struct promise *promise)
{
    bool bounded = promise->high.data != NULL;
    if (!node_has_high(node))
        return !bounded;
    int order = bounded ? bytes_compare(node_high(node), promise->high) : -1;
    return promise->trimmed ? order <= 0 : bounded && order == 0;
}

static void check_promise(struct check *check, struct node node, const struct promise *promise)
{
    const struct node_head *head = node_head(node);
    unsigned long long page_no = n(promise->page_no), tree = n(promise->tree);
    if (head->page.tree_id != promise->tree)
        finding(check, "page %llu: belongs to tree %llu, but tree %llu leads to it", page_no, n(head->page.tree_id), tree);
    if (promise->level >= 0 && head->page.level != promise->level)
        finding(check, "page %llu: at level %u of tree %llu instead of %d", page_no, head->page.level, tree, promise->level);
    if (bytes_compare(node_low(node), promise->low) != 0)
        finding(check, "page %llu: its low fence is not its parent's key (tree %llu)", page_no, tree);
    if (!keeps_high(node, promise))
        finding(check, "page %llu: its high fence is not its parent's next key (tree %llu)", page_no, tree);
}

static int check_leaf(struct check *check, struct node node, const struct promise *promise)
{
    uint8_t buffer[PAGE_SIZE_MAX / 4];
    struct bytes key;
    struct cell cell;
    for (unsigned i = 0; i < node_head(node)->slots; i++)
        if (node_key(node, i, buffer, &key) && node_cell(node, i, &cell) &&
            check_record(check, promise->tree, promise->page_no, key, &cell) != OP_OK)
            return OP_FAILED;
    return OP_OK;
}

static int check_inner(struct check *check, struct node node, const struct promise *promise)
{
    struct store *store = check->store;
    uint8_t *keys = op_heap_alloc(check->op, 2 * (size_t)store->page_size);
    if (keys == NULL)
        return OP_FAILED;
    struct bytes low = node_low(node), high;
    int result = OP_OK;
    for (unsigned i = 0; result == OP_OK && i < node_head(node)->slots; i++) {
        struct cell cell;
        bool last = i + 1u == node_head(node)->slots;
        if (!node_cell(node, i, &cell) || (!last && !node_key(node, i + 1, keys + (i % 2) * store->page_size, &high)))
            break;
        if (last)
            high = node_has_high(node) ? node_high(node) : (struct bytes){NULL, 0};
        struct promise child = {promise->tree, cell.child, node_head(node)->page.level - 1, low, high,
                                promise->trimmed && last};
        result = check_node(check, &child);
        low = high;
    }
    mem_free(keys);
    return result;
}

static int check_node(struct check *check, const struct promise *promise)
{
    struct store *store = check->store;
    struct page_ref ref;
    if (!note(check, promise->page_no, "node", promise->tree))
        return OP_OK;
    if (op_check_cancel(check->op) != OP_OK)
        return OP_FAILED;
    if (buf_fix(check->op, store->buf, promise->page_no, LATCH_SHARED, &ref) != OP_OK)
        return damage_to_finding(check);
    /* A copy, so that no latch is held while other pages are looked at. */
    uint8_t *copy = op_heap_alloc(check->op, store->page_size);
    if (copy != NULL)
        memcpy(copy, ref.data, store->page_size);
    buf_unfix(&ref, store->buf);
    if (copy == NULL)
        return OP_FAILED;
    struct node node = {copy, store->usable};
    const char *rule = node_check(node);
    int result = OP_OK;
    if (rule != NULL) {
        finding(check, "page %llu: broken rule of tree %llu: %s", n(promise->page_no), n(promise->tree), rule);
    } else {
        uint64_t before = check->findings;
        check_promise(check, node, promise);
        if (before == check->findings || promise->level >= 0)
            result = node_is_leaf(node) ? check_leaf(check, node, promise) : check_inner(check, node, promise);
    }
    mem_free(copy);
    return result;
}

static int check_tree(struct check *check, TreeId id, PageNo root)
{
    struct promise promise = {id, root, -1, {(const uint8_t *)"", 0}, {NULL, 0}, is_in_graveyard(check, id)};
    return check_node(check, &promise);
}

/* ---- the free map --------------------------------------------------------------------------------- */

static int check_map_page(struct check *check, PageNo map_page)
{
    struct store *store = check->store;
    struct page_ref map;
    if (!note(check, map_page, "free map", 0))
        return OP_OK;
    if (buf_fix(check->op, store->buf, map_page, LATCH_SHARED, &map) != OP_OK)
        return damage_to_finding(check);
    if (((const struct page_head *)(const void *)map.data)->type != PAGE_FREE_MAP)
        finding(check, "page %llu: a page of the free map belongs here", n(map_page));
    PageNo end = map_page + space_map_span(store);
    for (PageNo page = map_page; page < end && page < check->page_count; page++) {
        bool marked = space_map_get(store, &map, page), seen = check->seen[page / 8] >> (page % 8) & 1;
        if (marked && !seen)
            finding(check, "page %llu: marked as used, but nothing leads there", n(page));
        else if (!marked && seen)
            finding(check, "page %llu: in use, but marked as free", n(page));
    }
    buf_unfix(&map, store->buf);
    return OP_OK;
}

static int check_all(struct check *check)
{
    struct store *store = check->store;
    if (check_tree(check, DIRECTORY_TREE, DIRECTORY_ROOT) != OP_OK ||
        check_tree(check, GRAVEYARD_TREE, GRAVEYARD_ROOT) != OP_OK)
        return OP_FAILED;
    for (size_t i = 0; i < check->tree_count; i++)
        if (check_tree(check, check->trees[i].id, check->trees[i].root) != OP_OK)
            return OP_FAILED;
    for (PageNo map = SPACE_FIRST_MAP; map < check->page_count; map += space_map_span(store))
        if (check_map_page(check, map) != OP_OK)
            return OP_FAILED;
    return OP_OK;
}

int store_check(struct op *op, struct store *store, void (*report)(void *arg, const char *line), void *arg,
                uint64_t *findings)
{
    struct check check = {.op = op, .store = store, .report = report, .arg = arg};
    struct store_space space;
    *findings = 0;
    if (store_space(op, store, &space) != OP_OK)
        return OP_FAILED;
    check.page_count = space.pages;
    check.seen = op_heap_alloc(op, (size_t)(check.page_count / 8 + 1));
    if (check.seen == NULL)
        return OP_FAILED;
    memset(check.seen, 0, (size_t)(check.page_count / 8 + 1));
    int result = check_all(&check);
    *findings = check.findings;
    mem_free(check.trees);
    mem_free(check.graves);
    mem_free(check.seen);
    return result;
}
