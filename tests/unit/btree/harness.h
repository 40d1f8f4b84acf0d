/*
 * harness.h -- what the tests of btree/ share: a store on a disk in memory, a model of one tree, simple transactions.
 *
 * The model is an array indexed by a small number; key_of turns the number into a key whose order is the numbers' order and
 * whose length varies, value_of a seed and a length into bytes.
 */
#ifndef ISOLDE_TESTS_BTREE_HARNESS_H
#define ISOLDE_TESTS_BTREE_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "btree/btree.h"
#include "src/base/rng.h"
#include "src/os/fault.h"

static inline uint64_t number_of_run(const char *name, uint64_t usual)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : usual;
}

static inline uint64_t seed_of_run(void)
{
    return number_of_run("SEED", 1);
}

static inline void expect_ok(struct op *op, int result, const char *file, int line)
{
    if (result == OP_OK)
        return;
    fprintf(stderr, "%s:%d: %s %s (%s)\n", file, line, op->error.sqlstate, op->error.message,
            op->error.detail != NULL ? op->error.detail : "");
    fail();
}
#define OK(call) expect_ok(op, (call), __FILE__, __LINE__)

enum { KEY_BYTES_MAX = 64, VALUE_BYTES_MAX = 40000 };

/* Order-preserving: four digits of the number, then a tail that depends on the number alone. */
static inline struct bytes key_of(uint8_t buffer[KEY_BYTES_MAX], uint32_t number)
{
    size_t tail = number * 2654435761u % 24;
    memcpy(buffer, "key-", 4);
    buffer[4] = (uint8_t)(number >> 24);
    buffer[5] = (uint8_t)(number >> 16);
    buffer[6] = (uint8_t)(number >> 8);
    buffer[7] = (uint8_t)number;
    memset(buffer + 8, (int)(number % 251), tail);
    return (struct bytes){buffer, 8 + tail};
}

static inline uint32_t number_of(struct bytes key)
{
    return (uint32_t)key.data[4] << 24 | (uint32_t)key.data[5] << 16 | (uint32_t)key.data[6] << 8 | key.data[7];
}

static inline void value_of(uint8_t *buffer, uint32_t seed, size_t len)
{
    uint32_t x = seed * 2654435761u + 1;
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525u + 1013904223u;
        buffer[i] = (uint8_t)(x >> 24);
    }
}

struct model_row {
    bool live;
    bool ghost;
    uint32_t seed, len;
};

struct seen_row {
    bool found, ghost;
    uint8_t *value;
    size_t len;
    struct store *store;
};

static inline int see_row(void *arg, struct op *op, const struct btree_record *record)
{
    struct seen_row *seen = arg;
    seen->found = record != NULL;
    if (record == NULL)
        return OP_OK;
    seen->ghost = record->flags & BTREE_GHOST;
    struct bytes value = record->value;
    if (record->flags & BTREE_OVERFLOW && btree_read_overflow(op, seen->store, record->value, &op->arena, &value) != OP_OK)
        return OP_FAILED;
    assert_true(value.len <= VALUE_BYTES_MAX);
    memcpy(seen->value, value.data, value.len);
    seen->len = value.len;
    return OP_OK;
}

/* Whether the tree's record of this number is what the model says. */
static inline void expect_row(struct op *op, struct store *store, struct btree *tree, uint32_t number,
                              const struct model_row *row)
{
    static _Thread_local uint8_t got[VALUE_BYTES_MAX], wanted[VALUE_BYTES_MAX];
    uint8_t key[KEY_BYTES_MAX];
    struct seen_row seen = {.value = got, .store = store};
    OK(btree_get(op, tree, key_of(key, number), see_row, &seen));
    if ((seen.found && !seen.ghost) != row->live)
        fail_msg("row %u is %s", number, row->live ? "missing" : "still there");
    if (!row->live)
        return;
    value_of(wanted, row->seed, row->len);
    if (seen.len != row->len || memcmp(got, wanted, row->len) != 0)
        fail_msg("row %u has another value", number);
}

static inline void print_finding(void *arg, const char *line)
{
    fprintf(stderr, "finding: %s\n", line);
}

static inline void expect_whole(struct op *op, struct store *store)
{
    uint64_t findings;
    OK(store_check(op, store, print_finding, NULL, &findings));
    assert_int_equal(findings, 0);
}

/* ---- transactions --------------------------------------------------------------------------------- */

static inline void commit(struct op *op, struct store *store, struct wal_chain *chain, bool durable)
{
    uint8_t payload[9] = {0};
    struct bytes part = {payload, sizeof payload};
    OK(wal_reserve(op, store_wal(store), 64));
    Lsn lsn = wal_append(store_wal(store), chain, WAL_COMMIT, 0, &part, 1);
    store_forget_promises(store, chain);
    wal_unreserve(store_wal(store), 64);
    if (durable)
        OK(wal_flush(op, store_wal(store), lsn));
}

static inline void end_abort(struct op *op, struct store *store, struct wal_chain *chain)
{
    OK(store_rollback(op, store, chain, 0));
    if (chain->last == 0)
        return;
    OK(wal_reserve(op, store_wal(store), 64));
    wal_append(store_wal(store), chain, WAL_ABORT, 0, NULL, 0);
    store_forget_promises(store, chain);
    wal_unreserve(store_wal(store), 64);
}

static inline bool everyone_is_dead(void *arg, TxnId txn)
{
    return true;
}

#endif
