/*
 * type.c -- which types exist, and what each of them is called.
 *
 * A type has three faces.  To SQL it is a name ("integer", or one of PostgreSQL's own: "int4").  To the catalog it is
 * an object id and a modifier.  To the executor it is a form: how its values stand in a vector (type.h).  Several
 * types share a form, so most kernels are written once per form.
 *
 * Here are the first two faces, and order and hash of single values; type_text.c has values as text.
 */
#include <math.h>
#include <string.h>

#include "sql/interval.h"
#include "sql/numeric.h"
#include "sql/type.h"
#include "src/base/hash.h"

static const struct type_info types[] = {
    { TYPE_BOOL, "boolean", "bool", 'B', true, 1 },
    { TYPE_INT8, "bigint", "int8", 'N', false, 8 },
    { TYPE_INT2, "smallint", "int2", 'N', false, 2 },
    { TYPE_INT4, "integer", "int4", 'N', false, 4 },
    { TYPE_TEXT, "text", "text", 'S', true, -1 },
    { TYPE_OID, "oid", "oid", 'N', true, 4 },
    { TYPE_FLOAT4, "real", "float4", 'N', false, 4 },
    { TYPE_FLOAT8, "double precision", "float8", 'N', true, 8 },
    { TYPE_UNKNOWN, "unknown", "unknown", 'X', false, -2 },
    { TYPE_VARCHAR, "character varying", "varchar", 'S', false, -1 },
    { TYPE_DATE, "date", "date", 'D', false, 4 },
    { TYPE_TIME, "time without time zone", "time", 'D', false, 8 },
    { TYPE_TIMESTAMP, "timestamp without time zone", "timestamp", 'D', false, 8 },
    { TYPE_TIMESTAMPTZ, "timestamp with time zone", "timestamptz", 'D', true, 8 },
    { TYPE_INTERVAL, "interval", "interval", 'T', true, 16 },
    { TYPE_NUMERIC, "numeric", "numeric", 'N', false, -1 },
    { TYPE_RECORD, "record", "record", 'P', false, -1 },
    { TYPE_ANY, "\"any\"", "any", 'P', false, 4 },
    { TYPE_ANYNONARRAY, "anynonarray", "anynonarray", 'P', false, 4 },
    { TYPE_VOID, "void", "void", 'P', false, 4 },
};

/* Spellings besides those of the table. */
static const struct {
    const char *name;
    Oid oid;
} synonyms[] = {
    { "int", TYPE_INT4 }, { "decimal", TYPE_NUMERIC }, { "dec", TYPE_NUMERIC }, { "float", TYPE_FLOAT8 },
};

/* What PostgreSQL has and Isolde has not. */
static const char *const foreign[] = {
    "abstime", "aclitem", "bit", "bit varying", "box", "bpchar", "bytea", "char", "character", "cid", "cidr",
    "circle", "cstring", "daterange", "inet", "int4range", "int8range", "json", "jsonb", "jsonpath",
    "line", "lseg", "macaddr", "macaddr8", "money", "name", "national character", "nchar", "numrange", "path",
    "pg_lsn", "point", "polygon", "regclass", "regproc", "regtype", "tid", "time with time zone", "timetz", "tsquery", "tsrange", "tstzrange", "tsvector", "uuid", "varbit", "xid",
    "xml", "bigserial", "serial", "smallserial", "serial4", "serial8", "serial2",
};

const struct type_info *type_info(Oid oid)
{
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (types[i].oid == oid)
            return &types[i];
    return NULL;
}

const struct type_info *type_by_name(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (types[i].category != 'P' && (strcmp(types[i].name, name) == 0 || strcmp(types[i].pg_name, name) == 0))
            return &types[i];
    for (size_t i = 0; i < COUNT_OF(synonyms); i++)
        if (strcmp(synonyms[i].name, name) == 0)
            return type_info(synonyms[i].oid);
    return NULL;
}

bool type_is_foreign(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(foreign); i++)
        if (strcmp(foreign[i], name) == 0)
            return true;
    return false;
}

const char *type_format(struct arena *arena, struct sql_type type)
{
    const struct type_info *info = type_info(type.oid);
    if (!info)
        return "???";
    if (type.modifier < 0)
        return info->name;
    switch (type.oid) {
    case TYPE_VARCHAR:
        return arena_printf(arena, "%s(%d)", info->name, (int)type.modifier - 4);
    case TYPE_NUMERIC:
        return arena_printf(arena, "%s(%d,%d)", info->name, numeric_modifier_precision(type.modifier),
                            numeric_modifier_scale(type.modifier));
    case TYPE_TIMESTAMP:
        return arena_printf(arena, "timestamp(%d) without time zone", (int)type.modifier);
    case TYPE_TIMESTAMPTZ:
        return arena_printf(arena, "timestamp(%d) with time zone", (int)type.modifier);
    case TYPE_TIME:
        return arena_printf(arena, "time(%d) without time zone", (int)type.modifier);
    case TYPE_INTERVAL: {
        const char *fields = interval_fields_name(interval_modifier_fields(type.modifier));
        int precision = interval_modifier_precision(type.modifier);
        fields = fields ? fields : "";
        return precision == INTERVAL_FULL_PRECISION ? arena_printf(arena, "interval%s", fields)
                                                    : arena_printf(arena, "interval%s(%d)", fields, precision);
    }
    default:
        return info->name;
    }
}

static int compare_doubles(double a, double b)
{
    if (a < b)
        return -1;
    if (a > b)
        return 1;
    return (isnan(a) != 0) - (isnan(b) != 0);
}

static int compare_bytes(struct bytes a, struct bytes b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter ? memcmp(a.data, b.data, shorter) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

int type_compare(Oid oid, const struct datum *a, const struct datum *b)
{
    if (oid == TYPE_NUMERIC)
        return numeric_compare(a->s, b->s);
    if (oid == TYPE_INTERVAL)
        return interval_compare(interval_get(a->s), interval_get(b->s));
    switch (type_form(oid)) {
    case FORM_BOOL: return (int)a->b - (int)b->b;
    case FORM_INT64: return (a->i > b->i) - (a->i < b->i);
    case FORM_DOUBLE: return compare_doubles(a->d, b->d);
    case FORM_BYTES: return compare_bytes(a->s, b->s);
    }
    return 0;
}

uint64_t type_hash(Oid oid, const struct datum *value)
{
    if (oid == TYPE_NUMERIC)
        return numeric_hash(value->s);
    if (oid == TYPE_INTERVAL) {
        __int128 span = interval_span(interval_get(value->s));
        return hash_u64((uint64_t)span ^ (uint64_t)(span >> 64));
    }
    switch (type_form(oid)) {
    case FORM_BOOL: return hash_u64(value->b);
    case FORM_INT64: return hash_u64((uint64_t)value->i);
    case FORM_DOUBLE: {
        /* Both zeros are equal, and so are all NaNs. */
        double d = value->d == 0 ? 0.0 : isnan(value->d) ? NAN : value->d;
        uint64_t bits;
        memcpy(&bits, &d, sizeof bits);
        return hash_u64(bits);
    }
    case FORM_BYTES: return hash_bytes(value->s.data, value->s.len, 0);
    }
    return 0;
}
