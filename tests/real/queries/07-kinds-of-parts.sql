-- What are subdivisions called?  string_agg with order, FILTER.
SELECT kind, count(*) AS n, count(*) FILTER (WHERE parent IS NOT NULL) AS of_second_level
FROM subdivision GROUP BY kind HAVING count(*) >= 40 ORDER BY n DESC, kind;
SELECT substr(code, 1, 2) AS country, string_agg(DISTINCT kind, ', ' ORDER BY kind) AS kinds
FROM subdivision WHERE code LIKE 'C%' GROUP BY 1 ORDER BY 1;
