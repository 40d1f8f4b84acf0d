/*
 * api_int.h -- what stands behind the handles of isolde.h.
 *
 * A handle begins with a word that says what it is and that it is open.  Closing a handle changes the word; its memory is given back only
 * when more handles have been closed after it, so that the usual mistakes (closing twice, using what was just closed) meet a word and not
 * somebody else's memory.
 */
#ifndef ISOLDE_API_INT_H
#define ISOLDE_API_INT_H

#include "sql/session.h"
#include "src/isolde.h"

enum api_magic {
    API_DATABASE = 0x49736462, API_CONNECTION = 0x4973636f, API_STATEMENT = 0x49737374, API_CLOSED = 0x49736465,
    API_BACKUP = 0x49736270,
};

enum { CLOSED_KEPT = 16 };

/* The last handles that were closed, oldest overwritten first. */
struct closed_ring {
    void *handles[CLOSED_KEPT];
    unsigned next;
};

struct isolde_err {
    struct op_error error;
    const char *severity;
    struct arena arena;             /* of an error that stands alone */
};

/* Told before anybody listened. */
struct kept_message {
    const char *severity, *sqlstate;
    char *text;
};

enum { MESSAGES_KEPT = 32 };

struct isolde_db {
    _Atomic uint32_t magic;
    struct isolde_db *next;         /* list of open files; RANK_API_DATABASES */
    bool in_memory, read_only;
    bool listed;                    /* stands in the list of open files */
    uint64_t device, inode;
    int opened;                     /* how often isolde_open has given it out; RANK_API_DATABASES */
    struct os_mutex latch;          /* RANK_API_DATABASE: the fields below */
    int connections;                /* and backups */
    struct closed_ring closed;      /* connections, backups */
    struct os_mutex message_latch;  /* RANK_API_MESSAGES: the fields below */
    void (*on_message)(void *arg, const struct isolde_err *message);
    void *message_arg;
    struct kept_message kept[MESSAGES_KEPT];
    int kept_count;
    struct vfs *vfs;                /* in memory, read only: owned */
    struct store *store;
    struct txn_manager *manager;
    struct database *database;
};

struct isolde_conn {
    _Atomic uint32_t magic;
    struct isolde_db *db;
    struct session *session;
    struct op op;                   /* of the last call; its report is the connection's error */
    struct isolde_err error;        /* a view of op.error */
    struct isolde_stmt *statements;
    struct closed_ring closed;      /* statements */
    bool conflict;                  /* a statement has failed with 40001 or 40P01 since isolde_run looked */
    bool unread;                    /* a value's text found no memory since the group began */
    void (*on_wait)(void *arg, int waiting);
    void *wait_arg;
    void (*on_notice)(void *arg, const struct isolde_err *notice);
    void *notice_arg;
};

/* A value's text, made when it is asked for. */
struct column_text {
    bool ready;
    const char *text;
    size_t len;
};

struct isolde_stmt {
    _Atomic uint32_t magic;
    struct isolde_conn *conn;
    struct isolde_stmt *next, **link;
    struct prepared *prepared;
    size_t tail;
    bool has_row;
    struct arena texts;             /* of the current row */
    struct column_text *columns;
    const char **type_names;
    struct arena arena;             /* as long as the statement */
};

/* Marks the handle as closed, and frees the one that was closed long ago. */
void api_bury(struct closed_ring *ring, void *handle, _Atomic uint32_t *magic);
void api_free_ring(struct closed_ring *ring);

static inline bool api_is_db(const struct isolde_db *db) { return db && atomic_load(&db->magic) == API_DATABASE; }
static inline bool api_is_conn(const struct isolde_conn *conn) { return conn && atomic_load(&conn->magic) == API_CONNECTION; }
static inline bool api_is_stmt(const struct isolde_stmt *stmt) { return stmt && atomic_load(&stmt->magic) == API_STATEMENT; }

/* A new call on the connection: the last error is forgotten. */
struct op *api_begin(struct isolde_conn *conn);
/* Turns an outcome into a result code, noting conflicts. */
int api_result(struct isolde_conn *conn, int status);
/* A wrong call: the error says how, the result is ISOLDE_MISUSE. */
int api_misuse(struct isolde_conn *conn, const char *format, ...) PRINTF_LIKE(2, 3);
/* isolde_open on another disk, which outlives the database: for tests of failing ones.  vfs NULL: the usual one. */
int api_open_on(struct vfs *vfs, const char *path, const char *options, isolde_db **db, isolde_err **err);
/* A report that stands alone, for isolde_open and isolde_connect. */
void api_export_error(const struct op *op, struct isolde_err **err);
int api_finalize(struct isolde_stmt *stmt);

/* ---- message.c ---- */

/* Hands a message to who listens, or keeps it.  Any thread; hold no latch. */
void api_tell(struct isolde_db *db, const char *severity, const char *sqlstate, const char *format, ...) PRINTF_LIKE(4, 5);
/* What restart has found, if there was one. */
void api_tell_restart(struct isolde_db *db);
/* The scrub has found a damaged page (store_scrub.damaged). */
void api_tell_damage(void *arg, PageNo page, TreeId tree, const char *rule);
void api_forget_messages(struct isolde_db *db);

#endif
