/*
 * message.c -- what the database has to say that is no statement's business: what restart has found and done, damage that the scrub
 * has come across.
 *
 * Messages may come before anybody can listen (isolde_open has not returned yet) and from the engine's own threads.  The first ones
 * are kept until a listener is there, and handed to it at once.
 */
#include <stdio.h>
#include <string.h>

#include "src/api/api_int.h"
#include "src/base/mem.h"

static void deliver(const struct isolde_db *db, const struct kept_message *message)
{
    struct isolde_err report = {.severity = message->severity};

    memcpy(report.error.sqlstate, message->sqlstate, 5);
    report.error.message = message->text;
    db->on_message(db->message_arg, &report);
}

static void keep(struct isolde_db *db, const struct kept_message *message)
{
    if (db->kept_count == MESSAGES_KEPT || !(db->kept[db->kept_count].text = mem_strdup(message->text)))
        return;
    db->kept[db->kept_count].severity = message->severity;
    db->kept[db->kept_count++].sqlstate = message->sqlstate;
}

void api_tell(struct isolde_db *db, const char *severity, const char *sqlstate, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct kept_message message = {severity, sqlstate, text};
    os_mutex_lock(&db->message_latch);
    if (db->on_message)
        deliver(db, &message);
    else
        keep(db, &message);
    os_mutex_unlock(&db->message_latch);
}

void api_forget_messages(struct isolde_db *db)
{
    for (int i = 0; i < db->kept_count; i++)
        mem_free(db->kept[i].text);
    db->kept_count = 0;
}

void api_tell_restart(struct isolde_db *db)
{
    const struct wal_restart *restart = store_restart(db->store);

    if (restart->was_clean)
        return;
    api_tell(db, "LOG", "00000", "the database was not closed cleanly: %llu log records were looked at again, %llu transactions are rolled back",
             (unsigned long long)restart->records_redone, (unsigned long long)restart->state.chain_count);
    if (restart->bytes_cut > 0)
        api_tell(db, "LOG", "00000", "the log was cut at %llX, behind the last proof of durability: no valid record begins there",
                 (unsigned long long)restart->cut_at);
}

void api_tell_damage(void *arg, PageNo page, TreeId tree, const char *rule)
{
    char of_tree[40] = "";

    if (tree != 0)
        snprintf(of_tree, sizeof of_tree, " (tree %llu)", (unsigned long long)tree);
    api_tell(arg, "WARNING", "XX001", "the scrub has found that page %llu%s is damaged: %s", (unsigned long long)page, of_tree, rule);
}

void isolde_on_message(isolde_db *db, void (*callback)(void *arg, const isolde_err *message), void *arg)
{
    if (!api_is_db(db))
        return;
    os_mutex_lock(&db->message_latch);
    db->on_message = callback;
    db->message_arg = arg;
    for (int i = 0; callback && i < db->kept_count; i++)
        deliver(db, &db->kept[i]);
    if (callback)
        api_forget_messages(db);
    os_mutex_unlock(&db->message_latch);
}
