/*
 * op.c -- the operation in progress: its error report, its scratch memory, its cancel flag.
 *
 * A report must be possible when nothing else is, so running out of memory has a text that needs none.  When the
 * text of another error cannot be made for want of memory its SQLSTATE is still kept, because callers act on that.
 */
#include "src/base/op.h"

#include <assert.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/rank.h"

static const char no_memory[] = "out of memory";

void op_init(struct op *op)
{
    *op = (struct op){0};
    arena_init(&op->arena);
#ifdef ISOLDE_DEBUG
    op->latches = rank_held();
#endif
}

void op_clear_error(struct op *op)
{
    op->error = (struct op_error){0};
    op->sealed = false;
}

void op_reset(struct op *op)
{
    if (op_failed(op))
        op_clear_error(op);
    arena_reset(&op->arena);
}

void op_end(struct op *op)
{
#ifdef ISOLDE_DEBUG
    assert(rank_held() <= op->latches);
#endif
    op_clear_error(op);
    arena_free(&op->arena);
}

/* Whether this is the first failure, whose report is to be written. */
static bool begin_report(struct op *op, const char *sqlstate)
{
    assert(strlen(sqlstate) == 5);
    if (op_failed(op)) {
        op->sealed = true;
        return false;
    }
    memcpy(op->error.sqlstate, sqlstate, 5);
    return true;
}

static const char *text_of(struct op *op, const char *format, va_list args)
{
    const char *text = arena_vprintf(&op->arena, format, args);

    return text ? text : no_memory;
}

int op_fail(struct op *op, const char *sqlstate, const char *format, ...)
{
    va_list args;

    if (!begin_report(op, sqlstate))
        return OP_FAILED;
    va_start(args, format);
    op->error.message = text_of(op, format, args);
    va_end(args);
    return OP_FAILED;
}

int op_fail_at(struct op *op, int position, const char *sqlstate, const char *format, ...)
{
    va_list args;

    if (!begin_report(op, sqlstate))
        return OP_FAILED;
    va_start(args, format);
    op->error.message = text_of(op, format, args);
    va_end(args);
    op->error.position = position;
    return OP_FAILED;
}

/* What is added belongs to the report that was written last, and each part is written once. */
static void add_part(struct op *op, const char **part, const char *format, va_list args)
{
    if (op_failed(op) && !op->sealed && !*part)
        *part = arena_vprintf(&op->arena, format, args);
}

void op_detail(struct op *op, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_part(op, &op->error.detail, format, args);
    va_end(args);
}

void op_hint(struct op *op, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_part(op, &op->error.hint, format, args);
    va_end(args);
}

void op_context(struct op *op, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_part(op, &op->error.context, format, args);
    va_end(args);
}

/* A copy of text in the op's arena; NULL when there is no text, or no memory: then the report does without it. */
static const char *keep(struct op *op, const char *text)
{
    return text ? arena_strdup(&op->arena, text) : NULL;
}

static void set_name(struct op *op, const char **name, const char *text)
{
    if (!*name)
        *name = keep(op, text);
}

void op_about(struct op *op, const char *schema, const char *table, const char *column, const char *constraint)
{
    if (!op_failed(op) || op->sealed)
        return;
    set_name(op, &op->error.schema, schema);
    set_name(op, &op->error.table, table);
    set_name(op, &op->error.column, column);
    set_name(op, &op->error.constraint, constraint);
}

void op_conflict(struct op *op, const char *json)
{
    if (op_failed(op) && !op->sealed && !op->error.conflict)
        op->error.conflict = json;
}

void op_copy_error(struct op *to, const struct op *from)
{
    const struct op_error *error = &from->error;

    if (op_failed(to) || !op_failed(from))
        return;
    memcpy(to->error.sqlstate, error->sqlstate, sizeof to->error.sqlstate);
    to->error.message = keep(to, error->message);
    if (!to->error.message)
        to->error.message = no_memory;
    to->error.detail = keep(to, error->detail);
    to->error.hint = keep(to, error->hint);
    to->error.context = keep(to, error->context);
    to->error.conflict = keep(to, error->conflict);
    to->error.position = error->position;
    to->error.tree = error->tree;
    op_about(to, error->schema, error->table, error->column, error->constraint);
}

int op_out_of_memory(struct op *op)
{
    if (begin_report(op, "53200"))
        op->error.message = no_memory;
    return OP_FAILED;
}

static void *or_report(struct op *op, void *block)
{
    if (!block)
        (void)op_out_of_memory(op);
    return block;
}

void *op_alloc(struct op *op, size_t size)
{
    return or_report(op, arena_alloc(&op->arena, size));
}

void *op_calloc(struct op *op, size_t size)
{
    return or_report(op, arena_calloc(&op->arena, size));
}

void *op_heap_alloc(struct op *op, size_t size)
{
    return or_report(op, mem_alloc(size));
}

void *op_arena_alloc(struct op *op, struct arena *arena, size_t size)
{
    return or_report(op, arena_calloc(arena, size));
}

int op_check_cancel(struct op *op)
{
    if (op->cancel && atomic_load_explicit(op->cancel, memory_order_relaxed))
        return op_fail(op, "57014", "canceling statement due to user request");
    return OP_OK;
}
