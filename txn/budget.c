/*
 * budget.c -- the limits of the version store: which chains are in memory, which in a file, and when a snapshot must go.
 *
 *      memory      entries, chains, writers, frames and directories of the file       version_store_memory
 *      disk        pages of the file in use (spill.c)                                 version_store_disk
 *
 * Whoever has added an entry and finds memory above its limit spills, with no latch held: a clock goes over the buckets and takes out
 * chains that were not looked up since it last came by.  A chain goes whole: its uncommitted head, which is a row lock, too.  A writer that needs
 * a chain brings it back; a reader reads it where it is.  The buckets are dealt out to a few shards, each with a tree of the file
 * and a mutex, under which chains come and go:
 *
 *      look up     bucket latch: not there, but `spilled` > 0   ->  shard's mutex: look in the memory again, then in the file
 *      spill       shard's mutex: unlink from the bucket, spilled++, write
 *
 * so that whoever holds the mutex finds a chain in one place or the other.
 *
 * A spilled entry knows when its writer committed, and then needs the writer no more: a million small transactions that an idle snapshot
 * keeps alive must not cost a million writers.  When it comes back a stray, a stand-in with nothing but the moment of its commit, takes the writer's
 * place.  Of writers in progress, and of serializable ones, the shard keeps a reference, and asks them.
 *
 * When the file is full too, or nothing more can be spilled, the oldest snapshot is given up, if it is for the sake of such snapshots that the store is
 * full: its slot says TXN_GIVEN_UP, after which nothing is kept for it, and its session gets 72000 with its next rows.  Writers never wait for
 * that nor fail; where no snapshot is to blame, but writers in progress, memory grows beyond the limit instead.
 *
 * U1  A chain is in its bucket or in its shard's tree; it changes places under the shard's mutex.
 * U2  Chains with lock-only entries, waiters, or an entry that somebody is about to free are not spilled.
 * U3  Rollback restores records from the log; of a spilled entry it needs only that it goes.  One that cannot be read stays: its writer has
 *     aborted, and whoever brings the chain back passes over it.
 * U4  What is counted per tree (tree_info.entries) includes what is spilled.
 */
#include <stdlib.h>

#include "src/base/planted.h"
#include "txn/spill.h"
#include "txn/ssi.h"
#include "txn/txn_int.h"

enum {
    SHARDS_MAX = 16,
    SHARD_BYTES = 1 << 20,          /* of the memory limit, per shard */
    PAGE_MIN = 8 << 10, PAGE_USUAL = 32 << 10,
    VICTIMS = 512,                  /* chains spilled at a time */
    SWEEP_LEAVES = 32,              /* looked at under one hold of the mutex */
    SPILLED_WRITERS = 256,          /* hash */
    GIVE_UP_PAUSE_MS = 50,
};
static const uint64_t DEFAULT_MEMORY = UINT64_C(64) << 20, DEFAULT_DISK = UINT64_C(16) << 30;

/* A writer that spilled entries ask for the moment of its commit. */
struct spilled_writer {
    struct spilled_writer *next;
    struct txn *txn;                /* a reference */
    uint64_t entries;
};

struct budget_shard {
    struct os_mutex mutex;          /* RANK_VERSION_SPILL: guards all below */
    struct spill_tree tree;
    struct spilled_writer *writers[SPILLED_WRITERS];
    uint32_t first, words, hand;    /* its part of `used`, and where the clock stands in it */
};

struct budget {
    struct txn_manager *manager;
    uint64_t memory_limit, disk_limit;
    uint64_t frame_bytes;
    uint64_t chains_limit;          /* memory_limit without the frames */
    struct spill_file *file;
    struct budget_shard *shards;
    uint32_t shard_count;
    atomic_uint next_shard;
    atomic_uint_fast64_t *used;     /* a bit per bucket that may have chains; set and cleared under the bucket's latch */
    atomic_uint_fast64_t entries;   /* that are spilled */
    atomic_uint_fast64_t spilled, loaded, read, given_up;
    struct os_mutex giving_up;      /* RANK_VERSION_BUDGET: one thread at a time */
    uint64_t give_up_after;         /* not before; giving_up */
};

/* Without frames, which are a constant part of the limit. */
static uint64_t memory_of(const struct txn_manager *manager)
{
    struct txn_manager *m = (struct txn_manager *)manager;

    return atomic_load_explicit(&m->version_bytes, memory_order_relaxed) +
           atomic_load_explicit(&m->writer_count, memory_order_relaxed) * sizeof(struct txn) +
           spill__memory(m->budget->file);
}

static struct budget_shard *shard_of(struct budget *budget, uint64_t hash)
{
    return &budget->shards[(hash & (TXN_BUCKETS - 1)) * budget->shard_count / TXN_BUCKETS];
}

void budget__hold(struct txn_manager *manager, uint64_t hash)
{
    os_mutex_lock(&shard_of(manager->budget, hash)->mutex);
}

void budget__release(struct txn_manager *manager, uint64_t hash)
{
    os_mutex_unlock(&shard_of(manager->budget, hash)->mutex);
}

void budget__note_chain(struct txn_manager *manager, const struct chain *chain)
{
    uint64_t bucket = chain->hash & (TXN_BUCKETS - 1), bit = UINT64_C(1) << (bucket & 63);
    atomic_uint_fast64_t *word = &manager->budget->used[bucket / 64];

    atomic_fetch_add_explicit(&manager->version_bytes, sizeof(*chain) + chain->key_len, memory_order_relaxed);
    if (!(atomic_load_explicit(word, memory_order_relaxed) & bit)) {
        atomic_fetch_or_explicit(word, bit, memory_order_relaxed);
    }
}

