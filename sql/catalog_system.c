/*
 * catalog_system.c -- the tables that describe all others, and themselves not at all.
 *
 * A catalog kept in tables has to begin somewhere: the definitions of the system tables are written here, in C, and their trees
 * have consecutive numbers.  Names and columns are PostgreSQL's where Isolde has what they mean.
 *
 *      pg_namespace   schemas                          pg_index       an index's columns and properties
 *      pg_type        types                            pg_constraint  names of primary keys and unique constraints
 *      pg_class       tables and indexes               pg_attrdef     texts of defaults
 *      pg_attribute   columns
 *
 * pg_class.relfilenode is the number of the tree.  Lists of columns are texts ("1 3"), as PostgreSQL prints its int2vector.
 *
 * The first of these trees, pg_namespace's, is found by what stands in it: it is the lowest-numbered tree that has a row for schema
 * pg_catalog, and none but the engine's own few trees come before it.  In a new store the trees are made one by one by system
 * transactions, and the rows that every database has by one transaction.  A crash before that was committed leaves some empty trees
 * behind, and the next open makes others; if rows of it are still being rolled back their trees are taken, and filled again.
 *
 * S1  Trees of the system tables have consecutive numbers, table by table, each followed by its secondary indexes.
 * S2  A system table's definition never changes while the database is open.
 */
#include <string.h>

#include "sql/catalog_int.h"

/* How far the first tree's number is looked for: layers below have few trees of their own, made before. */
enum { FIRST_TREE_TRIES = 64 };

struct system_column {
    const char *name;
    Oid type;
};

struct system_index {
    const char *name;
    Oid oid;
    bool unique;
    int column_count;
    int columns[2];
};

struct system_spec {
    const char *name;
    Oid oid;
    int column_count;
    struct system_column columns[20];
    int index_count;
    struct system_index indexes[3];     /* the primary key first */
};

