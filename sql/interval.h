/*
 * interval.h -- spans of time: months, days and microseconds, kept apart because neither months nor days have a fixed length.
 *
 * In vectors and rows an interval is 16 bytes, all little-endian:
 *
 *      0        8       12      16
 *      +--------+-------+-------+
 *      | micros | days  | months|
 *      +--------+-------+-------+
 *
 * Order and equality take a month for 30 days and a day for 24 hours, so that '1 mon' = '30 days'.
 */
#ifndef ISOLDE_SQL_INTERVAL_H
#define ISOLDE_SQL_INTERVAL_H

#include "btree/key.h"
#include "sql/time_style.h"

struct interval {
    int64_t micros;
    int32_t days, months;
};

enum { INTERVAL_BYTES = 16, INTERVAL_TEXT_MAX = 128 };

/* Fields of a type such as INTERVAL DAY TO SECOND(3), as bits; PostgreSQL's numbers, since they are part of the modifier. */
enum {
    INTERVAL_MONTH = 1 << 1, INTERVAL_YEAR = 1 << 2, INTERVAL_DAY = 1 << 3, INTERVAL_HOUR = 1 << 10, INTERVAL_MINUTE = 1 << 11,
    INTERVAL_SECOND = 1 << 12, INTERVAL_ALL = 0x7fff, INTERVAL_FULL_PRECISION = 0xffff
};

/* fields: INTERVAL_ALL or the fields named; precision: digits of a second, INTERVAL_FULL_PRECISION when not given. */
static inline int32_t interval_modifier(int fields, int precision) { return (int32_t)(fields << 16 | precision); }
static inline int interval_modifier_fields(int32_t modifier) { return modifier < 0 ? INTERVAL_ALL : modifier >> 16 & INTERVAL_ALL; }
static inline int interval_modifier_precision(int32_t modifier)
{
    return modifier < 0 ? INTERVAL_FULL_PRECISION : modifier & 0xffff;
}
/* " year to month" and the like, as behind the type's name; NULL when the fields are no such range. */
const char *interval_fields_name(int fields);

struct interval interval_get(struct bytes packed);
/* In the arena; 53200. */
int interval_put(struct op *op, struct arena *arena, struct interval interval, struct bytes *packed) MUST_CHECK;

/* As PostgreSQL's input; 22007, 22008, 22015. */
int interval_parse(struct op *op, struct bytes text, int32_t modifier, struct interval *interval) MUST_CHECK;
/* In the IntervalStyle given; returns the length. */
size_t interval_print(struct interval interval, enum interval_style style, char *text);
/* Drops the fields that the type has not, and rounds seconds. */
int interval_fit(struct op *op, struct interval *interval, int32_t modifier) MUST_CHECK;

/* In microseconds. */
__int128 interval_span(struct interval interval);
int interval_compare(struct interval a, struct interval b);

/* By its span: equal intervals have equal keys, which do not give them back exactly. */
void interval_put_key(struct key_builder *key, struct interval interval, int flags);

/* 22008 beyond the range. */
int interval_add(struct op *op, struct interval a, struct interval b, struct interval *sum) MUST_CHECK;
int interval_negate(struct op *op, struct interval interval, struct interval *negative) MUST_CHECK;
int interval_multiply(struct op *op, struct interval interval, double factor, struct interval *product) MUST_CHECK;
int interval_divide(struct op *op, struct interval interval, double divisor, struct interval *quotient) MUST_CHECK;
/* Months and days are steps of the calendar, in the zone if one is given (the moment is then one with a time zone); time is added
 * after them.  Infinite moments stay. */
int timestamp_add_interval(struct op *op, int64_t moment, struct interval interval, const struct zone *zone, int64_t *result) MUST_CHECK;
int interval_justify(struct op *op, struct interval interval, bool hours, bool days, struct interval *result) MUST_CHECK;

#endif
