/*
 * test_check.c -- CHECK finds what has been damaged on purpose, and damaged pages give errors, not crashes.
 *
 * Pages are changed behind the engine's back, in the buffer pool, where no checksum protects them.
 */
#include "btree/btree_int.h"
#include "tests/unit/btree/harness.h"

enum { ROWS = 2000 };

struct fixture {
    struct op op;
    struct vfs *vfs;
    struct store *store;
    struct btree *tree;
    uint64_t findings;
    char lines[8192];
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct op *op = &fixture->op;
    struct wal_chain chain = {.txn = 1};
    static uint8_t value[5000];
    TreeId id;
    op_init(op);
    fixture->vfs = os_memory_vfs_new();
    struct store_options options = {.vfs = fixture->vfs, .path = "test.db", .page_size = 4096, .cache_size = 4 << 20,
                                    .create = true, .no_background = true};
    OK(store_open(op, &options, &fixture->store));
    OK(btree_create(op, fixture->store, &chain, &id));
    OK(btree_open(op, fixture->store, id, &fixture->tree));
    for (uint32_t i = 0; i < ROWS; i++) {
        uint8_t key[KEY_BYTES_MAX];
        bool applied;
        struct btree_change change = {.kind = BTREE_INSERT, .key = key_of(key, i * 7919 % ROWS),
                                      .value = {value, i % 100 == 0 ? 5000 : 80}};
        OK(btree_change(op, fixture->tree, &chain, &change, &applied));
        assert_true(applied);
    }
    commit(op, fixture->store, &chain, true);
    expect_whole(op, fixture->store);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    store_abandon(fixture->store);
    os_vfs_destroy(fixture->vfs);
    op_end(&fixture->op);
    free(fixture);
    return 0;
}

static void note_line(void *arg, const char *line)
{
    struct fixture *fixture = arg;
    size_t len = strlen(fixture->lines);
    snprintf(fixture->lines + len, sizeof fixture->lines - len, "%s\n", line);
}

static void expect_finding(struct fixture *fixture, const char *words)
{
    struct op *op = &fixture->op;
    fixture->lines[0] = '\0';
    OK(store_check(op, fixture->store, note_line, fixture, &fixture->findings));
    if (fixture->findings == 0 || strstr(fixture->lines, words) == NULL)
        fail_msg("CHECK did not find \"%s\" but:\n%s", words, fixture->lines);
}

/* The page of a leaf somewhere in the middle, or of its parent. */
static PageNo page_of(struct fixture *fixture, bool parent)
{
    struct op *op = &fixture->op;
    struct page_ref inner, leaf;
    uint8_t key[KEY_BYTES_MAX];
    OK(btree__find_pair(op, fixture->tree, key_of(key, ROWS / 2), 0, &inner, &leaf));
    PageNo page_no = parent ? inner.page_no : leaf.page_no;
    buf_unfix(&leaf, fixture->store->buf);
    buf_unfix(&inner, fixture->store->buf);
    return page_no;
}

static struct node latch(struct fixture *fixture, PageNo page_no, struct page_ref *ref)
{
    struct op *op = &fixture->op;
    OK(buf_fix(op, fixture->store->buf, page_no, LATCH_EXCLUSIVE, ref));
    return node_of(fixture->store, ref);
}

static void exchanged_slots_are_found(void **state)
{
    struct fixture *fixture = *state;
    struct page_ref ref;
    struct node node = latch(fixture, page_of(fixture, false), &ref);
    struct node_slot first = node_slots(node)[0];
    node_slots(node)[0] = node_slots(node)[1];
    node_slots(node)[1] = first;
    buf_unfix(&ref, fixture->store->buf);
    expect_finding(fixture, "ascending order");
}

static void slot_out_of_the_heap_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct page_ref ref;
    struct node node = latch(fixture, page_of(fixture, false), &ref);
    node_slots(node)[2].offset = 60;
    buf_unfix(&ref, fixture->store->buf);
    expect_finding(fixture, "within the heap");
}

static void overlapping_cells_are_found(void **state)
{
    struct fixture *fixture = *state;
    struct page_ref ref;
    struct node node = latch(fixture, page_of(fixture, false), &ref);
    node_slots(node)[1].offset = node_slots(node)[0].offset;
    buf_unfix(&ref, fixture->store->buf);
    fixture->lines[0] = '\0';
    expect_finding(fixture, "broken rule");
}

