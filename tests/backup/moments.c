/*
 * moments.c -- recovery from a backup and the archive to many moments, each compared with the books of that moment.
 *
 * The database lives three lives: the first ends in a crash with a transaction in progress, the second with a clean close, so that
 * the archive has several epochs and several logs.  Backups are made in the first and in the second life, under load.
 * SEED= chooses the run, COUNT= the number of moments.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/api/api_int.h"
#include "tests/backup/bank.h"

static char folder[] = "/tmp/isolde-moments-XXXXXX";
static char first_path[100], second_path[100], archive[100], out[100], options[300];
static char backups[2][100];
static uint64_t ends[2];
static int64_t known_us[2];         /* when the end was known */
static unsigned seed;

static const char *in_folder(const char *name, char *path)
{
    snprintf(path, 100, "%s/%s", folder, name);
    return path;
}

static uint64_t backup(isolde_db *db, const char *path)
{
    isolde_backup *copy;
    isolde_err *err = NULL;
    int result;
    demand(isolde_backup_begin(db, path, 0, &copy, &err) == ISOLDE_OK, "backup: %s", isolde_error_message(err));
    while ((result = isolde_backup_step(copy, 5)) == ISOLDE_OK)
        usleep(500);
    demand(result == ISOLDE_DONE, "backup: %s", isolde_error_message(isolde_backup_error(copy)));
    uint64_t end = isolde_backup_lsn(copy);
    isolde_backup_finish(copy);
    return end;
}

/* Everything is durable and archived; then the process forgets the database, a transaction in progress included. */
static void crash(isolde_db *db)
{
    isolde_conn *conn = connect_to(db);
    run(conn, "BEGIN");
    run(conn, "UPDATE account SET balance = 0, note = 'lost'");
    run(conn, "INSERT INTO ledger SELECT 98, g, 1, 1, 1, 'lost' FROM generate_series(1, 500) g");
    demand(isolde_archive(db, NULL) == ISOLDE_OK, "archive");
    database_close(db->database);
    txn_manager_abandon(db->manager);
    store_abandon(db->store);
}

static void move_database(const char *from, const char *to)
{
    char wal_from[120], wal_to[120];
    copy_file(from, to);
    snprintf(wal_from, sizeof wal_from, "%s-wal", from);
    snprintf(wal_to, sizeof wal_to, "%s-wal", to);
    copy_file(wal_from, wal_to);
}

static void live(struct bank *bank)
{
    isolde_db *db = open_database(first_path, options);
    bank_create(bank, db, seed);
    bank_start(bank);
    bank_wait_for(bank, 30);
    ends[0] = backup(db, backups[0]);
    known_us[0] = wall_us();
    bank_wait_for(bank, 300);
    bank_stop(bank);
    crash(db);

    move_database(first_path, second_path);
    db = open_database(second_path, options);
    bank_reopen(bank, db);
    bank_start(bank);
    bank_wait_for(bank, 100);
    ends[1] = backup(db, backups[1]);
    known_us[1] = wall_us();
    bank_wait_for(bank, 200);
    bank_stop(bank);
    demand(isolde_close(db) == ISOLDE_OK, "close");

    db = open_database(second_path, options);
    bank_reopen(bank, db);
    bank_start(bank);
    bank_wait_for(bank, 300);
    bank_stop(bank);
    demand(isolde_close(db) == ISOLDE_OK, "close");
    bank_sort(bank);
}

/* ---- recovering -------------------------------------------------------------------------------------------- */

static uint64_t recover(int from, const char *until)
{
    isolde_err *err = NULL;
    uint64_t lsn = 0;
    remove_database(out);
    if (isolde_recover(backups[from], archive, until, out, 0, &lsn, &err) != ISOLDE_OK)
        demand(false, "recover to %s: %s %s (%s)", until ? until : "the end", isolde_error_sqlstate(err), isolde_error_message(err),
               isolde_error_detail(err) ? isolde_error_detail(err) : "");
    return lsn;
}

