/*
 * kill.c -- kills a process that writes with four threads, at a random moment, and looks at what is left.  Many times.
 *
 * A child opens the database and lets each of its threads commit transactions 1, 2, 3, ... of its own.  Transaction n
 * inserts rows_of(n) rows marked (worker, n), deletes those of transaction n - KEPT, and sets the worker's counter
 * to n; every now and then one is rolled back, or to a savepoint, first.  After each acknowledged COMMIT the thread
 * writes (worker, n) to a pipe.  The parent kills the child, opens the database itself, and demands:
 *
 * K1  each counter is at least the last n that was acknowledged or seen after an earlier death, and at most one more;
 * K2  exactly the rows of transactions counter - KEPT + 1 .. counter are there, each transaction's wholly;
 * K3  CHECK DATABASE finds nothing.
 *
 * The next child goes on with the same file.  SEED= and COUNT= choose the run.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "src/isolde.h"

enum { WORKERS = 4, KEPT = 12, ROWS_MAX = 9 };

struct acknowledgement {
    int worker;
    long long number;
};

struct worker {
    isolde_db *db;
    int index, pipe;
    unsigned seed;
};

static char path[300];

static int rows_of(long long number)
{
    return (int)(number * 2654435761u % ROWS_MAX) + 1;
}

static void fail(isolde_conn *conn, const char *what)
{
    const isolde_err *err = isolde_error(conn);
    fprintf(stderr, "%s: %s %s\n", what, isolde_error_sqlstate(err), isolde_error_message(err));
    _exit(3);
}

static void run(isolde_conn *conn, const char *sql)
{
    if (isolde_exec(conn, sql, NULL, NULL) != ISOLDE_OK)
        fail(conn, sql);
}

static int first_number(void *arg, int columns, const char *const *values, const char *const *names)
{
    (void)columns;
    (void)names;
    *(long long *)arg = values[0] ? atoll(values[0]) : 0;
    return 0;
}

static long long ask(isolde_conn *conn, const char *sql)
{
    long long number = -1;
    if (isolde_exec(conn, sql, first_number, &number) != ISOLDE_OK)
        fail(conn, sql);
    return number;
}

/* ---- the child -------------------------------------------------------------------------------------------- */

static void insert_rows(isolde_conn *conn, struct worker *worker, long long number, int rows)
{
    char sql[700], filler[400];
    for (int i = 0; i < rows; i++) {
        int len = (int)(rand_r(&worker->seed) % 300);
        memset(filler, 'a' + worker->index, (size_t)len);
        filler[len] = '\0';
        snprintf(sql, sizeof sql, "INSERT INTO entry VALUES (%lld, %d, %lld, '%s')",
                 (long long)rand_r(&worker->seed) * 1000000 + number * 100 + i * 10 + worker->index, worker->index,
                 number, filler);
        run(conn, sql);
    }
}

static void commit_transaction(isolde_conn *conn, struct worker *worker, long long number)
{
    char sql[200];
    unsigned dice = rand_r(&worker->seed) % 10;
    if (dice == 0) {
        run(conn, "BEGIN");
        insert_rows(conn, worker, number, 5);
        run(conn, "ROLLBACK");
    }
    run(conn, "BEGIN");
    if (dice == 1) {
        run(conn, "SAVEPOINT s");
        insert_rows(conn, worker, number, 3);
        run(conn, "ROLLBACK TO s");
    }
    insert_rows(conn, worker, number, rows_of(number));
    snprintf(sql, sizeof sql, "DELETE FROM entry WHERE worker = %d AND number <= %lld", worker->index, number - KEPT);
    run(conn, sql);
    snprintf(sql, sizeof sql, "UPDATE counter SET number = %lld WHERE worker = %d", number, worker->index);
    run(conn, sql);
    run(conn, "COMMIT");
    struct acknowledgement done = { worker->index, number };
    if (write(worker->pipe, &done, sizeof done) != (ssize_t)sizeof done)
        _exit(4);
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    isolde_conn *conn;
    char sql[100];
    if (isolde_connect(worker->db, &conn, NULL) != ISOLDE_OK)
        _exit(5);
    snprintf(sql, sizeof sql, "SELECT number FROM counter WHERE worker = %d", worker->index);
    for (long long number = ask(conn, sql) + 1;; number++) {
        commit_transaction(conn, worker, number);
        if (worker->index == 0 && number % 40 == 0)
            run(conn, "CHECKPOINT");
    }
}

static isolde_db *open_or_die(void)
{
    isolde_db *db;
    isolde_err *err = NULL;
    if (isolde_open(path, "cache_size=1MB max_wal_size=16MB", &db, &err) != ISOLDE_OK) {
        fprintf(stderr, "open: %s %s\n", err ? isolde_error_sqlstate(err) : "",
                err ? isolde_error_message(err) : "out of memory");
        _exit(6);
    }
    return db;
}

static void child(int pipe, unsigned seed)
{
    struct worker workers[WORKERS];
    pthread_t threads[WORKERS];
    isolde_db *db = open_or_die();
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){ db, i, pipe, seed * 31 + (unsigned)i };
        pthread_create(&threads[i], NULL, work, &workers[i]);
    }
    for (int i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    _exit(7);
}

/* ---- the parent ------------------------------------------------------------------------------------------- */

