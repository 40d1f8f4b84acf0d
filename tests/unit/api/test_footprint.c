/*
 * Which writes conflict with which reads at SERIALIZABLE?  Each case is a read, a write, and whether the one makes a difference to the other.
 *
 * Of a conflict nothing is seen but by closing a circle: the writer has read a row of another table that the reader then changes.  If, and
 * only if, the read conflicts with the write, one of the two fails with 40001.  Each case is run in three orders (the write comes after
 * the read; before it, not yet committed; before it, committed after the reader's snapshot) and with three kinds of plans, and
 * must have the same outcome in all of them.
 */
#include "api_test.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum order { WRITE_AFTER, WRITE_BEFORE, COMMIT_BEFORE, ORDERS };

static const char *const order_names[] = { "write after", "write before", "commit before" };

static const char *const plans[] = {
    "SET enable_seqscan = on; SET enable_indexscan = on; SET enable_indexonlyscan = on; SET enable_hashjoin = on",
    "SET enable_seqscan = off; SET enable_indexscan = on; SET enable_indexonlyscan = on; SET enable_hashjoin = off",
    "SET enable_seqscan = on; SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_hashjoin = on",
};

/* With a write that comes first the read would have to wait. */
enum { CONFLICTS = true, NOT_BEFORE = 2 };

struct pair {
    const char *read, *write;
    int verdict;
};

static bool conflicts(const struct pair *pair)
{
    return pair->verdict & CONFLICTS;
}

static bool failed;
static bool refusals;       /* a statement may be refused: then to the savepoint */

/* Runs the statements; notes a 40001, and refuses any other error. */
static void step(isolde_conn *conn, const char *sql)
{
    const char *answer = ask(conn, sql);

    if (refusals && (strncmp(answer, "23503", 5) == 0 || strncmp(answer, "23505", 5) == 0))
        assert_string_equal(ask(conn, "ROLLBACK TO s"), "");
    else if (strncmp(answer, "40001", 5) == 0 || strncmp(answer, "25P02", 5) == 0)
        failed = true;
    else if (strlen(answer) > 6 && answer[5] == ' ' && answer[0] >= '2' && answer[0] <= 'X' && strspn(answer, "0123456789PX") >= 5)
        fail_msg("%s: %s", sql, answer);
}

static void set_up(struct fixture *f)
{
    run(f->conn, "CREATE TABLE t (id int PRIMARY KEY, a int, b int, c text, u int UNIQUE);"
                 "CREATE INDEX t_a ON t (a); CREATE INDEX t_b_part ON t (b) WHERE b > 100; CREATE INDEX t_lower ON t (lower(c));"
                 "CREATE INDEX t_ab ON t (a DESC, b) INCLUDE (c);"
                 "CREATE TABLE other (id int PRIMARY KEY, t_id int, v int); CREATE TABLE empty (id int PRIMARY KEY, v int);"
                 "CREATE TABLE bare (x int, y int);"
                 "CREATE TABLE aux (id int PRIMARY KEY, v int); INSERT INTO aux VALUES (1, 0), (2, 0);"
                 "INSERT INTO t SELECT g, g, g * 10, 'C' || g, g FROM generate_series(1, 20) g;"
                 "INSERT INTO other SELECT g, g, g FROM generate_series(1, 5) g;"
                 "INSERT INTO bare SELECT g, g FROM generate_series(1, 5) g");
}

static void tear_down(struct fixture *f)
{
    run(f->conn, "DROP TABLE t, other, empty, bare, aux");
}

static bool conflict(struct fixture *f, const char *read, const char *write, enum order order)
{
    isolde_conn *reader = f->conn, *writer = f->other;

    failed = false;
    step(reader, "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT v FROM aux WHERE id = 2");
    step(writer, "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT v FROM aux WHERE id = 1");
    if (order == WRITE_AFTER)
        step(reader, read);
    step(writer, write);
    if (order == COMMIT_BEFORE)
        step(writer, "COMMIT");
    if (order != WRITE_AFTER)
        step(reader, read);
    step(reader, "UPDATE aux SET v = v + 1 WHERE id = 1");
    step(reader, "COMMIT");
    if (order != COMMIT_BEFORE)
        step(writer, "COMMIT");
    ask(reader, "ROLLBACK");
    ask(writer, "ROLLBACK");
    return failed;
}

static void check(struct fixture *f, const struct pair *pairs, size_t count)
{
    for (size_t p = 0; p < COUNT(plans); p++)
        for (size_t i = 0; i < count; i++)
            for (int order = 0; order < ORDERS; order++) {
                if (order == WRITE_BEFORE && (pairs[i].verdict & NOT_BEFORE))
                    continue;
                set_up(f);
                ask(f->conn, plans[p]);
                if (conflict(f, pairs[i].read, pairs[i].write, order) != conflicts(&pairs[i]))
                    fail_msg("%s: %s / %s: %s; plans %zu", conflicts(&pairs[i]) ? "no conflict" : "needless conflict", pairs[i].read,
                             pairs[i].write, order_names[order], p);
                tear_down(f);
            }
}

