/* The library through its public header only: what memento.h promises. */
#include <memento/memento.h>

#include "base/os.h"
#include "support/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char folder[TEST_PATH_MAX];
    char data[TEST_PATH_MAX + 8];
    struct memento *handle;
};

static struct memento *open_as(const struct fixture *f, enum memento_sync_policy policy)
{
    struct memento_options options = {
        .size = sizeof(options), .sync_policy = policy, .segment_bytes = 1024 * 1024};
    struct memento *handle;
    char why[256];
    if (memento_open(f->data, &options, &handle, why, sizeof(why)) != MEMENTO_OK) {
        fail_msg("%s", why);
    }
    return handle;
}

static int open_fresh(void **state)
{
    static struct fixture fixture;
    struct fixture *f = &fixture;
    test_folder_create(f->folder);
    snprintf(f->data, sizeof(f->data), "%s/data", f->folder);
    f->handle = open_as(f, MEMENTO_SYNC_EVERY_SECOND);
    *state = f;
    return 0;
}

static int remove_all(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(memento_close(f->handle), MEMENTO_OK);
    char command[2 * TEST_PATH_MAX];
    snprintf(command, sizeof(command), "rm -rf '%s'", f->folder);
    return system(command);
}

static void reopen(struct fixture *f)
{
    assert_int_equal(memento_close(f->handle), MEMENTO_OK);
    f->handle = open_as(f, MEMENTO_SYNC_EVERY_SECOND);
}

#define KEY(text) (text), sizeof(text) - 1

static void put(struct fixture *f, const char *key, const char *value)
{
    assert_int_equal(memento_set(f->handle, key, strlen(key), value, strlen(value)),
                     MEMENTO_OK);
}

static void assert_value(struct fixture *f, const char *key, const char *expected)
{
    struct memento_value value;
    assert_int_equal(memento_get(f->handle, key, strlen(key), &value), MEMENTO_OK);
    assert_bytes_equal(bytes_of(value.data, value.size), bytes_of_string(expected));
    memento_value_free(&value);
}

static void assert_absent(struct fixture *f, const char *key)
{
    assert_int_equal(memento_exists(f->handle, key, strlen(key)), MEMENTO_NOT_FOUND);
}

/* ---- opening ---- */

static void what_was_set_is_there_after_reopening(void **state)
{
    struct fixture *f = *state;
    put(f, "a", "1");
    put(f, "b", "2");
    assert_int_equal(memento_delete(f->handle, KEY("a")), MEMENTO_OK);
    reopen(f);
    assert_absent(f, "a");
    assert_value(f, "b", "2");
    assert_int_equal(memento_count(f->handle), 1);
}

static void a_second_opener_is_told_that_it_is_busy(void **state)
{
    struct fixture *f = *state;
    struct memento *second = (struct memento *)f;
    char why[256] = "";
    assert_int_equal(memento_open(f->data, NULL, &second, why, sizeof(why)),
                     MEMENTO_ERR_BUSY);
    assert_null(second);
    assert_non_null(strstr(why, f->data));
    put(f, "still", "mine");
}

static void an_absent_directory_that_must_exist_is_not_made(void **state)
{
    struct fixture *f = *state;
    char path[2 * TEST_PATH_MAX];
    snprintf(path, sizeof(path), "%s/elsewhere", f->folder);
    struct memento_options options = {.size = sizeof(options), .must_exist = true};
    struct memento *handle;
    char why[64];
    assert_int_equal(memento_open(path, &options, &handle, why, sizeof(why)),
                     MEMENTO_NOT_FOUND);
    assert_string_equal(why, memento_status_text(MEMENTO_NOT_FOUND));
    assert_int_equal(access(path, F_OK), -1);
}

static void a_path_that_cannot_be_a_directory_is_an_io_error(void **state)
{
    struct fixture *f = *state;
    char path[2 * TEST_PATH_MAX];
    snprintf(path, sizeof(path), "%s/MANIFEST/below", f->data);
    struct memento *handle;
    char why[256];
    assert_int_equal(memento_open(path, NULL, &handle, why, sizeof(why)), MEMENTO_ERR_IO);
    assert_true(strlen(why) > 0);
}

