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

int ddl__set(struct op *op, struct session *session, enum system_table which, const struct catalog_row *row, int column,
             struct datum value)
{
    const struct table_def *table = session->database->system[which];
    struct datum *values = op_alloc(op, sizeof *values * (size_t)table->column_count);
    struct change change = {0};
    struct txn_outcome outcome;

    if (!values)
        return OP_FAILED;
    memcpy(values, row->values, sizeof *values * (size_t)table->column_count);
    values[column] = value;
    int result = change_open(op, &op->arena, session->txn, table, &change);
    if (result == 0)
        result = change_update(op, &change, row->key, row->values, values, NULL, txn_read_ts(session->txn), &outcome);
    if (result == 0 && outcome.result != TXN_WRITTEN)
        result = op_fail(op, "40001", "could not serialize access due to concurrent change of the catalog");
    change_close(&change);
    return result;
}

int ddl__row(struct op *op, struct session *session, enum system_table which, const struct datum *prefix, int prefix_count,
             struct catalog_row **row)
{
    if (catalog__find(op, session->database, session->txn, which, 0, prefix, prefix_count, row) != 0)
        return OP_FAILED;
    return *row ? 0 : op_fail(op, "XX001", "a row is missing in \"%s\"", session->database->system[which]->name);
}

/* "1 3" of the columns' numbers (0: an expression), or the flags of those of the key. */
static const char *number_list(struct op *op, const struct table_def *table, const struct ddl_index *index, bool flags)
{
    int count = index->column_count + (flags ? 0 : index->include_count);
    size_t size = (size_t)count * 12 + 1, len = 0;
    char *text = op_alloc(op, size);

    for (int i = 0; text && i < count; i++) {
        const struct index_column *column = &index->columns[i];
        int value = flags ? column->descending + 2 * column->nulls_first : column->column < 0 ? 0
                                                                          : table->columns[column->column].number;
        len += (size_t)snprintf(text + len, size - len, "%s%d", i ? " " : "", value);
    }
    return text;
}

/* "{1,3}"; a null when there are none. */
static int put_array(struct op *op, const int *numbers, int count, struct datum *value)
{
    size_t size = (size_t)count * 12 + 3, len = 1;
    char *text = op_alloc(op, size);

    *value = (struct datum){.null = true};
    if (!text || count == 0)
        return text ? 0 : OP_FAILED;
    text[0] = '{';
    for (int i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, size - len, "%s%d", i ? "," : "", numbers[i]);
    memcpy(text + len, "}", 2);
    *value = datum_text(text);
    return 0;
}

int ddl__insert_constraint(struct op *op, struct session *session, const struct ddl_constraint *constraint)
{
    char on_update[] = {constraint->on_update ? constraint->on_update : ' ', '\0'};
    char on_delete[] = {constraint->on_delete ? constraint->on_delete : ' ', '\0'};
    Oid oid = 0;

    if (ddl__new_oid(op, session, &oid) != 0)
        return OP_FAILED;
    struct datum values[CONSTRAINT_COLUMNS] = {
        [CONSTRAINT_OID] = datum_int(oid), [CONSTRAINT_NAME] = datum_text(constraint->name),
        [CONSTRAINT_NAMESPACE] = datum_int(NAMESPACE_PUBLIC), [CONSTRAINT_TYPE] = datum_text(constraint->type),
        [CONSTRAINT_RELID] = datum_int(constraint->table), [CONSTRAINT_INDEX] = datum_int(constraint->index),
        [CONSTRAINT_DEFERRABLE] = datum_bool(constraint->deferrable), [CONSTRAINT_DEFERRED] = datum_bool(constraint->deferred),
        [CONSTRAINT_VALIDATED] = datum_bool(constraint->validated), [CONSTRAINT_FOREIGN_RELID] = datum_int(constraint->parent),
        [CONSTRAINT_ON_UPDATE] = datum_text(on_update), [CONSTRAINT_ON_DELETE] = datum_text(on_delete),
        [CONSTRAINT_MATCH] = datum_text(constraint->parent ? "s" : " "), [CONSTRAINT_TEXT] = {.null = true},
    };
    if (constraint->text)
        values[CONSTRAINT_TEXT] = datum_text(constraint->text);
    if (put_array(op, constraint->columns, constraint->column_count, &values[CONSTRAINT_KEY]) != 0 ||
        put_array(op, constraint->parent_columns, constraint->parent ? constraint->column_count : 0,
                  &values[CONSTRAINT_FOREIGN_KEY]) != 0 ||
        put_array(op, constraint->set_columns, constraint->set_count, &values[CONSTRAINT_SET_COLUMNS]) != 0)
        return OP_FAILED;
    return ddl__insert_row(op, session, SYSTEM_CONSTRAINT, values);
}

