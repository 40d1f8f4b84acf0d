/*
 * copy_options.c -- COPY's options: which there are, what they default to, and which exclude each other.
 */
#include <string.h>
#include <strings.h>

#include "sql/copy_int.h"

struct given {
    const struct ast_option *format, *delimiter, *null, *header, *quote, *escape;
};

static int repeated(struct op *op, const struct ast_option *option)
{
    return op_fail_at(op, option->position, "42601", "conflicting or redundant options");
}

static int read_format(struct op *op, const struct ast_option *option, struct copy_options *options)
{
    if (option->value && strcmp(option->value, "csv") == 0)
        options->csv = true;
    else if (option->value && strcmp(option->value, "binary") == 0)
        return op_fail_at(op, option->position, "0A000", "COPY format \"binary\" is not supported");
    else if (!option->value || strcmp(option->value, "text") != 0)
        return op_fail_at(op, option->position, "22023", "COPY format \"%s\" not recognized", option->value ? option->value : "");
    return 0;
}

static int read_header(struct op *op, const struct ast_option *option, struct copy_options *options)
{
    const char *value = option->value ? option->value : "true";

    options->header_match = strcasecmp(value, "match") == 0;
    options->header = options->header_match || strcasecmp(value, "true") == 0 || strcasecmp(value, "on") == 0 ||
                      strcmp(value, "1") == 0;
    if (!options->header && strcasecmp(value, "false") != 0 && strcasecmp(value, "off") != 0 && strcmp(value, "0") != 0)
        return op_fail(op, "42601", "header requires a Boolean value or \"match\"");
    return 0;
}

static int read_option(struct op *op, const struct ast_option *option, struct given *given, struct copy_options *options)
{
    static const char *const names[] = {"format", "delimiter", "null", "header", "quote", "escape"};
    const struct ast_option **places[] = {&given->format, &given->delimiter, &given->null, &given->header, &given->quote,
                                          &given->escape};
    const char *name = option->name;

    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcmp(name, names[i]) == 0) {
            if (*places[i])
                return repeated(op, option);
            *places[i] = option;
            return 0;
        }
    if (strcmp(name, "force_quote") == 0) {
        options->force_quote_all = option->star;
        options->force_quote = option->list;
    } else if (strcmp(name, "force_not_null") == 0) {
        options->force_not_null = option->list;
    } else if (strcmp(name, "force_null") == 0) {
        options->force_null = option->list;
    } else if (strcmp(name, "encoding") == 0) {
        if (!option->value || (strcasecmp(option->value, "utf8") != 0 && strcasecmp(option->value, "utf-8") != 0))
            return op_fail_at(op, option->position, "0A000", "encoding \"%s\" is not supported", option->value ? option->value : "");
    } else if (strcmp(name, "freeze") == 0) {
        return op_fail_at(op, option->position, "0A000", "COPY option \"freeze\" is not supported");
    } else {
        return op_fail_at(op, option->position, "42601", "option \"%s\" not recognized", name);
    }
    return 0;
}

/* One byte that is neither an end of line nor anything that the data cannot do without. */
static int read_character(struct op *op, const struct ast_option *option, const char *what, char *out)
{
    if (!option)
        return 0;
    if (!option->value || strlen(option->value) != 1)
        return op_fail(op, "0A000", "COPY %s must be a single one-byte character", what);
    *out = option->value[0];
    if (*out == '\n' || *out == '\r')
        return op_fail(op, "22023", "COPY %s cannot be newline or carriage return", what);
    return 0;
}

