/* planted.c -- whether a bug that is built in on purpose is awake. */
#include "src/base/planted.h"

#ifdef ISOLDE_PLANTED_BUGS

#include <stdlib.h>
#include <string.h>

bool planted_active(const char *name, _Atomic int *cache)
{
    /* Relaxed: every thread that asks at once finds the same answer. */
    int known = atomic_load_explicit(cache, memory_order_relaxed);

    if (known == 0) {
        const char *wanted = getenv("ISOLDE_BUG");

        known = wanted && strcmp(wanted, name) == 0 ? 2 : 1;
        atomic_store_explicit(cache, known, memory_order_relaxed);
    }
    return known == 2;
}

#endif