#define CHECK(pairs) check(*state, (pairs), COUNT(pairs))

static void a_row_is_read_by_its_key(void **state)
{
    static const struct pair pairs[] = {
        { "SELECT b FROM t WHERE id = 3", "UPDATE t SET b = 0 WHERE id = 3", true },
        { "SELECT b FROM t WHERE id = 3", "DELETE FROM t WHERE id = 3", true },
        { "SELECT b FROM t WHERE id = 3", "UPDATE t SET id = 33 WHERE id = 3", true },
        { "SELECT b FROM t WHERE id = 3", "UPDATE t SET b = 0 WHERE id = 4", false },
        { "SELECT b FROM t WHERE id = 3", "DELETE FROM t WHERE id = 4", false },
        { "SELECT b FROM t WHERE id = 3", "INSERT INTO t VALUES (30, 3, 30, 'x', 30)", false },
        { "SELECT b FROM t WHERE u = 3", "UPDATE t SET b = 0 WHERE id = 3", true },
        { "SELECT b FROM t WHERE u = 3", "UPDATE t SET u = 33 WHERE id = 3", true },
        { "SELECT b FROM t WHERE u = 3", "UPDATE t SET b = 0 WHERE u = 4", false },
        { "SELECT b FROM t WHERE u = 33", "UPDATE t SET u = 33 WHERE id = 4", true },
        { "SELECT b FROM t WHERE id = 3", "UPDATE t SET b = b WHERE id = 3", false },
    };
    CHECK(pairs);
}

static void what_is_not_there_is_read_too(void **state)
{
    static const struct pair pairs[] = {
        { "SELECT b FROM t WHERE id = 33", "INSERT INTO t (id) VALUES (33)", true },
        { "SELECT b FROM t WHERE id = 33", "INSERT INTO t (id) VALUES (34)", false },
        { "SELECT b FROM t WHERE id = 33", "UPDATE t SET id = 33 WHERE id = 3", true },
        { "SELECT * FROM empty", "INSERT INTO empty VALUES (1, 1)", true },
        { "SELECT * FROM empty WHERE id > 5", "INSERT INTO empty VALUES (6, 1)", true },
        { "SELECT * FROM empty WHERE id > 5", "INSERT INTO empty VALUES (5, 1)", false },
        { "SELECT count(*) FROM empty WHERE v = 1", "INSERT INTO empty VALUES (5, 1)", true },
        { "SELECT count(*) FROM empty WHERE v = 1", "INSERT INTO empty VALUES (5, 2)", false },
        { "SELECT count(*) FROM empty WHERE v = 1", "INSERT INTO empty VALUES (5, NULL)", false },
        { "SELECT sum(b) FROM t WHERE a BETWEEN 100 AND 200", "UPDATE t SET a = 150 WHERE id = 3", true },
        { "UPDATE t SET b = 0 WHERE a = 77", "INSERT INTO t (id, a) VALUES (30, 77)", true },
        { "DELETE FROM t WHERE a = 77", "INSERT INTO t (id, a) VALUES (30, 78)", false },
    };
    CHECK(pairs);
}

static void ranges_end_where_the_condition_says(void **state)
{
    static const struct pair pairs[] = {
        { "SELECT b FROM t WHERE id > 3 AND id < 7", "UPDATE t SET b = 0 WHERE id = 3", false },
        { "SELECT b FROM t WHERE id > 3 AND id < 7", "UPDATE t SET b = 0 WHERE id = 4", true },
        { "SELECT b FROM t WHERE id > 3 AND id < 7", "UPDATE t SET b = 0 WHERE id = 7", false },
        { "SELECT b FROM t WHERE id >= 3 AND id <= 7", "UPDATE t SET b = 0 WHERE id = 3", true },
        { "SELECT b FROM t WHERE id >= 3 AND id <= 7", "UPDATE t SET b = 0 WHERE id = 7", true },
        { "SELECT b FROM t WHERE id > 18", "INSERT INTO t (id) VALUES (1000)", true },
        { "SELECT b FROM t WHERE id < 3", "INSERT INTO t (id) VALUES (-1000)", true },
        { "SELECT b FROM t WHERE id IN (2, 4) ORDER BY id DESC", "UPDATE t SET b = 0 WHERE id = 3", false },
        { "SELECT b FROM t WHERE id IN (2, 4) ORDER BY id DESC", "UPDATE t SET b = 0 WHERE id = 2", true },
        { "SELECT b FROM t WHERE id = 2 OR a = 5", "UPDATE t SET b = 0 WHERE id = 3", false },
        { "SELECT b FROM t WHERE id = 2 OR a = 5", "UPDATE t SET b = 0 WHERE id = 5", true },
        { "SELECT b FROM t WHERE a > 3 AND a < 7 ORDER BY a DESC", "UPDATE t SET a = 6 WHERE id = 10", true },
        { "SELECT b FROM t WHERE a > 3 AND a < 7 ORDER BY a DESC", "UPDATE t SET a = 16 WHERE id = 5", true },
        { "SELECT b FROM t WHERE a > 3 AND a < 7 ORDER BY a DESC", "UPDATE t SET a = 16 WHERE id = 8", false },
        { "SELECT b FROM t WHERE a IS NULL", "UPDATE t SET a = NULL WHERE id = 8", true },
        { "SELECT b FROM t WHERE a IS NULL", "UPDATE t SET a = 100 WHERE id = 8", false },
    };
    CHECK(pairs);
}

