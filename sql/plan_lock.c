/*
 * plan_lock.c -- SELECT ... FOR UPDATE: a node that locks the rows that come out, and judges anew those that have changed.
 *
 *      Limit
 *        LockRows            locks; a row that has changed since is judged again, one that is gone or locked is skipped
 *          Sort              by the values that were seen: a row that has changed keeps its place, as in PostgreSQL
 *            ...
 *
 * LIMIT stands above, so it is refilled after a skip; so no sort may stop at the limit.
 *
 * To judge again takes more than what is selected: the clustered key of each locked table, and all columns that WHERE, the join conditions
 * and the select list read.  They travel along as hidden targets.  The conditions are those of the query before its sub-selects
 * became joins: in a joined row of which one table's part has changed the other parts stay as they are, and sub-selects are run again
 * at the statement's snapshot.  A left join whose condition fails on the changed row gives nulls on its right.
 */
#include <string.h>

#include "sql/plan_int.h"

bool plan__locks_range(const struct query *query, int range)
{
    for (int i = 0; i < query->mark_count; i++)
        if (query->marks[i].range == range)
            return true;
    return false;
}

struct expr *plan__key_column(struct op *op, struct arena *arena, int range, int column)
{
    struct expr *expr = plan__node(op, arena, EXPR_COLUMN, (struct sql_type){ TYPE_TEXT, -1 }, 0);

    if (expr) {
        expr->range = range;
        expr->column = column;
    }
    return expr;
}

/* ---- what travels along ----------------------------------------------------------------------------- */

struct carrier {
    struct op *op;
    struct planner *planner;
    struct query *query;
    int own;            /* targets before the first that travels along */
    int capacity;
    bool failed;
};

static void carry(struct carrier *c, struct expr *column)
{
    struct query *query = c->query;

    for (int i = c->own; i < query->target_count; i++)
        if (query->targets[i].expr->range == column->range && query->targets[i].expr->column == column->column)
            return;
    if (query->target_count == c->capacity) {
        int capacity = 2 * c->capacity + 8;
        struct target *targets = op_arena_alloc(c->op, c->planner->arena, (size_t)capacity * sizeof *targets);
        if (!targets) {
            c->failed = true;
            return;
        }
        memcpy(targets, query->targets, (size_t)query->target_count * sizeof *targets);
        query->targets = targets;
        c->capacity = capacity;
    }
    query->targets[query->target_count++] = (struct target){ .expr = column, .name = "", .hidden = true };
}

static void carry_column(void *arg, const struct expr *column)
{
    struct carrier *c = arg;
    struct expr *copy = plan__column(c->op, c->planner->arena, c->query, column->range, column->column);

    if (copy)
        carry(c, copy);
    else
        c->failed = true;
}

static void carry_from(struct carrier *c, const struct from_node *from)
{
    if (!from || !from->is_join)
        return;
    plan__columns(from->on, 0, carry_column, c);
    carry_from(c, from->left);
    carry_from(c, from->right);
}

static bool in_from(const struct from_node *from, int range)
{
    return from->is_join ? in_from(from->left, range) || in_from(from->right, range) : from->range == range;
}

static bool in_nullable(const struct from_node *from, int range)
{
    if (!from->is_join)
        return false;
    return (from->join == JOIN_LEFT && in_from(from->right, range)) || in_nullable(from->left, range)
        || in_nullable(from->right, range);
}

static int check_sides(struct op *op, const struct query *query)
{
    for (int i = 0; i < query->mark_count; i++)
        if (in_nullable(query->from, query->marks[i].range)) {
            static const char *const names[] = { "", "KEY SHARE", "SHARE", "NO KEY UPDATE", "UPDATE" };
            return op_fail(op, "0A000", "FOR %s cannot be applied to the nullable side of an outer join", names[query->marks[i].mode]);
        }
    return OP_OK;
}

int plan__prepare_recheck(struct op *op, struct planner *planner, struct query *query)
{
    struct carrier c = { op, planner, query, query->target_count, query->target_count, false };

    if (query->mark_count == 0)
        return OP_OK;
    if (check_sides(op, query) || !(query->recheck = plan__copy_query(op, planner->arena, query)))
        return OP_FAILED;
    const struct query *recheck = query->recheck;
    plan__columns(recheck->where, 0, carry_column, &c);
    carry_from(&c, recheck->from);
    for (int i = 0; i < recheck->target_count; i++)
        plan__columns(recheck->targets[i].expr, 0, carry_column, &c);
    for (int i = 0; i < query->mark_count && !c.failed; i++) {
        const struct range_entry *range = &query->ranges[query->marks[i].range];
        if (range->kind != RANGE_TABLE)
            continue;
        struct expr *key = plan__key_column(op, planner->arena, query->marks[i].range, range->table->column_count);
        if (!key)
            return OP_FAILED;
        carry(&c, key);
    }
    return c.failed ? OP_FAILED : OP_OK;
}

