/*
 * random.c -- a program that writes a script of random statements, for tests/sql/random_run.
 *
 *      random SEED COUNT
 *
 * The same seed gives the same script.  It makes four tables of random columns, keys and indexes, then asks COUNT things of them:
 * mostly SELECT of every shape, sometimes a change, an index, a transaction.  Each is preceded by a line that tells the runner
 * how to compare what follows (N is the number of the item):
 *
 *      #N set      the rows in any order
 *      #N list     the rows in this order: ORDER BY named every column
 *      #N whole    a query without WHERE; the next item of the same number is
 *      #N parts    the same query three times, WHERE p, WHERE NOT p and WHERE (p) IS NULL: together the same rows
 *
 * PostgreSQL is asked too, so an answer must follow from the statement alone:
 *
 * R1  What may fail (casts of texts, division by zero, overflow) stands in statements of one row; elsewhere the order
 *     of evaluation, which is the planner's, would decide whether it does.
 * R2  Where equal values may print differently (1.0 and 1.00, 0 and -0), none of them may be chosen for all: DISTINCT, UNION and the like,
 *     min, max and ORDER BY with LIMIT get values of one scale ("plain").
 * R3  Sums of floating-point numbers are over multiples of 1/4, which are exact in any order.
 * R4  Primary and unique keys are updated one row at a time: whether several at once pass depends on the order of the rows.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/rng.h"

enum kind { KIND_BOOL, KIND_INT, KIND_NUM, KIND_FLOAT, KIND_TEXT, KIND_DATE, KIND_STAMP, KIND_COUNT };
enum { TABLES = 4, COLUMNS_MAX = 7, SOURCES_MAX = 8, DEPTH = 3, BIG = 3 };

struct column {
    char name[16];
    enum kind kind;
    const char *type;
};

struct table {
    char name[16];
    int count, key_count;               /* the key is the first key_count columns */
    struct column columns[COLUMNS_MAX];
};

struct scope {
    int count;
    struct table sources[SOURCES_MAX];  /* named by their alias */
    struct scope *outer;
};

static const struct { const char *type; enum kind kind; } types[] = {
    {"boolean", KIND_BOOL}, {"smallint", KIND_INT}, {"integer", KIND_INT}, {"bigint", KIND_INT}, {"integer", KIND_INT},
    {"numeric(10,2)", KIND_NUM}, {"numeric(10,2)", KIND_NUM}, {"real", KIND_FLOAT}, {"double precision", KIND_FLOAT},
    {"text", KIND_TEXT}, {"varchar(8)", KIND_TEXT}, {"text", KIND_TEXT}, {"date", KIND_DATE}, {"timestamp", KIND_STAMP},
};
static const char *const compares[] = {"=", "=", "=", "<>", "<", "<=", ">", ">="};

static struct rng rng;
static FILE *out;               /* where the statement is being written */
static struct table tables[TABLES];
static int aliases;             /* used so far */
static int nesting;             /* of sub-selects */
static bool big_used;           /* one use of the large table per statement */
static int next_key = 1000;     /* for INSERT */

static void predicate(struct scope *s, int depth);
static void expression(enum kind kind, struct scope *s, int depth);

static int below(int n)
{
    return (int)rng_below(&rng, (uint64_t)n);
}

static bool chance(int percent)
{
    return below(100) < percent;
}

#define PICK(list) ((list)[below((int)(sizeof (list) / sizeof *(list)))])
#define say(...) fprintf(out, __VA_ARGS__)

/* ---- values ---------------------------------------------------------------------------------------- */

