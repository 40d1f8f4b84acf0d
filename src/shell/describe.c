/*
 * describe.c -- \d and its family: what the catalog says, drawn as psql draws it.
 *
 * The catalog is asked in SQL (pg_class, pg_attribute, pg_index, ...), like any other table.
 */
#include "src/shell/shell.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static bool query(struct shell *shell, struct result *result, const char *format, ...) __attribute__((format(printf, 3, 4)));
static bool query(struct shell *shell, struct result *result, const char *format, ...)
{
    va_list args;
    char *sql = NULL;
    va_start(args, format);
    int len = vasprintf(&sql, format, args);
    va_end(args);
    bool good = len >= 0 && statement_query(shell, sql, result);
    free(sql);
    return good;
}

static const char *value(const struct result *result, size_t row, int column)
{
    const char *text = result->values[row * (size_t)result->columns + (size_t)column];
    return text ? text : "";
}

/* ---- names ---------------------------------------------------------------------------------------------- */

/* A pattern of psql (unquoted in lower case, * and ?) as a LIKE pattern in quotes; the schema before a dot is split off. */
struct pattern {
    struct text schema, name;   /* quoted literals; empty when not given */
};

static void close_literal(struct text *text)
{
    text_putc(text, '\'');
}

static void parse_pattern(const char *pattern, struct pattern *out)
{
    bool quoted = false;
    *out = (struct pattern){ 0 };
    text_putc(&out->name, '\'');
    for (; pattern && *pattern; pattern++) {
        char c = *pattern;
        if (c == '"') {
            quoted = !quoted;
        } else if (c == '.' && !quoted) {
            close_literal(&out->name);
            text_free(&out->schema);
            out->schema = out->name;
            out->name = (struct text){ 0 };
            text_putc(&out->name, '\'');
        } else if ((c == '*' || c == '?') && !quoted) {
            text_putc(&out->name, c == '*' ? '%' : '_');
        } else {
            if (c == '_' || c == '%' || c == '\\')
                text_putc(&out->name, '\\');
            if (c == '\'')
                text_putc(&out->name, '\'');
            text_putc(&out->name, !quoted && c >= 'A' && c <= 'Z' ? (char)(c + 32) : c);
        }
    }
    close_literal(&out->name);
}

static void free_pattern(struct pattern *pattern)
{
    text_free(&pattern->schema);
    text_free(&pattern->name);
}

/* ---- \d, \dt, \di: lists ---------------------------------------------------------------------------------- */

static bool list_relations(struct shell *shell, const char *kinds, const char *text)
{
    struct pattern pattern;
    struct result result;
    struct print_options options = shell->print;
    bool indexes = strcmp(kinds, "'i'") == 0;
    parse_pattern(text, &pattern);
    struct text where = { 0 };
    text_puts(&where, "");
    if (text) {
        text_puts(&where, " AND c.relname LIKE ");
        text_puts(&where, pattern.name.data);
    }
    if (pattern.schema.data) {
        text_puts(&where, " AND n.nspname LIKE ");
        text_puts(&where, pattern.schema.data);
    } else {
        text_puts(&where, " AND n.nspname <> 'pg_catalog'");
    }
    bool good = query(shell, &result,
        "SELECT n.nspname AS \"Schema\", c.relname AS \"Name\","
        " CASE c.relkind WHEN 'r' THEN 'table' WHEN 'i' THEN 'index' ELSE c.relkind END AS \"Type\"%s"
        " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace%s"
        " WHERE c.relkind IN (%s)%s ORDER BY 1, 2",
        indexes ? ", t.relname AS \"Table\"" : "",
        indexes ? " JOIN pg_catalog.pg_index x ON x.indexrelid = c.oid JOIN pg_catalog.pg_class t ON t.oid = x.indrelid" : "",
        kinds, where.data);
    if (good && result.rows == 0 && !shell->quiet) {
        if (text)
            fprintf(stderr, "Did not find any relation named \"%s\".\n", text);
        else
            fputs("Did not find any relations.\n", stderr);
    } else if (good && result.rows > 0) {
        options.title = "List of relations";
        print_result(shell->out, &options, &result);
    }
    text_free(&where);
    free_pattern(&pattern);
    result_free(&result);
    return good;
}

