/*
 * types.h -- the small values that every layer speaks of.
 *
 * They are passed by copy and are never reused during the life of a database file.
 */
#ifndef ISOLDE_BASE_TYPES_H
#define ISOLDE_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t Lsn;       /* byte position in the endless log; 0 means "none" */
typedef uint64_t PageNo;    /* page of the database file; 0 is the file header, so 0 also means "none" */
typedef uint64_t TxnId;     /* 0 means "no transaction" (a system transaction) */
typedef uint64_t CommitTs;  /* LSN of a commit record; orders commits */
typedef uint64_t TreeId;    /* 0 means "none" */

/* A borrowed run of bytes.  Who owns them and for how long is said by whoever hands it out. */
struct bytes {
    const uint8_t *data;
    size_t len;
};

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
