/*
 * grammar_expr.y -- types, expressions and function calls: the second part of the grammar (see grammar.y).
 *
 * a_expr is any expression; b_expr leaves out what would be ambiguous before AND or NOT; c_expr needs no parentheses anywhere.
 */

/* ---- types ---- */

%type typename {struct ast_type *}
typename(A) ::= type_function_name(T) modifiers(M). {
    A = parse__type(p, T.position, T.text);
    A->modifier_count = M.modifier_count;
    A->modifiers[0] = M.modifiers[0];
    A->modifiers[1] = M.modifiers[1];
}
typename(A) ::= type_function_name(T) attributes(L) modifiers(M). {
    A = parse__type(p, T.position, L.last->text);
    A->schema = T.text;
    A->modifier_count = M.modifier_count;
    A->modifiers[0] = M.modifiers[0];
    A->modifiers[1] = M.modifiers[1];
    if (L.count > 1)
        parse__refuse(p, T.position, "A type name of more than two parts");
}
typename(A) ::= sql_type(T). { A = T; }

/* struct ast_type serves to carry modifiers */
%type modifiers {struct ast_type}
modifiers(A) ::= . { A = (struct ast_type){ .modifier_count = -1 }; }
modifiers(A) ::= LP modifier(N) RP. { A = (struct ast_type){ .modifier_count = 1, .modifiers = { N, 0 } }; }
modifiers(A) ::= LP modifier(N) COMMA modifier(M) RP. {
    A = (struct ast_type){ .modifier_count = 2, .modifiers = { N, M } };
}
%type modifier {int64_t}
modifier(A) ::= ICONST(T). { A = parse__integer(p, &T); }
modifier(A) ::= PLUS ICONST(T). { A = parse__integer(p, &T); }
modifier(A) ::= MINUS ICONST(T). { A = -parse__integer(p, &T); }