/* "type,modifier,length:text" of each expression. */
static int put_expressions(struct op *op, const struct ddl_index *index, struct datum *value)
{
    const char *text = NULL;

    *value = (struct datum){.null = true};
    for (int i = 0; i < index->column_count; i++) {
        if (index->columns[i].column >= 0)
            continue;
        text = arena_printf(&op->arena, "%s%u,%d,%zu:%s", text ? text : "", index->types[i].oid, (int)index->types[i].modifier,
                            strlen(index->expressions[i]), index->expressions[i]);
        if (!text)
            return op_out_of_memory(op);
        *value = datum_text(text);
    }
    return 0;
}

static int insert_key_constraint(struct op *op, struct session *session, const struct table_def *table, const struct ddl_index *index,
                                 Oid oid)
{
    int numbers[KEY_COLUMNS_MAX];
    struct ddl_constraint constraint = {.name = index->name, .type = index->primary ? "p" : "u", .table = table->oid, .index = oid,
                                        .columns = numbers, .column_count = index->column_count, .validated = true};
    for (int i = 0; i < index->column_count; i++)
        numbers[i] = table->columns[index->columns[i].column].number;
    return ddl__insert_constraint(op, session, &constraint);
}

int ddl__insert_index(struct op *op, struct session *session, const struct table_def *table, const struct ddl_index *index, Oid oid,
                      TreeId tree)
{
    const char *columns = number_list(op, table, index, false), *options = number_list(op, table, index, true);
    int count = index->column_count + index->include_count;
    struct datum expressions;

    if (!columns || !options || put_expressions(op, index, &expressions) != 0)
        return OP_FAILED;
    struct datum relation[CLASS_COLUMNS] = {datum_int(oid), datum_text(index->name), datum_int(NAMESPACE_PUBLIC), datum_text("i"),
                                            datum_int((int64_t)tree), datum_int(count)};
    struct datum values[INDEX_COLUMNS] = {datum_int(oid), datum_int(table->oid), datum_int(count), datum_bool(index->unique),
                                          datum_bool(index->primary), datum_text(columns), datum_text(options),
                                          datum_int(index->column_count), expressions, {.null = true}};
    if (index->predicate)
        values[INDEX_PREDICATE] = datum_text(index->predicate);
    if (ddl__insert_row(op, session, SYSTEM_CLASS, relation) != 0 || ddl__insert_row(op, session, SYSTEM_INDEX, values) != 0)
        return OP_FAILED;
    return index->constraint ? insert_key_constraint(op, session, table, index, oid) : 0;
}

int ddl__insert_column(struct op *op, struct session *session, Oid table, const struct column_def *column, const char *missing)
{
    struct datum values[ATTRIBUTE_COLUMNS] = {
        datum_int(table), datum_text(column->name), datum_int(column->type.oid), datum_int(column->number),
        datum_int(column->type.modifier), datum_bool(column->not_null), datum_bool(column->default_sql != NULL), datum_bool(false),
        datum_text(column->generated ? "s" : ""), datum_bool(missing != NULL), {.null = true},
    };
    Oid oid = 0;

    if (missing)
        values[ATTRIBUTE_MISSING] = datum_text(missing);
    if (ddl__insert_row(op, session, SYSTEM_ATTRIBUTE, values) != 0)
        return OP_FAILED;
    if (!column->default_sql)
        return 0;
    if (ddl__new_oid(op, session, &oid) != 0)
        return OP_FAILED;
    struct datum text[ATTRDEF_COLUMNS] = {datum_int(oid), datum_int(table), datum_int(column->number),
                                          datum_text(column->default_sql)};
    return ddl__insert_row(op, session, SYSTEM_ATTRDEF, text);
}

int ddl__reload(struct op *op, struct session *session, Oid oid, struct table_def **table)
{
    catalog_release(*table);
    *table = NULL;
    txn_next_command(session->txn);
    if (catalog__touch(op, session, oid) != 0 || catalog_table(op, session, oid, table) != 0)
        return OP_FAILED;
    return *table ? 0 : op_fail(op, "XX001", "table %u has vanished from the catalog", oid);
}

int ddl__find_constraint(struct op *op, struct session *session, Oid table, const char *name, struct catalog_row **row)
{
    struct datum prefix[] = {datum_int(table), datum_text(name)};
    return catalog__find(op, session->database, session->txn, SYSTEM_CONSTRAINT, CONSTRAINT_BY_TABLE, prefix, 2, row);
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