static void conditions_are_tested_on_the_row_before_and_after(void **state)
{
    static const struct pair pairs[] = {
        { "SELECT count(*) FROM t WHERE b = 30", "UPDATE t SET b = 30 WHERE id = 9", true },
        { "SELECT count(*) FROM t WHERE b = 30", "UPDATE t SET b = 31 WHERE id = 3", true },
        { "SELECT count(*) FROM t WHERE b = 30", "UPDATE t SET b = 31 WHERE id = 9", false },
        { "SELECT count(*) FROM t WHERE b = 30 AND a = 3", "UPDATE t SET b = 30 WHERE id = 9", false },
        { "SELECT count(*) FROM t WHERE b = 30 AND a = 3", "UPDATE t SET b = 31 WHERE id = 3", true },
        { "SELECT c FROM t WHERE a = 3 AND b > 40", "UPDATE t SET c = 'x' WHERE id = 3", false },
        { "SELECT count(*) FROM t WHERE a > 3", "UPDATE t SET a = 100 WHERE id = 9", false },
        { "SELECT count(*) FROM t WHERE a > 3", "UPDATE t SET a = 2 WHERE id = 9", true },
        { "SELECT count(*) FROM t WHERE c LIKE 'C1%'", "UPDATE t SET c = 'C1x' WHERE id = 3", true },
        { "SELECT count(*) FROM t WHERE c LIKE 'C1%'", "UPDATE t SET c = 'D1x' WHERE id = 3", false },
        { "SELECT count(*) FROM t WHERE NOT (b = 30)", "UPDATE t SET b = NULL WHERE id = 9", true },
        { "SELECT count(*) FROM t WHERE 100 / b > 3 AND id < 4", "UPDATE t SET b = 0 WHERE id = 3", true },
        { "SELECT x FROM bare WHERE false", "INSERT INTO bare VALUES (1, 1)", false },
        { "SELECT x FROM bare WHERE y = 2", "UPDATE bare SET x = 0 WHERE y = 2", true },
        { "SELECT x FROM bare WHERE y = 2", "UPDATE bare SET x = 0 WHERE y = 3", false },
        { "SELECT x FROM bare WHERE y = 2", "DELETE FROM bare WHERE y = 2", true },
        { "SELECT x FROM bare WHERE y = 9", "INSERT INTO bare VALUES (1, 9)", true },
        { "SELECT x FROM bare WHERE y = 9", "INSERT INTO bare VALUES (1, 8)", false },
        { "UPDATE t SET b = b + 1 WHERE b = 30", "UPDATE t SET b = 30 WHERE id = 9", true },
        { "UPDATE t SET b = b + 1 WHERE b = 30", "UPDATE t SET b = 31 WHERE id = 9", false },
    };
    CHECK(pairs);
}

static void columns_that_nobody_reads_do_not_count(void **state)
{
    static const struct pair pairs[] = {
        { "SELECT b FROM t", "UPDATE t SET c = 'x'", false },
        { "SELECT b FROM t", "UPDATE t SET b = 0 WHERE id = 20", true },
        { "SELECT * FROM t", "UPDATE t SET c = 'x' WHERE id = 20", true },
        { "SELECT t FROM (SELECT a AS t FROM t) s", "UPDATE t SET c = 'x' WHERE id = 20", false },
        { "SELECT count(*) FROM t", "UPDATE t SET a = 0, b = 0, c = 'x'", false },
        { "SELECT count(*) FROM t", "DELETE FROM t WHERE id = 20", true },
        { "SELECT count(*) FROM t", "INSERT INTO t (id) VALUES (100)", true },
        { "SELECT max(b) FROM t GROUP BY a HAVING count(c) > 0", "UPDATE t SET u = 100 WHERE id = 1", false },
        { "SELECT max(b) FROM t GROUP BY a HAVING count(c) > 0", "UPDATE t SET c = 'x' WHERE id = 1", true },
        { "SELECT a FROM t ORDER BY b", "UPDATE t SET b = 1000 WHERE id = 1", true },
        { "SELECT b FROM t WHERE a = 3", "UPDATE t SET c = 'x' WHERE a = 3", false },
        { "SELECT b FROM t WHERE a = 3", "UPDATE t SET b = 0 WHERE a = 3", true },
        { "SELECT b FROM t WHERE id = 3", "UPDATE t SET c = 'x' WHERE id = 3", false },
        { "SELECT a FROM t WHERE a > 3", "UPDATE t SET c = 'x' WHERE a = 5", false },
    };
    CHECK(pairs);
}

