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
 *
 * Differs from PostgreSQL, which locks pages and tuples and falls back to whole relations under pressure
 * [Ports, Grittner, VLDB 2012]: a key interval does not grow when pages split, and does not depend on the plan's page accesses.
 */
#include "txn/ssi_int.h"

/* ---- points --------------------------------------------------------------------------------------- */

static struct siread_bucket *lock_bucket(struct ssi *ssi, uint64_t hash)
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

static void unlock_bucket(struct siread_bucket *bucket)
{
    atomic_store_explicit(&bucket->latch, 0, memory_order_release);
    RANK_LEAVE(RANK_SSI);
}

static bool is_point(const struct siread_point *point, uint64_t hash, const struct tree_info *info, struct bytes key)
{
    return point->hash == hash && point->info == info && point->key_len == key.len &&
           memcmp(point->key, key.data, key.len) == 0;
}

int ssi__read_point(struct op *op, struct txn_session *session, struct tree_info *info, struct bytes key)
{
    struct ssi_txn *self = session->ssi;
    struct ssi *ssi = session->manager->ssi;
    uint64_t hash = version__hash(info->id, key);
    struct siread_point *point;

    if (atomic_load_explicit(&self->safe, memory_order_relaxed)) {
        return 0;
    }
    struct siread_bucket *bucket = lock_bucket(ssi, hash);
    for (point = bucket->first; point != NULL; point = point->next) {
        if (point->reader == self && is_point(point, hash, info, key)) {
            unlock_bucket(bucket);
            return 0;
        }
    }
    point = mem_alloc(sizeof(*point) + key.len);
    if (point != NULL) {
        point->reader = self;
        point->info = info;
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
    unlock_bucket(bucket);
    return point != NULL ? 0 : op_out_of_memory(op);
}

static void free_points(struct ssi_txn *self)
{
    struct ssi *ssi = self->manager->ssi;

    for (struct siread_point *point = self->points, *next; point != NULL; point = next) {
        next = point->own_next;
        struct siread_bucket *bucket = lock_bucket(ssi, point->hash);
        struct siread_point **at = &bucket->first;
        while (*at != point) {
            at = &(*at)->next;
        }
        *at = point->next;
        unlock_bucket(bucket);
        atomic_fetch_sub_explicit(&point->info->sireads, 1, memory_order_relaxed);
        mem_free(point);
    }
    self->points = NULL;
    self->point_count = 0;
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

static bool covers(const struct ssi_range *range, struct bytes key)
{
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

int ssi__scan_covers(struct op *op, struct txn_session *session, struct tree_info *info, struct ssi_range **record,
                     const struct btree_range *range, const struct btree_range *covered, bool backward)
{
    struct ssi_txn *self = session->ssi;
    struct ssi_range *mine = *record;
    bool first = mine == NULL;

    if (atomic_load_explicit(&self->safe, memory_order_relaxed)) {
        return 0;
    }
    if (first) {
        mine = mem_calloc(1, sizeof(*mine));
        if (mine == NULL) {
            return op_out_of_memory(op);
        }
        mine->reader = self;
        mine->info = info;
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
        mem_free(mine->low.data);
        mem_free(mine->high.data);
        mem_free(mine);
        return OP_FAILED;
    }
    if (first) {
        mine->own_next = self->ranges;
        self->ranges = mine;
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

static void free_ranges(struct ssi_txn *self)
{
    for (struct ssi_range *range = self->ranges, *next; range != NULL; range = next) {
        struct tree_info *info = range->info;
        next = range->own_next;
        os_mutex_lock(&info->range_mutex);
        *(range->prev != NULL ? &range->prev->next : &info->ranges) = range->next;
        if (range->next != NULL) {
            range->next->prev = range->prev;
        }
        os_mutex_unlock(&info->range_mutex);
        atomic_fetch_sub_explicit(&info->sireads, 1, memory_order_relaxed);
        mem_free(range->low.data);
        mem_free(range->high.data);
        mem_free(range);
    }
    self->ranges = NULL;
}

void siread__forget(struct ssi_txn *self)
{
    free_points(self);
    free_ranges(self);
}

bool ssi__has_read(struct txn_session *session, struct tree_info *info, struct bytes key)
{
    struct ssi_txn *self = session->ssi;
    uint64_t hash = version__hash(info->id, key);
    bool found = false;

    struct siread_bucket *bucket = lock_bucket(session->manager->ssi, hash);
    for (struct siread_point *point = bucket->first; point != NULL && !found; point = point->next) {
        found = point->reader == self && is_point(point, hash, info, key);
    }
    unlock_bucket(bucket);
    os_mutex_lock(&info->range_mutex);
    for (struct ssi_range *range = self->ranges; range != NULL && !found; range = range->own_next) {
        found = range->info == info && covers(range, key);
    }
    os_mutex_unlock(&info->range_mutex);
    return found;
}

/* ---- the writer's question ------------------------------------------------------------------------ */

static int meet_reader(struct op *op, struct txn_session *session, struct ssi_txn *reader)
{
    struct ssi *ssi = session->manager->ssi;
    int rc = 0;

    if (reader == session->ssi) {
        return 0;
    }
    os_mutex_lock(&ssi->graph);
    if (ssi__concurrent(reader, session->ssi)) {
        rc = ssi__add_edge(op, ssi, session->ssi, reader, session->ssi);
    }
    os_mutex_unlock(&ssi->graph);
    return rc;
}

int ssi__wrote(struct op *op, struct txn_session *session, struct tree_info *info, struct bytes key)
{
    uint64_t hash = version__hash(info->id, key);
    int rc = 0;

    atomic_store(&session->ssi->wrote, true);
    if (atomic_load_explicit(&info->sireads, memory_order_acquire) == 0) {
        return 0;
    }
    struct siread_bucket *bucket = lock_bucket(session->manager->ssi, hash);
    for (struct siread_point *point = bucket->first; point != NULL && rc == 0; point = point->next) {
        if (is_point(point, hash, info, key)) {
            rc = meet_reader(op, session, point->reader);
        }
    }
    unlock_bucket(bucket);
    os_mutex_lock(&info->range_mutex);
    for (struct ssi_range *range = info->ranges; range != NULL && rc == 0; range = range->next) {
        if (range->reader != session->ssi && covers(range, key)) {
            rc = meet_reader(op, session, range->reader);
        }
    }
    os_mutex_unlock(&info->range_mutex);
    return rc;
}
