/*
 * bind_group.c -- ORDER BY and GROUP BY, and what a grouped query may use.
 *
 * Both clauses may name a column of the select list by its position or label.  For ORDER BY a label comes before a column of FROM, for
 * GROUP BY after it: that is how the standard and its older usage were made to live together.  What is sorted by and is not in the select
 * list becomes a hidden target.
 *
 * A grouped query makes one row of many, so outside of aggregates it may use only what is the same in all of them: the grouped
 * expressions; and every column of a table whose primary key is grouped.  The latter join the list of groups.  LIMIT is
 * computed once and may use no column at all; both checks are one walk.
 */
#include <string.h>

#include "sql/bind_int.h"

/* ---- finding a target ---- */

static const char *plain_name(const struct ast_expr *ast)
{
    return ast->kind == AST_COLUMN && ast->name_count == 1 && !ast->star ? ast->names->text : NULL;
}

/* A visible target with this label; two with different expressions are ambiguous. */
static int find_label(struct binder *b, const char *name, const char *clause, int position, int *found)
{
    const struct query *query = b->scope->query;

    *found = -1;
    for (int i = 0; i < query->target_count; i++) {
        if (query->targets[i].hidden || strcmp(query->targets[i].name, name) != 0)
            continue;
        if (*found >= 0 && !expr_equal(query->targets[*found].expr, query->targets[i].expr))
            return op_fail_at(b->op, position, "42702", "%s \"%s\" is ambiguous", clause, name);
        if (*found < 0)
            *found = i;
    }
    return OP_OK;
}

static int find_position(struct binder *b, const struct ast_expr *ast, const char *clause, int *found)
{
    int count = bind__visible_targets(b->scope->query);

    if (ast->kind != AST_INTEGER)
        return op_fail_at(b->op, ast->position, "42601", "non-integer constant in %s", clause);
    if (ast->integer < 1 || ast->integer > count)
        return op_fail_at(b->op, ast->position, "42P10", "%s position %d is not in select list", clause, ast->integer);
    *found = ast->integer - 1;
    return OP_OK;
}

static bool is_visible_column(const struct scope *scope, const char *name)
{
    for (int i = 0; i < scope->space.count; i++)
        if (strcmp(scope->space.columns[i].name, name) == 0)
            return true;
    return false;
}

/* The target that an item of ORDER BY or GROUP BY means; an expression of its own becomes a hidden one. */
static int find_target(struct binder *b, const struct ast_expr *ast, enum place place, int *found)
{
    const char *name = plain_name(ast), *clause = bind__place_name(place);
    struct query *query = b->scope->query;
    struct expr *expr;

    *found = -1;
    if (name && !(place == PLACE_GROUP_BY && is_visible_column(b->scope, name))
        && find_label(b, name, clause, ast->position, found))
        return OP_FAILED;
    if (*found < 0 && (ast->kind == AST_INTEGER || ast->kind == AST_NUMBER || ast->kind == AST_STRING || ast->kind == AST_NULL)
        && find_position(b, ast, clause, found))
        return OP_FAILED;
    if (*found < 0) {
        if (bind__expr_in(b, place, ast, &expr))
            return OP_FAILED;
        for (int i = 0; i < query->target_count && *found < 0; i++)
            if (expr_equal(query->targets[i].expr, expr))
                *found = i;
    }
    if (*found < 0) {
        *found = query->target_count;
        if (bind__add_target(b, b->scope, expr, "?column?", true))
            return OP_FAILED;
    }
    return bind__settle(b, query->targets[*found].expr, &query->targets[*found].expr);
}

/* ---- ORDER BY ---- */

static int find_union_target(struct binder *b, const struct ast_expr *ast, int *found)
{
    const char *name = plain_name(ast);

    if (ast->kind == AST_INTEGER || ast->kind == AST_NUMBER || ast->kind == AST_STRING || ast->kind == AST_NULL)
        return find_position(b, ast, "ORDER BY", found);
    *found = -1;
    if (name && find_label(b, name, "ORDER BY", ast->position, found))
        return OP_FAILED;
    if (*found >= 0)
        return OP_OK;
    if (name)
        return op_fail_at(b->op, ast->position, "42703", "column \"%s\" does not exist", name);
    int position = ast->position;
    for (const struct ast_expr *left = ast->left; left; left = left->left)
        position = left->position < position ? left->position : position;
    op_fail_at(b->op, position, "0A000", "invalid UNION/INTERSECT/EXCEPT ORDER BY clause");
    op_detail(b->op, "Only result column names can be used, not expressions or functions.");
    op_hint(b->op, "Add the expression/function to every SELECT, or move the UNION into a FROM clause.");
    return OP_FAILED;
}

