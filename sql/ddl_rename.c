/*
 * ddl_rename.c -- ALTER ... RENAME: tables, indexes, columns, constraints.
 *
 * A name stands in one row of the catalog, and in the texts of expressions (defaults of generated columns, CHECK, indexes), which are
 * kept as they were written.  Those are parsed, and the words that mean the column or the table are replaced where they stand:
 *
 *      CHECK (t.a > 0 AND b <> 'a')       RENAME COLUMN a TO x       t.x > 0 AND b <> 'a'
 */
#include <string.h>

#include "sql/ddl_int.h"
#include "sql/lexer.h"

/* ---- texts ---------------------------------------------------------------------------------------- */

struct respelling {
    struct op *op;
    const char *table, *from, *to;  /* from NULL: the table's own name changes */
    const char *sql;
    const char *text;               /* what has been done so far ends before `at` of sql */
    size_t at;
};

static bool plain_name(const char *name)
{
    for (const char *c = name; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || *c == '_' || (c > name && ((*c >= '0' && *c <= '9') || *c == '$'))))
            return false;
    const struct keyword *keyword = keyword_find(name, strlen(name));
    return *name && (!keyword || keyword->class == WORD_UNRESERVED);
}

/* The name as SQL spells it. */
static const char *quoted(struct op *op, const char *name)
{
    const char *text = "\"";

    if (plain_name(name))
        return name;
    for (const char *c = name; *c && text; c++)
        text = arena_printf(&op->arena, *c == '"' ? "%s\"%c" : "%s%c", text, *c);
    text = text ? arena_printf(&op->arena, "%s\"", text) : NULL;
    if (!text)
        op_out_of_memory(op);
    return text;
}

/* Bytes of the word that begins here. */
static size_t word_length(const char *sql)
{
    size_t len = 0;
    if (*sql != '"')
        return strcspn(sql, " \t\n\r\f\v.,()[]+-*/<>=~!@#%^&|`?:;'\"");
    for (len = 1; sql[len] && (sql[len] != '"' || sql[len + 1] == '"'); len++)
        len += sql[len] == '"';
    return len + 1;
}

static int replace_word(struct respelling *r, const struct ast_word *word)
{
    size_t begin = 0;
    const char *name = quoted(r->op, r->to);

    for (int seen = 1; seen < word->position && r->sql[begin]; seen++)
        do
            begin++;
        while (((unsigned char)r->sql[begin] & 0xc0) == 0x80);
    if (!name || begin < r->at)
        return name ? 0 : OP_FAILED;
    r->text = arena_printf(&r->op->arena, "%s%.*s%s", r->text, (int)(begin - r->at), r->sql + r->at, name);
    r->at = begin + word_length(r->sql + begin);
    return r->text ? 0 : op_out_of_memory(r->op);
}

static int respell_column(struct respelling *r, const struct ast_expr *expr)
{
    const struct ast_word *table = NULL, *column = expr->names;

    while (column && column->next) {
        table = column;
        column = column->next;
    }
    if (!r->from)
        return table && strcmp(table->text, r->table) == 0 ? replace_word(r, table) : 0;
    return column && column->text && strcmp(column->text, r->from) == 0 ? replace_word(r, column) : 0;
}

static int respell(struct respelling *r, const struct ast_expr *expr)
{
    if (!expr)
        return 0;
    if (expr->kind == AST_COLUMN)
        return respell_column(r, expr);
    if (respell(r, expr->left) != 0 || (expr->kind != AST_CASE && respell(r, expr->right) != 0))
        return OP_FAILED;
    for (const struct ast_expr *arg = expr->args; arg; arg = arg->next)
        if (respell(r, arg) != 0)
            return OP_FAILED;
    return expr->kind == AST_CASE ? respell(r, expr->right) : 0;
}

/* A datum of the catalog with the new name in it, or as it was. */
static int respelled(struct op *op, const struct respelling *how, const char *sql, const char **result)
{
    struct respelling r = *how;
    struct ast_expr *expr;

    if (parse_expression(op, &op->arena, sql, &expr) != 0)
        return OP_FAILED;
    r.op = op;
    r.sql = sql;
    r.text = "";
    if (respell(&r, expr) != 0)
        return OP_FAILED;
    *result = arena_printf(&op->arena, "%s%s", r.text, sql + r.at);
    return *result ? 0 : op_out_of_memory(op);
}

