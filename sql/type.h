/*
 * type.h -- SQL's types: their identity, their physical form in vectors, their text.
 *
 * A type is an object id (PostgreSQL's numbers, so that catalogs agree) and a modifier (length, precision).
 */
#ifndef ISOLDE_SQL_TYPE_H
#define ISOLDE_SQL_TYPE_H

#include "src/base/op.h"
#include "src/base/types.h"

typedef uint32_t Oid;

enum type_oid {
    TYPE_INVALID = 0,
    TYPE_BOOL = 16, TYPE_BYTEA = 17, TYPE_INT8 = 20, TYPE_INT2 = 21, TYPE_INT4 = 23, TYPE_TEXT = 25, TYPE_OID = 26,
    TYPE_FLOAT4 = 700, TYPE_FLOAT8 = 701, TYPE_UNKNOWN = 705, TYPE_BPCHAR = 1042, TYPE_VARCHAR = 1043, TYPE_DATE = 1082,
    TYPE_TIME = 1083, TYPE_TIMESTAMP = 1114, TYPE_TIMESTAMPTZ = 1184, TYPE_INTERVAL = 1186, TYPE_NUMERIC = 1700,
    TYPE_RECORD = 2249, TYPE_ANY = 2276, TYPE_VOID = 2278,
    TYPE_ANYNONARRAY = 2776,    /* TYPE_ANY and this one occur as arguments of functions only: any type fits */
};

/* How values of a type stand in a vector. */
enum type_form {
    FORM_BOOL,      /* uint8_t 0 or 1 */
    FORM_INT64,     /* smallint, integer, bigint, oid; date (days) and timestamp(tz) (us) since 2000-01-01; time (us) */
    FORM_DOUBLE,    /* real (rounded to float), double precision */
    FORM_BYTES,     /* struct bytes: text, varchar, char(n), unknown; numeric, interval in their packed forms */
};

/* A column's or an expression's type. */
struct sql_type {
    Oid oid;
    int32_t modifier;       /* PostgreSQL's typmod: -1 none; varchar n + 4; numeric ((p << 16) | s) + 4; time, timestamp:
                               digits of a second; interval: interval.h */
};

/* One value outside of vectors: constants, parameters, API. */
struct datum {
    bool null;
    union {
        bool b;
        int64_t i;
        double d;
        struct bytes s;
    };
};

struct type_info {
    Oid oid;
    const char *name;       /* as format_type prints it: "integer", "character varying" */
    const char *pg_name;    /* "int4", "varchar" */
    char category;          /* PostgreSQL's typcategory: B N S D T U X ... */
    bool preferred;
    int length;             /* typlen; -1 variable */
};

/* NULL when there is no such type. */
const struct type_info *type_info(Oid oid);
/* By SQL or PostgreSQL name, lower case ("int", "int4", "double precision", "decimal"); NULL when unknown. */
const struct type_info *type_by_name(const char *name);
/* Whether PostgreSQL has a type of this name that is not supported here: to be refused with 0A000 rather than 42704. */
bool type_is_foreign(const char *name);
/* "numeric(10,2)", "character varying(20)"; in the arena; NULL when memory is exhausted. */
const char *type_format(struct arena *arena, struct sql_type type);

static inline enum type_form type_form(Oid oid)
{
    switch (oid) {
    case TYPE_BOOL:
        return FORM_BOOL;
    case TYPE_INT2: case TYPE_INT4: case TYPE_INT8: case TYPE_OID:
    case TYPE_DATE: case TYPE_TIME: case TYPE_TIMESTAMP: case TYPE_TIMESTAMPTZ:
        return FORM_INT64;
    case TYPE_FLOAT4: case TYPE_FLOAT8:
        return FORM_DOUBLE;
    default:
        return FORM_BYTES;
    }
}

/* Text in and out, as PostgreSQL's input and output functions; 22P02, 22003, 22007, 22008 and 22001 as there.
 * Bytes live in the arena. type_parse applies the modifier too (varchar length, numeric scale) as an assignment
 * would. */
int type_parse(struct op *op, struct sql_type type, struct bytes text, struct arena *arena,
               struct datum *value) MUST_CHECK;
int type_print(struct op *op, struct sql_type type, const struct datum *value, struct arena *arena, struct bytes *text)
    MUST_CHECK;
/* Order of two non-null values of one type, as ORDER BY's: < 0, 0, > 0. */
int type_compare(Oid oid, const struct datum *a, const struct datum *b);
uint64_t type_hash(Oid oid, const struct datum *value);     /* equal values hash equal (1.0 and 1.00) */

#endif
