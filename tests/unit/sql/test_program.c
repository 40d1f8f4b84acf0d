/*
 * Compiled expressions: laziness, nulls, three-valued logic, selections; and trees: printing, folding, copying.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "sql/expr.h"
#include "src/base/mem.h"

/* ---- small builders ------------------------------------------------------------------------------- */

static struct op op;
static struct arena arena;
static const struct sql_type INT4 = { TYPE_INT4, -1 }, BOOL = { TYPE_BOOL, -1 }, TEXT = { TYPE_TEXT, -1 };

static int set_up(void **state)
{
    op_init(&op);
    arena_init(&arena);
    return 0;
}

static int tear_down(void **state)
{
    arena_free(&arena);
    op_end(&op);
    return 0;
}

static struct expr *node(enum expr_kind kind, struct sql_type type, int count, ...)
{
    va_list args;
    struct expr *expr = arena_calloc(&arena, sizeof *expr);
    expr->kind = kind;
    expr->type = type;
    expr->arg_count = count;
    expr->args = arena_calloc(&arena, sizeof *expr->args * (size_t)(count + 1));
    va_start(args, count);
    for (int i = 0; i < count; i++)
        expr->args[i] = va_arg(args, struct expr *);
    va_end(args);
    return expr;
}

static struct expr *constant(struct sql_type type, const char *text)
{
    struct expr *expr = node(EXPR_CONST, type, 0);
    expr->value.null = text == NULL;
    if (text)
        assert_int_equal(type_parse(&op, type, (struct bytes){ (const uint8_t *)text, strlen(text) }, &arena,
                                    &expr->value), 0);
    return expr;
}

static struct expr *integer(const char *text) { return constant(INT4, text); }

static struct expr *slot(struct sql_type type, int number)
{
    struct expr *expr = node(EXPR_SLOT, type, 0);
    expr->slot = number;
    return expr;
}

static const struct func *find(const char *name, Oid a, Oid b)
{
    int count;
    const struct func *func = func_candidates(name, &count);
    for (; count > 0; count--, func++)
        if (func->args[0] == a && func->args[1] == b)
            return func;
    fail_msg("no function %s", name);
    return NULL;
}

static struct expr *binary(const char *name, struct expr *a, struct expr *b)
{
    const struct func *func = find(name, a->type.oid, b->type.oid);
    struct expr *expr = node(EXPR_FUNC, (struct sql_type){ func->result, -1 }, 2, a, b);
    expr->func = func;
    return expr;
}

static struct expr *with_equal(struct expr *expr, Oid type)
{
    expr->func = func_equal(type);
    return expr;
}

/* Rows of two integer columns: a = 0, 1, 2, ... (null in every fourth row from 3 on), b = 10 * a. */
enum { ROWS = 8 };

static void make_rows(struct batch *batch)
{
    enum type_form forms[] = { FORM_INT64, FORM_INT64 };
    assert_int_equal(batch_init(&op, &arena, 2, forms, batch), 0);
    for (int row = 0; row < ROWS; row++) {
        struct datum a = { .null = row % 4 == 3, .i = row }, b = { .i = row * 10 };
        vector_set(&batch->vectors[0], row, &a);
        vector_set(&batch->vectors[1], row, &b);
    }
    batch->count = batch->selected = ROWS;
}

/* The result's rows as text, separated by spaces; "-" is null. */
static const char *run(struct expr *expr, struct batch *batch)
{
    struct eval_env env = { .op = &op, .arena = &arena };
    struct program *program;
    const struct vector *result;
    const char *text = "";

    assert_int_equal(program_compile(&op, &arena, expr, NULL, &program), 0);
    if (program_run(&env, program, batch, &result) != 0)
        return op.error.message;
    for (int i = 0; i < batch->selected; i++) {
        struct datum value;
        struct bytes shown = { (const uint8_t *)"-", 1 };
        vector_get(result, batch_row(batch, i), &value);
        if (!value.null)
            assert_int_equal(type_print(&op, expr->type, &value, &arena, &shown), 0);
        text = arena_printf(&arena, "%s%s%.*s", text, i ? " " : "", (int)shown.len, (const char *)shown.data);
    }
    return text;
}

