/*
 * grammar.y -- PostgreSQL's grammar, as far as the engine carries it out.
 *
 * The shape of the rules and the precedence of operators are PostgreSQL's, because an LALR grammar of SQL hangs together by
 * small decisions that programs depend on: a_expr and b_expr (BETWEEN and DEFAULT take only the latter), which words may
 * be a column, a function, a label without AS, and how deep parentheses around a SELECT may go.  Tokens named _LA have been told
 * apart by the token behind them (parse.c): NOT before BETWEEN, IN, LIKE; NULLS before FIRST, LAST; WITH before TIME.
 *
 * What PostgreSQL has and the engine has not is either refused in a rule here, or has no rule: then the first word that
 * does not fit is looked up in refuse.c's table and refused by name.
 *
 * G1  There are no conflicts but those settled by the precedences below.
 * G2  Actions only build nodes (parse.h); they do not fail.
 */
%name grammar
%token_prefix TK_
%token_type {struct token}
%extra_argument {struct parse *p}
%stack_size 0

%include {
#include <stdlib.h>
#include <string.h>

#include "sql/grammar.h"
#include "sql/interval.h"
#include "sql/parse.h"
#include "src/base/mem.h"

/* the parser's stack grows on the counted heap */
#define realloc mem_realloc
#define malloc mem_alloc
#define free mem_free

#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wsign-compare"
}

%syntax_error {
    parse__unexpected(p, &TOKEN);
}
%stack_overflow {
    op_out_of_memory(p->op);
}

/* ---- precedence, lowest first ---- */

%nonassoc SET.
%left UNION EXCEPT.
%left INTERSECT.
%left OR.
%left AND.
%right NOT.
%nonassoc IS ISNULL NOTNULL.
%nonassoc LESS GREATER EQUAL LESS_EQUALS GREATER_EQUALS NOT_EQUALS.
%nonassoc BETWEEN IN LIKE NOT_LA.
%nonassoc ESCAPE.
%nonassoc OVERLAPS.
%nonassoc IDENT.
%left OP OPERATOR.
%left PLUS MINUS.
%left STAR SLASH PERCENT.
%left CARET.
%left AT.
%right UMINUS.
%left LBRACKET RBRACKET.
%left LP RP.
%left TYPECAST.
%left DOT.
%left JOIN CROSS LEFT FULL RIGHT INNER NATURAL.

/* tokens that only the lexer makes and no rule takes, or that are told apart after it */
%token ILLEGAL COLON COLON_EQUALS EQUALS_GREATER DOT_DOT BCONST NCONST USCONST UIDENT UESCAPE WORD_RESERVED WORD_RESERVED_AS
       WORD_UNRESERVED_AS WORD_COLUMN WORD_TYPE WORD_TYPE_AS NULLS WITH_LA EXPRESSION_TEXT SEMI.

/* ---- a statement ---- */

input ::= statement(S). { p->statement = S; }
input ::= EXPRESSION_TEXT a_expr(E). { p->expr = E; }

%type statement {struct statement *}
%type data_statement {struct statement *}
statement(A) ::= data_statement(S). { A = S; }
statement(A) ::= create_table(S). { A = S; }
statement(A) ::= create_index(S). { A = S; }
statement(A) ::= drop(S). { A = S; }
statement(A) ::= alter(S). { A = S; }
statement(A) ::= truncate(S). { A = S; }
statement(A) ::= named(S). { A = S; }
statement(A) ::= cursor(S). { A = S; }
statement(A) ::= lock(S). { A = S; }
statement(A) ::= transaction(S). { A = S; }
statement(A) ::= set(S). { A = S; }
statement(A) ::= show(S). { A = S; }
statement(A) ::= copy(S). { A = S; }
statement(A) ::= explain(S). { A = S; }
statement(A) ::= maintain(S). { A = S; }

data_statement(A) ::= select(S). {
    A = parse__statement(p, STATEMENT_SELECT, NULL);
    A->select = S;
    A->position = S->position;
}
data_statement(A) ::= insert(S). { A = S; }
data_statement(A) ::= update(S). { A = S; }
data_statement(A) ::= delete(S). { A = S; }

/* ---- names ---- */

%type attributes {struct word_list}
attributes(A) ::= DOT collabel(T). { LIST_ONE(A, parse__word(p, &T)); }
attributes(A) ::= attributes(L) DOT collabel(T). { A = L; LIST_ADD(A, parse__word(p, &T)); }

%type dotted {struct word_list}
dotted(A) ::= colid(T). { LIST_ONE(A, parse__word(p, &T)); }
dotted(A) ::= colid(T) attributes(L). {
    A = L;
    struct ast_word *first = parse__word(p, &T);
    first->next = L.first;
    A.first = first;
    A.count++;
}

%type qualified_name {struct ast_name *}
qualified_name(A) ::= dotted(L). { A = parse__name(p, &L); }

%type qualified_names {struct name_list}
qualified_names(A) ::= qualified_name(N). { LIST_ONE(A, N); }
qualified_names(A) ::= qualified_names(L) COMMA qualified_name(N). { A = L; LIST_ADD(A, N); }

%type columns {struct word_list}
columns(A) ::= colid(T). { LIST_ONE(A, parse__word(p, &T)); }
columns(A) ::= columns(L) COMMA colid(T). { A = L; LIST_ADD(A, parse__word(p, &T)); }

%type column_list {struct word_list}
column_list(A) ::= LP columns(L) RP. { A = L; }
%type opt_column_list {struct word_list}
opt_column_list(A) ::= . { LIST_INIT(A); }
opt_column_list(A) ::= column_list(L). { A = L; }

%type number {const char *}
number(A) ::= unsigned(T). { A = T.text; }
number(A) ::= PLUS unsigned(T). { A = T.text; }
number(A) ::= MINUS unsigned(T). { A = parse__text(p, "-%s", T.text); }

unsigned(A) ::= ICONST(A).
unsigned(A) ::= FCONST(A).

/* ---- SELECT ---- */

%type select {struct ast_select *}
select(A) ::= select_no_parens(S). [UMINUS] { A = S; }
select(A) ::= select_with_parens(S). [UMINUS] { A = S; }

%type select_with_parens {struct ast_select *}
select_with_parens(A) ::= LP(T) select_no_parens(S) RP. { A = S; A->position = T.position; }
select_with_parens(A) ::= LP select_with_parens(S) RP. { A = S; }

%type select_no_parens {struct ast_select *}
select_no_parens(A) ::= simple_select(S). { A = S; }
select_no_parens(A) ::= select_clause(S) order_by(O). { A = parse__order_limit(p, S, &O, NULL); }
select_no_parens(A) ::= select_clause(S) opt_order(O) limits(L). { A = parse__order_limit(p, S, &O, &L); }
select_no_parens(A) ::= select_clause(S) opt_order(O) locking(K). { A = parse__locking(p, parse__order_limit(p, S, &O, NULL), &K); }
select_no_parens(A) ::= select_clause(S) opt_order(O) locking(K) limits(L). {
    A = parse__locking(p, parse__order_limit(p, S, &O, &L), &K);
}
select_no_parens(A) ::= select_clause(S) opt_order(O) limits(L) locking(K). {
    A = parse__locking(p, parse__order_limit(p, S, &O, &L), &K);
}

%type locking {struct locking_list}
locking(A) ::= FOR READ ONLY. { LIST_INIT(A); }
locking(A) ::= row_locks(L). { A = L; }
%type row_locks {struct locking_list}
row_locks(A) ::= row_lock(K). { LIST_ONE(A, K); }
row_locks(A) ::= row_locks(L) row_lock(K). { A = L; LIST_ADD(A, K); }
%type row_lock {struct ast_locking *}
row_lock(A) ::= FOR(T) row_lock_mode(M) lock_of(L) lock_wait(W). {
    A = PARSE_NEW(p, ast_locking);
    A->mode = M;
    A->tables = L.first;
    A->wait = W;
    A->position = T.position;
}
%type row_lock_mode {enum txn_row_lock}
row_lock_mode(A) ::= KEY SHARE. { A = TXN_FOR_KEY_SHARE; }
row_lock_mode(A) ::= SHARE. { A = TXN_FOR_SHARE; }
row_lock_mode(A) ::= NO KEY UPDATE. { A = TXN_FOR_NO_KEY_UPDATE; }
row_lock_mode(A) ::= UPDATE. { A = TXN_FOR_UPDATE; }
%type lock_of {struct name_list}
lock_of(A) ::= . { LIST_INIT(A); }
lock_of(A) ::= OF qualified_names(L). { A = L; }
%type lock_wait {enum ast_wait}
lock_wait(A) ::= . { A = AST_WAIT; }
lock_wait(A) ::= NOWAIT. { A = AST_NOWAIT; }
lock_wait(A) ::= SKIP LOCKED. { A = AST_SKIP_LOCKED; }

