/*
 * restart.c -- how long does the database take to open after it was killed under full load?
 *
 *      make        a table about ten times as large as the cache, and a second one for the loser; closed cleanly
 *      load        in a child: one transaction changes every row of the second table and stays open, while threads update rows of the
 *                  first at random, each update a transaction; killed with SIGKILL after so many seconds
 *      cold        the files are synced and dropped from the operating system's cache, as after a power cut
 *      open        timed until isolde_open returns, until a row can be read, until a row can be changed, and until the loser is
 *                  rolled back in the background
 *
 *      bench/restart [CACHE_MB [SECONDS [LOSER_ROWS [ROUNDS]]]]       by default 64 60 1000000 1
 *
 * SIGKILL loses nothing that was written, so the load does not wait for syncs: synchronous_commit is off, which gives restart the most work
 * that a crash can leave behind.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "src/isolde.h"

enum { ROW_BYTES = 250, FILLER = 200, WRITERS = 4, BATCH = 10000 };

static char folder[] = "bench-restart-XXXXXX";
static char path[100], options[100];
static long long cache_mb = 64, load_seconds = 60, loser_rows = 1000000, rows;

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

static void tell(void *arg, const char *phase, int percent, double seconds_left)
{
    int *lines = arg;
    if (++*lines % 10 == 1)
        printf("      %s: %d%%, %.1f s left\n", phase, percent, seconds_left);
}

static isolde_db *open_database(void)
{
    isolde_db *db;
    isolde_err *err = NULL;
    int lines = 0;
    if (isolde_open_watched(path, options, tell, &lines, &db, &err) != ISOLDE_OK)
        die("open", isolde_error_message(err));
    return db;
}

static isolde_conn *connect_to(isolde_db *db)
{
    isolde_conn *conn;
    isolde_err *err = NULL;
    if (isolde_connect(db, &conn, &err) != ISOLDE_OK)
        die("connect", isolde_error_message(err));
    return conn;
}

static void run(isolde_conn *conn, const char *sql)
{
    if (isolde_exec(conn, sql, NULL, NULL) != ISOLDE_OK)
        die(sql, isolde_error_message(isolde_error(conn)));
}

static long long number(isolde_conn *conn, const char *sql)
{
    isolde_stmt *stmt;
    if (isolde_prepare(conn, sql, -1, &stmt) != ISOLDE_OK || isolde_step(stmt) != ISOLDE_ROW)
        die(sql, isolde_error_message(isolde_error(conn)));
    long long value = isolde_column_int64(stmt, 0);
    isolde_finalize(stmt);
    return value;
}

static long long size_of(const char *suffix)
{
    char name[200];
    struct stat st;
    snprintf(name, sizeof name, "%s%s", path, suffix);
    return stat(name, &st) == 0 ? (long long)st.st_size >> 20 : 0;
}

/* ---- making ------------------------------------------------------------------------------------------ */

static void make(void)
{
    char sql[300];
    isolde_db *db = open_database();
    isolde_conn *conn = connect_to(db);
    rows = (cache_mb << 20) * 10 / ROW_BYTES;
    run(conn, "CREATE TABLE rows (id bigint PRIMARY KEY, n bigint, filler text)");
    run(conn, "CREATE TABLE loser (id bigint PRIMARY KEY, n bigint)");
    for (long long id = 0; id < rows; id += BATCH) {
        snprintf(sql, sizeof sql, "INSERT INTO rows SELECT g, 0, repeat('x', %d) FROM generate_series(%lld, %lld) g", FILLER, id,
                 (id + BATCH < rows ? id + BATCH : rows) - 1);
        run(conn, sql);
    }
    snprintf(sql, sizeof sql, "INSERT INTO loser SELECT g, 0 FROM generate_series(1, %lld) g", loser_rows);
    run(conn, sql);
    isolde_disconnect(conn);
    if (isolde_close(db) != ISOLDE_OK)
        die("close", path);
}

/* ---- the load ---------------------------------------------------------------------------------------- */

/* Shared with the parent: how many updates the child has made. */
struct tally {
    _Atomic long long updates;
    _Atomic int ready;
};

struct writer {
    isolde_db *db;
    struct tally *tally;
    uint64_t random;
    char filler[FILLER + 1];
};

