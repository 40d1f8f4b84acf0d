/*
 * salvage.c -- what can be read of a damaged file, put in a new one.
 *
 * Trees may be broken anywhere, so nothing here walks them.  Every page is looked at by itself: a leaf whose checksum is right says
 * which tree it belongs to and which part of its key space it covers, and that is enough.
 *
 *      pass 1      classify all pages; leaves are noted as (tree, LSN, page)
 *      pass 2      if there are damaged pages: inner pages tell to which tree each of them belonged
 *      load        tree by tree, leaves in the order of their LSNs:  what the new tree has in the leaf's range goes,
 *                  the leaf's records come
 *
 * When the log was lost, or could not be read to its end, pages are of different ages, and a range of keys may be found on two leaves:
 * one that a split has emptied, but that was not written since, and its newer half.  Loading by LSN leaves the newest word on each
 * key.
 *
 * G1  A record on a leaf whose checksum is right is in the new store, unless a newer leaf covers its key, its value is in a damaged
 *     chain, or its tree has been dropped.
 * G2  The free map is believed only when the log was read to its end; otherwise every leaf counts.
 * G3  Trees keep their ids, so that the catalog, which is made of trees too, goes on being right.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "btree/btree_int.h"
#include "btree/salvage.h"
#include "src/base/mem.h"

enum { GROW_BY = 1024, ERASE_BATCH = 4096, FIRST_TREES = 64 };

struct found_leaf {
    TreeId tree;
    Lsn lsn;
    PageNo page_no;
};

struct damaged_page {
    PageNo page_no;
    TreeId tree;                /* 0: nobody knows */
    int level;
    const char *rule;
};

struct list {
    void *items;
    size_t count, capacity;
};

struct salvage {
    struct op *op;
    const struct store_salvage *from;
    struct store_salvaged *result;
    struct os_file *file;
    PageNo pages;
    uint32_t page_size, usable;
    uint8_t *page, *other;      /* page_size bytes each */
    uint8_t *used;              /* a bit per page: in use, as far as the map is known */
    struct list leaves, damaged, inner, trees, buried;
    bool directory_whole;
};

static void say(struct salvage *salvage, TreeId tree, const char *format, ...) PRINTF_LIKE(3, 4);

static void say(struct salvage *salvage, TreeId tree, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    salvage->from->report(salvage->from->arg, tree, line);
}

static unsigned long long n(uint64_t number)
{
    return (unsigned long long)number;
}

static void *add(struct op *op, struct list *list, size_t size)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity + list->capacity / 2 + GROW_BY;
        void *larger = mem_realloc(list->items, capacity * size);
        if (larger == NULL) {
            op_out_of_memory(op);
            return NULL;
        }
        list->items = larger;
        list->capacity = capacity;
    }
    return (uint8_t *)list->items + size * list->count++;
}

/* ---- pages ---------------------------------------------------------------------------------------- */

static int read_page(struct salvage *salvage, PageNo page_no, uint8_t *page, const char **rule)
{
    size_t got;
    *rule = NULL;
    if (os_read(salvage->op, salvage->file, page_no * salvage->page_size, page, salvage->page_size, &got) != OP_OK) {
        if (strcmp(salvage->op->error.sqlstate, "58030") != 0)
            return OP_FAILED;
        op_clear_error(salvage->op);
        *rule = "it cannot be read from the disk";
        return OP_OK;
    }
    if (got < salvage->page_size)
        *rule = "the file ends within it";
    else
        *rule = page_verify(page, salvage->page_size, page_no);
    return OP_OK;
}

static bool is_used(const struct salvage *salvage, PageNo page_no)
{
    return salvage->used[page_no / 8] >> (page_no % 8) & 1;
}

/* Bits of a page of the map that is sound. Pages of which it is not stay in use. */
static void take_map(struct salvage *salvage, PageNo map_page)
{
    uint64_t span = UINT64_C(8) * (salvage->usable - PAGE_HEAD_BYTES);
    for (uint64_t bit = 0; bit < span && map_page + bit < salvage->pages; bit++)
        if (!(salvage->page[PAGE_HEAD_BYTES + bit / 8] >> (bit % 8) & 1))
            salvage->used[(map_page + bit) / 8] &= (uint8_t)~(1u << ((map_page + bit) % 8));
}

