/*
 * bind_change.c -- INSERT, UPDATE, DELETE: which columns get which values.
 *
 * A value that goes into a column is cast for assignment: more is allowed than inside of expressions (a numeric into an integer), less than
 * with CAST.  The rows of VALUES are cast one by one, so that '1' is an integer for one column and a text for the other, and DEFAULT
 * may stand for a value.  Columns that are not named get their default, whose text is kept in the catalog and bound here.
 */
#include <string.h>

#include "sql/bind_int.h"

static int find_column(struct binder *b, const struct table_def *table, const struct ast_word *word, int *column)
{
    for (*column = 0; *column < table->column_count; ++*column)
        if (strcmp(table->columns[*column].name, word->text) == 0)
            return OP_OK;
    return op_fail_at(b->op, word->position, "42703", "column \"%s\" of relation \"%s\" does not exist", word->text, table->name);
}

/* A column's default as an expression; a null constant when it has none. */
static int default_of(struct binder *b, const struct column_def *column, struct expr **expr)
{
    struct ast_expr *ast;

    *expr = NULL;
    if (!column->default_sql || column->generated) {    /* what is generated is computed when the row is known */
        if (!(*expr = bind__node(b, EXPR_CONST, column->type, 0, 0)))
            return OP_FAILED;
        (*expr)->value.null = true;
        return OP_OK;
    }
    struct scope scope;
    struct query *query = bind__query(b, QUERY_SELECT);
    if (!query || parse_expression(b->op, b->arena, column->default_sql, &ast))
        return OP_FAILED;
    bind__push(b, &scope, query);
    int rc = bind__expr_in(b, PLACE_DEFAULT, ast, expr);
    bind__pop(b);
    return rc ? OP_FAILED : bind__assign(b, *expr, column->type, column->name, true, expr);
}

static int fail_generated(struct binder *b, const struct column_def *column, bool update)
{
    op_fail(b->op, "428C9", update ? "column \"%s\" can only be updated to DEFAULT" : "cannot insert a non-DEFAULT value into column \"%s\"",
            column->name);
    op_detail(b->op, "Column \"%s\" is a generated column.", column->name);
    return OP_FAILED;
}

/* ---- INSERT ---- */

/* The columns that get values, by name or by order. */
static int bind_columns(struct binder *b, const struct ast_insert *ast, const struct table_def *table, struct query *query)
{
    int count = 0, column;

    query->insert_columns = bind__alloc(b, (size_t)(table->column_count + 1) * sizeof(*query->insert_columns));
    if (!query->insert_columns)
        return OP_FAILED;
    for (const struct ast_word *word = ast->columns; word; word = word->next) {
        if (find_column(b, table, word, &column))
            return OP_FAILED;
        for (int i = 0; i < count; i++)
            if (query->insert_columns[i] == column)
                return op_fail_at(b->op, word->position, "42701", "column \"%s\" specified more than once", word->text);
        query->insert_columns[count++] = column;
    }
    if (!ast->columns)
        for (; count < table->column_count; count++)
            query->insert_columns[count] = count;
    query->insert_count = count;
    return OP_OK;
}

/* Compares the number of values with that of the columns; values that are fewer leave the last columns to their defaults only when no
 * columns were named. */
static int check_count(struct binder *b, const struct ast_insert *ast, struct query *query, int values, int extra_position)
{
    if (values > query->insert_count)
        return op_fail_at(b->op, extra_position, "42601", "INSERT has more expressions than target columns");
    if (values < query->insert_count && ast->columns) {
        const struct ast_word *word = ast->columns;
        for (int i = 0; i < values; i++)
            word = word->next;
        return op_fail_at(b->op, word->position, "42601", "INSERT has more target columns than expressions");
    }
    query->insert_count = values;
    return OP_OK;
}

static int bind_value(struct binder *b, const struct table_def *table, int column, enum place place, const struct ast_expr *ast,
                      struct expr **result)
{
    const struct column_def *def = &table->columns[column];

    if (ast->kind == AST_DEFAULT)
        return default_of(b, def, result);
    if (def->generated)
        return fail_generated(b, def, place == PLACE_UPDATE);
    if (bind__expr_in(b, place, ast, result))
        return OP_FAILED;
    return bind__assign(b, *result, def->type, def->name, false, result);
}

static int position_of(const struct ast_row *row, int index)
{
    const struct ast_expr *value = row->values;

    for (int i = 0; i < index && value->next; i++)
        value = value->next;
    return value->position;
}

