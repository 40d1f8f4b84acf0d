/* drawing.c -- see drawing.h. */
#include "isolation-tests/drawing.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct pen {
    struct drawing *drawing;
    enum lane *lanes;       /* now */
    enum level *levels;     /* of each session's transaction */
    bool *has_snapshot;
};

static char *format(const char *text, ...) __attribute__((format(printf, 1, 2)));
static char *format(const char *text, ...)
{
    va_list args;
    char *result = NULL;
    va_start(args, text);
    if (vasprintf(&result, text, args) < 0)
        abort();
    va_end(args);
    return result;
}

/* Takes the text over, and brings it into one line. */
static void add_line(struct pen *pen, int session, int step, enum mark mark, char *text)
{
    struct drawing *drawing = pen->drawing;
    size_t sessions = (size_t)drawing->run->spec->session_count;
    char *out = text;
    for (const char *in = text; *in; in++) {
        bool blank = *in == '\n' || *in == '\t' || *in == ' ' || *in == '\r';
        if (!blank)
            *out++ = *in;
        else if (out > text && out[-1] != ' ')
            *out++ = ' ';
    }
    while (out > text && (out[-1] == ' ' || out[-1] == ';'))
        out--;
    *out = '\0';
    drawing->lines = must_alloc(drawing->lines, (size_t)drawing->count + 1, sizeof *drawing->lines);
    struct line *line = &drawing->lines[drawing->count++];
    *line = (struct line){ session, step, mark, text, must_alloc(NULL, sessions, sizeof *line->lanes) };
    memcpy(line->lanes, pen->lanes, sessions * sizeof *line->lanes);
}

/* ---- what a statement is --------------------------------------------------------------------------------- */

static bool begins_with(const char *sql, const char *word)
{
    size_t len = strlen(word);
    sql += strspn(sql, " \t\r\n(");
    return strncasecmp(sql, word, len) == 0;
}

/* Transaction control and settings need no snapshot. */
static bool needs_snapshot(const char *sql)
{
    static const char *const without[] = { "BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE", "SET",
                                           "RESET", "SHOW", "LOCK", "DEALLOCATE", "DISCARD" };
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++)
        if (begins_with(sql, without[i]))
            return false;
    return true;
}

/* The level that the SQL asks for, or the one until now. */
static enum level level_of(const char *sql, enum level level)
{
    const char *at = strcasestr(sql, "isolation level");
    if (!at)
        return level;
    at += strlen("isolation level");
    at += strspn(at, " \t\r\n");
    return strncasecmp(at, "ser", 3) == 0 ? SERIALIZABLE : strncasecmp(at, "rep", 3) == 0 ? REPEATABLE_READ : READ_COMMITTED;
}

static enum mark mark_of(struct pen *pen, const struct outcome *outcome)
{
    int session = outcome->step->session;
    const struct reply *reply = &outcome->reply;
    const char *sql = outcome->step->sql;
    bool was_open = outcome->before != 'I';
    if (reply->failed)
        return MARK_FAILED;
    if (was_open && reply->status == 'I')
        return reply_last_tag_is(reply, "ROLLBACK") ? MARK_ROLLBACK : MARK_COMMIT;
    if (!needs_snapshot(sql))
        return !was_open && reply->status == 'T' ? MARK_BEGIN : MARK_STATEMENT;
    if (!was_open || pen->levels[session] == READ_COMMITTED)
        return MARK_OWN_SNAPSHOT;
    if (pen->has_snapshot[session])
        return MARK_STATEMENT;
    pen->has_snapshot[session] = true;
    return MARK_SNAPSHOT;
}

/* ---- what came of it ------------------------------------------------------------------------------------- */

static char *rows_of(const struct table *table)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        abort();
    fputs("= ", out);
    for (int r = 0; r < table->rows; r++)
        for (int c = 0; c < table->columns; c++) {
            const char *cell = table->cells[r * table->columns + c];
            fprintf(out, "%s%s", c > 0 ? "|" : r > 0 ? ", " : "", cell ? cell : "null");
        }
    if (table->rows == 0)
        fputs("no row", out);
    fclose(out);
    return text;
}

