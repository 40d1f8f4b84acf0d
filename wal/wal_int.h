/* wal_int.h -- what the files of this folder share: the log's state, and who guards which part of it. */
#ifndef ISOLDE_WAL_WAL_INT_H
#define ISOLDE_WAL_WAL_INT_H

#include <stdalign.h>
#include <stdatomic.h>

#include "src/os/os.h"
#include "wal/format.h"
#include "wal/wal.h"
#include "wal/wal_open.h"
#include "wal/wal_archive.h"
#include "wal/wal_stream.h"

enum {
    WAL__ROUNDS = 8,            /* places for flush rounds; a power of two */
    WAL__OVERLAP = 1,           /* syncs in flight at once; flush.c says why not more */
    WAL__BOUNCE_BYTES = 65536,  /* flushes up to this size go out as one write */
};

/* One place of the file.  Guarded by segments_latch. */
struct wal__slot {
    uint64_t number;            /* segment that it holds; 0: free */
    uint64_t epoch;
    uint64_t epoch_start, previous_end;
};

/* One write with the sync that makes it durable.  Guarded by flush_latch but for the atomics. */
struct wal__round {
    Lsn end;
    bool synced;
    _Atomic uint32_t sleepers;
    _Atomic uint32_t word;      /* bumped when sleepers should look again */
};

struct wal {
    /* Constant after opening. */
    struct vfs *vfs;
    char *path;
    struct os_file *file;
    struct wal_options options;
    struct wal_identity identity;
    uint64_t payload;           /* stream bytes of one segment */
    uint8_t *buffer;            /* the byte at lsn is buffer[lsn & (options.buffer_size - 1)] */
    uint8_t *bounce;            /* WAL__BOUNCE_BYTES; used by whoever has `writing` */
    uint64_t epoch;             /* changed by restart only, before there are threads */
    uint32_t seed;              /* checksum of database id and epoch */
    bool started;               /* appends are allowed */

    /* Positions of appending; written under append_latch. */
    alignas(64) struct os_mutex append_latch;   /* RANK_WAL_BUFFER */
    _Atomic Lsn end;            /* next record's LSN; read anywhere */
    _Atomic Lsn filled;         /* end of what is in the buffer; lags behind `end` only when the log is broken */
    Lsn base;                   /* oldest LSN that this life has put in the buffer */
    Lsn marked;                 /* durable end that the newest flush mark tells */
    _Atomic Lsn limit;          /* appending stops here until more is written out; raised by the writer */

    /* Flushing. */
    alignas(64) struct os_mutex flush_latch;    /* RANK_WAL_FLUSH */
    struct os_cond write_free;
    bool writing;               /* somebody is in wal__write_out */
    uint32_t write_waiters;
    uint64_t first_round, next_round;           /* rounds in flight: first .. next-1 */
    struct wal__round rounds[WAL__ROUNDS];
    _Atomic Lsn written;        /* handed to the operating system; stored by whoever has `writing` */
    _Atomic Lsn durable;        /* advanced under flush_latch, in the order of rounds */
    atomic_bool broken;         /* set under flush_latch after the cause was stored; never cleared */
    char broken_message[256];

    /* Ring. */
    alignas(64) struct os_mutex segments_latch; /* RANK_WAL_SEGMENTS */
    struct os_cond grown;
    bool growing;
    struct wal__slot *slots;
    size_t slot_count, slot_capacity, free_count;
    size_t spoilt_heads;        /* found by wal_open: neither valid nor empty */
    uint64_t newest;            /* highest segment number in use */
    uint64_t epoch_start, previous_end;         /* for the heads of new segments */
    struct wal_hold *holds;     /* who still has to read the log: stream.c */
    _Atomic Lsn released;       /* restart no longer needs what lies below */
    struct wal__archive *archive;       /* NULL: none.  Constant after opening */
    _Atomic uint64_t capacity;  /* LSN up to which there is prepared space; stored under segments_latch */
    _Atomic uint64_t ceiling;   /* LSN up to which the ring would reach at max_wal_size; stored under segments_latch */
    atomic_bool pinned;         /* the last release kept segments below the redo point for somebody; stored under segments_latch */
    _Atomic uint64_t reserved;  /* bytes of those who append just now */
    _Atomic uint64_t promised;  /* bytes kept for undo */

    /* Pace: reserve.c. */
    void (*hurry)(void *arg);
    void *hurry_arg;
    _Atomic Lsn redo;           /* of the newest checkpoint */
    _Atomic Lsn stuck;          /* a redo point for which somebody has waited long enough */
    _Atomic uint32_t redo_word; /* bumped when redo has moved, or segments were set free */
    _Atomic uint32_t awaiting;  /* threads that wait for a checkpoint */

    /* Chains that are read and carried. */
    alignas(64) struct os_mutex carry_latch;    /* RANK_WAL_CARRY */
    struct os_cond carry_done;

    /* Background thread. */
    struct os_thread *thread;
    atomic_bool stop;
    atomic_bool idle;           /* it sleeps until somebody appends */
    _Atomic uint32_t thread_word;
};

/* append.c */
uint32_t wal__record_crc(uint32_t seed, const uint8_t *record, uint32_t len, Lsn lsn);
/* Under append_latch: appends a flush mark if it fits. */
void wal__append_mark(struct wal *wal, Lsn durable);

