/*
 * check.c -- CHECK: is the database whole?  Beside threads that go on changing it.
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
 * Nobody is stopped meanwhile.  Pages split and merge under the walk, so it does not follow page numbers that it has
 * copied, but goes through the key space:
 *
 *      position = ""
 *      until the tree ends:  descend from the root to the leaf that covers position, parent and child latched together
 *                            at each step and held against each other;  position = the leaf's high fence
 *
 * K1  A record whose key lives all the time is met exactly once, whatever happens to pages: keys do not move.
 * K2  A node that begins below the position has grown by a merge; what it held before the position has been met.
 * K3  Two nodes of one tree cannot both keep the promise to their parents with the same page, so a page that is
 *     reached twice breaks a fence, a level or a tree's id.
 *
 * Which pages are in use changes too.  While a check runs, the store keeps a watch (watch.c): which pages have been taken or freed
 * since it began, and which chains have gone from a record to the graveyard or back.  Both are noted under the latches of
 * those who make the change, so whoever sees the new state of a page finds the note as well.
 *
 * A1  A page that the watch does not name had one use, or none, all the time.  Only such pages are counted.
 * A2  A chain that changed its owner may have been met twice or not at all; it is walked once more at the end.
 *
 * What looks wrong is looked at again from the root before it is reported: a tree that is being dropped gives its pages
 * back without latching them, and may be gone the next moment.  Damage stays.
 *
 * A damaged page is one finding; its siblings are checked all the same.  What lies below it shows up as "nothing leads there".
 */
#include <stdio.h>
#include <string.h>

#include "btree/btree_int.h"
#include "src/base/endian.h"
#include "src/base/mem.h"

enum { LINE_MAX_BYTES = 512, SECOND_LOOKS = 10, PROGRESS_PAGES = 64 };

struct tree_entry {
    TreeId id;
    PageNo root;
};

/* What was seen of an inner page when it was last verified. */
struct verified {
    PageNo page_no;
    Lsn lsn;
};

struct check {
    struct op *op;
    struct store *store;
    const struct store_checker *checker;
    uint64_t findings;
    uint8_t *seen;              /* a bit per page */
    PageNo page_count;          /* when the check began */
    uint64_t pages_met;
    struct tree_entry *trees;
    size_t tree_count, tree_capacity;

    /* The walk through one tree. */
    struct btree *tree;
    struct btree walked;        /* a handle of our own: the registry's may go with the tree */
    struct verified levels[BTREE_HEIGHT_MAX + 1];
    uint8_t *copy;              /* of the leaf; page_size bytes */
    uint8_t *keys;              /* two keys of a promise for each of two levels, and the position */
    struct bytes position;
    char suspect[LINE_MAX_BYTES];   /* "" when nothing looks wrong */
    PageNo suspect_page;
    bool suspect_edge;          /* the right edge of the tree ends too early */
    bool trimmed;               /* the tree is being freed: that is as it should be */
    bool behind_edge;           /* the descent has found nothing at the position */
};

static void report(struct check *check, const char *line)
{
    check->findings++;
    if (check->checker->report != NULL)
        check->checker->report(check->checker->arg, check->tree != NULL ? check->tree->id : 0, line);
}

static void finding(struct check *check, const char *format, ...) PRINTF_LIKE(2, 3);

static void finding(struct check *check, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    report(check, line);
}

static void suspect(struct check *check, PageNo page_no, const char *format, ...) PRINTF_LIKE(3, 4);

static void suspect(struct check *check, PageNo page_no, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(check->suspect, sizeof check->suspect, format, args);
    va_end(args);
    check->suspect_page = page_no;
}

/* The error that an operation has met looks like damage, and the check goes on.  Real failures stay errors. */
static int damage_to_suspect(struct check *check, PageNo page_no)
{
    const struct op_error *error = &check->op->error;
    if (strcmp(error->sqlstate, "XX001") != 0)
        return OP_FAILED;
    suspect(check, page_no, "%s%s%s", error->message, error->detail != NULL ? ": " : "",
            error->detail != NULL ? error->detail : "");
    op_clear_error(check->op);
    return OP_OK;
}

static unsigned long long n(uint64_t number)
{
    return (unsigned long long)number;
}

