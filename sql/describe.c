/*
 * describe.c -- what trees, keys and tables of the layers below are called by those who made them.
 *
 *      tree 71, key 80 00 00 05    ->    row (id)=(5) of table "account"
 *
 * For error details only, told by the newest definitions that the cache knows; nothing is read for it, so it waits for nobody.
 */
#include "sql/catalog_int.h"
#include "sql/numeric.h"

enum { TEXT_MAX = 200 };

/* With a reference; *index is NULL for the table's own tree. */
static struct table_def *match_tree(struct table_def *table, TreeId tree, const struct index_def **index)
{
    *index = NULL;
    if (table->tree == tree)
        return catalog_hold(table);
    for (int i = table->has_primary; i < table->index_count; i++)
        if (table->indexes[i].tree == tree) {
            *index = &table->indexes[i];
            return catalog_hold(table);
        }
    return NULL;
}

static struct table_def *find_table(struct database *database, const struct txn_thing *thing, const struct index_def **index)
{
    struct table_def *found = NULL;

    *index = NULL;
    for (int i = 0; !found && i < SYSTEM_TABLE_COUNT; i++) {
        struct table_def *table = database->system[i];
        found = !table ? NULL : thing->row ? match_tree(table, thing->tree, index)
                                           : table->oid == thing->table ? catalog_hold(table) : NULL;
    }
    os_mutex_lock(&database->latch);
    for (int i = 0; !found && i < CATALOG_BUCKETS; i++)
        for (struct catalog_entry *entry = database->entries[i]; !found && entry; entry = entry->next) {
            struct table_def *table = entry->newest;
            found = !table ? NULL : thing->row ? match_tree(table, thing->tree, index)
                                               : table->oid == thing->table ? catalog_hold(table) : NULL;
        }
    os_mutex_unlock(&database->latch);
    return found;
}

static bool read_bytes(struct op *op, struct key_reader *reader, Oid type, int flags, struct datum *value)
{
    size_t room = (size_t)(reader->end - reader->at) + 1, count;
    enum key_decimal_kind kind;
    int32_t weight;
    void *to = arena_alloc(&op->arena, room * sizeof(uint32_t));

    if (!to)
        return false;
    if (type == TYPE_NUMERIC)
        return key_get_decimal(reader, flags, &kind, &weight, to, &count) &&
               numeric_from_key(op, &op->arena, kind, weight, to, count, -1, &value->s) == 0;
    value->s.data = to;
    return key_get_bytes(reader, flags, to, &value->s.len);
}

static bool read_column(struct op *op, struct key_reader *reader, Oid type, int flags, struct datum *value)
{
    *value = (struct datum){.null = false};
    if (!key_get_null(reader, flags, &value->null))
        return false;
    if (value->null)
        return true;
    switch (type_form(type)) {
    case FORM_BOOL: return key_get_bool(reader, flags, &value->b);
    case FORM_INT64: return key_get_int(reader, flags, &value->i);
    case FORM_DOUBLE: return key_get_double(reader, flags, &value->d);
    case FORM_BYTES: break;
    }
    return read_bytes(op, reader, type, flags, value);
}

static const char *value_text(struct op *op, struct sql_type type, const struct datum *value)
{
    struct bytes text;

    if (value->null)
        return "null";
    if (type_print(op, type, value, &op->arena, &text) != 0)
        return NULL;
    size_t len = text.len < TEXT_MAX ? text.len : TEXT_MAX;
    while (len < text.len && len > 0 && (text.data[len] & 0xc0) == 0x80)
        len--;
    return arena_printf(&op->arena, "%.*s%s", (int)len, (const char *)text.data, len < text.len ? "..." : "");
}

/* "(a, b)=(1, x)"; NULL when the key is not what the definition says. */
static const char *key_text(struct op *op, const struct table_def *table, const struct index_def *index, struct bytes key)
{
    struct key_reader reader = {key.data, key.data + key.len};
    const char *names = "", *values = "";

    for (int i = 0; names && values && i < index->column_count; i++) {
        const struct index_column *at = &index->columns[i];
        const struct column_def *column = &table->columns[at->column];
        int flags = (at->descending ? KEY_DESCENDING : 0) | (at->nulls_first ? KEY_NULLS_FIRST : 0);
        struct datum value;
        const char *text = read_column(op, &reader, column->type.oid, flags, &value) ? value_text(op, column->type, &value) : NULL;
        const char *comma = i ? ", " : "";
        names = arena_printf(&op->arena, "%s%s%s", names, comma, at->column < table->column_count ? column->name : column->default_sql);
        values = text ? arena_printf(&op->arena, "%s%s%s", values, comma, text) : NULL;
    }
    return names && values ? arena_printf(&op->arena, "(%s)=(%s)", names, values) : NULL;
}

static const char *row_text(struct op *op, const struct table_def *table, const struct index_def *index, struct bytes key)
{
    const struct index_def *by = index ? index : table->has_primary ? &table->indexes[0] : NULL;
    struct key_reader reader = {key.data, key.data + key.len};
    struct datum row_id;

    if (!by)
        return read_column(op, &reader, TYPE_INT8, 0, &row_id)
                   ? arena_printf(&op->arena, "row %lld of table \"%s\"", (long long)row_id.i, table->name) : NULL;
    const char *text = key_text(op, table, by, key);
    if (!text)
        return NULL;
    return index ? arena_printf(&op->arena, "key %s of index \"%s\" of table \"%s\"", text, index->name, table->name)
                 : arena_printf(&op->arena, "row %s of table \"%s\"", text, table->name);
}

const char *catalog__describe(void *arg, struct op *op, const struct txn_thing *thing)
{
    const struct index_def *index;
    struct table_def *table = find_table(arg, thing, &index);
    const char *text = NULL;
    struct op scratch;

    if (!table)
        return NULL;
    op_init(&scratch);
    if (!thing->row)
        text = arena_printf(&scratch.arena, "table \"%s\"", table->name);
    else if (!(text = row_text(&scratch, table, index, thing->key)))
        text = arena_printf(&scratch.arena, "a row of table \"%s\"", table->name);
    text = text ? arena_strdup(&op->arena, text) : NULL;
    op_end(&scratch);
    catalog_release(table);
    return text;
}
