/*
 * online.c -- backups made while four clerks write, compared with the books as of the backup's end.
 *
 * Also: what the calls with steps promise, and what a killed process leaves.  SEED= chooses the run, COUNT= the number of backups.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/backup/bank.h"

static char source[300], copy[300], part[320];
static unsigned seed;

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static isolde_backup *begin(isolde_db *db, int overwrite)
{
    isolde_backup *backup;
    isolde_err *err = NULL;
    demand(isolde_backup_begin(db, copy, overwrite, &backup, &err) == ISOLDE_OK, "begin: %s", isolde_error_message(err));
    return backup;
}

/* Steps of random size to the end; the LSN of the end. */
static uint64_t finish(isolde_backup *backup)
{
    int result, steps = 0;
    int64_t left = isolde_backup_remaining(backup);
    while ((result = isolde_backup_step(backup, (int)(rand_r(&seed) % 30))) == ISOLDE_OK) {
        int64_t now = isolde_backup_remaining(backup);
        demand(now <= left && now > 0 && now <= isolde_backup_total(backup), "progress goes from %lld to %lld", (long long)left,
               (long long)now);
        left = now;
        if (++steps % 8 == 0)
            usleep(1000);
    }
    demand(result == ISOLDE_DONE, "step: %s", isolde_error_message(isolde_backup_error(backup)));
    demand(isolde_backup_remaining(backup) == 0, "nothing is left at the end");
    uint64_t lsn = isolde_backup_lsn(backup);
    demand(isolde_backup_step(backup, 1) == ISOLDE_DONE && isolde_backup_finish(backup) == ISOLDE_OK, "finish");
    return lsn;
}

static void backups_under_four_writers_equal_the_books(int count)
{
    struct bank bank;
    uint64_t ends[100];
    char kept[100][320];
    isolde_db *db = open_database(source, "cache_size=1MB max_wal_size=24MB page_size=4kB");
    bank_create(&bank, db, seed);
    bank_start(&bank);
    for (int i = 0; i < count; i++) {
        bank_wait_for(&bank, 20);
        ends[i] = finish(begin(db, 1));
        snprintf(kept[i], sizeof kept[i], "%s.%d", copy, i);
        demand(rename(copy, kept[i]) == 0, "rename");
        demand(!exists(part), "the unfinished file is still there");
    }
    bank_stop(&bank);
    demand(isolde_close(db) == ISOLDE_OK, "close");
    for (int i = 0; i < count; i++) {
        bank_compare(&bank, kept[i], ends[i], kept[i]);
        remove_database(kept[i]);
    }
    bank_compare(&bank, source, UINT64_MAX, "source");
    printf("  %d backups beside %zu transfers\n", count, bank.count);
    bank_free(&bank);
    remove_database(source);
}

static void steps_keep_their_promises(void)
{
    isolde_backup *backup;
    isolde_err *err = NULL;
    isolde_db *db = open_database(source, "max_wal_size=8MB");
    isolde_conn *conn = connect_to(db);
    run(conn, "CREATE TABLE t (id int PRIMARY KEY, v text)");
    run(conn, "INSERT INTO t SELECT g, repeat('v', 100) FROM generate_series(1, 5000) g");

    backup = begin(db, 0);
    demand(isolde_backup_step(backup, 3) == ISOLDE_OK && exists(part) && !exists(copy), "after a step there is only the unfinished file");
    isolde_db *other;
    demand(isolde_open(part, "create=off", &other, &err) == ISOLDE_ERROR && strcmp(isolde_error_sqlstate(err), "55006") == 0,
           "a backup in progress is locked: %s", isolde_error_message(err));
    isolde_error_free(err);
    demand(isolde_backup_begin(db, copy, 0, &(isolde_backup *){ NULL }, &err) == ISOLDE_ERROR &&
           strcmp(isolde_error_sqlstate(err), "55006") == 0, "two backups to one place");
    isolde_error_free(err);
    isolde_disconnect(conn);
    demand(isolde_close(db) == ISOLDE_ERROR, "a database is not closed under a backup");
    conn = connect_to(db);
    demand(isolde_backup_finish(backup) == ISOLDE_ERROR && !exists(part) && !exists(copy), "what is given up leaves nothing");
    demand(isolde_backup_step(backup, 1) == ISOLDE_MISUSE, "a finished handle is known");

    backup = begin(db, 0);
    demand(isolde_backup_step(backup, -1) == ISOLDE_DONE && exists(copy), "one step for all");
    demand(isolde_backup_finish(backup) == ISOLDE_OK, "finish");
    demand(isolde_backup_begin(db, copy, 0, &backup, &err) == ISOLDE_ERROR && strcmp(isolde_error_sqlstate(err), "58P02") == 0,
           "no file is overwritten unasked");
    isolde_error_free(err);
    demand(isolde_backup_begin(db, source, 1, &backup, &err) == ISOLDE_ERROR && strcmp(isolde_error_sqlstate(err), "55006") == 0,
           "nor an open database: %s", isolde_error_message(err));
    isolde_error_free(err);

    backup = begin(db, 1);
    demand(isolde_backup_step(backup, 2) == ISOLDE_OK, "step");
    for (int i = 0; i < 20; i++) {
        run(conn, "UPDATE t SET v = v || 'w'");
        run(conn, "CHECKPOINT");
    }
    demand(isolde_backup_step(backup, -1) == ISOLDE_ERROR &&
           strcmp(isolde_error_sqlstate(isolde_backup_error(backup)), "55000") == 0, "a backup that stands still gives the log up");
    demand(isolde_backup_step(backup, 1) == ISOLDE_ERROR && isolde_backup_finish(backup) == ISOLDE_ERROR && exists(copy),
           "the old backup stays when a new one fails");
    isolde_disconnect(conn);
    demand(isolde_close(db) == ISOLDE_OK, "close");
    remove_database(copy);
    remove_database(source);
}