static int respell_row(struct op *op, struct session *session, enum system_table which, struct catalog_row *row, int column,
                       const struct respelling *how)
{
    const char *sql, *text;

    if (row->values[column].null)
        return 0;
    sql = arena_strndup(&op->arena, (const char *)row->values[column].s.data, row->values[column].s.len);
    if (!sql)
        return op_out_of_memory(op);
    if (respelled(op, how, sql, &text) != 0)
        return OP_FAILED;
    return strcmp(sql, text) == 0 ? 0 : ddl__set(op, session, which, row, column, datum_text(text));
}

/* An index's expressions and its condition. */
static int respell_index(struct op *op, struct session *session, const struct table_def *table, const struct index_def *index,
                         const struct respelling *how)
{
    struct datum prefix[] = {datum_int(index->oid)};
    struct catalog_row *row;
    const char *list = "";

    if (ddl__row(op, session, SYSTEM_INDEX, prefix, 1, &row) != 0 ||
        respell_row(op, session, SYSTEM_INDEX, row, INDEX_PREDICATE, how) != 0)
        return OP_FAILED;
    if (row->values[INDEX_EXPRESSIONS].null)
        return 0;
    txn_next_command(session->txn);
    if (ddl__row(op, session, SYSTEM_INDEX, prefix, 1, &row) != 0)
        return OP_FAILED;
    for (int i = 0; i < index->column_count; i++) {
        const struct column_def *column = &table->columns[index->columns[i].column];
        const char *text;
        if (index->columns[i].column < table->column_count)
            continue;
        if (respelled(op, how, column->default_sql, &text) != 0)
            return OP_FAILED;
        list = arena_printf(&op->arena, "%s%u,%d,%zu:%s", list, column->type.oid, (int)column->type.modifier, strlen(text), text);
        if (!list)
            return op_out_of_memory(op);
    }
    return ddl__set(op, session, SYSTEM_INDEX, row, INDEX_EXPRESSIONS, datum_text(list));
}

static int respell_all(struct op *op, struct session *session, const struct table_def *table, const struct respelling *how)
{
    struct datum prefix[] = {datum_int(table->oid)};
    struct catalog_row *row;

    if (catalog__find(op, session->database, session->txn, SYSTEM_ATTRDEF, 0, prefix, 1, &row) != 0)
        return OP_FAILED;
    for (; row; row = row->next)
        for (int i = 0; i < table->column_count; i++)
            if (table->columns[i].generated && table->columns[i].number == row->values[ATTRDEF_NUMBER].i &&
                respell_row(op, session, SYSTEM_ATTRDEF, row, ATTRDEF_TEXT, how) != 0)
                return OP_FAILED;
    if (catalog__find(op, session->database, session->txn, SYSTEM_CONSTRAINT, CONSTRAINT_BY_TABLE, prefix, 1, &row) != 0)
        return OP_FAILED;
    for (; row; row = row->next)
        if (respell_row(op, session, SYSTEM_CONSTRAINT, row, CONSTRAINT_TEXT, how) != 0)
            return OP_FAILED;
    for (int i = 0; i < table->index_count; i++)
        if (respell_index(op, session, table, &table->indexes[i], how) != 0)
            return OP_FAILED;
    return 0;
}

/* ---- names ---------------------------------------------------------------------------------------- */

static int rename_relation(struct op *op, struct session *session, Oid oid, const char *to)
{
    struct datum prefix[] = {datum_int(oid)};
    struct catalog_row *row;
    bool exists;

    if (ddl__relation_exists(op, session, to, &exists) != 0)
        return OP_FAILED;
    if (exists)
        return op_fail(op, "42P07", "relation \"%s\" already exists", to);
    if (catalog__touch(op, session, oid) != 0 || ddl__row(op, session, SYSTEM_CLASS, prefix, 1, &row) != 0)
        return OP_FAILED;
    return ddl__set(op, session, SYSTEM_CLASS, row, CLASS_NAME, datum_text(to));
}

