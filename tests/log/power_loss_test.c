/* Power lost at every call of the disk, again and again: what was promised is there, what was
 * never written is not, and no directory is refused. MEMENTO_TEST_STATES=50000 looks at so many
 * states instead of a quick thousand; MEMENTO_SEED begins elsewhere. */
#include "base/clock.h"
#include "base/heap.h"
#include "base/trace.h"
#include "log/life.h"
#include "support/test.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed_first(void)
{
    const char *text = getenv("MEMENTO_SEED");
    return text != NULL ? strtoull(text, NULL, 10) : 1;
}

/* How many states a test looks at: of `share` per cent of what was asked for. */
static unsigned states_wanted(unsigned quick, unsigned share)
{
    const char *text = getenv("MEMENTO_TEST_STATES");
    return text != NULL ? (unsigned)(strtoull(text, NULL, 10) * share / 100) : quick;
}

static bool is_long(void)
{
    return getenv("MEMENTO_TEST_STATES") != NULL;
}

/* Builds with sanitizers and without optimisation look at a third of the moments, of more lives:
 * they are after other mistakes. */
#ifdef NDEBUG
#define MOMENT_STEP 1
#else
#define MOMENT_STEP 3
#endif

/* ---- a life worth losing ---- */

static void must(enum memento_status status)
{
    assert_int_equal(status, MEMENTO_OK);
}

/* Everything a server does: it starts, writes, rotates, compacts, backs up, is killed, starts
 * again, ends and starts. The number of moments; the log is closed. */
static size_t live(struct life *life, enum log_policy policy, uint64_t seed)
{
    simos_start();
    simos_is_copy_on_write(policy == LOG_NEVER || seed % 2 == 0);
    life_begin(life, policy, seed);
    life->hook_percent = 3;
    life->slow_percent = policy == LOG_ALWAYS ? 5 : 20;
    simos_record();
    must(life_open(life));
    life_work(life, 45);
    must(life_compact(life));
    life_work(life, 25);
    must(life_backup(life));
    life_work(life, 10);
    life_abandon(life);
    must(life_open(life));
    life_work(life, 30);
    must(life_compact(life));
    life_work(life, 10);
    must(life_close(life));
    must(life_open(life));
    life_work(life, 20);
    size_t moments = simos_record_end();
    life_abandon(life);
    return moments;
}

/* ---- what is left of it ---- */

struct state {
    size_t moment;
    enum life_end end;
    enum disk_loss loss;
    uint64_t seed;
    char text[120];
};

static void describe(struct state *state, const struct life *life)
{
    static const char *const losses[] = {"nothing unsynced kept", "everything kept",
                                         "some kept"};
    snprintf(state->text, sizeof(state->text),
             "life %" PRIu64 ", call %zu, %s, seed %" PRIu64, life->seed, state->moment,
             state->end == LIFE_KILLED ? "killed" : losses[state->loss], state->seed);
}

static void boot(const struct state *state)
{
    simos_boot(simos_moment(state->moment));
    if (state->end == LIFE_LOST_POWER) {
        simos_power_on(state->loss, state->seed);
    }
}

static void open_or_fail(struct life *life, const char *what)
{
    enum memento_status status = life_open(life);
    if (status != MEMENTO_OK) {
        fail_msg("%s: refused (%d): %s", what, (int)status, life->found.wrong);
    }
}

static void close_all(struct life *life)
{
    life_abandon(life);
    assert_int_equal(simos_open_descriptors(), 0);
}

/* What a reader of the recovered log has seen, and what was written to it since, is there when
 * the power goes once more and takes everything that was not synced. */
static void lose_power_again(struct life *before, const struct state *state)
{
    static struct life life;
    uint64_t calls = simos_calls(SIMOS_ANY);
    life = *before;
    simos_power_on(DISK_DROPS_ALL, state->seed);
    life_stop(&life, calls);
    char what[160];
    snprintf(what, sizeof(what), "%s, and power lost again", state->text);
    open_or_fail(&life, what);
    life_check(before, &life.found, calls, LIFE_LOST_POWER, what);
    close_all(&life);
}

