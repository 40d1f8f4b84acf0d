/*
 * siread.c -- what serializable transactions have read: points and intervals of keys.
 *
 * A read is remembered by key, never by page: a point for one key (there or not), an interval for a scan.  Points lie in a
 * hash table by (tree, key), intervals in a list of their tree.  The writer of a key asks both who has read it.
 *
 *      scan  k >= 10 and k < 40  so far:    [10 ......... 31)      31 is the fence of the last leaf visited
 *      stopped by LIMIT at row 17:          [10 .. 17]
 *
 * R1  A read is recorded while the leaf on which it is judged is latched; a writer looks for readers after its entry is on its
 *     chain.  So of a read and a write of one key, one meets the other.
 * R2  An interval covers what was looked at and nothing else: up to the fence, or to the row where the scan was stopped.
 * R3  Records stay, also when the transaction rolls back to a savepoint, until every transaction that was in progress when
 *     the reader ended has ended too.
 * R4  A record's key says where somebody looked; its predicate says what of it mattered.  A write matters if a row comes into what was
 *     read, goes from it, or stays in it with other contents in a column that was read; without a predicate every write does.
 *
 * Differs from PostgreSQL, which locks pages and tuples and falls back to whole relations under pressure
 * [PG12]: a key interval does not grow when pages split, and does not depend on the plan's page accesses.
 */
#include <stdlib.h>

#include "txn/ssi_int.h"

/* ---- points --------------------------------------------------------------------------------------- */

struct siread_bucket *siread__lock_bucket(struct ssi *ssi, uint64_t hash)
{
    struct siread_bucket *bucket = &ssi->buckets[hash & (SIREAD_BUCKETS - 1)];

    RANK_ENTER(RANK_SSI);
    for (unsigned spins = 0; atomic_exchange_explicit(&bucket->latch, 1, memory_order_acquire) != 0;) {
        if (++spins < 64) {
            os_pause();
        } else {
            os_yield();
        }
    }
    return bucket;
}

void siread__unlock_bucket(struct siread_bucket *bucket)
{
    atomic_store_explicit(&bucket->latch, 0, memory_order_release);
    RANK_LEAVE(RANK_SSI);
}

bool siread__is_point(const struct siread_point *point, uint64_t hash, const struct tree_info *info, struct bytes key)
{
    return point->hash == hash && point->info == info && point->key_len == key.len &&
           memcmp(point->key, key.data, key.len) == 0;
}

static int widen(struct op *op, struct ssi_txn *from, struct ssi_txn *to);
static struct ssi_range *find_wide(const struct ssi_txn *self, const struct tree_info *info, const struct txn_predicate *predicate);
static int widen_to(struct op *op, struct ssi_range *wide, struct bytes key);
static int widen_with_range(struct op *op, struct ssi_txn *to, const struct ssi_range *range);

static struct txn_predicate *hold(struct txn_predicate *predicate)
{
    if (predicate != NULL) {
        atomic_fetch_add_explicit(&predicate->references, 1, memory_order_relaxed);
    }
    return predicate;
}

void txn_predicate_release(struct txn_predicate *predicate)
{
    if (predicate != NULL && atomic_fetch_sub_explicit(&predicate->references, 1, memory_order_acq_rel) == 1) {
        predicate->free(predicate);
    }
}

/* Both are of the reader's making, or shared by all. */
static bool same_predicate(const struct txn_predicate *recorded, const struct txn_predicate *asked)
{
    return recorded == NULL || recorded == asked;
}

int ssi__read_point(struct op *op, struct txn_session *session, struct tree_info *info, struct bytes key,
                    struct txn_predicate *predicate)
{
    struct ssi_txn *self = session->ssi;
    struct ssi *ssi = session->manager->ssi;
    uint64_t hash = version__hash(info->id, key);
    struct siread_point *point;

    if (atomic_load_explicit(&self->safe, memory_order_relaxed)) {
        return 0;
    }
    if (self->point_count >= self->manager->options.reads_each && widen(op, self, self) != 0) {
        return OP_FAILED;
    }
    struct ssi_range *wide = find_wide(self, info, predicate);
    if (wide != NULL) {
        return widen_to(op, wide, key);
    }
    struct siread_bucket *bucket = siread__lock_bucket(ssi, hash);
    for (point = bucket->first; point != NULL; point = point->next) {
        if (point->reader == self && siread__is_point(point, hash, info, key) && same_predicate(point->predicate, predicate)) {
            siread__unlock_bucket(bucket);
            return 0;
        }
    }
    point = arena_alloc(&self->arena, sizeof(*point) + key.len);
    if (point != NULL) {
        point->reader = self;
        point->info = info;
        point->predicate = hold(predicate);
        point->hash = hash;
        point->key_len = (uint32_t)key.len;
        memcpy(point->key, key.data, key.len);
        point->next = bucket->first;
        bucket->first = point;
        point->own_next = self->points;
        self->points = point;
        self->point_count++;
        atomic_fetch_add_explicit(&info->sireads, 1, memory_order_release);
    }
    siread__unlock_bucket(bucket);
    return point != NULL ? 0 : op_out_of_memory(op);
}

