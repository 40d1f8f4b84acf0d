/*
 * salvage.c -- what is not damaged can be had back: `isolde_salvage` on files that were spoilt in many ways.
 *
 * Each row of the test database holds a word of its own, "needle 000042;", so that the bytes of a file tell which page
 * holds which row.  The rule of all cases:
 *
 *  S1  A row whose leaf has not been damaged is in the new file.
 *  S2  The new file passes CHECK DATABASE.
 *  S3  The damaged file and its log are as they were.
 *  S4  If the new file has fewer rows than the old one, that is said.
 *
 * SEED= repeats a run, COUNT= is the number of random damages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "src/base/rng.h"
#include "src/isolde.h"

enum { ROWS = 3000, PAGE_BYTES = 4096, LONG_EVERY = 500 };

static char folder[200], path[250], wal_path[260], out_path[260];
static char report[20000];

static int make_folder(void **state)
{
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/isolde-salvage.XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/app.db", folder);
    snprintf(wal_path, sizeof wal_path, "%s-wal", path);
    snprintf(out_path, sizeof out_path, "%s/new.db", folder);
    return 0;
}

static int remove_folder(void **state)
{
    char command[250];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

/* ---- the database --------------------------------------------------------------------------------- */

static void run(isolde_conn *conn, const char *sql)
{
    if (isolde_exec(conn, sql, NULL, NULL) != ISOLDE_OK)
        fail_msg("%s: %s", sql, isolde_error_message(isolde_error(conn)));
}

static isolde_db *open_database(const char *name, isolde_conn **conn)
{
    isolde_db *db;
    isolde_err *err = NULL;
    if (isolde_open(name, "page_size=4096", &db, &err) != ISOLDE_OK || isolde_connect(db, conn, &err) != ISOLDE_OK)
        fail_msg("open: %s", isolde_error_message(err));
    return db;
}

/* Two tables, indexes of both kinds, rows that were deleted, a table that was dropped, long values. */
static void fill(isolde_conn *conn)
{
    run(conn, "CREATE TABLE victim (id int PRIMARY KEY, word text, part int UNIQUE, more text)");
    run(conn, "CREATE INDEX victim_part ON victim ((part / 7), id)");
    run(conn, "CREATE TABLE heap (word text, n int)");
    run(conn, "CREATE TABLE gone (a int, word text); INSERT INTO gone SELECT i, 'hay' FROM generate_series(1, 500) AS s (i); DROP TABLE gone");
}

static void fill_rows(isolde_conn *conn)
{
    char sql[400];
    snprintf(sql, sizeof sql,
             "INSERT INTO victim SELECT i, 'needle ' || lpad(i::text, 6, '0') || ';', i * 3, CASE WHEN i %% %d = 0 THEN "
             "repeat('long', 5000) END FROM generate_series(1, %d) AS s (i)", LONG_EVERY, ROWS / 2);
    run(conn, sql);
    snprintf(sql, sizeof sql, "INSERT INTO heap SELECT 'needle ' || lpad(i::text, 6, '0') || ';', i FROM generate_series(%d, %d) AS s (i)",
             ROWS / 2 + 1, ROWS);
    run(conn, sql);
    run(conn, "INSERT INTO victim SELECT i, 'straw', i * 3 FROM generate_series(10001, 11000) AS s (i)");
    run(conn, "DELETE FROM victim WHERE id > 10000");
}

static void make_database(void)
{
    isolde_conn *conn;
    unlink(path);
    isolde_db *db = open_database(path, &conn);
    fill(conn);
    fill_rows(conn);
    isolde_disconnect(conn);
    assert_int_equal(isolde_close(db), ISOLDE_OK);
}