static const struct system_spec specs[SYSTEM_TABLE_COUNT] = {
    [SYSTEM_NAMESPACE] = {"pg_namespace", 2615, NAMESPACE_COLUMNS,
        {{"oid", TYPE_OID}, {"nspname", TYPE_TEXT}},
        2, {{"pg_namespace_oid_index", 2685, true, 1, {NAMESPACE_OID}},
            {"pg_namespace_nspname_index", 2684, true, 1, {NAMESPACE_NAME}}}},
    [SYSTEM_TYPE] = {"pg_type", 1247, TYPE_ROW_COLUMNS,
        {{"oid", TYPE_OID}, {"typname", TYPE_TEXT}, {"typnamespace", TYPE_OID}, {"typlen", TYPE_INT2}, {"typtype", TYPE_TEXT},
         {"typcategory", TYPE_TEXT}},
        1, {{"pg_type_oid_index", 2703, true, 1, {TYPE_ROW_OID}}}},
    [SYSTEM_CLASS] = {"pg_class", 1259, CLASS_COLUMNS,
        {{"oid", TYPE_OID}, {"relname", TYPE_TEXT}, {"relnamespace", TYPE_OID}, {"relkind", TYPE_TEXT}, {"relfilenode", TYPE_INT8},
         {"relnatts", TYPE_INT2}},
        2, {{"pg_class_oid_index", 2662, true, 1, {CLASS_OID}},
            {"pg_class_relname_nsp_index", 2663, true, 2, {CLASS_NAME, CLASS_NAMESPACE}}}},
    [SYSTEM_ATTRIBUTE] = {"pg_attribute", 1249, ATTRIBUTE_COLUMNS,
        {{"attrelid", TYPE_OID}, {"attname", TYPE_TEXT}, {"atttypid", TYPE_OID}, {"attnum", TYPE_INT2}, {"atttypmod", TYPE_INT4},
         {"attnotnull", TYPE_BOOL}, {"atthasdef", TYPE_BOOL}, {"attisdropped", TYPE_BOOL}, {"attgenerated", TYPE_TEXT},
         {"atthasmissing", TYPE_BOOL}, {"attmissingval", TYPE_TEXT}},
        1, {{"pg_attribute_relid_attnum_index", 2659, true, 2, {ATTRIBUTE_RELID, ATTRIBUTE_NUMBER}}}},
    [SYSTEM_ATTRDEF] = {"pg_attrdef", 2604, ATTRDEF_COLUMNS,
        {{"oid", TYPE_OID}, {"adrelid", TYPE_OID}, {"adnum", TYPE_INT2}, {"adbin", TYPE_TEXT}},
        1, {{"pg_attrdef_adrelid_adnum_index", 2656, true, 2, {ATTRDEF_RELID, ATTRDEF_NUMBER}}}},
    [SYSTEM_INDEX] = {"pg_index", 2610, INDEX_COLUMNS,
        {{"indexrelid", TYPE_OID}, {"indrelid", TYPE_OID}, {"indnatts", TYPE_INT2}, {"indisunique", TYPE_BOOL},
         {"indisprimary", TYPE_BOOL}, {"indkey", TYPE_TEXT}, {"indoption", TYPE_TEXT}, {"indnkeyatts", TYPE_INT2},
         {"indexprs", TYPE_TEXT}, {"indpred", TYPE_TEXT}},
        2, {{"pg_index_indexrelid_index", 2679, true, 1, {INDEX_OID}},
            {"pg_index_indrelid_index", 2678, false, 1, {INDEX_RELID}}}},
    [SYSTEM_CONSTRAINT] = {"pg_constraint", 2606, CONSTRAINT_COLUMNS,
        {{"oid", TYPE_OID}, {"conname", TYPE_TEXT}, {"connamespace", TYPE_OID}, {"contype", TYPE_TEXT}, {"conrelid", TYPE_OID},
         {"conindid", TYPE_OID}, {"conkey", TYPE_TEXT}, {"condeferrable", TYPE_BOOL}, {"condeferred", TYPE_BOOL},
         {"convalidated", TYPE_BOOL}, {"confrelid", TYPE_OID}, {"confkey", TYPE_TEXT}, {"confupdtype", TYPE_TEXT},
         {"confdeltype", TYPE_TEXT}, {"confmatchtype", TYPE_TEXT}, {"confdelsetcols", TYPE_TEXT}, {"conbin", TYPE_TEXT}},
        3, {{"pg_constraint_oid_index", 2667, true, 1, {CONSTRAINT_OID}},
            {"pg_constraint_conrelid_contypid_conname_index", 2665, true, 2, {CONSTRAINT_RELID, CONSTRAINT_NAME}},
            {"pg_constraint_confrelid_index", 2666, false, 1, {CONSTRAINT_FOREIGN_RELID}}}},
};

static int make_index(struct op *op, const struct system_index *spec, bool primary, struct table_def *table,
                      struct index_def *index)
{
    *index = (struct index_def){.oid = spec->oid, .name = spec->name, .unique = spec->unique, .primary = primary,
                                .column_count = spec->column_count, .predicate = -1};
    index->columns = op_arena_alloc(op, &table->arena, sizeof *index->columns * (size_t)spec->column_count);
    if (!index->columns)
        return OP_FAILED;
    for (int i = 0; i < spec->column_count; i++)
        index->columns[i].column = spec->columns[i];
    return 0;
}

static bool is_key_column(const struct system_spec *spec, int column)
{
    const struct system_index *primary = &spec->indexes[0];
    return column == primary->columns[0] || (primary->column_count > 1 && column == primary->columns[1]);
}

