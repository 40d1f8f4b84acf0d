/*
 * stretch.c -- stretches of ghosts that scans need not walk.
 *
 * A queue grows at the right and is eaten from the left.  Ghosts of what was eaten go as soon as nobody can see the rows any more;
 * but beside a snapshot that sits idle they stay, and whoever asks for the first row walks over all of them, each time over one more.
 * The ghosts have to stay where they are, for the idle snapshot finds its rows by them.  But it is enough to walk over them
 * once: a scan that has done so notes the interval of keys, and the newest commit that it depends on; later scans whose snapshot is not older
 * skip it.
 *
 *      tree          g g g g g g g g g g g | g g g g | g g 57 58 59 ...
 *      stretches     [-, 31) since 120       [31, 48) since 150
 *      a snapshot of 160 begins its walk at 48, one of 130 at 31, that of 90 at the beginning
 *
 * An interval is true for as long as nobody puts a row into it: whoever does cuts it there, under the latch of the row's leaf.  A scan notes
 * what it has walked of one leaf while it holds the leaf's latch, so no row comes in between.  Deletions, purge, splits and merges
 * need not care: there are keys here, no pages.  Undo makes a row appear only where a deletion was not committed.
 *
 * Why not keep such leaves out of the tree, in the version store: the idle snapshot, index scans, backward scans, row locks and unique checks
 * would have two places to look, each with its own latch, for the sake of readers who want neither.  Why not a hint on the leaf: a scan would
 * still touch each leaf, and a long queue has thousands.  (Freitag, Kemper, Neumann keep their tombstones in the tree, too.)
 *
 * E1  No record in [low, high) is visible to a view with read_ts >= since, but for what its own transaction has inserted; and none has a
 *     version that is newer than such a view.
 * E2  Whoever inserts a row cuts the stretch around it before he gives the leaf's latch back.
 * E3  Stretches of a tree do not overlap, and are sorted.  With more than STRETCHES_MAX the two oldest neighbours become one.
 * E4  A SERIALIZABLE scan records the interval before it looks a second time whether it may be skipped: an insert after that finds the record,
 *     one before it has cut the stretch.
 */
#include "src/base/planted.h"
#include "txn/txn_int.h"

enum {
    STRETCHES_MAX = 32,
    GHOSTS_MIN = 8,             /* fewer are walked as quickly */
};

struct stretch {
    struct stretch_key low, high;
    bool endless;               /* there is no high end */
    uint32_t ghosts;            /* that were walked when it was noted */
    CommitTs since;
};

/* All under info->stretch_latch. */
struct stretches {
    size_t count;
    struct stretch list[STRETCHES_MAX + 1];
};

static void lock_stretches(struct tree_info *info)
{
    RANK_ENTER(RANK_SSI);
    while (atomic_exchange_explicit(&info->stretch_latch, 1, memory_order_acquire) != 0) {
        os_pause();
    }
}

static void unlock_stretches(struct tree_info *info)
{
    atomic_store_explicit(&info->stretch_latch, 0, memory_order_release);
    RANK_LEAVE(RANK_SSI);
}

static struct bytes bytes_of(const struct stretch_key *key)
{
    return (struct bytes){ key->data, key->len };
}

static int compare(const struct stretch_key *key, struct bytes with)
{
    size_t shorter = key->len < with.len ? key->len : with.len;
    int order = shorter > 0 ? memcmp(key->data, with.data, shorter) : 0;

    return order != 0 ? order : (key->len > with.len) - (key->len < with.len);
}

static bool set_key(struct stretch_key *key, struct bytes from)
{
    if (key->data == NULL || key->capacity < from.len) {
        uint32_t capacity = from.len < 24 ? 24 : (uint32_t)from.len + 8;
        uint8_t *grown = mem_realloc(key->data, capacity);
        if (grown == NULL) {
            return false;
        }
        key->data = grown;
        key->capacity = capacity;
    }
    if (from.len > 0) {
        memcpy(key->data, from.data, from.len);
    }
    key->len = (uint32_t)from.len;
    return true;
}

static void free_stretch(struct stretch *stretch)
{
    mem_free(stretch->low.data);
    mem_free(stretch->high.data);
}

/* ---- the list; latch held ------------------------------------------------------------------------- */

static void set_count(struct tree_info *info, size_t count)
{
    info->stretches->count = count;
    atomic_store_explicit(&info->stretch_count, (unsigned)count, memory_order_release);
}

