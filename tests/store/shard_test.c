/* shard_test.c - storing over what is there, values of any size, and running out of memory. */
#include "base/random.h"
#include "store/fixture.h"
#include "store/no_memory.h"

static const char *value_at(struct fixture *f, const struct key *key)
{
    struct bytes value;
    assert_int_equal(find(f, key, &value), MEMENTO_OK);
    return value.data;
}

static void a_value_of_the_same_class_is_written_in_place(void **state)
{
    SKIP_UNDER_THREAD_SANITIZER();
    struct fixture *f = *state;
    put(f, K("key"), B("0123456789"), ENTRY_NO_DEADLINE);
    const char *before = value_at(f, K("key"));
    os_fail_at(OS_MEMORY, 1, ENOMEM, true);
    put(f, K("key"), B("abcdefghij"), ENTRY_NO_DEADLINE);
    os_fail_never();
    assert_ptr_equal(value_at(f, K("key")), before);
    assert_memory_equal(before, "abcdefghij", 10);
}

static void a_value_may_be_a_view_of_the_one_it_replaces(void **state)
{
    struct fixture *f = *state;
    char text[400];
    for (unsigned i = 0; i < sizeof(text); i++) {
        text[i] = (char)('a' + i % 26);
    }
    for (size_t from = 0; from < sizeof(text); from += 29) {
        for (size_t len = 0; from + len <= sizeof(text); len += 31) {
            for (unsigned has_deadline = 0; has_deadline < 2; has_deadline++) {
                put(f, K("key"), bytes_of(text, sizeof(text)), ENTRY_NO_DEADLINE);
                const char *own = value_at(f, K("key"));
                put(f, K("key"), bytes_of(own + from, len),
                    has_deadline ? NOW_MS + 5000 : ENTRY_NO_DEADLINE);
                struct bytes value;
                assert_int_equal(find(f, K("key"), &value), MEMENTO_OK);
                assert_bytes_equal(value, bytes_of(text + from, len));
                shard_verify(f->shard);
            }
        }
    }
}

/* Even of the key: both move when the header changes its length. */
static void a_value_may_be_a_view_of_its_key(void **state)
{
    struct fixture *f = *state;
    for (unsigned had_deadline = 0; had_deadline < 2; had_deadline++) {
        put(f, K("a rather long key"), B("a rather long VALUE"),
            had_deadline ? NOW_MS + 500 : ENTRY_NO_DEADLINE);
        struct item item;
        assert_int_equal(shard_find(f->shard, K("a rather long key"), NOW_MS, &item),
                         MEMENTO_OK);
        put(f, K("a rather long key"), item.key,
            had_deadline ? ENTRY_NO_DEADLINE : NOW_MS + 500);
        struct bytes value;
        assert_int_equal(find(f, K("a rather long key"), &value), MEMENTO_OK);
        assert_bytes_equal(value, B("a rather long key"));
    }
    shard_verify(f->shard);
}

static enum memento_status put_large(struct fixture *f, const struct key *key,
                                     struct large *large)
{
    struct shard_value stored = {.large = large,
                                 .deadline_ms = ENTRY_NO_DEADLINE,
                                 .created_ms = SHARD_CREATED_NOW};
    return shard_put(f->shard, key, &stored, shard_next_version(f->shard, f->now_ms),
                     f->now_ms);
}

static void a_pinned_value_outlives_its_key(void **state)
{
    struct fixture *f = *state;
    char text[20000];
    memset(text, 'x', sizeof(text));
    struct large *stored = large_of(bytes_of(text, sizeof(text)));
    assert_int_equal(put_large(f, K("big"), stored), MEMENTO_OK);
    assert_int_equal(f->shard->large_count, 1);
    struct bytes value;
    struct large *large;
    assert_int_equal(shard_find_value(f->shard, K("big"), NOW_MS, &value, &large),
                     MEMENTO_OK);
    assert_ptr_equal(large, stored);
    struct large *pinned = large_take(large);

    put(f, K("big"), B("small now"), ENTRY_NO_DEADLINE);
    assert_int_equal(f->shard->large_count, 0);
    assert_int_equal(f->shard->large_bytes, 0);
    assert_bytes_equal(bytes_of(pinned->bytes, pinned->len),
                       bytes_of(text, sizeof(text)));
    large_drop(pinned);
    shard_verify(f->shard);
}

