/*
 * zone.c -- time zones from the system's tz database.
 *
 * A TZif file lists the moments at which the clocks of a place changed, and what they show from then on:
 *
 *      transition[i]   seconds since 1970-01-01 UTC, ascending
 *      type[i]         index of the kind of clock from transition[i] on: offset, summer time or not, abbreviation
 *      rule            a POSIX TZ string for what comes behind the last transition
 *
 * A POSIX rule alone is a zone, too, and so is a fixed offset: kinds of clocks without transitions.
 *
 *      CET-1CEST,M3.5.0,M10.5.0/3      offset with the sign reversed; summer time from the last Sunday (0) of March, 2:00,
 *                                      to the last Sunday of October, 3:00
 *
 * Z1  transition[] ascends strictly, and each type[] and abbreviation lies within its array: checked when the file is read.
 * Z2  A zone does not change once it is in a cache.
 *
 * Leap seconds are not looked at, as in PostgreSQL.  The abbreviations known without a zone are the unambiguous ones of general use.
 */
#include "sql/zone.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sql/datetime.h"
#include "src/base/mem.h"
#include "src/os/os.h"

enum { NAME_MAX_BYTES = 128, KINDS_MAX = 256, TRANSITIONS_MAX = 4096, ABBREVIATIONS_MAX = 512, FILE_MAX_BYTES = 1 << 18,
       DAY_SECONDS = 86400 };
static const char *const folders[] = { "/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo" };
/* Seconds from 1970-01-01 to 2000-01-01. */
static const int64_t EPOCH_SECONDS = 946684800;

struct kind {
    int32_t offset;
    bool summer;
    uint16_t abbreviation;      /* where it begins in zone->abbreviations */
};

enum change_day { CHANGE_WEEKDAY, CHANGE_JULIAN, CHANGE_DAY_OF_YEAR };

/* When in a year a rule puts the clocks. */
struct change {
    enum change_day how;
    int month, week, weekday;   /* WEEKDAY: Mm.w.d, week 5 is the last */
    int day;                    /* JULIAN 1..365 without leap days, DAY_OF_YEAR 0..365 */
    int32_t at;                 /* seconds of local time after midnight; may be negative */
};

struct rule {
    bool present, has_summer;
    int standard, summer;       /* kinds */
    struct change start, end;   /* of summer time */
};

struct zone {
    char name[NAME_MAX_BYTES];
    int transition_count, kind_count;
    size_t abbreviation_bytes;
    int64_t *transitions;
    uint8_t *types;
    struct kind kinds[KINDS_MAX];
    char abbreviations[ABBREVIATIONS_MAX];
    struct rule rule;
    struct zone *next;
};

struct zone_cache {
    struct zone *first;
};

const struct zone zone_utc = { .name = "UTC", .kind_count = 1, .abbreviation_bytes = 4, .kinds = { { 0, false, 0 } }, .abbreviations = "UTC" };

/* ---- rules ---------------------------------------------------------------------------------------- */

static int64_t floor_divide(int64_t a, int64_t b) { return a / b - (a % b < 0); }

/* Adds a kind of clock; -1 when there is no room. */
static int add_kind(struct zone *zone, int32_t offset, bool summer, const char *name, size_t len)
{
    if (zone->kind_count == KINDS_MAX || zone->abbreviation_bytes + len + 1 > ABBREVIATIONS_MAX)
        return -1;
    zone->kinds[zone->kind_count] = (struct kind){ offset, summer, (uint16_t)zone->abbreviation_bytes };
    memcpy(zone->abbreviations + zone->abbreviation_bytes, name, len);
    zone->abbreviations[zone->abbreviation_bytes + len] = '\0';
    zone->abbreviation_bytes += len + 1;
    return zone->kind_count++;
}

