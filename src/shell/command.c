/*
 * command.c -- backslash commands: what the shell itself does.
 *
 * A table gives each command its name and its function.  Inside a false branch of \if only the conditionals run.
 */
#include "src/shell/shell.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The command being run: its name, and what follows on the line. */
struct command {
    const char *name;
    const char *at;
};

/* ---- arguments --------------------------------------------------------------------------------------- */

static void take_quoted(const char **at, struct text *out)
{
    const char *c = *at + 1;
    while (*c && *c != '\'') {
        if (*c == '\\' && c[1]) {
            c++;
            text_putc(out, *c == 'n' ? '\n' : *c == 't' ? '\t' : *c == 'r' ? '\r' : *c == 'b' ? '\b' : *c == 'f' ? '\f' : *c);
            c++;
        } else if (*c == '\'' && c[1] == '\'') {
            text_putc(out, '\'');
            c += 2;
        } else {
            text_putc(out, *c++);
        }
        if (*c == '\'' && c[1] == '\'') {
            text_putc(out, '\'');
            c += 2;
        }
    }
    *at = *c ? c + 1 : c;
}

static void take_backticks(struct shell *shell, const char **at, struct text *out)
{
    const char *end = strchr(*at + 1, '`');
    size_t len = end ? (size_t)(end - *at - 1) : strlen(*at + 1);
    char *shell_command = shell_strndup(*at + 1, len), buffer[512];
    fflush(NULL);
    FILE *pipe = popen(shell_command, "r");
    size_t got;
    struct text output = { 0 };
    while (pipe && (got = fread(buffer, 1, sizeof buffer, pipe)) > 0)
        text_add(&output, buffer, got);
    if (pipe)
        pclose(pipe);
    else
        shell_complain(shell, "%s: %s", shell_command, strerror(errno));
    while (output.len > 0 && output.data[output.len - 1] == '\n')
        output.data[--output.len] = '\0';
    if (output.len)
        text_add(out, output.data, output.len);
    text_free(&output);
    free(shell_command);
    *at = end ? end + 1 : *at + 1 + len;
}

char *command_argument(struct shell *shell, const char **at)
{
    struct text out = { 0 };
    *at += strspn(*at, " \t");
    if (!**at || (**at == '\\' && (*at)[1] == '\\'))
        return NULL;
    text_puts(&out, "");
    while (**at && !isspace((unsigned char)**at)) {
        if (**at == '\'') {
            take_quoted(at, &out);
        } else if (**at == '`') {
            take_backticks(shell, at, &out);
        } else if (**at == '"') {
            const char *end = strchr(*at + 1, '"');
            size_t len = end ? (size_t)(end - *at) + 1 : strlen(*at);
            text_add(&out, *at, len);
            *at += len;
        } else if (**at == ':') {
            size_t len = 1 + strcspn(*at + 1, " \t:\\");
            struct text value = { 0 };
            variables_expand(shell, *at, len, &value);
            text_add(&out, value.data, value.len);
            text_free(&value);
            *at += len;
        } else if (**at == '\\' && (*at)[1] == '\\') {
            break;
        } else {
            text_putc(&out, *(*at)++);
        }
    }
    return out.data;
}

/* The rest of the line, as it is. */
static char *rest_of_line(struct command *command)
{
    command->at += strspn(command->at, " \t");
    size_t len = strlen(command->at);
    char *rest = shell_strndup(command->at, len);
    command->at += len;
    while (len > 0 && isspace((unsigned char)rest[len - 1]))
        rest[--len] = '\0';
    return rest;
}

static FILE *open_output(struct shell *shell, const char *target, bool *is_pipe)
{
    *is_pipe = target[0] == '|';
    FILE *file = *is_pipe ? popen(target + 1, "w") : fopen(target, "w");
    if (!file)
        shell_complain(shell, "%s: %s", target, strerror(errno));
    return file;
}

/* ---- printing options -------------------------------------------------------------------------------- */

static void replace_string(char **field, const char *value)
{
    char *copy = value ? shell_strdup(value) : NULL;
    free(*field);
    *field = copy;
}

