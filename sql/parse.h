/*
 * parse.h -- what grammar.y's actions are written with; private to the parser.
 *
 * P1  Constructors never return NULL: when memory is exhausted they report it and hand out a spare node, and the driver stops
 *     at the next token.  So actions need no checks.
 * P2  Actions run when the token behind their rule has been read: previous_end is where their text ends.
 */
#ifndef ISOLDE_SQL_PARSE_H
#define ISOLDE_SQL_PARSE_H

#include <stddef.h>

#include "sql/ast.h"
#include "sql/lexer.h"

struct parse {
    struct op *op;
    struct arena *arena;
    struct lexer lexer;
    struct token first;             /* of the statement */
    struct token previous;          /* the token before the one being fed */
    size_t previous_end;
    struct statement *statement;    /* result */
    struct ast_expr *expr;          /* result of parse_expression */
    int param_count;
    _Alignas(max_align_t) char spare[1024];
};

/* Lists while they grow. */
struct word_list { struct ast_word *first, *last; int count; };
struct name_list { struct ast_name *first, *last; int count; };
struct expr_list { struct ast_expr *first, *last; int count; };
struct target_list { struct ast_target *first, *last; int count; };
struct from_list { struct ast_from *first, *last; int count; };
struct order_list { struct ast_order *first, *last; int count; };
struct row_list { struct ast_row *first, *last; int count; };
struct set_list { struct ast_set_item *first, *last; int count; };
struct option_list { struct ast_option *first, *last; int count; };
struct type_list { struct ast_type *first, *last; int count; };
struct locking_list { struct ast_locking *first, *last; int count; };
struct alter_list { struct ast_alter_action *first, *last; int count; };
struct index_column_list { struct ast_index_column *first, *last; int count; };

#define LIST_INIT(list) ((list).first = (list).last = NULL, (list).count = 0)
#define LIST_ONE(list, item) ((list).first = (list).last = (item), (list).count = 1)
#define LIST_ADD(list, item) \
    do { \
        __typeof__((list).last) added_ = (item); \
        if ((list).first) \
            (list).last->next = added_; \
        else \
            (list).first = added_; \
        (list).last = added_; \
        (list).count++; \
    } while (0)

/* A constraint or default of a column; elements of CREATE TABLE's list. */
enum element_kind {
    ELEMENT_COLUMN, ELEMENT_CONSTRAINT, ELEMENT_DEFAULT, ELEMENT_GENERATED, ELEMENT_NOT_NULL, ELEMENT_NULL,
    ELEMENT_DEFERRABLE, ELEMENT_NOT_DEFERRABLE, ELEMENT_DEFERRED, ELEMENT_IMMEDIATE, ELEMENT_NOT_VALID    /* of the constraint before */
};

struct element {
    enum element_kind kind;
    int position;
    const char *name;               /* CONSTRAINT name */
    struct ast_column *column;
    struct ast_constraint *constraint;
    struct ast_expr *value;         /* DEFAULT, GENERATED */
    const char *value_sql;
    struct element *next;
};
struct element_list { struct element *first, *last; int count; };

struct alias {
    const char *name;
    struct ast_word *columns;
};

struct limits {
    struct ast_expr *limit, *offset;
};

#define PARSE_NEW(p, type) ((struct type *)parse__node((p), sizeof(struct type)))
void *parse__node(struct parse *p, size_t size);
struct ast_expr *parse__expr(struct parse *p, enum ast_expr_kind kind, int position);
struct ast_word *parse__word(struct parse *p, const struct token *token);
struct ast_name *parse__name(struct parse *p, const struct word_list *parts);
struct ast_type *parse__type(struct parse *p, int position, const char *name);
/* fields: INTERVAL_ALL or some of interval.h's; precision may be NULL. */
struct ast_type *parse__interval_type(struct parse *p, int position, int fields, const struct token *precision);
struct ast_type *parse__float_type(struct parse *p, int position, const struct token *precision);
int64_t parse__integer(struct parse *p, const struct token *token);

struct ast_expr *parse__constant(struct parse *p, enum ast_expr_kind kind, const struct token *token);
struct ast_expr *parse__param(struct parse *p, const struct token *token);
struct ast_expr *parse__column_ref(struct parse *p, const struct word_list *parts, bool star);
struct ast_expr *parse__operator(struct parse *p, const struct token *token, struct ast_expr *left, struct ast_expr *right);
struct ast_expr *parse__negate(struct parse *p, const struct token *token, struct ast_expr *arg);
struct ast_expr *parse__logic(struct parse *p, enum ast_expr_kind kind, const struct token *token, struct ast_expr *left,
                              struct ast_expr *right);
struct ast_expr *parse__unary(struct parse *p, enum ast_expr_kind kind, int position, struct ast_expr *left);
struct ast_expr *parse__test(struct parse *p, const struct token *token, struct ast_expr *left, enum ast_test test, bool negated);
struct ast_expr *parse__distinct(struct parse *p, const struct token *token, struct ast_expr *left, struct ast_expr *right,
                                 bool negated);
struct ast_expr *parse__like(struct parse *p, const struct token *token, struct ast_expr *left, struct ast_expr *right,
                             struct ast_expr *escape, bool negated);
