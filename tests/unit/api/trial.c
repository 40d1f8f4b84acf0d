/* trial.c -- running a unit of the script, and judging what is left of it.  See trial.h. */
#include "tests/unit/api/trial.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_SECONDS = 60 };

/* ---- complaining ---------------------------------------------------------------------------------- */

void trial_fail(const struct trial *trial, const char *format, ...)
{
    va_list args;

    fflush(stdout);
    fprintf(stderr, "FAILED: %s: ", trial->told);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}

static const char *watched;

static void bark(int number)
{
    static const char text[] = "FAILED: nothing has happened for a minute: ";

    (void)number;
    if (write(2, text, sizeof text - 1) < 0 || write(2, watched, strlen(watched)) < 0 || write(2, "\n", 1) < 0)
        _exit(1);
    abort();
}

void trial_watch(struct trial *trial, bool on)
{
    watched = trial->told;
    signal(SIGALRM, bark);
    alarm(on ? PATIENCE_SECONDS : 0);
}

/* ---- what a connection says ----------------------------------------------------------------------- */

/* All that a step says must be right, or to be expected of what fails.  True when it went well. */
static bool went_well(struct trial *trial, const struct trial_step *step, int code)
{
    const isolde_err *err = isolde_error(trial->conn[step->conn]);
    const char *sqlstate = isolde_error_sqlstate(err);

    if (code == ISOLDE_OK || code == ISOLDE_DONE || code == ISOLDE_ROW)
        return true;
    trial->errors++;
    if (code != ISOLDE_ERROR)
        trial_fail(trial, "\"%s\" gave the code %d", step->sql ? step->sql : "join", code);
    if (strcmp(sqlstate, "08007") == 0 && trial->may_fail && trial->may_fail(sqlstate))
        trial->unknown |= step->commit;
    else if (!(step->answer && strcmp(step->answer, sqlstate) == 0) && !(trial->may_fail && trial->may_fail(sqlstate)))
        trial_fail(trial, "\"%s\": %s %s (%s)", step->sql ? step->sql : "join", sqlstate, isolde_error_message(err),
                   isolde_error_detail(err) ? isolde_error_detail(err) : "");
    return false;
}

static int ignore_row(void *arg, int columns, const char *const *values, const char *const *names)
{
    (void)arg, (void)columns, (void)values, (void)names;
    return 0;
}

/* Every value in each form; a NULL must be a null, or an error that says why it is none. */
static int read_row(struct trial *trial, isolde_conn *conn, isolde_stmt *stmt)
{
    for (int i = 0; i < isolde_column_count(stmt); i++) {
        if (!isolde_column_name(stmt, i) || !isolde_column_type_name(stmt, i))
            trial_fail(trial, "a column without name or type");
        if (isolde_column_type(stmt, i) == ISOLDE_NULL)
            continue;
        isolde_column_int64(stmt, i);
        isolde_column_double(stmt, i);
        if (isolde_column_text(stmt, i))
            continue;
        if (!trial->may_fail || !trial->may_fail(isolde_error_sqlstate(isolde_error(conn))))
            trial_fail(trial, "a value without text, and %s", isolde_error_sqlstate(isolde_error(conn)));
        trial->unsaid = true;
        return ISOLDE_ERROR;
    }
    return ISOLDE_ROW;
}

/* ---- the kinds of steps --------------------------------------------------------------------------- */

static int run_rows(struct trial *trial, isolde_conn *conn, const struct trial_step *step)
{
    isolde_stmt *stmt;
    int code = isolde_prepare(conn, step->sql, -1, &stmt);

    if (code != ISOLDE_OK)
        return code;
    for (int turn = 0; turn < 2 && code >= 0; turn++) {
        if ((isolde_parameter_count(stmt) > 0 && (code = isolde_bind_int64(stmt, 1, 3)) != ISOLDE_OK) ||
            (isolde_parameter_count(stmt) > 1 && (code = isolde_bind_text(stmt, 2, "a parameter", -1)) != ISOLDE_OK)) {
            trial->unsaid = true;
            break;
        }
        while ((code = isolde_step(stmt)) == ISOLDE_ROW)
            if ((code = read_row(trial, conn, stmt)) < 0)
                break;
    }
    isolde_finalize(stmt);      /* which leaves the error in hand */
    return code;
}

