/*
 * func_extract.c -- extract, date_part, date_trunc and age: the fields of times.
 *
 * A time is taken apart once (struct fields); each unit is then a formula over the fields.  extract gives decimals, so that seconds
 * keep their six digits; date_part gives doubles of the same values.
 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sql/datetime.h"
#include "sql/func_int.h"
#include "sql/interval.h"
#include "sql/numeric.h"

enum unit { UNIT_NONE, UNIT_MICROSECOND, UNIT_MILLISECOND, UNIT_SECOND, UNIT_MINUTE, UNIT_HOUR, UNIT_DAY, UNIT_WEEK, UNIT_MONTH,
            UNIT_QUARTER, UNIT_YEAR, UNIT_DECADE, UNIT_CENTURY, UNIT_MILLENNIUM, UNIT_JULIAN, UNIT_ISO_YEAR, UNIT_WEEKDAY, UNIT_ISO_WEEKDAY,
            UNIT_YEAR_DAY, UNIT_EPOCH, UNIT_ZONE, UNIT_ZONE_HOUR, UNIT_ZONE_MINUTE };

enum { UNIT_LETTERS = 10 };

static enum unit unit_of(struct bytes name)
{
    static const struct { const char *name; enum unit unit; } units[] = {
        { "c", UNIT_CENTURY }, { "cent", UNIT_CENTURY }, { "centuries", UNIT_CENTURY }, { "century", UNIT_CENTURY }, { "d", UNIT_DAY },
        { "day", UNIT_DAY }, { "days", UNIT_DAY }, { "dec", UNIT_DECADE }, { "decade", UNIT_DECADE }, { "decades", UNIT_DECADE },
        { "decs", UNIT_DECADE }, { "dow", UNIT_WEEKDAY }, { "doy", UNIT_YEAR_DAY }, { "epoch", UNIT_EPOCH }, { "h", UNIT_HOUR },
        { "hour", UNIT_HOUR }, { "hours", UNIT_HOUR }, { "hr", UNIT_HOUR }, { "hrs", UNIT_HOUR }, { "isodow", UNIT_ISO_WEEKDAY },
        { "isoyear", UNIT_ISO_YEAR }, { "j", UNIT_JULIAN }, { "jd", UNIT_JULIAN }, { "julian", UNIT_JULIAN }, { "m", UNIT_MINUTE },
        { "microsecon", UNIT_MICROSECOND }, { "mil", UNIT_MILLENNIUM }, { "millennia", UNIT_MILLENNIUM }, { "millennium", UNIT_MILLENNIUM },
        { "millisecon", UNIT_MILLISECOND }, { "mils", UNIT_MILLENNIUM }, { "min", UNIT_MINUTE }, { "mins", UNIT_MINUTE },
        { "minute", UNIT_MINUTE }, { "minutes", UNIT_MINUTE }, { "mon", UNIT_MONTH }, { "mons", UNIT_MONTH }, { "month", UNIT_MONTH },
        { "months", UNIT_MONTH }, { "ms", UNIT_MILLISECOND }, { "msec", UNIT_MILLISECOND }, { "msecs", UNIT_MILLISECOND },
        { "mseconds", UNIT_MILLISECOND }, { "qtr", UNIT_QUARTER }, { "quarter", UNIT_QUARTER }, { "s", UNIT_SECOND }, { "sec", UNIT_SECOND },
        { "second", UNIT_SECOND }, { "seconds", UNIT_SECOND }, { "secs", UNIT_SECOND }, { "timezone", UNIT_ZONE },
        { "timezone_h", UNIT_ZONE_HOUR }, { "timezone_m", UNIT_ZONE_MINUTE }, { "us", UNIT_MICROSECOND }, { "usec", UNIT_MICROSECOND },
        { "usecond", UNIT_MICROSECOND }, { "useconds", UNIT_MICROSECOND }, { "usecs", UNIT_MICROSECOND }, { "w", UNIT_WEEK },
        { "week", UNIT_WEEK }, { "weeks", UNIT_WEEK }, { "y", UNIT_YEAR }, { "year", UNIT_YEAR }, { "years", UNIT_YEAR },
        { "yr", UNIT_YEAR }, { "yrs", UNIT_YEAR },
    };
    char word[UNIT_LETTERS + 1] = "";
    for (size_t i = 0; i < name.len && i < UNIT_LETTERS; i++)
        word[i] = (char)tolower(name.data[i]);
    for (size_t i = 0; i < COUNT_OF(units); i++)
        if (strcmp(units[i].name, word) == 0)
            return units[i].unit;
    return UNIT_NONE;
}

static int fail_unit(const struct func_call *call, struct bytes name, enum unit unit, Oid type)
{
    char word[64];
    size_t len = name.len < sizeof word - 1 ? name.len : sizeof word - 1;
    for (size_t i = 0; i < len; i++)
        word[i] = (char)tolower(name.data[i]);
    word[len] = '\0';
    return op_fail(call->env->op, unit == UNIT_NONE ? "22023" : "0A000", "unit \"%s\" not %s for type %s", word,
                   unit == UNIT_NONE ? "recognized" : "supported", type_info(type)->name);
}

/* ---- results -------------------------------------------------------------------------------------- */

