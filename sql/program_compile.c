/*
 * program_compile.c -- from an expression to instructions (program_int.h has the picture).
 *
 * One pass over the tree.  Every node leaves its value in a register; the caller releases that register once the
 * value has been used, and the next node may take it.  Subtrees without any column are compiled for one row.
 */
#include <stdlib.h>
#include <string.h>

#include "sql/program_int.h"

struct reg {
    struct vector vector;       /* first: a vector of ours is a reg */
    bool owned;                 /* may be given back; constants, slots and parameters may not */
    struct reg *next_free;
};

struct compiler {
    struct op *op;
    struct arena *arena;
    struct program *program;
    struct code *code;
    struct reg *free_regs[FORM_BYTES + 1];
};

/* ---- pieces --------------------------------------------------------------------------------------- */

static void *grow(struct compiler *c, void *old, int count, int *capacity, size_t size)
{
    int larger = *capacity ? *capacity * 2 : 8;
    char *fresh = op_arena_alloc(c->op, c->arena, size * (size_t)larger);
    if (!fresh)
        return NULL;
    if (count)
        memcpy(fresh, old, size * (size_t)count);
    *capacity = larger;
    return fresh;
}

/* The next instruction, zeroed; NULL when memory is exhausted. */
static struct instruction *emit(struct compiler *c, enum opcode code, int rows)
{
    struct code *list = c->code;
    if (list->count == list->capacity) {
        void *fresh = grow(c, list->instructions, list->count, &list->capacity, sizeof *list->instructions);
        if (!fresh)
            return NULL;
        list->instructions = fresh;
    }
    struct instruction *instruction = &list->instructions[list->count++];
    memset(instruction, 0, sizeof *instruction);
    instruction->code = code;
    instruction->rows = rows;
    instruction->jump = -1;
    return instruction;
}

/* A new row set; -1 when memory is exhausted. */
static int new_rows(struct compiler *c)
{
    struct program *program = c->program;
    if (program->rows_count == program->rows_capacity) {
        void *fresh = grow(c, program->rows, program->rows_count, &program->rows_capacity, sizeof *program->rows);
        if (!fresh)
            return -1;
        program->rows = fresh;
    }
    uint16_t *buffer = op_arena_alloc(c->op, c->arena, sizeof *buffer * BATCH_ROWS);
    if (!buffer)
        return -1;
    program->rows[program->rows_count] = (struct row_set){ .buffer = buffer };
    return program->rows_count++;
}

static struct vector *new_register(struct compiler *c, enum type_form form, bool constant, bool owned)
{
    struct reg *reg;
    if (owned && !constant && c->free_regs[form]) {
        reg = c->free_regs[form];
        c->free_regs[form] = reg->next_free;
        return &reg->vector;
    }
    reg = op_arena_alloc(c->op, c->arena, sizeof *reg);
    if (!reg || vector_init_rows(c->op, c->arena, form, constant || !owned ? 1 : BATCH_ROWS, &reg->vector) != 0)
        return NULL;
    reg->owned = owned && !constant;
    reg->vector.constant = constant;
    return &reg->vector;
}

static void release(struct compiler *c, struct vector *vector)
{
    struct reg *reg = (struct reg *)vector;
    if (!reg->owned)
        return;
    reg->next_free = c->free_regs[vector->form];
    c->free_regs[vector->form] = reg;
}

/* Whether the value is the same for all rows of a run. */
static bool visit_fixed(void *arg, const struct expr *expr)
{
    switch (expr->kind) {
    case EXPR_SLOT: case EXPR_COLUMN: case EXPR_SUBQUERY: case EXPR_AGGREGATE: case EXPR_SERIES:
        return false;
    case EXPR_FUNC:
        return expr->func->volatility != FUNC_VOLATILE;
    default:
        return true;
    }
}

static bool is_fixed(const struct expr *expr) { return expr_walk(expr, visit_fixed, NULL); }

/* Where an expression's value is computed: rows, and whether that is just the one row of constants. */
struct place { int rows; bool constant; };

