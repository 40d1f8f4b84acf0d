/*
 * version.c -- the version store: what stood in a record before it was changed, as long as somebody may ask.
 *
 * The page holds the newest version, committed or not.  Each change leaves an entry with the image that it replaced, on
 * the chain of its (tree, key), newest first:
 *
 *      page:  k = "c"                                (flag VERSIONED: look there)
 *      chain: [writer 9, in progress, before "b"] -> [writer 7, committed at 310, before "a"]
 *
 *      a snapshot at 300 undoes both in thought and reads "a"; one at 320 reads "b"; writer 9 itself reads "c".
 *
 * So reading is: begin with the record; as long as the newest remaining entry is not visible to me, take its before-image.
 * An uncommitted entry at the head is at the same time the row's lock.  Explicit row locks hang on the chain beside the entries
 * (rowlock.c); readers know nothing of them.
 *
 * An entry can go once every snapshot sees its writer (purge), or when no snapshot lies between it and the next older
 * one (pruning): a snapshot that sees neither undoes the older one too, and lands at the same image.
 *
 * V1  A record is resolved against its chain under the leaf's latch; entries of writes are pushed, and popped by
 *     rollback, under its exclusive latch.  Purge takes entries away without it, but only such as change no answer.
 * V2  The chain is guarded by the latch of its bucket; before-images are copied out under it.
 * V3  An entry is freed by whoever takes it off its writer's list (entries_latch): pruning or purge, never both.
 * V4  The hint on the record is set with the change and never relied on while losers of a restart are about, whose records
 *     may have lost it.
 * V5  Chains beyond the memory limit lie in a file (budget.c).  A writer brings the one that it needs back, a reader reads it there;
 *     either finds it, because the bucket counts what was spilled from it.
 *
 * Follows Neumann, Mühlbauer, Kemper (SIGMOD 2015), Freitag, Kemper, Neumann (VLDB 2022) and, for pruning, Böttcher et
 * al. (VLDB 2019); unlike them the commit stamp is not written into each entry but asked of the writer.
 */
#include "src/base/planted.h"
#include "txn/ssi.h"
#include "txn/txn_int.h"

/* ---- latches -------------------------------------------------------------------------------------- */

static void spin_lock(_Atomic uint32_t *latch)
{
    for (unsigned spins = 0; atomic_exchange_explicit(latch, 1, memory_order_acquire) != 0;) {
        if (++spins < 64) {
            os_pause();
        } else {
            os_yield();
        }
    }
}

static void spin_unlock(_Atomic uint32_t *latch)
{
    atomic_store_explicit(latch, 0, memory_order_release);
}

struct bucket *version__lock(struct txn_manager *manager, uint64_t hash)
{
    struct bucket *bucket = &manager->buckets[hash & (TXN_BUCKETS - 1)];

    RANK_ENTER(RANK_VERSION_BUCKET);
    spin_lock(&bucket->latch);
    return bucket;
}

void version__unlock(struct bucket *bucket)
{
    spin_unlock(&bucket->latch);
    RANK_LEAVE(RANK_VERSION_BUCKET);
}

void version__lock_list(struct txn *txn)
{
    spin_lock(&txn->entries_latch);
}

void version__unlock_list(struct txn *txn)
{
    spin_unlock(&txn->entries_latch);
}

/* ---- chains --------------------------------------------------------------------------------------- */

struct chain *version__find(struct bucket *bucket, uint64_t hash, const struct tree_info *info, struct bytes key)
{
    for (struct chain *chain = bucket->first; chain != NULL; chain = chain->next) {
        if (chain->hash == hash && chain->info == info && chain->key_len == key.len &&
            memcmp(chain->key, key.data, key.len) == 0) {
            chain->touched = true;
            return chain;
        }
    }
    return NULL;
}

int version__lock_chain(struct op *op, struct txn_manager *manager, uint64_t hash, struct tree_info *info, struct bytes key,
                        struct bucket **out, struct chain **chain)
{
    struct bucket *bucket = version__lock(manager, hash);

