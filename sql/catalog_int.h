/*
 * catalog_int.h -- the catalog's inside: system tables, the cache of definitions, reading and writing catalog rows.
 */
#ifndef ISOLDE_SQL_CATALOG_INT_H
#define ISOLDE_SQL_CATALOG_INT_H

#include "src/os/os.h"
#include "sql/catalog.h"
#include "sql/change.h"
#include "sql/session.h"

/* The system tables, in the order in which their trees are made. */
enum system_table {
    SYSTEM_NAMESPACE, SYSTEM_TYPE, SYSTEM_CLASS, SYSTEM_ATTRIBUTE, SYSTEM_ATTRDEF, SYSTEM_INDEX, SYSTEM_CONSTRAINT,
    SYSTEM_TABLE_COUNT
};

/* Columns of the system tables, as the code that reads and writes them names them. */
enum { CLASS_OID, CLASS_NAME, CLASS_NAMESPACE, CLASS_KIND, CLASS_FILENODE, CLASS_NATTS, CLASS_COLUMNS };
enum { ATTRIBUTE_RELID, ATTRIBUTE_NAME, ATTRIBUTE_TYPE, ATTRIBUTE_NUMBER, ATTRIBUTE_TYPMOD, ATTRIBUTE_NOT_NULL, ATTRIBUTE_HAS_DEFAULT,
       ATTRIBUTE_DROPPED, ATTRIBUTE_GENERATED, ATTRIBUTE_HAS_MISSING, ATTRIBUTE_MISSING, ATTRIBUTE_COLUMNS };
enum { ATTRDEF_OID, ATTRDEF_RELID, ATTRDEF_NUMBER, ATTRDEF_TEXT, ATTRDEF_COLUMNS };
enum { INDEX_OID, INDEX_RELID, INDEX_NATTS, INDEX_UNIQUE, INDEX_PRIMARY, INDEX_KEY, INDEX_OPTION,
       INDEX_KEY_COUNT, INDEX_EXPRESSIONS, INDEX_PREDICATE, INDEX_COLUMNS };
enum { CONSTRAINT_OID, CONSTRAINT_NAME, CONSTRAINT_NAMESPACE, CONSTRAINT_TYPE, CONSTRAINT_RELID, CONSTRAINT_INDEX, CONSTRAINT_KEY,
       CONSTRAINT_DEFERRABLE, CONSTRAINT_DEFERRED, CONSTRAINT_VALIDATED, CONSTRAINT_FOREIGN_RELID, CONSTRAINT_FOREIGN_KEY,
       CONSTRAINT_ON_UPDATE, CONSTRAINT_ON_DELETE, CONSTRAINT_MATCH, CONSTRAINT_SET_COLUMNS, CONSTRAINT_TEXT, CONSTRAINT_COLUMNS };
enum { NAMESPACE_OID, NAMESPACE_NAME, NAMESPACE_COLUMNS };
enum { TYPE_ROW_OID, TYPE_ROW_NAME, TYPE_ROW_NAMESPACE, TYPE_ROW_LEN, TYPE_ROW_KIND, TYPE_ROW_CATEGORY, TYPE_ROW_COLUMNS };

/* Which index of pg_class finds relations by name, and so on: positions in table_def.indexes. */
enum { CLASS_BY_NAME = 1, INDEX_BY_TABLE = 1, CONSTRAINT_BY_TABLE = 1, CONSTRAINT_BY_FOREIGN_TABLE = 2 };

enum { NAMESPACE_CATALOG = 11, NAMESPACE_PUBLIC = 2200, FIRST_USER_OID = 16384, COLUMNS_MAX = 1600, KEY_COLUMNS_MAX = 32 };

/* Sequences of txn_next_id: table oids serve for their own row ids, so this must not be one. */
enum { SEQUENCE_OID = 1 };

/* What is known of one table (or index) by oid. */
struct catalog_entry {
    Oid oid;
    CommitTs changed;               /* newest commit that changed its definition; 0: before this start */
    struct table_def *newest;       /* one reference; NULL: not loaded */
    struct catalog_entry *next;
};

/* A name that was looked up in the newest state. */
struct catalog_name {
    uint64_t hash;
    Oid oid;
    char *name;
    struct catalog_name *next;
};

enum { CATALOG_BUCKETS = 1024 };

