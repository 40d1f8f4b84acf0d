/* spec.c -- reads a spec: a small scanner, and a parser that descends along the grammar in spec.h. */
#include "isolation-tests/spec.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_SQL, TOKEN_NUMBER, TOKEN_MARK, TOKEN_BAD };

struct parser {
    const char *file;
    const char *at;
    int line;
    enum token_kind kind;
    char *token;            /* of words, numbers, SQL: owned until taken */
    bool quoted;            /* the word stood in quotes and is no keyword */
    char mark;
    bool failed;
};

static void *grow(void *array, int count, size_t size)
{
    void *grown = realloc(array, (size_t)(count + 1) * size);
    if (!grown)
        abort();
    memset((char *)grown + (size_t)count * size, 0, size);
    return grown;
}

static char *copy(const char *begin, size_t len)
{
    char *text = malloc(len + 1);
    if (!text)
        abort();
    memcpy(text, begin, len);
    text[len] = '\0';
    return text;
}

static void complain(struct parser *parser, const char *what)
{
    if (!parser->failed)
        fprintf(stderr, "%s:%d: %s\n", parser->file, parser->line, what);
    parser->failed = true;
}

/* ---- scanner ------------------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f';
}

static void skip_space(struct parser *parser)
{
    for (;; parser->at++) {
        if (*parser->at == '#')
            parser->at += strcspn(parser->at, "\n");
        if (*parser->at == '\n')
            parser->line++;
        else if (!is_blank(*parser->at))
            return;
    }
}

/* Blanks next to the braces are not part of the SQL; newlines are. */
static void scan_sql(struct parser *parser)
{
    const char *begin = parser->at + 1, *end = strchr(begin, '}');
    parser->kind = TOKEN_BAD;
    if (!end) {
        complain(parser, "unterminated SQL block");
        return;
    }
    parser->at = end + 1;
    for (const char *c = begin; c < end; c++)
        parser->line += *c == '\n';
    while (begin < end && is_blank(*begin))
        begin++;
    while (end > begin && is_blank(end[-1]))
        end--;
    parser->token = copy(begin, (size_t)(end - begin));
    parser->kind = TOKEN_SQL;
}

static void scan_quoted(struct parser *parser)
{
    const char *begin = parser->at + 1, *c = begin;
    char *out = parser->token = copy(begin, strlen(begin));
    for (; *c && *c != '\n' && (*c != '"' || c[1] == '"'); c++) {
        if (*c == '"')
            c++;
        *out++ = *c;
    }
    *out = '\0';
    parser->kind = *c == '"' ? TOKEN_WORD : TOKEN_BAD;
    parser->quoted = true;
    parser->at = *c ? c + 1 : c;
    if (parser->kind == TOKEN_BAD)
        complain(parser, "unterminated quoted identifier");
}

