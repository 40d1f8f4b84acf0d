/*
 * runs.c -- one entry for a run of rows appended by one transaction.
 *
 * A load of a million ascending rows would leave a million entries that all say the same: nothing stood here before, and the writer
 * is W.  So appends at the right end of a tree are kept as an interval of keys instead:
 *
 *      tree      ... 17 | 18 19 20 21 22 23          appended one after the other by W
 *      run of W         [18 ............ 23]         "absent before, for all records in here"
 *
 * The interval must hold exactly the rows of the run.  It grows only by a key that is behind every record of the tree, and only while the
 * run's last key was the tree's last: whoever else inserts at the end closes the run.  An insert by anybody in its middle takes its
 * own key out, by splitting the run.  Rollback undoes the newest row first, so the run shrinks from its end.
 *
 * As soon as a row of a run is to be changed or locked, it gets an ordinary entry (run__materialise), and everything that deals with
 * conflicts and waiting knows only chains.
 *
 * N1  A record whose chain has no change that settles its visibility, and which lies in a run, was inserted by the run's writer.
 * N2  Of the commands that appended, only the last is told apart (its first key is kept): older ones are all visible to the
 *     transaction, unless a scan of an older command is open; then a new run begins.
 * N3  A run is dropped before its writer's entries are purged, and an entry is made from it under its tree's run latch: so
 *     none is made that nobody would purge.
 */
#include "txn/ssi.h"
#include "txn/txn_int.h"

enum { RUN_AFTER = 8, RUNS_MAX = 64 };

struct run_key {
    uint8_t *data;
    uint32_t len, capacity;
};

/* All guarded by info->run_latch, but own_next: the writer's entries_latch. */
struct run {
    struct run *next;           /* of the tree */
    struct run *own_next;       /* of the writer */
    struct txn *writer;
    struct tree_info *info;
    bool empty, low_exclusive, high_exclusive;
    uint32_t old_command, last_command;
    struct run_key low, high;
    struct run_key last_start;  /* where the rows of last_command begin */
};

static void lock_runs(struct tree_info *info)
{
    RANK_ENTER(RANK_SSI);
    while (atomic_exchange_explicit(&info->run_latch, 1, memory_order_acquire) != 0) {
        os_pause();
    }
}

static void unlock_runs(struct tree_info *info)
{
    atomic_store_explicit(&info->run_latch, 0, memory_order_release);
    RANK_LEAVE(RANK_SSI);
}

static bool reserve_key(struct run_key *key, size_t len)
{
    if (key->data != NULL && key->capacity >= len) {
        return true;
    }
    size_t capacity = len < 48 ? 64 : len * 2;
    uint8_t *grown = mem_realloc(key->data, capacity);
    if (grown == NULL) {
        return false;
    }
    key->data = grown;
    key->capacity = (uint32_t)capacity;
    return true;
}

/* The room was reserved. */
static void set_key(struct run_key *key, struct bytes from)
{
    memcpy(key->data, from.data, from.len);
    key->len = (uint32_t)from.len;
}

static int compare(const struct run_key *key, struct bytes with)
{
    size_t shorter = key->len < with.len ? key->len : with.len;
    int order = memcmp(key->data, with.data, shorter);

    return order != 0 ? order : (key->len > with.len) - (key->len < with.len);
}

static bool covers(const struct run *run, struct bytes key)
{
    if (run->empty) {
        return false;
    }
    int low = compare(&run->low, key), high = compare(&run->high, key);
    return (low < 0 || (low == 0 && !run->low_exclusive)) && (high > 0 || (high == 0 && !run->high_exclusive));
}

static struct run *find_run(struct tree_info *info, struct bytes key)
{
    struct run *run = info->runs;

    while (run != NULL && !covers(run, key)) {
        run = run->next;
    }
    return run;
}

static uint32_t command_of(const struct run *run, struct bytes key)
{
    return compare(&run->last_start, key) <= 0 ? run->last_command : run->old_command;
}

/* ---- making --------------------------------------------------------------------------------------- */

static void free_run(struct run *run)
{
    mem_free(run->low.data);
    mem_free(run->high.data);
    mem_free(run->last_start.data);
    mem_free(run);
}

