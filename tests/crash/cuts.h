/*
 * cuts.h -- what power.c, which cuts the power, asks of a workload that it runs.
 *
 * Two programs are made of it: `power`, whose workload is transactions on trees (workload.c, model.c), and `power_sql`,
 * whose workload is statements of SQL, definitions above all (statements.c, tables.c).
 */
#ifndef ISOLDE_TESTS_CRASH_CUTS_H
#define ISOLDE_TESTS_CRASH_CUTS_H

#include "src/base/op.h"
#include "src/base/rng.h"
#include "src/os/fault.h"

extern const char workload_name[];
extern const uint64_t workload_steps;       /* the usual length of a run */

struct run;         /* an open database and what is done with it, from a seed */
struct promise;     /* what anybody had been told at some moment */

struct run *run_new(struct vfs *disk, uint64_t seed);
/* Abandoned or closed; the disk stays. */
void run_free(struct run *run);
struct vfs *run_disk(const struct run *run);
struct rng *run_rng(struct run *run);

/* A copy; called by the thread that makes the run's calls to the disk, in the midst of any of them. */
struct promise *run_promise(const struct run *run);
void promise_free(struct promise *promise);
/* The disk of the run is one of that moment. */
void run_believe(struct run *run, const struct promise *promise);

/* Opens the database, restarting if need be; creates what is missing. */
int run_open(struct run *run);
/* So many random steps. */
int run_steps(struct run *run, uint64_t steps);
int run_close(struct run *run);
/* As if the process were killed; after any error too.  The disk may be left without power. */
void run_abandon(struct run *run);
/* Of what has just failed. */
const struct op_error *run_error(const struct run *run);

/* The database is open: P1 to P3 (power.c).  0 when they hold, else it says what does not.  What has survived is what the run goes on
 * with. */
int run_judge(struct run *run);
/* All that was committed is durable. */
void run_settle(struct run *run);

/* Whether the run used what it is meant to use, and what it went through. */
bool run_was_worth_it(const struct run *run);
void run_tell(const struct run *run);

#endif
