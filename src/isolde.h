/*
 * isolde.h -- the C API of Isolde, a transactional SQL database in a library.
 *
 * A program opens a database once, connects as often as it likes, and gives each thread a connection of its own:
 *
 *      isolde_db *db; isolde_conn *conn; isolde_err *err = NULL;
 *      if (isolde_open("app.db", "synchronous=full cache_size=64MB", &db, &err) != ISOLDE_OK) ... isolde_error_message(err)
 *      isolde_connect(db, &conn, &err);
 *      isolde_exec(conn, "CREATE TABLE t (id int PRIMARY KEY, name text)", NULL, NULL);
 *      isolde_stmt *stmt;
 *      isolde_prepare(conn, "INSERT INTO t VALUES ($1, $2)", -1, &stmt);
 *      isolde_bind_int64(stmt, 1, 7); isolde_bind_text(stmt, 2, "Isolde", -1);
 *      isolde_step(stmt);  isolde_finalize(stmt);
 *
 * Threads.  A database may be used by all threads at once.  A connection, and the statements of it, by one thread at a time;
 * isolde_interrupt alone may be called by any thread.
 *
 * Errors.  Functions return ISOLDE_OK, ISOLDE_ROW or ISOLDE_DONE, or one of the error codes below.  What happened stands in the
 * connection's error (isolde_error) until its next call: a SQLSTATE as PostgreSQL's, a message, and more.  NULL and lately
 * closed handles give ISOLDE_MISUSE and do nothing.
 *
 * Texts are UTF-8.  Parameters are numbered from 1, columns from 0.
 */
#ifndef ISOLDE_H
#define ISOLDE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ISOLDE_API __attribute__((visibility("default")))

typedef struct isolde_db isolde_db;         /* an open database */
typedef struct isolde_conn isolde_conn;     /* a connection to it: one transaction at a time */
typedef struct isolde_stmt isolde_stmt;     /* a prepared statement */
typedef struct isolde_err isolde_err;       /* an error report */
typedef struct isolde_backup isolde_backup; /* an online backup in progress */

enum {
    ISOLDE_OK = 0,
    ISOLDE_ROW = 1,         /* isolde_step: a row is ready to be read */
    ISOLDE_DONE = 2,        /* isolde_step: the statement is complete */
    ISOLDE_ERROR = -1,      /* see isolde_error() */
    ISOLDE_MISUSE = -2,     /* a NULL or closed handle, a number out of range, a call in the wrong order */
    ISOLDE_COPY_IN = 3,     /* isolde_step: COPY FROM STDIN waits for isolde_copy_put and isolde_copy_end */
    ISOLDE_COPY_OUT = 4,    /* isolde_step: isolde_copy_get hands out the next piece of COPY TO STDOUT */
};

/* Type of a column: the physical form in which it is handed out. */
enum isolde_type {
    ISOLDE_NULL, ISOLDE_BOOL, ISOLDE_INT64, ISOLDE_DOUBLE, ISOLDE_TEXT, ISOLDE_BLOB
};

/* ---- databases and connections ---- */

/* Opens the file, creating it if absent; ":memory:" is a private database in memory.  options: NULL or "name=value ..." of
 * synchronous (full|normal|off), cache_size, max_wal_size, version_store_memory, version_store_disk (with kB, MB, GB), page_size (at
 * creation: 4096 to 65536), create (on|off), read_only (on|off: nothing is written to disk; what restart must repair after a crash is
 * repaired in memory), scrub_rate (bytes per second at which a thread reads cold pages to find damage, 0: none; 1MB by default),
 * archive_directory (the log is copied there), archive_timeout (with ms, s, min; 60s) and archive_limit (16 times max_wal_size).
 * A process that opens a file twice gets the same database.  *err (NULL pointer allowed) gets a report that
 * isolde_error_free frees. */
ISOLDE_API int isolde_open(const char *path, const char *options, isolde_db **db, isolde_err **err);
/* The same, telling how far it has come when a restart after a crash takes more than a second: progress(arg, phase, percent of this
 * phase, seconds that are left of it) is called in this thread, ten times a second at most; it calls nothing of this header. */
ISOLDE_API int isolde_open_watched(const char *path, const char *options,
                                   void (*progress)(void *arg, const char *phase, int percent, double seconds_left), void *arg,
                                   isolde_db **db, isolde_err **err);
/* Closes the database when its connections are gone; ISOLDE_ERROR (55006) while some are open. NULL is fine. */
ISOLDE_API int isolde_close(isolde_db *db);
ISOLDE_API int isolde_connect(isolde_db *db, isolde_conn **conn, isolde_err **err);
/* Rolls back what is in progress and finalizes the connection's statements.  NULL is fine. */
ISOLDE_API int isolde_disconnect(isolde_conn *conn);