static int run_cursor(struct trial *trial, isolde_conn *conn, const struct trial_step *step)
{
    isolde_stmt *stmt;
    int code = isolde_prepare(conn, step->sql, -1, &stmt), rows = 0;

    if (code != ISOLDE_OK)
        return code;
    while ((code = isolde_step(stmt)) == ISOLDE_ROW) {
        if ((code = read_row(trial, conn, stmt)) < 0)
            break;
        if (++rows == 2 && (code = isolde_exec(conn, step->also, ignore_row, NULL)) != ISOLDE_OK)
            break;
    }
    isolde_finalize(stmt);
    return code;
}

static int run_copy_in(isolde_conn *conn, const struct trial_step *step)
{
    isolde_stmt *stmt;
    size_t len = strlen(step->also);
    int code = isolde_prepare(conn, step->sql, -1, &stmt);

    if (code != ISOLDE_OK)
        return code;
    code = isolde_step(stmt);
    for (size_t at = 0, part; at < len && code >= 0; at += part) {
        part = len - at < 7 ? len - at : 7;
        code = isolde_copy_put(stmt, step->also + at, part);
    }
    if (code >= 0)
        code = isolde_copy_end(stmt, NULL);
    isolde_finalize(stmt);
    return code;
}

static int run_copy_out(isolde_conn *conn, const struct trial_step *step)
{
    isolde_stmt *stmt;
    const void *data;
    size_t len;
    int code = isolde_prepare(conn, step->sql, -1, &stmt);

    if (code != ISOLDE_OK)
        return code;
    code = isolde_step(stmt);
    while (code >= 0 && code != ISOLDE_DONE)
        code = isolde_copy_get(stmt, &data, &len);
    isolde_finalize(stmt);
    return code;
}

/* ---- a statement that may wait -------------------------------------------------------------------- */

static struct {
    pthread_t thread;
    bool running;
    int code;
    isolde_conn *conn;
    const struct trial_step *step;
    volatile bool done;
} background;

static void *run_in_background(void *arg)
{
    (void)arg;
    background.code = isolde_exec(background.conn, background.step->sql, ignore_row, NULL);
    __atomic_store_n(&background.done, true, __ATOMIC_RELEASE);
    return NULL;
}

static int begin_thread(struct trial *trial, isolde_conn *conn, const struct trial_step *step)
{
    background.conn = conn;
    background.step = step;
    background.done = false;
    if (pthread_create(&background.thread, NULL, run_in_background, NULL) != 0)
        trial_fail(trial, "no thread");
    background.running = true;
    while (!__atomic_load_n(&background.done, __ATOMIC_ACQUIRE) && !isolde_waiting(conn))
        nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    return ISOLDE_OK;
}

static int join_thread(void)
{
    if (!background.running)
        return ISOLDE_OK;
    pthread_join(background.thread, NULL);
    background.running = false;
    return background.code;
}

/* ---- a run ---------------------------------------------------------------------------------------- */

static bool is_last(const struct trial_step *step)
{
    return !step->sql && step->kind != TRIAL_JOIN;
}

/* Whether a connection has any of these commits to make. */
static bool takes_part(const struct trial_unit *unit, int conn, int commits)
{
    int its = 0;

    for (const struct trial_step *step = unit->steps; !is_last(step); step++)
        its |= step->conn == conn ? step->commit : 0;
    return its == 0 || (its & commits) != 0;
}

/* commits: those that are wished for; a step of the others is left out, or rolled back. */
static int run_step(struct trial *trial, const struct trial_step *step, int commits)
{
    isolde_conn *conn = trial->conn[step->conn];
    bool wanted = !step->commit || (commits & step->commit) != 0;

    if (!wanted && (step->kind != TRIAL_EXEC || strcmp(step->sql, "COMMIT") != 0))
        return ISOLDE_OK;
    switch (step->kind) {
    case TRIAL_ROWS: return run_rows(trial, conn, step);
    case TRIAL_CURSOR: return run_cursor(trial, conn, step);
    case TRIAL_COPY_IN: return run_copy_in(conn, step);
    case TRIAL_COPY_OUT: return run_copy_out(conn, step);
    case TRIAL_THREAD: return begin_thread(trial, conn, step);
    case TRIAL_JOIN: return join_thread();
    case TRIAL_EXEC: break;
    }
    return isolde_exec(conn, wanted ? step->sql : "ROLLBACK", ignore_row, NULL);
}

