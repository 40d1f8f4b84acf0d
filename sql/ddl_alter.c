/*
 * ddl_alter.c -- ALTER TABLE: columns and constraints that come, go and change.
 *
 * Actions are carried out in PostgreSQL's order, not in that of the text: what is dropped first, then types, new columns, defaults and
 * NOT NULL, new constraints last.  So one statement may drop a constraint and add it anew.
 *
 * Most actions change rows of the catalog alone.  Those that look at rows (NOT NULL, CHECK) scan them; those that give rows another form
 * rewrite the table (ddl_rewrite.c).  ADD COLUMN does neither when its default is the same for all rows: old rows are
 * too short, and the value that they lack stands in the catalog (pg_attribute.attmissingval).
 *
 * Everybody else is locked out meanwhile.  Who comes later binds anew (P2 of prepared.c); who has an older snapshot finds another
 * layout and fails with 40001 (catalog.c).
 *
 * A1  After each action the definition is read again, so that the next one sees what it did.
 * A2  A column's attribute number is never given to another one.
 */
#include <string.h>

#include "sql/ddl_int.h"
#include "sql/fkey.h"

struct alter {
    struct session *session;
    struct table_def *table;        /* as the last action left it */
};

static int find_column(struct op *op, const struct table_def *table, const char *name, int *column)
{
    for (*column = 0; *column < table->column_count; ++*column)
        if (strcmp(table->columns[*column].name, name) == 0)
            return 0;
    return op_fail(op, "42703", "column \"%s\" of relation \"%s\" does not exist", name, table->name);
}

static int attribute_row(struct op *op, struct alter *alter, int column, struct catalog_row **row)
{
    struct datum prefix[] = {datum_int(alter->table->oid), datum_int(alter->table->columns[column].number)};
    return ddl__row(op, alter->session, SYSTEM_ATTRIBUTE, prefix, 2, row);
}

static int set_attribute(struct op *op, struct alter *alter, int column, int field, struct datum value)
{
    struct catalog_row *row;
    if (attribute_row(op, alter, column, &row) != 0 || ddl__set(op, alter->session, SYSTEM_ATTRIBUTE, row, field, value) != 0)
        return OP_FAILED;
    txn_next_command(alter->session->txn);
    return 0;
}

static int reload(struct op *op, struct alter *alter)
{
    return ddl__reload(op, alter->session, alter->table->oid, &alter->table);
}

/* New trees, with the rows as `before` has them. */
static int rewrite(struct op *op, struct alter *alter, const struct table_def *before, const struct ddl_transform *transform, int count)
{
    for (int i = 0; i < alter->table->index_count; i++)
        if (catalog__touch(op, alter->session, alter->table->indexes[i].oid) != 0)
            return OP_FAILED;
    return ddl__rewrite(op, alter->session, before, transform, count, false, &alter->table);
}

/* ---- defaults ------------------------------------------------------------------------------------- */

static int delete_default(struct op *op, struct alter *alter, int column)
{
    struct datum prefix[] = {datum_int(alter->table->oid), datum_int(alter->table->columns[column].number)};
    struct change change = {0};
    struct catalog_row *row;
    struct txn_outcome outcome;
    struct session *session = alter->session;

    if (catalog__find(op, session->database, session->txn, SYSTEM_ATTRDEF, 0, prefix, 2, &row) != 0)
        return OP_FAILED;
    if (!row)
        return 0;
    int result = change_open(op, &op->arena, session->txn, session->database->system[SYSTEM_ATTRDEF], &change);
    if (result == 0)
        result = change_delete(op, &change, row->key, row->values, txn_read_ts(session->txn), &outcome);
    change_close(&change);
    txn_next_command(session->txn);
    return result;
}

static int insert_default(struct op *op, struct alter *alter, int column, const char *text)
{
    Oid oid;
    if (ddl__new_oid(op, alter->session, &oid) != 0)
        return OP_FAILED;
    struct datum values[ATTRDEF_COLUMNS] = {datum_int(oid), datum_int(alter->table->oid),
                                            datum_int(alter->table->columns[column].number), datum_text(text)};
    return ddl__insert_row(op, alter->session, SYSTEM_ATTRDEF, values);
}