/* types with a spelling of their own; these may stand before a literal */
%type sql_type {struct ast_type *}
sql_type(A) ::= INT(T). { A = parse__type(p, T.position, "int4"); }
sql_type(A) ::= INTEGER(T). { A = parse__type(p, T.position, "int4"); }
sql_type(A) ::= SMALLINT(T). { A = parse__type(p, T.position, "int2"); }
sql_type(A) ::= BIGINT(T). { A = parse__type(p, T.position, "int8"); }
sql_type(A) ::= REAL(T). { A = parse__type(p, T.position, "float4"); }
sql_type(A) ::= BOOLEAN(T). { A = parse__type(p, T.position, "bool"); }
sql_type(A) ::= FLOAT(T). { A = parse__float_type(p, T.position, NULL); }
sql_type(A) ::= FLOAT(T) LP ICONST(N) RP. { A = parse__float_type(p, T.position, &N); }
sql_type(A) ::= DOUBLE(T) PRECISION. { A = parse__type(p, T.position, "float8"); }
sql_type(A) ::= DEC(T) modifiers(M). {
    A = parse__type(p, T.position, "numeric");
    A->modifier_count = M.modifier_count;
    A->modifiers[0] = M.modifiers[0];
    A->modifiers[1] = M.modifiers[1];
}
sql_type(A) ::= DECIMAL(T) modifiers(M). {
    A = parse__type(p, T.position, "numeric");
    A->modifier_count = M.modifier_count;
    A->modifiers[0] = M.modifiers[0];
    A->modifiers[1] = M.modifiers[1];
}
sql_type(A) ::= NUMERIC(T) modifiers(M). {
    A = parse__type(p, T.position, "numeric");
    A->modifier_count = M.modifier_count;
    A->modifiers[0] = M.modifiers[0];
    A->modifiers[1] = M.modifiers[1];
}
sql_type(A) ::= character(T) length(M). {
    A = T;
    A->modifier_count = M.modifier_count;
    A->modifiers[0] = M.modifiers[0];
}
%type length {struct ast_type}
length(A) ::= . { A = (struct ast_type){ .modifier_count = -1 }; }
length(A) ::= LP ICONST(T) RP. { A = (struct ast_type){ .modifier_count = 1, .modifiers = { parse__integer(p, &T), 0 } }; }
%type character {struct ast_type *}
character(A) ::= VARCHAR(T). { A = parse__type(p, T.position, "varchar"); }
character(A) ::= CHARACTER(T) opt_varying(V). { A = parse__type(p, T.position, V ? "varchar" : "bpchar"); }
character(A) ::= CHAR(T) opt_varying(V). { A = parse__type(p, T.position, V ? "varchar" : "bpchar"); }
character(A) ::= NCHAR(T) opt_varying(V). { A = parse__type(p, T.position, V ? "varchar" : "bpchar"); }
character(A) ::= NATIONAL(T) char_word opt_varying(V). { A = parse__type(p, T.position, V ? "varchar" : "bpchar"); }
character(A) ::= BIT(T) opt_varying(V). { A = parse__type(p, T.position, V ? "varbit" : "bit"); }
char_word ::= CHARACTER.
char_word ::= CHAR.
%type opt_varying {bool}
opt_varying(A) ::= . { A = false; }
opt_varying(A) ::= VARYING. { A = true; }
sql_type(A) ::= TIMESTAMP(T) length(M) zone(Z). {
    A = parse__type(p, T.position, Z ? "timestamptz" : "timestamp");
    A->modifier_count = M.modifier_count;
    A->modifiers[0] = M.modifiers[0];
}
sql_type(A) ::= TIME(T) length(M) zone(Z). {
    A = parse__type(p, T.position, Z ? "timetz" : "time");
    A->modifier_count = M.modifier_count;
    A->modifiers[0] = M.modifiers[0];
}
/* The fields of an interval stand behind a literal, not before it. */
typename(A) ::= INTERVAL(T) interval_fields(F). { A = parse__interval_type(p, T.position, F, NULL); }
typename(A) ::= INTERVAL(T) LP ICONST(N) RP. { A = parse__interval_type(p, T.position, INTERVAL_ALL, &N); }
typename(A) ::= INTERVAL(T) seconds(F) LP ICONST(N) RP. { A = parse__interval_type(p, T.position, F, &N); }
%type interval_fields {int}
interval_fields(A) ::= . { A = INTERVAL_ALL; }
interval_fields(A) ::= YEAR. { A = INTERVAL_YEAR; }
interval_fields(A) ::= MONTH. { A = INTERVAL_MONTH; }
interval_fields(A) ::= DAY. { A = INTERVAL_DAY; }
interval_fields(A) ::= HOUR. { A = INTERVAL_HOUR; }
interval_fields(A) ::= MINUTE. { A = INTERVAL_MINUTE; }
interval_fields(A) ::= YEAR TO MONTH. { A = INTERVAL_YEAR | INTERVAL_MONTH; }
interval_fields(A) ::= DAY TO HOUR. { A = INTERVAL_DAY | INTERVAL_HOUR; }
interval_fields(A) ::= DAY TO MINUTE. { A = INTERVAL_DAY | INTERVAL_HOUR | INTERVAL_MINUTE; }
interval_fields(A) ::= HOUR TO MINUTE. { A = INTERVAL_HOUR | INTERVAL_MINUTE; }
interval_fields(A) ::= seconds(F). { A = F; }
%type seconds {int}
seconds(A) ::= SECOND. { A = INTERVAL_SECOND; }
seconds(A) ::= DAY TO SECOND. { A = INTERVAL_DAY | INTERVAL_HOUR | INTERVAL_MINUTE | INTERVAL_SECOND; }
seconds(A) ::= HOUR TO SECOND. { A = INTERVAL_HOUR | INTERVAL_MINUTE | INTERVAL_SECOND; }
seconds(A) ::= MINUTE TO SECOND. { A = INTERVAL_MINUTE | INTERVAL_SECOND; }
%type zone {bool}
zone(A) ::= . { A = false; }
zone(A) ::= WITH_LA TIME ZONE. { A = true; }
zone(A) ::= WITHOUT TIME ZONE. { A = false; }

/* ---- expressions ---- */

