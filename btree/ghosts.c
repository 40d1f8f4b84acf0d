/*
 * ghosts.c -- leaves on which ghosts were met by somebody who could not ask whether anybody still needs them.
 *
 * Which ghosts are dead is known to the layer above, which hears of each as it dies.  What it has heard is gone after a crash, and its
 * list may run over.  So redo notes the leaves that have ghosts when it has been there, and the scrub those that it passes; the layer above
 * takes them one by one, and is shown the ghosts.
 *
 *  Y1  The list holds hints: a page may have become anything by the time it is looked at.
 *  Y2  It is bounded; what does not fit, the scrub meets again.
 */
#include <string.h>

#include "btree/btree_int.h"
#include "src/base/mem.h"

enum { GHOST_PAGES_MAX = 1 << 17 };

void ghosts_note(struct store *store, const struct page_ref *ref)
{
    struct ghost_pages *list = &store->ghost_pages;
    const struct node_head *head = node_head(node_of(store, ref));
    if (head->page.type != PAGE_LEAF || head->ghosts == 0 || head->page.tree_id < FIRST_USER_TREE)
        return;
    os_mutex_lock(&store->space.mutex);
    bool known = list->count > 0 && list->pages[list->count - 1] == ref->page_no;
    if (!known && list->count == list->capacity && list->capacity < GHOST_PAGES_MAX) {
        size_t capacity = list->capacity ? 2 * list->capacity : 64;
        PageNo *grown = mem_realloc(list->pages, capacity * sizeof *grown);
        if (grown != NULL) {
            list->pages = grown;
            list->capacity = capacity;
        }
    }
    if (!known && list->count < list->capacity)
        list->pages[list->count++] = ref->page_no;
    os_mutex_unlock(&store->space.mutex);
}

bool btree_has_ghost_pages(struct store *store)
{
    os_mutex_lock(&store->space.mutex);
    bool any = store->ghost_pages.count > 0;
    os_mutex_unlock(&store->space.mutex);
    return any;
}

/* 0: the list is empty. */
static PageNo take(struct store *store)
{
    struct ghost_pages *list = &store->ghost_pages;
    os_mutex_lock(&store->space.mutex);
    PageNo page_no = list->count > 0 ? list->pages[--list->count] : 0;
    if (list->count == 0) {
        mem_free(list->pages);
        *list = (struct ghost_pages){0};
    }
    os_mutex_unlock(&store->space.mutex);
    return page_no;
}

/* A copy of the page is shown, so that what is called may do what it likes. */
static int show(struct op *op, struct store *store, PageNo page_no, struct node node,
                int (*see)(void *arg, struct op *op, TreeId tree, struct bytes key), void *arg)
{
    uint8_t buffer[PAGE_SIZE_MAX / 4];
    struct bytes prefix = node_prefix(node);
    int result = OP_OK;
    if (node_check_head(node) != NULL || prefix.len > sizeof buffer)
        return btree__damaged(op, store, page_no, "a fence is no longer than a key");
    if (prefix.len > 0)
        memcpy(buffer, prefix.data, prefix.len);
    for (unsigned slot = 0; result == OP_OK && node_head(node)->ghosts > 0 && slot < node_head(node)->slots; slot++) {
        struct cell cell;
        if (!node_cell(node, slot, &cell) || prefix.len + cell.suffix.len > sizeof buffer)
            return btree__damaged(op, store, page_no, "each cell lies within the heap");
        if (!(cell.flags & BTREE_GHOST))
            continue;
        memcpy(buffer + prefix.len, cell.suffix.data, cell.suffix.len);
        result = see(arg, op, node_head(node)->page.tree_id, (struct bytes){buffer, prefix.len + cell.suffix.len});
    }
    return result;
}

int btree_take_ghost_page(struct op *op, struct store *store,
                          int (*see)(void *arg, struct op *op, TreeId tree, struct bytes key), void *arg, bool *any)
{
    struct page_ref ref;
    PageNo page_no = take(store);
    *any = page_no != 0;
    if (page_no == 0 || page_no >= buf_page_count(store->buf) || space_is_free(store, page_no))
        return OP_OK;
    uint8_t *copy = op_heap_alloc(op, store->page_size);
    if (copy == NULL)
        return OP_FAILED;
    int result = buf_fix(op, store->buf, page_no, LATCH_SHARED, &ref);
    if (result == OP_OK) {
        memcpy(copy, ref.data, store->page_size);
        buf_unfix(&ref, store->buf);
        struct node node = {copy, store->usable};
        if (node_head(node)->page.type == PAGE_LEAF && node_head(node)->page.tree_id >= FIRST_USER_TREE)
            result = show(op, store, page_no, node, see, arg);
    }
    mem_free(copy);
    return result;
}
