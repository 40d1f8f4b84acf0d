-- ORDER BY an expression with LIMIT and OFFSET.
SELECT length(name) AS len, code, lower(name) FROM unicode ORDER BY length(name) DESC, code LIMIT 10 OFFSET 5;
SELECT avg(length(name)), sum(length(name)), round(avg(combining), 3) FROM unicode;
