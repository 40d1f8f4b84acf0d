/*
 * database.c -- opening and closing databases.
 *
 * A process that opens a file twice must get the same database, because two engines on one file would ruin it.  Files are told apart by
 * device and inode, never by path; the list of open ones is the only state of the whole process.
 *
 *      isolde_open:   file -> store (restart) -> transactions -> SQL's part
 *      isolde_close:  the other way round; the last one writes the checkpoint that makes the file complete by itself
 *
 * D1  The list is changed, and databases are opened and closed, under one mutex.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "src/api/api_int.h"
#include "src/base/mem.h"

static struct os_mutex list_mutex = {.mutex = PTHREAD_MUTEX_INITIALIZER, .rank = RANK_API_DATABASES};
static struct isolde_db *open_databases;
static struct closed_ring closed_databases;

void api_bury(struct closed_ring *ring, void *handle, _Atomic uint32_t *magic)
{
    atomic_store(magic, API_CLOSED);
    mem_free(ring->handles[ring->next]);
    ring->handles[ring->next] = handle;
    ring->next = (ring->next + 1) % CLOSED_KEPT;
}

void api_free_ring(struct closed_ring *ring)
{
    for (int i = 0; i < CLOSED_KEPT; i++) {
        mem_free(ring->handles[i]);
        ring->handles[i] = NULL;
    }
}

/* ---- options -------------------------------------------------------------------------------------- */

enum { SCRUB_RATE = 1 << 20 };     /* a gigabyte in 17 minutes */
enum { MEMORY_WAL_BYTES = 64 << 20, MEMORY_SEGMENT_BYTES = 256 << 10 };

struct watcher {
    void (*progress)(void *arg, const char *phase, int percent, double seconds_left);
    void *arg;
};

struct open_options {
    struct store_options store;
    uint64_t scrub_rate;            /* bytes per second; 0: no scrub */
    struct txn_options txn;
    enum txn_sync sync;
};

/* "64MB" in bytes. */
static int parse_size(struct op *op, const char *name, const char *value, uint64_t *bytes)
{
    static const struct { const char *unit; uint64_t factor; } units[] = {
        {"", 1}, {"b", 1}, {"kb", 1 << 10}, {"mb", 1 << 20}, {"gb", 1 << 30}, {"tb", UINT64_C(1) << 40},
    };
    char *end;
    unsigned long long number = strtoull(value, &end, 10);

    if (end != value && value[0] != '-')
        for (size_t i = 0; i < COUNT_OF(units); i++)
            if (strcasecmp(end, units[i].unit) == 0 && number <= UINT64_MAX / units[i].factor) {
                *bytes = number * units[i].factor;
                return 0;
            }
    return op_fail(op, "22023", "invalid value for option \"%s\": \"%s\"", name, value);
}

static int parse_flag(struct op *op, const char *name, const char *value, bool *flag)
{
    if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
        return op_fail(op, "22023", "invalid value for option \"%s\": \"%s\"", name, value);
    *flag = strcmp(value, "on") == 0;
    return 0;
}

/* "30s" in microseconds; seconds without a unit. */
static int parse_time(struct op *op, const char *name, const char *value, uint64_t *microseconds)
{
    static const struct { const char *unit; uint64_t factor; } units[] = {
        {"", 1000000}, {"ms", 1000}, {"s", 1000000}, {"min", 60 * 1000000}, {"h", UINT64_C(3600) * 1000000},
    };
    char *end;
    unsigned long long number = strtoull(value, &end, 10);

    if (end != value && value[0] != '-' && number > 0 && number <= UINT32_MAX)
        for (size_t i = 0; i < COUNT_OF(units); i++)
            if (strcasecmp(end, units[i].unit) == 0) {
                *microseconds = number * units[i].factor;
                return 0;
            }
    return op_fail(op, "22023", "invalid value for option \"%s\": \"%s\"", name, value);
}