static int note_damage(struct salvage *salvage, PageNo page_no, const char *rule)
{
    struct damaged_page *damaged = add(salvage->op, &salvage->damaged, sizeof *damaged);
    if (damaged == NULL)
        return OP_FAILED;
    *damaged = (struct damaged_page){page_no, 0, -1, rule};
    return OP_OK;
}

static struct node node_in(const struct salvage *salvage, uint8_t *page)
{
    return (struct node){page, salvage->usable};
}

static int note_node(struct salvage *salvage, PageNo page_no)
{
    struct node node = node_in(salvage, salvage->page);
    const struct node_head *head = node_head(node);
    const char *rule = node_check_head(node);
    if (rule != NULL)
        return note_damage(salvage, page_no, rule);
    if (!node_is_leaf(node)) {
        PageNo *inner = add(salvage->op, &salvage->inner, sizeof *inner);
        if (inner != NULL)
            *inner = page_no;
        return inner != NULL ? OP_OK : OP_FAILED;
    }
    struct found_leaf *leaf = add(salvage->op, &salvage->leaves, sizeof *leaf);
    if (leaf == NULL)
        return OP_FAILED;
    *leaf = (struct found_leaf){head->page.tree_id, head->page.lsn, page_no};
    return OP_OK;
}

static int classify(struct salvage *salvage, PageNo page_no)
{
    const struct page_head *head = (const struct page_head *)(const void *)salvage->page;
    uint64_t span = UINT64_C(8) * (salvage->usable - PAGE_HEAD_BYTES);
    const char *rule;
    if (read_page(salvage, page_no, salvage->page, &rule) != OP_OK)
        return OP_FAILED;
    if (rule == NULL && head->type == PAGE_FREE_MAP && (page_no - SPACE_FIRST_MAP) % span == 0) {
        if (salvage->from->trust_map)
            take_map(salvage, page_no);
        return OP_OK;
    }
    if (!is_used(salvage, page_no))
        return OP_OK;
    if (rule == NULL && salvage->from->trust_map && head->type == PAGE_UNUSED && page_no >= FIRST_FREE_PAGE)
        rule = "it is in use, but was never written";
    if (rule != NULL)
        return note_damage(salvage, page_no, rule);
    return head->type == PAGE_LEAF || head->type == PAGE_INNER ? note_node(salvage, page_no) : OP_OK;
}

static int classify_all(struct salvage *salvage)
{
    for (PageNo page_no = SPACE_FIRST_MAP; page_no < salvage->pages; page_no++)
        if (op_check_cancel(salvage->op) != OP_OK || classify(salvage, page_no) != OP_OK)
            return OP_FAILED;
    return OP_OK;
}

/* ---- whose pages are damaged ---------------------------------------------------------------------- */

static struct damaged_page *find_damaged(const struct salvage *salvage, PageNo page_no)
{
    struct damaged_page *pages = salvage->damaged.items;
    size_t from = 0, to = salvage->damaged.count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (pages[middle].page_no < page_no)
            from = middle + 1;
        else
            to = middle;
    }
    return from < salvage->damaged.count && pages[from].page_no == page_no ? &pages[from] : NULL;
}

static int ask_parent(struct salvage *salvage, PageNo inner)
{
    struct node node = node_in(salvage, salvage->page);
    const char *rule;
    struct cell cell;
    if (read_page(salvage, inner, salvage->page, &rule) != OP_OK)
        return OP_FAILED;
    for (unsigned i = 0; rule == NULL && i < node_head(node)->slots; i++) {
        struct damaged_page *damaged = node_cell(node, i, &cell) ? find_damaged(salvage, cell.child) : NULL;
        if (damaged != NULL) {
            damaged->tree = node_head(node)->page.tree_id;
            damaged->level = node_head(node)->page.level - 1;
        }
    }
    return OP_OK;
}

