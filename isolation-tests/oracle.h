/*
 * oracle.h -- was what happened right?  Answered by brute force.
 *
 * The transactions that committed in a permutation must together look as though they had run one after the other.  So the
 * oracle runs them one after the other, in a database made anew, in one order after another, until one order brings every
 * statement of theirs the reply that it had, and leaves the tables as they were left:
 *
 *      plain       any order will do
 *      strict      what had ended before something else began must come first (real time)
 *
 * A transaction that was given up (40001, 40P01) may have been given up in vain.  That is tried too: the permutation runs
 * once more at REPEATABLE READ, where nobody is given up for what he has read, with some of those given up, but not all,
 * rolled back by hand.  If one such run can be explained strictly, not all of the aborts were needed.
 *
 * O1  Replies are compared with their errors and row counts, rows without regard to order, so a spec must not print clocks,
 *     random numbers or transaction ids.
 * O2  A transaction is made of whole steps.  A step that ends one and begins the next is not judged.
 * O3  Nor is a transaction that went on, with ROLLBACK TO, after a failure that others caused (40001, 40P01, 55P03).
 * O4  Replies that tell which locks others held (SKIP LOCKED, advisory locks) are outside of what a serial order explains: a
 *     permutation with such that has no explanation is not judged.
 */
#ifndef ISOLDE_ISOLATION_ORACLE_H
#define ISOLDE_ISOLATION_ORACLE_H

#include "isolation-tests/runner.h"

enum verdict {
    CORRECT,                /* a strict serial order explains it, nobody was given up */
    NEEDED_ABORT,
    NEEDLESS_ABORT,
    ANOMALY,                /* no strict serial order explains what committed */
    NOT_JUDGED,
    VERDICT_COUNT
};

extern const char *const verdict_names[VERDICT_COUNT];

struct judgement {
    enum verdict verdict;
    bool plain;             /* of an anomaly: some order explains it, against real time */
    int committed, given_up;
    const char *why;        /* of NOT_JUDGED */
};

/* run: of a permutation of the spec, with its final tables.  False when the databases for the trials cannot be had. */
bool oracle_judge(const struct target *target, const struct spec *spec, const struct run *run, struct judgement *judgement);

#endif
