/*
 * modify_insert.c -- INSERT: from the source's columns to whole rows, and the short way for one row of VALUES.
 */
#include <string.h>

#include "sql/modify_int.h"

/* ---- the short way -------------------------------------------------------------------------------- */

struct substitution {
    const struct range_entry *values;
    bool failed;
};

/* A column of the VALUES list becomes its expression. */
static struct expr *substitute(void *arg, struct op *op, const struct expr *expr)
{
    struct substitution *substitution = arg;
    if (expr->kind != EXPR_COLUMN)
        return NULL;
    if (expr->level != 0 || expr->range != 0 || expr->column >= substitution->values->column_count) {
        substitution->failed = true;
        return NULL;
    }
    return substitution->values->values[expr->column];
}

static bool has_columns_or_queries(const struct expr *expr)
{
    return expr_contains(expr, EXPR_COLUMN) || expr_contains(expr, EXPR_SUBQUERY) || expr_contains(expr, EXPR_SERIES) ||
           expr_contains(expr, EXPR_AGGREGATE);
}

/* Whether the source is one plain row of VALUES. */
static bool is_single_row(const struct query *source)
{
    if (source->kind != QUERY_SELECT || source->range_count != 1 || source->ranges[0].kind != RANGE_VALUES ||
        source->ranges[0].row_count != 1 || source->where || source->grouped || source->distinct || source->order_count ||
        source->limit || source->offset || source->set != SET_NONE)
        return false;
    for (int i = 0; i < source->ranges[0].column_count; i++)
        if (has_columns_or_queries(source->ranges[0].values[i]))
            return false;
    for (int i = 0; i < source->target_count; i++)
        if (source->targets[i].hidden || expr_contains(source->targets[i].expr, EXPR_SUBQUERY) ||
            expr_contains(source->targets[i].expr, EXPR_SERIES))
            return false;
    return true;
}

static int make_value(struct op *op, struct modify *modify, const struct expr *expr, struct modify_value *value)
{
    value->param = -1;
    if (!expr)
        return 0;
    if (expr->kind == EXPR_PARAM) {
        value->param = expr->slot;
        return 0;
    }
    return execution_program(op, modify->execution, modify->query, expr, &value->program);
}

static int make_single(struct op *op, struct modify *modify)
{
    const struct query *query = modify->query, *source = query->source;
    struct substitution substitution = {.values = &source->ranges[0]};

    modify->values = op_arena_alloc(op, &modify->arena, sizeof *modify->values * (size_t)(modify->columns + 1));
    if (!modify->values)
        return OP_FAILED;
    for (int i = 0; i < modify->columns; i++) {
        const struct expr *expr = query->defaults ? query->defaults[i] : NULL;
        for (int k = 0; k < query->insert_count; k++)
            if (query->insert_columns[k] == i) {
                expr = expr_copy(op, &modify->arena, source->targets[k].expr, substitute, &substitution);
                if (!expr)
                    return OP_FAILED;
            }
        if (substitution.failed)
            return op_fail(op, "XX000", "a row of VALUES refers to a column outside of it");
        if (make_value(op, modify, expr, &modify->values[i]) != 0)
            return OP_FAILED;
    }
    modify->single = true;
    return 0;
}

/* The row in new_values. */
static int insert_row(struct op *op, struct modify *modify)
{
    if (change_check(op, &modify->change, modify->new_values) != 0)
        return OP_FAILED;
    if (modify->query->conflict != CONFLICT_NONE)
        return modify__insert_conflict(op, modify);
    if (change_insert(op, &modify->change, modify->new_values) != 0)
        return OP_FAILED;
    modify__note_changed(modify, modify->new_values);
    return 0;
}

int modify__insert_single(struct op *op, struct modify *modify)
{
    struct eval_env *env = modify__env(op, modify);
    struct datum *values = modify->new_values;

    for (int i = 0; i < modify->columns; i++) {
        const struct modify_value *value = &modify->values[i];
        if (value->param >= 0)
            values[i] = modify->params[value->param];
        else if (!value->program)
            values[i] = (struct datum){.null = true};
        else if (program_value(env, value->program, &values[i]) != 0)
            return OP_FAILED;
    }
    return insert_row(op, modify);
}

/* ---- rows of any source --------------------------------------------------------------------------- */

int modify__make_insert(struct op *op, struct modify *modify)
{
    const struct query *query = modify->query;

    if (is_single_row(query->source))
        return make_single(op, modify);
    modify->from = op_arena_alloc(op, &modify->arena, sizeof *modify->from * (size_t)(modify->columns + 1));
    modify->defaults = op_arena_alloc(op, &modify->arena, sizeof *modify->defaults * (size_t)(modify->columns + 1));
    if (!modify->from || !modify->defaults)
        return OP_FAILED;
    for (int i = 0; i < modify->columns; i++) {
        modify->from[i] = -1;
        for (int k = 0; k < query->insert_count; k++)
            if (query->insert_columns[k] == i)
                modify->from[i] = k;
        if (modify->from[i] < 0 && query->defaults && query->defaults[i] &&
            execution_program(op, modify->execution, modify->query, query->defaults[i], &modify->defaults[i]) != 0)
            return OP_FAILED;
    }
    return 0;
}

static int make_row(struct eval_env *env, struct modify *modify, const struct batch *source, int row)
{
    for (int i = 0; i < modify->columns; i++) {
        struct datum *value = &modify->new_values[i];
        if (modify->from[i] >= 0)
            vector_get(&source->vectors[modify->from[i]], row, value);
        else if (!modify->defaults[i])
            *value = (struct datum){.null = true};
        else if (program_value(env, modify->defaults[i], value) != 0)
            return OP_FAILED;
    }
    return 0;
}

int modify__insert_batch(struct op *op, struct modify *modify, const struct batch *source)
{
    struct eval_env *env = modify__env(op, modify);

    for (int i = 0; i < source->selected; i++) {
        struct arena_mark mark = arena_mark(&op->arena);
        if (make_row(env, modify, source, batch_row(source, i)) != 0 || insert_row(op, modify) != 0)
            return OP_FAILED;
        arena_release(&op->arena, mark);
    }
    return 0;
}