/* ---- which pages have been met -------------------------------------------------------------------- */

static bool is_seen(const struct check *check, PageNo page_no)
{
    return page_no < check->page_count && (check->seen[page_no / 8] >> (page_no % 8) & 1);
}

static void mark_seen(struct check *check, PageNo page_no)
{
    if (page_no >= check->page_count || is_seen(check, page_no))
        return;
    check->seen[page_no / 8] |= (uint8_t)(1u << (page_no % 8));
    if (++check->pages_met % PROGRESS_PAGES == 0 && check->checker->progress != NULL)
        check->checker->progress(check->checker->arg, check->pages_met, check->page_count);
}

/* A page that has been met before, though its use has not changed since the check began. */
static bool is_met_twice(struct check *check, PageNo page_no)
{
    return is_seen(check, page_no) && !watch_moved(check->store, page_no);
}

/* ---- overflow chains ------------------------------------------------------------------------------ */

/* A walk along a chain; pages_marked: of its beginning, by an earlier walk. */
struct chain_walk {
    TreeId tree;                /* whose record it belongs to, or the graveyard */
    PageNo leaf;
    struct reference reference;
    uint64_t pages_marked;
};

static int read_link(struct check *check, const struct chain_walk *walk, PageNo page_no, PageNo *next, uint64_t *bytes)
{
    struct store *store = check->store;
    struct page_ref ref;
    *next = 0;
    *bytes = 0;
    if (page_no >= buf_page_count(store->buf)) {
        suspect(check, page_no, "page %llu: overflow page of tree %llu lies beyond the end of the file", n(page_no), n(walk->tree));
        return OP_OK;
    }
    if (buf_fix(check->op, store->buf, page_no, LATCH_SHARED, &ref) != OP_OK)
        return damage_to_suspect(check, page_no);
    const struct page_head *head = (const struct page_head *)(const void *)ref.data;
    if (head->type != PAGE_OVERFLOW)
        suspect(check, page_no, "page %llu: part of an overflow chain of tree %llu, but of another type", n(page_no),
                n(walk->tree));
    else if (walk->tree != GRAVEYARD_TREE && head->tree_id != walk->tree)
        suspect(check, page_no, "page %llu: part of an overflow chain of tree %llu, but it belongs to tree %llu", n(page_no),
                n(walk->tree), n(head->tree_id));
    *next = get_u64(ref.data + 32);
    *bytes = get_u32(ref.data + 40);
    buf_unfix(&ref, store->buf);
    if (check->suspect[0] == '\0' && (*bytes == 0 || *bytes > overflow_room(store)))
        suspect(check, page_no, "page %llu: part of an overflow chain of tree %llu with an impossible number of bytes", n(page_no),
                n(walk->tree));
    return OP_OK;
}

/* Follows the chain and marks its pages; stops at what looks wrong. */
static int walk_chain(struct check *check, struct chain_walk *walk)
{
    const struct reference *reference = &walk->reference;
    unsigned long long leaf = n(walk->leaf), tree = n(walk->tree);
    uint64_t size = 0, bytes, count = 0;
    PageNo last = 0, next;
    for (PageNo page_no = reference->first; page_no != 0; page_no = next) {
        if (op_check_cancel(check->op) != OP_OK || read_link(check, walk, page_no, &next, &bytes) != OP_OK)
            return OP_FAILED;
        if (check->suspect[0] == '\0' && count >= walk->pages_marked && is_met_twice(check, page_no) &&
            !watch_chain_moved(check->store, reference->tail))
            suspect(check, page_no, "page %llu: overflow page of tree %llu, but it has another use as well", n(page_no), tree);
        if (check->suspect[0] != '\0')
            return OP_OK;
        mark_seen(check, page_no);
        if (++count > walk->pages_marked)
            walk->pages_marked = count;
        size += bytes;
        last = page_no;
        if (size > reference->size)
            break;
    }
    if (walk->tree != GRAVEYARD_TREE && size != reference->size)
        suspect(check, walk->leaf, "page %llu: an overflow chain of tree %llu has %llu bytes instead of %llu", leaf, tree,
                n(size), n(reference->size));
    else if (last != reference->tail)
        suspect(check, walk->leaf, "page %llu: an overflow chain of tree %llu ends at page %llu instead of %llu", leaf, tree,
                n(last), n(reference->tail));
    return OP_OK;
}

