/*
 * catalog_load.c -- from rows of the system tables to definitions.
 *
 * Rows are gathered first and looked at afterwards: what a scan shows is valid only under the leaf's latch, where nothing may be
 * called.  Catalog rows are few.
 */
#include <stdlib.h>
#include <string.h>

#include "sql/catalog_int.h"
#include "sql/time_style.h"

/* ---- rows ----------------------------------------------------------------------------------------- */

struct gather {
    const struct row_reader *reader;    /* NULL: keys of an index are wanted */
    const struct table_def *table;
    const struct index_def *index;
    struct vector *vectors;
    struct catalog_row **tail;
};

static int gather_row(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    struct gather *gather = arg;
    struct catalog_row *out = op_calloc(op, sizeof *out);

    if (!out)
        return OP_FAILED;
    if (!gather->reader) {
        if (row_primary_key(op, gather->table, gather->index, row->key, row->value, &op->arena, &out->key) != 0)
            return OP_FAILED;
    } else {
        uint8_t *key = op_alloc(op, row->key.len);
        out->values = op_calloc(op, sizeof *out->values * (size_t)gather->table->column_count);
        if (!key || !out->values ||
            row_decode(op, gather->reader, row->key, row->value, &op->arena, gather->vectors, 0) != 0)
            return OP_FAILED;
        memcpy(key, row->key.data, row->key.len);
        out->key = (struct bytes){key, row->key.len};
        for (int i = 0; i < gather->table->column_count; i++)
            vector_get(&gather->vectors[i], 0, &out->values[i]);
    }
    *gather->tail = out;
    gather->tail = &out->next;
    return 0;
}

/* Vectors of one row each, which say of themselves that they have nulls so that nobody clears a whole batch. */
static int make_gather(struct op *op, const struct table_def *table, struct gather *gather)
{
    struct row_reader *reader;
    int *wanted = op_calloc(op, sizeof *wanted * (size_t)table->column_count);

    gather->table = table;
    gather->vectors = op_calloc(op, sizeof *gather->vectors * (size_t)table->column_count);
    if (!wanted || !gather->vectors)
        return OP_FAILED;
    for (int i = 0; i < table->column_count; i++) {
        struct vector *vector = &gather->vectors[i];
        wanted[i] = i;
        vector->form = type_form(table->columns[i].type.oid);
        vector->has_nulls = true;
        vector->nulls = op_calloc(op, 1);
        vector->data = op_calloc(op, sizeof(struct bytes));
        if (!vector->nulls || !vector->data)
            return OP_FAILED;
    }
    if (row_reader_make(op, &op->arena, table, NULL, wanted, table->column_count, &reader) != 0)
        return OP_FAILED;
    gather->reader = reader;
    return 0;
}

static int scan(struct op *op, struct txn_session *txn, struct btree *tree, const struct btree_range *range,
                struct gather *gather)
{
    struct txn_scan scan;
    bool more = true;
    int result = 0;

    txn_scan_open(&scan, txn, tree, range, false);
    while (more && result == 0)
        result = txn_scan_next(op, &scan, gather_row, gather, &more);
    txn_scan_close(&scan);
    return result;
}

/* All keys that begin with the prefix. */
static int prefix_range(struct op *op, const struct table_def *table, const struct index_def *index, const struct datum *prefix,
                        int prefix_count, struct key_builder *low, struct key_builder *high, struct btree_range *range)
{
    *range = (struct btree_range){.low_inclusive = true};
    if (prefix_count == 0)
        return 0;
    for (int i = 0; i < prefix_count; i++)
        if (row_encode_datum(op, table->columns[index->columns[i].column].type.oid, &prefix[i], 0, low) != 0)
            return OP_FAILED;
    if (key_finish(op, low, &range->low) != 0)
        return OP_FAILED;
    key_put_raw(high, range->low);
    return key_successor(high) ? key_finish(op, high, &range->high) : 0;
}

