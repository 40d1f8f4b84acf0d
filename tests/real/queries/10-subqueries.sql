-- EXISTS, IN, NOT IN and scalar subqueries.
SELECT count(*) FROM country c WHERE EXISTS (SELECT 1 FROM subdivision s WHERE substr(s.code, 1, 2) = c.alpha_2);
SELECT name FROM country WHERE alpha_2 NOT IN (SELECT substr(alpha_3, 1, 2) FROM currency) ORDER BY name LIMIT 10;
SELECT name, (SELECT count(*) FROM subdivision s WHERE s.code LIKE c.alpha_2 || '-%') AS parts
FROM country c WHERE name IN ('Austria', 'Germany', 'Switzerland') ORDER BY name;
SELECT code, name FROM unicode WHERE length(name) = (SELECT max(length(name)) FROM unicode);
