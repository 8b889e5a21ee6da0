/* latch_test.c - one holder at a time, whoever spins or sleeps meanwhile. */
#include "base/thread.h"
#include "store/latch.h"
#include "support/test.h"

#include <stdbool.h>
#include <time.h>

#define THREADS 4
#define TURNS   50000

struct counted {
    struct latch latch;
    uint64_t count; /* under the latch, and no atomic: a second holder would lose some */
};

static void count_up(void *context)
{
    struct counted *counted = context;
    for (unsigned i = 0; i < TURNS; i++) {
        latch_acquire(&counted->latch);
        counted->count++;
        latch_release(&counted->latch);
    }
}

static void one_holder_at_a_time(void **state)
{
    (void)state;
    struct counted counted = {.count = 0};
    latch_init(&counted.latch);
    struct thread threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(thread_start(&threads[i], "test", count_up, &counted),
                         MEMENTO_OK);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        thread_join(&threads[i]);
    }
    assert_int_equal(counted.count, THREADS * TURNS);
    latch_fini(&counted.latch);
}

static void take_once(void *context)
{
    struct counted *counted = context;
    latch_acquire(&counted->latch);
    counted->count++;
    latch_release(&counted->latch);
}

/* Held for so long that all who want it go to sleep; each of them is woken in the end. */
static void who_sleeps_is_woken(void **state)
{
    (void)state;
    struct counted counted = {.count = 0};
    latch_init(&counted.latch);
    struct thread threads[THREADS];
    latch_acquire(&counted.latch);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(thread_start(&threads[i], "test", take_once, &counted),
                         MEMENTO_OK);
    }
    while (atomic_load(&counted.latch.word) != LATCH_AWAITED) {
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    assert_int_equal(counted.count, 0);
    latch_release(&counted.latch);
    for (unsigned i = 0; i < THREADS; i++) {
        thread_join(&threads[i]);
    }
    assert_int_equal(counted.count, THREADS);
    latch_fini(&counted.latch);
}

static void what_is_held_is_not_finished(void **state)
{
    (void)state;
    struct latch latch;
    latch_init(&latch);
    latch_acquire(&latch);
    assert_check_fails(latch_fini(&latch));
    latch_release(&latch);
    latch_fini(&latch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_holder_at_a_time),
        cmocka_unit_test(who_sleeps_is_woken),
        cmocka_unit_test(what_is_held_is_not_finished),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
