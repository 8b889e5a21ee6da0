#include "base/os_file.h"
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char path[TEST_PATH_MAX];
    int dir;
};

static struct fixture fixture;

static int open_folder(void **state)
{
    test_folder_create(fixture.path);
    fixture.dir = os_dir_open(fixture.path);
    *state = &fixture;
    return fixture.dir < 0;
}

static int remove_folder(void **state)
{
    (void)state;
    assert_int_equal(os_file_close(fixture.dir), 0);
    test_folder_remove(fixture.path);
    return 0;
}

static int make_file(const char *name)
{
    int fd = os_file_open(fixture.dir, name, O_RDWR | O_CREAT | O_EXCL);
    assert_true(fd >= 0);
    return fd;
}

static mode_t mode_of(int dir, const char *name)
{
    struct stat info;
    assert_int_equal(fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW), 0);
    return info.st_mode & 07777;
}

/* Neither a careless umask nor one that hides files from ourselves changes what we make. */
static void what_is_made_is_ours_alone_whatever_the_umask(void **state)
{
    struct fixture *f = *state;
    const mode_t masks[] = {0, 022, 077, 0777};
    for (size_t i = 0; i < ARRAY_LEN(masks); i++) {
        mode_t before = umask(masks[i]);
        int fd = make_file("file");
        assert_int_equal(os_dir_make_at(f->dir, "sub"), 0);
        umask(before);
        assert_int_equal(mode_of(f->dir, "file"), 0600);
        assert_int_equal(mode_of(f->dir, "sub"), 0700);
        os_file_close(fd);
        assert_int_equal(os_file_remove(f->dir, "file"), 0);
        assert_int_equal(os_dir_remove(f->dir, "sub"), 0);
    }
}

static void a_file_that_was_opened_to_others_is_closed_to_them_again(void **state)
{
    struct fixture *f = *state;
    os_file_close(make_file("LOCK"));
    assert_int_equal(fchmodat(f->dir, "LOCK", 0666, 0), 0);
    os_file_close(os_file_open(f->dir, "LOCK", O_RDWR | O_CREAT));
    assert_int_equal(mode_of(f->dir, "LOCK"), 0600);
    assert_int_equal(os_file_remove(f->dir, "LOCK"), 0);
}

static void symbolic_links_are_not_followed(void **state)
{
    struct fixture *f = *state;
    os_file_close(make_file("real"));
    assert_int_equal(os_dir_make_at(f->dir, "sub"), 0);
    assert_int_equal(symlinkat("real", f->dir, "link"), 0);
    assert_int_equal(symlinkat("sub", f->dir, "link-to-sub"), 0);
    assert_int_equal(os_file_open(f->dir, "link", O_RDONLY), -1);
    assert_int_equal(errno, ELOOP);
    assert_int_equal(os_file_open(f->dir, "link", O_RDWR | O_CREAT), -1);
    assert_int_equal(os_dir_open_at(f->dir, "link-to-sub"), -1);
    assert_true(os_file_exists(f->dir, "link")); /* something is in the way */
    assert_int_equal(os_file_remove(f->dir, "link"), 0);
    assert_int_equal(os_file_remove(f->dir, "link-to-sub"), 0);
    assert_true(os_file_exists(f->dir, "real"));
    assert_int_equal(os_file_remove(f->dir, "real"), 0);
    assert_int_equal(os_dir_remove(f->dir, "sub"), 0);
}

static void no_descriptor_survives_an_exec(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(os_dir_make_at(f->dir, "sub"), 0);
    int fds[] = {f->dir, make_file("file"), os_dir_open_at(f->dir, "sub")};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
    }
    os_file_close(fds[1]);
    os_file_close(fds[2]);
    assert_int_equal(os_file_remove(f->dir, "file"), 0);
    assert_int_equal(os_dir_remove(f->dir, "sub"), 0);
}