/* What the second look needs: does the record still hold this reference?  The leaf stays latched while it is walked again. */
struct second_look {
    struct check *check;
    struct chain_walk *walk;
    struct bytes stored;
};

static int look_again(void *arg, struct op *op, const struct btree_record *record)
{
    struct second_look *look = arg;
    look->check->suspect[0] = '\0';
    if (record == NULL || record->value.len != look->stored.len ||
        memcmp(record->value.data, look->stored.data, look->stored.len) != 0)
        return OP_OK;
    return walk_chain(look->check, look->walk);
}

static int check_chain(struct check *check, PageNo leaf, struct bytes key, struct bytes stored)
{
    struct chain_walk walk = {.tree = check->tree->id, .leaf = leaf};
    struct second_look look = {check, &walk, stored};
    if (!reference_get(stored, &walk.reference)) {
        finding(check, "page %llu: a reference to an overflow chain of tree %llu is damaged", n(leaf), n(walk.tree));
        return OP_OK;
    }
    check->suspect[0] = '\0';
    if (walk_chain(check, &walk) != OP_OK)
        return OP_FAILED;
    if (check->suspect[0] != '\0' && btree_get(check->op, check->tree, key, look_again, &look) != OP_OK) {
        /* The way to the record is damaged, which is found elsewhere; or the tree has been dropped. */
        if (damage_to_suspect(check, leaf) != OP_OK)
            return OP_FAILED;
        check->suspect[0] = '\0';
    }
    if (check->suspect[0] != '\0')
        report(check, check->suspect);
    check->suspect[0] = '\0';
    return OP_OK;
}

/* One that is freed meanwhile gives nothing that counts. */
static int walk_moved_chain(struct check *check, const struct reference *reference)
{
    struct chain_walk walk = {.tree = GRAVEYARD_TREE};
    PageNo page_no = reference->first, next;
    uint64_t bytes, count = 0;
    check->suspect[0] = '\0';
    while (page_no != 0 && check->suspect[0] == '\0' && count++ < check->page_count) {
        if (op_check_cancel(check->op) != OP_OK || read_link(check, &walk, page_no, &next, &bytes) != OP_OK)
            return OP_FAILED;
        if (check->suspect[0] == '\0' && !watch_moved(check->store, page_no))
            mark_seen(check, page_no);
        page_no = page_no == reference->tail ? 0 : next;
    }
    check->suspect[0] = '\0';
    return OP_OK;
}

/* A2: chains that have changed their owner so far.  Those of which that becomes true later had one owner up to now. */
static int walk_moved_chains(struct check *check)
{
    PageNo *tails;
    size_t count;
    int result = watch_chains(check->op, check->store, &tails, &count);
    for (size_t i = 0; result == OP_OK && i < count; i++) {
        struct reference before, now;
        bool there = watch_chain(check->store, tails[i], &before);
        while (result == OP_OK && there) {
            result = walk_moved_chain(check, &before);
            there = watch_chain(check->store, tails[i], &now) && now.first != before.first;
            before = now;       /* shortened meanwhile: it begins further on now */
        }
    }
    mem_free(tails);
    return result;
}

/* ---- records of the well-known trees -------------------------------------------------------------- */

static int add_tree(struct check *check, struct bytes key, const struct cell *cell, PageNo leaf)
{
    if (key.len != 8 || cell->value.len != 8) {
        finding(check, "page %llu: an entry of the directory of trees is damaged", n(leaf));
        return OP_OK;
    }
    if (check->tree_count == check->tree_capacity) {
        size_t capacity = check->tree_capacity * 2 + 16;
        void *larger = mem_realloc(check->trees, capacity * sizeof *check->trees);
        if (larger == NULL)
            return op_out_of_memory(check->op);
        check->trees = larger;
        check->tree_capacity = capacity;
    }
    check->trees[check->tree_count++] = (struct tree_entry){__builtin_bswap64(get_u64(key.data)), get_u64(cell->value.data)};
    return OP_OK;
}

