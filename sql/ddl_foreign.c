/*
 * ddl_foreign.c -- FOREIGN KEY: made, checked against the rows that are there, and in the way of what its parent may lose.
 *
 * A foreign key is one row of pg_constraint, that both tables read: the child by conrelid, the parent by confrelid.  It depends on a
 * unique index of the parent; who would drop that index, a referenced column or the parent itself is refused, or, with
 * CASCADE, drops the constraint too.
 */
#include <string.h>

#include "sql/ddl_int.h"
#include "sql/fkey.h"

/* ---- making --------------------------------------------------------------------------------------- */

struct plan {
    struct session *session;
    const struct ast_constraint *statement;
    struct table_def *child, *parent;
    int count;
    int child_columns[KEY_COLUMNS_MAX], parent_columns[KEY_COLUMNS_MAX];        /* indexes in the tables' columns */
    int child_numbers[KEY_COLUMNS_MAX], parent_numbers[KEY_COLUMNS_MAX], set_numbers[KEY_COLUMNS_MAX];
    int set_count;
    const struct index_def *index;
    const char *name;
};

static int find_columns(struct op *op, const struct table_def *table, const struct ast_word *words, int *columns, int *count)
{
    *count = 0;
    for (const struct ast_word *word = words; word; word = word->next) {
        int column = 0;
        while (column < table->column_count && strcmp(table->columns[column].name, word->text) != 0)
            column++;
        if (column == table->column_count)
            return op_fail(op, "42703", "column \"%s\" referenced in foreign key constraint does not exist", word->text);
        if (*count == KEY_COLUMNS_MAX)
            return op_fail(op, "54011", "cannot have more than %d keys in a foreign key", KEY_COLUMNS_MAX);
        columns[(*count)++] = column;
    }
    return 0;
}

/* A unique index over just these columns, in any order, that has every row. */
static bool matches(const struct table_def *parent, const struct index_def *index, const int *columns, int count)
{
    if (!index->unique || index->predicate >= 0 || index->column_count != count)
        return false;
    for (int i = 0; i < count; i++) {
        bool found = false;
        for (int k = 0; k < count; k++)
            found |= index->columns[k].column == columns[i] && columns[i] < parent->column_count;
        if (!found)
            return false;
    }
    return true;
}

static int find_key(struct op *op, struct plan *plan)
{
    const struct table_def *parent = plan->parent;
    int count = 0;

    if (!plan->statement->parent_columns) {
        if (!parent->has_primary)
            return op_fail(op, "42704", "there is no primary key for referenced table \"%s\"", parent->name);
        plan->index = &parent->indexes[0];
        for (; count < plan->index->column_count; count++)
            plan->parent_columns[count] = plan->index->columns[count].column;
    } else if (find_columns(op, parent, plan->statement->parent_columns, plan->parent_columns, &count) != 0) {
        return OP_FAILED;
    }
    if (count == plan->count)
        for (int i = 0; i < parent->index_count && !plan->index; i++)
            if (matches(parent, &parent->indexes[i], plan->parent_columns, count))
                plan->index = &parent->indexes[i];
    if (count != plan->count)
        return op_fail(op, "42830", "number of referencing and referenced columns for foreign key disagree");
    return plan->index ? 0
           : op_fail(op, "42830", "there is no unique constraint matching given keys for referenced table \"%s\"", parent->name);
}

static bool comparable(Oid a, Oid b)
{
    bool ints = (a == TYPE_INT2 || a == TYPE_INT4 || a == TYPE_INT8) && (b == TYPE_INT2 || b == TYPE_INT4 || b == TYPE_INT8);
    bool texts = (a == TYPE_TEXT || a == TYPE_VARCHAR) && (b == TYPE_TEXT || b == TYPE_VARCHAR);
    return a == b || ints || texts;
}

static int check_types(struct op *op, const struct plan *plan)
{
    for (int i = 0; i < plan->count; i++) {
        const struct column_def *child = &plan->child->columns[plan->child_columns[i]];
        const struct column_def *parent = &plan->parent->columns[plan->parent_columns[i]];
        if (comparable(child->type.oid, parent->type.oid))
            continue;
        op_fail(op, type_form(child->type.oid) == type_form(parent->type.oid) ? "0A000" : "42804",
                "foreign key constraint \"%s\" cannot be implemented", plan->name);
        op_detail(op, "Key columns \"%s\" and \"%s\" are of incompatible types: %s and %s.", child->name, parent->name,
                  type_info(child->type.oid)->name, type_info(parent->type.oid)->name);
        return OP_FAILED;
    }
    return 0;
}

