/*
 * subcommand.c -- `isolde backup FILE OUT` and its like: what can be done with a database without a prompt.
 *
 * The first argument may be the name of a subcommand.  A database of that name is opened as ./backup.
 */
#include "src/shell/shell.h"

#include <string.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} subcommands[] = {
    { "backup", backup_main },
    { "check", check_main },
    { "recover", recover_main },
    { "salvage", salvage_main },
    { "verify", verify_main },
};

bool subcommand_run(int argc, char **argv, int *exit_code)
{
    for (size_t i = 0; argc > 1 && i < sizeof subcommands / sizeof subcommands[0]; i++)
        if (strcmp(argv[1], subcommands[i].name) == 0) {
            *exit_code = subcommands[i].run(argc - 1, argv + 1);
            return true;
        }
    return false;
}
