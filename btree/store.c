/*
 * store.c -- one open database: the order in which its parts are opened, restarted and closed.
 *
 *      buf_open            file header, lock, log, torn pages        (src/buf)
 *      buf_restart         analysis and redo, by the handlers below
 *      space_open          the free map is right again: copy it
 *      [first pages]       of a new database: map, directory, graveyard
 *      background          writer and checkpointer
 *      store_set_hooks     the layer above takes over the losers, and rolls them back by store_rollback
 *
 * A crash while a new database gets its first pages leaves a file without them; the next open sees that and makes them.
 *
 * Until the layer above has set its hooks, a checkpoint lists the losers that restart has found; after the hooks
 * have been taken away again, what the layer said last.  So no checkpoint ever forgets a transaction that still has to be undone.
 */
#include "btree/store.h"

#include <stdlib.h>
#include <string.h>

#include "btree/btree_int.h"
#include "src/base/mem.h"
#include "src/buf/buf_backup.h"

/* ---- handlers for the log ------------------------------------------------------------------------- */

static int redo_record(struct op *op, struct store *store, const struct wal_record *record)
{
    struct log_reader reader = {record->payload.data, record->payload.data + record->payload.len, false};
    switch (record->type) {
    case LOG_ROW:
        return row_redo(op, store, record);
    case LOG_CREATE: {
        TreeId id = log_take_number(&reader);
        if (!reader.failed && id >= atomic_load(&store->next_tree))
            atomic_store(&store->next_tree, id + 1);
        return action_redo(op, store, &reader, record->lsn);
    }
    case LOG_PAGES:
    case LOG_ROW_UNDONE:
        return action_redo(op, store, &reader, record->lsn);
    default:
        return OP_OK;
    }
}

/* Damage that was met is forgiven if that was asked for. */
static bool forgive(struct op *op, const struct store *store)
{
    if (!store->tolerant || strcmp(op->error.sqlstate, "XX001") != 0)
        return false;
    op_clear_error(op);
    return true;
}

static int redo(void *context, struct op *op, const struct wal_record *record)
{
    struct store *store = context;
    int result = redo_record(op, store, record);
    if (result == OP_OK || !forgive(op, store))
        return result;
    store->skipped++;
    return OP_OK;
}

static int undo(void *context, struct op *op, struct wal_chain *chain, const struct wal_record *record)
{
    struct store *store = context;
    switch (record->type) {
    case LOG_ROW:
        return row_undo(op, store, chain, record);
    case LOG_CREATE:
        return tree_create_undo(op, store, chain, record);
    default:
        return op_fail(op, "XX001", "log record %llu cannot be undone", (unsigned long long)record->lsn);
    }
}

/* ---- restart --------------------------------------------------------------------------------------- */

/* The page that the record names first, 0 when it needs none from the disk; the others of a structure modification are few. */
static PageNo first_page(const struct wal_record *record)
{
    struct log_reader reader = {record->payload.data, record->payload.data + record->payload.len, false};
    uint8_t action = log_take_u8(&reader);
    if (record->type == LOG_ROW)
        (void)log_take_number(&reader);
    else if ((record->type != LOG_PAGES && record->type != LOG_ROW_UNDONE) || action == ACTION_IMAGE)
        return 0;
    PageNo page = log_take_number(&reader);
    return reader.failed ? 0 : page;
}

static int compare_pages(const void *a, const void *b)
{
    PageNo x = *(const PageNo *)a, y = *(const PageNo *)b;
    return (x > y) - (x < y);
}

static void foresee(void *context, const struct wal_record *record)
{
    enum { AHEAD_PAGES = 16384 };
    struct store *store = context;
    PageNo page = record != NULL ? first_page(record) : 0;
    if (store->ahead == NULL)
        store->ahead = mem_alloc(AHEAD_PAGES * sizeof *store->ahead);
    if (store->ahead == NULL)
        return;     /* slower, that is all */
    if (page != 0 && store->ahead_count < AHEAD_PAGES)
        store->ahead[store->ahead_count++] = page;
    if (record != NULL || store->ahead_count == 0)
        return;
    size_t kept = 1;
    qsort(store->ahead, store->ahead_count, sizeof *store->ahead, compare_pages);
    for (size_t i = 1; i < store->ahead_count; i++) {
        if (store->ahead[i] != store->ahead[kept - 1])
            store->ahead[kept++] = store->ahead[i];
    }
    buf_prefetch(store->buf, store->ahead, kept);
    store->ahead_count = 0;
}

