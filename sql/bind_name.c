/*
 * bind_name.c -- what does a name in an expression mean?
 *
 * A column is looked for in the innermost query first, then outwards: the first query that has it wins, and twice in one query is
 * ambiguous.  A name with a table in front looks for the table first.  When nothing is found, the names that come close
 * are offered: close means up to three edits, and no more than half of the name.
 */
#include <string.h>

#include "sql/bind_int.h"

struct expr *bind__column_ref(struct binder *b, struct scope *scope, int range, int column, int level, int position)
{
    struct expr *expr = bind__node(b, EXPR_COLUMN, scope->query->ranges[range].column_types[column], position, 0);

    if (!expr)
        return NULL;
    expr->range = range;
    expr->column = column;
    expr->level = level;
    return expr;
}

/* ---- hints ---- */

enum { FUZZY_MAX = 3, FUZZY_NAME_MAX = 255 };

/* Edits (insert, delete, replace) from a to b, at most `limit`; limit + 1 when more. */
static int edit_distance(const char *a, const char *b, int limit)
{
    int m = (int)strlen(a), n = (int)strlen(b), row[FUZZY_NAME_MAX + 1];

    if (m > FUZZY_NAME_MAX || n > FUZZY_NAME_MAX || m - n > limit || n - m > limit)
        return limit + 1;
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 1; i <= m; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int replace = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            int least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            row[j] = replace < least ? replace : least;
        }
    }
    return row[n] > limit ? limit + 1 : row[n];
}

struct fuzzy {
    int distance;
    int count;
    const char *tables[2], *columns[2];
};

static void consider(struct fuzzy *fuzzy, const char *table, const char *column, int distance)
{
    if (distance > fuzzy->distance)
        return;
    if (distance < fuzzy->distance) {
        fuzzy->distance = distance;
        fuzzy->count = 0;
    }
    if (fuzzy->count < 2) {
        fuzzy->tables[fuzzy->count] = table;
        fuzzy->columns[fuzzy->count] = column;
    }
    fuzzy->count++;
}

/* Whether a column of exactly this name exists in a part of FROM that is out of sight; else near names. */
static const struct range_entry *search_near(struct binder *b, const char *table, const char *column, struct fuzzy *fuzzy)
{
    int half = (int)strlen(column) / 2, limit = half < FUZZY_MAX ? half : FUZZY_MAX;

    fuzzy->distance = FUZZY_MAX + 1;
    for (struct scope *scope = b->scope; scope; scope = scope->outer)
        for (int i = 0; i < scope->query->range_count; i++) {
            const struct range_entry *range = &scope->query->ranges[i];
            int table_distance = table && range->alias ? edit_distance(table, range->alias, FUZZY_MAX) : 0;
            for (int j = 0; j < range->column_count; j++) {
                int distance = edit_distance(column, range->column_names[j], limit);
                if (distance == 0 && table_distance == 0)
                    return range;
                if (distance <= limit && distance + table_distance <= FUZZY_MAX)
                    consider(fuzzy, range->alias, range->column_names[j], distance + table_distance);
            }
        }
    return NULL;
}

static int fail_column(struct binder *b, const char *table, const char *column, int position)
{
    struct fuzzy fuzzy = { 0 };
    const struct range_entry *hidden = search_near(b, table, column, &fuzzy);

    if (hidden && b->scope->place == PLACE_FROM_FUNCTION)
        return op_fail_at(b->op, position, "0A000", "A function in FROM that uses other items of FROM is not supported");
    if (table)
        op_fail_at(b->op, position, "42703", "column %s.%s does not exist", table, column);
    else
        op_fail_at(b->op, position, "42703", "column \"%s\" does not exist", column);
    if (hidden)
        op_hint(b->op, "There is a column named \"%s\" in table \"%s\", but it cannot be referenced from this part of the query.",
                column, hidden->alias);
    else if (fuzzy.count == 1)
        op_hint(b->op, "Perhaps you meant to reference the column \"%s.%s\".", fuzzy.tables[0], fuzzy.columns[0]);
    else if (fuzzy.count == 2)
        op_hint(b->op, "Perhaps you meant to reference the column \"%s.%s\" or the column \"%s.%s\".", fuzzy.tables[0],
                fuzzy.columns[0], fuzzy.tables[1], fuzzy.columns[1]);
    return OP_FAILED;
}

