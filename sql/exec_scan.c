/*
 * exec_scan.c -- reading a table: whole, by ranges of a key, or by points.
 *
 * Rows are decoded inside the visit callback, under the leaf's latch and straight into the batch's vectors; only columns that somebody
 * needs.  Then the pushed-down conditions narrow the batch.  Four ways, by what the plan says:
 *
 *      the table's own tree, ranges of it          one visit per row
 *      an index that holds all columns             the same, over the index's records
 *      an index, then the rows                     the batch's primary keys are collected first (no call into txn/ is
 *                                                  allowed under a latch), then each row is fetched by txn_get
 *      a complete unique key                       txn_get alone: no cursor, no position to keep
 *
 * Under a LIMIT the first batches are small: a scan without a condition reads exactly what is asked for, one with a condition begins
 * there and reads eight times as much with each further batch.
 */
#include <string.h>

#include "sql/exec_int.h"

struct scan_operator {
    struct operator base;
    struct btree *tree;             /* of the index, or the table's */
    struct btree *rows;             /* the table's, when the rows have to be fetched; else NULL */
    struct row_reader *reader;
    struct key_ranges ranges;
    int range_at;                   /* next range to open */
    bool scanning;
    struct txn_scan scan;
    struct btree_range range;       /* the one being scanned */
    int most;                       /* rows of this batch */
    int next_most;
    struct bytes *keys;             /* primary keys collected for this batch */
    int key_count;
};

static int decode_row(struct scan_operator *s, struct op *op, struct bytes key, struct bytes value)
{
    struct operator *o = &s->base;
    int row = o->out.count;

    if (row_decode(op, s->reader, key, value, &o->results, o->out.vectors, row))
        return OP_FAILED;
    if (o->node->scan.with_key) {
        uint8_t *copy = arena_alloc(&o->results, key.len + 1);
        if (!copy)
            return op_out_of_memory(op);
        memcpy(copy, key.data, key.len);
        o->out.vectors[o->node->column_count - 1].bytes[row] = (struct bytes){ copy, key.len };
    }
    o->out.count++;
    return OP_OK;
}

static int visit_row(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    struct scan_operator *s = arg;

    if (decode_row(s, op, row->key, row->value))
        return OP_FAILED;
    *stop = s->base.out.count >= s->most;
    return OP_OK;
}

static int visit_entry(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    struct scan_operator *s = arg;
    const struct plan_node *node = s->base.node;

    if (row_primary_key(op, node->scan.table, node->scan.index, row->key, row->value, &s->base.results, &s->keys[s->key_count]))
        return OP_FAILED;
    s->key_count++;
    *stop = s->key_count >= s->most;
    return OP_OK;
}

static int fetch_rows(struct op *op, struct scan_operator *s)
{
    struct txn_session *session = s->base.execution->txn;

    for (int i = 0; i < s->key_count; i++) {
        bool found;
        if (txn_get(op, session, s->rows, s->keys[i], visit_row, s, &found))
            return OP_FAILED;
        if (!found) {
            const struct plan_node *node = s->base.node;
            op_fail(op, "XX001", "index \"%s\" has an entry for a row that is not in table \"%s\"", node->scan.index->name,
                    node->scan.table->name);
            op_about(op, node->scan.table->schema, node->scan.table->name, NULL, NULL);
            return OP_FAILED;
        }
    }
    s->key_count = 0;
    return OP_OK;
}

static void open_range(struct scan_operator *s)
{
    const struct plan_node *node = s->base.node;
    int at = node->scan.backward ? s->ranges.count - 1 - s->range_at : s->range_at;

    s->range_at++;
    s->range = s->ranges.ranges[at];
    if (s->range.low.len == 0)
        s->range.low.data = NULL;
    txn_scan_open(&s->scan, s->base.execution->txn, s->tree, &s->range, node->scan.backward);
    s->scanning = true;
}

static void close_range(struct scan_operator *s)
{
    if (s->scanning)
        txn_scan_close(&s->scan);
    s->scanning = false;
}

static int fill_point(struct op *op, struct scan_operator *s)
{
    struct txn_session *session = s->base.execution->txn;
    txn_row_visit visit = s->rows ? visit_entry : visit_row;

    while (s->range_at < s->ranges.count && s->base.out.count + s->key_count < s->most) {
        const struct plan_node *node = s->base.node;
        int at = node->scan.backward ? s->ranges.count - 1 - s->range_at : s->range_at;
        bool found;
        s->range_at++;
        if (txn_get(op, session, s->tree, s->ranges.ranges[at].low, visit, s, &found))
            return OP_FAILED;
    }
    return s->key_count ? fetch_rows(op, s) : OP_OK;
}