static int find_set_columns(struct op *op, struct plan *plan)
{
    for (const struct ast_word *word = plan->statement->set_columns; word; word = word->next) {
        int column = 0, i = 0;
        while (column < plan->child->column_count && strcmp(plan->child->columns[column].name, word->text) != 0)
            column++;
        if (column == plan->child->column_count)
            return op_fail(op, "42703", "column \"%s\" referenced in foreign key constraint does not exist", word->text);
        while (i < plan->count && plan->child_columns[i] != column)
            i++;
        if (i == plan->count)
            return op_fail(op, "42P10", "column \"%s\" referenced in ON DELETE SET action must be part of foreign key", word->text);
        plan->set_numbers[plan->set_count++] = plan->child->columns[column].number;
    }
    return 0;
}

/* t_a_b_fkey */
static int choose_name(struct op *op, struct plan *plan)
{
    const char *names[KEY_COLUMNS_MAX], *label = "fkey";
    struct catalog_row *row = NULL;

    plan->name = plan->statement->name;
    if (plan->name) {
        if (ddl__find_constraint(op, plan->session, plan->child->oid, plan->name, &row) != 0)
            return OP_FAILED;
        return row ? op_fail(op, "42710", "constraint \"%s\" for relation \"%s\" already exists", plan->name, plan->child->name) : 0;
    }
    for (int i = 0; i < plan->count; i++)
        names[i] = plan->child->columns[plan->child_columns[i]].name;
    const char *joined = ddl__join_names(op, names, plan->count);
    for (int pass = 1; joined; pass++) {
        plan->name = ddl__object_name(op, plan->child->name, joined, label);
        if (!plan->name || ddl__find_constraint(op, plan->session, plan->child->oid, plan->name, &row) != 0)
            return OP_FAILED;
        if (!row)
            return 0;
        label = arena_printf(&op->arena, "fkey%d", pass);
        if (!label)
            return op_out_of_memory(op);
    }
    return OP_FAILED;
}

static int insert(struct op *op, struct plan *plan)
{
    const struct ast_constraint *statement = plan->statement;

    for (int i = 0; i < plan->count; i++) {
        plan->child_numbers[i] = plan->child->columns[plan->child_columns[i]].number;
        plan->parent_numbers[i] = plan->parent->columns[plan->parent_columns[i]].number;
    }
    struct ddl_constraint constraint = {
        .name = plan->name, .type = "f", .table = plan->child->oid, .index = plan->index->oid, .columns = plan->child_numbers,
        .column_count = plan->count, .deferrable = statement->deferrable, .deferred = statement->deferred,
        .validated = !statement->not_valid, .parent = plan->parent->oid, .parent_columns = plan->parent_numbers,
        .set_columns = plan->set_numbers, .set_count = plan->set_count, .on_update = statement->on_update,
        .on_delete = statement->on_delete,
    };
    return ddl__insert_constraint(op, plan->session, &constraint);
}

static int lock_parent(struct op *op, struct plan *plan)
{
    const struct ast_name *name = plan->statement->parent;

    if (strcmp(name->name, plan->child->name) == 0) {
        plan->parent = catalog_hold(plan->child);
        return 0;
    }
    if (ddl__lock_table(op, plan->session, name, TXN_SHARE_ROW_EXCLUSIVE, &plan->parent) != 0)
        return OP_FAILED;
    if (!plan->parent)
        return op_fail(op, "42P01", "relation \"%s\" does not exist", name->name);
    return catalog__touch(op, plan->session, plan->parent->oid);
}

static int make(struct op *op, struct plan *plan)
{
    if (find_columns(op, plan->child, plan->statement->columns, plan->child_columns, &plan->count) != 0 ||
        find_key(op, plan) != 0 || choose_name(op, plan) != 0 || check_types(op, plan) != 0 || find_set_columns(op, plan) != 0)
        return OP_FAILED;
    return insert(op, plan);
}

const struct foreign_def *ddl__foreign(const struct table_def *child, const char *name)
{
    for (int i = 0; i < child->foreign_count; i++)
        if (strcmp(child->foreigns[i].name, name) == 0)
            return &child->foreigns[i];
    return NULL;
}