    *out = bucket;
    *chain = version__find(bucket, hash, info, key);
    if (*chain != NULL || bucket->spilled == 0) {
        return 0;
    }
    version__unlock(bucket);
    budget__hold(manager, hash);
    int rc = budget__load(op, manager, hash, info, key);
    if (rc == 0) {
        version__lock(manager, hash);
        *chain = version__find(bucket, hash, info, key);
    }
    budget__release(manager, hash);
    return rc;
}

struct chain *version__new_chain(struct op *op, struct txn_manager *manager, struct tree_info *info, uint64_t hash,
                                 struct bytes key)
{
    struct chain *chain = mem_alloc(sizeof(*chain) + key.len);

    if (chain == NULL) {
        op_out_of_memory(op);
        return NULL;
    }
    memset(chain, 0, sizeof(*chain));
    chain->manager = manager;
    chain->info = info;
    chain->hash = hash;
    chain->prune_at = 4;
    chain->key_len = (uint32_t)key.len;
    if (key.len > 0) {
        memcpy(chain->key, key.data, key.len);
    }
    return chain;
}

void version__add_chain(struct bucket *bucket, struct chain *chain)
{
    chain->touched = true;
    chain->next = bucket->first;
    bucket->first = chain;
}

void version__drop_chain(struct bucket *bucket, struct chain *chain)
{
    if (chain->head != NULL || chain->locks != NULL || chain->pins > 0 || atomic_load_explicit(&chain->waiters, memory_order_acquire) > 0) {
        return;
    }
    struct chain **at = &bucket->first;
    while (*at != chain) {
        at = &(*at)->next;
    }
    *at = chain->next;
    mem_free(chain);
}

/* ---- entries -------------------------------------------------------------------------------------- */

struct version *version__new(struct op *op, struct txn *writer, uint8_t kind, uint32_t command,
                             const struct btree_record *before, struct bytes moved_to)
{
    bool present = before != NULL && !(before->flags & BTREE_GHOST);
    size_t len = present ? before->value.len : 0;
    struct version *entry = mem_alloc(sizeof(*entry) + len);

    if (entry == NULL) {
        op_out_of_memory(op);
        return NULL;
    }
    memset(entry, 0, sizeof(*entry));
    entry->writer = writer;
    entry->kind = kind;
    entry->lock_mode = TXN_FOR_UPDATE;
    entry->command = command;
    entry->before_present = present;
    entry->before_overflow = present && (before->flags & BTREE_OVERFLOW);
    entry->before_len = (uint32_t)len;
    if (len > 0) {
        memcpy(entry->before, before->value.data, len);
    }
    if (moved_to.data != NULL) {
        entry->moved_to = mem_alloc(moved_to.len + 1);
        if (entry->moved_to == NULL) {
            mem_free(entry);
            op_out_of_memory(op);
            return NULL;
        }
        memcpy(entry->moved_to, moved_to.data, moved_to.len);
        entry->moved_to_len = (uint32_t)moved_to.len;
    }
    entry->bytes = (uint32_t)(sizeof(*entry) + len + entry->moved_to_len);
    return entry;
}

void version__discard(struct version *entry)
{
    if (entry != NULL) {
        mem_free(entry->moved_to);
        mem_free(entry);
    }
}

bool version__list(struct version *entry)
{
    struct txn *writer = entry->writer;

    spin_lock(&writer->entries_latch);
    if (writer->purged) {
        spin_unlock(&writer->entries_latch);
        return false;
    }
    entry->claimed = false;
    entry->own_next = writer->entries;
    entry->own_prev = NULL;
    if (writer->entries != NULL) {
        writer->entries->own_prev = entry;
    }
    writer->entries = entry;
    spin_unlock(&writer->entries_latch);
    return true;
}

bool version__claim(struct version *entry)
{
    struct txn *writer = entry->writer;

    spin_lock(&writer->entries_latch);
    bool mine = !entry->claimed;
    if (mine) {
        entry->claimed = true;
        if (entry->own_next != NULL) {
            entry->own_next->own_prev = entry->own_prev;
        }
        if (entry->own_prev != NULL) {
            entry->own_prev->own_next = entry->own_next;
        } else {
            writer->entries = entry->own_next;
        }
    }
    spin_unlock(&writer->entries_latch);
    return mine;
}

