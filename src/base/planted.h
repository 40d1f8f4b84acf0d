/*
 * planted.h -- bugs that are built in on purpose, to prove that the tests would catch them.
 *
 *     if (!PLANTED("wal-skip-sync") && os_sync(op, file))
 *         goto out;
 *
 * Only a build configured with --enable-planted-bugs has them, and there each is asleep until the environment variable
 * ISOLDE_BUG names it.  In every other build the condition is the constant false and nothing is left of it.
 * tests/planted/list pairs each name with the test that must fail; `make check-planted` runs them.
 */
#ifndef ISOLDE_BASE_PLANTED_H
#define ISOLDE_BASE_PLANTED_H

#include "src/base/types.h"

#ifdef ISOLDE_PLANTED_BUGS
#include <stdatomic.h>
/* Whether ISOLDE_BUG names this bug; cache holds the answer after the first call: 0 unknown, 1 no, 2 yes. */
bool planted_active(const char *name, _Atomic int *cache);
#define PLANTED(name) (__extension__({ static _Atomic int planted_cache; planted_active((name), &planted_cache); }))
#else
#define PLANTED(name) false
#endif

#endif
