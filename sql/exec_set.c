/*
 * exec_set.c -- rows of several queries: UNION ALL appends them; INTERSECT and EXCEPT count them.
 */
#include "sql/exec_int.h"

/* ---- UNION ALL ------------------------------------------------------------------------------------ */

struct append_operator {
    struct operator base;
    struct operator **children;
    int at;
    bool started;
};

static int append_start(struct op *op, struct operator *o)
{
    struct append_operator *a = (struct append_operator *)o;

    a->at = 0;
    a->started = false;
    return OP_OK;
}

static int append_next(struct op *op, struct operator *o, int goal, struct batch **batch)
{
    struct append_operator *a = (struct append_operator *)o;

    *batch = NULL;
    for (; a->at < o->node->append.count; a->at++, a->started = false) {
        if (!a->started && exec__start(op, a->children[a->at]))
            return OP_FAILED;
        a->started = true;
        if (exec__next(op, a->children[a->at], goal, batch))
            return OP_FAILED;
        if (*batch)
            return OP_OK;
        exec__stop(a->children[a->at]);
    }
    return OP_OK;
}

static void append_stop(struct operator *o)
{
    struct append_operator *a = (struct append_operator *)o;

    for (int i = 0; i < o->node->append.count; i++)
        exec__stop(a->children[i]);
}

static const struct operator_methods append_methods = { append_start, append_next, append_stop, NULL };

int exec__make_append(struct op *op, struct execution *execution, const struct plan_node *node, struct operator **result)
{
    struct append_operator *a;

    if (exec__new(op, execution, node, sizeof *a, &append_methods, &a))
        return OP_FAILED;
    a->children = op_arena_alloc(op, &execution->arena, node->append.count * sizeof *a->children);
    if (!a->children)
        return OP_FAILED;
    for (int i = 0; i < node->append.count; i++)
        if (exec__make(op, execution, node->append.children[i], &a->children[i]))
            return OP_FAILED;
    *result = &a->base;
    return OP_OK;
}

/* ---- INTERSECT, EXCEPT ---------------------------------------------------------------------------- */

/* The input has each row of the two sides once, and behind its columns how often it occurs on the left and on the right. A row
 * that is wanted n times is handed up by n batches: the n-th selects the rows that are wanted n times or more. */
struct set_operator {
    struct operator base;
    struct batch *in;               /* NULL: a new one is needed */
    int64_t handed_up;              /* how often those of `in` that are wanted so often were handed up */
};

static int set_start(struct op *op, struct operator *o)
{
    ((struct set_operator *)o)->in = NULL;
    return exec__start(op, o->left);
}

static int64_t wanted(enum set_kind kind, int64_t left, int64_t right)
{
    switch (kind) {
    case SET_INTERSECT: return left > 0 && right > 0;
    case SET_INTERSECT_ALL: return left < right ? left : right;
    case SET_EXCEPT: return left > 0 && right == 0;
    default: return left - right;
    }
}

static void select_wanted(struct operator *o, const struct batch *in, int64_t times)
{
    int columns = o->node->column_count;
    const int64_t *left = in->vectors[columns].ints, *right = in->vectors[columns + 1].ints;

    o->out.vectors = in->vectors;
    o->out.columns = columns;
    o->out.count = in->count;
    o->out.selection = o->selection;
    o->out.selected = 0;
    for (int i = 0; i < in->selected; i++) {
        int row = batch_row(in, i);
        if (wanted(o->node->set.kind, left[row], right[row]) >= times)
            o->selection[o->out.selected++] = (uint16_t)row;
    }
}

static int set_next(struct op *op, struct operator *o, int goal, struct batch **batch)
{
    struct set_operator *s = (struct set_operator *)o;

    *batch = NULL;
    for (;;) {
        if (!s->in) {
            if (exec__next(op, o->left, BATCH_ROWS, &s->in))
                return OP_FAILED;
            if (!s->in)
                return OP_OK;
            s->handed_up = 0;
        }
        select_wanted(o, s->in, ++s->handed_up);
        if (o->out.selected > 0) {
            *batch = &o->out;
            return OP_OK;
        }
        s->in = NULL;
    }
}

static const struct operator_methods set_methods = { set_start, set_next, exec__stop_nothing, NULL };

int exec__make_set(struct op *op, struct execution *execution, const struct plan_node *node, struct operator **result)
{
    struct set_operator *s;

    if (exec__new(op, execution, node, sizeof *s, &set_methods, &s))
        return OP_FAILED;
    *result = &s->base;
    return OP_OK;
}
