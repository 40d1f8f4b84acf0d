/*
 * power.c -- the power fails before every write and sync of a workload, and each time everything promised is there.
 *
 * One run of the workload suffices: before each call that changes the disk, the fault vfs hands over a copy of it
 * as it is at that moment, and with it goes a copy of the model.  Other threads take both and try
 *
 *     lose        nothing unsynced survives
 *     keep        everything written survives
 *     random      each unsynced sector survives or not, by a seed: torn and reordered writes
 *     kill        the process dies, the database is opened again and goes on, and then the power fails, at a
 *                 random call
 *     again       the power fails, and once more during restart, at a random call
 *     sync        the process dies, is started again, and a sync fails, which leaves bytes that can be read and will
 *                 never be durable; the process ends, is started once more, goes on, and then the power fails
 *
 * and open the database afterwards, which must then hold
 *
 * P1  every acknowledged commit;
 * P2  of the commits that were acknowledged without waiting for the disk, and the one in flight, the first k, for
 *     some k, each wholly; of transactions in progress, nothing;
 * P3  trees and pages in which CHECK finds nothing wrong.
 *
 * The workload has lives of its own, and its restarts and closes are tried as its transactions are:
 *
 *     create, work, killed with transactions in progress; restart, work, close; open, work, close
 *
 * SEED= chooses the run.  COUNT= is the number of times that each kind with chance in it is tried at each call; by
 * default once, where kill and again take turns. STEPS= is the length of the workload.  CALL= tries the n-th call
 * only, loudly: `power` prints what to repeat.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/os/os.h"
#include "tests/crash/cuts.h"

enum { WORKERS = 2, FAILURES_MAX = 10, CALLS_MIN = 700 };

enum kind { LOSE, KEEP, RANDOM, KILL, AGAIN, SYNC, KIND_COUNT };
static const char *const kind_names[KIND_COUNT] = { "lose", "keep", "random", "kill", "again", "sync" };

/* The disk before one call, and what had been promised by then. */
struct moment {
    struct moment *next;
    struct vfs *disk;
    uint64_t call;
    struct promise *promise;
};

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct moment *first;
    size_t waiting;
    bool over;
    uint64_t calls, trials, failures, only_call, seed, count;
} all = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static uint64_t number_of_run(const char *name, uint64_t usual)
{
    const char *text = getenv(name);

    return text != NULL ? strtoull(text, NULL, 10) : usual;
}

/* ---- one trial ------------------------------------------------------------------------------------ */

static int complain(struct run *run, const char *what)
{
    const struct op_error *error = run_error(run);

    fprintf(stderr, "  %s: %s %s (%s)\n", what, error->sqlstate, error->message ? error->message : "",
            error->detail ? error->detail : "");
    return 1;
}

/* Opens, and on an error other than a cut power complains.  *cut: the power failed meanwhile. */
static int try_open(struct run *run, bool *cut)
{
    int rc = run_open(run);

    *cut = fault_is_cut(run_disk(run));
    if (rc == 0 || *cut) {
        return 0;
    }
    return complain(run, "open");
}

static enum fault_loss random_loss(struct rng *rng)
{
    return (enum fault_loss)rng_below(rng, 3);
}

/* Restarts, with more power cuts on the way. */
static int restart_under_cuts(struct run *run)
{
    for (uint64_t tries = 1 + rng_below(run_rng(run), 3); tries > 0; tries--) {
        bool cut;
        fault_cut_at(run_disk(run), 1 + rng_below(run_rng(run), 50));
        if (try_open(run, &cut) != 0) {
            return 1;
        }
        run_abandon(run);
        fault_power_on(run_disk(run), random_loss(run_rng(run)), rng_next(run_rng(run)));
    }
    return 0;
}

static int start_again(struct run *run)
{
    bool cut;

    return try_open(run, &cut) != 0 || run_judge(run) != 0;
}

/* The database is open; some work later the power fails. */
static int go_on_and_cut(struct run *run)
{
    fault_cut_at(run_disk(run), 1 + rng_below(run_rng(run), 40));
    if (run_steps(run, 150) != 0 && !fault_is_cut(run_disk(run))) {
        return complain(run, "going on");
    }
    run_abandon(run);
    fault_power_on(run_disk(run), random_loss(run_rng(run)), rng_next(run_rng(run)));
    return 0;
}

