/*
 * files.c -- files that are not what they should be are refused by name, and what is whole stays in use.
 *
 * Each case makes a database in a folder of its own, spoils it as people and disks do (another kind of file, a copy that
 * was cut short, a flipped bit, a log that was deleted as rubbish), and demands the right SQLSTATE and a message that names
 * the culprit.  A disk that fills up is the fault vfs's, below SQL.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "src/base/hash.h"
#include "src/buf/header.h"
#include "src/isolde.h"
#include "src/os/fault.h"
#include "txn/txn.h"

static char folder[200], path[250], wal_path[260];

/* ---- a database on a real disk -------------------------------------------------------------------- */

static int make_folder(void **state)
{
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/isolde-files.XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/app.db", folder);
    snprintf(wal_path, sizeof wal_path, "%s-wal", path);
    return 0;
}

static int remove_folder(void **state)
{
    char command[250];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void run(isolde_conn *conn, const char *sql)
{
    if (isolde_exec(conn, sql, NULL, NULL) != ISOLDE_OK)
        fail_msg("%s: %s", sql, isolde_error_message(isolde_error(conn)));
}

static isolde_db *open_database(isolde_conn **conn)
{
    isolde_db *db;
    isolde_err *err = NULL;
    if (isolde_open(path, NULL, &db, &err) != ISOLDE_OK || isolde_connect(db, conn, &err) != ISOLDE_OK)
        fail_msg("open: %s", isolde_error_message(err));
    return db;
}

static void close_database(isolde_db *db, isolde_conn *conn)
{
    isolde_disconnect(conn);
    assert_int_equal(isolde_close(db), ISOLDE_OK);
}

/* Two tables of 2,000 rows; those of "victim" hold the word needle. */
static isolde_db *fill(isolde_conn **conn)
{
    isolde_db *db = open_database(conn);
    run(*conn, "CREATE TABLE victim (id int PRIMARY KEY, word text)");
    run(*conn, "CREATE TABLE witness (id int PRIMARY KEY, word text)");
    run(*conn, "INSERT INTO victim SELECT i, 'needle ' || i FROM generate_series(1, 2000) AS s (i)");
    run(*conn, "INSERT INTO witness SELECT i, 'hay ' || i FROM generate_series(1, 2000) AS s (i)");
    return db;
}

static void make_database(void)
{
    isolde_conn *conn;
    isolde_db *db = fill(&conn);
    close_database(db, conn);
}

/* Leaves the file as a killed process would. */
static void make_unclean_database(void)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        isolde_conn *conn;
        fill(&conn);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static void expect_refusal(const char *sqlstate, const char *words)
{
    isolde_db *db = NULL;
    isolde_err *err = NULL;
    assert_int_equal(isolde_open(path, NULL, &db, &err), ISOLDE_ERROR);
    assert_null(db);
    assert_string_equal(isolde_error_sqlstate(err), sqlstate);
    if (!strstr(isolde_error_message(err), words))
        fail_msg("\"%s\" does not speak of \"%s\"", isolde_error_message(err), words);
    isolde_error_free(err);
}

static int keep_last(void *arg, int columns, const char *const *values, const char *const *names)
{
    snprintf(arg, 300, "%s", values[0] ? values[0] : "");
    return 0;
}

static void expect_answer(isolde_conn *conn, const char *sql, const char *words)
{
    char answer[300] = "";
    if (isolde_exec(conn, sql, keep_last, answer) != ISOLDE_OK)
        fail_msg("%s: %s", sql, isolde_error_message(isolde_error(conn)));
    if (!strstr(answer, words))
        fail_msg("%s: \"%s\" where \"%s\" was expected", sql, answer, words);
}

/* ---- spoiling it ---------------------------------------------------------------------------------- */

static void write_file(const char *name, const char *bytes, size_t len)
{
    FILE *file = fopen(name, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    fclose(file);
}

static char *read_file(const char *name, size_t *len)
{
    FILE *file = fopen(name, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *len = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*len + 1);
    assert_int_equal(fread(bytes, 1, *len, file), *len);
    fclose(file);
    return bytes;
}

static void change_identity(void (*change)(struct header_identity *identity))
{
    size_t len;
    char *bytes = read_file(path, &len);
    struct header_identity identity;
    memcpy(&identity, bytes, sizeof identity);
    change(&identity);
    identity.crc = crc32c(0, &identity, offsetof(struct header_identity, crc));
    memcpy(bytes, &identity, sizeof identity);
    write_file(path, bytes, len);
    free(bytes);
}

/* ---- the cases ------------------------------------------------------------------------------------ */

static void a_file_of_another_kind_is_refused_and_left_as_it_is(void **state)
{
    char text[5000];
    size_t len;
    memset(text, 'x', sizeof text);
    for (size_t size = 1; size < sizeof text; size = size * 3 + 1) {
        write_file(path, text, size);
        expect_refusal("XX002", "is not a database file");
        char *after = read_file(path, &len);
        assert_int_equal(len, size);
        assert_memory_equal(after, text, size);
        free(after);
    }
    assert_int_not_equal(access(wal_path, F_OK), 0);
}

static void a_file_cut_short_is_refused(void **state)
{
    size_t len;
    make_database();
    char *bytes = read_file(path, &len);
    write_file(path, bytes, len / 2);
    expect_refusal("XX001", "cut short");
    write_file(path, bytes, 1000);
    expect_refusal("XX002", "is not a database file");
    write_file(path, bytes, len);
    isolde_conn *conn;
    isolde_db *db = open_database(&conn);
    expect_answer(conn, "SELECT count(*) FROM victim", "2000");
    close_database(db, conn);
    free(bytes);
}

static void flipped_bits_of_the_header_are_found(void **state)
{
    size_t len;
    make_database();
    char *bytes = read_file(path, &len);
    bytes[40] ^= 1;
    write_file(path, bytes, len);
    expect_refusal("XX001", "page 0");
    bytes[40] ^= 1;
    bytes[HEADER_SLOT_A + 50] ^= 1;
    bytes[HEADER_SLOT_B + 50] ^= 1;
    write_file(path, bytes, len);
    expect_refusal("XX001", "page 0");
    free(bytes);
}

static void a_damaged_page_is_named_and_other_tables_stay_in_use(void **state)
{
    size_t len, page_size = 8192, at = 0;
    char page[50];
    make_database();
    char *bytes = read_file(path, &len);
    while (at < len && memcmp(bytes + at, "needle 1500", 11) != 0)
        at++;
    assert_true(at < len - 11);
    bytes[at + 3] ^= 4;
    write_file(path, bytes, len);
    free(bytes);
    snprintf(page, sizeof page, "page %zu", at / page_size);

    isolde_conn *conn;
    isolde_db *db = open_database(&conn);
    assert_int_equal(isolde_exec(conn, "SELECT count(word) FROM victim", NULL, NULL), ISOLDE_ERROR);
    assert_string_equal(isolde_error_sqlstate(isolde_error(conn)), "XX001");
    if (!strstr(isolde_error_message(isolde_error(conn)), page))
        fail_msg("\"%s\" does not name %s", isolde_error_message(isolde_error(conn)), page);
    assert_string_equal(isolde_error_table(isolde_error(conn)), "victim");
    assert_non_null(strstr(isolde_error_context(isolde_error(conn)), "table \"victim\""));
    expect_answer(conn, "SELECT count(word) FROM witness", "2000");
    expect_answer(conn, "SELECT word FROM victim WHERE id = 1", "needle 1");
    run(conn, "UPDATE witness SET word = 'more ' || word; INSERT INTO witness VALUES (0, 'new')");
    run(conn, "INSERT INTO victim VALUES (-1, 'before the first')");
    expect_answer(conn, "CHECK DATABASE", "DAMAGED");
    close_database(db, conn);
    db = open_database(&conn);
    expect_answer(conn, "SELECT count(*) FROM witness WHERE word LIKE 'more %'", "2000");
    close_database(db, conn);
}

static void set_newer_format(struct header_identity *identity)
{
    identity->format = HEADER_FORMAT + 1;
}

static void set_incompatible_feature(struct header_identity *identity)
{
    identity->format = HEADER_FORMAT;
    identity->incompatible = 1u << 5;
}

static void set_compatible_feature(struct header_identity *identity)
{
    identity->incompatible = 0;
    identity->compatible = 1u << 5;
}

static void newer_formats_and_features_are_refused(void **state)
{
    make_database();
    change_identity(set_newer_format);
    expect_refusal("0A000", "newer version");
    change_identity(set_incompatible_feature);
    expect_refusal("0A000", "newer version");
    change_identity(set_compatible_feature);
    isolde_conn *conn;
    isolde_db *db = open_database(&conn);
    expect_answer(conn, "SELECT count(*) FROM victim", "2000");
    close_database(db, conn);
}

static void set_read_only_compatible_feature(struct header_identity *identity)
{
    identity->read_only_compatible = 1u << 5;
}

static isolde_db *open_read_only(isolde_conn **conn)
{
    isolde_db *db;
    isolde_err *err = NULL;
    if (isolde_open(path, "read_only=on", &db, &err) != ISOLDE_OK || isolde_connect(db, conn, &err) != ISOLDE_OK)
        fail_msg("open: %s", isolde_error_message(err));
    return db;
}

static void expect_failure(isolde_conn *conn, const char *sql, const char *sqlstate)
{
    assert_int_equal(isolde_exec(conn, sql, NULL, NULL), ISOLDE_ERROR);
    assert_string_equal(isolde_error_sqlstate(isolde_error(conn)), sqlstate);
    if (isolde_transaction_status(conn) != 'I')
        run(conn, "ROLLBACK");
}

static void a_feature_in_the_way_of_writing_only_allows_reading(void **state)
{
    size_t len, len_after;
    isolde_conn *conn;
    make_database();
    change_identity(set_read_only_compatible_feature);
    char *before = read_file(path, &len);
    expect_refusal("0A000", "newer version");
    isolde_db *db = open_read_only(&conn);
    expect_answer(conn, "SELECT count(*) FROM victim WHERE word LIKE 'needle%'", "2000");
    expect_answer(conn, "CHECK DATABASE", "no error found");
    expect_answer(conn, "SHOW transaction_read_only", "on");
    expect_failure(conn, "INSERT INTO victim VALUES (0, 'new')", "25006");
    expect_failure(conn, "CREATE TABLE other (a int)", "25006");
    expect_failure(conn, "BEGIN READ WRITE", "25006");
    expect_failure(conn, "SET transaction_read_only = off", "25006");
    run(conn, "SET default_transaction_read_only = off");
    expect_failure(conn, "DELETE FROM victim", "25006");
    close_database(db, conn);
    char *after = read_file(path, &len_after);
    assert_int_equal(len, len_after);
    assert_memory_equal(before, after, len);
    assert_int_not_equal(access(wal_path, F_OK), 0);
    free(before);
    free(after);
    change_identity(set_newer_format);
    isolde_err *err = NULL;
    assert_int_equal(isolde_open(path, "read_only=on", &db, &err), ISOLDE_ERROR);
    assert_string_equal(isolde_error_sqlstate(err), "0A000");
    isolde_error_free(err);
}

static void keep_message(void *arg, const isolde_err *message)
{
    char *kept = arg;
    size_t len = strlen(kept);
    snprintf(kept + len, 1000 - len, "%s: %s\n", isolde_error_severity(message), isolde_error_message(message));
}

/* What restart does, it does in memory. */
static void reading_only_changes_no_byte_of_a_crashed_database(void **state)
{
    char dw_path[300], messages[1000] = "";
    const char *names[] = {path, wal_path, dw_path};
    char *before[3];
    size_t len[3], len_after;
    isolde_conn *conn;
    isolde_db *other;
    make_unclean_database();
    snprintf(dw_path, sizeof dw_path, "%s-dw", path);
    for (int i = 0; i < 3; i++)
        before[i] = read_file(names[i], &len[i]);
    isolde_db *db = open_read_only(&conn);
    isolde_on_message(db, keep_message, messages);
    assert_non_null(strstr(messages, "LOG: the database was not closed cleanly"));
    expect_answer(conn, "SELECT count(*) FROM victim", "2000");
    expect_answer(conn, "CHECK DATABASE", "no error found");
    assert_int_equal(isolde_open(path, NULL, &other, NULL), ISOLDE_ERROR);
    close_database(db, conn);
    for (int i = 0; i < 3; i++) {
        char *after = read_file(names[i], &len_after);
        assert_int_equal(len[i], len_after);
        assert_memory_equal(before[i], after, len_after);
        free(before[i]);
        free(after);
    }
    db = open_database(&conn);
    expect_answer(conn, "SELECT count(*) FROM victim", "2000");
    close_database(db, conn);
}

static int exit_code(const char *command)
{
    int status = system(command);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void the_program_checks_and_says_so_by_its_exit_code(void **state)
{
    char command[700], output[300];
    size_t len, at = 0;
    snprintf(output, sizeof output, "%s/output", folder);
    snprintf(command, sizeof command, "./isolde check %s >%s 2>&1", path, output);
    assert_int_equal(exit_code(command), 2);
    make_database();
    assert_int_equal(exit_code(command), 0);
    char *bytes = read_file(path, &len);
    while (at < len && memcmp(bytes + at, "needle 1500", 11) != 0)
        at++;
    bytes[at + 3] ^= 4;
    write_file(path, bytes, len);
    free(bytes);
    assert_int_equal(exit_code(command), 1);
    char *said = read_file(output, &len);
    said[len] = '\0';
    assert_non_null(strstr(said, "checksum is wrong"));
    assert_non_null(strstr(said, "table \"victim\""));
    assert_non_null(strstr(said, "DAMAGED"));
    free(said);
    assert_int_equal(exit_code("./isolde check >/dev/null 2>&1"), 2);
}

static void a_second_process_is_told_who_has_it(void **state)
{
    int to_child[2], to_parent[2], status;
    char report[600] = "", wanted[200], host[100];
    assert_int_equal(pipe(to_child) | pipe(to_parent), 0);
    pid_t pid = fork();
    if (pid == 0) {
        isolde_db *db;
        isolde_err *err = NULL;
        char go;
        if (read(to_child[0], &go, 1) != 1 || isolde_open(path, NULL, &db, &err) != ISOLDE_ERROR)
            _exit(1);
        snprintf(report, sizeof report, "%s|%s|%s", isolde_error_sqlstate(err), isolde_error_message(err),
                 isolde_error_detail(err) ? isolde_error_detail(err) : "");
        _exit(write(to_parent[1], report, sizeof report) == (ssize_t)sizeof report ? 0 : 2);
    }
    isolde_conn *conn;
    isolde_db *db = fill(&conn);
    assert_int_equal(write(to_child[1], "x", 1), 1);
    assert_int_equal(read(to_parent[0], report, sizeof report), sizeof report);
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    gethostname(host, sizeof host);
    snprintf(wanted, sizeof wanted, "Process %d on host %s ", (int)getpid(), host);
    if (strncmp(report, "55006|", 6) != 0 || !strstr(report, wanted))
        fail_msg("%s", report);
    expect_answer(conn, "SELECT count(*) FROM victim", "2000");
    close_database(db, conn);
    close(to_child[0]), close(to_child[1]), close(to_parent[0]), close(to_parent[1]);
}

static void an_unclean_file_without_its_log_is_refused(void **state)
{
    make_unclean_database();
    size_t len;
    char *log = read_file(wal_path, &len);
    assert_int_equal(unlink(wal_path), 0);
    expect_refusal("XX001", wal_path);
    write_file(wal_path, "rubbish", 7);
    expect_refusal("XX001", wal_path);
    write_file(wal_path, log, len);
    isolde_conn *conn;
    isolde_db *db = open_database(&conn);
    expect_answer(conn, "SELECT count(*) FROM victim", "2000");
    expect_answer(conn, "CHECK DATABASE", "no error found");
    close_database(db, conn);
    free(log);
}

static void the_log_of_another_database_is_refused(void **state)
{
    char other[300];
    size_t len;
    make_unclean_database();
    snprintf(other, sizeof other, "%s.other-wal", path);
    assert_int_equal(rename(wal_path, other), 0);
    assert_int_equal(unlink(path), 0);
    make_unclean_database();
    char *log = read_file(other, &len);
    write_file(wal_path, log, len);
    expect_refusal("XX001", "belongs to another database");
    free(log);
}

static void after_a_clean_close_one_file_is_the_database(void **state)
{
    char copy[300];
    size_t len;
    make_database();
    assert_int_not_equal(access(wal_path, F_OK), 0);
    char *bytes = read_file(path, &len);
    snprintf(copy, sizeof copy, "%s.copy", path);
    write_file(copy, bytes, len);
    free(bytes);
    assert_int_equal(rename(copy, path), 0);
    isolde_conn *conn;
    isolde_db *db = open_database(&conn);
    expect_answer(conn, "SELECT count(*) FROM victim", "2000");
    expect_answer(conn, "CHECK DATABASE", "no error found");
    close_database(db, conn);
}

/* ---- a full disk ---------------------------------------------------------------------------------- */

struct small {
    struct op op;
    struct vfs *vfs;
    struct store *store;
    struct txn_manager *manager;
    struct txn_session *session;
    TreeId tree_id;
    struct btree *tree;
};

static void must(struct small *db, int rc)
{
    if (rc != 0)
        fail_msg("%s %s", db->op.error.sqlstate, db->op.error.message);
}

static void attach(struct small *db)
{
    struct store_options options = { .vfs = db->vfs, .path = "full.db", .page_size = 4096, .cache_size = 64 * 4096,
                                     .create = true, .no_background = true,
                                     .wal = { .segment_size = 1 << 16, .buffer_size = 1 << 16,
                                              .max_wal_size = 1 << 19 } };
    struct txn_options txn_options = { .no_background = true };
    must(db, store_open(&db->op, &options, &db->store));
    must(db, txn_manager_open(&db->op, db->store, &txn_options, &db->manager));
    must(db, txn_session_open(&db->op, db->manager, &db->session));
    must(db, txn_begin(&db->op, db->session, TXN_READ_COMMITTED, false, false));
    if (db->tree_id == 0)
        must(db, txn_create_tree(&db->op, db->session, &db->tree_id));
    must(db, txn_commit(&db->op, db->session));
    must(db, btree_open(&db->op, db->store, db->tree_id, &db->tree));
}

/* One transaction of so many rows from this number on; fails as its first failing row does, rolled back. */
static int insert_rows(struct small *db, uint32_t from, uint32_t count)
{
    static const uint8_t value[900];
    struct txn_outcome outcome;
    int rc = txn_begin(&db->op, db->session, TXN_READ_COMMITTED, false, false);
    for (uint32_t i = from; i < from + count && rc == 0; i++) {
        uint8_t key[4] = { (uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i };
        rc = txn_statement_begin(&db->op, db->session);
        if (rc == 0)
            rc = txn_insert(&db->op, db->session, db->tree, (struct bytes){ key, 4 }, (struct bytes){ value, 900 },
                            &outcome);
        txn_statement_end(db->session);
    }
    if (rc == 0)
        return txn_commit(&db->op, db->session);
    txn_rollback(db->session);
    return rc;
}

static int count_row(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    ++*(uint32_t *)arg;
    return 0;
}

static uint32_t count_rows(struct small *db)
{
    struct btree_range range = { .low_inclusive = true };
    struct txn_scan scan;
    uint32_t count = 0;
    bool more = true;
    must(db, txn_begin(&db->op, db->session, TXN_READ_COMMITTED, true, false));
    must(db, txn_statement_begin(&db->op, db->session));
    txn_scan_open(&scan, db->session, db->tree, &range, false);
    while (more)
        must(db, txn_scan_next(&db->op, &scan, count_row, &count, &more));
    txn_scan_close(&scan);
    txn_statement_end(db->session);
    txn_rollback(db->session);
    return count;
}

static void expect_whole(struct small *db)
{
    uint64_t findings;
    must(db, store_check(&db->op, db->store, NULL, NULL, &findings));
    assert_int_equal(findings, 0);
}

static void a_full_disk_ends_the_transaction_and_nothing_else(void **state)
{
    struct small db = { .vfs = fault_vfs_new(1) };
    uint32_t rows = 0;
    op_init(&db.op);
    attach(&db);
    must(&db, insert_rows(&db, 0, 100));
    fault_capacity(db.vfs, 2 << 20);
    for (int full = 0; full < 20;) {
        uint32_t before = 100 + rows;
        if (insert_rows(&db, 100 + rows, 50) == 0) {
            rows += 50;
            assert_true(rows < 5000);
        } else {
            assert_string_equal(db.op.error.sqlstate, "53100");
            op_reset(&db.op);
            assert_int_equal(count_rows(&db), before);
            full++;
        }
        op_reset(&db.op);
    }
    expect_whole(&db);
    fault_capacity(db.vfs, 0);
    must(&db, txn_purge(&db.op, db.manager));
    must(&db, insert_rows(&db, 100 + rows, 500));
    rows += 500;
    assert_int_equal(count_rows(&db), 100 + rows);
    txn_manager_abandon(db.manager);
    store_abandon(db.store);
    fault_power_on(db.vfs, FAULT_LOSE_ALL, 1);
    attach(&db);
    assert_int_equal(count_rows(&db), 100 + rows);
    expect_whole(&db);
    txn_session_close(db.session);
    txn_manager_close(db.manager);
    must(&db, store_close(&db.op, db.store));
    op_end(&db.op);
    os_vfs_destroy(db.vfs);
}

/* ---- space ---------------------------------------------------------------------------------------- */

/* One transaction that deletes rows by number. */
static void delete_rows(struct small *db, uint32_t from, uint32_t count)
{
    struct txn_outcome outcome;
    must(db, txn_begin(&db->op, db->session, TXN_READ_COMMITTED, false, false));
    for (uint32_t i = from; i < from + count; i++) {
        uint8_t key[4] = { (uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i };
        must(db, txn_statement_begin(&db->op, db->session));
        must(db, txn_delete(&db->op, db->session, db->tree, (struct bytes){ key, 4 }, (struct bytes){ NULL, 0 },
                            txn_read_ts(db->session), &outcome));
        txn_statement_end(db->session);
        assert_int_equal(outcome.result, TXN_WRITTEN);
        if (i % 100 == 0)
            op_reset(&db->op);
    }
    must(db, txn_commit(&db->op, db->session));
    op_reset(&db->op);
}

static uint64_t size_after_checkpoints(struct small *db)
{
    struct os_file *file;
    uint64_t size;
    must(db, txn_purge(&db->op, db->manager));
    for (int i = 0; i < 3; i++)
        must(db, store_checkpoint(&db->op, db->store));
    must(db, os_open(&db->op, db->vfs, "full.db", OS_OPEN_READ_ONLY, &file));
    must(db, os_size(&db->op, file, &size));
    os_close(file);
    op_reset(&db->op);
    return size;
}

static void deleted_rows_give_their_space_back(void **state)
{
    struct small db = { .vfs = fault_vfs_new(1) };
    op_init(&db.op);
    attach(&db);
    uint64_t empty = size_after_checkpoints(&db), full, least = UINT64_MAX, most = 0;
    for (uint32_t i = 0; i < 4000; i += 200)
        must(&db, insert_rows(&db, i, 200));
    full = size_after_checkpoints(&db);
    assert_true(full > empty + 3000000);
    for (uint32_t i = 0; i < 4000; i += 200)
        delete_rows(&db, i, 200);
    assert_true(size_after_checkpoints(&db) < empty + full / 8);
    /* A queue: the file stays as long as what is in it. */
    must(&db, insert_rows(&db, 10000, 200));
    for (uint32_t round = 0; round < 40; round++) {
        must(&db, insert_rows(&db, 10200 + round * 200, 200));
        delete_rows(&db, 10000 + round * 200, 200);
        uint64_t size = size_after_checkpoints(&db);
        least = size < least ? size : least;
        most = size > most ? size : most;
    }
    assert_true(most < empty + full / 4);
    assert_int_equal(count_rows(&db), 200);
    expect_whole(&db);
    txn_session_close(db.session);
    txn_manager_close(db.manager);
    must(&db, store_close(&db.op, db.store));
    op_end(&db.op);
    os_vfs_destroy(db.vfs);
}

/* ---- files of earlier programs -------------------------------------------------------------------- */

/* Puts a fixture in the place of the database; with_log: its log too. */
static void unpack(const char *name, bool with_log)
{
    char command[900];
    const char *top = getenv("srcdir") ? getenv("srcdir") : ".";
    snprintf(command, sizeof command, "gzip -dc %s/tests/fixtures/%s.db.gz >%s", top, name, path);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "gzip -dc %s/tests/fixtures/%s.db-wal.gz >%s", top, name, wal_path);
    if (with_log)
        assert_int_equal(system(command), 0);
}

static void expect_fixture(int rows)
{
    isolde_conn *conn;
    char count[20];
    isolde_db *db = open_database(&conn);
    snprintf(count, sizeof count, "%d", rows);
    expect_answer(conn, "SELECT count(*) FROM fixture", count);
    expect_answer(conn, "SELECT name FROM fixture WHERE id = 7", "name 7");
    expect_answer(conn, "SELECT length(long) FROM fixture WHERE id = 1", "9000");
    expect_answer(conn, "SELECT id FROM fixture WHERE price = 1.50", "3");
    expect_answer(conn, "SELECT day FROM fixture WHERE id = 2", "2026-01-03");
    expect_answer(conn, "CHECK DATABASE", "no error found");
    run(conn, "INSERT INTO fixture VALUES (1000, 'new', 1, NULL, '2026-02-01', NULL)");
    close_database(db, conn);
}

static void files_of_format_1_are_opened(void **state)
{
    unpack("format-1-clean", false);
    expect_fixture(40);
    unpack("format-1-crashed", true);
    expect_fixture(60);
    unpack("format-1-clean", false);
    change_identity(set_newer_format);
    expect_refusal("0A000", "newer version");
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(a_file_of_another_kind_is_refused_and_left_as_it_is),
        IN_A_FOLDER(a_file_cut_short_is_refused),
        IN_A_FOLDER(flipped_bits_of_the_header_are_found),
        IN_A_FOLDER(a_damaged_page_is_named_and_other_tables_stay_in_use),
        IN_A_FOLDER(newer_formats_and_features_are_refused),
        IN_A_FOLDER(a_feature_in_the_way_of_writing_only_allows_reading),
        IN_A_FOLDER(reading_only_changes_no_byte_of_a_crashed_database),
        IN_A_FOLDER(the_program_checks_and_says_so_by_its_exit_code),
        IN_A_FOLDER(a_second_process_is_told_who_has_it),
        IN_A_FOLDER(an_unclean_file_without_its_log_is_refused),
        IN_A_FOLDER(the_log_of_another_database_is_refused),
        IN_A_FOLDER(after_a_clean_close_one_file_is_the_database),
        cmocka_unit_test(deleted_rows_give_their_space_back),
        IN_A_FOLDER(files_of_format_1_are_opened),
        cmocka_unit_test(a_full_disk_ends_the_transaction_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
