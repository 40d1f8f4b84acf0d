/*
 * footprint.c -- does what somebody writes make a difference to what a scan has read?
 *
 * The planner has said what the scan reads (plan_footprint.c): a condition on single rows, and some of their columns.  Here both are compiled
 * once per execution, and from then on every record of a read by it carries a predicate: the compiled form, shared, and the values that
 * parameters and outer rows had.  It is tested on the row before and after a change:
 *
 *      condition    before   after
 *                     no       no       nothing to do with the reader
 *                     no       yes      the row comes, or            conflict
 *                     yes      no       goes                         conflict
 *                     yes      yes      conflict if a column that was read has changed
 *
 * A join narrows it further: of the one side only those rows count whose join columns have values that the other side supplied.  They are
 * a set that goes with the predicate, up to a thousand of them.
 *
 * The writer's thread tests rows as it has them, decoded; the reader's thread tests versions that it does not see, as records.
 *
 * The compiled condition, a program, can be run by one thread at a time: a mutex sees to that.  It owns all that it uses, so that it may be
 * tested long after the statement, its plan and even its table are gone.
 *
 * W1  A test that fails for whatever reason says yes; a condition that is null says no.
 * W2  Columns are known by attribute number: the writer's definition of the table may be a newer one.  One that it does not have any more
 *     makes the answer yes.
 */
#include "sql/footprint.h"

#include <stdio.h>
#include <string.h>

#include "sql/exec_int.h"
#include "src/base/hash.h"
#include "src/base/mem.h"
#include "src/base/planted.h"

enum { BEFORE, AFTER };
enum { STATEMENT_BYTES_MAX = 300 };

struct footprint {
    atomic_uint references;         /* of the execution, and one of each predicate */
    struct os_mutex mutex;          /* RANK_SSI_PREDICATE; guards what a test changes */
    struct arena arena;             /* all that follows */
    int count;                      /* columns that the condition or the reader wants */
    int *numbers;                   /* their attribute numbers */
    Oid *types;
    bool *read;
    const char **names;             /* of the columns, of the table, and the statement's text: for describe */
    const char *table, *statement;
    struct row_reader *reader;      /* of the table's records; NULL once the execution is gone */
    struct expr *condition;         /* over the columns wanted; NULL: every row satisfies it */
    struct program *program;        /* of the condition, made by the first test, as most are never tested; mutex */
    int param_count, cell_count;    /* the highest of each that it uses */
    Oid *value_types;               /* of parameters, then cells; 0: not used */
    int key_count;                  /* a join's restriction */
    struct key_column *key_columns; /* of `rows` */
    struct reading *last;           /* the newest predicate: the execution's thread; a reference */
    struct op op;                   /* of tests; mutex */
    struct batch rows;              /* the row before and after; mutex */
    uint16_t *selection;
};

struct reading {
    struct txn_predicate predicate;     /* first */
    struct footprint *footprint;
    struct footprint_keys *keys;    /* own; NULL: no restriction */
    struct datum values[];          /* parameters, then cells, with all that they point to behind them */
};

/* ---- what a join supplies --------------------------------------------------------------------------- */

struct footprint_keys {
    struct arena arena;
    int count;
    bool full;
    struct supplied { struct supplied *next; struct bytes key; } *buckets[256];
};

struct footprint_keys *footprint_keys_make(struct op *op)
{
    struct footprint_keys *keys = mem_calloc(1, sizeof *keys);

    if (!keys)
        op_out_of_memory(op);
    else
        arena_init(&keys->arena);
    return keys;
}

static struct supplied **bucket_of(struct footprint_keys *keys, struct bytes key)
{
    return &keys->buckets[hash_bytes(key.data, key.len, 0) % COUNT_OF(keys->buckets)];
}

static bool is_supplied(struct footprint_keys *keys, struct bytes key)
{
    const struct supplied *supplied = *bucket_of(keys, key);

    while (supplied && (supplied->key.len != key.len || memcmp(supplied->key.data, key.data, key.len) != 0))
        supplied = supplied->next;
    return supplied;
}

