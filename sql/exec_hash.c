/*
 * exec_hash.c -- hash join: the right side in a hash table, the left side looked up in it.
 *
 * The right side's rows become tuples with their encoded join key in front; rows with a NULL in the key can match nothing and
 * are dropped.  A single integer key needs no encoding: its hash is a permutation of the 64-bit numbers, so that equal hashes mean
 * equal keys.
 *
 * When the right side outgrows work_mem, both sides are distributed by hash over 16 pairs of spill runs, and each pair is joined by
 * itself, its right part in memory; a pair that is still too large is distributed again by four further bits (Grace hash join
 * [GRACE83]).  Beyond four rounds the keys are mostly equal, distributing does not help, and the pair is joined in memory as it is.
 *
 * At SERIALIZABLE one side that is the scan of a table is told the keys that the other side supplies, so that only writes of rows with these keys
 * conflict with it (footprint.c).  They have to be known before the scan: those of the right side are when the table is built; those
 * of the left side are found by a run ahead, which ends when there are too many of them.
 *
 *      hash    | 4 bits: round 0 | 4 bits: round 1 | ...          ... | bucket |
 */
#include <limits.h>
#include <string.h>

#include "sql/exec_int.h"
#include "sql/footprint.h"
#include "src/base/hash.h"
#include "src/base/mem.h"

enum { FAN_OUT = 16, ROUNDS_MAX = 4 };

/* Two runs with the rows of one part of the hash space. */
struct hash_part {
    struct spill_run *left, *right;
    int round;
    struct hash_part *next;
};

struct hash_join {
    struct operator base;
    struct join_output join;
    struct program **left_keys, **right_keys;
    struct key_column *columns;
    bool single_int;
    struct operator *restricted;    /* the side that is told of the other's keys; NULL: none */
    struct footprint_keys *supplied;    /* those found so far; NULL: nobody wants them */
    bool right_depends;             /* the table is another one for other outer values */
    struct key_builder key;
    struct tuple_table table;
    struct arena kept;              /* the tuples of the table */
    struct arena loan;              /* tuples on their way to or from a spill run */
    bool built;
    uint64_t built_run;
    /* probing */
    struct batch *left;
    int left_at;
    struct tuple *chain;            /* rest of the current left row's chain */
    bool in_row, paired;
    uint64_t hash;
    struct bytes left_key;          /* of the current left row; in `key` */
    bool left_null;
    /* spilled */
    bool spilled;
    struct hash_part *parts;        /* still to be joined */
    struct hash_part *current;
    struct batch from_run;          /* left rows read back */
    struct tuple **run_tuples;
    struct tuple_shape left_shape, right_shape;
    struct vector *left_view, *right_view;  /* the needed columns of an input batch, in order */
};

static void drop_part(struct hash_part *part)
{
    spill_run_close(part->left);
    spill_run_close(part->right);
    mem_free(part);
}

static void drop_parts(struct hash_join *h)
{
    while (h->parts) {
        struct hash_part *next = h->parts->next;
        drop_part(h->parts);
        h->parts = next;
    }
    if (h->current)
        drop_part(h->current);
    h->current = NULL;
    h->spilled = false;
}

static void drop_table(struct hash_join *h)
{
    drop_parts(h);
    exec__table_free(&h->table);
    arena_free(&h->kept);
    arena_free(&h->loan);
    footprint_keys_free(h->supplied);
    h->supplied = NULL;
    h->built = false;
}

/* ---- keys ----------------------------------------------------------------------------------------- */

static int run_keys(struct op *op, struct hash_join *h, struct program **programs, const struct batch *in)
{
    struct eval_env *env = exec__env(&h->base);

    for (int i = 0; i < h->base.node->join.key_count; i++)
        if (program_run(env, programs[i], in, &h->columns[i].vector))
            return OP_FAILED;
    return OP_OK;
}