static void options_out_of_range_are_invalid(void **state)
{
    (void)state;
    struct memento *handle;
    struct memento_options options = {.size = 0};
    assert_int_equal(memento_open(NULL, &options, &handle, NULL, 0), MEMENTO_ERR_INVALID);
    options = (struct memento_options){.size = sizeof(options),
                                       .sync_policy = (enum memento_sync_policy)9};
    assert_int_equal(memento_open(NULL, &options, &handle, NULL, 0), MEMENTO_ERR_INVALID);
    options = (struct memento_options){.size = sizeof(options), .segment_bytes = 1};
    assert_int_equal(memento_open(NULL, &options, &handle, NULL, 0), MEMENTO_ERR_INVALID);
}

/* A program that was compiled with the header of another release. */
static void a_newer_programs_unknown_wishes_are_refused(void **state)
{
    (void)state;
    struct {
        struct memento_options options;
        uint64_t unknown;
    } newer = {.options = {.size = sizeof(newer)}};
    struct memento *handle;
    assert_int_equal(memento_open(NULL, &newer.options, &handle, NULL, 0), MEMENTO_OK);
    assert_int_equal(memento_close(handle), MEMENTO_OK);
    newer.unknown = 1;
    assert_int_equal(memento_open(NULL, &newer.options, &handle, NULL, 0),
                     MEMENTO_ERR_INVALID);
}

static void overwrite(const char *path, long offset, const char *bytes, size_t len)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void a_damaged_manifest_is_corrupt_and_left_alone(void **state)
{
    struct fixture *f = *state;
    put(f, "a", "1");
    assert_int_equal(memento_close(f->handle), MEMENTO_OK);
    f->handle = NULL;
    char path[2 * TEST_PATH_MAX];
    snprintf(path, sizeof(path), "%s/MANIFEST", f->data);
    overwrite(path, 20, "?", 1);
    char why[512];
    struct memento *handle;
    assert_int_equal(memento_open(f->data, NULL, &handle, why, sizeof(why)),
                     MEMENTO_ERR_CORRUPT);
    assert_non_null(strstr(why, "MANIFEST"));
}

static void why_is_cut_to_what_there_is_room_for(void **state)
{
    struct fixture *f = *state;
    struct memento *second;
    char why[8] = "xxxxxxx";
    assert_int_equal(memento_open(f->data, NULL, &second, why, 5), MEMENTO_ERR_BUSY);
    assert_int_equal(strlen(why), 4);
    assert_int_equal(why[5], 'x');
}

/* ---- keys ---- */

static void conditions_decide_whether_a_value_is_set(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(memento_set_if(f->handle, MEMENTO_IF_PRESENT, KEY("k"), KEY("1"), 0),
                     MEMENTO_NOT_FOUND);
    assert_absent(f, "k");
    assert_int_equal(memento_set_if(f->handle, MEMENTO_IF_ABSENT, KEY("k"), KEY("2"), 0),
                     MEMENTO_OK);
    assert_int_equal(memento_set_if(f->handle, MEMENTO_IF_ABSENT, KEY("k"), KEY("3"), 0),
                     MEMENTO_EXISTS);
    assert_value(f, "k", "2");
    assert_int_equal(memento_set_if(f->handle, MEMENTO_IF_PRESENT, KEY("k"), KEY("4"), 0),
                     MEMENTO_OK);
    assert_value(f, "k", "4");
    assert_int_equal(
        memento_set_if(f->handle, (enum memento_condition)7, KEY("k"), KEY("5"), 0),
        MEMENTO_ERR_INVALID);
}