struct ast_expr *parse__between(struct parse *p, const struct token *token, struct ast_expr *left, struct ast_expr *low,
                                struct ast_expr *high, bool symmetric, bool negated);
struct ast_expr *parse__in(struct parse *p, const struct token *token, struct ast_expr *left, struct ast_expr *set, bool negated);
struct ast_expr *parse__any(struct parse *p, const struct token *operator_token, const struct token *quantifier,
                            struct ast_expr *left, struct ast_select *select);
struct ast_expr *parse__cast(struct parse *p, int position, struct ast_expr *arg, struct ast_type *type);
struct ast_expr *parse__overlaps(struct parse *p, const struct token *operator, struct ast_expr *left, struct ast_expr *right);
/* CURRENT_TIMESTAMP(3) and the like. */
struct ast_expr *parse__rounded_clock(struct parse *p, const struct token *clock, const char *type, const struct token *precision);
struct ast_expr *parse__typed_literal(struct parse *p, struct ast_type *type, const struct token *literal);
struct ast_expr *parse__call(struct parse *p, const struct word_list *name, const struct expr_list *args);
struct ast_expr *parse__spelled_call(struct parse *p, const struct token *token, const char *name, const struct expr_list *args);
struct ast_expr *parse__args(struct parse *p, enum ast_expr_kind kind, const struct token *token, const struct expr_list *args);
struct ast_expr *parse__subquery(struct parse *p, enum ast_expr_kind kind, int position, struct ast_select *select);

struct ast_select *parse__set_operation(struct parse *p, enum ast_set_operation operation, struct ast_select *left,
                                        struct ast_select *right, bool all);
/* Adds ORDER BY and LIMIT to a select that has none yet; in parentheses it may have had its own. */
struct ast_select *parse__order_limit(struct parse *p, struct ast_select *select, const struct order_list *order,
                                      const struct limits *limits);
/* Adds FOR UPDATE and the like. */
struct ast_select *parse__locking(struct parse *p, struct ast_select *select, const struct locking_list *locking);
struct ast_from *parse__join(struct parse *p, const struct token *token, enum ast_join_kind kind, struct ast_from *left,
                             struct ast_from *right);

struct statement *parse__statement(struct parse *p, enum statement_kind kind, const struct token *token);
struct element *parse__element(struct parse *p, enum element_kind kind, int position);
struct element *parse__constraint(struct parse *p, enum ast_constraint_kind kind, int position, struct ast_word *columns);
/* The text between two tokens, without spaces around it. */
const char *parse__source(struct parse *p, size_t from, size_t to);
struct ast_alter_action *parse__action(struct parse *p, enum ast_alter_kind kind, const struct token *token, const char *name);
struct ast_alter_action *parse__add_column(struct parse *p, const struct token *token, struct ast_column *column);
/* A table's constraint with what follows it: DEFERRABLE and its kind, NOT VALID. */
struct element *parse__qualified(struct parse *p, struct element *element, struct element *attributes);
struct ast_alter_action *parse__add_constraint(struct parse *p, const struct token *token, struct element *element);
struct statement *parse__alter(struct parse *p, const struct token *token, struct ast_name *table, bool if_exists,
                               struct ast_alter_action *actions);
struct ast_rename *parse__renaming(struct parse *p, enum ast_rename_kind kind, const struct token *from, const struct token *to);
struct statement *parse__rename(struct parse *p, const struct token *token, struct ast_name *object, bool if_exists,
                                struct ast_rename *rename);
/* Where the character at this position begins in the text. */
size_t parse__offset(const struct parse *p, int position);
struct ast_column *parse__column(struct parse *p, const struct token *name, struct ast_type *type, struct element *qualifiers);
struct statement *parse__create_table(struct parse *p, const struct token *token, struct ast_name *table, bool if_not_exists,
                                      struct element *elements);
struct statement *parse__deallocate(struct parse *p, const struct token *token, const char *name);
struct ast_fetch *parse__fetch(struct parse *p, enum ast_direction direction, int64_t count, const struct token *name);
struct statement *parse__transaction(struct parse *p, const struct token *token, enum ast_transaction_kind kind);
struct statement *parse__set(struct parse *p, const struct token *token, struct ast_set *set, enum ast_set_scope scope);
struct ast_set *parse__set_value(struct parse *p, const char *name, struct ast_word *values);
struct statement *parse__show(struct parse *p, const struct token *token, enum statement_kind kind, const char *name);
struct ast_option *parse__option(struct parse *p, const char *name, int position, const char *value);
const char *parse__text(struct parse *p, const char *format, ...) PRINTF_LIKE(2, 3);

/* "X is not supported", 0A000. */
void parse__refuse(struct parse *p, int position, const char *feature);
/* The grammar cannot go on with this token: a feature that is recognised is refused by name, the rest is 42601. */
void parse__unexpected(struct parse *p, const struct token *token);
/* Refuses a statement by its first words. */
int parse__check_statement(struct parse *p, const struct token *first) MUST_CHECK;

/* Made by lemon from grammar.y. */
void *grammarAlloc(void *(*alloc)(size_t));
void grammarFree(void *grammar, void (*release)(void *));
void grammar(void *grammar, int code, struct token token, struct parse *p);

#endif
