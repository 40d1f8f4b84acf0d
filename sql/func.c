/*
 * func.c -- finding functions, and driving those that work row by row.
 */
#include "sql/func.h"

#include <string.h>

#include "sql/func_int.h"

enum { RESULT_BYTES_MAX = 0x3fffffff };     /* of one text, as in PostgreSQL */

const struct func *func_candidates(const char *name, int *count)
{
    size_t low = 0, high = func__table_count;
    *count = 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(func__table[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    while (low + (size_t)*count < func__table_count && strcmp(func__table[low + (size_t)*count].name, name) == 0)
        ++*count;
    return *count ? &func__table[low] : NULL;
}

const struct func *func_equal(Oid type)
{
    int count;
    if (type == TYPE_VARCHAR || type == TYPE_UNKNOWN)
        type = TYPE_TEXT;
    const struct func *func = func_candidates("=", &count);
    for (; count > 0; count--, func++)
        if (func->args[0] == type && func->args[1] == type)
            return func;
    return NULL;
}

bool func_comparison(const struct func *func, int *which)
{
    static const struct { const char *name; int which; } names[] = {
        { "=", ORDER_EQ }, { "<", ORDER_LT }, { "<=", ORDER_LE }, { ">=", ORDER_GE }, { ">", ORDER_GT },
    };
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcmp(func->name, names[i].name) == 0) {
            *which = names[i].which;
            return true;
        }
    return false;
}

uint8_t *func__room(struct eval_env *env, size_t len)
{
    if (len > RESULT_BYTES_MAX) {
        op_fail(env->op, "54000", "requested length too large");
        return NULL;
    }
    uint8_t *room = arena_alloc(env->arena, len + 1);
    if (!room) {
        op_out_of_memory(env->op);
        return NULL;
    }
    room[len] = '\0';
    return room;
}

FUNC_KERNEL(func__rows)
{
    enum { FEW = 8 };
    struct datum few[FEW], *values = few;
    struct func_call call = { env, func, arg_count, arg_types, type };
    func_row function = (func_row)func->detail;

    if (arg_count > FEW && !(values = op_arena_alloc(env->op, env->arena, sizeof *values * (size_t)arg_count)))
        return OP_FAILED;
    for (int i = 0; i < count; i++) {
        int row = selection ? selection[i] : i;
        struct datum result = { .null = false };
        for (int j = 0; j < arg_count; j++)
            vector_get(args[j], row, &values[j]);
        if (function(&call, values, &result) != 0)
            return OP_FAILED;
        vector_set(out, row, &result);
    }
    return 0;
}