static void a_time_to_live_is_kept_changed_and_taken_away(void **state)
{
    struct fixture *f = *state;
    int64_t ttl_ms;
    assert_int_equal(memento_ttl(f->handle, KEY("k"), &ttl_ms), MEMENTO_NOT_FOUND);
    assert_int_equal(
        memento_set_if(f->handle, MEMENTO_IF_ANY, KEY("k"), KEY("1"), 3600000),
        MEMENTO_OK);
    assert_int_equal(memento_ttl(f->handle, KEY("k"), &ttl_ms), MEMENTO_OK);
    assert_in_range(ttl_ms, 1, 3600000);
    assert_int_equal(
        memento_set_if(f->handle, MEMENTO_IF_ANY, KEY("k"), KEY("2"), MEMENTO_KEEP_TTL),
        MEMENTO_OK);
    assert_int_equal(memento_ttl(f->handle, KEY("k"), &ttl_ms), MEMENTO_OK);
    assert_true(ttl_ms > 0);
    assert_int_equal(memento_expire(f->handle, KEY("k"), MEMENTO_FOREVER), MEMENTO_OK);
    assert_int_equal(memento_ttl(f->handle, KEY("k"), &ttl_ms), MEMENTO_OK);
    assert_int_equal(ttl_ms, MEMENTO_FOREVER);
    assert_int_equal(memento_expire(f->handle, KEY("k"), 7200000), MEMENTO_OK);
    reopen(f);
    assert_int_equal(memento_ttl(f->handle, KEY("k"), &ttl_ms), MEMENTO_OK);
    assert_in_range(ttl_ms, 3600001, 7200000);
    assert_int_equal(memento_expire(f->handle, KEY("none"), 1), MEMENTO_NOT_FOUND);
    assert_int_equal(memento_expire(f->handle, KEY("k"), -5), MEMENTO_ERR_INVALID);
    assert_int_equal(memento_expire(f->handle, KEY("k"), INT64_MAX), MEMENTO_ERR_INVALID);
}

/* However long it takes: nothing here waits for a clock to show a certain time. */
static void a_due_key_is_absent_and_then_removed(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(memento_set_if(f->handle, MEMENTO_IF_ANY, KEY("k"), KEY("1"), 1),
                     MEMENTO_OK);
    while (memento_exists(f->handle, KEY("k")) == MEMENTO_OK) {
        usleep(1000);
    }
    while (memento_count(f->handle) > 0) {
        usleep(1000);
    }
    assert_int_equal(memento_set_if(f->handle, MEMENTO_IF_PRESENT, KEY("k"), KEY("2"), 0),
                     MEMENTO_NOT_FOUND);
}

static void increments_count_and_refuse_what_is_no_number(void **state)
{
    struct fixture *f = *state;
    int64_t result = 0;
    assert_int_equal(memento_increment(f->handle, KEY("n"), 5, &result), MEMENTO_OK);
    assert_int_equal(memento_increment(f->handle, KEY("n"), -7, &result), MEMENTO_OK);
    assert_int_equal(result, -2);
    assert_int_equal(memento_increment(f->handle, KEY("n"), 1, NULL), MEMENTO_OK);
    put(f, "max", "9223372036854775807");
    assert_int_equal(memento_increment(f->handle, KEY("max"), 1, &result),
                     MEMENTO_ERR_INVALID);
    put(f, "word", "seven");
    assert_int_equal(memento_increment(f->handle, KEY("word"), 1, &result),
                     MEMENTO_ERR_INVALID);
    reopen(f);
    assert_value(f, "n", "-1");
    assert_value(f, "max", "9223372036854775807");
    assert_value(f, "word", "seven");
}

static void what_is_appended_is_behind_what_was_there(void **state)
{
    struct fixture *f = *state;
    size_t size = 0;
    assert_int_equal(memento_append(f->handle, KEY("k"), KEY("one"), &size), MEMENTO_OK);
    assert_int_equal(memento_append(f->handle, KEY("k"), KEY(" two"), &size), MEMENTO_OK);
    assert_int_equal(size, 7);
    assert_int_equal(memento_append(f->handle, KEY("k"), NULL, 0, NULL), MEMENTO_OK);
    reopen(f);
    assert_value(f, "k", "one two");
}