static void literal(enum kind kind)
{
    static const char *const texts[] = {"", "a", "b", "ab", "Abc", "x", "xy", " y ", "zz", "\xc3\xa9t", "10", "%_"};
    switch (kind) {
    case KIND_BOOL: say("%s", chance(50) ? "true" : "false"); break;
    case KIND_INT: say("%d", below(14) - 3 < 0 && chance(50) ? 0 : below(12)); break;
    case KIND_NUM: say("%d.%02d", below(12), below(4) * 25); break;
    case KIND_FLOAT: say("%d.%02d::double precision", below(12), below(4) * 25); break;
    case KIND_TEXT: say("'%s'::text", PICK(texts)); break;
    case KIND_DATE: say("date '2024-0%d-%02d'", 1 + below(3), 1 + below(29)); break;
    default: say("timestamp '2024-0%d-%02d %02d:30:%02d'", 1 + below(3), 1 + below(29), below(24), below(60)); break;
    }
}

/* A column of the kind, of this scope or (less often) one around it. */
static void column_or_literal(enum kind kind, struct scope *s)
{
    while (s && s->outer && chance(25))
        s = s->outer;
    for (int tries = 0; s && s->count && tries < 6; tries++) {
        const struct table *t = &s->sources[below(s->count)];
        int from = below(t->count);
        for (int i = 0; i < t->count; i++) {
            const struct column *c = &t->columns[(from + i) % t->count];
            if (c->kind == kind) {
                say("%s.%s", t->name, c->name);
                return;
            }
        }
    }
    literal(kind);
}

/* A kind of which the scope has a column. */
static enum kind some_kind(const struct scope *s)
{
    if (!s || !s->count || chance(10))
        return (enum kind)below(KIND_COUNT);
    const struct table *t = &s->sources[below(s->count)];
    return t->columns[below(t->count)].kind;
}

static enum kind but_boolean(const struct scope *s)
{
    enum kind kind = some_kind(s);
    return kind == KIND_BOOL ? KIND_INT : kind;
}

static void call(const char *name, enum kind kind, struct scope *s, int depth, const char *rest)
{
    say("%s(", name);
    expression(kind, s, depth);
    say("%s)", rest);
}

static void binary(enum kind left, const char *operator, enum kind right, struct scope *s, int depth)
{
    say("(");
    expression(left, s, depth);
    say(" %s ", operator);
    expression(right, s, depth);
    say(")");
}

static void cast(enum kind kind, struct scope *s, int depth, const char *type)
{
    say("(");
    expression(kind, s, depth);
    say(")::%s", type);
}

/* A value that prints in one way only (R2). */
static void plain(enum kind kind, struct scope *s, int depth)
{
    if (kind == KIND_FLOAT)
        column_or_literal(kind, s);
    else if (kind == KIND_NUM)
        cast(kind, s, depth, "numeric(14,2)");
    else
        expression(kind, s, depth);
}

static void divided(const char *operator, enum kind kind, struct scope *s, int depth)
{
    say("(");
    expression(kind, s, depth);
    say(" %s nullif(", operator);
    expression(kind, s, depth);
    say(", 0))");
}

static void integer(struct scope *s, int depth)
{
    switch (below(12)) {
    case 0: binary(KIND_INT, "+", KIND_INT, s, depth); break;
    case 1: binary(KIND_INT, "-", KIND_INT, s, depth); break;
    case 2: call("", KIND_INT, s, depth, " * 2"); break;
    case 3: divided("/", KIND_INT, s, depth); break;
    case 4: divided("%", KIND_INT, s, depth); break;
    case 5: call("abs", KIND_INT, s, depth, ""); break;
    case 6: call("length", KIND_TEXT, s, depth, ""); break;
    case 7: binary(KIND_DATE, "-", KIND_DATE, s, depth); break;
    case 8: cast(KIND_NUM, s, depth, "int"); break;
    case 9: call("- ", KIND_INT, s, depth, ""); break;
    case 10: cast(KIND_BOOL, s, depth, "int"); break;
    default: cast(KIND_FLOAT, s, 0, "bigint"); break;
    }
}

