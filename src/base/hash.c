/*
 * hash.c -- CRC-32C for what is on disk, a fast hash for what is in memory.
 *
 * CRC-32C guards every page and every log record, so its speed is the speed of reading.  x86 has an instruction
 * for it that takes eight bytes, but each step waits three cycles for the one before.  Three independent streams
 * fill that gap.  They are joined by the fact that a CRC is linear: the state after `a` then `b` is the state after `a`
 * moved over len(b) zero bytes, xor the state of `b` begun from zero.  Moving a state over LANE_BYTES zeros is a linear
 * map of 32 bits, kept as four tables of 256 entries.
 *
 *     | lane 0 | lane 1 | lane 2 |      crc = move(move(crc0) ^ crc1) ^ crc2
 *
 * Without the instruction: eight tables, eight bytes at a time.
 *
 * Inside this file a "state" is the register of the CRC, that is the complement of the value that crc32c() returns.
 */
#include "src/base/hash.h"

#include <string.h>

#include "src/base/endian.h"

enum {
    POLYNOMIAL = 0x82f63b78,    /* Castagnoli's, lowest bit first */
    LANE_BYTES = 512,
};

static uint32_t byte_table[8][256];     /* [k][b]: state b, then k zero bytes; written once, before main */

static uint32_t crc_by_table(uint32_t state, const uint8_t *at, size_t len)
{
    while (len >= 8) {
        uint64_t word = get_u64(at) ^ state;

        state = 0;
        for (int i = 0; i < 8; i++)
            state ^= byte_table[7 - i][word >> (8 * i) & 0xff];
        at += 8;
        len -= 8;
    }
    while (len--)
        state = state >> 8 ^ byte_table[0][(state ^ *at++) & 0xff];
    return state;
}

static void fill_byte_table(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t state = byte;

        for (int bit = 0; bit < 8; bit++)
            state = state >> 1 ^ (state & 1 ? (uint32_t)POLYNOMIAL : 0);
        byte_table[0][byte] = state;
    }
    for (int k = 1; k < 8; k++)
        for (int byte = 0; byte < 256; byte++) {
            uint32_t before = byte_table[k - 1][byte];

            byte_table[k][byte] = before >> 8 ^ byte_table[0][before & 0xff];
        }
}

#ifdef __x86_64__

/* Both written once, before main.  [k][b]: state b << 8k, then LANE_BYTES zero bytes. */
static bool have_instruction;
static uint32_t move_table[4][256];

static uint32_t move(uint32_t state)
{
    return move_table[0][state & 0xff] ^ move_table[1][state >> 8 & 0xff]
        ^ move_table[2][state >> 16 & 0xff] ^ move_table[3][state >> 24];
}

static void fill_move_table(void)
{
    static const uint8_t zeros[LANE_BYTES];
    uint32_t moved[32];

    for (int bit = 0; bit < 32; bit++)
        moved[bit] = crc_by_table((uint32_t)1 << bit, zeros, sizeof zeros);
    for (int k = 0; k < 4; k++)
        for (int byte = 0; byte < 256; byte++)
            for (int bit = 0; bit < 8; bit++)
                if (byte >> bit & 1)
                    move_table[k][byte] ^= moved[8 * k + bit];
}

__attribute__((target("sse4.2")))
static uint32_t crc_by_instruction(uint32_t start, const uint8_t *at, size_t len)
{
    uint64_t state = start;

    while (len >= 3 * LANE_BYTES) {
        uint64_t second = 0, third = 0;

        for (size_t i = 0; i < LANE_BYTES; i += 8) {
            state = __builtin_ia32_crc32di(state, get_u64(at + i));
            second = __builtin_ia32_crc32di(second, get_u64(at + LANE_BYTES + i));
            third = __builtin_ia32_crc32di(third, get_u64(at + 2 * LANE_BYTES + i));
        }
        state = move(move((uint32_t)state) ^ (uint32_t)second) ^ (uint32_t)third;
        at += 3 * LANE_BYTES;
        len -= 3 * LANE_BYTES;
    }
    for (; len >= 8; at += 8, len -= 8)
        state = __builtin_ia32_crc32di(state, get_u64(at));
    for (; len > 0; at++, len--)
        state = __builtin_ia32_crc32qi((uint32_t)state, *at);
    return (uint32_t)state;
}

#endif

__attribute__((constructor))
static void fill_tables(void)
{
    fill_byte_table();
#ifdef __x86_64__
    fill_move_table();
    __builtin_cpu_init();
    have_instruction = __builtin_cpu_supports("sse4.2");
#endif
}

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
#ifdef __x86_64__
    if (have_instruction)
        return ~crc_by_instruction(~crc, data, len);
#endif
    return ~crc_by_table(~crc, data, len);
}

uint32_t crc32c_portable(uint32_t crc, const void *data, size_t len)
{
    return ~crc_by_table(~crc, data, len);
}

/* Both halves of the 128-bit product: every bit of the input reaches every bit of the result. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Three odd constants, each half ones and half zeros, so that no word of input multiplies by something simple. */
static const uint64_t salt[3] = {0x9e3779b97f4a7c15u, 0xc2b2ae3d27d4eb4fu, 0x165667b19e3779f9u};

uint64_t hash_bytes(const void *data, size_t len, uint64_t seed)
{
    const uint8_t *at = data;
    uint64_t hash = seed ^ fold(len ^ salt[0], salt[1]);
    uint64_t low = 0, high = 0;
    size_t left = len;

    for (; left > 16; at += 16, left -= 16)
        hash = fold(get_u64(at) ^ salt[0], get_u64(at + 8) ^ hash);
    if (left >= 8) {
        low = get_u64(at);
        high = get_u64(at + left - 8);
    } else if (left >= 4) {
        low = get_u32(at);
        high = get_u32(at + left - 4);
    } else if (left > 0) {
        low = (uint64_t)at[0] << 16 | (uint64_t)at[left / 2] << 8 | at[left - 1];
    }
    return fold(salt[2] ^ hash, fold(low ^ salt[0], high ^ salt[1] ^ hash) ^ salt[1]);
}
