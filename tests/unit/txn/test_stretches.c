/*
 * test_stretches.c -- scans skip what other scans have found to be nothing but ghosts, and see what they would see without.
 */
#include "tests/unit/txn/txn_test.h"

enum { ROWS = 6000 };

static const char *row_key(int i)
{
    static _Thread_local char key[2][16];
    static _Thread_local int turn;

    turn = !turn;
    snprintf(key[turn], sizeof(key[turn]), "row%05d", i);
    return key[turn];
}

static void insert_rows(struct db *db, int from, int to)
{
    begin(db, 0, TXN_READ_COMMITTED);
    for (int i = from; i < to; i++) {
        insert(db, 0, row_key(i), "some value, so that a leaf does not hold too many of them");
    }
    commit(db, 0);
}

static void delete_rows(struct db *db, int from, int to)
{
    begin(db, 0, TXN_READ_COMMITTED);
    for (int i = from; i < to; i++) {
        delete(db, 0, row_key(i));
    }
    commit(db, 0);
}

struct first {
    char key[16];
    bool found;
};

static int take_first(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    struct first *first = arg;

    snprintf(first->key, sizeof(first->key), "%.*s", (int)row->key.len, (const char *)row->key.data);
    first->found = *stop = true;
    return 0;
}

/* The first row of the session's statement, and how many leaves were looked at to find it. */
static const char *first_row(struct db *db, int s, bool backward, int *leaves)
{
    static struct first first;
    struct btree_range range = { .low_inclusive = true };
    struct txn_scan scan;
    bool more = true;

    first = (struct first){ .found = false };
    *leaves = 0;
    MUST(db, txn_statement_begin(&db->op, db->s[s]));
    txn_scan_open(&scan, db->s[s], db->tree, &range, backward);
    while (more && !first.found) {
        MUST(db, txn_scan_next(&db->op, &scan, take_first, &first, &more));
        ++*leaves;
    }
    txn_scan_close(&scan);
    txn_statement_end(db->s[s]);
    return first.found ? first.key : "-";
}

static int count_row(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    ++*(int *)arg;
    return 0;
}

static int count_rows(struct db *db, int s, bool backward)
{
    struct btree_range range = { .low_inclusive = true };
    struct txn_scan scan;
    bool more = true;
    int rows = 0;

    MUST(db, txn_statement_begin(&db->op, db->s[s]));
    txn_scan_open(&scan, db->s[s], db->tree, &range, backward);
    while (more) {
        MUST(db, txn_scan_next(&db->op, &scan, count_row, &rows, &more));
    }
    txn_scan_close(&scan);
    txn_statement_end(db->s[s]);
    return rows;
}

static void a_long_way_over_ghosts_is_walked_once(void **state)
{
    static const enum txn_level levels[] = { TXN_READ_COMMITTED, TXN_REPEATABLE_READ, TXN_SERIALIZABLE };
    struct db db;
    int leaves;

    db_open(&db, false);
    insert_rows(&db, 0, ROWS);
    begin(&db, 1, TXN_REPEATABLE_READ);
    assert_int_equal(count_rows(&db, 1, false), ROWS);
    delete_rows(&db, 0, ROWS / 2 - 100);
    delete_rows(&db, ROWS / 2 + 100, ROWS);
    begin(&db, 2, TXN_READ_COMMITTED);
    assert_string_equal(first_row(&db, 2, false, &leaves), row_key(ROWS / 2 - 100));
    assert_true(leaves > 40);
    assert_string_equal(first_row(&db, 2, true, &leaves), row_key(ROWS / 2 + 99));
    assert_true(leaves > 40);
    for (int i = 0; i < 3; i++) {
        begin(&db, 3, levels[i]);
        assert_string_equal(first_row(&db, 3, false, &leaves), row_key(ROWS / 2 - 100));
        assert_int_equal(leaves, 1);
        assert_string_equal(first_row(&db, 3, true, &leaves), row_key(ROWS / 2 + 99));
        assert_int_equal(leaves, 1);
        assert_int_equal(count_rows(&db, 3, i % 2 == 1), 200);
        commit(&db, 3);
    }
    /* Who is older still sees everything, both ways. */
    assert_string_equal(first_row(&db, 1, false, &leaves), row_key(0));
    assert_string_equal(first_row(&db, 1, true, &leaves), row_key(ROWS - 1));
    assert_int_equal(count_rows(&db, 1, false), ROWS);
    assert_int_equal(count_rows(&db, 1, true), ROWS);
    commit(&db, 1);
    commit(&db, 2);
    db_close(&db);
}

