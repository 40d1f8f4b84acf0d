/*
 * fkey.h -- foreign keys while rows change: what must be looked at, when, and what is done about it.
 */
#ifndef ISOLDE_SQL_FKEY_H
#define ISOLDE_SQL_FKEY_H

#include "sql/session_int.h"

struct fkey_queue;

/* A row of this table has been written; its definition says which constraints care.  key: clustered. */
int fkey_note_insert(struct op *op, struct session *session, const struct table_def *table, struct bytes key,
                     const struct datum *values) MUST_CHECK;
int fkey_note_update(struct op *op, struct session *session, const struct table_def *table, struct bytes key,
                     const struct datum *old_values, const struct datum *new_values) MUST_CHECK;
int fkey_note_delete(struct op *op, struct session *session, const struct table_def *table, const struct datum *old_values) MUST_CHECK;
/* The statement has written all its rows: checks and actions that are not deferred.  23503, and whatever an action meets. */
int fkey_check(struct op *op, struct session *session) MUST_CHECK;
/* Before the commit: the others. */
int fkey_check_deferred(struct op *op, struct session *session) MUST_CHECK;
int fkey_set(struct op *op, struct session *session, const struct ast_set_constraints *statement) MUST_CHECK;
/* How many wait for the end of the transaction, and back to that number when a savepoint is rolled back to. */
int fkey_position(const struct session *session);
void fkey_rollback(struct session *session, int position);
void fkey_end(struct session *session);     /* of the transaction */
void fkey_close(struct session *session);
/* All rows of a new constraint's child: 23503. */
/* Does the snapshot show a parent for these values of the child's columns, none of which is null? */
int fkey_has_parent(struct op *op, struct session *session, const struct table_def *parent, const struct foreign_def *foreign,
                    const struct datum *values, bool *has) MUST_CHECK;
/* "Key (a, b)=(1, x)" */
const char *fkey_key_text(struct op *op, const struct table_def *table, const int *numbers, int count, const struct datum *values);
int fkey_verify(struct op *op, struct session *session, const struct table_def *child, const struct foreign_def *foreign) MUST_CHECK;

/* ---- internal.c ---- */

/* Runs a statement that changes rows of `table`, as part of the statement in progress; parameters by their types. */
int internal_run(struct op *op, struct session *session, Oid table, const char *sql, const struct sql_type *types,
                 const struct datum *params, int param_count) MUST_CHECK;
/* A name as SQL spells it, always quoted. */
const char *internal_name(struct op *op, const char *name);

#endif
