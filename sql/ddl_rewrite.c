/*
 * ddl_rewrite.c -- all rows of a table anew: TRUNCATE, another type, another primary key, a column that must be computed.
 *
 * A rewrite never changes the old tree.  It makes new trees for the table and for each index, fills them from what the statement's
 * snapshot sees, and changes the catalog to name the new trees; the old ones are freed by purge when no snapshot needs them:
 *
 *      pg_class   t  relfilenode 40  ->  52        tree 40: read by older snapshots, then purged
 *                 t_a_idx        41  ->  53        tree 52, 53: nobody sees them before the commit
 *
 * So a rollback has nothing to undo but a few rows of the catalog, a crash in the middle leaves trees that the rollback at restart
 * drops, and an older snapshot gets either the old rows or 40001, never an empty table (catalog.c).
 *
 * Rows are gathered leaf by leaf under its latch, and written after it has been given back.
 */
#include <string.h>

#include "sql/ddl_int.h"

/* ---- reading -------------------------------------------------------------------------------------- */

struct walk_row {
    struct walk_row *next;
    struct datum values[];          /* catalog_value_count: room for expressions behind the columns */
};

struct walk {
    const struct table_def *table;
    struct row_reader *reader;
    struct vector *vectors;
    struct arena rows;              /* of one leaf */
    struct walk_row *first, **tail;
};

static int gather(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    struct walk *walk = arg;
    struct walk_row *made = op_arena_alloc(op, &walk->rows, sizeof *made + sizeof(struct datum) *
                                           (size_t)catalog_value_count(walk->table));

    if (!made || row_decode(op, walk->reader, row->key, row->value, &walk->rows, walk->vectors, 0) != 0)
        return OP_FAILED;
    for (int i = 0; i < walk->table->column_count; i++)
        vector_get(&walk->vectors[i], 0, &made->values[i]);
    made->next = NULL;
    *walk->tail = made;
    walk->tail = &made->next;
    return 0;
}

static int make_walk(struct op *op, struct walk *walk)
{
    const struct table_def *table = walk->table;
    size_t columns = (size_t)table->column_count + 1;
    int *wanted = op_calloc(op, sizeof *wanted * columns);

    walk->vectors = op_calloc(op, sizeof *walk->vectors * columns);
    if (!wanted || !walk->vectors)
        return OP_FAILED;
    for (int i = 0; i < table->column_count; i++) {
        wanted[i] = i;
        if (vector_init_rows(op, &op->arena, type_form(table->columns[i].type.oid), 1, &walk->vectors[i]) != 0)
            return OP_FAILED;
        walk->vectors[i].has_nulls = true;
    }
    return row_reader_make(op, &op->arena, table, NULL, wanted, table->column_count, &walk->reader);
}

/* The rows of one leaf, after its latch has been given back. */
static int visit_rows(struct op *op, struct walk *walk, ddl_row_visit *visit, void *arg)
{
    for (struct walk_row *row = walk->first; row; row = row->next) {
        struct arena_mark mark = arena_mark(&op->arena);
        if (visit(arg, op, row->values) != 0)
            return OP_FAILED;
        arena_release(&op->arena, mark);
    }
    return op_check_cancel(op);
}

int ddl__each_row(struct op *op, struct session *session, const struct table_def *table, ddl_row_visit *visit, void *arg)
{
    struct walk walk = {.table = table};
    struct btree_range everything = {.low_inclusive = true};
    struct txn_scan scan;
    struct btree *tree;
    bool more = true;
    int result = 0;

    if (make_walk(op, &walk) != 0 || btree_open(op, session->database->store, table->tree, &tree) != 0)
        return OP_FAILED;
    arena_init(&walk.rows);
    txn_scan_open(&scan, session->txn, tree, &everything, false);
    while (more && result == 0) {
        walk.first = NULL;
        walk.tail = &walk.first;
        result = txn_scan_next(op, &scan, gather, &walk, &more);
        if (result == 0)
            result = visit_rows(op, &walk, visit, arg);
        arena_reset(&walk.rows);
    }
    txn_scan_close(&scan);
    arena_free(&walk.rows);
    return result;
}

/* ---- writing -------------------------------------------------------------------------------------- */

/* Where a new row's column comes from. */
struct source {
    int column;                     /* of the old row; -1 */
    struct row_expr *expr;          /* computed from the old row; NULL: null */
};

