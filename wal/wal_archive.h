/*
 * wal_archive.h -- the archive: a directory to which the log is copied before it is overwritten, and reading it back.
 *
 * Each file is one piece of the stream (wal_stream.h), never changed once it is there, named by timeline and first LSN:
 *
 *      5F3A...-00000000003FF000     bytes 3FF000 .. 41A2B8 of timeline 5F3A...
 *      5F3A...-000000000041A2B8     what follows
 *
 * A segment always begins a file; so, knowing any position, the file that follows can be named without listing the directory.
 */
#ifndef ISOLDE_WAL_WAL_ARCHIVE_H
#define ISOLDE_WAL_WAL_ARCHIVE_H

#include "wal/wal_stream.h"

/* ---- of an open log ------------------------------------------------------------------------------- */

struct wal_archive_status {
    char directory[256];            /* "" when there is no archive */
    Lsn archived;                   /* all that lies below is in the archive */
    Lsn end;                        /* of the log */
    uint64_t limit;                 /* bytes that may wait; beyond, nobody writes */
    uint64_t files, failures;       /* since the database was opened */
    int64_t last_file_us, last_failure_us;      /* since 1970; 0: none yet */
    char last_error[256];           /* "" when the last attempt succeeded */
};

void wal_archive_status(struct wal *wal, struct wal_archive_status *status);
/* Copies everything that is durable now, whatever archive_timeout says.  With `last` the archiver ends: the log is being closed. */
int wal_archive_rest(struct op *op, struct wal *wal, bool last) MUST_CHECK;

/* ---- reading -------------------------------------------------------------------------------------- */

/* One history: what names in an archive begin with. */
struct wal_history {
    uint8_t database_id[16];
    uint64_t timeline_id;
};

struct wal_archive_file {
    struct os_file *file;           /* NULL: there is none of this name */
    struct wal_piece piece;
    uint32_t crc;                   /* of the bytes */
    int64_t written_us;
};

/* Opens the file that begins at `from`; its head is checked.  Not there is an answer.  XX001 when it is damaged or of another
 * database. */
int wal_archive_open(struct op *op, struct vfs *vfs, const char *directory, const struct wal_history *history, Lsn from,
                     struct wal_archive_file *file) MUST_CHECK;
/* The file that follows the position `end` of the stream: one that begins there, or the first of the next epoch or log. */
int wal_archive_follow(struct op *op, struct vfs *vfs, const char *directory, const struct wal_history *history,
                       uint32_t segment_size, Lsn end, struct wal_archive_file *file) MUST_CHECK;
/* All of its bytes, checked; free them with mem_free. */
int wal_archive_read(struct op *op, struct wal_archive_file *file, uint8_t **bytes) MUST_CHECK;
/* The lowest first LSN above `after` among the files of this history; 0: there is none. */
int wal_archive_next_name(struct op *op, struct vfs *vfs, const char *directory, const struct wal_history *history, Lsn after,
                          Lsn *next) MUST_CHECK;
void wal_archive_close(struct wal_archive_file *file);

#endif
