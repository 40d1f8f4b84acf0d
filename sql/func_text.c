/*
 * func_text.c -- functions of text.
 *
 * Positions and lengths count characters, and text is UTF-8: offsets are found by stepping over continuation bytes.
 * Letters change case in ASCII only, as everywhere in collation "C".
 */
#include <ctype.h>
#include <limits.h>
#include <string.h>

#include "sql/func_int.h"

static struct bytes part(struct bytes text, size_t from, size_t to)
{
    return (struct bytes){ text.data + from, to - from };
}

FUNC_ROW(func__text_length)
{
    out->i = type__characters(args[0].s);
    return 0;
}

FUNC_ROW(func__text_octets)
{
    out->i = (int64_t)args[0].s.len;
    return 0;
}

/* ---- case ----------------------------------------------------------------------------------------- */

static inline uint8_t lower(uint8_t c) { return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c; }
static inline uint8_t upper(uint8_t c) { return c >= 'a' && c <= 'z' ? (uint8_t)(c - 32) : c; }

FUNC_ROW(func__text_lower)
{
    uint8_t *to = func__room(call->env, args[0].s.len);
    if (!to)
        return OP_FAILED;
    for (size_t i = 0; i < args[0].s.len; i++)
        to[i] = lower(args[0].s.data[i]);
    out->s = (struct bytes){ to, args[0].s.len };
    return 0;
}

FUNC_ROW(func__text_upper)
{
    uint8_t *to = func__room(call->env, args[0].s.len);
    if (!to)
        return OP_FAILED;
    for (size_t i = 0; i < args[0].s.len; i++)
        to[i] = upper(args[0].s.data[i]);
    out->s = (struct bytes){ to, args[0].s.len };
    return 0;
}

