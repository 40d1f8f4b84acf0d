/*
 * buf_int.h -- what the files of this folder share: frames, state words, the batch that is being written.
 *
 * The state word of a page, 64 bits:
 *
 *       63            37 36        13    12     11       0
 *      |    version     |  frame no. | waiters |  latch   |
 *
 * latch: 0 free, 1..4094 that many shared holders, 4095 exclusive.  frame no. 0: not in memory.  The version
 * goes up with each release of an exclusive latch and with each eviction.  waiters: somebody sleeps in the
 * parking place of this page.
 */
#ifndef ISOLDE_BUF_BUF_INT_H
#define ISOLDE_BUF_BUF_INT_H

#include <stdalign.h>
#include <stdatomic.h>

#include "src/base/endian.h"
#include "src/buf/buf.h"
#include "src/buf/buf_backup.h"
#include "src/buf/buf_open.h"
#include "src/buf/header.h"

#define BUF__LATCH_MASK UINT64_C(0xfff)
#define BUF__EXCLUSIVE UINT64_C(0xfff)
#define BUF__SHARED_MAX UINT64_C(0xffe)
#define BUF__WAITERS UINT64_C(0x1000)
#define BUF__FRAME_ONE UINT64_C(0x2000)
#define BUF__FRAME_MASK (UINT64_C(0xffffff) << 13)
#define BUF__VERSION_ONE (UINT64_C(1) << 37)

enum {
    BUF__CHUNK_PAGES = 8192,        /* state words per chunk */
    BUF__CHUNKS = 1 << 17,          /* so a database has at most 2^30 pages */
    BUF__FRAMES_MAX = (1 << 24) - 2,
    BUF__FRAMES_MIN = 16,
    BUF__PARKING = 256,
    BUF__BATCH_PAGES = 128,         /* directory entries of the double-write area */
    BUF__BATCH_BYTES = 1 << 20,
    BUF__DIRECTORY_BYTES = 4096,
};

/* A frame's description.  Its page's state word says who may touch it. */
struct buf__frame {
    _Atomic PageNo page_no;         /* 0: free.  Changed by whoever has the page's exclusive latch */
    _Atomic Lsn recovery_lsn;       /* 0: clean.  Under the exclusive latch or, while `writing`, `guard` */
    Lsn redirtied;                  /* first change since the copy that is being written; 0: none.  `guard` */
    atomic_bool writing;            /* a copy is on its way; set under the shared latch, cleared under `guard` */
    atomic_flag guard;
    _Atomic uint8_t used;           /* clock: used since the hand came by */
};

struct buf__parking {
    alignas(64) _Atomic uint32_t word;
};

/* A page of the batch. */
struct buf__batch_entry {
    PageNo page_no;
    uint32_t frame;
};

struct buf {
    /* Constant after opening. */
    struct vfs *vfs;
    char *path, *wal_path, *dw_path;
    struct os_file *file, *dw;
    struct wal *wal;
    struct header_identity identity;
    uint32_t page_size, usable_size;
    uint32_t frame_count;
    uint32_t dirty_max;             /* of them that may be dirty (E3) */
    struct buf__frame *frames;      /* [0] is frame 1 */
    uint8_t *pages;                 /* contents of the frames */
    bool is_new;
    bool was_clean;
    bool restarting;                /* changed before there are threads */

    _Atomic(_Atomic uint64_t *) *chunks;    /* state words; a chunk never goes once it is there */
    struct buf__parking *parking;

    /* Free frames and the clock. */
    alignas(64) struct os_mutex free_latch;     /* RANK_BUF_MAP */
    uint32_t *free_frames;
    uint32_t free_count;
    _Atomic uint64_t hand;
    _Atomic uint32_t dirty_count;
    _Atomic uint64_t dirtied;       /* how often a clean page became dirty: what restart would have to read */
    _Atomic uint64_t dirtied_at_redo;   /* that, when the newest checkpoint began */

    /* Geometry; extend_latch (RANK_BUF_MAP) guards the changes. */
    struct os_mutex extend_latch;
    _Atomic PageNo page_count;      /* pages that may be fixed */
    PageNo file_pages;              /* pages that the file has room for */
    PageNo truncated_from;          /* page_count before the pending truncation */
    Lsn truncate_lsn;               /* 0: no truncation pending; else the redo point must have passed this */

    /* The batch; write_latch (RANK_BUF_WRITE) is held from choosing its pages until they are synced in place. */
    alignas(64) struct os_mutex write_latch;
    uint32_t batch_max;
    uint64_t batch_number;
    uint32_t scan_at;               /* frame after which a checkpoint goes on looking for old pages */
    struct buf__batch_entry batch[BUF__BATCH_PAGES];
    uint32_t batch_len;
    uint8_t *batch_bytes;           /* directory, then the pages */
    _Atomic uint64_t batches;

