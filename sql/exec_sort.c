/*
 * exec_sort.c -- sorting: in memory, the first N only, or in runs on disk that are merged.
 *
 * The sort key of a row is encoded once, into bytes that compare with memcmp whatever the types, directions and places of NULLs; the
 * tuple carries it in front.  What is sorted is an array of (eight bytes of the key, tuple), so that most comparisons touch neither
 * the tuple nor memcmp; the eight bytes are taken from behind what all keys have in common.
 *
 *      all rows fit        one array
 *      LIMIT n above       the array is cut to its first n whenever it has grown to twice that; what cannot be among them any more is
 *                          not even made a tuple
 *      else                sorted runs of work_mem each; many runs are merged in rounds until one merge can hand them up
 *
 * Equal keys come in no particular order, as in PostgreSQL.
 */
#include <limits.h>
#include <string.h>

#include "sql/exec_int.h"
#include "src/base/mem.h"

/* ---- an array of tuples --------------------------------------------------------------------------- */

struct entry {
    uint64_t prefix;
    struct tuple *tuple;
};

static inline struct bytes key_of(const struct tuple *tuple)
{
    return (struct bytes){ tuple_key(tuple), tuple->key_len };
}

static int compare_keys(struct bytes a, struct bytes b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.data, b.data, len) : 0;

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static inline bool entry_less(const struct entry *a, const struct entry *b)
{
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix;
    return compare_keys(key_of(a->tuple), key_of(b->tuple)) < 0;
}

static void insertion_sort(struct entry *e, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct entry moved = e[i];
        size_t j = i;
        for (; j > 0 && entry_less(&moved, &e[j - 1]); j--)
            e[j] = e[j - 1];
        e[j] = moved;
    }
}

static void sift_down(struct entry *e, size_t root, size_t count)
{
    struct entry moved = e[root];

    for (size_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && entry_less(&e[child], &e[child + 1]))
            child++;
        if (!entry_less(&moved, &e[child]))
            break;
        e[root] = e[child];
    }
    e[root] = moved;
}

static void heap_sort(struct entry *e, size_t count)
{
    for (size_t i = count / 2; i-- > 0;)
        sift_down(e, i, count);
    for (size_t i = count; i-- > 1;) {
        struct entry top = e[0];
        e[0] = e[i];
        e[i] = top;
        sift_down(e, 0, i);
    }
}

static bool is_sorted(const struct entry *e, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (entry_less(&e[i], &e[i - 1]))
            return false;
    return true;
}

/* Quicksort around the median of three; heap sort when it degenerates [MUSSER97]. */
static void intro_sort(struct entry *e, size_t count, int depth)
{
    while (count > 24) {
        if (depth-- == 0) {
            heap_sort(e, count);
            return;
        }
        size_t mid = count / 2;
        struct entry swap;
        if (entry_less(&e[mid], &e[0]))
            swap = e[mid], e[mid] = e[0], e[0] = swap;
        if (entry_less(&e[count - 1], &e[mid])) {
            swap = e[count - 1], e[count - 1] = e[mid], e[mid] = swap;
            if (entry_less(&e[mid], &e[0]))
                swap = e[mid], e[mid] = e[0], e[0] = swap;
        }
        struct entry pivot = e[mid];
        size_t i = 0, j = count - 1;
        for (;;) {
            while (entry_less(&e[i], &pivot))
                i++;
            while (entry_less(&pivot, &e[j]))
                j--;
            if (i >= j)
                break;
            swap = e[i], e[i] = e[j], e[j] = swap;
            i++;
            j--;
        }
        size_t left = j + 1;
        if (left < count - left) {
            intro_sort(e, left, depth);
            e += left;
            count -= left;
        } else {
            intro_sort(e + left, count - left, depth);
            count = left;
        }
    }
    insertion_sort(e, count);
}

