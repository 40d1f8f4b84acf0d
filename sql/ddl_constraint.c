/*
 * ddl_constraint.c -- keys and CHECK constraints: from what was written to rows of the catalog, and whether the rows that are there agree.
 *
 * Names follow PostgreSQL's rule: a constraint over one column is called after table and column, any other after the table alone.
 * NOT VALID leaves the rows that are there alone; VALIDATE looks at them later.  New rows are checked in both cases.
 *
 * X1 of ddl_index.c holds here too: what is looked at must be all that others have committed.
 */
#include <string.h>

#include "sql/ddl_int.h"

int ddl__check_snapshot(struct op *op, struct session *session, const struct table_def *table)
{
    if (session->level < TXN_REPEATABLE_READ || txn_read_ts(session->txn) >= txn_visible_ts(session->database->manager))
        return 0;
    op_fail(op, "40001", "could not serialize access due to concurrent update");
    op_detail(op, "Rows of table \"%s\" may have been committed after this transaction's snapshot was taken; the statement needs them.",
              table->name);
    op_hint(op, "Run it at isolation level READ COMMITTED, or in the transaction's first statement.");
    return OP_FAILED;
}

/* ---- keys ----------------------------------------------------------------------------------------- */

static int find_column(const struct table_def *table, const char *name)
{
    for (int i = 0; i < table->column_count; i++)
        if (strcmp(table->columns[i].name, name) == 0)
            return i;
    return -1;
}

static int add_column(struct op *op, const struct table_def *table, const struct ast_constraint *constraint, const struct ast_word *word,
                      struct ddl_index *index)
{
    int column = find_column(table, word->text), at = index->column_count + index->include_count;

    if (column < 0)
        return op_fail_at(op, constraint->position, "42703", "column \"%s\" named in key does not exist", word->text);
    if (at == KEY_COLUMNS_MAX)
        return op_fail(op, "54011", "cannot use more than %d columns in an index", KEY_COLUMNS_MAX);
    index->columns[at] = (struct index_column){.column = column};
    return 0;
}

int ddl__plan_key(struct op *op, const struct table_def *table, const struct ast_constraint *constraint, struct ddl_index *index)
{
    const char *what = constraint->kind == AST_PRIMARY_KEY ? "primary key" : "unique";

    *index = (struct ddl_index){.name = constraint->name, .unique = true, .primary = constraint->kind == AST_PRIMARY_KEY,
                                .constraint = true};
    if (constraint->deferrable)
        return op_fail_at(op, constraint->position, "0A000", "A DEFERRABLE unique constraint is not supported");
    for (const struct ast_word *word = constraint->columns; word; word = word->next) {
        if (add_column(op, table, constraint, word, index) != 0)
            return OP_FAILED;
        for (int i = 0; i < index->column_count; i++)
            if (index->columns[i].column == index->columns[index->column_count].column)
                return op_fail_at(op, constraint->position, "42701", "column \"%s\" appears twice in %s constraint", word->text, what);
        index->column_count++;
    }
    if (index->primary && constraint->include)
        return op_fail_at(op, constraint->position, "0A000", "INCLUDE of a primary key is not supported");
    for (const struct ast_word *word = constraint->include; word; word = word->next) {
        if (add_column(op, table, constraint, word, index) != 0)
            return OP_FAILED;
        index->include_count++;
    }
    return 0;
}

/* ---- CHECK ---------------------------------------------------------------------------------------- */

struct columns_of {
    int numbers[COLUMNS_MAX];
    int count;
    const struct table_def *table;
};

static bool note_column(void *arg, const struct expr *expr)
{
    struct columns_of *columns = arg;
    if (expr->kind != EXPR_COLUMN)
        return true;
    int number = columns->table->columns[expr->column].number;
    for (int i = 0; i < columns->count; i++)
        if (columns->numbers[i] == number)
            return true;
    columns->numbers[columns->count++] = number;
    return true;
}

static const char *column_name(const struct table_def *table, int number)
{
    for (int i = 0; i < table->column_count; i++)
        if (table->columns[i].number == number)
            return table->columns[i].name;
    return NULL;
}