static struct run *new_run(struct tree_info *info, struct txn *writer, size_t key_len)
{
    struct run *run = mem_calloc(1, sizeof(*run));

    if (run == NULL) {
        return NULL;
    }
    run->empty = true;
    run->writer = writer;
    run->info = info;
    if (!reserve_key(&run->low, key_len) || !reserve_key(&run->high, key_len) || !reserve_key(&run->last_start, key_len)) {
        free_run(run);
        return NULL;
    }
    return run;
}

/* Latch held. */
static void link_run(struct run *run)
{
    struct tree_info *info = run->info;

    run->next = info->runs;
    info->runs = run;
    atomic_fetch_add_explicit(&info->run_count, 1, memory_order_release);
    atomic_fetch_add_explicit(&info->entries, 1, memory_order_release);
    writer__ref(run->writer);
    version__lock_list(run->writer);
    run->own_next = run->writer->runs;
    run->writer->runs = run;
    version__unlock_list(run->writer);
}

/* May the open run take this key now, with this command?  Its buffers are made ready. */
static bool can_extend(struct txn_session *session, struct run *run, struct bytes key)
{
    if (!run->empty && run->last_command != session->command && session->open_scans > 0) {
        return false;
    }
    return reserve_key(&run->low, key.len) && reserve_key(&run->high, key.len) && reserve_key(&run->last_start, key.len);
}

bool run__takes(struct txn_session *session, struct tree_info *info, struct bytes key)
{
    struct txn *writer = session->writer;
    bool taken = false;

    lock_runs(info);
    struct run *open = info->open_run;
    if (open != NULL && open->writer == writer && can_extend(session, open, key)) {
        taken = true;
    } else {
        info->open_run = NULL;
        info->tail_count = info->tail_writer == writer->id ? info->tail_count + 1 : 1;
        info->tail_writer = writer->id;
        if (info->tail_count >= RUN_AFTER && atomic_load(&info->run_count) < RUNS_MAX) {
            struct run *run = new_run(info, writer, key.len);
            if (run != NULL) {
                link_run(run);
                info->open_run = run;
                taken = true;
            }
        }
    }
    unlock_runs(info);
    return taken;
}

void run__append(struct txn_session *session, struct tree_info *info, struct bytes key)
{
    lock_runs(info);
    struct run *run = info->open_run;
    assert(run != NULL && run->writer == session->writer);
    if (run->empty) {
        run->empty = false;
        run->low_exclusive = false;
        set_key(&run->low, key);
        set_key(&run->last_start, key);
        run->old_command = run->last_command = session->command;
    } else if (run->last_command != session->command) {
        run->old_command = run->last_command;
        run->last_command = session->command;
        set_key(&run->last_start, key);
    }
    set_key(&run->high, key);
    run->high_exclusive = false;
    unlock_runs(info);
}

/* ---- taking rows out ------------------------------------------------------------------------------ */

static bool copy_key(struct run_key *to, const struct run_key *from)
{
    if (!reserve_key(to, from->len)) {
        return false;
    }
    set_key(to, (struct bytes){ from->data, from->len });
    return true;
}

int run__exclude(struct op *op, struct tree_info *info, struct bytes key)
{
    bool fits = true;

    lock_runs(info);
    struct run *run = find_run(info, key);
    if (run != NULL) {
        struct run *right = new_run(info, run->writer, key.len);
        fits = right != NULL && copy_key(&right->low, &(struct run_key){ (uint8_t *)key.data, (uint32_t)key.len, 0 }) &&
               copy_key(&right->high, &run->high) && copy_key(&right->last_start, &run->last_start) &&
               reserve_key(&right->high, run->high.capacity) && reserve_key(&run->high, key.len);
        if (fits) {
            right->empty = false;
            right->low_exclusive = true;
            right->high_exclusive = run->high_exclusive;
            right->old_command = run->old_command;
            right->last_command = run->last_command;
            set_key(&run->high, key);
            run->high_exclusive = true;
            link_run(right);
            if (info->open_run == run) {
                info->open_run = NULL;
            }
        } else if (right != NULL) {
            free_run(right);
        }
    }
    unlock_runs(info);
    return fits ? 0 : op_out_of_memory(op);
}

