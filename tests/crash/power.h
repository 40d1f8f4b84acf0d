/*
 * power.h -- a run of the workload of trees (cuts.h), and the model that knows what it committed.
 *
 *      model.c         what must be in the database, as far as anybody was told
 *      workload.c      transactions, rolled back, half rolled back and committed, that use every part of the storage
 */
#ifndef ISOLDE_TESTS_CRASH_POWER_H
#define ISOLDE_TESTS_CRASH_POWER_H

#include "tests/crash/cuts.h"
#include "txn/txn.h"

enum {
    TREES = 2, ROWS = 700, SESSIONS = 8, CHANGES_MAX = 64, PENDING_MAX = 64, KEY_BYTES_MAX = 160,
    VALUE_BYTES_MAX = 40000,
};

/* ---- the model ------------------------------------------------------------------------------------ */

/* What a record holds: nothing, or a value that follows from its seed and length. */
struct row {
    bool live;
    uint32_t seed, len;
};

struct change {
    int tree;
    uint32_t number;
    struct row row;
};

/* One commit whose durability nobody has promised. */
struct commit {
    size_t count;
    struct change changes[CHANGES_MAX];
};

/*
 * After a crash the database must hold `acknowledged`, and then the first k of the pending commits, each wholly,
 * for some k: those that did not wait for the disk, and at last the one that was in flight.
 */
struct model {
    bool created;                   /* the trees are acknowledged */
    TreeId tree_ids[TREES];
    uint64_t highest_id;            /* of those that txn_next_id gave to acknowledged transactions */
    struct row acknowledged[TREES][ROWS];
    size_t pending_count;
    struct commit *pending[PENDING_MAX];
};

void model_copy(struct model *to, const struct model *from);
void model_free(struct model *model);
void model_begin_commit(struct model *model, const struct change *changes, size_t count);
/* The first `count` pending commits are durable. */
void model_settle(struct model *model, size_t count);
/* The state with all pending commits: what a running database shows. */
const struct row *model_newest(const struct model *model, int tree, uint32_t number);

struct bytes model_key(uint8_t buffer[KEY_BYTES_MAX], int tree, uint32_t number);
uint32_t model_number(struct bytes key);
void model_value(uint8_t *buffer, const struct row *row);

/* ---- a run ---------------------------------------------------------------------------------------- */

struct session {
    struct txn_session *txn;
    bool active;
    size_t count;                   /* changes so far */
    size_t mark_count;              /* SIZE_MAX: no savepoint */
    struct txn_mark mark;
    struct change changes[CHANGES_MAX];
};

/* What the run went through, to prove that it was worth the while. */
struct tally {
    uint64_t commits, rollbacks, savepoint_rollbacks, checkpoints, evictions, restarts;
    uint64_t last_leaves, most_leaves, merged_leaves, most_overflow;
};

struct run {
    struct op op;
    struct vfs *vfs;
    struct rng rng;
    struct store *store;
    struct txn_manager *manager;
    struct session sessions[SESSIONS];
    struct txn_session *reader;     /* reads everything now and then */
    struct btree *trees[TREES];
    uint64_t newest_id;
    bool grow;                      /* inserts are more frequent than deletes */
    struct model model;
    struct tally tally;
};

#endif
