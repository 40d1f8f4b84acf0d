/*
 * tree.c -- making trees, finding them by id, and dropping them.
 *
 * The directory is itself a tree, with a fixed root page: tree id -> page number of the tree's root.  A tree's id is
 * never given out twice, and its root never moves, so a handle (struct btree) once made is right until the tree is dropped.
 *
 * Making a tree is one log record: its root page, its bit in the free map, its entry in the directory.  Dropping one takes many,
 * because a tree may be large: from the right end, some leaves at a time, each record leaving a whole, smaller tree.  After
 * a crash in the middle the drop is simply done again on what is left; the last record takes the root and the entry.
 *
 * D1  A dropped tree is used by nobody, so its pages are read without regard to other threads.
 * D2  A leaf is freed only when its overflow chains are.
 */
#include <string.h>

#include "btree/btree_int.h"
#include "src/base/endian.h"
#include "src/base/hash.h"
#include "src/base/mem.h"

enum { DIRECTORY_KEY_BYTES = 8, DIRECTORY_VALUE_BYTES = 8, DROP_BATCH = 32 };

struct bytes directory_key(uint8_t buffer[8], TreeId id)
{
    put_u64(buffer, __builtin_bswap64(id));
    return (struct bytes){buffer, DIRECTORY_KEY_BYTES};
}

/* ---- handles -------------------------------------------------------------------------------------- */

void tree_init(struct btree *tree, struct store *store, TreeId id, PageNo root)
{
    tree->id = id;
    tree->root = root;
    tree->store = store;
    tree->next_in_bucket = NULL;
    atomic_init(&tree->right_leaf, 0);
}

TreeId btree_id(const struct btree *tree)
{
    return tree->id;
}

void registry_init(struct store *store)
{
    os_mutex_init(&store->registry_mutex, RANK_BTREE_REGISTRY);
    tree_init(&store->directory, store, DIRECTORY_TREE, DIRECTORY_ROOT);
    tree_init(&store->graveyard, store, GRAVEYARD_TREE, GRAVEYARD_ROOT);
}

void registry_close(struct store *store)
{
    for (int i = 0; i < REGISTRY_BUCKETS; i++) {
        while (store->registry[i] != NULL) {
            struct btree *tree = store->registry[i];
            store->registry[i] = tree->next_in_bucket;
            mem_free(tree);
        }
    }
    os_mutex_destroy(&store->registry_mutex);
}

static struct btree **bucket_of(struct store *store, TreeId id)
{
    return &store->registry[hash_u64(id) % REGISTRY_BUCKETS];
}

static struct btree *look_up(struct store *store, TreeId id)
{
    struct btree *tree = *bucket_of(store, id);
    while (tree != NULL && tree->id != id)
        tree = tree->next_in_bucket;
    return tree;
}

static int read_root(void *arg, struct op *op, const struct btree_record *record)
{
    PageNo *root = arg;
    *root = 0;
    if (record == NULL || record->flags & BTREE_GHOST)
        return OP_OK;
    if (record->value.len != DIRECTORY_VALUE_BYTES)
        return op_fail(op, "XX001", "an entry of the directory of trees is damaged");
    *root = get_u64(record->value.data);
    return OP_OK;
}

int directory_look_up(struct op *op, struct store *store, TreeId id, PageNo *root)
{
    uint8_t buffer[DIRECTORY_KEY_BYTES];
    if (id == DIRECTORY_TREE || id == GRAVEYARD_TREE) {
        *root = id == DIRECTORY_TREE ? DIRECTORY_ROOT : GRAVEYARD_ROOT;
        return OP_OK;
    }
    return btree_get(op, &store->directory, directory_key(buffer, id), read_root, root);
}