/* "EST" or "<+03>". */
static bool read_rule_name(const char **at, const char **name, size_t *len)
{
    bool quoted = **at == '<';
    *name = *at += quoted;
    while (quoted ? **at && **at != '>' : isalpha((unsigned char)**at))
        ++*at;
    *len = (size_t)(*at - *name);
    if (quoted && *(*at)++ != '>')
        return false;
    return *len >= 3;
}

/* "[+-]hh[:mm[:ss]]" */
static bool read_rule_time(const char **at, int32_t *seconds)
{
    int sign = **at == '-' ? -1 : 1;
    int64_t total = 0, unit = 3600;

    *at += **at == '-' || **at == '+';
    for (int field = 0; field < 3; field++, unit /= 60) {
        if (!isdigit((unsigned char)**at))
            return false;
        int64_t n = 0;
        for (; isdigit((unsigned char)**at); ++*at)
            n = n < 1000 ? n * 10 + (**at - '0') : n;
        total += n * unit;
        if (**at != ':')
            break;
        ++*at;
    }
    *seconds = (int32_t)(sign * total);
    return total <= 168 * 3600;
}

static bool read_rule_number(const char **at, int least, int most, int *number)
{
    *number = 0;
    if (!isdigit((unsigned char)**at))
        return false;
    for (; isdigit((unsigned char)**at) && *number <= most; ++*at)
        *number = *number * 10 + (**at - '0');
    return *number >= least && *number <= most;
}

static bool read_change(const char **at, struct change *change)
{
    *change = (struct change){ .how = CHANGE_DAY_OF_YEAR, .at = 7200 };
    if (**at == 'M') {
        change->how = CHANGE_WEEKDAY;
        ++*at;
        if (!read_rule_number(at, 1, 12, &change->month) || *(*at)++ != '.' || !read_rule_number(at, 1, 5, &change->week) ||
            *(*at)++ != '.' || !read_rule_number(at, 0, 6, &change->weekday))
            return false;
    } else if (**at == 'J') {
        change->how = CHANGE_JULIAN;
        ++*at;
        if (!read_rule_number(at, 1, 365, &change->day))
            return false;
    } else if (!read_rule_number(at, 0, 365, &change->day)) {
        return false;
    }
    if (**at != '/')
        return true;
    ++*at;
    return read_rule_time(at, &change->at);
}

static bool read_rule(struct zone *zone, const char *at)
{
    const char *name;
    size_t len;
    int32_t offset, summer_offset;

    if (!read_rule_name(&at, &name, &len) || !read_rule_time(&at, &offset))
        return false;
    zone->rule = (struct rule){ .present = true, .standard = add_kind(zone, -offset, false, name, len) };
    if (zone->rule.standard < 0)
        return false;
    if (*at == '\0')
        return true;
    if (!read_rule_name(&at, &name, &len))
        return false;
    summer_offset = offset - 3600;
    if (*at && *at != ',' && !read_rule_time(&at, &summer_offset))
        return false;
    if (*at == '\0')
        at = ",M3.2.0,M11.1.0";     /* the custom where no days are given */
    zone->rule.has_summer = true;
    zone->rule.summer = add_kind(zone, -summer_offset, true, name, len);
    return zone->rule.summer >= 0 && *at++ == ',' && read_change(&at, &zone->rule.start) && *at++ == ',' &&
           read_change(&at, &zone->rule.end) && *at == '\0';
}

/* The day (since 2000-01-01) and second of local time, in seconds since 2000-01-01, of a change in a year. */
static int64_t change_in_year(const struct change *change, int64_t year)
{
    int64_t day = date_from_civil(year, 1, 1);
    bool leap = date_month_days(year, 2) == 29;

    if (change->how == CHANGE_WEEKDAY) {
        int64_t first = date_from_civil(year, change->month, 1);
        int64_t weekday = ((first + 6) % 7 + 7) % 7;    /* 2000-01-01 was a Saturday; 0 is Sunday */
        day = first + (change->weekday - weekday + 7) % 7 + (int64_t)(change->week - 1) * 7;
        if (day >= first + date_month_days(year, change->month))
            day -= 7;
    } else if (change->how == CHANGE_JULIAN) {
        day += change->day - 1 + (leap && change->day >= 60);
    } else {
        day += change->day;
    }
    return day * DAY_SECONDS + change->at;
}

