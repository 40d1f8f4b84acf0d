-- options: -X
\nosuchcommand
\i nosuchfile
\timing on
\timing off
\x auto
\x off
\t
\t
\a
\a
\pset null 'x'
\pset fieldsep ','
\pset border 7
\echo -n a
\echo b
\p
SELECT 1 AS a
\p
\r
\p
SELECT 2 AS b;
