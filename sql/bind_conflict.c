/*
 * bind_conflict.c -- ON CONFLICT: which unique indexes decide, and what is done instead of an error.
 *
 * A conflict target names columns, expressions and a condition, not an index: every unique index over just these decides ("arbiter").
 * A partial one does if the target's condition implies its own.  Without a target all unique indexes decide.
 *
 *      INSERT INTO t VALUES (1, 'x') ON CONFLICT (a) DO UPDATE SET b = t.b || excluded.b WHERE t.b <> 'q'
 *
 *      range 0   t         the row that is there
 *      range 1   excluded  the row that was to be inserted
 */
#include <string.h>

#include "sql/bind_int.h"

/* ---- arbiters ---- */

struct conflict_target {
    struct expr **exprs;            /* columns of range 0, or expressions over them */
    int count;
    struct expr *where;
};

static int bind_target(struct binder *b, const struct ast_conflict *ast, struct conflict_target *target)
{
    int count = 0;

    for (const struct ast_index_column *column = ast->columns; column; column = column->next)
        count++;
    target->exprs = bind__alloc(b, (size_t)(count + 1) * sizeof(*target->exprs));
    if (!target->exprs)
        return OP_FAILED;
    for (const struct ast_index_column *column = ast->columns; column; column = column->next) {
        struct ast_word word = { .text = column->name, .position = ast->target_position };
        struct ast_expr name = { .kind = AST_COLUMN, .position = ast->target_position, .names = &word, .name_count = 1 };
        if (bind__expr_in(b, PLACE_INDEX, column->name ? &name : column->expr, &target->exprs[target->count])
            || bind__settle(b, target->exprs[target->count], &target->exprs[target->count]))
            return OP_FAILED;
        target->count++;
    }
    return bind__condition(b, PLACE_WHERE, ast->target_where, &target->where);
}

/* A key's column as an expression over range 0. */
static int key_expr(struct binder *b, struct table_def *table, const struct index_column *column, struct expr **expr)
{
    const struct column_def *def = &table->columns[column->column];

    if (column->column >= table->column_count)
        return bind_table_expression(b->op, b->session, b->arena, def->default_sql, NULL, table, BIND_INDEX, bind__type(0), expr);
    if (!(*expr = bind__node(b, EXPR_COLUMN, def->type, 0, 0)))
        return OP_FAILED;
    (*expr)->column = column->column;
    return OP_OK;
}

/* Whether target and key are the same set. */
static int matches_key(struct binder *b, struct table_def *table, const struct index_def *index, const struct conflict_target *target, bool *same)
{
    bool *met = bind__alloc(b, (size_t)target->count + 1);

    if (!met)
        return OP_FAILED;
    *same = true;
    for (int i = 0; i < index->column_count; i++) {
        struct expr *expr;
        bool found = false;
        if (key_expr(b, table, &index->columns[i], &expr))
            return OP_FAILED;
        for (int k = 0; k < target->count; k++)
            if (expr_equal(target->exprs[k], expr))
                found = met[k] = true;
        *same = *same && found;
    }
    for (int k = 0; k < target->count; k++)
        *same = *same && met[k];
    return OP_OK;
}

static int is_arbiter(struct binder *b, struct table_def *table, const struct index_def *index, const struct conflict_target *target,
                      bool *arbiter)
{
    struct expr *predicate;

    *arbiter = false;
    if (!index->unique || matches_key(b, table, index, target, arbiter))
        return index->unique ? OP_FAILED : OP_OK;
    if (!*arbiter || index->predicate < 0)
        return OP_OK;
    const struct expr *given[] = { target->where };
    if (bind_table_expression(b->op, b->session, b->arena, table->columns[index->predicate].default_sql, NULL, table, BIND_PREDICATE,
                              bind__type(TYPE_BOOL), &predicate))
        return OP_FAILED;
    *arbiter = target->where && expr_implied(given, 1, predicate);
    return OP_OK;
}

