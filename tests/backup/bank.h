/*
 * bank.h -- a bank with several clerks, and what its books must show at any moment: for the tests of backups and recovery.
 *
 * Clerks are threads that move money between accounts, each transfer a transaction that also enters itself in a ledger; now and
 * then one rolls back, wholly or to a savepoint.  One more keeps a transaction open for long and never commits it.  Each commit is noted with its LSN.
 * Since transfers add up in any order, the books at a moment are the opening balances and all transfers whose LSN is lower.
 */
#ifndef TESTS_BACKUP_BANK_H
#define TESTS_BACKUP_BANK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

#include "src/isolde.h"

enum { BANK_CLERKS = 4, BANK_ACCOUNTS = 60, BANK_OPENING = 1000 };

struct transfer {
    uint64_t lsn;               /* of the commit */
    int64_t before_us, after_us;    /* wall clock around the COMMIT */
    int clerk, number, from, to, amount;
};

struct bank {
    isolde_db *db;
    unsigned seed;
    atomic_bool stop;
    atomic_int committed;
    pthread_mutex_t mutex;
    struct transfer *transfers; /* in the order in which they were noted */
    size_t count, capacity;
    pthread_t threads[BANK_CLERKS + 1];
    int last_number[BANK_CLERKS + 1];
    int pipe;                   /* -1, or where (clerk, number) is told after each commit */
};

/* Ends the test unless `good`. */
void demand(bool good, const char *format, ...) __attribute__((format(printf, 2, 3)));
void run(isolde_conn *conn, const char *sql);
isolde_db *open_database(const char *path, const char *options);
isolde_conn *connect_to(isolde_db *db);
/* The first value of the first row as a number. */
long long ask(isolde_conn *conn, const char *sql);
void copy_file(const char *from, const char *to);
void remove_database(const char *path);
int64_t wall_us(void);

void bank_create(struct bank *bank, isolde_db *db, unsigned seed);
/* Goes on with another handle of the same bank. */
void bank_reopen(struct bank *bank, isolde_db *db);
void bank_start(struct bank *bank);
void bank_stop(struct bank *bank);
void bank_wait_for(struct bank *bank, int more);     /* until that many more transfers are committed */
void bank_free(struct bank *bank);
/* Sorts the transfers by LSN. */
void bank_sort(struct bank *bank);
/* Opens the database, has it checked, and compares its books with those before `end` (commits below it). */
void bank_compare(struct bank *bank, const char *path, uint64_t end, const char *what);

#endif
