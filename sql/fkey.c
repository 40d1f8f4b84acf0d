/*
 * fkey.c -- foreign keys: every child has its parent.
 *
 * A statement first writes all its rows, then its foreign keys are looked at, so that rows may refer to each other in any order.  Each
 * written row leaves events in a queue; a deferred constraint's events wait for COMMIT (or SET CONSTRAINTS):
 *
 *      child row written       is there a parent?  It is locked FOR KEY SHARE, so that it stays.
 *      parent gone             are there children?  NO ACTION and RESTRICT: 23503, once it is sure that they stay.  CASCADE,
 *      parent's key changed    SET NULL, SET DEFAULT: a statement on the children is run (internal.c), whose events come
 *                              before those that wait already, as though it were nested.
 *
 * Why no orphan can slip through: a child's writer holds KEY SHARE on the parent until its commit is visible, and whoever deletes the
 * parent (or changes its key) waits for that, and then looks for children with a snapshot that is younger.  At READ COMMITTED that is
 * a new snapshot of this transaction's own; above, the own snapshot may be too old to show them, so a second transaction looks with
 * one of its own, and what only it sees is locked here: too young for the snapshot, hence 40001.
 *
 * F1  An event holds what it needs: the row may have changed when its time comes, and its table's definition too.
 * F2  A check of a child that has been changed or deleted since is void: the later change has its own event.
 * F3  The parent is locked before the check succeeds.
 * F4  At SERIALIZABLE look-ups are reads: whether the parent's key is there, and whether there is anything in the interval of its children.
 */
#include "sql/fkey.h"

#include <string.h>

#include "sql/ddl_int.h"
#include "src/base/mem.h"

enum event_kind { EVENT_CHILD, EVENT_PARENT_DELETED, EVENT_PARENT_CHANGED };

struct event {
    struct event *next;
    enum event_kind kind;
    Oid constraint, child, parent;
    struct bytes key;               /* CHILD: the row's clustered key */
    int count;
    struct datum *values;           /* of the constraint's columns: the child's, or the parent's old ones */
    struct datum *new_values;       /* PARENT_CHANGED */
};

/* SET CONSTRAINTS. */
struct mode { Oid constraint; bool deferred; };

struct fkey_queue {
    struct arena now_arena, later_arena;
    struct event *now, **tail;      /* of the statement; new ones go to *tail */
    struct event **later;           /* of the transaction */
    int later_count, later_capacity;
    struct mode *modes;             /* constraint 0: all */
    int mode_count, mode_capacity;
    bool running;
    struct txn_session *probe;      /* looks with the newest snapshot */
};

/* ---- the queue ------------------------------------------------------------------------------------ */

static struct fkey_queue *queue_of(struct op *op, struct session *session)
{
    if (session->fkeys)
        return session->fkeys;
    struct fkey_queue *queue = mem_calloc(1, sizeof *queue);
    if (!queue) {
        op_out_of_memory(op);
        return NULL;
    }
    arena_init(&queue->now_arena);
    arena_init(&queue->later_arena);
    queue->tail = &queue->now;
    session->fkeys = queue;
    return queue;
}

static void forget_now(struct fkey_queue *queue)
{
    arena_reset(&queue->now_arena);
    queue->now = NULL;
    queue->tail = &queue->now;
    queue->running = false;
}

int fkey_position(const struct session *session)
{
    return session->fkeys ? session->fkeys->later_count : 0;
}

void fkey_rollback(struct session *session, int position)
{
    if (!session->fkeys)
        return;
    forget_now(session->fkeys);
    session->fkeys->later_count = position;
}

void fkey_end(struct session *session)
{
    struct fkey_queue *queue = session->fkeys;
    if (!queue)
        return;
    forget_now(queue);
    arena_reset(&queue->later_arena);
    queue->later_count = queue->mode_count = 0;
}

void fkey_close(struct session *session)
{
    struct fkey_queue *queue = session->fkeys;
    if (!queue)
        return;
    arena_free(&queue->now_arena);
    arena_free(&queue->later_arena);
    if (queue->probe)
        txn_session_close(queue->probe);
    mem_free(queue->later);
    mem_free(queue->modes);
    mem_free(queue);
    session->fkeys = NULL;
}

static bool is_deferred(const struct fkey_queue *queue, const struct foreign_def *foreign)
{
    bool deferred = foreign->deferred;

    if (!foreign->deferrable)
        return false;
    for (int i = 0; i < queue->mode_count; i++)
        if (!queue->modes[i].constraint || queue->modes[i].constraint == foreign->oid)
            deferred = queue->modes[i].deferred;
    return deferred;
}

