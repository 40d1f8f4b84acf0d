-- options: -X -q
CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL, u int UNIQUE);
INSERT INTO t VALUES (1, 'x', 1);
SELEC 1;
SELECT
  1 +
  nothing
FROM t;
SELECT nme FROM t;
SELECT * FROM nowhere;
INSERT INTO t VALUES (1, 'y', 2);
INSERT INTO t VALUES (2, 'y', 1);
INSERT INTO t VALUES (2, NULL, 3);
SELECT 1/0;
SELECT 'abc'::int;
SELECT 1 + true;
SELECT nofunction(1);
SELECT count(*) FROM t GROUP BY;
SELECT id, count(*) FROM t;
SELECT aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, cccccccccccccccccccccccc FROM t;
SELECT 'é' || x FROM t;
BEGIN;
SELECT 1/0;
SELECT 1;
COMMIT;
SELECT 1 AS fine;
ROLLBACK;
BEGIN;
BEGIN;
COMMIT;
COMMIT;
SELECT 2147483648::int;
SELECT 32768::smallint;
SELECT 'unterminated;
';
INSERT INTO t (id, nosuch) VALUES (1, 2);
UPDATE t SET nosuch = 1;
INSERT INTO t VALUES (5, 'x', 5, 5);
DROP TABLE nowhere;
DROP TABLE IF EXISTS nowhere;
CREATE TABLE t (id int);
SHOW nosuchsetting;
SET nosuchsetting = 1;
DROP TABLE t;