/* value / 10^digits, as the function's result type has it. */
static int give(const struct func_call *call, int64_t value, int digits, struct datum *out)
{
    static const int64_t powers[] = { 1, 10, 100, 1000, 10000, 100000, 1000000 };
    char text[48];

    if (call->func->result == TYPE_FLOAT8) {
        out->d = (double)value / (double)powers[digits];
        return 0;
    }
    uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value, power = (uint64_t)powers[digits];
    int len = digits ? sprintf(text, "%s%llu.%0*llu", value < 0 ? "-" : "", (unsigned long long)(magnitude / power), digits,
                               (unsigned long long)(magnitude % power))
                     : sprintf(text, "%lld", (long long)value);
    return numeric_parse(call->env->op, call->env->arena, (struct bytes){ (const uint8_t *)text, (size_t)len }, &out->s);
}

static int give_infinity(const struct func_call *call, bool negative, struct datum *out)
{
    const char *text = negative ? "-Infinity" : "Infinity";
    if (call->func->result == TYPE_FLOAT8) {
        out->d = negative ? -INFINITY : INFINITY;
        return 0;
    }
    return numeric_parse(call->env->op, call->env->arena, (struct bytes){ (const uint8_t *)text, strlen(text) }, &out->s);
}

/* ---- taking apart --------------------------------------------------------------------------------- */

struct fields {
    int64_t date, clock;        /* days since 2000-01-01; microseconds since midnight */
    int64_t year;               /* 0 is 1 BC */
    int month, day;
};

static struct fields take_apart(int64_t local)
{
    struct fields f = { .date = timestamp_to_date(local) };
    f.clock = local - f.date * TIMESTAMP_DAY;
    date_to_civil(f.date, &f.year, &f.month, &f.day);
    return f;
}

static int64_t put_together(const struct fields *f) { return date_from_civil(f->year, f->month, f->day) * TIMESTAMP_DAY + f->clock; }

/* 0 is Sunday. */
static int weekday(int64_t date) { return (int)(((date + 6) % 7 + 7) % 7); }

/* The Monday of the first ISO week of a year: that of January 4. */
static int64_t first_iso_week(int64_t year)
{
    int64_t fourth = date_from_civil(year, 1, 4);
    return fourth - (weekday(fourth) + 6) % 7;
}

static int64_t iso_year(const struct fields *f)
{
    if (f->date >= first_iso_week(f->year + 1))
        return f->year + 1;
    return f->date < first_iso_week(f->year) ? f->year - 1 : f->year;
}

static int64_t iso_week(const struct fields *f) { return (f->date - first_iso_week(iso_year(f))) / 7 + 1; }