static void the_same_block_may_be_stored_again(void **state)
{
    struct fixture *f = *state;
    char text[9000] = {'a'};
    struct large *large = large_of(bytes_of(text, sizeof(text)));
    assert_int_equal(put_large(f, K("one"), large), MEMENTO_OK);
    assert_int_equal(put_large(f, K("one"), large_take(large)), MEMENTO_OK);
    assert_int_equal(put_large(f, K("two"), large_take(large)), MEMENTO_OK);
    assert_int_equal(atomic_load(&large->references), 2);
    assert_int_equal(shard_remove(f->shard, K("one"), NOW_MS), MEMENTO_OK);
    assert_memory_equal(value_at(f, K("two")), text, sizeof(text));
    shard_verify(f->shard);
}

static char *edit(struct fixture *f, const struct key *key, size_t len)
{
    char *bytes;
    assert_int_equal(shard_edit(f->shard, key, len,
                                shard_next_version(f->shard, f->now_ms), f->now_ms,
                                &bytes),
                     MEMENTO_OK);
    return bytes;
}

static void a_pinned_value_is_copied_before_it_is_edited(void **state)
{
    struct fixture *f = *state;
    char text[10000];
    memset(text, 'x', sizeof(text));
    assert_int_equal(put_large(f, K("big"), large_of(bytes_of(text, sizeof(text)))),
                     MEMENTO_OK);
    struct item item;
    assert_int_equal(shard_find(f->shard, K("big"), NOW_MS, &item), MEMENTO_OK);
    struct large *pinned = large_take(item.large);
    char *bytes = edit(f, K("big"), sizeof(text));
    memset(bytes, 'y', sizeof(text));
    assert_bytes_equal(bytes_of(pinned->bytes, pinned->len),
                       bytes_of(text, sizeof(text)));
    assert_int_equal(*value_at(f, K("big")), 'y');
    large_drop(pinned);
    shard_verify(f->shard);
}

/* Appending 100 bytes a time up to 5 MB moves the value a few dozen times, not 50,000. */
static void appending_again_and_again_is_not_quadratic(void **state)
{
    struct fixture *f = *state;
    put(f, K("log"), B(""), ENTRY_NO_DEADLINE);
    size_t cap = 0;
    unsigned moves = 0;
    size_t len = 0;
    for (unsigned i = 0; i < 50000; i++) {
        char *bytes = edit(f, K("log"), len + 100);
        for (unsigned j = 0; j < 100; j++) {
            assert_int_equal(bytes[len + j], 0);
        }
        memset(bytes + len, 'a' + (int)(i % 26), 100);
        len += 100;
        struct item item;
        assert_int_equal(shard_find(f->shard, K("log"), NOW_MS, &item), MEMENTO_OK);
        assert_int_equal(item.value.len, len);
        if (item.large != NULL) {
            assert_true(item.large->cap <= 2 * len);
            moves += item.large->cap != cap;
            cap = item.large->cap;
        }
    }
    assert_true(moves < 40);
    const char *value = value_at(f, K("log"));
    for (unsigned i = 0; i < 50000; i++) {
        assert_int_equal(value[i * 100 + 99], 'a' + (int)(i % 26));
    }
    shard_verify(f->shard);
}

static void an_edit_keeps_creation_time_and_deadline(void **state)
{
    struct fixture *f = *state;
    put(f, K("key"), B("12"), NOW_MS + 10000);
    f->now_ms = NOW_MS + 5000;
    memcpy(edit(f, K("key"), 3), "123", 3);
    struct item item;
    assert_int_equal(shard_find(f->shard, K("key"), f->now_ms, &item), MEMENTO_OK);
    assert_bytes_equal(item.value, B("123"));
    assert_int_equal(item.created_ms, NOW_MS);
    assert_int_equal(item.deadline_ms, NOW_MS + 10000);
    assert_int_equal(item.version >> ENTRY_VERSION_SHIFT, NOW_MS + 5000);
    assert_check_fails(edit(f, K("no such key"), 3));
}

