/*
 * statement.c -- sends one statement to the engine and prints what comes back.
 *
 * A result is collected whole before it is printed, so that a statement that fails half way prints its error alone.
 */
#include "src/shell/shell.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* ---- error reports ---------------------------------------------------------------------------------- */

static size_t character_offset(const char *text, int position)
{
    size_t at = 0;
    for (int i = 1; i < position && text[at]; i++) {
        at++;
        while (((unsigned char)text[at] & 0xC0) == 0x80)
            at++;
    }
    return at;
}

/* Bytes of the first `columns` columns. */
static size_t prefix_of_width(const char *text, size_t len, int columns)
{
    size_t at = 0;
    int width = 0;
    while (at < len) {
        size_t next = at + 1;
        while (next < len && ((unsigned char)text[next] & 0xC0) == 0x80)
            next++;
        width += print_width(text + at, next - at);
        if (width > columns)
            break;
        at = next;
    }
    return at;
}

/* "LINE 2: select x" and a caret below; long lines are cut to a window around the caret. */
static void add_position(struct text *out, const char *sql, int position)
{
    enum { WINDOW = 60, RIGHT_OF_CARET = 10 };
    size_t at = character_offset(sql, position), begin = at, end = at;
    int line_number = 1;
    for (size_t i = 0; i < at; i++)
        line_number += sql[i] == '\n';
    while (begin > 0 && sql[begin - 1] != '\n')
        begin--;
    while (sql[end] && sql[end] != '\n')
        end++;
    char *line = shell_strndup(sql + begin, end - begin);
    for (char *c = line; *c; c++)
        if (*c == '\t' || *c == '\r')
            *c = ' ';
    size_t len = end - begin, caret = at - begin, from = 0, to = len;
    if (print_width(line, len) > WINDOW) {
        int caret_column = print_width(line, caret);
        if (caret_column + RIGHT_OF_CARET <= WINDOW) {
            to = prefix_of_width(line, len, WINDOW);
        } else {
            to = prefix_of_width(line, len, caret_column + RIGHT_OF_CARET);
            from = prefix_of_width(line, len, print_width(line, to) - WINDOW);
        }
    }
    char head[64];
    snprintf(head, sizeof head, "LINE %d: %s", line_number, from > 0 ? "..." : "");
    text_puts(out, head);
    text_add(out, line + from, to - from);
    text_puts(out, to < len ? "...\n" : "\n");
    int indent = (int)strlen(head) + print_width(line + from, caret - from);
    for (int i = 0; i < indent; i++)
        text_putc(out, ' ');
    text_puts(out, "^\n");
    free(line);
}

static void add_part(struct text *out, const char *label, const char *value)
{
    if (!value)
        return;
    text_puts(out, label);
    text_puts(out, value);
    text_putc(out, '\n');
}

static void format_report(struct text *out, const char *sql, const isolde_err *err, const char *verbosity)
{
    bool verbose = strcmp(verbosity, "verbose") == 0;
    text_puts(out, isolde_error_severity(err));
    text_puts(out, ":  ");
    if (strcmp(verbosity, "sqlstate") == 0) {
        text_puts(out, isolde_error_sqlstate(err));
        text_putc(out, '\n');
        return;
    }
    if (verbose) {
        text_puts(out, isolde_error_sqlstate(err));
        text_puts(out, ": ");
    }
    text_puts(out, isolde_error_message(err));
    int position = isolde_error_position(err);
    if (strcmp(verbosity, "terse") == 0 || strcmp(verbosity, "sqlstate") == 0) {
        if (position > 0) {
            char where[40];
            snprintf(where, sizeof where, " at character %d", position);
            text_puts(out, where);
        }
        text_putc(out, '\n');
        return;
    }
    text_putc(out, '\n');
    if (position > 0 && sql)
        add_position(out, sql, position);
    add_part(out, "DETAIL:  ", isolde_error_detail(err));
    add_part(out, "HINT:  ", isolde_error_hint(err));
    add_part(out, "CONTEXT:  ", isolde_error_context(err));
    if (verbose) {
        add_part(out, "SCHEMA NAME:  ", isolde_error_schema(err));
        add_part(out, "TABLE NAME:  ", isolde_error_table(err));
        add_part(out, "COLUMN NAME:  ", isolde_error_column(err));
        add_part(out, "CONSTRAINT NAME:  ", isolde_error_constraint(err));
    }
}

void statement_report(struct shell *shell, const char *sql, const isolde_err *err)
{
    const char *verbosity = shell_get(shell, "VERBOSITY");
    struct text report = { 0 };
    fflush(shell->out);
    format_report(&report, sql, err, verbosity ? verbosity : "default");
    if (shell->input_name)
        fprintf(stderr, "%s:%s:%u: ", shell->program, shell->input_name, shell->line_number);
    fputs(report.data, stderr);
    text_clear(&shell->last_error);
    format_report(&shell->last_error, sql, err, "verbose");
    text_free(&report);
}

