/*
 * test_memory.c -- memory runs out at every place where it can.
 *
 * Each step below is run again and again: first its first allocation fails, then its second, and so on until it comes through without any having
 * failed.  A step that fails must say 53200 and have changed nothing; one that succeeds all the same must answer as always.  In both cases
 * the connection goes on, and in the end the database is sound.  Leaks are AddressSanitizer's to find (make check-asan).
 *
 * Background threads allocate too, so the numbers are not the same in every run.  STRIDE= says how many places are passed over on average (1:
 * none); SEED= which.  Ends with "memory seed=S count=N failures=F".
 */
#include <time.h>
#include <unistd.h>

#include "src/base/mem.h"
#include "src/base/rng.h"
#include "tests/unit/api/api_test.h"

struct step {
    const char *sql;        /* one statement or several */
    const char *undo;       /* brings back what was before; NULL when nothing was changed */
    const char *copied;     /* for COPY FROM STDIN */
};

static const char *const tables[] = {
    "CREATE TABLE a (id int PRIMARY KEY, x int, y text, n numeric(10,2), d date)",
    "CREATE TABLE b (id int PRIMARY KEY, aid int, v int, w text)",
    "CREATE TABLE free (k int, long text)",
    "CREATE INDEX ON a (x)",
    "CREATE UNIQUE INDEX b_v ON b (v, aid DESC)",
    "INSERT INTO a SELECT i, i % 7, 'y' || i, i * 1.25, date '2024-01-01' + i FROM generate_series(1, 60) AS g(i)",
    "INSERT INTO b SELECT i, i % 60, i, repeat('w', i % 9) FROM generate_series(1, 200) AS g(i)",
    "INSERT INTO free SELECT i, repeat('long', i) FROM generate_series(1, 40) AS g(i)",
};

static const struct step steps[] = {
    {"CREATE TABLE c (id int PRIMARY KEY, u text UNIQUE, z numeric DEFAULT 1.5 NOT NULL)", "DROP TABLE c", NULL},
    {"CREATE INDEX a_y ON a (y DESC, n)", "DROP INDEX a_y", NULL},
    {"CREATE UNIQUE INDEX a_n ON a (n)", "DROP INDEX a_n", NULL},
    {"BEGIN; CREATE TABLE c (i int); INSERT INTO c VALUES (1), (2); CREATE INDEX ON c (i); DROP TABLE c; COMMIT", NULL, NULL},
    {"DROP INDEX b_v", "CREATE UNIQUE INDEX b_v ON b (v, aid DESC)", NULL},
    {"BEGIN; DROP TABLE free; ROLLBACK", NULL, NULL},
    {"INSERT INTO a VALUES (100, 1, 'one', 1.5, '2024-02-29'), (101, 2, 'two', NULL, NULL) RETURNING id, y", "DELETE FROM a WHERE id >= 100", NULL},
    {"INSERT INTO b SELECT i, i, i, 'many' FROM generate_series(1000, 1700) AS g(i)", "DELETE FROM b WHERE id >= 1000", NULL},
    {"INSERT INTO free VALUES (99, repeat('overflow', 5000)) RETURNING length(long)", "DELETE FROM free WHERE k = 99", NULL},
    {"UPDATE a SET x = x + 100, y = upper(y) WHERE x = 3 RETURNING id", "UPDATE a SET x = x - 100, y = lower(y) WHERE x = 103", NULL},
    {"UPDATE b SET v = v + 1000", "UPDATE b SET v = v - 1000", NULL},
    {"UPDATE a SET id = id + 1000 WHERE id > 55", "UPDATE a SET id = id - 1000 WHERE id > 1000", NULL},
    {"BEGIN; DELETE FROM b WHERE aid IN (SELECT id FROM a WHERE x = 2); SELECT count(*) FROM b; ROLLBACK", NULL, NULL},
    {"BEGIN; INSERT INTO free VALUES (50, 'a'); SAVEPOINT s; UPDATE free SET long = 'b' WHERE k > 30; ROLLBACK TO s;"
     " SAVEPOINT t; DELETE FROM free WHERE k = 1; RELEASE t; COMMIT", "DELETE FROM free WHERE k = 50; INSERT INTO free VALUES (1, 'long')", NULL},
    {"BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT sum(v) FROM b WHERE aid = 7; UPDATE free SET k = k WHERE k = 3; COMMIT", NULL, NULL},
    {"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM a WHERE x > 2; SELECT count(*) FROM b WHERE v BETWEEN 10 AND 90; COMMIT", NULL, NULL},
    {"SELECT a.y, count(*), sum(b.v), string_agg(b.w, ',' ORDER BY b.w) FROM a JOIN b ON b.aid = a.id WHERE a.x = 6 GROUP BY a.y"
     " HAVING sum(b.v) > 400 ORDER BY a.y LIMIT 2", NULL, NULL},
    {"SELECT a.id, b.id FROM a LEFT JOIN b ON b.aid = a.id AND b.v > 190 WHERE a.id BETWEEN 9 AND 11 ORDER BY 1, 2", NULL, NULL},
    {"SELECT count(DISTINCT w), min(w), max(v), avg(v) FILTER (WHERE v < 4) FROM b", NULL, NULL},
    {"SELECT x FROM a UNION SELECT v % 5 FROM b ORDER BY 1 DESC", NULL, NULL},
    {"SELECT DISTINCT lower(w) || substr(w, 2) FROM b WHERE length(w) < 3 ORDER BY 1", NULL, NULL},
    {"SELECT id, (SELECT max(v) FROM b WHERE b.aid = a.id) FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.aid = a.id AND b.v > 197)"
     " AND id NOT IN (SELECT k FROM free WHERE k < 19) ORDER BY id", NULL, NULL},
    {"SET work_mem = '64kB'; SELECT count(*) FROM (SELECT k, long, g FROM free, generate_series(1, 40) AS g ORDER BY long, g DESC) s;"
     " RESET work_mem", NULL, NULL},
    {"SET work_mem = '64kB'; SELECT count(*) FROM (SELECT DISTINCT long || g FROM free, generate_series(1, 20) AS g) s; RESET work_mem", NULL, NULL},
    {"SET enable_nestloop = off; SELECT count(*) FROM free a JOIN free b ON a.long = b.long JOIN b c ON c.v = a.k; RESET enable_nestloop", NULL, NULL},
    {"EXPLAIN SELECT * FROM a JOIN b ON a.id = b.aid WHERE a.x = 1 ORDER BY b.v", NULL, NULL},
    {"SHOW work_mem", NULL, NULL},
    {"SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1", NULL, NULL},
    {"SELECT 1/0", NULL, NULL},
    {"INSERT INTO a VALUES (200), (1)", NULL, NULL},
    {"COPY free FROM STDIN WITH (FORMAT csv)", "DELETE FROM free WHERE k > 60", "61,\"quoted, text\"\n62,\n63,plain\n"},
    {"COPY a (id, n, d) FROM STDIN", "DELETE FROM a WHERE id > 60", "61\t1.5\t2024-03-01\n62\t\\N\t\\N\n"},
    {"COPY (SELECT id, y FROM a WHERE id < 4 ORDER BY id) TO STDOUT", NULL, NULL},
};