static void an_edit_may_make_the_value_shorter(void **state)
{
    struct fixture *f = *state;
    char text[30000];
    memset(text, 'x', sizeof(text));
    assert_int_equal(put_large(f, K("big"), large_of(bytes_of(text, sizeof(text)))),
                     MEMENTO_OK);
    size_t bytes_before = f->shard->large_bytes;
    static const size_t lens[] = {20000, 5000, 100, 0};
    for (unsigned i = 0; i < ARRAY_LEN(lens); i++) {
        char *bytes = edit(f, K("big"), lens[i]);
        assert_bytes_equal(bytes_of(bytes, lens[i]), bytes_of(text, lens[i]));
        shard_verify(f->shard);
    }
    assert_true(f->shard->large_bytes < bytes_before / 10);
    char *bytes = edit(f, K("big"), 50);
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(bytes[i], 0);
    }
}

static void the_border_of_large_values_can_be_crossed_both_ways(void **state)
{
    struct fixture *f = *state;
    char text[SHARD_INLINE_MAX + 2];
    for (unsigned i = 0; i < sizeof(text); i++) {
        text[i] = (char)(i * 7);
    }
    put(f, K("key"), bytes_of(text, SHARD_INLINE_MAX), ENTRY_NO_DEADLINE);
    assert_int_equal(f->shard->large_count, 0);
    char *bytes = edit(f, K("key"), SHARD_INLINE_MAX + 1);
    assert_int_equal(f->shard->large_count, 1);
    assert_memory_equal(bytes, text, SHARD_INLINE_MAX);
    assert_int_equal(bytes[SHARD_INLINE_MAX], 0);
    put(f, K("key"), bytes_of(text, 10), ENTRY_NO_DEADLINE);
    assert_int_equal(f->shard->large_count, 0);
    assert_memory_equal(value_at(f, K("key")), text, 10);
    shard_verify(f->shard);
}

static void keys_of_any_length_are_stored(void **state)
{
    struct fixture *f = *state;
    static const size_t lens[] = {1,
                                  127,
                                  128,
                                  ENTRY_KEY_INLINE_MAX,
                                  ENTRY_KEY_INLINE_MAX + 1,
                                  MEMENTO_KEY_BYTES_MAX};
    static char name[MEMENTO_KEY_BYTES_MAX];
    memset(name, 'k', sizeof(name));
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < ARRAY_LEN(lens); i++) {
            struct key key = fixture_key(f, bytes_of(name, lens[i]), 0);
            put(f, &key, round == 0 ? B("first") : B("the second value"), NOW_MS + 1000);
        }
    }
    shard_verify(f->shard);
    for (unsigned i = 0; i < ARRAY_LEN(lens); i++) {
        struct key key = fixture_key(f, bytes_of(name, lens[i]), 0);
        struct bytes value;
        assert_int_equal(find(f, &key, &value), MEMENTO_OK);
        assert_bytes_equal(value, B("the second value"));
        assert_int_equal(shard_remove(f->shard, &key, NOW_MS), MEMENTO_OK);
    }
    assert_int_equal(f->shard->large_bytes, 0);
    shard_verify(f->shard);
}

static void the_same_name_in_two_databases_is_two_keys(void **state)
{
    struct fixture *f = *state;
    struct key second = fixture_key(f, B("name"), 2);
    put(f, K("name"), B("zero"), ENTRY_NO_DEADLINE);
    put(f, &second, B("two"), NOW_MS + 1000);
    struct bytes value;
    assert_int_equal(find(f, &second, &value), MEMENTO_OK);
    assert_bytes_equal(value, B("two"));
    assert_int_equal(atomic_load(&f->shard->keys[2]), 1);
    assert_int_equal(atomic_load(&f->shard->keys_with_deadline[2]), 1);
    shard_clear(f->shard, 0, NOW_MS);
    assert_int_equal(find(f, K("name"), &value), MEMENTO_NOT_FOUND);
    assert_int_equal(find(f, &second, &value), MEMENTO_OK);
    shard_verify(f->shard);
}

