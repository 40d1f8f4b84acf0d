/*
 * check.c -- CHECK DATABASE: is everything where it should be?
 *
 * The storage layer checks pages and trees.  What only SQL knows is checked here: each row can be read, has no null where none may be, and
 * lies under its own key, holds what its generated columns say, satisfies the table's constraints, and has the parents that it refers to
 * (constraints that are not validated yet bind nobody); each index entry leads to a row whose columns make just that entry; and
 * an index has as many entries as the table has rows.  Since every entry is made by its row and no two rows make one entry, equal numbers mean that every row has its
 * entry.
 *
 * Nobody waits for a check: a table and its indexes are read at one snapshot, which is taken anew for each table, and at a
 * snapshot rows and entries agree whatever is written meanwhile.  Tables are locked as SELECT locks them, against being dropped.
 * The report is in words, one line per finding; damage is a finding, not an error.
 */
#include <stdio.h>
#include <string.h>

#include "sql/change.h"
#include "sql/fkey.h"
#include "sql/prepared_int.h"
#include "src/base/mem.h"

/* What a tree is called. */
struct tree_name {
    struct tree_name *next;
    TreeId tree;
    const char *kind, *name;
};

/* A message that is not repeated. */
struct said {
    struct said *next;
    char message[];
};

struct check {
    struct prepared *prepared;
    struct op *op;
    struct tree_name *names;
    struct said *said;
    Oid *tables_found;
    int table_count;
    uint64_t findings, tables, rows, entries;
};

enum { ROWS_BETWEEN_REPORTS = 10000 };

static int say(struct op *op, struct check *check, const char *format, ...) PRINTF_LIKE(3, 4);

static int say(struct op *op, struct check *check, const char *format, ...)
{
    char line[512];
    const char *texts[] = {line};
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    return prepared__keep_texts(op, check->prepared, texts);
}

static void storage_finding(void *arg, TreeId tree, const char *line)
{
    struct check *check = arg;
    const struct tree_name *name = check->names;
    struct op op;

    while (name && name->tree != tree)
        name = name->next;
    op_init(&op);
    if (name ? say(&op, check, "%s \342\200\224 %s \"%s\"", line, name->kind, name->name) != 0 : say(&op, check, "%s", line) != 0)
        op_copy_error(check->op, &op);
    op_end(&op);
}

/* A damaged page is met once for each entry that leads to it, and named once. */
static bool is_said(struct op *op, struct check *check, const char *message)
{
    struct said *said = check->said;

    while (said && strcmp(said->message, message) != 0)
        said = said->next;
    if (said)
        return true;
    said = mem_alloc(sizeof *said + strlen(message) + 1);
    if (!said)
        op_out_of_memory(op);
    if (said) {
        strcpy(said->message, message);
        said->next = check->said;
        check->said = said;
    }
    return false;
}

/* Damage becomes a line, and the check goes on elsewhere. */
static int forgive(struct op *op, struct check *check)
{
    if (strcmp(op->error.sqlstate, "XX001") != 0 && strcmp(op->error.sqlstate, "XX002") != 0)
        return OP_FAILED;
    char message[400];
    snprintf(message, sizeof message, "%s%s%s", op->error.message, op->error.detail ? ": " : "",
             op->error.detail ? op->error.detail : "");
    op_clear_error(op);
    if (is_said(op, check, message))
        return op_failed(op) ? OP_FAILED : 0;
    return say(op, check, "%s", message);
}

/* ---- one table ------------------------------------------------------------------------------------ */

/* A table under inspection.  Entries of one leaf are gathered under its latch and judged afterwards. */
struct inspection {
    struct check *check;
    struct table_def *table;
    const struct index_def *index;
    struct btree *tree;
    struct row_reader *reader;
    struct vector *vectors;
    struct datum *values;           /* of a row, and behind them those of expressions of indexes */
    struct datum *computed;         /* what generated columns should be */
    struct row_exprs *exprs;
    struct table_def **parents;     /* per foreign key; NULL: not to be looked at */
    uint64_t *expected;             /* entries that each index should have */
    struct key_builder key;
    uint8_t key_bytes[256];
    struct arena arena;             /* of one leaf */
    struct catalog_row *first, **tail;
    uint64_t rows, entries, bad;
};

