/*
 * ast.c -- building a statement's tree: what the grammar's actions call.
 *
 * Most constructors only fill a node in.  What they decide by themselves is what PostgreSQL decides while parsing: AND and OR
 * chains become one flat list, a minus before a number becomes part of the number, NOT IN and NOT LIKE keep the position of NOT,
 * PRIMARY KEY behind a column becomes a key of the table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/grammar.h"
#include "sql/interval.h"
#include "sql/parse.h"

void *parse__node(struct parse *p, size_t size)
{
    void *node = op_arena_alloc(p->op, p->arena, size);

    if (!node) {
        memset(p->spare, 0, sizeof(p->spare));
        node = p->spare;
    }
    return node;
}

struct ast_expr *parse__expr(struct parse *p, enum ast_expr_kind kind, int position)
{
    struct ast_expr *expr = PARSE_NEW(p, ast_expr);

    expr->kind = kind;
    expr->position = position;
    return expr;
}

const char *parse__text(struct parse *p, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    const char *text = arena_vprintf(p->arena, format, args);
    va_end(args);
    if (!text) {
        (void)op_out_of_memory(p->op);
        text = "";
    }
    return text;
}

/* ---- names and types ---- */

struct ast_word *parse__word(struct parse *p, const struct token *token)
{
    struct ast_word *word = PARSE_NEW(p, ast_word);

    word->text = token->text;
    word->position = token->position;
    return word;
}

struct ast_name *parse__name(struct parse *p, const struct word_list *parts)
{
    struct ast_name *name = PARSE_NEW(p, ast_name);
    const struct ast_word *first = parts->first;

    name->position = first->position;
    name->name = first->text;
    if (parts->count == 2) {
        name->schema = first->text;
        name->name = first->next->text;
    } else if (parts->count == 3) {
        op_fail_at(p->op, first->position, "0A000", "cross-database references are not implemented: \"%s.%s.%s\"", first->text,
                   first->next->text, first->next->next->text);
    } else if (parts->count > 3) {
        op_fail_at(p->op, first->position, "42601", "improper qualified name (too many dotted names): %s.%s.%s.%s", first->text,
                   first->next->text, first->next->next->text, first->next->next->next->text);
    }
    return name;
}

struct ast_type *parse__type(struct parse *p, int position, const char *name)
{
    struct ast_type *type = PARSE_NEW(p, ast_type);

    type->position = position;
    type->name = name;
    type->modifier_count = -1;
    return type;
}

int64_t parse__integer(struct parse *p, const struct token *token)
{
    return strtoll(token->text, NULL, 10);
}

struct ast_type *parse__float_type(struct parse *p, int position, const struct token *precision)
{
    int64_t bits = precision ? parse__integer(p, precision) : 53;

    if (bits < 1)
        op_fail_at(p->op, precision->position, "22023", "precision for type float must be at least 1 bit");
    else if (bits > 53)
        op_fail_at(p->op, precision->position, "22023", "precision for type float must be less than 54 bits");
    return parse__type(p, position, bits <= 24 ? "float4" : "float8");
}

/* ---- expressions ---- */

struct ast_expr *parse__constant(struct parse *p, enum ast_expr_kind kind, const struct token *token)
{
    struct ast_expr *expr = parse__expr(p, kind, token->position);

    if (kind == AST_INTEGER) {
        expr->integer = atoi(token->text);
    } else {
        expr->text = token->text;
        expr->len = token->len;
    }
    return expr;
}

struct ast_expr *parse__param(struct parse *p, const struct token *token)
{
    struct ast_expr *expr = parse__expr(p, AST_PARAM, token->position);
    long long n = token->len < 10 ? atoll(token->text) : 0;

    if (n < 1 || n > 65535)
        op_fail_at(p->op, token->position, "42P02", "there is no parameter $%s", token->text);
    expr->integer = (int)n;
    if (n > p->param_count && n <= 65535)
        p->param_count = (int)n;
    return expr;
}