static int fail_generated(struct op *op, const struct table_def *table, const struct column_def *column, bool drop_hint)
{
    op_fail(op, "42601", "column \"%s\" of relation \"%s\" is a generated column", column->name, table->name);
    if (drop_hint)
        op_hint(op, "Use ALTER TABLE ... ALTER COLUMN ... DROP EXPRESSION instead.");
    return OP_FAILED;
}

static int alter_default(struct op *op, struct alter *alter, const struct ast_alter_action *action)
{
    const struct column_def *column;
    struct expr *bound;
    int i;

    if (find_column(op, alter->table, action->name, &i) != 0)
        return OP_FAILED;
    column = &alter->table->columns[i];
    if (column->generated)
        return fail_generated(op, alter->table, column, action->kind == AST_DROP_DEFAULT);
    if (action->value && bind_default(op, alter->session, &op->arena, action->value, column->name, column->type, &bound) != 0)
        return OP_FAILED;
    if (delete_default(op, alter, i) != 0 ||
        set_attribute(op, alter, i, ATTRIBUTE_HAS_DEFAULT, datum_bool(action->value != NULL)) != 0)
        return OP_FAILED;
    return action->value ? insert_default(op, alter, i, action->value_sql) : 0;
}

static int drop_expression(struct op *op, struct alter *alter, const struct ast_alter_action *action)
{
    const struct column_def *column;
    int i;

    if (find_column(op, alter->table, action->name, &i) != 0)
        return OP_FAILED;
    column = &alter->table->columns[i];
    if (!column->generated && action->if_exists) {
        session_notice(alter->session, "NOTICE", "00000", "column \"%s\" of relation \"%s\" is not a stored generated column, skipping",
                       column->name, alter->table->name);
        return 0;
    }
    if (!column->generated)
        return op_fail(op, "55000", "column \"%s\" of relation \"%s\" is not a stored generated column", column->name,
                       alter->table->name);
    if (delete_default(op, alter, i) != 0 || set_attribute(op, alter, i, ATTRIBUTE_HAS_DEFAULT, datum_bool(false)) != 0)
        return OP_FAILED;
    return set_attribute(op, alter, i, ATTRIBUTE_GENERATED, datum_text(""));
}

/* ---- NOT NULL ------------------------------------------------------------------------------------- */

static bool in_primary(const struct table_def *table, int column)
{
    for (int i = 0; table->has_primary && i < table->indexes[0].column_count; i++)
        if (table->indexes[0].columns[i].column == column)
            return true;
    return false;
}

static int alter_null(struct op *op, struct alter *alter, const struct ast_alter_action *action)
{
    bool not_null = action->kind == AST_SET_NOT_NULL;
    int i;

    if (find_column(op, alter->table, action->name, &i) != 0)
        return OP_FAILED;
    if (alter->table->columns[i].not_null == not_null)
        return 0;
    if (!not_null && in_primary(alter->table, i))
        return op_fail(op, "42P16", "column \"%s\" is in a primary key", action->name);
    if (not_null && ddl__verify(op, alter->session, alter->table, NULL, i) != 0)
        return OP_FAILED;
    return set_attribute(op, alter, i, ATTRIBUTE_NOT_NULL, datum_bool(not_null));
}

/* ---- constraints ---------------------------------------------------------------------------------- */

static int name_key(struct op *op, struct alter *alter, struct ddl_index *index)
{
    const char *names[KEY_COLUMNS_MAX], *joined = NULL;
    int count = index->column_count + index->include_count;
    bool exists;

    if (index->name) {
        if (ddl__relation_exists(op, alter->session, index->name, &exists) != 0)
            return OP_FAILED;
        return exists ? op_fail(op, "42P07", "relation \"%s\" already exists", index->name) : 0;
    }
    for (int i = 0; i < count; i++)
        names[i] = alter->table->columns[index->columns[i].column].name;
    if (!index->primary && !(joined = ddl__join_names(op, names, count)))
        return OP_FAILED;
    return ddl__choose_name(op, alter->session, alter->table->name, joined, index->primary ? "pkey" : "key", NULL, 0, &index->name);
}