static int parse_option(struct op *op, const char *name, const char *value, struct open_options *options)
{
    uint64_t page_size;

    if (strcmp(name, "synchronous") == 0) {
        if (strcmp(value, "full") == 0)
            options->sync = TXN_SYNC_FULL;
        else if (strcmp(value, "normal") == 0)
            options->sync = TXN_SYNC_NORMAL;
        else if (strcmp(value, "off") == 0)
            options->sync = TXN_SYNC_OFF;
        else
            return op_fail(op, "22023", "invalid value for option \"%s\": \"%s\"", name, value);
        return 0;
    }
    if (strcmp(name, "cache_size") == 0)
        return parse_size(op, name, value, &options->store.cache_size);
    if (strcmp(name, "max_wal_size") == 0)
        return parse_size(op, name, value, &options->store.wal.max_wal_size);
    if (strcmp(name, "archive_directory") == 0) {
        options->store.wal.archive_directory = value;
        return 0;
    }
    if (strcmp(name, "archive_limit") == 0)
        return parse_size(op, name, value, &options->store.wal.archive_limit);
    if (strcmp(name, "archive_timeout") == 0)
        return parse_time(op, name, value, &options->store.wal.archive_timeout_us);
    if (strcmp(name, "version_store_memory") == 0) {
        if (parse_size(op, name, value, &options->txn.version_memory) != 0)
            return OP_FAILED;
        if (options->txn.version_memory < 1 << 20)
            return op_fail(op, "22023", "option \"version_store_memory\" has to be 1MB or more");
        return 0;
    }
    if (strcmp(name, "version_store_disk") == 0) {
        if (parse_size(op, name, value, &options->txn.version_disk) != 0)
            return OP_FAILED;
        if (options->txn.version_disk == 0)
            options->txn.version_disk = 1;      /* not a page: nothing is spilled */
        return 0;
    }
    if (strcmp(name, "page_size") == 0) {
        if (parse_size(op, name, value, &page_size) != 0)
            return OP_FAILED;
        if (page_size < 4096 || page_size > 65536 || (page_size & (page_size - 1)) != 0)
            return op_fail(op, "22023", "option \"page_size\" has to be a power of two from 4096 to 65536");
        options->store.page_size = (uint32_t)page_size;
        return 0;
    }
    if (strcmp(name, "create") == 0)
        return parse_flag(op, name, value, &options->store.create);
    if (strcmp(name, "scrub_rate") == 0)
        return parse_size(op, name, value, &options->scrub_rate);
    if (strcmp(name, "read_only") == 0)
        return parse_flag(op, name, value, &options->store.read_only);
    op_fail(op, "22023", "unrecognized option \"%s\"", name);
    op_hint(op, "Options are synchronous, cache_size, max_wal_size, archive_directory, archive_timeout, archive_limit, "
            "version_store_memory, version_store_disk, page_size, create, read_only and scrub_rate.");
    return OP_FAILED;
}

static int parse_options(struct op *op, const char *text, struct open_options *options)
{
    char *copy = arena_strdup(&op->arena, text), *rest = copy, *word;

    if (!copy)
        return op_out_of_memory(op);
    while ((word = strtok_r(rest, " \t\n,", &rest)) != NULL) {
        char *equals = strchr(word, '=');
        if (!equals)
            return op_fail(op, "22023", "option \"%s\" has no value", word);
        *equals = '\0';
        if (parse_option(op, word, equals + 1, options) != 0)
            return OP_FAILED;
    }
    return 0;
}

/* ---- opening -------------------------------------------------------------------------------------- */

static void destroy(struct op *op, struct isolde_db *db, int *result)
{
    if (db->store)
        store_stop_scrub(db->store);
    database_close(db->database);
    if (db->manager)
        txn_manager_close(db->manager);
    if (db->store && db->read_only)
        store_abandon(db->store);
    else if (db->store && store_close(op, db->store) != 0)
        *result = OP_FAILED;
    if ((db->in_memory || db->read_only) && db->vfs)
        os_vfs_destroy(db->vfs);
    os_mutex_destroy(&db->latch);
    api_forget_messages(db);
    os_mutex_destroy(&db->message_latch);
    api_free_ring(&db->closed);
    db->database = NULL;
    db->manager = NULL;
    db->store = NULL;
    db->vfs = NULL;
}