static int make_later_room(struct op *op, struct fkey_queue *queue)
{
    if (queue->later_count < queue->later_capacity)
        return 0;
    int capacity = queue->later_capacity ? queue->later_capacity * 2 : 64;
    struct event **grown = mem_realloc(queue->later, sizeof *grown * (size_t)capacity);
    if (!grown)
        return op_out_of_memory(op);
    queue->later = grown;
    queue->later_capacity = capacity;
    return 0;
}

static int keep_bytes(struct op *op, struct arena *arena, struct bytes from, struct bytes *to)
{
    uint8_t *copy = op_arena_alloc(op, arena, from.len + 1);
    if (!copy)
        return OP_FAILED;
    if (from.len)
        memcpy(copy, from.data, from.len);
    *to = (struct bytes){copy, from.len};
    return 0;
}

/* The values of these columns. */
static int keep_values(struct op *op, struct arena *arena, const struct table_def *table, const int *numbers, int count,
                       const struct datum *values, struct datum **kept)
{
    *kept = op_arena_alloc(op, arena, sizeof **kept * (size_t)count);
    if (!*kept)
        return OP_FAILED;
    for (int i = 0; i < count; i++) {
        int column = catalog_column(table, numbers[i]);
        if (column < 0)
            return op_fail(op, "XX001", "a foreign key of table \"%s\" names a column that it does not have", table->name);
        (*kept)[i] = values[column];
        if (!values[column].null && type_form(table->columns[column].type.oid) == FORM_BYTES &&
            keep_bytes(op, arena, values[column].s, &(*kept)[i].s) != 0)
            return OP_FAILED;
    }
    return 0;
}

static int add_event(struct op *op, struct session *session, enum event_kind kind, const struct foreign_def *foreign,
                     const struct table_def *table, const int *numbers, struct bytes key, const struct datum *values,
                     const struct datum *new_values)
{
    struct fkey_queue *queue = queue_of(op, session);
    bool action = (kind == EVENT_PARENT_DELETED && foreign->on_delete != 'a') ||
                  (kind == EVENT_PARENT_CHANGED && foreign->on_update != 'a');
    if (!queue)
        return OP_FAILED;
    bool later = !action && is_deferred(queue, foreign);
    struct arena *arena = later ? &queue->later_arena : &queue->now_arena;
    struct event *event = op_arena_alloc(op, arena, sizeof *event);
    if (!event)
        return OP_FAILED;
    *event = (struct event){.kind = kind, .constraint = foreign->oid, .child = foreign->child, .parent = foreign->parent,
                            .count = foreign->count};
    if (keep_bytes(op, arena, key, &event->key) != 0 ||
        keep_values(op, arena, table, numbers, foreign->count, values, &event->values) != 0 ||
        (new_values && keep_values(op, arena, table, numbers, foreign->count, new_values, &event->new_values) != 0))
        return OP_FAILED;
    if (later) {
        if (make_later_room(op, queue) != 0)
            return OP_FAILED;
        queue->later[queue->later_count++] = event;
        return 0;
    }
    event->next = *queue->tail;
    *queue->tail = event;
    queue->tail = &event->next;
    return 0;
}

/* ---- values --------------------------------------------------------------------------------------- */

static bool any_null(const struct table_def *table, const int *numbers, int count, const struct datum *values)
{
    for (int i = 0; i < count; i++) {
        int column = catalog_column(table, numbers[i]);
        if (column < 0 || values[column].null)
            return true;
    }
    return false;
}

/* Equal as keys are: the order's own notion, which is that of "=". */
static int same_value(struct op *op, Oid type, const struct datum *a, const struct datum *b, bool *same)
{
    uint8_t bytes[2][64];
    struct key_builder keys[2];
    struct bytes encoded[2];
    int result = OP_FAILED;

    *same = false;
    key_init(&keys[0], bytes[0], sizeof bytes[0]);
    key_init(&keys[1], bytes[1], sizeof bytes[1]);
    if (row_encode_datum(op, type, a, 0, &keys[0]) == 0 && row_encode_datum(op, type, b, 0, &keys[1]) == 0 &&
        key_finish(op, &keys[0], &encoded[0]) == 0 && key_finish(op, &keys[1], &encoded[1]) == 0) {
        *same = encoded[0].len == encoded[1].len && memcmp(encoded[0].data, encoded[1].data, encoded[0].len) == 0;
        result = 0;
    }
    key_free(&keys[0]);
    key_free(&keys[1]);
    return result;
}

static int same_columns(struct op *op, const struct table_def *table, const int *numbers, int count, const struct datum *a,
                        const struct datum *b, bool *same)
{
    *same = true;
    for (int i = 0; i < count && *same; i++) {
        int column = catalog_column(table, numbers[i]);
        if (column >= 0 && same_value(op, table->columns[column].type.oid, &a[column], &b[column], same) != 0)
            return OP_FAILED;
    }
    return 0;
}

