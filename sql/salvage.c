/*
 * salvage.c -- from salvaged trees to tables: the second half of `isolde salvage`.
 *
 * The storage layer has put the records of all undamaged leaves into trees of a new file.  What of it is a table says the catalog, which
 * is made of such trees too and may have suffered itself.  So, in this order:
 *
 *  1. Indexes of the system tables are made again from their rows, so that the catalog can be read at all.
 *  2. Each table whose definition is whole keeps its rows.  If it or one of its indexes has suffered, all its
 *     indexes are made again; a row that cannot be read goes, and so does an index that cannot be unique any more.
 *  3. A table whose definition is damaged, and a tree that no definition names, becomes a table salvaged_tree_N of keys and values as
 *     they lie on the pages, in hexadecimal: (key text, value text).  Where the catalog is whole, a tree without a name is an old one, and goes.
 *  4. Numbers that are never given out twice go on behind the largest in use.
 *
 * All of that runs before anybody else opens the file, so changes of trees are system transactions: no versions, no undo.
 */
#include <stdio.h>
#include <string.h>

#include "btree/salvage.h"
#include "sql/ddl_int.h"
#include "sql/prepared_int.h"
#include "sql/salvage.h"
#include "src/base/mem.h"

struct salvage {
    struct op *op;
    struct session *session;
    struct store *store;
    struct database_salvage *task;
    bool catalog_suffered;
    TreeId *trees;              /* of the file */
    bool *named;                /* the tree belongs to somebody */
    size_t tree_count;
};

static void say(struct salvage *salvage, const char *format, ...) PRINTF_LIKE(2, 3);

static void say(struct salvage *salvage, const char *format, ...)
{
    char line[512];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    salvage->task->report(salvage->task->arg, line);
}

static bool has_suffered(const struct salvage *salvage, TreeId tree)
{
    const struct store_salvaged *salvaged = salvage->task->salvaged;
    for (size_t i = 0; i < salvaged->tree_count; i++)
        if (salvaged->trees[i] == tree || salvaged->trees[i] == 0)
            return true;
    return !salvage->task->log_whole;
}

static void name_tree(struct salvage *salvage, TreeId tree)
{
    for (size_t i = 0; i < salvage->tree_count; i++)
        if (salvage->trees[i] == tree)
            salvage->named[i] = true;
}

/* Remembers what a tree is called.  Without memory it has no name. */
static void remember_name(struct salvage *salvage, TreeId tree, const char *kind, const char *name)
{
    struct database_salvage *task = salvage->task;
    struct salvage_name *names = mem_realloc(task->names, (task->name_count + 1) * sizeof *names);
    size_t size = strlen(kind) + strlen(name) + 4;

    if (!names)
        return;
    task->names = names;
    names[task->name_count] = (struct salvage_name){tree, mem_alloc(size)};
    if (!names[task->name_count].text)
        return;
    snprintf(names[task->name_count++].text, size, "%s \"%s\"", kind, name);
}

static void name_trees_of(struct salvage *salvage, const struct table_def *table)
{
    name_tree(salvage, table->tree);
    remember_name(salvage, table->tree, "table", table->name);
    for (int i = 0; i < table->index_count; i++) {
        name_tree(salvage, table->indexes[i].tree);
        if (!table->indexes[i].primary)
            remember_name(salvage, table->indexes[i].tree, "index", table->indexes[i].name);
    }
}

static bool is_damage(const struct op *op)
{
    return strcmp(op->error.sqlstate, "XX001") == 0 || strcmp(op->error.sqlstate, "XX002") == 0;
}

/* ---- records of a tree, a batch at a time ---------------------------------------------------------- */

struct record {
    struct record *next;
    struct bytes key, value;
};

struct batch_of_records {
    struct store *store;
    struct arena arena;
    struct record *first, **tail;
    size_t bytes;
};

enum { BATCH_BYTES = 1 << 20 };

