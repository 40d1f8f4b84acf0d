/*
 * bench.c -- the same work through Isolde's and SQLite's C API, in one run, in alternating rounds.
 *
 * Printed are the medians of each side and their ratio (above 1: Isolde is faster).  Both sides get the same schema, prepared statements,
 * the same cache and the same durability: SQLite in WAL mode with synchronous=FULL, where "durable" means an fsync per
 * commit, and NORMAL elsewhere, like Isolde.
 *
 *      bench/bench [ROUNDS [ROWS [SECTION...]]]      sections: load point range scan commit
 */
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>


#include "src/isolde.h"

enum { ROUNDS_MAX = 21, THREADS_MAX = 32, CACHE_MB = 256 };

static int rows = 1000000;
static char folder[] = "bench-XXXXXX";

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* ---- one side: a database and how to use it ----------------------------------------------------------- */

struct statement {
    isolde_stmt *isolde;
    sqlite3_stmt *sqlite;
};

struct connection {
    isolde_conn *isolde;
    sqlite3 *sqlite;
};

static isolde_db *isolde_database;
static char sqlite_path[300];

static struct connection connect_side(bool is_isolde)
{
    struct connection c = { 0 };
    isolde_err *err = NULL;
    if (is_isolde) {
        if (isolde_connect(isolde_database, &c.isolde, &err) != ISOLDE_OK)
            die("isolde_connect", isolde_error_message(err));
        return c;
    }
    if (sqlite3_open(sqlite_path, &c.sqlite) != SQLITE_OK)
        die("sqlite3_open", sqlite3_errmsg(c.sqlite));
    sqlite3_busy_timeout(c.sqlite, 60000);
    char pragma[200];
    snprintf(pragma, sizeof pragma, "PRAGMA journal_mode=WAL; PRAGMA cache_size=-%d; PRAGMA mmap_size=0", CACHE_MB * 1024);
    sqlite3_exec(c.sqlite, pragma, NULL, NULL, NULL);
    return c;
}

static void run(struct connection c, const char *sql)
{
    char *message = NULL;
    if (c.isolde && isolde_exec(c.isolde, sql, NULL, NULL) != ISOLDE_OK)
        die(sql, isolde_error_message(isolde_error(c.isolde)));
    if (c.sqlite && sqlite3_exec(c.sqlite, sql, NULL, NULL, &message) != SQLITE_OK)
        die(sql, message);
}