static void refuse(int from, const char *until, const char *sqlstate, const char *word)
{
    isolde_err *err = NULL;
    remove_database(out);
    demand(isolde_recover(backups[from], archive, until, out, 0, NULL, &err) == ISOLDE_ERROR, "recovery to %s is refused", until);
    demand(strcmp(isolde_error_sqlstate(err), sqlstate) == 0 && strstr(isolde_error_message(err), word), "%s: %s %s", until,
           isolde_error_sqlstate(err), isolde_error_message(err));
    isolde_error_free(err);
    demand(access(out, F_OK) != 0, "a refused recovery leaves nothing");
}

static void print_lsn(uint64_t lsn, char *text)
{
    snprintf(text, 40, "%X/%X", (unsigned)(lsn >> 32), (unsigned)lsn);
}

static void print_time(int64_t us, char *text)
{
    time_t seconds = (time_t)(us / 1000000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    size_t len = strftime(text, 40, "%Y-%m-%d %H:%M:%S", &parts);
    snprintf(text + len, 40 - len, ".%06d", (int)(us % 1000000));
}

/* A transfer that the backup does not hold. */
static const struct transfer *choose(const struct bank *bank, int from)
{
    const struct transfer *transfer;
    do
        transfer = &bank->transfers[rand_r(&seed) % bank->count];
    while (transfer->lsn < ends[from] || transfer->before_us < known_us[from]);
    return transfer;
}

static void recovery_to_a_commit_has_it_and_nothing_later(struct bank *bank, int from)
{
    const struct transfer *transfer = choose(bank, from);
    char until[40], what[100];
    print_lsn(transfer->lsn, until);
    uint64_t lsn = recover(from, until);
    demand(lsn > transfer->lsn, "recovery to %s ends before it", until);
    snprintf(what, sizeof what, "backup %d, until %s", from, until);
    bank_compare(bank, out, transfer->lsn + 1, what);
}

static void recovery_to_a_time_has_what_was_committed_by_then(struct bank *bank, int from)
{
    const struct transfer *chosen = choose(bank, from);
    char until[40], what[100];
    int64_t time = chosen->after_us;
    if (chosen->lsn >= bank->transfers[bank->count - BANK_CLERKS * 4].lsn)
        return;         /* there may be nothing behind it, and then the archive does not prove that it reaches so far */
    print_time(time, until);
    uint64_t lsn = recover(from, until);
    for (size_t i = 0; i < bank->count; i++) {
        const struct transfer *transfer = &bank->transfers[i];
        demand(transfer->after_us > time || transfer->lsn < lsn, "%s: a transfer acknowledged before is missing", until);
        demand(transfer->before_us <= time || transfer->lsn >= lsn, "%s: a transfer that began later is there", until);
    }
    snprintf(what, sizeof what, "backup %d, until %s", from, until);
    bank_compare(bank, out, lsn, what);
}

static void moments_out_of_reach_are_refused(struct bank *bank)
{
    char until[40];
    print_lsn(bank->transfers[0].lsn, until);
    refuse(1, until, "22023", "before the end of the backup");
    print_time(bank->transfers[0].after_us, until);
    refuse(1, until, "22023", "before the end of the backup");
    print_lsn(bank->transfers[bank->count - 1].lsn + (64 << 20), until);
    refuse(1, until, "22023", "behind the end");
    print_time(wall_us() + 1000000, until);
    refuse(0, until, "22023", "behind the end");
    refuse(0, "yesterday noon or so", "22023", "neither an LSN nor a time");
}

/* Name of some file of the archive behind the second backup. */
static void choose_file(char *path)
{
    char low[40], best[300] = "";
    DIR *dir = opendir(archive);
    struct dirent *entry;
    snprintf(low, sizeof low, "%016llX", (unsigned long long)ends[1]);
    while ((entry = readdir(dir)))
        if (strlen(entry->d_name) == 33 && strcmp(entry->d_name + 17, low) > 0 &&
            (best[0] == '\0' || strcmp(entry->d_name + 17, best + 17) < 0))
            snprintf(best, sizeof best, "%s", entry->d_name);
    closedir(dir);
    demand(best[0] != '\0', "the archive has files behind the second backup");
    snprintf(path, 400, "%s/%s", archive, best);
}

static void gaps_and_damage_are_named(struct bank *bank)
{
    char path[400], away[400];
    choose_file(path);
    snprintf(away, sizeof away, "%s/away", folder);
    demand(rename(path, away) == 0, "rename");
    refuse(0, NULL, "55000", "gap");
    refuse(1, NULL, "55000", "gap");
    demand(rename(away, path) == 0, "rename");
    copy_file(path, away);
    FILE *file = fopen(path, "r+b");
    fseek(file, 0, SEEK_END);
    long at = ftell(file) / 2;
    fseek(file, at, SEEK_SET);
    int byte = fgetc(file);
    fseek(file, at, SEEK_SET);
    fputc(byte ^ 0x40, file);
    fclose(file);
    refuse(1, NULL, "XX001", "damaged");
    demand(rename(away, path) == 0, "rename");
    recover(1, NULL);
    bank_compare(bank, out, UINT64_MAX, "after the archive was mended");
}

/* Two histories in one directory do not get into each other's way. */
static void a_recovered_database_archives_beside_the_old_one(struct bank *bank)
{
    char until[40];
    const struct transfer *middle = &bank->transfers[bank->count / 2];
    print_lsn(middle->lsn, until);
    recover(0, until);
    isolde_db *db = open_database(out, options);
    isolde_conn *conn = connect_to(db);
    run(conn, "UPDATE account SET note = 'another history'");
    run(conn, "INSERT INTO ledger SELECT 97, g, 1, 1, 1, repeat('other', 40) FROM generate_series(1, 5000) g");
    isolde_disconnect(conn);
    demand(isolde_close(db) == ISOLDE_OK, "close");
    recover(0, NULL);
    bank_compare(bank, out, UINT64_MAX, "the old history, after the new one");
}

/* The database is there whole or not at all, whenever the process dies; the next recovery replaces what it has left. */
static void a_killed_recovery_leaves_nothing_half_done(struct bank *bank)
{
    int whole = 0;
    for (int i = 0; i < 6; i++) {
        remove_database(out);
        pid_t pid = fork();
        if (pid == 0)
            _exit(isolde_recover(backups[1], archive, NULL, out, 0, NULL, NULL) == ISOLDE_OK ? 0 : 1);
        usleep(rand_r(&seed) % 150000);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        struct stat found;
        bool there = stat(out, &found) == 0 && found.st_size > 0;   /* an empty file only keeps the name */
        if (there) {
            bank_compare(bank, out, UINT64_MAX, "a recovery that was killed too late");
            whole++;
        } else {
            isolde_err *err = NULL;
            unlink(out);
            int rc = isolde_recover(backups[1], archive, NULL, out, 0, NULL, &err);
            demand(rc == ISOLDE_OK, "after a kill: %s %s", isolde_error_sqlstate(err), isolde_error_message(err));
            bank_compare(bank, out, UINT64_MAX, "the recovery after one that was killed");
        }
    }
    printf("  6 killed recoveries, %d of them too late\n", whole);
}

static void an_opened_backup_is_no_base_any_more(struct bank *bank)
{
    bank_compare(bank, backups[0], ends[0], "the first backup");
    refuse(0, NULL, "55000", "not a backup that recovery can start from");
}

static void empty(const char *directory)
{
    char path[400];
    DIR *dir = opendir(directory);
    struct dirent *entry;
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
            unlink(path);
        }
    closedir(dir);
    rmdir(directory);
}

