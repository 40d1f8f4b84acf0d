/* Transfers between accounts from 8 threads, at each level: the total never changes, for nobody who looks. */
#include "tests/unit/txn/txn_test.h"

enum { ACCOUNTS = 24, THREADS = 8, START = 1000 };

static uint64_t seed, transfers_each;
static atomic_int failures;

struct teller {
    struct db *db;
    int s;
    enum txn_level level;
    struct rng rng;
    uint64_t retries;
    struct os_thread *thread;
};

static long number_of(struct bytes value)
{
    char digits[32];
    snprintf(digits, sizeof(digits), "%.*s", (int)value.len, (const char *)value.data);
    return strtol(digits, NULL, 10);
}

static int read_number(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    *(long *)arg = number_of(row->value);
    return 0;
}

static int sum_numbers(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    *(long *)arg += number_of(row->value);
    return 0;
}

/* Adds to one account, as UPDATE would at this level. */
static int add(struct op *op, struct teller *teller, const char *account, long amount)
{
    struct txn_session *session = teller->db->s[teller->s];
    struct btree *tree = teller->db->tree;
    struct txn_outcome outcome;
    char value[32];
    long balance = 0;
    bool found;

    if (txn_statement_begin(op, session) != 0 || txn_get(op, session, tree, text(account), read_number, &balance, &found) != 0) {
        return OP_FAILED;
    }
    CommitTs seen = txn_read_ts(session);
    for (;;) {
        snprintf(value, sizeof(value), "%ld", balance + amount);
        if (txn_update(op, session, tree, text(account), text(value), seen, &outcome) != 0) {
            return OP_FAILED;
        }
        if (outcome.result != TXN_CHANGED) {
            break;
        }
        balance = number_of(outcome.newest);
        seen = outcome.newest_ts;
    }
    txn_statement_end(session);
    if (outcome.result != TXN_WRITTEN) {
        atomic_fetch_add(&failures, 1);
    }
    return 0;
}

static int total(struct op *op, struct teller *teller, long *sum)
{
    struct txn_session *session = teller->db->s[teller->s];
    struct btree_range range = { .low_inclusive = true };
    struct txn_scan scan;
    int rc = 0;

    *sum = 0;
    if (txn_statement_begin(op, session) != 0) {
        return OP_FAILED;
    }
    txn_scan_open(&scan, session, teller->db->tree, &range, rng_below(&teller->rng, 2));
    for (bool more = true; more && rc == 0;) {
        rc = txn_scan_next(op, &scan, sum_numbers, sum, &more);
    }
    txn_scan_close(&scan);
    txn_statement_end(session);
    return rc;
}

static int one_transaction(struct op *op, struct teller *teller)
{
    struct txn_session *session = teller->db->s[teller->s];
    char from[16], to[16];
    long amount = (long)rng_below(&teller->rng, 50), sum;

    if (txn_begin(op, session, teller->level, false, false) != 0) {
        return OP_FAILED;
    }
    if (rng_below(&teller->rng, 8) == 0) {
        if (total(op, teller, &sum) != 0) {
            return OP_FAILED;
        }
        if (sum != ACCOUNTS * START) {
            atomic_fetch_add(&failures, 1);
        }
    } else {
        uint64_t a = rng_below(&teller->rng, ACCOUNTS), b = (a + 1 + rng_below(&teller->rng, ACCOUNTS - 1)) % ACCOUNTS;
        snprintf(from, sizeof(from), "acc%02d", (int)a);
        snprintf(to, sizeof(to), "acc%02d", (int)b);
        if (add(op, teller, from, -amount) != 0 || add(op, teller, to, amount) != 0) {
            return OP_FAILED;
        }
    }
    if (rng_below(&teller->rng, 16) == 0) {
        txn_rollback(session);
        return 0;
    }
    return txn_commit(op, session);
}

static void work(void *arg)
{
    struct teller *teller = arg;
    struct op op;

    op_init(&op);
    for (uint64_t done = 0; done < transfers_each;) {
        if (one_transaction(&op, teller) == 0) {
            done++;
        } else {
            if (strcmp(op.error.sqlstate, "40001") != 0 && strcmp(op.error.sqlstate, "40P01") != 0) {
                fprintf(stderr, "unexpected: %s %s\n", op.error.sqlstate, op.error.message);
                atomic_fetch_add(&failures, 1);
                done = transfers_each;
            }
            txn_rollback(teller->db->s[teller->s]);
            teller->retries++;
        }
        op_reset(&op);
    }
    op_end(&op);
}

static void transfers_keep_the_total(enum txn_level level, enum txn_sync sync)
{
    struct db db;
    struct teller tellers[THREADS];
    char key[16];
    long sum;

    db_open(&db, true);
    begin(&db, 0, TXN_READ_COMMITTED);
    for (int i = 0; i < ACCOUNTS; i++) {
        snprintf(key, sizeof(key), "acc%02d", i);
        insert(&db, 0, key, "1000");
    }
    commit(&db, 0);
    for (int i = 0; i < THREADS; i++) {
        tellers[i] = (struct teller){ .db = &db, .s = i + 1, .level = level };
        rng_seed(&tellers[i].rng, seed + (uint64_t)i + 100 * level);
        txn_set_sync(db.s[i + 1], i % 3 == 0 ? TXN_SYNC_FULL : sync);
        MUST(&db, os_thread_start(&db.op, work, &tellers[i], "teller", &tellers[i].thread));
    }
    for (int i = 0; i < 3; i++) {
        MUST(&db, store_checkpoint(&db.op, db.store));
        os_sleep_us(3000);
    }
    for (int i = 0; i < THREADS; i++) {
        os_thread_join(tellers[i].thread);
    }
    struct teller last = { .db = &db, .s = 0, .level = TXN_REPEATABLE_READ };
    rng_seed(&last.rng, seed);
    begin(&db, 0, TXN_REPEATABLE_READ);
    MUST(&db, total(&db.op, &last, &sum));
    commit(&db, 0);
    assert_int_equal(sum, ACCOUNTS * START);
    assert_int_equal(atomic_load(&failures), 0);
    MUST(&db, txn_purge(&db.op, db.manager));
    assert_int_equal(txn_version_bytes(db.manager), 0);
    db_close(&db);
}

static void transfers_keep_the_total_at_read_committed(void **state)
{
    /* Readers need one snapshot for all accounts, which one statement has. */
    transfers_keep_the_total(TXN_READ_COMMITTED, TXN_SYNC_NORMAL);
}

static void transfers_keep_the_total_at_repeatable_read(void **state)
{
    transfers_keep_the_total(TXN_REPEATABLE_READ, TXN_SYNC_OFF);
}

static void transfers_keep_the_total_at_serializable(void **state)
{
    transfers_keep_the_total(TXN_SERIALIZABLE, TXN_SYNC_NORMAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transfers_keep_the_total_at_read_committed),
        cmocka_unit_test(transfers_keep_the_total_at_repeatable_read),
        cmocka_unit_test(transfers_keep_the_total_at_serializable),
    };
    seed = env_number("SEED", 1);
    transfers_each = env_number("COUNT", 400);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    printf("txn-bank seed=%llu count=%llu failures=%d\n", (unsigned long long)seed, (unsigned long long)transfers_each, failed);
    return failed;
}