%type select_clause {struct ast_select *}
select_clause(A) ::= simple_select(S). { A = S; }
select_clause(A) ::= select_with_parens(S). { A = S; }

%type simple_select {struct ast_select *}
simple_select(A) ::= SELECT(T) opt_all opt_targets(L) from(F) where(W) groups(G) having(H). {
    A = PARSE_NEW(p, ast_select);
    A->position = T.position;
    A->targets = L.first;
    A->from = F.first;
    A->where = W;
    A->groups = G.first;
    A->having = H;
}
simple_select(A) ::= SELECT(T) DISTINCT targets(L) from(F) where(W) groups(G) having(H). {
    A = PARSE_NEW(p, ast_select);
    A->position = T.position;
    A->distinct = true;
    A->targets = L.first;
    A->from = F.first;
    A->where = W;
    A->groups = G.first;
    A->having = H;
}
simple_select(A) ::= values(V). { A = V; }
simple_select(A) ::= TABLE(T) qualified_name(N). {
    struct word_list none = { 0 };
    A = PARSE_NEW(p, ast_select);
    A->position = T.position;
    A->targets = PARSE_NEW(p, ast_target);
    A->targets->position = T.position;
    A->targets->expr = parse__column_ref(p, &none, true);
    A->from = PARSE_NEW(p, ast_from);
    A->from->table = N;
    A->from->position = N->position;
}
simple_select(A) ::= select_clause(L) UNION set_quantifier(Q) select_clause(R). {
    A = parse__set_operation(p, AST_UNION, L, R, Q);
}
simple_select(A) ::= select_clause(L) INTERSECT set_quantifier(Q) select_clause(R). {
    A = parse__set_operation(p, AST_INTERSECT, L, R, Q);
}
simple_select(A) ::= select_clause(L) EXCEPT set_quantifier(Q) select_clause(R). {
    A = parse__set_operation(p, AST_EXCEPT, L, R, Q);
}

opt_all ::= .
opt_all ::= ALL.
%type set_quantifier {bool}
set_quantifier(A) ::= . { A = false; }
set_quantifier(A) ::= DISTINCT. { A = false; }
set_quantifier(A) ::= ALL. { A = true; }

%type values {struct ast_select *}
values(A) ::= VALUES(T) rows(L). {
    A = PARSE_NEW(p, ast_select);
    A->kind = AST_SELECT_VALUES;
    A->position = T.position;
    A->rows = L.first;
}
%type rows {struct row_list}
rows(A) ::= row(R). { LIST_ONE(A, R); }
rows(A) ::= rows(L) COMMA row(R). { A = L; LIST_ADD(A, R); }
%type row {struct ast_row *}
row(A) ::= LP(T) expr_list(L) RP. {
    A = PARSE_NEW(p, ast_row);
    A->position = T.position;
    A->values = L.first;
    A->count = L.count;
}

%type opt_targets {struct target_list}
opt_targets(A) ::= . { LIST_INIT(A); }
opt_targets(A) ::= targets(L). { A = L; }
%type targets {struct target_list}
targets(A) ::= target(T). { LIST_ONE(A, T); }
targets(A) ::= targets(L) COMMA target(T). { A = L; LIST_ADD(A, T); }
%type target {struct ast_target *}
target(A) ::= a_expr(E) AS collabel(T). {
    A = PARSE_NEW(p, ast_target);
    A->expr = E;
    A->label = T.text;
    A->position = E->position;
}
target(A) ::= a_expr(E) barelabel(T). {
    A = PARSE_NEW(p, ast_target);
    A->expr = E;
    A->label = T.text;
    A->position = E->position;
}
target(A) ::= a_expr(E). {
    A = PARSE_NEW(p, ast_target);
    A->expr = E;
    A->position = E->position;
}
target(A) ::= STAR(T). {
    struct word_list none = { 0 };
    A = PARSE_NEW(p, ast_target);
    A->position = T.position;
    A->expr = parse__column_ref(p, &none, true);
    A->expr->position = T.position;
}

%type where {struct ast_expr *}
where(A) ::= . { A = NULL; }
where(A) ::= WHERE a_expr(E). { A = E; }
%type groups {struct expr_list}
groups(A) ::= . { LIST_INIT(A); }
groups(A) ::= GROUP BY expr_list(L). { A = L; }
groups(A) ::= GROUP BY ALL(T) expr_list(L). { A = L; parse__refuse(p, T.position, "GROUP BY with ALL or DISTINCT"); }
groups(A) ::= GROUP BY DISTINCT(T) expr_list(L). { A = L; parse__refuse(p, T.position, "GROUP BY with ALL or DISTINCT"); }
%type having {struct ast_expr *}
having(A) ::= . { A = NULL; }
having(A) ::= HAVING a_expr(E). { A = E; }

%type opt_order {struct order_list}
opt_order(A) ::= . { LIST_INIT(A); }
opt_order(A) ::= order_by(L). { A = L; }
%type order_by {struct order_list}
order_by(A) ::= ORDER BY orders(L). { A = L; }
%type orders {struct order_list}
orders(A) ::= order(O). { LIST_ONE(A, O); }
orders(A) ::= orders(L) COMMA order(O). { A = L; LIST_ADD(A, O); }
%type order {struct ast_order *}
order(A) ::= a_expr(E) direction(D) nulls(N). {
    A = PARSE_NEW(p, ast_order);
    A->expr = E;
    A->position = E->position;
    A->descending = D;
    A->nulls_given = N != AST_CHOICE_NONE;
    A->nulls_first = N == AST_CHOICE_NONE ? D : N == AST_CHOICE_YES;
}
%type direction {bool}
direction(A) ::= . { A = false; }
direction(A) ::= ASC. { A = false; }
direction(A) ::= DESC. { A = true; }
%type nulls {enum ast_choice}
nulls(A) ::= . { A = AST_CHOICE_NONE; }
nulls(A) ::= NULLS_LA FIRST. { A = AST_CHOICE_YES; }
nulls(A) ::= NULLS_LA LAST. { A = AST_CHOICE_NO; }

%type limits {struct limits}
limits(A) ::= limit(L) offset(O). { A = (struct limits){ L, O }; }
limits(A) ::= offset(O) limit(L). { A = (struct limits){ L, O }; }
limits(A) ::= limit(L). { A = (struct limits){ L, NULL }; }
limits(A) ::= offset(O). { A = (struct limits){ NULL, O }; }
%type limit {struct ast_expr *}
limit(A) ::= LIMIT a_expr(E). { A = E; }
limit(A) ::= LIMIT ALL(T). { A = parse__constant(p, AST_NULL, &T); }
limit(A) ::= FETCH first_or_next c_expr(E) row_or_rows ONLY. { A = E; }
limit(A) ::= FETCH(T) first_or_next row_or_rows ONLY. { A = parse__constant(p, AST_INTEGER, &T); A->integer = 1; }
first_or_next ::= FIRST.
first_or_next ::= NEXT.
row_or_rows ::= ROW.
row_or_rows ::= ROWS.
%type offset {struct ast_expr *}
offset(A) ::= OFFSET a_expr(E). { A = E; }
offset(A) ::= OFFSET c_expr(E) row_or_rows. { A = E; }

/* ---- FROM ---- */

%type from {struct from_list}
from(A) ::= . { LIST_INIT(A); }
from(A) ::= FROM from_list(L). { A = L; }
%type from_list {struct from_list}
from_list(A) ::= table_ref(F). { LIST_ONE(A, F); }
from_list(A) ::= from_list(L) COMMA table_ref(F). { A = L; LIST_ADD(A, F); }

%type table_ref {struct ast_from *}
table_ref(A) ::= relation(N) opt_alias(S). {
    A = PARSE_NEW(p, ast_from);
    A->position = N->position;
    A->table = N;
    A->alias = S.name;
    A->columns = S.columns;
}
table_ref(A) ::= function_table(E) opt_alias(S). {
    A = PARSE_NEW(p, ast_from);
    A->kind = AST_FROM_CALL;
    A->position = E->position;
    A->call = E;
    A->alias = S.name;
    A->columns = S.columns;
}
table_ref(A) ::= select_with_parens(Q) opt_alias(S). {
    A = PARSE_NEW(p, ast_from);
    A->kind = AST_FROM_SELECT;
    A->position = Q->position;
    A->select = Q;
    A->alias = S.name;
    A->columns = S.columns;
    if (!S.name && !op_failed(p->op)) {
        bool rows = Q->kind == AST_SELECT_VALUES;
        op_fail_at(p->op, Q->position, "42601", rows ? "VALUES in FROM must have an alias" : "subquery in FROM must have an alias");
        op_hint(p->op, rows ? "For example, FROM (VALUES ...) [AS] foo." : "For example, FROM (SELECT ...) [AS] foo.");
    }
}
table_ref(A) ::= joined(J). { A = J; }
table_ref(A) ::= LP joined(J) RP alias. { A = J; parse__refuse(p, J->position, "An alias of a join"); }

