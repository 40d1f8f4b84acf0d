/*
 * settings_time.c -- DateStyle and TimeZone: what may be written, and what it means.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sql/session_int.h"
#include "sql/type_int.h"

static int invalid(struct op *op, const char *name, const char *value)
{
    return op_fail(op, "22023", "invalid value for parameter \"%s\": \"%s\"", name, value);
}

/* ---- DateStyle ------------------------------------------------------------------------------------ */

static const char *const style_names[] = { [DATE_STYLE_ISO] = "ISO", [DATE_STYLE_SQL] = "SQL", [DATE_STYLE_POSTGRES] = "Postgres",
                                           [DATE_STYLE_GERMAN] = "German" };
static const char *const order_names[] = { [DATE_ORDER_MDY] = "MDY", [DATE_ORDER_DMY] = "DMY", [DATE_ORDER_YMD] = "YMD" };

struct style_words {
    int style, order;           /* -1: not said */
    bool conflict;
};

static void say(int *what, int value, bool *conflict)
{
    *conflict |= *what >= 0 && *what != value;
    *what = value;
}

static bool starts(const char *word, const char *with) { return strncasecmp(word, with, strlen(with)) == 0; }

static bool take_word(struct style_words *words, const char *word)
{
    if (strcasecmp(word, "iso") == 0)
        say(&words->style, DATE_STYLE_ISO, &words->conflict);
    else if (strcasecmp(word, "sql") == 0)
        say(&words->style, DATE_STYLE_SQL, &words->conflict);
    else if (starts(word, "postgres"))
        say(&words->style, DATE_STYLE_POSTGRES, &words->conflict);
    else if (strcasecmp(word, "german") == 0)
        say(&words->style, DATE_STYLE_GERMAN, &words->conflict);
    else if (strcasecmp(word, "ymd") == 0)
        say(&words->order, DATE_ORDER_YMD, &words->conflict);
    else if (strcasecmp(word, "dmy") == 0 || starts(word, "euro"))
        say(&words->order, DATE_ORDER_DMY, &words->conflict);
    else if (strcasecmp(word, "mdy") == 0 || strcasecmp(word, "us") == 0 || starts(word, "noneuro"))
        say(&words->order, DATE_ORDER_MDY, &words->conflict);
    else
        return strcasecmp(word, "default") == 0;
    return true;
}

int settings__check_date_style(struct op *op, const struct session *session, const char *value, const char **canonical)
{
    struct style_words words = { -1, -1, false };
    char *copy = arena_strdup(&op->arena, value), *rest = copy;

    if (!copy)
        return op_out_of_memory(op);
    for (char *word; (word = strtok_r(rest, ", \"\t", &rest)) != NULL;)
        if (!take_word(&words, word)) {
            invalid(op, "DateStyle", value);
            op_detail(op, "Unrecognized key word: \"%s\".", word);
            return OP_FAILED;
        }
    if (words.conflict) {
        invalid(op, "DateStyle", value);
        op_detail(op, "Conflicting \"datestyle\" specifications.");
        return OP_FAILED;
    }
    if (words.order < 0)
        words.order = words.style == DATE_STYLE_GERMAN ? (int)DATE_ORDER_DMY : (int)session->time_style.order;
    if (words.style < 0)
        words.style = (int)session->time_style.date;
    *canonical = arena_printf(&op->arena, "%s, %s", style_names[words.style], order_names[words.order]);
    return *canonical ? 0 : op_out_of_memory(op);
}

void settings__apply_date_style(struct session *session, const char *value)
{
    const char *order = strchr(value, ',') + 2;
    for (size_t i = 0; i < COUNT_OF(style_names); i++)
        if (strncmp(value, style_names[i], strlen(style_names[i])) == 0)
            session->time_style.date = (enum date_style)i;
    for (size_t i = 0; i < COUNT_OF(order_names); i++)
        if (strcmp(order, order_names[i]) == 0)
            session->time_style.order = (enum date_order)i;
}

/* ---- TimeZone ------------------------------------------------------------------------------------- */

/* A number of hours east of UTC, as a POSIX zone: 5.5 is <+05:30>-05:30. */
static int name_of_hours(struct op *op, const char *value, const char **name)
{
    char *end;
    double hours = strtod(value, &end);
    int minutes = (int)lrint(fabs(hours) * 60), h = minutes / 60, m = minutes % 60;
    char digits[16];

    *name = value;
    if (end == value || *end != '\0')
        return 0;
    if (fabs(hours) > 167)
        return invalid(op, "TimeZone", value);
    snprintf(digits, sizeof digits, m ? "%02d:%02d" : "%02d", h, m);
    *name = arena_printf(&op->arena, "<%c%s>%c%s", hours < 0 ? '-' : '+', digits, hours < 0 ? '+' : '-', digits);
    return *name ? 0 : op_out_of_memory(op);
}

int settings__check_time_zone(struct op *op, struct session *session, const char *value, const char **canonical)
{
    const struct zone *zone;
    const char *name;

    if (name_of_hours(op, value, &name) != 0 ||
        zone_find(op, session->time_style.zones, (struct bytes){ (const uint8_t *)name, strlen(name) }, &zone) != 0)
        return OP_FAILED;
    if (!zone)
        return invalid(op, "TimeZone", value);
    *canonical = zone_name(zone);
    return 0;
}

void settings__apply_time_zone(struct session *session, const char *value)
{
    struct op op;

    /* It has been found before, so it is in the cache. */
    op_init(&op);
    if (zone_find(&op, session->time_style.zones, (struct bytes){ (const uint8_t *)value, strlen(value) }, &session->time_style.zone) != 0 ||
        !session->time_style.zone)
        session->time_style.zone = &zone_utc;
    op_end(&op);
}
