/*
 * ddl_index.c -- CREATE INDEX and DROP INDEX.
 *
 * SHARE on the table keeps writers out while the index is built from what the snapshot behind that lock shows.  At REPEATABLE READ and
 * above an older snapshot may lack rows that have been committed since; an index without them would be wrong for everybody
 * else, so this is 40001 (X1).
 *
 * X1  An index holds an entry for every row that any snapshot from its commit on may see.
 */
#include <string.h>

#include "sql/ddl_int.h"

static int plan_columns(struct op *op, const struct table_def *table, const struct ast_create_index *statement,
                        struct ddl_index *index)
{
    for (const struct ast_index_column *word = statement->columns; word; word = word->next) {
        int column = 0;
        while (column < table->column_count && strcmp(table->columns[column].name, word->name) != 0)
            column++;
        if (column == table->column_count)
            return op_fail(op, "42703", "column \"%s\" does not exist", word->name);
        if (index->column_count == KEY_COLUMNS_MAX)
            return op_fail(op, "54011", "cannot use more than %d columns in an index", KEY_COLUMNS_MAX);
        index->columns[index->column_count++] =
            (struct index_column){.column = column, .descending = word->descending, .nulls_first = word->nulls_first};
    }
    return 0;
}

/* t_a_b_idx; a column that comes twice is named a and a1, as PostgreSQL does. */
static int choose_name(struct op *op, struct session *session, const struct table_def *table, struct ddl_index *index)
{
    const char *names[KEY_COLUMNS_MAX];

    for (int i = 0; i < index->column_count; i++) {
        const char *name = table->columns[index->columns[i].column].name;
        int same = 0;
        for (int k = 0; k < i; k++)
            same += index->columns[k].column == index->columns[i].column;
        names[i] = same ? arena_printf(&op->arena, "%s%d", name, same) : name;
        if (!names[i])
            return op_out_of_memory(op);
    }
    const char *joined = ddl__join_names(op, names, index->column_count);
    return joined ? ddl__choose_name(op, session, table->name, joined, "idx", NULL, 0, &index->name) : OP_FAILED;
}

/* X1 */
static int check_snapshot(struct op *op, struct session *session, const struct table_def *table)
{
    if (session->level < TXN_REPEATABLE_READ || txn_read_ts(session->txn) >= txn_visible_ts(session->database->manager))
        return 0;
    op_fail(op, "40001", "could not serialize access due to concurrent update");
    op_detail(op, "Rows of table \"%s\" may have been committed after this transaction's snapshot was taken; the new index needs them.",
              table->name);
    op_hint(op, "Create the index at isolation level READ COMMITTED, or in the transaction's first statement.");
    return OP_FAILED;
}

static int make(struct op *op, struct session *session, const struct table_def *table, const struct ddl_index *plan)
{
    struct index_def def = {.name = plan->name, .unique = plan->unique, .column_count = plan->column_count,
                            .columns = (struct index_column *)plan->columns};
    int *numbers = op_calloc(op, sizeof *numbers * (size_t)(table->column_count + 1));

    if (!numbers || ddl__new_oid(op, session, &def.oid) != 0 || catalog__touch(op, session, table->oid) != 0 ||
        catalog__touch(op, session, def.oid) != 0 || txn_create_tree(op, session->txn, &def.tree) != 0)
        return OP_FAILED;
    for (int i = 0; i < table->column_count; i++)
        numbers[i] = table->columns[i].number;
    if (ddl__insert_index(op, session, table->oid, numbers, plan, def.oid, def.tree) != 0)
        return OP_FAILED;
    return ddl__build_index(op, session, table, &def);
}

static int create(struct op *op, struct session *session, const struct ast_create_index *statement, const struct table_def *table)
{
    struct ddl_index index = {.name = statement->name, .unique = statement->unique};
    bool exists = false;

    if (index.name && ddl__relation_exists(op, session, index.name, &exists) != 0)
        return OP_FAILED;
    if (exists && statement->if_not_exists) {
        session_notice(session, "NOTICE", "42P07", "relation \"%s\" already exists, skipping", index.name);
        return 0;
    }
    if (exists)
        return op_fail(op, "42P07", "relation \"%s\" already exists", index.name);
    if (plan_columns(op, table, statement, &index) != 0 ||
        (!index.name && choose_name(op, session, table, &index) != 0) || check_snapshot(op, session, table) != 0)
        return OP_FAILED;
    return make(op, session, table, &index);
}