static int row_key(struct op *op, struct hash_join *h, int row, uint64_t *hash, struct bytes *key, bool *null)
{
    if (h->single_int) {
        const struct vector *vector = h->columns[0].vector;
        *null = vector_is_null(vector, row);
        *key = (struct bytes){ 0 };
        *hash = *null ? 0 : hash_u64((uint64_t)vector->ints[vector->constant ? 0 : row]);
        return OP_OK;
    }
    if (exec__encode_key(op, h->columns, h->base.node->join.key_count, row, &h->key, null) || key_finish(op, &h->key, key))
        return OP_FAILED;
    *hash = hash_bytes(key->data, key->len, 0);
    return OP_OK;
}

/* ---- keys that one side supplies to the other, for SERIALIZABLE ------------------------------------ */

static bool wants_keys(const struct hash_join *h, const struct operator *side)
{
    return side && h->restricted == side && txn_records_reads(h->base.execution->txn);
}

/* Those of a batch of which the key columns have been computed. */
static int supply_batch(struct op *op, struct hash_join *h, const struct batch *in)
{
    for (int i = 0; h->supplied && i < in->selected; i++) {
        struct bytes key;
        bool null;
        if (footprint_keys_full(h->supplied))
            return OP_OK;
        if (exec__encode_key(op, h->columns, h->base.node->join.key_count, batch_row(in, i), &h->key, &null)
            || key_finish(op, &h->key, &key) || (!null && footprint_keys_add(op, h->supplied, key)))
            return OP_FAILED;
    }
    return OP_OK;
}

/* The left side is run ahead of the right one, until its keys are known or too many. */
static int supply_from_left(struct op *op, struct hash_join *h)
{
    struct batch *in;

    if (!wants_keys(h, h->base.right))
        return OP_OK;
    if (!(h->supplied = footprint_keys_make(op)) || exec__start(op, h->base.left))
        return OP_FAILED;
    for (;;) {
        if (exec__next(op, h->base.left, INT_MAX, &in))
            return OP_FAILED;
        if (!in || footprint_keys_full(h->supplied))
            break;
        arena_reset(&h->base.results);
        if (run_keys(op, h, h->left_keys, in) || supply_batch(op, h, in))
            return OP_FAILED;
    }
    exec__stop(h->base.left);
    exec__scan_supply(h->base.right, h->supplied);
    h->supplied = NULL;
    return OP_OK;
}

static void view_columns(struct vector *view, const struct batch *in, const int *slots, int count)
{
    for (int i = 0; i < count; i++)
        view[i] = in->vectors[slots[i]];
}

/* ---- building ------------------------------------------------------------------------------------- */

static struct spill *spill_of(struct hash_join *h)
{
    return database_spill(session_database(h->base.execution->session));
}

/* Sixteen empty parts in front of the list; part i of them is the one with those bits. */
static int open_parts(struct op *op, struct hash_join *h, int round, struct hash_part *opened[FAN_OUT])
{
    for (int i = 0; i < FAN_OUT; i++) {
        struct hash_part *part = mem_calloc(1, sizeof *part);
        if (!part)
            return op_out_of_memory(op);
        part->round = round;
        part->next = h->parts;
        h->parts = opened[i] = part;
        if (spill_run_open(op, spill_of(h), &part->left) || spill_run_open(op, spill_of(h), &part->right))
            return OP_FAILED;
    }
    return OP_OK;
}

static int part_of(uint64_t hash, int round)
{
    return (int)(hash >> (60 - 4 * round)) & (FAN_OUT - 1);
}

/* The table has outgrown its memory: its tuples, and all that follow, go to runs. */
static int begin_spilling(struct op *op, struct hash_join *h, struct hash_part *parts[FAN_OUT])
{
    if (open_parts(op, h, 0, parts))
        return OP_FAILED;
    h->spilled = true;
    for (size_t i = 0; i <= h->table.mask; i++)
        for (struct tuple *tuple = h->table.buckets[i]; tuple; tuple = tuple->next)
            if (exec__tuple_write(op, parts[part_of(tuple->hash, 0)]->right, tuple))
                return OP_FAILED;
    exec__table_clear(&h->table);
    arena_free(&h->kept);
    return OP_OK;
}

