-- Advisory locks: functions that do something, once for each row that is computed.
SELECT pg_advisory_lock(1), pg_advisory_lock_shared(1);
SELECT pg_try_advisory_lock(1), pg_try_advisory_lock(1, 2), pg_try_advisory_lock_shared(-1), pg_advisory_lock(NULL) IS NULL;
SELECT pg_advisory_unlock(1), g FROM generate_series(1, 3) g;
SELECT pg_advisory_unlock_shared(1), pg_advisory_unlock_shared(1);
SELECT pg_advisory_unlock(2, 1), pg_advisory_unlock(1, 2), pg_advisory_unlock(-1);
SELECT pg_advisory_unlock_all();
SELECT pg_advisory_unlock_shared(-1);
-- as often as it is called
SELECT pg_advisory_lock(7), g FROM generate_series(1, 3) g;
SELECT pg_advisory_unlock(7), g FROM generate_series(1, 4) g;
SELECT g FROM generate_series(1, 4) g WHERE pg_try_advisory_lock(g % 2);
SELECT pg_advisory_unlock(g % 2) FROM generate_series(1, 5) g;
SELECT CASE WHEN g > 2 THEN pg_try_advisory_lock(g) END FROM generate_series(1, 3) g;
SELECT pg_advisory_unlock(g) FROM generate_series(1, 3) g;
-- the transaction's are no business of unlock; the session's outlive a rollback
BEGIN;
SELECT pg_advisory_xact_lock(5), pg_try_advisory_xact_lock(5), pg_advisory_xact_lock_shared(5, 6), pg_try_advisory_xact_lock_shared(5, 6);
SELECT pg_advisory_unlock(5), pg_advisory_unlock_shared(5, 6);
SELECT pg_advisory_lock(5);
SAVEPOINT s;
SELECT pg_advisory_lock(6);
SELECT 1 / 0;
ROLLBACK TO s;
SELECT pg_advisory_unlock(6), pg_advisory_unlock(6);
ROLLBACK;
SELECT pg_advisory_unlock(5), pg_advisory_unlock(5);
BEGIN READ ONLY;
SELECT pg_advisory_xact_lock(9), pg_try_advisory_lock(9);
COMMIT;
SELECT pg_advisory_unlock(9);
-- in prepared statements, and with rows of a table
CREATE TABLE job (id int PRIMARY KEY, what text);
INSERT INTO job VALUES (1, 'a'), (2, 'b'), (3, 'c');
PREPARE take AS SELECT id, pg_try_advisory_lock($1, id) FROM job WHERE id < $2 ORDER BY id;
EXECUTE take(8, 3);
EXECUTE take(8, 4);
SELECT id, pg_advisory_unlock(8, id) FROM job ORDER BY id;
SELECT id, pg_advisory_unlock(8, id) FROM job ORDER BY id;
UPDATE job SET what = what || 'x' WHERE pg_try_advisory_xact_lock(id) AND id = 2 RETURNING what;
DROP TABLE job;
SELECT pg_typeof(pg_advisory_lock(1)), pg_typeof(pg_advisory_unlock(1));
-- wrong calls
SELECT pg_advisory_lock();
SELECT pg_advisory_lock(1.5);
SELECT pg_advisory_lock('x');
SELECT pg_advisory_lock(1::bigint, 2);
SELECT pg_advisory_unlock_all(1);
