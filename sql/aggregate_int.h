/* aggregate_int.h -- steps and results of aggregates, for aggregate*.c. */
#ifndef ISOLDE_SQL_AGGREGATE_INT_H
#define ISOLDE_SQL_AGGREGATE_INT_H

#include "sql/func_int.h"
#include "sql/interval.h"
#include "sql/numeric.h"

#define AGGREGATE_STEP(name)                                                                                           \
    int name(struct eval_env *env, const struct aggregate *aggregate, struct arena *arena,                            \
             const struct vector *const *args, int selected, const uint16_t *selection, void *const *states)
#define AGGREGATE_FINISH(name)                                                                                         \
    int name(struct eval_env *env, const struct aggregate *aggregate, const void *state, struct datum *result)

/* Whether all rows belong to one group: then the loop can keep the state in registers. */
static inline bool aggregate__single(void *const *states, int selected)
{
    if (selected == 0 || states[0] != states[selected - 1] || states[0] != states[selected / 2])
        return false;
    uintptr_t different = 0;
    for (int i = 0; i < selected; i++)
        different |= (uintptr_t)states[i] ^ (uintptr_t)states[0];
    return different == 0;
}

static inline int aggregate__row(const struct vector *arg, const uint16_t *selection, int i)
{
    return arg->constant ? 0 : selection ? selection[i] : i;
}

/* Neither nulls, nor a selection, nor a constant: entries 0 .. selected - 1 as they stand. */
static inline bool aggregate__dense(const struct vector *arg, const uint16_t *selection)
{
    return !arg->has_nulls && !selection && !arg->constant;
}

/* aggregate_sum.c */
struct aggregate_int_sum { uint64_t low; int64_t high, count; };        /* 128 bits in two halves */
struct aggregate_double_sum { double sum; int64_t count; bool infinite; };
AGGREGATE_STEP(aggregate__int_sum_step);
AGGREGATE_FINISH(aggregate__int_sum_finish);            /* sum of smallint, integer: bigint */
AGGREGATE_FINISH(aggregate__int_sum_numeric_finish);    /* sum of bigint */
AGGREGATE_FINISH(aggregate__int_average_finish);
AGGREGATE_STEP(aggregate__double_sum_step);
AGGREGATE_STEP(aggregate__float_sum_step);
AGGREGATE_FINISH(aggregate__double_sum_finish);
AGGREGATE_FINISH(aggregate__double_average_finish);
AGGREGATE_STEP(aggregate__numeric_sum_step);
AGGREGATE_FINISH(aggregate__numeric_sum_finish);
AGGREGATE_FINISH(aggregate__numeric_average_finish);

/* aggregate_extreme.c: detail is 1 for max, -1 for min */
struct aggregate_int_extreme { int64_t value; bool any; };
struct aggregate_double_extreme { double value; bool any; };
struct aggregate_bytes_extreme { uint8_t *data; size_t len, room; bool any; };
AGGREGATE_STEP(aggregate__int_extreme_step);
AGGREGATE_FINISH(aggregate__int_extreme_finish);
AGGREGATE_STEP(aggregate__double_extreme_step);
AGGREGATE_FINISH(aggregate__double_extreme_finish);
AGGREGATE_STEP(aggregate__bytes_extreme_step);
AGGREGATE_FINISH(aggregate__bytes_extreme_finish);

/* aggregate_stats.c */
enum { STATS_SAMPLE = 1, STATS_ROOT = 2 };      /* detail: over count - 1 instead of count; the root of it */
struct aggregate_double_stats { double count, sum, squares; };     /* squares: of the differences from the mean */
struct aggregate_numeric_stats { struct numeric_sum sum, squares; };
AGGREGATE_STEP(aggregate__double_stats_step);
AGGREGATE_FINISH(aggregate__double_stats_finish);
AGGREGATE_STEP(aggregate__int_stats_step);
AGGREGATE_STEP(aggregate__numeric_stats_step);
AGGREGATE_FINISH(aggregate__numeric_stats_finish);

enum aggregate_pair { PAIR_SXX, PAIR_SYY, PAIR_SXY, PAIR_AVGX, PAIR_AVGY, PAIR_COVAR_POP, PAIR_COVAR_SAMP, PAIR_CORR, PAIR_R2, PAIR_SLOPE,
                      PAIR_INTERCEPT };          /* detail */
struct aggregate_pair_stats { double count, sum_x, sum_y, xx, yy, xy; };
AGGREGATE_STEP(aggregate__pair_step);
AGGREGATE_FINISH(aggregate__pair_finish);
AGGREGATE_FINISH(aggregate__pair_count_finish);

struct aggregate_bits { int64_t value; bool any; };
AGGREGATE_STEP(aggregate__bits_step);
AGGREGATE_FINISH(aggregate__bits_finish);

/* aggregate_interval.c */
struct aggregate_interval_sum { struct interval total; int64_t count; };
AGGREGATE_STEP(aggregate__interval_sum_step);
AGGREGATE_FINISH(aggregate__interval_sum_finish);
AGGREGATE_FINISH(aggregate__interval_average_finish);

#endif
