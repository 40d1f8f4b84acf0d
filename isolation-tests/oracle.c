/* oracle.c -- see oracle.h. */
#include "isolation-tests/oracle.h"

#include <stdlib.h>
#include <string.h>

enum { TRANSACTIONS_MAX = 10 };

const char *const verdict_names[VERDICT_COUNT] = { "correct", "needed abort", "needless abort", "ANOMALY", "not judged" };

enum fate { COMMITTED, ROLLED_BACK, GIVEN_UP };

/* Consecutive steps of one session. */
struct transaction {
    int session;
    int count;
    int *positions;
    bool with_setup;        /* the session's setup has begun it */
    int begin, end;         /* as in struct outcome */
    enum fate fate;
};

struct trial {
    const struct target *target;
    const struct spec *spec;
    const struct run *run;
    struct transaction *transactions;   /* of the run, as they ended */
    int count;
    struct transaction *committed[TRANSACTIONS_MAX];
    int committed_count;
    const char *why;        /* it cannot be judged */
    bool broken;            /* no database for trials */
    struct engine *engine;  /* for trials; NULL: not open */
    struct link *control, **links;
};

/* ---- the transactions of a run --------------------------------------------------------------------------- */

static void add_step(struct transaction *transaction, const struct run *run, int position)
{
    const struct outcome *outcome = &run->outcomes[position];
    transaction->positions = must_alloc(transaction->positions, (size_t)transaction->count + 1, sizeof *transaction->positions);
    transaction->positions[transaction->count++] = position;
    transaction->end = outcome->end;
    if (reply_is_serialization_failure(&outcome->reply))
        transaction->fate = GIVEN_UP;
}

static void end_transaction(struct trial *trial, struct transaction *transaction)
{
    const struct reply *last = &trial->run->outcomes[transaction->positions[transaction->count - 1]].reply;
    bool committed = !last->failed && last->status == 'I' && !reply_last_tag_is(last, "ROLLBACK");
    if (transaction->fate != GIVEN_UP || committed)
        transaction->fate = committed ? COMMITTED : ROLLED_BACK;
    trial->transactions = must_alloc(trial->transactions, (size_t)trial->count + 1, sizeof *trial->transactions);
    trial->transactions[trial->count++] = *transaction;
    *transaction = (struct transaction){ 0 };
}

static bool ends_within(const struct reply *reply)
{
    return reply->tags && reply->status != 'I'
           && (strstr(reply->tags, "COMMIT;") || (strstr(reply->tags, "ROLLBACK;") && strstr(reply->tags, "BEGIN;")));
}

/* One session's steps, cut into transactions. */
static void split_session(struct trial *trial, int session)
{
    const struct run *run = trial->run;
    bool in_setup = run->setup_status[session] != 'I';
    struct transaction transaction = { 0 };
    for (int i = 0; i < run->order.count; i++) {
        const struct outcome *outcome = &run->outcomes[i];
        if (outcome->step->session != session || !outcome->completed)
            continue;
        if (outcome->canceled)
            trial->why = "a step was canceled";
        if (ends_within(&outcome->reply))
            trial->why = "a step ends one transaction and begins the next";
        if (transaction.count == 0)
            transaction = (struct transaction){ .session = session, .begin = in_setup ? 0 : outcome->begin, .fate = COMMITTED,
                                                .with_setup = in_setup };
        in_setup = false;
        add_step(&transaction, run, i);
        if (outcome->reply.status == 'I')
            end_transaction(trial, &transaction);
    }
    if (transaction.count > 0)
        end_transaction(trial, &transaction);
}

/* A statement that failed for the sake of others, and was then undone by ROLLBACK TO: alone it would not have failed. */
static bool lost_a_statement(const struct trial *trial, const struct transaction *transaction)
{
    for (int i = 0; i < transaction->count; i++) {
        const struct reply *reply = &trial->run->outcomes[transaction->positions[i]].reply;
        if (reply_is_serialization_failure(reply) || (reply->failed && strcmp(reply->sqlstate, "55P03") == 0))
            return true;
    }
    return false;
}

static int by_end(const void *a, const void *b)
{
    return (*(struct transaction *const *)a)->end - (*(struct transaction *const *)b)->end;
}

static void split(struct trial *trial)
{
    for (int s = 0; s < trial->spec->session_count; s++)
        split_session(trial, s);
    for (int i = 0; i < trial->count && !trial->why; i++) {
        if (trial->transactions[i].fate != COMMITTED)
            continue;
        if (lost_a_statement(trial, &trial->transactions[i]))
            trial->why = "a statement failed because of others and was undone by ROLLBACK TO";
        if (trial->committed_count == TRANSACTIONS_MAX)
            trial->why = "too many transactions committed";
        else
            trial->committed[trial->committed_count++] = &trial->transactions[i];
    }
    /* The order of commits is the likeliest, so it is the first that is tried. */
    qsort(trial->committed, (size_t)trial->committed_count, sizeof trial->committed[0], by_end);
}

