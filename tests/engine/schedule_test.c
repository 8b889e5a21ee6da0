/* schedule_test.c - compaction while the keyspace changes: the schedules that would break it, each
 * forced at its point, and random ones beside a plain map, with kills and power losses. */
#include "base/clock.h"
#include "base/heap.h"
#include "base/trace.h"
#include "persist_fixture.h"
#include "support/simos.h"

#include <errno.h>
#include <stdlib.h>

static struct fixture fixture;

static int set_up(void **state)
{
    memset(&fixture, 0, sizeof(fixture));
    simos_start();
    fixture_options(&fixture, "data");
    open_engine(&fixture);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    close_engine(*state);
    simos_stop();
    return 0;
}

/* What was not synced is gone. */
static void lose_power(struct fixture *f)
{
    writer_close(&f->writer);
    engine_abandon(&f->engine);
    engine_fini(&f->engine);
    simos_power_on(DISK_DROPS_ALL, 1);
    open_engine(f);
}

/* ---- why there is a cut ---- */

struct delayed {
    struct fixture *f;
    struct writer slow;
};

static void commit_the_delayed(void *context, enum engine_point point, unsigned shard)
{
    struct delayed *delayed = context;
    (void)shard;
    if (point == ENGINE_ROTATED) {
        end_turn(&delayed->slow);
    }
}

/* The older SET comes to the new segment after the newer DELETE has gone to the old one, which is
 * dropped. */
static void a_deleted_key_stays_deleted_though_its_record_is_late(void **state)
{
    struct fixture *f = *state;
    struct delayed delayed = {.f = f};
    writer_open(f, &delayed.slow);
    set_bytes(f, &delayed.slow, 0, "k", B("old"), ENTRY_NO_DEADLINE, ENGINE_CREATED_NOW);
    drop(f, 0, "k");
    engine_set_hook(&f->engine, commit_the_delayed, &delayed);
    assert_int_equal(engine_compact_now(&f->engine), MEMENTO_OK);
    engine_set_hook(&f->engine, NULL, NULL);
    writer_close(&delayed.slow);
    reopen(f, false);
    assert_true(is_absent(f, 0, "k"));
}

static void a_flushed_key_stays_flushed_though_its_record_is_late(void **state)
{
    struct fixture *f = *state;
    struct delayed delayed = {.f = f};
    writer_open(f, &delayed.slow);
    set_bytes(f, &delayed.slow, 0, "k", B("old"), ENTRY_NO_DEADLINE, ENGINE_CREATED_NOW);
    begin_turn(&f->writer);
    assert_int_equal(engine_flush(&f->writer, -1), MEMENTO_OK);
    assert_int_equal(engine_swap_databases(&f->writer, 0, 1), MEMENTO_OK);
    end_turn(&f->writer);
    set(f, 1, "k", "new");
    engine_set_hook(&f->engine, commit_the_delayed, &delayed);
    assert_int_equal(engine_compact_now(&f->engine), MEMENTO_OK);
    engine_set_hook(&f->engine, NULL, NULL);
    writer_close(&delayed.slow);
    reopen(f, false);
    assert_true(is_absent(f, 0, "k"));
    assert_true(has(f, 1, "k", "new"));
}

/* ---- why positions are of the hash ---- */

#define SHRINKING_KEYS 3000
#define KEPT_EACH      10

static void name_of(char name[16], unsigned i)
{
    snprintf(name, 16, "k%u", i);
}

/* Drops keys while the scan goes on: the table is merged under it, and entries change places. */
static void shrink(void *context, enum engine_point point, unsigned shard)
{
    (void)shard;
    static unsigned next;
    struct fixture *f = context;
    if (point == ENGINE_CUT) {
        next = 0;
    }
    for (unsigned i = 0; point == ENGINE_STEP && i < 200 && next < SHRINKING_KEYS;
         i++, next++) {
        char name[16];
        name_of(name, next);
        if (next % KEPT_EACH != 0) {
            drop(f, 0, name);
        }
    }
}

