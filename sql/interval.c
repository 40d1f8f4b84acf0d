/*
 * interval.c -- arithmetic of intervals, and intervals printed.
 *
 * Whoever multiplies or divides gets fractions of months and days.  They go down, never up: a fraction of a month becomes days (30 a
 * month), a fraction of a day seconds; hours do not become days unless somebody asks for it (justify_hours and the like).
 *
 *      '1 mon 1 day' * 1.5  =  1.5 months, 1.5 days  =  '1 mon 15 days' + '1 day 12:00'  =  '1 mon 16 days 12:00:00'
 */
#include "sql/interval.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/datetime.h"
#include "src/base/endian.h"

enum { MONTHS_PER_YEAR = 12, DAYS_PER_MONTH = 30, SECONDS_PER_DAY = 86400 };
static const int64_t HOUR_MICROS = INT64_C(3600000000), MINUTE_MICROS = INT64_C(60000000);

struct interval interval_get(struct bytes packed)
{
    return (struct interval){ (int64_t)get_u64(packed.data), (int32_t)get_u32(packed.data + 8), (int32_t)get_u32(packed.data + 12) };
}

int interval_put(struct op *op, struct arena *arena, struct interval interval, struct bytes *packed)
{
    uint8_t *at = arena_alloc(arena, INTERVAL_BYTES);
    if (!at)
        return op_out_of_memory(op);
    put_u64(at, (uint64_t)interval.micros);
    put_u32(at + 8, (uint32_t)interval.days);
    put_u32(at + 12, (uint32_t)interval.months);
    *packed = (struct bytes){ at, INTERVAL_BYTES };
    return 0;
}

/* ---- order ---------------------------------------------------------------------------------------- */

__int128 interval_span(struct interval interval)
{
    int64_t days = (int64_t)interval.months * DAYS_PER_MONTH + interval.days;
    return (__int128)days * TIMESTAMP_DAY + interval.micros;
}

int interval_compare(struct interval a, struct interval b)
{
    __int128 x = interval_span(a), y = interval_span(b);
    return (x > y) - (x < y);
}

void interval_put_key(struct key_builder *key, struct interval interval, int flags)
{
    unsigned __int128 span = (unsigned __int128)interval_span(interval) ^ (unsigned __int128)1 << 127;
    uint8_t bytes[16];
    for (int i = 0; i < 16; i++)
        bytes[i] = (uint8_t)(span >> (120 - 8 * i));
    key_put_bytes(key, (struct bytes){ bytes, sizeof bytes }, flags);
}

/* ---- arithmetic ----------------------------------------------------------------------------------- */

static int out_of_range(struct op *op) { return op_fail(op, "22008", "interval out of range"); }

int interval_add(struct op *op, struct interval a, struct interval b, struct interval *sum)
{
    if (__builtin_add_overflow(a.months, b.months, &sum->months) || __builtin_add_overflow(a.days, b.days, &sum->days) ||
        __builtin_add_overflow(a.micros, b.micros, &sum->micros))
        return out_of_range(op);
    return 0;
}

int interval_negate(struct op *op, struct interval interval, struct interval *negative)
{
    if (__builtin_sub_overflow(0, interval.months, &negative->months) || __builtin_sub_overflow(0, interval.days, &negative->days) ||
        __builtin_sub_overflow((int64_t)0, interval.micros, &negative->micros))
        return out_of_range(op);
    return 0;
}

/* To a whole number of microseconds, against the noise of doubles. */
static double steady(double seconds) { return rint(seconds * 1e6) / 1e6; }

/* Whole parts of months and days, and their fractions handed down. */
static int spread(struct op *op, double months, double days, double micros, struct interval *result)
{
    if (!(months >= INT32_MIN && months <= INT32_MAX) || !(days >= INT32_MIN && days <= INT32_MAX))
        return out_of_range(op);
    result->months = (int32_t)months;
    result->days = (int32_t)days;
    double month_days = steady((months - result->months) * DAYS_PER_MONTH);
    double seconds = steady((days - result->days + month_days - (int)month_days) * SECONDS_PER_DAY);
    if (fabs(seconds) >= SECONDS_PER_DAY) {
        int whole = (int)(seconds / SECONDS_PER_DAY);
        if (__builtin_add_overflow(result->days, whole, &result->days))
            return out_of_range(op);
        seconds -= whole * (double)SECONDS_PER_DAY;
    }
    if (__builtin_add_overflow(result->days, (int32_t)month_days, &result->days))
        return out_of_range(op);
    double total = rint(micros + seconds * 1e6);
    if (!(total >= -0x1p63 && total < 0x1p63))
        return out_of_range(op);
    result->micros = (int64_t)total;
    return 0;
}

