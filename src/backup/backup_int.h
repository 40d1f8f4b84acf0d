/* backup_int.h -- what the files of this folder share. */
#ifndef ISOLDE_BACKUP_BACKUP_INT_H
#define ISOLDE_BACKUP_BACKUP_INT_H

#include "src/backup/backup.h"
#include "src/buf/buf_backup.h"

enum { BACKUP__BUFFER_BYTES = 1 << 20 };

/* complete.c */
/* `path` and `suffix` joined; NULL after having reported 53200.  Free with mem_free. */
char *backup__path(struct op *op, const char *path, const char *suffix);
/* Creates or takes over the unfinished file at `part`, empty and locked.  58P02 when it is something else. */
int backup__open_part(struct op *op, struct vfs *vfs, const char *part, struct os_file **file) MUST_CHECK;
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
