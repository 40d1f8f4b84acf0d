/*
 * Statements torn apart and put together again: words of the recorded ones in random order, left out, doubled, cut in the middle; and the
 * same with the N-th allocation failing.
 *
 * SEED= and COUNT= repeat a run.
 */
#include <time.h>

#include "src/base/mem.h"
#include "src/base/rng.h"
#include "tests/fuzz/sql.c"

enum { LINES_MAX = 2000, TEXT_MAX = 4096 };

static char *lines[LINES_MAX];
static size_t line_count;
static struct rng rng;

static void read_lines(void)
{
    static char line[65536];
    char path[4096];
    const char *srcdir = getenv("srcdir");

    snprintf(path, sizeof path, "%s/tests/unit/sql/statements.txt", srcdir ? srcdir : ".");
    FILE *file = fopen(path, "r");
    if (!file)
        exit(1);
    while (line_count < LINES_MAX && fgets(line, sizeof line, file)) {
        char *end = strstr(line, " => ");
        if (!end)
            end = strstr(line, " =| ");
        if (line[0] == '#' || !end || end - line > TEXT_MAX / 4)
            continue;
        *end = 0;
        lines[line_count++] = strdup(line);
    }
    fclose(file);
}

/* Appends words of a line from a random one on. */
static size_t append_words(char *text, size_t used, const char *line)
{
    size_t from = rng_below(&rng, 2) ? 0 : rng_below(&rng, strlen(line) + 1);
    size_t len = strlen(line) - from;

    if (rng_below(&rng, 2))
        len = rng_below(&rng, len + 1);
    memcpy(text + used, line + from, len);
    return used + len;
}

static size_t make_statement(char *text)
{
    size_t used = 0, pieces = 1 + rng_below(&rng, 3);

    for (size_t i = 0; i < pieces; i++)
        used = append_words(text, used, lines[rng_below(&rng, line_count)]);
    for (size_t changes = rng_below(&rng, 4); changes > 0 && used > 0; changes--) {
        static const char letters[] = "()',.;*+-=<>$\"1a x\\\xc3\xa9";
        text[rng_below(&rng, used)] = letters[rng_below(&rng, sizeof letters - 1)];
    }
    return used;
}

int main(void)
{
    const char *given_seed = getenv("SEED"), *given_count = getenv("COUNT");
    uint64_t seed = given_seed ? strtoull(given_seed, NULL, 0) : 1;
    uint64_t count = given_count ? strtoull(given_count, NULL, 0) : 30000;
    static char text[TEXT_MAX];

    rng_seed(&rng, seed);
    read_lines();
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    (void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (uint64_t i = 0; i < count; i++) {
        size_t len = make_statement(text);
        bool starved = rng_below(&rng, 4) == 0;
        if (starved)
            (void)mem_fail_at(1 + rng_below(&rng, 12));
        (void)LLVMFuzzerTestOneInput((const uint8_t *)text, len);
        if (starved)
            (void)mem_fail_at(0);
    }
    for (size_t i = 0; i < line_count; i++)
        free(lines[i]);
    two_tables_close();
    printf("random_statements seed=%llu count=%llu failures=0\n", (unsigned long long)seed, (unsigned long long)count);
    return 0;
}
