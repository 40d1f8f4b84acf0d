/*
 * prepared_bind.c -- giving parameters their values.
 *
 * The caller binds what it has (an integer, a text); the statement wants what it has inferred.  Where both agree the value is taken as it
 * is.  A text is parsed as the parameter's type; all else goes the way of an assignment cast: range checks between numbers, and through the
 * value's text where the forms differ.
 */
#include <math.h>
#include <string.h>

#include "sql/prepared_int.h"
#include "sql/lexer.h"
#include "src/base/mem.h"

/* Bytes are kept in the parameter's own buffer. */
static int keep(struct op *op, struct param_buffer *buffer, struct bytes from, struct datum *value)
{
    if (from.len + 1 > buffer->capacity) {
        uint8_t *data = mem_realloc(buffer->data, from.len * 2 + 32);
        if (!data)
            return op_out_of_memory(op);
        buffer->data = data;
        buffer->capacity = from.len * 2 + 32;
    }
    if (from.len)
        memcpy(buffer->data, from.data, from.len);
    buffer->data[from.len] = '\0';
    *value = (struct datum){.s = {buffer->data, from.len}};
    return 0;
}

static int out_of_range(struct op *op, Oid type)
{
    return op_fail(op, "22003", "%s out of range", type_info(type)->name);
}

static int from_integer(struct op *op, int64_t number, Oid target, struct datum *out)
{
    if ((target == TYPE_INT2 && number != (int16_t)number) || (target == TYPE_INT4 && number != (int32_t)number) ||
        (target == TYPE_OID && number != (int64_t)(uint32_t)number))
        return out_of_range(op, target);
    *out = (struct datum){.i = number};
    return 0;
}

static bool is_integer(Oid type)
{
    return type == TYPE_INT2 || type == TYPE_INT4 || type == TYPE_INT8 || type == TYPE_OID;
}

static bool is_float(Oid type)
{
    return type == TYPE_FLOAT4 || type == TYPE_FLOAT8;
}

/* Between numbers; *done is false when that is not the case. */
static int convert_number(struct op *op, Oid from, const struct datum *value, Oid target, struct datum *out, bool *done)
{
    *done = true;
    if (is_integer(from) && is_integer(target))
        return from_integer(op, value->i, target, out);
    if (is_integer(from) && is_float(target)) {
        *out = (struct datum){.d = target == TYPE_FLOAT4 ? (double)(float)value->i : (double)value->i};
        return 0;
    }
    if (is_float(from) && is_float(target)) {
        double d = target == TYPE_FLOAT4 ? (double)(float)value->d : value->d;
        if (isinf(d) && !isinf(value->d))
            return out_of_range(op, target);
        *out = (struct datum){.d = d};
        return 0;
    }
    if (is_float(from) && is_integer(target)) {
        double rounded = rint(value->d);
        if (!(rounded >= -9223372036854775808.0 && rounded < 9223372036854775808.0))
            return out_of_range(op, target);
        return from_integer(op, (int64_t)rounded, target, out);
    }
    *done = false;
    return 0;
}

/* Through the value's text. */
static int convert_text(struct op *op, Oid from, const struct datum *value, struct sql_type target, struct param_buffer *buffer,
                        struct datum *out)
{
    struct bytes text = value->s;
    struct datum parsed;

    if (from != TYPE_TEXT && type_print(op, (struct sql_type){from, -1}, value, &op->arena, &text) != 0)
        return OP_FAILED;
    if (type_parse(op, target, text, &op->arena, &parsed) != 0)
        return OP_FAILED;
    if (type_form(target.oid) == FORM_BYTES)
        return keep(op, buffer, parsed.s, out);
    *out = parsed;
    return 0;
}

int prepared_bind(struct op *op, struct prepared *prepared, int n, Oid type, const struct datum *value)
{
    struct sql_type target = prepared->param_types[n - 1];
    struct param_buffer *buffer = &prepared->buffers[n - 1];
    struct datum out = {.null = true};
    bool done = true;
    int result = 0;

    if (value->null) {
        prepared->params[n - 1] = out;
        return 0;
    }
    bool same = type == target.oid || (type == TYPE_TEXT && target.oid == TYPE_VARCHAR && target.modifier < 0);
    if (!same && !type_info(type))
        return op_fail(op, "0A000", "values of this type are not supported as parameters");
    if (type == TYPE_TEXT && lexer_check_text(op, value->s) != 0)
        return OP_FAILED;
    if (same && type_form(type) != FORM_BYTES)
        out = *value;
    else if (same && type != TYPE_TEXT)
        result = keep(op, buffer, value->s, &out);
    else if (same)
        result = convert_text(op, TYPE_TEXT, value, target, buffer, &out);      /* checks the encoding */
    else
        result = convert_number(op, type, value, target.oid, &out, &done);
    if (result == 0 && !done)
        result = convert_text(op, type, value, target, buffer, &out);
    if (result == 0)
        prepared->params[n - 1] = out;
    return result;
}
