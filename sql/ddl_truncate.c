/*
 * ddl_truncate.c -- TRUNCATE: a table without its rows.
 *
 * All tables are locked first, in the order in which they are named, then each gets new, empty trees (ddl_rewrite.c).  There are no
 * sequences that belong to columns, so RESTART IDENTITY finds none to begin anew.
 */
#include <string.h>

#include "sql/ddl_int.h"

static int lock_one(struct op *op, struct session *session, const struct ast_name *name, struct table_def **table)
{
    if (ddl__lock_table(op, session, name, TXN_ACCESS_EXCLUSIVE, table) != 0)
        return OP_FAILED;
    if (*table)
        return 0;
    Oid oid = 0;
    char kind = 0;
    if (catalog__find_relation(op, session->database, session->txn, name->name, &oid, &kind) != 0)
        return OP_FAILED;
    if (oid && kind != 'r')
        return op_fail(op, "42809", "\"%s\" is not a table", name->name);
    return op_fail(op, "42P01", "relation \"%s\" does not exist", name->name);
}

static int truncate_one(struct op *op, struct session *session, struct table_def **table)
{
    struct table_def *before = catalog_hold(*table);
    int result = catalog__touch(op, session, before->oid);

    for (int i = 0; result == 0 && i < before->index_count; i++)
        result = catalog__touch(op, session, before->indexes[i].oid);
    if (result == 0)
        result = ddl__rewrite(op, session, before, NULL, 0, true, table);
    catalog_release(before);
    return result;
}

struct truncation {
    struct session *session;
    struct table_def **tables;
    int count, capacity;
};

/* Adds a table once; takes the reference. */
static int add(struct op *op, struct truncation *truncation, struct table_def *table)
{
    for (int i = 0; i < truncation->count; i++)
        if (truncation->tables[i]->oid == table->oid) {
            catalog_release(table);
            return 0;
        }
    if (truncation->count == truncation->capacity) {
        int capacity = truncation->capacity * 2 + 8;
        struct table_def **grown = op_alloc(op, sizeof(struct table_def *) * (size_t)capacity);
        if (!grown) {
            catalog_release(table);
            return OP_FAILED;
        }
        if (truncation->count)
            memcpy(grown, truncation->tables, sizeof(struct table_def *) * (size_t)truncation->count);
        truncation->tables = grown;
        truncation->capacity = capacity;
    }
    truncation->tables[truncation->count++] = table;
    return 0;
}

static bool is_truncated(const struct truncation *truncation, Oid oid)
{
    for (int i = 0; i < truncation->count; i++)
        if (truncation->tables[i]->oid == oid)
            return true;
    return false;
}

/* Tables that refer to one of these go as well, or nothing does. */
static int add_referrers(struct op *op, struct truncation *truncation, bool cascade)
{
    struct session *session = truncation->session;

    for (int i = 0; i < truncation->count; i++)
        for (int k = 0; k < truncation->tables[i]->referrer_count; k++) {
            Oid oid = truncation->tables[i]->referrers[k].child;
            struct table_def *child;
            if (is_truncated(truncation, oid))
                continue;
            if ((cascade && (txn_lock_table(op, session->txn, oid, TXN_ACCESS_EXCLUSIVE) != 0 || session__snapshot(op, session) != 0)) ||
                catalog_table(op, session, oid, &child) != 0)
                return OP_FAILED;
            if (!child)
                continue;
            if (!cascade) {
                op_fail(op, "0A000", "cannot truncate a table referenced in a foreign key constraint");
                op_detail(op, "Table \"%s\" references \"%s\".", child->name, truncation->tables[i]->name);
                op_hint(op, "Truncate table \"%s\" at the same time, or use TRUNCATE ... CASCADE.", child->name);
                catalog_release(child);
                return OP_FAILED;
            }
            session_notice(session, "NOTICE", "00000", "truncate cascades to table \"%s\"", child->name);
            if (add(op, truncation, child) != 0)
                return OP_FAILED;
        }
    return 0;
}

int ddl_truncate(struct op *op, struct session *session, const struct ast_truncate *statement)
{
    struct truncation truncation = {.session = session};
    int result = 0;

    for (const struct ast_name *name = statement->tables; result == 0 && name; name = name->next) {
        struct table_def *table = NULL;
        result = lock_one(op, session, name, &table);
        if (result == 0)
            result = add(op, &truncation, table);
    }
    if (result == 0)
        result = add_referrers(op, &truncation, statement->cascade);
    for (int i = 0; result == 0 && i < truncation.count; i++)
        result = truncate_one(op, session, &truncation.tables[i]);
    for (int i = 0; i < truncation.count; i++)
        catalog_release(truncation.tables[i]);
    return result;
}