static void indexes_on_expressions_and_partial_ones_are_read_as_the_table_is(void **state)
{
    static const struct pair pairs[] = {
        { "SELECT b FROM t WHERE lower(c) = 'c3'", "UPDATE t SET c = 'x' WHERE id = 3", true },
        { "SELECT b FROM t WHERE lower(c) = 'c3'", "UPDATE t SET c = 'c3' WHERE id = 9", true },
        { "SELECT b FROM t WHERE lower(c) = 'c3'", "UPDATE t SET c = 'c4' WHERE id = 9", false },
        { "SELECT b FROM t WHERE lower(c) = 'c3'", "UPDATE t SET c = 'c3' WHERE id = 3", false },
        { "SELECT b FROM t WHERE lower(c) = 'c3'", "UPDATE t SET b = 7 WHERE id = 3", true },
        { "SELECT a FROM t WHERE b > 100 AND b < 150", "UPDATE t SET b = 120 WHERE id = 3", true },
        { "SELECT a FROM t WHERE b > 100 AND b < 150", "UPDATE t SET b = 20 WHERE id = 12", true },
        { "SELECT a FROM t WHERE b > 100 AND b < 150", "UPDATE t SET b = 160 WHERE id = 3", false },
        { "SELECT a FROM t WHERE b > 100 AND b < 150", "INSERT INTO t (id, b) VALUES (100, 140)", true },
        { "SELECT a FROM t WHERE b > 100 AND b < 150", "DELETE FROM t WHERE id = 3", false },
        { "SELECT a, b, c FROM t WHERE a = 5", "UPDATE t SET c = 'x' WHERE id = 5", true },
        { "SELECT a, b FROM t WHERE a = 5", "UPDATE t SET b = 0 WHERE id = 5", true },
        { "SELECT a, b FROM t WHERE a = 5", "UPDATE t SET a = 5 WHERE id = 6", true },
    };
    CHECK(pairs);
}

static void statements_within_statements_read(void **state)
{
    static const struct pair pairs[] = {
        { "SELECT 1 WHERE EXISTS (SELECT FROM t WHERE a = 77)", "INSERT INTO t (id, a) VALUES (30, 77)", true },
        { "SELECT 1 WHERE EXISTS (SELECT FROM t WHERE a = 77)", "INSERT INTO t (id, a) VALUES (30, 78)", false },
        { "UPDATE other SET v = (SELECT sum(b) FROM t WHERE a < 3) WHERE id = 1", "UPDATE t SET b = 0 WHERE id = 1", true },
        { "UPDATE other SET v = (SELECT sum(b) FROM t WHERE a < 3) WHERE id = 1", "UPDATE t SET b = 0 WHERE id = 3", false },
        { "INSERT INTO other SELECT 100, a, b FROM t WHERE a = 3", "UPDATE t SET b = 0 WHERE id = 3", true },
        { "INSERT INTO other SELECT 100, a, b FROM t WHERE a = 3", "UPDATE t SET b = 0 WHERE id = 4", false },
        { "INSERT INTO other VALUES (100, (SELECT count(*) FROM empty), 1)", "INSERT INTO empty VALUES (1, 1)", true },
        { "SELECT v FROM other WHERE t_id IN (SELECT id FROM t WHERE b = 30)", "UPDATE t SET b = 30 WHERE id = 5", true },
        { "SELECT v FROM other WHERE t_id IN (SELECT id FROM t WHERE b = 30)", "UPDATE t SET b = 31 WHERE id = 5", false },
        { "SELECT id FROM t WHERE a = 1 UNION SELECT id FROM empty WHERE v = 1", "INSERT INTO empty VALUES (1, 1)", true },
        { "SELECT id FROM t WHERE a = 1 UNION SELECT id FROM empty WHERE v = 1", "INSERT INTO empty VALUES (1, 2)", false },
        { "SELECT count(*) FROM t WHERE b = (SELECT max(v) FROM other)", "UPDATE t SET b = 5 WHERE id = 9", true },
        { "SELECT o.v, t.b FROM other o LEFT JOIN t ON t.id = o.t_id AND t.b = 30", "UPDATE t SET b = 0 WHERE id = 3", true },
        { "SELECT o.v, t.b FROM other o LEFT JOIN t ON t.id = o.t_id AND t.b = 30", "UPDATE t SET b = 0 WHERE id = 4", false },
        { "SELECT b FROM t WHERE id = 3 FOR SHARE", "UPDATE t SET b = 0 WHERE id = 4", false | NOT_BEFORE },
        { "SELECT b FROM t WHERE a > 18 FOR UPDATE", "INSERT INTO t (id, a) VALUES (100, 50)", true | NOT_BEFORE },
        { "PREPARE p (int) AS SELECT b FROM t WHERE a = $1; EXECUTE p (3); DEALLOCATE p", "UPDATE t SET b = 0 WHERE id = 3", true },
        { "PREPARE p (int) AS SELECT b FROM t WHERE a = $1; EXECUTE p (3); DEALLOCATE p", "UPDATE t SET b = 0 WHERE id = 4", false },
        { "PREPARE p (text) AS SELECT b FROM t WHERE c = $1; EXECUTE p ('C3'); EXECUTE p ('C4'); DEALLOCATE p",
          "UPDATE t SET b = 0 WHERE id = 3", true },
    };
    CHECK(pairs);
}

