/* runner.c -- see runner.h. */
#include "isolation-tests/runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct runner {
    struct engine *engine;
    const struct spec *spec;
    struct link *control;
    struct crew crew;
    int *active;                /* for each session the position of its step in progress, or -1 */
    int *waiting, waiting_count;    /* positions */
    /* of the permutation in progress */
    const struct run_options *options;
    struct run *run;
};

/* ---- events ---------------------------------------------------------------------------------------------- */

static void tell(struct runner *runner, struct event what)
{
    struct run *run = runner->run;
    run->events = must_alloc(run->events, (size_t)run->event_count + 1, sizeof *run->events);
    struct event *event = &run->events[run->event_count++];
    *event = what;
    if (runner->options->report)
        runner->options->report(runner->options->arg, run, event);
}

static struct session *session_at(struct runner *runner, int position)
{
    return runner->crew.sessions[runner->run->order.steps[position].step->session];
}

static void tell_notices(struct runner *runner, struct session *session)
{
    if (session->notices) {
        tell(runner, (struct event){ EVENT_NOTICES, -1, .text = session->notices });
        session->notices = NULL;
    }
}

/* ---- steps ----------------------------------------------------------------------------------------------- */

static bool marker_holds_back(struct runner *runner, const struct permutation_step *step)
{
    for (int i = 0; i < step->marker_count; i++) {
        const struct marker *marker = &step->markers[i];
        if (marker->kind == MARKER_ONCE)
            continue;
        int other = marker->step->session, active = runner->active[other];
        if (marker->kind == MARKER_STEP && active >= 0 && runner->run->order.steps[active].step == marker->step)
            return true;
        if (marker->kind == MARKER_NOTICES && runner->crew.sessions[other]->notice_count < marker->notices)
            return true;
    }
    return false;
}

static bool has_once_marker(const struct permutation_step *step)
{
    for (int i = 0; i < step->marker_count; i++)
        if (step->markers[i].kind == MARKER_ONCE)
            return true;
    return false;
}

/* Reports the step if it has completed.  True while it must wait. */
static bool try_complete(struct runner *runner, int position, bool retry)
{
    const struct permutation_step *step = &runner->run->order.steps[position];
    struct outcome *outcome = &runner->run->outcomes[position];
    struct session *session = session_at(runner, position);
    crew_settle(&runner->crew);
    tell_notices(runner, session);
    if ((!retry && has_once_marker(step)) || !session->done
        || (!outcome->released && marker_holds_back(runner, step))) {
        if (!retry) {
            outcome->waited = true;
            tell(runner, (struct event){ EVENT_WAITING, .position = position });
        }
        return true;
    }
    outcome->reply = crew_take(session);
    outcome->completed = true;
    outcome->end = runner->run->event_count + 1;
    runner->active[step->step->session] = -1;
    tell(runner, (struct event){ retry ? EVENT_RESUMED : EVENT_COMPLETED, .position = position });
    return false;
}

/* Reports those waiting steps that have completed, again as long as one of them held another back. */
static void complete_waiting(struct runner *runner)
{
    bool again;
    do {
        int before = runner->waiting_count;
        bool held_back = false;
        for (int i = 0; i < runner->waiting_count;) {
            if (try_complete(runner, runner->waiting[i], true)) {
                held_back |= runner->run->order.steps[runner->waiting[i]].marker_count > 0;
                i++;
            } else {
                runner->waiting_count--;
                memmove(runner->waiting + i, runner->waiting + i + 1,
                        (size_t)(runner->waiting_count - i) * sizeof *runner->waiting);
            }
        }
        again = held_back && runner->waiting_count < before;
    } while (again);
}

/* A step that nobody will release: its session is to do something else, or the permutation is over. */
static void end_wait(struct runner *runner, int position)
{
    runner->run->outcomes[position].released = true;
    if (crew_wait(session_at(runner, position)))
        return;
    fprintf(stderr, "step %s is blocked and nothing will release it: canceled\n", runner->run->order.steps[position].name);
    runner->run->outcomes[position].canceled = true;
    crew_cancel(session_at(runner, position));
}

static void launch(struct runner *runner, int position)
{
    const struct step *step = runner->run->order.steps[position].step;
    const char *sql = runner->options->instead ? runner->options->instead[position] : NULL;
    struct outcome *outcome = &runner->run->outcomes[position];
    complete_waiting(runner);
    if (runner->active[step->session] >= 0) {
        end_wait(runner, runner->active[step->session]);
        complete_waiting(runner);
    }
    outcome->before = runner->run->setup_status[step->session];
    for (int i = 0; i < position; i++)
        if (runner->run->outcomes[i].completed && runner->run->order.steps[i].step->session == step->session)
            outcome->before = runner->run->outcomes[i].reply.status;
    outcome->launched = true;
    outcome->begin = runner->run->event_count;
    runner->active[step->session] = position;
    crew_start(session_at(runner, position), sql ? sql : step->sql);
    bool blocked = try_complete(runner, position, false);
    complete_waiting(runner);
    if (blocked)
        runner->waiting[runner->waiting_count++] = position;
}