static void wrong_head_of_a_slot_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct page_ref ref;
    struct node node = latch(fixture, page_of(fixture, false), &ref);
    node_slots(node)[3].head ^= 1;
    buf_unfix(&ref, fixture->store->buf);
    expect_finding(fixture, "first bytes of its key");
}

static void wrong_fence_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct page_ref ref;
    struct node node = latch(fixture, page_of(fixture, false), &ref);
    node.data[node.usable - 1]++;
    buf_unfix(&ref, fixture->store->buf);
    expect_finding(fixture, "fence");
}

static void wrong_count_of_ghosts_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct page_ref ref;
    struct node node = latch(fixture, page_of(fixture, false), &ref);
    node_head(node)->ghosts = 3;
    buf_unfix(&ref, fixture->store->buf);
    expect_finding(fixture, "counts the ghosts");
}

static void page_reached_twice_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct page_ref ref;
    struct cell cell = {0};
    struct node node = latch(fixture, page_of(fixture, true), &ref);
    assert_true(node_cell(node, 1, &cell));
    node_set_child(node, 2, cell.child);
    buf_unfix(&ref, fixture->store->buf);
    expect_finding(fixture, "another use");
    assert_non_null(strstr(fixture->lines, "nothing leads there"));
}

static void page_of_another_tree_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct page_ref ref;
    struct node node = latch(fixture, page_of(fixture, false), &ref);
    node_head(node)->page.tree_id++;
    buf_unfix(&ref, fixture->store->buf);
    expect_finding(fixture, "belongs to tree");
}

static void page_marked_free_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct page_ref ref;
    PageNo page_no = page_of(fixture, false);
    latch(fixture, SPACE_FIRST_MAP, &ref);
    space_map_set(fixture->store, &ref, page_no, false);
    buf_unfix(&ref, fixture->store->buf);
    expect_finding(fixture, "marked as free");
}

static void leaked_page_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct page_ref ref;
    struct store_space space;
    struct op *op = &fixture->op;
    OK(store_space(op, fixture->store, &space));
    latch(fixture, SPACE_FIRST_MAP, &ref);
    space_map_set(fixture->store, &ref, space.pages - 1, true);
    buf_unfix(&ref, fixture->store->buf);
    expect_finding(fixture, "nothing leads there");
}

static void cut_overflow_chain_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct op *op = &fixture->op;
    for (PageNo page_no = FIRST_FREE_PAGE; page_no < buf_page_count(fixture->store->buf); page_no++) {
        struct page_ref ref;
        OK(buf_fix(op, fixture->store->buf, page_no, LATCH_EXCLUSIVE, &ref));
        bool found = ((struct page_head *)(void *)ref.data)->type == PAGE_OVERFLOW && ref.data[32] != 0;
        if (found)
            memset(ref.data + 32, 0, 8);
        buf_unfix(&ref, fixture->store->buf);
        if (found)
            break;
    }
    expect_finding(fixture, "an overflow chain of tree");
}

/* Random bytes in random tree pages: every operation gives an answer or XX001, and comes back. */
static void damaged_pages_give_errors(void **state)
{
    uint64_t seed = seed_of_run(), count = number_of_run("COUNT", 60);
    struct rng rng;
    rng_seed(&rng, seed);
    printf("test_check seed=%llu\n", (unsigned long long)seed);
    for (uint64_t round = 0; round < count; round++) {
        void *inner_state = NULL;
        set_up(&inner_state);
        struct fixture *fixture = inner_state;
        struct op *op = &fixture->op;
        struct store *store = fixture->store;
        for (int i = 0; i < 6; i++) {
            struct page_ref ref;
            PageNo page_no = DIRECTORY_ROOT + 2 + rng_below(&rng, buf_page_count(store->buf) - DIRECTORY_ROOT - 2);
            OK(buf_fix(op, store->buf, page_no, LATCH_EXCLUSIVE, &ref));
            /* Mostly where the structure is: the heads and the first slots. */
            uint64_t bytes = rng_below(&rng, 4) == 0 ? store->usable : 200;
            for (uint64_t n = 1 + rng_below(&rng, 4); n > 0; n--)
                ref.data[4 + rng_below(&rng, bytes - 4)] = (uint8_t)rng_next(&rng);
            ((struct page_head *)(void *)ref.data)->page_no = page_no;
            buf_unfix(&ref, store->buf);
        }
        for (int i = 0; i < 300; i++) {
            uint8_t key[KEY_BYTES_MAX];
            static uint8_t got[VALUE_BYTES_MAX], value[3000];
            struct seen_row seen = {.value = got, .store = store};
            uint32_t number = (uint32_t)rng_below(&rng, ROWS);
            bool applied, removed;
            int result;
            if (rng_below(&rng, 2) == 0) {
                result = btree_get(op, fixture->tree, key_of(key, number), see_row, &seen);
            } else if (rng_below(&rng, 4) > 0) {
                struct btree_change change = {.kind = (enum btree_change_kind)rng_below(&rng, 3), .key = key_of(key, number),
                                              .value = {value, rng_below(&rng, 3000)}};
                result = btree_change(op, fixture->tree, NULL, &change, &applied);
            } else {
                result = btree_purge(op, fixture->tree, key_of(key, number), NULL, NULL, &removed);
            }
            if (result != OP_OK)
                assert_memory_equal(op->error.sqlstate, "XX", 2);
            op_reset(op);
        }
        if (store_check(op, store, NULL, NULL, &fixture->findings) != OP_OK)
            assert_string_equal(op->error.sqlstate, "XX001");
        op_reset(op);
        tear_down(&inner_state);
    }
    printf("test_check seed=%llu count=%llu failures=0\n", (unsigned long long)seed, (unsigned long long)count);
}