void version__unlist(struct version *entry)
{
    version__claim(entry);
}

void version__push(struct txn_manager *manager, struct bucket *bucket, struct chain *chain, struct version *entry)
{
    entry->chain = chain;
    entry->older = chain->head;
    chain->head = entry;
    if (chain->length++ == 0) {
        budget__note_chain(manager, chain);
    }
    writer__ref(entry->writer);
    bool listed = version__list(entry);
    assert(listed);
    (void)listed;
    atomic_fetch_add_explicit(&chain->info->entries, 1, memory_order_release);
    if (entry->writer->recovered) {
        atomic_fetch_add_explicit(&chain->info->recovered, 1, memory_order_release);
    }
    atomic_fetch_add_explicit(&manager->version_bytes, entry->bytes, memory_order_relaxed);
    if (chain->length >= chain->prune_at) {
        version__prune(manager, bucket, chain);
        chain->prune_at = chain->length * 2 < 4 ? 4 : chain->length * 2;
    }
}

void version__remove(struct txn_manager *manager, struct bucket *bucket, struct version *entry)
{
    struct chain *chain = entry->chain;
    struct version **at = &chain->head;

    while (*at != entry) {
        at = &(*at)->older;
    }
    *at = entry->older;
    if (--chain->length == 0) {
        atomic_fetch_sub_explicit(&manager->version_bytes, sizeof(*chain) + chain->key_len, memory_order_relaxed);
    }
    atomic_fetch_sub_explicit(&chain->info->entries, 1, memory_order_release);
    if (entry->writer->recovered) {
        atomic_fetch_sub_explicit(&chain->info->recovered, 1, memory_order_release);
    }
    atomic_fetch_sub_explicit(&manager->version_bytes, entry->bytes, memory_order_relaxed);
    version__drop_chain(bucket, chain);
    writer__unref(entry->writer);
    mem_free(entry->moved_to);
    mem_free(entry);
}

/* ---- reading -------------------------------------------------------------------------------------- */

static bool is_visible(const struct version *entry, const struct view *view)
{
    if (entry->writer == view->own) {
        return entry->command < view->command;
    }
    CommitTs ts = writer__ts(entry->writer);
    return ts != 0 && ts <= view->read_ts;
}

static int copy_before(struct op *op, const struct version *entry, struct arena *arena, struct resolved *out)
{
    out->present = entry->before_present;
    out->overflow = entry->before_overflow;
    out->copied = true;
    out->value = (struct bytes){ NULL, entry->before_len };
    if (!entry->before_present) {
        return 0;
    }
    uint8_t *copy = arena_alloc(arena, entry->before_len + 1);
    if (copy == NULL) {
        return op_out_of_memory(op);
    }
    memcpy(copy, entry->before, entry->before_len);
    out->value.data = copy;
    return 0;
}

static int resolve_chain(struct op *op, const struct view *view, const struct chain *chain, struct arena *arena,
                         struct resolved *out)
{
    const struct version *hidden = NULL;

    for (const struct version *entry = chain->head; entry != NULL; entry = entry->older) {
        if (is_visible(entry, view)) {
            out->settled = true;
            break;
        }
        hidden = entry;
    }
    if (hidden == NULL) {
        if (chain->head != NULL) {
            out->since = chain->head->writer != view->own ? writer__ts(chain->head->writer) : UINT64_MAX;
        }
        return 0;
    }
    out->since = UINT64_MAX;
    if (hidden->writer != view->own && hidden->writer->ssi != NULL) {
        out->newer = hidden->writer->ssi;
        ssi__ref(out->newer);
    }
    return copy_before(op, hidden, arena, out);
}

static int look_up(struct op *op, struct txn_manager *manager, struct tree_info *info, const struct view *view,
                   struct bytes key, struct arena *arena, struct resolved *out, bool *found)
{
    uint64_t hash = version__hash(info->id, key);
    struct bucket *bucket = version__lock(manager, hash);
    struct chain *chain = version__find(bucket, hash, info, key);
    bool held = false;
    int rc = 0;

