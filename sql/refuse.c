/*
 * refuse.c -- what PostgreSQL has and this engine has not, by name.
 *
 * A program that uses a feature which does not exist here should read the feature's name, not "syntax error".  Statements are known by
 * their first words.  Inside of a statement the grammar simply has no rule for the feature, so it stops at a word that
 * does not fit; when that word, or the one before it, begins a known feature, the error is 0A000 with its name.
 */
#include <string.h>

#include "sql/grammar.h"
#include "sql/parse.h"

void parse__refuse(struct parse *p, int position, const char *feature)
{
    op_fail_at(p->op, position, "0A000", "%s is not supported", feature);
}

/* ---- statements ---- */

static const char *const statements[] = {
    "call", "cluster", "comment", "discard", "do", "grant", "import",
    "listen", "load", "merge", "notify", "reassign", "refresh", "reindex", "revoke", "security",
    "unlisten", "with",
};

/* What CREATE, DROP and ALTER may be followed by; two words where the first alone says too little. */
static const char *const objects[] = {
    "access method", "aggregate", "cast", "collation", "constraint trigger", "conversion", "database", "default privileges",
    "domain", "event trigger", "extension", "foreign data", "foreign table", "function", "group", "index", "language",
    "large object", "materialized view", "operator", "owned", "policy", "procedural language", "procedure", "publication", "role",
    "routine", "rule", "schema", "sequence", "server", "statistics", "subscription", "system", "table", "tablespace",
    "text search", "transform", "trigger", "trusted language", "type", "user", "view",
};

/* Words between CREATE and the object. */
static bool is_filler(const char *word)
{
    static const char *const fillers[] = { "or", "replace", "global", "local", "recursive" };

    for (size_t i = 0; i < COUNT_OF(fillers); i++)
        if (strcmp(word, fillers[i]) == 0)
            return true;
    return false;
}

static const char *upper(struct parse *p, const char *text)
{
    char *copy = arena_strdup(p->arena, text);

    if (!copy)
        return text;
    for (char *c = copy; *c; c++)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 32);
    return copy;
}

static const char *match_object(const char *first, const char *second)
{
    for (size_t i = 0; i < COUNT_OF(objects); i++) {
        size_t n = strcspn(objects[i], " ");
        if (strlen(first) == n && memcmp(objects[i], first, n) == 0 && (!objects[i][n] || strcmp(objects[i] + n + 1, second) == 0))
            return objects[i];
    }
    return NULL;
}

static int refuse_statement(struct parse *p, const struct token *token, const char *name)
{
    parse__refuse(p, token->position, name);
    return OP_FAILED;
}

/* CREATE, DROP, ALTER: named with their object. */
static int check_object(struct parse *p, const struct token *verb)
{
    struct lexer ahead = p->lexer;
    struct token first, second;
    const char *temporary = "";

    do {
        if (lexer_next(&ahead, &first))
            return OP_FAILED;
        if (!strcmp(first.text, "temp") || !strcmp(first.text, "temporary"))
            temporary = "TEMPORARY ";
        else if (!strcmp(first.text, "unlogged"))
            temporary = "UNLOGGED ";
        else if (!is_filler(first.text))
            break;
    } while (first.code != 0);
    if (lexer_next(&ahead, &second))
        return OP_FAILED;
    const char *object = match_object(first.text, second.text);
    if (!object)
        return OP_OK;
    bool table = !strcmp(object, "table"), index = !strcmp(object, "index");
    if (!*temporary && (table || index))
        return OP_OK;
    return refuse_statement(p, verb, parse__text(p, "%s %s%s", upper(p, verb->text), temporary, upper(p, object)));
}

/* Statements whose first word is known but not what follows. */
static int check_second(struct parse *p, const struct token *first)
{
    static const struct { const char *first, *second, *name; } pairs[] = {
        { "set", "role", "SET ROLE" }, { "set", "xml", "SET XML OPTION" },
        { "commit", "prepared", "COMMIT PREPARED" }, { "rollback", "prepared", "ROLLBACK PREPARED" },
        { "explain", "create", "EXPLAIN of this statement" }, { "explain", "execute", "EXPLAIN EXECUTE" },
        { "explain", "declare", "EXPLAIN DECLARE" }, { "explain", "refresh", "EXPLAIN REFRESH" },
    };
    struct lexer ahead = p->lexer;
    struct token second, third;

    if (lexer_next(&ahead, &second))
        return OP_FAILED;
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        if (strcmp(first->text, pairs[i].first) != 0 || strcmp(second.text, pairs[i].second) != 0)
            continue;
        if (lexer_next(&ahead, &third))
            return OP_FAILED;
        if (third.code != TK_EQUAL && third.code != TK_TO)
            return refuse_statement(p, first, pairs[i].name);
    }
    return OP_OK;
}

int parse__check_statement(struct parse *p, const struct token *first)
{
    if (!strcmp(first->text, "create") || !strcmp(first->text, "drop") || !strcmp(first->text, "alter"))
        if (check_object(p, first))
            return OP_FAILED;
    for (size_t i = 0; i < COUNT_OF(statements); i++)
        if (first->code != TK_SCONST && strcmp(first->text, statements[i]) == 0)
            return refuse_statement(p, first, upper(p, first->text));
    return check_second(p, first);
}

/* ---- features inside of statements ---- */

