/*
 * exec_range.c -- key ranges: from "a = $1 AND b IN (2, 3) AND c > 7" to intervals of encoded keys.
 *
 * The plan has, for each leading column of an index, a list of alternatives.  At the start of a scan their values are computed, every
 * combination becomes one half-open interval [low, high) of byte strings, and overlapping ones are merged, so that no row is
 * met twice and the rows still come in the order of the index.
 *
 *      bounds of one column behind an encoded prefix p, e(v) being the encoding of v, + the successor of a byte string:
 *          = v     [p e(v), p e(v)+)
 *          > v     from p e(v)+           >= v    from p e(v)
 *          < v     up to p e(v)           <= v    up to p e(v)+
 *          open    to the side where the NULLs stand: up to them; else to the end of p
 *
 * A descending column has its bytes inverted, so its lower bound in the key's order is the upper one in the values'.
 * A comparison with NULL is never true: the interval is empty.
 */
#include <stdlib.h>
#include <string.h>

#include "sql/exec_int.h"

int exec__ranges_make(struct op *op, struct execution *execution, const struct plan_node *node, struct key_ranges *ranges)
{
    int count = 0, at = 0;

    ranges->node = node;
    arena_init(&ranges->arena);
    key_init(&ranges->low, ranges->fixed_low, sizeof ranges->fixed_low);
    key_init(&ranges->high, ranges->fixed_high, sizeof ranges->fixed_high);
    for (int i = 0; i < node->scan.part_count; i++)
        count += 2 * node->scan.parts[i].count;
    ranges->program_count = count;
    ranges->programs = op_arena_alloc(op, &execution->arena, (count + 1) * sizeof *ranges->programs);
    ranges->values = op_arena_alloc(op, &execution->arena, (count + 1) * sizeof *ranges->values);
    if (!ranges->programs || !ranges->values)
        return OP_FAILED;
    for (int i = 0; i < node->scan.part_count; i++) {
        for (int j = 0; j < node->scan.parts[i].count; j++) {
            const struct key_interval *interval = &node->scan.parts[i].intervals[j];
            const struct expr *exprs[2] = { interval->low, interval->high };
            for (int k = 0; k < 2; k++, at++) {
                if (!exprs[k] || exprs[k]->kind == EXPR_PARAM || exprs[k]->kind == EXPR_OUTER || exprs[k]->kind == EXPR_CONST)
                    continue;
                if (exec__compile(op, execution, exprs[k], &ranges->programs[at]))
                    return OP_FAILED;
            }
        }
    }
    return OP_OK;
}

void exec__ranges_free(struct key_ranges *ranges)
{
    arena_free(&ranges->arena);
    key_free(&ranges->low);
    key_free(&ranges->high);
}

static int compute_value(struct eval_env *env, struct program *program, const struct expr *expr, struct datum *value)
{
    if (!expr)
        return OP_OK;
    switch (expr->kind) {
    case EXPR_CONST: *value = expr->value; return OP_OK;
    case EXPR_PARAM: *value = env->params[expr->slot]; return OP_OK;
    case EXPR_OUTER: *value = env->outer[expr->slot]; return OP_OK;
    default: return program_value(env, program, value);
    }
}

struct column_key {
    Oid type;
    int flags;
};

static struct column_key column_key(const struct plan_node *node, int part)
{
    const struct table_def *table = node->scan.table;
    const struct index_def *index = node->scan.index ? node->scan.index : &table->indexes[0];
    const struct index_column *column = &index->columns[part];

    return (struct column_key){ table->columns[column->column].type.oid,
                                (column->descending ? KEY_DESCENDING : 0) | (column->nulls_first ? KEY_NULLS_FIRST : 0) };
}

/* Appends the lower (in key order) end of a range that is open there, behind the prefix already in the builder. */
static bool put_open(struct key_builder *key, int flags, bool low)
{
    bool nulls_first = flags & KEY_NULLS_FIRST;

    if (low) {
        if (!nulls_first)
            return true;
        key_put_null(key, flags);
        return key_successor(key);
    }
    if (!nulls_first) {
        key_put_null(key, flags);
        return true;
    }
    return key->len == 0 ? false : key_successor(key);
}

/* LIKE 'abc%': the encoding of the prefix without its terminator. */
static int put_prefix(struct op *op, struct key_builder *key, struct column_key column, const struct datum *value)
{
    if (row_encode_datum(op, column.type, value, column.flags, key))
        return OP_FAILED;
    key->len -= 2;
    return OP_OK;
}

