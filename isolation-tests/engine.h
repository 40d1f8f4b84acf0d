/*
 * engine.h -- a database that schedules are run on: Isolde itself, or a PostgreSQL beside it.
 *
 *      engine_isolde.c     through isolde.h; says itself when a statement begins and ceases to wait
 *      engine_libpq.c      through libpq, when configure has found it; is asked every few milliseconds
 */
#ifndef ISOLDE_ISOLATION_ENGINE_H
#define ISOLDE_ISOLATION_ENGINE_H

#include "isolation-tests/reply.h"

/* Which database, as the options say. */
struct target {
    const char *database;       /* a file; NULL: a fresh one in memory at each engine_open */
    const char *conninfo;       /* of a PostgreSQL; NULL: Isolde */
};

struct link;                    /* one connection */

/* Called in the thread that runs a statement. */
struct link_events {
    void *arg;
    void (*changed)(void *arg);     /* it has begun or ceased to wait */
    void (*notice)(void *arg, const char *severity, const char *message);
};

struct engine {
    int poll_ms;                /* 0: changes are announced; else how often is_waiting must be asked */
    struct link *(*connect)(struct engine *engine, const struct link_events *events);
    /* Runs all statements of the text as one request.  reply is filled and belongs to the caller. */
    void (*run)(struct link *link, const char *sql, struct reply *reply);
    /* Any thread: the statement in progress waits for another transaction that is still in its way. */
    bool (*is_waiting)(struct link *link);
    void (*cancel)(struct link *link);          /* any thread */
    void (*disconnect)(struct link *link);      /* NULL is fine */
    void (*close)(struct engine *engine);
};

/* NULL after saying on standard error what is wrong. */
struct engine *engine_open(const struct target *target);
struct engine *engine_open_isolde(const char *path);
struct engine *engine_open_libpq(const char *conninfo);

#endif
