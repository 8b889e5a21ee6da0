#include "base/clock.h"
#include "base/file.h"
#include "base/os.h"
#include "base/thread.h"
#include "base/trace.h"
#include "support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

struct fixture {
    char folder[TEST_PATH_MAX];
    char path[TEST_PATH_MAX + 8];
    char moved[TEST_PATH_MAX + 8];
    struct buf lines;
};

static struct fixture fixture;

static int setup(void **state)
{
    *state = &fixture;
    test_folder_create(fixture.folder);
    snprintf(fixture.path, sizeof(fixture.path), "%s/trace", fixture.folder);
    snprintf(fixture.moved, sizeof(fixture.moved), "%s/moved", fixture.folder);
    buf_init(&fixture.lines);
    setenv("TZ", "UTC", 1);
    tzset();
    clock_freeze_ms(1769817601999); /* 2026-01-31 00:00:01.999 */
    trace_set_level(TRACE_INFO);
    assert_int_equal(trace_open(fixture.path), MEMENTO_OK);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    os_fail_never();
    assert_int_equal(trace_open(NULL), MEMENTO_OK);
    clock_freeze_ms(-1);
    buf_fini(&f->lines);
    test_folder_remove(f->folder);
    return 0;
}

static struct bytes lines_of(struct fixture *f, const char *path)
{
    buf_reset(&f->lines, SIZE_MAX);
    assert_int_equal(file_read_all(path, SIZE_MAX, &f->lines), MEMENTO_OK);
    return buf_bytes(&f->lines);
}

#define PREFIX "[INF][2026-01-31 00-00-01] - "

static void a_line_has_its_level_and_the_local_time(void **state)
{
    struct fixture *f = *state;
    trace_set_level(TRACE_DEBUG);
    trace_debug("one %d", 1);
    trace_info("two");
    trace_warning("three");
    setenv("TZ", "XYZ-5:30", 1);
    tzset();
    trace_error("%s", "four");
    assert_bytes_equal(lines_of(f, f->path),
                       B("[DBG][2026-01-31 00-00-01] - one 1\n" PREFIX "two\n"
                         "[WRN][2026-01-31 00-00-01] - three\n"
                         "[ERR][2026-01-31 05-30-01] - four\n"));
}

static void lines_below_the_level_are_dropped(void **state)
{
    struct fixture *f = *state;
    trace_set_level(TRACE_WARNING);
    trace_debug("no");
    trace_info("no");
    trace_warning("yes");
    trace_set_level(TRACE_NOTHING);
    assert_int_equal(trace_level(), TRACE_NOTHING);
    trace_error("no");
    assert_bytes_equal(lines_of(f, f->path), B("[WRN][2026-01-31 00-00-01] - yes\n"));
}

static void nobody_can_forge_a_line_or_steer_a_terminal(void **state)
{
    struct fixture *f = *state;
    trace_info("%s", "a\n[ERR] b\r\t\x1b[31m\x7f\x01");
    assert_bytes_equal(lines_of(f, f->path),
                       B(PREFIX "a\\x0a[ERR] b\\x0d\\x09\\x1b[31m\\x7f\\x01\n"));
}

static void only_valid_utf8_passes(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text, *line;
    } rows[] = {
        {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80", /* 2, 3 and 4 bytes */
         "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xf4\x8f\xbf\xbf|\xed\x9f\xbf|\xe0\xa0\x80|\xf0\x90\x80\x80|\xc2\xa0",
         "\xf4\x8f\xbf\xbf|\xed\x9f\xbf|\xe0\xa0\x80|\xf0\x90\x80\x80|\xc2\xa0"},
        {"\xff\xfe\x80", "\\xff\\xfe\\x80"}, /* never a first byte */
        {"\xc3", "\\xc3"},                   /* cut off */
        {"\xe2\x82 x", "\\xe2\\x82 x"},
        {"\xc0\xaf\xc1\xbf", "\\xc0\\xaf\\xc1\\xbf"}, /* longer than needed */
        {"\xe0\x9f\xbf", "\\xe0\\x9f\\xbf"},
        {"\xf0\x8f\xbf\xbf", "\\xf0\\x8f\\xbf\\xbf"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},          /* a surrogate */
        {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* beyond U+10FFFF */
        {"\xc2\x9b"
         "31m",
         "\\xc2\\x9b31m"}, /* U+009B steers terminals */
    };
    struct buf expected;
    buf_init(&expected);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        trace_info("%s", rows[i].text);
        buf_appendf(&expected, PREFIX "%s\n", rows[i].line);
    }
    assert_bytes_equal(lines_of(f, f->path), buf_bytes(&expected));
    buf_fini(&expected);
}