/* ---- a permutation --------------------------------------------------------------------------------------- */

/* A setup or teardown, where there is one.  Of what it shows only the last table is told, as by PostgreSQL's tester. */
static bool run_block(struct runner *runner, struct link *link, const char *sql, const char *what, const char *name)
{
    struct reply reply = { 0 };
    if (!sql)
        return true;
    pthread_mutex_unlock(&runner->crew.mutex);      /* notices and waits are told by this very thread */
    runner->engine->run(link, sql, &reply);
    pthread_mutex_lock(&runner->crew.mutex);
    bool good = !reply.failed;
    reply_keep_last(&reply);
    if (good)
        tell(runner, (struct event){ EVENT_BLOCK, -1, .reply = reply });
    else
        fprintf(stderr, "%s%s failed: %s:  %s\n", what, name, reply.severity, reply.message);
    if (!good)
        reply_free(&reply);
    return good;
}

static bool run_session_setup(struct runner *runner, int number)
{
    const struct spec_session *session = &runner->spec->sessions[number];
    bool good = run_block(runner, runner->crew.sessions[number]->link, session->setup, "setup of session ", session->name);
    if (good && session->setup)
        runner->run->setup_status[number] = runner->run->events[runner->run->event_count - 1].reply.status;
    tell_notices(runner, runner->crew.sessions[number]);
    return good;
}

static void begin_run(struct runner *runner, const struct order *order, struct run *run)
{
    size_t steps = (size_t)order->count, sessions = (size_t)runner->spec->session_count;
    *run = (struct run){ .spec = runner->spec, .order.count = order->count };
    run->order.steps = memcpy(must_alloc(NULL, steps, sizeof *order->steps), order->steps, steps * sizeof *order->steps);
    run->outcomes = memset(must_alloc(NULL, steps, sizeof *run->outcomes), 0, steps * sizeof *run->outcomes);
    run->setup_status = memset(must_alloc(NULL, sessions, 1), 'I', sessions);
    for (size_t i = 0; i < steps; i++)
        run->outcomes[i].step = order->steps[i].step;
    runner->run = run;
    runner->waiting = must_alloc(runner->waiting, steps, sizeof *runner->waiting);
    runner->waiting_count = 0;
    for (size_t i = 0; i < sessions; i++)
        runner->active[i] = -1;
}

bool runner_run(struct runner *runner, const struct order *order, const struct run_options *options, struct run *run)
{
    const struct spec *spec = runner->spec;
    bool good = true;
    runner->options = options;
    begin_run(runner, order, run);
    for (int i = 0; i < spec->setup_count && good; i++)
        good = run_block(runner, runner->control, spec->setups[i], "setup", "");
    for (int i = 0; i < spec->session_count && good; i++)
        good = run_session_setup(runner, i);
    for (int i = 0; i < order->count && good; i++)
        if (!options->instead || !options->instead[i] || options->instead[i][0] != '\0')
            launch(runner, i);
    complete_waiting(runner);
    while (runner->waiting_count > 0) {
        end_wait(runner, runner->waiting[0]);
        complete_waiting(runner);
    }
    if (good && options->want_final)
        read_tables(runner->engine, runner->control, &run->final);
    for (int i = 0; i < spec->session_count; i++)
        run_block(runner, runner->crew.sessions[i]->link, spec->sessions[i].teardown, "teardown of session ",
                  spec->sessions[i].name);
    run_block(runner, runner->control, spec->teardown, "teardown", "");
    return good;
}

void run_free(struct run *run)
{
    for (int i = 0; i < run->order.count; i++)
        reply_free(&run->outcomes[i].reply);
    for (int i = 0; i < run->event_count; i++) {
        free(run->events[i].text);
        reply_free(&run->events[i].reply);
    }
    free(run->order.steps);
    free(run->outcomes);
    free(run->setup_status);
    free(run->events);
    reply_free(&run->final);
    *run = (struct run){ 0 };
}

