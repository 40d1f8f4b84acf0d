/*
 * ddl_catalog.c -- writing the system tables.
 *
 * Their rows are changed as any other table's: versioned, logged, undone with the transaction or the savepoint.  That is all that
 * makes DDL transactional.
 */
#include <stdio.h>
#include <string.h>

#include "sql/ddl_int.h"

int ddl__insert_row(struct op *op, struct session *session, enum system_table which, const struct datum *values)
{
    struct change change = {0};
    int result = change_open(op, &op->arena, session->txn, session->database->system[which], &change);

    if (result == 0)
        result = change_insert(op, &change, values);
    change_close(&change);
    return result;
}

int ddl__delete_rows(struct op *op, struct session *session, enum system_table which, int index, Oid oid)
{
    struct datum prefix[] = {datum_int(oid)};
    struct change change = {0};
    struct catalog_row *row;
    int result = OP_FAILED;

    if (catalog__find(op, session->database, session->txn, which, index, prefix, 1, &row) != 0 ||
        change_open(op, &op->arena, session->txn, session->database->system[which], &change) != 0)
        goto out;
    for (; row; row = row->next) {
        struct txn_outcome outcome;
        if (change_delete(op, &change, row->key, row->values, txn_read_ts(session->txn), &outcome) != 0)
            goto out;
        if (outcome.result != TXN_WRITTEN) {
            op_fail(op, "40001", "could not serialize access due to concurrent change of the catalog");
            goto out;
        }
    }
    result = 0;
out:
    change_close(&change);
    return result;
}

int ddl__new_oid(struct op *op, struct session *session, Oid *oid)
{
    uint64_t id;
    if (txn_next_id(op, session->txn, SEQUENCE_OID, &id) != 0)
        return OP_FAILED;
    if (id > UINT32_MAX - FIRST_USER_OID)
        return op_fail(op, "54000", "the database has used up its object ids");
    *oid = (Oid)(FIRST_USER_OID - 1 + id);
    return 0;
}

/* "1 3" of the columns' numbers, or their flags. */
static const char *number_list(struct op *op, const int *numbers, const struct ddl_index *index, bool flags)
{
    size_t size = (size_t)index->column_count * 12 + 1, len = 0;
    char *text = op_alloc(op, size);
    for (int i = 0; text && i < index->column_count; i++) {
        const struct index_column *column = &index->columns[i];
        int value = flags ? column->descending + 2 * column->nulls_first : numbers[column->column];
        len += (size_t)snprintf(text + len, size - len, "%s%d", i ? " " : "", value);
    }
    return text;
}

static int insert_constraint(struct op *op, struct session *session, Oid table, const char *columns,
                             const struct ddl_index *index, Oid index_oid)
{
    Oid oid = 0;
    char *list = arena_printf(&op->arena, "{%s}", columns);

    if (!list)
        return op_out_of_memory(op);
    for (char *at = list; *at; at++)
        if (*at == ' ')
            *at = ',';
    if (ddl__new_oid(op, session, &oid) != 0)
        return OP_FAILED;
    struct datum values[CONSTRAINT_COLUMNS] = {
        datum_int(oid), datum_text(index->name), datum_int(NAMESPACE_PUBLIC), datum_text(index->primary ? "p" : "u"),
        datum_int(table), datum_int(index_oid), datum_text(list),
    };
    return ddl__insert_row(op, session, SYSTEM_CONSTRAINT, values);
}

int ddl__insert_index(struct op *op, struct session *session, Oid table, const int *numbers, const struct ddl_index *index, Oid oid,
                      TreeId tree)
{
    const char *columns = number_list(op, numbers, index, false), *options = number_list(op, numbers, index, true);

    if (!columns || !options)
        return OP_FAILED;
    struct datum relation[CLASS_COLUMNS] = {datum_int(oid), datum_text(index->name), datum_int(NAMESPACE_PUBLIC), datum_text("i"),
                                            datum_int((int64_t)tree), datum_int(index->column_count)};
    struct datum values[INDEX_COLUMNS] = {datum_int(oid), datum_int(table), datum_int(index->column_count),
                                          datum_bool(index->unique), datum_bool(index->primary), datum_text(columns),
                                          datum_text(options)};
    if (ddl__insert_row(op, session, SYSTEM_CLASS, relation) != 0 || ddl__insert_row(op, session, SYSTEM_INDEX, values) != 0)
        return OP_FAILED;
    return index->constraint ? insert_constraint(op, session, table, columns, index, oid) : 0;
}

int ddl__relation_exists(struct op *op, struct session *session, const char *name, bool *exists)
{
    Oid oid;
    char kind;
    int result = catalog__find_relation(op, session->database, session->txn, name, &oid, &kind);
    *exists = oid != TYPE_INVALID;
    return result;
}

int ddl__check_schema(struct op *op, const struct ast_name *name)
{
    if (!name->schema || strcmp(name->schema, "public") == 0)
        return 0;
    if (strcmp(name->schema, "pg_catalog") != 0)
        return op_fail_at(op, name->position, "3F000", "schema \"%s\" does not exist", name->schema);
    op_fail(op, "42501", "permission denied to create \"pg_catalog.%s\"", name->name);
    op_detail(op, "System catalog modifications are currently disallowed.");
    return OP_FAILED;
}

int ddl__lock_table(struct op *op, struct session *session, const struct ast_name *name, enum txn_table_lock mode,
                    struct table_def **table)
{
    for (;;) {
        struct table_def *before;
        *table = NULL;
        if (session__snapshot(op, session) != 0 || catalog_find_table(op, session, name->schema, name->name, &before) != 0)
            return OP_FAILED;
        if (!before)
            return 0;
        Oid oid = before->oid;
        bool system = before->system;
        catalog_release(before);
        if (system)
            return op_fail(op, "42501", "permission denied: \"%s\" is a system catalog", name->name);
        if (txn_lock_table(op, session->txn, oid, mode) != 0 || session__snapshot(op, session) != 0 ||
            catalog_find_table(op, session, name->schema, name->name, table) != 0)
            return OP_FAILED;
        if (*table && (*table)->oid == oid)
            return 0;
        catalog_release(*table);    /* dropped, and perhaps made anew, while this waited */
    }
}
