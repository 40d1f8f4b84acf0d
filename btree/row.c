/*
 * row.c -- row operations in the log: their format, redo, and undo.
 *
 * One record serves three readers.  Redo repeats the change on the page that the record names.  Undo takes it back wherever
 * the record's key lies by then.  And whoever follows the log (restart that rebuilds the versions of losers, a change stream) reads
 * tree, key, and the record before and after.
 *
 *      u8       kind (bits 0-1), there was a record before (bit 2), it was a ghost (bit 3)
 *      varint   tree, page of the leaf
 *      u8       flags before, flags after
 *      run      key, value before, value after (empty for a deletion: the ghost keeps its value)
 *      ...      actions on the graveyard (graveyard.c)
 *
 * Undo is logical [ARIES92 §10.3]: meanwhile the page may have been split, and others may have filled it, so the record is looked
 * up by key, and room is made as for any other change.  Its compensation record is redo-only.
 *
 * R1  Undo of an insertion leaves a ghost where there was nothing: the space is purged later, when no reader needs the ghost.
 * R2  The undone-hook is called and the compensation record appended under one latch, so that nobody sees a record
 *     restored whose version entry is still there.
 * R3  Log for undo is kept from the change on (btree_undo_bytes), so that a full disk does not stop a rollback.
 */
#include <string.h>

#include "btree/btree_int.h"
#include "src/base/planted.h"

enum { ROW_HAD_BEFORE = 4, ROW_BEFORE_GHOST = 8 };

uint64_t row_log_bytes(const struct store *store)
{
    return 4 * (uint64_t)store->cell_max + 2 * LOG_HEAD_BYTES;
}

uint32_t btree__undo_room(const struct btree_row_log *row, bool buries)
{
    enum { GRAVE = 96 };
    size_t shorter = row->had_before && row->before.len > row->after.len ? row->before.len - row->after.len : 0;
    return row->kind == BTREE_DELETE ? 0 : (uint32_t)shorter + (buries ? GRAVE : 0);
}

uint64_t btree_undo_bytes(const struct btree_row_log *row)
{
    enum { HEAD = 64, GRAVE = 80 };     /* the record's own head, an action and its numbers; an entry of the graveyard */
    uint64_t bytes = HEAD + row->key.len;
    bool sets = row->kind != BTREE_DELETE && (row->had_before || (row->after_flags & BTREE_OVERFLOW));
    if (sets)
        bytes += row->before.len;
    if (sets && ((row->before_flags | row->after_flags) & BTREE_OVERFLOW))
        bytes += GRAVE;
    return bytes;
}

/* ---- on the page ---------------------------------------------------------------------------------- */

bool row_has_room(struct node node, unsigned slot, bool found, size_t key_len, size_t value_len, uint32_t *bytes)
{
    struct cell cell;
    *bytes = node_record_bytes(node, key_len, value_len);
    if (!found)
        return node_free(node) >= *bytes;
    if (!node_cell(node, slot, &cell))
        return false;
    if (value_len <= cell.value.len) {
        *bytes = 0;
        return true;
    }
    return node_free(node) + cell.size + NODE_SLOT_BYTES >= *bytes;
}

int row_check_moving(struct op *op, const struct store *store, const struct page_ref *leaf, uint32_t bytes)
{
    struct node node = node_of(store, leaf);
    if (!node_must_compact(node, bytes))
        return OP_OK;
    const char *rule = node_check_cells(node);
    return rule == NULL ? OP_OK : btree__damaged(op, store, leaf->page_no, rule);
}

const char *row_check_set(struct node node, struct bytes key, size_t value_len)
{
    unsigned slot;
    bool found;
    uint32_t bytes;
    if (!node_covers(node, key) || !node_search(node, key, &slot, &found))
        return "the record belongs on this page";
    if (!row_has_room(node, slot, found, key.len, value_len, &bytes))
        return "the page has room for the record";
    return node_must_compact(node, bytes) ? node_check_cells(node) : NULL;
}

void row_set(struct node node, struct bytes key, struct bytes value, uint8_t flags)
{
    unsigned slot;
    bool found;
    if (!node_search(node, key, &slot, &found))
        return;
    if (found)
        node_replace(node, slot, value, flags);
    else
        node_insert(node, slot, key, value, flags);
}

void row_set_flags(struct node node, struct bytes key, uint8_t flags)
{
    unsigned slot;
    bool found;
    struct cell cell;
    if (node_search(node, key, &slot, &found) && found && node_cell(node, slot, &cell))
        node_set_flags(node, slot, flags);
}

void row_remove(struct node node, struct bytes key)
{
    unsigned slot;
    bool found;
    struct cell cell;
    if (node_search(node, key, &slot, &found) && found && node_cell(node, slot, &cell))
        node_remove(node, slot);
}

