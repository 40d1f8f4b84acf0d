/*
 * func_like.c -- LIKE: % for any run of characters, _ for any one, a backslash takes the next literally.
 *
 * The text is matched from the left.  A % remembers where it stands; on a mismatch later the last % takes one more
 * character and matching resumes behind it.  Earlier %s need never be tried again: whatever they would give up, the
 * last one can reach as well.  So the time is at most the product of the lengths, without recursion.
 */
#include <string.h>

#include "sql/func_int.h"

static inline uint8_t fold(uint8_t c, bool any_case)
{
    return any_case && c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

static size_t next_character(struct bytes text, size_t at)
{
    for (at++; at < text.len && (text.data[at] & 0xc0) == 0x80; at++)
        continue;
    return at;
}

static int like(struct eval_env *env, struct bytes text, struct bytes pattern, bool any_case, bool *matches)
{
    size_t t = 0, p = 0, star = SIZE_MAX, star_text = 0;
    *matches = false;
    for (;;) {
        if (p < pattern.len && pattern.data[p] == '%') {
            star = ++p;
            star_text = t;
            if (p == pattern.len) {
                *matches = true;
                return 0;
            }
            continue;
        }
        if (t == text.len && p == pattern.len) {
            *matches = true;
            return 0;
        }
        if (t < text.len && p < pattern.len) {
            size_t literal = p;
            if (pattern.data[p] == '_') {
                t = next_character(text, t);
                p++;
                continue;
            }
            if (pattern.data[p] == '\\' && ++literal == pattern.len)
                return op_fail(env->op, "22025", "LIKE pattern must not end with escape character");
            if (fold(text.data[t], any_case) == fold(pattern.data[literal], any_case)) {
                t++;
                p = literal + 1;
                continue;
            }
        }
        if (star == SIZE_MAX || star_text >= text.len)
            return 0;
        star_text = next_character(text, star_text);
        t = star_text;
        p = star;
    }
}

FUNC_ROW(func__like) { return like(call->env, args[0].s, args[1].s, false, &out->b); }
FUNC_ROW(func__like_any_case) { return like(call->env, args[0].s, args[1].s, true, &out->b); }

FUNC_ROW(func__not_like)
{
    bool matches;
    if (like(call->env, args[0].s, args[1].s, false, &matches) != 0)
        return OP_FAILED;
    out->b = !matches;
    return 0;
}

FUNC_ROW(func__not_like_any_case)
{
    bool matches;
    if (like(call->env, args[0].s, args[1].s, true, &matches) != 0)
        return OP_FAILED;
    out->b = !matches;
    return 0;
}

/* A pattern with another escape character (or none) rewritten with the backslash. */
FUNC_ROW(func__like_escape)
{
    struct bytes pattern = args[0].s, escape = args[1].s;
    if (type__characters(escape) > 1) {
        op_fail(call->env->op, "22025", "invalid escape string");
        op_hint(call->env->op, "Escape string must be empty or one character.");
        return OP_FAILED;
    }
    uint8_t *to = func__room(call->env, pattern.len * 2), *put = to;
    if (!to)
        return OP_FAILED;
    bool after_escape = false;
    for (size_t i = 0; i < pattern.len;) {
        size_t end = next_character(pattern, i), len = end - i;
        if (escape.len && len == escape.len && !after_escape && memcmp(pattern.data + i, escape.data, len) == 0) {
            *put++ = '\\';
            after_escape = true;
        } else {
            /* A backslash means itself here, unless it is the escape character or already escaped. */
            if (pattern.data[i] == '\\' && !after_escape)
                *put++ = '\\';
            put = (uint8_t *)memcpy(put, pattern.data + i, len) + len;
            after_escape = false;
        }
        i = end;
    }
    out->s = (struct bytes){ to, (size_t)(put - to) };
    return 0;
}