static int copy_record(void *arg, struct op *op, const struct btree_record *record, bool *stop)
{
    struct batch_of_records *batch = arg;
    struct record *copy = op_arena_alloc(op, &batch->arena, sizeof *copy);
    struct bytes value = record->value;

    if (!copy || (record->flags & BTREE_OVERFLOW && btree_read_overflow(op, batch->store, record->value, &batch->arena, &value) != 0))
        return OP_FAILED;
    uint8_t *bytes = op_arena_alloc(op, &batch->arena, record->key.len + value.len + 1);
    if (!bytes)
        return OP_FAILED;
    memcpy(bytes, record->key.data, record->key.len);
    if (value.len > 0)
        memcpy(bytes + record->key.len, value.data, value.len);
    copy->key = (struct bytes){bytes, record->key.len};
    copy->value = (struct bytes){bytes + record->key.len, value.len};
    *batch->tail = copy;
    batch->tail = &copy->next;
    batch->bytes += record->key.len + value.len;
    *stop = batch->bytes > BATCH_BYTES;
    return 0;
}

/* Calls visit for each record; it may change the tree. */
static int each_record(struct op *op, struct store *store, struct btree *tree,
                       int (*visit)(void *arg, struct op *op, struct bytes key, struct bytes value), void *arg)
{
    struct batch_of_records batch = {.store = store};
    struct btree_range everything = {.low_inclusive = true};
    struct btree_visitor visitor = {.arg = &batch, .record = copy_record};
    struct btree_cursor cursor;
    bool more = true;
    int result = 0;

    arena_init(&batch.arena);
    btree_cursor_open(&cursor, tree, &everything, false);
    while (result == 0 && more) {
        batch.first = NULL;
        batch.tail = &batch.first;
        batch.bytes = 0;
        result = btree_cursor_next_leaf(op, &cursor, &visitor, &more);
        for (const struct record *record = batch.first; result == 0 && record; record = record->next)
            result = visit(arg, op, record->key, record->value);
        arena_reset(&batch.arena);
    }
    btree_cursor_close(&cursor);
    arena_free(&batch.arena);
    return result;
}

/* ---- one table ------------------------------------------------------------------------------------ */

struct mending {
    struct salvage *salvage;
    struct table_def *table;
    struct btree *tree;
    struct row_reader *reader;
    struct vector *vectors;
    struct arena arena;             /* of one row */
    uint64_t unreadable, strange;
};

static int prepare(struct op *op, struct mending *mending)
{
    const struct table_def *table = mending->table;
    size_t columns = (size_t)table->column_count + 1;
    int *wanted = op_calloc(op, sizeof *wanted * columns);

    mending->vectors = op_calloc(op, sizeof *mending->vectors * columns);
    if (!wanted || !mending->vectors)
        return OP_FAILED;
    for (int i = 0; i < table->column_count; i++) {
        struct vector *vector = &mending->vectors[i];
        wanted[i] = i;
        vector->form = type_form(table->columns[i].type.oid);
        vector->has_nulls = true;
        vector->nulls = op_calloc(op, 1);
        vector->data = op_calloc(op, sizeof(struct bytes));
        if (!vector->nulls || !vector->data)
            return OP_FAILED;
    }
    if (row_reader_make(op, &op->arena, table, NULL, wanted, table->column_count, &mending->reader) != 0)
        return OP_FAILED;
    return btree_open(op, mending->salvage->store, table->tree, &mending->tree);
}

/* The number in a key that is a row id and nothing else. */
static bool take_row_id(struct bytes key, int64_t *id)
{
    struct key_reader reader = {key.data, key.data + key.len};
    bool null;
    return key_get_null(&reader, 0, &null) && !null && key_get_int(&reader, 0, id) && reader.at == reader.end;
}

static int judge_row(void *arg, struct op *op, struct bytes key, struct bytes value)
{
    struct mending *mending = arg;
    int64_t id;

    arena_reset(&mending->arena);
    if (!mending->table->has_primary && !take_row_id(key, &id)) {
        mending->strange++;
        return 0;
    }
    if (row_decode(op, mending->reader, key, value, &mending->arena, mending->vectors, 0) == 0)
        return 0;
    if (!is_damage(op))
        return OP_FAILED;
    op_clear_error(op);
    mending->unreadable++;
    return btree_erase(op, mending->tree, key);
}

