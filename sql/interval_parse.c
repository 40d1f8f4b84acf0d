/*
 * interval_parse.c -- intervals read, in all the spellings that PostgreSQL reads.
 *
 *      1 year 2 mons 3 days 04:05:06.5     @ 3 hours ago      1-2 3 4:05:06      P1Y2M3DT4H5M6S      P0001-02-03T04:05:06
 *
 * The text is cut into tokens, which are then read from the right, because units stand behind their numbers.  A number without
 * a unit has that of what stands to its right: days before a clock time, else the last field of the type, else seconds.  Each unit may
 * occur once.  Fractions of large units are handed down: half a year is 6 months, half a month 15 days, half a day 12 hours.
 */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "sql/datetime.h"
#include "sql/interval.h"
#include "sql/type_int.h"

enum { TOKENS_MAX = 25, TOKEN_BYTES = 64, UNIT_LETTERS = 10 };

enum unit { UNIT_NONE, UNIT_MICROSECOND, UNIT_MILLISECOND, UNIT_SECOND, UNIT_MINUTE, UNIT_HOUR, UNIT_DAY, UNIT_WEEK, UNIT_MONTH, UNIT_YEAR,
            UNIT_DECADE, UNIT_CENTURY, UNIT_MILLENNIUM, UNIT_AGO };
enum token_kind { TOKEN_NUMBER, TOKEN_DATE, TOKEN_CLOCK, TOKEN_SIGNED, TOKEN_WORD };
enum verdict { FINE, BAD_SYNTAX, TOO_LARGE };

struct token { enum token_kind kind; char text[TOKEN_BYTES]; };

struct reading {
    struct token tokens[TOKENS_MAX];
    int count;
    int fields;                 /* of the type */
    unsigned seen;              /* units, as bits */
    struct interval sum;
};

/* ---- sums ----------------------------------------------------------------------------------------- */

static enum verdict add_micros(struct reading *r, int64_t whole, double fraction, int64_t scale)
{
    int64_t micros;
    if (__builtin_mul_overflow(whole, scale, &micros) || __builtin_add_overflow(r->sum.micros, micros, &r->sum.micros))
        return TOO_LARGE;
    double part = fraction * (double)scale;
    int64_t rounded = (int64_t)part;
    part -= (double)rounded;
    rounded += part > 0.5 ? 1 : part < -0.5 ? -1 : 0;
    return __builtin_add_overflow(r->sum.micros, rounded, &r->sum.micros) ? TOO_LARGE : FINE;
}

static enum verdict add_days(struct reading *r, int64_t whole, double fraction, int scale)
{
    int64_t days;
    double part = fraction * scale;
    int extra = (int)part;
    if (__builtin_mul_overflow(whole, (int64_t)scale, &days) || days > INT32_MAX || days < INT32_MIN ||
        __builtin_add_overflow(r->sum.days, (int32_t)days, &r->sum.days) || __builtin_add_overflow(r->sum.days, extra, &r->sum.days))
        return TOO_LARGE;
    return add_micros(r, 0, part - extra, TIMESTAMP_DAY);
}

static enum verdict add_months(struct reading *r, int64_t whole, int scale)
{
    int64_t months;
    if (__builtin_mul_overflow(whole, (int64_t)scale, &months) || months > INT32_MAX || months < INT32_MIN ||
        __builtin_add_overflow(r->sum.months, (int32_t)months, &r->sum.months))
        return TOO_LARGE;
    return FINE;
}

static enum verdict add_years(struct reading *r, int64_t whole, double fraction, int years)
{
    enum verdict verdict = add_months(r, whole, 12 * years);
    return verdict != FINE ? verdict : add_months(r, (int64_t)rint(fraction * years * 12), 1);
}

