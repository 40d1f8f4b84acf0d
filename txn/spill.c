/*
 * spill.c -- version chains that do not fit into memory: a sorted map in a temporary file.
 *
 * What is spilled must be found again by (tree, key), at once and one by one, as writers, readers and rollback ask for it; and bulk
 * changes spill in the order of keys, so that order should be kept.  Hence leaves of sorted items, as in a B+tree:
 *
 *      directory (memory)    [t7 a..] [t7 k..] [t7 q..] [t9 b..]      low key, page, what is in it
 *                               |        |        |        |
 *      file                   leaf     leaf     leaf     leaf         32 KiB each, items packed in order
 *
 * There is no inner level: one entry of the directory stands for a hundred chains or more, so it takes less than a hundredth of what
 * is spilled, and counts against the memory of the version store.  A few frames hold leaves; the least recently used one is written when another
 * is wanted.  Nothing is logged and nothing is ever synced: the contents are worthless after a crash, and the file goes with them.
 *
 * Why not a tree of btree/ in the buffer pool: pages without log and without double write would have been a second kind of page
 * in every step of eviction, checkpoint and restart, and the pool's latches are not needed here, where a mutex per shard (budget.c)
 * suffices.
 *
 * L1  A leaf's items are sorted by tree and key, and not below its low end in the directory, but for the first leaf, which takes all below.
 * L2  A page of the file belongs to one leaf or is free.  A leaf in a frame may be newer than its page.
 * L3  An operation that fails has changed nothing.
 * L4  No item is larger than half a leaf, so that a split always makes room.
 */
#include <string.h>

#include "src/base/endian.h"
#include "src/base/hash.h"
#include "src/base/mem.h"
#include "txn/spill.h"

enum {
    LEAF_HEAD = 16,                 /* crc 4, used 4, page 8 */
    BLOCK_BYTES = 4096,             /* whole blocks are written, or the system would have to read what it overwrites in part */
};

struct spill_frame {
    uint8_t *data;                  /* NULL: never used */
    struct spill_leaf *leaf;        /* NULL: free */
    uint64_t stamp;
    bool dirty;
};

struct spill_file {
    struct vfs *vfs;
    char *path;
    uint32_t page_size;
    uint64_t limit;
    struct os_mutex mutex;          /* RANK_VERSION_FILE: guards all below but the counters */
    struct os_file *file;
    bool stale;                     /* a crash has left it, with contents that are nobody's: not cut yet */
    uint32_t *free;                 /* pages */
    uint32_t free_count, free_capacity, next_page;
    _Atomic uint64_t used;          /* pages; written under the mutex */
    _Atomic uint64_t memory;
};

/* ---- the file ------------------------------------------------------------------------------------- */

int spill__open(struct op *op, struct vfs *vfs, const char *database_path, uint32_t page_size, uint64_t limit,
                struct spill_file **out)
{
    size_t len = strlen(database_path);
    struct spill_file *file = mem_calloc(1, sizeof(*file));
    bool exists = false;

    *out = NULL;
    if (file == NULL) {
        return op_out_of_memory(op);
    }
    file->vfs = vfs;
    file->page_size = page_size;
    file->limit = limit;
    os_mutex_init(&file->mutex, RANK_VERSION_FILE);
    *out = file;
    file->path = mem_alloc(len + sizeof("-versions"));
    if (file->path == NULL) {
        return op_out_of_memory(op);
    }
    memcpy(file->path, database_path, len);
    memcpy(file->path + len, "-versions", sizeof("-versions"));
    /* One that a crash has left may be large, and long to remove: it is written over, and cut in the background. */
    if (os_exists(op, vfs, file->path, &exists) != 0 || (exists && os_open(op, vfs, file->path, 0, &file->file) != 0)) {
        return OP_FAILED;
    }
    file->stale = exists;
    return 0;
}

