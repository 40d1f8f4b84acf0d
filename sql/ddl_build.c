/*
 * ddl_build.c -- filling a new index: read the table, sort the entries, load them in order.
 *
 * Loading in order fills pages one after the other and never splits in the middle.  Entries are gathered in memory; when that is full they
 * are sorted and written out as a run, and in the end the runs are merged.
 *
 *      table  ->  [entries] sort -> run 1
 *                 [entries] sort -> run 2     merge by a heap  ->  txn_load
 *                 [entries] sort ----------/
 *
 * An entry stands in memory and in a run as: key length u32, value length u32, key, value.
 */
#include <stdlib.h>
#include <string.h>

#include "sql/ddl_int.h"
#include "src/base/endian.h"
#include "src/base/mem.h"

enum { ENTRY_HEAD_BYTES = 8, MEMORY_MIN_BYTES = 16 << 20 };

/* An entry in memory; the first bytes of the key decide most comparisons. */
struct entry {
    uint64_t prefix;
    const uint8_t *at;
};

/* A sorted sequence of entries: what is in memory, or a run. */
struct source {
    struct spill_run *run;          /* NULL: entries of the builder */
    uint8_t *buffer;                /* the current entry of a run; owned */
    size_t capacity;
    const uint8_t *at;              /* the current entry */
    size_t next;                    /* in memory: index of the entry after it */
};

struct builder {
    struct session *session;
    struct table_def *table;
    const struct index_def *index;
    struct btree *tree;
    struct row_reader *reader;
    struct vector *vectors;         /* one row each, for the columns of the index */
    int *wanted, wanted_count;      /* each column once, however often the index has it; with expressions: all columns */
    struct datum *values;           /* one per column of the table; those of the index are filled; behind them expressions */
    struct row_exprs *exprs;        /* NULL: the index has plain columns only */
    struct row_buffer entry;
    struct key_builder key;
    uint8_t key_bytes[256];
    struct arena texts;             /* decoded values, until the end of a leaf */
    uint8_t *data;                  /* gathered entries */
    size_t data_len, data_capacity, limit;
    struct entry *entries;
    size_t entry_count, entry_capacity;
    struct source *sources;
    int source_count, source_capacity;
};

static struct bytes entry_key(const uint8_t *at) { return (struct bytes){at + ENTRY_HEAD_BYTES, get_u32(at)}; }
static struct bytes entry_value(const uint8_t *at)
{
    return (struct bytes){at + ENTRY_HEAD_BYTES + get_u32(at), get_u32(at + 4)};
}
static size_t entry_size(const uint8_t *at) { return ENTRY_HEAD_BYTES + (size_t)get_u32(at) + get_u32(at + 4); }