    if (chain == NULL && bucket->spilled > 0) {
        version__unlock(bucket);
        budget__hold(manager, hash);
        held = true;
        version__lock(manager, hash);
        chain = version__find(bucket, hash, info, key);
    }
    *found = chain != NULL;
    if (chain != NULL) {
        rc = resolve_chain(op, view, chain, arena, out);
    }
    version__unlock(bucket);
    if (held && chain == NULL) {
        rc = budget__resolve(op, manager, hash, info, view, key, arena, out, found);
    }
    if (held) {
        budget__release(manager, hash);
    }
    return rc;
}

int version__resolve(struct op *op, struct txn_manager *manager, struct tree_info *info, const struct view *view,
                     const struct btree_record *record, struct arena *arena, struct resolved *out)
{
    out->present = !(record->flags & BTREE_GHOST);
    out->overflow = (record->flags & BTREE_OVERFLOW) != 0;
    out->value = record->value;
    out->settled = out->copied = false;
    out->since = 0;
    out->newer = NULL;
    if (!version__interesting(info, record)) {
        if (!out->present && atomic_load_explicit(&info->entries, memory_order_relaxed) == 0) {
            purge__ghost(manager, info, record->key);
        }
        return 0;
    }
    bool found;
    int rc = look_up(op, manager, info, view, record->key, arena, out, &found);
    if (rc == 0 && !found && !out->present) {
        purge__ghost(manager, info, record->key);
    }
    if (rc == 0 && out->present && !out->settled && run__any(info)) {
        struct ssi_txn *newer = NULL;
        out->present = !run__hides(info, view, record->key, &newer);
        if (newer != NULL && out->newer != NULL) {
            ssi__unref(out->newer);     /* the insertion is the older version */
        }
        out->newer = newer != NULL ? newer : out->newer;
    }
    return rc;
}

/* Bucket latch held. Made from the newest to the oldest, since each one's `after` is the `before` of the one above it. */
static int gather_newer(struct op *op, const struct view *view, const struct chain *chain, struct newer_image newest,
                        struct arena *arena, struct newer_version **oldest)
{
    struct newer_image after = newest;
    bool gap = false;

    for (const struct version *entry = chain->head; entry != NULL && !is_visible(entry, view); entry = entry->older) {
        struct newer_version *made = arena_alloc(arena, sizeof(*made));
        uint8_t *copy = made != NULL ? arena_alloc(arena, entry->before_len + 1) : NULL;
        if (copy == NULL) {
            return op_out_of_memory(op);
        }
        memcpy(copy, entry->before, entry->before_len);
        made->before = (struct newer_image){ entry->before_present, entry->before_overflow, { copy, entry->before_len } };
        made->after = after;
        made->unknown = gap;
        made->command = entry->command;
        made->newer = *oldest;
        made->writer = entry->writer != view->own ? entry->writer->ssi : NULL;
        if (made->writer != NULL) {
            ssi__ref(made->writer);
        }
        *oldest = made;
        after = made->before;
        gap = entry->gap;
    }
    return 0;
}

int version__newer(struct op *op, struct txn_manager *manager, struct tree_info *info, const struct view *view,
                   const struct btree_record *record, struct arena *arena, struct newer_version **oldest, bool *known)
{
    uint64_t hash = version__hash(info->id, record->key);
    struct newer_image newest = { !(record->flags & BTREE_GHOST), (record->flags & BTREE_OVERFLOW) != 0, record->value };
    struct ssi_txn *appender = NULL;
    int rc = 0;

    *oldest = NULL;
    struct bucket *bucket = version__lock(manager, hash);
    struct chain *chain = version__find(bucket, hash, info, record->key);
    *known = chain != NULL || bucket->spilled == 0;
    if (chain != NULL) {
        rc = gather_newer(op, view, chain, newest, arena, oldest);
    }
    version__unlock(bucket);
    if (rc == 0 && *known && run__any(info) && run__hides(info, view, record->key, &appender) && appender != NULL) {
        struct newer_version *made = arena_alloc(arena, sizeof(*made));
        if (made == NULL) {
            ssi__unref(appender);
            return op_out_of_memory(op);
        }
        *made = (struct newer_version){ .newer = *oldest, .writer = appender, .after = *oldest != NULL ? (*oldest)->before : newest };
        *oldest = made;
    }
    return rc;
}