static int build_batch(struct op *op, struct hash_join *h, const struct batch *in, struct hash_part *parts[FAN_OUT])
{
    const struct plan_node *node = h->base.node;

    arena_reset(&h->base.results);
    if (run_keys(op, h, h->right_keys, in) || supply_batch(op, h, in))
        return OP_FAILED;
    view_columns(h->right_view, in, node->join.right_slots, node->join.right_count);
    for (int i = 0; i < in->selected; i++) {
        int row = batch_row(in, i);
        struct tuple *tuple;
        struct bytes key;
        uint64_t hash;
        bool null;
        if (row_key(op, h, row, &hash, &key, &null))
            return OP_FAILED;
        if (null)
            continue;
        if (h->spilled)
            arena_reset(&h->loan);
        if (exec__tuple_make(op, h->spilled ? &h->loan : &h->kept, &h->right_shape, h->right_view, row, hash, key, &tuple))
            return OP_FAILED;
        if (h->spilled ? exec__tuple_write(op, parts[part_of(hash, 0)]->right, tuple) : exec__table_add(op, &h->table, tuple))
            return OP_FAILED;
    }
    if (!h->spilled && h->kept.total > h->base.execution->work_mem && h->table.count > BATCH_ROWS)
        return begin_spilling(op, h, parts);
    return OP_OK;
}

static int spill_left(struct op *op, struct hash_join *h, struct hash_part *parts[FAN_OUT])
{
    const struct plan_node *node = h->base.node;
    bool keeps_left = node->join.join == PLAN_JOIN_LEFT || node->join.join == PLAN_JOIN_ANTI;
    static const uint8_t null_mark = 0;
    struct batch *in;

    if (exec__start(op, h->base.left))
        return OP_FAILED;
    for (;;) {
        if (exec__next(op, h->base.left, INT_MAX, &in))
            return OP_FAILED;
        if (!in)
            return OP_OK;
        arena_reset(&h->base.results);
        if (run_keys(op, h, h->left_keys, in))
            return OP_FAILED;
        view_columns(h->left_view, in, node->join.left_slots, node->join.left_count);
        for (int i = 0; i < in->selected; i++) {
            int row = batch_row(in, i);
            struct tuple *tuple;
            struct bytes key;
            uint64_t hash;
            bool null;
            if (row_key(op, h, row, &hash, &key, &null))
                return OP_FAILED;
            if (null && !keeps_left)
                continue;
            if (null) {             /* matches nothing: no right tuple has such a key */
                key = (struct bytes){ &null_mark, 1 };
                hash = 0;
            }
            arena_reset(&h->loan);
            if (exec__tuple_make(op, &h->loan, &h->left_shape, h->left_view, row, hash, key, &tuple)
                || exec__tuple_write(op, parts[part_of(hash, 0)]->left, tuple))
                return OP_FAILED;
        }
    }
}

static int build(struct op *op, struct hash_join *h)
{
    struct hash_part *parts[FAN_OUT];
    struct batch *in;

    if (!h->table.buckets && exec__table_init(op, &h->table, (size_t)h->base.node->right->rows))
        return OP_FAILED;
    if (supply_from_left(op, h) || exec__start(op, h->base.right))
        return OP_FAILED;
    if (wants_keys(h, h->base.left) && !(h->supplied = footprint_keys_make(op)))
        return OP_FAILED;
    for (;;) {
        if (exec__next(op, h->base.right, INT_MAX, &in))
            return OP_FAILED;
        if (!in)
            break;
        if (build_batch(op, h, in, parts))
            return OP_FAILED;
    }
    exec__stop(h->base.right);
    if (h->supplied)
        exec__scan_supply(h->base.left, h->supplied);
    h->supplied = NULL;
    if (h->spilled && spill_left(op, h, parts))
        return OP_FAILED;
    h->built = true;
    h->built_run = h->base.execution->run;
    return OP_OK;
}

/* ---- probing -------------------------------------------------------------------------------------- */