%type a_expr {struct ast_expr *}
a_expr(A) ::= c_expr(E). { A = E; }
a_expr(A) ::= a_expr(L) TYPECAST(T) typename(N). { A = parse__cast(p, T.position, L, N); }
a_expr(A) ::= a_expr(L) AT(T) TIME ZONE a_expr(R). [AT] {
    struct expr_list args;
    LIST_ONE(args, R);
    LIST_ADD(args, L);
    A = parse__spelled_call(p, &T, "timezone", &args);
}
a_expr(A) ::= a_expr(L) OVERLAPS(T) a_expr(R). [OVERLAPS] { A = parse__overlaps(p, &T, L, R); }
a_expr(A) ::= PLUS(T) a_expr(R). [UMINUS] { A = parse__operator(p, &T, NULL, R); }
a_expr(A) ::= MINUS(T) a_expr(R). [UMINUS] { A = parse__negate(p, &T, R); }
a_expr(A) ::= a_expr(L) PLUS(T) a_expr(R). [PLUS] { A = parse__operator(p, &T, L, R); }
a_expr(A) ::= a_expr(L) MINUS(T) a_expr(R). [PLUS] { A = parse__operator(p, &T, L, R); }
a_expr(A) ::= a_expr(L) STAR(T) a_expr(R). [STAR] { A = parse__operator(p, &T, L, R); }
a_expr(A) ::= a_expr(L) SLASH(T) a_expr(R). [STAR] { A = parse__operator(p, &T, L, R); }
a_expr(A) ::= a_expr(L) PERCENT(T) a_expr(R). [STAR] { A = parse__operator(p, &T, L, R); }
a_expr(A) ::= a_expr(L) CARET(T) a_expr(R). [CARET] { A = parse__operator(p, &T, L, R); }
a_expr(A) ::= a_expr(L) LESS(T) a_expr(R). [LESS] {
    A = parse__operator(p, &T, L, R);
}
a_expr(A) ::= a_expr(L) GREATER(T) a_expr(R). [LESS] {
    A = parse__operator(p, &T, L, R);
}
a_expr(A) ::= a_expr(L) EQUAL(T) a_expr(R). [LESS] {
    A = parse__operator(p, &T, L, R);
}
a_expr(A) ::= a_expr(L) LESS_EQUALS(T) a_expr(R). [LESS] {
    A = parse__operator(p, &T, L, R);
}
a_expr(A) ::= a_expr(L) GREATER_EQUALS(T) a_expr(R). [LESS] {
    A = parse__operator(p, &T, L, R);
}
a_expr(A) ::= a_expr(L) NOT_EQUALS(T) a_expr(R). [LESS] {
    A = parse__operator(p, &T, L, R);
}
a_expr(A) ::= a_expr(L) qual_op(T) a_expr(R). [OP] { A = parse__operator(p, &T, L, R); }
a_expr(A) ::= qual_op(T) a_expr(R). [OP] { A = parse__operator(p, &T, NULL, R); }
a_expr(A) ::= a_expr(L) AND(T) a_expr(R). [AND] { A = parse__logic(p, AST_AND, &T, L, R); }
a_expr(A) ::= a_expr(L) OR(T) a_expr(R). [OR] { A = parse__logic(p, AST_OR, &T, L, R); }
a_expr(A) ::= NOT(T) a_expr(R). [NOT] { A = parse__unary(p, AST_NOT, T.position, R); }
a_expr(A) ::= NOT_LA(T) a_expr(R). [NOT] { A = parse__unary(p, AST_NOT, T.position, R); }
a_expr(A) ::= a_expr(L) LIKE(T) a_expr(R). [LIKE] { A = parse__like(p, &T, L, R, NULL, false); }
a_expr(A) ::= a_expr(L) LIKE(T) a_expr(R) ESCAPE a_expr(E). [LIKE] { A = parse__like(p, &T, L, R, E, false); }
a_expr(A) ::= a_expr(L) NOT_LA(T) LIKE a_expr(R). [NOT_LA] { A = parse__like(p, &T, L, R, NULL, true); }
a_expr(A) ::= a_expr(L) NOT_LA(T) LIKE a_expr(R) ESCAPE a_expr(E). [NOT_LA] { A = parse__like(p, &T, L, R, E, true); }
a_expr(A) ::= a_expr(L) IS(T) NULL. [IS] { A = parse__test(p, &T, L, AST_IS_NULL, false); }
a_expr(A) ::= a_expr(L) ISNULL(T). [IS] { A = parse__test(p, &T, L, AST_IS_NULL, false); }
a_expr(A) ::= a_expr(L) IS(T) NOT NULL. [IS] { A = parse__test(p, &T, L, AST_IS_NULL, true); }
a_expr(A) ::= a_expr(L) NOTNULL(T). [IS] { A = parse__test(p, &T, L, AST_IS_NULL, true); }
a_expr(A) ::= a_expr(L) IS(T) TRUE. [IS] { A = parse__test(p, &T, L, AST_IS_TRUE, false); }
a_expr(A) ::= a_expr(L) IS(T) NOT TRUE. [IS] { A = parse__test(p, &T, L, AST_IS_TRUE, true); }
a_expr(A) ::= a_expr(L) IS(T) FALSE. [IS] { A = parse__test(p, &T, L, AST_IS_FALSE, false); }
a_expr(A) ::= a_expr(L) IS(T) NOT FALSE. [IS] { A = parse__test(p, &T, L, AST_IS_FALSE, true); }
a_expr(A) ::= a_expr(L) IS(T) UNKNOWN. [IS] { A = parse__test(p, &T, L, AST_IS_UNKNOWN, false); }
a_expr(A) ::= a_expr(L) IS(T) NOT UNKNOWN. [IS] { A = parse__test(p, &T, L, AST_IS_UNKNOWN, true); }
a_expr(A) ::= a_expr(L) IS(T) DISTINCT FROM a_expr(R). [IS] { A = parse__distinct(p, &T, L, R, false); }
a_expr(A) ::= a_expr(L) IS(T) NOT DISTINCT FROM a_expr(R). [IS] { A = parse__distinct(p, &T, L, R, true); }
a_expr(A) ::= a_expr(L) BETWEEN(T) opt_asymmetric b_expr(B) AND a_expr(C). [BETWEEN] {
    A = parse__between(p, &T, L, B, C, false, false);
}
a_expr(A) ::= a_expr(L) NOT_LA(T) BETWEEN opt_asymmetric b_expr(B) AND a_expr(C). [NOT_LA] {
    A = parse__between(p, &T, L, B, C, false, true);
}
a_expr(A) ::= a_expr(L) BETWEEN(T) SYMMETRIC b_expr(B) AND a_expr(C). [BETWEEN] {
    A = parse__between(p, &T, L, B, C, true, false);
}
a_expr(A) ::= a_expr(L) NOT_LA(T) BETWEEN SYMMETRIC b_expr(B) AND a_expr(C). [NOT_LA] {
    A = parse__between(p, &T, L, B, C, true, true);
}
opt_asymmetric ::= .
opt_asymmetric ::= ASYMMETRIC.
a_expr(A) ::= a_expr(L) IN(T) in_set(S). [IN] { A = parse__in(p, &T, L, S, false); }
a_expr(A) ::= a_expr(L) NOT_LA(T) IN in_set(S). [NOT_LA] { A = parse__in(p, &T, L, S, true); }
a_expr(A) ::= a_expr(L) any_op(T) quantifier(Q) select_with_parens(S). [OP] { A = parse__any(p, &T, &Q, L, S); }
a_expr(A) ::= a_expr(L) any_op(T) quantifier LP a_expr RP. [OP] { A = L; parse__refuse(p, T.position, "ANY or ALL of an array"); }

