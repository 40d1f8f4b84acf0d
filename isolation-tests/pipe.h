/*
 * pipe.h -- the door for checkers in other languages: one JSON object a line, in and out.
 *
 *      in      {"session":"a","sql":"UPDATE t SET v = 1"}
 *      out     {"session":"a","state":"ok","columns":[],"rows":[],"sqlstate":null,"message":null,"detail":null}
 *
 * A session is made when it is first named.  After each line of input every session has completed or is blocked (R1 in
 * crew.h); the session of the line answers first, "waiting" if it is blocked, then those that waited and have completed,
 * in the order in which they had begun to wait.  Values are texts or null; of several results the last one counts.
 */
#ifndef ISOLDE_ISOLATION_PIPE_H
#define ISOLDE_ISOLATION_PIPE_H

#include <stdio.h>

#include "isolation-tests/engine.h"

/* Until the input ends; what still waits then is canceled.  False when no database can be had. */
bool pipe_run(const struct target *target, FILE *in, FILE *out);

#endif
