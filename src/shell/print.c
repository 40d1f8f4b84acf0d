/*
 * print.c -- results as tables, the way psql draws them.
 *
 * Three formats (aligned, unaligned, CSV), each upright or expanded (one line per value).  An aligned cell may have
 * several lines: all but the last are marked with '+' at the right, as in
 *
 *       a   | b
 *      -----+---
 *       one+| 1
 *       two |
 */
#include "src/shell/shell.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

void result_free(struct result *result)
{
    for (int i = 0; i < result->columns; i++)
        free(result->names[i]);
    for (size_t i = 0; i < result->rows * (size_t)result->columns; i++)
        free(result->values[i]);
    free(result->names);
    free(result->right);
    free(result->values);
    free(result->footer);
    *result = (struct result){ 0 };
}

int print_width(const char *string, size_t len)
{
    int width = 0;
    mbstate_t state = { 0 };
    while (len > 0) {
        wchar_t wide;
        size_t used = mbrtowc(&wide, string, len, &state);
        if (used == (size_t)-1 || used == (size_t)-2 || used == 0) {
            state = (mbstate_t){ 0 };
            used = 1;
            width++;
        } else {
            int w = wcwidth(wide);
            width += w > 0 ? w : 0;
        }
        string += used;
        len -= used;
    }
    return width;
}

/* One line of a cell that may have several. */
static const char *cell_line(const char *cell, int line, size_t *len)
{
    while (line-- > 0) {
        cell = strchr(cell, '\n');
        if (!cell)
            return NULL;
        cell++;
    }
    *len = strcspn(cell, "\n");
    return cell;
}

static int cell_lines(const char *cell)
{
    int lines = 1;
    while ((cell = strchr(cell, '\n'))) {
        cell++;
        lines++;
    }
    return lines;
}

static int cell_width(const char *cell)
{
    int widest = 0;
    size_t len;
    for (int i = 0; (cell_line(cell, i, &len)); i++) {
        const char *line = cell_line(cell, i, &len);
        int width = print_width(line, len);
        if (width > widest)
            widest = width;
    }
    return widest;
}

static void pad(FILE *out, int width)
{
    while (width-- > 0)
        putc(' ', out);
}

/* The characters that rules are made of. */
struct lines {
    const char *horizontal, *vertical, *top[3], *middle[3], *bottom[3];     /* [left, cross, right] */
};
static const struct lines ascii_lines = { "-", "|", { "+", "+", "+" }, { "+", "+", "+" }, { "+", "+", "+" } };
static const struct lines unicode_lines = { "─", "│", { "┌", "┬", "┐" }, { "├", "┼", "┤" }, { "└", "┴", "┘" } };

static const char *value_of(const struct print_options *options, const struct result *result, size_t row, int column)
{
    const char *value = result->values[row * (size_t)result->columns + (size_t)column];
    return value ? value : options->null_text;
}

static void draw_rule(FILE *out, const struct print_options *options, const struct lines *lines, const char *const ends[3],
                      const int *widths, int columns)
{
    int side = options->border == 0 ? 0 : 1;
    if (options->border >= 2) {
        fputs(ends[0], out);
    }
    for (int c = 0; c < columns; c++) {
        if (c > 0)
            fputs(options->border == 0 ? " " : ends[1], out);
        for (int i = 0; i < widths[c] + 2 * side; i++)
            fputs(lines->horizontal, out);
    }
    if (options->border >= 2)
        fputs(ends[2], out);
    putc('\n', out);
}

/* A row of cells, each of `height` lines at most; `centre` for the header. */
static void draw_row(FILE *out, const struct print_options *options, const struct lines *lines, const char *const *cells,
                     const bool *right, const int *widths, int columns, bool centre)
{
    int height = 1;
    for (int c = 0; c < columns; c++) {
        int n = cell_lines(cells[c]);
        if (n > height)
            height = n;
    }
    for (int l = 0; l < height; l++) {
        if (options->border >= 2)
            fputs(lines->vertical, out);
        for (int c = 0; c < columns; c++) {
            size_t len = 0, next_len;
            const char *text = cell_line(cells[c], l, &len);
            bool more = text && cell_line(cells[c], l + 1, &next_len);
            int space = widths[c] - (text ? print_width(text, len) : 0);
            bool last = c == columns - 1;
            int before = centre ? space / 2 : right[c] && text ? space : 0;
            if (c > 0)
                fputs(options->border == 0 ? "" : lines->vertical, out);
            if (options->border > 0)
                putc(' ', out);
            pad(out, before);
            if (text)
                fwrite(text, 1, len, out);
            /* Nothing is padded behind the last cell, except where a frame or a mark follows. */
            if (!last || options->border >= 2 || more || centre)
                pad(out, space - before);
            if (more)
                putc('+', out);
            else if (!last || options->border >= 2 || centre)
                putc(' ', out);
        }
        if (options->border >= 2)
            fputs(lines->vertical, out);
        putc('\n', out);
    }
}