/* Years of the calendar have no zero. */
static int64_t shown_year(int64_t year) { return year > 0 ? year : year - 1; }
static int64_t decade_of(int64_t year) { return year >= 0 ? year / 10 : -((8 - (year - 1)) / 10); }
/* The century (or millennium) of so many years: the first began with the year 1. */
static int64_t age_of(int64_t year, int years) { return year > 0 ? (year + years - 1) / years : -((years - 1 - (year - 1)) / years); }

static int64_t quotient(int64_t value, int64_t unit) { return value / unit; }

/* ---- extract -------------------------------------------------------------------------------------- */

/* Units of the clock: of a time of day, or of the clock part of an interval. *known says whether it was one. */
static int extract_clock(const struct func_call *call, enum unit unit, int64_t clock, bool *known, struct datum *out)
{
    *known = true;
    switch (unit) {
    case UNIT_MICROSECOND: return give(call, clock % (60 * TIMESTAMP_SECOND), 0, out);
    case UNIT_MILLISECOND: return give(call, clock % (60 * TIMESTAMP_SECOND), 3, out);
    case UNIT_SECOND: return give(call, clock % (60 * TIMESTAMP_SECOND), 6, out);
    case UNIT_MINUTE: return give(call, quotient(clock, 60 * TIMESTAMP_SECOND) % 60, 0, out);
    case UNIT_HOUR: return give(call, quotient(clock, 3600 * TIMESTAMP_SECOND), 0, out);
    default: *known = false; return 0;
    }
}

/* Units of the calendar. */
static int extract_calendar(const struct func_call *call, enum unit unit, const struct fields *f, bool *known, struct datum *out)
{
    *known = true;
    switch (unit) {
    case UNIT_DAY: return give(call, f->day, 0, out);
    case UNIT_MONTH: return give(call, f->month, 0, out);
    case UNIT_QUARTER: return give(call, (f->month - 1) / 3 + 1, 0, out);
    case UNIT_WEEK: return give(call, iso_week(f), 0, out);
    case UNIT_YEAR: return give(call, shown_year(f->year), 0, out);
    case UNIT_DECADE: return give(call, decade_of(f->year), 0, out);
    case UNIT_CENTURY: return give(call, age_of(f->year, 100), 0, out);
    case UNIT_MILLENNIUM: return give(call, age_of(f->year, 1000), 0, out);
    case UNIT_ISO_YEAR: return give(call, shown_year(iso_year(f)), 0, out);
    case UNIT_WEEKDAY: return give(call, weekday(f->date), 0, out);
    case UNIT_ISO_WEEKDAY: return give(call, (weekday(f->date) + 6) % 7 + 1, 0, out);
    case UNIT_YEAR_DAY: return give(call, f->date - date_from_civil(f->year, 1, 1) + 1, 0, out);
    default: *known = false; return 0;
    }
}

/* Days of the Julian period, with the time of day as a fraction. */
static int extract_julian(const struct func_call *call, const struct fields *f, struct datum *out)
{
    struct op *op = call->env->op;
    struct arena *arena = call->env->arena;
    struct bytes day, clock, whole, part;
    int64_t julian = f->date - DATE_MIN;

    if (call->func->result == TYPE_FLOAT8) {
        out->d = (double)julian + (double)f->clock / (double)TIMESTAMP_DAY;
        return 0;
    }
    if (numeric_from_int64(op, arena, TIMESTAMP_DAY, &day) != 0 || numeric_from_int64(op, arena, f->clock, &clock) != 0 ||
        numeric_from_int64(op, arena, julian, &whole) != 0 || numeric_divide(op, arena, clock, day, &part) != 0)
        return OP_FAILED;
    return numeric_add(op, arena, whole, part, &out->s);
}

