/*
 * datetime_parse.c -- dates, times and timestamps read, as tolerantly as PostgreSQL reads them.
 *
 * The text is cut into tokens, and each token says by its look what it is: digits joined by -, / or . are a date,
 * digits joined by colons a time, a sign after the time begins a zone, words name months, days of the week, AM and
 * PM, BC, zones or special moments. Loose numbers ("January 8, 1999") wait until all tokens are known; then the one
 * that cannot be a day is the year.
 *
 *      1999-01-08   19990108   1999.008   J2451187   Jan-08-1999   8 January 1999   1/8/1999 (by DateStyle)
 *      04:05:06.789   040506   04:05 PM   T040506Z   04:05:06-08:00   04:05:06 PST   04:05:06 Europe/Berlin
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "sql/datetime.h"

enum moment { MOMENT_NONE, MOMENT_INFINITY, MOMENT_MINUS_INFINITY, MOMENT_EPOCH, MOMENT_NOW, MOMENT_TODAY,
              MOMENT_TOMORROW, MOMENT_YESTERDAY };
enum meridian { MERIDIAN_NONE, MERIDIAN_AM, MERIDIAN_PM };

struct number { int64_t value; int digits; };

struct moment_text {
    struct op *op;
    const struct time_style *style;
    bool time_only;                 /* a time of day is wanted: loose digits are one */
    enum moment moment;
    bool has_date, has_time, has_zone, before_christ, has_julian;
    int64_t year;
    int year_digits, month, day;    /* month 0: not known */
    int64_t julian;
    int month_word;                 /* 1..12 when named */
    struct number loose[3];
    int loose_count;
    int numbers_before_month;
    int day_of_year;                /* 0 none */
    int64_t hour, minute, second, fraction;
    enum meridian meridian;
    int64_t zone;                   /* seconds east of UTC */
    const struct zone *named;       /* the zone, where it was given by a name that stands for several offsets */
};

enum verdict { FINE, BAD_SYNTAX, OUT_OF_RANGE, OUT_OF_RANGE_STYLE, BAD_ZONE, UNKNOWN_ZONE, REPORTED };

static const char *const months[] = { "january", "february", "march", "april", "may", "june", "july", "august",
                                      "september", "october", "november", "december" };
static const char *const weekdays[] = { "sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday" };

static bool abbreviates(const char *word, size_t len, const char *full)
{
    return (len == strlen(full) || len == 3) && strncmp(word, full, len) == 0;
}

static int month_of_word(const char *word, size_t len)
{
    for (int i = 0; i < 12; i++)
        if (abbreviates(word, len, months[i]))
            return i + 1;
    return len == 4 && strcmp(word, "sept") == 0 ? 9 : 0;
}

static bool is_weekday(const char *word, size_t len)
{
    static const char *const more[] = { "tues", "wednes", "weds", "thur", "thurs", "on", "at" };
    for (int i = 0; i < 7; i++)
        if (abbreviates(word, len, weekdays[i]))
            return true;
    for (size_t i = 0; i < COUNT_OF(more); i++)
        if (strcmp(word, more[i]) == 0)
            return true;
    return false;
}

static enum moment moment_of_word(const char *word)
{
    static const struct { const char *word; enum moment moment; } words[] = {
        { "infinity", MOMENT_INFINITY }, { "epoch", MOMENT_EPOCH }, { "now", MOMENT_NOW }, { "today", MOMENT_TODAY },
        { "tomorrow", MOMENT_TOMORROW }, { "yesterday", MOMENT_YESTERDAY },
    };
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (strcmp(words[i].word, word) == 0)
            return words[i].moment;
    return MOMENT_NONE;
}

/* ---- tokens --------------------------------------------------------------------------------------- */

static struct number read_number(const char **at)
{
    struct number n = { 0, 0 };
    for (; isdigit((unsigned char)**at); ++*at, n.digits++)
        if (n.value < INT64_C(1000000000000))
            n.value = n.value * 10 + (**at - '0');
    return n;
}

