/*
 * catalog.c -- which definition of a table may a statement use?
 *
 * The truth about tables stands in the system tables, which are versioned as all others are.  Reading half a dozen rows for every name
 * would be slow, so definitions are kept: immutable, counted by reference, and only ever of the newest committed state.  Three
 * kinds of transactions look at them:
 *
 *      newest  READ COMMITTED, and everybody whose snapshot is younger than the last DDL: uses the cache.
 *      own     a transaction that has itself done DDL: reads the system tables at its own snapshot, which shows its own changes,
 *              and keeps what it read for itself.
 *      old     REPEATABLE READ and above with a snapshot older than some DDL: finds names at its snapshot; a table that has changed
 *              since is compared with its newest definition.  The same layout: the newest is used, so that new indexes are obeyed by
 *              its writes (each index says from when on it may be read).  Another layout, or gone: 40001.
 *
 * A statement is bound before it has its table locks, so that what it was bound to may have changed before it runs.  The stamp tells: it
 * changes with every commit of DDL.  The order is: bind; lock tables; take the snapshot; compare stamps, and bind again when
 * they differ.  A DDL transaction's commit announces itself here before it is visible and before its locks are gone (C2), so a
 * statement that got its lock behind it sees another stamp.
 *
 * In the short time between announcement and visibility the cache is empty but the rows that one would load are still the old ones.
 * What is read then is not kept, and the stamp given out then is good for nobody: it differs from every other (C3).
 *
 * C1  A definition is never changed after it has been handed out.
 * C2  The stamp changes, and entries are dropped, between a DDL commit's "ordered" and its "visible".
 * C3  A stamp that was given while an announced commit was not visible equals no later stamp; unless the log is broken, for then that
 *     commit will not be visible before the database is opened again.
 * C4  What is kept was read at a snapshot not older than the entry's last change.
 */
#include <string.h>

#include "sql/session_int.h"
#include "sql/virtual.h"
#include "src/base/hash.h"
#include "src/base/mem.h"

/* ---- definitions ---------------------------------------------------------------------------------- */

struct table_def *catalog__new_def(struct op *op)
{
    struct table_def *table = mem_calloc(1, sizeof *table);
    if (!table) {
        op_out_of_memory(op);
        return NULL;
    }
    arena_init(&table->arena);
    atomic_init(&table->references, 1);
    return table;
}

void catalog_release(struct table_def *table)
{
    if (!table || atomic_fetch_sub_explicit(&table->references, 1, memory_order_acq_rel) > 1)
        return;
    arena_free(&table->arena);
    mem_free(table);
}

struct table_def *catalog_hold(struct table_def *table)
{
    atomic_fetch_add_explicit(&table->references, 1, memory_order_relaxed);
    return table;
}

/* ---- stamps --------------------------------------------------------------------------------------- */

enum view_mode { VIEW_NEWEST, VIEW_OWN, VIEW_OLD };

static enum view_mode mode_of(const struct session *session)
{
    if (session->view.own_changes)
        return VIEW_OWN;
    if (session->snapshot_taken && session->level >= TXN_REPEATABLE_READ &&
        atomic_load(&session->database->last_change) > txn_read_ts(session->txn))
        return VIEW_OLD;
    return VIEW_NEWEST;
}

static uint64_t new_stamp(struct database *database)
{
    return atomic_fetch_add(&database->stamp_source, 1) + 1;
}

/* The same as long as neither the definitions nor the moment at which they are looked at change. */
static uint64_t stamp_at(struct database *database, struct catalog_view *view, uint64_t newest, CommitTs read_ts)
{
    if (view->old_stamp_over != newest || view->old_stamp_read_ts != read_ts) {
        view->old_stamp = new_stamp(database);
        view->old_stamp_over = newest;
        view->old_stamp_read_ts = read_ts;
    }
    return view->old_stamp;
}

uint64_t catalog_stamp(struct session *session)
{
    struct database *database = session->database;
    struct catalog_view *view = &session->view;
    uint64_t newest = atomic_load(&database->stamp);
    CommitTs visible = txn_visible_ts(database->manager);
    enum view_mode mode = mode_of(session);

    if (visible < atomic_load(&database->last_change)) {
        if (!wal_is_broken(store_wal(txn_manager_store(database->manager))))
            return new_stamp(database);
        if (mode != VIEW_OWN)
            return stamp_at(database, view, newest, visible);   /* that commit will not be visible any more */
    }
    switch (mode) {
    case VIEW_NEWEST:
        return newest;
    case VIEW_OWN:
        if (view->own_stamp_over != newest) {
            view->own_stamp = new_stamp(database);
            view->own_stamp_over = newest;
        }
        return view->own_stamp;
    case VIEW_OLD:
        break;
    }
    return stamp_at(database, view, newest, txn_read_ts(session->txn));
}