struct ast_expr *parse__column_ref(struct parse *p, const struct word_list *parts, bool star)
{
    struct ast_expr *expr = parse__expr(p, AST_COLUMN, parts->first ? parts->first->position : 0);

    expr->names = parts->first;
    expr->name_count = parts->count;
    expr->star = star;
    return expr;
}

struct ast_expr *parse__operator(struct parse *p, const struct token *token, struct ast_expr *left, struct ast_expr *right)
{
    struct ast_expr *expr = parse__expr(p, AST_OPERATOR, token->position);

    expr->call.name = token->text;
    expr->left = left;
    expr->right = right;
    return expr;
}

struct ast_expr *parse__negate(struct parse *p, const struct token *token, struct ast_expr *arg)
{
    /* -9223372036854775808 is a bigint: the sign belongs to the number */
    if (arg->kind == AST_INTEGER && !arg->negated) {
        arg->integer = -arg->integer;
        arg->negated = true;
    } else if (arg->kind == AST_NUMBER && !arg->negated) {
        arg->text = parse__text(p, "-%s", arg->text);
        arg->len++;
        arg->negated = true;
    } else {
        return parse__operator(p, token, NULL, arg);
    }
    arg->position = token->position;
    return arg;
}

struct ast_expr *parse__unary(struct parse *p, enum ast_expr_kind kind, int position, struct ast_expr *left)
{
    struct ast_expr *expr = parse__expr(p, kind, position);

    expr->left = left;
    return expr;
}

struct ast_expr *parse__logic(struct parse *p, enum ast_expr_kind kind, const struct token *token, struct ast_expr *left,
                              struct ast_expr *right)
{
    struct ast_expr *expr = left;

    /* while it grows, `right` is the list's end */
    if (left->kind != kind) {
        expr = parse__expr(p, kind, token->position);
        expr->args = expr->right = left;
        expr->arg_count = 1;
    }
    expr->right->next = right;
    expr->right = right;
    expr->arg_count++;
    return expr;
}

struct ast_expr *parse__test(struct parse *p, const struct token *token, struct ast_expr *left, enum ast_test test, bool negated)
{
    struct ast_expr *expr = parse__unary(p, AST_TEST, token->position, left);

    expr->test = test;
    expr->negated = negated;
    return expr;
}

struct ast_expr *parse__distinct(struct parse *p, const struct token *token, struct ast_expr *left, struct ast_expr *right,
                                 bool negated)
{
    struct ast_expr *expr = parse__unary(p, AST_DISTINCT, token->position, left);

    expr->right = right;
    expr->negated = negated;
    return expr;
}

struct ast_expr *parse__like(struct parse *p, const struct token *token, struct ast_expr *left, struct ast_expr *right,
                             struct ast_expr *escape, bool negated)
{
    struct ast_expr *expr = parse__unary(p, AST_LIKE, token->position, left);

    expr->call.name = negated ? "!~~" : "~~";
    expr->right = right;
    expr->args = escape;
    expr->arg_count = escape != NULL;
    expr->negated = negated;
    return expr;
}

struct ast_expr *parse__between(struct parse *p, const struct token *token, struct ast_expr *left, struct ast_expr *low,
                                struct ast_expr *high, bool symmetric, bool negated)
{
    struct ast_expr *expr = parse__unary(p, AST_BETWEEN, token->position, left);

    expr->args = low;
    low->next = high;
    expr->arg_count = 2;
    expr->symmetric = symmetric;
    expr->negated = negated;
    return expr;
}

struct ast_expr *parse__in(struct parse *p, const struct token *token, struct ast_expr *left, struct ast_expr *set, bool negated)
{
    struct ast_expr *expr = parse__unary(p, AST_IN, token->position, left);

    expr->negated = negated;
    if (set->kind == AST_SUBQUERY) {
        expr->select = set->select;
    } else {
        expr->args = set->args;
        expr->arg_count = set->arg_count;
    }
    return expr;
}

