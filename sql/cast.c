/*
 * cast.c -- from one type to another.
 *
 * Three kinds of casts.  Those of the table compute (integer to numeric), or relabel where the form is the same
 * (varchar to text). Every type goes to text on assignment and comes from text explicitly, through its output and
 * input functions. And a type with a modifier has a function that applies it to values of the type itself: varchar(n)
 * cuts or refuses, numeric(p,s) rounds.
 */
#include <math.h>

#include "sql/datetime.h"
#include "sql/interval.h"
#include "sql/func_int.h"
#include "sql/numeric.h"

/* ---- numbers -------------------------------------------------------------------------------------- */

static int int_out_of_range(struct eval_env *env, Oid to)
{
    return op_fail(env->op, "22003", "%s out of range", to == TYPE_OID ? "OID" : type__int_name(type__int_size(to)));
}

static FUNC_KERNEL(int_to_int)
{
    int size = type__int_size(func->result);
    bool bad = false, wide = func->args[0] == TYPE_INT8;    /* narrower ones wrap into an oid */
    if (func->result == TYPE_OID)
        FUNC_UNARY_LOOP(int64_t, args[0]->ints, int64_t, out->ints, {
            bad |= wide && (x < 0 || x > UINT32_MAX);
            r = (int64_t)(uint32_t)x;
        });
    else if (func->args[0] == TYPE_OID && size == 4)
        FUNC_UNARY_LOOP(int64_t, args[0]->ints, int64_t, out->ints, r = (int32_t)x);
    else
        FUNC_UNARY_LOOP(int64_t, args[0]->ints, int64_t, out->ints, {
            r = x;
            bad |= !type__int_fits(x, size);
        });
    return bad ? int_out_of_range(env, func->result) : 0;
}

static FUNC_KERNEL(int_to_double)
{
    if (func->result == TYPE_FLOAT4)
        FUNC_UNARY_LOOP(int64_t, args[0]->ints, double, out->doubles, r = (double)(float)x);
    else
        FUNC_UNARY_LOOP(int64_t, args[0]->ints, double, out->doubles, r = (double)x);
    return 0;
}

static FUNC_KERNEL(double_to_int)
{
    int size = type__int_size(func->result);
    /* 2^63 is a double, the largest bigint is not; NaN fails both comparisons. */
    double limit = size == 8 ? 0x1p63 : size == 4 ? 0x1p31 : 0x1p15;
    bool bad = false;
    FUNC_UNARY_LOOP(double, args[0]->doubles, int64_t, out->ints, {
        double whole = rint(x);
        bool fits = whole >= -limit && whole < limit;
        bad |= !fits;
        r = fits ? (int64_t)whole : 0;
    });
    return bad ? int_out_of_range(env, func->result) : 0;
}

static FUNC_KERNEL(double_to_double)
{
    bool over = false, under = false;
    if (func->result == TYPE_FLOAT8) {
        FUNC_UNARY_LOOP(double, args[0]->doubles, double, out->doubles, r = x);
        return 0;
    }
    FUNC_UNARY_LOOP(double, args[0]->doubles, double, out->doubles, {
        r = (double)(float)x;
        over |= isinf(r) && !isinf(x);
        under |= r == 0 && x != 0;
    });
    if (over || under)
        return op_fail(env->op, "22003", "value out of range: %s", over ? "overflow" : "underflow");
    return 0;
}

static FUNC_ROW(int_to_numeric) { return numeric_from_int64(call->env->op, call->env->arena, args[0].i, &out->s); }

static FUNC_ROW(double_to_numeric)
{
    int digits = call->func->args[0] == TYPE_FLOAT4 ? 6 : 15;
    return numeric_from_double(call->env->op, call->env->arena, args[0].d, digits, &out->s);
}

