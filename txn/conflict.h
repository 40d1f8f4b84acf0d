/*
 * conflict.h -- who was in whose way: what a 40P01 or 40001 tells, as text and as JSON.
 *
 * The parties are transactions; an edge leads from one to another.  In a deadlock it says: `from` waits for `to`.  In a serialization
 * failure: `from` has read what `to` wrote, so it comes before it in any serial order.  Both are told by the same functions, the DETAIL
 * in sentences, the JSON with the same facts by name (its shape stands in isolde.h).
 */
#ifndef ISOLDE_TXN_CONFLICT_H
#define ISOLDE_TXN_CONFLICT_H

#include "txn/txn.h"

struct conflict_party {
    uint32_t session;               /* 0: not known any more */
    TxnId transaction;              /* 0: it has none, having written nothing */
    const char *statement;          /* what it was doing; NULL: nothing, or not known */
    size_t statement_len;
};

struct conflict_edge {
    size_t from, to;                /* places in the list of parties */
    const char *thing;              /* what both touched: `row (id)=(5) of table "account"`, a range with its condition */
    const char *mode;               /* a wait: the lock asked for ("FOR UPDATE", "ShareLock"); NULL in a serialization failure */
    bool queued;                    /* a wait: `to` does not hold it, but stands before `from` in the queue */
    const char *read, *wrote;       /* the statements that read and wrote; NULL for a wait, or when not known */
};

enum conflict_kind { CONFLICT_DEADLOCK, CONFLICT_SERIALIZATION };

struct conflict {
    enum conflict_kind kind;
    const struct conflict_party *parties;
    size_t party_count;
    const struct conflict_edge *edges;
    size_t edge_count;
    size_t victim;                  /* the party that fails */
    const char *finding;            /* serialization: "a cycle was proved", "a dangerous structure was found"; NULL in a deadlock */
};

/* Adds DETAIL, HINT and the JSON to the report that op_fail has just written; without memory it stays as it is. */
void conflict__explain(struct op *op, const struct conflict *conflict);

#endif
