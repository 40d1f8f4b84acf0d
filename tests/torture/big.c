/*
 * big.c -- a database far larger than its cache: loaded, read, changed, checked, and never more memory than was agreed.
 *
 * A table of some hundred megabytes with an index in random order lies under a cache of a few, so that nearly every
 * page is read from disk, changed, written out to make room, and read again.  What each row holds follows from its
 * number; so the answers of all queries are computed beside the database, and compared.
 *
 *      load        in key order, in transactions of 1,000 rows; the index grows in random order
 *      scan        all of it, and ranges of the index
 *      update      rows at random in small transactions, then every 25th in a single statement
 *      delete      the last tenth of the table, and the same loaded again, twice: pages that became free are used again
 *      check       CHECK DATABASE; close, open, scan again
 *
 * B1  At no time does the process hold more memory than the cache, the version store's and a fixed allowance, whatever the size of the data.
 *
 * SIZE_MB= and CACHE_MB= choose the sizes (400 and 8), SEED= the rows.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "src/isolde.h"

enum {
    ROW_BYTES = 1000,           /* of a row, on average, with all that goes with it */
    VERSIONS_MB = 16,           /* version_store_memory: the largest transactions here need more, and spill */
    ALLOWANCE_MB = 48,          /* program, log buffer, work_mem of a statement */
    BATCH = 1000, GROUPS = 1000, EVERY = 25,
};

static struct {
    isolde_db *db;
    isolde_conn *conn;
    char path[300];
    long long seed, rows, cache_mb;
    unsigned char *updates;     /* how often each row was changed */
    long long peak_kb;
    int failures;
} all;

static long long number_of_run(const char *name, long long usual)
{
    const char *text = getenv(name);
    return text ? atoll(text) : usual;
}

static void give_up(const char *what, const isolde_err *err)
{
    fprintf(stderr, "%s: %s %s\n", what, isolde_error_sqlstate(err), isolde_error_message(err));
    printf("big seed=%lld count=%lld failures=1\n", all.seed, all.rows);
    exit(1);
}

static void expect(const char *what, long long got, long long wanted)
{
    if (got == wanted)
        return;
    fprintf(stderr, "%s: %lld where %lld was expected\n", what, got, wanted);
    all.failures++;
}

/* ---- what the rows hold --------------------------------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static int group_of(long long id)
{
    return (int)(mix((uint64_t)(id + all.seed)) % GROUPS);
}

/* The length of a row's text depends on how often the row was changed: changes move it within its page, and out
 * of it. */
static int length_of(long long id, int updates)
{
    return (int)(mix((uint64_t)id * 31 + (uint64_t)updates) % (2 * ROW_BYTES - 200)) + 20;
}

static const char *text_of(long long id, int updates)
{
    static char text[2 * ROW_BYTES];
    int len = length_of(id, updates);
    uint64_t x = mix((uint64_t)id + (uint64_t)updates * 77);
    for (int i = 0; i < len; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        text[i] = (char)('a' + (x >> 40) % 26);
    }
    text[len] = '\0';
    return text;
}

/* ---- the database --------------------------------------------------------------------------------- */

static void run(const char *sql)
{
    if (isolde_exec(all.conn, sql, NULL, NULL) != ISOLDE_OK)
        give_up(sql, isolde_error(all.conn));
}

static isolde_stmt *prepare(const char *sql)
{
    isolde_stmt *stmt;
    if (isolde_prepare(all.conn, sql, -1, &stmt) != ISOLDE_OK)
        give_up(sql, isolde_error(all.conn));
    return stmt;
}

static void step(isolde_stmt *stmt, int wanted)
{
    if (isolde_step(stmt) != wanted)
        give_up("step", isolde_error(all.conn));
}

static void open_database(void)
{
    char options[100];
    isolde_err *err = NULL;
    snprintf(options, sizeof options, "cache_size=%lldMB version_store_memory=%dMB max_wal_size=64MB", all.cache_mb, VERSIONS_MB);
    if (isolde_open(all.path, options, &all.db, &err) != ISOLDE_OK
        || isolde_connect(all.db, &all.conn, &err) != ISOLDE_OK)
        give_up("open", err);
}

static void close_database(void)
{
    isolde_disconnect(all.conn);
    if (isolde_close(all.db) != ISOLDE_OK) {
        fprintf(stderr, "close failed\n");
        all.failures++;
    }
}

