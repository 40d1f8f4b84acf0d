/*
 * main.c -- the isolde program: options, opening the database, and what is run in which order.
 *
 * Exit codes as psql's: 0 well; 1 a -c statement failed or the program itself did; 2 the database cannot be opened; 3 a
 * script stopped at an error (ON_ERROR_STOP).
 */
#include "src/shell/shell.h"

#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void shell_complain(struct shell *shell, const char *format, ...)
{
    va_list args;
    fflush(shell->out);
    if (shell->input_name)
        fprintf(stderr, "%s:%s:%u: error: ", shell->program, shell->input_name, shell->line_number);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    putc('\n', stderr);
}

static void on_notice(void *arg, const isolde_err *notice)
{
    struct shell *shell = arg;
    struct text kept = shell->last_error;
    shell->last_error = (struct text){ 0 };
    statement_report(shell, NULL, notice);
    text_free(&shell->last_error);
    shell->last_error = kept;
}

static void usage(FILE *out)
{
    fputs("isolde is the interactive shell of Isolde, an embedded transactional SQL database.\n\n"
          "Usage:\n  isolde [OPTION]... [FILE]\n"
          "  isolde backup [OPTION]... FILE OUT     copy a database (isolde backup --help)\n"
          "  isolde recover [OPTION]... BACKUP OUT  make a database as of a moment from a backup and an archive\n"
          "  isolde verify [OPTION]... BACKUP       is a backup whole, and the archive behind it?\n"
          "  isolde check FILE                      is the database whole? exit status 0: yes, 1: no\n"
          "  isolde salvage FILE OUT                copy what can be read of a damaged database\n\n"
          "FILE is the database; it is created when absent.  Without one, or with \":memory:\", it lives in memory.\n\n"
          "  -c, --command=STATEMENT  run one statement (or several as one transaction), then exit; may be repeated\n"
          "  -f, --file=SCRIPT        run a script, then exit; may be repeated; - is standard input\n"
          "  -1, --single-transaction run the -c and -f options as one transaction\n"
          "  -v, --set=NAME=VALUE     set a variable, e.g. ON_ERROR_STOP=1, VERBOSITY=sqlstate\n"
          "  -X, --no-psqlrc          do not read ~/.isolderc\n"
          "  -A, --no-align           unaligned output\n"
          "      --csv                CSV output\n"
          "  -F, --field-separator=S  field separator of unaligned output (|)\n"
          "  -R, --record-separator=S record separator of unaligned output (newline)\n"
          "  -P, --pset=NAME[=VALUE]  set a printing option (see \\pset)\n"
          "  -t, --tuples-only        rows only\n"
          "  -x, --expanded           one line per value\n"
          "  -q, --quiet              no messages, only results\n"
          "  -a, --echo-all  -e, --echo-queries  -b, --echo-errors\n"
          "  -n, --no-readline        plain line reading\n"
          "  -o, --output=FILE        send results to a file\n"
          "  -O, --option=NAME=VALUE  option of the open call: synchronous, cache_size, max_wal_size,\n"
          "                           archive_directory, version_store_memory, version_store_disk, page_size\n"
          "  -V, --version            print the version\n"
          "  -?, --help               print this\n", out);
}

/* What is to be run, in the order of the command line. */
struct action {
    bool is_file;
    const char *text;
};
enum { ACTIONS_MAX = 256 };

struct options {
    struct action actions[ACTIONS_MAX];
    int action_count;
    bool no_rc;
    struct text open_options;
    const char *output;
};

static void set_variable_option(struct shell *shell, const char *assignment)
{
    const char *equals = strchr(assignment, '=');
    if (!equals) {
        shell_unset(shell, assignment);
        return;
    }
    char *name = shell_strndup(assignment, (size_t)(equals - assignment));
    shell_set(shell, name, equals + 1);
    free(name);
}

static bool set_print_option(struct shell *shell, const char *assignment)
{
    const char *equals = strchr(assignment, '=');
    char *name = shell_strndup(assignment, equals ? (size_t)(equals - assignment) : strlen(assignment));
    bool good = command_set_print(shell, name, equals ? equals + 1 : NULL, true);
    free(name);
    return good;
}

static void add_action(struct options *options, bool is_file, const char *text)
{
    if (options->action_count == ACTIONS_MAX) {
        fputs("isolde: too many -c and -f options\n", stderr);
        exit(1);
    }
    options->actions[options->action_count++] = (struct action){ is_file, text };
}

/* Options that have no short form. */
enum { CSV = 256, HELP };

