/* pages_test.c - who gets which page, what is in it, and that memory goes back. */
#include "store/no_memory.h"
#include "store/pages.h"
#include "support/test.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

static int pool_create(void **state)
{
    struct pages *pages;
    assert_int_equal(pages_create(&pages), MEMENTO_OK);
    *state = pages;
    return 0;
}

static int pool_destroy(void **state)
{
    assert_int_equal(pages_bytes_used(*state), 0);
    pages_destroy(*state);
    return 0;
}

static char *bytes_at(struct pages *pages, uint32_t page)
{
    return pages_base(pages) + ((size_t)page << PAGE_SHIFT);
}

static bool is_all_zero(const char *bytes)
{
    for (size_t i = 0; i < PAGE_BYTES; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static void lines_are_zero_whoever_had_the_page(void **state)
{
    struct pages *pages = *state;
    uint32_t taken[40];
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < ARRAY_LEN(taken); i++) {
            taken[i] = pages_take(pages, PAGE_LINES);
            assert_int_not_equal(taken[i], PAGE_NONE);
            assert_true(is_all_zero(bytes_at(pages, taken[i])));
            memset(bytes_at(pages, taken[i]), 0xAB, PAGE_BYTES);
        }
        assert_int_equal(pages_bytes_used(pages),
                         sizeof(taken) / sizeof(*taken) * PAGE_BYTES);
        for (unsigned i = 0; i < ARRAY_LEN(taken); i++) {
            pages_give(pages, taken[i], PAGE_LINES, false);
        }
    }
}

static void a_page_of_lines_never_becomes_one_of_chunks(void **state)
{
    struct pages *pages = *state;
    bool was_lines[64] = {false};
    uint32_t taken[32];
    for (unsigned i = 0; i < ARRAY_LEN(taken); i++) {
        taken[i] = pages_take(pages, PAGE_LINES);
        assert_true(taken[i] < ARRAY_LEN(was_lines));
        was_lines[taken[i]] = true;
    }
    for (unsigned i = 0; i < ARRAY_LEN(taken); i++) {
        pages_give(pages, taken[i], PAGE_LINES, false);
    }
    for (unsigned i = 0; i < ARRAY_LEN(taken); i++) {
        taken[i] = pages_take(pages, PAGE_CHUNKS);
        assert_false(taken[i] < ARRAY_LEN(was_lines) && was_lines[taken[i]]);
    }
    for (unsigned i = 0; i < ARRAY_LEN(taken); i++) {
        pages_give(pages, taken[i], PAGE_CHUNKS, false);
    }
}

/* The table takes 32 low bits of zero for an empty slot. */
static void no_page_has_an_index_that_looks_empty(void **state)
{
    struct pages *pages = *state;
    const uint32_t count = (1u << 18) + 100; /* just over 16 GiB, none of it touched */
    uint32_t *taken = malloc(count * sizeof(*taken));
    uint32_t got = 0;
    while (got < count && (taken[got] = pages_take(pages, PAGE_CHUNKS)) != PAGE_NONE) {
        uint64_t index = (uint64_t)taken[got] << (PAGE_SHIFT - INDEX_UNIT_SHIFT);
        assert_int_not_equal((uint32_t)index, 0);
        got++;
    }
    for (uint32_t i = 0; i < got; i++) {
        pages_give(pages, taken[i], PAGE_CHUNKS, false);
    }
    free(taken);
}

static bool is_resident(struct pages *pages, uint32_t page)
{
    unsigned char resident[PAGE_BYTES / 4096];
    assert_int_equal(mincore(bytes_at(pages, page), PAGE_BYTES, resident), 0);
    return resident[0] & 1;
}

static unsigned count_resident(struct pages *pages, const uint32_t *taken, unsigned count)
{
    unsigned resident = 0;
    for (unsigned i = 0; i < count; i++) {
        resident += is_resident(pages, taken[i]);
    }
    return resident;
}

/* 64 MiB are used and given: all but some 16 MiB of it goes back, sooner or later. */
static void the_memory_of_many_free_pages_goes_back(void **state)
{
    struct pages *pages = *state;
    enum { COUNT = 1024 };
    static uint32_t taken[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        taken[i] = pages_take(pages, PAGE_CHUNKS);
        memset(bytes_at(pages, taken[i]), 1, PAGE_BYTES);
    }
    assert_int_equal(count_resident(pages, taken, COUNT), COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        pages_give(pages, taken[i], PAGE_CHUNKS, false);
    }
    /* The thread does it; a test that never gets there hangs until its time is over. */
    while (count_resident(pages, taken, COUNT) > 300) {
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    /* And every page can be used again. */
    for (unsigned i = 0; i < COUNT; i++) {
        taken[i] = pages_take(pages, PAGE_CHUNKS);
        assert_int_not_equal(taken[i], PAGE_NONE);
        memset(bytes_at(pages, taken[i]), 2, PAGE_BYTES);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        pages_give(pages, taken[i], PAGE_CHUNKS, false);
    }
}

static void create_answers_each_failure_of_the_system(void **state)
{
    SKIP_UNDER_THREAD_SANITIZER();
    (void)state;
    bool has_succeeded = false;
    for (uint64_t nth = 1; !has_succeeded; nth++) {
        os_fail_at(OS_MEMORY, nth, ENOMEM, true);
        struct pages *pages = NULL;
        enum memento_status status = pages_create(&pages);
        os_fail_never();
        has_succeeded = status == MEMENTO_OK;
        assert_true(has_succeeded || status == MEMENTO_ERR_NO_MEMORY);
        pages_destroy(pages);
    }
    os_fail_at(OS_THREAD, 1, EAGAIN, false);
    struct pages *pages = NULL;
    assert_int_not_equal(pages_create(&pages), MEMENTO_OK);
    os_fail_never();
}

static void less_address_space_is_better_than_none(void **state)
{
    SKIP_UNDER_THREAD_SANITIZER();
    (void)state;
    os_fail_at(OS_MEMORY, 2, ENOMEM, false); /* the first attempt to reserve */
    struct pages *pages = NULL;
    assert_int_equal(pages_create(&pages), MEMENTO_OK);
    os_fail_never();
    uint32_t page = pages_take(pages, PAGE_CHUNKS);
    assert_int_not_equal(page, PAGE_NONE);
    pages_give(pages, page, PAGE_CHUNKS, false);
    pages_destroy(pages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_are_zero_whoever_had_the_page, pool_create,
                                        pool_destroy),
        cmocka_unit_test_setup_teardown(a_page_of_lines_never_becomes_one_of_chunks,
                                        pool_create, pool_destroy),
        cmocka_unit_test_setup_teardown(no_page_has_an_index_that_looks_empty,
                                        pool_create, pool_destroy),
        cmocka_unit_test_setup_teardown(the_memory_of_many_free_pages_goes_back,
                                        pool_create, pool_destroy),
        cmocka_unit_test(create_answers_each_failure_of_the_system),
        cmocka_unit_test(less_address_space_is_better_than_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
