/*
 * lexer.c -- where does one token end and the next begin?
 *
 * SQL looks simple to cut up until one meets its corners, and programs depend on them:
 *
 *      'a''b'  E'a\n'  U&'\0041'  $x$it's$x$       four ways to write a string
 *      'one'                                       two literals with a line end between them
 *      'two'                                       are one literal
 *      a*-1                                        is a * -1, not an operator *-
 *      a@-1                                        has the operator @-
 *      1..2  1e5  .5  1a                           two numbers and dots; numbers; an error
 *      / * nested / * comments * / * /
 *
 * An operator is the longest run of the characters ~!@#^&|`?+-*\/%<>= that holds no comment's beginning; it does not end with + or -
 * unless it also holds one of ~!@#^&|`?%.  So `a*-1` works as one expects and operators such as @- can exist.
 *
 * The lexer reads what it is asked for and no more: a script of many statements is cut up one statement at a time.  It counts
 * characters while it goes, since positions are given in characters, and checks on the same walk that the text is UTF-8.
 *
 * L1  Every byte below `counted` has been seen to be part of a whole UTF-8 character.
 * L2  token.start <= token.end <= lexer.at, except for a string, which takes its continuation lines with it.
 */
#include "sql/lexer.h"

#include <string.h>

#include "sql/ast.h"
#include "sql/grammar.h"

void lexer_init(struct lexer *lexer, struct op *op, struct arena *arena, const char *sql, size_t len)
{
    *lexer = (struct lexer){ .op = op, .arena = arena, .sql = sql, .len = len };
}

/* ---- characters ---- */

/* Length of the UTF-8 character at `at`; 0 when there is none. */
static size_t utf8_length(const uint8_t *at, size_t len)
{
    uint8_t c = at[0];

    if (c == 0)
        return 0;
    if (c < 0x80)
        return 1;
    if (c >= 0xc2 && c <= 0xdf)
        return len >= 2 && (at[1] & 0xc0) == 0x80 ? 2 : 0;
    if (c >= 0xe0 && c <= 0xef) {
        if (len < 3 || (at[1] & 0xc0) != 0x80 || (at[2] & 0xc0) != 0x80)
            return 0;
        return (c == 0xe0 && at[1] < 0xa0) || (c == 0xed && at[1] > 0x9f) ? 0 : 3;
    }
    if (c >= 0xf0 && c <= 0xf4) {
        if (len < 4 || (at[1] & 0xc0) != 0x80 || (at[2] & 0xc0) != 0x80 || (at[3] & 0xc0) != 0x80)
            return 0;
        return (c == 0xf0 && at[1] < 0x90) || (c == 0xf4 && at[1] > 0x8f) ? 0 : 4;
    }
    return 0;
}

static int fail_encoding(struct op *op, const uint8_t *at, size_t len)
{
    char hex[4 * 5 + 1] = "";
    size_t shown = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : at[0] >= 0xc0 ? 2 : 1, used = 0;

    for (size_t i = 0; i < shown && i < len; i++) {
        static const char digits[] = "0123456789abcdef";
        if (i)
            hex[used++] = ' ';
        hex[used++] = '0';
        hex[used++] = 'x';
        hex[used++] = digits[at[i] >> 4];
        hex[used++] = digits[at[i] & 15];
    }
    hex[used] = 0;
    return op_fail(op, "22021", "invalid byte sequence for encoding \"UTF8\": %s", hex);
}

static int check_utf8(struct op *op, const char *text, size_t len, int *characters)
{
    const uint8_t *at = (const uint8_t *)text;
    size_t i = 0;

    while (i < len) {
        size_t n = utf8_length(at + i, len - i);
        if (n == 0)
            return fail_encoding(op, at + i, len - i);
        i += n;
        ++*characters;
    }
    return OP_OK;
}

int lexer_check_text(struct op *op, struct bytes text)
{
    size_t i = 0;

    while (i < text.len) {
        if (text.data[i] - 1u < 0x7f) {     /* ASCII, and no zero byte */
            i++;
            continue;
        }
        size_t n = utf8_length(text.data + i, text.len - i);
        if (n == 0)
            return fail_encoding(op, text.data + i, text.len - i);
        i += n;
    }
    return OP_OK;
}

