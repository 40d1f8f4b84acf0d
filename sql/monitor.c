/*
 * monitor.c -- isolde.snapshots, isolde.transactions, isolde.version_store, isolde.log, isolde.scrub, isolde.damage: what the engine is
 * doing, and what it has found.
 *
 * They read counters and lists of the moment, not tables at a snapshot: a transaction that asks twice may get two answers.
 */
#include "sql/session_int.h"
#include "sql/virtual.h"
#include "src/buf/buf_open.h"
#include "wal/wal_archive.h"
#include "wal/wal_open.h"

/* One row for each session that has a snapshot, the oldest first. */
static int put_snapshots(struct op *op, struct virtual_rows *rows)
{
    struct txn_session *own = virtual_session(rows)->txn;
    struct txn_snapshot_info *list;
    size_t count;

    if (txn_snapshots(op, txn_session_manager(own), &list, &count) != 0)
        return OP_FAILED;
    for (size_t i = 0; i < count; i++) {
        const struct txn_snapshot_info *info = &list[i];
        const struct datum values[] = {
            datum_int((int64_t)info->session), datum_bool(info->session == txn_session_number(own)),
            datum_text(info->given_up ? "given up" : info->active ? "active" : "idle"), datum_int((int64_t)(info->age_us / 1000)),
            datum_int((int64_t)info->versions), datum_int((int64_t)info->bytes),
        };
        if (virtual_put(op, rows, values) != 0)
            return OP_FAILED;
    }
    return 0;
}

const struct virtual_table virtual_snapshots = {
    "isolde", "snapshots", 13001, 6,
    {{"session", TYPE_INT8}, {"own", TYPE_BOOL}, {"state", TYPE_TEXT}, {"age_ms", TYPE_INT8}, {"versions", TYPE_INT8},
     {"bytes", TYPE_INT8}},
    10, put_snapshots, {{NULL}},
};

static int put_version_store(struct op *op, struct virtual_rows *rows)
{
    struct txn_version_stats stats;

    txn_version_stats(txn_session_manager(virtual_session(rows)->txn), &stats);
    const struct { const char *name; uint64_t value; } facts[] = {
        {"memory", stats.memory}, {"memory_limit", stats.memory_limit}, {"disk", stats.disk}, {"disk_limit", stats.disk_limit},
        {"versions_on_disk", stats.spilled_entries}, {"rows_spilled", stats.spills}, {"rows_brought_back", stats.loads},
        {"rows_read_on_disk", stats.reads}, {"snapshots_given_up", stats.snapshots_given_up},
    };
    for (size_t i = 0; i < COUNT_OF(facts); i++) {
        const struct datum values[] = {datum_text(facts[i].name), datum_int((int64_t)facts[i].value)};
        if (virtual_put(op, rows, values) != 0)
            return OP_FAILED;
    }
    return 0;
}

const struct virtual_table virtual_version_store = {
    "isolde", "version_store", 13002, 2, {{"name", TYPE_TEXT}, {"value", TYPE_INT8}}, 9, put_version_store,
    {{"version_store_name_index", {0}, 1}},
};

/* One row for each transaction in progress that has written; session 0: a loser of a restart, which is rolled back. */
static int put_transactions(struct op *op, struct virtual_rows *rows)
{
    struct txn_writer_info *list;
    size_t count;

    if (txn_writers(op, txn_session_manager(virtual_session(rows)->txn), &list, &count) != 0)
        return OP_FAILED;
    for (size_t i = 0; i < count; i++) {
        const struct datum values[] = {
            datum_int((int64_t)list[i].id), datum_int((int64_t)list[i].session), datum_int((int64_t)list[i].log_bytes),
            datum_int((int64_t)list[i].undo_bytes), datum_int((int64_t)list[i].kept_bytes),
        };
        if (virtual_put(op, rows, values) != 0)
            return OP_FAILED;
    }
    return 0;
}

const struct virtual_table virtual_transactions = {
    "isolde", "transactions", 13003, 5,
    {{"transaction", TYPE_INT8}, {"session", TYPE_INT8}, {"log_bytes", TYPE_INT8}, {"undo_bytes", TYPE_INT8},
     {"kept_log_bytes", TYPE_INT8}},
    10, put_transactions, {{NULL}},
};

struct fact { const char *name; uint64_t value; };

static int put_facts(struct op *op, struct virtual_rows *rows, const struct fact *facts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct datum values[] = {datum_text(facts[i].name), datum_int((int64_t)facts[i].value)};
        if (virtual_put(op, rows, values) != 0)
            return OP_FAILED;
    }
    return 0;
}

/* Bytes of the log: its file, the limit, what restart would read now, and what waits for the archive. */
static int put_log(struct op *op, struct virtual_rows *rows)
{
    struct store *store = virtual_session(rows)->database->store;
    struct wal *wal = store_wal(store);
    struct wal_archive_status archive;
    struct buf_stats pages;

    wal_archive_status(wal, &archive);
    buf_stats(store_buf(store), &pages);
    Lsn end = wal_end(wal);
    const struct fact facts[] = {
        {"file_bytes", wal_file_size(wal)}, {"limit", wal_room(wal)}, {"end", end}, {"durable", wal_durable_end(wal)},
        {"since_checkpoint", end > pages.redo ? end - pages.redo : 0}, {"checkpoints", pages.checkpoints},
        {"archived", archive.directory[0] ? archive.archived : 0}, {"archive_files", archive.files},
        {"archive_failures", archive.failures},
    };
    return put_facts(op, rows, facts, COUNT_OF(facts));
}

const struct virtual_table virtual_log = {
    "isolde", "log", 13041, 2, {{"name", TYPE_TEXT}, {"value", TYPE_INT8}}, 9, put_log, {{"log_name_index", {0}, 1, false}},
};

static int put_scrub(struct op *op, struct virtual_rows *rows)
{
    struct store_scrub_state state;

    store_scrub_state(virtual_session(rows)->database->store, &state);
    const struct fact facts[] = {
        {"passes", state.passes}, {"pages_read", state.pages_read}, {"page", state.page}, {"pages_damaged", state.damaged},
    };
    return put_facts(op, rows, facts, COUNT_OF(facts));
}

const struct virtual_table virtual_scrub = {
    "isolde", "scrub", 13042, 2, {{"name", TYPE_TEXT}, {"value", TYPE_INT8}}, 4, put_scrub, {{"scrub_name_index", {0}, 1, false}},
};

/* Pages that the scrub found damaged; tree: pg_class.relfilenode, null when it cannot be told. */
static int put_damage(struct op *op, struct virtual_rows *rows)
{
    struct store_scrub_state state;

    store_scrub_state(virtual_session(rows)->database->store, &state);
    for (int i = 0; i < state.count; i++) {
        struct datum values[] = {datum_int((int64_t)state.list[i].page), datum_int((int64_t)state.list[i].tree),
                                 datum_text(state.list[i].rule)};
        values[1].null = state.list[i].tree == 0;
        if (virtual_put(op, rows, values) != 0)
            return OP_FAILED;
    }
    return 0;
}

const struct virtual_table virtual_damage = {
    "isolde", "damage", 13043, 3, {{"page", TYPE_INT8}, {"tree", TYPE_INT8}, {"rule", TYPE_TEXT}}, 1, put_damage,
    {{"damage_page_index", {0}, 1, false}},
};