%type relation {struct ast_name *}
relation(A) ::= qualified_name(N). { A = N; }
relation(A) ::= qualified_name(N) STAR. { A = N; }
relation(A) ::= ONLY qualified_name(N). { A = N; }
relation(A) ::= ONLY LP qualified_name(N) RP. { A = N; }

%type function_table {struct ast_expr *}
function_table(A) ::= application(E). { A = E; }
function_table(A) ::= spelled(E). { A = E; }

%type opt_alias {struct alias}
opt_alias(A) ::= . { A = (struct alias){ NULL, NULL }; }
opt_alias(A) ::= alias(S). { A = S; }
%type alias {struct alias}
alias(A) ::= AS colid(T) LP columns(L) RP. { A = (struct alias){ T.text, L.first }; }
alias(A) ::= AS colid(T). { A = (struct alias){ T.text, NULL }; }
alias(A) ::= colid(T) LP columns(L) RP. { A = (struct alias){ T.text, L.first }; }
alias(A) ::= colid(T). { A = (struct alias){ T.text, NULL }; }

%type joined {struct ast_from *}
joined(A) ::= LP joined(J) RP. { A = J; }
joined(A) ::= table_ref(L) CROSS(T) JOIN table_ref(R). { A = parse__join(p, &T, AST_JOIN_INNER, L, R); }
joined(A) ::= table_ref(L) join_kind(K) JOIN(T) table_ref(R) join_condition(C). {
    A = parse__join(p, &T, K, L, R);
    A->on = C.on;
    A->using = C.using;
}
joined(A) ::= table_ref(L) JOIN(T) table_ref(R) join_condition(C). {
    A = parse__join(p, &T, AST_JOIN_INNER, L, R);
    A->on = C.on;
    A->using = C.using;
}
joined(A) ::= table_ref(L) NATURAL(T) join_kind(K) JOIN table_ref(R). {
    A = parse__join(p, &T, K, L, R);
    A->natural = true;
}
joined(A) ::= table_ref(L) NATURAL(T) JOIN table_ref(R). {
    A = parse__join(p, &T, AST_JOIN_INNER, L, R);
    A->natural = true;
}
%type join_kind {enum ast_join_kind}
join_kind(A) ::= LEFT opt_outer. { A = AST_JOIN_LEFT; }
join_kind(A) ::= RIGHT opt_outer. { A = AST_JOIN_RIGHT; }
join_kind(A) ::= INNER. { A = AST_JOIN_INNER; }
join_kind(A) ::= FULL(T) opt_outer. { A = AST_JOIN_INNER; parse__refuse(p, T.position, "FULL JOIN"); }
opt_outer ::= .
opt_outer ::= OUTER.
/* struct ast_from serves to carry the condition */
%type join_condition {struct ast_from}
join_condition(A) ::= ON a_expr(E). { A = (struct ast_from){ .on = E }; }
join_condition(A) ::= USING column_list(L). { A = (struct ast_from){ .using = L.first }; }
join_condition(A) ::= USING column_list(L) AS(T) colid. {
    A = (struct ast_from){ .using = L.first };
    parse__refuse(p, T.position, "An alias of USING");
}

/* ---- INSERT, UPDATE, DELETE ---- */

%type insert {struct statement *}
insert(A) ::= INSERT(T) INTO insert_target(N) insert_rest(I) on_conflict(C) returning(R). {
    A = parse__statement(p, STATEMENT_INSERT, &T);
    A->insert = I;
    I->conflict = C;
    I->table = N.table;
    I->alias = N.alias;
    I->returning = R.first;
}
%type insert_target {struct ast_insert}
insert_target(A) ::= qualified_name(N). { A = (struct ast_insert){ .table = N }; }
insert_target(A) ::= qualified_name(N) AS colid(T). { A = (struct ast_insert){ .table = N, .alias = T.text }; }
%type insert_rest {struct ast_insert *}
insert_rest(A) ::= select(S). { A = PARSE_NEW(p, ast_insert); A->select = S; }
insert_rest(A) ::= LP columns(L) RP select(S). {
    A = PARSE_NEW(p, ast_insert);
    A->columns = L.first;
    A->select = S;
}
insert_rest(A) ::= DEFAULT VALUES. { A = PARSE_NEW(p, ast_insert); }

%type on_conflict {struct ast_conflict}
on_conflict(A) ::= . { A = (struct ast_conflict){ 0 }; }
on_conflict(A) ::= ON(T) CONFLICT conflict_target(C) DO NOTHING. {
    A = C;
    A.action = AST_CONFLICT_NOTHING;
    A.position = T.position;
}
on_conflict(A) ::= ON(T) CONFLICT conflict_target(C) DO UPDATE SET set_list(L) where(W). {
    A = C;
    A.action = AST_CONFLICT_UPDATE;
    A.position = T.position;
    A.sets = L.first;
    A.where = W;
}
%type conflict_target {struct ast_conflict}
conflict_target(A) ::= . { A = (struct ast_conflict){ 0 }; }
conflict_target(A) ::= LP(T) index_columns(L) RP where(W). {
    A = (struct ast_conflict){ .columns = L.first, .target_where = W, .target_position = T.position };
}
conflict_target(A) ::= ON CONSTRAINT colid(N). { A = (struct ast_conflict){ .constraint = N.text, .target_position = N.position }; }

%type returning {struct target_list}
returning(A) ::= . { LIST_INIT(A); }
returning(A) ::= RETURNING targets(L). { A = L; }

%type update {struct statement *}
update(A) ::= UPDATE(T) change_target(C) SET set_list(L) from(F) where(W) returning(R). {
    A = parse__statement(p, STATEMENT_UPDATE, &T);
    A->change = C;
    C->sets = L.first;
    C->where = W;
    C->returning = R.first;
    if (F.first)
        parse__refuse(p, F.first->position, "UPDATE ... FROM");
}
%type delete {struct statement *}
delete(A) ::= DELETE(T) FROM change_target(C) where(W) returning(R). {
    A = parse__statement(p, STATEMENT_DELETE, &T);
    A->change = C;
    C->where = W;
    C->returning = R.first;
}
%type change_target {struct ast_change *}
change_target(A) ::= relation(N). [UMINUS] { A = PARSE_NEW(p, ast_change); A->table = N; }
change_target(A) ::= relation(N) colid(T). { A = PARSE_NEW(p, ast_change); A->table = N; A->alias = T.text; }
change_target(A) ::= relation(N) AS colid(T). { A = PARSE_NEW(p, ast_change); A->table = N; A->alias = T.text; }

%type set_list {struct set_list}
set_list(A) ::= set_item(I). { LIST_ONE(A, I); }
set_list(A) ::= set_list(L) COMMA set_item(I). { A = L; LIST_ADD(A, I); }
%type set_item {struct ast_set_item *}
set_item(A) ::= colid(T) EQUAL a_expr(E). {
    A = PARSE_NEW(p, ast_set_item);
    A->column.text = T.text;
    A->column.position = T.position;
    A->value = E;
}
set_item(A) ::= colid(T) attributes EQUAL a_expr(E). {
    A = PARSE_NEW(p, ast_set_item);
    A->column.text = T.text;
    A->column.position = T.position;
    A->field = true;
    A->value = E;
}
set_item(A) ::= LP(T) columns RP EQUAL a_expr. {
    A = PARSE_NEW(p, ast_set_item);
    parse__refuse(p, T.position, "SET of several columns at once");
}

/* ---- CREATE and DROP ---- */

%type create_table {struct statement *}
create_table(A) ::= CREATE(T) TABLE qualified_name(N) LP opt_elements(L) RP. {
    A = parse__create_table(p, &T, N, false, L.first);
}
create_table(A) ::= CREATE(T) TABLE IF NOT EXISTS qualified_name(N) LP opt_elements(L) RP. {
    A = parse__create_table(p, &T, N, true, L.first);
}

%type opt_elements {struct element_list}
opt_elements(A) ::= . { LIST_INIT(A); }
opt_elements(A) ::= elements(L). { A = L; }
%type elements {struct element_list}
elements(A) ::= element(E). { LIST_ONE(A, E); }
elements(A) ::= elements(L) COMMA element(E). { A = L; LIST_ADD(A, E); }
%type element {struct element *}
element(A) ::= column_definition(C). { A = parse__element(p, ELEMENT_COLUMN, C->position); A->column = C; }
element(A) ::= table_constraint(E). { A = E; }
%type column_definition {struct ast_column *}
column_definition(A) ::= colid(T) typename(N) qualifiers(Q). { A = parse__column(p, &T, N, Q.first); }