static bool parse_bool(const char *value, bool *out)
{
    static const char *const words[] = { "off", "on", "false", "true", "no", "yes", "0", "1" };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(value, words[i]) == 0) {
            *out = i % 2;
            return true;
        }
    return false;
}

static bool set_bool(struct shell *shell, const char *name, const char *value, bool *field)
{
    if (!value) {
        *field = !*field;
        return true;
    }
    if (parse_bool(value, field))
        return true;
    shell_complain(shell, "unrecognized value \"%s\" for \"%s\": Boolean expected", value, name);
    return false;
}

static bool set_format(struct shell *shell, const char *value)
{
    static const char *const names[] = { "aligned", "unaligned", "csv" };
    for (int i = 0; value && i < 3; i++)
        if (strncmp(names[i], value, strlen(value)) == 0) {
            shell->print.format = (enum print_format)i;
            return true;
        }
    shell_complain(shell, "\\pset: allowed formats are aligned, csv, unaligned");
    return false;
}

static bool set_expanded(struct shell *shell, const char *value)
{
    bool on;
    if (!value) {
        shell->print.expanded = shell->print.expanded == EXPANDED_ON ? EXPANDED_OFF : EXPANDED_ON;
        return true;
    }
    if (strcmp(value, "auto") == 0) {
        shell->print.expanded = EXPANDED_AUTO;
        return true;
    }
    if (!parse_bool(value, &on)) {
        shell_complain(shell, "unrecognized value \"%s\" for \"expanded\"", value);
        return false;
    }
    shell->print.expanded = on ? EXPANDED_ON : EXPANDED_OFF;
    return true;
}

static void say_print(struct shell *shell, const char *name)
{
    static const char *const formats[] = { "aligned", "unaligned", "csv" };
    const struct print_options *print = &shell->print;
    if (strcmp(name, "format") == 0)
        fprintf(shell->out, "Output format is %s.\n", formats[print->format]);
    else if (strcmp(name, "expanded") == 0 || strcmp(name, "x") == 0)
        fprintf(shell->out, "Expanded display is %s.\n", print->expanded == EXPANDED_ON ? "on" : print->expanded == EXPANDED_OFF
                ? "off" : "used automatically");
    else if (strcmp(name, "tuples_only") == 0 || strcmp(name, "t") == 0)
        fprintf(shell->out, "Tuples only is %s.\n", print->tuples_only ? "on" : "off");
    else if (strcmp(name, "fieldsep") == 0)
        fprintf(shell->out, "Field separator is \"%s\".\n", print->field_separator);
    else if (strcmp(name, "recordsep") == 0)
        fprintf(shell->out, strcmp(print->record_separator, "\n") ? "Record separator is \"%s\".\n"
                : "Record separator is <newline>.\n", print->record_separator);
    else if (strcmp(name, "null") == 0)
        fprintf(shell->out, "Null display is \"%s\".\n", print->null_text);
    else if (strcmp(name, "border") == 0)
        fprintf(shell->out, "Border style is %d.\n", print->border);
    else if (strcmp(name, "footer") == 0)
        fprintf(shell->out, "Default footer is %s.\n", print->footer ? "on" : "off");
    else if (strcmp(name, "linestyle") == 0)
        fprintf(shell->out, "Line style is %s.\n", print->unicode_lines ? "unicode" : "ascii");
    else if (strcmp(name, "csv_fieldsep") == 0)
        fprintf(shell->out, "Field separator for CSV is \"%c\".\n", print->csv_separator);
    else if (strcmp(name, "title") == 0 && print->title)
        fprintf(shell->out, "Title is \"%s\".\n", print->title);
    else if (strcmp(name, "title") == 0)
        fputs("Title is not set.\n", shell->out);
}