    /* Checkpoints; the flag under checkpoint_latch (RANK_CHECKPOINT), the rest by whoever set it. */
    struct os_mutex checkpoint_latch;
    struct os_cond checkpoint_done;
    bool checkpointing;
    bool tolerant;                  /* buf_options */
    struct header_slot slot;        /* the newest on disk */
    _Atomic Lsn redo;
    _Atomic uint32_t backups;       /* that copy pages just now: the file must not be cut (K2) */

    /* Background writer. */
    struct os_thread *thread;
    atomic_bool stop;
    _Atomic uint32_t thread_word;
    atomic_bool kicked;
    int (*checkpoint)(void *context, struct op *op);
    void *checkpoint_context;

    _Atomic uint64_t stat_reads, stat_written, stat_evictions, stat_checkpoints;
};

static inline uint64_t buf__frame_of(uint64_t state) { return (state & BUF__FRAME_MASK) >> 13; }

static inline uint8_t *buf__frame_data(const struct buf *buf, uint64_t frame)
{
    return buf->pages + (frame - 1) * (uint64_t)buf->page_size;
}

/* The page's state word; page_no < page_count, whose chunks are all there. */
static inline _Atomic uint64_t *buf__state(const struct buf *buf, PageNo page_no)
{
    _Atomic uint64_t *chunk = atomic_load_explicit(&buf->chunks[page_no / BUF__CHUNK_PAGES], memory_order_acquire);
    return &chunk[page_no % BUF__CHUNK_PAGES];
}

/* latch.c */
/* Takes the latch if that needs no waiting and the page is in this frame. */
bool buf__try_latch(struct buf *buf, PageNo page_no, uint32_t frame, enum latch_mode mode);
void buf__unlatch(struct buf *buf, PageNo page_no, enum latch_mode mode);
/* Exclusive latch released together with the page's frame number: `frame` leaves memory. */
void buf__unlatch_evicted(struct buf *buf, PageNo page_no, uint32_t frame);
/* Makes sure that state words exist for that many pages.  Under extend_latch. */
int buf__ensure_states(struct op *op, struct buf *buf, PageNo page_count) MUST_CHECK;
/* Has a chunk more of them if there is memory: a rollback makes the file longer too, and must need none. */
void buf__spare_states(struct buf *buf, PageNo page_count);
/* Returns once every exclusive latch that was held when it was called has been released. */
void buf__fence(struct buf *buf);

/* evict.c */
/* A frame for a new page: a free one, or by eviction. 53200 when all frames stay latched. */
int buf__take_frame(struct op *op, struct buf *buf, uint32_t *frame) MUST_CHECK;
void buf__give_frame(struct buf *buf, uint32_t frame);

/* write.c */
enum buf__choice {
    BUF__COLD,      /* what the clock would evict next */
    BUF__OLD,       /* recovery LSN below the limit */
};
/* Writes one batch of dirty pages.  *found: dirty pages that were eligible; *written: of these, how many were
 * written. */
int buf__write_batch(struct op *op, struct buf *buf, enum buf__choice choice, Lsn limit, uint32_t *found,
                     uint32_t *written) MUST_CHECK;
/* Tells the background writer that clean frames are getting scarce. */
void buf__kick_writer(struct buf *buf);

/* double_write.c */
int buf__double_write(struct op *op, struct buf *buf) MUST_CHECK;   /* the batch, write_latch held */
int buf__double_write_restore(struct op *op, struct buf *buf) MUST_CHECK;

/* header.c */
int buf__header_create(struct op *op, struct buf *buf, const struct buf_options *options) MUST_CHECK;
int buf__header_read(struct op *op, struct buf *buf, const struct buf_options *options) MUST_CHECK;
/* Makes durable what was read (see wal/settle.c): the log beside it may be removed because of it. */
int buf__header_settle(struct op *op, struct buf *buf) MUST_CHECK;
int buf__header_leave_copy(struct op *op, struct buf *buf) MUST_CHECK;
int buf__check_identity(struct op *op, const char *path, const struct header_identity *identity) MUST_CHECK;
/* The newer valid slot of a header. */
int buf__choose_slot(struct op *op, const char *path, const uint8_t *header, struct header_slot *slot) MUST_CHECK;
/* Writes buf->slot, with the next sequence number, over the older of the two, and syncs. */
int buf__header_write_slot(struct op *op, struct buf *buf) MUST_CHECK;

/* file.c */
/* Cuts the file behind page_count if that was asked for and no log from `redo` on needs what lies there. */
int buf__truncate(struct op *op, struct buf *buf, Lsn redo) MUST_CHECK;
/* How many pages the log from `redo` on may name: more than page_count while a truncation is pending. */
PageNo buf__named_pages(struct buf *buf, Lsn redo);

/* checkpoint.c */
/* One checkpoint; *slot is what it left in the header. */
int buf__checkpoint_for(struct op *op, struct buf *buf, const struct buf_checkpoint_hooks *hooks,
                        struct wal_checkpoint_state *state, Lsn *lsn, struct header_slot *slot) MUST_CHECK;
/* The same sync failure that breaks the log: nothing more is written to any file. */
int buf__sync(struct op *op, struct buf *buf, struct os_file *file) MUST_CHECK;

#endif