/* seconds: since 2000-01-01 UTC. */
static int kind_by_rule(const struct zone *zone, int64_t seconds)
{
    const struct rule *rule = &zone->rule;
    if (!rule->has_summer)
        return rule->standard;
    int64_t year;
    int month, day;
    date_to_civil(floor_divide(seconds + zone->kinds[rule->standard].offset, DAY_SECONDS), &year, &month, &day);
    int64_t start = change_in_year(&rule->start, year) - zone->kinds[rule->standard].offset;
    int64_t end = change_in_year(&rule->end, year) - zone->kinds[rule->summer].offset;
    bool summer = start < end ? seconds >= start && seconds < end : seconds >= start || seconds < end;
    return summer ? rule->summer : rule->standard;
}

/* ---- files ---------------------------------------------------------------------------------------- */

static int64_t big_endian(const uint8_t *at, int bytes)
{
    uint64_t value = at[0] & 0x80 ? UINT64_MAX : 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return (int64_t)value;
}

struct file_counts {
    int64_t is_utc, is_standard, leap, transitions, kinds, abbreviations;
};

/* The counts of a TZif header and the length of what follows it with times of so many bytes; 0 when it is none. */
static size_t read_header(const uint8_t *at, const uint8_t *end, int width, struct file_counts *counts)
{
    if (end - at < 44 || memcmp(at, "TZif", 4) != 0)
        return 0;
    int64_t *const fields[] = { &counts->is_utc, &counts->is_standard, &counts->leap, &counts->transitions, &counts->kinds,
                                &counts->abbreviations };
    for (int i = 0; i < 6; i++) {
        *fields[i] = big_endian(at + 20 + 4 * i, 4);
        if (*fields[i] < 0 || *fields[i] > FILE_MAX_BYTES)
            return 0;
    }
    return (size_t)(counts->transitions * (width + 1) + counts->kinds * 6 + counts->abbreviations + counts->leap * (width + 4) +
                    counts->is_standard + counts->is_utc);
}

/* Z1. */
static bool take_block(struct zone *zone, const uint8_t *at, const struct file_counts *counts)
{
    const uint8_t *types = at + counts->transitions * 8, *kinds = types + counts->transitions;
    const uint8_t *abbreviations = kinds + counts->kinds * 6;

    if (counts->kinds < 1 || counts->kinds > KINDS_MAX || counts->transitions > TRANSITIONS_MAX ||
        counts->abbreviations < 1 || counts->abbreviations >= ABBREVIATIONS_MAX || abbreviations[counts->abbreviations - 1] != '\0')
        return false;
    for (int64_t i = 0; i < counts->kinds; i++) {
        const uint8_t *kind = kinds + 6 * i;
        zone->kinds[i] = (struct kind){ (int32_t)big_endian(kind, 4), kind[4] != 0, kind[5] };
        if (kind[5] >= counts->abbreviations)
            return false;
    }
    zone->kind_count = (int)counts->kinds;
    zone->abbreviation_bytes = (size_t)counts->abbreviations;
    memcpy(zone->abbreviations, abbreviations, zone->abbreviation_bytes);
    zone->transition_count = (int)counts->transitions;
    for (int i = 0; i < zone->transition_count; i++) {
        zone->transitions[i] = big_endian(at + 8 * i, 8) - EPOCH_SECONDS;
        zone->types[i] = types[i];
        if (types[i] >= counts->kinds || (i > 0 && zone->transitions[i] <= zone->transitions[i - 1]))
            return false;
    }
    return true;
}

