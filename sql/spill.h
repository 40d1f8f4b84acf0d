/*
 * spill.h -- temporary space on disk for what sorts, hash joins and hash aggregations cannot keep in memory.
 *
 * One file per database, "app.db-tmp", opened at the first need and cut to nothing when nobody uses it.  It is made of extents of equal
 * size; a run is a list of them, written once from its beginning to its end and then read, as often as wanted.
 *
 * P1  An extent belongs to one run, or is free.
 * P2  Nothing in the file survives the process: it is never synced, and its old contents are never read.
 */
#ifndef ISOLDE_SQL_SPILL_H
#define ISOLDE_SQL_SPILL_H

#include "src/os/os.h"

struct spill;
struct spill_run;

/* database_path: the file will be "<database_path>-tmp". */
int spill_make(struct op *op, struct vfs *vfs, const char *database_path, struct spill **spill) MUST_CHECK;
/* No run may exist.  Removes the file.  NULL is fine. */
void spill_destroy(struct spill *spill);
uint64_t spill_bytes(struct spill *spill);      /* in use now */

int spill_run_open(struct op *op, struct spill *spill, struct spill_run **run) MUST_CHECK;
int spill_write(struct op *op, struct spill_run *run, const void *data, size_t len) MUST_CHECK;
/* The writing is over: reads begin at the beginning. */
int spill_rewind(struct op *op, struct spill_run *run) MUST_CHECK;
/* Reads exactly len bytes, or *end = true when nothing is left. */
int spill_read(struct op *op, struct spill_run *run, void *data, size_t len, bool *end) MUST_CHECK;
uint64_t spill_run_bytes(const struct spill_run *run);
void spill_run_close(struct spill_run *run);    /* gives back its extents; NULL is fine */

#endif
