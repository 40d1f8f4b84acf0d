/*
 * program.c -- running compiled expressions (program_int.h has the picture, program_compile.c makes them).
 *
 * Every instruction is a loop over its row set.  Functions are called once per batch; null arguments of strict
 * functions are dealt with here, so that kernels never see one: rows with nulls are left out of the call, and marked
 * null afterwards.
 */
#include <string.h>

#include "sql/program_int.h"

/* Row i of the set. */
static inline int row_of(const struct row_set *rows, int i) { return rows->selection ? rows->selection[i] : i; }

/* ---- calls ---------------------------------------------------------------------------------------- */

static bool null_in_row(const struct instruction *call, int row)
{
    for (int i = 0; i < call->arg_count; i++)
        if (vector_is_null(call->args[i], row))
            return true;
    return false;
}

/* The call where some argument has nulls. */
static int call_with_nulls(struct eval_env *env, struct program *program, const struct instruction *call,
                           const struct row_set *rows)
{
    struct vector *out = call->out;
    uint16_t *kept = program->scratch;
    int count = 0;

    for (int i = 0; i < rows->count; i++) {
        int row = row_of(rows, i);
        kept[count] = (uint16_t)row;
        count += !null_in_row(call, row);
    }
    if (count && call->func->eval(env, call->func, call->arg_count, call->args, call->arg_types, call->expr->type,
                                  count, kept, out) != 0)
        return OP_FAILED;
    bool results_null = out->has_nulls;
    out->has_nulls = true;
    if (!results_null)
        for (int i = 0; i < rows->count; i++)
            out->nulls[row_of(rows, i)] = 0;
    for (int i = 0; i < rows->count; i++) {
        int row = row_of(rows, i);
        out->nulls[row] |= null_in_row(call, row);
    }
    return 0;
}

static int run_call(struct eval_env *env, struct program *program, const struct instruction *call,
                    const struct row_set *rows)
{
    call->out->has_nulls = false;
    if (call->func->strict)
        for (int i = 0; i < call->arg_count; i++)
            if (call->args[i]->has_nulls)
                return call_with_nulls(env, program, call, rows);
    return call->func->eval(env, call->func, call->arg_count, call->args, call->arg_types, call->expr->type,
                            rows->count, rows->selection, call->out);
}

/* ---- moving values -------------------------------------------------------------------------------- */

static void run_copy(const struct vector *from, struct vector *to, const struct row_set *rows)
{
    int mask = from->constant ? 0 : -1;
    if (from->has_nulls && !to->has_nulls) {
        memset(to->nulls, 0, to->constant ? 1 : BATCH_ROWS);
        to->has_nulls = true;
    }
    if (to->has_nulls)
        for (int i = 0; i < rows->count; i++) {
            int row = row_of(rows, i);
            to->nulls[row] = from->has_nulls ? from->nulls[row & mask] : 0;
        }
#define COPY(member)                                                                                                   \
    for (int i = 0; i < rows->count; i++) {                                                                            \
        int row = row_of(rows, i);                                                                                     \
        to->member[row] = from->member[row & mask];                                                                    \
    }
    switch (from->form) {
    case FORM_BOOL: COPY(bools); break;
    case FORM_INT64: COPY(ints); break;
    case FORM_DOUBLE: COPY(doubles); break;
    case FORM_BYTES: COPY(bytes); break;
    }
#undef COPY
}

static void set_null(struct vector *out, int row, bool null)
{
    if (null)
        vector_set_null(out, row);
    else if (out->has_nulls)
        out->nulls[row] = 0;
}

static void run_load(struct vector *out, const struct datum *value)
{
    out->has_nulls = false;
    vector_set(out, 0, value);
}

/* ---- truth ---------------------------------------------------------------------------------------- */

static inline bool passes(const struct vector *v, int row, enum test test)
{
    int at = v->constant ? 0 : row;
    bool null = v->has_nulls && v->nulls[at];
    switch (test) {
    case TEST_TRUE: return !null && v->bools[at];
    case TEST_NOT_TRUE: return null || !v->bools[at];
    case TEST_FALSE: return !null && !v->bools[at];
    case TEST_NOT_FALSE: return null || v->bools[at];
    case TEST_NULL: return null;
    case TEST_NOT_NULL: return !null;
    }
    return false;
}