/* After an error a block has failed, and outside of one nothing is left of the statement.  For a ROLLBACK there may be no memory
 * either; then it comes later (trial_judge). */
static void roll_back(struct trial *trial, int conn)
{
    isolde_conn *of = trial->conn[conn];

    if (isolde_transaction_status(of) == 'T' && !trial->unsaid)
        trial_fail(trial, "after an error the block of connection %d is still open", conn);
    trial->unsaid = false;
    if (isolde_transaction_status(of) != 'I' && isolde_exec(of, "ROLLBACK", NULL, NULL) != ISOLDE_OK &&
        (!trial->may_fail || !trial->may_fail(isolde_error_sqlstate(isolde_error(of)))))
        trial_fail(trial, "ROLLBACK: %s %s", isolde_error_sqlstate(isolde_error(of)), isolde_error_message(isolde_error(of)));
}

static void run_steps(struct trial *trial, int commits)
{
    bool failed[2] = {!takes_part(trial->unit, 0, commits), !takes_part(trial->unit, 1, commits)};

    trial->acknowledged = trial->unknown = trial->errors = 0;
    for (const struct trial_step *step = trial->unit->steps; !is_last(step); step++) {
        if (failed[step->conn] && step->kind != TRIAL_JOIN)
            continue;
        if (went_well(trial, step, run_step(trial, step, commits))) {
            trial->acknowledged |= step->kind != TRIAL_THREAD ? step->commit & commits : 0;
        } else {
            failed[step->conn] = true;
            roll_back(trial, step->conn);
        }
    }
}

void trial_run(struct trial *trial)
{
    run_steps(trial, trial->all);
}

/* ---- states --------------------------------------------------------------------------------------- */

static const char *const questions[] = {
    "SELECT id, v, length(w), substring(w, 1, 12) FROM t ORDER BY id",
    "SELECT w FROM t WHERE w > 'w' AND w < 'x' ORDER BY w",
    "SELECT v, count(*) FROM t GROUP BY v ORDER BY v",
    "SELECT k, length(note), substring(note, 1, 8) FROM h ORDER BY k, 2",
    "SELECT count(*), sum(grp), sum(length(pad)) FROM big",
    "SELECT * FROM fresh ORDER BY 1",
};

struct answer {
    char *text;
    size_t len;
};

static void add_text(struct answer *answer, const char *text)
{
    size_t len = strlen(text);

    if (answer->len + len + 2 > TRIAL_STATE_BYTES)
        abort();
    memcpy(answer->text + answer->len, text, len + 1);
    answer->len += len;
}

static int add_row(void *arg, int columns, const char *const *values, const char *const *names)
{
    (void)names;
    for (int i = 0; i < columns; i++) {
        add_text(arg, values[i] ? values[i] : "-");
        add_text(arg, i + 1 < columns ? "," : ";");
    }
    return 0;
}

static char *state_of(struct trial *trial)
{
    struct answer answer = {malloc(TRIAL_STATE_BYTES), 0};

    answer.text[0] = '\0';
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        if (isolde_exec(trial->conn[0], questions[i], add_row, &answer) != ISOLDE_OK) {
            const isolde_err *err = isolde_error(trial->conn[0]);
            if (strcmp(isolde_error_sqlstate(err), "42P01") != 0)
                trial_fail(trial, "\"%s\": %s %s", questions[i], isolde_error_sqlstate(err), isolde_error_message(err));
            add_text(&answer, "absent");
        }
        add_text(&answer, "\n");
    }
    return answer.text;
}

/* ---- opening and resetting ------------------------------------------------------------------------ */

static void must(struct trial *trial, int conn, const char *sql)
{
    isolde_conn *of = trial->conn[conn];

    if (isolde_exec(of, sql, NULL, NULL) != ISOLDE_OK)
        trial_fail(trial, "\"%.60s\": %s %s (%s)", sql, isolde_error_sqlstate(isolde_error(of)),
                   isolde_error_message(isolde_error(of)),
                   isolde_error_detail(isolde_error(of)) ? isolde_error_detail(isolde_error(of)) : "");
}

