/* timeline.c -- a drawing set in text. */
#include <string.h>

#include "isolation-tests/drawing.h"
#include "isolation-tests/print.h"

enum { MARGIN = 6, LANE_MIN = 18 };

static const char *const marks[MARK_COUNT] = { "", "├", "┬", "◆", "◇", "┊", "▶", "✔", "↩", "✘" };
static const char *const lanes[] = { " ", "│", "╎", "┊" };

/* Sets the text in `width` columns, cut with an ellipsis, and filled up if asked; a code point is one column. */
static void set(FILE *out, const char *text, int width, bool fill)
{
    int columns = 0;
    for (const char *at = text; *at; at++)
        columns += (*at & 0xc0) != 0x80;
    bool cut = columns > width;
    int room = cut ? width - 1 : columns, used = 0;
    for (const char *at = text; *at; at++) {
        used += (*at & 0xc0) != 0x80;
        if (used > room)
            break;
        fputc(*at, out);
    }
    fprintf(out, "%s%*s", cut ? "…" : "", cut || !fill ? 0 : width - columns, "");
}

static void print_line(FILE *out, const struct drawing *drawing, const struct line *line, int lane)
{
    if (line->step > 0)
        fprintf(out, "%4d  ", line->step);
    else
        fprintf(out, "%*s", MARGIN, "");
    int last = drawing->run->spec->session_count - 1;
    while (last > line->session && line->lanes[last] == LANE_IDLE)
        last--;
    for (int s = 0; s <= last; s++) {
        bool own = s == line->session;
        fputs(own && line->mark != MARK_NONE ? marks[line->mark] : lanes[line->lanes[s]], out);
        if (s == last && !own)
            break;
        fputc(' ', out);
        set(out, own ? line->text : "", lane - 3, s < last);
        if (s < last)
            fputc(' ', out);
    }
    fputc('\n', out);
}

void timeline_print(FILE *out, const struct drawing *drawing, int width)
{
    const struct spec *spec = drawing->run->spec;
    int lane = (width - MARGIN) / spec->session_count;
    lane = lane < LANE_MIN ? LANE_MIN : lane;
    fputs("\npermutation", out);
    print_permutation(out, &drawing->run->order);
    fprintf(out, "\n\n%*s", MARGIN, "");
    for (int s = 0; s < spec->session_count; s++)
        set(out, spec->sessions[s].name, lane, s + 1 < spec->session_count);
    fputc('\n', out);
    for (int i = 0; i < drawing->count; i++)
        print_line(out, drawing, &drawing->lines[i], lane);
}
