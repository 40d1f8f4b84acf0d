/*
 * test_key.c -- encoded keys are ordered by memcmp as the values are by type.
 *
 * Random rows of random column lists are encoded, compared both ways, and decoded again.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "btree/key.h"
#include "src/base/rng.h"
#include "src/os/os.h"

enum column_type { INT, DOUBLE, BOOL, BYTES, DECIMAL, TYPE_COUNT };
enum { COLUMN_MAX = 4, TEXT_MAX = 12, LIMB_MAX = 3 };

struct column {
    enum column_type type;
    int flags;
};

struct value {
    bool null;
    int64_t integer;
    double real;
    uint8_t text[TEXT_MAX];
    size_t text_len;
    enum key_decimal_kind kind;
    int32_t weight;
    uint32_t limbs[LIMB_MAX];
    size_t limb_count;
};

static uint64_t seed_of_run(void)
{
    const char *text = getenv("SEED");
    return text != NULL ? strtoull(text, NULL, 10) : os_clock_ns();
}

static uint64_t count_of_run(uint64_t usual)
{
    const char *text = getenv("COUNT");
    return text != NULL ? strtoull(text, NULL, 10) : usual;
}

static int64_t random_int(struct rng *rng)
{
    static const int64_t edges[] = {0, 1, -1, 255, 256, -256, INT64_MAX, INT64_MIN, INT64_MAX - 1, INT64_MIN + 1};
    if (rng_below(rng, 2) == 0)
        return edges[rng_below(rng, COUNT_OF(edges))];
    return (int64_t)(rng_next(rng) >> rng_below(rng, 64)) * (rng_below(rng, 2) ? 1 : -1);
}

static double random_double(struct rng *rng)
{
    double edges[] = {0.0, -0.0, 1.0, -1.0, INFINITY, -INFINITY, NAN, -NAN, 5e-324, -5e-324, 1.7976931348623157e308};
    if (rng_below(rng, 2) == 0)
        return edges[rng_below(rng, COUNT_OF(edges))];
    return (rng_double(rng) - 0.5) * pow(10, (double)rng_below(rng, 40) - 20);
}

static void random_decimal(struct rng *rng, struct value *value)
{
    static const uint32_t edges[] = {1, 2, 999999999, 500000000};
    value->kind = (enum key_decimal_kind)rng_below(rng, 6);
    if (value->kind != KEY_DECIMAL_NEGATIVE && value->kind != KEY_DECIMAL_POSITIVE)
        return;
    value->weight = (int32_t)rng_below(rng, 5) - 2;
    value->limb_count = 1 + rng_below(rng, LIMB_MAX);
    for (size_t i = 0; i < value->limb_count; i++)
        value->limbs[i] = rng_below(rng, 3) ? edges[rng_below(rng, COUNT_OF(edges))] : (uint32_t)rng_below(rng, 999999999) + 1;
    if (value->limb_count == 3 && rng_below(rng, 2))
        value->limbs[1] = 0;
}

static void random_value(struct rng *rng, const struct column *column, struct value *value)
{
    memset(value, 0, sizeof *value);
    value->null = rng_below(rng, 6) == 0;
    switch (column->type) {
    case INT:
        value->integer = random_int(rng);
        break;
    case BOOL:
        value->integer = (int64_t)rng_below(rng, 2);
        break;
    case DOUBLE:
        value->real = random_double(rng);
        break;
    case BYTES:
        value->text_len = rng_below(rng, TEXT_MAX + 1);
        for (size_t i = 0; i < value->text_len; i++) {
            static const uint8_t favourites[] = {0, 1, 2, 'a', 'b', 0xFE, 0xFF};
            value->text[i] = favourites[rng_below(rng, COUNT_OF(favourites))];
        }
        break;
    default:
        random_decimal(rng, value);
    }
}

static void put(struct key_builder *key, const struct column *column, const struct value *value)
{
    if (value->null)
        key_put_null(key, column->flags);
    else if (column->type == INT)
        key_put_int(key, value->integer, column->flags);
    else if (column->type == BOOL)
        key_put_bool(key, value->integer != 0, column->flags);
    else if (column->type == DOUBLE)
        key_put_double(key, value->real, column->flags);
    else if (column->type == BYTES)
        key_put_bytes(key, (struct bytes){value->text, value->text_len}, column->flags);
    else
        key_put_decimal(key, value->kind, value->weight, value->limbs, value->limb_count, column->flags);
}

static int compare_int(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_double(double a, double b)
{
    if (isnan(a) || isnan(b))
        return compare_int(isnan(a) != 0, isnan(b) != 0);
    return a < b ? -1 : a > b;
}

static int compare_text(const struct value *a, const struct value *b)
{
    size_t shorter = a->text_len < b->text_len ? a->text_len : b->text_len;
    int order = memcmp(a->text, b->text, shorter);
    return order != 0 ? order : compare_int((int64_t)a->text_len, (int64_t)b->text_len);
}

static int compare_decimal(const struct value *a, const struct value *b)
{
    if (a->kind != b->kind)
        return compare_int(a->kind, b->kind);
    int sign = a->kind == KEY_DECIMAL_NEGATIVE ? -1 : 1;
    if (a->weight != b->weight)
        return sign * compare_int(a->weight, b->weight);
    for (size_t i = 0; i < LIMB_MAX; i++) {
        uint32_t left = i < a->limb_count ? a->limbs[i] : 0, right = i < b->limb_count ? b->limbs[i] : 0;
        if (left != right)
            return sign * compare_int(left, right);
    }
    return 0;
}

static int compare(const struct column *column, const struct value *a, const struct value *b)
{
    if (a->null || b->null) {
        int order = compare_int(a->null, b->null);
        return column->flags & KEY_NULLS_FIRST ? -order : order;
    }
    int order = column->type == DOUBLE ? compare_double(a->real, b->real)
              : column->type == BYTES ? compare_text(a, b)
              : column->type == DECIMAL ? compare_decimal(a, b) : compare_int(a->integer, b->integer);
    return column->flags & KEY_DESCENDING ? -order : order;
}

static void assert_decodes_to(const struct column *columns, size_t count, const struct value *row, struct bytes encoded)
{
    struct key_reader reader = {encoded.data, encoded.data + encoded.len};
    for (size_t i = 0; i < count; i++) {
        struct value got;
        uint8_t text[256];
        uint32_t limbs[64];
        size_t len;
        bool null, truth;
        memset(&got, 0, sizeof got);
        assert_true(key_get_null(&reader, columns[i].flags, &null));
        assert_int_equal(null, row[i].null);
        if (null)
            continue;
        switch (columns[i].type) {
        case INT:
            assert_true(key_get_int(&reader, columns[i].flags, &got.integer));
            assert_true(got.integer == row[i].integer);
            break;
        case BOOL:
            assert_true(key_get_bool(&reader, columns[i].flags, &truth));
            assert_int_equal(truth, row[i].integer);
            break;
        case DOUBLE:
            assert_true(key_get_double(&reader, columns[i].flags, &got.real));
            assert_int_equal(compare_double(got.real, row[i].real), 0);
            break;
        case BYTES:
            assert_true(key_get_bytes(&reader, columns[i].flags, text, &len));
            assert_int_equal(len, row[i].text_len);
            assert_memory_equal(text, row[i].text, len);
            break;
        default:
            assert_true(key_get_decimal(&reader, columns[i].flags, &got.kind, &got.weight, limbs, &len));
            assert_int_equal(got.kind, row[i].kind);
            assert_int_equal(got.weight, row[i].weight);
            assert_int_equal(len, row[i].limb_count);
            assert_memory_equal(limbs, row[i].limbs, len * sizeof limbs[0]);
        }
    }
    assert_ptr_equal(reader.at, reader.end);
}

static int compare_encoded(struct bytes a, struct bytes b)
{
    int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return order != 0 ? order : compare_int((int64_t)a.len, (int64_t)b.len);
}

static void memcmp_orders_random_rows_as_their_types_do(void **state)
{
    uint64_t seed = seed_of_run(), count = count_of_run(200000);
    struct rng rng;
    struct op op;
    rng_seed(&rng, seed);
    op_init(&op);
    for (uint64_t n = 0; n < count; n++) {
        struct column columns[COLUMN_MAX];
        struct value a[COLUMN_MAX], b[COLUMN_MAX];
        uint8_t fixed_a[16], fixed_b[200];
        struct key_builder key_a, key_b;
        struct bytes encoded_a, encoded_b;
        size_t column_count = 1 + rng_below(&rng, COLUMN_MAX);
        int expected = 0;
        key_init(&key_a, fixed_a, sizeof fixed_a);
        key_init(&key_b, fixed_b, sizeof fixed_b);
        for (size_t i = 0; i < column_count; i++) {
            columns[i].type = (enum column_type)rng_below(&rng, TYPE_COUNT);
            columns[i].flags = (int)rng_below(&rng, 4);
            random_value(&rng, &columns[i], &a[i]);
            if (rng_below(&rng, 2))
                b[i] = a[i];
            else
                random_value(&rng, &columns[i], &b[i]);
            put(&key_a, &columns[i], &a[i]);
            put(&key_b, &columns[i], &b[i]);
            if (expected == 0)
                expected = compare(&columns[i], &a[i], &b[i]);
        }
        assert_int_equal(key_finish(&op, &key_a, &encoded_a), OP_OK);
        assert_int_equal(key_finish(&op, &key_b, &encoded_b), OP_OK);
        int got = compare_encoded(encoded_a, encoded_b);
        if ((got > 0) - (got < 0) != (expected > 0) - (expected < 0))
            fail_msg("wrong order in case %llu of seed %llu", (unsigned long long)n, (unsigned long long)seed);
        assert_decodes_to(columns, column_count, a, encoded_a);
        key_free(&key_a);
        key_free(&key_b);
    }
    op_end(&op);
    printf("test_key seed=%llu count=%llu failures=0\n", (unsigned long long)seed, (unsigned long long)count);
}

static void truncated_or_random_bytes_are_refused_without_reading_on(void **state)
{
    struct rng rng;
    rng_seed(&rng, seed_of_run());
    for (int n = 0; n < 100000; n++) {
        /* The heap block ends where the key ends, so that AddressSanitizer sees one byte too many. */
        size_t len = rng_below(&rng, 24);
        uint8_t *bytes = malloc(len + 1), out[64];
        uint32_t limbs[64];
        uint8_t *start = bytes + 1;
        for (size_t i = 0; i < len; i++)
            start[i] = (uint8_t)(rng_below(&rng, 2) ? rng_next(&rng) : rng_below(&rng, 3));
        for (int flags = 0; flags < 4; flags++) {
            struct key_reader reader = {start, start + len};
            bool truth;
            int64_t integer;
            double real;
            enum key_decimal_kind kind;
            int32_t weight;
            size_t got;
            (void)!key_get_null(&reader, flags, &truth);
            (void)!key_get_bool(&reader, flags, &truth);
            struct key_reader copy = reader;
            if (key_get_bytes(&copy, flags, out, &got))
                assert_true(got <= len);
            copy = reader;
            (void)!key_get_decimal(&copy, flags, &kind, &weight, limbs, &got);
            (void)!key_get_int(&reader, flags, &integer);
            (void)!key_get_double(&reader, flags, &real);
            assert_true(reader.at <= reader.end);
        }
        free(bytes);
    }
}

