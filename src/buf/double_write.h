/* double_write.h -- the directory of the double-write area, as drawn in double_write.c. */
#ifndef ISOLDE_BUF_DOUBLE_WRITE_H
#define ISOLDE_BUF_DOUBLE_WRITE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define DOUBLE_WRITE_MAGIC "Isolde pages\0\0\0"    /* 16 bytes with its NULs */

struct double_write_head {
    char magic[16];
    uint32_t crc;
    uint32_t entries;
    uint64_t batch;
    uint8_t database_id[16];
    uint64_t log_id;
    uint32_t page_size;
    uint32_t zero;
};

struct double_write_entry {
    uint64_t page_no;
    uint64_t lsn;
    uint32_t crc;
    uint32_t zero;
};

static_assert(sizeof(struct double_write_head) == 64, "directory head");
static_assert(offsetof(struct double_write_head, log_id) == 48, "log id at 48");
static_assert(sizeof(struct double_write_entry) == 24, "directory entry");

#endif
