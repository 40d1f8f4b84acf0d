/*
 * salvage.c -- `isolde salvage FILE OUT`: what can be read of a damaged database goes to a new one, and what cannot is named.
 */
#include <string.h>

#include "src/shell/shell.h"

static void print_line(void *arg, const char *line)
{
    puts(line);
}

int salvage_main(int argc, char **argv)
{
    isolde_err *err = NULL;
    uint64_t lost;
    if (argc != 3 || argv[1][0] == '-') {
        bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
        fputs("usage: isolde salvage FILE OUT\n\nCopies what can be read of a damaged database to the new file OUT, and says what is lost.\n"
              "Exit status 0: nothing is lost, 1: something is, 2: nothing could be done.  FILE and its log are not changed.\n",
              help ? stdout : stderr);
        return help ? 0 : 2;
    }
    if (isolde_salvage(argv[1], argv[2], print_line, NULL, &lost, &err) != ISOLDE_OK) {
        shell_report(argv[1], err);
        isolde_error_free(err);
        return 2;
    }
    return fflush(stdout) != 0 ? 2 : lost > 0 ? 1 : 0;
}