/* Called for what is no statement's business: what restart has found and done, and damage that the scrub comes across.  Severity LOG or
 * WARNING.  What was said before is handed over at once; later calls may come from any thread, one at a time, and must not
 * use the database.  callback NULL: nobody listens. */
ISOLDE_API void isolde_on_message(isolde_db *db, void (*callback)(void *arg, const isolde_err *message), void *arg);

/* Copies what can be read of a damaged database to the new file `out`: rows on undamaged pages, whatever else is broken; indexes are
 * made again.  The damaged file and its log are only read.  report is called with a line for each loss, and with a summary.  *lost
 * (NULL allowed) counts the losses. */
ISOLDE_API int isolde_salvage(const char *path, const char *out, void (*report)(void *arg, const char *line), void *arg,
                              uint64_t *lost, isolde_err **err);

/* ---- statements ---- */

/* Runs all statements of the text; several together form one transaction unless they contain BEGIN or the like. callback (may be NULL) is
 * called for each row with text values (NULL for null) and column names; a result other than 0 ends the statement with 57014, and undoes
 * it: what RETURNING hands out is committed after its last row. */
ISOLDE_API int isolde_exec(isolde_conn *conn, const char *sql,
                           int (*callback)(void *arg, int columns, const char *const *values, const char *const *names),
                           void *arg);
/* Prepares the first statement of the text (len bytes; -1: up to the final 0).  Parameters are $1, $2, ...  The plan is kept until the schema
 * changes. isolde_tail gives what follows. An empty text gives a statement that is done at once. */
ISOLDE_API int isolde_prepare(isolde_conn *conn, const char *sql, long len, isolde_stmt **stmt);
/* Byte offset in the prepared text at which the next statement begins. */
ISOLDE_API size_t isolde_tail(const isolde_stmt *stmt);
ISOLDE_API int isolde_parameter_count(const isolde_stmt *stmt);

/* Parameters keep their values until bound again; text and blob are copied.  len -1: up to the final 0. */
ISOLDE_API int isolde_bind_null(isolde_stmt *stmt, int n);
ISOLDE_API int isolde_bind_bool(isolde_stmt *stmt, int n, int value);
ISOLDE_API int isolde_bind_int64(isolde_stmt *stmt, int n, int64_t value);
ISOLDE_API int isolde_bind_double(isolde_stmt *stmt, int n, double value);
ISOLDE_API int isolde_bind_text(isolde_stmt *stmt, int n, const char *text, long len);
ISOLDE_API int isolde_bind_blob(isolde_stmt *stmt, int n, const void *data, size_t len);

/* Runs the statement up to its next row.  After ISOLDE_DONE or an error the next call runs it again. */
ISOLDE_API int isolde_step(isolde_stmt *stmt);
/* Ends the execution; parameters stay. */
ISOLDE_API int isolde_reset(isolde_stmt *stmt);
ISOLDE_API int isolde_finalize(isolde_stmt *stmt);      /* NULL is fine */

/* Known from prepare on. */
ISOLDE_API int isolde_column_count(const isolde_stmt *stmt);
ISOLDE_API const char *isolde_column_name(const isolde_stmt *stmt, int column);
/* SQL name of the column's type: "integer", "numeric(10,2)", ... */
ISOLDE_API const char *isolde_column_type_name(const isolde_stmt *stmt, int column);
/* 1 when values of the column are set flush right by the shell (numbers). */
ISOLDE_API int isolde_column_is_numeric(const isolde_stmt *stmt, int column);

/* Of the current row; pointers are valid until the next step, reset or finalize.  Conversions follow the SQL casts. */
ISOLDE_API enum isolde_type isolde_column_type(const isolde_stmt *stmt, int column);
ISOLDE_API int64_t isolde_column_int64(isolde_stmt *stmt, int column);
ISOLDE_API double isolde_column_double(isolde_stmt *stmt, int column);
/* The value's text as PostgreSQL prints it; NULL for null, or, with isolde_error, when there is no memory for it. Any type. */
ISOLDE_API const char *isolde_column_text(isolde_stmt *stmt, int column);
ISOLDE_API const void *isolde_column_blob(isolde_stmt *stmt, int column);
/* Length in bytes of what isolde_column_text or isolde_column_blob returns, without the final 0. */
ISOLDE_API size_t isolde_column_bytes(isolde_stmt *stmt, int column);

/* Rows inserted, updated, deleted or returned by the last execution. */
ISOLDE_API int64_t isolde_rows_affected(const isolde_stmt *stmt);
/* "INSERT 0 3", "SELECT 7", "BEGIN": what psql prints after the statement; "" before it is done. */
ISOLDE_API const char *isolde_command_tag(const isolde_stmt *stmt);

