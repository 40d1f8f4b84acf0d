-- options: -X -q -v VERBOSITY=sqlstate
SELECT 1/0;
SELECT * FROM nowhere;
\set VERBOSITY terse
SELECT * FROM nowhere;
\set VERBOSITY default
SELECT * FROM nowhere;