static enum verdict add_unit(struct reading *r, enum unit unit, int64_t whole, double fraction)
{
    unsigned bits = 1u << unit;
    if (unit == UNIT_SECOND && fraction != 0)
        bits |= 1u << UNIT_MILLISECOND | 1u << UNIT_MICROSECOND;
    if (r->seen & bits)
        return BAD_SYNTAX;
    r->seen |= bits;
    switch (unit) {
    case UNIT_MICROSECOND: return add_micros(r, whole, fraction, 1);
    case UNIT_MILLISECOND: return add_micros(r, whole, fraction, 1000);
    case UNIT_SECOND: return add_micros(r, whole, fraction, TIMESTAMP_SECOND);
    case UNIT_MINUTE: return add_micros(r, whole, fraction, 60 * TIMESTAMP_SECOND);
    case UNIT_HOUR: return add_micros(r, whole, fraction, 3600 * TIMESTAMP_SECOND);
    case UNIT_DAY: return add_days(r, whole, fraction, 1);
    case UNIT_WEEK: return add_days(r, whole, fraction, 7);
    case UNIT_MONTH: {
        enum verdict verdict = add_months(r, whole, 1);
        return verdict != FINE ? verdict : add_days(r, 0, fraction, 30);
    }
    case UNIT_YEAR: return add_years(r, whole, fraction, 1);
    case UNIT_DECADE: return add_years(r, whole, fraction, 10);
    case UNIT_CENTURY: return add_years(r, whole, fraction, 100);
    case UNIT_MILLENNIUM: return add_years(r, whole, fraction, 1000);
    case UNIT_NONE: case UNIT_AGO: break;
    }
    return BAD_SYNTAX;
}

/* ---- tokens --------------------------------------------------------------------------------------- */

struct cutter { const char *at; struct token *token; size_t used; bool full; };

static void take(struct cutter *c)
{
    if (c->used + 1 < TOKEN_BYTES)
        c->token->text[c->used++] = (char)tolower((unsigned char)*c->at);
    else
        c->full = true;
    c->token->text[c->used] = '\0';
    c->at++;
}

static void take_digits(struct cutter *c)
{
    while (isdigit((unsigned char)*c->at))
        take(c);
}

static void cut_number(struct cutter *c)
{
    c->token->kind = TOKEN_NUMBER;
    take_digits(c);
    if (*c->at == ':') {
        c->token->kind = TOKEN_CLOCK;
        while (isdigit((unsigned char)*c->at) || *c->at == ':' || *c->at == '.')
            take(c);
    } else if (*c->at == '-' || *c->at == '.') {
        c->token->kind = *c->at == '-' ? TOKEN_DATE : TOKEN_NUMBER;
        take(c);
        take_digits(c);
    }
}

/* Behind the sign. */
static void cut_signed(struct cutter *c)
{
    c->token->kind = TOKEN_SIGNED;
    take(c);
    while (isspace((unsigned char)*c->at))
        c->at++;
    while (isdigit((unsigned char)*c->at) || *c->at == ':' || *c->at == '.' || *c->at == '-')
        take(c);
}

static enum verdict cut(struct reading *r, const char *text)
{
    struct cutter c = { .at = text };
    for (;;) {
        while (isspace((unsigned char)*c.at) || *c.at == ',' || *c.at == '@')
            c.at++;
        if (*c.at == '\0')
            return FINE;
        if (r->count == TOKENS_MAX)
            return BAD_SYNTAX;
        c.token = &r->tokens[r->count++];
        c.used = 0;
        c.token->text[0] = '\0';
        if (isdigit((unsigned char)*c.at) || (*c.at == '.' && isdigit((unsigned char)c.at[1])))
            cut_number(&c);
        else if (*c.at == '-' || *c.at == '+')
            cut_signed(&c);
        else if (isalpha((unsigned char)*c.at))
            for (c.token->kind = TOKEN_WORD; isalpha((unsigned char)*c.at);)
                take(&c);
        else
            return BAD_SYNTAX;
        if (c.full)
            return BAD_SYNTAX;
    }
}

/* ---- meaning -------------------------------------------------------------------------------------- */

