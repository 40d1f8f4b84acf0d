/*
 * bind_from.c -- FROM: which rows there are, and which names they bring.
 *
 * Every table, sub-select and function becomes a range; joins arrange ranges in a tree.  Beside the tree goes the "space": the columns
 * that an unqualified name may mean, in the order of SELECT *.  A join concatenates the spaces of its sides, USING and NATURAL
 * make one column of two.  While FROM is bound its items do not see each other, except in ON, which sees its own join.
 */
#include <string.h>

#include "sql/bind_int.h"

struct item {
    struct from_node *node;
    struct space space;
};

static int bind_item(struct binder *b, const struct ast_from *ast, struct item *item);

int bind__add_range(struct binder *b, struct range_entry **range, int *index)
{
    struct query *query = b->scope->query;

    if (!bind__grow(b, &query->ranges, query->range_count, &b->scope->range_capacity, sizeof(*query->ranges)))
        return OP_FAILED;
    *index = query->range_count++;
    *range = &query->ranges[*index];
    memset(*range, 0, sizeof(**range));
    return OP_OK;
}

/* A leaf of the tree and the space of one range. */
static int leaf(struct binder *b, int index, struct item *item)
{
    const struct range_entry *range = &b->scope->query->ranges[index];
    struct space *space = &item->space;

    item->node = bind__alloc(b, sizeof(*item->node));
    space->columns = bind__alloc(b, (size_t)(range->column_count + 1) * sizeof(*space->columns));
    space->ranges = bind__alloc(b, sizeof(*space->ranges));
    if (!item->node || !space->columns || !space->ranges)
        return OP_FAILED;
    item->node->range = index;
    for (int i = 0; i < range->column_count; i++)
        space->columns[i] = (struct space_column){ range->column_names[i], index, i };
    space->count = range->column_count;
    space->ranges[0] = index;
    space->range_count = 1;
    return OP_OK;
}

/* t (a, b): other names for the first columns. */
static int rename_columns(struct binder *b, struct range_entry *range, const struct ast_from *ast)
{
    int count = 0;

    for (const struct ast_word *word = ast->columns; word; word = word->next)
        count++;
    if (count == 0)
        return OP_OK;
    if (count > range->column_count)
        return op_fail(b->op, "42P10", "table \"%s\" has %d columns available but %d columns specified", range->alias,
                       range->column_count, count);
    const char **names = bind__alloc(b, (size_t)range->column_count * sizeof(*names));
    if (!names)
        return OP_FAILED;
    memcpy(names, range->column_names, (size_t)range->column_count * sizeof(*names));
    count = 0;
    for (const struct ast_word *word = ast->columns; word; word = word->next)
        names[count++] = word->text;
    range->column_names = names;
    return OP_OK;
}

/* ---- tables ---- */

static int find_table(struct binder *b, const struct ast_name *name, struct table_def **table)
{
    struct held *held = bind__alloc(b, sizeof(*held));

    if (!held || catalog_find_table(b->op, b->session, name->schema, name->name, table))
        return OP_FAILED;
    if (!*table)
        return op_fail_at(b->op, name->position, "42P01", "relation \"%s%s%s\" does not exist", name->schema ? name->schema : "",
                          name->schema ? "." : "", name->name);
    held->table = *table;
    held->next = b->held;
    b->held = held;
    return OP_OK;
}

static int add_table(struct binder *b, const struct ast_name *name, const char *alias, struct range_entry **range, int *index)
{
    struct table_def *table;

    if (find_table(b, name, &table) || bind__add_range(b, range, index))
        return OP_FAILED;
    (*range)->kind = RANGE_TABLE;
    (*range)->alias = alias ? alias : table->name;
    (*range)->table = table;
    (*range)->column_count = table->column_count;
    (*range)->column_names = bind__alloc(b, (size_t)(table->column_count + 1) * sizeof(*(*range)->column_names));
    (*range)->column_types = bind__alloc(b, (size_t)(table->column_count + 1) * sizeof(*(*range)->column_types));
    if (!(*range)->column_names || !(*range)->column_types)
        return OP_FAILED;
    for (int i = 0; i < table->column_count; i++) {
        (*range)->column_names[i] = table->columns[i].name;
        (*range)->column_types[i] = table->columns[i].type;
    }
    return OP_OK;
}