int interval_multiply(struct op *op, struct interval interval, double factor, struct interval *product)
{
    return spread(op, interval.months * factor, interval.days * factor, (double)interval.micros * factor, product);
}

int interval_divide(struct op *op, struct interval interval, double divisor, struct interval *quotient)
{
    if (divisor == 0)
        return op_fail(op, "22012", "division by zero");
    return spread(op, interval.months / divisor, interval.days / divisor, (double)interval.micros / divisor, quotient);
}

/* Full units of the smaller move to the larger, and then both get the same sign. */
static int justify_pair(struct op *op, int64_t *small, int64_t unit, int32_t *large)
{
    int64_t whole = *small / unit;
    *small -= whole * unit;
    if (whole > INT32_MAX || whole < INT32_MIN || __builtin_add_overflow(*large, (int32_t)whole, large))
        return out_of_range(op);
    if (*large > 0 && *small < 0) {
        *small += unit;
        --*large;
    } else if (*large < 0 && *small > 0) {
        *small -= unit;
        ++*large;
    }
    return 0;
}

int interval_justify(struct op *op, struct interval interval, bool hours, bool days, struct interval *result)
{
    int64_t whole_days;

    *result = interval;
    if (hours && justify_pair(op, &result->micros, TIMESTAMP_DAY, &result->days) != 0)
        return OP_FAILED;
    if (!days)
        return 0;
    whole_days = result->days;
    if (justify_pair(op, &whole_days, DAYS_PER_MONTH, &result->months) != 0)
        return OP_FAILED;
    result->days = (int32_t)whole_days;
    if (!hours)
        return 0;
    /* Days may have got a sign of their own, and months. */
    if (result->months > 0 && (result->days < 0 || (result->days == 0 && result->micros < 0))) {
        result->days += DAYS_PER_MONTH;
        result->months--;
    } else if (result->months < 0 && (result->days > 0 || (result->days == 0 && result->micros > 0))) {
        result->days -= DAYS_PER_MONTH;
        result->months++;
    }
    if (result->days > 0 && result->micros < 0) {
        result->micros += TIMESTAMP_DAY;
        result->days--;
    } else if (result->days < 0 && result->micros > 0) {
        result->micros -= TIMESTAMP_DAY;
        result->days++;
    }
    return 0;
}

/* ---- steps of the calendar ------------------------------------------------------------------------ */

static int timestamp_out_of_range(struct op *op) { return op_fail(op, "22008", "timestamp out of range"); }

/* On a local time.  A day that the month has not becomes its last. */
static int add_calendar(struct op *op, int64_t local, int32_t months, int32_t days, int64_t *result)
{
    int64_t date = timestamp_to_date(local), clock = local - date * TIMESTAMP_DAY, year;
    int month, day;

    if (months) {
        date_to_civil(date, &year, &month, &day);
        int64_t total = year * MONTHS_PER_YEAR + (month - 1) + months;
        year = total / MONTHS_PER_YEAR - (total % MONTHS_PER_YEAR < 0);
        month = (int)(total - year * MONTHS_PER_YEAR) + 1;
        if (day > date_month_days(year, month))
            day = date_month_days(year, month);
        date = date_from_civil(year, month, day);
    }
    if (__builtin_add_overflow(date, (int64_t)days, &date) || date < DATE_MIN || date > TIMESTAMP_END / TIMESTAMP_DAY)
        return timestamp_out_of_range(op);
    *result = date * TIMESTAMP_DAY + clock;
    return *result >= TIMESTAMP_MIN && *result < TIMESTAMP_END ? 0 : timestamp_out_of_range(op);
}

int timestamp_add_interval(struct op *op, int64_t moment, struct interval interval, const struct zone *zone, int64_t *result)
{
    *result = moment;
    if (!timestamp_is_finite(moment))
        return 0;
    if (interval.months || interval.days) {
        int64_t local = moment;
        if ((zone && timestamp_to_local(op, zone, moment, &local) != 0) ||
            add_calendar(op, local, interval.months, interval.days, result) != 0 ||
            (zone && timestamp_from_local(op, zone, *result, result) != 0))
            return OP_FAILED;
    }
    if (__builtin_add_overflow(*result, interval.micros, result) || *result < TIMESTAMP_MIN || *result >= TIMESTAMP_END)
        return timestamp_out_of_range(op);
    return 0;
}

/* ---- types with fields ---------------------------------------------------------------------------- */