/* reserve.c */
/* wal_reserve without waiting, leaving `slack` bytes beyond.  Some slack is what others leave for flush marks, and for
 * checkpoints: on a full disk they are what makes space. */
int wal__reserve(struct op *op, struct wal *wal, uint64_t bytes, uint64_t slack) MUST_CHECK;
uint64_t wal__slack(const struct wal *wal);
/* Those who wait for room look again. */
void wal__wake_waiters(struct wal *wal);

/* flush.c */
/* Writes out what is in the buffer, without sync, so that appends find room. */
void wal__make_room(struct wal *wal);
/* Marks the log broken for good and wakes everybody; the first cause stays. */
void wal__break(struct wal *wal, const char *message);
int wal__fail_broken(struct op *op, struct wal *wal);
void wal__wake_background(struct wal *wal);

/* segments.c */
uint64_t wal__slot_offset(const struct wal *wal, size_t slot);
/* File offset of an LSN; false when no slot holds its segment. *epoch is that of the segment. */
bool wal__locate(struct wal *wal, Lsn lsn, uint64_t *offset, uint64_t *epoch);
/* Makes sure that the segment of this number has a slot with its head written: the writer's step over a
 * boundary. */
int wal__open_segment(struct op *op, struct wal *wal, uint64_t number) MUST_CHECK;
/* Adds one zero-written, synced slot to the ring, if it has less than `most`, and the capacity still is what the caller has seen:
 * else look again. */
int wal__grow(struct op *op, struct wal *wal, size_t most, uint64_t seen) MUST_CHECK;
/* Fills the place of one slot, without sync. */
int wal__write_zeros(struct op *op, struct wal *wal, uint64_t offset) MUST_CHECK;
int wal__add_slot(struct op *op, struct wal *wal, const struct wal__slot *slot) MUST_CHECK;
void wal__update_capacity(struct wal *wal);     /* and ceiling; under segments_latch, or before there are threads */
size_t wal__slots_allowed(const struct wal *wal);       /* by max_wal_size */
uint32_t wal__seed(const struct wal_identity *identity, uint64_t epoch);

/* stream.c */
/* Under segments_latch: the first segment that must stay, when restart needs those from `first_needed` on. */
uint64_t wal__first_held(struct wal *wal, uint64_t first_needed);

/* compose.c, segments.c */
void wal__fill_file_head(uint8_t *block, const struct wal_identity *identity, uint32_t segment_size);
void wal__fill_segment_head(uint8_t *block, uint64_t log_id, const struct wal__slot *slot);

/* carry.c */
/* Fills the fields of `record` with those of the record of which it is a copy; *older is the copy before it. */
int wal__uncarry(struct op *op, TxnId txn, struct wal_record *record, Lsn *older) MUST_CHECK;

/* archive.c */
/* Before there are threads: the archiver takes up where its files end, and holds the log from there, at the latest from `oldest`. */
int wal__archive_open(struct op *op, struct wal *wal, Lsn oldest) MUST_CHECK;
int wal__archive_start(struct op *op, struct wal *wal) MUST_CHECK;
void wal__archive_wake(struct wal *wal);        /* a segment is full */
void wal__archive_close(struct wal *wal);
/* 53400 when too much waits for the archive. */
int wal__archive_check(struct op *op, struct wal *wal) MUST_CHECK;

/* open.c */
/* Appends go on in segment `number`, which begins the epoch; its head is synced. */
int wal__begin_epoch(struct op *op, struct wal *wal, uint64_t epoch, uint64_t number, Lsn previous_end) MUST_CHECK;

/* read.c */
/* wal_read by way of the walk's window: neighbours are read from the file at once. */
int wal__read_near(struct op *op, struct wal_walk *walk, Lsn lsn, struct arena *arena, struct wal_record *record) MUST_CHECK;
/* Splits a whole, verified record into its fields; payload points into `bytes`. False when lengths disagree. */
bool wal__decode(const uint8_t *bytes, uint32_t len, Lsn lsn, struct wal_record *record);

struct wal__reader {
    struct wal *wal;
    Lsn pos;                    /* where the next record should begin */
    uint64_t epoch;
    uint32_t seed;
    uint8_t *window;            /* stream bytes low .. high, all of `epoch` */
    size_t window_size;
    Lsn low, high;
};
int wal__reader_open(struct op *op, struct wal *wal, Lsn from, struct wal__reader *reader) MUST_CHECK;
/* *found is false at the first position where no valid record begins; pos then stays there. The record is
 * valid until the next call. */
int wal__reader_next(struct op *op, struct wal__reader *reader, struct wal_record *record, bool *found) MUST_CHECK;
/* Looks beyond pos, in the same epoch, for flush marks; *proven is raised to the highest durable end they tell. */
int wal__reader_find_proof(struct op *op, struct wal__reader *reader, Lsn *proven) MUST_CHECK;
void wal__reader_close(struct wal__reader *reader);

/* settle.c */
struct wal_start;
/* Makes durable what restart is going to read. */
int wal__settle(struct op *op, struct wal *wal, const struct wal_start *start) MUST_CHECK;

/* checkpoint.c */
int wal__decode_checkpoint(struct op *op, const struct wal_record *record, struct arena *arena,
                           struct wal_checkpoint_state *state) MUST_CHECK;

#endif
