/*
 * space.c -- which pages of the file are in use.
 *
 * The truth is a bitmap on pages of the file, one bit per page, changed by the same log record that takes or frees
 * the page: so a crash neither loses a page nor gives one out twice.
 *
 *      page  0   file header
 *            1   map of pages 1 .. span             (a bit of a map page says: in use)
 *            2   root of the directory of trees
 *            3   root of the graveyard
 *            4 ...
 *            1 + span     map of the next span pages
 *
 * A page of the map holds its bits behind the page head; span = 8 * (usable - 32).  It is made when the file
 * grows to it, and its own bit is set.
 *
 * The allocator works on a copy of all bits in memory, 64 KiB for a file of 4 GiB.  A caller first reserves pages, which may make the
 * file longer and so may fail, then latches what he wants to change, then takes the pages, which cannot fail.
 * The lowest free page is taken first, so that the end of the file becomes free and can be cut off.
 *
 *  F1  A page is in use exactly if its bit on the map page is set; after a crash redo has made that so again.
 *  F2  A page taken but not yet logged is used in memory only: it is free again after a crash.
 *  F3  A page is free in memory only once the record that frees it is in the log.
 *  F4  Pages are kept free for rollback, which must not fail for want of one.
 *
 * Undo needs a page where it has to split: a record gets its longer value back, and others have filled the room meanwhile.  A
 * leaf that has lost B bytes of records splits at most once, and once more for each half page in B; so a transaction keeps a page for each leaf
 * on which it has made a record shorter, as far as it can tell a new leaf from the last one, and one for each half page of bytes, but no more
 * than the file has pages in use.  SPACE_KEPT pages more are there for the levels above and for the graveyard.
 *
 * A page that a merge frees may be taken again at once: whoever still has its number finds out by its type, tree and fences.
 */
#include <string.h>

#include "btree/btree_int.h"
#include "src/base/mem.h"
#include "src/base/planted.h"

enum {
    SPACE_KEPT = 16,
    SPACE_CHUNK_MIN = 32,       /* pages by which the file grows, at least and at most */
    SPACE_CHUNK_MAX = 2048,
    SPARE_WORDS = 256,          /* of 64 bits: for 16,384 pages */
    SPACE_TRIM_MIN = 64,        /* a free tail shorter than this is not worth cutting */
};

uint64_t space_map_span(const struct store *store)
{
    return UINT64_C(8) * (store->usable - PAGE_HEAD_BYTES);
}

PageNo space_map_page(const struct store *store, PageNo page)
{
    uint64_t span = space_map_span(store);
    return SPACE_FIRST_MAP + (page - SPACE_FIRST_MAP) / span * span;
}

void space_map_set(const struct store *store, const struct page_ref *map, PageNo page, bool used)
{
    uint64_t bit = page - map->page_no;
    if (page < map->page_no || bit >= space_map_span(store))
        return;
    uint8_t *byte = map->data + PAGE_HEAD_BYTES + bit / 8;
    if (used)
        *byte |= (uint8_t)(1u << (bit % 8));
    else
        *byte &= (uint8_t)~(1u << (bit % 8));
}

bool space_map_get(const struct store *store, const struct page_ref *map, PageNo page)
{
    uint64_t bit = page - map->page_no;
    return map->data[PAGE_HEAD_BYTES + bit / 8] >> (bit % 8) & 1;
}

/* ---- the copy in memory; the mutex is held -------------------------------------------------------- */

static bool bit_get(const struct space *space, PageNo page)
{
    return page / 64 < space->words && (space->used[page / 64] >> (page % 64) & 1);
}

static void bit_set(struct space *space, PageNo page, bool used)
{
    uint64_t mask = UINT64_C(1) << (page % 64);
    if (used)
        space->used[page / 64] |= mask;
    else
        space->used[page / 64] &= ~mask;
}

/* With bits to spare: a rollback makes the file longer too, and must need no memory. */
static int grow_bits(struct op *op, struct space *space, PageNo pages)
{
    size_t needed = (size_t)(pages / 64 + 1), words = needed + SPARE_WORDS;
    if (needed + SPARE_WORDS / 2 <= space->words)
        return OP_OK;
    uint64_t *used = mem_realloc(space->used, words * sizeof *used);
    if (used == NULL)
        return needed <= space->words ? OP_OK : op_out_of_memory(op);
    memset(used + space->words, 0, (words - space->words) * sizeof *used);
    space->used = used;
    space->words = words;
    return OP_OK;
}