int btree_open(struct op *op, struct store *store, TreeId tree_id, struct btree **tree)
{
    PageNo root;
    *tree = tree_id == DIRECTORY_TREE ? &store->directory : tree_id == GRAVEYARD_TREE ? &store->graveyard : NULL;
    if (*tree != NULL)
        return OP_OK;
    os_mutex_lock(&store->registry_mutex);
    *tree = look_up(store, tree_id);
    int result = OP_OK;
    if (*tree == NULL) {
        result = directory_look_up(op, store, tree_id, &root);
        if (result == OP_OK && root == 0)
            result = op_fail(op, "XX000", "tree %llu does not exist", (unsigned long long)tree_id);
        if (result == OP_OK) {
            *tree = op_heap_alloc(op, sizeof **tree);
            result = *tree != NULL ? OP_OK : OP_FAILED;
        }
        if (result == OP_OK) {
            tree_init(*tree, store, tree_id, root);
            (*tree)->next_in_bucket = *bucket_of(store, tree_id);
            *bucket_of(store, tree_id) = *tree;
        }
    }
    os_mutex_unlock(&store->registry_mutex);
    return result;
}

/* A tree that was just made gets its handle, which was allocated before. */
static void enter(struct store *store, struct btree *tree)
{
    os_mutex_lock(&store->registry_mutex);
    bool known = look_up(store, tree->id) != NULL;
    if (!known) {
        tree->next_in_bucket = *bucket_of(store, tree->id);
        *bucket_of(store, tree->id) = tree;
    }
    os_mutex_unlock(&store->registry_mutex);
    if (known)
        mem_free(tree);     /* CHECK has met it in the directory */
}

static bool is_known(struct store *store, TreeId id)
{
    os_mutex_lock(&store->registry_mutex);
    bool known = look_up(store, id) != NULL;
    os_mutex_unlock(&store->registry_mutex);
    return known;
}

static void forget(struct store *store, TreeId id)
{
    os_mutex_lock(&store->registry_mutex);
    for (struct btree **at = bucket_of(store, id); *at != NULL; at = &(*at)->next_in_bucket) {
        if ((*at)->id == id) {
            struct btree *tree = *at;
            *at = tree->next_in_bucket;
            mem_free(tree);
            break;
        }
    }
    os_mutex_unlock(&store->registry_mutex);
}

/* ---- making --------------------------------------------------------------------------------------- */

/* With the directory's leaf latched and known to have room. */
static int create_on_leaf(struct op *op, struct alter *alter, struct page_ref *leaf_ref, struct wal_chain *chain,
                          struct bytes key, struct btree *tree)
{
    struct store *store = alter->store;
    struct page_ref *leaf = alter_adopt(alter, leaf_ref), *root;
    uint8_t value[DIRECTORY_VALUE_BYTES];
    if (alter_new(op, alter, &root) != OP_OK || alter_ready(op, alter) != OP_OK)
        return OP_FAILED;
    put_u64(value, root->page_no);
    tree_init(tree, store, tree->id, root->page_no);
    struct bytes stored = {value, sizeof value};
    node_format(node_of(store, root), PAGE_LEAF, 0, tree->id, (struct bytes){NULL, 0}, (struct bytes){NULL, 0});
    log_number(&alter->record, tree->id);
    log_image(&alter->record, node_of(store, root));
    log_record_action(&alter->record, leaf->page_no, key, stored, 0);
    row_set(node_of(store, leaf), key, stored, 0);
    alter_log_maps(alter);
    Lsn lsn = log_append(&alter->record, store->wal, chain, LOG_CREATE, chain != NULL ? WAL_UNDOABLE : 0);
    alter_finish(alter, lsn);
    return OP_OK;
}

static int try_create(struct op *op, struct store *store, struct wal_chain *chain, struct btree *tree, bool *full)
{
    struct alter alter;
    struct page_ref leaf;
    uint8_t buffer[DIRECTORY_KEY_BYTES];
    struct bytes key = directory_key(buffer, tree->id);
    unsigned slot;
    bool found;
    uint32_t bytes;
    *full = false;
    if (alter_begin(op, &alter, store, LOG_HEAD_BYTES, 1, false) != OP_OK)
        return OP_FAILED;
    int result = btree__find_leaf(op, &store->directory, key, false, LATCH_EXCLUSIVE, &leaf);
    if (result == OP_OK)
        result = btree__search(op, store, &leaf, key, &slot, &found);
    if (result == OP_OK) {
        *full = !row_has_room(node_of(store, &leaf), slot, found, key.len, DIRECTORY_VALUE_BYTES, &bytes);
        if (!*full)
            result = row_check_moving(op, store, &leaf, bytes);
    }
    if (result == OP_OK && !*full) {
        result = create_on_leaf(op, &alter, &leaf, chain, key, tree);
        if (result == OP_OK)
            return OP_OK;
    }
    buf_unfix(&leaf, store->buf);
    alter_abort(&alter);
    return result;
}