static int name_damage(struct salvage *salvage)
{
    const PageNo *inner = salvage->inner.items;
    static const struct damaged_page known[] = {{DIRECTORY_ROOT, DIRECTORY_TREE, -1, NULL}, {GRAVEYARD_ROOT, GRAVEYARD_TREE, -1, NULL}};
    for (size_t i = 0; salvage->damaged.count > 0 && i < salvage->inner.count; i++)
        if (ask_parent(salvage, inner[i]) != OP_OK)
            return OP_FAILED;
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        struct damaged_page *damaged = find_damaged(salvage, known[i].page_no);
        if (damaged != NULL)
            damaged->tree = known[i].tree;
    }
    return OP_OK;
}

/* ---- the directory -------------------------------------------------------------------------------- */

struct known_tree {
    TreeId id;
    PageNo root;
};

/* Entries of the directory and of the graveyard; an older leaf may name trees that are gone. */
static int read_names(struct salvage *salvage, const struct found_leaf *leaf)
{
    uint8_t buffer[PAGE_SIZE_MAX / 4];
    struct node node = node_in(salvage, salvage->page);
    const char *rule;
    struct bytes key;
    struct cell cell;
    if (read_page(salvage, leaf->page_no, salvage->page, &rule) != OP_OK)
        return OP_FAILED;
    for (unsigned i = 0; rule == NULL && i < node_head(node)->slots; i++) {
        if (!node_key(node, i, buffer, &key) || !node_cell(node, i, &cell) || cell.flags & BTREE_GHOST)
            continue;
        if (leaf->tree == DIRECTORY_TREE && key.len == 8 && cell.value.len == 8) {
            struct known_tree *tree = add(salvage->op, &salvage->trees, sizeof *tree);
            if (tree == NULL)
                return OP_FAILED;
            *tree = (struct known_tree){__builtin_bswap64(get_u64(key.data)), get_u64(cell.value.data)};
            struct damaged_page *damaged = find_damaged(salvage, tree->root);
            if (damaged != NULL)
                damaged->tree = tree->id;
        } else if (leaf->tree == GRAVEYARD_TREE && key.len == GRAVE_KEY_BYTES && key.data[8] == GRAVE_TREE) {
            TreeId *buried = add(salvage->op, &salvage->buried, sizeof *buried);
            if (buried == NULL)
                return OP_FAILED;
            *buried = __builtin_bswap64(get_u64(key.data + 9));
        }
    }
    return OP_OK;
}

static int read_directory(struct salvage *salvage)
{
    const struct found_leaf *leaves = salvage->leaves.items;
    salvage->directory_whole = salvage->from->trust_map;
    for (size_t i = 0; i < salvage->leaves.count; i++)
        if (leaves[i].tree <= GRAVEYARD_TREE && read_names(salvage, &leaves[i]) != OP_OK)
            return OP_FAILED;
    const struct damaged_page *damaged = salvage->damaged.items;
    for (size_t i = 0; i < salvage->damaged.count; i++)
        if (damaged[i].tree <= DIRECTORY_TREE)      /* its own, or nobody knows whose */
            salvage->directory_whole = false;
    return OP_OK;
}

static bool has_tree(const struct list *list, size_t size, TreeId id)
{
    for (size_t i = 0; i < list->count; i++)
        if (*(const TreeId *)(const void *)((const uint8_t *)list->items + i * size) == id)
            return true;
    return false;
}

static bool is_wanted(const struct salvage *salvage, TreeId id)
{
    if (id < FIRST_USER_TREE || id >= UINT64_C(1) << 62 || has_tree(&salvage->buried, sizeof(TreeId), id))
        return false;
    return !salvage->directory_whole || has_tree(&salvage->trees, sizeof(struct known_tree), id);
}

/* ---- chains --------------------------------------------------------------------------------------- */

