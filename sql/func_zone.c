/*
 * func_zone.c -- AT TIME ZONE: timestamps with a zone and without, turned into each other.
 */
#include "sql/datetime.h"
#include "sql/func_int.h"
#include "sql/interval.h"

/* "+05:30" and the like. */
static bool is_offset(struct bytes name, int32_t *offset)
{
    int numbers[3] = { 0, 0, 0 }, count = 0, digits = 0;

    if (name.len < 2 || (name.data[0] != '+' && name.data[0] != '-'))
        return false;
    for (size_t i = 1; i < name.len; i++) {
        if (name.data[i] >= '0' && name.data[i] <= '9' && digits < 2) {
            numbers[count] = numbers[count] * 10 + name.data[i] - '0';
            digits++;
        } else if (name.data[i] == ':' && digits > 0 && count < 2) {
            count++;
            digits = 0;
        } else {
            return false;
        }
    }
    *offset = (numbers[0] * 60 + numbers[1]) * 60 + numbers[2];
    *offset = name.data[0] == '-' ? -*offset : *offset;
    return digits > 0;
}

int func__zone(const struct func_call *call, struct bytes name, bool posix, const struct zone **zone)
{
    struct op *op = call->env->op;
    const struct time_style *style = time_style_of(op);
    int32_t offset;
    bool numeric = is_offset(name, &offset);

    if (style->zones && (numeric || zone_abbreviation(name, &offset))) {
        offset = numeric && posix ? -offset : offset;
        const char *text = arena_printf(&op->arena, "%.*s", (int)name.len, (const char *)name.data);
        return text ? zone_fixed(op, style->zones, offset, text, zone) : op_out_of_memory(op);
    }
    if (zone_find(op, style->zones, name, zone) != 0)
        return OP_FAILED;
    if (!*zone)
        return op_fail(op, "22023", "time zone \"%.*s\" not recognized", (int)name.len, (const char *)name.data);
    return 0;
}

static int convert(const struct func_call *call, const struct zone *zone, int64_t value, struct datum *out)
{
    if (call->func->result == TYPE_TIMESTAMP)
        return timestamp_to_local(call->env->op, zone, value, &out->i);
    return timestamp_from_local(call->env->op, zone, value, &out->i);
}

FUNC_ROW(func__at_zone)
{
    const struct zone *zone;
    return func__zone(call, args[0].s, true, &zone) != 0 ? OP_FAILED : convert(call, zone, args[1].i, out);
}

FUNC_ROW(func__at_offset)
{
    struct interval offset = interval_get(args[0].s);
    struct op *op = call->env->op;

    if (offset.months || offset.days) {
        char text[INTERVAL_TEXT_MAX];
        size_t len = interval_print(offset, time_style_of(op)->interval, text);
        return op_fail(op, "22023", "interval time zone \"%.*s\" must not include months or days", (int)len, text);
    }
    out->i = args[1].i;
    if (!timestamp_is_finite(out->i))
        return 0;
    int64_t micros = offset.micros / TIMESTAMP_SECOND * TIMESTAMP_SECOND;
    micros = call->func->result == TYPE_TIMESTAMP ? micros : -micros;
    if (__builtin_add_overflow(out->i, micros, &out->i) || out->i < TIMESTAMP_MIN || out->i >= TIMESTAMP_END)
        return op_fail(op, "22008", "timestamp out of range");
    return 0;
}
