/* hash.h -- checksums and hash functions. */
#ifndef ISOLDE_BASE_HASH_H
#define ISOLDE_BASE_HASH_H

#include "src/base/types.h"

/* CRC-32C (Castagnoli), as iSCSI's; uses the processor's instruction when it has one.
 * crc: 0 to begin, or the result for the bytes before, to go on. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);
/* The same without the instruction, for a processor that has none. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t len);

/* Fast 64-bit hash for tables in memory; never written to disk. */
uint64_t hash_bytes(const void *data, size_t len, uint64_t seed);
static inline uint64_t hash_u64(uint64_t x)
{
    x ^= x >> 32; x *= 0xd6e8feb86659fd93u; x ^= x >> 32; x *= 0xd6e8feb86659fd93u; x ^= x >> 32;
    return x;
}

#endif
