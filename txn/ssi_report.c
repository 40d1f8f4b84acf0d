/*
 * ssi_report.c -- why a SERIALIZABLE transaction had to go, in words.
 *
 * The victim has met nobody: it has read and written in peace, and is told at its next statement that it may not commit.  What it wants to
 * know is which of its reads was overtaken by which write, and the same of the other edge of the structure:
 *
 *      Session 7 read t WHERE (a = 3), by: SELECT ...; session 9 wrote row (id)=(5) of table "t", by: UPDATE ...
 *      Session 9 read u WHERE (id = 1), by: ...; session 7 wrote ...
 *      Session 9 committed first.  The two form a cycle.
 *
 * The words are made when an edge is made, for then both sides are at hand: one is this thread's own statement, the other left its words with
 * what it recorded (the predicate of a read; a note of each statement that wrote).  An edge is rare beside reads and writes, and is
 * described under the graph latch.
 *
 * X1  A note of a statement is pushed by its own thread, never changed, and freed with its transaction.
 * X2  Without memory something is left unsaid; nothing fails for it.
 */
#include <stdio.h>

#include "txn/ssi_int.h"

enum { TEXT_MAX = 700, STATEMENT_MAX = 300, STATEMENTS_KEPT = 64 };

void ssi__note_statement(struct txn_session *session)
{
    struct ssi_txn *self = session->ssi;
    struct ssi_statement *newest = atomic_load_explicit(&self->statements, memory_order_relaxed);
    size_t len = session->statement_len < STATEMENT_MAX ? session->statement_len : STATEMENT_MAX;

    if (session->statement == NULL || (newest != NULL && newest->command == session->command) ||
        self->statement_count >= STATEMENTS_KEPT) {
        return;
    }
    struct ssi_statement *made = arena_alloc(&self->texts, sizeof(*made) + len + 1);
    if (made == NULL) {
        return;
    }
    made->older = newest;
    made->command = session->command;
    memcpy(made->text, session->statement, len);
    made->text[len] = '\0';
    self->statement_count++;
    atomic_store_explicit(&self->statements, made, memory_order_release);
}

static const char *statement_of(const struct ssi_txn *writer, uint32_t command)
{
    const struct ssi_statement *found = atomic_load_explicit(&((struct ssi_txn *)writer)->statements, memory_order_acquire);

    while (found != NULL && found->command != command && found->older != NULL) {
        found = found->older;
    }
    return found != NULL ? found->text : "a statement";
}

static char *copy_text(const char *text)
{
    char *copy = mem_alloc(strlen(text) + 1);

    if (copy != NULL) {
        memcpy(copy, text, strlen(text) + 1);
    }
    return copy;
}

/* The statement of this thread. */
static void add_own_statement(const struct txn_session *session, char *text, size_t size)
{
    size_t used = strlen(text), len = session->statement_len < STATEMENT_MAX ? session->statement_len : STATEMENT_MAX;

    if (session->statement != NULL) {
        snprintf(text + used, size - used, ", by: %.*s", (int)len, session->statement);
    }
}

static char *describe_read(const struct ssi_evidence *evidence)
{
    struct txn_predicate *predicate = (struct txn_predicate *)evidence->predicate;
    char text[TEXT_MAX] = "a key or a range of keys";

    if (predicate != NULL && predicate->describe != NULL) {
        predicate->describe(predicate, text, sizeof(text));
    } else if (evidence->reading) {
        add_own_statement(evidence->session, text, sizeof(text));
    }
    return copy_text(text);
}

static char *describe_write(const struct ssi_evidence *evidence, const struct ssi_txn *writer)
{
    const struct txn_session *session = evidence->session;
    char text[TEXT_MAX] = "a row of it";

    if (!evidence->reading) {
        if (evidence->row != NULL && session->describe_row != NULL) {
            session->describe_row(evidence->row, text, sizeof(text));
        }
        add_own_statement(session, text, sizeof(text));
        return copy_text(text);
    }
    if (evidence->watch != NULL && evidence->watch->describe != NULL) {
        evidence->watch->describe(evidence->watch->arg, evidence->key, evidence->value, text, sizeof(text));
    }
    size_t used = strlen(text);
    snprintf(text + used, sizeof(text) - used, ", by: %s", statement_of(writer, evidence->command));
    return copy_text(text);
}

void ssi__describe_edge(struct ssi_edge *edge, const struct ssi_evidence *evidence)
{
    edge->read = describe_read(evidence);
    edge->wrote = describe_write(evidence, edge->writer);
}

static size_t add_edge(char *text, size_t size, const struct ssi_edge *edge)
{
    int len = snprintf(text, size, "Session %u read %s; session %u wrote %s.\n", (unsigned)edge->reader->session,
                       edge->read != NULL ? edge->read : "something", (unsigned)edge->writer->session,
                       edge->wrote != NULL ? edge->wrote : "to that");
    return len < 0 ? 0 : (size_t)len < size ? (size_t)len : size - 1;
}

char *ssi__explain(const struct ssi_edge *in, const struct ssi_edge *out)
{
    char text[4 * TEXT_MAX] = "";
    size_t used = in != NULL ? add_edge(text, sizeof(text), in) : 0;

    used += out != NULL ? add_edge(text + used, sizeof(text) - used, out) : 0;
    if (out == NULL) {
        snprintf(text + used, sizeof(text) - used,
                 "Before that it had read what a transaction overwrote that committed first, and of which no more is known.  "
                 "This is a dangerous structure; whether there is a cycle was not looked at.");
    } else if (in != NULL && in->reader == out->writer) {
        snprintf(text + used, sizeof(text) - used, "Session %u committed first.  The two form a cycle.", (unsigned)out->writer->session);
    } else {
        snprintf(text + used, sizeof(text) - used,
                 "Session %u committed first.  This is a dangerous structure; whether there is a cycle was not looked at.",
                 (unsigned)out->writer->session);
    }
    return copy_text(text);
}
