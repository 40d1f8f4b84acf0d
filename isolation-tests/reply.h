/*
 * reply.h -- what the SQL of a step has brought: tables, the tags of its statements, and the error that ended it.
 */
#ifndef ISOLDE_ISOLATION_REPLY_H
#define ISOLDE_ISOLATION_REPLY_H

#include <stdbool.h>
#include <stddef.h>

struct table {
    int columns, rows;
    char **names;
    char **cells;               /* row by row; NULL for null */
};

struct reply {
    int table_count;
    struct table *tables;
    char *tags;                 /* of the statements that completed, "BEGIN;SELECT 1;" */
    bool failed;
    char sqlstate[6];
    char *severity, *message, *detail;      /* detail NULL: none */
    char status;                /* of the session afterwards: 'I' idle, 'T' in a transaction, 'E' in a failed one */
};

/* These end the program when there is no memory. */
void *must_alloc(void *array, size_t count, size_t size);
char *must_copy(const char *text);

struct table *reply_add_table(struct reply *reply, int columns);
void table_add_row(struct table *table);        /* of nulls; filled by the caller */
void reply_add_tag(struct reply *reply, const char *tag);
void reply_set_error(struct reply *reply, const char *severity, const char *sqlstate, const char *message, const char *detail);
/* The tag of the last statement, "" when none completed. */
const char *reply_last_tag(const struct reply *reply, size_t *len);
bool reply_last_tag_is(const struct reply *reply, const char *tag);
/* A client could not tell them apart.  The order of rows does not count, for SQL promises none. */
bool reply_same(const struct reply *a, const struct reply *b);
/* 40001 or 40P01: the transaction was given up for the sake of others. */
bool reply_is_serialization_failure(const struct reply *reply);
/* Of several tables the last one stays. */
void reply_keep_last(struct reply *reply);
void reply_free(struct reply *reply);

#endif