/* A sync fails during restart or some time after; the process ends, as its user is told to, and is started again. */
static int fail_a_sync(struct run *run)
{
    bool during_open = rng_below(run_rng(run), 3) == 0;
    uint64_t n = 1 + rng_below(run_rng(run), during_open ? 6 : 20);

    if (during_open) {
        fault_fail_at(run_disk(run), FAULT_SYNC, n, EIO, false);
    }
    int rc = run_open(run);
    if (rc == 0) {
        fault_fail_at(run_disk(run), FAULT_SYNC, 0, 0, false);
        if (run_judge(run) != 0) {
            return 1;
        }
        fault_fail_at(run_disk(run), FAULT_SYNC, n, EIO, false);
        rc = run_steps(run, 150);
    }
    const char *state = run_error(run)->sqlstate;
    if (rc != 0 && strcmp(state, "58030") != 0 && strcmp(state, "08007") != 0) {
        return complain(run, "a sync fails");
    }
    run_abandon(run);
    fault_power_on(run_disk(run), FAULT_KILL, 1);
    return start_again(run);
}

static int final_look(struct run *run, bool close)
{
    if (start_again(run) != 0) {
        return 1;
    }
    if (!close) {
        return 0;
    }
    if (run_close(run) != 0) {
        return complain(run, "close");
    }
    return start_again(run);
}

static int try_kind(struct run *run, enum kind kind)
{
    static const enum fault_loss losses[KIND_COUNT] = {
        [LOSE] = FAULT_LOSE_ALL, [KEEP] = FAULT_KEEP_ALL, [RANDOM] = FAULT_KEEP_RANDOM, [KILL] = FAULT_KILL, [SYNC] = FAULT_KILL,
    };
    enum fault_loss loss = kind == AGAIN ? random_loss(run_rng(run)) : losses[kind];

    fault_power_on(run_disk(run), loss, rng_next(run_rng(run)));
    if (kind == KILL && (start_again(run) != 0 || go_on_and_cut(run) != 0)) {
        return 1;
    }
    if (kind == SYNC && (fail_a_sync(run) != 0 || go_on_and_cut(run) != 0)) {
        return 1;
    }
    if (kind == AGAIN && restart_under_cuts(run) != 0) {
        return 1;
    }
    return final_look(run, rng_below(run_rng(run), 8) == 0);
}

static void try_once(const struct moment *moment, struct vfs *disk, enum kind kind, uint64_t turn)
{
    struct run *run = run_new(disk, all.seed * 1000003 + moment->call * 64 + turn * 8 + kind);

    run_believe(run, moment->promise);
    int failures = try_kind(run, kind);
    run_abandon(run);
    run_free(run);
    os_vfs_destroy(disk);
    pthread_mutex_lock(&all.mutex);
    all.trials++;
    all.failures += (uint64_t)failures;
    pthread_mutex_unlock(&all.mutex);
    if (failures != 0) {
        fprintf(stderr, "FAILED: SEED=%llu CALL=%llu, kind %s, turn %llu\n", (unsigned long long)all.seed,
                (unsigned long long)moment->call, kind_names[kind], (unsigned long long)turn);
    }
}

/* How often this kind is tried at this call; the dear ones take turns when once is enough. */
static uint64_t turns_of(enum kind kind, uint64_t call)
{
    if (kind < RANDOM) {
        return 1;
    }
    return all.count == 1 && kind >= KILL && (uint64_t)kind != KILL + call % 3 ? 0 : all.count;
}

static void try_all_kinds(struct moment *moment)
{
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        uint64_t turns = turns_of((enum kind)kind, moment->call);
        for (uint64_t turn = 0; turn < turns; turn++) {
            try_once(moment, fault_copy(moment->disk), kind, turn);
        }
    }
    os_vfs_destroy(moment->disk);
    promise_free(moment->promise);
    free(moment);
}

/* ---- handing moments over ------------------------------------------------------------------------- */