void spill__close(struct spill_file *file)
{
    if (file == NULL) {
        return;
    }
    if (file->file != NULL) {
        struct op op;
        os_close(file->file);
        op_init(&op);
        (void)!os_remove(&op, file->vfs, file->path);   /* the next open tries again */
        op_end(&op);
    }
    os_mutex_destroy(&file->mutex);
    mem_free(file->free);
    mem_free(file->path);
    mem_free(file);
}

uint64_t spill__file_bytes(const struct spill_file *file)
{
    return atomic_load_explicit(&((struct spill_file *)file)->used, memory_order_relaxed) * file->page_size;
}

uint64_t spill__memory(const struct spill_file *file)
{
    return atomic_load_explicit(&((struct spill_file *)file)->memory, memory_order_relaxed);
}

uint32_t spill__item_max(const struct spill_file *file)
{
    return (file->page_size - LEAF_HEAD) / 2 & ~7u;
}

static int open_file(struct op *op, struct spill_file *file)
{
    if (file->file != NULL) {
        return 0;
    }
    return os_open(op, file->vfs, file->path, OS_OPEN_CREATE, &file->file);
}

static int take_page(struct op *op, struct spill_file *file, uint32_t *page)
{
    int rc = OP_FAILED;

    os_mutex_lock(&file->mutex);
    uint64_t used = atomic_load_explicit(&file->used, memory_order_relaxed);
    if ((used + 1) * file->page_size > file->limit) {
        op_fail(op, "53100", "the version store has reached its limit on disk");
    } else if (open_file(op, file) == 0) {
        *page = file->free_count > 0 ? file->free[--file->free_count] : file->next_page++;
        atomic_store_explicit(&file->used, used + 1, memory_order_relaxed);
        rc = 0;
    }
    os_mutex_unlock(&file->mutex);
    return rc;
}

/* Without memory for the list the page is lost until the file is cut. */
static void give_page(struct spill_file *file, uint32_t page)
{
    os_mutex_lock(&file->mutex);
    if (file->free_count == file->free_capacity) {
        uint32_t capacity = file->free_capacity == 0 ? 64 : file->free_capacity * 2;
        uint32_t *grown = mem_realloc(file->free, capacity * sizeof(*grown));
        if (grown != NULL) {
            file->free = grown;
            file->free_capacity = capacity;
        }
    }
    if (file->free_count < file->free_capacity) {
        file->free[file->free_count++] = page;
    }
    atomic_fetch_sub_explicit(&file->used, 1, memory_order_relaxed);
    os_mutex_unlock(&file->mutex);
}

bool spill__can_be_cut(struct spill_file *file)
{
    os_mutex_lock(&file->mutex);
    bool can = file->stale && atomic_load_explicit(&file->used, memory_order_relaxed) == 0;
    os_mutex_unlock(&file->mutex);
    return can;
}

void spill__cut(struct spill_file *file)
{
    struct op op;

    op_init(&op);
    os_mutex_lock(&file->mutex);
    if ((file->next_page > 0 || file->stale) && atomic_load_explicit(&file->used, memory_order_relaxed) == 0) {
        if (os_truncate(&op, file->file, 0) == 0) {
            file->next_page = file->free_count = 0;
        }
        file->stale = false;        /* what cannot be cut is removed at the end */
    }
    os_mutex_unlock(&file->mutex);
    op_end(&op);
}

/* ---- frames --------------------------------------------------------------------------------------- */

