/* input.c -- lines from the terminal, with readline when it is there, or from a file; history; completion. */
#include "src/shell/shell.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct shell *the_shell;     /* readline's and the signal handler's callbacks carry no argument */
static sigjmp_buf at_prompt;
static volatile sig_atomic_t prompting;
static int interrupt_pipe[2] = { -1, -1 };

/* Ctrl-C gives up the line being typed, or the statement being run. */
static void on_interrupt(int signal_number)
{
    (void)signal_number;
    if (prompting)
        siglongjmp(at_prompt, 1);
    ssize_t written = write(interrupt_pipe[1], "", 1);
    (void)written;
}

/* The library's interrupt call is not for signal handlers, so a thread makes it. */
static void *interrupt_thread(void *arg)
{
    char byte;
    while (read(interrupt_pipe[0], &byte, 1) == 1)
        isolde_interrupt(((struct shell *)arg)->conn);
    return NULL;
}

static void catch_interrupts(struct shell *shell)
{
    pthread_t thread;
    if (pipe(interrupt_pipe) != 0 || pthread_create(&thread, NULL, interrupt_thread, shell) != 0)
        return;
    pthread_detach(thread);
    struct sigaction action = { .sa_handler = on_interrupt };
    sigaction(SIGINT, &action, NULL);
}

static char *plain_line(FILE *file)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t len = getline(&line, &capacity, file);
    if (len < 0) {
        free(line);
        return NULL;
    }
    if (line[len - 1] == '\n')
        line[len - 1] = '\0';
    return line;
}

#ifdef HAVE_READLINE
#include <readline/history.h>
#include <readline/readline.h>

static const char *const keywords[] = {
    "ABORT", "ALL", "ALTER INDEX", "ALTER TABLE", "AND", "AS", "ASC", "BACKUP TO", "BEGIN", "BETWEEN", "BY", "CASE", "CAST", "CHECK DATABASE", "CHECKPOINT", "CLOSE", "COMMIT", "CONSTRAINT", "COPY",
    "CREATE INDEX", "CREATE TABLE", "CREATE UNIQUE INDEX", "DEALLOCATE", "DECLARE", "DEFAULT", "DELETE FROM", "DESC", "DISTINCT", "DROP INDEX",
    "DROP TABLE", "ELSE", "END", "EXECUTE", "EXISTS", "EXPLAIN", "FETCH", "FOREIGN KEY", "FROM", "GROUP BY", "HAVING", "IN", "INSERT INTO", "IS", "JOIN",
    "LEFT JOIN", "LIKE", "LIMIT", "MOVE", "NOT", "NULL", "OFFSET", "ON", "ON CONFLICT", "OR", "ORDER BY", "PREPARE", "PRIMARY KEY", "REFERENCES", "RELEASE", "RESET",
    "RETURNING", "ROLLBACK", "SAVEPOINT", "SELECT", "SET", "SET CONSTRAINTS", "SHOW", "START TRANSACTION", "TABLE", "THEN", "TRUNCATE", "UNION", "UNIQUE",
    "UPDATE", "USING", "VALUES", "WHEN", "WHERE",
};
static const char *const commands[] = {
    "\\?", "\\a", "\\backup", "\\cd", "\\conninfo", "\\copy", "\\d", "\\di", "\\dt", "\\echo", "\\elif", "\\else", "\\encoding", "\\endif",
    "\\errverbose", "\\f", "\\g", "\\gset", "\\gx", "\\i", "\\if", "\\ir", "\\o", "\\p", "\\pset", "\\q", "\\qecho", "\\r",
    "\\set", "\\t", "\\timing", "\\unset", "\\w", "\\warn", "\\x",
};

static struct result names;     /* tables and columns for the completion in progress */

static void load_names(void)
{
    isolde_stmt *stmt = NULL;
    result_free(&names);
    if (isolde_transaction_status(the_shell->conn) == 'E')
        return;
    if (isolde_prepare(the_shell->conn,
                       "SELECT relname FROM pg_catalog.pg_class UNION SELECT attname FROM pg_catalog.pg_attribute", -1, &stmt)
        == ISOLDE_OK) {
        names.columns = 1;
        names.names = shell_alloc(sizeof(char *));
        names.right = shell_alloc(sizeof(bool));
        while (isolde_step(stmt) == ISOLDE_ROW && isolde_column_text(stmt, 0)) {
            if (names.rows == names.capacity) {
                names.capacity = names.capacity ? names.capacity * 2 : 64;
                names.values = shell_realloc(names.values, names.capacity * sizeof(char *));
            }
            names.values[names.rows++] = shell_strdup(isolde_column_text(stmt, 0));
        }
    }
    isolde_finalize(stmt);
}