static void keys_that_stay_are_in_the_snapshot_while_the_table_shrinks(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < SHRINKING_KEYS; i++) {
        char name[16];
        name_of(name, i);
        set(f, 0, name, "v");
    }
    engine_set_hook(&f->engine, shrink, f);
    assert_int_equal(engine_compact_now(&f->engine), MEMENTO_OK);
    engine_set_hook(&f->engine, NULL, NULL);
    reopen(f, false);
    for (unsigned i = 0; i < SHRINKING_KEYS; i += KEPT_EACH) {
        char name[16];
        name_of(name, i);
        assert_true(has(f, 0, name, "v"));
    }
}

/* ---- why the log is synced before the snapshot counts ---- */

struct hole {
    struct fixture *f;
    char early[16], late[16]; /* keys of the first and of the last shard */
    bool is_done;
};

static void name_in_shard(struct fixture *f, unsigned wanted, char name[16])
{
    for (unsigned i = 0;; i++) {
        snprintf(name, 16, "in%u-%u", wanted, i);
        struct key key = named(f, 0, name);
        if (keyspace_shard_index(&f->engine.keyspace, key.hash) == wanted) {
            return;
        }
    }
}

/* First a key that was scanned, then one that was not yet. */
static void write_both(void *context, enum engine_point point, unsigned shard)
{
    struct hole *hole = context;
    if (point == ENGINE_STEP && shard == 1 && !hole->is_done) {
        set(hole->f, 0, hole->early, "w");
        set(hole->f, 0, hole->late, "x");
        hole->is_done = true;
    }
}

static void a_power_loss_leaves_no_hole_behind_a_snapshot(void **state)
{
    struct fixture *f = *state;
    struct hole hole = {.f = f};
    name_in_shard(f, 0, hole.early);
    name_in_shard(f, 3, hole.late);
    engine_set_hook(&f->engine, write_both, &hole);
    assert_int_equal(engine_compact_now(&f->engine), MEMENTO_OK);
    assert_true(hole.is_done);
    lose_power(f);
    assert_true(has(f, 0, hole.late, "x"));
    assert_true(has(f, 0, hole.early, "w"));
}

/* Until then the old files count, and what they lack was not promised. */
static void before_the_manifest_a_power_loss_leaves_the_old_snapshot(void **state)
{
    struct fixture *f = *state;
    set(f, 0, "old", "1");
    assert_int_equal(engine_compact_now(&f->engine), MEMENTO_OK);
    set(f, 0, "new", "2");
    lose_power(f);
    assert_true(has(f, 0, "old", "1"));
    assert_true(is_absent(f, 0, "new"));
}

/* ---- one mishap after another ---- */

static void fail_the_snapshot(void *context, enum engine_point point, unsigned shard)
{
    (void)context;
    (void)shard;
    if (point == ENGINE_CUT) {
        simos_fail(&(struct simos_fault){
            .call = SIMOS_WRITE, .nth = 1, .error = EIO, .effect = SIMOS_FAILS});
    }
}

/* It leaves a new segment in which nothing is written yet. */
static void the_log_goes_on_after_a_compaction_that_failed(void **state)
{
    struct fixture *f = *state;
    set(f, 0, "a", "1");
    engine_set_hook(&f->engine, fail_the_snapshot, NULL);
    assert_int_equal(engine_compact_now(&f->engine), MEMENTO_ERR_IO);
    engine_set_hook(&f->engine, NULL, NULL);
    simos_heal();
    struct persist_stats stats;
    engine_persist_stats(&f->engine, &stats);
    assert_int_equal(stats.compactions_failed, 1);
    assert_int_equal(stats.state, LOG_READY);
    reopen(f, false);
    set(f, 0, "b", "2");
    reopen(f, false);
    assert_true(has(f, 0, "a", "1"));
    assert_true(has(f, 0, "b", "2"));
}