int btree_create(struct op *op, struct store *store, struct wal_chain *chain, TreeId *tree_id)
{
    TreeId id = atomic_fetch_add(&store->next_tree, 1);
    uint8_t buffer[DIRECTORY_KEY_BYTES];
    bool full = false;
    *tree_id = 0;
    struct btree *tree = op_heap_alloc(op, sizeof *tree);      /* also for undo, which may find no memory */
    if (tree == NULL)
        return OP_FAILED;
    tree->id = id;
    int result = OP_OK;
    do {
        result = try_create(op, store, chain, tree, &full);
        if (result == OP_OK && full)
            result = btree__make_room(op, &store->directory, directory_key(buffer, id), 0,
                                      NODE_SLOT_BYTES + NODE_LEAF_CELL_BYTES + DIRECTORY_KEY_BYTES + DIRECTORY_VALUE_BYTES, false);
    } while (result == OP_OK && full);
    if (result != OP_OK) {
        mem_free(tree);
        return OP_FAILED;
    }
    enter(store, tree);
    *tree_id = id;
    return OP_OK;
}

int tree_prepare_undo(struct op *op, struct store *store, const struct wal_record *record)
{
    struct btree_row_log row;
    struct log_reader reader = {record->payload.data, record->payload.data + record->payload.len, false};
    struct btree *tree;
    PageNo root;
    TreeId id = btree_decode_row_log(record, &row) ? row.tree : log_take_number(&reader);
    if (reader.failed)
        return op_fail(op, "XX001", "log record %llu cannot be read", (unsigned long long)record->lsn);
    if (is_known(store, id))
        return OP_OK;
    if (directory_look_up(op, store, id, &root) != OP_OK)
        return OP_FAILED;
    return root != 0 ? btree_open(op, store, id, &tree) : OP_OK;    /* a tree whose making is half undone may be gone already */
}

int tree_create_undo(struct op *op, struct store *store, struct wal_chain *chain, const struct wal_record *record)
{
    struct log_reader reader = {record->payload.data, record->payload.data + record->payload.len, false};
    struct log_record log;
    TreeId id = log_take_number(&reader);
    if (reader.failed)
        return op_fail(op, "XX001", "log record %llu of a tree cannot be read", (unsigned long long)record->lsn);
    if (btree_drop(op, store, id) != OP_OK || wal_reserve_undo(op, store->wal, LOG_HEAD_BYTES) != OP_OK)
        return OP_FAILED;
    log_begin(&log);
    log_number(&log, id);
    log_append_clr(&log, store->wal, chain, LOG_CREATE_UNDONE, record->prev);
    wal_unreserve(store->wal, LOG_HEAD_BYTES);
    return OP_OK;
}

/* ---- dropping ------------------------------------------------------------------------------------- */

/* The rightmost way from the root to a leaf. */
struct path {
    PageNo pages[BTREE_HEIGHT_MAX];
    unsigned slots[BTREE_HEIGHT_MAX];
    int depth;                  /* entries; the last one is the leaf */
};

static int rightmost_path(struct op *op, struct btree *tree, struct path *path)
{
    PageNo page_no = tree->root;
    path->depth = 0;
    for (;;) {
        struct page_ref ref;
        struct cell cell;
        if (path->depth == BTREE_HEIGHT_MAX)
            return btree__damaged(op, tree->store, page_no, "a tree has at most 40 levels");
        if (btree__fix(op, tree, page_no, LATCH_SHARED, &ref) != OP_OK)
            return OP_FAILED;
        struct node node = node_of(tree->store, &ref);
        path->pages[path->depth] = page_no;
        path->slots[path->depth++] = node_head(node)->slots;
        bool leaf = node_is_leaf(node), sound = leaf || node_cell(node, node_head(node)->slots - 1u, &cell);
        buf_unfix(&ref, tree->store->buf);
        if (!sound)
            return btree__damaged(op, tree->store, page_no, "each cell lies within the heap");
        if (leaf)
            return OP_OK;
        page_no = cell.child;
    }
}

