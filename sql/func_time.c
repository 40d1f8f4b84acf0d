/*
 * func_time.c -- arithmetic of dates, times, timestamps and intervals, and the clocks.
 *
 * Months and days are steps of the calendar, made on what a clock in the session's zone shows; hours and below are steps of time.  So a
 * day across the change to summer time has 23 hours, and 24 hours are 24 hours.
 */
#include <math.h>

#include "sql/datetime.h"
#include "sql/func_int.h"
#include "sql/interval.h"

static int put(const struct func_call *call, struct interval interval, struct datum *out)
{
    return interval_put(call->env->op, call->env->arena, interval, &out->s);
}

static int timestamp_out_of_range(const struct func_call *call) { return op_fail(call->env->op, "22008", "timestamp out of range"); }

/* ---- dates ---------------------------------------------------------------------------------------- */

static int shift(const struct func_call *call, int64_t date, int64_t days, struct datum *out)
{
    out->i = date;
    if (!date_is_finite(date))
        return 0;
    out->i = date + days;
    if (out->i < DATE_MIN || out->i > DATE_MAX)
        return op_fail(call->env->op, "22008", "date out of range");
    return 0;
}

FUNC_ROW(func__date_add) { return shift(call, args[0].i, args[1].i, out); }
FUNC_ROW(func__date_add_reversed) { return shift(call, args[1].i, args[0].i, out); }
FUNC_ROW(func__date_subtract_days) { return shift(call, args[0].i, -args[1].i, out); }

FUNC_ROW(func__date_subtract)
{
    if (!date_is_finite(args[0].i) || !date_is_finite(args[1].i))
        return op_fail(call->env->op, "22008", "cannot subtract infinite dates");
    out->i = args[0].i - args[1].i;
    return 0;
}

static bool is_date(int64_t year, int64_t month, int64_t day)
{
    int64_t civil = year < 0 ? year + 1 : year;
    return year != 0 && month >= 1 && month <= 12 && day >= 1 && day <= date_month_days(civil, (int)month);
}

FUNC_ROW(func__date_make)
{
    int64_t year = args[0].i, month = args[1].i, day = args[2].i;
    if (!is_date(year, month, day))
        return op_fail(call->env->op, "22008", "date field value out of range: %lld-%02lld-%02lld", (long long)year, (long long)month,
                       (long long)day);
    out->i = date_from_civil(year < 0 ? year + 1 : year, (int)month, (int)day);
    if (out->i < DATE_MIN || out->i > DATE_MAX)
        return op_fail(call->env->op, "22008", "date out of range: %lld-%02lld-%02lld", (long long)year, (long long)month,
                       (long long)day);
    return 0;
}

/* The date's midnight plus a time of day. */
static int date_and_time(const struct func_call *call, int64_t date, int64_t time, struct datum *out)
{
    if (date_to_timestamp(call->env->op, date, &out->i) != 0)
        return OP_FAILED;
    if (timestamp_is_finite(out->i) && (__builtin_add_overflow(out->i, time, &out->i) || out->i >= TIMESTAMP_END))
        return timestamp_out_of_range(call);
    return 0;
}

FUNC_ROW(func__date_add_time) { return date_and_time(call, args[0].i, args[1].i, out); }
FUNC_ROW(func__time_add_date) { return date_and_time(call, args[1].i, args[0].i, out); }

/* ---- timestamps and intervals --------------------------------------------------------------------- */

static const struct zone *zone_of(const struct func_call *call, Oid type)
{
    return type == TYPE_TIMESTAMPTZ ? time_style_of(call->env->op)->zone : NULL;
}

static int add_to(const struct func_call *call, Oid type, int64_t value, struct interval interval, struct datum *out)
{
    if (type == TYPE_DATE && date_to_timestamp(call->env->op, value, &value) != 0)
        return OP_FAILED;
    return timestamp_add_interval(call->env->op, value, interval, zone_of(call, type), &out->i);
}