/* The row in the vectors. */
static int read_values(struct op *op, struct inspection *inspection)
{
    for (int i = 0; i < inspection->table->column_count; i++)
        vector_get(&inspection->vectors[i], 0, &inspection->values[i]);
    return inspection->exprs ? row_exprs_extend(op, inspection->exprs, inspection->values, inspection->values) : 0;
}

/* "Key (id)=(7)", or without a primary key the values of the row. */
static const char *describe_row(struct op *op, const struct inspection *inspection)
{
    const struct table_def *table = inspection->table;
    struct index_column columns[8];
    struct index_def all = {.columns = columns};

    if (table->has_primary)
        return change_key_text(op, table, &table->indexes[0], inspection->values);
    for (int i = 0; i < table->column_count && i < (int)COUNT_OF(columns); i++)
        columns[all.column_count++] = (struct index_column){.column = i};
    return change_key_text(op, table, &all, inspection->values);
}

/* A finding about the row in the values.  what: what the row does, with its object. */
static int say_of_row(struct op *op, struct inspection *inspection, const char *what, const char *object)
{
    const char *row = describe_row(op, inspection);

    inspection->bad++;
    if (!row)
        return OP_FAILED;
    return say(op, inspection->check, "table \"%s\": the row with k%.200s %s \"%s\"", inspection->table->name, row + 1, what, object);
}

/* An expression that fails for a row is a finding; anything else that fails is not. */
static int forgive_expression(struct op *op, struct inspection *inspection, const char *what, const char *object)
{
    if (strncmp(op->error.sqlstate, "22", 2) != 0)
        return OP_FAILED;
    op_clear_error(op);
    return say_of_row(op, inspection, what, object);
}

static int is_same(struct op *op, struct sql_type type, const struct datum *one, const struct datum *other, bool *same)
{
    struct bytes left, right;

    *same = one->null && other->null;
    if (one->null || other->null)
        return 0;
    if (type_print(op, type, one, &op->arena, &left) != 0 || type_print(op, type, other, &op->arena, &right) != 0)
        return OP_FAILED;
    *same = left.len == right.len && memcmp(left.data, right.data, left.len) == 0;
    return 0;
}

static int judge_generated(struct op *op, struct inspection *inspection)
{
    const struct table_def *table = inspection->table;

    memcpy(inspection->computed, inspection->values, sizeof *inspection->values * (size_t)table->column_count);
    if (row_exprs_generate(op, inspection->exprs, inspection->computed) != 0)
        return forgive_expression(op, inspection, "has generated columns that cannot be computed in", table->name);
    for (int i = 0; i < table->column_count; i++) {
        bool same = true;
        if (table->columns[i].generated &&
            is_same(op, table->columns[i].type, &inspection->values[i], &inspection->computed[i], &same) != 0)
            return OP_FAILED;
        if (!same && say_of_row(op, inspection, "does not hold what is generated for column", table->columns[i].name) != 0)
            return OP_FAILED;
    }
    return 0;
}

static int judge_constraints(struct op *op, struct inspection *inspection)
{
    const struct table_def *table = inspection->table;

    for (int i = 0; i < table->check_count; i++) {
        bool failed;
        if (!table->checks[i].validated)
            continue;
        if (row_exprs_check_one(op, inspection->exprs, inspection->values, i, &failed) != 0) {
            if (forgive_expression(op, inspection, "cannot be tested against check constraint", table->checks[i].name) != 0)
                return OP_FAILED;
        } else if (failed && say_of_row(op, inspection, "violates check constraint", table->checks[i].name) != 0) {
            return OP_FAILED;
        }
    }
    return 0;
}

