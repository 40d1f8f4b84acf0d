/*
 * conflict.c -- telling who was in whose way.
 *
 * The text grows in the op's arena; when there is no memory for it the error goes without.  Statements are cut at STATEMENT_MAX bytes, so
 * that a deadlock of many long statements stays readable.
 */
#include <string.h>

#include "src/base/mem.h"
#include "txn/conflict.h"

enum { STATEMENT_MAX = 1000 };

struct text {
    struct arena *arena;
    char *data;
    size_t len, capacity;
    bool failed;
};

static void append(struct text *text, const char *data, size_t len)
{
    if (text->failed) {
        return;
    }
    if (text->len + len + 1 > text->capacity) {
        size_t capacity = 2 * (text->len + len + 1);
        char *grown = arena_alloc(text->arena, capacity);
        if (grown == NULL) {
            text->failed = true;
            return;
        }
        if (text->len > 0) {
            memcpy(grown, text->data, text->len);
        }
        text->data = grown;
        text->capacity = capacity;
    }
    memcpy(text->data + text->len, data, len);
    text->len += len;
    text->data[text->len] = '\0';
}

static void say(struct text *text, const char *format, ...) PRINTF_LIKE(2, 3);

static void say(struct text *text, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    const char *piece = arena_vprintf(text->arena, format, args);
    va_end(args);
    if (piece == NULL) {
        text->failed = true;
        return;
    }
    append(text, piece, strlen(piece));
}

/* Not in the middle of a character. */
static size_t cut(const char *statement, size_t len)
{
    if (len <= STATEMENT_MAX) {
        return len;
    }
    len = STATEMENT_MAX;
    while (len > 0 && ((unsigned char)statement[len] & 0xC0) == 0x80) {
        len--;
    }
    return len;
}

/* ---- sentences -------------------------------------------------------------------------------------- */

static void say_party(struct text *text, const struct conflict_party *party)
{
    if (party->session != 0) {
        say(text, "session %u", (unsigned)party->session);
    } else {
        say(text, "a session that has ended");
    }
    if (party->transaction != 0) {
        say(text, " (transaction %llu)", (unsigned long long)party->transaction);
    }
}

static void say_edge(struct text *text, const struct conflict *conflict, const struct conflict_edge *edge)
{
    size_t begin = text->len;

    say_party(text, &conflict->parties[edge->from]);
    if (!text->failed && text->data[begin] >= 'a' && text->data[begin] <= 'z') {
        text->data[begin] = (char)(text->data[begin] - 'a' + 'A');
    }
    if (conflict->kind == CONFLICT_DEADLOCK) {
        say(text, " waits for %s on %s; %s ", edge->mode, edge->thing, edge->queued ? "before it in the queue is" : "blocked by");
        say_party(text, &conflict->parties[edge->to]);
        say(text, ".");
        return;
    }
    say(text, " has read %s, which ", edge->thing);
    say_party(text, &conflict->parties[edge->to]);
    say(text, " has written.");
}

static void say_all(struct text *text, const struct conflict *conflict)
{
    for (size_t i = 0; i < conflict->edge_count; i++) {
        say(text, "%s", i > 0 ? "\n" : "");
        say_edge(text, conflict, &conflict->edges[i]);
        if (conflict->edges[i].read != NULL) {
            say(text, "\nIt was read by: %s", conflict->edges[i].read);
        }
        if (conflict->edges[i].wrote != NULL) {
            say(text, "\nIt was written by: %s", conflict->edges[i].wrote);
        }
    }
    for (size_t i = 0; i < conflict->party_count; i++) {
        const struct conflict_party *party = &conflict->parties[i];
        if (party->statement != NULL) {
            size_t len = cut(party->statement, party->statement_len);
            say(text, "\nSession %u: %.*s%s", (unsigned)party->session, (int)len, party->statement,
                len < party->statement_len ? "..." : "");
        }
    }
    if (conflict->finding != NULL) {
        say(text, "\nThe reason: %s.", conflict->finding);
    }
}

/* ---- JSON ------------------------------------------------------------------------------------------- */

static void put_string(struct text *text, const char *string, size_t len)
{
    append(text, "\"", 1);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)string[i];
        if (c == '"' || c == '\\') {
            append(text, "\\", 1);
        }
        if (c < 0x20) {
            say(text, "\\u%04x", c);
        } else {
            append(text, &string[i], 1);
        }
    }
    append(text, "\"", 1);
}

/* A member behind another one; left out when there is nothing to tell. */
static void put_member(struct text *text, const char *name, const char *string)
{
    if (string != NULL) {
        say(text, ",\"%s\":", name);
        put_string(text, string, strlen(string));
    }
}

static void put_party(struct text *text, const struct conflict_party *party, bool victim)
{
    say(text, "{\"session\":%u", (unsigned)party->session);
    if (party->transaction != 0) {
        say(text, ",\"transaction\":%llu", (unsigned long long)party->transaction);
    }
    if (party->statement != NULL) {
        say(text, ",\"statement\":");
        put_string(text, party->statement, cut(party->statement, party->statement_len));
    }
    say(text, ",\"victim\":%s}", victim ? "true" : "false");
}

static void put_edge(struct text *text, const struct conflict *conflict, const struct conflict_edge *edge)
{
    say(text, "{\"from\":%zu,\"to\":%zu", edge->from, edge->to);
    put_member(text, "object", edge->thing);
    put_member(text, "mode", edge->mode);
    if (conflict->kind == CONFLICT_DEADLOCK) {
        say(text, ",\"queued\":%s", edge->queued ? "true" : "false");
    }
    put_member(text, "read_by", edge->read);
    put_member(text, "written_by", edge->wrote);
    say(text, "}");
}

static void put_all(struct text *text, const struct conflict *conflict)
{
    say(text, "{\"kind\":\"%s\"", conflict->kind == CONFLICT_DEADLOCK ? "deadlock" : "serialization");
    put_member(text, "finding", conflict->finding);
    say(text, ",\"transactions\":[");
    for (size_t i = 0; i < conflict->party_count; i++) {
        say(text, "%s", i > 0 ? "," : "");
        put_party(text, &conflict->parties[i], i == conflict->victim);
    }
    say(text, "],\"edges\":[");
    for (size_t i = 0; i < conflict->edge_count; i++) {
        say(text, "%s", i > 0 ? "," : "");
        put_edge(text, conflict, &conflict->edges[i]);
    }
    say(text, "]}");
}

void conflict__explain(struct op *op, const struct conflict *conflict)
{
    struct text detail = { .arena = &op->arena }, json = { .arena = &op->arena };

    say_all(&detail, conflict);
    if (!detail.failed && detail.len > 0) {
        op_detail(op, "%s", detail.data);
    }
    op_hint(op, "The transaction might succeed if retried.");
    put_all(&json, conflict);
    if (!json.failed) {
        op_conflict(op, json.data);
    }
}
