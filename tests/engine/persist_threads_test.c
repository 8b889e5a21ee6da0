/* persist_threads_test.c - writers, compaction, syncing and loading at the same time. */
#include "base/clock.h"
#include "base/heap.h"
#include "base/trace.h"
#include "persist_fixture.h"

#include <sched.h>

#define WRITERS       3
#define KEYS_A_WRITER 2000
#define TURNS         400
#define VALUE_MAX     300

/* A writer of its own keys, which nobody else changes. */
struct worker {
    struct fixture *f;
    struct thread thread;
    unsigned number;
    uint64_t seed;
    atomic_bool is_done;
    uint32_t
        lengths[KEYS_A_WRITER]; /* of the value, which is all of one letter; 0: absent */
};

static void name_of(char name[24], unsigned worker, unsigned key)
{
    snprintf(name, 24, "w%u:%u", worker, key);
}

static void change(struct worker *worker, struct writer *writer, struct random *random)
{
    static const char bytes[VALUE_MAX + LOG_REFERENCE_BYTES] = {0};
    unsigned key = (unsigned)random_below(random, KEYS_A_WRITER);
    char name[24];
    name_of(name, worker->number, key);
    if (random_below(random, 4) == 0) {
        enum memento_status status = drop_by(worker->f, writer, worker->number, name);
        assert_int_equal(status,
                         worker->lengths[key] > 0 ? MEMENTO_OK : MEMENTO_NOT_FOUND);
        worker->lengths[key] = 0;
        return;
    }
    size_t len = 1 + random_below(random, VALUE_MAX);
    len += random_below(random, 100) == 0 ? LOG_REFERENCE_BYTES - 1 : 0;
    set_bytes(worker->f, writer, worker->number, name, bytes_of(bytes, len),
              ENTRY_NO_DEADLINE, ENGINE_CREATED_NOW);
    worker->lengths[key] = (uint32_t)len;
}

/* As one who answers only what is written. */
static void wait_until_written(struct writer *writer)
{
    log_commit(&writer->log);
    while (atomic_load(&writer->log.written) < writer->log.committed) {
        sched_yield();
    }
    log_writer_sleeps(&writer->log);
}

static void work(void *context)
{
    struct worker *worker = context;
    struct writer writer;
    struct random random;
    random_init(&random, worker->seed + worker->number);
    writer_open(worker->f, &writer);
    for (unsigned turn = 0; turn < TURNS; turn++) {
        begin_turn(&writer);
        for (uint64_t i = random_below(&random, 40); i > 0; i--) {
            change(worker, &writer, &random);
        }
        wait_until_written(&writer);
    }
    writer_close(&writer);
    atomic_store(&worker->is_done, true);
}

static bool are_done(struct worker *workers)
{
    bool done = true;
    for (unsigned i = 0; i < WRITERS; i++) {
        done = done && atomic_load(&workers[i].is_done);
    }
    return done;
}

static void compare(struct fixture *f, const struct worker *workers)
{
    for (unsigned i = 0; i < WRITERS; i++) {
        for (unsigned key = 0; key < KEYS_A_WRITER; key++) {
            char name[24];
            name_of(name, i, key);
            struct item item;
            bool is_there = look(f, i, name, &item) == MEMENTO_OK;
            assert_int_equal(is_there, workers[i].lengths[key] > 0);
            assert_true(!is_there || item.value.len == workers[i].lengths[key]);
        }
    }
}

static void compact_while_they_work(struct fixture *f, struct worker *workers)
{
    unsigned compactions = 0;
    do {
        assert_int_equal(engine_compact_now(&f->engine), MEMENTO_OK);
        compactions++;
    } while (!are_done(workers));
    print_message("%u compactions meanwhile\n", compactions);
}

static void snapshots_are_whole_while_writers_run(void **state)
{
    (void)state;
    static struct fixture fixture;
    static struct worker workers[WRITERS];
    struct fixture *f = &fixture;
    uint64_t seed = clock_monotonic_ns();
    print_message("seed %llu\n", (unsigned long long)seed);
    test_folder_create(f->path);
    fixture_options(f, f->path);
    f->options.has_threads = true;
    f->options.load_threads = 3;
    f->options.segment_bytes = 256 * 1024;
    for (unsigned round = 0; round < 3; round++) {
        open_engine(f);
        compare(f, workers);
        for (unsigned i = 0; i < WRITERS; i++) {
            struct worker *worker = &workers[i];
            worker->f = f;
            worker->number = i;
            worker->seed = seed + round;
            atomic_store(&worker->is_done, false);
            assert_int_equal(thread_start(&worker->thread, "work", work, worker),
                             MEMENTO_OK);
        }
        log_writer_sleeps(&f->writer.log); /* or its turn would hold up what is settled */
        compact_while_they_work(f, workers);
        for (unsigned i = 0; i < WRITERS; i++) {
            thread_join(&workers[i].thread);
        }
        compare(f, workers);
        if (round == 1) {
            abandon_engine(f);
        } else {
            close_engine(f);
        }
    }
    open_engine(f);
    compare(f, workers);
    close_engine(f);
    test_folder_remove(f->path);
}