void store_tell_progress(struct store *store, const char *phase, uint64_t done, uint64_t total)
{
    enum { PATIENCE_NS = 1000000000, STEP_NS = 100000000 };
    uint64_t now = os_clock_ns();
    if (store->progress == NULL || total == 0)
        return;
    if (store->phase != phase) {
        store->phase = phase;
        store->phase_ns = now;
    }
    if (now - store->opened_ns < PATIENCE_NS || now - store->told_ns < STEP_NS)
        return;
    double share = done >= total ? 1.0 : (double)done / (double)total;
    struct store_progress progress = {.phase = phase, .percent = (int)(share * 100)};
    if (share > 0)
        progress.seconds_left = (double)(now - store->phase_ns) / 1e9 * (1 - share) / share;
    store->told_ns = now;
    store->progress(store->progress_arg, &progress);
}

static void redo_progress(void *context, uint64_t done, uint64_t total)
{
    store_tell_progress(context, "replaying the log", done, total);
}

/* ---- checkpoints ---------------------------------------------------------------------------------- */

static int collect(void *context, struct op *op, struct wal_checkpoint_state *state)
{
    struct store *store = context;
    int result = OP_OK;
    os_mutex_lock(&store->hooks_mutex);
    if (store->hooks.collect != NULL) {
        result = store->hooks.collect(store->hooks.context, op, state);
    } else {
        const struct wal_checkpoint_state *last = &store->last_state;
        state->chains = op_alloc(op, (last->chain_count + 1) * sizeof *last->chains);
        if (state->chains == NULL)
            result = OP_FAILED;
        else if (last->chain_count > 0)
            memcpy(state->chains, last->chains, last->chain_count * sizeof *last->chains);
        state->chain_count = result == OP_OK ? last->chain_count : 0;
        if (state->next_txn < last->next_txn)
            state->next_txn = last->next_txn;
        if (state->newest_commit < last->newest_commit)
            state->newest_commit = last->newest_commit;
    }
    os_mutex_unlock(&store->hooks_mutex);
    state->next_tree = atomic_load(&store->next_tree);
    return result;
}

static int carry(void *context, struct op *op, Lsn redo)
{
    struct store *store = context;
    int result = OP_OK;
    os_mutex_lock(&store->hooks_mutex);
    if (store->hooks.carry != NULL)
        result = store->hooks.carry(store->hooks.context, op, redo);
    os_mutex_unlock(&store->hooks_mutex);
    return result;
}

static int checkpoint(void *context, struct op *op)
{
    struct store *store = context;
    struct buf_checkpoint_hooks hooks = {store, collect, carry};
    space_trim(store);
    return buf_checkpoint(op, store->buf, &hooks);
}

int store_checkpoint(struct op *op, struct store *store)
{
    return checkpoint(store, op);
}

int store_backup_begin(struct op *op, struct store *store, struct buf_backup *backup)
{
    struct buf_checkpoint_hooks hooks = {store, collect, carry};
    return buf_backup_begin(op, store->buf, &hooks, backup);
}

/* Remembers what the layer above says before it goes.  If there is no memory for that, no checkpoint may follow: the next open
 * restarts. */
static void remember(struct store *store, struct op *op)
{
    struct wal_checkpoint_state state = store->last_state;
    struct wal_chain *chains = NULL;
    state.chains = NULL;
    state.chain_count = 0;
    if (store->hooks.collect(store->hooks.context, op, &state) == OP_OK)
        chains = op_arena_alloc(op, &store->restart_arena, (state.chain_count + 1) * sizeof *chains);
    if (chains == NULL) {
        wal_break(store->wal, op);
        return;
    }
    if (state.chain_count > 0)
        memcpy(chains, state.chains, state.chain_count * sizeof *chains);
    state.chains = chains;
    store->last_state = state;
}

