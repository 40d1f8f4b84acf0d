/*
 * row_expr.c -- expressions over one row of a table.
 *
 * What a table computes by itself is computed here, row by row: columns that are generated, constraints that are checked, and what
 * indexes hold beside plain columns.  An index sees an expression as one more column behind those of the table, so nobody who
 * encodes a key need know the difference:
 *
 *      CREATE TABLE t (a int, b text);  CREATE INDEX ON t (lower(b)) WHERE a > 0;
 *
 *      values   a   b   lower(b)   a > 0
 *               0   1      2         3          index_column.column = 2, index_def.predicate = 3
 *
 * The order is PostgreSQL's: generated columns, then NOT NULL (change.c), then CHECK constraints by name, then indexes.
 *
 * W1  A generated column depends on plain columns alone, so one pass computes all of them.
 * W2  Expressions of indexes are immutable: the same row gives the same entry whenever it is asked for.
 */
#include "sql/advisory.h"
#include "sql/row_expr.h"

#include "sql/session.h"

struct row_expr {
    struct program *program;
    struct batch batch;             /* one row */
    struct sql_type type;
};

struct row_exprs {
    struct session *session;
    struct table_def *table;
    struct batch batch;             /* one row of the table's columns */
    struct row_expr **generated;    /* one per column; NULL: not generated */
    struct row_expr **checks;
    struct row_expr **indexed;      /* one per expression */
    struct arena results;           /* of generated columns */
    bool generates;
};

/* Columns of the table become slots of the same number. */
static struct expr *to_slot(void *arg, struct op *op, const struct expr *expr)
{
    struct arena *arena = arg;
    if (expr->kind != EXPR_COLUMN)
        return NULL;
    struct expr *slot = op_arena_alloc(op, arena, sizeof *slot);
    if (slot) {
        *slot = *expr;
        slot->kind = EXPR_SLOT;
        slot->slot = expr->column;
    }
    return slot;
}

static int make_batch(struct op *op, struct arena *arena, const struct table_def *table, struct batch *batch)
{
    *batch = (struct batch){.count = 1, .selected = 1, .columns = table->column_count};
    batch->vectors = op_arena_alloc(op, arena, sizeof *batch->vectors * (size_t)(table->column_count + 1));
    if (!batch->vectors)
        return OP_FAILED;
    for (int i = 0; i < table->column_count; i++) {
        if (vector_init_rows(op, arena, type_form(table->columns[i].type.oid), 1, &batch->vectors[i]) != 0)
            return OP_FAILED;
        batch->vectors[i].has_nulls = true;
    }
    return 0;
}

static int compile(struct op *op, struct arena *arena, const struct batch *batch, const struct expr *expr, struct row_expr **out)
{
    struct row_expr *made = op_arena_alloc(op, arena, sizeof *made);
    struct expr *slots = expr_copy(op, arena, expr, to_slot, arena);

    if (!made || !slots || program_compile(op, arena, slots, NULL, &made->program) != 0)
        return OP_FAILED;
    made->batch = *batch;
    made->type = expr->type;
    *out = made;
    return 0;
}

int row_expr_make(struct op *op, struct arena *arena, const struct table_def *table, const struct expr *expr, struct row_expr **out)
{
    struct batch batch;
    return make_batch(op, arena, table, &batch) != 0 ? OP_FAILED : compile(op, arena, &batch, expr, out);
}

static void fill(struct batch *batch, const struct datum *values)
{
    for (int i = 0; i < batch->columns; i++) {
        struct vector *vector = &batch->vectors[i];
        vector->nulls[0] = values[i].null;
        if (values[i].null)
            continue;
        switch (vector->form) {
        case FORM_BOOL: vector->bools[0] = values[i].b; break;
        case FORM_INT64: vector->ints[0] = values[i].i; break;
        case FORM_DOUBLE: vector->doubles[0] = values[i].d; break;
        case FORM_BYTES: vector->bytes[0] = values[i].s; break;
        }
    }
}

/* For the row that the batch holds. */
static int run(struct op *op, struct session *session, struct row_expr *expr, struct arena *arena, struct datum *value)
{
    struct eval_env env = {.op = op, .arena = arena, .transaction_time = session_transaction_time(session),
                           .statement_time = session_statement_time(session), .session = session, .advisory = session__advisory};
    const struct vector *result;

    if (program_run(&env, expr->program, &expr->batch, &result) != 0)
        return OP_FAILED;
    vector_get(result, 0, value);
    return 0;
}

int row_expr_value(struct op *op, struct session *session, struct row_expr *expr, const struct datum *values, struct datum *value)
{
    fill(&expr->batch, values);
    return run(op, session, expr, &op->arena, value);
}