/* ---- what has been written ------------------------------------------------------------------------ */

int fkey_note_insert(struct op *op, struct session *session, const struct table_def *table, struct bytes key,
                     const struct datum *values)
{
    for (int i = 0; i < table->foreign_count; i++) {
        const struct foreign_def *foreign = &table->foreigns[i];
        if (!any_null(table, foreign->child_numbers, foreign->count, values) &&
            add_event(op, session, EVENT_CHILD, foreign, table, foreign->child_numbers, key, values, NULL) != 0)
            return OP_FAILED;
    }
    return 0;
}

int fkey_note_update(struct op *op, struct session *session, const struct table_def *table, struct bytes key,
                     const struct datum *old_values, const struct datum *new_values)
{
    bool same;

    for (int i = 0; i < table->referrer_count; i++) {
        const struct foreign_def *foreign = &table->referrers[i];
        if (any_null(table, foreign->parent_numbers, foreign->count, old_values))
            continue;
        if (same_columns(op, table, foreign->parent_numbers, foreign->count, old_values, new_values, &same) != 0)
            return OP_FAILED;
        if (!same && add_event(op, session, EVENT_PARENT_CHANGED, foreign, table, foreign->parent_numbers, (struct bytes){NULL, 0},
                               old_values, new_values) != 0)
            return OP_FAILED;
    }
    for (int i = 0; i < table->foreign_count; i++) {
        const struct foreign_def *foreign = &table->foreigns[i];
        if (any_null(table, foreign->child_numbers, foreign->count, new_values))
            continue;
        if (same_columns(op, table, foreign->child_numbers, foreign->count, old_values, new_values, &same) != 0)
            return OP_FAILED;
        /* A deferred check of the row's insert finds it under another key or with other values, and is void (F2). */
        if ((!same || is_deferred(queue_of(op, session), foreign)) &&
            add_event(op, session, EVENT_CHILD, foreign, table, foreign->child_numbers, key, new_values, NULL) != 0)
            return OP_FAILED;
    }
    return 0;
}

int fkey_note_delete(struct op *op, struct session *session, const struct table_def *table, const struct datum *old_values)
{
    for (int i = 0; i < table->referrer_count; i++) {
        const struct foreign_def *foreign = &table->referrers[i];
        if (!any_null(table, foreign->parent_numbers, foreign->count, old_values) &&
            add_event(op, session, EVENT_PARENT_DELETED, foreign, table, foreign->parent_numbers, (struct bytes){NULL, 0}, old_values,
                      NULL) != 0)
            return OP_FAILED;
    }
    return 0;
}

/* ---- the parent ----------------------------------------------------------------------------------- */

const char *fkey_key_text(struct op *op, const struct table_def *table, const int *numbers, int count, const struct datum *values)
{
    struct index_column columns[KEY_COLUMNS_MAX];
    struct index_def index = {.column_count = count, .columns = columns};
    struct datum *row = op_calloc(op, sizeof *row * (size_t)(table->column_count + 1));

    for (int i = 0; row && i < count; i++) {
        columns[i] = (struct index_column){.column = catalog_column(table, numbers[i])};
        row[columns[i].column] = values[i];
    }
    return row ? change_key_text(op, table, &index, row) : NULL;
}

static const struct index_def *index_by_oid(const struct table_def *table, Oid oid)
{
    for (int i = 0; i < table->index_count; i++)
        if (table->indexes[i].oid == oid)
            return &table->indexes[i];
    return NULL;
}

struct found_key { const struct table_def *table; const struct index_def *index; struct bytes key; };

static int note_primary(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    struct found_key *found = arg;
    return row_primary_key(op, found->table, found->index, row->key, row->value, &op->arena, &found->key);
}

/* The clustered key of the parent with these values, as the snapshot shows it; its data is NULL when there is none. */
static int find_parent(struct op *op, struct session *session, const struct table_def *parent, const struct foreign_def *foreign,
                       const struct datum *values, struct bytes *key)
{
    const struct index_def *index = index_by_oid(parent, foreign->index);
    struct datum *row = op_calloc(op, sizeof *row * (size_t)(catalog_value_count(parent) + 1));
    struct found_key found = {.table = parent, .index = index};
    uint8_t bytes[CHANGE_KEY_BYTES];
    struct key_builder builder;
    struct bytes entry;
    struct btree *tree;
    bool there;

    *key = (struct bytes){NULL, 0};
    if (!row || !index)
        return row ? op_fail(op, "XX001", "constraint \"%s\" has lost the index of its parent", foreign->name) : OP_FAILED;
    for (int i = 0; i < foreign->count; i++)
        row[catalog_column(parent, foreign->parent_numbers[i])] = values[i];
    key_init(&builder, bytes, sizeof bytes);
    int result = row_encode_key(op, parent, index, row, (struct bytes){NULL, 0}, 0, &builder);
    if (result == 0)
        result = key_finish(op, &builder, &entry);
    if (result == 0)
        result = btree_open(op, session->database->store, index->tree, &tree);
    if (result == 0)
        result = txn_get_watched(op, session->txn, tree, entry, note_primary, &found, &txn_existence, &there);
    key_free(&builder);
    if (result == 0 && there)
        *key = found.key;
    return result;
}

