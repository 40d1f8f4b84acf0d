/*
 * overflow.c -- values too long for a leaf.
 *
 * A record longer than a quarter of a page keeps 24 bytes in its leaf, and its value lies in a chain of pages of its own:
 *
 *      reference   first page u64 | bytes of the value u64 | last page u64
 *
 *      page        0   page head
 *                 32   next page u64, 0 in the last one
 *                 40   bytes in this page u32
 *                 44   zero u32
 *                 48   the bytes
 *
 * A chain is written from its end to its beginning, one page and one log record at a time, and is never changed
 * afterwards.  Its first record also enters it in the graveyard, and each further one moves that entry to the new
 * first page: whenever the power fails, what there is of the chain lies in the graveyard, and is freed from there.  The row
 * operation that uses the chain takes the entry out, in its own log record.
 *
 * V1  A chain is owned by one record of a tree, ghosts included, or by one entry of the graveyard (B7).
 * V2  Its last page keeps its number as long as the chain exists: that is the chain's name.
 */
#include <string.h>

#include "btree/btree_int.h"
#include "src/base/endian.h"

bool reference_get(struct bytes stored, struct reference *reference)
{
    if (stored.len != NODE_REFERENCE_BYTES)
        return false;
    reference->first = get_u64(stored.data);
    reference->size = get_u64(stored.data + 8);
    reference->tail = get_u64(stored.data + 16);
    return reference->first != 0 && reference->tail != 0;
}

void reference_put(uint8_t stored[NODE_REFERENCE_BYTES], const struct reference *reference)
{
    put_u64(stored, reference->first);
    put_u64(stored + 8, reference->size);
    put_u64(stored + 16, reference->tail);
}

uint64_t btree_overflow_size(struct bytes stored)
{
    struct reference reference;
    return reference_get(stored, &reference) ? reference.size : 0;
}

/* ---- writing -------------------------------------------------------------------------------------- */

static struct overflow_head *overflow_head(const struct page_ref *ref)
{
    return (struct overflow_head *)(void *)ref->data;
}

/* The graveyard's entry for the chain as it will be with the new page. */
static struct grave_move entry_for(TxnId txn, const struct reference *reference)
{
    struct grave_move move = {.needed = true, .put = true};
    reference_put(move.value, reference);
    reference_put(move.moved[0], reference);
    grave_key(move.key_buffer, txn, GRAVE_NEW, reference->tail);
    return move;
}

static void fill_page(struct btree *tree, struct page_ref *ref, PageNo next, struct bytes part)
{
    struct overflow_head *head = overflow_head(ref);
    head->page.type = PAGE_OVERFLOW;
    head->page.tree_id = tree->id;
    head->next = next;
    head->len = (uint32_t)part.len;
    head->zero = 0;
    memcpy(ref->data + OVERFLOW_HEAD_BYTES, part.data, part.len);
}

/* Puts one more page in front of the chain.  *room: as grave_prepare's. */
static int add_page(struct op *op, struct btree *tree, TxnId txn, struct bytes part, struct reference *reference, bool *room)
{
    struct store *store = tree->store;
    struct alter alter;
    struct page_ref *ref;
    struct grave_move move = {0};
    struct reference longer = *reference;
    if (alter_begin(op, &alter, store, store->page_size + LOG_HEAD_BYTES, 1, false) != OP_OK)
        return OP_FAILED;
    if (alter_new(op, &alter, &ref) != OP_OK)
        goto failed;
    longer.first = ref->page_no;
    longer.size += part.len;
    if (longer.tail == 0)
        longer.tail = ref->page_no;
    move = entry_for(txn, &longer);
    move.key = (struct bytes){move.key_buffer, GRAVE_KEY_BYTES};
    if (grave_prepare(op, store, &move, room) != OP_OK)
        goto failed;
    if (!*room) {
        alter_abort(&alter);
        return grave_make_room(op, store, &move);
    }
    if (alter_ready(op, &alter) != OP_OK)
        goto failed;
    fill_page(tree, ref, reference->first, part);
    size_t len = OVERFLOW_HEAD_BYTES + part.len;
    log_action(&alter.record, ACTION_IMAGE, ref->page_no);
    log_run(&alter.record, (struct bytes){ref->data, len < NODE_HEAD_BYTES ? NODE_HEAD_BYTES : len});
    log_run(&alter.record, (struct bytes){NULL, 0});
    grave_log(&alter.record, &move);
    alter_log_maps(&alter);
    Lsn lsn = log_append(&alter.record, store->wal, NULL, LOG_PAGES, 0);
    grave_apply(store, &move, lsn);
    alter_finish(&alter, lsn);
    *reference = longer;
    return OP_OK;
failed:
    grave_release(store, &move);
    alter_abort(&alter);
    return OP_FAILED;
}