static int extract_zone(const struct func_call *call, enum unit unit, int32_t offset, struct datum *out)
{
    if (unit == UNIT_ZONE)
        return give(call, offset, 0, out);
    return give(call, unit == UNIT_ZONE_HOUR ? offset / 3600 : offset / 60 % 60, 0, out);
}

/* Of an infinite time what grows for ever is infinite, and all else unknown. */
static int extract_infinite(const struct func_call *call, enum unit unit, bool negative, struct datum *out)
{
    switch (unit) {
    case UNIT_YEAR: case UNIT_DECADE: case UNIT_CENTURY: case UNIT_MILLENNIUM: case UNIT_JULIAN: case UNIT_ISO_YEAR: case UNIT_EPOCH:
        return give_infinity(call, negative, out);
    default:
        out->null = true;
        return 0;
    }
}

FUNC_ROW(func__extract_timestamp)
{
    Oid type = call->func->args[1];
    enum unit unit = unit_of(args[0].s);
    int64_t moment = args[1].i;
    int32_t offset = 0;
    bool known;

    if (unit == UNIT_NONE || (type == TYPE_TIMESTAMP && unit >= UNIT_ZONE))
        return fail_unit(call, args[0].s, unit, type);
    if (!timestamp_is_finite(moment))
        return extract_infinite(call, unit, moment < 0, out);
    if (unit == UNIT_EPOCH)
        return give(call, moment + INT64_C(946684800) * TIMESTAMP_SECOND, 6, out);
    if (type == TYPE_TIMESTAMPTZ) {
        offset = zone_at(time_style_of(call->env->op)->zone, moment).offset;
        moment += offset * TIMESTAMP_SECOND;
    }
    if (unit >= UNIT_ZONE)
        return extract_zone(call, unit, offset, out);
    struct fields f = take_apart(moment);
    if (unit == UNIT_JULIAN)
        return extract_julian(call, &f, out);
    if (extract_clock(call, unit, f.clock, &known, out) != 0 || known)
        return op_failed(call->env->op) ? OP_FAILED : 0;
    return extract_calendar(call, unit, &f, &known, out);
}

FUNC_ROW(func__extract_date)
{
    enum unit unit = unit_of(args[0].s);
    bool known;

    if (unit == UNIT_NONE || unit == UNIT_MICROSECOND || (unit >= UNIT_MILLISECOND && unit <= UNIT_HOUR) || unit >= UNIT_ZONE)
        return fail_unit(call, args[0].s, unit, TYPE_DATE);
    if (!date_is_finite(args[1].i))
        return extract_infinite(call, unit, args[1].i < 0, out);
    struct fields f = { .date = args[1].i };
    date_to_civil(f.date, &f.year, &f.month, &f.day);
    if (unit == UNIT_JULIAN)
        return give(call, f.date - DATE_MIN, 0, out);
    if (unit == UNIT_EPOCH)
        return give(call, (f.date * 86400) + INT64_C(946684800), 0, out);
    return extract_calendar(call, unit, &f, &known, out);
}

FUNC_ROW(func__extract_time)
{
    enum unit unit = unit_of(args[0].s);
    bool known;

    if (unit == UNIT_EPOCH)
        return give(call, args[1].i, 6, out);
    if (extract_clock(call, unit, args[1].i, &known, out) != 0 || known)
        return op_failed(call->env->op) ? OP_FAILED : 0;
    return fail_unit(call, args[0].s, unit, TYPE_TIME);
}

/* A year has 365.25 days here, a month beyond that 30. */
static int extract_interval_epoch(const struct func_call *call, struct interval interval, struct datum *out)
{
    int64_t quarter_days = INT64_C(1461) * (interval.months / 12) + INT64_C(120) * (interval.months % 12) + INT64_C(4) * interval.days;
    int64_t seconds = quarter_days * 21600, micros;

    if (call->func->result == TYPE_FLOAT8 || __builtin_mul_overflow(seconds, TIMESTAMP_SECOND, &micros) ||
        __builtin_add_overflow(micros, interval.micros, &micros)) {
        double total = (double)seconds + (double)interval.micros / 1e6;
        if (call->func->result == TYPE_FLOAT8) {
            out->d = total;
            return 0;
        }
        return numeric_from_double(call->env->op, call->env->arena, total, 15, &out->s);
    }
    return give(call, micros, 6, out);
}

