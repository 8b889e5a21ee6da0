/* expiry_test.c - every key goes within a tick of its deadline, none before it, whatever the
 * clock does; and the wheel's memory stays in proportion to the keys. */
#include "base/random.h"
#include "store/fixture.h"
#include "store/no_memory.h"

#define SECOND_MS 1000ll
#define DAY_MS    (86400 * SECOND_MS)
#define YEAR_MS   (365 * DAY_MS)

static size_t expire(struct fixture *f, size_t budget)
{
    bool more;
    return shard_expire(f->shard, f->now_ms, budget, NULL, NULL, &more);
}

/* Until there is nothing more to do. */
static size_t expire_all(struct fixture *f)
{
    size_t removed = 0;
    bool more = true;
    while (more) {
        removed += shard_expire(f->shard, f->now_ms, 1000, NULL, NULL, &more);
    }
    return removed;
}

static uint64_t stored(struct fixture *f)
{
    return atomic_load(&f->shard->keys[0]);
}

/* An entry dies at its deadline, not a millisecond before, and gives its bytes back. */
static void find_at_the_deadline_answers_not_found(void **state)
{
    struct fixture *f = *state;
    size_t bytes_before = f->shard->slab.bytes_used;
    put(f, K("session"), B("abc"), NOW_MS + 1000);
    struct bytes value;
    f->now_ms = NOW_MS + 999;
    assert_int_equal(find(f, K("session"), &value), MEMENTO_OK);
    assert_bytes_equal(value, B("abc"));
    assert_int_equal(expire_all(f), 0);
    f->now_ms = NOW_MS + 1000;
    assert_int_equal(find(f, K("session"), &value), MEMENTO_NOT_FOUND);
    assert_int_equal(expire_all(f), 1);
    assert_int_equal(f->shard->slab.bytes_used, bytes_before);
}

static void due_keys_go_within_a_tick(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 1000; i++) {
        put_number(f, i, B("v"), NOW_MS + 1 + i * 7);
    }
    for (f->now_ms = NOW_MS; f->now_ms < NOW_MS + 8000; f->now_ms += EXPIRY_TICK_MS) {
        expire_all(f);
        for (unsigned i = 0; i < 1000; i++) {
            int64_t deadline_ms = NOW_MS + 1 + i * 7;
            assert_int_equal(has_number(f, i), deadline_ms > f->now_ms);
        }
        uint64_t alive = 0;
        for (unsigned i = 0; i < 1000; i++) {
            alive += NOW_MS + 1 + i * 7 > f->now_ms - EXPIRY_TICK_MS;
        }
        assert_true(stored(f) <= alive);
    }
    assert_int_equal(stored(f), 0);
    assert_int_equal(expiry_filings(f->shard->expiry), 0);
}

/* Asked about a time before everything: only what has really been removed is absent. */
static bool is_stored(struct fixture *f, uint64_t number)
{
    struct key key = fixture_key(f, NUMBERED(number), 0);
    struct item item;
    return shard_find(f->shard, &key, INT64_MIN, &item) == MEMENTO_OK;
}

/* Around every border between two levels, and beyond the last: the clock is moved to just
 * before each deadline and then to it, with nothing in between. */