/* `word` is where the grammar stops, or (previous) the word before that; next: what must follow, NULL = anything. */
static const struct feature { const char *word; bool previous; const char *next, *name; } features[] = {
    { "with", false, NULL, "WITH" },
    { "over", false, NULL, "OVER (a window function)" },
    { "window", false, NULL, "WINDOW" },
    { "within", false, NULL, "WITHIN GROUP" },
    { "lateral", false, NULL, "LATERAL" },
    { "tablesample", false, NULL, "TABLESAMPLE" },
    { "grouping", true, "sets", "GROUPING SETS" },
    { "grouping", true, "(", "GROUPING" },
    { "into", false, NULL, "SELECT INTO" },
    { "on", false, "(", "DISTINCT ON" },
    { "on", false, "commit", "ON COMMIT" },
    { "overriding", false, NULL, "OVERRIDING" },
    { "using", false, NULL, "DELETE ... USING" },
    { "using", false, "<", "ORDER BY ... USING" },
    { "using", false, ">", "ORDER BY ... USING" },
    { "array", false, NULL, "ARRAY" },
    { "[", false, NULL, "An array" },
    { ".", false, NULL, "Selecting a field of a value" },
    { "collate", false, NULL, "COLLATE" },
    { "ilike", false, NULL, "ILIKE" },
    { "ilike", true, NULL, "ILIKE" },
    { "similar", false, NULL, "SIMILAR TO" },
    { "similar", true, NULL, "SIMILAR TO" },
    { "overlay", true, "(", "OVERLAY" },
    { "normalize", true, "(", "NORMALIZE" },
    { "treat", true, "(", "TREAT" },
    { "xmlconcat", true, "(", "XMLCONCAT" },
    { "xmlelement", true, "(", "XMLELEMENT" },
    { "xmlforest", true, "(", "XMLFOREST" },
    { "xmlparse", true, "(", "XMLPARSE" },
    { "xmltable", true, "(", "XMLTABLE" },
    { "setof", false, NULL, "SETOF" },
    { "current_time", false, NULL, "CURRENT_TIME" },
    { "current_user", false, NULL, "CURRENT_USER" },
    { "session_user", false, NULL, "SESSION_USER" },
    { "current_role", false, NULL, "CURRENT_ROLE" },
    { "user", false, NULL, "USER" },
    { "current_catalog", false, NULL, "CURRENT_CATALOG" },
    { "variadic", false, NULL, "VARIADIC" },
    { "=>", false, NULL, "A named argument" },
    { ":=", false, NULL, "A named argument" },
    { "current", true, "of", "WHERE CURRENT OF" },
    { "of", false, NULL, "OF" },
    { "exclude", false, NULL, "EXCLUDE" },
    { "inherits", false, NULL, "INHERITS" },
    { "partition", false, NULL, "PARTITION BY" },
    { "like", false, NULL, "LIKE here" },
    { "as", false, NULL, "AS here" },
    { "tablespace", false, NULL, "TABLESPACE" },
    { "concurrently", false, NULL, "CONCURRENTLY" },
    { "nulls", false, NULL, "NULLS [NOT] DISTINCT" },
    { "where", false, NULL, "WHERE here" },
    { "ties", false, NULL, "WITH TIES" },
    { "authorization", false, NULL, "SESSION AUTHORIZATION" },
    { "cube", true, NULL, "CUBE" },
    { "rollup", true, NULL, "ROLLUP" },
};

static bool matches(const struct parse *p, const struct token *token, const char *word)
{
    size_t n = strlen(word);

    /* a quoted name is no keyword */
    return token->start < token->end && token->code != TK_SCONST && p->lexer.sql[token->start] != '"' && token->len == n
        && memcmp(token->text, word, n) == 0;
}

/* Features whose word is also part of plain wrong statements count only where they can stand. */
static bool plausible(const struct parse *p, const struct feature *feature, const struct token *token)
{
    bool create = p->first.code == TK_CREATE;

    if (!strcmp(feature->word, "."))
        return p->previous.code == TK_RP;
    if (!strcmp(feature->word, "using"))
        return feature->next || p->first.code == TK_DELETE;
    if (!strcmp(feature->word, "like") || !strcmp(feature->word, "of") || !strcmp(feature->word, "as"))
        return create && (p->previous.code == TK_LP || p->previous.code == TK_COMMA || p->previous.code == TK_IDENT
                          || p->previous.code == TK_RP);
    if (!strcmp(feature->word, "where") || !strcmp(feature->word, "nulls"))
        return create;
    if (!strcmp(feature->word, "into"))
        return p->first.code == TK_SELECT;
    if (!strcmp(feature->word, "with"))
        return create || p->previous.code == TK_LP || p->previous.code == TK_IDENT || p->previous.code == TK_RP
            || p->previous.code == TK_EXPLAIN || p->previous.code == TK_ANALYZE || p->previous.code == TK_AS;
    return true;
}

void parse__unexpected(struct parse *p, const struct token *token)
{
    struct lexer ahead = p->lexer;
    struct token next = { .text = "" };

    if (op_failed(p->op))
        return;
    if (token->code == TK_BCONST || token->code == TK_NCONST) {
        parse__refuse(p, token->position, token->code == TK_BCONST ? "A bit string" : "A national character string");
        return;
    }
    if (token->code != 0 && token->code != TK_SEMI && lexer_next(&ahead, &next))
        op_clear_error(p->op);
    for (size_t i = 0; i < COUNT_OF(features); i++) {
        const struct feature *feature = &features[i];
        const struct token *at = feature->previous ? &p->previous : token;
        const struct token *behind = feature->previous ? token : &next;
        if (matches(p, at, feature->word) && (!feature->next || matches(p, behind, feature->next))
            && plausible(p, feature, token)) {
            parse__refuse(p, at->position, feature->name);
            return;
        }
    }
    (void)lexer_fail(&p->lexer, token, "syntax error");
}
