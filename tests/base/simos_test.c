#include "support/simos.h"
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static int start(void **state)
{
    (void)state;
    simos_start();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    simos_stop();
    return 0;
}

static int root(void)
{
    int dir = os_dir_open("/");
    assert_true(dir >= 0);
    return dir;
}

static int make(int dir, const char *name)
{
    int fd = os_file_open(dir, name, O_RDWR | O_CREAT | O_EXCL);
    assert_true(fd >= 0);
    return fd;
}

static void put(int fd, const char *text, uint64_t offset)
{
    struct iovec part = {(char *)text, strlen(text)};
    assert_true(os_file_write_all(fd, &part, 1, offset));
}

static void fill(int fd, char byte, size_t size, uint64_t offset)
{
    char bytes[8192];
    assert_true(size <= sizeof(bytes));
    memset(bytes, byte, size);
    struct iovec part = {bytes, size};
    assert_true(os_file_write_all(fd, &part, 1, offset));
}

/* The text of a file; "" when it is empty, "-" when it is not there. */
static const char *text_of(const char *name)
{
    static char text[8193];
    int dir = root(), fd = os_file_open(dir, name, O_RDONLY);
    strcpy(text, "-");
    if (fd >= 0) {
        ssize_t len = os_file_read_all(fd, text, sizeof(text) - 1, 0);
        assert_true(len >= 0);
        text[len] = '\0';
        os_file_close(fd);
    }
    os_file_close(dir);
    return text;
}

