/*
 * trees.c -- trees made, filled and dropped by transactions, and when what they let go of may be freed.
 *
 * A dropped tree, or the overflow chain of a value that was replaced, must outlive the transaction that let go of it: that may
 * roll back, and older snapshots still read it.  btree/ keeps such things in its graveyard, a logged tree, under the id of the
 * transaction; here is the answer to its one question, whether a transaction is dead: ended, and no snapshot left from before
 * its end.
 *
 * D1  A writer is on the list of those in progress, or on the list of those whose entries somebody may need, or dead; it goes from
 *     the first to the second in such an order that it is never on neither too early.
 * D2  A writer that has buried something stays on the second list until the horizon has passed it, even if all its entries
 *     have been pruned.
 */
#include <stdlib.h>

#include "txn/txn_int.h"

int txn_create_tree(struct op *op, struct txn_session *session, TreeId *tree_id)
{
    struct txn *writer;

    *tree_id = 0;
    if (session->read_only) {
        return op_fail(op, "25006", "cannot create a tree in a read-only transaction");
    }
    if (session__writer(op, session, &writer) != 0) {
        return OP_FAILED;
    }
    writer->created = true;
    return btree_create(op, session->manager->store, &writer->chain, tree_id);
}

int txn_drop_tree(struct op *op, struct txn_session *session, TreeId tree_id)
{
    struct txn *writer;

    if (session->read_only) {
        return op_fail(op, "25006", "cannot drop a tree in a read-only transaction");
    }
    if (session__writer(op, session, &writer) != 0) {
        return OP_FAILED;
    }
    writer->buried = true;
    return btree_bury(op, session->manager->store, &writer->chain, tree_id);
}

int txn_load(struct op *op, struct txn_session *session, struct btree *tree, struct bytes key, struct bytes value, bool *added)
{
    struct txn *writer;

    *added = false;
    if (session->read_only) {
        return op_fail(op, "25006", "cannot load a tree in a read-only transaction");
    }
    if (session__writer(op, session, &writer) != 0) {
        return OP_FAILED;
    }
    return btree_load(op, tree, writer->id, key, value, added);
}

/* Who is not dead, gathered beforehand: the question is asked with latches held. */
struct living {
    TxnId limit;                /* this id and all above it belong to transactions that may have begun since */
    TxnId *ids;
    size_t count, capacity;
};

static bool add_living(struct living *living, TxnId id)
{
    if (living->count == living->capacity) {
        size_t capacity = living->capacity == 0 ? 64 : living->capacity * 2;
        TxnId *grown = mem_realloc(living->ids, capacity * sizeof(*grown));
        if (grown == NULL) {
            return false;
        }
        living->ids = grown;
        living->capacity = capacity;
    }
    living->ids[living->count++] = id;
    return true;
}

/* First those in progress, then those whose entries are needed: nobody is missed on the way from one to the other (D1). */
static int gather_living(struct op *op, struct txn_manager *manager, struct living *living)
{
    bool fits = true;

    os_mutex_lock(&manager->mutex);
    /* A loser may have rows in a tree that others have dropped since: nothing is dead before it is rolled back. */
    living->limit = loser__any(manager) ? 0 : atomic_load(&manager->next_txn);
    for (struct txn *txn = manager->active.active_next; txn != &manager->active && fits; txn = txn->active_next) {
        fits = add_living(living, txn->id);
    }
    os_mutex_unlock(&manager->mutex);
    os_mutex_lock(&manager->commits);
    for (struct txn *txn = manager->purge_list.purge_next; txn != &manager->purge_list && fits; txn = txn->purge_next) {
        fits = add_living(living, txn->id);
    }
    os_mutex_unlock(&manager->commits);
    return fits ? 0 : op_out_of_memory(op);
}

static int compare_ids(const void *a, const void *b)
{
    TxnId left = *(const TxnId *)a, right = *(const TxnId *)b;

    return (left > right) - (left < right);
}

static bool is_dead(void *arg, TxnId id)
{
    const struct living *living = arg;

    return id < living->limit &&
           (living->count == 0 || bsearch(&id, living->ids, living->count, sizeof(id), compare_ids) == NULL);
}

/* A snapshot that was given up holds nobody back; but a statement that has not noticed yet must not have its trees freed under it. */
static bool given_up_and_reading(struct txn_manager *manager)
{
    unsigned chunks = atomic_load(&manager->slot_chunks);

    for (unsigned c = 0; c < chunks; c++) {
        struct slot *chunk = atomic_load(&manager->slots[c]);
        for (int i = 0; i < TXN_SLOT_CHUNK; i++) {
            if (atomic_load(&chunk[i].read_ts) == TXN_GIVEN_UP && atomic_load(&chunk[i].reading)) {
                return true;
            }
        }
    }
    return false;
}

int trees__free_graves(struct op *op, struct txn_manager *manager)
{
    struct living living = { 0 };
    uint64_t freed;

    int rc = gather_living(op, manager, &living);
    if (rc == 0 && !given_up_and_reading(manager)) {
        if (living.count > 0) {
            qsort(living.ids, living.count, sizeof(*living.ids), compare_ids);
        }
        rc = btree_free_graves(op, manager->store, is_dead, &living, &freed);
    }
    mem_free(living.ids);
    return rc;
}