struct ast_expr *parse__any(struct parse *p, const struct token *operator_token, const struct token *quantifier,
                            struct ast_expr *left, struct ast_select *select)
{
    bool all = quantifier->code == TK_ALL;
    struct ast_expr *expr = parse__unary(p, AST_IN, operator_token->position, left);

    expr->select = select;
    expr->negated = all;
    if (strcmp(operator_token->text, all ? "<>" : "=") != 0)
        parse__refuse(p, operator_token->position,
                      parse__text(p, "%s %s of a subquery", operator_token->text, all ? "ALL" : "ANY"));
    return expr;
}

struct ast_type *parse__interval_type(struct parse *p, int position, int fields, const struct token *precision)
{
    struct ast_type *type = parse__type(p, position, "interval");

    if (fields == INTERVAL_ALL && !precision)
        return type;
    type->modifier_count = 2;
    type->modifiers[0] = fields;
    type->modifiers[1] = precision ? parse__integer(p, precision) : INTERVAL_FULL_PRECISION;
    return type;
}

struct ast_expr *parse__rounded_clock(struct parse *p, const struct token *clock, const char *name, const struct token *precision)
{
    struct ast_type *type = parse__type(p, clock->position, name);
    struct ast_expr *now = parse__expr(p, AST_CLOCK, clock->position);

    now->call.name = clock->text;
    type->modifier_count = 1;
    type->modifiers[0] = parse__integer(p, precision);
    return parse__cast(p, clock->position, now, type);
}

/* (a, b) OVERLAPS (c, d) is a function of the four. */
struct ast_expr *parse__overlaps(struct parse *p, const struct token *operator, struct ast_expr *left, struct ast_expr *right)
{
    struct ast_expr *const sides[] = { left, right };
    struct expr_list args = { 0 };

    for (int i = 0; i < 2; i++) {
        if (sides[i]->kind != AST_ROW) {
            op_fail_at(p->op, operator->position, "42601", "syntax error at or near \"%s\"", operator->text);
            return left;
        }
        if (sides[i]->arg_count != 2) {
            op_fail_at(p->op, sides[i]->position, "42601", "wrong number of parameters on %s side of OVERLAPS expression",
                       i ? "right" : "left");
            return left;
        }
    }
    for (int i = 0; i < 2; i++)
        for (struct ast_expr *arg = sides[i]->args, *next; arg; arg = next) {
            next = arg->next;
            LIST_ADD(args, arg);
        }
    return parse__spelled_call(p, operator, "overlaps", &args);
}

struct ast_expr *parse__cast(struct parse *p, int position, struct ast_expr *arg, struct ast_type *type)
{
    struct ast_expr *expr = parse__unary(p, AST_CAST, position, arg);

    expr->type = type;
    return expr;
}

struct ast_expr *parse__typed_literal(struct parse *p, struct ast_type *type, const struct token *literal)
{
    return parse__cast(p, type->position, parse__constant(p, AST_STRING, literal), type);
}

struct ast_expr *parse__args(struct parse *p, enum ast_expr_kind kind, const struct token *token, const struct expr_list *args)
{
    struct ast_expr *expr = parse__expr(p, kind, token->position);

    expr->args = args->first;
    expr->arg_count = args->count;
    return expr;
}

struct ast_expr *parse__call(struct parse *p, const struct word_list *name, const struct expr_list *args)
{
    struct ast_name *parts = parse__name(p, name);
    struct ast_expr *expr = parse__expr(p, AST_CALL, parts->position);

    expr->call.name = parts->name;
    expr->call.schema = parts->schema;
    expr->args = args->first;
    expr->arg_count = args->count;
    return expr;
}

struct ast_expr *parse__spelled_call(struct parse *p, const struct token *token, const char *name, const struct expr_list *args)
{
    struct ast_expr *expr = parse__args(p, AST_CALL, token, args);

