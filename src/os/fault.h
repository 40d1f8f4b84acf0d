/*
 * fault.h -- a disk for tests that loses power, fills up and fails, from a seed.
 *
 * It holds its files in memory, each twice: what has been synced, and what has been written.  A power cut
 * keeps any subset of the 512-byte sectors (and of the size changes) written since the file's last sync.
 */
#ifndef ISOLDE_OS_FAULT_H
#define ISOLDE_OS_FAULT_H

#include "src/os/os.h"

enum fault_call {
    FAULT_READ, FAULT_WRITE, FAULT_SYNC, FAULT_TRUNCATE, FAULT_OPEN, FAULT_REMOVE, FAULT_RENAME, FAULT_LOCK, FAULT_LOOK,
    FAULT_CALL_COUNT            /* LOOK: at the size or existence of a file, or at a directory */
};

enum fault_loss {
    FAULT_LOSE_ALL,         /* nothing unsynced survives */
    FAULT_KEEP_ALL,         /* everything written survives */
    FAULT_KEEP_RANDOM,      /* each unsynced sector is kept or lost by the seed: torn and reordered writes */
    FAULT_KILL,             /* only the process died: everything written is there, and as unsynced as it was */
};

struct vfs *fault_vfs_new(uint64_t seed) MUST_CHECK;

/* The power fails at the n-th write, sync, truncate, rename or remove from now on (1 = the next), before it takes
 * effect: that call and every later one fail with 58030 until fault_power_on.  0: never. */
void fault_cut_at(struct vfs *vfs, uint64_t n);
bool fault_is_cut(struct vfs *vfs);
/* How many such calls were made since the vfs was made or the last power-on. */
uint64_t fault_calls(struct vfs *vfs);
/* What survived becomes the contents; locks and failures on order are gone.  Every file handle from before must be
 * closed, and may be, before or after. */
void fault_power_on(struct vfs *vfs, enum fault_loss loss, uint64_t seed);

/* Another disk with the same contents, synced and not, as if the process had been killed now: a cut of its power
 * shows what a cut of this one's would leave, and this one goes on.  The caller destroys it. */
struct vfs *fault_copy(struct vfs *vfs) MUST_CHECK;
/* Before every write, sync, truncate, rename and remove, `watch` is handed such a copy, which it destroys: with it
 * one run of a workload suffices to try a power cut at every call.  It runs in the thread that makes the call, which
 * may hold latches, so it opens a database in another thread and waits for that.  NULL: nobody watches. */
void fault_watch(struct vfs *vfs, void (*watch)(struct vfs *copy, void *arg), void *arg);

/* The n-th call of this kind from now on (1 = the next) fails with this errno value (EIO, ENOSPC, ...); 0: never.
 * `sticky`: so do all later ones, until changed. A failing write may have written any part, by the seed. */
void fault_fail_at(struct vfs *vfs, enum fault_call call, uint64_t n, int error, bool sticky);
/* Total bytes that the disk holds before ENOSPC; 0: without limit. */
void fault_capacity(struct vfs *vfs, uint64_t bytes);
/* Flip one bit of the stored bytes, synced and written alike. */
int fault_flip_bit(struct op *op, struct vfs *vfs, const char *path, uint64_t offset, int bit) MUST_CHECK;

#endif
