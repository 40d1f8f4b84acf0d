/* runner.c -- see runner.h. */
#include "isolation-tests/runner.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Text that a session's thread prepares and the director prints. */
struct output {
    char *data;
    size_t len;
};

struct runner;

struct session {
    struct runner *runner;
    const char *name;
    isolde_conn *conn;
    pthread_t thread;
    /* guarded by runner->mutex */
    const char *sql;            /* to be run, or being run; NULL when idle */
    bool done;                  /* the statement has completed and its output waits to be printed */
    bool quit;
    struct output results, notices;
    int notice_count;           /* since the step of this session was launched */
    /* the director's alone */
    struct permutation_step *active;
};

struct runner {
    struct spec *spec;
    FILE *out;
    isolde_conn *control;
    pthread_mutex_t mutex;
    pthread_cond_t work;        /* a session has something to do */
    pthread_cond_t change;      /* a step completed, began to wait or ceased to wait */
    struct session *sessions;
    struct permutation_step **waiting;
    int waiting_count;
};

static void add(struct output *output, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct output *output, const char *format, ...)
{
    va_list args;
    char *text = NULL;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    output->data = len < 0 ? NULL : realloc(output->data, output->len + (size_t)len + 1);
    if (!output->data)
        abort();
    memcpy(output->data + output->len, text, (size_t)len + 1);
    output->len += (size_t)len;
    free(text);
}

static void print_output(FILE *out, struct output *output)
{
    if (output->data)
        fputs(output->data, out);
    free(output->data);
    *output = (struct output){ 0 };
}

/* ---- results ------------------------------------------------------------------------------------------ */

/* A column is flush right when every value looks like a number. */
static bool looks_numeric(const char *value)
{
    size_t len = strlen(value);
    return len == 0 || (value[strspn(value, "0123456789.Ee -")] == '\0' && value[0] != 'E' && value[0] != 'e'
                        && value[len - 1] >= '0' && value[len - 1] <= '9');
}

static void add_table(struct output *output, char **cells, int rows, int columns)
{
    int *widths = calloc((size_t)columns + 1, sizeof *widths);
    bool *text = calloc((size_t)columns + 1, sizeof *text);
    if (!widths || !text)
        abort();
    for (int r = 0; r <= rows; r++)
        for (int c = 0; c < columns; c++) {
            const char *cell = cells[r * columns + c];
            int width = (int)strlen(cell);
            widths[c] = width > widths[c] ? width : widths[c];
            text[c] |= r > 0 && !looks_numeric(cell);
        }
    for (int r = 0; r <= rows; r++) {
        for (int c = 0; c < columns; c++)
            add(output, text[c] ? "%s%-*s" : "%s%*s", c ? "|" : "", widths[c], cells[r * columns + c]);
        add(output, "\n");
        for (int c = 0; r == 0 && c < columns; c++) {
            add(output, "%s", c ? "+" : "");
            for (int i = 0; i < widths[c]; i++)
                add(output, "-");
        }
        if (r == 0)
            add(output, "\n");
    }
    add(output, "(%d row%s)\n\n", rows, rows == 1 ? "" : "s");
    free(widths);
    free(text);
}

/* Runs one prepared statement; its rows are printed as a table.  Returns ISOLDE_DONE or an error. */
static int run_statement(isolde_stmt *stmt, struct output *output)
{
    int columns = isolde_column_count(stmt), rows = 0, result;
    char **cells = calloc((size_t)columns + 1, sizeof *cells);
    for (int c = 0; c < columns && cells; c++)
        cells[c] = strdup(isolde_column_name(stmt, c));
    while ((result = isolde_step(stmt)) == ISOLDE_ROW) {
        rows++;
        cells = realloc(cells, (size_t)(rows + 1) * (size_t)(columns + 1) * sizeof *cells);
        if (!cells)
            abort();
        for (int c = 0; c < columns; c++) {
            const char *value = isolde_column_text(stmt, c);
            cells[rows * columns + c] = strdup(value ? value : "");
        }
    }
    if (result == ISOLDE_DONE && columns > 0)
        add_table(output, cells, rows, columns);
    for (int i = 0; i < (rows + 1) * columns; i++)
        free(cells[i]);
    free(cells);
    return result;
}