static void every_level_of_the_wheel_is_on_time(void **state)
{
    struct fixture *f = *state;
    static const unsigned borders[] = {0, 8, 14, 20, 26, 32};
    int64_t deadlines[50];
    unsigned count = 0;
    for (unsigned i = 0; i < ARRAY_LEN(borders); i++) {
        for (int64_t off = -2; off <= 2; off++) {
            int64_t ticks = (1ll << borders[i]) + off;
            if (ticks > 0) {
                deadlines[count++] = NOW_MS + ticks * EXPIRY_TICK_MS;
            }
        }
    }
    deadlines[count++] = NOW_MS + 100 * YEAR_MS;
    deadlines[count++] = NOW_MS + 1000 * YEAR_MS;
    for (unsigned i = 0; i < count; i++) {
        put_number(f, i, B("v"), deadlines[i]);
    }
    put_number(f, 1000, B("v"), INT64_MAX - 1);
    shard_verify(f->shard);

    for (uint64_t left = count; left > 0; left = stored(f) - 1) {
        int64_t next = INT64_MAX; /* the earliest deadline that is left */
        for (unsigned i = 0; i < count; i++) {
            next = is_stored(f, i) && deadlines[i] < next ? deadlines[i] : next;
        }
        f->now_ms = next - 1;
        expire_all(f);
        f->now_ms = next;
        expire_all(f);
        for (unsigned i = 0; i < count; i++) {
            assert_true(is_stored(f, i) || deadlines[i] <= f->now_ms);
        }
        f->now_ms = next + EXPIRY_TICK_MS - 1;
        expire_all(f);
        shard_verify(f->shard);
        for (unsigned i = 0; i < count; i++) {
            assert_int_equal(is_stored(f, i), deadlines[i] > next);
        }
    }
    assert_int_equal(stored(f), 1);
    assert_true(has_number(f, 1000));
}

static void a_clock_far_ahead_takes_what_is_due_and_no_more(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 200; i++) {
        put_number(f, i, B("v"), NOW_MS + i * YEAR_MS + 1);
    }
    f->now_ms = NOW_MS + 100 * YEAR_MS;
    assert_int_equal(expire_all(f), 100);
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(has_number(f, i), i >= 100);
    }
    shard_verify(f->shard);
    f->now_ms = NOW_MS + 300 * YEAR_MS;
    assert_int_equal(expire_all(f), 100);
}

/* Nothing goes early, nothing is lost, and what is set now is on time although the wheel had
 * been ahead. */
static void a_clock_set_back_is_followed(void **state)
{
    struct fixture *f = *state;
    f->now_ms = NOW_MS + 10 * DAY_MS;
    assert_int_equal(expire_all(f), 0);
    for (unsigned i = 0; i < 100; i++) {
        put_number(f, i, B("v"), f->now_ms + 1 + i * 1000);
    }
    f->now_ms = NOW_MS;
    for (unsigned i = 100; i < 200; i++) {
        put_number(f, i, B("v"), f->now_ms + 1 + i * 1000);
    }
    assert_int_equal(expire_all(f), 0);
    shard_verify(f->shard);
    for (unsigned i = 100; i < 200; i++) {
        f->now_ms = NOW_MS + i * 1000;
        expire_all(f);
        assert_true(has_number(f, i));
        f->now_ms = NOW_MS + i * 1000 + 1 + EXPIRY_TICK_MS;
        expire_all(f);
        assert_int_equal(stored(f), 299 - i);
    }
    f->now_ms = NOW_MS + 11 * DAY_MS;
    assert_int_equal(expire_all(f), 100);
}

static void a_small_step_back_is_waited_for(void **state)
{
    struct fixture *f = *state;
    f->now_ms = NOW_MS + 500;
    expire_all(f);
    f->now_ms = NOW_MS;
    put_number(f, 1, B("v"), NOW_MS + 100);
    f->now_ms = NOW_MS + 600;
    assert_int_equal(expire_all(f), 1);
    assert_int_equal(stored(f), 0);
}

static void what_is_stored_past_its_deadline_goes_at_once(void **state)
{
    struct fixture *f = *state;
    put_number(f, 1, B("v"), NOW_MS - 5);
    put_number(f, 2, B("v"), -1);
    put_number(f, 3, B("v"), INT64_MIN);
    assert_false(has_number(f, 1));
    assert_int_equal(stored(f), 3);
    assert_int_equal(expire_all(f), 3);
}

