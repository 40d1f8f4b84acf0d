/*
 * numeric_text.c -- decimals as text, and to and from binary floating point by way of text.
 *
 * The base being a power of ten, reading is cutting digits into groups of nine around the decimal point, and printing
 * is writing the groups out again.
 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sql/numeric.h"
#include "sql/type_int.h"
#include "src/base/endian.h"

static int bad_syntax(struct op *op, struct bytes text)
{
    return op_fail(op, "22P02", "invalid input syntax for type numeric: \"%.*s\"", (int)text.len,
                   (const char *)text.data);
}

static int overflow(struct op *op) { return op_fail(op, "22003", "value overflows numeric format"); }

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && isspace((unsigned char)*at))
        at++;
    return at;
}

/* NaN and infinities by name; false when it is none of these. */
static bool special_word(const char *at, const char *end, enum numeric_kind *kind)
{
    bool negative = false, sign = false;
    if (at < end && (*at == '-' || *at == '+')) {
        negative = *at++ == '-';
        sign = true;
    }
    size_t len = (size_t)(end - at);
    if (!sign && len == 3 && strncasecmp(at, "nan", 3) == 0)
        *kind = NUMERIC_NAN;
    else if ((len == 3 && strncasecmp(at, "inf", 3) == 0) || (len == 8 && strncasecmp(at, "infinity", 8) == 0))
        *kind = negative ? NUMERIC_MINUS_INFINITY : NUMERIC_INFINITY;
    else
        return false;
    return true;
}

/* What stands in a number's text: digits [first, last) with at most one point among them, and an exponent. */
struct number_text {
    const char *first, *last;
    bool negative;
    int64_t before, behind;     /* digits before and behind the point */
    int64_t exponent;
};

static bool scan_exponent(const char **at, const char *end, int64_t *exponent)
{
    bool negative = false;
    const char *p = *at + 1;
    if (p < end && (*p == '-' || *p == '+'))
        negative = *p++ == '-';
    if (p == end || !isdigit((unsigned char)*p))
        return false;
    for (*exponent = 0; p < end && isdigit((unsigned char)*p); p++)
        if (*exponent < 1000000000)
            *exponent = *exponent * 10 + (*p - '0');
    if (negative)
        *exponent = -*exponent;
    *at = p;
    return true;
}

static bool scan_number(const char *at, const char *end, struct number_text *number)
{
    memset(number, 0, sizeof *number);
    if (at < end && (*at == '-' || *at == '+'))
        number->negative = *at++ == '-';
    number->first = at;
    bool point = false;
    for (; at < end && (isdigit((unsigned char)*at) || (*at == '.' && !point)); at++) {
        if (*at == '.')
            point = true;
        else if (point)
            number->behind++;
        else
            number->before++;
    }
    number->last = at;
    if (number->before + number->behind == 0)
        return false;
    if (at < end && (*at == 'e' || *at == 'E') && !scan_exponent(&at, end, &number->exponent))
        return false;
    return skip_space(at, end) == end;
}

/* Digits into limbs. The first digit counts 10^(before + exponent - 1). */
static int draft_number(struct op *op, const struct number_text *number, struct numeric_draft *draft)
{
    const char *first = number->first;
    int64_t before = number->before + number->exponent, digits = number->before + number->behind;

    /* Zeros in front need no limbs; the point may stand among them. */
    while (digits > 0 && (*first == '0' || *first == '.')) {
        if (*first == '0') {
            before--;
            digits--;
        }
        first++;
    }
    int64_t scale = number->behind - number->exponent;
    draft->negative = number->negative;
    draft->scale = scale > 0 ? (int)scale : 0;
    if (scale > NUMERIC_SCALE_MAX || (digits > 0 && before > NUMERIC_INTEGER_DIGITS_MAX))
        return overflow(op);
    draft->limbs = op_calloc(op, sizeof *draft->limbs * (size_t)(digits / NUMERIC_LIMB_DIGITS + 3));
    if (!draft->limbs)
        return OP_FAILED;
    if (digits == 0)
        return 0;
    int64_t top = before - 1;
    int64_t weight = top >= 0 ? top / NUMERIC_LIMB_DIGITS : -((-top + NUMERIC_LIMB_DIGITS - 1) / NUMERIC_LIMB_DIGITS);
    int place = (int)(top - weight * NUMERIC_LIMB_DIGITS);     /* 8 .. 0 inside the limb */
    uint32_t limb = 0;
    draft->weight = (int)weight;
    for (const char *p = first; p < number->last; p++) {
        if (*p == '.')
            continue;
        limb = limb * 10 + (uint32_t)(*p - '0');
        if (place-- == 0) {
            draft->limbs[draft->count++] = limb;
            limb = 0;
            place = NUMERIC_LIMB_DIGITS - 1;
        }
    }
    if (place < NUMERIC_LIMB_DIGITS - 1) {
        for (; place >= 0; place--)
            limb *= 10;
        draft->limbs[draft->count++] = limb;
    }
    return 0;
}