    expr->call.name = name;
    expr->call.spelled = true;
    return expr;
}

struct ast_expr *parse__subquery(struct parse *p, enum ast_expr_kind kind, int position, struct ast_select *select)
{
    struct ast_expr *expr = parse__expr(p, kind, position);

    expr->select = select;
    return expr;
}

/* ---- queries ---- */

struct ast_select *parse__set_operation(struct parse *p, enum ast_set_operation operation, struct ast_select *left,
                                        struct ast_select *right, bool all)
{
    struct ast_select *select = PARSE_NEW(p, ast_select);

    select->kind = AST_SELECT_SET;
    select->operation = operation;
    select->position = left->position;
    select->left = left;
    select->right = right;
    select->all = all;
    return select;
}

struct ast_select *parse__order_limit(struct parse *p, struct ast_select *select, const struct order_list *order,
                                      const struct limits *limits)
{
    if (order->first) {
        if (select->order)
            op_fail_at(p->op, order->first->position, "42601", "multiple ORDER BY clauses not allowed");
        select->order = order->first;
    }
    if (limits && limits->offset) {
        if (select->offset)
            op_fail_at(p->op, limits->offset->position, "42601", "multiple OFFSET clauses not allowed");
        select->offset = limits->offset;
    }
    if (limits && limits->limit) {
        if (select->limit)
            op_fail_at(p->op, limits->limit->position, "42601", "multiple LIMIT clauses not allowed");
        select->limit = limits->limit;
    }
    return select;
}

struct ast_select *parse__locking(struct parse *p, struct ast_select *select, const struct locking_list *locking)
{
    struct ast_locking **last = &select->locking;

    while (*last)
        last = &(*last)->next;
    *last = locking->first;
    return select;
}

struct ast_from *parse__join(struct parse *p, const struct token *token, enum ast_join_kind kind, struct ast_from *left,
                             struct ast_from *right)
{
    struct ast_from *join = PARSE_NEW(p, ast_from);

    join->kind = AST_FROM_JOIN;
    join->position = token->position;
    join->join = kind;
    join->left = left;
    join->right = right;
    return join;
}

/* ---- statements ---- */

struct statement *parse__statement(struct parse *p, enum statement_kind kind, const struct token *token)
{
    struct statement *statement = PARSE_NEW(p, statement);

    statement->kind = kind;
    statement->position = token ? token->position : 0;
    return statement;
}

struct statement *parse__deallocate(struct parse *p, const struct token *token, const char *name)
{
    struct statement *statement = parse__statement(p, STATEMENT_DEALLOCATE, token);

    statement->prepare = PARSE_NEW(p, ast_prepare);
    statement->prepare->name = name;
    return statement;
}

struct ast_fetch *parse__fetch(struct parse *p, enum ast_direction direction, int64_t count, const struct token *name)
{
    struct ast_fetch *fetch = PARSE_NEW(p, ast_fetch);

    fetch->name = name->text;
    fetch->direction = direction;
    fetch->count = count;
    return fetch;
}

struct statement *parse__transaction(struct parse *p, const struct token *token, enum ast_transaction_kind kind)
{
    struct statement *statement = parse__statement(p, STATEMENT_TRANSACTION, token);

    statement->transaction = PARSE_NEW(p, ast_transaction);
    statement->transaction->kind = kind;
    return statement;
}

struct ast_set *parse__set_value(struct parse *p, const char *name, struct ast_word *values)
{
    struct ast_set *set = PARSE_NEW(p, ast_set);

    set->kind = values ? AST_SET_VALUE : AST_SET_DEFAULT;
    set->name = name;
    set->values = values;
    return set;
}

struct statement *parse__set(struct parse *p, const struct token *token, struct ast_set *set, enum ast_set_scope scope)
{
    struct statement *statement = parse__statement(p, STATEMENT_SET, token);

    set->scope = scope;
    statement->set = set;
    return statement;
}

