/*
 * exec_virtual.c -- reading a virtual table: its rows are made once per run, kept, and sorted when they are looked up by key.
 *
 * A scan of the whole table hands the rows up as they were put.  A scan by an index encodes each row's key, as a real index would, and sorts
 * the rows by it: the intervals that the planner made are then searched for in that array.  So the inner side of a nested loop, which is
 * started for each outer row, costs one production, one sort and a binary search each time.
 *
 *      first start     one point is asked for: it is told to the table, whose rows for that value alone may do
 *      second start    with another one: all rows are made, and stay until the run ends
 */
#include <stdlib.h>
#include <string.h>

#include "sql/exec_int.h"
#include "sql/virtual.h"

struct kept_row {
    struct bytes key;               /* of the index; empty without one */
    struct datum *values;
};

struct virtual_rows {
    struct session *session;
    const struct plan_node *node;
    int wanted_column;              /* -1: none is told */
    struct datum wanted;
    struct arena arena;             /* rows, keys and bytes */
    struct kept_row *rows;
    int count, capacity;
    struct key_builder key;
    uint8_t key_bytes[128];
};

struct virtual_operator {
    struct operator base;
    struct virtual_rows rows;
    struct key_ranges ranges;
    uint64_t run;                   /* in which the rows were made */
    bool made, complete;
    int range_at;                   /* next range to open */
    int at, end;                    /* of the one being read; backward: from `end` down to `at` */
};

/* ---- for those who make rows ------------------------------------------------------------------------ */

struct session *virtual_session(const struct virtual_rows *rows)
{
    return rows->session;
}

const struct datum *virtual_wanted(const struct virtual_rows *rows, int column)
{
    return rows->wanted_column == column ? &rows->wanted : NULL;
}

static int keep_values(struct op *op, struct virtual_rows *rows, const struct datum *values, struct kept_row *row)
{
    const struct table_def *table = rows->node->scan.table;

    row->values = op_arena_alloc(op, &rows->arena, sizeof *row->values * (size_t)table->column_count);
    if (!row->values)
        return OP_FAILED;
    memcpy(row->values, values, sizeof *row->values * (size_t)table->column_count);
    for (int i = 0; i < table->column_count; i++) {
        struct bytes *bytes = &row->values[i].s;
        if (row->values[i].null || type_form(table->columns[i].type.oid) != FORM_BYTES)
            continue;
        uint8_t *copy = op_arena_alloc(op, &rows->arena, bytes->len + 1);
        if (!copy)
            return OP_FAILED;
        if (bytes->len)
            memcpy(copy, bytes->data, bytes->len);
        bytes->data = copy;
    }
    return OP_OK;
}

static int make_key(struct op *op, struct virtual_rows *rows, struct kept_row *row)
{
    const struct table_def *table = rows->node->scan.table;
    const struct index_def *index = rows->node->scan.index;
    struct bytes key;

    key_reset(&rows->key);
    for (int i = 0; index && i < index->column_count; i++) {
        int column = index->columns[i].column;
        if (row->values[column].null)
            key_put_null(&rows->key, 0);
        else if (row_encode_datum(op, table->columns[column].type.oid, &row->values[column], 0, &rows->key))
            return OP_FAILED;
    }
    if (key_finish(op, &rows->key, &key))
        return OP_FAILED;
    uint8_t *copy = op_arena_alloc(op, &rows->arena, key.len + 1);
    if (!copy)
        return OP_FAILED;
    if (key.len)
        memcpy(copy, key.data, key.len);
    row->key = (struct bytes){ copy, key.len };
    return OP_OK;
}

int virtual_put(struct op *op, struct virtual_rows *rows, const struct datum *values)
{
    struct kept_row row;

    if (rows->count % BATCH_ROWS == 0 && op_check_cancel(op))
        return OP_FAILED;
    if (rows->count == rows->capacity) {
        int capacity = rows->capacity ? 2 * rows->capacity : 64;
        struct kept_row *grown = op_arena_alloc(op, &rows->arena, sizeof *grown * (size_t)capacity);
        if (!grown)
            return OP_FAILED;
        if (rows->count)
            memcpy(grown, rows->rows, sizeof *grown * (size_t)rows->count);
        rows->rows = grown;
        rows->capacity = capacity;
    }
    if (keep_values(op, rows, values, &row) || make_key(op, rows, &row))
        return OP_FAILED;
    rows->rows[rows->count++] = row;
    return OP_OK;
}

/* ---- making and finding rows ------------------------------------------------------------------------ */

static int compare_keys(struct bytes a, struct bytes b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.data, b.data, len) : 0;

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_rows(const void *a, const void *b)
{
    return compare_keys(((const struct kept_row *)a)->key, ((const struct kept_row *)b)->key);
}

