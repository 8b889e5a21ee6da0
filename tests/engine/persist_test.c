/* persist_test.c - what was changed is there after a restart, however it ended. */
#include "base/clock.h"
#include "base/heap.h"
#include "base/os.h"
#include "base/trace.h"
#include "engine/persist_parts.h"
#include "persist_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOUR_MS 3600000

static int set_up(void **state)
{
    static struct fixture fixture;
    memset(&fixture, 0, sizeof(fixture));
    test_folder_create(fixture.path);
    fixture_options(&fixture, fixture.path);
    open_engine(&fixture);
    *state = &fixture;
    return 0;
}

static void remove_folders(const char *path)
{
    static const char *const below[] = {"backups/one", "backups"};
    for (size_t i = 0; i < ARRAY_LEN(below); i++) {
        char folder[TEST_PATH_MAX + 32];
        snprintf(folder, sizeof(folder), "%s/%s", path, below[i]);
        test_folder_remove(folder);
    }
    test_folder_remove(path);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    close_engine(f);
    remove_folders(f->path);
    return 0;
}

/* The test is to do this with an engine that is closed. */
static int tear_down_closed(void **state)
{
    struct fixture *f = *state;
    remove_folders(f->path);
    return 0;
}

/* ---- every kind of change ---- */

static void every_kind_of_change_survives(struct fixture *f, bool is_clean)
{
    int64_t later_ms = engine_now_ms(&f->engine) + HOUR_MS;
    set(f, 0, "plain", "value");
    set(f, 3, "plain", "of another database");
    set(f, 0, "", "of the empty key");
    set(f, 0, "gone", "x");
    drop(f, 0, "gone");
    set(f, 0, "touched", "t");
    touch(f, 0, "touched", later_ms);
    set(f, 0, "persisted", "p");
    touch(f, 0, "persisted", later_ms);
    touch(f, 0, "persisted", ENTRY_NO_DEADLINE);
    set(f, 0, "appended", "ab");
    append(f, 0, "appended", B("cd"));
    append(f, 0, "appended", B(""));
    begin_turn(&f->writer);
    set_bytes(f, &f->writer, 0, "carried", B("c"), later_ms, 12345);
    end_turn(&f->writer);
    struct item before;
    assert_int_equal(look(f, 0, "touched", &before), MEMENTO_OK);
    int64_t created_ms = before.created_ms;
    uint64_t version = before.version;

    reopen(f, is_clean);
    assert_true(has(f, 0, "plain", "value"));
    assert_true(has(f, 3, "plain", "of another database"));
    assert_true(has(f, 0, "", "of the empty key"));
    assert_true(is_absent(f, 0, "gone"));
    assert_true(has(f, 0, "appended", "abcd"));
    struct item item;
    assert_int_equal(look(f, 0, "touched", &item), MEMENTO_OK);
    assert_int_equal(item.deadline_ms, later_ms);
    assert_int_equal(item.created_ms, created_ms);
    assert_int_equal(item.version, version);
    assert_int_equal(look(f, 0, "persisted", &item), MEMENTO_OK);
    assert_int_equal(item.deadline_ms, ENTRY_NO_DEADLINE);
    assert_int_equal(look(f, 0, "carried", &item), MEMENTO_OK);
    assert_int_equal(item.deadline_ms, later_ms);
    assert_int_equal(item.created_ms, 12345);
    assert_int_equal(engine_count(&f->engine, 0), 6);
}

static void every_kind_of_change_survives_a_clean_end(void **state)
{
    every_kind_of_change_survives(*state, true);
}

static void every_kind_of_change_survives_a_kill(void **state)
{
    every_kind_of_change_survives(*state, false);
}

static void every_kind_of_change_survives_a_compaction(void **state)
{
    struct fixture *f = *state;
    every_kind_of_change_survives(f, false);
    assert_int_equal(engine_compact_now(&f->engine), MEMENTO_OK);
    struct persist_stats stats;
    engine_persist_stats(&f->engine, &stats);
    assert_int_equal(stats.compactions, 1);
    assert_true(stats.log.snapshot_bytes > 0);
    reopen(f, false);
    assert_true(has(f, 0, "appended", "abcd"));
    assert_true(has(f, 3, "plain", "of another database"));
    assert_true(is_absent(f, 0, "gone"));
    assert_int_equal(engine_count(&f->engine, 0), 6);
}