/* A primary key changes where each row lies, and what every other index says of it. */
static int add_primary_key(struct op *op, struct alter *alter, const struct ddl_index *index)
{
    struct session *session = alter->session;
    struct table_def *before;
    Oid oid = 0;

    for (int i = 0; i < index->column_count; i++) {
        int column = index->columns[i].column;
        if (!alter->table->columns[column].not_null &&
            set_attribute(op, alter, column, ATTRIBUTE_NOT_NULL, datum_bool(true)) != 0)
            return OP_FAILED;
    }
    if (ddl__new_oid(op, session, &oid) != 0 || catalog__touch(op, session, oid) != 0 ||
        ddl__insert_index(op, session, alter->table, index, oid, alter->table->tree) != 0)
        return OP_FAILED;
    before = catalog_hold(alter->table);
    int result = reload(op, alter);
    if (result == 0)
        result = rewrite(op, alter, before, NULL, 0);
    catalog_release(before);
    return result;
}

static int add_key(struct op *op, struct alter *alter, const struct ast_constraint *constraint)
{
    const struct table_def *table = alter->table;
    struct ddl_index index;

    if (constraint->kind == AST_PRIMARY_KEY && table->has_primary)
        return op_fail(op, "42P16", "multiple primary keys for table \"%s\" are not allowed", table->name);
    if (ddl__plan_key(op, table, constraint, &index) != 0 || name_key(op, alter, &index) != 0)
        return OP_FAILED;
    return index.primary ? add_primary_key(op, alter, &index) : ddl__make_index(op, alter->session, &alter->table, &index);
}

static int add_check(struct op *op, struct alter *alter, const struct ast_constraint *constraint)
{
    struct ddl_constraint check;

    if (ddl__plan_check(op, alter->session, alter->table, constraint, NULL, 0, &check) != 0 ||
        ddl__insert_constraint(op, alter->session, &check) != 0 || reload(op, alter) != 0)
        return OP_FAILED;
    return constraint->not_valid ? 0 : ddl__verify(op, alter->session, alter->table, check.name, -1);
}

static int add_constraint(struct op *op, struct alter *alter, const struct ast_constraint *constraint)
{
    switch (constraint->kind) {
    case AST_PRIMARY_KEY: case AST_UNIQUE: return add_key(op, alter, constraint);
    case AST_CHECK: return add_check(op, alter, constraint);
    case AST_FOREIGN_KEY: break;
    }
    return ddl__add_foreign(op, alter->session, &alter->table, constraint);
}

static int validate_constraint(struct op *op, struct alter *alter, const struct ast_alter_action *action)
{
    const struct table_def *table = alter->table;
    struct catalog_row *row;

    if (ddl__find_constraint(op, alter->session, table->oid, action->name, &row) != 0)
        return OP_FAILED;
    if (!row)
        return op_fail(op, "42704", "constraint \"%s\" of relation \"%s\" does not exist", action->name, table->name);
    char type = (char)row->values[CONSTRAINT_TYPE].s.data[0];
    if (type != 'c' && type != 'f')
        return op_fail(op, "42809", "constraint \"%s\" of relation \"%s\" is not a foreign key or check constraint", action->name,
                       table->name);
    if (row->values[CONSTRAINT_VALIDATED].b)
        return 0;
    if (type == 'c' ? ddl__verify(op, alter->session, alter->table, action->name, -1) != 0
                    : ddl__check_snapshot(op, alter->session, table) != 0 ||
                          fkey_verify(op, alter->session, table, ddl__foreign(table, action->name)) != 0)
        return OP_FAILED;
    return ddl__set(op, alter->session, SYSTEM_CONSTRAINT, row, CONSTRAINT_VALIDATED, datum_bool(true));
}

static int delete_constraint(struct op *op, struct alter *alter, const struct catalog_row *row)
{
    int result = ddl__delete_rows(op, alter->session, SYSTEM_CONSTRAINT, 0, (Oid)row->values[CONSTRAINT_OID].i);
    txn_next_command(alter->session->txn);
    return result;
}