/* The one that takes the place of os_file.c, wherever base was built. */
static void the_program_has_the_simulated_disk(void **state)
{
    (void)state;
    assert_int_equal(os_dir_open("/tmp"), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(simos_calls(SIMOS_DIR_OPEN), 1);
}

static void files_are_as_files_are(void **state)
{
    (void)state;
    int dir = root(), fd = make(dir, "file");
    put(fd, "abc", 5000);
    char bytes[16];
    assert_int_equal(os_file_read(fd, bytes, 16, 4999), 4);
    assert_memory_equal(bytes, "\0abc", 4);
    uint64_t size;
    assert_true(os_file_size(fd, &size));
    assert_int_equal(size, 5003);
    assert_int_equal(os_file_truncate(fd, 2), 0);
    assert_int_equal(os_file_truncate(fd, 5003), 0);
    assert_int_equal(os_file_read(fd, bytes, 16, 4999), 4);
    assert_memory_equal(bytes, "\0\0\0\0", 4); /* what was cut off does not come back */
    assert_int_equal(os_file_open(dir, "file", O_RDWR | O_CREAT | O_EXCL), -1);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(os_file_open(dir, "absent", O_RDWR), -1);
    assert_int_equal(errno, ENOENT);
    int reader = os_file_open(dir, "file", O_RDONLY);
    struct iovec part = {bytes, 1};
    assert_int_equal(os_file_write(reader, &part, 1, 0), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(os_file_rename(dir, "file", "other"), 0);
    assert_false(os_file_exists(dir, "file"));
    assert_true(os_file_exists(dir, "other"));
    assert_int_equal(os_file_remove(dir, "other"), 0);
    assert_int_equal(os_file_read(fd, bytes, 16, 0), 16); /* open, so it lives on */
    assert_int_equal(simos_open_descriptors(), 3);
    os_file_close(reader);
    os_file_close(fd);
    os_file_close(dir);
    assert_check_fails(os_file_close(fd));
}

static void count_name(void *context, const char *name)
{
    (void)name;
    (*(int *)context)++;
}

static void directories_are_as_directories_are(void **state)
{
    (void)state;
    int dir = root(), names = 0;
    assert_int_equal(os_dir_make("/a/b"), 0);
    assert_int_equal(os_dir_make("/a/b"), 0);
    int a = os_dir_open("/a"), b = os_dir_open_at(a, "b");
    os_file_close(make(b, "one"));
    assert_int_equal(os_file_link(b, "one", a, "two"), 0);
    assert_int_equal(os_file_link(b, "one", a, "two"), -1);
    assert_int_equal(errno, EEXIST);
    assert_true(os_dir_list(a, count_name, &names));
    assert_int_equal(names, 2);
    assert_int_equal(os_dir_remove(a, "b"), -1);
    assert_int_equal(errno, ENOTEMPTY);
    assert_int_equal(os_dir_rename(a, "b", "c"), 0);
    assert_int_equal(os_file_remove(a, "c"), -1);
    assert_int_equal(errno, EISDIR);
    assert_int_equal(os_file_remove(b, "one"), 0);
    assert_int_equal(os_dir_remove(a, "c"), 0);
    assert_true(os_file_exists(a, "two"));
    os_file_close(a);
    os_file_close(b);
    os_file_close(dir);
}

static void what_was_not_synced_is_dropped_or_kept_as_the_test_wants(void **state)
{
    (void)state;
    for (int keep = 0; keep < 2; keep++) {
        simos_start();
        int dir = root(), fd = make(dir, "file");
        put(fd, "old", 0);
        assert_int_equal(os_file_sync_data(fd), 0);
        assert_int_equal(os_dir_sync(dir), 0);
        put(fd, "new+", 0);
        os_file_close(make(dir, "other"));
        simos_power_on(keep ? DISK_KEEPS_ALL : DISK_DROPS_ALL, 0);
        assert_string_equal(text_of("file"), keep ? "new+" : "old");
        assert_string_equal(text_of("other"), keep ? "" : "-");
    }
}

static void a_killed_process_loses_no_write(void **state)
{
    (void)state;
    put(make(root(), "file"), "abc", 0);
    simos_kill();
    assert_int_equal(simos_open_descriptors(), 0);
    assert_string_equal(text_of("file"), "abc");
    simos_power_on(DISK_DROPS_ALL, 0); /* but the disk has none of it */
    assert_string_equal(text_of("file"), "-");
}

/* The two are different promises. */
static void a_synced_file_has_no_name_until_its_directory_is_synced(void **state)
{
    (void)state;
    int dir = root(), fd = make(dir, "file");
    put(fd, "abc", 0);
    assert_int_equal(os_file_sync(fd), 0);
    simos_power_on(DISK_DROPS_ALL, 0);
    assert_string_equal(text_of("file"), "-");
    dir = root();
    put(make(dir, "file"), "abc", 0);
    assert_int_equal(os_dir_sync(dir), 0);
    simos_power_on(DISK_DROPS_ALL, 0);
    assert_string_equal(text_of("file"), "");
}

static void a_rename_is_lost_or_kept_but_never_half(void **state)
{
    (void)state;
    int lost = 0, kept = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        simos_start();
        int dir = root(), old = make(dir, "M"), new = make(dir, "M.tmp");
        put(old, "old", 0);
        assert_int_equal(os_file_sync(old), 0);
        put(new, "new", 0);
        assert_int_equal(os_file_sync(new), 0);
        assert_int_equal(os_dir_sync(dir), 0);
        assert_int_equal(os_file_rename(dir, "M.tmp", "M"), 0);
        simos_power_on(DISK_DROPS_SOME, seed);
        bool is_kept = strcmp(text_of("M"), "new") == 0;
        kept += is_kept;
        lost += strcmp(text_of("M"), "old") == 0;
        assert_string_equal(text_of("M.tmp"), is_kept ? "-" : "new");
    }
    assert_int_equal(lost + kept, 200);
    assert_true(lost > 20 && kept > 20);
}

static void changes_of_a_directory_survive_without_one_another(void **state)
{
    (void)state;
    bool seen[4] = {false};
    for (uint64_t seed = 0; seed < 200; seed++) {
        simos_start();
        int dir = root();
        os_file_close(make(dir, "one"));
        os_file_close(make(dir, "two"));
        simos_power_on(DISK_DROPS_SOME, seed);
        dir = root();
        seen[os_file_exists(dir, "one") + 2 * os_file_exists(dir, "two")] = true;
    }
    assert_true(seen[0] && seen[1] && seen[2] && seen[3]);
}

/* Each byte is one that was written there since the last sync, or the synced one; a sector has
 * at most one place where an earlier version begins. */
static void a_sector_is_some_version_or_torn_between_two(void **state)
{
    (void)state;
    unsigned torn = 0, mixed = 0, middle = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        simos_start();
        int dir = root(), fd = make(dir, "file");
        fill(fd, 'a', 2048, 0);
        assert_int_equal(os_file_sync_data(fd), 0);
        assert_int_equal(os_dir_sync(dir), 0);
        fill(fd, 'b', 2048, 0);
        fill(fd, 'c', 2048, 0);
        simos_power_on(DISK_DROPS_SOME, seed);
        const char *text = text_of("file");
        assert_int_equal(strlen(text), 2048);
        for (size_t at = 0; at < 2048; at += SECTOR_BYTES) {
            unsigned changes = 0;
            for (size_t i = at; i < at + SECTOR_BYTES; i++) {
                assert_true(text[i] >= 'a' && text[i] <= 'c');
                changes += i > at && text[i] != text[i - 1];
                assert_true(i == at || text[i] == text[i - 1] ||
                            text[i] == text[i - 1] - 1);
            }
            assert_true(changes <= 1);
            torn += changes;
            middle += text[at] == 'b';
            mixed += text[at] != text[0];
        }
    }
    assert_true(torn > 10 && mixed > 100 && middle > 50);
}