/* The side of which the statement binds a key supplies the keys by which the other is read, in a hash join as in a nested loop. */
static void of_a_join_the_keys_count_that_one_side_supplies(void **state)
{
    static const struct pair pairs[] = {
        { "SELECT o.v, t.b FROM other o JOIN t ON t.id = o.t_id WHERE o.id = 2", "UPDATE t SET b = 0 WHERE id = 2", true },
        { "SELECT o.v, t.b FROM other o JOIN t ON t.id = o.t_id WHERE o.id = 2", "UPDATE t SET b = 0 WHERE id = 3", false },
        { "SELECT o.v, t.b FROM other o JOIN t ON t.id = o.t_id WHERE o.id = 2", "DELETE FROM t WHERE id = 4", false },
        { "SELECT o.v, t.b FROM other o JOIN t ON t.id = o.t_id WHERE o.id = 2", "INSERT INTO t (id) VALUES (40)", false },
        { "SELECT o.v, t.b FROM other o JOIN t ON t.id = o.t_id WHERE o.id = 2", "UPDATE other SET t_id = 5 WHERE id = 2", true },
        { "SELECT o.v, t.b FROM other o JOIN t ON t.id = o.t_id WHERE o.id = 2", "UPDATE other SET v = 9 WHERE id = 3", false },
        { "SELECT o.v, t.b FROM other o JOIN t ON t.id = o.t_id WHERE o.id = 2", "INSERT INTO other VALUES (50, 2, 1)", false },
        { "SELECT t.b FROM t JOIN other o ON o.t_id = t.a WHERE o.id IN (1, 2)", "UPDATE t SET a = 2 WHERE id = 9", true },
        { "SELECT t.b FROM t JOIN other o ON o.t_id = t.a WHERE o.id = 2", "UPDATE t SET a = 3 WHERE id = 9", false },
        { "SELECT t.b FROM t JOIN other o ON o.t_id = t.a AND o.v = t.id WHERE o.id = 2", "UPDATE t SET a = 3 WHERE id = 2", true },
        { "SELECT o.v FROM other o WHERE o.id = 2 AND EXISTS (SELECT FROM t WHERE t.a = o.t_id AND t.b > 5)",
          "UPDATE t SET b = 0 WHERE id = 2", true },
        { "SELECT o.v FROM other o WHERE o.id = 2 AND EXISTS (SELECT FROM t WHERE t.a = o.t_id AND t.b > 5)",
          "UPDATE t SET b = 0 WHERE id = 4", false },
        { "SELECT o.v FROM other o WHERE o.id = 2 AND NOT EXISTS (SELECT FROM t WHERE t.a = o.t_id + 70)",
          "UPDATE t SET a = 72 WHERE id = 4", true },
        { "SELECT o.v FROM other o WHERE o.id = 2 AND NOT EXISTS (SELECT FROM t WHERE t.a = o.t_id + 70)",
          "UPDATE t SET a = 73 WHERE id = 4", false },
        { "SELECT o.v, t.b FROM other o LEFT JOIN t ON t.id = o.t_id + 70 WHERE o.id = 2", "INSERT INTO t (id) VALUES (72)", true },
        { "SELECT o.v, t.b FROM other o LEFT JOIN t ON t.id = o.t_id + 70 WHERE o.id = 2", "INSERT INTO t (id) VALUES (73)", false },
        { "SELECT e.v FROM empty e JOIN t ON t.id = e.v WHERE e.id = 2", "UPDATE t SET id = 30 WHERE id = 2", false },
        { "SELECT e.v FROM empty e JOIN t ON t.id = e.v WHERE e.id = 2", "INSERT INTO empty VALUES (2, 2)", true },
    };
    CHECK(pairs);
}