/* D2: removes one record with a chain from the leaf; *any is false when there is none. */
static int free_one_chain(struct op *op, struct btree *tree, PageNo leaf, bool *any)
{
    struct page_ref ref;
    uint8_t buffer[PAGE_SIZE_MAX / 4];
    struct bytes key = {NULL, 0};
    struct cell cell;
    bool sound = true;
    *any = false;
    if (btree__fix(op, tree, leaf, LATCH_SHARED, &ref) != OP_OK)
        return OP_FAILED;
    struct node node = node_of(tree->store, &ref);
    for (unsigned i = 0; sound && !*any && i < node_head(node)->slots; i++) {
        sound = node_cell(node, i, &cell);
        if (sound && cell.flags & BTREE_OVERFLOW) {
            sound = node_key(node, i, buffer, &key);
            *any = true;
        }
    }
    buf_unfix(&ref, tree->store->buf);
    if (!sound)
        return btree__damaged(op, tree->store, leaf, "each cell lies within the heap");
    return *any ? row_erase(op, tree, key) : OP_OK;
}

static int free_chains(struct op *op, struct btree *tree, PageNo leaf)
{
    bool any = true;
    while (any)
        if (free_one_chain(op, tree, leaf, &any) != OP_OK)
            return OP_FAILED;
    return OP_OK;
}

/* Frees the last children of an inner node right above the leaves, all but the first at most. */
static int drop_leaves(struct op *op, struct btree *tree, PageNo page_no, unsigned slots)
{
    struct store *store = tree->store;
    struct alter alter;
    struct page_ref ref, *inner;
    struct cell cell;
    PageNo leaves[DROP_BATCH];
    unsigned keep = slots > DROP_BATCH ? slots - DROP_BATCH : 1, count = 0;
    if (btree__fix(op, tree, page_no, LATCH_SHARED, &ref) != OP_OK)
        return OP_FAILED;
    bool sound = true;
    for (unsigned i = keep; i < slots && sound; i++) {
        sound = node_cell(node_of(store, &ref), i, &cell);
        leaves[count++] = sound ? cell.child : 0;
    }
    buf_unfix(&ref, store->buf);
    if (!sound)
        return btree__damaged(op, store, page_no, "each cell lies within the heap");
    for (unsigned i = 0; i < count; i++)
        if (free_chains(op, tree, leaves[i]) != OP_OK)
            return OP_FAILED;
    if (alter_begin(op, &alter, store, LOG_HEAD_BYTES, 0, true) != OP_OK)
        return OP_FAILED;
    keep = slots;
    while (count > 0 && alter_can_free(&alter, leaves[count - 1])) {
        alter_free(&alter, leaves[--count]);
        keep--;
    }
    int result = btree__fix(op, tree, page_no, LATCH_EXCLUSIVE, &ref);
    if (result == OP_OK) {
        inner = alter_adopt(&alter, &ref);
        const char *rule = node_check_cells(node_of(store, inner));
        result = rule != NULL ? btree__damaged(op, store, page_no, rule) : alter_ready(op, &alter);
    }
    if (result != OP_OK) {
        alter_abort(&alter);
        return OP_FAILED;
    }
    log_action(&alter.record, ACTION_TRIM, page_no);
    log_number(&alter.record, keep);
    node_trim(node_of(store, inner), keep);
    alter_commit(&alter);
    return OP_OK;
}