static void remove_at(struct tree_info *info, size_t at)
{
    struct stretches *all = info->stretches;

    free_stretch(&all->list[at]);
    memmove(&all->list[at], &all->list[at + 1], (all->count - at - 1) * sizeof(all->list[0]));
    set_count(info, all->count - 1);
}

/* Is nothing of the key space between the two? */
static bool touch(const struct stretch *left, const struct stretch *right)
{
    return !left->endless && compare(&left->high, bytes_of(&right->low)) == 0;
}

/* Neighbours for the same views. */
static bool is_same(const struct stretch *left, const struct stretch *right)
{
    return left->since == right->since && touch(left, right);
}

/* The left one takes the right one's part. */
static void join(struct tree_info *info, size_t at)
{
    struct stretch *left = &info->stretches->list[at], *right = left + 1;
    struct stretch_key high = left->high;

    left->high = right->high;
    right->high = high;         /* freed with it */
    left->endless = right->endless;
    left->ghosts += right->ghosts;
    left->since = left->since > right->since ? left->since : right->since;
    remove_at(info, at + 1);
}

/* One too many: the neighbours that are oldest together, or else the smallest one goes. */
static void make_room(struct tree_info *info)
{
    struct stretches *all = info->stretches;
    size_t best = all->count, smallest = 0;
    CommitTs oldest = UINT64_MAX;

    for (size_t i = 0; i + 1 < all->count; i++) {
        CommitTs left = all->list[i].since, right = all->list[i + 1].since, since = left > right ? left : right;
        if (touch(&all->list[i], &all->list[i + 1]) && since < oldest) {
            oldest = since;
            best = i;
        }
    }
    for (size_t i = 1; i < all->count; i++) {
        smallest = all->list[i].ghosts < all->list[smallest].ghosts ? i : smallest;
    }
    if (best < all->count) {
        join(info, best);
    } else {
        remove_at(info, smallest);
    }
}