static int read_chain(struct salvage *salvage, TreeId tree, const struct reference *reference, uint8_t *to, const char **rule,
                      PageNo *where)
{
    const uint8_t *page = salvage->other;
    uint64_t done = 0;
    PageNo page_no = reference->first;
    while (page_no != 0 && done < reference->size) {
        *where = page_no;
        *rule = "it lies beyond the end of the file";
        if (page_no >= salvage->pages)
            return OP_OK;
        if (read_page(salvage, page_no, salvage->other, rule) != OP_OK)
            return OP_FAILED;
        const struct page_head *head = (const struct page_head *)(const void *)page;
        uint32_t len = get_u32(page + 40);
        if (*rule == NULL && (head->type != PAGE_OVERFLOW || head->tree_id != tree || len == 0 || len > salvage->usable - 48 ||
                              len > reference->size - done))
            *rule = "it is not the part of the value that belongs there";
        if (*rule != NULL)
            return OP_OK;
        memcpy(to + done, page + 48, len);
        done += len;
        page_no = get_u64(page + 32);
    }
    *rule = done == reference->size && page_no == 0 ? NULL : "the value ends too early";
    return OP_OK;
}

/* The whole value of a record; NULL data when it cannot be read.  *heap: to be freed. */
static int whole_value(struct salvage *salvage, TreeId tree, PageNo leaf, const struct cell *cell, struct bytes *value, uint8_t **heap)
{
    struct reference reference;
    const char *rule = "its reference is damaged";
    PageNo where = leaf;
    *value = cell->value;
    *heap = NULL;
    if (!(cell->flags & BTREE_OVERFLOW))
        return OP_OK;
    if (reference_get(cell->value, &reference) && reference.size <= salvage->pages * salvage->usable) {
        *heap = op_heap_alloc(salvage->op, (size_t)reference.size + 1);
        if (*heap == NULL || read_chain(salvage, tree, &reference, *heap, &rule, &where) != OP_OK)
            return OP_FAILED;
    }
    *value = rule == NULL ? (struct bytes){*heap, (size_t)reference.size} : (struct bytes){NULL, 0};
    if (rule == NULL)
        return OP_OK;
    salvage->result->lost++;
    say(salvage, tree, "page %llu: a row is lost, because page %llu of its value is damaged: %s", n(leaf), n(where), rule);
    return OP_OK;
}

/* ---- loading -------------------------------------------------------------------------------------- */

struct gathered {
    struct arena arena;
    unsigned count;
    struct gathered_key {
        struct gathered_key *next;
        struct bytes key;
    } *first;
};

static int gather_key(void *arg, struct op *op, const struct btree_record *record, bool *stop)
{
    struct gathered *gathered = arg;
    struct gathered_key *key = op_arena_alloc(op, &gathered->arena, sizeof *key + record->key.len);
    if (key == NULL)
        return OP_FAILED;
    memcpy(key + 1, record->key.data, record->key.len);
    key->key = (struct bytes){(const uint8_t *)(key + 1), record->key.len};
    key->next = gathered->first;
    gathered->first = key;
    *stop = ++gathered->count >= ERASE_BATCH;
    return OP_OK;
}

static int erase_some(struct op *op, struct btree *tree, const struct btree_range *range, bool *any)
{
    struct gathered gathered = {.first = NULL};
    struct btree_visitor visitor = {.arg = &gathered, .record = gather_key};
    struct btree_cursor cursor;
    bool more = true;
    int result = OP_OK;
    arena_init(&gathered.arena);
    btree_cursor_open(&cursor, tree, range, false);
    while (result == OP_OK && more && gathered.count < ERASE_BATCH)
        result = btree_cursor_next_leaf(op, &cursor, &visitor, &more);
    btree_cursor_close(&cursor);
    for (const struct gathered_key *key = gathered.first; result == OP_OK && key != NULL; key = key->next)
        result = row_erase(op, tree, key->key);
    *any = gathered.count > 0;
    arena_free(&gathered.arena);
    return result;
}

static int erase_range(struct op *op, struct btree *tree, const struct btree_range *range)
{
    bool any = true;
    int result = OP_OK;
    while (result == OP_OK && any)
        result = erase_some(op, tree, range, &any);
    return result;
}

