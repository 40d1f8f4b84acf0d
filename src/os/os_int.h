/* os_int.h -- what the files of this folder share with each other. */
#ifndef ISOLDE_OS_INT_H
#define ISOLDE_OS_INT_H

#include "src/os/os.h"

/* Reports that the system refused to do something with a file: `could not <action> file "<path>": <reason>`.
 * error: an errno value.  Always OP_FAILED. */
int os__fail(struct op *op, int error, const char *action, const char *path);

/* Whether offset .. offset+len lies within what a file can hold; reports EFBIG when not. */
int os__check_range(struct op *op, uint64_t offset, size_t len, const char *path) MUST_CHECK;

#endif