FUNC_ROW(func__moment_add) { return add_to(call, call->func->args[0], args[0].i, interval_get(args[1].s), out); }
FUNC_ROW(func__moment_add_reversed) { return add_to(call, call->func->args[1], args[1].i, interval_get(args[0].s), out); }

FUNC_ROW(func__moment_subtract_interval)
{
    struct interval negative;
    if (interval_negate(call->env->op, interval_get(args[1].s), &negative) != 0)
        return OP_FAILED;
    return add_to(call, call->func->args[0], args[0].i, negative, out);
}

FUNC_ROW(func__moment_subtract)
{
    struct interval difference = { 0 };
    if (!timestamp_is_finite(args[0].i) || !timestamp_is_finite(args[1].i))
        return op_fail(call->env->op, "22008", "cannot subtract infinite timestamps");
    if (__builtin_sub_overflow(args[0].i, args[1].i, &difference.micros))
        return op_fail(call->env->op, "22008", "interval out of range");
    if (interval_justify(call->env->op, difference, true, false, &difference) != 0)
        return OP_FAILED;
    return put(call, difference, out);
}

/* ---- times of day --------------------------------------------------------------------------------- */

static int64_t into_day(int64_t micros)
{
    micros %= TIMESTAMP_DAY;
    return micros < 0 ? micros + TIMESTAMP_DAY : micros;
}

FUNC_ROW(func__time_add)
{
    out->i = into_day(args[0].i + interval_get(args[1].s).micros % TIMESTAMP_DAY);
    return 0;
}

FUNC_ROW(func__time_add_reversed)
{
    out->i = into_day(args[1].i + interval_get(args[0].s).micros % TIMESTAMP_DAY);
    return 0;
}

FUNC_ROW(func__time_subtract_interval)
{
    out->i = into_day(args[0].i - interval_get(args[1].s).micros % TIMESTAMP_DAY);
    return 0;
}

FUNC_ROW(func__time_subtract) { return put(call, (struct interval){ .micros = args[0].i - args[1].i }, out); }

/* Microseconds of a time given by its fields; false when it is none. */
static bool make_clock(int64_t hour, int64_t minute, double second, int64_t *micros)
{
    if (isnan(second) || second < 0 || second > 60 || hour < 0 || hour > 24 || minute < 0 || minute > 59)
        return false;
    *micros = (hour * 60 + minute) * 60 * TIMESTAMP_SECOND + (int64_t)rint(second * 1e6);
    return *micros <= TIMESTAMP_DAY;
}

FUNC_ROW(func__time_make)
{
    if (!make_clock(args[0].i, args[1].i, args[2].d, &out->i))
        return op_fail(call->env->op, "22008", "time field value out of range: %lld:%02lld:%02g", (long long)args[0].i,
                       (long long)args[1].i, args[2].d);
    return 0;
}

FUNC_ROW(func__timestamp_make)
{
    struct op *op = call->env->op;
    int64_t year = args[0].i, month = args[1].i, day = args[2].i, micros, local;

    if (!is_date(year, month, day))
        return op_fail(op, "22008", "date field value out of range: %lld-%02lld-%02lld", (long long)year, (long long)month, (long long)day);
    if (!make_clock(args[3].i, args[4].i, args[5].d, &micros))
        return op_fail(op, "22008", "time field value out of range: %lld:%02lld:%02g", (long long)args[3].i, (long long)args[4].i,
                       args[5].d);
    int64_t date = date_from_civil(year < 0 ? year + 1 : year, (int)month, (int)day);
    if (date < DATE_MIN || date > TIMESTAMP_END / TIMESTAMP_DAY || (local = date * TIMESTAMP_DAY + micros) >= TIMESTAMP_END)
        return op_fail(op, "22008", "timestamp out of range: %lld-%02lld-%02lld %lld:%02lld:%02g", (long long)year, (long long)month,
                       (long long)day, (long long)args[3].i, (long long)args[4].i, args[5].d);
    out->i = local;
    if (call->func->result == TYPE_TIMESTAMP)
        return 0;
    const struct zone *zone = time_style_of(op)->zone;
    if (call->arg_count == 7 && func__zone(call, args[6].s, false, &zone) != 0)
        return OP_FAILED;
    return timestamp_from_local(op, zone, local, &out->i);
}