/* What a kill left in the kernel's hands only is what the next life is built on. */
static void a_power_loss_after_a_kill_takes_nothing_that_was_recovered(void **state)
{
    struct fixture *f = *state;
    static char bytes[10000];
    for (unsigned i = 0; i < 30; i++) { /* several segments, none of them synced */
        char name[16];
        name_of(name, i);
        begin_turn(&f->writer);
        set_bytes(f, &f->writer, 0, name, bytes_of(bytes, sizeof(bytes)),
                  ENTRY_NO_DEADLINE, ENGINE_CREATED_NOW);
        end_turn(&f->writer);
    }
    reopen(f, false);
    assert_int_equal(engine_count(&f->engine, 0), 30);
    lose_power(f);
    assert_int_equal(engine_count(&f->engine, 0), 30);
}

/* A writer's clock is read once a turn: what has just expired for others may live on with it. */
static void touch_it(void *context, enum engine_point point, unsigned shard)
{
    (void)shard;
    struct delayed *delayed = context;
    if (point == ENGINE_COMMITTING) {
        assert_int_equal(touch_by(delayed->f, &delayed->slow, 0, "k", ENTRY_NO_DEADLINE),
                         MEMENTO_OK);
        end_turn(&delayed->slow);
    }
}

static void an_entry_due_at_its_step_may_still_be_given_time(void **state)
{
    struct fixture *f = *state;
    struct delayed delayed = {.f = f};
    writer_open(f, &delayed.slow);
    set_bytes(f, &delayed.slow, 0, "k", B("v"), delayed.slow.now_ms + 1,
              ENGINE_CREATED_NOW);
    end_turn(&delayed.slow);
    int64_t begun_ms = delayed.slow.now_ms;
    while (engine_now_ms(&f->engine) <= begun_ms + 1) {
    }
    log_writer_wakes(&delayed.slow.log); /* in the middle of a turn that began earlier */
    log_writer_turn(&delayed.slow.log, (uint64_t)begun_ms << LOG_VERSION_SHIFT);
    engine_set_hook(&f->engine, touch_it, &delayed);
    assert_int_equal(engine_compact_now(&f->engine), MEMENTO_OK);
    engine_set_hook(&f->engine, NULL, NULL);
    writer_close(&delayed.slow);
    reopen(f, false);
    assert_true(has(f, 0, "k", "v"));
}

/* ---- random schedules beside a plain map ---- */

#define MODEL_KEYS      40
#define MODEL_DATABASES 3
#define MODEL_BYTES_MAX 60000

struct model_value {
    bool is_there;
    char *bytes;
    size_t len;
    int64_t deadline_ms;
};

struct model {
    struct fixture *f;
    struct random random;
    struct writer slow; /* commits rarely */
    struct model_value values[MODEL_DATABASES][MODEL_KEYS];
    bool is_committing; /* nobody may be in the middle of a turn any more */
};

static void model_store(struct model *model, unsigned database, unsigned key,
                        struct bytes bytes, int64_t deadline_ms)
{
    struct model_value *value = &model->values[database][key];
    heap_free(value->bytes);
    value->bytes = heap_copy(bytes.data, bytes.len);
    value->len = bytes.len;
    value->deadline_ms = deadline_ms;
    value->is_there = deadline_ms > model->f->writer.now_ms;
}

static void model_set(struct model *model, struct writer *writer, unsigned database,
                      unsigned key)
{
    static char bytes[MODEL_BYTES_MAX];
    char name[16];
    name_of(name, key);
    static const size_t limits[] = {10, 10, 100, 9000, 20000, MODEL_BYTES_MAX};
    size_t len = random_below(&model->random,
                              limits[random_below(&model->random, ARRAY_LEN(limits))]);
    memset(bytes, (int)('a' + random_below(&model->random, 26)), len);
    int64_t deadline_ms = ENTRY_NO_DEADLINE;
    if (random_below(&model->random, 4) == 0) {
        deadline_ms =
            random_below(&model->random, 4) == 0 ? 1000 : writer->now_ms + 3600000;
    }
    set_bytes(model->f, writer, database, name, bytes_of(bytes, len), deadline_ms,
              random_below(&model->random, 5) == 0 ? 4321 : ENGINE_CREATED_NOW);
    model_store(model, database, key, bytes_of(bytes, len), deadline_ms);
}