static struct rng rng;
static uint64_t stride = 23;
static uint64_t failed, refused;       /* allocations that failed; statements that did for want of one */

/* ---- running a step -------------------------------------------------------------------------------- */

/* A statement as a program would run it, with everything that a prepared statement can do on the way. */
static const char *prepared(isolde_conn *conn, const struct step *step)
{
    static char text[8192];
    isolde_stmt *stmt = NULL;
    const void *data;
    size_t len, used = 0;
    int rc = isolde_prepare(conn, step->sql, -1, &stmt);
    if (rc == ISOLDE_OK)
        rc = isolde_step(stmt);
    if (rc == ISOLDE_COPY_IN) {
        rc = isolde_copy_put(stmt, step->copied, strlen(step->copied));
        if (rc == ISOLDE_OK)
            rc = isolde_copy_end(stmt, NULL);
    }
    if (rc == ISOLDE_COPY_OUT)
        while ((rc = isolde_copy_get(stmt, &data, &len)) == ISOLDE_OK && used + len < sizeof text) {
            memcpy(text + used, data, len);
            used += len;
        }
    text[used] = '\0';
    if (rc < 0)
        snprintf(text, sizeof text, "%s %s", isolde_error_sqlstate(isolde_error(conn)), isolde_error_message(isolde_error(conn)));
    isolde_finalize(stmt);
    return text;
}

