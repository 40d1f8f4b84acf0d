/*
 * type_text.c -- values as text: the input and output functions of every type.
 *
 * These are what literals, COPY, casts to and from text and the client's result columns go through.
 */
#include <assert.h>
#include <string.h>

#include "sql/datetime.h"
#include "sql/interval.h"
#include "sql/numeric.h"
#include "sql/type_int.h"

int64_t type__characters(struct bytes text)
{
    int64_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += (text.data[i] & 0xc0) != 0x80;     /* every byte but continuations begins a character */
    return n;
}

size_t type__character_offset(struct bytes text, int64_t n)
{
    size_t i = 0;
    while (i < text.len && n-- > 0)
        for (i++; i < text.len && (text.data[i] & 0xc0) == 0x80; i++)
            continue;
    return i;
}

int type__fit_varchar(struct op *op, struct bytes text, int32_t modifier, bool explicit_cast, struct bytes *out)
{
    int32_t most = modifier - 4;
    *out = text;
    if (modifier < 4 || text.len <= (size_t)most)
        return 0;
    out->len = type__character_offset(text, most);
    if (explicit_cast)
        return 0;
    for (size_t i = out->len; i < text.len; i++)
        if (text.data[i] != ' ')
            return op_fail(op, "22001", "value too long for type character varying(%d)", (int)most);
    return 0;
}

int type_parse(struct op *op, struct sql_type type, struct bytes text, struct arena *arena, struct datum *value)
{
    value->null = false;
    switch (type.oid) {
    case TYPE_BOOL:
        return type__parse_bool(op, text, &value->b);
    case TYPE_INT2: case TYPE_INT4: case TYPE_INT8: case TYPE_OID:
        return type__parse_int(op, text, type.oid, &value->i);
    case TYPE_FLOAT4: case TYPE_FLOAT8:
        return type__parse_double(op, text, type.oid, &value->d);
    case TYPE_DATE:
        return date_parse(op, text, &value->i);
    case TYPE_TIMESTAMP: case TYPE_TIMESTAMPTZ:
        return timestamp_parse(op, text, type.oid == TYPE_TIMESTAMPTZ, type.modifier, &value->i);
    case TYPE_TIME:
        return time_parse(op, text, type.modifier, &value->i);
    case TYPE_INTERVAL: {
        struct interval interval;
        if (interval_parse(op, text, type.modifier, &interval) != 0)
            return OP_FAILED;
        return interval_put(op, arena, interval, &value->s);
    }
    case TYPE_NUMERIC: {
        struct bytes parsed;
        if (numeric_parse(op, arena, text, &parsed) != 0)
            return OP_FAILED;
        return numeric_apply_modifier(op, arena, parsed, type.modifier, &value->s);
    }
    case TYPE_TEXT: case TYPE_VARCHAR: case TYPE_UNKNOWN: {
        struct bytes fitting;
        if (type__fit_varchar(op, text, type.oid == TYPE_VARCHAR ? type.modifier : -1, false, &fitting) != 0)
            return OP_FAILED;
        uint8_t *copy = arena_alloc(arena, fitting.len + 1);
        if (!copy)
            return op_out_of_memory(op);
        if (fitting.len)
            memcpy(copy, fitting.data, fitting.len);
        copy[fitting.len] = '\0';
        value->s = (struct bytes){ copy, fitting.len };
        return 0;
    }
    default:
        return op_fail(op, "0A000", "cannot accept a value of type %s",
                       type_info(type.oid) ? type_info(type.oid)->name : "???");
    }
}

static int keep(struct op *op, struct arena *arena, const char *text, size_t len, struct bytes *out)
{
    uint8_t *copy = arena_alloc(arena, len + 1);
    if (!copy)
        return op_out_of_memory(op);
    memcpy(copy, text, len);
    copy[len] = '\0';
    *out = (struct bytes){ copy, len };
    return 0;
}

int type_print(struct op *op, struct sql_type type, const struct datum *value, struct arena *arena, struct bytes *text)
{
    char fixed[INTERVAL_TEXT_MAX];
    static_assert((int)DATETIME_TEXT_MAX <= (int)INTERVAL_TEXT_MAX, "room for every type of fixed size");
    switch (type.oid) {
    case TYPE_BOOL:
        *text = (struct bytes){ (const uint8_t *)(value->b ? "t" : "f"), 1 };
        return 0;
    case TYPE_INT2: case TYPE_INT4: case TYPE_INT8: case TYPE_OID:
        return keep(op, arena, fixed, type__print_int(value->i, fixed), text);
    case TYPE_FLOAT4: case TYPE_FLOAT8:
        return keep(op, arena, fixed, type__print_double(value->d, type.oid == TYPE_FLOAT4, fixed), text);
    case TYPE_DATE:
        return keep(op, arena, fixed, date_print(value->i, time_style_of(op), fixed), text);
    case TYPE_TIMESTAMP: case TYPE_TIMESTAMPTZ:
        return keep(op, arena, fixed, timestamp_print(value->i, type.oid == TYPE_TIMESTAMPTZ, time_style_of(op), fixed), text);
    case TYPE_TIME:
        return keep(op, arena, fixed, time_print(value->i, fixed), text);
    case TYPE_INTERVAL:
        return keep(op, arena, fixed, interval_print(interval_get(value->s), time_style_of(op)->interval, fixed), text);
    case TYPE_NUMERIC:
        return numeric_print(op, arena, value->s, text);
    case TYPE_TEXT: case TYPE_VARCHAR: case TYPE_UNKNOWN: case TYPE_VOID:
        *text = value->s;
        return 0;
    default:
        return op_fail(op, "0A000", "cannot display a value of type %s",
                       type_info(type.oid) ? type_info(type.oid)->name : "???");
    }
}
