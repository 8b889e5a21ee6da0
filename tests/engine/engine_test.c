/* engine_test.c - the door to the keyspace: single keys, spans, databases, scans, expiry. */
#include "base/clock.h"
#include "engine/engine.h"
#include "support/test.h"

#include <stdio.h>

#define SHARDS 4

struct fixture {
    struct engine engine;
    struct writer writer;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    struct hash_seed seed = {1, 2};
    fixture.writer.now_ms = 0;
    if (engine_init(&fixture.engine, SHARDS, &seed, 1000) != MEMENTO_OK ||
        writer_init(&fixture.writer, &fixture.engine) != MEMENTO_OK) {
        return -1;
    }
    fixture.writer.now_ms = 1000;
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) UNCHECKED_LOCKING
{
    struct fixture *f = *state;
    engine_lock_all(&f->writer);
    for (unsigned i = 0; i < f->engine.keyspace.shard_count; i++) {
        shard_verify(&f->engine.keyspace.shards[i]);
    }
    engine_unlock_span(&f->writer);
    writer_fini(&f->writer);
    engine_fini(&f->engine);
    return 0;
}

static struct key named(struct fixture *f, unsigned database, const char *name)
{
    struct bytes bytes = bytes_of_string(name);
    return engine_key(&f->engine, bytes, engine_hash(&f->engine, bytes), database);
}

static void put(struct fixture *f, unsigned database, const char *name, const char *text,
                int64_t deadline_ms)
{
    struct key key = named(f, database, name);
    struct engine_value value;
    assert_int_equal(engine_value_make(bytes_of_string(text), &value), MEMENTO_OK);
    struct shard *shard = engine_lock(&f->writer, &key);
    assert_int_equal(
        engine_set(&f->writer, shard, &key, &value, deadline_ms, ENGINE_CREATED_NOW),
        MEMENTO_OK);
    engine_unlock(&f->writer, shard);
    engine_value_drop(&value);
}

static bool has(struct fixture *f, unsigned database, const char *name, const char *text)
{
    struct key key = named(f, database, name);
    struct shard *shard = engine_lock(&f->writer, &key);
    struct item item;
    bool found = engine_find(&f->writer, shard, &key, &item) == MEMENTO_OK;
    bool same = found && (text == NULL || bytes_equal(item.value, bytes_of_string(text)));
    engine_unlock(&f->writer, shard);
    return same;
}

static void drop(struct fixture *f, unsigned database, const char *name)
{
    struct key key = named(f, database, name);
    struct shard *shard = engine_lock(&f->writer, &key);
    assert_int_equal(engine_delete(&f->writer, shard, &key), MEMENTO_OK);
    engine_unlock(&f->writer, shard);
}

static struct watch *watch(struct fixture *f, unsigned database, const char *name)
{
    struct key key = named(f, database, name);
    struct watch *watch = engine_watch(&f->writer, &key);
    assert_non_null(watch);
    return watch;
}

static bool is_broken(struct fixture *f, struct watch *watch)
{
    engine_lock_all(&f->writer);
    bool broken = engine_watch_is_broken(&f->writer, watch);
    engine_unlock_span(&f->writer);
    return broken;
}

static void a_key_lives_in_its_database_only(void **state)
{
    struct fixture *f = *state;
    put(f, 0, "k", "zero", ENTRY_NO_DEADLINE);
    put(f, 3, "k", "three", ENTRY_NO_DEADLINE);
    assert_true(has(f, 0, "k", "zero"));
    assert_true(has(f, 3, "k", "three"));
    assert_false(has(f, 1, "k", NULL));
    assert_int_equal(engine_count(&f->engine, 0), 1);
    assert_int_equal(engine_count(&f->engine, 3), 1);
}

static void swapped_databases_exchange_their_keys_at_once(void **state)
{
    struct fixture *f = *state;
    put(f, 0, "a", "1", ENTRY_NO_DEADLINE);
    put(f, 0, "b", "2", ENTRY_NO_DEADLINE);
    put(f, 5, "a", "3", ENTRY_NO_DEADLINE);
    assert_int_equal(engine_swap_databases(&f->writer, 0, 5), MEMENTO_OK);
    assert_true(has(f, 5, "a", "1"));
    assert_true(has(f, 5, "b", "2"));
    assert_true(has(f, 0, "a", "3"));
    assert_int_equal(engine_count(&f->engine, 5), 2);
    assert_int_equal(engine_swap_databases(&f->writer, 5, 0), MEMENTO_OK);
    assert_true(has(f, 0, "b", "2"));
}

static void flushing_one_database_leaves_the_others(void **state)
{
    struct fixture *f = *state;
    put(f, 0, "a", "1", ENTRY_NO_DEADLINE);
    put(f, 1, "a", "1", 5000);
    assert_int_equal(engine_flush(&f->writer, 0), MEMENTO_OK);
    assert_int_equal(engine_count(&f->engine, 0), 0);
    assert_int_equal(engine_count_with_deadline(&f->engine, 1), 1);
    assert_int_equal(engine_flush(&f->writer, -1), MEMENTO_OK);
    assert_int_equal(engine_count(&f->engine, 1), 0);
    assert_int_equal(engine_count_with_deadline(&f->engine, 1), 0);
}

