/*
 * watch.c -- what changes hands while CHECK looks.
 *
 * A check counts pages by walking trees for a while, in which pages are taken and freed, and overflow chains go from records to the
 * graveyard and back.  So as long as one runs, each such change is noted here:
 *
 *  - by log_bit (alter.c), under the latch of the page of the free map: this page was taken or freed;
 *  - by grave_apply, under the latches of record and entry: this chain has another owner, or begins further on now;
 *  - by btree__drop_step: this tree is being freed.
 *
 * W1  The note is made before the latches go under which the change is made.  So whoever sees the new state finds the note.
 * W2  Whoever finds no watch has latched his pages before it began; the check sees only what he left.
 *
 * Without a check all of this costs one load.  A note that finds no memory makes the check fail, not the change.
 */
#include <string.h>

#include "btree/btree_int.h"
#include "src/base/hash.h"
#include "src/base/mem.h"

struct watch {
    PageNo page_count;          /* pages from here on count as moved */
    uint8_t *moved;             /* a bit per page */
    struct reference *chains;   /* open addressing by tail; tail 0: empty */
    size_t chain_size, chain_count;
    TreeId *dropping;           /* trees that are being freed; each is entered once */
    size_t dropping_count, dropping_capacity;
    bool lost;                  /* a note found no memory */
};

int watch_begin(struct op *op, struct store *store, PageNo *page_count)
{
    struct watch *watch = op_heap_alloc(op, sizeof *watch);
    if (watch == NULL)
        return OP_FAILED;
    memset(watch, 0, sizeof *watch);
    watch->page_count = space_limit(store);
    watch->moved = op_heap_alloc(op, (size_t)(watch->page_count / 8 + 1));
    if (watch->moved == NULL) {
        mem_free(watch);
        return OP_FAILED;
    }
    memset(watch->moved, 0, (size_t)(watch->page_count / 8 + 1));
    os_mutex_lock(&store->space.mutex);
    bool busy = atomic_load(&store->watch) != NULL;
    if (!busy)
        atomic_store(&store->watch, watch);
    os_mutex_unlock(&store->space.mutex);
    if (busy) {
        mem_free(watch->moved);
        mem_free(watch);
        return op_fail(op, "55006", "another check of this database is under way");
    }
    *page_count = watch->page_count;
    return OP_OK;
}

void watch_end(struct store *store)
{
    os_mutex_lock(&store->space.mutex);
    struct watch *watch = atomic_exchange(&store->watch, NULL);
    os_mutex_unlock(&store->space.mutex);
    mem_free(watch->moved);
    mem_free(watch->chains);
    mem_free(watch->dropping);
    mem_free(watch);
}

/* ---- notes ---------------------------------------------------------------------------------------- */

void watch_page(struct store *store, PageNo page)
{
    if (atomic_load(&store->watch) == NULL)
        return;
    os_mutex_lock(&store->space.mutex);
    struct watch *watch = atomic_load(&store->watch);
    if (watch != NULL && page < watch->page_count)
        watch->moved[page / 8] |= (uint8_t)(1u << (page % 8));
    os_mutex_unlock(&store->space.mutex);
}

static bool is_moved(const struct watch *watch, PageNo page)
{
    return page >= watch->page_count || (watch->moved[page / 8] >> (page % 8) & 1);
}

static struct reference *place_of(struct reference *chains, size_t size, PageNo tail)
{
    size_t i = hash_u64(tail) & (size - 1);
    while (chains[i].tail != 0 && chains[i].tail != tail)
        i = (i + 1) & (size - 1);
    return &chains[i];
}

static bool grow_chains(struct watch *watch)
{
    size_t size = watch->chain_size != 0 ? 2 * watch->chain_size : 64;
    struct reference *chains = mem_calloc(size, sizeof *chains);
    if (chains == NULL)
        return false;
    for (size_t i = 0; i < watch->chain_size; i++)
        if (watch->chains[i].tail != 0)
            *place_of(chains, size, watch->chains[i].tail) = watch->chains[i];
    mem_free(watch->chains);
    watch->chains = chains;
    watch->chain_size = size;
    return true;
}

