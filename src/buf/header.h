/*
 * header.h -- page 0 of the database file: what it is, and where its newest checkpoint lies.
 *
 *        0  +-----------------------------------------------------------------------------+
 *           | identity: written once, at creation (and when features change)              |
 *      512  +-----------------------------------------------------------------------------+
 *           | slot A: state of the database as of one checkpoint                          |
 *     1024  +-----------------------------------------------------------------------------+
 *           | slot B: the same for the checkpoint before or after                         |
 *     1536  +-----------------------------------------------------------------------------+
 *           | zeros to the end of the page                                                |
 *
 * Identity:
 *       0 magic "Isolde database\0"   16 format u32      20 page size u32     24 reserved bytes u32  28 zero u32
 *      32 database id (16 bytes)      48 timeline u64    56 compatible u64    64 read-only compatible u64
 *      72 incompatible u64            80 created i64 us  88 zero u32          92 crc32c of bytes 0..91
 *
 * Slot:
 *       0 sequence u64      8 flags u32 (1 = closed cleanly, 2 = a copy)   12 zero u32    16 log id u64
 *      24 checkpoint LSN    32 redo LSN       40 highest LSN     48 page count u64  56 next transaction id
 *      64 next tree id      72 newest commit  80 zero u32        84 crc32c of bytes 0..83
 *
 * The slot with the highest sequence number and a valid checksum counts; the next one is written over the
 * other.  A slot lies within one 512-byte sector, so a torn write leaves the old one or is detected.
 *
 * Feature bits: a program that does not know a bit in `compatible` may go on, in `read-only compatible` may only
 * read, in `incompatible` must refuse.
 */
#ifndef ISOLDE_BUF_HEADER_H
#define ISOLDE_BUF_HEADER_H

#include <assert.h>

#include "src/base/types.h"

#define HEADER_MAGIC "Isolde database"      /* 16 bytes with its NUL */

enum {
    HEADER_FORMAT = 1,
    HEADER_SLOT_A = 512,
    HEADER_SLOT_B = 1024,
    HEADER_BYTES = 1536,
    HEADER_CLEAN = 1,           /* slot flag: the file alone is the whole database */
    HEADER_COPY = 2,            /* slot flag: a backup; its history is another one once it is opened, and its tail goes */
    HEADER_UNFINISHED = 1,      /* incompatible feature: a backup, or a recovery, that has not been completed */
    HEADER_RESERVED_MAX = 256,  /* bytes at the end of each page for an encryption tag */
};

struct header_identity {
    char magic[16];
    uint32_t format;
    uint32_t page_size;
    uint32_t reserved_bytes;
    uint32_t zero1;
    uint8_t database_id[16];
    uint64_t timeline_id;
    uint64_t compatible, read_only_compatible, incompatible;
    int64_t created_us;
    uint32_t zero2;
    uint32_t crc;
};

struct header_slot {
    uint64_t sequence;
    uint32_t flags;
    uint32_t zero1;
    uint64_t log_id;
    uint64_t checkpoint_lsn;    /* 0: no checkpoint since the log was made */
    uint64_t redo_lsn;
    uint64_t highest_lsn;       /* no page and no record that was durable then lies at or above */
    uint64_t page_count;
    uint64_t next_txn;
    uint64_t next_tree;
    uint64_t newest_commit;
    uint32_t zero2;
    uint32_t crc;
};

static_assert(sizeof(struct header_identity) == 96, "identity is 96 bytes on disk");
static_assert(offsetof(struct header_identity, database_id) == 32, "database id at 32");
static_assert(offsetof(struct header_identity, crc) == 92, "identity checksum at 92");
static_assert(sizeof(struct header_slot) == 88, "a slot is 88 bytes on disk");
static_assert(offsetof(struct header_slot, highest_lsn) == 40, "highest LSN at 40");
static_assert(offsetof(struct header_slot, crc) == 84, "slot checksum at 84");

#endif