static void free_points(struct ssi_txn *self)
{
    struct ssi *ssi = self->manager->ssi;

    for (struct siread_point *point = self->points, *next; point != NULL; point = next) {
        next = point->own_next;
        struct siread_bucket *bucket = siread__lock_bucket(ssi, point->hash);
        struct siread_point **at = &bucket->first;
        while (*at != point) {
            at = &(*at)->next;
        }
        *at = point->next;
        siread__unlock_bucket(bucket);
        atomic_fetch_sub_explicit(&point->info->sireads, 1, memory_order_relaxed);
        txn_predicate_release(point->predicate);
    }
    self->points = NULL;
    self->point_count = 0;
    if (atomic_load_explicit(&self->references, memory_order_relaxed) > 1) {
        arena_free(&self->arena);       /* it may live on for long, as the writer of versions */
    }
}

/* ---- existence -------------------------------------------------------------------------------------- */

static bool comes_or_goes(struct txn_predicate *self, const struct txn_change *change)
{
    return change->was != change->is;
}

static void never_freed(struct txn_predicate *self)
{
    abort();
}

static struct txn_predicate existence = { .references = 1, .matters = comes_or_goes, .free = never_freed };

static int newer_comes_or_goes(void *arg, struct op *op, struct bytes key, const struct bytes *before, const struct bytes *after,
                               bool *matters)
{
    *matters = (before == NULL) != (after == NULL);
    return 0;
}

const struct txn_watch txn_existence = { .predicate = &existence, .newer = newer_comes_or_goes };

int ssi__read_existence(struct op *op, struct txn_session *session, struct tree_info *info, struct bytes key)
{
    return ssi__read_point(op, session, info, key, &existence);
}

/* ---- intervals ------------------------------------------------------------------------------------ */

static int set_bound(struct op *op, struct siread_bound *bound, struct bytes key, bool inclusive)
{
    if (key.data == NULL) {
        bound->unbounded = true;
        return 0;
    }
    if (key.len > bound->capacity || bound->data == NULL) {
        size_t capacity = key.len < 32 ? 32 : key.len + 32;
        uint8_t *grown = mem_realloc(bound->data, capacity);
        if (grown == NULL) {
            return op_out_of_memory(op);
        }
        bound->data = grown;
        bound->capacity = (uint32_t)capacity;
    }
    memcpy(bound->data, key.data, key.len);
    bound->len = (uint32_t)key.len;
    bound->unbounded = false;
    bound->inclusive = inclusive;
    return 0;
}

static int compare(const struct siread_bound *bound, struct bytes key)
{
    size_t shorter = bound->len < key.len ? bound->len : key.len;
    int order = memcmp(bound->data, key.data, shorter);

    return order != 0 ? order : (bound->len > key.len) - (bound->len < key.len);
}

static void free_range(struct ssi_range *range)
{
    txn_predicate_release(range->predicate);
    mem_free(range->low.data);
    mem_free(range->high.data);
    mem_free(range);
}

bool siread__covers(const struct ssi_range *range, struct bytes key)
{
    if (key.data == NULL) {
        return false;
    }
    if (!range->low.unbounded) {
        int order = compare(&range->low, key);
        if (order > 0 || (order == 0 && !range->low.inclusive)) {
            return false;
        }
    }
    if (!range->high.unbounded) {
        int order = compare(&range->high, key);
        if (order < 0 || (order == 0 && !range->high.inclusive)) {
            return false;
        }
    }
    return true;
}

static int grow(struct op *op, struct ssi_range *record, const struct btree_range *range,
                const struct btree_range *covered, bool backward, bool first)
{
    bool low_own = covered->low.data != NULL, high_own = covered->high.data != NULL;

    if ((first || backward) && set_bound(op, &record->low, low_own ? covered->low : range->low,
                                         low_own ? covered->low_inclusive : range->low_inclusive) != 0) {
        return OP_FAILED;
    }
    if ((first || !backward) && set_bound(op, &record->high, high_own ? covered->high : range->high,
                                          high_own ? covered->high_inclusive : range->high_inclusive) != 0) {
        return OP_FAILED;
    }
    return 0;
}

/* Does the record hold all of what a scan has visited?  The owner asks, who alone changes it. */
static bool holds(const struct ssi_range *record, const struct btree_range *asked)
{
    if (!record->low.unbounded) {
        int order = asked->low.data != NULL ? compare(&record->low, asked->low) : 1;
        if (order > 0 || (order == 0 && asked->low_inclusive && !record->low.inclusive)) {
            return false;
        }
    }
    if (!record->high.unbounded) {
        int order = asked->high.data != NULL ? compare(&record->high, asked->high) : -1;
        if (order < 0 || (order == 0 && asked->high_inclusive && !record->high.inclusive)) {
            return false;
        }
    }
    return true;
}