static void clearing_everything_gives_all_pages_back_but_the_first(void **state)
{
    struct fixture *f = *state;
    struct list watcher;
    list_append(&f->shard->watchers, &watcher);
    char text[9000] = {'a'};
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 20000; i++) {
            put_number(f, i, bytes_of(text, i % 200),
                       i % 2 ? NOW_MS + i : ENTRY_NO_DEADLINE);
        }
        if (round == 1) {
            assert_int_equal(
                put_large(f, K("big"), large_of(bytes_of(text, sizeof(text)))),
                MEMENTO_OK);
        }
        shard_clear(f->shard, -1, NOW_MS);
        shard_verify(f->shard);
        assert_int_equal(atomic_load(&f->shard->keys[0]), 0);
        assert_int_equal(pages_bytes_used(f->pages), PAGE_BYTES);
        assert_false(has_number(f, 1));
    }
    assert_ptr_equal(f->shard->watchers.next,
                     &watcher); /* who waits for keys still does */
}

static void clearing_one_database_leaves_the_others(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 30000; i++) {
        struct key key = fixture_key(f, NUMBERED(i), (uint8_t)(i % 3));
        put(f, &key, B("v"), ENTRY_NO_DEADLINE);
    }
    shard_clear(f->shard, 1, NOW_MS);
    shard_verify(f->shard);
    for (unsigned i = 0; i < 30000; i++) {
        struct key key = fixture_key(f, NUMBERED(i), (uint8_t)(i % 3));
        struct bytes value;
        assert_int_equal(find(f, &key, &value),
                         i % 3 == 1 ? MEMENTO_NOT_FOUND : MEMENTO_OK);
    }
}

static void versions_only_grow_even_when_the_clock_does_not(void **state)
{
    struct fixture *f = *state;
    uint64_t last = 0;
    static const int64_t times[] = {NOW_MS,        NOW_MS, NOW_MS + 1,
                                    NOW_MS - 5000, -1,     NOW_MS + 2};
    for (unsigned i = 0; i < ARRAY_LEN(times); i++) {
        uint64_t version = shard_next_version(f->shard, times[i]);
        assert_true(version > last);
        assert_true((int64_t)(version >> ENTRY_VERSION_SHIFT) >= times[i]);
        last = version;
    }
    struct shard_value value = {.bytes = B("v"),
                                .deadline_ms = ENTRY_NO_DEADLINE,
                                .created_ms = SHARD_CREATED_NOW};
    uint64_t later = last + 1000000000000;
    assert_int_equal(shard_put(f->shard, K("from elsewhere"), &value, later, NOW_MS),
                     MEMENTO_OK);
    assert_true(shard_next_version(f->shard, NOW_MS) > later);
}

static void set_deadline_changes_nothing_else(void **state)
{
    struct fixture *f = *state;
    put(f, K("key"), B("value"), ENTRY_NO_DEADLINE);
    static const int64_t deadlines[] = {NOW_MS + 100, NOW_MS + 1ll * 400 * 86400000,
                                        ENTRY_NO_DEADLINE, INT64_MAX - 1, NOW_MS + 50};
    for (unsigned i = 0; i < ARRAY_LEN(deadlines); i++) {
        uint64_t version = shard_next_version(f->shard, NOW_MS + 10);
        assert_int_equal(
            shard_set_deadline(f->shard, K("key"), deadlines[i], version, NOW_MS + 10),
            MEMENTO_OK);
        struct item item;
        assert_int_equal(shard_find(f->shard, K("key"), NOW_MS + 10, &item), MEMENTO_OK);
        assert_bytes_equal(item.value, B("value"));
        assert_int_equal(item.deadline_ms, deadlines[i]);
        assert_int_equal(item.created_ms, NOW_MS);
        assert_int_equal(item.version, version);
        shard_verify(f->shard);
    }
    assert_int_equal(shard_set_deadline(f->shard, K("key"), NOW_MS, 1, NOW_MS + 50),
                     MEMENTO_NOT_FOUND); /* due by then */
    assert_int_equal(shard_set_deadline(f->shard, K("none"), NOW_MS, 1, NOW_MS),
                     MEMENTO_NOT_FOUND);
}

static void removing_what_is_due_removes_it_and_says_not_found(void **state)
{
    struct fixture *f = *state;
    put(f, K("key"), B("value"), NOW_MS + 100);
    assert_int_equal(shard_remove(f->shard, K("key"), NOW_MS + 100), MEMENTO_NOT_FOUND);
    assert_int_equal(atomic_load(&f->shard->keys[0]), 0);
    assert_int_equal(shard_remove(f->shard, K("key"), NOW_MS), MEMENTO_NOT_FOUND);
}