static void growth_may_be_lost_and_what_was_never_synced_may_be_anything(void **state)
{
    (void)state;
    unsigned short_ones = 0, whole = 0, zeros = 0, garbage = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        simos_start();
        int dir = root(), fd = make(dir, "file");
        put(fd, "synced", 0);
        assert_int_equal(os_file_sync_data(fd), 0);
        assert_int_equal(os_dir_sync(dir), 0);
        fill(fd, 'x', 1024, 6);
        simos_power_on(DISK_DROPS_SOME, seed);
        dir = root();
        fd = os_file_open(dir, "file", O_RDONLY);
        char bytes[2048];
        ssize_t len = os_file_read_all(fd, bytes, sizeof(bytes), 0);
        assert_true(len == 6 || len == 1030);
        assert_memory_equal(bytes, "synced", 6);
        short_ones += len == 6;
        whole += len == 1030 && bytes[6] == 'x' && bytes[1029] == 'x';
        zeros += len == 1030 && bytes[600] == 0 && bytes[601] == 0;
        garbage += len == 1030 && bytes[600] != 0 && bytes[600] != 'x';
    }
    assert_true(short_ones > 20 && whole > 20 && zeros > 10 && garbage > 2);
}

static void the_same_seed_gives_the_same_disk(void **state)
{
    (void)state;
    char first[8193];
    for (int round = 0; round < 2; round++) {
        simos_start();
        int dir = root(), fd = make(dir, "file");
        fill(fd, 'a', 8000, 0);
        assert_int_equal(os_file_sync_data(fd), 0);
        assert_int_equal(os_dir_sync(dir), 0);
        fill(fd, 'b', 8000, 0);
        simos_power_on(DISK_DROPS_SOME, 7);
        if (round == 0) {
            strcpy(first, text_of("file"));
        }
        assert_string_equal(text_of("file"), first);
    }
}

static void the_nth_call_of_a_kind_fails_once_or_for_ever(void **state)
{
    (void)state;
    int dir = root(), fd = make(dir, "file");
    struct iovec part = {(char *)"abcd", 4};
    simos_fail(&(struct simos_fault){.call = SIMOS_WRITE, .nth = 2, .error = EDQUOT});
    assert_int_equal(os_file_write(fd, &part, 1, 0), 4);
    assert_int_equal(os_file_write(fd, &part, 1, 4), -1);
    assert_int_equal(errno, EDQUOT);
    assert_int_equal(os_file_write(fd, &part, 1, 4), 4);
    assert_int_equal(simos_hits(), 1);
    simos_fail(&(struct simos_fault){
        .call = SIMOS_ANY, .nth = 2, .error = EMFILE, .is_forever = true});
    assert_int_equal(os_file_sync(fd), 0);
    assert_int_equal(os_file_sync(fd), -1);
    assert_int_equal(os_file_open(dir, "file", O_RDONLY), -1);
    assert_int_equal(errno, EMFILE);
    simos_heal();
    assert_string_equal(text_of("file"), "abcdabcd");
    assert_int_equal(simos_calls(SIMOS_WRITE), 3);
    assert_int_equal(simos_syncs_after_failure(), 0);
    assert_int_equal(os_file_sync(fd), 0);
    assert_int_equal(simos_syncs_after_failure(), 1);
}