static int compile(struct compiler *c, const struct expr *expr, struct place place, struct vector **out) MUST_CHECK;

static struct vector *result_register(struct compiler *c, const struct expr *expr, struct place place)
{
    return new_register(c, type_form(expr->type.oid), place.constant, true);
}

static struct vector *bool_register(struct compiler *c, struct place place)
{
    return new_register(c, FORM_BOOL, place.constant, true);
}

/* Narrows; returns the instruction's index, so that its jump can be set when the place to go to is known; -1 on
 * failure. */
static int emit_narrow(struct compiler *c, int from, int to, struct vector *by, enum test test)
{
    struct instruction *narrow = emit(c, CODE_NARROW, from);
    if (!narrow)
        return -1;
    narrow->to = to;
    narrow->a = by;
    narrow->test = test;
    return c->code->count - 1;
}

static void land(struct compiler *c, int index) { c->code->instructions[index].jump = c->code->count; }

static int emit_unary(struct compiler *c, enum opcode code, int rows, struct vector *out, struct vector *a)
{
    struct instruction *instruction = emit(c, code, rows);
    if (!instruction)
        return OP_FAILED;
    instruction->out = out;
    instruction->a = a;
    return 0;
}

static int emit_test(struct compiler *c, int rows, struct vector *out, struct vector *a, enum test test)
{
    if (emit_unary(c, CODE_IS, rows, out, a) != 0)
        return OP_FAILED;
    c->code->instructions[c->code->count - 1].test = test;
    return 0;
}

/* ---- leaves and calls ----------------------------------------------------------------------------- */

static int compile_constant(struct compiler *c, const struct expr *expr, struct vector **out)
{
    *out = new_register(c, type_form(expr->type.oid), true, false);
    if (!*out)
        return OP_FAILED;
    vector_set(*out, 0, &expr->value);
    return 0;
}

static int compile_load(struct compiler *c, const struct expr *expr, enum opcode code, bool constant,
                        struct vector **out)
{
    *out = new_register(c, type_form(expr->type.oid), constant, false);
    struct instruction *load = *out ? emit(c, code, ROWS_INPUT) : NULL;
    if (!load)
        return OP_FAILED;
    load->out = *out;
    load->number = expr->slot;
    return 0;
}

static int emit_call(struct compiler *c, const struct expr *expr, const struct func *func, int rows, int arg_count,
                     struct vector *const *args, struct expr *const *arg_exprs, struct vector *out)
{
    struct instruction *call = emit(c, CODE_CALL, rows);
    size_t count = (size_t)(arg_count ? arg_count : 1);
    if (!call)
        return OP_FAILED;
    call->out = out;
    call->expr = expr;
    call->func = func;
    call->arg_count = arg_count;
    call->args = op_arena_alloc(c->op, c->arena, sizeof *call->args * count);
    call->arg_types = op_arena_alloc(c->op, c->arena, sizeof *call->arg_types * count);
    if (!call->args || !call->arg_types)
        return OP_FAILED;
    for (int i = 0; i < arg_count; i++) {
        call->args[i] = args[i];
        call->arg_types[i] = arg_exprs[i]->type;
    }
    return 0;
}

static int compile_call(struct compiler *c, const struct expr *expr, struct place place, struct vector **out)
{
    struct vector **args = op_arena_alloc(c->op, c->arena, sizeof *args * (size_t)(expr->arg_count + 1));
    if (!args)
        return OP_FAILED;
    for (int i = 0; i < expr->arg_count; i++)
        if (compile(c, expr->args[i], place, &args[i]) != 0)
            return OP_FAILED;
    *out = result_register(c, expr, place);
    if (!*out || emit_call(c, expr, expr->func, place.rows, expr->arg_count, args, expr->args, *out) != 0)
        return OP_FAILED;
    for (int i = 0; i < expr->arg_count; i++)
        release(c, args[i]);
    return 0;
}

