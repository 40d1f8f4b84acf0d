/*
 * ddl_table.c -- CREATE TABLE and DROP TABLE.
 *
 * A new table is some rows in the system tables and a tree for each of its keys.  Keys are settled before anything is written, so
 * that an error costs nothing: primary key first, each distinct list of columns once, names chosen by PostgreSQL's rule.
 */
#include <string.h>

#include "sql/ddl_int.h"

struct table_plan {
    Oid oid;
    const struct ast_create_table *statement;
    int column_count;
    struct column_def *columns;
    int *numbers;                   /* attribute numbers, for index rows */
    int key_count;
    struct ddl_index *keys;         /* the primary key first */
    const char **key_names;
};

static int find_column(const struct table_plan *plan, const char *name)
{
    for (int i = 0; i < plan->column_count; i++)
        if (strcmp(plan->columns[i].name, name) == 0)
            return i;
    return -1;
}

static int plan_columns(struct op *op, struct session *session, struct table_plan *plan)
{
    int count = 0;
    for (const struct ast_column *column = plan->statement->columns; column; column = column->next)
        count++;
    if (count > COLUMNS_MAX)
        return op_fail(op, "54011", "tables can have at most %d columns", COLUMNS_MAX);
    plan->columns = op_calloc(op, sizeof *plan->columns * (size_t)(count + 1));
    plan->numbers = op_calloc(op, sizeof *plan->numbers * (size_t)(count + 1));
    if (!plan->columns || !plan->numbers)
        return OP_FAILED;
    for (const struct ast_column *column = plan->statement->columns; column; column = column->next) {
        struct column_def def = {.name = column->name, .number = plan->column_count + 1, .not_null = column->not_null};
        if (find_column(plan, column->name) >= 0)
            return op_fail(op, "42701", "column \"%s\" specified more than once", column->name);
        if (bind_type(op, column->type, &def.type) != 0)
            return OP_FAILED;
        if (column->default_value) {
            struct expr *bound;
            if (bind_default(op, session, &op->arena, column->default_value, column->name, def.type, &bound) != 0)
                return OP_FAILED;
            def.default_sql = column->default_sql;
        }
        plan->numbers[plan->column_count] = def.number;
        plan->columns[plan->column_count++] = def;
    }
    return 0;
}

static int plan_key_columns(struct op *op, struct table_plan *plan, const struct ast_key *key, struct ddl_index *index)
{
    const char *what = key->primary ? "primary key" : "unique";
    for (const struct ast_word *word = key->columns; word; word = word->next) {
        int column = find_column(plan, word->text);
        if (column < 0)
            return op_fail_at(op, key->position, "42703", "column \"%s\" named in key does not exist", word->text);
        for (int i = 0; i < index->column_count; i++)
            if (index->columns[i].column == column)
                return op_fail_at(op, key->position, "42701", "column \"%s\" appears twice in %s constraint", word->text, what);
        if (index->column_count == KEY_COLUMNS_MAX)
            return op_fail(op, "54011", "cannot use more than %d columns in an index", KEY_COLUMNS_MAX);
        index->columns[index->column_count++] = (struct index_column){.column = column};
        if (key->primary)
            plan->columns[column].not_null = true;
    }
    return 0;
}

static bool same_columns(const struct ddl_index *a, const struct ddl_index *b)
{
    if (a->column_count != b->column_count)
        return false;
    for (int i = 0; i < a->column_count; i++)
        if (a->columns[i].column != b->columns[i].column)
            return false;
    return true;
}

/* Adds a key, unless one over the same columns is there: then at most its name is taken. */
static int plan_key(struct op *op, struct table_plan *plan, const struct ast_key *key)
{
    struct ddl_index index = {.name = key->name, .unique = true, .primary = key->primary, .constraint = true};

    if (key->primary && plan->key_count > 0 && plan->keys[0].primary)
        return op_fail_at(op, key->position, "42P16", "multiple primary keys for table \"%s\" are not allowed",
                          plan->statement->table->name);
    if (plan_key_columns(op, plan, key, &index) != 0)
        return OP_FAILED;
    for (int i = 0; i < plan->key_count; i++)
        if (same_columns(&plan->keys[i], &index)) {
            if (!plan->keys[i].name)
                plan->keys[i].name = key->name;
            return 0;
        }
    plan->keys[plan->key_count++] = index;
    return 0;
}