int bind__target_table(struct binder *b, const struct ast_name *name, const char *alias, struct table_def **table)
{
    struct range_entry *range;
    struct item item;
    int index;

    if (add_table(b, name, alias, &range, &index))
        return OP_FAILED;
    *table = range->table;
    if ((*table)->system)
        return op_fail_at(b->op, name->position, "42501", "permission denied: \"%s\" is a system catalog", (*table)->name);
    if (leaf(b, index, &item))
        return OP_FAILED;
    b->scope->query->from = item.node;
    b->scope->space = item.space;
    return OP_OK;
}

static int bind_table(struct binder *b, const struct ast_from *ast, struct item *item)
{
    struct range_entry *range;
    int index;

    if (add_table(b, ast->table, ast->alias, &range, &index) || rename_columns(b, range, ast))
        return OP_FAILED;
    return leaf(b, index, item);
}

/* ---- sub-selects and functions ---- */

static int bind_derived(struct binder *b, const struct ast_from *ast, struct query *query, const char *alias, struct item *item)
{
    struct range_entry *range;
    int index;

    if (bind__add_range(b, &range, &index))
        return OP_FAILED;
    range->kind = RANGE_SUBQUERY;
    range->alias = alias;
    range->subquery = query;
    if (bind__outputs(b, query, range) || rename_columns(b, range, ast))
        return OP_FAILED;
    return leaf(b, index, item);
}

static int bind_from_select(struct binder *b, const struct ast_from *ast, struct item *item)
{
    struct query *query;

    if (bind__select(b, ast->select, true, &query))
        return OP_FAILED;
    return bind_derived(b, ast, query, ast->alias, item);
}

/* A function that returns one value is a sub-select of one row: it is bound again as one, a level further in. */
static int bind_scalar_function(struct binder *b, const struct ast_from *ast, const char *alias, struct item *item)
{
    struct scope scope;
    struct expr *expr;
    struct query *query = bind__query(b, QUERY_SELECT);

    if (!query)
        return OP_FAILED;
    bind__push(b, &scope, query);
    int rc = bind__expr_in(b, PLACE_FROM_FUNCTION, ast->call, &expr) || bind__settle(b, expr, &expr)
             || bind__add_target(b, &scope, expr, alias, false);
    bind__pop(b);
    return rc ? OP_FAILED : bind_derived(b, ast, query, alias, item);
}

/* A function of FROM makes rows itself, but its arguments may not. */
static int check_series(struct binder *b, const struct expr *call)
{
    for (int i = 0; i < call->arg_count; i++) {
        const struct expr *series = bind__find_series(call->args[i]);
        if (series)
            return op_fail_at(b->op, series->position, "0A000", "set-returning functions must appear at top level of FROM");
    }
    return OP_OK;
}

static int bind_from_call(struct binder *b, const struct ast_from *ast, struct item *item)
{
    const char *alias = ast->alias ? ast->alias : bind__label(b, ast->call);
    struct range_entry *range;
    struct expr *call;
    int index;

    if (bind__expr_in(b, PLACE_FROM_FUNCTION, ast->call, &call) || check_series(b, call))
        return OP_FAILED;
    if (call->kind != EXPR_SERIES)
        return bind_scalar_function(b, ast, alias, item);
    if (bind__add_range(b, &range, &index))
        return OP_FAILED;
    range->kind = RANGE_FUNCTION;
    range->alias = alias;
    range->function = call;
    range->column_count = 1;
    range->column_names = bind__alloc(b, sizeof(*range->column_names));
    range->column_types = bind__alloc(b, sizeof(*range->column_types));
    if (!range->column_names || !range->column_types)
        return OP_FAILED;
    range->column_names[0] = alias;
    range->column_types[0] = call->type;
    if (rename_columns(b, range, ast))
        return OP_FAILED;
    return leaf(b, index, item);
}

/* ---- joins ---- */