/* The rows of primary keys that an index gave. */
static int fetch(struct op *op, struct txn_session *txn, struct btree *tree, struct catalog_row *keys, struct gather *gather)
{
    for (; keys; keys = keys->next) {
        bool found;
        if (txn_get(op, txn, tree, keys->key, gather_row, gather, &found) != 0)
            return OP_FAILED;
        if (!found)
            return op_fail(op, "XX002", "an index of \"%s\" has an entry without a row", gather->table->name);
    }
    return 0;
}

int catalog__find(struct op *op, struct database *database, struct txn_session *txn, enum system_table which, int index,
                  const struct datum *prefix, int prefix_count, struct catalog_row **rows)
{
    const struct table_def *table = database->system[which];
    struct gather gather = {.tail = rows};
    uint8_t bytes[2][256];
    struct key_builder low, high;
    struct btree_range range;
    struct btree *tree, *index_tree;
    int result = OP_FAILED;

    *rows = NULL;
    key_init(&low, bytes[0], sizeof bytes[0]);
    key_init(&high, bytes[1], sizeof bytes[1]);
    if (make_gather(op, table, &gather) != 0 || btree_open(op, database->store, table->tree, &tree) != 0 ||
        prefix_range(op, table, &table->indexes[index], prefix, prefix_count, &low, &high, &range) != 0)
        goto out;
    if (index == 0) {
        result = scan(op, txn, tree, &range, &gather);
    } else {
        struct catalog_row *keys = NULL;
        struct gather entries = {.table = table, .index = &table->indexes[index], .tail = &keys};
        if (btree_open(op, database->store, table->indexes[index].tree, &index_tree) != 0 ||
            scan(op, txn, index_tree, &range, &entries) != 0)
            goto out;
        result = fetch(op, txn, tree, keys, &gather);
    }
out:
    key_free(&low);
    key_free(&high);
    return result;
}

int catalog__find_relation(struct op *op, struct database *database, struct txn_session *txn, const char *name, Oid *oid,
                           char *kind)
{
    struct datum prefix[] = {datum_text(name), datum_int(NAMESPACE_PUBLIC)};
    struct catalog_row *row;

    *oid = TYPE_INVALID;
    *kind = '\0';
    if (catalog__find(op, database, txn, SYSTEM_CLASS, CLASS_BY_NAME, prefix, 2, &row) != 0)
        return OP_FAILED;
    if (row) {
        *oid = (Oid)row->values[CLASS_OID].i;
        *kind = (char)row->values[CLASS_KIND].s.data[0];
    }
    return 0;
}

/* ---- definitions ---------------------------------------------------------------------------------- */

static const char *keep_text(struct op *op, struct arena *arena, const struct datum *value)
{
    char *copy = arena_strndup(arena, (const char *)value->s.data, value->s.len);
    if (!copy)
        op_out_of_memory(op);
    return copy;
}

static int count_rows(const struct catalog_row *row)
{
    int count = 0;
    for (; row; row = row->next)
        count++;
    return count;
}

static bool is_text(const struct datum *value, const char *text)
{
    return !value->null && value->s.len == strlen(text) && memcmp(value->s.data, text, value->s.len) == 0;
}

/* The value of a column for rows that were written before it was added. */
static int load_missing(struct op *op, struct table_def *table, const struct catalog_row *row, struct column_def *column)
{
    column->has_missing = !row->values[ATTRIBUTE_HAS_MISSING].null && row->values[ATTRIBUTE_HAS_MISSING].b;
    if (!column->has_missing)
        return 0;
    const char *text = keep_text(op, &table->arena, &row->values[ATTRIBUTE_MISSING]);
    if (!text)
        return OP_FAILED;
    struct time_style usual;
    const struct time_style *style = time_style_enter(op, &usual);
    int rc = type_parse(op, column->type, (struct bytes){(const uint8_t *)text, strlen(text)}, &table->arena, &column->missing);
    op->time_style = style;
    return rc;
}

