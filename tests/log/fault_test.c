/* Every call of the disk fails, one after the other, in every way, and so does every request for
 * memory: nothing is lost that was acknowledged, nothing wrong is ever read, and the log goes on
 * when the fault is over. MEMENTO_TEST_STATES (any number) tries all faults instead of a few. */
#include "base/clock.h"
#include "base/heap.h"
#include "base/os.h"
#include "base/trace.h"
#include "log/life.h"
#include "support/test.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what may be going on ---- */

struct scenario {
    const char *name;
    void (*prepare)(struct life *life);            /* without faults; NULL: nothing */
    enum memento_status (*run)(struct life *life); /* with them */
};

static void must(enum memento_status status)
{
    assert_int_equal(status, MEMENTO_OK);
}

static void have_a_log(struct life *life)
{
    must(life_open(life));
    life_work(life, 20);
    life_sync(life);
}

/* As a crash leaves it: two segments, a snapshot, an end that is torn. */
static void have_a_crash(struct life *life)
{
    have_a_log(life);
    must(life_compact(life));
    life_work(life, 25);
    life_abandon(life);
    uint64_t calls = simos_calls(SIMOS_ANY);
    simos_power_on(DISK_DROPS_SOME, 3);
    life_stop(life, calls);
}

static void have_a_failed_log(struct life *life)
{
    have_a_log(life);
    simos_fail(&(struct simos_fault){
        .call = SIMOS_SYNC_DATA, .nth = 1, .error = EIO, .effect = SIMOS_LOSES_PAGES});
    must(life_write(life, 0));
    life_sync(life);
    assert_int_equal(log_state(life->log), LOG_FAILED);
    simos_heal();
}

static enum memento_status write_and_sync(struct life *life)
{
    life_work(life, 8);
    life_sync(life);
    return MEMENTO_OK;
}

static enum memento_status write_over_a_segment(struct life *life)
{
    for (int i = 0; i < 4; i++) {
        uint64_t first_segment;
        life_work(life, 3);
        (void)!log_rotate(life->log, &first_segment);
        (void)log_sync_step(life->log);
    }
    life_sync(life);
    return MEMENTO_OK;
}

static const struct scenario scenarios[] = {
    {"start", NULL, life_open},
    {"recover", have_a_crash, life_open},
    {"write", have_a_log, write_and_sync},
    {"rotate", have_a_log, write_over_a_segment},
    {"compact", have_a_log, life_compact},
    {"back up", have_a_log, life_backup},
    {"reopen", have_a_failed_log, life_reopen},
    {"close", have_a_log, life_close},
};

/* ---- after a fault ---- */

static char what[200]; /* is being tried */

static void expect(bool ok, const char *fact)
{
    if (!ok) {
        fail_msg("%s: %s", what, fact);
    }
}

static void close_whatever_is_open(struct life *life)
{
    if (life->log != NULL) {
        life_abandon(life);
    }
    expect(simos_open_descriptors() == 0, "a descriptor is left open");
}

/* The machine as it is starts anew and has all that it should. */
static void start_again(const struct life *lived, uint64_t calls, enum life_end end)
{
    static struct life life;
    life = *lived;
    life.log = NULL;
    life_stop(&life, calls);
    enum memento_status status = life_open(&life);
    if (status != MEMENTO_OK) {
        fail_msg("%s: the next start is refused (%d): %s", what, (int)status,
                 life.found.wrong);
    }
    life_check(lived, &life.found, calls, end, what);
    life_check_backup(lived, calls, what);
    close_whatever_is_open(&life);
}

/* The process and the disk live on, without further faults. */
static void go_on(struct life *life)
{
    simos_heal();
    if (life->log == NULL) {
        enum memento_status status = life_open(life);
        if (status != MEMENTO_OK) {
            fail_msg("%s: not opened afterwards (%d): %s", what, (int)status,
                     life->found.wrong);
        }
    }
    expect(life_mend(life) == MEMENTO_OK, "the log does not get ready again");
    size_t frame = life->frame_count;
    must(life_write(life, 0));
    (void)log_keep_step(life->log);
    life_sync(life);
    life_acknowledge(life);
    expect(life->frames[frame].durable_at != LIFE_NEVER, "a write is not made durable");
    expect(life_close(life) == MEMENTO_OK, "the log cannot be closed");
    close_whatever_is_open(life);
}

/* Crashed right after the fault, or gone on with: each from the same disk. */
static void look_at_the_consequences(struct life *life, uint64_t seed)
{
    static struct life lived;
    if (life->log != NULL) {
        life_acknowledge(life);
    }
    lived = *life;
    uint64_t calls = simos_calls(SIMOS_ANY);
    struct disk *disk = simos_disk();
    go_on(life);
    uint64_t calls_after = simos_calls(SIMOS_ANY);
    simos_power_on(DISK_DROPS_ALL, 0);
    start_again(life, calls_after, LIFE_LOST_POWER);

    simos_boot(disk);
    start_again(&lived, calls, LIFE_KILLED);
    for (int loss = DISK_DROPS_ALL; loss <= DISK_DROPS_SOME; loss++) {
        simos_boot(disk);
        simos_power_on((enum disk_loss)loss, seed);
        start_again(&lived, calls, LIFE_LOST_POWER);
    }
    disk_destroy(disk);
}