/* ---- the record ----------------------------------------------------------------------------------- */

static void decode(const struct wal_record *record, struct btree_row_log *row, PageNo *page, struct log_reader *reader)
{
    *reader = (struct log_reader){record->payload.data, record->payload.data + record->payload.len, false};
    uint8_t bits = log_take_u8(reader);
    memset(row, 0, sizeof *row);
    row->kind = (enum btree_change_kind)(bits & 3);
    row->had_before = bits & ROW_HAD_BEFORE;
    row->before_ghost = bits & ROW_BEFORE_GHOST;
    row->tree = log_take_number(reader);
    *page = log_take_number(reader);
    row->before_flags = log_take_u8(reader);
    row->after_flags = log_take_u8(reader);
    row->key = log_take_run(reader);
    row->before = log_take_run(reader);
    row->after = log_take_run(reader);
    if (row->kind > BTREE_DELETE)
        reader->failed = true;
}

bool btree_decode_row_log(const struct wal_record *record, struct btree_row_log *row)
{
    struct log_reader reader;
    if (record->type != LOG_ROW)
        return false;
    decode(record, row, &row->page, &reader);
    return !reader.failed;
}

void row_log(struct log_record *log, const struct btree_row_log *row, PageNo page)
{
    log_u8(log, (uint8_t)((int)row->kind | (row->had_before ? ROW_HAD_BEFORE : 0) | (row->before_ghost ? ROW_BEFORE_GHOST : 0)));
    log_number(log, row->tree);
    log_number(log, page);
    log_u8(log, row->before_flags);
    log_u8(log, row->after_flags);
    log_run(log, row->key);
    log_run(log, row->before);
    log_run(log, row->after);
}

/* ---- redo ----------------------------------------------------------------------------------------- */

static const char *redo_on_page(struct node node, const struct btree_row_log *row)
{
    const char *rule = node_check_head(node);
    if (rule != NULL)
        return rule;
    if (row->kind == BTREE_DELETE) {
        row_set_flags(node, row->key, row->after_flags);
        return NULL;
    }
    rule = row_check_set(node, row->key, row->after.len);
    if (rule == NULL)
        row_set(node, row->key, row->after, row->after_flags);
    return rule;
}

static int redo_leaf(struct op *op, struct store *store, const struct wal_record *record, const struct btree_row_log *row,
                     PageNo page)
{
    struct page_ref ref;
    if (page >= buf_page_count(store->buf))
        return OP_OK;       /* freed and cut off later in the log (L4) */
    if (buf_fix(op, store->buf, page, LATCH_EXCLUSIVE, &ref) != OP_OK)
        return OP_FAILED;
    const struct page_head *head = (const struct page_head *)(const void *)ref.data;
    int result = OP_OK;
    if (head->type != PAGE_UNUSED) {
        const char *rule = head->lsn < record->lsn ? redo_on_page(node_of(store, &ref), row) : NULL;
        if (rule != NULL)
            result = btree__damaged(op, store, page, rule);
        else
            buf_mark_dirty(store->buf, &ref, record->lsn);
        ghosts_note(store, &ref);
    }
    buf_unfix(&ref, store->buf);
    return result;
}

int row_redo(struct op *op, struct store *store, const struct wal_record *record)
{
    struct btree_row_log row;
    struct log_reader reader;
    PageNo page;
    decode(record, &row, &page, &reader);
    if (reader.failed)
        return op_fail(op, "XX001", "log record %llu of a row cannot be read", (unsigned long long)record->lsn);
    if (redo_leaf(op, store, record, &row, page) != OP_OK)
        return OP_FAILED;
    return action_redo(op, store, &reader, record->lsn);
}

/* ---- undo ----------------------------------------------------------------------------------------- */

/* What undo makes of the record: only its flags change, or it gets another value too. */
struct restoration {
    bool flags_only;
    bool nothing;               /* the record is not there, and need not be */
    uint8_t flags;
    struct bytes value;
};

static void plan_undo(const struct btree_row_log *row, bool found, struct restoration *plan)
{
    memset(plan, 0, sizeof *plan);
    plan->value = row->before;
    plan->flags = row->before_flags & (uint8_t)~BTREE_VERSIONED;
    if (!row->had_before) {
        plan->flags = BTREE_GHOST;
        plan->flags_only = !(row->after_flags & BTREE_OVERFLOW);    /* a ghost must not name a chain that is buried */
        plan->nothing = !found;
    } else if (row->kind == BTREE_DELETE) {
        plan->flags_only = found;
    }
}

static struct bytes chain_of(struct bytes value, uint8_t flags)
{
    return flags & BTREE_OVERFLOW ? value : (struct bytes){NULL, 0};
}

