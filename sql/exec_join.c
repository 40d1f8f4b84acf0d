/*
 * exec_join.c -- nested loops, and what all joins have in common: judging candidate pairs.
 *
 * A join finds candidates, pairs of a left row and a right row, and collects up to a batch of them before it looks at the rest
 * of the join condition.  Then, in their order,
 *
 *      inner   keeps the pairs for which the condition holds
 *      left    keeps those too, and a left row without any, extended by nulls
 *      semi    keeps the left row of the first such pair
 *      anti    keeps the left row without any
 *
 * "Without any" is a candidate of its own, appended after the last pair of its left row; it survives if the row has
 * not matched by then.  So left rows come out in the order in which they came in, even when their pairs span several batches.
 */
#include <limits.h>
#include <string.h>

#include "sql/exec_int.h"

int exec__join_init(struct op *op, struct operator *owner, bool from_tuples, struct join_output *join)
{
    const struct plan_node *node = owner->node;
    struct arena *arena = &owner->execution->arena;
    int left = node->join.left_count, right = node->join.right_count;
    struct sql_type *types = op_arena_alloc(op, arena, (left + right + 1) * sizeof *types);

    if (!types)
        return OP_FAILED;
    join->node = node;
    join->owner = owner;
    join->left_count = left;
    join->right_count = right;
    join->left_slots = node->join.left_slots;
    for (int i = 0; i < left; i++)
        types[i] = node->left->types[node->join.left_slots[i]];
    for (int i = 0; i < right; i++)
        types[left + i] = node->right->types[node->join.right_slots[i]];
    enum type_form *forms = exec__forms(op, arena, types, left + right);
    join->matched = op_arena_alloc(op, arena, BATCH_ROWS);
    join->left_rows = op_arena_alloc(op, arena, BATCH_ROWS * sizeof *join->left_rows);
    join->null_extended = op_arena_alloc(op, arena, BATCH_ROWS);
    join->chosen = op_arena_alloc(op, arena, BATCH_ROWS * sizeof *join->chosen);
    if (!forms || !join->matched || !join->left_rows || !join->null_extended || !join->chosen
        || batch_init(op, arena, left + right, forms, &join->wide))
        return OP_FAILED;
    if (from_tuples) {
        join->tuples = op_arena_alloc(op, arena, BATCH_ROWS * sizeof *join->tuples);
        join->right_shape = (struct tuple_shape){ right, forms + left };
        if (!join->tuples)
            return OP_FAILED;
    }
    owner->out.columns = node->column_count;
    owner->out.vectors = join->wide.vectors;
    return node->join.on ? exec__compile(op, owner->execution, node->join.on, &join->on) : OP_OK;
}

void exec__join_left(struct join_output *join, const struct batch *left)
{
    join->left = left;
    memset(join->matched, 0, left->count);
}

void exec__join_unmatched(struct join_output *join, int left_row)
{
    int at = join->count++;

    join->left_rows[at] = (uint16_t)left_row;
    join->null_extended[at] = true;
    join->has_null_extended = true;
}

static void clear_candidates(struct join_output *join)
{
    for (int i = 0; i < join->wide.columns; i++)
        join->wide.vectors[i].has_nulls = false;
    join->count = 0;
    join->has_null_extended = false;
}

static void gather_left(struct join_output *join, int column)
{
    const struct vector *from = &join->left->vectors[join->left_slots ? join->left_slots[column] : column];
    struct vector *to = &join->wide.vectors[column];
    const uint16_t *rows = join->left_rows;
    int count = join->count;

    if (from->constant || from->has_nulls) {
        for (int i = 0; i < count; i++) {
            int row = from->constant ? 0 : rows[i];
            to->nulls[i] = from->has_nulls && from->nulls[row];
            if (to->nulls[i])
                to->has_nulls = true;
        }
    } else {
        memset(to->nulls, 0, count);
    }
    int mask = from->constant ? 0 : -1;
    switch (from->form) {
    case FORM_BOOL:
        for (int i = 0; i < count; i++)
            to->bools[i] = from->bools[rows[i] & mask];
        break;
    case FORM_INT64:
        for (int i = 0; i < count; i++)
            to->ints[i] = from->ints[rows[i] & mask];
        break;
    case FORM_DOUBLE:
        for (int i = 0; i < count; i++)
            to->doubles[i] = from->doubles[rows[i] & mask];
        break;
    case FORM_BYTES:
        for (int i = 0; i < count; i++)
            to->bytes[i] = from->bytes[rows[i] & mask];
        break;
    }
}

