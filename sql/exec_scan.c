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
 * At SERIALIZABLE each of them tells txn/ what it reads (footprint.c).  Rows that an index leads to need no record of their own: a writer is
 * held against what was read of the index, also when it leaves the index's key alone.  An entry of an index that the snapshot does not
 * see tells only that there is something new about its row; whether that matters is asked of the row itself, after the leaf.
 *
 * Under a LIMIT the first batches are small: a scan without a condition reads exactly what is asked for, one with a condition begins
 * there and reads eight times as much with each further batch.
 */
#include <string.h>

#include "sql/change.h"
#include "sql/exec_int.h"
#include "sql/footprint.h"
#include "src/base/planted.h"

struct scan_operator {
    struct operator base;
    struct btree *tree;             /* of the index, or the table's */
    struct btree *rows;             /* the table's, when `tree` is of an index beside it; else NULL */
    struct row_reader *reader;
    struct key_ranges ranges;
    int range_at;                   /* next range to open */
    bool scanning;
    struct txn_scan scan;
    struct btree_range range;       /* the one being scanned */
    int most;                       /* rows of this batch */
    int next_most;
    struct bytes *keys;             /* primary keys collected for this batch, when rows have to be fetched; else NULL */
    int key_count;
    struct footprint *footprint;    /* made by the first run that needs it */
    bool watching;
    struct footprint_restriction restriction;
    struct footprint_keys *supplied;    /* for the next start */
    struct txn_watch watch;         /* of the tree that is scanned */
    struct txn_watch row_watch;     /* of rows to which an index has led */
    struct newer_key { struct newer_key *next; struct bytes key; } *newer;      /* rows of entries that are too new, in the op's arena */
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

/* ---- what the snapshot does not see --------------------------------------------------------------- */

static int newer_row(void *arg, struct op *op, struct bytes key, const struct bytes *before, const struct bytes *after, bool *matters)
{
    struct scan_operator *s = arg;

    return footprint_judge(op, s->footprint, key, before, after, matters);
}

static int newer_in_words(void *arg, struct bytes key, struct bytes value, char *text, size_t size)
{
    const struct scan_operator *s = arg;

    return change_describe_record(s->base.node->scan.table, key, value, text, size);
}

static int newer_image(struct op *op, struct scan_operator *s, struct bytes key, const struct bytes *value)
{
    const struct plan_node *node = s->base.node;

    if (!value)
        return OP_OK;
    struct newer_key *newer = op_alloc(op, sizeof *newer);
    if (!newer || row_primary_key(op, node->scan.table, node->scan.index, key, *value, &op->arena, &newer->key))
        return OP_FAILED;
    newer->next = s->newer;
    s->newer = newer;
    return OP_OK;
}

static int newer_entry(void *arg, struct op *op, struct bytes key, const struct bytes *before, const struct bytes *after, bool *matters)
{
    *matters = false;
    if (PLANTED("ssi-moved-entry-passed"))
        return OP_OK;
    return newer_image(op, arg, key, before) || newer_image(op, arg, key, after) ? OP_FAILED : OP_OK;
}

/* Without latches: what is new about the rows of entries that were too new? */
static int look_at_newer(struct op *op, struct scan_operator *s)
{
    while (s->newer) {
        struct newer_key *newer = s->newer;
        s->newer = newer->next;
        if (txn_look(op, s->base.execution->txn, s->rows, newer->key, &s->row_watch))
            return OP_FAILED;
    }
    return OP_OK;
}

bool exec__scan_restrict(struct op *op, struct operator *scan, int count, struct expr *const *keys, const Oid *types)
{
    struct scan_operator *s = (struct scan_operator *)scan;
    const struct plan_node *node = scan->node;
    struct arena *arena = &scan->execution->arena;
    int *columns = op_arena_alloc(op, arena, (size_t)count * sizeof *columns);
    Oid *kept = op_arena_alloc(op, arena, (size_t)count * sizeof *kept);

    if (!columns || !kept)
        return false;
    for (int i = 0; i < count; i++) {
        const struct expr *key = plan__bare(keys[i]);
        if (key->kind != EXPR_SLOT || key->slot >= node->scan.wanted_count
            || !plan__same_key_class(node->scan.table->columns[node->scan.wanted[key->slot]].type.oid, types[i]))
            return false;
        columns[i] = node->scan.wanted[key->slot];
        kept[i] = types[i];
    }
    s->restriction = (struct footprint_restriction){ count, columns, kept };
    return true;
}

void exec__scan_supply(struct operator *scan, struct footprint_keys *keys)
{
    struct scan_operator *s = (struct scan_operator *)scan;

    footprint_keys_free(s->supplied);
    s->supplied = keys;
}

static int watch(struct op *op, struct scan_operator *s)
{
    const struct plan_node *node = s->base.node;
    struct footprint_keys *supplied = s->supplied;

    s->newer = NULL;
    s->watching = node->scan.footprint && txn_records_reads(s->base.execution->txn);
    if (!s->watching)
        return OP_OK;
    if (!s->footprint && footprint_make(op, node, &s->restriction, txn_statement(s->base.execution->txn), &s->footprint))
        return OP_FAILED;
    s->supplied = NULL;
    if (footprint_predicate(op, s->footprint, &s->base.execution->env, supplied, &s->watch.predicate))
        return OP_FAILED;
    s->watch.newer = s->rows ? newer_entry : newer_row;
    s->watch.describe = s->rows ? NULL : newer_in_words;
    s->row_watch = (struct txn_watch){ .predicate = s->watch.predicate, .recorded = true, .newer = newer_row,
                                       .describe = newer_in_words, .arg = s };
    s->watch.arg = s;
    return OP_OK;
}

static const struct txn_watch *watch_of(const struct scan_operator *s)
{
    return s->watching ? &s->watch : NULL;
}

/* ---- reading ---------------------------------------------------------------------------------------- */

static int fetch_rows(struct op *op, struct scan_operator *s)
{
    struct txn_session *session = s->base.execution->txn;

    for (int i = 0; i < s->key_count; i++) {
        bool found;
        if (txn_get_watched(op, session, s->rows, s->keys[i], visit_row, s, s->watching ? &s->row_watch : NULL, &found))
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
    s->scan.watch = watch_of(s);
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
    txn_row_visit visit = s->keys ? visit_entry : visit_row;

    while (s->range_at < s->ranges.count && s->base.out.count + s->key_count < s->most) {
        const struct plan_node *node = s->base.node;
        int at = node->scan.backward ? s->ranges.count - 1 - s->range_at : s->range_at;
        bool found;
        s->range_at++;
        if (txn_get_watched(op, session, s->tree, s->ranges.ranges[at].low, visit, s, watch_of(s), &found) || look_at_newer(op, s))
            return OP_FAILED;
    }
    return s->key_count ? fetch_rows(op, s) : OP_OK;
}

static int fill_ranges(struct op *op, struct scan_operator *s)
{
    txn_row_visit visit = s->keys ? visit_entry : visit_row;

    while (s->base.out.count + s->key_count < s->most) {
        bool more;
        if (!s->scanning) {
            if (s->range_at == s->ranges.count)
                break;
            open_range(s);
        }
        if (txn_scan_next(op, &s->scan, visit, s, &more) || look_at_newer(op, s))
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
    return exec__ranges_compute(op, exec__env(o), &s->ranges) || watch(op, s) ? OP_FAILED : OP_OK;
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
    struct scan_operator *s = (struct scan_operator *)o;

    scan_stop(o);
    footprint_keys_free(s->supplied);
    footprint_release(s->footprint);
    exec__ranges_free(&s->ranges);
}

static const struct operator_methods scan_methods = { scan_start, scan_next, scan_stop, scan_free };

int exec__make_scan(struct op *op, struct execution *execution, const struct plan_node *node, struct operator **result)
{
    struct scan_operator *s;
    struct store *store = txn_manager_store(txn_session_manager(execution->txn));
    const struct table_def *table = node->scan.table;
    const struct index_def *index = node->scan.index;
    bool secondary = index && index->tree != table->tree;

    if (table->rows)
        return exec__make_virtual(op, execution, node, result);
    if (exec__new(op, execution, node, sizeof *s, &scan_methods, &s))
        return OP_FAILED;
    enum type_form *forms = exec__forms(op, &execution->arena, node->types, node->column_count);
    if (!forms || batch_init(op, &execution->arena, node->column_count, forms, &s->base.out))
        return OP_FAILED;
    if (btree_open(op, store, index ? index->tree : table->tree, &s->tree))
        return OP_FAILED;
    if (secondary && btree_open(op, store, table->tree, &s->rows))
        return OP_FAILED;
    if (secondary && !node->scan.index_only && !(s->keys = op_arena_alloc(op, &execution->arena, BATCH_ROWS * sizeof *s->keys)))
        return OP_FAILED;
    if (row_reader_make(op, &execution->arena, table, node->scan.index_only ? index : NULL, node->scan.wanted,
                        node->scan.wanted_count, &s->reader)
        || exec__ranges_make(op, execution, node, &s->ranges))
        return OP_FAILED;
    *result = &s->base;
    return OP_OK;
}