/* ---- scans ---- */

struct seen {
    unsigned times[4000];
    size_t visits;
};

static void note(void *context, const struct item *item)
{
    struct seen *seen = context;
    unsigned number = 0;
    for (size_t i = 1; i < item->key.len; i++) {
        number = number * 10 + (unsigned)(item->key.data[i] - '0');
    }
    seen->times[number]++;
    seen->visits++;
}

static void fill(struct fixture *f, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        char name[16];
        snprintf(name, sizeof(name), "k%u", i);
        put(f, 0, name, "v", ENTRY_NO_DEADLINE);
    }
}

/* The keyspace grows under the first scan and shrinks under the second. */
static void a_scan_meets_every_key_that_stays_exactly_once(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {.visits = 0};
    fill(f, 0, 1000);
    put(f, 2, "k9", "of another database", ENTRY_NO_DEADLINE);
    unsigned next = 1000;
    uint64_t cursor = 0;
    do {
        cursor = engine_scan(&f->writer, cursor, 0, 10, SIZE_MAX, note, &seen);
        assert_true(cursor < 1ull << 53);
        unsigned more = next + 40 < 4000 ? next + 40 : 4000;
        fill(f, next, more);
        next = more;
    } while (cursor != 0);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(seen.times[i], 1);
    }
    memset(&seen, 0, sizeof(seen));
    unsigned gone = 500;
    do {
        cursor = engine_scan(&f->writer, cursor, 0, 10, SIZE_MAX, note, &seen);
        for (unsigned i = 0; i < 20 && gone < next; i++, gone++) {
            char name[16];
            snprintf(name, sizeof(name), "k%u", gone);
            drop(f, 0, name);
        }
    } while (cursor != 0);
    for (unsigned i = 0; i < 500; i++) {
        assert_int_equal(seen.times[i], 1);
    }
}

static void a_scan_of_an_empty_database_does_bounded_work(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {.visits = 0};
    fill(f, 0, 1000);
    uint64_t cursor = 0;
    unsigned calls = 0;
    do {
        cursor = engine_scan(&f->writer, cursor, 7, 10, 16, note, &seen);
        calls++;
    } while (cursor != 0);
    assert_int_equal(seen.visits, 0);
    assert_true(calls > 1);
}

static void a_cursor_nobody_gave_is_answered_not_believed(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {.visits = 0};
    fill(f, 0, 100);
    static const uint64_t odd[] = {1, 12345, UINT64_MAX, 1ull << 63, (1ull << 53) - 1};
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        uint64_t cursor = odd[i];
        for (unsigned calls = 0; cursor != 0; calls++) {
            assert_true(calls < 1000);
            cursor = engine_scan(&f->writer, cursor, 0, 10, SIZE_MAX, note, &seen);
        }
    }
}

/* ---- time ---- */

static void a_due_key_is_absent_before_the_sweep_and_freed_by_it(void **state)
{
    struct fixture *f = *state;
    put(f, 0, "soon", "v", 2000);
    put(f, 0, "later", "v", 90000000);
    f->writer.now_ms = 1999;
    assert_true(has(f, 0, "soon", "v"));
    f->writer.now_ms = 2000;
    assert_false(has(f, 0, "soon", NULL));
    assert_int_equal(engine_count(&f->engine, 0), 2);
    f->writer.now_ms = 2000 + EXPIRY_TICK_MS;
    while (engine_sweep(&f->writer, 0, 1, 16)) {
    }
    assert_int_equal(engine_count(&f->engine, 0), 1);
    assert_int_equal(f->writer.expired, 1);
    assert_true(has(f, 0, "later", "v"));
}

static void a_random_key_is_found_even_when_it_is_the_only_one(void **state)
{
    struct fixture *f = *state;
    struct buf name;
    buf_init(&name);
    assert_int_equal(engine_random_key(&f->writer, 0, &name), MEMENTO_NOT_FOUND);
    fill(f, 0, 2000);
    put(f, 4, "alone", "v", ENTRY_NO_DEADLINE);
    for (unsigned i = 0; i < 20; i++) {
        name.len = 0;
        assert_int_equal(engine_random_key(&f->writer, 4, &name), MEMENTO_OK);
        assert_bytes_equal(buf_bytes(&name), B("alone"));
    }
    buf_fini(&name);
}

/* ---- WATCH ---- */

static void a_watch_breaks_when_its_key_is_changed_and_not_before(void **state)
{
    struct fixture *f = *state;
    put(f, 0, "a", "1", ENTRY_NO_DEADLINE);
    struct watch *on_a = watch(f, 0, "a");
    struct watch *on_absent = watch(f, 0, "absent");
    put(f, 1, "a", "other database", ENTRY_NO_DEADLINE);
    put(f, 0, "b", "other key", ENTRY_NO_DEADLINE);
    assert_false(is_broken(f, on_a));
    put(f, 0, "absent", "x", ENTRY_NO_DEADLINE);
    drop(f, 0, "absent"); /* absent again, and changed all the same */
    assert_true(is_broken(f, on_absent));
    drop(f, 0, "a");
    assert_true(is_broken(f, on_a));
    engine_unwatch(&f->writer, on_a);
    engine_unwatch(&f->writer, on_absent);
}