static size_t common_prefix(struct tuple *const *tuples, size_t count)
{
    struct bytes first = key_of(tuples[0]);
    size_t common = first.len;

    for (size_t i = 1; i < count && common; i++) {
        struct bytes key = key_of(tuples[i]);
        size_t len = 0;
        if (common > key.len)
            common = key.len;
        while (len < common && first.data[len] == key.data[len])
            len++;
        common = len;
    }
    return common;
}

static uint64_t prefix_at(const struct tuple *tuple, size_t offset)
{
    uint8_t bytes[8] = { 0 };
    size_t len = tuple->key_len - offset;
    uint64_t prefix;

    memcpy(bytes, tuple_key(tuple) + offset, len < 8 ? len : 8);
    memcpy(&prefix, bytes, 8);
    return __builtin_bswap64(prefix);
}

int exec__sort_tuples(struct op *op, struct tuple **tuples, size_t count)
{
    int depth = 2;

    if (count < 2)
        return OP_OK;
    struct entry *entries = op_heap_alloc(op, count * sizeof *entries);
    if (!entries)
        return OP_FAILED;
    size_t offset = common_prefix(tuples, count);
    for (size_t i = 0; i < count; i++)
        entries[i] = (struct entry){ prefix_at(tuples[i], offset), tuples[i] };
    for (size_t n = count; n > 1; n /= 2)
        depth += 2;
    if (!is_sorted(entries, count))
        intro_sort(entries, count, depth);
    for (size_t i = 0; i < count; i++)
        tuples[i] = entries[i].tuple;
    mem_free(entries);
    return OP_OK;
}

/* ---- the operator --------------------------------------------------------------------------------- */

enum { FAN_IN_MAX = 64 };

struct source {
    struct spill_run *run;
    struct tuple *head;             /* NULL: at its end */
};

struct sort_operator {
    struct operator base;
    struct program *limit, *offset;
    struct key_column *columns;
    struct tuple_shape shape;
    struct key_builder key;
    struct arena rows, spare;       /* tuples in memory; while merging, two that take turns */
    struct tuple **tuples;
    size_t count, capacity, at;
    uint64_t bound;                 /* top-N; 0: all */
    struct tuple *cutoff;           /* rows from here on are not wanted */
    struct spill_run **runs;
    size_t run_count, run_capacity;
    struct source *heap;            /* smallest head first */
    size_t heap_count;
    bool sorted;
};

static void drop_all(struct sort_operator *s)
{
    for (size_t i = 0; i < s->run_count; i++)
        spill_run_close(s->runs[i]);
    for (size_t i = 0; i < s->heap_count; i++)
        spill_run_close(s->heap[i].run);
    s->run_count = s->heap_count = 0;
    mem_free(s->runs);
    mem_free(s->heap);
    s->runs = NULL;
    s->heap = NULL;
    s->run_capacity = 0;
    if (s->capacity > 4096) {
        mem_free(s->tuples);
        s->tuples = NULL;
        s->capacity = 0;
    }
    if (s->rows.total + s->spare.total > 256 * 1024) {
        arena_free(&s->rows);
        arena_free(&s->spare);
    } else {
        arena_reset(&s->rows);
        arena_reset(&s->spare);
    }
    s->count = s->at = 0;
    s->cutoff = NULL;
    s->sorted = false;
}

static void swap_arenas(struct sort_operator *s)
{
    struct arena rows = s->rows;

    s->rows = s->spare;
    s->spare = rows;
}

static int copy_tuple(struct op *op, struct arena *arena, struct tuple **tuple)
{
    struct tuple *copy = arena_alloc(arena, exec__pad((*tuple)->size));

    if (!copy)
        return op_out_of_memory(op);
    memcpy(copy, *tuple, (*tuple)->size);
    *tuple = copy;
    return OP_OK;
}