static void restore(struct store *store, struct wal_chain *chain, const struct wal_record *record,
                    const struct btree_row_log *row, struct page_ref *leaf, struct restoration *plan, struct grave_move *move)
{
    struct log_record log;
    struct node node = node_of(store, leaf);
    if (store->hooks.undone != NULL && row->tree >= FIRST_USER_TREE)
        plan->flags |= store->hooks.undone(store->hooks.context, record->txn, row->tree, row->key, record->lsn);
    log_begin(&log);
    if (!plan->nothing && plan->flags_only) {
        log_action(&log, ACTION_FLAGS, leaf->page_no);
        log_u8(&log, plan->flags);
        log_run(&log, row->key);
        row_set_flags(node, row->key, plan->flags);
    } else if (!plan->nothing) {
        log_record_action(&log, leaf->page_no, row->key, plan->value, plan->flags);
        row_set(node, row->key, plan->value, plan->flags);
    }
    grave_log(&log, move);
    Lsn lsn = record->lsn;
    if (!PLANTED("btree-undo-unlogged"))
        lsn = log_append_clr(&log, store->wal, chain, LOG_ROW_UNDONE, record->prev);
    assert(log_bytes(&log) <= btree_undo_bytes(row));
    if (!plan->nothing && !PLANTED("btree-undo-clean"))
        buf_mark_dirty(store->buf, leaf, lsn);
    grave_apply(store, move, lsn);
}

enum undo_step { UNDO_DONE, UNDO_FULL, UNDO_GRAVEYARD_FULL, UNDO_FAILED };

static enum undo_step undo_once(struct op *op, struct btree *tree, struct wal_chain *chain, const struct wal_record *record,
                                const struct btree_row_log *row, struct grave_move *move, uint32_t *bytes)
{
    struct store *store = tree->store;
    struct page_ref leaf;
    struct restoration plan;
    unsigned slot;
    bool found, room = true;
    if (btree__find_leaf(op, tree, row->key, false, LATCH_EXCLUSIVE, &leaf) != OP_OK)
        return UNDO_FAILED;
    enum undo_step step = UNDO_FAILED;
    if (btree__search(op, store, &leaf, row->key, &slot, &found) != OP_OK)
        goto out;
    plan_undo(row, found, &plan);
    if (!plan.nothing && !plan.flags_only) {
        if (!row_has_room(node_of(store, &leaf), slot, found, row->key.len, plan.value.len, bytes)) {
            step = UNDO_FULL;
            goto out;
        }
        if (row_check_moving(op, store, &leaf, *bytes) != OP_OK)
            goto out;
    }
    if (grave_prepare(op, store, move, &room) != OP_OK)
        goto out;
    if (!room) {
        step = UNDO_GRAVEYARD_FULL;
        goto out;
    }
    restore(store, chain, record, row, &leaf, &plan, move);
    step = UNDO_DONE;
out:
    buf_unfix(&leaf, store->buf);
    return step;
}

int row_undo(struct op *op, struct store *store, struct wal_chain *chain, const struct wal_record *record)
{
    struct btree_row_log row;
    struct log_reader reader;
    struct grave_move move;
    struct btree *tree;
    PageNo page;
    uint32_t bytes = 0;
    decode(record, &row, &page, &reader);
    if (reader.failed)
        return op_fail(op, "XX001", "log record %llu of a row cannot be read", (unsigned long long)record->lsn);
    if (btree_open(op, store, row.tree, &tree) != OP_OK)
        return OP_FAILED;
    grave_plan(&move, record->txn, row.kind == BTREE_DELETE ? (struct bytes){NULL, 0} : chain_of(row.before, row.before_flags),
               row.kind == BTREE_DELETE ? (struct bytes){NULL, 0} : chain_of(row.after, row.after_flags), true);
    bool promised = wal_redeem(store->wal, chain, btree_undo_bytes(&row));
    uint64_t reserved = promised ? btree_undo_bytes(&row) : row_log_bytes(store);
    if (!promised && wal_reserve_undo(op, store->wal, reserved) != OP_OK)
        return OP_FAILED;
    enum undo_step step = UNDO_FULL;
    int result = OP_OK;
    while (result == OP_OK && step != UNDO_DONE) {
        step = undo_once(op, tree, chain, record, &row, &move, &bytes);
        if (step == UNDO_FULL)
            result = btree__make_room(op, tree, row.key, 0, bytes, true);
        else if (step == UNDO_GRAVEYARD_FULL)
            result = grave_make_room(op, store, &move);
        else if (step == UNDO_FAILED)
            result = OP_FAILED;
    }
    if (promised && result != OP_OK)
        wal_promise(store->wal, chain, reserved);       /* it will be tried again */
    wal_unreserve(store->wal, reserved);
    return result;
}