/* a and b, and whether they are equal. */
static int compile_equal(struct compiler *c, const struct expr *expr, struct place place, struct vector *args[2],
                         struct vector **equal)
{
    if (compile(c, expr->args[0], place, &args[0]) != 0 || compile(c, expr->args[1], place, &args[1]) != 0)
        return OP_FAILED;
    *equal = bool_register(c, place);
    return *equal ? emit_call(c, expr, expr->func, place.rows, 2, args, expr->args, *equal) : OP_FAILED;
}

static int compile_distinct(struct compiler *c, const struct expr *expr, struct place place, struct vector **out)
{
    struct vector *args[2], *equal;
    if (compile_equal(c, expr, place, args, &equal) != 0 || !(*out = bool_register(c, place)) ||
        emit_unary(c, CODE_DISTINCT, place.rows, *out, args[0]) != 0)
        return OP_FAILED;
    c->code->instructions[c->code->count - 1].b = args[1];
    c->code->instructions[c->code->count - 1].c = equal;
    release(c, args[0]);
    release(c, args[1]);
    release(c, equal);
    return 0;
}

static int compile_nullif(struct compiler *c, const struct expr *expr, struct place place, struct vector **out)
{
    struct vector *args[2], *equal;
    if (compile_equal(c, expr, place, args, &equal) != 0 || !(*out = result_register(c, expr, place)) ||
        emit_unary(c, CODE_NULLIF, place.rows, *out, args[0]) != 0)
        return OP_FAILED;
    c->code->instructions[c->code->count - 1].b = equal;
    release(c, args[0]);
    release(c, args[1]);
    release(c, equal);
    return 0;
}

/* ---- lazy nodes ----------------------------------------------------------------------------------- */

static int compile_junction(struct compiler *c, const struct expr *expr, struct place place, struct vector **out)
{
    bool is_and = expr->kind == EXPR_AND;
    int rest = new_rows(c), *narrows = op_arena_alloc(c->op, c->arena, sizeof *narrows * (size_t)expr->arg_count);
    struct vector *value;

    *out = bool_register(c, place);
    if (rest < 0 || !narrows || !*out || compile(c, expr->args[0], place, &value) != 0 ||
        emit_unary(c, CODE_RESET, place.rows, *out, NULL) != 0 || emit_unary(c, CODE_COPY, place.rows, *out,
                                                                             value) != 0)
        return OP_FAILED;
    release(c, value);
    for (int i = 1; i < expr->arg_count; i++) {
        /* Where the outcome is settled the rest is not computed. */
        narrows[i] = emit_narrow(c, i == 1 ? place.rows : rest, rest, *out, is_and ? TEST_NOT_FALSE : TEST_NOT_TRUE);
        struct place inner = { rest, place.constant };
        if (narrows[i] < 0 || compile(c, expr->args[i], inner, &value) != 0 ||
            emit_unary(c, is_and ? CODE_AND : CODE_OR, rest, *out, value) != 0)
            return OP_FAILED;
        release(c, value);
    }
    for (int i = 1; i < expr->arg_count; i++)
        land(c, narrows[i]);
    return 0;
}

static int compile_case(struct compiler *c, const struct expr *expr, struct place place, struct vector **out)
{
    int rest = new_rows(c), hit = new_rows(c), from = place.rows;
    int *ends = op_arena_alloc(c->op, c->arena, sizeof *ends * (size_t)(expr->arg_count + 1));
    struct vector *value, *when;

    *out = result_register(c, expr, place);
    if (rest < 0 || hit < 0 || !ends || !*out || emit_unary(c, CODE_RESET, place.rows, *out, NULL) != 0)
        return OP_FAILED;
    for (int i = 0; i + 1 < expr->arg_count; i += 2) {
        if (compile(c, expr->args[i], (struct place){ from, place.constant }, &when) != 0)
            return OP_FAILED;
        int skip = emit_narrow(c, from, hit, when, TEST_TRUE);
        if (skip < 0 || compile(c, expr->args[i + 1], (struct place){ hit, place.constant }, &value) != 0 ||
            emit_unary(c, CODE_COPY, hit, *out, value) != 0)
            return OP_FAILED;
        release(c, value);
        land(c, skip);
        ends[i] = emit_narrow(c, from, rest, when, TEST_NOT_TRUE);
        if (ends[i] < 0)
            return OP_FAILED;
        release(c, when);
        from = rest;
    }
    if (compile(c, expr->args[expr->arg_count - 1], (struct place){ from, place.constant }, &value) != 0 ||
        emit_unary(c, CODE_COPY, from, *out, value) != 0)
        return OP_FAILED;
    release(c, value);
    for (int i = 0; i + 1 < expr->arg_count; i += 2)
        land(c, ends[i]);
    return 0;
}