int fkey_has_parent(struct op *op, struct session *session, const struct table_def *parent, const struct foreign_def *foreign,
                    const struct datum *values, bool *has)
{
    struct bytes key;

    int result = find_parent(op, session, parent, foreign, values, &key);
    *has = result == 0 && key.data;
    return result;
}

static int fail_absent(struct op *op, const struct table_def *child, const struct table_def *parent, const struct foreign_def *foreign,
                       const struct datum *values)
{
    const char *key = fkey_key_text(op, child, foreign->child_numbers, foreign->count, values);

    op_fail(op, "23503", "insert or update on table \"%s\" violates foreign key constraint \"%s\"", child->name, foreign->name);
    if (key)
        op_detail(op, "%s is not present in table \"%s\".", key, parent->name);
    op_about(op, child->schema, child->name, NULL, foreign->name);
    return OP_FAILED;
}

/* F3 */
static int check_parent(struct op *op, struct session *session, const struct table_def *child, const struct table_def *parent,
                        const struct foreign_def *foreign, const struct datum *values)
{
    struct txn_outcome outcome;
    struct btree *tree;
    struct bytes key;

    if (find_parent(op, session, parent, foreign, values, &key) != 0)
        return OP_FAILED;
    if (!key.data)
        return fail_absent(op, child, parent, foreign, values);
    if (btree_open(op, session->database->store, parent->tree, &tree) != 0 ||
        txn_lock_row(op, session->txn, tree, key, TXN_FOR_KEY_SHARE, TXN_WAIT, txn_read_ts(session->txn), &outcome) != 0)
        return OP_FAILED;
    CommitTs seen = txn_read_ts(session->txn);
    while (outcome.result == TXN_CHANGED) {     /* it may have changed, but not its key: that would be a row that has gone */
        seen = outcome.newest_ts > seen ? outcome.newest_ts : seen;
        if (txn_lock_row(op, session->txn, tree, key, TXN_FOR_KEY_SHARE, TXN_WAIT, seen, &outcome) != 0)
            return OP_FAILED;
    }
    if (outcome.result == TXN_GONE)
        return fail_absent(op, child, parent, foreign, values);
    return 0;
}

/* ---- the children --------------------------------------------------------------------------------- */

struct child_scan {
    const struct table_def *child;
    const struct foreign_def *foreign;
    const struct datum *values;
    const struct index_def *index;  /* NULL: the whole table */
    struct row_reader *reader;      /* whole table: the constraint's columns */
    struct vector *vectors;
    struct arena texts;
    struct bytes *keys;             /* clustered, found */
    int count, capacity, most;
};

/* An index that begins with the constraint's columns, in any order. */
static const struct index_def *child_index(struct session *session, const struct table_def *child, const struct foreign_def *foreign,
                                           struct txn_session *txn)
{
    for (int i = 0; i < child->index_count; i++) {
        const struct index_def *index = &child->indexes[i];
        int met = 0;
        if (index->predicate >= 0 || index->column_count < foreign->count || index->valid_from > txn_read_ts(txn))
            continue;
        for (int k = 0; k < foreign->count; k++)
            for (int n = 0; n < foreign->count; n++)
                met += catalog_column(child, foreign->child_numbers[n]) == index->columns[k].column;
        if (met == foreign->count)
            return index;
    }
    return NULL;
}

static int add_key(struct op *op, struct child_scan *scan, struct bytes key, bool *stop)
{
    if (scan->count == scan->capacity) {
        int capacity = scan->capacity ? scan->capacity * 2 : 16;
        struct bytes *grown = op_alloc(op, sizeof *grown * (size_t)capacity);
        if (!grown)
            return OP_FAILED;
        if (scan->count)
            memcpy(grown, scan->keys, sizeof *grown * (size_t)scan->count);
        scan->keys = grown;
        scan->capacity = capacity;
    }
    scan->keys[scan->count++] = key;
    *stop = scan->count >= scan->most;
    return 0;
}

