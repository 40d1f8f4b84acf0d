/*
 * The front of the engine, held to what a real PostgreSQL answered (statements.txt, written by record-statements).
 *
 * A line is a statement, "=>" and the answer: "ok", the result's columns with their types, the parameters' types; or SQLSTATE, position,
 * message, detail, hint.  Behind "=|" stands an answer that differs from PostgreSQL's on purpose, such as a refusal by name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/sql/two_tables.h"

static void describe(struct arena *arena, const struct query *query, const struct bind_params *params, char *out, size_t size)
{
    size_t used = (size_t)snprintf(out, size, "ok|");

    for (int i = 0; i < query->target_count; i++)
        if (!query->targets[i].hidden)
            used += (size_t)snprintf(out + used, size - used, "%s:%s ", query->targets[i].name,
                                     type_format(arena, query->targets[i].expr->type));
    used += (size_t)snprintf(out + used, size - used, "|");
    for (int i = 0; i < params->count; i++)
        used += (size_t)snprintf(out + used, size - used, "%s ", type_format(arena, params->types[i]));
}

static void answer(const char *sql, char *out, size_t size)
{
    struct op op;
    struct arena arena;
    struct statement *statement;
    struct query *query = NULL;
    struct bind_params params = { 0 };
    size_t tail;

    op_init(&op);
    arena_init(&arena);
    int rc = parse_statement(&op, &arena, sql, strlen(sql), &tail, &statement);
    bool bound = !rc && statement && statement->kind <= STATEMENT_DELETE;
    if (bound)
        rc = bind_statement(&op, NULL, &arena, statement, &params, &query);
    if (rc)
        snprintf(out, size, "%s|%d|%s|%s|%s", op.error.sqlstate, op.error.position, op.error.message,
                 op.error.detail ? op.error.detail : "", op.error.hint ? op.error.hint : "");
    else if (bound)
        describe(&arena, query, &params, out, size);
    else
        snprintf(out, size, "ok");
    query_release(query);
    arena_free(&arena);
    op_end(&op);
    assert_int_equal(two_tables_held, 0);
}

/* The two characters \n stand for a line end. */
static void unescape(char *text)
{
    for (char *at = text; (at = strstr(at, "\\n")); at++) {
        at[0] = ' ';
        at[1] = '\n';
    }
}

static void every_statement_is_answered_as_recorded(void **state)
{
    static char line[65536], got[65536];
    char path[4096];
    const char *srcdir = getenv("srcdir");
    int failures = 0, count = 0;

    snprintf(path, sizeof path, "%s/tests/unit/sql/statements.txt", srcdir ? srcdir : ".");
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        char *wanted = strstr(line, " => ");
        if (!wanted)
            wanted = strstr(line, " =| ");
        if (line[0] == '#' || !wanted)
            continue;
        *wanted = 0;
        wanted += 4;
        wanted[strcspn(wanted, "\n")] = 0;
        unescape(line);
        answer(line, got, sizeof got);
        count++;
        if (strcmp(got, wanted) != 0) {
            failures++;
            print_message("%s\n    wanted %s\n    got    %s\n", line, wanted, got);
        }
    }
    fclose(file);
    assert_int_equal(failures, 0);
    assert_true(count > 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_statement_is_answered_as_recorded) };

    two_tables_open();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    two_tables_close();
    return failed;
}
