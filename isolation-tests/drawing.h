/*
 * drawing.h -- a run as lanes: one for each session, time running downwards.
 *
 *           a                           b
 *       1   ┬ BEGIN
 *       2   ◆ SELECT v FROM t           │
 *           │ = 10
 *       3   │                           ◇ UPDATE t SET v = 11
 *       4   ┊ UPDATE t SET v = 12       │
 *       5   ...
 *
 * The lines are made here; timeline.c sets them in text, picture.c in SVG and HTML.
 */
#ifndef ISOLDE_ISOLATION_DRAWING_H
#define ISOLDE_ISOLATION_DRAWING_H

#include <stdio.h>

#include "isolation-tests/runner.h"

enum mark {
    MARK_NONE,              /* a further line of what stands above */
    MARK_STATEMENT,
    MARK_BEGIN,
    MARK_SNAPSHOT,          /* the transaction's snapshot is taken here, by the rules of its level */
    MARK_OWN_SNAPSHOT,      /* the statement has a snapshot of its own */
    MARK_WAITS, MARK_RESUMED,
    MARK_COMMIT, MARK_ROLLBACK,
    MARK_FAILED,
    MARK_COUNT
};

enum lane { LANE_IDLE, LANE_OPEN, LANE_FAILED, LANE_WAITING };

struct line {
    int session, step;      /* step: its number in the permutation, from 1; 0: a further line */
    enum mark mark;
    char *text;
    enum lane *lanes;       /* of all sessions, from this line on */
};

struct drawing {
    const struct run *run;
    int count;
    struct line *lines;
};

void drawing_make(struct drawing *drawing, const struct run *run);
void drawing_free(struct drawing *drawing);

/* Lanes of text; width: columns of the terminal. */
void timeline_print(FILE *out, const struct drawing *drawing, int width);

/* A picture is written permutation by permutation between begin and end. */
struct picture {
    bool html;              /* a page with a picture of each; else one picture of all */
    FILE *body;
    char *data;
    size_t len;
    int width, height;
};
void picture_begin(struct picture *picture, bool html, const struct spec *spec);
/* verdict: a line under the heading, or NULL. */
void picture_add(struct picture *picture, const struct drawing *drawing, const char *verdict);
void picture_end(struct picture *picture, const struct spec *spec, FILE *out);

#endif
