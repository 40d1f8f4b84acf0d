/* tables.c -- what every table must be after a crash, as far as anybody was told.  See tables.h. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/hash.h"
#include "tests/crash/tables.h"

/* ---- commits -------------------------------------------------------------------------------------- */

void books_begin_commit(struct books *books, int owner, const struct table *after)
{
    assert(books->pending_count < COMMITS_MAX);
    books->pending[books->pending_count].owner = owner;
    books->pending[books->pending_count++].after = *after;
}

void books_settle(struct books *books, size_t count)
{
    for (size_t i = 0; i < count; i++)
        books->acknowledged[books->pending[i].owner] = books->pending[i].after;
    books->pending_count -= count;
    memmove(books->pending, books->pending + count, books->pending_count * sizeof *books->pending);
}

const struct table *books_newest(const struct books *books, int owner)
{
    for (size_t i = books->pending_count; i-- > 0;)
        if (books->pending[i].owner == owner)
            return &books->pending[i].after;
    return &books->acknowledged[owner];
}

/* ---- texts ---------------------------------------------------------------------------------------- */

static void make_room(struct text *text, size_t more)
{
    if (text->len + more < text->capacity)
        return;
    text->capacity = 2 * text->capacity + more + 256;
    text->data = realloc(text->data, text->capacity);
    if (!text->data)
        abort();
}

void text_add(struct text *text, const char *format, ...)
{
    va_list args;

    make_room(text, SQL_BYTES_MAX);
    va_start(args, format);
    int len = vsnprintf(text->data + text->len, SQL_BYTES_MAX, format, args);
    va_end(args);
    assert(len >= 0 && len < SQL_BYTES_MAX);
    text->len += (size_t)len;
}

void text_free(struct text *text)
{
    free(text->data);
    *text = (struct text){0};
}

/* ---- describing ----------------------------------------------------------------------------------- */

char table_letter(const struct table *table)
{
    return table->renamed ? 'r' : 't';
}

void table_add_value(struct text *text, const char *value, uint32_t seed, uint32_t repeats)
{
    struct text made = {0};

    if (!value) {
        char piece[20];
        size_t len = (size_t)snprintf(piece, sizeof piece, "s%u.", seed);
        make_room(&made, repeats * len + 1);
        for (uint32_t i = 0; i < repeats; i++)
            memcpy(made.data + i * len, piece, len);
        made.data[repeats * len] = '\0';
        value = made.data;
    }
    text_add(text, "%zu:%llx", strlen(value), (unsigned long long)hash_bytes(value, strlen(value), 1));
    text_free(&made);
}

static void describe_relations(const struct table *table, int owner, struct text *text)
{
    static const char letters[] = "bfgiprtu";
    char name = table_letter(table);
    const bool there[] = {
        table->index_big, table->bulk > 0, table->bulk > 0, table->index_n, table->keyed, name == 'r', name == 't', table->unique,
    };

    for (size_t i = 0; i < sizeof there; i++)
        if (there[i] && (table->exists || letters[i] == 'f' || letters[i] == 'g'))
            text_add(text, "%c%d ", letters[i], owner);
    text_add(text, "\n");
    if (table->exists && table->checked)
        text_add(text, "c%d ", owner);
    if (table->bulk > 0)
        text_add(text, "g%d ", owner);
    if (table->exists && table->keyed)
        text_add(text, "p%d ", owner);
    if (table->exists && table->unique)
        text_add(text, "u%d ", owner);
    text_add(text, "\n");
}

static void describe_lines(const struct table *table, struct text *text)
{
    text_add(text, "big ");
    for (int i = 0; i < EXTRAS; i++)
        if (table->extra[i])
            text_add(text, "e%d ", i);
    text_add(text, "id n \nn is %s\n", table->n_is_text ? "text" : "integer");
    for (int id = 0; id < LINES; id++) {
        const struct line *line = &table->lines[id];
        if (!line->live)
            continue;
        text_add(text, "%d %d ", id, line->n);
        table_add_value(text, NULL, line->seed, line->repeats);
        for (int i = 0; i < EXTRAS; i++)
            if (table->extra[i])
                text_add(text, " %d", line->extra[i]);
        text_add(text, "\n");
    }
}

void table_describe(const struct table *table, int owner, struct text *text)
{
    int64_t rows = table->bulk;

    describe_relations(table, owner, text);
    if (table->exists)
        describe_lines(table, text);
    if (rows > 0)
        text_add(text, "%lld rows, sum %lld, bytes %lld\n", (long long)rows, (long long)(rows * (rows + 1) / 2),
                 (long long)(rows * 100));
}
