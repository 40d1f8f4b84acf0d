-- Times, intervals, time zones and the styles of dates.
SELECT interval '1 year 2 mons 3 days 04:05:06.789', interval '1-2', interval '1 2:03', interval 'P1Y2M3DT4H5M6S',
    interval '@ 3 hours ago', interval '1.5 months', interval '-1 day +02:03';
SELECT interval '1' YEAR, interval '5' MINUTE, interval '1 2:03:04' DAY TO MINUTE, interval '10 days' HOUR,
    interval(2) '1.2345 s', interval '1:30' MINUTE TO SECOND, interval '3.456' SECOND(1);
SELECT timestamp '2024-01-31' + interval '1 mon', date '2024-03-31' - interval '1 mon 1 day',
    timestamp '2024-02-29 12:00' + interval '1 year';
SELECT timestamp '2024-03-10 05:00' - timestamp '2024-01-01 12:30',
    age(timestamp '2001-04-10', timestamp '1957-06-13'), age(timestamp '1957-06-13', timestamp '2001-04-10');
SELECT interval '1 mon 1 day' * 1.5, interval '1 day' / 3, - interval '1 day 02:00', interval '1 day' * 0.1,
    2 * interval '1 hour';
SELECT justify_hours('27 hours'), justify_days('35 days'), justify_interval('1 mon -1 hour'),
    justify_interval('-35 days 50 hours');
SELECT interval '1 mon' = interval '30 days', interval '1 day' < interval '25 hours', interval '24 hours' = interval '1 day';
SELECT extract(year FROM timestamp '2024-02-29 12:34:56.789'),
    extract(second FROM timestamp '2024-02-29 12:34:56.789'), extract(epoch FROM timestamp '2024-02-29'),
    extract(doy FROM date '2024-12-31'), extract(week FROM date '2021-01-03'), extract(isoyear FROM date '2021-01-03'),
    extract(dow FROM date '2024-09-01'), extract(century FROM date '2000-12-31'),
    extract(julian FROM timestamp '2024-01-01 12:00'), extract(millisecond FROM time '01:02:03.5');
SELECT date_part('hour', interval '30 hours'), date_part('epoch', interval '1 year 1 mon 1 day'),
    extract(epoch FROM interval '1 year 1 mon'), extract(quarter FROM interval '7 mons'),
    date_part('day', date '2024-05-06');
SELECT date_trunc('week', timestamp '2024-05-01 13:14:15'), date_trunc('quarter', timestamp '2024-05-01'),
    date_trunc('decade', date '1999-05-05'), date_trunc('hour', interval '3 days 02:47:33'),
    date_trunc('century', timestamp '2001-01-01');
SELECT extract(foo FROM timestamp '2024-01-01');
SELECT extract(hour FROM date '2024-01-01');
SELECT extract(timezone FROM timestamp '2024-01-01');
SELECT date_trunc('week', interval '1 week');
SELECT time '04:05:06', time '040506', time '4:05 PM', time '23:59:59.9999999', time(2) '01:02:03.456', time '24:00',
    time '2024-01-01 05:06';
SELECT time '10:00' + interval '15 hours', time '10:00' - time '12:30', time '01:00' - interval '2 hours',
    date '2024-01-01' + time '10:11';
SELECT time '25:00';
SELECT (time '10:00', time '12:00') OVERLAPS (time '11:00', interval '30 min'),
    (date '2024-01-01', interval '10 days') OVERLAPS (date '2024-01-11', date '2024-01-12'),
    (timestamp '2024-01-01', NULL) OVERLAPS (timestamp '2024-01-01', timestamp '2024-01-02');
SELECT make_interval(1, 2, 3, 4, 5, 6, 7.8), make_time(8, 15, 23.5), make_timestamp(2013, 7, 15, 8, 15, 23.5),
    make_timestamptz(2013, 7, 15, 8, 15, 23.5, 'Europe/Berlin'), to_timestamp(1284352323.5);
SET TimeZone = 'America/New_York';
SHOW TimeZone;
SELECT timestamptz '2024-07-01 12:00+00', timestamptz '2024-01-01 12:00', timestamptz '2024-03-10 02:30',
    timestamptz '2024-11-03 01:30', timestamptz '2024-07-01 12:00 Europe/Berlin', timestamptz '2024-07-01 12:00 PST';
SELECT timestamptz '2024-03-09 12:00' + interval '1 day', timestamptz '2024-03-09 12:00' + interval '24 hours',
    date_trunc('day', timestamptz '2024-03-10 12:00'), extract(timezone FROM timestamptz '2024-07-01'),
    extract(hour FROM timestamptz '2024-07-01 05:00+00');
SELECT timestamptz '2024-07-01 12:00' AT TIME ZONE 'Asia/Tokyo',
    timestamp '2024-07-01 12:00' AT TIME ZONE 'Asia/Tokyo', timestamptz '2024-07-01 12:00+00' AT TIME ZONE '+05:30',
    timestamptz '2024-07-01 12:00+00' AT TIME ZONE interval '05:30',
    timestamptz '2024-07-01 12:00+00' AT TIME ZONE 'EST5EDT', timestamptz '2050-07-01 12:00+00';