/* The definition, without the numbers of its trees. */
static int make_def(struct op *op, const struct system_spec *spec, struct table_def **out)
{
    struct table_def *table = catalog__new_def(op);
    *out = table;
    if (!table)
        return OP_FAILED;
    table->oid = spec->oid;
    table->schema = "pg_catalog";
    table->name = spec->name;
    table->system = table->has_primary = true;
    table->column_count = spec->column_count;
    table->columns = op_arena_alloc(op, &table->arena, sizeof *table->columns * (size_t)spec->column_count);
    table->index_count = spec->index_count;
    table->indexes = op_arena_alloc(op, &table->arena, sizeof *table->indexes * (size_t)spec->index_count);
    if (!table->columns || !table->indexes)
        return OP_FAILED;
    for (int i = 0; i < spec->column_count; i++)
        table->columns[i] = (struct column_def){.name = spec->columns[i].name, .number = i + 1,
                                                .type = {spec->columns[i].type, -1}, .not_null = is_key_column(spec, i)};
    for (int i = 0; i < spec->index_count; i++)
        if (make_index(op, &spec->indexes[i], i == 0, table, &table->indexes[i]) != 0)
            return OP_FAILED;
    row_settle(table);
    return 0;
}

struct probe {
    const struct row_reader *reader;
    struct vector *vectors;
    bool found;
};

/* Is this the row of schema pg_catalog? */
static int probe_row(void *arg, struct op *op, const struct btree_record *record)
{
    struct probe *probe = arg;
    if (!record || record->flags & (BTREE_GHOST | BTREE_OVERFLOW))
        return 0;
    if (row_decode(op, probe->reader, record->key, record->value, &op->arena, probe->vectors, 0) != 0) {
        if (strcmp(op->error.sqlstate, "XX001") != 0)
            return OP_FAILED;
        op_clear_error(op);     /* some other tree's record */
        return 0;
    }
    struct bytes name = probe->vectors[0].bytes[0];
    probe->found = !vector_is_null(&probe->vectors[0], 0) && name.len == 10 && memcmp(name.data, "pg_catalog", 10) == 0;
    return 0;
}

/* The number of pg_namespace's tree; 0 in a new store. */
static int find_first_tree(struct op *op, struct database *database, const struct table_def *namespace_def, TreeId *first)
{
    static const int wanted[] = {NAMESPACE_NAME};
    uint8_t key_bytes[32];
    struct key_builder builder;
    struct datum values[NAMESPACE_COLUMNS] = {datum_int(NAMESPACE_CATALOG), datum_text("")};
    struct row_reader *reader;
    struct vector vector;
    struct bytes key;

    *first = 0;
    key_init(&builder, key_bytes, sizeof key_bytes);
    if (row_encode_key(op, namespace_def, NULL, values, (struct bytes){NULL, 0}, 0, &builder) != 0 ||
        key_finish(op, &builder, &key) != 0 || row_reader_make(op, &op->arena, namespace_def, NULL, wanted, 1, &reader) != 0 ||
        vector_init(op, &op->arena, FORM_BYTES, &vector) != 0)
        return OP_FAILED;
    for (TreeId id = 1; id <= FIRST_TREE_TRIES && !*first; id++) {
        struct probe probe = {reader, &vector, false};
        struct btree *tree;
        if (btree_open(op, database->store, id, &tree) != 0) {
            if (strcmp(op->error.sqlstate, "XX000") != 0)
                return OP_FAILED;
            op_clear_error(op);
            continue;
        }
        vector.has_nulls = false;
        if (btree_get(op, tree, key, probe_row, &probe) != 0)
            return OP_FAILED;
        if (probe.found)
            *first = id;
    }
    return 0;
}

static int make_trees(struct op *op, struct database *database, int count, TreeId *first)
{
    for (int i = 0; i < count; i++) {
        TreeId made;
        if (btree_create(op, database->store, NULL, &made) != 0)
            return OP_FAILED;
        if (i == 0)
            *first = made;
        if (made != *first + (TreeId)i)
            return op_fail(op, "XX000", "the trees of the catalog could not be made one after the other");
    }
    return 0;
}

/* Numbers the trees from `first` on (S1). */
static int number_trees(struct database *database, TreeId first)
{
    TreeId next = first;
    for (int i = 0; i < SYSTEM_TABLE_COUNT; i++) {
        struct table_def *table = database->system[i];
        table->tree = next;
        for (int k = 0; k < table->index_count; k++)
            table->indexes[k].tree = next++;
    }
    return (int)(next - first);
}

