/*
 * runner.h -- runs the permutations of a spec, each session a connection in a thread of its own.
 *
 * One thread directs: it hands a step to its session's thread, and goes on when that step has completed or is
 * blocked.  Blocked means: the engine's lock manager says that the connection waits for another transaction that is still in
 * its way.  Nothing sleeps, and no time-out decides.
 *
 *      director                 session a             session b
 *      launch a1  ------------> UPDATE ... done
 *      launch b1  ----------------------------------> UPDATE ... waits for a
 *      "b1 <waiting ...>" <------------------------------ blocked
 *      launch ac  ------------> COMMIT, done
 *      wait for b1 <---------------------------------- done: "b1: <... completed>"
 *
 * R1  A step is launched only when every running step has completed or is blocked; so the outcome does not depend on timing.
 */
#ifndef ISOLDE_ISOLATION_RUNNER_H
#define ISOLDE_ISOLATION_RUNNER_H

#include "isolation-tests/spec.h"
#include "src/isolde.h"

/* Runs all permutations of the spec on the database and prints what isolationtester would.  False when a setup failed. */
bool runner_run(isolde_db *db, struct spec *spec, FILE *out);

#endif