a_expr(A) ::= DEFAULT(T). { A = parse__expr(p, AST_DEFAULT, T.position); }

/* an expression list stands in an AST_ROW, a query in an AST_SUBQUERY */
%type in_set {struct ast_expr *}
in_set(A) ::= select_with_parens(S). { A = parse__subquery(p, AST_SUBQUERY, S->position, S); }
in_set(A) ::= LP(T) expr_list(L) RP. { A = parse__args(p, AST_ROW, &T, &L); }

quantifier(A) ::= ANY(A).
quantifier(A) ::= SOME(A).
quantifier(A) ::= ALL(A).

any_op(A) ::= plain_op(A).
any_op(A) ::= qual_op(A).
qual_op(A) ::= OP(A).
qual_op(A) ::= OPERATOR(T) LP any_operator(B) RP. { A = B; A.position = T.position; }
any_operator(A) ::= plain_op(A).
any_operator(A) ::= OP(A).
any_operator(A) ::= colid(S) DOT any_operator(T). {
    A = T;
    if (strcmp(S.text, "pg_catalog") != 0)
        op_fail_at(p->op, S.position, "3F000", "schema \"%s\" does not exist", S.text);
}
plain_op(A) ::= LESS(A).  plain_op(A) ::= GREATER(A).  plain_op(A) ::= EQUAL(A).  plain_op(A) ::= LESS_EQUALS(A).
plain_op(A) ::= GREATER_EQUALS(A).  plain_op(A) ::= NOT_EQUALS(A).  plain_op(A) ::= PLUS(A).
plain_op(A) ::= MINUS(A).  plain_op(A) ::= STAR(A).  plain_op(A) ::= SLASH(A).  plain_op(A) ::= PERCENT(A).
plain_op(A) ::= CARET(A).

