/*
 * session_int.h -- a session's inside, shared by session.c, settings.c, the catalog and the statements.
 */
#ifndef ISOLDE_SQL_SESSION_INT_H
#define ISOLDE_SQL_SESSION_INT_H

#include "sql/ast.h"
#include "sql/catalog_int.h"
#include "sql/session.h"
#include "sql/settings.h"
#include "sql/time_style.h"

enum block_state {
    BLOCK_NONE,         /* each statement is a transaction (or, in a group, all of them together) */
    BLOCK_OPEN,         /* between BEGIN and COMMIT */
    BLOCK_FAILED,       /* only ROLLBACK, ROLLBACK TO and COMMIT are heard */
};

struct savepoint {
    char *name;
    struct txn_mark mark;
    int deferred;       /* checks that waited for the end of the transaction then */
    int settings;       /* settings_position */
};

struct session {
    struct database *database;
    struct txn_session *txn;
    struct catalog_view view;
    struct settings settings;
    struct time_style time_style;
    struct plan_options plan_options;
    uint64_t plan_stamp;            /* changes with every setting: plans made before are not used again */

    enum block_state block;
    bool group;                     /* statements up to session_group_end form one transaction */
    enum txn_level level;           /* of the transaction in progress, or of the block that has not run a statement yet */
    bool read_only, deferrable;
    bool snapshot_taken;            /* this transaction has taken one */
    bool statement_active;          /* between snapshot and end of statement */
    struct savepoint *savepoints;
    int savepoint_count, savepoint_capacity;
    int64_t transaction_time, statement_time;   /* microseconds since 2000-01-01 UTC */
    uint64_t statement_timeout_us;
    int min_messages;               /* notices below this rank are not handed out */

    Oid *noted;                     /* tables that the catalog was asked for since noted_count was set to 0 */
    int noted_count, noted_capacity;

    struct fkey_queue *fkeys;       /* checks of foreign keys that are due; NULL until there is one */

    struct named_statement *named;  /* PREPARE */
    struct cursor *cursors;

    struct prepared *streaming;     /* the statement whose rows are being handed out */
    struct prepared *first;         /* all prepared statements */

    void (*on_notice)(void *arg, const struct notice *notice);
    void *notice_arg;
    void (*on_progress)(void *arg, const char *what, uint64_t done, uint64_t all);
    void *progress_arg;
};

/* ---- session.c ---- */

/* A transaction is there from now on; read_only: this statement writes nothing and is a transaction by itself. */
int session__begin(struct op *op, struct session *session, bool read_only) MUST_CHECK;
/* The statement's snapshot, after its table locks. */
int session__snapshot(struct op *op, struct session *session) MUST_CHECK;
void session__snapshot_end(struct session *session);
/* The statement has succeeded: a transaction that was only its own is committed. */
int session__succeed(struct op *op, struct session *session) MUST_CHECK;
/* The statement has failed (op has the report): its transaction is rolled back or marked as failed. */
void session__fail(struct op *op, struct session *session);
/* 25P02 in a failed block. */
int session__check_state(struct op *op, const struct session *session, const struct statement *statement) MUST_CHECK;
/* 25006: "cannot execute INSERT in a read-only transaction". */
int session__check_writable(struct op *op, const struct session *session, const char *command) MUST_CHECK;
/* BEGIN, COMMIT, SAVEPOINT, ...; *tag is set. */
int session__transaction(struct op *op, struct session *session, const struct ast_transaction *statement, const char **tag)
    MUST_CHECK;
int session__set(struct op *op, struct session *session, const struct ast_set *statement) MUST_CHECK;
/* SET TRANSACTION. */
int session__set_modes(struct op *op, struct session *session, const struct ast_modes *modes) MUST_CHECK;
const char *session__level_name(enum txn_level level);

/* ---- prepared.c ---- */

/* Reads the rest of a streaming statement's rows into memory and ends it, so that another one can run. */
int prepared__detach(struct op *op, struct session *session) MUST_CHECK;
/* The transaction is over: whatever streams has nothing to read any more. */
void prepared__cut(struct session *session);

/* ---- named.c, cursor.c ---- */

void named_close(struct session *session);
/* The transaction is over; it was rolled back to where `savepoints` of them were open; a savepoint was released. */
void cursor_end(struct session *session, bool committed);
void cursor_rolled_back(struct session *session, int savepoints);
void cursor_released(struct session *session, int savepoints);
void cursor_close_all(struct session *session);

/* ---- lock.c ---- */

/* LOCK TABLE. */
int session__lock_tables(struct op *op, struct session *session, const struct ast_lock *lock) MUST_CHECK;

/* ---- ddl*.c ---- */

int ddl_create_table(struct op *op, struct session *session, const struct ast_create_table *statement) MUST_CHECK;
int ddl_create_index(struct op *op, struct session *session, const struct ast_create_index *statement) MUST_CHECK;
int ddl_drop_table(struct op *op, struct session *session, const struct ast_drop *statement) MUST_CHECK;
int ddl_drop_index(struct op *op, struct session *session, const struct ast_drop *statement) MUST_CHECK;
int ddl_alter_table(struct op *op, struct session *session, const struct ast_alter *statement) MUST_CHECK;
int ddl_rename(struct op *op, struct session *session, const struct ast_rename *statement) MUST_CHECK;
int ddl_truncate(struct op *op, struct session *session, const struct ast_truncate *statement) MUST_CHECK;

/* settings_time.c: canonical texts of DateStyle and TimeZone, and their effects. */
int settings__check_date_style(struct op *op, const struct session *session, const char *value, const char **canonical) MUST_CHECK;
void settings__apply_date_style(struct session *session, const char *value);
int settings__check_time_zone(struct op *op, struct session *session, const char *value, const char **canonical) MUST_CHECK;
void settings__apply_time_zone(struct session *session, const char *value);

#endif
