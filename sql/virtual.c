/*
 * virtual.c -- the list of virtual tables, and their definitions.
 */
#include <string.h>

#include "sql/session_int.h"
#include "sql/virtual.h"
#include "src/base/mem.h"

extern const struct virtual_table virtual_snapshots, virtual_transactions, virtual_version_store, virtual_log, virtual_scrub,
    virtual_damage;

static const struct virtual_table *const tables[] = {
    &virtual_snapshots, &virtual_transactions, &virtual_version_store, &virtual_log, &virtual_scrub, &virtual_damage,
};

const struct virtual_table *virtual_number(int i)
{
    return i >= 0 && (size_t)i < COUNT_OF(tables) ? tables[i] : NULL;
}

static int make_indexes(struct op *op, const struct virtual_table *spec, struct table_def *table)
{
    while (spec->indexes[table->index_count].name)
        table->index_count++;
    table->indexes = op_arena_alloc(op, &table->arena, sizeof *table->indexes * (size_t)(table->index_count + 1));
    if (!table->indexes)
        return OP_FAILED;
    for (int i = 0; i < table->index_count; i++) {
        const struct virtual_index *index = &spec->indexes[i];
        table->indexes[i] = (struct index_def){.name = index->name, .unique = !index->many, .column_count = index->column_count,
                                               .predicate = -1};
        table->indexes[i].columns = op_arena_alloc(op, &table->arena, sizeof(struct index_column) * VIRTUAL_KEY_MAX);
        if (!table->indexes[i].columns)
            return OP_FAILED;
        for (int k = 0; k < index->column_count; k++)
            table->indexes[i].columns[k].column = index->columns[k];
    }
    return 0;
}

static int make_def(struct op *op, const struct virtual_table *spec, struct table_def **out)
{
    struct table_def *table = *out = catalog__new_def(op);

    if (!table)
        return OP_FAILED;
    table->oid = spec->oid;
    table->schema = spec->schema;
    table->name = spec->name;
    table->system = true;
    table->rows = spec;
    table->column_count = spec->column_count;
    table->columns = op_arena_alloc(op, &table->arena, sizeof *table->columns * (size_t)spec->column_count);
    if (!table->columns)
        return OP_FAILED;
    for (int i = 0; i < spec->column_count; i++)
        table->columns[i] = (struct column_def){.name = spec->columns[i].name, .number = i + 1, .type = {spec->columns[i].type, -1}};
    return make_indexes(op, spec, table);
}

int virtual_open(struct op *op, struct database *database)
{
    database->virtuals = mem_calloc(COUNT_OF(tables), sizeof(struct table_def *));
    if (!database->virtuals)
        return op_out_of_memory(op);
    for (size_t i = 0; i < COUNT_OF(tables); i++)
        if (make_def(op, tables[i], &database->virtuals[i]) != 0)
            return OP_FAILED;
    return 0;
}

void virtual_close(struct database *database)
{
    for (size_t i = 0; database->virtuals && i < COUNT_OF(tables); i++)
        catalog_release(database->virtuals[i]);
    mem_free(database->virtuals);
}

struct table_def *virtual_by_name(struct database *database, const char *schema, const char *name)
{
    for (size_t i = 0; i < COUNT_OF(tables); i++)
        if (strcmp(tables[i]->name, name) == 0 && strcmp(tables[i]->schema, schema) == 0)
            return catalog_hold(database->virtuals[i]);
    return NULL;
}

struct table_def *virtual_by_oid(struct database *database, Oid oid)
{
    for (size_t i = 0; i < COUNT_OF(tables); i++)
        if (tables[i]->oid == oid)
            return catalog_hold(database->virtuals[i]);
    return NULL;
}