/* ---- the cache of the newest state; all under the latch ------------------------------------------- */

static struct catalog_entry *find_entry(struct database *database, Oid oid)
{
    struct catalog_entry *entry = database->entries[hash_u64(oid) % CATALOG_BUCKETS];
    while (entry && entry->oid != oid)
        entry = entry->next;
    return entry;
}

static struct catalog_entry *make_entry(struct op *op, struct database *database, Oid oid)
{
    struct catalog_entry *entry = find_entry(database, oid);
    if (entry)
        return entry;
    entry = mem_calloc(1, sizeof *entry);
    if (!entry) {
        op_out_of_memory(op);
        return NULL;
    }
    struct catalog_entry **bucket = &database->entries[hash_u64(oid) % CATALOG_BUCKETS];
    entry->oid = oid;
    entry->next = *bucket;
    *bucket = entry;
    return entry;
}

static void forget_names(struct database *database)
{
    for (int i = 0; i < CATALOG_BUCKETS; i++) {
        struct catalog_name *name;
        while ((name = database->names[i]) != NULL) {
            database->names[i] = name->next;
            mem_free(name->name);
            mem_free(name);
        }
    }
}

static Oid known_name(struct database *database, const char *name)
{
    uint64_t hash = hash_bytes(name, strlen(name), 0);
    for (struct catalog_name *known = database->names[hash % CATALOG_BUCKETS]; known; known = known->next)
        if (known->hash == hash && strcmp(known->name, name) == 0)
            return known->oid;
    return TYPE_INVALID;
}

/* A name that cannot be kept is looked up again. */
static void keep_name(struct database *database, const char *name, Oid oid)
{
    uint64_t hash = hash_bytes(name, strlen(name), 0);
    struct catalog_name *known = mem_calloc(1, sizeof *known);
    if (known)
        known->name = mem_strdup(name);
    if (!known || !known->name) {
        mem_free(known);
        return;
    }
    known->hash = hash;
    known->oid = oid;
    known->next = database->names[hash % CATALOG_BUCKETS];
    database->names[hash % CATALOG_BUCKETS] = known;
}

/* The reader's transaction: a snapshot of all that is visible now. */
static int begin_reading(struct op *op, struct database *database)
{
    if (txn_begin(op, database->reader, TXN_READ_COMMITTED, true, false) != 0)
        return OP_FAILED;
    if (txn_statement_begin(op, database->reader) == 0)
        return 0;
    txn_rollback(database->reader);
    return OP_FAILED;
}

static void end_reading(struct database *database)
{
    txn_statement_end(database->reader);
    txn_rollback(database->reader);
}

/* Says from when on the table's indexes can be read. */
static void date_indexes(struct database *database, struct table_def *table)
{
    for (int i = 0; i < table->index_count; i++) {
        const struct catalog_entry *entry = find_entry(database, table->indexes[i].oid);
        table->indexes[i].valid_from = entry ? entry->changed : 0;
    }
}

/* The newest definition by oid, reading it when it is not there; NULL when the table is gone. */
static int newest_by_oid(struct op *op, struct database *database, Oid oid, struct table_def **table)
{
    struct catalog_entry *entry = make_entry(op, database, oid);
    CommitTs read_ts;

    if (!entry)
        return OP_FAILED;
    if (entry->newest) {
        *table = catalog_hold(entry->newest);
        return 0;
    }
    if (begin_reading(op, database) != 0)
        return OP_FAILED;
    read_ts = txn_read_ts(database->reader);
    int result = catalog__load(op, database, database->reader, oid, table);
    end_reading(database);
    if (result != 0 || !*table)
        return result;
    date_indexes(database, *table);
    (*table)->version = entry->changed;
    if (read_ts >= entry->changed)      /* C4 */
        entry->newest = catalog_hold(*table);
    return 0;
}

static int newest_by_name(struct op *op, struct database *database, const char *name, struct table_def **table)
{
    Oid oid = known_name(database, name);
    char kind = 'r';

    if (oid == TYPE_INVALID) {
        if (begin_reading(op, database) != 0)
            return OP_FAILED;
        CommitTs read_ts = txn_read_ts(database->reader);
        int result = catalog__find_relation(op, database, database->reader, name, &oid, &kind);
        end_reading(database);
        if (result != 0)
            return OP_FAILED;
        if (oid != TYPE_INVALID && kind == 'r' && read_ts >= atomic_load(&database->last_change))
            keep_name(database, name, oid);
    }
    return oid == TYPE_INVALID || kind != 'r' ? 0 : newest_by_oid(op, database, oid, table);
}