static int visit_child(void *arg, struct op *op, const struct txn_row *row, bool *stop)
{
    struct child_scan *scan = arg;
    struct bytes key;

    if (scan->index) {
        if (row_primary_key(op, scan->child, scan->index, row->key, row->value, &op->arena, &key) != 0)
            return OP_FAILED;
        return add_key(op, scan, key, stop);
    }
    bool same = true;
    if (row_decode(op, scan->reader, row->key, row->value, &scan->texts, scan->vectors, 0) != 0)
        return OP_FAILED;
    for (int i = 0; i < scan->foreign->count && same; i++) {
        struct datum value;
        Oid type = scan->child->columns[catalog_column(scan->child, scan->foreign->child_numbers[i])].type.oid;
        vector_get(&scan->vectors[i], 0, &value);
        if (same_value(op, type, &value, &scan->values[i], &same) != 0)
            return OP_FAILED;
    }
    if (!same)
        return 0;
    return keep_bytes(op, &op->arena, row->key, &key) != 0 ? OP_FAILED : add_key(op, scan, key, stop);
}

static int make_reader(struct op *op, struct child_scan *scan)
{
    int *wanted = op_calloc(op, sizeof *wanted * (size_t)scan->foreign->count);

    scan->vectors = op_calloc(op, sizeof *scan->vectors * (size_t)scan->foreign->count);
    if (!wanted || !scan->vectors)
        return OP_FAILED;
    for (int i = 0; i < scan->foreign->count; i++) {
        wanted[i] = catalog_column(scan->child, scan->foreign->child_numbers[i]);
        if (vector_init_rows(op, &op->arena, type_form(scan->child->columns[wanted[i]].type.oid), 1, &scan->vectors[i]) != 0)
            return OP_FAILED;
        scan->vectors[i].has_nulls = true;
    }
    return row_reader_make(op, &op->arena, scan->child, NULL, wanted, scan->foreign->count, &scan->reader);
}

/* All entries of the index that begin with the values. */
static int child_range(struct op *op, const struct child_scan *scan, struct key_builder *low, struct key_builder *high,
                       struct btree_range *range)
{
    *range = (struct btree_range){.low_inclusive = true};
    if (!scan->index)
        return 0;
    for (int k = 0; k < scan->foreign->count; k++) {
        const struct index_column *column = &scan->index->columns[k];
        int flags = (column->descending ? KEY_DESCENDING : 0) | (column->nulls_first ? KEY_NULLS_FIRST : 0);
        for (int n = 0; n < scan->foreign->count; n++)
            if (catalog_column(scan->child, scan->foreign->child_numbers[n]) == column->column &&
                row_encode_datum(op, scan->child->columns[column->column].type.oid, &scan->values[n], flags, low) != 0)
                return OP_FAILED;
    }
    if (key_finish(op, low, &range->low) != 0)
        return OP_FAILED;
    key_put_raw(high, range->low);
    return key_successor(high) ? key_finish(op, high, &range->high) : 0;
}

/* Clustered keys of children with these values that a transaction's snapshot shows, at most `most` of them. */
static int find_children(struct op *op, struct session *session, struct txn_session *txn, struct child_scan *scan)
{
    uint8_t bytes[2][CHANGE_KEY_BYTES];
    struct key_builder low, high;
    struct btree_range range;
    struct txn_scan walk;
    struct btree *tree;
    bool more = true;

    scan->index = child_index(session, scan->child, scan->foreign, txn);
    scan->count = 0;
    key_init(&low, bytes[0], sizeof bytes[0]);
    key_init(&high, bytes[1], sizeof bytes[1]);
    arena_init(&scan->texts);
    int result = scan->index ? 0 : make_reader(op, scan);
    if (result == 0)
        result = child_range(op, scan, &low, &high, &range);
    if (result == 0)
        result = btree_open(op, session->database->store, scan->index ? scan->index->tree : scan->child->tree, &tree);
    if (result == 0) {
        txn_scan_open(&walk, txn, tree, &range, false);
        if (scan->index)
            walk.watch = &txn_existence;
        while (more && result == 0 && scan->count < scan->most) {
            result = txn_scan_next(op, &walk, visit_child, scan, &more);
            arena_reset(&scan->texts);
            if (result == 0)
                result = op_check_cancel(op);
        }
        txn_scan_close(&walk);
    }
    arena_free(&scan->texts);
    key_free(&low);
    key_free(&high);
    return result;
}

static int begin_probe(struct op *op, struct session *session, struct fkey_queue *queue)
{
    if (!queue->probe && txn_session_open(op, session->database->manager, &queue->probe) != 0)
        return OP_FAILED;
    if (txn_begin(op, queue->probe, TXN_READ_COMMITTED, true, false) != 0)
        return OP_FAILED;
    if (txn_statement_begin(op, queue->probe) == 0)
        return 0;
    txn_rollback(queue->probe);
    return OP_FAILED;
}