/* A directory that is not there: writers go on up to the limit, are told, and go on when it is there. */
static void a_full_archive_stops_writers_only_past_its_limit(void)
{
    char path[100], nowhere[100], text[300];
    struct isolde_archive_status status;
    int inserted = 0;
    in_folder("limit.db", path);
    in_folder("nowhere", nowhere);
    snprintf(text, sizeof text, "max_wal_size=8MB archive_limit=6MB archive_timeout=20ms archive_directory=%s", nowhere);
    isolde_db *db = open_database(path, text);
    isolde_conn *conn = connect_to(db);
    run(conn, "CREATE TABLE t (id int PRIMARY KEY, v text)");
    for (;; inserted++) {
        snprintf(text, sizeof text, "INSERT INTO t SELECT g, repeat('v', 500) FROM generate_series(%d, %d) g", inserted * 100 + 1,
                 inserted * 100 + 100);
        if (isolde_exec(conn, text, NULL, NULL) != ISOLDE_OK)
            break;
        demand(inserted < 1000, "the log grows without bound");
    }
    const isolde_err *err = isolde_error(conn);
    demand(strcmp(isolde_error_sqlstate(err), "53400") == 0 && strstr(isolde_error_detail(err), "nowhere"), "%s %s",
           isolde_error_sqlstate(err), isolde_error_message(err));
    demand(inserted > 60, "writers were stopped after %d inserts", inserted);
    demand(isolde_archive_status(db, &status) == ISOLDE_OK && status.failures > 0 && status.last_error[0] != '\0' &&
           status.end - status.archived > status.limit, "the status tells nothing");
    demand(ask(conn, "SELECT count(*) FROM t") == inserted * 100, "readers go on");
    demand(mkdir(nowhere, 0700) == 0, "mkdir");
    demand(isolde_archive(db, NULL) == ISOLDE_OK && isolde_exec(conn, text, NULL, NULL) == ISOLDE_OK, "writers go on: %s",
           isolde_error_message(isolde_error(conn)));
    demand(isolde_archive_status(db, &status) == ISOLDE_OK && status.last_error[0] == '\0' && status.files > 0, "the status is good again");
    isolde_disconnect(conn);
    demand(isolde_close(db) == ISOLDE_OK, "close");
    remove_database(path);
    empty(nowhere);
}