/* ---- every fault ---- */

static void prepare(const struct scenario *scenario, struct life *life)
{
    simos_start();
    life_begin(life, LOG_ALWAYS, 7);
    if (scenario->prepare != NULL) {
        scenario->prepare(life);
    }
}

/* False: the scenario was over before the fault came. */
static bool run_with_fault(const struct scenario *scenario,
                           const struct simos_fault *fault)
{
    static struct life life;
    prepare(scenario, &life);
    snprintf(what, sizeof(what), "%s, %s %" PRIu64 ", %s, effect %d%s", scenario->name,
             simos_call_name(fault->call), fault->nth,
             fault->error != 0 ? strerror(fault->error) : "short", (int)fault->effect,
             fault->is_forever ? ", for ever" : "");
    uint64_t hits = simos_hits();
    simos_fail(fault);
    (void)!scenario->run(&life);
    bool was_hit = simos_hits() > hits;
    look_at_the_consequences(&life, fault->nth);
    return was_hit;
}

struct way {
    int error;
    enum simos_effect effect;
    bool is_rare; /* tried in long runs */
};

static const struct way ways[] = {
    {EIO, SIMOS_FAILS, false},      {ENOSPC, SIMOS_FAILS, false},
    {0, SIMOS_IS_SHORT, false},     {EIO, SIMOS_TEARS, false},
    {EIO, SIMOS_LOSES_PAGES, true}, {EINTR, SIMOS_FAILS, true},
    {EAGAIN, SIMOS_FAILS, true},    {EDQUOT, SIMOS_FAILS, true},
    {EMFILE, SIMOS_FAILS, true},    {ENOMEM, SIMOS_FAILS, true},
    {ENOSPC, SIMOS_TEARS, true},
};

/* With effects that are for some calls only, those; otherwise any. */
static enum simos_call call_of(const struct way *way)
{
    return way->effect == SIMOS_LOSES_PAGES                              ? SIMOS_SYNC_DATA
           : way->effect == SIMOS_TEARS || way->effect == SIMOS_IS_SHORT ? SIMOS_WRITE
                                                                         : SIMOS_ANY;
}

static void fail_everywhere(bool for_ever)
{
    bool is_long = getenv("MEMENTO_TEST_STATES") != NULL;
    unsigned runs = 0;
    for (size_t s = 0; s < ARRAY_LEN(scenarios); s++) {
        for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
            struct simos_fault fault = {.call = call_of(&ways[w]),
                                        .nth = 1,
                                        .error = ways[w].error,
                                        .effect = ways[w].effect,
                                        .is_forever = for_ever};
            if (ways[w].is_rare && !is_long) {
                continue;
            }
            /* In a short run one in three of the faults that last. */
            uint64_t step = for_ever && !is_long ? 3 : 1;
            for (; run_with_fault(&scenarios[s], &fault); fault.nth += step) {
                runs++;
            }
        }
    }
    print_message("%u faults\n", runs);
}

static void each_call_fails_once(void **state)
{
    (void)state;
    fail_everywhere(false);
}

static void each_call_fails_and_all_after_it(void **state)
{
    (void)state;
    fail_everywhere(true);
}

static void each_request_for_memory_fails(void **state)
{
    (void)state;
    unsigned runs = 0;
    for (size_t s = 0; s < ARRAY_LEN(scenarios); s++) {
        bool was_hit = true;
        for (uint64_t nth = 1; was_hit; nth++) {
            static struct life life;
            prepare(&scenarios[s], &life);
            snprintf(what, sizeof(what), "%s, memory %" PRIu64, scenarios[s].name, nth);
            os_fail_at(OS_MEMORY, nth, ENOMEM, false);
            (void)!scenarios[s].run(&life);
            was_hit = os_calls(OS_MEMORY) >= nth;
            os_fail_never();
            look_at_the_consequences(&life, nth);
            runs += was_hit;
        }
    }
    print_message("%u faults\n", runs);
}

static void no_fault_leaks_memory(void **state)
{
    (void)state;
    size_t before = heap_bytes_used();
    for (size_t s = 0; s < ARRAY_LEN(scenarios); s++) {
        struct simos_fault fault = {.call = SIMOS_ANY, .nth = 1, .error = EIO};
        while (run_with_fault(&scenarios[s], &fault)) {
            expect(heap_bytes_used() == before, "memory is not given back");
            fault.nth += 2;
        }
    }
}

