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