static const struct { int fields; const char *name; } field_ranges[] = {
    { INTERVAL_ALL, "" }, { INTERVAL_YEAR, " year" }, { INTERVAL_MONTH, " month" }, { INTERVAL_DAY, " day" },
    { INTERVAL_HOUR, " hour" }, { INTERVAL_MINUTE, " minute" }, { INTERVAL_SECOND, " second" },
    { INTERVAL_YEAR | INTERVAL_MONTH, " year to month" }, { INTERVAL_DAY | INTERVAL_HOUR, " day to hour" },
    { INTERVAL_DAY | INTERVAL_HOUR | INTERVAL_MINUTE, " day to minute" },
    { INTERVAL_DAY | INTERVAL_HOUR | INTERVAL_MINUTE | INTERVAL_SECOND, " day to second" },
    { INTERVAL_HOUR | INTERVAL_MINUTE, " hour to minute" }, { INTERVAL_HOUR | INTERVAL_MINUTE | INTERVAL_SECOND, " hour to second" },
    { INTERVAL_MINUTE | INTERVAL_SECOND, " minute to second" },
};

const char *interval_fields_name(int fields)
{
    for (size_t i = 0; i < COUNT_OF(field_ranges); i++)
        if (field_ranges[i].fields == fields)
            return field_ranges[i].name;
    return NULL;
}

int interval_fit(struct op *op, struct interval *interval, int32_t modifier)
{
    int fields = interval_modifier_fields(modifier), precision = interval_modifier_precision(modifier);

    /* What is finer than the last field goes; what is coarser than the first stays. */
    if (fields == INTERVAL_YEAR) {
        *interval = (struct interval){ .months = interval->months / MONTHS_PER_YEAR * MONTHS_PER_YEAR };
    } else if (!(fields & ~(INTERVAL_YEAR | INTERVAL_MONTH))) {
        *interval = (struct interval){ .months = interval->months };
    } else if (fields == INTERVAL_DAY) {
        interval->micros = 0;
    } else if (fields != INTERVAL_ALL && !(fields & (INTERVAL_MINUTE | INTERVAL_SECOND))) {
        interval->micros -= interval->micros % HOUR_MICROS;
    } else if (fields != INTERVAL_ALL && !(fields & INTERVAL_SECOND)) {
        interval->micros -= interval->micros % MINUTE_MICROS;
    }
    if (precision > 5)
        return 0;
    int64_t unit = 1, sign = interval->micros < 0 ? -1 : 1;
    for (int i = precision; i < 6; i++)
        unit *= 10;
    if (__builtin_add_overflow(interval->micros, sign * (unit / 2), &interval->micros))
        return out_of_range(op);
    interval->micros -= interval->micros % unit;
    return 0;
}

/* ---- printing ------------------------------------------------------------------------------------- */

struct parts {
    int32_t years, months, days;
    int64_t hours;
    int minutes, seconds, fraction;
};

static struct parts take_apart(struct interval interval)
{
    int64_t rest = interval.micros % HOUR_MICROS;
    return (struct parts){
        interval.months / MONTHS_PER_YEAR, interval.months % MONTHS_PER_YEAR, interval.days, interval.micros / HOUR_MICROS,
        (int)(rest / MINUTE_MICROS), (int)(rest % MINUTE_MICROS / TIMESTAMP_SECOND), (int)(rest % TIMESTAMP_SECOND),
    };
}

static bool has_clock(const struct parts *parts) { return parts->hours || parts->minutes || parts->seconds || parts->fraction; }
static bool clock_is_negative(const struct parts *parts)
{
    return parts->hours < 0 || parts->minutes < 0 || parts->seconds < 0 || parts->fraction < 0;
}

/* "5", "05" or "05.25", without a sign. */
static char *write_seconds(char *at, const struct parts *parts, bool two_digits)
{
    at += sprintf(at, two_digits ? "%02d" : "%d", abs(parts->seconds));
    if (parts->fraction) {
        at += sprintf(at, ".%06d", abs(parts->fraction));
        while (at[-1] == '0')
            at--;
    }
    return at;
}

static char *write_postgres(char *at, const struct parts *parts)
{
    const struct { int32_t value; const char *unit; } units[] = { { parts->years, "year" }, { parts->months, "mon" }, { parts->days, "day" } };
    bool first = true, negative = false;

    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (!units[i].value)
            continue;
        at += sprintf(at, "%s%s%d %s%s", first ? "" : " ", negative && units[i].value > 0 ? "+" : "", (int)units[i].value, units[i].unit,
                      units[i].value != 1 ? "s" : "");
        negative = units[i].value < 0;
        first = false;
    }
    if (!first && !has_clock(parts))
        return at;
    at += sprintf(at, "%s%s%02lld:%02d:", first ? "" : " ", clock_is_negative(parts) ? "-" : negative ? "+" : "",
                  llabs((long long)parts->hours), abs(parts->minutes));
    return write_seconds(at, parts, true);
}

