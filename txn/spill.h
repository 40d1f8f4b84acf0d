/*
 * spill.h -- spilled version chains: a sorted map in a temporary file, each tree of it used by one thread at a time.
 */
#ifndef ISOLDE_TXN_SPILL_H
#define ISOLDE_TXN_SPILL_H

#include <assert.h>

#include "src/base/op.h"
#include "src/os/os.h"

/*
 * A chain as it lies in a leaf: head, key, entries newest first; each part padded to eight bytes.
 *
 *      | size | key_len | tree | entries | key ... | entry | entry |
 */
struct spill_item {
    uint32_t size;                  /* of all of it */
    uint32_t key_len;
    TreeId tree;
    uint32_t entries;
    uint32_t unused;
    /* key, entries */
};
struct spill_entry {
    uint32_t size;                  /* of all of it */
    uint32_t before_len, moved_to_len;
    uint32_t command;
    Lsn lsn;
    CommitTs reborn, rekeyed;       /* as in struct version */
    CommitTs ts;                    /* when its writer committed; 0: ask the writer */
    TxnId writer;
    uint8_t kind, lock_mode;        /* enum version_kind, txn_row_lock */
    uint8_t before_present, before_overflow;
    uint8_t gap;
    uint8_t unused[3];
    /* before, moved_to */
};
static_assert(sizeof(struct spill_item) == 24 && sizeof(struct spill_entry) == 64, "items lie in leaves as they are in memory");

static inline uint32_t spill__pad(size_t len)
{
    return (uint32_t)((len + 7) & ~(size_t)7);
}
static inline struct bytes spill__key(const struct spill_item *item)
{
    return (struct bytes){ (const uint8_t *)(item + 1), item->key_len };
}
static inline struct spill_entry *spill__first(struct spill_item *item)
{
    return (struct spill_entry *)((uint8_t *)(item + 1) + spill__pad(item->key_len));
}
static inline struct spill_entry *spill__next(struct spill_entry *entry)
{
    return (struct spill_entry *)((uint8_t *)entry + entry->size);
}

/* What is in a leaf, or in a tree. */
struct spill_marks {
    CommitTs oldest, newest;        /* of the commits that are known; oldest may be too old, newest too new */
    uint64_t entries, pending;      /* pending: those whose writer must be asked */
};

struct spill_leaf {
    uint32_t page;
    int frame;                      /* -1: in the file only */
    uint32_t used, items;
    struct spill_marks marks;
    TreeId tree;                    /* its low end: tree and key */
    uint32_t key_len;
    uint8_t key[];
};

struct spill_file;

/* One sorted map.  The caller sees to it that one thread uses it at a time. */
struct spill_tree {
    struct spill_file *file;
    struct spill_leaf **leaves;     /* in order */
    size_t count, capacity;
    struct spill_frame *frames;
    int frame_count;
    uint64_t clock;
    CommitTs oldest;                /* no leaf's is older */
    uint64_t pending;
};

/* limit: bytes of the file.  The file is made at the first need. */
int spill__open(struct op *op, struct vfs *vfs, const char *database_path, uint32_t page_size, uint64_t limit,
                struct spill_file **file) MUST_CHECK;
void spill__close(struct spill_file *file);
uint64_t spill__file_bytes(const struct spill_file *file);      /* in use */
uint64_t spill__memory(const struct spill_file *file);          /* directories of all its trees, without frames */
/* Is there only what a crash has left? */
bool spill__can_be_cut(struct spill_file *file);
/* Gives the file's space back when nothing is in it. */
void spill__cut(struct spill_file *file);
uint32_t spill__item_max(const struct spill_file *file);

int spill__tree_open(struct op *op, struct spill_file *file, int frames, struct spill_tree *tree) MUST_CHECK;
void spill__tree_close(struct spill_tree *tree);
/* NULL when there is none.  The item stays where it is until the next call for this tree, and may be shortened by spill__remove. */
int spill__find(struct op *op, struct spill_tree *tree, TreeId id, struct bytes key, struct spill_item **item) MUST_CHECK;
/* There must be none with this key.  53100 when the limit is reached or the disk is full. */
int spill__put(struct op *op, struct spill_tree *tree, const struct spill_item *item) MUST_CHECK;
/* Takes out the item that spill__find has just found. */
void spill__remove(struct spill_tree *tree, struct spill_item *item);
/*
 * Offers each item of the leaves that `due` chooses; `settle` takes away entries from the end of the item, counting down item->entries.
 * From leaf *at on, at most `most` leaves are opened; *done tells that the last was reached.
 */
int spill__sweep(struct op *op, struct spill_tree *tree, size_t *at, int most, bool (*due)(void *arg, const struct spill_leaf *leaf),
                 void (*settle)(void *arg, struct spill_item *item), void *arg, bool *done) MUST_CHECK;

#endif
