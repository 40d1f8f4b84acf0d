/*
 * arena.h -- memory that is given back all at once.
 *
 * An arena belongs to a lifetime (database, transaction, statement, batch) and is passed, never ambient.
 * One thread uses it at a time.
 */
#ifndef ISOLDE_BASE_ARENA_H
#define ISOLDE_BASE_ARENA_H

#include <stdarg.h>

#include "src/base/types.h"

struct arena_block;

struct arena {
    struct arena_block *head;   /* newest block; NULL when empty */
    char *next, *end;           /* free part of the newest block */
    size_t total;               /* bytes held in blocks */
};

struct arena_mark {
    struct arena_block *head;
    char *next;
};

void arena_init(struct arena *arena);       /* allocates nothing */
/* 16-byte aligned; NULL when memory is exhausted. */
void *arena_alloc(struct arena *arena, size_t size) MUST_CHECK;
void *arena_calloc(struct arena *arena, size_t size) MUST_CHECK;
char *arena_strdup(struct arena *arena, const char *text) MUST_CHECK;
char *arena_strndup(struct arena *arena, const char *text, size_t len) MUST_CHECK;
char *arena_printf(struct arena *arena, const char *format, ...) MUST_CHECK PRINTF_LIKE(2, 3);
char *arena_vprintf(struct arena *arena, const char *format, va_list args) MUST_CHECK;
struct arena_mark arena_mark(const struct arena *arena);
/* Frees what was allocated since the mark was taken. */
void arena_release(struct arena *arena, struct arena_mark mark);
/* Forgets all contents but keeps one block for reuse: the steady state allocates nothing. */
void arena_reset(struct arena *arena);
void arena_free(struct arena *arena);

#endif
