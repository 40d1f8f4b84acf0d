/*
 * arena.c -- memory that is given back all at once.
 *
 * Parsing a statement makes hundreds of small objects that die together.  Freeing them one by one is slow and
 * easily forgotten; so they are cut from blocks, and the blocks are freed.
 *
 *     head -> [ block | data......next | free......end ] -> [ older block ] -> ...
 *
 * Each new block is twice as large as the one before, up to a limit, so that an arena of any size consists of few
 * blocks and a small one wastes little.  What is larger than a block gets one of its own.
 *
 * A1  Only the newest block has room; what is left in older ones is given up.
 * A2  Releasing to a mark frees exactly the blocks newer than the mark's.  A mark of an empty arena, and
 *     arena_reset, keep one block of moderate size, so that a loop of the same work allocates once.
 *
 * AddressSanitizer is told which part of a block is in use, and so finds what outlives its arena.
 */
#include "src/base/arena.h"

#include <stdio.h>
#include <string.h>

#include "src/base/mem.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define HIDE(at, size) ASAN_POISON_MEMORY_REGION((at), (size))
#define SHOW(at, size) ASAN_UNPOISON_MEMORY_REGION((at), (size))
#else
#define HIDE(at, size) ((void)(at), (void)(size))
#define SHOW(at, size) ((void)(at), (void)(size))
#endif

enum {
    ALIGNMENT = 16,
    BLOCK_MIN_BYTES = 4096,
    BLOCK_MAX_BYTES = 256 * 1024,
};

struct arena_block {
    struct arena_block *older;
    size_t size;                /* bytes of data[] */
    _Alignas(ALIGNMENT) char data[];
};

void arena_init(struct arena *arena)
{
    *arena = (struct arena){0};
}

static size_t next_block_size(const struct arena *arena, size_t wanted)
{
    size_t size = BLOCK_MIN_BYTES - sizeof(struct arena_block);

    if (arena->head && arena->head->size >= size) {
        size = 2 * arena->head->size + sizeof(struct arena_block);
        if (size > BLOCK_MAX_BYTES - sizeof(struct arena_block))
            size = BLOCK_MAX_BYTES - sizeof(struct arena_block);
    }
    return wanted > size ? wanted : size;
}

static bool add_block(struct arena *arena, size_t wanted)
{
    size_t size = next_block_size(arena, wanted);
    struct arena_block *block = mem_alloc(sizeof *block + size);

    if (!block)
        return false;
    block->older = arena->head;
    block->size = size;
    arena->head = block;
    arena->next = block->data;
    arena->end = block->data + size;
    arena->total += size;
    HIDE(block->data, size);
    return true;
}

static void drop_newest(struct arena *arena)
{
    struct arena_block *block = arena->head;

    arena->head = block->older;
    arena->total -= block->size;
    SHOW(block->data, block->size);
    mem_free(block);
}

void *arena_alloc(struct arena *arena, size_t size)
{
    char *at;

    if (size > SIZE_MAX / 4)
        return NULL;
    size = size ? (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1) : ALIGNMENT;
    if (size > (size_t)(arena->end - arena->next) && !add_block(arena, size))
        return NULL;
    at = arena->next;
    arena->next += size;
    SHOW(at, size);
    return at;
}

void *arena_calloc(struct arena *arena, size_t size)
{
    void *at = arena_alloc(arena, size);

    return at ? memset(at, 0, size) : NULL;
}

char *arena_strndup(struct arena *arena, const char *text, size_t len)
{
    char *copy = arena_alloc(arena, len + 1);

    if (!copy)
        return NULL;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return arena_strndup(arena, text, strlen(text));
}

char *arena_vprintf(struct arena *arena, const char *format, va_list args)
{
    va_list again;
    char *text;
    int len;

    va_copy(again, args);
    len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    text = len < 0 ? NULL : arena_alloc(arena, (size_t)len + 1);
    if (text)
        vsnprintf(text, (size_t)len + 1, format, args);
    return text;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    text = arena_vprintf(arena, format, args);
    va_end(args);
    return text;
}

struct arena_mark arena_mark(const struct arena *arena)
{
    return (struct arena_mark){arena->head, arena->next};
}

void arena_release(struct arena *arena, struct arena_mark mark)
{
    if (!mark.head) {
        arena_reset(arena);
        return;
    }
    while (arena->head != mark.head)
        drop_newest(arena);
    arena->next = mark.next;
    arena->end = arena->head->data + arena->head->size;
    HIDE(arena->next, (size_t)(arena->end - arena->next));
}

void arena_reset(struct arena *arena)
{
    struct arena_block *keep = NULL;

    if (!arena->head)
        return;
    if (!arena->head->older && arena->head->size <= BLOCK_MAX_BYTES) {     /* what it comes to from the second time on */
        arena->next = arena->head->data;
        HIDE(arena->next, arena->head->size);
        return;
    }
    while (arena->head) {
        struct arena_block *block = arena->head;

        if (!keep && block->size <= BLOCK_MAX_BYTES) {
            keep = block;
            arena->head = block->older;
        } else {
            drop_newest(arena);
        }
    }
    *arena = (struct arena){0};
    if (!keep)
        return;
    keep->older = NULL;
    arena->head = keep;
    arena->next = keep->data;
    arena->end = keep->data + keep->size;
    arena->total = keep->size;
    HIDE(keep->data, keep->size);
}

void arena_free(struct arena *arena)
{
    while (arena->head)
        drop_newest(arena);
    *arena = (struct arena){0};
}
