/*
 * grammar_words.y -- what a keyword may be used as: the third part of the grammar (see grammar.y).
 *
 * PostgreSQL sorts its keywords into four classes: unreserved (any name), column names (not a function or type), types and functions
 * (not a column or table), and reserved ones (a label behind AS at most).  Across these, most may label a column without AS; the lists
 * named _as hold those that may not.  Keywords without a rule of their own come from the lexer as one word for each class.
 */

unreserved(A) ::= ABORT(A).  unreserved(A) ::= AT(A).  unreserved(A) ::= BEGIN(A).  unreserved(A) ::= BY(A).
unreserved(A) ::= CASCADE(A).  unreserved(A) ::= CHAIN(A).  unreserved(A) ::= CHARACTERISTICS(A).
unreserved(A) ::= BACKUP(A).  unreserved(A) ::= CHECKPOINT(A).  unreserved(A) ::= COMMIT(A).  unreserved(A) ::= COMMITTED(A).
unreserved(A) ::= COPY(A).  unreserved(A) ::= CSV(A).  unreserved(A) ::= CURRENT(A).  unreserved(A) ::= DATABASE(A).
unreserved(A) ::= DELETE(A).  unreserved(A) ::= DELIMITER(A).  unreserved(A) ::= DELIMITERS(A).
unreserved(A) ::= DOUBLE(A).  unreserved(A) ::= DROP(A).  unreserved(A) ::= ENCODING(A).  unreserved(A) ::= ESCAPE(A).
unreserved(A) ::= EXPLAIN(A).  unreserved(A) ::= FIRST(A).  unreserved(A) ::= FORCE(A).  unreserved(A) ::= HEADER(A).
unreserved(A) ::= IF(A).  unreserved(A) ::= INDEX(A).  unreserved(A) ::= INSERT(A).  unreserved(A) ::= ISOLATION(A).
unreserved(A) ::= KEY(A).  unreserved(A) ::= LAST(A).  unreserved(A) ::= LEVEL(A).  unreserved(A) ::= LOCAL(A).
unreserved(A) ::= NAMES(A).  unreserved(A) ::= NEXT(A).  unreserved(A) ::= NO(A).  unreserved(A) ::= NULLS(A).
unreserved(A) ::= OFF(A).  unreserved(A) ::= OPERATOR(A).  unreserved(A) ::= PROGRAM(A).  unreserved(A) ::= QUOTE(A).  unreserved(A) ::= READ(A).
unreserved(A) ::= RELEASE(A).  unreserved(A) ::= REPEATABLE(A).  unreserved(A) ::= RESET(A).
unreserved(A) ::= RESTRICT(A).  unreserved(A) ::= ROLLBACK(A).  unreserved(A) ::= ROWS(A).
unreserved(A) ::= SAVEPOINT(A).  unreserved(A) ::= SCHEMA(A).  unreserved(A) ::= SERIALIZABLE(A).
unreserved(A) ::= SESSION(A).  unreserved(A) ::= SET(A).  unreserved(A) ::= SHOW(A).  unreserved(A) ::= START(A).
unreserved(A) ::= STDIN(A).  unreserved(A) ::= STDOUT(A).  unreserved(A) ::= TEXT(A).
unreserved(A) ::= TRANSACTION(A).  unreserved(A) ::= UESCAPE(A).  unreserved(A) ::= UNCOMMITTED(A).
unreserved(A) ::= UNKNOWN(A).  unreserved(A) ::= UPDATE(A).  unreserved(A) ::= VACUUM(A).  unreserved(A) ::= WORK(A).
unreserved(A) ::= WRITE(A).  unreserved(A) ::= ZONE(A).
unreserved(A) ::= ADD(A).
unreserved(A) ::= ALTER(A).
unreserved(A) ::= RENAME(A).
unreserved(A) ::= TYPE(A).
unreserved(A) ::= DATA(A).
unreserved(A) ::= VALIDATE(A).
unreserved(A) ::= VALID(A).
unreserved(A) ::= MATCH(A).
unreserved(A) ::= PARTIAL(A).
unreserved(A) ::= SIMPLE(A).
unreserved(A) ::= ACTION(A).
unreserved(A) ::= DEFERRED(A).
unreserved(A) ::= IMMEDIATE(A).
unreserved(A) ::= GENERATED(A).
unreserved(A) ::= ALWAYS(A).
unreserved(A) ::= STORED(A).
unreserved(A) ::= IDENTITY(A).
unreserved(A) ::= INCLUDE(A).
unreserved(A) ::= TRUNCATE(A).
unreserved(A) ::= ACCESS(A).  unreserved(A) ::= EXCLUSIVE(A).  unreserved(A) ::= LOCK(A).  unreserved(A) ::= LOCKED(A).
unreserved(A) ::= MODE(A).  unreserved(A) ::= NOWAIT(A).  unreserved(A) ::= OF(A).  unreserved(A) ::= SHARE(A).
unreserved(A) ::= SKIP(A).
unreserved(A) ::= RESTART(A).
unreserved(A) ::= CONTINUE(A).
unreserved(A) ::= EXPRESSION(A).
unreserved(A) ::= CONFLICT(A).
unreserved(A) ::= NOTHING(A).
unreserved(A) ::= CONSTRAINTS(A).
unreserved(A) ::= PREPARE(A).
unreserved(A) ::= EXECUTE(A).
unreserved(A) ::= DEALLOCATE(A).
unreserved(A) ::= DECLARE(A).
unreserved(A) ::= CURSOR(A).
unreserved(A) ::= SCROLL(A).
unreserved(A) ::= HOLD(A).
unreserved(A) ::= INSENSITIVE(A).
unreserved(A) ::= ASENSITIVE(A).
unreserved(A) ::= MOVE(A).
unreserved(A) ::= CLOSE(A).
unreserved(A) ::= ABSOLUTE(A).
unreserved(A) ::= RELATIVE(A).
unreserved(A) ::= FORWARD(A).
unreserved(A) ::= BACKWARD(A).
unreserved(A) ::= PRIOR(A).

