/*
 * alter.c -- structure modifications: several pages changed by one log record, or not at all.
 *
 * A split changes the full page, a new one, their parent and the free map.  Were these four records, a crash between
 * them would leave a tree with a page that nobody can reach.  So it is one record with several actions (log.c),
 * and its making has three phases:
 *
 *      prepare   reserve log space and pages of the file, latch every page that will change.  All that can fail fails here,
 *                and then nothing has happened.
 *      apply     change the pages, append the record.  Cannot fail.
 *      finish    stamp every page with the record's LSN, mark it dirty, let go of the latches.
 *
 * Pages are changed before the record is appended where the record holds their image.  Nobody can see that: all of them are
 * latched exclusively until they carry the LSN.
 */
#include <string.h>

#include "btree/btree_int.h"
#include "src/base/planted.h"

int alter_begin(struct op *op, struct alter *alter, struct store *store, uint64_t log_bytes, unsigned pages, bool urgent)
{
    alter->store = store;
    alter->ref_count = alter->map_count = alter->taken_count = alter->freed_count = 0;
    alter->log_bytes = log_bytes;
    alter->pages = 0;
    log_begin(&alter->record);
    if ((urgent ? wal_reserve_undo(op, store->wal, log_bytes) : wal_reserve(op, store->wal, log_bytes)) != OP_OK)
        return OP_FAILED;
    if (space_reserve(op, store, pages, urgent) != OP_OK) {
        wal_unreserve(store->wal, log_bytes);
        return OP_FAILED;
    }
    alter->pages = pages;
    return OP_OK;
}

struct page_ref *alter_adopt(struct alter *alter, struct page_ref *ref)
{
    assert(alter->ref_count < ALTER_PAGES);
    alter->refs[alter->ref_count] = *ref;
    ref->data = NULL;
    return &alter->refs[alter->ref_count++];
}

int alter_new(struct op *op, struct alter *alter, struct page_ref **ref)
{
    PageNo page = space_take(alter->store);
    struct page_ref fresh;
    *ref = NULL;
    if (buf_fix_new(op, alter->store->buf, page, &fresh) != OP_OK) {
        space_give(alter->store, page);
        return OP_FAILED;
    }
    assert(alter->taken_count < (int)COUNT_OF(alter->taken));
    alter->taken[alter->taken_count++] = page;
    *ref = alter_adopt(alter, &fresh);
    return OP_OK;
}

void alter_free(struct alter *alter, PageNo page)
{
    assert(alter->freed_count < ALTER_FREED);
    alter->freed[alter->freed_count++] = page;
}

bool alter_can_free(const struct alter *alter, PageNo page)
{
    PageNo maps[ALTER_MAPS];
    int count = 0;
    for (int i = 0; i <= alter->freed_count; i++) {
        PageNo map = space_map_page(alter->store, i < alter->freed_count ? alter->freed[i] : page);
        int at = 0;
        while (at < count && maps[at] != map)
            at++;
        if (at == count && count == ALTER_MAPS - 2)
            return false;
        if (at == count)
            maps[count++] = map;
    }
    return alter->freed_count < ALTER_FREED;
}

static void add_map(const struct alter *alter, PageNo *maps, int *count, PageNo page)
{
    PageNo map = space_map_page(alter->store, page);
    int at = 0;
    while (at < *count && maps[at] < map)
        at++;
    if (at < *count && maps[at] == map)
        return;
    assert(*count < ALTER_MAPS);
    memmove(&maps[at + 1], &maps[at], (size_t)(*count - at) * sizeof maps[0]);
    maps[at] = map;
    (*count)++;
}

int alter_ready(struct op *op, struct alter *alter)
{
    PageNo maps[ALTER_MAPS];
    int count = 0;
    for (int i = 0; i < alter->taken_count; i++)
        add_map(alter, maps, &count, alter->taken[i]);
    for (int i = 0; i < alter->freed_count; i++)
        add_map(alter, maps, &count, alter->freed[i]);
    for (int i = 0; i < count; i++) {
        struct page_ref *map = &alter->maps[alter->map_count];
        if (buf_fix(op, alter->store->buf, maps[i], LATCH_EXCLUSIVE, map) != OP_OK)
            return OP_FAILED;
        alter->map_count++;
        if (((const struct page_head *)(const void *)map->data)->type != PAGE_FREE_MAP)
            return btree__damaged(op, alter->store, maps[i], "pages of the free map lie at fixed places");
    }
    return OP_OK;
}

static const struct page_ref *map_of(const struct alter *alter, PageNo page)
{
    PageNo map = space_map_page(alter->store, page);
    for (int i = 0; i < alter->map_count; i++)
        if (alter->maps[i].page_no == map)
            return &alter->maps[i];
    return NULL;
}

static void log_bit(struct alter *alter, PageNo page, bool used)
{
    const struct page_ref *map = map_of(alter, page);
    watch_page(alter->store, page);
    space_map_set(alter->store, map, page, used);
    log_action(&alter->record, used ? ACTION_USE : ACTION_FREE, map->page_no);
    log_number(&alter->record, page);
}

void alter_log_maps(struct alter *alter)
{
    for (int i = 0; i < alter->taken_count; i++)
        log_bit(alter, alter->taken[i], true);
    for (int i = 0; i < alter->freed_count && !PLANTED("btree-free-lost"); i++)
        log_bit(alter, alter->freed[i], false);
}

static void let_go(struct alter *alter)
{
    for (int i = alter->map_count - 1; i >= 0; i--)
        buf_unfix(&alter->maps[i], alter->store->buf);
    for (int i = alter->ref_count - 1; i >= 0; i--)
        buf_unfix(&alter->refs[i], alter->store->buf);
    space_unreserve(alter->store, alter->pages);
    wal_unreserve(alter->store->wal, alter->log_bytes);
}

void alter_finish(struct alter *alter, Lsn lsn)
{
    for (int i = 0; i < alter->ref_count; i++)
        buf_mark_dirty(alter->store->buf, &alter->refs[i], lsn);
    for (int i = 0; i < alter->map_count; i++)
        buf_mark_dirty(alter->store->buf, &alter->maps[i], lsn);
    for (int i = 0; i < alter->freed_count; i++)
        space_give(alter->store, alter->freed[i]);
    let_go(alter);
}

Lsn alter_commit(struct alter *alter)
{
    alter_log_maps(alter);
    Lsn lsn = log_append(&alter->record, alter->store->wal, NULL, LOG_PAGES, 0);
    alter_finish(alter, lsn);
    return lsn;
}

void alter_abort(struct alter *alter)
{
    let_go(alter);
    for (int i = 0; i < alter->taken_count; i++)
        space_give(alter->store, alter->taken[i]);
}
