/*
 * change.c -- one row changes: its record in the table's tree, and its entries in every index.
 *
 * The table's record comes first: whoever has written it holds the row, so that nobody else touches the entries that belong to it, and a
 * change by somebody else is noticed there and nowhere else (C1).  Then each index that has a column in what changed: the old entry
 * goes, the new one comes.
 *
 *      UPDATE t SET a = 5 WHERE id = 1         table   (1) -> new value
 *                                              t_a_idx (3, 1) deleted, (5, 1) inserted
 *      UPDATE t SET id = 2 WHERE id = 1        table   (1) deleted, leaving word that it moved to (2); (2) inserted
 *                                              t_a_idx (5, 1) deleted, (5, 2) inserted
 *                                              t_u_key ('x') -> (1) becomes ('x') -> (2)
 *
 * A unique index's entry has the columns alone as its key, so that inserting it is the check for duplicates, in progress or committed.
 *
 * When all is written, what SERIALIZABLE readers have recorded is asked whether the change matters to them: in each tree by the row's key
 * there, before and after, and by the row itself (footprint.c).
 *
 * C1  Index entries are changed only while the row is held by this transaction.
 * C2  What the indexes lose is computed from the version that was replaced, never from an older one.
 */
#include "sql/change.h"

#include <stdio.h>
#include <string.h>

#include "sql/fkey.h"
#include "sql/footprint.h"
#include "src/base/mem.h"
#include "src/base/planted.h"

/* ---- reports -------------------------------------------------------------------------------------- */

/* Text that grows in an arena by doubling. */
struct text {
    struct op *op;
    char *data;
    size_t len, capacity;
    bool failed;
};

static void append(struct text *text, const void *data, size_t len)
{
    if (text->failed)
        return;
    if (text->len + len + 1 > text->capacity) {
        size_t capacity = (text->len + len + 1) * 2;
        char *grown = op_alloc(text->op, capacity);
        if (!grown) {
            text->failed = true;
            return;
        }
        if (text->len)
            memcpy(grown, text->data, text->len);
        text->data = grown;
        text->capacity = capacity;
    }
    memcpy(text->data + text->len, data, len);
    text->len += len;
    text->data[text->len] = '\0';
}

static void append_value(struct text *text, struct sql_type type, const struct datum *value, size_t most)
{
    struct bytes printed;
    if (value->null) {
        append(text, "null", 4);
    } else if (type_print(text->op, type, value, &text->op->arena, &printed) != 0) {
        text->failed = true;
    } else if (printed.len > most) {
        while (most > 0 && (printed.data[most] & 0xc0) == 0x80)
            most--;
        append(text, printed.data, most);
        append(text, "...", 3);
    } else {
        append(text, printed.data, printed.len);
    }
}

const char *change_key_text(struct op *op, const struct table_def *table, const struct index_def *index,
                            const struct datum *values)
{
    struct text text = {.op = op};
    append(&text, "Key (", 5);
    for (int i = 0; i < index->column_count; i++) {
        const struct column_def *column = &table->columns[index->columns[i].column];
        const char *name = index->columns[i].column < table->column_count ? column->name : column->default_sql;
        append(&text, ", ", i ? 2 : 0);
        append(&text, name, strlen(name));
    }
    append(&text, ")=(", 3);
    for (int i = 0; i < index->column_count; i++) {
        int column = index->columns[i].column;
        append(&text, ", ", i ? 2 : 0);
        append_value(&text, table->columns[column].type, &values[column], SIZE_MAX);
    }
    append(&text, ")", 1);
    return text.failed ? NULL : text.data;
}

static int report_duplicate(struct op *op, const struct table_def *table, const struct index_def *index,
                            const struct datum *values)
{
    const char *key = change_key_text(op, table, index, values);
    op_fail(op, "23505", "duplicate key value violates unique constraint \"%s\"", index->name);
    if (key)
        op_detail(op, "%s already exists.", key);
    op_about(op, table->schema, table->name, NULL, index->name);
    return OP_FAILED;
}

/* To be called before op_fail: printing may itself fail. */
static struct text row_text(struct op *op, const struct table_def *table, const struct datum *values)
{
    struct text text = {.op = op};
    for (int i = 0; i < table->column_count; i++) {
        append(&text, ", ", i ? 2 : 0);
        append_value(&text, table->columns[i].type, &values[i], 64);
    }
    return text;
}

