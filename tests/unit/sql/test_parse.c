/*
 * Lexer and grammar by themselves: cutting a script into statements, the shape of trees, positions, depth.
 *
 * What is wrong and how it is reported is tested by test_statements.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/ast.h"
#include "src/base/mem.h"

static struct op op;
static struct arena arena;
static size_t tail;

static struct statement *parse(const char *sql)
{
    struct statement *statement;

    op_reset(&op);
    if (parse_statement(&op, &arena, sql, strlen(sql), &tail, &statement))
        return NULL;
    return statement;
}

static const struct ast_expr *first_target(const char *sql)
{
    struct statement *statement = parse(sql);

    assert_non_null(statement);
    assert_int_equal(statement->kind, STATEMENT_SELECT);
    return statement->select->targets->expr;
}

/* ---- scripts ---- */

static void a_script_is_cut_at_its_semicolons(void **state)
{
    static const char script[] = "select ';' ; -- a ; comment\n select $$;$$ /* ; */;;select 1";
    static const size_t ends[] = { 12, 50, 51, 59 };
    size_t at = 0;

    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        struct statement *statement;
        op_reset(&op);
        assert_int_equal(parse_statement(&op, &arena, script + at, strlen(script + at), &tail, &statement), 0);
        at += tail;
        assert_int_equal(at, ends[i]);
        assert_true((statement == NULL) == (i == 2));
    }
}

static void a_wrong_statement_ends_at_its_semicolon_too(void **state)
{
    assert_null(parse("select from where; select 1"));
    assert_int_equal(tail, 18);
    assert_null(parse("create view v as select ';'; select 1"));
    assert_int_equal(tail, 28);
    assert_null(parse("select 1 1;select 2"));
    assert_int_equal(tail, 11);
    assert_null(parse("select 'open; select 1"));
    assert_int_equal(tail, 22);
}

static void texts_without_a_statement_give_none(void **state)
{
    static const char *const texts[] = { "", "  \n\t", "-- nothing", "/* nothing /* at */ all */", ";" };

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        assert_null(parse(texts[i]));
        assert_false(op_failed(&op));
        assert_int_equal(tail, strlen(texts[i]));
    }
}

static void positions_count_characters_and_not_bytes(void **state)
{
    assert_null(parse("select '\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80', \xc3\xa4 from from"));
    assert_string_equal(op.error.sqlstate, "42601");
    assert_int_equal(op.error.position, 22);
}

static void text_that_is_not_utf8_is_refused(void **state)
{
    static const char *const texts[] = { "select '\xff'", "select '\xc3'", "select \xed\xa0\x80", "select '\xf4\x90\x80\x80'", "\x80" };
    struct statement *statement;

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        assert_null(parse(texts[i]));
        assert_string_equal(op.error.sqlstate, "22021");
    }
    op_reset(&op);
    assert_int_equal(parse_statement(&op, &arena, "select 'a\0b'", 12, &tail, &statement), OP_FAILED);
    assert_string_equal(op.error.sqlstate, "22021");
}

/* ---- values ---- */

static void strings_have_their_values(void **state)
{
    static const struct { const char *sql, *value; } cases[] = {
        { "select 'it''s'", "it's" }, { "select 'a'\n  'b' -- c\n 'd'", "abd" }, { "select e'a\\n\\x41\\101\\u00e4\\\\'", "a\nAA\xc3\xa4\\" },
        { "select e'\\ud83d\\ude00'", "\xf0\x9f\x98\x80" }, { "select $$it's$$", "it's" }, { "select $q$a$$b$q$", "a$$b" },
        { "select u&'d\\0061t\\+000061'", "data" }, { "select u&'d!0061' uescape '!'", "da" }, { "select '\\'", "\\" }, { "select ''", "" },
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct ast_expr *expr = first_target(cases[i].sql);
        assert_int_equal(expr->kind, AST_STRING);
        assert_string_equal(expr->text, cases[i].value);
        assert_int_equal(expr->len, strlen(cases[i].value));
    }
}

static void names_are_folded_unless_quoted_and_cut_at_63_bytes(void **state)
{
    const struct ast_expr *expr = first_target("select AbC.\"De\"\"F\"");

    assert_string_equal(expr->names->text, "abc");
    assert_string_equal(expr->names->next->text, "De\"F");
    expr = first_target("select \xc3\x84" "BC");
    assert_string_equal(expr->names->text, "\xc3\x84" "bc");
    expr = first_target("select a23456789012345678901234567890123456789012345678901234567890x\xc3\xa4z");
    assert_int_equal(strlen(expr->names->text), 63);
    expr = first_target("select a2345678901234567890123456789012345678901234567890123456789012\xc3\xa4z");
    assert_int_equal(strlen(expr->names->text), 62);
}