static char *write_verbose(char *at, const struct parts *parts)
{
    const struct { int64_t value; const char *unit; } units[] = {
        { parts->years, "year" }, { parts->months, "mon" }, { parts->days, "day" }, { parts->hours, "hour" }, { parts->minutes, "min" },
    };
    bool first = true, ago = false;

    *at++ = '@';
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        int64_t value = units[i].value;
        if (!value)
            continue;
        if (first)
            ago = value < 0;
        value = ago ? -value : value;
        at += sprintf(at, " %lld %s%s", (long long)value, units[i].unit, value == 1 ? "" : "s");
        first = false;
    }
    if (parts->seconds || parts->fraction) {
        bool negative = parts->seconds < 0 || parts->fraction < 0;
        ago = first ? negative : ago;
        at += sprintf(at, " %s", negative != ago ? "-" : "");
        at = write_seconds(at, parts, false);
        at += sprintf(at, " sec%s", abs(parts->seconds) != 1 || parts->fraction ? "s" : "");
        first = false;
    }
    return at + sprintf(at, "%s%s", first ? " 0" : "", ago ? " ago" : "");
}

static char *write_sql(char *at, const struct parts *given)
{
    struct parts parts = *given;
    bool negative = parts.years < 0 || parts.months < 0 || parts.days < 0 || clock_is_negative(&parts);
    bool positive = parts.years > 0 || parts.months > 0 || parts.days > 0 || parts.hours > 0 || parts.minutes > 0 || parts.seconds > 0 ||
                    parts.fraction > 0;
    bool large = parts.years || parts.months, small = parts.days || has_clock(&parts);

    if (!negative && !positive) {
        *at++ = '0';
        return at;
    }
    if ((negative && positive) || (large && small)) {
        at += sprintf(at, "%c%d-%d %c%d %c%lld:%02d:", parts.years < 0 || parts.months < 0 ? '-' : '+', abs(parts.years), abs(parts.months),
                      parts.days < 0 ? '-' : '+', abs(parts.days), clock_is_negative(&parts) ? '-' : '+',
                      llabs((long long)parts.hours), abs(parts.minutes));
        return write_seconds(at, &parts, true);
    }
    if (negative)
        *at++ = '-';
    if (large)
        return at + sprintf(at, "%d-%d", abs(parts.years), abs(parts.months));
    if (parts.days)
        at += sprintf(at, "%lld ", llabs((long long)parts.days));
    at += sprintf(at, "%lld:%02d:", llabs((long long)parts.hours), abs(parts.minutes));
    return write_seconds(at, &parts, true);
}

static char *write_iso(char *at, const struct parts *parts)
{
    const struct { int64_t value; char unit; } dates[] = { { parts->years, 'Y' }, { parts->months, 'M' }, { parts->days, 'D' } };

    if (!parts->years && !parts->months && !parts->days && !has_clock(parts))
        return at + sprintf(at, "PT0S");
    *at++ = 'P';
    for (size_t i = 0; i < COUNT_OF(dates); i++)
        if (dates[i].value)
            at += sprintf(at, "%lld%c", (long long)dates[i].value, dates[i].unit);
    if (!has_clock(parts))
        return at;
    *at++ = 'T';
    if (parts->hours)
        at += sprintf(at, "%lldH", (long long)parts->hours);
    if (parts->minutes)
        at += sprintf(at, "%dM", parts->minutes);
    if (parts->seconds || parts->fraction) {
        if (parts->seconds < 0 || parts->fraction < 0)
            *at++ = '-';
        at = write_seconds(at, parts, false);
        *at++ = 'S';
    }
    return at;
}

size_t interval_print(struct interval interval, enum interval_style style, char *text)
{
    struct parts parts = take_apart(interval);
    char *end = text;

    switch (style) {
    case INTERVAL_STYLE_POSTGRES: end = write_postgres(text, &parts); break;
    case INTERVAL_STYLE_VERBOSE: end = write_verbose(text, &parts); break;
    case INTERVAL_STYLE_SQL: end = write_sql(text, &parts); break;
    case INTERVAL_STYLE_ISO: end = write_iso(text, &parts); break;
    }
    return (size_t)(end - text);
}