/* The second block of a file of version 2 or later, and the rule behind it. */
static bool take_file(struct zone *zone, const uint8_t *data, size_t len)
{
    const uint8_t *end = data + len, *at = data;
    struct file_counts counts;
    char rule[128];

    size_t first = read_header(at, end, 4, &counts);
    if (first == 0 || at[4] < '2' || first > (size_t)(end - at - 44))
        return false;
    at += 44 + first;
    size_t second = read_header(at, end, 8, &counts);
    if (second == 0 || second > (size_t)(end - at - 44) || !take_block(zone, at + 44, &counts))
        return false;
    at += 44 + second;
    if (end - at < 2 || *at++ != '\n')
        return true;
    size_t length = 0;
    while (at + length < end && at[length] != '\n' && length + 1 < sizeof rule) {
        rule[length] = (char)at[length];
        length++;
    }
    rule[length] = '\0';
    return length == 0 || read_rule(zone, rule);
}

/* ---- the cache ------------------------------------------------------------------------------------ */

struct zone_cache *zone_cache_new(struct op *op)
{
    struct zone_cache *cache = op_heap_alloc(op, sizeof *cache);
    if (cache)
        cache->first = NULL;
    return cache;
}

static void zone_free(struct zone *zone)
{
    if (!zone)
        return;
    mem_free(zone->transitions);
    mem_free(zone->types);
    mem_free(zone);
}

void zone_cache_free(struct zone_cache *cache)
{
    if (!cache)
        return;
    for (struct zone *zone = cache->first, *next; zone; zone = next) {
        next = zone->next;
        zone_free(zone);
    }
    mem_free(cache);
}

static struct zone *zone_new(struct op *op, const char *name)
{
    struct zone *zone = mem_calloc(1, sizeof *zone);
    if (zone) {
        zone->transitions = mem_calloc(TRANSITIONS_MAX, sizeof *zone->transitions);
        zone->types = mem_calloc(TRANSITIONS_MAX, sizeof *zone->types);
        strncpy(zone->name, name, sizeof zone->name - 1);
    }
    if (!zone || !zone->transitions || !zone->types) {
        zone_free(zone);
        op_out_of_memory(op);
        return NULL;
    }
    return zone;
}

static void keep_zone(struct zone_cache *cache, struct zone *zone)
{
    zone->next = cache->first;
    cache->first = zone;
}

/* Names are relative paths of letters, digits and a few signs: nothing that leaves the folder. */
static bool is_name(struct bytes name)
{
    if (name.len == 0 || name.len >= NAME_MAX_BYTES || name.data[0] == '/' || name.data[0] == '.')
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!isalnum(name.data[i]) && !strchr("_+-/<>,.:", name.data[i]))
            return false;
        else if (name.data[i] == '.' && i + 1 < name.len && name.data[i + 1] == '.')
            return false;
    return true;
}

/* Whether a file name is the part of the path looked for, in any case; then the file's spelling is appended to the path. */
struct part_search {
    const char *part;
    size_t len;
    char found[NAME_MAX_BYTES];
};

static int compare_part(void *arg, struct op *op, const char *name)
{
    struct part_search *search = arg;
    if (strlen(name) == search->len && strncasecmp(name, search->part, search->len) == 0 && search->len < sizeof search->found)
        memcpy(search->found, name, search->len + 1);
    return 0;
}