static void empty_keys_and_values_are_keys_and_values(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(memento_set(f->handle, NULL, 0, NULL, 0), MEMENTO_OK);
    reopen(f);
    struct memento_value value;
    assert_int_equal(memento_get(f->handle, "", 0, &value), MEMENTO_OK);
    assert_int_equal(value.size, 0);
    assert_non_null(value.data);
    memento_value_free(&value);
    memento_value_free(&value); /* it is empty now */
    assert_int_equal(memento_delete(f->handle, "", 0), MEMENTO_OK);
}

static char large[300000];

/* The copy is the caller's, whatever becomes of the key and of the handle. */
static void a_value_outlives_its_key_and_its_handle(void **state)
{
    struct fixture *f = *state;
    memset(large, 'x', sizeof(large));
    assert_int_equal(memento_set(f->handle, KEY("k"), large, sizeof(large)), MEMENTO_OK);
    reopen(f);
    struct memento_value value;
    assert_int_equal(memento_get(f->handle, KEY("k"), &value), MEMENTO_OK);
    size_t size;
    assert_int_equal(memento_append(f->handle, KEY("k"), KEY("y"), &size), MEMENTO_OK);
    assert_int_equal(size, sizeof(large) + 1);
    assert_int_equal(memento_delete(f->handle, KEY("k")), MEMENTO_OK);
    reopen(f);
    assert_int_equal(value.size, sizeof(large));
    assert_memory_equal(value.data, large, sizeof(large));
    memento_value_free(&value);
    assert_null(value.data);
}

static void reading_into_a_buffer_that_is_too_small_tells_the_size(void **state)
{
    struct fixture *f = *state;
    put(f, "k", "12345");
    char buffer[8] = "unread";
    size_t size = 0;
    assert_int_equal(memento_read(f->handle, KEY("k"), buffer, 4, &size),
                     MEMENTO_ERR_TOO_LARGE);
    assert_int_equal(size, 5);
    assert_string_equal(buffer, "unread");
    assert_int_equal(memento_read(f->handle, KEY("k"), buffer, 5, &size), MEMENTO_OK);
    assert_memory_equal(buffer, "12345d", 7);
    assert_int_equal(memento_read(f->handle, KEY("none"), buffer, 5, &size),
                     MEMENTO_NOT_FOUND);
    assert_int_equal(size, 0);
}

static void what_is_too_large_is_refused(void **state)
{
    struct fixture *f = *state;
    static char key[MEMENTO_KEY_BYTES_MAX + 1];
    assert_int_equal(memento_set(f->handle, key, MEMENTO_KEY_BYTES_MAX, KEY("v")),
                     MEMENTO_OK);
    assert_int_equal(memento_set(f->handle, key, sizeof(key), KEY("v")),
                     MEMENTO_ERR_TOO_LARGE);
    assert_int_equal(memento_exists(f->handle, key, sizeof(key)), MEMENTO_ERR_TOO_LARGE);
    assert_int_equal(
        memento_set(f->handle, KEY("k"), key, (size_t)MEMENTO_VALUE_BYTES_MAX + 1),
        MEMENTO_ERR_TOO_LARGE);
}

static void clearing_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    put(f, "a", "1");
    put(f, "b", "2");
    assert_int_equal(memento_clear(f->handle), MEMENTO_OK);
    put(f, "c", "3");
    reopen(f);
    assert_int_equal(memento_count(f->handle), 1);
    assert_value(f, "c", "3");
}

/* ---- batches ---- */

