/*
 * buf.h -- the buffer pool: all access to pages of the database file.
 *
 * A fixed number of frames holds copies of pages.  One 64-bit state word per page (in a two-level array indexed by
 * page number) holds latch, version and frame number, so that a hit touches no hash table.
 *
 * P1  A page is written to its place only after the log is durable up to its page LSN and after a copy of it is
 *     durable in the double-write area.
 * P2  A page leaves the dirty page table only after its in-place write is synced.
 * P3  A pinned or latched page is not evicted; frames are never unmapped, so an optimistic reader may read a
 *     frame that is no longer its page's: validation then fails.
 * P4  Memory does not grow beyond the configured frames; when all are pinned, fixing waits, then fails with 53200.
 */
#ifndef ISOLDE_BUF_H
#define ISOLDE_BUF_H

#include "src/base/op.h"
#include "src/base/types.h"
#include "src/buf/page.h"
#include "src/os/os.h"
#include "wal/wal.h"

struct buf;

enum latch_mode { LATCH_SHARED, LATCH_EXCLUSIVE };

/* A latched page.  Embedded in the caller's stack frame; valid from buf_fix to buf_unfix. */
struct page_ref {
    uint8_t *data;              /* page_size bytes, 8-byte aligned; NULL when nothing is held */
    PageNo page_no;
    uint32_t frame;
    enum latch_mode mode;
};

/* Reads the page into a frame if it is not there (verifying checksum and page number: XX001 naming page and
 * rule) and latches it.  Waits for the latch.  On failure ref->data is NULL. */
int buf_fix(struct op *op, struct buf *buf, PageNo page_no, enum latch_mode mode, struct page_ref *ref) MUST_CHECK;
/* The same, but returns with *taken = false instead of waiting for the latch or for I/O. Never fails. */
void buf_try_fix(struct buf *buf, PageNo page_no, enum latch_mode mode, struct page_ref *ref, bool *taken);
/* A page whose contents do not matter (new, or to be overwritten whole by redo): exclusive, not read from
 * disk, zeroed but for its head's page number. */
int buf_fix_new(struct op *op, struct buf *buf, PageNo page_no, struct page_ref *ref) MUST_CHECK;
void buf_unfix(struct page_ref *ref, struct buf *buf);      /* data NULL is fine */

/* The exclusively latched page was changed by the log record at lsn: sets the page LSN and enters the page in
 * the dirty page table (recovery LSN = lsn if it was clean).  Call it after wal_append, before buf_unfix. */
void buf_mark_dirty(struct buf *buf, struct page_ref *ref, Lsn lsn);

/* ---- optimistic reading --------------------------------------------------------------------------- */

/* What was read is untrusted until buf_validate says that it was consistent: bound every offset before use, follow
 * nothing before validation. */
struct page_peek {
    const uint8_t *data;
    PageNo page_no;
    uint64_t state;             /* the state word when reading began */
};
/* False when the page is not in memory or is latched exclusively: fix it instead. */
bool buf_peek(struct buf *buf, PageNo page_no, struct page_peek *peek);
/* True when nobody has latched the page exclusively, or evicted it, since buf_peek. */
bool buf_validate(struct buf *buf, const struct page_peek *peek);
/* Builds for ThreadSanitizer latch shared instead; then a peek must be given back. A no-op elsewhere. */
void buf_peek_end(struct buf *buf, struct page_peek *peek);

/* ---- geometry ------------------------------------------------------------------------------------- */

uint32_t buf_page_size(const struct buf *buf);      /* bytes, head included */
/* Bytes of a page that layers above may use: page size less the reserved tail. */
uint32_t buf_usable_size(const struct buf *buf);
/* Pages in the file, page 0 included. */
PageNo buf_page_count(const struct buf *buf);
/* Makes the file at least this many pages long (reserving disk space: 53100 when full). */
int buf_extend(struct op *op, struct buf *buf, PageNo page_count) MUST_CHECK;
/* At the next checkpoint the file is cut after the page `page_count - 1`; none of the pages beyond is in use. */
void buf_truncate_later(struct buf *buf, PageNo page_count);

#endif