static void scans_that_end_early_read_what_they_walked(void **state)
{
    static const struct pair pairs[] = {
        { "SELECT min(id) FROM t", "INSERT INTO t (id) VALUES (-5)", true },
        { "SELECT id FROM t ORDER BY id LIMIT 2", "INSERT INTO t (id) VALUES (-5)", true },
        { "SELECT id FROM t ORDER BY id DESC LIMIT 2", "INSERT INTO t (id) VALUES (50)", true },
        { "SELECT id FROM t WHERE a > 5 ORDER BY id LIMIT 1", "UPDATE t SET a = 100 WHERE id = 2", true },
        { "SELECT id FROM t WHERE a > 5 ORDER BY id LIMIT 1", "UPDATE t SET a = 4 WHERE id = 2", false },
        { "SELECT id FROM t WHERE a = 77 LIMIT 1", "UPDATE t SET a = 77 WHERE id = 20", true },
        { "DECLARE c CURSOR FOR SELECT id FROM t WHERE id < 10 ORDER BY id; FETCH 20 FROM c", "INSERT INTO t (id) VALUES (0)", true },
    };
    CHECK(pairs);
}

/* By the plan that ends early: the whole table is sorted by the others. */
static void what_lies_behind_the_end_of_a_scan_is_not_read(void **state)
{
    static const struct pair pairs[] = {
        { "SELECT id FROM t ORDER BY id LIMIT 2", "INSERT INTO t (id) VALUES (50)", false },
        { "SELECT id FROM t ORDER BY id DESC LIMIT 2", "DELETE FROM t WHERE id = 3", false },
        { "SELECT min(a) FROM t WHERE a > 3", "INSERT INTO t (id, a) VALUES (50, 100)", false },
        { "SELECT 1 WHERE EXISTS (SELECT FROM t WHERE id > 3)", "INSERT INTO t (id) VALUES (50)", false },
    };
    for (size_t i = 0; i < COUNT(pairs); i++)
        for (int order = 0; order < ORDERS; order++) {
            set_up(*state);
            ask(((struct fixture *)*state)->conn, plans[1]);
            if (conflict(*state, pairs[i].read, pairs[i].write, order))
                fail_msg("needless conflict: %s / %s: %s", pairs[i].read, pairs[i].write, order_names[order]);
            tear_down(*state);
        }
}

/* t's id as the parent's key; checks that fail are undone by a savepoint, and what they have seen stays. */
static void foreign_keys_and_unique_keys_read_what_is_there(void **state)
{
    static const struct pair pairs[] = {
        { "INSERT INTO child VALUES (1, 3)", "UPDATE t SET b = 0 WHERE id = 3", false },
        { "INSERT INTO child VALUES (1, 3)", "UPDATE t SET b = 0 WHERE id = 4", false },
        { "INSERT INTO child VALUES (1, 3)", "DELETE FROM t WHERE id = 4", false },
        { "SAVEPOINT s; INSERT INTO child VALUES (1, 33)", "INSERT INTO t (id) VALUES (33)", true },
        { "SAVEPOINT s; INSERT INTO child VALUES (1, 33)", "INSERT INTO t (id) VALUES (34)", false },
        { "SAVEPOINT s; DELETE FROM t WHERE id = 19", "DELETE FROM child WHERE t_id = 19", true },
        { "SAVEPOINT s; DELETE FROM t WHERE id = 19", "DELETE FROM child WHERE t_id = 20", false },
        { "SAVEPOINT s; DELETE FROM t WHERE id = 19", "UPDATE child SET id = id + 100 WHERE t_id = 20", false },
        { "DELETE FROM t WHERE id = 5", "DELETE FROM child WHERE t_id = 20", false },
        { "DELETE FROM t WHERE id = 5", "INSERT INTO child VALUES (7, 6)", false },
        { "SAVEPOINT s; INSERT INTO t (id, u) VALUES (40, 3)", "UPDATE t SET u = 50 WHERE id = 3", true },
        { "SAVEPOINT s; INSERT INTO t (id, u) VALUES (40, 3)", "UPDATE t SET u = 50 WHERE id = 4", false },
        { "SAVEPOINT s; INSERT INTO t (id, u) VALUES (40, 3)", "UPDATE t SET b = 50 WHERE id = 3", false },
        { "INSERT INTO t (id) VALUES (3) ON CONFLICT DO NOTHING", "DELETE FROM t WHERE id = 3", true },
        { "INSERT INTO t (id) VALUES (3) ON CONFLICT DO NOTHING", "UPDATE t SET b = 0 WHERE id = 3", false | NOT_BEFORE },
        { "INSERT INTO t (id) VALUES (3) ON CONFLICT (id) DO UPDATE SET b = 1 WHERE t.a > 100", "UPDATE t SET a = 101 WHERE id = 4", false },
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < COUNT(pairs); i++)
        for (int order = 0; order < ORDERS; order++) {
            if (order == WRITE_BEFORE || (order == COMMIT_BEFORE && (pairs[i].verdict & NOT_BEFORE)))
                continue;       /* they would wait for each other */
            set_up(f);
            run(f->conn, "CREATE TABLE child (id int PRIMARY KEY, t_id int REFERENCES t); CREATE INDEX ON child (t_id);"
                         "INSERT INTO child VALUES (19, 19), (20, 20)");
            refusals = true;
            bool met = conflict(f, pairs[i].read, pairs[i].write, order);
            refusals = false;
            run(f->conn, "DROP TABLE child");
            tear_down(f);
            if (met != conflicts(&pairs[i]))
                fail_msg("%s: %s / %s: %s", conflicts(&pairs[i]) ? "no conflict" : "needless conflict", pairs[i].read, pairs[i].write,
                         order_names[order]);
        }
}