static void clean(void)
{
    empty(archive);
    remove_database(first_path);
    remove_database(second_path);
    remove_database(out);
    unlink(backups[0]);
    unlink(backups[1]);
    rmdir(folder);
}

int main(void)
{
    struct bank bank;
    const char *chosen = getenv("SEED"), *many = getenv("COUNT");
    seed = chosen ? (unsigned)strtoul(chosen, NULL, 10) : (unsigned)getpid();
    int count = many ? atoi(many) : 50;
    unsigned first = seed;
    printf("backup moments seed=%u\n", seed);
    demand(mkdtemp(folder) != NULL, "folder");
    in_folder("app.db", first_path);
    in_folder("second.db", second_path);
    in_folder("archive", archive);
    in_folder("out.db", out);
    in_folder("one.backup", backups[0]);
    in_folder("two.backup", backups[1]);
    demand(mkdir(archive, 0700) == 0, "archive");
    snprintf(options, sizeof options, "cache_size=1MB max_wal_size=24MB page_size=4kB archive_directory=%s archive_timeout=20ms", archive);
    live(&bank);
    printf("  %zu transfers\n", bank.count);
    recover(0, NULL);
    bank_compare(&bank, out, UINT64_MAX, "everything");
    for (int i = 0; i < count; i++)
        if (i % 2)
            recovery_to_a_time_has_what_was_committed_by_then(&bank, i / 2 % 2);
        else
            recovery_to_a_commit_has_it_and_nothing_later(&bank, i / 2 % 2);
    moments_out_of_reach_are_refused(&bank);
    gaps_and_damage_are_named(&bank);
    a_recovered_database_archives_beside_the_old_one(&bank);
    a_killed_recovery_leaves_nothing_half_done(&bank);
    an_opened_backup_is_no_base_any_more(&bank);
    a_full_archive_stops_writers_only_past_its_limit();
    clean();
    bank_free(&bank);
    printf("backup moments seed=%u count=%d failures=0\n", first, count);
    return 0;
}