static void values_of_all_sizes_survive(void **state)
{
    struct fixture *f = *state;
    static const size_t sizes[] = {0,     1,     8191,  8192,   8193,   16383,
                                   16384, 16385, 65536, 200000, 3000000};
    char *bytes = heap_alloc(3000000);
    assert_non_null(bytes);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
            char name[16];
            snprintf(name, sizeof(name), "k%u", i);
            memset(bytes, (int)('a' + i), sizes[i]);
            if (round == 0) {
                begin_turn(&f->writer);
                set_bytes(f, &f->writer, i % 2, name, bytes_of(bytes, sizes[i]),
                          ENTRY_NO_DEADLINE, ENGINE_CREATED_NOW);
                end_turn(&f->writer);
            }
            struct item item;
            assert_int_equal(look(f, i % 2, name, &item), MEMENTO_OK);
            assert_true(bytes_equal(item.value, bytes_of(bytes, sizes[i])));
        }
        if (round == 1) {
            assert_int_equal(engine_compact_now(&f->engine), MEMENTO_OK);
        }
        reopen(f, round == 1);
    }
    heap_free(bytes);
}

/* The frame refers to the block until it has been written: the next edit must not change it
 * there. */
static void a_large_value_is_logged_as_it_was(void **state)
{
    struct fixture *f = *state;
    static char bytes[20000];
    memset(bytes, 'a', sizeof(bytes));
    begin_turn(&f->writer);
    set_bytes(f, &f->writer, 0, "large", bytes_of(bytes, sizeof(bytes)),
              ENTRY_NO_DEADLINE, ENGINE_CREATED_NOW);
    append_by(f, &f->writer, 0, "large", B("b"));
    append_by(f, &f->writer, 0, "large", B("c"));
    struct key key = named(f, 0, "large");
    struct shard *shard = engine_lock(&f->writer, &key);
    char *value;
    assert_int_equal(engine_edit(&f->writer, shard, &key, 20002, &value), MEMENTO_OK);
    value[0] = 'z';
    engine_edited(&f->writer, shard, &key, true);
    engine_unlock(&f->writer, shard);
    end_turn(&f->writer);
    reopen(f, false);
    struct item item;
    assert_int_equal(look(f, 0, "large", &item), MEMENTO_OK);
    assert_int_equal(item.value.len, 20002);
    assert_memory_equal(item.value.data, "zaaa", 4);
    assert_memory_equal(item.value.data + 19999, "abc", 3);
}

static void a_key_of_the_greatest_length_survives(void **state)
{
    struct fixture *f = *state;
    static char name[MEMENTO_KEY_BYTES_MAX + 1];
    memset(name, 'k', MEMENTO_KEY_BYTES_MAX);
    set(f, 15, name, "long");
    reopen(f, false);
    assert_true(has(f, 15, name, "long"));
    assert_int_equal(engine_compact_now(&f->engine), MEMENTO_OK);
    reopen(f, true);
    assert_true(has(f, 15, name, "long"));
    drop(f, 15, name);
    reopen(f, false);
    assert_true(is_absent(f, 15, name));
}

/* ---- flush, swap ---- */

static void a_flush_survives_and_spares_what_came_after(void **state)
{
    struct fixture *f = *state;
    set(f, 0, "a", "old");
    set(f, 0, "b", "old");
    set(f, 1, "a", "other");
    begin_turn(&f->writer);
    assert_int_equal(engine_flush(&f->writer, 0), MEMENTO_OK);
    end_turn(&f->writer);
    set(f, 0, "b", "new");
    reopen(f, false);
    assert_true(is_absent(f, 0, "a"));
    assert_true(has(f, 0, "b", "new"));
    assert_true(has(f, 1, "a", "other"));
    begin_turn(&f->writer);
    assert_int_equal(engine_flush(&f->writer, -1), MEMENTO_OK);
    end_turn(&f->writer);
    reopen(f, false);
    assert_int_equal(engine_count(&f->engine, 0), 0);
    assert_int_equal(engine_count(&f->engine, 1), 0);
}