static void random_finds_the_only_key_of_a_database(void **state)
{
    struct fixture *f = *state;
    struct random random;
    random_init(&random, 1);
    for (unsigned i = 0; i < 50000; i++) {
        put_number(f, i, B("v"), ENTRY_NO_DEADLINE);
    }
    struct item item;
    assert_int_equal(shard_random(f->shard, 1, NOW_MS, &random, &item),
                     MEMENTO_NOT_FOUND);
    struct key lonely = fixture_key(f, B("lonely"), 1);
    put(f, &lonely, B("v"), NOW_MS + 100);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(shard_random(f->shard, 1, NOW_MS, &random, &item), MEMENTO_OK);
        assert_bytes_equal(item.key, B("lonely"));
    }
    assert_int_equal(shard_random(f->shard, 1, NOW_MS + 100, &random, &item),
                     MEMENTO_NOT_FOUND);
}

/* 200 draws a key on average, deviation 14: six of those in either direction. The table is
 * half way between two powers of two, where its buckets differ most. */
static void random_takes_each_key_about_as_often(void **state)
{
    struct fixture *f = *state;
    enum { KEYS = 768, DRAWS = 200 * KEYS };
    static unsigned drawn[KEYS];
    struct random random;
    random_init(&random, 2);
    for (unsigned i = 0; i < KEYS; i++) {
        put_number(f, i, B("v"), ENTRY_NO_DEADLINE);
    }
    for (unsigned i = 0; i < DRAWS; i++) {
        struct item item;
        assert_int_equal(shard_random(f->shard, 0, NOW_MS, &random, &item), MEMENTO_OK);
        drawn[strtoul(item.key.data + 4, NULL, 10)]++;
    }
    for (unsigned i = 0; i < KEYS; i++) {
        assert_in_range(drawn[i], 115, 285);
    }
}

/* What must be the same after a refused change. */
struct snapshot {
    uint64_t keys;
    uint64_t deadlines;
    size_t chunk_bytes;
    size_t large_bytes;
};

static struct snapshot snapshot_of(const struct fixture *f)
{
    return (struct snapshot){atomic_load(&f->shard->keys[0]), f->shard->deadlines,
                             f->shard->slab.bytes_used, f->shard->large_bytes};
}

static enum memento_status change_new(struct fixture *f, unsigned i)
{
    struct key key = fixture_key(f, NUMBERED(1000000 + i), 0);
    return try_put(f, &key, B("0123456789012345678901234567890123456789"),
                   i % 2 ? NOW_MS + i * 977 : ENTRY_NO_DEADLINE);
}

static enum memento_status change_long_key(struct fixture *f, unsigned i)
{
    static char name[5000];
    sprintf(name, "%u", i);
    struct key key = fixture_key(f, bytes_of(name, sizeof(name)), 0);
    return try_put(f, &key, B("v"), ENTRY_NO_DEADLINE);
}

static enum memento_status change_longer(struct fixture *f, unsigned i)
{
    static char text[SHARD_INLINE_MAX];
    struct key key = fixture_key(f, NUMBERED(i), 0);
    return try_put(f, &key, bytes_of(text, 1 + i * 37 % SHARD_INLINE_MAX),
                   NOW_MS + 1 + i * 1009);
}

static enum memento_status change_edit(struct fixture *f, unsigned i)
{
    struct key key = fixture_key(f, NUMBERED(i), 0);
    char *bytes;
    return shard_edit(f->shard, &key, i * 131 % 20000,
                      shard_next_version(f->shard, NOW_MS), NOW_MS, &bytes);
}

static enum memento_status change_deadline(struct fixture *f, unsigned i)
{
    struct key key = fixture_key(f, NUMBERED(i), 0);
    return shard_set_deadline(f->shard, &key, NOW_MS + 1 + i * 1013,
                              shard_next_version(f->shard, NOW_MS), NOW_MS);
}

