/*
 * backup.h -- copies of a database that is in use.
 *
 * B1  A finished backup is a clean database file: it opens by itself, and holds every commit whose LSN lies below its end and
 *     nothing of any other transaction.
 * B2  Until then it has another name (`OUT-part`) and a mark in its header for which it is refused; OUT appears at once and whole.
 * B3  Writers are never stopped; a backup that is not carried on gives the log up (55000) before that exceeds max_wal_size.
 */
#ifndef ISOLDE_BACKUP_BACKUP_H
#define ISOLDE_BACKUP_BACKUP_H

#include "btree/store.h"
#include "wal/wal_stream.h"

struct backup;

struct backup_options {
    struct vfs *vfs;            /* of the copy */
    const char *path;
    bool overwrite;             /* a file of this name may be replaced */
};

/* Begins a backup of the open store, which must stay open until backup_end.  One thread at a time uses the backup.  58P02 when
 * there is such a file, 55006 when it is an open database or another backup writes it. */
int backup_begin(struct op *op, struct store *store, const struct backup_options *options, struct backup **backup) MUST_CHECK;
/* Copies up to `pages` pages and the log written meanwhile.  The last step also makes the copy consistent and gives it its name:
 * then *done.  After an error all steps fail with it. */
int backup_step(struct op *op, struct backup *backup, uint64_t pages, bool *done) MUST_CHECK;
void backup_progress(const struct backup *backup, uint64_t *remaining, uint64_t *total);    /* pages */
/* Once done: the copy has all that was committed below this LSN.  0 before. */
Lsn backup_end_lsn(const struct backup *backup);
/* Frees it; if it was not done, nothing is left of the copy.  NULL is fine. */
void backup_end(struct backup *backup);

/* ---- recovery ------------------------------------------------------------------------------------- */

struct recover_options {
    struct vfs *vfs;
    const char *backup;         /* a finished backup; it is not changed */
    const char *archive;        /* directory; NULL: only what the backup has itself */
    struct wal_target target;   /* none: everything that is there */
    const char *path;           /* of the new database */
    bool overwrite;
};

struct recover_result {
    Lsn end;                    /* the database has all that was committed below */
    uint64_t commits;           /* replayed */
    int64_t last_commit_us;     /* of the newest of them, since 1970; 0: none */
};

/* Makes a database as of the target, with a new timeline.  22023 when that lies before the end of the backup or behind the end of the
 * archive, 55000 when the file is no backup to start from, XX001 for damage. */
int backup_recover(struct op *op, const struct recover_options *options, struct recover_result *result) MUST_CHECK;

/* ---- verification ---------------------------------------------------------------------------------- */

struct verify_options {
    struct vfs *vfs;
    const char *path;
    const char *archive;        /* directory; NULL: it is not looked at */
    void (*report)(void *arg, const char *line);    /* a finding */
    void *arg;
};

struct verify_result {
    uint64_t pages, findings;
    Lsn end;                    /* of the backup; 0: recovery cannot start from this file */
    Lsn archived;               /* up to which the archive continues it */
};

/* Looks at every byte of a backup and of the archive behind it; changes nothing.  Damage is reported, not an error. */
int backup_verify(struct op *op, const struct verify_options *options, struct verify_result *result) MUST_CHECK;

#endif