%type b_expr {struct ast_expr *}
b_expr(A) ::= c_expr(E). { A = E; }
b_expr(A) ::= b_expr(L) TYPECAST(T) typename(N). { A = parse__cast(p, T.position, L, N); }
b_expr(A) ::= PLUS(T) b_expr(R). [UMINUS] { A = parse__operator(p, &T, NULL, R); }
b_expr(A) ::= MINUS(T) b_expr(R). [UMINUS] { A = parse__negate(p, &T, R); }
b_expr(A) ::= b_expr(L) PLUS(T) b_expr(R). [PLUS] { A = parse__operator(p, &T, L, R); }
b_expr(A) ::= b_expr(L) MINUS(T) b_expr(R). [PLUS] { A = parse__operator(p, &T, L, R); }
b_expr(A) ::= b_expr(L) STAR(T) b_expr(R). [STAR] { A = parse__operator(p, &T, L, R); }
b_expr(A) ::= b_expr(L) SLASH(T) b_expr(R). [STAR] { A = parse__operator(p, &T, L, R); }
b_expr(A) ::= b_expr(L) PERCENT(T) b_expr(R). [STAR] { A = parse__operator(p, &T, L, R); }
b_expr(A) ::= b_expr(L) CARET(T) b_expr(R). [CARET] { A = parse__operator(p, &T, L, R); }
b_expr(A) ::= b_expr(L) LESS(T) b_expr(R). [LESS] {
    A = parse__operator(p, &T, L, R);
}
b_expr(A) ::= b_expr(L) GREATER(T) b_expr(R). [LESS] {
    A = parse__operator(p, &T, L, R);
}
b_expr(A) ::= b_expr(L) EQUAL(T) b_expr(R). [LESS] {
    A = parse__operator(p, &T, L, R);
}
b_expr(A) ::= b_expr(L) LESS_EQUALS(T) b_expr(R). [LESS] {
    A = parse__operator(p, &T, L, R);
}
b_expr(A) ::= b_expr(L) GREATER_EQUALS(T) b_expr(R). [LESS] {
    A = parse__operator(p, &T, L, R);
}
b_expr(A) ::= b_expr(L) NOT_EQUALS(T) b_expr(R). [LESS] {
    A = parse__operator(p, &T, L, R);
}
b_expr(A) ::= b_expr(L) qual_op(T) b_expr(R). [OP] { A = parse__operator(p, &T, L, R); }
b_expr(A) ::= qual_op(T) b_expr(R). [OP] { A = parse__operator(p, &T, NULL, R); }
b_expr(A) ::= b_expr(L) IS(T) DISTINCT FROM b_expr(R). [IS] { A = parse__distinct(p, &T, L, R, false); }
b_expr(A) ::= b_expr(L) IS(T) NOT DISTINCT FROM b_expr(R). [IS] { A = parse__distinct(p, &T, L, R, true); }

