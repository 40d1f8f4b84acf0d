/*
 * The index of intervals against a plain list: the same intervals hold a key, whatever comes and goes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "src/base/rng.h"
#include "txn/ssi_int.h"

enum { INTERVALS = 300 };

struct entry {
    struct ssi_range range;
    uint8_t low[2], high[2];
    bool in;
};

static struct entry entries[INTERVALS];
static struct ssi_range *root;

static void set(struct siread_bound *bound, uint8_t *bytes, struct rng *rng)
{
    bytes[0] = (uint8_t)rng_below(rng, 20);
    bytes[1] = (uint8_t)rng_below(rng, 3);
    *bound = (struct siread_bound){ .data = bytes, .len = 1 + (uint32_t)rng_below(rng, 2), .unbounded = rng_below(rng, 12) == 0,
                                    .inclusive = rng_below(rng, 2) == 0 };
}

static int count_range(void *arg, struct ssi_range *range)
{
    struct entry *entry = (struct entry *)range;

    assert_true(entry->in);
    ++*(int *)arg;
    return 0;
}

static void check_key(struct bytes key)
{
    int found = 0, expected = 0;

    for (int i = 0; i < INTERVALS; i++) {
        expected += entries[i].in && siread__covers(&entries[i].range, key);
    }
    assert_int_equal(siread__each_holding(root, key, count_range, &found), 0);
    assert_int_equal(found, expected);
}

static void the_index_finds_what_a_list_would(void **state)
{
    uint64_t seed = getenv("SEED") != NULL ? strtoull(getenv("SEED"), NULL, 10) : 1;
    uint64_t count = getenv("COUNT") != NULL ? strtoull(getenv("COUNT"), NULL, 10) : 20000;
    struct rng rng;
    int in = 0, all;

    rng_seed(&rng, seed);
    printf("txn-intervals seed=%llu count=%llu\n", (unsigned long long)seed, (unsigned long long)count);
    for (uint64_t n = 0; n < count; n++) {
        struct entry *entry = &entries[rng_below(&rng, INTERVALS)];
        uint8_t bytes[2] = { (uint8_t)rng_below(&rng, 21), (uint8_t)rng_below(&rng, 3) };
        if (entry->in) {
            siread__unindex(&root, &entry->range);
        } else {
            set(&entry->range.low, entry->low, &rng);
            set(&entry->range.high, entry->high, &rng);
            entry->range.priority = siread__priority(&entry->range) % 64;      /* equal ones, too */
            siread__index(&root, &entry->range);
        }
        entry->in = !entry->in;
        in += entry->in ? 1 : -1;
        check_key((struct bytes){ bytes, 1 + rng_below(&rng, 2) });
    }
    all = 0;
    assert_int_equal(siread__each(root, count_range, &all), 0);
    assert_int_equal(all, in);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_index_finds_what_a_list_would) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