static int check_record(struct check *check, PageNo leaf, struct bytes key, const struct cell *cell)
{
    TreeId tree = check->tree->id;
    if (tree == DIRECTORY_TREE)
        return cell->flags & BTREE_GHOST ? OP_OK : add_tree(check, key, cell, leaf);
    if (tree != GRAVEYARD_TREE)
        return cell->flags & BTREE_OVERFLOW ? check_chain(check, leaf, key, cell->value) : OP_OK;
    if (key.len != GRAVE_KEY_BYTES)
        finding(check, "page %llu: an entry of the graveyard is damaged", n(leaf));
    else if (!(cell->flags & BTREE_GHOST) && key.data[8] != GRAVE_TREE)
        return check_chain(check, leaf, key, cell->value);
    return OP_OK;
}

struct grave_search {
    TreeId tree;
    bool found;
};

static int see_grave(void *arg, struct op *op, const struct btree_record *record, bool *stop)
{
    struct grave_search *search = arg;
    *stop = search->found = search->found || (record->key.len == GRAVE_KEY_BYTES && record->key.data[8] == GRAVE_TREE &&
                                              !(record->flags & BTREE_GHOST) &&
                                              __builtin_bswap64(get_u64(record->key.data + 9)) == search->tree);
    return OP_OK;
}

/* Whether the tree lies in the graveyard now. */
static int is_buried(struct check *check, TreeId tree, bool *buried)
{
    struct grave_search search = {.tree = tree};
    struct btree_range all = {{NULL, 0}, {NULL, 0}, true, true};
    struct btree_visitor visitor = {.arg = &search, .record = see_grave};
    struct btree_cursor cursor;
    bool more = true;
    int result = OP_OK;
    btree_cursor_open(&cursor, &check->store->graveyard, &all, false);
    while (result == OP_OK && more && !search.found)
        result = btree_cursor_next_leaf(check->op, &cursor, &visitor, &more);
    btree_cursor_close(&cursor);
    *buried = search.found;
    return result;
}

/* ---- nodes ---------------------------------------------------------------------------------------- */

/* What a parent promises of its child; the keys lie in buffers of the check. */
struct promise {
    PageNo page_no;
    int level;                  /* -1: the root, any */
    struct bytes low, high;     /* high NULL data: none */
    bool edge;                  /* on the right edge of the tree */
};

static bool keeps_high(struct check *check, struct node node, const struct promise *promise)
{
    bool bounded = promise->high.data != NULL;
    if (!node_has_high(node))
        return !bounded;
    int order = bounded ? bytes_compare(node_high(node), promise->high) : -1;
    check->suspect_edge = promise->edge && order < 0;
    return order == 0 || (check->suspect_edge && check->trimmed);
}

/* The latched node against its parent, and by itself.  Inner pages that have not changed since are sound still. */
static void check_node(struct check *check, const struct page_ref *ref, const struct promise *promise)
{
    struct node node = node_of(check->store, ref);
    const struct node_head *head = node_head(node);
    unsigned long long page_no = n(ref->page_no), tree = n(check->tree->id);
    const char *rule;
    if (head->page.tree_id != check->tree->id)
        suspect(check, ref->page_no, "page %llu: belongs to tree %llu, but tree %llu leads to it", page_no,
                n(head->page.tree_id), tree);
    else if ((rule = node_check_head(node)) != NULL)
        suspect(check, ref->page_no, "page %llu: broken rule of tree %llu: %s", page_no, tree, rule);
    else if (promise->level >= 0 ? head->page.level != promise->level : head->page.level >= BTREE_HEIGHT_MAX)
        suspect(check, ref->page_no, "page %llu: at level %u of tree %llu instead of %d", page_no, head->page.level, tree,
                promise->level);
    else if (bytes_compare(node_low(node), promise->low) != 0)
        suspect(check, ref->page_no, "page %llu: its low fence is not its parent's key (tree %llu)%s", page_no, tree,
                is_met_twice(check, ref->page_no) ? "; it has another use as well" : "");
    else if (!keeps_high(check, node, promise))
        suspect(check, ref->page_no, "page %llu: its high fence is not its parent's next key (tree %llu)", page_no, tree);
    if (check->suspect[0] != '\0')
        return;
    struct verified *verified = &check->levels[head->page.level];
    if (verified->page_no == ref->page_no && verified->lsn == head->page.lsn && !node_is_leaf(node))
        return;
    if ((rule = node_check(node)) != NULL)
        suspect(check, ref->page_no, "page %llu: broken rule of tree %llu: %s", page_no, tree, rule);
    else if (verified->page_no != ref->page_no && bytes_compare(node_low(node), check->position) == 0 &&
             promise->level >= 0 && is_met_twice(check, ref->page_no))      /* K2 */
        suspect(check, ref->page_no, "page %llu: node of tree %llu, but it has another use as well", page_no, tree);
    else
        *verified = (struct verified){ref->page_no, head->page.lsn};
}

