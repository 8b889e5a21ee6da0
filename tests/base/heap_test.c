#include "base/heap.h"
#include "base/os.h"
#include "base/thread.h"
#include "support/test.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define PART ((size_t)2 * 1024 * 1024)

static int no_faults(void **state)
{
    (void)state;
    os_fail_never();
    return 0;
}

static void what_is_freed_is_no_longer_counted(void **state)
{
    (void)state;
    size_t before = heap_bytes_used();
    char *block = heap_alloc(1000);
    assert_non_null(block);
    assert_true(heap_bytes_used() >= before + 1000);
    memset(block, 'x', 1000);
    char *moved = heap_realloc(block, 100000);
    assert_non_null(moved);
    assert_true(heap_bytes_used() >= before + 100000);
    assert_int_equal(moved[999], 'x');
    heap_free(moved);
    heap_free(NULL);
    assert_int_equal(heap_bytes_used(), before);
}

static void a_size_of_zero_gives_a_pointer(void **state)
{
    (void)state;
    void *blocks[] = {heap_alloc(0), heap_alloc_zeroed(0, 8), heap_realloc(NULL, 0),
                      heap_copy(NULL, 0), heap_alloc_aligned(64, 0)};
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
        assert_non_null(blocks[i]);
        heap_free(blocks[i]);
    }
}

static void zeroed_memory_is_zero_and_a_product_that_overflows_is_refused(void **state)
{
    (void)state;
    char *block = heap_alloc_zeroed(100, 7);
    assert_non_null(block);
    for (int i = 0; i < 700; i++) {
        assert_int_equal(block[i], 0);
    }
    heap_free(block);
    volatile size_t huge = SIZE_MAX / 2;
    assert_null(heap_alloc_zeroed(huge, 3));
}

static void alignment_is_kept(void **state)
{
    (void)state;
    for (size_t alignment = 1; alignment <= 4096; alignment *= 2) {
        void *block = heap_alloc_aligned(alignment, 100);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % alignment, 0);
        heap_free(block);
    }
}

static void a_copy_has_the_bytes(void **state)
{
    (void)state;
    char *copy = heap_copy("a\0b", 3);
    assert_non_null(copy);
    assert_bytes_equal(bytes_of(copy, 3), B("a\0b"));
    heap_free(copy);
}

static void every_call_can_be_made_to_fail(void **state)
{
    (void)state;
    size_t before = heap_bytes_used();
    os_fail_at(OS_MEMORY, 1, ENOMEM, true);
    errno = 0;
    assert_null(heap_alloc(1));
    assert_int_equal(errno, ENOMEM);
    assert_null(heap_alloc_zeroed(1, 1));
    assert_null(heap_realloc(NULL, 1));
    assert_null(heap_copy("a", 1));
    assert_null(heap_alloc_aligned(64, 1));
    assert_null(heap_reserve(PART));
    assert_int_equal(os_calls(OS_MEMORY), 6);
    assert_int_equal(heap_bytes_used(), before);
}

static void a_failed_realloc_keeps_the_block(void **state)
{
    (void)state;
    char *block = heap_copy("abc", 3);
    assert_non_null(block);
    size_t before = heap_bytes_used();
    os_fail_at(OS_MEMORY, 1, ENOMEM, false);
    assert_null(heap_realloc(block, 1000));
    assert_int_equal(heap_bytes_used(), before);
    assert_bytes_equal(bytes_of(block, 3), B("abc"));
    heap_free(block);
}

static void reserved_space_is_aligned_zeroed_and_costs_nothing_counted(void **state)
{
    (void)state;
    size_t before = heap_bytes_used();
    for (int i = 0; i < 4; i++) { /* wherever the kernel happens to put it */
        char *base = heap_reserve(3 * PART);
        assert_non_null(base);
        assert_int_equal((uintptr_t)base % PART, 0);
        assert_int_equal(base[0], 0);
        base[3 * PART - 1] = 'x';
        unsigned char page; /* what was mapped for the alignment's sake is given back */
        assert_int_equal(mincore(base + 3 * PART, 1, &page), -1);
        assert_int_equal(errno, ENOMEM);
        assert_int_equal(heap_bytes_used(), before);
        heap_unreserve(base, 3 * PART);
    }
}

