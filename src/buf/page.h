/*
 * page.h -- the head that every page of the file begins with.
 *
 *      0        4     5      6         8          16          24         32
 *      | crc32c | type| level| reserved| page LSN | page no.  | tree id  | contents ...
 *
 * The checksum covers the whole page but itself.  All integers are little-endian.
 */
#ifndef ISOLDE_BUF_PAGE_H
#define ISOLDE_BUF_PAGE_H

#include <assert.h>

#include "src/base/types.h"

enum page_type {
    PAGE_UNUSED = 0,        /* all zero: never written */
    PAGE_FREE,              /* on the free list, contents meaningless */
    PAGE_FREE_MAP,          /* btree/: which pages are in use */
    PAGE_LEAF,
    PAGE_INNER,
    PAGE_OVERFLOW,
};

struct page_head {
    uint32_t crc;
    uint8_t type;           /* enum page_type */
    uint8_t level;          /* 0 = leaf */
    uint16_t reserved;
    uint64_t lsn;           /* of the newest log record that changed this page */
    uint64_t page_no;       /* 48 bits used */
    uint64_t tree_id;
};

enum { PAGE_HEAD_BYTES = 32, PAGE_SIZE_MIN = 4096, PAGE_SIZE_MAX = 65536, PAGE_SIZE_DEFAULT = 8192 };

static_assert(sizeof(struct page_head) == PAGE_HEAD_BYTES, "the page head is 32 bytes on disk");
static_assert(offsetof(struct page_head, lsn) == 8, "page LSN at 8");
static_assert(offsetof(struct page_head, tree_id) == 24, "tree id at 24");

#endif
