-- Changes inside a transaction, undone by savepoint and rollback.
BEGIN;
UPDATE country SET name = upper(name) WHERE alpha_2 = 'FR' RETURNING alpha_2, name;
SAVEPOINT s;
DELETE FROM unicode WHERE category = 'Lo';
SELECT count(*) FROM unicode;
ROLLBACK TO s;
SELECT count(*) FROM unicode;
INSERT INTO currency SELECT 'X' || substr(alpha_2, 1, 2), 'Money of ' || name, number FROM country WHERE alpha_2 LIKE 'M%'
    AND 'X' || alpha_2 NOT IN (SELECT alpha_3 FROM currency);
SELECT alpha_3, name FROM currency WHERE name LIKE 'Money of M%' ORDER BY 1;
ROLLBACK;
SELECT name FROM country WHERE alpha_2 = 'FR';
