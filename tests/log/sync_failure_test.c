/* A sync that fails, as file systems fail it: the pages are lost and marked clean, and the next
 * sync knows nothing of it. Nothing is promised afterwards, the file is never synced again, and
 * the log comes back by writing everything anew. MEMENTO_TEST_STATES=1000 tries so many syncs;
 * MEMENTO_SEED begins elsewhere. */
#include "base/clock.h"
#include "base/trace.h"
#include "log/life.h"
#include "support/test.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static char what[200]; /* is being tried */

static void expect(bool ok, const char *fact)
{
    if (!ok) {
        fail_msg("%s: %s", what, fact);
    }
}

static void must(enum memento_status status)
{
    assert_int_equal(status, MEMENTO_OK);
}

/* Writes, syncs, changes of segment, a compaction; some of it fails once the log has. */
static void live(struct life *life)
{
    for (int i = 0; i < 3; i++) {
        uint64_t first_segment;
        life_work(life, 8);
        (void)!log_rotate(life->log, &first_segment);
        (void)!life_write(life, 0);
        life_sync(life);
    }
    (void)!life_compact(life);
    life_work(life, 5);
    life_sync(life);
    life_acknowledge(life);
}

/* The log goes on trying, and may say nothing of it. */
static void nothing_is_promised_any_more(struct life *life)
{
    uint64_t durable = log_durable_end(life->log),
             settled = log_settled_version(life->log);
    size_t frame = life->frame_count;
    simos_heal();
    life_work(life, 10);
    life_sync(life);
    expect(log_state(life->log) == LOG_FAILED, "a failed log has got well by itself");
    expect(log_durable_end(life->log) == durable,
           "more is durable than before the failure");
    expect(log_settled_version(life->log) == settled,
           "more is settled than before the failure");
    for (; frame < life->frame_count; frame++) {
        expect(life->frames[frame].acked_at == LIFE_NEVER, "a write is acknowledged");
    }
}

static void start_again(const struct life *lived, uint64_t calls)
{
    static struct life life;
    life = *lived;
    life.log = NULL;
    life_stop(&life, calls);
    if (life_open(&life) != MEMENTO_OK) {
        fail_msg("%s: the next start is refused: %s", what, life.found.wrong);
    }
    life_check(lived, &life.found, calls, LIFE_LOST_POWER, what);
    life_abandon(&life);
}

/* After a power loss, and after a kill: that keeps the cache, where the lost pages still look
 * well, so whoever starts has to ask the disk. The machine is as before, but for its counts. */
static void acknowledged_is_what_a_start_finds(const struct life *life,
                                               const struct disk *disk, uint64_t calls)
{
    simos_boot(disk);
    start_again(life, calls);
    simos_power_on(DISK_DROPS_ALL, 0);
    start_again(life, calls);
    simos_boot(disk);
    simos_power_on(DISK_DROPS_ALL, 0);
    start_again(life, calls);
}

static void reopening_brings_it_back(struct life *life)
{
    must(life_reopen(life));
    expect(log_state(life->log) == LOG_READY, "a reopened log is not ready");
    size_t frame = life->frame_count;
    must(life_write(life, 0));
    (void)log_keep_step(life->log);
    life_sync(life);
    life_acknowledge(life);
    expect(life->frames[frame].durable_at != LIFE_NEVER, "a write is not made durable");
}

static const char synced_again[] = "a file was synced after its sync had failed";

/* False: there are fewer syncs than that. */
static bool fail_sync(enum log_policy policy, uint64_t seed, enum simos_call call,
                      uint64_t nth, unsigned *failures)
{
    static struct life life, lived;
    simos_start();
    life_begin(&life, policy, seed);
    life.hook_percent = 2;
    must(life_open(&life));
    snprintf(what, sizeof(what), "seed %" PRIu64 ", %s %" PRIu64, seed,
             simos_call_name(call), nth);
    simos_fail(&(struct simos_fault){
        .call = call, .nth = nth, .error = EIO, .effect = SIMOS_LOSES_PAGES});
    live(&life);
    bool was_hit = simos_hits() > 0;
    /* The sync of a spare or of a part of a snapshot fails without harm. */
    bool has_failed = log_state(life.log) == LOG_FAILED;
    if (has_failed) {
        (*failures)++;
        nothing_is_promised_any_more(&life);
    }
    lived = life;
    uint64_t calls = simos_calls(SIMOS_ANY);
    struct disk *disk = simos_disk();
    if (has_failed) {
        reopening_brings_it_back(&life);
    }
    expect(simos_syncs_after_failure() == 0, synced_again);
    uint64_t calls_after = simos_calls(SIMOS_ANY);
    struct disk *disk_after = simos_disk();
    life_abandon(&life);
    acknowledged_is_what_a_start_finds(&lived, disk, calls);
    acknowledged_is_what_a_start_finds(&life, disk_after, calls_after);
    disk_destroy(disk);
    disk_destroy(disk_after);
    return was_hit;
}

static void fail_syncs(enum log_policy policy)
{
    const char *wanted_text = getenv("MEMENTO_TEST_STATES"),
               *seed_text = getenv("MEMENTO_SEED");
    unsigned wanted = wanted_text != NULL ? (unsigned)strtoul(wanted_text, NULL, 10) : 60;
    uint64_t seed = seed_text != NULL ? strtoull(seed_text, NULL, 10) : 1;
    unsigned syncs = 0, failures = 0;
    for (; syncs < wanted; seed++) {
        for (uint64_t nth = 1; fail_sync(policy, seed, SIMOS_SYNC_DATA, nth, &failures);
             nth++) {
            syncs++;
        }
        for (uint64_t nth = 1; fail_sync(policy, seed, SIMOS_SYNC, nth, &failures);
             nth++) {
            syncs++;
        }
    }
    print_message("%u syncs failed, %u of them were the log's\n", syncs, failures);
    assert_true(failures > syncs / 10);
}

static void after_a_failed_sync_nothing_is_promised_under_always(void **state)
{
    (void)state;
    fail_syncs(LOG_ALWAYS);
}

static void after_a_failed_sync_nothing_is_promised_under_everysec(void **state)
{
    (void)state;
    fail_syncs(LOG_EVERYSEC);
}

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
        cmocka_unit_test_teardown(after_a_failed_sync_nothing_is_promised_under_always,
                                  clean_up),
        cmocka_unit_test_teardown(after_a_failed_sync_nothing_is_promised_under_everysec,
                                  clean_up),
    };
    return cmocka_run_group_tests(tests, be_quiet, NULL);
}
