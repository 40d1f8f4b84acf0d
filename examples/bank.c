/*
 * bank.c -- an embedded bank: eight threads move money between a hundred accounts, serializably, and none is lost.
 *
 * It shows what a program with concurrent writers needs of Isolde: one database, a connection per thread, prepared
 * statements, and isolde_run, which repeats a transaction that lost a conflict.
 *
 *      cc bank.c $(pkg-config --cflags --libs isolde) -pthread -o bank
 *      ./bank [DATABASE [TRANSFERS-PER-THREAD]]
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <isolde.h>

enum { THREADS = 8, ACCOUNTS = 100, OPENING_BALANCE = 1000 };

struct transfer {
    int64_t from, to, amount;
    isolde_stmt *read, *change;     /* prepared once per connection */
    int refused;                    /* the account did not hold enough */
};

struct teller {
    isolde_db *db;
    unsigned seed;
    int transfers, failures, refused;
};

static int complain(const char *what, const isolde_err *err)
{
    fprintf(stderr, "%s: %s: %s\n", what, isolde_error_sqlstate(err), isolde_error_message(err));
    return -1;
}

static int change_balance(struct transfer *t, int64_t account, int64_t amount)
{
    isolde_bind_int64(t->change, 1, account);
    isolde_bind_int64(t->change, 2, amount);
    return isolde_step(t->change) == ISOLDE_DONE ? 0 : -1;
}

/* The body of the transaction.  isolde_run commits when it returns 0, and calls it again after a conflict. */
static int move_money(isolde_conn *conn, void *arg)
{
    struct transfer *t = arg;
    (void)conn;
    t->refused = 0;
    isolde_bind_int64(t->read, 1, t->from);
    if (isolde_step(t->read) != ISOLDE_ROW)
        return -1;
    int64_t balance = isolde_column_int64(t->read, 0);
    isolde_reset(t->read);
    if (balance < t->amount) {
        t->refused = 1;
        return 0;
    }
    if (change_balance(t, t->from, -t->amount) != 0)
        return -1;
    return change_balance(t, t->to, t->amount);
}

static void *work(void *arg)
{
    struct teller *teller = arg;
    struct transfer t = { 0 };
    isolde_conn *conn = NULL;
    isolde_err *err = NULL;
    if (isolde_connect(teller->db, &conn, &err) != ISOLDE_OK
        || isolde_prepare(conn, "SELECT balance FROM account WHERE id = $1", -1, &t.read) != ISOLDE_OK
        || isolde_prepare(conn, "UPDATE account SET balance = balance + $2 WHERE id = $1", -1, &t.change) != ISOLDE_OK) {
        complain("connect", err ? err : isolde_error(conn));
        isolde_error_free(err);
        teller->failures++;
        return NULL;
    }
    for (int i = 0; i < teller->transfers; i++) {
        t.from = rand_r(&teller->seed) % ACCOUNTS;
        t.to = rand_r(&teller->seed) % ACCOUNTS;
        t.amount = rand_r(&teller->seed) % 300;
        if (isolde_run(conn, "BEGIN ISOLATION LEVEL SERIALIZABLE", move_money, &t, 0) != 0) {
            complain("transfer", isolde_error(conn));
            teller->failures++;
        }
        teller->refused += t.refused;
    }
    isolde_finalize(t.read);
    isolde_finalize(t.change);
    isolde_disconnect(conn);
    return NULL;
}

static int open_bank(isolde_conn *conn)
{
    char insert[160];
    snprintf(insert, sizeof insert, "INSERT INTO account SELECT id, %d FROM generate_series(0, %d) AS id", OPENING_BALANCE,
             ACCOUNTS - 1);
    if (isolde_exec(conn, "DROP TABLE IF EXISTS account", NULL, NULL) != ISOLDE_OK
        || isolde_exec(conn, "CREATE TABLE account (id bigint PRIMARY KEY, balance bigint NOT NULL)", NULL, NULL) != ISOLDE_OK
        || isolde_exec(conn, insert, NULL, NULL) != ISOLDE_OK)
        return complain("open the bank", isolde_error(conn));
    return 0;
}

static int keep_total(void *arg, int columns, const char *const *values, const char *const *names)
{
    (void)columns;
    (void)names;
    *(long long *)arg = values[0] ? atoll(values[0]) : -1;
    return 0;
}

int main(int argc, char **argv)
{
    isolde_db *db = NULL;
    isolde_conn *conn = NULL;
    isolde_err *err = NULL;
    pthread_t threads[THREADS];
    struct teller tellers[THREADS];
    long long total = -1;
    int failures = 0, refused = 0, transfers = argc > 2 ? atoi(argv[2]) : 500;

    if (isolde_open(argc > 1 ? argv[1] : ":memory:", "synchronous=normal", &db, &err) != ISOLDE_OK
        || isolde_connect(db, &conn, &err) != ISOLDE_OK) {
        if (err)
            complain("open", err);
        isolde_error_free(err);
        return 1;
    }
    if (open_bank(conn) != 0)
        return 1;
    for (int i = 0; i < THREADS; i++) {
        tellers[i] = (struct teller){ .db = db, .seed = (unsigned)i + 1, .transfers = transfers };
        pthread_create(&threads[i], NULL, work, &tellers[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        failures += tellers[i].failures;
        refused += tellers[i].refused;
    }
    isolde_exec(conn, "SELECT sum(balance) FROM account", keep_total, &total);
    printf("%d transfers by %d threads, %d refused, %d failed: the bank holds %lld\n", transfers * THREADS, THREADS, refused,
           failures, total);
    isolde_disconnect(conn);
    isolde_close(db);
    return failures == 0 && total == (long long)ACCOUNTS * OPENING_BALANCE ? 0 : 1;
}
