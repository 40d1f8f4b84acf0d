/*
 * column.c -- a row's values, in the form that the caller asks for.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sql/numeric.h"
#include "src/api/api_int.h"

static bool in_range(const struct isolde_stmt *stmt, int column)
{
    return api_is_stmt(stmt) && column >= 0 && column < prepared_column_count(stmt->prepared);
}

/* The value, or NULL when there is no row, no such column, or it is null. */
static const struct datum *value_of(const struct isolde_stmt *stmt, int column)
{
    if (!in_range(stmt, column) || !stmt->has_row)
        return NULL;
    const struct datum *value = prepared_value(stmt->prepared, column);
    return value->null ? NULL : value;
}

static Oid type_of(const struct isolde_stmt *stmt, int column)
{
    return prepared_column_type(stmt->prepared, column).oid;
}

int isolde_column_count(const isolde_stmt *stmt)
{
    return api_is_stmt(stmt) ? prepared_column_count(stmt->prepared) : 0;
}

const char *isolde_column_name(const isolde_stmt *stmt, int column)
{
    return in_range(stmt, column) ? prepared_column_name(stmt->prepared, column) : NULL;
}

const char *isolde_column_type_name(const isolde_stmt *stmt, int column)
{
    return in_range(stmt, column) ? stmt->type_names[column] : NULL;
}

int isolde_column_is_numeric(const isolde_stmt *stmt, int column)
{
    return in_range(stmt, column) && type_info(type_of(stmt, column))->category == 'N';
}

enum isolde_type isolde_column_type(const isolde_stmt *stmt, int column)
{
    if (!value_of(stmt, column))
        return ISOLDE_NULL;
    switch (type_of(stmt, column)) {
    case TYPE_BOOL: return ISOLDE_BOOL;
    case TYPE_INT2: case TYPE_INT4: case TYPE_INT8: case TYPE_OID: return ISOLDE_INT64;
    case TYPE_FLOAT4: case TYPE_FLOAT8: return ISOLDE_DOUBLE;
    case TYPE_BYTEA: return ISOLDE_BLOB;
    default: return ISOLDE_TEXT;
    }
}

static int64_t clamp(double d)
{
    if (isnan(d))
        return 0;
    d = rint(d);
    return d >= 9223372036854775808.0 ? INT64_MAX : d <= -9223372036854775808.0 ? INT64_MIN : (int64_t)d;
}

int64_t isolde_column_int64(isolde_stmt *stmt, int column)
{
    const struct datum *value = value_of(stmt, column);
    int64_t number = 0;

    if (!value)
        return 0;
    switch (type_of(stmt, column)) {
    case TYPE_BOOL: return value->b;
    case TYPE_INT2: case TYPE_INT4: case TYPE_INT8: case TYPE_OID: return value->i;
    case TYPE_FLOAT4: case TYPE_FLOAT8: return clamp(value->d);
    case TYPE_NUMERIC:
        if (!numeric_to_int64(value->s, &number))
            number = clamp(isolde_column_double(stmt, column));
        return number;
    default: {
        const char *text = isolde_column_text(stmt, column);
        return text ? strtoll(text, NULL, 10) : 0;
    }
    }
}

double isolde_column_double(isolde_stmt *stmt, int column)
{
    const struct datum *value = value_of(stmt, column);

    if (!value)
        return 0;
    switch (type_of(stmt, column)) {
    case TYPE_BOOL: return value->b;
    case TYPE_INT2: case TYPE_INT4: case TYPE_INT8: case TYPE_OID: return (double)value->i;
    case TYPE_FLOAT4: case TYPE_FLOAT8: return value->d;
    default: {
        const char *text = isolde_column_text(stmt, column);
        return text ? strtod(text, NULL) : 0;
    }
    }
}

static int print(struct op *op, struct isolde_stmt *stmt, int column, const struct datum *value, struct column_text *out)
{
    struct bytes text = value->s;
    Oid type = type_of(stmt, column);

    if (type != TYPE_TEXT && type != TYPE_VARCHAR &&
        type_print(op, prepared_column_type(stmt->prepared, column), value, &stmt->texts, &text) != 0)
        return OP_FAILED;
    out->text = arena_strndup(&stmt->texts, (const char *)text.data, text.len);
    out->len = text.len;
    return out->text ? 0 : op_out_of_memory(op);
}

/* The text is made once per row. */
static const struct column_text *text_of(struct isolde_stmt *stmt, int column)
{
    const struct datum *value = value_of(stmt, column);

    if (!value)
        return NULL;
    struct column_text *text = &stmt->columns[column];
    if (!text->ready && print(&stmt->conn->op, stmt, column, value, text) != 0) {
        stmt->conn->unread = true;
        return NULL;
    }
    text->ready = true;
    return text;
}

const char *isolde_column_text(isolde_stmt *stmt, int column)
{
    const struct column_text *text = text_of(stmt, column);
    return text ? text->text : NULL;
}

const void *isolde_column_blob(isolde_stmt *stmt, int column)
{
    const struct datum *value = value_of(stmt, column);

    if (!value)
        return NULL;
    if (type_form(type_of(stmt, column)) == FORM_BYTES && type_of(stmt, column) != TYPE_NUMERIC)
        return value->s.data;
    return isolde_column_text(stmt, column);
}

size_t isolde_column_bytes(isolde_stmt *stmt, int column)
{
    const struct datum *value = value_of(stmt, column);

    if (!value)
        return 0;
    if (type_of(stmt, column) == TYPE_BYTEA && !stmt->columns[column].ready)
        return value->s.len;
    const struct column_text *text = text_of(stmt, column);
    return text ? text->len : 0;
}