static int insert_namespace(struct op *op, struct change *change, Oid oid, const char *name)
{
    struct datum values[NAMESPACE_COLUMNS] = {datum_int(oid), datum_text(name)};
    return change_insert(op, change, values);
}

static int insert_types(struct op *op, struct change *change)
{
    static const Oid types[] = {TYPE_BOOL, TYPE_BYTEA, TYPE_INT8, TYPE_INT2, TYPE_INT4, TYPE_TEXT, TYPE_OID, TYPE_FLOAT4, TYPE_FLOAT8,
                                TYPE_VARCHAR, TYPE_DATE, TYPE_TIME, TYPE_TIMESTAMP, TYPE_TIMESTAMPTZ, TYPE_INTERVAL, TYPE_NUMERIC};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        const struct type_info *info = type_info(types[i]);
        if (!info)
            continue;
        char category[2] = {info->category, '\0'};
        struct datum values[TYPE_ROW_COLUMNS] = {datum_int(info->oid), datum_text(info->pg_name), datum_int(NAMESPACE_CATALOG),
                                                 datum_int(info->length), datum_text("b"), datum_text(category)};
        if (change_insert(op, change, values) != 0)
            return OP_FAILED;
    }
    return 0;
}

/* Rows that every database has. */
static int insert_first_rows(struct op *op, struct database *database)
{
    struct change namespaces = {0}, types = {0};
    int result = OP_FAILED;

    if (change_open(op, &op->arena, database->reader, database->system[SYSTEM_NAMESPACE], &namespaces) == 0 &&
        change_open(op, &op->arena, database->reader, database->system[SYSTEM_TYPE], &types) == 0 &&
        insert_namespace(op, &namespaces, NAMESPACE_CATALOG, "pg_catalog") == 0 &&
        insert_namespace(op, &namespaces, NAMESPACE_PUBLIC, "public") == 0 && insert_types(op, &types) == 0)
        result = 0;
    change_close(&namespaces);
    change_close(&types);
    return result;
}

static int fill(struct op *op, struct database *database)
{
    struct catalog_row *rows;

    if (txn_begin(op, database->reader, TXN_READ_COMMITTED, false, false) != 0)
        return OP_FAILED;
    if (txn_statement_begin(op, database->reader) != 0 ||
        catalog__find(op, database, database->reader, SYSTEM_NAMESPACE, 0, NULL, 0, &rows) != 0 ||
        (!rows && insert_first_rows(op, database) != 0)) {
        txn_rollback(database->reader);
        return OP_FAILED;
    }
    txn_statement_end(database->reader);
    return txn_commit(op, database->reader);
}

int catalog__open(struct op *op, struct database *database)
{
    TreeId first;

    for (int i = 0; i < SYSTEM_TABLE_COUNT; i++)
        if (make_def(op, &specs[i], &database->system[i]) != 0)
            return OP_FAILED;
    int count = number_trees(database, 0);
    if (find_first_tree(op, database, database->system[SYSTEM_NAMESPACE], &first) != 0 ||
        (first == 0 && make_trees(op, database, count, &first) != 0))
        return OP_FAILED;
    number_trees(database, first);
    return fill(op, database);
}

void catalog__close(struct database *database)
{
    for (int i = 0; i < SYSTEM_TABLE_COUNT; i++)
        catalog_release(database->system[i]);
}

struct table_def *catalog__system_by_name(struct database *database, const char *name)
{
    for (int i = 0; i < SYSTEM_TABLE_COUNT; i++)
        if (strcmp(database->system[i]->name, name) == 0)
            return catalog_hold(database->system[i]);
    return NULL;
}

struct table_def *catalog__system_by_oid(struct database *database, Oid oid)
{
    for (int i = 0; i < SYSTEM_TABLE_COUNT; i++)
        if (database->system[i]->oid == oid)
            return catalog_hold(database->system[i]);
    return NULL;
}
