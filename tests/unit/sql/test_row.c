/*
 * Rows as records and back: random tables, random rows, with every subset of columns wanted and from indexes as well.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sql/row.h"
#include "src/base/rng.h"

enum { COLUMNS_MAX = 12 };

static uint64_t seed;
static int count;

static const Oid types[] = {TYPE_BOOL, TYPE_INT2, TYPE_INT4, TYPE_INT8, TYPE_FLOAT4, TYPE_FLOAT8, TYPE_TEXT, TYPE_DATE, TYPE_TIMESTAMP};

static void random_value(struct rng *rng, struct arena *arena, Oid type, struct datum *value)
{
    static const int bits[] = {[TYPE_INT2] = 16, [TYPE_INT4] = 32};
    *value = (struct datum){0};
    if (type == TYPE_BOOL) {
        value->b = rng_below(rng, 2) != 0;
    } else if (type_form(type) == FORM_DOUBLE) {
        value->d = type == TYPE_FLOAT4 ? (double)(float)(rng_double(rng) * 1000 - 500) : rng_double(rng) * 1e9;
    } else if (type_form(type) == FORM_INT64) {
        int width = type == TYPE_DATE ? 32 : type == TYPE_INT2 || type == TYPE_INT4 ? bits[type] : 64;
        value->i = (int64_t)rng_next(rng) >> (64 - width);
    } else {
        size_t len = rng_below(rng, rng_below(rng, 10) ? 12 : 400);
        uint8_t *text = arena_alloc(arena, len + 1);
        assert_non_null(text);
        for (size_t i = 0; i < len; i++)
            text[i] = (uint8_t)rng_below(rng, 256);
        value->s = (struct bytes){text, len};
    }
}

static void assert_same(enum type_form form, const struct datum *a, const struct datum *b)
{
    assert_int_equal(a->null, b->null);
    if (a->null)
        return;
    switch (form) {
    case FORM_BOOL: assert_int_equal(a->b, b->b); break;
    case FORM_INT64: assert_true(a->i == b->i); break;
    case FORM_DOUBLE: assert_memory_equal(&a->d, &b->d, 8); break;
    case FORM_BYTES:
        assert_int_equal(a->s.len, b->s.len);
        if (a->s.len)
            assert_memory_equal(a->s.data, b->s.data, a->s.len);
        break;
    }
}

struct random_table {
    struct table_def def;
    struct column_def columns[COLUMNS_MAX];
    struct index_def indexes[2];
    struct index_column key[COLUMNS_MAX], second[COLUMNS_MAX];
};

static void random_index(struct rng *rng, int columns, struct index_def *index, struct index_column *list, bool primary)
{
    bool used[COLUMNS_MAX] = {false};
    index->columns = list;
    index->column_count = 0;
    for (int wanted = 1 + (int)rng_below(rng, 3); wanted > 0; wanted--) {
        int column = (int)rng_below(rng, (uint64_t)columns);
        if (used[column])
            continue;
        used[column] = true;
        list[index->column_count++] = (struct index_column){column, !primary && rng_below(rng, 2), !primary && rng_below(rng, 2)};
    }
}

static void random_table(struct rng *rng, struct random_table *table)
{
    memset(table, 0, sizeof *table);
    table->def.name = "t";
    table->def.columns = table->columns;
    table->def.indexes = table->indexes;
    table->def.column_count = 1 + (int)rng_below(rng, COLUMNS_MAX);
    table->def.has_primary = rng_below(rng, 3) > 0;
    table->def.index_count = 2;
    for (int i = 0; i < table->def.column_count; i++)
        table->columns[i] = (struct column_def){.name = "c", .number = i + 1, .type = {types[rng_below(rng, COUNT_OF(types))], -1}};
    table->indexes[0] = (struct index_def){.unique = true, .primary = table->def.has_primary, .predicate = -1};
    random_index(rng, table->def.column_count, &table->indexes[0], table->key, true);
    table->indexes[1] = (struct index_def){.unique = rng_below(rng, 2) != 0, .predicate = -1};
    random_index(rng, table->def.column_count, &table->indexes[1], table->second, false);
    row_settle(&table->def);
}

/* Decodes and compares the wanted columns. */
static void check_decoded(struct op *op, const struct table_def *def, const struct index_def *index, const int *wanted, int wanted_count,
                          struct bytes key, struct bytes value, const struct datum *values)
{
    struct row_reader *reader;
    struct vector vectors[COLUMNS_MAX];
    assert_int_equal(row_reader_make(op, &op->arena, def, index, wanted, wanted_count, &reader), 0);
    for (int i = 0; i < wanted_count; i++)
        assert_int_equal(vector_init(op, &op->arena, type_form(def->columns[wanted[i]].type.oid), &vectors[i]), 0);
    assert_int_equal(row_decode(op, reader, key, value, &op->arena, vectors, 3), 0);
    for (int i = 0; i < wanted_count; i++) {
        struct datum got;
        vector_get(&vectors[i], 3, &got);
        assert_same(vectors[i].form, &values[wanted[i]], &got);
    }
}