/* Spells the path as the file system does; "" when there is no such file.  spelled, of NAME_MAX_BYTES: without the folder. */
static int find_path(struct op *op, const char *folder, const char *name, char *path, size_t room, char *spelled)
{
    size_t used = (size_t)snprintf(path, room, "%s", folder), spelled_len = 0;
    for (const char *at = name; *at;) {
        struct part_search search = { at, strcspn(at, "/"), "" };
        if (os_list(op, os_unix_vfs(), path, compare_part, &search) != 0) {
            if (strcmp(op->error.sqlstate, "58P01") != 0 && strcmp(op->error.sqlstate, "58030") != 0)
                return OP_FAILED;
            op_clear_error(op);     /* no such folder, or a file where a folder was named */
        }
        if (!search.found[0] || used + search.len + 2 > room || spelled_len + search.len + 2 > NAME_MAX_BYTES) {
            path[0] = '\0';
            return 0;
        }
        used += (size_t)snprintf(path + used, room - used, "/%s", search.found);
        spelled_len += (size_t)snprintf(spelled + spelled_len, NAME_MAX_BYTES - spelled_len, "%s%s", spelled_len ? "/" : "", search.found);
        at += search.len + (at[search.len] == '/');
    }
    return 0;
}

/* *loaded stays NULL when the file is not a zone. */
static int load_file(struct op *op, const char *path, const char *name, struct zone **loaded)
{
    struct os_file *file = NULL;
    struct zone *zone = NULL;
    uint8_t *data = op_heap_alloc(op, FILE_MAX_BYTES);
    size_t got = 0;
    int rc = OP_FAILED;

    if (!data || !(zone = zone_new(op, name)))
        goto out;
    if (os_open(op, os_unix_vfs(), path, OS_OPEN_READ_ONLY, &file) != 0) {
        if (strcmp(op->error.sqlstate, "58030") == 0) {
            op_clear_error(op);     /* a folder, say: no zone */
            rc = 0;
        }
        goto out;
    }
    if (os_read(op, file, 0, data, FILE_MAX_BYTES, &got) != 0)
        goto out;
    rc = 0;
    if (take_file(zone, data, got)) {
        *loaded = zone;
        zone = NULL;
    }
out:
    if (file)
        os_close(file);
    zone_free(zone);
    mem_free(data);
    return rc;
}

static int load_by_name(struct op *op, const char *name, struct zone **loaded)
{
    char path[2 * NAME_MAX_BYTES], spelled[NAME_MAX_BYTES] = "";
    for (size_t i = 0; i < COUNT_OF(folders) && !*loaded; i++) {
        spelled[0] = '\0';
        if (find_path(op, folders[i], name, path, sizeof path, spelled) != 0)
            return OP_FAILED;
        if (path[0] && load_file(op, path, spelled, loaded) != 0)
            return OP_FAILED;
    }
    return 0;
}

int zone_find(struct op *op, struct zone_cache *cache, struct bytes text, const struct zone **result)
{
    struct zone *zone = NULL;
    char name[NAME_MAX_BYTES];

    *result = NULL;
    if (!is_name(text))
        return 0;
    memcpy(name, text.data, text.len);
    name[text.len] = '\0';
    if (strcasecmp(name, "utc") == 0) {
        *result = &zone_utc;
        return 0;
    }
    for (zone = cache ? cache->first : NULL; zone && strcasecmp(zone->name, name) != 0;)
        zone = zone->next;
    if (zone || !cache) {
        *result = zone;
        return 0;
    }
    if (load_by_name(op, name, &zone) != 0)
        return OP_FAILED;
    if (!zone && strpbrk(name, "0123456789")) {
        if (!(zone = zone_new(op, name)))
            return OP_FAILED;
        if (!read_rule(zone, name)) {
            zone_free(zone);
            return 0;
        }
    }
    if (zone)
        keep_zone(cache, zone);
    *result = zone;
    return 0;
}

int zone_fixed(struct op *op, struct zone_cache *cache, int32_t offset, const char *name, const struct zone **result)
{
    for (struct zone *zone = cache->first; zone; zone = zone->next)
        if (strcmp(zone->name, name) == 0) {
            *result = zone;
            return 0;
        }
    struct zone *zone = zone_new(op, name);
    if (!zone)
        return OP_FAILED;
    int32_t minutes = abs(offset) / 60;
    char abbreviation[16];
    int len = snprintf(abbreviation, sizeof abbreviation, minutes % 60 ? "%c%02d:%02d" : "%c%02d", offset < 0 ? '-' : '+', minutes / 60,
                       minutes % 60);
    add_kind(zone, offset, false, abbreviation, (size_t)len);
    keep_zone(cache, zone);
    *result = zone;
    return 0;
}