int bind__order(struct binder *b, const struct ast_order *list)
{
    struct query *query = b->scope->query;
    int count = 0, target;

    for (const struct ast_order *order = list; order; order = order->next)
        count++;
    if (count && !(query->order = bind__alloc(b, (size_t)count * sizeof(*query->order))))
        return OP_FAILED;
    for (const struct ast_order *order = list; order; order = order->next) {
        if (query->set != SET_NONE ? find_union_target(b, order->expr, &target)
                                   : find_target(b, order->expr, PLACE_ORDER_BY, &target))
            return OP_FAILED;
        bool again = false;
        for (int i = 0; i < query->order_count; i++)
            again = again || query->order[i].target == target;
        if (!again)
            query->order[query->order_count++] = (struct sort_key){ .target = target, .descending = order->descending,
                                                                    .nulls_first = order->nulls_first };
    }
    return OP_OK;
}

/* ---- GROUP BY ---- */

static bool in_groups(const struct query *query, const struct expr *expr)
{
    for (int i = 0; i < query->group_count; i++)
        if (query->groups[i] == expr || expr_equal(query->groups[i], expr))
            return true;
    return false;
}

static bool find_misplaced(void *arg, const struct expr *expr)
{
    const struct expr **found = arg;

    if (expr->kind == EXPR_AGGREGATE || expr->kind == EXPR_SERIES) {
        *found = expr;
        return false;
    }
    return true;
}

static int check_group(struct binder *b, const struct expr *expr)
{
    const struct expr *found = NULL;

    (void)expr_walk(expr, find_misplaced, &found);
    if (!found)
        return OP_OK;
    if (found->kind == EXPR_SERIES)
        return op_fail_at(b->op, found->position, "0A000", "A set-returning function in GROUP BY is not supported");
    return op_fail_at(b->op, found->position, "42803", "aggregate functions are not allowed in GROUP BY");
}

/* Grouped by an expression that is not in the select list: no target is needed for it. */
static int bind_group(struct binder *b, const struct ast_expr *ast, struct expr **expr)
{
    struct query *query = b->scope->query;
    int targets = query->target_count, target;

    if (find_target(b, ast, PLACE_GROUP_BY, &target))
        return OP_FAILED;
    *expr = query->targets[target].expr;
    query->target_count = targets;
    return check_group(b, *expr);
}

static int count_columns(const struct query *query)
{
    int count = 0;

    for (int i = 0; i < query->range_count; i++)
        count += query->ranges[i].column_count;
    return count;
}

int bind__groups(struct binder *b, const struct ast_select *ast)
{
    struct query *query = b->scope->query;
    int count = 0;

    for (const struct ast_expr *group = ast->groups; group; group = group->next)
        count++;
    if (!count)
        return OP_OK;
    /* room also for the columns that depend on a grouped primary key */
    query->groups = bind__alloc(b, (size_t)(count + count_columns(query)) * sizeof(*query->groups));
    if (!query->groups)
        return OP_FAILED;
    for (const struct ast_expr *group = ast->groups; group; group = group->next) {
        struct expr *expr;
        if (bind_group(b, group, &expr))
            return OP_FAILED;
        if (!in_groups(query, expr))
            query->groups[query->group_count++] = expr;
    }
    return OP_OK;
}

/* ---- the check ---- */

static bool is_grouped_column(const struct query *query, int range, int column)
{
    for (int i = 0; i < query->group_count; i++) {
        const struct expr *group = query->groups[i];
        if (group->kind == EXPR_COLUMN && group->level == 0 && group->range == range && group->column == column)
            return true;
    }
    return false;
}

/* Whether the table's primary key is grouped, so that its other columns are settled, too. */
static bool depends_on_groups(const struct query *query, int range)
{
    const struct table_def *table = query->ranges[range].kind == RANGE_TABLE ? query->ranges[range].table : NULL;

    if (!table || !table->has_primary || !query->group_count)
        return false;
    for (int i = 0; i < table->indexes[0].column_count; i++)
        if (!is_grouped_column(query, range, table->indexes[0].columns[i].column))
            return false;
    return true;
}

/* A walk over an expression of this query and into the sub-selects in it: `column` is called for each column of this query. */
struct walk {
    struct binder *b;
    struct query *query;
    enum place place;
    int level;              /* how deep in sub-selects the walk is */
    int (*column)(struct walk *walk, const struct expr *expr);
    bool (*skip)(struct walk *walk, const struct expr *expr);   /* at level 0; NULL: never */
};

static int walk_query(struct walk *walk, const struct query *query);