%type table_constraint {struct element *}
table_constraint(A) ::= table_rule(E) attributes_of(L). { A = parse__qualified(p, E, L.first); }
table_constraint(A) ::= CONSTRAINT(C) colid(T) table_rule(E) attributes_of(L). {
    E->name = T.text;
    E->position = C.position;
    A = parse__qualified(p, E, L.first);
}
%type table_rule {struct element *}
table_rule(A) ::= PRIMARY(T) KEY column_list(L) include(I). {
    A = parse__constraint(p, AST_PRIMARY_KEY, T.position, L.first);
    A->constraint->include = I.first;
}
table_rule(A) ::= UNIQUE(T) column_list(L) include(I). {
    A = parse__constraint(p, AST_UNIQUE, T.position, L.first);
    A->constraint->include = I.first;
}
table_rule(A) ::= CHECK(T) LP(L) a_expr(E) RP(R). {
    A = parse__constraint(p, AST_CHECK, T.position, NULL);
    A->constraint->check = E;
    A->constraint->check_sql = parse__source(p, L.end, R.start);
}
table_rule(A) ::= FOREIGN(T) KEY column_list(L) references(E). {
    A = E;
    A->position = T.position;
    A->constraint->columns = L.first;
}
%type include {struct word_list}
include(A) ::= . { LIST_INIT(A); }
include(A) ::= INCLUDE column_list(L). { A = L; }

%type references {struct element *}
references(A) ::= REFERENCES(T) qualified_name(N) opt_column_list(C) match actions(E). {
    A = E;
    A->position = T.position;
    A->constraint->parent = N;
    A->constraint->parent_columns = C.first;
}
match ::= .
match ::= MATCH SIMPLE.
match ::= MATCH(T) FULL. { parse__refuse(p, T.position, "MATCH FULL"); }
match ::= MATCH(T) PARTIAL. { op_fail_at(p->op, T.position, "0A000", "MATCH PARTIAL not yet implemented"); }
%type actions {struct element *}
actions(A) ::= . { A = parse__constraint(p, AST_FOREIGN_KEY, 0, NULL); }
actions(A) ::= actions(E) ON DELETE action(C) opt_column_list(L). {
    A = E;
    A->constraint->on_delete = C;
    A->constraint->set_columns = L.first;
    if (L.first && C != 'n' && C != 'd')
        op_fail_at(p->op, L.first->position, "42601", "a column list with %s is only supported for ON DELETE actions",
                   C == 'c' ? "CASCADE" : C == 'r' ? "RESTRICT" : "NO ACTION");
}
actions(A) ::= actions(E) ON(T) UPDATE action(C) opt_column_list(L). {
    A = E;
    A->constraint->on_update = C;
    if (L.first)
        op_fail_at(p->op, T.position, "0A000", "a column list with %s is only supported for ON DELETE actions",
                   C == 'n' ? "SET NULL" : C == 'd' ? "SET DEFAULT" : C == 'c' ? "CASCADE" : C == 'r' ? "RESTRICT" : "NO ACTION");
}
%type action {char}
action(A) ::= NO ACTION. { A = 'a'; }
action(A) ::= RESTRICT. { A = 'r'; }
action(A) ::= CASCADE. { A = 'c'; }
action(A) ::= SET NULL. { A = 'n'; }
action(A) ::= SET DEFAULT. { A = 'd'; }

%type attributes_of {struct element_list}
attributes_of(A) ::= . { LIST_INIT(A); }
attributes_of(A) ::= attributes_of(L) constraint_attribute(E). { A = L; LIST_ADD(A, E); }
attributes_of(A) ::= attributes_of(L) NOT(T) VALID. { A = L; LIST_ADD(A, parse__element(p, ELEMENT_NOT_VALID, T.position)); }
%type constraint_attribute {struct element *}
constraint_attribute(A) ::= DEFERRABLE(T). { A = parse__element(p, ELEMENT_DEFERRABLE, T.position); }
constraint_attribute(A) ::= NOT(T) DEFERRABLE. { A = parse__element(p, ELEMENT_NOT_DEFERRABLE, T.position); }
constraint_attribute(A) ::= INITIALLY(T) DEFERRED. { A = parse__element(p, ELEMENT_DEFERRED, T.position); }
constraint_attribute(A) ::= INITIALLY(T) IMMEDIATE. { A = parse__element(p, ELEMENT_IMMEDIATE, T.position); }

%type qualifiers {struct element_list}
qualifiers(A) ::= . { LIST_INIT(A); }
qualifiers(A) ::= qualifiers(L) qualifier(E). { A = L; LIST_ADD(A, E); }
%type qualifier {struct element *}
qualifier(A) ::= column_constraint(E). { A = E; }
qualifier(A) ::= CONSTRAINT(C) colid(T) column_constraint(E). { A = E; A->name = T.text; A->position = C.position; }
qualifier(A) ::= constraint_attribute(E). { A = E; }
%type column_constraint {struct element *}
column_constraint(A) ::= NOT(T) NULL. { A = parse__element(p, ELEMENT_NOT_NULL, T.position); }
column_constraint(A) ::= NULL(T). { A = parse__element(p, ELEMENT_NULL, T.position); }
column_constraint(A) ::= UNIQUE(T). { A = parse__constraint(p, AST_UNIQUE, T.position, NULL); }
column_constraint(A) ::= PRIMARY(T) KEY. { A = parse__constraint(p, AST_PRIMARY_KEY, T.position, NULL); }
column_constraint(A) ::= CHECK(T) LP(L) a_expr(E) RP(R). {
    A = parse__constraint(p, AST_CHECK, T.position, NULL);
    A->constraint->check = E;
    A->constraint->check_sql = parse__source(p, L.end, R.start);
}
column_constraint(A) ::= references(E). { A = E; }
column_constraint(A) ::= DEFAULT(T) b_expr(E). {
    A = parse__element(p, ELEMENT_DEFAULT, T.position);
    A->value = E;
    A->value_sql = parse__source(p, T.end, p->previous_end);
}
column_constraint(A) ::= GENERATED(T) ALWAYS AS LP(L) a_expr(E) RP(R) STORED. {
    A = parse__element(p, ELEMENT_GENERATED, T.position);
    A->value = E;
    A->value_sql = parse__source(p, L.end, R.start);
}
column_constraint(A) ::= GENERATED(T) ALWAYS AS IDENTITY. {
    A = parse__element(p, ELEMENT_NULL, T.position);
    parse__refuse(p, T.position, "An identity column");
}
column_constraint(A) ::= GENERATED(T) BY DEFAULT AS IDENTITY. {
    A = parse__element(p, ELEMENT_NULL, T.position);
    parse__refuse(p, T.position, "An identity column");
}

%type create_index {struct statement *}
create_index(A) ::= CREATE(T) opt_unique(U) INDEX opt_index_name(I) ON relation(N) index_method LP index_columns(L) RP include(C)
                    index_where(W). {
    A = parse__statement(p, STATEMENT_CREATE_INDEX, &T);
    A->create_index = I;
    I->unique = U;
    I->table = N;
    I->columns = L.first;
    I->include = C.first;
    I->where = W.where;
    I->where_sql = W.where_sql;
}
/* struct ast_create_index serves to carry the condition */
%type index_where {struct ast_create_index}
index_where(A) ::= . { A = (struct ast_create_index){ 0 }; }
index_where(A) ::= WHERE(T) a_expr(E). {
    A = (struct ast_create_index){ .where = E, .where_sql = parse__source(p, T.end, p->previous_end) };
}
%type opt_unique {bool}
opt_unique(A) ::= . { A = false; }
opt_unique(A) ::= UNIQUE. { A = true; }
%type opt_index_name {struct ast_create_index *}
opt_index_name(A) ::= . { A = PARSE_NEW(p, ast_create_index); }
opt_index_name(A) ::= colid(T). { A = PARSE_NEW(p, ast_create_index); A->name = T.text; }
opt_index_name(A) ::= IF NOT EXISTS colid(T). {
    A = PARSE_NEW(p, ast_create_index);
    A->name = T.text;
    A->if_not_exists = true;
}
index_method ::= .
index_method ::= USING colid(T). {
    if (strcmp(T.text, "btree") != 0)
        parse__refuse(p, T.position, "An index method other than btree");
}
%type index_columns {struct index_column_list}
index_columns(A) ::= index_column(C). { LIST_ONE(A, C); }
index_columns(A) ::= index_columns(L) COMMA index_column(C). { A = L; LIST_ADD(A, C); }
%type index_column {struct ast_index_column *}
index_column(A) ::= colid(T) direction(D) nulls(N). {
    A = PARSE_NEW(p, ast_index_column);
    A->name = T.text;
    A->position = T.position;
    A->descending = D;
    A->nulls_first = N == AST_CHOICE_NONE ? D : N == AST_CHOICE_YES;
}
index_column(A) ::= index_call(C) direction(D) nulls(N). {
    A = C;
    A->descending = D;
    A->nulls_first = N == AST_CHOICE_NONE ? D : N == AST_CHOICE_YES;
}
index_column(A) ::= LP(T) a_expr(E) RP(R) direction(D) nulls(N). {
    A = PARSE_NEW(p, ast_index_column);
    A->position = T.position;
    A->expr = E;
    A->sql = E->kind == AST_CALL ? parse__source(p, T.end, R.start) : parse__source(p, T.start, R.end);
    A->label = E->kind == AST_CALL ? E->call.name : "expr";
    A->descending = D;
    A->nulls_first = N == AST_CHOICE_NONE ? D : N == AST_CHOICE_YES;
}
%type index_call {struct ast_index_column *}
index_call(A) ::= function_table(E). {
    A = PARSE_NEW(p, ast_index_column);
    A->position = E->position;
    A->expr = E;
    A->sql = parse__source(p, parse__offset(p, E->position), p->previous_end);
    A->label = E->kind == AST_CALL ? E->call.name : "expr";
}

