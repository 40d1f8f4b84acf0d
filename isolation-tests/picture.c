/* picture.c -- a drawing as SVG, alone or in a page of HTML. */
#include <stdlib.h>
#include <string.h>

#include "isolation-tests/drawing.h"
#include "isolation-tests/print.h"

enum { LEFT = 44, LANE = 350, ROW = 22, HEAD = 58, GAP = 24, TEXT_MAX = 42 };

static const struct { const char *colour, *what; } looks[MARK_COUNT] = {
    [MARK_NONE] = { "#555", "" }, [MARK_STATEMENT] = { "#222", "statement" }, [MARK_BEGIN] = { "#222", "begin" },
    [MARK_SNAPSHOT] = { "#1f5fa8", "takes the transaction's snapshot" },
    [MARK_OWN_SNAPSHOT] = { "#1f5fa8", "has a snapshot of its own" }, [MARK_WAITS] = { "#b07000", "waits" },
    [MARK_RESUMED] = { "#b07000", "goes on" }, [MARK_COMMIT] = { "#1b7f3b", "commits" },
    [MARK_ROLLBACK] = { "#888", "rolls back" }, [MARK_FAILED] = { "#b3202a", "fails" },
};

static void escape(FILE *out, const char *text, int limit)
{
    int used = 0;
    for (; *text; text++) {
        used += (*text & 0xc0) != 0x80;
        if (limit > 0 && used > limit) {
            fputs("…", out);
            return;
        }
        switch (*text) {
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        case '&': fputs("&amp;", out); break;
        case '"': fputs("&quot;", out); break;
        default: fputc(*text, out);
        }
    }
}

static int lane_x(int session)
{
    return LEFT + session * LANE;
}

/* The bar of each session between this line and the next: in a transaction, waiting, failed. */
static void draw_bars(FILE *out, const struct drawing *drawing, int index, int y)
{
    static const char *const styles[] = { "", "stroke=\"#7aa6d8\" stroke-width=\"4\"",
                                          "stroke=\"#d88\" stroke-width=\"4\"",
                                          "stroke=\"#d9a441\" stroke-width=\"4\" stroke-dasharray=\"3 4\"" };
    const struct line *line = &drawing->lines[index];
    for (int s = 0; s < drawing->run->spec->session_count; s++)
        if (line->lanes[s] != LANE_IDLE)
            fprintf(out, "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\" %s/>\n", lane_x(s), y, lane_x(s), y + ROW,
                    styles[line->lanes[s]]);
}

static void draw_mark(FILE *out, const struct line *line, int y)
{
    const char *colour = looks[line->mark].colour;
    int x = lane_x(line->session);
    switch (line->mark) {
    case MARK_NONE:
        break;
    case MARK_SNAPSHOT:
    case MARK_OWN_SNAPSHOT:
        fprintf(out, "<path d=\"M%d %d l7 7 l-7 7 l-7 -7 z\" stroke=\"%s\" fill=\"%s\"/>\n", x, y - 7, colour,
                line->mark == MARK_SNAPSHOT ? colour : "#fff");
        break;
    case MARK_FAILED:
        fprintf(out, "<path d=\"M%d %d l10 10 m0 -10 l-10 10\" stroke=\"%s\" stroke-width=\"3\"/>\n", x - 5, y - 5, colour);
        break;
    default:
        fprintf(out, "<circle cx=\"%d\" cy=\"%d\" r=\"6\" stroke=\"%s\" fill=\"%s\"/>\n", x, y, colour,
                line->mark == MARK_COMMIT || line->mark == MARK_ROLLBACK ? colour : "#fff");
    }
}

static void draw_line(FILE *out, const struct drawing *drawing, int index, int y)
{
    const struct line *line = &drawing->lines[index];
    int x = lane_x(line->session);
    draw_bars(out, drawing, index, y);
    draw_mark(out, line, y);
    if (line->step > 0)
        fprintf(out, "<text x=\"%d\" y=\"%d\" fill=\"#888\" text-anchor=\"end\">%d</text>\n", LEFT - 16, y + 4, line->step);
    fprintf(out, "<text x=\"%d\" y=\"%d\" fill=\"%s\"><title>", x + 14, y + 4, looks[line->mark].colour);
    escape(out, line->text, 0);
    fprintf(out, "%s%s</title>", looks[line->mark].what[0] ? " -- " : "", looks[line->mark].what);
    escape(out, line->text, TEXT_MAX);
    fputs("</text>\n", out);
}

static int draw(FILE *out, const struct drawing *drawing, const char *verdict, int top)
{
    int y = top + HEAD;
    fprintf(out, "<text x=\"%d\" y=\"%d\" font-weight=\"bold\">permutation", LEFT - 8, top + 14);
    print_permutation(out, &drawing->run->order);
    fputs("</text>\n", out);
    if (verdict)
        fprintf(out, "<text x=\"%d\" y=\"%d\" fill=\"#555\">%s</text>\n", LEFT - 8, top + 30, verdict);
    for (int s = 0; s < drawing->run->spec->session_count; s++) {
        fprintf(out, "<text x=\"%d\" y=\"%d\" font-weight=\"bold\">", lane_x(s), top + HEAD - 12);
        escape(out, drawing->run->spec->sessions[s].name, TEXT_MAX);
        fputs("</text>\n", out);
    }
    for (int i = 0; i < drawing->count; i++, y += ROW)
        draw_line(out, drawing, i, y + ROW / 2);
    return y - top + GAP;
}

static void svg_head(FILE *out, int width, int height)
{
    fprintf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\""
                 " font-family=\"monospace\" font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
            width, height, width, height);
}

void picture_begin(struct picture *picture, bool html, const struct spec *spec)
{
    *picture = (struct picture){ .html = html, .width = LEFT + spec->session_count * LANE };
    picture->body = open_memstream(&picture->data, &picture->len);
    if (!picture->body)
        abort();
}

void picture_add(struct picture *picture, const struct drawing *drawing, const char *verdict)
{
    if (picture->html) {
        char *data = NULL;
        size_t len = 0;
        FILE *one = open_memstream(&data, &len);
        if (!one)
            abort();
        int height = draw(one, drawing, verdict, 0);
        fclose(one);
        svg_head(picture->body, picture->width, height);
        fprintf(picture->body, "%s</svg>\n", data);
        free(data);
    } else {
        picture->height += draw(picture->body, drawing, verdict, picture->height);
    }
}

void picture_end(struct picture *picture, const struct spec *spec, FILE *out)
{
    fclose(picture->body);
    if (picture->html) {
        fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>", out);
        escape(out, spec->file, 0);
        fputs("</title>\n<style>body { font-family: sans-serif; margin: 2em } svg { display: block; margin-bottom: 2em } "
              "pre { background: #f4f4f4; padding: 1em }</style></head>\n<body>\n<h1>", out);
        escape(out, spec->file, 0);
        fputs("</h1>\n", out);
        fputs(picture->data, out);
        fputs("<h2>The spec</h2>\n<pre>", out);
        escape(out, spec->text, 0);
        fputs("</pre>\n</body>\n</html>\n", out);
    } else {
        svg_head(out, picture->width, picture->height);
        fprintf(out, "%s</svg>\n", picture->data);
    }
    free(picture->data);
}