static void number(struct scope *s, int depth)
{
    switch (below(11)) {
    case 0: binary(KIND_NUM, "+", KIND_NUM, s, depth); break;
    case 1: binary(KIND_NUM, "-", KIND_NUM, s, depth); break;
    case 2: binary(KIND_NUM, "+", KIND_INT, s, depth); break;
    case 3: call("", KIND_NUM, s, depth, " * 1.5"); break;
    case 4: divided("/", KIND_NUM, s, depth); break;
    case 5: divided("%", KIND_NUM, s, depth); break;
    case 6: call("round", KIND_NUM, s, depth, ", 1"); break;
    case 7: call("floor", KIND_NUM, s, depth, ""); break;
    case 8: call("ceil", KIND_NUM, s, depth, ""); break;
    case 9: call("abs", KIND_NUM, s, depth, ""); break;
    default: cast(KIND_INT, s, depth, "numeric / 4"); break;
    }
}

static void floating(struct scope *s, int depth)
{
    switch (below(7)) {
    case 0: binary(KIND_FLOAT, "+", KIND_FLOAT, s, depth); break;
    case 1: binary(KIND_FLOAT, "-", KIND_INT, s, depth); break;
    case 2: call("", KIND_FLOAT, s, depth, " * 0.5"); break;
    case 3: call("abs", KIND_FLOAT, s, depth, ""); break;
    case 4: call("floor", KIND_FLOAT, s, depth, ""); break;
    case 5: cast(KIND_NUM, s, 0, "double precision"); break;
    default: call("round", KIND_FLOAT, s, depth, ""); break;
    }
}

static void text(struct scope *s, int depth)
{
    static const char *const one[] = {"lower", "upper", "trim"};
    char rest[32];
    switch (below(9)) {
    case 0: call(PICK(one), KIND_TEXT, s, depth, ""); break;
    case 1: binary(KIND_TEXT, "||", KIND_TEXT, s, depth); break;
    case 2:
        snprintf(rest, sizeof rest, chance(50) ? ", %d" : ", %d, 2", below(5) - 1);
        call("substr", KIND_TEXT, s, depth, rest);
        break;
    case 3: call("replace", KIND_TEXT, s, depth, ", 'a', 'bb'"); break;
    case 4:
        snprintf(rest, sizeof rest, ", %d", below(4) - 1);
        call("repeat", KIND_TEXT, s, 0, rest);
        break;
    case 5:
        snprintf(rest, sizeof rest, ", %d, 'pq'", below(7) - 1);
        call("lpad", KIND_TEXT, s, depth, rest);
        break;
    case 6: cast(KIND_TEXT, s, depth, "varchar(3)"); break;
    case 7: cast((enum kind)below(KIND_TEXT), s, depth, "text"); break;
    default: cast(chance(50) ? KIND_DATE : KIND_STAMP, s, depth, "text"); break;
    }
}

static void date(struct scope *s, int depth)
{
    switch (below(3)) {
    case 0: call("", KIND_DATE, s, depth, " + 3"); break;
    case 1: binary(KIND_DATE, "-", KIND_INT, s, 0); break;
    default: cast(KIND_STAMP, s, depth, "date"); break;
    }
}

static const struct table *some_table(void)
{
    int t = below(TABLES);
    if (t == BIG && big_used)
        t = 0;
    big_used |= t == BIG;
    return &tables[t];
}

/* Adds a source to the scope under a new alias, and returns it. */
static struct table *source(struct scope *s, const struct table *t)
{
    struct table *to = &s->sources[s->count++];
    *to = *t;
    snprintf(to->name, sizeof to->name, "r%d", ++aliases);
    return to;
}

/* "(SELECT max(x) FROM t WHERE p)" */
static void scalar(enum kind kind, struct scope *s)
{
    struct scope inner = { .outer = NULL };
    const struct table *t = some_table();
    struct table *from = source(&inner, t);
    nesting++;
    say("(SELECT ");
    call(chance(50) ? "max" : "min", kind, &inner, 0, "");
    inner.outer = s;
    say(" FROM %s %s WHERE ", t->name, from->name);
    predicate(&inner, 1);
    say(")");
    nesting--;
}