static void count_free(struct space *space)
{
    space->free_count = 0;
    for (PageNo page = SPACE_FIRST_MAP; page < space->limit; page++)
        space->free_count += !bit_get(space, page);
    space->lowest_free = SPACE_FIRST_MAP;
}

/* ---- pages of the map ----------------------------------------------------------------------------- */

/* Makes the page of the map that lies at `page_no`, with the bits of itself and of `also` pages behind it set. */
static int make_map(struct op *op, struct store *store, PageNo page_no, unsigned also)
{
    struct page_ref map;
    struct log_record record;
    /* Not wal_reserve, which waits for a checkpoint: rollback makes the file longer too, and the grow mutex is held. */
    if (wal_reserve_undo(op, store->wal, store->page_size + 256) != OP_OK)
        return OP_FAILED;
    int result = buf_fix_new(op, store->buf, page_no, &map);
    if (result == OP_OK) {
        struct page_head *head = (struct page_head *)(void *)map.data;
        head->type = PAGE_FREE_MAP;
        for (PageNo page = page_no; page <= page_no + also; page++)
            space_map_set(store, &map, page, true);
        log_begin(&record);
        log_action(&record, ACTION_IMAGE, page_no);
        log_run(&record, (struct bytes){map.data, NODE_HEAD_BYTES});
        log_run(&record, (struct bytes){NULL, 0});
        Lsn lsn = log_append(&record, store->wal, NULL, LOG_PAGES, 0);
        buf_mark_dirty(store->buf, &map, lsn);
        buf_unfix(&map, store->buf);
    }
    wal_unreserve(store->wal, store->page_size + 256);
    return result;
}

/* Copies the bits of one page of the map; *exists is false where there is none (the file grew, and the power failed). */
static int load_map(struct op *op, struct store *store, PageNo page_no, bool *exists)
{
    struct space *space = &store->space;
    struct page_ref map;
    if (buf_fix(op, store->buf, page_no, LATCH_SHARED, &map) != OP_OK)
        return OP_FAILED;
    const struct page_head *head = (const struct page_head *)(const void *)map.data;
    *exists = head->type == PAGE_FREE_MAP;
    int result = OP_OK;
    if (head->type != PAGE_FREE_MAP && head->type != PAGE_UNUSED && page_no == SPACE_FIRST_MAP)
        result = btree__damaged(op, store, page_no, "pages of the free map lie at fixed places");
    PageNo end = page_no + space_map_span(store);
    for (PageNo page = page_no; *exists && page < end && page < space->limit; page++)
        bit_set(space, page, space_map_get(store, &map, page));
    buf_unfix(&map, store->buf);
    return result;
}

int space_open(struct op *op, struct store *store, bool create)
{
    struct space *space = &store->space;
    uint64_t span = space_map_span(store);
    space->limit = buf_page_count(store->buf);
    if (create) {
        if (buf_extend(op, store->buf, SPACE_CHUNK_MIN) != OP_OK ||
            make_map(op, store, SPACE_FIRST_MAP, GRAVEYARD_ROOT - SPACE_FIRST_MAP) != OP_OK)
            return OP_FAILED;
        space->limit = buf_page_count(store->buf);
    }
    if (grow_bits(op, space, space->limit) != OP_OK)
        return OP_FAILED;
    for (PageNo map = SPACE_FIRST_MAP; map < space->limit; map += span) {
        bool exists;
        if (load_map(op, store, map, &exists) != OP_OK)
            return OP_FAILED;
        if (!exists)
            space->limit = map;
    }
    count_free(space);
    return OP_OK;
}

void space_close(struct store *store)
{
    mem_free(store->space.used);
    store->space.used = NULL;
    store->space.words = 0;
}

/* ---- reserving and taking ------------------------------------------------------------------------- */

static bool try_reserve(struct space *space, uint64_t n, bool urgent)
{
    os_mutex_lock(&space->mutex);
    bool enough = space->free_count >= space->reserved + n + (urgent ? 0 : SPACE_KEPT + space->promised);
    if (enough)
        space->reserved += n;
    os_mutex_unlock(&space->mutex);
    return enough;
}

static uint64_t chunk_for(PageNo end, uint64_t n)
{
    uint64_t chunk = end / 8;
    chunk = chunk < SPACE_CHUNK_MIN ? SPACE_CHUNK_MIN : chunk > SPACE_CHUNK_MAX ? SPACE_CHUNK_MAX : chunk;
    return chunk < n + SPACE_KEPT ? n + SPACE_KEPT : chunk;
}

