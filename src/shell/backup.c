/*
 * backup.c -- \backup and `isolde backup`: an online copy with its progress shown.
 */
#include "src/shell/shell.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STEP_PAGES = 512 };

void shell_report(const char *subject, const isolde_err *err)
{
    fprintf(stderr, "isolde: error: %s: %s\n", subject, err ? isolde_error_message(err) : "out of memory");
    if (err && isolde_error_detail(err))
        fprintf(stderr, "DETAIL:  %s\n", isolde_error_detail(err));
    if (err && isolde_error_hint(err))
        fprintf(stderr, "HINT:  %s\n", isolde_error_hint(err));
}

static void show_progress(const isolde_backup *backup)
{
    long long total = isolde_backup_total(backup), left = isolde_backup_remaining(backup);
    fprintf(stderr, "\r%lld of %lld pages, %d%%", total - left, total, total > 0 ? (int)(100 * (total - left) / total) : 100);
    fflush(stderr);
}

/* Copies the open database; reports what goes wrong. */
static bool copy_database(isolde_db *db, const char *path, bool overwrite, bool progress, uint64_t *lsn)
{
    isolde_backup *backup;
    isolde_err *err = NULL;
    int result;
    if (isolde_backup_begin(db, path, overwrite, &backup, &err) != ISOLDE_OK) {
        shell_report(path, err);
        isolde_error_free(err);
        return false;
    }
    while ((result = isolde_backup_step(backup, STEP_PAGES)) == ISOLDE_OK)
        if (progress)
            show_progress(backup);
    if (progress) {
        show_progress(backup);
        putc('\n', stderr);
    }
    if (result != ISOLDE_DONE)
        shell_report(path, isolde_backup_error(backup));
    *lsn = isolde_backup_lsn(backup);
    isolde_backup_finish(backup);
    return result == ISOLDE_DONE;
}

static void print_end(FILE *out, const char *path, uint64_t lsn)
{
    fprintf(out, "backup \"%s\" ends at %X/%X\n", path, (unsigned)(lsn >> 32), (unsigned)lsn);
}

bool backup_command(struct shell *shell, const char *path, bool overwrite)
{
    uint64_t lsn;
    fflush(shell->out);
    if (!copy_database(shell->db, path, overwrite, shell->interactive && isatty(STDERR_FILENO), &lsn))
        return false;
    if (!shell->quiet)
        print_end(shell->out, path, lsn);
    return true;
}

static void usage(FILE *out)
{
    fputs("isolde backup makes a copy of a database, which may be one that was not closed cleanly.\n\n"
          "Usage:\n  isolde backup [OPTION]... FILE OUT\n\n"
          "  -f, --overwrite  OUT may exist; it stays as it is until the copy is complete\n"
          "  -q, --quiet      print nothing but errors\n"
          "  -?, --help       print this\n\n"
          "A database that another process has open is copied from there, with BACKUP TO 'file'.\n"
          "Exit codes: 0 the copy is complete, 1 it could not be made, 2 FILE cannot be opened.\n", out);
}

int backup_main(int argc, char **argv)
{
    static const struct option names[] = {
        { "overwrite", no_argument, NULL, 'f' }, { "quiet", no_argument, NULL, 'q' }, { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    bool overwrite = false, quiet = false;
    isolde_db *db;
    isolde_err *err = NULL;
    uint64_t lsn;
    int c;
    while ((c = getopt_long(argc, argv, "fq?", names, NULL)) != -1) {
        if (c == 'f') {
            overwrite = true;
        } else if (c == 'q') {
            quiet = true;
        } else {
            bool asked = c == 'h' || strcmp(argv[optind - 1], "-?") == 0;
            usage(asked ? stdout : stderr);
            return asked ? 0 : 1;
        }
    }
    if (argc - optind != 2) {
        usage(stderr);
        return 1;
    }
    const char *file = argv[optind], *out = argv[optind + 1];
    if (isolde_open(file, "create=off", &db, &err) != ISOLDE_OK) {
        shell_report(file, err);
        isolde_error_free(err);
        return 2;
    }
    bool good = copy_database(db, out, overwrite, !quiet && isatty(STDERR_FILENO), &lsn);
    if (good && !quiet)
        print_end(stdout, out, lsn);
    if (isolde_close(db) != ISOLDE_OK && good) {
        fprintf(stderr, "isolde: error: %s: the database could not be closed cleanly\n", file);
        return 1;
    }
    return good ? 0 : 1;
}
