/*
 * Functions, operators and casts, held to what a real PostgreSQL answered (expressions.tsv, written by
 * record-expressions).
 *
 * Each line is computed in four ways: from constants, from columns with nulls in between, through a selection, and with
 * constants and columns mixed; all must give PostgreSQL's answer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/expr.h"

enum { FIELDS_MAX = 16, ROWS = 5 };

struct line {
    char *fields[FIELDS_MAX];
    int count;
    char *answer;
    bool fails;
};

static bool split(char *text, struct line *line)
{
    line->count = 0;
    line->answer = strstr(text, "\t=> ");
    if (!line->answer)
        return false;
    *line->answer = '\0';
    line->answer += 4;
    line->answer[strcspn(line->answer, "\n")] = '\0';
    line->fails = strncmp(line->answer, "error ", 6) == 0;
    for (char *at = text; at && line->count < FIELDS_MAX; line->count++) {
        line->fields[line->count] = at;
        at = strchr(at, '\t');
        if (at)
            *at++ = '\0';
    }
    return true;
}

/* "numeric(5,2)" as a type with its modifier. */
static bool find_type(const char *name, struct sql_type *type)
{
    char word[64];
    size_t len = strcspn(name, "(");
    int a = 0, b = 0, given = 0;
    memcpy(word, name, len);
    word[len] = '\0';
    const struct type_info *info = type_by_name(word);
    if (!info)
        return false;
    *type = (struct sql_type){ info->oid, -1 };
    if (name[len])
        given = sscanf(name + len, "(%d,%d)", &a, &b);
    if (given && type->oid == TYPE_NUMERIC)
        type->modifier = ((a << 16) | (b & 0x7ff)) + 4;
    else if (given && type->oid == TYPE_VARCHAR)
        type->modifier = a + 4;
    else if (given)
        type->modifier = a;
    return true;
}

static struct expr *make(struct arena *arena, enum expr_kind kind, struct sql_type type, int arg_count)
{
    struct expr *expr = arena_calloc(arena, sizeof *expr);
    expr->kind = kind;
    expr->type = type;
    expr->arg_count = arg_count;
    expr->args = arena_calloc(arena, sizeof *expr->args * (size_t)(arg_count + 1));
    return expr;
}

static struct expr *call(struct arena *arena, const struct func *func, struct sql_type type, struct expr *arg)
{
    struct expr *expr = make(arena, EXPR_FUNC, type, 1);
    expr->func = func;
    expr->args[0] = arg;
    return expr;
}

static struct expr *make_cast(struct arena *arena, struct expr *arg, struct sql_type to)
{
    struct expr *expr = arg;
    if (arg->type.oid != to.oid) {
        const struct cast *cast = cast_find(arg->type.oid, to.oid);
        if (!cast)
            return NULL;
        if (cast->func) {
            expr = call(arena, cast->func, (struct sql_type){ to.oid, -1 }, arg);
        } else {
            expr = make(arena, EXPR_RELABEL, (struct sql_type){ to.oid, -1 }, 1);
            expr->args[0] = arg;
        }
    }
    const struct func *modifier = to.modifier >= 0 ? cast_modifier(to.oid, true) : NULL;
    return modifier ? call(arena, modifier, to, expr) : expr;
}

/* The candidate whose arguments are just these; any type fits "any". */
static const struct func *find_func(const char *name, struct expr *const *args, int count)
{
    int candidates;
    const struct func *func = func_candidates(name, &candidates);
    for (; candidates > 0; candidates--, func++) {
        if (func->arg_count != count && !(func->arg_count < 0 && count > 0))
            continue;
        bool fits = true;
        for (int i = 0; i < count; i++) {
            int last = func->arg_count >= 0 ? i : func->args[1] && i > 0 ? 1 : 0;
            Oid wanted = func->args[last];
            fits &= wanted == args[i]->type.oid || wanted == TYPE_ANY || wanted == TYPE_ANYNONARRAY;
        }
        if (fits)
            return func;
    }
    return NULL;
}

static struct expr *build(struct arena *arena, const char *name, struct expr **args, int count)
{
    struct sql_type type;
    if (strncmp(name, "cast:", 5) == 0)
        return find_type(name + 5, &type) ? make_cast(arena, args[0], type) : NULL;
    const struct func *func = find_func(name, args, count);
    if (!func)
        return NULL;
    struct expr *expr = make(arena, EXPR_FUNC, (struct sql_type){ func->result, -1 }, count);
    expr->func = func;
    memcpy(expr->args, args, sizeof *args * (size_t)count);
    return expr;
}

static const char *describe(struct op *op, struct sql_type type, const struct datum *value)
{
    struct bytes text = { (const uint8_t *)"\\N", 2 };
    if (!value->null && type_print(op, type, value, &op->arena, &text) != 0)
        return NULL;
    return arena_printf(&op->arena, "%s:%.*s", type_info(type.oid)->name, (int)text.len, (const char *)text.data);
}