static void operators_bind_as_in_postgresql(void **state)
{
    const struct ast_expr *expr = first_target("select a + b * c");

    assert_string_equal(expr->call.name, "+");
    assert_string_equal(expr->right->call.name, "*");
    expr = first_target("select not a = b");
    assert_int_equal(expr->kind, AST_NOT);
    expr = first_target("select - a ^ b");
    assert_string_equal(expr->call.name, "^");
    expr = first_target("select a || b < c and d or e");
    assert_int_equal(expr->kind, AST_OR);
    assert_int_equal(expr->args->kind, AST_AND);
    assert_string_equal(expr->args->args->call.name, "<");
    expr = first_target("select -1::int");
    assert_int_equal(expr->kind, AST_OPERATOR);
    expr = first_target("select a*-1");
    assert_string_equal(expr->call.name, "*");
    expr = first_target("select a @- 1");
    assert_string_equal(expr->call.name, "@-");
    expr = first_target("select a between 1 and 2 and b");
    assert_int_equal(expr->kind, AST_AND);
}

static void and_chains_are_flat(void **state)
{
    const struct ast_expr *expr = first_target("select a and b and (c and d) and e");

    assert_int_equal(expr->kind, AST_AND);
    assert_int_equal(expr->arg_count, 4);
}

static void words_are_keywords_only_where_they_must_be(void **state)
{
    assert_non_null(parse("select year, day, zone, first, session, set, values as values, \"select\" as select, user_id position from t"));
    assert_non_null(parse("create table year (month int, day date, key text, level numeric, begin int, abort int, \"end\" int)"));
    assert_non_null(parse("select key key, level level from abort abort"));
    assert_null(parse("select end"));
    assert_null(parse("select 1 year"));
    assert_null(parse("create table select (a int)"));
}

/* ---- statements ---- */

static void create_table_collects_columns_and_keys(void **state)
{
    struct statement *statement = parse("create table if not exists s.t (a int not null default 1 + 2, b varchar(10) unique, "
                                        "c numeric(10,-2), constraint k primary key (a, b))");

    assert_non_null(statement);
    const struct ast_create_table *create = statement->create_table;
    assert_true(create->if_not_exists);
    assert_string_equal(create->table->schema, "s");
    assert_string_equal(create->columns->default_sql, "1 + 2");
    assert_true(create->columns->not_null);
    assert_string_equal(create->columns->type->name, "int4");
    assert_int_equal(create->columns->next->type->modifiers[0], 10);
    assert_int_equal(create->columns->next->next->type->modifiers[1], -2);
    assert_string_equal(create->constraints->columns->text, "b");
    assert_int_equal(create->constraints->kind, AST_UNIQUE);
    assert_string_equal(create->constraints->next->name, "k");
    assert_int_equal(create->constraints->next->kind, AST_PRIMARY_KEY);
    assert_string_equal(create->constraints->next->columns->next->text, "b");
}

static void create_index_knows_order_and_nulls(void **state)
{
    const struct ast_create_index *index = parse("create unique index on t (a desc, b nulls first, c desc nulls last)")->create_index;

    assert_null(index->name);
    assert_true(index->unique);
    assert_true(index->columns->descending && index->columns->nulls_first);
    assert_true(!index->columns->next->descending && index->columns->next->nulls_first);
    assert_true(index->columns->next->next->descending && !index->columns->next->next->nulls_first);
}

static void copy_options_come_alike_from_both_spellings(void **state)
{
    static const char *const texts[] = {
        "copy t (a) from '/x' with delimiter ';' null 'n' csv header force not null a, b",
        "copy t (a) from '/x' (delimiter ';', null 'n', format csv, header, force_not_null (a, b))",
    };
    static const char *const names[] = { "delimiter", "null", "format", "header", "force_not_null" };

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        const struct ast_copy *copy = parse(texts[i])->copy;
        size_t n = 0;
        assert_true(copy->from);
        assert_string_equal(copy->file, "/x");
        for (const struct ast_option *option = copy->options; option; option = option->next)
            assert_string_equal(option->name, names[n++]);
        assert_int_equal(n, COUNT_OF(names));
    }
    assert_null(parse("copy t from stdin")->copy->file);
    assert_non_null(parse("copy (select 1) to stdout csv")->copy->query);
}

