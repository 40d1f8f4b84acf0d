/*
 * Any bytes as a statement: parsed and bound, they give a result or an error with a position inside of the text.
 *
 * An entry for libFuzzer (clang -fsanitize=fuzzer,address tests/fuzz/sql.c ...); test_random_statements drives it in make check.
 */
#include "tests/unit/sql/two_tables.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool open;
    struct op op;
    struct arena arena;
    struct statement *statement;
    struct query *query = NULL;
    struct bind_params params = { 0 };
    size_t tail = 0;

    if (!open)
        two_tables_open();
    open = true;
    op_init(&op);
    arena_init(&arena);
    int rc = parse_statement(&op, &arena, (const char *)data, size, &tail, &statement);
    if (tail > size)
        abort();
    if (!rc && statement && statement->kind <= STATEMENT_DELETE)
        rc = bind_statement(&op, NULL, &arena, statement, &params, &query);
    if ((rc != 0) != op_failed(&op) || op.error.position < 0 || (size_t)op.error.position > size + 1)
        abort();
    query_release(query);
    arena_free(&arena);
    op_end(&op);
    if (two_tables_held != 0)
        abort();
    return 0;
}