/* Both ends of one interval behind the prefix that stands in ranges->low and ->high.  *high_open: no upper end at all. */
static int put_interval(struct op *op, struct key_ranges *ranges, const struct key_interval *interval, struct column_key column,
                        const struct datum *values, bool *empty, bool *high_open)
{
    struct key_builder *low = &ranges->low, *high = &ranges->high;
    const struct datum *low_value = &values[0], *high_value = &values[1];
    bool has_low = interval->low, has_high = interval->high, low_inclusive = interval->low_inclusive,
         high_inclusive = interval->high_inclusive;

    *empty = *high_open = false;
    switch (interval->kind) {
    case INTERVAL_NULL:
        key_put_null(low, column.flags);
        key_put_null(high, column.flags);
        *high_open = !key_successor(high);
        return OP_OK;
    case INTERVAL_POINT:
        if ((*empty = low_value->null))
            return OP_OK;
        if (row_encode_datum(op, column.type, low_value, column.flags, low))
            return OP_FAILED;
        high->len = 0;
        key_put_raw(high, (struct bytes){ low->data, low->len });
        *high_open = !key_successor(high);
        return OP_OK;
    case INTERVAL_PREFIX:
        if ((*empty = low_value->null))
            return OP_OK;
        if (put_prefix(op, low, column, low_value) || put_prefix(op, high, column, low_value))
            return OP_FAILED;
        *high_open = !key_successor(high);
        return OP_OK;
    case INTERVAL_NOT_NULL:
        has_low = has_high = false;
        break;
    case INTERVAL_RANGE:
        break;
    }
    if ((*empty = (has_low && low_value->null) || (has_high && high_value->null)))
        return OP_OK;
    if (column.flags & KEY_DESCENDING) {
        const struct datum *value = low_value;
        bool has = has_low, inclusive = low_inclusive;
        low_value = high_value, has_low = has_high, low_inclusive = high_inclusive;
        high_value = value, has_high = has, high_inclusive = inclusive;
    }
    if (!has_low) {
        *empty = !put_open(low, column.flags, true);
    } else {
        if (row_encode_datum(op, column.type, low_value, column.flags, low))
            return OP_FAILED;
        if (!low_inclusive)
            *empty = !key_successor(low);
    }
    if (!has_high) {
        *high_open = !put_open(high, column.flags, false);
    } else {
        if (row_encode_datum(op, column.type, high_value, column.flags, high))
            return OP_FAILED;
        if (high_inclusive)
            *high_open = !key_successor(high);
    }
    return OP_OK;
}

static int compare_bytes(struct bytes a, struct bytes b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.data, b.data, len) : 0;

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_ranges(const void *a, const void *b)
{
    return compare_bytes(((const struct btree_range *)a)->low, ((const struct btree_range *)b)->low);
}

/* Sorts, and merges what overlaps or touches: but points stay apart, each being looked up by itself. */
static void merge_ranges(struct key_ranges *ranges)
{
    int kept = 0;

    qsort(ranges->ranges, ranges->count, sizeof *ranges->ranges, compare_ranges);
    for (int i = 1; i < ranges->count; i++) {
        struct btree_range *last = &ranges->ranges[kept], *range = &ranges->ranges[i];
        if (ranges->node->scan.point) {
            if (compare_bytes(last->low, range->low) != 0)
                ranges->ranges[++kept] = *range;
            continue;
        }
        if (last->high.data && compare_bytes(last->high, range->low) < 0) {
            ranges->ranges[++kept] = *range;
            continue;
        }
        if (last->high.data && (!range->high.data || compare_bytes(last->high, range->high) < 0))
            last->high = range->high;
    }
    ranges->count = kept + 1;
}

static int copy_bytes(struct op *op, struct arena *arena, const struct key_builder *key, struct bytes *out)
{
    uint8_t *copy = arena_alloc(arena, key->len + 1);

    if (!copy)
        return op_out_of_memory(op);
    if (key->len)
        memcpy(copy, key->data, key->len);
    *out = (struct bytes){ copy, key->len };
    return OP_OK;
}

