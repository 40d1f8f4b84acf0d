/*
 * prepared_int.h -- a prepared statement's inside: shared by prepared*.c, utility.c and copy*.c.
 */
#ifndef ISOLDE_SQL_PREPARED_INT_H
#define ISOLDE_SQL_PREPARED_INT_H

#include "sql/session_int.h"

enum prepared_state {
    PREPARED_IDLE,
    PREPARED_STREAMING,     /* rows come from the execution; this is session->streaming */
    PREPARED_BUFFERED,      /* the statement is over; rows come from `kept` */
    PREPARED_COPY_IN, PREPARED_COPY_OUT,
};

/* Rows in memory, in chunks. */
struct kept_chunk {
    struct kept_chunk *next;
    int count;
    struct datum values[];          /* KEPT_CHUNK_ROWS * columns */
};

struct kept_rows {
    struct arena arena;
    struct kept_chunk *first, *last;
    struct kept_chunk *reading;
    int at;
};

struct prepared_column {
    const char *name;
    struct sql_type type;
};

/* A parameter's value; bytes stand in a buffer of its own that is kept from binding to binding. */
struct param_buffer {
    uint8_t *data;
    size_t capacity;
};

/* A table that the statement reads or changes. */
struct table_lock {
    Oid oid;
    enum txn_table_lock mode;
};

struct prepared {
    struct session *session;
    struct prepared *next, **link;  /* in the session's list */
    struct arena arena;             /* text, syntax tree, columns: as long as the statement */
    const char *sql;
    size_t len;
    struct statement *statement;    /* NULL: an empty text */
    const struct statement *planned;/* what is bound and planned: itself, or what EXPLAIN explains; NULL for others */

    int param_count;
    struct sql_type *param_types;
    struct datum *params;
    struct param_buffer *buffers;

    struct arena plan_arena;        /* query and plan; made anew when definitions change */
    struct query *query;
    struct plan *plan;
    struct execution *execution;    /* SELECT */
    struct modify *modify;          /* INSERT, UPDATE, DELETE */
    struct table_lock *locks;
    int lock_count;
    uint64_t stamp, plan_stamp;     /* under which it was bound */

    bool columns_known;
    bool opened;                    /* it has run: from then on its columns may not change */
    int column_count;
    struct prepared_column *columns;

    enum prepared_state state;
    struct batch *batch;
    int at;                         /* of the current row in the batch */
    struct datum *row;              /* values handed out */
    struct kept_rows kept;
    struct copy *copy;
    int64_t rows;
    uint64_t deadline_ns;           /* statement_timeout */
    bool tag_counts;                /* the tag is the command and `rows`, and is written when someone asks */
    char tag[64];
};

/* ---- prepared.c ---- */

/* Binds and plans if definitions or settings have changed since it was done. */
int prepared__bind(struct op *op, struct prepared *prepared) MUST_CHECK;
/* Transaction, locks, snapshot: everything is ready for the execution to start. */
int prepared__open(struct op *op, struct prepared *prepared) MUST_CHECK;
int prepared__add_column(struct op *op, struct prepared *prepared, const char *name, Oid type) MUST_CHECK;
/* 57014 when it runs for longer than statement_timeout. */
int prepared__check_deadline(struct op *op, const struct prepared *prepared) MUST_CHECK;
const char *prepared__command(const struct statement *statement);    /* "INSERT", "CREATE TABLE" */
/* Keeps one row of texts (NULL: null). */
int prepared__keep_texts(struct op *op, struct prepared *prepared, const char *const *texts) MUST_CHECK;
int prepared__keep_batch(struct op *op, struct prepared *prepared, const struct batch *batch, int from) MUST_CHECK;

/* One row of values, which are copied. */
int prepared__keep_values(struct op *op, struct prepared *prepared, const struct datum *values) MUST_CHECK;
/* Prepares the statement inside of a PREPARE or DECLARE, whose whole text is given; the types of its first parameters are known. */
int prepared__make_inner(struct op *op, struct session *session, const char *sql, size_t len, const struct sql_type *types,
                         int type_count, struct prepared **inner) MUST_CHECK;

/* ---- named.c ---- */

int named_prepare(struct op *op, struct prepared *prepared) MUST_CHECK;
int named_describe(struct op *op, struct prepared *prepared) MUST_CHECK;
int named_execute(struct op *op, struct prepared *prepared) MUST_CHECK;
const char *named_tag(struct prepared *prepared);
int named_deallocate(struct op *op, struct session *session, const char *name) MUST_CHECK;
/* Runs a statement to its end as part of `prepared`; keep is called for each row. */
int prepared__run_inner(struct op *op, struct prepared *prepared, struct prepared *inner,
                        int (*keep)(void *arg, struct op *op, struct prepared *inner), void *arg) MUST_CHECK;

/* ---- cursor.c ---- */

int cursor_declare(struct op *op, struct prepared *prepared) MUST_CHECK;
int cursor_describe(struct op *op, struct prepared *prepared) MUST_CHECK;
int cursor_fetch(struct op *op, struct prepared *prepared) MUST_CHECK;
int cursor_close(struct op *op, struct session *session, const char *name) MUST_CHECK;

/* ---- utility.c ---- */

/* Columns of SHOW, EXPLAIN, CHECK DATABASE. */
int utility_describe(struct op *op, struct prepared *prepared) MUST_CHECK;
/* Runs what has no plan; rows are kept, the tag is set. */
int utility_run(struct op *op, struct prepared *prepared) MUST_CHECK;

/* The value of a Boolean option; true when it has none. */
int utility_flag(struct op *op, const struct ast_option *option, bool *flag) MUST_CHECK;

/* ---- backup.c ---- */

int backup_describe(struct op *op, struct prepared *prepared) MUST_CHECK;
int backup_database(struct op *op, struct prepared *prepared) MUST_CHECK;

/* ---- check.c ---- */

int check_database(struct op *op, struct prepared *prepared) MUST_CHECK;

/* ---- copy.c ---- */

int copy_describe(struct op *op, struct prepared *prepared) MUST_CHECK;
/* Runs COPY with a file to its end; with STDIN or STDOUT the state becomes COPY_IN or COPY_OUT. */
int copy_start(struct op *op, struct prepared *prepared) MUST_CHECK;
int copy_put(struct op *op, struct prepared *prepared, const void *data, size_t len) MUST_CHECK;
int copy_finish(struct op *op, struct prepared *prepared) MUST_CHECK;
int copy_get(struct op *op, struct prepared *prepared, struct bytes *piece) MUST_CHECK;
void copy_free(struct copy *copy);      /* NULL is fine */

#endif