static void add_results(struct pen *pen, int session, const struct outcome *outcome)
{
    const struct reply *reply = &outcome->reply;
    for (int i = 0; i < reply->table_count; i++)
        add_line(pen, session, 0, MARK_NONE, rows_of(&reply->tables[i]));
    size_t len;
    const char *tag = reply_last_tag(reply, &len);
    static const char *const counting[] = { "INSERT", "UPDATE", "DELETE", "MERGE" };
    for (size_t i = 0; i < sizeof counting / sizeof counting[0]; i++)
        if (!reply->failed && reply->table_count == 0 && begins_with(tag, counting[i]))
            add_line(pen, session, 0, MARK_NONE, format("= %.*s row%s", (int)(len - (size_t)(strrchr(tag, ' ') + 1 - tag)), strrchr(tag, ' ') + 1,
                                                        strncmp(strrchr(tag, ' ') + 1, "1;", 2) == 0 ? "" : "s"));
    if (reply->failed) {
        add_line(pen, session, 0, MARK_FAILED, format("%s %s", reply->sqlstate, reply->message));
        if (reply->detail)
            add_line(pen, session, 0, MARK_NONE, must_copy(reply->detail));
    } else if (outcome->before == 'E' && reply->status == 'I') {
        add_line(pen, session, 0, MARK_ROLLBACK, must_copy("rolled back"));
    }
}

static enum lane lane_of(char status)
{
    return status == 'I' ? LANE_IDLE : status == 'T' ? LANE_OPEN : LANE_FAILED;
}

static void draw_step(struct pen *pen, const struct event *event)
{
    const struct outcome *outcome = &pen->drawing->run->outcomes[event->position];
    int session = outcome->step->session;
    if (outcome->before == 'I' && event->kind != EVENT_RESUMED) {
        enum level usual = pen->drawing->run->spec->level;
        pen->levels[session] = usual == LEVEL_AS_WRITTEN ? READ_COMMITTED : usual;
        pen->has_snapshot[session] = false;
    }
    pen->levels[session] = level_of(outcome->step->sql, pen->levels[session]);
    if (event->kind == EVENT_WAITING) {
        pen->lanes[session] = LANE_WAITING;
        add_line(pen, session, event->position + 1, MARK_WAITS, must_copy(outcome->step->sql));
        return;
    }
    enum mark mark = mark_of(pen, outcome);
    pen->lanes[session] = lane_of(outcome->reply.status);
    if (event->kind == EVENT_RESUMED)
        add_line(pen, session, event->position + 1, outcome->reply.failed ? MARK_FAILED : MARK_RESUMED,
                 format("(goes on) %s", outcome->step->sql));
    else
        add_line(pen, session, event->position + 1, mark, must_copy(outcome->step->sql));
    add_results(pen, session, outcome);
}

void drawing_make(struct drawing *drawing, const struct run *run)
{
    size_t sessions = (size_t)run->spec->session_count;
    struct pen pen = { drawing, must_alloc(NULL, sessions, sizeof *pen.lanes), must_alloc(NULL, sessions, sizeof *pen.levels),
                       must_alloc(NULL, sessions, sizeof *pen.has_snapshot) };
    *drawing = (struct drawing){ .run = run };
    for (size_t i = 0; i < sessions; i++) {
        const char *setup = run->spec->sessions[i].setup;
        enum level usual = run->spec->level == LEVEL_AS_WRITTEN ? READ_COMMITTED : run->spec->level;
        pen.lanes[i] = lane_of(run->setup_status[i]);
        pen.levels[i] = setup ? level_of(setup, usual) : usual;
        pen.has_snapshot[i] = false;
    }
    for (size_t i = 0; i < sessions; i++)
        if (run->setup_status[i] != 'I')
            add_line(&pen, (int)i, 0, MARK_BEGIN, must_copy(run->spec->sessions[i].setup));
    for (int i = 0; i < run->event_count; i++)
        if (run->events[i].position >= 0)
            draw_step(&pen, &run->events[i]);
    free(pen.lanes);
    free(pen.levels);
    free(pen.has_snapshot);
}

void drawing_free(struct drawing *drawing)
{
    for (int i = 0; i < drawing->count; i++) {
        free(drawing->lines[i].text);
        free(drawing->lines[i].lanes);
    }
    free(drawing->lines);
}
