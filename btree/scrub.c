/*
 * scrub.c -- reading cold pages before somebody needs them.
 *
 * A disk loses a bit here and there, and nobody notices until the page is read, which may be after the last good backup is gone.  So a
 * thread reads, at a set pace, every page in use that is not in memory: checksum, place, LSN, and for pages of trees all that
 * node_check knows.  What it finds is told to the layer above; whoever reads the page later gets XX001 all the same.
 *
 *      wait a while -> page, page, page ... (scrub_rate bytes per second) -> wait -> from the beginning
 *
 * On the way it notes leaves with ghosts, in memory and not (ghosts.c).
 *
 * U1  A page is read under its latch, past the buffer pool: nothing is evicted for it, and it cannot be half written.
 * U2  A damaged page is told once per pass, and listed until 64 others have been found after it.
 */
#include <string.h>

#include "btree/btree_int.h"
#include "src/base/mem.h"

enum { FIRST_PAUSE_S = 10, PAUSE_S = 3600, BURST_PAGES = 8 };

struct scrub {
    struct store *store;
    struct store_scrub options;
    struct os_thread *thread;
    atomic_bool stop;
    _Atomic uint32_t word;
    uint8_t *page;
};

static void wait_us(struct scrub *scrub, uint64_t microseconds)
{
    uint32_t seen = atomic_load(&scrub->word);
    uint64_t deadline = os_clock_ns() + microseconds * 1000;
    while (!atomic_load(&scrub->stop) && os_clock_ns() < deadline)
        os_wait_word(&scrub->word, seen, deadline);
}

/* What is wrong with a page that was read; NULL: nothing. */
static const char *judge(const struct store *store, uint8_t *page)
{
    const struct page_head *head = (const struct page_head *)(const void *)page;
    if (head->type == PAGE_LEAF || head->type == PAGE_INNER)
        return node_check((struct node){page, store->usable});
    return NULL;
}

/* ---- what it has seen; a view of the layer above shows it ------------------------------------------ */

static void note_page(struct store *store, PageNo page_no, bool read)
{
    os_mutex_lock(&store->space.mutex);
    store->scrubbed.page = page_no;
    store->scrubbed.pages_read += read;
    store->scrubbed.passes += page_no == 0;
    os_mutex_unlock(&store->space.mutex);
}

static void note_damage(struct store *store, PageNo page_no, TreeId tree, const char *rule)
{
    struct store_scrub_state *state = &store->scrubbed;
    os_mutex_lock(&store->space.mutex);
    int at = 0;
    while (at < state->count && state->list[at].page != page_no)
        at++;
    if (at == state->count) {
        state->damaged++;
        at = state->count < STORE_DAMAGE_MAX ? state->count++ : (int)((state->damaged - 1) % STORE_DAMAGE_MAX);
    }
    state->list[at] = (struct store_damage){page_no, tree, rule};
    os_mutex_unlock(&store->space.mutex);
}

void store_scrub_state(struct store *store, struct store_scrub_state *state)
{
    os_mutex_lock(&store->space.mutex);
    *state = store->scrubbed;
    os_mutex_unlock(&store->space.mutex);
}

/* ---- a pass ---------------------------------------------------------------------------------------- */

/* Of a page that was read, or is in memory. */
static void note_ghosts(struct scrub *scrub, PageNo page_no, bool cold)
{
    struct store *store = scrub->store;
    struct page_ref ref = {.page_no = page_no, .data = scrub->page};
    if (!cold)
        buf_try_fix(store->buf, page_no, LATCH_SHARED, &ref, &(bool){false});
    if (ref.data == NULL)
        return;
    ghosts_note(store, &ref);
    if (!cold)
        buf_unfix(&ref, store->buf);
}

/* *cold: the page was read. */
static void scrub_page(struct scrub *scrub, PageNo page_no, bool *cold)
{
    struct store *store = scrub->store;
    struct op op;
    const char *rule = NULL;
    *cold = false;
    if (space_is_free(store, page_no))
        return;
    op_init(&op);
    if (buf_read_cold(&op, store->buf, page_no, scrub->page, cold, &rule) != OP_OK)
        rule = "it cannot be read from the disk";
    bool sound = rule == NULL;
    if (sound && *cold)
        rule = judge(store, scrub->page);
    /* A page whose checksum is wrong may say anything of its tree. */
    TreeId tree = sound ? ((const struct page_head *)(const void *)scrub->page)->tree_id : 0;
    note_page(store, page_no, *cold);
    if (rule == NULL) {
        note_ghosts(scrub, page_no, *cold);
    } else {
        note_damage(store, page_no, tree, rule);
        scrub->options.damaged(scrub->options.arg, page_no, tree, rule);
    }
    op_end(&op);
}

static void pass(struct scrub *scrub)
{
    uint64_t burst_us = UINT64_C(1000000) * BURST_PAGES * scrub->store->page_size / scrub->options.rate;
    unsigned read = 0;
    for (PageNo page_no = SPACE_FIRST_MAP; page_no < space_limit(scrub->store) && !atomic_load(&scrub->stop); page_no++) {
        bool cold;
        scrub_page(scrub, page_no, &cold);
        if (cold && ++read % BURST_PAGES == 0)
            wait_us(scrub, burst_us);
    }
    note_page(scrub->store, 0, false);
}

static void run(void *arg)
{
    struct scrub *scrub = arg;
    uint64_t pause_us = scrub->options.pause_us;
    wait_us(scrub, pause_us != 0 ? pause_us : UINT64_C(1000000) * FIRST_PAUSE_S);
    while (!atomic_load(&scrub->stop)) {
        pass(scrub);
        wait_us(scrub, pause_us != 0 ? pause_us : UINT64_C(1000000) * PAUSE_S);
    }
}

static void free_scrub(struct scrub *scrub)
{
    mem_free(scrub->page);
    mem_free(scrub);
}

int store_start_scrub(struct op *op, struct store *store, const struct store_scrub *options)
{
    struct scrub *scrub = op_heap_alloc(op, sizeof *scrub);
    if (scrub == NULL)
        return OP_FAILED;
    memset(scrub, 0, sizeof *scrub);
    scrub->store = store;
    scrub->options = *options;
    scrub->page = op_heap_alloc(op, store->page_size);
    if (scrub->page == NULL || os_thread_start(op, run, scrub, "isolde-scrub", &scrub->thread) != OP_OK) {
        free_scrub(scrub);
        return OP_FAILED;
    }
    store->scrub = scrub;
    return OP_OK;
}

void store_stop_scrub(struct store *store)
{
    struct scrub *scrub = store->scrub;
    if (scrub == NULL)
        return;
    atomic_store(&scrub->stop, true);
    atomic_fetch_add(&scrub->word, 1);
    os_wake_word(&scrub->word, 1);
    os_thread_join(scrub->thread);
    free_scrub(scrub);
    store->scrub = NULL;
}