/* Above READ COMMITTED: children that the own snapshot is too old to show are 40001. */
static int check_young_children(struct op *op, struct session *session, struct child_scan *scan)
{
    struct fkey_queue *queue = session->fkeys;
    struct txn_outcome outcome;
    struct btree *tree;

    if (session->level < TXN_REPEATABLE_READ)
        return 0;
    if (begin_probe(op, session, queue) != 0)
        return OP_FAILED;
    scan->most = INT32_MAX;
    int result = find_children(op, session, queue->probe, scan);
    txn_statement_end(queue->probe);
    txn_rollback(queue->probe);
    if (result == 0)
        result = btree_open(op, session->database->store, scan->child->tree, &tree);
    for (int i = 0; result == 0 && i < scan->count; i++)
        result = txn_lock_row(op, session->txn, tree, scan->keys[i], TXN_FOR_UPDATE, TXN_WAIT, txn_read_ts(session->txn), &outcome);
    return result;
}

/* ---- events --------------------------------------------------------------------------------------- */

struct due {
    struct session *session;
    const struct event *event;
    struct table_def *child, *parent;
    const struct foreign_def *foreign;
};

/* F2 */
static int row_unchanged(struct op *op, const struct due *due, bool *unchanged)
{
    struct child_scan scan = {.child = due->child, .foreign = due->foreign, .values = due->event->values, .most = 1};
    struct btree *tree;
    bool found;

    *unchanged = false;
    arena_init(&scan.texts);
    int result = make_reader(op, &scan);
    if (result == 0)
        result = btree_open(op, due->session->database->store, due->child->tree, &tree);
    if (result == 0)
        result = txn_get(op, due->session->txn, tree, due->event->key, visit_child, &scan, &found);
    arena_free(&scan.texts);
    *unchanged = scan.count > 0;
    return result;
}

static int run_child(struct op *op, const struct due *due)
{
    bool unchanged;
    if (row_unchanged(op, due, &unchanged) != 0)
        return OP_FAILED;
    return unchanged ? check_parent(op, due->session, due->child, due->parent, due->foreign, due->event->values) : 0;
}

static int fail_referenced(struct op *op, const struct due *due)
{
    const char *key = fkey_key_text(op, due->parent, due->foreign->parent_numbers, due->foreign->count, due->event->values);

    op_fail(op, "23503", "update or delete on table \"%s\" violates foreign key constraint \"%s\" on table \"%s\"", due->parent->name,
            due->foreign->name, due->child->name);
    if (key)
        op_detail(op, "%s is still referenced from table \"%s\".", key, due->child->name);
    op_about(op, due->child->schema, due->child->name, NULL, due->foreign->name);
    return OP_FAILED;
}

/*
 * A child that another transaction is deleting, or giving another key, may be about to leave: whoever looks waits for that, and at READ
 * COMMITTED looks again with a new snapshot.  (Above, a child that has left is 40001.)
 */
static int any_child_stays(struct op *op, const struct due *due, struct child_scan *scan, bool *stays)
{
    struct session *session = due->session;
    struct txn_outcome outcome;
    struct btree *tree;

    *stays = false;
    if (btree_open(op, session->database->store, due->child->tree, &tree) != 0)
        return OP_FAILED;
    for (;;) {
        if (find_children(op, session, session->txn, scan) != 0)
            return OP_FAILED;
        if (scan->count == 0)
            return 0;
        if (txn_lock_row(op, session->txn, tree, scan->keys[0], TXN_FOR_KEY_SHARE, TXN_WAIT, txn_read_ts(session->txn), &outcome) != 0)
            return OP_FAILED;
        if (outcome.result == TXN_WRITTEN) {
            *stays = true;
            return 0;
        }
        if (session__snapshot(op, session) != 0)
            return OP_FAILED;
    }
}

static int run_no_action(struct op *op, const struct due *due, bool restricted)
{
    struct child_scan scan = {.child = due->child, .foreign = due->foreign, .values = due->event->values, .most = 1};
    struct bytes key;
    bool stays;

    if (!restricted) {      /* the key may have come back with another row */
        if (find_parent(op, due->session, due->parent, due->foreign, due->event->values, &key) != 0)
            return OP_FAILED;
        if (key.data)
            return 0;
    }
    if (any_child_stays(op, due, &scan, &stays) != 0)
        return OP_FAILED;
    return stays ? fail_referenced(op, due) : check_young_children(op, due->session, &scan);
}

/* "a" = $1 AND "b" = $2, from parameter `first` on. */
static const char *conditions(struct op *op, const struct due *due, int first)
{
    const char *text = "";
    for (int i = 0; i < due->foreign->count && text; i++) {
        const char *name = internal_name(op, due->child->columns[catalog_column(due->child, due->foreign->child_numbers[i])].name);
        text = name ? arena_printf(&op->arena, "%s%s%s = $%d", text, i ? " AND " : " WHERE ", name, first + i) : NULL;
    }
    return text;
}