/* The hot case: true and no nulls, from a dense or a selected set. */
static int narrow_true(const uint8_t *bools, const struct row_set *from, uint16_t *to)
{
    int count = 0;
    if (from->selection) {
        for (int i = 0; i < from->count; i++) {
            uint16_t row = from->selection[i];
            to[count] = row;
            count += bools[row];
        }
    } else {
        for (int row = 0; row < from->count; row++) {
            to[count] = (uint16_t)row;
            count += bools[row];
        }
    }
    return count;
}

/* `to` may be `from`: rows only move towards the front. */
static void run_narrow(const struct vector *by, enum test test, const struct row_set *from, struct row_set *to)
{
    int count = 0, all = from->count;
    const uint16_t *selection = from->selection;

    if (by->constant) {
        count = passes(by, 0, test) ? all : 0;
    } else if (test == TEST_TRUE && !by->has_nulls) {
        count = narrow_true(by->bools, from, to->buffer);
    } else {
        for (int i = 0; i < all; i++) {
            int row = row_of(from, i);
            to->buffer[count] = (uint16_t)row;
            count += passes(by, row, test);
        }
    }
    /* With every row kept the set stays what it was, dense if it was dense. */
    to->selection = count == all ? selection : to->buffer;
    to->count = count;
}

/* out and a (or: out or a), where out is true or null (false or null) already. */
static void run_junction(bool is_and, struct vector *out, const struct vector *a, const struct row_set *rows)
{
    for (int i = 0; i < rows->count; i++) {
        int row = row_of(rows, i), at = a->constant ? 0 : row;
        if (a->has_nulls && a->nulls[at]) {
            vector_set_null(out, row);
        } else if (a->bools[at] != is_and) {
            out->bools[row] = !is_and;
            set_null(out, row, false);
        }
    }
}

static void run_not(const struct vector *a, struct vector *out, const struct row_set *rows)
{
    run_copy(a, out, rows);
    for (int i = 0; i < rows->count; i++) {
        int row = row_of(rows, i);
        out->bools[row] = !out->bools[row];
    }
}

static void run_distinct(const struct instruction *at, const struct row_set *rows)
{
    at->out->has_nulls = false;
    for (int i = 0; i < rows->count; i++) {
        int row = row_of(rows, i);
        bool a = vector_is_null(at->a, row), b = vector_is_null(at->b, row);
        at->out->bools[row] = a || b ? a != b : !at->c->bools[at->c->constant ? 0 : row];
    }
}

static void run_nullif(const struct instruction *at, const struct row_set *rows)
{
    at->out->has_nulls = false;
    run_copy(at->a, at->out, rows);
    for (int i = 0; i < rows->count; i++) {
        int row = row_of(rows, i);
        if (passes(at->b, row, TEST_TRUE))
            vector_set_null(at->out, row);
    }
}

static void run_extreme(const struct instruction *at, const struct row_set *rows)
{
    struct datum best, other;
    for (int i = 0; i < rows->count; i++) {
        int row = row_of(rows, i);
        vector_get(at->out, row, &best);
        vector_get(at->a, row, &other);
        if (other.null)
            continue;
        if (best.null || type_compare(at->expr->type.oid, &other, &best) * at->number > 0)
            vector_set(at->out, row, &other);
    }
}

/* ---- IN a list of constants ----------------------------------------------------------------------- */

