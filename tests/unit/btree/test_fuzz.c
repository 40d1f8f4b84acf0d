/*
 * test_fuzz.c -- damaged files with right checksums: opening, checking, reading and changing them gives answers or errors, never a crash,
 * a hang, or a read beside the page (under AddressSanitizer).
 *
 * Drives the entry for libFuzzer in tests/fuzz/storage.c with random inputs.  SEED= repeats a run, COUNT= is its length, CASE= runs
 * one of them alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "src/base/rng.h"
#include "tests/fuzz/storage.c"

static uint64_t number(const char *name, uint64_t usual)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : usual;
}

static void damaged_files_give_answers_or_errors(void **state)
{
    uint64_t seed = number("SEED", 1), count = number("COUNT", 300), only = number("CASE", UINT64_MAX);
    printf("test_fuzz seed=%llu\n", (unsigned long long)seed);
    for (uint64_t i = 0; i < count; i++) {
        struct rng rng;
        uint8_t input[100];
        rng_seed(&rng, seed + i);
        size_t size = 1 + 6 * (1 + rng_below(&rng, 12));
        for (size_t k = 0; k < size; k++)
            input[k] = (uint8_t)rng_next(&rng);
        if (only == UINT64_MAX || only == i)
            LLVMFuzzerTestOneInput(input, size);
    }
    printf("test_fuzz seed=%llu count=%llu failures=0\n", (unsigned long long)seed, (unsigned long long)count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(damaged_files_give_answers_or_errors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