%type c_expr {struct ast_expr *}
c_expr(A) ::= column_ref(E). { A = E; }
c_expr(A) ::= constant(E). { A = E; }
c_expr(A) ::= PARAM(T). { A = parse__param(p, &T); }
c_expr(A) ::= LP a_expr(E) RP. { A = E; }
c_expr(A) ::= case(E). { A = E; }
c_expr(A) ::= function(E). { A = E; }
c_expr(A) ::= select_with_parens(S). [UMINUS] { A = parse__subquery(p, AST_SUBQUERY, S->position, S); }
c_expr(A) ::= EXISTS(T) select_with_parens(S). { A = parse__subquery(p, AST_EXISTS, T.position, S); }
c_expr(A) ::= ROW(T) LP expr_list(L) RP. { A = parse__args(p, AST_ROW, &T, &L); }
c_expr(A) ::= ROW(T) LP RP. { struct expr_list none = { 0 }; A = parse__args(p, AST_ROW, &T, &none); }
c_expr(A) ::= LP(T) expr_list(L) COMMA a_expr(E) RP. { LIST_ADD(L, E); A = parse__args(p, AST_ROW, &T, &L); }

%type expr_list {struct expr_list}
expr_list(A) ::= a_expr(E). { LIST_ONE(A, E); }
expr_list(A) ::= expr_list(L) COMMA a_expr(E). { A = L; LIST_ADD(A, E); }

%type column_ref {struct ast_expr *}
column_ref(A) ::= colid(T). {
    struct word_list parts;
    LIST_ONE(parts, parse__word(p, &T));
    A = parse__column_ref(p, &parts, false);
}
column_ref(A) ::= colid(T) attributes(L). {
    struct word_list parts;
    LIST_ONE(parts, parse__word(p, &T));
    parts.first->next = L.first;
    parts.count += L.count;
    A = parse__column_ref(p, &parts, false);
}
column_ref(A) ::= colid(T) DOT STAR. {
    struct word_list parts;
    LIST_ONE(parts, parse__word(p, &T));
    A = parse__column_ref(p, &parts, true);
}
column_ref(A) ::= colid(T) attributes(L) DOT STAR. {
    struct word_list parts;
    LIST_ONE(parts, parse__word(p, &T));
    parts.first->next = L.first;
    parts.count += L.count;
    A = parse__column_ref(p, &parts, true);
}

%type constant {struct ast_expr *}
constant(A) ::= ICONST(T). { A = parse__constant(p, AST_INTEGER, &T); }
constant(A) ::= FCONST(T). { A = parse__constant(p, AST_NUMBER, &T); }
constant(A) ::= SCONST(T). { A = parse__constant(p, AST_STRING, &T); }
constant(A) ::= TRUE(T). { A = parse__constant(p, AST_BOOL, &T); A->boolean = true; }
constant(A) ::= FALSE(T). { A = parse__constant(p, AST_BOOL, &T); A->boolean = false; }
constant(A) ::= NULL(T). { A = parse__constant(p, AST_NULL, &T); }
constant(A) ::= function_name(N) SCONST(T). {
    struct ast_name *name = parse__name(p, &N);
    struct ast_type *type = parse__type(p, N.first->position, name->name);
    type->schema = name->schema;
    A = parse__typed_literal(p, type, &T);
}
constant(A) ::= sql_type(N) SCONST(T). { A = parse__typed_literal(p, N, &T); }
constant(A) ::= INTERVAL(N) SCONST(T) interval_fields(F). {
    A = parse__typed_literal(p, parse__interval_type(p, N.position, F, NULL), &T);
}
constant(A) ::= INTERVAL(N) SCONST(T) seconds(F) LP ICONST(P) RP. {
    A = parse__typed_literal(p, parse__interval_type(p, N.position, F, &P), &T);
}
constant(A) ::= INTERVAL(N) LP ICONST(P) RP SCONST(T). {
    A = parse__typed_literal(p, parse__interval_type(p, N.position, INTERVAL_ALL, &P), &T);
}