static const struct index_def *index_by_oid(const struct table_def *table, Oid oid)
{
    for (int i = 0; i < table->index_count; i++)
        if (table->indexes[i].oid == oid)
            return &table->indexes[i];
    return NULL;
}

/* The index of a key goes with it; without the primary key rows lie elsewhere. */
static int drop_key(struct op *op, struct alter *alter, const struct index_def *index)
{
    bool primary = index->primary;
    struct table_def *before = catalog_hold(alter->table);
    int result = ddl__drop_index(op, alter->session, before, index);

    if (result == 0)
        result = reload(op, alter);
    if (result == 0 && primary)
        result = rewrite(op, alter, before, NULL, 0);
    catalog_release(before);
    return result;
}

static int drop_constraint(struct op *op, struct alter *alter, const struct ast_alter_action *action)
{
    const struct table_def *table = alter->table;
    struct catalog_row *row;

    if (ddl__find_constraint(op, alter->session, table->oid, action->name, &row) != 0)
        return OP_FAILED;
    if (!row && action->if_exists) {
        session_notice(alter->session, "NOTICE", "00000", "constraint \"%s\" of relation \"%s\" does not exist, skipping", action->name,
                       table->name);
        return 0;
    }
    if (!row)
        return op_fail(op, "42704", "constraint \"%s\" of relation \"%s\" does not exist", action->name, table->name);
    char type = (char)row->values[CONSTRAINT_TYPE].s.data[0];
    const struct index_def *index = type == 'p' || type == 'u' ? index_by_oid(table, (Oid)row->values[CONSTRAINT_INDEX].i) : NULL;
    if (type == 'f' && catalog__touch(op, alter->session, (Oid)row->values[CONSTRAINT_FOREIGN_RELID].i) != 0)
        return OP_FAILED;
    struct ddl_release what = {
        .index = index ? index->oid : 0, .cascade = action->cascade,
        .name = arena_printf(&op->arena, "constraint %s on table %s", action->name, table->name),
        .detail = arena_printf(&op->arena, "index %s", action->name),
    };
    if (!what.name || !what.detail)
        return op_out_of_memory(op);
    if ((index && ddl__release_parent(op, alter->session, table, &what) != 0) || delete_constraint(op, alter, row) != 0)
        return OP_FAILED;
    return index ? drop_key(op, alter, index) : 0;
}

/* ---- ADD COLUMN ----------------------------------------------------------------------------------- */

static bool note_volatile(void *arg, const struct expr *expr)
{
    bool *found = arg;
    *found |= expr->kind == EXPR_FUNC && expr->func->volatility == FUNC_VOLATILE;
    return true;
}

/* What rows that are there have in a new column, as text; NULL: null.  *expr: it differs from row to row. */
static int missing_value(struct op *op, struct alter *alter, const struct ast_column *ast, const struct column_def *column,
                         const char **missing, struct expr **expr)
{
    struct row_expr *computed;
    struct datum value;
    struct bytes text;
    bool differs = column->generated;

    *missing = NULL;
    *expr = NULL;
    if (!ast->default_value)
        return 0;
    if (column->generated
            ? bind_table_expression(op, alter->session, &op->arena, NULL, ast->default_value, alter->table, BIND_GENERATED, column->type, expr) != 0
            : bind_default(op, alter->session, &op->arena, ast->default_value, column->name, column->type, expr) != 0)
        return OP_FAILED;
    expr_walk(*expr, note_volatile, &differs);
    if (differs)
        return 0;
    struct table_def nothing = {.name = alter->table->name};
    if (row_expr_make(op, &op->arena, &nothing, *expr, &computed) != 0 ||
        row_expr_value(op, alter->session, computed, NULL, &value) != 0)
        return OP_FAILED;
    *expr = NULL;
    if (value.null)
        return 0;
    struct time_style usual;
    const struct time_style *style = time_style_enter(op, &usual);
    int rc = type_print(op, column->type, &value, &op->arena, &text);
    op->time_style = style;
    if (rc != 0)
        return OP_FAILED;
    *missing = arena_strndup(&op->arena, (const char *)text.data, text.len);
    return *missing ? 0 : op_out_of_memory(op);
}

