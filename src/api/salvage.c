/*
 * salvage.c -- copying what can be read of a damaged database into a new one.
 *
 *      restart     on an overlay, so that the damaged file stays as it is: first as always, then passing over what is damaged,
 *                  and if that fails too the pages are taken as they lie on the disk
 *      gather      undamaged leaves into the same trees of the new file                 (btree/salvage.c)
 *      settle      the catalog, indexes, what nobody owns                               (sql/salvage.c)
 *      report      what was lost, in words
 */
#include <stdio.h>
#include <string.h>

#include "btree/salvage.h"
#include "sql/salvage.h"
#include "src/api/api_int.h"
#include "src/base/mem.h"
#include "src/buf/buf_backup.h"

/* A line of the first half, which waits until the second half knows what the tree is called. */
struct waiting_line {
    struct waiting_line *next;
    TreeId tree;
    char text[];
};

struct salvage {
    struct op *op;
    const char *path, *out;
    void (*report)(void *arg, const char *line);
    void *arg;
    struct vfs *vfs;            /* the overlay */
    struct header_identity identity;
    struct header_slot slot;
    bool has_header;
    bool log_whole;
    uint64_t lost;
    struct waiting_line *first, **tail;
    struct store_salvaged salvaged;
};

static void say(struct salvage *salvage, const char *format, ...) PRINTF_LIKE(2, 3);

static void say(struct salvage *salvage, const char *format, ...)
{
    char line[600];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    salvage->report(salvage->arg, line);
}

/* What was met is said, and is no error any more.  Real failures stay. */
static bool forgive(struct salvage *salvage, const char *what)
{
    struct op *op = salvage->op;

    if (strncmp(op->error.sqlstate, "XX", 2) != 0 && strcmp(op->error.sqlstate, "58P01") != 0)
        return false;
    say(salvage, "%s: %s%s%s", what, op->error.message, op->error.detail ? ": " : "", op->error.detail ? op->error.detail : "");
    op_clear_error(op);
    return true;
}

/* ---- restart, in memory --------------------------------------------------------------------------- */

static int read_header(struct salvage *salvage)
{
    struct os_file *file;
    bool taken;

    if (os_open(salvage->op, salvage->vfs, salvage->path, OS_OPEN_READ_ONLY, &file) != 0)
        return OP_FAILED;
    int result = os_lock(salvage->op, file, &taken);
    if (result == 0 && !taken)
        result = op_fail(salvage->op, "55006", "database \"%s\" is open", salvage->path);
    if (result == 0) {
        salvage->has_header = buf_header_read(salvage->op, file, &salvage->identity, &salvage->slot) == 0;
        if (!salvage->has_header && !forgive(salvage, "the header cannot be used"))
            result = OP_FAILED;
        salvage->lost += !salvage->has_header;
    }
    os_close(file);
    return result;
}

/* Those in progress at the crash are rolled back, if their trees allow it. */
static void roll_back_losers(struct salvage *salvage, struct store *store)
{
    struct txn_options options = {.no_background = true};
    struct txn_manager *manager = NULL;
    uint64_t losers = store_restart(store)->state.chain_count;

    if (losers == 0)
        return;
    if (txn_manager_open(salvage->op, store, &options, &manager) != 0 || txn_purge(salvage->op, manager) != 0) {
        op_clear_error(salvage->op);
        say(salvage, "%llu transactions were in progress; their changes could not all be rolled back", (unsigned long long)losers);
        salvage->lost++;
    }
    if (manager)
        txn_manager_abandon(manager);
}

/* The overlay's file becomes what it would be after a restart.  *done is false when that is not possible. */
static int restart(struct salvage *salvage, bool tolerant, bool *done)
{
    struct store_options options = {.vfs = salvage->vfs, .path = salvage->path, .read_only = true, .tolerant = tolerant,
                                    .no_background = true};
    struct store *store;

    *done = store_open(salvage->op, &options, &store) == 0;
    if (!*done)
        return forgive(salvage, tolerant ? "the log cannot be used" : "the database cannot be opened") ? 0 : OP_FAILED;
    const struct wal_restart *found = store_restart(store);
    salvage->log_whole = !found->damaged && store_skipped(store) == 0;
    if (found->damaged)
        say(salvage, "the log is damaged at %llX: what was done later is lost, where it had not reached its page",
            (unsigned long long)found->cut_at);
    if (store_skipped(store) > 0)
        say(salvage, "%llu log records could not be applied, because of damaged pages", (unsigned long long)store_skipped(store));
    salvage->lost += !salvage->log_whole;
    roll_back_losers(salvage, store);
    int result = store_checkpoint(salvage->op, store);
    store_abandon(store);
    return result != 0 && !forgive(salvage, "pages could not be written") ? OP_FAILED : 0;
}

static int fresh_overlay(struct salvage *salvage)
{
    if (salvage->vfs)
        os_vfs_destroy(salvage->vfs);
    salvage->vfs = os_overlay_vfs_new(os_unix_vfs());
    return salvage->vfs ? 0 : op_out_of_memory(salvage->op);
}

static int bring_up_to_date(struct salvage *salvage)
{
    bool done = false;

    if (!salvage->has_header)
        return 0;
    if (salvage->slot.flags & HEADER_CLEAN) {
        salvage->log_whole = true;      /* the file alone is all there is */
        return 0;
    }
    for (int tolerant = 0; tolerant < 2 && !done; tolerant++)
        if (fresh_overlay(salvage) != 0 || restart(salvage, tolerant, &done) != 0)
            return OP_FAILED;
    if (done)
        return 0;
    say(salvage, "the log is not used: what had not reached its page is lost, and what was not committed may be there");
    salvage->lost++;
    return fresh_overlay(salvage);
}