void store_set_hooks(struct store *store, const struct store_hooks *hooks)
{
    struct op op;
    op_init(&op);
    os_mutex_lock(&store->hooks_mutex);
    if (store->hooks.collect != NULL)
        remember(store, &op);
    store->hooks = *hooks;
    os_mutex_unlock(&store->hooks_mutex);
    op_end(&op);
}

/* ---- opening -------------------------------------------------------------------------------------- */

/* Makes the root page of a well-known tree in its place. */
static int make_root(struct op *op, struct store *store, TreeId id, PageNo page_no)
{
    struct page_ref ref;
    struct log_record record;
    uint64_t bytes = LOG_HEAD_BYTES;
    if (wal_reserve(op, store->wal, bytes) != OP_OK)
        return OP_FAILED;
    int result = buf_fix_new(op, store->buf, page_no, &ref);
    if (result == OP_OK) {
        node_format(node_of(store, &ref), PAGE_LEAF, 0, id, (struct bytes){NULL, 0}, (struct bytes){NULL, 0});
        log_begin(&record);
        log_image(&record, node_of(store, &ref));
        buf_mark_dirty(store->buf, &ref, log_append(&record, store->wal, NULL, LOG_PAGES, 0));
        buf_unfix(&ref, store->buf);
    }
    wal_unreserve(store->wal, bytes);
    return result;
}

/* Whether the first pages were never made: the file is new, or the power failed while they were. */
static int is_unmade(struct op *op, struct store *store, bool *unmade)
{
    struct page_ref ref;
    *unmade = buf_page_count(store->buf) <= GRAVEYARD_ROOT;
    if (*unmade)
        return OP_OK;
    if (buf_fix(op, store->buf, GRAVEYARD_ROOT, LATCH_SHARED, &ref) != OP_OK)
        return OP_FAILED;
    *unmade = ((const struct page_head *)(const void *)ref.data)->type == PAGE_UNUSED;
    buf_unfix(&ref, store->buf);
    return OP_OK;
}

static int open_trees(struct op *op, struct store *store)
{
    bool unmade;
    if (is_unmade(op, store, &unmade) != OP_OK || space_open(op, store, unmade) != OP_OK)
        return OP_FAILED;
    if (unmade && (make_root(op, store, DIRECTORY_TREE, DIRECTORY_ROOT) != OP_OK ||
                   make_root(op, store, GRAVEYARD_TREE, GRAVEYARD_ROOT) != OP_OK))
        return OP_FAILED;
    return OP_OK;
}

static int restart(struct op *op, struct store *store)
{
    if (buf_restart(op, store->buf, &store->handlers, &store->restart_arena, &store->restart) != OP_OK)
        return OP_FAILED;
    struct wal_checkpoint_state *state = &store->restart.state;
    TreeId seen = atomic_load(&store->next_tree);
    if (state->next_tree < seen)
        state->next_tree = seen;
    atomic_store(&store->next_tree, state->next_tree);
    store->last_state = *state;
    return OP_OK;
}

static struct store *new_store(struct op *op)
{
    struct store *store = op_heap_alloc(op, sizeof *store);
    if (store == NULL)
        return NULL;
    memset(store, 0, sizeof *store);
    arena_init(&store->restart_arena);
    os_mutex_init(&store->hooks_mutex, RANK_STORE_HOOKS);
    os_mutex_init(&store->space.mutex, RANK_FREE_SPACE);
    os_mutex_init(&store->space.grow_mutex, RANK_BTREE_GROW);
    os_mutex_init(&store->graves_mutex, RANK_BTREE_GRAVES);
    registry_init(store);
    atomic_init(&store->next_tree, FIRST_USER_TREE);
    atomic_init(&store->has_graves, true);      /* unknown: the first walk will tell */
    atomic_init(&store->walking_graves, false);
    store->handlers = (struct wal_handlers){store, redo, undo, foresee, redo_progress};
    return store;
}