/* Whether all that is asked for has one value of the index's first column; then the table is told. */
static bool tell_wanted(struct virtual_operator *v)
{
    const struct plan_node *node = v->base.node;
    struct virtual_rows *rows = &v->rows;

    rows->wanted_column = -1;
    if (!node->scan.part_count || node->scan.parts[0].count != 1 || node->scan.parts[0].intervals[0].kind != INTERVAL_POINT)
        return false;
    rows->wanted_column = node->scan.index->columns[0].column;
    rows->wanted = v->ranges.values[0];
    return !rows->wanted.null;
}

/* W1: the rows are there once they have been made in this run, unless only those of another value were. */
static int make_rows(struct op *op, struct virtual_operator *v)
{
    struct virtual_rows *rows = &v->rows;
    bool again = v->made && v->run == v->base.execution->run;

    if (again && v->complete)
        return OP_OK;
    arena_reset(&rows->arena);
    rows->rows = NULL;
    rows->count = rows->capacity = 0;
    v->made = false;
    v->complete = again || !tell_wanted(v);
    if (v->complete)
        rows->wanted_column = -1;
    if (v->base.node->scan.table->rows->put(op, rows))
        return OP_FAILED;
    if (v->base.node->scan.index && rows->count)
        qsort(rows->rows, (size_t)rows->count, sizeof *rows->rows, compare_rows);
    v->made = true;
    v->run = v->base.execution->run;
    return OP_OK;
}

/* The first row whose key is not below. */
static int lower_bound(const struct virtual_rows *rows, struct bytes key)
{
    int low = 0, high = rows->count;

    while (low < high) {
        int middle = low + (high - low) / 2;
        if (compare_keys(rows->rows[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The next range's rows; false when there is no range left. */
static bool open_range(struct virtual_operator *v)
{
    if (v->range_at == v->ranges.count)
        return false;
    int i = v->base.node->scan.backward ? v->ranges.count - 1 - v->range_at : v->range_at;
    const struct btree_range *range = &v->ranges.ranges[i];
    v->range_at++;
    v->at = range->low.len ? lower_bound(&v->rows, range->low) : 0;
    v->end = range->high.data ? lower_bound(&v->rows, range->high) : v->rows.count;
    return true;
}

/* ---- the operator ----------------------------------------------------------------------------------- */

static int virtual_start(struct op *op, struct operator *o)
{
    struct virtual_operator *v = (struct virtual_operator *)o;

    v->range_at = v->at = v->end = 0;
    arena_reset(&o->results);
    return exec__ranges_compute(op, exec__env(o), &v->ranges) || (v->ranges.count && make_rows(op, v)) ? OP_FAILED : OP_OK;
}

static void fill(struct virtual_operator *v, int most)
{
    struct operator *o = &v->base;

    exec__clear_nulls(&o->out);
    o->out.selection = NULL;
    o->out.count = 0;
    while (o->out.count < most) {
        if (v->at >= v->end) {
            if (!open_range(v))
                break;
            continue;
        }
        const struct kept_row *row = &v->rows.rows[o->node->scan.backward ? --v->end : v->at++];
        for (int i = 0; i < o->node->scan.wanted_count; i++)
            vector_set(&o->out.vectors[i], o->out.count, &row->values[o->node->scan.wanted[i]]);
        o->out.count++;
    }
    o->out.selected = o->out.count;
}

static int virtual_next(struct op *op, struct operator *o, int goal, struct batch **batch)
{
    struct virtual_operator *v = (struct virtual_operator *)o;

    *batch = NULL;
    do {
        fill(v, goal < BATCH_ROWS && !o->filter ? goal : BATCH_ROWS);
        arena_reset(&o->results);
        if (exec__filter(op, o) || op_check_cancel(op))
            return OP_FAILED;
    } while (o->out.count && !o->out.selected);
    if (o->out.count)
        *batch = &o->out;
    return OP_OK;
}

static void virtual_stop(struct operator *o)
{
    struct virtual_operator *v = (struct virtual_operator *)o;

    v->made = false;
    arena_free(&v->rows.arena);
}

static void virtual_free(struct operator *o)
{
    struct virtual_operator *v = (struct virtual_operator *)o;

    arena_free(&v->rows.arena);
    key_free(&v->rows.key);
    exec__ranges_free(&v->ranges);
}

static const struct operator_methods virtual_methods = { virtual_start, virtual_next, virtual_stop, virtual_free };

int exec__make_virtual(struct op *op, struct execution *execution, const struct plan_node *node, struct operator **result)
{
    struct virtual_operator *v;

    if (exec__new(op, execution, node, sizeof *v, &virtual_methods, &v))
        return OP_FAILED;
    v->rows.session = execution->session;
    v->rows.node = node;
    arena_init(&v->rows.arena);
    key_init(&v->rows.key, v->rows.key_bytes, sizeof v->rows.key_bytes);
    if (exec__ranges_make(op, execution, node, &v->ranges))
        return OP_FAILED;
    *result = &v->base;
    return exec__make_out(op, &v->base);
}