/* Digits after a point, as microseconds, rounded. */
static int64_t read_fraction(const char **at)
{
    int64_t micros = 0;
    int n = 0;
    for (; isdigit((unsigned char)**at); ++*at, n++) {
        if (n < 6)
            micros = micros * 10 + (**at - '0');
        else if (n == 6 && **at >= '5')
            micros++;
    }
    for (; n < 6; n++)
        micros *= 10;
    return micros;
}

/* "04:05:06.789": after the hour, at the first colon. */
static enum verdict read_clock(const char **at, struct moment_text *text, struct number hour)
{
    if (text->has_time || hour.digits > 9)
        return BAD_SYNTAX;
    text->has_time = true;
    text->hour = hour.value;
    ++*at;
    if (!isdigit((unsigned char)**at))
        return BAD_SYNTAX;
    text->minute = read_number(at).value;
    if (**at == ':') {
        ++*at;
        if (!isdigit((unsigned char)**at))
            return BAD_SYNTAX;
        text->second = read_number(at).value;
        if (**at == '.') {
            ++*at;
            text->fraction = read_fraction(at);
        }
    }
    return FINE;
}

/* "040506", "0405" or "04" (the last only after T). */
static enum verdict set_clock_digits(struct moment_text *text, struct number n)
{
    if (text->has_time)
        return BAD_SYNTAX;
    text->has_time = true;
    if (n.digits == 6) {
        text->hour = n.value / 10000;
        text->minute = n.value / 100 % 100;
        text->second = n.value % 100;
    } else if (n.digits == 4) {
        text->hour = n.value / 100;
        text->minute = n.value % 100;
    } else if (n.digits == 2) {
        text->hour = n.value;
    } else {
        return BAD_SYNTAX;
    }
    return FINE;
}

static void set_date(struct moment_text *text, struct number year, int64_t month, int64_t day)
{
    text->has_date = true;
    text->year = year.value;
    text->year_digits = year.digits;
    text->month = month > 99 ? 99 : (int)month;
    text->day = day > 99 ? 99 : (int)day;
}

/* Day and year beside a month's name: the one of three digits or beyond 31 is the year; else the day comes first. */
static enum verdict set_date_named(struct moment_text *text, int month, struct number a, struct number b)
{
    bool a_is_year = a.digits >= 3 || (b.digits <= 2 && a.value > 31);
    if (a_is_year)
        set_date(text, a, month, b.value);
    else
        set_date(text, b, month, a.value);
    text->month_word = 0;
    return FINE;
}

static size_t read_word(const char **at, char *word, size_t room)
{
    size_t len = 0;
    for (; isalpha((unsigned char)**at); ++*at)
        if (len + 1 < room)
            word[len++] = (char)tolower((unsigned char)**at);
    word[len] = '\0';
    return len;
}

/* Three numbers in the order of the DateStyle. */
static void set_date_ordered(struct moment_text *text, struct number a, struct number b, struct number c)
{
    if (text->style->order == DATE_ORDER_YMD)
        set_date(text, a, b.value, c.value);
    else if (text->style->order == DATE_ORDER_DMY)
        set_date(text, c, b.value, a.value);
    else
        set_date(text, c, a.value, b.value);
}

/* "1999-01-08", "1/8/1999", "08-Jan-1999", "1999.008": after the first field, at the first separator. */
static enum verdict read_joined_date(const char **at, struct moment_text *text, struct number first, int first_month)
{
    char separator = **at, word[16];
    struct number second = { 0, 0 }, third = { 0, 0 };
    int month = first_month;

