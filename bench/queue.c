/*
 * queue.c -- a queue beside an idle snapshot.
 *
 * A table as a queue: rows come in at the right, and the leftmost is looked for with ORDER BY id LIMIT 1 and deleted.  A transaction that
 * has read something and sits idle keeps all deleted rows in their place as ghosts; who looks for the leftmost row must not walk over them
 * each time.  In alternating rounds, each with a table of its own, the queue runs without and beside such a transaction.
 *
 *      bench/queue [ROUNDS [STEPS]]        by default 5 20000
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "src/isolde.h"

enum { ROUNDS_MAX = 51, LENGTH = 1000 };

static isolde_db *db;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what, const isolde_err *err)
{
    fprintf(stderr, "%s: %s\n", what, isolde_error_message(err));
    exit(1);
}

static isolde_conn *connect_to(void)
{
    isolde_conn *conn;
    isolde_err *err = NULL;
    if (isolde_connect(db, &conn, &err) != ISOLDE_OK)
        die("connect", err);
    return conn;
}

static void run(isolde_conn *conn, const char *sql)
{
    if (isolde_exec(conn, sql, NULL, NULL) != ISOLDE_OK)
        die(sql, isolde_error(conn));
}

static isolde_stmt *prepare(isolde_conn *conn, const char *sql)
{
    isolde_stmt *stmt;
    if (isolde_prepare(conn, sql, -1, &stmt) != ISOLDE_OK)
        die(sql, isolde_error(conn));
    return stmt;
}

static void step(isolde_conn *conn, isolde_stmt *stmt, int64_t value)
{
    isolde_bind_int64(stmt, 1, value);
    if (isolde_step(stmt) != ISOLDE_DONE)
        die("step", isolde_error(conn));
    isolde_reset(stmt);
}

static int64_t leftmost(isolde_conn *conn, isolde_stmt *stmt)
{
    if (isolde_step(stmt) != ISOLDE_ROW)
        die("the queue is empty", isolde_error(conn));
    int64_t id = isolde_column_int64(stmt, 0);
    isolde_reset(stmt);
    return id;
}

/* Steps per second. */
static double one_round(int steps, int idle)
{
    isolde_conn *conn = connect_to(), *sleeper = connect_to();
    run(conn, "CREATE TABLE queue (id bigint PRIMARY KEY, job text)");
    run(conn, "SET synchronous_commit = off");
    isolde_stmt *first = prepare(conn, "SELECT id FROM queue ORDER BY id LIMIT 1");
    isolde_stmt *take = prepare(conn, "DELETE FROM queue WHERE id = $1");
    isolde_stmt *add = prepare(conn, "INSERT INTO queue VALUES ($1, 'something to do')");
    for (int id = 0; id < LENGTH; id++)
        step(conn, add, id);
    if (idle)
        run(sleeper, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM queue");
    double start = now();
    for (int i = 0; i < steps; i++) {
        int64_t id = leftmost(conn, first);
        if (id != i) {
            fprintf(stderr, "row %lld where %d was expected\n", (long long)id, i);
            exit(1);
        }
        step(conn, take, id);
        step(conn, add, LENGTH + i);
    }
    double seconds = now() - start;
    if (idle)
        run(sleeper, "COMMIT");
    isolde_finalize(first);
    isolde_finalize(take);
    isolde_finalize(add);
    run(conn, "DROP TABLE queue");
    isolde_disconnect(conn);
    isolde_disconnect(sleeper);
    return steps / seconds;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 5, steps = argc > 2 ? atoi(argv[2]) : 20000;
    static double alone[ROUNDS_MAX], beside[ROUNDS_MAX];
    isolde_err *err = NULL;
    if (rounds < 1 || rounds > ROUNDS_MAX || steps < 1) {
        fprintf(stderr, "usage: queue [ROUNDS [STEPS]]\n");
        return 1;
    }
    static const char path[] = "bench-queue.db";
    (void)unlink(path);
    if (isolde_open(path, NULL, &db, &err) != ISOLDE_OK)
        die("open", err);
    for (int i = 0; i < rounds; i++) {
        alone[i] = one_round(steps, 0);
        beside[i] = one_round(steps, 1);
    }
    qsort(alone, (size_t)rounds, sizeof(double), compare);
    qsort(beside, (size_t)rounds, sizeof(double), compare);
    printf("queue of %d steps: %.0f/s alone, %.0f/s beside an idle snapshot, ratio %.2f\n", steps, alone[rounds / 2], beside[rounds / 2],
           beside[rounds / 2] / alone[rounds / 2]);
    if (isolde_close(db) != ISOLDE_OK)
        return 1;
    (void)unlink(path);
    return 0;
}
