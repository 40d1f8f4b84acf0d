/*
 * copy_in.c -- COPY FROM: bytes to records, records to fields, fields to rows.
 *
 * Data arrives in pieces that end anywhere.  They are gathered, and each byte is looked at once to find where records end: at a newline, but
 * not at one behind a backslash (text) or between quotes (csv).  A record is then split into fields, which are parsed as their columns'
 * types and inserted, all rows as one command.
 *
 *      text    a<TAB>b\tc<TAB>\N         fields "a", "b<TAB>c", null
 *      csv     a,"b ""c"", d",,""        fields "a", "b "c", d", null, ""
 *
 * Both formats end at a line that is just "\.", or with the data.  Lines are counted so that an error can say where it was.
 */
#include <string.h>

#include "sql/advisory.h"
#include "sql/copy_int.h"
#include "sql/lexer.h"
#include "sql/fkey.h"
#include "sql/ddl_int.h"
#include "src/base/mem.h"

/* ---- errors --------------------------------------------------------------------------------------- */

/* "COPY t, line 3, column a: "x"", cut to a line's length. */
static int at_column(struct op *op, const struct copy *copy, const struct copy_column *column, const struct copy_field *field)
{
    int len = field->text.len > 100 ? 100 : (int)field->text.len;
    if (field->null)
        op_context(op, "COPY %s, line %llu, column %s: null input", copy->table->name, (unsigned long long)copy->line, column->name);
    else
        op_context(op, "COPY %s, line %llu, column %s: \"%.*s%s\"", copy->table->name, (unsigned long long)copy->line, column->name,
                   len, (const char *)field->text.data, field->text.len > 100 ? "..." : "");
    return OP_FAILED;
}

static int at_record(struct op *op, const struct copy *copy, struct bytes record)
{
    int len = record.len > 100 ? 100 : (int)record.len;
    op_context(op, "COPY %s, line %llu: \"%.*s%s\"", copy->table->name, (unsigned long long)copy->line, len,
               (const char *)record.data, record.len > 100 ? "..." : "");
    return OP_FAILED;
}

static int at_line(struct op *op, const struct copy *copy)
{
    op_context(op, "COPY %s, line %llu", copy->table->name, (unsigned long long)copy->line);
    return OP_FAILED;
}

/* ---- fields --------------------------------------------------------------------------------------- */

