/*
 * ddl_names.c -- names for what the statement did not name: t_pkey, t_a_key, t_a_b_idx, t_a_idx1.
 *
 * PostgreSQL's rule, because programs and dumps rely on it: table, columns and a label joined by underscores; when that is longer
 * than a name may be, the longer of the first two parts is cut, character by character; when it is taken, a number follows.
 */
#include <string.h>

#include "sql/ddl_int.h"

/* The length after cutting at most to `len` bytes between characters. */
static size_t clip(const char *text, size_t len)
{
    while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--;
    return len;
}

const char *ddl__object_name(struct op *op, const char *name1, const char *name2, const char *label)
{
    size_t len1 = strlen(name1), len2 = name2 ? strlen(name2) : 0;
    size_t room = AST_NAME_BYTES_MAX - (strlen(label) + 1) - (name2 ? 1 : 0);

    while (len1 + len2 > room) {
        if (len1 > len2)
            len1--;
        else
            len2--;
    }
    len1 = clip(name1, len1);
    if (name2)
        len2 = clip(name2, len2);
    const char *name = name2 ? arena_printf(&op->arena, "%.*s_%.*s_%s", (int)len1, name1, (int)len2, name2, label)
                             : arena_printf(&op->arena, "%.*s_%s", (int)len1, name1, label);
    if (!name)
        op_out_of_memory(op);
    return name;
}

static bool among(const char *name, const char *const *taken, int taken_count)
{
    for (int i = 0; i < taken_count; i++)
        if (strcmp(taken[i], name) == 0)
            return true;
    return false;
}

int ddl__choose_name(struct op *op, struct session *session, const char *name1, const char *name2, const char *label,
                     const char *const *taken, int taken_count, const char **name)
{
    const char *numbered = label;

    for (int pass = 1;; pass++) {
        bool exists = false;
        *name = ddl__object_name(op, name1, name2, numbered);
        if (!*name)
            return OP_FAILED;
        if (!among(*name, taken, taken_count)) {
            if (ddl__relation_exists(op, session, *name, &exists) != 0)
                return OP_FAILED;
            if (!exists)
                return 0;
        }
        numbered = arena_printf(&op->arena, "%s%d", label, pass);
        if (!numbered)
            return op_out_of_memory(op);
    }
}

const char *ddl__join_names(struct op *op, const char *const *names, int count)
{
    const char *joined = count ? names[0] : "";
    for (int i = 1; i < count && joined && strlen(joined) <= AST_NAME_BYTES_MAX; i++)
        joined = arena_printf(&op->arena, "%s_%s", joined, names[i]);
    if (!joined) {
        op_out_of_memory(op);
        return NULL;
    }
    size_t len = strlen(joined) < AST_NAME_BYTES_MAX ? strlen(joined) : clip(joined, AST_NAME_BYTES_MAX);
    const char *cut = arena_strndup(&op->arena, joined, len);
    if (!cut)
        op_out_of_memory(op);
    return cut;
}
