/*
 * datetime.h -- dates and moments: counting days and microseconds from 2000-01-01.
 *
 * A date is a number of days, a timestamp a number of microseconds, both from midnight of 2000-01-01 in the proleptic
 * Gregorian calendar; a timestamptz counts from there in UTC.  The extremes of 32 bits (dates) and 64 bits are
 * -infinity and infinity.
 */
#ifndef ISOLDE_SQL_DATETIME_H
#define ISOLDE_SQL_DATETIME_H

#include "src/base/op.h"

#define DATE_INFINITY ((int64_t)INT32_MAX)
#define DATE_MINUS_INFINITY ((int64_t)INT32_MIN)
#define TIMESTAMP_INFINITY INT64_MAX
#define TIMESTAMP_MINUS_INFINITY INT64_MIN
#define TIMESTAMP_SECOND INT64_C(1000000)
#define TIMESTAMP_DAY INT64_C(86400000000)

/* 4714-11-24 BC and 5874897-12-31; timestamps end before 294277-01-01. */
#define DATE_MIN INT64_C(-2451545)
#define DATE_MAX INT64_C(2145031948)
#define TIMESTAMP_MIN (DATE_MIN * TIMESTAMP_DAY)
#define TIMESTAMP_END (INT64_C(106751983) * TIMESTAMP_DAY)

enum { DATETIME_TEXT_MAX = 64 };    /* enough for any printed date or timestamp */

/* Year 0 is 1 BC, -1 is 2 BC. */
int64_t date_from_civil(int64_t year, int month, int day);
void date_to_civil(int64_t date, int64_t *year, int *month, int *day);
int date_month_days(int64_t year, int month);

/* Text in, in the spellings of PostgreSQL with DateStyle ISO, MDY; 22007, 22008 and 22009 as there.  A zone in the
 * text of a timestamp without time zone is ignored; with one, UTC is the default.  Zones by name other than UTC:
 * 0A000. modifier: digits of a second's fraction that are kept, -1 all. */
int date_parse(struct op *op, struct bytes text, int64_t *date) MUST_CHECK;
int timestamp_parse(struct op *op, struct bytes text, bool zoned, int32_t modifier, int64_t *timestamp) MUST_CHECK;
/* Returns the length. */
size_t date_print(int64_t date, char *text);
size_t timestamp_print(int64_t timestamp, bool zoned, char *text);

/* 22008 where the date is beyond the last timestamp. */
int date_to_timestamp(struct op *op, int64_t date, int64_t *timestamp) MUST_CHECK;
int64_t timestamp_to_date(int64_t timestamp);
/* Order of a date and a timestamp, also where the date is no timestamp. */
int date_compare_timestamp(int64_t date, int64_t timestamp);
int64_t timestamp_round(int64_t timestamp, int32_t modifier);

#endif
