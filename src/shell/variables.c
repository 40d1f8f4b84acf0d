/* variables.c -- the shell's variables and their replacement in statements: :name, :'name', :"name". */
#include "src/shell/shell.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

const char *shell_get(const struct shell *shell, const char *name)
{
    for (const struct variable *v = shell->variables; v; v = v->next)
        if (strcmp(v->name, name) == 0)
            return v->value;
    return NULL;
}

/* Some variables are settings of the shell itself. */
static void apply(struct shell *shell, const char *name, const char *value)
{
    bool on = shell_is_on(shell, name);
    if (strcmp(name, "ON_ERROR_STOP") == 0)
        shell->on_error_stop = on;
    else if (strcmp(name, "QUIET") == 0)
        shell->quiet = on;
    else if (strcmp(name, "ECHO") == 0) {
        shell->echo_all = value && strcmp(value, "all") == 0;
        shell->echo_queries = value && strcmp(value, "queries") == 0;
        shell->echo_errors = value && strcmp(value, "errors") == 0;
    }
}

void shell_set(struct shell *shell, const char *name, const char *value)
{
    struct variable *v = shell->variables;
    while (v && strcmp(v->name, name) != 0)
        v = v->next;
    if (!v) {
        v = shell_alloc(sizeof *v);
        v->name = shell_strdup(name);
        v->next = shell->variables;
        shell->variables = v;
    }
    char *copy = shell_strdup(value);
    free(v->value);
    v->value = copy;
    apply(shell, name, value);
}

/* The name may be the variable's own: it is freed last. */
void shell_unset(struct shell *shell, const char *name)
{
    struct variable **at = &shell->variables, *gone;
    while (*at && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    gone = *at;
    if (gone)
        *at = gone->next;
    apply(shell, name, NULL);
    if (gone) {
        free(gone->name);
        free(gone->value);
        free(gone);
    }
}

bool shell_is_on(const struct shell *shell, const char *name)
{
    static const char *const off[] = { "off", "false", "no", "0", "f", "n" };
    const char *value = shell_get(shell, name);
    if (!value)
        return false;
    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++)
        if (strcasecmp(value, off[i]) == 0)
            return false;
    return true;
}

static void add_quoted(struct text *out, const char *value, char quote)
{
    bool escape = quote == '\'' && strchr(value, '\\');
    text_puts(out, escape ? " E" : "");
    text_putc(out, quote);
    for (; *value; value++) {
        if (*value == quote || (escape && *value == '\\'))
            text_putc(out, *value);
        text_putc(out, *value);
    }
    text_putc(out, quote);
}

/* At a ':' outside of quotes.  Returns how many bytes were replaced; 0: no variable, take the colon as it is. */
static size_t replace(struct shell *shell, const char *at, size_t len, struct text *out)
{
    char quote = len > 1 && (at[1] == '\'' || at[1] == '"') ? at[1] : '\0';
    size_t begin = quote ? 2 : 1, end = begin;
    while (end < len && (isalnum((unsigned char)at[end]) || at[end] == '_'))
        end++;
    if (end == begin || (quote && (end >= len || at[end] != quote)))
        return 0;
    char *name = shell_strndup(at + begin, end - begin);
    const char *value = shell_get(shell, name);
    free(name);
    if (!value)
        return 0;
    if (quote)
        add_quoted(out, value, quote);
    else
        text_puts(out, value);
    return end + (quote ? 1 : 0);
}

/* Length of the dollar quote's tag "$tag$" at this place, 0 when there is none. */
static size_t dollar_tag(const char *at, size_t len)
{
    size_t i = 1;
    if (len < 2 || at[0] != '$' || isdigit((unsigned char)at[1]))
        return 0;
    while (i < len && (isalnum((unsigned char)at[i]) || at[i] == '_' || (unsigned char)at[i] >= 0x80))
        i++;
    return i < len && at[i] == '$' ? i + 1 : 0;
}

/* Bytes of the quoted or commented stretch that begins here; 0 when none does. */
static size_t opaque(const char *at, size_t len)
{
    size_t tag;
    if (at[0] == '\'' || at[0] == '"') {
        size_t i = 1;
        while (i < len && at[i] != at[0])
            i++;
        return i < len ? i + 1 : len;
    }
    if (len > 1 && at[0] == '-' && at[1] == '-') {
        const char *end = memchr(at, '\n', len);
        return end ? (size_t)(end - at) : len;
    }
    if (len > 1 && at[0] == '/' && at[1] == '*') {
        const char *end = memmem(at + 2, len - 2, "*/", 2);
        return end ? (size_t)(end - at) + 2 : len;
    }
    if ((tag = dollar_tag(at, len))) {
        const char *end = memmem(at + tag, len - tag, at, tag);
        return end ? (size_t)(end - at) + tag : len;
    }
    return 0;
}

void variables_expand(struct shell *shell, const char *sql, size_t len, struct text *out)
{
    for (size_t i = 0; i < len;) {
        size_t used = opaque(sql + i, len - i);
        if (used == 0 && sql[i] == ':' && i + 1 < len && sql[i + 1] == ':')
            used = 2;
        if (used == 0 && sql[i] == ':') {
            size_t replaced = replace(shell, sql + i, len - i, out);
            if (replaced) {
                i += replaced;
                continue;
            }
        }
        if (used == 0)
            used = 1;
        text_add(out, sql + i, used);
        i += used;
    }
    if (!out->data)
        text_puts(out, "");
}
