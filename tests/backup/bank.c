/* bank.c -- the clerks, and the books (see bank.h). */
#include "tests/backup/bank.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void demand(bool good, const char *format, ...)
{
    va_list args;
    if (good)
        return;
    va_start(args, format);
    fputs("FAILED: ", stderr);
    vfprintf(stderr, format, args);
    putc('\n', stderr);
    va_end(args);
    _exit(1);
}

int64_t wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void run(isolde_conn *conn, const char *sql)
{
    if (isolde_exec(conn, sql, NULL, NULL) != ISOLDE_OK) {
        const isolde_err *err = isolde_error(conn);
        demand(false, "%s: %s %s", sql, isolde_error_sqlstate(err), isolde_error_message(err));
    }
}

isolde_db *open_database(const char *path, const char *options)
{
    isolde_db *db;
    isolde_err *err = NULL;
    if (isolde_open(path, options, &db, &err) != ISOLDE_OK)
        demand(false, "open %s: %s %s (%s)", path, isolde_error_sqlstate(err), isolde_error_message(err),
               isolde_error_detail(err) ? isolde_error_detail(err) : "");
    return db;
}

isolde_conn *connect_to(isolde_db *db)
{
    isolde_conn *conn;
    demand(isolde_connect(db, &conn, NULL) == ISOLDE_OK, "connect");
    return conn;
}

static int first_number(void *arg, int columns, const char *const *values, const char *const *names)
{
    (void)columns;
    (void)names;
    *(long long *)arg = values[0] ? atoll(values[0]) : 0;
    return 0;
}

long long ask(isolde_conn *conn, const char *sql)
{
    long long number = -1;
    if (isolde_exec(conn, sql, first_number, &number) != ISOLDE_OK) {
        const isolde_err *err = isolde_error(conn);
        demand(false, "%s: %s %s", sql, isolde_error_sqlstate(err), isolde_error_message(err));
    }
    return number;
}

void copy_file(const char *from, const char *to)
{
    static char buffer[65536];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    size_t got;
    demand(in && out, "copy %s to %s", from, to);
    while ((got = fread(buffer, 1, sizeof buffer, in)) > 0)
        demand(fwrite(buffer, 1, got, out) == got, "write %s", to);
    fclose(in);
    demand(fclose(out) == 0, "close %s", to);
}

void remove_database(const char *path)
{
    static const char *const suffixes[] = { "", "-wal", "-dw", "-tmp", "-part", "-part-wal", "-part-dw", "-part-new" };
    char name[400];
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        unlink(name);
    }
}

/* ---- the clerks ----------------------------------------------------------------------------------------- */

void bank_create(struct bank *bank, isolde_db *db, unsigned seed)
{
    char sql[400];
    memset(bank, 0, sizeof *bank);
    pthread_mutex_init(&bank->mutex, NULL);
    bank->seed = seed;
    bank->db = db;
    bank->pipe = -1;
    isolde_conn *conn = connect_to(db);
    run(conn, "CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL, note text)");
    run(conn, "CREATE TABLE ledger (clerk int, number int, source int, target int, amount int, filler text,"
              " PRIMARY KEY (clerk, number))");
    run(conn, "CREATE INDEX ledger_target ON ledger (target, amount)");
    snprintf(sql, sizeof sql, "INSERT INTO account SELECT g, %d, 'opened' FROM generate_series(1, %d) g", BANK_OPENING, BANK_ACCOUNTS);
    run(conn, sql);
    isolde_disconnect(conn);
}

void bank_reopen(struct bank *bank, isolde_db *db)
{
    bank->db = db;
}

struct clerk {
    struct bank *bank;
    int index;
    unsigned seed;
    isolde_conn *conn;
};

static bool try_run(struct clerk *clerk, const char *sql)
{
    if (isolde_exec(clerk->conn, sql, NULL, NULL) == ISOLDE_OK)
        return true;
    const isolde_err *err = isolde_error(clerk->conn);
    demand(isolde_error_retryable(err), "%s: %s %s", sql, isolde_error_sqlstate(err), isolde_error_message(err));
    return false;
}