    /* Behind a time it would be a zone. */
    if (text->has_date || text->has_time)
        return BAD_SYNTAX;
    ++*at;
    if (isalpha((unsigned char)**at)) {
        if (month || (month = month_of_word(word, read_word(at, word, sizeof word))) == 0)
            return BAD_SYNTAX;
    } else {
        second = read_number(at);
    }
    if (**at != separator) {
        if (month || first.digits < 3 || second.digits != 3)
            return BAD_SYNTAX;
        set_date(text, first, 1, 1);
        text->day_of_year = (int)second.value;
        return second.value >= 1 && second.value <= 366 ? FINE : OUT_OF_RANGE;
    }
    ++*at;
    third = read_number(at);
    if (third.digits == 0)
        return BAD_SYNTAX;
    if (month)
        return set_date_named(text, month, first_month ? second : first, third);
    if (first.digits >= 3)
        set_date(text, first, second.value, third.value);
    else
        set_date_ordered(text, first, second, third);
    return FINE;
}

static enum verdict read_digits(const char **at, struct moment_text *text)
{
    struct number n = read_number(at);
    char next = **at;

    if (next == ':')
        return read_clock(at, text, n);
    if (next == '.' && text->has_date && (n.digits == 6)) {
        ++*at;
        text->fraction = read_fraction(at);
        return set_clock_digits(text, n);
    }
    if ((next == '-' || next == '/' || next == '.') && !text->has_date && text->loose_count == 0 &&
        !(text->time_only && next == '.' && n.digits == 6))
        return read_joined_date(at, text, n, 0);
    if (text->time_only && !text->has_date && n.digits == 6 && next == '.') {
        ++*at;
        text->fraction = read_fraction(at);
        return set_clock_digits(text, n);
    }
    if (text->time_only && !text->has_date && (n.digits == 6 || n.digits == 4))
        return set_clock_digits(text, n);
    if (!text->has_date && n.digits >= 6 && !text->month_word) {
        set_date(text, (struct number){ n.value / 10000, n.digits - 4 }, n.value / 100 % 100, n.value % 100);
        return FINE;
    }
    if (text->has_date && (n.digits == 6 || n.digits == 4))
        return set_clock_digits(text, n);
    if (text->has_date || text->loose_count == 3)
        return BAD_SYNTAX;
    text->loose[text->loose_count++] = n;
    return FINE;
}

/* "+08", "-0830", "+08:30:15" */
static enum verdict read_zone(const char **at, struct moment_text *text)
{
    int64_t sign = **at == '-' ? -1 : 1, seconds = 0;
    ++*at;
    struct number n = read_number(at);
    if (n.digits == 0 || text->has_zone)
        return BAD_SYNTAX;
    int64_t hours = n.value, minutes = 0;
    if (**at == ':') {
        ++*at;
        minutes = read_number(at).value;
        if (**at == ':') {
            ++*at;
            seconds = read_number(at).value;
        }
    } else if (n.digits > 2) {
        hours = n.value / 100;
        minutes = n.value % 100;
    }
    if (hours > 15 || minutes > 59 || seconds > 59)
        return BAD_ZONE;
    text->has_zone = true;
    text->zone = sign * (hours * 3600 + minutes * 60 + seconds);
    return FINE;
}

/* "PST", "Europe/Berlin", "EST5EDT". */
static enum verdict read_zone_name(const char **at, struct moment_text *text)
{
    const char *start = *at;
    int32_t offset;

    while (isalnum((unsigned char)**at) || (**at && strchr("/_+-:<>.", **at)))
        ++*at;
    struct bytes name = { (const uint8_t *)start, (size_t)(*at - start) };
    if (text->has_zone)
        return BAD_SYNTAX;
    text->has_zone = true;
    if (zone_abbreviation(name, &offset)) {
        text->zone = offset;
        return FINE;
    }
    if (zone_find(text->op, text->style->zones, name, &text->named) != 0)
        return REPORTED;
    /* Behind a date or a time a word of this look can only be a zone's name. */
    return text->named ? FINE : memchr(name.data, '/', name.len) && (text->has_time || text->has_date) ? UNKNOWN_ZONE : BAD_SYNTAX;
}

static enum verdict read_letters(const char **at, struct moment_text *text)
{
    char word[32];
    const char *start = *at;
    size_t len = read_word(at, word, sizeof word);
    int month = month_of_word(word, len);
    enum moment moment = moment_of_word(word);