FUNC_ROW(func__text_initcap)
{
    uint8_t *to = func__room(call->env, args[0].s.len);
    bool inside = false;
    if (!to)
        return OP_FAILED;
    for (size_t i = 0; i < args[0].s.len; i++) {
        uint8_t c = args[0].s.data[i];
        to[i] = inside ? lower(c) : upper(c);
        inside = (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9');
    }
    out->s = (struct bytes){ to, args[0].s.len };
    return 0;
}

/* ---- joining -------------------------------------------------------------------------------------- */

/* Appends all pieces; lengths are known, so there is one allocation. */
static int join(const struct func_call *call, const struct bytes *pieces, int count, struct bytes separator,
                struct bytes *out)
{
    size_t len = 0;
    for (int i = 0; i < count; i++)
        len += pieces[i].len + (i ? separator.len : 0);
    uint8_t *at = func__room(call->env, len);
    if (!at)
        return OP_FAILED;
    *out = (struct bytes){ at, len };
    for (int i = 0; i < count; i++) {
        if (i && separator.len)
            at = (uint8_t *)memcpy(at, separator.data, separator.len) + separator.len;
        if (pieces[i].len)
            at = (uint8_t *)memcpy(at, pieces[i].data, pieces[i].len) + pieces[i].len;
    }
    return 0;
}

FUNC_ROW(func__text_concatenate)
{
    struct bytes pieces[2];
    for (int i = 0; i < 2; i++)
        if (func__as_text(call->env, call->arg_types[i], &args[i], &pieces[i]) != 0)
            return OP_FAILED;
    return join(call, pieces, 2, (struct bytes){ NULL, 0 }, &out->s);
}

/* Arguments from `first` on, nulls left out, as their types' output functions print them. */
static int join_arguments(const struct func_call *call, const struct datum *args, int first, struct bytes separator,
                          struct datum *out)
{
    struct bytes *pieces = op_arena_alloc(call->env->op, call->env->arena,
                                          sizeof *pieces * (size_t)(call->arg_count + 1));
    int count = 0;
    if (!pieces)
        return OP_FAILED;
    for (int i = first; i < call->arg_count; i++)
        if (!args[i].null &&
            type_print(call->env->op, call->arg_types[i], &args[i], call->env->arena, &pieces[count++]) != 0)
            return OP_FAILED;
    return join(call, pieces, count, separator, &out->s);
}

FUNC_ROW(func__text_concat) { return join_arguments(call, args, 0, (struct bytes){ NULL, 0 }, out); }

FUNC_ROW(func__text_concat_separated)
{
    if (args[0].null) {
        out->null = true;
        return 0;
    }
    return join_arguments(call, args, 1, args[0].s, out);
}

FUNC_ROW(func__text_repeat)
{
    struct bytes text = args[0].s;
    size_t times = args[1].i > 0 ? (size_t)args[1].i : 0, len;
    if (__builtin_mul_overflow(text.len, times, &len))
        len = SIZE_MAX;
    uint8_t *at = func__room(call->env, len);
    if (!at)
        return OP_FAILED;
    out->s = (struct bytes){ at, len };
    for (size_t i = 0; len && i < times; i++, at += text.len)
        memcpy(at, text.data, text.len);
    return 0;
}

/* ---- parts ---------------------------------------------------------------------------------------- */

FUNC_ROW(func__text_substring)
{
    int64_t from = args[1].i, to = INT64_MAX;
    if (call->arg_count > 2) {
        if (args[2].i < 0)
            return op_fail(call->env->op, "22011", "negative substring length not allowed");
        to = from + args[2].i;
    }
    if (from < 1)
        from = 1;
    struct bytes text = args[0].s;
    size_t start = type__character_offset(text, from - 1);
    struct bytes rest = part(text, start, text.len);
    size_t len = to <= from ? 0 : to == INT64_MAX ? rest.len : type__character_offset(rest, to - from);
    out->s = part(rest, 0, len);
    return 0;
}

/* n characters from the left; negative: all but the last -n. */
static size_t split_at(struct bytes text, int64_t n)
{
    if (n >= 0)
        return type__character_offset(text, n);
    int64_t all = type__characters(text);
    return type__character_offset(text, all + n > 0 ? all + n : 0);
}

FUNC_ROW(func__text_left)
{
    out->s = part(args[0].s, 0, split_at(args[0].s, args[1].i));
    return 0;
}

FUNC_ROW(func__text_right)
{
    /* The last n characters are what follows all but the last n; a negative n counts from the left. */
    int64_t n = args[1].i;
    size_t at = n == 0 ? args[0].s.len : split_at(args[0].s, -n);
    out->s = part(args[0].s, at, args[0].s.len);
    return 0;
}

static size_t character_length(struct bytes text, size_t at)
{
    size_t i = at + 1;
    while (i < text.len && (text.data[i] & 0xc0) == 0x80)
        i++;
    return i - at;
}

/* Whether the character at `at` of the text occurs in the set. */
static bool in_set(struct bytes set, struct bytes character)
{
    for (size_t i = 0; i < set.len;) {
        size_t len = character_length(set, i);
        if (len == character.len && memcmp(set.data + i, character.data, len) == 0)
            return true;
        i += len;
    }
    return false;
}

static int trim(const struct func_call *call, const struct datum *args, bool left, bool right, struct datum *out)
{
    struct bytes text = args[0].s, set = { (const uint8_t *)" ", 1 };
    size_t from = 0, to = text.len;
    if (call->arg_count > 1)
        set = args[1].s;
    while (left && from < to) {
        size_t len = character_length(text, from);
        if (!in_set(set, part(text, from, from + len)))
            break;
        from += len;
    }
    while (right && to > from) {
        size_t last = to - 1;
        while (last > from && (text.data[last] & 0xc0) == 0x80)
            last--;
        if (!in_set(set, part(text, last, to)))
            break;
        to = last;
    }
    out->s = part(text, from, to);
    return 0;
}

FUNC_ROW(func__text_trim_both) { return trim(call, args, true, true, out); }
FUNC_ROW(func__text_trim_left) { return trim(call, args, true, false, out); }
FUNC_ROW(func__text_trim_right) { return trim(call, args, false, true, out); }

/* Offset of `what` in the text at or after `from`; SIZE_MAX when it does not occur. */
static size_t find(struct bytes text, struct bytes what, size_t from)
{
    if (what.len == 0 || text.len < what.len || from > text.len - what.len)
        return SIZE_MAX;
    const uint8_t *at = memmem(text.data + from, text.len - from, what.data, what.len);
    return at ? (size_t)(at - text.data) : SIZE_MAX;
}

FUNC_ROW(func__text_position)
{
    size_t at = args[1].s.len ? find(args[0].s, args[1].s, 0) : 0;
    out->i = at == SIZE_MAX ? 0 : type__characters(part(args[0].s, 0, at)) + 1;
    return 0;
}

FUNC_ROW(func__text_starts_with)
{
    struct bytes text = args[0].s, prefix = args[1].s;
    out->b = text.len >= prefix.len && (prefix.len == 0 || memcmp(text.data, prefix.data, prefix.len) == 0);
    return 0;
}

FUNC_ROW(func__text_replace)
{
    struct bytes text = args[0].s, from = args[1].s, to = args[2].s;
    size_t hits = 0, at;
    for (at = find(text, from, 0); at != SIZE_MAX; at = find(text, from, at + from.len))
        hits++;
    out->s = text;
    if (hits == 0)
        return 0;
    size_t len = text.len - hits * from.len + hits * to.len, done = 0;
    uint8_t *put = func__room(call->env, len);
    if (!put)
        return OP_FAILED;
    out->s = (struct bytes){ put, len };
    for (at = find(text, from, 0); at != SIZE_MAX; at = find(text, from, done)) {
        memcpy(put, text.data + done, at - done);
        put += at - done;
        if (to.len)
            memcpy(put, to.data, to.len);
        put += to.len;
        done = at + from.len;
    }
    memcpy(put, text.data + done, text.len - done);
    return 0;
}

FUNC_ROW(func__text_split_part)
{
    struct bytes text = args[0].s, separator = args[1].s;
    int64_t wanted = args[2].i, fields = 1;
    if (wanted == 0)
        return op_fail(call->env->op, "22023", "field position must not be zero");
    for (size_t at = find(text, separator, 0); at != SIZE_MAX; at = find(text, separator, at + separator.len))
        fields++;
    if (wanted < 0)
        wanted += fields + 1;
    out->s = part(text, 0, 0);
    if (wanted < 1 || wanted > fields || text.len == 0)
        return 0;
    size_t start = 0;
    for (int64_t i = 1; i < wanted; i++)
        start = find(text, separator, start) + separator.len;
    size_t end = find(text, separator, start);
    out->s = part(text, start, end == SIZE_MAX ? text.len : end);
    return 0;
}

/* ---- padding -------------------------------------------------------------------------------------- */

static int pad(const struct func_call *call, const struct datum *args, bool left, struct datum *out)
{
    struct bytes text = args[0].s, fill = { (const uint8_t *)" ", 1 };
    int64_t wanted = args[1].i > 0 ? args[1].i : 0, have = type__characters(text);
    if (call->arg_count > 2)
        fill = args[2].s;
    if (have >= wanted || fill.len == 0) {
        out->s = part(text, 0, type__character_offset(text, wanted));
        return 0;
    }
    int64_t missing = wanted - have, each = type__characters(fill);
    size_t rest = type__character_offset(fill, missing % each), padding;
    if (__builtin_mul_overflow((size_t)(missing / each), fill.len, &padding))
        padding = SIZE_MAX / 2;
    padding += rest;
    uint8_t *start = func__room(call->env, padding + text.len);
    if (!start)
        return OP_FAILED;
    uint8_t *at = left ? start : start + text.len;
    if (text.len)
        memcpy(left ? start + padding : start, text.data, text.len);
    for (int64_t i = 0; i < missing / each; i++, at += fill.len)
        memcpy(at, fill.data, fill.len);
    memcpy(at, fill.data, rest);
    out->s = (struct bytes){ start, padding + text.len };
    return 0;
}

FUNC_ROW(func__text_pad_left) { return pad(call, args, true, out); }
FUNC_ROW(func__text_pad_right) { return pad(call, args, false, out); }

/* ---- characters ----------------------------------------------------------------------------------- */

FUNC_ROW(func__text_reverse)
{
    struct bytes text = args[0].s;
    uint8_t *to = func__room(call->env, text.len);
    if (!to)
        return OP_FAILED;
    uint8_t *end = to + text.len;
    for (size_t i = 0; i < text.len;) {
        size_t len = character_length(text, i);
        end -= len;
        memcpy(end, text.data + i, len);
        i += len;
    }
    out->s = (struct bytes){ to, text.len };
    return 0;
}

FUNC_ROW(func__text_translate)
{
    struct bytes text = args[0].s, from = args[1].s, to = args[2].s;
    /* A character grows to at most four bytes. */
    uint8_t *start = func__room(call->env, text.len * 4), *put = start;
    if (!start)
        return OP_FAILED;
    for (size_t i = 0, len; i < text.len; i += len) {
        len = character_length(text, i);
        size_t at = 0, index = 0;
        while (at < from.len) {
            size_t n = character_length(from, at);
            if (n == len && memcmp(from.data + at, text.data + i, n) == 0)
                break;
            at += n;
            index++;
        }
        struct bytes instead = part(text, i, i + len);
        if (at < from.len) {
            size_t offset = type__character_offset(to, (int64_t)index);
            instead = offset < to.len ? part(to, offset, offset + character_length(to, offset)) : part(to, 0, 0);
        }
        if (instead.len)
            put = (uint8_t *)memcpy(put, instead.data, instead.len) + instead.len;
    }
    out->s = (struct bytes){ start, (size_t)(put - start) };
    return 0;
}

FUNC_ROW(func__text_ascii)
{
    struct bytes text = args[0].s;
    out->i = 0;
    if (text.len == 0)
        return 0;
    uint8_t first = text.data[0];
    size_t len = character_length(text, 0);
    out->i = first < 0x80 ? first : first < 0xe0 ? first & 0x1f : first < 0xf0 ? first & 0x0f : first & 0x07;
    for (size_t i = 1; i < len; i++)
        out->i = out->i << 6 | (text.data[i] & 0x3f);
    return 0;
}

FUNC_ROW(func__text_chr)
{
    int64_t c = args[0].i;
    if (c < 0)
        return op_fail(call->env->op, "22023", "character number must be positive");
    if (c == 0)
        return op_fail(call->env->op, "54000", "null character not permitted");
    if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return op_fail(call->env->op, "54000", c > 0x10ffff ? "requested character too large for encoding: %lld"
                       : "requested character not valid for encoding: %lld", (long long)c);
    uint8_t *to = func__room(call->env, 4);
    if (!to)
        return OP_FAILED;
    size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t leads[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    for (size_t i = len - 1; i > 0; i--, c >>= 6)
        to[i] = (uint8_t)(0x80 | (c & 0x3f));
    to[0] = (uint8_t)(leads[len] | c);
    out->s = (struct bytes){ to, len };
    return 0;
}

FUNC_ROW(func__text_to_hex)
{
    uint64_t value = call->func->args[0] == TYPE_INT4 ? (uint32_t)args[0].i : (uint64_t)args[0].i;
    uint8_t *to = func__room(call->env, 16);
    size_t at = 16;
    if (!to)
        return OP_FAILED;
    do {
        to[--at] = (uint8_t)"0123456789abcdef"[value & 15];
        value >>= 4;
    } while (value);
    out->s = (struct bytes){ to + at, 16 - at };
    return 0;
}
