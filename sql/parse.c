/*
 * parse.c -- one statement: tokens from the lexer into the grammar, up to the semicolon.
 *
 * The grammar sees one token ahead, and three places of SQL need two.  As PostgreSQL does, the driver looks at the next token and
 * renames the first: NOT in front of BETWEEN, IN, LIKE; NULLS in front of FIRST, LAST; WITH in front of TIME, ORDINALITY.
 * Strings and names with Unicode escapes are decoded here as well, since UESCAPE may follow them.
 */
#include <string.h>

#include "sql/grammar.h"
#include "sql/parse.h"
#include "src/base/mem.h"

/* The token behind `token`, without taking it; a text that has none gives the end. */
static int look_ahead(struct parse *p, struct token *next)
{
    struct lexer ahead = p->lexer;
    int rc = lexer_next(&ahead, next);

    /* characters counted so far are counted for good */
    if (!rc && ahead.counted < p->lexer.counted)
        rc = op_fail(p->op, "XX000", "the lexer went backwards");
    return rc;
}

static int decode_unicode(struct parse *p, struct token *token)
{
    struct token next, escape = { .text = "\\", .len = 1 };

    if (look_ahead(p, &next))
        return OP_FAILED;
    if (next.code == TK_UESCAPE) {
        if (lexer_next(&p->lexer, &next) || lexer_next(&p->lexer, &escape))
            return OP_FAILED;
        if (escape.code != TK_SCONST)
            return lexer_fail(&p->lexer, &escape, "UESCAPE must be followed by a simple string literal");
        if (escape.len != 1 || strchr("0123456789abcdefABCDEF+'\" \t\n\r\f", escape.text[0]) || escape.text[0] == 0)
            return lexer_fail(&p->lexer, &escape, "invalid Unicode escape character");
    }
    if (lexer_unicode(&p->lexer, token, escape.text[0]))
        return OP_FAILED;
    token->code = token->code == TK_UIDENT ? TK_IDENT : TK_SCONST;
    return OP_OK;
}

/* The next token as the grammar wants it. */
static int next_token(struct parse *p, struct token *token)
{
    struct token next;

    if (lexer_next(&p->lexer, token))
        return OP_FAILED;
    if (token->code == TK_UIDENT || token->code == TK_USCONST)
        return decode_unicode(p, token);
    if (token->code != TK_NOT && token->code != TK_NULLS && token->code != TK_WITH)
        return OP_OK;
    if (look_ahead(p, &next))
        return OP_FAILED;
    if (token->code == TK_NOT && (next.code == TK_BETWEEN || next.code == TK_IN || next.code == TK_LIKE))
        token->code = TK_NOT_LA;
    else if (token->code == TK_NULLS && (next.code == TK_FIRST || next.code == TK_LAST))
        token->code = TK_NULLS_LA;
    else if (token->code == TK_WITH && next.code == TK_TIME)
        token->code = TK_WITH_LA;
    return OP_OK;
}

/* Feeds tokens from `token` on up to the end of the statement. */
static int feed(struct parse *p, void *parser, struct token *token)
{
    for (;;) {
        bool end = token->code == 0 || token->code == TK_SEMI;
        grammar(parser, end ? 0 : token->code, *token, p);
        if (op_failed(p->op))
            return OP_FAILED;
        if (end)
            return OP_OK;
        p->previous = *token;
        p->previous_end = token->end;
        if (next_token(p, token))
            return OP_FAILED;
    }
}

static int run_grammar(struct parse *p, struct token *first)
{
    void *parser = grammarAlloc(mem_alloc);

    if (!parser)
        return op_out_of_memory(p->op);
    int rc = feed(p, parser, first);
    grammarFree(parser, mem_free);
    return rc;
}

/* A statement inside of EXPLAIN or COPY has the same parameters. */
static void count_params(struct statement *statement, int count)
{
    statement->param_count = count;
    if (statement->kind == STATEMENT_EXPLAIN)
        statement->explain->statement->param_count = count;
    else if (statement->kind == STATEMENT_COPY && statement->copy->query)
        statement->copy->query->param_count = count;
}

int parse_statement(struct op *op, struct arena *arena, const char *sql, size_t len, size_t *tail, struct statement **statement)
{
    struct parse p = { .op = op, .arena = arena };
    struct token token;
    int rc;

    *statement = NULL;
    *tail = len;
    lexer_init(&p.lexer, op, arena, sql, len);
    rc = next_token(&p, &token);
    p.first = token;
    if (!rc && token.code != 0 && token.code != TK_SEMI) {
        rc = parse__check_statement(&p, &token);
        if (!rc)
            rc = run_grammar(&p, &token);
        if (rc) {
            /* the offending token may be the one that ends the statement */
            p.lexer.at = p.previous_end;
            lexer_skip_statement(&p.lexer);
        } else {
            *statement = p.statement;
            count_params(p.statement, p.param_count);
        }
    }
    *tail = p.lexer.at;
    return rc;
}

int parse_expression(struct op *op, struct arena *arena, const char *sql, struct ast_expr **expr)
{
    struct parse p = { .op = op, .arena = arena };
    struct token token = { .code = TK_EXPRESSION_TEXT, .text = "" };
    int rc;

    *expr = NULL;
    lexer_init(&p.lexer, op, arena, sql, strlen(sql));
    rc = run_grammar(&p, &token);
    if (!rc)
        *expr = p.expr;
    return rc;
}