/* ---- definitions at a snapshot of one's own ------------------------------------------------------- */

void catalog__forget_local(struct session *session)
{
    struct catalog_view *view = &session->view;
    for (int i = 0; i < view->local_count; i++)
        catalog_release(view->local[i]);
    view->local_count = 0;
}

static int keep_local(struct op *op, struct catalog_view *view, struct table_def *table)
{
    if (view->local_count == view->local_capacity) {
        int capacity = view->local_capacity ? view->local_capacity * 2 : 16;
        struct table_def **grown = mem_realloc(view->local, sizeof *grown * (size_t)capacity);
        if (!grown)
            return op_out_of_memory(op);
        view->local = grown;
        view->local_capacity = capacity;
    }
    view->local[view->local_count++] = catalog_hold(table);
    return 0;
}

static bool same_layout(const struct table_def *a, const struct table_def *b)
{
    if (a->tree != b->tree || a->has_primary != b->has_primary || a->column_count != b->column_count)
        return false;
    for (int i = 0; i < a->column_count; i++)
        if (a->columns[i].number != b->columns[i].number || a->columns[i].type.oid != b->columns[i].type.oid ||
            a->columns[i].type.modifier != b->columns[i].type.modifier || strcmp(a->columns[i].name, b->columns[i].name) != 0)
            return false;
    return true;
}

static bool touched(const struct catalog_view *view, Oid oid)
{
    for (int i = 0; i < view->touched_count; i++)
        if (view->touched[i] == oid)
            return true;
    return false;
}

static int concurrent_change(struct op *op, const struct table_def *table)
{
    op_fail(op, "40001", "could not serialize access due to concurrent change of table \"%s\"", table->name);
    op_detail(op, "The table's definition was changed by a transaction that committed after this one's snapshot was taken.");
    op_hint(op, "The transaction might succeed if retried.");
    return OP_FAILED;
}

/* What was read at the session's snapshot, set against the newest state. */
static int reconcile(struct op *op, struct session *session, struct table_def **table)
{
    struct database *database = session->database;
    struct table_def *mine = *table, *newest = NULL;
    int result = 0;

    os_mutex_lock(&database->latch);
    const struct catalog_entry *entry = find_entry(database, mine->oid);
    bool changed = entry && entry->changed > txn_read_ts(session->txn);
    if (changed && !touched(&session->view, mine->oid))
        result = newest_by_oid(op, database, mine->oid, &newest);
    else
        date_indexes(database, mine);
    os_mutex_unlock(&database->latch);
    if (result != 0 || !changed)
        return result;
    if (session->level < TXN_REPEATABLE_READ) {     /* the stamp will have it bound again, behind its lock */
        catalog_release(newest);
        return 0;
    }
    if (!newest || !same_layout(mine, newest)) {
        catalog_release(newest);
        return concurrent_change(op, mine);
    }
    catalog_release(mine);
    *table = newest;
    return 0;
}

static int local_by_oid(struct op *op, struct session *session, Oid oid, struct table_def **table)
{
    struct catalog_view *view = &session->view;
    uint64_t stamp = catalog_stamp(session);

    if (view->local_stamp != stamp) {
        catalog__forget_local(session);
        view->local_stamp = stamp;
    }
    for (int i = 0; i < view->local_count; i++)
        if (view->local[i]->oid == oid) {
            *table = catalog_hold(view->local[i]);
            return 0;
        }
    if (catalog__load(op, session->database, session->txn, oid, table) != 0)
        return OP_FAILED;
    if (*table && (reconcile(op, session, table) != 0 || keep_local(op, view, *table) != 0)) {
        catalog_release(*table);
        *table = NULL;
        return OP_FAILED;
    }
    return 0;
}

/* ---- looking up ----------------------------------------------------------------------------------- */

int catalog_table(struct op *op, struct session *session, Oid oid, struct table_def **table)
{
    struct database *database = session->database;

    *table = catalog__system_by_oid(database, oid);
    if (!*table)
        *table = virtual_by_oid(database, oid);
    if (*table)
        return 0;
    if (mode_of(session) != VIEW_NEWEST)
        return local_by_oid(op, session, oid, table);
    os_mutex_lock(&database->latch);
    int result = newest_by_oid(op, database, oid, table);
    os_mutex_unlock(&database->latch);
    return result;
}

