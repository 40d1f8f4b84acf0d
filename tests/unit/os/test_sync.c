/* Threads, mutexes, conditions, sleeping on a word, clocks. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "src/base/mem.h"
#include "src/os/os.h"

enum { MS = 1000000 };      /* nanoseconds */

static struct op op;

static int begin_test(void **state)
{
    op_init(&op);
    return 0;
}

static int end_test(void **state)
{
    op_end(&op);
    return 0;
}

static struct os_thread *started(void (*run)(void *), void *arg)
{
    struct os_thread *thread;

    assert_int_equal(os_thread_start(&op, run, arg, "a name that is longer than the kernel keeps", &thread), OP_OK);
    return thread;
}

struct counter {
    struct os_mutex mutex;
    int value;
};

static void add_a_thousand(void *arg)
{
    struct counter *counter = arg;

    for (int i = 0; i < 1000; i++) {
        os_mutex_lock(&counter->mutex);
        counter->value++;
        os_mutex_unlock(&counter->mutex);
    }
}

static void a_mutex_lets_one_thread_in_at_a_time(void **state)
{
    struct counter counter = {.value = 0};
    struct os_thread *threads[8];

    os_mutex_init(&counter.mutex, RANK_OS);
    for (int i = 0; i < 8; i++)
        threads[i] = started(add_a_thousand, &counter);
    for (int i = 0; i < 8; i++)
        os_thread_join(threads[i]);
    assert_int_equal(counter.value, 8000);
    os_mutex_destroy(&counter.mutex);
}

static void try_and_report(void *arg)
{
    struct counter *counter = arg;

    if (os_mutex_try_lock(&counter->mutex)) {
        counter->value = 1;
        os_mutex_unlock(&counter->mutex);
    }
}

static void try_lock_fails_while_another_thread_is_inside(void **state)
{
    struct counter counter = {.value = 0};

    os_mutex_init(&counter.mutex, RANK_OS);
    os_mutex_lock(&counter.mutex);
    os_thread_join(started(try_and_report, &counter));
    os_mutex_unlock(&counter.mutex);
    assert_int_equal(counter.value, 0);
    os_thread_join(started(try_and_report, &counter));
    assert_int_equal(counter.value, 1);
    os_mutex_destroy(&counter.mutex);
}

struct box {
    struct os_mutex mutex;
    struct os_cond cond;
    int full;
};

static void fill_box(void *arg)
{
    struct box *box = arg;

    os_sleep_us(2000);
    os_mutex_lock(&box->mutex);
    box->full = 1;
    os_cond_broadcast(&box->cond);
    os_mutex_unlock(&box->mutex);
}

static void a_condition_wakes_who_waits_for_it(void **state)
{
    struct box box = {.full = 0};
    struct os_thread *thread;

    os_mutex_init(&box.mutex, RANK_OS);
    os_cond_init(&box.cond);
    thread = started(fill_box, &box);
    os_mutex_lock(&box.mutex);
    while (!box.full)
        os_cond_wait(&box.cond, &box.mutex, 0);
    os_mutex_unlock(&box.mutex);
    os_thread_join(thread);
    os_cond_destroy(&box.cond);
    os_mutex_destroy(&box.mutex);
}

static void a_condition_gives_up_at_the_deadline(void **state)
{
    struct box box = {.full = 0};
    uint64_t deadline = os_clock_ns() + 5 * MS;

    os_mutex_init(&box.mutex, RANK_OS);
    os_cond_init(&box.cond);
    os_mutex_lock(&box.mutex);
    while (os_cond_wait(&box.cond, &box.mutex, deadline))
        continue;
    assert_true(os_clock_ns() >= deadline);
    assert_false(os_cond_wait(&box.cond, &box.mutex, deadline));
    os_cond_signal(&box.cond);
    os_mutex_unlock(&box.mutex);
    os_cond_destroy(&box.cond);
    os_mutex_destroy(&box.mutex);
}

static void set_word(void *arg)
{
    _Atomic uint32_t *word = arg;

    os_sleep_us(2000);
    atomic_store(word, 1);
    os_wake_word(word, 1);
}

static void a_sleeper_on_a_word_is_woken(void **state)
{
    _Atomic uint32_t word = 0;
    struct os_thread *thread = started(set_word, &word);

    while (atomic_load(&word) == 0)
        os_wait_word(&word, 0, 0);
    os_thread_join(thread);
}