static enum unit unit_of_word(const char *word)
{
    static const struct { const char *name; enum unit unit; } units[] = {
        { "ago", UNIT_AGO }, { "c", UNIT_CENTURY }, { "cent", UNIT_CENTURY }, { "centuries", UNIT_CENTURY }, { "century", UNIT_CENTURY },
        { "d", UNIT_DAY }, { "day", UNIT_DAY }, { "days", UNIT_DAY }, { "dec", UNIT_DECADE }, { "decade", UNIT_DECADE },
        { "decades", UNIT_DECADE }, { "decs", UNIT_DECADE }, { "h", UNIT_HOUR }, { "hour", UNIT_HOUR }, { "hours", UNIT_HOUR },
        { "hr", UNIT_HOUR }, { "hrs", UNIT_HOUR }, { "m", UNIT_MINUTE }, { "microsecon", UNIT_MICROSECOND }, { "mil", UNIT_MILLENNIUM },
        { "millennia", UNIT_MILLENNIUM }, { "millennium", UNIT_MILLENNIUM }, { "millisecon", UNIT_MILLISECOND }, { "mils", UNIT_MILLENNIUM },
        { "min", UNIT_MINUTE }, { "mins", UNIT_MINUTE }, { "minute", UNIT_MINUTE }, { "minutes", UNIT_MINUTE }, { "mon", UNIT_MONTH },
        { "mons", UNIT_MONTH }, { "month", UNIT_MONTH }, { "months", UNIT_MONTH }, { "ms", UNIT_MILLISECOND }, { "msec", UNIT_MILLISECOND },
        { "msecs", UNIT_MILLISECOND }, { "mseconds", UNIT_MILLISECOND }, { "s", UNIT_SECOND }, { "sec", UNIT_SECOND },
        { "second", UNIT_SECOND }, { "seconds", UNIT_SECOND }, { "secs", UNIT_SECOND }, { "us", UNIT_MICROSECOND },
        { "usec", UNIT_MICROSECOND }, { "usecond", UNIT_MICROSECOND }, { "useconds", UNIT_MICROSECOND }, { "usecs", UNIT_MICROSECOND },
        { "w", UNIT_WEEK }, { "week", UNIT_WEEK }, { "weeks", UNIT_WEEK }, { "y", UNIT_YEAR }, { "year", UNIT_YEAR },
        { "years", UNIT_YEAR }, { "yr", UNIT_YEAR }, { "yrs", UNIT_YEAR },
    };
    for (size_t i = 0; i < COUNT_OF(units); i++)
        if (strncmp(units[i].name, word, UNIT_LETTERS) == 0)
            return units[i].unit;
    return UNIT_NONE;
}

/* What a number without a unit counts: the last field of the type. */
static enum unit unit_of_fields(int fields)
{
    if (fields == INTERVAL_ALL || fields & INTERVAL_SECOND)
        return UNIT_SECOND;
    return fields & INTERVAL_MINUTE ? UNIT_MINUTE : fields & INTERVAL_HOUR ? UNIT_HOUR : fields & INTERVAL_DAY ? UNIT_DAY :
           fields & INTERVAL_MONTH ? UNIT_MONTH : UNIT_YEAR;
}

/* Digits, possibly with a sign in front; false when they are more than 64 bits hold. */
static bool read_whole(const char **at, int64_t *value)
{
    bool negative = **at == '-';
    *at += **at == '-' || **at == '+';
    for (*value = 0; isdigit((unsigned char)**at); ++*at)
        if (__builtin_mul_overflow(*value, (int64_t)10, value) ||
            __builtin_add_overflow(*value, (int64_t)(negative ? '0' - **at : **at - '0'), value))
            return false;
    return true;
}

/* ".25", at the point. */
static void read_fraction(const char **at, double *fraction)
{
    char digits[TOKEN_BYTES] = "0.";
    size_t used = 2;
    for (++*at; isdigit((unsigned char)**at) && used + 1 < sizeof digits; ++*at)
        digits[used++] = **at;
    digits[used] = '\0';
    *fraction = type__strtod((struct bytes){ (const uint8_t *)digits, used });
}

/* "04:05", "04:05:06.7", "05:06.7" (minutes and seconds), with a sign. */
static enum verdict read_clock(struct reading *r, const char *at)
{
    bool negative = *at == '-';
    int64_t parts[3] = { 0, 0, 0 };
    double fraction = 0;
    int n = 0;