/* ---- the log is synced first ---- */

struct last_write {
    struct fixture *f;
    uint64_t version;
};

static void write_at_the_last_moment(void *context, enum engine_point point,
                                     unsigned shard)
{
    struct last_write *last = context;
    (void)shard;
    if (point == ENGINE_COMMITTING) {
        begin_turn(&last->f->writer);
        set_bytes(last->f, &last->f->writer, 0, "k", B("v"), ENTRY_NO_DEADLINE,
                  ENGINE_CREATED_NOW);
        wait_until_written(&last->f->writer);
        struct item item;
        assert_int_equal(look(last->f, 0, "k", &item), MEMENTO_OK);
        last->version = item.version;
    }
}

/* What is in a snapshot may rest on what is only in the log. */
static void a_snapshot_counts_only_when_the_log_before_it_is_durable(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct fixture *f = &fixture;
    test_folder_create(f->path);
    fixture_options(f, f->path);
    f->options.has_threads = true;
    f->options.policy = LOG_NEVER;
    open_engine(f);
    log_writer_sleeps(&f->writer.log);
    struct last_write last = {.f = f};
    engine_set_hook(&f->engine, write_at_the_last_moment, &last);
    assert_int_equal(engine_compact_now(&f->engine), MEMENTO_OK);
    engine_set_hook(&f->engine, NULL, NULL);
    assert_true(last.version > 0);
    assert_true(log_settled_version(f->writer.log.log) >= last.version);
    close_engine(f);
    test_folder_remove(f->path);
}

/* ---- the thread that compacts by itself ---- */

static void count_done(void *context, enum memento_status status, struct bytes why)
{
    atomic_int *outcomes = context;
    (void)why;
    atomic_fetch_add(outcomes, status == MEMENTO_OK ? 1 : 1000);
}

static void garbage_is_compacted_and_jobs_are_done(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct fixture *f = &fixture;
    test_folder_create(f->path);
    fixture_options(f, f->path);
    f->options.has_threads = true;
    f->options.segment_bytes = 1024 * 1024;
    f->options.compaction_log_min = 100000;
    f->options.compaction_garbage_percent = 50;
    f->options.compaction_rate = 100 * 1000 * 1000;
    open_engine(f);
    struct persist_stats stats;
    do {
        static const char bytes[1000] = {0};
        begin_turn(&f->writer);
        set_bytes(f, &f->writer, 0, "again and again", bytes_of(bytes, sizeof(bytes)),
                  ENTRY_NO_DEADLINE, ENGINE_CREATED_NOW);
        wait_until_written(&f->writer);
        engine_persist_stats(&f->engine, &stats);
    } while (stats.compactions == 0);
    assert_true(stats.compactions_failed == 0);

    atomic_int outcomes = 0;
    while (engine_compact_job(&f->engine, count_done, &outcomes) == MEMENTO_AGAIN) {
    }
    while (atomic_load(&outcomes) == 0) {
        sched_yield();
    }
    while (engine_reopen_job(&f->engine, count_done, &outcomes) == MEMENTO_AGAIN) {
    }
    while (atomic_load(&outcomes) == 1) {
        sched_yield();
    }
    assert_int_equal(outcomes, 1001); /* a log that has not failed is not reopened */
    assert_int_equal(engine_backup_job(&f->engine, B("../up"), count_done, &outcomes),
                     MEMENTO_ERR_INVALID);
    close_engine(f);
    test_folder_remove(f->path);
}

int main(void)
{
    trace_set_level(TRACE_NOTHING);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshots_are_whole_while_writers_run),
        cmocka_unit_test(a_snapshot_counts_only_when_the_log_before_it_is_durable),
        cmocka_unit_test(garbage_is_compacted_and_jobs_are_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
