/*
 * datetime.h -- dates and moments: counting days and microseconds from 2000-01-01.
 *
 * A date is a number of days, a timestamp a number of microseconds, both from midnight of 2000-01-01 in the proleptic
 * Gregorian calendar; a timestamptz counts from there in UTC.  The extremes of 32 bits (dates) and 64 bits are
 * -infinity and infinity.
 */
#ifndef ISOLDE_SQL_DATETIME_H
#define ISOLDE_SQL_DATETIME_H

#include "sql/time_style.h"

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

/* Text in, in the spellings of PostgreSQL with the session's DateStyle; 22007, 22008, 22009 and 22023 as there.  A zone in the text of a
 * timestamp without time zone or of a time is ignored; with one, the session's is the default.  modifier: digits of a second's fraction
 * that are kept, -1 all.  A time is microseconds since midnight, 24:00:00 included. */
int date_parse(struct op *op, struct bytes text, int64_t *date) MUST_CHECK;
int time_parse(struct op *op, struct bytes text, int32_t modifier, int64_t *time) MUST_CHECK;
int timestamp_parse(struct op *op, struct bytes text, bool zoned, int32_t modifier, int64_t *timestamp) MUST_CHECK;
/* Return the length. */
size_t date_print(int64_t date, const struct time_style *style, char *text);
size_t time_print(int64_t time, char *text);
size_t timestamp_print(int64_t timestamp, bool zoned, const struct time_style *style, char *text);

static inline bool timestamp_is_finite(int64_t timestamp)
{
    return timestamp != TIMESTAMP_INFINITY && timestamp != TIMESTAMP_MINUS_INFINITY;
}
static inline bool date_is_finite(int64_t date) { return date != DATE_INFINITY && date != DATE_MINUS_INFINITY; }
/* What clocks in the zone show at a moment, as a timestamp without time zone, and back; infinite ones stay.  22008 beyond the range. */
int timestamp_to_local(struct op *op, const struct zone *zone, int64_t moment, int64_t *local) MUST_CHECK;
int timestamp_from_local(struct op *op, const struct zone *zone, int64_t local, int64_t *moment) MUST_CHECK;

/* 22008 where the date is beyond the last timestamp. */
int date_to_timestamp(struct op *op, int64_t date, int64_t *timestamp) MUST_CHECK;
int64_t timestamp_to_date(int64_t timestamp);
/* Order of a date and a timestamp, also where the date is no timestamp. */
int date_compare_timestamp(int64_t date, int64_t timestamp);
int64_t timestamp_round(int64_t timestamp, int32_t modifier);
/* Microseconds since 2000-01-01 UTC, now. */
int64_t timestamp_clock(void);

#endif
