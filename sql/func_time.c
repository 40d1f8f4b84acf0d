/* func_time.c -- arithmetic of dates, and the clocks. */
#include "sql/datetime.h"
#include "sql/func_int.h"
#include "src/os/os.h"

static bool is_infinite(int64_t date) { return date == DATE_INFINITY || date == DATE_MINUS_INFINITY; }

static int shift(const struct func_call *call, int64_t date, int64_t days, struct datum *out)
{
    out->i = date;
    if (is_infinite(date))
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
    if (is_infinite(args[0].i) || is_infinite(args[1].i))
        return op_fail(call->env->op, "22008", "cannot subtract infinite dates");
    out->i = args[0].i - args[1].i;
    return 0;
}

FUNC_ROW(func__date_make)
{
    int64_t year = args[0].i < 0 ? args[0].i + 1 : args[0].i, month = args[1].i, day = args[2].i;
    if (args[0].i == 0 || month < 1 || month > 12 || day < 1 || day > date_month_days(year, (int)month))
        return op_fail(call->env->op, "22008", "date field value out of range: %lld-%02lld-%02lld",
                       (long long)args[0].i, (long long)month, (long long)day);
    out->i = date_from_civil(year, (int)month, (int)day);
    if (out->i < DATE_MIN || out->i > DATE_MAX)
        return op_fail(call->env->op, "22008", "date out of range: %lld-%02lld-%02lld", (long long)args[0].i,
                       (long long)month, (long long)day);
    return 0;
}

FUNC_ROW(func__is_finite)
{
    out->b = call->func->args[0] == TYPE_DATE ? !is_infinite(args[0].i)
                                              : args[0].i != TIMESTAMP_INFINITY &&
                                                    args[0].i != TIMESTAMP_MINUS_INFINITY;
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
    out->i = os_wall_us() - INT64_C(946684800) * TIMESTAMP_SECOND;    /* 1970 to 2000 */
    return 0;
}

FUNC_ROW(func__current_date)
{
    out->i = timestamp_to_date(call->env->transaction_time);
    return 0;
}