%type drop {struct statement *}
drop(A) ::= DROP(T) TABLE dropped(D) opt_cascade(C). {
    A = parse__statement(p, STATEMENT_DROP_TABLE, &T);
    A->drop = D;
    D->cascade = C;
}
drop(A) ::= DROP(T) INDEX dropped(D) opt_cascade(C). {
    A = parse__statement(p, STATEMENT_DROP_INDEX, &T);
    A->drop = D;
    D->cascade = C;
}
%type dropped {struct ast_drop *}
dropped(A) ::= qualified_names(L). { A = PARSE_NEW(p, ast_drop); A->names = L.first; }
dropped(A) ::= IF EXISTS qualified_names(L). {
    A = PARSE_NEW(p, ast_drop);
    A->names = L.first;
    A->if_exists = true;
}
%type opt_cascade {bool}
opt_cascade(A) ::= . { A = false; }
opt_cascade(A) ::= CASCADE. { A = true; }
opt_cascade(A) ::= RESTRICT. { A = false; }

/* ---- ALTER, LOCK and TRUNCATE ---- */

%type alter {struct statement *}
alter(A) ::= ALTER(T) TABLE relation(N) alter_actions(L). { A = parse__alter(p, &T, N, false, L.first); }
alter(A) ::= ALTER(T) TABLE IF EXISTS relation(N) alter_actions(L). { A = parse__alter(p, &T, N, true, L.first); }
alter(A) ::= ALTER(T) TABLE relation(O) renaming(R). { A = parse__rename(p, &T, O, false, R); }
alter(A) ::= ALTER(T) TABLE IF EXISTS relation(O) renaming(R). { A = parse__rename(p, &T, O, true, R); }
alter(A) ::= ALTER(T) INDEX qualified_name(O) RENAME TO colid(N). {
    struct ast_rename *rename = parse__renaming(p, AST_RENAME_INDEX, NULL, &N);
    A = parse__rename(p, &T, O, false, rename);
}
alter(A) ::= ALTER(T) INDEX IF EXISTS qualified_name(O) RENAME TO colid(N). {
    struct ast_rename *rename = parse__renaming(p, AST_RENAME_INDEX, NULL, &N);
    A = parse__rename(p, &T, O, true, rename);
}
%type renaming {struct ast_rename *}
renaming(A) ::= RENAME TO colid(N). { A = parse__renaming(p, AST_RENAME_TABLE, NULL, &N); }
renaming(A) ::= RENAME opt_column colid(F) TO colid(N). { A = parse__renaming(p, AST_RENAME_COLUMN, &F, &N); }
renaming(A) ::= RENAME CONSTRAINT colid(F) TO colid(N). { A = parse__renaming(p, AST_RENAME_CONSTRAINT, &F, &N); }
opt_column ::= .
opt_column ::= COLUMN.
%type alter_actions {struct alter_list}
alter_actions(A) ::= alter_action(C). { LIST_ONE(A, C); }
alter_actions(A) ::= alter_actions(L) COMMA alter_action(C). { A = L; LIST_ADD(A, C); }
%type alter_action {struct ast_alter_action *}
alter_action(A) ::= ADD(T) column_definition(C). { A = parse__add_column(p, &T, C); }
alter_action(A) ::= ADD(T) COLUMN column_definition(C). { A = parse__add_column(p, &T, C); }
alter_action(A) ::= ADD(T) IF NOT EXISTS column_definition(C). { A = parse__add_column(p, &T, C); A->if_exists = true; }
alter_action(A) ::= ADD(T) COLUMN IF NOT EXISTS column_definition(C). { A = parse__add_column(p, &T, C); A->if_exists = true; }
alter_action(A) ::= ADD(T) table_constraint(E). { A = parse__add_constraint(p, &T, E); }
alter_action(A) ::= DROP opt_column colid(N) opt_cascade(C). { A = parse__action(p, AST_DROP_COLUMN, &N, N.text); A->cascade = C; }
alter_action(A) ::= DROP opt_column IF EXISTS colid(N) opt_cascade(C). {
    A = parse__action(p, AST_DROP_COLUMN, &N, N.text);
    A->cascade = C;
    A->if_exists = true;
}
alter_action(A) ::= DROP CONSTRAINT colid(N) opt_cascade(C). {
    A = parse__action(p, AST_DROP_CONSTRAINT, &N, N.text);
    A->cascade = C;
}
alter_action(A) ::= DROP CONSTRAINT IF EXISTS colid(N) opt_cascade(C). {
    A = parse__action(p, AST_DROP_CONSTRAINT, &N, N.text);
    A->cascade = C;
    A->if_exists = true;
}
alter_action(A) ::= VALIDATE CONSTRAINT colid(N). { A = parse__action(p, AST_VALIDATE_CONSTRAINT, &N, N.text); }
alter_action(A) ::= ALTER opt_column colid(N) SET DEFAULT(T) a_expr(E). {
    A = parse__action(p, AST_ALTER_DEFAULT, &N, N.text);
    A->value = E;
    A->value_sql = parse__source(p, T.end, p->previous_end);
}
alter_action(A) ::= ALTER opt_column colid(N) DROP DEFAULT. { A = parse__action(p, AST_DROP_DEFAULT, &N, N.text); }
alter_action(A) ::= ALTER opt_column colid(N) SET NOT NULL. { A = parse__action(p, AST_SET_NOT_NULL, &N, N.text); }
alter_action(A) ::= ALTER opt_column colid(N) DROP NOT NULL. { A = parse__action(p, AST_DROP_NOT_NULL, &N, N.text); }
alter_action(A) ::= ALTER opt_column colid(N) DROP EXPRESSION. { A = parse__action(p, AST_DROP_EXPRESSION, &N, N.text); }
alter_action(A) ::= ALTER opt_column colid(N) DROP EXPRESSION IF EXISTS. {
    A = parse__action(p, AST_DROP_EXPRESSION, &N, N.text);
    A->if_exists = true;
}
alter_action(A) ::= ALTER opt_column colid(N) opt_set_data TYPE typename(Y) opt_transform(E). {
    A = parse__action(p, AST_ALTER_TYPE, &N, N.text);
    A->type = Y;
    A->value = E;
}
opt_set_data ::= .
opt_set_data ::= SET DATA.
%type opt_transform {struct ast_expr *}
opt_transform(A) ::= . { A = NULL; }
opt_transform(A) ::= USING a_expr(E). { A = E; }

%type lock {struct statement *}
lock(A) ::= LOCK(T) opt_table relations(L) lock_mode(M) opt_nowait(W). {
    A = parse__statement(p, STATEMENT_LOCK, &T);
    A->lock = PARSE_NEW(p, ast_lock);
    A->lock->tables = L.first;
    A->lock->mode = M;
    A->lock->nowait = W;
}
%type lock_mode {enum txn_table_lock}
lock_mode(A) ::= . { A = TXN_ACCESS_EXCLUSIVE; }
lock_mode(A) ::= IN table_lock(M) MODE. { A = M; }
%type table_lock {enum txn_table_lock}
table_lock(A) ::= ACCESS SHARE. { A = TXN_ACCESS_SHARE; }
table_lock(A) ::= ROW SHARE. { A = TXN_ROW_SHARE; }
table_lock(A) ::= ROW EXCLUSIVE. { A = TXN_ROW_EXCLUSIVE; }
table_lock(A) ::= SHARE UPDATE EXCLUSIVE. { A = TXN_SHARE_UPDATE_EXCLUSIVE; }
table_lock(A) ::= SHARE. { A = TXN_SHARE; }
table_lock(A) ::= SHARE ROW EXCLUSIVE. { A = TXN_SHARE_ROW_EXCLUSIVE; }
table_lock(A) ::= EXCLUSIVE. { A = TXN_EXCLUSIVE; }
table_lock(A) ::= ACCESS EXCLUSIVE. { A = TXN_ACCESS_EXCLUSIVE; }
%type opt_nowait {bool}
opt_nowait(A) ::= . { A = false; }
opt_nowait(A) ::= NOWAIT. { A = true; }