static FUNC_ROW(numeric_to_int)
{
    struct numeric_view view;
    Oid to = call->func->result;
    numeric_view(args[0].s, &view);
    if (view.kind != NUMERIC_FINITE)
        return op_fail(call->env->op, "0A000", "cannot convert %s to %s", view.kind == NUMERIC_NAN ? "NaN" : "infinity",
                       type_info(to)->name);
    if (!numeric_to_int64(args[0].s, &out->i) || !type__int_fits(out->i, type__int_size(to)))
        return int_out_of_range(call->env, to);
    return 0;
}

static FUNC_ROW(numeric_to_float)
{
    struct numeric_view view;
    Oid to = call->func->result;
    numeric_view(args[0].s, &view);
    double value = numeric_to_double(call->env->op, args[0].s);
    if (op_failed(call->env->op))
        return OP_FAILED;
    out->d = to == TYPE_FLOAT4 ? (double)(float)value : value;
    if (view.kind == NUMERIC_FINITE && (isinf(out->d) || (out->d == 0 && view.count))) {
        struct bytes text;
        if (numeric_print(call->env->op, call->env->arena, args[0].s, &text) != 0)
            return OP_FAILED;
        return op_fail(call->env->op, "22003", "\"%.*s\" is out of range for type %s", (int)text.len,
                       (const char *)text.data, type_info(to)->name);
    }
    return 0;
}

static FUNC_ROW(bool_to_int)
{
    out->i = args[0].b;
    return 0;
}

static FUNC_ROW(int_to_bool)
{
    out->b = args[0].i != 0;
    return 0;
}

/* ---- time ----------------------------------------------------------------------------------------- */

static FUNC_ROW(date_to_timestamp_row) { return date_to_timestamp(call->env->op, args[0].i, &out->i); }

static FUNC_ROW(date_to_moment)
{
    struct op *op = call->env->op;
    int64_t local;
    return date_to_timestamp(op, args[0].i, &local) != 0 ? OP_FAILED : timestamp_from_local(op, time_style_of(op)->zone, local, &out->i);
}

static FUNC_ROW(timestamp_to_date_row)
{
    out->i = timestamp_to_date(args[0].i);
    return 0;
}

static FUNC_ROW(local_to_moment)
{
    return timestamp_from_local(call->env->op, time_style_of(call->env->op)->zone, args[0].i, &out->i);
}

static FUNC_ROW(moment_to_local)
{
    return timestamp_to_local(call->env->op, time_style_of(call->env->op)->zone, args[0].i, &out->i);
}

static FUNC_ROW(moment_to_date)
{
    int64_t local;
    if (timestamp_to_local(call->env->op, time_style_of(call->env->op)->zone, args[0].i, &local) != 0)
        return OP_FAILED;
    out->i = timestamp_to_date(local);
    return 0;
}

/* An infinite timestamp has no time of day: NULL. */
static FUNC_ROW(timestamp_to_time)
{
    int64_t local = args[0].i;
    out->null = !timestamp_is_finite(local);
    if (out->null)
        return 0;
    if (call->func->args[0] == TYPE_TIMESTAMPTZ &&
        timestamp_to_local(call->env->op, time_style_of(call->env->op)->zone, args[0].i, &local) != 0)
        return OP_FAILED;
    out->i = local - timestamp_to_date(local) * TIMESTAMP_DAY;
    return 0;
}

static FUNC_ROW(time_to_interval)
{
    return interval_put(call->env->op, call->env->arena, (struct interval){ .micros = args[0].i }, &out->s);
}

static FUNC_ROW(interval_to_time)
{
    int64_t micros = interval_get(args[0].s).micros % TIMESTAMP_DAY;
    out->i = micros < 0 ? micros + TIMESTAMP_DAY : micros;
    return 0;
}

/* ---- text ----------------------------------------------------------------------------------------- */

int func__as_text(struct eval_env *env, struct sql_type type, const struct datum *value, struct bytes *text)
{
    if (type.oid == TYPE_BOOL) {
        *text = value->b ? (struct bytes){ (const uint8_t *)"true", 4 } : (struct bytes){ (const uint8_t *)"false", 5 };
        return 0;
    }
    return type_print(env->op, type, value, env->arena, text);
}