/* ---- columns ---- */

/* A table of this name among what is visible; -1 when there is none. */
static int find_range(const struct scope *scope, const char *schema, const char *name)
{
    for (int i = 0; i < scope->space.range_count; i++) {
        const struct range_entry *range = &scope->query->ranges[scope->space.ranges[i]];
        if (!range->alias || strcmp(range->alias, name) != 0)
            continue;
        if (schema && (range->kind != RANGE_TABLE || strcmp(range->table->schema, schema) || strcmp(range->table->name, name)))
            continue;
        return scope->space.ranges[i];
    }
    return -1;
}

static int fail_table(struct binder *b, const char *name, int position)
{
    for (struct scope *scope = b->scope; scope; scope = scope->outer)
        for (int i = 0; i < scope->query->range_count; i++) {
            const struct range_entry *range = &scope->query->ranges[i];
            bool same_alias = range->alias && strcmp(range->alias, name) == 0;
            if (same_alias && b->scope->place == PLACE_FROM_FUNCTION && scope == b->scope)
                return op_fail_at(b->op, position, "0A000", "A function in FROM that uses other items of FROM is not supported");
            if (same_alias) {
                op_fail_at(b->op, position, "42P01", "invalid reference to FROM-clause entry for table \"%s\"", name);
                op_hint(b->op, "There is an entry for table \"%s\", but it cannot be referenced from this part of the query.", name);
                return OP_FAILED;
            }
            if (range->kind == RANGE_TABLE && strcmp(range->table->name, name) == 0) {
                op_fail_at(b->op, position, "42P01", "invalid reference to FROM-clause entry for table \"%s\"", name);
                op_hint(b->op, "Perhaps you meant to reference the table alias \"%s\".", range->alias);
                return OP_FAILED;
            }
        }
    return op_fail_at(b->op, position, "42P01", "missing FROM-clause entry for table \"%s\"", name);
}

static int bind_plain(struct binder *b, const char *name, int position, struct expr **result)
{
    int level = 0;

    for (struct scope *scope = b->scope; scope; scope = scope->outer, level++) {
        const struct space_column *found = NULL;
        for (int i = 0; i < scope->space.count; i++) {
            if (strcmp(scope->space.columns[i].name, name) != 0)
                continue;
            if (found)
                return op_fail_at(b->op, position, "42702", "column reference \"%s\" is ambiguous", name);
            found = &scope->space.columns[i];
        }
        if (found) {
            *result = bind__column_ref(b, scope, found->range, found->column, level, position);
            return *result ? OP_OK : OP_FAILED;
        }
    }
    for (struct scope *scope = b->scope; scope; scope = scope->outer)
        if (find_range(scope, NULL, name) >= 0)
            return op_fail_at(b->op, position, "0A000", "A whole row as a value is not supported");
    return fail_column(b, NULL, name, position);
}

static int bind_qualified(struct binder *b, const char *schema, const char *table, const char *name, int position,
                          struct expr **result)
{
    int level = 0;

    for (struct scope *scope = b->scope; scope; scope = scope->outer, level++) {
        int range = find_range(scope, schema, table), found = -1;
        if (range < 0)
            continue;
        const struct range_entry *entry = &scope->query->ranges[range];
        for (int i = 0; i < entry->column_count; i++)
            if (strcmp(entry->column_names[i], name) == 0) {
                if (found >= 0)
                    return op_fail_at(b->op, position, "42702", "column reference \"%s\" is ambiguous", name);
                found = i;
            }
        if (found < 0)
            return fail_column(b, table, name, position);
        *result = bind__column_ref(b, scope, range, found, level, position);
        return *result ? OP_OK : OP_FAILED;
    }
    return fail_table(b, table, position);
}

