/* Bytes: integers at fixed offsets, varints, checksums, hashes, random numbers, failing allocation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/base/endian.h"
#include "src/base/hash.h"
#include "src/base/mem.h"
#include "src/base/rng.h"

static void integers_are_little_endian_at_any_alignment(void **state)
{
    uint8_t bytes[16] = {0};

    put_u16(bytes + 1, 0x0102);
    assert_memory_equal(bytes, "\0\2\1\0", 4);
    put_u32(bytes + 1, 0x01020304);
    assert_memory_equal(bytes, "\0\4\3\2\1\0", 6);
    put_u48(bytes + 1, 0x010203040506);
    assert_memory_equal(bytes, "\0\6\5\4\3\2\1\0", 8);
    assert_int_equal(get_u48(bytes + 1), 0x010203040506);
    put_u64(bytes + 3, 0x0102030405060708);
    assert_int_equal(get_u64(bytes + 3), 0x0102030405060708);
    assert_int_equal(get_u32(bytes + 3), 0x05060708);
    assert_int_equal(get_u16(bytes + 3), 0x0708);
}

static void varints_round_trip_at_every_power_of_two(void **state)
{
    uint8_t bytes[VARINT_MAX_BYTES];
    uint64_t back;

    for (int bit = 0; bit < 64; bit++)
        for (int delta = -1; delta <= 1; delta++) {
            uint64_t value = ((uint64_t)1 << bit) + (uint64_t)delta;
            size_t len = varint_put(bytes, value);

            assert_true(len <= VARINT_MAX_BYTES);
            assert_int_equal(len, varint_size(value));
            assert_int_equal(varint_get(bytes, bytes + len, &back), len);
            assert_int_equal(back, value);
        }
    assert_int_equal(varint_put(bytes, UINT64_MAX), 10);
    assert_int_equal(varint_size(0), 1);
    assert_int_equal(varint_size(127), 1);
    assert_int_equal(varint_size(128), 2);
}

static void a_varint_cut_short_is_refused(void **state)
{
    uint8_t bytes[VARINT_MAX_BYTES];
    uint64_t back = 5;
    size_t len = varint_put(bytes, UINT64_MAX);

    for (size_t cut = 0; cut < len; cut++) {
        assert_int_equal(varint_get(bytes, bytes + cut, &back), 0);
        assert_int_equal(back, 0);
    }
}

static void a_varint_beyond_64_bits_is_refused(void **state)
{
    static const uint8_t too_large[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02};
    static const uint8_t too_long[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00};
    uint64_t back;

    assert_int_equal(varint_get(too_large, too_large + sizeof too_large, &back), 0);
    assert_int_equal(varint_get(too_long, too_long + sizeof too_long, &back), 0);
}

/* From the appendix of RFC 3720, and the check value of the CRC catalogues. */
static void crc32c_matches_published_values(void **state)
{
    uint8_t bytes[32];

    assert_int_equal(crc32c(0, "", 0), 0);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c_portable(0, "123456789", 9), 0xe3069283);
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(crc32c(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(crc32c(0, bytes, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        bytes[i] = (uint8_t)i;
    assert_int_equal(crc32c(0, bytes, 32), 0x46dd794e);
    for (int i = 0; i < 32; i++)
        bytes[i] = (uint8_t)(31 - i);
    assert_int_equal(crc32c(0, bytes, 32), 0x113fdb5c);
}

static void crc32c_is_the_same_by_instruction_by_table_and_in_parts(void **state)
{
    enum { SIZE = 20000 };
    uint8_t *bytes = malloc(SIZE);
    struct rng rng;

    rng_seed(&rng, 7);
    for (int i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)rng_next(&rng);
    for (int round = 0; round < 500; round++) {
        size_t start = rng_below(&rng, 16), len = rng_below(&rng, SIZE - 16), middle = rng_below(&rng, len + 1);
        uint32_t whole = crc32c(0, bytes + start, len);

        assert_int_equal(whole, crc32c_portable(0, bytes + start, len));
        assert_int_equal(whole, crc32c(crc32c(0, bytes + start, middle), bytes + start + middle, len - middle));
    }
    free(bytes);
}

static void crc32c_notices_every_single_flipped_bit_of_a_page(void **state)
{
    enum { SIZE = 4096 };
    uint8_t *page = calloc(1, SIZE);
    uint32_t sound;

    memset(page + 100, 0x5a, 700);
    sound = crc32c(0, page, SIZE);
    for (int bit = 0; bit < SIZE * 8; bit += 7) {
        page[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(crc32c(0, page, SIZE), sound);
        page[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    free(page);
}

/* Of n keys thrown into n buckets about n/e stay empty; far more means that the hash clusters. */
static void hash_bytes_spreads_similar_keys(void **state)
{
    enum { COUNT = 4096 };

    for (size_t len = 1; len <= 40; len++) {
        static bool taken[COUNT];
        int empty = 0, keys = len == 1 ? 256 : COUNT;
        uint8_t key[40];

        memset(taken, 0, sizeof taken);
        memset(key, 'k', sizeof key);
        for (int i = 0; i < keys; i++) {
            key[len - 1] = (uint8_t)i;
            if (len > 1)
                key[len / 2 - (len == 2)] = (uint8_t)(i >> 8);
            taken[hash_bytes(key, len, 3) % COUNT] = true;
        }
        for (int i = 0; i < COUNT; i++)
            empty += !taken[i];
        if (keys == COUNT)
            assert_in_range(empty, COUNT * 0.33, COUNT * 0.41);
    }
}

static void hash_bytes_depends_on_length_seed_and_every_byte(void **state)
{
    uint8_t key[64] = {0};

    for (size_t len = 0; len < 64; len++) {
        uint64_t hash = hash_bytes(key, len, 0);

        assert_int_not_equal(hash, hash_bytes(key, len + 1, 0));
        assert_int_not_equal(hash, hash_bytes(key, len, 1));
        assert_int_equal(hash, hash_bytes(key, len, 0));
        for (size_t i = 0; i < len; i++) {
            key[i] = 1;
            assert_int_not_equal(hash, hash_bytes(key, len, 0));
            key[i] = 0;
        }
    }
}

static void the_same_seed_gives_the_same_numbers_and_another_seed_others(void **state)
{
    struct rng a, b, c;

    rng_seed(&a, 42);
    rng_seed(&b, 42);
    rng_seed(&c, 43);
    for (int i = 0; i < 100; i++) {
        uint64_t number = rng_next(&a);

        assert_int_equal(number, rng_next(&b));
        assert_int_not_equal(number, rng_next(&c));
    }
}

static void rng_below_is_uniform_and_below(void **state)
{
    struct rng rng;
    int hits[7] = {0};

    rng_seed(&rng, 9);
    for (int i = 0; i < 70000; i++)
        hits[rng_below(&rng, 7)]++;
    for (int i = 0; i < 7; i++)
        assert_in_range(hits[i], 9500, 10500);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(rng_below(&rng, 1), 0);
        assert_true(rng_below(&rng, UINT64_MAX) < UINT64_MAX);
        assert_true(rng_double(&rng) >= 0 && rng_double(&rng) < 1);
    }
}

static void exactly_the_chosen_allocation_fails(void **state)
{
    void *block[5];

    (void)mem_fail_at(3);
    block[0] = mem_alloc(1);
    block[1] = mem_calloc(1, 1);
    block[2] = mem_strdup("x");
    block[3] = mem_alloc_aligned(4096, 10);
    block[4] = mem_alloc(0);
    assert_int_equal(mem_fail_at(0), 5);
    assert_non_null(block[0]);
    assert_non_null(block[1]);
    assert_null(block[2]);
    assert_non_null(block[3]);
    assert_int_equal((uintptr_t)block[3] % 4096, 0);
    assert_non_null(block[4]);
    for (int i = 0; i < 5; i++)
        mem_free(block[i]);
    assert_int_equal(mem_fail_at(0), 0);
}

static void a_failed_realloc_leaves_the_old_block(void **state)
{
    char *block = mem_strdup("still here"), *larger;

    (void)mem_fail_at(1);
    larger = mem_realloc(block, 100000);
    assert_null(larger);
    assert_string_equal(block, "still here");
    larger = mem_realloc(block, 100000);
    assert_string_equal(larger, "still here");
    (void)mem_fail_at(0);
    mem_free(larger);
}

static void calloc_of_more_than_can_be_addressed_fails(void **state)
{
    volatile size_t many = SIZE_MAX / 4;    /* kept from the compiler, which knows better than to try */

    assert_null(mem_calloc(many, 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_little_endian_at_any_alignment),
        cmocka_unit_test(varints_round_trip_at_every_power_of_two),
        cmocka_unit_test(a_varint_cut_short_is_refused),
        cmocka_unit_test(a_varint_beyond_64_bits_is_refused),
        cmocka_unit_test(crc32c_matches_published_values),
        cmocka_unit_test(crc32c_is_the_same_by_instruction_by_table_and_in_parts),
        cmocka_unit_test(crc32c_notices_every_single_flipped_bit_of_a_page),
        cmocka_unit_test(hash_bytes_spreads_similar_keys),
        cmocka_unit_test(hash_bytes_depends_on_length_seed_and_every_byte),
        cmocka_unit_test(the_same_seed_gives_the_same_numbers_and_another_seed_others),
        cmocka_unit_test(rng_below_is_uniform_and_below),
        cmocka_unit_test(exactly_the_chosen_allocation_fails),
        cmocka_unit_test(a_failed_realloc_leaves_the_old_block),
        cmocka_unit_test(calloc_of_more_than_can_be_addressed_fails),
    };

    return cmocka_run_group_tests_name("bytes", tests, NULL, NULL);
}
