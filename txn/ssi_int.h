/*
 * ssi_int.h -- what ssi.c (the graph) and siread.c (what was read) share.
 */
#ifndef ISOLDE_TXN_SSI_INT_H
#define ISOLDE_TXN_SSI_INT_H

#include "txn/ssi.h"

/* reader -rw-> writer: the reader did not see what the writer wrote.  In two lists; graph latch. */
struct ssi_edge {
    struct ssi_txn *reader, *writer;
    struct ssi_edge *next_out, *prev_out;       /* of the reader */
    struct ssi_edge *next_in, *prev_in;         /* of the writer */
    char *read, *wrote;                         /* what, and by which statements: ssi_report.c; NULL without memory */
};

/* A statement that has written. */
struct ssi_statement {
    struct ssi_statement *older;        /* constant */
    uint32_t command;                   /* as in struct version */
    char text[];
};

/* One read of one key. */
struct siread_point {
    struct siread_point *next;          /* in the bucket; its latch */
    struct siread_point *own_next;      /* of the reader; the owner's thread, then whoever frees it */
    struct ssi_txn *reader;
    struct tree_info *info;
    struct txn_predicate *predicate;    /* a reference; NULL: any change of the record matters */
    uint64_t hash;
    uint32_t key_len;
    uint8_t key[];
};

struct siread_bucket {
    _Atomic uint32_t latch;
    struct siread_point *first;
};

/* A tree that is gone, but what was read of it counts still. */
struct former_tree {
    struct former_tree *next;           /* constant */
    struct tree_info *info;
};

/* A bound of an interval; owns its bytes. */
struct siread_bound {
    uint8_t *data;                      /* NULL with unbounded */
    uint32_t len, capacity;
    bool unbounded, inclusive;
};

/* One interval read; grows with its scan.  All but the lists is guarded by info->range_mutex. */
struct ssi_range {
    struct ssi_range *next, *prev;      /* of the tree while it may grow; info->range_mutex */
    struct ssi_range *left, *right;     /* in the tree's index after that: siread_index.c; info->range_mutex */
    const struct siread_bound *reach;
    uint32_t priority;
    bool indexed;
    struct ssi_range *own_next;         /* of the reader, as for points */
    struct ssi_txn *reader;
    struct tree_info *info;
    struct txn_predicate *predicate;    /* a reference; NULL: any change of a record in here matters; constant */
    struct siread_bound low, high;
};

struct ssi_txn {
    atomic_uint references;             /* one of the graph, one of its session, one of its writer */
    struct txn_manager *manager;
    struct ssi_txn *next, *prev;        /* of those in progress, or of those that have ended; graph latch */
    struct ssi_txn *next_reader, *prev_reader;  /* of the read-only ones in progress; graph latch */
    CommitTs read_ts;                   /* constant */
    bool read_only;                     /* declared; constant */
    _Atomic CommitTs commit_ts;         /* 0 in progress; written under the graph latch */
    atomic_bool doomed;
    atomic_bool safe;                   /* read-only: nothing that it reads can matter any more */
    atomic_bool wrote;                  /* set by its thread before it looks for readers */
    bool ended, aborted;                /* graph latch */
    uint64_t begin_number, end_number;  /* of the graph's clock; graph latch */
    struct ssi_edge *out, *in;          /* graph latch */
    CommitTs earliest_out;              /* of the writers that it has edges to: the first to commit; UINT64_MAX none */
    uint32_t pending;                   /* read-only: writers of its time that have not ended */
    bool unsafe;                        /* read-only: must be tracked to its end */
    atomic_bool *undecided;             /* the session's, while it waits for the verdict; NULL: it does not; graph latch */
    /* What it has read: the owner's thread while in progress, whoever forgets it afterwards. */
    struct siread_point *points;
    struct ssi_range *ranges;
    struct ssi_range *wides;            /* one per tree and predicate at most */
    struct arena arena;                 /* of the points */
    uint32_t session;                   /* its number; constant */
    struct ssi_statement *_Atomic statements;   /* that have written, the newest first; pushed by the owner's thread */
    uint32_t statement_count;           /* the owner's thread */
    struct arena texts;                 /* of the statements; the owner's thread */
    char *reason;                       /* why it is doomed; graph latch */
    CommitTs lost_to;                   /* the commit that is to be visible before it fails; graph latch */
    uint32_t point_count, range_count, wide_count;
    bool summarised;                    /* its reads and edges went to the summary; graph latch */
};

enum { SIREAD_BUCKETS = 1 << 14, WIDES_MAX = 64, SSI_POOL_MAX = 256 };

struct ssi {
    struct os_mutex graph;              /* RANK_SSI_GRAPH */
    struct os_cond changed;             /* a transaction ended: DEFERRABLE ones look again */
    struct ssi_txn *first, *last;       /* in progress, by begin_number */
    struct ssi_txn *first_ended, *last_ended;   /* committed, by end_number */
    struct ssi_txn *readers;            /* in progress and read-only */
    uint64_t clock;
    uint32_t writers;                   /* not read-only, and not yet visible or undone */
    uint32_t retained;                  /* ended, still known */
    struct ssi_txn summary;             /* stands for ended transactions that were too many: see ssi.c */
    bool summarising;                   /* somebody works on the summary's reads; graph latch */
    struct siread_bucket *buckets;
    _Atomic uint32_t pool_latch;        /* guards the rest; held for a few instructions, under any other latch */
    struct ssi_txn *pool;               /* freed ones, with a block of each arena; by `next` */
    uint32_t pool_count;
};

/* ssi_report.c; graph latch held.  Of two edges that meet in a pivot (either may be NULL: not known any more): why somebody must go. */
char *ssi__explain(const struct ssi_edge *in, const struct ssi_edge *out);
void ssi__describe_edge(struct ssi_edge *edge, const struct ssi_evidence *evidence);
/* With the graph latch: the edge, and what follows from it.  OP_FAILED: `self` is the victim. */
int ssi__add_edge(struct op *op, struct ssi *ssi, struct ssi_txn *self, struct ssi_txn *reader, struct ssi_txn *writer,
                  const struct ssi_evidence *evidence) MUST_CHECK;
/* Did the reader's time overlap with the writer's? Graph latch, or the answer may be a needless yes. */
bool ssi__concurrent(const struct ssi_txn *reader, const struct ssi_txn *writer);
/* All that `from` has read is read by `to` from now on, widened to an interval per tree. */
int siread__hand_over(struct op *op, struct ssi_txn *from, struct ssi_txn *to) MUST_CHECK;
/* The index of intervals of one tree; info->range_mutex held. */
void siread__index(struct ssi_range **root, struct ssi_range *range);
void siread__unindex(struct ssi_range **root, struct ssi_range *range);
uint32_t siread__priority(const struct ssi_range *range);
/* Those that hold the key, or all, until one visit fails. */
int siread__each_holding(struct ssi_range *root, struct bytes key, int (*visit)(void *arg, struct ssi_range *range), void *arg)
    MUST_CHECK;
int siread__each(struct ssi_range *root, int (*visit)(void *arg, struct ssi_range *range), void *arg) MUST_CHECK;
/* A point's bucket, and whether it is that of a key; whether an interval holds a key. */
struct siread_bucket *siread__lock_bucket(struct ssi *ssi, uint64_t hash);
void siread__unlock_bucket(struct siread_bucket *bucket);
bool siread__is_point(const struct siread_point *point, uint64_t hash, const struct tree_info *info, struct bytes key);
bool siread__covers(const struct ssi_range *range, struct bytes key);
/* Takes what it has read out of the tables. */
void siread__forget(struct ssi_txn *self);

#endif
