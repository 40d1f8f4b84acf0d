/*
 * statements.c -- a workload of SQL for power.c: definitions above all, in blocks that are committed, rolled back, and rolled back to
 * savepoints.
 *
 * Three connections, driven by one thread, so that a seed says all; each has tables of its own (tables.h), so nobody waits.  What
 * one may do: create and drop tables and indexes, add and drop columns and constraints, change a column's type and the primary key
 * (both rewrite the table), rename, TRUNCATE; load by INSERT ... SELECT and COPY; change and delete rows singly and by
 * ranges, with values of up to 30 kB; fail, half way through.  Checkpoints in between shorten the file when much was dropped.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/api/api_int.h"
#include "src/base/mem.h"
#include "src/buf/buf_open.h"
#include "tests/crash/cuts.h"
#include "tests/crash/tables.h"

const char workload_name[] = "power_sql";
const uint64_t workload_steps = 500;

struct owner {
    isolde_conn *conn;
    bool block, marked;
    struct table now, mark;
};

struct tally {
    uint64_t commits, rollbacks, savepoint_rollbacks, definitions, rewrites, errors, loads, shorter, checkpoints;
};

struct run {
    struct vfs *disk;
    struct rng rng;
    isolde_db *db;
    isolde_conn *keeper;            /* checkpoints, and CHECK DATABASE */
    struct owner owners[OWNERS];
    struct books books;
    struct tally tally;
    struct op op;                   /* the last error, and purge */
    uint64_t file_pages;
};

struct promise {
    struct books books;
};

static void *must(void *block)
{
    if (!block)
        abort();
    return block;
}

struct run *run_new(struct vfs *disk, uint64_t seed)
{
    struct run *run = must(calloc(1, sizeof *run));

    run->disk = disk;
    rng_seed(&run->rng, seed);
    op_init(&run->op);
    return run;
}

void run_free(struct run *run)
{
    op_end(&run->op);
    free(run);
}

struct vfs *run_disk(const struct run *run)
{
    return run->disk;
}

struct rng *run_rng(struct run *run)
{
    return &run->rng;
}

const struct op_error *run_error(const struct run *run)
{
    return &run->op.error;
}

struct promise *run_promise(const struct run *run)
{
    struct promise *promise = must(malloc(sizeof *promise));

    promise->books = run->books;
    return promise;
}

void promise_free(struct promise *promise)
{
    free(promise);
}

void run_believe(struct run *run, const struct promise *promise)
{
    run->books = promise->books;
}

void run_settle(struct run *run)
{
    books_settle(&run->books, run->books.pending_count);
}

/* ---- open and close ------------------------------------------------------------------------------- */

static int fail(struct run *run, const char *what, const isolde_err *err)
{
    if (op_failed(&run->op))
        return OP_FAILED;
    return op_fail(&run->op, isolde_error_sqlstate(err), "%s: %s", what, isolde_error_message(err));
}

/* What isolde_open does, without threads in the background: a seed then says all. */
static int open_engine(struct run *run, isolde_db *db)
{
    struct store_options store = {
        .vfs = run->disk, .path = "power.db", .page_size = 4096, .cache_size = 96 * 4096, .create = true, .no_background = true,
        .wal = {.segment_size = 1 << 16, .buffer_size = 1 << 16, .max_wal_size = 1 << 20},
    };
    struct txn_options txn = {.no_background = true};

    return store_open(&run->op, &store, &db->store) != 0 || txn_manager_open(&run->op, db->store, &txn, &db->manager) != 0 ||
           database_open(&run->op, db->manager, &db->database) != 0;
}

static isolde_db *new_handle(struct run *run)
{
    isolde_db *db = must(mem_calloc(1, sizeof *db));

    os_mutex_init(&db->latch, RANK_API_DATABASE);
    os_mutex_init(&db->message_latch, RANK_API_MESSAGES);
    db->vfs = run->disk;
    db->opened = 1;
    atomic_store(&db->magic, API_DATABASE);
    return db;
}