static int compare_keys(struct bytes a, struct bytes b)
{
    int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* ---- gathering ------------------------------------------------------------------------------------ */

static int make_room(struct op *op, struct builder *builder, size_t more)
{
    if (builder->data_len + more > builder->data_capacity) {
        size_t capacity = builder->data_capacity * 2 > builder->data_len + more ? builder->data_capacity * 2
                                                                                 : builder->data_len + more + 65536;
        uint8_t *data = mem_realloc(builder->data, capacity);
        if (!data)
            return op_out_of_memory(op);
        builder->data = data;
        builder->data_capacity = capacity;
    }
    if (builder->entry_count == builder->entry_capacity) {
        size_t capacity = builder->entry_capacity ? builder->entry_capacity * 2 : 4096;
        struct entry *entries = mem_realloc(builder->entries, sizeof *entries * capacity);
        if (!entries)
            return op_out_of_memory(op);
        builder->entries = entries;
        builder->entry_capacity = capacity;
    }
    return 0;
}

/* The index's record for a row; *in: whether it has one. */
static int make_entry(struct op *op, struct builder *builder, const struct txn_row *row, struct bytes *key, struct bytes *value, bool *in)
{
    const struct index_def *index = builder->index;

    if (row_decode(op, builder->reader, row->key, row->value, &builder->texts, builder->vectors, 0) != 0)
        return OP_FAILED;
    for (int i = 0; i < builder->wanted_count; i++)
        vector_get(&builder->vectors[i], 0, &builder->values[builder->wanted[i]]);
    if (builder->exprs && row_exprs_extend(op, builder->exprs, builder->values, builder->values) != 0)
        return OP_FAILED;
    *in = row_in_index(index, builder->values);
    if (!*in)
        return 0;
    if (row_encode_key(op, builder->table, index, builder->values, row->key, 0, &builder->key) != 0 ||
        key_finish(op, &builder->key, key) != 0)
        return OP_FAILED;
    return row_encode_entry(op, builder->table, index, builder->values, row->key, &builder->entry, value);
}

/* Entries hold offsets until they are sorted, because the memory moves as it grows. */
static int gather(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    struct builder *builder = arg;
    struct arena_mark mark = arena_mark(&op->arena);
    struct bytes key, value;
    bool in;

    if (make_entry(op, builder, row, &key, &value, &in) != 0)
        return OP_FAILED;
    if (!in)
        return 0;
    size_t size = ENTRY_HEAD_BYTES + key.len + value.len;
    if (make_room(op, builder, size) != 0)
        return OP_FAILED;
    uint8_t *at = builder->data + builder->data_len;
    put_u32(at, (uint32_t)key.len);
    put_u32(at + 4, (uint32_t)value.len);
    memcpy(at + ENTRY_HEAD_BYTES, key.data, key.len);
    memcpy(at + ENTRY_HEAD_BYTES + key.len, value.data, value.len);
    builder->entry_count++;
    builder->data_len += size;
    *stop = builder->data_len >= builder->limit;
    arena_release(&op->arena, mark);
    return 0;
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->prefix != y->prefix)
        return x->prefix < y->prefix ? -1 : 1;
    return compare_keys(entry_key(x->at), entry_key(y->at));
}

static void sort(struct builder *builder)
{
    const uint8_t *at = builder->data;
    for (size_t i = 0; i < builder->entry_count; i++, at += entry_size(at)) {
        struct bytes key = entry_key(at);
        uint8_t first[8] = {0};
        memcpy(first, key.data, key.len < 8 ? key.len : 8);
        builder->entries[i] = (struct entry){__builtin_bswap64(get_u64(first)), at};
    }
    if (builder->entry_count > 0)
        qsort(builder->entries, builder->entry_count, sizeof *builder->entries, compare_entries);
}

/* ---- runs ----------------------------------------------------------------------------------------- */

static int add_source(struct op *op, struct builder *builder, struct source **source)
{
    if (builder->source_count == builder->source_capacity) {
        int capacity = builder->source_capacity ? builder->source_capacity * 2 : 8;
        struct source *sources = mem_realloc(builder->sources, sizeof *sources * (size_t)capacity);
        if (!sources)
            return op_out_of_memory(op);
        builder->sources = sources;
        builder->source_capacity = capacity;
    }
    *source = &builder->sources[builder->source_count++];
    **source = (struct source){0};
    return 0;
}

static int write_run(struct op *op, struct builder *builder)
{
    struct source *source;

    sort(builder);
    if (add_source(op, builder, &source) != 0 ||
        spill_run_open(op, builder->session->database->spill, &source->run) != 0)
        return OP_FAILED;
    for (size_t i = 0; i < builder->entry_count; i++)
        if (spill_write(op, source->run, builder->entries[i].at, entry_size(builder->entries[i].at)) != 0)
            return OP_FAILED;
    builder->entry_count = 0;
    builder->data_len = 0;
    return spill_rewind(op, source->run);
}