static void next(struct parser *parser)
{
    free(parser->token);
    parser->token = NULL;
    parser->quoted = false;
    skip_space(parser);
    char c = *parser->at;
    if (c == '\0') {
        parser->kind = TOKEN_END;
    } else if (c == '{') {
        scan_sql(parser);
    } else if (c == '"') {
        scan_quoted(parser);
    } else if (isalpha((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80) {
        const char *begin = parser->at;
        while (isalnum((unsigned char)*parser->at) || *parser->at == '_' || *parser->at == '$' || (unsigned char)*parser->at >= 0x80)
            parser->at++;
        parser->token = copy(begin, (size_t)(parser->at - begin));
        parser->kind = TOKEN_WORD;
    } else if (isdigit((unsigned char)c)) {
        const char *begin = parser->at;
        parser->at += strspn(parser->at, "0123456789");
        parser->token = copy(begin, (size_t)(parser->at - begin));
        parser->kind = TOKEN_NUMBER;
    } else if (strchr("(),*", c)) {
        parser->kind = TOKEN_MARK;
        parser->mark = *parser->at++;
    } else {
        parser->kind = TOKEN_BAD;
        complain(parser, "unexpected character");
    }
}

static bool at_word(const struct parser *parser, const char *word)
{
    return parser->kind == TOKEN_WORD && !parser->quoted && strcmp(parser->token, word) == 0;
}

static bool at_keyword(const struct parser *parser)
{
    return at_word(parser, "setup") || at_word(parser, "teardown") || at_word(parser, "session") || at_word(parser, "step")
        || at_word(parser, "permutation");
}

static bool take_mark(struct parser *parser, char mark)
{
    if (parser->kind != TOKEN_MARK || parser->mark != mark)
        return false;
    next(parser);
    return true;
}

static char *take(struct parser *parser, enum token_kind kind, const char *missing)
{
    if (parser->kind != kind || (kind == TOKEN_WORD && at_keyword(parser))) {
        complain(parser, missing);
        return copy("", 0);
    }
    char *token = parser->token;
    parser->token = NULL;
    next(parser);
    return token;
}

/* ---- parser -------------------------------------------------------------------------------------------- */

static void parse_session(struct parser *parser, struct spec *spec)
{
    spec->sessions = grow(spec->sessions, spec->session_count, sizeof *spec->sessions);
    struct spec_session *session = &spec->sessions[spec->session_count++];
    session->name = take(parser, TOKEN_WORD, "a session needs a name");
    if (at_word(parser, "setup")) {
        next(parser);
        session->setup = take(parser, TOKEN_SQL, "setup needs SQL in braces");
    }
    while (at_word(parser, "step") && !parser->failed) {
        next(parser);
        struct step *step = calloc(1, sizeof *step);
        if (!step)
            abort();
        step->session = spec->session_count - 1;
        session->steps = grow(session->steps, session->step_count, sizeof *session->steps);
        session->steps[session->step_count++] = step;
        step->name = take(parser, TOKEN_WORD, "a step needs a name");
        step->sql = take(parser, TOKEN_SQL, "a step needs SQL in braces");
    }
    if (session->step_count == 0)
        complain(parser, "a session needs at least one step");
    if (at_word(parser, "teardown")) {
        next(parser);
        session->teardown = take(parser, TOKEN_SQL, "teardown needs SQL in braces");
    }
}

static void parse_markers(struct parser *parser, struct permutation_step *step)
{
    do {
        step->markers = grow(step->markers, step->marker_count, sizeof *step->markers);
        struct marker *marker = &step->markers[step->marker_count++];
        if (take_mark(parser, '*')) {
            marker->kind = MARKER_ONCE;
            continue;
        }
        marker->kind = MARKER_STEP;
        marker->step_name = take(parser, TOKEN_WORD, "a marker is * or names a step");
        if (at_word(parser, "notices")) {
            next(parser);
            char *number = take(parser, TOKEN_NUMBER, "notices needs a number");
            marker->kind = MARKER_NOTICES;
            marker->notices = atoi(number);
            free(number);
        }
    } while (take_mark(parser, ','));
    if (!take_mark(parser, ')'))
        complain(parser, "a marker list ends with )");
}

static void parse_permutation(struct parser *parser, struct spec *spec)
{
    spec->permutations = grow(spec->permutations, spec->permutation_count, sizeof *spec->permutations);
    struct permutation *permutation = &spec->permutations[spec->permutation_count++];
    while (parser->kind == TOKEN_WORD && !at_keyword(parser) && !parser->failed) {
        permutation->steps = grow(permutation->steps, permutation->step_count, sizeof *permutation->steps);
        struct permutation_step *step = &permutation->steps[permutation->step_count++];
        step->name = take(parser, TOKEN_WORD, "a step's name");
        if (take_mark(parser, '('))
            parse_markers(parser, step);
    }
    if (permutation->step_count == 0)
        complain(parser, "a permutation needs at least one step");
}

static void parse_spec(struct parser *parser, struct spec *spec)
{
    next(parser);
    while (at_word(parser, "setup") && !parser->failed) {
        next(parser);
        spec->setups = grow(spec->setups, spec->setup_count, sizeof *spec->setups);
        spec->setups[spec->setup_count++] = take(parser, TOKEN_SQL, "setup needs SQL in braces");
    }
    if (at_word(parser, "teardown")) {
        next(parser);
        spec->teardown = take(parser, TOKEN_SQL, "teardown needs SQL in braces");
    }
    while (at_word(parser, "session") && !parser->failed) {
        next(parser);
        parse_session(parser, spec);
    }
    while (at_word(parser, "permutation") && !parser->failed) {
        next(parser);
        parse_permutation(parser, spec);
    }
    if (!parser->failed && parser->kind != TOKEN_END)
        complain(parser, "syntax error");
    if (!parser->failed && spec->session_count == 0)
        complain(parser, "a spec needs at least one session");
}

/* ---- names --------------------------------------------------------------------------------------------- */

struct step *spec_step(const struct spec *spec, const char *name)
{
    for (int i = 0; i < spec->session_count; i++)
        for (int j = 0; j < spec->sessions[i].step_count; j++)
            if (strcmp(spec->sessions[i].steps[j]->name, name) == 0)
                return spec->sessions[i].steps[j];
    return NULL;
}

static void resolve(struct parser *parser, struct spec *spec)
{
    for (int i = 0; i < spec->session_count; i++)
        for (int j = 0; j < spec->sessions[i].step_count; j++)
            if (spec_step(spec, spec->sessions[i].steps[j]->name) != spec->sessions[i].steps[j]) {
                fprintf(stderr, "%s: duplicate step name: %s\n", parser->file, spec->sessions[i].steps[j]->name);
                parser->failed = true;
            }
    for (int i = 0; i < spec->permutation_count; i++)
        for (int j = 0; j < spec->permutations[i].step_count; j++) {
            struct permutation_step *step = &spec->permutations[i].steps[j];
            step->step = spec_step(spec, step->name);
            if (!step->step) {
                fprintf(stderr, "%s: undefined step \"%s\" specified in permutation\n", parser->file, step->name);
                parser->failed = true;
                continue;
            }
            for (int k = 0; k < step->marker_count; k++) {
                struct marker *marker = &step->markers[k];
                marker->step = marker->step_name ? spec_step(spec, marker->step_name) : NULL;
                if (marker->step_name && !marker->step) {
                    fprintf(stderr, "%s: undefined blocking step \"%s\" referenced in permutation step \"%s\"\n", parser->file,
                            marker->step_name, step->name);
                    parser->failed = true;
                }
            }
        }
}

static char *read_all(FILE *file)
{
    char *text = NULL;
    size_t len = 0, got;
    do {
        text = realloc(text, len + 4097);
        if (!text)
            abort();
        got = fread(text + len, 1, 4096, file);
        len += got;
    } while (got > 0);
    text[len] = '\0';
    return text;
}

/* Takes the text over. */
static struct spec *parse(const char *name, char *text)
{
    struct parser parser = { .file = name, .line = 1, .at = text };
    struct spec *spec = calloc(1, sizeof *spec);
    if (!spec)
        abort();
    spec->file = copy(name, strlen(name));
    spec->text = text;
    parse_spec(&parser, spec);
    if (!parser.failed)
        resolve(&parser, spec);
    free(parser.token);
    if (!parser.failed)
        return spec;
    spec_free(spec);
    return NULL;
}

struct spec *spec_read(FILE *file, const char *name)
{
    return parse(name, read_all(file));
}

/* ---- levels -------------------------------------------------------------------------------------------- */

const char *const level_names[LEVEL_COUNT] = { "as written", "read committed", "repeatable read", "serializable" };

/* Length of the name of a level, in any case and with any space, 0 when there is none here. */
static size_t level_at(const char *text)
{
    static const char *const words[][2] = { { "serializable", "" }, { "repeatable", "read" }, { "read", "committed" },
                                            { "read", "uncommitted" } };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t first = strlen(words[i][0]), second = strlen(words[i][1]);
        if (strncasecmp(text, words[i][0], first) != 0)
            continue;
        size_t space = second > 0 ? strspn(text + first, " \t\r\n") : 0;
        if (second == 0 || (space > 0 && strncasecmp(text + first + space, words[i][1], second) == 0))
            return first + space + second;
    }
    return 0;
}

/* The SQL with the level named after each ISOLATION LEVEL, and in settings of default_transaction_isolation, replaced. */
static void set_level(char **sql, enum level level)
{
    static const char *const marks[] = { "isolation level", "transaction_isolation" };
    if (!*sql)
        return;
    char *result = malloc(strlen(*sql) * 3 + 1), *out = result;
    if (!result)
        abort();
    for (const char *at = *sql; *at;) {
        size_t mark = 0;
        for (int i = 0; i < 2 && mark == 0; i++)
            mark = strncasecmp(at, marks[i], strlen(marks[i])) == 0 ? strlen(marks[i]) : 0;
        if (mark == 0) {
            *out++ = *at++;
            continue;
        }
        /* TO, = and quotes may stand between the setting and the level. */
        size_t gap = mark + strspn(at + mark, " \t\r\n=");
        if (strncasecmp(at + gap, "to ", 3) == 0)
            gap += 3;
        gap += strspn(at + gap, " \t\r\n'\"");
        size_t old = level_at(at + gap);
        memcpy(out, at, gap);
        out += gap;
        at += gap + old;
        if (old > 0)
            for (const char *name = level_names[level]; *name; name++)
                *out++ = (char)(mark == strlen(marks[0]) ? toupper((unsigned char)*name) : *name);
    }
    *out = '\0';
    free(*sql);
    *sql = result;
}

struct spec *spec_at_level(const struct spec *spec, enum level level)
{
    struct spec *result = parse(spec->file, copy(spec->text, strlen(spec->text)));
    if (!result || level == LEVEL_AS_WRITTEN)
        return result;
    result->level = level;
    for (int i = 0; i < result->session_count; i++) {
        struct spec_session *session = &result->sessions[i];
        set_level(&session->setup, level);
        for (int j = 0; j < session->step_count; j++)
            set_level(&session->steps[j]->sql, level);
    }
    return result;
}

static void free_permutation(struct permutation *permutation)
{
    for (int i = 0; i < permutation->step_count; i++) {
        for (int j = 0; j < permutation->steps[i].marker_count; j++)
            free(permutation->steps[i].markers[j].step_name);
        free(permutation->steps[i].markers);
        free(permutation->steps[i].name);
    }
    free(permutation->steps);
}

void spec_free(struct spec *spec)
{
    for (int i = 0; i < spec->setup_count; i++)
        free(spec->setups[i]);
    for (int i = 0; i < spec->session_count; i++) {
        struct spec_session *session = &spec->sessions[i];
        for (int j = 0; j < session->step_count; j++) {
            free(session->steps[j]->name);
            free(session->steps[j]->sql);
            free(session->steps[j]);
        }
        free(session->steps);
        free(session->name);
        free(session->setup);
        free(session->teardown);
    }
    for (int i = 0; i < spec->permutation_count; i++)
        free_permutation(&spec->permutations[i]);
    free(spec->file);
    free(spec->text);
    free(spec->setups);
    free(spec->teardown);
    free(spec->sessions);
    free(spec->permutations);
    free(spec);
}