bool version__has_chain(struct txn_manager *manager, const struct tree_info *info, struct bytes key)
{
    uint64_t hash = version__hash(info->id, key);
    struct bucket *bucket = version__lock(manager, hash);
    bool found = version__find(bucket, hash, info, key) != NULL, spilled = bucket->spilled > 0;
    version__unlock(bucket);
    return found || (spilled && budget__has(manager, hash, info, key));
}

/* ---- pruning and purge ---------------------------------------------------------------------------- */

enum { PRUNE_SNAPSHOTS = 256 };

/* Is there a snapshot with from <= read_ts < to?  list: sorted; every later snapshot is >= visible >= to. */
static bool snapshot_between(const CommitTs *list, size_t count, CommitTs from, CommitTs to)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (list[middle] < from) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < count && list[low] < to;
}

static void inherit(struct version *newer, struct version *gone)
{
    CommitTs deleted = gone->kind == VERSION_DELETE ? writer__ts(gone->writer) : gone->reborn;
    CommitTs rekeyed = gone->lock_mode > TXN_FOR_NO_KEY_UPDATE ? writer__ts(gone->writer) : gone->rekeyed;

    newer->gap = true;
    newer->rekeyed = rekeyed > newer->rekeyed ? rekeyed : newer->rekeyed;
    if (deleted <= newer->reborn) {
        return;
    }
    newer->reborn = deleted;
    if (newer->moved_to == NULL) {
        newer->moved_to = gone->moved_to;
        newer->moved_to_len = gone->moved_to_len;
        gone->moved_to = NULL;
    }
}

/* Drops the committed entries below the head between which no snapshot lies.  The newest committed one stays as long as what is
 * above it may still be undone: then it would be the head again, and tell which version the record is. */
void version__prune(struct txn_manager *manager, struct bucket *bucket, struct chain *chain)
{
    CommitTs list[PRUNE_SNAPSHOTS], visible;
    size_t count;

    if (snapshot__list(manager, list, PRUNE_SNAPSHOTS, &count, &visible)) {
        visible = list[count - 1];      /* of what is newer nothing is known */
    }
    struct version *newer = chain->head;
    for (struct version *entry = newer->older, *next; entry != NULL; entry = next) {
        next = entry->older;
        CommitTs to = writer__ts(entry->writer);
        CommitTs from = next != NULL ? writer__ts(next->writer) : 0;
        bool settled = to != 0 && to <= visible && (writer__ts(newer->writer) != 0 || PLANTED("txn-prune-newest"));
        if (settled && !snapshot_between(list, count, from, to) && version__claim(entry)) {
            inherit(newer, entry);
            version__remove(manager, bucket, entry);
        } else {
            newer = entry;
        }
    }
}

static struct version *pop_own(struct txn *txn)
{
    spin_lock(&txn->entries_latch);
    struct version *entry = txn->entries;
    if (entry != NULL) {
        entry->claimed = true;
        txn->entries = entry->own_next;
        if (entry->own_next != NULL) {
            entry->own_next->own_prev = NULL;
        }
    } else {
        txn->purged = true;
    }
    spin_unlock(&txn->entries_latch);
    return entry;
}

void version__purge_writer(struct txn *txn)
{
    struct txn_manager *manager = txn->manager;
    struct version *entry;

    run__drop_all(txn);
    while ((entry = pop_own(txn)) != NULL) {
        struct chain *chain = entry->chain;
        bool deleted = entry->kind == VERSION_DELETE;
        struct tree_info *info = chain->info;
        struct bucket *bucket = version__lock(manager, chain->hash);
        if (deleted && entry == chain->head) {
            purge__ghost(manager, info, (struct bytes){ chain->key, chain->key_len });
        }
        version__remove(manager, bucket, entry);
        version__unlock(bucket);
    }
}