bool command_set_print(struct shell *shell, const char *name, const char *value, bool quiet)
{
    struct print_options *print = &shell->print;
    bool good = true;
    if (strcmp(name, "format") == 0) {
        good = set_format(shell, value);
    } else if (strcmp(name, "expanded") == 0 || strcmp(name, "x") == 0 || strcmp(name, "vertical") == 0) {
        good = set_expanded(shell, value);
    } else if (strcmp(name, "tuples_only") == 0 || strcmp(name, "t") == 0) {
        good = set_bool(shell, name, value, &print->tuples_only);
    } else if (strcmp(name, "footer") == 0) {
        good = set_bool(shell, name, value, &print->footer);
    } else if (strcmp(name, "fieldsep") == 0) {
        if (value)
            replace_string(&print->field_separator, value);
    } else if (strcmp(name, "recordsep") == 0) {
        if (value)
            replace_string(&print->record_separator, value);
    } else if (strcmp(name, "null") == 0) {
        if (value)
            replace_string(&print->null_text, value);
    } else if (strcmp(name, "title") == 0 || strcmp(name, "C") == 0) {
        replace_string(&print->title, value);
    } else if (strcmp(name, "border") == 0) {
        int border = value ? atoi(value) : print->border;
        print->border = border < 0 ? 0 : border;
    } else if (strcmp(name, "linestyle") == 0) {
        if (value && strcmp(value, "ascii") != 0 && strcmp(value, "unicode") != 0) {
            shell_complain(shell, "\\pset: allowed line styles are ascii, unicode");
            return false;
        }
        print->unicode_lines = value ? strcmp(value, "unicode") == 0 : print->unicode_lines;
    } else if (strcmp(name, "csv_fieldsep") == 0) {
        if (value && (strlen(value) != 1 || strchr("\"\n\r", value[0]))) {
            shell_complain(shell, "\\pset: csv_fieldsep must be a single one-byte character");
            return false;
        }
        print->csv_separator = value ? value[0] : print->csv_separator;
    } else {
        shell_complain(shell, "\\pset: unknown option: %s", name);
        return false;
    }
    if (good && !quiet && !shell->quiet)
        say_print(shell, strcmp(name, "x") == 0 || strcmp(name, "vertical") == 0 ? "expanded" : name);
    return good;
}

static bool do_pset(struct shell *shell, struct command *command)
{
    char *name = command_argument(shell, &command->at), *value = command_argument(shell, &command->at);
    bool good = true;
    static const char *const all[] = { "border", "csv_fieldsep", "expanded", "fieldsep", "footer", "format", "linestyle", "null",
                                       "recordsep", "title", "tuples_only" };
    if (name)
        good = command_set_print(shell, name, value, false);
    else
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
            say_print(shell, all[i]);
    free(name);
    free(value);
    return good;
}

/* \x, \t, \a, \f, \C: short for one \pset. */
static bool do_print_short(struct shell *shell, struct command *command)
{
    char *value = command_argument(shell, &command->at);
    bool good;
    if (strcmp(command->name, "a") == 0)
        good = command_set_print(shell, "format", shell->print.format == PRINT_ALIGNED ? "unaligned" : "aligned", false);
    else
        good = command_set_print(shell, strcmp(command->name, "x") == 0 ? "expanded" : strcmp(command->name, "t") == 0 ? "tuples_only"
                                 : strcmp(command->name, "f") == 0 ? "fieldsep" : "title", value, false);
    free(value);
    return good;
}

/* ---- variables and conditionals ------------------------------------------------------------------------ */

static bool do_set(struct shell *shell, struct command *command)
{
    char *name = command_argument(shell, &command->at), *value;
    struct text joined = { 0 };
    if (!name) {
        for (struct variable *v = shell->variables; v; v = v->next)
            fprintf(shell->out, "%s = '%s'\n", v->name, v->value);
        return true;
    }
    text_puts(&joined, "");
    while ((value = command_argument(shell, &command->at))) {
        text_puts(&joined, value);
        free(value);
    }
    shell_set(shell, name, joined.data);
    text_free(&joined);
    free(name);
    return true;
}

static bool do_unset(struct shell *shell, struct command *command)
{
    char *name = command_argument(shell, &command->at);
    if (name)
        shell_unset(shell, name);
    else
        shell_complain(shell, "\\unset: missing required argument");
    bool good = name != NULL;
    free(name);
    return good;
}

static bool condition(struct shell *shell, struct command *command)
{
    char *value = command_argument(shell, &command->at), *more;
    bool on = false;
    if (!value || !parse_bool(value, &on))
        shell_complain(shell, "unrecognized value \"%s\" for \"\\%s expression\": Boolean expected", value ? value : "",
                       command->name);
    while ((more = command_argument(shell, &command->at)))
        free(more);
    free(value);
    return on;
}