/* Centred above the table. */
static void draw_title(FILE *out, const struct print_options *options, const int *widths, int columns)
{
    int total = options->border == 0 ? columns : options->border == 1 ? 3 * columns - 1 : 3 * columns + 1;
    for (int c = 0; c < columns; c++)
        total += widths[c];
    int width = print_width(options->title, strlen(options->title));
    pad(out, width < total ? (total - width) / 2 : 0);
    fprintf(out, "%s\n", options->title);
}

static void print_footer(FILE *out, const struct print_options *options, const struct result *result)
{
    if (result->footer)
        fputs(result->footer, out);
    else if (options->footer && !options->tuples_only)
        fprintf(out, "(%zu row%s)\n", result->rows, result->rows == 1 ? "" : "s");
}

static void print_aligned(FILE *out, const struct print_options *options, const struct result *result)
{
    int columns = result->columns;
    const struct lines *lines = options->unicode_lines ? &unicode_lines : &ascii_lines;
    int *widths = shell_alloc(sizeof(int) * (size_t)columns);
    const char **cells = shell_alloc(sizeof(char *) * (size_t)columns);
    for (int c = 0; c < columns; c++) {
        widths[c] = cell_width(result->names[c]);
        for (size_t r = 0; r < result->rows; r++) {
            int width = cell_width(value_of(options, result, r, c));
            if (width > widths[c])
                widths[c] = width;
        }
    }
    if (!options->tuples_only) {
        if (options->title)
            draw_title(out, options, widths, columns);
        if (options->border >= 2)
            draw_rule(out, options, lines, lines->top, widths, columns);
        draw_row(out, options, lines, (const char *const *)result->names, result->right, widths, columns, true);
        draw_rule(out, options, lines, lines->middle, widths, columns);
    } else if (options->border >= 2) {
        draw_rule(out, options, lines, lines->top, widths, columns);
    }
    for (size_t r = 0; r < result->rows; r++) {
        for (int c = 0; c < columns; c++)
            cells[c] = value_of(options, result, r, c);
        draw_row(out, options, lines, cells, result->right, widths, columns, false);
    }
    if (options->border >= 2)
        draw_rule(out, options, lines, lines->bottom, widths, columns);
    print_footer(out, options, result);
    putc('\n', out);
    free(widths);
    free(cells);
}

/* "-[ RECORD 1 ]---+------" */
static void draw_record_line(FILE *out, const struct print_options *options, size_t record, int name_width, int value_width)
{
    char label[64];
    snprintf(label, sizeof label, "[ RECORD %zu ]", record);
    int left = name_width + (options->border > 0 ? 1 : 0), at = 0;
    if (options->border >= 2)
        fputs("+", out);
    if (options->border >= 2)
        left++;
    int total = left + 1 + value_width + (options->border > 0 ? 1 : 0) + (options->border >= 2 ? 1 : 0);
    if (options->border == 0) {
        fprintf(out, "* Record %zu\n", record);
        return;
    }
    putc('-', out);
    at = 1;
    fputs(label, out);
    at += (int)strlen(label);
    for (; at < total; at++)
        putc(at == left ? '+' : '-', out);
    if (options->border >= 2)
        putc('+', out);
    putc('\n', out);
}

static void print_aligned_expanded(FILE *out, const struct print_options *options, const struct result *result)
{
    int name_width = 0, value_width = 0;
    const struct lines *lines = options->unicode_lines ? &unicode_lines : &ascii_lines;
    for (int c = 0; c < result->columns; c++) {
        int width = cell_width(result->names[c]);
        name_width = width > name_width ? width : name_width;
        for (size_t r = 0; r < result->rows; r++) {
            width = cell_width(value_of(options, result, r, c));
            value_width = width > value_width ? width : value_width;
        }
    }
    if (result->rows == 0) {
        if (!options->tuples_only)
            fputs("(0 rows)\n\n", out);
        return;
    }
    if (options->title && !options->tuples_only)
        fprintf(out, "%s\n", options->title);
    for (size_t r = 0; r < result->rows; r++) {
        if (!options->tuples_only)
            draw_record_line(out, options, r + 1, name_width, value_width);
        else if (r > 0)
            putc('\n', out);
        for (int c = 0; c < result->columns; c++) {
            const char *value = value_of(options, result, r, c);
            size_t len, next_len;
            for (int l = 0; cell_line(value, l, &len); l++) {
                const char *line = cell_line(value, l, &len);
                const char *name = l == 0 ? result->names[c] : "";
                bool more = cell_line(value, l + 1, &next_len);
                if (options->border >= 2)
                    fprintf(out, "%s ", lines->vertical);
                fputs(name, out);
                pad(out, name_width - print_width(name, strlen(name)));
                if (options->border == 0)
                    putc(' ', out);
                else
                    fprintf(out, " %s ", lines->vertical);
                fwrite(line, 1, len, out);
                if (more || options->border >= 2)
                    pad(out, value_width - print_width(line, len));
                if (more)
                    putc('+', out);
                if (options->border >= 2)
                    fprintf(out, "%s%s", more ? "" : " ", lines->vertical);
                putc('\n', out);
            }
        }
    }
    if (options->border >= 2) {
        int widths[2] = { name_width, value_width };
        draw_rule(out, options, lines, lines->bottom, widths, 2);
    }
    putc('\n', out);
}