static int load_column(struct op *op, struct table_def *table, const struct catalog_row *row, struct catalog_row **defaults)
{
    struct column_def *column = &table->columns[table->column_count];

    column->name = keep_text(op, &table->arena, &row->values[ATTRIBUTE_NAME]);
    column->number = (int)row->values[ATTRIBUTE_NUMBER].i;
    column->type.oid = (Oid)row->values[ATTRIBUTE_TYPE].i;
    column->type.modifier = (int32_t)row->values[ATTRIBUTE_TYPMOD].i;
    column->not_null = row->values[ATTRIBUTE_NOT_NULL].b;
    column->generated = is_text(&row->values[ATTRIBUTE_GENERATED], "s");
    if (!column->name)
        return OP_FAILED;
    if (!type_info(column->type.oid))
        return op_fail(op, "XX001", "column \"%s\" of table \"%s\" has the unknown type %u", column->name, table->name,
                       column->type.oid);
    table->stored[table->stored_count] = (struct stored_column_def){-1, column->type.oid};
    if (!row->values[ATTRIBUTE_DROPPED].b) {
        table->stored[table->stored_count].column = table->column_count++;
        if (load_missing(op, table, row, column) != 0)
            return OP_FAILED;
    }
    table->stored_count++;
    if (!*defaults || (*defaults)->values[ATTRDEF_NUMBER].i != column->number)
        return 0;
    column->default_sql = keep_text(op, &table->arena, &(*defaults)->values[ATTRDEF_TEXT]);
    *defaults = (*defaults)->next;
    return column->default_sql ? 0 : OP_FAILED;
}

static int load_columns(struct op *op, struct database *database, struct txn_session *txn, struct table_def *table)
{
    struct datum prefix[] = {datum_int(table->oid)};
    struct catalog_row *rows, *defaults;

    if (catalog__find(op, database, txn, SYSTEM_ATTRIBUTE, 0, prefix, 1, &rows) != 0 ||
        catalog__find(op, database, txn, SYSTEM_ATTRDEF, 0, prefix, 1, &defaults) != 0)
        return OP_FAILED;
    size_t room = (size_t)count_rows(rows) + 1;
    table->columns = op_arena_alloc(op, &table->arena, sizeof *table->columns * room);
    table->stored = op_arena_alloc(op, &table->arena, sizeof *table->stored * room);
    if (!table->columns || !table->stored)
        return OP_FAILED;
    for (; rows; rows = rows->next)
        if (load_column(op, table, rows, &defaults) != 0)
            return OP_FAILED;
    if (table->stored_count == table->column_count)
        table->stored = NULL;
    return 0;
}

static int column_by_number(const struct table_def *table, long number)
{
    for (int i = 0; i < table->column_count; i++)
        if (table->columns[i].number == number)
            return i;
    return -1;
}

/* Expressions stand behind the columns: room for those of all indexes. */
static int make_expression_room(struct op *op, struct table_def *table, const struct catalog_row *rows)
{
    size_t count = (size_t)table->column_count + 1;
    for (; rows; rows = rows->next) {
        if (!rows->values[INDEX_EXPRESSIONS].null)
            count += KEY_COLUMNS_MAX;
        count += !rows->values[INDEX_PREDICATE].null;
    }
    struct column_def *columns = op_arena_alloc(op, &table->arena, sizeof *columns * count);
    if (!columns)
        return OP_FAILED;
    memcpy(columns, table->columns, sizeof *columns * (size_t)table->column_count);
    table->columns = columns;
    return 0;
}