static int report_null(struct op *op, const struct table_def *table, const struct datum *values, int column)
{
    struct text text = row_text(op, table, values);
    op_fail(op, "23502", "null value in column \"%s\" of relation \"%s\" violates not-null constraint",
            table->columns[column].name, table->name);
    if (!text.failed)
        op_detail(op, "Failing row contains (%s).", text.data ? text.data : "");
    op_about(op, table->schema, table->name, table->columns[column].name, NULL);
    return OP_FAILED;
}

static int report_check(struct op *op, const struct table_def *table, const struct datum *values, const struct check_def *check)
{
    struct text text = row_text(op, table, values);
    op_fail(op, "23514", "new row for relation \"%s\" violates check constraint \"%s\"", table->name, check->name);
    if (!text.failed)
        op_detail(op, "Failing row contains (%s).", text.data ? text.data : "");
    op_about(op, table->schema, table->name, NULL, check->name);
    return OP_FAILED;
}

int change_check(struct op *op, struct change *change, struct datum *values)
{
    const struct table_def *table = change->table;
    const struct check_def *failed = NULL;

    if (change->exprs && row_exprs_generate(op, change->exprs, values) != 0)
        return OP_FAILED;
    for (int i = 0; i < table->column_count; i++)
        if (table->columns[i].not_null && values[i].null)
            return report_null(op, table, values, i);
    if (table->check_count > 0 && change->exprs && row_exprs_check(op, change->exprs, values, &failed) != 0)
        return OP_FAILED;
    return failed ? report_check(op, table, values, failed) : 0;
}

/* ---- opening -------------------------------------------------------------------------------------- */

int change_open(struct op *op, struct arena *arena, struct txn_session *txn, const struct table_def *table, struct change *change)
{
    struct store *store = txn_manager_store(txn_session_manager(txn));
    struct key_builder *builders[] = {&change->key, &change->new_key, &change->old_entry, &change->new_entry};

    memset(change, 0, sizeof *change);
    change->txn = txn;
    change->table = table;
    for (size_t i = 0; i < COUNT_OF(builders); i++)
        key_init(builders[i], change->key_bytes[i], CHANGE_KEY_BYTES);
    change->trees = op_arena_alloc(op, arena, sizeof *change->trees * (size_t)(table->index_count + 1));
    if (!change->trees || btree_open(op, store, table->tree, &change->tree) != 0)
        return OP_FAILED;
    for (int i = 0; i < table->index_count; i++)
        if (btree_open(op, store, table->indexes[i].tree, &change->trees[i]) != 0)
            return OP_FAILED;
    return 0;
}

int change_compile(struct op *op, struct session *session, struct arena *arena, struct table_def *table, struct change *change)
{
    size_t size = sizeof(struct datum) * (size_t)(catalog_value_count(table) + 1);

    change->session = session;
    change->foreign = table->foreign_count > 0 || table->referrer_count > 0;
    if (row_exprs_open(op, session, arena, table, &change->exprs) != 0)
        return OP_FAILED;
    if (table->expression_count == 0)
        return 0;
    change->old_all = op_arena_alloc(op, arena, size);
    change->new_all = op_arena_alloc(op, arena, size);
    return change->old_all && change->new_all ? 0 : OP_FAILED;
}

void change_close(struct change *change)
{
    if (!change->table)
        return;
    key_free(&change->key);
    key_free(&change->new_key);
    key_free(&change->old_entry);
    key_free(&change->new_entry);
    row_buffer_free(&change->value);
    row_buffer_free(&change->entry);
    row_exprs_close(change->exprs);
    change->table = NULL;
}

/* ---- indexes -------------------------------------------------------------------------------------- */

static int entry_missing(struct op *op, const struct change *change, const struct index_def *index)
{
    return op_fail(op, "XX002", "index \"%s\" lacks the entry of a row of table \"%s\"", index->name, change->table->name);
}

static int insert_entry(struct op *op, struct change *change, int i, const struct datum *values, struct bytes primary_key,
                        struct bytes entry)
{
    const struct index_def *index = &change->table->indexes[i];
    struct txn_outcome outcome;
    struct bytes value;

    if (row_encode_entry(op, change->table, index, values, primary_key, &change->entry, &value) != 0 ||
        (index->unique ? txn_insert : txn_add)(op, change->txn, change->trees[i], entry, value, &outcome) != 0)
        return OP_FAILED;
    if (outcome.result == TXN_WRITTEN)
        return 0;
    if (index->unique)
        return report_duplicate(op, change->table, index, values);
    return op_fail(op, "XX002", "index \"%s\" has an entry for a row that table \"%s\" does not have", index->name,
                   change->table->name);
}