static void fill_right(struct join_output *join)
{
    for (int column = 0; column < join->right_count; column++) {
        struct vector *to = &join->wide.vectors[join->left_count + column];
        for (int i = 0; i < join->count; i++) {
            if (join->null_extended[i]) {
                to->nulls[i] = 1;
                to->has_nulls = true;
            } else if (join->tuples) {
                exec__tuple_column(&join->right_shape, join->tuples[i], column, to, i);
            }
        }
    }
}

/* The candidates that the condition lets through: chosen[], ascending. */
static int judge(struct op *op, struct join_output *join, int *survivors)
{
    struct batch *wide = &join->wide;
    int count = 0;

    for (int i = 0; i < join->count; i++)
        if (!join->null_extended[i])
            join->chosen[count++] = (uint16_t)i;
    *survivors = count;
    if (!join->on || count == 0)
        return OP_OK;
    wide->count = join->count;
    wide->selection = join->chosen;
    wide->selected = count;
    if (program_filter(exec__env(join->owner), join->on, wide, join->owner->selection))
        return OP_FAILED;
    *survivors = wide->selected;
    for (int i = 0; i < wide->selected; i++)
        join->chosen[i] = (uint16_t)batch_row(wide, i);
    wide->selection = NULL;
    return OP_OK;
}

static int keep(struct join_output *join, int survivors)
{
    uint16_t *out = join->owner->selection;
    int kept = 0, next = 0;

    for (int i = 0; i < join->count; i++) {
        bool *matched = &join->matched[join->left_rows[i]];
        if (join->null_extended[i]) {
            if (!*matched)
                out[kept++] = (uint16_t)i;
            continue;
        }
        if (next == survivors || join->chosen[next] != i)
            continue;
        next++;
        if (join->node->join.join != PLAN_JOIN_ANTI && !(join->node->join.join == PLAN_JOIN_SEMI && *matched))
            out[kept++] = (uint16_t)i;
        *matched = true;
    }
    return kept;
}

int exec__join_flush(struct op *op, struct join_output *join)
{
    struct operator *o = join->owner;
    int survivors;

    for (int i = 0; i < join->left_count; i++)
        gather_left(join, i);
    if (join->tuples || join->has_null_extended)
        fill_right(join);
    o->out.count = join->count;
    o->out.selection = NULL;
    o->out.selected = join->count;
    if (join->on || join->has_null_extended || join->node->join.join == PLAN_JOIN_SEMI || join->node->join.join == PLAN_JOIN_ANTI) {
        if (judge(op, join, &survivors))
            return OP_FAILED;
        o->out.selected = keep(join, survivors);
        o->out.selection = o->selection;
    }
    if (exec__filter(op, o))
        return OP_FAILED;
    /* has_nulls of wide stays true until the batch is done with; it is recomputed for each */
    join->count = 0;
    join->has_null_extended = false;
    return OP_OK;
}

/* ---- nested loop ---------------------------------------------------------------------------------- */

struct nest_loop {
    struct operator base;
    struct join_output join;
    struct batch *left;
    int left_at;                    /* among the selected rows */
    bool inner_open;
    bool paired;                    /* the current left row has had a candidate */
    struct batch *right;
    int right_at;
};

static int nest_loop_start(struct op *op, struct operator *o)
{
    struct nest_loop *n = (struct nest_loop *)o;

    clear_candidates(&n->join);
    n->left = n->right = NULL;
    n->inner_open = false;
    return exec__start(op, o->left);
}

static int open_inner(struct op *op, struct nest_loop *n)
{
    const struct plan_node *node = n->base.node;
    int row = batch_row(n->left, n->left_at);

    for (int i = 0; i < node->join.cell_count; i++)
        vector_get(&n->left->vectors[node->join.cells[i].slot], row, &n->base.execution->cells[node->join.cells[i].cell]);
    if (exec__start(op, n->base.right))
        return OP_FAILED;
    n->inner_open = true;
    n->paired = false;
    n->right = NULL;
    return OP_OK;
}

