/*
 * datetime.c -- the calendar, and dates and timestamps printed.
 *
 * The Gregorian calendar repeats every 400 years, or 146,097 days.  Counting years from March puts the leap day at
 * the end of a year, so that the days before a month follow one formula for all months: (153 * m + 2) / 5, with March
 * as m = 0.
 */
#include "sql/datetime.h"

#include <stdio.h>
#include <stdlib.h>

#include "src/os/os.h"

enum { DAYS_PER_ERA = 146097, YEARS_PER_ERA = 400 };
/* Days from 0000-03-01 to 2000-01-01. */
static const int64_t EPOCH = 730425;

int64_t date_from_civil(int64_t year, int month, int day)
{
    int64_t y = year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - (YEARS_PER_ERA - 1)) / YEARS_PER_ERA;
    int64_t year_of_era = y - era * YEARS_PER_ERA;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * DAYS_PER_ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - EPOCH;
}

void date_to_civil(int64_t date, int64_t *year, int *month, int *day)
{
    int64_t days = date + EPOCH;
    int64_t era = (days >= 0 ? days : days - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
    int64_t day_of_era = days - era * DAYS_PER_ERA;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int m = (int)((5 * day_of_year + 2) / 153);
    *day = (int)(day_of_year - (153 * m + 2) / 5 + 1);
    *month = m < 10 ? m + 3 : m - 9;
    *year = year_of_era + era * YEARS_PER_ERA + (*month <= 2);
}

int date_month_days(int64_t year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

static int64_t floor_divide(int64_t a, int64_t b) { return a / b - (a % b < 0); }

int date_to_timestamp(struct op *op, int64_t date, int64_t *timestamp)
{
    if (date == DATE_INFINITY || date == DATE_MINUS_INFINITY) {
        *timestamp = date == DATE_INFINITY ? TIMESTAMP_INFINITY : TIMESTAMP_MINUS_INFINITY;
        return 0;
    }
    if (date * (TIMESTAMP_DAY / TIMESTAMP_SECOND) >= TIMESTAMP_END / TIMESTAMP_SECOND)
        return op_fail(op, "22008", "date out of range for timestamp");
    *timestamp = date * TIMESTAMP_DAY;
    return 0;
}

int64_t timestamp_to_date(int64_t timestamp)
{
    if (timestamp == TIMESTAMP_INFINITY)
        return DATE_INFINITY;
    return timestamp == TIMESTAMP_MINUS_INFINITY ? DATE_MINUS_INFINITY : floor_divide(timestamp, TIMESTAMP_DAY);
}

int date_compare_timestamp(int64_t date, int64_t timestamp)
{
    int64_t days = timestamp_to_date(timestamp);
    if (date != days)
        return date < days ? -1 : 1;
    bool infinite = date == DATE_INFINITY || date == DATE_MINUS_INFINITY;
    return !infinite && timestamp > date * TIMESTAMP_DAY ? -1 : 0;
}

int64_t timestamp_round(int64_t timestamp, int32_t modifier)
{
    static const int64_t units[] = { 1000000, 100000, 10000, 1000, 100, 10, 1 };
    if (modifier < 0 || modifier > 5 || timestamp == TIMESTAMP_INFINITY || timestamp == TIMESTAMP_MINUS_INFINITY)
        return timestamp;
    int64_t unit = units[modifier], half = unit / 2;
    return timestamp >= 0 ? (timestamp + half) / unit * unit : -((-timestamp + half) / unit * unit);
}

int64_t timestamp_clock(void) { return os_wall_us() - INT64_C(946684800) * TIMESTAMP_SECOND; }

const struct time_style *time_style_of(const struct op *op)
{
    static const struct time_style usual = { .zone = &zone_utc };
    return op->time_style ? op->time_style : &usual;
}

const struct time_style *time_style_enter(struct op *op, struct time_style *usual)
{
    const struct time_style *session = op->time_style;
    *usual = (struct time_style){ .zone = &zone_utc, .zones = session ? session->zones : NULL };
    op->time_style = usual;
    return session;
}

/* ---- zones ---------------------------------------------------------------------------------------- */

static int check_range(struct op *op, int64_t timestamp)
{
    return timestamp >= TIMESTAMP_MIN && timestamp < TIMESTAMP_END ? 0 : op_fail(op, "22008", "timestamp out of range");
}

int timestamp_to_local(struct op *op, const struct zone *zone, int64_t moment, int64_t *local)
{
    *local = moment;
    if (!timestamp_is_finite(moment))
        return 0;
    *local += zone_at(zone, moment).offset * TIMESTAMP_SECOND;
    return check_range(op, *local);
}

int timestamp_from_local(struct op *op, const struct zone *zone, int64_t local, int64_t *moment)
{
    *moment = local;
    if (!timestamp_is_finite(local))
        return 0;
    *moment -= zone_offset_of_local(zone, local) * TIMESTAMP_SECOND;
    return check_range(op, *moment);
}

/* ---- printing ------------------------------------------------------------------------------------- */

static char *write_number(char *at, int64_t value, int digits)
{
    char reversed[24];
    int n = 0;
    do {
        reversed[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    while (n < digits)
        reversed[n++] = '0';
    while (n > 0)
        *at++ = reversed[--n];
    return at;
}

static char *write_word(char *at, const char *word)
{
    while (*word)
        *at++ = *word++;
    return at;
}

/* The date's numbers in the style's order and with its signs. */
static char *write_civil(char *at, int64_t date, const struct time_style *style, bool *before_christ)
{
    int64_t year;
    int month, day;
    date_to_civil(date, &year, &month, &day);
    *before_christ = year <= 0;
    year = year > 0 ? year : 1 - year;
    if (style->date == DATE_STYLE_ISO) {
        at = write_number(at, year, 4);
        *at++ = '-';
        at = write_number(at, month, 2);
        *at++ = '-';
        return write_number(at, day, 2);
    }
    char sign = style->date == DATE_STYLE_SQL ? '/' : style->date == DATE_STYLE_GERMAN ? '.' : '-';
    bool day_first = style->order == DATE_ORDER_DMY || style->date == DATE_STYLE_GERMAN;
    if (style->date == DATE_STYLE_POSTGRES && style->order == DATE_ORDER_YMD) {
        at = write_number(at, year, 4);
        *at++ = sign;
        at = write_number(at, month, 2);
        *at++ = sign;
        return write_number(at, day, 2);
    }
    at = write_number(at, day_first ? day : month, 2);
    *at++ = sign;
    at = write_number(at, day_first ? month : day, 2);
    *at++ = sign;
    return write_number(at, year, 4);
}

size_t date_print(int64_t date, const struct time_style *style, char *text)
{
    bool before_christ = false;
    char *at;
    if (date == DATE_INFINITY)
        at = write_word(text, "infinity");
    else if (date == DATE_MINUS_INFINITY)
        at = write_word(text, "-infinity");
    else
        at = write_civil(text, date, style, &before_christ);
    if (before_christ)
        at = write_word(at, " BC");
    return (size_t)(at - text);
}

static char *write_clock(char *at, int64_t micros)
{
    int64_t seconds = micros / TIMESTAMP_SECOND, fraction = micros % TIMESTAMP_SECOND;
    at = write_number(at, seconds / 3600, 2);
    *at++ = ':';
    at = write_number(at, seconds / 60 % 60, 2);
    *at++ = ':';
    at = write_number(at, seconds % 60, 2);
    if (fraction) {
        *at++ = '.';
        at = write_number(at, fraction, 6);
        while (at[-1] == '0')
            at--;
    }
    return at;
}

size_t time_print(int64_t time, char *text) { return (size_t)(write_clock(text, time) - text); }

/* "+00", "-03:30", "+00:53:28" */
static char *write_offset(char *at, int32_t offset)
{
    int32_t seconds = abs(offset);
    *at++ = offset < 0 ? '-' : '+';
    at = write_number(at, seconds / 3600, 2);
    if (seconds % 3600) {
        *at++ = ':';
        at = write_number(at, seconds / 60 % 60, 2);
    }
    if (seconds % 60) {
        *at++ = ':';
        at = write_number(at, seconds % 60, 2);
    }
    return at;
}

/* "Thu Jan 08 04:05:06 1999" */
static char *write_postgres(char *at, int64_t date, int64_t micros, const struct time_style *style, bool *before_christ)
{
    static const char *const weekdays[] = { "Sat", "Sun", "Mon", "Tue", "Wed", "Thu", "Fri" };
    static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    int64_t year;
    int month, day;

    date_to_civil(date, &year, &month, &day);
    *before_christ = year <= 0;
    at = write_word(at, weekdays[((date % 7) + 7) % 7]);    /* 2000-01-01 was a Saturday */
    *at++ = ' ';
    if (style->order == DATE_ORDER_DMY) {
        at = write_number(at, day, 2);
        *at++ = ' ';
        at = write_word(at, months[month - 1]);
    } else {
        at = write_word(at, months[month - 1]);
        *at++ = ' ';
        at = write_number(at, day, 2);
    }
    *at++ = ' ';
    at = write_clock(at, micros);
    *at++ = ' ';
    return write_number(at, year > 0 ? year : 1 - year, 4);
}

size_t timestamp_print(int64_t timestamp, bool zoned, const struct time_style *style, char *text)
{
    if (!timestamp_is_finite(timestamp))
        return date_print(timestamp == TIMESTAMP_INFINITY ? DATE_INFINITY : DATE_MINUS_INFINITY, style, text);
    struct zone_clock clock = { 0 };
    if (zoned) {
        clock = zone_at(style->zone, timestamp);
        timestamp += clock.offset * TIMESTAMP_SECOND;
    }
    bool before_christ;
    int64_t date = timestamp_to_date(timestamp), micros = timestamp - date * TIMESTAMP_DAY;
    char *at = text;
    if (style->date == DATE_STYLE_POSTGRES) {
        at = write_postgres(at, date, micros, style, &before_christ);
    } else {
        at = write_civil(at, date, style, &before_christ);
        *at++ = ' ';
        at = write_clock(at, micros);
    }
    if (zoned && style->date == DATE_STYLE_ISO) {
        at = write_offset(at, clock.offset);
    } else if (zoned) {
        *at++ = ' ';
        at = write_word(at, clock.abbreviation);
    }
    if (before_christ)
        at = write_word(at, " BC");
    return (size_t)(at - text);
}