static int delete_entry(struct op *op, struct change *change, int i, struct bytes entry, CommitTs seen)
{
    struct txn_outcome outcome;
    if (txn_delete(op, change->txn, change->trees[i], entry, (struct bytes){NULL, 0}, seen, &outcome) != 0)
        return OP_FAILED;
    return outcome.result == TXN_WRITTEN ? 0 : entry_missing(op, change, &change->table->indexes[i]);
}

static int encode_entry(struct op *op, struct change *change, int i, const struct datum *values, struct bytes primary_key,
                        struct key_builder *builder, struct bytes *entry)
{
    if (row_encode_key(op, change->table, &change->table->indexes[i], values, primary_key, 0, builder) != 0)
        return OP_FAILED;
    return key_finish(op, builder, entry);
}

static bool same(struct bytes a, struct bytes b)
{
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

/* The same key: what lies there may still change, the primary key of a unique index and INCLUDEd columns. */
static int update_entry(struct op *op, struct change *change, int i, struct bytes entry, const struct datum *new_values,
                        struct bytes old_key, struct bytes new_key, CommitTs seen)
{
    const struct index_def *index = &change->table->indexes[i];
    struct txn_outcome outcome;
    struct bytes value;

    if (index->include_count == 0 && (!index->unique || same(old_key, new_key)))
        return 0;
    if (row_encode_entry(op, change->table, index, new_values, new_key, &change->entry, &value) != 0 ||
        txn_update(op, change->txn, change->trees[i], entry, value, seen, &outcome) != 0)
        return OP_FAILED;
    return outcome.result == TXN_WRITTEN ? 0 : entry_missing(op, change, index);
}

/* Brings one index from the old to the new row. */
static int move_entry(struct op *op, struct change *change, int i, struct bytes old_key, const struct datum *old_values,
                      struct bytes new_key, const struct datum *new_values, CommitTs seen)
{
    const struct index_def *index = &change->table->indexes[i];
    bool was = row_in_index(index, old_values), is = row_in_index(index, new_values);
    struct bytes old_entry, new_entry;

    if ((was && encode_entry(op, change, i, old_values, old_key, &change->old_entry, &old_entry) != 0) ||
        (is && encode_entry(op, change, i, new_values, new_key, &change->new_entry, &new_entry) != 0))
        return OP_FAILED;
    if (was && is && same(old_entry, new_entry))
        return update_entry(op, change, i, new_entry, new_values, old_key, new_key, seen);
    if (was && delete_entry(op, change, i, old_entry, seen) != 0)
        return OP_FAILED;
    return is ? insert_entry(op, change, i, new_values, new_key, new_entry) : 0;
}

/* The row with the expressions that indexes ask for. */
static int extend(struct op *op, struct change *change, const struct datum *values, struct datum *all, const struct datum **extended)
{
    *extended = values;
    if (change->table->expression_count == 0)
        return 0;
    *extended = all;
    return row_exprs_extend(op, change->exprs, values, all);
}

/* ---- who has read it --------------------------------------------------------------------------------- */

/* A row before and after, with the expressions of indexes; values NULL where it is not there. */
struct written {
    struct bytes old_key, new_key;
    const struct datum *old_values, *new_values;
};

static int tell_index(struct op *op, struct change *change, int i, const struct written *written, const struct footprint_row *row)
{
    const struct index_def *index = &change->table->indexes[i];
    bool was = written->old_values && row_in_index(index, written->old_values);
    bool is = written->new_values && row_in_index(index, written->new_values);
    struct bytes old_entry = {NULL, 0}, new_entry = {NULL, 0};

    if ((was && encode_entry(op, change, i, written->old_values, written->old_key, &change->old_entry, &old_entry) != 0) ||
        (is && encode_entry(op, change, i, written->new_values, written->new_key, &change->new_entry, &new_entry) != 0))
        return OP_FAILED;
    return txn_wrote_row(op, change->txn, change->trees[i], old_entry, new_entry, row);
}

/* A changed clustered key makes it another row. */
static int tell_readers(struct op *op, struct change *change, const struct written *written)
{
    struct footprint_row row = {change->table, written->old_values, written->new_values};

    if (!same(written->old_key, written->new_key) && written->old_values && written->new_values) {
        struct written gone = {.old_key = written->old_key, .old_values = written->old_values};
        struct written come = {.new_key = written->new_key, .new_values = written->new_values};
        return tell_readers(op, change, &gone) != 0 ? OP_FAILED : tell_readers(op, change, &come);
    }
    if (txn_is_read(change->txn, change->tree) &&
        txn_wrote_row(op, change->txn, change->tree, written->old_key, written->new_key, &row) != 0)
        return OP_FAILED;
    for (int i = change->table->has_primary; i < change->table->index_count; i++)
        if (txn_is_read(change->txn, change->trees[i]) && !PLANTED("ssi-index-untold") && tell_index(op, change, i, written, &row) != 0)
            return OP_FAILED;
    return 0;
}

static int describe(const struct table_def *table, const struct datum *values, char *text, size_t size);

/* Somebody else was first: the error has said by whom, and here it learns which row it is. */
static int name_lost_row(struct op *op, const struct table_def *table, const struct datum *values)
{
    const char *by_whom = op->error.detail;
    char text[300];

    if (strcmp(op->error.sqlstate, "40001") == 0 && by_whom && strncmp(by_whom, "Transaction ", 12) == 0) {
        describe(table, values, text, sizeof text);
        op->error.detail = NULL;
        op_detail(op, "The %s: t%s", strncmp(text, "a ", 2) == 0 ? text + 2 : text, by_whom + 1);
    }
    return OP_FAILED;
}

/* ---- rows ----------------------------------------------------------------------------------------- */

/* The clustered key of a new row. */
static int encode_new_key(struct op *op, struct change *change, const struct datum *values, struct key_builder *builder,
                          struct bytes *key)
{
    uint64_t row_id = 0;
    if (!change->table->has_primary && txn_next_id(op, change->txn, change->table->oid, &row_id) != 0)
        return OP_FAILED;
    if (row_encode_key(op, change->table, NULL, values, (struct bytes){NULL, 0}, (int64_t)row_id, builder) != 0)
        return OP_FAILED;
    return key_finish(op, builder, key);
}

static int insert_record(struct op *op, struct change *change, struct bytes key, const struct datum *values)
{
    struct txn_outcome outcome;
    struct bytes value;

    if (row_encode_value(op, change->table, values, &change->value) != 0)
        return OP_FAILED;
    value = (struct bytes){change->value.data, change->value.len};
    if ((change->table->has_primary ? txn_insert : txn_add)(op, change->txn, change->tree, key, value, &outcome) != 0)
        return OP_FAILED;
    if (outcome.result == TXN_WRITTEN)
        return 0;
    if (change->table->has_primary)
        return report_duplicate(op, change->table, &change->table->indexes[0], values);
    return op_fail(op, "XX000", "a hidden row id of table \"%s\" was given twice", change->table->name);
}

int change_insert(struct op *op, struct change *change, const struct datum *values)
{
    const struct table_def *table = change->table;
    struct bytes key, entry;

    if (extend(op, change, values, change->new_all, &values) != 0 || encode_new_key(op, change, values, &change->key, &key) != 0 ||
        insert_record(op, change, key, values) != 0)
        return OP_FAILED;
    for (int i = table->has_primary; i < table->index_count; i++)
        if (row_in_index(&table->indexes[i], values) &&
            (encode_entry(op, change, i, values, key, &change->new_entry, &entry) != 0 ||
             insert_entry(op, change, i, values, key, entry) != 0))
            return OP_FAILED;
    if (tell_readers(op, change, &(struct written){.new_key = key, .new_values = values}) != 0)
        return OP_FAILED;
    return change->foreign ? fkey_note_insert(op, change->session, table, key, values) : 0;
}

static bool is_arbiter(const int *arbiters, int arbiter_count, int index)
{
    for (int i = 0; i < arbiter_count; i++)
        if (arbiters[i] == index)
            return true;
    return false;
}

/* Takes one arbiter's key, or says who has it. */
static int claim(struct op *op, struct change *change, int i, const struct datum *values, struct bytes key, struct txn_outcome *outcome,
                 struct bytes *conflict)
{
    const struct table_def *table = change->table;
    const struct index_def *index = &table->indexes[i];
    struct bytes entry, value;

    outcome->result = TXN_WRITTEN;
    if (index->primary) {
        if (row_encode_value(op, table, values, &change->value) != 0)
            return OP_FAILED;
        value = (struct bytes){change->value.data, change->value.len};
        *conflict = key;
        return txn_insert(op, change->txn, change->tree, key, value, outcome);
    }
    if (!row_in_index(index, values))
        return 0;
    if (encode_entry(op, change, i, values, key, &change->new_entry, &entry) != 0 ||
        row_encode_entry(op, table, index, values, key, &change->entry, &value) != 0 ||
        txn_insert(op, change->txn, change->trees[i], entry, value, outcome) != 0)
        return OP_FAILED;
    if (outcome->result == TXN_WRITTEN)
        return 0;
    return row_primary_key(op, table, index, entry, outcome->newest, &op->arena, conflict);
}

/* Everything that is not an arbiter's. */
static int insert_rest(struct op *op, struct change *change, const struct datum *values, struct bytes key, const int *arbiters,
                       int arbiter_count)
{
    const struct table_def *table = change->table;
    struct bytes entry;

    if (!(table->has_primary && is_arbiter(arbiters, arbiter_count, 0)) && insert_record(op, change, key, values) != 0)
        return OP_FAILED;
    for (int i = table->has_primary; i < table->index_count; i++)
        if (!is_arbiter(arbiters, arbiter_count, i) && row_in_index(&table->indexes[i], values) &&
            (encode_entry(op, change, i, values, key, &change->new_entry, &entry) != 0 ||
             insert_entry(op, change, i, values, key, entry) != 0))
            return OP_FAILED;
    if (tell_readers(op, change, &(struct written){.new_key = key, .new_values = values}) != 0)
        return OP_FAILED;
    return change->foreign ? fkey_note_insert(op, change->session, table, key, values) : 0;
}

int change_insert_unless(struct op *op, struct change *change, const struct datum *values, const int *arbiters, int arbiter_count,
                         struct bytes *conflict, CommitTs *since)
{
    struct txn_outcome outcome;
    struct txn_mark mark;
    struct bytes key;

    *since = 0;
    txn_mark(change->txn, &mark);
    if (extend(op, change, values, change->new_all, &values) != 0 || encode_new_key(op, change, values, &change->key, &key) != 0)
        return OP_FAILED;
    for (int i = 0; i < arbiter_count; i++) {
        if (claim(op, change, arbiters[i], values, key, &outcome, conflict) != 0)
            return OP_FAILED;
        if (outcome.result == TXN_WRITTEN)
            continue;
        *since = outcome.newest_ts;
        return i > 0 ? txn_rollback_to(op, change->txn, &mark) : 0;
    }
    *conflict = (struct bytes){NULL, 0};
    return insert_rest(op, change, values, key, arbiters, arbiter_count);
}

int change_delete(struct op *op, struct change *change, struct bytes key, const struct datum *old_values, CommitTs seen,
                  struct txn_outcome *outcome)
{
    const struct table_def *table = change->table;
    struct bytes entry;

    if (txn_delete(op, change->txn, change->tree, key, (struct bytes){NULL, 0}, seen, outcome) != 0)
        return name_lost_row(op, table, old_values);
    if (outcome->result != TXN_WRITTEN)
        return 0;
    if (extend(op, change, old_values, change->old_all, &old_values) != 0)
        return OP_FAILED;
    for (int i = table->has_primary; i < table->index_count; i++)
        if (row_in_index(&table->indexes[i], old_values) &&
            (encode_entry(op, change, i, old_values, key, &change->old_entry, &entry) != 0 ||
             delete_entry(op, change, i, entry, seen) != 0))
            return OP_FAILED;
    if (tell_readers(op, change, &(struct written){.old_key = key, .old_values = old_values}) != 0)
        return OP_FAILED;
    return change->foreign ? fkey_note_delete(op, change->session, table, old_values) : 0;
}

/* Whether a column changes by which a foreign key may refer to the row. */
static int changes_key(struct op *op, struct change *change, const struct datum *old_values, const struct datum *new_values,
                       const bool *touched, bool *changes)
{
    const struct table_def *table = change->table;
    struct bytes old_entry, new_entry;

    *changes = false;
    for (int i = table->has_primary; i < table->index_count && !*changes; i++) {
        const struct index_def *index = &table->indexes[i];
        bool plain = index->unique && index->predicate < 0;
        for (int k = 0; k < index->column_count; k++)
            plain &= index->columns[k].column < table->column_count;
        if (!plain || (touched && !touched[i]))
            continue;
        if (encode_entry(op, change, i, old_values, (struct bytes){NULL, 0}, &change->old_entry, &old_entry) != 0 ||
            encode_entry(op, change, i, new_values, (struct bytes){NULL, 0}, &change->new_entry, &new_entry) != 0)
            return OP_FAILED;
        *changes = !same(old_entry, new_entry);
    }
    return 0;
}

/* The record itself: in place, or from one key to another. */
static int update_record(struct op *op, struct change *change, struct bytes key, struct bytes new_key, const struct datum *old_values,
                         const struct datum *new_values, const bool *touched, CommitTs seen, struct txn_outcome *outcome)
{
    if (same(key, new_key)) {
        if (row_encode_value(op, change->table, new_values, &change->value) != 0)
            return OP_FAILED;
        struct bytes value = {change->value.data, change->value.len};
        bool changes;
        if (changes_key(op, change, old_values, new_values, touched, &changes) != 0)
            return OP_FAILED;
        return changes ? txn_update(op, change->txn, change->tree, key, value, seen, outcome)
                       : txn_update_no_key(op, change->txn, change->tree, key, value, seen, outcome);
    }
    if (txn_delete(op, change->txn, change->tree, key, new_key, seen, outcome) != 0)
        return OP_FAILED;
    return outcome->result == TXN_WRITTEN ? insert_record(op, change, new_key, new_values) : 0;
}

int change_update(struct op *op, struct change *change, struct bytes key, const struct datum *old_values,
                  const struct datum *new_values, const bool *touched, CommitTs seen, struct txn_outcome *outcome)
{
    struct bytes new_key = key;

    if (change->table->has_primary && (!touched || touched[0]) &&
        encode_new_key(op, change, new_values, &change->new_key, &new_key) != 0)
        return OP_FAILED;
    if (update_record(op, change, key, new_key, old_values, new_values, touched, seen, outcome) != 0)
        return name_lost_row(op, change->table, old_values);
    if (outcome->result != TXN_WRITTEN)
        return 0;
    bool moved = !same(key, new_key);
    if (extend(op, change, old_values, change->old_all, &old_values) != 0 ||
        extend(op, change, new_values, change->new_all, &new_values) != 0)
        return OP_FAILED;
    for (int i = change->table->has_primary; i < change->table->index_count; i++)
        if ((moved || !touched || touched[i]) &&
            move_entry(op, change, i, key, old_values, new_key, new_values, seen) != 0)
            return OP_FAILED;
    if (tell_readers(op, change, &(struct written){key, new_key, old_values, new_values}) != 0)
        return OP_FAILED;
    return change->foreign ? fkey_note_update(op, change->session, change->table, new_key, old_values, new_values) : 0;
}

/* ---- rows in words ---------------------------------------------------------------------------------- */

static int describe(const struct table_def *table, const struct datum *values, char *text, size_t size)
{
    struct op op;

    op_init(&op);
    const char *key = table->has_primary && values ? change_key_text(&op, table, &table->indexes[0], values) : NULL;
    int len = key ? snprintf(text, size, "row %s of table \"%s\"", key + strlen("Key "), table->name)
                  : snprintf(text, size, "a row of table \"%s\"", table->name);
    op_end(&op);
    return len;
}

int change_describe_row(const void *arg, char *text, size_t size)
{
    const struct footprint_row *row = arg;
    return describe(row->table, row->after ? row->after : row->before, text, size);
}

/* The columns of the primary key into a row of values. */
static int decode_key(struct op *op, const struct table_def *table, struct bytes key, struct bytes value, struct datum *values)
{
    const struct index_def *index = &table->indexes[0];
    int wanted[KEY_COLUMNS_MAX];
    struct vector vectors[KEY_COLUMNS_MAX];
    struct row_reader *reader;

    for (int i = 0; i < index->column_count; i++) {
        wanted[i] = index->columns[i].column;
        if (vector_init_rows(op, &op->arena, type_form(table->columns[wanted[i]].type.oid), 1, &vectors[i]) != 0)
            return OP_FAILED;
        vectors[i].has_nulls = true;
    }
    if (row_reader_make(op, &op->arena, table, NULL, wanted, index->column_count, &reader) != 0 ||
        row_decode(op, reader, key, value, &op->arena, vectors, 0) != 0)
        return OP_FAILED;
    for (int i = 0; i < index->column_count; i++)
        vector_get(&vectors[i], 0, &values[wanted[i]]);
    return 0;
}

int change_describe_record(const struct table_def *table, struct bytes key, struct bytes value, char *text, size_t size)
{
    struct op op;

    op_init(&op);
    struct datum *values = table->has_primary && value.data ? op_calloc(&op, sizeof *values * (size_t)(table->column_count + 1)) : NULL;
    if (values && decode_key(&op, table, key, value, values) != 0)
        values = NULL;
    int len = describe(table, values, text, size);
    op_end(&op);
    return len;
}