static bool set_has_int(const struct constant_set *set, int64_t value)
{
    int low = 0, high = set->count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (set->ints[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low < set->count && set->ints[low] == value;
}

static bool set_has(const struct constant_set *set, const struct datum *value)
{
    int low = 0, high = set->count;
    while (low < high) {
        int middle = (low + high) / 2, order = type_compare(set->type, &set->values[middle], value);
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static void run_in_set(const struct instruction *at, const struct row_set *rows)
{
    const struct constant_set *set = at->set;
    struct datum value;

    at->out->has_nulls = false;
    for (int i = 0; i < rows->count; i++) {
        int row = row_of(rows, i);
        vector_get(at->a, row, &value);
        bool found = !value.null && (set->ints ? set_has_int(set, value.i) : set_has(set, &value));
        at->out->bools[row] = found != set->negated;
        set_null(at->out, row, value.null || (!found && set->has_null));
    }
}

static void run_in_first(const struct instruction *at, const struct row_set *rows)
{
    at->out->has_nulls = false;
    for (int i = 0; i < rows->count; i++) {
        int row = row_of(rows, i);
        at->out->bools[row] = 0;
        set_null(at->out, row, vector_is_null(at->a, row));
    }
}

/* ---- the machine ---------------------------------------------------------------------------------- */

static int run_subquery(struct eval_env *env, struct program *program, const struct instruction *at,
                        const struct batch *input, const struct row_set *rows)
{
    at->out->has_nulls = false;
    return program->hooks.subquery(program->hooks.context, env, at->expr, at->a, input, rows->count, rows->selection,
                                   at->out);
}

static void run_is(const struct instruction *at, const struct row_set *rows)
{
    at->out->has_nulls = false;
    for (int i = 0; i < rows->count; i++) {
        int row = row_of(rows, i);
        at->out->bools[row] = passes(at->a, row, at->test);
    }
}

int program__execute(struct eval_env *env, struct program *program, const struct code *code, const struct batch *input)
{
    for (int pc = 0; pc < code->count; pc++) {
        const struct instruction *at = &code->instructions[pc];
        struct row_set *rows = &program->rows[at->rows];
        switch (at->code) {
        case CODE_SLOT:
            *at->out = input->vectors[at->number];
            break;
        case CODE_PARAM:
            run_load(at->out, &env->params[at->number]);
            break;
        case CODE_OUTER:
            run_load(at->out, &env->outer[at->number]);
            break;
        case CODE_CALL:
            if (run_call(env, program, at, rows) != 0)
                return OP_FAILED;
            break;
        case CODE_COPY:
            run_copy(at->a, at->out, rows);
            break;
        case CODE_RESET:
            at->out->has_nulls = false;
            break;
        case CODE_NARROW:
            run_narrow(at->a, at->test, rows, &program->rows[at->to]);
            if (program->rows[at->to].count == 0)
                pc = at->jump - 1;
            break;
        case CODE_AND: case CODE_OR:
            run_junction(at->code == CODE_AND, at->out, at->a, rows);
            break;
        case CODE_NOT:
            if (at->a != at->out)
                at->out->has_nulls = false;
            run_not(at->a, at->out, rows);
            break;
        case CODE_IS:
            run_is(at, rows);
            break;
        case CODE_DISTINCT:
            run_distinct(at, rows);
            break;
        case CODE_NULLIF:
            run_nullif(at, rows);
            break;
        case CODE_EXTREME:
            run_extreme(at, rows);
            break;
        case CODE_IN_FIRST:
            run_in_first(at, rows);
            break;
        case CODE_IN_SET:
            run_in_set(at, rows);
            break;
        case CODE_SUBQUERY:
            if (run_subquery(env, program, at, input, rows) != 0)
                return OP_FAILED;
            break;
        }
    }
    return 0;
}

static void set_input_rows(struct program *program, const struct batch *input)
{
    program->rows[ROWS_INPUT].count = input->selected;
    program->rows[ROWS_INPUT].selection = input->selection;
}

int program_run(struct eval_env *env, struct program *program, const struct batch *input, const struct vector **result)
{
    if (program->expr->kind == EXPR_SLOT) {
        *result = &input->vectors[program->expr->slot];
        return 0;
    }
    *result = program->result;
    if (input->selected == 0)
        return 0;
    set_input_rows(program, input);
    return program__execute(env, program, &program->value, input);
}

int program_filter(struct eval_env *env, struct program *program, struct batch *batch, uint16_t *selection)
{
    if (batch->selected == 0)
        return 0;
    struct row_set *rows = &program->rows[ROWS_INPUT];
    uint16_t *own = rows->buffer;
    set_input_rows(program, batch);
    rows->buffer = selection;
    int result = program__execute(env, program, &program->filter, batch);
    rows->buffer = own;
    batch->selection = (uint16_t *)rows->selection;
    batch->selected = rows->count;
    return result;
}

int program_value(struct eval_env *env, struct program *program, struct datum *value)
{
    const struct expr *expr = program->expr;
    if (expr->kind == EXPR_CONST || expr->kind == EXPR_PARAM || expr->kind == EXPR_OUTER) {
        *value = expr->kind == EXPR_CONST ? expr->value
                 : expr->kind == EXPR_PARAM ? env->params[expr->slot] : env->outer[expr->slot];
        return 0;
    }
    program->rows[ROWS_INPUT].count = 1;
    program->rows[ROWS_INPUT].selection = NULL;
    if (program__execute(env, program, &program->value, NULL) != 0)
        return OP_FAILED;
    vector_get(program->result, 0, value);
    return 0;
}