/* ---- the node --------------------------------------------------------------------------------------- */

static int lock_of(struct op *op, struct planner *planner, const struct query *query, const struct row_mark *mark, int own,
                   struct plan_lock *lock)
{
    const struct range_entry *range = &query->ranges[mark->range];

    lock->table = range->table;
    lock->mode = mark->mode;
    lock->wait = mark->wait;
    lock->columns = op_arena_alloc(op, planner->arena, (size_t)(query->target_count + 1) * sizeof *lock->columns);
    lock->slots = op_arena_alloc(op, planner->arena, (size_t)(query->target_count + 1) * sizeof *lock->slots);
    if (!lock->columns || !lock->slots)
        return OP_FAILED;
    for (int slot = own; slot < query->target_count; slot++) {
        const struct expr *column = query->targets[slot].expr;
        if (column->range != mark->range)
            continue;
        if (column->column == range->table->column_count) {
            lock->key_slot = slot;
            continue;
        }
        lock->columns[lock->count] = column->column;
        lock->slots[lock->count++] = slot;
    }
    return OP_OK;
}

/* Over what travelled along, not over what was computed from the old values. */
static int recheck_expr(struct op *op, struct planner *planner, const struct query *query, struct plan_node *node, int own,
                        const struct expr *expr, struct expr **result)
{
    struct expr **layout = op_arena_alloc(op, planner->arena, (size_t)(node->column_count + 1) * sizeof *layout);

    if (!layout)
        return OP_FAILED;
    for (int i = own; i < node->column_count; i++)
        layout[i] = node->layout[i];
    return plan__to_slots(op, planner, query, expr, node->column_count, layout, result);
}

struct recheck {
    struct op *op;
    struct planner *planner;
    const struct query *query;
    struct plan_node *node;
    int own;
    struct expr *where;
};

static int add_outer(struct recheck *r, const struct from_node *from)
{
    struct plan_node *node = r->node;
    struct plan_outer *outer = op_arena_alloc(r->op, r->planner->arena, sizeof *outer), **last = &node->lock.outers;

    if (!outer || !(outer->slots = op_arena_alloc(r->op, r->planner->arena, (size_t)(node->column_count + 1) * sizeof(int))))
        return OP_FAILED;
    for (int slot = r->own; slot < r->query->target_count; slot++)
        if (in_from(from->right, r->query->targets[slot].expr->range))
            outer->slots[outer->count++] = slot;
    while (*last)
        last = &(*last)->next;
    *last = outer;
    return recheck_expr(r->op, r->planner, r->query, node, r->own, from->on, &outer->on);
}

/* Conditions of inner joins count as WHERE.  Nothing on the right of a left join is locked, so nothing there has changed. */
static int recheck_from(struct recheck *r, const struct from_node *from)
{
    if (!from->is_join)
        return OP_OK;
    if (recheck_from(r, from->left))
        return OP_FAILED;
    if (from->join == JOIN_LEFT)
        return from->on ? add_outer(r, from) : OP_OK;
    if (from->on && !(r->where = plan__and(r->op, r->planner->arena, r->where, from->on)))
        return OP_FAILED;
    return recheck_from(r, from->right);
}

int plan__lock_rows(struct op *op, struct planner *planner, struct query *query, struct plan_node **result)
{
    struct plan_node *input = *result;
    struct plan_node *node = *result = plan__above(op, planner, PLAN_LOCK_ROWS, query, input, input->column_count);
    const struct query *recheck = query->recheck;
    int own = recheck->target_count;
    struct recheck r = { op, planner, query, node, own, recheck->where };

    if (!node)
        return OP_FAILED;
    plan__same_columns(node, input);
    node->total_cost += node->rows * PLAN_ROW_COST;
    node->lock.locks = op_arena_alloc(op, planner->arena, (size_t)query->mark_count * sizeof *node->lock.locks);
    node->lock.targets = op_arena_alloc(op, planner->arena, (size_t)(own + 1) * sizeof *node->lock.targets);
    if (!node->lock.locks || !node->lock.targets)
        return OP_FAILED;
    for (int i = 0; i < query->mark_count; i++)
        if (query->ranges[query->marks[i].range].kind == RANGE_TABLE
            && lock_of(op, planner, query, &query->marks[i], own, &node->lock.locks[node->lock.count++]))
            return OP_FAILED;
    if (recheck_from(&r, recheck->from)
        || (r.where && recheck_expr(op, planner, query, node, own, r.where, &node->lock.where)))
        return OP_FAILED;
    node->lock.target_count = own;
    for (int i = 0; i < own; i++)
        if (recheck_expr(op, planner, query, node, own, recheck->targets[i].expr, &node->lock.targets[i]))
            return OP_FAILED;
    return OP_OK;
}