%type truncate {struct statement *}
truncate(A) ::= TRUNCATE(T) opt_table relations(L) opt_restart(R) opt_cascade(C). {
    A = parse__statement(p, STATEMENT_TRUNCATE, &T);
    A->truncate = PARSE_NEW(p, ast_truncate);
    A->truncate->tables = L.first;
    A->truncate->restart = R;
    A->truncate->cascade = C;
}
opt_table ::= .
opt_table ::= TABLE.
%type relations {struct name_list}
relations(A) ::= relation(N). { LIST_ONE(A, N); }
relations(A) ::= relations(L) COMMA relation(N). { A = L; LIST_ADD(A, N); }
%type opt_restart {bool}
opt_restart(A) ::= . { A = false; }
opt_restart(A) ::= CONTINUE IDENTITY. { A = false; }
opt_restart(A) ::= RESTART IDENTITY. { A = true; }

/* ---- PREPARE and cursors ---- */

%type named {struct statement *}
named(A) ::= PREPARE(T) colid(N) prepare_types(L) AS data_statement(S). {
    A = parse__statement(p, STATEMENT_PREPARE, &T);
    A->prepare = PARSE_NEW(p, ast_prepare);
    A->prepare->name = N.text;
    A->prepare->types = L.first;
    A->prepare->statement = S;
}
named(A) ::= EXECUTE(T) colid(N) execute_args(L). {
    A = parse__statement(p, STATEMENT_EXECUTE, &T);
    A->prepare = PARSE_NEW(p, ast_prepare);
    A->prepare->name = N.text;
    A->prepare->args = L.first;
    A->prepare->arg_count = L.count;
}
named(A) ::= DEALLOCATE(T) colid(N). { A = parse__deallocate(p, &T, N.text); }
named(A) ::= DEALLOCATE(T) PREPARE colid(N). { A = parse__deallocate(p, &T, N.text); }
named(A) ::= DEALLOCATE(T) ALL. { A = parse__deallocate(p, &T, NULL); }
named(A) ::= DEALLOCATE(T) PREPARE ALL. { A = parse__deallocate(p, &T, NULL); }
%type prepare_types {struct type_list}
prepare_types(A) ::= . { LIST_INIT(A); }
prepare_types(A) ::= LP types(L) RP. { A = L; }
%type types {struct type_list}
types(A) ::= typename(N). { LIST_ONE(A, N); }
types(A) ::= types(L) COMMA typename(N). { A = L; LIST_ADD(A, N); }
%type execute_args {struct expr_list}
execute_args(A) ::= . { LIST_INIT(A); }
execute_args(A) ::= LP expr_list(L) RP. { A = L; }

%type cursor {struct statement *}
cursor(A) ::= DECLARE(T) colid(N) cursor_options(O) CURSOR hold(H) FOR select(S). {
    A = parse__statement(p, STATEMENT_DECLARE, &T);
    A->cursor = O;
    O->name = N.text;
    O->hold = H;
    O->statement = parse__statement(p, STATEMENT_SELECT, &T);
    O->statement->select = S;
    if (O->scroll && O->no_scroll)
        op_fail(p->op, "42P11", "cannot specify both %s and %s", "SCROLL", "NO SCROLL");
}
cursor(A) ::= CLOSE(T) colid(N). {
    A = parse__statement(p, STATEMENT_CLOSE, &T);
    A->cursor = PARSE_NEW(p, ast_cursor);
    A->cursor->name = N.text;
}
cursor(A) ::= CLOSE(T) ALL. {
    A = parse__statement(p, STATEMENT_CLOSE, &T);
    A->cursor = PARSE_NEW(p, ast_cursor);
}
cursor(A) ::= FETCH(T) fetch(F). { A = parse__statement(p, STATEMENT_FETCH, &T); A->fetch = F; }
cursor(A) ::= MOVE(T) fetch(F). { A = parse__statement(p, STATEMENT_FETCH, &T); A->fetch = F; F->move = true; }
%type cursor_options {struct ast_cursor *}
cursor_options(A) ::= . { A = PARSE_NEW(p, ast_cursor); }
cursor_options(A) ::= cursor_options(O) SCROLL. { A = O; A->scroll = true; }
cursor_options(A) ::= cursor_options(O) NO SCROLL. { A = O; A->no_scroll = true; }
cursor_options(A) ::= cursor_options(O) INSENSITIVE. { A = O; }
cursor_options(A) ::= cursor_options(O) ASENSITIVE. { A = O; }
cursor_options(A) ::= cursor_options(O) BINARY(T). { A = O; parse__refuse(p, T.position, "A BINARY cursor"); }
%type hold {bool}
hold(A) ::= . { A = false; }
hold(A) ::= WITH HOLD. { A = true; }
hold(A) ::= WITHOUT HOLD. { A = false; }
%type fetch {struct ast_fetch *}
fetch(A) ::= opt_from_in_name(N). { A = parse__fetch(p, AST_FORWARD, 1, &N); }
fetch(A) ::= NEXT opt_from_in colid(N). { A = parse__fetch(p, AST_FORWARD, 1, &N); }
fetch(A) ::= PRIOR opt_from_in colid(N). { A = parse__fetch(p, AST_BACKWARD, 1, &N); }
fetch(A) ::= FIRST opt_from_in colid(N). { A = parse__fetch(p, AST_ABSOLUTE, 1, &N); }
fetch(A) ::= LAST opt_from_in colid(N). { A = parse__fetch(p, AST_ABSOLUTE, -1, &N); }
fetch(A) ::= ABSOLUTE signed(I) opt_from_in colid(N). { A = parse__fetch(p, AST_ABSOLUTE, I, &N); }
fetch(A) ::= RELATIVE signed(I) opt_from_in colid(N). { A = parse__fetch(p, AST_RELATIVE, I, &N); }
fetch(A) ::= signed(I) opt_from_in colid(N). { A = parse__fetch(p, AST_FORWARD, I, &N); }
fetch(A) ::= ALL opt_from_in colid(N). { A = parse__fetch(p, AST_FORWARD, INT64_MAX, &N); }
fetch(A) ::= FORWARD opt_from_in colid(N). { A = parse__fetch(p, AST_FORWARD, 1, &N); }
fetch(A) ::= FORWARD signed(I) opt_from_in colid(N). { A = parse__fetch(p, AST_FORWARD, I, &N); }
fetch(A) ::= FORWARD ALL opt_from_in colid(N). { A = parse__fetch(p, AST_FORWARD, INT64_MAX, &N); }
fetch(A) ::= BACKWARD opt_from_in colid(N). { A = parse__fetch(p, AST_BACKWARD, 1, &N); }
fetch(A) ::= BACKWARD signed(I) opt_from_in colid(N). { A = parse__fetch(p, AST_BACKWARD, I, &N); }
fetch(A) ::= BACKWARD ALL opt_from_in colid(N). { A = parse__fetch(p, AST_BACKWARD, INT64_MAX, &N); }
opt_from_in_name(A) ::= colid(N). { A = N; }
opt_from_in_name(A) ::= from_in colid(N). { A = N; }
opt_from_in ::= .
opt_from_in ::= from_in.
from_in ::= FROM.
from_in ::= IN.
%type signed {int64_t}
signed(A) ::= ICONST(T). { A = parse__integer(p, &T); }
signed(A) ::= PLUS ICONST(T). { A = parse__integer(p, &T); }
signed(A) ::= MINUS ICONST(T). { A = -parse__integer(p, &T); }

/* ---- transactions ---- */

%type transaction {struct statement *}
transaction(A) ::= BEGIN(T) opt_work opt_modes(M). { A = parse__transaction(p, &T, AST_BEGIN); A->transaction->modes = M; }
transaction(A) ::= START(T) TRANSACTION opt_modes(M). { A = parse__transaction(p, &T, AST_START); A->transaction->modes = M; }
transaction(A) ::= COMMIT(T) opt_work chain(C). { A = parse__transaction(p, &T, AST_COMMIT); A->transaction->chain = C; }
transaction(A) ::= END(T) opt_work chain(C). { A = parse__transaction(p, &T, AST_COMMIT); A->transaction->chain = C; }
transaction(A) ::= ROLLBACK(T) opt_work chain(C). {
    A = parse__transaction(p, &T, AST_ROLLBACK);
    A->transaction->chain = C;
}
transaction(A) ::= ABORT(T) opt_work chain(C). {
    A = parse__transaction(p, &T, AST_ROLLBACK);
    A->transaction->chain = C;
}
transaction(A) ::= SAVEPOINT(T) colid(N). { A = parse__transaction(p, &T, AST_SAVEPOINT); A->transaction->savepoint = N.text; }
transaction(A) ::= RELEASE(T) SAVEPOINT colid(N). {
    A = parse__transaction(p, &T, AST_RELEASE);
    A->transaction->savepoint = N.text;
}
transaction(A) ::= RELEASE(T) colid(N). { A = parse__transaction(p, &T, AST_RELEASE); A->transaction->savepoint = N.text; }
transaction(A) ::= ROLLBACK(T) opt_work TO SAVEPOINT colid(N). {
    A = parse__transaction(p, &T, AST_ROLLBACK_TO);
    A->transaction->savepoint = N.text;
}
transaction(A) ::= ROLLBACK(T) opt_work TO colid(N). {
    A = parse__transaction(p, &T, AST_ROLLBACK_TO);
    A->transaction->savepoint = N.text;
}
opt_work ::= .
opt_work ::= WORK.
opt_work ::= TRANSACTION.
%type chain {bool}
chain(A) ::= . { A = false; }
chain(A) ::= AND CHAIN. { A = true; }
chain(A) ::= AND NO CHAIN. { A = false; }