/* A reader of t, and after it has committed a change of t's trees, and a writer who is still its contemporary. */
static bool conflict_across(struct fixture *f, const char *read, const char *ddl, const char *level, const char *write)
{
    isolde_conn *reader = f->conn, *writer = f->other, *changer;

    failed = false;
    assert_int_equal(isolde_connect(f->db, &changer, NULL), ISOLDE_OK);
    step(reader, "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT v FROM aux WHERE id = 2");
    step(writer, "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT v FROM aux WHERE id = 1");
    step(reader, read);
    step(reader, "UPDATE aux SET v = v + 1 WHERE id = 1");
    step(reader, "COMMIT");
    step(changer, level);
    step(changer, ddl);
    step(changer, "COMMIT");
    step(writer, write);
    step(writer, "COMMIT");
    ask(writer, "ROLLBACK");
    isolde_disconnect(changer);
    return failed;
}

static void reads_outlive_the_trees_in_which_they_were_made(void **state)
{
    static const struct { const char *read, *ddl, *write; int verdict; } cases[] = {
        { "SELECT b FROM t WHERE a = 3", "DROP INDEX t_a, t_ab", "UPDATE t SET a = 3 WHERE id = 9", true },
        { "SELECT b FROM t WHERE a = 3", "DROP INDEX t_a, t_ab", "UPDATE t SET a = 4 WHERE id = 9", false },
        { "SELECT b FROM t WHERE u = 3", "ALTER TABLE t DROP CONSTRAINT t_u_key", "UPDATE t SET b = 4 WHERE id = 3", true },
        { "SELECT b FROM t WHERE u = 3", "ALTER TABLE t DROP CONSTRAINT t_u_key", "UPDATE t SET c = 'x' WHERE id = 3", false },
        { "SELECT b FROM t WHERE a = 3", "CREATE INDEX late ON t (a)", "UPDATE t SET a = 3 WHERE id = 9", true },
        { "SELECT b FROM t WHERE a = 3", "CREATE INDEX late ON t (a)", "UPDATE t SET a = 4 WHERE id = 9", false },
        { "SELECT b FROM t WHERE a = 3", "ALTER TABLE t ADD COLUMN d int", "UPDATE t SET a = 3 WHERE id = 9", true },
        { "SELECT b FROM t WHERE a = 3", "ALTER TABLE t DROP COLUMN c", "UPDATE t SET a = 4 WHERE id = 9", false },
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        set_up(f);
        run(f->conn, "SET enable_seqscan = off");
        /* The writer has a snapshot from before the change, and the layout as it was: else it could not go on. */
        bool same_layout = !strstr(cases[i].ddl, "COLUMN");
        bool met = conflict_across(f, cases[i].read, cases[i].ddl, "BEGIN", cases[i].write);
        if (met != (same_layout ? cases[i].verdict : true))
            fail_msg("%s / %s / %s", cases[i].read, cases[i].ddl, cases[i].write);
        tear_down(f);
    }
}

/* Both at SERIALIZABLE: the change of all rows is a write like any other. */
static void truncate_and_drop_conflict_with_all_who_have_read(void **state)
{
    static const char *const changes[] = { "TRUNCATE t", "ALTER TABLE t ALTER COLUMN b TYPE text", "DROP TABLE t" };
    static const char *const reads[] = { "SELECT b FROM t WHERE id = 3", "SELECT b FROM t WHERE a = 3", "SELECT count(*) FROM t", "SELECT * FROM other" };
    struct fixture *f = *state;

    for (size_t c = 0; c < COUNT(changes); c++)
        for (size_t r = 0; r < COUNT(reads); r++) {
            set_up(f);
            failed = false;
            step(f->conn, "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT v FROM aux WHERE id = 2");
            step(f->other, "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT v FROM aux WHERE id = 1");
            step(f->conn, reads[r]);
            step(f->conn, "UPDATE aux SET v = v + 1 WHERE id = 1");
            step(f->conn, "COMMIT");
            step(f->other, changes[c]);
            step(f->other, "COMMIT");
            ask(f->other, "ROLLBACK");
            /* A rewrite fails whenever anything was committed since its snapshot. */
            if (failed != (r < 3 || c == 1))
                fail_msg("%s / %s", reads[r], changes[c]);
            run(f->conn, "DROP TABLE IF EXISTS t; DROP TABLE other, empty, bare, aux");
        }
}

static void assert_detail(isolde_conn *conn, const char *part)
{
    const char *detail = isolde_error_detail(isolde_error(conn));

    if (!detail || !strstr(detail, part))
        fail_msg("\"%s\" is not in: %s", part, detail ? detail : "(no detail)");
}