/* Position of byte `at`, which is not before any that was asked for. */
static int locate(struct lexer *lexer, size_t at, int *position)
{
    int rc = check_utf8(lexer->op, lexer->sql + lexer->counted, at - lexer->counted, &lexer->characters);

    lexer->counted = at;
    *position = lexer->characters + 1;
    return rc;
}

static int peek(const struct lexer *lexer, size_t ahead)
{
    return lexer->at + ahead < lexer->len ? (uint8_t)lexer->sql[lexer->at + ahead] : -1;
}

static bool is_space(int c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }
static bool is_digit(int c) { return c >= '0' && c <= '9'; }
static bool is_letter(int c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80; }
static bool is_name(int c) { return is_letter(c) || is_digit(c) || c == '$'; }
static bool is_operator(int c) { return c > 0 && strchr("~!@#^&|`?+-*/%<>=", c) != NULL; }

static int hex_digit(int c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int lexer_fail(struct lexer *lexer, const struct token *token, const char *message)
{
    if (token->code == 0 && token->start >= lexer->len)
        return op_fail_at(lexer->op, token->position, "42601", "%s at end of input", message);
    return op_fail_at(lexer->op, token->position, "42601", "%s at or near \"%.*s\"", message,
                      (int)(token->end - token->start), lexer->sql + token->start);
}

/* For what is never closed: everything up to the end of the text is shown. */
static int fail_unterminated(struct lexer *lexer, struct token *token, const char *what)
{
    int position;

    token->code = -1;
    token->end = lexer->len;
    if (locate(lexer, lexer->len, &position))
        return OP_FAILED;
    return lexer_fail(lexer, token, what);
}

/* A growing text in the arena, with room for as many bytes as are left of the statement's token. */
static char *value_room(struct lexer *lexer, size_t size)
{
    return op_arena_alloc(lexer->op, lexer->arena, size + 1);
}

/* ---- spaces and comments ---- */

/* Skips a comment whose beginning has been read. */
static int skip_block_comment(struct lexer *lexer)
{
    struct token token = { .start = lexer->at };
    int depth = 0;

    if (locate(lexer, lexer->at, &token.position))
        return OP_FAILED;
    do {
        if (peek(lexer, 0) == '/' && peek(lexer, 1) == '*') {
            depth++;
            lexer->at += 2;
        } else if (peek(lexer, 0) == '*' && peek(lexer, 1) == '/') {
            depth--;
            lexer->at += 2;
        } else if (lexer->at >= lexer->len) {
            return fail_unterminated(lexer, &token, "unterminated /* comment");
        } else {
            lexer->at++;
        }
    } while (depth > 0);
    return OP_OK;
}

static void skip_line(struct lexer *lexer)
{
    while (lexer->at < lexer->len && peek(lexer, 0) != '\n' && peek(lexer, 0) != '\r')
        lexer->at++;
}

static int skip_spaces(struct lexer *lexer)
{
    for (;;) {
        if (is_space(peek(lexer, 0))) {
            lexer->at++;
        } else if (peek(lexer, 0) == '-' && peek(lexer, 1) == '-') {
            skip_line(lexer);
        } else if (peek(lexer, 0) == '/' && peek(lexer, 1) == '*') {
            if (skip_block_comment(lexer))
                return OP_FAILED;
        } else {
            return OP_OK;
        }
    }
}

/* After a closing quote: whether the literal goes on behind a line end; then `at` is behind its opening quote. */
static bool continues(struct lexer *lexer)
{
    size_t at = lexer->at;
    bool line_end = false;

    for (;;) {
        int c = peek(lexer, 0);
        if (is_space(c)) {
            line_end = line_end || c == '\n' || c == '\r';
            lexer->at++;
        } else if (c == '-' && peek(lexer, 1) == '-') {
            skip_line(lexer);
        } else if (c == '\'' && line_end) {
            lexer->at++;
            return true;
        } else {
            lexer->at = at;
            return false;
        }
    }
}

/* ---- strings ---- */

static size_t put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (char)(0xc0 | c >> 6);
        to[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (char)(0xe0 | c >> 12);
        to[1] = (char)(0x80 | (c >> 6 & 63));
        to[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    to[0] = (char)(0xf0 | c >> 18);
    to[1] = (char)(0x80 | (c >> 12 & 63));
    to[2] = (char)(0x80 | (c >> 6 & 63));
    to[3] = (char)(0x80 | (c & 63));
    return 4;
}

static int fail_escape(struct lexer *lexer, size_t at, const char *sqlstate, const char *message, const char *hint)
{
    bool behind = at < lexer->counted;      /* UESCAPE has been read already: count again */
    size_t from = behind ? 0 : lexer->counted;
    int characters = behind ? 0 : lexer->characters;

    if (check_utf8(lexer->op, lexer->sql + from, at - from, &characters))
        return OP_FAILED;
    op_fail_at(lexer->op, characters + 1, sqlstate, "%s", message);
    if (hint)
        op_hint(lexer->op, "%s", hint);
    return OP_FAILED;
}

/* A Unicode character of `digits` hex digits at `from`, pairs of surrogates joined.  *high: a first half that waits for its second.
 * quoted: the style of U&'...', not of E'...'. */
static int take_unicode(struct lexer *lexer, size_t at, const char *from, const char *end, int digits, bool quoted,
                        uint32_t *high, char *to, size_t *used)
{
    uint32_t c = 0;

    for (int i = 0; i < digits; i++) {
        int d = from + i < end ? hex_digit((uint8_t)from[i]) : -1;
        if (d < 0)
            return fail_escape(lexer, at, quoted ? "42601" : "22025", "invalid Unicode escape", quoted
                               ? "Unicode escapes must be \\XXXX or \\+XXXXXX."
                               : "Unicode escapes must be \\uXXXX or \\UXXXXXXXX.");
        c = c << 4 | (uint32_t)d;
    }
    if (c == 0 || c > 0x10ffff)
        return fail_escape(lexer, at, "42601", "invalid Unicode escape value", NULL);
    if (*high) {
        if (c < 0xdc00 || c > 0xdfff)
            return fail_escape(lexer, at, "42601", "invalid Unicode surrogate pair", NULL);
        c = 0x10000 + ((*high - 0xd800) << 10) + (c - 0xdc00);
        *high = 0;
    } else if (c >= 0xd800 && c <= 0xdbff) {
        *high = c;
        *used = 0;
        return OP_OK;
    } else if (c >= 0xdc00 && c <= 0xdfff) {
        return fail_escape(lexer, at, "42601", "invalid Unicode surrogate pair", NULL);
    }
    *used = put_utf8(to, c);
    return OP_OK;
}

/* One backslash escape of E'...'; `at` stands behind the backslash. */
static int take_escape(struct lexer *lexer, uint32_t *high, char *to, size_t *used)
{
    size_t start = lexer->at - 1;
    int c = peek(lexer, 0);

    *used = 1;
    if (c == 'u' || c == 'U') {
        int digits = c == 'u' ? 4 : 8;
        const char *from = lexer->sql + lexer->at + 1;
        if (take_unicode(lexer, start, from, lexer->sql + lexer->len, digits, false, high, to, used))
            return OP_FAILED;
        lexer->at += (size_t)digits + 1;
        return OP_OK;
    }
    if (*high)
        return fail_escape(lexer, start, "42601", "invalid Unicode surrogate pair", NULL);
    lexer->at++;
    if (c >= '0' && c <= '7') {
        int value = c - '0';
        for (int i = 0; i < 2 && peek(lexer, 0) >= '0' && peek(lexer, 0) <= '7'; i++, lexer->at++)
            value = value * 8 + (peek(lexer, 0) - '0');
        *to = (char)value;
    } else if (c == 'x' && hex_digit(peek(lexer, 0)) >= 0) {
        int value = 0;
        for (int i = 0; i < 2 && hex_digit(peek(lexer, 0)) >= 0; i++, lexer->at++)
            value = value * 16 + hex_digit(peek(lexer, 0));
        *to = (char)value;
    } else {
        *to = c == 'b' ? '\b' : c == 'f' ? '\f' : c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : (char)c;
    }
    return OP_OK;
}

/* Length of the literal's source, an upper bound of its value's. */
static size_t source_bound(const struct lexer *lexer, bool escapes)
{
    size_t i = lexer->at, quotes = 0;

    while (i < lexer->len) {
        if (escapes && lexer->sql[i] == '\\')
            i++;
        else if (lexer->sql[i] == '\'') {
            if (i + 1 >= lexer->len || lexer->sql[i + 1] != '\'') {
                struct lexer ahead = *lexer;
                ahead.at = i + 1;
                quotes++;
                if (!continues(&ahead))
                    break;
                i = ahead.at - 1;
            } else {
                i++;
            }
        }
        i++;
    }
    return i - lexer->at + quotes;
}

/* A string with quotes; `at` stands behind the opening one. */
static int quoted_string(struct lexer *lexer, struct token *token, bool escapes)
{
    size_t used = 0;
    uint32_t high = 0;
    char *value = value_room(lexer, source_bound(lexer, escapes) + 4);

    if (!value)
        return OP_FAILED;
    for (;;) {
        int c = peek(lexer, 0);
        if (c < 0)
            return fail_unterminated(lexer, token, "unterminated quoted string");
        if (c == '\\' && escapes && lexer->at + 1 < lexer->len) {
            size_t n;
            lexer->at++;
            if (take_escape(lexer, &high, value + used, &n))
                return OP_FAILED;
            used += n;
            continue;
        }
        if (high)
            return fail_escape(lexer, lexer->at, "42601", "invalid Unicode surrogate pair", NULL);
        lexer->at++;
        if (c == '\'') {
            if (peek(lexer, 0) == '\'') {
                lexer->at++;
            } else {
                token->end = lexer->at;
                if (continues(lexer))
                    continue;
                break;
            }
        }
        value[used++] = (char)c;
    }
    token->text = value;
    token->len = used;
    int characters = 0;
    return escapes ? check_utf8(lexer->op, value, used, &characters) : OP_OK;
}

/* $tag$ ... $tag$; *found is false when the dollar begins no such string. */
static int dollar_string(struct lexer *lexer, struct token *token, bool *found)
{
    size_t n = 1;

    *found = false;
    if (is_letter(peek(lexer, 1)))
        while (is_letter(peek(lexer, n)) || is_digit(peek(lexer, n)))
            n++;
    if (peek(lexer, n) != '$')
        return OP_OK;
    n++;
    *found = true;
    const char *open = lexer->sql + lexer->at, *from = open + n, *end = lexer->sql + lexer->len;
    const char *close = memmem(from, (size_t)(end - from), open, n);
    lexer->at = close ? (size_t)(close - lexer->sql) + n : lexer->len;
    if (!close)
        return fail_unterminated(lexer, token, "unterminated dollar-quoted string");
    token->len = (size_t)(close - from);
    token->text = arena_strndup(lexer->arena, from, token->len);
    token->code = TK_SCONST;
    return token->text ? OP_OK : op_out_of_memory(lexer->op);
}

/* "name"; `at` stands behind the opening quote. */
static int quoted_name(struct lexer *lexer, struct token *token)
{
    size_t used = 0;
    const char *end = memchr(lexer->sql + lexer->at, '"', lexer->len - lexer->at);
    size_t room = lexer->len - lexer->at;

    for (size_t i = end ? (size_t)(end - lexer->sql) : lexer->len; i < lexer->len; i++)
        if (lexer->sql[i] == '"' && (i + 1 >= lexer->len || lexer->sql[++i] != '"')) {
            room = i - lexer->at;
            break;
        }
    char *value = value_room(lexer, room);
    if (!value)
        return OP_FAILED;
    for (;;) {
        int c = peek(lexer, 0);
        if (c < 0)
            return fail_unterminated(lexer, token, "unterminated quoted identifier");
        lexer->at++;
        if (c == '"') {
            if (peek(lexer, 0) != '"')
                break;
            lexer->at++;
        }
        value[used++] = (char)c;
    }
    token->end = lexer->at;
    if (used == 0)
        return lexer_fail(lexer, token, "zero-length delimited identifier");
    token->text = value;
    token->len = used;
    return OP_OK;
}

/* Names are cut at 63 bytes, between characters. */
static void cut_name(struct token *token)
{
    if (token->len > AST_NAME_BYTES_MAX) {
        size_t len = AST_NAME_BYTES_MAX;
        while (len > 0 && ((uint8_t)token->text[len] & 0xc0) == 0x80)
            len--;
        ((char *)token->text)[len] = 0;
        token->len = len;
    }
}

int lexer_unicode(struct lexer *lexer, struct token *token, char escape)
{
    const char *from = token->text, *end = from + token->len;
    char *to = (char *)token->text;
    uint32_t high = 0;
    size_t n;

    while (from < end) {
        if (*from != escape) {
            if (high)
                return fail_escape(lexer, token->start, "42601", "invalid Unicode surrogate pair", NULL);
            *to++ = *from++;
        } else if (from + 1 < end && from[1] == escape) {
            *to++ = escape;
            from += 2;
        } else {
            bool plus = from + 1 < end && from[1] == '+';
            int digits = plus ? 6 : 4;
            char out[4];
            size_t at = token->start + 3 + (size_t)(from - token->text);    /* behind U&' */
            from += plus ? 2 : 1;
            if (take_unicode(lexer, at, from, end, digits, true, &high, out, &n))
                return OP_FAILED;
            memcpy(to, out, n);
            to += n;
            from += digits;
        }
    }
    if (high)
        return fail_escape(lexer, token->start, "42601", "invalid Unicode surrogate pair", NULL);
    *to = 0;
    token->len = (size_t)(to - token->text);
    if (token->code == TK_UIDENT)
        cut_name(token);
    return OP_OK;
}

/* ---- words, numbers, operators ---- */

static int word(struct lexer *lexer, struct token *token)
{
    while (is_name(peek(lexer, 0)))
        lexer->at++;
    token->end = lexer->at;
    token->len = token->end - token->start;
    char *value = arena_strndup(lexer->arena, lexer->sql + token->start, token->len);
    if (!value)
        return op_out_of_memory(lexer->op);
    for (size_t i = 0; i < token->len; i++)
        if (value[i] >= 'A' && value[i] <= 'Z')
            value[i] = (char)(value[i] + ('a' - 'A'));
    token->text = value;
    const struct keyword *keyword = keyword_find(value, token->len);
    token->code = keyword ? keyword->code : TK_IDENT;
    cut_name(token);
    return OP_OK;
}

static int copy_source(struct lexer *lexer, struct token *token)
{
    token->end = lexer->at;
    token->len = token->end - token->start;
    token->text = arena_strndup(lexer->arena, lexer->sql + token->start, token->len);
    return token->text ? OP_OK : op_out_of_memory(lexer->op);
}

static int number(struct lexer *lexer, struct token *token)
{
    bool whole = true;

    while (is_digit(peek(lexer, 0)))
        lexer->at++;
    if (peek(lexer, 0) == '.' && peek(lexer, 1) != '.') {
        whole = false;
        lexer->at++;
        while (is_digit(peek(lexer, 0)))
            lexer->at++;
    }
    if (peek(lexer, 0) == 'e' || peek(lexer, 0) == 'E') {
        size_t sign = peek(lexer, 1) == '+' || peek(lexer, 1) == '-';
        if (is_digit(peek(lexer, 1 + sign))) {
            whole = false;
            lexer->at += 1 + sign;
            while (is_digit(peek(lexer, 0)))
                lexer->at++;
        }
    }
    if (is_letter(peek(lexer, 0))) {
        while (is_name(peek(lexer, 0)))
            lexer->at++;
        token->end = lexer->at;
        token->code = -1;
        return lexer_fail(lexer, token, "trailing junk after numeric literal");
    }
    token->code = whole ? TK_ICONST : TK_FCONST;
    if (copy_source(lexer, token))
        return OP_FAILED;
    if (whole) {    /* what does not fit an integer is a number */
        int64_t value = 0;
        for (size_t i = 0; i < token->len && value <= INT32_MAX; i++)
            value = value * 10 + (token->text[i] - '0');
        if (value > INT32_MAX)
            token->code = TK_FCONST;
    }
    return OP_OK;
}

static int parameter(struct lexer *lexer, struct token *token)
{
    lexer->at++;
    while (is_digit(peek(lexer, 0)))
        lexer->at++;
    if (is_letter(peek(lexer, 0))) {
        while (is_name(peek(lexer, 0)))
            lexer->at++;
        token->end = lexer->at;
        token->code = -1;
        return lexer_fail(lexer, token, "trailing junk after parameter");
    }
    token->code = TK_PARAM;
    if (copy_source(lexer, token))
        return OP_FAILED;
    token->text++;
    token->len--;
    return OP_OK;
}

/* Length of the operator at `at`, by the rules at the top. */
static size_t operator_length(const struct lexer *lexer)
{
    size_t n = 0;
    bool special = false;

    while (is_operator(peek(lexer, n))) {
        if ((peek(lexer, n) == '/' && peek(lexer, n + 1) == '*') || (peek(lexer, n) == '-' && peek(lexer, n + 1) == '-'))
            break;
        n++;
    }
    for (size_t i = 0; i < n; i++)
        special = special || strchr("~!@#^&|`?%", peek(lexer, i)) != NULL;
    while (n > 1 && !special && (peek(lexer, n - 1) == '+' || peek(lexer, n - 1) == '-'))
        n--;
    return n;
}

static int operator_code(const char *text, size_t len)
{
    if (len == 1)
        switch (*text) {
        case '+': return TK_PLUS;
        case '-': return TK_MINUS;
        case '*': return TK_STAR;
        case '/': return TK_SLASH;
        case '%': return TK_PERCENT;
        case '^': return TK_CARET;
        case '<': return TK_LESS;
        case '>': return TK_GREATER;
        case '=': return TK_EQUAL;
        default: return TK_OP;
        }
    if (len == 2) {
        if (!memcmp(text, "=>", 2))
            return TK_EQUALS_GREATER;
        if (!memcmp(text, ">=", 2))
            return TK_GREATER_EQUALS;
        if (!memcmp(text, "<=", 2))
            return TK_LESS_EQUALS;
        if (!memcmp(text, "<>", 2) || !memcmp(text, "!=", 2))
            return TK_NOT_EQUALS;
    }
    return TK_OP;
}

static int operator(struct lexer *lexer, struct token *token)
{
    size_t n = operator_length(lexer);

    lexer->at += n;
    token->code = operator_code(lexer->sql + token->start, n);
    if (copy_source(lexer, token))
        return OP_FAILED;
    if (n > AST_NAME_BYTES_MAX)
        return op_fail_at(lexer->op, token->position, "42601", "operator too long");
    if (token->code == TK_NOT_EQUALS)
        token->text = "<>";
    return OP_OK;
}

static int punctuation(struct lexer *lexer, struct token *token)
{
    static const struct { char c; int code; } codes[] = {
        { ',', TK_COMMA }, { '(', TK_LP }, { ')', TK_RP }, { '[', TK_LBRACKET }, { ']', TK_RBRACKET }, { '.', TK_DOT },
        { ';', TK_SEMI }, { ':', TK_COLON },
    };
    int c = peek(lexer, 0), next = peek(lexer, 1);

    token->code = TK_ILLEGAL;
    for (size_t i = 0; i < COUNT_OF(codes); i++)
        if (codes[i].c == c)
            token->code = codes[i].code;
    if (c == ':' && next == ':')
        token->code = TK_TYPECAST;
    else if (c == ':' && next == '=')
        token->code = TK_COLON_EQUALS;
    else if (c == '.' && next == '.')
        token->code = TK_DOT_DOT;
    lexer->at += token->code == TK_TYPECAST || token->code == TK_COLON_EQUALS || token->code == TK_DOT_DOT ? 2 : 1;
    return copy_source(lexer, token);
}

/* A letter that is a prefix of a quoted literal: e'', b'', x'', n'', u&'', u&"". */
static int prefixed(struct lexer *lexer, struct token *token, bool *found)
{
    int c = peek(lexer, 0) | 0x20, next = peek(lexer, 1);

    *found = true;
    if (c == 'u' && next == '&' && (peek(lexer, 2) == '\'' || peek(lexer, 2) == '"')) {
        bool name = peek(lexer, 2) == '"';
        lexer->at += 3;
        token->code = name ? TK_UIDENT : TK_USCONST;
        return name ? quoted_name(lexer, token) : quoted_string(lexer, token, false);
    }
    if (next == '\'' && (c == 'e' || c == 'b' || c == 'x' || c == 'n')) {
        lexer->at += 2;
        token->code = c == 'e' ? TK_SCONST : c == 'n' ? TK_NCONST : TK_BCONST;
        return quoted_string(lexer, token, c == 'e');
    }
    *found = false;
    return OP_OK;
}

static int read_token(struct lexer *lexer, struct token *token)
{
    int c = peek(lexer, 0);
    bool found;

    if (is_letter(c)) {
        if (prefixed(lexer, token, &found) || found)
            return op_failed(lexer->op) ? OP_FAILED : OP_OK;
        return word(lexer, token);
    }
    if (is_digit(c) || (c == '.' && is_digit(peek(lexer, 1))))
        return number(lexer, token);
    if (c == '\'') {
        lexer->at++;
        token->code = TK_SCONST;
        return quoted_string(lexer, token, false);
    }
    if (c == '"') {
        lexer->at++;
        token->code = TK_IDENT;
        if (quoted_name(lexer, token))
            return OP_FAILED;
        cut_name(token);
        return OP_OK;
    }
    if (c == '$') {
        if (is_digit(peek(lexer, 1)))
            return parameter(lexer, token);
        if (dollar_string(lexer, token, &found) || found)
            return op_failed(lexer->op) ? OP_FAILED : OP_OK;
    }
    return is_operator(c) ? operator(lexer, token) : punctuation(lexer, token);
}

int lexer_next(struct lexer *lexer, struct token *token)
{
    *token = (struct token){ .text = "" };
    if (skip_spaces(lexer))
        return OP_FAILED;
    token->start = token->end = lexer->at;
    if (locate(lexer, lexer->at, &token->position))
        return OP_FAILED;
    if (lexer->at >= lexer->len)
        return OP_OK;
    if (read_token(lexer, token))
        return OP_FAILED;
    if (token->end < lexer->at && token->code != TK_SCONST && token->code != TK_USCONST)
        token->end = lexer->at;
    else if (token->end == token->start)
        token->end = lexer->at;
    /* what is inside of the token is checked before anybody sees it */
    int characters = 0;
    return check_utf8(lexer->op, lexer->sql + token->start, token->end - token->start, &characters);
}

void lexer_skip_statement(struct lexer *lexer)
{
    struct op scratch;
    struct token token;
    struct op *op = lexer->op;

    op_init(&scratch);
    lexer->op = &scratch;
    if (lexer->counted > lexer->at)     /* the parser has gone back; positions do not matter any more */
        lexer->counted = lexer->at;
    struct arena_mark mark = arena_mark(lexer->arena);
    do {
        if (lexer_next(lexer, &token)) {
            lexer->at = lexer->len;
            break;
        }
    } while (token.code != 0 && token.code != TK_SEMI);
    arena_release(lexer->arena, mark);
    lexer->op = op;
    op_end(&scratch);
}