/* Top-N: sorts, keeps the first `bound`, and moves them together. */
static int cut(struct op *op, struct sort_operator *s)
{
    if (exec__sort_tuples(op, s->tuples, s->count))
        return OP_FAILED;
    if (s->count < s->bound)
        return OP_OK;
    s->count = s->bound;
    swap_arenas(s);
    arena_reset(&s->rows);
    for (size_t i = 0; i < s->count; i++)
        if (copy_tuple(op, &s->rows, &s->tuples[i]))
            return OP_FAILED;
    arena_reset(&s->spare);
    s->cutoff = s->tuples[s->count - 1];
    return OP_OK;
}

static int open_run(struct op *op, struct sort_operator *s, struct spill_run **run)
{
    *run = NULL;
    if (s->run_count == s->run_capacity) {
        size_t capacity = s->run_capacity ? 2 * s->run_capacity : 16;
        struct spill_run **runs = mem_realloc(s->runs, capacity * sizeof *runs);
        if (!runs)
            return op_out_of_memory(op);
        s->runs = runs;
        s->run_capacity = capacity;
    }
    if (spill_run_open(op, database_spill(session_database(s->base.execution->session)), run))
        return OP_FAILED;
    s->runs[s->run_count++] = *run;
    return OP_OK;
}

static int write_run(struct op *op, struct sort_operator *s)
{
    struct spill_run *run;

    if (exec__sort_tuples(op, s->tuples, s->count) || open_run(op, s, &run))
        return OP_FAILED;
    for (size_t i = 0; i < s->count; i++)
        if (exec__tuple_write(op, run, s->tuples[i]))
            return OP_FAILED;
    s->count = 0;
    arena_reset(&s->rows);
    return spill_rewind(op, run);
}

static int add_row(struct op *op, struct sort_operator *s, const struct batch *in, int row)
{
    struct bytes key;
    bool null;

    if (exec__encode_key(op, s->columns, s->base.node->sort.count, row, &s->key, &null) || key_finish(op, &s->key, &key))
        return OP_FAILED;
    if (s->cutoff && compare_keys(key, key_of(s->cutoff)) >= 0)
        return OP_OK;
    if (s->count == s->capacity) {
        size_t capacity = s->capacity ? 2 * s->capacity : 1024;
        struct tuple **tuples = mem_realloc(s->tuples, capacity * sizeof *tuples);
        if (!tuples)
            return op_out_of_memory(op);
        s->tuples = tuples;
        s->capacity = capacity;
    }
    if (exec__tuple_make(op, &s->rows, &s->shape, in->vectors, row, 0, key, &s->tuples[s->count]))
        return OP_FAILED;
    s->count++;
    if (s->bound && s->count >= 2 * s->bound + 256)
        return cut(op, s);
    return OP_OK;
}

static int add_batch(struct op *op, struct sort_operator *s, const struct batch *in)
{
    uint64_t work_mem = s->base.execution->work_mem;

    for (int i = 0; i < s->base.node->sort.count; i++)
        s->columns[i].vector = &in->vectors[s->base.node->sort.columns[i].slot];
    for (int i = 0; i < in->selected; i++) {
        if (add_row(op, s, in, batch_row(in, i)))
            return OP_FAILED;
        if (s->rows.total + s->capacity * sizeof *s->tuples <= work_mem || s->count < 256)
            continue;
        if (s->bound && s->count > s->bound && cut(op, s))
            return OP_FAILED;
        if (s->rows.total <= work_mem)
            continue;
        s->bound = 0;           /* even the first N are too many to be kept in memory */
        s->cutoff = NULL;
        if (write_run(op, s))
            return OP_FAILED;
    }
    return OP_OK;
}

/* ---- merging -------------------------------------------------------------------------------------- */

static bool source_less(const struct source *a, const struct source *b)
{
    return compare_keys(key_of(a->head), key_of(b->head)) < 0;
}

