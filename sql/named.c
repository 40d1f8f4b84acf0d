/*
 * named.c -- PREPARE, EXECUTE, DEALLOCATE: prepared statements with a name, of one session.
 *
 * The text of the whole PREPARE is kept, and the statement inside of it prepared as any other (prepared.c), so that positions of errors
 * are those of the text that the user wrote.  EXECUTE runs it and keeps its rows; its plan lives on from run to run.
 *
 * Names are not part of transactions: a rollback leaves them.
 */
#include <string.h>

#include "sql/advisory.h"
#include "sql/prepared_int.h"
#include "src/base/mem.h"

struct named_statement {
    struct named_statement *next;
    char *name;
    struct prepared *prepared;
};

static struct named_statement **find(struct session *session, const char *name)
{
    struct named_statement **link = &session->named;
    while (*link && strcmp((*link)->name, name) != 0)
        link = &(*link)->next;
    return link;
}

static void drop(struct named_statement **link)
{
    struct named_statement *named = *link;
    *link = named->next;
    prepared_free(named->prepared);
    mem_free(named->name);
    mem_free(named);
}

void named_close(struct session *session)
{
    while (session->named)
        drop(&session->named);
}

int named_prepare(struct op *op, struct prepared *prepared)
{
    const struct ast_prepare *statement = prepared->statement->prepare;
    struct session *session = prepared->session;
    struct sql_type types[FUNC_ARGS_MAX + 256];
    struct named_statement *named;
    int count = 0;

    if (*find(session, statement->name))
        return op_fail(op, "42P05", "prepared statement \"%s\" already exists", statement->name);
    for (const struct ast_type *type = statement->types; type; type = type->next) {
        if (count == (int)COUNT_OF(types))
            return op_fail(op, "54000", "a prepared statement can declare at most %d parameters", (int)COUNT_OF(types));
        if (bind_type(op, type, &types[count++]) != 0)
            return OP_FAILED;
    }
    named = mem_calloc(1, sizeof *named);
    if (named)
        named->name = mem_strdup(statement->name);
    if (!named || !named->name) {
        mem_free(named);
        return op_out_of_memory(op);
    }
    if (prepared__make_inner(op, session, prepared->sql, prepared->len, types, count, &named->prepared) != 0) {
        mem_free(named->name);
        mem_free(named);
        return OP_FAILED;
    }
    named->next = session->named;
    session->named = named;
    return 0;
}

static int look_up(struct op *op, struct session *session, const char *name, struct prepared **inner)
{
    struct named_statement *named = *find(session, name);
    *inner = named ? named->prepared : NULL;
    return named ? 0 : op_fail(op, "26000", "prepared statement \"%s\" does not exist", name);
}

int named_describe(struct op *op, struct prepared *prepared)
{
    struct prepared *inner;

    if (look_up(op, prepared->session, prepared->statement->prepare->name, &inner) != 0)
        return OP_FAILED;
    for (int i = 0; i < inner->column_count; i++) {
        if (prepared__add_column(op, prepared, inner->columns[i].name, inner->columns[i].type.oid) != 0)
            return OP_FAILED;
        prepared->columns[i].type = inner->columns[i].type;
    }
    return 0;
}

/* A value for a parameter, computed over nothing. */
static int set_param(struct op *op, struct prepared *inner, int i, const struct ast_expr *ast)
{
    struct session *session = inner->session;
    struct eval_env env = {.op = op, .arena = &op->arena, .transaction_time = session->transaction_time,
                           .statement_time = session->statement_time, .session = session, .advisory = session__advisory};
    struct program *program;
    struct datum value;
    struct expr *expr;

    if (bind_argument(op, session, &op->arena, ast, i + 1, inner->param_types[i], &expr) != 0 ||
        program_compile(op, &op->arena, expr, NULL, &program) != 0 || program_value(&env, program, &value) != 0)
        return OP_FAILED;
    inner->params[i] = value;
    return 0;
}

/* Rows are kept: a named statement may be dropped while they are read. */
int prepared__run_inner(struct op *op, struct prepared *prepared, struct prepared *inner,
                        int (*keep)(void *arg, struct op *op, struct prepared *inner), void *arg)
{
    enum step_result result;

    for (;;) {
        if (prepared_step(op, inner, &result) != 0)
            return OP_FAILED;
        if (result == STEP_DONE)
            return 0;
        if (keep(arg, op, inner) != 0) {
            prepared_cancel(op, inner);
            return OP_FAILED;
        }
    }
}

static int keep_row(void *arg, struct op *op, struct prepared *inner)
{
    struct prepared *prepared = arg;
    struct datum *row = op_calloc(op, sizeof *row * (size_t)(inner->column_count + 1));

    for (int i = 0; row && i < inner->column_count; i++)
        row[i] = *prepared_value(inner, i);
    return row ? prepared__keep_values(op, prepared, row) : OP_FAILED;
}

int named_execute(struct op *op, struct prepared *prepared)
{
    const struct ast_prepare *statement = prepared->statement->prepare;
    struct prepared *inner;
    int i = 0;

    if (look_up(op, prepared->session, statement->name, &inner) != 0)
        return OP_FAILED;
    if (statement->arg_count != inner->param_count) {
        op_fail(op, "42601", "wrong number of parameters for prepared statement \"%s\"", statement->name);
        op_detail(op, "Expected %d parameters but got %d.", inner->param_count, statement->arg_count);
        return OP_FAILED;
    }
    for (const struct ast_expr *arg = statement->args; arg; arg = arg->next)
        if (set_param(op, inner, i++, arg) != 0)
            return OP_FAILED;
    return prepared__run_inner(op, prepared, inner, keep_row, prepared);
}

const char *named_tag(struct prepared *prepared)
{
    struct named_statement *named = *find(prepared->session, prepared->statement->prepare->name);
    return named ? prepared_tag(named->prepared) : "EXECUTE";
}

int named_deallocate(struct op *op, struct session *session, const char *name)
{
    struct named_statement **link;

    if (!name) {
        named_close(session);
        return 0;
    }
    link = find(session, name);
    if (!*link)
        return op_fail(op, "26000", "prepared statement \"%s\" does not exist", name);
    drop(link);
    return 0;
}
