/*
 * monitor.c -- isolde.snapshots, isolde.transactions, isolde.version_store: what the engine is doing.
 *
 * They read counters and lists of the moment, not tables at a snapshot: a transaction that asks twice may get two answers.
 */
#include "sql/session_int.h"
#include "sql/virtual.h"

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