static int check(struct op *op, const struct given *given, const struct ast_copy *statement, const struct copy_options *options)
{
    static const char forbidden[] = "\\.abcdefghijklmnopqrstuvwxyz0123456789";

    if (!options->csv && options->delimiter && strchr(forbidden, options->delimiter))
        return op_fail(op, "22023", "COPY delimiter cannot be \"%c\"", options->delimiter);
    if (!options->csv && given->quote)
        return op_fail(op, "0A000", "COPY quote available only in CSV mode");
    if (!options->csv && given->escape)
        return op_fail(op, "0A000", "COPY escape available only in CSV mode");
    if (!options->csv && (options->force_quote || options->force_quote_all))
        return op_fail(op, "0A000", "COPY force quote available only in CSV mode");
    if ((options->force_quote || options->force_quote_all) && statement->from)
        return op_fail(op, "0A000", "COPY force quote only available using COPY TO");
    if (!options->csv && options->force_not_null)
        return op_fail(op, "0A000", "COPY force not null available only in CSV mode");
    if (!options->csv && options->force_null)
        return op_fail(op, "0A000", "COPY force null available only in CSV mode");
    if ((options->force_not_null || options->force_null) && !statement->from)
        return op_fail(op, "0A000", "COPY force null only available using COPY FROM");
    if (options->csv && options->delimiter == options->quote)
        return op_fail(op, "22023", "COPY delimiter and quote must be different");
    if (strpbrk(options->null_text, "\r\n"))
        return op_fail(op, "22023", "COPY null representation cannot use newline or carriage return");
    if (strchr(options->null_text, options->delimiter))
        return op_fail(op, "22023", "COPY delimiter character must not appear in the NULL specification");
    if (options->csv && strchr(options->null_text, options->quote))
        return op_fail(op, "22023", "CSV quote character must not appear in the NULL specification");
    if (options->header_match && !statement->from)
        return op_fail(op, "22023", "cannot use \"match\" with HEADER in COPY TO");
    return 0;
}

int copy__read_options(struct op *op, const struct ast_copy *statement, struct copy_options *options)
{
    struct given given = {0};

    *options = (struct copy_options){0};
    for (const struct ast_option *option = statement->options; option; option = option->next)
        if (read_option(op, option, &given, options) != 0)
            return OP_FAILED;
    if (given.format && read_format(op, given.format, options) != 0)
        return OP_FAILED;
    options->delimiter = options->csv ? ',' : '\t';
    options->quote = '"';
    options->null_text = options->csv ? "" : "\\N";
    if (given.null)
        options->null_text = given.null->value ? given.null->value : "";
    options->null_len = strlen(options->null_text);
    if ((given.header && read_header(op, given.header, options) != 0) ||
        read_character(op, given.delimiter, "delimiter", &options->delimiter) != 0 ||
        read_character(op, given.quote, "quote", &options->quote) != 0)
        return OP_FAILED;
    options->escape = options->quote;
    if (read_character(op, given.escape, "escape", &options->escape) != 0)
        return OP_FAILED;
    return check(op, &given, statement, options);
}

static int mark(struct op *op, struct copy *copy, const struct ast_word *words, const char *what, size_t flag)
{
    for (; words; words = words->next) {
        int i = 0;
        while (i < copy->column_count && strcmp(copy->columns[i].name, words->text) != 0)
            i++;
        if (i == copy->column_count)
            return op_fail_at(op, words->position, "42P10", "%s column \"%s\" not referenced by COPY", what, words->text);
        *(bool *)((char *)&copy->columns[i] + flag) = true;
    }
    return 0;
}

int copy__mark_columns(struct op *op, struct copy *copy)
{
    const struct copy_options *options = &copy->options;

    for (int i = 0; i < copy->column_count; i++)
        copy->columns[i].force_quote = options->force_quote_all;
    if (mark(op, copy, options->force_quote, "FORCE_QUOTE", offsetof(struct copy_column, force_quote)) != 0 ||
        mark(op, copy, options->force_not_null, "FORCE_NOT_NULL", offsetof(struct copy_column, force_not_null)) != 0 ||
        mark(op, copy, options->force_null, "FORCE_NULL", offsetof(struct copy_column, force_null)) != 0)
        return OP_FAILED;
    return 0;
}