static int walk_expr(struct walk *walk, const struct expr *expr)
{
    if (!expr || (walk->level == 0 && walk->skip && walk->skip(walk, expr)))
        return OP_OK;
    if (expr->kind == EXPR_COLUMN)
        return expr->level == walk->level ? walk->column(walk, expr) : OP_OK;
    for (int i = 0; i < expr->arg_count; i++)
        if (walk_expr(walk, expr->args[i]))
            return OP_FAILED;
    if (expr->kind == EXPR_AGGREGATE) {
        for (int i = 0; i < expr->order_count; i++)
            if (walk_expr(walk, expr->order[i].expr))
                return OP_FAILED;
        return walk_expr(walk, expr->filter);
    }
    return expr->kind == EXPR_SUBQUERY ? walk_query(walk, expr->subquery) : OP_OK;
}

static int walk_from(struct walk *walk, const struct from_node *node)
{
    if (!node || !node->is_join)
        return OP_OK;
    if (walk_from(walk, node->left) || walk_from(walk, node->right))
        return OP_FAILED;
    return walk_expr(walk, node->on);
}

static int walk_ranges(struct walk *walk, const struct query *query)
{
    for (int i = 0; i < query->range_count; i++) {
        const struct range_entry *range = &query->ranges[i];
        if ((range->subquery && walk_query(walk, range->subquery)) || walk_expr(walk, range->function))
            return OP_FAILED;
        for (int j = 0; j < range->row_count * range->column_count; j++)
            if (walk_expr(walk, range->values[j]))
                return OP_FAILED;
    }
    return walk_from(walk, query->from);
}

/* A sub-select: its references to the outside. */
static int walk_query(struct walk *walk, const struct query *query)
{
    int rc = OP_OK;

    walk->level++;
    for (int i = 0; i < query->target_count && !rc; i++)
        rc = walk_expr(walk, query->targets[i].expr);
    for (int i = 0; i < query->group_count && !rc; i++)
        rc = walk_expr(walk, query->groups[i]);
    if (!rc)
        rc = walk_expr(walk, query->where) || walk_expr(walk, query->having) || walk_expr(walk, query->limit)
             || walk_expr(walk, query->offset) || walk_ranges(walk, query);
    if (!rc && query->set != SET_NONE)
        rc = walk_query(walk, query->left) || walk_query(walk, query->right);
    walk->level--;
    return rc ? OP_FAILED : OP_OK;
}

static bool skip_grouped(struct walk *walk, const struct expr *expr)
{
    return expr->kind == EXPR_AGGREGATE || in_groups(walk->query, expr);
}

static int check_column(struct walk *walk, const struct expr *expr)
{
    struct query *query = walk->query;

    if (is_grouped_column(query, expr->range, expr->column))
        return OP_OK;
    if (depends_on_groups(query, expr->range)) {
        struct expr *group = bind__column_ref(walk->b, walk->b->scope, expr->range, expr->column, 0, expr->position);
        if (!group)
            return OP_FAILED;
        query->groups[query->group_count++] = group;
        return OP_OK;
    }
    const struct range_entry *range = &query->ranges[expr->range];
    if (walk->level > 0)
        return op_fail_at(walk->b->op, expr->position, "42803", "subquery uses ungrouped column \"%s.%s\" from outer query",
                          range->alias, range->column_names[expr->column]);
    return op_fail_at(walk->b->op, expr->position, "42803",
                      "column \"%s.%s\" must appear in the GROUP BY clause or be used in an aggregate function", range->alias,
                      range->column_names[expr->column]);
}

int bind__check_groups(struct binder *b)
{
    struct query *query = b->scope->query;
    struct walk walk = { .b = b, .query = query, .column = check_column, .skip = skip_grouped };

    for (int i = 0; i < query->target_count; i++)
        if (walk_expr(&walk, query->targets[i].expr))
            return OP_FAILED;
    return walk_expr(&walk, query->having);
}

/* ---- LIMIT ---- */

static int refuse_column(struct walk *walk, const struct expr *expr)
{
    return op_fail_at(walk->b->op, expr->position, "42P10", "argument of %s must not contain variables",
                      bind__place_name(walk->place));
}

int bind__limit(struct binder *b, enum place place, const struct ast_expr *ast, struct expr **result)
{
    struct walk walk = { .b = b, .query = b->scope->query, .place = place, .column = refuse_column };

    *result = NULL;
    if (!ast)
        return OP_OK;
    if (bind__expr_in(b, place, ast, result))
        return OP_FAILED;
    if (!bind__can_coerce((*result)->type.oid, TYPE_INT8, CAST_ASSIGNMENT))
        return op_fail_at(b->op, (*result)->position, "42804", "argument of %s must be type bigint, not type %s",
                          bind__place_name(place), bind__type_name((*result)->type.oid));
    if (walk_expr(&walk, *result))
        return OP_FAILED;
    return bind__coerce(b, *result, bind__type(TYPE_INT8), CAST_ASSIGNMENT, result);
}