    at += *at == '-' || *at == '+';
    for (;; at++) {
        if (n == 3 || !isdigit((unsigned char)*at) || !read_whole(&at, &parts[n]))
            return n == 3 || !isdigit((unsigned char)*at) ? BAD_SYNTAX : TOO_LARGE;
        n++;
        if (*at != ':')
            break;
    }
    if (*at == '.')
        read_fraction(&at, &fraction);
    if (*at != '\0' || n < 2)
        return BAD_SYNTAX;
    if (n == 2 && (fraction != 0 || strchr(at - 1, '.') || r->fields == (INTERVAL_MINUTE | INTERVAL_SECOND))) {
        parts[2] = parts[1];
        parts[1] = parts[0];
        parts[0] = 0;
    }
    if (parts[1] > 59 || parts[2] > 60 || parts[0] > INT64_MAX / TIMESTAMP_SECOND)
        return TOO_LARGE;
    unsigned bits = 1u << UNIT_HOUR | 1u << UNIT_MINUTE | 1u << UNIT_SECOND;
    if (r->seen & bits)
        return BAD_SYNTAX;
    int64_t seconds = (parts[0] * 60 + parts[1]) * 60 + parts[2], sign = negative ? -1 : 1;
    r->seen |= bits;
    return add_micros(r, sign * seconds, (double)sign * fraction, TIMESTAMP_SECOND);
}

/* "5", "-5.5", "1-2" (years and months). */
static enum verdict read_amount(struct reading *r, const char *text, enum unit unit)
{
    const char *at = text;
    bool negative = *text == '-';
    int64_t whole, months;
    double fraction = 0;

    if (!read_whole(&at, &whole))
        return TOO_LARGE;
    if (*at == '-') {
        at++;
        if (!isdigit((unsigned char)*at))
            return BAD_SYNTAX;
        if (!read_whole(&at, &months) || months >= 12)
            return TOO_LARGE;
        if (*at != '\0')
            return BAD_SYNTAX;
        if (__builtin_mul_overflow(whole, (int64_t)12, &whole) || __builtin_add_overflow(whole, negative ? -months : months, &whole))
            return TOO_LARGE;
        return add_unit(r, UNIT_MONTH, whole, 0);
    }
    if (*at == '.') {
        read_fraction(&at, &fraction);
        if (negative)
            fraction = -fraction;
    }
    return *at == '\0' ? add_unit(r, unit, whole, fraction) : BAD_SYNTAX;
}

/* In the SQL style a sign in front of everything is that of all fields, where no other has one. */
static void spread_sign(struct reading *r)
{
    if (r->count == 0 || r->tokens[0].kind != TOKEN_SIGNED || r->tokens[0].text[0] != '-')
        return;
    for (int i = 1; i < r->count; i++)
        if (r->tokens[i].kind == TOKEN_SIGNED)
            return;
    for (int i = 1; i < r->count; i++) {
        struct token *token = &r->tokens[i];
        size_t len = strlen(token->text);
        if (token->kind == TOKEN_WORD || len + 2 > TOKEN_BYTES)
            continue;
        memmove(token->text + 1, token->text, len + 1);
        token->text[0] = '-';
        token->kind = TOKEN_SIGNED;
    }
}

static enum verdict read_tokens(struct reading *r)
{
    enum unit unit = UNIT_NONE;
    bool ago = false;

    for (int i = r->count - 1; i >= 0; i--) {
        const struct token *token = &r->tokens[i];
        enum verdict verdict = FINE;
        if (token->kind == TOKEN_WORD) {
            unit = unit_of_word(token->text);
            if (unit == UNIT_NONE)
                return BAD_SYNTAX;
            if (unit == UNIT_AGO) {
                ago = true;
                unit = UNIT_NONE;
            }
            continue;
        }
        if (token->kind == TOKEN_CLOCK || (token->kind == TOKEN_SIGNED && strchr(token->text, ':'))) {
            verdict = read_clock(r, token->text);
            unit = UNIT_DAY;
        } else {
            if (unit == UNIT_NONE)
                unit = unit_of_fields(r->fields);
            verdict = token->text[0] && strpbrk(token->text, "0123456789") ? read_amount(r, token->text, unit) : BAD_SYNTAX;
            if (unit == UNIT_HOUR)
                unit = UNIT_DAY;
        }
        if (verdict != FINE)
            return verdict;
    }
    if (!r->seen)
        return BAD_SYNTAX;
    if (ago && (__builtin_sub_overflow((int64_t)0, r->sum.micros, &r->sum.micros) || __builtin_sub_overflow(0, r->sum.days, &r->sum.days) ||
                __builtin_sub_overflow(0, r->sum.months, &r->sum.months)))
        return TOO_LARGE;
    return FINE;
}