unreserved_as(A) ::= YEAR(A).  unreserved_as(A) ::= MONTH(A).  unreserved_as(A) ::= DAY(A).  unreserved_as(A) ::= HOUR(A).
unreserved_as(A) ::= MINUTE(A).  unreserved_as(A) ::= SECOND(A).
unreserved_as(A) ::= FILTER(A).  unreserved_as(A) ::= VARYING(A).  unreserved_as(A) ::= WITHOUT(A).
unreserved_as(A) ::= WORD_UNRESERVED_AS(A).

column_word(A) ::= BETWEEN(A).  column_word(A) ::= BIGINT(A).  column_word(A) ::= BIT(A).
column_word(A) ::= BOOLEAN(A).  column_word(A) ::= COALESCE(A).  column_word(A) ::= DEC(A).
column_word(A) ::= DECIMAL(A).  column_word(A) ::= EXISTS(A).  column_word(A) ::= EXTRACT(A).  column_word(A) ::= FLOAT(A).
column_word(A) ::= GREATEST(A).  column_word(A) ::= INT(A).  column_word(A) ::= INTEGER(A).
column_word(A) ::= INTERVAL(A).  column_word(A) ::= LEAST(A).  column_word(A) ::= NATIONAL(A).
column_word(A) ::= NCHAR(A).  column_word(A) ::= NULLIF(A).  column_word(A) ::= NUMERIC(A).
column_word(A) ::= POSITION(A).  column_word(A) ::= REAL(A).  column_word(A) ::= ROW(A).
column_word(A) ::= SMALLINT(A).  column_word(A) ::= SUBSTRING(A).  column_word(A) ::= TIME(A).
column_word(A) ::= TIMESTAMP(A).  column_word(A) ::= TRIM(A).  column_word(A) ::= VALUES(A).
column_word(A) ::= VARCHAR(A).  column_word(A) ::= WORD_COLUMN(A).

column_word_as(A) ::= CHAR(A).  column_word_as(A) ::= CHARACTER(A).  column_word_as(A) ::= PRECISION(A).

type_word(A) ::= BINARY(A).  type_word(A) ::= CROSS(A).  type_word(A) ::= FREEZE(A).  type_word(A) ::= FULL(A).
type_word(A) ::= INNER(A).  type_word(A) ::= IS(A).  type_word(A) ::= JOIN(A).  type_word(A) ::= LEFT(A).
type_word(A) ::= LIKE(A).  type_word(A) ::= NATURAL(A).  type_word(A) ::= OUTER(A).  type_word(A) ::= RIGHT(A).
type_word(A) ::= VERBOSE(A).  type_word(A) ::= WORD_TYPE(A).