/* Snapshots between the deletions begin where theirs ends; deletions since are walked over by a few leaves, not all. */
static void each_snapshot_skips_what_it_may(void **state)
{
    struct db db;
    int leaves;

    db_open(&db, false);
    insert_rows(&db, 0, ROWS);
    begin(&db, 1, TXN_REPEATABLE_READ);
    (void)first_row(&db, 1, false, &leaves);
    for (int part = 0; part < 5; part++) {
        delete_rows(&db, part * ROWS / 6, (part + 1) * ROWS / 6);
        begin(&db, 2 + part, TXN_REPEATABLE_READ);
        assert_string_equal(first_row(&db, 2 + part, false, &leaves), row_key((part + 1) * ROWS / 6));
        assert_true(leaves < 40);
    }
    for (int part = 0; part < 5; part++) {
        assert_string_equal(first_row(&db, 2 + part, false, &leaves), row_key((part + 1) * ROWS / 6));
        assert_int_equal(leaves, 1);
        assert_int_equal(count_rows(&db, 2 + part, true), (5 - part) * ROWS / 6);
        commit(&db, 2 + part);
    }
    assert_int_equal(count_rows(&db, 1, true), ROWS);
    commit(&db, 1);
    db_close(&db);
}

static void a_row_put_among_the_ghosts_is_found(void **state)
{
    struct db db;
    int leaves;

    db_open(&db, false);
    insert_rows(&db, 0, 1000);
    begin(&db, 1, TXN_REPEATABLE_READ);
    (void)first_row(&db, 1, false, &leaves);
    delete_rows(&db, 0, 900);
    begin(&db, 2, TXN_READ_COMMITTED);
    assert_string_equal(first_row(&db, 2, false, &leaves), row_key(900));
    begin(&db, 3, TXN_REPEATABLE_READ);
    assert_string_equal(first_row(&db, 3, false, &leaves), row_key(900));
    /* A ghost's key again, and one between two. */
    begin(&db, 4, TXN_READ_COMMITTED);
    insert(&db, 4, row_key(500), "again");
    insert(&db, 4, "row00400+", "between");
    assert_string_equal(first_row(&db, 4, false, &leaves), "row00400+");
    assert_string_equal(first_row(&db, 2, false, &leaves), row_key(900));
    assert_int_equal(count_rows(&db, 4, true), 102);
    commit(&db, 4);
    assert_string_equal(first_row(&db, 2, false, &leaves), "row00400+");
    assert_int_equal(count_rows(&db, 2, true), 102);
    assert_string_equal(first_row(&db, 3, false, &leaves), row_key(900));
    assert_int_equal(count_rows(&db, 3, true), 100);
    assert_int_equal(count_rows(&db, 1, true), 1000);
    begin(&db, 4, TXN_READ_COMMITTED);
    insert(&db, 4, row_key(7), "undone");
    assert_string_equal(first_row(&db, 4, false, &leaves), row_key(7));
    undo(&db, 4);
    assert_string_equal(first_row(&db, 2, false, &leaves), "row00400+");
    for (int s = 1; s <= 3; s++) {
        commit(&db, s);
    }
    db_close(&db);
}

