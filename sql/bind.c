/*
 * bind.c -- the binder's doors: from a parsed statement to a query whose names and types are settled.
 *
 *      SELECT a.x + '1' FROM t a WHERE ...
 *
 *      tree:   operator + (column a.x, string '1')
 *      bound:  int4 function + (column 0 of range 0, integer 1)
 *
 * The work is split by what is bound: names (bind_name.c), FROM (bind_from.c), expressions (bind_expr.c), calls (bind_func.c), types that
 * meet (bind_coerce.c, resolve.c), selects (bind_select.c, bind_group.c, bind_union.c), changes (bind_change.c).  The order of the
 * steps is PostgreSQL's, because of several errors in a statement the one that PostgreSQL would report should be reported.
 *
 * Nothing is decided about how the query is run.
 */
#include <string.h>

#include "sql/bind_int.h"
#include "sql/interval.h"

void *bind__alloc(struct binder *b, size_t size)
{
    return op_arena_alloc(b->op, b->arena, size);
}

bool bind__grow(struct binder *b, void *array, int count, int *capacity, size_t size)
{
    void *old;

    if (count < *capacity)
        return true;
    int wanted = *capacity ? *capacity * 2 : 8;
    void *grown = bind__alloc(b, (size_t)wanted * size);
    if (!grown)
        return false;
    memcpy(&old, array, sizeof(void *));
    if (count > 0)
        memcpy(grown, old, (size_t)count * size);
    memcpy(array, &grown, sizeof(void *));
    *capacity = wanted;
    return true;
}

int bind__enter(struct binder *b, int position)
{
    if (++b->depth <= AST_DEPTH_MAX)
        return OP_OK;
    b->depth--;
    op_fail_at(b->op, position, "54001", "stack depth limit exceeded");
    op_hint(b->op, "The statement is nested more than %d levels deep.", AST_DEPTH_MAX);
    return OP_FAILED;
}

void bind__leave(struct binder *b)
{
    b->depth--;
}

struct query *bind__query(struct binder *b, enum query_kind kind)
{
    struct query *query = bind__alloc(b, sizeof(*query));

    if (query)
        query->kind = kind;
    return query;
}

struct expr *bind__node(struct binder *b, enum expr_kind kind, struct sql_type type, int position, int arg_count)
{
    struct expr *expr = bind__alloc(b, sizeof(*expr));

    if (!expr)
        return NULL;
    expr->kind = kind;
    expr->type = type;
    expr->position = position;
    expr->arg_count = arg_count;
    if (arg_count > 0 && !(expr->args = bind__alloc(b, (size_t)arg_count * sizeof(*expr->args))))
        return NULL;
    return expr;
}

void bind__push(struct binder *b, struct scope *scope, struct query *query)
{
    memset(scope, 0, sizeof(*scope));
    scope->query = query;
    scope->outer = b->scope;
    b->scope = scope;
}

void bind__pop(struct binder *b)
{
    b->scope = b->scope->outer;
}

int bind__add_target(struct binder *b, struct scope *scope, struct expr *expr, const char *name, bool hidden)
{
    struct query *query = scope->query;

    if (!bind__grow(b, &query->targets, query->target_count, &scope->target_capacity, sizeof(*query->targets)))
        return OP_FAILED;
    query->targets[query->target_count++] = (struct target){ .expr = expr, .name = name, .hidden = hidden };
    return OP_OK;
}

/* ---- statements ---- */

static void release_tables(struct binder *b)
{
    for (struct held *held = b->held; held; held = held->next)
        catalog_release(held->table);
}

/* A longer array of parameter types, when the statement has more parameters than were announced. */
static int widen_params(struct binder *b, struct bind_params *params, int count)
{
    if (params->count >= count)
        return OP_OK;
    struct sql_type *types = bind__alloc(b, (size_t)count * sizeof(*types));
    if (!types)
        return OP_FAILED;
    for (int i = 0; i < count; i++)
        types[i] = i < params->count ? params->types[i] : bind__type(TYPE_UNKNOWN);
    params->types = types;
    params->count = count;
    return OP_OK;
}

static int bind_by_kind(struct binder *b, const struct statement *statement, struct query **query)
{
    switch (statement->kind) {
    case STATEMENT_SELECT:
        return bind__select(b, statement->select, true, query);
    case STATEMENT_INSERT:
        return bind__insert(b, statement->insert, query);
    case STATEMENT_UPDATE:
        return bind__update(b, statement->change, query);
    case STATEMENT_DELETE:
        return bind__delete(b, statement->change, query);
    default:
        return op_fail(b->op, "XX000", "a statement of kind %d has no query", (int)statement->kind);
    }
}