/* Which file is it?  *exists is false when there is none yet. */
static int identify(struct op *op, const char *path, bool *exists, uint64_t *device, uint64_t *inode)
{
    struct os_file *file;

    if (os_exists(op, os_unix_vfs(), path, exists) != 0 || !*exists)
        return op_failed(op) ? OP_FAILED : 0;
    if (os_open(op, os_unix_vfs(), path, OS_OPEN_READ_ONLY, &file) != 0)
        return OP_FAILED;
    int result = os_identity(op, file, device, inode);
    os_close(file);
    return result;
}

static struct isolde_db *find_open(uint64_t device, uint64_t inode)
{
    for (struct isolde_db *db = open_databases; db; db = db->next)
        if (db->device == device && db->inode == inode)
            return db;
    return NULL;
}

static int open_engine(struct op *op, struct isolde_db *db, const char *path, const struct open_options *options)
{
    struct store_options store = options->store;

    store.vfs = db->vfs;
    store.path = path;
    if (db->in_memory && store.wal.max_wal_size == 0) {
        store.wal.max_wal_size = MEMORY_WAL_BYTES;      /* log is memory here, and needs no preparing */
        store.wal.segment_size = MEMORY_SEGMENT_BYTES;
    }
    store.create = options->store.create && !db->read_only;
    if (store_open(op, &store, &db->store) != 0 || txn_manager_open(op, db->store, &options->txn, &db->manager) != 0 ||
        database_open(op, db->manager, &db->database) != 0)
        return OP_FAILED;
    database_set_sync(db->database, options->sync);
    if (db->read_only)
        database_set_read_only(db->database);
    api_tell_restart(db);
    struct store_scrub scrub = {.rate = options->scrub_rate, .arg = db, .damaged = api_tell_damage};
    if (scrub.rate > 0 && !db->in_memory && !db->read_only)
        return store_start_scrub(op, db->store, &scrub);
    return 0;
}

/* vfs: NULL for the usual one. */
static int make(struct op *op, struct vfs *vfs, const char *path, const struct open_options *options, struct isolde_db **out)
{
    struct isolde_db *db = mem_calloc(1, sizeof *db);
    bool exists;
    int result;

    if (!db)
        return op_out_of_memory(op);
    os_mutex_init(&db->latch, RANK_API_DATABASE);
    os_mutex_init(&db->message_latch, RANK_API_MESSAGES);
    db->in_memory = !vfs && strcmp(path, ":memory:") == 0;
    db->listed = !vfs && !db->in_memory;
    db->read_only = options->store.read_only;
    if (vfs)
        db->vfs = db->read_only ? os_overlay_vfs_new(vfs) : vfs;
    else
        db->vfs = db->in_memory ? os_memory_vfs_new() : db->read_only ? os_overlay_vfs_new(os_unix_vfs()) : os_unix_vfs();
    db->opened = 1;
    result = db->vfs ? open_engine(op, db, path, options) : op_out_of_memory(op);
    if (result == 0 && db->listed)
        result = identify(op, path, &exists, &db->device, &db->inode);
    if (result != 0) {
        struct op close;
        op_init(&close);
        destroy(&close, db, &result);   /* what opening met says more than what closing meets */
        op_end(&close);
        mem_free(db);
        return OP_FAILED;
    }
    if (db->listed) {
        db->next = open_databases;
        open_databases = db;
    }
    atomic_store(&db->magic, API_DATABASE);
    *out = db;
    return 0;
}