/* A child makes backups over and over beside its clerks, until it is killed. */
static void child(int channel)
{
    struct bank bank;
    char tell = 0;
    isolde_db *db = open_database(source, "cache_size=1MB max_wal_size=24MB");
    bank_create(&bank, db, seed);
    bank_start(&bank);
    for (;;) {
        bank_wait_for(&bank, 3);
        finish(begin(db, 1));
        if (write(channel, &tell, 1) != 1)
            _exit(4);
    }
}

static void expect_whole(isolde_db *db)
{
    isolde_conn *conn = connect_to(db);
    demand(ask(conn, "SELECT sum(balance) FROM account") == BANK_ACCOUNTS * BANK_OPENING, "money is gone from the copy");
    demand(ask(conn, "SELECT count(*) FROM ledger WHERE clerk = 99") == 0, "a dream came true in the copy");
    isolde_disconnect(conn);
    demand(isolde_close(db) == ISOLDE_OK, "close");
}

/* What a killed backup has left beside its name is refused; or it is finished, and only lacks its name. */
static void look_at_part(void)
{
    isolde_err *err = NULL;
    isolde_db *db;
    if (isolde_open(part, "create=off read_only=on", &db, &err) == ISOLDE_OK) {
        expect_whole(db);
        return;
    }
    demand(strcmp(isolde_error_sqlstate(err), "55000") == 0 || strcmp(isolde_error_sqlstate(err), "XX002") == 0,
           "an unfinished backup is refused by name: %s", isolde_error_message(err));
    isolde_error_free(err);
}

static void a_killed_backup_leaves_the_old_one_whole(int rounds)
{
    int unfinished = 0;
    for (int i = 0; i < rounds; i++) {
        int channel[2];
        char tell;
        demand(pipe(channel) == 0, "pipe");
        pid_t pid = fork();
        if (pid == 0)
            child(channel[1]);
        demand(read(channel[0], &tell, 1) == 1, "the first backup of the child");
        usleep(rand_r(&seed) % 60000);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        close(channel[0]);
        close(channel[1]);
        if (exists(part)) {
            unfinished++;
            look_at_part();
        }
        expect_whole(open_database(copy, "create=off"));
        remove_database(source);
        unlink(copy);           /* the unfinished file stays: the next child replaces it */
    }
    remove_database(copy);
    printf("  %d kills, %d left an unfinished file\n", rounds, unfinished);
}

int main(void)
{
    char folder[] = "/tmp/isolde-backup-XXXXXX";
    const char *chosen = getenv("SEED"), *many = getenv("COUNT");
    seed = chosen ? (unsigned)strtoul(chosen, NULL, 10) : (unsigned)getpid();
    int count = many ? atoi(many) : 6;
    unsigned first = seed;
    demand(count <= 100, "COUNT is at most 100");
    printf("backup online seed=%u\n", seed);
    demand(mkdtemp(folder) != NULL, "folder");
    snprintf(source, sizeof source, "%s/app.db", folder);
    snprintf(copy, sizeof copy, "%s/copy.db", folder);
    snprintf(part, sizeof part, "%s/copy.db-part", folder);
    steps_keep_their_promises();
    a_killed_backup_leaves_the_old_one_whole(count);
    backups_under_four_writers_equal_the_books(count);
    rmdir(folder);
    printf("backup online seed=%u count=%d failures=0\n", first, count);
    return 0;
}