/* COPY FROM STDIN: after ISOLDE_COPY_IN, any number of puts, then end (failure NULL) or end with a reason. end returns as isolde_step would. */
ISOLDE_API int isolde_copy_put(isolde_stmt *stmt, const void *data, size_t len);
ISOLDE_API int isolde_copy_end(isolde_stmt *stmt, const char *failure);
/* COPY TO STDOUT: after ISOLDE_COPY_OUT, ISOLDE_OK with a piece (*data is valid until the next call), ISOLDE_DONE after the last one. */
ISOLDE_API int isolde_copy_get(isolde_stmt *stmt, const void **data, size_t *len);

/* ---- transactions ---- */

/* State for a prompt: 'I' idle, 'T' in a transaction, 'E' in a failed transaction. */
ISOLDE_API char isolde_transaction_status(const isolde_conn *conn);
/* Runs body(conn, arg) as a transaction and commits when it returns 0; on 40001 and 40P01 it is rolled back and run
 * again (with a short random pause, at most `attempts` times; 0 = 100).  begin: NULL for "BEGIN", or e.g. "BEGIN ISOLATION LEVEL SERIALIZABLE".
 * body's other results end it with a rollback and are returned. */
ISOLDE_API int isolde_run(isolde_conn *conn, const char *begin, int (*body)(isolde_conn *conn, void *arg), void *arg,
                          int attempts);
/* The statements between the two calls form one transaction, unless they open or close one themselves: what isolde_exec does for
 * the statements of its text.  An error in between rolls it back, a value that found no memory for its text too (53200);
 * isolde_group_end commits. */
ISOLDE_API int isolde_group_begin(isolde_conn *conn);
ISOLDE_API int isolde_group_end(isolde_conn *conn);
/* Any thread: the statement in progress ends with 57014. */
ISOLDE_API void isolde_interrupt(isolde_conn *conn);
/* Called in the connection's thread when a statement begins (waiting = 1) and ends (0) waiting for another transaction. */
ISOLDE_API void isolde_on_wait(isolde_conn *conn, void (*callback)(void *arg, int waiting), void *arg);
/* Any thread: 1 while the connection's statement waits for another transaction that is still in its way.  Exact: once a call that ended the
 * wait (a COMMIT, say) has returned, it is 0, though the waiting statement may not have gone on yet. */
ISOLDE_API int isolde_waiting(isolde_conn *conn);
/* Called for each NOTICE and WARNING; the report is valid during the call. */
ISOLDE_API void isolde_on_notice(isolde_conn *conn, void (*callback)(void *arg, const isolde_err *notice), void *arg);

/* Called now and then, in the connection's thread, while a long statement (CHECK DATABASE, BACKUP) runs: what it is at ("pages", the name of a
 * table), how much of it is done, and of how much (0: not known).  The callback must not use the connection, but for isolde_interrupt. */
ISOLDE_API void isolde_on_progress(isolde_conn *conn, void (*callback)(void *arg, const char *what, uint64_t done, uint64_t all),
                                   void *arg);

/* LSN of the connection's newest commit that wrote something; 0: none yet.  A backup whose isolde_backup_lsn is higher holds it. */
ISOLDE_API uint64_t isolde_commit_lsn(const isolde_conn *conn);

/* ---- online backup ---- */

/* Begins to copy the database, in use by whomever, to a new file (overwrite 1: or over an old one, which stays as it is until the
 * copy is complete).  A database in memory can be copied too.  58P02 when the file exists, 55006 when it is open.  Until
 * isolde_backup_step has returned ISOLDE_DONE the copy is called PATH-part, and is refused if opened.
 * Threads: a backup is used by one thread at a time; all else goes on beside it.  The database must stay open until
 * isolde_backup_finish; isolde_close refuses before. */
ISOLDE_API int isolde_backup_begin(isolde_db *db, const char *path, int overwrite, isolde_backup **backup, isolde_err **err);
/* Copies up to `pages` pages (-1: all) and what was logged meanwhile.  ISOLDE_OK: there is more to do; ISOLDE_DONE: the file is there, whole,
 * durable, and as of the end of this step, the transactions then in progress left out.  ISOLDE_ERROR is final.  Between two
 * steps the log is kept: one who waits until max_wal_size has been written gets 55000. */
ISOLDE_API int isolde_backup_step(isolde_backup *backup, int pages);
/* Pages that are left, and in all: known from the beginning. */
ISOLDE_API int64_t isolde_backup_remaining(const isolde_backup *backup);
ISOLDE_API int64_t isolde_backup_total(const isolde_backup *backup);
/* After ISOLDE_DONE: the file holds exactly the commits whose LSN is lower.  0 before. */
ISOLDE_API uint64_t isolde_backup_lsn(const isolde_backup *backup);
/* Of the last step; valid until the next call. */
ISOLDE_API const isolde_err *isolde_backup_error(isolde_backup *backup);
/* Frees the handle.  ISOLDE_ERROR when the backup was not done: then nothing is left of it.  NULL is fine. */
ISOLDE_API int isolde_backup_finish(isolde_backup *backup);

