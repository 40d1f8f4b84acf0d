/*
 * ssi.h -- what the rest of txn/ asks of serializability: record reads, check writes, commit, forget.
 */
#ifndef ISOLDE_TXN_SSI_H
#define ISOLDE_TXN_SSI_H

#include "txn/txn_int.h"

struct ssi_range;

int ssi__open(struct op *op, struct txn_manager *manager) MUST_CHECK;
void ssi__close(struct txn_manager *manager);

/* Takes the snapshot and, unless it is safe at once, enters the transaction in the graph.  A DEFERRABLE one waits
 * until its snapshot is safe. */
int ssi__begin(struct op *op, struct txn_session *session) MUST_CHECK;
/* A read-only transaction whose snapshot has become safe is tracked no longer. */
void ssi__leave_if_safe(struct txn_session *session);
void ssi__bind_writer(struct txn_session *session, struct txn *writer);
/* The commit is visible, or the transaction was undone. */
void ssi__end(struct txn_session *session, bool committed);
/* Check, commit number and place in the graph in one step; append writes the commit record. */
int ssi__commit(struct op *op, struct txn_session *session, void (*append)(struct txn *txn)) MUST_CHECK;
bool ssi__is_doomed(struct ssi_txn *self);
CommitTs ssi__lost_to(struct ssi_txn *self);   /* doomed: the commit that must be visible before it fails; 0: any */
/* 40001, with the reason; always OP_FAILED.  What it lost to is noted in dep_ts. */
int ssi__fail(struct op *op, struct txn_session *session);
/* What is known of an edge when it is made; the session is that of this thread. */
struct ssi_evidence {
    struct txn_session *session;
    bool reading;                       /* this thread has come upon what the other has written; else the other way round */
    const struct txn_predicate *predicate;  /* of what was read; NULL: not known */
    const struct txn_watch *watch;      /* reading */
    struct bytes key, value;            /* reading: of the record; value may be without data */
    uint32_t command;                   /* reading: that of the version */
    const void *row;                    /* writing: as txn_wrote_row was given it */
};
/* The session has written with its statement. */
void ssi__note_statement(struct txn_session *session);
void ssi__ref(struct ssi_txn *self);
void ssi__unref(struct ssi_txn *self);
/* Forgets ended transactions that nobody in progress is concurrent with. */
void ssi__purge(struct txn_manager *manager);

/* ---- reads; the leaf's latch is held -------------------------------------------------------------- */

/* predicate: which changes matter; NULL: all. */
int ssi__read_point(struct op *op, struct txn_session *session, struct tree_info *info, struct bytes key,
                    struct txn_predicate *predicate) MUST_CHECK;
/* Whether the key is there is read, and nothing else of it. */
int ssi__read_existence(struct op *op, struct txn_session *session, struct tree_info *info, struct bytes key) MUST_CHECK;
/* Has this transaction read something that the writer then changed? */
bool ssi__has_missed(struct txn_session *session, struct ssi_txn *writer);
/* The scan goes on over `covered`; *record is made at the first leaf. range: what the scan was asked for. */
int ssi__scan_covers(struct op *op, struct txn_session *session, struct tree_info *info, struct ssi_range **record,
                     struct txn_predicate *predicate, const struct btree_range *range, const struct btree_range *covered,
                     bool backward) MUST_CHECK;
/* The scan ended at this row: what is recorded ends there too. */
int ssi__scan_stopped(struct op *op, struct tree_info *info, struct ssi_range *record, struct bytes key, bool backward)
    MUST_CHECK;
/* The scan is closed: the interval grows no more. */
void ssi__scan_closed(struct ssi_range *record);
/* A version by this writer, newer than the snapshot, was met. */
int ssi__read_met_newer(struct op *op, struct txn_session *session, struct ssi_txn *writer, const struct ssi_evidence *evidence)
    MUST_CHECK;

/* ---- writes; after the entry can be found ---------------------------------------------------------- */

void ssi__free_formers(struct tree_info *info);
/* Who has read what changes?  was, is: the record's key before and after, without data where it is absent. */
int ssi__wrote(struct op *op, struct txn_session *session, struct tree_info *info, struct bytes was, struct bytes is,
               const void *row) MUST_CHECK;

#endif