static void successor_follows_everything_with_the_prefix(void **state)
{
    static const uint8_t prefix[] = {1, 0x61, 0xFF, 0xFF};
    uint8_t fixed[8];
    struct key_builder key;
    key_init(&key, fixed, sizeof fixed);
    key_put_raw(&key, (struct bytes){prefix, sizeof prefix});
    assert_true(key_successor(&key));
    assert_int_equal(key.len, 2);
    assert_int_equal(key.data[1], 0x62);
    key_reset(&key);
    key_put_raw(&key, (struct bytes){prefix + 2, 2});
    assert_false(key_successor(&key));
}

static void builder_moves_to_the_heap_when_its_buffer_is_full(void **state)
{
    struct op op;
    struct key_builder key;
    struct bytes encoded;
    uint8_t fixed[10];
    op_init(&op);
    key_init(&key, fixed, sizeof fixed);
    for (int64_t i = 0; i < 100; i++)
        key_put_int(&key, i, 0);
    assert_int_equal(key_finish(&op, &key, &encoded), OP_OK);
    assert_int_equal(encoded.len, 900);
    struct key_reader reader = {encoded.data, encoded.data + encoded.len};
    for (int64_t i = 0; i < 100; i++) {
        bool null;
        int64_t value;
        assert_true(key_get_null(&reader, 0, &null) && !null);
        assert_true(key_get_int(&reader, 0, &value));
        assert_int_equal(value, i);
    }
    key_free(&key);
    key_init(&key, NULL, 0);
    assert_int_equal(key_finish(&op, &key, &encoded), OP_OK);
    assert_non_null(encoded.data);
    key_free(&key);
    op_end(&op);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memcmp_orders_random_rows_as_their_types_do),
        cmocka_unit_test(truncated_or_random_bytes_are_refused_without_reading_on),
        cmocka_unit_test(successor_follows_everything_with_the_prefix),
        cmocka_unit_test(builder_moves_to_the_heap_when_its_buffer_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
