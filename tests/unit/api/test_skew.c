/*
 * Threads that read by conditions and write what others have read by conditions: at SERIALIZABLE none of a pair of rows may be switched on
 * while the other is, though each transaction has only looked, and no two of them have changed the same row.
 *
 * The rows are found through an index or by reading the whole table, alone or in a join, while indexes of the table come and go.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "api_test.h"

#include "src/base/rng.h"

enum { THREADS = 4, PAIRS = 8 };

static isolde_db *db;
static atomic_int committed, failures, violations;
static uint64_t seed = 1, count = 250;

static int get_count(void *arg, int columns, const char *const *values, const char *const *names)
{
    *(int *)arg = atoi(values[0]);
    return 0;
}

static bool try(isolde_conn *conn, const char *format, int a, int b)
{
    char sql[200];

    snprintf(sql, sizeof sql, format, a, b);
    return isolde_exec(conn, sql, NULL, NULL) == ISOLDE_OK;
}

/* Looks whether one of the pair is on, and if none is, switches one on or adds another. */
static bool switch_on(isolde_conn *conn, struct rng *rng, int pair)
{
    int on = -1;
    char sql[200];

    snprintf(sql, sizeof sql, "SELECT count(*) FROM light WHERE pair = %d AND is_on = 1", pair);
    if (isolde_exec(conn, sql, get_count, &on) != ISOLDE_OK)
        return false;
    if (on > 1)
        atomic_fetch_add(&violations, 1);
    if (on > 0)
        return true;
    return rng_below(rng, 3) == 0 ? try(conn, "INSERT INTO light SELECT max(id) + 1, %d, %d FROM light", pair, 1)
                                  : try(conn, "UPDATE light SET is_on = 1 WHERE id = %d AND pair = %d", 2 * pair + (int)rng_below(rng, 2), pair);
}

static bool transaction(isolde_conn *conn, struct rng *rng)
{
    int pair = (int)rng_below(rng, PAIRS);

    if (!try(conn, rng_below(rng, 2) ? "BEGIN ISOLATION LEVEL SERIALIZABLE; SET LOCAL enable_seqscan = off"
                                     : "BEGIN ISOLATION LEVEL SERIALIZABLE; SET LOCAL enable_indexscan = off", 0, 0))
        return false;
    switch (rng_below(rng, 4)) {
    case 0:
        if (!try(conn, "UPDATE light SET is_on = 0 WHERE pair = %d AND is_on = 1", pair, 0))
            return false;
        break;
    case 1:
        if (!try(conn, "SELECT is_on FROM room JOIN light USING (pair) WHERE room.id = %d", pair, 0) ||
            !try(conn, "UPDATE room SET visits = visits + 1 WHERE id = %d", (pair + 1) % PAIRS, 0))
            return false;
        break;
    default:
        if (!switch_on(conn, rng, pair))
            return false;
    }
    return try(conn, "COMMIT", 0, 0);
}

static void *work(void *arg)
{
    struct rng rng;
    isolde_conn *conn;

    rng_seed(&rng, seed * 1000 + *(int *)arg);
    if (isolde_connect(db, &conn, NULL) != ISOLDE_OK)
        return NULL;
    for (uint64_t i = 0; i < count; i++) {
        bool done = transaction(conn, &rng);
        atomic_fetch_add(done ? &committed : &failures, 1);
        if (!done)
            isolde_exec(conn, "ROLLBACK", NULL, NULL);
    }
    isolde_disconnect(conn);
    return NULL;
}

static void no_two_of_a_pair_are_on(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[THREADS];
    int numbers[THREADS];

    if (getenv("SEED"))
        seed = strtoull(getenv("SEED"), NULL, 10);
    if (getenv("COUNT"))
        count = strtoull(getenv("COUNT"), NULL, 10);
    db = f->db;
    run(f->conn, "CREATE TABLE light (id int PRIMARY KEY, pair int, is_on int); CREATE INDEX ON light (pair);"
                 "INSERT INTO light SELECT i, i / 2, 0 FROM generate_series(0, 15) i;"
                 "CREATE TABLE room (id int PRIMARY KEY, pair int, visits int); INSERT INTO room SELECT i, i, 0 FROM generate_series(0, 7) i");
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, work, &numbers[i]), 0);
    }
    for (int i = 0; i < 3; i++) {       /* they may lose a deadlock against those who write what they have read */
        ask(f->conn, "CREATE INDEX late ON light (is_on)");
        ask(f->conn, "DROP INDEX IF EXISTS late");
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("api-skew seed=%llu count=%llu committed=%d failures=%d\n", (unsigned long long)seed, (unsigned long long)count,
           atomic_load(&committed), atomic_load(&failures));
    assert_true(atomic_load(&committed) > 0);
    assert_int_equal(atomic_load(&violations), 0);
    expect(f->conn, "SELECT pair FROM light WHERE is_on = 1 GROUP BY pair HAVING count(*) > 1", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(no_two_of_a_pair_are_on, open_memory, close_memory) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