static void writes_can_be_short_and_torn(void **state)
{
    (void)state;
    int dir = root(), fd = make(dir, "file");
    struct iovec part = {(char *)"abcdefgh", 8};
    simos_fail(&(struct simos_fault){
        .call = SIMOS_WRITE, .nth = 1, .effect = SIMOS_IS_SHORT, .is_forever = true});
    assert_int_equal(os_file_write(fd, &part, 1, 0), 4);
    struct iovec again = part;
    assert_true(os_file_write_all(fd, &again, 1, 0));
    assert_string_equal(text_of("file"), "abcdefgh");
    simos_heal();
    simos_fail(&(struct simos_fault){
        .call = SIMOS_WRITE, .nth = 1, .error = EIO, .effect = SIMOS_TEARS});
    assert_int_equal(os_file_write(fd, &part, 1, 8), -1);
    assert_int_equal(errno, EIO);
    assert_string_equal(text_of("file"), "abcdefghabcd");
    simos_fail(&(struct simos_fault){
        .call = SIMOS_READ, .nth = 1, .effect = SIMOS_IS_SHORT, .is_forever = true});
    char bytes[16];
    assert_int_equal(os_file_read(fd, bytes, 16, 0), 8);
    assert_string_equal(text_of("file"), "abcdefghabcd");
}

/* What ext4, XFS and Btrfs do: the sync after the one that failed knows nothing of it. */
static void pages_lost_by_a_failed_sync_stay_lost(void **state)
{
    (void)state;
    int dir = root(), fd = make(dir, "file");
    put(fd, "aaaa", 0);
    assert_int_equal(os_file_sync_data(fd), 0);
    assert_int_equal(os_dir_sync(dir), 0);
    put(fd, "bb", 0);
    simos_fail(&(struct simos_fault){
        .call = SIMOS_SYNC_DATA, .nth = 1, .error = EIO, .effect = SIMOS_LOSES_PAGES});
    assert_int_equal(os_file_sync_data(fd), -1);
    put(fd, "cc", 2);
    assert_int_equal(os_file_sync_data(fd), 0);
    assert_string_equal(text_of("file"), "bbcc"); /* in the cache */
    struct disk *disk = simos_disk();
    os_file_drop_cache(fd);
    assert_string_equal(text_of("file"), "aacc");
    simos_boot(disk);
    disk_destroy(disk);
    simos_power_on(DISK_KEEPS_ALL, 0);
    assert_string_equal(text_of("file"), "aacc");
}

static void dropping_the_cache_keeps_what_waits_to_be_written(void **state)
{
    (void)state;
    int fd = make(root(), "file");
    put(fd, "abc", 0);
    os_file_drop_cache(fd);
    assert_string_equal(text_of("file"), "abc");
}

static void without_power_nothing_changes_any_more(void **state)
{
    (void)state;
    int dir = root(), fd = make(dir, "file");
    simos_cut_power_at(2);
    put(fd, "abc", 0);
    assert_true(simos_is_powered());
    struct iovec part = {(char *)"d", 1};
    assert_int_equal(os_file_write(fd, &part, 1, 3), -1);
    assert_int_equal(errno, EIO);
    assert_false(simos_is_powered());
    assert_int_equal(os_file_sync(fd), -1);
    assert_int_equal(os_file_remove(dir, "file"), -1);
    assert_int_equal(os_file_close(fd), -1);
    simos_power_on(DISK_KEEPS_ALL, 0);
    assert_string_equal(text_of("file"), "abc");
}

static void a_full_disk_takes_what_fits(void **state)
{
    (void)state;
    int dir = root(), fd = make(dir, "file");
    simos_limit(8192);
    fill(fd, 'a', 4000, 0);
    char bytes[8192] = {0};
    struct iovec part = {bytes, sizeof(bytes)};
    struct os_volume volume;
    assert_true(os_volume_of(fd, &volume));
    assert_int_equal(volume.free_bytes, 4096);
    assert_int_equal(os_file_write(fd, &part, 1, 4000), 4192);
    assert_int_equal(os_file_write(fd, &part, 1, 8192), -1);
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(os_file_write(fd, &part, 1, 0), 8192); /* needs no new block */
    assert_int_equal(os_file_truncate(fd, 8193), -1);
    assert_int_equal(os_file_remove(dir, "file"), 0);
    fill(make(dir, "other"), 'b', 8192, 0);
}

