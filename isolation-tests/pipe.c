/* pipe.c -- see pipe.h. */
#include "isolation-tests/pipe.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "isolation-tests/crew.h"

struct door {
    struct crew crew;
    FILE *out;
    struct session **waiting;       /* in the order in which they began to wait */
    int waiting_count;
};

static json_t *text_or_null(const char *text)
{
    json_t *value = text ? json_string(text) : NULL;
    return value ? value : json_null();
}

static void answer(FILE *out, const char *session, const char *state, const struct reply *reply)
{
    json_t *columns = json_array(), *rows = json_array();
    const struct table *table = reply && reply->table_count > 0 ? &reply->tables[reply->table_count - 1] : NULL;
    for (int c = 0; table && c < table->columns; c++)
        json_array_append_new(columns, text_or_null(table->names[c]));
    for (int r = 0; table && r < table->rows; r++) {
        json_t *row = json_array();
        for (int c = 0; c < table->columns; c++)
            json_array_append_new(row, text_or_null(table->cells[r * table->columns + c]));
        json_array_append_new(rows, row);
    }
    bool failed = reply && reply->failed;
    json_t *line = json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "session", text_or_null(session), "state", state, "columns", columns,
                             "rows", rows, "sqlstate", text_or_null(failed ? reply->sqlstate : NULL), "message",
                             text_or_null(failed ? reply->message : NULL), "detail", text_or_null(failed ? reply->detail : NULL));
    if (!line)
        abort();
    json_dumpf(line, out, JSON_COMPACT | JSON_PRESERVE_ORDER);
    fputc('\n', out);
    fflush(out);
    json_decref(line);
}

static void refuse(FILE *out, const char *session, const char *sqlstate, const char *message)
{
    struct reply reply = { 0 };
    reply_set_error(&reply, "ERROR", sqlstate, message, NULL);
    answer(out, session, "error", &reply);
    reply_free(&reply);
}

static void take_and_answer(struct door *door, struct session *session)
{
    free((char *)(uintptr_t)session->sql);
    struct reply reply = crew_take(session);
    answer(door->out, session->name, reply.failed ? "error" : "ok", &reply);
    reply_free(&reply);
}

/* Those that waited and have completed. */
static void answer_waiting(struct door *door)
{
    int kept = 0;
    for (int i = 0; i < door->waiting_count; i++) {
        if (door->waiting[i]->done)
            take_and_answer(door, door->waiting[i]);
        else
            door->waiting[kept++] = door->waiting[i];
    }
    door->waiting_count = kept;
}

static struct session *session_named(struct door *door, const char *name)
{
    for (int i = 0; i < door->crew.count; i++)
        if (strcmp(door->crew.sessions[i]->name, name) == 0)
            return door->crew.sessions[i];
    struct session *session = crew_add(&door->crew, name);
    if (session)
        door->waiting = must_alloc(door->waiting, (size_t)door->crew.count, sizeof *door->waiting);
    return session;
}

static void run_line(struct door *door, const char *name, const char *sql)
{
    struct session *session = session_named(door, name);
    if (!session) {
        refuse(door->out, name, "08001", "the session cannot be opened");
        return;
    }
    if (session->sql) {
        refuse(door->out, name, "55000", "the session's last statement is still waiting");
        return;
    }
    crew_start(session, must_copy(sql));
    crew_settle(&door->crew);
    if (session->done) {
        take_and_answer(door, session);
    } else {
        answer(door->out, name, "waiting", NULL);
        door->waiting[door->waiting_count++] = session;
    }
    answer_waiting(door);
}

static void take_line(struct door *door, const char *text)
{
    json_error_t error;
    json_t *line = json_loads(text, 0, &error);
    const char *session = json_string_value(json_object_get(line, "session")), *sql = json_string_value(json_object_get(line, "sql"));
    if (!line)
        refuse(door->out, NULL, "22P02", error.text);
    else if (!session || !sql)
        refuse(door->out, session, "22023", "a line is an object with the texts \"session\" and \"sql\"");
    else
        run_line(door, session, sql);
    json_decref(line);
}

bool pipe_run(const struct target *target, FILE *in, FILE *out)
{
    struct engine *engine = engine_open(target);
    if (!engine)
        return false;
    struct door door = { .out = out };
    char *line = NULL;
    size_t size = 0;
    crew_open(&door.crew, engine);
    while (getline(&line, &size, in) >= 0)
        if (line[strspn(line, " \t\r\n")])
            take_line(&door, line);
    for (int i = 0; i < door.waiting_count; i++) {
        crew_cancel(door.waiting[i]);
        take_and_answer(&door, door.waiting[i]);
    }
    crew_close(&door.crew);
    engine->close(engine);
    free(door.waiting);
    free(line);
    return true;
}
