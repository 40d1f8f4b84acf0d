/*
 * copy_out.c -- COPY TO: rows to lines, a piece of some tens of kilobytes at a time.
 */
#include <string.h>

#include "sql/copy_int.h"

enum { PIECE_BYTES = 1 << 16 };

/* ---- one value ------------------------------------------------------------------------------------ */

static int put(struct op *op, struct copy *copy, char c)
{
    return copy__append(op, copy, &c, 1);
}

static int write_text(struct op *op, struct copy *copy, struct bytes text)
{
    static const char escapes[] = "btnvfr";     /* \b is 8, \r is 13 */
    const uint8_t *at = text.data, *end = text.data + text.len, *run = at;

    for (; at < end; at++) {
        bool control = *at >= '\b' && *at <= '\r';
        if (!control && *at != '\\' && *at != (uint8_t)copy->options.delimiter)
            continue;
        char escaped[2] = {'\\', control ? escapes[*at - '\b'] : (char)*at};
        if (copy__append(op, copy, run, (size_t)(at - run)) != 0 || copy__append(op, copy, escaped, 2) != 0)
            return OP_FAILED;
        run = at + 1;
    }
    return copy__append(op, copy, run, (size_t)(at - run));
}

static bool needs_quotes(const struct copy *copy, const struct copy_column *column, struct bytes text)
{
    const struct copy_options *options = &copy->options;

    if (column->force_quote || (text.len == options->null_len && memcmp(text.data, options->null_text, text.len) == 0))
        return true;
    if (copy->column_count == 1 && text.len == 2 && memcmp(text.data, "\\.", 2) == 0)
        return true;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == (uint8_t)options->delimiter || text.data[i] == (uint8_t)options->quote || text.data[i] == '\n' ||
            text.data[i] == '\r')
            return true;
    return false;
}

static int write_csv(struct op *op, struct copy *copy, const struct copy_column *column, struct bytes text)
{
    const struct copy_options *options = &copy->options;

    if (!needs_quotes(copy, column, text))
        return copy__append(op, copy, text.data, text.len);
    if (put(op, copy, options->quote) != 0)
        return OP_FAILED;
    for (size_t i = 0; i < text.len; i++) {
        char c = (char)text.data[i];
        if ((c == options->quote || c == options->escape) && put(op, copy, options->escape) != 0)
            return OP_FAILED;
        if (put(op, copy, c) != 0)
            return OP_FAILED;
    }
    return put(op, copy, options->quote);
}

static int write_value(struct op *op, struct copy *copy, const struct copy_column *column, const struct datum *value)
{
    struct bytes text = value->s;

    if (value->null)
        return copy__append(op, copy, copy->options.null_text, copy->options.null_len);
    if (column->type.oid != TYPE_TEXT && column->type.oid != TYPE_VARCHAR &&
        type_print(op, column->type, value, &copy->texts, &text) != 0)
        return OP_FAILED;
    return copy->options.csv ? write_csv(op, copy, column, text) : write_text(op, copy, text);
}

/* ---- rows ----------------------------------------------------------------------------------------- */

static int write_row(struct op *op, struct copy *copy, int row)
{
    for (int i = 0; i < copy->column_count; i++) {
        struct datum value;
        if (i > 0 && put(op, copy, copy->options.delimiter) != 0)
            return OP_FAILED;
        vector_get(&copy->batch->vectors[copy->columns[i].index], row, &value);
        if (write_value(op, copy, &copy->columns[i], &value) != 0)
            return OP_FAILED;
    }
    copy->prepared->rows++;
    return put(op, copy, '\n');
}

static int write_header(struct op *op, struct copy *copy)
{
    copy->header_written = true;
    for (int i = 0; i < copy->column_count; i++) {
        struct bytes name = {(const uint8_t *)copy->columns[i].name, strlen(copy->columns[i].name)};
        if ((i > 0 && put(op, copy, copy->options.delimiter) != 0) ||
            (copy->options.csv ? write_csv(op, copy, &copy->columns[i], name) : write_text(op, copy, name)) != 0)
            return OP_FAILED;
    }
    return put(op, copy, '\n');
}

static int next_batch(struct op *op, struct copy *copy)
{
    struct prepared *prepared = copy->prepared;

    copy->at = 0;
    arena_reset(&copy->texts);
    if (prepared->modify ? modify_next(op, prepared->modify, &copy->batch) : execution_next(op, prepared->execution, &copy->batch))
        return OP_FAILED;
    copy->done = !copy->batch;
    if (txn_await_dependencies(op, prepared->session->txn) != 0)
        return OP_FAILED;
    return prepared__check_deadline(op, prepared);
}

int copy__produce(struct op *op, struct copy *copy)
{
    copy->len = 0;
    if (copy->options.header && !copy->header_written && write_header(op, copy) != 0)
        return OP_FAILED;
    while (!copy->done && copy->len < PIECE_BYTES) {
        if (!copy->batch || copy->at == copy->batch->selected) {
            if (next_batch(op, copy) != 0)
                return OP_FAILED;
            continue;
        }
        if (write_row(op, copy, batch_row(copy->batch, copy->at++)) != 0)
            return OP_FAILED;
    }
    return 0;
}

/* ---- opening -------------------------------------------------------------------------------------- */

static bool is_generated(const struct query *query, const struct expr *expr)
{
    return expr->kind == EXPR_COLUMN && expr->level == 0 && query->ranges[expr->range].kind == RANGE_TABLE &&
           query->ranges[expr->range].table->columns[expr->column].generated;
}

/* A table without a list of columns: all but what is generated, which COPY FROM would not take. */
static int choose_columns(struct op *op, struct copy *copy)
{
    const struct query *query = copy->prepared->query;
    bool whole = copy->prepared->statement->copy->table && !copy->prepared->statement->copy->columns;

    copy->columns = op_arena_alloc(op, &copy->arena, sizeof *copy->columns * (size_t)(query->target_count + 1));
    if (!copy->columns)
        return OP_FAILED;
    for (int i = 0; i < query->target_count; i++)
        if (!query->targets[i].hidden && !(whole && is_generated(query, query->targets[i].expr)))
            copy->columns[copy->column_count++] =
                (struct copy_column){.name = query->targets[i].name, .type = query->targets[i].expr->type, .index = i};
    return 0;
}

int copy__open_out(struct op *op, struct copy *copy)
{
    struct prepared *prepared = copy->prepared;

    if (prepared__open(op, prepared) != 0)
        return OP_FAILED;
    if (prepared->query->kind != QUERY_SELECT && !prepared->query->returning)
        return op_fail(op, "0A000", "COPY query must have a RETURNING clause");
    if (choose_columns(op, copy) != 0)
        return OP_FAILED;
    return prepared->modify ? modify_start(op, prepared->modify, NULL, 0) : execution_start(op, prepared->execution, NULL, 0);
}