int bind__column(struct binder *b, const struct ast_expr *ast, struct expr **result)
{
    const struct ast_word *names = ast->names;

    if (b->scope->place == PLACE_DEFAULT && b->scope->query->range_count == 0)
        return op_fail_at(b->op, ast->position, "0A000", "cannot use column reference in DEFAULT expression");
    if (ast->star)
        return op_fail_at(b->op, ast->position, "0A000", "A whole row as a value is not supported");
    switch (ast->name_count) {
    case 1:
        return bind_plain(b, names->text, ast->position, result);
    case 2:
        return bind_qualified(b, NULL, names->text, names->next->text, ast->position, result);
    case 3:
        return bind_qualified(b, names->text, names->next->text, names->next->next->text, ast->position, result);
    default:
        return op_fail_at(b->op, ast->position, ast->name_count == 4 ? "0A000" : "42601", ast->name_count == 4
                          ? "cross-database references are not implemented: %s.%s.%s.%s"
                          : "improper qualified name (too many dotted names): %s.%s.%s.%s", names->text, names->next->text,
                          names->next->next->text, names->next->next->next->text);
    }
}

/* ---- stars ---- */

static int add_star_column(struct binder *b, struct scope *scope, int range, int column, int level, int position)
{
    struct expr *expr = bind__column_ref(b, scope, range, column, level, position);

    return expr ? bind__add_target(b, b->scope, expr, scope->query->ranges[range].column_names[column], false) : OP_FAILED;
}

static int star_of_all(struct binder *b, const struct ast_expr *ast)
{
    struct scope *scope = b->scope;

    if (scope->space.range_count == 0)
        return op_fail_at(b->op, ast->position, "42601", "SELECT * with no tables specified is not valid");
    for (int i = 0; i < scope->space.count; i++)
        if (add_star_column(b, scope, scope->space.columns[i].range, scope->space.columns[i].column, 0, ast->position))
            return OP_FAILED;
    return OP_OK;
}

int bind__star(struct binder *b, const struct ast_expr *ast, enum place place)
{
    const char *schema = ast->name_count == 2 ? ast->names->text : NULL;
    int level = 0;

    if (ast->name_count == 0)
        return star_of_all(b, ast);
    if (ast->name_count > 2)
        return op_fail_at(b->op, ast->position, "0A000", "cross-database references are not implemented: %s.%s.%s.*",
                          ast->names->text, ast->names->next->text, ast->names->next->next->text);
    const char *name = schema ? ast->names->next->text : ast->names->text;
    for (struct scope *scope = b->scope; scope; scope = scope->outer, level++) {
        int range = find_range(scope, schema, name);
        if (range < 0)
            continue;
        for (int i = 0; i < scope->query->ranges[range].column_count; i++)
            if (add_star_column(b, scope, range, i, level, ast->position))
                return OP_FAILED;
        return OP_OK;
    }
    return fail_table(b, name, ast->position);
}

/* ---- labels ---- */

/* Strength 2: a good name; 1: one that a better one may replace; 0: none. */
static int label_of(const struct ast_expr *ast, const char **label)
{
    const char *inner = NULL;
    const struct ast_word *word;

    switch (ast->kind) {
    case AST_COLUMN:
        for (word = ast->names; word; word = word->next)
            *label = word->text;
        return 2;
    case AST_CALL:
    case AST_CLOCK:
        *label = ast->call.name;
        return 2;
    case AST_NULLIF:
        *label = "nullif";
        return 2;
    case AST_COALESCE:
        *label = "coalesce";
        return 2;
    case AST_GREATEST:
        *label = "greatest";
        return 2;
    case AST_LEAST:
        *label = "least";
        return 2;
    case AST_EXISTS:
        *label = "exists";
        return 2;
    case AST_ROW:
        *label = "row";
        return 2;
    case AST_CAST:
        if (label_of(ast->left, label) == 2)
            return 2;
        *label = ast->type->name;
        return 1;
    case AST_CASE:
        if (ast->right && label_of(ast->right, &inner) == 2)
            *label = inner;
        else
            *label = "case";
        return ast->right && inner == *label ? 2 : 1;
    case AST_SUBQUERY: {
        const struct ast_select *select = ast->select;
        while (select->kind == AST_SELECT_SET)
            select = select->left;
        if (select->kind != AST_SELECT_PLAIN || !select->targets) {
            *label = "column1";
            return select->kind == AST_SELECT_VALUES ? 2 : 0;
        }
        if (select->targets->label) {
            *label = select->targets->label;
            return 2;
        }
        return label_of(select->targets->expr, label);
    }
    default:
        return 0;
    }
}

const char *bind__label(struct binder *b, const struct ast_expr *ast)
{
    const char *label = NULL;

    return label_of(ast, &label) && label ? label : "?column?";
}
