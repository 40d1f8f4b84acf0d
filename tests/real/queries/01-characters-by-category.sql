-- How many characters has each category, and how many of them have a numeric value?
SELECT category, count(*) AS characters, count(numeric_value) AS with_value, min(code), max(code)
FROM unicode GROUP BY category ORDER BY characters DESC, category;