uint32_t overflow_room(const struct store *store)
{
    return store->usable - OVERFLOW_HEAD_BYTES;
}

int overflow_write(struct op *op, struct btree *tree, TxnId txn, struct bytes value, struct reference *reference)
{
    size_t per_page = tree->store->usable - OVERFLOW_HEAD_BYTES, left = value.len;
    memset(reference, 0, sizeof *reference);
    while (left > 0) {
        size_t part = left % per_page != 0 ? left % per_page : per_page;
        bool room;
        if (op_check_cancel(op) != OP_OK ||
            add_page(op, tree, txn, (struct bytes){value.data + left - part, part}, reference, &room) != OP_OK)
            return OP_FAILED;
        if (room)
            left -= part;
    }
    return OP_OK;
}

/* ---- reading -------------------------------------------------------------------------------------- */

static int fix_page(struct op *op, struct store *store, PageNo page_no, struct page_ref *ref)
{
    if (page_no == 0 || page_no >= buf_page_count(store->buf))
        return btree__damaged(op, store, page_no, "an overflow chain lies within the file");
    if (buf_fix(op, store->buf, page_no, LATCH_SHARED, ref) != OP_OK)
        return OP_FAILED;
    const struct overflow_head *head = overflow_head(ref);
    if (head->page.type == PAGE_OVERFLOW && head->len <= store->usable - OVERFLOW_HEAD_BYTES)
        return OP_OK;
    buf_unfix(ref, store->buf);
    return btree__damaged(op, store, page_no, "an overflow chain consists of overflow pages");
}

int btree_read_overflow(struct op *op, struct store *store, struct bytes stored, struct arena *arena, struct bytes *value)
{
    struct reference reference;
    *value = (struct bytes){NULL, 0};
    if (!reference_get(stored, &reference) || reference.size > (uint64_t)buf_page_count(store->buf) * store->usable)
        return op_fail(op, "XX001", "a reference to an overflow chain is damaged");
    uint8_t *data = op_arena_alloc(op, arena, (size_t)reference.size + 1);
    if (data == NULL)
        return OP_FAILED;
    uint64_t done = 0;
    for (PageNo page_no = reference.first; done < reference.size || page_no != 0;) {
        struct page_ref ref;
        if (fix_page(op, store, page_no, &ref) != OP_OK)
            return OP_FAILED;
        const struct overflow_head *head = overflow_head(&ref);
        uint32_t len = head->len;
        bool fits = len > 0 && len <= reference.size - done;
        if (fits)
            memcpy(data + done, ref.data + OVERFLOW_HEAD_BYTES, len);
        PageNo next = head->next;
        buf_unfix(&ref, store->buf);
        if (!fits)
            return btree__damaged(op, store, page_no, "the pages of an overflow chain add up to the value's size");
        done += len;
        page_no = next;
    }
    *value = (struct bytes){data, (size_t)reference.size};
    return OP_OK;
}

int overflow_pages(struct op *op, struct store *store, PageNo first, PageNo *pages, int max, int *count, PageNo *rest)
{
    *count = 0;
    *rest = first;
    while (*rest != 0 && *count < max) {
        struct page_ref ref;
        if (fix_page(op, store, *rest, &ref) != OP_OK)
            return OP_FAILED;
        pages[(*count)++] = *rest;
        *rest = overflow_head(&ref)->next;
        buf_unfix(&ref, store->buf);
    }
    return OP_OK;
}