static void a_lock_ends_with_its_descriptor(void **state)
{
    (void)state;
    int dir = root(), one = make(dir, "LOCK"), two = os_file_open(dir, "LOCK", O_RDWR);
    assert_int_equal(os_file_lock(one), 0);
    assert_int_equal(os_file_lock(one), 0);
    assert_int_equal(os_file_lock(two), -1);
    assert_int_equal(errno, EWOULDBLOCK);
    os_file_close(one);
    assert_int_equal(os_file_lock(two), 0);
    assert_int_equal(os_dir_sync(dir), 0);
    simos_kill();
    dir = root();
    assert_int_equal(os_file_lock(os_file_open(dir, "LOCK", O_RDWR)), 0);
}

static void a_recording_has_every_moment(void **state)
{
    (void)state;
    int dir = root();
    simos_record();
    int fd = make(dir, "file");
    put(fd, "abc", 0);
    assert_int_equal(os_file_sync(fd), 0);
    assert_int_equal(os_dir_sync(dir), 0);
    assert_string_equal(text_of("file"), "abc"); /* six calls that change nothing */
    assert_int_equal(simos_record_end(), 11);
    assert_ptr_equal(simos_moment(4), simos_moment(10));
    const char *expected[] = {"-", "-", "-", "-", "abc"};
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        simos_boot(simos_moment(i));
        simos_power_on(DISK_DROPS_ALL, 0);
        assert_string_equal(text_of("file"), expected[i]);
        simos_boot(simos_moment(i));
        simos_power_on(DISK_KEEPS_ALL, 0);
        assert_string_equal(text_of("file"), i == 0 ? "-" : i == 1 ? "" : "abc");
    }
}

struct watch {
    int fd, syncs, done;
};

static void write_during_sync(void *context, enum simos_call call, bool is_done)
{
    struct watch *watch = context;
    watch->syncs += call == SIMOS_SYNC_DATA && !is_done;
    if (is_done && watch->done++ == 0) {
        put(watch->fd, "late", 5);
    }
}

/* What others do while a sync runs, it need not have written. */
static void a_hook_acts_while_a_call_runs(void **state)
{
    (void)state;
    int dir = root(), fd = make(dir, "file");
    assert_int_equal(os_dir_sync(dir), 0);
    put(fd, "early", 0);
    struct watch watch = {.fd = fd};
    simos_hook(write_during_sync, &watch);
    assert_int_equal(os_file_sync_data(fd), 0);
    assert_int_equal(watch.syncs, 1);
    assert_int_equal(watch.done, 1);
    assert_string_equal(text_of("file"), "earlylate");
    simos_power_on(DISK_DROPS_ALL, 0);
    assert_string_equal(text_of("file"), "early");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_program_has_the_simulated_disk),
        TEST(files_are_as_files_are),
        TEST(directories_are_as_directories_are),
        TEST(what_was_not_synced_is_dropped_or_kept_as_the_test_wants),
        TEST(a_killed_process_loses_no_write),
        TEST(a_synced_file_has_no_name_until_its_directory_is_synced),
        TEST(a_rename_is_lost_or_kept_but_never_half),
        TEST(changes_of_a_directory_survive_without_one_another),
        TEST(a_sector_is_some_version_or_torn_between_two),
        TEST(growth_may_be_lost_and_what_was_never_synced_may_be_anything),
        TEST(the_same_seed_gives_the_same_disk),
        TEST(the_nth_call_of_a_kind_fails_once_or_for_ever),
        TEST(writes_can_be_short_and_torn),
        TEST(pages_lost_by_a_failed_sync_stay_lost),
        TEST(dropping_the_cache_keeps_what_waits_to_be_written),
        TEST(without_power_nothing_changes_any_more),
        TEST(a_full_disk_takes_what_fits),
        TEST(a_lock_ends_with_its_descriptor),
        TEST(a_recording_has_every_moment),
        TEST(a_hook_acts_while_a_call_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