static bool do_if(struct shell *shell, struct command *command)
{
    bool active = script_active(shell);
    if (shell->depth == CONDITIONAL_DEPTH_MAX) {
        shell_complain(shell, "\\if: nested too deeply");
        return false;
    }
    enum branch branch = !active ? BRANCH_DONE : condition(shell, command) ? BRANCH_TRUE : BRANCH_FALSE;
    shell->else_seen[shell->depth] = false;
    shell->branches[shell->depth++] = branch;
    return true;
}

static bool do_else(struct shell *shell, struct command *command)
{
    bool is_else = strcmp(command->name, "else") == 0;
    if (shell->depth == 0 || shell->else_seen[shell->depth - 1]) {
        shell_complain(shell, shell->depth == 0 ? "\\%s: no matching \\if" : "\\%s: cannot occur after \\else", command->name);
        return false;
    }
    enum branch *branch = &shell->branches[shell->depth - 1];
    if (is_else)
        shell->else_seen[shell->depth - 1] = true;
    if (*branch == BRANCH_TRUE)
        *branch = BRANCH_DONE;
    else if (*branch == BRANCH_FALSE && (is_else || condition(shell, command)))
        *branch = BRANCH_TRUE;
    return true;
}

static bool do_endif(struct shell *shell, struct command *command)
{
    (void)command;
    if (shell->depth == 0) {
        shell_complain(shell, "\\endif: no matching \\if");
        return false;
    }
    shell->depth--;
    return true;
}

/* ---- scripts, files, output ---------------------------------------------------------------------------- */

static bool do_include(struct shell *shell, struct command *command)
{
    char *name = command_argument(shell, &command->at);
    struct text path = { 0 };
    bool good = false;
    if (!name) {
        shell_complain(shell, "\\%s: missing required argument", command->name);
        return false;
    }
    const char *slash = shell->input_name ? strrchr(shell->input_name, '/') : NULL;
    if (strcmp(command->name, "ir") == 0 && name[0] != '/' && slash)
        text_add(&path, shell->input_name, (size_t)(slash - shell->input_name) + 1);
    text_puts(&path, name);
    FILE *file = fopen(path.data, "r");
    if (file) {
        text_clear(&shell->query);
        good = script_run(shell, file, path.data);
        fclose(file);
    } else {
        shell_complain(shell, "%s: %s", path.data, strerror(errno));
    }
    text_free(&path);
    free(name);
    return good;
}

static void close_output(struct shell *shell)
{
    if (shell->out != stdout) {
        if (shell->out_is_pipe)
            pclose(shell->out);
        else
            fclose(shell->out);
    }
    shell->out = stdout;
}

static bool do_output(struct shell *shell, struct command *command)
{
    char *target = command->at[strspn(command->at, " \t")] == '|' ? rest_of_line(command)
        : command_argument(shell, &command->at);
    bool good = true;
    close_output(shell);
    if (target) {
        FILE *file = open_output(shell, target, &shell->out_is_pipe);
        good = file != NULL;
        shell->out = file ? file : stdout;
    }
    free(target);
    return good;
}

static bool do_echo(struct shell *shell, struct command *command)
{
    FILE *out = strcmp(command->name, "warn") == 0 ? stderr : strcmp(command->name, "qecho") == 0 ? shell->out : stdout;
    char *word;
    bool first = true, newline = true;
    while ((word = command_argument(shell, &command->at))) {
        if (first && newline && strcmp(word, "-n") == 0) {
            newline = false;
        } else {
            fprintf(out, "%s%s", first ? "" : " ", word);
            first = false;
        }
        free(word);
    }
    if (newline)
        putc('\n', out);
    fflush(out);
    return true;
}

