/* crew.c -- see crew.h. */
#include "isolation-tests/crew.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void on_notice(void *arg, const char *severity, const char *message)
{
    struct session *session = arg;
    pthread_mutex_lock(&session->crew->mutex);
    size_t len = session->notices ? strlen(session->notices) : 0;
    size_t more = strlen(session->name) + strlen(severity) + strlen(message) + 8;
    session->notices = must_alloc(session->notices, len + more, 1);
    snprintf(session->notices + len, more, "%s: %s:  %s\n", session->name, severity, message);
    session->notice_count++;
    pthread_mutex_unlock(&session->crew->mutex);
}

static void on_change(void *arg)
{
    struct session *session = arg;
    pthread_mutex_lock(&session->crew->mutex);
    pthread_cond_signal(&session->crew->change);
    pthread_mutex_unlock(&session->crew->mutex);
}

static void *session_thread(void *arg)
{
    struct session *session = arg;
    struct crew *crew = session->crew;
    pthread_mutex_lock(&crew->mutex);
    for (;;) {
        while (!session->quit && (!session->sql || session->done))
            pthread_cond_wait(&crew->work, &crew->mutex);
        if (session->quit)
            break;
        struct reply reply;
        pthread_mutex_unlock(&crew->mutex);
        crew->engine->run(session->link, session->sql, &reply);
        pthread_mutex_lock(&crew->mutex);
        session->reply = reply;
        session->done = true;
        pthread_cond_signal(&crew->change);
    }
    pthread_mutex_unlock(&crew->mutex);
    return NULL;
}

void crew_open(struct crew *crew, struct engine *engine)
{
    *crew = (struct crew){ .engine = engine, .mutex = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER };
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&crew->change, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_lock(&crew->mutex);
}

static void free_session(struct session *session)
{
    session->crew->engine->disconnect(session->link);
    reply_free(&session->reply);
    free(session->notices);
    free(session->name);
    free(session);
}

struct session *crew_add(struct crew *crew, const char *name)
{
    struct session *session = must_alloc(NULL, 1, sizeof *session);
    *session = (struct session){ .crew = crew, .name = must_copy(name) };
    struct link_events events = { session, on_change, on_notice };
    session->link = crew->engine->connect(crew->engine, &events);
    if (!session->link || pthread_create(&session->thread, NULL, session_thread, session) != 0) {
        free_session(session);
        return NULL;
    }
    crew->sessions = must_alloc(crew->sessions, (size_t)crew->count + 1, sizeof *crew->sessions);
    crew->sessions[crew->count++] = session;
    return session;
}

void crew_start(struct session *session, const char *sql)
{
    struct crew *crew = session->crew;
    session->sql = sql;
    session->done = false;
    for (int i = 0; i < crew->count; i++)
        crew->sessions[i]->notice_count = 0;
    pthread_cond_broadcast(&crew->work);
}

static bool is_running(struct session *session)
{
    return session->sql && !session->done && !session->crew->engine->is_waiting(session->link);
}

static struct timespec after_ms(long ms)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_nsec += ms % 1000 * 1000000;
    time.tv_sec += ms / 1000 + time.tv_nsec / 1000000000;
    time.tv_nsec %= 1000000000;
    return time;
}

static void wait_for_change(struct crew *crew)
{
    if (crew->engine->poll_ms == 0) {
        pthread_cond_wait(&crew->change, &crew->mutex);
        return;
    }
    struct timespec until = after_ms(crew->engine->poll_ms);
    pthread_cond_timedwait(&crew->change, &crew->mutex, &until);
}

void crew_settle(struct crew *crew)
{
    for (int i = 0; i < crew->count;) {
        if (is_running(crew->sessions[i])) {
            wait_for_change(crew);
            i = 0;
        } else {
            i++;
        }
    }
}

bool crew_wait(struct session *session)
{
    struct timespec until = after_ms(CREW_PATIENCE_MS);
    while (session->sql && !session->done
           && pthread_cond_timedwait(&session->crew->change, &session->crew->mutex, &until) == 0)
        continue;
    return !session->sql || session->done;
}

void crew_cancel(struct session *session)
{
    while (session->sql && !session->done) {
        session->crew->engine->cancel(session->link);
        wait_for_change(session->crew);
    }
}

struct reply crew_take(struct session *session)
{
    struct reply reply = session->reply;
    session->reply = (struct reply){ 0 };
    session->sql = NULL;
    session->done = false;
    return reply;
}

void crew_close(struct crew *crew)
{
    for (int i = 0; i < crew->count; i++)
        crew->sessions[i]->quit = true;
    pthread_cond_broadcast(&crew->work);
    pthread_mutex_unlock(&crew->mutex);
    for (int i = 0; i < crew->count; i++) {
        pthread_join(crew->sessions[i]->thread, NULL);
        free_session(crew->sessions[i]);
    }
    free(crew->sessions);
    pthread_cond_destroy(&crew->change);
}