/* Frees the path below its entry `at`: everything there is an only child. */
static int drop_branch(struct op *op, struct btree *tree, const struct path *path, int at)
{
    struct store *store = tree->store;
    struct alter alter;
    struct page_ref ref;
    if (alter_begin(op, &alter, store, LOG_HEAD_BYTES, 0, true) != OP_OK)
        return OP_FAILED;
    int result = btree__fix(op, tree, path->pages[at], LATCH_EXCLUSIVE, &ref);
    if (result != OP_OK) {
        alter_abort(&alter);
        return OP_FAILED;
    }
    struct page_ref *inner = alter_adopt(&alter, &ref);
    int first = at + 1;
    while (first < path->depth && alter_can_free(&alter, path->pages[first]))
        alter_free(&alter, path->pages[first++]);
    const char *rule = node_check_cells(node_of(store, inner));
    result = rule != NULL ? btree__damaged(op, store, path->pages[at], rule) : alter_ready(op, &alter);
    if (result == OP_OK && first < path->depth)
        result = op_fail(op, "XX000", "a branch of a tree lies on too many pages of the free map");
    if (result != OP_OK) {
        alter_abort(&alter);
        return OP_FAILED;
    }
    log_action(&alter.record, ACTION_TRIM, inner->page_no);
    log_number(&alter.record, path->slots[at] - 1);
    node_trim(node_of(store, inner), path->slots[at] - 1);
    alter_commit(&alter);
    return OP_OK;
}

/* Frees what is left, one page per level, and the directory's entry. */
static int drop_rest(struct op *op, struct btree *tree, const struct path *path)
{
    struct store *store = tree->store;
    struct alter alter;
    struct page_ref ref;
    uint8_t buffer[DIRECTORY_KEY_BYTES];
    struct bytes key = directory_key(buffer, tree->id);
    if (alter_begin(op, &alter, store, LOG_HEAD_BYTES, 0, true) != OP_OK)
        return OP_FAILED;
    int result = btree__find_leaf(op, &store->directory, key, false, LATCH_EXCLUSIVE, &ref);
    if (result == OP_OK) {
        struct page_ref *leaf = alter_adopt(&alter, &ref);
        for (int i = 0; i < path->depth; i++)
            alter_free(&alter, path->pages[i]);
        result = alter_ready(op, &alter);
        if (result == OP_OK) {
            log_action(&alter.record, ACTION_REMOVE, leaf->page_no);
            log_run(&alter.record, key);
            row_remove(node_of(store, leaf), key);
            alter_commit(&alter);
            return OP_OK;
        }
    }
    alter_abort(&alter);
    return OP_FAILED;
}

int btree__drop_step(struct op *op, struct btree *tree, bool *gone)
{
    struct path path;
    watch_dropping(tree->store, tree->id);
    if (rightmost_path(op, tree, &path) != OP_OK)
        return OP_FAILED;
    int at = path.depth - 2;
    while (at >= 0 && path.slots[at] == 1)
        at--;
    if (at >= 0 && at == path.depth - 2)
        return drop_leaves(op, tree, path.pages[at], path.slots[at]);
    if (free_chains(op, tree, path.pages[path.depth - 1]) != OP_OK)
        return OP_FAILED;
    if (at >= 0)
        return drop_branch(op, tree, &path, at);
    *gone = true;
    return drop_rest(op, tree, &path);
}

static int drop_whole(struct op *op, struct store *store, TreeId tree_id)
{
    PageNo root;
    struct btree *tree;
    bool gone = false;
    if (tree_id < FIRST_USER_TREE)
        return op_fail(op, "XX000", "tree %llu cannot be dropped", (unsigned long long)tree_id);
    if (directory_look_up(op, store, tree_id, &root) != OP_OK)
        return OP_FAILED;
    if (root != 0 && btree_open(op, store, tree_id, &tree) != OP_OK)
        return OP_FAILED;
    while (root != 0 && !gone)
        if (btree__drop_step(op, tree, &gone) != OP_OK)
            return OP_FAILED;
    forget(store, tree_id);
    return OP_OK;
}

int btree_drop(struct op *op, struct store *store, TreeId tree_id)
{
    atomic_fetch_add(&store->drops, 1);
    int result = drop_whole(op, store, tree_id);
    atomic_fetch_sub(&store->drops, 1);
    return result;
}