FUNC_ROW(func__extract_interval)
{
    enum unit unit = unit_of(args[0].s);
    struct interval interval = interval_get(args[1].s);
    int64_t years = interval.months / 12, months = interval.months % 12;
    bool known;

    if (extract_clock(call, unit, interval.micros, &known, out) != 0 || known)
        return op_failed(call->env->op) ? OP_FAILED : 0;
    switch (unit) {
    case UNIT_EPOCH: return extract_interval_epoch(call, interval, out);
    case UNIT_DAY: return give(call, interval.days, 0, out);
    case UNIT_MONTH: return give(call, months, 0, out);
    case UNIT_QUARTER: return give(call, months / 3 + 1, 0, out);
    case UNIT_YEAR: return give(call, years, 0, out);
    case UNIT_DECADE: return give(call, years / 10, 0, out);
    case UNIT_CENTURY: return give(call, years / 100, 0, out);
    case UNIT_MILLENNIUM: return give(call, years / 1000, 0, out);
    default: return fail_unit(call, args[0].s, unit, TYPE_INTERVAL);
    }
}

/* ---- date_trunc ----------------------------------------------------------------------------------- */

static const int64_t clock_units[] = { [UNIT_MICROSECOND] = 1, [UNIT_MILLISECOND] = 1000, [UNIT_SECOND] = TIMESTAMP_SECOND,
                                       [UNIT_MINUTE] = 60 * TIMESTAMP_SECOND, [UNIT_HOUR] = 3600 * TIMESTAMP_SECOND };

static void truncate_calendar(struct fields *f, enum unit unit)
{
    f->clock = 0;
    if (unit == UNIT_WEEK) {
        date_to_civil(f->date - (weekday(f->date) + 6) % 7, &f->year, &f->month, &f->day);
        return;
    }
    if (unit > UNIT_DAY)
        f->day = 1;
    if (unit == UNIT_QUARTER)
        f->month = (f->month - 1) / 3 * 3 + 1;
    if (unit > UNIT_QUARTER)
        f->month = 1;
    if (unit == UNIT_DECADE)
        f->year = decade_of(f->year) * 10;
    else if (unit == UNIT_CENTURY)
        f->year = f->year > 0 ? age_of(f->year, 100) * 100 - 99 : age_of(f->year, 100) * 100 + 1;
    else if (unit == UNIT_MILLENNIUM)
        f->year = f->year > 0 ? age_of(f->year, 1000) * 1000 - 999 : age_of(f->year, 1000) * 1000 + 1;
}

static int64_t truncate_local(int64_t local, enum unit unit)
{
    struct fields f = take_apart(local);
    if (unit <= UNIT_HOUR)
        f.clock -= f.clock % clock_units[unit];
    else
        truncate_calendar(&f, unit);
    return put_together(&f);
}

static bool truncates(enum unit unit) { return unit >= UNIT_MICROSECOND && unit <= UNIT_MILLENNIUM; }

FUNC_ROW(func__truncate_timestamp)
{
    enum unit unit = unit_of(args[0].s);
    if (!truncates(unit))
        return fail_unit(call, args[0].s, unit, TYPE_TIMESTAMP);
    out->i = timestamp_is_finite(args[1].i) ? truncate_local(args[1].i, unit) : args[1].i;
    return 0;
}

