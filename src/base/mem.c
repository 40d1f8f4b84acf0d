/*
 * mem.c -- all allocation goes through here, so that it can be counted, and can fail on demand.
 *
 * In normal life this is malloc and one relaxed load of a flag that nobody writes.  Only a test that has called
 * mem_fail_at pays for counting.
 */
#include "src/base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Relaxed everywhere: a test arms them before it starts the threads that allocate. */
static atomic_bool armed;
static _Atomic uint64_t allocations;    /* since mem_fail_at was called last */
static _Atomic uint64_t failing;        /* which of them fails */
static atomic_bool lasting;             /* and all that follow */

static bool must_fail(void)
{
    if (__builtin_expect(!atomic_load_explicit(&armed, memory_order_relaxed), 1))
        return false;
    uint64_t number = atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed) + 1;
    uint64_t first = atomic_load_explicit(&failing, memory_order_relaxed);
    return number == first || (number > first && atomic_load_explicit(&lasting, memory_order_relaxed));
}

void *mem_alloc(size_t size)
{
    return must_fail() ? NULL : malloc(size ? size : 1);
}

void *mem_calloc(size_t count, size_t size)
{
    size_t total;

    if (must_fail() || __builtin_mul_overflow(count, size, &total))
        return NULL;
    return total ? calloc(1, total) : calloc(1, 1);
}

void *mem_realloc(void *block, size_t size)
{
    return must_fail() ? NULL : realloc(block, size ? size : 1);
}

void *mem_alloc_aligned(size_t alignment, size_t size)
{
    void *block = NULL;

    if (alignment < sizeof(void *))
        alignment = sizeof(void *);
    if (must_fail() || posix_memalign(&block, alignment, size ? size : 1) != 0)
        return NULL;
    return block;
}

void mem_free(void *block)
{
    free(block);
}

char *mem_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = mem_alloc(size);

    return copy ? memcpy(copy, text, size) : NULL;
}

static uint64_t arm(uint64_t n, bool all)
{
    uint64_t made;

    atomic_store_explicit(&armed, false, memory_order_relaxed);
    made = atomic_exchange_explicit(&allocations, 0, memory_order_relaxed);
    atomic_store_explicit(&failing, n, memory_order_relaxed);
    atomic_store_explicit(&lasting, all, memory_order_relaxed);
    atomic_store_explicit(&armed, n != 0, memory_order_relaxed);
    return made;
}

uint64_t mem_fail_at(uint64_t n)
{
    return arm(n, false);
}

uint64_t mem_fail_from(uint64_t n)
{
    return arm(n, true);
}