static void model_append(struct model *model, struct writer *writer, unsigned database,
                         unsigned key)
{
    struct model_value *value = &model->values[database][key];
    char name[16];
    name_of(name, key);
    if (!value->is_there || value->len > MODEL_BYTES_MAX) {
        return;
    }
    struct bytes more = random_below(&model->random, 4) == 0 ? B("") : B("more");
    append_by(model->f, writer, database, name, more);
    char *bytes = heap_alloc(value->len + more.len);
    memcpy(bytes, value->bytes, value->len);
    memcpy(bytes + value->len, more.data, more.len);
    heap_free(value->bytes);
    value->bytes = bytes;
    value->len += more.len;
}

static void model_flush(struct model *model, struct writer *writer, unsigned database)
{
    bool is_all = random_below(&model->random, 2) == 0;
    assert_int_equal(engine_flush(writer, is_all ? -1 : (int)database), MEMENTO_OK);
    for (unsigned db = 0; db < MODEL_DATABASES; db++) {
        for (unsigned key = 0; key < MODEL_KEYS && (is_all || db == database); key++) {
            model->values[db][key].is_there = false;
        }
    }
}

static void model_swap(struct model *model, struct writer *writer, unsigned a, unsigned b)
{
    assert_int_equal(engine_swap_databases(writer, a, b), MEMENTO_OK);
    for (unsigned key = 0; key < MODEL_KEYS; key++) {
        struct model_value value = model->values[a][key];
        model->values[a][key] = model->values[b][key];
        model->values[b][key] = value;
    }
}

/* One change by the writer, and the same to the map. */
static void model_change(struct model *model, struct writer *writer)
{
    struct random *random = &model->random;
    unsigned database = (unsigned)random_below(random, MODEL_DATABASES);
    unsigned key = (unsigned)random_below(random, MODEL_KEYS);
    struct model_value *value = &model->values[database][key];
    char name[16];
    name_of(name, key);
    uint64_t what = random_below(random, 200);
    if (what < 80) {
        model_set(model, writer, database, key);
    } else if (what < 110) {
        model_append(model, writer, database, key);
    } else if (what < 160) {
        assert_int_equal(drop_by(model->f, writer, database, name),
                         value->is_there ? MEMENTO_OK : MEMENTO_NOT_FOUND);
        value->is_there = false;
    } else if (what < 195) {
        int64_t deadline_ms = random_below(random, 3) == 0   ? ENTRY_NO_DEADLINE
                              : random_below(random, 6) == 0 ? 1000
                                                             : writer->now_ms + 7200000;
        assert_int_equal(touch_by(model->f, writer, database, name, deadline_ms),
                         value->is_there ? MEMENTO_OK : MEMENTO_NOT_FOUND);
        value->deadline_ms = deadline_ms;
        value->is_there = value->is_there && deadline_ms > writer->now_ms;
    } else if (what < 198) {
        model_swap(model, writer, database,
                   (unsigned)random_below(random, MODEL_DATABASES));
    } else {
        model_flush(model, writer, database);
    }
}

/* Some changes by both writers; the slow one may keep what it has staged for later. */
static void model_changes(struct model *model)
{
    struct fixture *f = model->f;
    for (uint64_t turn = random_below(&model->random, 6); turn > 0; turn--) {
        begin_turn(&f->writer);
        for (uint64_t i = random_below(&model->random, 5); i > 0; i--) {
            bool is_slow = !model->is_committing && random_below(&model->random, 3) == 0;
            model_change(model, is_slow ? &model->slow : &f->writer);
        }
        end_turn(&f->writer);
        if (random_below(&model->random, 4) == 0) {
            end_turn(&model->slow);
            if (!model->is_committing) {
                begin_turn(&model->slow);
            }
        }
        if (random_below(&model->random, 8) == 0) {
            (void)engine_sweep(&f->writer, 0, 1, 10);
        }
    }
}

static void model_step(void *context, enum engine_point point, unsigned shard)
{
    struct model *model = context;
    (void)shard;
    model_changes(model);
    if (point == ENGINE_COMMITTING) {
        end_turn(&model->slow);
        model->is_committing = true;
        model_changes(model);
        end_turn(&model->slow);
    }
}