static void setting_one_key_a_million_times_leaves_a_handful_of_filings(void **state)
{
    struct fixture *f = *state;
    size_t most = 0;
    for (unsigned i = 0; i < 1000000; i++) {
        f->now_ms = NOW_MS + i / 100;
        put(f, K("session"), B("abc"), f->now_ms + 60 * SECOND_MS);
        size_t filings = expiry_filings(f->shard->expiry);
        most = filings > most ? filings : most;
    }
    assert_true(most <= 2);
    f->now_ms += 60 * SECOND_MS + EXPIRY_TICK_MS;
    assert_int_equal(expire_all(f), 1);
}

/* Each removal leaves a filing behind that is good for a day; they are swept up. */
static void setting_and_removing_leaves_a_bounded_number_of_filings(void **state)
{
    struct fixture *f = *state;
    size_t most = 0;
    for (unsigned i = 0; i < 1000; i++) {
        put_number(f, i, B("stays"), NOW_MS + DAY_MS);
    }
    for (unsigned i = 0; i < 300000; i++) {
        f->now_ms = NOW_MS + i;
        put_number(f, 5000 + i % 3000, B("v"), f->now_ms + DAY_MS);
        assert_int_equal(remove_number(f, 5000 + i % 3000), MEMENTO_OK);
        size_t filings = expiry_filings(f->shard->expiry);
        most = filings > most ? filings : most;
        if (i % 50000 == 0) {
            shard_verify(f->shard);
        }
    }
    assert_true(most < 10000);
    f->now_ms = NOW_MS + DAY_MS + EXPIRY_TICK_MS;
    assert_int_equal(expire_all(f), 1000);
}

static void deadlines_that_come_ever_earlier_leave_a_bounded_number(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 100000; i++) {
        put(f, K("countdown"), B("v"), NOW_MS + YEAR_MS - i * 100);
    }
    assert_true(expiry_filings(f->shard->expiry) < 10000);
    f->now_ms = NOW_MS + YEAR_MS - 99999 * 100 - 1;
    assert_int_equal(expire_all(f), 0);
    f->now_ms += EXPIRY_TICK_MS;
    assert_int_equal(expire_all(f), 1);
}

/* A session that is used every second lives on; left alone it goes on time. */
static void a_deadline_that_moves_on_is_followed(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 7200; i++) {
        f->now_ms = NOW_MS + i * SECOND_MS;
        expire_all(f);
        put(f, K("session"), B("abc"), f->now_ms + 30 * SECOND_MS);
    }
    int64_t deadline_ms = f->now_ms + 30 * SECOND_MS;
    struct bytes value;
    f->now_ms = deadline_ms - 1;
    expire_all(f);
    assert_int_equal(find(f, K("session"), &value), MEMENTO_OK);
    f->now_ms = deadline_ms + EXPIRY_TICK_MS;
    assert_int_equal(expire_all(f), 1);
}

static void without_a_deadline_again_a_key_stays(void **state)
{
    struct fixture *f = *state;
    put(f, K("a"), B("v"), NOW_MS + 1000);
    put(f, K("a"), B("v"), ENTRY_NO_DEADLINE);
    put(f, K("b"), B("v"), NOW_MS + 1000);
    assert_int_equal(shard_set_deadline(f->shard, K("b"), ENTRY_NO_DEADLINE,
                                        shard_next_version(f->shard, NOW_MS), NOW_MS),
                     MEMENTO_OK);
    assert_int_equal(f->shard->deadlines, 0);
    f->now_ms = NOW_MS + DAY_MS;
    assert_int_equal(expire_all(f), 0);
    assert_int_equal(stored(f), 2);
}

struct told {
    struct fixture *f;
    unsigned count;
};

static void is_told(void *context, const struct item *item)
{
    struct told *told = context;
    struct key key = fixture_key(told->f, item->key, item->db);
    struct item again;
    assert_int_equal(shard_find(told->f->shard, &key, 0, &again), MEMENTO_OK);
    assert_bytes_equal(item->value, B("v"));
    told->count++;
}

