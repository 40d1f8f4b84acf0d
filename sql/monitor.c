/*
 * monitor.c -- SHOW isolde_snapshots, isolde_transactions, isolde_version_store: what the engine is doing, as rows of texts.
 *
 * They read counters and lists of the moment, not tables at a snapshot: a transaction that asks twice may get two answers.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sql/prepared_int.h"

struct monitor {
    const char *name;
    const char *columns[7];         /* up to NULL */
    int (*show)(struct op *op, struct prepared *prepared);
};

enum { NUMBER_BYTES = 24 };

static const char *number(char buffer[NUMBER_BYTES], uint64_t value)
{
    snprintf(buffer, NUMBER_BYTES, "%" PRIu64, value);
    return buffer;
}

/* One row for each session that has a snapshot, the oldest first. */
static int show_snapshots(struct op *op, struct prepared *prepared)
{
    struct txn_session *own = prepared->session->txn;
    struct txn_snapshot_info *list;
    size_t count;
    char session[NUMBER_BYTES], age[NUMBER_BYTES], versions[NUMBER_BYTES], bytes[NUMBER_BYTES];

    if (txn_snapshots(op, txn_session_manager(own), &list, &count) != 0)
        return OP_FAILED;
    for (size_t i = 0; i < count; i++) {
        const struct txn_snapshot_info *info = &list[i];
        const char *texts[] = {
            number(session, info->session), info->session == txn_session_number(own) ? "t" : "f",
            info->given_up ? "given up" : info->active ? "active" : "idle", number(age, info->age_us / 1000),
            number(versions, info->versions), number(bytes, info->bytes),
        };
        if (prepared__keep_texts(op, prepared, texts) != 0)
            return OP_FAILED;
    }
    return 0;
}

static int show_version_store(struct op *op, struct prepared *prepared)
{
    struct txn_version_stats stats;

    txn_version_stats(txn_session_manager(prepared->session->txn), &stats);
    const struct { const char *name; uint64_t value; } rows[] = {
        {"memory", stats.memory}, {"memory_limit", stats.memory_limit}, {"disk", stats.disk}, {"disk_limit", stats.disk_limit},
        {"versions_on_disk", stats.spilled_entries}, {"rows_spilled", stats.spills}, {"rows_brought_back", stats.loads},
        {"rows_read_on_disk", stats.reads}, {"snapshots_given_up", stats.snapshots_given_up},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char value[NUMBER_BYTES];
        const char *texts[] = {rows[i].name, number(value, rows[i].value)};
        if (prepared__keep_texts(op, prepared, texts) != 0)
            return OP_FAILED;
    }
    return 0;
}

/* One row for each transaction in progress that has written; session 0: a loser of a restart, which is rolled back. */
static int show_transactions(struct op *op, struct prepared *prepared)
{
    struct txn_writer_info *list;
    size_t count;
    char id[NUMBER_BYTES], session[NUMBER_BYTES], log[NUMBER_BYTES], undo[NUMBER_BYTES], kept[NUMBER_BYTES];

    if (txn_writers(op, txn_session_manager(prepared->session->txn), &list, &count) != 0)
        return OP_FAILED;
    for (size_t i = 0; i < count; i++) {
        const char *texts[] = {number(id, list[i].id), number(session, list[i].session), number(log, list[i].log_bytes),
                               number(undo, list[i].undo_bytes), number(kept, list[i].kept_bytes)};
        if (prepared__keep_texts(op, prepared, texts) != 0)
            return OP_FAILED;
    }
    return 0;
}

static const struct monitor monitors[] = {
    {"isolde_snapshots", {"session", "own", "state", "age_ms", "versions", "bytes"}, show_snapshots},
    {"isolde_transactions", {"transaction", "session", "log_bytes", "undo_bytes", "kept_log_bytes"}, show_transactions},
    {"isolde_version_store", {"name", "value"}, show_version_store},
};

static const struct monitor *find(const char *name)
{
    for (size_t i = 0; name && i < COUNT_OF(monitors); i++)
        if (strcmp(monitors[i].name, name) == 0)
            return &monitors[i];
    return NULL;
}

bool monitor_knows(const char *name)
{
    return find(name) != NULL;
}

int monitor_describe(struct op *op, struct prepared *prepared, const char *name)
{
    const struct monitor *monitor = find(name);

    for (int i = 0; monitor->columns[i]; i++)
        if (prepared__add_column(op, prepared, monitor->columns[i], TYPE_TEXT) != 0)
            return OP_FAILED;
    return 0;
}

int monitor_show(struct op *op, struct prepared *prepared, const char *name)
{
    return find(name)->show(op, prepared);
}