static int run_sql(struct op *op, struct session *session, const char *sql)
{
    struct prepared *prepared;
    enum step_result step;
    size_t tail;

    if (prepared_make(op, session, sql, strlen(sql), &tail, &prepared) != 0)
        return OP_FAILED;
    int result = prepared_step(op, prepared, &step);
    prepared_free(prepared);
    return result;
}

static int build(struct op *op, struct salvage *salvage, struct table_def *table, const struct index_def *index)
{
    struct session *session = salvage->session;
    struct btree *tree;

    if (btree_open(op, salvage->store, index->tree, &tree) != 0 || btree_erase_all(op, tree) != 0 ||
        session__begin(op, session, false) != 0 || session__snapshot(op, session) != 0 ||
        ddl__build_index(op, session, table, index) != 0)
        return OP_FAILED;
    return session__succeed(op, session);
}

/* An index is made again from the rows; one that cannot be unique any more goes. */
static int mend_index(struct op *op, struct salvage *salvage, struct table_def *table, const struct index_def *index)
{
    char sql[400];

    if (build(op, salvage, table, index) == 0)
        return 0;
    if (strcmp(op->error.sqlstate, "23505") != 0 || table->system)
        return OP_FAILED;
    session__fail(op, salvage->session);
    op_clear_error(op);
    say(salvage, "index \"%s\" of table \"%s\" is gone: two rows have the same key now", index->name, table->name);
    salvage->task->lost++;
    if (index->constraint)
        snprintf(sql, sizeof sql, "ALTER TABLE \"%s\" DROP CONSTRAINT \"%s\"", table->name, index->name);
    else
        snprintf(sql, sizeof sql, "DROP INDEX \"%s\"", index->name);
    return run_sql(op, salvage->session, sql);
}

static int judge_rows(struct op *op, struct salvage *salvage, struct table_def *table, bool *strange)
{
    struct mending mending = {.salvage = salvage, .table = table};

    arena_init(&mending.arena);
    int result = prepare(op, &mending);
    if (result == 0)
        result = each_record(op, salvage->store, mending.tree, judge_row, &mending);
    arena_free(&mending.arena);
    if (mending.unreadable > 0)
        say(salvage, "table \"%s\": %llu rows cannot be read and are lost", table->name, (unsigned long long)mending.unreadable);
    salvage->task->lost += mending.unreadable;
    *strange = mending.strange > 0;
    return result;
}

/* Makes the table and its indexes agree.  *strange: its records are not rows of this definition at all. */
static int mend_table(struct op *op, struct salvage *salvage, struct table_def *table, bool *strange)
{
    bool suffered = has_suffered(salvage, table->tree);

    for (int i = table->has_primary; i < table->index_count; i++)
        suffered |= has_suffered(salvage, table->indexes[i].tree);
    *strange = false;
    if (!suffered)
        return 0;
    if (judge_rows(op, salvage, table, strange) != 0)
        return OP_FAILED;
    for (int i = table->has_primary; !*strange && i < table->index_count; i++)
        if (mend_index(op, salvage, table, &table->indexes[i]) != 0)
            return OP_FAILED;
    return 0;
}

/* ---- trees without a definition ------------------------------------------------------------------- */

struct raw {
    struct change change;
    uint64_t records;
};

static int to_hex(struct op *op, struct bytes bytes, struct datum *text)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *to = op_alloc(op, 2 * bytes.len + 1);

    if (!to)
        return OP_FAILED;
    for (size_t i = 0; i < bytes.len; i++) {
        to[2 * i] = (uint8_t)digits[bytes.data[i] >> 4];
        to[2 * i + 1] = (uint8_t)digits[bytes.data[i] & 15];
    }
    *text = (struct datum){.s = {to, 2 * bytes.len}};
    return 0;
}

