#include "base/lock.h"
#include "base/os.h"
#include "base/thread.h"
#include "support/test.h"

#include <errno.h>
#include <signal.h>

static int no_faults(void **state)
{
    (void)state;
    os_fail_never();
    return 0;
}

struct seen {
    char name[16];
    sigset_t blocked;
};

static void look_around(void *context)
{
    struct seen *seen = context;
    pthread_getname_np(pthread_self(), seen->name, sizeof(seen->name));
    pthread_sigmask(SIG_BLOCK, NULL, &seen->blocked);
}

static void a_thread_has_its_name_and_hears_no_signals(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct thread thread;
    assert_int_equal(thread_start(&thread, "worker 7", look_around, &seen), MEMENTO_OK);
    thread_join(&thread);
    assert_string_equal(seen.name, "worker 7");
    int blocked[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGALRM, SIGPIPE, SIGCHLD};
    for (size_t i = 0; i < ARRAY_LEN(blocked); i++) {
        assert_int_equal(sigismember(&seen.blocked, blocked[i]), 1);
    }
    /* Its own faults are nobody else's. */
    assert_int_equal(sigismember(&seen.blocked, SIGSEGV), 0);
    assert_int_equal(sigismember(&seen.blocked, SIGABRT), 0);
}

static void the_starter_keeps_its_signals(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct thread thread;
    assert_int_equal(thread_start(&thread, "x", look_around, &seen), MEMENTO_OK);
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    assert_int_equal(sigismember(&blocked, SIGTERM), 0);
    thread_join(&thread);
}

static void a_long_name_is_cut(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct thread thread;
    assert_int_equal(thread_start(&thread, "a name of many letters", look_around, &seen),
                     MEMENTO_OK);
    thread_join(&thread);
    assert_string_equal(seen.name, "a name of many ");
}

static void a_thread_that_cannot_start_is_an_answer(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct thread thread;
    os_fail_at(OS_THREAD, 1, EAGAIN, false);
    errno = 0;
    assert_int_equal(thread_start(&thread, "x", look_around, &seen), MEMENTO_ERR_IO);
    assert_int_equal(errno, EAGAIN);
    assert_string_equal(seen.name, "");
}

static void there_is_at_least_one_core(void **state)
{
    (void)state;
    assert_true(thread_cores() >= 1);
}

struct counter {
    struct lock lock;
    long count;
};

static void count_up(void *context)
{
    struct counter *counter = context;
    for (int i = 0; i < 10000; i++) {
        lock_acquire(&counter->lock);
        counter->count++;
        lock_release(&counter->lock);
    }
}

static void a_lock_lets_one_thread_in_at_a_time(void **state)
{
    (void)state;
    struct counter counter = {.count = 0};
    lock_init(&counter.lock);
    struct thread threads[4];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(thread_start(&threads[i], "count", count_up, &counter),
                         MEMENTO_OK);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        thread_join(&threads[i]);
    }
    assert_int_equal(counter.count, 40000);
    lock_fini(&counter.lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_has_its_name_and_hears_no_signals),
        cmocka_unit_test(the_starter_keeps_its_signals),
        cmocka_unit_test(a_long_name_is_cut),
        cmocka_unit_test_teardown(a_thread_that_cannot_start_is_an_answer, no_faults),
        cmocka_unit_test(there_is_at_least_one_core),
        cmocka_unit_test(a_lock_lets_one_thread_in_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