static int check_aliases(struct binder *b, const struct space *left, const struct space *right)
{
    const struct range_entry *ranges = b->scope->query->ranges;

    for (int i = 0; i < right->range_count; i++)
        for (int j = 0; j < left->range_count; j++)
            if (strcmp(ranges[left->ranges[j]].alias, ranges[right->ranges[i]].alias) == 0)
                return op_fail(b->op, "42712", "table name \"%s\" specified more than once", ranges[right->ranges[i]].alias);
    return OP_OK;
}

/* The ranges of both sides, and room for all columns. */
static int combine_ranges(struct binder *b, const struct space *left, const struct space *right, struct space *both)
{
    both->range_count = left->range_count + right->range_count;
    both->count = 0;
    both->ranges = bind__alloc(b, (size_t)(both->range_count + 1) * sizeof(*both->ranges));
    both->columns = bind__alloc(b, (size_t)(left->count + right->count + 1) * sizeof(*both->columns));
    if (!both->ranges || !both->columns || check_aliases(b, left, right))
        return OP_FAILED;
    if (left->range_count)
        memcpy(both->ranges, left->ranges, (size_t)left->range_count * sizeof(int));
    if (right->range_count)
        memcpy(both->ranges + left->range_count, right->ranges, (size_t)right->range_count * sizeof(int));
    return OP_OK;
}

static int find_column(struct binder *b, const struct space *space, const char *name, const char *side, int *found)
{
    *found = -1;
    for (int i = 0; i < space->count; i++) {
        if (strcmp(space->columns[i].name, name) != 0)
            continue;
        if (*found >= 0)
            return op_fail(b->op, "42702", "common column name \"%s\" appears more than once in %s table", name, side);
        *found = i;
    }
    return OP_OK;
}

/* Adds left.name = right.name to the condition. */
static int equate(struct binder *b, struct from_node *node, const struct space_column *left, const struct space_column *right,
                  int position)
{
    struct expr *l = bind__column_ref(b, b->scope, left->range, left->column, 0, position), *r, *equal, *both;

    if (!l || !(r = bind__column_ref(b, b->scope, right->range, right->column, 0, position))
        || bind__operation(b, "=", l, r, position, &equal))
        return OP_FAILED;
    if (!node->on) {
        node->on = equal;
        return OP_OK;
    }
    if (!(both = bind__node(b, EXPR_AND, bind__type(TYPE_BOOL), position, 2)))
        return OP_FAILED;
    both->args[0] = node->on;
    both->args[1] = equal;
    node->on = both;
    return OP_OK;
}

/* The words of USING, or for NATURAL the names that both sides have. */
static int common_names(struct binder *b, const struct ast_from *ast, const struct space *left, const struct space *right,
                        const struct ast_word **words)
{
    struct ast_word *first = NULL, *last = NULL;

    *words = ast->using;
    for (int i = 0; ast->natural && i < left->count; i++)
        for (int j = 0; j < right->count; j++) {
            if (strcmp(left->columns[i].name, right->columns[j].name) != 0)
                continue;
            struct ast_word *word = bind__alloc(b, sizeof(*word));
            if (!word)
                return OP_FAILED;
            word->text = left->columns[i].name;
            if (last)
                last->next = word;
            else
                first = word;
            last = word;
            break;
        }
    if (ast->natural)
        *words = first;
    return OP_OK;
}

static bool is_listed(const struct ast_word *words, const char *name)
{
    for (; words; words = words->next)
        if (strcmp(words->text, name) == 0)
            return true;
    return false;
}

/* USING, NATURAL: the common columns first and once, then the rest of both sides. */
static int join_using(struct binder *b, const struct ast_from *ast, const struct space *left, const struct space *right,
                      struct item *item)
{
    const struct ast_word *words;
    struct space *both = &item->space;
    int l, r;