static struct bytes copy_key(uint8_t *to, struct bytes key)
{
    if (key.data == NULL)
        return key;
    memcpy(to, key.data, key.len);
    return (struct bytes){to, key.len};
}

/* The child that covers the position, and what the latched parent says of it. */
static void promise_child(struct check *check, const struct page_ref *parent, struct promise *child, uint8_t *keys)
{
    struct node node = node_of(check->store, parent);
    struct cell cell;
    unsigned slot;
    struct bytes key = {NULL, 0};
    if (!node_search_child(node, check->position, false, &slot) || !node_cell(node, slot, &cell)) {
        suspect(check, parent->page_no, "page %llu: broken rule of tree %llu: each cell lies within the heap",
                n(parent->page_no), n(check->tree->id));
        return;
    }
    child->page_no = cell.child;
    child->level = node_head(node)->page.level - 1;
    child->edge = child->edge && slot + 1u == node_head(node)->slots;
    if (slot == 0)
        child->low = copy_key(keys, node_low(node));
    else if (node_key(node, slot, keys, &key))
        child->low = key;
    uint8_t *high = keys + PAGE_SIZE_MAX / 4;
    if (slot + 1u == node_head(node)->slots)
        child->high = node_has_high(node) ? copy_key(high, node_high(node)) : (struct bytes){NULL, 0};
    else if (node_key(node, slot + 1, high, &key))
        child->high = key;
}

/* Goes down to the leaf at the position; what it promises is left in *promise.  The leaf's bytes are in check->copy when *arrived. */
static int descend(struct check *check, struct promise *promise, bool *arrived)
{
    struct store *store = check->store;
    struct page_ref parent = {0}, ref = {0};
    *promise = (struct promise){check->tree->root, -1, {(const uint8_t *)"", 0}, {NULL, 0}, true};
    *arrived = check->behind_edge = false;
    int result = OP_OK;
    for (unsigned depth = 0; result == OP_OK; depth++) {
        if (promise->page_no == 0 || promise->page_no >= buf_page_count(store->buf)) {
            suspect(check, promise->page_no, "page %llu: node of tree %llu lies beyond the end of the file", n(promise->page_no),
                    n(check->tree->id));
            break;
        }
        bool sound = buf_fix(check->op, store->buf, promise->page_no, LATCH_SHARED, &ref) == OP_OK;
        if (!sound)
            result = damage_to_suspect(check, promise->page_no);
        else
            check_node(check, &ref, promise);
        buf_unfix(&parent, store->buf);
        if (result != OP_OK || check->suspect[0] != '\0')
            break;
        mark_seen(check, ref.page_no);
        check->behind_edge = !node_covers(node_of(store, &ref), check->position);
        if (check->behind_edge)
            break;
        if (node_is_leaf(node_of(store, &ref))) {
            memcpy(check->copy, ref.data, store->page_size);
            *arrived = true;
            break;
        }
        parent = ref;
        ref.data = NULL;
        promise_child(check, &parent, promise, check->keys + depth % 2 * (PAGE_SIZE_MAX / 2));
        if (check->suspect[0] != '\0')
            break;
    }
    buf_unfix(&ref, store->buf);
    buf_unfix(&parent, store->buf);
    return result;
}

/* ---- trees ---------------------------------------------------------------------------------------- */

/* Is the tree being freed, from its right edge? */
static int look_for_trim(struct check *check)
{
    check->trimmed = watch_is_dropping(check->store, check->tree->id);
    if (!check->trimmed && is_buried(check, check->tree->id, &check->trimmed) != OP_OK) {
        if (strcmp(check->op->error.sqlstate, "XX001") != 0)
            return OP_FAILED;
        op_clear_error(check->op);
    }
    return OP_OK;
}

