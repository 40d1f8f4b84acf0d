-- Texts cast to numbers; arithmetic on numeric.
SELECT count(*), sum(digit_value::integer), avg(digit_value::numeric), round(avg(digit_value::numeric), 4)
FROM unicode WHERE digit_value IS NOT NULL;
SELECT max(number), min(number), sum(number) / count(*) AS whole, round(sum(number)::numeric / count(*), 6) AS exact, sum(number) % 97
FROM country;
SELECT numeric_value, count(*) FROM unicode WHERE numeric_value LIKE '%/%' GROUP BY numeric_value HAVING count(*) > 3
ORDER BY 2 DESC, 1;