static const char *describe_error(struct op *op)
{
    return arena_printf(&op->arena, "error %s %s", op->error.sqlstate, op->error.message);
}

/* From constants. */
static const char *compute_constant(struct op *op, const struct expr *expr)
{
    struct eval_env env = { .op = op, .arena = &op->arena };
    struct program *program;
    struct datum value;
    if (program_compile(op, &op->arena, expr, NULL, &program) != 0 || program_value(&env, program, &value) != 0)
        return describe_error(op);
    const char *text = describe(op, expr->type, &value);
    return text ? text : describe_error(op);
}

/* Columns with the arguments in even rows and nulls in odd ones (or nothing there, when only the selected rows
 * count). */
static int fill(struct op *op, struct expr *const *constants, int count, bool with_nulls, struct batch *batch)
{
    enum type_form forms[FIELDS_MAX];
    for (int i = 0; i < count; i++)
        forms[i] = type_form(constants[i]->type.oid);
    if (batch_init(op, &op->arena, count, forms, batch) != 0)
        return OP_FAILED;
    for (int i = 0; i < count; i++)
        for (int row = 0; row < ROWS; row++) {
            if (row % 2 == 0)
                vector_set(&batch->vectors[i], row, &constants[i]->value);
            else if (with_nulls)
                vector_set_null(&batch->vectors[i], row);
        }
    batch->count = batch->selected = ROWS;
    return 0;
}

static const char *compute_columns(struct op *op, const struct expr *expr, struct batch *batch)
{
    struct eval_env env = { .op = op, .arena = &op->arena };
    struct program *program;
    const struct vector *result;
    const char *first = NULL;
    if (program_compile(op, &op->arena, expr, NULL, &program) != 0)
        return describe_error(op);
    /* Twice: the second run meets registers that have been used. */
    for (int run = 0; run < 2; run++) {
        if (program_run(&env, program, batch, &result) != 0)
            return describe_error(op);
        for (int i = 0; i < batch->selected; i++) {
            int row = batch_row(batch, i);
            struct datum value;
            vector_get(result, row, &value);
            const char *text = describe(op, expr->type, &value);
            if (row % 2 == 0 && first && text && strcmp(first, text) != 0)
                return arena_printf(&op->arena, "rows differ: %s, %s", first, text);
            if (row % 2 == 0)
                first = text;
            else if (expr->kind == EXPR_FUNC && expr->func->strict && !value.null)
                return "null argument gives a value";
        }
    }
    return first;
}

enum way { CONSTANTS, COLUMNS_WITH_NULLS, SELECTED, DENSE, FIRST_CONSTANT, LAST_CONSTANT, WAYS };

static const char *compute(struct op *op, const struct line *line, enum way way)
{
    struct expr *constants[FIELDS_MAX], *args[FIELDS_MAX];
    static uint16_t even[] = { 0, 2, 4 };
    struct batch batch;
    int count = line->count - 1;

    for (int i = 0; i < count; i++) {
        char *text = strchr(line->fields[i + 1], ':');
        struct sql_type type;
        *text = '\0';
        bool known = find_type(line->fields[i + 1], &type);
        *text++ = ':';
        if (!known)
            return "unknown type";
        constants[i] = make(&op->arena, EXPR_CONST, type, 0);
        constants[i]->value.null = strcmp(text, "\\N") == 0;
        if (!constants[i]->value.null && type_parse(op, type, (struct bytes){ (const uint8_t *)text, strlen(text) },
                                                    &op->arena, &constants[i]->value) != 0)
            return describe_error(op);
        args[i] = constants[i];
        if (way != CONSTANTS && !(way == FIRST_CONSTANT && i == 0) && !(way == LAST_CONSTANT && i == count - 1)) {
            args[i] = make(&op->arena, EXPR_SLOT, type, 0);
            args[i]->slot = i;
        }
    }
    struct expr *expr = build(&op->arena, line->fields[0], args, count);
    if (!expr)
        return "no such function";
    if (way == CONSTANTS || ((way == FIRST_CONSTANT || way == LAST_CONSTANT) && count == 1))
        return compute_constant(op, expr);
    if (fill(op, constants, count, way == COLUMNS_WITH_NULLS, &batch) != 0)
        return describe_error(op);
    if (way != COLUMNS_WITH_NULLS) {
        batch.selection = even;
        batch.selected = 3;
    }
    if (way == DENSE) {
        batch.selection = NULL;
        batch.selected = batch.count = 1;
    }
    return compute_columns(op, expr, &batch);
}

/* ---- aggregates: the fields are rows --------------------------------------------------------------- */

