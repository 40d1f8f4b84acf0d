/*
 * settings.h -- what SET, SHOW and RESET are about: a session's settings, which are undone with the transaction that made them.
 */
#ifndef ISOLDE_SQL_SETTINGS_H
#define ISOLDE_SQL_SETTINGS_H

#include "src/base/op.h"

struct session;

enum setting_id {
    SETTING_APPLICATION_NAME, SETTING_CLIENT_ENCODING, SETTING_CLIENT_MIN_MESSAGES, SETTING_DATESTYLE, SETTING_DEADLOCK_TIMEOUT, SETTING_DEFAULT_DEFERRABLE,
    SETTING_DEFAULT_ISOLATION, SETTING_DEFAULT_READ_ONLY, SETTING_ENABLE_BITMAPSCAN, SETTING_ENABLE_HASHAGG, SETTING_ENABLE_HASHJOIN,
    SETTING_ENABLE_INDEXONLYSCAN, SETTING_ENABLE_INDEXSCAN, SETTING_ENABLE_MERGEJOIN, SETTING_ENABLE_NESTLOOP, SETTING_ENABLE_SEQSCAN,
    SETTING_ENABLE_SORT, SETTING_EXTRA_FLOAT_DIGITS, SETTING_INTERVALSTYLE, SETTING_LOCK_TIMEOUT, SETTING_MAX_TRANSACTION_LOG, SETTING_SEARCH_PATH, SETTING_SERVER_ENCODING,
    SETTING_SERVER_VERSION, SETTING_SERVER_VERSION_NUM, SETTING_STANDARD_STRINGS, SETTING_STATEMENT_TIMEOUT, SETTING_SYNCHRONOUS_COMMIT,
    SETTING_TIMEZONE, SETTING_TRANSACTION_DEFERRABLE, SETTING_TRANSACTION_ISOLATION, SETTING_TRANSACTION_READ_ONLY, SETTING_WORK_MEM,
    SETTING_COUNT
};

/* One change that a transaction made, to be undone. */
struct setting_change {
    enum setting_id id;
    char *value, *lasting;          /* what they were before; owned */
};

struct settings {
    char *value[SETTING_COUNT];     /* in force; canonical texts, owned */
    char *lasting[SETTING_COUNT];   /* what stays after COMMIT: without SET LOCAL */
    char *initial[SETTING_COUNT];   /* what RESET goes back to */
    struct setting_change *changes; /* of the transaction in progress, oldest first */
    int change_count, change_capacity;
};

int settings_open(struct op *op, struct session *session) MUST_CHECK;
void settings_close(struct session *session);

/* The setting of this name (any case); SETTING_COUNT when there is none: 42704 or 0A000 has been reported. */
enum setting_id settings_find(struct op *op, const char *name);
const char *settings_name(enum setting_id id);
const char *settings_about(enum setting_id id);
const char *settings_value(const struct session *session, enum setting_id id);
/* Checks and sets. value NULL: RESET.  local: only until the end of the transaction. */
int settings_set(struct op *op, struct session *session, enum setting_id id, const char *value, bool local) MUST_CHECK;
int settings_reset_all(struct op *op, struct session *session) MUST_CHECK;

/* How many changes the transaction has made: what settings_rollback goes back to. */
int settings_position(const struct session *session);
void settings_rollback(struct session *session, int position);
void settings_commit(struct session *session);

/* Makes a setting's value take effect; called whenever it has changed. */
void settings_apply(struct session *session, enum setting_id id);

#endif