/* To the source's next entry; *end when there is none. */
static int advance(struct op *op, struct builder *builder, struct source *source, bool *end)
{
    uint8_t head[ENTRY_HEAD_BYTES];

    *end = false;
    if (!source->run) {
        *end = source->next >= builder->entry_count;
        if (!*end)
            source->at = builder->entries[source->next++].at;
        return 0;
    }
    if (spill_read(op, source->run, head, sizeof head, end) != 0 || *end)
        return *end ? 0 : OP_FAILED;
    size_t size = entry_size(head);
    if (size > source->capacity) {
        uint8_t *buffer = mem_realloc(source->buffer, size * 2);
        if (!buffer)
            return op_out_of_memory(op);
        source->buffer = buffer;
        source->capacity = size * 2;
    }
    memcpy(source->buffer, head, sizeof head);
    source->at = source->buffer;
    if (size == sizeof head)
        return 0;
    if (spill_read(op, source->run, source->buffer + sizeof head, size - sizeof head, end) != 0)
        return OP_FAILED;
    return *end ? op_fail(op, "XX000", "a run of an index build ends in the middle of an entry") : 0;
}

/* ---- loading -------------------------------------------------------------------------------------- */

static int fetch_row(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    struct builder *builder = arg;
    if (row_decode(op, builder->reader, row->key, row->value, &op->arena, builder->vectors, 0) != 0)
        return OP_FAILED;
    for (int i = 0; i < builder->wanted_count; i++)
        vector_get(&builder->vectors[i], 0, &builder->values[builder->wanted[i]]);
    return builder->exprs ? row_exprs_extend(op, builder->exprs, builder->values, builder->values) : 0;
}

static int report_duplicate(struct op *op, struct builder *builder, struct bytes entry_key, struct bytes entry_value)
{
    struct btree *tree;
    struct bytes primary_key;
    bool found;

    if (row_primary_key(op, builder->table, builder->index, entry_key, entry_value, &op->arena, &primary_key) != 0 ||
        btree_open(op, builder->session->database->store, builder->table->tree, &tree) != 0 ||
        txn_get(op, builder->session->txn, tree, primary_key, fetch_row, builder, &found) != 0)
        return OP_FAILED;
    const char *key = found ? change_key_text(op, builder->table, builder->index, builder->values) : NULL;
    op_fail(op, "23505", "could not create unique index \"%s\"", builder->index->name);
    if (key)
        op_detail(op, "%s is duplicated.", key);
    op_about(op, builder->table->schema, builder->table->name, NULL, builder->index->name);
    return OP_FAILED;
}

static int load(struct op *op, struct builder *builder, const uint8_t *at)
{
    bool added;
    if (txn_load(op, builder->session->txn, builder->tree, entry_key(at), entry_value(at), &added) != 0)
        return OP_FAILED;
    if (added)
        return 0;
    if (builder->index->unique)
        return report_duplicate(op, builder, entry_key(at), entry_value(at));
    return op_fail(op, "XX002", "table \"%s\" has two rows with one key", builder->table->name);
}

/* Restores the heap order downwards from `i`. */
static void sift(struct source **heap, int count, int i)
{
    for (;;) {
        int least = i;
        for (int child = 2 * i + 1; child <= 2 * i + 2 && child < count; child++)
            if (compare_keys(entry_key(heap[child]->at), entry_key(heap[least]->at)) < 0)
                least = child;
        if (least == i)
            return;
        struct source *swap = heap[i];
        heap[i] = heap[least];
        heap[least] = swap;
        i = least;
    }
}

static int merge(struct op *op, struct builder *builder)
{
    struct source *memory;
    int count = 0;
    bool end;

    sort(builder);
    if (add_source(op, builder, &memory) != 0)
        return OP_FAILED;
    struct source **heap = op_alloc(op, sizeof(struct source *) * (size_t)builder->source_count);
    if (!heap)
        return OP_FAILED;
    for (int i = 0; i < builder->source_count; i++) {
        if (advance(op, builder, &builder->sources[i], &end) != 0)
            return OP_FAILED;
        if (!end)
            heap[count++] = &builder->sources[i];
    }
    for (int i = count / 2 - 1; i >= 0; i--)
        sift(heap, count, i);
    for (uint64_t loaded = 0; count > 0; loaded++) {
        if (load(op, builder, heap[0]->at) != 0 || advance(op, builder, heap[0], &end) != 0)
            return OP_FAILED;
        if (end)
            heap[0] = heap[--count];
        sift(heap, count, 0);
        if (loaded % 1024 == 0 && op_check_cancel(op) != 0)
            return OP_FAILED;
    }
    return 0;
}