/* Whether what looked wrong twice in the same way is damage: it is not, when the tree has gone, or is being freed, or may be and has to be
 * looked at again.  The directory is asked last: a tree whose freeing ends before that is not there any more. */
static int confirm(struct check *check, bool *gone, bool *wrong)
{
    PageNo root = 0;
    *gone = false;
    *wrong = true;
    if (check->tree->id < FIRST_USER_TREE)
        return OP_OK;
    if (check->suspect_edge && !check->trimmed && look_for_trim(check) != OP_OK)
        return OP_FAILED;
    bool drops = check->suspect_edge && atomic_load(&check->store->drops) > 0;
    if (directory_look_up(check->op, check->store, check->tree->id, &root) != OP_OK) {
        if (strcmp(check->op->error.sqlstate, "XX001") != 0)
            return OP_FAILED;
        op_clear_error(check->op);
        root = check->tree->root;
    }
    *gone = root != check->tree->root;
    *wrong = !*gone && !drops && !(check->suspect_edge && check->trimmed);
    return OP_OK;
}

/* Descends until it arrives, or what looks wrong has looked so twice; then *wrong.  *gone: the tree has been dropped. */
static int descend_surely(struct check *check, struct promise *promise, bool *wrong, bool *gone)
{
    char before[LINE_MAX_BYTES] = "";
    bool arrived = false;
    *wrong = *gone = false;
    for (int look = 0; !arrived && !*wrong && !*gone; look++) {
        check->suspect[0] = '\0';
        check->suspect_edge = false;
        if (descend(check, promise, &arrived) != OP_OK)
            return OP_FAILED;
        *gone = check->behind_edge;
        if (arrived || *gone)
            break;
        if ((strcmp(check->suspect, before) == 0 || look >= SECOND_LOOKS) && confirm(check, gone, wrong) != OP_OK)
            return OP_FAILED;
        memcpy(before, check->suspect, sizeof before);
    }
    return OP_OK;
}

static int check_leaf(struct check *check, PageNo page_no)
{
    struct node node = {check->copy, check->store->usable};
    uint8_t buffer[PAGE_SIZE_MAX / 4];
    struct bytes key;
    struct cell cell;
    for (unsigned i = 0; i < node_head(node)->slots; i++)
        if (node_key(node, i, buffer, &key) && node_cell(node, i, &cell) && bytes_compare(key, check->position) >= 0 &&
            check_record(check, page_no, key, &cell) != OP_OK)
            return OP_FAILED;
    return OP_OK;
}

/* The tree in check->tree, from its first key to its last. */
static int walk_tree(struct check *check)
{
    uint8_t *position = check->keys + PAGE_SIZE_MAX;
    check->position = (struct bytes){position, 0};
    check->trimmed = false;
    memset(check->levels, 0, sizeof check->levels);
    for (;;) {
        struct promise promise;
        bool wrong, gone;
        if (op_check_cancel(check->op) != OP_OK || descend_surely(check, &promise, &wrong, &gone) != OP_OK)
            return OP_FAILED;
        if (gone)
            return OP_OK;
        if (wrong) {
            report(check, check->suspect);
            mark_seen(check, check->suspect_page);
            check->suspect[0] = '\0';
        } else if (check_leaf(check, promise.page_no) != OP_OK) {
            return OP_FAILED;
        }
        struct node leaf = {check->copy, check->store->usable};
        struct bytes next = wrong ? promise.high : node_has_high(leaf) ? node_high(leaf) : (struct bytes){NULL, 0};
        /* Keys that do not ascend would lead round in circles. */
        if (next.data == NULL || bytes_compare(next, check->position) <= 0)
            return OP_OK;
        check->position = copy_key(position, next);
    }
}

static int check_tree(struct check *check, struct btree *tree)
{
    check->tree = tree;
    return walk_tree(check);
}

static int check_user_tree(struct check *check, const struct tree_entry *entry)
{
    tree_init(&check->walked, check->store, entry->id, entry->root);
    return check_tree(check, &check->walked);
}

/* ---- the free map --------------------------------------------------------------------------------- */

