/* func_system.c -- functions that tell about the system. */
#include <string.h>

#include "sql/func_int.h"

static void set_text(const char *text, struct datum *out)
{
    out->s = (struct bytes){ (const uint8_t *)text, strlen(text) };
}

FUNC_ROW(func__version)
{
    set_text("Isolde " PACKAGE_VERSION ", SQL in the manner of PostgreSQL 15", out);
    return 0;
}

FUNC_ROW(func__current_schema)
{
    set_text("public", out);
    return 0;
}

FUNC_ROW(func__typeof)
{
    set_text(type_info(call->arg_types[0].oid)->name, out);
    return 0;
}

/* A type's name with its modifier, as SQL writes it; "???" for a type that is not. */
FUNC_ROW(func__format_type)
{
    int32_t modifier = args[1].null ? -1 : (int32_t)args[1].i;
    out->null = args[0].null;
    if (out->null)
        return 0;
    const char *text = args[0].i == 0 ? "-" : type_format(call->env->arena, (struct sql_type){ (Oid)args[0].i, modifier });
    if (!text)
        return op_out_of_memory(call->env->op);
    set_text(text, out);
    return 0;
}

/* Each row is a call, in the order of the rows. */
FUNC_KERNEL(func__advisory)
{
    struct datum values[2];

    for (int i = 0; i < count; i++) {
        int row = selection ? selection[i] : i;
        struct datum result;
        for (int j = 0; j < arg_count; j++)
            vector_get(args[j], row, &values[j]);
        if (env->advisory(env, func, values, &result) != 0)
            return OP_FAILED;
        vector_set(out, row, &result);
    }
    return 0;
}