static bool do_go(struct shell *shell, struct command *command)
{
    bool good = true;
    if (strcmp(command->name, "gx") == 0)
        shell->once_expanded = true;
    if (strcmp(command->name, "gset") == 0) {
        char *prefix = command_argument(shell, &command->at);
        shell->gset_prefix = prefix ? prefix : shell_strdup("");
    } else {
        char *target = command->at[strspn(command->at, " \t")] == '|' ? rest_of_line(command)
            : command_argument(shell, &command->at);
        if (target) {
            shell->once_out = open_output(shell, target, &shell->once_out_is_pipe);
            good = shell->once_out != NULL;
        }
        free(target);
    }
    if (!good)
        return false;
    if (shell->query.len == 0 && shell->previous.len)
        text_add(&shell->query, shell->previous.data, shell->previous.len);
    if (shell->query.len == 0) {
        shell_complain(shell, "no query buffer");
        return false;
    }
    input_remember(shell, shell->query.data);
    good = statement_run(shell, shell->query.data, shell->query.len);
    text_clear(&shell->previous);
    text_add(&shell->previous, shell->query.data, shell->query.len);
    text_clear(&shell->query);
    return good;
}

static bool do_print_buffer(struct shell *shell, struct command *command)
{
    struct text *text = shell->query.len ? &shell->query : &shell->previous;
    if (strcmp(command->name, "w") == 0) {
        char *target = command_argument(shell, &command->at);
        bool is_pipe;
        FILE *file = target ? open_output(shell, target, &is_pipe) : NULL;
        if (file) {
            fputs(text->len ? text->data : "", file);
            if (is_pipe)
                pclose(file);
            else
                fclose(file);
        }
        free(target);
        return file != NULL;
    }
    if (text->len)
        fprintf(shell->out, "%s%s", text->data, text->data[text->len - 1] == '\n' ? "" : "\n");
    else if (!shell->quiet)
        fputs("Query buffer is empty.\n", shell->out);
    return true;
}

static bool do_reset(struct shell *shell, struct command *command)
{
    (void)command;
    text_clear(&shell->query);
    if (!shell->quiet)
        fputs("Query buffer reset (cleared).\n", shell->out);
    return true;
}

/* \copy table [(columns)] | (query) from|to 'file' | stdin | stdout | pstdin | program ... [with options] */
static bool do_copy(struct shell *shell, struct command *command)
{
    char *text = rest_of_line(command);
    struct text sql = { 0 };
    FILE *file = NULL;
    bool good = false, from = false, found = false, script_input = false;
    int depth = 0;
    char *at = text, *file_begin = NULL;
    for (; *at && !found; at++) {
        depth += (*at == '(') - (*at == ')');
        if (*at == '"' || *at == '\'') {
            char *end = strchr(at + 1, *at);
            at = end ? end : at + strlen(at) - 1;
        } else if (depth == 0 && isspace((unsigned char)*at)
                   && (strncasecmp(at + 1, "from ", 5) == 0 || strncasecmp(at + 1, "to ", 3) == 0)) {
            from = strncasecmp(at + 1, "from", 4) == 0;
            file_begin = at + (from ? 6 : 4);
            found = true;
        }
    }
    if (!found) {
        shell_complain(shell, "\\copy: parse error at end of line");
        goto out;
    }
    text_puts(&sql, "COPY ");
    text_add(&sql, text, (size_t)(file_begin - text));
    const char *rest = file_begin;
    char *target = command_argument(shell, &rest);
    if (target && rest[-1] == ';' && target[0] && target[strlen(target) - 1] == ';')
        target[strlen(target) - 1] = '\0';
    bool standard = target && (strcasecmp(target, "stdin") == 0 || strcasecmp(target, "stdout") == 0);
    bool process = target && (strcasecmp(target, "pstdin") == 0 || strcasecmp(target, "pstdout") == 0);
    if (!target) {
        shell_complain(shell, "\\copy: parse error at end of line");
    } else if (standard || process) {
        file = from ? (process || !shell->input ? stdin : shell->input) : process ? stdout : shell->out;
        script_input = from && !process;
    } else {
        file = fopen(target, from ? "r" : "w");
        if (!file)
            shell_complain(shell, "%s: %s", target, strerror(errno));
    }
    if (file) {
        text_puts(&sql, from ? " STDIN " : " STDOUT ");
        text_puts(&sql, rest);
        good = statement_copy(shell, sql.data, file, script_input);
        if (!standard && !process && fclose(file) != 0) {
            shell_complain(shell, "%s: %s", target, strerror(errno));
            good = false;
        }
    }
    free(target);
out:
    text_free(&sql);
    free(text);
    return good;
}