    if (common_names(b, ast, left, right, &words))
        return OP_FAILED;
    for (const struct ast_word *word = words; word; word = word->next) {
        for (const struct ast_word *other = words; other != word; other = other->next)
            if (strcmp(other->text, word->text) == 0)
                return op_fail(b->op, "42701", "column name \"%s\" appears more than once in USING clause", word->text);
        if (find_column(b, left, word->text, "left", &l) || find_column(b, right, word->text, "right", &r))
            return OP_FAILED;
        if (l < 0 || r < 0)
            return op_fail(b->op, "42703", "column \"%s\" specified in USING clause does not exist in %s table", word->text,
                           l < 0 ? "left" : "right");
        if (equate(b, item->node, &left->columns[l], &right->columns[r], word->position))
            return OP_FAILED;
        both->columns[both->count++] = ast->join == AST_JOIN_RIGHT ? right->columns[r] : left->columns[l];
    }
    for (int i = 0; i < left->count; i++)
        if (!is_listed(words, left->columns[i].name))
            both->columns[both->count++] = left->columns[i];
    for (int i = 0; i < right->count; i++)
        if (!is_listed(words, right->columns[i].name))
            both->columns[both->count++] = right->columns[i];
    return OP_OK;
}

static void concatenate(const struct space *left, const struct space *right, struct space *both)
{
    if (left->count)
        memcpy(both->columns, left->columns, (size_t)left->count * sizeof(*left->columns));
    if (right->count)
        memcpy(both->columns + left->count, right->columns, (size_t)right->count * sizeof(*right->columns));
    both->count = left->count + right->count;
}

/* ON sees the two sides of its own join and nothing else of this FROM. */
static int join_on(struct binder *b, const struct ast_from *ast, struct item *item)
{
    struct space before = b->scope->space;

    b->scope->space = item->space;
    int rc = bind__condition(b, PLACE_JOIN_ON, ast->on, &item->node->on);
    b->scope->space = before;
    return rc;
}

static int make_join(struct binder *b, struct item *left, struct item *right, enum ast_join_kind kind, struct item *item)
{
    bool swap = kind == AST_JOIN_RIGHT;

    if (!(item->node = bind__alloc(b, sizeof(*item->node))) || combine_ranges(b, &left->space, &right->space, &item->space))
        return OP_FAILED;
    item->node->is_join = true;
    item->node->join = kind == AST_JOIN_INNER ? JOIN_INNER : JOIN_LEFT;
    item->node->left = swap ? right->node : left->node;
    item->node->right = swap ? left->node : right->node;
    return OP_OK;
}

static int bind_join(struct binder *b, const struct ast_from *ast, struct item *item)
{
    struct item left = { 0 }, right = { 0 };

    if (bind_item(b, ast->left, &left) || bind_item(b, ast->right, &right) || make_join(b, &left, &right, ast->join, item))
        return OP_FAILED;
    if (ast->natural || ast->using)
        return join_using(b, ast, &left.space, &right.space, item);
    concatenate(&left.space, &right.space, &item->space);
    return ast->on ? join_on(b, ast, item) : OP_OK;
}

static int bind_item(struct binder *b, const struct ast_from *ast, struct item *item)
{
    int rc = OP_FAILED;

    if (bind__enter(b, ast->position))
        return OP_FAILED;
    switch (ast->kind) {
    case AST_FROM_TABLE:
        rc = bind_table(b, ast, item);
        break;
    case AST_FROM_SELECT:
        rc = bind_from_select(b, ast, item);
        break;
    case AST_FROM_CALL:
        rc = bind_from_call(b, ast, item);
        break;
    case AST_FROM_JOIN:
        rc = bind_join(b, ast, item);
        break;
    }
    bind__leave(b);
    return rc;
}

int bind__from(struct binder *b, const struct ast_from *list)
{
    struct item all = { 0 };

    for (const struct ast_from *ast = list; ast; ast = ast->next) {
        struct item item = { 0 }, joined = { 0 };
        if (bind_item(b, ast, &item))
            return OP_FAILED;
        if (!all.node) {
            all = item;
            continue;
        }
        if (make_join(b, &all, &item, AST_JOIN_INNER, &joined))
            return OP_FAILED;
        concatenate(&all.space, &item.space, &joined.space);
        all = joined;
    }
    b->scope->query->from = all.node;
    b->scope->space = all.space;
    return OP_OK;
}
