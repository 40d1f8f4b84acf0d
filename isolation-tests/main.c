/*
 * main.c -- isolde-isolation [OPTION]... SPEC...: runs isolation test specs, and shows, draws or judges what happened.
 *
 * Exit code 0 when every permutation ran, whatever SQL errors it met; 1 when a setup failed or the output differs from
 * every --expected file; 2 for a bad spec or bad options.
 */
#include "config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "isolation-tests/drawing.h"
#include "isolation-tests/matrix.h"
#include "isolation-tests/oracle.h"
#include "isolation-tests/pipe.h"
#include "isolation-tests/print.h"

enum { EXPECTED_MAX = 16, WIDTH_USUAL = 100 };

enum view { VIEW_STEPS, VIEW_TIMELINE, VIEW_SVG, VIEW_HTML };

struct options {
    struct target target;
    const char *expected[EXPECTED_MAX];
    int expected_count;
    enum level level;
    enum view view;
    bool oracle, matrix, pipe;
};

static void usage(FILE *out)
{
    fputs("isolde-isolation runs isolation test specs in the format of PostgreSQL's isolationtester.\n\n"
          "Usage:\n"
          "  isolde-isolation [OPTION]... SPEC...        - is standard input\n"
          "  isolde-isolation --pipe [DATABASE]\n\n"
          "  --database FILE    run in this database instead of a fresh one in memory for each spec\n"
          "  --libpq CONNINFO   run in this PostgreSQL instead\n"
          "  --level LEVEL      run at read-committed, repeatable-read or serializable, whatever the spec says\n"
          "  --expected FILE    compare the output with this file instead of printing it; repeatable: any one may match\n"
          "  --oracle           judge each permutation: correct, needed abort, needless abort or ANOMALY\n"
          "  --matrix           print which specs show an anomaly at which level\n"
          "  --timeline         draw each permutation as lanes of text\n"
          "  --svg, --html      draw them as a picture, or as a page\n"
          "  --pipe             answer lines of JSON: {\"session\":\"a\",\"sql\":\"...\"}\n"
          "  --help\n", out);
}

static bool matches(const char *output, size_t len, const char *path)
{
    FILE *file = fopen(path, "r");
    char *expected = malloc(len + 1);
    size_t got = 0;
    bool same = false;
    if (!file)
        fprintf(stderr, "cannot read %s\n", path);
    if (file && expected) {
        got = fread(expected, 1, len + 1, file);
        same = got == len && memcmp(expected, output, len) == 0;
    }
    if (file)
        fclose(file);
    free(expected);
    return same;
}

/* ---- one spec -------------------------------------------------------------------------------------------- */

struct show {
    const struct options *options;
    FILE *out;
    struct picture picture;
    int verdicts[VERDICT_COUNT], count;
};

static void describe(const struct judgement *judgement, char *text, size_t size)
{
    int len = snprintf(text, size, "%s", verdict_names[judgement->verdict]);
    const char *more = judgement->verdict == ANOMALY && judgement->plain ? ": serializable, but against real time"
                       : judgement->verdict == ANOMALY ? ": no serial order explains what committed" : judgement->why;
    if (more)
        snprintf(text + len, size - (size_t)len, "%s%s", judgement->verdict == ANOMALY ? "" : ": ", more);
    else
        snprintf(text + len, size - (size_t)len, " (%d committed, %d given up)", judgement->committed, judgement->given_up);
}

static int terminal_width(void)
{
    const char *columns = getenv("COLUMNS");
    int width = columns ? atoi(columns) : 0;
    return width > 0 ? width : WIDTH_USUAL;
}