static void a_batch_does_all_its_changes_in_order(void **state)
{
    struct fixture *f = *state;
    put(f, "a", "old");
    put(f, "gone", "old");
    struct memento_batch *batch;
    assert_int_equal(memento_batch_create(&batch), MEMENTO_OK);
    assert_int_equal(memento_batch_set(batch, KEY("a"), KEY("1"), 0), MEMENTO_OK);
    assert_int_equal(memento_batch_set(batch, KEY("b"), KEY("2"), 3600000), MEMENTO_OK);
    assert_int_equal(memento_batch_set(batch, KEY("a"), KEY("3"), 0), MEMENTO_OK);
    assert_int_equal(memento_batch_delete(batch, KEY("gone")), MEMENTO_OK);
    assert_int_equal(memento_batch_delete(batch, KEY("never")), MEMENTO_OK);
    assert_int_equal(memento_batch_set(batch, KEY("b"), KEY("4"), MEMENTO_KEEP_TTL),
                     MEMENTO_OK);
    assert_int_equal(memento_batch_set(batch, KEY("c"), large, sizeof(large), 0),
                     MEMENTO_OK);
    assert_int_equal(memento_batch_set(batch, KEY("b"), KEY("5"), -3),
                     MEMENTO_ERR_INVALID);
    assert_value(f, "a", "old");
    assert_int_equal(memento_batch_commit(f->handle, batch), MEMENTO_OK);
    memento_batch_clear(batch);
    assert_int_equal(memento_batch_commit(f->handle, batch), MEMENTO_OK);
    memento_batch_destroy(batch);
    reopen(f);
    assert_int_equal(memento_count(f->handle), 3);
    assert_value(f, "a", "3");
    assert_value(f, "b", "4");
    int64_t ttl_ms;
    assert_int_equal(memento_ttl(f->handle, KEY("b"), &ttl_ms), MEMENTO_OK);
    assert_true(ttl_ms > 0);
    assert_absent(f, "gone");
}

static struct memento_batch *batch_of_four(void)
{
    struct memento_batch *batch;
    assert_int_equal(memento_batch_create(&batch), MEMENTO_OK);
    assert_int_equal(memento_batch_set(batch, KEY("small"), KEY("new"), 0), MEMENTO_OK);
    assert_int_equal(memento_batch_set(batch, KEY("large"), KEY("new"), 0), MEMENTO_OK);
    assert_int_equal(memento_batch_delete(batch, KEY("gone")), MEMENTO_OK);
    assert_int_equal(memento_batch_set(batch, KEY("fresh"), large, sizeof(large), 0),
                     MEMENTO_OK);
    return batch;
}

static void assert_nothing_was_done(struct fixture *f)
{
    assert_int_equal(memento_count(f->handle), 3);
    assert_value(f, "small", "old");
    assert_value(f, "gone", "old");
    assert_absent(f, "fresh");
    struct memento_value value;
    assert_int_equal(memento_get(f->handle, KEY("large"), &value), MEMENTO_OK);
    assert_int_equal(value.size, sizeof(large));
    memento_value_free(&value);
}

/* Wherever it runs out. Whoever asks for memory nth is refused, once. */
static void a_batch_without_memory_does_nothing(void **state)
{
    struct fixture *f = *state;
    put(f, "small", "old");
    put(f, "gone", "old");
    assert_int_equal(memento_set(f->handle, KEY("large"), large, sizeof(large)),
                     MEMENTO_OK);
    struct memento_batch *batch = batch_of_four();
    enum memento_status status = MEMENTO_ERR_NO_MEMORY;
    unsigned nth = 0;
    while (status == MEMENTO_ERR_NO_MEMORY) {
        os_fail_at(OS_MEMORY, ++nth, ENOMEM, false);
        status = memento_batch_commit(f->handle, batch);
        os_fail_never();
        if (status == MEMENTO_ERR_NO_MEMORY) {
            assert_nothing_was_done(f);
            reopen(f);
            assert_nothing_was_done(f);
        }
    }
    assert_true(nth >
                1); /* (a thread of the handle may have been refused instead of us) */
    assert_int_equal(status, MEMENTO_OK);
    memento_batch_destroy(batch);
    assert_value(f, "large", "new");
    assert_absent(f, "gone");
}

/* ---- scans ---- */

struct seen {
    struct fixture *fixture;
    unsigned times[500];
    unsigned others;
};