/* ---- collecting rows --------------------------------------------------------------------------------- */

static void result_begin(struct result *result, const isolde_stmt *stmt)
{
    *result = (struct result){ .columns = isolde_column_count(stmt) };
    result->names = shell_alloc(sizeof(char *) * (size_t)result->columns);
    result->right = shell_alloc(sizeof(bool) * (size_t)result->columns);
    for (int c = 0; c < result->columns; c++) {
        result->names[c] = shell_strdup(isolde_column_name(stmt, c));
        result->right[c] = isolde_column_is_numeric(stmt, c);
    }
}

/* False when there is no memory for a value's text: then the connection's error says so. */
static bool result_add(struct result *result, isolde_stmt *stmt)
{
    if (result->rows == result->capacity) {
        result->capacity = result->capacity ? result->capacity * 2 : 64;
        size_t cells = result->capacity * (size_t)result->columns;
        result->values = shell_realloc(result->values, sizeof(char *) * (cells ? cells : 1));
    }
    char **row = result->values + result->rows * (size_t)result->columns;
    bool whole = true;
    result->rows++;
    for (int c = 0; c < result->columns; c++) {
        const char *value = isolde_column_text(stmt, c);
        whole = whole && (value || isolde_column_type(stmt, c) == ISOLDE_NULL);
        row[c] = value ? shell_strndup(value, isolde_column_bytes(stmt, c)) : NULL;
    }
    return whole;
}

/* ---- COPY -------------------------------------------------------------------------------------------- */

/* Lines up to "\." or the end of the input. */
static int copy_in(struct shell *shell, isolde_stmt *stmt, FILE *file, bool is_script_input)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t len;
    int result = ISOLDE_OK;
    if (shell->input_is_terminal && is_script_input && !shell->quiet)
        fputs("Enter data to be copied followed by a newline.\n"
              "End with a backslash and a period on a line by itself, or an EOF signal.\n", shell->out);
    while ((len = getline(&line, &capacity, file)) >= 0) {
        if (is_script_input)
            shell->line_number++;
        if (strcmp(line, "\\.\n") == 0 || strcmp(line, "\\.\r\n") == 0 || strcmp(line, "\\.") == 0)
            break;
        /* After an error the rest of the data is still read, so that it is not taken for statements. */
        if (result == ISOLDE_OK)
            result = isolde_copy_put(stmt, line, (size_t)len);
    }
    free(line);
    if (result != ISOLDE_OK)
        return result;
    return isolde_copy_end(stmt, ferror(file) ? "error reading the data" : NULL);
}

static int copy_out(isolde_stmt *stmt, FILE *file)
{
    const void *data;
    size_t len;
    int result;
    while ((result = isolde_copy_get(stmt, &data, &len)) == ISOLDE_OK)
        if (fwrite(data, 1, len, file) != len) {
            perror("could not write COPY data");
            return ISOLDE_MISUSE;
        }
    return result;
}

/* ---- running ----------------------------------------------------------------------------------------- */

static double milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static bool returns_rows_and_tag(const char *tag)
{
    return strncmp(tag, "INSERT", 6) == 0 || strncmp(tag, "UPDATE", 6) == 0 || strncmp(tag, "DELETE", 6) == 0;
}

static void gset_store(struct shell *shell, const struct result *result)
{
    if (result->rows != 1) {
        shell_complain(shell, result->rows == 0 ? "no rows returned for \\gset" : "more than one row returned for \\gset");
        return;
    }
    for (int c = 0; c < result->columns; c++) {
        struct text name = { 0 };
        text_puts(&name, shell->gset_prefix);
        text_puts(&name, result->names[c]);
        if (result->values[c])
            shell_set(shell, name.data, result->values[c]);
        else
            shell_unset(shell, name.data);
        text_free(&name);
    }
}

static void show_result(struct shell *shell, const struct result *result, const char *tag)
{
    FILE *out = shell->once_out ? shell->once_out : shell->out;
    struct print_options options = shell->print;
    if (shell->once_expanded)
        options.expanded = EXPANDED_ON;
    if (shell->gset_prefix) {
        gset_store(shell, result);
    } else if (result->columns > 0 || strncmp(tag, "SELECT", 6) == 0) {
        print_result(out, &options, result);
        if (returns_rows_and_tag(tag) && !shell->quiet)
            fprintf(out, "%s\n", tag);
    } else if (tag[0] && !shell->quiet) {
        fprintf(out, "%s\n", tag);
    }
    fflush(out);
}

static void forget_once(struct shell *shell)
{
    if (shell->once_out) {
        if (shell->once_out_is_pipe)
            pclose(shell->once_out);
        else
            fclose(shell->once_out);
    }
    shell->once_out = NULL;
    shell->once_expanded = false;
    free(shell->gset_prefix);
    shell->gset_prefix = NULL;
}

