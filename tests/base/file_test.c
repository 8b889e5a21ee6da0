#include "base/file.h"
#include "base/os.h"
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

struct fixture {
    char folder[TEST_PATH_MAX];
    char path[TEST_PATH_MAX + 8];
    struct buf out;
};

static struct fixture fixture;

static int setup(void **state)
{
    *state = &fixture;
    test_folder_create(fixture.folder);
    snprintf(fixture.path, sizeof(fixture.path), "%s/file", fixture.folder);
    buf_init(&fixture.out);
    buf_append_string(&fixture.out, "before:");
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    os_fail_never();
    buf_fini(&f->out);
    test_folder_remove(f->folder);
    return 0;
}

static void write_file(const char *path, struct bytes bytes)
{
    int fd = os_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(os_write(fd, bytes.data, bytes.len), bytes.len);
    os_close(fd);
}

static void the_whole_file_is_appended(void **state)
{
    struct fixture *f = *state;
    write_file(f->path, B("a\0b\n"));
    assert_int_equal(file_read_all(f->path, 100, &f->out), MEMENTO_OK);
    assert_bytes_equal(buf_bytes(&f->out), B("before:a\0b\n"));
}

static void a_file_of_many_parts_is_read_to_its_end(void **state)
{
    struct fixture *f = *state;
    static char large[100000];
    for (size_t i = 0; i < sizeof(large); i++) {
        large[i] = (char)(i % 253);
    }
    write_file(f->path, bytes_of(large, sizeof(large)));
    buf_reset(&f->out, 0);
    assert_int_equal(file_read_all(f->path, sizeof(large), &f->out), MEMENTO_OK);
    assert_bytes_equal(buf_bytes(&f->out), bytes_of(large, sizeof(large)));
}

static void the_limit_is_for_all_parts_together(void **state)
{
    struct fixture *f = *state;
    static char large[40000];
    write_file(f->path, bytes_of(large, sizeof(large)));
    enum memento_status status = file_read_all(f->path, sizeof(large) - 1, &f->out);
    assert_int_equal(status, MEMENTO_ERR_TOO_LARGE);
    assert_bytes_equal(buf_bytes(&f->out), B("before:"));
}

static void a_file_over_the_limit_is_refused_by_one_byte(void **state)
{
    struct fixture *f = *state;
    write_file(f->path, B("abc"));
    assert_int_equal(file_read_all(f->path, 2, &f->out), MEMENTO_ERR_TOO_LARGE);
    assert_bytes_equal(buf_bytes(&f->out), B("before:"));
    assert_int_equal(file_read_all(f->path, 3, &f->out), MEMENTO_OK);
    write_file(f->path, B(""));
    assert_int_equal(file_read_all(f->path, 0, &f->out), MEMENTO_OK);
}

static void what_cannot_be_read_tells_why(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(file_read_all(f->path, 100, &f->out), MEMENTO_ERR_IO);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(file_read_all(f->folder, 100, &f->out), MEMENTO_ERR_IO);
    assert_int_equal(errno, EISDIR);
}

static void a_failure_half_way_gives_nothing(void **state)
{
    struct fixture *f = *state;
    static char large[40000];
    write_file(f->path, bytes_of(large, sizeof(large)));
    os_fail_at(OS_READ, 2, EIO, false);
    assert_int_equal(file_read_all(f->path, sizeof(large), &f->out), MEMENTO_ERR_IO);
    assert_int_equal(errno, EIO);
    assert_bytes_equal(buf_bytes(&f->out), B("before:"));
    buf_fini(&f->out); /* or it would not have to grow any more */
    buf_append_string(&f->out, "before:");
    os_fail_at(OS_MEMORY, 2, ENOMEM, false);
    assert_int_equal(file_read_all(f->path, sizeof(large), &f->out),
                     MEMENTO_ERR_NO_MEMORY);
    assert_bytes_equal(buf_bytes(&f->out), B("before:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_whole_file_is_appended, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_of_many_parts_is_read_to_its_end, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_limit_is_for_all_parts_together, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_file_over_the_limit_is_refused_by_one_byte,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_tells_why, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failure_half_way_gives_nothing, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