/* What there is to show once a permutation is over. */
static bool show_run(struct show *show, const struct spec *spec, const struct run *run)
{
    char verdict[200] = "";
    struct judgement judgement;
    if (show->options->oracle) {
        if (!oracle_judge(&show->options->target, spec, run, &judgement))
            return false;
        show->verdicts[judgement.verdict]++;
        show->count++;
        describe(&judgement, verdict, sizeof verdict);
    }
    if (show->options->view == VIEW_STEPS) {
        if (show->options->oracle) {
            fputs("permutation", show->out);
            print_permutation(show->out, &run->order);
            fprintf(show->out, ": %s\n", verdict);
        }
        return true;
    }
    struct drawing drawing;
    drawing_make(&drawing, run);
    if (show->options->view == VIEW_TIMELINE)
        timeline_print(show->out, &drawing, terminal_width());
    else
        picture_add(&show->picture, &drawing, verdict[0] ? verdict : NULL);
    if (show->options->view == VIEW_TIMELINE && verdict[0])
        fprintf(show->out, "\n%s\n", verdict);
    drawing_free(&drawing);
    return true;
}

static bool show_permutations(struct show *show, struct runner *runner, const struct spec *spec)
{
    bool plain = show->options->view == VIEW_STEPS && !show->options->oracle, good = true;
    struct run_options options = { .want_final = show->options->oracle, .report = plain ? print_event : NULL, .arg = show->out };
    struct walk walk;
    struct order order;
    walk_begin(&walk, spec);
    while (good && walk_next(&walk, &order)) {
        struct run run;
        if (plain) {
            fputs("\nstarting permutation:", show->out);
            print_permutation(show->out, &order);
            fputc('\n', show->out);
        }
        good = runner_run(runner, &order, &options, &run);
        good = good && show_run(show, spec, &run);
        fflush(show->out);
        run_free(&run);
    }
    walk_end(&walk);
    return good;
}

static bool show_spec(const struct options *options, const struct spec *spec, FILE *out)
{
    struct show show = { .options = options, .out = out };
    bool pictures = options->view == VIEW_SVG || options->view == VIEW_HTML;
    struct engine *engine = engine_open(&options->target);
    struct runner *runner = engine ? runner_open(engine, spec) : NULL;
    if (options->view == VIEW_STEPS && !options->oracle)
        print_head(out, spec);
    if (pictures)
        picture_begin(&show.picture, options->view == VIEW_HTML, spec);
    bool good = runner && show_permutations(&show, runner, spec);
    if (pictures)
        picture_end(&show.picture, spec, out);
    if (runner)
        runner_close(runner);
    if (engine)
        engine->close(engine);
    if (options->oracle && !pictures) {
        fprintf(out, "%s: %d permutation%s", spec->file, show.count, show.count == 1 ? "" : "s");
        for (int i = 0; i < VERDICT_COUNT; i++)
            fprintf(out, ", %s %d", verdict_names[i], show.verdicts[i]);
        fputc('\n', out);
    }
    return good;
}