static void heap_down(struct sort_operator *s, size_t root)
{
    struct source moved = s->heap[root];

    for (size_t child; (child = 2 * root + 1) < s->heap_count; root = child) {
        if (child + 1 < s->heap_count && source_less(&s->heap[child + 1], &s->heap[child]))
            child++;
        if (!source_less(&s->heap[child], &moved))
            break;
        s->heap[root] = s->heap[child];
    }
    s->heap[root] = moved;
}

/* Begins a merge of the first `count` runs, which it takes over. */
static int open_merge(struct op *op, struct sort_operator *s, size_t count)
{
    arena_reset(&s->rows);
    if (!s->heap && !(s->heap = mem_calloc(FAN_IN_MAX, sizeof *s->heap)))
        return op_out_of_memory(op);
    for (size_t i = 0; i < count; i++) {
        struct source *source = &s->heap[s->heap_count];
        *source = (struct source){ s->runs[i], NULL };
        s->runs[i] = NULL;
        s->heap_count++;
        if (exec__tuple_load(op, &s->rows, source->run, &source->head))
            return OP_FAILED;
        if (!source->head) {
            spill_run_close(source->run);
            s->heap_count--;
        }
    }
    s->run_count -= count;
    memmove(s->runs, s->runs + count, s->run_count * sizeof *s->runs);
    for (size_t i = s->heap_count / 2; i-- > 0;)
        heap_down(s, i);
    return OP_OK;
}

/* The smallest head, and its run goes on.  NULL at the end. */
static int merge_next(struct op *op, struct sort_operator *s, struct tuple **tuple)
{
    *tuple = NULL;
    if (s->heap_count == 0)
        return OP_OK;
    struct source *first = &s->heap[0];
    *tuple = first->head;
    if (exec__tuple_load(op, &s->rows, first->run, &first->head))
        return OP_FAILED;
    if (!first->head) {
        spill_run_close(first->run);
        *first = s->heap[--s->heap_count];
    }
    if (s->heap_count)
        heap_down(s, 0);
    return OP_OK;
}

/* What was handed out is no longer wanted: only the heads stay. */
static int merge_recycle(struct op *op, struct sort_operator *s)
{
    swap_arenas(s);
    arena_reset(&s->rows);
    for (size_t i = 0; i < s->heap_count; i++)
        if (copy_tuple(op, &s->rows, &s->heap[i].head))
            return OP_FAILED;
    return OP_OK;
}

static int merge_round(struct op *op, struct sort_operator *s, size_t fan_in)
{
    struct spill_run *run;
    struct tuple *tuple;

    if (open_merge(op, s, fan_in) || open_run(op, s, &run))
        return OP_FAILED;
    for (uint64_t n = 1;; n++) {
        if (merge_next(op, s, &tuple))
            return OP_FAILED;
        if (!tuple)
            return spill_rewind(op, run);
        if (exec__tuple_write(op, run, tuple))
            return OP_FAILED;
        if (n % BATCH_ROWS == 0 && (merge_recycle(op, s) || op_check_cancel(op)))
            return OP_FAILED;
    }
}

static int end_input(struct op *op, struct sort_operator *s)
{
    uint64_t fan_in = s->base.execution->work_mem / (256 * 1024);

    s->sorted = true;
    if (s->run_count == 0)
        return exec__sort_tuples(op, s->tuples, s->count);
    if (s->count && write_run(op, s))
        return OP_FAILED;
    fan_in = fan_in < 4 ? 4 : fan_in > FAN_IN_MAX ? FAN_IN_MAX : fan_in;
    while (s->run_count > fan_in)
        if (merge_round(op, s, fan_in))
            return OP_FAILED;
    return open_merge(op, s, s->run_count);
}

/* ---- top level ------------------------------------------------------------------------------------ */

static int count_value(struct op *op, struct sort_operator *s, struct program *program, uint64_t absent, uint64_t *value)
{
    struct datum datum;

    *value = absent;
    if (!program)
        return OP_OK;
    if (program_value(exec__env(&s->base), program, &datum))
        return OP_FAILED;
    if (!datum.null)
        *value = datum.i < 0 ? 0 : (uint64_t)datum.i;
    return OP_OK;
}

