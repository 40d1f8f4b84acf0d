/*
 * internal.c -- statements that the engine itself runs in the middle of another one: the actions of foreign keys.
 *
 * They go the way of all statements (B2 of session.c): bound, tables locked, bound again if definitions have changed meanwhile, planned,
 * run.  But they belong to the statement in progress: its transaction, its snapshot, its cancel flag.
 */
#include <string.h>

#include "sql/fkey.h"

const char *internal_name(struct op *op, const char *name)
{
    char *text = op_alloc(op, 2 * strlen(name) + 3), *to = text;

    if (!text)
        return NULL;
    *to++ = '"';
    for (; *name; name++) {
        if (*name == '"')
            *to++ = '"';
        *to++ = *name;
    }
    memcpy(to, "\"", 2);
    return text;
}

static int run(struct op *op, struct session *session, struct arena *arena, struct query *query, const struct datum *params, int count)
{
    struct modify *modify = NULL;
    struct batch *batch;
    struct plan *plan;
    int result = plan_query(op, session, arena, query, &session->plan_options, &plan);

    if (result == 0)
        result = modify_make(op, session, query, plan, &modify);
    if (result == 0)
        result = modify_start(op, modify, params, count);
    do
        result = result == 0 ? modify_next(op, modify, &batch) : result;
    while (result == 0 && batch);
    modify_free(modify);
    return result;
}

int internal_run(struct op *op, struct session *session, Oid table, const char *sql, const struct sql_type *types,
                 const struct datum *params, int param_count)
{
    struct statement *statement;
    struct query *query = NULL;
    struct arena arena;
    uint64_t stamp = 0;
    size_t tail;

    arena_init(&arena);
    int result = txn_lock_table(op, session->txn, table, TXN_ROW_EXCLUSIVE);
    if (result == 0)
        result = parse_statement(op, &arena, sql, strlen(sql), &tail, &statement);
    while (result == 0 && (!query || catalog_stamp(session) != stamp)) {
        struct sql_type *settled = op_arena_alloc(op, &arena, sizeof *settled * (size_t)(param_count + 1));
        struct bind_params bound = {.count = param_count, .types = settled};
        query_release(query);
        query = NULL;
        stamp = catalog_stamp(session);
        if (!settled) {
            result = OP_FAILED;
            break;
        }
        memcpy(settled, types, sizeof *settled * (size_t)param_count);
        result = bind_statement(op, session, &arena, statement, &bound, &query);
        if (result == 0)
            result = session__snapshot(op, session);
    }
    if (result == 0)
        result = run(op, session, &arena, query, params, param_count);
    query_release(query);
    arena_free(&arena);
    return result;
}
