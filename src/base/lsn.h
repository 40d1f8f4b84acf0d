/* lsn.h -- positions of the log as people read and write them: two hexadecimal halves, "0/16B3748", as PostgreSQL's pg_lsn. */
#ifndef ISOLDE_BASE_LSN_H
#define ISOLDE_BASE_LSN_H

#include "src/base/types.h"

enum { LSN_TEXT_BYTES = 20 };

void lsn_print(Lsn lsn, char text[LSN_TEXT_BYTES]);
/* False when the text is not wholly an LSN. */
bool lsn_parse(const char *text, Lsn *lsn);

#endif