void read_tables(struct engine *engine, struct link *link, struct reply *reply)
{
    struct reply names;
    *reply = (struct reply){ 0 };
    engine->run(link, "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
                      " WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'isolde') ORDER BY 1, 2", &names);
    if (names.failed)
        fprintf(stderr, "tables cannot be listed: %s\n", names.message);
    for (int i = 0; !names.failed && i < names.tables[0].rows; i++) {
        char **name = &names.tables[0].cells[i * 2];
        size_t len = strlen(name[0]) + strlen(name[1]) + 32;
        char *sql = must_alloc(NULL, len, 1);
        struct reply contents;
        snprintf(sql, len, "SELECT * FROM \"%s\".\"%s\"", name[0], name[1]);
        engine->run(link, sql, &contents);
        free(sql);
        if (contents.table_count == 1) {
            *reply_add_table(reply, 0) = contents.tables[0];
            contents.table_count = 0;
        }
        reply_add_tag(reply, name[1]);
        reply_free(&contents);
    }
    reply_free(&names);
}

/* ---- open and close -------------------------------------------------------------------------------------- */

static bool set_level(struct runner *runner, struct session *session)
{
    char setting[80];
    struct reply reply;
    if (runner->spec->level == LEVEL_AS_WRITTEN)
        return true;
    snprintf(setting, sizeof setting, "SET default_transaction_isolation = '%s'", level_names[runner->spec->level]);
    runner->engine->run(session->link, setting, &reply);
    bool good = !reply.failed;
    if (!good)
        fprintf(stderr, "%s\n", reply.message);
    reply_free(&reply);
    return good;
}

struct runner *runner_open(struct engine *engine, const struct spec *spec)
{
    static const struct link_events none;
    struct runner *runner = must_alloc(NULL, 1, sizeof *runner);
    *runner = (struct runner){ .engine = engine, .spec = spec, .control = engine->connect(engine, &none) };
    runner->active = must_alloc(NULL, (size_t)spec->session_count, sizeof *runner->active);
    crew_open(&runner->crew, engine);
    bool good = runner->control != NULL;
    for (int i = 0; i < spec->session_count && good; i++) {
        struct session *session = crew_add(&runner->crew, spec->sessions[i].name);
        good = session != NULL && set_level(runner, session);
    }
    if (good)
        return runner;
    runner_close(runner);
    return NULL;
}

void runner_close(struct runner *runner)
{
    crew_close(&runner->crew);
    runner->engine->disconnect(runner->control);
    free(runner->active);
    free(runner->waiting);
    free(runner);
}

/* ---- permutations ---------------------------------------------------------------------------------------- */

void walk_begin(struct walk *walk, const struct spec *spec)
{
    *walk = (struct walk){ .spec = spec };
    for (int s = 0; s < spec->session_count; s++)
        walk->total += spec->sessions[s].step_count;
    walk->sessions = must_alloc(NULL, (size_t)walk->total, sizeof *walk->sessions);
    walk->steps = must_alloc(NULL, (size_t)walk->total, sizeof *walk->steps);
    for (int s = 0, i = 0; s < spec->session_count; s++)
        for (int j = 0; j < spec->sessions[s].step_count; j++)
            walk->sessions[i++] = s;
}

/* The next arrangement in lexicographic order; false after the last. */
static bool rearrange(int *numbers, int count)
{
    int i = count - 2, j = count - 1;
    while (i >= 0 && numbers[i] >= numbers[i + 1])
        i--;
    if (i < 0)
        return false;
    while (numbers[j] <= numbers[i])
        j--;
    int swap = numbers[i];
    numbers[i] = numbers[j];
    numbers[j] = swap;
    for (i++, j = count - 1; i < j; i++, j--) {
        swap = numbers[i];
        numbers[i] = numbers[j];
        numbers[j] = swap;
    }
    return true;
}

bool walk_next(struct walk *walk, struct order *order)
{
    const struct spec *spec = walk->spec;
    int number = walk->next++;
    if (spec->permutation_count > 0) {
        if (number == spec->permutation_count)
            return false;
        *order = (struct order){ spec->permutations[number].step_count, spec->permutations[number].steps };
        return true;
    }
    if (number > 0 && !rearrange(walk->sessions, walk->total))
        return false;
    int *used = memset(must_alloc(NULL, (size_t)spec->session_count, sizeof *used), 0, (size_t)spec->session_count * sizeof *used);
    for (int i = 0; i < walk->total; i++) {
        int session = walk->sessions[i];
        struct step *step = spec->sessions[session].steps[used[session]++];
        walk->steps[i] = (struct permutation_step){ .name = step->name, .step = step };
    }
    free(used);
    *order = (struct order){ walk->total, walk->steps };
    return true;
}

void walk_end(struct walk *walk)
{
    free(walk->sessions);
    free(walk->steps);
}

struct order order_in(const struct spec *spec, const struct order *order)
{
    struct order result = { order->count, must_alloc(NULL, (size_t)order->count, sizeof *order->steps) };
    for (int i = 0; i < order->count; i++) {
        struct step *step = spec_step(spec, order->steps[i].name);
        result.steps[i] = (struct permutation_step){ .name = step->name, .step = step };
    }
    return result;
}