/* ---- the whole ------------------------------------------------------------------------------------ */

static int scan_table(struct op *op, struct builder *builder)
{
    struct btree_range everything = {.low_inclusive = true};
    struct txn_scan scan;
    struct btree *tree;
    bool more = true;
    int result = 0;

    if (btree_open(op, builder->session->database->store, builder->table->tree, &tree) != 0)
        return OP_FAILED;
    txn_scan_open(&scan, builder->session->txn, tree, &everything, false);
    while (more && result == 0) {
        result = txn_scan_next(op, &scan, gather, builder, &more);
        arena_reset(&builder->texts);
        if (result == 0)
            result = op_check_cancel(op);
        if (result == 0 && builder->data_len >= builder->limit)
            result = write_run(op, builder);
    }
    txn_scan_close(&scan);
    return result;
}

static bool has_expressions(const struct table_def *table, const struct index_def *index)
{
    bool found = index->predicate >= 0;
    for (int i = 0; i < index->column_count; i++)
        found |= index->columns[i].column >= table->column_count;
    return found;
}

static int want(struct op *op, struct builder *builder, int column)
{
    struct vector *vector = &builder->vectors[builder->wanted_count];

    for (int k = 0; k < builder->wanted_count; k++)
        if (builder->wanted[k] == column)
            return 0;
    builder->wanted[builder->wanted_count++] = column;
    vector->form = type_form(builder->table->columns[column].type.oid);
    vector->has_nulls = true;
    vector->nulls = op_calloc(op, 1);
    vector->data = op_calloc(op, sizeof(struct bytes));
    return vector->nulls && vector->data ? 0 : OP_FAILED;
}

static int prepare(struct op *op, struct builder *builder)
{
    const struct index_def *index = builder->index;
    struct table_def *table = builder->table;
    bool all = has_expressions(table, index);
    size_t columns = (size_t)catalog_value_count(table) + 1;

    builder->wanted = op_calloc(op, sizeof *builder->wanted * columns);
    builder->vectors = op_calloc(op, sizeof *builder->vectors * columns);
    builder->values = op_calloc(op, sizeof *builder->values * columns);
    if (!builder->wanted || !builder->vectors || !builder->values)
        return OP_FAILED;
    for (int i = 0; i < (all ? table->column_count : index->column_count + index->include_count); i++)
        if (want(op, builder, all ? i : index->columns[i].column) != 0)
            return OP_FAILED;
    if (all && row_exprs_open(op, builder->session, &op->arena, table, &builder->exprs) != 0)
        return OP_FAILED;
    if (row_reader_make(op, &op->arena, table, NULL, builder->wanted, builder->wanted_count, &builder->reader) != 0)
        return OP_FAILED;
    return btree_open(op, builder->session->database->store, index->tree, &builder->tree);
}

int ddl__build_index(struct op *op, struct session *session, struct table_def *table, const struct index_def *index)
{
    struct builder builder = {.session = session, .table = table, .index = index};
    uint64_t work_mem = session->plan_options.work_mem;

    builder.limit = work_mem > MEMORY_MIN_BYTES ? work_mem : MEMORY_MIN_BYTES;
    key_init(&builder.key, builder.key_bytes, sizeof builder.key_bytes);
    arena_init(&builder.texts);
    int result = prepare(op, &builder);
    if (result == 0)
        result = scan_table(op, &builder);
    if (result == 0)
        result = merge(op, &builder);
    for (int i = 0; i < builder.source_count; i++) {
        spill_run_close(builder.sources[i].run);
        mem_free(builder.sources[i].buffer);
    }
    mem_free(builder.sources);
    mem_free(builder.entries);
    mem_free(builder.data);
    key_free(&builder.key);
    row_buffer_free(&builder.entry);
    row_exprs_close(builder.exprs);
    arena_free(&builder.texts);
    return result;
}