static int write_frame(struct op *op, struct spill_tree *tree, struct spill_frame *frame)
{
    struct spill_file *file = tree->file;

    if (!frame->dirty) {
        return 0;
    }
    put_u32(frame->data + 4, frame->leaf->used);
    put_u64(frame->data + 8, frame->leaf->page);
    put_u32(frame->data, crc32c(0, frame->data + 4, frame->leaf->used - 4));
    size_t len = ((size_t)frame->leaf->used + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
    memset(frame->data + frame->leaf->used, 0, len - frame->leaf->used);
    if (os_write(op, file->file, (uint64_t)frame->leaf->page * file->page_size, frame->data, len) != 0) {
        return OP_FAILED;
    }
    frame->dirty = false;
    return 0;
}

/* A frame for the leaf, its contents not yet those of the leaf. */
static int take_frame(struct op *op, struct spill_tree *tree, struct spill_leaf *leaf, struct spill_frame **out)
{
    struct spill_frame *best = &tree->frames[0];

    for (int i = 1; i < tree->frame_count; i++) {
        struct spill_frame *frame = &tree->frames[i];
        if (best->leaf != NULL && (frame->leaf == NULL || frame->stamp < best->stamp)) {
            best = frame;
        }
    }
    if (best->data == NULL) {
        best->data = op_heap_alloc(op, tree->file->page_size);
        if (best->data == NULL) {
            return OP_FAILED;
        }
    }
    if (best->leaf != NULL) {
        if (write_frame(op, tree, best) != 0) {
            return OP_FAILED;
        }
        best->leaf->frame = -1;
    }
    best->leaf = leaf;
    best->dirty = false;
    best->stamp = ++tree->clock;
    leaf->frame = (int)(best - tree->frames);
    *out = best;
    return 0;
}

static void drop_frame(struct spill_tree *tree, struct spill_leaf *leaf)
{
    if (leaf->frame >= 0) {
        tree->frames[leaf->frame].leaf = NULL;
        tree->frames[leaf->frame].stamp = 0;
        leaf->frame = -1;
    }
}

static int load_leaf(struct op *op, struct spill_tree *tree, struct spill_leaf *leaf, struct spill_frame **out)
{
    struct spill_file *file = tree->file;
    size_t got;

    if (leaf->frame >= 0) {
        *out = &tree->frames[leaf->frame];
        (*out)->stamp = ++tree->clock;
        return 0;
    }
    if (take_frame(op, tree, leaf, out) != 0) {
        return OP_FAILED;
    }
    uint8_t *data = (*out)->data;
    int rc = os_read(op, file->file, (uint64_t)leaf->page * file->page_size, data, leaf->used, &got);
    if (rc == 0 && (got != leaf->used || get_u32(data + 4) != leaf->used || get_u64(data + 8) != leaf->page ||
                    get_u32(data) != crc32c(0, data + 4, leaf->used - 4))) {
        rc = op_fail(op, "XX001", "page %u of the temporary file \"%s\" is damaged", (unsigned)leaf->page, file->path);
    }
    if (rc != 0) {
        drop_frame(tree, leaf);
    }
    return rc;
}

/* ---- the directory -------------------------------------------------------------------------------- */

static int compare_to(TreeId left, struct bytes left_key, TreeId right, struct bytes right_key)
{
    if (left != right) {
        return left < right ? -1 : 1;
    }
    size_t shorter = left_key.len < right_key.len ? left_key.len : right_key.len;
    int order = shorter > 0 ? memcmp(left_key.data, right_key.data, shorter) : 0;
    return order != 0 ? order : (left_key.len > right_key.len) - (left_key.len < right_key.len);
}

/* The leaf in which the key lies or would lie (L1). */
static size_t find_leaf(const struct spill_tree *tree, TreeId id, struct bytes key)
{
    size_t low = 0, high = tree->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct spill_leaf *leaf = tree->leaves[middle];
        if (compare_to(leaf->tree, (struct bytes){ leaf->key, leaf->key_len }, id, key) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 ? low - 1 : 0;
}

static int make_leaf(struct op *op, struct spill_tree *tree, const struct spill_item *low, size_t at, struct spill_leaf **out)
{
    size_t size = sizeof(**out) + low->key_len;

    *out = NULL;
    if (tree->count == tree->capacity) {
        size_t capacity = tree->capacity == 0 ? 16 : tree->capacity * 2;
        struct spill_leaf **grown = mem_realloc(tree->leaves, capacity * sizeof(struct spill_leaf *));
        if (grown == NULL) {
            return op_out_of_memory(op);
        }
        atomic_fetch_add_explicit(&tree->file->memory, (capacity - tree->capacity) * sizeof(struct spill_leaf *),
                                  memory_order_relaxed);
        tree->leaves = grown;
        tree->capacity = capacity;
    }
    struct spill_leaf *leaf = mem_calloc(1, size);
    struct spill_frame *frame;
    if (leaf == NULL) {
        return op_out_of_memory(op);
    }
    leaf->frame = -1;
    leaf->used = LEAF_HEAD;
    leaf->marks.oldest = UINT64_MAX;
    leaf->tree = low->tree;
    leaf->key_len = low->key_len;
    memcpy(leaf->key, spill__key(low).data, low->key_len);
    if (take_page(op, tree->file, &leaf->page) != 0) {
        mem_free(leaf);
        return OP_FAILED;
    }
    if (take_frame(op, tree, leaf, &frame) != 0) {
        give_page(tree->file, leaf->page);
        mem_free(leaf);
        return OP_FAILED;
    }
    frame->dirty = true;
    atomic_fetch_add_explicit(&tree->file->memory, size, memory_order_relaxed);
    memmove(&tree->leaves[at + 1], &tree->leaves[at], (tree->count - at) * sizeof(struct spill_leaf *));
    tree->leaves[at] = leaf;
    tree->count++;
    *out = leaf;
    return 0;
}

static void free_leaf(struct spill_tree *tree, size_t at)
{
    struct spill_leaf *leaf = tree->leaves[at];

    drop_frame(tree, leaf);
    give_page(tree->file, leaf->page);
    atomic_fetch_sub_explicit(&tree->file->memory, sizeof(*leaf) + leaf->key_len, memory_order_relaxed);
    tree->count--;
    memmove(&tree->leaves[at], &tree->leaves[at + 1], (tree->count - at) * sizeof(struct spill_leaf *));
    mem_free(leaf);
}

int spill__tree_open(struct op *op, struct spill_file *file, int frames, struct spill_tree *tree)
{
    *tree = (struct spill_tree){ .file = file, .oldest = UINT64_MAX };
    tree->frames = mem_calloc((size_t)frames, sizeof(*tree->frames));
    if (tree->frames == NULL) {
        return op_out_of_memory(op);
    }
    tree->frame_count = frames;
    return 0;
}

void spill__tree_close(struct spill_tree *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        mem_free(tree->leaves[i]);
    }
    for (int i = 0; i < tree->frame_count; i++) {
        mem_free(tree->frames[i].data);
    }
    mem_free(tree->leaves);
    mem_free(tree->frames);
}

/* ---- items ---------------------------------------------------------------------------------------- */

static struct spill_item *item_at(const struct spill_frame *frame, uint32_t offset)
{
    return (struct spill_item *)(void *)(frame->data + offset);
}

/* Offset of the first item that is not below the key; *same tells whether it is the key's. */
static uint32_t search(const struct spill_frame *frame, TreeId id, struct bytes key, bool *same)
{
    uint32_t at = LEAF_HEAD;

    *same = false;
    while (at < frame->leaf->used) {
        const struct spill_item *item = item_at(frame, at);
        int order = compare_to(item->tree, spill__key(item), id, key);
        if (order >= 0) {
            *same = order == 0;
            break;
        }
        at += item->size;
    }
    return at;
}

static void add_marks(struct spill_marks *marks, struct spill_item *item)
{
    struct spill_entry *entry = spill__first(item);

    for (uint32_t i = 0; i < item->entries; i++, entry = spill__next(entry)) {
        marks->entries++;
        if (entry->ts == 0) {
            marks->pending++;
        } else {
            marks->oldest = entry->ts < marks->oldest ? entry->ts : marks->oldest;
            marks->newest = entry->ts > marks->newest ? entry->ts : marks->newest;
        }
    }
}

static void count_leaf(struct spill_frame *frame)
{
    struct spill_leaf *leaf = frame->leaf;

    leaf->items = 0;
    leaf->marks = (struct spill_marks){ .oldest = UINT64_MAX };
    for (uint32_t at = LEAF_HEAD; at < leaf->used; at += item_at(frame, at)->size) {
        leaf->items++;
        add_marks(&leaf->marks, item_at(frame, at));
    }
}

int spill__find(struct op *op, struct spill_tree *tree, TreeId id, struct bytes key, struct spill_item **item)
{
    struct spill_frame *frame;
    bool same;

    *item = NULL;
    if (tree->count == 0) {
        return 0;
    }
    if (load_leaf(op, tree, tree->leaves[find_leaf(tree, id, key)], &frame) != 0) {
        return OP_FAILED;
    }
    uint32_t at = search(frame, id, key, &same);
    if (same) {
        *item = item_at(frame, at);
    }
    return 0;
}

/* The upper half goes to a new leaf behind it.  At the right end nothing needs to move: rising keys leave full leaves. */
static int split(struct op *op, struct spill_tree *tree, size_t at, uint32_t insert_at, const struct spill_item *item)
{
    struct spill_leaf *leaf = tree->leaves[at], *upper;
    struct spill_frame *frame = &tree->frames[leaf->frame];
    uint32_t middle;

    if (insert_at == leaf->used) {
        return make_leaf(op, tree, item, at + 1, &upper);
    }
    uint32_t next = LEAF_HEAD + item_at(frame, LEAF_HEAD)->size;
    do {
        middle = next;
        next += item_at(frame, next)->size;
    } while (next < leaf->used && middle < tree->file->page_size / 2);
    frame->stamp = ++tree->clock;   /* not the one that the new leaf drives out: there are at least two */
    if (make_leaf(op, tree, item_at(frame, middle), at + 1, &upper) != 0) {
        return OP_FAILED;
    }
    struct spill_frame *to = &tree->frames[upper->frame];
    memcpy(to->data + LEAF_HEAD, frame->data + middle, leaf->used - middle);
    upper->used = LEAF_HEAD + leaf->used - middle;
    leaf->used = middle;
    frame->dirty = true;
    count_leaf(frame);
    count_leaf(to);
    return 0;
}

int spill__put(struct op *op, struct spill_tree *tree, const struct spill_item *item)
{
    struct spill_frame *frame;
    struct spill_leaf *leaf;
    uint32_t at;
    bool same;

    if (tree->count == 0 && make_leaf(op, tree, item, 0, &leaf) != 0) {
        return OP_FAILED;
    }
    for (;;) {
        size_t index = find_leaf(tree, item->tree, spill__key(item));
        leaf = tree->leaves[index];
        if (load_leaf(op, tree, leaf, &frame) != 0) {
            return OP_FAILED;
        }
        at = search(frame, item->tree, spill__key(item), &same);
        if (leaf->used + item->size <= tree->file->page_size) {
            break;
        }
        if (split(op, tree, index, at, item) != 0) {
            return OP_FAILED;
        }
    }
    memmove(frame->data + at + item->size, frame->data + at, leaf->used - at);
    memcpy(frame->data + at, item, item->size);
    leaf->used += item->size;
    leaf->items++;
    frame->dirty = true;
    struct spill_marks more = { .oldest = UINT64_MAX };
    add_marks(&more, item_at(frame, at));
    leaf->marks.entries += more.entries;
    leaf->marks.pending += more.pending;
    leaf->marks.oldest = more.oldest < leaf->marks.oldest ? more.oldest : leaf->marks.oldest;
    leaf->marks.newest = more.newest > leaf->marks.newest ? more.newest : leaf->marks.newest;
    tree->oldest = more.oldest < tree->oldest ? more.oldest : tree->oldest;
    tree->pending += more.pending;
    return 0;
}

void spill__remove(struct spill_tree *tree, struct spill_item *item)
{
    size_t index = find_leaf(tree, item->tree, spill__key(item));
    struct spill_leaf *leaf = tree->leaves[index];
    struct spill_frame *frame = &tree->frames[leaf->frame];
    struct spill_marks less = { .oldest = UINT64_MAX };
    uint32_t size = item->size, at = (uint32_t)((uint8_t *)item - frame->data);

    add_marks(&less, item);
    memmove(frame->data + at, frame->data + at + size, leaf->used - at - size);
    leaf->used -= size;
    leaf->items--;
    leaf->marks.entries -= less.entries;
    leaf->marks.pending -= less.pending;
    tree->pending -= less.pending;
    frame->dirty = true;
    if (leaf->items == 0) {
        free_leaf(tree, index);
    }
}

/* ---- sweeping ------------------------------------------------------------------------------------- */

/* The items of the leaf after `settle`: shortened, or gone. */
static void settle_leaf(struct spill_tree *tree, struct spill_frame *frame, void (*settle)(void *arg, struct spill_item *item),
                        void *arg)
{
    struct spill_leaf *leaf = frame->leaf;
    uint32_t to = LEAF_HEAD;
    uint64_t pending = leaf->marks.pending;

    for (uint32_t at = LEAF_HEAD, size; at < leaf->used; at += size) {
        struct spill_item *item = item_at(frame, at);
        size = item->size;
        settle(arg, item);
        struct spill_entry *end = spill__first(item);
        for (uint32_t i = 0; i < item->entries; i++) {
            end = spill__next(end);
        }
        uint32_t left = item->entries > 0 ? (uint32_t)((uint8_t *)end - (uint8_t *)item) : 0;
        if (left > 0) {
            item->size = left;
            memmove(frame->data + to, item, left);
            to += left;
        }
    }
    leaf->used = to;
    frame->dirty = true;
    count_leaf(frame);
    tree->pending -= pending - leaf->marks.pending;
}

/* Two neighbours that fit into three quarters of one become one. */
static int merge_with_next(struct op *op, struct spill_tree *tree, size_t at)
{
    struct spill_frame *left, *right;

    if (at + 1 >= tree->count ||
        tree->leaves[at]->used + tree->leaves[at + 1]->used - LEAF_HEAD > tree->file->page_size / 4 * 3) {
        return 0;
    }
    struct spill_leaf *from = tree->leaves[at + 1], *to = tree->leaves[at];
    if (load_leaf(op, tree, from, &right) != 0 || load_leaf(op, tree, to, &left) != 0) {
        return OP_FAILED;
    }
    memcpy(left->data + to->used, right->data + LEAF_HEAD, from->used - LEAF_HEAD);
    to->used += from->used - LEAF_HEAD;
    left->dirty = true;
    count_leaf(left);
    free_leaf(tree, at + 1);
    return 0;
}

int spill__sweep(struct op *op, struct spill_tree *tree, size_t *at, int most, bool (*due)(void *arg, const struct spill_leaf *leaf),
                 void (*settle)(void *arg, struct spill_item *item), void *arg, bool *done)
{
    struct spill_frame *frame;

    *done = false;

    for (; *at < tree->count && most > 0; ++*at) {
        struct spill_leaf *leaf = tree->leaves[*at];
        if (!due(arg, leaf)) {
            continue;
        }
        most--;
        if (load_leaf(op, tree, leaf, &frame) != 0) {
            return OP_FAILED;
        }
        settle_leaf(tree, frame, settle, arg);
        if (leaf->items == 0) {
            free_leaf(tree, *at);
            --*at;      /* wraps, and is raised again */
        } else if (merge_with_next(op, tree, *at) != 0) {
            return OP_FAILED;
        }
    }
    if (*at < tree->count) {
        return 0;
    }
    *at = 0;
    *done = true;
    tree->oldest = UINT64_MAX;
    for (size_t i = 0; i < tree->count; i++) {
        CommitTs oldest = tree->leaves[i]->marks.oldest;
        tree->oldest = oldest < tree->oldest ? oldest : tree->oldest;
    }
    return 0;
}