int bind_statement(struct op *op, struct session *session, struct arena *arena, const struct statement *statement,
                   struct bind_params *params, struct query **query)
{
    struct binder b = { .op = op, .session = session, .arena = arena, .params = params };

    *query = NULL;
    if (widen_params(&b, params, statement->param_count) || bind_by_kind(&b, statement, query)) {
        release_tables(&b);
        *query = NULL;
        return OP_FAILED;
    }
    for (int i = 0; i < params->count; i++)
        if (params->types[i].oid == TYPE_UNKNOWN)
            params->types[i] = bind__type(TYPE_TEXT);
    (*query)->held = b.held;
    (*query)->is_volatile = b.is_volatile;
    (*query)->locking = b.locking;
    (*query)->locked = b.locked;
    (*query)->locked_count = b.locked_count;
    return OP_OK;
}

void query_release(struct query *query)
{
    for (struct held *held = query ? query->held : NULL; held; held = held->next)
        catalog_release(held->table);
    if (query)
        query->held = NULL;
}

/* ---- expressions on their own ---- */

/* The columns of one table, as range 0. */
static int open_table(struct binder *b, struct scope *scope, struct table_def *table)
{
    struct range_entry *range;
    int index;

    if (bind__add_range(b, &range, &index))
        return OP_FAILED;
    range->kind = RANGE_TABLE;
    range->alias = table->name;
    range->table = table;
    range->column_count = table->column_count;
    range->column_names = bind__alloc(b, (size_t)table->column_count * sizeof(*range->column_names));
    range->column_types = bind__alloc(b, (size_t)table->column_count * sizeof(*range->column_types));
    scope->space.columns = bind__alloc(b, (size_t)table->column_count * sizeof(*scope->space.columns));
    scope->space.ranges = bind__alloc(b, sizeof(int));
    if (op_failed(b->op))
        return OP_FAILED;
    for (int i = 0; i < table->column_count; i++) {
        range->column_names[i] = table->columns[i].name;
        range->column_types[i] = table->columns[i].type;
        scope->space.columns[i] = (struct space_column){ table->columns[i].name, index, i };
    }
    scope->space.count = table->column_count;
    scope->space.range_count = 1;
    return OP_OK;
}

static int bind_alone(struct binder *b, const struct ast_expr *ast, struct table_def *table, enum place place, struct expr **expr)
{
    struct scope scope;
    struct query *query = bind__query(b, QUERY_SELECT);

    if (!query)
        return OP_FAILED;
    bind__push(b, &scope, query);
    int rc = table ? open_table(b, &scope, table) : OP_OK;
    if (!rc)
        rc = bind__expr_in(b, place, ast, expr);
    bind__pop(b);
    return rc;
}

int bind_default(struct op *op, struct session *session, struct arena *arena, const struct ast_expr *ast, const char *column,
                 struct sql_type type, struct expr **bound)
{
    struct bind_params params = { 0 };
    struct binder b = { .op = op, .session = session, .arena = arena, .params = &params };
    struct time_style usual;
    const struct time_style *style = time_style_enter(op, &usual);

    *bound = NULL;
    int rc = bind_alone(&b, ast, NULL, PLACE_DEFAULT, bound);
    if (!rc)
        rc = bind__assign(&b, *bound, type, column, true, bound);
    op->time_style = style;
    release_tables(&b);
    return rc;
}

int bind_expression(struct op *op, struct session *session, struct arena *arena, const char *sql, struct sql_type type,
                    struct expr **expr)
{
    struct bind_params params = { 0 };
    struct binder b = { .op = op, .session = session, .arena = arena, .params = &params };
    struct ast_expr *ast;
    struct time_style usual;
    const struct time_style *style = time_style_enter(op, &usual);

    *expr = NULL;
    int rc = parse_expression(op, arena, sql, &ast);
    if (!rc)
        rc = bind_alone(&b, ast, NULL, PLACE_DEFAULT, expr);
    if (!rc && type.oid)
        rc = bind__assign(&b, *expr, type, "?column?", true, expr);
    else if (!rc)
        rc = bind__settle(&b, *expr, expr);
    op->time_style = style;
    release_tables(&b);
    return rc;
}

/* ---- expressions over a table ---- */

struct purity { const struct expr *impure, *generated; const struct table_def *table; };

static bool note_impure(void *arg, const struct expr *expr)
{
    struct purity *purity = arg;

    if (expr->kind == EXPR_FUNC && expr->func->volatility != FUNC_IMMUTABLE)
        purity->impure = expr;
    if (expr->kind == EXPR_COLUMN && purity->table->columns[expr->column].generated)
        purity->generated = expr;
    return true;
}

