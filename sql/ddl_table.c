/*
 * ddl_table.c -- CREATE TABLE and DROP TABLE.
 *
 * A new table is some rows in the system tables and a tree for each of its keys.  Keys are settled before anything is written, so
 * that an error costs nothing: primary key first, each distinct list of columns once, names chosen by PostgreSQL's rule.
 */
#include <string.h>

#include "sql/ddl_int.h"

struct table_plan {
    const struct ast_create_table *statement;
    struct table_def def;           /* name and columns: what constraints are bound over */
    int key_count;
    struct ddl_index *keys;         /* the primary key first */
    int check_count;
    struct ddl_constraint *checks;
    const char **names;             /* of keys, then of checks */
};

static int find_column(const struct table_plan *plan, const char *name)
{
    for (int i = 0; i < plan->def.column_count; i++)
        if (strcmp(plan->def.columns[i].name, name) == 0)
            return i;
    return -1;
}

static int plan_columns(struct op *op, struct table_plan *plan)
{
    int count = 0;
    for (const struct ast_column *column = plan->statement->columns; column; column = column->next)
        count++;
    if (count > COLUMNS_MAX)
        return op_fail(op, "54011", "tables can have at most %d columns", COLUMNS_MAX);
    plan->def.name = plan->statement->table->name;
    plan->def.schema = "public";
    plan->def.columns = op_calloc(op, sizeof *plan->def.columns * (size_t)(count + 1));
    if (!plan->def.columns)
        return OP_FAILED;
    for (const struct ast_column *column = plan->statement->columns; column; column = column->next) {
        struct column_def def = {.name = column->name, .number = plan->def.column_count + 1, .not_null = column->not_null,
                                 .default_sql = column->default_sql, .generated = column->generated};
        if (find_column(plan, column->name) >= 0)
            return op_fail(op, "42701", "column \"%s\" specified more than once", column->name);
        if (bind_type(op, column->type, &def.type) != 0)
            return OP_FAILED;
        plan->def.columns[plan->def.column_count++] = def;
    }
    return 0;
}

/* Defaults, and what generated columns are computed from: those may use all other columns. */
static int check_defaults(struct op *op, struct session *session, struct table_plan *plan)
{
    int i = 0;
    for (const struct ast_column *column = plan->statement->columns; column; column = column->next, i++) {
        struct expr *bound;
        struct sql_type type = plan->def.columns[i].type;
        if (!column->default_value)
            continue;
        if (column->generated ? bind_table_expression(op, session, &op->arena, NULL, column->default_value, &plan->def, BIND_GENERATED,
                                                      type, &bound) != 0
                              : bind_default(op, session, &op->arena, column->default_value, column->name, type, &bound) != 0)
            return OP_FAILED;
    }
    return 0;
}

static bool same_columns(const struct ddl_index *a, const struct ddl_index *b)
{
    if (a->column_count != b->column_count || a->include_count != b->include_count)
        return false;
    for (int i = 0; i < a->column_count + a->include_count; i++)
        if (a->columns[i].column != b->columns[i].column)
            return false;
    return true;
}

/* Adds a key, unless one over the same columns is there: then at most its name is taken. */
static int plan_key(struct op *op, struct table_plan *plan, const struct ast_constraint *key)
{
    struct ddl_index index;

    if (key->kind == AST_PRIMARY_KEY && plan->key_count > 0 && plan->keys[0].primary)
        return op_fail_at(op, key->position, "42P16", "multiple primary keys for table \"%s\" are not allowed",
                          plan->statement->table->name);
    if (ddl__plan_key(op, &plan->def, key, &index) != 0)
        return OP_FAILED;
    for (int i = 0; index.primary && i < index.column_count; i++)
        plan->def.columns[index.columns[i].column].not_null = true;
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
    size_t count = 1;
    for (const struct ast_constraint *constraint = plan->statement->constraints; constraint; constraint = constraint->next)
        count++;
    plan->keys = op_calloc(op, sizeof *plan->keys * count);
    plan->checks = op_calloc(op, sizeof *plan->checks * count);
    plan->names = op_calloc(op, sizeof *plan->names * count);
    if (!plan->keys || !plan->checks || !plan->names)
        return OP_FAILED;
    for (enum ast_constraint_kind kind = AST_PRIMARY_KEY; kind <= AST_UNIQUE; kind++)
        for (const struct ast_constraint *key = plan->statement->constraints; key; key = key->next)
            if (key->kind == kind && plan_key(op, plan, key) != 0)
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
            exists |= strcmp(plan->names[k], index->name) == 0;
        exists |= strcmp(plan->statement->table->name, index->name) == 0;
        if (exists)
            return op_fail(op, "42P07", "relation \"%s\" already exists", index->name);
    } else {
        for (int k = 0; k < index->column_count + index->include_count; k++)
            names[k] = plan->def.columns[index->columns[k].column].name;
        if (!index->primary && !(joined = ddl__join_names(op, names, index->column_count + index->include_count)))
            return OP_FAILED;
        if (ddl__choose_name(op, session, plan->statement->table->name, joined, index->primary ? "pkey" : "key", plan->names, i,
                             &index->name) != 0)
            return OP_FAILED;
    }
    plan->names[i] = index->name;
    return 0;
}