%type case {struct ast_expr *}
case(A) ::= CASE(T) case_arg(B) when_list(L) case_else(E) END. {
    A = parse__args(p, AST_CASE, &T, &L);
    A->left = B;
    A->right = E;
}
%type case_arg {struct ast_expr *}
case_arg(A) ::= . { A = NULL; }
case_arg(A) ::= a_expr(E). { A = E; }
%type case_else {struct ast_expr *}
case_else(A) ::= . { A = NULL; }
case_else(A) ::= ELSE a_expr(E). { A = E; }
%type when_list {struct expr_list}
when_list(A) ::= WHEN(T) a_expr(W) THEN a_expr(E). {
    W->clause_position = T.position;
    LIST_ONE(A, W);
    LIST_ADD(A, E);
}
when_list(A) ::= when_list(L) WHEN(T) a_expr(W) THEN a_expr(E). {
    W->clause_position = T.position;
    A = L;
    LIST_ADD(A, W);
    LIST_ADD(A, E);
}

/* ---- functions ---- */

%type function_name {struct word_list}
function_name(A) ::= type_function_name(T). { LIST_ONE(A, parse__word(p, &T)); }
function_name(A) ::= colid(T) attributes(L). {
    A = L;
    struct ast_word *first = parse__word(p, &T);
    first->next = L.first;
    A.first = first;
    A.count++;
}

%type function {struct ast_expr *}
function(A) ::= application(E). { A = E; }
function(A) ::= application(E) FILTER LP WHERE a_expr(F) RP. { A = E; A->call.filter = F; }
function(A) ::= spelled(E). { A = E; }

%type application {struct ast_expr *}
application(A) ::= function_name(N) LP RP. { struct expr_list none = { 0 }; A = parse__call(p, &N, &none); }
application(A) ::= function_name(N) LP STAR RP. {
    struct expr_list none = { 0 };
    A = parse__call(p, &N, &none);
    A->call.star = true;
}
application(A) ::= function_name(N) LP expr_list(L) opt_order(O) RP. {
    A = parse__call(p, &N, &L);
    A->call.order = O.first;
}
application(A) ::= function_name(N) LP ALL expr_list(L) opt_order(O) RP. {
    A = parse__call(p, &N, &L);
    A->call.order = O.first;
}
application(A) ::= function_name(N) LP DISTINCT expr_list(L) opt_order(O) RP. {
    A = parse__call(p, &N, &L);
    A->call.distinct = true;
    A->call.order = O.first;
}

