/* endian.c -- varints: small numbers in few bytes, seven bits a byte, low first. */
#include "src/base/endian.h"

size_t varint_put(uint8_t *at, uint64_t value)
{
    size_t n = 0;

    while (value >= 0x80) {
        at[n++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    at[n++] = (uint8_t)value;
    return n;
}

size_t varint_size(uint64_t value)
{
    int bits = 64 - __builtin_clzll(value | 1);

    return (size_t)(bits + 6) / 7;
}

size_t varint_get(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
    uint64_t result = 0;
    size_t n = 0;

    *value = 0;
    for (int shift = 0; shift < 64 && at + n < end; shift += 7) {
        uint8_t byte = at[n++];

        if (shift == 63 && byte > 1)
            return 0;
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = result;
            return n;
        }
    }
    return 0;
}