/* Each allocation that a change makes is refused once, and everything is as before. */
static void without_memory_everything_stays_as_it_was(void **state)
{
    SKIP_UNDER_THREAD_SANITIZER();
    struct fixture *f = *state;
    static enum memento_status (*const changes[])(struct fixture *, unsigned) = {
        change_new, change_long_key, change_longer, change_edit, change_deadline};
    enum { KEYS = 1000 };
    for (unsigned i = 0; i < KEYS; i++) {
        put_number(f, i, B("some value"), ENTRY_NO_DEADLINE);
    }
    unsigned refusals = 0;
    for (unsigned change = 0; change < ARRAY_LEN(changes); change++) {
        for (unsigned i = 0; i < KEYS; i++) {
            enum memento_status status = MEMENTO_ERR_NO_MEMORY;
            for (uint64_t nth = 1; status != MEMENTO_OK; nth++) {
                struct snapshot before = snapshot_of(f);
                size_t filings = expiry_filings(f->shard->expiry);
                os_fail_at(OS_MEMORY, nth, ENOMEM, true);
                status = changes[change](f, i);
                os_fail_never();
                struct snapshot after = snapshot_of(f);
                if (status != MEMENTO_OK) {
                    assert_int_equal(status, MEMENTO_ERR_NO_MEMORY);
                    assert_int_equal(after.keys, before.keys);
                    assert_int_equal(after.deadlines, before.deadlines);
                    assert_int_equal(after.large_bytes >= before.large_bytes, true);
                    /* At most one filing that nobody relies on, in a block of its own. */
                    assert_true(after.chunk_bytes - before.chunk_bytes <= 64);
                    assert_true(expiry_filings(f->shard->expiry) - filings <= 1);
                    refusals++;
                }
            }
            if (i % 100 == 0) {
                shard_verify(f->shard);
            }
        }
    }
    assert_true(refusals > KEYS);
    shard_verify(f->shard);
}

static void a_refused_block_stays_the_callers(void **state)
{
    SKIP_UNDER_THREAD_SANITIZER();
    struct fixture *f = *state;
    char text[9000] = {'a'};
    struct large *large = large_of(bytes_of(text, sizeof(text)));
    os_fail_at(OS_MEMORY, 1, ENOMEM, true);
    assert_int_equal(put_large(f, K("key"), large), MEMENTO_ERR_NO_MEMORY);
    os_fail_never();
    assert_int_equal(atomic_load(&large->references), 1);
    assert_int_equal(f->shard->large_bytes, 0);
    assert_int_equal(put_large(f, K("key"), large), MEMENTO_OK);
}

static void the_bytes_of_an_entry_are_what_it_takes(void **state)
{
    struct fixture *f = *state;
    put(f, K("0123456789abcdef"), B("0123456789abcdef0123456789abcdef"),
        ENTRY_NO_DEADLINE);
    struct item item;
    assert_int_equal(shard_find(f->shard, K("0123456789abcdef"), NOW_MS, &item),
                     MEMENTO_OK);
    assert_int_equal(shard_entry_bytes(f->shard, &item), 60 + 64 / TABLE_LOAD_MAX);
    assert_int_equal(f->shard->slab.bytes_used, 60);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_create, fixture_destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_value_of_the_same_class_is_written_in_place),
        TEST(a_value_may_be_a_view_of_the_one_it_replaces),
        TEST(a_value_may_be_a_view_of_its_key),
        TEST(a_pinned_value_outlives_its_key),
        TEST(the_same_block_may_be_stored_again),
        TEST(a_pinned_value_is_copied_before_it_is_edited),
        TEST(appending_again_and_again_is_not_quadratic),
        TEST(an_edit_keeps_creation_time_and_deadline),
        TEST(an_edit_may_make_the_value_shorter),
        TEST(the_border_of_large_values_can_be_crossed_both_ways),
        TEST(keys_of_any_length_are_stored),
        TEST(the_same_name_in_two_databases_is_two_keys),
        TEST(clearing_everything_gives_all_pages_back_but_the_first),
        TEST(clearing_one_database_leaves_the_others),
        TEST(versions_only_grow_even_when_the_clock_does_not),
        TEST(set_deadline_changes_nothing_else),
        TEST(removing_what_is_due_removes_it_and_says_not_found),
        TEST(random_finds_the_only_key_of_a_database),
        TEST(random_takes_each_key_about_as_often),
        TEST(without_memory_everything_stays_as_it_was),
        TEST(a_refused_block_stays_the_callers),
        TEST(the_bytes_of_an_entry_are_what_it_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