static void the_budget_is_kept_and_each_is_told_before_it_goes(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 100; i++) {
        put_number(f, i, B("v"), NOW_MS + 50);
    }
    f->now_ms = NOW_MS + 100;
    struct told told = {f, 0};
    bool more;
    for (unsigned left = 100; left > 0; left -= 7 < left ? 7 : left) {
        assert_int_equal(stored(f), left);
        size_t removed = shard_expire(f->shard, f->now_ms, 7, is_told, &told, &more);
        assert_int_equal(removed, left < 7 ? left : 7);
        shard_verify(f->shard);
    }
    assert_int_equal(told.count, 100);
    assert_int_equal(shard_expire(f->shard, f->now_ms, 7, is_told, &told, &more), 0);
    assert_false(more);
    assert_int_equal(expire(f, 0), 0);
}

/* Filings have to be made again, and there is no memory for their blocks. */
static void without_memory_no_filing_is_lost(void **state)
{
    SKIP_UNDER_THREAD_SANITIZER();
    struct fixture *f = *state;
    const unsigned count = 3000;
    for (unsigned i = 0; i < count; i++) {
        put_number(f, i, B("v"), NOW_MS + 3600 * SECOND_MS + i * 40);
    }
    for (unsigned i = 0; i < 40; i++) {
        f->now_ms += 90 * SECOND_MS;
        os_fail_at(OS_MEMORY, 1, ENOMEM, true);
        for (unsigned j = 0; j < 10; j++) {
            expire(f, 100);
        }
        os_fail_never();
        shard_verify(f->shard);
    }
    expire_all(f);
    f->now_ms = NOW_MS + 3600 * SECOND_MS + count * 40 + EXPIRY_TICK_MS;
    expire_all(f);
    assert_int_equal(stored(f), 0);
    assert_int_equal(expiry_filings(f->shard->expiry), 0);
}

struct nothing {
    unsigned visited;
};

static void visit_nothing(void *context, const struct item *item)
{
    (void)item;
    ((struct nothing *)context)->visited++;
}

static void a_scan_shows_nothing_due_and_finds_nothing_missed(void **state)
{
    struct fixture *f = *state;
    struct random random;
    random_init(&random, 5);
    for (unsigned i = 0; i < 20000; i++) {
        put_number(f, random_below(&random, 500), B("v"),
                   f->now_ms - 200 + (int64_t)random_below(&random, 5000));
        if (i % 10 == 0) {
            f->now_ms += (int64_t)random_below(&random, 300);
            expire(f, random_below(&random, 40));
        }
        if (i % 500 == 0) {
            uint64_t due = 0;
            for (unsigned n = 0; n < 500; n++) {
                due += has_number(f, n);
            }
            struct nothing nothing = {0};
            uint64_t position = 0;
            do {
                position =
                    shard_scan(f->shard, position, f->now_ms, visit_nothing, &nothing);
            } while (position != 0);
            assert_int_equal(nothing.visited, due);
        }
    }
    assert_int_equal(f->shard->expired_late, 0);
    shard_verify(f->shard);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_create, fixture_destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(find_at_the_deadline_answers_not_found),
        TEST(due_keys_go_within_a_tick),
        TEST(every_level_of_the_wheel_is_on_time),
        TEST(a_clock_far_ahead_takes_what_is_due_and_no_more),
        TEST(a_clock_set_back_is_followed),
        TEST(a_small_step_back_is_waited_for),
        TEST(what_is_stored_past_its_deadline_goes_at_once),
        TEST(setting_one_key_a_million_times_leaves_a_handful_of_filings),
        TEST(setting_and_removing_leaves_a_bounded_number_of_filings),
        TEST(deadlines_that_come_ever_earlier_leave_a_bounded_number),
        TEST(a_deadline_that_moves_on_is_followed),
        TEST(without_a_deadline_again_a_key_stays),
        TEST(the_budget_is_kept_and_each_is_told_before_it_goes),
        TEST(without_memory_no_filing_is_lost),
        TEST(a_scan_shows_nothing_due_and_finds_nothing_missed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