static const char *value(struct expr *expr)
{
    struct eval_env env = { .op = &op, .arena = &arena };
    struct program *program;
    struct datum datum;
    struct bytes shown = { (const uint8_t *)"-", 1 };
    assert_int_equal(program_compile(&op, &arena, expr, NULL, &program), 0);
    if (program_value(&env, program, &datum) != 0)
        return op.error.message;
    if (!datum.null)
        assert_int_equal(type_print(&op, expr->type, &datum, &arena, &shown), 0);
    return arena_strndup(&arena, (const char *)shown.data, shown.len);
}

/* ---- laziness ------------------------------------------------------------------------------------- */

static void case_does_not_compute_what_is_not_chosen(void **state)
{
    struct batch batch;
    make_rows(&batch);
    struct expr *a = slot(INT4, 0);
    struct expr *quotient = binary("/", integer("100"), a);
    assert_string_equal(run(quotient, &batch), "division by zero");
    op_clear_error(&op);
    struct expr *guarded = node(EXPR_CASE, INT4, 5, binary("=", a, integer("0")), integer("-1"),
                                binary(">", a, integer("4")), binary("+", a, slot(INT4, 1)), quotient);
    assert_string_equal(run(guarded, &batch), "-1 100 50 - 25 55 66 -");
    uint16_t selection[] = { 1, 3, 6 };
    batch.selection = selection;
    batch.selected = 3;
    assert_string_equal(run(guarded, &batch), "100 - 66");
}

static void and_stops_at_the_first_false(void **state)
{
    struct batch batch;
    make_rows(&batch);
    struct expr *a = slot(INT4, 0), *quotient = binary("/", integer("100"), a);
    struct expr *both = node(EXPR_AND, BOOL, 2, binary("<>", a, integer("0")), binary(">", quotient, integer("30")));
    assert_string_equal(run(both, &batch), "f t t - f f f -");
    struct expr *either = node(EXPR_OR, BOOL, 2, binary("=", a, integer("0")), binary(">", quotient, integer("30")));
    assert_string_equal(run(either, &batch), "t t t - f f f -");
}

static void coalesce_computes_only_for_nulls(void **state)
{
    struct batch batch;
    make_rows(&batch);
    struct expr *b = slot(INT4, 1), *risky = binary("/", integer("100"), binary("-", b, integer("10")));
    assert_string_equal(run(node(EXPR_COALESCE, INT4, 2, slot(INT4, 0), risky), &batch), "0 1 2 5 4 5 6 1");
}

static void constant_branches_are_lazy_too(void **state)
{
    struct expr *zero = binary("/", integer("1"), integer("0"));
    assert_string_equal(value(node(EXPR_CASE, INT4, 3, constant(BOOL, "t"), integer("7"), zero)), "7");
    assert_string_equal(value(node(EXPR_COALESCE, INT4, 2, integer("3"), zero)), "3");
    assert_string_equal(value(zero), "division by zero");
    assert_string_equal(op.error.sqlstate, "22012");
    op_clear_error(&op);
    struct batch batch;
    make_rows(&batch);
    struct expr *never = node(EXPR_CASE, INT4, 3, binary("<", slot(INT4, 1), integer("0")), zero, slot(INT4, 1));
    assert_string_equal(run(never, &batch), "0 10 20 30 40 50 60 70");
}

/* ---- three-valued logic --------------------------------------------------------------------------- */

static void logic_has_three_values(void **state)
{
    static const char *const values[] = { "t", "f", NULL };
    static const char *const and_table[] = { "t", "f", "-", "f", "f", "f", "-", "f", "-" };
    static const char *const or_table[] = { "t", "t", "t", "t", "f", "-", "t", "-", "-" };
    for (int i = 0; i < 9; i++) {
        struct expr *a = constant(BOOL, values[i / 3]), *b = constant(BOOL, values[i % 3]);
        assert_string_equal(value(node(EXPR_AND, BOOL, 2, a, b)), and_table[i]);
        assert_string_equal(value(node(EXPR_OR, BOOL, 2, a, b)), or_table[i]);
        struct expr *distinct = with_equal(node(EXPR_DISTINCT, BOOL, 2, a, b), TYPE_BOOL);
        assert_string_equal(value(distinct), i / 3 == i % 3 ? "f" : "t");
    }
    static const char *const tests[][3] = { { "f", "f", "t" }, { "t", "t", "f" }, { "t", "f", "f" }, { "f", "t", "t" },
                                            { "f", "t", "f" }, { "t", "f", "t" }, { "f", "f", "t" }, { "t", "t",
                                                                                                       "f" } };
    for (int kind = EXPR_IS_NULL; kind <= EXPR_IS_NOT_UNKNOWN; kind++)
        for (int i = 0; i < 3; i++)
            assert_string_equal(value(node((enum expr_kind)kind, BOOL, 1, constant(BOOL, values[i]))),
                                tests[kind - EXPR_IS_NULL][i]);
    assert_string_equal(value(node(EXPR_NOT, BOOL, 1, constant(BOOL, NULL))), "-");
}

