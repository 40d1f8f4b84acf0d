/* print.c -- see print.h. */
#include "isolation-tests/print.h"

#include <stdlib.h>
#include <string.h>

/* A column is flush right when every value looks like a number. */
static bool looks_numeric(const char *value)
{
    size_t len = strlen(value);
    return len == 0 || (value[strspn(value, "0123456789.Ee -")] == '\0' && value[0] != 'E' && value[0] != 'e'
                        && value[len - 1] >= '0' && value[len - 1] <= '9');
}

static const char *cell_text(const struct table *table, int row, int column)
{
    const char *cell = row == 0 ? table->names[column] : table->cells[(row - 1) * table->columns + column];
    return cell ? cell : "";
}

static void print_table(FILE *out, const struct table *table)
{
    int columns = table->columns;
    int *widths = memset(must_alloc(NULL, (size_t)columns, sizeof *widths), 0, (size_t)columns * sizeof *widths);
    bool *text = memset(must_alloc(NULL, (size_t)columns, sizeof *text), 0, (size_t)columns * sizeof *text);
    for (int r = 0; r <= table->rows; r++)
        for (int c = 0; c < columns; c++) {
            const char *cell = cell_text(table, r, c);
            int width = (int)strlen(cell);
            widths[c] = width > widths[c] ? width : widths[c];
            text[c] |= r > 0 && !looks_numeric(cell);
        }
    for (int r = 0; r <= table->rows; r++) {
        for (int c = 0; c < columns; c++)
            fprintf(out, text[c] ? "%s%-*s" : "%s%*s", c ? "|" : "", widths[c], cell_text(table, r, c));
        fputc('\n', out);
        for (int c = 0; r == 0 && c < columns; c++) {
            fputs(c ? "+" : "", out);
            for (int i = 0; i < widths[c]; i++)
                fputc('-', out);
        }
        if (r == 0)
            fputc('\n', out);
    }
    fprintf(out, "(%d row%s)\n\n", table->rows, table->rows == 1 ? "" : "s");
    free(widths);
    free(text);
}

static void print_reply(FILE *out, const struct reply *reply)
{
    for (int i = 0; i < reply->table_count; i++)
        print_table(out, &reply->tables[i]);
    if (reply->failed)
        fprintf(out, "%s:  %s\n", reply->severity, reply->message);
}

void print_head(FILE *out, const struct spec *spec)
{
    fprintf(out, "Parsed test spec with %d sessions\n", spec->session_count);
}

void print_permutation(FILE *out, const struct order *order)
{
    for (int i = 0; i < order->count; i++)
        fprintf(out, " %s", order->steps[i].name);
}

void print_event(void *arg, const struct run *run, const struct event *event)
{
    FILE *out = arg;
    const struct outcome *outcome = event->position >= 0 ? &run->outcomes[event->position] : NULL;
    switch (event->kind) {
    case EVENT_BLOCK:
        print_reply(out, &event->reply);
        break;
    case EVENT_NOTICES:
        fputs(event->text, out);
        break;
    case EVENT_WAITING:
        fprintf(out, "step %s: %s <waiting ...>\n", outcome->step->name, outcome->step->sql);
        break;
    case EVENT_COMPLETED:
        fprintf(out, "step %s: %s\n", outcome->step->name, outcome->step->sql);
        print_reply(out, &outcome->reply);
        break;
    case EVENT_RESUMED:
        fprintf(out, "step %s: <... completed>\n", outcome->step->name);
        print_reply(out, &outcome->reply);
        break;
    }
}