static int check_purity(struct binder *b, const struct expr *expr, const struct table_def *table, enum bind_purpose purpose)
{
    struct purity purity = { .table = table };

    if (purpose == BIND_CHECK || purpose == BIND_TRANSFORM)
        return OP_OK;
    (void)expr_walk(expr, note_impure, &purity);
    if (purpose == BIND_GENERATED && purity.generated) {
        op_fail_at(b->op, purity.generated->position, "42P17", "cannot use generated column \"%s\" in column generation expression",
                   table->columns[purity.generated->column].name);
        op_detail(b->op, "A generated column cannot reference another generated column.");
        return OP_FAILED;
    }
    if (!purity.impure)
        return OP_OK;
    if (purpose == BIND_GENERATED)
        return op_fail(b->op, "42P17", "generation expression is not immutable");
    return op_fail(b->op, "42P17", "functions in index %s must be marked IMMUTABLE",
                   purpose == BIND_INDEX ? "expression" : "predicate");
}

int bind_table_expression(struct op *op, struct session *session, struct arena *arena, const char *sql, const struct ast_expr *given,
                          struct table_def *table, enum bind_purpose purpose, struct sql_type type, struct expr **expr)
{
    static const enum place places[] = { [BIND_CHECK] = PLACE_CHECK, [BIND_GENERATED] = PLACE_GENERATED, [BIND_INDEX] = PLACE_INDEX,
                                         [BIND_PREDICATE] = PLACE_PREDICATE, [BIND_TRANSFORM] = PLACE_TRANSFORM };
    struct bind_params params = { 0 };
    struct binder b = { .op = op, .session = session, .arena = arena, .params = &params };
    struct ast_expr *parsed = NULL;
    struct time_style usual;
    const struct time_style *style = time_style_enter(op, &usual);

    *expr = NULL;
    int rc = given ? OP_OK : parse_expression(op, arena, sql, &parsed);
    if (!rc)
        rc = bind_alone(&b, given ? given : parsed, table, places[purpose], expr);
    if (!rc && (purpose == BIND_CHECK || purpose == BIND_PREDICATE))
        rc = bind__boolean(&b, *expr, purpose == BIND_CHECK ? "CHECK" : "WHERE", expr);
    else if (!rc && type.oid && purpose == BIND_GENERATED)
        rc = bind__assign(&b, *expr, type, "?column?", true, expr);
    else if (!rc)
        rc = bind__settle(&b, *expr, expr);
    if (!rc)
        rc = check_purity(&b, *expr, table, purpose);
    if (rc && !given)
        op->error.position = 0;     /* in a text that the user does not see */
    op->time_style = style;
    release_tables(&b);
    return rc;
}

int bind_argument(struct op *op, struct session *session, struct arena *arena, const struct ast_expr *ast, int number,
                  struct sql_type type, struct expr **expr)
{
    struct bind_params params = { 0 };
    struct binder b = { .op = op, .session = session, .arena = arena, .params = &params };
    int rc = bind_alone(&b, ast, NULL, PLACE_EXECUTE, expr);

    if (!rc && (*expr)->type.oid != TYPE_UNKNOWN && !bind__can_coerce((*expr)->type.oid, type.oid, CAST_ASSIGNMENT)) {
        rc = op_fail_at(op, (*expr)->position, "42804", "parameter $%d of type %s cannot be coerced to the expected type %s", number,
                        type_info((*expr)->type.oid)->name, type_info(type.oid)->name);
        op_hint(op, "You will need to rewrite or cast the expression.");
    }
    if (!rc)
        rc = bind__assign(&b, *expr, type, "?column?", false, expr);
    release_tables(&b);
    return rc;
}

int bind_transform(struct op *op, struct session *session, struct arena *arena, const struct ast_expr *ast, struct table_def *table,
                   int column, struct sql_type type, struct expr **expr)
{
    struct bind_params params = { 0 };
    struct binder b = { .op = op, .session = session, .arena = arena, .params = &params };
    const char *name = table->columns[column].name;
    struct ast_word word = { .text = name };
    struct ast_expr itself = { .kind = AST_COLUMN, .names = &word, .name_count = 1 };

    *expr = NULL;
    int rc = bind_alone(&b, ast ? ast : &itself, table, PLACE_TRANSFORM, expr);
    if (!rc && (*expr)->type.oid != TYPE_UNKNOWN && !bind__can_coerce((*expr)->type.oid, type.oid, CAST_ASSIGNMENT)) {
        rc = op_fail(op, "42804", ast ? "result of USING clause for column \"%s\" cannot be cast automatically to type %s"
                                      : "column \"%s\" cannot be cast automatically to type %s", name, type_info(type.oid)->name);
        if (ast)
            op_hint(op, "You might need to add an explicit cast.");
        else
            op_hint(op, "You might need to specify \"USING %s::%s\".", name, type_info(type.oid)->name);
    }
    if (!rc)
        rc = bind__assign(&b, *expr, type, name, true, expr);
    release_tables(&b);
    return rc;
}

