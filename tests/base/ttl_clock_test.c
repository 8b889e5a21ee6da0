#include "base/clock.h"
#include "base/thread.h"
#include "base/ttl_clock.h"
#include "support/test.h"

#define SECOND 1000
#define HOUR   (3600 * (int64_t)SECOND)
#define YEAR   (365 * 24 * HOUR)
#define START  1700000000000 /* ms since 1970 */
#define STEP   250           /* ms between two looks at the wall clock */

/* A machine whose wall clock may be set; its boot clock only goes on. */
struct machine {
    int64_t boot_ms;
    int64_t wall_ms;
    struct ttl_clock clock;
    int64_t shown_ms; /* what the clock said last */
};

static void machine_show(const struct machine *machine)
{
    clock_freeze_ms(machine->boot_ms);
    clock_freeze_wall_ms(machine->wall_ms);
}

static void machine_start(struct machine *machine, int64_t wall_ms, int64_t newest_ms)
{
    *machine = (struct machine){.boot_ms = 5 * HOUR, .wall_ms = wall_ms};
    machine_show(machine);
    ttl_clock_init(&machine->clock, newest_ms);
    machine->shown_ms = ttl_clock_ms(&machine->clock);
}

/* The clock now; it has not gone back. */
static int64_t machine_look(struct machine *machine)
{
    machine_show(machine);
    int64_t now_ms = ttl_clock_ms(&machine->clock);
    assert_true(now_ms >= machine->shown_ms);
    machine->shown_ms = now_ms;
    return now_ms;
}

static int64_t machine_follow(struct machine *machine)
{
    int64_t before_ms = machine_look(machine);
    int64_t forth_ms = ttl_clock_follow(&machine->clock);
    assert_int_equal(machine_look(machine), before_ms + forth_ms);
    return forth_ms;
}

/* Time passes and the clock is looked after, as a server would. How far it was set forth. */
static int64_t machine_run(struct machine *machine, int64_t ms)
{
    int64_t forth_ms = machine_follow(machine);
    for (int64_t done = 0; done < ms; done += STEP) {
        machine->boot_ms += STEP;
        machine->wall_ms += STEP;
        forth_ms += machine_follow(machine);
    }
    return forth_ms;
}

static int run_again(void **state)
{
    (void)state;
    clock_freeze_ms(-1);
    return 0;
}

static void an_undisturbed_clock_is_the_wall_clock(void **state)
{
    (void)state;
    struct machine m;
    machine_start(&m, START, 0);
    assert_int_equal(machine_look(&m), START);
    assert_int_equal(machine_run(&m, HOUR), 0);
    assert_int_equal(machine_look(&m), START + HOUR);
}

static void a_wall_clock_that_was_set_forth_is_followed_at_once(void **state)
{
    (void)state;
    const int64_t jumps[] = {SECOND + 1, HOUR, YEAR};
    for (size_t i = 0; i < ARRAY_LEN(jumps); i++) {
        struct machine m;
        machine_start(&m, START, 0);
        m.wall_ms += jumps[i];
        assert_int_equal(machine_look(&m), START); /* nobody has looked yet */
        assert_int_equal(machine_follow(&m), jumps[i]);
        assert_int_equal(machine_look(&m), START + jumps[i]);
        assert_int_equal(machine_run(&m, SECOND), 0);
        assert_int_equal(machine_look(&m), START + jumps[i] + SECOND);
    }
}

static void a_second_is_not_worth_a_jump(void **state)
{
    (void)state;
    struct machine m;
    machine_start(&m, START, 0);
    m.wall_ms += SECOND;
    assert_int_equal(machine_run(&m, 10 * SECOND), 0);
    assert_int_equal(machine_look(&m), START + 10 * SECOND);
}

/* It loses a tenth of what passes, until the two agree; then it is the wall clock again. */
static void a_wall_clock_that_was_set_back_is_waited_for_at_nine_tenths(void **state)
{
    (void)state;
    struct machine m;
    machine_start(&m, START, 0);
    m.wall_ms -= SECOND;
    machine_run(&m, 5 * SECOND);
    assert_int_equal(machine_look(&m), START + 4500);
    assert_int_equal(machine_run(&m, 20 * SECOND), 0);
    assert_int_equal(machine_look(&m), m.wall_ms);
    machine_run(&m, 20 * SECOND);
    assert_int_equal(machine_look(&m), m.wall_ms);

    const int64_t jumps[] = {HOUR, YEAR};
    for (size_t i = 0; i < ARRAY_LEN(jumps); i++) {
        machine_start(&m, START, 0);
        m.wall_ms -= jumps[i];
        assert_int_equal(machine_run(&m, 100 * SECOND), 0);
        assert_int_equal(machine_look(&m), START + 90 * SECOND);
    }
}

