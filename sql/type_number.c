/*
 * type_number.c -- machine numbers as text.
 *
 * A double is printed with the fewest digits that read back as the same double.  Fifteen digits always survive the
 * way decimal -> double -> decimal, so if the value rounded to fifteen reads back, its digits without zeros at the
 * end are the shortest; else sixteen are tried, and seventeen always suffice.  Denormals have fewer bits, and are
 * tried from one digit up.
 *
 * The host program may have set a locale with a decimal comma: what printf writes is taken apart and put together again
 * with a point, and reading goes through the "C" locale by name.
 */
#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sql/type_int.h"

static locale_t c_locale;

static void make_c_locale(void) { c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); }

static double read_double(const char *text, char **end)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_c_locale);
    return c_locale ? strtod_l(text, end, c_locale) : strtod(text, end);
}

static float read_float(const char *text, char **end)
{
    (void)read_double("0", NULL);
    return c_locale ? strtof_l(text, end, c_locale) : strtof(text, end);
}

static bool is_space(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static struct bytes trimmed(struct bytes text)
{
    while (text.len && is_space(text.data[0])) {
        text.data++;
        text.len--;
    }
    while (text.len && is_space(text.data[text.len - 1]))
        text.len--;
    return text;
}

static int bad_syntax(struct op *op, Oid oid, struct bytes text)
{
    return op_fail(op, "22P02", "invalid input syntax for type %s: \"%.*s\"", type_info(oid)->name, (int)text.len,
                   (const char *)text.data);
}

/* ---- integers ------------------------------------------------------------------------------------- */

static int out_of_range(struct op *op, Oid oid, struct bytes text)
{
    return op_fail(op, "22003", "value \"%.*s\" is out of range for type %s", (int)text.len, (const char *)text.data,
                   type_info(oid)->name);
}

int type__parse_int(struct op *op, struct bytes text, Oid oid, int64_t *value)
{
    struct bytes digits = trimmed(text);
    bool negative = false, too_large = false;
    int64_t sum = 0;

    *value = 0;
    if (digits.len && (digits.data[0] == '-' || digits.data[0] == '+')) {
        negative = digits.data[0] == '-';
        digits.data++;
        digits.len--;
    }
    if (digits.len == 0)
        return bad_syntax(op, oid, text);
    for (size_t i = 0; i < digits.len; i++) {
        if (!isdigit(digits.data[i]))
            return bad_syntax(op, oid, text);
        int digit = digits.data[i] - '0';
        /* Downwards, because there is one more negative number. */
        if (!too_large && (__builtin_mul_overflow(sum, 10, &sum) || __builtin_sub_overflow(sum, digit, &sum)))
            too_large = true;
    }
    if (too_large || (!negative && sum == INT64_MIN))
        return out_of_range(op, oid, text);
    sum = negative ? sum : -sum;
    if (oid == TYPE_OID ? sum < INT32_MIN || sum > UINT32_MAX : !type__int_fits(sum, type__int_size(oid)))
        return out_of_range(op, oid, text);
    *value = oid == TYPE_OID ? (int64_t)(uint32_t)sum : sum;
    return 0;
}

size_t type__print_int(int64_t value, char *text)
{
    char reversed[24];
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    size_t n = 0, len = 0;
    do {
        reversed[n++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (value < 0)
        text[len++] = '-';
    while (n > 0)
        text[len++] = reversed[--n];
    return len;
}

/* ---- floating point: in --------------------------------------------------------------------------- */

static int double_out_of_range(struct op *op, Oid oid, struct bytes text)
{
    return op_fail(op, "22003", "\"%.*s\" is out of range for type %s", (int)text.len, (const char *)text.data,
                   type_info(oid)->name);
}

/* strtod reads more words than SQL has for what is not finite. */
static bool looks_like_number(struct bytes text)
{
    size_t i = text.len && (text.data[0] == '-' || text.data[0] == '+');
    size_t left = text.len - i;
    const char *word = (const char *)text.data + i;
    if (left == 0)
        return false;
    if (isdigit(text.data[i]) || text.data[i] == '.')
        return true;
    return (left == 3 && (strncasecmp(word, "nan", 3) == 0 || strncasecmp(word, "inf", 3) == 0)) ||
           (left == 8 && strncasecmp(word, "infinity", 8) == 0);
}

int type__parse_double(struct op *op, struct bytes text, Oid oid, double *value)
{
    struct bytes digits = trimmed(text);
    char fixed[64], *copy = fixed, *end;

    *value = 0;
    if (!looks_like_number(digits))
        return bad_syntax(op, oid, text);
    if (digits.len >= sizeof fixed && !(copy = op_alloc(op, digits.len + 1)))
        return OP_FAILED;
    memcpy(copy, digits.data, digits.len);
    copy[digits.len] = '\0';
    errno = 0;
    *value = oid == TYPE_FLOAT4 ? (double)read_float(copy, &end) : read_double(copy, &end);
    if (*end != '\0' || end == copy)
        return bad_syntax(op, oid, text);
    if (errno == ERANGE && (*value == 0 || isinf(*value)))
        return double_out_of_range(op, oid, digits);
    return 0;
}

double type__strtod(struct bytes text)
{
    char fixed[512];
    size_t len = text.len < sizeof fixed - 1 ? text.len : sizeof fixed - 1;
    memcpy(fixed, text.data, len);
    fixed[len] = '\0';
    if (text.len > len) {
        /* More digits before the point than a double can have make infinity; behind it they do not matter. */
        const uint8_t *point = memchr(text.data, '.', text.len);
        if (!point || (size_t)(point - text.data) >= len)
            return text.data[0] == '-' ? -(double)INFINITY : (double)INFINITY;
    }
    return read_double(fixed, NULL);
}

/* ---- floating point: out -------------------------------------------------------------------------- */

/* A finite value as digits d.ddd * 10^exponent, `count` of them. */
struct decimal_digits {
    bool negative;
    char digits[24];
    int count, exponent;
};

static void round_to_digits(double value, int count, struct decimal_digits *out)
{
    char text[48];
    snprintf(text, sizeof text, "%.*e", count - 1, value);
    const char *at = text;
    out->negative = *at == '-';
    at += out->negative;
    out->count = 0;
    for (; *at != 'e'; at++)
        if (isdigit((unsigned char)*at))
            out->digits[out->count++] = *at;
    out->exponent = atoi(at + 1);
}

static size_t write_exponential(const struct decimal_digits *d, char *text)
{
    char *at = text;
    if (d->negative)
        *at++ = '-';
    *at++ = d->digits[0];
    if (d->count > 1) {
        *at++ = '.';
        memcpy(at, d->digits + 1, (size_t)d->count - 1);
        at += d->count - 1;
    }
    at += sprintf(at, "e%c%02d", d->exponent < 0 ? '-' : '+', abs(d->exponent));
    return (size_t)(at - text);
}

static size_t write_plain(const struct decimal_digits *d, char *text)
{
    char *at = text;
    if (d->negative)
        *at++ = '-';
    for (int i = 0; i <= d->exponent; i++)
        *at++ = i < d->count ? d->digits[i] : '0';
    if (d->exponent < 0)
        *at++ = '0';
    if (d->exponent < d->count - 1) {
        *at++ = '.';
        for (int i = -1; i > d->exponent; i--)
            *at++ = '0';
        for (int i = d->exponent < 0 ? 0 : d->exponent + 1; i < d->count; i++)
            *at++ = d->digits[i];
    }
    return (size_t)(at - text);
}

static bool reads_back(const struct decimal_digits *d, double value, bool float4)
{
    char text[48];
    text[write_exponential(d, text)] = '\0';
    return float4 ? read_float(text, NULL) == (float)value : read_double(text, NULL) == value;
}

/* Whether the digits stand for the exact middle between the value and a neighbour: such a text reads back only by
 * the rule for ties, and is not taken.  (A middle has one bit more than a double, so long double holds it.) */
static bool is_tie(const struct decimal_digits *d, double value, bool float4)
{
    char text[48], exact[64];
    size_t len = write_exponential(d, text);
    text[len] = '\0';
    long double parsed = c_locale ? strtold_l(text, NULL, c_locale) : strtold(text, NULL);
    if (parsed == (long double)value)
        return false;
    double towards = parsed > (long double)value ? (double)INFINITY : -(double)INFINITY;
    double neighbour = float4 ? (double)nextafterf((float)value, (float)towards) : nextafter(value, towards);
    if (parsed != ((long double)value + (long double)neighbour) / 2)
        return false;
    /* Was it exactly the middle, or rounded to it? */
    snprintf(exact, sizeof exact, "%.40Le", parsed);
    const char *at = exact + (exact[0] == '-');
    for (int i = 0; *at != 'e'; at++)
        if (isdigit((unsigned char)*at) && *at != (i < d->count ? d->digits[i] : '0'))
            return false;
        else
            i += isdigit((unsigned char)*at) != 0;
    return true;
}

static void shortest(double value, bool float4, struct decimal_digits *d)
{
    bool denormal = fabs(value) < (float4 ? (double)FLT_MIN : DBL_MIN);
    int count = denormal ? 1 : float4 ? FLT_DIG : DBL_DIG, most = float4 ? 9 : 17;
    for (; count <= most; count++) {
        round_to_digits(value, count, d);
        if (count == most || (reads_back(d, value, float4) && !is_tie(d, value, float4)))
            break;
    }
    while (d->count > 1 && d->digits[d->count - 1] == '0')
        d->count--;
}

static size_t copy_word(const char *word, char *text)
{
    size_t len = strlen(word);
    memcpy(text, word, len);
    return len;
}

size_t type__print_double(double value, bool float4, char *text)
{
    int most = float4 ? 6 : 15;     /* exponents from here on are written as such */
    struct decimal_digits d;

    if (isnan(value))
        return copy_word("NaN", text);
    if (isinf(value))
        return copy_word(value > 0 ? "Infinity" : "-Infinity", text);
    if (value == 0)
        return copy_word(signbit(value) ? "-0" : "0", text);
    if (fabs(value) < (float4 ? 1e6 : 1e15) && value == (double)(int64_t)value)
        return type__print_int((int64_t)value, text);
    shortest(value, float4, &d);
    return d.exponent < -4 || d.exponent >= most ? write_exponential(&d, text) : write_plain(&d, text);
}

size_t type__print_double_digits(double value, int digits, char *text)
{
    struct decimal_digits d;
    round_to_digits(value, digits, &d);
    while (d.count > 1 && d.digits[d.count - 1] == '0')
        d.count--;
    return write_exponential(&d, text);
}

/* ---- booleans ------------------------------------------------------------------------------------- */

/* Any beginning of true, false, yes, no; on, of, off; 1, 0. */
int type__parse_bool(struct op *op, struct bytes text, bool *value)
{
    static const struct { const char *word; size_t least; bool value; } words[] = {
        { "true", 1, true }, { "false", 1, false }, { "yes", 1, true }, { "no", 1, false }, { "on", 2, true },
        { "off", 2, false }, { "1", 1, true }, { "0", 1, false },
    };
    struct bytes word = trimmed(text);
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (word.len >= words[i].least && word.len <= strlen(words[i].word) &&
            strncasecmp((const char *)word.data, words[i].word, word.len) == 0) {
            *value = words[i].value;
            return 0;
        }
    return bad_syntax(op, TYPE_BOOL, text);
}