static void expression(enum kind kind, struct scope *s, int depth)
{
    int r = below(100);
    if (depth <= 0 || r < 35) {
        column_or_literal(kind, s);
    } else if (r < 42) {
        say("CASE WHEN ");
        predicate(s, depth - 1);
        say(" THEN ");
        expression(kind, s, depth - 1);
        if (chance(70)) {
            say(" ELSE ");
            expression(kind, s, depth - 1);
        }
        say(" END");
    } else if (r < 55 && kind != KIND_BOOL) {
        static const char *const two[] = {"coalesce", "nullif", "greatest", "least"};
        say("%s(", PICK(two));
        expression(kind, s, depth - 1);
        say(", ");
        expression(kind, s, depth - 1);
        say(")");
    } else if (r < 59 && kind != KIND_BOOL && nesting < 2) {
        scalar(kind, s);
    } else {
        switch (kind) {
        case KIND_BOOL: predicate(s, depth - 1); break;
        case KIND_INT: integer(s, depth - 1); break;
        case KIND_NUM: number(s, depth - 1); break;
        case KIND_FLOAT: floating(s, depth - 1); break;
        case KIND_TEXT: text(s, depth - 1); break;
        case KIND_DATE: date(s, depth - 1); break;
        default: cast(KIND_DATE, s, depth - 1, "timestamp"); break;
        }
    }
}

/* ---- conditions ------------------------------------------------------------------------------------ */

static void comparison(struct scope *s, int depth)
{
    enum kind kind = some_kind(s);
    if ((kind == KIND_INT || kind == KIND_NUM || kind == KIND_FLOAT) && chance(25)) {
        expression(kind, s, depth);
        say(" %s ", PICK(compares));
        expression((enum kind)(KIND_INT + below(3)), s, depth);
        return;
    }
    expression(kind, s, depth);
    say(" %s ", PICK(compares));
    if (chance(40))
        literal(kind);
    else
        expression(kind, s, depth);
}

static void in_list(struct scope *s, int depth)
{
    enum kind kind = but_boolean(s);
    expression(kind, s, depth);
    say(chance(70) ? " IN (" : " NOT IN (");
    for (int i = below(4); i >= 0; i--) {
        if (chance(10))
            say("NULL");
        else
            literal(kind);
        say(i ? ", " : ")");
    }
}

/* "EXISTS (SELECT ...)" or "x IN (SELECT ...)", correlated or not. */
static void subquery(struct scope *s, int depth)
{
    struct scope inner = { .outer = chance(60) ? s : NULL };
    enum kind kind = but_boolean(s);
    const struct table *t = some_table();
    struct table *from = source(&inner, t);
    bool exists = chance(45);
    nesting++;
    if (exists) {
        say("%sEXISTS (SELECT 1 FROM %s %s", chance(50) ? "NOT " : "", t->name, from->name);
    } else {
        column_or_literal(kind, s);
        say(chance(50) ? " IN (SELECT " : " NOT IN (SELECT ");
        column_or_literal(kind, &inner);
        say(" FROM %s %s", t->name, from->name);
    }
    if (chance(25)) {
        const struct table *u = some_table();
        struct table *joined = source(&inner, u);
        say(" %s JOIN %s %s ON ", chance(50) ? "LEFT" : "INNER", u->name, joined->name);
        predicate(&inner, 0);
    }
    if (exists || chance(80)) {
        say(" WHERE ");
        predicate(&inner, depth);
    }
    say(")");
    nesting--;
}