/* The first stretch that does not end at or before the key. */
static size_t find_from(const struct stretches *all, struct bytes key)
{
    size_t low = 0, high = all->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (!all->list[middle].endless && compare(&all->list[middle].high, key) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_inside(const struct stretch *stretch, const struct stretch *outer)
{
    return compare(&stretch->low, bytes_of(&outer->low)) >= 0 &&
           (outer->endless || (!stretch->endless && compare(&stretch->high, bytes_of(&outer->high)) <= 0));
}

/* Puts `fresh`, whose keys it takes over, in its place; what it covers goes, and it gives way to what it covers in part. */
static bool put(struct tree_info *info, struct stretch *fresh)
{
    struct stretches *all = info->stretches;
    size_t at = find_from(all, bytes_of(&fresh->low));

    if (at < all->count && compare(&all->list[at].low, bytes_of(&fresh->low)) < 0) {
        if (is_inside(fresh, &all->list[at])) {
            return false;
        }
        if (!set_key(&fresh->low, bytes_of(&all->list[at].high))) {
            return false;
        }
        at++;
    }
    while (at < all->count && is_inside(&all->list[at], fresh)) {
        if (all->list[at].since <= fresh->since && is_inside(fresh, &all->list[at])) {
            return false;       /* known already */
        }
        remove_at(info, at);
    }
    if (at < all->count && (fresh->endless || compare(&fresh->high, bytes_of(&all->list[at].low)) > 0)) {
        if (!set_key(&fresh->high, bytes_of(&all->list[at].low))) {
            return false;
        }
        fresh->endless = false;
    }
    memmove(&all->list[at + 1], &all->list[at], (all->count - at) * sizeof(all->list[0]));
    all->list[at] = *fresh;
    set_count(info, all->count + 1);
    if (at + 1 < all->count && is_same(&all->list[at], &all->list[at + 1])) {
        join(info, at);
    }
    if (at > 0 && is_same(&all->list[at - 1], &all->list[at])) {
        join(info, at - 1);
    }
    if (all->count > STRETCHES_MAX) {
        make_room(info);
    }
    return true;
}

/* ---- noting and cutting --------------------------------------------------------------------------- */

static bool is_neighbour(const struct stretches *all, struct bytes low, struct bytes high)
{
    for (size_t i = 0; i < all->count; i++) {
        if ((!all->list[i].endless && compare(&all->list[i].high, low) == 0) ||
            (high.data != NULL && compare(&all->list[i].low, high) == 0)) {
            return true;
        }
    }
    return false;
}

void stretch__note(struct tree_info *info, struct bytes low, struct bytes high, uint32_t ghosts, CommitTs since, bool closing)
{
    struct stretch fresh = { .endless = high.data == NULL, .ghosts = ghosts, .since = since };

    if (ghosts < GHOSTS_MIN && !(closing && stretch__any(info))) {
        return;
    }
    lock_stretches(info);
    if (info->stretches == NULL) {
        info->stretches = mem_calloc(1, sizeof(*info->stretches));
    }
    bool worth = info->stretches != NULL && (ghosts >= GHOSTS_MIN || (closing && is_neighbour(info->stretches, low, high)));
    if (!worth || !set_key(&fresh.low, low) || !set_key(&fresh.high, high) ||
        (!fresh.endless && compare(&fresh.low, high) >= 0) || !put(info, &fresh)) {
        free_stretch(&fresh);
    }
    unlock_stretches(info);
}

void stretch__cut(struct tree_info *info, struct bytes key)
{
    if (PLANTED("txn-stretch-uncut")) {
        return;
    }
    lock_stretches(info);
    struct stretches *all = info->stretches;
    size_t at = find_from(all, key);
    if (at < all->count && compare(&all->list[at].low, key) <= 0) {
        /* What is left is to the left; where that is nothing, or there is no memory, nothing is left. */
        if (compare(&all->list[at].low, key) == 0 || !set_key(&all->list[at].high, key)) {
            remove_at(info, at);
        } else {
            all->list[at].endless = false;
        }
    }
    unlock_stretches(info);
}

/* ---- skipping ------------------------------------------------------------------------------------- */

/* Forwards from `key`: to the end of the last of the stretches in a row that the view may skip. */
static bool end_of_row(const struct stretches *all, CommitTs read_ts, struct bytes key, const struct stretch **end)
{
    size_t at = find_from(all, key);

    if (at == all->count || compare(&all->list[at].low, key) > 0 || all->list[at].since > read_ts) {
        return false;
    }
    while (at + 1 < all->count && touch(&all->list[at], &all->list[at + 1]) && all->list[at + 1].since <= read_ts) {
        at++;
    }
    *end = &all->list[at];
    return true;
}

/* Does the stretch hold what lies right below the key (inclusive: the key itself; NULL data: the end of the tree)? */
static bool holds_below(const struct stretch *stretch, struct bytes key, bool inclusive)
{
    if (stretch->endless || key.data == NULL) {
        return stretch->endless;
    }
    int order = compare(&stretch->high, key);
    return order > 0 || (order == 0 && !inclusive);
}

/* Backwards from there: to where the first of the stretches in a row begins. */
static bool start_of_row(const struct stretches *all, CommitTs read_ts, struct bytes key, bool inclusive,
                         const struct stretch **start)
{
    size_t at = all->count;

    while (at > 0 && key.data != NULL && compare(&all->list[at - 1].low, key) >= (inclusive ? 1 : 0)) {
        at--;
    }
    if (at == 0 || all->list[at - 1].since > read_ts || !holds_below(&all->list[at - 1], key, inclusive)) {
        return false;
    }
    at--;
    while (at > 0 && touch(&all->list[at - 1], &all->list[at]) && all->list[at - 1].since <= read_ts) {
        at--;
    }
    *start = &all->list[at];
    return true;
}

bool stretch__skip(struct tree_info *info, CommitTs read_ts, bool backward, struct bytes key, bool inclusive,
                   struct stretch_key *bound, bool *endless)
{
    const struct stretch *last;
    bool skip;

    *endless = false;
    lock_stretches(info);
    if (backward) {
        skip = start_of_row(info->stretches, read_ts, key, inclusive, &last) && set_key(bound, bytes_of(&last->low));
    } else {
        skip = end_of_row(info->stretches, read_ts, key, &last) && (last->endless || set_key(bound, bytes_of(&last->high)));
        *endless = skip && last->endless;
    }
    unlock_stretches(info);
    return skip;
}

void stretch__free_key(struct stretch_key *key)
{
    mem_free(key->data);
}

void stretch__free_all(struct tree_info *info)
{
    for (size_t i = 0; info->stretches != NULL && i < info->stretches->count; i++) {
        free_stretch(&info->stretches->list[i]);
    }
    mem_free(info->stretches);
}