static void free_store(struct store *store)
{
    registry_close(store);
    space_close(store);
    os_mutex_destroy(&store->graves_mutex);
    os_mutex_destroy(&store->space.grow_mutex);
    os_mutex_destroy(&store->space.mutex);
    os_mutex_destroy(&store->hooks_mutex);
    arena_free(&store->restart_arena);
    mem_free(store->ahead);
    mem_free(store->ghost_pages.pages);
    mem_free(store->path);
    mem_free(store);
}

/* A record of a structure modification may hold images of three pages, and has to fit twice into the log buffer. */
static int check_log_buffer(struct op *op, const struct store *store)
{
    uint32_t least = 2 * (3 * store->page_size + LOG_HEAD_BYTES + 64), size = wal_buffer_size(store->wal);
    if (size >= least)
        return OP_OK;
    op_fail(op, "22023", "a log buffer of %u bytes is too small for pages of %u bytes", size, store->page_size);
    op_hint(op, "It has to have at least %u bytes.", least);
    return OP_FAILED;
}

int store_open(struct op *op, const struct store_options *options, struct store **out)
{
    struct buf_options buf_options = {.vfs = options->vfs, .path = options->path, .create = options->create,
                                      .page_size = options->page_size, .cache_size = options->cache_size, .wal = options->wal,
                                      .finishing = options->finishing, .read_only = options->read_only,
                                      .tolerant = options->tolerant};
    *out = NULL;
    struct store *store = new_store(op);
    if (store == NULL)
        return OP_FAILED;
    store->vfs = options->vfs;
    store->tolerant = options->tolerant;
    store->progress = options->progress;
    store->progress_arg = options->progress_arg;
    store->opened_ns = os_clock_ns();
    store->path = mem_strdup(options->path);
    if (store->path == NULL) {
        free_store(store);
        return op_out_of_memory(op);
    }
    if (buf_open(op, &buf_options, &store->buf) != OP_OK) {
        free_store(store);
        return OP_FAILED;
    }
    store->wal = buf_wal(store->buf);
    store->page_size = buf_page_size(store->buf);
    store->usable = buf_usable_size(store->buf);
    store->cell_max = node_cell_max(store->usable);
    store->key_max = node_key_max(store->usable);
    if (check_log_buffer(op, store) != OP_OK || restart(op, store) != OP_OK ||
        (open_trees(op, store) != OP_OK && !forgive(op, store)) ||
        (!options->no_background && buf_start_background(op, store->buf, checkpoint, store) != OP_OK)) {
        store_abandon(store);
        return OP_FAILED;
    }
    *out = store;
    return OP_OK;
}

const struct wal_restart *store_restart(const struct store *store)
{
    return &store->restart;
}

uint64_t store_skipped(const struct store *store)
{
    return store->skipped;
}

int store_rollback(struct op *op, struct store *store, struct wal_chain *chain, Lsn stop)
{
    return wal_rollback(op, store->wal, &store->handlers, chain, stop);
}

/* A row's record holds a key and two values of at most a quarter of a page each; that of a new tree is shorter. */
size_t store_undo_bytes(const struct store *store)
{
    return store->page_size + 1024;
}

int store_prepare_undo(struct op *op, struct store *store, const struct wal_record *record)
{
    return (record->flags & WAL_UNDOABLE) ? tree_prepare_undo(op, store, record) : OP_OK;
}

/* ---- closing -------------------------------------------------------------------------------------- */

int store_close(struct op *op, struct store *store)
{
    struct buf_checkpoint_hooks hooks = {store, collect, carry};
    store_stop_scrub(store);
    buf_stop_background(store->buf);
    space_trim(store);
    int result = buf_close(op, store->buf, &hooks);
    free_store(store);
    return result;
}

void store_abandon(struct store *store)
{
    store_stop_scrub(store);
    buf_abandon(store->buf);
    free_store(store);
}

struct wal *store_wal(struct store *store)
{
    return store->wal;
}

struct buf *store_buf(struct store *store)
{
    return store->buf;
}

struct vfs *store_vfs(struct store *store)
{
    return store->vfs;
}

const char *store_path(const struct store *store)
{
    return store->path;
}