/* ---- writers of spilled entries; the shard's mutex is held ---------------------------------------- */

static struct spilled_writer **find_writer(struct budget_shard *shard, TxnId id)
{
    struct spilled_writer **at = &shard->writers[hash_u64(id) % SPILLED_WRITERS];

    while (*at != NULL && (*at)->txn->id != id) {
        at = &(*at)->next;
    }
    return at;
}

static bool note_writer(struct budget_shard *shard, struct txn *txn)
{
    struct spilled_writer **at = find_writer(shard, txn->id);

    if (*at == NULL) {
        struct spilled_writer *made = mem_calloc(1, sizeof(*made));
        if (made == NULL) {
            return false;
        }
        made->txn = txn;
        writer__ref(txn);
        *at = made;
    }
    (*at)->entries++;
    return true;
}

static void forget_writer(struct budget_shard *shard, TxnId id)
{
    struct spilled_writer **at = find_writer(shard, id), *writer = *at;

    if (--writer->entries == 0) {
        *at = writer->next;
        writer__unref(writer->txn);
        mem_free(writer);
    }
}

/* ---- spilling ------------------------------------------------------------------------------------- */

struct victim {
    struct chain *chain;
    struct spill_item *item;
};

static bool is_movable(const struct chain *chain)
{
    if (chain->head == NULL || chain->locks != NULL || chain->pins > 0 || atomic_load_explicit(&chain->waiters, memory_order_relaxed) > 0) {
        return false;
    }
    for (const struct version *entry = chain->head; entry != NULL; entry = entry->older) {
        if (writer__ts(entry->writer) == TXN_TS_ABORTED) {
            return false;
        }
    }
    return true;
}

/* The entries above `end`, which were claimed, go back to their writers; whose writer was purged meanwhile is seen by all, and goes.
 * Bucket latch held; the chain goes with its last entry. */
static void list_again(struct txn_manager *manager, struct bucket *bucket, struct chain *chain, const struct version *end)
{
    for (struct version *entry = chain->head, *older; entry != end; entry = older) {
        older = entry->older;
        if (!version__list(entry)) {
            version__remove(manager, bucket, entry);
        }
    }
}

/* Nobody else will free one of its entries from now on. */
static bool claim_all(struct txn_manager *manager, struct bucket *bucket, struct chain *chain)
{
    for (struct version *entry = chain->head; entry != NULL; entry = entry->older) {
        if (!version__claim(entry)) {
            list_again(manager, bucket, chain, entry);
            return false;
        }
    }
    return true;
}

static size_t entry_size(const struct version *entry)
{
    return sizeof(struct spill_entry) + spill__pad((size_t)entry->before_len + entry->moved_to_len);
}

/* Returns false when there is no memory for its writer's place. */
static bool write_entry(struct budget_shard *shard, const struct version *entry, struct spill_entry *to)
{
    CommitTs ts = writer__ts(entry->writer);
    bool pending = ts == 0 || entry->writer->ssi != NULL;

    if (pending && !note_writer(shard, entry->writer)) {
        return false;
    }
    *to = (struct spill_entry){
        .size = (uint32_t)entry_size(entry), .before_len = entry->before_len, .moved_to_len = entry->moved_to_len,
        .command = entry->command, .lsn = entry->lsn, .reborn = entry->reborn, .rekeyed = entry->rekeyed, .ts = pending ? 0 : ts,
        .writer = entry->writer->id, .kind = entry->kind, .lock_mode = entry->lock_mode, .before_present = entry->before_present,
        .before_overflow = entry->before_overflow, .gap = entry->gap,
    };
    uint8_t *bytes = (uint8_t *)(to + 1);
    memcpy(bytes, entry->before, entry->before_len);
    if (entry->moved_to_len > 0) {
        memcpy(bytes + entry->before_len, entry->moved_to, entry->moved_to_len);
    }
    return true;
}

static void forget_writers(struct budget_shard *shard, struct spill_item *item)
{
    struct spill_entry *entry = spill__first(item);

    for (uint32_t i = 0; i < item->entries; i++, entry = spill__next(entry)) {
        if (entry->ts == 0) {
            forget_writer(shard, entry->writer);
        }
    }
}

/* The chain as an item, or NULL when it must stay; its entries are claimed then.  Bucket latch held. */
static struct spill_item *make_item(struct budget *budget, struct budget_shard *shard, struct bucket *bucket, struct chain *chain)
{
    size_t size = sizeof(struct spill_item) + spill__pad(chain->key_len);

    for (const struct version *entry = chain->head; entry != NULL; entry = entry->older) {
        size += entry_size(entry);
    }
    struct spill_item *item = size <= spill__item_max(budget->file) ? mem_calloc(1, size) : NULL;
    if (item == NULL || !claim_all(budget->manager, bucket, chain)) {
        mem_free(item);
        return NULL;
    }
    *item = (struct spill_item){ .size = (uint32_t)size, .key_len = chain->key_len, .tree = chain->info->id };
    memcpy(item + 1, chain->key, chain->key_len);
    struct spill_entry *to = spill__first(item);
    for (const struct version *entry = chain->head; entry != NULL; entry = entry->older, to = spill__next(to)) {
        if (!write_entry(shard, entry, to)) {
            forget_writers(shard, item);
            list_again(budget->manager, bucket, chain, NULL);
            mem_free(item);
            return NULL;
        }
        item->entries++;
    }
    return item;
}