struct statement *parse__show(struct parse *p, const struct token *token, enum statement_kind kind, const char *name)
{
    struct statement *statement = parse__statement(p, kind, token);

    statement->show = PARSE_NEW(p, ast_show);
    statement->show->name = name;
    return statement;
}

struct ast_option *parse__option(struct parse *p, const char *name, int position, const char *value)
{
    struct ast_option *option = PARSE_NEW(p, ast_option);

    option->name = name;
    option->position = position;
    option->value = value;
    return option;
}

/* ---- CREATE TABLE ---- */

struct element *parse__element(struct parse *p, enum element_kind kind, int position)
{
    struct element *element = PARSE_NEW(p, element);

    element->kind = kind;
    element->position = position;
    return element;
}

size_t parse__offset(const struct parse *p, int position)
{
    size_t at = 0;

    for (int seen = 1; seen < position && p->lexer.sql[at]; seen++)
        do
            at++;
        while (((unsigned char)p->lexer.sql[at] & 0xc0) == 0x80);
    return at;
}

struct element *parse__constraint(struct parse *p, enum ast_constraint_kind kind, int position, struct ast_word *columns)
{
    struct element *element = parse__element(p, ELEMENT_CONSTRAINT, position);

    element->constraint = PARSE_NEW(p, ast_constraint);
    element->constraint->kind = kind;
    element->constraint->columns = columns;
    element->constraint->on_update = element->constraint->on_delete = 'a';
    return element;
}

const char *parse__source(struct parse *p, size_t from, size_t to)
{
    const char *sql = p->lexer.sql;

    while (from < to && (sql[from] == ' ' || (sql[from] >= '\t' && sql[from] <= '\r')))
        from++;
    while (to > from && (sql[to - 1] == ' ' || (sql[to - 1] >= '\t' && sql[to - 1] <= '\r')))
        to--;
    return parse__text(p, "%.*s", (int)(to - from), sql + from);
}

/* A column before its qualifiers are sorted out: they wait in parse__create_table for the table's name. */
struct column_draft {
    struct ast_column column;
    struct element *qualifiers;
};

struct ast_column *parse__column(struct parse *p, const struct token *name, struct ast_type *type, struct element *qualifiers)
{
    struct column_draft *draft = PARSE_NEW(p, column_draft);

    draft->column.name = name->text;
    draft->column.position = name->position;
    draft->column.type = type;
    draft->qualifiers = qualifiers;
    return &draft->column;
}

static void fail_nullness(struct parse *p, const struct element *element, const char *column, const char *table)
{
    op_fail_at(p->op, element->position, "42601", "conflicting NULL/NOT NULL declarations for column \"%s\" of table \"%s\"",
               column, table);
}

static void set_default(struct parse *p, struct ast_column *column, const struct element *element, const char *table)
{
    if (column->default_value)
        op_fail_at(p->op, element->position, "42601", "multiple default values specified for column \"%s\" of table \"%s\"",
                   column->name, table);
    column->default_value = element->value;
    column->default_sql = element->value_sql;
}

/* Lists of constraints while CREATE TABLE is put together. */
struct constraint_list { struct ast_constraint *first, *last; int count; };

static void add_constraint(struct parse *p, struct constraint_list *list, const struct element *element, const char *table)
{
    struct ast_constraint *constraint = element->constraint;

    constraint->name = element->name;
    constraint->position = element->position;
    if (constraint->kind == AST_PRIMARY_KEY)
        for (const struct ast_constraint *other = list->first; other; other = other->next)
            if (other->kind == AST_PRIMARY_KEY)
                op_fail_at(p->op, element->position, "42P16", "multiple primary keys for table \"%s\" are not allowed", table);
    LIST_ADD(*list, constraint);
}

static void misplaced(struct parse *p, const struct element *element, const char *clause)
{
    op_fail_at(p->op, element->position, "42601", "misplaced %s clause", clause);
}