/* The row is judged once more when its leaf's latch is gone: parents lie in other trees. */
static int gather_child(struct op *op, struct inspection *inspection, const struct txn_row *row)
{
    struct catalog_row *child = op_arena_alloc(op, &inspection->arena, sizeof *child);
    struct datum *value = op_arena_alloc(op, &inspection->arena, sizeof *value);
    uint8_t *copy = op_arena_alloc(op, &inspection->arena, row->key.len + row->value.len + 1);

    if (!child || !value || !copy)
        return OP_FAILED;
    memcpy(copy, row->key.data, row->key.len);
    if (row->value.len > 0)
        memcpy(copy + row->key.len, row->value.data, row->value.len);
    child->key = (struct bytes){copy, row->key.len};
    value->s = (struct bytes){copy + row->key.len, row->value.len};
    child->values = value;
    *inspection->tail = child;
    inspection->tail = &child->next;
    return 0;
}

static int judge_reference(struct op *op, struct inspection *inspection, const struct foreign_def *foreign, const struct table_def *parent)
{
    const struct table_def *table = inspection->table;
    struct datum values[KEY_COLUMNS_MAX];
    bool has;

    for (int i = 0; i < foreign->count; i++) {
        values[i] = inspection->values[catalog_column(table, foreign->child_numbers[i])];
        if (values[i].null)
            return 0;
    }
    if (fkey_has_parent(op, inspection->check->prepared->session, parent, foreign, values, &has) != 0) {
        inspection->bad++;
        return forgive(op, inspection->check);
    }
    if (has)
        return 0;
    const char *key = fkey_key_text(op, table, foreign->child_numbers, foreign->count, values);
    inspection->bad++;
    return !key ? OP_FAILED
                : say(op, inspection->check, "table \"%s\": k%.200s of foreign key \"%s\" is not present in table \"%s\"", table->name,
                      key + 1, foreign->name, parent->name);
}

static int judge_child(struct op *op, struct inspection *inspection, const struct catalog_row *child)
{
    const struct table_def *table = inspection->table;

    if (row_decode(op, inspection->reader, child->key, child->values[0].s, &inspection->arena, inspection->vectors, 0) != 0)
        return OP_FAILED;
    for (int i = 0; i < table->column_count; i++)
        vector_get(&inspection->vectors[i], 0, &inspection->values[i]);
    for (int i = 0; i < table->foreign_count; i++)
        if (inspection->parents[i] && judge_reference(op, inspection, &table->foreigns[i], inspection->parents[i]) != 0)
            return OP_FAILED;
    return 0;
}

static int judge_one_row(struct op *op, struct inspection *inspection, const struct txn_row *row)
{
    const struct table_def *table = inspection->table;
    struct bytes key;

    if (++inspection->rows % ROWS_BETWEEN_REPORTS == 0)
        session_progress(inspection->check->prepared->session, table->name, inspection->rows, 0);
    if (row_decode(op, inspection->reader, row->key, row->value, &inspection->arena, inspection->vectors, 0) != 0) {
        inspection->bad++;
        return forgive(op, inspection->check);
    }
    if (read_values(op, inspection) != 0)
        return OP_FAILED;
    for (int i = 0; i < table->index_count; i++)
        inspection->expected[i] += row_in_index(&table->indexes[i], inspection->values);
    for (int i = 0; i < table->column_count; i++)
        if (table->columns[i].not_null && inspection->values[i].null) {
            inspection->bad++;
            return say(op, inspection->check, "table \"%s\": a row has a null in column \"%s\"", table->name,
                       table->columns[i].name);
        }
    if (inspection->exprs && (judge_generated(op, inspection) != 0 || judge_constraints(op, inspection) != 0))
        return OP_FAILED;
    if (inspection->parents && gather_child(op, inspection, row) != 0)
        return OP_FAILED;
    if (!table->has_primary)
        return 0;
    if (row_encode_key(op, table, NULL, inspection->values, (struct bytes){NULL, 0}, 0, &inspection->key) != 0 ||
        key_finish(op, &inspection->key, &key) != 0)
        return OP_FAILED;
    if (key.len == row->key.len && memcmp(key.data, row->key.data, key.len) == 0)
        return 0;
    inspection->bad++;
    return say(op, inspection->check, "table \"%s\": a row lies under another key than its own", table->name);
}

static int judge_row(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    struct arena_mark mark = arena_mark(&op->arena);
    if (judge_one_row(op, arg, row) != 0)
        return OP_FAILED;
    arena_release(&op->arena, mark);
    return 0;
}

