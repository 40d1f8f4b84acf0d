-- Letters whose upper case does not come back to them: a self-join.
SELECT l.code, l.name, u.code AS upper_code, u.lower_code AS and_back
FROM unicode l JOIN unicode u ON u.code = l.upper_code
WHERE u.lower_code IS DISTINCT FROM l.code
ORDER BY l.code LIMIT 30;