/* ---- intervals ------------------------------------------------------------------------------------ */

FUNC_ROW(func__interval_add)
{
    struct interval sum;
    return interval_add(call->env->op, interval_get(args[0].s), interval_get(args[1].s), &sum) != 0 ? OP_FAILED : put(call, sum, out);
}

FUNC_ROW(func__interval_negate)
{
    struct interval negative;
    return interval_negate(call->env->op, interval_get(args[0].s), &negative) != 0 ? OP_FAILED : put(call, negative, out);
}

FUNC_ROW(func__interval_plus) { return put(call, interval_get(args[0].s), out); }

FUNC_ROW(func__interval_subtract)
{
    struct interval a = interval_get(args[0].s), b = interval_get(args[1].s), difference;
    if (__builtin_sub_overflow(a.months, b.months, &difference.months) || __builtin_sub_overflow(a.days, b.days, &difference.days) ||
        __builtin_sub_overflow(a.micros, b.micros, &difference.micros))
        return op_fail(call->env->op, "22008", "interval out of range");
    return put(call, difference, out);
}

static int multiply(const struct func_call *call, struct bytes packed, double factor, struct datum *out)
{
    struct interval product;
    return interval_multiply(call->env->op, interval_get(packed), factor, &product) != 0 ? OP_FAILED : put(call, product, out);
}

FUNC_ROW(func__interval_multiply) { return multiply(call, args[0].s, args[1].d, out); }
FUNC_ROW(func__interval_multiply_reversed) { return multiply(call, args[1].s, args[0].d, out); }

FUNC_ROW(func__interval_divide)
{
    struct interval quotient;
    return interval_divide(call->env->op, interval_get(args[0].s), args[1].d, &quotient) != 0 ? OP_FAILED : put(call, quotient, out);
}

static int justify(const struct func_call *call, const struct datum *args, bool hours, bool days, struct datum *out)
{
    struct interval result;
    return interval_justify(call->env->op, interval_get(args[0].s), hours, days, &result) != 0 ? OP_FAILED : put(call, result, out);
}

FUNC_ROW(func__interval_justify_hours) { return justify(call, args, true, false, out); }
FUNC_ROW(func__interval_justify_days) { return justify(call, args, false, true, out); }
FUNC_ROW(func__interval_justify) { return justify(call, args, true, true, out); }

/* Years, months, weeks, days, hours, minutes as far as they are given, and seconds. */
FUNC_ROW(func__interval_make)
{
    int64_t n[6] = { 0 }, months, days, micros;
    double seconds = call->arg_count == 7 ? args[6].d : 0;

    for (int i = 0; i < call->arg_count && i < 6; i++)
        n[i] = args[i].i;
    months = n[0] * 12 + n[1];
    days = n[2] * 7 + n[3];
    micros = (n[4] * 60 + n[5]) * 60 * TIMESTAMP_SECOND;
    if (!isfinite(seconds) || months != (int32_t)months || days != (int32_t)days || fabs(rint(seconds * 1e6)) >= 0x1p62 ||
        __builtin_add_overflow(micros, (int64_t)rint(seconds * 1e6), &micros))
        return op_fail(call->env->op, "22008", "interval out of range");
    return put(call, (struct interval){ micros, (int32_t)days, (int32_t)months }, out);
}

/* ---- OVERLAPS ------------------------------------------------------------------------------------- */