%type opt_modes {struct ast_modes}
opt_modes(A) ::= . { A = (struct ast_modes){ 0 }; }
opt_modes(A) ::= modes(M). { A = M; }
/* later modes win, as in PostgreSQL */
%type modes {struct ast_modes}
modes(A) ::= mode(M). { A = M; }
modes(A) ::= modes(L) opt_comma mode(M). {
    A = L;
    if (M.isolation)
        A.isolation = M.isolation;
    if (M.read_only)
        A.read_only = M.read_only;
    if (M.deferrable)
        A.deferrable = M.deferrable;
}
opt_comma ::= .
opt_comma ::= COMMA.
%type mode {struct ast_modes}
mode(A) ::= ISOLATION LEVEL isolation(I). { A = (struct ast_modes){ .isolation = I }; }
mode(A) ::= READ ONLY. { A = (struct ast_modes){ .read_only = AST_CHOICE_YES }; }
mode(A) ::= READ WRITE. { A = (struct ast_modes){ .read_only = AST_CHOICE_NO }; }
mode(A) ::= DEFERRABLE. { A = (struct ast_modes){ .deferrable = AST_CHOICE_YES }; }
mode(A) ::= NOT DEFERRABLE. { A = (struct ast_modes){ .deferrable = AST_CHOICE_NO }; }
%type isolation {enum ast_isolation}
isolation(A) ::= READ UNCOMMITTED. { A = AST_READ_UNCOMMITTED; }
isolation(A) ::= READ COMMITTED. { A = AST_READ_COMMITTED; }
isolation(A) ::= REPEATABLE READ. { A = AST_REPEATABLE_READ; }
isolation(A) ::= SERIALIZABLE. { A = AST_SERIALIZABLE; }

/* ---- settings ---- */

%type set {struct statement *}
set(A) ::= SET(T) set_rest(S). { A = parse__set(p, &T, S, AST_SET_PLAIN); }
set(A) ::= SET(T) LOCAL set_rest(S). { A = parse__set(p, &T, S, AST_SET_LOCAL); }
set(A) ::= SET(T) SESSION set_rest(S). { A = parse__set(p, &T, S, AST_SET_SESSION); }
set(A) ::= SET(T) SESSION CHARACTERISTICS AS TRANSACTION modes(M). {
    struct ast_set *set = parse__set_value(p, NULL, NULL);
    set->kind = AST_SET_CHARACTERISTICS;
    set->modes = M;
    A = parse__set(p, &T, set, AST_SET_SESSION);
}
set(A) ::= SET(T) CONSTRAINTS constraint_names(L) deferral(D). {
    A = parse__statement(p, STATEMENT_SET_CONSTRAINTS, &T);
    A->set_constraints = PARSE_NEW(p, ast_set_constraints);
    A->set_constraints->names = L.first;
    A->set_constraints->deferred = D;
}
%type constraint_names {struct name_list}
constraint_names(A) ::= ALL. { LIST_INIT(A); }
constraint_names(A) ::= qualified_names(L). { A = L; }
%type deferral {bool}
deferral(A) ::= DEFERRED. { A = true; }
deferral(A) ::= IMMEDIATE. { A = false; }
%type set_rest {struct ast_set *}
set_rest(A) ::= TRANSACTION modes(M). {
    A = parse__set_value(p, NULL, NULL);
    A->kind = AST_SET_TRANSACTION;
    A->modes = M;
}
set_rest(A) ::= setting_name(N) to_or_equal setting_values(L). { A = parse__set_value(p, N, L.first); }
set_rest(A) ::= setting_name(N) to_or_equal DEFAULT. { A = parse__set_value(p, N, NULL); }
set_rest(A) ::= TIME ZONE IDENT(T). { A = parse__set_value(p, "timezone", parse__word(p, &T)); }
set_rest(A) ::= TIME ZONE SCONST(T). { A = parse__set_value(p, "timezone", parse__word(p, &T)); }
set_rest(A) ::= TIME ZONE number(N). {
    struct ast_word *value = PARSE_NEW(p, ast_word);
    value->text = N;
    A = parse__set_value(p, "timezone", value);
}
set_rest(A) ::= TIME ZONE LOCAL. { A = parse__set_value(p, "timezone", NULL); }
set_rest(A) ::= TIME ZONE DEFAULT. { A = parse__set_value(p, "timezone", NULL); }
set_rest(A) ::= SCHEMA SCONST(T). { A = parse__set_value(p, "search_path", parse__word(p, &T)); }
set_rest(A) ::= NAMES SCONST(T). { A = parse__set_value(p, "client_encoding", parse__word(p, &T)); }

to_or_equal ::= TO.
to_or_equal ::= EQUAL.

%type setting_name {const char *}
setting_name(A) ::= colid(T). { A = T.text; }
setting_name(A) ::= setting_name(N) DOT colid(T). { A = parse__text(p, "%s.%s", N, T.text); }
%type setting_values {struct word_list}
setting_values(A) ::= setting_value(V). { LIST_ONE(A, V); }
setting_values(A) ::= setting_values(L) COMMA setting_value(V). { A = L; LIST_ADD(A, V); }
%type setting_value {struct ast_word *}
setting_value(A) ::= setting_word(T). { A = parse__word(p, &T); }
setting_value(A) ::= number(N). { A = PARSE_NEW(p, ast_word); A->text = N; }
setting_word(A) ::= TRUE(T). { A = T; }
setting_word(A) ::= FALSE(T). { A = T; }
setting_word(A) ::= ON(T). { A = T; }
setting_word(A) ::= SCONST(T). { A = T; }
setting_word(A) ::= nonreserved(T). { A = T; }

%type show {struct statement *}
show(A) ::= SHOW(T) shown(N). { A = parse__show(p, &T, STATEMENT_SHOW, N); }
show(A) ::= RESET(T) shown(N). { A = parse__show(p, &T, STATEMENT_RESET, N); }
%type shown {const char *}
shown(A) ::= setting_name(N). { A = N; }
shown(A) ::= TIME ZONE. { A = "timezone"; }
shown(A) ::= TRANSACTION ISOLATION LEVEL. { A = "transaction_isolation"; }
shown(A) ::= ALL. { A = NULL; }

/* ---- COPY ---- */