struct rewrite {
    struct session *session;
    const struct table_def *before;
    struct table_def *after;
    struct source *sources;
    struct row_exprs *exprs;
    struct datum *values;
    struct btree *tree;
    struct row_buffer value;
    struct key_builder key;
    uint8_t key_bytes[CHANGE_KEY_BYTES];
};

static int report_duplicate(struct op *op, const struct rewrite *rewrite)
{
    const struct table_def *table = rewrite->after;
    const char *key = change_key_text(op, table, &table->indexes[0], rewrite->values);

    op_fail(op, "23505", "could not create unique index \"%s\"", table->indexes[0].name);
    if (key)
        op_detail(op, "%s is duplicated.", key);
    op_about(op, table->schema, table->name, NULL, table->indexes[0].name);
    return OP_FAILED;
}

static int convert_row(struct op *op, struct rewrite *rewrite, const struct datum *old)
{
    const struct table_def *table = rewrite->after;

    for (int i = 0; i < table->column_count; i++) {
        const struct source *source = &rewrite->sources[i];
        if (source->column >= 0)
            rewrite->values[i] = old[source->column];
        else if (!source->expr)
            rewrite->values[i] = (struct datum){.null = true};
        else if (row_expr_value(op, rewrite->session, source->expr, old, &rewrite->values[i]) != 0)
            return OP_FAILED;
    }
    if (rewrite->exprs && row_exprs_generate(op, rewrite->exprs, rewrite->values) != 0)
        return OP_FAILED;
    for (int i = 0; i < table->column_count; i++)
        if (table->columns[i].not_null && rewrite->values[i].null) {
            op_fail(op, "23502", "column \"%s\" of relation \"%s\" contains null values", table->columns[i].name, table->name);
            op_about(op, table->schema, table->name, table->columns[i].name, NULL);
            return OP_FAILED;
        }
    const struct check_def *failed = NULL;
    if (table->check_count > 0 && rewrite->exprs && row_exprs_check(op, rewrite->exprs, rewrite->values, &failed) != 0)
        return OP_FAILED;
    if (!failed || !failed->validated)
        return 0;
    op_fail(op, "23514", "check constraint \"%s\" of relation \"%s\" is violated by some row", failed->name, table->name);
    op_about(op, table->schema, table->name, NULL, failed->name);
    return OP_FAILED;
}

static int rewrite_row(void *arg, struct op *op, struct datum *old)
{
    struct rewrite *rewrite = arg;
    struct bytes key;
    uint64_t row_id = 0;
    bool added;

    if (convert_row(op, rewrite, old) != 0)
        return OP_FAILED;
    if (!rewrite->after->has_primary && txn_next_id(op, rewrite->session->txn, rewrite->after->oid, &row_id) != 0)
        return OP_FAILED;
    if (row_encode_key(op, rewrite->after, NULL, rewrite->values, (struct bytes){NULL, 0}, (int64_t)row_id, &rewrite->key) != 0 ||
        key_finish(op, &rewrite->key, &key) != 0 || row_encode_value(op, rewrite->after, rewrite->values, &rewrite->value) != 0)
        return OP_FAILED;
    struct bytes value = {rewrite->value.data, rewrite->value.len};
    if (txn_load(op, rewrite->session->txn, rewrite->tree, key, value, &added) != 0)
        return OP_FAILED;
    return added ? 0 : report_duplicate(op, rewrite);
}

static int settle_sources(struct op *op, struct rewrite *rewrite, const struct ddl_transform *transform, int transform_count)
{
    const struct table_def *before = rewrite->before, *after = rewrite->after;

    rewrite->sources = op_calloc(op, sizeof *rewrite->sources * (size_t)(after->column_count + 1));
    rewrite->values = op_calloc(op, sizeof *rewrite->values * (size_t)(catalog_value_count(after) + 1));
    if (!rewrite->sources || !rewrite->values)
        return OP_FAILED;
    for (int i = 0; i < after->column_count; i++) {
        struct source *source = &rewrite->sources[i];
        source->column = -1;
        for (int k = 0; k < before->column_count; k++)
            if (before->columns[k].number == after->columns[i].number)
                source->column = k;
        for (int k = 0; k < transform_count; k++) {
            if (transform[k].number != after->columns[i].number)
                continue;
            source->column = -1;
            if (row_expr_make(op, &op->arena, before, transform[k].expr, &source->expr) != 0)
                return OP_FAILED;
        }
    }
    return row_exprs_open(op, rewrite->session, &op->arena, rewrite->after, &rewrite->exprs);
}