static int plan_keys(struct op *op, struct table_plan *plan)
{
    int count = 0;
    for (const struct ast_key *key = plan->statement->keys; key; key = key->next)
        count++;
    plan->keys = op_calloc(op, sizeof *plan->keys * (size_t)(count + 1));
    plan->key_names = op_calloc(op, sizeof *plan->key_names * (size_t)(count + 1));
    if (!plan->keys || !plan->key_names)
        return OP_FAILED;
    for (int primary = 1; primary >= 0; primary--)
        for (const struct ast_key *key = plan->statement->keys; key; key = key->next)
            if (key->primary == primary && plan_key(op, plan, key) != 0)
                return OP_FAILED;
    return 0;
}

static int name_key(struct op *op, struct session *session, struct table_plan *plan, int i)
{
    struct ddl_index *index = &plan->keys[i];
    const char *names[KEY_COLUMNS_MAX], *joined = NULL;
    bool exists = false;

    if (index->name) {
        if (ddl__relation_exists(op, session, index->name, &exists) != 0)
            return OP_FAILED;
        for (int k = 0; k < i; k++)
            exists |= strcmp(plan->key_names[k], index->name) == 0;
        exists |= strcmp(plan->statement->table->name, index->name) == 0;
        if (exists)
            return op_fail(op, "42P07", "relation \"%s\" already exists", index->name);
    } else {
        for (int k = 0; k < index->column_count; k++)
            names[k] = plan->columns[index->columns[k].column].name;
        if (!index->primary && !(joined = ddl__join_names(op, names, index->column_count)))
            return OP_FAILED;
        if (ddl__choose_name(op, session, plan->statement->table->name, joined, index->primary ? "pkey" : "key", plan->key_names, i,
                             &index->name) != 0)
            return OP_FAILED;
    }
    plan->key_names[i] = index->name;
    return 0;
}

static int write_columns(struct op *op, struct session *session, const struct table_plan *plan)
{
    for (int i = 0; i < plan->column_count; i++) {
        const struct column_def *column = &plan->columns[i];
        struct datum values[ATTRIBUTE_COLUMNS] = {
            datum_int(plan->oid), datum_text(column->name), datum_int(column->type.oid), datum_int(column->number),
            datum_int(column->type.modifier), datum_bool(column->not_null), datum_bool(column->default_sql != NULL),
            datum_bool(false),
        };
        if (ddl__insert_row(op, session, SYSTEM_ATTRIBUTE, values) != 0)
            return OP_FAILED;
        if (column->default_sql) {
            Oid oid;
            if (ddl__new_oid(op, session, &oid) != 0)
                return OP_FAILED;
            struct datum text[ATTRDEF_COLUMNS] = {datum_int(oid), datum_int(plan->oid), datum_int(column->number),
                                                  datum_text(column->default_sql)};
            if (ddl__insert_row(op, session, SYSTEM_ATTRDEF, text) != 0)
                return OP_FAILED;
        }
    }
    return 0;
}

/* Two transactions that make the same name meet in pg_class. */
static int write_class(struct op *op, struct session *session, const struct table_plan *plan, TreeId tree)
{
    struct datum values[CLASS_COLUMNS] = {
        datum_int(plan->oid), datum_text(plan->statement->table->name), datum_int(NAMESPACE_PUBLIC), datum_text("r"),
        datum_int((int64_t)tree), datum_int(plan->column_count),
    };
    return ddl__insert_row(op, session, SYSTEM_CLASS, values);
}

static int write_table(struct op *op, struct session *session, struct table_plan *plan)
{
    TreeId tree;

    if (ddl__new_oid(op, session, &plan->oid) != 0 || catalog__touch(op, session, plan->oid) != 0 ||
        txn_create_tree(op, session->txn, &tree) != 0 || write_class(op, session, plan, tree) != 0 ||
        write_columns(op, session, plan) != 0)
        return OP_FAILED;
    for (int i = 0; i < plan->key_count; i++) {
        TreeId key_tree = tree;
        Oid oid;
        if (ddl__new_oid(op, session, &oid) != 0)
            return OP_FAILED;
        if (!plan->keys[i].primary && txn_create_tree(op, session->txn, &key_tree) != 0)
            return OP_FAILED;
        if (ddl__insert_index(op, session, plan->oid, plan->numbers, &plan->keys[i], oid, key_tree) != 0)
            return OP_FAILED;
    }
    return 0;
}

