/*
 * lexer.h -- from text to tokens, by PostgreSQL's rules.
 *
 * Codes are those of the grammar (TK_...).  A keyword that the grammar does not use comes as one of the generic words, which
 * stand for what such a word may be used as: a name, a function's name, a label.
 */
#ifndef ISOLDE_SQL_LEXER_H
#define ISOLDE_SQL_LEXER_H

#include "src/base/op.h"
#include "src/base/types.h"

struct token {
    int code;                   /* TK_...; 0 at the end of the text */
    int position;               /* first character, from 1 */
    size_t start, end;          /* bytes in the text */
    const char *text;           /* value: name, string, number, operator; ends with a 0 byte */
    size_t len;
};

struct lexer {
    struct op *op;
    struct arena *arena;        /* values of tokens live here */
    const char *sql;
    size_t len;
    size_t at;                  /* next byte to read */
    size_t counted;             /* bytes whose characters have been counted, */
    int characters;             /* and their number */
};

enum word_class { WORD_UNRESERVED, WORD_COLUMN_NAME, WORD_TYPE_FUNCTION, WORD_RESERVED };

struct keyword {
    const char *word;
    enum word_class class;
    bool bare;                  /* may be a column's label without AS */
    int code;
};

/* Whether a lower-case word is a keyword; NULL when it is an ordinary name. */
const struct keyword *keyword_find(const char *word, size_t len);

void lexer_init(struct lexer *lexer, struct op *op, struct arena *arena, const char *sql, size_t len);
/* The next token.  42601 for what cannot be one, 22021 for bytes that are not UTF-8. */
int lexer_next(struct lexer *lexer, struct token *token) MUST_CHECK;
/* Skips to behind the next semicolon, or to the end of the text; never fails. */
void lexer_skip_statement(struct lexer *lexer);
/* Decodes Unicode escapes (U&'...' UESCAPE 'c') of a token's raw value in place. */
int lexer_unicode(struct lexer *lexer, struct token *token, char escape) MUST_CHECK;
/* Fails with `message at or near "token"`. */
int lexer_fail(struct lexer *lexer, const struct token *token, const char *message);

/* Text that the database stores is UTF-8 without zero bytes: 22021. */
int lexer_check_text(struct op *op, struct bytes text) MUST_CHECK;

#endif
