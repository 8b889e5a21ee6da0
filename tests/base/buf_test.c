#include "base/buf.h"
#include "base/heap.h"
#include "base/os.h"
#include "support/test.h"

#include <errno.h>

static int no_faults(void **state)
{
    (void)state;
    os_fail_never();
    return 0;
}

static void appends_follow_each_other(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf);
    buf_append(&buf, "ab", 2);
    buf_append_char(&buf, '\0');
    buf_append_bytes(&buf, B("cd"));
    buf_append_bytes(&buf, bytes_of(NULL, 0));
    buf_append_string(&buf, "-e-");
    buf_append_integer(&buf, INT64_MIN);
    buf_appendf(&buf, "[%05d|%s]", 42, "x");
    assert_bytes_equal(buf_bytes(&buf), B("ab\0cd-e--9223372036854775808[00042|x]"));
    assert_false(buf.failed);
    buf_fini(&buf);
}

static void growing_keeps_what_is_there(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf);
    for (int i = 0; i < 100000; i++) {
        buf_append_char(&buf, (char)(i % 251));
    }
    assert_int_equal(buf.len, 100000);
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(buf.data[i], (char)(i % 251));
    }
    buf_fini(&buf);
}

static void consuming_drops_the_first_bytes(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf);
    buf_consume(&buf, 0);
    buf_append_string(&buf, "abcdef");
    buf_consume(&buf, 2);
    assert_bytes_equal(buf_bytes(&buf), B("cdef"));
    buf_consume(&buf, 4);
    assert_bytes_equal(buf_bytes(&buf), B(""));
    assert_check_fails(buf_consume(&buf, 1));
    buf_fini(&buf);
}

static void a_c_string_ends_in_a_nul_that_does_not_count(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf);
    assert_string_equal(buf_c_string(&buf), "");
    buf_append_string(&buf, "abc");
    assert_string_equal(buf_c_string(&buf), "abc");
    assert_int_equal(buf.len, 3);
    /* Exactly full: the NUL has to make room for itself. */
    while (buf.len < buf.cap) {
        buf_append_char(&buf, 'x');
    }
    size_t len = buf.len;
    assert_int_equal(strlen(buf_c_string(&buf)), len);
    buf_fini(&buf);
}

static void after_a_failure_nothing_is_appended_however_small(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf);
    buf_append_string(&buf, "kept");
    os_fail_at(OS_MEMORY, 1, ENOMEM,
               false); /* only once: memory is there again after it */
    char large[1000] = {0};
    buf_append(&buf, large, sizeof(large));
    assert_true(buf.failed);

    buf_append_char(&buf, 'x'); /* had room before the failure */
    buf_append_integer(&buf, 1);
    buf_appendf(&buf, "%d", 1);
    assert_bytes_equal(buf_bytes(&buf), B("kept"));
    assert_string_equal(buf_c_string(&buf), "");
    buf_consume(&buf, 2); /* makes room, which changes nothing */
    buf_append_char(&buf, 'x');
    assert_bytes_equal(buf_bytes(&buf), B("pt"));

    buf_reset(&buf, SIZE_MAX);
    assert_false(buf.failed);
    buf_append_string(&buf, "again");
    assert_bytes_equal(buf_bytes(&buf), B("again"));
    buf_fini(&buf);
}

/* Whichever allocation fails, the buffer holds a prefix of what was wanted and says
 * so. */
static void any_failing_allocation_leaves_a_prefix(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 20; nth++) {
        os_fail_never();
        os_fail_at(OS_MEMORY, nth, ENOMEM, true);
        struct buf buf;
        buf_init(&buf);
        for (int i = 0; i < 1000; i++) {
            buf_append_integer(&buf, 7);
        }
        bool was_reached = os_calls(OS_MEMORY) >= nth;
        assert_int_equal(buf.failed, was_reached);
        assert_true(was_reached ? buf.len < 1000 : buf.len == 1000);
        for (size_t i = 0; i < buf.len; i++) {
            assert_int_equal(buf.data[i], '7');
        }
        buf_fini(&buf);
    }
}

static void a_length_that_cannot_exist_is_refused(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf);
    buf_append_char(&buf, 'x');
    assert_false(buf_reserve(&buf, SIZE_MAX));
    assert_true(buf.failed);
    buf_fini(&buf);
}

static void reset_keeps_small_memory_and_gives_large_memory_back(void **state)
{
    (void)state;
    size_t bytes_before = heap_bytes_used();
    struct buf buf;
    buf_init(&buf);
    assert_true(buf_reserve(&buf, 5000));
    buf_append_char(&buf, 'x');
    buf_reset(&buf, 5000);
    assert_int_equal(buf.len, 0);
    assert_true(buf.cap >= 5000);
    buf_reset(&buf, 4999);
    assert_int_equal(buf.cap, 0);
    assert_int_equal(heap_bytes_used(), bytes_before);
    buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_follow_each_other),
        cmocka_unit_test(growing_keeps_what_is_there),
        cmocka_unit_test(consuming_drops_the_first_bytes),
        cmocka_unit_test(a_c_string_ends_in_a_nul_that_does_not_count),
        cmocka_unit_test_teardown(after_a_failure_nothing_is_appended_however_small,
                                  no_faults),
        cmocka_unit_test_teardown(any_failing_allocation_leaves_a_prefix, no_faults),
        cmocka_unit_test(a_length_that_cannot_exist_is_refused),
        cmocka_unit_test(reset_keeps_small_memory_and_gives_large_memory_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
