/*
 * spec.h -- a test spec: sessions with steps, and the orders (permutations) in which to run them.
 *
 * The format is that of PostgreSQL's isolationtester:
 *
 *      setup { CREATE TABLE t ...; }                 any number, run before each permutation
 *      teardown { DROP TABLE t; }                    at most one
 *      session a
 *      setup { BEGIN; }
 *      step a1 { UPDATE t ...; }
 *      step ac { COMMIT; }
 *      session b ...
 *      permutation a1 b1 ac(*) b2(a1, ac notices 2)  any number; none: all interleavings
 *
 * SQL stands between braces and cannot contain a closing brace; `#` begins a comment.
 */
#ifndef ISOLDE_ISOLATION_SPEC_H
#define ISOLDE_ISOLATION_SPEC_H

#include <stdbool.h>
#include <stdio.h>

enum marker_kind {
    MARKER_ONCE,            /* (*): reported as waiting when launched */
    MARKER_STEP,            /* (step): completion is not reported before that step has completed */
    MARKER_NOTICES,         /* (step notices n): not before that step's session has given n notices */
};

struct step;

struct marker {
    enum marker_kind kind;
    char *step_name;
    struct step *step;
    int notices;
};

struct step {
    char *name, *sql;
    int session;
};

struct spec_session {
    char *name, *setup, *teardown;      /* NULL when absent */
    int step_count;
    struct step **steps;
};

struct permutation_step {
    char *name;
    struct step *step;
    int marker_count;
    struct marker *markers;
};

struct permutation {
    int step_count;
    struct permutation_step *steps;
};

enum level { LEVEL_AS_WRITTEN, READ_COMMITTED, REPEATABLE_READ, SERIALIZABLE, LEVEL_COUNT };

struct spec {
    char *file, *text;          /* what it was read from */
    enum level level;           /* at which its transactions run */
    int setup_count;
    char **setups;
    char *teardown;
    int session_count;
    struct spec_session *sessions;
    int permutation_count;
    struct permutation *permutations;
};

extern const char *const level_names[LEVEL_COUNT];      /* "repeatable read" */

/* NULL after printing what is wrong, with the line, on standard error. */
struct spec *spec_read(FILE *file, const char *name);
/* The spec once more, with this level in place of all that it names. */
struct spec *spec_at_level(const struct spec *spec, enum level level);
struct step *spec_step(const struct spec *spec, const char *name);
void spec_free(struct spec *spec);

#endif