/* "oid,modifier,length:text" */
static int load_expression(struct op *op, struct table_def *table, const char **at, int *column)
{
    struct column_def *def = &table->columns[table->column_count + table->expression_count];
    char *end;

    def->type.oid = (Oid)strtoul(*at, &end, 10);
    def->type.modifier = *end == ',' ? (int32_t)strtol(end + 1, &end, 10) : -1;
    size_t len = *end == ',' ? strtoul(end + 1, &end, 10) : 0;
    if (len == 0 || *end != ':' || strlen(end + 1) < len || !type_info(def->type.oid))
        return op_fail(op, "XX001", "an index of table \"%s\" has a malformed expression", table->name);
    def->name = "";
    def->default_sql = arena_strndup(&table->arena, end + 1, len);
    if (!def->default_sql)
        return op_out_of_memory(op);
    *at = end + 1 + len;
    *column = table->column_count + table->expression_count++;
    return 0;
}

static int load_predicate(struct op *op, struct table_def *table, const struct catalog_row *row, struct index_def *index)
{
    struct column_def *def = &table->columns[table->column_count + table->expression_count];

    index->predicate = -1;
    if (row->values[INDEX_PREDICATE].null)
        return 0;
    *def = (struct column_def){.name = "", .type = {TYPE_BOOL, -1}};
    def->default_sql = keep_text(op, &table->arena, &row->values[INDEX_PREDICATE]);
    index->predicate = table->column_count + table->expression_count++;
    return def->default_sql ? 0 : OP_FAILED;
}

/* "1 3" and "0 3": the columns, 0 for expressions, and the flags of those of the key (1 descending, 2 nulls first). */
static int load_index_columns(struct op *op, struct table_def *table, const struct catalog_row *row, struct index_def *index)
{
    const char *keys = keep_text(op, &table->arena, &row->values[INDEX_KEY]);
    const char *options = keep_text(op, &table->arena, &row->values[INDEX_OPTION]);
    const char *expressions = row->values[INDEX_EXPRESSIONS].null ? "" :
        keep_text(op, &table->arena, &row->values[INDEX_EXPRESSIONS]);
    int count = (int)row->values[INDEX_NATTS].i;

    if (!keys || !options || !expressions)
        return OP_FAILED;
    index->column_count = row->values[INDEX_KEY_COUNT].null ? count : (int)row->values[INDEX_KEY_COUNT].i;
    if (index->column_count < 1 || count > KEY_COLUMNS_MAX || index->column_count > count)
        return op_fail(op, "XX001", "index \"%s\" has %d columns", index->name, index->column_count);
    index->include_count = count - index->column_count;
    index->columns = op_arena_alloc(op, &table->arena, sizeof *index->columns * (size_t)count);
    if (!index->columns)
        return OP_FAILED;
    for (int i = 0; i < count; i++) {
        char *end;
        long number = strtol(keys, &end, 10);
        keys = end;
        index->columns[i].column = number ? column_by_number(table, number) : -1;
        if (!number && load_expression(op, table, &expressions, &index->columns[i].column) != 0)
            return OP_FAILED;
        if (index->columns[i].column < 0)
            return op_fail(op, "XX001", "index \"%s\" names a column that table \"%s\" does not have", index->name, table->name);
        if (i >= index->column_count)
            continue;
        long flags = strtol(options, &end, 10);
        options = end;
        index->columns[i].descending = flags & 1;
        index->columns[i].nulls_first = flags & 2;
    }
    return load_predicate(op, table, row, index);
}