type_word_as(A) ::= ISNULL(A).  type_word_as(A) ::= NOTNULL(A).  type_word_as(A) ::= OVERLAPS(A).  type_word_as(A) ::= WORD_TYPE_AS(A).

reserved(A) ::= ALL(A).  reserved(A) ::= ANALYZE(A).  reserved(A) ::= AND(A).  reserved(A) ::= ANY(A).
reserved(A) ::= ASC(A).  reserved(A) ::= ASYMMETRIC(A).  reserved(A) ::= BOTH(A).  reserved(A) ::= CASE(A).
reserved(A) ::= CAST(A).  reserved(A) ::= CHECK(A).  reserved(A) ::= CONSTRAINT(A).  reserved(A) ::= CURRENT_DATE(A).
reserved(A) ::= CURRENT_TIMESTAMP(A).  reserved(A) ::= DEFAULT(A).  reserved(A) ::= DEFERRABLE(A).  reserved(A) ::= DESC(A).
reserved(A) ::= DISTINCT(A).  reserved(A) ::= DO(A).  reserved(A) ::= ELSE(A).  reserved(A) ::= END(A).
reserved(A) ::= FALSE(A).  reserved(A) ::= IN(A).  reserved(A) ::= LEADING(A).  reserved(A) ::= LOCALTIME(A).
reserved(A) ::= LOCALTIMESTAMP(A).
reserved(A) ::= NOT(A).  reserved(A) ::= NULL(A).  reserved(A) ::= ONLY(A).  reserved(A) ::= OR(A).
reserved(A) ::= PRIMARY(A).  reserved(A) ::= SELECT(A).  reserved(A) ::= SOME(A).  reserved(A) ::= SYMMETRIC(A).
reserved(A) ::= TABLE(A).  reserved(A) ::= THEN(A).  reserved(A) ::= TRAILING(A).  reserved(A) ::= TRUE(A).
reserved(A) ::= UNIQUE(A).  reserved(A) ::= USING(A).  reserved(A) ::= WHEN(A).  reserved(A) ::= WORD_RESERVED(A).
reserved(A) ::= COLUMN(A).
reserved(A) ::= REFERENCES(A).
reserved(A) ::= FOREIGN(A).
reserved(A) ::= INITIALLY(A).

reserved_as(A) ::= AS(A).  reserved_as(A) ::= CREATE(A).  reserved_as(A) ::= FETCH(A).  reserved_as(A) ::= FOR(A).
reserved_as(A) ::= FROM(A).  reserved_as(A) ::= GROUP(A).  reserved_as(A) ::= HAVING(A).  reserved_as(A) ::= INTO(A).
reserved_as(A) ::= LIMIT(A).  reserved_as(A) ::= OFFSET(A).  reserved_as(A) ::= ON(A).  reserved_as(A) ::= ORDER(A).
reserved_as(A) ::= RETURNING(A).  reserved_as(A) ::= TO(A).  reserved_as(A) ::= UNION(A).  reserved_as(A) ::= INTERSECT(A).  reserved_as(A) ::= EXCEPT(A).
reserved_as(A) ::= WHERE(A).  reserved_as(A) ::= WITH(A).  reserved_as(A) ::= WORD_RESERVED_AS(A).

colid(A) ::= IDENT(A).
colid(A) ::= unreserved(A).
colid(A) ::= unreserved_as(A).
colid(A) ::= column_word(A).
colid(A) ::= column_word_as(A).

type_function_name(A) ::= IDENT(A).
type_function_name(A) ::= unreserved(A).
type_function_name(A) ::= unreserved_as(A).
type_function_name(A) ::= type_word(A).
type_function_name(A) ::= type_word_as(A).

nonreserved(A) ::= IDENT(A).
nonreserved(A) ::= unreserved(A).
nonreserved(A) ::= unreserved_as(A).
nonreserved(A) ::= column_word(A).
nonreserved(A) ::= column_word_as(A).
nonreserved(A) ::= type_word(A).
nonreserved(A) ::= type_word_as(A).

collabel(A) ::= nonreserved(A).
collabel(A) ::= reserved(A).
collabel(A) ::= reserved_as(A).

barelabel(A) ::= IDENT(A).
barelabel(A) ::= unreserved(A).
barelabel(A) ::= column_word(A).
barelabel(A) ::= type_word(A).
barelabel(A) ::= reserved(A).
