/*
 * format.h -- the bytes of `app.db-wal`.
 *
 *        0  +---------------------+ file head: identity in the first sector, owner in the second
 *     4096  +---------------------+
 *           | slot 0              | each slot holds any one segment: 4096 bytes of head, then payload
 *        +S +---------------------+
 *           | slot 1              |
 *           +---------------------+
 *
 * The payloads of the segments, in the order of their numbers, are one endless stream; an LSN is a position in it:
 *
 *      segment number = lsn / P        place in its slot = 4096 + lsn % P        P = S - 4096
 *
 * so that heads take no room in the stream, and 4096-byte blocks of the stream are blocks of the file.
 * Segment 0 does not exist: an LSN is never 0.
 *
 * File head:       0 magic (16)   16 format u32    20 segment size u32   24 database id (16)   40 log id u64
 *                 48 zero u32     52 crc32c of bytes 0..51
 *   owner at 512:  0 pid u64       8 host (64 bytes, padded with NUL)
 *                 72 zero u32     76 crc32c of bytes 0..75
 *
 * Segment head:    0 magic u32     4 crc32c of bytes 8..47               8 log id u64         16 segment number u64
 *                 24 epoch u64    32 epoch start LSN                    40 end LSN of the epoch before (0: none)
 *
 * Record, 8-byte aligned:
 *                  0 length u32 (head and payload)   4 crc32c   8 type u8   9 flags u8   10 zero u16
 *                 12 transaction u64   20 prev LSN          only with WAL__HAS_TXN
 *                 28 undo_next LSN                          only with WAL_CLR
 *                    payload, zeros up to the next multiple of 8
 *   The checksum starts from a seed of (database id, log id, epoch) and covers length, bytes 8 to the end, and the LSN.
 */
#ifndef ISOLDE_WAL_FORMAT_H
#define ISOLDE_WAL_FORMAT_H

#include <assert.h>

#include "src/base/endian.h"
#include "src/base/types.h"

#define WAL__FILE_MAGIC "Isolde log v1\0\0"     /* 16 bytes with its NULs */

enum {
    WAL__FORMAT = 1,
    WAL__BLOCK = 4096,              /* unit of writing, size of a segment's head */
    WAL__OWNER_AT = 512,
    WAL__HOST_BYTES = 64,
    WAL__SEGMENT_MAGIC = 0x4c415749,    /* "IWAL" */
    WAL__SEGMENT_MIN = 16384,
    WAL__SEGMENT_MAX = 1 << 30,
    WAL__BUFFER_MIN = 65536,
    WAL__HAS_TXN = 0x80,            /* internal record flag */
    WAL__HEAD_SYSTEM = 12,
    WAL__HEAD_TXN = 28,
    WAL__HEAD_CLR = 36,
    WAL__HEAD_MAX = WAL__HEAD_CLR,
    WAL__MARK_BYTES = 24,           /* a flush mark: head, u64, padding */
};

struct wal__file_head {
    char magic[16];
    uint32_t format;
    uint32_t segment_size;
    uint8_t database_id[16];
    uint64_t log_id;
    uint32_t zero;
    uint32_t crc;
};

struct wal__owner {
    uint64_t pid;
    char host[WAL__HOST_BYTES];
    uint32_t zero;
    uint32_t crc;
};

struct wal__segment_head {
    uint32_t magic;
    uint32_t crc;
    uint64_t log_id;
    uint64_t number;
    uint64_t epoch;
    uint64_t epoch_start;
    uint64_t previous_end;
};

/* The head of a file of the archive: archive.c. */
struct wal__archive_head {
    char magic[16];
    uint32_t format;
    uint32_t segment_size;
    uint8_t database_id[16];
    uint64_t timeline_id;
    uint64_t log_id;
    uint64_t number;
    uint64_t epoch;
    uint64_t epoch_start;
    uint64_t previous_end;
    uint64_t from;
    uint64_t to;
    int64_t written_us;
    uint32_t bytes_crc;
    uint32_t crc;
};

static_assert(sizeof(struct wal__archive_head) == 120, "archive head");
static_assert(offsetof(struct wal__archive_head, from) == 88, "first LSN at 88");
static_assert(offsetof(struct wal__archive_head, crc) == 116, "checksum at 116");

static_assert(sizeof(struct wal__file_head) == 56, "file head");
static_assert(offsetof(struct wal__file_head, log_id) == 40, "log id at 40");
static_assert(sizeof(struct wal__owner) == 80, "owner");
static_assert(offsetof(struct wal__owner, crc) == 76, "owner checksum at 76");
static_assert(sizeof(struct wal__segment_head) == 48, "segment head");
static_assert(offsetof(struct wal__segment_head, epoch_start) == 32, "epoch start at 32");

static inline uint64_t wal__align(uint64_t n) { return (n + 7) & ~(uint64_t)7; }
static inline uint64_t wal__block_floor(uint64_t lsn) { return lsn & ~(uint64_t)(WAL__BLOCK - 1); }

#endif