static int put_right(struct op *op, struct nest_loop *n)
{
    const struct plan_node *node = n->base.node;
    int row = batch_row(n->right, n->right_at);

    for (int i = 0; i < node->join.right_count; i++) {
        const struct vector *from = &n->right->vectors[node->join.right_slots[i]];
        if (exec__vector_copy(op, &n->base.results, from, row, &n->join.wide.vectors[n->join.left_count + i], n->join.count))
            return OP_FAILED;
    }
    return OP_OK;
}

/* Candidates of the current left row, until it has no more (*done) or there is no room. */
static int nest_loop_row(struct op *op, struct nest_loop *n, int most, bool *done)
{
    const struct plan_node *node = n->base.node;
    enum plan_join kind = node->join.join;
    bool first_only = !n->join.on && (kind == PLAN_JOIN_SEMI || kind == PLAN_JOIN_ANTI);
    int row = batch_row(n->left, n->left_at);

    *done = false;
    if (!n->inner_open && open_inner(op, n))
        return OP_FAILED;
    for (;;) {
        while (n->right && n->right_at < n->right->selected) {
            if (n->join.count >= most)
                return OP_OK;
            if (put_right(op, n))
                return OP_FAILED;
            exec__join_pair(&n->join, row);
            n->right_at++;
            n->paired = true;
            if ((*done = first_only))
                return OP_OK;
        }
        if (n->join.count >= most)
            return OP_OK;
        if (n->paired && node->join.right_unique) {
            *done = true;
            break;
        }
        if (exec__next(op, n->base.right, first_only ? 1 : INT_MAX, &n->right))
            return OP_FAILED;
        n->right_at = 0;
        if (!n->right) {
            *done = true;
            break;
        }
    }
    if ((kind == PLAN_JOIN_LEFT || kind == PLAN_JOIN_ANTI) && (!n->paired || n->join.on))
        exec__join_unmatched(&n->join, row);
    return OP_OK;
}

static int nest_loop_next(struct op *op, struct operator *o, int goal, struct batch **batch)
{
    struct nest_loop *n = (struct nest_loop *)o;
    int most = goal < BATCH_ROWS ? goal : BATCH_ROWS;

    *batch = NULL;
    for (;;) {
        arena_reset(&o->results);
        clear_candidates(&n->join);
        while (n->join.count < most) {
            bool done;
            if (!n->left || n->left_at == n->left->selected) {
                if (n->join.count)
                    break;
                if (exec__next(op, o->left, goal, &n->left))
                    return OP_FAILED;
                if (!n->left)
                    return OP_OK;
                n->left_at = 0;
                exec__join_left(&n->join, n->left);
                continue;
            }
            if (nest_loop_row(op, n, most, &done))
                return OP_FAILED;
            if (!done)
                break;
            n->left_at++;
            n->inner_open = false;
        }
        if (n->join.count) {
            if (exec__join_flush(op, &n->join))
                return OP_FAILED;
            if (o->out.selected) {
                *batch = &o->out;
                return OP_OK;
            }
        }
    }
}

static void nest_loop_stop(struct operator *o)
{
    clear_candidates(&((struct nest_loop *)o)->join);
}

static const struct operator_methods nest_loop_methods = { nest_loop_start, nest_loop_next, nest_loop_stop, NULL };

int exec__make_nest_loop(struct op *op, struct execution *execution, const struct plan_node *node, struct operator **result)
{
    struct nest_loop *n;

    if (exec__new(op, execution, node, sizeof *n, &nest_loop_methods, &n))
        return OP_FAILED;
    *result = &n->base;
    return exec__join_init(op, &n->base, false, &n->join);
}

/* ---- materialize ---------------------------------------------------------------------------------- */

/*
 * Keeps the child's rows, so that a nested loop can read them again and again.  What exceeds work_mem goes to a spill file, which is then
 * read anew each time.
 */