static void predicate(struct scope *s, int depth)
{
    static const char *const tests[] = {"NULL", "NOT NULL", "NULL", "TRUE", "NOT TRUE", "FALSE", "NOT FALSE", "UNKNOWN"};
    static const char *const patterns[] = {"'%'", "'a%'", "'%b'", "'_'", "'x_'", "'%b%'", "'A__'", "'\\%%'", "''"};
    enum kind kind = some_kind(s);
    int r = below(100);
    if (depth > 0 && r < 32) {
        say(r < 25 ? "(" : "NOT (");
        predicate(s, depth - 1);
        if (r < 25) {
            say(r < 14 ? " AND " : " OR ");
            predicate(s, depth - 1);
        }
        say(")");
    } else if (r < 50) {
        comparison(s, depth - 1);
    } else if (r < 58) {
        in_list(s, depth - 1);
    } else if (r < 64) {
        kind = kind == KIND_BOOL ? KIND_INT : kind;
        expression(kind, s, depth - 1);
        say(chance(80) ? " BETWEEN " : " NOT BETWEEN ");
        literal(kind);
        say(" AND ");
        expression(kind, s, 0);
    } else if (r < 71) {
        bool of_truth = chance(20);
        expression(of_truth ? KIND_BOOL : kind, s, of_truth ? 0 : depth - 1);
        say(" IS %s", tests[below(of_truth ? 8 : 3)]);
    } else if (r < 76) {
        expression(kind, s, depth - 1);
        say(" IS %sDISTINCT FROM ", chance(50) ? "NOT " : "");
        expression(kind, s, depth - 1);
    } else if (r < 82) {
        expression(KIND_TEXT, s, depth - 1);
        say(" %sLIKE %s", chance(30) ? "NOT " : "", PICK(patterns));
    } else if (r < 93 && nesting < 2) {
        subquery(s, depth - 1);
    } else {
        column_or_literal(KIND_BOOL, s);
    }
}

/* ---- queries --------------------------------------------------------------------------------------- */

static void order_by(int columns)
{
    static const char *const ways[] = {"", " DESC", " NULLS FIRST", " DESC NULLS LAST", ""};
    for (int i = 0; i < columns; i++)
        say("%s%d%s", i ? ", " : " ORDER BY ", i + 1, PICK(ways));
    if (chance(60))
        say(" LIMIT %d", below(6));
    if (chance(30))
        say(" OFFSET %d", below(4));
}

static const char *set_operation(void)
{
    static const char *const names[] = { "UNION", "INTERSECT", "EXCEPT" };

    return names[below(3)];
}

/* A source of FROM: a table, a sub-select or a series. */
static void from_item(struct scope *s)
{
    const struct table *t = some_table();
    struct scope inner = { .outer = NULL };
    int r = below(100);
    if (r < 80) {
        say("%s %s", t->name, source(s, t)->name);
        return;
    }
    if (r < 85) {
        struct table *to = source(s, t);
        to->count = 1;
        to->columns[0] = (struct column){ "i", KIND_INT, "integer" };
        say("generate_series(%d, %d) AS %s(i)", below(3), below(6), to->name);
        return;
    }
    struct table *from = source(&inner, t), *to;
    nesting++;
    say("(SELECT %s", chance(30) ? "DISTINCT " : "");
    for (int i = 0; i < t->count; i++)
        say("%s%s.%s", i ? ", " : "", from->name, t->columns[i].name);
    say(" FROM %s %s WHERE ", t->name, from->name);
    predicate(&inner, 1);
    if (r > 93) {
        say(" %s%s SELECT * FROM %s", set_operation(), chance(60) ? " ALL" : "", t->name);
        if (r > 96)
            order_by(t->count);
    }
    to = source(s, t);
    say(") %s", to->name);
    nesting--;
}

static void join_condition(struct scope *s, int left)
{
    for (int tries = 0; tries < 8 && chance(80); tries++) {
        const struct table *a = &s->sources[below(left)], *b = &s->sources[s->count - 1];
        const struct column *x = &a->columns[below(a->count)], *y = &b->columns[below(b->count)];
        if (x->kind != y->kind)
            continue;
        say("%s.%s = %s.%s", a->name, x->name, b->name, y->name);
        if (chance(70))
            return;
        say(" AND ");
        break;
    }
    predicate(s, 1);
}

static void from_clause(struct scope *s)
{
    int more = PICK(((const int[]){0, 0, 1, 1, 1, 2, 2, 3}));
    say(" FROM ");
    from_item(s);
    while (more-- > 0 && s->count < 4 - 2 * big_used) {
        int kind = below(10), left = s->count;
        say(kind < 5 ? " JOIN " : kind < 9 ? " LEFT JOIN " : " CROSS JOIN ");
        from_item(s);
        if (kind < 9) {
            say(" ON ");
            join_condition(s, left);
        }
    }
}

