/* func_system.c -- functions that tell about the system and the session. */
#include <string.h>

#include "sql/func_int.h"

static void set_text(const char *text, struct datum *out)
{
    out->null = text == NULL;
    if (text)
        out->s = (struct bytes){ (const uint8_t *)text, strlen(text) };
}

FUNC_ROW(func__version)
{
    set_text("Isolde " PACKAGE_VERSION ", SQL in the manner of PostgreSQL 15", out);
    return 0;
}

FUNC_ROW(func__current_database)
{
    set_text(call->env->database_name, out);
    return 0;
}

FUNC_ROW(func__current_user)
{
    set_text(call->env->user_name, out);
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