void trial_open(struct trial *trial, isolde_db *db, bool create)
{
    trial->db = db;
    for (int i = 0; i < 2; i++) {
        if (isolde_connect(db, &trial->conn[i], NULL) != ISOLDE_OK)
            trial_fail(trial, "no connection");
        must(trial, i, "SET lock_timeout = '20s'; SET work_mem = '64kB'");
    }
    if (!create)
        return;
    must(trial, 0,
         "CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL, w text); CREATE INDEX t_v ON t (v);"
         "CREATE UNIQUE INDEX t_w ON t (w); CREATE TABLE h (k int, note text);"
         "CREATE TABLE big (id int PRIMARY KEY, grp int, pad text);"
         "INSERT INTO big SELECT i, i % 37, 'pad ' || i * 7919 % 1000 || repeat('.', 90) FROM generate_series(1, 900) AS g(i)");
}

void trial_disconnect(struct trial *trial)
{
    for (int i = 0; i < 2; i++) {
        isolde_disconnect(trial->conn[i]);
        trial->conn[i] = NULL;
    }
}

void trial_free(struct trial *trial)
{
    for (int i = 0; i < 1 << TRIAL_COMMITS; i++) {
        free(trial->states[i]);
        trial->states[i] = NULL;
    }
}

void trial_reset(struct trial *trial)
{
    must(trial, 1,
         "DROP TABLE IF EXISTS fresh; DROP INDEX IF EXISTS big_pad; DELETE FROM t; DELETE FROM h;"
         "INSERT INTO t VALUES (1, 1, 'w1'), (2, 2, 'w2'), (3, 0, 'w3'), (4, 1, NULL), (5, 2, 'w5'), (6, 0, 'w6'), (7, 1, 'w7');"
         "INSERT INTO t VALUES (8, 2, repeat('long ', 200));"
         "INSERT INTO h VALUES (1, 'one'), (2, repeat('chain ', 4000)), (2, NULL)");
}

static int all_commits(const struct trial_unit *unit)
{
    int all = 0;

    for (const struct trial_step *step = unit->steps; !is_last(step); step++)
        all |= step->commit;
    return all;
}

void trial_learn(struct trial *trial, const struct trial_unit *unit)
{
    trial_free(trial);
    trial->unit = unit;
    trial->all = all_commits(unit);
    for (int commits = 0; commits <= trial->all; commits++) {
        if ((commits & trial->all) != commits)
            continue;
        snprintf(trial->told, sizeof trial->told, "%s, undisturbed, commits %d", unit->name, commits);
        trial_reset(trial);
        run_steps(trial, commits);
        if (trial->acknowledged == commits)
            trial->states[commits] = state_of(trial);
    }
}

/* ---- judging -------------------------------------------------------------------------------------- */

static bool may_be(const struct trial *trial, const char *state, int commits)
{
    return trial->states[commits] && strcmp(trial->states[commits], state) == 0;
}

static void judge(struct trial *trial, bool unknown_too)
{
    for (int i = 0; i < 2; i++)
        if (isolde_transaction_status(trial->conn[i]) == 'E')
            roll_back(trial, i);
    for (int i = 0; i < 2; i++)
        if (isolde_transaction_status(trial->conn[i]) != 'I')
            trial_fail(trial, "connection %d is still in a transaction", i);
    char *state = state_of(trial);
    bool explained = may_be(trial, state, trial->acknowledged);
    for (int more = trial->unknown; unknown_too && more != 0 && !explained; more = (more - 1) & trial->unknown)
        explained = may_be(trial, state, trial->acknowledged | more);
    if (!explained)
        trial_fail(trial, "acknowledged were commits %d, unknown %d; the state should be\n%sand is\n%s", trial->acknowledged,
                   trial->unknown, trial->states[trial->acknowledged] ? trial->states[trial->acknowledged] : "(impossible)\n", state);
    free(state);
}

void trial_judge(struct trial *trial)
{
    judge(trial, false);
}

void trial_judge_unknown(struct trial *trial)
{
    judge(trial, true);
}

void trial_check(struct trial *trial)
{
    must(trial, 0, "CHECK DATABASE");
}

/* ---- the script ----------------------------------------------------------------------------------- */

#define ON(conn_, sql_) {.conn = conn_, .sql = sql_}
#define COMMITS(conn_, bit_, sql_) {.conn = conn_, .commit = bit_, .sql = sql_}
#define MAY(conn_, sql_, state_) {.conn = conn_, .sql = sql_, .answer = state_}

