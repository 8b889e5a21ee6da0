/* fixture.h - one shard with a pool of its own, and short words for what tests do with it.
 * The lock is held throughout: the tests that are about threads say so themselves. */
#pragma once

#include "base/clock.h"
#include "store/shard.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW_MS 1700000000000 /* some day in 2023 */

#if defined(__clang__)
/* The lock is taken when the fixture is made, which the analysis cannot follow. */
#pragma clang diagnostic ignored "-Wthread-safety-analysis"
#endif

struct fixture {
    struct pages *pages;
    struct shard *shard;
    struct hash_seed seed;
    int64_t now_ms;
};

static inline int fixture_create(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->shard = aligned_alloc(_Alignof(struct shard), sizeof(*f->shard));
    f->seed = (struct hash_seed){1, 2};
    f->now_ms = NOW_MS;
    assert_int_equal(pages_create(&f->pages), MEMENTO_OK);
    assert_int_equal(shard_init(f->shard, f->pages, &f->seed, f->now_ms), MEMENTO_OK);
    shard_lock(f->shard);
    *state = f;
    return 0;
}

static inline int fixture_destroy(void **state)
{
    struct fixture *f = *state;
    shard_unlock(f->shard);
    shard_fini(f->shard);
    assert_int_equal(pages_bytes_used(f->pages), 0);
    pages_destroy(f->pages);
    free(f->shard);
    free(f);
    return 0;
}

static inline struct key fixture_key(const struct fixture *f, struct bytes name,
                                     uint8_t db)
{
    return key_make(&f->seed, name, db);
}

/* A key of the fixture `f` in database 0. */
#define K(literal) (&(struct key){B(literal), fixture_key(f, B(literal), 0).hash, 0, 0})

/* "key:17" in a buffer that lives as long as the block it is used in. */
struct name {
    char text[32];
};
static inline struct bytes name_of(struct name *name, uint64_t number)
{
    int len =
        snprintf(name->text, sizeof(name->text), "key:%llu", (unsigned long long)number);
    return bytes_of(name->text, (size_t)len);
}
#define NUMBERED(number) name_of(&(struct name){{0}}, number)

static inline enum memento_status try_put(struct fixture *f, const struct key *key,
                                          struct bytes value, int64_t deadline_ms)
{
    struct shard_value stored = {
        .bytes = value, .deadline_ms = deadline_ms, .created_ms = SHARD_CREATED_NOW};
    return shard_put(f->shard, key, &stored, shard_next_version(f->shard, f->now_ms),
                     f->now_ms);
}

static inline void put(struct fixture *f, const struct key *key, struct bytes value,
                       int64_t deadline_ms)
{
    assert_int_equal(try_put(f, key, value, deadline_ms), MEMENTO_OK);
}

static inline void put_number(struct fixture *f, uint64_t number, struct bytes value,
                              int64_t deadline_ms)
{
    struct key key = fixture_key(f, NUMBERED(number), 0);
    put(f, &key, value, deadline_ms);
}

static inline enum memento_status find(struct fixture *f, const struct key *key,
                                       struct bytes *value)
{
    struct item item;
    enum memento_status status = shard_find(f->shard, key, f->now_ms, &item);
    *value = item.value;
    return status;
}

static inline bool has_number(struct fixture *f, uint64_t number)
{
    struct key key = fixture_key(f, NUMBERED(number), 0);
    struct item item;
    return shard_find(f->shard, &key, f->now_ms, &item) == MEMENTO_OK;
}

static inline enum memento_status remove_number(struct fixture *f, uint64_t number)
{
    struct key key = fixture_key(f, NUMBERED(number), 0);
    return shard_remove(f->shard, &key, f->now_ms);
}

/* A block with this value and one reference. */
static inline struct large *large_of(struct bytes value)
{
    struct large *large = large_create(value.len);
    assert_non_null(large);
    memcpy(large->bytes, value.data, value.len);
    large->len = value.len;
    return large;
}

/* The seed of a random test: MEMENTO_SEED, or the time; printed, so that a failure can be
 * repeated. */
static inline uint64_t test_seed(void)
{
    const char *given = getenv("MEMENTO_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : clock_monotonic_ns();
    print_message("MEMENTO_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}