static void make_database(void)
{
    isolde_db *db = open_or_die();
    isolde_conn *conn;
    isolde_connect(db, &conn, NULL);
    run(conn, "CREATE TABLE entry (id bigint PRIMARY KEY, worker int NOT NULL, number bigint NOT NULL, filler text)");
    run(conn, "CREATE INDEX entry_number ON entry (worker, number)");
    run(conn, "CREATE TABLE counter (worker int PRIMARY KEY, number bigint NOT NULL)");
    for (int i = 0; i < WORKERS; i++) {
        char sql[100];
        snprintf(sql, sizeof sql, "INSERT INTO counter VALUES (%d, 0)", i);
        run(conn, sql);
    }
    isolde_disconnect(conn);
    isolde_close(db);
}

static int complain(const char *what, int worker, long long found, long long wanted)
{
    fprintf(stderr, "worker %d: %s: found %lld, expected %lld\n", worker, what, found, wanted);
    return 1;
}

static int check_worker(isolde_conn *conn, int worker, long long *acknowledged)
{
    char sql[200];
    int failures = 0;
    long long total = 0;
    snprintf(sql, sizeof sql, "SELECT number FROM counter WHERE worker = %d", worker);
    long long counter = ask(conn, sql);
    if (counter < *acknowledged || counter > *acknowledged + 1)
        failures += complain("counter against the last acknowledged commit (K1)", worker, counter, *acknowledged);
    *acknowledged = counter;
    for (long long n = counter - KEPT + 1 > 1 ? counter - KEPT + 1 : 1; n <= counter; n++) {
        snprintf(sql, sizeof sql, "SELECT count(*) FROM entry WHERE worker = %d AND number = %lld", worker, n);
        long long count = ask(conn, sql);
        total += count;
        if (count != rows_of(n))
            failures += complain("rows of a committed transaction (K2)", worker, count, rows_of(n));
    }
    snprintf(sql, sizeof sql, "SELECT count(id) FROM entry WHERE worker + 0 = %d", worker);
    long long all = ask(conn, sql);
    if (all != total)
        failures += complain("all rows of the worker (K2)", worker, all, total);
    return failures;
}

/* The report's last line is the verdict; the lines before it are findings. */
static int look_for_verdict(void *arg, int columns, const char *const *values, const char *const *names)
{
    (void)columns;
    (void)names;
    int *clean = arg;
    *clean = strstr(values[0], "no error found") != NULL;
    if (!*clean)
        fprintf(stderr, "%s\n", values[0]);
    return 0;
}

static int check_database(isolde_conn *conn)
{
    int clean = 0;
    if (isolde_exec(conn, "CHECK DATABASE", look_for_verdict, &clean) == ISOLDE_OK && clean)
        return 0;
    fprintf(stderr, "CHECK DATABASE (K3) found something: %s\n", isolde_error_message(isolde_error(conn)));
    return 1;
}

static int look(long long *acknowledged)
{
    isolde_db *db = open_or_die();
    isolde_conn *conn;
    int failures = 0;
    if (isolde_connect(db, &conn, NULL) != ISOLDE_OK)
        return 1;
    for (int i = 0; i < WORKERS; i++)
        failures += check_worker(conn, i, &acknowledged[i]);
    failures += check_database(conn);
    isolde_disconnect(conn);
    if (isolde_close(db) != ISOLDE_OK)
        failures += complain("clean close", 0, 0, 1);
    return failures;
}

/* One life and death.  acknowledged[] is brought up to date. */
static int kill_once(unsigned seed, long long *acknowledged)
{
    int ends[2], status;
    struct acknowledgement done;
    if (pipe(ends) != 0)
        return 1;
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        child(ends[1], seed);
    }
    close(ends[1]);
    struct timespec pause = { 0, (long)(20 + rand_r(&seed) % 380) * 1000000 };
    nanosleep(&pause, NULL);
    kill(pid, SIGKILL);
    while (read(ends[0], &done, sizeof done) == (ssize_t)sizeof done)
        acknowledged[done.worker] = done.number;
    close(ends[0]);
    waitpid(pid, &status, 0);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
        fprintf(stderr, "the child ended by itself: status %d\n", status);
        return 1;
    }
    return 0;
}

int main(void)
{
    const char *seed_text = getenv("SEED"), *count_text = getenv("COUNT");
    unsigned seed = seed_text ? (unsigned)strtoul(seed_text, NULL, 10) : 1;
    int count = count_text ? atoi(count_text) : 50, failures = 0, done = 0;
    /* Shared with the child that looks at the database, and notes what it has seen. */
    long long *acknowledged = mmap(NULL, WORKERS * sizeof *acknowledged, PROT_READ | PROT_WRITE,
                                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const char *base = getenv("TMPDIR");
    char folder[200], command[300];
    snprintf(folder, sizeof folder, "%s/isolde-kill.XXXXXX", base ? base : "/tmp");
    if (acknowledged == MAP_FAILED || !mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/bank.db", folder);
    printf("seed=%u\n", seed);
    make_database();
    for (; done < count && failures == 0; done++) {
        failures += kill_once(seed + (unsigned)done, acknowledged);
        /* The database is looked at in a child too, so that this process never holds it open. */
        pid_t pid = fork();
        if (pid == 0)
            _exit(look(acknowledged) ? 1 : 0);
        int status;
        waitpid(pid, &status, 0);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            failures++;
    }
    printf("transactions acknowledged: %lld %lld %lld %lld\n", acknowledged[0], acknowledged[1], acknowledged[2],
           acknowledged[3]);
    printf("kill seed=%u count=%d failures=%d\n", seed, done, failures);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (failures == 0 && system(command) != 0)
        return 1;
    return failures == 0 ? 0 : 1;
}
