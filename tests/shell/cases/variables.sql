-- options: -X -q -At
\set n 42
\set who 'O''Hara'
\set col "Odd Name"
SELECT :n + 1, :'who', ':n', 'a:n'::text;
SELECT 1 AS :col;
\set list 1, 2
SELECT 7 AS x, 8 AS y \gset p_
\echo :p_x :p_y :nosuch
\echo :'who' a   b
\if true
\echo yes
\else
\echo no
\endif
\if false
SELECT 1/0;
\elif on
\echo elif
\if off
\echo inner
\endif
\endif
SELECT 1 \; SELECT 2;
SELECT 3 AS three \gx
SELECT (1
  + 2);
SELECT ';' /* a comment; with a semicolon */, $$dollar; quoted$$, $x$a$$b$x$; -- end
SELECT 1
  ,2
\g
\unset n
SELECT 'done';
\echo :ERROR :SQLSTATE :ROW_COUNT
SELECT 1/0;
\echo :ERROR :SQLSTATE :LAST_ERROR_MESSAGE