int run__materialise(struct op *op, struct txn_manager *manager, struct tree_info *info, uint64_t hash, struct bytes key)
{
    bool held = false;
    int rc = 0;

again:
    lock_runs(info);
    struct run *run = find_run(info, key);
    if (run == NULL) {
        goto out;
    }
    struct bucket *bucket = version__lock(manager, hash);
    struct chain *chain = version__find(bucket, hash, info, key);
    if (chain == NULL && bucket->spilled > 0 && !held) {
        version__unlock(bucket);
        unlock_runs(info);
        budget__hold(manager, hash);
        held = true;
        if (budget__load(op, manager, hash, info, key) == 0) {
            goto again;
        }
        budget__release(manager, hash);
        return OP_FAILED;
    }
    if (chain == NULL || chain->head == NULL) {
        struct version *entry = version__new(op, run->writer, VERSION_INSERT, command_of(run, key), NULL,
                                             (struct bytes){ NULL, 0 });
        if (chain == NULL && entry != NULL) {
            chain = version__new_chain(op, manager, info, hash, key);
            if (chain != NULL) {
                version__add_chain(bucket, chain);
            }
        }
        if (entry != NULL && chain != NULL) {
            version__push(manager, bucket, chain, entry);
        } else {
            version__discard(entry);
            rc = OP_FAILED;
        }
    }
    version__unlock(bucket);
out:
    unlock_runs(info);
    if (held) {
        budget__release(manager, hash);
    }
    return rc;
}

bool run__is_of(struct tree_info *info, const struct txn *writer, struct bytes key)
{
    lock_runs(info);
    const struct run *run = find_run(info, key);
    bool is = run != NULL && run->writer == writer;
    unlock_runs(info);
    return is;
}

/* The row of this writer was undone: it was the last of its run. */
void run__undone(struct tree_info *info, TxnId id, struct bytes key)
{
    lock_runs(info);
    struct run *run = find_run(info, key);
    if (run != NULL && run->writer->id == id) {
        set_key(&run->high, key);       /* not longer than what it held: see reserve in run__takes */
        run->high_exclusive = true;
        if (compare(&run->low, key) >= 0) {
            run->empty = true;
        }
        if (info->open_run == run) {
            info->open_run = NULL;
        }
    }
    unlock_runs(info);
}

static void unlink_run(struct run *run)
{
    struct tree_info *info = run->info;

    lock_runs(info);
    struct run **at = &info->runs;
    while (*at != run) {
        at = &(*at)->next;
    }
    *at = run->next;
    if (info->open_run == run) {
        info->open_run = NULL;
    }
    atomic_fetch_sub_explicit(&info->run_count, 1, memory_order_release);
    atomic_fetch_sub_explicit(&info->entries, 1, memory_order_release);
    unlock_runs(info);
}

void run__drop_all(struct txn *writer)
{
    for (;;) {
        version__lock_list(writer);
        struct run *run = writer->runs;
        if (run != NULL) {
            writer->runs = run->own_next;
        }
        version__unlock_list(writer);
        if (run == NULL) {
            return;
        }
        unlink_run(run);
        free_run(run);
        writer__unref(writer);
    }
}

void run__free_all(struct txn_manager *manager)
{
    for (size_t i = 0; i < TXN_TREE_HASH; i++) {
        for (struct tree_info *info = atomic_load(&manager->trees[i]); info != NULL; info = info->next) {
            while (info->runs != NULL) {
                struct txn *writer = info->runs->writer;
                writer__ref(writer);
                run__drop_all(writer);
                writer__unref(writer);
            }
        }
    }
}

/* ---- reading -------------------------------------------------------------------------------------- */

bool run__hides(struct tree_info *info, const struct view *view, struct bytes key, struct ssi_txn **newer)
{
    bool hidden = false;

    lock_runs(info);
    struct run *run = find_run(info, key);
    if (run != NULL && run->writer == view->own) {
        hidden = command_of(run, key) >= view->command;
    } else if (run != NULL) {
        CommitTs ts = writer__ts(run->writer);
        hidden = ts == 0 || ts > view->read_ts;
        if (hidden && run->writer->ssi != NULL) {
            *newer = run->writer->ssi;
            ssi__ref(*newer);
        }
    }
    unlock_runs(info);
    return hidden;
}