struct materialize {
    struct operator base;
    struct tuple_shape shape;
    struct arena kept, reading;
    struct tuple *first, *last, *at;
    struct spill_run *run;          /* all rows behind those in memory */
    bool built;
    uint64_t built_run;
};

static void materialize_drop(struct materialize *m)
{
    arena_free(&m->kept);
    arena_free(&m->reading);
    spill_run_close(m->run);
    m->run = NULL;
    m->first = m->last = m->at = NULL;
    m->built = false;
}

static int materialize_start(struct op *op, struct operator *o)
{
    struct materialize *m = (struct materialize *)o;

    if (m->built && (m->built_run != o->execution->run || o->node->left->depends))
        materialize_drop(m);
    m->at = m->first;
    if (m->built && m->run)
        return spill_rewind(op, m->run);
    return OP_OK;
}

static int materialize_add(struct op *op, struct materialize *m, const struct batch *in, int row)
{
    struct operator *o = &m->base;
    bool spilling = m->run || m->kept.total > o->execution->work_mem;
    struct tuple *tuple;

    if (spilling) {
        if (!m->run && spill_run_open(op, database_spill(session_database(o->execution->session)), &m->run))
            return OP_FAILED;
        arena_reset(&m->reading);
    }
    if (exec__tuple_make(op, spilling ? &m->reading : &m->kept, &m->shape, in->vectors, row, 0, (struct bytes){ 0 }, &tuple))
        return OP_FAILED;
    if (spilling)
        return exec__tuple_write(op, m->run, tuple);
    if (m->last)
        m->last->next = tuple;
    else
        m->first = tuple;
    m->last = tuple;
    return OP_OK;
}

static int materialize_build(struct op *op, struct materialize *m)
{
    struct operator *o = &m->base;
    struct batch *in;

    if (exec__start(op, o->left))
        return OP_FAILED;
    for (;;) {
        if (exec__next(op, o->left, INT_MAX, &in))
            return OP_FAILED;
        if (!in)
            break;
        for (int i = 0; i < in->selected; i++)
            if (materialize_add(op, m, in, batch_row(in, i)))
                return OP_FAILED;
    }
    exec__stop(o->left);
    m->built = true;
    m->built_run = o->execution->run;
    m->at = m->first;
    return m->run ? spill_rewind(op, m->run) : OP_OK;
}

static int materialize_next(struct op *op, struct operator *o, int goal, struct batch **batch)
{
    struct materialize *m = (struct materialize *)o;
    int most = goal < BATCH_ROWS ? goal : BATCH_ROWS;

    *batch = NULL;
    if (!m->built && materialize_build(op, m))
        return OP_FAILED;
    for (int i = 0; i < o->out.columns; i++)
        o->out.vectors[i].has_nulls = false;
    arena_reset(&m->reading);
    o->out.selection = NULL;
    for (o->out.count = 0; o->out.count < most; o->out.count++) {
        struct tuple *tuple = m->at;
        if (tuple)
            m->at = tuple->next;
        else if (m->run && exec__tuple_load(op, &m->reading, m->run, &tuple))
            return OP_FAILED;
        if (!tuple)
            break;
        exec__tuple_read(&m->shape, tuple, o->out.vectors, o->out.count);
    }
    o->out.selected = o->out.count;
    if (o->out.count)
        *batch = &o->out;
    return OP_OK;
}

static void materialize_stop(struct operator *o)
{
    materialize_drop((struct materialize *)o);
}

static const struct operator_methods materialize_methods = {
    materialize_start, materialize_next, materialize_stop, materialize_stop
};

int exec__make_materialize(struct op *op, struct execution *execution, const struct plan_node *node, struct operator **result)
{
    struct materialize *m;

    if (exec__new(op, execution, node, sizeof *m, &materialize_methods, &m))
        return OP_FAILED;
    arena_init(&m->kept);
    arena_init(&m->reading);
    enum type_form *forms = exec__forms(op, &execution->arena, node->types, node->column_count);
    if (!forms)
        return OP_FAILED;
    m->shape = (struct tuple_shape){ node->column_count, forms };
    *result = &m->base;
    return batch_init(op, &execution->arena, node->column_count, forms, &m->base.out);
}