static void in_a_list_with_null_is_true_or_null(void **state)
{
    struct batch batch;
    make_rows(&batch);
    struct expr *a = slot(INT4, 0);
    struct expr *in = with_equal(node(EXPR_IN, BOOL, 4, a, integer("5"), integer("1"), integer("2")), TYPE_INT4);
    assert_string_equal(run(in, &batch), "f t t - f t f -");
    in->negated = true;
    assert_string_equal(run(in, &batch), "t f f - t f t -");
    in = with_equal(node(EXPR_IN, BOOL, 4, a, integer("5"), integer(NULL), integer("2")), TYPE_INT4);
    assert_string_equal(run(in, &batch), "- - t - - t - -");
    /* With a column in the list, items are compared one after the other. */
    in = with_equal(node(EXPR_IN, BOOL, 4, a, integer("5"), slot(INT4, 1), integer("2")), TYPE_INT4);
    assert_string_equal(run(in, &batch), "t f t - f t f -");
    in->negated = true;
    assert_string_equal(run(in, &batch), "f t f - t f t -");
}

static void greatest_ignores_nulls_and_nullif_makes_them(void **state)
{
    struct batch batch;
    make_rows(&batch);
    struct expr *a = slot(INT4, 0);
    assert_string_equal(run(node(EXPR_GREATEST, INT4, 2, a, integer("4")), &batch), "4 4 4 4 4 5 6 4");
    assert_string_equal(run(node(EXPR_LEAST, INT4, 2, integer("4"), a), &batch), "0 1 2 4 4 4 4 4");
    assert_string_equal(run(with_equal(node(EXPR_NULLIF, INT4, 2, a, integer("4")), TYPE_INT4), &batch),
                        "0 1 2 - - 5 6 -");
}

static void filter_narrows_by_each_condition(void **state)
{
    struct eval_env env = { .op = &op, .arena = &arena };
    struct program *program;
    struct batch batch;
    uint16_t selection[BATCH_ROWS];
    make_rows(&batch);
    struct expr *a = slot(INT4, 0);
    struct expr *where = node(EXPR_AND, BOOL, 3, binary("<>", a, integer("0")),
                              binary("<", binary("/", integer("100"), a), integer("60")), binary("<", a, integer("6")));
    assert_int_equal(program_compile(&op, &arena, where, NULL, &program), 0);
    for (int run_count = 0; run_count < 2; run_count++) {
        make_rows(&batch);
        assert_int_equal(program_filter(&env, program, &batch, selection), 0);
        assert_int_equal(batch.selected, 3);
        assert_int_equal(batch_row(&batch, 0), 2);
        assert_int_equal(batch_row(&batch, 1), 4);
        assert_int_equal(batch_row(&batch, 2), 5);
    }
    /* Again on what is left, in place. */
    assert_int_equal(program_filter(&env, program, &batch, selection), 0);
    assert_int_equal(batch.selected, 3);
    assert_int_equal(program_compile(&op, &arena, constant(BOOL, NULL), NULL, &program), 0);
    assert_int_equal(program_filter(&env, program, &batch, selection), 0);
    assert_int_equal(batch.selected, 0);
}

static void parameters_may_change_between_runs(void **state)
{
    struct datum params[1] = { { .i = 5 } }, result;
    struct eval_env env = { .op = &op, .arena = &arena, .params = params };
    struct program *program;
    struct expr *param = node(EXPR_PARAM, INT4, 0);
    param->slot = 0;
    assert_int_equal(program_compile(&op, &arena, binary("+", param, integer("1")), NULL, &program), 0);
    assert_int_equal(program_value(&env, program, &result), 0);
    assert_int_equal(result.i, 6);
    params[0].null = true;
    assert_int_equal(program_value(&env, program, &result), 0);
    assert_true(result.null);
    params[0] = (struct datum){ .i = -1 };
    assert_int_equal(program_value(&env, program, &result), 0);
    assert_false(result.null);
    assert_int_equal(result.i, 0);
}

