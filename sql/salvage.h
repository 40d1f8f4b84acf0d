/* salvage.h -- making tables of salvaged trees: for the tool that salvages, and nobody else. */
#ifndef ISOLDE_SQL_SALVAGE_H
#define ISOLDE_SQL_SALVAGE_H

#include "btree/salvage.h"
#include "sql/session.h"

struct salvage_name {
    TreeId tree;
    char *text;                 /* table "t", index "i" */
};

struct database_salvage {
    const struct store_salvaged *salvaged;
    bool log_whole;             /* else everything may have suffered */
    uint64_t lost;              /* out: what could not be saved, counted */
    struct salvage_name *names; /* out: what trees are called; database_salvage_free */
    size_t name_count;
    void *arg;
    void (*report)(void *arg, const char *line);
};

/* The database has just been opened on a salvaged store; nobody else uses it. */
int database_salvage(struct op *op, struct database *database, struct database_salvage *task) MUST_CHECK;

const char *database_salvage_name(const struct database_salvage *task, TreeId tree);     /* NULL: not known */
void database_salvage_free(struct database_salvage *task);

#endif
