/* clock.c -- time, randomness, and who we are. */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "src/os/os.h"

uint64_t os_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int64_t os_wall_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void os_sleep_us(uint64_t microseconds)
{
    struct timespec left = {(time_t)(microseconds / 1000000), (long)(microseconds % 1000000) * 1000};

    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
        continue;
}

/* The kernel's generator cannot fail on a system that runs at all; without it ids might be given out twice. */
void os_random(void *buffer, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = getrandom((char *)buffer + done, len - done, 0);

        if (n < 0 && errno != EINTR)
            abort();
        if (n > 0)
            done += (size_t)n;
    }
}

uint64_t os_pid(void)
{
    return (uint64_t)getpid();
}

void os_hostname(char *buffer, size_t size)
{
    if (size == 0)
        return;
    if (gethostname(buffer, size) != 0)
        buffer[0] = '\0';
    buffer[size - 1] = '\0';
}