struct seen_damage {
    _Atomic uint64_t page, tree, count;
};

static void note_damage(void *arg, PageNo page, TreeId tree, const char *rule)
{
    struct seen_damage *seen = arg;
    atomic_store(&seen->page, page);
    atomic_store(&seen->tree, tree);
    atomic_fetch_add(&seen->count, 1);
}

/* A leaf is spoilt on the disk, one time so that its checksum tells, the other so that only its rules do. */
static void scrub_finds_a_cold_page(void **state)
{
    struct fixture *fixture = *state;
    struct op *op = &fixture->op;
    for (int with_checksum = 0; with_checksum < 2; with_checksum++) {
        static uint8_t page[4096];
        struct store_options options = {.vfs = fixture->vfs, .path = "test.db", .cache_size = 64 * 4096, .no_background = true};
        struct seen_damage seen = {0};
        struct store_scrub scrub = {.rate = UINT64_C(1) << 30, .pause_us = 1000, .arg = &seen, .damaged = note_damage};
        struct os_file *file;
        size_t got;
        TreeId id = btree_id(fixture->tree);
        PageNo leaf = page_of(fixture, false);
        OK(store_close(op, fixture->store));
        OK(os_open(op, fixture->vfs, "test.db", 0, &file));
        OK(os_read(op, file, leaf * 4096, page, 4096, &got));
        node_head((struct node){page, 4096})->ghosts ^= 1;
        if (with_checksum)
            page_set_checksum(page, 4096);
        OK(os_write(op, file, leaf * 4096, page, 4096));
        OK(store_open(op, &options, &fixture->store));
        OK(store_start_scrub(op, fixture->store, &scrub));
        for (int i = 0; atomic_load(&seen.count) == 0 && i < 5000; i++)
            os_sleep_us(1000);
        store_stop_scrub(fixture->store);
        assert_int_equal(atomic_load(&seen.page), leaf);
        assert_int_equal(atomic_load(&seen.tree), with_checksum ? id : 0);
        struct store_scrub_state state_of_scrub;
        store_scrub_state(fixture->store, &state_of_scrub);
        assert_int_equal(state_of_scrub.count, 1);
        assert_int_equal(state_of_scrub.list[0].page, leaf);
        assert_int_equal(state_of_scrub.list[0].tree, with_checksum ? id : 0);
        assert_true(strlen(state_of_scrub.list[0].rule) > 0 && state_of_scrub.pages_read > 0);
        node_head((struct node){page, 4096})->ghosts ^= 1;
        page_set_checksum(page, 4096);
        OK(os_write(op, file, leaf * 4096, page, 4096));
        os_close(file);
        OK(btree_open(op, fixture->store, id, &fixture->tree));
        expect_whole(op, fixture->store);
    }
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(exchanged_slots_are_found), CASE(slot_out_of_the_heap_is_found), CASE(overlapping_cells_are_found),
        CASE(wrong_head_of_a_slot_is_found), CASE(wrong_fence_is_found), CASE(wrong_count_of_ghosts_is_found),
        CASE(page_reached_twice_is_found), CASE(page_of_another_tree_is_found), CASE(page_marked_free_is_found),
        CASE(leaked_page_is_found), CASE(cut_overflow_chain_is_found), CASE(scrub_finds_a_cold_page),
        cmocka_unit_test(damaged_pages_give_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
