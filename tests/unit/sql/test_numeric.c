/*
 * Decimals: random arithmetic against 128-bit integers and against the laws that hold for numbers of any size; keys;
 * sums.
 *
 * SEED= and COUNT= repeat a run.
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

#include "sql/numeric.h"
#include "src/base/rng.h"

static struct op op;
static struct rng rng;
static uint64_t seed, count = 20000;

static struct bytes parse(const char *text)
{
    struct bytes value;
    assert_int_equal(numeric_parse(&op, &op.arena, (struct bytes){ (const uint8_t *)text, strlen(text) }, &value), 0);
    assert_true(numeric_is_valid(value));
    return value;
}

static const char *print(struct bytes value)
{
    struct bytes text;
    assert_true(numeric_is_valid(value));
    assert_int_equal(numeric_print(&op, &op.arena, value, &text), 0);
    return arena_strndup(&op.arena, (const char *)text.data, text.len);
}

#define COMPUTE(...) COMPUTE_NAMED(__COUNTER__, __VA_ARGS__)
#define COMPUTE_NAMED(id, ...) COMPUTE_INTO(id, __VA_ARGS__)
#define COMPUTE_INTO(id, function, ...)                                                                                \
    ({                                                                                                                 \
        struct bytes out_##id;                                                                                         \
        assert_int_equal(function(&op, &op.arena, __VA_ARGS__, &out_##id), 0);                                         \
        out_##id;                                                                                                      \
    })

/* Up to `digits` digits, many zeros and nines among them, with a point somewhere. */
static struct bytes random_number(int digits)
{
    char text[256], *at = text;
    int before = (int)rng_below(&rng, (uint64_t)digits) + 1, behind = (int)rng_below(&rng, (uint64_t)digits);
    if (rng_below(&rng, 2))
        *at++ = '-';
    for (int i = 0; i < before + behind; i++) {
        if (i == before)
            *at++ = '.';
        uint64_t die = rng_below(&rng, 4);
        *at++ = (char)('0' + (die == 0 ? 0 : die == 1 ? 9 : (int)rng_below(&rng, 10)));
    }
    *at = '\0';
    return parse(text);
}

static int64_t random_int(void) { return (int64_t)rng_next(&rng) >> rng_below(&rng, 64); }

static struct bytes of_int(int64_t value) { return COMPUTE(numeric_from_int64, value); }

static void integers_agree_with_128_bits(void **state)
{
    for (uint64_t i = 0; i < count; i++) {
        int64_t a = random_int(), b = random_int(), back;
        struct bytes x = of_int(a), y = of_int(b);
        assert_int_equal(numeric_compare(COMPUTE(numeric_add, x, y), COMPUTE(numeric_from_int128, (__int128)a + b)), 0);
        assert_int_equal(numeric_compare(COMPUTE(numeric_subtract, x, y),
                                         COMPUTE(numeric_from_int128, (__int128)a - b)), 0);
        assert_int_equal(numeric_compare(COMPUTE(numeric_multiply, x, y),
                                         COMPUTE(numeric_from_int128, (__int128)a * b)), 0);
        assert_int_equal(numeric_compare(x, y), (a > b) - (a < b));
        if (b) {
            assert_int_equal(numeric_compare(COMPUTE(numeric_divide_integer, x, y),
                                             COMPUTE(numeric_from_int128, (__int128)a / b)), 0);
            assert_int_equal(numeric_compare(COMPUTE(numeric_modulo, x, y),
                                             COMPUTE(numeric_from_int128, (__int128)a % b)), 0);
        }
        assert_true(numeric_to_int64(x, &back));
        assert_true(back == a);
        op_reset(&op);
    }
}

static void large_numbers_keep_the_laws_of_arithmetic(void **state)
{
    for (uint64_t i = 0; i < count; i++) {
        int digits = (int)rng_below(&rng, 90) + 1;
        struct bytes a = random_number(digits), b = random_number(digits), c = random_number(digits);
        assert_int_equal(numeric_compare(parse(print(a)), a), 0);
        struct bytes sum = COMPUTE(numeric_add, a, b);
        assert_int_equal(numeric_compare(COMPUTE(numeric_subtract, sum, b), a), 0);
        /* (a + b) * c = a * c + b * c */
        struct bytes left = COMPUTE(numeric_multiply, sum, c);
        struct bytes right = COMPUTE(numeric_add, COMPUTE(numeric_multiply, a, c), COMPUTE(numeric_multiply, b, c));
        assert_string_equal(print(left), print(right));
        assert_true(numeric_hash(left) == numeric_hash(right));
        if (numeric_sign(b) != 0) {
            /* a = (a div b) * b + a mod b, and |a mod b| < |b| */
            struct bytes rest = COMPUTE(numeric_modulo, a, b), whole = COMPUTE(numeric_divide_integer, a, b);
            assert_int_equal(numeric_compare(COMPUTE(numeric_add, COMPUTE(numeric_multiply, whole, b), rest), a), 0);
            assert_true(numeric_compare(COMPUTE(numeric_absolute, rest), COMPUTE(numeric_absolute, b)) < 0);
            assert_true(numeric_sign(rest) == 0 || numeric_sign(rest) == numeric_sign(a));
            /* |a / b - q| is at most half a unit of q's last place */
            struct bytes q = COMPUTE(numeric_divide, a, b);
            struct numeric_view view;
            numeric_view(q, &view);
            struct bytes error = COMPUTE(numeric_absolute, COMPUTE(numeric_subtract, a,
                                                                   COMPUTE(numeric_multiply, q, b)));
            char unit[64];
            snprintf(unit, sizeof unit, "0.5e-%d", view.scale);
            struct bytes bound = COMPUTE(numeric_multiply, COMPUTE(numeric_absolute, b), parse(unit));
            assert_true(numeric_compare(error, bound) <= 0);
        }
        op_reset(&op);
    }
}