static int begin_row(struct op *op, struct hash_join *h)
{
    if (h->spilled) {
        struct tuple *tuple = h->run_tuples[h->left_at];
        h->hash = tuple->hash;
        h->left_key = (struct bytes){ tuple_key(tuple), tuple->key_len };
        h->left_null = false;
    } else if (row_key(op, h, batch_row(h->left, h->left_at), &h->hash, &h->left_key, &h->left_null)) {
        return OP_FAILED;
    }
    h->chain = h->left_null ? NULL : exec__table_chain(&h->table, h->hash);
    h->in_row = true;
    h->paired = false;
    return OP_OK;
}

/* Candidates of the current left row; *done when it has no more, else there is no room. */
static int probe_row(struct op *op, struct hash_join *h, int most, bool *done)
{
    enum plan_join kind = h->base.node->join.join;
    bool first_only = !h->join.on && (kind == PLAN_JOIN_SEMI || kind == PLAN_JOIN_ANTI);
    int row = batch_row(h->left, h->left_at);
    struct tuple *tuple;

    *done = false;
    if (!h->in_row && begin_row(op, h))
        return OP_FAILED;
    for (tuple = h->chain; tuple; tuple = tuple->next) {
        if (!tuple_matches(tuple, h->hash, h->left_key))
            continue;
        if (h->join.count >= most) {
            h->chain = tuple;
            return OP_OK;
        }
        h->join.tuples[h->join.count] = tuple;
        exec__join_pair(&h->join, row);
        h->paired = true;
        if (first_only)
            break;
    }
    h->chain = NULL;
    if (h->join.count >= most)
        return OP_OK;
    if ((kind == PLAN_JOIN_LEFT || kind == PLAN_JOIN_ANTI) && (!h->paired || h->join.on))
        exec__join_unmatched(&h->join, row);
    *done = true;
    return OP_OK;
}

/* A row whose chain ended just as the batch was full comes back here with no chain: only its end is left. */

static int distribute(struct op *op, struct hash_join *h, struct spill_run *from, bool left, int round,
                      struct hash_part *parts[FAN_OUT])
{
    struct tuple *tuple;

    if (spill_rewind(op, from))
        return OP_FAILED;
    for (uint64_t n = 0;; n++) {
        arena_reset(&h->loan);
        if (exec__tuple_load(op, &h->loan, from, &tuple))
            return OP_FAILED;
        if (!tuple)
            return OP_OK;
        struct hash_part *part = parts[part_of(tuple->hash, round)];
        if (exec__tuple_write(op, left ? part->left : part->right, tuple))
            return OP_FAILED;
        if (n % 1024 == 0 && op_check_cancel(op))
            return OP_FAILED;
    }
}

/* Takes the next part that is to be joined and loads its right side.  *more = false: none is left. */
static int next_part(struct op *op, struct hash_join *h, bool *more)
{
    uint64_t work_mem = h->base.execution->work_mem;
    struct hash_part *split[FAN_OUT];
    struct tuple *tuple;

    for (;;) {
        if (h->current)
            drop_part(h->current);
        h->current = h->parts;
        *more = h->current != NULL;
        if (!*more)
            return OP_OK;
        h->parts = h->current->next;
        if (spill_run_bytes(h->current->right) <= work_mem || h->current->round + 1 >= ROUNDS_MAX)
            break;
        int round = h->current->round + 1;
        if (open_parts(op, h, round, split) || distribute(op, h, h->current->left, true, round, split)
            || distribute(op, h, h->current->right, false, round, split))
            return OP_FAILED;
    }
    exec__table_clear(&h->table);
    arena_reset(&h->kept);
    if (spill_rewind(op, h->current->right) || spill_rewind(op, h->current->left))
        return OP_FAILED;
    do {
        if (exec__tuple_load(op, &h->kept, h->current->right, &tuple))
            return OP_FAILED;
        if (tuple && exec__table_add(op, &h->table, tuple))
            return OP_FAILED;
    } while (tuple);
    return OP_OK;
}