static int count_columns(struct op *op, struct alter *alter, int count)
{
    struct datum prefix[] = {datum_int(alter->table->oid)};
    struct catalog_row *row;
    if (ddl__row(op, alter->session, SYSTEM_CLASS, prefix, 1, &row) != 0)
        return OP_FAILED;
    return ddl__set(op, alter->session, SYSTEM_CLASS, row, CLASS_NATTS, datum_int(count));
}

static int add_column(struct op *op, struct alter *alter, const struct ast_alter_action *action)
{
    const struct ast_column *ast = action->column;
    struct column_def column = {.name = ast->name, .number = catalog_stored_count(alter->table) + 1, .not_null = ast->not_null,
                                .default_sql = ast->default_sql, .generated = ast->generated};
    const char *missing;
    struct expr *expr;

    for (int i = 0; i < alter->table->column_count; i++) {
        if (strcmp(alter->table->columns[i].name, ast->name) != 0)
            continue;
        if (!action->if_exists)
            return op_fail(op, "42701", "column \"%s\" of relation \"%s\" already exists", ast->name, alter->table->name);
        session_notice(alter->session, "NOTICE", "42701", "column \"%s\" of relation \"%s\" already exists, skipping", ast->name,
                       alter->table->name);
        return 0;
    }
    if (column.number > COLUMNS_MAX)
        return op_fail(op, "54011", "tables can have at most %d columns", COLUMNS_MAX);
    if (bind_type(op, ast->type, &column.type) != 0 || missing_value(op, alter, ast, &column, &missing, &expr) != 0 ||
        ddl__insert_column(op, alter->session, alter->table->oid, &column, missing) != 0 ||
        count_columns(op, alter, column.number) != 0)
        return OP_FAILED;
    struct table_def *before = catalog_hold(alter->table);
    struct ddl_transform transform = {.number = column.number, .expr = expr};
    int result = reload(op, alter);
    if (result == 0 && expr)
        result = rewrite(op, alter, before, &transform, column.generated ? 0 : 1);
    else if (result == 0 && column.not_null && !missing)
        result = ddl__verify(op, alter->session, alter->table, NULL, alter->table->column_count - 1);
    catalog_release(before);
    return result;
}

/* ---- DROP COLUMN ---------------------------------------------------------------------------------- */

struct use { int column; bool found; };

static bool note_use(void *arg, const struct expr *expr)
{
    struct use *use = arg;
    use->found |= expr->kind == EXPR_COLUMN && expr->column == use->column;
    return true;
}

/* Whether an expression of the catalog mentions the column. */
static int uses_column(struct op *op, struct alter *alter, const char *sql, enum bind_purpose purpose, int column, bool *uses)
{
    struct use use = {.column = column};
    struct expr *expr;

    if (bind_table_expression(op, alter->session, &op->arena, sql, NULL, alter->table, purpose, (struct sql_type){0, -1}, &expr) != 0)
        return OP_FAILED;
    expr_walk(expr, note_use, &use);
    *uses |= use.found;
    return 0;
}

static int index_uses(struct op *op, struct alter *alter, const struct index_def *index, int column, bool *uses)
{
    const struct table_def *table = alter->table;

    *uses = false;
    for (int i = 0; i < index->column_count + index->include_count; i++) {
        int k = index->columns[i].column;
        *uses |= k == column;
        if (k >= table->column_count && uses_column(op, alter, table->columns[k].default_sql, BIND_INDEX, column, uses) != 0)
            return OP_FAILED;
    }
    return index->predicate < 0 ? 0
           : uses_column(op, alter, table->columns[index->predicate].default_sql, BIND_PREDICATE, column, uses);
}

/* The row of an index's own constraint. */
static int constraint_of(struct op *op, struct alter *alter, const struct index_def *index, struct catalog_row **row)
{
    if (ddl__find_constraint(op, alter->session, alter->table->oid, index->name, row) != 0)
        return OP_FAILED;
    return *row ? 0 : op_fail(op, "XX001", "index \"%s\" has no row in pg_constraint", index->name);
}