static void rounding_lies_within_half_a_unit(void **state)
{
    for (uint64_t i = 0; i < count; i++) {
        struct bytes a = random_number(40);
        int scale = (int)rng_below(&rng, 60) - 30;
        struct bytes rounded = COMPUTE(numeric_round, a, scale, NUMERIC_HALF_AWAY);
        struct bytes cut = COMPUTE(numeric_round, a, scale, NUMERIC_TRUNCATE);
        char half[64];
        snprintf(half, sizeof half, "5e%d", -scale - 1);
        struct bytes distance = COMPUTE(numeric_absolute, COMPUTE(numeric_subtract, a, rounded));
        assert_true(numeric_compare(distance, parse(half)) <= 0);
        assert_true(numeric_compare(COMPUTE(numeric_absolute, cut), COMPUTE(numeric_absolute, a)) <= 0);
        assert_true(numeric_compare(COMPUTE(numeric_round, a, 0, NUMERIC_FLOOR), a) <= 0);
        assert_true(numeric_compare(COMPUTE(numeric_round, a, 0, NUMERIC_CEILING), a) >= 0);
        op_reset(&op);
    }
}

static void keys_sort_like_values_and_read_back(void **state)
{
    static const char *const special[] = { "NaN", "Infinity", "-Infinity", "0", "0.00" };
    for (uint64_t i = 0; i < count; i++) {
        struct bytes values[2], encoded[2];
        struct key_builder keys[2];
        for (int j = 0; j < 2; j++) {
            uint64_t die = rng_below(&rng, 40);
            values[j] = die < COUNT_OF(special) ? parse(special[die]) : random_number((int)rng_below(&rng, 40) + 1);
            key_init(&keys[j], NULL, 0);
            numeric_put_key(&keys[j], values[j], 0);
            assert_int_equal(key_finish(&op, &keys[j], &encoded[j]), 0);
        }
        size_t shorter = encoded[0].len < encoded[1].len ? encoded[0].len : encoded[1].len;
        int order = memcmp(encoded[0].data, encoded[1].data, shorter);
        if (order == 0)
            order = (encoded[0].len > encoded[1].len) - (encoded[0].len < encoded[1].len);
        int expected = numeric_compare(values[0], values[1]);
        assert_int_equal((order > 0) - (order < 0), (expected > 0) - (expected < 0));

        struct key_reader reader = { encoded[0].data, encoded[0].data + encoded[0].len };
        enum key_decimal_kind kind;
        uint32_t limbs[64];
        int32_t weight;
        size_t limb_count;
        bool null;
        struct numeric_view view;
        numeric_view(values[0], &view);
        assert_true(key_get_null(&reader, 0, &null) && !null);
        assert_true(key_get_decimal(&reader, 0, &kind, &weight, limbs, &limb_count));
        struct bytes back = COMPUTE(numeric_from_key, kind, weight, limbs, limb_count, view.scale);
        assert_string_equal(print(back), print(values[0]));
        back = COMPUTE(numeric_from_key, kind, weight, limbs, limb_count, -1);
        assert_int_equal(numeric_compare(back, values[0]), 0);
        key_free(&keys[0]);
        key_free(&keys[1]);
        op_reset(&op);
    }
}

static void long_sums_equal_single_additions(void **state)
{
    struct arena groups;
    arena_init(&groups);
    for (uint64_t i = 0; i < count / 50; i++) {
        struct numeric_sum sum = { .count = 0 };
        struct bytes total = of_int(0), result;
        int digits = (int)rng_below(&rng, 60) + 1;
        for (int j = 0; j < 40; j++) {
            struct bytes value = random_number(digits);
            total = COMPUTE(numeric_add, total, value);
            assert_int_equal(numeric_sum_add(&op, &groups, &sum, value), 0);
        }
        assert_int_equal(numeric_sum_result(&op, &op.arena, &sum, &result), 0);
        assert_string_equal(print(result), print(total));
        op_reset(&op);
        arena_reset(&groups);
    }
    arena_free(&groups);
}

static void malformed_bytes_are_recognized(void **state)
{
    static const uint8_t odd[] = { 0, 0, 0, 0, 1 }, leading_zero[] = { 0, 0, 0, 0, 0, 0, 0, 0 };
    static const uint8_t minus_zero[] = { 0, 0x40, 0, 0 };
    static const uint8_t limb_too_large[] = { 0, 0, 0, 0, 0, 0xca, 0x9a, 0x3b };
    assert_false(numeric_is_valid((struct bytes){ odd, sizeof odd }));
    assert_false(numeric_is_valid((struct bytes){ odd, 2 }));
    assert_false(numeric_is_valid((struct bytes){ leading_zero, sizeof leading_zero }));
    assert_false(numeric_is_valid((struct bytes){ minus_zero, sizeof minus_zero }));
    assert_false(numeric_is_valid((struct bytes){ limb_too_large, sizeof limb_too_large }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_agree_with_128_bits),
        cmocka_unit_test(large_numbers_keep_the_laws_of_arithmetic),
        cmocka_unit_test(rounding_lies_within_half_a_unit),
        cmocka_unit_test(keys_sort_like_values_and_read_back),
        cmocka_unit_test(long_sums_equal_single_additions),
        cmocka_unit_test(malformed_bytes_are_recognized),
    };
    seed = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : 1;
    if (getenv("COUNT"))
        count = strtoull(getenv("COUNT"), NULL, 10);
    rng_seed(&rng, seed);
    op_init(&op);
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    op_end(&op);
    printf("numeric seed=%llu count=%llu failures=%d\n", (unsigned long long)seed, (unsigned long long)count, failures);
    return failures;
}
