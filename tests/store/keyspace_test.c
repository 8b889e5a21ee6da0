/* keyspace_test.c - many shards and many threads: nothing is lost, and prefetching without a
 * lock reads nothing it may not (ThreadSanitizer looks on). */
#include "base/check.h"
#include "base/random.h"
#include "base/thread.h"
#include "store/keyspace.h"
#include "store/no_memory.h"
#include "support/test.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW_MS 1700000000000

static const struct hash_seed seed = {7, 8};

static void shards_share_the_keys_evenly(void **state)
{
    (void)state;
    static const unsigned asked[] = {1, 2, 3, 16, 17};
    static const unsigned made[] = {1, 2, 4, 16, 32};
    for (unsigned i = 0; i < ARRAY_LEN(asked); i++) {
        struct keyspace keyspace;
        assert_int_equal(keyspace_init(&keyspace, asked[i], &seed, NOW_MS), MEMENTO_OK);
        assert_int_equal(keyspace.shard_count, made[i]);
        unsigned count[32] = {0};
        for (unsigned n = 0; n < 3200; n++) {
            char text[16];
            int len = sprintf(text, "%u", n);
            struct key key = key_make(&seed, bytes_of(text, (size_t)len), 0);
            count[keyspace_shard(&keyspace, key.hash) - keyspace.shards]++;
        }
        for (unsigned shard = 0; shard < made[i]; shard++) {
            assert_in_range(count[shard], 3200 / made[i] / 2, 3200 / made[i] * 2);
        }
        keyspace_fini(&keyspace);
    }
}

static void init_answers_each_failure_and_keeps_nothing(void **state)
{
    SKIP_UNDER_THREAD_SANITIZER();
    (void)state;
    bool has_succeeded = false;
    for (uint64_t nth = 1; !has_succeeded; nth++) {
        struct keyspace keyspace;
        os_fail_at(OS_MEMORY, nth, ENOMEM, true);
        enum memento_status status = keyspace_init(&keyspace, 4, &seed, NOW_MS);
        os_fail_never();
        has_succeeded = status == MEMENTO_OK;
        assert_true(has_succeeded || status == MEMENTO_ERR_NO_MEMORY);
        keyspace_fini(&keyspace);
    }
}

#define WRITERS    3
#define KEYS_EACH  4000
#define OPERATIONS 60000

struct writer {
    struct thread thread;
    struct keyspace *keyspace;
    unsigned number;
    atomic_bool *is_done;
    uint32_t written[KEYS_EACH]; /* 0 = absent */
};

static struct key writer_key(char text[32], unsigned writer, uint64_t number)
{
    int len = sprintf(text, "%u:%llu", writer, (unsigned long long)number);
    return key_make(&seed, bytes_of(text, (size_t)len), 0);
}

/* Stores, overwrites with other sizes and removes keys of its own, so that chunks, lines and
 * pages change hands all the time. */
static void writer_body(void *context)
{
    struct writer *writer = context;
    struct random random;
    random_init(&random, writer->number);
    char value[300];
    for (uint32_t i = 1; i <= OPERATIONS; i++) {
        /* Tides: mostly puts, then mostly removals. */
        bool is_ebb = i / 10000 % 2 == 1;
        uint64_t number = random_below(&random, KEYS_EACH);
        char text[32];
        struct key key = writer_key(text, writer->number, number);
        struct shard *shard = keyspace_shard(writer->keyspace, key.hash);
        shard_lock(shard);
        if (random_below(&random, 10) < (is_ebb ? 9 : 1)) {
            enum memento_status status = shard_remove(shard, &key, NOW_MS);
            CHECK((status == MEMENTO_OK) == (writer->written[number] != 0));
            writer->written[number] = 0;
        } else {
            size_t len = sizeof(i) + random_below(&random, sizeof(value) - sizeof(i));
            memset(value, (int)i, sizeof(value));
            memcpy(value, &i, sizeof(i));
            struct shard_value stored = {.bytes = bytes_of(value, len),
                                         .deadline_ms =
                                             i % 4 == 0 ? NOW_MS + i : ENTRY_NO_DEADLINE,
                                         .created_ms = SHARD_CREATED_NOW};
            CHECK(shard_put(shard, &key, &stored, shard_next_version(shard, NOW_MS),
                            NOW_MS) == MEMENTO_OK);
            writer->written[number] = i;
        }
        shard_unlock(shard);
    }
}