int ddl_create_index(struct op *op, struct session *session, const struct ast_create_index *statement)
{
    struct table_def *table;

    if (ddl__lock_table(op, session, statement->table, TXN_SHARE, &table) != 0)
        return OP_FAILED;
    if (!table)
        return op_fail(op, "42P01", "relation \"%s\" does not exist", statement->table->name);
    int result = create(op, session, statement, table);
    catalog_release(table);
    return result;
}

/* ---- DROP INDEX ----------------------------------------------------------------------------------- */

/*
 * The table of an index, locked against everybody; *table is NULL when there is no such index.  A snapshot that is kept goes on
 * showing an index that was dropped after it, so the same one found missing a second time is gone.
 */
static int lock_owner(struct op *op, struct session *session, const struct ast_name *name, struct table_def **table,
                      const struct index_def **index)
{
    Oid missing = TYPE_INVALID;

    for (;;) {
        struct catalog_row *row;
        Oid oid, owner;
        char kind;

        *table = NULL;
        if (session__snapshot(op, session) != 0 ||
            catalog__find_relation(op, session->database, session->txn, name->name, &oid, &kind) != 0)
            return OP_FAILED;
        if (kind == 'r') {
            op_fail(op, "42809", "\"%s\" is not an index", name->name);
            op_hint(op, "Use DROP TABLE to remove a table.");
            return OP_FAILED;
        }
        struct datum prefix[] = {datum_int(oid)};
        if (oid == TYPE_INVALID || oid == missing)
            return 0;
        if (catalog__find(op, session->database, session->txn, SYSTEM_INDEX, 0, prefix, 1, &row) != 0)
            return OP_FAILED;
        if (!row)
            return op_fail(op, "XX001", "index \"%s\" has no row in pg_index", name->name);
        owner = (Oid)row->values[INDEX_RELID].i;
        if (txn_lock_table(op, session->txn, owner, TXN_ACCESS_EXCLUSIVE) != 0 || session__snapshot(op, session) != 0 ||
            catalog_table(op, session, owner, table) != 0)
            return OP_FAILED;
        for (int i = 0; *table && i < (*table)->index_count; i++)
            if ((*table)->indexes[i].oid == oid) {
                *index = &(*table)->indexes[i];
                return 0;
            }
        catalog_release(*table);    /* dropped while this waited, or after the snapshot: look again */
        missing = oid;
    }
}

static int drop(struct op *op, struct session *session, const struct table_def *table, const struct index_def *index)
{
    if (index->constraint) {
        op_fail(op, "2BP01", "cannot drop index %s because constraint %s on table %s requires it", index->name, index->name,
                table->name);
        op_hint(op, "You can drop constraint %s on table %s instead.", index->name, table->name);
        return OP_FAILED;
    }
    if (catalog__touch(op, session, table->oid) != 0 || ddl__delete_rows(op, session, SYSTEM_INDEX, 0, index->oid) != 0 ||
        ddl__delete_rows(op, session, SYSTEM_CLASS, 0, index->oid) != 0)
        return OP_FAILED;
    return txn_drop_tree(op, session->txn, index->tree);
}

int ddl_drop_index(struct op *op, struct session *session, const struct ast_drop *statement)
{
    for (const struct ast_name *name = statement->names; name; name = name->next) {
        struct table_def *table;
        const struct index_def *index = NULL;
        int result = 0;

        if (lock_owner(op, session, name, &table, &index) != 0)
            return OP_FAILED;
        if (table)
            result = drop(op, session, table, index);
        else if (statement->if_exists)
            session_notice(session, "NOTICE", "00000", "index \"%s\" does not exist, skipping", name->name);
        else
            result = op_fail(op, "42704", "index \"%s\" does not exist", name->name);
        catalog_release(table);
        if (result != 0)
            return OP_FAILED;
        txn_next_command(session->txn);
    }
    return 0;
}
