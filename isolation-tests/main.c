/*
 * main.c -- isolde-isolation [OPTION]... SPEC...: runs isolation test specs and prints what happened.
 *
 * Exit code 0 when every permutation ran, whatever SQL errors it met; 1 when a setup failed or the output differs from
 * every --expected file; 2 for a bad spec or bad options.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "isolation-tests/runner.h"
#include "isolation-tests/spec.h"

enum { EXPECTED_MAX = 16 };

struct options {
    const char *database;
    const char *expected[EXPECTED_MAX];
    int expected_count;
};

static void usage(FILE *out)
{
    fputs("isolde-isolation runs isolation test specs in the format of PostgreSQL's isolationtester.\n\n"
          "Usage:\n  isolde-isolation [OPTION]... SPEC...        - is standard input\n\n"
          "  --database FILE    run in this database instead of a fresh one in memory for each spec\n"
          "  --expected FILE    compare the output with this file instead of printing it; repeatable: any one may match\n"
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

static int run_spec(const char *name, const struct options *options)
{
    bool is_stdin = strcmp(name, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(name, "r");
    isolde_db *db = NULL;
    isolde_err *err = NULL;
    char *output = NULL;
    size_t len = 0;
    int result = 2;
    if (!file) {
        fprintf(stderr, "cannot read %s\n", name);
        return 2;
    }
    struct spec *spec = spec_read(file, is_stdin ? "<stdin>" : name);
    if (!is_stdin)
        fclose(file);
    if (!spec)
        return 2;
    FILE *out = options->expected_count ? open_memstream(&output, &len) : stdout;
    result = 1;
    if (isolde_open(options->database ? options->database : ":memory:", NULL, &db, &err) != ISOLDE_OK)
        fprintf(stderr, "%s\n", err ? isolde_error_message(err) : "out of memory");
    else if (runner_run(db, spec, out))
        result = 0;
    isolde_error_free(err);
    isolde_close(db);
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

int main(int argc, char **argv)
{
    static const struct option names[] = {
        { "database", required_argument, NULL, 'd' }, { "expected", required_argument, NULL, 'e' }, { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 },
    };
    struct options options = { 0 };
    int c, worst = 0;
    while ((c = getopt_long(argc, argv, "h", names, NULL)) != -1) {
        if (c == 'd') {
            options.database = optarg;
        } else if (c == 'e' && options.expected_count < EXPECTED_MAX) {
            options.expected[options.expected_count++] = optarg;
        } else {
            usage(c == 'h' ? stdout : stderr);
            return c == 'h' ? 0 : 2;
        }
    }
    if (optind == argc) {
        usage(stderr);
        return 2;
    }
    for (; optind < argc; optind++) {
        int result = run_spec(argv[optind], &options);
        worst = result > worst ? result : worst;
    }
    return worst;
}
