/* lsn.c -- positions of the log as text. */
#include "src/base/lsn.h"

#include <ctype.h>
#include <stdio.h>

void lsn_print(Lsn lsn, char text[LSN_TEXT_BYTES])
{
    snprintf(text, LSN_TEXT_BYTES, "%X/%X", (unsigned)(lsn >> 32), (unsigned)lsn);
}

/* Up to eight hexadecimal digits. */
static bool parse_half(const char **at, uint64_t *half)
{
    int digits = 0;
    for (*half = 0; digits < 9 && isxdigit((unsigned char)**at); digits++, (*at)++) {
        int c = tolower((unsigned char)**at);
        *half = *half * 16 + (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return digits >= 1 && digits <= 8;
}

bool lsn_parse(const char *text, Lsn *lsn)
{
    uint64_t high, low;
    *lsn = 0;
    if (!parse_half(&text, &high) || *text++ != '/' || !parse_half(&text, &low) || *text != '\0')
        return false;
    *lsn = high << 32 | low;
    return true;
}