/* One index or check that goes with the column; *done when there is none left. */
static int drop_dependent(struct op *op, struct alter *alter, int column, bool *done)
{
    const struct table_def *table = alter->table;
    struct catalog_row *row;
    bool uses = false;

    *done = false;
    for (int i = 0; i < table->index_count; i++) {
        const struct index_def *index = &table->indexes[i];
        if (index_uses(op, alter, index, column, &uses) != 0)
            return OP_FAILED;
        if (!uses)
            continue;
        if (index->constraint && (constraint_of(op, alter, index, &row) != 0 || delete_constraint(op, alter, row) != 0))
            return OP_FAILED;
        return drop_key(op, alter, index);
    }
    for (int i = 0; i < table->foreign_count; i++) {
        const struct foreign_def *foreign = &table->foreigns[i];
        uses = false;
        for (int k = 0; k < foreign->count; k++)
            uses |= foreign->child_numbers[k] == table->columns[column].number;
        if (uses)
            return catalog__touch(op, alter->session, foreign->parent) != 0 ||
                   ddl__delete_rows(op, alter->session, SYSTEM_CONSTRAINT, 0, foreign->oid) != 0 ? OP_FAILED : reload(op, alter);
    }
    for (int i = 0; i < table->check_count; i++) {
        uses = false;
        if (uses_column(op, alter, table->checks[i].sql, BIND_CHECK, column, &uses) != 0)
            return OP_FAILED;
        if (!uses)
            continue;
        return ddl__delete_rows(op, alter->session, SYSTEM_CONSTRAINT, 0, table->checks[i].oid) != 0 ? OP_FAILED : reload(op, alter);
    }
    *done = true;
    return 0;
}

static int mark_dropped(struct op *op, struct alter *alter, int column)
{
    int number = alter->table->columns[column].number;
    const char *name = arena_printf(&op->arena, "........pg.dropped.%d........", number);

    if (!name)
        return op_out_of_memory(op);
    if (delete_default(op, alter, column) != 0 || set_attribute(op, alter, column, ATTRIBUTE_HAS_DEFAULT, datum_bool(false)) != 0 ||
        set_attribute(op, alter, column, ATTRIBUTE_NOT_NULL, datum_bool(false)) != 0 ||
        set_attribute(op, alter, column, ATTRIBUTE_HAS_MISSING, datum_bool(false)) != 0 ||
        set_attribute(op, alter, column, ATTRIBUTE_NAME, datum_text(name)) != 0)
        return OP_FAILED;
    return set_attribute(op, alter, column, ATTRIBUTE_DROPPED, datum_bool(true));
}

/* Generated columns need a column that they are computed from; CASCADE drops them first. */
static int drop_generated(struct op *op, struct alter *alter, const struct ast_alter_action *action, bool *dropped)
{
    const struct table_def *table = alter->table;
    int column;

    *dropped = false;
    if (find_column(op, table, action->name, &column) != 0)
        return OP_FAILED;
    for (int i = 0; i < table->column_count; i++) {
        bool uses = false;
        if (!table->columns[i].generated || i == column)
            continue;
        if (uses_column(op, alter, table->columns[i].default_sql, BIND_GENERATED, column, &uses) != 0)
            return OP_FAILED;
        if (!uses)
            continue;
        if (!action->cascade) {
            op_fail(op, "2BP01", "cannot drop column %s of table %s because other objects depend on it", action->name, table->name);
            op_detail(op, "column %s of table %s depends on column %s of table %s", table->columns[i].name, table->name, action->name,
                      table->name);
            op_hint(op, "Use DROP ... CASCADE to drop the dependent objects too.");
            return OP_FAILED;
        }
        session_notice(alter->session, "NOTICE", "00000", "drop cascades to column %s of table %s", table->columns[i].name, table->name);
        *dropped = true;
        struct ast_alter_action other = {.kind = AST_DROP_COLUMN, .name = table->columns[i].name, .cascade = true};
        bool done = false;
        while (!done) {
            if (find_column(op, alter->table, other.name, &column) != 0 || drop_dependent(op, alter, column, &done) != 0)
                return OP_FAILED;
        }
        return mark_dropped(op, alter, column) != 0 ? OP_FAILED : reload(op, alter);
    }
    return 0;
}

