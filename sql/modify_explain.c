/*
 * modify_explain.c -- EXPLAIN's lines for INSERT, UPDATE and DELETE: one of its own, and the source's plan below.
 */
#include <stdio.h>
#include <string.h>

#include "sql/modify_int.h"

struct below {
    const struct query *query;
    bool costs, analyze, timing, first;
    uint64_t elapsed_ns;
    int (*line)(void *arg, struct op *op, const char *text);
    void *arg;
};

/* " (cost=1.00..2.00" of the source's first line is this node's as well: changing rows is not estimated. */
static int own_line(struct op *op, const struct below *below, const char *source)
{
    static const char *const verbs[] = {[QUERY_INSERT] = "Insert", [QUERY_UPDATE] = "Update", [QUERY_DELETE] = "Delete"};
    const struct range_entry *target = &below->query->ranges[0];
    const char *cost = below->costs ? strstr(source, "(cost=") : NULL, *cost_end = cost ? strstr(cost, " rows=") : NULL;
    char actual[96] = "";
    bool renamed = target->alias && strcmp(target->alias, target->table->name) != 0;

    double ms = (double)below->elapsed_ns / 1e6;
    if (below->analyze && below->timing)
        snprintf(actual, sizeof actual, " (actual time=%.3f..%.3f rows=0 loops=1)", ms, ms);
    else if (below->analyze)
        snprintf(actual, sizeof actual, " (actual rows=0 loops=1)");
    const char *text = arena_printf(&op->arena, "%s on %s%s%s%s%.*s%s%s", verbs[below->query->kind], target->table->name,
                                    renamed ? " " : "", renamed ? target->alias : "", cost_end ? "  " : "",
                                    cost_end ? (int)(cost_end - cost) : 0, cost_end ? cost : "",
                                    cost_end ? " rows=0 width=0)" : "", actual);
    return text ? below->line(below->arg, op, text) : op_out_of_memory(op);
}

static int source_line(void *arg, struct op *op, const char *text)
{
    struct below *below = arg;
    if (below->first && own_line(op, below, text) != 0)
        return OP_FAILED;
    const char *indented = arena_printf(&op->arena, "%s%s", below->first ? "  ->  " : "      ", text);
    below->first = false;
    return indented ? below->line(below->arg, op, indented) : op_out_of_memory(op);
}

int modify_explain(struct op *op, const struct query *query, const struct plan *source, const struct execution *execution, bool costs,
                   bool analyze, bool timing, uint64_t elapsed_ns, int (*line)(void *arg, struct op *op, const char *text), void *arg)
{
    struct below below = {query, costs, analyze, timing, true, elapsed_ns, line, arg};
    return plan_explain(op, source, execution, costs, analyze, timing, source_line, &below);
}