/* functions with a syntax of their own */
%type spelled {struct ast_expr *}
spelled(A) ::= CURRENT_DATE(T). {
    A = parse__expr(p, AST_CLOCK, T.position);
    A->call.name = T.text;
}
spelled(A) ::= CURRENT_TIMESTAMP(T). {
    A = parse__expr(p, AST_CLOCK, T.position);
    A->call.name = T.text;
}
spelled(A) ::= LOCALTIMESTAMP(T). {
    A = parse__expr(p, AST_CLOCK, T.position);
    A->call.name = T.text;
}
spelled(A) ::= LOCALTIME(T). {
    A = parse__expr(p, AST_CLOCK, T.position);
    A->call.name = T.text;
}
spelled(A) ::= CURRENT_TIMESTAMP(T) LP ICONST(N) RP. { A = parse__rounded_clock(p, &T, "timestamptz", &N); }
spelled(A) ::= LOCALTIMESTAMP(T) LP ICONST(N) RP. { A = parse__rounded_clock(p, &T, "timestamp", &N); }
spelled(A) ::= LOCALTIME(T) LP ICONST(N) RP. { A = parse__rounded_clock(p, &T, "time", &N); }
spelled(A) ::= EXTRACT(T) LP time_field(F) FROM a_expr(E) RP. {
    struct expr_list args;
    LIST_ONE(args, F);
    LIST_ADD(args, E);
    A = parse__spelled_call(p, &T, "extract", &args);
}
%type time_field {struct ast_expr *}
time_field(A) ::= SCONST(T). { A = parse__constant(p, AST_STRING, &T); }
time_field(A) ::= IDENT(T). { A = parse__constant(p, AST_STRING, &T); }
time_field(A) ::= YEAR(T). { A = parse__constant(p, AST_STRING, &T); }
time_field(A) ::= MONTH(T). { A = parse__constant(p, AST_STRING, &T); }
time_field(A) ::= DAY(T). { A = parse__constant(p, AST_STRING, &T); }
time_field(A) ::= HOUR(T). { A = parse__constant(p, AST_STRING, &T); }
time_field(A) ::= MINUTE(T). { A = parse__constant(p, AST_STRING, &T); }
time_field(A) ::= SECOND(T). { A = parse__constant(p, AST_STRING, &T); }
spelled(A) ::= CAST(T) LP a_expr(E) AS typename(N) RP. { A = parse__cast(p, T.position, E, N); }
spelled(A) ::= COALESCE(T) LP expr_list(L) RP. { A = parse__args(p, AST_COALESCE, &T, &L); }
spelled(A) ::= GREATEST(T) LP expr_list(L) RP. { A = parse__args(p, AST_GREATEST, &T, &L); }
spelled(A) ::= LEAST(T) LP expr_list(L) RP. { A = parse__args(p, AST_LEAST, &T, &L); }
spelled(A) ::= NULLIF(T) LP a_expr(L) COMMA a_expr(R) RP. {
    A = parse__expr(p, AST_NULLIF, T.position);
    A->left = L;
    A->right = R;
}
spelled(A) ::= POSITION(T) LP b_expr(B) IN b_expr(S) RP. {
    struct expr_list args;
    LIST_ONE(args, S);
    LIST_ADD(args, B);
    A = parse__spelled_call(p, &T, "position", &args);
}
spelled(A) ::= SUBSTRING(T) LP a_expr(E) FROM a_expr(F) FOR a_expr(N) RP. {
    struct expr_list args;
    LIST_ONE(args, E);
    LIST_ADD(args, F);
    LIST_ADD(args, N);
    A = parse__spelled_call(p, &T, "substring", &args);
}
spelled(A) ::= SUBSTRING(T) LP a_expr(E) FOR a_expr(N) FROM a_expr(F) RP. {
    struct expr_list args;
    LIST_ONE(args, E);
    LIST_ADD(args, F);
    LIST_ADD(args, N);
    A = parse__spelled_call(p, &T, "substring", &args);
}
spelled(A) ::= SUBSTRING(T) LP a_expr(E) FROM a_expr(F) RP. {
    struct expr_list args;
    LIST_ONE(args, E);
    LIST_ADD(args, F);
    A = parse__spelled_call(p, &T, "substring", &args);
}
spelled(A) ::= SUBSTRING(T) LP a_expr(E) FOR a_expr(N) RP. {
    struct expr_list args;
    struct ast_expr *one = parse__expr(p, AST_INTEGER, 0);
    one->integer = 1;
    LIST_ONE(args, E);
    LIST_ADD(args, one);
    LIST_ADD(args, parse__cast(p, N->position, N, parse__type(p, N->position, "int4")));
    A = parse__spelled_call(p, &T, "substring", &args);
}
spelled(A) ::= SUBSTRING(T) LP expr_list(L) RP. { A = parse__spelled_call(p, &T, "substring", &L); A->call.spelled = false; }
spelled(A) ::= SUBSTRING(T) LP RP. {
    struct expr_list none = { 0 };
    A = parse__spelled_call(p, &T, "substring", &none);
    A->call.spelled = false;
}
spelled(A) ::= TRIM(T) LP trim_args(L) RP. { A = parse__spelled_call(p, &T, "btrim", &L); }
spelled(A) ::= TRIM(T) LP BOTH trim_args(L) RP. { A = parse__spelled_call(p, &T, "btrim", &L); }
spelled(A) ::= TRIM(T) LP LEADING trim_args(L) RP. { A = parse__spelled_call(p, &T, "ltrim", &L); }
spelled(A) ::= TRIM(T) LP TRAILING trim_args(L) RP. { A = parse__spelled_call(p, &T, "rtrim", &L); }
%type trim_args {struct expr_list}
trim_args(A) ::= a_expr(E) FROM expr_list(L). { A = L; LIST_ADD(A, E); }
trim_args(A) ::= FROM expr_list(L). { A = L; }
trim_args(A) ::= expr_list(L). { A = L; }
