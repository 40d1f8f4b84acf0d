/*
 * virtual.h -- tables whose rows C code makes: how to add one, and what planner and executor know of them.
 *
 * A virtual table has a name, columns and a function that puts all of its rows.  To everybody else it is a read-only table: it is joined,
 * filtered, grouped and sorted like any other.  To add one: a `struct virtual_table` beside its function, and a line in virtual.c.
 *
 *      static int put_fruits(struct op *op, struct virtual_rows *rows)
 *      {
 *          const struct datum apple[] = {datum_int(1), datum_text("apple")};
 *          return virtual_put(op, rows, apple);
 *      }
 *      const struct virtual_table virtual_fruits = {
 *          "isolde", "fruits", 13999, 2, {{"id", TYPE_INT4}, {"name", TYPE_TEXT}}, 10, put_fruits, {{"fruits_id", {0}, 1}} };
 *
 * Indexes need no work from the function: whoever scans by one keeps the rows in its order while the statement runs (exec_virtual.c).  Where
 * it can make fewer rows when a column's value is known, virtual_wanted tells.
 *
 * W1  The rows are made when a scan starts, at the statement's snapshot as far as they come from tables; a scan that is started again in
 *     the same run sees the same rows.
 * W2  What virtual_wanted says is a hint: rows that it does not ask for may be put too, and are passed over.
 */
#ifndef ISOLDE_SQL_VIRTUAL_H
#define ISOLDE_SQL_VIRTUAL_H

#include "sql/catalog.h"
#include "sql/type.h"

enum { VIRTUAL_COLUMNS_MAX = 48, VIRTUAL_INDEXES_MAX = 3, VIRTUAL_KEY_MAX = 3 };

struct virtual_rows;

struct virtual_column {
    const char *name;
    Oid type;
};

struct virtual_index {
    const char *name;               /* NULL: behind the last one */
    int columns[VIRTUAL_KEY_MAX];
    int column_count;
    bool many;                      /* not unique */
};

struct virtual_table {
    const char *schema, *name;
    Oid oid;
    int column_count;
    struct virtual_column columns[VIRTUAL_COLUMNS_MAX];
    int expected;                   /* about how many rows there are, for the planner */
    int (*put)(struct op *op, struct virtual_rows *rows);
    struct virtual_index indexes[VIRTUAL_INDEXES_MAX + 1];
};

/* One row: a value for each column, bytes are copied. */
int virtual_put(struct op *op, struct virtual_rows *rows, const struct datum *values) MUST_CHECK;
/* Who asks: its snapshot and its transaction. */
struct session *virtual_session(const struct virtual_rows *rows);
/* The value that this column must have in all rows that are wanted; NULL when any will do. */
const struct datum *virtual_wanted(const struct virtual_rows *rows, int column);

/* ---- virtual.c ---- */

struct database;
/* Definitions of all of them, for the catalog. */
int virtual_open(struct op *op, struct database *database) MUST_CHECK;
void virtual_close(struct database *database);
/* With a reference for the caller; NULL when there is none. */
struct table_def *virtual_by_name(struct database *database, const char *schema, const char *name);
struct table_def *virtual_by_oid(struct database *database, Oid oid);
/* All of them, to be described in the catalog; NULL behind the last one. */
const struct virtual_table *virtual_number(int i);

#endif