static const struct aggregate *find_aggregate(const char *name, Oid type)
{
    int candidates;
    const struct aggregate *aggregate = aggregate_candidates(name, &candidates);
    for (; candidates > 0; candidates--, aggregate++)
        if (aggregate->arg_count > 0 && (aggregate->args[0] == type || aggregate->args[0] == TYPE_ANY))
            return aggregate;
    return NULL;
}

/* Rows of two groups, each with all values, alternate; or of one group, in two steps. */
static const char *compute_aggregate(struct op *op, const struct line *line, enum way way)
{
    struct eval_env env = { .op = op, .arena = &op->arena };
    static uint16_t selection[2 * FIELDS_MAX];
    struct vector column, delimiter;
    const struct vector *args[] = { &column, &delimiter };
    void *states[2 * FIELDS_MAX];
    const struct aggregate *aggregate = NULL;
    const char *answers[2] = { NULL, NULL };
    int rows = 0, groups = way == COLUMNS_WITH_NULLS ? 2 : 1;

    if (vector_init_rows(op, &op->arena, FORM_BYTES, 1, &delimiter) != 0)
        return describe_error(op);
    delimiter.constant = true;
    delimiter.bytes[0] = (struct bytes){ (const uint8_t *)", ", 2 };
    for (int i = 1; i < line->count; i++) {
        struct sql_type type;
        struct datum value;
        char *text = strchr(line->fields[i], ':');
        *text = '\0';
        bool known = find_type(line->fields[i], &type);
        *text++ = ':';
        if (!known || (!aggregate && (!(aggregate = find_aggregate(line->fields[0] + 4, type.oid)) ||
                                      vector_init(op, &op->arena, type_form(type.oid), &column) != 0)))
            return "no such aggregate";
        value.null = strcmp(text, "\\N") == 0;
        if (!value.null &&
            type_parse(op, type, (struct bytes){ (const uint8_t *)text, strlen(text) }, &op->arena, &value) != 0)
            return describe_error(op);
        for (int group = 0; group < groups; group++) {
            selection[rows] = (uint16_t)(way == SELECTED ? rows * 2 : rows);
            vector_set(&column, selection[rows++], &value);
        }
    }
    void *memory[2];
    for (int i = 0; i < 2; i++)
        memory[i] = arena_calloc(&op->arena, aggregate->state_bytes);
    for (int i = 0; i < rows; i++)
        states[i] = memory[i % groups];
    const uint16_t *chosen = way == SELECTED ? selection : NULL;
    if (aggregate->step(&env, aggregate, &op->arena, args, rows, chosen, states) != 0)
        return describe_error(op);
    for (int group = 0; group < groups; group++) {
        struct datum value = { .null = false };
        if (aggregate->finish(&env, aggregate, memory[group], &value) != 0)
            return describe_error(op);
        answers[group] = describe(op, (struct sql_type){ aggregate->result, -1 }, &value);
    }
    return groups == 2 && strcmp(answers[0], answers[1]) != 0 ? "groups differ" : answers[0];
}

static void expressions_have_the_values_of_postgresql(void **state)
{
    const char *directory = getenv("srcdir");
    char name[4096], text[8192];
    int lines = 0, failures = 0;
    struct op op;

    snprintf(name, sizeof name, "%s/tests/unit/sql/expressions.tsv", directory ? directory : ".");
    FILE *file = fopen(name, "r");
    assert_non_null(file);
    op_init(&op);
    while (fgets(text, sizeof text, file)) {
        struct line line;
        if (!split(text, &line))
            continue;
        lines++;
        for (enum way way = CONSTANTS; way < WAYS; way++) {
            bool aggregate = strncmp(line.fields[0], "agg:", 4) == 0;
            const char *got = aggregate ? compute_aggregate(&op, &line, way) : compute(&op, &line, way);
            if (!got || strcmp(got, line.answer) != 0) {
                failures++;
                fprintf(stderr, "%s", line.fields[0]);
                for (int i = 1; i < line.count; i++)
                    fprintf(stderr, " %s", line.fields[i]);
                fprintf(stderr, " (way %d)\n    PostgreSQL %s\n    here       %s\n", (int)way, line.answer,
                        got ? got : "?");
                way = WAYS;
            }
            op_reset(&op);
        }
    }
    fclose(file);
    op_end(&op);
    fprintf(stderr, "%d expressions, %d failures\n", lines, failures);
    assert_int_equal(failures, 0);
    assert_true(lines > 1000);
}

/* func_candidates searches by halves. */
static void functions_are_found_by_every_name(void **state)
{
    static const char *const names[] = { "!~~", "%", "*", "+", "-", "||", "~~*", "abs", "now", "version", "upper",
                                         "@" };
    int count;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        assert_non_null(func_candidates(names[i], &count));
    assert_null(func_candidates("no_such_function", &count));
    func_candidates("=", &count);
    assert_int_equal(count, 9 + 4 + 9 + 2 + 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions_have_the_values_of_postgresql),
        cmocka_unit_test(functions_are_found_by_every_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