static void parse_options(struct shell *shell, struct options *options, int argc, char **argv)
{
    static const struct option names[] = {
        { "command", required_argument, NULL, 'c' }, { "file", required_argument, NULL, 'f' },
        { "single-transaction", no_argument, NULL, '1' }, { "set", required_argument, NULL, 'v' },
        { "variable", required_argument, NULL, 'v' }, { "no-psqlrc", no_argument, NULL, 'X' },
        { "no-align", no_argument, NULL, 'A' }, { "csv", no_argument, NULL, CSV },
        { "field-separator", required_argument, NULL, 'F' }, { "record-separator", required_argument, NULL, 'R' },
        { "pset", required_argument, NULL, 'P' }, { "tuples-only", no_argument, NULL, 't' },
        { "expanded", no_argument, NULL, 'x' }, { "quiet", no_argument, NULL, 'q' }, { "echo-all", no_argument, NULL, 'a' },
        { "echo-queries", no_argument, NULL, 'e' }, { "echo-errors", no_argument, NULL, 'b' },
        { "no-readline", no_argument, NULL, 'n' }, { "output", required_argument, NULL, 'o' },
        { "option", required_argument, NULL, 'O' }, { "version", no_argument, NULL, 'V' }, { "help", no_argument, NULL, HELP },
        { "dbname", required_argument, NULL, 'd' }, { NULL, 0, NULL, 0 },
    };
    int c;
    bool good = true;
    while ((c = getopt_long(argc, argv, "c:f:1v:XAF:R:P:txqaebno:O:V?d:", names, NULL)) != -1) {
        switch (c) {
        case 'c': add_action(options, false, optarg); break;
        case 'f': add_action(options, true, optarg); break;
        case '1': shell->single_transaction = true; break;
        case 'v': set_variable_option(shell, optarg); break;
        case 'X': options->no_rc = true; break;
        case 'A': shell->print.format = PRINT_UNALIGNED; break;
        case CSV: shell->print.format = PRINT_CSV; break;
        case 'F': good &= command_set_print(shell, "fieldsep", optarg, true); break;
        case 'R': good &= command_set_print(shell, "recordsep", optarg, true); break;
        case 'P': good &= set_print_option(shell, optarg); break;
        case 't': shell->print.tuples_only = true; break;
        case 'x': shell->print.expanded = EXPANDED_ON; break;
        case 'q': shell_set(shell, "QUIET", "on"); break;
        case 'a': shell_set(shell, "ECHO", "all"); break;
        case 'e': shell_set(shell, "ECHO", "queries"); break;
        case 'b': shell_set(shell, "ECHO", "errors"); break;
        case 'n': shell->no_readline = true; break;
        case 'o': options->output = optarg; break;
        case 'O':
            text_puts(&options->open_options, optarg);
            text_putc(&options->open_options, ' ');
            break;
        case 'd': shell->path = optarg; break;
        case 'V':
            printf("isolde (Isolde) %s\n", isolde_version());
            exit(0);
        default:
            if (c != HELP && strcmp(argv[optind - 1], "-?") != 0) {
                fputs("Try \"isolde --help\" for more information.\n", stderr);
                exit(1);
            }
            usage(stdout);
            exit(0);
        }
    }
    if (optind < argc)
        shell->path = argv[optind++];
    for (; optind < argc; optind++)
        fprintf(stderr, "isolde: warning: extra command-line argument \"%s\" ignored\n", argv[optind]);
    if (!good)
        exit(1);
}

/* While a statement runs; the line is cleared when its result comes. */
static void show_progress(void *arg, const char *what, uint64_t done, uint64_t all)
{
    struct shell *shell = arg;
    shell_progress(NULL, what, done, all);
    shell->progress_shown = true;
}

struct restart_line {
    const char *path;
    bool terminal, shown;
    int percent;
};

/* A restart that takes long says so on standard error: one line, written over on a terminal, else now and then. */
static void show_restart(void *arg, const char *phase, int percent, double seconds_left)
{
    struct restart_line *line = arg;
    if (!line->terminal && percent < line->percent + 10 && line->shown)
        return;
    line->shown = true;
    line->percent = percent;
    fprintf(stderr, "%sisolde: %s: %s: %d%%, %.0f s left%s", line->terminal ? "\r" : "", line->path, phase, percent,
            seconds_left, line->terminal ? "\033[K" : "\n");
    fflush(stderr);
}