static void more_space_than_there_is_is_refused(void **state)
{
    (void)state;
    assert_null(heap_reserve(SIZE_MAX - PART + 1));
    assert_null(heap_reserve((size_t)1 << 62));
}

static size_t pages_present(void *base, size_t size)
{
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE), present = 0;
    unsigned char pages[PART / 4096];
    assert_true(size / page_bytes <= sizeof(pages));
    assert_int_equal(mincore(base, size, pages), 0);
    for (size_t i = 0; i < size / page_bytes; i++) {
        present += pages[i] & 1;
    }
    return present;
}

static void populating_brings_the_pages_and_leaves_their_content(void **state)
{
    (void)state;
    for (int kernel_is_old = 0; kernel_is_old < 2; kernel_is_old++) {
        char *base = heap_reserve(PART);
        assert_non_null(base);
        assert_int_equal(pages_present(base, PART), 0);
        base[0] = 'a';
        base[PART - 1] = 'z';
        if (kernel_is_old) {
            os_fail_at(OS_MEMORY, 1, EINVAL, false); /* does not know the advice */
        }
        heap_populate(base, PART);
        assert_int_equal(pages_present(base, PART), PART / (size_t)sysconf(_SC_PAGESIZE));
        assert_int_equal(base[0], 'a');
        assert_int_equal(base[4096], 0);
        assert_int_equal(base[PART - 1], 'z');
        heap_unreserve(base, PART);
    }
}

static void populating_without_memory_is_given_up(void **state)
{
    (void)state;
    char *base = heap_reserve(PART);
    assert_non_null(base);
    os_fail_at(OS_MEMORY, 1, ENOMEM, false);
    heap_populate(base, PART);
    assert_int_equal(pages_present(base, PART), 0);
    heap_unreserve(base, PART);
}

static void discarded_memory_reads_as_zero(void **state)
{
    (void)state;
    char *base = heap_reserve(2 * PART);
    assert_non_null(base);
    base[0] = 'a';
    base[PART] = 'b';
    heap_discard(base, PART);
    assert_int_equal(base[0], 0);
    assert_int_equal(base[PART], 'b');
    heap_unreserve(base, 2 * PART);
}

static void allocate_and_free(void *context)
{
    (void)context;
    for (size_t i = 0; i < 2000; i++) {
        heap_free(heap_alloc(i));
    }
}

static void the_count_is_exact_across_threads(void **state)
{
    (void)state;
    size_t before = heap_bytes_used();
    struct thread threads[4];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(thread_start(&threads[i], "heap", allocate_and_free, NULL), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        thread_join(&threads[i]);
    }
    assert_int_equal(heap_bytes_used(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_freed_is_no_longer_counted),
        cmocka_unit_test(a_size_of_zero_gives_a_pointer),
        cmocka_unit_test(zeroed_memory_is_zero_and_a_product_that_overflows_is_refused),
        cmocka_unit_test(alignment_is_kept),
        cmocka_unit_test(a_copy_has_the_bytes),
        cmocka_unit_test_teardown(every_call_can_be_made_to_fail, no_faults),
        cmocka_unit_test_teardown(a_failed_realloc_keeps_the_block, no_faults),
        cmocka_unit_test(reserved_space_is_aligned_zeroed_and_costs_nothing_counted),
        cmocka_unit_test(more_space_than_there_is_is_refused),
        cmocka_unit_test_teardown(populating_brings_the_pages_and_leaves_their_content,
                                  no_faults),
        cmocka_unit_test_teardown(populating_without_memory_is_given_up, no_faults),
        cmocka_unit_test(discarded_memory_reads_as_zero),
        cmocka_unit_test(the_count_is_exact_across_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
