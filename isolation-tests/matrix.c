/* matrix.c -- see matrix.h. */
#include "isolation-tests/matrix.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_WIDTH = 36, CELL_WIDTH = 26 };

struct cell {
    int permutations, anomalies, given_up, unjudged;
};

void matrix_head(FILE *out)
{
    fprintf(out, "%-*s", NAME_WIDTH, "spec");
    for (int level = READ_COMMITTED; level < LEVEL_COUNT; level++)
        fprintf(out, "%s%-*s", "  ", level == SERIALIZABLE ? 0 : CELL_WIDTH, level_names[level]);
    fputc('\n', out);
}

static bool judge_permutation(const struct target *target, struct runner *runner, const struct spec *spec, const struct order *order,
                              struct cell *cell)
{
    struct run_options options = { .want_final = true };
    struct run run;
    struct judgement judgement;
    bool good = runner_run(runner, order, &options, &run) && oracle_judge(target, spec, &run, &judgement);
    run_free(&run);
    if (!good)
        return false;
    cell->permutations++;
    cell->anomalies += judgement.verdict == ANOMALY;
    cell->unjudged += judgement.verdict == NOT_JUDGED;
    cell->given_up += judgement.given_up > 0;
    return true;
}

static bool fill_cell(const struct target *target, const struct spec *spec, struct cell *cell)
{
    struct engine *engine = engine_open(target);
    struct runner *runner = engine ? runner_open(engine, spec) : NULL;
    struct walk walk;
    struct order order;
    bool good = runner != NULL;
    *cell = (struct cell){ 0 };
    walk_begin(&walk, spec);
    while (good && walk_next(&walk, &order))
        good = judge_permutation(target, runner, spec, &order, cell);
    walk_end(&walk);
    if (runner)
        runner_close(runner);
    if (engine)
        engine->close(engine);
    return good;
}

static void print_cell(FILE *out, const struct cell *cell, int width)
{
    char text[80];
    int len = cell->anomalies > 0 ? snprintf(text, sizeof text, "anomaly in %d of %d", cell->anomalies, cell->permutations)
                                  : snprintf(text, sizeof text, "-");
    if (cell->given_up > 0)
        len += snprintf(text + len, sizeof text - (size_t)len, ", %d aborted", cell->given_up);
    if (cell->unjudged > 0)
        snprintf(text + len, sizeof text - (size_t)len, ", %d unjudged", cell->unjudged);
    fprintf(out, "  %-*s", width, text);
}

bool matrix_row(FILE *out, const struct target *target, const struct spec *spec)
{
    const char *slash = strrchr(spec->file, '/'), *name = slash ? slash + 1 : spec->file;
    size_t len = strlen(name);
    if (len > 5 && strcmp(name + len - 5, ".spec") == 0)
        len -= 5;
    fprintf(out, "%-*.*s", NAME_WIDTH, (int)len, name);
    bool good = true;
    for (int level = READ_COMMITTED; level < LEVEL_COUNT && good; level++) {
        struct spec *changed = spec_at_level(spec, (enum level)level);
        struct cell cell;
        good = changed && fill_cell(target, changed, &cell);
        if (good)
            print_cell(out, &cell, level == SERIALIZABLE ? 0 : CELL_WIDTH);
        spec_free(changed);
    }
    fputc('\n', out);
    fflush(out);
    return good;
}