static void swapped_databases_stay_swapped(void **state)
{
    struct fixture *f = *state;
    set(f, 0, "a", "zero");
    set(f, 5, "a", "five");
    begin_turn(&f->writer);
    assert_int_equal(engine_swap_databases(&f->writer, 0, 5), MEMENTO_OK);
    end_turn(&f->writer);
    set(f, 0, "b", "later");
    reopen(f, false);
    assert_true(has(f, 5, "a", "zero"));
    assert_true(has(f, 0, "a", "five"));
    assert_true(has(f, 0, "b", "later"));
    assert_int_equal(engine_compact_now(&f->engine), MEMENTO_OK);
    reopen(f, false);
    assert_true(has(f, 5, "a", "zero"));
    begin_turn(&f->writer);
    assert_int_equal(engine_swap_databases(&f->writer, 5, 0), MEMENTO_OK);
    assert_int_equal(engine_flush(&f->writer, 5), MEMENTO_OK);
    end_turn(&f->writer);
    reopen(f, true);
    assert_true(has(f, 0, "a", "zero"));
    assert_true(is_absent(f, 5, "a"));
}

/* ---- time ---- */

/* The old value has no deadline: were the record of the expired one skipped, it would be back. */
static void an_expired_value_outdates_the_one_before_it(void **state)
{
    struct fixture *f = *state;
    set(f, 0, "k", "for ever");
    begin_turn(&f->writer);
    set_bytes(f, &f->writer, 0, "k", B("short"), f->writer.now_ms - 1,
              ENGINE_CREATED_NOW);
    end_turn(&f->writer);
    set(f, 0, "touched", "for ever");
    touch(f, 0, "touched", engine_now_ms(&f->engine) - 1);
    reopen(f, false);
    assert_true(is_absent(f, 0, "k"));
    assert_true(is_absent(f, 0, "touched"));
    f->writer.now_ms = engine_now_ms(&f->engine) + EXPIRY_TICK_MS;
    while (engine_sweep(&f->writer, 0, 1, 16)) {
    }
    assert_int_equal(engine_count(&f->engine, 0), 0);
    assert_int_equal(engine_compact_now(&f->engine), MEMENTO_OK);
    reopen(f, false);
    assert_true(is_absent(f, 0, "k"));
}

static void time_does_not_go_back_with_the_wall_clock(void **state)
{
    struct fixture *f = *state;
    set(f, 0, "k", "v");
    int64_t now_ms = engine_now_ms(&f->engine);
    close_engine(f);
    clock_freeze_wall_ms(now_ms - HOUR_MS);
    open_engine(f);
    assert_true(engine_now_ms(&f->engine) >= now_ms);
    set(f, 0, "k", "newer");
    reopen(f, false);
    assert_true(has(f, 0, "k", "newer"));
    clock_freeze_wall_ms(-1);
}

/* The clock stands still, so it alone would give the same versions again: the new value would
 * be older than the tombstone. */
static void versions_go_on_above_those_on_disk(void **state)
{
    struct fixture *f = *state;
    clock_freeze_ms(engine_now_ms(&f->engine));
    set(f, 0, "k", "1");
    set(f, 0, "k", "2");
    drop(f, 0, "k");
    reopen(f, true);
    set(f, 0, "k", "3");
    reopen(f, false);
    assert_true(has(f, 0, "k", "3"));
    clock_freeze_ms(-1);
}

/* ---- what fails leaves nothing staged ---- */

static void an_edit_that_changes_nothing_is_not_logged(void **state)
{
    struct fixture *f = *state;
    set(f, 0, "k", "v");
    begin_turn(&f->writer);
    append_by(f, &f->writer, 0, "k", B(""));
    assert_int_equal(drop_by(f, &f->writer, 0, "absent"), MEMENTO_NOT_FOUND);
    assert_int_equal(touch_by(f, &f->writer, 0, "absent", 1), MEMENTO_NOT_FOUND);
    assert_int_equal(engine_swap_databases(&f->writer, 2, 2), MEMENTO_OK);
    assert_int_equal(log_staged_bytes(&f->writer.log), 0);
    end_turn(&f->writer);
}