int footprint_keys_add(struct op *op, struct footprint_keys *keys, struct bytes key)
{
    if (keys->full || is_supplied(keys, key))
        return OP_OK;
    if (keys->count == FOOTPRINT_KEYS_MAX) {
        keys->full = true;
        return OP_OK;
    }
    struct supplied *supplied = op_arena_alloc(op, &keys->arena, sizeof *supplied + key.len);
    if (!supplied)
        return OP_FAILED;
    supplied->key = (struct bytes){ (uint8_t *)(supplied + 1), key.len };
    memcpy(supplied + 1, key.data, key.len);
    supplied->next = *bucket_of(keys, key);
    *bucket_of(keys, key) = supplied;
    keys->count++;
    return OP_OK;
}

bool footprint_keys_full(const struct footprint_keys *keys)
{
    return keys->full;
}

void footprint_keys_free(struct footprint_keys *keys)
{
    if (!keys)
        return;
    arena_free(&keys->arena);
    mem_free(keys);
}

/* ---- testing -------------------------------------------------------------------------------------- */

static bool same_datum(enum type_form form, const struct datum *a, const struct datum *b)
{
    if (a->null || b->null)
        return a->null == b->null;
    switch (form) {
    case FORM_BOOL: return a->b == b->b;
    case FORM_INT64: return a->i == b->i;
    case FORM_DOUBLE: return memcmp(&a->d, &b->d, sizeof a->d) == 0;
    default: return a->s.len == b->s.len && (a->s.len == 0 || memcmp(a->s.data, b->s.data, a->s.len) == 0);
    }
}

static bool column_changed(const struct footprint *footprint)
{
    for (int i = 0; i < footprint->count; i++) {
        struct datum before, after;
        if (!footprint->read[i] || PLANTED("ssi-columns-ignored"))
            continue;
        vector_get(&footprint->rows.vectors[i], BEFORE, &before);
        vector_get(&footprint->rows.vectors[i], AFTER, &after);
        if (!same_datum(type_form(footprint->types[i]), &before, &after))
            return true;
    }
    return false;
}

/* Both rows are in the batch, if they are there at all: those of the selection that satisfy the condition stay. */
static int satisfy(struct footprint *footprint, const struct reading *reading, bool *was, bool *is)
{
    struct batch *rows = &footprint->rows;
    struct eval_env env = {
        .op = &footprint->op, .arena = &footprint->op.arena, .params = reading->values,
        .outer = (struct datum *)reading->values + footprint->param_count,
    };
    uint16_t selection[2];

    if (!footprint->condition)
        return OP_OK;
    if (!footprint->program && program_compile(&footprint->op, &footprint->arena, footprint->condition, NULL, &footprint->program))
        return OP_FAILED;
    rows->count = 2;
    rows->selected = 0;
    if (*was)
        selection[rows->selected++] = BEFORE;
    if (*is)
        selection[rows->selected++] = AFTER;
    rows->selection = selection;
    if (program_filter(&env, footprint->program, rows, footprint->selection))
        return OP_FAILED;
    *was = *is = false;
    for (int i = 0; i < rows->selected; i++)
        *(batch_row(rows, i) == BEFORE ? was : is) = true;
    return OP_OK;
}

/* A null joins with nothing. */
static int joins(struct footprint *footprint, const struct reading *reading, int row, bool *present)
{
    uint8_t fixed[256];
    struct key_builder builder;
    struct bytes key;
    bool null;

    if (!*present || !reading->keys || reading->keys->full)
        return OP_OK;
    key_init(&builder, fixed, sizeof fixed);
    int result = exec__encode_key(&footprint->op, footprint->key_columns, footprint->key_count, row, &builder, &null)
        || key_finish(&footprint->op, &builder, &key) ? OP_FAILED : OP_OK;
    if (result == OP_OK)
        *present = !null && is_supplied(reading->keys, key);
    key_free(&builder);
    return result;
}

