/*
 * transaction.c -- one transaction that changes very many rows, and never more memory than was agreed.
 *
 * Every row of a table is changed by a single transaction, which is rolled back, and by another one, which commits; both many times larger than
 * cache, log buffer and version store together.  Their undo records are in the log, their versions in a file.  At SERIALIZABLE what they
 * have read is a few intervals.  A third one deletes all rows, goes back to a savepoint, and deletes nine of ten.
 *
 * M1  At no time does the process hold more memory than the cache, the version store's and a fixed allowance, whatever the number of rows.
 *
 * COUNT= chooses the number of rows (250,000; the aim is 20,000,000), CACHE_MB= the cache.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "src/isolde.h"

enum { VERSIONS_MB = 8, ALLOWANCE_MB = 24, BATCH = 100000 };

static struct {
    isolde_db *db;
    isolde_conn *conn;
    char path[300];
    long long rows, cache_mb, peak_kb;
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
    exit(1);
}

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

static long long size_of(const char *suffix)
{
    char name[320];
    struct stat st;
    snprintf(name, sizeof name, "%s%s", all.path, suffix);
    return stat(name, &st) == 0 ? (long long)st.st_size >> 20 : 0;
}

/* Runs the statement and says what it took. */
static void run(const char *sql)
{
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    if (isolde_exec(all.conn, sql, NULL, NULL) != ISOLDE_OK)
        give_up(sql, isolde_error(all.conn));
    watch_memory();
    clock_gettime(CLOCK_MONOTONIC, &after);
    double seconds = (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
    if (seconds > 0.1)
        printf("%-40s %6.1f s, file %lld MB, log %lld MB, versions %lld MB, at most %lld MB of memory\n", sql, seconds, size_of(""),
               size_of("-wal"), size_of("-versions"), all.peak_kb >> 10);
    fflush(stdout);
}

static void expect(const char *sql, long long wanted)
{
    isolde_stmt *stmt;
    if (isolde_prepare(all.conn, sql, -1, &stmt) != ISOLDE_OK || isolde_step(stmt) != ISOLDE_ROW)
        give_up(sql, isolde_error(all.conn));
    if (isolde_column_int64(stmt, 0) != wanted) {
        fprintf(stderr, "%s: %lld where %lld was expected\n", sql, (long long)isolde_column_int64(stmt, 0), wanted);
        all.failures++;
    }
    isolde_finalize(stmt);
    watch_memory();
}

static void load(void)
{
    char sql[200];
    run("CREATE TABLE large (id bigint PRIMARY KEY, n bigint NOT NULL)");
    for (long long id = 0; id < all.rows; id += BATCH) {
        snprintf(sql, sizeof sql, "INSERT INTO large SELECT g, 0 FROM generate_series(%lld, %lld) g", id,
                 (id + BATCH < all.rows ? id + BATCH : all.rows) - 1);
        run(sql);
    }
}

static void change(void)
{
    run("BEGIN");
    run("UPDATE large SET n = n + 1");
    run("ROLLBACK");
    expect("SELECT count(*) FROM large WHERE n = 0", all.rows);
    run("BEGIN ISOLATION LEVEL SERIALIZABLE");
    expect("SELECT count(*) FROM large WHERE n = 0", all.rows);
    run("UPDATE large SET n = n + 1");
    run("COMMIT");
    expect("SELECT count(*) FROM large WHERE n = 1", all.rows);
    run("BEGIN");
    run("SAVEPOINT before");
    run("DELETE FROM large");
    run("ROLLBACK TO before");
    run("DELETE FROM large WHERE id % 10 <> 0");
    run("COMMIT");
    expect("SELECT count(*) FROM large", (all.rows + 9) / 10);
}

int main(void)
{
    const char *base = getenv("TMPDIR");
    char folder[200], command[300], options[100];
    isolde_err *err = NULL;
    all.cache_mb = number_of_run("CACHE_MB", 8);
    all.rows = number_of_run("COUNT", 250000);
    snprintf(folder, sizeof folder, "%s/isolde-transaction.XXXXXX", base ? base : "/var/tmp");
    if (!mkdtemp(folder))
        return 1;
    snprintf(all.path, sizeof all.path, "%s/large.db", folder);
    snprintf(options, sizeof options, "cache_size=%lldMB version_store_memory=%dMB max_wal_size=64MB", all.cache_mb, VERSIONS_MB);
    if (isolde_open(all.path, options, &all.db, &err) != ISOLDE_OK || isolde_connect(all.db, &all.conn, &err) != ISOLDE_OK)
        give_up("open", err);
    load();
    change();
    isolde_disconnect(all.conn);
    if (isolde_close(all.db) != ISOLDE_OK)
        all.failures++;
    if (all.peak_kb >> 10 > all.cache_mb + VERSIONS_MB + ALLOWANCE_MB) {
        fprintf(stderr, "M1: %lld MB of memory with a cache of %lld MB\n", all.peak_kb >> 10, all.cache_mb);
        all.failures++;
    }
    printf("transaction count=%lld failures=%d\n", all.rows, all.failures);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) != 0 || all.failures != 0;
}
