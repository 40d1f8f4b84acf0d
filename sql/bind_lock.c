/*
 * bind_lock.c -- FOR UPDATE, FOR NO KEY UPDATE, FOR SHARE, FOR KEY SHARE: which tables of FROM they mean.
 *
 * Without OF they mean every table, also those inside of sub-selects in FROM, and pass over functions and VALUES; with OF only what is
 * named, which must be such as can be locked.  Of several clauses for one table the strongest lock counts, and NOWAIT before SKIP LOCKED.
 * What makes one row of several, or none of a table's, has no rows to lock: DISTINCT, GROUP BY, aggregates, UNION.
 */
#include <string.h>

#include "sql/bind_int.h"

static const char *clause_name(enum txn_row_lock mode)
{
    static const char *const names[] = {
        [TXN_FOR_KEY_SHARE] = "FOR KEY SHARE", [TXN_FOR_SHARE] = "FOR SHARE", [TXN_FOR_NO_KEY_UPDATE] = "FOR NO KEY UPDATE",
        [TXN_FOR_UPDATE] = "FOR UPDATE",
    };
    return names[mode];
}

static bool returns_sets(const struct query *query)
{
    for (int i = 0; i < query->target_count; i++)
        if (expr_contains(query->targets[i].expr, EXPR_SERIES))
            return true;
    return false;
}

static int check_rows(struct binder *b, const struct query *query, const struct ast_locking *clause)
{
    const char *with = query->set != SET_NONE ? "UNION/INTERSECT/EXCEPT" : query->distinct ? "DISTINCT clause"
        : query->group_count ? "GROUP BY clause" : query->having ? "HAVING clause" : query->grouped ? "aggregate functions"
        : returns_sets(query) ? "set-returning functions in the target list" : NULL;

    return !with ? OP_OK : op_fail_at(b->op, clause->position, "0A000", "%s is not allowed with %s", clause_name(clause->mode), with);
}

static int note_table(struct binder *b, Oid oid)
{
    if (!bind__grow(b, &b->locked, b->locked_count, &b->locked_capacity, sizeof(*b->locked)))
        return OP_FAILED;
    b->locked[b->locked_count++] = oid;
    return OP_OK;
}

static int add_mark(struct binder *b, struct query *query, int range, const struct ast_locking *clause)
{
    for (int i = 0; i < query->mark_count; i++) {
        struct row_mark *mark = &query->marks[i];
        if (mark->range == range) {
            mark->mode = clause->mode > mark->mode ? clause->mode : mark->mode;
            mark->wait = clause->wait > mark->wait ? clause->wait : mark->wait;
            return OP_OK;
        }
    }
    if (!query->marks && !(query->marks = bind__alloc(b, (size_t)(query->range_count + 1) * sizeof(*query->marks))))
        return OP_FAILED;
    query->marks[query->mark_count++] = (struct row_mark){ range, clause->mode, clause->wait };
    return OP_OK;
}

static int lock_all(struct binder *b, struct query *query, const struct ast_locking *clause);

static int lock_range(struct binder *b, struct query *query, int range, const struct ast_locking *clause)
{
    const struct range_entry *entry = &query->ranges[range];

    if (add_mark(b, query, range, clause))
        return OP_FAILED;
    if (entry->kind == RANGE_SUBQUERY)
        return lock_all(b, entry->subquery, clause);
    if (entry->table->system)
        return op_fail_at(b->op, clause->position, "42501", "permission denied: \"%s\" is a system catalog", entry->table->name);
    return note_table(b, entry->table->oid);
}

static bool lockable(const struct range_entry *entry)
{
    return entry->kind == RANGE_TABLE || entry->kind == RANGE_SUBQUERY;
}

static int lock_all(struct binder *b, struct query *query, const struct ast_locking *clause)
{
    if (check_rows(b, query, clause))
        return OP_FAILED;
    for (int i = 0; i < query->range_count; i++)
        if (lockable(&query->ranges[i]) && lock_range(b, query, i, clause))
            return OP_FAILED;
    return OP_OK;
}

static int lock_named(struct binder *b, struct query *query, const struct ast_name *name, const struct ast_locking *clause)
{
    if (name->schema)
        return op_fail_at(b->op, name->position, "42601", "%s must specify unqualified relation names", clause_name(clause->mode));
    for (int i = 0; i < query->range_count; i++) {
        const struct range_entry *entry = &query->ranges[i];
        if (!entry->alias || strcmp(entry->alias, name->name) != 0)
            continue;
        if (!lockable(entry))
            return op_fail_at(b->op, name->position, "0A000", "%s cannot be applied to %s", clause_name(clause->mode),
                              entry->kind == RANGE_FUNCTION ? "a function" : "VALUES");
        return lock_range(b, query, i, clause);
    }
    return op_fail_at(b->op, name->position, "42P01", "relation \"%s\" in %s clause not found in FROM clause", name->name,
                      clause_name(clause->mode));
}

int bind__locking(struct binder *b, const struct ast_select *ast)
{
    struct query *query = b->scope->query;

    if (ast->locking && ast->kind == AST_SELECT_VALUES)
        return op_fail_at(b->op, ast->locking->position, "0A000", "%s cannot be applied to VALUES", clause_name(ast->locking->mode));
    for (const struct ast_locking *clause = ast->locking; clause; clause = clause->next) {
        if (!clause->tables ? lock_all(b, query, clause) : check_rows(b, query, clause))
            return OP_FAILED;
        for (const struct ast_name *name = clause->tables; name; name = name->next)
            if (lock_named(b, query, name, clause))
                return OP_FAILED;
        b->is_volatile = true;
        if (!b->locking && !(b->locking = arena_printf(b->arena, "SELECT %s", clause_name(clause->mode))))
            return op_out_of_memory(b->op);
    }
    return OP_OK;
}
