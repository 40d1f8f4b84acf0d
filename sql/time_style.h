/*
 * time_style.h -- how a session reads and writes dates and times: its DateStyle, IntervalStyle and TimeZone.
 *
 * An op carries its session's (op->time_style); one without, as of a tool, has ISO, MDY and UTC.
 */
#ifndef ISOLDE_SQL_TIME_STYLE_H
#define ISOLDE_SQL_TIME_STYLE_H

#include "sql/zone.h"

enum date_style { DATE_STYLE_ISO, DATE_STYLE_SQL, DATE_STYLE_POSTGRES, DATE_STYLE_GERMAN };
enum date_order { DATE_ORDER_MDY, DATE_ORDER_DMY, DATE_ORDER_YMD };
enum interval_style { INTERVAL_STYLE_POSTGRES, INTERVAL_STYLE_VERBOSE, INTERVAL_STYLE_SQL, INTERVAL_STYLE_ISO };

struct time_style {
    enum date_style date;
    enum date_order order;
    enum interval_style interval;
    const struct zone *zone;
    struct zone_cache *zones;       /* NULL: only UTC is known */
};

/* Never NULL. */
const struct time_style *time_style_of(const struct op *op);

/* ISO, MDY and UTC: how the catalog's texts are read and written, whatever the session's settings, so that a DEFAULT means the same to
 * everybody.
 *
 *      struct time_style usual;
 *      const struct time_style *session = time_style_enter(op, &usual);
 *      ...
 *      op->time_style = session;
 */
const struct time_style *time_style_enter(struct op *op, struct time_style *usual);

#endif