static int gather_entry(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    struct inspection *inspection = arg;
    struct catalog_row *entry = op_arena_alloc(op, &inspection->arena, sizeof *entry);
    struct datum *keys = op_arena_alloc(op, &inspection->arena, 2 * sizeof *keys);
    uint8_t *copy = op_arena_alloc(op, &inspection->arena, row->key.len + 1);

    if (!entry || !keys || !copy)
        return OP_FAILED;
    inspection->entries++;
    memcpy(copy, row->key.data, row->key.len);
    entry->key = (struct bytes){copy, row->key.len};
    entry->values = keys;
    if (row_primary_key(op, inspection->table, inspection->index, row->key, row->value, &inspection->arena, &keys[0].s) != 0) {
        inspection->bad++;
        return forgive(op, inspection->check);
    }
    *inspection->tail = entry;
    inspection->tail = &entry->next;
    return 0;
}

static int fetch_row(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    struct inspection *inspection = arg;
    return row_decode(op, inspection->reader, row->key, row->value, &inspection->arena, inspection->vectors, 0);
}

/* Does the entry lead to a row that makes just this entry? */
static int judge_entry(struct op *op, struct inspection *inspection, const struct catalog_row *entry)
{
    const struct index_def *index = inspection->index;
    struct txn_session *txn = inspection->check->prepared->session->txn;
    struct bytes key;
    bool found;

    if (txn_get(op, txn, inspection->tree, entry->values[0].s, fetch_row, inspection, &found) != 0) {
        inspection->bad++;
        return forgive(op, inspection->check);
    }
    if (!found) {
        inspection->bad++;
        return say(op, inspection->check, "index \"%s\": an entry leads to no row of table \"%s\"", index->name,
                   inspection->table->name);
    }
    if (read_values(op, inspection) != 0)
        return OP_FAILED;
    if (!row_in_index(index, inspection->values)) {
        inspection->bad++;
        return say(op, inspection->check, "index \"%s\" has an entry of a row of table \"%s\" that it should not hold", index->name,
                   inspection->table->name);
    }
    if (row_encode_key(op, inspection->table, index, inspection->values, entry->values[0].s, 0, &inspection->key) != 0 ||
        key_finish(op, &inspection->key, &key) != 0)
        return OP_FAILED;
    if (key.len == entry->key.len && memcmp(key.data, entry->key.data, key.len) == 0)
        return 0;
    inspection->bad++;
    return say(op, inspection->check, "index \"%s\": an entry differs from its row in table \"%s\"", index->name,
               inspection->table->name);
}

static int judge_gathered(struct op *op, struct inspection *inspection)
{
    for (const struct catalog_row *entry = inspection->first; entry; entry = entry->next) {
        struct arena_mark mark = arena_mark(&op->arena);
        if ((inspection->index ? judge_entry(op, inspection, entry) : judge_child(op, inspection, entry)) != 0)
            return OP_FAILED;
        arena_release(&op->arena, mark);
    }
    return 0;
}

/* Goes through one tree, leaf by leaf. */
static int walk(struct op *op, struct inspection *inspection, struct btree *tree, txn_row_visit visit)
{
    struct btree_range everything = {.low_inclusive = true};
    struct txn_scan scan;
    bool more = true;
    int result = 0;

    txn_scan_open(&scan, inspection->check->prepared->session->txn, tree, &everything, false);
    while (more && result == 0) {
        inspection->first = NULL;
        inspection->tail = &inspection->first;
        result = txn_scan_next(op, &scan, visit, inspection, &more);
        if (result == 0)
            result = judge_gathered(op, inspection);
        if (result == 0)
            result = op_check_cancel(op);
        arena_reset(&inspection->arena);
    }
    txn_scan_close(&scan);
    if (result != 0) {
        inspection->bad++;
        return forgive(op, inspection->check);
    }
    return 0;
}

