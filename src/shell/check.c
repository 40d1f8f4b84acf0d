/*
 * check.c -- `isolde check FILE`: CHECK DATABASE from outside, with an exit code; and how progress and messages are shown.
 *
 * The database is opened for reading only, so that not a byte of it changes: what restart has to repair is repaired in memory.
 */
#include <string.h>
#include <unistd.h>

#include "src/shell/shell.h"

void shell_message(void *arg, const isolde_err *message)
{
    fprintf(stderr, "%s:  %s\n", isolde_error_severity(message), isolde_error_message(message));
}

/* One line on a terminal that is written over and over. */
void shell_progress(void *arg, const char *what, uint64_t done, uint64_t all)
{
    if (all != 0)
        fprintf(stderr, "\r%s: %llu of %llu (%d%%)\033[K", what, (unsigned long long)done, (unsigned long long)all,
                (int)(done * 100 / all));
    else
        fprintf(stderr, "\r%s: %llu\033[K", what, (unsigned long long)done);
}

struct report {
    int lines;
    bool terminal;
};

static int print_line(void *arg, int columns, const char *const *values, const char *const *names)
{
    struct report *report = arg;
    if (report->terminal && report->lines == 0)
        fputs("\r\033[K", stderr);
    report->lines++;
    puts(values[0] ? values[0] : "");
    return 0;
}

/* The last line is the verdict; each one before it is a finding. */
static int check_connected(const char *path, isolde_conn *conn)
{
    struct report report = { 0, isatty(STDERR_FILENO) };
    if (report.terminal)
        isolde_on_progress(conn, shell_progress, NULL);
    if (isolde_exec(conn, "CHECK DATABASE", print_line, &report) == ISOLDE_OK)
        return report.lines > 1 ? 1 : 0;
    shell_report(path, isolde_error(conn));
    return strncmp(isolde_error_sqlstate(isolde_error(conn)), "XX", 2) == 0 ? 1 : 2;
}

int check_file(const char *path)
{
    isolde_db *db = NULL;
    isolde_conn *conn = NULL;
    isolde_err *err = NULL;
    int code = 2;
    if (isolde_open(path, "read_only=on", &db, &err) != ISOLDE_OK) {
        shell_report(path, err);
    } else {
        isolde_on_message(db, shell_message, NULL);
        if (isolde_connect(db, &conn, &err) == ISOLDE_OK)
            code = check_connected(path, conn);
        else
            shell_report(path, err);
    }
    isolde_error_free(err);
    isolde_disconnect(conn);
    isolde_close(db);
    return fflush(stdout) == 0 ? code : 2;
}

int check_main(int argc, char **argv)
{
    if (argc != 2 || argv[1][0] == '-') {
        bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
        fputs("usage: isolde check FILE\n\nIs the database whole?  Exit status 0: yes, 1: it is damaged, 2: it cannot be opened.\n"
              "Neither the file nor its log is changed.\n", help ? stdout : stderr);
        return help ? 0 : 2;
    }
    return check_file(argv[1]);
}