static bool among(const char *name, const char *const *taken, int taken_count)
{
    for (int i = 0; i < taken_count; i++)
        if (strcmp(taken[i], name) == 0)
            return true;
    return false;
}

static int choose_name(struct op *op, struct session *session, const struct table_def *table, const char *column,
                       const char *const *taken, int taken_count, const char **name)
{
    const char *label = "check";

    for (int pass = 1;; pass++) {
        struct catalog_row *row = NULL;
        *name = ddl__object_name(op, table->name, column, label);
        if (!*name || (table->oid && ddl__find_constraint(op, session, table->oid, *name, &row) != 0))
            return OP_FAILED;
        if (!row && !among(*name, taken, taken_count))
            return 0;
        label = arena_printf(&op->arena, "check%d", pass);
        if (!label)
            return op_out_of_memory(op);
    }
}

int ddl__plan_check(struct op *op, struct session *session, struct table_def *table, const struct ast_constraint *constraint,
                    const char *const *taken, int taken_count, struct ddl_constraint *check)
{
    struct columns_of *columns = op_calloc(op, sizeof *columns);
    struct catalog_row *row = NULL;
    struct expr *expr;

    if (!columns || bind_table_expression(op, session, &op->arena, NULL, constraint->check, table, BIND_CHECK,
                                          (struct sql_type){TYPE_BOOL, -1}, &expr) != 0)
        return OP_FAILED;
    columns->table = table;
    expr_walk(expr, note_column, columns);
    *check = (struct ddl_constraint){.name = constraint->name, .type = "c", .table = table->oid, .columns = columns->numbers,
                                     .column_count = columns->count, .text = constraint->check_sql,
                                     .validated = !constraint->not_valid};
    if (!check->name)
        return choose_name(op, session, table, columns->count == 1 ? column_name(table, columns->numbers[0]) : NULL, taken,
                           taken_count, &check->name);
    if (among(check->name, taken, taken_count))
        return op_fail(op, "42710", "check constraint \"%s\" already exists", check->name);
    if (table->oid && ddl__find_constraint(op, session, table->oid, check->name, &row) != 0)
        return OP_FAILED;
    return row ? op_fail(op, "42710", "constraint \"%s\" for relation \"%s\" already exists", check->name, table->name) : 0;
}

/* ---- rows that are there -------------------------------------------------------------------------- */

struct verification {
    struct session *session;
    const struct table_def *table;
    struct row_expr *expr;
    const char *check;
    int not_null;
};

static int verify_row(void *arg, struct op *op, struct datum *values)
{
    const struct verification *verification = arg;
    const struct table_def *table = verification->table;
    struct datum value;

    if (verification->not_null >= 0 && values[verification->not_null].null) {
        const char *name = table->columns[verification->not_null].name;
        op_fail(op, "23502", "column \"%s\" of relation \"%s\" contains null values", name, table->name);
        op_about(op, table->schema, table->name, name, NULL);
        return OP_FAILED;
    }
    if (!verification->expr)
        return 0;
    if (row_expr_value(op, verification->session, verification->expr, values, &value) != 0)
        return OP_FAILED;
    if (value.null || value.b)
        return 0;
    op_fail(op, "23514", "check constraint \"%s\" of relation \"%s\" is violated by some row", verification->check, table->name);
    op_about(op, table->schema, table->name, NULL, verification->check);
    return OP_FAILED;
}

int ddl__verify(struct op *op, struct session *session, struct table_def *table, const char *check, int not_null)
{
    struct verification verification = {.session = session, .table = table, .check = check, .not_null = not_null};
    struct expr *expr;

    if (ddl__check_snapshot(op, session, table) != 0)
        return OP_FAILED;
    for (int i = 0; check && i < table->check_count; i++) {
        if (strcmp(table->checks[i].name, check) != 0)
            continue;
        if (bind_table_expression(op, session, &op->arena, table->checks[i].sql, NULL, table, BIND_CHECK,
                                  (struct sql_type){TYPE_BOOL, -1}, &expr) != 0 ||
            row_expr_make(op, &op->arena, table, expr, &verification.expr) != 0)
            return OP_FAILED;
    }
    return ddl__each_row(op, session, table, verify_row, &verification);
}