int ddl_create_table(struct op *op, struct session *session, const struct ast_create_table *statement)
{
    struct table_plan plan = {.statement = statement};
    bool exists;

    if (ddl__check_schema(op, statement->table) != 0 || session__snapshot(op, session) != 0 ||
        ddl__relation_exists(op, session, statement->table->name, &exists) != 0)
        return OP_FAILED;
    if (exists && statement->if_not_exists) {
        session_notice(session, "NOTICE", "42P07", "relation \"%s\" already exists, skipping", statement->table->name);
        return 0;
    }
    if (exists)
        return op_fail(op, "42P07", "relation \"%s\" already exists", statement->table->name);
    if (plan_columns(op, session, &plan) != 0 || plan_keys(op, &plan) != 0)
        return OP_FAILED;
    for (int i = 0; i < plan.key_count; i++)
        if (name_key(op, session, &plan, i) != 0)
            return OP_FAILED;
    return write_table(op, session, &plan);
}

/* ---- DROP TABLE ----------------------------------------------------------------------------------- */

/* Nothing of this name that is a table; *again when one has been made since the name was looked up. */
static int absent(struct op *op, struct session *session, const struct ast_name *name, bool if_exists, bool *again)
{
    Oid oid = 0;
    char kind = 0;

    *again = false;
    if ((!name->schema || strcmp(name->schema, "public") == 0) &&
        catalog__find_relation(op, session->database, session->txn, name->name, &oid, &kind) != 0)
        return OP_FAILED;
    if (kind == 'r' && session->level == TXN_READ_COMMITTED) {
        *again = true;      /* each try has a newer snapshot */
        return 0;
    }
    if (oid && kind != 'r') {
        op_fail(op, "42809", "\"%s\" is not a table", name->name);
        op_hint(op, "Use DROP INDEX to remove an index.");
        return OP_FAILED;
    }
    if (!if_exists)
        return op_fail(op, "42P01", "table \"%s\" does not exist", name->name);
    session_notice(session, "NOTICE", "00000", "table \"%s\" does not exist, skipping", name->name);
    return 0;
}

static int drop(struct op *op, struct session *session, const struct table_def *table)
{
    if (catalog__touch(op, session, table->oid) != 0)
        return OP_FAILED;
    for (int i = 0; i < table->index_count; i++) {
        const struct index_def *index = &table->indexes[i];
        if (ddl__delete_rows(op, session, SYSTEM_CLASS, 0, index->oid) != 0 ||
            ddl__delete_rows(op, session, SYSTEM_INDEX, 0, index->oid) != 0)
            return OP_FAILED;
        if (!index->primary && txn_drop_tree(op, session->txn, index->tree) != 0)
            return OP_FAILED;
    }
    if (ddl__delete_rows(op, session, SYSTEM_CONSTRAINT, CONSTRAINT_BY_TABLE, table->oid) != 0 ||
        ddl__delete_rows(op, session, SYSTEM_ATTRDEF, 0, table->oid) != 0 ||
        ddl__delete_rows(op, session, SYSTEM_ATTRIBUTE, 0, table->oid) != 0 ||
        ddl__delete_rows(op, session, SYSTEM_CLASS, 0, table->oid) != 0)
        return OP_FAILED;
    return txn_drop_tree(op, session->txn, table->tree);
}

int ddl_drop_table(struct op *op, struct session *session, const struct ast_drop *statement)
{
    for (const struct ast_name *name = statement->names; name; name = name->next) {
        struct table_def *table;
        bool again = false;
        do {
            if (ddl__lock_table(op, session, name, TXN_ACCESS_EXCLUSIVE, &table) != 0)
                return OP_FAILED;
            int result = table ? drop(op, session, table) : absent(op, session, name, statement->if_exists, &again);
            catalog_release(table);
            if (result != 0)
                return OP_FAILED;
        } while (!table && again);
        txn_next_command(session->txn);
    }
    return 0;
}