/* In the session's zone, or in that of a third argument. */
FUNC_ROW(func__truncate_moment)
{
    enum unit unit = unit_of(args[0].s);
    const struct zone *zone = time_style_of(call->env->op)->zone;

    if (!truncates(unit))
        return fail_unit(call, args[0].s, unit, TYPE_TIMESTAMPTZ);
    if (call->arg_count == 3 && func__zone(call, args[2].s, true, &zone) != 0)
        return OP_FAILED;
    out->i = args[1].i;
    if (!timestamp_is_finite(out->i))
        return 0;
    int64_t offset = zone_at(zone, out->i).offset * TIMESTAMP_SECOND, local = truncate_local(out->i + offset, unit);
    if (unit > UNIT_HOUR)
        return timestamp_from_local(call->env->op, zone, local, &out->i);
    out->i = local - offset;
    return 0;
}

FUNC_ROW(func__truncate_interval)
{
    static const int months[] = { [UNIT_MONTH] = 1, [UNIT_QUARTER] = 3, [UNIT_YEAR] = 12, [UNIT_DECADE] = 120, [UNIT_CENTURY] = 1200,
                                  [UNIT_MILLENNIUM] = 12000 };
    enum unit unit = unit_of(args[0].s);
    struct interval interval = interval_get(args[1].s);

    if (!truncates(unit) || unit == UNIT_WEEK) {
        fail_unit(call, args[0].s, unit, TYPE_INTERVAL);
        if (unit == UNIT_WEEK)
            op_detail(call->env->op, "Months usually have fractional weeks.");
        return OP_FAILED;
    }
    if (unit <= UNIT_HOUR) {
        interval.micros -= interval.micros % clock_units[unit];
    } else {
        interval.micros = 0;
        if (unit > UNIT_DAY) {
            interval.days = 0;
            interval.months -= interval.months % months[unit];
        }
    }
    return interval_put(call->env->op, call->env->arena, interval, &out->s);
}

/* ---- age ------------------------------------------------------------------------------------------ */

/* How many whole months, days and time lie between; days are borrowed from the month in which the earlier time lies. */
static struct interval difference(const struct fields *later, const struct fields *earlier)
{
    int64_t micros = later->clock - earlier->clock, months = (later->year - earlier->year) * 12 + later->month - earlier->month;
    int days = later->day - earlier->day;

    if (micros < 0) {
        micros += TIMESTAMP_DAY;
        days--;
    }
    while (days < 0) {
        days += date_month_days(earlier->year, earlier->month);
        months--;
    }
    return (struct interval){ micros, days, (int32_t)months };
}

static int age(const struct func_call *call, int64_t a, int64_t b, struct datum *out)
{
    struct interval result;

    if (!timestamp_is_finite(a) || !timestamp_is_finite(b))
        return op_fail(call->env->op, "22008", "timestamp out of range");
    struct fields x = take_apart(a), y = take_apart(b);
    if (a >= b) {
        result = difference(&x, &y);
    } else {
        result = difference(&y, &x);
        result = (struct interval){ -result.micros, -result.days, -result.months };
    }
    return interval_put(call->env->op, call->env->arena, result, &out->s);
}

/* Moments with a zone are compared by what its clocks show. */
FUNC_ROW(func__age)
{
    int64_t a = args[0].i, b = args[1].i;
    const struct zone *zone = time_style_of(call->env->op)->zone;
    if (call->func->args[0] == TYPE_TIMESTAMPTZ &&
        (timestamp_to_local(call->env->op, zone, a, &a) != 0 || timestamp_to_local(call->env->op, zone, b, &b) != 0))
        return OP_FAILED;
    return age(call, a, b, out);
}

/* Since midnight of today. */
FUNC_ROW(func__age_today)
{
    const struct zone *zone = time_style_of(call->env->op)->zone;
    int64_t now, b = args[0].i;
    if (timestamp_to_local(call->env->op, zone, call->env->transaction_time, &now) != 0 ||
        (call->func->args[0] == TYPE_TIMESTAMPTZ && timestamp_to_local(call->env->op, zone, b, &b) != 0))
        return OP_FAILED;
    return age(call, timestamp_to_date(now) * TIMESTAMP_DAY, b, out);
}