static void unlink_chain(struct bucket *bucket, struct chain *chain)
{
    struct chain **at = &bucket->first;

    while (*at != chain) {
        at = &(*at)->next;
    }
    *at = chain->next;
    bucket->spilled++;
}

static void collect_bucket(struct budget *budget, struct budget_shard *shard, uint64_t number, struct victim *victims,
                           size_t *count)
{
    struct txn_manager *manager = budget->manager;
    struct bucket *bucket = version__lock(manager, number);

    for (struct chain *chain = bucket->first, *next; chain != NULL && *count < VICTIMS; chain = next) {
        next = chain->next;
        bool touched = chain->touched;
        chain->touched = false;
        if (touched || !is_movable(chain)) {
            continue;
        }
        version__prune(manager, bucket, chain);
        struct spill_item *item = make_item(budget, shard, bucket, chain);
        if (item != NULL) {
            unlink_chain(bucket, chain);
            victims[(*count)++] = (struct victim){ chain, item };
        }
    }
    if (bucket->first == NULL) {
        atomic_fetch_and_explicit(&budget->used[number / 64], ~(UINT64_C(1) << (number & 63)), memory_order_relaxed);
    }
    version__unlock(bucket);
}

/* Two turns of the clock at most: the first may only take away the marks of having been looked up. */
static size_t collect(struct budget *budget, struct budget_shard *shard, struct victim *victims)
{
    size_t count = 0;

    for (uint32_t step = 0; step < 2 * shard->words && count < VICTIMS; step++) {
        uint64_t word = shard->first + shard->hand;
        uint64_t bits = atomic_load_explicit(&budget->used[word], memory_order_relaxed);
        for (; bits != 0 && count < VICTIMS; bits &= bits - 1) {
            collect_bucket(budget, shard, word * 64 + (uint64_t)__builtin_ctzll(bits), victims, &count);
        }
        if (bits == 0) {
            shard->hand = (shard->hand + 1) % shard->words;
        }
    }
    return count;
}

static int compare_victims(const void *a, const void *b)
{
    const struct spill_item *left = ((const struct victim *)a)->item, *right = ((const struct victim *)b)->item;
    struct bytes left_key = spill__key(left), right_key = spill__key(right);

    if (left->tree != right->tree) {
        return left->tree < right->tree ? -1 : 1;
    }
    size_t shorter = left_key.len < right_key.len ? left_key.len : right_key.len;
    int order = memcmp(left_key.data, right_key.data, shorter);
    return order != 0 ? order : (left_key.len > right_key.len) - (left_key.len < right_key.len);
}

static void free_spilled(struct budget *budget, struct chain *chain)
{
    struct txn_manager *manager = budget->manager;
    uint64_t bytes = sizeof(*chain) + chain->key_len;

    for (struct version *entry = chain->head, *older; entry != NULL; entry = older) {
        older = entry->older;
        bytes += entry->bytes;
        writer__unref(entry->writer);
        mem_free(entry->moved_to);
        mem_free(entry);
    }
    atomic_fetch_add_explicit(&budget->entries, chain->length, memory_order_relaxed);
    atomic_fetch_sub_explicit(&manager->version_bytes, bytes, memory_order_relaxed);
    mem_free(chain);
}

/* A chain whose item could not be written. */
static void take_back(struct budget *budget, struct budget_shard *shard, struct victim *victim)
{
    struct chain *chain = victim->chain;

    forget_writers(shard, victim->item);
    struct bucket *bucket = version__lock(budget->manager, chain->hash);
    bucket->spilled--;
    version__add_chain(bucket, chain);
    atomic_fetch_or_explicit(&budget->used[(chain->hash & (TXN_BUCKETS - 1)) / 64], UINT64_C(1) << (chain->hash & 63),
                             memory_order_relaxed);
    list_again(budget->manager, bucket, chain, NULL);
    version__unlock(bucket);
}

/* False when nothing was spilled. */
static bool spill_some(struct budget *budget, struct budget_shard *shard, struct victim *victims)
{
    struct op op;
    size_t done = 0;

    os_mutex_lock(&shard->mutex);
    size_t count = collect(budget, shard, victims);
    qsort(victims, count, sizeof(*victims), compare_victims);
    op_init(&op);
    while (done < count && spill__put(&op, &shard->tree, victims[done].item) == 0) {
        free_spilled(budget, victims[done].chain);
        mem_free(victims[done++].item);
    }
    op_end(&op);
    for (size_t i = done; i < count; i++) {
        take_back(budget, shard, &victims[i]);
        mem_free(victims[i].item);
    }
    os_mutex_unlock(&shard->mutex);
    atomic_fetch_add_explicit(&budget->spilled, done, memory_order_relaxed);
    return done > 0;
}

static void give_up(struct txn_manager *manager);