static void a_watched_key_that_expires_counts_as_changed(void **state)
{
    struct fixture *f = *state;
    put(f, 0, "a", "1", 2000);
    struct watch *on_a = watch(f, 0, "a");
    f->writer.now_ms = 1999;
    assert_false(is_broken(f, on_a));
    f->writer.now_ms = 2000;
    assert_true(is_broken(f, on_a));
    struct watch *on_dead = watch(f, 0, "a"); /* due already: absent for this one */
    f->writer.now_ms = 3000;
    while (engine_sweep(&f->writer, 0, 1, 16)) {
    }
    assert_false(is_broken(f, on_dead));
    engine_unwatch(&f->writer, on_a);
    engine_unwatch(&f->writer, on_dead);
}

static void a_watch_follows_its_database_when_that_is_swapped(void **state)
{
    struct fixture *f = *state;
    put(f, 0, "there", "1", ENTRY_NO_DEADLINE);
    struct watch *on_there = watch(f, 0, "there");
    struct watch *on_absent = watch(f, 0, "absent");
    assert_int_equal(engine_swap_databases(&f->writer, 0, 1), MEMENTO_OK);
    assert_true(is_broken(f, on_there));
    assert_false(is_broken(f, on_absent));
    put(f, 1, "absent", "not the watched database any more", ENTRY_NO_DEADLINE);
    assert_false(is_broken(f, on_absent));
    put(f, 0, "absent", "x", ENTRY_NO_DEADLINE);
    assert_true(is_broken(f, on_absent));
    engine_unwatch(&f->writer, on_there);
    engine_unwatch(&f->writer, on_absent);
}

static void a_flush_breaks_the_watches_of_keys_that_were_there(void **state)
{
    struct fixture *f = *state;
    put(f, 0, "there", "1", ENTRY_NO_DEADLINE);
    struct watch *on_there = watch(f, 0, "there");
    struct watch *on_absent = watch(f, 0, "absent");
    assert_int_equal(engine_flush(&f->writer, 0), MEMENTO_OK);
    assert_true(is_broken(f, on_there));
    assert_false(is_broken(f, on_absent));
    engine_unwatch(&f->writer, on_there);
    engine_unwatch(&f->writer, on_absent);
}

/* ---- spans ---- */

static void inside_a_span_single_keys_lock_nothing_and_spans_nest(void **state)
{
    struct fixture *f = *state;
    struct key keys[] = {named(f, 0, "a"), named(f, 0, "b")};
    engine_lock_keys(&f->writer, keys, 2);
    engine_lock_keys(&f->writer, &keys[1], 1);
    put(f, 0, "a", "1", ENTRY_NO_DEADLINE);
    put(f, 0, "b", "2", ENTRY_NO_DEADLINE);
    engine_unlock_span(&f->writer);
    assert_true(has(f, 0, "a", "1"));
    engine_unlock_span(&f->writer);
    assert_int_equal(f->writer.span_depth, 0);
    engine_lock_all(&f->writer);
    assert_int_equal(engine_flush(&f->writer, -1), MEMENTO_OK);
    engine_unlock_span(&f->writer);
    assert_int_equal(engine_count(&f->engine, 0), 0);
}

static void a_shard_outside_the_span_is_a_bug_that_stops_the_program(void **state)
{
    struct fixture *f = *state;
    struct key inside = named(f, 0, "a");
    struct key outside = inside;
    for (unsigned i = 0; keyspace_shard(&f->engine.keyspace, outside.hash) ==
                         keyspace_shard(&f->engine.keyspace, inside.hash);
         i++) {
        static char name[16];
        snprintf(name, sizeof(name), "o%u", i);
        outside = named(f, 0, name);
    }
    engine_lock_keys(&f->writer, &inside, 1);
    assert_check_fails((void)engine_lock(&f->writer, &outside));
    engine_unlock_span(&f->writer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_key_lives_in_its_database_only),
        TEST(swapped_databases_exchange_their_keys_at_once),
        TEST(flushing_one_database_leaves_the_others),
        TEST(a_scan_meets_every_key_that_stays_exactly_once),
        TEST(a_scan_of_an_empty_database_does_bounded_work),
        TEST(a_cursor_nobody_gave_is_answered_not_believed),
        TEST(a_due_key_is_absent_before_the_sweep_and_freed_by_it),
        TEST(a_random_key_is_found_even_when_it_is_the_only_one),
        TEST(a_watch_breaks_when_its_key_is_changed_and_not_before),
        TEST(a_watched_key_that_expires_counts_as_changed),
        TEST(a_watch_follows_its_database_when_that_is_swapped),
        TEST(a_flush_breaks_the_watches_of_keys_that_were_there),
        TEST(inside_a_span_single_keys_lock_nothing_and_spans_nest),
        TEST(a_shard_outside_the_span_is_a_bug_that_stops_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