static long long file_mb(void)
{
    FILE *file = fopen(all.path, "rb");
    long long size = file && fseek(file, 0, SEEK_END) == 0 ? ftell(file) : 0;
    if (file)
        fclose(file);
    return size >> 20;
}

/* ---- memory and time ------------------------------------------------------------------------------ */

static void watch_memory(void)
{
    long long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file)
        return;
    if (fscanf(file, "%lld %lld", &pages, &resident) == 2 && resident * (sysconf(_SC_PAGESIZE) / 1024) > all.peak_kb)
        all.peak_kb = resident * (sysconf(_SC_PAGESIZE) / 1024);
    fclose(file);
}

static void done(const char *phase)
{
    static struct timespec before;
    struct timespec now;
    watch_memory();
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (before.tv_sec != 0)
        printf("%-8s %6.1f s, %lld MB of file, at most %lld MB of memory\n", phase,
               (double)(now.tv_sec - before.tv_sec) + (double)(now.tv_nsec - before.tv_nsec) / 1e9, file_mb(),
               all.peak_kb >> 10);
    fflush(stdout);
    before = now;
}

/* ---- the phases ----------------------------------------------------------------------------------- */

static void load(long long from, long long to)
{
    isolde_stmt *insert = prepare("INSERT INTO big VALUES ($1, $2, $3)");
    for (long long id = from; id < to; id++) {
        if ((id - from) % BATCH == 0)
            run("BEGIN");
        all.updates[id] = 0;
        isolde_bind_int64(insert, 1, id);
        isolde_bind_int64(insert, 2, group_of(id));
        isolde_bind_text(insert, 3, text_of(id, 0), -1);
        step(insert, ISOLDE_DONE);
        if ((id - from) % BATCH == BATCH - 1 || id == to - 1) {
            run("COMMIT");
            watch_memory();
        }
    }
    isolde_finalize(insert);
}

static void scan(void)
{
    isolde_stmt *stmt = prepare("SELECT count(*), sum(id), sum(grp), sum(length(filler)) FROM big");
    long long ids = 0, groups = 0, bytes = 0;
    for (long long id = 0; id < all.rows; id++) {
        ids += id;
        groups += group_of(id);
        bytes += length_of(id, all.updates[id]);
    }
    step(stmt, ISOLDE_ROW);
    expect("rows", isolde_column_int64(stmt, 0), all.rows);
    expect("sum of keys", isolde_column_int64(stmt, 1), ids);
    expect("sum of groups", isolde_column_int64(stmt, 2), groups);
    expect("bytes of text", isolde_column_int64(stmt, 3), bytes);
    isolde_finalize(stmt);
    watch_memory();
}

static void read_groups(void)
{
    isolde_stmt *stmt = prepare("SELECT id, filler FROM big WHERE grp = $1 ORDER BY id");
    for (int round = 0; round < 3; round++) {
        int group = (int)(mix((uint64_t)(all.seed + round)) % GROUPS);
        long long id = 0;
        isolde_bind_int64(stmt, 1, group);
        while (isolde_step(stmt) == ISOLDE_ROW) {
            while (id < all.rows && group_of(id) != group)
                id++;
            expect("key found by the index", isolde_column_int64(stmt, 0), id);
            if (id < all.rows && strcmp(isolde_column_text(stmt, 1), text_of(id, all.updates[id])) != 0)
                expect("text of a row", 0, id);
            id++;
        }
        while (id < all.rows && group_of(id) != group)
            id++;
        expect("end of the group", id, all.rows);
        watch_memory();
    }
    isolde_finalize(stmt);
}

static void update_at_random(void)
{
    isolde_stmt *update = prepare("UPDATE big SET filler = $2 WHERE id = $1");
    for (long long i = 0; i < all.rows / 50; i++) {
        long long id = (long long)(mix((uint64_t)(all.seed * 7 + i)) % (uint64_t)all.rows);
        if (i % 100 == 0)
            run("BEGIN");
        isolde_bind_int64(update, 1, id);
        isolde_bind_text(update, 2, text_of(id, ++all.updates[id]), -1);
        step(update, ISOLDE_DONE);
        expect("rows changed", isolde_rows_affected(update), 1);
        if (i % 100 == 99 || i == all.rows / 50 - 1)
            run("COMMIT");
    }
    isolde_finalize(update);
    watch_memory();
}