static void note_chain(struct watch *watch, const struct reference *reference)
{
    if (is_moved(watch, reference->tail))
        return;     /* all of it is new */
    if (2 * (watch->chain_count + 1) > watch->chain_size && !grow_chains(watch)) {
        watch->lost = true;
        return;
    }
    struct reference *place = place_of(watch->chains, watch->chain_size, reference->tail);
    watch->chain_count += place->tail == 0;
    *place = *reference;
}

void watch_move(struct store *store, struct bytes stored)
{
    struct reference reference;
    if (atomic_load(&store->watch) == NULL || stored.data == NULL || !reference_get(stored, &reference))
        return;
    os_mutex_lock(&store->space.mutex);
    struct watch *watch = atomic_load(&store->watch);
    if (watch != NULL)
        note_chain(watch, &reference);
    os_mutex_unlock(&store->space.mutex);
}

static bool is_dropping(const struct watch *watch, TreeId tree)
{
    for (size_t i = 0; i < watch->dropping_count; i++)
        if (watch->dropping[i] == tree)
            return true;
    return false;
}

static void note_dropping(struct watch *watch, TreeId tree)
{
    if (watch->dropping_count == watch->dropping_capacity) {
        size_t capacity = watch->dropping_capacity * 2 + 16;
        TreeId *larger = mem_realloc(watch->dropping, capacity * sizeof *larger);
        if (larger == NULL) {
            watch->lost = true;
            return;
        }
        watch->dropping = larger;
        watch->dropping_capacity = capacity;
    }
    watch->dropping[watch->dropping_count++] = tree;
}

void watch_dropping(struct store *store, TreeId tree)
{
    if (atomic_load(&store->watch) == NULL)
        return;
    os_mutex_lock(&store->space.mutex);
    struct watch *watch = atomic_load(&store->watch);
    if (watch != NULL && !is_dropping(watch, tree))
        note_dropping(watch, tree);
    os_mutex_unlock(&store->space.mutex);
}

/* ---- questions of the check, which has begun the watch -------------------------------------------- */

bool watch_moved(struct store *store, PageNo page)
{
    os_mutex_lock(&store->space.mutex);
    bool moved = is_moved(atomic_load(&store->watch), page);
    os_mutex_unlock(&store->space.mutex);
    return moved;
}

bool watch_chain(struct store *store, PageNo tail, struct reference *reference)
{
    os_mutex_lock(&store->space.mutex);
    const struct watch *watch = atomic_load(&store->watch);
    const struct reference *place = watch->chain_size != 0 ? place_of(watch->chains, watch->chain_size, tail) : NULL;
    bool found = place != NULL && place->tail == tail;
    if (found)
        *reference = *place;
    os_mutex_unlock(&store->space.mutex);
    return found;
}

bool watch_chain_moved(struct store *store, PageNo tail)
{
    struct reference reference;
    return watch_chain(store, tail, &reference);
}

int watch_chains(struct op *op, struct store *store, PageNo **tails, size_t *count)
{
    *count = 0;
    os_mutex_lock(&store->space.mutex);
    const struct watch *watch = atomic_load(&store->watch);
    *tails = op_heap_alloc(op, (watch->chain_count + 1) * sizeof **tails);
    for (size_t i = 0; *tails != NULL && i < watch->chain_size; i++)
        if (watch->chains[i].tail != 0)
            (*tails)[(*count)++] = watch->chains[i].tail;
    os_mutex_unlock(&store->space.mutex);
    return *tails != NULL ? OP_OK : OP_FAILED;
}

bool watch_is_dropping(struct store *store, TreeId tree)
{
    os_mutex_lock(&store->space.mutex);
    bool found = is_dropping(atomic_load(&store->watch), tree);
    os_mutex_unlock(&store->space.mutex);
    return found;
}

bool watch_is_lost(struct store *store)
{
    os_mutex_lock(&store->space.mutex);
    bool lost = atomic_load(&store->watch)->lost;
    os_mutex_unlock(&store->space.mutex);
    return lost;
}