enum { RECENT_RANGES = 4 };

/* The inner side of a join, or a sub-select, is scanned again and again: once is enough. */
static bool is_recorded(const struct ssi_txn *self, const struct tree_info *info, const struct txn_predicate *predicate,
                        const struct btree_range *range, const struct btree_range *covered)
{
    const struct ssi_range *recent = self->ranges;
    bool low = covered->low.data != NULL, high = covered->high.data != NULL;
    struct btree_range asked = {
        .low = low ? covered->low : range->low, .low_inclusive = low ? covered->low_inclusive : range->low_inclusive,
        .high = high ? covered->high : range->high, .high_inclusive = high ? covered->high_inclusive : range->high_inclusive,
    };

    for (int i = 0; i < RECENT_RANGES && recent != NULL; i++, recent = recent->own_next) {
        if (recent->info == info && same_predicate(recent->predicate, predicate) &&
            holds(recent, &asked)) {
            return true;
        }
    }
    return false;
}

int ssi__scan_covers(struct op *op, struct txn_session *session, struct tree_info *info, struct ssi_range **record,
                     struct txn_predicate *predicate, const struct btree_range *range, const struct btree_range *covered,
                     bool backward)
{
    struct ssi_txn *self = session->ssi;
    struct ssi_range *mine = *record;
    bool first = mine == NULL;

    if (atomic_load_explicit(&self->safe, memory_order_relaxed) ||
        (first && is_recorded(self, info, predicate, range, covered))) {
        return 0;
    }
    if (first && self->range_count >= self->manager->options.reads_each) {
        /* Too many scans: this one is recorded as a whole, at once, in the wide interval of the tree. */
        struct ssi_range whole = { .info = info };
        if (set_bound(op, &whole.low, range->low, true) != 0 || set_bound(op, &whole.high, range->high, true) != 0 ||
            widen_with_range(op, self, &whole) != 0) {
            mem_free(whole.low.data);
            mem_free(whole.high.data);
            return OP_FAILED;
        }
        mem_free(whole.low.data);
        mem_free(whole.high.data);
        return 0;
    }
    if (first) {
        mine = mem_calloc(1, sizeof(*mine));
        if (mine == NULL) {
            return op_out_of_memory(op);
        }
        mine->reader = self;
        mine->info = info;
        mine->predicate = hold(predicate);
    }
    os_mutex_lock(&info->range_mutex);
    int rc = grow(op, mine, range, covered, backward, first);
    if (rc == 0 && first) {
        mine->next = info->ranges;
        if (mine->next != NULL) {
            mine->next->prev = mine;
        }
        info->ranges = mine;
        atomic_fetch_add_explicit(&info->sireads, 1, memory_order_release);
    }
    os_mutex_unlock(&info->range_mutex);
    if (first && rc != 0) {
        free_range(mine);
        return OP_FAILED;
    }
    if (first) {
        mine->own_next = self->ranges;
        self->ranges = mine;
        self->range_count++;
        *record = mine;
    }
    return rc;
}

int ssi__scan_stopped(struct op *op, struct tree_info *info, struct ssi_range *record, struct bytes key, bool backward)
{
    os_mutex_lock(&info->range_mutex);
    int rc = set_bound(op, backward ? &record->low : &record->high, key, true);
    os_mutex_unlock(&info->range_mutex);
    return rc;
}

/* ---- widening ------------------------------------------------------------------------------------- */

static struct ssi_range *find_wide(const struct ssi_txn *self, const struct tree_info *info, const struct txn_predicate *predicate)
{
    struct ssi_range *range = self->wides;

    while (range != NULL && (range->info != info || !same_predicate(range->predicate, predicate))) {
        range = range->own_next;
    }
    return range;
}

/* The interval takes the key in. */
static int widen_to(struct op *op, struct ssi_range *wide, struct bytes key)
{
    struct tree_info *info = wide->info;
    int rc = 0;

    os_mutex_lock(&info->range_mutex);
    if (!wide->low.unbounded && compare(&wide->low, key) >= 0) {
        rc = set_bound(op, &wide->low, key, true);
    }
    if (rc == 0 && !wide->high.unbounded && compare(&wide->high, key) <= 0) {
        rc = set_bound(op, &wide->high, key, true);
    }
    os_mutex_unlock(&info->range_mutex);
    return rc;
}

