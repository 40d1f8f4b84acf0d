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
        fflush(shell->out);
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

/* The columns of a relation, for names by number. */
static bool column_names(struct shell *shell, struct result *names, const char *oid)
{
    return query(shell, names, "SELECT attnum, attname FROM pg_catalog.pg_attribute WHERE attrelid = %s", oid);
}

static const char *name_of(struct result *names, long number)
{
    for (size_t r = 0; r < names->rows; r++)
        if (atol(value(names, r, 0)) == number)
            return value(names, r, 1);
    return "?";
}

/* The next of an index's expressions, "TYPE,MODIFIER,LENGTH:TEXT"; *at moves behind it. */
static void add_expression(struct text *out, const char **at)
{
    const char *mark = strchr(*at, ':');
    const char *comma = mark ? memrchr(*at, ',', (size_t)(mark - *at)) : NULL;
    if (!comma)
        return;
    size_t len = (size_t)atol(comma + 1);
    for (const char *c = mark + 1; c < mark + 1 + len; c++)
        text_putc(out, *c);
    *at = mark + 1 + len;
}

static void add_direction(struct text *out, long option)
{
    if (option & 1)
        text_puts(out, " DESC");
    if ((option & 2) && !(option & 1))
        text_puts(out, " NULLS FIRST");
    if (!(option & 2) && (option & 1))
        text_puts(out, " NULLS LAST");
}

/* What pg_index says of an index, in this order. */
#define INDEX_COLUMNS "x.indkey, x.indoption, x.indnkeyatts, x.indexprs, x.indpred"

/* "(a, lower(b) DESC) INCLUDE (c)"; row: of a result with INDEX_COLUMNS from `column` on.  An indoption has bit 1 for descending and bit 2 for nulls
 * first. */
static void add_index_columns(struct shell *shell, struct text *out, const char *oid, struct result *index, size_t row, int column)
{
    struct result names;
    const char *keys = value(index, row, column), *options = value(index, row, column + 1), *exprs = value(index, row, column + 3);
    long sorted = atol(value(index, row, column + 2));
    if (!column_names(shell, &names, oid))
        return;
    text_puts(out, "(");
    for (long n = 0; *keys; n++) {
        char *key_end, *option_end;
        long key = strtol(keys, &key_end, 10), option = strtol(options, &option_end, 10);
        if (key_end == keys)
            break;
        text_puts(out, n == 0 ? "" : n == sorted ? ") INCLUDE (" : ", ");
        if (key == 0)
            add_expression(out, &exprs);
        else
            text_puts(out, name_of(&names, key));
        if (n < sorted)
            add_direction(out, option);
        keys = key_end;
        options = option_end;
    }
    text_puts(out, ")");
    result_free(&names);
}

static void add_deferrable(struct text *out, const char *deferrable, const char *deferred)
{
    if (deferrable[0] == 't')
        text_puts(out, deferred[0] == 't' ? " DEFERRABLE INITIALLY DEFERRED" : " DEFERRABLE");
}