/* All statements of a text, as one request.  False after an error, which is in the output. */
static bool run_sql(isolde_conn *conn, const char *sql, struct output *output)
{
    int result = ISOLDE_DONE;
    isolde_group_begin(conn);
    while (result == ISOLDE_DONE && sql[strspn(sql, " \t\r\n;")]) {
        isolde_stmt *stmt = NULL;
        result = isolde_prepare(conn, sql, -1, &stmt);
        if (result == ISOLDE_OK) {
            sql += isolde_tail(stmt);
            result = run_statement(stmt, output);
        }
        if (result != ISOLDE_DONE) {
            const isolde_err *err = isolde_error(conn);
            add(output, "%s:  %s\n", isolde_error_severity(err), isolde_error_message(err));
        }
        isolde_finalize(stmt);
    }
    bool ended = isolde_group_end(conn) == ISOLDE_OK;
    if (!ended && result == ISOLDE_DONE) {
        const isolde_err *err = isolde_error(conn);
        add(output, "%s:  %s\n", isolde_error_severity(err), isolde_error_message(err));
    }
    return result == ISOLDE_DONE && ended;
}

/* ---- a session's thread --------------------------------------------------------------------------------- */

static void on_notice(void *arg, const isolde_err *notice)
{
    struct session *session = arg;
    pthread_mutex_lock(&session->runner->mutex);
    add(&session->notices, "%s: %s:  %s\n", session->name, isolde_error_severity(notice), isolde_error_message(notice));
    session->notice_count++;
    pthread_mutex_unlock(&session->runner->mutex);
}

static void on_wait(void *arg, int waiting)
{
    struct session *session = arg;
    (void)waiting;
    pthread_mutex_lock(&session->runner->mutex);
    pthread_cond_signal(&session->runner->change);
    pthread_mutex_unlock(&session->runner->mutex);
}

static void *session_thread(void *arg)
{
    struct session *session = arg;
    struct runner *runner = session->runner;
    pthread_mutex_lock(&runner->mutex);
    for (;;) {
        while (!session->quit && (!session->sql || session->done))
            pthread_cond_wait(&runner->work, &runner->mutex);
        if (session->quit)
            break;
        const char *sql = session->sql;
        struct output results = { 0 };
        pthread_mutex_unlock(&runner->mutex);
        run_sql(session->conn, sql, &results);
        pthread_mutex_lock(&runner->mutex);
        session->results = results;
        session->done = true;
        pthread_cond_signal(&runner->change);
    }
    pthread_mutex_unlock(&runner->mutex);
    return NULL;
}

/* ---- the director ---------------------------------------------------------------------------------------- */

static bool is_running(struct session *session)
{
    return session->sql && !session->done && !isolde_waiting(session->conn);
}

/* R1: until every launched step has completed or is blocked.  Called with the mutex held. */
static void settle(struct runner *runner)
{
    for (int i = 0; i < runner->spec->session_count; i++)
        while (is_running(&runner->sessions[i])) {
            pthread_cond_wait(&runner->change, &runner->mutex);
            i = 0;
        }
}

static struct session *session_of(struct runner *runner, const struct permutation_step *step)
{
    return &runner->sessions[step->step->session];
}