static int compile_coalesce(struct compiler *c, const struct expr *expr, struct place place, struct vector **out)
{
    int rest = new_rows(c), from = place.rows;
    int *ends = op_arena_alloc(c->op, c->arena, sizeof *ends * (size_t)(expr->arg_count + 1));
    struct vector *value;

    *out = result_register(c, expr, place);
    if (rest < 0 || !ends || !*out || emit_unary(c, CODE_RESET, place.rows, *out, NULL) != 0)
        return OP_FAILED;
    for (int i = 0; i < expr->arg_count; i++) {
        if (compile(c, expr->args[i], (struct place){ from, place.constant }, &value) != 0 ||
            emit_unary(c, CODE_COPY, from, *out, value) != 0)
            return OP_FAILED;
        if (i + 1 < expr->arg_count && (ends[i] = emit_narrow(c, from, rest, value, TEST_NULL)) < 0)
            return OP_FAILED;
        release(c, value);
        from = rest;
    }
    for (int i = 0; i + 1 < expr->arg_count; i++)
        land(c, ends[i]);
    return 0;
}

static int compile_extreme(struct compiler *c, const struct expr *expr, struct place place, struct vector **out)
{
    struct vector *value;
    *out = result_register(c, expr, place);
    if (!*out || emit_unary(c, CODE_RESET, place.rows, *out, NULL) != 0)
        return OP_FAILED;
    for (int i = 0; i < expr->arg_count; i++) {
        if (compile(c, expr->args[i], place, &value) != 0 ||
            emit_unary(c, i ? CODE_EXTREME : CODE_COPY, place.rows, *out, value) != 0)
            return OP_FAILED;
        c->code->instructions[c->code->count - 1].number = expr->kind == EXPR_GREATEST ? 1 : -1;
        c->code->instructions[c->code->count - 1].expr = expr;
        release(c, value);
    }
    return 0;
}

/* ---- IN ------------------------------------------------------------------------------------------- */

static int compare_values(const void *a, const void *b, void *type) { return type_compare(*(const Oid *)type, a, b); }

static bool is_constant_list(const struct expr *expr)
{
    if (expr->func->args[0] != expr->func->args[1])
        return false;
    for (int i = 1; i < expr->arg_count; i++)
        if (expr->args[i]->kind != EXPR_CONST)
            return false;
    return expr->arg_count > 2;
}

static struct constant_set *make_set(struct compiler *c, const struct expr *expr)
{
    struct constant_set *set = op_arena_alloc(c->op, c->arena, sizeof *set);
    size_t room = (size_t)expr->arg_count;
    if (!set)
        return NULL;
    set->type = expr->func->args[0];
    set->negated = expr->negated;
    set->values = op_arena_alloc(c->op, c->arena, sizeof *set->values * room);
    if (!set->values)
        return NULL;
    for (int i = 1; i < expr->arg_count; i++) {
        if (expr->args[i]->value.null)
            set->has_null = true;
        else
            set->values[set->count++] = expr->args[i]->value;
    }
    qsort_r(set->values, (size_t)set->count, sizeof *set->values, compare_values, &set->type);
    if (type_form(set->type) == FORM_INT64) {
        set->ints = op_arena_alloc(c->op, c->arena, sizeof *set->ints * room);
        for (int i = 0; set->ints && i < set->count; i++)
            set->ints[i] = set->values[i].i;
        return set->ints ? set : NULL;
    }
    return set;
}