static void without_memory_neither_the_key_nor_the_log_changes(void **state)
{
    struct fixture *f = *state;
    static char bytes[100000];
    set(f, 0, "k", "v");
    struct engine_value value;
    unsigned failures = 0;
    for (uint64_t nth = 1; nth < 10; nth++) {
        assert_int_equal(engine_value_make(bytes_of(bytes, sizeof(bytes)), &value),
                         MEMENTO_OK);
        begin_turn(&f->writer);
        struct key key = named(f, 0, "k");
        struct shard *shard = engine_lock(&f->writer, &key);
        os_fail_at(OS_MEMORY, nth, ENOMEM, true);
        enum memento_status status = engine_set(&f->writer, shard, &key, &value,
                                                ENTRY_NO_DEADLINE, ENGINE_CREATED_NOW);
        os_fail_never();
        engine_unlock(&f->writer, shard);
        engine_value_drop(&value);
        bool is_set = status == MEMENTO_OK;
        assert_int_equal(log_staged_bytes(&f->writer.log) > 0, is_set);
        assert_int_equal(has(f, 0, "k", "v"), !is_set);
        end_turn(&f->writer);
        if (is_set) {
            break;
        }
        failures++;
    }
    print_message("%u places without memory\n", failures);
}

/* ---- reads that wait for the log ---- */

static uint64_t read_version(struct fixture *f, const char *name)
{
    f->writer.version_read = 0;
    struct key key = named(f, 0, name);
    struct shard *shard = engine_lock(&f->writer, &key);
    struct bytes value;
    struct large *large;
    (void)!engine_get(&f->writer, shard, &key, &value, &large);
    engine_unlock(&f->writer, shard);
    return f->writer.version_read;
}

static void ignore_item(void *context, const struct item *item)
{
    (void)context;
    (void)item;
}

static void a_tracked_read_notes_what_it_rests_on(void **state)
{
    struct fixture *f = *state;
    struct item item;
    set(f, 0, "k", "v");
    assert_int_equal(look(f, 0, "k", &item), MEMENTO_OK);
    uint64_t set_at = item.version;
    assert_int_equal(read_version(f, "k"), 0);
    f->writer.tracks_reads = true;
    assert_int_equal(read_version(f, "k"), set_at);
    drop(f, 0, "k");
    uint64_t dropped_at = read_version(f, "k");
    assert_true(dropped_at > set_at);

    begin_turn(&f->writer);
    set_bytes(f, &f->writer, 0, "k", B("due"), f->writer.now_ms - 1, ENGINE_CREATED_NOW);
    end_turn(&f->writer);
    uint64_t due_at = read_version(f, "k");
    assert_true(due_at > dropped_at);
    f->writer.now_ms += EXPIRY_TICK_MS;
    while (engine_sweep(&f->writer, 0, 1, 16)) {
    }
    assert_int_equal(read_version(f, "k"), due_at);

    begin_turn(&f->writer);
    assert_int_equal(engine_flush(&f->writer, 0), MEMENTO_OK);
    end_turn(&f->writer);
    uint64_t flushed_at = read_version(f, "never there");
    assert_true(flushed_at > due_at);
    f->writer.version_read = 0;
    (void)engine_scan(&f->writer, 0, 0, 10, SIZE_MAX, ignore_item, NULL);
    assert_int_equal(f->writer.version_read, flushed_at);
    f->writer.version_read = 0;
    engine_note_read_all(&f->writer);
    assert_int_equal(f->writer.version_read, flushed_at);
    f->writer.tracks_reads = false;
}

/* ---- any order ---- */

/* Everything about all entries, as a number that does not depend on their order. */
struct digest {
    const struct engine *engine;
    uint64_t sum, keys;
};

static void add_item(void *context, const struct item *item)
{
    struct digest *digest = context;
    static const struct hash_seed seeds[] = {{1, 2}, {3, 4}, {5, 6}};
    uint64_t numbers[] = {hash_bytes(&seeds[0], item->key),
                          hash_bytes(&seeds[1], item->value),
                          item->version,
                          (uint64_t)item->deadline_ms,
                          (uint64_t)item->created_ms,
                          item->db};
    digest->sum += hash_bytes(&seeds[2], bytes_of(numbers, sizeof(numbers)));
    digest->keys++;
}