static bool test(struct footprint *footprint, const struct reading *reading, bool was, bool is)
{
    if (satisfy(footprint, reading, &was, &is) || joins(footprint, reading, BEFORE, &was) || joins(footprint, reading, AFTER, &is))
        return true;
    if (PLANTED("ssi-one-image"))
        was = is;
    return was != is || (was && column_changed(footprint));
}

/* False when the table has lost a column of it. */
static bool take_row(struct footprint *footprint, const struct table_def *table, const struct datum *values, int row)
{
    for (int i = 0; i < footprint->count; i++) {
        int column = catalog_column(table, footprint->numbers[i]);
        if (column < 0 || table->columns[column].type.oid != footprint->types[i])
            return false;
        vector_set(&footprint->rows.vectors[i], row, &values[column]);
    }
    return true;
}

static void clear_rows(struct footprint *footprint)
{
    for (int i = 0; i < footprint->count; i++) {
        struct vector *vector = &footprint->rows.vectors[i];
        vector->has_nulls = true;       /* room for two rows is all that it has */
        memset(vector->nulls, 0, 2);
    }
    op_reset(&footprint->op);
}

static bool matters(struct txn_predicate *predicate, const struct txn_change *change)
{
    const struct reading *reading = (const struct reading *)predicate;
    struct footprint *footprint = reading->footprint;
    const struct footprint_row *row = change->row;

    if (!row)
        return change->was || change->is;
    bool was = change->was && row->before, is = change->is && row->after, result = true;
    os_mutex_lock(&footprint->mutex);
    clear_rows(footprint);
    if ((!was || take_row(footprint, row->table, row->before, BEFORE)) && (!is || take_row(footprint, row->table, row->after, AFTER)))
        result = test(footprint, reading, was, is);
    os_mutex_unlock(&footprint->mutex);
    return result;
}

int footprint_judge(struct op *op, struct footprint *footprint, struct bytes key, const struct bytes *before, const struct bytes *after,
                    bool *result)
{
    int rc = OP_OK;

    *result = true;
    os_mutex_lock(&footprint->mutex);
    clear_rows(footprint);
    struct arena *arena = &footprint->op.arena;
    if (before)
        rc = row_decode(op, footprint->reader, key, *before, arena, footprint->rows.vectors, BEFORE);
    if (rc == OP_OK && after)
        rc = row_decode(op, footprint->reader, key, *after, arena, footprint->rows.vectors, AFTER);
    if (rc == OP_OK)
        *result = test(footprint, footprint->last, before, after);
    os_mutex_unlock(&footprint->mutex);
    return rc;
}

/* ---- in words --------------------------------------------------------------------------------------- */

static const char *column_name(void *arg, const struct expr *column)
{
    const struct footprint *footprint = arg;

    return column->kind == EXPR_SLOT ? footprint->names[column->slot] : "?";
}

/* " ($1 = 3)" */
static size_t add_params(struct footprint *footprint, const struct reading *reading, char *text, size_t size)
{
    size_t used = 0;

    for (int i = 0; i < footprint->param_count; i++) {
        struct bytes printed = { (const uint8_t *)"null", 4 };
        const struct datum *value = &reading->values[i];
        if (!footprint->value_types[i]
            || (!value->null && type_print(&footprint->op, (struct sql_type){ footprint->value_types[i], -1 }, value,
                                           &footprint->op.arena, &printed)))
            continue;
        int len = snprintf(text + used, size - used, "%s$%d = %.*s", used ? ", " : " with ", i + 1,
                           printed.len < 60 ? (int)printed.len : 60, (const char *)printed.data);
        used = len < 0 || used + (size_t)len >= size ? size - 1 : used + (size_t)len;
    }
    return used;
}

