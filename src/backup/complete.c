/*
 * complete.c -- from pages of many moments and a log to a clean database file.
 *
 * The unfinished file is given to the same restart that follows a crash: it redoes the log to its end and finds out who was in
 * progress there.  Those are rolled back at once, and the file is closed as any other.
 *
 * The file is marked as unfinished by a feature bit in its header from before its first page is written until it is clean and
 * synced; then it gets its name.  So a crash at any moment leaves OUT as it was, or the whole backup, and perhaps an OUT-part that
 * nobody mistakes for a database; the next attempt replaces that.
 */
#include <stdio.h>
#include <string.h>

#include "src/backup/backup_int.h"
#include "src/base/mem.h"
#include "src/base/planted.h"

enum { REPLAY_CACHE_BYTES = 32 << 20, ABORT_BYTES = 128 };

char *backup__path(struct op *op, const char *path, const char *suffix)
{
    size_t len = strlen(path) + strlen(suffix) + 1;
    char *joined = op_heap_alloc(op, len);
    if (joined)
        snprintf(joined, len, "%s%s", path, suffix);
    return joined;
}

/* ---- places --------------------------------------------------------------------------------------- */

int backup__check_place(struct op *op, struct vfs *vfs, const char *path, bool overwrite)
{
    struct os_file *file;
    bool exists, taken;
    if (os_exists(op, vfs, path, &exists))
        return OP_FAILED;
    if (!exists)
        return OP_OK;
    if (!overwrite)
        return op_fail(op, "58P02", "file \"%s\" already exists", path);
    if (os_open(op, vfs, path, 0, &file))
        return OP_FAILED;
    int result = os_lock(op, file, &taken);
    os_close(file);
    if (result == OP_OK && !taken)
        return op_fail(op, "55006", "\"%s\" is an open database", path);
    return result;
}

/* Is this what a power cut left of the first page, which is synced before anything else is written?  Then the file is no longer than that
 * page, and the sector of the identity is either not there, or marked. */
static int is_torn_beginning(struct op *op, struct os_file *file, const struct header_identity *identity, bool *torn)
{
    static const struct header_identity nothing;
    uint64_t size;

    *torn = false;
    if (os_size(op, file, &size))
        return OP_FAILED;
    *torn = size <= PAGE_SIZE_MAX &&
            (memcmp(identity, &nothing, sizeof(nothing)) == 0 ||
             (memcmp(identity->magic, HEADER_MAGIC, sizeof(identity->magic)) == 0 && (identity->incompatible & HEADER_UNFINISHED)));
    return OP_OK;
}

/* Was the file begun by a backup or a recovery?  An empty one may have been too; and one that is finished was only not given its name any
 * more, if it is a backup that was never opened, or a recovery of the database that is to be recovered now. */
static int check_unfinished(struct op *op, struct os_file *file, const uint8_t *database_id)
{
    struct header_identity identity = {0};
    struct op probe;
    size_t got;
    if (os_read(op, file, 0, &identity, sizeof(identity), &got))
        return OP_FAILED;
    if (got == 0)
        return OP_OK;
    bool torn;
    if (is_torn_beginning(op, file, &identity, &torn))
        return OP_FAILED;
    if (torn)
        return OP_OK;
    op_init(&probe);
    struct header_slot slot;
    bool unfinished = buf_header_read(&probe, file, &identity, &slot) == OP_OK
                      && ((identity.incompatible & HEADER_UNFINISHED) || (slot.flags & HEADER_COPY)
                          || (database_id && memcmp(identity.database_id, database_id, sizeof(identity.database_id)) == 0));
    op_end(&probe);
    return unfinished ? OP_OK : op_fail(op, "58P02", "file \"%s\" already exists, and is no unfinished backup", file->path);
}

int backup__open_part(struct op *op, struct vfs *vfs, const char *part, const uint8_t *database_id, struct os_file **out)
{
    struct os_file *file = NULL;
    bool taken = false;
    *out = NULL;
    int result = os_open(op, vfs, part, OS_OPEN_CREATE, &file);
    if (result == OP_OK)
        result = os_lock(op, file, &taken);
    if (result == OP_OK && !taken)
        result = op_fail(op, "55006", "another backup is writing \"%s\"", part);
    if (result == OP_OK)
        result = check_unfinished(op, file, database_id);
    if (result == OP_OK)
        result = os_truncate(op, file, 0);
    if (result) {
        os_close(file);
        return OP_FAILED;
    }
    *out = file;
    return OP_OK;
}

