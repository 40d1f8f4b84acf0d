/*
 * tables.h -- the model of the workload of SQL: what every table is, and what must be found of it.
 *
 * Three owners have a table each, and a second one that only holds bulk.  An owner's world is one struct, which is copied for a
 * savepoint, for a commit whose outcome is open, and for each moment at which the power is cut; a text describes it, and
 * the same text is made of what the database says (statements.c).
 */
#ifndef ISOLDE_TESTS_CRASH_TABLES_H
#define ISOLDE_TESTS_CRASH_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OWNERS = 3, LINES = 90, EXTRAS = 2, COMMITS_MAX = 24, SQL_BYTES_MAX = 4096 };

/* One row; its key is its place in the table's array. */
struct line {
    bool live;
    int32_t n;
    uint32_t seed, repeats;         /* the large value: "s<seed>." that many times */
    int32_t extra[EXTRAS];
};

struct table {
    bool exists;
    bool renamed;                   /* called r, not t */
    bool n_is_text;                 /* by ALTER COLUMN TYPE, which rewrites the table */
    bool keyed, unique, checked;    /* constraints p, u, c */
    bool index_n, index_big;        /* indexes i, b */
    bool extra[EXTRAS];             /* columns e0, e1 */
    int32_t bulk;                   /* rows of table f with the key g; 0: no such table */
    struct line lines[LINES];
};

struct pending {
    int owner;
    struct table after;
};

/*
 * After a crash the database must hold `acknowledged`, and then the first k of the pending commits, each wholly, for some k.
 */
struct books {
    struct table acknowledged[OWNERS];
    size_t pending_count;
    struct pending pending[COMMITS_MAX];
};

void books_begin_commit(struct books *books, int owner, const struct table *after);
/* The first `count` pending commits are durable. */
void books_settle(struct books *books, size_t count);
/* What a running database shows of this owner's. */
const struct table *books_newest(const struct books *books, int owner);

/* A text that grows. */
struct text {
    char *data;
    size_t len, capacity;
};
void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_free(struct text *text);

char table_letter(const struct table *table);
/* The text that describes the owner's world. */
void table_describe(const struct table *table, int owner, struct text *text);
/* What stands in that text for a large value; `value` NULL: the one that follows from seed and repeats. */
void table_add_value(struct text *text, const char *value, uint32_t seed, uint32_t repeats);

#endif