static struct digest digest_of(struct engine *engine) UNCHECKED_LOCKING
{
    struct digest digest = {engine, 0, 0};
    for (unsigned i = 0; i < engine->keyspace.shard_count; i++) {
        uint64_t position = 0;
        do {
            position = shard_scan(&engine->keyspace.shards[i], position, INT64_MIN,
                                  add_item, &digest);
        } while (position != 0);
    }
    for (unsigned i = 0; i < MEMENTO_DATABASES; i++) {
        digest.sum += (uint64_t)engine->database_map[i] << (i * 4 % 64);
    }
    return digest;
}

static void change_at_random(struct fixture *f, struct random *random)
{
    char name[16];
    snprintf(name, sizeof(name), "k%u", (unsigned)random_below(random, 300));
    unsigned database = (unsigned)random_below(random, 3);
    static char bytes[20000];
    size_t len = random_below(random, 20) == 0 ? random_below(random, sizeof(bytes))
                                               : random_below(random, 200);
    memset(bytes, (int)random_below(random, 256), len);
    int64_t deadline_ms =
        f->writer.now_ms + (int64_t)random_below(random, HOUR_MS) + 60000;
    switch (random_below(random, 100)) {
    default:
        set_bytes(f, &f->writer, database, name, bytes_of(bytes, len),
                  random_below(random, 3) == 0 ? deadline_ms : ENTRY_NO_DEADLINE,
                  random_below(random, 4) == 0 ? 777 : ENGINE_CREATED_NOW);
        break;
    case 0 ... 24:
        (void)!drop_by(f, &f->writer, database, name);
        break;
    case 25 ... 44:
        (void)!touch_by(f, &f->writer, database, name, deadline_ms);
        break;
    case 45:
        assert_int_equal(engine_flush(&f->writer, (int)database), MEMENTO_OK);
        break;
    case 46:
        assert_int_equal(engine_swap_databases(&f->writer, database, 2), MEMENTO_OK);
        break;
    }
}

static struct digest load_shuffled(struct fixture *f, struct random *random)
{
    struct hash_seed seed = {random_next(random), random_next(random)};
    struct engine engine;
    assert_int_equal(
        engine_init(&engine, 1 + (unsigned)random_below(random, 9), &seed, 0),
        MEMENTO_OK);
    int dir = open(f->path, O_RDONLY | O_DIRECTORY);
    assert_true(dir >= 0);
    struct archive archive;
    assert_int_equal(archive_open(&archive, dir, &f->options.restore_to), MEMENTO_OK);
    for (size_t i = archive.file_count; i > 1; i--) {
        size_t other = random_below(random, i);
        struct archive_file file = archive.files[i - 1];
        archive.files[i - 1] = archive.files[other];
        archive.files[other] = file;
    }
    struct load_progress progress = {.bytes = 0};
    struct recovered recovered;
    struct buf why;
    buf_init(&why);
    struct persist_options options = f->options;
    options.load_threads = 3;
    options.has_threads = random_below(random, 2) == 0;
    assert_int_equal(
        recover(&engine, &archive, &options, &progress, NULL, &recovered, &why),
        MEMENTO_OK);
    struct digest digest = digest_of(&engine);
    buf_fini(&why);
    archive_close(&archive);
    close(dir);
    engine_fini(&engine);
    return digest;
}

static void files_may_be_loaded_in_any_order(void **state)
{
    struct fixture *f = *state;
    uint64_t seed = clock_monotonic_ns();
    print_message("seed %llu\n", (unsigned long long)seed);
    struct random random;
    random_init(&random, seed);
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned turn = 0; turn < 120; turn++) {
            begin_turn(&f->writer);
            for (uint64_t i = random_below(&random, 20); i > 0; i--) {
                change_at_random(f, &random);
            }
            end_turn(&f->writer);
        }
        if (round == 2) {
            assert_int_equal(engine_compact_now(&f->engine), MEMENTO_OK);
        }
        while (log_sync_step(f->writer.log.log)) {
        }
        struct digest expected = digest_of(&f->engine);
        for (unsigned order = 0; order < 4; order++) {
            struct digest digest = load_shuffled(f, &random);
            assert_int_equal(digest.keys, expected.keys);
            assert_int_equal(digest.sum, expected.sum);
        }
    }
}