static int find_table(struct op *op, struct session *session, const char *schema, const char *name, struct table_def **table)
{
    struct database *database = session->database;
    int result;

    *table = NULL;
    if (schema && (*table = virtual_by_name(database, schema, name)) != NULL)
        return 0;
    if (!schema || strcmp(schema, "pg_catalog") == 0) {
        *table = schema ? NULL : virtual_by_name(database, "pg_catalog", name);
        if (*table)
            return 0;
        *table = catalog__system_by_name(database, name);
        if (*table || schema)
            return 0;
    }
    if (schema && strcmp(schema, "public") != 0)
        return 0;
    if (mode_of(session) != VIEW_NEWEST) {
        Oid oid;
        char kind;
        if (catalog__find_relation(op, database, session->txn, name, &oid, &kind) != 0)
            return OP_FAILED;
        return kind == 'r' ? local_by_oid(op, session, oid, table) : 0;
    }
    os_mutex_lock(&database->latch);
    result = newest_by_name(op, database, name, table);
    os_mutex_unlock(&database->latch);
    return result;
}

/* Whoever binds a statement learns in this way which tables it uses, wherever in it they stand. */
static int note_table(struct op *op, struct session *session, Oid oid)
{
    if (session->noted_count == session->noted_capacity) {
        int capacity = session->noted_capacity ? session->noted_capacity * 2 : 16;
        Oid *grown = mem_realloc(session->noted, sizeof *grown * (size_t)capacity);
        if (!grown)
            return op_out_of_memory(op);
        session->noted = grown;
        session->noted_capacity = capacity;
    }
    session->noted[session->noted_count++] = oid;
    return 0;
}

int catalog_find_table(struct op *op, struct session *session, const char *schema, const char *name, struct table_def **table)
{
    if (find_table(op, session, schema, name, table) != 0)
        return OP_FAILED;
    if (!*table || (*table)->system || note_table(op, session, (*table)->oid) == 0)
        return 0;
    catalog_release(*table);
    *table = NULL;
    return OP_FAILED;
}

/* The oids of all tables, in order of their names. */
static int list_tables(struct op *op, struct session *session, struct catalog_row **rows)
{
    struct database *database = session->database;

    if (mode_of(session) != VIEW_NEWEST)
        return catalog__find(op, database, session->txn, SYSTEM_CLASS, CLASS_BY_NAME, NULL, 0, rows);
    os_mutex_lock(&database->latch);
    int result = begin_reading(op, database);
    if (result == 0) {
        result = catalog__find(op, database, database->reader, SYSTEM_CLASS, CLASS_BY_NAME, NULL, 0, rows);
        end_reading(database);
    }
    os_mutex_unlock(&database->latch);
    return result;
}

int catalog_list_tables(struct op *op, struct session *session, Oid **oids, int *count)
{
    struct catalog_row *row, *first;

    *count = 0;
    *oids = NULL;
    if (list_tables(op, session, &first) != 0)
        return OP_FAILED;
    for (row = first; row; row = row->next)
        ++*count;
    *oids = op_alloc(op, sizeof **oids * (size_t)(*count + 1));
    *count = 0;
    if (!*oids)
        return OP_FAILED;
    for (row = first; row; row = row->next)
        if (row->values[CLASS_KIND].s.data[0] == 'r')
            (*oids)[(*count)++] = (Oid)row->values[CLASS_OID].i;
    return 0;
}

/* ---- changes -------------------------------------------------------------------------------------- */

/* C2: a transaction with DDL has ended. */
static void announce(void *arg, bool committed, CommitTs ts)
{
    struct session *session = arg;
    struct database *database = session->database;

    if (!committed)
        return;
    os_mutex_lock(&database->latch);
    for (int i = 0; i < session->view.touched_count; i++) {
        struct catalog_entry *entry = find_entry(database, session->view.touched[i]);
        entry->changed = ts;
        catalog_release(entry->newest);
        entry->newest = NULL;
    }
    forget_names(database);
    if (atomic_load(&database->last_change) < ts)
        atomic_store(&database->last_change, ts);
    atomic_store(&database->stamp, new_stamp(database));
    os_mutex_unlock(&database->latch);
}

static int remember_touched(struct op *op, struct catalog_view *view, Oid oid)
{
    if (view->touched_count == view->touched_capacity) {
        int capacity = view->touched_capacity ? view->touched_capacity * 2 : 16;
        Oid *grown = mem_realloc(view->touched, sizeof *grown * (size_t)capacity);
        if (!grown)
            return op_out_of_memory(op);
        view->touched = grown;
        view->touched_capacity = capacity;
    }
    view->touched[view->touched_count++] = oid;
    return 0;
}

