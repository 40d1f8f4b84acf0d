/*
 * script.c -- cuts what is typed or read into statements and backslash commands.
 *
 * A statement ends at a semicolon that stands outside of quotes, comments and parentheses.  A backslash there begins a command,
 * which ends with the line.  The scanner's state goes on from line to line.
 */
#include "src/shell/shell.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct scanner {
    char quote;             /* ' or " while inside; 'E' inside of E'...' */
    char *dollar_tag;       /* "$tag$" while inside */
    int comment_depth, parenthesis_depth;
    bool end_of_script;
};

bool script_active(const struct shell *shell)
{
    return shell->depth == 0 || shell->branches[shell->depth - 1] == BRANCH_TRUE;
}

static bool is_blank(const char *text)
{
    return !text || text[strspn(text, " \t\r\n")] == '\0';
}

static size_t inside_quote(struct scanner *scanner, const char *at)
{
    char end = scanner->quote == 'E' ? '\'' : scanner->quote;
    if (scanner->quote == 'E' && at[0] == '\\' && at[1])
        return 2;
    if (at[0] == end && at[1] == end)
        return 2;
    if (at[0] == end)
        scanner->quote = '\0';
    return 1;
}

static size_t inside_comment(struct scanner *scanner, const char *at)
{
    if (at[0] == '*' && at[1] == '/') {
        scanner->comment_depth--;
        return 2;
    }
    if (at[0] == '/' && at[1] == '*') {
        scanner->comment_depth++;
        return 2;
    }
    return 1;
}