static void check_row(struct op *op, struct rng *rng, const struct table_def *def)
{
    struct datum values[COLUMNS_MAX];
    struct key_builder key, entry;
    struct row_buffer buffer = {0};
    struct bytes k, e, primary, none = {(const uint8_t *)"", 0};
    int wanted[COLUMNS_MAX], wanted_count = 0;

    for (int i = 0; i < def->column_count; i++) {
        random_value(rng, &op->arena, def->columns[i].type.oid, &values[i]);
        bool in_key = false;
        for (int c = 0; def->has_primary && c < def->indexes[0].column_count; c++)
            in_key |= def->indexes[0].columns[c].column == i;
        values[i].null = !in_key && rng_below(rng, 4) == 0;
        if (rng_below(rng, 2))
            wanted[wanted_count++] = i;
    }
    key_init(&key, NULL, 0);
    key_init(&entry, NULL, 0);
    assert_int_equal(row_encode_key(op, def, NULL, values, none, 77, &key), 0);
    assert_int_equal(key_finish(op, &key, &k), 0);
    assert_int_equal(row_encode_value(op, def, values, &buffer), 0);
    struct bytes v = {buffer.data, buffer.len};
    check_decoded(op, def, NULL, wanted, wanted_count, k, v, values);

    const struct index_def *index = &def->indexes[1];
    assert_int_equal(row_encode_key(op, def, index, values, k, 0, &entry), 0);
    assert_int_equal(key_finish(op, &entry, &e), 0);
    struct bytes entry_value = index->unique ? k : none;
    assert_int_equal(row_primary_key(op, def, index, e, entry_value, &op->arena, &primary), 0);
    assert_int_equal(primary.len, k.len);
    assert_memory_equal(primary.data, k.data, k.len);
    if (row_index_covers(def, index, wanted, wanted_count))
        check_decoded(op, def, index, wanted, wanted_count, e, entry_value, values);

    /* Bytes cut short are an error or something else, but never read beyond their end. */
    struct row_reader *reader;
    struct vector vectors[COLUMNS_MAX];
    uint8_t *cut = malloc(v.len);
    size_t len = rng_below(rng, v.len + 1);
    memcpy(cut, v.data, len);
    cut = realloc(cut, len ? len : 1);
    assert_int_equal(row_reader_make(op, &op->arena, def, NULL, wanted, wanted_count, &reader), 0);
    for (int i = 0; i < wanted_count; i++)
        assert_int_equal(vector_init(op, &op->arena, type_form(def->columns[wanted[i]].type.oid), &vectors[i]), 0);
    if (row_decode(op, reader, k, (struct bytes){cut, len}, &op->arena, vectors, 0) != 0)
        assert_string_equal(op->error.sqlstate, "XX001");
    free(cut);
    row_buffer_free(&buffer);
    key_free(&key);
    key_free(&entry);
}

static void random_rows_survive_their_records(void **state)
{
    struct rng rng;
    struct op op;
    (void)state;
    rng_seed(&rng, seed);
    op_init(&op);
    for (int i = 0; i < count; i++) {
        struct random_table table;
        random_table(&rng, &table);
        for (int r = 0; r < 5; r++) {
            check_row(&op, &rng, &table.def);
            op_reset(&op);
        }
    }
    op_end(&op);
}

/* isolde-format(5) shows the bytes of some rows, between ".\" rows" and ".\" end": "HEX HEX ...   the row". */
static void compare_row(struct op *op, const struct table_def *def, char *line)
{
    static const struct datum rows[2][5] = {
        {{.i = 1}, {.i = 7}, {.s = {(const uint8_t *)"ab", 2}}, {.d = 1.5}, {.b = true}},
        {{.i = 1}, {.null = true}, {.s = {(const uint8_t *)"", 0}}, {.null = true}, {.b = true}},
    };
    struct row_buffer buffer = {0};
    char *what = strchr(line, '('), shown[200] = "";

    assert_non_null(what);
    assert_int_equal(row_encode_value(op, def, rows[strstr(what, "NULL") != NULL], &buffer), 0);
    for (size_t i = 0; i < buffer.len; i++)
        snprintf(shown + 3 * i, 4, "%02X ", buffer.data[i]);
    if (strncmp(line, shown, 3 * buffer.len) != 0 || strspn(line + 3 * buffer.len, " ") != (size_t)(what - line) - 3 * buffer.len)
        fail_msg("the row is %s, and the page says %s", shown, line);
    row_buffer_free(&buffer);
}

static void rows_have_the_bytes_that_the_manual_page_shows(void **state)
{
    static struct column_def columns[] = {
        {.name = "id", .number = 1, .type = {TYPE_INT4, -1}}, {.name = "n", .number = 2, .type = {TYPE_INT4, -1}},
        {.name = "s", .number = 3, .type = {TYPE_TEXT, -1}}, {.name = "d", .number = 4, .type = {TYPE_FLOAT8, -1}},
        {.name = "b", .number = 5, .type = {TYPE_BOOL, -1}},
    };
    static struct index_column key[] = {{0, false, false}};
    static struct index_def primary[] = {{.unique = true, .primary = true, .predicate = -1, .columns = key, .column_count = 1}};
    struct table_def def = {.name = "t", .columns = columns, .column_count = 5, .has_primary = true, .indexes = primary, .index_count = 1};
    const char *source = getenv("srcdir");
    char path[4096], line[1024];
    bool rows = false;
    int compared = 0;
    struct op op;

    (void)state;
    op_init(&op);
    row_settle(&def);
    snprintf(path, sizeof path, "%s/man/isolde-format.5", source ? source : ".");
    FILE *page = fopen(path, "r");
    assert_non_null(page);
    while (fgets(line, sizeof line, page)) {
        if (strncmp(line, ".\\\"", 3) == 0)
            rows = strncmp(line + 3, " rows", 5) == 0;
        else if (rows && ++compared)
            compare_row(&op, &def, line);
    }
    fclose(page);
    assert_int_equal(compared, 2);
    op_end(&op);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_rows_survive_their_records),
        cmocka_unit_test(rows_have_the_bytes_that_the_manual_page_shows),
    };
    seed = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : 1;
    count = getenv("COUNT") ? atoi(getenv("COUNT")) : 1000;
    printf("rows seed=%llu\n", (unsigned long long)seed);
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    printf("rows seed=%llu count=%d failures=%d\n", (unsigned long long)seed, count, failures);
    return failures != 0;
}
