/*
 * rank.h -- the order in which latches are taken.
 *
 * A thread that holds a latch takes only latches of a higher rank (page latches: from parent to child
 * and from left to right, enforced by btree/; among equals of other ranks, never two).  Debug builds keep the held
 * ranks per thread and abort on a wrong order, naming both sites; release builds compile this away.
 * A latch got by trying (without waiting) may have any rank, since it cannot take part in a deadlock.
 */
#ifndef ISOLDE_BASE_RANK_H
#define ISOLDE_BASE_RANK_H

/* Lowest rank first: taken first. */
enum rank {
    RANK_API_DATABASES,     /* the process-wide list of open databases */
    RANK_API_DATABASE,
    RANK_API_MESSAGES,      /* who listens to a database's messages */
    RANK_SQL_CATALOG,       /* the cache of table definitions */
    RANK_TXN_PURGE,         /* one round of purge at a time */
    RANK_STORE_HOOKS,       /* btree/: who answers for the transactions in progress */
    RANK_TXN_MANAGER,       /* lists of sessions, of writers in progress, of trees */
    RANK_LOCK_TABLE,        /* a session's own table locks; blocks of sequences */
    RANK_CHECKPOINT,        /* one checkpoint at a time */
    RANK_BTREE_GRAVES,      /* one thread at a time frees what is buried */
    RANK_BTREE_GROW,        /* one thread at a time makes the file longer */
    RANK_BTREE_REGISTRY,    /* tree id -> root page */
    RANK_PAGE,              /* page latches; several at once by btree/'s own rules */
    RANK_FREE_SPACE,
    RANK_VERSION_BUDGET,    /* who gives up a snapshot */
    RANK_VERSION_SPILL,     /* a shard of the spilled part of the version store */
    RANK_VERSION_FILE,      /* pages of its file */
    RANK_SSI,               /* SIREAD records; runs of appended rows */
    RANK_VERSION_BUCKET,    /* a chain of the version store */
    RANK_WAIT_QUEUE,        /* txn/: all wait queues and shared table locks */
    RANK_SSI_GRAPH,         /* rw-antidependencies, and who commits first */
    RANK_SSI_PREDICATE,     /* sql/: the condition that a SIREAD record carries */
    RANK_COMMIT_ORDER,      /* ordered -> visible */
    RANK_BUF_MAP,           /* page state arrays, frame free list */
    RANK_BUF_WRITE,         /* dirty list, double-write batch */
    RANK_WAL_CARRY,         /* whether a transaction's undo records are read or carried forward just now */
    RANK_WAL_ARCHIVE,       /* one thread at a time copies the log away */
    RANK_WAL_FLUSH,         /* who leads the flush */
    RANK_WAL_BUFFER,        /* positions of the log buffer */
    RANK_WAL_SEGMENTS,
    RANK_OVERLAY,           /* inside a disk that lies on another one */
    RANK_OS,                /* inside a vfs */
    RANK_COUNT
};

#ifdef ISOLDE_DEBUG
void rank_enter(enum rank rank, const char *file, int line);
void rank_enter_tried(enum rank rank, const char *file, int line);
void rank_leave(enum rank rank);
int rank_held(void);        /* how many latches this thread holds */
#define RANK_ENTER(rank) rank_enter((rank), __FILE__, __LINE__)
#define RANK_ENTER_TRIED(rank) rank_enter_tried((rank), __FILE__, __LINE__)
#define RANK_LEAVE(rank) rank_leave(rank)
#else
#define RANK_ENTER(rank) ((void)(rank))
#define RANK_ENTER_TRIED(rank) ((void)(rank))
#define RANK_LEAVE(rank) ((void)(rank))
#endif

#endif
