-- options: -X
CREATE TABLE t (id int PRIMARY KEY, name text, v numeric);
COPY t FROM STDIN;
1	one	1.5
2	\N	2
3	tab\there	\N
\.
COPY t (id, name) FROM STDIN WITH (FORMAT csv, HEADER);
id,name
4,"quoted, ""text"""
5,
6,""
\.
COPY t TO STDOUT;
COPY t TO STDOUT WITH (FORMAT csv, HEADER, NULL 'null');
COPY (SELECT id, name FROM t WHERE id > 3 ORDER BY id DESC) TO STDOUT (DELIMITER '|');
COPY t FROM STDIN;
7	seven	x
\.
COPY t FROM STDIN;
8	eight
\.
COPY t FROM STDIN;
1	again	1
\.
\copy t (id, name) from stdin with csv
9,nine
\.
\copy (select count(*) from t) to stdout
SELECT count(*) FROM t;
copy t (id, name) from stdin;
10	ÿ
\.
copy t (id, name) from stdin with csv;
11,aÃz
\.
SELECT count(*) FROM t;
DROP TABLE t;