static bool open_database(struct shell *shell, struct options *options)
{
    isolde_err *err = NULL;
    const char *settings = options->open_options.len ? options->open_options.data : NULL;
    struct restart_line line = { .path = shell->path, .terminal = isatty(STDERR_FILENO) };
    int opened = isolde_open_watched(shell->path, settings, show_restart, &line, &shell->db, &err);
    if (line.shown && line.terminal)
        fputc('\n', stderr);
    if (opened == ISOLDE_OK && isolde_connect(shell->db, &shell->conn, &err) == ISOLDE_OK) {
        isolde_on_notice(shell->conn, on_notice, shell);
        isolde_on_message(shell->db, shell_message, NULL);
        if (shell->interactive && isatty(STDERR_FILENO))
            isolde_on_progress(shell->conn, show_progress, shell);
        return true;
    }
    shell_report(shell->path, err);
    isolde_error_free(err);
    isolde_close(shell->db);
    return false;
}

static bool run_file(struct shell *shell, const char *name)
{
    bool is_stdin = strcmp(name, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(name, "r");
    if (!file) {
        fprintf(stderr, "%s: error: %s: %s\n", shell->program, name, strerror(errno));
        shell->exit_code = 1;
        return false;
    }
    bool good = script_run(shell, file, is_stdin ? "<stdin>" : name);
    if (!is_stdin)
        fclose(file);
    return good;
}

/* -c and -f in their order.  A failed -c makes the exit code 1, a stopped script 3. */
static void run_actions(struct shell *shell, const struct options *options)
{
    bool good = true;
    if (shell->single_transaction)
        good = statement_run(shell, "BEGIN", 5);
    for (int i = 0; i < options->action_count && good && !shell->quit; i++) {
        const struct action *action = &options->actions[i];
        if (action->is_file) {
            good = run_file(shell, action->text);
        } else {
            bool ran = script_run_string(shell, action->text);
            shell->exit_code = ran ? shell->exit_code : 1;
            good = ran || !shell->on_error_stop;
        }
    }
    if (shell->single_transaction && isolde_transaction_status(shell->conn) != 'I')
        statement_run(shell, good && shell->exit_code == 0 ? "COMMIT" : "ROLLBACK", good && shell->exit_code == 0 ? 6 : 8);
}

static void run_rc_file(struct shell *shell)
{
    const char *home = getenv("HOME");
    struct text path = { 0 };
    if (!home)
        return;
    text_puts(&path, home);
    text_puts(&path, "/.isolderc");
    FILE *file = fopen(path.data, "r");
    if (file) {
        script_run(shell, file, path.data);
        fclose(file);
    }
    text_free(&path);
}

static void run_standard_input(struct shell *shell)
{
    if (shell->interactive && !shell->quiet)
        printf("isolde %s\nType \"\\?\" for help.\n\n", isolde_version());
    if (shell->interactive)
        input_start(shell);
    script_run(shell, stdin, NULL);
}

static void free_shell(struct shell *shell, struct options *options)
{
    while (shell->variables)
        shell_unset(shell, shell->variables->name);
    text_free(&shell->query);
    text_free(&shell->previous);
    text_free(&shell->last_error);
    text_free(&options->open_options);
    free(shell->print.null_text);
    free(shell->print.field_separator);
    free(shell->print.record_separator);
    free(shell->print.title);
}

int main(int argc, char **argv)
{
    static struct shell shell;
    static struct options options;
    int exit_code;
    setlocale(LC_CTYPE, "");
    if (print_width("\xC3\xA9", 2) != 1)
        setlocale(LC_CTYPE, "C.UTF-8");
    if (subcommand_run(argc, argv, &exit_code))
        return exit_code;
    shell.program = "isolde";
    shell.path = ":memory:";
    shell.out = stdout;
    shell.print = (struct print_options){ .border = 1, .footer = true, .null_text = shell_strdup(""),
        .field_separator = shell_strdup("|"), .record_separator = shell_strdup("\n"), .csv_separator = ',' };
    shell_set(&shell, "VERBOSITY", "default");
    parse_options(&shell, &options, argc, argv);
    shell.interactive = options.action_count == 0 && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    if (options.output && !(shell.out = fopen(options.output, "w"))) {
        fprintf(stderr, "isolde: error: %s: %s\n", options.output, strerror(errno));
        return 1;
    }
    if (!open_database(&shell, &options))
        return 2;
    if (!options.no_rc)
        run_rc_file(&shell);
    if (options.action_count)
        run_actions(&shell, &options);
    else
        run_standard_input(&shell);
    if (shell.out != stdout)
        fclose(shell.out);
    isolde_disconnect(shell.conn);
    if (isolde_close(shell.db) != ISOLDE_OK && shell.exit_code == 0) {
        fputs("isolde: error: the database could not be closed cleanly; its log will be replayed at the next start\n", stderr);
        shell.exit_code = 1;
    }
    if (fflush(stdout) != 0 && shell.exit_code == 0)
        shell.exit_code = 1;
    free_shell(&shell, &options);
    return shell.exit_code;
}