static int sort_input(struct op *op, struct sort_operator *s)
{
    uint64_t limit, offset;
    struct batch *in;

    arena_reset(&s->base.results);
    if (count_value(op, s, s->limit, UINT64_MAX, &limit) || count_value(op, s, s->offset, 0, &offset))
        return OP_FAILED;
    s->bound = limit < 1 << 20 && offset < 1 << 20 ? limit + offset : 0;
    if (exec__start(op, s->base.left))
        return OP_FAILED;
    for (;;) {
        if (exec__next(op, s->base.left, INT_MAX, &in))
            return OP_FAILED;
        if (!in)
            break;
        if (add_batch(op, s, in))
            return OP_FAILED;
    }
    exec__stop(s->base.left);
    return end_input(op, s);
}

static int sort_start(struct op *op, struct operator *o)
{
    drop_all((struct sort_operator *)o);
    return OP_OK;
}

static int sort_next(struct op *op, struct operator *o, int goal, struct batch **batch)
{
    struct sort_operator *s = (struct sort_operator *)o;
    int most = goal < BATCH_ROWS ? goal : BATCH_ROWS;

    *batch = NULL;
    if (!s->sorted && sort_input(op, s))
        return OP_FAILED;
    if (s->heap && merge_recycle(op, s))
        return OP_FAILED;
    for (int i = 0; i < o->out.columns; i++)
        o->out.vectors[i].has_nulls = false;
    o->out.selection = NULL;
    for (o->out.count = 0; o->out.count < most; o->out.count++) {
        struct tuple *tuple = NULL;
        if (s->heap) {
            if (merge_next(op, s, &tuple))
                return OP_FAILED;
        } else if (s->at < s->count) {
            tuple = s->tuples[s->at++];
        }
        if (!tuple)
            break;
        exec__tuple_read(&s->shape, tuple, o->out.vectors, o->out.count);
    }
    o->out.selected = o->out.count;
    if (o->out.count)
        *batch = &o->out;
    return OP_OK;
}

static void sort_stop(struct operator *o)
{
    drop_all((struct sort_operator *)o);
}

static void sort_free(struct operator *o)
{
    struct sort_operator *s = (struct sort_operator *)o;

    drop_all(s);
    mem_free(s->tuples);
    arena_free(&s->rows);
    arena_free(&s->spare);
    key_free(&s->key);
}

static const struct operator_methods sort_methods = { sort_start, sort_next, sort_stop, sort_free };

int exec__make_sort(struct op *op, struct execution *execution, const struct plan_node *node, struct operator **result)
{
    struct sort_operator *s;

    if (exec__new(op, execution, node, sizeof *s, &sort_methods, &s))
        return OP_FAILED;
    arena_init(&s->rows);
    arena_init(&s->spare);
    key_init(&s->key, NULL, 0);
    *result = &s->base;
    enum type_form *forms = exec__forms(op, &execution->arena, node->types, node->column_count);
    s->columns = op_arena_alloc(op, &execution->arena, (node->sort.count + 1) * sizeof *s->columns);
    if (!forms || !s->columns || batch_init(op, &execution->arena, node->column_count, forms, &s->base.out))
        return OP_FAILED;
    s->shape = (struct tuple_shape){ node->column_count, forms };
    for (int i = 0; i < node->sort.count; i++) {
        const struct sort_column *column = &node->sort.columns[i];
        s->columns[i].type = node->types[column->slot].oid;
        s->columns[i].flags = (column->descending ? KEY_DESCENDING : 0) | (column->nulls_first ? KEY_NULLS_FIRST : 0);
    }
    if (node->sort.limit && exec__compile(op, execution, node->sort.limit, &s->limit))
        return OP_FAILED;
    if (node->sort.offset && exec__compile(op, execution, node->sort.offset, &s->offset))
        return OP_FAILED;
    return OP_OK;
}