static void look_at(const struct life *lived, struct state *state)
{
    static struct life life;
    life = *lived;
    life.hook_percent = life.slow_percent = 0;
    life_stop(&life, state->moment);
    describe(state, lived);
    boot(state);
    open_or_fail(&life, state->text);
    life_check(lived, &life.found, state->moment, state->end, state->text);
    life_check_backup(lived, state->moment, state->text);
    life_work(&life, 3);
    close_all(&life);
    if (is_long() || state->end == LIFE_KILLED || state->moment % 4 == 0) {
        lose_power_again(&life, state);
    }
}

/* The machine stops before one call of its life, in each way; how many states that were. */
static unsigned lose_power_at(const struct life *life, size_t moment, bool is_new)
{
    struct state state = {.moment = moment, .end = LIFE_LOST_POWER};
    unsigned states = 1;
    look_at(life,
            &state); /* where nothing changed on the disk, something may be promised */
    if (!is_new) {
        return states;
    }
    unsigned random_losses = is_long() ? 20 : 1;
    for (unsigned i = 0; i < random_losses; i++, states++) {
        state.loss = DISK_DROPS_SOME;
        state.seed = life->seed * 1000003 + moment * 1009 + i;
        look_at(life, &state);
    }
    if (is_long() || moment % 2 == 0) {
        state.loss = DISK_KEEPS_ALL;
        look_at(life, &state);
        states++;
    }
    if (is_long() || moment % 2 == 1) {
        state.end = LIFE_KILLED;
        look_at(life, &state);
        states++;
    }
    return states;
}

static unsigned lose_power_everywhere(enum log_policy policy, uint64_t seed)
{
    static struct life life;
    size_t moments = live(&life, policy, seed);
    unsigned states = 0;
    size_t step = is_long() ? 1 : MOMENT_STEP;
    for (size_t i = seed % step; i < moments; i += step) {
        states += lose_power_at(&life, i,
                                i < step || simos_moment(i) != simos_moment(i - step));
    }
    print_message("life %" PRIu64 ": %zu calls, %zu frames, %u states\n", seed,
                  moments - 1, life.frame_count, states);
    simos_stop();
    return states;
}

static void lose_power(enum log_policy policy, unsigned quick, unsigned share)
{
    unsigned wanted = states_wanted(quick, share);
    uint64_t seed = seed_first();
    for (unsigned states = 0; states < wanted; seed++) {
        states += lose_power_everywhere(policy, seed);
    }
}

static void under_always_nothing_acknowledged_is_lost(void **state)
{
    (void)state;
    lose_power(LOG_ALWAYS, 1100, 100);
}

static void under_everysec_a_second_of_acknowledgements_is_lost_and_no_holes(void **state)
{
    (void)state;
    lose_power(LOG_EVERYSEC, 1000, 20);
}

static void under_never_what_is_left_has_no_holes(void **state)
{
    (void)state;
    lose_power(LOG_NEVER, 1000, 20);
}

/* ---- power lost while recovering ---- */

static void same_found(const struct life_found *one, const struct life_found *other,
                       size_t frames, const char *what)
{
    if (memcmp(one->records, other->records, frames) != 0) {
        fail_msg("%s: another recovery finds something else", what);
    }
}

/* Recovers from `disk`, cut off at its nth call; false when it was over before. */
static bool recover_in_part(const struct life *stopped, const struct disk *disk,
                            uint64_t nth, struct life_found *found)
{
    static struct life life;
    life = *stopped;
    simos_boot(disk);
    simos_cut_power_at(nth);
    if (life_open(&life) == MEMENTO_OK) {
        life_abandon(&life);
    }
    *found = life.found;
    assert_int_equal(simos_open_descriptors(), 0);
    return !simos_is_powered();
}