/* ---- types by name ---- */

static int numeric_modifier(struct op *op, const struct ast_type *name, int32_t *modifier)
{
    int64_t precision = name->modifiers[0], scale = name->modifier_count > 1 ? name->modifiers[1] : 0;

    if (precision < 1 || precision > 1000)
        return op_fail_at(op, name->position, "22023", "NUMERIC precision %lld must be between 1 and 1000", (long long)precision);
    if (scale < -1000 || scale > 1000)
        return op_fail_at(op, name->position, "22023", "NUMERIC scale %lld must be between -1000 and 1000", (long long)scale);
    *modifier = (int32_t)(((uint32_t)precision << 16 | ((uint32_t)scale & 0x7ff)) + 4);
    return OP_OK;
}

static int varchar_modifier(struct op *op, const struct ast_type *name, int32_t *modifier)
{
    int64_t length = name->modifiers[0];

    if (name->modifier_count > 1)
        return op_fail_at(op, name->position, "22023", "invalid type modifier");
    if (length < 1)
        return op_fail_at(op, name->position, "22023", "length for type varchar must be at least 1");
    if (length > 10485760)
        return op_fail_at(op, name->position, "22023", "length for type varchar cannot exceed 10485760");
    *modifier = (int32_t)length + 4;
    return OP_OK;
}

/* Digits of a second; more than six are six. */
static int check_precision(struct op *op, const struct ast_type *name, int64_t precision)
{
    return precision < 0 ? op_fail_at(op, name->position, "22023", "%s(%lld)%s precision must not be negative",
                                      strcmp(name->name, "interval") == 0 ? "INTERVAL" : strncmp(name->name, "timestamp", 9) == 0 ? "TIMESTAMP"
                                                                                                                                   : "TIME",
                                      (long long)precision, strcmp(name->name, "timestamptz") == 0 ? " WITH TIME ZONE" : "")
                         : OP_OK;
}

static int time_modifier(struct op *op, const struct ast_type *name, int32_t *modifier)
{
    if (name->modifier_count > 1)
        return op_fail_at(op, name->position, "22023", "invalid type modifier");
    *modifier = (int32_t)(name->modifiers[0] > 6 ? 6 : name->modifiers[0]);
    return check_precision(op, name, name->modifiers[0]);
}

/* A precision alone, or fields and a precision (parse__interval_type). */
static int interval_type_modifier(struct op *op, const struct ast_type *name, int32_t *modifier)
{
    int64_t fields = name->modifier_count > 1 ? name->modifiers[0] : INTERVAL_ALL, precision = name->modifiers[name->modifier_count - 1];

    if (precision > 6 && precision != INTERVAL_FULL_PRECISION)
        precision = 6;
    *modifier = fields == INTERVAL_ALL && precision == INTERVAL_FULL_PRECISION ? -1 : interval_modifier((int)fields, (int)precision);
    return check_precision(op, name, precision);
}

int bind_type(struct op *op, const struct ast_type *name, struct sql_type *type)
{
    const struct type_info *info = type_by_name(name->name);
    const char *schema = name->schema ? name->schema : "", *dot = name->schema ? "." : "";

    *type = bind__type(TYPE_INVALID);
    if (name->schema && strcmp(name->schema, "pg_catalog") != 0)
        return op_fail_at(op, name->position, strcmp(name->schema, "public") ? "3F000" : "42704",
                          strcmp(name->schema, "public") ? "schema \"%s\" does not exist" : "type \"%s.%s\" does not exist",
                          name->schema, name->name);
    if (!info && type_is_foreign(name->name))
        return op_fail_at(op, name->position, "0A000", "type %s is not supported", name->name);
    if (!info)
        return op_fail_at(op, name->position, "42704", "type \"%s%s%s\" does not exist", schema, dot, name->name);
    type->oid = info->oid;
    if (name->modifier_count < 0)
        return OP_OK;
    if (info->oid == TYPE_NUMERIC)
        return numeric_modifier(op, name, &type->modifier);
    if (info->oid == TYPE_VARCHAR)
        return varchar_modifier(op, name, &type->modifier);
    if (info->oid == TYPE_TIMESTAMP || info->oid == TYPE_TIMESTAMPTZ || info->oid == TYPE_TIME)
        return time_modifier(op, name, &type->modifier);
    if (info->oid == TYPE_INTERVAL)
        return interval_type_modifier(op, name, &type->modifier);
    return op_fail_at(op, name->position, "42601", "type modifier is not allowed for type \"%s\"", name->name);
}
