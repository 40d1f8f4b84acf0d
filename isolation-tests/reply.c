/* reply.c -- see reply.h. */
#include "isolation-tests/reply.h"

#include <stdlib.h>
#include <string.h>

void *must_alloc(void *array, size_t count, size_t size)
{
    void *memory = realloc(array, count * size > 0 ? count * size : 1);
    if (!memory)
        abort();
    return memory;
}

char *must_copy(const char *text)
{
    size_t len = strlen(text) + 1;
    return memcpy(must_alloc(NULL, len, 1), text, len);
}

struct table *reply_add_table(struct reply *reply, int columns)
{
    reply->tables = must_alloc(reply->tables, (size_t)reply->table_count + 1, sizeof *reply->tables);
    struct table *table = &reply->tables[reply->table_count++];
    *table = (struct table){ .columns = columns };
    table->names = must_alloc(NULL, (size_t)columns, sizeof *table->names);
    return table;
}

void table_add_row(struct table *table)
{
    size_t used = (size_t)table->rows++ * (size_t)table->columns;
    table->cells = must_alloc(table->cells, used + (size_t)table->columns, sizeof *table->cells);
    for (int i = 0; i < table->columns; i++)
        table->cells[used + (size_t)i] = NULL;
}

void reply_add_tag(struct reply *reply, const char *tag)
{
    size_t len = reply->tags ? strlen(reply->tags) : 0, more = strlen(tag);
    reply->tags = must_alloc(reply->tags, len + more + 2, 1);
    memcpy(reply->tags + len, tag, more);
    memcpy(reply->tags + len + more, ";", 2);
}

void reply_set_error(struct reply *reply, const char *severity, const char *sqlstate, const char *message, const char *detail)
{
    reply->failed = true;
    memset(reply->sqlstate, 0, sizeof reply->sqlstate);
    memcpy(reply->sqlstate, sqlstate, strnlen(sqlstate, sizeof reply->sqlstate - 1));
    reply->severity = must_copy(severity);
    reply->message = must_copy(message);
    reply->detail = detail ? must_copy(detail) : NULL;
}

const char *reply_last_tag(const struct reply *reply, size_t *len)
{
    size_t end = reply->tags ? strlen(reply->tags) : 0;
    *len = 0;
    if (end == 0)
        return "";
    size_t begin = --end;
    while (begin > 0 && reply->tags[begin - 1] != ';')
        begin--;
    *len = end - begin;
    return reply->tags + begin;
}

bool reply_last_tag_is(const struct reply *reply, const char *tag)
{
    size_t len;
    const char *last = reply_last_tag(reply, &len);
    return len == strlen(tag) && memcmp(last, tag, len) == 0;
}

/* ---- comparison ------------------------------------------------------------------------------------------ */

static int compare_cells(const char *a, const char *b)
{
    return !a || !b ? (b != NULL) - (a != NULL) : strcmp(a, b);
}

static int compare_rows(char *const *a, char *const *b, int columns)
{
    int order = 0;
    for (int i = 0; i < columns && order == 0; i++)
        order = compare_cells(a[i], b[i]);
    return order;
}

static int compare_places(const void *a, const void *b, void *arg)
{
    return compare_rows(*(char **const *)a, *(char **const *)b, *(int *)arg);
}

/* The rows in an order of their own. */
static char ***sorted_rows(const struct table *table)
{
    int columns = table->columns;
    char ***rows = must_alloc(NULL, (size_t)table->rows, sizeof *rows);
    for (int i = 0; i < table->rows; i++)
        rows[i] = &table->cells[(size_t)i * (size_t)columns];
    qsort_r(rows, (size_t)table->rows, sizeof *rows, compare_places, &columns);
    return rows;
}

static bool same_table(const struct table *a, const struct table *b)
{
    if (a->columns != b->columns || a->rows != b->rows || compare_rows(a->names, b->names, a->columns) != 0)
        return false;
    char ***x = sorted_rows(a), ***y = sorted_rows(b);
    bool same = true;
    for (int i = 0; i < a->rows && same; i++)
        same = compare_rows(x[i], y[i], a->columns) == 0;
    free(x);
    free(y);
    return same;
}

bool reply_same(const struct reply *a, const struct reply *b)
{
    if (a->failed != b->failed || strcmp(a->sqlstate, b->sqlstate) != 0 || a->table_count != b->table_count
        || strcmp(a->tags ? a->tags : "", b->tags ? b->tags : "") != 0)
        return false;
    for (int i = 0; i < a->table_count; i++)
        if (!same_table(&a->tables[i], &b->tables[i]))
            return false;
    return true;
}

bool reply_is_serialization_failure(const struct reply *reply)
{
    return reply->failed && (strcmp(reply->sqlstate, "40001") == 0 || strcmp(reply->sqlstate, "40P01") == 0);
}

static void table_free(struct table *table)
{
    for (int j = 0; j < table->columns; j++)
        free(table->names[j]);
    for (int j = 0; j < table->rows * table->columns; j++)
        free(table->cells[j]);
    free(table->names);
    free(table->cells);
}

void reply_keep_last(struct reply *reply)
{
    if (reply->table_count <= 1)
        return;
    for (int i = 0; i < reply->table_count - 1; i++)
        table_free(&reply->tables[i]);
    reply->tables[0] = reply->tables[reply->table_count - 1];
    reply->table_count = 1;
}

void reply_free(struct reply *reply)
{
    for (int i = 0; i < reply->table_count; i++)
        table_free(&reply->tables[i]);
    free(reply->tables);
    free(reply->tags);
    free(reply->severity);
    free(reply->message);
    free(reply->detail);
    *reply = (struct reply){ 0 };
}
