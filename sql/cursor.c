/*
 * cursor.c -- DECLARE, FETCH, MOVE, CLOSE.
 *
 * A cursor shows the rows as they were when it was declared, whatever changes afterwards.  They are read then and kept, so that it can go
 * in every direction, and outlive the transaction where it was declared WITH HOLD.
 *
 *      position   0          1 ... count     count + 1
 *                 before     on a row        behind
 *
 * A cursor ends with its transaction, or with the savepoint that is rolled back and was set before it was declared; one WITH HOLD
 * stays when the transaction commits.  Its position is not part of the transaction.
 */
#include <stdio.h>
#include <string.h>

#include "sql/prepared_int.h"
#include "src/base/mem.h"

struct cursor_row {
    struct cursor_row *next;
    struct datum values[];
};

struct cursor {
    struct cursor *next;
    char *name;
    bool no_scroll, hold;
    bool committed;                 /* WITH HOLD: its transaction is over */
    int depth;                      /* savepoints that were open */
    struct prepared *prepared;      /* names and types of its columns */
    struct arena arena;
    struct cursor_row *first, **tail;
    struct cursor_row **rows;       /* by number, when they are complete */
    int64_t count, position;
};

static struct cursor **find(struct session *session, const char *name)
{
    struct cursor **link = &session->cursors;
    while (*link && strcmp((*link)->name, name) != 0)
        link = &(*link)->next;
    return link;
}

static void drop(struct cursor **link)
{
    struct cursor *cursor = *link;
    *link = cursor->next;
    prepared_free(cursor->prepared);
    arena_free(&cursor->arena);
    mem_free(cursor->name);
    mem_free(cursor);
}

static int look_up(struct op *op, struct session *session, const char *name, struct cursor **cursor)
{
    *cursor = *find(session, name);
    return *cursor ? 0 : op_fail(op, "34000", "cursor \"%s\" does not exist", name);
}

void cursor_end(struct session *session, bool committed)
{
    for (struct cursor **link = &session->cursors; *link;) {
        if (committed && (*link)->hold)
            (*link)->committed = true;
        if ((*link)->committed)
            link = &(*link)->next;
        else
            drop(link);
    }
}

void cursor_rolled_back(struct session *session, int savepoints)
{
    for (struct cursor **link = &session->cursors; *link;)
        if (!(*link)->committed && (*link)->depth > savepoints)
            drop(link);
        else
            link = &(*link)->next;
}

void cursor_released(struct session *session, int savepoints)
{
    for (struct cursor *cursor = session->cursors; cursor; cursor = cursor->next)
        if (cursor->depth > savepoints)
            cursor->depth = savepoints;
}

void cursor_close_all(struct session *session)
{
    while (session->cursors)
        drop(&session->cursors);
}

/* ---- DECLARE -------------------------------------------------------------------------------------- */

static int keep_row(void *arg, struct op *op, struct prepared *inner)
{
    struct cursor *cursor = arg;
    struct cursor_row *row = op_arena_alloc(op, &cursor->arena, sizeof *row + sizeof(struct datum) * (size_t)inner->column_count);

    if (!row)
        return OP_FAILED;
    row->next = NULL;
    for (int i = 0; i < inner->column_count; i++) {
        row->values[i] = *prepared_value(inner, i);
        if (row->values[i].null || type_form(inner->columns[i].type.oid) != FORM_BYTES)
            continue;
        char *copy = arena_strndup(&cursor->arena, (const char *)row->values[i].s.data, row->values[i].s.len);
        if (!copy)
            return op_out_of_memory(op);
        row->values[i].s.data = (const uint8_t *)copy;
    }
    *cursor->tail = row;
    cursor->tail = &row->next;
    cursor->count++;
    return 0;
}

static int number_rows(struct op *op, struct cursor *cursor)
{
    int64_t i = 0;

    cursor->rows = op_arena_alloc(op, &cursor->arena, sizeof *cursor->rows * (size_t)(cursor->count + 1));
    if (!cursor->rows)
        return OP_FAILED;
    for (struct cursor_row *row = cursor->first; row; row = row->next)
        cursor->rows[i++] = row;
    return 0;
}