static void a_clock_set_back_and_forth_again_is_as_before(void **state)
{
    (void)state;
    struct machine m;
    machine_start(&m, START, 0);
    m.wall_ms -= HOUR;
    machine_run(&m, 10 * SECOND);
    m.wall_ms += HOUR; /* a second ahead of the clock now: it keeps full speed */
    assert_int_equal(machine_run(&m, 10 * SECOND), 0);
    assert_int_equal(machine_look(&m), START + 19 * SECOND);
    m.wall_ms += 1;
    assert_int_equal(machine_run(&m, 10 * SECOND), SECOND + 1);
    assert_int_equal(machine_look(&m), m.wall_ms);
}

/* Changing the speed keeps what is beyond the last full millisecond: 997 ms at nine tenths
 * are 897.3, and the .3 is not lost on the way to and fro. */
static void changes_of_speed_lose_nothing(void **state)
{
    (void)state;
    struct machine m;
    machine_start(&m, START, 0);
    for (int i = 0; i < 10; i++) {
        m.wall_ms = START - 1000; /* behind: slow */
        machine_follow(&m);
        m.boot_ms += 997;
        m.wall_ms = machine_look(&m); /* in step: full speed */
        machine_follow(&m);
    }
    assert_int_equal(machine_look(&m), START + 8973);
}

static void suspended_time_counts(void **state)
{
    (void)state;
    struct machine m;
    machine_start(&m, START, 0);
    machine_run(&m, SECOND);
    m.boot_ms += HOUR;
    m.wall_ms += HOUR;
    assert_int_equal(machine_look(&m), START + SECOND + HOUR);
    assert_int_equal(machine_follow(&m), 0);
}

static void a_restart_with_an_earlier_clock_goes_on_from_the_disk(void **state)
{
    (void)state;
    const int64_t jumps[] = {SECOND, HOUR, YEAR};
    for (size_t i = 0; i < ARRAY_LEN(jumps); i++) {
        struct machine m;
        machine_start(&m, START - jumps[i], START);
        assert_int_equal(machine_look(&m), START);
        assert_int_equal(machine_run(&m, 10 * SECOND),
                         0); /* slower, never back: each look has checked it */
        assert_true(machine_look(&m) < START + 10 * SECOND);
    }
}

static void a_time_beyond_all_times_overflows_nothing(void **state)
{
    (void)state;
    struct machine m;
    machine_start(&m, START, INT64_MAX);
    assert_true(machine_look(&m) > START + 1000 * YEAR);
    assert_int_equal(machine_run(&m, SECOND), 0);
}

struct watcher {
    struct thread thread;
    struct ttl_clock *clock;
    _Atomic int64_t *newest_ms; /* that any watcher has seen */
    atomic_bool *is_over;
    uint64_t went_back;
};

/* What one thread has seen, the other does not get to see less of. */
static void watch(void *context)
{
    struct watcher *watcher = context;
    while (!atomic_load(watcher->is_over)) {
        int64_t before_ms = atomic_load(watcher->newest_ms);
        int64_t now_ms = ttl_clock_ms(watcher->clock);
        watcher->went_back += now_ms < before_ms;
        while (before_ms < now_ms &&
               !atomic_compare_exchange_weak(watcher->newest_ms, &before_ms, now_ms)) {
        }
    }
}

static void threads_never_see_it_go_back(void **state)
{
    (void)state;
    struct ttl_clock clock;
    clock_freeze_ms(-1); /* the boot clock runs */
    int64_t wall_ms = START;
    clock_freeze_wall_ms(wall_ms);
    ttl_clock_init(&clock, 0);
    _Atomic int64_t newest_ms = 0;
    atomic_bool is_over = false;
    struct watcher watchers[2];
    for (size_t i = 0; i < ARRAY_LEN(watchers); i++) {
        watchers[i] = (struct watcher){
            .clock = &clock, .newest_ms = &newest_ms, .is_over = &is_over};
        assert_int_equal(
            thread_start(&watchers[i].thread, "watcher", watch, &watchers[i]), 0);
    }
    for (int i = 0; i < 200000; i++) {
        /* Slow, normal, a jump. */
        int64_t now_ms = ttl_clock_ms(&clock);
        clock_freeze_wall_ms(i % 3 == 0 ? now_ms - 500
                                        : now_ms + (i % 3 == 1 ? 10 : 2000));
        ttl_clock_follow(&clock);
    }
    atomic_store(&is_over, true);
    for (size_t i = 0; i < ARRAY_LEN(watchers); i++) {
        thread_join(&watchers[i].thread);
        assert_int_equal(watchers[i].went_back, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_undisturbed_clock_is_the_wall_clock),
        cmocka_unit_test(a_wall_clock_that_was_set_forth_is_followed_at_once),
        cmocka_unit_test(a_second_is_not_worth_a_jump),
        cmocka_unit_test(a_wall_clock_that_was_set_back_is_waited_for_at_nine_tenths),
        cmocka_unit_test(a_clock_set_back_and_forth_again_is_as_before),
        cmocka_unit_test(changes_of_speed_lose_nothing),
        cmocka_unit_test(suspended_time_counts),
        cmocka_unit_test(a_restart_with_an_earlier_clock_goes_on_from_the_disk),
        cmocka_unit_test(a_time_beyond_all_times_overflows_nothing),
        cmocka_unit_test(threads_never_see_it_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, run_again);
}