static void set_durable(struct connection c, bool durable)
{
    if (c.isolde)
        run(c, durable ? "SET synchronous_commit = on" : "SET synchronous_commit = off");
    else
        run(c, durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
}

static struct statement prepare(struct connection c, const char *sql)
{
    struct statement s = { 0 };
    if (c.isolde && isolde_prepare(c.isolde, sql, -1, &s.isolde) != ISOLDE_OK)
        die(sql, isolde_error_message(isolde_error(c.isolde)));
    if (c.sqlite && sqlite3_prepare_v2(c.sqlite, sql, -1, &s.sqlite, NULL) != SQLITE_OK)
        die(sql, sqlite3_errmsg(c.sqlite));
    return s;
}

static void bind_int(struct statement s, int n, int64_t value)
{
    if (s.isolde)
        isolde_bind_int64(s.isolde, n, value);
    else
        sqlite3_bind_int64(s.sqlite, n, value);
}

static void bind_text(struct statement s, int n, const char *value, int len)
{
    if (s.isolde)
        isolde_bind_text(s.isolde, n, value, len);
    else
        sqlite3_bind_text(s.sqlite, n, value, len, SQLITE_STATIC);
}

/* True while there is a row. */
static bool step(struct connection c, struct statement s)
{
    if (s.isolde) {
        int result = isolde_step(s.isolde);
        if (result != ISOLDE_ROW && result != ISOLDE_DONE)
            die("step", isolde_error_message(isolde_error(c.isolde)));
        return result == ISOLDE_ROW;
    }
    int result = sqlite3_step(s.sqlite);
    if (result != SQLITE_ROW && result != SQLITE_DONE)
        die("step", sqlite3_errmsg(c.sqlite));
    return result == SQLITE_ROW;
}

static int64_t column_int(struct statement s, int column)
{
    return s.isolde ? isolde_column_int64(s.isolde, column) : sqlite3_column_int64(s.sqlite, column);
}

static size_t column_text_length(struct statement s, int column)
{
    if (s.isolde)
        return isolde_column_text(s.isolde, column) ? isolde_column_bytes(s.isolde, column) : 0;
    return sqlite3_column_text(s.sqlite, column) ? (size_t)sqlite3_column_bytes(s.sqlite, column) : 0;
}

static void reset(struct statement s)
{
    if (s.isolde)
        isolde_reset(s.isolde);
    else
        sqlite3_reset(s.sqlite);
}

static void finish(struct statement s)
{
    isolde_finalize(s.isolde);
    sqlite3_finalize(s.sqlite);
}

static void disconnect(struct connection c)
{
    isolde_disconnect(c.isolde);
    sqlite3_close(c.sqlite);
}

/* ---- the work ------------------------------------------------------------------------------------------ */

/* A row of about 110 bytes: two numbers, a group, a text. */
static void load_rows(struct connection c)
{
    char text[96];
    run(c, "DROP TABLE IF EXISTS item");
    run(c, c.isolde ? "CREATE TABLE item (id bigint PRIMARY KEY, grp integer NOT NULL, v bigint NOT NULL, t text NOT NULL)"
        : "CREATE TABLE item (id INTEGER PRIMARY KEY, grp INTEGER NOT NULL, v INTEGER NOT NULL, t TEXT NOT NULL)");
    struct statement insert = prepare(c, "INSERT INTO item VALUES ($1, $2, $3, $4)");
    memset(text, 'x', sizeof text);
    run(c, "BEGIN");
    for (int i = 0; i < rows; i++) {
        int len = 70 + i % 20;
        bind_int(insert, 1, i);
        bind_int(insert, 2, (int64_t)i * 7919 % 1000);
        bind_int(insert, 3, (int64_t)i * 31 % 1000003);
        memcpy(text, "row ", 4);
        bind_text(insert, 4, text, len);
        step(c, insert);
        reset(insert);
    }
    run(c, "COMMIT");
    finish(insert);
}

struct reader {
    bool is_isolde;
    int count;
    uint64_t seed;
    const char *sql;
    int64_t low, range;
    uint64_t sum;
};

static void *read_points(void *arg)
{
    struct reader *r = arg;
    struct connection c = connect_side(r->is_isolde);
    struct statement s = prepare(c, r->sql);
    for (int i = 0; i < r->count; i++) {
        bind_int(s, 1, r->low + (int64_t)(random_next(&r->seed) % (uint64_t)r->range));
        while (step(c, s))
            r->sum += (uint64_t)column_int(s, 0) + column_text_length(s, 1);
        reset(s);
    }
    finish(s);
    disconnect(c);
    return NULL;
}

/* Seconds for `threads` threads to do count statements each. */
static double time_readers(bool is_isolde, int threads, const char *sql, int64_t range, int count)
{
    pthread_t ids[THREADS_MAX];
    struct reader readers[THREADS_MAX];
    double start = now();
    for (int i = 0; i < threads; i++) {
        readers[i] = (struct reader){ is_isolde, count, 88172645463325252u + (uint64_t)i * 7, sql, 0, range, 0 };
        pthread_create(&ids[i], NULL, read_points, &readers[i]);
    }
    for (int i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    return now() - start;
}

static double time_query(bool is_isolde, const char *sql)
{
    struct connection c = connect_side(is_isolde);
    struct statement s = prepare(c, sql);
    volatile int64_t sum = 0;
    double start = now();
    while (step(c, s))
        sum += column_int(s, 0);
    double taken = now() - start;
    finish(s);
    disconnect(c);
    return taken;
}

struct writer {
    bool is_isolde;
    int first, count;
};

static void *write_rows(void *arg)
{
    struct writer *w = arg;
    struct connection c = connect_side(w->is_isolde);
    set_durable(c, true);
    struct statement s = prepare(c, "INSERT INTO journal VALUES ($1, 'an entry of the journal')");
    for (int i = 0; i < w->count; i++) {
        bind_int(s, 1, w->first + i);
        step(c, s);
        reset(s);
    }
    finish(s);
    disconnect(c);
    return NULL;
}

static double time_commits(bool is_isolde, int threads, int commits)
{
    pthread_t ids[THREADS_MAX];
    struct writer writers[THREADS_MAX];
    struct connection c = connect_side(is_isolde);
    run(c, "DROP TABLE IF EXISTS journal");
    run(c, is_isolde ? "CREATE TABLE journal (id bigint PRIMARY KEY, t text)" : "CREATE TABLE journal (id INTEGER PRIMARY KEY, t TEXT)");
    double start = now();
    for (int i = 0; i < threads; i++) {
        writers[i] = (struct writer){ is_isolde, i * 10000000, commits / threads };
        pthread_create(&ids[i], NULL, write_rows, &writers[i]);
    }
    for (int i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    double taken = now() - start;
    disconnect(c);
    return taken;
}

/* ---- rounds and medians -------------------------------------------------------------------------------- */

enum kind { LOAD, POINT, RANGE, QUERY, COMMIT };

struct work {
    const char *section, *name;
    enum kind kind;
    int threads, operations;
    const char *sql;
    double target;
};

static double measure(const struct work *work, bool is_isolde)
{
    switch (work->kind) {
    case LOAD: {
        struct connection c = connect_side(is_isolde);
        set_durable(c, false);
        double start = now();
        load_rows(c);
        double taken = now() - start;
        disconnect(c);
        return taken;
    }
    case POINT: return time_readers(is_isolde, work->threads, work->sql, rows, work->operations);
    case RANGE: return time_readers(is_isolde, work->threads, work->sql, 1000, work->operations);
    case QUERY: return time_query(is_isolde, work->sql);
    case COMMIT: return time_commits(is_isolde, work->threads, work->operations);
    }
    return 0;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static void compare_sides(const struct work *work, int rounds)
{
    double times[2][ROUNDS_MAX], medians[2];
    for (int r = 0; r < rounds; r++)
        for (int side = 0; side < 2; side++)
            times[(side + r) % 2][r] = measure(work, (side + r) % 2 == 1);
    for (int side = 0; side < 2; side++)
        medians[side] = median(times[side], rounds);
    double operations = (double)work->operations * (work->kind == POINT || work->kind == RANGE ? work->threads : 1);
    printf("%-44s %12.0f/s %12.0f/s   %6.2fx   (target %.1fx)\n", work->name, operations / medians[1], operations / medians[0],
           medians[0] / medians[1], work->target);
    fflush(stdout);
}

static void create_indexes(void)
{
    for (int side = 0; side < 2; side++) {
        struct connection c = connect_side(side);
        run(c, "DROP INDEX IF EXISTS item_grp");
        run(c, "CREATE INDEX item_grp ON item (grp)");
        disconnect(c);
    }
}

static bool wanted(int argc, char **argv, const char *section)
{
    if (argc <= 3)
        return true;
    for (int i = 3; i < argc; i++)
        if (strcmp(argv[i], section) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 5;
    if (argc > 2)
        rows = atoi(argv[2]);
    if (rounds < 1 || rounds > ROUNDS_MAX || rows < 1000)
        die("usage", "bench [ROUNDS (1-21) [ROWS (1000-) [SECTION...]]]");
    if (!mkdtemp(folder))
        die(folder, "cannot make the folder");
    char path[300], options[100];
    isolde_err *err = NULL;
    snprintf(path, sizeof path, "%s/isolde.db", folder);
    snprintf(sqlite_path, sizeof sqlite_path, "%s/sqlite.db", folder);
    snprintf(options, sizeof options, "cache_size=%dMB", CACHE_MB);
    if (isolde_open(path, options, &isolde_database, &err) != ISOLDE_OK)
        die(path, isolde_error_message(err));

    static const char point[] = "SELECT v, t FROM item WHERE id = $1";
    struct work works[] = {
        { "load", "load in one transaction, rows", LOAD, 1, rows, NULL, 1.0 },
        { "point", "point reads by key, 1 thread", POINT, 1, 200000, point, 1.0 },
        { "point", "point reads by key, 2 threads", POINT, 2, 200000, point, 1.0 },
        { "range", "range reads by secondary index, 1 thread", RANGE, 1, 300, "SELECT v, t FROM item WHERE grp = $1", 1.0 },
        { "scan", "full scan, sum of a filtered column", QUERY, 1, 1, "SELECT sum(v) FROM item WHERE grp < 500", 2.0 },
        { "scan", "full scan, count and average", QUERY, 1, 1, "SELECT count(*), avg(v) FROM item", 2.0 },
        { "scan", "GROUP BY, 1000 groups", QUERY, 1, 1, "SELECT grp, count(*), sum(v) FROM item GROUP BY grp", 2.0 },
        { "commit", "durable commits, 1 thread", COMMIT, 1, 2000, NULL, 1.0 },
        { "commit", "durable commits, 2 threads", COMMIT, 2, 3000, NULL, 1.0 },
        { "commit", "durable commits, 4 threads", COMMIT, 4, 4000, NULL, 1.0 },
        { "commit", "durable commits, 8 threads", COMMIT, 8, 6000, NULL, 1.0 },
        { "commit", "durable commits, 16 threads", COMMIT, 16, 8000, NULL, 4.0 },
        { "commit", "durable commits, 32 threads", COMMIT, 32, 9600, NULL, 4.0 },
    };
    printf("%-44s %14s %14s %9s   (medians of %d rounds, %d rows)\n", "", "Isolde", "SQLite", "ratio", rounds, rows);
    for (size_t i = 0; i < sizeof works / sizeof works[0]; i++) {
        bool needs_rows = i > 0 && works[i - 1].kind == LOAD;
        if (needs_rows) {
            if (!wanted(argc, argv, "load"))
                for (int side = 0; side < 2; side++) {
                    struct connection c = connect_side(side);
                    set_durable(c, false);
                    load_rows(c);
                    disconnect(c);
                }
            create_indexes();
        }
        if (wanted(argc, argv, works[i].section))
            compare_sides(&works[i], rounds);
    }
    isolde_close(isolde_database);
    char command[400];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}