const struct trial_unit trial_units[] = {
    {"points and ranges", {
        ON(0, "SELECT * FROM t WHERE id = 3; SELECT * FROM t WHERE v > 0 ORDER BY v DESC, id; SELECT id FROM t WHERE w = 'w2'"),
        ON(0, "SELECT id, length(note) FROM t JOIN h ON k = id WHERE v IN (1, 2) ORDER BY 1, 2"),
        {.kind = TRIAL_ROWS, .sql = "SELECT id, v, w, v * 1.5, w || $2 FROM t WHERE id >= $1"}}},
    {"a sort on disk", {ON(0, "SELECT id, pad FROM big ORDER BY pad DESC, id LIMIT 700 OFFSET 20")}},
    {"hash join and groups on disk", {
        ON(0, "SELECT a.pad, count(*), sum(b.id) FROM big a JOIN big b ON a.pad = b.pad AND a.id <> b.id + 1 GROUP BY a.pad"),
        ON(0, "SELECT count(DISTINCT pad), avg(grp), min(pad), max(pad) FROM big")}},
    {"sets and sub-selects", {
        ON(0, "SELECT v FROM t UNION SELECT k FROM h UNION ALL SELECT 7 ORDER BY 1"),
        ON(0, "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM h WHERE k = v) OR v = (SELECT max(v) FROM t) ORDER BY id"),
        ON(0, "SELECT g, (SELECT count(*) FROM big WHERE grp = g) FROM (SELECT DISTINCT grp AS g FROM big) AS s ORDER BY 2, 1 LIMIT 9"),
        ON(0, "SELECT t.id, h.k FROM t LEFT JOIN h ON h.k = t.v ORDER BY 1, 2; SELECT count(*) FROM t LEFT JOIN h ON h.k = t.id")}},
    {"an insert alone", {COMMITS(0, 1, "INSERT INTO t VALUES (20, 5, 'w20'), (21, 5, NULL)")}},
    {"an insert that returns", {COMMITS(0, 1, "INSERT INTO t SELECT i, i, 'x' || i FROM generate_series(30, 60) AS g(i) RETURNING *, w || '!'")}},
    {"several statements in one text", {
        COMMITS(0, 1, "INSERT INTO t VALUES (22, 1, 'w22'); UPDATE t SET v = v + 10; SELECT * FROM t; DELETE FROM h")}},
    {"an update of keys and long values", {
        COMMITS(0, 1, "UPDATE t SET id = id + 100, w = 'w' || id || repeat('+', id * 100) RETURNING id, length(w)")}},
    {"long values come and go", {
        ON(0, "BEGIN"),
        ON(0, "UPDATE h SET note = repeat(coalesce(note, 'none'), 3)"),
        ON(0, "INSERT INTO h SELECT i, repeat('new ', 6000) FROM generate_series(5, 7) AS g(i)"),
        ON(0, "SAVEPOINT s; DELETE FROM h WHERE k < 6; UPDATE h SET note = 'short' WHERE k = 6; ROLLBACK TO s"),
        ON(0, "DELETE FROM h WHERE k = 7"),
        COMMITS(0, 1, "COMMIT")}},
    {"a delete that returns", {COMMITS(0, 1, "DELETE FROM t WHERE v = 1 OR id = 8 RETURNING id, w")}},
    {"savepoints", {
        ON(0, "BEGIN"),
        ON(0, "INSERT INTO t VALUES (20, 0, 'a'), (21, 0, 'b')"),
        ON(0, "SAVEPOINT one"),
        ON(0, "UPDATE t SET v = v + 1"),
        ON(0, "SAVEPOINT two"),
        ON(0, "DELETE FROM t WHERE id < 4"),
        ON(0, "ROLLBACK TO two"),
        ON(0, "UPDATE t SET w = 'z' || id WHERE id > 4"),
        ON(0, "ROLLBACK TO one"),
        ON(0, "DELETE FROM t WHERE id = 5"),
        ON(0, "RELEASE one"),
        COMMITS(0, 1, "COMMIT")}},
    {"a savepoint after an error", {
        ON(0, "BEGIN; UPDATE t SET v = 9 WHERE id = 1; SAVEPOINT s"),
        ON(0, "INSERT INTO t SELECT i, 0, 'run' || i FROM generate_series(100, 150) AS g(i)"),
        ON(0, "ROLLBACK TO s; DELETE FROM t WHERE id = 2"),
        COMMITS(0, 1, "COMMIT")}},
    {"many appended rows", {
        ON(0, "BEGIN"),
        ON(0, "INSERT INTO t SELECT i, 4, 'run' || i FROM generate_series(100, 190) AS g(i)"),
        ON(0, "UPDATE t SET v = 3 WHERE id BETWEEN 120 AND 125; DELETE FROM t WHERE id = 133"),
        ON(0, "INSERT INTO t VALUES (50, 1, 'before'), (300, 1, 'behind')"),
        COMMITS(0, 1, "COMMIT")}},
    {"a duplicate", {
        ON(0, "BEGIN; INSERT INTO t VALUES (40, 4, 'w40')"),
        MAY(0, "INSERT INTO t VALUES (41, 4, 'w41'), (1, 4, 'twice')", "23505"),
        COMMITS(0, 1, "COMMIT")}},
    {"first updater wins", {
        ON(1, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t"),
        COMMITS(0, 1, "UPDATE t SET v = v + 5 WHERE id = 2"),
        ON(1, "UPDATE t SET w = 'other' WHERE id = 6"),
        MAY(1, "UPDATE t SET v = v + 7 WHERE id IN (1, 2)", "40001"),
        COMMITS(1, 2, "COMMIT")}},
    {"write skew", {
        ON(0, "BEGIN ISOLATION LEVEL SERIALIZABLE"),
        ON(1, "BEGIN ISOLATION LEVEL SERIALIZABLE"),
        MAY(0, "SELECT sum(v) FROM t WHERE id BETWEEN 1 AND 4; SELECT count(*) FROM h", "40001"),
        MAY(1, "SELECT sum(v) FROM t WHERE v = 1; SELECT count(*) FROM t", "40001"),
        MAY(0, "UPDATE t SET v = 50 WHERE id = 6; INSERT INTO h VALUES (9, 'nine')", "40001"),
        MAY(1, "UPDATE t SET v = 60 WHERE id = 1", "40001"),
        {.conn = 0, .commit = 1, .sql = "COMMIT", .answer = "40001"},
        {.conn = 1, .commit = 2, .sql = "COMMIT", .answer = "40001"}}},
    {"one waits for the other", {
        ON(0, "BEGIN; UPDATE t SET v = v + 5 WHERE id IN (2, 5)"),
        {.kind = TRIAL_THREAD, .conn = 1, .commit = 2, .sql = "UPDATE t SET v = v * 3 WHERE v > 1"},
        ON(0, "UPDATE t SET w = 'late' WHERE id = 5"),
        COMMITS(0, 1, "COMMIT"),
        {.kind = TRIAL_JOIN, .conn = 1, .commit = 2}}},
    {"one waits, the other goes back", {
        ON(0, "BEGIN; SAVEPOINT s; UPDATE t SET v = v + 5 WHERE id IN (2, 5)"),
        ON(1, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM t"),
        {.kind = TRIAL_THREAD, .conn = 1, .sql = "DELETE FROM t WHERE id = 2", .answer = "40001"},
        ON(0, "ROLLBACK TO s"),
        {.kind = TRIAL_JOIN, .conn = 1, .answer = "40001"},
        ON(0, "INSERT INTO h VALUES (3, 'three')"),
        COMMITS(0, 1, "COMMIT"),
        COMMITS(1, 2, "COMMIT")}},
    {"a deadlock", {
        ON(0, "BEGIN; UPDATE t SET v = 11 WHERE id = 1"),
        ON(1, "BEGIN; UPDATE t SET v = 22 WHERE id = 2"),
        {.kind = TRIAL_THREAD, .conn = 1, .sql = "UPDATE t SET v = 33 WHERE id = 1", .answer = "40P01"},
        MAY(0, "UPDATE t SET v = 44 WHERE id = 2", "40P01"),
        COMMITS(0, 1, "COMMIT"),
        {.kind = TRIAL_JOIN, .conn = 1, .answer = "40P01"},
        COMMITS(1, 2, "COMMIT")}},
    {"row locks", {
        ON(0, "BEGIN; UPDATE t SET v = v WHERE v = 1"),
        {.kind = TRIAL_THREAD, .conn = 1, .commit = 2, .sql = "UPDATE t SET v = 8 WHERE id = 1"},
        ON(0, "UPDATE t SET w = 'locked' WHERE id = 1"),
        COMMITS(0, 1, "COMMIT"),
        {.kind = TRIAL_JOIN, .conn = 1, .commit = 2}}},
    {"tables and indexes", {
        ON(0, "BEGIN"),
        ON(0, "CREATE TABLE fresh (a int PRIMARY KEY, b text UNIQUE, c numeric(8,2))"),
        ON(0, "INSERT INTO fresh SELECT i, 'b' || i, i * 1.25 FROM generate_series(1, 30) AS g(i)"),
        ON(0, "CREATE INDEX fresh_c ON fresh (c DESC, b); SELECT a FROM fresh WHERE c > 30"),
        ON(0, "CREATE TABLE other (x int); DROP TABLE other"),
        COMMITS(0, 1, "COMMIT")}},
    {"a table goes", {
        ON(0, "BEGIN; CREATE TABLE fresh (a int)"),
        ON(0, "INSERT INTO fresh VALUES (1), (2); DROP INDEX t_v; SELECT * FROM t WHERE v = 1; DROP TABLE fresh"),
        ON(0, "ROLLBACK")}},
    {"an index of many rows", {COMMITS(0, 1, "CREATE INDEX big_pad ON big (pad)")}},
    {"COPY in", {{.kind = TRIAL_COPY_IN, .commit = 1, .sql = "COPY t FROM STDIN",
                  .also = "70\t7\tcopied\n71\t7\t\\N\n72\t7\twith \\t tab\n73\t7\tmore\n74\t7\tand more\n"}}},
    {"COPY in, wrongly", {
        {.kind = TRIAL_COPY_IN, .sql = "COPY t (id, v) FROM STDIN WITH (FORMAT csv)", .also = "80,1\n81,2\n82,x\n", .answer = "22P02"}}},
    {"COPY out", {{.kind = TRIAL_COPY_OUT, .sql = "COPY (SELECT * FROM big WHERE id < 100) TO STDOUT WITH (FORMAT csv, HEADER)"},
                  {.kind = TRIAL_COPY_OUT, .sql = "COPY h TO STDOUT"}}},
    {"cursors", {
        ON(0, "BEGIN ISOLATION LEVEL REPEATABLE READ"),
        {.kind = TRIAL_CURSOR, .sql = "SELECT id, pad FROM big ORDER BY id LIMIT 50", .also = "INSERT INTO h SELECT id, w FROM t"},
        {.kind = TRIAL_CURSOR, .sql = "UPDATE t SET v = 1 RETURNING id, w", .also = "SELECT * FROM t"},
        COMMITS(0, 1, "COMMIT")}},
    {"prepared statements", {
        {.kind = TRIAL_ROWS, .conn = 1, .sql = "SELECT id, pad FROM big WHERE grp = $1 ORDER BY pad"},
        {.kind = TRIAL_ROWS, .conn = 0, .sql = "SELECT count(*), $2 FROM t WHERE id < $1"},
        ON(0, "BEGIN"),
        {.kind = TRIAL_ROWS, .conn = 0, .sql = "UPDATE t SET v = v + $1, w = $2 || id RETURNING v, w"},
        COMMITS(0, 1, "COMMIT")}},
    {"a savepoint in each level", {
        ON(0, "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT * FROM t WHERE id = 1; SAVEPOINT s"),
        ON(0, "INSERT INTO h VALUES (4, 'four'); UPDATE t SET w = 'ser' WHERE id = 3"),
        ON(0, "ROLLBACK TO s; UPDATE t SET w = 'ser2' WHERE id = 3"),
        COMMITS(0, 1, "COMMIT"),
        ON(1, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM big; SAVEPOINT s"),
        ON(1, "INSERT INTO h VALUES (5, 'five'); ROLLBACK TO s; INSERT INTO h VALUES (6, 'six')"),
        COMMITS(1, 2, "COMMIT")}},
    {"settings and the like", {
        ON(0, "BEGIN; SET LOCAL enable_hashjoin = off; SHOW work_mem; SET search_path = public; ROLLBACK; RESET search_path"),
        ON(0, "EXPLAIN (ANALYZE) SELECT a.grp, count(*) FROM big a JOIN t ON t.v = a.grp GROUP BY 1 ORDER BY 2"),
        ON(0, "CHECKPOINT"), ON(0, "CHECK DATABASE")}},
};
const size_t trial_unit_count = sizeof trial_units / sizeof *trial_units;