int run_open(struct run *run)
{
    isolde_err *err;

    op_reset(&run->op);
    run->db = new_handle(run);
    if (open_engine(run, run->db) != 0)
        return OP_FAILED;
    run->file_pages = buf_page_count(store_buf(run->db->store));
    for (int i = 0; i <= OWNERS; i++) {
        isolde_conn **conn = i < OWNERS ? &run->owners[i].conn : &run->keeper;
        if (isolde_connect(run->db, conn, &err) != ISOLDE_OK) {
            fail(run, "connect", err);
            isolde_error_free(err);
            return OP_FAILED;
        }
    }
    return 0;
}

/* What isolde_close does, but for its mutex: a trial in another thread must be able to close while this run is shown to it. */
static int close_engine(struct run *run)
{
    isolde_db *db = run->db;
    int result = 0;

    run->db = NULL;
    database_close(db->database);
    if (db->manager)
        txn_manager_close(db->manager);
    if (db->store)
        result = store_close(&run->op, db->store);
    os_mutex_destroy(&db->latch);
    api_forget_messages(db);
    os_mutex_destroy(&db->message_latch);
    api_free_ring(&db->closed);
    mem_free(db);
    return result;
}

int run_close(struct run *run)
{
    for (int i = 0; i < OWNERS; i++)
        isolde_disconnect(run->owners[i].conn);
    isolde_disconnect(run->keeper);
    memset(run->owners, 0, sizeof run->owners);
    run->keeper = NULL;
    return close_engine(run);
}

/* Nothing reaches the disk any more. */
void run_abandon(struct run *run)
{
    fault_watch(run->disk, NULL, NULL);
    fault_cut_at(run->disk, 1);
    if (run->db)
        (void)run_close(run);
}

/* ---- statements ----------------------------------------------------------------------------------- */

static int ignore_row(void *arg, int columns, const char *const *values, const char *const *names)
{
    (void)arg, (void)columns, (void)values, (void)names;
    return 0;
}