static void a_path_is_made_with_its_parents_and_may_be_there_already(void **state)
{
    struct fixture *f = *state;
    char path[TEST_PATH_MAX + 16];
    snprintf(path, sizeof(path), "%s/a//b/c/", f->path);
    assert_int_equal(os_dir_make(path), 0);
    assert_int_equal(os_dir_make(path), 0);
    assert_int_equal(mode_of(f->dir, "a"), 0700);
    assert_int_equal(mode_of(f->dir, "a/b/c"), 0700);
    assert_int_equal(unlinkat(f->dir, "a/b/c", AT_REMOVEDIR), 0);
    assert_int_equal(unlinkat(f->dir, "a/b", AT_REMOVEDIR), 0);
    assert_int_equal(os_dir_remove(f->dir, "a"), 0);

    os_file_close(make_file("file"));
    snprintf(path, sizeof(path), "%s/file", f->path);
    assert_int_equal(os_dir_make(path), -1);
    assert_int_equal(errno, ENOTDIR);
    snprintf(path, sizeof(path), "%s/file/sub", f->path);
    assert_int_equal(os_dir_make(path), -1);
    assert_int_equal(errno, ENOTDIR);
    assert_int_equal(os_dir_make(""), -1);
    assert_int_equal(os_file_remove(f->dir, "file"), 0);

    char here[PATH_MAX];
    assert_non_null(getcwd(here, sizeof(here)));
    assert_int_equal(fchdir(f->dir), 0);
    assert_int_equal(os_dir_make("relative"), 0);
    assert_int_equal(chdir(here), 0);
    assert_int_equal(os_dir_remove(f->dir, "relative"), 0);
}

static void count_name(void *context, const char *name)
{
    unsigned *seen = context;
    *seen |= strcmp(name, "one") == 0 ? 1 : strcmp(name, "two") == 0 ? 2 : 4;
}

static void a_listing_begins_anew_each_time(void **state)
{
    struct fixture *f = *state;
    os_file_close(make_file("one"));
    for (int i = 0; i < 2; i++) {
        unsigned seen = 0;
        assert_true(os_dir_list(f->dir, count_name, &seen));
        assert_int_equal(seen, i == 0 ? 1 : 3);
        if (i == 0) {
            os_file_close(make_file("two"));
        }
    }
    assert_int_equal(os_file_remove(f->dir, "one"), 0);
    assert_int_equal(os_file_remove(f->dir, "two"), 0);
    unsigned seen = 0;
    assert_false(os_dir_list(-1, count_name, &seen));
    assert_int_equal(errno, EBADF);
}

static void bytes_are_found_where_they_were_written(void **state)
{
    struct fixture *f = *state;
    int fd = make_file("file");
    struct iovec parts[] = {{(char *)"", 0}, {(char *)"abc", 3}, {(char *)"defg", 4}};
    assert_int_equal(os_file_write(fd, parts, 3, 5), 7);
    char read[16];
    assert_int_equal(os_file_read(fd, read, sizeof(read), 4), 8);
    assert_memory_equal(read, "\0abcdefg", 8);
    uint64_t bytes = 0;
    assert_true(os_file_size(fd, &bytes));
    assert_int_equal(bytes, 12);
    assert_int_equal(os_file_truncate(fd, 6), 0);
    assert_true(os_file_size(fd, &bytes));
    assert_int_equal(bytes, 6);
    assert_int_equal(os_file_read_all(fd, read, sizeof(read), 0), 6);
    assert_int_equal(os_file_read_all(fd, read, sizeof(read), 6), 0);
    assert_int_equal(os_file_sync_data(fd), 0);
    assert_int_equal(os_file_sync(fd), 0);
    assert_int_equal(os_dir_sync(f->dir), 0);
    os_file_drop_cache(fd);
    assert_int_equal(os_file_close(fd), 0);
    assert_int_equal(os_file_remove(f->dir, "file"), 0);
}

/* More parts than the kernel takes at once, empty ones in front, between and behind. */
static void write_all_writes_all_parts(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 3 * IOV_MAX + 5 };
    struct iovec *parts = calloc(COUNT, sizeof(*parts));
    char *expected = malloc(COUNT), *read = malloc(COUNT + 1);
    size_t len = 0;
    for (int i = 0; i < COUNT; i++) {
        expected[len] = (char)('a' + i % 26);
        bool is_empty = i % 3 == 0;
        parts[i] = (struct iovec){is_empty ? NULL : expected + len, is_empty ? 0 : 1};
        len += is_empty ? 0 : 1;
    }
    int fd = make_file("file");
    assert_true(os_file_write_all(fd, parts, COUNT, 3));
    assert_int_equal(os_file_read_all(fd, read, COUNT + 1, 3), len);
    assert_memory_equal(read, expected, len);
    assert_true(os_file_write_all(fd, parts, 0, 0));
    os_file_close(fd);
    assert_int_equal(os_file_remove(f->dir, "file"), 0);
    free(parts);
    free(expected);
    free(read);
}