int numeric_parse(struct op *op, struct arena *arena, struct bytes text, struct bytes *out)
{
    const char *at = (const char *)text.data, *end = at + text.len;
    enum numeric_kind kind;
    struct number_text number;
    struct numeric_draft draft = { 0 };

    at = skip_space(at, end);
    const char *stop = end;
    while (stop > at && isspace((unsigned char)stop[-1]))
        stop--;
    if (special_word(at, stop, &kind))
        return numeric__special(op, arena, kind, out);
    if (!scan_number(at, end, &number))
        return bad_syntax(op, text);
    struct arena_mark mark = arena_mark(&op->arena);
    if (draft_number(op, &number, &draft) != 0 || numeric__finish(op, arena, &draft, out) != 0)
        return OP_FAILED;
    if (arena != &op->arena)
        arena_release(&op->arena, mark);
    return 0;
}

static char *write_limb(char *at, uint32_t limb, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        at[i] = (char)('0' + limb % 10);
        limb /= 10;
    }
    return at + digits;
}

static int print_word(const char *word, struct bytes *text)
{
    *text = (struct bytes){ (const uint8_t *)word, strlen(word) };
    return 0;
}

int numeric_print(struct op *op, struct arena *arena, struct bytes value, struct bytes *text)
{
    struct numeric_view view;
    numeric_view(value, &view);
    switch (view.kind) {
    case NUMERIC_NAN: return print_word("NaN", text);
    case NUMERIC_INFINITY: return print_word("Infinity", text);
    case NUMERIC_MINUS_INFINITY: return print_word("-Infinity", text);
    case NUMERIC_FINITE: break;
    }
    int top = view.weight > 0 ? view.weight : 0;
    size_t room = (size_t)(top + 1) * NUMERIC_LIMB_DIGITS + (size_t)view.scale + NUMERIC_LIMB_DIGITS + 3;
    char *start = arena_alloc(arena, room), *at = start;
    if (!start)
        return op_out_of_memory(op);
    if (view.negative)
        *at++ = '-';
    char *digits = at;
    for (int weight = top; weight >= 0; weight--)
        at = write_limb(at, numeric__limb(&view, weight), NUMERIC_LIMB_DIGITS);
    /* Zeros in front, but for the last digit, go. */
    char *kept = digits;
    while (kept < at - 1 && *kept == '0')
        kept++;
    memmove(digits, kept, (size_t)(at - kept));
    at -= kept - digits;
    if (view.scale > 0) {
        *at++ = '.';
        char *point = at;
        for (int weight = -1; at < point + view.scale; weight--)
            at = write_limb(at, numeric__limb(&view, weight), NUMERIC_LIMB_DIGITS);
        at = point + view.scale;
    }
    *text = (struct bytes){ (const uint8_t *)start, (size_t)(at - start) };
    return 0;
}

int numeric_from_double(struct op *op, struct arena *arena, double value, int digits, struct bytes *out)
{
    char text[64];
    if (isnan(value))
        return numeric__special(op, arena, NUMERIC_NAN, out);
    if (isinf(value))
        return numeric__special(op, arena, value > 0 ? NUMERIC_INFINITY : NUMERIC_MINUS_INFINITY, out);
    size_t len = type__print_double_digits(value, digits, text);
    return numeric_parse(op, arena, (struct bytes){ (const uint8_t *)text, len }, out);
}

double numeric_to_double(struct op *op, struct bytes value)
{
    struct numeric_view view;
    struct bytes text;

    numeric_view(value, &view);
    if (view.kind != NUMERIC_FINITE)
        return view.kind == NUMERIC_NAN ? (double)NAN
               : view.kind == NUMERIC_INFINITY ? (double)INFINITY : -(double)INFINITY;
    /* One limb or two of whole digits: exact without text. */
    if (view.count == 0)
        return 0;
    if (view.count == 1 && view.weight == 0)
        return (view.negative ? -1.0 : 1.0) * get_u32(view.limbs);
    struct arena_mark mark = arena_mark(&op->arena);
    if (numeric_print(op, &op->arena, value, &text) != 0)
        return 0;
    double d = type__strtod(text);
    arena_release(&op->arena, mark);
    return d;
}