static void link_range(struct ssi_range *range)
{
    struct tree_info *info = range->info;

    os_mutex_lock(&info->range_mutex);
    range->next = info->ranges;
    if (range->next != NULL) {
        range->next->prev = range;
    }
    info->ranges = range;
    os_mutex_unlock(&info->range_mutex);
    atomic_fetch_add_explicit(&info->sireads, 1, memory_order_release);
}

/* The reader's interval in this tree that takes in the key, made if need be. */
static int widen_with_key(struct op *op, struct ssi_txn *to, struct tree_info *info, struct txn_predicate *predicate,
                          struct bytes key)
{
    if (to->wide_count >= WIDES_MAX) {
        predicate = NULL;       /* too many different conditions: from now on it is the keys alone that count */
    }
    struct ssi_range *wide = find_wide(to, info, predicate);
    if (wide != NULL) {
        return widen_to(op, wide, key);
    }
    wide = mem_calloc(1, sizeof(*wide));
    if (wide == NULL) {
        return op_out_of_memory(op);
    }
    wide->reader = to;
    wide->info = info;
    wide->predicate = hold(predicate);
    if (set_bound(op, &wide->low, key, true) != 0 || set_bound(op, &wide->high, key, true) != 0) {
        free_range(wide);
        return OP_FAILED;
    }
    to->wide_count++;
    link_range(wide);
    wide->own_next = to->wides;
    to->wides = wide;
    return 0;
}

/* Takes in a whole interval; an open end opens the wide one too. */
static int widen_with_range(struct op *op, struct ssi_txn *to, const struct ssi_range *range)
{
    static const struct bytes lowest = { (const uint8_t *)"", 0 };
    struct bytes low = range->low.unbounded ? lowest : (struct bytes){ range->low.data, range->low.len };
    struct bytes high = range->high.unbounded ? low : (struct bytes){ range->high.data, range->high.len };

    if (widen_with_key(op, to, range->info, range->predicate, low) != 0 ||
        widen_with_key(op, to, range->info, range->predicate, high) != 0) {
        return OP_FAILED;
    }
    if (range->high.unbounded) {
        struct ssi_range *wide = find_wide(to, range->info, range->predicate);
        if (wide == NULL) {
            wide = find_wide(to, range->info, NULL);
        }
        os_mutex_lock(&range->info->range_mutex);
        wide->high.unbounded = true;
        os_mutex_unlock(&range->info->range_mutex);
    }
    return 0;
}

/* First the wide intervals, then the single reads go: in between a writer meets both, which is harmless. Intervals of scans
 * that are still open stay as they are, since they grow. */
static int widen(struct op *op, struct ssi_txn *from, struct ssi_txn *to)
{
    for (const struct siread_point *point = from->points; point != NULL; point = point->own_next) {
        if (widen_with_key(op, to, point->info, point->predicate, (struct bytes){ point->key, point->key_len }) != 0) {
            return OP_FAILED;
        }
    }
    free_points(from);
    if (from == to) {
        return 0;
    }
    for (const struct ssi_range *range = from->ranges; range != NULL; range = range->own_next) {
        if (widen_with_range(op, to, range) != 0) {
            return OP_FAILED;
        }
    }
    for (const struct ssi_range *range = from->wides; range != NULL; range = range->own_next) {
        if (widen_with_range(op, to, range) != 0) {
            return OP_FAILED;
        }
    }
    return 0;
}

int siread__hand_over(struct op *op, struct ssi_txn *from, struct ssi_txn *to)
{
    if (widen(op, from, to) != 0) {
        return OP_FAILED;
    }
    siread__forget(from);
    return 0;
}

/* info->range_mutex held. */
static void unlist_range(struct ssi_range *range)
{
    *(range->prev != NULL ? &range->prev->next : &range->info->ranges) = range->next;
    if (range->next != NULL) {
        range->next->prev = range->prev;
    }
}

void ssi__scan_closed(struct ssi_range *range)
{
    struct tree_info *info = range->info;

    os_mutex_lock(&info->range_mutex);
    unlist_range(range);
    range->indexed = true;
    range->priority = siread__priority(range);
    siread__index(&info->range_index, range);
    os_mutex_unlock(&info->range_mutex);
}

static void free_range_list(struct ssi_range *ranges)
{
    for (struct ssi_range *range = ranges, *next; range != NULL; range = next) {
        struct tree_info *info = range->info;
        next = range->own_next;
        os_mutex_lock(&info->range_mutex);
        if (range->indexed) {
            siread__unindex(&info->range_index, range);
        } else {
            unlist_range(range);
        }
        os_mutex_unlock(&info->range_mutex);
        atomic_fetch_sub_explicit(&info->sireads, 1, memory_order_relaxed);
        free_range(range);
    }
}

void siread__forget(struct ssi_txn *self)
{
    free_points(self);
    free_range_list(self->ranges);
    free_range_list(self->wides);
    self->ranges = self->wides = NULL;
    self->range_count = self->wide_count = 0;
}