static int compile_in(struct compiler *c, const struct expr *expr, struct place place, struct vector **out)
{
    struct vector *value, *pair[2];
    struct expr *pair_exprs[2];
    if (compile(c, expr->args[0], place, &value) != 0 || !(*out = bool_register(c, place)))
        return OP_FAILED;
    if (is_constant_list(expr)) {
        const struct constant_set *set = make_set(c, expr);
        if (!set || emit_unary(c, CODE_IN_SET, place.rows, *out, value) != 0)
            return OP_FAILED;
        c->code->instructions[c->code->count - 1].set = set;
        release(c, value);
        return 0;
    }
    int rest = new_rows(c), from = place.rows;
    int *ends = op_arena_alloc(c->op, c->arena, sizeof *ends * (size_t)expr->arg_count);
    if (rest < 0 || !ends || emit_unary(c, CODE_IN_FIRST, place.rows, *out, value) != 0)
        return OP_FAILED;
    pair[0] = value;
    pair_exprs[0] = expr->args[0];
    for (int i = 1; i < expr->arg_count; i++) {
        ends[i] = emit_narrow(c, from, rest, i == 1 ? value : *out, i == 1 ? TEST_NOT_NULL : TEST_NOT_TRUE);
        from = rest;
        struct vector *equal = bool_register(c, place);
        pair_exprs[1] = expr->args[i];
        if (ends[i] < 0 || !equal || compile(c, expr->args[i], (struct place){ rest, place.constant }, &pair[1]) != 0 ||
            emit_call(c, expr, expr->func, rest, 2, pair, pair_exprs, equal) != 0 ||
            emit_unary(c, CODE_OR, rest, *out, equal) != 0)
            return OP_FAILED;
        release(c, pair[1]);
        release(c, equal);
    }
    for (int i = 1; i < expr->arg_count; i++)
        land(c, ends[i]);
    release(c, value);
    return expr->negated ? emit_unary(c, CODE_NOT, place.rows, *out, *out) : 0;
}

/* ---- the tree ------------------------------------------------------------------------------------- */

static int compile_subquery(struct compiler *c, const struct expr *expr, struct place place, struct vector **out)
{
    struct vector *value = NULL;
    if (!c->program->hooks.subquery)
        return op_fail_at(c->op, expr->position, "0A000", "cannot use subquery in this expression");
    if (expr->subquery_kind == SUBQUERY_IN && compile(c, expr->args[0], place, &value) != 0)
        return OP_FAILED;
    *out = result_register(c, expr, place);
    if (!*out || emit_unary(c, CODE_SUBQUERY, place.rows, *out, value) != 0)
        return OP_FAILED;
    c->code->instructions[c->code->count - 1].expr = expr;
    if (value)
        release(c, value);
    return 0;
}

static int compile_test(struct compiler *c, const struct expr *expr, struct place place, enum test test,
                        struct vector **out)
{
    struct vector *value;
    if (compile(c, expr->args[0], place, &value) != 0 || !(*out = bool_register(c, place)) ||
        emit_test(c, place.rows, *out, value, test) != 0)
        return OP_FAILED;
    release(c, value);
    return 0;
}

static int compile_not(struct compiler *c, const struct expr *expr, struct place place, struct vector **out)
{
    struct vector *value;
    if (compile(c, expr->args[0], place, &value) != 0 || !(*out = bool_register(c, place)) ||
        emit_unary(c, CODE_NOT, place.rows, *out, value) != 0)
        return OP_FAILED;
    release(c, value);
    return 0;
}