/* ---- one serial order ------------------------------------------------------------------------------------ */

static bool run_quietly(struct engine *engine, struct link *link, const char *sql)
{
    struct reply reply = { 0 };
    if (sql)
        engine->run(link, sql, &reply);
    bool good = !reply.failed;
    reply_free(&reply);
    return good;
}

static bool replay(struct trial *trial, struct engine *engine, struct link *link, const struct transaction *transaction)
{
    if (transaction->with_setup && !run_quietly(engine, link, trial->spec->sessions[transaction->session].setup))
        return false;
    bool same = true;
    for (int i = 0; i < transaction->count && same; i++) {
        const struct outcome *outcome = &trial->run->outcomes[transaction->positions[i]];
        struct reply reply;
        engine->run(link, outcome->step->sql, &reply);
        same = reply_same(&reply, &outcome->reply);
        reply_free(&reply);
    }
    return same;
}

/* Runs the committed transactions in this order.  Returns how many of them had the replies that they had in the run; one more than all
 * when the tables are left as they were, too. */
static int run_serially(struct trial *trial, const int *order)
{
    struct engine *engine = trial->engine;
    struct link *control = trial->control, **links = trial->links;
    const struct spec *spec = trial->spec;
    int same = 0;
    for (int i = 0; i < spec->setup_count; i++)
        run_quietly(engine, control, spec->setups[i]);
    for (int s = 0; s < spec->session_count; s++)
        if (trial->run->setup_status[s] == 'I')
            run_quietly(engine, links[s], spec->sessions[s].setup);
    while (same < trial->committed_count) {
        const struct transaction *next = trial->committed[order[same]];
        if (!replay(trial, engine, links[next->session], next))
            break;
        same++;
    }
    if (same == trial->committed_count) {
        struct reply tables;
        read_tables(engine, control, &tables);
        same += reply_same(&tables, &trial->run->final);
        reply_free(&tables);
    }
    for (int s = 0; s < spec->session_count; s++) {
        run_quietly(engine, links[s], "ROLLBACK");
        run_quietly(engine, links[s], spec->sessions[s].teardown);
    }
    run_quietly(engine, control, spec->teardown);
    return same;
}

/* Opens the database for trials, once for all orders if the spec takes away what it has made. */
static bool open_stage(struct trial *trial)
{
    static const struct link_events none;
    int sessions = trial->spec->session_count;
    if (trial->engine)
        return true;
    trial->engine = engine_open(trial->target);
    if (!trial->engine)
        return false;
    trial->control = trial->engine->connect(trial->engine, &none);
    trial->links = must_alloc(NULL, (size_t)sessions, sizeof *trial->links);
    bool good = trial->control != NULL;
    for (int s = 0; s < sessions; s++) {
        trial->links[s] = good ? trial->engine->connect(trial->engine, &none) : NULL;
        good = good && trial->links[s] != NULL;
    }
    return good;
}

static void close_stage(struct trial *trial)
{
    if (!trial->engine)
        return;
    for (int s = 0; s < trial->spec->session_count; s++)
        trial->engine->disconnect(trial->links[s]);
    trial->engine->disconnect(trial->control);
    trial->engine->close(trial->engine);
    free(trial->links);
    trial->engine = NULL;
}

static void free_trial(struct trial *trial)
{
    close_stage(trial);
    for (int i = 0; i < trial->count; i++)
        free(trial->transactions[i].positions);
    free(trial->transactions);
}

static int try_order(struct trial *trial, const int *order)
{
    if (!open_stage(trial)) {
        trial->broken = true;
        return 0;
    }
    int same = run_serially(trial, order);
    if (!trial->spec->teardown)
        close_stage(trial);
    return same;
}

/* ---- all serial orders ----------------------------------------------------------------------------------- */

/* The first place of the order at which real time is broken; count: nowhere. */
static int first_too_early(const struct trial *trial, const int *order)
{
    int count = trial->committed_count;
    for (int i = 0; i < count; i++)
        for (int j = i + 1; j < count; j++)
            if (trial->committed[order[j]]->end <= trial->committed[order[i]]->begin)
                return i;
    return count;
}

/* The next order that differs from this one at `place` or before it. */
static bool next_order(int *order, int count, int place)
{
    for (int i = place; i >= 0; i--) {
        int best = -1;
        for (int j = i + 1; j < count; j++)
            if (order[j] > order[i] && (best < 0 || order[j] < order[best]))
                best = j;
        if (best < 0)
            continue;
        int chosen = order[best];
        order[best] = order[i];
        order[i] = chosen;
        for (int a = i + 1; a < count; a++)
            for (int b = a + 1; b < count; b++)
                if (order[b] < order[a]) {
                    int swap = order[a];
                    order[a] = order[b];
                    order[b] = swap;
                }
        return true;
    }
    return false;
}

