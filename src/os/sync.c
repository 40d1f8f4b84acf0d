/*
 * sync.c -- mutexes that know their rank, conditions, and sleeping on a word of memory.
 *
 * Mutexes are of glibc's adaptive kind: who finds one taken spins for a moment before it sleeps.  Those of the engine
 * are held for less than a microsecond, and waking a sleeper takes twenty to thirty.
 *
 * A word of memory (a futex) is the cheapest thing to wait for: it is 32 bits that everybody changes with plain
 * atomics, and only who really must sleep or wake somebody calls the kernel.  The kernel compares the word again
 * under its own lock before it puts the thread to sleep, so that a change in between is not missed.
 *
 * All deadlines are on the clock of os_clock_ns: setting the time of day does not move them.
 */
#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "src/os/os.h"

enum { NS_PER_SECOND = 1000000000 };

/* A result of the thread library that can only come from misuse. */
static void must_be_zero(int result)
{
    assert(result == 0);
    (void)result;
}

static struct timespec timespec_of(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_SECOND), .tv_nsec = (long)(ns % NS_PER_SECOND)};
}

void os_mutex_init(struct os_mutex *mutex, enum rank rank)
{
    pthread_mutexattr_t attributes;

    must_be_zero(pthread_mutexattr_init(&attributes));
    must_be_zero(pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP));
    must_be_zero(pthread_mutex_init(&mutex->mutex, &attributes));
    pthread_mutexattr_destroy(&attributes);
    mutex->rank = rank;
}

void os_mutex_destroy(struct os_mutex *mutex)
{
    must_be_zero(pthread_mutex_destroy(&mutex->mutex));
}

#ifdef ISOLDE_DEBUG

/* The order is checked before waiting, so that a breach is reported rather than become a deadlock. */
void os_mutex_lock_at(struct os_mutex *mutex, const char *file, int line)
{
    rank_enter(mutex->rank, file, line);
    must_be_zero(pthread_mutex_lock(&mutex->mutex));
}

bool os_mutex_try_lock_at(struct os_mutex *mutex, const char *file, int line)
{
    if (pthread_mutex_trylock(&mutex->mutex) != 0)
        return false;
    rank_enter_tried(mutex->rank, file, line);
    return true;
}

#else

void os_mutex_lock(struct os_mutex *mutex)
{
    must_be_zero(pthread_mutex_lock(&mutex->mutex));
}

bool os_mutex_try_lock(struct os_mutex *mutex)
{
    return pthread_mutex_trylock(&mutex->mutex) == 0;
}

#endif

void os_mutex_unlock(struct os_mutex *mutex)
{
    RANK_LEAVE(mutex->rank);
    must_be_zero(pthread_mutex_unlock(&mutex->mutex));
}

void os_cond_init(struct os_cond *cond)
{
    pthread_condattr_t attributes;

    must_be_zero(pthread_condattr_init(&attributes));
    must_be_zero(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC));
    must_be_zero(pthread_cond_init(&cond->cond, &attributes));
    pthread_condattr_destroy(&attributes);
}

void os_cond_destroy(struct os_cond *cond)
{
    must_be_zero(pthread_cond_destroy(&cond->cond));
}

/* The mutex is given back and taken again inside; its rank is too, so that the order is checked anew. */
bool os_cond_wait(struct os_cond *cond, struct os_mutex *mutex, uint64_t deadline_ns)
{
    struct timespec deadline = timespec_of(deadline_ns);
    int result;

    RANK_LEAVE(mutex->rank);
    if (deadline_ns)
        result = pthread_cond_timedwait(&cond->cond, &mutex->mutex, &deadline);
    else
        result = pthread_cond_wait(&cond->cond, &mutex->mutex);
    RANK_ENTER(mutex->rank);
    assert(result == 0 || result == ETIMEDOUT);
    return result != ETIMEDOUT;
}

void os_cond_signal(struct os_cond *cond)
{
    must_be_zero(pthread_cond_signal(&cond->cond));
}

void os_cond_broadcast(struct os_cond *cond)
{
    must_be_zero(pthread_cond_broadcast(&cond->cond));
}

/* The bit set variety takes a point in time where the plain one takes a duration. */
void os_wait_word(const _Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    struct timespec deadline = timespec_of(deadline_ns);

    syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected, deadline_ns ? &deadline : NULL, NULL,
            FUTEX_BITSET_MATCH_ANY);
}

void os_wake_word(const _Atomic uint32_t *word, int how_many)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, how_many, NULL, NULL, 0);
}
