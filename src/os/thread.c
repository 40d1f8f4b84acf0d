/*
 * thread.c -- threads of our own, beside those of the program that embeds us.
 *
 * They take no signals: those belong to the program, whose handlers expect its own threads.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/os/os.h"

enum { NAME_BYTES = 16 };   /* what the kernel keeps of a thread's name, with the zero */

struct os_thread {
    pthread_t thread;
    void (*run)(void *arg);
    void *arg;
    char name[NAME_BYTES];
};

static void *thread_main(void *arg)
{
    struct os_thread *thread = arg;

    pthread_setname_np(pthread_self(), thread->name);
    thread->run(thread->arg);
    return NULL;
}

int os_thread_start(struct op *op, void (*run)(void *arg), void *arg, const char *name, struct os_thread **thread)
{
    struct os_thread *started;
    sigset_t all, before;
    int error;

    *thread = NULL;
    started = op_heap_alloc(op, sizeof *started);
    if (!started)
        return OP_FAILED;
    *started = (struct os_thread){.run = run, .arg = arg};
    memcpy(started->name, name, strnlen(name, NAME_BYTES - 1));

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&started->thread, NULL, thread_main, started);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        mem_free(started);
        return op_fail(op, "53000", "could not start thread \"%s\": %s", name,
                       error == EAGAIN ? "too many threads" : strerrordesc_np(error));
    }
    *thread = started;
    return OP_OK;
}

void os_thread_join(struct os_thread *thread)
{
    pthread_join(thread->thread, NULL);
    mem_free(thread);
}

void os_yield(void)
{
    sched_yield();
}