static bool transact(struct clerk *clerk, const struct transfer *transfer)
{
    char sql[900], filler[500];
    unsigned dice = rand_r(&clerk->seed) % 20;
    int len = (int)(rand_r(&clerk->seed) % 300);
    memset(filler, 'a' + clerk->index, (size_t)len);
    filler[len] = '\0';
    if (!try_run(clerk, "BEGIN"))
        return false;
    if (dice == 0) {
        snprintf(sql, sizeof sql, "SAVEPOINT s; UPDATE account SET balance = -1, note = '%s' WHERE id = %d; ROLLBACK TO s", filler,
                 transfer->from);
        if (!try_run(clerk, sql))
            return false;
    }
    snprintf(sql, sizeof sql, "UPDATE account SET balance = balance - %d WHERE id = %d", transfer->amount, transfer->from);
    if (!try_run(clerk, sql))
        return false;
    snprintf(sql, sizeof sql, "UPDATE account SET balance = balance + %d WHERE id = %d", transfer->amount, transfer->to);
    if (!try_run(clerk, sql))
        return false;
    snprintf(sql, sizeof sql, "INSERT INTO ledger VALUES (%d, %d, %d, %d, %d, '%s')", transfer->clerk, transfer->number,
             transfer->from, transfer->to, transfer->amount, filler);
    if (!try_run(clerk, sql))
        return false;
    if (dice == 1) {
        try_run(clerk, "ROLLBACK");
        return false;
    }
    return try_run(clerk, "COMMIT");
}

static void note(struct bank *bank, const struct transfer *transfer)
{
    pthread_mutex_lock(&bank->mutex);
    if (bank->count == bank->capacity) {
        bank->capacity = bank->capacity ? 2 * bank->capacity : 1024;
        bank->transfers = realloc(bank->transfers, bank->capacity * sizeof *bank->transfers);
        demand(bank->transfers != NULL, "out of memory");
    }
    bank->transfers[bank->count++] = *transfer;
    pthread_mutex_unlock(&bank->mutex);
    atomic_fetch_add(&bank->committed, 1);
    int told[2] = { transfer->clerk, transfer->number };
    if (bank->pipe >= 0 && write(bank->pipe, told, sizeof told) != (ssize_t)sizeof told)
        _exit(4);
}

static void *work(void *arg)
{
    struct clerk *clerk = arg;
    struct bank *bank = clerk->bank;
    int *number = &bank->last_number[clerk->index];
    clerk->conn = connect_to(bank->db);
    if (clerk->index % 2)
        run(clerk->conn, "SET synchronous_commit = off");
    while (!atomic_load(&bank->stop)) {
        struct transfer transfer = { .clerk = clerk->index, .number = *number + 1,
            .from = (int)(rand_r(&clerk->seed) % BANK_ACCOUNTS) + 1, .to = (int)(rand_r(&clerk->seed) % BANK_ACCOUNTS) + 1,
            .amount = (int)(rand_r(&clerk->seed) % 50) };
        transfer.before_us = wall_us();
        if (transact(clerk, &transfer)) {
            transfer.after_us = wall_us();
            transfer.lsn = isolde_commit_lsn(clerk->conn);
            (*number)++;
            note(bank, &transfer);
        } else if (isolde_transaction_status(clerk->conn) != 'I') {
            run(clerk->conn, "ROLLBACK");
        }
    }
    isolde_disconnect(clerk->conn);
    free(clerk);
    return NULL;
}

/* Writes much and commits nothing: somebody is always in progress. */
static void *dream(void *arg)
{
    struct clerk *clerk = arg;
    struct bank *bank = clerk->bank;
    char sql[300];
    clerk->conn = connect_to(bank->db);
    for (int round = 0; !atomic_load(&bank->stop); round++) {
        run(clerk->conn, "BEGIN");
        for (int i = 0; i < 40 && !atomic_load(&bank->stop); i++) {
            snprintf(sql, sizeof sql, "INSERT INTO ledger VALUES (99, %d, 1, %d, 1, repeat('dream', 50))", round * 100 + i, i);
            run(clerk->conn, sql);
            usleep(1000);
        }
        run(clerk->conn, "ROLLBACK");
    }
    isolde_disconnect(clerk->conn);
    free(clerk);
    return NULL;
}

