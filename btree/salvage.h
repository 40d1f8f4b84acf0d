/*
 * salvage.h -- reading a damaged file page by page into a new store: for the tool that salvages, and nobody else.
 */
#ifndef ISOLDE_BTREE_SALVAGE_H
#define ISOLDE_BTREE_SALVAGE_H

#include "btree/btree.h"

struct store_salvage {
    struct vfs *vfs;            /* of the damaged file, which is only read */
    const char *path;
    uint32_t page_size, reserved_bytes;
    bool trust_map;             /* the log was read to its end: the free map says which pages are in use */
    struct store *to;           /* a new store, without trees of users */
    void *arg;
    void (*report)(void *arg, TreeId tree, const char *line);   /* each loss, in words; tree 0: not known */
};

struct store_salvaged {
    uint64_t pages, damaged, records;
    uint64_t lost;              /* pages and records that hold what could not be saved */
    TreeId *trees;              /* that have suffered; 0 is one of them when nobody knows which */
    size_t tree_count;
};

/* What the page size must be, judging by checksums; 0 when no page is sound. */
int store_salvage_page_size(struct op *op, struct vfs *vfs, const char *path, uint32_t *page_size) MUST_CHECK;
int store_salvage(struct op *op, const struct store_salvage *from, struct store_salvaged *result) MUST_CHECK;
int store_salvaged_damage(struct op *op, struct store_salvaged *salvaged, TreeId tree) MUST_CHECK;
void store_salvaged_free(struct store_salvaged *result);

/* Ids of all trees of a store, ascending; free with mem_free. */
int store_trees(struct op *op, struct store *store, TreeId **ids, size_t *count) MUST_CHECK;
/* Removes a record, ghost or not, or all of a tree, at once and for good: nobody may be using it.  Absent is fine. */
int btree_erase(struct op *op, struct btree *tree, struct bytes key) MUST_CHECK;
int btree_erase_all(struct op *op, struct btree *tree) MUST_CHECK;

#endif