static void a_failure_says_who_read_and_wrote_what(void **state)
{
    struct fixture *f = *state;

    set_up(f);
    run(f->conn, "BEGIN ISOLATION LEVEL SERIALIZABLE");
    run(f->other, "BEGIN ISOLATION LEVEL SERIALIZABLE");
    expect(f->conn, "SELECT sum(b) FROM t WHERE a > 30 AND b < 100", "null");
    expect(f->other, "SELECT b FROM t WHERE id = 4", "40");
    run(f->conn, "UPDATE t SET b = 7 WHERE id = 4");
    run(f->other, "INSERT INTO t VALUES (30, 31, 1)");
    run(f->conn, "COMMIT");
    assert_true(strncmp(ask(f->other, "COMMIT"), "40001", 5) == 0);
    assert_detail(f->other, " read t WHERE ((a > 30) AND (b < 100)), by: SELECT sum(b) FROM t WHERE a > 30 AND b < 100; ");
    assert_detail(f->other, " wrote row (id)=(30) of table \"t\", by: INSERT INTO t VALUES (30, 31, 1).");
    assert_detail(f->other, " read t WHERE (id = 4), by: SELECT b FROM t WHERE id = 4; ");
    assert_detail(f->other, " wrote row (id)=(4) of table \"t\", by: UPDATE t SET b = 7 WHERE id = 4.");
    assert_detail(f->other, "committed first.  The two form a cycle.");
    assert_string_equal(isolde_error_hint(isolde_error(f->other)), "The transaction might succeed if retried.");
    /* The reader comes upon what the other has written, and committed. */
    run(f->conn, "BEGIN ISOLATION LEVEL SERIALIZABLE");
    run(f->other, "BEGIN ISOLATION LEVEL SERIALIZABLE");
    expect(f->conn, "SELECT v FROM aux WHERE id = 2", "0");
    expect(f->other, "SELECT b FROM t WHERE id = 4", "7");
    run(f->other, "UPDATE t SET b = 9 WHERE a = 3; COMMIT");
    expect(f->conn, "SELECT sum(b) FROM t WHERE a < 4", "60");
    assert_true(strncmp(ask(f->conn, "UPDATE t SET b = 8 WHERE id = 4"), "40001", 5) == 0);
    assert_detail(f->conn, " read t WHERE (a < 4), by: SELECT sum(b) FROM t WHERE a < 4; ");
    assert_detail(f->conn, " wrote row (id)=(3) of table \"t\", by: UPDATE t SET b = 9 WHERE a = 3;.");
    run(f->conn, "ROLLBACK");
    /* First updater wins. */
    run(f->conn, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    expect(f->conn, "SELECT v FROM aux WHERE id = 2", "0");
    run(f->other, "UPDATE aux SET v = 5 WHERE id = 1");
    assert_true(strncmp(ask(f->conn, "UPDATE aux SET v = 6 WHERE id = 1"), "40001", 5) == 0);
    assert_detail(f->conn, "The row (id)=(1) of table \"aux\": transaction ");
    assert_detail(f->conn, " has changed it and committed after this transaction's snapshot was taken.");
    run(f->conn, "ROLLBACK");
    tear_down(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_row_is_read_by_its_key, open_memory, close_memory),
        cmocka_unit_test_setup_teardown(what_is_not_there_is_read_too, open_memory, close_memory),
        cmocka_unit_test_setup_teardown(ranges_end_where_the_condition_says, open_memory, close_memory),
        cmocka_unit_test_setup_teardown(conditions_are_tested_on_the_row_before_and_after, open_memory, close_memory),
        cmocka_unit_test_setup_teardown(columns_that_nobody_reads_do_not_count, open_memory, close_memory),
        cmocka_unit_test_setup_teardown(indexes_on_expressions_and_partial_ones_are_read_as_the_table_is, open_memory, close_memory),
        cmocka_unit_test_setup_teardown(statements_within_statements_read, open_memory, close_memory),
        cmocka_unit_test_setup_teardown(of_a_join_the_keys_count_that_one_side_supplies, open_memory, close_memory),
        cmocka_unit_test_setup_teardown(scans_that_end_early_read_what_they_walked, open_memory, close_memory),
        cmocka_unit_test_setup_teardown(foreign_keys_and_unique_keys_read_what_is_there, open_memory, close_memory),
        cmocka_unit_test_setup_teardown(reads_outlive_the_trees_in_which_they_were_made, open_memory, close_memory),
        cmocka_unit_test_setup_teardown(truncate_and_drop_conflict_with_all_who_have_read, open_memory, close_memory),
        cmocka_unit_test_setup_teardown(a_failure_says_who_read_and_wrote_what, open_memory, close_memory),
        cmocka_unit_test_setup_teardown(what_lies_behind_the_end_of_a_scan_is_not_read, open_memory, close_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
