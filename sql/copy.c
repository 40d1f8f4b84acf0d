/*
 * copy.c -- COPY: between tables or queries and files, or the caller's STDIN and STDOUT.
 *
 * A COPY of a table to somewhere is the COPY of a query that selects its columns.  With a file it runs to its end in one step; otherwise the
 * statement waits between pieces, in its transaction, with its snapshot.
 */
#include "sql/copy_int.h"

#include <stdio.h>
#include <string.h>

#include "src/base/mem.h"

enum { READ_BYTES = 1 << 16 };

int copy__append(struct op *op, struct copy *copy, const void *data, size_t len)
{
    if (len == 0)
        return 0;
    if (copy->len + len > copy->capacity) {
        size_t capacity = copy->capacity * 2 > copy->len + len ? copy->capacity * 2 : copy->len + len + 4096;
        uint8_t *buffer = mem_realloc(copy->buffer, capacity);
        if (!buffer)
            return op_out_of_memory(op);
        copy->buffer = buffer;
        copy->capacity = capacity;
    }
    memcpy(copy->buffer + copy->len, data, len);
    copy->len += len;
    return 0;
}

/* ---- describing ----------------------------------------------------------------------------------- */

static const char *quote_name(struct arena *arena, const char *name)
{
    char *out = arena_alloc(arena, strlen(name) * 2 + 3), *to = out;
    if (!out)
        return NULL;
    *to++ = '"';
    for (; *name; name++) {
        if (*name == '"')
            *to++ = '"';
        *to++ = *name;
    }
    *to++ = '"';
    *to = '\0';
    return out;
}

/* "SELECT "a", "b" FROM "t"" */
static const char *select_text(struct arena *arena, const struct ast_copy *statement)
{
    const char *list = statement->columns ? NULL : "*";
    const char *table = quote_name(arena, statement->table->name);

    for (const struct ast_word *word = statement->columns; word; word = word->next) {
        const char *name = quote_name(arena, word->text);
        list = !name ? NULL : list ? arena_printf(arena, "%s, %s", list, name) : name;
        if (!list)
            return NULL;
    }
    if (!list || !table)
        return NULL;
    if (!statement->table->schema)
        return arena_printf(arena, "SELECT %s FROM %s", list, table);
    const char *schema = quote_name(arena, statement->table->schema);
    return schema ? arena_printf(arena, "SELECT %s FROM %s.%s", list, schema, table) : NULL;
}

int copy_describe(struct op *op, struct prepared *prepared)
{
    const struct ast_copy *statement = prepared->statement->copy;
    struct copy_options options;
    struct statement *select;
    size_t tail;

    if (copy__read_options(op, statement, &options) != 0)
        return OP_FAILED;
    if (statement->from || statement->query)
        return 0;
    const char *text = select_text(&prepared->arena, statement);
    if (!text)
        return op_out_of_memory(op);
    if (parse_statement(op, &prepared->arena, text, strlen(text), &tail, &select) != 0)
        return OP_FAILED;
    prepared->planned = select;
    return 0;
}

/* ---- files ---------------------------------------------------------------------------------------- */

static int read_file(struct op *op, struct copy *copy)
{
    uint8_t *piece = mem_alloc(READ_BYTES);
    uint64_t at = 0;
    size_t got = READ_BYTES;
    int result = piece ? 0 : op_out_of_memory(op);

    while (result == 0 && got == READ_BYTES && !copy->ended) {
        result = os_read(op, copy->file, at, piece, READ_BYTES, &got);
        if (result == 0)
            result = copy__consume(op, copy, piece, got);
        if (result == 0)
            result = prepared__check_deadline(op, copy->prepared);
        at += got;
    }
    mem_free(piece);
    return result == 0 ? copy__end_in(op, copy) : OP_FAILED;
}

static int write_file(struct op *op, struct copy *copy)
{
    if (os_truncate(op, copy->file, 0) != 0)
        return OP_FAILED;
    do {
        if (copy__produce(op, copy) != 0 || os_write(op, copy->file, copy->written, copy->buffer, copy->len) != 0)
            return OP_FAILED;
        copy->written += copy->len;
    } while (copy->len > 0);
    return 0;
}

/* ---- the whole ------------------------------------------------------------------------------------ */

static void set_tag(struct prepared *prepared)
{
    snprintf(prepared->tag, sizeof prepared->tag, "COPY %lld", (long long)prepared->rows);
}

static int open_copy(struct op *op, struct copy *copy, const struct ast_copy *statement)
{
    int flags = statement->from ? OS_OPEN_READ_ONLY : OS_OPEN_CREATE;

    if (copy__read_options(op, statement, &copy->options) != 0 ||
        (statement->from ? copy__open_in(op, copy) : copy__open_out(op, copy)) != 0 || copy__mark_columns(op, copy) != 0)
        return OP_FAILED;
    return statement->file ? os_open(op, os_unix_vfs(), statement->file, flags, &copy->file) : 0;
}

int copy_start(struct op *op, struct prepared *prepared)
{
    const struct ast_copy *statement = prepared->statement->copy;
    struct copy *copy = mem_calloc(1, sizeof *copy);

    if (!copy)
        return op_out_of_memory(op);
    prepared->copy = copy;          /* freed with the statement's run, whatever happens */
    copy->prepared = prepared;
    arena_init(&copy->arena);
    arena_init(&copy->row);
    arena_init(&copy->texts);
    if (open_copy(op, copy, statement) != 0)
        return OP_FAILED;
    if (!statement->file) {
        prepared->session->streaming = prepared;
        prepared->state = statement->from ? PREPARED_COPY_IN : PREPARED_COPY_OUT;
        return 0;
    }
    if ((statement->from ? read_file(op, copy) : write_file(op, copy)) != 0)
        return OP_FAILED;
    set_tag(prepared);
    return 0;
}

int copy_put(struct op *op, struct prepared *prepared, const void *data, size_t len)
{
    if (copy__consume(op, prepared->copy, data, len) != 0)
        return OP_FAILED;
    return prepared__check_deadline(op, prepared);
}

int copy_finish(struct op *op, struct prepared *prepared)
{
    if (copy__end_in(op, prepared->copy) != 0)
        return OP_FAILED;
    set_tag(prepared);
    return 0;
}

int copy_get(struct op *op, struct prepared *prepared, struct bytes *piece)
{
    if (copy__produce(op, prepared->copy) != 0)
        return OP_FAILED;
    *piece = (struct bytes){prepared->copy->buffer, prepared->copy->len};
    if (piece->len == 0)
        set_tag(prepared);
    return 0;
}

void copy_free(struct copy *copy)
{
    if (!copy)
        return;
    os_close(copy->file);
    change_close(&copy->change);
    catalog_release(copy->table);
    mem_free(copy->buffer);
    arena_free(&copy->row);
    arena_free(&copy->texts);
    arena_free(&copy->arena);
    mem_free(copy);
}