static void see(void *context, const struct memento_item *item)
{
    struct seen *seen = context;
    unsigned number;
    char key[16] = "";
    assert_true(item->key_size < sizeof(key));
    memcpy(key, item->key, item->key_size);
    if (sscanf(key, "key:%u", &number) == 1 && number < 500) {
        seen->times[number]++;
        assert_int_equal(item->value_size, number == 7 ? sizeof(large) : 1);
    } else {
        seen->others++;
    }
    /* A visitor may use the handle. */
    assert_int_equal(memento_exists(seen->fixture->handle, item->key, item->key_size),
                     MEMENTO_OK);
}

static void a_scan_visits_each_key_of_the_prefix_once(void **state)
{
    struct fixture *f = *state;
    char key[16];
    for (unsigned i = 0; i < 500; i++) {
        snprintf(key, sizeof(key), "key:%u", i);
        put(f, key, "v");
        snprintf(key, sizeof(key), "other:%u", i);
        put(f, key, "v");
    }
    assert_int_equal(memento_set(f->handle, KEY("key:7"), large, sizeof(large)),
                     MEMENTO_OK);
    struct seen seen = {.fixture = f};
    uint64_t cursor = 0;
    do {
        assert_int_equal(memento_scan(f->handle, &cursor, KEY("key:"), 10, see, &seen),
                         MEMENTO_OK);
    } while (cursor != 0);
    for (unsigned i = 0; i < 500; i++) {
        assert_int_equal(seen.times[i], 1);
    }
    assert_int_equal(seen.others, 0);
    assert_int_equal(memento_scan(f->handle, &cursor, NULL, 0, 100000, see, &seen),
                     MEMENTO_OK);
    assert_int_equal(cursor, 0);
    assert_int_equal(seen.others, 500);
    assert_int_equal(memento_scan(f->handle, &cursor, NULL, 0, 0, see, &seen),
                     MEMENTO_ERR_INVALID);
}

/* ---- the directory ---- */

static void nothing_is_unsynced_after_a_sync(void **state)
{
    struct fixture *f = *state;
    put(f, "a", "1");
    assert_int_equal(memento_sync(f->handle), MEMENTO_OK);
    struct memento_stats stats;
    memento_get_stats(f->handle, &stats, sizeof(stats));
    assert_int_equal(stats.state, MEMENTO_OK);
    assert_int_equal(stats.unsynced_bytes, 0);
    assert_int_equal(stats.keys, 1);
    assert_true(stats.syncs > 0);
}

static void always_means_that_each_change_is_durable_when_it_returns(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(memento_close(f->handle), MEMENTO_OK);
    f->handle = open_as(f, MEMENTO_SYNC_ALWAYS);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(memento_increment(f->handle, KEY("n"), 1, NULL), MEMENTO_OK);
        struct memento_stats stats;
        memento_get_stats(f->handle, &stats, sizeof(stats));
        assert_int_equal(stats.unsynced_bytes, 0);
    }
    assert_value(f, "n", "20");
    assert_absent(f, "nothing");
}

static void a_compacted_log_holds_what_is_left(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 1000; i++) {
        put(f, "k", "a value that is soon overwritten");
    }
    put(f, "k", "the last");
    assert_int_equal(memento_compact(f->handle), MEMENTO_OK);
    struct memento_stats stats;
    memento_get_stats(f->handle, &stats, sizeof(stats));
    assert_int_equal(stats.compactions, 1);
    assert_true(stats.snapshot_bytes > 0);
    put(f, "later", "1");
    reopen(f);
    memento_get_stats(f->handle, &stats, sizeof(stats));
    assert_true(stats.load_records < 10);
    assert_value(f, "k", "the last");
    assert_value(f, "later", "1");
}