static int drop_column(struct op *op, struct alter *alter, const struct ast_alter_action *action)
{
    bool done = false, dropped = true;
    int column;

    if (action->if_exists) {
        struct op probe;
        op_init(&probe);
        int found = find_column(&probe, alter->table, action->name, &column);
        op_end(&probe);
        if (found != 0) {
            session_notice(alter->session, "NOTICE", "00000", "column \"%s\" of relation \"%s\" does not exist, skipping", action->name,
                           alter->table->name);
            return 0;
        }
    }
    while (dropped)
        if (drop_generated(op, alter, action, &dropped) != 0)
            return OP_FAILED;
    if (find_column(op, alter->table, action->name, &column) != 0)
        return OP_FAILED;
    struct ddl_release what = {
        .number = alter->table->columns[column].number, .cascade = action->cascade,
        .name = arena_printf(&op->arena, "column %s of table %s", action->name, alter->table->name),
    };
    what.detail = what.name;
    if (!what.name)
        return op_out_of_memory(op);
    if (ddl__release_parent(op, alter->session, alter->table, &what) != 0 || reload(op, alter) != 0)
        return OP_FAILED;
    while (!done)
        if (find_column(op, alter->table, action->name, &column) != 0 || drop_dependent(op, alter, column, &done) != 0)
            return OP_FAILED;
    return mark_dropped(op, alter, column);
}

/* ---- ALTER TYPE ----------------------------------------------------------------------------------- */

/* Conversions after which a row's bytes and keys are what they were. */
static bool same_bytes(struct sql_type from, struct sql_type to)
{
    bool text = (from.oid == TYPE_TEXT || from.oid == TYPE_VARCHAR) && (to.oid == TYPE_TEXT || to.oid == TYPE_VARCHAR);
    return text && (to.modifier < 0 || (from.modifier >= 0 && to.modifier >= from.modifier));
}

/* A default must go over to the new type too. */
static int check_default(struct op *op, struct alter *alter, const struct column_def *column, struct sql_type type)
{
    struct expr *bound;

    if (!column->default_sql || column->generated)
        return 0;
    if (bind_expression(op, alter->session, &op->arena, column->default_sql, type, &bound) == 0)
        return 0;
    if (strcmp(op->error.sqlstate, "42804") != 0)
        return OP_FAILED;
    op_clear_error(op);
    return op_fail(op, "42804", "default for column \"%s\" cannot be cast automatically to type %s", column->name,
                   type_info(type.oid)->name);
}

static int check_dependents(struct op *op, struct alter *alter, int column)
{
    const struct table_def *table = alter->table;

    for (int i = 0; i < table->column_count; i++) {
        bool uses = false;
        if (!table->columns[i].generated || i == column)
            continue;
        if (uses_column(op, alter, table->columns[i].default_sql, BIND_GENERATED, column, &uses) != 0)
            return OP_FAILED;
        if (uses) {
            op_fail(op, "0A000", "cannot alter type of a column used by a generated column");
            op_detail(op, "Column \"%s\" is used by generated column \"%s\".", table->columns[column].name, table->columns[i].name);
            return OP_FAILED;
        }
    }
    return 0;
}

/* A foreign key compares its columns by their keys: their types may not come apart. */
static int check_foreigns(struct op *op, const struct table_def *table, int column, Oid type)
{
    if (type == table->columns[column].type.oid)
        return 0;
    for (int i = 0; i < table->foreign_count + table->referrer_count; i++) {
        bool child = i < table->foreign_count;
        const struct foreign_def *foreign = child ? &table->foreigns[i] : &table->referrers[i - table->foreign_count];
        for (int k = 0; k < foreign->count; k++)
            if ((child ? foreign->child_numbers : foreign->parent_numbers)[k] == table->columns[column].number)
                return op_fail(op, "0A000", "ALTER TYPE of a column of the foreign key \"%s\" is not supported", foreign->name);
    }
    return 0;
}