static int describe(struct txn_predicate *predicate, char *text, size_t size)
{
    struct reading *reading = (struct reading *)predicate;
    struct footprint *footprint = reading->footprint;
    const char *condition = NULL;

    os_mutex_lock(&footprint->mutex);
    op_reset(&footprint->op);
    if (footprint->condition)
        condition = expr_print(&footprint->op, &footprint->op.arena, footprint->condition, column_name, footprint);
    int len = snprintf(text, size, "%s%s%s", footprint->table, condition ? " WHERE " : "", condition ? condition : "");
    size_t used = len < 0 ? 0 : (size_t)len < size ? (size_t)len : size - 1;
    used += add_params(footprint, reading, text + used, size - used);
    len = snprintf(text + used, size - used, "%s, by: %s", reading->keys ? " for keys of a join" : "", footprint->statement);
    os_mutex_unlock(&footprint->mutex);
    return (int)used + len;
}

/* ---- predicates ----------------------------------------------------------------------------------- */

static void drop(struct footprint *footprint)
{
    if (atomic_fetch_sub_explicit(&footprint->references, 1, memory_order_acq_rel) != 1)
        return;
    os_mutex_destroy(&footprint->mutex);
    op_end(&footprint->op);
    arena_free(&footprint->arena);
    mem_free(footprint);
}

static void free_reading(struct txn_predicate *predicate)
{
    struct reading *reading = (struct reading *)predicate;
    struct footprint *footprint = reading->footprint;

    footprint_keys_free(reading->keys);
    mem_free(reading);
    drop(footprint);
}

static int value_count(const struct footprint *footprint)
{
    return footprint->param_count + footprint->cell_count;
}

static const struct datum *value_now(const struct footprint *footprint, const struct eval_env *env, int i)
{
    return i < footprint->param_count ? &env->params[i] : &env->outer[i - footprint->param_count];
}

static bool is_pointed(const struct footprint *footprint, int i, const struct datum *value)
{
    return footprint->value_types[i] && !value->null && type_form(footprint->value_types[i]) == FORM_BYTES;
}

static bool still_the_same(const struct footprint *footprint, const struct eval_env *env)
{
    if (!footprint->last || footprint->last->keys)
        return false;
    for (int i = 0; i < value_count(footprint); i++)
        if (footprint->value_types[i]
            && !same_datum(type_form(footprint->value_types[i]), value_now(footprint, env, i), &footprint->last->values[i]))
            return false;
    return true;
}

/* Values with all that they point to, in one piece. */
static struct reading *copy_values(const struct footprint *footprint, const struct eval_env *env)
{
    int count = value_count(footprint);
    size_t bytes = sizeof(struct reading) + (size_t)count * sizeof(struct datum), at = bytes;

    for (int i = 0; i < count; i++)
        if (is_pointed(footprint, i, value_now(footprint, env, i)))
            bytes += value_now(footprint, env, i)->s.len;
    struct reading *reading = mem_calloc(1, bytes);
    for (int i = 0; reading && i < count; i++) {
        if (!footprint->value_types[i])
            continue;
        const struct datum *value = value_now(footprint, env, i);
        reading->values[i] = *value;
        if (is_pointed(footprint, i, value)) {
            reading->values[i].s.data = (uint8_t *)reading + at;
            if (value->s.len)
                memcpy((uint8_t *)reading + at, value->s.data, value->s.len);
            at += value->s.len;
        }
    }
    return reading;
}

int footprint_predicate(struct op *op, struct footprint *footprint, const struct eval_env *env, struct footprint_keys *keys,
                        struct txn_predicate **predicate)
{
    *predicate = NULL;
    if (keys || !still_the_same(footprint, env)) {
        struct reading *reading = copy_values(footprint, env);
        if (!reading) {
            footprint_keys_free(keys);
            return op_out_of_memory(op);
        }
        reading->keys = keys;
        reading->predicate = (struct txn_predicate){
            .references = 1, .matters = matters, .describe = describe, .free = free_reading
        };
        reading->footprint = footprint;
        atomic_fetch_add_explicit(&footprint->references, 1, memory_order_relaxed);
        if (footprint->last)
            txn_predicate_release(&footprint->last->predicate);
        footprint->last = reading;
    }
    *predicate = &footprint->last->predicate;
    return OP_OK;
}