/* Steps a prepared statement to its end, collecting rows.  Returns ISOLDE_DONE or an error.  After COPY TO STDOUT psql prints no tag. */
static int step_all(struct shell *shell, isolde_stmt *stmt, struct result *result, FILE *copy_file, bool is_script_input,
                    bool *copied_out)
{
    int step;
    *copied_out = false;
    result_begin(result, stmt);
    step = isolde_step(stmt);
    if (shell->progress_shown)
        fputs("\r\033[K", stderr);
    shell->progress_shown = false;
    for (; step == ISOLDE_ROW; step = isolde_step(stmt))
        if (!result_add(result, stmt))
            return ISOLDE_ERROR;
    if (step == ISOLDE_COPY_IN)
        step = copy_in(shell, stmt, copy_file ? copy_file : shell->input ? shell->input : stdin, is_script_input);
    else if ((*copied_out = step == ISOLDE_COPY_OUT))
        step = copy_out(stmt, copy_file ? copy_file : shell->once_out ? shell->once_out : shell->out);
    return step;
}

static bool run_one(struct shell *shell, const char *sql, size_t *used)
{
    isolde_stmt *stmt = NULL;
    struct result result = { 0 };
    double start = milliseconds();
    bool good = false, copied_out = false;
    int rc = isolde_prepare(shell->conn, sql, -1, &stmt);
    if (rc != ISOLDE_OK)
        goto out;
    *used = isolde_tail(stmt);
    rc = step_all(shell, stmt, &result, NULL, true, &copied_out);
    if (rc != ISOLDE_DONE)
        goto out;
    good = true;
    char count[32];
    snprintf(count, sizeof count, "%lld", (long long)isolde_rows_affected(stmt));
    shell_set(shell, "ROW_COUNT", count);
    if (!copied_out)
        show_result(shell, &result, isolde_command_tag(stmt));
out:
    if (!good)
        statement_report(shell, sql, isolde_error(shell->conn));
    shell_set(shell, "SQLSTATE", isolde_error_sqlstate(isolde_error(shell->conn)));
    shell_set(shell, "ERROR", good ? "false" : "true");
    if (!good) {
        shell_set(shell, "LAST_ERROR_MESSAGE", isolde_error_message(isolde_error(shell->conn)));
        shell_set(shell, "LAST_ERROR_SQLSTATE", isolde_error_sqlstate(isolde_error(shell->conn)));
    }
    isolde_finalize(stmt);
    result_free(&result);
    if (shell->timing)
        fprintf(shell->out, "Time: %.3f ms\n", milliseconds() - start);
    return good;
}

bool statement_run(struct shell *shell, const char *sql, size_t len)
{
    struct text expanded = { 0 };
    variables_expand(shell, sql, len, &expanded);
    const char *at = expanded.data ? expanded.data : "";
    bool good = true;
    if (shell->echo_queries)
        fprintf(shell->out, "%s\n", at);
    /* Several statements at once (from -c, or joined by "\;") are one transaction. */
    size_t used = 0;
    isolde_group_begin(shell->conn);
    do {
        at += used;
        used = strlen(at);
        good = run_one(shell, at, &used);
    } while (good && at[used] && at[used + strspn(at + used, " \t\r\n;")]);
    if (isolde_group_end(shell->conn) != ISOLDE_OK && good) {
        statement_report(shell, NULL, isolde_error(shell->conn));
        good = false;
    }
    forget_once(shell);
    if (!good && shell->echo_errors)
        fprintf(stderr, "STATEMENT:  %s\n", expanded.data);
    text_free(&expanded);
    return good;
}

bool statement_query(struct shell *shell, const char *sql, struct result *result)
{
    isolde_stmt *stmt = NULL;
    bool copied_out;
    *result = (struct result){ 0 };
    bool good = isolde_prepare(shell->conn, sql, -1, &stmt) == ISOLDE_OK
        && step_all(shell, stmt, result, NULL, false, &copied_out) == ISOLDE_DONE;
    if (!good)
        statement_report(shell, sql, isolde_error(shell->conn));
    isolde_finalize(stmt);
    return good;
}

bool statement_copy(struct shell *shell, const char *sql, FILE *file, bool is_script_input)
{
    isolde_stmt *stmt = NULL;
    struct result result = { 0 };
    double start = milliseconds();
    bool copied_out;
    bool good = isolde_prepare(shell->conn, sql, -1, &stmt) == ISOLDE_OK
        && step_all(shell, stmt, &result, file, is_script_input, &copied_out) == ISOLDE_DONE;
    if (!good)
        statement_report(shell, sql, isolde_error(shell->conn));
    else if (!shell->quiet && !(copied_out && file == shell->out))
        fprintf(shell->out, "%s\n", isolde_command_tag(stmt));
    isolde_finalize(stmt);
    result_free(&result);
    if (shell->timing)
        fprintf(shell->out, "Time: %.3f ms\n", milliseconds() - start);
    return good;
}
