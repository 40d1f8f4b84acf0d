-- options: -X -q
CREATE TABLE t (id int PRIMARY KEY, name text, v numeric(8,2), ok boolean, f double precision);
INSERT INTO t VALUES (1, 'one', 1.5, true, 0.1), (2, NULL, -22.25, false, 1e20), (3, E'two\nlines', NULL, NULL, -1e-7), (4, 'Zürich', 0, true, 'NaN');
SELECT * FROM t ORDER BY id;
\pset null '<null>'
SELECT id, name, v FROM t ORDER BY id;
\pset border 0
SELECT id, name, v FROM t ORDER BY id;
\pset border 2
SELECT id, name, v FROM t ORDER BY id;
\x
SELECT id, name, v FROM t ORDER BY id;
\pset border 1
SELECT id, name, v FROM t ORDER BY id;
SELECT id FROM t WHERE id < 0;
\x
SELECT id FROM t WHERE id < 0;
\a
SELECT * FROM t ORDER BY id;
\f ';'
\t
SELECT * FROM t ORDER BY id;
\x
SELECT * FROM t ORDER BY id;
\x
\pset format csv
\t
SELECT id, name, 'a "quoted", text' AS q FROM t ORDER BY id;
\pset csv_fieldsep ';'
SELECT id, name, 'a; b' AS q FROM t ORDER BY id;
\pset format aligned
SELECT 1 AS a, 'x' AS b UNION ALL SELECT 22, 'yy' ORDER BY 1;
\pset footer off
SELECT 1 AS one;
DROP TABLE t;
