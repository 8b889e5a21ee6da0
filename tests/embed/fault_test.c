/* What a program is told when the disk fails under the library. */
#include <memento/memento.h>

#include "support/simos.h"
#include "support/test.h"

#include <errno.h>

#define KEY(text) (text), sizeof(text) - 1

static struct memento *open_it(enum memento_sync_policy policy)
{
    struct memento_options options = {
        .size = sizeof(options), .sync_policy = policy, .segment_bytes = 65536};
    struct memento *handle;
    char why[256];
    if (memento_open("data", &options, &handle, why, sizeof(why)) != MEMENTO_OK) {
        fail_msg("%s", why);
    }
    return handle;
}

static void fail_all(enum simos_call call, int error)
{
    simos_fail(&(struct simos_fault){
        .call = call, .nth = 1, .error = error, .is_forever = true});
}

static void assert_value(struct memento *handle, const char *key, struct bytes expected)
{
    struct memento_value value;
    assert_int_equal(memento_get(handle, key, strlen(key), &value), MEMENTO_OK);
    assert_bytes_equal(bytes_of(value.data, value.size), expected);
    memento_value_free(&value);
}

static enum memento_status state_of(struct memento *handle)
{
    struct memento_stats stats;
    memento_get_stats(handle, &stats, sizeof(stats));
    return stats.state;
}

/* Always: who waits for the disk is told, who comes later is refused, and once the disk is well
 * again everything in memory is on it. */
static void after_a_failed_sync_changes_are_refused_until_the_log_is_reopened(
    void **state)
{
    (void)state;
    simos_start();
    struct memento *handle = open_it(MEMENTO_SYNC_ALWAYS);
    assert_int_equal(memento_set(handle, KEY("a"), KEY("1")), MEMENTO_OK);
    fail_all(SIMOS_SYNC_DATA, EIO);
    assert_int_equal(memento_set(handle, KEY("b"), KEY("2")), MEMENTO_ERR_LOG_FAILED);
    assert_int_equal(memento_set(handle, KEY("c"), KEY("3")), MEMENTO_ERR_LOG_FAILED);
    assert_int_equal(memento_delete(handle, KEY("a")), MEMENTO_ERR_LOG_FAILED);
    assert_int_equal(memento_sync(handle), MEMENTO_ERR_LOG_FAILED);
    assert_int_equal(state_of(handle), MEMENTO_ERR_LOG_FAILED);
    struct memento_value value;
    assert_int_equal(memento_get(handle, KEY("b"), &value), MEMENTO_ERR_LOG_FAILED);
    assert_null(value.data);
    simos_heal();
    char why[256];
    assert_int_equal(memento_reopen_log(handle, why, sizeof(why)), MEMENTO_OK);
    assert_int_equal(memento_set(handle, KEY("c"), KEY("3")), MEMENTO_OK);
    assert_int_equal(memento_close(handle), MEMENTO_OK);
    simos_power_on(DISK_DROPS_ALL, 1);
    handle = open_it(MEMENTO_SYNC_ALWAYS);
    assert_value(handle, "a", B("1"));
    assert_value(handle, "c", B("3"));
    assert_int_equal(memento_close(handle), MEMENTO_OK);
    simos_stop();
}

static void a_full_disk_takes_deletions_only(void **state)
{
    (void)state;
    simos_start();
    struct memento *handle = open_it(MEMENTO_SYNC_EVERY_SECOND);
    assert_int_equal(memento_set(handle, KEY("a"), KEY("1")), MEMENTO_OK);
    simos_limit(5 * 65536);
    static char value[4096];
    enum memento_status status = MEMENTO_OK;
    for (unsigned i = 0; i < 1000 && status == MEMENTO_OK; i++) {
        status = memento_set(handle, KEY("b"), value, sizeof(value));
    }
    assert_int_equal(status, MEMENTO_ERR_NO_SPACE);
    assert_int_equal(memento_set(handle, KEY("c"), KEY("1")), MEMENTO_ERR_NO_SPACE);
    assert_int_equal(state_of(handle), MEMENTO_ERR_NO_SPACE);
    assert_value(handle, "a", B("1"));
    simos_limit(0);
    /* The keeper tries again by itself. */
    while (memento_set(handle, KEY("c"), KEY("1")) == MEMENTO_ERR_NO_SPACE) {
    }
    assert_int_equal(memento_delete(handle, KEY("a")), MEMENTO_OK);
    assert_int_equal(memento_close(handle), MEMENTO_OK);
    handle = open_it(MEMENTO_SYNC_EVERY_SECOND);
    assert_int_equal(memento_exists(handle, KEY("a")), MEMENTO_NOT_FOUND);
    assert_value(handle, "c", B("1"));
    assert_int_equal(memento_close(handle), MEMENTO_OK);
    simos_stop();
}

/* The call that gave up has left a frame behind: when that is written, readers need not wait for
 * its writer to be used again. */
static void readers_do_not_wait_for_a_call_that_gave_up(void **state)
{
    (void)state;
    simos_start();
    struct memento *handle = open_it(MEMENTO_SYNC_ALWAYS);
    fail_all(SIMOS_WRITE, ENOSPC);
    assert_int_equal(memento_set(handle, KEY("a"), KEY("1")), MEMENTO_ERR_NO_SPACE);
    simos_heal();
    assert_value(handle, "a", B("1"));
    assert_int_equal(memento_close(handle), MEMENTO_OK);
    simos_stop();
}

static void a_directory_that_cannot_be_written_is_not_opened(void **state)
{
    (void)state;
    simos_start();
    fail_all(SIMOS_SYNC, EIO);
    fail_all(SIMOS_SYNC_DATA, EIO);
    struct memento *handle;
    char why[256];
    assert_int_equal(memento_open("data", NULL, &handle, why, sizeof(why)),
                     MEMENTO_ERR_IO);
    assert_null(handle);
    assert_true(strlen(why) > 0);
    simos_stop();
}

static void an_end_that_cannot_be_written_is_told(void **state)
{
    (void)state;
    simos_start();
    struct memento *handle = open_it(MEMENTO_SYNC_NEVER);
    assert_int_equal(memento_set(handle, KEY("a"), KEY("1")), MEMENTO_OK);
    fail_all(SIMOS_SYNC_DATA, EIO);
    assert_int_equal(memento_close(handle), MEMENTO_ERR_IO);
    simos_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            after_a_failed_sync_changes_are_refused_until_the_log_is_reopened),
        cmocka_unit_test(a_full_disk_takes_deletions_only),
        cmocka_unit_test(readers_do_not_wait_for_a_call_that_gave_up),
        cmocka_unit_test(a_directory_that_cannot_be_written_is_not_opened),
        cmocka_unit_test(an_end_that_cannot_be_written_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