/* Makes a new database at `path` from a backup and an archive (archive_directory of an open database; NULL: the backup alone), as of a
 * moment: until is NULL (all that is archived), an LSN ("0/1A2B3C": up to and with the record there), or a time ("2026-11-20
 * 14:30:00.25+02": all that was committed by then; UTC without a zone).  22023 when it lies before the end of the backup or behind that of
 * the archive.  The backup is only read.  *lsn (may be NULL): the database has exactly the commits whose LSN is lower.  The database is complete
 * and durable on return; until then it is called PATH-part. */
ISOLDE_API int isolde_recover(const char *backup, const char *archive, const char *until, const char *path, int overwrite, uint64_t *lsn,
                              isolde_err **err);
/* Looks at every page and log record of a backup, and (archive not NULL) at every file that continues it; report gets a line for each
 * finding: damage, a gap.  ISOLDE_OK when it could look; *findings counts.  *end: of the backup, 0 when it is a database that recovery cannot
 * start from; *archived: how far the archive continues it.  Nothing is changed. */
ISOLDE_API int isolde_verify(const char *backup, const char *archive, void (*report)(void *arg, const char *line), void *arg,
                             uint64_t *findings, uint64_t *end, uint64_t *archived, isolde_err **err);
/* Copies all that is durable to the archive now, without waiting for archive_timeout.  58030, 53100, ...: it could not be copied. */
ISOLDE_API int isolde_archive(isolde_db *db, isolde_err **err);
/* How the archive is doing.  ISOLDE_DONE when the database has none. */
struct isolde_archive_status {
    uint64_t archived, end;         /* LSNs: what lies below is in the archive; the end of the log */
    uint64_t limit;                 /* when so many bytes wait, changes fail with 53400 */
    uint64_t files, failures;       /* copied, and failed attempts, since the database was opened */
    int64_t last_file_us, last_failure_us;  /* microseconds since 1970; 0: none yet */
    char directory[256];
    char last_error[256];           /* "" when the last attempt succeeded */
};
ISOLDE_API int isolde_archive_status(isolde_db *db, struct isolde_archive_status *status);

/* ---- errors ---- */

/* The connection's last error, never NULL; its SQLSTATE is "00000" when the last call succeeded. Valid until the next call. */
ISOLDE_API const isolde_err *isolde_error(const isolde_conn *conn);
ISOLDE_API const char *isolde_error_sqlstate(const isolde_err *err);
ISOLDE_API const char *isolde_error_severity(const isolde_err *err);    /* ERROR, FATAL, NOTICE, WARNING, LOG */
ISOLDE_API const char *isolde_error_message(const isolde_err *err);
/* NULL when there is none. */
ISOLDE_API const char *isolde_error_detail(const isolde_err *err);
ISOLDE_API const char *isolde_error_hint(const isolde_err *err);
/* Where it happened, as "COPY t, line 3, column a". */
ISOLDE_API const char *isolde_error_context(const isolde_err *err);
ISOLDE_API const char *isolde_error_schema(const isolde_err *err);
ISOLDE_API const char *isolde_error_table(const isolde_err *err);
ISOLDE_API const char *isolde_error_column(const isolde_err *err);
ISOLDE_API const char *isolde_error_constraint(const isolde_err *err);
/*
 * Of a deadlock (40P01): who was in whose way, as a JSON text; NULL when there is nothing to tell.  The same facts stand in the detail.
 *     {"kind":"deadlock",
 *      "transactions":[{"session":3,"transaction":57,"statement":"UPDATE ...","victim":true}, ...],
 *      "edges":[{"from":0,"to":1,"object":"row (id)=(5) of table \"account\"","mode":"a lock FOR UPDATE","queued":false}, ...]}
 * `from` and `to` are places in the list of transactions: `from` waits for `to`, which holds what is in its way or (queued) stands before it
 * in the queue.  A session that has written nothing has no "transaction".  Statements are cut after 1,000 bytes.
 */
ISOLDE_API const char *isolde_error_conflict(const isolde_err *err);
/* 1-based character of the statement's text; 0 when unknown. */
ISOLDE_API int isolde_error_position(const isolde_err *err);
/* 1 when running the whole transaction again may succeed (40001, 40P01). */
ISOLDE_API int isolde_error_retryable(const isolde_err *err);
ISOLDE_API void isolde_error_free(isolde_err *err);     /* of isolde_open and isolde_connect only; NULL is fine */

/* Version of the library, as "0.1.0". */
ISOLDE_API const char *isolde_version(void);

#ifdef __cplusplus
}
#endif
#endif
