-- A currency code begins with its country's code: join on an expression, with CASE.
SELECT c.alpha_2, c.name, m.alpha_3, m.name AS currency,
       CASE WHEN c.number = m.number THEN 'same number' WHEN m.number IS NULL THEN 'none' ELSE 'other number' END AS numbers
FROM country c JOIN currency m ON substr(m.alpha_3, 1, 2) = c.alpha_2
ORDER BY c.alpha_2, m.alpha_3 LIMIT 40;
