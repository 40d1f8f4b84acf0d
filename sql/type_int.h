/* type_int.h -- numbers and text, for the files of sql/ that deal with types. */
#ifndef ISOLDE_SQL_TYPE_INT_H
#define ISOLDE_SQL_TYPE_INT_H

#include "sql/type.h"

enum { TYPE_NUMBER_TEXT_MAX = 32 };

/* "smallint" etc. by size in bytes; what int kernels name in errors. */
static inline const char *type__int_name(int size) { return size == 2 ? "smallint" : size == 4 ? "integer" : "bigint"; }
static inline int type__int_size(Oid oid) { return oid == TYPE_INT2 ? 2 : oid == TYPE_INT4 ? 4 : 8; }
static inline bool type__int_fits(int64_t value, int size)
{
    return size == 8 || (size == 4 ? value == (int32_t)value : value == (int16_t)value);
}

int type__parse_int(struct op *op, struct bytes text, Oid oid, int64_t *value) MUST_CHECK;
int type__parse_double(struct op *op, struct bytes text, Oid oid, double *value) MUST_CHECK;
int type__parse_bool(struct op *op, struct bytes text, bool *value) MUST_CHECK;
size_t type__print_int(int64_t value, char *text);
/* The shortest text that reads back as the same value; float4: as a float. */
size_t type__print_double(double value, bool float4, char *text);
/* Rounded to so many significant digits, in a form that numeric_parse reads. */
size_t type__print_double_digits(double value, int digits, char *text);
/* Text that is known to be a number; independent of the program's locale. */
double type__strtod(struct bytes text);
/* Number of characters in UTF-8 text; and the byte offset of character n (len when there are fewer). */
int64_t type__characters(struct bytes text);
size_t type__character_offset(struct bytes text, int64_t n);
/* varchar(n): cuts what is too long when explicit or when only spaces are lost, else 22001. */
int type__fit_varchar(struct op *op, struct bytes text, int32_t modifier, bool explicit_cast,
                      struct bytes *out) MUST_CHECK;

#endif