/* ---- directories that are refused ---- */

static void a_directory_in_use_is_refused_with_the_pid(void **state)
{
    struct fixture *f = *state;
    struct fixture second = *f;
    struct persist_error error;
    assert_int_equal(try_open(&second, &error), MEMENTO_ERR_BUSY);
    assert_int_equal(error.exit_code, 1);
    char pid[32];
    snprintf(pid, sizeof(pid), "process %ld", (long)getpid());
    assert_non_null(strstr(buf_c_string(&error.text), pid));
    buf_fini(&error.text);
}

static void visit_files(const char *path, const char *prefix, const char *suffix,
                        void (*visit)(const char *path))
{
    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        size_t len = strlen(entry->d_name);
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0 &&
            len >= strlen(suffix) &&
            strcmp(entry->d_name + len - strlen(suffix), suffix) == 0) {
            char file[TEST_PATH_MAX + 300];
            snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
            visit(file);
        }
    }
    closedir(folder);
}

static void remove_file(const char *path)
{
    assert_int_equal(unlink(path), 0);
}

static void files_without_a_manifest_are_not_a_new_directory(void **state)
{
    struct fixture *f = *state;
    set(f, 0, "k", "v");
    close_engine(f);
    visit_files(f->path, "MANIFEST", "", remove_file);
    struct persist_error error;
    assert_int_equal(try_open(f, &error), MEMENTO_ERR_CORRUPT);
    assert_int_equal(error.exit_code, 3);
    assert_non_null(strstr(buf_c_string(&error.text), "no MANIFEST"));
    buf_fini(&error.text);
}

/* One bit of a byte that is not zero, in the second half of what is used. */
static void flip_a_bit(const char *path)
{
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    static char bytes[1 << 20];
    ssize_t len = pread(fd, bytes, sizeof(bytes), 0);
    assert_true(len > FILE_HEADER_BYTES);
    ssize_t used = len;
    while (used > FILE_HEADER_BYTES && bytes[used - 1] == 0) {
        used--;
    }
    ssize_t at = FILE_HEADER_BYTES + (used - FILE_HEADER_BYTES) / 2;
    bytes[at] ^= 4;
    assert_int_equal(pwrite(fd, bytes + at, 1, at), 1);
    close(fd);
}

static void damage_is_refused_until_its_loss_is_accepted(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof(name), "k%02u", i);
        set(f, 0, name, "v");
    }
    unsigned char uuid[UUID_BYTES];
    log_uuid(f->writer.log.log, uuid);
    char text[2 * UUID_BYTES + 1];
    for (size_t i = 0; i < UUID_BYTES; i++) {
        snprintf(text + 2 * i, 3, "%02x", uuid[i]);
    }
    close_engine(f);
    visit_files(f->path, "log-", ".mem", flip_a_bit);
    struct persist_error error;
    for (unsigned again = 0; again < 2; again++) {
        assert_int_equal(try_open(f, &error), MEMENTO_ERR_CORRUPT);
        assert_int_equal(error.exit_code, 3);
        assert_non_null(strstr(buf_c_string(&error.text), "offset"));
        assert_non_null(strstr(buf_c_string(&error.text), "memento-check repair --out="));
        buf_fini(&error.text);
        f->options.accept_data_loss = "0123456789abcdef0123456789abcdef";
    }
    f->options.accept_data_loss = text;
    open_engine(f);
    f->options.accept_data_loss = NULL;
    uint64_t keys = engine_count(&f->engine, 0);
    assert_true(keys > 20 && keys < 80);
    assert_true(has(f, 0, "k00", "v"));
    set(f, 0, "k99", "after");
    reopen(f, false);
    assert_int_equal(engine_count(&f->engine, 0), keys + 1);
    assert_true(has(f, 0, "k99", "after"));
    close_engine(f);
}

static void loading_ends_when_it_is_told_to(void **state)
{
    struct fixture *f = *state;
    set(f, 0, "k", "v");
    close_engine(f);
    atomic_bool stop = true;
    struct hash_seed seed = {1, 2};
    struct persist_error error;
    assert_int_equal(engine_init(&f->engine, 4, &seed, 0), MEMENTO_OK);
    assert_int_equal(engine_load(&f->engine, &f->options, &stop, &error), MEMENTO_CLOSED);
    engine_fini(&f->engine);
    buf_fini(&error.text);
    open_engine(f);
    assert_true(has(f, 0, "k", "v"));
    close_engine(f);
}