static FUNC_ROW(to_text) { return func__as_text(call->env, call->arg_types[0], &args[0], &out->s); }

static FUNC_ROW(from_text)
{
    return type_parse(call->env->op, (struct sql_type){ call->func->result, call->type.modifier }, args[0].s,
                      call->env->arena, out);
}

/* ---- modifiers ------------------------------------------------------------------------------------ */

static FUNC_ROW(cut_varchar) { return type__fit_varchar(call->env->op, args[0].s, call->type.modifier, true, &out->s); }
static FUNC_ROW(fit_varchar) { return type__fit_varchar(call->env->op, args[0].s, call->type.modifier, false,
                                                        &out->s); }

static FUNC_ROW(fit_numeric)
{
    return numeric_apply_modifier(call->env->op, call->env->arena, args[0].s, call->type.modifier, &out->s);
}

static FUNC_ROW(fit_timestamp)
{
    out->i = timestamp_round(args[0].i, call->type.modifier);
    return 0;
}

static FUNC_ROW(fit_interval)
{
    struct interval interval = interval_get(args[0].s);
    if (interval_fit(call->env->op, &interval, call->type.modifier) != 0)
        return OP_FAILED;
    return interval_put(call->env->op, call->env->arena, interval, &out->s);
}

#define ROW(function) func__rows, (intptr_t)(function)
#define LOOP(kernel) kernel, 0
#define FUNCTION(name, from, to, volatility, ...)                                                                      \
    { name, 1, { TYPE_##from }, TYPE_##to, true, false, FUNC_##volatility, __VA_ARGS__ }

static const struct func modifier_functions[] = {
    FUNCTION("varchar", VARCHAR, VARCHAR, IMMUTABLE, ROW(fit_varchar)),
    FUNCTION("numeric", NUMERIC, NUMERIC, IMMUTABLE, ROW(fit_numeric)),
    FUNCTION("timestamp", TIMESTAMP, TIMESTAMP, IMMUTABLE, ROW(fit_timestamp)),
    FUNCTION("timestamptz", TIMESTAMPTZ, TIMESTAMPTZ, IMMUTABLE, ROW(fit_timestamp)),
    FUNCTION("time", TIME, TIME, IMMUTABLE, ROW(fit_timestamp)),
    FUNCTION("interval", INTERVAL, INTERVAL, IMMUTABLE, ROW(fit_interval)),
};
static const struct func varchar_cut = FUNCTION("varchar", VARCHAR, VARCHAR, IMMUTABLE, ROW(cut_varchar));

const struct func *cast_modifier(Oid type, bool explicit_cast)
{
    if (type == TYPE_VARCHAR && explicit_cast)
        return &varchar_cut;
    for (size_t i = 0; i < COUNT_OF(modifier_functions); i++)
        if (modifier_functions[i].result == type)
            return &modifier_functions[i];
    return NULL;
}

/* ---- the table ------------------------------------------------------------------------------------ */

#define CAST(name, from, to, context, volatility, ...)                                                                 \
    { TYPE_##from, TYPE_##to, CAST_##context, &(const struct func)FUNCTION(name, from, to, volatility, __VA_ARGS__) }
#define RELABEL(from, to, context) { TYPE_##from, TYPE_##to, CAST_##context, NULL }
#define TO_TEXT(from)                                                                                                  \
    CAST("text", from, TEXT, ASSIGNMENT, IMMUTABLE, ROW(to_text)),                                                     \
    CAST("varchar", from, VARCHAR, ASSIGNMENT, IMMUTABLE, ROW(to_text))
/* What the text of times looks like depends on the session's settings. */
#define TO_STYLED_TEXT(from)                                                                                           \
    CAST("text", from, TEXT, ASSIGNMENT, STABLE, ROW(to_text)), CAST("varchar", from, VARCHAR, ASSIGNMENT, STABLE, ROW(to_text))
#define FROM_TEXT(name, to, volatility)                                                                                \
    CAST(name, TEXT, to, EXPLICIT, volatility, ROW(from_text)),                                                        \
    CAST(name, VARCHAR, to, EXPLICIT, volatility, ROW(from_text))

static const struct cast casts[] = {
    CAST("int4", INT2, INT4, IMPLICIT, IMMUTABLE, LOOP(int_to_int)),
    CAST("int8", INT2, INT8, IMPLICIT, IMMUTABLE, LOOP(int_to_int)),
    CAST("int2", INT4, INT2, ASSIGNMENT, IMMUTABLE, LOOP(int_to_int)),
    CAST("int8", INT4, INT8, IMPLICIT, IMMUTABLE, LOOP(int_to_int)),
    CAST("int2", INT8, INT2, ASSIGNMENT, IMMUTABLE, LOOP(int_to_int)),
    CAST("int4", INT8, INT4, ASSIGNMENT, IMMUTABLE, LOOP(int_to_int)),
    CAST("float4", INT2, FLOAT4, IMPLICIT, IMMUTABLE, LOOP(int_to_double)),
    CAST("float8", INT2, FLOAT8, IMPLICIT, IMMUTABLE, LOOP(int_to_double)),
    CAST("numeric", INT2, NUMERIC, IMPLICIT, IMMUTABLE, ROW(int_to_numeric)),
    CAST("float4", INT4, FLOAT4, IMPLICIT, IMMUTABLE, LOOP(int_to_double)),
    CAST("float8", INT4, FLOAT8, IMPLICIT, IMMUTABLE, LOOP(int_to_double)),
    CAST("numeric", INT4, NUMERIC, IMPLICIT, IMMUTABLE, ROW(int_to_numeric)),
    CAST("float4", INT8, FLOAT4, IMPLICIT, IMMUTABLE, LOOP(int_to_double)),
    CAST("float8", INT8, FLOAT8, IMPLICIT, IMMUTABLE, LOOP(int_to_double)),
    CAST("numeric", INT8, NUMERIC, IMPLICIT, IMMUTABLE, ROW(int_to_numeric)),
    CAST("int2", FLOAT4, INT2, ASSIGNMENT, IMMUTABLE, LOOP(double_to_int)),
    CAST("int4", FLOAT4, INT4, ASSIGNMENT, IMMUTABLE, LOOP(double_to_int)),
    CAST("int8", FLOAT4, INT8, ASSIGNMENT, IMMUTABLE, LOOP(double_to_int)),
    CAST("numeric", FLOAT4, NUMERIC, ASSIGNMENT, IMMUTABLE, ROW(double_to_numeric)),
    CAST("int2", FLOAT8, INT2, ASSIGNMENT, IMMUTABLE, LOOP(double_to_int)),
    CAST("int4", FLOAT8, INT4, ASSIGNMENT, IMMUTABLE, LOOP(double_to_int)),
    CAST("int8", FLOAT8, INT8, ASSIGNMENT, IMMUTABLE, LOOP(double_to_int)),
    CAST("numeric", FLOAT8, NUMERIC, ASSIGNMENT, IMMUTABLE, ROW(double_to_numeric)),
    CAST("float8", FLOAT4, FLOAT8, IMPLICIT, IMMUTABLE, LOOP(double_to_double)),
    CAST("float4", FLOAT8, FLOAT4, ASSIGNMENT, IMMUTABLE, LOOP(double_to_double)),
    CAST("int2", NUMERIC, INT2, ASSIGNMENT, IMMUTABLE, ROW(numeric_to_int)),
    CAST("int4", NUMERIC, INT4, ASSIGNMENT, IMMUTABLE, ROW(numeric_to_int)),
    CAST("int8", NUMERIC, INT8, ASSIGNMENT, IMMUTABLE, ROW(numeric_to_int)),
    CAST("float4", NUMERIC, FLOAT4, IMPLICIT, IMMUTABLE, ROW(numeric_to_float)),
    CAST("float8", NUMERIC, FLOAT8, IMPLICIT, IMMUTABLE, ROW(numeric_to_float)),
    CAST("int4", BOOL, INT4, EXPLICIT, IMMUTABLE, ROW(bool_to_int)),
    CAST("bool", INT4, BOOL, EXPLICIT, IMMUTABLE, ROW(int_to_bool)),
    CAST("oid", INT2, OID, IMPLICIT, IMMUTABLE, LOOP(int_to_int)),
    CAST("oid", INT4, OID, IMPLICIT, IMMUTABLE, LOOP(int_to_int)),
    CAST("oid", INT8, OID, IMPLICIT, IMMUTABLE, LOOP(int_to_int)),
    CAST("int4", OID, INT4, ASSIGNMENT, IMMUTABLE, LOOP(int_to_int)),
    CAST("int8", OID, INT8, ASSIGNMENT, IMMUTABLE, LOOP(int_to_int)),
    CAST("timestamp", DATE, TIMESTAMP, IMPLICIT, IMMUTABLE, ROW(date_to_timestamp_row)),
    CAST("timestamptz", DATE, TIMESTAMPTZ, IMPLICIT, STABLE, ROW(date_to_moment)),
    CAST("date", TIMESTAMP, DATE, ASSIGNMENT, IMMUTABLE, ROW(timestamp_to_date_row)),
    CAST("date", TIMESTAMPTZ, DATE, ASSIGNMENT, STABLE, ROW(moment_to_date)),
    CAST("timestamptz", TIMESTAMP, TIMESTAMPTZ, IMPLICIT, STABLE, ROW(local_to_moment)),
    CAST("timestamp", TIMESTAMPTZ, TIMESTAMP, ASSIGNMENT, STABLE, ROW(moment_to_local)),
    CAST("time", TIMESTAMP, TIME, ASSIGNMENT, IMMUTABLE, ROW(timestamp_to_time)),
    CAST("time", TIMESTAMPTZ, TIME, ASSIGNMENT, STABLE, ROW(timestamp_to_time)),
    CAST("interval", TIME, INTERVAL, IMPLICIT, IMMUTABLE, ROW(time_to_interval)),
    CAST("time", INTERVAL, TIME, ASSIGNMENT, IMMUTABLE, ROW(interval_to_time)),
    RELABEL(TEXT, VARCHAR, IMPLICIT),
    RELABEL(VARCHAR, TEXT, IMPLICIT),
    TO_TEXT(BOOL),
    FROM_TEXT("bool", BOOL, IMMUTABLE),
    TO_TEXT(INT2),
    FROM_TEXT("int2", INT2, IMMUTABLE),
    TO_TEXT(INT4),
    FROM_TEXT("int4", INT4, IMMUTABLE),
    TO_TEXT(INT8),
    FROM_TEXT("int8", INT8, IMMUTABLE),
    TO_TEXT(OID),
    FROM_TEXT("oid", OID, IMMUTABLE),
    TO_TEXT(FLOAT4),
    FROM_TEXT("float4", FLOAT4, IMMUTABLE),
    TO_TEXT(FLOAT8),
    FROM_TEXT("float8", FLOAT8, IMMUTABLE),
    TO_TEXT(NUMERIC),
    FROM_TEXT("numeric", NUMERIC, IMMUTABLE),
    TO_STYLED_TEXT(DATE),
    FROM_TEXT("date", DATE, STABLE),
    TO_STYLED_TEXT(TIMESTAMP),
    FROM_TEXT("timestamp", TIMESTAMP, STABLE),
    TO_STYLED_TEXT(TIMESTAMPTZ),
    FROM_TEXT("timestamptz", TIMESTAMPTZ, STABLE),
    TO_TEXT(TIME),
    FROM_TEXT("time", TIME, STABLE),
    TO_TEXT(INTERVAL),
    FROM_TEXT("interval", INTERVAL, IMMUTABLE),
};

const struct cast *cast_find(Oid from, Oid to)
{
    for (size_t i = 0; i < COUNT_OF(casts); i++)
        if (casts[i].from == from && casts[i].to == to)
            return &casts[i];
    return NULL;
}
