-- Real data: the characters of Unicode, and the world's countries, their parts, languages and currencies.
-- Runs in the shell and in psql alike; the CSV files lie in the current folder.
BEGIN;
CREATE TABLE unicode (
    code text PRIMARY KEY, name text NOT NULL, category varchar(2) NOT NULL, combining smallint NOT NULL,
    bidi text NOT NULL, decomposition text, decimal_value text, digit_value text, numeric_value text, mirrored text NOT NULL,
    old_name text, remark text, upper_code text, lower_code text, title_code text
);
CREATE TABLE country (
    alpha_2 varchar(2) PRIMARY KEY, alpha_3 varchar(3) NOT NULL UNIQUE, number integer NOT NULL, name text NOT NULL,
    official_name text, common_name text, flag text
);
CREATE TABLE subdivision (code text PRIMARY KEY, name text NOT NULL, kind text NOT NULL, parent text);
CREATE TABLE language (
    alpha_3 varchar(3) PRIMARY KEY, name text NOT NULL, scope varchar(1) NOT NULL, kind varchar(1) NOT NULL,
    alpha_2 varchar(2) UNIQUE, inverted_name text
);
CREATE TABLE currency (alpha_3 varchar(3) PRIMARY KEY, name text NOT NULL, number integer);
CREATE INDEX unicode_category_idx ON unicode (category, combining);
CREATE INDEX unicode_name_idx ON unicode (name);
CREATE INDEX subdivision_kind_idx ON subdivision (kind);
\copy unicode from 'unicode.csv' with (format csv, delimiter ';')
\copy country from 'country.csv' with (format csv)
\copy subdivision from 'subdivision.csv' with (format csv)
\copy language from 'language.csv' with (format csv)
COMMIT;
\copy currency from 'currency.csv' with (format csv)
CREATE INDEX language_name_idx ON language (name DESC);
CREATE UNIQUE INDEX country_number_idx ON country (number);
