-- The demo database that ./quickstart opens: some countries, rivers and cities.
BEGIN;
CREATE TABLE country (
    code text PRIMARY KEY,
    name text NOT NULL UNIQUE,
    area_km2 numeric(12,1) NOT NULL
);
CREATE TABLE city (
    id integer PRIMARY KEY,
    name text NOT NULL,
    country text NOT NULL,
    population bigint,
    founded date
);
CREATE INDEX city_country_idx ON city (country, population DESC);
CREATE TABLE account (
    id integer PRIMARY KEY,
    owner text NOT NULL,
    balance numeric(12,2) NOT NULL DEFAULT 0
);
INSERT INTO country VALUES
    ('AT', 'Austria', 83871.0), ('BE', 'Belgium', 30528.0), ('CH', 'Switzerland', 41285.0), ('DE', 'Germany', 357588.0),
    ('ES', 'Spain', 505990.0), ('FR', 'France', 551500.0), ('IE', 'Ireland', 70273.0), ('IT', 'Italy', 301340.0),
    ('NL', 'Netherlands', 41850.0), ('PT', 'Portugal', 92212.0);
INSERT INTO city VALUES
    (1, 'Vienna', 'AT', 2005000, NULL), (2, 'Graz', 'AT', 302749, NULL), (3, 'Brussels', 'BE', 1235192, '0979-01-01'),
    (4, 'Antwerp', 'BE', 545000, NULL), (5, 'Zurich', 'CH', 436332, NULL), (6, 'Bern', 'CH', 134506, '1191-01-01'),
    (7, 'Berlin', 'DE', 3782202, '1237-10-28'), (8, 'Munich', 'DE', 1510378, '1158-06-14'), (9, 'Hamburg', 'DE', 1910160, NULL),
    (10, 'Madrid', 'ES', 3332035, NULL), (11, 'Seville', 'ES', 684025, NULL), (12, 'Paris', 'FR', 2102650, NULL),
    (13, 'Lyon', 'FR', 522250, NULL), (14, 'Dublin', 'IE', 592713, '0988-07-10'), (15, 'Rome', 'IT', 2754719, '0753-04-21 BC'),
    (16, 'Venice', 'IT', 250369, '0421-03-25'), (17, 'Amsterdam', 'NL', 931748, '1275-10-27'),
    (18, 'Lisbon', 'PT', 545796, NULL), (19, 'Porto', 'PT', 231800, NULL);
INSERT INTO account VALUES (1, 'Tristan', 100.00), (2, 'Isolde', 250.50), (3, 'Mark', 9000.00);
COMMIT;
