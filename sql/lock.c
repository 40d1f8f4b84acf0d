/*
 * lock.c -- LOCK TABLE.
 *
 * The lock is taken on what the name means now, and the name is looked up again behind it: the table may have been dropped, and made anew,
 * while the statement waited.  No snapshot is taken, so that a transaction that reads at one snapshot may lock first and then see
 * what the others have done before.
 */
#include "sql/ddl_int.h"
#include "sql/prepared_int.h"

static int take(struct op *op, struct session *session, const struct ast_lock *lock, const struct ast_name *name, Oid oid)
{
    bool locked;

    if (!lock->nowait)
        return txn_lock_table(op, session->txn, oid, lock->mode);
    if (txn_try_lock_table(op, session->txn, oid, lock->mode, &locked) != 0)
        return OP_FAILED;
    return locked ? 0 : op_fail(op, "55P03", "could not obtain lock on relation \"%s\"", name->name);
}

static int lock_one(struct op *op, struct session *session, const struct ast_lock *lock, const struct ast_name *name)
{
    Oid taken = TYPE_INVALID;

    for (;;) {
        struct table_def *table;
        if (catalog_find_table(op, session, name->schema, name->name, &table) != 0)
            return OP_FAILED;
        if (!table)
            return op_fail_at(op, name->position, "42P01", "relation \"%s%s%s\" does not exist", name->schema ? name->schema : "",
                              name->schema ? "." : "", name->name);
        Oid oid = table->oid;
        bool system = table->system;
        catalog_release(table);
        if (system)
            return op_fail(op, "42501", "permission denied: \"%s\" is a system catalog", name->name);
        if (oid == taken)
            return 0;
        if (take(op, session, lock, name, oid) != 0)
            return OP_FAILED;
        taken = oid;
    }
}

int session__lock_tables(struct op *op, struct session *session, const struct ast_lock *lock)
{
    if (session->block == BLOCK_NONE)
        return op_fail(op, "25P01", "LOCK TABLE can only be used in transaction blocks");
    if (lock->mode > TXN_ROW_EXCLUSIVE && session__check_writable(op, session, "LOCK TABLE") != 0)
        return OP_FAILED;
    if (session__begin(op, session, false) != 0)
        return OP_FAILED;
    for (const struct ast_name *name = lock->tables; name; name = name->next)
        if (lock_one(op, session, lock, name) != 0)
            return OP_FAILED;
    return 0;
}