static int left_from_run(struct op *op, struct hash_join *h)
{
    struct batch *batch = &h->from_run;
    bool more = true;

    for (h->left = NULL; more;) {
        if (h->current) {
            arena_reset(&h->loan);
            for (int i = 0; i < batch->columns; i++)
                batch->vectors[i].has_nulls = false;
            for (batch->count = 0; batch->count < BATCH_ROWS; batch->count++) {
                struct tuple *tuple;
                if (exec__tuple_load(op, &h->loan, h->current->left, &tuple))
                    return OP_FAILED;
                if (!tuple)
                    break;
                h->run_tuples[batch->count] = tuple;
                exec__tuple_read(&h->left_shape, tuple, batch->vectors, batch->count);
            }
            batch->selected = batch->count;
            if (batch->count) {
                h->left = batch;
                return OP_OK;
            }
        }
        if (next_part(op, h, &more))
            return OP_FAILED;
    }
    return OP_OK;
}

static int next_left(struct op *op, struct hash_join *h, int goal)
{
    if (h->spilled) {
        if (left_from_run(op, h))
            return OP_FAILED;
    } else {
        if (exec__next(op, h->base.left, goal, &h->left))
            return OP_FAILED;
        arena_reset(&h->base.results);
        if (h->left && run_keys(op, h, h->left_keys, h->left))
            return OP_FAILED;
    }
    h->left_at = 0;
    if (h->left)
        exec__join_left(&h->join, h->left);
    return OP_OK;
}

static int hash_join_start(struct op *op, struct operator *o)
{
    struct hash_join *h = (struct hash_join *)o;

    if (h->built && (h->spilled || h->built_run != o->execution->run || h->right_depends))
        drop_table(h);
    h->left = NULL;
    h->in_row = false;
    h->join.count = 0;
    h->join.has_null_extended = false;
    return h->built ? exec__start(op, o->left) : OP_OK;
}

static int hash_join_begin(struct op *op, struct hash_join *h, bool *empty)
{
    enum plan_join kind = h->base.node->join.join;

    if (build(op, h))
        return OP_FAILED;
    h->join.left_slots = h->spilled ? NULL : h->base.node->join.left_slots;
    *empty = !h->spilled && h->table.count == 0 && (kind == PLAN_JOIN_INNER || kind == PLAN_JOIN_SEMI);
    return h->spilled || *empty ? OP_OK : exec__start(op, h->base.left);
}

static int hash_join_next(struct op *op, struct operator *o, int goal, struct batch **batch)
{
    struct hash_join *h = (struct hash_join *)o;
    int most = goal < BATCH_ROWS ? goal : BATCH_ROWS;
    bool empty = false;

    *batch = NULL;
    if (!h->built && hash_join_begin(op, h, &empty))
        return OP_FAILED;
    enum plan_join kind = o->node->join.join;
    if (empty || (!h->spilled && h->table.count == 0 && (kind == PLAN_JOIN_INNER || kind == PLAN_JOIN_SEMI)))
        return OP_OK;
    for (;;) {
        for (int i = 0; i < h->join.wide.columns; i++)
            h->join.wide.vectors[i].has_nulls = false;
        while (h->join.count < most) {
            bool done;
            if (!h->left || h->left_at == h->left->selected) {
                if (h->join.count)
                    break;
                if (next_left(op, h, goal))
                    return OP_FAILED;
                if (!h->left)
                    return OP_OK;
                continue;
            }
            if (probe_row(op, h, most, &done))
                return OP_FAILED;
            if (!done)
                break;
            h->left_at++;
            h->in_row = false;
        }
        if (h->join.count) {
            if (exec__join_flush(op, &h->join))
                return OP_FAILED;
            if (o->out.selected) {
                *batch = &o->out;
                return OP_OK;
            }
        }
    }
}

static void hash_join_stop(struct operator *o)
{
    drop_table((struct hash_join *)o);
}

static void hash_join_free(struct operator *o)
{
    drop_table((struct hash_join *)o);
    key_free(&((struct hash_join *)o)->key);
}

