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
    *added = false;
    if (session->read_only) {
        return op_fail(op, "25006", "cannot load a tree in a read-only transaction");
    }
    return btree_load(op, tree, key, value, added);
}

static bool is_dead(void *arg, TxnId id)
{
    struct txn_manager *manager = arg;
    bool dead = true;

    os_mutex_lock(&manager->mutex);
    for (struct txn *txn = manager->active.active_next; txn != &manager->active && dead; txn = txn->active_next) {
        dead = txn->id != id;
    }
    os_mutex_unlock(&manager->mutex);
    if (dead) {
        os_mutex_lock(&manager->commits);
        for (struct txn *txn = manager->purge_list.purge_next; txn != &manager->purge_list && dead; txn = txn->purge_next) {
            dead = txn->id != id;
        }
        os_mutex_unlock(&manager->commits);
    }
    return dead;
}

int trees__free_graves(struct op *op, struct txn_manager *manager)
{
    uint64_t freed;

    return btree_free_graves(op, manager->store, is_dead, manager, &freed);
}
