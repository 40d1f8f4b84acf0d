/*
 * zone.h -- time zones: what the clocks of a place show at a moment, and which moment a clock's time is.
 *
 * Zones come from the system's tz database (TZif files), from a POSIX rule ("EST5EDT,M3.2.0,M11.1.0") or are a fixed offset.
 * A session keeps those that it has used in a cache of its own, so a zone is read once, and is used by one thread at a time.
 *
 * Offsets are in seconds, positive east of UTC; moments in microseconds since 2000-01-01 UTC; local times likewise, as though the
 * clock showed UTC.
 */
#ifndef ISOLDE_SQL_ZONE_H
#define ISOLDE_SQL_ZONE_H

#include "src/base/op.h"

struct zone;
struct zone_cache;

extern const struct zone zone_utc;

/* What a clock shows besides its digits. */
struct zone_clock {
    int32_t offset;
    bool summer;                /* daylight saving time */
    const char *abbreviation;   /* lives as long as the zone */
};

/* A cache without zones; NULL after 53200. */
struct zone_cache *zone_cache_new(struct op *op);
void zone_cache_free(struct zone_cache *cache);

/* The zone of this name, in any case of letters; *zone NULL when there is none (then the name is unknown, which is no error here).
 * A zone lives as long as the cache. */
int zone_find(struct op *op, struct zone_cache *cache, struct bytes name, const struct zone **zone) MUST_CHECK;
/* A clock that is always so many seconds ahead of UTC, under the name that SHOW TimeZone prints. */
int zone_fixed(struct op *op, struct zone_cache *cache, int32_t offset, const char *name, const struct zone **zone) MUST_CHECK;
const char *zone_name(const struct zone *zone);

/* The clock of the zone at a moment. */
struct zone_clock zone_at(const struct zone *zone, int64_t moment);
/* The offset at a local time.  One that occurs twice (clocks put back) is the later, in standard time; one that does not occur
 * (put forward) is read with the offset of before. */
int32_t zone_offset_of_local(const struct zone *zone, int64_t local);

/* Offsets of abbreviations such as EST; false when it is none. */
bool zone_abbreviation(struct bytes name, int32_t *offset);

#endif