void budget__keep(struct txn_manager *manager)
{
    struct budget *budget = manager->budget;
    uint64_t limit = budget->chains_limit;

    if (memory_of(manager) <= limit) {
        return;
    }
    struct victim *victims = mem_alloc(VICTIMS * sizeof(*victims));
    uint32_t fruitless = 0;
    while (victims != NULL && memory_of(manager) > limit - limit / 16 && fruitless < budget->shard_count) {
        uint32_t next = atomic_fetch_add_explicit(&budget->next_shard, 1, memory_order_relaxed) % budget->shard_count;
        fruitless = spill_some(budget, &budget->shards[next], victims) ? 0 : fruitless + 1;
    }
    mem_free(victims);
    if (memory_of(manager) > limit) {
        give_up(manager);
    }
}

void budget__stow(struct txn_manager *manager, uint64_t hash, struct tree_info *info, struct bytes key)
{
    struct budget *budget = manager->budget;
    struct budget_shard *shard = shard_of(budget, hash);
    struct victim victim = { .item = NULL };
    struct op op;

    if (memory_of(manager) <= budget->chains_limit / 8 * 7) {
        return;
    }
    op_init(&op);
    os_mutex_lock(&shard->mutex);
    struct bucket *bucket = version__lock(manager, hash);
    victim.chain = version__find(bucket, hash, info, key);
    if (victim.chain != NULL && is_movable(victim.chain)) {
        victim.item = make_item(budget, shard, bucket, victim.chain);
    }
    if (victim.item != NULL) {
        unlink_chain(bucket, victim.chain);
    }
    version__unlock(bucket);
    if (victim.item != NULL && spill__put(&op, &shard->tree, victim.item) == 0) {
        free_spilled(budget, victim.chain);
        atomic_fetch_add_explicit(&budget->spilled, 1, memory_order_relaxed);
    } else if (victim.item != NULL) {
        take_back(budget, shard, &victim);
    }
    os_mutex_unlock(&shard->mutex);
    mem_free(victim.item);
    op_end(&op);
}

/* ---- bringing back -------------------------------------------------------------------------------- */

/* With one reference, for its entry. */
static struct txn *new_stray(struct op *op, struct txn_manager *manager, TxnId id, CommitTs ts)
{
    struct txn *txn = writer__new(op, manager, id);

    if (txn == NULL) {
        return NULL;
    }
    atomic_store(&txn->commit_ts, ts);
    atomic_store(&txn->ended, true);
    txn->stray = txn->queued = true;
    atomic_fetch_add_explicit(&manager->stray_count, 1, memory_order_relaxed);
    os_mutex_lock(&manager->commits);
    txn->purge_prev = &manager->strays;
    txn->purge_next = manager->strays.purge_next;
    txn->purge_next->purge_prev = txn;
    manager->strays.purge_next = txn;
    manager->oldest_stray = ts < manager->oldest_stray ? ts : manager->oldest_stray;
    os_mutex_unlock(&manager->commits);
    return txn;
}

static struct version *new_entry(struct op *op, const struct spill_entry *from)
{
    struct version *entry = mem_calloc(1, sizeof(*entry) + from->before_len);
    const uint8_t *bytes = (const uint8_t *)(from + 1);

    if (entry != NULL && from->moved_to_len > 0) {
        entry->moved_to = mem_alloc(from->moved_to_len);
        if (entry->moved_to == NULL) {
            mem_free(entry);
            entry = NULL;
        }
    }
    if (entry == NULL) {
        op_out_of_memory(op);
        return NULL;
    }
    entry->lsn = from->lsn;
    entry->command = from->command;
    entry->kind = from->kind;
    entry->lock_mode = from->lock_mode;
    entry->before_present = from->before_present;
    entry->before_overflow = from->before_overflow;
    entry->reborn = from->reborn;
    entry->rekeyed = from->rekeyed;
    entry->gap = from->gap;
    entry->before_len = from->before_len;
    memcpy(entry->before, bytes, from->before_len);
    entry->moved_to_len = from->moved_to_len;
    if (from->moved_to_len > 0) {
        memcpy(entry->moved_to, bytes + from->before_len, from->moved_to_len);
    }
    entry->bytes = (uint32_t)(sizeof(*entry) + from->before_len + from->moved_to_len);
    return entry;
}

static bool is_aborted(struct budget_shard *shard, const struct spill_entry *entry)
{
    return entry->ts == 0 && writer__ts((*find_writer(shard, entry->writer))->txn) == TXN_TS_ABORTED;
}

/* Not one of them is in a list yet. */
static void free_entries(struct version *entry)
{
    for (struct version *older; entry != NULL; entry = older) {
        older = entry->older;
        writer__unref(entry->writer);
        version__discard(entry);
    }
}

/* The entries of the item, each with a reference to its writer; NULL in *head when all of them were aborted. */
static int make_entries(struct op *op, struct txn_manager *manager, struct budget_shard *shard, struct spill_item *item,
                        struct version **head)
{
    struct spill_entry *from = spill__first(item);
    struct version **end = head;

    *head = NULL;
    for (uint32_t i = 0; i < item->entries; i++, from = spill__next(from)) {
        if (is_aborted(shard, from)) {
            continue;
        }
        struct version *entry = new_entry(op, from);
        if (entry == NULL) {
            return OP_FAILED;
        }
        if (from->ts != 0) {
            entry->writer = new_stray(op, manager, from->writer, from->ts);
        } else {
            entry->writer = (*find_writer(shard, from->writer))->txn;
            writer__ref(entry->writer);
        }
        if (entry->writer == NULL) {
            version__discard(entry);
            return OP_FAILED;
        }
        *end = entry;
        end = &entry->older;
    }
    return 0;
}