static int keep_raw(void *arg, struct op *op, struct bytes key, struct bytes value)
{
    struct raw *raw = arg;
    struct datum values[2];
    struct arena_mark mark = arena_mark(&op->arena);

    raw->records++;
    txn_next_command(raw->change.txn);
    if (to_hex(op, key, &values[0]) != 0 || to_hex(op, value, &values[1]) != 0 || change_insert(op, &raw->change, values) != 0)
        return OP_FAILED;
    arena_release(&op->arena, mark);
    return 0;
}

static int fill_raw(struct op *op, struct salvage *salvage, const struct table_def *table, struct btree *tree, uint64_t *records)
{
    struct session *session = salvage->session;
    struct raw raw = {.records = 0};

    int result = change_open(op, &op->arena, session->txn, table, &raw.change);
    if (result == 0)
        result = each_record(op, salvage->store, tree, keep_raw, &raw);
    change_close(&raw.change);
    *records = raw.records;
    return result;
}

/* The tree's records become rows of a table of keys and values. */
static int keep_tree(struct op *op, struct salvage *salvage, TreeId id)
{
    struct session *session = salvage->session;
    struct table_def *table = NULL;
    struct btree *tree;
    char name[64], sql[160];
    uint64_t records = 0;

    snprintf(name, sizeof name, "salvaged_tree_%llu", (unsigned long long)id);
    snprintf(sql, sizeof sql, "CREATE TABLE %s (key text, value text)", name);
    if (btree_open(op, salvage->store, id, &tree) != 0 || run_sql(op, session, sql) != 0 ||
        session__begin(op, session, false) != 0 || session__snapshot(op, session) != 0 ||
        catalog_find_table(op, session, NULL, name, &table) != 0)
        return OP_FAILED;
    int result = table ? fill_raw(op, salvage, table, tree, &records) : OP_FAILED;
    catalog_release(table);
    if (result != 0 || session__succeed(op, session) != 0)
        return OP_FAILED;
    say(salvage, "tree %llu has no definition: its %llu records are in table \"%s\"", (unsigned long long)id,
        (unsigned long long)records, name);
    return 0;
}

static int note_record(void *arg, struct op *op, const struct btree_record *record, bool *stop)
{
    *(bool *)arg = *stop = true;
    return 0;
}

static bool has_records(struct op *op, struct salvage *salvage, TreeId id)
{
    struct btree_range everything = {.low_inclusive = true};
    bool any = false, more = true;
    struct btree_visitor visitor = {.arg = &any, .record = note_record};
    struct btree_cursor cursor;
    struct btree *tree;

    if (btree_open(op, salvage->store, id, &tree) != 0)
        return false;
    btree_cursor_open(&cursor, tree, &everything, false);
    while (more && !any && btree_cursor_next_leaf(op, &cursor, &visitor, &more) == 0)
        continue;
    btree_cursor_close(&cursor);
    return any;
}

static int settle_unnamed(struct op *op, struct salvage *salvage)
{
    for (size_t i = 0; i < salvage->tree_count; i++) {
        if (salvage->named[i])
            continue;
        if (salvage->catalog_suffered && has_records(op, salvage, salvage->trees[i])) {
            if (keep_tree(op, salvage, salvage->trees[i]) != 0)
                return OP_FAILED;
            salvage->task->lost++;
        }
        if (btree_drop(op, salvage->store, salvage->trees[i]) != 0)
            return OP_FAILED;
    }
    return 0;
}

/* ---- the catalog ---------------------------------------------------------------------------------- */

static int mend_system_tables(struct op *op, struct salvage *salvage)
{
    struct database *database = salvage->session->database;
    bool strange;

    for (int i = 0; i < SYSTEM_TABLE_COUNT; i++) {
        struct table_def *table = database->system[i];
        salvage->catalog_suffered |= has_suffered(salvage, table->tree);
        name_trees_of(salvage, table);
        if (mend_table(op, salvage, table, &strange) != 0)
            return OP_FAILED;
    }
    return 0;
}