/* ---- backups ---- */

static void a_backup_is_a_directory_that_can_be_opened(void **state)
{
    struct fixture *f = *state;
    struct buf why;
    buf_init(&why);
    set(f, 0, "k", "backed up");
    assert_int_equal(engine_compact_now(&f->engine), MEMENTO_OK);
    set(f, 0, "l", "in the log");
    assert_int_equal(engine_backup(&f->engine, B("../one"), &why), MEMENTO_ERR_INVALID);
    assert_int_equal(engine_backup(&f->engine, B(".one"), &why), MEMENTO_ERR_INVALID);
    buf_reset(&why, SIZE_MAX);
    if (engine_backup(&f->engine, B("one"), &why) != MEMENTO_OK) {
        fail_msg("%s", buf_c_string(&why));
    }
    set(f, 0, "k", "changed since");
    assert_int_equal(engine_backup(&f->engine, B("one"), &why), MEMENTO_ERR_IO);
    assert_true(why.len > 0);
    buf_fini(&why);

    struct fixture copy;
    memset(&copy, 0, sizeof(copy));
    snprintf(copy.path, sizeof(copy.path), "%.200s/backups/one", f->path);
    fixture_options(&copy, copy.path);
    open_engine(&copy);
    assert_true(has(&copy, 0, "k", "backed up"));
    assert_true(has(&copy, 0, "l", "in the log"));
    close_engine(&copy);
    assert_true(has(f, 0, "k", "changed since"));
}

static void an_engine_in_memory_has_no_log(void **state)
{
    (void)state;
    struct hash_seed seed = {1, 2};
    struct fixture f;
    memset(&f, 0, sizeof(f));
    assert_int_equal(engine_init(&f.engine, 2, &seed, 0), MEMENTO_OK);
    writer_open(&f, &f.writer);
    set(&f, 0, "k", "v");
    assert_true(has(&f, 0, "k", "v"));
    struct persist_stats stats;
    engine_persist_stats(&f.engine, &stats);
    assert_int_equal(stats.live_bytes, 0);
    assert_int_equal(engine_compact_now(&f.engine), MEMENTO_ERR_INVALID);
    writer_close(&f.writer);
    assert_int_equal(engine_close(&f.engine), MEMENTO_OK);
    engine_fini(&f.engine);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_TO_CLOSE(name) \
    cmocka_unit_test_setup_teardown(name, set_up, tear_down_closed)

int main(void)
{
    trace_set_level(TRACE_NOTHING);
    const struct CMUnitTest tests[] = {
        TEST(every_kind_of_change_survives_a_clean_end),
        TEST(every_kind_of_change_survives_a_kill),
        TEST(every_kind_of_change_survives_a_compaction),
        TEST(values_of_all_sizes_survive),
        TEST(a_large_value_is_logged_as_it_was),
        TEST(a_key_of_the_greatest_length_survives),
        TEST(a_flush_survives_and_spares_what_came_after),
        TEST(swapped_databases_stay_swapped),
        TEST(an_expired_value_outdates_the_one_before_it),
        TEST(time_does_not_go_back_with_the_wall_clock),
        TEST(versions_go_on_above_those_on_disk),
        TEST(an_edit_that_changes_nothing_is_not_logged),
        TEST(without_memory_neither_the_key_nor_the_log_changes),
        TEST(a_tracked_read_notes_what_it_rests_on),
        TEST(files_may_be_loaded_in_any_order),
        TEST(a_directory_in_use_is_refused_with_the_pid),
        TEST_TO_CLOSE(files_without_a_manifest_are_not_a_new_directory),
        TEST_TO_CLOSE(damage_is_refused_until_its_loss_is_accepted),
        TEST_TO_CLOSE(loading_ends_when_it_is_told_to),
        TEST(a_backup_is_a_directory_that_can_be_opened),
        cmocka_unit_test(an_engine_in_memory_has_no_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