/* ---- trees ---------------------------------------------------------------------------------------- */

static const char *name_column(void *arg, const struct expr *column) { return column->slot ? "b" : "a"; }

static const char *printed(struct expr *expr) { return expr_print(&op, &arena, expr, name_column, NULL); }

static void expressions_print_as_explain_does(void **state)
{
    struct expr *a = slot(INT4, 0), *b = slot(TEXT, 1);
    assert_string_equal(printed(node(EXPR_AND, BOOL, 2, binary(">", binary("+", a, integer("1")), integer("-2")),
                                     node(EXPR_IS_NOT_NULL, BOOL, 1,
                                          b))), "(((a + 1) > '-2'::integer) AND (b IS NOT NULL))");
    assert_string_equal(printed(binary("~~", b, constant(TEXT, "it's%"))), "(b ~~ 'it''s%'::text)");
    assert_string_equal(printed(with_equal(node(EXPR_IN, BOOL, 3, b, constant(TEXT, "x"), constant(TEXT, "a b")),
                                           TYPE_TEXT)), "(b = ANY ('{x,\"a b\"}'::text[]))");
    assert_string_equal(printed(constant((struct sql_type){ TYPE_NUMERIC, -1 }, "1.50")), "1.50");
    assert_string_equal(printed(constant((struct sql_type){ TYPE_INT8, -1 }, "5")), "'5'::bigint");
    assert_string_equal(printed(constant((struct sql_type){ TYPE_VARCHAR, 24 }, NULL)), "NULL::character varying(20)");
    struct expr *cast = node(EXPR_FUNC, (struct sql_type){ TYPE_NUMERIC, -1 }, 1, a);
    cast->func = cast_find(TYPE_INT4, TYPE_NUMERIC)->func;
    struct expr *fitted = node(EXPR_FUNC, (struct sql_type){ TYPE_NUMERIC, (5 << 16 | 2) + 4 }, 1, cast);
    fitted->func = cast_modifier(TYPE_NUMERIC, true);
    assert_string_equal(printed(fitted), "(a)::numeric(5,2)");
    assert_string_equal(printed(node(EXPR_CASE, INT4, 3, binary("=", a, integer("1")), a, integer(NULL))),
                        "CASE WHEN (a = 1) THEN a ELSE NULL::integer END");
}

static void folding_computes_what_is_constant(void **state)
{
    struct expr *a = slot(INT4, 0), *sum = binary("+", a, binary("*", integer("6"), integer("7")));
    assert_int_equal(expr_fold(&op, &arena, &sum), 0);
    assert_string_equal(printed(sum), "(a + 42)");
    struct expr *both = node(EXPR_AND, BOOL, 3, constant(BOOL, "t"), binary("=", a, integer("1")),
                             binary("<", integer("1"), integer("2")));
    assert_int_equal(expr_fold(&op, &arena, &both), 0);
    assert_string_equal(printed(both), "(a = 1)");
    struct expr *zero = node(EXPR_CASE, INT4, 3, binary("=", a, integer("1")), binary("/", integer("1"), integer("0")),
                             a);
    assert_int_equal(expr_fold(&op, &arena, &zero), 0);
    assert_string_equal(printed(zero), "CASE WHEN (a = 1) THEN (1 / 0) ELSE a END");
    assert_false(op_failed(&op));
    struct expr *null = binary("+", a, integer(NULL));
    assert_int_equal(expr_fold(&op, &arena, &null), 0);
    assert_string_equal(printed(null), "NULL::integer");
    struct expr *first = node(EXPR_COALESCE, INT4, 3, integer(NULL), a, integer("1"));
    assert_int_equal(expr_fold(&op, &arena, &first), 0);
    assert_string_equal(printed(first), "COALESCE(a, 1)");
}

static struct expr *replace_slot(void *arg, struct op *at, const struct expr *expr)
{
    return expr->kind == EXPR_SLOT ? arg : NULL;
}

static void copies_are_equal_and_can_replace_nodes(void **state)
{
    struct expr *expr = binary("||", slot(TEXT, 0), constant(TEXT, "x"));
    struct expr *same = expr_copy(&op, &arena, expr, NULL, NULL);
    assert_true(expr_equal(expr, same));
    assert_ptr_not_equal(expr->args[1], same->args[1]);
    assert_true(expr_contains(expr, EXPR_SLOT));
    assert_false(expr_is_constant(expr));
    struct expr *other = expr_copy(&op, &arena, expr, replace_slot, constant(TEXT, "y"));
    assert_false(expr_equal(expr, other));
    assert_true(expr_is_constant(other));
    assert_string_equal(value(other), "yx");
}