static int load_index(struct op *op, struct database *database, struct txn_session *txn, struct table_def *table,
                      const struct catalog_row *row, const struct catalog_row *constraints, struct index_def *index)
{
    struct datum prefix[] = {row->values[INDEX_OID]};
    struct catalog_row *relation;

    index->oid = (Oid)row->values[INDEX_OID].i;
    index->unique = row->values[INDEX_UNIQUE].b;
    index->primary = row->values[INDEX_PRIMARY].b;
    if (catalog__find(op, database, txn, SYSTEM_CLASS, 0, prefix, 1, &relation) != 0)
        return OP_FAILED;
    if (!relation)
        return op_fail(op, "XX001", "index %u of table \"%s\" has no row in pg_class", index->oid, table->name);
    index->name = keep_text(op, &table->arena, &relation->values[CLASS_NAME]);
    index->tree = (TreeId)relation->values[CLASS_FILENODE].i;
    if (!index->name)
        return OP_FAILED;
    for (; constraints; constraints = constraints->next)
        index->constraint |= constraints->values[CONSTRAINT_INDEX].i == index->oid &&
                             !is_text(&constraints->values[CONSTRAINT_TYPE], "f");
    return load_index_columns(op, table, row, index);
}

static int load_indexes(struct op *op, struct database *database, struct txn_session *txn, struct table_def *table)
{
    struct datum prefix[] = {datum_int(table->oid)};
    struct catalog_row *rows, *constraints;

    if (catalog__find(op, database, txn, SYSTEM_INDEX, INDEX_BY_TABLE, prefix, 1, &rows) != 0 ||
        catalog__find(op, database, txn, SYSTEM_CONSTRAINT, CONSTRAINT_BY_TABLE, prefix, 1, &constraints) != 0)
        return OP_FAILED;
    table->indexes = op_arena_alloc(op, &table->arena, sizeof *table->indexes * (size_t)(count_rows(rows) + 1));
    if (!table->indexes || make_expression_room(op, table, rows) != 0)
        return OP_FAILED;
    for (struct catalog_row *row = rows; row; row = row->next)
        table->has_primary |= row->values[INDEX_PRIMARY].b;
    int next = table->has_primary;
    for (; rows; rows = rows->next) {
        struct index_def *index = &table->indexes[rows->values[INDEX_PRIMARY].b ? 0 : next++];
        if (load_index(op, database, txn, table, rows, constraints, index) != 0)
            return OP_FAILED;
        table->index_count++;
    }
    return 0;
}

/* CHECK constraints come in the order of their names. */
static int load_checks(struct op *op, struct database *database, struct txn_session *txn, struct table_def *table)
{
    struct datum prefix[] = {datum_int(table->oid)};
    struct catalog_row *row;

    if (catalog__find(op, database, txn, SYSTEM_CONSTRAINT, CONSTRAINT_BY_TABLE, prefix, 1, &row) != 0)
        return OP_FAILED;
    table->checks = op_arena_alloc(op, &table->arena, sizeof *table->checks * (size_t)(count_rows(row) + 1));
    if (!table->checks)
        return OP_FAILED;
    for (; row; row = row->next) {
        struct check_def *check = &table->checks[table->check_count];
        if (!is_text(&row->values[CONSTRAINT_TYPE], "c"))
            continue;
        check->oid = (Oid)row->values[CONSTRAINT_OID].i;
        check->name = keep_text(op, &table->arena, &row->values[CONSTRAINT_NAME]);
        check->sql = keep_text(op, &table->arena, &row->values[CONSTRAINT_TEXT]);
        check->validated = row->values[CONSTRAINT_VALIDATED].b;
        if (!check->name || !check->sql)
            return OP_FAILED;
        table->check_count++;
    }
    return 0;
}

/* "{1,2}"; NULL: none. */
static int load_numbers(struct op *op, struct table_def *table, const struct datum *value, int **numbers, int *count)
{
    const char *at = value->null ? "" : keep_text(op, &table->arena, value);

    *count = 0;
    if (!at || !(*numbers = op_arena_alloc(op, &table->arena, sizeof **numbers * KEY_COLUMNS_MAX)))
        return OP_FAILED;
    while ((*at == '{' || *at == ',') && *count < KEY_COLUMNS_MAX) {
        char *end;
        (*numbers)[(*count)++] = (int)strtol(at + 1, &end, 10);
        at = end;
    }
    return 0;
}

