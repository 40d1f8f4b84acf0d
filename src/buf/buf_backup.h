/*
 * buf_backup.h -- copying the database file while it is in use, and the header that a copy gets.
 *
 * A backup calls buf_backup_begin, then buf_backup_page for each page below slot.page_count (page 0 is the header, which it makes
 * itself), and reads the log from `oldest` on by way of `hold` (wal/wal_stream.h).
 */
#ifndef ISOLDE_BUF_BUF_BACKUP_H
#define ISOLDE_BUF_BUF_BACKUP_H

#include "src/buf/buf_open.h"
#include "wal/wal_stream.h"

struct buf_backup {
    struct header_identity identity;
    struct header_slot slot;    /* of a checkpoint that was complete before any page is copied */
    Lsn oldest;                 /* restart from this slot reads the log from here on */
    struct wal_hold hold;
    bool pages_ended;
};

/* Takes a checkpoint. */
int buf_backup_begin(struct op *op, struct buf *buf, const struct buf_checkpoint_hooks *hooks, struct buf_backup *backup) MUST_CHECK;
/* The page with its checksum, as restart may find it.  `to` holds page_size bytes.  XX001 when it is damaged. */
int buf_backup_page(struct op *op, struct buf *buf, PageNo page_no, uint8_t *to) MUST_CHECK;
/* All pages are copied: the file may be cut again.  The log is still held. */
void buf_backup_end_pages(struct buf *buf, struct buf_backup *backup);
void buf_backup_end(struct buf *buf, struct buf_backup *backup);

/* Fills the first HEADER_BYTES of page 0; checksums and the sequence number are set here. */
void buf_header_image(const struct header_identity *identity, const struct header_slot *slot, uint8_t *image);
/* The header of a file, checked.  Errors as buf_open's. */
int buf_header_read(struct op *op, struct os_file *file, struct header_identity *identity, struct header_slot *slot) MUST_CHECK;

#endif