static void series_counts_in_both_directions(void **state)
{
    struct func_series *series;
    struct vector out;
    struct datum args[3] = { { .i = 5 }, { .i = -4 }, { .i = -3 } };
    int found, total;
    const struct func *func = func_candidates("generate_series", &total);
    while (func->result != TYPE_INT4 || func->arg_count != 3)
        func++;
    assert_int_equal(vector_init(&op, &arena, FORM_INT64, &out), 0);
    assert_int_equal(func_series_open(&op, func, args, 3, &arena, &series), 0);
    assert_int_equal(func_series_next(&op, series, 3, &out, &found), 0);
    assert_int_equal(found, 3);
    assert_int_equal(out.ints[2], -1);
    assert_int_equal(func_series_next(&op, series, 3, &out, &found), 0);
    assert_int_equal(found, 1);
    assert_int_equal(func_series_next(&op, series, 3, &out, &found), 0);
    assert_int_equal(found, 0);
    /* At the end of the type's range it stops instead of failing. */
    args[0].i = INT32_MAX - 1;
    args[1].i = INT32_MAX;
    args[2].i = 1;
    assert_int_equal(func_series_open(&op, func, args, 3, &arena, &series), 0);
    assert_int_equal(func_series_next(&op, series, BATCH_ROWS, &out, &found), 0);
    assert_int_equal(found, 2);
    args[2].i = 0;
    assert_int_equal(func_series_open(&op, func, args, 3, &arena, &series), OP_FAILED);
    assert_string_equal(op.error.sqlstate, "22023");
}

/* ---- memory --------------------------------------------------------------------------------------- */

/* Every allocation fails once: an error each time, and the right answer in the end. */
static void exhausted_memory_is_an_error(void **state)
{
    static const struct sql_type numeric = { TYPE_NUMERIC, -1 };
    struct expr *number = constant(numeric, "123456789.123456789123456789123456789123456789123456789");
    struct expr *text = node(EXPR_FUNC, TEXT, 2, constant(TEXT, "abcdefgh"), integer("2000"));
    text->func = find("repeat", TYPE_TEXT, TYPE_INT4);
    struct expr *exprs[] = {
        binary("/", binary("*", number, number), constant(numeric, "3")),
        binary("||", text, text),
        node(EXPR_CASE, INT4, 3, binary("=", integer("1"), integer("2")), integer("1"), integer("5")),
        with_equal(node(EXPR_IN, BOOL, 4, integer("1"), integer("5"), integer("1"), integer("2")), TYPE_INT4),
    };
    for (size_t i = 0; i < COUNT_OF(exprs); i++) {
        bool failed = true;
        for (uint64_t n = 1; failed; n++) {
            struct op fresh;
            struct program *program;
            struct datum datum;
            const char *shown = NULL;
            struct expr *copied;
            op_init(&fresh);
            struct eval_env env = { .op = &fresh, .arena = &fresh.arena };
            mem_fail_at(n);
            failed = !(copied = expr_copy(&fresh, &fresh.arena, exprs[i], NULL, NULL)) ||
                     expr_fold(&fresh, &fresh.arena, &copied) != 0 ||
                     !(shown = expr_print(&fresh, &fresh.arena, copied, NULL, NULL)) ||
                     program_compile(&fresh, &fresh.arena, exprs[i], NULL, &program) != 0 ||
                     program_value(&env, program, &datum) != 0;
            mem_fail_at(0);
            if (failed)
                assert_string_equal(fresh.error.sqlstate, "53200");
            op_end(&fresh);
            assert_true(n < 10000);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(case_does_not_compute_what_is_not_chosen), TEST(and_stops_at_the_first_false),
        TEST(coalesce_computes_only_for_nulls), TEST(constant_branches_are_lazy_too), TEST(logic_has_three_values),
        TEST(in_a_list_with_null_is_true_or_null), TEST(greatest_ignores_nulls_and_nullif_makes_them),
        TEST(filter_narrows_by_each_condition), TEST(parameters_may_change_between_runs),
        TEST(expressions_print_as_explain_does), TEST(folding_computes_what_is_constant),
        TEST(copies_are_equal_and_can_replace_nodes), TEST(series_counts_in_both_directions),
        TEST(exhausted_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
