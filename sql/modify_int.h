/*
 * modify_int.h -- a running INSERT, UPDATE or DELETE: shared by modify.c, modify_insert.c and modify_explain.c.
 */
#ifndef ISOLDE_SQL_MODIFY_INT_H
#define ISOLDE_SQL_MODIFY_INT_H

#include "sql/session_int.h"

/* Judging a changed row again: one row, programs of its own. */
struct modify_recheck {
    struct row_reader *reader;
    struct batch batch;             /* the newest version, then its clustered key */
    struct program *where, **set;
    const struct vector **results;
    struct datum *old_values, *new_values;
    uint16_t selection[BATCH_ROWS];
};

/* ON CONFLICT DO UPDATE: the row that is there and the one that was to be inserted, side by side. */
struct modify_conflict {
    struct row_reader *reader;
    struct batch batch;
    struct program *where, **set;
    struct datum *old_values, *new_values;
    uint16_t selection[BATCH_ROWS];
};

/* One value of a single-row INSERT. */
struct modify_value {
    int param;                      /* >= 0: this parameter as it is */
    struct program *program;        /* else computed; NULL: null */
};

struct modify {
    struct session *session;
    struct query *query;
    const struct table_def *table;
    int columns;                    /* of the table */
    struct execution *execution;
    struct change change;
    struct arena arena;             /* as long as this */
    struct arena results;           /* of programs; one source batch */
    const struct datum *params;
    int64_t count;
    bool running, done;
    struct datum *old_values, *new_values;

    /* INSERT */
    bool single;                    /* one row of VALUES: the source is not run */
    struct modify_value *values;    /* single: one per column of the table */
    struct program **defaults;      /* else: one per column that the source does not give */
    int *from;                      /* and for the others the source's column; -1 */

    struct modify_conflict *conflict;   /* DO UPDATE */

    /* UPDATE, DELETE */
    struct program **set;
    const struct vector **set_results;
    bool *touched;                  /* indexes with a column in SET */
    struct modify_recheck *recheck;

    /* RETURNING */
    struct program **returning;
    struct batch changed, result;
};

struct eval_env *modify__env(struct op *op, struct modify *modify);
void modify__note_changed(struct modify *modify, const struct datum *values);

/* ---- modify_insert.c ---- */
int modify__make_insert(struct op *op, struct modify *modify) MUST_CHECK;
int modify__insert_single(struct op *op, struct modify *modify) MUST_CHECK;
/* Values of RETURNING's row `before` must outlive the next one. */
int modify__keep_returned(struct op *op, struct modify *modify, int before) MUST_CHECK;
int modify__insert_batch(struct op *op, struct modify *modify, const struct batch *source) MUST_CHECK;

/* ---- modify_conflict.c ---- */
int modify__make_conflict(struct op *op, struct modify *modify) MUST_CHECK;
/* INSERT ... ON CONFLICT of the row in new_values, which has been checked. */
int modify__insert_conflict(struct op *op, struct modify *modify) MUST_CHECK;

#endif