/* Makes the file longer by a chunk, and a page of the map where the chunk reaches one; the grow mutex is held. */
static int extend(struct op *op, struct store *store, uint64_t n)
{
    struct space *space = &store->space;
    PageNo from = space->limit, to = from + chunk_for(from, n);     /* only we make the limit higher */
    PageNo map = space_map_page(store, from + space_map_span(store) - 1);
    if (buf_extend(op, store->buf, to) != OP_OK)
        return OP_FAILED;
    if (map < to && make_map(op, store, map, 0) != OP_OK)
        return OP_FAILED;
    os_mutex_lock(&space->mutex);
    int result = grow_bits(op, space, to);
    if (result == OP_OK) {
        if (map < to)
            bit_set(space, map, true);
        for (PageNo page = space->limit; page < to; page++)
            space->free_count += !bit_get(space, page);
        if (space->lowest_free > space->limit)
            space->lowest_free = space->limit;
        space->limit = to;
    }
    os_mutex_unlock(&space->mutex);
    return result;
}

int space_reserve(struct op *op, struct store *store, uint64_t n, bool urgent)
{
    if (n == 0)
        return OP_OK;
    if (try_reserve(&store->space, n, urgent))
        return OP_OK;
    int result = OP_OK;
    os_mutex_lock(&store->space.grow_mutex);
    while (result == OP_OK && !try_reserve(&store->space, n, urgent))
        result = extend(op, store, n);
    os_mutex_unlock(&store->space.grow_mutex);
    return result;
}

static bool try_promise(struct space *space, struct wal_chain *chain, uint64_t n)
{
    os_mutex_lock(&space->mutex);
    uint64_t most = space->limit - space->free_count;       /* as many as there are to be split */
    uint64_t kept = chain->undo_pages + n <= most ? n : most > chain->undo_pages ? most - chain->undo_pages : 0;
    bool enough = kept == 0 || space->free_count >= space->reserved + kept + SPACE_KEPT + space->promised;
    if (enough) {
        chain->undo_spare += n;
        chain->undo_pages += kept;
        space->promised += kept;
    }
    os_mutex_unlock(&space->mutex);
    return enough;
}

static int promise(struct op *op, struct store *store, struct wal_chain *chain, uint64_t n)
{
    int result = OP_OK;
    os_mutex_lock(&store->space.grow_mutex);
    while (result == OP_OK && !try_promise(&store->space, chain, n))
        result = extend(op, store, n);
    os_mutex_unlock(&store->space.grow_mutex);
    return result;
}

int space_promise(struct op *op, struct store *store, struct wal_chain *chain)
{
    enum { AT_ONCE = 8 };
    return promise(op, store, chain, AT_ONCE);
}

/* Pages for a change that will want `bytes` back on the leaf. */
static uint64_t pages_for_undo(const struct store *store, const struct wal_chain *chain, PageNo leaf, uint32_t bytes)
{
    return (leaf != chain->undo_leaf) + (chain->undo_room + bytes) / (store->usable / 2);
}

static void note_undo(const struct store *store, struct wal_chain *chain, PageNo leaf, uint32_t bytes)
{
    chain->undo_leaf = leaf;
    chain->undo_room = (chain->undo_room + bytes) % (store->usable / 2);
}

bool space_keep_for_undo(struct store *store, struct wal_chain *chain, PageNo leaf, uint32_t bytes)
{
    uint64_t needed = pages_for_undo(store, chain, leaf, bytes);
    if (PLANTED("btree-undo-pages-unkept"))
        return true;
    if (needed > chain->undo_spare && !try_promise(&store->space, chain, needed - chain->undo_spare))
        return false;
    if (needed > 0)
        wal_promise(store->wal, chain, needed * space_split_log_bytes(store));
    chain->undo_spare -= needed;
    note_undo(store, chain, leaf, bytes);
    return true;
}

uint64_t store_count_undo(const struct store *store, struct wal_chain *chain, const struct btree_row_log *row)
{
    uint32_t bytes = btree__undo_room(row, ((row->before_flags | row->after_flags) & BTREE_OVERFLOW) != 0);
    if (bytes == 0)
        return 0;
    uint64_t needed = pages_for_undo(store, chain, row->page, bytes);
    note_undo(store, chain, row->page, bytes);
    return needed;
}