static int copy_rows(struct op *op, struct rewrite *rewrite, const struct ddl_transform *transform, int transform_count)
{
    key_init(&rewrite->key, rewrite->key_bytes, sizeof rewrite->key_bytes);
    int result = ddl__check_snapshot(op, rewrite->session, rewrite->before);
    if (result == 0)
        result = settle_sources(op, rewrite, transform, transform_count);
    if (result == 0)
        result = btree_open(op, rewrite->session->database->store, rewrite->after->tree, &rewrite->tree);
    if (result == 0)
        result = ddl__each_row(op, rewrite->session, rewrite->before, rewrite_row, rewrite);
    row_exprs_close(rewrite->exprs);
    row_buffer_free(&rewrite->value);
    key_free(&rewrite->key);
    return result;
}

/* A relation gets another tree; its old one goes when nobody needs it. */
static int renew_tree(struct op *op, struct session *session, Oid oid, TreeId tree)
{
    struct datum prefix[] = {datum_int(oid)};
    struct catalog_row *row;

    if (ddl__row(op, session, SYSTEM_CLASS, prefix, 1, &row) != 0)
        return OP_FAILED;
    return ddl__set(op, session, SYSTEM_CLASS, row, CLASS_FILENODE, datum_int((int64_t)tree));
}

static int renew_trees(struct op *op, struct session *session, const struct table_def *table)
{
    TreeId tree, index_tree;

    if (txn_create_tree(op, session->txn, &tree) != 0 || renew_tree(op, session, table->oid, tree) != 0)
        return OP_FAILED;
    for (int i = 0; i < table->index_count; i++) {
        index_tree = tree;
        if ((!table->indexes[i].primary && txn_create_tree(op, session->txn, &index_tree) != 0) ||
            renew_tree(op, session, table->indexes[i].oid, index_tree) != 0)
            return OP_FAILED;
    }
    return 0;
}

/* A SERIALIZABLE transaction conflicts with all who have read the table; what others have read of it is held against writes to its new
 * tree. */
int ddl__renounce_reads(struct op *op, struct session *session, const struct table_def *before, TreeId tree)
{
    if (txn_wrote_all(op, session->txn, before->tree) != 0 || (tree && txn_move_reads(op, session->txn, before->tree, tree) != 0))
        return OP_FAILED;
    for (int i = before->has_primary; i < before->index_count; i++)
        if (txn_wrote_all(op, session->txn, before->indexes[i].tree) != 0 ||
            (tree && txn_move_reads(op, session->txn, before->indexes[i].tree, tree) != 0))
            return OP_FAILED;
    return 0;
}

/* Trees that the rows had before; those of indexes that are gone were dropped with them. */
static int drop_old_trees(struct op *op, struct session *session, const struct table_def *before, const struct table_def *current)
{
    if (ddl__renounce_reads(op, session, before, current->tree) != 0 || txn_drop_tree(op, session->txn, before->tree) != 0)
        return OP_FAILED;
    for (int i = 0; i < current->index_count; i++)
        for (int k = 0; k < before->index_count; k++)
            if (before->indexes[k].oid == current->indexes[i].oid && !before->indexes[k].primary &&
                txn_drop_tree(op, session->txn, before->indexes[k].tree) != 0)
                return OP_FAILED;
    return 0;
}

int ddl__rewrite(struct op *op, struct session *session, const struct table_def *before, const struct ddl_transform *transform,
                 int transform_count, bool empty, struct table_def **table)
{
    struct rewrite rewrite = {.session = session, .before = before};

    if (renew_trees(op, session, *table) != 0 || ddl__reload(op, session, before->oid, table) != 0)
        return OP_FAILED;
    rewrite.after = *table;
    if (!empty && copy_rows(op, &rewrite, transform, transform_count) != 0)
        return OP_FAILED;
    for (int i = (*table)->has_primary; !empty && i < (*table)->index_count; i++)
        if (ddl__build_index(op, session, *table, &(*table)->indexes[i]) != 0)
            return OP_FAILED;
    return drop_old_trees(op, session, before, *table);
}
