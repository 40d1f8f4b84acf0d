/*
 * copy_int.h -- a COPY in progress: shared by copy.c, copy_options.c, copy_in.c and copy_out.c.
 */
#ifndef ISOLDE_SQL_COPY_INT_H
#define ISOLDE_SQL_COPY_INT_H

#include "sql/prepared_int.h"

struct copy_options {
    bool csv, header, header_match;
    char delimiter, quote, escape;
    const char *null_text;
    size_t null_len;
    bool force_quote_all;
    const struct ast_word *force_quote, *force_not_null, *force_null;
};

/* A column that is read or written. */
struct copy_column {
    const char *name;
    struct sql_type type;
    int index;                      /* FROM: in the table */
    bool force_quote, force_not_null, force_null;
};

/* A field of a record, taken apart. */
struct copy_field {
    struct bytes text;
    bool null;
};

struct copy {
    struct prepared *prepared;
    struct copy_options options;
    struct arena arena;             /* as long as the COPY */
    int column_count;
    struct copy_column *columns;
    struct os_file *file;           /* NULL: STDIN, STDOUT */
    uint8_t *buffer;                /* FROM: what is not consumed yet; TO: the next piece */
    size_t len, capacity;

    /* FROM */
    struct table_def *table;
    struct change change;
    struct program **defaults;      /* per column of the table; NULL: null, or given */
    struct eval_env env;
    struct datum *values;
    struct copy_field *fields;
    struct arena row;               /* of one record */
    size_t scanned;                 /* the buffer holds no end of record before this */
    bool in_quote, escaped, skip_newline, ended;
    uint64_t line, record_lines;    /* of the record being read; how many lines it spans */

    /* TO */
    struct batch *batch;
    int at;
    bool done, header_written;
    uint64_t written;               /* bytes of the file */
    struct arena texts;
};

/* copy_options.c */
int copy__read_options(struct op *op, const struct ast_copy *statement, struct copy_options *options) MUST_CHECK;
int copy__mark_columns(struct op *op, struct copy *copy) MUST_CHECK;

/* copy_in.c */
int copy__open_in(struct op *op, struct copy *copy) MUST_CHECK;
int copy__consume(struct op *op, struct copy *copy, const void *data, size_t len) MUST_CHECK;
int copy__end_in(struct op *op, struct copy *copy) MUST_CHECK;

/* copy_out.c */
int copy__open_out(struct op *op, struct copy *copy) MUST_CHECK;
/* Fills the buffer with the next piece; len 0 at the end. */
int copy__produce(struct op *op, struct copy *copy) MUST_CHECK;

int copy__append(struct op *op, struct copy *copy, const void *data, size_t len) MUST_CHECK;

#endif