/* The stand-ins of writers that were forgotten while their entries were spilled. */
static void purge_strays(struct txn_manager *manager, CommitTs horizon)
{
    struct txn ready = { .purge_next = &ready, .purge_prev = &ready };

    os_mutex_lock(&manager->commits);
    if (manager->oldest_stray <= horizon) {
        manager->oldest_stray = UINT64_MAX;
        for (struct txn *txn = manager->strays.purge_next, *next; txn != &manager->strays; txn = next) {
            next = txn->purge_next;
            CommitTs ts = writer__ts(txn);
            if (ts > horizon) {
                manager->oldest_stray = ts < manager->oldest_stray ? ts : manager->oldest_stray;
                continue;
            }
            txn->purge_prev->purge_next = txn->purge_next;
            txn->purge_next->purge_prev = txn->purge_prev;
            txn->queued = false;
            writer__ref(txn);
            txn->purge_next = ready.purge_next;
            ready.purge_next = txn;
        }
    }
    os_mutex_unlock(&manager->commits);
    while (ready.purge_next != &ready) {
        struct txn *txn = ready.purge_next;
        ready.purge_next = txn->purge_next;
        version__purge_writer(txn);
        writer__unref(txn);
    }
}

void version__purge_committed(struct txn_manager *manager, CommitTs horizon)
{
    if (atomic_load_explicit(&manager->stray_count, memory_order_relaxed) > 0) {
        purge_strays(manager, horizon);
    }
    for (;;) {
        os_mutex_lock(&manager->commits);
        struct txn *txn = manager->purge_list.purge_next;
        if (txn == &manager->purge_list || writer__ts(txn) > horizon) {
            os_mutex_unlock(&manager->commits);
            return;
        }
        writer__ref(txn);
        txn->purge_next->purge_prev = txn->purge_prev;
        txn->purge_prev->purge_next = txn->purge_next;
        txn->queued = false;
        os_mutex_unlock(&manager->commits);
        bool buried = txn->buried;
        version__purge_writer(txn);
        writer__unref(txn);
        if (buried) {
            writer__unref(txn);     /* the list's own (trees.c, D2) */
        }
    }
}

/* ---- rollback ------------------------------------------------------------------------------------- */

/* An entry made for a row of a run carries no LSN. */
static bool is_from_run(const struct version *entry, TxnId id)
{
    return entry->writer->id == id && entry->lsn == 0 && entry->kind == VERSION_INSERT;
}

/* The record of `key` is as it was before this entry; under the leaf's exclusive latch. */
uint8_t version__undone(void *context, TxnId id, TreeId tree, struct bytes key, Lsn undone_lsn)
{
    struct txn_manager *manager = context;
    uint8_t flags = 0;
    struct tree_info *info = manager__known_tree(manager, tree);
    struct bucket *bucket;
    struct chain *chain;
    struct op op;

    if (info == NULL || atomic_load_explicit(&info->entries, memory_order_acquire) == 0) {
        return 0;
    }
    uint64_t hash = version__hash(tree, key);
    op_init(&op);
    if (version__lock_chain(&op, manager, hash, info, key, &bucket, &chain) != 0) {
        op_end(&op);
        return BTREE_VERSIONED;         /* its entry stays where it cannot be read, and counts for nothing: see budget.c */
    }
    struct version *entry = chain != NULL ? chain->head : NULL;
    while (entry != NULL && (entry->writer->id != id || entry->lsn != undone_lsn)) {
        entry = entry->older;
    }
    if (entry == NULL && chain != NULL) {
        for (entry = chain->head; entry != NULL && !is_from_run(entry, id); entry = entry->older) {
        }
    }
    bool from_run = entry == NULL || is_from_run(entry, id);
    if (entry != NULL && version__claim(entry)) {
        bool last = chain->length == 1;
        if (!entry->before_present && last) {
            purge__ghost(manager, info, key);
        }
        flags = last ? 0 : BTREE_VERSIONED;
        struct txn *writer = entry->writer;
        chain->pins++;
        writer__ref(writer);
        version__remove(manager, bucket, entry);
        rowlock__cover(chain, writer);
        wait__look_again(chain);
        writer__unref(writer);
        chain->pins--;
        version__drop_chain(bucket, chain);
    } else if (chain != NULL) {
        flags = BTREE_VERSIONED;
    }
    version__unlock(bucket);
    op_end(&op);
    budget__keep(manager);
    if (from_run && run__any(info)) {
        run__undone(info, id, key);
        purge__ghost(manager, info, key);
    }
    return flags;
}
