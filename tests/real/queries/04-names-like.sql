-- Prefix and infix searches.
SELECT count(*) FROM unicode WHERE name LIKE 'GREEK %';
SELECT code, name FROM unicode WHERE name LIKE 'GREEK%' AND name NOT LIKE '%LETTER%' ORDER BY name LIMIT 12;
SELECT substr(name, 1, 5) AS beginning, count(*) FROM unicode WHERE name BETWEEN 'A' AND 'C' GROUP BY 1 HAVING count(*) > 5
ORDER BY 2 DESC, 1;