/* Puts the entries on the chain and in the lists of their writers.  Whose writer was purged meanwhile is seen by all, and so are all below it.  The
 * bucket's latch is held, so that purge, which may find them in the lists at once, waits until they are on the chain. */
static void attach(struct txn_manager *manager, struct chain *chain, struct version *head)
{
    struct version **end = &chain->head;
    bool deleted = head != NULL && head->kind == VERSION_DELETE;

    for (struct version *entry = head, *older; entry != NULL; entry = older) {
        older = entry->older;
        entry->chain = chain;
        if (!version__list(entry)) {
            *end = NULL;
            free_entries(entry);
            break;
        }
        *end = entry;
        end = &entry->older;
        if (chain->length++ == 0) {
            budget__note_chain(manager, chain);
        }
        atomic_fetch_add_explicit(&manager->version_bytes, entry->bytes, memory_order_relaxed);
    }
    if (chain->length == 0 && deleted) {
        purge__ghost(manager, chain->info, (struct bytes){ chain->key, chain->key_len });
    }
}

/* Entries that are no more, on page or chain. */
static void uncount(struct budget *budget, struct tree_info *info, uint64_t entries)
{
    atomic_fetch_sub_explicit(&info->entries, entries, memory_order_release);
    atomic_fetch_sub_explicit(&budget->entries, entries, memory_order_relaxed);
}

/* Those of losers were counted by their tree apart. */
static void uncount_aborted(struct budget_shard *shard, struct tree_info *info, struct spill_item *item)
{
    struct spill_entry *entry = spill__first(item);

    for (uint32_t i = 0; i < item->entries; i++, entry = spill__next(entry)) {
        if (is_aborted(shard, entry) && (*find_writer(shard, entry->writer))->txn->recovered) {
            atomic_fetch_sub_explicit(&info->recovered, 1, memory_order_release);
        }
    }
}

int budget__load(struct op *op, struct txn_manager *manager, uint64_t hash, struct tree_info *info, struct bytes key)
{
    struct budget *budget = manager->budget;
    struct budget_shard *shard = shard_of(budget, hash);
    struct bucket *bucket = version__lock(manager, hash);
    bool there = version__find(bucket, hash, info, key) != NULL, spilled = bucket->spilled > 0;
    struct spill_item *item;
    struct version *head;

    version__unlock(bucket);
    if (there || !spilled) {
        return 0;
    }
    if (spill__find(op, &shard->tree, info->id, key, &item) != 0) {
        return OP_FAILED;
    }
    if (item == NULL) {
        return 0;
    }
    struct chain *chain = version__new_chain(op, manager, info, hash, key);
    if (chain == NULL || make_entries(op, manager, shard, item, &head) != 0) {
        free_entries(chain != NULL ? head : NULL);
        mem_free(chain);
        return OP_FAILED;
    }
    version__lock(manager, hash);
    attach(manager, chain, head);
    bucket->spilled--;
    atomic_fetch_sub_explicit(&budget->entries, chain->length, memory_order_relaxed);
    uncount_aborted(shard, info, item);
    uncount(budget, info, item->entries - chain->length);
    version__add_chain(bucket, chain);
    version__drop_chain(bucket, chain);     /* if no entry was left */
    version__unlock(bucket);
    forget_writers(shard, item);
    spill__remove(&shard->tree, item);
    atomic_fetch_add_explicit(&budget->loaded, 1, memory_order_relaxed);
    return 0;
}

/* ---- reading what is spilled ---------------------------------------------------------------------- */

/* *writer is set when it is known. */
static bool is_visible(struct budget_shard *shard, const struct spill_entry *entry, const struct view *view, struct txn **writer)
{
    CommitTs ts = entry->ts;

    *writer = NULL;
    if (ts == 0) {
        *writer = (*find_writer(shard, entry->writer))->txn;
        if (*writer == view->own) {
            return entry->command < view->command;
        }
        ts = writer__ts(*writer);
    }
    return ts != 0 && ts <= view->read_ts;
}

int budget__resolve(struct op *op, struct txn_manager *manager, uint64_t hash, const struct tree_info *info, const struct view *view,
                    struct bytes key, struct arena *arena, struct resolved *out, bool *found)
{
    struct budget_shard *shard = shard_of(manager->budget, hash);
    struct spill_entry *hidden = NULL;
    struct txn *writer, *hider = NULL;
    struct spill_item *item;

    *found = false;
    if (spill__find(op, &shard->tree, info->id, key, &item) != 0) {
        return OP_FAILED;
    }
    if (item == NULL) {
        return 0;
    }
    *found = true;
    atomic_fetch_add_explicit(&manager->budget->read, 1, memory_order_relaxed);
    struct spill_entry *entry = spill__first(item);
    for (uint32_t i = 0; i < item->entries; i++, entry = spill__next(entry)) {
        if (is_visible(shard, entry, view, &writer)) {
            out->settled = true;
            if (hidden == NULL) {
                out->since = entry->ts != 0 ? entry->ts : writer != view->own ? writer__ts(writer) : UINT64_MAX;
            }
            break;
        }
        out->since = UINT64_MAX;
        hidden = entry;
        hider = writer;
    }
    if (hidden == NULL) {
        return 0;
    }
    if (hider != NULL && hider != view->own && hider->ssi != NULL) {
        out->newer = hider->ssi;
        ssi__ref(out->newer);
    }
    out->present = hidden->before_present;
    out->overflow = hidden->before_overflow;
    out->copied = true;
    uint8_t *copy = arena_alloc(arena, hidden->before_len + 1);
    if (copy == NULL) {
        return op_out_of_memory(op);
    }
    memcpy(copy, hidden + 1, hidden->before_len);
    out->value = (struct bytes){ hidden->before_present ? copy : NULL, hidden->before_len };
    return 0;
}