static void *write_rows(void *arg)
{
    struct writer *writer = arg;
    isolde_conn *conn = connect_to(writer->db);
    isolde_stmt *stmt;
    run(conn, "SET synchronous_commit = off");
    if (isolde_prepare(conn, "UPDATE rows SET n = n + 1, filler = $2 WHERE id = $1", -1, &stmt) != ISOLDE_OK)
        die("prepare", isolde_error_message(isolde_error(conn)));
    for (;;) {
        writer->random ^= writer->random << 13;
        writer->random ^= writer->random >> 7;
        writer->random ^= writer->random << 17;
        memset(writer->filler, 'a' + (int)(writer->random % 26), FILLER);
        isolde_bind_int64(stmt, 1, (int64_t)(writer->random % (uint64_t)rows));
        isolde_bind_text(stmt, 2, writer->filler, FILLER);
        if (isolde_step(stmt) != ISOLDE_DONE)
            die("update", isolde_error_message(isolde_error(conn)));
        writer->tally->updates++;
    }
    return NULL;
}

static void load(struct tally *tally)
{
    static struct writer writers[WRITERS];
    pthread_t thread;
    isolde_db *db = open_database();
    isolde_conn *conn = connect_to(db);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.db = db, .tally = tally, .random = (uint64_t)(i + 1) * 0x9e3779b97f4a7c15u};
        if (pthread_create(&thread, NULL, write_rows, &writers[i]) != 0)
            die("thread", "cannot be started");
    }
    run(conn, "BEGIN");
    if (loser_rows > 0)
        run(conn, "UPDATE loser SET n = n + 1");
    tally->ready = 1;
    for (;;)
        pause();
}

/* Runs the load in a child, which is killed; it must have changed all rows of the loser by then. */
static void load_and_kill(struct tally *tally)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        load(tally);
        _exit(1);
    }
    double end = now() + (double)load_seconds;
    while (now() < end || !tally->ready) {
        usleep(10000);
        if (waitpid(child, NULL, WNOHANG) == child)
            die("load", "ended by itself");
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

/* ---- opening ----------------------------------------------------------------------------------------- */

static void make_cold(const char *suffix)
{
    char name[200];
    snprintf(name, sizeof name, "%s%s", path, suffix);
    int file = open(name, O_RDWR);
    if (file < 0)
        return;
    fsync(file);
    (void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    close(file);
}

static void open_again(const struct tally *tally)
{
    make_cold("");
    make_cold("-wal");
    make_cold("-dw");
    double start = now();
    isolde_db *db = open_database();
    double opened = now() - start;
    isolde_conn *conn = connect_to(db);
    (void)number(conn, "SELECT n FROM rows WHERE id = 1");
    double read = now() - start;
    run(conn, "UPDATE rows SET n = n WHERE id = 1");
    double changed = now() - start;
    run(conn, "UPDATE loser SET n = n WHERE id = 1");       /* waits for the rollback */
    double undone = now() - start;
    if (number(conn, "SELECT coalesce(sum(n), 0) FROM loser") != 0)
        die("loser", "was not rolled back");
    if (number(conn, "SELECT sum(n) FROM rows") < tally->updates * 9 / 10)
        die("rows", "updates are missing");
    isolde_disconnect(conn);
    start = now();
    if (isolde_close(db) != ISOLDE_OK)
        die("close", path);
    printf("  open %.2f s, first read %.2f s, first change %.2f s, loser gone %.2f s; closed in %.2f s\n", opened, read, changed, undone,
           now() - start);
}

/* In memory that parent and child share. */
static struct tally *new_tally(void)
{
    void *shared = mmap(NULL, sizeof(struct tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        die("mmap", "no memory");
    return shared;
}

static void remove_all(void)
{
    static const char *const suffixes[] = {"", "-wal", "-dw", "-tmp"};
    char name[200];
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        (void)remove(name);
    }
    (void)rmdir(folder);
}

int main(int argc, char **argv)
{
    int rounds = argc > 4 ? atoi(argv[4]) : 1;
    cache_mb = argc > 1 ? atoll(argv[1]) : cache_mb;
    load_seconds = argc > 2 ? atoll(argv[2]) : load_seconds;
    loser_rows = argc > 3 ? atoll(argv[3]) : loser_rows;
    if (cache_mb < 1 || load_seconds < 1 || loser_rows < 0 || !mkdtemp(folder))
        die("restart", "usage: restart [CACHE_MB [SECONDS [LOSER_ROWS [ROUNDS]]]]");
    snprintf(path, sizeof path, "%s/r.db", folder);
    snprintf(options, sizeof options, "cache_size=%lldMB scrub_rate=0", cache_mb);
    atexit(remove_all);
    make();
    printf("cache %lld MB, file %lld MB, loser of %lld rows\n", cache_mb, size_of(""), loser_rows);
    struct tally *tally = new_tally();
    for (int i = 0; i < rounds; i++) {
        long long before = tally->updates;
        tally->ready = 0;
        load_and_kill(tally);
        printf("  killed after %lld s and %lld updates; file %lld MB, log file %lld MB\n", load_seconds, tally->updates - before,
               size_of(""), size_of("-wal"));
        open_again(tally);
        fflush(stdout);
    }
    return 0;
}