/* ---- the rest ------------------------------------------------------------------------------------------ */

static bool do_timing(struct shell *shell, struct command *command)
{
    char *value = command_argument(shell, &command->at);
    bool good = set_bool(shell, "timing", value, &shell->timing);
    if (good && !shell->quiet)
        fprintf(shell->out, "Timing is %s.\n", shell->timing ? "on" : "off");
    free(value);
    return good;
}

static bool do_describe(struct shell *shell, struct command *command)
{
    char *pattern = command_argument(shell, &command->at);
    bool good = describe_command(shell, command->name, pattern);
    free(pattern);
    return good;
}

static bool do_quit(struct shell *shell, struct command *command)
{
    (void)command;
    shell->quit = true;
    return false;
}

static bool do_shell(struct shell *shell, struct command *command)
{
    char *line = rest_of_line(command);
    fflush(NULL);
    const char *program = getenv("SHELL");
    int status = system(line[0] ? line : program ? program : "/bin/sh");
    free(line);
    if (status != 0 && shell->on_error_stop)
        shell_complain(shell, "\\!: failed");
    return status == 0;
}

static bool do_cd(struct shell *shell, struct command *command)
{
    char *folder = command_argument(shell, &command->at);
    const char *target = folder ? folder : getenv("HOME");
    bool good = target && chdir(target) == 0;
    if (!good)
        shell_complain(shell, "\\cd: could not change directory to \"%s\": %s", target ? target : "", strerror(errno));
    free(folder);
    return good;
}

static bool do_conninfo(struct shell *shell, struct command *command)
{
    (void)command;
    struct isolde_archive_status archive;
    fprintf(shell->out, "You are connected to database file \"%s\" with Isolde %s.\n", shell->path, isolde_version());
    if (isolde_archive_status(shell->db, &archive) != ISOLDE_OK)
        return true;
    fprintf(shell->out, "Its log is archived in \"%s\"; %llu bytes wait.\n", archive.directory,
            (unsigned long long)(archive.end > archive.archived ? archive.end - archive.archived : 0));
    if (archive.last_error[0])
        fprintf(shell->out, "The archiver has failed: %s\n", archive.last_error);
    return true;
}

static bool do_encoding(struct shell *shell, struct command *command)
{
    char *name = command_argument(shell, &command->at);
    bool good = !name || strcasecmp(name, "UTF8") == 0 || strcasecmp(name, "UTF-8") == 0;
    if (!good)
        shell_complain(shell, "%s: invalid encoding name or conversion procedure not found", name);
    else if (!name)
        fputs("UTF8\n", shell->out);
    free(name);
    return good;
}

static bool do_backup(struct shell *shell, struct command *command)
{
    char *path = command_argument(shell, &command->at);
    bool overwrite = path && strcmp(path, "-f") == 0;
    if (overwrite) {
        free(path);
        path = command_argument(shell, &command->at);
    }
    bool good = path != NULL;
    if (!good)
        shell_complain(shell, "\\backup: missing required argument");
    else
        good = backup_command(shell, path, overwrite);
    free(path);
    return good;
}

static bool do_error_verbose(struct shell *shell, struct command *command)
{
    (void)command;
    fputs(shell->last_error.len ? shell->last_error.data : "There is no previous error.\n", shell->out);
    return true;
}