/* One combination of alternatives: picked[i] is the interval of part i.  Gives no range when it is empty. */
static int put_combination(struct op *op, struct key_ranges *ranges, const int *picked, const int *first, bool *empty, bool *high_open)
{
    const struct plan_node *node = ranges->node;

    key_reset(&ranges->low);
    key_reset(&ranges->high);
    *empty = *high_open = false;
    for (int i = 0; i < node->scan.part_count; i++) {
        const struct key_interval *interval = &node->scan.parts[i].intervals[picked[i]];
        const struct datum *values = &ranges->values[first[i] + 2 * picked[i]];
        struct column_key column = column_key(node, i);
        if (i == node->scan.part_count - 1)
            return put_interval(op, ranges, interval, column, values, empty, high_open);
        if (interval->kind == INTERVAL_NULL) {
            key_put_null(&ranges->low, column.flags);
        } else if ((*empty = values[0].null)) {
            return OP_OK;
        } else if (row_encode_datum(op, column.type, &values[0], column.flags, &ranges->low)) {
            return OP_FAILED;
        }
        ranges->high.len = 0;
        key_put_raw(&ranges->high, (struct bytes){ ranges->low.data, ranges->low.len });
    }
    return OP_OK;
}

static int compute_single(struct op *op, struct key_ranges *ranges)
{
    static const int zeros[32];
    int first[32], at = 0;
    bool empty, high_open;

    for (int i = 0; i < ranges->node->scan.part_count; i++) {
        first[i] = at;
        at += 2;
    }
    if (put_combination(op, ranges, zeros, first, &empty, &high_open))
        return OP_FAILED;
    ranges->count = !empty;
    ranges->ranges = &ranges->single;
    ranges->single = (struct btree_range){ .low_inclusive = true };
    if (key_finish(op, &ranges->low, &ranges->single.low))
        return OP_FAILED;
    if (!high_open && key_finish(op, &ranges->high, &ranges->single.high))
        return OP_FAILED;
    if (!empty && !high_open && compare_bytes(ranges->single.low, ranges->single.high) >= 0)
        ranges->count = 0;
    return OP_OK;
}

static int compute_several(struct op *op, struct key_ranges *ranges, int total)
{
    const struct plan_node *node = ranges->node;
    int picked[32] = { 0 }, first[32], at = 0;

    arena_reset(&ranges->arena);
    ranges->count = 0;
    ranges->ranges = op_arena_alloc(op, &ranges->arena, total * sizeof *ranges->ranges);
    if (!ranges->ranges)
        return OP_FAILED;
    for (int i = 0; i < node->scan.part_count; i++) {
        first[i] = at;
        at += 2 * node->scan.parts[i].count;
    }
    for (int n = 0; n < total; n++) {
        bool empty, high_open;
        int rest = n;
        for (int i = node->scan.part_count - 1; i >= 0; i--) {
            picked[i] = rest % node->scan.parts[i].count;
            rest /= node->scan.parts[i].count;
        }
        if (put_combination(op, ranges, picked, first, &empty, &high_open))
            return OP_FAILED;
        struct btree_range *range = &ranges->ranges[ranges->count];
        *range = (struct btree_range){ .low_inclusive = true };
        if (empty)
            continue;
        if (copy_bytes(op, &ranges->arena, &ranges->low, &range->low)
            || (!high_open && copy_bytes(op, &ranges->arena, &ranges->high, &range->high)))
            return OP_FAILED;
        if (high_open || compare_bytes(range->low, range->high) < 0)
            ranges->count++;
    }
    if (ranges->low.failed || ranges->high.failed)
        return op_out_of_memory(op);
    if (ranges->count > 1)
        merge_ranges(ranges);
    return OP_OK;
}

int exec__ranges_compute(struct op *op, struct eval_env *env, struct key_ranges *ranges)
{
    const struct plan_node *node = ranges->node;
    int at = 0, total = 1;

    if (node->scan.part_count == 0) {
        ranges->single = (struct btree_range){ .low_inclusive = true };
        ranges->ranges = &ranges->single;
        ranges->count = 1;
        return OP_OK;
    }
    for (int i = 0; i < node->scan.part_count; i++) {
        const struct key_part *part = &node->scan.parts[i];
        total *= part->count;
        for (int j = 0; j < part->count; j++, at += 2) {
            if (compute_value(env, ranges->programs[at], part->intervals[j].low, &ranges->values[at])
                || compute_value(env, ranges->programs[at + 1], part->intervals[j].high, &ranges->values[at + 1]))
                return OP_FAILED;
        }
    }
    return total == 1 ? compute_single(op, ranges) : compute_several(op, ranges, total);
}