int ddl__add_foreign(struct op *op, struct session *session, struct table_def **child, const struct ast_constraint *constraint)
{
    struct plan plan = {.session = session, .statement = constraint, .child = *child};
    int result = lock_parent(op, &plan);

    if (result == 0)
        result = make(op, &plan);
    catalog_release(plan.parent);
    if (result != 0 || ddl__reload(op, session, (*child)->oid, child) != 0)
        return OP_FAILED;
    const struct foreign_def *foreign = ddl__foreign(*child, plan.name);
    if (!foreign)
        return op_fail(op, "XX001", "constraint \"%s\" has vanished from the catalog", plan.name);
    if (constraint->not_valid)
        return 0;
    return ddl__check_snapshot(op, session, *child) != 0 ? OP_FAILED : fkey_verify(op, session, *child, foreign);
}

/* ---- dropping what others refer to ---------------------------------------------------------------- */

static int drop_one(struct op *op, struct session *session, const struct foreign_def *foreign)
{
    if (txn_lock_table(op, session->txn, foreign->child, TXN_ACCESS_EXCLUSIVE) != 0 ||
        catalog__touch(op, session, foreign->child) != 0 || catalog__touch(op, session, foreign->parent) != 0)
        return OP_FAILED;
    return ddl__delete_rows(op, session, SYSTEM_CONSTRAINT, 0, foreign->oid);
}

static bool among(const Oid *oids, int count, Oid oid)
{
    for (int i = 0; i < count; i++)
        if (oids[i] == oid)
            return true;
    return false;
}

static int refers_to_column(const struct foreign_def *foreign, int number)
{
    for (int i = 0; i < foreign->count; i++)
        if (foreign->parent_numbers[i] == number)
            return true;
    return false;
}

/* Whether the constraint depends on what goes, and stays behind. */
static bool concerned(const struct table_def *parent, const struct foreign_def *foreign, const struct ddl_release *what)
{
    bool self = foreign->child == parent->oid && !what->index && !what->number;
    return !self && (!what->index || foreign->index == what->index) && (!what->number || refers_to_column(foreign, what->number)) &&
           !among(what->dropped, what->dropped_count, foreign->child);
}

/* "constraint c_fk on table c" */
static int describe(struct op *op, struct session *session, const struct foreign_def *foreign, const char **text)
{
    struct table_def *child;

    if (catalog_table(op, session, foreign->child, &child) != 0)
        return OP_FAILED;
    *text = arena_printf(&op->arena, "constraint %s on table %s", foreign->name, child ? child->name : "");
    catalog_release(child);
    return *text ? 0 : op_out_of_memory(op);
}

static int refuse(struct op *op, const struct ddl_release *what, const char *lines)
{
    op_fail(op, "2BP01", "cannot drop %s because other objects depend on it", what->name);
    op_detail(op, "%s", lines);
    op_hint(op, "Use DROP ... CASCADE to drop the dependent objects too.");
    return OP_FAILED;
}

int ddl__release_parent(struct op *op, struct session *session, const struct table_def *parent, const struct ddl_release *what)
{
    const char *lines = "", *text;
    int count = 0;

    for (int i = 0; i < parent->referrer_count; i++) {
        if (!concerned(parent, &parent->referrers[i], what))
            continue;
        if (describe(op, session, &parent->referrers[i], &text) != 0)
            return OP_FAILED;
        lines = arena_printf(&op->arena, what->cascade ? "%s%sdrop cascades to %s" : "%s%s%s depends on %s", lines, count++ ? "\n" : "",
                             text, what->detail);
        if (!lines)
            return op_out_of_memory(op);
    }
    if (count > 0 && !what->cascade)
        return refuse(op, what, lines);
    if (count == 1)
        session_notice(session, "NOTICE", "00000", "%s", lines);
    if (count > 1) {
        const char *message = arena_printf(&op->arena, "drop cascades to %d other objects", count);
        if (!message)
            return op_out_of_memory(op);
        session_notice_detail(session, "NOTICE", "00000", message, lines);
    }
    for (int i = 0; i < parent->referrer_count; i++)
        if (concerned(parent, &parent->referrers[i], what) && drop_one(op, session, &parent->referrers[i]) != 0)
            return OP_FAILED;
    return 0;
}