static int alter_type(struct op *op, struct alter *alter, const struct ast_alter_action *action)
{
    struct sql_type type;
    struct expr *expr;
    int i;

    if (find_column(op, alter->table, action->name, &i) != 0 || bind_type(op, action->type, &type) != 0 ||
        check_dependents(op, alter, i) != 0 || check_foreigns(op, alter->table, i, type.oid) != 0)
        return OP_FAILED;
    const struct column_def *column = &alter->table->columns[i];
    if (bind_transform(op, alter->session, &op->arena, action->value, alter->table, i, type, &expr) != 0 ||
        check_default(op, alter, column, type) != 0)
        return OP_FAILED;
    bool keep = !action->value && (same_bytes(column->type, type) ||
                                   (column->type.oid == type.oid && column->type.modifier == type.modifier));
    if (set_attribute(op, alter, i, ATTRIBUTE_TYPE, datum_int(type.oid)) != 0 ||
        set_attribute(op, alter, i, ATTRIBUTE_TYPMOD, datum_int(type.modifier)) != 0 ||
        (!keep && set_attribute(op, alter, i, ATTRIBUTE_HAS_MISSING, datum_bool(false)) != 0))
        return OP_FAILED;
    struct table_def *before = catalog_hold(alter->table);
    struct ddl_transform transform = {.number = column->number, .expr = expr};
    int result = reload(op, alter);
    if (result == 0 && !keep)
        result = rewrite(op, alter, before, &transform, 1);
    catalog_release(before);
    return result;
}

/* ---- the statement -------------------------------------------------------------------------------- */

static int add_column_constraints(struct op *op, struct alter *alter, const struct ast_alter_action *action)
{
    for (const struct ast_constraint *constraint = action->constraints; constraint; constraint = constraint->next)
        if (add_constraint(op, alter, constraint) != 0 || reload(op, alter) != 0)
            return OP_FAILED;
    return 0;
}

static int act(struct op *op, struct alter *alter, const struct ast_alter_action *action)
{
    int before = alter->table->column_count;

    switch (action->kind) {
    case AST_DROP_COLUMN: return drop_column(op, alter, action);
    case AST_DROP_CONSTRAINT: return drop_constraint(op, alter, action);
    case AST_ALTER_TYPE: return alter_type(op, alter, action);
    case AST_ADD_COLUMN:
        if (add_column(op, alter, action) != 0)
            return OP_FAILED;
        return alter->table->column_count == before ? 0 : add_column_constraints(op, alter, action);
    case AST_ALTER_DEFAULT: case AST_DROP_DEFAULT: return alter_default(op, alter, action);
    case AST_SET_NOT_NULL: case AST_DROP_NOT_NULL: return alter_null(op, alter, action);
    case AST_DROP_EXPRESSION: return drop_expression(op, alter, action);
    case AST_ADD_CONSTRAINT: return add_constraint(op, alter, action->constraints);
    case AST_VALIDATE_CONSTRAINT: break;
    }
    return validate_constraint(op, alter, action);
}

int ddl_alter_table(struct op *op, struct session *session, const struct ast_alter *statement)
{
    struct alter alter = {.session = session};
    int result;

    if (ddl__lock_table(op, session, statement->table, TXN_ACCESS_EXCLUSIVE, &alter.table) != 0)
        return OP_FAILED;
    if (!alter.table && statement->if_exists) {
        session_notice(session, "NOTICE", "00000", "relation \"%s\" does not exist, skipping", statement->table->name);
        return 0;
    }
    if (!alter.table)
        return op_fail(op, "42P01", "relation \"%s\" does not exist", statement->table->name);
    result = catalog__touch(op, session, alter.table->oid);
    for (enum ast_alter_kind kind = 0; result == 0 && kind <= AST_VALIDATE_CONSTRAINT; kind++)
        for (const struct ast_alter_action *action = statement->actions; result == 0 && action; action = action->next)
            if (action->kind == kind) {
                result = act(op, &alter, action);
                if (result == 0)
                    result = reload(op, &alter);
            }
    catalog_release(alter.table);
    return result;
}