/* ---- ISO 8601 ------------------------------------------------------------------------------------- */

static enum verdict read_iso_number(const char **at, int64_t *whole, double *fraction)
{
    const char *begin = *at + (**at == '-' || **at == '+');
    bool negative = **at == '-';

    *fraction = 0;
    if (!isdigit((unsigned char)*begin) && *begin != '.')
        return BAD_SYNTAX;
    if (!read_whole(at, whole))
        return TOO_LARGE;
    if (**at == '.') {
        read_fraction(at, fraction);
        *fraction = negative ? -*fraction : *fraction;
    }
    return FINE;
}

/* "0001-02-03" or "04:05:06": the separator was found behind the first number. */
static enum verdict read_iso_row(struct reading *r, const char **at, char separator, const enum unit *units, int64_t whole, double fraction)
{
    for (int i = 0;; i++) {
        enum verdict verdict = add_unit(r, units[i], whole, fraction);
        if (verdict != FINE || i == 2 || **at != separator)
            return verdict;
        ++*at;
        if ((verdict = read_iso_number(at, &whole, &fraction)) != FINE)
            return verdict;
    }
}

static enum unit iso_unit(char letter, bool time)
{
    switch (letter) {
    case 'y': return time ? UNIT_NONE : UNIT_YEAR;
    case 'm': return time ? UNIT_MINUTE : UNIT_MONTH;
    case 'w': return time ? UNIT_NONE : UNIT_WEEK;
    case 'd': return time ? UNIT_NONE : UNIT_DAY;
    case 'h': return time ? UNIT_HOUR : UNIT_NONE;
    case 's': return time ? UNIT_SECOND : UNIT_NONE;
    default: return UNIT_NONE;
    }
}

static enum verdict read_iso(struct reading *r, const char *at)
{
    static const enum unit dates[] = { UNIT_YEAR, UNIT_MONTH, UNIT_DAY }, times[] = { UNIT_HOUR, UNIT_MINUTE, UNIT_SECOND };
    bool time = false;

    if (*at++ != 'P' || *at == '\0')
        return BAD_SYNTAX;
    while (*at) {
        int64_t whole;
        double fraction;
        if (*at == 'T' || *at == 't') {
            if (time)
                return BAD_SYNTAX;
            time = true;
            at++;
            continue;
        }
        enum verdict verdict = read_iso_number(&at, &whole, &fraction);
        if (verdict != FINE)
            return verdict;
        if (*at == (time ? ':' : '-'))
            verdict = read_iso_row(r, &at, *at, time ? times : dates, whole, fraction);
        else if (*at == '\0')
            return BAD_SYNTAX;
        else
            verdict = add_unit(r, iso_unit((char)tolower((unsigned char)*at++), time), whole, fraction);
        if (verdict != FINE)
            return verdict;
    }
    return r->seen || time ? FINE : BAD_SYNTAX;
}

/* ---- the door ------------------------------------------------------------------------------------- */

int interval_parse(struct op *op, struct bytes bytes, int32_t modifier, struct interval *interval)
{
    struct arena_mark mark = arena_mark(&op->arena);
    char *text = op_alloc(op, bytes.len + 1);
    struct reading *r = op_calloc(op, sizeof *r);

    if (!text || !r)
        return OP_FAILED;
    memcpy(text, bytes.data, bytes.len);
    text[bytes.len] = '\0';
    r->fields = interval_modifier_fields(modifier);
    enum verdict verdict = cut(r, text);
    if (verdict == FINE && time_style_of(op)->interval == INTERVAL_STYLE_SQL)
        spread_sign(r);
    if (verdict == FINE)
        verdict = read_tokens(r);
    if (verdict == BAD_SYNTAX) {
        const char *begin = text + strspn(text, " \t\n\r\f\v");
        memset(r, 0, sizeof *r);
        verdict = read_iso(r, begin);
    }
    if (verdict == BAD_SYNTAX)
        return op_fail(op, "22007", "invalid input syntax for type interval: \"%s\"", text);
    if (verdict == TOO_LARGE)
        return op_fail(op, "22015", "interval field value out of range: \"%s\"", text);
    *interval = r->sum;
    arena_release(&op->arena, mark);
    return interval_fit(op, interval, modifier);
}