/* ---- \d NAME: one table or index -------------------------------------------------------------------------- */

/* pg_type.typname and pg_attribute.atttypmod as SQL writes them. */
static void add_type(struct text *out, const char *name, int modifier)
{
    static const struct { const char *name, *sql; } types[] = {
        { "bool", "boolean" }, { "int2", "smallint" }, { "int4", "integer" }, { "int8", "bigint" }, { "float4", "real" },
        { "float8", "double precision" }, { "varchar", "character varying" }, { "bpchar", "character" },
        { "timestamp", "timestamp without time zone" }, { "timestamptz", "timestamp with time zone" },
    };
    char suffix[40] = "";
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].name, name) == 0)
            name = types[i].sql;
    text_puts(out, name);
    if (modifier >= 4 && strcmp(name, "numeric") == 0)
        snprintf(suffix, sizeof suffix, "(%d,%d)", (modifier - 4) >> 16, (((modifier - 4) & 0x7ff) ^ 1024) - 1024);
    else if (modifier >= 4)
        snprintf(suffix, sizeof suffix, "(%d)", modifier - 4);
    text_puts(out, suffix);
}

/* Replaces the two columns (typname, typmod) at `column` by the type's name, leaving the second empty and unused. */
static void merge_type_columns(struct result *result, int column)
{
    int columns = result->columns - 1;
    for (size_t r = 0; r < result->rows; r++) {
        char **from = result->values + r * (size_t)result->columns, **to = result->values + r * (size_t)columns;
        struct text type = { 0 };
        add_type(&type, from[column], from[column + 1] ? atoi(from[column + 1]) : -1);
        free(from[column]);
        free(from[column + 1]);
        from[column] = type.data;
        for (int c = 0; c < columns; c++)
            to[c] = from[c <= column ? c : c + 1];
    }
    free(result->names[column + 1]);
    for (int c = column + 1; c < columns; c++)
        result->names[c] = result->names[c + 1];
    result->columns = columns;
    for (int c = 0; c < columns; c++)
        result->right[c] = false;
}

/* "(a, b DESC)" from indkey "1 3" and indoption "0 3" (bit 1: descending, bit 2: nulls first). */
static void add_index_columns(struct shell *shell, struct text *out, const char *oid, const char *keys, const char *options)
{
    struct result names;
    if (!query(shell, &names, "SELECT attnum, attname FROM pg_catalog.pg_attribute WHERE attrelid = %s", oid))
        return;
    const char *separator = "";
    text_puts(out, "(");
    while (*keys) {
        char *key_end, *option_end;
        long key = strtol(keys, &key_end, 10), option = strtol(options, &option_end, 10);
        if (key_end == keys)
            break;
        text_puts(out, separator);
        for (size_t r = 0; r < names.rows; r++)
            if (atol(value(&names, r, 0)) == key)
                text_puts(out, value(&names, r, 1));
        if (option & 1)
            text_puts(out, " DESC");
        if ((option & 2) && !(option & 1))
            text_puts(out, " NULLS FIRST");
        if (!(option & 2) && (option & 1))
            text_puts(out, " NULLS LAST");
        separator = ", ";
        keys = key_end;
        options = option_end;
    }
    text_puts(out, ")");
    result_free(&names);
}