/* The end of a period: its second value, or the first plus an interval; NULL as far as it is not known. */
static int period(const struct func_call *call, const struct datum *args, int first, int64_t *low, int64_t *high, bool *low_null,
                  bool *high_null)
{
    const Oid *types = call->func->args + first;
    const struct datum *begin = &args[first], *end = &args[first + 1];

    *low_null = begin->null;
    *high_null = end->null || (types[1] == TYPE_INTERVAL && begin->null);
    *low = begin->null ? 0 : begin->i;
    if (*high_null)
        return 0;
    if (types[1] != TYPE_INTERVAL)
        *high = end->i;
    else if (types[0] == TYPE_TIME)
        *high = into_day(begin->i + interval_get(end->s).micros % TIMESTAMP_DAY);
    else
        return timestamp_add_interval(call->env->op, begin->i, interval_get(end->s), zone_of(call, types[0]), high);
    return 0;
}

/* Brings the ends into order; with one end known it is both. */
static void order_period(int64_t *low, int64_t *high, bool *low_null, bool *high_null)
{
    if (*low_null || (!*high_null && *low > *high)) {
        int64_t value = *low;
        bool null = *low_null;
        *low = *high;
        *low_null = *high_null;
        *high = value;
        *high_null = null;
    }
}

/* Periods are half open, but a moment overlaps what it begins.  NULL where the unknown decides. */
FUNC_ROW(func__overlaps)
{
    int64_t a, a_end = 0, b, b_end = 0;
    bool a_null, a_end_null, b_null, b_end_null;

    if (period(call, args, 0, &a, &a_end, &a_null, &a_end_null) != 0 || period(call, args, 2, &b, &b_end, &b_null, &b_end_null) != 0)
        return OP_FAILED;
    order_period(&a, &a_end, &a_null, &a_end_null);
    order_period(&b, &b_end, &b_null, &b_end_null);
    if (a_null || b_null) {
        out->null = true;
        return 0;
    }
    if (a == b) {
        out->null = a_end_null || b_end_null;
        out->b = true;
        return 0;
    }
    bool a_first = a < b;
    int64_t first_end = a_first ? a_end : b_end, later = a_first ? b : a;
    bool first_end_null = a_first ? a_end_null : b_end_null, later_end_null = a_first ? b_end_null : a_end_null;
    out->b = !first_end_null && later < first_end;
    out->null = first_end_null || (out->b && later_end_null);
    return 0;
}

/* ---- clocks --------------------------------------------------------------------------------------- */

FUNC_ROW(func__is_finite)
{
    Oid type = call->func->args[0];
    out->b = type == TYPE_INTERVAL || (type == TYPE_DATE ? date_is_finite(args[0].i) : timestamp_is_finite(args[0].i));
    return 0;
}

FUNC_ROW(func__transaction_time)
{
    out->i = call->env->transaction_time;
    return 0;
}

FUNC_ROW(func__statement_time)
{
    out->i = call->env->statement_time;
    return 0;
}

FUNC_ROW(func__clock_time)
{
    out->i = timestamp_clock();
    return 0;
}

static int local_time(const struct func_call *call, int64_t *local)
{
    return timestamp_to_local(call->env->op, time_style_of(call->env->op)->zone, call->env->transaction_time, local);
}

FUNC_ROW(func__local_timestamp) { return local_time(call, &out->i); }

FUNC_ROW(func__local_time)
{
    if (local_time(call, &out->i) != 0)
        return OP_FAILED;
    out->i = into_day(out->i);
    return 0;
}

FUNC_ROW(func__current_date)
{
    if (local_time(call, &out->i) != 0)
        return OP_FAILED;
    out->i = timestamp_to_date(out->i);
    return 0;
}

/* Seconds since 1970. */
FUNC_ROW(func__timestamp_from_epoch)
{
    double seconds = args[0].d;
    if (isnan(seconds))
        return op_fail(call->env->op, "22008", "timestamp cannot be NaN");
    if (isinf(seconds)) {
        out->i = seconds > 0 ? TIMESTAMP_INFINITY : TIMESTAMP_MINUS_INFINITY;
        return 0;
    }
    double micros = rint((seconds - 946684800.0) * 1e6);
    if (!(micros >= (double)TIMESTAMP_MIN && micros < (double)TIMESTAMP_END))
        return op_fail(call->env->op, "22008", "timestamp out of range: \"%g\"", seconds);
    out->i = (int64_t)micros;
    return 0;
}