/* ---- what each failure makes of the log ---- */

static struct life life_of_test;

static struct life *with_log(void)
{
    simos_start();
    life_begin(&life_of_test, LOG_ALWAYS, 5);
    must(life_open(&life_of_test));
    while (log_keep_step(life_of_test.log)) {
    }
    return &life_of_test;
}

static void fail_next(enum simos_call call, int error)
{
    simos_fail(&(struct simos_fault){
        .call = call, .nth = 1, .error = error, .is_forever = true});
}

static void a_write_that_fails_is_the_end_until_the_log_is_reopened(void **state)
{
    (void)state;
    struct life *life = with_log();
    fail_next(SIMOS_WRITE, EIO);
    must(life_write(life, 0));
    assert_int_equal(log_state(life->log), LOG_FAILED);
    struct buf reason;
    buf_init(&reason);
    log_state_reason(life->log, &reason);
    assert_non_null(strstr(buf_c_string(&reason), strerror(EIO)));
    buf_fini(&reason);
    simos_heal(); /* of which the log knows nothing */
    must(life_write(life, 0));
    life_sync(life);
    life_acknowledge(life);
    assert_int_equal(life->frames[0].durable_at, LIFE_NEVER);
    assert_int_equal(life->frames[1].durable_at, LIFE_NEVER);
    must(life_reopen(life));
    assert_int_equal(log_state(life->log), LOG_READY);
    must(life_close(life));
}

static void a_write_that_finds_no_space_is_tried_again(void **state)
{
    (void)state;
    struct life *life = with_log();
    fail_next(SIMOS_WRITE, ENOSPC);
    must(life_write(life, 0));
    assert_int_equal(log_state(life->log), LOG_NO_SPACE);
    simos_heal();
    (void)log_keep_step(life->log);
    assert_int_equal(log_state(life->log), LOG_READY);
    life_sync(life);
    assert_int_not_equal(life->frames[0].durable_at, LIFE_NEVER);
    must(life_close(life));
}

/* The disk fills up, slowly: what is taken is kept, and goes on when there is room again. */
static void a_full_disk_takes_no_harm(void **state)
{
    (void)state;
    struct life *life = with_log();
    simos_limit(400 * 1024);
    for (int i = 0; i < 400 && log_state(life->log) == LOG_READY; i++) {
        must(life_write(life, 0));
        (void)log_keep_step(life->log);
        life_sync(life);
        life_acknowledge(life);
    }
    assert_int_equal(log_state(life->log), LOG_NO_SPACE);
    simos_limit(0);
    must(life_mend(life));
    life_sync(life);
    life_acknowledge(life);
    for (size_t i = 0; i < life->frame_count; i++) {
        assert_int_not_equal(life->frames[i].durable_at, LIFE_NEVER);
    }
    must(life_close(life));
}

/* Before the next segment is needed nobody is refused anything. */
static void a_spare_that_cannot_be_made_does_not_stop_the_log(void **state)
{
    (void)state;
    struct life *life = with_log();
    uint64_t first_segment;
    must(life_write(life, 0));
    must(log_rotate(life->log, &first_segment));
    fail_next(SIMOS_OPEN, EMFILE);
    assert_false(log_keep_step(life->log));
    assert_int_equal(log_state(life->log), LOG_READY);
    must(life_write(life, 0));
    life_sync(life);
    assert_int_not_equal(life->frames[1].durable_at, LIFE_NEVER);
    simos_heal();
    assert_true(log_keep_step(life->log));
    must(life_close(life));
}

static void a_second_start_is_refused(void **state)
{
    (void)state;
    struct life *life = with_log();
    int dir, lock;
    long pid;
    assert_int_equal(log_lock_directory(LIFE_DIR, true, &dir, &lock, &pid),
                     MEMENTO_ERR_BUSY);
    assert_true(pid > 0);
    must(life_close(life));
    assert_int_equal(simos_open_descriptors(), 0);
}

/* ---- */

static int be_quiet(void **state)
{
    (void)state;
    trace_set_level(TRACE_NOTHING);
    return 0;
}

static int clean_up(void **state)
{
    (void)state;
    os_fail_never();
    simos_stop();
    clock_freeze_ms(-1);
    return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, clean_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_write_that_fails_is_the_end_until_the_log_is_reopened),
        TEST(a_write_that_finds_no_space_is_tried_again),
        TEST(a_full_disk_takes_no_harm),
        TEST(a_spare_that_cannot_be_made_does_not_stop_the_log),
        TEST(a_second_start_is_refused),
        TEST(each_call_fails_once),
        TEST(each_call_fails_and_all_after_it),
        TEST(each_request_for_memory_fails),
        TEST(no_fault_leaks_memory),
    };
    return cmocka_run_group_tests(tests, be_quiet, NULL);
}