/* ---- all of a table ------------------------------------------------------------------------------- */

static int bind_one(struct op *op, struct row_exprs *exprs, struct arena *arena, const char *sql, enum bind_purpose purpose,
                    struct sql_type type, struct row_expr **out)
{
    struct expr *expr;

    if (bind_table_expression(op, exprs->session, arena, sql, NULL, exprs->table, purpose, type, &expr) != 0)
        return OP_FAILED;
    return compile(op, arena, &exprs->batch, expr, out);
}

static int make(struct op *op, struct row_exprs *exprs, struct arena *arena)
{
    const struct table_def *table = exprs->table;

    exprs->generated = op_arena_alloc(op, arena, sizeof *exprs->generated * (size_t)(table->column_count + 1));
    exprs->checks = op_arena_alloc(op, arena, sizeof *exprs->checks * (size_t)(table->check_count + 1));
    exprs->indexed = op_arena_alloc(op, arena, sizeof *exprs->indexed * (size_t)(table->expression_count + 1));
    if (!exprs->generated || !exprs->checks || !exprs->indexed || make_batch(op, arena, table, &exprs->batch) != 0)
        return OP_FAILED;
    for (int i = 0; i < table->column_count; i++) {
        const struct column_def *column = &table->columns[i];
        if (!column->generated)
            continue;
        exprs->generates = true;
        if (bind_one(op, exprs, arena, column->default_sql, BIND_GENERATED, column->type, &exprs->generated[i]) != 0)
            return OP_FAILED;
    }
    for (int i = 0; i < table->check_count; i++)
        if (bind_one(op, exprs, arena, table->checks[i].sql, BIND_CHECK, (struct sql_type){TYPE_BOOL, -1}, &exprs->checks[i]) != 0)
            return OP_FAILED;
    for (int i = 0; i < table->expression_count; i++) {
        const struct column_def *column = &table->columns[table->column_count + i];
        if (bind_one(op, exprs, arena, column->default_sql, BIND_INDEX, (struct sql_type){0, -1}, &exprs->indexed[i]) != 0)
            return OP_FAILED;
    }
    return 0;
}

int row_exprs_open(struct op *op, struct session *session, struct arena *arena, struct table_def *table, struct row_exprs **out)
{
    bool any = table->check_count > 0 || table->expression_count > 0;

    *out = NULL;
    for (int i = 0; i < table->column_count; i++)
        any |= table->columns[i].generated;
    if (!any)
        return 0;
    struct row_exprs *exprs = op_arena_alloc(op, arena, sizeof *exprs);
    if (!exprs)
        return OP_FAILED;
    exprs->session = session;
    exprs->table = table;
    arena_init(&exprs->results);
    *out = exprs;
    return make(op, exprs, arena);
}

void row_exprs_close(struct row_exprs *exprs)
{
    if (exprs)
        arena_free(&exprs->results);
}

int row_exprs_generate(struct op *op, struct row_exprs *exprs, struct datum *values)
{
    if (!exprs->generates)
        return 0;
    arena_reset(&exprs->results);
    fill(&exprs->batch, values);
    for (int i = 0; i < exprs->table->column_count; i++)
        if (exprs->generated[i] && run(op, exprs->session, exprs->generated[i], &exprs->results, &values[i]) != 0)
            return OP_FAILED;
    return 0;
}

int row_exprs_check(struct op *op, struct row_exprs *exprs, const struct datum *values, const struct check_def **failed)
{
    *failed = NULL;
    fill(&exprs->batch, values);
    for (int i = 0; i < exprs->table->check_count && !*failed; i++) {
        struct datum value;
        if (run(op, exprs->session, exprs->checks[i], &op->arena, &value) != 0)
            return OP_FAILED;
        if (!value.null && !value.b)
            *failed = &exprs->table->checks[i];
    }
    return 0;
}

int row_exprs_check_one(struct op *op, struct row_exprs *exprs, const struct datum *values, int check, bool *failed)
{
    struct datum value;

    fill(&exprs->batch, values);
    int result = run(op, exprs->session, exprs->checks[check], &op->arena, &value);
    *failed = result == 0 && !value.null && !value.b;
    return result;
}

int row_exprs_extend(struct op *op, struct row_exprs *exprs, const struct datum *values, struct datum *all)
{
    int columns = exprs->table->column_count;

    for (int i = 0; i < columns; i++)
        all[i] = values[i];
    if (exprs->table->expression_count == 0)
        return 0;
    fill(&exprs->batch, values);
    for (int i = 0; i < exprs->table->expression_count; i++)
        if (run(op, exprs->session, exprs->indexed[i], &op->arena, &all[columns + i]) != 0)
            return OP_FAILED;
    return 0;
}