/* As a killed process leaves it, with a transaction in progress. */
static void make_crashed_database(void)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        isolde_conn *conn;
        open_database(path, &conn);
        fill(conn);
        run(conn, "CHECKPOINT");
        fill_rows(conn);
        run(conn, "BEGIN; UPDATE victim SET word = 'other' WHERE id = 7; INSERT INTO victim VALUES (-1, 'never', -1)");
        _exit(0);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static unsigned char *read_file(const char *name, size_t *len)
{
    FILE *file = fopen(name, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *len = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = malloc(*len + 1);
    assert_int_equal(fread(bytes, 1, *len, file), *len);
    fclose(file);
    return bytes;
}

static void write_file(const char *name, const unsigned char *bytes, size_t len)
{
    FILE *file = fopen(name, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    fclose(file);
}

/* ---- salvaging ------------------------------------------------------------------------------------ */

static void keep_line(void *arg, const char *line)
{
    size_t len = strlen(report);
    snprintf(report + len, sizeof report - len, "%s\n", line);
}

static uint64_t salvage(void)
{
    isolde_err *err = NULL;
    uint64_t lost;
    report[0] = '\0';
    unlink(out_path);
    if (isolde_salvage(path, out_path, keep_line, NULL, &lost, &err) != ISOLDE_OK)
        fail_msg("salvage: %s\n%s", isolde_error_message(err), report);
    return lost;
}

static int keep_last(void *arg, int columns, const char *const *values, const char *const *names)
{
    snprintf(arg, 300, "%s", values[0] ? values[0] : "");
    return 0;
}

static void ask(isolde_conn *conn, const char *sql, char answer[300])
{
    answer[0] = '\0';
    if (isolde_exec(conn, sql, keep_last, answer) != ISOLDE_OK)
        fail_msg("%s: %s\n%s", sql, isolde_error_message(isolde_error(conn)), report);
}

static void expect(isolde_conn *conn, const char *sql, const char *wanted)
{
    char answer[300];
    ask(conn, sql, answer);
    if (!strstr(answer, wanted))
        fail_msg("%s: \"%s\" where \"%s\" was expected\n%s", sql, answer, wanted, report);
}

/* S2, and new rows can be added. */
static void expect_whole(void)
{
    isolde_conn *conn;
    isolde_db *db = open_database(out_path, &conn);
    expect(conn, "CHECK DATABASE", "no error found");
    run(conn, "CREATE TABLE another (a int); INSERT INTO another VALUES (1), (2); DROP TABLE another");
    isolde_disconnect(conn);
    assert_int_equal(isolde_close(db), ISOLDE_OK);
}

/* Marks the words that stand in the bytes, plain or in hexadecimal; pages[] gets where. */
static void find_words(const unsigned char *bytes, size_t len, bool found[ROWS + 1], size_t pages[ROWS + 1])
{
    memset(found, 0, (ROWS + 1) * sizeof *found);
    for (size_t i = 0; i + 28 <= len; i++) {
        char text[15] = "";
        if (bytes[i] == 'n' && memcmp(bytes + i, "needle ", 7) == 0) {
            memcpy(text, bytes + i, 14);
        } else if (bytes[i] == '6' && memcmp(bytes + i, "6e6565646c6520", 14) == 0) {
            for (int k = 0; k < 14; k++) {
                unsigned value = 0;
                sscanf((const char *)bytes + i + 2 * k, "%2x", &value);
                text[k] = (char)value;
            }
        }
        if (text[13] != ';')
            continue;
        int n = atoi(text + 7);
        if (n < 1 || n > ROWS)
            continue;
        found[n] = true;
        pages[n] = i / PAGE_BYTES;
    }
}

static void undamaged_database_is_copied_whole(void **state)
{
    isolde_conn *conn;
    make_database();
    assert_int_equal(salvage(), 0);
    assert_non_null(strstr(report, "nothing is lost"));
    expect_whole();
    isolde_db *db = open_database(out_path, &conn);
    expect(conn, "SELECT count(*) FROM victim", "1500");
    expect(conn, "SELECT count(*) FROM heap", "1500");
    expect(conn, "SELECT sum(length(more)) FROM victim", "60000");
    run(conn, "INSERT INTO heap VALUES ('new', 0)");
    expect(conn, "SELECT count(*) FROM heap", "1501");
    isolde_disconnect(conn);
    isolde_close(db);
}

/* Some pages get random bytes: whole, in one byte, or zeroed. */
static void damage(struct rng *rng, unsigned char *bytes, size_t len, bool *spoilt, size_t from, int count)
{
    for (int i = 0; i < count; i++) {
        size_t page = from + rng_below(rng, len / PAGE_BYTES - from);
        unsigned char *at = bytes + page * PAGE_BYTES;
        spoilt[page] = true;
        switch (rng_below(rng, 3)) {
        case 0: at[rng_below(rng, PAGE_BYTES)] ^= (unsigned char)(1u << rng_below(rng, 8)); break;
        case 1: memset(at + 512 * rng_below(rng, 8), 0, 512); at[17] ^= 0x55; break;
        default:
            for (int k = 0; k < PAGE_BYTES; k++)
                at[k] = (unsigned char)rng_next(rng);
        }
    }
}

static void rows_on_undamaged_leaves_come_back(void **state)
{
    unsigned long seed = getenv("SEED") ? strtoul(getenv("SEED"), NULL, 10) : 1;
    int count = getenv("COUNT") ? atoi(getenv("COUNT")) : 12;
    static bool before[ROWS + 1], after[ROWS + 1], spoilt[100000];
    static size_t pages[ROWS + 1], new_pages[ROWS + 1];
    struct rng rng;
    size_t len, out_len, now_len;
    make_database();
    unsigned char *whole = read_file(path, &len), *bytes = malloc(len);
    find_words(whole, len, before, pages);
    rng_seed(&rng, seed);
    printf("salvage seed=%lu\n", seed);
    for (int i = 0; i < count; i++) {
        memcpy(bytes, whole, len);
        memset(spoilt, 0, sizeof spoilt);
        damage(&rng, bytes, len, spoilt, i % 4 == 0 ? 0 : 1, 1 + (int)rng_below(&rng, i % 3 == 0 ? 40 : 4));
        write_file(path, bytes, len);
        uint64_t lost = salvage();
        unsigned char *out = read_file(out_path, &out_len), *now = read_file(path, &now_len);
        find_words(out, out_len, after, new_pages);
        for (int n = 1; n <= ROWS; n++) {
            if (before[n] && !spoilt[pages[n]] && !after[n] && n % LONG_EVERY != 0)
                fail_msg("row %d was on page %zu, which is whole, and is gone (damage %d)\n%s", n, pages[n], i, report);
            if (before[n] && !after[n])
                assert_true(lost > 0);
        }
        assert_int_equal(now_len, len);
        assert_memory_equal(now, bytes, len);
        free(out);
        free(now);
        expect_whole();
    }
    free(whole);
    free(bytes);
    printf("salvage seed=%lu count=%d failures=0\n", seed, count);
}

static void crashed_database_is_brought_up_to_date(void **state)
{
    isolde_conn *conn;
    make_crashed_database();
    assert_int_equal(salvage(), 0);
    expect_whole();
    isolde_db *db = open_database(out_path, &conn);
    expect(conn, "SELECT count(*) FROM victim", "1500");
    expect(conn, "SELECT word FROM victim WHERE id = 7", "needle 000007;");
    isolde_disconnect(conn);
    isolde_close(db);
}

/* Whatever happens to the log, what was checkpointed is there. */
static void damaged_log_gives_what_it_can(void **state)
{
    struct rng rng;
    size_t len;
    isolde_conn *conn;
    make_crashed_database();
    unsigned char *log = read_file(wal_path, &len), *bytes = malloc(len);
    rng_seed(&rng, 5);
    for (int i = 0; i < 8; i++) {
        memcpy(bytes, log, len);
        for (int k = 0; k < 1 << i; k++)
            bytes[4096 + rng_below(&rng, len - 4096)] ^= 1;
        write_file(wal_path, bytes, i == 7 ? 100 : len);
        if (i == 6)
            unlink(wal_path);
        uint64_t lost = salvage();
        expect_whole();
        assert_true(i < 6 || lost > 0);
        isolde_db *db = open_database(out_path, &conn);
        expect(conn, "SELECT count(*) >= 0 FROM victim", "t");
        isolde_disconnect(conn);
        isolde_close(db);
    }
    free(log);
    free(bytes);
}

static void no_page_at_all_is_an_error(void **state)
{
    unsigned char text[5000];
    isolde_err *err = NULL;
    memset(text, 'x', sizeof text);
    write_file(path, text, sizeof text);
    report[0] = '\0';
    assert_int_equal(isolde_salvage(path, out_path, keep_line, NULL, NULL, &err), ISOLDE_ERROR);
    assert_string_equal(isolde_error_sqlstate(err), "XX001");
    isolde_error_free(err);
    assert_int_not_equal(access(out_path, F_OK), 0);
    make_database();
    write_file(out_path, text, sizeof text);
    assert_int_equal(isolde_salvage(path, out_path, keep_line, NULL, NULL, &err), ISOLDE_ERROR);
    assert_string_equal(isolde_error_sqlstate(err), "58P02");
    isolde_error_free(err);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(undamaged_database_is_copied_whole),
        IN_A_FOLDER(rows_on_undamaged_leaves_come_back),
        IN_A_FOLDER(crashed_database_is_brought_up_to_date),
        IN_A_FOLDER(damaged_log_gives_what_it_can),
        IN_A_FOLDER(no_page_at_all_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