void backup__remove_part(struct vfs *vfs, const char *part)
{
    static const char *const suffixes[] = {"-wal", "-dw", "-log", "-new", ""};
    struct op op;
    op_init(&op);
    for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
        char *path = backup__path(&op, part, suffixes[i]);
        if (!path || os_remove(&op, vfs, path))
            op_clear_error(&op);    /* what stays is marked as unfinished */
        mem_free(path);
    }
    op_end(&op);
}

/* ---- the header ----------------------------------------------------------------------------------- */

int backup__write_header(struct op *op, struct os_file *file, const struct header_identity *identity,
                         const struct header_slot *slot)
{
    uint8_t *page = op_calloc(op, identity->page_size);
    if (!page)
        return OP_FAILED;
    struct header_identity own = *identity;
    own.incompatible |= HEADER_UNFINISHED;
    buf_header_image(&own, slot, page);
    return os_write(op, file, 0, page, identity->page_size);
}

/* Two syncs: the slot is right before the mark goes. */
static int finish_header(struct op *op, struct os_file *file, uint32_t slot_flags)
{
    uint8_t image[HEADER_BYTES] __attribute__((aligned(8)));
    struct header_identity identity;
    struct header_slot slot;
    if (buf_header_read(op, file, &identity, &slot))
        return OP_FAILED;
    slot.flags |= slot_flags;
    if (!(slot_flags & HEADER_COPY))
        os_random(&identity.timeline_id, sizeof(identity.timeline_id));
    buf_header_image(&identity, &slot, image);
    if (os_write(op, file, 0, image, sizeof(image)) || os_sync(op, file))
        return OP_FAILED;
    identity.incompatible &= ~(uint64_t)HEADER_UNFINISHED;
    buf_header_image(&identity, &slot, image);
    return os_write(op, file, 0, image, HEADER_SLOT_A) || os_sync(op, file) ? OP_FAILED : OP_OK;
}

int backup__publish(struct op *op, struct vfs *vfs, const char *part, const char *path, bool overwrite, uint32_t slot_flags)
{
    struct os_file *file;
    if (os_open(op, vfs, part, 0, &file))
        return OP_FAILED;
    int result = finish_header(op, file, slot_flags);
    os_close(file);
    if (result)
        return OP_FAILED;
    if (PLANTED("backup-name-reserved") && !overwrite) {
        if (os_open(op, vfs, path, OS_OPEN_CREATE | OS_OPEN_EXCLUSIVE, &file))
            return OP_FAILED;
        os_close(file);
        overwrite = true;
    }
    if (!overwrite)
        return os_rename_new(op, vfs, part, path);      /* somebody else may have put something there meanwhile */
    return backup__check_place(op, vfs, path, true) ? OP_FAILED : os_rename(op, vfs, part, path);
}

/* ---- replay --------------------------------------------------------------------------------------- */

/* After the losers are rolled back nobody is in progress. */
static int collect(void *context, struct op *op, struct wal_checkpoint_state *state)
{
    const struct wal_checkpoint_state *last = &store_restart(context)->state;
    if (state->next_txn < last->next_txn)
        state->next_txn = last->next_txn;
    if (state->newest_commit < last->newest_commit)
        state->newest_commit = last->newest_commit;
    return OP_OK;
}

static int roll_back_losers(struct op *op, struct store *store)
{
    const struct wal_checkpoint_state *state = &store_restart(store)->state;
    struct wal *wal = store_wal(store);
    for (size_t i = 0; i < state->chain_count; i++) {
        struct wal_chain chain = state->chains[i];
        if (store_rollback(op, store, &chain, 0) || wal_reserve(op, wal, ABORT_BYTES))
            return OP_FAILED;
        wal_append(wal, &chain, WAL_ABORT, 0, NULL, 0);
        store_forget_promises(store, &chain);
        wal_unreserve(wal, ABORT_BYTES);
    }
    store_set_hooks(store, &(struct store_hooks){.context = store, .collect = collect});
    return OP_OK;
}

int backup__replay(struct op *op, struct vfs *vfs, const char *part)
{
    struct store_options options = {.vfs = vfs, .path = part, .cache_size = REPLAY_CACHE_BYTES, .finishing = true};
    struct store *store;
    if (store_open(op, &options, &store))
        return OP_FAILED;
    if (roll_back_losers(op, store)) {
        store_abandon(store);
        return OP_FAILED;
    }
    return store_close(op, store);
}