static int walk_index(struct op *op, struct inspection *inspection, const struct index_def *index)
{
    struct btree *tree;
    uint64_t bad = inspection->bad;

    inspection->index = index;
    inspection->entries = 0;
    if (index->valid_from > txn_read_ts(inspection->check->prepared->session->txn))
        return 0;       /* younger than a snapshot that was taken before */
    if (btree_open(op, inspection->check->prepared->session->database->store, index->tree, &tree) != 0 ||
        walk(op, inspection, tree, gather_entry) != 0)
        return OP_FAILED;
    inspection->check->entries += inspection->entries;
    uint64_t expected = inspection->expected[index - inspection->table->indexes];
    if (inspection->entries == expected || inspection->bad != bad)
        return 0;
    inspection->bad++;
    return say(op, inspection->check, "index \"%s\" has %llu entries for the %llu rows of table \"%s\"", index->name,
               (unsigned long long)inspection->entries, (unsigned long long)expected, inspection->table->name);
}

static int prepare(struct op *op, struct inspection *inspection)
{
    const struct table_def *table = inspection->table;
    size_t columns = (size_t)catalog_value_count(table) + 1;
    int *wanted = op_calloc(op, sizeof *wanted * columns);

    inspection->expected = op_calloc(op, sizeof *inspection->expected * ((size_t)table->index_count + 1));
    inspection->vectors = op_calloc(op, sizeof *inspection->vectors * columns);
    inspection->values = op_calloc(op, sizeof *inspection->values * columns);
    inspection->computed = op_calloc(op, sizeof *inspection->computed * columns);
    if (!wanted || !inspection->computed || !inspection->vectors || !inspection->values || !inspection->expected)
        return OP_FAILED;
    for (int i = 0; i < table->column_count; i++) {
        struct vector *vector = &inspection->vectors[i];
        wanted[i] = i;
        vector->form = type_form(table->columns[i].type.oid);
        vector->has_nulls = true;
        vector->nulls = op_calloc(op, 1);
        vector->data = op_calloc(op, sizeof(struct bytes));
        if (!vector->nulls || !vector->data)
            return OP_FAILED;
    }
    if (row_exprs_open(op, inspection->check->prepared->session, &op->arena, inspection->table, &inspection->exprs) != 0)
        return OP_FAILED;
    if (row_reader_make(op, &op->arena, table, NULL, wanted, table->column_count, &inspection->reader) != 0)
        return OP_FAILED;
    return btree_open(op, inspection->check->prepared->session->database->store, table->tree, &inspection->tree);
}

/* parents: of the table's foreign keys, or NULL. */
static int check_table(struct op *op, struct check *check, struct table_def *table, struct table_def **parents)
{
    struct inspection inspection = {.check = check, .table = table, .parents = parents};

    key_init(&inspection.key, inspection.key_bytes, sizeof inspection.key_bytes);
    arena_init(&inspection.arena);
    int result = prepare(op, &inspection);
    if (result == 0)
        result = walk(op, &inspection, inspection.tree, judge_row);
    for (int i = table->has_primary; result == 0 && i < table->index_count; i++)
        result = walk_index(op, &inspection, &table->indexes[i]);
    check->tables++;
    check->rows += inspection.rows;
    check->findings += inspection.bad;
    row_exprs_close(inspection.exprs);
    key_free(&inspection.key);
    arena_free(&inspection.arena);
    return result;
}

/* ---- the whole ------------------------------------------------------------------------------------ */

static void storage_progress(void *arg, uint64_t pages, uint64_t all_pages)
{
    struct check *check = arg;
    session_progress(check->prepared->session, "pages", pages, all_pages);
}

static int add_name(struct op *op, struct check *check, TreeId tree, const char *kind, const char *text)
{
    struct tree_name *name = op_alloc(op, sizeof *name);
    size_t len = strlen(text) + 1;
    char *copy = op_alloc(op, len);
    if (!name || !copy)
        return OP_FAILED;
    memcpy(copy, text, len);
    *name = (struct tree_name){check->names, tree, kind, copy};
    check->names = name;
    return 0;
}

static int add_names(struct op *op, struct check *check, const struct table_def *table)
{
    if (add_name(op, check, table->tree, table->system ? "system table" : "table", table->name) != 0)
        return OP_FAILED;
    for (int i = table->has_primary; i < table->index_count; i++)
        if (add_name(op, check, table->indexes[i].tree, "index", table->indexes[i].name) != 0)
            return OP_FAILED;
    return 0;
}