static struct spec *open_spec(const char *name, enum level level)
{
    bool is_stdin = strcmp(name, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(name, "r");
    if (!file) {
        fprintf(stderr, "cannot read %s\n", name);
        return NULL;
    }
    struct spec *spec = spec_read(file, is_stdin ? "<stdin>" : name);
    if (!is_stdin)
        fclose(file);
    if (!spec || level == LEVEL_AS_WRITTEN)
        return spec;
    struct spec *changed = spec_at_level(spec, level);
    spec_free(spec);
    return changed;
}

static int run_spec(const char *name, const struct options *options)
{
    char *output = NULL;
    size_t len = 0;
    struct spec *spec = open_spec(name, options->level);
    if (!spec)
        return 2;
    FILE *out = options->expected_count ? open_memstream(&output, &len) : stdout;
    int result = show_spec(options, spec, out) ? 0 : 1;
    if (options->expected_count) {
        fclose(out);
        bool same = false;
        for (int i = 0; i < options->expected_count; i++)
            same |= matches(output, len, options->expected[i]);
        if (!same) {
            fputs(output, stdout);
            result = 1;
        }
        free(output);
    }
    spec_free(spec);
    return result;
}

static int run_matrix(char **names, int count, const struct options *options)
{
    int worst = 0;
    matrix_head(stdout);
    for (int i = 0; i < count; i++) {
        struct spec *spec = open_spec(names[i], LEVEL_AS_WRITTEN);
        int result = !spec ? 2 : matrix_row(stdout, &options->target, spec) ? 0 : 1;
        worst = result > worst ? result : worst;
        if (spec)
            spec_free(spec);
    }
    return worst;
}

/* ---- options --------------------------------------------------------------------------------------------- */

static bool level_named(const char *name, enum level *level)
{
    for (int i = READ_COMMITTED; i < LEVEL_COUNT; i++) {
        char own[32];
        snprintf(own, sizeof own, "%s", level_names[i]);
        if (strchr(own, ' '))
            *strchr(own, ' ') = '-';
        if (strcasecmp(name, own) == 0 || strcasecmp(name, level_names[i]) == 0) {
            *level = (enum level)i;
            return true;
        }
    }
    fprintf(stderr, "the level is read-committed, repeatable-read or serializable\n");
    return false;
}

enum option_code { OPTION_DATABASE = 256, OPTION_LIBPQ, OPTION_LEVEL, OPTION_EXPECTED, OPTION_ORACLE, OPTION_MATRIX, OPTION_TIMELINE,
              OPTION_SVG, OPTION_HTML, OPTION_PIPE };

/* 0: go on; else the exit code + 1. */
static int take_option(struct options *options, int option)
{
    switch (option) {
    case OPTION_DATABASE: options->target.database = optarg; return 0;
    case OPTION_LIBPQ: options->target.conninfo = optarg; return 0;
    case OPTION_LEVEL: return level_named(optarg, &options->level) ? 0 : 3;
    case OPTION_ORACLE: options->oracle = true; return 0;
    case OPTION_MATRIX: options->matrix = true; return 0;
    case OPTION_PIPE: options->pipe = true; return 0;
    case OPTION_TIMELINE: options->view = VIEW_TIMELINE; return 0;
    case OPTION_SVG: options->view = VIEW_SVG; return 0;
    case OPTION_HTML: options->view = VIEW_HTML; return 0;
    case OPTION_EXPECTED:
        if (options->expected_count < EXPECTED_MAX) {
            options->expected[options->expected_count++] = optarg;
            return 0;
        }
        fprintf(stderr, "at most %d files can be expected\n", EXPECTED_MAX);
        return 3;
    case 'h':
        usage(stdout);
        return 1;
    default:
        usage(stderr);
        return 3;
    }
}

static int open_door(const struct target *target)
{
#ifdef HAVE_JANSSON
    return pipe_run(target, stdin, stdout) ? 0 : 1;
#else
    (void)target;
    fprintf(stderr, "this isolde-isolation was built without jansson\n");
    return 2;
#endif
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        { "database", required_argument, NULL, OPTION_DATABASE }, { "libpq", required_argument, NULL, OPTION_LIBPQ },
        { "level", required_argument, NULL, OPTION_LEVEL }, { "expected", required_argument, NULL, OPTION_EXPECTED },
        { "oracle", no_argument, NULL, OPTION_ORACLE }, { "matrix", no_argument, NULL, OPTION_MATRIX },
        { "timeline", no_argument, NULL, OPTION_TIMELINE }, { "svg", no_argument, NULL, OPTION_SVG },
        { "html", no_argument, NULL, OPTION_HTML }, { "pipe", no_argument, NULL, OPTION_PIPE },
        { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 },
    };
    struct options options = { 0 };
    int c, worst = 0;
    while ((c = getopt_long(argc, argv, "h", names, NULL)) != -1) {
        int end = take_option(&options, c);
        if (end != 0)
            return end - 1;
    }
    if (options.pipe && argc - optind <= 1) {
        options.target.database = optind < argc ? argv[optind] : options.target.database;
        return open_door(&options.target);
    }
    if (optind == argc || options.pipe) {
        usage(stderr);
        return 2;
    }
    if (options.matrix)
        return run_matrix(argv + optind, argc - optind, &options);
    for (; optind < argc; optind++) {
        int result = run_spec(argv[optind], &options);
        worst = result > worst ? result : worst;
    }
    return worst;
}