static const char *step_run(isolde_conn *conn, const struct step *step)
{
    return strncmp(step->sql, "COPY", 4) == 0 ? prepared(conn, step) : ask(conn, step->sql);
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static void must_not_fail(isolde_conn *conn, const char *sql)
{
    const char *answer = ask(conn, sql);
    if (*answer) {
        fprintf(stderr, "%s: %s\n", sql, answer);
        abort();
    }
}

/* Sums over everything that the steps change. */
static const char *state(isolde_conn *conn)
{
    static char text[1024];
    static const char *const sums[] = {
        "SELECT count(*), sum(id), sum(x), min(y), max(y), sum(n), max(d) FROM a",
        "SELECT count(*), sum(id), sum(v), sum(aid), sum(length(w)) FROM b",
        "SELECT count(*), sum(k), sum(length(long)) FROM free",
        "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'",
        "SELECT count(*) FROM b WHERE v > 0 AND aid >= 0",
    };
    size_t used = 0;
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s;", ask(conn, sums[i]));
    return text;
}

static void wrong(const struct step *step, uint64_t n, const char *got, const char *wanted)
{
    fprintf(stderr, "%s\n  allocation %llu fails: \"%s\" instead of \"%s\"\n", step->sql, (unsigned long long)n, got, wanted);
    abort();
}

static void sound(isolde_conn *conn, const struct step *step, uint64_t n)
{
    const char *answer = ask(conn, "CHECK DATABASE");
    if (!strstr(answer, "no error found"))
        wrong(step, n, answer, "no error found");
}

/* One try; returns whether the n-th allocation came to be asked for. */
static bool starve(isolde_conn *conn, const struct step *step, uint64_t n, const char *before, const char *answer)
{
    const char *got;
    mem_fail_at(n);
    got = step_run(conn, step);
    bool reached = mem_fail_at(0) >= n;
    failed += reached;
    if (begins(got, "53200")) {
        refused++;
        if (!reached)
            wrong(step, n, got, "an answer");
        if (isolde_transaction_status(conn) != 'I')
            must_not_fail(conn, "ROLLBACK");
        must_not_fail(conn, "RESET work_mem; RESET enable_nestloop");
    } else {
        if (strcmp(got, answer) != 0)
            wrong(step, n, got, answer);
        if (step->undo)
            must_not_fail(conn, step->undo);
    }
    if (strcmp(state(conn), before) != 0)
        wrong(step, n, state(conn), before);
    if (reached && refused % 64 == 1)
        sound(conn, step, n);
    return reached;
}

static void every_place(isolde_conn *conn, const struct step *step)
{
    char before[1024], answer[8192];
    uint64_t n = 1 + rng_below(&rng, stride);
    snprintf(before, sizeof before, "%s", state(conn));
    snprintf(answer, sizeof answer, "%s", step_run(conn, step));
    if (step->undo)
        must_not_fail(conn, step->undo);
    while (starve(conn, step, n, before, answer))
        n += 1 + rng_below(&rng, 2 * stride - 1);
    sound(conn, step, n);
}

/* ---- opening --------------------------------------------------------------------------------------- */

/* Opens the file, asks something of it and closes it: with restart's memory failing too when it was not closed cleanly. */
static bool open_starved(const char *path, uint64_t n)
{
    isolde_db *db = NULL;
    isolde_conn *conn = NULL;
    isolde_err *err = NULL;
    const char *answer = "53200";
    mem_fail_at(n);
    int rc = isolde_open(path, "cache_size=1MB", &db, &err);
    if (rc == ISOLDE_OK)
        rc = isolde_connect(db, &conn, &err);
    if (rc == ISOLDE_OK)
        answer = ask(conn, "CREATE TABLE IF NOT EXISTS t (a int PRIMARY KEY); SELECT count(*) FROM t");
    isolde_disconnect(conn);
    isolde_close(db);       /* without its last checkpoint, perhaps: the next open restarts from the log */
    bool reached = mem_fail_at(0) >= n;
    failed += reached;
    refused += rc != ISOLDE_OK;
    if ((rc != ISOLDE_OK && (!reached || (err && strcmp(isolde_error_sqlstate(err), "53200") != 0)))
        || (!begins(answer, "53200") && strcmp(answer, "0") != 0)) {
        fprintf(stderr, "open: allocation %llu fails: %s, %s\n", (unsigned long long)n, err ? isolde_error_message(err) : "-", answer);
        abort();
    }
    isolde_error_free(err);
    return reached;
}

static void opening(void)
{
    char path[64], other[80];
    static const char *const suffixes[] = {"", "-wal", "-dw", "-tmp"};
    snprintf(path, sizeof path, "/tmp/isolde-memory-%ld.db", (long)getpid());
    for (uint64_t n = 1 + rng_below(&rng, stride); open_starved(":memory:", n);)
        n += 1 + rng_below(&rng, 2 * stride - 1);
    for (uint64_t n = 1 + rng_below(&rng, stride); open_starved(path, n);)
        n += 1 + rng_below(&rng, 2 * stride - 1);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        snprintf(other, sizeof other, "%s%s", path, suffixes[i]);
        unlink(other);
    }
}

int main(void)
{
    const char *given_seed = getenv("SEED"), *given_stride = getenv("STRIDE");
    uint64_t seed = given_seed ? strtoull(given_seed, NULL, 0) : (uint64_t)time(NULL);
    isolde_db *db;
    isolde_conn *conn;
    if (given_stride)
        stride = strtoull(given_stride, NULL, 0);
    rng_seed(&rng, seed);
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    opening();
    if (isolde_open(":memory:", "cache_size=2MB", &db, NULL) != ISOLDE_OK || isolde_connect(db, &conn, NULL) != ISOLDE_OK)
        abort();
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        must_not_fail(conn, tables[i]);
    must_not_fail(conn, "UPDATE free SET long = 'long' WHERE k = 1");
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        every_place(conn, &steps[i]);
    isolde_disconnect(conn);
    if (isolde_close(db) != ISOLDE_OK)
        abort();
    printf("memory seed=%llu count=%llu failures=0\n", (unsigned long long)seed, (unsigned long long)failed);
    return 0;
}
