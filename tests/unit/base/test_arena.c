/* Arenas: memory that is given back all at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "src/base/arena.h"
#include "src/base/mem.h"
#include "src/base/rng.h"

static void an_empty_arena_holds_no_memory(void **state)
{
    struct arena arena;

    arena_init(&arena);
    assert_int_equal(arena.total, 0);
    arena_free(&arena);
}

static void blocks_are_aligned_and_do_not_overlap(void **state)
{
    enum { COUNT = 2000 };
    struct arena arena;
    struct rng rng;
    static uint8_t *block[COUNT];
    static size_t size[COUNT];

    arena_init(&arena);
    rng_seed(&rng, 1);
    for (int i = 0; i < COUNT; i++) {
        size[i] = rng_below(&rng, i % 50 ? 200 : 50000);
        block[i] = arena_alloc(&arena, size[i]);
        assert_non_null(block[i]);
        assert_int_equal((uintptr_t)block[i] % 16, 0);
        memset(block[i], i & 0xff, size[i]);
    }
    for (int i = 0; i < COUNT; i++)
        for (size_t at = 0; at < size[i]; at++)
            assert_int_equal(block[i][at], i & 0xff);
    arena_free(&arena);
    assert_int_equal(arena.total, 0);
}

static void an_allocation_of_nothing_has_an_address_of_its_own(void **state)
{
    struct arena arena;
    void *a, *b;

    arena_init(&arena);
    a = arena_alloc(&arena, 0);
    b = arena_alloc(&arena, 0);
    assert_non_null(a);
    assert_ptr_not_equal(a, b);
    arena_free(&arena);
}

static void calloc_clears_memory_that_was_used_before(void **state)
{
    struct arena arena;
    uint8_t *block;

    arena_init(&arena);
    block = arena_alloc(&arena, 1000);
    assert_non_null(block);
    memset(block, 0xee, 1000);
    arena_reset(&arena);
    block = arena_calloc(&arena, 1000);
    assert_non_null(block);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(block[i], 0);
    arena_free(&arena);
}

static void texts_are_copied_and_formatted(void **state)
{
    struct arena arena;

    arena_init(&arena);
    assert_string_equal(arena_strdup(&arena, "grey"), "grey");
    assert_string_equal(arena_strndup(&arena, "greyhound", 4), "grey");
    assert_string_equal(arena_printf(&arena, "%s-%d", "grey", 7), "grey-7");
    assert_string_equal(arena_printf(&arena, "%9000s", "x") + 8999, "x");
    arena_free(&arena);
}

static void release_gives_back_what_came_after_the_mark_and_nothing_else(void **state)
{
    struct arena arena;
    struct arena_mark mark;
    size_t before;
    char *kept, *again;

    arena_init(&arena);
    kept = arena_strdup(&arena, "kept");
    mark = arena_mark(&arena);
    before = arena.total;
    again = arena_alloc(&arena, 16);
    for (int i = 0; i < 100; i++)
        assert_non_null(arena_alloc(&arena, 3000));
    assert_true(arena.total > before);
    arena_release(&arena, mark);
    assert_int_equal(arena.total, before);
    assert_string_equal(kept, "kept");
    assert_ptr_equal(arena_alloc(&arena, 16), again);
    arena_free(&arena);
}

static void release_to_a_mark_of_the_empty_arena_empties_it(void **state)
{
    struct arena arena;
    struct arena_mark mark;

    arena_init(&arena);
    mark = arena_mark(&arena);
    assert_non_null(arena_alloc(&arena, 1000000));
    arena_release(&arena, mark);
    assert_int_equal(arena.total, 0);
    assert_non_null(arena_alloc(&arena, 10));
    arena_release(&arena, mark);
    assert_non_null(arena_alloc(&arena, 10));
    arena_free(&arena);
}

static void the_steady_state_after_reset_allocates_nothing(void **state)
{
    struct arena arena;

    arena_init(&arena);
    for (int round = 0; round < 10; round++) {
        (void)mem_fail_at(UINT64_MAX);
        for (int i = 0; i < 200; i++)
            assert_non_null(arena_alloc(&arena, 100));
        arena_reset(&arena);
        if (round > 2)
            assert_int_equal(mem_fail_at(0), 0);
    }
    (void)mem_fail_at(0);
    arena_free(&arena);
}

static void reset_does_not_hoard_a_huge_block(void **state)
{
    struct arena arena;

    arena_init(&arena);
    assert_non_null(arena_alloc(&arena, 10));
    assert_non_null(arena_alloc(&arena, 50000000));
    arena_reset(&arena);
    assert_true(arena.total > 0);
    assert_true(arena.total <= 256 * 1024);
    arena_free(&arena);
}

static void exhausted_memory_gives_null_and_leaves_the_arena_usable(void **state)
{
    struct arena arena;

    arena_init(&arena);
    (void)mem_fail_at(1);
    assert_null(arena_alloc(&arena, 100));
    assert_non_null(arena_alloc(&arena, 100));
    (void)mem_fail_at(1);
    assert_null(arena_printf(&arena, "%9000s", "x"));
    (void)mem_fail_at(0);
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_alloc(&arena, SIZE_MAX - 8));
    assert_null(arena_strndup(&arena, "", SIZE_MAX - 1));
    assert_non_null(arena_strdup(&arena, "still here"));
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_arena_holds_no_memory),
        cmocka_unit_test(blocks_are_aligned_and_do_not_overlap),
        cmocka_unit_test(an_allocation_of_nothing_has_an_address_of_its_own),
        cmocka_unit_test(calloc_clears_memory_that_was_used_before),
        cmocka_unit_test(texts_are_copied_and_formatted),
        cmocka_unit_test(release_gives_back_what_came_after_the_mark_and_nothing_else),
        cmocka_unit_test(release_to_a_mark_of_the_empty_arena_empties_it),
        cmocka_unit_test(the_steady_state_after_reset_allocates_nothing),
        cmocka_unit_test(reset_does_not_hoard_a_huge_block),
        cmocka_unit_test(exhausted_memory_gives_null_and_leaves_the_arena_usable),
    };

    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
