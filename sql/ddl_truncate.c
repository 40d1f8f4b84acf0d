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

int ddl_truncate(struct op *op, struct session *session, const struct ast_truncate *statement)
{
    struct table_def **tables;
    int count = 0, named = 0, result = 0;

    for (const struct ast_name *name = statement->tables; name; name = name->next)
        named++;
    tables = op_calloc(op, sizeof(struct table_def *) * (size_t)named);
    if (!tables)
        return OP_FAILED;
    for (const struct ast_name *name = statement->tables; result == 0 && name; name = name->next) {
        struct table_def *table = NULL;
        bool seen = false;
        result = lock_one(op, session, name, &table);
        for (int i = 0; result == 0 && i < count; i++)
            seen |= tables[i]->oid == table->oid;
        if (result == 0 && !seen)
            tables[count++] = table;
        else
            catalog_release(table);
    }
    for (int i = 0; result == 0 && i < count; i++)
        result = truncate_one(op, session, &tables[i]);
    for (int i = 0; i < count; i++)
        catalog_release(tables[i]);
    return result;
}