    if (month) {
        if ((**at == '-' || **at == '/') && isdigit((unsigned char)(*at)[1]))
            return read_joined_date(at, text, (struct number){ 0, 0 }, month);
        if (text->month_word || text->has_date)
            return BAD_SYNTAX;
        text->month_word = month;
        text->numbers_before_month = text->loose_count;
        return FINE;
    }
    if (moment != MOMENT_NONE) {
        if (text->moment != MOMENT_NONE)
            return BAD_SYNTAX;
        text->moment = moment;
        return FINE;
    }
    if (len == 1 && word[0] == 't' && isdigit((unsigned char)**at) && (text->has_date || text->time_only)) {
        struct number n = read_number(at);
        if (**at == ':')
            return read_clock(at, text, n);
        if (**at == '.' && n.digits == 6) {
            ++*at;
            text->fraction = read_fraction(at);
        }
        return set_clock_digits(text, n);
    }
    if (len == 1 && word[0] == 'j' && isdigit((unsigned char)**at) && !text->has_date) {
        text->julian = read_number(at).value;
        text->has_julian = text->has_date = true;
        return FINE;
    }
    if (strcmp(word, "am") == 0 || strcmp(word, "pm") == 0) {
        text->meridian = word[0] == 'a' ? MERIDIAN_AM : MERIDIAN_PM;
        return text->has_time ? FINE : BAD_SYNTAX;
    }
    if (strcmp(word, "bc") == 0 || strcmp(word, "ad") == 0) {
        text->before_christ = word[0] == 'b';
        return FINE;
    }
    if (strcmp(word, "allballs") == 0) {
        text->has_zone = true;
        return set_clock_digits(text, (struct number){ 0, 4 });
    }
    if (is_weekday(word, len))
        return FINE;
    *at = start;
    return read_zone_name(at, text);
}

static enum verdict read_tokens(const char *at, struct moment_text *text)
{
    enum verdict verdict = FINE;
    while (verdict == FINE) {
        while (isspace((unsigned char)*at) || *at == ',')
            at++;
        if (*at == '\0')
            return FINE;
        if (isdigit((unsigned char)*at)) {
            verdict = read_digits(&at, text);
        } else if (isalpha((unsigned char)*at)) {
            verdict = read_letters(&at, text);
        } else if (*at == '-' && isalpha((unsigned char)at[1])) {
            at++;
            verdict = read_letters(&at, text);
            if (verdict == FINE && text->moment != MOMENT_INFINITY)
                verdict = BAD_SYNTAX;
            text->moment = MOMENT_MINUS_INFINITY;
        } else if ((*at == '-' || *at == '+') && (text->has_time || (text->has_date && isspace((unsigned char)at[-1])))) {
            verdict = read_zone(&at, text);
        } else {
            verdict = BAD_SYNTAX;
        }
    }
    return verdict;
}

/* ---- meaning -------------------------------------------------------------------------------------- */

/* Makes a date of the loose numbers. */
static enum verdict settle_loose(struct moment_text *text)
{
    /* A number in front of everything else is a day or a whole year. */
    if (text->numbers_before_month && text->loose[0].digits <= 2 && text->loose[0].value > 31)
        return BAD_SYNTAX;
    if (text->month_word && !text->has_date && text->loose_count == 2)
        return set_date_named(text, text->month_word, text->loose[0], text->loose[1]);
    if (!text->month_word && !text->has_date && text->loose_count == 3) {
        const struct number *n = text->loose;
        if (n[0].digits >= 3)
            set_date(text, n[0], n[1].value, n[2].value);
        else
            set_date_ordered(text, n[0], n[1], n[2]);
        return FINE;
    }
    return text->month_word || text->loose_count ? BAD_SYNTAX : FINE;
}

