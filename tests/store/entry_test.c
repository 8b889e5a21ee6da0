/* entry_test.c - what is written is what is read, and takes no byte more than it must. */
#include "base/random.h"
#include "store/entry.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#define VERSION_OF_MS(ms) ((uint64_t)(ms) << ENTRY_VERSION_SHIFT)
#define SOME_MS           1700000000000

static struct item plain_item(struct bytes key, struct bytes value)
{
    return (struct item){.key = key,
                         .value = value,
                         .version = VERSION_OF_MS(SOME_MS) + 5,
                         .deadline_ms = ENTRY_NO_DEADLINE,
                         .created_ms = SOME_MS};
}

static void assert_reads_back(const struct item *item)
{
    size_t bytes = entry_bytes(item);
    char *chunk = malloc(bytes);
    entry_write(chunk, item);
    struct item back;
    entry_read(chunk, &back);
    assert_bytes_equal(back.key, item->key);
    assert_bytes_equal(back.value, item->value);
    assert_ptr_equal(back.large, item->large);
    assert_ptr_equal(back.large_key, item->large_key);
    assert_int_equal(back.version, item->version);
    assert_int_equal(back.deadline_ms, item->deadline_ms);
    assert_int_equal(back.created_ms, item->created_ms);
    assert_int_equal(back.db, item->db);
    if (item->deadline_ms != ENTRY_NO_DEADLINE) {
        assert_int_equal(back.has_filed, item->has_filed);
        assert_int_equal(back.wheel, item->wheel);
        if (item->has_filed) {
            assert_int_equal(back.filed_tick, item->filed_tick);
        }
    }
    struct bytes value;
    struct large *large;
    int64_t deadline_ms;
    entry_read_value(chunk, &value, &large, &deadline_ms);
    assert_bytes_equal(value, item->value);
    assert_int_equal(deadline_ms, item->deadline_ms);
    assert_int_equal(entry_deadline_ms(chunk), item->deadline_ms);
    assert_true(entry_is(chunk, item->key, item->db));
    assert_false(entry_is(chunk, item->key, (uint8_t)(item->db + 1)));
    struct hash_seed seed = {3, 4};
    assert_int_equal(entry_hash(chunk, &seed), key_make(&seed, item->key, item->db).hash);
    free(chunk);
}

static void a_plain_entry_costs_eleven_bytes(void **state)
{
    (void)state;
    struct item item =
        plain_item(B("0123456789abcdef"), B("0123456789abcdef0123456789abcdef"));
    assert_int_equal(entry_bytes(&item), 16 + 32 + 11);
    assert_reads_back(&item);
}

static void a_deadline_of_some_weeks_costs_four_bytes(void **state)
{
    (void)state;
    struct item item = plain_item(B("k"), B("v"));
    size_t without = entry_bytes(&item);
    item.deadline_ms = SOME_MS + UINT32_MAX;
    assert_int_equal(entry_bytes(&item), without + 4);
    assert_reads_back(&item);
    item.deadline_ms++;
    assert_int_equal(entry_bytes(&item), without + 8);
    assert_reads_back(&item);
    item.deadline_ms = SOME_MS - 1; /* before the version */
    assert_reads_back(&item);
    item.deadline_ms = INT64_MIN;
    assert_reads_back(&item);
    item.deadline_ms = INT64_MAX - 1;
    assert_reads_back(&item);
}

static void every_mix_of_facts_reads_back(void **state)
{
    (void)state;
    static char long_key[ENTRY_KEY_INLINE_MAX];
    static char long_value[8192];
    memset(long_key, 'k', sizeof(long_key));
    memset(long_value, 'v', sizeof(long_value));
    struct large *large = large_create(10);
    struct large *large_key = large_create(5000);
    memset(large->bytes, 'L', 10);
    memset(large_key->bytes, 'K', 5000);
    large->len = 10;
    large_key->len = 5000;
    static const size_t lens[] = {0, 1, 127, 128, 4096};
    for (unsigned mix = 0; mix < 1u << 7; mix++) {
        for (unsigned i = 0; i < ARRAY_LEN(lens); i++) {
            struct item item = plain_item(bytes_of(long_key, lens[i]),
                                          bytes_of(long_value, 2 * lens[i]));
            item.deadline_ms = mix & 1 ? SOME_MS + 1000 : ENTRY_NO_DEADLINE;
            item.created_ms = mix & 2 ? 1234567890123 : SOME_MS;
            item.has_filed = (mix & 5) == 5;
            item.filed_tick = 0x89abcdef;
            item.db = mix & 8 ? 15 : 0;
            item.wheel = (mix & 17) == 17;
            if (mix & 32) {
                item.large = large;
                item.value = bytes_of(large->bytes, large->len);
            }
            if (mix & 64) {
                item.large_key = large_key;
                item.key = bytes_of(large_key->bytes, large_key->len);
            }
            assert_true(entry_header_bytes(&item) <= ENTRY_HEADER_MAX);
            assert_reads_back(&item);
        }
    }
    large_drop(large);
    large_drop(large_key);
}