/* ---- making --------------------------------------------------------------------------------------- */

struct collector {
    struct footprint *footprint;
    const struct table_def *table;
    int *slots;                     /* per column of the table: where it is among those wanted; -1 */
};

static int slot_of(struct collector *c, int column)
{
    struct footprint *footprint = c->footprint;

    if (c->slots[column] < 0) {
        c->slots[column] = footprint->count;
        footprint->numbers[footprint->count] = c->table->columns[column].number;
        footprint->types[footprint->count++] = c->table->columns[column].type.oid;
    }
    return c->slots[column];
}

static void note_value(struct footprint *footprint, const struct expr *expr)
{
    int *count = expr->kind == EXPR_PARAM ? &footprint->param_count : &footprint->cell_count;

    if (*count <= expr->slot)
        *count = expr->slot + 1;
}

static struct expr *column_to_slot(void *arg, struct op *op, const struct expr *expr)
{
    struct collector *c = arg;

    if (expr->kind == EXPR_PARAM || expr->kind == EXPR_OUTER)
        note_value(c->footprint, expr);
    if (expr->kind != EXPR_COLUMN)
        return NULL;
    struct expr *slot = op_arena_alloc(op, &c->footprint->arena, sizeof *slot);
    if (slot) {
        *slot = *expr;
        slot->kind = EXPR_SLOT;
        slot->slot = slot_of(c, expr->column);
    }
    return slot;
}

static bool note_type(void *arg, const struct expr *expr)
{
    struct footprint *footprint = arg;

    if (expr->kind == EXPR_PARAM)
        footprint->value_types[expr->slot] = expr->type.oid;
    else if (expr->kind == EXPR_OUTER)
        footprint->value_types[footprint->param_count + expr->slot] = expr->type.oid;
    return true;
}

static int make_condition(struct op *op, struct footprint *footprint, struct collector *c, const struct footprint_plan *plan)
{
    struct arena *arena = &footprint->arena;

    for (int i = 0; i < plan->condition_count; i++) {
        struct expr *copy = expr_copy(op, arena, plan->conditions[i], column_to_slot, c);
        if (!copy || !(footprint->condition = plan__and(op, arena, footprint->condition, copy)))
            return OP_FAILED;
    }
    footprint->value_types = op_arena_alloc(op, arena, ((size_t)value_count(footprint) + 1) * sizeof(Oid));
    if (!footprint->value_types)
        return OP_FAILED;
    if (footprint->condition)
        expr_walk(footprint->condition, note_type, footprint);
    return OP_OK;
}

/* Room for two rows. */
static int make_rows(struct op *op, struct footprint *footprint)
{
    struct batch *rows = &footprint->rows;

    rows->columns = footprint->count;
    rows->vectors = op_arena_alloc(op, &footprint->arena, ((size_t)footprint->count + 1) * sizeof *rows->vectors);
    footprint->selection = op_arena_alloc(op, &footprint->arena, 2 * sizeof *footprint->selection);
    if (!rows->vectors || !footprint->selection)
        return OP_FAILED;
    for (int i = 0; i < footprint->count; i++)
        if (vector_init_rows(op, &footprint->arena, type_form(footprint->types[i]), 2, &rows->vectors[i]))
            return OP_FAILED;
    return OP_OK;
}

static int make_keys(struct op *op, struct footprint *footprint, const struct collector *c,
                     const struct footprint_restriction *restriction)
{
    footprint->key_count = restriction->count;
    footprint->key_columns = op_arena_alloc(op, &footprint->arena, ((size_t)restriction->count + 1) * sizeof *footprint->key_columns);
    if (!footprint->key_columns)
        return OP_FAILED;
    for (int i = 0; i < restriction->count; i++)
        footprint->key_columns[i] = (struct key_column){
            .type = restriction->types[i], .vector = &footprint->rows.vectors[c->slots[restriction->columns[i]]]
        };
    return OP_OK;
}