/* Older words on the keys that the node covers. */
static int clear_range(struct op *op, struct btree *tree, struct node node)
{
    struct btree_range range = {node_low(node), node_has_high(node) ? node_high(node) : (struct bytes){NULL, 0}, true, false};
    return erase_range(op, tree, &range);
}

static int load_record(struct salvage *salvage, struct btree *tree, PageNo leaf, struct bytes key, const struct cell *cell)
{
    struct bytes value;
    uint8_t *heap;
    bool added = false;
    int result = whole_value(salvage, tree->id, leaf, cell, &value, &heap);
    if (result == OP_OK && value.data != NULL && key.len <= btree_key_max(tree->store))
        result = btree_load(salvage->op, tree, 1, key, value, &added);     /* the only transaction that there is */
    salvage->result->records += added;
    mem_free(heap);
    return result;
}

static int load_leaf(struct salvage *salvage, struct btree *tree, const struct found_leaf *leaf)
{
    uint8_t buffer[PAGE_SIZE_MAX / 4];
    struct node node = node_in(salvage, salvage->page);
    const char *rule;
    struct bytes key;
    struct cell cell;
    if (op_check_cancel(salvage->op) != OP_OK || read_page(salvage, leaf->page_no, salvage->page, &rule) != OP_OK)
        return OP_FAILED;
    if (rule != NULL)
        return note_damage(salvage, leaf->page_no, rule);
    rule = node_check(node);
    if (rule == NULL && clear_range(salvage->op, tree, node) != OP_OK)
        return OP_FAILED;
    unsigned unreadable = 0;
    for (unsigned i = 0; i < node_head(node)->slots; i++) {
        if (!node_key(node, i, buffer, &key) || !node_cell(node, i, &cell))
            unreadable++;
        else if (!(cell.flags & BTREE_GHOST) && load_record(salvage, tree, leaf->page_no, key, &cell) != OP_OK)
            return OP_FAILED;
    }
    if (rule != NULL) {
        salvage->result->lost += unreadable;
        say(salvage, tree->id, "page %llu: broken rule: %s; %u of its %u records cannot be read", n(leaf->page_no), rule, unreadable,
            node_head(node)->slots);
        return store_salvaged_damage(salvage->op, salvage->result, tree->id);
    }
    return OP_OK;
}

static int compare_leaves(const void *a, const void *b)
{
    const struct found_leaf *x = a, *y = b;
    if (x->tree != y->tree)
        return x->tree < y->tree ? -1 : 1;
    if (x->lsn != y->lsn)
        return x->lsn < y->lsn ? -1 : 1;
    return (x->page_no > y->page_no) - (x->page_no < y->page_no);
}

