/* backup_int.h -- what the files of this folder share. */
#ifndef ISOLDE_BACKUP_BACKUP_INT_H
#define ISOLDE_BACKUP_BACKUP_INT_H

#include "src/backup/backup.h"
#include "src/buf/buf_backup.h"

enum { BACKUP__BUFFER_BYTES = 1 << 20, BACKUP__TAIL_BYTES = 512, BACKUP__TAIL_FORMAT = 1 };

/* The last sector of a backup, padded with zeros to 512 bytes: see tail.c. */
struct backup__tail {
    char magic[16];
    uint32_t format;
    uint32_t page_size;
    uint8_t database_id[16];
    uint64_t timeline_id;
    uint64_t end;               /* LSN */
    int64_t end_us;             /* wall clock then */
    struct header_slot slot;    /* as copied: restart goes on from it */
    uint64_t images;            /* pages kept as copied */
    uint64_t images_at;         /* byte offsets in the file */
    uint64_t log_at;
    uint64_t log_bytes;
    uint64_t oldest;            /* LSN at which the log begins */
    uint32_t images_crc;        /* of the list of their numbers */
    uint32_t log_crc;
    uint32_t segment_size;
    uint32_t zero[6];
    uint32_t crc;
};

/* tail.c */
/* *found is false when the file ends with something else. */
int backup__tail_read(struct op *op, struct os_file *file, struct backup__tail *tail, bool *found) MUST_CHECK;
/* Numbers of the pages kept; free with mem_free. */
int backup__tail_images(struct op *op, struct os_file *file, const struct backup__tail *tail, uint64_t **numbers) MUST_CHECK;
/* The i-th of them as it was copied, checked. */
int backup__tail_image(struct op *op, struct os_file *file, const struct backup__tail *tail, const uint64_t *numbers, uint64_t i,
                       uint8_t *page) MUST_CHECK;
/* Writes and syncs the tail of the unfinished file, whose pages are still as copied; the shadow has those that completion changed,
 * `pages` is how many the completed file has, `log` the copied log.  Fills in where everything lies. */
int backup__tail_write(struct op *op, struct vfs *vfs, struct vfs *shadow, const char *log, struct os_file *file, PageNo pages,
                       struct backup__tail *tail) MUST_CHECK;
int backup__copy_bytes(struct op *op, struct os_file *from, uint64_t from_at, struct os_file *to, uint64_t to_at, uint64_t len,
                       uint32_t *crc) MUST_CHECK;
/* Not synced. */
int backup__copy_file(struct op *op, struct vfs *vfs, const char *from, const char *to) MUST_CHECK;

/* complete.c */
/* `path` and `suffix` joined; NULL after having reported 53200.  Free with mem_free. */
char *backup__path(struct op *op, const char *path, const char *suffix);
/* Creates or takes over the unfinished file at `part`, empty and locked.  58P02 when it is something else. */
int backup__open_part(struct op *op, struct vfs *vfs, const char *part, const uint8_t *database_id,
                      struct os_file **file) MUST_CHECK;
/* Refuses a place that is taken: 58P02, or with `overwrite` 55006 when somebody has it open. */
int backup__check_place(struct op *op, struct vfs *vfs, const char *path, bool overwrite) MUST_CHECK;
/* Writes the header of an unfinished file: restart goes on from this slot. */
int backup__write_header(struct op *op, struct os_file *file, const struct header_identity *identity,
                         const struct header_slot *slot) MUST_CHECK;
/* The pages, header and log of `part` are there and synced: replays the log, rolls back who was in progress at its end, and
 * closes the file clean. */
int backup__replay(struct op *op, struct vfs *vfs, const char *part) MUST_CHECK;
/* Takes the mark off and gives the file its name.  slot_flags: HEADER_COPY or 0 (then it gets a new timeline at once). */
int backup__publish(struct op *op, struct vfs *vfs, const char *part, const char *path, bool overwrite, uint32_t slot_flags)
    MUST_CHECK;
/* Removes what an attempt has left: never fails, since nothing depends on it. */
void backup__remove_part(struct vfs *vfs, const char *part);

#endif
