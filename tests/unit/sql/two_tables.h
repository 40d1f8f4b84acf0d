/*
 * two_tables.h -- a catalog of three tables in memory, so that the binder can be tested without a database.
 *
 * It stands in for catalog.c: a program that includes it must not need anything else of that file.
 */
#ifndef TESTS_TWO_TABLES_H
#define TESTS_TWO_TABLES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/ast.h"
#include "sql/query.h"

static const char *const two_tables_sql[] = {
    "create table t (a int primary key, b text, c numeric(10,2), d date, e boolean default true, f double precision, "
    "v varchar(20), big bigint, s smallint, r real, ts timestamp)",
    "create table u (a int, x text, n numeric, t_id int, primary key (a))",
    "create table \"Mixed\" (\"Col\" int, \"select\" text)",
};

static struct table_def two_tables[COUNT_OF(two_tables_sql)];
static int two_tables_held;     /* references given out and not given back */

static void two_tables_define(const struct ast_create_table *create, struct table_def *table)
{
    struct arena *arena = &table->arena;
    struct op op;

    op_init(&op);
    table->schema = "public";
    table->name = arena_strdup(arena, create->table->name);
    table->columns = arena_calloc(arena, 16 * sizeof(*table->columns));
    for (const struct ast_column *column = create->columns; column; column = column->next) {
        struct column_def *def = &table->columns[table->column_count++];
        def->name = arena_strdup(arena, column->name);
        def->number = table->column_count;
        def->default_sql = column->default_sql ? arena_strdup(arena, column->default_sql) : NULL;
        if (bind_type(&op, column->type, &def->type))
            abort();
    }
    if (create->constraints) {
        table->has_primary = true;
        table->index_count = 1;
        table->indexes = arena_calloc(arena, sizeof(*table->indexes));
        table->indexes->primary = table->indexes->unique = true;
        table->indexes->predicate = -1;
        table->indexes->columns = arena_calloc(arena, sizeof(*table->indexes->columns));
        table->indexes->column_count = 1;   /* the first column in both tables that have one */
    }
    op_end(&op);
}

static void two_tables_open(void)
{
    for (size_t i = 0; i < COUNT_OF(two_tables_sql); i++) {
        struct op op;
        struct arena arena;
        struct statement *statement;
        size_t tail;
        op_init(&op);
        arena_init(&arena);
        arena_init(&two_tables[i].arena);
        if (parse_statement(&op, &arena, two_tables_sql[i], strlen(two_tables_sql[i]), &tail, &statement))
            abort();
        two_tables_define(statement->create_table, &two_tables[i]);
        arena_free(&arena);
        op_end(&op);
    }
}

static void two_tables_close(void)
{
    for (size_t i = 0; i < COUNT_OF(two_tables); i++)
        arena_free(&two_tables[i].arena);
}

int catalog_find_table(struct op *op, struct session *session, const char *schema, const char *name, struct table_def **table)
{
    *table = NULL;
    if (!schema || strcmp(schema, "public") == 0)
        for (size_t i = 0; i < COUNT_OF(two_tables); i++)
            if (strcmp(two_tables[i].name, name) == 0)
                *table = &two_tables[i];
    two_tables_held += *table != NULL;
    return 0;
}

void catalog_release(struct table_def *table)
{
    two_tables_held -= table != NULL;
}

#endif
