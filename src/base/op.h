/*
 * op.h -- the operation in progress: its error report, its scratch memory, its cancel flag.
 *
 * Every function that can fail takes one as its first parameter and returns 0 for success or OP_FAILED.
 * The first op_fail() writes the report; later ones leave it, so that the root cause is what the user
 * reads.  Not found, duplicate, end of scan are answers, not errors: they are outputs.
 *
 * O1  An op is used by one thread at a time.
 * O2  op_end asserts (debug builds) that the thread holds no more latches than when the op began.
 */
#ifndef ISOLDE_BASE_OP_H
#define ISOLDE_BASE_OP_H

#include <stdatomic.h>
#include <stdarg.h>

#include "src/base/arena.h"
#include "src/base/types.h"

struct time_style;
enum { OP_OK = 0, OP_FAILED = -1 };

struct op_error {
    char sqlstate[6];           /* "" when there is none */
    const char *message;        /* never NULL once sqlstate is set */
    const char *detail, *hint;  /* NULL when absent */
    const char *context;        /* where it happened ("COPY t, line 3"); NULL when absent */
    const char *schema, *table, *column, *constraint;   /* NULL when absent */
    const char *conflict;       /* who was in whose way, as JSON; NULL when that is not what it is about */
    int position;               /* 1-based character of the statement; 0 when unknown */
    uint64_t tree;              /* storage layer: the tree in which damage was met; 0 when unknown */
};

struct op {
    struct op_error error;
    bool sealed;                /* a later op_fail came: what it adds is not about the error reported */
    struct arena arena;         /* scratch of this operation; texts of the error live here too */
    const struct time_style *time_style;    /* how the session reads and writes times (sql/time_style.h); NULL: the usual way */
    const atomic_bool *cancel;  /* NULL, or set by another thread to interrupt; see op_check_cancel */
    int latches;                /* debug builds: held by the thread at op_init */
};

void op_init(struct op *op);
/* Clears the error and the scratch arena, keeping a block: called between statements. */
void op_reset(struct op *op);
void op_end(struct op *op);

static inline bool op_failed(const struct op *op) { return op->error.sqlstate[0] != '\0'; }

/* Always returns OP_FAILED, so that `return op_fail(...)` reads well.  sqlstate: five characters. */
int op_fail(struct op *op, const char *sqlstate, const char *format, ...) PRINTF_LIKE(3, 4);
/* As op_fail, with the position (1-based character) at which the statement is wrong. */
int op_fail_at(struct op *op, int position, const char *sqlstate, const char *format, ...) PRINTF_LIKE(4, 5);
/* Add to the report that op_fail has just written; ignored when that part is already there, or when that op_fail was
 * not the first. */
void op_detail(struct op *op, const char *format, ...) PRINTF_LIKE(2, 3);
void op_hint(struct op *op, const char *format, ...) PRINTF_LIKE(2, 3);
void op_context(struct op *op, const char *format, ...) PRINTF_LIKE(2, 3);
/* Names of what the error is about; NULL leaves one as it is. */
void op_about(struct op *op, const char *schema, const char *table, const char *column, const char *constraint);
/* The JSON of the report's conflict; kept as it is, in the op's arena. */
void op_conflict(struct op *op, const char *json);
/* Moves the report of one op to another (which must have none), copying its texts. */
void op_copy_error(struct op *to, const struct op *from);
/* Forgets the report, and nothing else. */
void op_clear_error(struct op *op);
int op_out_of_memory(struct op *op);    /* 53200 */

/* Allocation from the scratch arena or from the heap; NULL after having reported 53200. */
void *op_alloc(struct op *op, size_t size) MUST_CHECK;
void *op_calloc(struct op *op, size_t size) MUST_CHECK;
void *op_heap_alloc(struct op *op, size_t size) MUST_CHECK;     /* free with mem_free */
void *op_arena_alloc(struct op *op, struct arena *arena, size_t size) MUST_CHECK;   /* zeroed */

/* 57014 when the cancel flag is set. Long loops call it every thousand rows or so. */
int op_check_cancel(struct op *op) MUST_CHECK;

#endif
