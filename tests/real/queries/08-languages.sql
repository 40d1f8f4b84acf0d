-- Living languages that have a two-letter code; scopes crossed with kinds.
SELECT alpha_3, alpha_2, name FROM language WHERE alpha_2 IS NOT NULL AND kind = 'L' ORDER BY name DESC LIMIT 20;
SELECT scope, kind, count(*) FROM language GROUP BY scope, kind ORDER BY scope, kind;
SELECT name, coalesce(inverted_name, '-') FROM language WHERE name > 'Zo' ORDER BY name LIMIT 8;
