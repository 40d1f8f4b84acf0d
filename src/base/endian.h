/* endian.h -- integers at fixed offsets, little-endian, at any alignment: how every format on disk is read. */
#ifndef ISOLDE_BASE_ENDIAN_H
#define ISOLDE_BASE_ENDIAN_H

#include <string.h>

#include "src/base/types.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Isolde's files are little-endian; a big-endian host needs byte swaps here"
#endif

static inline uint16_t get_u16(const void *at) { uint16_t v; memcpy(&v, at, 2); return v; }
static inline uint32_t get_u32(const void *at) { uint32_t v; memcpy(&v, at, 4); return v; }
static inline uint64_t get_u64(const void *at) { uint64_t v; memcpy(&v, at, 8); return v; }
static inline uint64_t get_u48(const void *at) { uint64_t v = 0; memcpy(&v, at, 6); return v; }
static inline void put_u16(void *at, uint16_t v) { memcpy(at, &v, 2); }
static inline void put_u32(void *at, uint32_t v) { memcpy(at, &v, 4); }
static inline void put_u64(void *at, uint64_t v) { memcpy(at, &v, 8); }
static inline void put_u48(void *at, uint64_t v) { memcpy(at, &v, 6); }

/* LEB128 varints: seven bits a byte, low first.  At most 10 bytes. */
enum { VARINT_MAX_BYTES = 10 };
size_t varint_put(uint8_t *at, uint64_t value);
size_t varint_size(uint64_t value);
/* Returns the bytes read, 0 when the bytes between at and end hold no valid varint. */
size_t varint_get(const uint8_t *at, const uint8_t *end, uint64_t *value);

#endif