static int hex_digit(int c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* One escape of the text format behind its backslash; returns where it ends. */
static const uint8_t *unescape(const uint8_t *at, const uint8_t *end, uint8_t *out)
{
    static const char from[] = "bfnrtv", to[] = "\b\f\n\r\t\v";
    int c = *at++;
    const char *simple = c ? strchr(from, c) : NULL;

    if (simple) {
        *out = (uint8_t)to[simple - from];
    } else if (c >= '0' && c <= '7') {
        int value = c - '0';
        for (int i = 0; i < 2 && at < end && *at >= '0' && *at <= '7'; i++)
            value = value * 8 + (*at++ - '0');
        *out = (uint8_t)value;
    } else if (c == 'x' && at < end && hex_digit(*at) >= 0) {
        int value = hex_digit(*at++);
        if (at < end && hex_digit(*at) >= 0)
            value = value * 16 + hex_digit(*at++);
        *out = (uint8_t)value;
    } else {
        *out = (uint8_t)c;
    }
    return at;
}

/* Takes one field of a text record into `out` (as long as the rest of the record); returns where it ends. */
static const uint8_t *take_text(const struct copy *copy, const uint8_t *at, const uint8_t *end, uint8_t *out,
                                struct copy_field *field)
{
    const uint8_t *from = at;
    uint8_t *to = out;
    bool plain = true;

    while (at < end && *at != (uint8_t)copy->options.delimiter) {
        if (*at == '\\' && at + 1 < end) {
            at = unescape(at + 1, end, to++);
            plain = false;
        } else {
            *to++ = *at++;
        }
    }
    size_t raw = (size_t)(at - from);
    field->null = raw == copy->options.null_len && memcmp(from, copy->options.null_text, raw) == 0;
    field->text = (struct bytes){plain ? from : out, (size_t)(to - out)};
    return at;
}

static const uint8_t *take_csv(const struct copy *copy, const uint8_t *at, const uint8_t *end, uint8_t *out,
                               struct copy_field *field, bool *quoted, bool *open)
{
    uint8_t quote = (uint8_t)copy->options.quote, escape = (uint8_t)copy->options.escape;
    uint8_t *to = out;

    *quoted = *open = false;
    while (at < end && (*open || *at != (uint8_t)copy->options.delimiter)) {
        if (*open && *at == escape && at + 1 < end && (at[1] == quote || at[1] == escape)) {
            *to++ = at[1];
            at += 2;
        } else if (*at == quote) {
            *open = !*open;
            *quoted = true;
            at++;
        } else {
            *to++ = *at++;
        }
    }
    field->text = (struct bytes){out, (size_t)(to - out)};
    return at;
}

static void settle_csv_null(const struct copy *copy, const struct copy_column *column, bool quoted, struct copy_field *field)
{
    bool matches = field->text.len == copy->options.null_len &&
                   memcmp(field->text.data, copy->options.null_text, field->text.len) == 0;
    field->null = matches && (quoted ? column->force_null : !column->force_not_null);
}

/* Takes a record apart; *count may be one more than there are columns. */
static int split(struct op *op, struct copy *copy, struct bytes record, int *count)
{
    const uint8_t *at = record.data, *end = record.data + record.len;
    uint8_t *out = op_arena_alloc(op, &copy->row, record.len + 1);
    bool quoted, open = false;

    *count = 0;
    if (!out)
        return OP_FAILED;
    for (;;) {
        struct copy_field *field = &copy->fields[*count];
        if (copy->options.csv) {
            at = take_csv(copy, at, end, out, field, &quoted, &open);
            if (open) {
                op_fail(op, "22P04", "unterminated CSV quoted field");
                return at_record(op, copy, record);
            }
            if (*count < copy->column_count)
                settle_csv_null(copy, &copy->columns[*count], quoted, field);
        } else {
            at = take_text(copy, at, end, out, field);
        }
        out += field->text.len;
        if (++*count > copy->column_count || at >= end)
            return 0;
        at++;
    }
}

/* ---- records -------------------------------------------------------------------------------------- */

static int insert_record(struct op *op, struct copy *copy)
{
    copy->env.op = op;
    copy->env.arena = &copy->row;
    for (int i = 0; i < copy->table->column_count; i++)
        if (!copy->defaults[i])
            copy->values[i] = (struct datum){.null = true};
        else if (program_value(&copy->env, copy->defaults[i], &copy->values[i]) != 0)
            return at_line(op, copy);
    for (int i = 0; i < copy->column_count; i++) {
        const struct copy_column *column = &copy->columns[i];
        struct datum *value = &copy->values[column->index];
        if (copy->fields[i].null)
            *value = (struct datum){.null = true};
        else if (lexer_check_text(op, copy->fields[i].text) != 0)
            return at_line(op, copy);
        else if (type_parse(op, column->type, copy->fields[i].text, &copy->row, value) != 0)
            return at_column(op, copy, column, &copy->fields[i]);
        else
            value->null = false;
    }
    if (change_check(op, &copy->change, copy->values) != 0 || change_insert(op, &copy->change, copy->values) != 0)
        return at_line(op, copy);
    copy->prepared->rows++;
    return 0;
}

static int check_header(struct op *op, struct copy *copy, struct bytes record)
{
    int count;

    if (!copy->options.header_match)
        return 0;
    if (split(op, copy, record, &count) != 0)
        return OP_FAILED;
    if (count != copy->column_count) {
        op_fail(op, "22P04", "wrong number of fields in header line: got %d, expected %d", count, copy->column_count);
        return at_record(op, copy, record);
    }
    for (int i = 0; i < count; i++)
        if (copy->fields[i].null || copy->fields[i].text.len != strlen(copy->columns[i].name) ||
            memcmp(copy->fields[i].text.data, copy->columns[i].name, copy->fields[i].text.len) != 0) {
            op_fail(op, "22P04", "column name mismatch in header line field %d: got \"%.*s\", expected \"%s\"", i + 1,
                    (int)copy->fields[i].text.len, (const char *)copy->fields[i].text.data, copy->columns[i].name);
            return at_record(op, copy, record);
        }
    return 0;
}

static int take_record(struct op *op, struct copy *copy, struct bytes record)
{
    int count;

    if (record.len == 2 && memcmp(record.data, "\\.", 2) == 0) {
        copy->ended = true;
        return 0;
    }
    if (copy->options.header && copy->line == 1)
        return check_header(op, copy, record);
    if (copy->column_count == 0 && record.len == 0)
        return insert_record(op, copy);
    if (split(op, copy, record, &count) != 0)
        return OP_FAILED;
    if (count < copy->column_count) {
        op_fail(op, "22P04", "missing data for column \"%s\"", copy->columns[count].name);
        return at_record(op, copy, record);
    }
    if (count > copy->column_count) {
        op_fail(op, "22P04", "extra data after last expected column");
        return at_record(op, copy, record);
    }
    return insert_record(op, copy);
}

/* Looks on for the end of the record; false when it is not there yet. */
static bool find_end(struct copy *copy)
{
    const struct copy_options *options = &copy->options;

    for (; copy->scanned < copy->len; copy->scanned++) {
        uint8_t c = copy->buffer[copy->scanned];
        if (copy->escaped) {
            copy->escaped = false;
            if (c == '\n')
                copy->record_lines++;
        } else if (!options->csv && c == '\\') {
            copy->escaped = true;
        } else if (options->csv && copy->in_quote && c == (uint8_t)options->escape && options->escape != options->quote) {
            copy->escaped = true;
        } else if (options->csv && c == (uint8_t)options->quote) {
            copy->in_quote = !copy->in_quote;
        } else if (c == '\n' && copy->in_quote) {
            copy->record_lines++;
        } else if ((c == '\n' || c == '\r') && !copy->in_quote) {
            return true;
        }
    }
    return false;
}

static int process(struct op *op, struct copy *copy)
{
    size_t start = 0;
    int result = 0;

    while (result == 0 && !copy->ended) {
        if (copy->skip_newline && start < copy->len) {
            copy->skip_newline = false;
            if (copy->buffer[start] == '\n')      /* the other half of \r\n */
                copy->scanned = ++start;
        }
        if (!find_end(copy))
            break;
        size_t end = copy->scanned++;
        struct arena_mark mark = arena_mark(&op->arena);
        copy->skip_newline = copy->buffer[end] == '\r';
        copy->line++;
        result = take_record(op, copy, (struct bytes){copy->buffer + start, end - start});
        copy->line += copy->record_lines;
        copy->record_lines = 0;
        start = end + 1;
        arena_reset(&copy->row);
        if (result == 0)
            arena_release(&op->arena, mark);
        if (result == 0 && copy->line % 1024 == 0 && op_check_cancel(op) != 0)
            result = OP_FAILED;
    }
    memmove(copy->buffer, copy->buffer + start, copy->len - start);
    copy->len -= start;
    copy->scanned -= start;
    return result;
}

int copy__consume(struct op *op, struct copy *copy, const void *data, size_t len)
{
    if (copy->ended || len == 0)
        return 0;
    if (copy__append(op, copy, data, len) != 0)
        return OP_FAILED;
    return process(op, copy);
}

/* What is left is the last record, without a newline. */
int copy__end_in(struct op *op, struct copy *copy)
{
    int result = 0;

    if (!copy->ended && copy->len > 0) {
        copy->line++;
        result = take_record(op, copy, (struct bytes){copy->buffer, copy->len});
        arena_reset(&copy->row);
        copy->len = 0;
    }
    return result == 0 ? fkey_check(op, copy->prepared->session) : result;
}

/* ---- opening -------------------------------------------------------------------------------------- */

static int add_column(struct op *op, struct copy *copy, int index)
{
    const struct column_def *column = &copy->table->columns[index];

    for (int i = 0; i < copy->column_count; i++)
        if (copy->columns[i].index == index)
            return op_fail(op, "42701", "column \"%s\" specified more than once", column->name);
    if (column->generated) {
        op_fail(op, "42P10", "column \"%s\" is a generated column", column->name);
        op_detail(op, "Generated columns cannot be used in COPY.");
        return OP_FAILED;
    }
    copy->columns[copy->column_count++] = (struct copy_column){.name = column->name, .type = column->type, .index = index};
    return 0;
}

static int choose_columns(struct op *op, struct copy *copy, const struct ast_word *words)
{
    const struct table_def *table = copy->table;

    copy->columns = op_arena_alloc(op, &copy->arena, sizeof *copy->columns * (size_t)(table->column_count + 1));
    copy->fields = op_arena_alloc(op, &copy->arena, sizeof *copy->fields * (size_t)(table->column_count + 2));
    copy->values = op_arena_alloc(op, &copy->arena, sizeof *copy->values * (size_t)(table->column_count + 1));
    if (!copy->columns || !copy->fields || !copy->values)
        return OP_FAILED;
    for (int i = 0; !words && i < table->column_count; i++)
        if (!table->columns[i].generated && add_column(op, copy, i) != 0)
            return OP_FAILED;
    for (; words; words = words->next) {
        int i = 0;
        while (i < table->column_count && strcmp(table->columns[i].name, words->text) != 0)
            i++;
        if (i == table->column_count)
            return op_fail_at(op, words->position, "42703", "column \"%s\" of relation \"%s\" does not exist", words->text, table->name);
        if (add_column(op, copy, i) != 0)
            return OP_FAILED;
    }
    return 0;
}

/* Defaults of the columns that the data does not have. */
static int compile_defaults(struct op *op, struct copy *copy)
{
    struct session *session = copy->prepared->session;

    copy->defaults = op_arena_alloc(op, &copy->arena, sizeof *copy->defaults * (size_t)(copy->table->column_count + 1));
    if (!copy->defaults)
        return OP_FAILED;
    for (int i = 0; i < copy->table->column_count; i++) {
        const struct column_def *column = &copy->table->columns[i];
        struct expr *expr;
        bool given = false;
        for (int k = 0; k < copy->column_count; k++)
            given |= copy->columns[k].index == i;
        if (given || !column->default_sql || column->generated)
            continue;
        if (bind_expression(op, session, &copy->arena, column->default_sql, column->type, &expr) != 0 ||
            program_compile(op, &copy->arena, expr, NULL, &copy->defaults[i]) != 0)
            return OP_FAILED;
    }
    copy->env.transaction_time = session->transaction_time;
    copy->env.statement_time = session->statement_time;
    copy->env.session = session;
    copy->env.advisory = session__advisory;
    return 0;
}

int copy__open_in(struct op *op, struct copy *copy)
{
    struct session *session = copy->prepared->session;
    const struct ast_copy *statement = copy->prepared->statement->copy;

    if (session__check_writable(op, session, "COPY FROM") != 0 || session__begin(op, session, false) != 0 ||
        ddl__lock_table(op, session, statement->table, TXN_ROW_EXCLUSIVE, &copy->table) != 0)
        return OP_FAILED;
    if (!copy->table)
        return op_fail_at(op, statement->table->position, "42P01", "relation \"%s\" does not exist", statement->table->name);
    if (choose_columns(op, copy, statement->columns) != 0 || compile_defaults(op, copy) != 0)
        return OP_FAILED;
    return change_open(op, &copy->arena, session->txn, copy->table, &copy->change) != 0
               ? OP_FAILED : change_compile(op, session, &copy->arena, copy->table, &copy->change);
}
