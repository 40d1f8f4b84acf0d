/*
 * plan_rewrite.c -- equivalent queries that are easier to plan.
 */
#include "sql/plan_int.h"

static struct expr *fold(void *arg, struct op *op, const struct expr *expr, int depth)
{
    return NULL;
}

int plan__rewrite(struct op *op, struct planner *planner, struct query *query)
{
    return plan__map_query(op, planner->arena, query, 0, fold, NULL);
}