int cursor_declare(struct op *op, struct prepared *prepared)
{
    const struct ast_cursor *statement = prepared->statement->cursor;
    struct session *session = prepared->session;
    struct cursor *cursor;

    if (!statement->hold && session->block == BLOCK_NONE)
        return op_fail(op, "25P01", "DECLARE CURSOR can only be used in transaction blocks");
    if (*find(session, statement->name))
        return op_fail(op, "42P03", "cursor \"%s\" already exists", statement->name);
    cursor = mem_calloc(1, sizeof *cursor);
    if (cursor)
        cursor->name = mem_strdup(statement->name);
    if (!cursor || !cursor->name) {
        mem_free(cursor);
        return op_out_of_memory(op);
    }
    arena_init(&cursor->arena);
    cursor->tail = &cursor->first;
    cursor->no_scroll = statement->no_scroll;
    cursor->hold = statement->hold;
    cursor->depth = session->savepoint_count;
    int result = prepared__make_inner(op, session, prepared->sql, prepared->len, NULL, 0, &cursor->prepared);
    if (result == 0)
        result = prepared__run_inner(op, prepared, cursor->prepared, keep_row, cursor);
    if (result == 0)
        result = number_rows(op, cursor);
    cursor->next = session->cursors;
    session->cursors = cursor;
    if (result != 0)
        drop(&session->cursors);
    else if (session->block == BLOCK_NONE && !session->group)
        cursor->committed = true;
    return result;
}

/* ---- FETCH and MOVE ------------------------------------------------------------------------------- */

int cursor_describe(struct op *op, struct prepared *prepared)
{
    struct cursor *cursor;

    if (prepared->statement->fetch->move)
        return 0;
    if (look_up(op, prepared->session, prepared->statement->fetch->name, &cursor) != 0)
        return OP_FAILED;
    for (int i = 0; i < cursor->prepared->column_count; i++) {
        const struct prepared_column *column = &cursor->prepared->columns[i];
        if (prepared__add_column(op, prepared, column->name, column->type.oid) != 0)
            return OP_FAILED;
        prepared->columns[i].type = column->type;
    }
    return 0;
}

static int64_t clamp(const struct cursor *cursor, int64_t position)
{
    return position < 0 ? 0 : position > cursor->count + 1 ? cursor->count + 1 : position;
}

static int fail_backward(struct op *op)
{
    op_fail(op, "55000", "cursor can only scan forward");
    op_hint(op, "Declare it with SCROLL option to enable backward scan.");
    return OP_FAILED;
}

static int show(struct op *op, struct prepared *prepared, const struct cursor *cursor, int64_t *shown)
{
    if (cursor->position < 1 || cursor->position > cursor->count)
        return 0;
    ++*shown;
    return prepared->statement->fetch->move ? 0 : prepared__keep_values(op, prepared, cursor->rows[cursor->position - 1]->values);
}

/* To one row. */
static int go_to(struct op *op, struct prepared *prepared, struct cursor *cursor, int64_t position, int64_t *shown)
{
    if (cursor->no_scroll && position <= cursor->position && cursor->position > 0)
        return fail_backward(op);
    cursor->position = clamp(cursor, position);
    return show(op, prepared, cursor, shown);
}

static int go_on(struct op *op, struct prepared *prepared, struct cursor *cursor, int64_t count, int64_t *shown)
{
    int step = count < 0 ? -1 : 1;

    if (cursor->no_scroll && count <= 0 && cursor->position > 0)
        return fail_backward(op);
    if (count == 0)
        return show(op, prepared, cursor, shown);
    for (int64_t i = 0; count == INT64_MAX || count == -INT64_MAX || i < count * step; i++) {
        int64_t next = clamp(cursor, cursor->position + step);
        cursor->position = next;
        if (next < 1 || next > cursor->count)
            return 0;
        if (show(op, prepared, cursor, shown) != 0)
            return OP_FAILED;
    }
    return 0;
}

int cursor_fetch(struct op *op, struct prepared *prepared)
{
    const struct ast_fetch *statement = prepared->statement->fetch;
    struct cursor *cursor;
    int64_t shown = 0;
    int result;

    if (look_up(op, prepared->session, statement->name, &cursor) != 0)
        return OP_FAILED;
    switch (statement->direction) {
    case AST_ABSOLUTE:
        result = go_to(op, prepared, cursor, statement->count < 0 ? cursor->count + 1 + statement->count : statement->count, &shown);
        break;
    case AST_RELATIVE: result = go_to(op, prepared, cursor, cursor->position + statement->count, &shown); break;
    case AST_BACKWARD: result = go_on(op, prepared, cursor, -statement->count, &shown); break;
    default: result = go_on(op, prepared, cursor, statement->count, &shown);
    }
    snprintf(prepared->tag, sizeof prepared->tag, "%s %lld", statement->move ? "MOVE" : "FETCH", (long long)shown);
    return result;
}

int cursor_close(struct op *op, struct session *session, const char *name)
{
    struct cursor *cursor;

    if (!name) {
        cursor_close_all(session);
        return 0;
    }
    if (look_up(op, session, name, &cursor) != 0)
        return OP_FAILED;
    drop(find(session, name));
    return 0;
}