static void a_long_line_is_cut_between_characters(void **state)
{
    struct fixture *f = *state;
    size_t room = TRACE_BYTES_MAX - (sizeof(PREFIX) - 1) - 1;
    char text[3000];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    trace_info("%s", text);
    assert_int_equal(lines_of(f, f->path).len, TRACE_BYTES_MAX);
    assert_int_equal(f->lines.data[TRACE_BYTES_MAX - 1], '\n');

    /* A character of two bytes and an escape of four do not fit into the last byte. */
    assert_int_equal(remove(f->path), 0);
    assert_int_equal(trace_reopen(), MEMENTO_OK);
    memcpy(text + room - 1, "\xc3\xbc", 2);
    trace_info("%s", text);
    memcpy(text + room - 1, "\n\n", 2);
    trace_info("%s", text);
    struct bytes lines = lines_of(f, f->path);
    assert_int_equal(lines.len, 2 * (TRACE_BYTES_MAX - 1));
    assert_bytes_equal(bytes_of(lines.data + TRACE_BYTES_MAX - 3, 2), B("x\n"));
    assert_bytes_equal(bytes_of(lines.data + lines.len - 2, 2), B("x\n"));
}

static void each_line_is_one_write(void **state)
{
    struct fixture *f = *state;
    os_fail_at(OS_WRITE, 2, ENOSPC, false);
    trace_info("one");
    errno = EBADMSG;
    trace_info("lost");
    assert_int_equal(errno, EBADMSG); /* what the caller had is still there */
    trace_info("three");
    assert_int_equal(os_calls(OS_WRITE), 3);
    assert_bytes_equal(lines_of(f, f->path), B(PREFIX "one\n" PREFIX "three\n"));
}

static void reopening_follows_the_path_after_the_file_was_moved(void **state)
{
    struct fixture *f = *state;
    trace_info("old");
    assert_int_equal(rename(f->path, f->moved), 0);
    trace_info("still old");
    assert_int_equal(trace_reopen(), MEMENTO_OK);
    trace_info("new");
    assert_bytes_equal(lines_of(f, f->moved), B(PREFIX "old\n" PREFIX "still old\n"));
    assert_bytes_equal(lines_of(f, f->path), B(PREFIX "new\n"));
    struct stat stat_now;
    assert_int_equal(stat(f->path, &stat_now), 0);
    assert_int_equal(stat_now.st_mode & 0777, 0600);
}

static void a_file_that_cannot_be_opened_leaves_the_old_one(void **state)
{
    struct fixture *f = *state;
    char wrong[TEST_PATH_MAX + 16];
    snprintf(wrong, sizeof(wrong), "%s/no/such", f->folder);
    assert_int_equal(trace_open(wrong), MEMENTO_ERR_IO);
    assert_int_equal(errno, ENOENT);
    os_fail_at(OS_OPEN, 1, EACCES, false);
    assert_int_equal(trace_reopen(), MEMENTO_ERR_IO);
    assert_int_equal(errno, EACCES);
    os_fail_at(OS_MEMORY, 1, ENOMEM, false);
    assert_int_equal(trace_open(f->path), MEMENTO_ERR_NO_MEMORY);
    trace_info("here");
    assert_bytes_equal(lines_of(f, f->path), B(PREFIX "here\n"));
}

static void write_lines(void *context)
{
    (void)context;
    for (int i = 0; i < 500; i++) {
        trace_info("the same line from everybody");
    }
}

static void lines_of_many_threads_do_not_mix_even_while_reopening(void **state)
{
    struct fixture *f = *state;
    struct thread threads[3];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(thread_start(&threads[i], "trace", write_lines, NULL),
                         MEMENTO_OK);
    }
    for (int i = 0; i < 50; i++) {
        assert_int_equal(trace_reopen(), MEMENTO_OK);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        thread_join(&threads[i]);
    }
    struct bytes line = B(PREFIX "the same line from everybody\n");
    struct bytes lines = lines_of(f, f->path);
    assert_int_equal(lines.len, 1500 * line.len);
    for (size_t at = 0; at < lines.len; at += line.len) {
        assert_bytes_equal(bytes_of(lines.data + at, line.len), line);
    }
}

static void levels_have_names_here_and_in_redis(void **state)
{
    (void)state;
    enum trace_level level;
    for (int i = TRACE_DEBUG; i <= TRACE_NOTHING; i++) {
        const char *name = trace_level_name((enum trace_level)i);
        assert_true(trace_parse_level(bytes_of_string(name), &level));
        assert_int_equal(level, i);
    }
    assert_true(trace_parse_level(B("NOTICE"), &level));
    assert_int_equal(level, TRACE_INFO);
    assert_true(trace_parse_level(B("verbose"), &level));
    assert_int_equal(level, TRACE_DEBUG);
    assert_false(trace_parse_level(B(""), &level));
    assert_false(trace_parse_level(B("infos"), &level));
}

int main(void)
{
#define TRACE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TRACE_TEST(a_line_has_its_level_and_the_local_time),
        TRACE_TEST(lines_below_the_level_are_dropped),
        TRACE_TEST(nobody_can_forge_a_line_or_steer_a_terminal),
        TRACE_TEST(only_valid_utf8_passes),
        TRACE_TEST(a_long_line_is_cut_between_characters),
        TRACE_TEST(each_line_is_one_write),
        TRACE_TEST(reopening_follows_the_path_after_the_file_was_moved),
        TRACE_TEST(a_file_that_cannot_be_opened_leaves_the_old_one),
        TRACE_TEST(lines_of_many_threads_do_not_mix_even_while_reopening),
        cmocka_unit_test(levels_have_names_here_and_in_redis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