/* Prefetches everybody's keys, without a lock and without an end. */
static void prefetcher_body(void *context)
{
    struct writer *self = context;
    struct random random;
    random_init(&random, 99);
    while (!atomic_load(self->is_done)) {
        uint64_t hashes[16];
        for (unsigned i = 0; i < ARRAY_LEN(hashes); i++) {
            char text[32];
            hashes[i] = writer_key(text, (unsigned)random_below(&random, WRITERS),
                                   random_below(&random, KEYS_EACH))
                            .hash;
        }
        keyspace_prefetch(self->keyspace, hashes, ARRAY_LEN(hashes));
        (void)keyspace_keys(self->keyspace, 0);
    }
}

static void threads_write_while_others_prefetch(void **state)
{
    (void)state;
    struct keyspace keyspace;
    assert_int_equal(keyspace_init(&keyspace, 2, &seed, NOW_MS), MEMENTO_OK);
    atomic_bool is_done = false;
    struct writer *writers = calloc(WRITERS + 1, sizeof(*writers));
    for (unsigned i = 0; i <= WRITERS; i++) {
        writers[i].keyspace = &keyspace;
        writers[i].number = i;
        writers[i].is_done = &is_done;
        assert_int_equal(thread_start(&writers[i].thread, "test",
                                      i == WRITERS ? prefetcher_body : writer_body,
                                      &writers[i]),
                         MEMENTO_OK);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        thread_join(&writers[i].thread);
    }
    atomic_store(&is_done, true);
    thread_join(&writers[WRITERS].thread);

    uint64_t keys = 0;
    for (unsigned i = 0; i < WRITERS; i++) {
        for (uint64_t number = 0; number < KEYS_EACH; number++) {
            char text[32];
            struct key key = writer_key(text, i, number);
            struct shard *shard = keyspace_shard(&keyspace, key.hash);
            shard_lock(shard);
            struct item item;
            enum memento_status status = shard_find(shard, &key, 0, &item);
            uint32_t written = writers[i].written[number];
            assert_int_equal(status, written != 0 ? MEMENTO_OK : MEMENTO_NOT_FOUND);
            if (status == MEMENTO_OK) {
                assert_memory_equal(item.value.data, &written, sizeof(written));
                keys++;
            }
            shard_unlock(shard);
        }
    }
    assert_int_equal(keyspace_keys(&keyspace, 0), keys);
    uint64_t deadlines = 0;
    for (unsigned i = 0; i < keyspace.shard_count; i++) {
        shard_lock(&keyspace.shards[i]);
        shard_verify(&keyspace.shards[i]);
        deadlines += keyspace.shards[i].deadlines;
        shard_unlock(&keyspace.shards[i]);
    }
    assert_int_equal(keyspace_keys_with_deadline(&keyspace, 0), deadlines);
    keyspace_fini(&keyspace);
    free(writers);
}

static void the_sum_of_memory_is_what_the_pool_gave(void **state)
{
    (void)state;
    struct keyspace keyspace;
    assert_int_equal(keyspace_init(&keyspace, 4, &seed, NOW_MS), MEMENTO_OK);
    struct keyspace_memory memory;
    keyspace_memory(&keyspace, &memory);
    assert_int_equal(memory.pages_bytes, 4 * PAGE_BYTES);
    assert_int_equal(memory.table_bytes, 4 * PAGE_BYTES);
    assert_int_equal(memory.entry_bytes, 0);
    for (unsigned i = 0; i < 50000; i++) {
        char text[32];
        struct key key = writer_key(text, 0, i);
        struct shard *shard = keyspace_shard(&keyspace, key.hash);
        struct shard_value value = {.bytes = B("some value"),
                                    .deadline_ms = ENTRY_NO_DEADLINE,
                                    .created_ms = SHARD_CREATED_NOW};
        shard_lock(shard);
        assert_int_equal(
            shard_put(shard, &key, &value, shard_next_version(shard, NOW_MS), NOW_MS),
            MEMENTO_OK);
        shard_unlock(shard);
    }
    keyspace_memory(&keyspace, &memory);
    assert_true(memory.entry_bytes >= 50000 * 24);
    assert_true(memory.entry_bytes + memory.table_bytes <= memory.pages_bytes);
    assert_true(memory.pages_bytes <=
                memory.entry_bytes + memory.table_bytes + 4 * 4 * PAGE_BYTES);
    assert_int_equal(memory.large_bytes, 0);
    keyspace_fini(&keyspace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards_share_the_keys_evenly),
        cmocka_unit_test(init_answers_each_failure_and_keeps_nothing),
        cmocka_unit_test(threads_write_while_others_prefetch),
        cmocka_unit_test(the_sum_of_memory_is_what_the_pool_gave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
