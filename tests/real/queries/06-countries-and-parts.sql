-- Countries with the most subdivisions of the first level, and those with none: inner and left joins with groups.
SELECT c.name, count(*) AS parts, count(DISTINCT s.kind) AS kinds
FROM country c JOIN subdivision s ON substr(s.code, 1, 2) = c.alpha_2
WHERE s.parent IS NULL
GROUP BY c.name ORDER BY parts DESC, c.name LIMIT 15;
SELECT c.alpha_2, c.name FROM country c LEFT JOIN subdivision s ON substr(s.code, 1, 2) = c.alpha_2
WHERE s.code IS NULL ORDER BY c.alpha_2;