/* One row: its values are the select list of a query without FROM. */
static int bind_one_row(struct binder *b, const struct ast_row *row, const struct table_def *table, const struct query *insert)
{
    int i = 0;

    for (const struct ast_expr *value = row->values; value; value = value->next, i++) {
        struct expr *expr;
        int column = insert->insert_columns[i];
        if (bind_value(b, table, column, PLACE_INSERT, value, &expr)
            || bind__add_target(b, b->scope, expr, table->columns[column].name, false))
            return OP_FAILED;
    }
    return OP_OK;
}

static int bind_rows(struct binder *b, const struct ast_select *ast, const struct table_def *table, const struct query *insert,
                     struct range_entry *range)
{
    int n = insert->insert_count, at = 0;

    for (const struct ast_row *row = ast->rows; row; row = row->next)
        range->row_count++;
    range->kind = RANGE_VALUES;
    range->alias = "*VALUES*";
    range->column_count = n;
    range->column_names = bind__alloc(b, (size_t)n * sizeof(*range->column_names));
    range->column_types = bind__alloc(b, (size_t)n * sizeof(*range->column_types));
    range->values = bind__alloc(b, (size_t)n * (size_t)range->row_count * sizeof(*range->values));
    if (!range->column_names || !range->column_types || !range->values)
        return OP_FAILED;
    for (int i = 0; i < n; i++) {
        range->column_names[i] = table->columns[insert->insert_columns[i]].name;
        range->column_types[i] = table->columns[insert->insert_columns[i]].type;
    }
    for (const struct ast_row *row = ast->rows; row; row = row->next) {
        int i = 0;
        for (const struct ast_expr *value = row->values; value; value = value->next)
            if (bind_value(b, table, insert->insert_columns[i++], PLACE_VALUES, value, &range->values[at++]))
                return OP_FAILED;
    }
    return OP_OK;
}

/* Several rows: a range, and its columns as the select list. */
static int bind_many_rows(struct binder *b, const struct ast_select *ast, const struct table_def *table, const struct query *insert)
{
    struct range_entry values = { 0 }, *range;
    struct query *query = b->scope->query;
    int index;

    if (bind_rows(b, ast, table, insert, &values) || bind__add_range(b, &range, &index)
        || !(query->from = bind__alloc(b, sizeof(*query->from))))
        return OP_FAILED;
    *range = values;
    query->from->range = index;
    for (int i = 0; i < insert->insert_count; i++) {
        struct expr *column = bind__column_ref(b, b->scope, index, i, 0, 0);
        if (!column || bind__add_target(b, b->scope, column, values.column_names[i], false))
            return OP_FAILED;
    }
    return OP_OK;
}

static int bind_insert_values(struct binder *b, const struct ast_insert *ast, const struct table_def *table, struct query *insert)
{
    const struct ast_row *first = ast->select->rows;
    struct scope scope;
    struct space space = b->scope->space;

    for (const struct ast_row *row = first; row; row = row->next)
        if (row->count != first->count)
            return op_fail_at(b->op, row->values->position, "42601", "VALUES lists must all be the same length");
    if (check_count(b, ast, insert, first->count, position_of(first, insert->insert_count)))
        return OP_FAILED;
    if (!(insert->source = bind__query(b, QUERY_SELECT)))
        return OP_FAILED;
    b->scope->space = (struct space){ 0 };      /* values do not see the table that they go to */
    bind__push(b, &scope, insert->source);
    int rc = first->next ? bind_many_rows(b, ast->select, table, insert) : bind_one_row(b, first, table, insert);
    bind__pop(b);
    b->scope->space = space;
    return rc;
}

static int bind_insert_select(struct binder *b, const struct ast_insert *ast, const struct table_def *table, struct query *insert)
{
    struct space space = b->scope->space;
    struct sql_type *types = bind__alloc(b, (size_t)(insert->insert_count + 1) * sizeof(*types));
    const char **columns = bind__alloc(b, (size_t)(insert->insert_count + 1) * sizeof(*columns));

    if (!types || !columns)
        return OP_FAILED;
    b->scope->space = (struct space){ 0 };
    int rc = bind__select(b, ast->select, false, &insert->source);
    if (!rc) {
        int count = bind__visible_targets(insert->source);
        int extra = count > insert->insert_count ? insert->source->targets[insert->insert_count].expr->position : 0;
        rc = check_count(b, ast, insert, count, extra);
    }
    for (int i = 0; !rc && i < insert->insert_count; i++) {
        if (table->columns[insert->insert_columns[i]].generated)
            return fail_generated(b, &table->columns[insert->insert_columns[i]], false);
        types[i] = table->columns[insert->insert_columns[i]].type;
        columns[i] = table->columns[insert->insert_columns[i]].name;
    }
    if (!rc)
        rc = bind__coerce_output(b, &insert->source, types, CAST_ASSIGNMENT, columns);
    b->scope->space = space;
    return rc;
}