/* SET of CASCADE ($1, ...), SET NULL or SET DEFAULT. */
static const char *assignments(struct op *op, const struct due *due, char action)
{
    bool some = action != 'c' && due->event->kind == EVENT_PARENT_DELETED && due->foreign->set_count > 0;
    const int *numbers = some ? due->foreign->set_numbers : due->foreign->child_numbers;
    int count = some ? due->foreign->set_count : due->foreign->count;
    const char *text = "";

    for (int i = 0; i < count && text; i++) {
        const char *name = internal_name(op, due->child->columns[catalog_column(due->child, numbers[i])].name);
        if (!name)
            return NULL;
        text = action == 'c' ? arena_printf(&op->arena, "%s%s%s = $%d", text, i ? ", " : "", name, i + 1)
                             : arena_printf(&op->arena, "%s%s%s = %s", text, i ? ", " : "", name, action == 'n' ? "NULL" : "DEFAULT");
    }
    return text;
}

static int run_action(struct op *op, const struct due *due, char action)
{
    struct child_scan scan = {.child = due->child, .foreign = due->foreign, .values = due->event->values};
    bool deleted = action == 'c' && due->event->kind == EVENT_PARENT_DELETED;
    int count = due->foreign->count, first = action == 'c' && !deleted ? count : 0;
    struct sql_type types[2 * KEY_COLUMNS_MAX];
    struct datum params[2 * KEY_COLUMNS_MAX];
    const char *table = internal_name(op, due->child->name), *where = conditions(op, due, first + 1), *sql = NULL;

    if (table && where && deleted) {
        sql = arena_printf(&op->arena, "DELETE FROM public.%s%s", table, where);
    } else if (table && where) {
        const char *set = assignments(op, due, action);
        sql = set ? arena_printf(&op->arena, "UPDATE public.%s SET %s%s", table, set, where) : NULL;
    }
    if (!sql)
        return op_out_of_memory(op);
    for (int i = 0; i < count; i++) {
        struct sql_type type = due->child->columns[catalog_column(due->child, due->foreign->child_numbers[i])].type;
        types[i] = types[first + i] = (struct sql_type){type.oid, -1};
        if (first)
            params[i] = due->event->new_values[i];
        params[first + i] = due->event->values[i];
    }
    if (internal_run(op, due->session, due->child->oid, sql, types, params, first + count) != 0 ||
        check_young_children(op, due->session, &scan) != 0)
        return OP_FAILED;
    if (action != 'd')
        return 0;
    /* the default may be the very key that goes */
    return session__snapshot(op, due->session) != 0 ? OP_FAILED : run_no_action(op, due, false);
}

static int run_due(struct op *op, const struct due *due)
{
    char action = due->event->kind == EVENT_PARENT_DELETED ? due->foreign->on_delete : due->foreign->on_update;

    if (due->event->kind == EVENT_CHILD)
        return run_child(op, due);
    return action == 'a' || action == 'r' ? run_no_action(op, due, action == 'r') : run_action(op, due, action);
}

/* With the definitions as they are now; a constraint that has been dropped is nobody's concern any more. */
static int run_event(struct op *op, struct session *session, const struct event *event)
{
    struct due due = {.session = session, .event = event};
    int result = txn_lock_table(op, session->txn, event->kind == EVENT_CHILD ? event->parent : event->child, TXN_ROW_SHARE);

    if (result == 0)
        result = session__snapshot(op, session);
    if (result == 0)
        result = catalog_table(op, session, event->child, &due.child);
    if (result == 0)
        result = catalog_table(op, session, event->parent, &due.parent);
    for (int i = 0; result == 0 && due.child && i < due.child->foreign_count; i++)
        if (due.child->foreigns[i].oid == event->constraint)
            due.foreign = &due.child->foreigns[i];
    if (result == 0 && due.foreign && due.parent)
        result = run_due(op, &due);
    catalog_release(due.child);
    catalog_release(due.parent);
    return result;
}

int fkey_check(struct op *op, struct session *session)
{
    struct fkey_queue *queue = session->fkeys;
    int result = 0;

    if (!queue || !queue->now || queue->running)
        return 0;
    queue->running = true;
    while (result == 0 && queue->now) {
        struct event *event = queue->now;
        struct arena_mark mark = arena_mark(&op->arena);
        queue->now = event->next;
        queue->tail = &queue->now;      /* what an action writes comes first */
        result = run_event(op, session, event);
        if (result == 0)
            arena_release(&op->arena, mark);
    }
    forget_now(queue);
    return result;
}