static void *worker(void *arg)
{
    for (;;) {
        pthread_mutex_lock(&all.mutex);
        while (all.first == NULL && !all.over) {
            pthread_cond_wait(&all.changed, &all.mutex);
        }
        struct moment *moment = all.first;
        if (moment != NULL) {
            all.first = moment->next;
            all.waiting--;
            pthread_cond_broadcast(&all.changed);
        }
        pthread_mutex_unlock(&all.mutex);
        if (moment == NULL) {
            return NULL;
        }
        try_all_kinds(moment);
    }
}

static void hand_over(struct vfs *copy, void *arg)
{
    struct run *run = arg;
    struct moment *moment;

    all.calls++;
    if ((all.only_call != 0 && all.only_call != all.calls) || all.failures >= FAILURES_MAX) {
        os_vfs_destroy(copy);
        return;
    }
    moment = calloc(1, sizeof(*moment));
    if (moment == NULL) {
        abort();
    }
    moment->disk = copy;
    moment->call = all.calls;
    moment->promise = run_promise(run);
    pthread_mutex_lock(&all.mutex);
    while (all.waiting >= WORKERS) {
        pthread_cond_wait(&all.changed, &all.mutex);
    }
    struct moment **link = &all.first;
    while (*link != NULL) {
        link = &(*link)->next;
    }
    *link = moment;
    all.waiting++;
    pthread_cond_broadcast(&all.changed);
    pthread_mutex_unlock(&all.mutex);
}

/* ---- the run -------------------------------------------------------------------------------------- */

static void die(struct run *run, const char *what)
{
    complain(run, what);
    printf("%s seed=%llu count=%llu failures=1\n", workload_name, (unsigned long long)all.seed, (unsigned long long)all.trials);
    _exit(1);
}

/* The process dies with transactions in progress, and starts again. */
static void die_and_restart(struct run *run)
{
    run_abandon(run);
    fault_power_on(run_disk(run), FAULT_KILL, 1);
    fault_watch(run_disk(run), hand_over, run);
    if (run_open(run) != 0 || run_judge(run) != 0) {
        die(run, "restart");
    }
}

static void live(struct run *run, uint64_t steps)
{
    if (run_open(run) != 0 || run_steps(run, steps / 2) != 0) {
        die(run, "first life");
    }
    die_and_restart(run);
    if (run_steps(run, steps / 3) != 0 || run_close(run) != 0) {
        die(run, "second life");
    }
    run_settle(run);
    if (run_open(run) != 0 || run_steps(run, steps / 6) != 0 || run_close(run) != 0) {
        die(run, "third life");
    }
}

int main(void)
{
    pthread_t threads[WORKERS];

    all.seed = number_of_run("SEED", 1);
    all.count = number_of_run("COUNT", 1);
    all.only_call = number_of_run("CALL", 0);
    printf("%s seed=%llu\n", workload_name, (unsigned long long)all.seed);
    fflush(stdout);
    struct vfs *disk = fault_vfs_new(all.seed);
    struct run *run = run_new(disk, all.seed);
    fault_watch(disk, hand_over, run);
    for (int i = 0; i < WORKERS; i++) {
        pthread_create(&threads[i], NULL, worker, NULL);
    }
    live(run, number_of_run("STEPS", workload_steps));
    pthread_mutex_lock(&all.mutex);
    all.over = true;
    pthread_cond_broadcast(&all.changed);
    pthread_mutex_unlock(&all.mutex);
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
    }
    printf("%llu calls, ", (unsigned long long)all.calls);
    run_tell(run);
    if (all.only_call == 0 && getenv("STEPS") == NULL && (all.calls < CALLS_MIN || !run_was_worth_it(run))) {
        fprintf(stderr, "the workload did not use what it is meant to use\n");
        all.failures++;
    }
    printf("%s seed=%llu count=%llu failures=%llu\n", workload_name, (unsigned long long)all.seed, (unsigned long long)all.trials,
           (unsigned long long)all.failures);
    run_free(run);
    os_vfs_destroy(disk);
    return all.failures == 0 ? 0 : 1;
}