SELECT timestamptz '2024-07-01'::date, timestamptz '2024-07-01 23:30+00'::timestamp,
    timestamp '2024-07-01'::timestamptz, timestamptz '2024-07-01 10:00' > timestamp '2024-07-01 09:59',
    timestamptz '2024-07-01 10:00'::time, timestamptz '1850-01-01 00:00+00';
SELECT * FROM generate_series(timestamptz '2024-03-09 00:00', timestamptz '2024-03-12 00:00', '1 day') g;
SELECT now() AT TIME ZONE 'Nowhere/City';
SELECT timestamptz '2024-07-01 12:00 Nowhere/City';
SET TIME ZONE 5.5;
SHOW TIME ZONE;
SELECT timestamptz '2024-07-01 12:00';
SET TIME ZONE -3;
SHOW timezone;
SET TimeZone = 'europe/berlin';
SHOW timezone;
SET TimeZone = 'Mars/Base';
SET DateStyle = 'German';
SHOW DateStyle;
SELECT date '2024-05-06', timestamp '2024-05-06 07:08:09', timestamptz '2024-05-06 07:08:09', date '7.6.2024';
SET DateStyle = 'SQL, DMY';
SELECT date '2024-05-06', timestamp '2024-05-06 07:08:09.5', timestamptz '2024-05-06 07:08:09', date '7/6/2024';
SET DateStyle = 'Postgres, MDY';
SELECT date '2024-05-06', timestamp '2024-05-06 07:08:09.5', timestamptz '2024-05-06 07:08:09', date '7/6/2024',
    timestamp '0044-03-15 BC';
SET DateStyle = 'nonsense';
SET DateStyle = 'ISO, SQL';
SET DateStyle = 'ISO, YMD';
SELECT date '99-01-08', date '1/2/3';
RESET DateStyle;
SET IntervalStyle = 'sql_standard';
SELECT interval '1 year 2 mons', interval '3 days 04:05:06', interval '1 year 2 days', interval '-1 year -2 mons',
    interval '-1 2:03', interval '0';
SET IntervalStyle = 'iso_8601';
SELECT interval '1 year 2 mons', interval '3 days 04:05:06.5', interval '-1 day', interval '0';
SET IntervalStyle = 'postgres_verbose';
SELECT interval '1 year 2 mons', interval '3 days 04:05:06.5', interval '-1 day', interval '0', interval '1 day -00:00:01';
RESET IntervalStyle;
RESET TimeZone;
CREATE TABLE spans (i interval PRIMARY KEY, t time(0), z timestamptz, f interval day to second(3));
SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relname = 'spans' AND a.attnum > 0 ORDER BY a.attnum;
INSERT INTO spans VALUES ('1 mon', '10:00:00.6', '2024-01-01 00:00+02', '1 day 02:03:04.56789'),
    ('31 days', '11:00', 'infinity', NULL), ('-1 day', NULL, NULL, '1 hour');
INSERT INTO spans VALUES ('30 days');
SELECT * FROM spans ORDER BY i;
SELECT * FROM spans WHERE i > '1 mon' ORDER BY i;
SELECT min(i), max(i), sum(i), avg(i), min(t), max(t) FROM spans;
SELECT i, count(*) FROM (SELECT interval '1 day' UNION ALL SELECT interval '24 hours') s(i) GROUP BY i;
SELECT interval 'x';
SELECT interval '1 foo';
SELECT interval '1 day 1 day';
SELECT interval '99999999999 years';
SELECT interval '1 day' / 0;
SELECT timestamp '294276-01-01' + interval '1 year';
SELECT date '2024-01-01' + 1, date '2024-01-10' - date '2024-01-01', interval '1 day' + date '2024-01-01';
SELECT localtime IS NOT NULL, localtimestamp(0) IS NOT NULL, current_timestamp(3) IS NOT NULL;
SELECT pg_typeof(localtime), pg_typeof(interval '1 day' * 2), pg_typeof(extract(day from now())),
    pg_typeof(time '1:00' - time '1:00');
SELECT NULL * NULL;
SELECT isfinite(interval '1 day'), isfinite(timestamp 'infinity'), extract(year FROM timestamp 'infinity'),
    extract(day FROM timestamp 'infinity');
SELECT '2 days'::interval::text, '10:00'::time::interval, '27:00'::interval::time, CAST('1 day' AS interval hour);
SELECT interval '1 year' year, interval '5' day "day";
-- What stands in the catalog means the same to every session.
SET DateStyle = 'SQL, YMD';
SET TimeZone = 'Asia/Tokyo';
CREATE TABLE defaults (a int, b timestamptz DEFAULT '2024-05-06 00:00+02', c date DEFAULT '2024-01-02', CHECK (c > '2020-02-01'));
INSERT INTO defaults VALUES (1);
RESET DateStyle;
RESET TimeZone;
INSERT INTO defaults VALUES (2);
SELECT * FROM defaults ORDER BY a;
SELECT interval '2562047788:00:54.775807', interval '9223372036854775807 us', timestamp '2020-01-01 00:30 PM', interval 'PT', interval '1 day ago ago';
