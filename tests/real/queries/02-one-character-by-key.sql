-- Point reads by primary key and by a secondary index.
SELECT code, name, category, lower_code FROM unicode WHERE code = '00C4';
SELECT code, category, upper_code FROM unicode WHERE name = 'LATIN SMALL LETTER SHARP S';
SELECT code FROM unicode WHERE code = 'no such code';