static void add_indexes(struct shell *shell, struct text *footer, const char *oid)
{
    struct result indexes;
    if (!query(shell, &indexes,
               "SELECT c.relname, x.indisprimary, x.indisunique, x.indkey, x.indoption, k.conname"
               " FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid"
               " LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = x.indexrelid"
               " WHERE x.indrelid = %s ORDER BY x.indisprimary DESC, c.relname", oid))
        return;
    if (indexes.rows > 0)
        text_puts(footer, "Indexes:\n");
    for (size_t r = 0; r < indexes.rows; r++) {
        text_puts(footer, "    \"");
        text_puts(footer, value(&indexes, r, 0));
        text_puts(footer, "\" ");
        if (value(&indexes, r, 1)[0] == 't')
            text_puts(footer, "PRIMARY KEY, ");
        else if (value(&indexes, r, 2)[0] == 't')
            text_puts(footer, value(&indexes, r, 5)[0] ? "UNIQUE CONSTRAINT, " : "UNIQUE, ");
        text_puts(footer, "btree ");
        add_index_columns(shell, footer, oid, value(&indexes, r, 3), value(&indexes, r, 4));
        text_putc(footer, '\n');
    }
    result_free(&indexes);
}

static bool describe_table(struct shell *shell, const char *oid, const char *schema, const char *name)
{
    struct result result;
    struct print_options options = shell->print;
    struct text title = { 0 }, footer = { 0 };
    bool good = query(shell, &result,
        "SELECT a.attname AS \"Column\", t.typname AS \"Type\", a.atttypmod, '' AS \"Collation\","
        " CASE WHEN a.attnotnull THEN 'not null' ELSE '' END AS \"Nullable\", coalesce(d.adbin, '') AS \"Default\""
        " FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid"
        " LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
        " WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum", oid);
    if (good) {
        merge_type_columns(&result, 1);
        text_puts(&title, "Table \"");
        text_puts(&title, schema);
        text_puts(&title, ".");
        text_puts(&title, name);
        text_puts(&title, "\"");
        text_puts(&footer, "");
        add_indexes(shell, &footer, oid);
        options.title = title.data;
        result.footer = footer.data;
        print_result(shell->out, &options, &result);
    }
    text_free(&title);
    result_free(&result);
    return good;
}

static bool describe_index(struct shell *shell, const char *oid, const char *schema, const char *name)
{
    struct result result;
    struct text line = { 0 };
    bool good = query(shell, &result,
        "SELECT x.indrelid, x.indkey, x.indoption, x.indisprimary, x.indisunique, t.relname"
        " FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class t ON t.oid = x.indrelid WHERE x.indexrelid = %s", oid);
    if (good && result.rows == 1) {
        text_puts(&line, value(&result, 0, 3)[0] == 't' ? "primary key, " : value(&result, 0, 4)[0] == 't' ? "unique, " : "");
        text_puts(&line, "btree ");
        add_index_columns(shell, &line, value(&result, 0, 0), value(&result, 0, 1), value(&result, 0, 2));
        fprintf(shell->out, "Index \"%s.%s\"\n%s, for table \"%s.%s\"\n\n", schema, name, line.data, schema, value(&result, 0, 5));
    }
    text_free(&line);
    result_free(&result);
    return good;
}

static bool describe_relations(struct shell *shell, const char *text)
{
    struct pattern pattern;
    struct result found;
    parse_pattern(text, &pattern);
    bool good = query(shell, &found,
        "SELECT c.oid, n.nspname, c.relname, c.relkind FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relname LIKE %s%s%s ORDER BY 2, 3", pattern.name.data,
        pattern.schema.data ? " AND n.nspname LIKE " : "", pattern.schema.data ? pattern.schema.data : "");
    if (good && found.rows == 0) {
        fprintf(stderr, "Did not find any relation named \"%s\".\n", text);
        good = false;
    }
    for (size_t r = 0; good && r < found.rows; r++)
        good = value(&found, r, 3)[0] == 'i' ? describe_index(shell, value(&found, r, 0), value(&found, r, 1), value(&found, r, 2))
            : describe_table(shell, value(&found, r, 0), value(&found, r, 1), value(&found, r, 2));
    free_pattern(&pattern);
    result_free(&found);
    return good;
}

bool describe_command(struct shell *shell, const char *name, const char *pattern)
{
    if (strcmp(name, "dt") == 0)
        return list_relations(shell, "'r'", pattern);
    if (strcmp(name, "di") == 0)
        return list_relations(shell, "'i'", pattern);
    return pattern ? describe_relations(shell, pattern) : list_relations(shell, "'r'", NULL);
}