/* DEFAULT VALUES: one row of no columns. */
static int bind_insert_defaults(struct binder *b, struct query *insert)
{
    insert->insert_count = 0;
    insert->source = bind__query(b, QUERY_SELECT);
    return insert->source ? OP_OK : OP_FAILED;
}

static int bind_left_out(struct binder *b, const struct table_def *table, struct query *insert)
{
    insert->defaults = bind__alloc(b, (size_t)(table->column_count + 1) * sizeof(*insert->defaults));
    if (!insert->defaults)
        return OP_FAILED;
    for (int i = 0; i < table->column_count; i++) {
        bool given = false;
        for (int j = 0; j < insert->insert_count; j++)
            given = given || insert->insert_columns[j] == i;
        if (!given && table->columns[i].default_sql && !table->columns[i].generated && default_of(b, &table->columns[i], &insert->defaults[i]))
            return OP_FAILED;
    }
    return OP_OK;
}

static int bind_returning(struct binder *b, const struct ast_target *list, struct query *query)
{
    query->returning = list != NULL;
    if (bind__targets(b, list, PLACE_RETURNING))
        return OP_FAILED;
    return bind__settle_targets(b, query);
}

static int bind_insert_parts(struct binder *b, const struct ast_insert *ast, struct query *query)
{
    struct table_def *table;
    int rc;

    if (bind__target_table(b, ast->table, ast->alias, &table) || bind_columns(b, ast, table, query))
        return OP_FAILED;
    const struct ast_select *select = ast->select;
    bool values = select && select->kind == AST_SELECT_VALUES && !select->order && !select->limit && !select->offset;
    if (!select)
        rc = bind_insert_defaults(b, query);
    else
        rc = values ? bind_insert_values(b, ast, table, query) : bind_insert_select(b, ast, table, query);
    if (rc || bind_left_out(b, table, query) || bind__conflict(b, &ast->conflict, table, query))
        return OP_FAILED;
    return bind_returning(b, ast->returning, query);
}

int bind__insert(struct binder *b, const struct ast_insert *ast, struct query **query)
{
    struct scope scope;

    if (!(*query = bind__query(b, QUERY_INSERT)))
        return OP_FAILED;
    bind__push(b, &scope, *query);
    int rc = bind_insert_parts(b, ast, *query);
    bind__pop(b);
    return rc;
}

/* ---- UPDATE and DELETE ---- */

int bind__sets(struct binder *b, const struct ast_set_item *sets, const struct table_def *table, struct query *query)
{
    int count = 0;

    for (const struct ast_set_item *item = sets; item; item = item->next)
        count++;
    query->set_columns = bind__alloc(b, (size_t)(count + 1) * sizeof(*query->set_columns));
    query->set_values = bind__alloc(b, (size_t)(count + 1) * sizeof(*query->set_values));
    if (!query->set_columns || !query->set_values)
        return OP_FAILED;
    for (const struct ast_set_item *item = sets; item; item = item->next) {
        int column, i = query->set_count;
        if (find_column(b, table, &item->column, &column))
            return OP_FAILED;
        if (item->field)
            return op_fail_at(b->op, item->column.position, "0A000", "Setting a field of column \"%s\" is not supported",
                              item->column.text);
        for (int j = 0; j < i; j++)
            if (query->set_columns[j] == column)
                return op_fail(b->op, "42601", "multiple assignments to same column \"%s\"", item->column.text);
        if (bind_value(b, table, column, PLACE_UPDATE, item->value, &query->set_values[i]))
            return OP_FAILED;
        query->set_columns[i] = column;
        query->set_count++;
    }
    return OP_OK;
}

static int bind_change(struct binder *b, const struct ast_change *ast, enum query_kind kind, struct query **query)
{
    struct scope scope;
    struct table_def *table;

    if (!(*query = bind__query(b, kind)))
        return OP_FAILED;
    bind__push(b, &scope, *query);
    int rc = bind__target_table(b, ast->table, ast->alias, &table);
    if (!rc && kind == QUERY_UPDATE)
        rc = bind__sets(b, ast->sets, table, *query);
    if (!rc)
        rc = bind__condition(b, PLACE_WHERE, ast->where, &(*query)->where);
    if (!rc)
        rc = bind_returning(b, ast->returning, *query);
    bind__pop(b);
    return rc;
}

int bind__update(struct binder *b, const struct ast_change *ast, struct query **query)
{
    return bind_change(b, ast, QUERY_UPDATE, query);
}

int bind__delete(struct binder *b, const struct ast_change *ast, struct query **query)
{
    return bind_change(b, ast, QUERY_DELETE, query);
}
