/*
 * recover.c -- `isolde recover` and `isolde verify`: from a backup to a database, and whether that would work.
 */
#include "src/shell/shell.h"

#include <getopt.h>
#include <string.h>

struct options {
    const char *archive, *until;
    bool overwrite, quiet, help;
};

/* False after having complained. */
static bool read_options(int argc, char **argv, const char *letters, struct options *options)
{
    static const struct option names[] = {
        { "archive", required_argument, NULL, 'a' }, { "until", required_argument, NULL, 'u' },
        { "overwrite", no_argument, NULL, 'f' }, { "quiet", no_argument, NULL, 'q' }, { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    int c;
    while ((c = getopt_long(argc, argv, letters, names, NULL)) != -1) {
        if (c == 'a')
            options->archive = optarg;
        else if (c == 'u')
            options->until = optarg;
        else if (c == 'f')
            options->overwrite = true;
        else if (c == 'q')
            options->quiet = true;
        else if (c == 'h' || strcmp(argv[optind - 1], "-?") == 0)
            options->help = true;
        else
            return false;
    }
    return true;
}

static void print_lsn(FILE *out, uint64_t lsn)
{
    fprintf(out, "%X/%X", (unsigned)(lsn >> 32), (unsigned)lsn);
}

int recover_main(int argc, char **argv)
{
    struct options options = { 0 };
    isolde_err *err = NULL;
    uint64_t lsn;
    bool good = read_options(argc, argv, "a:u:fq?", &options);
    if (!good || options.help || argc - optind != 2) {
        fputs("isolde recover makes a database out of a backup and the log archived since.\n\n"
              "Usage:\n  isolde recover [OPTION]... BACKUP OUT\n\n"
              "  -a, --archive=DIR    archive_directory of the database; without one, only what the backup has\n"
              "  -u, --until=MOMENT   an LSN (0/1A2B3C) or a time (2026-11-20 14:30:00, UTC); without one, all that is archived\n"
              "  -f, --overwrite      OUT may exist; it stays as it is until the new database is complete\n"
              "  -q, --quiet          print nothing but errors\n"
              "  -?, --help           print this\n\n"
              "BACKUP is only read.  Exit codes: 0 the database is complete, 1 it could not be made.\n", options.help ? stdout : stderr);
        return options.help ? 0 : 1;
    }
    const char *out = argv[optind + 1];
    if (isolde_recover(argv[optind], options.archive, options.until, out, options.overwrite, &lsn, &err) != ISOLDE_OK) {
        shell_report(out, err);
        isolde_error_free(err);
        return 1;
    }
    if (!options.quiet) {
        printf("database \"%s\" is as of ", out);
        print_lsn(stdout, lsn);
        putchar('\n');
    }
    return 0;
}

static void print_finding(void *arg, const char *line)
{
    puts(line);
}

int verify_main(int argc, char **argv)
{
    struct options options = { 0 };
    isolde_err *err = NULL;
    uint64_t findings, end, archived;
    bool good = read_options(argc, argv, "a:q?", &options);
    if (!good || options.help || options.until || options.overwrite || argc - optind != 1) {
        fputs("isolde verify reads a backup, and the archive behind it, to the last byte.\n\n"
              "Usage:\n  isolde verify [OPTION]... BACKUP\n\n"
              "  -a, --archive=DIR    do its files continue the backup, without gap and damage?\n"
              "  -q, --quiet          print findings only\n"
              "  -?, --help           print this\n\n"
              "Nothing is changed.  Exit codes: 0 all is well, 1 damage or a gap, 2 it cannot be read.\n", options.help ? stdout : stderr);
        return options.help ? 0 : 2;
    }
    const char *path = argv[optind];
    if (isolde_verify(path, options.archive, print_finding, NULL, &findings, &end, &archived, &err) != ISOLDE_OK) {
        shell_report(path, err);
        isolde_error_free(err);
        return 2;
    }
    if (!options.quiet && end == 0) {
        puts("recovery cannot start from this file: it is a database, or a backup that was opened as one");
    } else if (!options.quiet) {
        fputs("the backup ends at ", stdout);
        print_lsn(stdout, end);
        if (options.archive) {
            fputs(", the archive continues it to ", stdout);
            print_lsn(stdout, archived);
        }
        putchar('\n');
    }
    int checked = check_file(path);
    return findings > 0 ? 1 : checked;
}
