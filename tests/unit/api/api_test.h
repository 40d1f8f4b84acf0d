/* api_test.h -- statements in, texts out: what the tests of the C API share. */
#ifndef ISOLDE_TESTS_API_TEST_H
#define ISOLDE_TESTS_API_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/isolde.h"

struct fixture {
    isolde_db *db;
    isolde_conn *conn, *other;
};

static inline int open_memory(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_int_equal(isolde_open(":memory:", NULL, &f->db, NULL), ISOLDE_OK);
    assert_int_equal(isolde_connect(f->db, &f->conn, NULL), ISOLDE_OK);
    assert_int_equal(isolde_connect(f->db, &f->other, NULL), ISOLDE_OK);
    *state = f;
    return 0;
}

static inline int close_memory(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(isolde_disconnect(f->conn), ISOLDE_OK);
    assert_int_equal(isolde_disconnect(f->other), ISOLDE_OK);
    assert_int_equal(isolde_close(f->db), ISOLDE_OK);
    free(f);
    return 0;
}

struct answer {
    char text[8192];
    size_t len;
    int rows;
};

static inline int collect(void *arg, int columns, const char *const *values, const char *const *names)
{
    struct answer *a = arg;
    (void)names;
    if (a->rows++)
        a->len += (size_t)snprintf(a->text + a->len, sizeof a->text - a->len, ";");
    for (int i = 0; i < columns; i++)
        a->len += (size_t)snprintf(a->text + a->len, sizeof a->text - a->len, "%s%s", i ? "|" : "", values[i] ? values[i] : "null");
    return 0;
}

/* Rows as "a|b;c|d", or "23505 message". */
static inline const char *ask(isolde_conn *conn, const char *sql)
{
    static __thread struct answer a;
    memset(&a, 0, sizeof a);
    if (isolde_exec(conn, sql, collect, &a) != ISOLDE_OK)
        snprintf(a.text, sizeof a.text, "%s %s", isolde_error_sqlstate(isolde_error(conn)), isolde_error_message(isolde_error(conn)));
    return a.text;
}

#define expect(conn, sql, answer) assert_string_equal(ask((conn), (sql)), (answer))
#define run(conn, sql) expect(conn, sql, "")

#endif