static void model_compare(struct model *model, unsigned round)
{
    for (unsigned database = 0; database < MODEL_DATABASES; database++) {
        for (unsigned key = 0; key < MODEL_KEYS; key++) {
            struct model_value *value = &model->values[database][key];
            char name[16];
            name_of(name, key);
            struct item item;
            bool is_there = look(model->f, database, name, &item) == MEMENTO_OK;
            if (is_there != value->is_there) {
                fail_msg("round %u: %s of database %u is%s there", round, name, database,
                         is_there ? "" : " not");
            }
            if (is_there &&
                (item.deadline_ms != value->deadline_ms ||
                 !bytes_equal(item.value, bytes_of(value->bytes, value->len)))) {
                fail_msg("round %u: %s of database %u: %zu bytes and not %zu, until %lld "
                         "and not %lld",
                         round, name, database, item.value.len, value->len,
                         (long long)item.deadline_ms, (long long)value->deadline_ms);
            }
        }
    }
}

/* Everything is committed. A kill loses nothing of it; a power loss nothing that was synced. */
static void model_restart(struct model *model)
{
    struct fixture *f = model->f;
    end_turn(&model->slow);
    writer_close(&model->slow);
    uint64_t how = random_below(&model->random, 3);
    if (how == 0) {
        close_engine(f);
    } else {
        struct log *log = f->writer.log.log;
        if (how == 1) {
            assert_int_equal(log_sync_wait(log, log_written_end(log)), MEMENTO_OK);
        }
        abandon_engine(f);
    }
    if (how == 1) {
        simos_power_on((enum disk_loss)random_below(&model->random, 3),
                       random_next(&model->random));
    }
    f->shards = 1u << random_below(&model->random, 4);
    f->options.segment_bytes = LOG_SEGMENT_BYTES_MIN << random_below(&model->random, 3);
    open_engine(f);
    writer_open(f, &model->slow);
    begin_turn(&model->slow);
}

static void model_compact(struct model *model)
{
    engine_set_hook(&model->f->engine, model_step, model);
    model->is_committing = false;
    if (engine_compact_now(&model->f->engine) != MEMENTO_OK) {
        fail_msg("not compacted");
    }
    model->is_committing = false;
    begin_turn(&model->slow);
    engine_set_hook(&model->f->engine, NULL, NULL);
}

static void any_schedule_ends_in_what_the_map_has(void **state)
{
    struct fixture *f = *state;
    static struct model model;
    const char *given = getenv("MEMENTO_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : clock_monotonic_ns();
    print_message("MEMENTO_SEED=%llu\n", (unsigned long long)seed);
    memset(&model, 0, sizeof(model));
    model.f = f;
    random_init(&model.random, seed);
    writer_open(f, &model.slow);
    for (unsigned round = 0; round < 300; round++) {
        model_changes(&model);
        if (random_below(&model.random, 2) == 0) {
            model_compact(&model);
        }
        model_changes(&model);
        model_compare(&model, round);
        if (random_below(&model.random, 2) == 0) {
            model_restart(&model);
        }
        model_compare(&model, round);
    }
    end_turn(&model.slow);
    writer_close(&model.slow);
    for (unsigned i = 0; i < MODEL_DATABASES * MODEL_KEYS; i++) {
        heap_free(model.values[i / MODEL_KEYS][i % MODEL_KEYS].bytes);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    trace_set_level(TRACE_NOTHING);
    const struct CMUnitTest tests[] = {
        TEST(a_deleted_key_stays_deleted_though_its_record_is_late),
        TEST(a_flushed_key_stays_flushed_though_its_record_is_late),
        TEST(keys_that_stay_are_in_the_snapshot_while_the_table_shrinks),
        TEST(a_power_loss_leaves_no_hole_behind_a_snapshot),
        TEST(before_the_manifest_a_power_loss_leaves_the_old_snapshot),
        TEST(the_log_goes_on_after_a_compaction_that_failed),
        TEST(a_power_loss_after_a_kill_takes_nothing_that_was_recovered),
        TEST(an_entry_due_at_its_step_may_still_be_given_time),
        TEST(any_schedule_ends_in_what_the_map_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
