/*
 * session.h -- a connection's SQL state: settings, transaction block, prepared statements; and running statements in it.
 *
 * This is what src/api wraps: api owns handles and misuse checks, sql owns meaning.
 */
#ifndef ISOLDE_SQL_SESSION_H
#define ISOLDE_SQL_SESSION_H

#include "sql/catalog.h"
#include "sql/exec.h"
#include "sql/query.h"
#include "sql/spill.h"
#include "txn/txn.h"

struct database;    /* SQL's part of an open database: catalog cache, default settings */
struct session;
struct prepared;

/* Creates the catalog in a new store, or reads it. */
int database_open(struct op *op, struct txn_manager *manager, struct database **database) MUST_CHECK;
void database_close(struct database *database);

/* Space for what sorts and hash tables cannot keep in memory: made at open (spill_make), freed at close. */
struct spill *database_spill(struct database *database);

/* The database is open for reading only: every transaction of sessions opened from now on is. */
void database_set_read_only(struct database *database);
/* What synchronous_commit is in sessions opened from now on. */
void database_set_sync(struct database *database, enum txn_sync sync);

int session_open(struct op *op, struct database *database, struct session **session) MUST_CHECK;
void session_close(struct session *session);
struct txn_session *session_txn(struct session *session);
/* For the op of the session's statements. */
const struct time_style *session_time_style(const struct session *session);
struct database *session_database(struct session *session);
char session_transaction_status(const struct session *session);     /* 'I', 'T', 'E' */
const struct plan_options *session_plan_options(struct session *session);
/* now() and statement_timestamp(): microseconds since 2000-01-01 UTC. */
int64_t session_transaction_time(const struct session *session);
int64_t session_statement_time(const struct session *session);

struct notice { const char *severity, *sqlstate, *message, *detail, *hint; };
void session_on_notice(struct session *session, void (*callback)(void *arg, const struct notice *notice), void *arg);
void session_notice(struct session *session, const char *severity, const char *sqlstate, const char *format, ...)
    PRINTF_LIKE(4, 5);
void session_notice_detail(struct session *session, const char *severity, const char *sqlstate, const char *message,
                           const char *detail);

/* How far a long statement has come: of what (a static or lasting text), how much is done, of how much (0: not known). */
void session_on_progress(struct session *session, void (*callback)(void *arg, const char *what, uint64_t done, uint64_t all),
                         void *arg);
void session_progress(struct session *session, const char *what, uint64_t done, uint64_t all);

/* Value of a setting as SHOW prints it; NULL when there is none of this name. */
const char *session_setting(struct session *session, const char *name);

enum step_result { STEP_ROW, STEP_DONE, STEP_COPY_IN, STEP_COPY_OUT };

/* Parses the first statement of the text and binds it when it has a plan; *tail = offset of what follows. */
int prepared_make(struct op *op, struct session *session, const char *sql, size_t len, size_t *tail, struct prepared **prepared)
    MUST_CHECK;
void prepared_free(struct prepared *prepared);
int prepared_parameter_count(const struct prepared *prepared);
/* Types of the parameters as inferred. */
const struct sql_type *prepared_parameter_types(const struct prepared *prepared);
int prepared_column_count(const struct prepared *prepared);
/* Whether it changes rows and hands some out (RETURNING). */
bool prepared_returns_changes(const struct prepared *prepared);
const char *prepared_column_name(const struct prepared *prepared, int column);
struct sql_type prepared_column_type(const struct prepared *prepared, int column);
/* value is converted from `type` to the parameter's type as an assignment cast would (text is parsed). Copied. */
int prepared_bind(struct op *op, struct prepared *prepared, int n, Oid type, const struct datum *value) MUST_CHECK;
/* To the next row.  Deals with implicit transactions, statement snapshots, binding again after DDL, the aborted state. */
int prepared_step(struct op *op, struct prepared *prepared, enum step_result *result) MUST_CHECK;
/* The current row. */
const struct datum *prepared_value(struct prepared *prepared, int column);
int prepared_reset(struct op *op, struct prepared *prepared) MUST_CHECK;
int64_t prepared_rows(const struct prepared *prepared);
const char *prepared_tag(struct prepared *prepared);
int prepared_copy_put(struct op *op, struct prepared *prepared, const void *data, size_t len) MUST_CHECK;
int prepared_copy_end(struct op *op, struct prepared *prepared, const char *failure, enum step_result *result) MUST_CHECK;
int prepared_copy_get(struct op *op, struct prepared *prepared, struct bytes *piece) MUST_CHECK;    /* len 0: done */

/* The caller gives the statement up, op has the reason: as if it had failed by itself. */
void prepared_cancel(struct op *op, struct prepared *prepared);
/* A text could not even be parsed: its transaction has failed. */
void session_fail(struct op *op, struct session *session);

/* Statements until session_group_end form one transaction, unless they open or close one themselves.  False when a group is open
 * already: it goes on, and whoever began it ends it. */
bool session_group_begin(struct session *session);
int session_group_end(struct op *op, struct session *session) MUST_CHECK;

#endif