static void print_unaligned(FILE *out, const struct print_options *options, const struct result *result, bool expanded)
{
    const char *field = options->field_separator, *record = options->record_separator;
    bool first = true;
    if (!options->tuples_only && options->title)
        fprintf(out, "%s%s", options->title, record);
    if (!options->tuples_only && !expanded) {
        for (int c = 0; c < result->columns; c++)
            fprintf(out, "%s%s", c ? field : "", result->names[c]);
        first = false;
    }
    for (size_t r = 0; r < result->rows; r++) {
        if (!first)
            fputs(record, out);
        first = false;
        for (int c = 0; c < result->columns; c++) {
            if (expanded)
                fprintf(out, "%s%s%s", result->names[c], field, value_of(options, result, r, c));
            else
                fprintf(out, "%s%s", c ? field : "", value_of(options, result, r, c));
            if (expanded && c < result->columns - 1)
                fputs(record, out);
        }
        if (expanded && r + 1 < result->rows)
            fputs(record, out);
    }
    if (!options->tuples_only && options->footer && !expanded) {
        if (!first)
            fputs(record, out);
        fprintf(out, "(%zu row%s)", result->rows, result->rows == 1 ? "" : "s");
        first = false;
    }
    if (!first)
        fputs(strcmp(record, "\n") == 0 ? "\n" : record, out);
}

static void print_csv_field(FILE *out, const struct print_options *options, const char *value)
{
    char special[] = { '"', '\n', '\r', options->csv_separator, '\0' };
    if (!strpbrk(value, special) && strcmp(value, "\\.") != 0) {
        fputs(value, out);
        return;
    }
    putc('"', out);
    for (; *value; value++) {
        if (*value == '"')
            putc('"', out);
        putc(*value, out);
    }
    putc('"', out);
}

static void print_csv(FILE *out, const struct print_options *options, const struct result *result, bool expanded)
{
    if (!options->tuples_only && !expanded) {
        for (int c = 0; c < result->columns; c++) {
            if (c)
                putc(options->csv_separator, out);
            print_csv_field(out, options, result->names[c]);
        }
        putc('\n', out);
    }
    for (size_t r = 0; r < result->rows; r++) {
        for (int c = 0; c < result->columns; c++) {
            if (expanded) {
                print_csv_field(out, options, result->names[c]);
                putc(options->csv_separator, out);
            } else if (c) {
                putc(options->csv_separator, out);
            }
            print_csv_field(out, options, value_of(options, result, r, c));
            if (expanded)
                putc('\n', out);
        }
        if (!expanded)
            putc('\n', out);
    }
}

/* Expanded "auto": when the table would be wider than the terminal. */
static bool too_wide(FILE *out, const struct print_options *options, const struct result *result)
{
    struct winsize size;
    if (!isatty(fileno(out)) || ioctl(fileno(out), TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return false;
    int total = 0;
    for (int c = 0; c < result->columns; c++) {
        int widest = cell_width(result->names[c]);
        for (size_t r = 0; r < result->rows; r++) {
            int width = cell_width(value_of(options, result, r, c));
            widest = width > widest ? width : widest;
        }
        total += widest + 3;
    }
    return total > size.ws_col;
}

void print_result(FILE *out, const struct print_options *options, const struct result *result)
{
    bool expanded = options->expanded == EXPANDED_ON
        || (options->expanded == EXPANDED_AUTO && too_wide(out, options, result));
    switch (options->format) {
    case PRINT_ALIGNED:
        if (expanded)
            print_aligned_expanded(out, options, result);
        else
            print_aligned(out, options, result);
        break;
    case PRINT_UNALIGNED:
        print_unaligned(out, options, result, expanded);
        break;
    case PRINT_CSV:
        print_csv(out, options, result, expanded);
        break;
    }
}
