/*
 * resolve.c -- which function or operator does a call mean?
 *
 * There are many functions called abs and many operators called +.  Given the types of the arguments, some of them unknown (literals in
 * quotes, parameters), PostgreSQL chooses in steps, and each step only narrows what the one before has left:
 *
 *   1. exactly these types; for an operator with one unknown side: as if it had the other side's type;
 *   2. what the arguments can be turned to implicitly;
 *   3. most exact matches of known types;
 *   4. most exact or preferred ones (double precision among numbers, text among strings);
 *   5. for each unknown argument: strings if any candidate takes one there, else the one category that all agree on;
 *      and where a preferred type is taken, only that;
 *   6. if all known arguments have one type: the unknown ones have it, too.
 *
 * More than one left is an error, none as well.
 */
#include <string.h>

#include "sql/bind_int.h"

enum { CANDIDATES_MAX = 64, ARGS_MAX = 100 };

static Oid wanted(const struct candidate *candidate, int arg)
{
    return candidate->args[arg < candidate->declared ? arg : candidate->declared - 1];
}

static char category(Oid oid)
{
    const struct type_info *info = type_info(oid);

    return info ? info->category : 'X';
}

static bool preferred(Oid oid)
{
    const struct type_info *info = type_info(oid);

    return info && info->preferred;
}

static bool fits(const struct candidate *candidate, const Oid *types, int arg_count)
{
    for (int i = 0; i < arg_count; i++)
        if (!bind__can_coerce(types[i], wanted(candidate, i), CAST_IMPLICIT))
            return false;
    return true;
}

/* Keeps those with the most matches: exact ones, or also preferred ones of the argument's own category. */
static int keep_best(const struct candidate *candidates, int *left, int count, const Oid *types, int arg_count, bool also_preferred)
{
    int best = 0, kept = 0;

    for (int i = 0; i < count; i++) {
        int matches = 0;
        for (int j = 0; j < arg_count; j++) {
            Oid want = wanted(&candidates[left[i]], j);
            if (types[j] != TYPE_UNKNOWN
                && (want == types[j] || (also_preferred && category(want) == category(types[j]) && preferred(want))))
                matches++;
        }
        if (matches > best || kept == 0) {
            best = matches;
            kept = 0;
        }
        if (matches == best)
            left[kept++] = left[i];
    }
    return kept;
}

/* Step 5 for one argument: the category that it should have, 0 when there is no agreement. */
static char agreed_category(const struct candidate *candidates, const int *left, int count, int arg, bool *has_preferred)
{
    char agreed = 0;
    bool conflict = false;

    *has_preferred = false;
    for (int i = 0; i < count; i++) {
        Oid want = wanted(&candidates[left[i]], arg);
        char c = category(want);
        if (!agreed) {
            agreed = c;
            *has_preferred = preferred(want);
        } else if (c == agreed) {
            *has_preferred = *has_preferred || preferred(want);
        } else if (c == 'S') {
            agreed = c;
            *has_preferred = preferred(want);
        } else if (agreed != 'S') {
            conflict = true;
        }
    }
    return conflict && agreed != 'S' ? 0 : agreed;
}

static int keep_categories(const struct candidate *candidates, int *left, int count, const Oid *types, int arg_count)
{
    char categories[ARGS_MAX];
    bool has_preferred[ARGS_MAX];
    int kept = 0;

    for (int j = 0; j < arg_count; j++) {
        if (types[j] != TYPE_UNKNOWN)
            continue;
        categories[j] = agreed_category(candidates, left, count, j, &has_preferred[j]);
        if (!categories[j])
            return count;
    }
    int first[CANDIDATES_MAX];
    for (int i = 0; i < count; i++) {
        bool keep = true;
        for (int j = 0; j < arg_count && keep; j++) {
            Oid want = wanted(&candidates[left[i]], j);
            if (types[j] == TYPE_UNKNOWN)
                keep = category(want) == categories[j] && (!has_preferred[j] || preferred(want));
        }
        if (keep)
            first[kept++] = left[i];
    }
    if (kept == 0)
        return count;
    memcpy(left, first, sizeof(int) * (size_t)kept);
    return kept;
}

/* Step 6: the index of the one candidate that works, or -2. */
static int assume_same(const struct candidate *candidates, const int *left, int count, const Oid *types, int arg_count)
{
    Oid known = TYPE_UNKNOWN, assumed[ARGS_MAX];
    int found = -2;

    for (int j = 0; j < arg_count; j++) {
        if (types[j] == TYPE_UNKNOWN)
            continue;
        if (known != TYPE_UNKNOWN && known != types[j])
            return -2;
        known = types[j];
    }
    if (known == TYPE_UNKNOWN)
        return -2;
    for (int j = 0; j < arg_count; j++)
        assumed[j] = known;
    for (int i = 0; i < count; i++) {
        if (!fits(&candidates[left[i]], assumed, arg_count))
            continue;
        if (found >= 0)
            return -2;
        found = left[i];
    }
    return found;
}

