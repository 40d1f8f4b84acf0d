/*
 * runner.h -- runs permutations of a spec and keeps what happened.
 *
 * Steps are launched in the permutation's order, each when every step before has completed or is blocked (R1 in crew.h).
 * What happens is told as it happens, as a list of events, and kept in a `struct run` for those who look at the whole:
 *
 *      print.c     prints events as PostgreSQL's isolationtester does
 *      oracle.c    looks for a serial order that explains a run
 *      timeline.c, picture.c   draw it
 */
#ifndef ISOLDE_ISOLATION_RUNNER_H
#define ISOLDE_ISOLATION_RUNNER_H

#include "isolation-tests/crew.h"
#include "isolation-tests/spec.h"

/* One permutation, listed in the spec or made of all interleavings. */
struct order {
    int count;
    struct permutation_step *steps;     /* with their markers */
};

enum event_kind {
    EVENT_BLOCK,            /* a setup or teardown ran: reply */
    EVENT_NOTICES,          /* text: what a session was told */
    EVENT_COMPLETED,        /* the step at `position` ran through */
    EVENT_WAITING,          /* it is blocked, or a marker holds its report back */
    EVENT_RESUMED,          /* one that was waiting has completed */
};

struct event {
    enum event_kind kind;
    int position;           /* of a step; -1: none */
    char *text;
    struct reply reply;
};

/* What became of the step at one position of the permutation. */
struct outcome {
    const struct step *step;
    bool launched, completed, waited;
    bool released;          /* its markers count no more: the permutation is over, or its session has to go on */
    bool canceled;          /* nothing would ever have ended its wait */
    int begin, end;         /* numbers of the events: launched after begin others, over with the end-th */
    char before;            /* the session's status when it was launched, as isolde_transaction_status */
    struct reply reply;
};

struct run {
    const struct spec *spec;
    struct order order;
    char *setup_status;     /* of each session after its setup, and before the first step */
    struct outcome *outcomes;       /* order.count */
    int event_count;
    struct event *events;
    struct reply final;     /* contents of all tables after the last step */
};

struct run_options {
    bool want_final;        /* fill run->final */
    const char *const *instead;     /* for each position NULL, or SQL to run in its place, "" for nothing; NULL: none */
    void (*report)(void *arg, const struct run *run, const struct event *event);
    void *arg;
};

struct runner;

/* NULL after saying why on standard error.  The spec and the engine must stay. */
struct runner *runner_open(struct engine *engine, const struct spec *spec);
/* False when a setup failed, which is said on standard error. */
bool runner_run(struct runner *runner, const struct order *order, const struct run_options *options, struct run *run);
void runner_close(struct runner *runner);
void run_free(struct run *run);

/* The spec's permutations one after the other: `order` is zero at the start, and filled anew by each call; false: no more.
 * The steps belong to the walk. */
struct walk {
    const struct spec *spec;
    int next;               /* of the listed ones */
    int total;
    int *sessions;          /* the interleaving, as one session number for each step */
    struct permutation_step *steps;
};
void walk_begin(struct walk *walk, const struct spec *spec);
bool walk_next(struct walk *walk, struct order *order);
void walk_end(struct walk *walk);
/* The same order of the same spec at another level; freed by free(steps). */
struct order order_in(const struct spec *spec, const struct order *order);

/* All tables that a user has made, sorted by name, each as a table of the reply named by its first column. */
void read_tables(struct engine *engine, struct link *link, struct reply *reply);

#endif
