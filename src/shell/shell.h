/*
 * shell.h -- the interactive program: what its files share.
 *
 * The shell is an ordinary user of isolde.h.  It behaves like psql: same options, same backslash commands, same output.
 */
#ifndef ISOLDE_SHELL_H
#define ISOLDE_SHELL_H

#include <stdbool.h>
#include <stdio.h>

#include "src/isolde.h"

/* ---- text: a growing string; memory exhaustion ends the program -------------------------------------- */

struct text {
    char *data;         /* always ends with 0 once something was added */
    size_t len, capacity;
};

void text_add(struct text *text, const char *data, size_t len);
void text_puts(struct text *text, const char *string);
void text_putc(struct text *text, char c);
void text_clear(struct text *text);
void text_free(struct text *text);
void *shell_alloc(size_t size);
void *shell_realloc(void *block, size_t size);
char *shell_strdup(const char *string);
char *shell_strndup(const char *string, size_t len);

/* ---- how results are printed ------------------------------------------------------------------------- */

enum print_format { PRINT_ALIGNED, PRINT_UNALIGNED, PRINT_CSV };
enum print_expanded { EXPANDED_OFF, EXPANDED_ON, EXPANDED_AUTO };

struct print_options {
    enum print_format format;
    enum print_expanded expanded;
    int border;                 /* 0, 1, 2; more is drawn like 2 */
    bool unicode_lines;
    bool tuples_only, footer;
    char *null_text, *field_separator, *record_separator, *title;
    char csv_separator;
};

/* A whole result: values row by row; NULL = null. */
struct result {
    int columns;
    size_t rows, capacity;
    char **names;
    bool *right;                /* column is set flush right */
    char **values;
    char *footer;               /* lines below the table instead of "(n rows)"; NULL for the usual one */
};

void result_free(struct result *result);
void print_result(FILE *out, const struct print_options *options, const struct result *result);
int print_width(const char *string, size_t len);    /* columns on a terminal */

/* ---- state ------------------------------------------------------------------------------------------- */

struct variable {
    char *name, *value;
    struct variable *next;
};

enum branch { BRANCH_TRUE, BRANCH_FALSE, BRANCH_DONE };     /* of \if: running, waiting for a true one, all others skipped */

enum { CONDITIONAL_DEPTH_MAX = 64 };

struct shell {
    isolde_db *db;
    isolde_conn *conn;
    const char *program, *path;
    struct print_options print;
    struct variable *variables;
    bool quiet, interactive, timing, echo_all, echo_queries, echo_errors, single_transaction, no_readline;
    bool on_error_stop;
    FILE *out;                  /* \o */
    bool out_is_pipe;
    /* where the lines come from */
    FILE *input;
    const char *input_name;     /* for messages; NULL for standard input and -c */
    unsigned line_number;
    bool input_is_terminal;
    bool line_abandoned;        /* Ctrl-C at the prompt: quotes and parentheses are forgotten too */
    struct text query;          /* the statement being typed */
    struct text previous;       /* the one run last, for \g and \p */
    unsigned query_line;        /* line on which it began */
    bool quit;
    int exit_code;
    /* \if */
    enum branch branches[CONDITIONAL_DEPTH_MAX];
    bool else_seen[CONDITIONAL_DEPTH_MAX];
    int depth;
    /* the next statement's output only: \g FILE, \gx, \gset */
    FILE *once_out;
    bool once_out_is_pipe, once_expanded;
    char *gset_prefix;          /* not NULL: \gset */
    struct text last_error;     /* for \errverbose */
    bool progress_shown;        /* a line on the terminal that is to be cleared */
};

/* main.c */
const char *shell_get(const struct shell *shell, const char *name);     /* NULL when not set */
void shell_set(struct shell *shell, const char *name, const char *value);
void shell_unset(struct shell *shell, const char *name);
/* "psql:file:line: " in front of messages about a script. */
void shell_complain(struct shell *shell, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool shell_is_on(const struct shell *shell, const char *name);

/* input.c */
/* The next line without its newline, or NULL at the end.  Caller frees. */
char *input_line(struct shell *shell, const char *prompt);
void input_start(struct shell *shell);
void input_remember(struct shell *shell, const char *statement);

/* script.c: reads lines, cuts them into statements and commands, runs them */
/* False when the script must end (error with ON_ERROR_STOP, or \q). */
bool script_run(struct shell *shell, FILE *file, const char *name);
bool script_run_string(struct shell *shell, const char *string);
bool script_active(const struct shell *shell);      /* not inside a false \if branch */

/* statement.c: sends a statement and prints what comes back */
bool statement_run(struct shell *shell, const char *sql, size_t len);
/* A query of the shell's own; false after printing the error. */
bool statement_query(struct shell *shell, const char *sql, struct result *result);
/* Runs COPY ... FROM STDIN or TO STDOUT with its data from or to a file (or what the file pointer stands for). */
bool statement_copy(struct shell *shell, const char *sql, FILE *file, bool is_script_input);
void statement_report(struct shell *shell, const char *sql, const isolde_err *err);

/* command.c: backslash commands */
/* `line` begins behind the backslash; *used = bytes consumed.  False when the script must stop. */
bool command_run(struct shell *shell, const char *line, size_t *used);
bool command_set_print(struct shell *shell, const char *name, const char *value, bool quiet);
/* Splits off the next argument (quotes and variables as psql's); NULL when there is none. Caller frees. */
char *command_argument(struct shell *shell, const char **at);

/* describe.c: \d and its family */
bool describe_command(struct shell *shell, const char *name, const char *pattern);

/* check.c */
int check_main(int argc, char **argv);
void shell_message(void *arg, const isolde_err *message);       /* of isolde_on_message: to standard error */
void shell_progress(void *arg, const char *what, uint64_t done, uint64_t all);

/* salvage.c */
int salvage_main(int argc, char **argv);

/* subcommand.c */
/* Runs the subcommand that the arguments name; false when they name none. */
bool subcommand_run(int argc, char **argv, int *exit_code);

/* backup.c */
bool backup_command(struct shell *shell, const char *path, bool overwrite);     /* \backup */
int backup_main(int argc, char **argv);

/* check.c */
/* Prints what CHECK DATABASE finds; 0 nothing, 1 damage, 2 it cannot be opened. */
int check_file(const char *path);

/* recover.c */
int recover_main(int argc, char **argv);
int verify_main(int argc, char **argv);
/* "isolde: error: SUBJECT: ..." with detail and hint. */
void shell_report(const char *subject, const isolde_err *err);

/* variables.c */
/* Replaces :name, :'name' and :"name" outside of quotes; result in out. */
void variables_expand(struct shell *shell, const char *sql, size_t len, struct text *out);

#endif
