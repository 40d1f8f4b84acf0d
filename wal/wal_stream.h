/*
 * wal_stream.h -- the log as a stream of bytes: for those who copy it (backups, the archive), and log files made of such copies.
 *
 * A copy has to know, beside the bytes, in which segment and epoch they lay, since that is what checksums are seeded with and
 * what links an epoch to the one before.  A piece is such a description: bytes [from, to) of one segment and one epoch.
 *
 *      stream:   | segment 7, epoch 1       | segment 8, epoch 1  X      segment 9, epoch 2      |
 *      pieces:   |------------|-------------|-----------|---------|      |---------------------|
 *
 * Nothing says how long a piece is; a stream is whole when each one begins where the one before it has ended, or at the
 * beginning of a later epoch (or log) that names that end.
 */
#ifndef ISOLDE_WAL_WAL_STREAM_H
#define ISOLDE_WAL_WAL_STREAM_H

#include "wal/wal_open.h"

/* ---- holding the log ------------------------------------------------------------------------------ */

/* Somebody who still has to read the log.  The caller owns it; fields are guarded by the log. */
struct wal_hold {
    Lsn from;                   /* segments from this position on are not reused */
    bool bounded;               /* gives way when it alone keeps more than max_wal_size */
    bool lost;                  /* it has given way */
    struct wal_hold *next;
};

/* From now on segments that lie at or behind `from` stay.  0: all that are there. */
void wal_hold(struct wal *wal, struct wal_hold *hold, Lsn from, bool bounded);
/* The holder has read everything before `from`. */
void wal_hold_move(struct wal *wal, struct wal_hold *hold, Lsn from);
bool wal_hold_lost(struct wal *wal, const struct wal_hold *hold);
void wal_hold_end(struct wal *wal, struct wal_hold *hold);     /* one that is not held is fine */

/* ---- reading -------------------------------------------------------------------------------------- */

struct wal_piece {
    uint64_t log_id;
    uint32_t segment_size;
    uint64_t number;            /* of the segment */
    uint64_t epoch;
    Lsn epoch_start, previous_end;  /* previous_end: where the epoch (or log) before ended; 0: nothing was before */
    Lsn from, to;
};

/* The piece at `from`: its durable bytes up to the end of the segment or of the epoch.  When the epoch ends at `from`, it is the
 * first one of the next epoch.  Empty (from == to) when there is nothing durable yet.  58P01 when the log no longer has it. */
int wal_stream_next(struct op *op, struct wal *wal, Lsn from, struct wal_piece *piece) MUST_CHECK;
/* Bytes [from, from + len) of the piece, which must be held. */
int wal_stream_read(struct op *op, struct wal *wal, const struct wal_piece *piece, Lsn from, void *to, size_t len) MUST_CHECK;

/* Bytes of the stream that a segment of this size on disk holds: segment N begins at LSN N times this. */
uint64_t wal_segment_payload(uint32_t segment_size);

/* ---- making a log file ---------------------------------------------------------------------------- */

struct wal_composer;

/* Makes a log file (replacing one that is there) out of pieces; wal_open can open it afterwards. */
int wal_compose(struct op *op, struct vfs *vfs, const char *path, const struct wal_identity *identity, uint32_t segment_size,
                struct wal_composer **composer) MUST_CHECK;
/* Puts bytes [from, from + len) of the piece in their place.  Pieces come in the order of the stream. */
int wal_compose_put(struct op *op, struct wal_composer *composer, const struct wal_piece *piece, Lsn from, const void *bytes,
                    size_t len) MUST_CHECK;
/* Goes on with a file that was composed before. */
int wal_compose_resume(struct op *op, struct vfs *vfs, const char *path, struct wal_composer **composer) MUST_CHECK;
/* Nothing of the log from `cut` on remains. */
int wal_compose_cut(struct op *op, struct wal_composer *composer, Lsn cut) MUST_CHECK;
/* Ends the file, synced; frees the composer whatever happens. */
int wal_compose_end(struct op *op, struct wal_composer *composer) MUST_CHECK;
/* Frees the composer and leaves the file as it is.  NULL is fine. */
void wal_compose_abandon(struct wal_composer *composer);

/* ---- looking for a moment -------------------------------------------------------------------------- */

/* Where recovery is to stop.  Neither: at the end. */
struct wal_target {
    bool by_lsn, by_time;
    Lsn lsn;                    /* the last record that counts begins here, or before */
    int64_t time_us;            /* the last commit that counts is of this moment, or before */
};

struct wal_moment {
    bool reached;               /* something lies behind the target */
    Lsn cut;                    /* the first byte that does not count: a record's beginning, or the end of the log */
    Lsn last;                   /* the last record before the cut */
    uint64_t commits;           /* before the cut, from where the search began */
    int64_t last_commit_us;     /* of the last of them; 0: none */
};

/* Reads the records of a log file that nobody has open, from `from` (a record's LSN) on.  The file's owner is overwritten. */
int wal_find_moment(struct op *op, struct vfs *vfs, const char *path, const struct wal_identity *identity, Lsn from,
                    const struct wal_target *target, struct wal_moment *moment) MUST_CHECK;

#endif