static int make(struct op *op, struct footprint *footprint, const struct plan_node *scan,
                const struct footprint_restriction *restriction)
{
    const struct table_def *table = scan->scan.table;
    const struct footprint_plan *plan = scan->scan.footprint;
    struct arena *arena = &footprint->arena;
    size_t columns = (size_t)table->column_count + 1;
    struct collector c = { footprint, table, op_alloc(op, columns * sizeof(int)) };
    int *wanted = op_arena_alloc(op, arena, columns * sizeof *wanted);

    footprint->numbers = op_arena_alloc(op, arena, columns * sizeof *footprint->numbers);
    footprint->types = op_arena_alloc(op, arena, columns * sizeof *footprint->types);
    footprint->read = op_arena_alloc(op, arena, columns * sizeof *footprint->read);
    if (!c.slots || !wanted || !footprint->numbers || !footprint->types || !footprint->read)
        return OP_FAILED;
    for (int i = 0; i < table->column_count; i++)
        c.slots[i] = -1;
    for (int i = 0; i < table->column_count; i++)
        if (plan->read[i / 64] >> i % 64 & 1)
            footprint->read[slot_of(&c, i)] = true;
    for (int i = 0; i < restriction->count; i++)
        slot_of(&c, restriction->columns[i]);
    if (make_condition(op, footprint, &c, plan) || make_rows(op, footprint) || make_keys(op, footprint, &c, restriction))
        return OP_FAILED;
    for (int i = 0; i < table->column_count; i++)
        if (c.slots[i] >= 0)
            wanted[c.slots[i]] = i;
    return row_reader_make(op, arena, table, NULL, wanted, footprint->count, &footprint->reader);
}

static const char *keep_text(struct op *op, struct arena *arena, const void *text, size_t len)
{
    char *copy = op_arena_alloc(op, arena, len + 1);

    if (copy && len)
        memcpy(copy, text, len);
    return copy;
}

static int make_words(struct op *op, struct footprint *footprint, const struct plan_node *scan, struct bytes statement)
{
    const struct table_def *table = scan->scan.table;
    struct arena *arena = &footprint->arena;

    footprint->names = op_arena_alloc(op, arena, ((size_t)footprint->count + 1) * sizeof *footprint->names);
    footprint->table = keep_text(op, arena, table->name, strlen(table->name));
    footprint->statement = keep_text(op, arena, statement.data, statement.len < STATEMENT_BYTES_MAX ? statement.len : STATEMENT_BYTES_MAX);
    if (!footprint->names || !footprint->table || !footprint->statement)
        return OP_FAILED;
    for (int i = 0; i < footprint->count; i++) {
        const char *name = table->columns[catalog_column(table, footprint->numbers[i])].name;
        if (!(footprint->names[i] = keep_text(op, arena, name, strlen(name))))
            return OP_FAILED;
    }
    return OP_OK;
}

int footprint_make(struct op *op, const struct plan_node *scan, const struct footprint_restriction *restriction,
                   struct bytes statement, struct footprint **result)
{
    struct footprint *footprint = mem_calloc(1, sizeof *footprint);

    *result = NULL;
    if (!footprint)
        return op_out_of_memory(op);
    atomic_init(&footprint->references, 1);
    os_mutex_init(&footprint->mutex, RANK_SSI_PREDICATE);
    arena_init(&footprint->arena);
    op_init(&footprint->op);
    if (make(op, footprint, scan, restriction) || make_words(op, footprint, scan, statement)) {
        footprint_release(footprint);
        return OP_FAILED;
    }
    *result = footprint;
    return OP_OK;
}

void footprint_release(struct footprint *footprint)
{
    if (!footprint)
        return;
    struct reading *last = footprint->last;
    footprint->last = NULL;
    if (last)
        txn_predicate_release(&last->predicate);
    drop(footprint);
}