static void a_failure_is_told_with_its_errno(void **state)
{
    struct fixture *f = *state;
    char byte = 'x';
    struct iovec part = {&byte, 1};
    uint64_t bytes;
    assert_false(os_file_write_all(-1, &part, 1, 0));
    assert_int_equal(errno, EBADF);
    assert_int_equal(os_file_read_all(-1, &byte, 1, 0), -1);
    assert_int_equal(errno, EBADF);
    assert_false(os_file_size(-1, &bytes));
    assert_int_equal(os_file_sync_data(-1), -1);
    assert_int_equal(os_file_open(f->dir, "absent", O_RDONLY), -1);
    assert_int_equal(errno, ENOENT);
    assert_false(os_file_exists(f->dir, "absent"));
    assert_int_equal(os_file_remove(f->dir, "absent"), -1);
    assert_int_equal(os_file_rename(f->dir, "absent", "other"), -1);
    os_file_close(make_file("file"));
    assert_int_equal(os_file_open(f->dir, "file", O_RDWR | O_CREAT | O_EXCL), -1);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(os_dir_open_at(f->dir, "file"), -1);
    assert_int_equal(os_file_remove(f->dir, "file"), 0);
}

static void names_move_and_links_share_the_bytes(void **state)
{
    struct fixture *f = *state;
    int fd = make_file("file");
    struct iovec part = {(char *)"abc", 3};
    assert_true(os_file_write_all(fd, &part, 1, 0));
    os_file_close(fd);
    assert_int_equal(os_dir_make_at(f->dir, "sub.tmp"), 0);
    int sub = os_dir_open_at(f->dir, "sub.tmp");
    assert_int_equal(os_file_link(f->dir, "file", sub, "linked"), 0);
    assert_int_equal(os_file_link(f->dir, "file", sub, "linked"), -1);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(os_dir_rename(f->dir, "sub.tmp", "sub"), 0);
    os_file_close(make_file("old"));
    assert_int_equal(os_file_rename(f->dir, "file", "old"), 0);
    assert_false(os_file_exists(f->dir, "file"));
    assert_int_equal(os_file_remove(f->dir, "old"), 0);
    fd = os_file_open(sub, "linked", O_RDONLY);
    char read[4];
    assert_int_equal(os_file_read_all(fd, read, sizeof(read), 0), 3);
    os_file_close(fd);
    assert_int_equal(os_dir_remove(f->dir, "sub"), -1);
    assert_int_equal(os_file_remove(sub, "linked"), 0);
    os_file_close(sub);
    assert_int_equal(os_dir_remove(f->dir, "sub"), 0);
}

static void a_lock_holds_until_its_descriptor_is_closed(void **state)
{
    struct fixture *f = *state;
    int one = make_file("LOCK");
    int two = os_file_open(f->dir, "LOCK", O_RDWR);
    assert_int_equal(os_file_lock(one), 0);
    assert_int_equal(os_file_lock(one), 0);
    assert_int_equal(os_file_lock(two), -1);
    assert_int_equal(errno, EWOULDBLOCK);
    os_file_close(one);
    assert_int_equal(os_file_lock(two), 0);
    os_file_close(two);
    assert_int_equal(os_file_remove(f->dir, "LOCK"), 0);
}

static void a_volume_tells_its_room(void **state)
{
    struct fixture *f = *state;
    struct os_volume volume = {0};
    assert_true(os_volume_of(f->dir, &volume));
    assert_true(volume.free_bytes > 0);
    assert_false(os_volume_of(-1, &volume));
    assert_int_equal(errno, EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_made_is_ours_alone_whatever_the_umask),
        cmocka_unit_test(a_file_that_was_opened_to_others_is_closed_to_them_again),
        cmocka_unit_test(symbolic_links_are_not_followed),
        cmocka_unit_test(no_descriptor_survives_an_exec),
        cmocka_unit_test(a_path_is_made_with_its_parents_and_may_be_there_already),
        cmocka_unit_test(a_listing_begins_anew_each_time),
        cmocka_unit_test(bytes_are_found_where_they_were_written),
        cmocka_unit_test(write_all_writes_all_parts),
        cmocka_unit_test(a_failure_is_told_with_its_errno),
        cmocka_unit_test(names_move_and_links_share_the_bytes),
        cmocka_unit_test(a_lock_holds_until_its_descriptor_is_closed),
        cmocka_unit_test(a_volume_tells_its_room),
    };
    return cmocka_run_group_tests(tests, open_folder, remove_folder);
}