static int compare_trees(const void *a, const void *b)
{
    const struct known_tree *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static int make_tree(struct salvage *salvage, TreeId id, struct btree **tree)
{
    struct store *to = salvage->from->to;
    TreeId made;
    if (atomic_load(&to->next_tree) > id)
        return btree_open(salvage->op, to, id, tree);
    atomic_store(&to->next_tree, id);
    if (btree_create(salvage->op, to, NULL, &made) != OP_OK)
        return OP_FAILED;
    assert(made == id);
    return btree_open(salvage->op, to, id, tree);
}

/* Where the directory is damaged, trees without a leaf may be missing in it: those that the layers above make first, and look for by
 * their numbers, are made empty. */
static int fill_gaps(struct salvage *salvage)
{
    const struct found_leaf *leaves = salvage->leaves.items;
    TreeId highest = salvage->leaves.count > 0 ? leaves[salvage->leaves.count - 1].tree : 0;
    for (TreeId id = FIRST_USER_TREE; id <= highest && id < FIRST_USER_TREE + FIRST_TREES; id++) {
        struct known_tree *tree;
        if (has_tree(&salvage->trees, sizeof *tree, id))
            continue;
        tree = add(salvage->op, &salvage->trees, sizeof *tree);
        if (tree == NULL)
            return OP_FAILED;
        *tree = (struct known_tree){id, 0};
    }
    qsort(salvage->trees.items, salvage->trees.count, sizeof(struct known_tree), compare_trees);
    return OP_OK;
}

/* Trees by ascending id: those of the directory, of which no leaf may be left, and those of leaves. */
static int load_all(struct salvage *salvage)
{
    struct found_leaf *leaves = salvage->leaves.items;
    struct known_tree *trees = salvage->trees.items;
    size_t next_tree = 0, at = 0;
    struct btree *tree;
    if (salvage->leaves.count > 0)
        qsort(leaves, salvage->leaves.count, sizeof *leaves, compare_leaves);
    if (salvage->trees.count > 0)
        qsort(trees, salvage->trees.count, sizeof *trees, compare_trees);
    if (!salvage->directory_whole && fill_gaps(salvage) != OP_OK)
        return OP_FAILED;
    trees = salvage->trees.items;
    while (at < salvage->leaves.count || next_tree < salvage->trees.count) {
        TreeId id = at < salvage->leaves.count ? leaves[at].tree : UINT64_MAX;
        if (next_tree < salvage->trees.count && trees[next_tree].id < id)
            id = trees[next_tree].id;
        bool wanted = is_wanted(salvage, id);
        if (wanted && make_tree(salvage, id, &tree) != OP_OK)
            return OP_FAILED;
        while (next_tree < salvage->trees.count && trees[next_tree].id == id)
            next_tree++;
        for (; at < salvage->leaves.count && leaves[at].tree == id; at++)
            if (wanted && load_leaf(salvage, tree, &leaves[at]) != OP_OK)
                return OP_FAILED;
    }
    return OP_OK;
}

/* ---- what was lost -------------------------------------------------------------------------------- */

int store_salvaged_damage(struct op *op, struct store_salvaged *salvaged, TreeId tree)
{
    for (size_t i = 0; i < salvaged->tree_count; i++)
        if (salvaged->trees[i] == tree)
            return OP_OK;
    TreeId *larger = mem_realloc(salvaged->trees, (salvaged->tree_count + 1) * sizeof *larger);
    if (larger == NULL)
        return op_out_of_memory(op);
    salvaged->trees = larger;
    salvaged->trees[salvaged->tree_count++] = tree;
    return OP_OK;
}

static int report_damage(struct salvage *salvage)
{
    const struct damaged_page *damaged = salvage->damaged.items;
    for (size_t i = 0; i < salvage->damaged.count; i++) {
        const struct damaged_page *page = &damaged[i];
        const char *loss = page->level > 0 ? "nothing is lost by that" : page->level == 0 ? "what was on it is lost"
                         : page->tree != 0 ? "what was on it may be lost" : "nobody can tell what was on it";
        say(salvage, page->tree, "page %llu is damaged: %s; %s", n(page->page_no), page->rule, loss);
        salvage->result->lost += page->level <= 0;
        if (store_salvaged_damage(salvage->op, salvage->result, page->tree) != OP_OK)
            return OP_FAILED;
    }
    return OP_OK;
}

/* ---- the whole ------------------------------------------------------------------------------------ */

/* How many of the first pages verify if pages are this large. */
static int count_sound(struct op *op, struct os_file *file, uint32_t page_size, uint64_t size, uint8_t *page, unsigned *sound)
{
    *sound = 0;
    for (PageNo page_no = 1; page_no < 200 && (page_no + 1) * page_size <= size; page_no++) {
        size_t got;
        if (os_read(op, file, page_no * page_size, page, page_size, &got) != OP_OK)
            return OP_FAILED;
        if (got == page_size && page[offsetof(struct page_head, type)] != PAGE_UNUSED &&
            page_verify(page, page_size, page_no) == NULL)
            ++*sound;
    }
    return OP_OK;
}

int store_salvage_page_size(struct op *op, struct vfs *vfs, const char *path, uint32_t *page_size)
{
    struct os_file *file;
    uint64_t size;
    unsigned best = 0, sound;
    *page_size = 0;
    if (os_open(op, vfs, path, OS_OPEN_READ_ONLY, &file) != OP_OK)
        return OP_FAILED;
    uint8_t *page = op_heap_alloc(op, PAGE_SIZE_MAX);
    int result = page != NULL ? os_size(op, file, &size) : OP_FAILED;
    for (uint32_t candidate = PAGE_SIZE_MIN; result == OP_OK && candidate <= PAGE_SIZE_MAX; candidate *= 2) {
        result = count_sound(op, file, candidate, size, page, &sound);
        if (sound > best) {
            best = sound;
            *page_size = candidate;
        }
    }
    mem_free(page);
    os_close(file);
    return result;
}

static int open_input(struct salvage *salvage)
{
    uint64_t size;
    if (os_open(salvage->op, salvage->from->vfs, salvage->from->path, OS_OPEN_READ_ONLY, &salvage->file) != OP_OK ||
        os_size(salvage->op, salvage->file, &size) != OP_OK)
        return OP_FAILED;
    salvage->page_size = salvage->from->page_size;
    salvage->usable = salvage->page_size - salvage->from->reserved_bytes;
    salvage->pages = (size + salvage->page_size - 1) / salvage->page_size;
    salvage->page = op_heap_alloc(salvage->op, salvage->page_size);
    salvage->other = op_heap_alloc(salvage->op, salvage->page_size);
    salvage->used = op_heap_alloc(salvage->op, (size_t)(salvage->pages / 8 + 1));
    if (salvage->page == NULL || salvage->other == NULL || salvage->used == NULL)
        return OP_FAILED;
    memset(salvage->used, 0xff, (size_t)(salvage->pages / 8 + 1));
    return OP_OK;
}

int store_salvage(struct op *op, const struct store_salvage *from, struct store_salvaged *result)
{
    struct salvage salvage = {.op = op, .from = from, .result = result};
    *result = (struct store_salvaged){0};
    int rc = open_input(&salvage);
    if (rc == OP_OK)
        rc = classify_all(&salvage);
    if (rc == OP_OK)
        rc = name_damage(&salvage);
    if (rc == OP_OK)
        rc = read_directory(&salvage);
    if (rc == OP_OK)
        rc = report_damage(&salvage);
    if (rc == OP_OK)
        rc = load_all(&salvage);
    result->pages = salvage.pages;
    result->damaged = salvage.damaged.count;
    mem_free(salvage.leaves.items);
    mem_free(salvage.damaged.items);
    mem_free(salvage.inner.items);
    mem_free(salvage.trees.items);
    mem_free(salvage.buried.items);
    mem_free(salvage.page);
    mem_free(salvage.other);
    mem_free(salvage.used);
    os_close(salvage.file);
    return rc;
}

void store_salvaged_free(struct store_salvaged *result)
{
    mem_free(result->trees);
    result->trees = NULL;
    result->tree_count = 0;
}

/* ---- the trees of a store ------------------------------------------------------------------------- */

static int gather_tree(void *arg, struct op *op, const struct btree_record *record, bool *stop)
{
    struct list *list = arg;
    if (record->key.len != 8 || record->flags & BTREE_GHOST)
        return OP_OK;
    TreeId *id = add(op, list, sizeof *id);
    if (id == NULL)
        return OP_FAILED;
    *id = __builtin_bswap64(get_u64(record->key.data));
    return OP_OK;
}

int store_trees(struct op *op, struct store *store, TreeId **ids, size_t *count)
{
    struct list list = {0};
    struct btree_range all = {{NULL, 0}, {NULL, 0}, true, true};
    struct btree_visitor visitor = {.arg = &list, .record = gather_tree};
    struct btree_cursor cursor;
    bool more = true;
    int result = OP_OK;
    btree_cursor_open(&cursor, &store->directory, &all, false);
    while (result == OP_OK && more)
        result = btree_cursor_next_leaf(op, &cursor, &visitor, &more);
    btree_cursor_close(&cursor);
    *ids = list.items;
    *count = list.count;
    return result;
}

int btree_erase(struct op *op, struct btree *tree, struct bytes key)
{
    return row_erase(op, tree, key);
}

int btree_erase_all(struct op *op, struct btree *tree)
{
    struct btree_range all = {{NULL, 0}, {NULL, 0}, true, true};
    return erase_range(op, tree, &all);
}