static unsigned recover_at_every_call(const struct life *lived, struct state *state)
{
    static struct life life, stopped;
    stopped = *lived;
    stopped.hook_percent = stopped.slow_percent = 0;
    life_stop(&stopped, state->moment);
    describe(state, lived);
    boot(state);
    struct disk *disk = simos_disk();
    life = stopped;
    open_or_fail(&life, state->text);
    struct life_found whole = life.found, part;
    close_all(&life);
    unsigned states = 0;
    for (uint64_t nth = 1; recover_in_part(&stopped, disk, nth, &part); nth++) {
        enum disk_loss loss = (enum disk_loss)((nth + state->moment) % 3);
        simos_power_on(loss, state->seed + nth);
        /* And in the middle of the next one. */
        struct disk *again = simos_disk();
        (void)recover_in_part(&stopped, again, 1 + nth * 7 % 60, &part);
        disk_destroy(again);
        simos_power_on(DISK_DROPS_SOME, state->seed + nth);
        life = stopped;
        char what[200];
        snprintf(what, sizeof(what), "%s, recovery cut off at call %" PRIu64, state->text,
                 nth);
        open_or_fail(&life, what);
        if (state->end == LIFE_KILLED) {
            /* What was only in the cache may be gone now. */
            life_check(lived, &life.found, state->moment, LIFE_LOST_POWER, what);
        } else {
            same_found(&whole, &life.found, stopped.frame_count, what);
        }
        close_all(&life);
        states++;
    }
    disk_destroy(disk);
    return states;
}

static void a_recovery_that_is_cut_off_can_be_repeated(void **test_state)
{
    (void)test_state;
    unsigned wanted = states_wanted(500, 20), states = 0;
    uint64_t seed = seed_first() + 500;
    while (states < wanted) {
        static struct life life;
        size_t moments = live(&life, LOG_ALWAYS, seed);
        for (unsigned i = 0; i < 12 && states < wanted; i++) {
            struct state state = {.moment = (moments - 1) * (i + 1) / 12,
                                  .end = i % 4 == 3 ? LIFE_KILLED : LIFE_LOST_POWER,
                                  .loss = DISK_DROPS_SOME,
                                  .seed = seed * 1000 + i};
            states += recover_at_every_call(&life, &state);
        }
        simos_stop();
        seed++;
    }
    print_message("%u states\n", states);
}

/* ---- with the log's own threads ---- */

static void live_with_threads(struct life *life, uint64_t seed)
{
    simos_start();
    life_begin(life, LOG_ALWAYS, seed);
    life->has_threads = true;
    must(life_open(life));
    simos_cut_power_at(1 + random_below(&life->random, 300));
    for (unsigned i = 0; i < 80; i++) {
        (void)!life_write(life, i % 2);
        log_want_sync(&life->writers[i % 2]);
        if (i % 8 == 7) {
            life_sync(life);
        }
        if (i % 30 == 29) {
            (void)!life_compact(life);
        }
        life_acknowledge(life);
    }
}

static void what_threads_have_promised_is_kept(void **test_state)
{
    (void)test_state;
    static struct life lived, life;
    uint64_t seed = seed_first(), end = seed + states_wanted(40, 2);
    for (; seed < end; seed++) {
        live_with_threads(&lived, seed);
        life_abandon(&lived);
        uint64_t calls = simos_calls(SIMOS_ANY);
        simos_power_on((enum disk_loss)(seed % 3), seed);
        life = lived;
        life.has_threads = false;
        life_stop(&life, calls);
        char what[60];
        snprintf(what, sizeof(what), "with threads, seed %" PRIu64, seed);
        open_or_fail(&life, what);
        life_check(&lived, &life.found, calls, LIFE_LOST_POWER, what);
        close_all(&life);
    }
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
    simos_stop();
    clock_freeze_ms(-1);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(under_always_nothing_acknowledged_is_lost, clean_up),
        cmocka_unit_test_teardown(
            under_everysec_a_second_of_acknowledgements_is_lost_and_no_holes, clean_up),
        cmocka_unit_test_teardown(under_never_what_is_left_has_no_holes, clean_up),
        cmocka_unit_test_teardown(what_threads_have_promised_is_kept, clean_up),
        cmocka_unit_test_teardown(a_recovery_that_is_cut_off_can_be_repeated, clean_up),
    };
    return cmocka_run_group_tests(tests, be_quiet, NULL);
}