static bool do_help(struct shell *shell, struct command *command)
{
    (void)command;
    fputs("General\n"
          "  \\q                     leave\n"
          "  \\g [FILE or |COMMAND]  run the statement (output to a file or pipe); \\gx: expanded; \\gset [PREFIX]: into variables\n"
          "  \\timing [on|off]       show how long statements take\n"
          "  \\errverbose            the last error in full\n"
          "  \\conninfo              the open database\n"
          "  \\backup [-f] FILE      copy the database, in use, to a file; -f: which may exist\n\n"
          "Tables\n"
          "  \\d [NAME]              tables and indexes; or the columns and indexes of one\n"
          "  \\dt [PATTERN]          tables      \\di [PATTERN]  indexes\n\n"
          "Input and output\n"
          "  \\copy ...              COPY from or to a file of this program's\n"
          "  \\i FILE                run a script; \\ir: relative to the running script\n"
          "  \\o [FILE or |COMMAND]  send results to a file or pipe\n"
          "  \\echo, \\qecho, \\warn   print words; -n: without newline\n"
          "  \\p  \\r  \\w FILE        show, clear, write the query buffer\n\n"
          "Format\n"
          "  \\x [on|off|auto]  \\a  \\t  \\f STRING  \\C TITLE\n"
          "  \\pset [NAME [VALUE]]   border, csv_fieldsep, expanded, fieldsep, footer, format (aligned, csv, unaligned), linestyle,\n"
          "                         null, recordsep, title, tuples_only\n\n"
          "Variables and conditions\n"
          "  \\set [NAME [VALUE]]    \\unset NAME    (:NAME, :'NAME', :\"NAME\" in statements)\n"
          "  \\if EXPR  \\elif EXPR  \\else  \\endif\n\n"
          "System\n"
          "  \\! [COMMAND]           run a command       \\cd [FOLDER]     \\encoding\n", shell->out);
    return true;
}

struct entry {
    const char *name;
    bool (*run)(struct shell *shell, struct command *command);
    bool always;        /* also in a branch that is not taken */
};

static const struct entry entries[] = {
    { "!", do_shell, false }, { "?", do_help, false }, { "C", do_print_short, false }, { "a", do_print_short, false },
    { "backup", do_backup, false }, { "cd", do_cd, false }, { "conninfo", do_conninfo, false }, { "copy", do_copy, false }, { "d", do_describe, false },
    { "di", do_describe, false }, { "dt", do_describe, false }, { "echo", do_echo, false },
    { "elif", do_else, true }, { "else", do_else, true }, { "encoding", do_encoding, false }, { "endif", do_endif, true },
    { "errverbose", do_error_verbose, false }, { "f", do_print_short, false }, { "g", do_go, false }, { "gset", do_go, false },
    { "gx", do_go, false }, { "i", do_include, false }, { "if", do_if, true }, { "include", do_include, false },
    { "ir", do_include, false }, { "o", do_output, false }, { "p", do_print_buffer, false }, { "pset", do_pset, false },
    { "q", do_quit, false }, { "qecho", do_echo, false }, { "quit", do_quit, false }, { "r", do_reset, false },
    { "reset", do_reset, false }, { "set", do_set, false }, { "t", do_print_short, false }, { "timing", do_timing, false },
    { "unset", do_unset, false }, { "w", do_print_buffer, false }, { "warn", do_echo, false }, { "x", do_print_short, false },
};

bool command_run(struct shell *shell, const char *line, size_t *used)
{
    size_t name_len = line[0] == '!' || line[0] == '?' ? 1 : strcspn(line, " \t\\");
    char *name = shell_strndup(line, name_len);
    struct command command = { name, line + name_len };
    const struct entry *entry = NULL;
    bool good = true;
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        if (strcmp(entries[i].name, name) == 0)
            entry = &entries[i];
    bool active = script_active(shell);
    if (!active && (!entry || !entry->always)) {
        command.at += strlen(command.at);
    } else if (!entry) {
        shell_complain(shell, "invalid command \\%s", name);
        if (shell->input_is_terminal)
            fputs("Try \\? for help.\n", stderr);
        command.at += strlen(command.at);
        good = false;
    } else {
        good = entry->run(shell, &command);
        char *extra;
        while (good && !shell->quit && (extra = command_argument(shell, &command.at))) {
            if (active)
                fprintf(stderr, "\\%s: extra argument \"%s\" ignored\n", name, extra);
            free(extra);
        }
    }
    if (!good)
        command.at += strlen(command.at);
    if (command.at[0] == '\\' && command.at[1] == '\\')
        command.at += 2;
    *used = (size_t)(command.at - line);
    free(name);
    if (!good && !shell->quit && shell->on_error_stop)
        shell->exit_code = 3;
    return !shell->quit && (good || !shell->on_error_stop);
}