static int open_locked(struct op *op, const char *path, const struct open_options *options, struct isolde_db **out)
{
    uint64_t device = 0, inode = 0;
    bool exists = false;

    if (strcmp(path, ":memory:") == 0 && options->store.read_only)
        return op_fail(op, "22023", "a database in memory cannot be opened for reading only");
    if (strcmp(path, ":memory:") == 0 && options->store.wal.archive_directory)
        return op_fail(op, "0A000", "the log of a database in memory cannot be archived");
    if (options->store.read_only && options->store.wal.archive_directory)
        return op_fail(op, "22023", "a database that is opened for reading only has no log to be archived");
    if (strcmp(path, ":memory:") == 0)
        return make(op, NULL, path, options, out);
    if (identify(op, path, &exists, &device, &inode) != 0)
        return OP_FAILED;
    if (exists && (*out = find_open(device, inode)) != NULL) {
        if ((*out)->read_only != options->store.read_only)
            return op_fail(op, "55006", "database \"%s\" is already open for %s", path,
                           (*out)->read_only ? "reading only" : "writing");
        (*out)->opened++;
        return 0;
    }
    return make(op, NULL, path, options, out);
}

static void tell_watcher(void *arg, const struct store_progress *progress)
{
    const struct watcher *watcher = arg;
    watcher->progress(watcher->arg, progress->phase, progress->percent, progress->seconds_left);
}

static int open_on(struct vfs *vfs, const char *path, const char *text, struct watcher *watcher, isolde_db **db, isolde_err **err)
{
    struct open_options options = {.store = {.create = true}, .scrub_rate = SCRUB_RATE, .sync = TXN_SYNC_FULL};
    struct op op;

    if (err)
        *err = NULL;
    if (db)
        *db = NULL;
    if (watcher->progress) {
        options.store.progress = tell_watcher;
        options.store.progress_arg = watcher;
    }
    op_init(&op);
    int result = ISOLDE_OK;
    if (!path || !db || path[0] == '\0') {
        op_fail(&op, "22023", "isolde_open needs a path and a place for the handle");
        result = ISOLDE_MISUSE;
    } else {
        os_mutex_lock(&list_mutex);
        if ((text && parse_options(&op, text, &options) != 0) ||
            (vfs ? make(&op, vfs, path, &options, db) : open_locked(&op, path, &options, db)) != 0)
            result = ISOLDE_ERROR;
        os_mutex_unlock(&list_mutex);
    }
    if (result != ISOLDE_OK) {
        api_export_error(&op, err);
        if (db)
            *db = NULL;
    }
    op_end(&op);
    return result;
}

int api_open_on(struct vfs *vfs, const char *path, const char *text, isolde_db **db, isolde_err **err)
{
    return open_on(vfs, path, text, &(struct watcher){NULL, NULL}, db, err);
}

int isolde_open(const char *path, const char *text, isolde_db **db, isolde_err **err)
{
    return api_open_on(NULL, path, text, db, err);
}

int isolde_open_watched(const char *path, const char *text,
                        void (*progress)(void *arg, const char *phase, int percent, double seconds_left), void *arg,
                        isolde_db **db, isolde_err **err)
{
    return open_on(NULL, path, text, &(struct watcher){progress, arg}, db, err);
}

static void unlist(struct isolde_db *db)
{
    struct isolde_db **link = &open_databases;
    while (*link && *link != db)
        link = &(*link)->next;
    if (*link)
        *link = db->next;
}

int isolde_close(isolde_db *db)
{
    struct op op;
    int result = 0;

    if (!db)
        return ISOLDE_OK;
    os_mutex_lock(&list_mutex);
    if (!api_is_db(db)) {
        os_mutex_unlock(&list_mutex);
        return ISOLDE_MISUSE;
    }
    os_mutex_lock(&db->latch);
    bool busy = db->opened == 1 && db->connections > 0;
    os_mutex_unlock(&db->latch);
    if (busy || --db->opened > 0) {
        os_mutex_unlock(&list_mutex);
        return busy ? ISOLDE_ERROR : ISOLDE_OK;
    }
    unlist(db);
    op_init(&op);
    destroy(&op, db, &result);
    op_end(&op);
    api_bury(&closed_databases, db, &db->magic);
    os_mutex_unlock(&list_mutex);
    return result == 0 ? ISOLDE_OK : ISOLDE_ERROR;
}