bool budget__has(struct txn_manager *manager, uint64_t hash, const struct tree_info *info, struct bytes key)
{
    struct budget_shard *shard = shard_of(manager->budget, hash);
    struct spill_item *item;
    struct op op;

    op_init(&op);
    os_mutex_lock(&shard->mutex);
    struct bucket *bucket = version__lock(manager, hash);
    bool has = version__find(bucket, hash, info, key) != NULL;
    version__unlock(bucket);
    has = has || spill__find(&op, &shard->tree, info->id, key, &item) != 0 || item != NULL;
    os_mutex_unlock(&shard->mutex);
    op_end(&op);
    return has;
}

/* ---- sweeping ------------------------------------------------------------------------------------- */

struct sweep {
    struct budget *budget;
    struct budget_shard *shard;
    CommitTs horizon;
    bool writers_due;
};

static bool writers_due(const struct budget_shard *shard, CommitTs horizon)
{
    for (size_t i = 0; i < SPILLED_WRITERS && shard->tree.pending > 0; i++) {
        for (const struct spilled_writer *writer = shard->writers[i]; writer != NULL; writer = writer->next) {
            CommitTs ts = writer__ts(writer->txn);
            if (ts != 0 && ts <= horizon) {
                return true;
            }
        }
    }
    return false;
}

static bool is_due(void *arg, const struct spill_leaf *leaf)
{
    struct sweep *sweep = arg;

    return leaf->marks.oldest <= sweep->horizon || (leaf->marks.pending > 0 && sweep->writers_due);
}

/* How many entries of the item somebody may still need: those above the newest that everybody sees. */
static uint32_t needed(struct sweep *sweep, struct spill_item *item)
{
    struct spill_entry *entry = spill__first(item);

    for (uint32_t i = 0; i < item->entries; i++, entry = spill__next(entry)) {
        CommitTs ts = entry->ts != 0 ? entry->ts : writer__ts((*find_writer(sweep->shard, entry->writer))->txn);
        if (ts != 0 && ts <= sweep->horizon) {
            return i;
        }
    }
    return item->entries;
}

static void settle(void *arg, struct spill_item *item)
{
    struct sweep *sweep = arg;
    struct txn_manager *manager = sweep->budget->manager;
    struct tree_info *info = manager__known_tree(manager, item->tree);
    struct spill_entry *entry = spill__first(item);
    bool deleted = entry->kind == VERSION_DELETE;
    uint32_t keep = needed(sweep, item);

    for (uint32_t i = 0; i < item->entries; i++, entry = spill__next(entry)) {
        if (i >= keep && entry->ts == 0) {
            forget_writer(sweep->shard, entry->writer);
        }
    }
    if (keep == 0) {
        uint64_t hash = version__hash(item->tree, spill__key(item));
        struct bucket *bucket = version__lock(manager, hash);
        bucket->spilled--;
        version__unlock(bucket);
        if (deleted) {
            purge__ghost(manager, info, spill__key(item));
        }
    }
    uncount(sweep->budget, info, item->entries - keep);
    item->entries = keep;
}

bool budget__due(struct txn_manager *manager, CommitTs horizon)
{
    struct budget *budget = manager->budget;
    bool due = spill__can_be_cut(budget->file);

    for (uint32_t i = 0; i < budget->shard_count && !due && atomic_load(&budget->entries) > 0; i++) {
        struct budget_shard *shard = &budget->shards[i];
        os_mutex_lock(&shard->mutex);
        due = shard->tree.oldest <= horizon || writers_due(shard, horizon);
        os_mutex_unlock(&shard->mutex);
    }
    return due;
}

/* What cannot be read stays. */
static void sweep_shard(struct budget *budget, struct budget_shard *shard, CommitTs horizon)
{
    struct sweep sweep = { .budget = budget, .shard = shard, .horizon = horizon };
    struct op op;
    size_t at = 0;
    bool done = false;

    op_init(&op);
    while (!done) {
        os_mutex_lock(&shard->mutex);
        sweep.writers_due = writers_due(shard, horizon);
        if (shard->tree.oldest > horizon && !sweep.writers_due) {
            done = true;
        } else if (spill__sweep(&op, &shard->tree, &at, SWEEP_LEAVES, is_due, settle, &sweep, &done) != 0) {
            done = true;
        }
        os_mutex_unlock(&shard->mutex);
    }
    op_end(&op);
}

void budget__sweep(struct txn_manager *manager, CommitTs horizon)
{
    struct budget *budget = manager->budget;

    if (PLANTED("txn-spill-freed-early")) {
        horizon = txn_visible_ts(manager);
    }
    for (uint32_t i = 0; i < budget->shard_count; i++) {
        sweep_shard(budget, &budget->shards[i], horizon);
    }
    spill__cut(budget->file);
}

/* ---- who keeps what ------------------------------------------------------------------------------- */