static int plan_checks(struct op *op, struct session *session, struct table_plan *plan)
{
    for (const struct ast_constraint *check = plan->statement->constraints; check; check = check->next) {
        if (check->kind != AST_CHECK)
            continue;
        if (ddl__plan_check(op, session, &plan->def, check, plan->names + plan->key_count, plan->check_count,
                            &plan->checks[plan->check_count]) != 0)
            return OP_FAILED;
        plan->names[plan->key_count + plan->check_count] = plan->checks[plan->check_count].name;
        plan->check_count++;
    }
    return 0;
}

/* Two transactions that make the same name meet in pg_class. */
static int write_class(struct op *op, struct session *session, const struct table_plan *plan, TreeId tree)
{
    struct datum values[CLASS_COLUMNS] = {
        datum_int(plan->def.oid), datum_text(plan->def.name), datum_int(NAMESPACE_PUBLIC), datum_text("r"),
        datum_int((int64_t)tree), datum_int(plan->def.column_count),
    };
    return ddl__insert_row(op, session, SYSTEM_CLASS, values);
}

static int write_constraints(struct op *op, struct session *session, struct table_plan *plan, TreeId tree)
{
    for (int i = 0; i < plan->key_count; i++) {
        TreeId key_tree = tree;
        Oid oid;
        if (ddl__new_oid(op, session, &oid) != 0)
            return OP_FAILED;
        if (!plan->keys[i].primary && txn_create_tree(op, session->txn, &key_tree) != 0)
            return OP_FAILED;
        if (ddl__insert_index(op, session, &plan->def, &plan->keys[i], oid, key_tree) != 0)
            return OP_FAILED;
    }
    for (int i = 0; i < plan->check_count; i++) {
        plan->checks[i].table = plan->def.oid;
        plan->checks[i].validated = true;       /* there are no rows */
        if (ddl__insert_constraint(op, session, &plan->checks[i]) != 0)
            return OP_FAILED;
    }
    return 0;
}

static int write_table(struct op *op, struct session *session, struct table_plan *plan)
{
    TreeId tree;

    if (ddl__new_oid(op, session, &plan->def.oid) != 0 || catalog__touch(op, session, plan->def.oid) != 0 ||
        txn_create_tree(op, session->txn, &tree) != 0 || write_class(op, session, plan, tree) != 0)
        return OP_FAILED;
    for (int i = 0; i < plan->def.column_count; i++)
        if (ddl__insert_column(op, session, plan->def.oid, &plan->def.columns[i], NULL) != 0)
            return OP_FAILED;
    return write_constraints(op, session, plan, tree);
}

/* Foreign keys come last: they may refer to the table itself. */
static int add_foreigns(struct op *op, struct session *session, const struct ast_create_table *statement, Oid oid)
{
    struct table_def *table = NULL;
    int result = 0;

    for (const struct ast_constraint *constraint = statement->constraints; result == 0 && constraint; constraint = constraint->next) {
        if (constraint->kind != AST_FOREIGN_KEY)
            continue;
        if (!table)
            result = ddl__reload(op, session, oid, &table);
        if (result == 0)
            result = ddl__add_foreign(op, session, &table, constraint);
    }
    catalog_release(table);
    return result;
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
    if (plan_columns(op, &plan) != 0 || plan_keys(op, &plan) != 0 || check_defaults(op, session, &plan) != 0)
        return OP_FAILED;
    for (int i = 0; i < plan.key_count; i++)
        if (name_key(op, session, &plan, i) != 0)
            return OP_FAILED;
    if (plan_checks(op, session, &plan) != 0 || write_table(op, session, &plan) != 0)
        return OP_FAILED;
    return add_foreigns(op, session, statement, plan.def.oid);
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
    for (int i = 0; i < table->foreign_count; i++)
        if (catalog__touch(op, session, table->foreigns[i].parent) != 0)
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
    return ddl__renounce_reads(op, session, table, 0) != 0 ? OP_FAILED : txn_drop_tree(op, session->txn, table->tree);
}

/* Foreign keys of tables that stay. */
static int release(struct op *op, struct session *session, const struct table_def *table, const struct ast_drop *statement)
{
    struct ddl_release what = {.cascade = statement->cascade, .name = arena_printf(&op->arena, "table %s", table->name)};
    Oid *dropped;
    int count = 0;

    for (const struct ast_name *name = statement->names; name; name = name->next)
        count++;
    what.dropped = dropped = op_calloc(op, sizeof *dropped * (size_t)count);
    what.detail = what.name;
    if (!dropped || !what.name)
        return OP_FAILED;
    for (const struct ast_name *name = statement->names; name; name = name->next) {
        char kind;
        if (catalog__find_relation(op, session->database, session->txn, name->name, &dropped[what.dropped_count++], &kind) != 0)
            return OP_FAILED;
    }
    return ddl__release_parent(op, session, table, &what);
}

int ddl_drop_table(struct op *op, struct session *session, const struct ast_drop *statement)
{
    for (const struct ast_name *name = statement->names; name; name = name->next) {
        struct table_def *table;
        bool again = false;
        do {
            if (ddl__lock_table(op, session, name, TXN_ACCESS_EXCLUSIVE, &table) != 0)
                return OP_FAILED;
            int result = table && release(op, session, table, statement) != 0 ? OP_FAILED
                         : table ? drop(op, session, table) : absent(op, session, name, statement->if_exists, &again);
            catalog_release(table);
            if (result != 0)
                return OP_FAILED;
        } while (!table && again);
        txn_next_command(session->txn);
    }
    return 0;
}