static int rename_table(struct op *op, struct session *session, const struct table_def *table, const char *to)
{
    struct respelling how = {.table = table->name, .to = to};
    return rename_relation(op, session, table->oid, to) != 0 ? OP_FAILED : respell_all(op, session, table, &how);
}

static int rename_column(struct op *op, struct session *session, const struct table_def *table, const char *from, const char *to)
{
    struct respelling how = {.table = table->name, .from = from, .to = to};
    struct catalog_row *row;
    int number = 0;

    for (int i = 0; i < table->column_count; i++)
        if (strcmp(table->columns[i].name, from) == 0)
            number = table->columns[i].number;
    if (!number)
        return op_fail(op, "42703", "column \"%s\" does not exist", from);
    for (int i = 0; i < table->column_count; i++)
        if (strcmp(table->columns[i].name, to) == 0)
            return op_fail(op, "42701", "column \"%s\" of relation \"%s\" already exists", to, table->name);
    struct datum prefix[] = {datum_int(table->oid), datum_int(number)};
    if (catalog__touch(op, session, table->oid) != 0 || ddl__row(op, session, SYSTEM_ATTRIBUTE, prefix, 2, &row) != 0 ||
        ddl__set(op, session, SYSTEM_ATTRIBUTE, row, ATTRIBUTE_NAME, datum_text(to)) != 0)
        return OP_FAILED;
    return respell_all(op, session, table, &how);
}

/* A key's constraint and its index share one name. */
static int rename_constraint(struct op *op, struct session *session, const struct table_def *table, const char *from, const char *to)
{
    struct catalog_row *row, *other;

    if (ddl__find_constraint(op, session, table->oid, from, &row) != 0)
        return OP_FAILED;
    if (!row)
        return op_fail(op, "42704", "constraint \"%s\" for table \"%s\" does not exist", from, table->name);
    char type = (char)row->values[CONSTRAINT_TYPE].s.data[0];
    if (type == 'p' || type == 'u') {
        if (rename_relation(op, session, (Oid)row->values[CONSTRAINT_INDEX].i, to) != 0)
            return OP_FAILED;
    } else {
        if (ddl__find_constraint(op, session, table->oid, to, &other) != 0)
            return OP_FAILED;
        if (other)
            return op_fail(op, "42710", "constraint \"%s\" for relation \"%s\" already exists", to, table->name);
    }
    if (catalog__touch(op, session, table->oid) != 0)
        return OP_FAILED;
    return ddl__set(op, session, SYSTEM_CONSTRAINT, row, CONSTRAINT_NAME, datum_text(to));
}

static int rename_index(struct op *op, struct session *session, const struct table_def *table, const struct index_def *index,
                        const char *to)
{
    if (index->constraint)
        return rename_constraint(op, session, table, index->name, to);
    return catalog__touch(op, session, table->oid) != 0 ? OP_FAILED : rename_relation(op, session, index->oid, to);
}

static int absent(struct op *op, struct session *session, const struct ast_rename *statement)
{
    const char *name = statement->object->name;

    if (!statement->if_exists)
        return op_fail(op, "42P01", "relation \"%s\" does not exist", name);
    session_notice(session, "NOTICE", "00000", "relation \"%s\" does not exist, skipping", name);
    return 0;
}

int ddl_rename(struct op *op, struct session *session, const struct ast_rename *statement)
{
    const struct index_def *index = NULL;
    struct table_def *table;
    int result;

    if (ddl__lock_table(op, session, statement->object, TXN_ACCESS_EXCLUSIVE, &table) != 0)
        return OP_FAILED;
    if (!table && statement->kind <= AST_RENAME_INDEX &&
        ddl__lock_index(op, session, statement->object, &table, &index) != 0)
        return OP_FAILED;
    if (!table)
        return absent(op, session, statement);
    switch (statement->kind) {
    case AST_RENAME_COLUMN: result = rename_column(op, session, table, statement->from, statement->to); break;
    case AST_RENAME_CONSTRAINT: result = rename_constraint(op, session, table, statement->from, statement->to); break;
    default:
        result = index ? rename_index(op, session, table, index, statement->to) : rename_table(op, session, table, statement->to);
    }
    catalog_release(table);
    return result;
}