struct database {
    struct txn_manager *manager;
    struct store *store;
    struct spill *spill;
    struct txn_session *reader;     /* reads the newest committed catalog; latch */
    struct os_mutex latch;          /* RANK_SQL_CATALOG: guards the cache below */
    struct catalog_entry *entries[CATALOG_BUCKETS];
    struct catalog_name *names[CATALOG_BUCKETS];
    _Atomic uint64_t stamp_source;  /* every stamp ever given is different */
    _Atomic uint64_t stamp;         /* of the newest committed definitions; written under latch */
    _Atomic CommitTs last_change;   /* newest commit with DDL; written under latch before that commit is visible */
    enum txn_sync sync;             /* default of synchronous_commit */
    bool read_only;                 /* set before the first session is opened */
    struct table_def *system[SYSTEM_TABLE_COUNT];   /* immutable after open */
    struct table_def **virtuals;    /* virtual.c; immutable after open */
};

/* A session's view of the catalog while its transaction differs from the newest committed state; embedded in the session. */
struct catalog_view {
    bool own_changes;               /* this transaction has done DDL */
    uint64_t own_stamp;             /* for own_changes: changes with each DDL, and when others' DDL is committed */
    uint64_t own_stamp_over;        /* database stamp for which own_stamp was made */
    uint64_t old_stamp, old_stamp_over;
    CommitTs old_stamp_read_ts;
    Oid *touched;                   /* oids to be invalidated at commit */
    int touched_count, touched_capacity;
    struct table_def **local;       /* definitions read at own snapshot */
    uint64_t local_stamp;           /* stamp for which `local` holds */
    int local_count, local_capacity;
};

/* ---- catalog_system.c ---- */

/* Makes the definitions of the system tables, and in a new store their trees and first rows. */
int catalog__open(struct op *op, struct database *database) MUST_CHECK;
void catalog__close(struct database *database);
struct table_def *catalog__system_by_name(struct database *database, const char *name);
struct table_def *catalog__system_by_oid(struct database *database, Oid oid);

/* ---- catalog_load.c ---- */

/* One row of a system table. */
struct catalog_row {
    struct datum *values;
    struct bytes key;               /* clustered */
    struct catalog_row *next;
};
/* Rows of a system table at the session's statement snapshot whose index (NULL: primary key) begins with these values, in its order.
 * They live in the op's scratch arena. */
int catalog__find(struct op *op, struct database *database, struct txn_session *txn, enum system_table which, int index,
                  const struct datum *prefix, int prefix_count, struct catalog_row **rows) MUST_CHECK;
/* Definition of a table at the session's snapshot; NULL when there is none. One reference for the caller. */
int catalog__load(struct op *op, struct database *database, struct txn_session *txn, Oid oid, struct table_def **table)
    MUST_CHECK;
/* Oid and kind ('r', 'i') of a relation of schema public at the session's snapshot; 0 when there is none. */
int catalog__find_relation(struct op *op, struct database *database, struct txn_session *txn, const char *name, Oid *oid,
                           char *kind) MUST_CHECK;
static inline struct datum datum_text(const char *text)
{
    return (struct datum){.s = {(const uint8_t *)text, __builtin_strlen(text)}};
}
static inline struct datum datum_int(int64_t value) { return (struct datum){.i = value}; }
static inline struct datum datum_bool(bool value) { return (struct datum){.b = value}; }

/* ---- catalog.c ---- */

/* Adds to a report of damage which table or index it is in, if that is known without reading anything. */
void catalog__name_damage(struct op *op, struct database *database);

/* ---- describe.c ---- */

/* For txn_on_describe; arg: the database. */
const char *catalog__describe(void *arg, struct op *op, const struct txn_thing *thing);

/* ---- catalog.c, definitions that change ---- */

/* This transaction is about to change the definition of `oid` (a table, or an index that is new). */
int catalog__touch(struct op *op, struct session *session, Oid oid) MUST_CHECK;
/* The transaction was rolled back to a savepoint: some of its DDL may be undone. */
void catalog__rolled_back(struct session *session);
void catalog__forget_local(struct session *session);
/* The transaction is over. */
void catalog__end(struct session *session);
struct table_def *catalog__new_def(struct op *op) MUST_CHECK;

#endif
