/*
 * crew.h -- the sessions of a schedule, each a connection in a thread of its own, and one director.
 *
 *      director                 session a             session b
 *      start a1  ------------>  UPDATE ... done
 *      start b1  -----------------------------------> UPDATE ... waits for a
 *      settle    <----------------------------------- blocked
 *      start ac  ------------>  COMMIT, done
 *      settle    <----------------------------------- done
 *
 * R1  After crew_settle every statement that was started has completed or is blocked.  Blocked means: the database says
 *     that the session waits for another transaction that is still in its way.  Nothing sleeps for good luck, and no time-out
 *     decides; so what a schedule brings does not depend on timing.
 * R2  The director holds the crew's mutex from crew_open to crew_close, but for the time in which it waits: all of a session's
 *     fields may be read and changed between two calls.
 */
#ifndef ISOLDE_ISOLATION_CREW_H
#define ISOLDE_ISOLATION_CREW_H

#include <pthread.h>

#include "isolation-tests/engine.h"

struct crew;

struct session {
    struct crew *crew;
    char *name;
    struct link *link;
    pthread_t thread;
    const char *sql;            /* to be run, being run, or run; NULL when idle */
    bool done;                  /* it has completed; reply holds what it brought */
    bool quit;
    struct reply reply;
    char *notices;              /* that nobody has printed yet, a line each; NULL: none */
    int notice_count;           /* since crew_start was last called for any session */
};

struct crew {
    struct engine *engine;
    pthread_mutex_t mutex;
    pthread_cond_t work;        /* a session has something to do */
    pthread_cond_t change;      /* a statement completed, began to wait or ceased to wait */
    int count;
    struct session **sessions;
};

void crew_open(struct crew *crew, struct engine *engine);
/* A new session, or NULL after saying why on standard error. */
struct session *crew_add(struct crew *crew, const char *name);
/* The session must be idle; sql must stay until crew_take. */
void crew_start(struct session *session, const char *sql);
void crew_settle(struct crew *crew);
enum { CREW_PATIENCE_MS = 3000 };

/* Waits for a statement that is blocked and that nobody will release: a lock_timeout, or PostgreSQL's search for deadlocks, may
 * still end it.  False when its time is up. */
bool crew_wait(struct session *session);
/* Cancels the statement and waits for its end. */
void crew_cancel(struct session *session);
/* What the statement brought; the session is idle then. */
struct reply crew_take(struct session *session);
void crew_close(struct crew *crew);

#endif