void bank_start(struct bank *bank)
{
    atomic_store(&bank->stop, false);
    for (int i = 0; i <= BANK_CLERKS; i++) {
        struct clerk *clerk = calloc(1, sizeof *clerk);
        demand(clerk != NULL, "out of memory");
        *clerk = (struct clerk){ bank, i, bank->seed * 31 + (unsigned)i + (unsigned)bank->count, NULL };
        demand(pthread_create(&bank->threads[i], NULL, i < BANK_CLERKS ? work : dream, clerk) == 0, "thread");
    }
}

void bank_stop(struct bank *bank)
{
    atomic_store(&bank->stop, true);
    for (int i = 0; i <= BANK_CLERKS; i++)
        pthread_join(bank->threads[i], NULL);
}

void bank_wait_for(struct bank *bank, int more)
{
    int goal = atomic_load(&bank->committed) + more;
    while (atomic_load(&bank->committed) < goal)
        usleep(500);
}

void bank_free(struct bank *bank)
{
    free(bank->transfers);
    pthread_mutex_destroy(&bank->mutex);
}

/* ---- the books ------------------------------------------------------------------------------------------ */

static int by_lsn(const void *a, const void *b)
{
    const struct transfer *x = a, *y = b;
    return x->lsn < y->lsn ? -1 : x->lsn > y->lsn;
}

void bank_sort(struct bank *bank)
{
    qsort(bank->transfers, bank->count, sizeof *bank->transfers, by_lsn);
}

struct books {
    const char *what;
    long long balances[BANK_ACCOUNTS + 1];
    int last[BANK_CLERKS];      /* highest number of each clerk */
    int rows;
    char finding[500];
};

static int compare_account(void *arg, int columns, const char *const *values, const char *const *names)
{
    struct books *books = arg;
    int id = atoi(values[0]);
    (void)columns;
    (void)names;
    demand(atoll(values[1]) == books->balances[id], "%s: account %d has %s, not %lld", books->what, id, values[1],
           books->balances[id]);
    demand(strcmp(values[2], "opened") == 0, "%s: account %d has the note %s", books->what, id, values[2]);
    books->rows++;
    return 0;
}

static int keep_finding(void *arg, int columns, const char *const *values, const char *const *names)
{
    struct books *books = arg;
    (void)columns;
    (void)names;
    snprintf(books->finding, sizeof books->finding, "%s", values[0]);
    return 0;
}

void bank_compare(struct bank *bank, const char *path, uint64_t end, const char *what)
{
    struct books books = { .what = what };
    long long expected = 0, amounts = 0;
    char sql[200];
    for (int i = 1; i <= BANK_ACCOUNTS; i++)
        books.balances[i] = BANK_OPENING;
    for (size_t i = 0; i < bank->count; i++) {
        const struct transfer *transfer = &bank->transfers[i];
        if (transfer->lsn >= end)
            continue;
        books.balances[transfer->from] -= transfer->amount;
        books.balances[transfer->to] += transfer->amount;
        if (transfer->number > books.last[transfer->clerk])
            books.last[transfer->clerk] = transfer->number;
        expected++;
        amounts += transfer->amount;
    }
    isolde_db *db = open_database(path, "create=off");
    isolde_conn *conn = connect_to(db);
    demand(isolde_exec(conn, "SELECT id, balance, note FROM account ORDER BY id", compare_account, &books) == ISOLDE_OK, "%s: %s", what,
           isolde_error_message(isolde_error(conn)));
    demand(books.rows == BANK_ACCOUNTS, "%s: %d accounts", what, books.rows);
    long long rows = ask(conn, "SELECT count(*) FROM ledger");
    demand(rows == expected, "%s: %lld rows in the ledger, not %lld", what, rows, expected);
    demand(ask(conn, "SELECT coalesce(sum(amount), 0) FROM ledger") == amounts, "%s: the ledger's amounts differ", what);
    for (int i = 0; i < BANK_CLERKS; i++) {
        snprintf(sql, sizeof sql, "SELECT coalesce(max(number), 0) FROM ledger WHERE clerk = %d", i);
        demand(ask(conn, sql) == books.last[i], "%s: clerk %d ends at another transfer than %d", what, i, books.last[i]);
    }
    demand(isolde_exec(conn, "CHECK DATABASE", keep_finding, &books) == ISOLDE_OK, "%s: check", what);
    demand(strstr(books.finding, "no error found") != NULL, "%s: %s", what, books.finding);
    isolde_disconnect(conn);
    demand(isolde_close(db) == ISOLDE_OK, "%s: close", what);
}