/* Rows of the system tables about a relation go, in a transaction. */
static int forget_relation(struct op *op, struct salvage *salvage, Oid oid)
{
    struct session *session = salvage->session;

    if (session__begin(op, session, false) != 0 || session__snapshot(op, session) != 0 ||
        catalog__touch(op, session, oid) != 0 || ddl__delete_rows(op, session, SYSTEM_CLASS, 0, oid) != 0 ||
        ddl__delete_rows(op, session, SYSTEM_ATTRIBUTE, 0, oid) != 0 || ddl__delete_rows(op, session, SYSTEM_ATTRDEF, 0, oid) != 0 ||
        ddl__delete_rows(op, session, SYSTEM_INDEX, INDEX_BY_TABLE, oid) != 0 ||
        ddl__delete_rows(op, session, SYSTEM_CONSTRAINT, CONSTRAINT_BY_TABLE, oid) != 0)
        return OP_FAILED;
    return session__succeed(op, session);
}

/* What pg_class says of a table. */
struct relation {
    struct relation *next;
    Oid oid;
    char kind;
    int columns;
    TreeId tree;
    const char *name;
};

static int list_relations(struct op *op, struct salvage *salvage, struct relation **first)
{
    struct session *session = salvage->session;
    struct catalog_row *row;

    *first = NULL;
    if (session__begin(op, session, true) != 0 || session__snapshot(op, session) != 0 ||
        catalog__find(op, session->database, session->txn, SYSTEM_CLASS, 0, NULL, 0, &row) != 0)
        return OP_FAILED;
    for (; row; row = row->next) {
        struct relation *relation = op_calloc(op, sizeof *relation);
        const struct datum *values = row->values;
        if (!relation || values[CLASS_KIND].null || values[CLASS_KIND].s.len == 0)
            return relation ? op_fail(op, "XX001", "a row of pg_class is damaged") : OP_FAILED;
        relation->oid = (Oid)values[CLASS_OID].i;
        relation->kind = (char)values[CLASS_KIND].s.data[0];
        relation->columns = (int)values[CLASS_NATTS].i;
        relation->tree = (TreeId)values[CLASS_FILENODE].i;
        relation->name = arena_strndup(&op->arena, (const char *)values[CLASS_NAME].s.data, values[CLASS_NAME].s.len);
        if (!relation->name)
            return op_out_of_memory(op);
        relation->next = *first;
        *first = relation;
    }
    return session__succeed(op, session);
}

/* Whether the definition can be read and is complete. */
static int load_definition(struct op *op, struct salvage *salvage, const struct relation *relation, struct table_def **table)
{
    struct session *session = salvage->session;
    *table = NULL;
    if (session__begin(op, session, true) != 0 || session__snapshot(op, session) != 0)
        return OP_FAILED;
    if (catalog__load(op, session->database, session->txn, relation->oid, table) != 0) {
        if (!is_damage(op) && strcmp(op->error.sqlstate, "XX000") != 0)
            return OP_FAILED;
        op_clear_error(op);
    }
    if (*table && (*table)->column_count != relation->columns) {
        catalog_release(*table);
        *table = NULL;
    }
    return session__succeed(op, session);
}

static bool all_trees_are_there(const struct salvage *salvage, const struct table_def *table)
{
    for (int i = -1; i < table->index_count; i++) {
        TreeId tree = i < 0 ? table->tree : table->indexes[i].tree;
        size_t at = 0;
        while (at < salvage->tree_count && salvage->trees[at] != tree)
            at++;
        if (at == salvage->tree_count)
            return false;
    }
    return true;
}