static void add_indexes(struct shell *shell, struct text *footer, const char *oid)
{
    struct result indexes;
    if (!query(shell, &indexes,
               "SELECT c.relname, x.indisprimary, x.indisunique, k.conname, k.condeferrable, k.condeferred, " INDEX_COLUMNS
               " FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid"
               " LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = x.indexrelid AND k.contype IN ('p', 'u')"
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
            text_puts(footer, value(&indexes, r, 3)[0] ? "UNIQUE CONSTRAINT, " : "UNIQUE, ");
        text_puts(footer, "btree ");
        add_index_columns(shell, footer, oid, &indexes, r, 6);
        if (value(&indexes, r, 10)[0]) {
            text_puts(footer, " WHERE ");
            text_puts(footer, value(&indexes, r, 10));
        }
        add_deferrable(footer, value(&indexes, r, 4), value(&indexes, r, 5));
        text_putc(footer, '\n');
    }
    result_free(&indexes);
}

/* ---- constraints ------------------------------------------------------------------------------------------ */

static void add_checks(struct shell *shell, struct text *footer, const char *oid)
{
    struct result checks;
    if (!query(shell, &checks, "SELECT conname, conbin, convalidated FROM pg_catalog.pg_constraint"
                               " WHERE conrelid = %s AND contype = 'c' ORDER BY conname", oid))
        return;
    if (checks.rows > 0)
        text_puts(footer, "Check constraints:\n");
    for (size_t r = 0; r < checks.rows; r++) {
        text_puts(footer, "    \"");
        text_puts(footer, value(&checks, r, 0));
        text_puts(footer, "\" CHECK (");
        text_puts(footer, value(&checks, r, 1));
        text_puts(footer, value(&checks, r, 2)[0] == 't' ? ")\n" : ") NOT VALID\n");
    }
    result_free(&checks);
}

/* "(a, b)" from "{1,2}" */
static void add_key(struct shell *shell, struct text *out, const char *oid, const char *numbers)
{
    struct result names;
    if (!column_names(shell, &names, oid))
        return;
    text_puts(out, "(");
    for (const char *at = numbers; *at; at += strcspn(at, ",}")) {
        at += strspn(at, "{,}");
        if (!*at)
            break;
        if (at > numbers + 1)
            text_puts(out, ", ");
        text_puts(out, name_of(&names, atol(at)));
    }
    text_puts(out, ")");
    result_free(&names);
}

static void add_action(struct shell *shell, struct text *out, const char *event, const char *action, const char *oid, const char *columns)
{
    static const struct { char code; const char *sql; } actions[] = {
        { 'r', "RESTRICT" }, { 'c', "CASCADE" }, { 'n', "SET NULL" }, { 'd', "SET DEFAULT" },
    };
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (actions[i].code == action[0]) {
            text_puts(out, event);
            text_puts(out, actions[i].sql);
            if (columns[0]) {
                text_puts(out, " ");
                add_key(shell, out, oid, columns);
            }
        }
}

/* The foreign keys of a table, or those that refer to it. */
static void add_foreign_keys(struct shell *shell, struct text *footer, const char *oid, bool referring)
{
    struct result keys;
    if (!query(shell, &keys,
               "SELECT k.conname, k.conrelid, k.conkey, k.confrelid, p.relname, k.confkey, k.confupdtype, k.confdeltype,"
               " k.confdelsetcols, k.condeferrable, k.condeferred, k.convalidated, c.relname FROM pg_catalog.pg_constraint k"
               " JOIN pg_catalog.pg_class p ON p.oid = k.confrelid JOIN pg_catalog.pg_class c ON c.oid = k.conrelid"
               " WHERE k.contype = 'f' AND %s = %s ORDER BY 13, 1", referring ? "k.confrelid" : "k.conrelid", oid))
        return;
    if (keys.rows > 0)
        text_puts(footer, referring ? "Referenced by:\n" : "Foreign-key constraints:\n");
    for (size_t r = 0; r < keys.rows; r++) {
        text_puts(footer, referring ? "    TABLE \"" : "    \"");
        if (referring) {
            text_puts(footer, value(&keys, r, 12));
            text_puts(footer, "\" CONSTRAINT \"");
        }
        text_puts(footer, value(&keys, r, 0));
        text_puts(footer, "\" FOREIGN KEY ");
        add_key(shell, footer, value(&keys, r, 1), value(&keys, r, 2));
        text_puts(footer, " REFERENCES ");
        text_puts(footer, value(&keys, r, 4));
        add_key(shell, footer, value(&keys, r, 3), value(&keys, r, 5));
        add_action(shell, footer, " ON UPDATE ", value(&keys, r, 6), value(&keys, r, 1), "");
        add_action(shell, footer, " ON DELETE ", value(&keys, r, 7), value(&keys, r, 1), value(&keys, r, 8));
        add_deferrable(footer, value(&keys, r, 9), value(&keys, r, 10));
        text_puts(footer, value(&keys, r, 11)[0] == 't' ? "\n" : " NOT VALID\n");
    }
    result_free(&keys);
}

static bool describe_table(struct shell *shell, const char *oid, const char *schema, const char *name)
{
    struct result result;
    struct print_options options = shell->print;
    struct text title = { 0 }, footer = { 0 };
    bool good = query(shell, &result,
        "SELECT a.attname AS \"Column\", pg_catalog.format_type(a.atttypid, a.atttypmod) AS \"Type\", '' AS \"Collation\","
        " CASE WHEN a.attnotnull THEN 'not null' ELSE '' END AS \"Nullable\", CASE WHEN d.adbin IS NULL THEN '' WHEN a.attgenerated = 's'"
        " THEN 'generated always as (' || d.adbin || ') stored' ELSE d.adbin END AS \"Default\""
        " FROM pg_catalog.pg_attribute a"
        " LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
        " WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum", oid);
    if (good) {
        for (int c = 0; c < result.columns; c++)
            result.right[c] = false;
        text_puts(&title, "Table \"");
        text_puts(&title, schema);
        text_puts(&title, ".");
        text_puts(&title, name);
        text_puts(&title, "\"");
        text_puts(&footer, "");
        add_indexes(shell, &footer, oid);
        add_checks(shell, &footer, oid);
        add_foreign_keys(shell, &footer, oid, false);
        add_foreign_keys(shell, &footer, oid, true);
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
        "SELECT x.indrelid, x.indisprimary, x.indisunique, t.relname, " INDEX_COLUMNS
        " FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class t ON t.oid = x.indrelid WHERE x.indexrelid = %s", oid);
    if (good && result.rows == 1) {
        text_puts(&line, value(&result, 0, 1)[0] == 't' ? "primary key, " : value(&result, 0, 2)[0] == 't' ? "unique, " : "");
        text_puts(&line, "btree ");
        add_index_columns(shell, &line, value(&result, 0, 0), &result, 0, 4);
        fprintf(shell->out, "Index \"%s.%s\"\n%s, for table \"%s.%s\"", schema, name, line.data, schema, value(&result, 0, 3));
        if (value(&result, 0, 8)[0])
            fprintf(shell->out, ", predicate (%s)", value(&result, 0, 8));
        fputs("\n\n", shell->out);
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
        fflush(shell->out);
        if (!shell->quiet)
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