static int exec(struct run *run, isolde_conn *conn, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int exec(struct run *run, isolde_conn *conn, const char *format, ...)
{
    char sql[SQL_BYTES_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(sql, sizeof sql, format, args);
    va_end(args);
    return isolde_exec(conn, sql, ignore_row, NULL) == ISOLDE_OK ? 0 : fail(run, sql, isolde_error(conn));
}

static uint64_t below(struct run *run, uint64_t n)
{
    return rng_below(&run->rng, n);
}

/* A change of an owner's world: the statement, and the world after it. */
struct change {
    char sql[SQL_BYTES_MAX];
    char lines[SQL_BYTES_MAX];      /* of COPY */
    struct table after;
    bool definition, rewrite, load;
};

static void say(struct change *change, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct change *change, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(change->sql, sizeof change->sql, format, args);
    va_end(args);
}

static uint32_t some_length(struct run *run)
{
    uint64_t dice = below(run, 30);

    return (uint32_t)(dice == 0 ? below(run, 3000) : dice < 4 ? below(run, 300) : below(run, 30));
}

static void create_table(struct run *run, struct change *change, int owner)
{
    struct table *table = &change->after;

    table->exists = true;
    table->renamed = table->n_is_text = table->index_n = table->index_big = false;
    table->keyed = below(run, 4) != 0;
    table->unique = below(run, 3) == 0;
    table->checked = below(run, 3) == 0;
    memset(table->extra, 0, sizeof table->extra);
    memset(table->lines, 0, sizeof table->lines);
    say(change, "CREATE TABLE t%d (id int, n int, big text%s%s%s%s%s%s)", owner,
        table->keyed ? ", CONSTRAINT p" : "", table->keyed ? (char[]){(char)('0' + owner), '\0'} : "",
        table->keyed ? " PRIMARY KEY (id)" : "", table->unique ? ", CONSTRAINT u" : "",
        table->unique ? (char[]){(char)('0' + owner), '\0'} : "", table->unique ? " UNIQUE (n, id)" : "");
    table->checked = false;
}

static void drop_table(struct change *change, int owner)
{
    say(change, "DROP TABLE %c%d", table_letter(&change->after), owner);
    change->after.exists = false;
}

/* A table that holds many rows for a while. */
static void bulk_table(struct run *run, struct change *change, int owner)
{
    if (change->after.bulk > 0) {
        say(change, "DROP TABLE f%d", owner);
        change->after.bulk = 0;
        return;
    }
    change->after.bulk = 1 + (int32_t)below(run, 400);
    change->load = true;
    say(change, "CREATE TABLE f%d (id int, pad text, CONSTRAINT g%d PRIMARY KEY (id)); "
        "INSERT INTO f%d SELECT g, lpad(g::text, 100, 'x') FROM generate_series(1, %d) AS s(g)", owner, owner, owner,
        change->after.bulk);
}

static void constraint(struct run *run, struct change *change, int owner)
{
    struct table *table = &change->after;
    char name = table_letter(table);
    uint64_t which = below(run, 3);
    bool *has = which == 0 ? &table->keyed : which == 1 ? &table->unique : &table->checked;
    static const char *const definitions[] = {"PRIMARY KEY (id)", "UNIQUE (n, id)", "CHECK (id >= 0)"};

    change->rewrite = which == 0;
    if (*has)
        say(change, "ALTER TABLE %c%d DROP CONSTRAINT %c%d", name, owner, "puc"[which], owner);
    else
        say(change, "ALTER TABLE %c%d ADD CONSTRAINT %c%d %s", name, owner, "puc"[which], owner, definitions[which]);
    *has = !*has;
}

static void index_change(struct run *run, struct change *change, int owner)
{
    struct table *table = &change->after;
    bool big = below(run, 2) == 0;
    bool *has = big ? &table->index_big : &table->index_n;

    if (*has)
        say(change, "DROP INDEX %c%d", big ? 'b' : 'i', owner);
    else
        say(change, "CREATE INDEX %c%d ON %c%d (%s)", big ? 'b' : 'i', owner, table_letter(table), owner,
            big ? "substring(big, 1, 20)" : "n DESC, id");
    *has = !*has;
}

static void column(struct run *run, struct change *change, int owner)
{
    struct table *table = &change->after;
    int which = (int)below(run, EXTRAS);
    int value = (int)below(run, 1000);

    if (table->extra[which]) {
        say(change, "ALTER TABLE %c%d DROP COLUMN e%d", table_letter(table), owner, which);
    } else {
        say(change, "ALTER TABLE %c%d ADD COLUMN e%d int NOT NULL DEFAULT %d", table_letter(table), owner, which, value);
        for (int i = 0; i < LINES; i++)
            table->lines[i].extra[which] = value;
    }
    table->extra[which] = !table->extra[which];
}

static void change_type(struct change *change, int owner)
{
    struct table *table = &change->after;

    change->rewrite = true;
    table->n_is_text = !table->n_is_text;
    say(change, "ALTER TABLE %c%d ALTER COLUMN n TYPE %s USING n::%s", table_letter(table), owner, table->n_is_text ? "text" : "int",
        table->n_is_text ? "text" : "int");
}

static void define(struct run *run, struct change *change, int owner)
{
    struct table *table = &change->after;
    uint64_t dice = below(run, 20);

    change->definition = true;
    if (dice < 6) {
        constraint(run, change, owner);
    } else if (dice < 9) {
        index_change(run, change, owner);
    } else if (dice < 12) {
        column(run, change, owner);
    } else if (dice < 14) {
        change_type(change, owner);
    } else if (dice < 15) {
        say(change, "ALTER TABLE %c%d RENAME TO %c%d", table_letter(table), owner, table->renamed ? 't' : 'r', owner);
        table->renamed = !table->renamed;
    } else if (dice < 17) {
        say(change, "TRUNCATE %c%d", table_letter(table), owner);
        memset(table->lines, 0, sizeof table->lines);
    } else if (dice < 18) {
        drop_table(change, owner);
    } else {
        bulk_table(run, change, owner);
    }
}

/* ---- rows ----------------------------------------------------------------------------------------- */

/* The columns that an INSERT names, and which the row that follows fills. */
static int name_columns(const struct table *table, char *sql, size_t size)
{
    int len = snprintf(sql, size, "(id, n, big");

    for (int i = 0; i < EXTRAS; i++)
        if (table->extra[i])
            len += snprintf(sql + len, size - (size_t)len, ", e%d", i);
    return len + snprintf(sql + len, size - (size_t)len, ")");
}

static void fill_line(struct run *run, struct line *line)
{
    *line = (struct line){.live = true, .n = (int32_t)below(run, 100000), .seed = (uint32_t)below(run, 100000),
                          .repeats = some_length(run)};
    for (int i = 0; i < EXTRAS; i++)
        line->extra[i] = (int32_t)below(run, 1000);
}

static void insert_line(struct run *run, struct change *change, int owner, int id)
{
    struct table *table = &change->after;
    struct line *line = &table->lines[id];
    char columns[64];

    fill_line(run, line);
    name_columns(table, columns, sizeof columns);
    int len = snprintf(change->sql, sizeof change->sql, "INSERT INTO %c%d %s VALUES (%d, '%d', repeat('s%u.', %u)",
                       table_letter(table), owner, columns, id, line->n, line->seed, line->repeats);
    for (int i = 0; i < EXTRAS; i++)
        if (table->extra[i])
            len += snprintf(change->sql + len, sizeof change->sql - (size_t)len, ", %d", line->extra[i]);
    snprintf(change->sql + len, sizeof change->sql - (size_t)len, ")");
}

static void update_line(struct run *run, struct change *change, int owner, int id)
{
    struct table *table = &change->after;
    struct line *line = &table->lines[id], old = *line;

    fill_line(run, line);
    memcpy(line->extra, old.extra, sizeof old.extra);
    if (below(run, 2) == 0) {
        line->seed = old.seed;
        line->repeats = old.repeats;
        say(change, "UPDATE %c%d SET n = '%d' WHERE id = %d", table_letter(table), owner, line->n, id);
    } else {
        say(change, "UPDATE %c%d SET n = '%d', big = repeat('s%u.', %u) WHERE id = %d", table_letter(table), owner, line->n, line->seed,
            line->repeats, id);
    }
}

static void delete_range(struct run *run, struct change *change, int owner)
{
    struct table *table = &change->after;
    int from = (int)below(run, LINES), to = from + (int)below(run, 30);

    say(change, "DELETE FROM %c%d WHERE id BETWEEN %d AND %d", table_letter(table), owner, from, to);
    for (int id = from; id <= to && id < LINES; id++)
        table->lines[id].live = false;
}

static void update_range(struct run *run, struct change *change, int owner)
{
    struct table *table = &change->after;
    int from = (int)below(run, LINES), value = (int)below(run, 1000);

    say(change, "UPDATE %c%d SET n = '%d' WHERE id >= %d", table_letter(table), owner, value, from);
    for (int id = from; id < LINES; id++)
        table->lines[id].n = value;
}

/* INSERT ... SELECT of a range that is empty. */
static void load_range(struct run *run, struct change *change, int owner, int from, int to)
{
    struct table *table = &change->after;
    uint32_t seed = (uint32_t)below(run, 100000), repeats = some_length(run);
    char columns[64];

    name_columns(table, columns, sizeof columns);
    int len = snprintf(change->sql, sizeof change->sql, "INSERT INTO %c%d %s SELECT g, (g * 7)::%s, repeat('s%u.', %u)",
                       table_letter(table), owner, columns, table->n_is_text ? "text" : "int", seed, repeats);
    for (int i = 0; i < EXTRAS; i++)
        if (table->extra[i])
            len += snprintf(change->sql + len, sizeof change->sql - (size_t)len, ", g");
    snprintf(change->sql + len, sizeof change->sql - (size_t)len, " FROM generate_series(%d, %d) AS s(g)", from, to);
    for (int id = from; id <= to; id++)
        table->lines[id] = (struct line){.live = true, .n = id * 7, .seed = seed, .repeats = repeats, .extra = {id, id}};
    change->load = true;
}

static void copy_range(struct run *run, struct change *change, int owner, int from, int to)
{
    struct table *table = &change->after;
    char columns[64];
    size_t len = 0, size = sizeof change->lines;

    name_columns(table, columns, sizeof columns);
    say(change, "COPY %c%d %s FROM STDIN", table_letter(table), owner, columns);
    for (int id = from; id <= to; id++) {
        struct line *line = &table->lines[id];
        fill_line(run, line);
        line->repeats = (uint32_t)below(run, 6);
        len += (size_t)snprintf(change->lines + len, size - len, "%d\t%d\t", id, line->n);
        for (uint32_t i = 0; i < line->repeats; i++)
            len += (size_t)snprintf(change->lines + len, size - len, "s%u.", line->seed);
        for (int i = 0; i < EXTRAS; i++)
            if (table->extra[i])
                len += (size_t)snprintf(change->lines + len, size - len, "\t%d", line->extra[i]);
        len += (size_t)snprintf(change->lines + len, size - len, "\n");
    }
    change->load = true;
}

static void change_rows(struct run *run, struct change *change, int owner)
{
    struct table *table = &change->after;
    int id = (int)below(run, LINES), last = id;
    uint64_t dice = below(run, 10);

    while (last + 1 < LINES && last - id < 40 && !table->lines[last + 1].live)
        last++;
    if (!table->lines[id].live && dice < 2)
        load_range(run, change, owner, id, last);
    else if (!table->lines[id].live && dice < 4)
        copy_range(run, change, owner, id, last);
    else if (dice == 8)
        delete_range(run, change, owner);
    else if (dice == 9)
        update_range(run, change, owner);
    else if (table->lines[id].live)
        update_line(run, change, owner, id);
    else
        insert_line(run, change, owner, id);
}

/* ---- steps ---------------------------------------------------------------------------------------- */

static int run_copy(struct run *run, isolde_conn *conn, const struct change *change)
{
    isolde_stmt *stmt;
    int code = isolde_prepare(conn, change->sql, -1, &stmt);

    if (code == ISOLDE_OK)
        code = isolde_step(stmt);
    if (code == ISOLDE_COPY_IN)
        code = isolde_copy_put(stmt, change->lines, strlen(change->lines));
    if (code == ISOLDE_OK)
        code = isolde_copy_end(stmt, NULL);
    int result = code == ISOLDE_DONE ? 0 : fail(run, change->sql, isolde_error(conn));
    isolde_finalize(stmt);
    return result;
}

/* Whether the owner's world is another one than that of its last commit: else perhaps nothing was written, nor waited for. */
static bool has_changed(const struct run *run, int owner, const struct table *after)
{
    struct text before = {0}, now = {0};

    table_describe(books_newest(&run->books, owner), owner, &before);
    table_describe(after, owner, &now);
    bool changed = strcmp(before.data, now.data) != 0;
    text_free(&before);
    text_free(&now);
    return changed;
}

/* What is in flight may be there after a crash, and is sure to be once the COMMIT has returned, unless it was told not to wait. */
static int commit(struct run *run, struct owner *owner, const struct change *change)
{
    bool wait = below(run, 10) < 8 || run->books.pending_count > COMMITS_MAX - 2;

    if (exec(run, owner->conn, "SET %s synchronous_commit = %s", owner->block ? "LOCAL" : "", wait ? "on" : "off") != 0)
        return OP_FAILED;
    const struct table *after = owner->block ? &owner->now : &change->after;
    bool changed = has_changed(run, (int)(owner - run->owners), after);
    if (changed)
        books_begin_commit(&run->books, (int)(owner - run->owners), after);
    if (owner->block ? exec(run, owner->conn, "COMMIT") != 0
                     : change->lines[0] ? run_copy(run, owner->conn, change) != 0 : exec(run, owner->conn, "%s", change->sql) != 0)
        return OP_FAILED;
    if (wait && changed)
        run_settle(run);
    owner->block = false;
    run->tally.commits++;
    return 0;
}

static int do_something(struct run *run, struct owner *owner)
{
    static _Thread_local struct change change;
    int number = (int)(owner - run->owners);

    memset(&change, 0, sizeof change);
    change.after = owner->block ? owner->now : *books_newest(&run->books, number);
    if (!change.after.exists)
        create_table(run, &change, number);
    else if (below(run, 3) == 0)
        define(run, &change, number);
    else
        change_rows(run, &change, number);
    run->tally.definitions += change.definition;
    run->tally.rewrites += change.rewrite;
    run->tally.loads += change.load;
    if (!owner->block)
        return commit(run, owner, &change);
    if (change.lines[0] ? run_copy(run, owner->conn, &change) != 0 : exec(run, owner->conn, "%s", change.sql) != 0)
        return OP_FAILED;
    owner->now = change.after;
    return 0;
}

static int savepoint(struct run *run, struct owner *owner)
{
    if (!owner->marked) {
        owner->marked = true;
        owner->mark = owner->now;
        return exec(run, owner->conn, "SAVEPOINT s");
    }
    owner->now = owner->mark;
    owner->marked = below(run, 2) == 0;
    run->tally.savepoint_rollbacks++;
    return exec(run, owner->conn, owner->marked ? "ROLLBACK TO s" : "ROLLBACK TO s; RELEASE s");
}

static int roll_back(struct run *run, struct owner *owner)
{
    owner->block = false;
    run->tally.rollbacks++;
    return exec(run, owner->conn, "ROLLBACK");
}

/* A statement that fails after it has changed something; a block goes on from its savepoint, or is over. */
static int fail_half_way(struct run *run, struct owner *owner)
{
    char sql[300];
    const struct table *table = &owner->now;
    int number = (int)(owner - run->owners);

    if (!table->exists)
        snprintf(sql, sizeof sql, "CREATE TABLE x%d (a int PRIMARY KEY); INSERT INTO x%d SELECT 7 - abs(g) FROM generate_series(-3, 3) AS s(g)",
                 number, number);
    else
        snprintf(sql, sizeof sql, "INSERT INTO %c%d (id, n) SELECT 1000 + g, (100 / (20 - g))::%s FROM generate_series(1, 30) AS s(g)",
                 table_letter(table), number, table->n_is_text ? "text" : "int");
    if (isolde_exec(owner->conn, sql, ignore_row, NULL) == ISOLDE_OK)
        return op_fail(&run->op, "XX000", "%s: did not fail", sql);
    const char *sqlstate = isolde_error_sqlstate(isolde_error(owner->conn));
    if (strcmp(sqlstate, "22012") != 0 && strcmp(sqlstate, "23505") != 0)
        return fail(run, sql, isolde_error(owner->conn));
    run->tally.errors++;
    return owner->marked ? savepoint(run, owner) : roll_back(run, owner);
}

static int begin(struct run *run, struct owner *owner)
{
    owner->block = true;
    owner->marked = false;
    owner->now = *books_newest(&run->books, (int)(owner - run->owners));
    return exec(run, owner->conn, "BEGIN");
}

static int step(struct run *run)
{
    struct owner *owner = &run->owners[below(run, OWNERS)];
    uint64_t dice = below(run, 100);

    if (!owner->block)
        return dice < 60 ? begin(run, owner) : do_something(run, owner);
    if (dice < 12)
        return commit(run, owner, NULL);
    if (dice < 18)
        return roll_back(run, owner);
    if (dice < 30)
        return savepoint(run, owner);
    return dice < 34 ? fail_half_way(run, owner) : do_something(run, owner);
}

static int checkpoint(struct run *run)
{
    uint64_t pages;

    if (txn_purge(&run->op, run->db->manager) != 0 || exec(run, run->keeper, "CHECKPOINT") != 0)
        return OP_FAILED;
    pages = buf_page_count(store_buf(run->db->store));
    run->tally.shorter += pages < run->file_pages;
    run->tally.checkpoints++;
    run->file_pages = pages;
    return 0;
}

int run_steps(struct run *run, uint64_t steps)
{
    int result = 0;

    for (uint64_t i = 0; i < steps && result == 0; i++) {
        uint64_t dice = below(run, 40);
        result = step(run);
        if (result == 0 && (dice == 0 || buf_checkpoint_due(store_buf(run->db->store))))
            result = checkpoint(run);
        else if (result == 0 && dice < 3)
            result = txn_purge(&run->op, run->db->manager);
    }
    return result;
}

/* ---- judging -------------------------------------------------------------------------------------- */

struct question {
    struct text *text;
    char owner;                     /* names that do not end in this digit are not asked for */
};

static int add_name(void *arg, int columns, const char *const *values, const char *const *names)
{
    struct question *question = arg;

    (void)columns, (void)names;
    if (question->owner == '\0' || values[0][strlen(values[0]) - 1] == question->owner)
        text_add(question->text, "%s ", values[0]);
    return 0;
}

static int add_line(void *arg, int columns, const char *const *values, const char *const *names)
{
    struct question *question = arg;

    (void)names;
    text_add(question->text, "%s %s ", values[0], values[1]);
    table_add_value(question->text, values[2], 0, 0);
    for (int i = 3; i < columns; i++)
        text_add(question->text, " %s", values[i]);
    text_add(question->text, "\n");
    return 0;
}

static int add_sums(void *arg, int columns, const char *const *values, const char *const *names)
{
    struct question *question = arg;

    (void)columns, (void)names;
    text_add(question->text, "%s rows, sum %s, bytes %s\n", values[0], values[1], values[2]);
    return 0;
}

typedef int row_taker(void *arg, int columns, const char *const *values, const char *const *names);

static int ask(struct run *run, struct question *question, row_taker *take, const char *sql)
{
    return isolde_exec(run->keeper, sql, take, question) == ISOLDE_OK ? 0 : fail(run, sql, isolde_error(run->keeper));
}

static int ask_type(struct run *run, struct text *text, const char *sql)
{
    isolde_stmt *stmt;

    if (isolde_prepare(run->keeper, sql, -1, &stmt) != ISOLDE_OK)
        return fail(run, sql, isolde_error(run->keeper));
    text_add(text, "\nn is %s\n", isolde_column_type_name(stmt, 0));
    isolde_finalize(stmt);
    return 0;
}

static int ask_lines(struct run *run, struct text *text, char name, char owner)
{
    struct question all = {text, '\0'};
    char sql[300], extras[20] = "";
    size_t before = text->len;

    snprintf(sql, sizeof sql, "SELECT a.attname FROM pg_attribute a JOIN pg_class c ON a.attrelid = c.oid "
             "WHERE c.relname = '%c%c' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1", name, owner);
    if (ask(run, &all, add_name, sql) != 0)
        return OP_FAILED;
    for (int i = 0; i < EXTRAS; i++)
        if (strstr(text->data + before, i == 0 ? "e0 " : "e1 "))
            strcat(extras, i == 0 ? ", e0" : ", e1");
    snprintf(sql, sizeof sql, "SELECT n FROM %c%c", name, owner);
    if (ask_type(run, text, sql) != 0)
        return OP_FAILED;
    snprintf(sql, sizeof sql, "SELECT id, n, coalesce(big, 'none')%s FROM %c%c ORDER BY id", extras, name, owner);
    return ask(run, &all, add_line, sql);
}

/* The same text as table_describe's, of what is there. */
static int look(struct run *run, int number, struct text *text)
{
    char owner = (char)('0' + number), name[3] = {'t', owner, '\0'}, sql[200];
    struct question its = {text, owner};

    if (ask(run, &its, add_name, "SELECT relname FROM pg_class ORDER BY relname") != 0)
        return OP_FAILED;
    text_add(text, "\n");
    bool has_t = strstr(text->data, name) != NULL;
    name[0] = 'r';
    bool has_r = strstr(text->data, name) != NULL;
    name[0] = 'f';
    bool has_f = strstr(text->data, name) != NULL;
    if (ask(run, &its, add_name, "SELECT conname FROM pg_constraint ORDER BY conname") != 0)
        return OP_FAILED;
    text_add(text, "\n");
    if ((has_t || has_r) && ask_lines(run, text, has_t ? 't' : 'r', owner) != 0)
        return OP_FAILED;
    snprintf(sql, sizeof sql, "SELECT count(*), sum(id), sum(length(pad)) FROM f%c", owner);
    return has_f ? ask(run, &its, add_sums, sql) : 0;
}

static bool is_explained(const struct books *books, struct text *found, bool loud)
{
    bool equal = true;

    for (int i = 0; i < OWNERS && equal; i++) {
        struct text expected = {0};
        table_describe(&books->acknowledged[i], i, &expected);
        equal = strcmp(expected.data, found[i].data) == 0;
        if (!equal && loud)
            fprintf(stderr, "  with %zu commits left, expected of owner %d:\n%s\n  found:\n%s\n", books->pending_count, i, expected.data,
                    found[i].data);
        text_free(&expected);
    }
    return equal;
}

static int compare(struct run *run)
{
    struct text found[OWNERS] = {{0}};
    struct books *books = must(malloc(sizeof *books));
    int result = 0;
    bool explained = false;

    for (int i = 0; i < OWNERS && result == 0; i++)
        result = look(run, i, &found[i]);
    for (int loud = 0; loud < 2 && result == 0 && !explained; loud++) {
        *books = run->books;
        while (!(explained = is_explained(books, found, loud)) && books->pending_count > 0)
            books_settle(books, 1);
    }
    if (result == 0 && !explained)
        result = op_fail(&run->op, "XX001", "the database holds something else than what was committed");
    run->books = *books;
    run->books.pending_count = 0;
    for (int i = 0; i < OWNERS; i++)
        text_free(&found[i]);
    free(books);
    return result;
}

int run_judge(struct run *run)
{
    for (int i = 0; i < OWNERS; i++)
        run->owners[i].block = false;
    if (compare(run) == 0 && exec(run, run->keeper, "CHECK DATABASE") == 0)
        return 0;
    fprintf(stderr, "  %s %s\n", run->op.error.sqlstate, run->op.error.message);
    return 1;
}

/* ---- what it went through ------------------------------------------------------------------------- */

bool run_was_worth_it(const struct run *run)
{
    const struct tally *t = &run->tally;

    return t->definitions > 0 && t->rewrites > 0 && t->savepoint_rollbacks > 0 && t->rollbacks > 0 && t->errors > 0 && t->loads > 0 &&
           t->checkpoints > 1 && t->shorter > 0;
}

void run_tell(const struct run *run)
{
    const struct tally *t = &run->tally;
    const struct { const char *what; uint64_t number; } facts[] = {
        {"commits", t->commits}, {"rollbacks", t->rollbacks}, {"rollbacks to savepoints", t->savepoint_rollbacks},
        {"definitions", t->definitions}, {"rewrites", t->rewrites}, {"loads", t->loads}, {"failed statements", t->errors},
        {"checkpoints", t->checkpoints}, {"of which shortened the file", t->shorter},
    };

    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++)
        printf("%s%llu %s", i > 0 ? ", " : "", (unsigned long long)facts[i].number, facts[i].what);
    printf("\n");
}
