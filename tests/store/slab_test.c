/* slab_test.c - chunks do not overlap, waste little, and empty pages go back at once. */
#include "base/random.h"
#include "store/no_memory.h"
#include "store/slab.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

struct pool {
    struct pages *pages;
    struct slab slab;
};

static int pool_create(void **state)
{
    struct pool *pool = calloc(1, sizeof(*pool));
    assert_int_equal(pages_create(&pool->pages), MEMENTO_OK);
    slab_init(&pool->slab, pool->pages);
    *state = pool;
    return 0;
}

static int pool_destroy(void **state)
{
    struct pool *pool = *state;
    assert_int_equal(pages_bytes_used(pool->pages), 0);
    pages_destroy(pool->pages);
    free(pool);
    return 0;
}

static void a_chunk_is_at_most_an_eighth_larger(void **state)
{
    struct pool *pool = *state;
    for (size_t bytes = 1; bytes <= SLAB_CHUNK_MAX; bytes++) {
        size_t chunk = slab_chunk_bytes(&pool->slab, bytes);
        assert_true(chunk >= bytes && chunk % 4 == 0);
        if (bytes >= SLAB_CHUNK_MIN && bytes <= SLAB_STEPS_TO) {
            assert_true(chunk < bytes + SLAB_STEP);
        } else if (bytes > SLAB_STEPS_TO) {
            assert_true(chunk <= bytes + bytes / 8);
        }
        if (bytes > 1) {
            assert_true(chunk >= slab_chunk_bytes(&pool->slab, bytes - 1));
        }
    }
}

struct held {
    uint64_t index;
    size_t bytes;
    char fill;
};

static void held_check(struct slab *slab, const struct held *held)
{
    const char *bytes = slab_pointer(slab, held->index);
    for (size_t i = 0; i < held->bytes; i++) {
        assert_int_equal(bytes[i], held->fill);
    }
}

static void churn_keeps_every_chunk_its_own(void **state)
{
    struct pool *pool = *state;
    enum { HELD = 2000, STEPS = 60000 };
    struct held *held = calloc(HELD, sizeof(*held));
    struct random random;
    random_init(&random, 11);
    for (unsigned step = 0; step < STEPS; step++) {
        struct held *at = &held[random_below(&random, HELD)];
        if (at->index != 0) {
            held_check(&pool->slab, at);
            slab_free(&pool->slab, at->index);
            at->index = 0;
        } else {
            uint64_t max = random_below(&random, 20) == 0 ? SLAB_CHUNK_MAX : 200;
            at->bytes = 1 + random_below(&random, max);
            at->index = slab_alloc(&pool->slab, at->bytes);
            assert_true((uint32_t)at->index != 0);
            at->fill = (char)step;
            memset(slab_pointer(&pool->slab, at->index), at->fill, at->bytes);
        }
        if (step % 3000 == 0) {
            slab_verify(&pool->slab);
        }
    }
    for (unsigned i = 0; i < HELD; i++) {
        if (held[i].index != 0) {
            held_check(&pool->slab, &held[i]);
            slab_free(&pool->slab, held[i].index);
        }
    }
    slab_verify(&pool->slab);
    assert_int_equal(pool->slab.bytes_used, 0);
    free(held);
}

static void an_empty_page_goes_back_at_once(void **state)
{
    struct pool *pool = *state;
    uint64_t taken[3000];
    for (unsigned i = 0; i < ARRAY_LEN(taken); i++) {
        taken[i] = slab_alloc(&pool->slab, 60);
    }
    size_t full = pages_bytes_used(pool->pages);
    assert_int_equal(full, 3 * PAGE_BYTES);
    for (unsigned i = 0; i < ARRAY_LEN(taken); i++) {
        slab_free(&pool->slab, taken[i]);
    }
    assert_int_equal(pages_bytes_used(pool->pages), 0);
}

static void lines_are_aligned_to_lines(void **state)
{
    struct pool *pool = *state;
    for (unsigned i = 0; i < 3000; i++) {
        uint64_t index = slab_alloc(&pool->slab, 64);
        assert_int_equal((uintptr_t)slab_pointer(&pool->slab, index) % 64, 0);
    }
    slab_clear(&pool->slab);
}

static void clear_gives_full_and_partial_pages_back(void **state)
{
    struct pool *pool = *state;
    for (size_t bytes = 1; bytes <= SLAB_CHUNK_MAX; bytes += 61) {
        for (unsigned i = 0; i < 20; i++) {
            assert_int_not_equal(slab_alloc(&pool->slab, bytes), 0);
        }
    }
    slab_clear(&pool->slab);
    slab_verify(&pool->slab);
    assert_int_equal(pages_bytes_used(pool->pages), 0);
    assert_int_not_equal(slab_alloc(&pool->slab, 100), 0);
    slab_clear(&pool->slab);
}

static void without_a_page_nothing_changes(void **state)
{
    SKIP_UNDER_THREAD_SANITIZER();
    struct pool *pool = *state;
    uint64_t first = slab_alloc(&pool->slab, 16384);
    os_fail_at(OS_MEMORY, 1, ENOMEM, true);
    assert_int_equal(slab_alloc(&pool->slab, 100), 0);
    assert_int_not_equal(slab_alloc(&pool->slab, 16384), 0); /* room in its page */
    os_fail_never();
    slab_verify(&pool->slab);
    assert_int_equal(pool->slab.bytes_used, 2 * 16384);
    slab_free(&pool->slab, first);
    slab_clear(&pool->slab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_chunk_is_at_most_an_eighth_larger, pool_create,
                                        pool_destroy),
        cmocka_unit_test_setup_teardown(churn_keeps_every_chunk_its_own, pool_create,
                                        pool_destroy),
        cmocka_unit_test_setup_teardown(an_empty_page_goes_back_at_once, pool_create,
                                        pool_destroy),
        cmocka_unit_test_setup_teardown(lines_are_aligned_to_lines, pool_create,
                                        pool_destroy),
        cmocka_unit_test_setup_teardown(clear_gives_full_and_partial_pages_back,
                                        pool_create, pool_destroy),
        cmocka_unit_test_setup_teardown(without_a_page_nothing_changes, pool_create,
                                        pool_destroy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