/* Both have looked for the first row, and put one before it: neither saw the other's. */
static void what_is_skipped_is_recorded_as_read(void **state)
{
    struct db db;
    int leaves;

    db_open(&db, false);
    insert_rows(&db, 0, 1000);
    begin(&db, 1, TXN_REPEATABLE_READ);
    (void)first_row(&db, 1, false, &leaves);
    delete_rows(&db, 0, 400);
    delete_rows(&db, 600, 1000);
    begin(&db, 2, TXN_READ_COMMITTED);
    (void)count_rows(&db, 2, false);
    commit(&db, 2);
    for (int backward = 0; backward < 2; backward++) {
        begin(&db, 3, TXN_SERIALIZABLE);
        begin(&db, 4, TXN_SERIALIZABLE);
        assert_string_equal(first_row(&db, 3, backward, &leaves), row_key(backward ? 599 : 400));
        assert_int_equal(leaves, 1);
        assert_string_equal(first_row(&db, 4, backward, &leaves), row_key(backward ? 599 : 400));
        insert(&db, 3, backward ? row_key(800) : row_key(100), "3");
        insert(&db, 4, backward ? row_key(700) : row_key(200), "4");
        commit(&db, 3);
        assert_string_equal(try_commit(&db, 4), "40001");
        delete_rows(&db, backward ? 800 : 100, backward ? 801 : 101);
        begin(&db, 2, TXN_READ_COMMITTED);
        (void)count_rows(&db, 2, false);
        commit(&db, 2);
    }
    commit(&db, 1);
    db_close(&db);
}

/* ---- random ---------------------------------------------------------------------------------------- */

enum { KEYS = 150, PLAYERS = 6 };

/* What the rows are: 0 absent. */
struct model {
    int committed[KEYS];
    int changed_at[KEYS];               /* number of the last commit that changed it */
    int writer[KEYS];                   /* player who has a change in progress; -1: none */
    int commits;
    struct player {
        bool active;
        enum txn_level level;
        int began;                      /* commits at its snapshot */
        int seen[KEYS];                 /* REPEATABLE READ and above: snapshot and own changes */
        int own[KEYS];                  /* -1: not changed by it */
    } players[PLAYERS];
};

static int value_for(const struct model *model, int p, int key)
{
    const struct player *player = &model->players[p];

    if (player->own[key] >= 0) {
        return player->own[key];
    }
    return player->level == TXN_READ_COMMITTED ? model->committed[key] : player->seen[key];
}

static void begin_player(struct db *db, struct model *model, int p, enum txn_level level)
{
    struct player *player = &model->players[p];

    begin(db, p, level);
    /* The snapshot is taken by the first statement. */
    if (level != TXN_READ_COMMITTED) {
        (void)get(db, p, "nothing");
    }
    player->active = true;
    player->level = level;
    player->began = model->commits;
    memcpy(player->seen, model->committed, sizeof(player->seen));
    for (int key = 0; key < KEYS; key++) {
        player->own[key] = -1;
    }
}

static void end_player(struct db *db, struct model *model, int p, bool commits)
{
    struct player *player = &model->players[p];

    player->active = false;
    if (commits && *try_commit(db, p) != '\0') {
        commits = false;
    } else if (!commits) {
        undo(db, p);
    }
    model->commits++;
    for (int key = 0; key < KEYS; key++) {
        if (player->own[key] >= 0) {
            model->writer[key] = -1;
        }
        if (commits && player->own[key] >= 0) {
            model->committed[key] = player->own[key];
            model->changed_at[key] = model->commits;
        }
    }
}

/* Changes the key unless somebody else is at it. */
static void change(struct db *db, struct model *model, int p, int key, int value)
{
    struct player *player = &model->players[p];
    const char *answer;
    char text_value[16];

    if (!player->active || (model->writer[key] >= 0 && model->writer[key] != p)) {
        return;
    }
    snprintf(text_value, sizeof(text_value), "%d", value);
    int before = value_for(model, p, key);
    if (before == 0 && value == 0) {
        return;
    }
    answer = value == 0 ? try_delete(db, p, row_key(key))
                        : before == 0 ? try_insert(db, p, row_key(key), text_value) : try_put(db, p, row_key(key), text_value);
    if (*answer != '\0') {
        /* First updater wins, or a dangerous structure. */
        assert_true(player->level != TXN_READ_COMMITTED);
        assert_true(strcmp(answer, "40001") == 0 || strcmp(answer, "duplicate") == 0);
        end_player(db, model, p, false);
        return;
    }
    player->own[key] = value;
    model->writer[key] = p;
}