/* Writes into a text of its own, which the caller frees. */
static FILE *aside(char **written, size_t *size)
{
    FILE *before = out;
    out = open_memstream(written, size);
    if (!out)
        abort();
    return before;
}

static void back(FILE *before)
{
    fclose(out);
    out = before;
}

static void aggregate(struct scope *s)
{
    enum kind kind = but_boolean(s);
    const char *distinct = chance(25) ? "DISTINCT " : "";
    char *argument;
    size_t size;
    FILE *before;
    int r = below(9);
    if (r == 2 || r == 3)
        kind = (enum kind)(KIND_INT + below(3));
    if (r == 4)
        kind = KIND_TEXT;
    before = aside(&argument, &size);
    plain(kind, s, 1);
    back(before);
    switch (r) {
    case 0: say("count(*)"); break;
    case 1: say("count(%s%s)", distinct, argument); break;
    case 2: say("sum(%s%s)", distinct, argument); break;
    case 3: say("avg(%s%s)", distinct, argument); break;
    case 4: say("string_agg(%s%s, ',' ORDER BY %s)", distinct, argument, argument); break;
    case 5: case 6: say("max(%s)", argument); break;
    default: say("min(%s)", argument); break;
    }
    free(argument);
    if (chance(20)) {
        say(" FILTER (WHERE ");
        predicate(s, 1);
        say(")");
    }
}

static void where(struct scope *s, int percent)
{
    if (chance(percent)) {
        say(" WHERE ");
        predicate(s, DEPTH);
    }
}

/* "SELECT ... FROM ... WHERE ..." with these kinds of columns. */
static void simple_select(const enum kind *kinds, int count, bool distinct, bool all_plain)
{
    struct scope s = { .outer = NULL };
    char *from;
    size_t size;
    FILE *before = aside(&from, &size);
    from_clause(&s);
    back(before);
    say("SELECT %s", distinct ? "DISTINCT " : "");
    for (int i = 0; i < count; i++) {
        say(i ? ", " : "");
        if (all_plain)
            plain(kinds[i], &s, 2);
        else
            expression(kinds[i], &s, DEPTH);
    }
    say("%s", from);
    free(from);
    where(&s, 70);
}

static void grouped_select(void)
{
    struct scope s = { .outer = NULL }, groups = { .outer = NULL };
    char *from;
    size_t size;
    int columns = below(3), aggregates = 1 + below(3);
    FILE *before = aside(&from, &size);
    from_clause(&s);
    back(before);
    for (int i = 0; i < columns; i++) {
        struct table *t = &groups.sources[groups.count++], *of = &s.sources[below(s.count)];
        *t = *of;
        t->count = 1;
        t->columns[0] = of->columns[below(of->count)];
    }
    say("SELECT ");
    for (int i = 0; i < columns; i++) {
        expression(groups.sources[i].columns[0].kind, &groups, chance(70) ? 0 : 2);
        say(", ");
    }
    for (int i = 0; i < aggregates; i++) {
        say(i ? ", " : "");
        aggregate(&s);
    }
    say("%s", from);
    free(from);
    where(&s, 60);
    for (int i = 0; i < columns; i++)
        say("%s%s.%s", i ? ", " : " GROUP BY ", groups.sources[i].name, groups.sources[i].columns[0].name);
    if (chance(30)) {
        say(" HAVING count(*) %s %d", PICK(compares), below(4));
        if (chance(40)) {
            say(" AND ");
            predicate(&groups, 1);
        }
    }
}

/* Returns whether the rows have an order. */
static bool query(void)
{
    enum kind kinds[5];
    int count = 1 + below(4), r = below(100);
    bool ordered = r < 62 && chance(30);
    for (int i = 0; i < count; i++)
        kinds[i] = (enum kind)below(KIND_COUNT);
    if (r >= 62) {
        grouped_select();
        return false;
    }
    if (r < 40) {
        simple_select(kinds, count, false, ordered);
    } else if (r < 50) {
        simple_select(kinds, count, true, true);
    } else {
        simple_select(kinds, count, false, true);
        say(" %s%s ", set_operation(), chance(50) ? " ALL" : "");
        big_used = true;
        simple_select(kinds, count, false, true);
    }
    if (ordered)
        order_by(count);
    return ordered;
}