static int compile(struct compiler *c, const struct expr *expr, struct place place, struct vector **out)
{
    *out = NULL;
    if (!place.constant && is_fixed(expr))
        place = (struct place){ ROWS_ONE, true };
    switch (expr->kind) {
    case EXPR_CONST: return compile_constant(c, expr, out);
    case EXPR_SLOT: return compile_load(c, expr, CODE_SLOT, false, out);
    case EXPR_PARAM: return compile_load(c, expr, CODE_PARAM, true, out);
    case EXPR_OUTER: return compile_load(c, expr, CODE_OUTER, true, out);
    case EXPR_FUNC: return compile_call(c, expr, place, out);
    case EXPR_RELABEL: return compile(c, expr->args[0], place, out);
    case EXPR_AND: case EXPR_OR: return compile_junction(c, expr, place, out);
    case EXPR_NOT: return compile_not(c, expr, place, out);
    case EXPR_IS_NULL: case EXPR_IS_UNKNOWN: return compile_test(c, expr, place, TEST_NULL, out);
    case EXPR_IS_NOT_NULL: case EXPR_IS_NOT_UNKNOWN: return compile_test(c, expr, place, TEST_NOT_NULL, out);
    case EXPR_IS_TRUE: return compile_test(c, expr, place, TEST_TRUE, out);
    case EXPR_IS_NOT_TRUE: return compile_test(c, expr, place, TEST_NOT_TRUE, out);
    case EXPR_IS_FALSE: return compile_test(c, expr, place, TEST_FALSE, out);
    case EXPR_IS_NOT_FALSE: return compile_test(c, expr, place, TEST_NOT_FALSE, out);
    case EXPR_DISTINCT: return compile_distinct(c, expr, place, out);
    case EXPR_NULLIF: return compile_nullif(c, expr, place, out);
    case EXPR_CASE: return compile_case(c, expr, place, out);
    case EXPR_COALESCE: return compile_coalesce(c, expr, place, out);
    case EXPR_GREATEST: case EXPR_LEAST: return compile_extreme(c, expr, place, out);
    case EXPR_IN: return compile_in(c, expr, place, out);
    case EXPR_SUBQUERY: return compile_subquery(c, expr, place, out);
    case EXPR_COLUMN: case EXPR_AGGREGATE: case EXPR_SERIES: case EXPR_DEFAULT: break;
    }
    return op_fail_at(c->op, expr->position, "XX000", "expression of kind %d cannot be computed row by row",
                      (int)expr->kind);
}

/* Conditions of a conjunction, however it is nested, one after the other on what the earlier ones have left. */
static int compile_filter(struct compiler *c, const struct expr *expr, int **ends, int *end_count, int *end_capacity)
{
    struct vector *value;
    if (expr->kind == EXPR_AND) {
        for (int i = 0; i < expr->arg_count; i++)
            if (compile_filter(c, expr->args[i], ends, end_count, end_capacity) != 0)
                return OP_FAILED;
        return 0;
    }
    if (compile(c, expr, (struct place){ ROWS_INPUT, false }, &value) != 0)
        return OP_FAILED;
    if (*end_count == *end_capacity && !(*ends = grow(c, *ends, *end_count, end_capacity, sizeof **ends)))
        return OP_FAILED;
    int narrow = emit_narrow(c, ROWS_INPUT, ROWS_INPUT, value, TEST_TRUE);
    (*ends)[(*end_count)++] = narrow;
    release(c, value);
    return narrow < 0 ? OP_FAILED : 0;
}

int program_compile(struct op *op, struct arena *arena, const struct expr *expr, const struct program_hooks *hooks,
                    struct program **program)
{
    struct program *made = op_arena_alloc(op, arena, sizeof *made);
    struct compiler c = { .op = op, .arena = arena, .program = made };
    int *ends = NULL, end_count = 0, end_capacity = 0;

    *program = NULL;
    if (!made)
        return OP_FAILED;
    made->expr = expr;
    if (hooks)
        made->hooks = *hooks;
    made->scratch = op_arena_alloc(op, arena, sizeof *made->scratch * BATCH_ROWS);
    if (!made->scratch || new_rows(&c) < 0 || new_rows(&c) < 0)
        return OP_FAILED;
    made->rows[ROWS_ONE].count = 1;
    c.code = &made->value;
    if (compile(&c, expr, (struct place){ ROWS_INPUT, false }, &made->result) != 0)
        return OP_FAILED;
    if (expr->type.oid == TYPE_BOOL) {
        release(&c, made->result);
        c.code = &made->filter;
        if (compile_filter(&c, expr, &ends, &end_count, &end_capacity) != 0)
            return OP_FAILED;
        for (int i = 0; i < end_count; i++)
            land(&c, ends[i]);
    }
    *program = made;
    return 0;
}