static void a_word_that_has_changed_already_is_not_waited_for(void **state)
{
    _Atomic uint32_t word = 7;

    os_wait_word(&word, 6, 0);
}

static void a_sleeper_on_a_word_gives_up_at_the_deadline(void **state)
{
    _Atomic uint32_t word = 0;
    uint64_t before = os_clock_ns();

    while (os_clock_ns() < before + 5 * MS)
        os_wait_word(&word, 0, before + 5 * MS);
    assert_true(os_clock_ns() < before + 5000 * (uint64_t)MS);
    os_wait_word(&word, 0, before);     /* in the past: at once */
}

struct handover {
    _Atomic uint32_t turn;
    int rounds;
};

static void answer_turns(void *arg)
{
    struct handover *handover = arg;

    for (int i = 0; i < handover->rounds; i++) {
        while (atomic_load(&handover->turn) != 1)
            os_wait_word(&handover->turn, 0, 0);
        atomic_store(&handover->turn, 0);
        os_wake_word(&handover->turn, 1);
    }
}

static void no_wake_up_is_lost_in_many_hand_overs(void **state)
{
    struct handover handover = {.rounds = 2000};
    struct os_thread *thread = started(answer_turns, &handover);

    for (int i = 0; i < handover.rounds; i++) {
        atomic_store(&handover.turn, 1);
        os_wake_word(&handover.turn, 1);
        while (atomic_load(&handover.turn) != 0)
            os_wait_word(&handover.turn, 1, 0);
    }
    os_thread_join(thread);
}

static void note_signals(void *arg)
{
    sigset_t *blocked = arg;

    pthread_sigmask(SIG_SETMASK, NULL, blocked);
}

static void threads_take_no_signals_and_the_starter_still_does(void **state)
{
    sigset_t inside, here;

    sigemptyset(&inside);
    os_thread_join(started(note_signals, &inside));
    assert_true(sigismember(&inside, SIGINT));
    assert_true(sigismember(&inside, SIGTERM));
    pthread_sigmask(SIG_SETMASK, NULL, &here);
    assert_false(sigismember(&here, SIGINT));
}

static void a_thread_that_cannot_be_allocated_is_reported(void **state)
{
    struct os_thread *thread;

    (void)mem_fail_at(1);
    assert_int_equal(os_thread_start(&op, note_signals, NULL, "t", &thread), OP_FAILED);
    (void)mem_fail_at(0);
    assert_null(thread);
    assert_string_equal(op.error.sqlstate, "53200");
}

static void clocks_advance_and_sleep_lasts_as_long_as_asked(void **state)
{
    uint64_t before = os_clock_ns();

    os_sleep_us(3000);
    os_yield();
    os_pause();
    assert_true(os_clock_ns() >= before + 3 * MS);
    assert_true(os_wall_us() > INT64_C(1600000000000000));
}

static void random_bytes_differ_each_time(void **state)
{
    uint8_t a[1000] = {0}, b[1000] = {0};

    os_random(a, sizeof a);
    os_random(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    os_random(a, 0);
}

static void the_process_and_the_host_are_named(void **state)
{
    char name[256], cut[2] = "xx";

    assert_int_equal(os_pid(), getpid());
    os_hostname(name, sizeof name);
    assert_true(strlen(name) > 0);
    os_hostname(cut, sizeof cut);
    assert_int_equal(cut[1], '\0');
    os_hostname(cut, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_test, end_test)
    const struct CMUnitTest tests[] = {
        TEST(a_mutex_lets_one_thread_in_at_a_time),
        TEST(try_lock_fails_while_another_thread_is_inside),
        TEST(a_condition_wakes_who_waits_for_it),
        TEST(a_condition_gives_up_at_the_deadline),
        TEST(a_sleeper_on_a_word_is_woken),
        TEST(a_word_that_has_changed_already_is_not_waited_for),
        TEST(a_sleeper_on_a_word_gives_up_at_the_deadline),
        TEST(no_wake_up_is_lost_in_many_hand_overs),
        TEST(threads_take_no_signals_and_the_starter_still_does),
        TEST(a_thread_that_cannot_be_allocated_is_reported),
        TEST(clocks_advance_and_sleep_lasts_as_long_as_asked),
        TEST(random_bytes_differ_each_time),
        TEST(the_process_and_the_host_are_named),
    };

    return cmocka_run_group_tests_name("sync", tests, NULL, NULL);
}