static char *match(const char *prefix, const char *candidate)
{
    size_t len = strlen(prefix);
    if (strncasecmp(prefix, candidate, len) != 0)
        return NULL;
    char *copy = shell_strdup(candidate);
    /* Keywords follow the case of what was typed. */
    if (len > 0 && prefix[0] >= 'a' && prefix[0] <= 'z')
        for (char *c = copy; *c; c++)
            *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
    return copy;
}

static char *generate(const char *prefix, int state)
{
    static size_t at;
    if (!state) {
        at = 0;
        load_names();
    }
    size_t keyword_count = sizeof keywords / sizeof keywords[0];
    while (at < keyword_count + names.rows) {
        const char *candidate = at < keyword_count ? keywords[at] : names.values[at - keyword_count];
        at++;
        char *found = match(prefix, candidate);
        if (found)
            return found;
    }
    return NULL;
}

static char *generate_command(const char *prefix, int state)
{
    static size_t at;
    if (!state)
        at = 0;
    while (at < sizeof commands / sizeof commands[0]) {
        const char *candidate = commands[at++];
        if (strncmp(prefix, candidate, strlen(prefix)) == 0)
            return shell_strdup(candidate);
    }
    return NULL;
}

static char **complete(const char *prefix, int start, int end)
{
    (void)end;
    const char *line = rl_line_buffer;
    bool file_name = strncmp(line, "\\i", 2) == 0 || strncmp(line, "\\o", 2) == 0 || strncmp(line, "\\cd", 3) == 0;
    if (start > 0 && file_name)
        return NULL;        /* readline's own file names */
    rl_attempted_completion_over = 1;
    return rl_completion_matches(prefix, prefix[0] == '\\' ? generate_command : generate);
}

static char *history_path(void)
{
    const char *file = getenv("ISOLDE_HISTORY"), *home = getenv("HOME");
    struct text path = { 0 };
    if (file) {
        text_puts(&path, file);
    } else if (home) {
        text_puts(&path, home);
        text_puts(&path, "/.isolde_history");
    }
    return path.data;
}

static void save_history(void)
{
    char *path = history_path();
    if (path)
        write_history(path);
    free(path);
}

void input_start(struct shell *shell)
{
    the_shell = shell;
    catch_interrupts(shell);
    if (shell->no_readline)
        return;
    rl_readline_name = "isolde";
    rl_attempted_completion_function = complete;
    rl_basic_word_break_characters = "\t\n@$><=;|&{() ,";
    using_history();
    stifle_history(2000);
    char *path = history_path();
    if (path)
        read_history(path);
    free(path);
    atexit(save_history);
}

void input_remember(struct shell *shell, const char *statement)
{
    if (!shell->input_is_terminal || shell->no_readline)
        return;
    char *copy = shell_strdup(statement);
    size_t len = strlen(copy);
    while (len > 0 && copy[len - 1] == '\n')
        copy[--len] = '\0';
    HIST_ENTRY *last = history_length > 0 ? history_get(history_base + history_length - 1) : NULL;
    if (len > 0 && (!last || strcmp(last->line, copy) != 0))
        add_history(copy);
    free(copy);
}

static char *terminal_line(struct shell *shell, const char *prompt)
{
    if (!shell->no_readline)
        return readline(prompt);
    fputs(prompt, stdout);
    fflush(stdout);
    return plain_line(stdin);
}
#else
void input_start(struct shell *shell)
{
    the_shell = shell;
    catch_interrupts(shell);
}

void input_remember(struct shell *shell, const char *statement)
{
    (void)shell;
    (void)statement;
}

static char *terminal_line(struct shell *shell, const char *prompt)
{
    (void)shell;
    fputs(prompt, stdout);
    fflush(stdout);
    return plain_line(stdin);
}
#endif

char *input_line(struct shell *shell, const char *prompt)
{
    if (!shell->input_is_terminal)
        return plain_line(shell->input);
    if (sigsetjmp(at_prompt, 1)) {
        prompting = 0;
        fputs("\n", stdout);
        text_clear(&shell->query);
        shell->line_abandoned = true;
        return shell_strdup("");
    }
    prompting = 1;
    char *line = terminal_line(shell, prompt);
    prompting = 0;
    if (!line)
        fputs("\\q\n", stdout);
    return line;
}