/* DEFERRABLE and its kind belong to the constraint before them. */
static void qualify_constraint(struct parse *p, struct ast_constraint *constraint, const struct element *q, bool of_column)
{
    bool deferrable = constraint && constraint->kind != AST_CHECK;

    switch (q->kind) {
    case ELEMENT_DEFERRABLE: case ELEMENT_NOT_DEFERRABLE:
        if (!deferrable && of_column) {
            misplaced(p, q, q->kind == ELEMENT_DEFERRABLE ? "DEFERRABLE" : "NOT DEFERRABLE");
        } else if (!deferrable) {
            op_fail_at(p->op, q->position, "0A000", "%s constraints cannot be marked DEFERRABLE", "CHECK");
        } else if (constraint->deferrable_given) {
            op_fail_at(p->op, q->position, "42601", "multiple DEFERRABLE/NOT DEFERRABLE clauses not allowed");
        } else if (q->kind == ELEMENT_NOT_DEFERRABLE && constraint->deferred) {
            op_fail_at(p->op, q->position, "42601", "constraint declared INITIALLY DEFERRED must be DEFERRABLE");
        } else {
            constraint->deferrable_given = true;
            constraint->deferrable = q->kind == ELEMENT_DEFERRABLE;
        }
        break;
    case ELEMENT_DEFERRED:
        if (!deferrable && of_column) {
            misplaced(p, q, "INITIALLY DEFERRED");
        } else if (!deferrable) {
            op_fail_at(p->op, q->position, "0A000", "%s constraints cannot be marked DEFERRABLE", "CHECK");
        } else if (constraint->deferrable_given && !constraint->deferrable) {
            op_fail_at(p->op, q->position, "42601", "constraint declared INITIALLY DEFERRED must be DEFERRABLE");
        } else {
            constraint->deferrable = constraint->deferred = true;
        }
        break;
    case ELEMENT_IMMEDIATE:
        if (!deferrable && of_column)
            misplaced(p, q, "INITIALLY IMMEDIATE");
        break;
    default:
        constraint->not_valid = true;
        if (constraint->kind != AST_CHECK && constraint->kind != AST_FOREIGN_KEY)
            op_fail_at(p->op, q->position, "0A000", "%s constraints cannot be marked NOT VALID",
                       constraint->kind == AST_UNIQUE ? "UNIQUE" : "PRIMARY KEY");
    }
}

static void set_generated(struct parse *p, struct ast_column *column, const struct element *element, const char *table)
{
    if (column->generated)
        op_fail_at(p->op, element->position, "42601", "multiple generation clauses specified for column \"%s\" of table \"%s\"",
                   column->name, table);
    else if (column->default_value)
        op_fail_at(p->op, element->position, "42601", "both default and generation expression specified for column \"%s\" of table \"%s\"",
                   column->name, table);
    column->generated = true;
    column->default_value = element->value;
    column->default_sql = element->value_sql;
}

static void qualify_column(struct parse *p, struct column_draft *draft, struct constraint_list *list, const char *table)
{
    struct ast_column *column = &draft->column;
    struct ast_constraint *last = NULL;

    for (struct element *q = draft->qualifiers; q; q = q->next) {
        switch (q->kind) {
        case ELEMENT_NOT_NULL:
            if (column->null_given)
                fail_nullness(p, q, column->name, table);
            column->not_null = true;
            last = NULL;
            break;
        case ELEMENT_NULL:
            if (column->not_null)
                fail_nullness(p, q, column->name, table);
            column->null_given = true;
            last = NULL;
            break;
        case ELEMENT_DEFAULT:
            if (column->generated)
                op_fail_at(p->op, q->position, "42601",
                           "both default and generation expression specified for column \"%s\" of table \"%s\"", column->name, table);
            set_default(p, column, q, table);
            last = NULL;
            break;
        case ELEMENT_GENERATED:
            set_generated(p, column, q, table);
            last = NULL;
            break;
        case ELEMENT_CONSTRAINT:
            last = q->constraint;
            last->of_column = true;
            last->columns = PARSE_NEW(p, ast_word);
            last->columns->text = column->name;
            last->columns->position = column->position;
            if (last->kind == AST_PRIMARY_KEY && column->null_given)
                fail_nullness(p, q, column->name, table);
            add_constraint(p, list, q, table);
            break;
        default:
            qualify_constraint(p, last, q, true);
        }
    }
}