int resolve__choose(const struct candidate *candidates, int count, const Oid *types, int arg_count)
{
    int left[CANDIDATES_MAX], n = 0, unknowns = 0;

    for (int i = 0; i < count; i++) {
        bool exact = true;
        for (int j = 0; j < arg_count; j++)
            exact = exact && wanted(&candidates[i], j) == types[j];
        if (exact)
            return i;
    }
    for (int i = 0; i < count && n < CANDIDATES_MAX; i++)
        if (fits(&candidates[i], types, arg_count))
            left[n++] = i;
    if (n <= 1)
        return n ? left[0] : -1;
    for (int j = 0; j < arg_count; j++)
        unknowns += types[j] == TYPE_UNKNOWN;
    n = keep_best(candidates, left, n, types, arg_count, false);
    if (n > 1)
        n = keep_best(candidates, left, n, types, arg_count, true);
    if (n > 1 && unknowns)
        n = keep_categories(candidates, left, n, types, arg_count);
    if (n == 1)
        return left[0];
    return unknowns ? assume_same(candidates, left, n, types, arg_count) : -2;
}

/* ---- operators ---- */

/* Operators that PostgreSQL has and this engine has not. */
static bool is_foreign(const char *name)
{
    static const char *const names[] = {
        "^", "|/", "||/", "~", "~*", "!~", "!~*", "^@", "->", "->>", "#>", "#>>", "@>", "<@", "&&", "?", "?|", "?&", "#-", "@@", "@?",
        "-|-", "&<", "&>", "<->", "~=",
    };
    int count;

    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcmp(names[i], name) == 0)
            return func_candidates(name, &count) == NULL;
    return false;
}

static int fail_operator(struct binder *b, const char *name, const struct expr *left, const struct expr *right, int position,
                         bool several)
{
    const char *right_name = bind__type_name(right->type.oid);
    const char *left_name = left ? bind__type_name(left->type.oid) : "", *space = left ? " " : "";

    if (is_foreign(name))
        return op_fail_at(b->op, position, "0A000", "operator %s is not supported", name);
    op_fail_at(b->op, position, several ? "42725" : "42883", "operator %s: %s%s%s %s", several ? "is not unique" : "does not exist",
               left_name, space, name, right_name);
    if (several)
        op_hint(b->op, "Could not choose a best candidate operator. You might need to add explicit type casts.");
    else if (left)
        op_hint(b->op, "No operator matches the given name and argument types. You might need to add explicit type casts.");
    else
        op_hint(b->op, "No operator matches the given name and argument type. You might need to add an explicit type cast.");
    return OP_FAILED;
}

__attribute__((noinline)) int bind__operator(struct binder *b, const char *name, struct expr *left, struct expr *right, int position,
                   const struct func **func)
{
    struct candidate candidates[CANDIDATES_MAX];
    int all, count = 0, arg_count = left ? 2 : 1, chosen = -1;
    const struct func *funcs = func_candidates(name, &all);
    Oid types[2] = { left ? left->type.oid : right->type.oid, right->type.oid };

    for (int i = 0; i < all && count < CANDIDATES_MAX; i++)
        if (funcs[i].arg_count == arg_count)
            candidates[count++] = (struct candidate){ .item = &funcs[i], .args = funcs[i].args, .declared = arg_count };
    /* one unknown side: first as if it had the type of the other */
    if (left && (types[0] == TYPE_UNKNOWN) != (types[1] == TYPE_UNKNOWN)) {
        Oid known = types[0] == TYPE_UNKNOWN ? types[1] : types[0];
        for (int i = 0; i < count && chosen < 0; i++)
            if (candidates[i].args[0] == known && candidates[i].args[1] == known)
                chosen = i;
    }
    if (chosen < 0)
        chosen = resolve__choose(candidates, count, types, arg_count);
    if (chosen < 0)
        return fail_operator(b, name, left, right, position, chosen == -2);
    *func = candidates[chosen].item;
    b->is_volatile = b->is_volatile || (*func)->volatility == FUNC_VOLATILE;
    return OP_OK;
}

int bind__operation(struct binder *b, const char *name, struct expr *left, struct expr *right, int position, struct expr **result)
{
    const struct func *func;
    int n = left ? 2 : 1;

    if (bind__operator(b, name, left, right, position, &func))
        return OP_FAILED;
    int leftmost = left && left->position && left->position < position ? left->position : position;
    struct expr *expr = bind__node(b, EXPR_FUNC, bind__type(func->result), leftmost, n);
    if (!expr)
        return OP_FAILED;
    expr->func = func;
    if (left && bind__coerce(b, left, bind__type(func->args[0]), CAST_IMPLICIT, &expr->args[0]))
        return OP_FAILED;
    if (bind__coerce(b, right, bind__type(func->args[n - 1]), CAST_IMPLICIT, &expr->args[n - 1]))
        return OP_FAILED;
    *result = expr;
    return OP_OK;
}

int bind__equality(struct binder *b, struct expr **left, struct expr **right, int position, const struct func **equal)
{
    if (bind__operator(b, "=", *left, *right, position, equal))
        return OP_FAILED;
    if (bind__coerce(b, *left, bind__type((*equal)->args[0]), CAST_IMPLICIT, left))
        return OP_FAILED;
    return bind__coerce(b, *right, bind__type((*equal)->args[1]), CAST_IMPLICIT, right);
}