/* Row ids go on behind the largest. */
static int skip_row_ids(struct op *op, struct salvage *salvage, const struct table_def *table)
{
    struct batch_of_records batch = {.store = salvage->store};
    struct btree_range everything = {.low_inclusive = true};
    struct btree_visitor visitor = {.arg = &batch, .record = copy_record};
    struct btree_cursor cursor;
    struct btree *tree;
    int64_t id = 0;
    bool more;

    if (table->has_primary)
        return 0;
    if (btree_open(op, salvage->store, table->tree, &tree) != 0)
        return OP_FAILED;
    arena_init(&batch.arena);
    batch.tail = &batch.first;
    batch.bytes = BATCH_BYTES;      /* one record will do */
    btree_cursor_open(&cursor, tree, &everything, true);
    int result = btree_cursor_next_leaf(op, &cursor, &visitor, &more);
    btree_cursor_close(&cursor);
    if (result == 0 && batch.first) {
        if (take_row_id(batch.first->key, &id) && id > 0)
            result = txn_skip_ids(op, salvage->session->txn, table->oid, (uint64_t)id + 1);
    }
    arena_free(&batch.arena);
    return result;
}

static int settle_table(struct op *op, struct salvage *salvage, const struct relation *relation)
{
    struct table_def *table;
    bool strange = false;

    if (load_definition(op, salvage, relation, &table) != 0)
        return OP_FAILED;
    bool whole = table && all_trees_are_there(salvage, table);
    int result = whole ? mend_table(op, salvage, table, &strange) : 0;
    whole = whole && !strange;
    if (result == 0 && whole) {
        name_trees_of(salvage, table);
        result = skip_row_ids(op, salvage, table);
    }
    catalog_release(table);
    if (result != 0 || whole)
        return result;
    salvage->catalog_suffered = true;
    salvage->task->lost++;
    say(salvage, "the definition of table \"%s\" is damaged; its records were in tree %llu", relation->name,
        (unsigned long long)relation->tree);
    return forget_relation(op, salvage, relation->oid);
}

/* An index that no table knows is nobody's. */
static int forget_strays(struct op *op, struct salvage *salvage, const struct relation *relations)
{
    for (; relations; relations = relations->next) {
        size_t at = 0;
        while (at < salvage->tree_count && salvage->trees[at] != relations->tree)
            at++;
        if (relations->kind != 'r' && (at == salvage->tree_count || !salvage->named[at]) &&
            forget_relation(op, salvage, relations->oid) != 0)
            return OP_FAILED;
    }
    return 0;
}

static int settle_all(struct op *op, struct salvage *salvage)
{
    struct relation *relations;
    Oid highest = FIRST_USER_OID;

    if (store_trees(op, salvage->store, &salvage->trees, &salvage->tree_count) != 0 ||
        !(salvage->named = op_calloc(op, salvage->tree_count + 1)))
        return OP_FAILED;
    name_tree(salvage, txn_system_tree(salvage->session->database->manager));
    if (mend_system_tables(op, salvage) != 0 || list_relations(op, salvage, &relations) != 0)
        return OP_FAILED;
    for (const struct relation *relation = relations; relation; relation = relation->next) {
        highest = relation->oid > highest ? relation->oid : highest;
        if (relation->kind == 'r' && settle_table(op, salvage, relation) != 0)
            return OP_FAILED;
    }
    if (txn_skip_ids(op, salvage->session->txn, SEQUENCE_OID, (uint64_t)highest - FIRST_USER_OID + 2) != 0)
        return OP_FAILED;
    return forget_strays(op, salvage, relations) != 0 ? OP_FAILED : settle_unnamed(op, salvage);
}

int database_salvage(struct op *op, struct database *database, struct database_salvage *task)
{
    struct salvage salvage = {.op = op, .store = database->store, .task = task};

    if (session_open(op, database, &salvage.session) != 0)
        return OP_FAILED;
    int result = settle_all(op, &salvage);
    if (result != 0)
        session__fail(op, salvage.session);
    session_close(salvage.session);
    mem_free(salvage.trees);
    return result;
}

const char *database_salvage_name(const struct database_salvage *task, TreeId tree)
{
    for (size_t i = 0; i < task->name_count; i++)
        if (task->names[i].tree == tree)
            return task->names[i].text;
    return NULL;
}

void database_salvage_free(struct database_salvage *task)
{
    for (size_t i = 0; i < task->name_count; i++)
        mem_free(task->names[i].text);
    mem_free(task->names);
    task->names = NULL;
    task->name_count = 0;
}