static void compare_page(struct check *check, const struct page_ref *map, PageNo page)
{
    bool marked = space_map_get(check->store, map, page), seen = is_seen(check, page);
    if (watch_moved(check->store, page))
        return;
    if (marked && !seen)
        finding(check, "page %llu: marked as used, but nothing leads there", n(page));
    else if (!marked && seen)
        finding(check, "page %llu: in use, but marked as free", n(page));
    else if (marked && space_is_free(check->store, page))
        finding(check, "page %llu: in use, but about to be given out again", n(page));
}

static int check_map_page(struct check *check, PageNo map_page)
{
    struct store *store = check->store;
    struct page_ref map;
    if (is_met_twice(check, map_page))
        finding(check, "page %llu: a page of the free map, but it has another use as well", n(map_page));
    mark_seen(check, map_page);
    if (buf_fix(check->op, store->buf, map_page, LATCH_SHARED, &map) != OP_OK) {
        if (damage_to_suspect(check, map_page) != OP_OK)
            return OP_FAILED;
        if (map_page < space_limit(store))
            report(check, check->suspect);
        check->suspect[0] = '\0';
        return OP_OK;
    }
    if (((const struct page_head *)(const void *)map.data)->type != PAGE_FREE_MAP)
        finding(check, "page %llu: a page of the free map belongs here", n(map_page));
    PageNo end = map_page + space_map_span(store);
    for (PageNo page = map_page; page < end && page < check->page_count; page++)
        compare_page(check, &map, page);
    buf_unfix(&map, store->buf);
    return OP_OK;
}

static int check_maps(struct check *check)
{
    uint64_t span = space_map_span(check->store);
    for (PageNo map = SPACE_FIRST_MAP; map < check->page_count && map < space_limit(check->store); map += span)
        if (check_map_page(check, map) != OP_OK)
            return OP_FAILED;
    return OP_OK;
}

/* ---- the whole ------------------------------------------------------------------------------------ */

static int check_all(struct check *check)
{
    struct store *store = check->store;
    if (check_tree(check, &store->directory) != OP_OK || check_tree(check, &store->graveyard) != OP_OK)
        return OP_FAILED;
    for (size_t i = 0; i < check->tree_count; i++)
        if (check_user_tree(check, &check->trees[i]) != OP_OK)
            return OP_FAILED;
    check->tree = NULL;
    if (walk_moved_chains(check) != OP_OK || check_maps(check) != OP_OK)
        return OP_FAILED;
    if (watch_is_lost(store))
        return op_out_of_memory(check->op);
    if (check->checker->progress != NULL)
        check->checker->progress(check->checker->arg, check->page_count, check->page_count);
    return OP_OK;
}

int store_check_with(struct op *op, struct store *store, const struct store_checker *checker, uint64_t *findings)
{
    struct check check = {.op = op, .store = store, .checker = checker};
    *findings = 0;
    if (watch_begin(op, store, &check.page_count) != OP_OK)
        return OP_FAILED;
    check.seen = op_heap_alloc(op, (size_t)(check.page_count / 8 + 1));
    check.copy = op_heap_alloc(op, store->page_size);
    check.keys = op_heap_alloc(op, PAGE_SIZE_MAX + PAGE_SIZE_MAX / 4);
    int result = OP_FAILED;
    if (check.seen != NULL && check.copy != NULL && check.keys != NULL) {
        memset(check.seen, 0, (size_t)(check.page_count / 8 + 1));
        result = check_all(&check);
    }
    watch_end(store);
    *findings = check.findings;
    mem_free(check.trees);
    mem_free(check.seen);
    mem_free(check.copy);
    mem_free(check.keys);
    return result;
}

struct line_report {
    void (*report)(void *arg, const char *line);
    void *arg;
};

static void report_line(void *arg, TreeId tree, const char *line)
{
    struct line_report *to = arg;
    if (to->report != NULL)
        to->report(to->arg, line);
}

int store_check(struct op *op, struct store *store, void (*report_to)(void *arg, const char *line), void *arg,
                uint64_t *findings)
{
    struct line_report to = {report_to, arg};
    struct store_checker checker = {.arg = &to, .report = report_line};
    return store_check_with(op, store, &checker, findings);
}