const char *zone_name(const struct zone *zone)
{
    return zone->name;
}

/* ---- clocks --------------------------------------------------------------------------------------- */

/* Before the first transition the first kind of standard time holds. */
static int first_kind(const struct zone *zone)
{
    if (zone->transition_count == 0 && zone->rule.present)
        return zone->rule.standard;
    for (int i = 0; i < zone->kind_count; i++)
        if (!zone->kinds[i].summer)
            return i;
    return 0;
}

static int kind_at(const struct zone *zone, int64_t seconds)
{
    int low = 0, high = zone->transition_count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (zone->transitions[middle] <= seconds)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == zone->transition_count && zone->rule.present)
        return kind_by_rule(zone, seconds);
    return low == 0 ? first_kind(zone) : zone->types[low - 1];
}

struct zone_clock zone_at(const struct zone *zone, int64_t moment)
{
    const struct kind *kind = &zone->kinds[kind_at(zone, floor_divide(moment, TIMESTAMP_SECOND))];
    return (struct zone_clock){ kind->offset, kind->summer, zone->abbreviations + kind->abbreviation };
}

int32_t zone_offset_of_local(const struct zone *zone, int64_t local)
{
    int64_t seconds = floor_divide(local, TIMESTAMP_SECOND);
    int32_t before = zone->kinds[kind_at(zone, seconds - DAY_SECONDS)].offset;
    int32_t after = zone->kinds[kind_at(zone, seconds + DAY_SECONDS)].offset;
    if (before == after)
        return before;
    bool before_holds = zone->kinds[kind_at(zone, seconds - before)].offset == before;
    bool after_holds = zone->kinds[kind_at(zone, seconds - after)].offset == after;
    if (before_holds != after_holds)
        return before_holds ? before : after;
    /* Twice: the later; never: the offset of before. */
    return before_holds ? after : before;
}

bool zone_abbreviation(struct bytes name, int32_t *offset)
{
    static const struct { const char *name; int minutes; } known[] = {
        { "utc", 0 }, { "gmt", 0 }, { "z", 0 }, { "zulu", 0 }, { "ut", 0 }, { "uct", 0 }, { "wet", 0 }, { "west", 60 }, { "bst", 60 },
        { "cet", 60 }, { "met", 60 }, { "cest", 120 }, { "mest", 120 }, { "eet", 120 }, { "eest", 180 }, { "msk", 180 },
        { "sast", 120 }, { "eat", 180 }, { "ist", 120 }, { "idt", 180 }, { "pkt", 300 }, { "ict", 420 }, { "wib", 420 },
        { "hkt", 480 }, { "awst", 480 }, { "pht", 480 }, { "sgt", 480 }, { "jst", 540 }, { "kst", 540 }, { "acst", 570 },
        { "aest", 600 }, { "acdt", 630 }, { "aedt", 660 }, { "nzst", 720 }, { "nzt", 720 }, { "nzdt", 780 },
        { "est", -300 }, { "edt", -240 }, { "cst", -360 }, { "cdt", -300 }, { "mst", -420 }, { "mdt", -360 }, { "pst", -480 },
        { "pdt", -420 }, { "akst", -540 }, { "akdt", -480 }, { "hst", -600 }, { "ast", -240 }, { "adt", -180 }, { "nst", -210 },
        { "ndt", -150 }, { "brt", -180 }, { "clt", -240 }, { "pet", -300 }, { "cot", -300 },
    };
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (strlen(known[i].name) == name.len && strncasecmp(known[i].name, (const char *)name.data, name.len) == 0) {
            *offset = known[i].minutes * 60;
            return true;
        }
    return false;
}