/* Which tables there are, and what their trees are called; as far as the catalog can be read. */
static int list_tables(struct op *op, struct check *check)
{
    struct session *session = check->prepared->session;

    if (catalog_list_tables(op, session, &check->tables_found, &check->table_count) != 0 && forgive(op, check) != 0)
        return OP_FAILED;
    for (int i = 0; i < check->table_count; i++) {
        struct table_def *table;
        int result = catalog_table(op, session, check->tables_found[i], &table);
        if (result == 0 && table)
            result = add_names(op, check, table);
        catalog_release(table);
        if (result != 0 && forgive(op, check) != 0)
            return OP_FAILED;
    }
    return 0;
}

/* The definitions of the parents, locked against being dropped before the snapshot is taken that shows children and parents. */
static int find_parents(struct op *op, struct check *check, const struct table_def *table, struct table_def **parents)
{
    struct session *session = check->prepared->session;

    for (int i = 0; i < table->foreign_count; i++)
        if (txn_lock_table(op, session->txn, table->foreigns[i].parent, TXN_ACCESS_SHARE) != 0)
            return OP_FAILED;
    if (session__snapshot(op, session) != 0)
        return OP_FAILED;
    for (int i = 0; i < table->foreign_count; i++)
        if (table->foreigns[i].validated && catalog_table(op, session, table->foreigns[i].parent, &parents[i]) != 0)
            return forgive(op, check);
    return 0;
}

static int check_user_table(struct op *op, struct check *check, Oid oid)
{
    struct session *session = check->prepared->session;
    struct table_def *table = NULL, **parents = NULL;
    int result = 0;

    if (txn_lock_table(op, session->txn, oid, TXN_ACCESS_SHARE) != 0 || session__snapshot(op, session) != 0)
        return OP_FAILED;
    if (catalog_table(op, session, oid, &table) != 0) {
        check->findings++;
        return forgive(op, check);
    }
    if (table && table->foreign_count > 0) {
        parents = op_calloc(op, sizeof(struct table_def *) * (size_t)table->foreign_count);
        result = parents ? find_parents(op, check, table, parents) : OP_FAILED;
    }
    if (result == 0 && table)
        result = check_table(op, check, table, parents);
    for (int i = 0; parents && i < table->foreign_count; i++)
        catalog_release(parents[i]);
    catalog_release(table);
    return result;
}

static int check_tables(struct op *op, struct check *check)
{
    struct database *database = check->prepared->session->database;

    for (int i = 0; i < SYSTEM_TABLE_COUNT; i++)
        if (check_table(op, check, database->system[i], NULL) != 0)
            return OP_FAILED;
    for (int i = 0; i < check->table_count; i++)
        if (check_user_table(op, check, check->tables_found[i]) != 0)
            return OP_FAILED;
    return 0;
}

static int check_all(struct op *op, struct check *check)
{
    struct session *session = check->prepared->session;
    struct store_checker checker = {check, storage_finding, storage_progress};
    uint64_t damaged = 0;

    if (session__begin(op, session, true) != 0 || session__snapshot(op, session) != 0)
        return OP_FAILED;
    for (int i = 0; i < SYSTEM_TABLE_COUNT; i++)
        if (add_names(op, check, session->database->system[i]) != 0)
            return OP_FAILED;
    if (list_tables(op, check) != 0)
        return OP_FAILED;
    session__snapshot_end(session);
    if (store_check_with(op, session->database->store, &checker, &damaged) != 0 || op_failed(op) ||
        session__snapshot(op, session) != 0 || check_tables(op, check) != 0)
        return OP_FAILED;
    check->findings += damaged;
    return say(op, check, "%llu tables, %llu rows, %llu index entries: %s", (unsigned long long)check->tables,
               (unsigned long long)check->rows, (unsigned long long)check->entries,
               check->findings ? "DAMAGED" : "no error found");
}

int check_database(struct op *op, struct prepared *prepared)
{
    struct check check = {.prepared = prepared, .op = op};

    int result = check_all(op, &check);
    while (check.said) {
        struct said *said = check.said;
        check.said = said->next;
        mem_free(said);
    }
    return result;
}