static void expect_scan(struct db *db, struct model *model, int p, struct rng *rng)
{
    struct player *player = &model->players[p];
    int low = (int)rng_below(rng, KEYS), high = low + 1 + (int)rng_below(rng, KEYS), limit = 1 + (int)rng_below(rng, 12);
    bool backward = rng_below(rng, 2) == 1, whole = rng_below(rng, 3) > 0;
    char expected[512] = "", low_key[16], high_key[16];
    int rows = 0;

    low = whole ? 0 : low;
    high = whole || high > KEYS ? KEYS : high;
    for (int i = low; i < high && rows < limit; i++) {
        int key = backward ? high - 1 - (i - low) : i, value = value_for(model, p, key);
        if (value != 0) {
            size_t len = strlen(expected);
            snprintf(expected + len, sizeof(expected) - len, "%s%s=%d", rows++ > 0 ? " " : "", row_key(key), value);
        }
    }
    strcpy(low_key, row_key(low));
    strcpy(high_key, row_key(high));
    const char *seen = scan(db, p, whole ? NULL : low_key, whole ? NULL : high_key, backward, limit);
    if (strcmp(seen, "[40001]") == 0 && player->level == TXN_SERIALIZABLE) {
        end_player(db, model, p, false);
        return;
    }
    assert_string_equal(seen, expected);
}

static void step_of(struct db *db, struct model *model, struct rng *rng)
{
    static const enum txn_level levels[] = { TXN_READ_COMMITTED, TXN_REPEATABLE_READ, TXN_SERIALIZABLE };
    int p = (int)rng_below(rng, PLAYERS);
    struct player *player = &model->players[p];

    if (!player->active) {
        begin_player(db, model, p, levels[rng_below(rng, 3)]);
        return;
    }
    uint64_t what = rng_below(rng, 20);
    if (what < 9) {
        expect_scan(db, model, p, rng);
    } else if (what < 12) {
        change(db, model, p, (int)rng_below(rng, KEYS), 1 + (int)rng_below(rng, 1000));
    } else if (what < 15) {
        int from = (int)rng_below(rng, KEYS), to = from + 5 + (int)rng_below(rng, 40);
        for (int key = from; key < to && key < KEYS; key++) {
            change(db, model, p, key, 0);
        }
    } else if (what < 16) {
        int from = (int)rng_below(rng, KEYS);
        for (int key = from; key < from + 10 && key < KEYS; key++) {
            change(db, model, p, key, 1 + (int)rng_below(rng, 1000));
        }
    } else if (what < 18) {
        /* Player 0 sits idle for long. */
        end_player(db, model, p, p != 0 || rng_below(rng, 8) == 0 ? rng_below(rng, 4) > 0 : true);
    } else if (what == 18) {
        MUST(db, txn_purge(&db->op, db->manager));
    }
}

static void random_scans_see_what_their_snapshots_say(void **state)
{
    const char *count = getenv("COUNT"), *seed_text = getenv("SEED");
    uint64_t seed = seed_text != NULL ? strtoull(seed_text, NULL, 10) : 1;
    unsigned rounds = count != NULL ? (unsigned)atoi(count) : 40;

    for (unsigned round = 0; round < rounds; round++) {
        static struct model model;
        struct rng rng;
        struct db db;
        rng_seed(&rng, seed + round);
        memset(&model, 0, sizeof(model));
        memset(model.writer, -1, sizeof(model.writer));
        db_open(&db, false);
        begin_player(&db, &model, 1, TXN_READ_COMMITTED);
        for (int key = 0; key < KEYS; key++) {
            change(&db, &model, 1, key, 1);
        }
        end_player(&db, &model, 1, true);
        begin_player(&db, &model, 0, TXN_REPEATABLE_READ);
        for (int i = 0; i < 600; i++) {
            step_of(&db, &model, &rng);
        }
        for (int p = 0; p < PLAYERS; p++) {
            if (model.players[p].active) {
                end_player(&db, &model, p, false);
            }
        }
        db_close(&db);
    }
    printf("txn-stretches seed=%llu count=%u failures=0\n", (unsigned long long)seed, rounds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_way_over_ghosts_is_walked_once),
        cmocka_unit_test(each_snapshot_skips_what_it_may),
        cmocka_unit_test(a_row_put_among_the_ghosts_is_found),
        cmocka_unit_test(what_is_skipped_is_recorded_as_read),
        cmocka_unit_test(random_scans_see_what_their_snapshots_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