/* ---- the new file --------------------------------------------------------------------------------- */

static void wait_line(void *arg, TreeId tree, const char *line)
{
    struct salvage *salvage = arg;
    struct waiting_line *waiting = mem_alloc(sizeof *waiting + strlen(line) + 1);

    if (!waiting) {
        salvage->report(salvage->arg, line);
        return;
    }
    waiting->next = NULL;
    waiting->tree = tree;
    strcpy(waiting->text, line);
    *salvage->tail = waiting;
    salvage->tail = &waiting->next;
}

static void tell_waiting(struct salvage *salvage, const struct database_salvage *task)
{
    while (salvage->first) {
        struct waiting_line *line = salvage->first;
        const char *name = database_salvage_name(task, line->tree);
        if (line->tree != 0)
            say(salvage, "%s (tree %llu%s%s)", line->text, (unsigned long long)line->tree, name ? ", " : "", name ? name : "");
        else
            say(salvage, "%s", line->text);
        salvage->first = line->next;
        mem_free(line);
    }
    salvage->tail = &salvage->first;
}

static void tell_line(void *arg, const char *line)
{
    struct salvage *salvage = arg;
    salvage->report(salvage->arg, line);
}

static int gather(struct salvage *salvage, struct store *to, uint32_t page_size)
{
    struct store_salvage from = {.vfs = salvage->vfs, .path = salvage->path, .page_size = page_size,
                                 .reserved_bytes = salvage->has_header ? salvage->identity.reserved_bytes : 0,
                                 .trust_map = salvage->log_whole, .to = to, .arg = salvage, .report = wait_line};
    return store_salvage(salvage->op, &from, &salvage->salvaged);
}

static int settle(struct salvage *salvage, struct store *store)
{
    struct database_salvage task = {.salvaged = &salvage->salvaged, .log_whole = salvage->log_whole, .arg = salvage,
                                    .report = tell_line};
    struct txn_options options = {.no_background = true};
    struct txn_manager *manager = NULL;
    struct database *database = NULL;

    int result = txn_manager_open(salvage->op, store, &options, &manager);
    if (result == 0)
        result = database_open(salvage->op, manager, &database);
    if (result == 0)
        result = database_salvage(salvage->op, database, &task);
    tell_waiting(salvage, &task);
    database_salvage_free(&task);
    database_close(database);
    if (result == 0)
        result = txn_purge(salvage->op, manager);
    if (manager)
        txn_manager_close(manager);
    salvage->lost += task.lost + salvage->salvaged.lost;
    return result;
}

/* What was begun and not ended is of no use. */
static void remove_new(struct salvage *salvage)
{
    static const char *const suffixes[] = {"-wal", "-dw", ""};
    struct op op;

    op_init(&op);
    for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
        char *path = arena_printf(&op.arena, "%s%s", salvage->out, suffixes[i]);
        if (!path || os_remove(&op, os_unix_vfs(), path) != 0)
            op_clear_error(&op);    /* an unclean file without its log is refused */
    }
    op_end(&op);
}

static int make_new(struct salvage *salvage)
{
    struct store_options options = {.vfs = os_unix_vfs(), .path = salvage->out, .create = true, .no_background = true};
    struct store *store;
    bool exists;

    if (os_exists(salvage->op, os_unix_vfs(), salvage->out, &exists) != 0)
        return OP_FAILED;
    if (exists)
        return op_fail(salvage->op, "58P02", "file \"%s\" already exists", salvage->out);
    if (salvage->has_header)
        options.page_size = salvage->identity.page_size;
    else if (store_salvage_page_size(salvage->op, salvage->vfs, salvage->path, &options.page_size) != 0)
        return OP_FAILED;
    if (options.page_size == 0)
        return op_fail(salvage->op, "XX001", "\"%s\" has no page that can be read", salvage->path);
    if (store_open(salvage->op, &options, &store) != 0)
        return OP_FAILED;
    int result = gather(salvage, store, options.page_size);
    if (result == 0)
        result = settle(salvage, store);
    if (result != 0) {
        store_abandon(store);
        remove_new(salvage);
        return OP_FAILED;
    }
    return store_close(salvage->op, store);
}

int isolde_salvage(const char *path, const char *out, void (*report)(void *arg, const char *line), void *arg, uint64_t *lost,
                   isolde_err **err)
{
    struct op op;
    struct salvage salvage = {.op = &op, .path = path, .out = out, .report = report, .arg = arg};

    if (err)
        *err = NULL;
    if (lost)
        *lost = 0;
    if (!path || !out || !report)
        return ISOLDE_MISUSE;
    op_init(&op);
    salvage.tail = &salvage.first;
    int result = fresh_overlay(&salvage);
    if (result == 0)
        result = read_header(&salvage);
    if (result == 0)
        result = bring_up_to_date(&salvage);
    if (result == 0)
        result = make_new(&salvage);
    if (result == 0)
        say(&salvage, "%llu pages, %llu of them damaged; %llu records of tables and indexes were copied: %s",
            (unsigned long long)salvage.salvaged.pages, (unsigned long long)salvage.salvaged.damaged,
            (unsigned long long)salvage.salvaged.records, salvage.lost ? "SOME IS LOST" : "nothing is lost");
    else
        api_export_error(&op, err);
    if (lost)
        *lost = salvage.lost;
    tell_waiting(&salvage, &(struct database_salvage){.lost = 0});
    store_salvaged_free(&salvage.salvaged);
    if (salvage.vfs)
        os_vfs_destroy(salvage.vfs);
    op_end(&op);
    return result == 0 ? ISOLDE_OK : ISOLDE_ERROR;
}
