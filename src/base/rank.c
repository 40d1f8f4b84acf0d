/*
 * rank.c -- the order in which latches are taken, checked in debug builds.
 *
 * Two threads that take the same two latches in different orders will one day wait for each other for ever, and a test
 * hardly ever meets that day.  So each latch has a rank, and a thread may only wait for a rank above those that
 * it holds: then a circle of waiting threads cannot exist, and a single thread on a single run shows a breach.
 *
 * The held ranks are a small list per thread, in the order in which they were taken.
 */
#include "src/base/rank.h"

#ifdef ISOLDE_DEBUG

#include <stdio.h>
#include <stdlib.h>

enum { HELD_MAX = 256 };

struct held {
    enum rank rank;
    const char *file;
    int line;
};

static _Thread_local struct held held[HELD_MAX];
static _Thread_local int held_count;

static void add(enum rank rank, const char *file, int line)
{
    if (held_count == HELD_MAX) {
        fprintf(stderr, "latch order: %s:%d takes rank %d, one more than %d latches\n", file, line, (int)rank,
                HELD_MAX);
        abort();
    }
    held[held_count++] = (struct held){rank, file, line};
}

void rank_enter(enum rank rank, const char *file, int line)
{
    for (int i = 0; i < held_count; i++)
        if (held[i].rank > rank || (held[i].rank == rank && rank != RANK_PAGE)) {
            fprintf(stderr, "latch order: %s:%d takes rank %d while rank %d is held, taken at %s:%d\n", file, line,
                    (int)rank, (int)held[i].rank, held[i].file, held[i].line);
            abort();
        }
    add(rank, file, line);
}

void rank_enter_tried(enum rank rank, const char *file, int line)
{
    add(rank, file, line);
}

void rank_leave(enum rank rank)
{
    for (int i = held_count - 1; i >= 0; i--)
        if (held[i].rank == rank) {
            for (held_count--; i < held_count; i++)
                held[i] = held[i + 1];
            return;
        }
    fprintf(stderr, "latch order: rank %d is given back but not held\n", (int)rank);
    abort();
}

int rank_held(void)
{
    return held_count;
}

#endif