static int by_constraint(struct binder *b, const struct ast_conflict *ast, const struct table_def *table, struct query *query)
{
    for (int i = 0; i < table->index_count; i++)
        if (table->indexes[i].constraint && strcmp(table->indexes[i].name, ast->constraint) == 0)
            query->arbiters[query->arbiter_count++] = i;
    if (query->arbiter_count)
        return OP_OK;
    for (int i = 0; i < table->check_count; i++)
        if (strcmp(table->checks[i].name, ast->constraint) == 0)
            return op_fail(b->op, "42809", "constraint in ON CONFLICT clause has no associated index");
    return op_fail(b->op, "42704", "constraint \"%s\" for table \"%s\" does not exist", ast->constraint, table->name);
}

static int find_arbiters(struct binder *b, const struct ast_conflict *ast, struct table_def *table, struct query *query)
{
    struct conflict_target target = { 0 };

    query->arbiters = bind__alloc(b, (size_t)(table->index_count + 1) * sizeof(*query->arbiters));
    if (!query->arbiters)
        return OP_FAILED;
    if (ast->constraint)
        return by_constraint(b, ast, table, query);
    if (!ast->columns && ast->action == AST_CONFLICT_UPDATE) {
        op_fail_at(b->op, ast->position, "42601", "ON CONFLICT DO UPDATE requires inference specification or constraint name");
        op_hint(b->op, "For example, ON CONFLICT (column_name).");
        return OP_FAILED;
    }
    if (bind_target(b, ast, &target))
        return OP_FAILED;
    for (int i = 0; i < table->index_count; i++) {
        bool arbiter = !ast->columns && table->indexes[i].unique;
        if (ast->columns && is_arbiter(b, table, &table->indexes[i], &target, &arbiter))
            return OP_FAILED;
        if (arbiter)
            query->arbiters[query->arbiter_count++] = i;
    }
    if (ast->columns && !query->arbiter_count)
        return op_fail(b->op, "42P10", "there is no unique or exclusion constraint matching the ON CONFLICT specification");
    return OP_OK;
}

/* ---- DO UPDATE ---- */

/* Columns of range 1 are visible beside those of the table. */
static int add_excluded(struct binder *b, struct table_def *table)
{
    struct space *space = &b->scope->space;
    struct range_entry *range;
    int index;

    if (bind__add_range(b, &range, &index))
        return OP_FAILED;
    *range = b->scope->query->ranges[0];
    range->alias = "excluded";
    struct space_column *columns = bind__alloc(b, (size_t)(space->count + table->column_count + 1) * sizeof(*columns));
    int *ranges = bind__alloc(b, (size_t)(space->range_count + 1) * sizeof(*ranges));
    if (!columns || !ranges)
        return OP_FAILED;
    memcpy(columns, space->columns, (size_t)space->count * sizeof(*columns));
    memcpy(ranges, space->ranges, (size_t)space->range_count * sizeof(*ranges));
    for (int i = 0; i < table->column_count; i++)
        columns[space->count + i] = (struct space_column){ table->columns[i].name, index, i };
    ranges[space->range_count] = index;
    space->columns = columns;
    space->count += table->column_count;
    space->ranges = ranges;
    space->range_count++;
    return OP_OK;
}

int bind__conflict(struct binder *b, const struct ast_conflict *ast, struct table_def *table, struct query *query)
{
    struct space space = b->scope->space;

    if (ast->action == AST_CONFLICT_NONE)
        return OP_OK;
    query->conflict = ast->action == AST_CONFLICT_NOTHING ? CONFLICT_NOTHING : CONFLICT_UPDATE;
    if (find_arbiters(b, ast, table, query))
        return OP_FAILED;
    if (query->conflict == CONFLICT_NOTHING)
        return OP_OK;
    if (add_excluded(b, table) || bind__sets(b, ast->sets, table, query)
        || bind__condition(b, PLACE_WHERE, ast->where, &query->conflict_where))
        return OP_FAILED;
    b->scope->space = space;
    return OP_OK;
}