static void measure_memory(struct txn_manager *manager, CommitTs since, uint64_t *versions, uint64_t *bytes)
{
    for (uint64_t word = 0; word < TXN_BUCKETS / 64; word++) {
        uint64_t bits = atomic_load_explicit(&manager->budget->used[word], memory_order_relaxed);
        for (; bits != 0; bits &= bits - 1) {
            struct bucket *bucket = version__lock(manager, word * 64 + (uint64_t)__builtin_ctzll(bits));
            for (struct chain *chain = bucket->first; chain != NULL; chain = chain->next) {
                for (struct version *entry = chain->head; entry != NULL; entry = entry->older) {
                    CommitTs ts = writer__ts(entry->writer);
                    if (ts != 0 && ts != TXN_TS_ABORTED && ts > since) {
                        ++*versions;
                        *bytes += entry->bytes;
                    }
                }
            }
            version__unlock(bucket);
        }
    }
}

/* Of writers that the entries still ask. */
static uint64_t pending_since(const struct budget_shard *shard, CommitTs since)
{
    uint64_t entries = 0;

    for (size_t i = 0; i < SPILLED_WRITERS; i++) {
        for (const struct spilled_writer *writer = shard->writers[i]; writer != NULL; writer = writer->next) {
            CommitTs ts = writer__ts(writer->txn);
            if (ts != 0 && ts != TXN_TS_ABORTED && ts > since) {
                entries += writer->entries;
            }
        }
    }
    return entries;
}

/* Of a leaf that lies on both sides of the snapshot: half. */
static void measure_shard(struct budget_shard *shard, CommitTs since, uint64_t *versions, uint64_t *bytes)
{
    uint64_t newer = pending_since(shard, since), entries = 0, used = 0;

    for (size_t k = 0; k < shard->tree.count; k++) {
        const struct spill_leaf *leaf = shard->tree.leaves[k];
        const struct spill_marks *marks = &leaf->marks;
        uint64_t known = marks->entries - marks->pending;
        entries += marks->entries;
        used += leaf->used;
        if (known > 0 && marks->newest > since) {
            newer += marks->oldest > since ? known : (known + 1) / 2;
        }
    }
    if (entries > 0) {
        *versions += newer;
        *bytes += (uint64_t)((double)used / (double)entries * (double)newer);
    }
}

static void measure_file(struct txn_manager *manager, CommitTs since, uint64_t *versions, uint64_t *bytes)
{
    struct budget *budget = manager->budget;

    for (uint32_t i = 0; i < budget->shard_count; i++) {
        struct budget_shard *shard = &budget->shards[i];
        os_mutex_lock(&shard->mutex);
        measure_shard(shard, since, versions, bytes);
        os_mutex_unlock(&shard->mutex);
    }
}

static struct slot *oldest_slot(struct txn_manager *manager, CommitTs *read_ts)
{
    struct slot *oldest = NULL;
    unsigned chunks = atomic_load(&manager->slot_chunks);

    *read_ts = TXN_GIVEN_UP;
    for (unsigned c = 0; c < chunks; c++) {
        struct slot *chunk = atomic_load(&manager->slots[c]);
        for (int i = 0; i < TXN_SLOT_CHUNK; i++) {
            CommitTs ts = atomic_load(&chunk[i].read_ts);
            if (ts < *read_ts) {
                *read_ts = ts;
                oldest = &chunk[i];
            }
        }
    }
    return oldest;
}

static bool is_over(struct txn_manager *manager)
{
    return memory_of(manager) > manager->budget->chains_limit;
}

/* An eighth of the store or more is there because this snapshot or younger ones do not see it. */
static bool is_to_blame(struct txn_manager *manager, CommitTs read_ts)
{
    uint64_t versions = 0, bytes = 0;

    measure_memory(manager, read_ts, &versions, &bytes);
    measure_file(manager, read_ts, &versions, &bytes);
    return bytes * 8 >= memory_of(manager) + spill__file_bytes(manager->budget->file);
}

/* Nothing more can be spilled.  One snapshot at a time, the oldest first, and each time what it alone had kept is freed. */
static void give_up(struct txn_manager *manager)
{
    struct budget *budget = manager->budget;
    CommitTs read_ts;

    if (!os_mutex_try_lock(&budget->giving_up)) {
        return;
    }
    if (os_clock_ns() >= budget->give_up_after) {
        version__purge_committed(manager, snapshot__horizon(manager));
        budget__sweep(manager, snapshot__horizon(manager));
        struct slot *slot = is_over(manager) ? oldest_slot(manager, &read_ts) : NULL;
        if (slot != NULL && is_to_blame(manager, read_ts) &&
            atomic_compare_exchange_strong(&slot->read_ts, &read_ts, TXN_GIVEN_UP)) {
            atomic_fetch_add(&budget->given_up, 1);
            CommitTs horizon = snapshot__horizon(manager);
            version__purge_committed(manager, horizon);
            budget__sweep(manager, horizon);
        } else {
            budget->give_up_after = os_clock_ns() + (uint64_t)GIVE_UP_PAUSE_MS * 1000 * 1000;
        }
    }
    os_mutex_unlock(&budget->giving_up);
}

void txn_version_stats(struct txn_manager *manager, struct txn_version_stats *stats)
{
    struct budget *budget = manager->budget;

    *stats = (struct txn_version_stats){
        .memory = memory_of(manager) + (atomic_load(&budget->spilled) > 0 ? budget->frame_bytes : 0),
        .memory_limit = budget->memory_limit,
        .disk = spill__file_bytes(budget->file),
        .disk_limit = budget->disk_limit,
        .spilled_entries = atomic_load(&budget->entries),
        .spills = atomic_load(&budget->spilled),
        .loads = atomic_load(&budget->loaded),
        .reads = atomic_load(&budget->read),
        .snapshots_given_up = atomic_load(&budget->given_up),
    };
}

