-- UNION and UNION ALL over codes.
SELECT alpha_2 AS code, 'country' AS what FROM country WHERE alpha_2 < 'AE'
UNION ALL SELECT alpha_2, 'language' FROM language WHERE alpha_2 < 'ae'
ORDER BY 1, 2;
SELECT count(*) FROM (SELECT lower(alpha_2) AS code FROM country UNION SELECT alpha_2 FROM language WHERE alpha_2 IS NOT NULL) u;
SELECT DISTINCT bidi FROM unicode ORDER BY bidi;
