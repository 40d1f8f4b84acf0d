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

static int find_column(struct op *op, const struct table_def *table, const char *name, int *column)
{
    for (*column = 0; *column < table->column_count; ++*column)
        if (strcmp(table->columns[*column].name, name) == 0)
            return 0;
    return op_fail(op, "42703", "column \"%s\" does not exist", name);
}

static int plan_column(struct op *op, struct session *session, struct table_def *table, const struct ast_index_column *word,
                       struct ddl_index *index)
{
    struct index_column column = {.column = -1, .descending = word->descending, .nulls_first = word->nulls_first};
    int at = index->column_count;
    struct expr *expr;

    if (word->name && find_column(op, table, word->name, &column.column) != 0)
        return OP_FAILED;
    if (at == KEY_COLUMNS_MAX)
        return op_fail(op, "54011", "cannot use more than %d columns in an index", KEY_COLUMNS_MAX);
    if (!word->name) {
        if (bind_table_expression(op, session, &op->arena, NULL, word->expr, table, BIND_INDEX, (struct sql_type){0, -1}, &expr) != 0)
            return OP_FAILED;
        index->expressions[at] = word->sql;
        index->types[at] = expr->type;
    }
    index->columns[at] = column;
    index->column_count++;
    return 0;
}

static int plan_columns(struct op *op, struct session *session, struct table_def *table, const struct ast_create_index *statement,
                        struct ddl_index *index)
{
    struct expr *expr;

    for (const struct ast_index_column *word = statement->columns; word; word = word->next)
        if (plan_column(op, session, table, word, index) != 0)
            return OP_FAILED;
    for (const struct ast_word *word = statement->include; word; word = word->next) {
        int at = index->column_count + index->include_count;
        if (at == KEY_COLUMNS_MAX)
            return op_fail(op, "54011", "cannot use more than %d columns in an index", KEY_COLUMNS_MAX);
        index->columns[at] = (struct index_column){0};
        if (find_column(op, table, word->text, &index->columns[at].column) != 0)
            return OP_FAILED;
        index->include_count++;
    }
    if (statement->where && bind_table_expression(op, session, &op->arena, NULL, statement->where, table, BIND_PREDICATE,
                                                  (struct sql_type){TYPE_BOOL, -1}, &expr) != 0)
        return OP_FAILED;
    index->predicate = statement->where_sql;
    return 0;
}

/* t_a_b_idx; a name that comes twice is a and a1, as in PostgreSQL; an expression is called after its function. */
static int choose_name(struct op *op, struct session *session, const struct table_def *table, const struct ast_create_index *statement,
                       struct ddl_index *index)
{
    int count = index->column_count + index->include_count;
    const struct ast_index_column *word = statement->columns;
    const char *names[KEY_COLUMNS_MAX];

    for (int i = 0; i < count; i++) {
        int column = index->columns[i].column;
        const char *name = column >= 0 ? table->columns[column].name : word->label, *unique = name;
        for (int pass = 1, k = 0; k < i; k++)
            if (strcmp(names[k], unique) == 0) {
                unique = arena_printf(&op->arena, "%s%d", name, pass++);
                if (!unique)
                    return op_out_of_memory(op);
                k = -1;
            }
        names[i] = unique;
        word = word ? word->next : NULL;
    }
    const char *joined = ddl__join_names(op, names, count);
    return joined ? ddl__choose_name(op, session, table->name, joined, "idx", NULL, 0, &index->name) : OP_FAILED;
}

static int make(struct op *op, struct session *session, struct table_def **table, const struct ddl_index *plan)
{
    TreeId tree;
    Oid oid = 0;

    if (ddl__new_oid(op, session, &oid) != 0 || catalog__touch(op, session, (*table)->oid) != 0 ||
        catalog__touch(op, session, oid) != 0 || txn_create_tree(op, session->txn, &tree) != 0 ||
        ddl__insert_index(op, session, *table, plan, oid, tree) != 0 || ddl__reload(op, session, (*table)->oid, table) != 0)
        return OP_FAILED;
    for (int i = 0; i < (*table)->index_count; i++)
        if ((*table)->indexes[i].oid == oid)
            return ddl__build_index(op, session, *table, &(*table)->indexes[i]);
    return op_fail(op, "XX001", "index \"%s\" has vanished from the catalog", plan->name);
}

int ddl__make_index(struct op *op, struct session *session, struct table_def **table, const struct ddl_index *index)
{
    return ddl__check_snapshot(op, session, *table) != 0 ? OP_FAILED : make(op, session, table, index);
}

static int create(struct op *op, struct session *session, const struct ast_create_index *statement, struct table_def **table)
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
    if (plan_columns(op, session, *table, statement, &index) != 0 ||
        (!index.name && choose_name(op, session, *table, statement, &index) != 0))
        return OP_FAILED;
    return ddl__make_index(op, session, table, &index);
}

int ddl_create_index(struct op *op, struct session *session, const struct ast_create_index *statement)
{
    struct table_def *table;

    if (ddl__lock_table(op, session, statement->table, TXN_SHARE, &table) != 0)
        return OP_FAILED;
    if (!table)
        return op_fail(op, "42P01", "relation \"%s\" does not exist", statement->table->name);
    int result = create(op, session, statement, &table);
    catalog_release(table);
    return result;
}

/* ---- DROP INDEX ----------------------------------------------------------------------------------- */

/*
 * The table of an index, locked against everybody; *table is NULL when there is no such index.  A snapshot that is kept goes on
 * showing an index that was dropped after it, so the same one found missing a second time is gone.
 */
int ddl__lock_index(struct op *op, struct session *session, const struct ast_name *name, struct table_def **table,
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

static int drop(struct op *op, struct session *session, const struct table_def *table, const struct index_def *index, bool cascade)
{
    if (index->constraint) {
        op_fail(op, "2BP01", "cannot drop index %s because constraint %s on table %s requires it", index->name, index->name,
                table->name);
        op_hint(op, "You can drop constraint %s on table %s instead.", index->name, table->name);
        return OP_FAILED;
    }
    struct ddl_release what = {.index = index->oid, .cascade = cascade, .name = arena_printf(&op->arena, "index %s", index->name)};
    what.detail = what.name;
    if (!what.name)
        return op_out_of_memory(op);
    if (ddl__release_parent(op, session, table, &what) != 0 || catalog__touch(op, session, table->oid) != 0)
        return OP_FAILED;
    return ddl__drop_index(op, session, table, index);
}

/* What was read of the index is held against all writes of the table from now on. */
int ddl__drop_index(struct op *op, struct session *session, const struct table_def *table, const struct index_def *index)
{
    if (ddl__delete_rows(op, session, SYSTEM_INDEX, 0, index->oid) != 0 ||
        ddl__delete_rows(op, session, SYSTEM_CLASS, 0, index->oid) != 0)
        return OP_FAILED;
    if (index->primary)
        return 0;
    return txn_move_reads(op, session->txn, index->tree, table->tree) != 0 ? OP_FAILED : txn_drop_tree(op, session->txn, index->tree);
}

int ddl_drop_index(struct op *op, struct session *session, const struct ast_drop *statement)
{
    for (const struct ast_name *name = statement->names; name; name = name->next) {
        struct table_def *table;
        const struct index_def *index = NULL;
        int result = 0;

        if (ddl__lock_index(op, session, name, &table, &index) != 0)
            return OP_FAILED;
        if (table)
            result = drop(op, session, table, index, statement->cascade);
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