static enum verdict settle_date(struct moment_text *text, int64_t *date)
{
    if (text->has_julian) {
        *date = text->julian + DATE_MIN;
        return FINE;
    }
    int64_t year = text->year;
    if (text->before_christ) {
        if (year <= 0)
            return OUT_OF_RANGE;
        year = 1 - year;
    } else if (text->year_digits <= 2) {
        year += year < 70 ? 2000 : 1900;
    } else if (year <= 0) {
        return OUT_OF_RANGE;
    }
    if (text->day_of_year) {
        *date = date_from_civil(year, 1, 1) + text->day_of_year - 1;
        return FINE;
    }
    if (text->month < 1 || text->month > 12 || text->day < 1 || text->day > 31)
        return OUT_OF_RANGE_STYLE;
    if (text->day > date_month_days(year, text->month))
        return OUT_OF_RANGE;
    *date = date_from_civil(year, text->month, text->day);
    return FINE;
}

static enum verdict settle_time(struct moment_text *text, int64_t *micros)
{
    if (text->meridian != MERIDIAN_NONE) {
        if (text->hour > 12)
            return OUT_OF_RANGE;
        text->hour = text->hour % 12 + (text->meridian == MERIDIAN_PM ? 12 : 0);
    }
    bool midnight = text->hour == 24 && text->minute == 0 && text->second == 0 && text->fraction == 0;
    if ((text->hour > 23 && !midnight) || text->minute > 59 || text->second > 60)
        return OUT_OF_RANGE;
    *micros = ((text->hour * 60 + text->minute) * 60 + text->second) * TIMESTAMP_SECOND + text->fraction;
    return FINE;
}

/* Days and time of day; for special moments at once. */
static enum verdict interpret(struct moment_text *text, int64_t *date, int64_t *micros, bool *infinite)
{
    enum verdict verdict = settle_loose(text);
    *micros = 0;
    *infinite = false;
    if (verdict == FINE && text->has_time)
        verdict = settle_time(text, micros);
    if (verdict != FINE)
        return verdict;
    if (text->moment == MOMENT_NONE && text->time_only && !text->has_date) {
        *date = 0;
        return text->has_time ? FINE : BAD_SYNTAX;
    }
    if (text->moment == MOMENT_NONE)
        return text->has_date ? settle_date(text, date) : BAD_SYNTAX;
    if (text->has_date || (text->has_time && text->moment < MOMENT_TODAY))
        return BAD_SYNTAX;
    int64_t now = timestamp_clock();
    now += zone_at(text->style->zone, now).offset * TIMESTAMP_SECOND;
    switch (text->moment) {
    case MOMENT_INFINITY: *infinite = true; *date = DATE_INFINITY; break;
    case MOMENT_MINUS_INFINITY: *infinite = true; *date = DATE_MINUS_INFINITY; break;
    case MOMENT_EPOCH: *date = date_from_civil(1970, 1, 1); break;
    case MOMENT_NOW:
        *date = timestamp_to_date(now);
        *micros = now - *date * TIMESTAMP_DAY;
        break;
    default:
        *date = timestamp_to_date(now) + (text->moment == MOMENT_TOMORROW) - (text->moment == MOMENT_YESTERDAY);
    }
    return FINE;
}

static int report(struct op *op, enum verdict verdict, const char *type, const char *text)
{
    switch (verdict) {
    case FINE:
        return 0;
    case OUT_OF_RANGE:
        return op_fail(op, "22008", "date/time field value out of range: \"%s\"", text);
    case OUT_OF_RANGE_STYLE:
        op_fail(op, "22008", "date/time field value out of range: \"%s\"", text);
        op_hint(op, "Perhaps you need a different \"datestyle\" setting.");
        return OP_FAILED;
    case BAD_ZONE:
        return op_fail(op, "22009", "time zone displacement out of range: \"%s\"", text);
    case UNKNOWN_ZONE: {
        const char *name = strpbrk(text, "/");
        while (name > text && !isspace((unsigned char)name[-1]))
            name--;
        char word[DATETIME_TEXT_MAX] = "";
        for (size_t i = 0; name[i] && !isspace((unsigned char)name[i]) && name[i] != ',' && i + 1 < sizeof word; i++)
            word[i] = (char)tolower((unsigned char)name[i]);
        return op_fail(op, "22023", "time zone \"%s\" not recognized", word);
    }
    case REPORTED:
        return OP_FAILED;
    case BAD_SYNTAX:
        break;
    }
    return op_fail(op, "22007", "invalid input syntax for type %s: \"%s\"", type, text);
}