/* Rows where p is true, false and unknown are together all rows. */
static void three_parts(int number)
{
    struct scope s = { .outer = NULL };
    char *from, *p;
    size_t from_size, p_size;
    FILE *before = aside(&from, &from_size);
    from_clause(&s);
    back(before);
    before = aside(&p, &p_size);
    predicate(&s, DEPTH);
    back(before);
    printf("\\echo #%d whole\nSELECT *%s;\n\\echo #%d parts\n", number, from, number);
    printf("SELECT *%s WHERE %s;\nSELECT *%s WHERE NOT (%s);\nSELECT *%s WHERE (%s) IS NULL;\n", from, p, from, p, from, p);
    free(from);
    free(p);
}

/* One row without a table: all that may fail (R1). */
static void constants(void)
{
    static const char *const inputs[] = {"''", "' 12 '", "'1e3'", "'-0.005'", "'abc'", "'99999'", "'3000000000'", "'1e400'", "'NaN'",
        "'t'", "'yes'", "'2024-02-30'", "'2024-02-29'", "'2024-2-9 7:05'", "'infinity'", "'0x10'", "NULL", "'12.345'", "'.5'", "'-'"};
    static const char *const scalars[] = {"0", "1", "-1", "7", "2.50", "-0.5", "32767", "2147483647", "-2147483648", "9223372036854775807",
        "1e20", "0.1::real", "3.5::double precision", "1e308::double precision", "12345678901234567890.123", "1e-10", "NULL",
        "(-32768)::smallint", "100::bigint", "0.0"};
    static const char *const operators[] = {"+", "-", "*", "/", "%", "=", "<", "+", "*", "/"};
    switch (below(5)) {
    case 0: say("SELECT %s::%s", PICK(inputs), types[below(sizeof types / sizeof *types)].type); break;
    case 1: say("SELECT (%s)::%s", PICK(scalars), types[below(9)].type); break;
    case 2: say("SELECT (%s) %s (%s)", PICK(scalars), PICK(operators), PICK(scalars)); break;
    case 3: say("SELECT round(%s, %d), abs(%s)", chance(70) ? "1234.5678" : PICK(scalars), below(7) - 3, PICK(scalars)); break;
    default:
        say("SELECT ");
        expression((enum kind)below(KIND_COUNT), NULL, DEPTH + 1);
        say(", ");
        expression((enum kind)below(KIND_COUNT), NULL, DEPTH + 1);
        break;
    }
}

/* ---- changes --------------------------------------------------------------------------------------- */

static void value_or_null(enum kind kind, bool with_null)
{
    if (with_null && chance(20))
        say("NULL");
    else
        literal(kind);
}

static void key_value(const struct column *c)
{
    if (c->kind == KIND_INT)
        say("%d", next_key++ - (chance(10) ? 3 : 0));
    else
        literal(c->kind);
}

static void insert(const struct table *t)
{
    say("INSERT INTO %s VALUES (", t->name);
    for (int i = 0; i < t->count; i++) {
        say(i ? ", " : "");
        if (i < t->key_count)
            key_value(&t->columns[i]);
        else
            value_or_null(t->columns[i].kind, true);
    }
    say(")");
}

/* Of columns that no key holds (R4): the first key_count + 1 are left alone, see make_indexes. */
static bool update(const struct table *t, struct scope *s)
{
    int first = t->key_count + 1, column;
    if (first >= t->count)
        return false;
    say("UPDATE %s AS %s SET ", t->name, s->sources[0].name);
    column = first + below(t->count - first);
    say("%s = (", t->columns[column].name);
    if (t->columns[column].kind == KIND_TEXT)
        cast(KIND_TEXT, s, 1, "varchar(8)");
    else
        expression(t->columns[column].kind, s, 2);
    say(")");
    where(s, 80);
    return true;
}