struct statement *parse__create_table(struct parse *p, const struct token *token, struct ast_name *table, bool if_not_exists,
                                      struct element *elements)
{
    struct statement *statement = parse__statement(p, STATEMENT_CREATE_TABLE, token);
    struct ast_create_table *create = PARSE_NEW(p, ast_create_table);
    struct { struct ast_column *first, *last; int count; } columns = { 0 };
    struct constraint_list list = { 0 };

    for (struct element *element = elements; element; element = element->next) {
        if (element->kind == ELEMENT_COLUMN) {
            LIST_ADD(columns, element->column);
            qualify_column(p, (struct column_draft *)element->column, &list, table->name);
        } else {
            add_constraint(p, &list, element, table->name);
        }
    }
    create->table = table;
    create->if_not_exists = if_not_exists;
    create->columns = columns.first;
    create->constraints = list.first;
    statement->create_table = create;
    return statement;
}

/* ---- ALTER TABLE ---- */

struct ast_alter_action *parse__action(struct parse *p, enum ast_alter_kind kind, const struct token *token, const char *name)
{
    struct ast_alter_action *action = PARSE_NEW(p, ast_alter_action);

    action->kind = kind;
    action->name = name;
    action->position = token->position;
    return action;
}

/* Its qualifiers are sorted out in parse__alter, which knows the table's name. */
struct ast_alter_action *parse__add_column(struct parse *p, const struct token *token, struct ast_column *column)
{
    struct ast_alter_action *action = parse__action(p, AST_ADD_COLUMN, token, column->name);

    action->column = column;
    return action;
}

struct element *parse__qualified(struct parse *p, struct element *element, struct element *attributes)
{
    for (struct element *q = attributes; q; q = q->next)
        qualify_constraint(p, element->constraint, q, false);
    return element;
}

struct ast_alter_action *parse__add_constraint(struct parse *p, const struct token *token, struct element *element)
{
    struct ast_alter_action *action = parse__action(p, AST_ADD_CONSTRAINT, token, element->name);
    struct constraint_list list = { 0 };

    add_constraint(p, &list, element, "");
    action->constraints = list.first;
    return action;
}

struct statement *parse__alter(struct parse *p, const struct token *token, struct ast_name *table, bool if_exists,
                               struct ast_alter_action *actions)
{
    struct statement *statement = parse__statement(p, STATEMENT_ALTER_TABLE, token);

    for (struct ast_alter_action *action = actions; action; action = action->next) {
        struct constraint_list list = { 0 };
        if (action->kind != AST_ADD_COLUMN)
            continue;
        qualify_column(p, (struct column_draft *)action->column, &list, table->name);
        action->constraints = list.first;
    }
    statement->alter = PARSE_NEW(p, ast_alter);
    statement->alter->table = table;
    statement->alter->if_exists = if_exists;
    statement->alter->actions = actions;
    return statement;
}

struct ast_rename *parse__renaming(struct parse *p, enum ast_rename_kind kind, const struct token *from, const struct token *to)
{
    struct ast_rename *rename = PARSE_NEW(p, ast_rename);

    rename->kind = kind;
    rename->from = from ? from->text : NULL;
    rename->to = to->text;
    return rename;
}

struct statement *parse__rename(struct parse *p, const struct token *token, struct ast_name *object, bool if_exists,
                                struct ast_rename *rename)
{
    struct statement *statement = parse__statement(p, STATEMENT_RENAME, token);

    rename->object = object;
    rename->if_exists = if_exists;
    statement->rename = rename;
    return statement;
}