int catalog__touch(struct op *op, struct session *session, Oid oid)
{
    struct database *database = session->database;
    struct catalog_view *view = &session->view;
    bool made;

    os_mutex_lock(&database->latch);    /* announce() finds its entries made: it cannot fail */
    made = make_entry(op, database, oid) != NULL;
    os_mutex_unlock(&database->latch);
    if (!made || (!touched(view, oid) && remember_touched(op, view, oid) != 0))
        return OP_FAILED;
    if (!view->own_changes && txn_on_end(op, session->txn, announce, session) != 0)
        return OP_FAILED;
    view->own_changes = true;
    view->own_stamp = new_stamp(database);
    view->own_stamp_over = atomic_load(&database->stamp);
    catalog__forget_local(session);
    return 0;
}

void catalog__rolled_back(struct session *session)
{
    catalog__forget_local(session);
    if (session->view.own_changes)
        session->view.own_stamp = new_stamp(session->database);
}

void catalog__end(struct session *session)
{
    catalog__forget_local(session);
    session->view.own_changes = false;
    session->view.touched_count = 0;
}

static bool name_damage(struct op *op, const struct table_def *table)
{
    const char *index = NULL;
    bool found = table->tree == op->error.tree;

    for (int i = table->has_primary; !found && i < table->index_count; i++) {
        found = table->indexes[i].tree == op->error.tree;
        index = table->indexes[i].name;
    }
    if (!found)
        return false;
    if (index)
        op_context(op, "tree %llu, index \"%s\" of table \"%s\"", (unsigned long long)op->error.tree, index, table->name);
    else
        op_context(op, "tree %llu, table \"%s\"", (unsigned long long)op->error.tree, table->name);
    op_about(op, table->schema, table->name, NULL, NULL);
    return true;
}

void catalog__name_damage(struct op *op, struct database *database)
{
    bool found = false;

    if (op->error.tree == 0)
        return;
    for (int i = 0; !found && i < SYSTEM_TABLE_COUNT; i++)
        found = database->system[i] && name_damage(op, database->system[i]);
    os_mutex_lock(&database->latch);
    for (int i = 0; !found && i < CATALOG_BUCKETS; i++)
        for (struct catalog_entry *entry = database->entries[i]; !found && entry; entry = entry->next)
            found = entry->newest && name_damage(op, entry->newest);
    os_mutex_unlock(&database->latch);
    if (!found)
        op_context(op, "tree %llu", (unsigned long long)op->error.tree);
}

/* ---- the database --------------------------------------------------------------------------------- */

int database_open(struct op *op, struct txn_manager *manager, struct database **out)
{
    struct database *database = mem_calloc(1, sizeof *database);

    *out = NULL;
    if (!database)
        return op_out_of_memory(op);
    database->manager = manager;
    database->store = txn_manager_store(manager);
    database->sync = TXN_SYNC_FULL;
    os_mutex_init(&database->latch, RANK_SQL_CATALOG);
    atomic_init(&database->stamp_source, 1);
    atomic_init(&database->stamp, 1);
    if (txn_session_open(op, manager, &database->reader) != 0 ||
        spill_make(op, store_vfs(database->store), store_path(database->store), &database->spill) != 0 ||
        catalog__open(op, database) != 0 || virtual_open(op, database) != 0) {
        database_close(database);
        return OP_FAILED;
    }
    txn_on_describe(manager, catalog__describe, database);
    *out = database;
    return 0;
}

void database_close(struct database *database)
{
    if (!database)
        return;
    txn_on_describe(database->manager, NULL, NULL);
    forget_names(database);
    for (int i = 0; i < CATALOG_BUCKETS; i++) {
        struct catalog_entry *entry;
        while ((entry = database->entries[i]) != NULL) {
            database->entries[i] = entry->next;
            catalog_release(entry->newest);
            mem_free(entry);
        }
    }
    virtual_close(database);
    catalog__close(database);
    if (database->reader)
        txn_session_close(database->reader);
    spill_destroy(database->spill);
    os_mutex_destroy(&database->latch);
    mem_free(database);
}

struct spill *database_spill(struct database *database)
{
    return database->spill;
}

void database_set_read_only(struct database *database)
{
    database->read_only = true;
}

void database_set_sync(struct database *database, enum txn_sync sync)
{
    database->sync = sync;
}