static void transactions_have_their_modes(void **state)
{
    const struct ast_transaction *transaction = parse("begin isolation level repeatable read, read only deferrable")->transaction;

    assert_int_equal(transaction->modes.isolation, AST_REPEATABLE_READ);
    assert_int_equal(transaction->modes.read_only, AST_CHOICE_YES);
    assert_int_equal(transaction->modes.deferrable, AST_CHOICE_YES);
    assert_true(parse("commit and chain")->transaction->chain);
    assert_string_equal(parse("rollback to a")->transaction->savepoint, "a");
    assert_string_equal(parse("set local work_mem to '4MB'")->set->values->text, "4MB");
    assert_string_equal(parse("set x = -1.5")->set->values->text, "-1.5");
    assert_int_equal(parse("set x to default")->set->kind, AST_SET_DEFAULT);
    assert_null(parse("show all")->show->name);
    assert_string_equal(parse("reset time zone")->show->name, "timezone");
}

static void what_is_not_supported_is_refused_by_name(void **state)
{
    static const struct { const char *sql, *message; } cases[] = {
        { "create view v as select 1", "CREATE VIEW is not supported" },
        { "create or replace function f() returns int", "CREATE FUNCTION is not supported" },
        { "create temp table t (a int)", "CREATE TEMPORARY TABLE is not supported" },
        { "create materialized view v as select 1", "CREATE MATERIALIZED VIEW is not supported" },
        { "drop schema s", "DROP SCHEMA is not supported" },
        { "with x as (select 1) select * from x", "WITH is not supported" },
        { "select sum(a) over (order by b) from t", "OVER (a window function) is not supported" },
        { "select * from a full outer join b on true", "FULL JOIN is not supported" },
        { "create table t as select 1", "AS here is not supported" },
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_null(parse(cases[i].sql));
        assert_string_equal(op.error.sqlstate, "0A000");
        assert_string_equal(op.error.message, cases[i].message);
    }
}

/* ---- depth and memory ---- */

static char *repeat(const char *open, int n, const char *middle, const char *close)
{
    char *text = malloc((strlen(open) + strlen(close)) * (size_t)n + strlen(middle) + 16), *at = text;

    at += sprintf(at, "select ");
    for (int i = 0; i < n; i++)
        at += sprintf(at, "%s", open);
    at += sprintf(at, "%s", middle);
    for (int i = 0; i < n; i++)
        at += sprintf(at, "%s", close);
    return text;
}

static void parentheses_may_be_deep(void **state)
{
    char *text = repeat("(", 20000, "1", ")");

    assert_non_null(parse(text));
    free(text);
    text = repeat("(select ", 5000, "1", ")");
    assert_non_null(parse(text));
    free(text);
    text = repeat("case when true then ", 5000, "1", " end");
    assert_non_null(parse(text));
    free(text);
}

static void every_allocation_may_fail(void **state)
{
    static const char sql[] = "insert into t (a, b) select a + 1, 'x' || b from u left join v using (a) where a in (1, 2) and b is null "
                              "group by 1 order by 2 limit 3 returning *";
    struct arena fresh;
    struct statement *statement;

    for (uint64_t n = 1; n < 10000; n++) {
        struct op own;
        op_init(&own);
        arena_init(&fresh);
        (void)mem_fail_at(n);
        int rc = parse_statement(&own, &fresh, sql, strlen(sql), &tail, &statement);
        bool reached = mem_fail_at(0) >= n;
        if (rc)
            assert_string_equal(own.error.sqlstate, "53200");
        arena_free(&fresh);
        op_end(&own);
        if (!reached)
            return;
    }
    fail();
}

static int set_up(void **state)
{
    op_init(&op);
    arena_init(&arena);
    return 0;
}

static int tear_down(void **state)
{
    arena_free(&arena);
    op_end(&op);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_script_is_cut_at_its_semicolons, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_wrong_statement_ends_at_its_semicolon_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(texts_without_a_statement_give_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(positions_count_characters_and_not_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(text_that_is_not_utf8_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(strings_have_their_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_are_folded_unless_quoted_and_cut_at_63_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(operators_bind_as_in_postgresql, set_up, tear_down),
        cmocka_unit_test_setup_teardown(and_chains_are_flat, set_up, tear_down),
        cmocka_unit_test_setup_teardown(words_are_keywords_only_where_they_must_be, set_up, tear_down),
        cmocka_unit_test_setup_teardown(create_table_collects_columns_and_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(create_index_knows_order_and_nulls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(copy_options_come_alike_from_both_spellings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(transactions_have_their_modes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_supported_is_refused_by_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(parentheses_may_be_deep, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_allocation_may_fail, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