%type copy {struct statement *}
copy(A) ::= COPY(T) opt_binary(B) qualified_name(N) opt_column_list(C) copy_from(D) copy_file(F) copy_delimiter(E) opt_with copy_options(O)
            where(W). {
    A = parse__statement(p, STATEMENT_COPY, &T);
    A->copy = PARSE_NEW(p, ast_copy);
    A->copy->table = N;
    A->copy->columns = C.first;
    A->copy->from = D;
    A->copy->file = F;
    struct option_list list = { 0 };
    if (B)
        LIST_ADD(list, B);
    if (E)
        LIST_ADD(list, E);
    if (O.first)
        LIST_ADD(list, O.first);
    A->copy->options = list.first;
    if (W)
        parse__refuse(p, W->position, "COPY FROM ... WHERE");
}
copy(A) ::= COPY(T) LP data_statement(Q) RP TO copy_file(F) opt_with copy_options(O). {
    A = parse__statement(p, STATEMENT_COPY, &T);
    A->copy = PARSE_NEW(p, ast_copy);
    A->copy->query = Q;
    A->copy->file = F;
    A->copy->options = O.first;
}
%type opt_binary {struct ast_option *}
opt_binary(A) ::= . { A = NULL; }
opt_binary(A) ::= BINARY(T). { A = parse__option(p, "format", T.position, "binary"); }
%type copy_from {bool}
copy_from(A) ::= FROM. { A = true; }
copy_from(A) ::= TO. { A = false; }
%type copy_file {const char *}
copy_file(A) ::= SCONST(T). { A = T.text; }
copy_file(A) ::= STDIN. { A = NULL; }
copy_file(A) ::= STDOUT. { A = NULL; }
copy_file(A) ::= PROGRAM(T) SCONST. { A = NULL; parse__refuse(p, T.position, "COPY with a program"); }
%type copy_delimiter {struct ast_option *}
copy_delimiter(A) ::= . { A = NULL; }
copy_delimiter(A) ::= USING DELIMITERS(D) SCONST(T). { A = parse__option(p, "delimiter", D.position, T.text); }
copy_delimiter(A) ::= DELIMITERS(D) SCONST(T). { A = parse__option(p, "delimiter", D.position, T.text); }
opt_with ::= .
opt_with ::= WITH.
opt_as ::= .
opt_as ::= AS.
%type copy_options {struct option_list}
copy_options(A) ::= old_options(L). { A = L; }
copy_options(A) ::= LP copy_list(L) RP. { A = L; }
%type old_options {struct option_list}
old_options(A) ::= . { LIST_INIT(A); }
old_options(A) ::= old_options(L) old_option(O). { A = L; LIST_ADD(A, O); }
%type old_option {struct ast_option *}
old_option(A) ::= BINARY(T). { A = parse__option(p, "format", T.position, "binary"); }
old_option(A) ::= FREEZE(T). { A = parse__option(p, "freeze", T.position, NULL); }
old_option(A) ::= CSV(T). { A = parse__option(p, "format", T.position, "csv"); }
old_option(A) ::= HEADER(T). { A = parse__option(p, "header", T.position, NULL); }
old_option(A) ::= DELIMITER(T) opt_as SCONST(S). { A = parse__option(p, "delimiter", T.position, S.text); }
old_option(A) ::= NULL(T) opt_as SCONST(S). { A = parse__option(p, "null", T.position, S.text); }
old_option(A) ::= QUOTE(T) opt_as SCONST(S). { A = parse__option(p, "quote", T.position, S.text); }
old_option(A) ::= ESCAPE(T) opt_as SCONST(S). { A = parse__option(p, "escape", T.position, S.text); }
old_option(A) ::= ENCODING(T) SCONST(S). { A = parse__option(p, "encoding", T.position, S.text); }
old_option(A) ::= FORCE(T) QUOTE columns(L). {
    A = parse__option(p, "force_quote", T.position, NULL);
    A->list = L.first;
}
old_option(A) ::= FORCE(T) QUOTE STAR. { A = parse__option(p, "force_quote", T.position, NULL); A->star = true; }
old_option(A) ::= FORCE(T) NOT NULL columns(L). {
    A = parse__option(p, "force_not_null", T.position, NULL);
    A->list = L.first;
}
old_option(A) ::= FORCE(T) NULL columns(L). {
    A = parse__option(p, "force_null", T.position, NULL);
    A->list = L.first;
}

/* options in parentheses: of EXPLAIN, ANALYZE, VACUUM; COPY's may also be lists */
%type options {struct option_list}
options(A) ::= option(O). { LIST_ONE(A, O); }
options(A) ::= options(L) COMMA option(O). { A = L; LIST_ADD(A, O); }
%type option {struct ast_option *}
option(A) ::= option_name(T). { A = parse__option(p, T.text, T.position, NULL); }
option(A) ::= option_name(T) setting_word(V). { A = parse__option(p, T.text, T.position, V.text); }
option(A) ::= option_name(T) number(N). { A = parse__option(p, T.text, T.position, N); }

%type copy_list {struct option_list}
copy_list(A) ::= copy_option(O). { LIST_ONE(A, O); }
copy_list(A) ::= copy_list(L) COMMA copy_option(O). { A = L; LIST_ADD(A, O); }
%type copy_option {struct ast_option *}
copy_option(A) ::= option(O). { A = O; }
copy_option(A) ::= option_name(T) STAR. { A = parse__option(p, T.text, T.position, NULL); A->star = true; }
copy_option(A) ::= option_name(T) LP option_list(L) RP. {
    A = parse__option(p, T.text, T.position, NULL);
    A->list = L.first;
}
option_name(A) ::= nonreserved(T). { A = T; }
option_name(A) ::= NULL(T). { A = T; }
option_name(A) ::= ANALYZE(T). { A = T; }
%type option_list {struct word_list}
option_list(A) ::= setting_word(T). { LIST_ONE(A, parse__word(p, &T)); }
option_list(A) ::= option_list(L) COMMA setting_word(T). { A = L; LIST_ADD(A, parse__word(p, &T)); }

/* ---- EXPLAIN and maintenance ---- */

%type explain {struct statement *}
explain(A) ::= EXPLAIN(T) data_statement(S). {
    A = parse__statement(p, STATEMENT_EXPLAIN, &T);
    A->explain = PARSE_NEW(p, ast_explain);
    A->explain->statement = S;
}
explain(A) ::= EXPLAIN(T) ANALYZE(Y) opt_verbose(V) data_statement(S). {
    A = parse__statement(p, STATEMENT_EXPLAIN, &T);
    A->explain = PARSE_NEW(p, ast_explain);
    A->explain->statement = S;
    A->explain->options = parse__option(p, "analyze", Y.position, NULL);
    A->explain->options->next = V;
}
explain(A) ::= EXPLAIN(T) VERBOSE(V) data_statement(S). {
    A = parse__statement(p, STATEMENT_EXPLAIN, &T);
    A->explain = PARSE_NEW(p, ast_explain);
    A->explain->statement = S;
    A->explain->options = parse__option(p, "verbose", V.position, NULL);
}
explain(A) ::= EXPLAIN(T) LP options(L) RP data_statement(S). {
    A = parse__statement(p, STATEMENT_EXPLAIN, &T);
    A->explain = PARSE_NEW(p, ast_explain);
    A->explain->statement = S;
    A->explain->options = L.first;
}
%type opt_verbose {struct ast_option *}
opt_verbose(A) ::= . { A = NULL; }
opt_verbose(A) ::= VERBOSE(T). { A = parse__option(p, "verbose", T.position, NULL); }

%type maintain {struct statement *}
maintain(A) ::= CHECKPOINT(T). { A = parse__statement(p, STATEMENT_CHECKPOINT, &T); }
maintain(A) ::= CHECK(T) DATABASE. { A = parse__statement(p, STATEMENT_CHECK_DATABASE, &T); }
maintain(A) ::= BACKUP(T) TO SCONST(F) backup_options(O). {
    A = parse__statement(p, STATEMENT_BACKUP, &T);
    A->backup = PARSE_NEW(p, ast_backup);
    A->backup->path = F.text;
    A->backup->options = O.first;
}
%type backup_options {struct option_list}
backup_options(A) ::= . { LIST_INIT(A); }
backup_options(A) ::= WITH LP options(L) RP. { A = L; }
maintain(A) ::= ANALYZE(T) opt_verbose(V) opt_tables(L). {
    A = parse__statement(p, STATEMENT_ANALYZE, &T);
    A->maintain = PARSE_NEW(p, ast_maintain);
    A->maintain->options = V;
    A->maintain->tables = L.first;
}
maintain(A) ::= ANALYZE(T) LP options(O) RP opt_tables(L). {
    A = parse__statement(p, STATEMENT_ANALYZE, &T);
    A->maintain = PARSE_NEW(p, ast_maintain);
    A->maintain->options = O.first;
    A->maintain->tables = L.first;
}
maintain(A) ::= VACUUM(T) vacuum_options(O) opt_tables(L). {
    A = parse__statement(p, STATEMENT_VACUUM, &T);
    A->maintain = PARSE_NEW(p, ast_maintain);
    A->maintain->options = O.first;
    A->maintain->tables = L.first;
}
maintain(A) ::= VACUUM(T) LP options(O) RP opt_tables(L). {
    A = parse__statement(p, STATEMENT_VACUUM, &T);
    A->maintain = PARSE_NEW(p, ast_maintain);
    A->maintain->options = O.first;
    A->maintain->tables = L.first;
}
%type vacuum_options {struct option_list}
vacuum_options(A) ::= . { LIST_INIT(A); }
vacuum_options(A) ::= vacuum_options(L) FULL(T). {
    A = L;
    LIST_ADD(A, parse__option(p, T.text, T.position, NULL));
}
vacuum_options(A) ::= vacuum_options(L) FREEZE(T). {
    A = L;
    LIST_ADD(A, parse__option(p, T.text, T.position, NULL));
}
vacuum_options(A) ::= vacuum_options(L) VERBOSE(T). {
    A = L;
    LIST_ADD(A, parse__option(p, T.text, T.position, NULL));
}
vacuum_options(A) ::= vacuum_options(L) ANALYZE(T). {
    A = L;
    LIST_ADD(A, parse__option(p, T.text, T.position, NULL));
}
%type opt_tables {struct name_list}
opt_tables(A) ::= . { LIST_INIT(A); }
opt_tables(A) ::= qualified_names(L). { A = L; }