/* One statement changes the indexed column of many rows, and back; a rollback between. */
static void update_many(void)
{
    char sql[200];
    run("BEGIN");
    snprintf(sql, sizeof sql, "UPDATE big SET grp = grp + 1 WHERE id %% %d = 0", EVERY);
    run(sql);
    watch_memory();
    run("ROLLBACK");
    snprintf(sql, sizeof sql, "UPDATE big SET grp = grp + %d WHERE id %% %d = 0", GROUPS, EVERY);
    run(sql);
    watch_memory();
    snprintf(sql, sizeof sql, "UPDATE big SET grp = grp - %d WHERE grp >= %d", GROUPS, GROUPS);
    run(sql);
    watch_memory();
}

static void delete_and_load_again(void)
{
    isolde_stmt *stmt = prepare("DELETE FROM big WHERE id >= $1 AND id < $2");
    long long from = all.rows / 10 * 9;
    for (long long id = from; id < all.rows; id += 5 * BATCH) {
        isolde_bind_int64(stmt, 1, id);
        isolde_bind_int64(stmt, 2, id + 5 * BATCH);
        step(stmt, ISOLDE_DONE);
    }
    isolde_finalize(stmt);
    watch_memory();
    load(from, all.rows);
}

/* Purge runs beside this, so new pages may end up half full: two loads may need as much as four.  Most of it must be what
 * was freed. */
static void renew(void)
{
    long long before = file_mb(), loaded = all.rows / 10 * ROW_BYTES / (1 << 20);
    delete_and_load_again();
    delete_and_load_again();
    if (file_mb() > before + loaded * 3 / 2 + 8) {
        fprintf(stderr, "the file grew from %lld to %lld MB though as much was deleted as loaded\n", before, file_mb());
        all.failures++;
    }
}

static int note_verdict(void *arg, int columns, const char *const *values, const char *const *names)
{
    (void)columns;
    (void)names;
    snprintf(arg, 200, "%s", values[0]);
    return 0;
}

/* The report's last line says whether anything was found. */
static void check(void)
{
    char verdict[200] = "no report";
    if (isolde_exec(all.conn, "CHECK DATABASE", note_verdict, verdict) != ISOLDE_OK)
        give_up("CHECK DATABASE", isolde_error(all.conn));
    if (!strstr(verdict, "no error found")) {
        fprintf(stderr, "CHECK DATABASE: %s\n", verdict);
        all.failures++;
    }
    watch_memory();
}

static void make(void)
{
    open_database();
    run("CREATE TABLE big (id bigint PRIMARY KEY, grp int NOT NULL, filler text)");
    run("CREATE INDEX big_grp ON big (grp)");
    done("");
    load(0, all.rows);
    done("load");
}

static void work(void)
{
    scan();
    read_groups();
    done("scan");
    update_at_random();
    update_many();
    done("update");
    renew();
    done("delete");
    check();
    done("check");
    close_database();
    done("close");
    open_database();
    scan();
    read_groups();
    close_database();
    done("again");
}

int main(void)
{
    const char *base = getenv("TMPDIR");
    char folder[200], command[300];
    all.seed = number_of_run("SEED", 1);
    all.cache_mb = number_of_run("CACHE_MB", 8);
    all.rows = (number_of_run("SIZE_MB", 400) << 20) / (ROW_BYTES + 50);
    all.updates = calloc((size_t)all.rows, 1);
    snprintf(folder, sizeof folder, "%s/isolde-big.XXXXXX", base ? base : "/var/tmp");
    if (!all.updates || !mkdtemp(folder))
        return 1;
    snprintf(all.path, sizeof all.path, "%s/big.db", folder);
    printf("seed=%lld\n", all.seed);
    make();
    work();
    if (all.peak_kb >> 10 > all.cache_mb + VERSIONS_MB + ALLOWANCE_MB + (all.rows >> 20)) {
        fprintf(stderr, "B1: %lld MB of memory with a cache of %lld MB\n", all.peak_kb >> 10, all.cache_mb);
        all.failures++;
    }
    printf("big seed=%lld count=%lld failures=%d\n", all.seed, all.rows, all.failures);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) != 0 || all.failures != 0;
}