static int load_foreign(struct op *op, struct table_def *table, const struct catalog_row *row, struct foreign_def *foreign)
{
    int parent_count;

    foreign->oid = (Oid)row->values[CONSTRAINT_OID].i;
    foreign->name = keep_text(op, &table->arena, &row->values[CONSTRAINT_NAME]);
    foreign->child = (Oid)row->values[CONSTRAINT_RELID].i;
    foreign->parent = (Oid)row->values[CONSTRAINT_FOREIGN_RELID].i;
    foreign->index = (Oid)row->values[CONSTRAINT_INDEX].i;
    foreign->on_update = (char)row->values[CONSTRAINT_ON_UPDATE].s.data[0];
    foreign->on_delete = (char)row->values[CONSTRAINT_ON_DELETE].s.data[0];
    foreign->deferrable = row->values[CONSTRAINT_DEFERRABLE].b;
    foreign->deferred = row->values[CONSTRAINT_DEFERRED].b;
    foreign->validated = row->values[CONSTRAINT_VALIDATED].b;
    if (!foreign->name || load_numbers(op, table, &row->values[CONSTRAINT_KEY], &foreign->child_numbers, &foreign->count) != 0 ||
        load_numbers(op, table, &row->values[CONSTRAINT_FOREIGN_KEY], &foreign->parent_numbers, &parent_count) != 0 ||
        load_numbers(op, table, &row->values[CONSTRAINT_SET_COLUMNS], &foreign->set_numbers, &foreign->set_count) != 0)
        return OP_FAILED;
    if (foreign->count != parent_count || foreign->count == 0)
        return op_fail(op, "XX001", "constraint \"%s\" has %d columns for %d", foreign->name, foreign->count, parent_count);
    return 0;
}

static int load_foreigns(struct op *op, struct database *database, struct txn_session *txn, struct table_def *table, int index,
                         struct foreign_def **foreigns, int *count)
{
    struct datum prefix[] = {datum_int(table->oid)};
    struct catalog_row *row;

    if (catalog__find(op, database, txn, SYSTEM_CONSTRAINT, index, prefix, 1, &row) != 0)
        return OP_FAILED;
    *foreigns = op_arena_alloc(op, &table->arena, sizeof **foreigns * (size_t)(count_rows(row) + 1));
    if (!*foreigns)
        return OP_FAILED;
    for (; row; row = row->next)
        if (is_text(&row->values[CONSTRAINT_TYPE], "f") && load_foreign(op, table, row, &(*foreigns)[(*count)++]) != 0)
            return OP_FAILED;
    return 0;
}

int catalog__load(struct op *op, struct database *database, struct txn_session *txn, Oid oid, struct table_def **out)
{
    struct datum prefix[] = {datum_int(oid)};
    struct catalog_row *row;
    struct table_def *table;

    *out = NULL;
    if (catalog__find(op, database, txn, SYSTEM_CLASS, 0, prefix, 1, &row) != 0)
        return OP_FAILED;
    if (!row || row->values[CLASS_KIND].s.data[0] != 'r')
        return 0;
    table = catalog__new_def(op);
    if (!table)
        return OP_FAILED;
    table->oid = oid;
    table->schema = "public";
    table->name = keep_text(op, &table->arena, &row->values[CLASS_NAME]);
    table->tree = (TreeId)row->values[CLASS_FILENODE].i;
    if (!table->name || load_columns(op, database, txn, table) != 0 || load_indexes(op, database, txn, table) != 0 ||
        load_checks(op, database, txn, table) != 0 ||
        load_foreigns(op, database, txn, table, CONSTRAINT_BY_TABLE, &table->foreigns, &table->foreign_count) != 0 ||
        load_foreigns(op, database, txn, table, CONSTRAINT_BY_FOREIGN_TABLE, &table->referrers, &table->referrer_count) != 0) {
        catalog_release(table);
        return OP_FAILED;
    }
    row_settle(table);
    *out = table;
    return 0;
}