static bool marker_holds_back(struct runner *runner, const struct permutation_step *step)
{
    for (int i = 0; i < step->marker_count; i++) {
        const struct marker *marker = &step->markers[i];
        if (marker->kind == MARKER_ONCE)
            continue;
        struct session *other = &runner->sessions[marker->step->session];
        if (marker->kind == MARKER_STEP && other->active && other->active->step == marker->step)
            return true;
        if (marker->kind == MARKER_NOTICES && other->notice_count < marker->notices)
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

/* Reports the step if it has completed.  True while it must wait. Called with the mutex held. */
static bool try_complete(struct runner *runner, struct permutation_step *step, bool retry)
{
    struct session *session = session_of(runner, step);
    settle(runner);
    print_output(runner->out, &session->notices);
    if ((!retry && has_once_marker(step)) || !session->done || marker_holds_back(runner, step)) {
        if (!retry)
            fprintf(runner->out, "step %s: %s <waiting ...>\n", step->name, step->step->sql);
        return true;
    }
    if (retry)
        fprintf(runner->out, "step %s: <... completed>\n", step->name);
    else
        fprintf(runner->out, "step %s: %s\n", step->name, step->step->sql);
    print_output(runner->out, &session->results);
    session->sql = NULL;
    session->done = false;
    session->active = NULL;
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
                held_back |= runner->waiting[i]->marker_count > 0;
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

/* A step that can never go on: its session is to do something else, or the permutation is over. */
static void cancel(struct runner *runner, struct permutation_step *step)
{
    struct session *session = session_of(runner, step);
    fprintf(stderr, "step %s is blocked and nothing will release it: canceled\n", step->name);
    while (session->sql && !session->done) {
        isolde_interrupt(session->conn);
        pthread_cond_wait(&runner->change, &runner->mutex);
    }
    step->marker_count = 0;
}

static void launch(struct runner *runner, struct permutation_step *step)
{
    struct session *session = session_of(runner, step);
    complete_waiting(runner);
    if (session->active) {
        cancel(runner, session->active);
        complete_waiting(runner);
    }
    session->active = step;
    session->sql = step->step->sql;
    session->done = false;
    for (int i = 0; i < runner->spec->session_count; i++)
        runner->sessions[i].notice_count = 0;
    pthread_cond_broadcast(&runner->work);
    bool blocked = try_complete(runner, step, false);
    complete_waiting(runner);
    if (blocked)
        runner->waiting[runner->waiting_count++] = step;
}

static bool run_block(struct runner *runner, isolde_conn *conn, const char *sql, const char *what, const char *name)
{
    struct output output = { 0 };
    bool good = !sql || run_sql(conn, sql, &output);
    if (good)
        print_output(runner->out, &output);
    else
        fprintf(stderr, "%s%s failed: %s", what, name, output.data);
    free(output.data);
    return good;
}

static bool run_permutation(struct runner *runner, struct permutation_step **steps, int count)
{
    struct spec *spec = runner->spec;
    bool good = true;
    fprintf(runner->out, "\nstarting permutation:");
    for (int i = 0; i < count; i++)
        fprintf(runner->out, " %s", steps[i]->name);
    fputs("\n", runner->out);
    for (int i = 0; i < spec->setup_count && good; i++)
        good = run_block(runner, runner->control, spec->setups[i], "setup", "");
    for (int i = 0; i < spec->session_count && good; i++)
        good = run_block(runner, runner->sessions[i].conn, spec->sessions[i].setup, "setup of session ", spec->sessions[i].name);
    if (good) {
        pthread_mutex_lock(&runner->mutex);
        runner->waiting_count = 0;
        for (int i = 0; i < count; i++)
            launch(runner, steps[i]);
        complete_waiting(runner);
        while (runner->waiting_count > 0) {
            cancel(runner, runner->waiting[0]);
            complete_waiting(runner);
        }
        pthread_mutex_unlock(&runner->mutex);
    }
    for (int i = 0; i < spec->session_count; i++)
        run_block(runner, runner->sessions[i].conn, spec->sessions[i].teardown, "teardown of session ", spec->sessions[i].name);
    run_block(runner, runner->control, spec->teardown, "teardown", "");
    fflush(runner->out);
    return good;
}

/* All interleavings that keep the order of each session's steps. */
static bool run_interleavings(struct runner *runner, struct permutation_step *all, struct permutation_step **steps, int depth,
                              int total, int *next)
{
    bool found = false;
    for (int s = 0, base = 0; s < runner->spec->session_count; base += runner->spec->sessions[s].step_count, s++) {
        if (next[s] == runner->spec->sessions[s].step_count)
            continue;
        found = true;
        steps[depth] = &all[base + next[s]++];
        if (!run_interleavings(runner, all, steps, depth + 1, total, next))
            return false;
        next[s]--;
    }
    return found || run_permutation(runner, steps, total);
}

static bool run_all(struct runner *runner)
{
    struct spec *spec = runner->spec;
    int total = 0;
    bool good;
    for (int s = 0; s < spec->session_count; s++)
        total += spec->sessions[s].step_count;
    struct permutation_step *all = calloc((size_t)total, sizeof *all);
    struct permutation_step **steps = calloc((size_t)total, sizeof *steps);
    int *next = calloc((size_t)spec->session_count, sizeof *next);
    if (!all || !steps || !next)
        abort();
    for (int s = 0, i = 0; s < spec->session_count; s++)
        for (int j = 0; j < spec->sessions[s].step_count; j++, i++) {
            all[i].step = spec->sessions[s].steps[j];
            all[i].name = all[i].step->name;
        }
    good = run_interleavings(runner, all, steps, 0, total, next);
    free(all);
    free(steps);
    free(next);
    return good;
}

static bool run_listed(struct runner *runner)
{
    bool good = true;
    for (int i = 0; i < runner->spec->permutation_count && good; i++) {
        struct permutation *permutation = &runner->spec->permutations[i];
        struct permutation_step **steps = calloc((size_t)permutation->step_count, sizeof *steps);
        if (!steps)
            abort();
        for (int j = 0; j < permutation->step_count; j++)
            steps[j] = &permutation->steps[j];
        good = run_permutation(runner, steps, permutation->step_count);
        free(steps);
    }
    return good;
}

static bool connect_all(struct runner *runner, isolde_db *db)
{
    isolde_err *err = NULL;
    bool good = isolde_connect(db, &runner->control, &err) == ISOLDE_OK;
    for (int i = 0; i < runner->spec->session_count && good; i++) {
        struct session *session = &runner->sessions[i];
        session->runner = runner;
        session->name = runner->spec->sessions[i].name;
        good = isolde_connect(db, &session->conn, &err) == ISOLDE_OK;
        if (!good)
            break;
        isolde_on_notice(session->conn, on_notice, session);
        isolde_on_wait(session->conn, on_wait, session);
        good = pthread_create(&session->thread, NULL, session_thread, session) == 0;
    }
    if (err)
        fprintf(stderr, "connection failed: %s\n", isolde_error_message(err));
    isolde_error_free(err);
    return good;
}

bool runner_run(isolde_db *db, struct spec *spec, FILE *out)
{
    struct runner runner = { .spec = spec, .out = out, .mutex = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER,
                             .change = PTHREAD_COND_INITIALIZER };
    int steps = 0;
    for (int i = 0; i < spec->session_count; i++)
        steps += spec->sessions[i].step_count;
    for (int i = 0; i < spec->permutation_count; i++)
        steps += spec->permutations[i].step_count;
    runner.sessions = calloc((size_t)spec->session_count, sizeof *runner.sessions);
    runner.waiting = calloc((size_t)steps, sizeof(struct permutation_step *));
    if (!runner.sessions || !runner.waiting)
        abort();
    fprintf(out, "Parsed test spec with %d sessions\n", spec->session_count);
    bool good = connect_all(&runner, db);
    if (good)
        good = spec->permutation_count ? run_listed(&runner) : run_all(&runner);
    pthread_mutex_lock(&runner.mutex);
    for (int i = 0; i < spec->session_count; i++)
        runner.sessions[i].quit = true;
    pthread_cond_broadcast(&runner.work);
    pthread_mutex_unlock(&runner.mutex);
    for (int i = 0; i < spec->session_count; i++) {
        if (runner.sessions[i].thread)
            pthread_join(runner.sessions[i].thread, NULL);
        isolde_disconnect(runner.sessions[i].conn);
    }
    isolde_disconnect(runner.control);
    free(runner.sessions);
    free(runner.waiting);
    return good;
}
