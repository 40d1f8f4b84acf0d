/*
 * mem.h -- all allocation goes through here, so that it can be counted, and can fail on demand.
 *
 * The functions are thread-safe and return NULL when memory is exhausted; the caller reports 53200
 * (see op_alloc in op.h, which does both).
 */
#ifndef ISOLDE_BASE_MEM_H
#define ISOLDE_BASE_MEM_H

#include "src/base/types.h"

void *mem_alloc(size_t size) MUST_CHECK;
void *mem_calloc(size_t count, size_t size) MUST_CHECK;
/* On failure the old block stays valid. */
void *mem_realloc(void *block, size_t size) MUST_CHECK;
/* alignment: a power of two; free with mem_free. */
void *mem_alloc_aligned(size_t alignment, size_t size) MUST_CHECK;
void mem_free(void *block);
char *mem_strdup(const char *text) MUST_CHECK;

/* Tests: the n-th allocation from now on (1 = the next one) fails, and only that one; 0 switches off.
 * Process-wide.  Returns how many allocations were made since the last call; they are counted only while switched
 * on, so a test that wants the number alone begins with UINT64_MAX. */
uint64_t mem_fail_at(uint64_t n);
/* The same, but all from the n-th on fail, as when memory has run out. */
uint64_t mem_fail_from(uint64_t n);

#endif