static const struct operator_methods hash_join_methods = { hash_join_start, hash_join_next, hash_join_stop, hash_join_free };

/* Room for the keys and for rows read back. */
static int make_buffers(struct op *op, struct hash_join *h)
{
    const struct plan_node *node = h->base.node;
    struct arena *arena = &h->base.execution->arena;
    struct sql_type *types = op_arena_alloc(op, arena, (node->join.left_count + 1) * sizeof *types);

    h->columns = op_arena_alloc(op, arena, node->join.key_count * sizeof *h->columns);
    h->left_view = op_arena_alloc(op, arena, (node->join.left_count + 1) * sizeof *h->left_view);
    h->right_view = op_arena_alloc(op, arena, (node->join.right_count + 1) * sizeof *h->right_view);
    h->run_tuples = op_arena_alloc(op, arena, BATCH_ROWS * sizeof *h->run_tuples);
    if (!types || !h->columns || !h->left_view || !h->right_view || !h->run_tuples)
        return OP_FAILED;
    for (int i = 0; i < node->join.left_count; i++)
        types[i] = node->left->types[node->join.left_slots[i]];
    enum type_form *forms = exec__forms(op, arena, types, node->join.left_count);
    if (!forms || batch_init(op, arena, node->join.left_count, forms, &h->from_run))
        return OP_FAILED;
    h->left_shape = (struct tuple_shape){ node->join.left_count, forms };
    h->right_shape = h->join.right_shape;
    h->right_depends = node->right->depends;
    for (int i = 0; i < node->join.key_count; i++) {
        h->columns[i].type = node->join.left_keys[i]->type.oid;
        h->right_depends |= plan__depends(node->join.right_keys[i]);
    }
    h->single_int = node->join.key_count == 1 && type_form(h->columns[0].type) == FORM_INT64;
    key_init(&h->key, NULL, 0);
    return OP_OK;
}

/* Which side, if any, is told of the other's keys: the statement and the catalog decide, not the plan.  Of the left side of a join that keeps
 * all its rows none can be left out. */
static int choose_restricted(struct op *op, struct hash_join *h)
{
    const struct plan_node *node = h->base.node, *left = node->left, *right = node->right;
    bool both = node->join.join == PLAN_JOIN_INNER || node->join.join == PLAN_JOIN_SEMI;
    bool from_left = right->kind == PLAN_SCAN, from_right = both && left->kind == PLAN_SCAN;
    int count = node->join.key_count;
    Oid *types = op_alloc(op, (size_t)count * sizeof *types);

    if (!types)
        return OP_FAILED;
    for (int i = 0; i < count; i++)
        types[i] = h->columns[i].type;
    if (h->base.execution->plan->query->is_volatile)
        return OP_OK;       /* a second run might find other rows */
    if (from_left && from_right && !plan__supplies(left->scan.footprint, right->scan.footprint))
        from_left = false;
    if (from_left && exec__scan_restrict(op, h->base.right, count, node->join.right_keys, types))
        h->restricted = h->base.right;
    else if (from_right && exec__scan_restrict(op, h->base.left, count, node->join.left_keys, types))
        h->restricted = h->base.left;
    return op_failed(op) ? OP_FAILED : OP_OK;
}

int exec__make_hash_join(struct op *op, struct execution *execution, const struct plan_node *node, struct operator **result)
{
    struct hash_join *h;

    if (exec__new(op, execution, node, sizeof *h, &hash_join_methods, &h))
        return OP_FAILED;
    arena_init(&h->kept);
    arena_init(&h->loan);
    *result = &h->base;
    if (exec__join_init(op, &h->base, true, &h->join)
        || exec__compile_list(op, execution, node->join.left_keys, node->join.key_count, &h->left_keys)
        || exec__compile_list(op, execution, node->join.right_keys, node->join.key_count, &h->right_keys))
        return OP_FAILED;
    return make_buffers(op, h) || choose_restricted(op, h) ? OP_FAILED : OP_OK;
}