static size_t inside_dollar(struct scanner *scanner, const char *at)
{
    size_t len = strlen(scanner->dollar_tag);
    if (strncmp(at, scanner->dollar_tag, len) != 0)
        return 1;
    free(scanner->dollar_tag);
    scanner->dollar_tag = NULL;
    return len;
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

/* Enters a quote, comment or dollar quote that begins here; returns its bytes, 0 when none begins. */
static size_t enter(struct scanner *scanner, const char *line, const char *at)
{
    if (at[0] == '\'' || at[0] == '"') {
        bool escapes = at[0] == '\'' && at > line && (at[-1] == 'e' || at[-1] == 'E') && (at - 1 == line || !is_word(at[-2]));
        scanner->quote = escapes ? 'E' : at[0];
        return 1;
    }
    if (at[0] == '-' && at[1] == '-')
        return strlen(at);
    if (at[0] == '/' && at[1] == '*') {
        scanner->comment_depth = 1;
        return 2;
    }
    if (at[0] == '$' && (at == line || !is_word(at[-1])) && !isdigit((unsigned char)at[1])) {
        size_t len = 1;
        while (is_word(at[len]))
            len++;
        if (at[len] == '$') {
            scanner->dollar_tag = shell_strndup(at, len + 1);
            return len + 1;
        }
    }
    return 0;
}

static bool finish_statement(struct shell *shell)
{
    bool good = true;
    if (!is_blank(shell->query.data) && script_active(shell)) {
        const char *sql = shell->query.data + strspn(shell->query.data, " \t\r\n");
        input_remember(shell, sql);
        good = statement_run(shell, sql, strlen(sql));
        text_clear(&shell->previous);
        text_puts(&shell->previous, sql);
    }
    text_clear(&shell->query);
    if (!good && shell->on_error_stop) {
        shell->exit_code = 3;
        return false;
    }
    return true;
}

/* One line, without its newline.  False when the script must stop. */
static bool scan_line(struct shell *shell, struct scanner *scanner, const char *line)
{
    const char *at = line;
    while (*at) {
        size_t used;
        bool comment = at[0] == '-' && at[1] == '-' && !scanner->quote && !scanner->comment_depth && !scanner->dollar_tag;
        if (scanner->quote)
            used = inside_quote(scanner, at);
        else if (scanner->comment_depth)
            used = inside_comment(scanner, at);
        else if (scanner->dollar_tag)
            used = inside_dollar(scanner, at);
        else if ((used = enter(scanner, line, at)) > 0)
            ;
        else if (*at == ';' && scanner->parenthesis_depth == 0) {
            text_putc(&shell->query, ';');
            at++;
            if (!finish_statement(shell))
                return false;
            continue;
        } else if (*at == '\\') {
            if (at[1] == ';') {         /* joins statements into one request */
                text_putc(&shell->query, ';');
                at += 2;
                continue;
            }
            size_t consumed;
            if (!command_run(shell, at + 1, &consumed)) {
                scanner->end_of_script = true;
                return false;
            }
            if (!shell->query.len)
                scanner->parenthesis_depth = 0;
            at += 1 + consumed;
            continue;
        } else {
            scanner->parenthesis_depth += *at == '(';
            if (*at == ')' && scanner->parenthesis_depth > 0)
                scanner->parenthesis_depth--;
            used = 1;
        }
        /* What stands before a statement is not part of it. */
        if (shell->query.len || !(isspace((unsigned char)*at) || comment))
            text_add(&shell->query, at, used);
        at += used;
    }
    if (shell->query.len)
        text_putc(&shell->query, '\n');
    return true;
}

/* "app=# ", "app-# ", "app(# ", "app'# ": what goes on. */
static void make_prompt(struct shell *shell, const struct scanner *scanner, struct text *prompt)
{
    const char *slash = strrchr(shell->path, '/'), *base = slash ? slash + 1 : shell->path;
    size_t len = strlen(base);
    if (len > 3 && strcmp(base + len - 3, ".db") == 0)
        len -= 3;
    char status = isolde_transaction_status(shell->conn);
    text_clear(prompt);
    text_add(prompt, base, len);
    char going = scanner->quote == 'E' ? '\'' : scanner->quote ? scanner->quote : scanner->dollar_tag ? '$'
        : scanner->comment_depth ? '*' : scanner->parenthesis_depth ? '(' : shell->query.len ? '-' : !script_active(shell) ? '@' : '=';
    text_putc(prompt, going);
    if (status != 'I')
        text_putc(prompt, status == 'T' ? '*' : '!');
    text_puts(prompt, "# ");
}

bool script_run(struct shell *shell, FILE *file, const char *name)
{
    FILE *outer = shell->input;
    const char *outer_name = shell->input_name;
    unsigned outer_line = shell->line_number;
    bool outer_terminal = shell->input_is_terminal;
    int outer_depth = shell->depth;
    struct scanner scanner = { 0 };
    struct text prompt = { 0 };
    bool good = true;
    char *line;
    shell->input = file;
    shell->input_name = name;
    shell->line_number = 0;
    shell->input_is_terminal = shell->interactive && file == stdin;
    while (good && !shell->quit) {
        make_prompt(shell, &scanner, &prompt);
        if (!(line = input_line(shell, prompt.data)))
            break;
        if (shell->line_abandoned) {
            free(scanner.dollar_tag);
            scanner = (struct scanner){ 0 };
            shell->line_abandoned = false;
        }
        shell->line_number++;
        if (shell->line_number == 1 && strncmp(line, "\xEF\xBB\xBF", 3) == 0)
            memmove(line, line + 3, strlen(line + 3) + 1);
        if (shell->echo_all && !shell->input_is_terminal)
            fprintf(shell->out, "%s\n", line);
        good = scan_line(shell, &scanner, line);
        free(line);
    }
    /* What stands at the end without a semicolon is run as well, as psql does for files. */
    if (good && !shell->quit && !shell->input_is_terminal)
        good = finish_statement(shell);
    text_clear(&shell->query);
    if (!shell->quit && shell->depth > outer_depth) {
        shell_complain(shell, "reached EOF without finding closing \\endif(s)");
        shell->depth = outer_depth;
    }
    free(scanner.dollar_tag);
    text_free(&prompt);
    shell->input = outer;
    shell->input_name = outer_name;
    shell->line_number = outer_line;
    shell->input_is_terminal = outer_terminal;
    return good || (scanner.end_of_script && shell->exit_code == 0);
}

bool script_run_string(struct shell *shell, const char *string)
{
    if (string[0] == '\\') {
        size_t used;
        command_run(shell, string + 1, &used);
        return shell->exit_code == 0;
    }
    shell->input_name = NULL;
    return statement_run(shell, string, strlen(string));
}