static int parse(struct op *op, struct bytes bytes, const char *type, struct moment_text *text, const char **copy,
                 int64_t *date, int64_t *micros, bool *infinite)
{
    *text = (struct moment_text){ .op = op, .style = time_style_of(op), .time_only = text->time_only };
    char *terminated = op_alloc(op, bytes.len + 1);
    if (!terminated)
        return OP_FAILED;
    memcpy(terminated, bytes.data, bytes.len);
    terminated[bytes.len] = '\0';
    *copy = terminated;
    enum verdict verdict = read_tokens(terminated, text);
    if (verdict == FINE)
        verdict = interpret(text, date, micros, infinite);
    return report(op, verdict, type, terminated);
}

int date_parse(struct op *op, struct bytes bytes, int64_t *date)
{
    struct arena_mark mark = arena_mark(&op->arena);
    struct moment_text text = { .time_only = false };
    const char *copy;
    int64_t micros;
    bool infinite;
    if (parse(op, bytes, "date", &text, &copy, date, &micros, &infinite) != 0)
        return OP_FAILED;
    if (!infinite && (*date < DATE_MIN || *date > DATE_MAX))
        return op_fail(op, "22008", "date out of range: \"%s\"", copy);
    arena_release(&op->arena, mark);
    return 0;
}

int time_parse(struct op *op, struct bytes bytes, int32_t modifier, int64_t *time)
{
    struct arena_mark mark = arena_mark(&op->arena);
    struct moment_text text = { .time_only = true };
    const char *copy;
    int64_t date;
    bool infinite;
    if (parse(op, bytes, "time", &text, &copy, &date, time, &infinite) != 0)
        return OP_FAILED;
    if (infinite || !(text.has_time || text.moment == MOMENT_NOW))
        return report(op, BAD_SYNTAX, "time", copy);
    *time = timestamp_round(*time, modifier);
    arena_release(&op->arena, mark);
    return 0;
}

/* Seconds east of UTC that hold for a local time: of the text's zone, else of the session's. */
static int64_t offset_of(const struct moment_text *text, int64_t local)
{
    if (text->has_zone && !text->named)
        return text->zone;
    return zone_offset_of_local(text->named ? text->named : text->style->zone, local);
}

int timestamp_parse(struct op *op, struct bytes bytes, bool zoned, int32_t modifier, int64_t *timestamp)
{
    struct arena_mark mark = arena_mark(&op->arena);
    const char *type = zoned ? "timestamp with time zone" : "timestamp";
    struct moment_text text = { .time_only = false };
    const char *copy;
    int64_t date, micros;
    bool infinite;
    if (parse(op, bytes, type, &text, &copy, &date, &micros, &infinite) != 0)
        return OP_FAILED;
    if (infinite) {
        *timestamp = date == DATE_INFINITY ? TIMESTAMP_INFINITY : TIMESTAMP_MINUS_INFINITY;
    } else {
        /* The last days before the end may leave 64 bits only with the time of day, which the bounds exclude. */
        if (date < DATE_MIN - 1 || date > TIMESTAMP_END / TIMESTAMP_DAY + 1)
            return op_fail(op, "22008", "timestamp out of range: \"%s\"", copy);
        *timestamp = date * TIMESTAMP_DAY + micros;
        if (zoned)
            *timestamp -= offset_of(&text, *timestamp) * TIMESTAMP_SECOND;
        if (*timestamp < TIMESTAMP_MIN || *timestamp >= TIMESTAMP_END)
            return op_fail(op, "22008", "timestamp out of range: \"%s\"", copy);
        *timestamp = timestamp_round(*timestamp, modifier);
    }
    arena_release(&op->arena, mark);
    return 0;
}