/* Looks for an order that explains the run. */
static bool is_explained(struct trial *trial, bool strict)
{
    int order[TRANSACTIONS_MAX], count = trial->committed_count;
    for (int i = 0; i < count; i++)
        order[i] = i;
    for (;;) {
        int place = strict ? first_too_early(trial, order) : count;
        if (place == count) {
            int same = try_order(trial, order);
            if (same == count + 1)
                return true;
            place = same < count ? same : count - 1;
        }
        if (trial->broken || count == 0 || !next_order(order, count, place))
            return false;
    }
}

/* ---- were the aborts needed? ----------------------------------------------------------------------------- */

/* For each position what to run in its place, so that the chosen ones of those given up end by ROLLBACK. */
static const char **roll_back_chosen(const struct trial *trial, unsigned chosen)
{
    size_t count = (size_t)trial->run->order.count;
    const char **instead = memset(must_alloc(NULL, count, sizeof *instead), 0, count * sizeof *instead);
    for (int i = 0, victim = 0; i < trial->count; i++) {
        const struct transaction *transaction = &trial->transactions[i];
        if (transaction->fate != GIVEN_UP || !(chosen >> victim++ & 1))
            continue;
        int last = transaction->positions[transaction->count - 1];
        instead[last] = trial->run->outcomes[last].before == 'I' ? "" : "ROLLBACK";
    }
    return instead;
}

static int count_bits(unsigned bits)
{
    int count = 0;
    for (; bits != 0; bits &= bits - 1)
        count++;
    return count;
}

/* Those who were given up in the run although nobody had chosen them. */
static int count_others(const struct trial *trial, const char *const *instead)
{
    int count = 0;
    for (int i = 0; i < trial->count; i++) {
        const struct transaction *transaction = &trial->transactions[i];
        count += transaction->fate == GIVEN_UP && !instead[transaction->positions[transaction->count - 1]];
    }
    return count;
}

/* The permutation at REPEATABLE READ, with the chosen victims rolled back: are fewer lost there, and is it explained? */
static bool is_fine_without(struct trial *trial, const struct spec *lower, unsigned chosen, int given_up)
{
    struct engine *engine = engine_open(trial->target);
    struct runner *runner = engine ? runner_open(engine, lower) : NULL;
    struct order order = order_in(lower, &trial->run->order);
    const char **instead = roll_back_chosen(trial, chosen);
    struct run_options options = { .want_final = true, .instead = instead };
    struct run run = { 0 };
    struct trial again = { .target = trial->target, .spec = lower, .run = &run };
    bool fine = false;
    trial->broken = runner == NULL;
    if (runner && runner_run(runner, &order, &options, &run)) {
        split(&again);
        fine = count_bits(chosen) + count_others(&again, instead) < given_up && !again.why;
    }
    if (runner)
        runner_close(runner);
    if (engine)
        engine->close(engine);
    fine = fine && is_explained(&again, true);
    free_trial(&again);
    run_free(&run);
    free(instead);
    free(order.steps);
    return fine;
}

static bool are_needed(struct trial *trial, int given_up)
{
    struct spec *lower = spec_at_level(trial->spec, REPEATABLE_READ);
    bool needed = true;
    unsigned all = (1u << given_up) - 1;
    for (unsigned chosen = 0; chosen < all && needed && !trial->broken; chosen++)
        needed = !is_fine_without(trial, lower, chosen, given_up);
    spec_free(lower);
    return needed;
}

/* Whose replies tell who else held a lock just then, which no serial order can explain. */
static bool asks_about_locks(const struct trial *trial)
{
    for (int i = 0; i < trial->committed_count; i++)
        for (int k = 0; k < trial->committed[i]->count; k++) {
            const char *sql = trial->run->outcomes[trial->committed[i]->positions[k]].step->sql;
            if (strstr(sql, "SKIP LOCKED") || strstr(sql, "pg_advisory") || strstr(sql, "pg_try_advisory"))
                return true;
        }
    return false;
}

bool oracle_judge(const struct target *target, const struct spec *spec, const struct run *run, struct judgement *judgement)
{
    struct trial trial = { .target = target, .spec = spec, .run = run };
    split(&trial);
    *judgement = (struct judgement){ .committed = trial.committed_count };
    for (int i = 0; i < trial.count; i++)
        judgement->given_up += trial.transactions[i].fate == GIVEN_UP;
    if (!trial.why && judgement->given_up > 8)
        trial.why = "too many transactions were given up";
    if (trial.why) {
        judgement->verdict = NOT_JUDGED;
        judgement->why = trial.why;
    } else if (!is_explained(&trial, true)) {
        bool locks = asks_about_locks(&trial);
        judgement->verdict = locks ? NOT_JUDGED : ANOMALY;
        judgement->why = locks ? "a reply may tell which locks others held (SKIP LOCKED, advisory locks)" : NULL;
        judgement->plain = !locks && is_explained(&trial, false);
    } else if (judgement->given_up == 0) {
        judgement->verdict = CORRECT;
    } else {
        judgement->verdict = are_needed(&trial, judgement->given_up) ? NEEDED_ABORT : NEEDLESS_ABORT;
    }
    free_trial(&trial);
    return !trial.broken;
}