static int compare_ages(const void *a, const void *b)
{
    uint64_t left = ((const struct txn_snapshot_info *)a)->age_us, right = ((const struct txn_snapshot_info *)b)->age_us;

    return (left < right) - (left > right);
}

int txn_snapshots(struct op *op, struct txn_manager *manager, struct txn_snapshot_info **list, size_t *count)
{
    uint64_t now = os_clock_ns();
    size_t capacity = atomic_load(&manager->session_count) + 16;

    *count = 0;
    *list = op_arena_alloc(op, &op->arena, capacity * sizeof(**list));
    if (*list == NULL) {
        return OP_FAILED;
    }
    os_mutex_lock(&manager->mutex);
    for (struct txn_session *session = manager->sessions; session != NULL && *count < capacity; session = session->next) {
        CommitTs read_ts = atomic_load(&session->slot->read_ts);
        uint64_t taken = atomic_load_explicit(&session->slot->taken_ns, memory_order_relaxed);
        if (read_ts != TXN_NO_SNAPSHOT) {
            (*list)[(*count)++] = (struct txn_snapshot_info){
                .session = session->number, .read_ts = read_ts, .age_us = now > taken ? (now - taken) / 1000 : 0,
                .given_up = read_ts == TXN_GIVEN_UP, .active = atomic_load(&session->slot->reading),
            };
        }
    }
    os_mutex_unlock(&manager->mutex);
    if (*count > 1) {
        qsort(*list, *count, sizeof(**list), compare_ages);
    }
    for (size_t i = 0; i < *count; i++) {
        struct txn_snapshot_info *info = &(*list)[i];
        if (!info->given_up) {
            measure_memory(manager, info->read_ts, &info->versions, &info->bytes);
            measure_file(manager, info->read_ts, &info->versions, &info->bytes);
        }
    }
    return 0;
}

/* ---- open and close ------------------------------------------------------------------------------- */

static int open_shards(struct op *op, struct budget *budget, uint64_t page_size)
{
    uint64_t memory = budget->memory_limit, count = 1;

    while (count < SHARDS_MAX && count * 2 * SHARD_BYTES <= memory) {
        count *= 2;
    }
    uint64_t frames = memory / 8 / page_size / count;
    frames = frames < 2 ? 2 : frames > 64 ? 64 : frames;
    uint64_t taken = frames * count * page_size;
    budget->frame_bytes = taken;
    budget->chains_limit = taken < memory / 2 ? memory - taken : memory / 2;
    budget->shards = mem_calloc(count, sizeof(*budget->shards));
    if (budget->shards == NULL) {
        return op_out_of_memory(op);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct budget_shard *shard = &budget->shards[i];
        os_mutex_init(&shard->mutex, RANK_VERSION_SPILL);
        budget->shard_count++;
        shard->words = (uint32_t)(TXN_BUCKETS / 64 / count);
        shard->first = i * shard->words;
        if (spill__tree_open(op, budget->file, (int)frames, &shard->tree) != 0) {
            return OP_FAILED;
        }
    }
    return 0;
}

int budget__open(struct op *op, struct txn_manager *manager)
{
    struct budget *budget = mem_calloc(1, sizeof(*budget));
    uint32_t page_size = 2 * buf_page_size(store_buf(manager->store));

    if (budget == NULL) {
        return op_out_of_memory(op);
    }
    manager->budget = budget;
    budget->manager = manager;
    os_mutex_init(&budget->giving_up, RANK_VERSION_BUDGET);
    budget->memory_limit = manager->options.version_memory != 0 ? manager->options.version_memory : DEFAULT_MEMORY;
    budget->disk_limit = manager->options.version_disk != 0 ? manager->options.version_disk : DEFAULT_DISK;
    budget->used = mem_calloc(TXN_BUCKETS / 64, sizeof(*budget->used));
    if (budget->used == NULL) {
        return op_out_of_memory(op);
    }
    uint32_t usual = budget->memory_limit / 64 < PAGE_USUAL ? PAGE_MIN : PAGE_USUAL;
    page_size = page_size < usual ? usual : page_size;
    if (spill__open(op, store_vfs(manager->store), store_path(manager->store), page_size, budget->disk_limit,
                    &budget->file) != 0) {
        return OP_FAILED;
    }
    return open_shards(op, budget, page_size);
}

void budget__close(struct txn_manager *manager)
{
    struct budget *budget = manager->budget;

    if (budget == NULL) {
        return;
    }
    for (uint32_t i = 0; i < budget->shard_count; i++) {
        struct budget_shard *shard = &budget->shards[i];
        for (size_t k = 0; k < SPILLED_WRITERS; k++) {
            for (struct spilled_writer *writer = shard->writers[k], *next; writer != NULL; writer = next) {
                next = writer->next;
                writer__unref(writer->txn);
                mem_free(writer);
            }
        }
        spill__tree_close(&shard->tree);
        os_mutex_destroy(&shard->mutex);
    }
    spill__close(budget->file);
    os_mutex_destroy(&budget->giving_up);
    mem_free(budget->shards);
    mem_free((void *)budget->used);
    mem_free(budget);
    manager->budget = NULL;
}