int store_renew_promises(struct op *op, struct store *store, struct wal_chain *chain, uint64_t log_bytes, uint64_t pages)
{
    if (wal_renew_promise(op, store->wal, chain, log_bytes + pages * space_split_log_bytes(store)) != OP_OK)
        return OP_FAILED;
    if (pages == 0 || promise(op, store, chain, pages) == OP_OK)
        return OP_OK;
    if (strcmp(op->error.sqlstate, "53100") != 0)
        return OP_FAILED;
    op_clear_error(op);
    return OP_OK;
}

uint64_t space_split_log_bytes(const struct store *store)
{
    return store->page_size + LOG_HEAD_BYTES;
}

void store_forget_promises(struct store *store, struct wal_chain *chain)
{
    wal_forget_promises(store->wal, chain);
    if (chain->undo_pages == 0)
        return;
    os_mutex_lock(&store->space.mutex);
    store->space.promised -= chain->undo_pages;
    os_mutex_unlock(&store->space.mutex);
    chain->undo_pages = chain->undo_spare = 0;
}

void space_unreserve(struct store *store, uint64_t n)
{
    if (n == 0)
        return;
    os_mutex_lock(&store->space.mutex);
    store->space.reserved -= n;
    os_mutex_unlock(&store->space.mutex);
}

PageNo space_take(struct store *store)
{
    struct space *space = &store->space;
    os_mutex_lock(&space->mutex);
    assert(space->free_count > 0);
    size_t word = (size_t)(space->lowest_free / 64);
    uint64_t bits = ~space->used[word] & ~((UINT64_C(1) << (space->lowest_free % 64)) - 1);
    while (bits == 0)
        bits = ~space->used[++word];
    PageNo page = (PageNo)word * 64 + (PageNo)__builtin_ctzll(bits);
    assert(page < space->limit);
    bit_set(space, page, true);
    space->lowest_free = page + 1;
    space->free_count--;
    os_mutex_unlock(&space->mutex);
    return page;
}

void space_give(struct store *store, PageNo page)
{
    struct space *space = &store->space;
    os_mutex_lock(&space->mutex);
    assert(bit_get(space, page));
    bit_set(space, page, false);
    if (page < space->limit)
        space->free_count++;
    if (page < space->lowest_free)
        space->lowest_free = page;
    os_mutex_unlock(&space->mutex);
}

/* Whether the page is used for something else than the map: a page of the map alone does not keep the file long. */
static bool holds_data(const struct store *store, PageNo page)
{
    return bit_get(&store->space, page) && (page == SPACE_FIRST_MAP || space_map_page(store, page) != page);
}

void space_trim(struct store *store)
{
    struct space *space = &store->space;
    if (!os_mutex_try_lock(&space->grow_mutex))
        return;     /* somebody makes the file longer, and may wait for the checkpoint that wants to make it shorter */
    os_mutex_lock(&space->mutex);
    PageNo used_end = space->limit;
    while (used_end > FIRST_FREE_PAGE && !holds_data(store, used_end - 1))
        used_end--;
    PageNo keep = used_end + SPACE_KEPT + space->promised;
    if (space->reserved == 0 && keep + SPACE_TRIM_MIN <= space->limit && space->limit - keep > space->limit / 8) {
        /* The allocator forgets the pages first, so that none of them is taken meanwhile. */
        for (PageNo page = keep; page < space->limit; page++) {
            space->free_count -= !bit_get(space, page);
            bit_set(space, page, false);
        }
        space->limit = keep;
        if (space->lowest_free > keep)
            space->lowest_free = keep;
        buf_truncate_later(store->buf, keep);
    }
    os_mutex_unlock(&space->mutex);
    os_mutex_unlock(&space->grow_mutex);
}

PageNo space_limit(struct store *store)
{
    os_mutex_lock(&store->space.mutex);
    PageNo limit = store->space.limit;
    os_mutex_unlock(&store->space.mutex);
    return limit;
}

bool space_is_free(struct store *store, PageNo page)
{
    os_mutex_lock(&store->space.mutex);
    bool free = page < store->space.limit && !bit_get(&store->space, page);
    os_mutex_unlock(&store->space.mutex);
    return free;
}

int store_space(struct op *op, struct store *store, struct store_space *space)
{
    os_mutex_lock(&store->space.mutex);
    space->pages = store->space.limit;
    space->free_pages = store->space.free_count;
    os_mutex_unlock(&store->space.mutex);
    return OP_OK;
}
