/*
 * trial.h -- a script of units of work that is run again and again while something fails, and the judge of what is left.
 *
 * A unit is a handful of statements on two connections.  Some of its steps commit.  Whatever fails on the way, afterwards the
 * database must hold what the acknowledged commits have done, and nothing else: and what that is was found out beforehand, by
 * running the unit undisturbed once for every set of its commits, with the others rolled back.
 *
 *      trial_open      tables with rows
 *      trial_learn     for one unit: the state after each set of its commits
 *      [ something is told to fail ]
 *      trial_run       the unit, to its end; a connection that meets an error rolls back and does no more
 *      [ nothing fails any more ]
 *      trial_judge     both connections are idle, nobody waits, the state is that of the acknowledged commits
 */
#ifndef ISOLDE_TESTS_TRIAL_H
#define ISOLDE_TESTS_TRIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/isolde.h"

enum { TRIAL_STEPS = 16, TRIAL_COMMITS = 3, TRIAL_STATE_BYTES = 16384 };

enum trial_kind {
    TRIAL_EXEC,         /* all statements of the text */
    TRIAL_ROWS,         /* prepared, $1 = 3, run twice, every value asked for in each form */
    TRIAL_CURSOR,       /* prepared; after its second row `also` is run, then it goes on */
    TRIAL_COPY_IN,      /* `also` are the lines */
    TRIAL_COPY_OUT,
    TRIAL_THREAD,       /* begun in a thread of its own; goes on when it waits or is done */
    TRIAL_JOIN,         /* the end of that */
};

struct trial_step {
    enum trial_kind kind;
    int conn;
    int commit;             /* 1, 2, 4: when this step is acknowledged, that part of the unit is there; 0: it commits nothing */
    const char *sql, *also;
    const char *answer;     /* a SQLSTATE that is right, too */
};

struct trial_unit {
    const char *name;
    struct trial_step steps[TRIAL_STEPS];   /* up to the first without text that is no join */
};

extern const struct trial_unit trial_units[];
extern const size_t trial_unit_count;

struct trial {
    isolde_db *db;
    isolde_conn *conn[2];
    const struct trial_unit *unit;
    int all;                                /* the commits of the unit */
    char *states[1 << TRIAL_COMMITS];       /* NULL: this set of commits cannot be */
    int acknowledged, unknown;              /* by the last run: commits that succeeded, and of unknown outcome (08007) */
    int errors;
    bool unsaid;                            /* a value could not be bound or read: no statement has failed by that */
    /* Whether an error with this SQLSTATE may come of what fails. */
    bool (*may_fail)(const char *sqlstate);
    char told[512];                         /* where the run stands, for whoever must know why it ended */
};

/* Connects to the open database; with `create`, makes the tables. */
void trial_open(struct trial *trial, isolde_db *db, bool create);
void trial_disconnect(struct trial *trial);
void trial_free(struct trial *trial);
/* The state with which every run of a unit begins. */
void trial_reset(struct trial *trial);
void trial_learn(struct trial *trial, const struct trial_unit *unit);
void trial_run(struct trial *trial);
/* Ends the process with a message when the state is not right. */
void trial_judge(struct trial *trial);
/* Commits of unknown outcome are judged by what is there: for after the database was opened again. */
void trial_judge_unknown(struct trial *trial);
void trial_check(struct trial *trial);      /* CHECK DATABASE finds nothing */
/* A watchdog: the process ends with what was going on if this is not called again within a minute.  0: no more. */
void trial_watch(struct trial *trial, bool on);
void trial_fail(const struct trial *trial, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

#endif