static int fill_ranges(struct op *op, struct scan_operator *s)
{
    txn_row_visit visit = s->rows ? visit_entry : visit_row;

    while (s->base.out.count + s->key_count < s->most) {
        bool more;
        if (!s->scanning) {
            if (s->range_at == s->ranges.count)
                break;
            open_range(s);
        }
        if (txn_scan_next(op, &s->scan, visit, s, &more))
            return OP_FAILED;
        if (!more)
            close_range(s);
    }
    return s->key_count ? fetch_rows(op, s) : OP_OK;
}

static void clear_batch(struct operator *o)
{
    arena_reset(&o->results);
    for (int i = 0; i < o->out.columns; i++) {
        struct vector *vector = &o->out.vectors[i];
        if (vector->has_nulls)
            memset(vector->nulls, 0, BATCH_ROWS);
        vector->has_nulls = false;
    }
    o->out.count = 0;
    o->out.selection = NULL;
}

static int scan_start(struct op *op, struct operator *o)
{
    struct scan_operator *s = (struct scan_operator *)o;

    close_range(s);
    s->range_at = 0;
    s->key_count = 0;
    s->next_most = 0;
    arena_reset(&o->results);
    return exec__ranges_compute(op, exec__env(o), &s->ranges);
}

static int scan_next(struct op *op, struct operator *o, int goal, struct batch **batch)
{
    struct scan_operator *s = (struct scan_operator *)o;

    *batch = NULL;
    do {
        if (op_check_cancel(op))
            return OP_FAILED;
        clear_batch(o);
        s->most = goal < BATCH_ROWS ? goal : BATCH_ROWS;
        if (s->most < s->next_most)
            s->most = s->next_most;
        if (o->filter)
            s->next_most = s->most * 8 < BATCH_ROWS ? s->most * 8 : BATCH_ROWS;
        if (o->node->scan.point ? fill_point(op, s) : fill_ranges(op, s))
            return OP_FAILED;
        o->out.selected = o->out.count;
        if (exec__filter(op, o))
            return OP_FAILED;
    } while (o->out.count && o->out.selected == 0);
    if (o->out.count)
        *batch = &o->out;
    return OP_OK;
}

static void scan_stop(struct operator *o)
{
    struct scan_operator *s = (struct scan_operator *)o;

    close_range(s);
    if (s->ranges.arena.total > 64 * 1024)
        arena_free(&s->ranges.arena);
}

static void scan_free(struct operator *o)
{
    scan_stop(o);
    exec__ranges_free(&((struct scan_operator *)o)->ranges);
}

static const struct operator_methods scan_methods = { scan_start, scan_next, scan_stop, scan_free };

int exec__make_scan(struct op *op, struct execution *execution, const struct plan_node *node, struct operator **result)
{
    struct scan_operator *s;
    struct store *store = txn_manager_store(txn_session_manager(execution->txn));
    const struct table_def *table = node->scan.table;
    const struct index_def *index = node->scan.index;
    bool fetch = index && index->tree != table->tree && !node->scan.index_only;

    if (exec__new(op, execution, node, sizeof *s, &scan_methods, &s))
        return OP_FAILED;
    enum type_form *forms = exec__forms(op, &execution->arena, node->types, node->column_count);
    if (!forms || batch_init(op, &execution->arena, node->column_count, forms, &s->base.out))
        return OP_FAILED;
    if (btree_open(op, store, index ? index->tree : table->tree, &s->tree))
        return OP_FAILED;
    if (fetch) {
        s->keys = op_arena_alloc(op, &execution->arena, BATCH_ROWS * sizeof *s->keys);
        if (!s->keys || btree_open(op, store, table->tree, &s->rows))
            return OP_FAILED;
    }
    if (row_reader_make(op, &execution->arena, table, node->scan.index_only ? index : NULL, node->scan.wanted,
                        node->scan.wanted_count, &s->reader)
        || exec__ranges_make(op, execution, node, &s->ranges))
        return OP_FAILED;
    *result = &s->base;
    return OP_OK;
}