static void a_creation_time_out_of_range_is_clamped(void **state)
{
    (void)state;
    static const int64_t given[] = {-1, INT64_MIN, INT64_MAX, ENTRY_CREATED_MAX + 1};
    static const int64_t kept[] = {0, 0, ENTRY_CREATED_MAX, ENTRY_CREATED_MAX};
    for (unsigned i = 0; i < ARRAY_LEN(given); i++) {
        struct item item = plain_item(B("k"), B("v"));
        item.created_ms = given[i];
        char chunk[64];
        entry_write(chunk, &item);
        entry_read(chunk, &item);
        assert_int_equal(item.created_ms, kept[i]);
    }
}

/* Header shorter, equal and longer; the new value any part of the old one. */
static void a_rewrite_may_take_its_value_from_the_old_value(void **state)
{
    (void)state;
    char value[200];
    for (unsigned i = 0; i < sizeof(value); i++) {
        value[i] = (char)(i + 1);
    }
    for (unsigned mix = 0; mix < 16; mix++) {
        for (size_t from = 0; from < sizeof(value); from += 13) {
            for (size_t len = 0; from + len <= sizeof(value); len += 17) {
                char chunk[400];
                struct item old = plain_item(B("a key"), bytes_of(value, sizeof(value)));
                old.deadline_ms = mix & 1 ? SOME_MS + 7 : ENTRY_NO_DEADLINE;
                old.created_ms = mix & 2 ? 99 : SOME_MS;
                entry_write(chunk, &old);
                size_t old_header = entry_header_bytes(&old);
                struct item new;
                entry_read(chunk, &new);
                new.value = bytes_of(new.value.data + from, len);
                new.version++;
                new.deadline_ms = mix & 4 ? SOME_MS + 8 : ENTRY_NO_DEADLINE;
                new.created_ms = mix & 8 ? 77 : SOME_MS;
                entry_rewrite(chunk, &new, old_header);
                struct item back;
                entry_read(chunk, &back);
                assert_bytes_equal(back.key, B("a key"));
                assert_bytes_equal(back.value, bytes_of(value + from, len));
                assert_int_equal(back.deadline_ms, new.deadline_ms);
                assert_int_equal(back.created_ms, new.created_ms);
                assert_int_equal(back.version, new.version);
            }
        }
    }
}

static void filing_again_changes_no_other_fact(void **state)
{
    (void)state;
    for (unsigned mix = 0; mix < 4; mix++) {
        struct item item = plain_item(B("key"), B("value"));
        item.deadline_ms = SOME_MS + 5000;
        item.has_filed = (mix & 1) != 0;
        item.filed_tick = 17;
        item.db = mix & 2 ? 9 : 0;
        char chunk[64];
        entry_write(chunk, &item);
        entry_set_filed(chunk, 1, 0xfedcba98);
        struct item back;
        entry_read(chunk, &back);
        assert_int_equal(back.wheel, 1);
        assert_int_equal(back.has_filed, item.has_filed);
        if (item.has_filed) {
            assert_int_equal(back.filed_tick, 0xfedcba98);
        }
        assert_int_equal(back.deadline_ms, item.deadline_ms);
        assert_int_equal(back.db, item.db);
        assert_bytes_equal(back.key, item.key);
        assert_bytes_equal(back.value, item.value);
    }
}

static void only_the_same_bytes_are_the_key(void **state)
{
    (void)state;
    struct item item = plain_item(B("some key"), B("value"));
    char chunk[64];
    entry_write(chunk, &item);
    assert_true(entry_is(chunk, B("some key"), 0));
    assert_false(entry_is(chunk, B("some kez"), 0));
    assert_false(entry_is(chunk, B("some ke"), 0));
    assert_false(entry_is(chunk, B("some keyv"), 0));
    assert_false(entry_is(chunk, B(""), 0));
    assert_false(entry_is(chunk, B("some key"), 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_entry_costs_eleven_bytes),
        cmocka_unit_test(a_deadline_of_some_weeks_costs_four_bytes),
        cmocka_unit_test(every_mix_of_facts_reads_back),
        cmocka_unit_test(a_creation_time_out_of_range_is_clamped),
        cmocka_unit_test(a_rewrite_may_take_its_value_from_the_old_value),
        cmocka_unit_test(filing_again_changes_no_other_fact),
        cmocka_unit_test(only_the_same_bytes_are_the_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