/* Those that wait, and what they give rise to. */
static int run_later(struct op *op, struct session *session, Oid constraint)
{
    struct fkey_queue *queue = session->fkeys;
    int kept = 0, result = 0;

    for (int i = 0; result == 0 && i < queue->later_count; i++) {
        struct event *event = queue->later[i];
        struct arena_mark mark = arena_mark(&op->arena);
        if (constraint && event->constraint != constraint) {
            queue->later[kept++] = event;
            continue;
        }
        result = run_event(op, session, event);
        if (result == 0)
            arena_release(&op->arena, mark);
    }
    if (result == 0)
        queue->later_count = kept;
    return result == 0 ? fkey_check(op, session) : result;
}

int fkey_check_deferred(struct op *op, struct session *session)
{
    if (!session->fkeys || session->fkeys->later_count == 0 || !txn_in_progress(session->txn))
        return 0;
    int result = session__snapshot(op, session);
    if (result == 0)
        result = run_later(op, session, 0);
    session__snapshot_end(session);
    return result;
}

/* ---- SET CONSTRAINTS ------------------------------------------------------------------------------ */

static int add_mode(struct op *op, struct fkey_queue *queue, Oid constraint, bool deferred)
{
    if (queue->mode_count == queue->mode_capacity) {
        int capacity = queue->mode_capacity ? queue->mode_capacity * 2 : 8;
        struct mode *grown = mem_realloc(queue->modes, sizeof *grown * (size_t)capacity);
        if (!grown)
            return op_out_of_memory(op);
        queue->modes = grown;
        queue->mode_capacity = capacity;
    }
    queue->modes[queue->mode_count++] = (struct mode){constraint, deferred};
    return 0;
}

static int set_one(struct op *op, struct session *session, const struct ast_name *name, bool deferred)
{
    struct catalog_row *row;
    bool found = false;

    if (catalog__find(op, session->database, session->txn, SYSTEM_CONSTRAINT, 0, NULL, 0, &row) != 0)
        return OP_FAILED;
    for (; row; row = row->next) {
        const struct datum *constraint = &row->values[CONSTRAINT_NAME];
        if (constraint->s.len != strlen(name->name) || memcmp(constraint->s.data, name->name, constraint->s.len) != 0)
            continue;
        if (!row->values[CONSTRAINT_DEFERRABLE].b)
            return op_fail(op, "42809", "constraint \"%s\" is not deferrable", name->name);
        found = true;
        Oid oid = (Oid)row->values[CONSTRAINT_OID].i;
        if (add_mode(op, session->fkeys, oid, deferred) != 0 || (!deferred && run_later(op, session, oid) != 0))
            return OP_FAILED;
    }
    return found ? 0 : op_fail(op, "42704", "constraint \"%s\" does not exist", name->name);
}

int fkey_set(struct op *op, struct session *session, const struct ast_set_constraints *statement)
{
    if (session->block == BLOCK_NONE && !session->group)
        session_notice(session, "WARNING", "25P01", "SET CONSTRAINTS can only be used in transaction blocks");
    if (!queue_of(op, session) || session__begin(op, session, false) != 0 || session__snapshot(op, session) != 0)
        return OP_FAILED;
    for (const struct ast_name *name = statement->names; name; name = name->next)
        if (set_one(op, session, name, statement->deferred) != 0)
            return OP_FAILED;
    if (statement->names)
        return 0;
    session->fkeys->mode_count = 0;
    if (add_mode(op, session->fkeys, 0, statement->deferred) != 0)
        return OP_FAILED;
    return statement->deferred ? 0 : run_later(op, session, 0);
}

/* ---- a new constraint ----------------------------------------------------------------------------- */

struct verification {
    struct session *session;
    const struct table_def *child;
    struct table_def *parent;
    const struct foreign_def *foreign;
};

static int verify_row(void *arg, struct op *op, struct datum *values)
{
    const struct verification *verification = arg;
    const struct foreign_def *foreign = verification->foreign;
    struct datum keys[KEY_COLUMNS_MAX];
    struct bytes key;

    for (int i = 0; i < foreign->count; i++) {
        keys[i] = values[catalog_column(verification->child, foreign->child_numbers[i])];
        if (keys[i].null)
            return 0;
    }
    if (find_parent(op, verification->session, verification->parent, foreign, keys, &key) != 0)
        return OP_FAILED;
    return key.data ? 0 : fail_absent(op, verification->child, verification->parent, foreign, keys);
}

int fkey_verify(struct op *op, struct session *session, const struct table_def *child, const struct foreign_def *foreign)
{
    struct verification verification = {.session = session, .child = child, .foreign = foreign};

    if (catalog_table(op, session, foreign->parent, &verification.parent) != 0)
        return OP_FAILED;
    int result = verification.parent ? ddl__each_row(op, session, child, verify_row, &verification)
                                     : op_fail(op, "XX001", "constraint \"%s\" has lost its parent", foreign->name);
    catalog_release(verification.parent);
    return result;
}