static void a_backup_opens_as_what_it_was_taken_of(void **state)
{
    struct fixture *f = *state;
    put(f, "k", "then");
    char why[256];
    assert_int_equal(memento_backup(f->handle, "first", why, sizeof(why)), MEMENTO_OK);
    assert_int_equal(memento_backup(f->handle, "first", why, sizeof(why)),
                     MEMENTO_ERR_IO);
    assert_true(strlen(why) > 0);
    assert_int_equal(memento_backup(f->handle, "../out", why, sizeof(why)),
                     MEMENTO_ERR_INVALID);
    put(f, "k", "now");
    char path[2 * TEST_PATH_MAX];
    snprintf(path, sizeof(path), "%s/backups/first", f->data);
    struct memento *copy;
    if (memento_open(path, NULL, &copy, why, sizeof(why)) != MEMENTO_OK) {
        fail_msg("%s", why);
    }
    struct memento_value value;
    assert_int_equal(memento_get(copy, KEY("k"), &value), MEMENTO_OK);
    assert_bytes_equal(bytes_of(value.data, value.size), B("then"));
    memento_value_free(&value);
    assert_int_equal(memento_close(copy), MEMENTO_OK);
    assert_value(f, "k", "now");
}

static void a_log_that_has_not_failed_need_not_be_reopened(void **state)
{
    struct fixture *f = *state;
    char why[256];
    assert_int_equal(memento_reopen_log(f->handle, why, sizeof(why)), MEMENTO_OK);
    assert_string_equal(why, "");
}

/* ---- in memory ---- */

static void without_a_directory_everything_works_and_nothing_is_kept(void **state)
{
    (void)state;
    struct memento *handle;
    assert_int_equal(memento_open(NULL, NULL, &handle, NULL, 0), MEMENTO_OK);
    assert_int_equal(memento_set(handle, KEY("k"), KEY("v")), MEMENTO_OK);
    int64_t result;
    assert_int_equal(memento_increment(handle, KEY("n"), 1, &result), MEMENTO_OK);
    assert_int_equal(memento_append(handle, KEY("k"), KEY("w"), NULL), MEMENTO_OK);
    assert_int_equal(memento_expire(handle, KEY("k"), 1000), MEMENTO_OK);
    assert_int_equal(memento_sync(handle), MEMENTO_OK);
    assert_int_equal(memento_compact(handle), MEMENTO_OK);
    assert_int_equal(memento_backup(handle, "b", NULL, 0), MEMENTO_ERR_INVALID);
    assert_int_equal(memento_reopen_log(handle, NULL, 0), MEMENTO_OK);
    struct memento_stats stats;
    memento_get_stats(handle, &stats, sizeof(stats));
    assert_int_equal(stats.keys, 2);
    assert_int_equal(stats.state, MEMENTO_OK);
    assert_int_equal(memento_clear(handle), MEMENTO_OK);
    assert_int_equal(memento_count(handle), 0);
    assert_int_equal(memento_close(handle), MEMENTO_OK);
    assert_int_equal(memento_close(NULL), MEMENTO_OK);
}

static void every_status_has_a_text_of_its_own(void **state)
{
    (void)state;
    for (int a = MEMENTO_ERR_LOG_FAILED; a <= MEMENTO_CLOSED; a++) {
        const char *text = memento_status_text((enum memento_status)a);
        assert_string_not_equal(text, memento_status_text((enum memento_status)99));
        for (int b = MEMENTO_ERR_LOG_FAILED; b < a; b++) {
            assert_string_not_equal(text, memento_status_text((enum memento_status)b));
        }
    }
    assert_string_equal(memento_version(), MEMENTO_VERSION);
}

/* ---- threads ---- */

#define THREADS_MAX 200

struct work {
    struct fixture *fixture;
    unsigned number, rounds;
};

static void *do_work(void *context)
{
    const struct work *work = context;
    struct memento *handle = work->fixture->handle;
    struct memento_batch *batch;
    bool ok = memento_batch_create(&batch) == MEMENTO_OK;
    for (unsigned i = 0; ok && i < work->rounds; i++) {
        char key[32];
        int len = snprintf(key, sizeof(key), "own:%u:%u", work->number, i);
        memento_batch_clear(batch);
        ok = memento_increment(handle, KEY("shared"), 1, NULL) == MEMENTO_OK &&
             memento_set(handle, key, (size_t)len, KEY("v")) == MEMENTO_OK &&
             memento_exists(handle, key, (size_t)len) == MEMENTO_OK &&
             memento_batch_set(batch, KEY("left"), key, (size_t)len, 0) == MEMENTO_OK &&
             memento_batch_set(batch, KEY("right"), key, (size_t)len, 0) == MEMENTO_OK &&
             memento_batch_commit(handle, batch) == MEMENTO_OK;
    }
    memento_batch_destroy(batch);
    return ok ? context : NULL;
}