static void change(void)
{
    const struct table *t = &tables[below(TABLES)];
    struct scope s = { .outer = NULL };
    int r = below(10);
    source(&s, t);
    if (r < 4 || (r < 8 && !update(t, &s))) {
        insert(t);
    } else if (r >= 8) {
        say("DELETE FROM %s AS %s WHERE ", t->name, s.sources[0].name);
        predicate(&s, 2);
        say(" AND ");
        predicate(&s, 0);
    }
    say(r < 4 ? " RETURNING *" : "");
}

static void index_columns(const struct table *t, const int *columns, int count)
{
    static const char *const ways[] = {"", "", " DESC", " NULLS FIRST", " DESC NULLS LAST"};
    for (int i = 0; i < count; i++)
        say("%s%s%s", i ? ", " : " (", t->columns[columns[i]].name, PICK(ways));
    say(")");
}

static void make_index(const struct table *t, int number)
{
    int count = 1 + below(2), columns[2], first = below(t->count);
    bool unique = number == 0 && chance(40);
    for (int i = 0; i < count; i++)
        columns[i] = (first + i) % t->count;
    if (unique)
        columns[0] = t->key_count < t->count ? t->key_count : 0;
    say("CREATE %sINDEX %s_i%d ON %s", unique ? "UNIQUE " : "", t->name, number, t->name);
    index_columns(t, columns, unique ? 1 : count);
}

static void end(void)
{
    say(";\n");
}

static void make_table(struct table *t, int number)
{
    int rows = number == BIG ? 150 : below(15), indexes = below(4);
    snprintf(t->name, sizeof t->name, "t%d", number);
    t->count = 4 + below(COLUMNS_MAX - 3);
    t->key_count = below(3);
    say("CREATE TABLE %s (", t->name);
    for (int i = 0; i < t->count; i++) {
        int type = below((int)(sizeof types / sizeof *types));
        struct column *c = &t->columns[i];
        *c = (struct column){ .kind = types[type].kind, .type = types[type].type };
        if (i == 0 && t->key_count)
            *c = (struct column){ .kind = KIND_INT, .type = "integer" };
        snprintf(c->name, sizeof c->name, "c%d", i);
        say("%s%s %s", i ? ", " : "", c->name, c->type);
    }
    for (int i = 0; i < t->key_count; i++)
        say("%s%s", i ? ", " : ", PRIMARY KEY (", t->columns[i].name);
    say(t->key_count ? "));\n" : ");\n");
    next_key = 0;
    for (int i = 0; i < rows; i++) {
        insert(t);
        end();
    }
    for (int i = 0; i < indexes; i++) {
        make_index(t, i);
        end();
    }
}

/* ---- the script ------------------------------------------------------------------------------------ */

static void item(int number)
{
    static const char *const words[] = {"BEGIN", "SAVEPOINT a", "ROLLBACK TO a", "COMMIT", "ROLLBACK", "RELEASE a", "BEGIN"};
    char *written;
    size_t size;
    FILE *before;
    bool ordered = false;
    int r = below(100);
    big_used = false;
    if (r < 8) {
        three_parts(number);
        return;
    }
    before = aside(&written, &size);
    if (r < 72)
        ordered = query();
    else if (r < 84)
        constants();
    else if (r < 96)
        change();
    else if (r < 99)
        say("%s", PICK(words));
    else
        make_index(&tables[below(TABLES)], 10 + number);
    back(before);
    printf("\\echo #%d %s\n%s;\n", number, ordered ? "list" : "set", written);
    free(written);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: random SEED COUNT\n", stderr);
        return 2;
    }
    rng_seed(&rng, strtoull(argv[1], NULL, 10));
    out = stdout;
    for (int i = 0; i < TABLES; i++)
        make_table(&tables[i], i);
    for (int i = 1; i <= atoi(argv[2]); i++)
        item(i);
    puts("\\echo #0 set\nROLLBACK;");
    return 0;
}