static void run_threads(struct fixture *f, unsigned count, unsigned rounds)
{
    pthread_t threads[THREADS_MAX];
    struct work works[THREADS_MAX];
    for (unsigned i = 0; i < count; i++) {
        works[i] = (struct work){f, i, rounds};
        assert_int_equal(pthread_create(&threads[i], NULL, do_work, &works[i]), 0);
    }
    for (unsigned i = 0; i < count; i++) {
        void *result;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_ptr_equal(result, &works[i]);
    }
}

static void check_work(struct fixture *f, unsigned rounds)
{
    char count[16];
    snprintf(count, sizeof(count), "%u", rounds);
    assert_value(f, "shared", count);
    assert_int_equal(memento_count(f->handle), rounds + 3);
    struct memento_value left, right;
    assert_int_equal(memento_get(f->handle, KEY("left"), &left), MEMENTO_OK);
    assert_int_equal(memento_get(f->handle, KEY("right"), &right), MEMENTO_OK);
    assert_bytes_equal(bytes_of(left.data, left.size), bytes_of(right.data, right.size));
    memento_value_free(&left);
    memento_value_free(&right);
}

static void threads_share_a_handle(void **state)
{
    struct fixture *f = *state;
    run_threads(f, 16, 200);
    check_work(f, 16 * 200);
    reopen(f);
    check_work(f, 16 * 200);
}

/* More than there are seats, and all of them wait for the disk. */
static void threads_share_a_handle_that_syncs_always(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(memento_close(f->handle), MEMENTO_OK);
    f->handle = open_as(f, MEMENTO_SYNC_ALWAYS);
    run_threads(f, THREADS_MAX, 10);
    check_work(f, THREADS_MAX * 10);
    reopen(f);
    check_work(f, THREADS_MAX * 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fresh, remove_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_set_is_there_after_reopening),
        TEST(a_second_opener_is_told_that_it_is_busy),
        TEST(an_absent_directory_that_must_exist_is_not_made),
        TEST(a_path_that_cannot_be_a_directory_is_an_io_error),
        cmocka_unit_test(options_out_of_range_are_invalid),
        cmocka_unit_test(a_newer_programs_unknown_wishes_are_refused),
        TEST(a_damaged_manifest_is_corrupt_and_left_alone),
        TEST(why_is_cut_to_what_there_is_room_for),
        TEST(conditions_decide_whether_a_value_is_set),
        TEST(a_time_to_live_is_kept_changed_and_taken_away),
        TEST(a_due_key_is_absent_and_then_removed),
        TEST(increments_count_and_refuse_what_is_no_number),
        TEST(what_is_appended_is_behind_what_was_there),
        TEST(empty_keys_and_values_are_keys_and_values),
        TEST(a_value_outlives_its_key_and_its_handle),
        TEST(reading_into_a_buffer_that_is_too_small_tells_the_size),
        TEST(what_is_too_large_is_refused),
        TEST(clearing_leaves_nothing),
        TEST(a_batch_does_all_its_changes_in_order),
        TEST(a_batch_without_memory_does_nothing),
        TEST(a_scan_visits_each_key_of_the_prefix_once),
        TEST(nothing_is_unsynced_after_a_sync),
        TEST(always_means_that_each_change_is_durable_when_it_returns),
        TEST(a_compacted_log_holds_what_is_left),
        TEST(a_backup_opens_as_what_it_was_taken_of),
        TEST(a_log_that_has_not_failed_need_not_be_reopened),
        cmocka_unit_test(without_a_directory_everything_works_and_nothing_is_kept),
        cmocka_unit_test(every_status_has_a_text_of_its_own),
        TEST(threads_share_a_handle),
        TEST(threads_share_a_handle_that_syncs_always),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
