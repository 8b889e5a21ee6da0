/* log_test.c - a running log on a real directory: what was committed is what is read. */
#include "base/clock.h"
#include "base/heap.h"
#include "base/os_file.h"
#include "log/archive.h"
#include "log/log.h"
#include "support/test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEGMENT_BYTES (64 * 1024)

struct fixture {
    char path[64];
    int dir, lock;
    struct log *log;
    struct archive archive;
    struct buf read; /* "kind key=value\n" of every record in order */
    unsigned released;
};

static int64_t fixed_ms;

static int64_t now_ms(void *context)
{
    (void)context;
    return fixed_ms != 0 ? fixed_ms : clock_wall_ms();
}

static unsigned releases;

static void release(void *owner)
{
    (void)owner;
    __atomic_fetch_add(&releases, 1, __ATOMIC_RELAXED);
}

static struct log_options options_of(enum log_policy policy, bool has_threads)
{
    return (struct log_options){.policy = policy,
                                .segment_bytes = SEGMENT_BYTES,
                                .max_unsynced_ms = 1000,
                                .buffer_bytes_max = 64 << 20,
                                .now_ms = now_ms,
                                .release = release,
                                .has_threads = has_threads};
}

static void wake_nobody(void *context)
{
    (void)context;
}

static int set_up(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof(f));
    snprintf(f.path, sizeof(f.path), "/tmp/memento-log-XXXXXX");
    assert_non_null(mkdtemp(f.path));
    long pid;
    assert_int_equal(log_lock_directory(f.path, true, &f.dir, &f.lock, &pid), MEMENTO_OK);
    buf_init(&f.read);
    releases = 0;
    *state = &f;
    return 0;
}

static void remove_file(void *context, const char *name)
{
    struct fixture *f = context;
    if (os_file_remove(f->dir, name) != 0) {
        int inner = os_dir_open_at(f->dir, name);
        struct fixture below = {.dir = inner};
        os_dir_list(inner, remove_file, &below);
        os_file_close(inner);
        os_dir_remove(f->dir, name);
    }
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    buf_fini(&f->read);
    os_dir_list(f->dir, remove_file, f);
    log_unlock_directory(f->dir, f->lock);
    rmdir(f->path);
    return 0;
}

static void begin(struct fixture *f, enum log_policy policy, bool has_threads)
{
    struct log_options options = options_of(policy, has_threads);
    assert_int_equal(log_open(&f->log, f->dir, &options, NULL), MEMENTO_OK);
}

static enum memento_status visit(void *context, const struct archive_frame *frame)
{
    struct fixture *f = context;
    struct bytes left = frame->payload;
    while (left.len > 0) {
        struct record record;
        if (record_read(&left, frame->header.base_version, &record) != MEMENTO_OK) {
            return MEMENTO_ERR_CORRUPT;
        }
        buf_appendf(&f->read, "%d %.*s=", record.kind, (int)record.key.len,
                    record.key.data);
        buf_append_bytes(&f->read, record.value);
        buf_append_char(&f->read, '\n');
    }
    return MEMENTO_OK;
}

/* Opens and reads everything into f->read; the archive stays open. */
static enum archive_state load_from(struct fixture *f, int dir)
{
    buf_reset(&f->read, 0);
    assert_int_equal(archive_open(&f->archive, dir, NULL), MEMENTO_OK);
    struct buf why;
    buf_init(&why);
    for (size_t i = 0; i < f->archive.file_count; i++) {
        if (archive_read_file(&f->archive, i, visit, f, NULL, &why) != MEMENTO_OK) {
            fail_msg("%s", buf_c_string(&why));
        }
    }
    if (archive_check_chain(&f->archive, &why) != MEMENTO_OK) {
        fail_msg("%s", buf_c_string(&why));
    }
    buf_fini(&why);
    return f->archive.finding.state;
}

static void expect_read(struct fixture *f, const struct buf *expected)
{
    assert_int_equal(f->read.len, expected->len);
    assert_memory_equal(f->read.data, expected->data, expected->len);
}

static void go_on(struct fixture *f, enum log_policy policy, bool has_threads)
{
    struct log_options options = options_of(policy, has_threads);
    assert_int_equal(log_open(&f->log, f->dir, &options, &f->archive), MEMENTO_OK);
    archive_close(&f->archive);
}

static void stage(struct log_writer *writer, const char *key, struct bytes value,
                  uint64_t version, struct buf *expected)
{
    struct record record = {.kind = RECORD_SET,
                            .version = version,
                            .deadline_ms = RECORD_NO_DEADLINE,
                            .key = bytes_of_string(key),
                            .value = value};
    assert_int_equal(log_reserve(writer, record.key.len, value.len), MEMENTO_OK);
    bool by_reference = value.len >= LOG_REFERENCE_BYTES;
    log_stage(writer, &record, by_reference ? (void *)(uintptr_t)value.data : NULL);
    if (expected != NULL) {
        buf_appendf(expected, "1 %s=", key);
        buf_append_bytes(expected, value);
        buf_append_char(expected, '\n');
    }
}

static void turn_begins(struct log_writer *writer)
{
    log_writer_wakes(writer);
    log_writer_turn(writer, (uint64_t)now_ms(NULL) << LOG_VERSION_SHIFT);
}

/* `count` turns of three records each. */
static void write_turns(struct fixture *f, struct log_writer *writer, unsigned count,
                        struct buf *expected)
{
    for (unsigned i = 0; i < count; i++) {
        turn_begins(writer);
        for (unsigned j = 0; j < 3; j++) {
            char key[32], value[64];
            snprintf(key, sizeof(key), "key-%u-%u", i, j);
            snprintf(value, sizeof(value), "value of %u and %u", i, j);
            stage(writer, key, bytes_of_string(value), writer->lowest + 3 * i + j,
                  expected);
        }
        log_commit(writer);
        log_writer_sleeps(writer);
        if (!f->log) {
            return;
        }
    }
}

/* ---- the tests ---- */

static void what_was_committed_is_read_after_a_clean_end(void **state)
{
    struct fixture *f = *state;
    struct buf expected;
    buf_init(&expected);
    begin(f, LOG_EVERYSEC, false);
    struct log_writer writer;
    assert_int_equal(log_writer_init(&writer, f->log, wake_nobody, NULL), MEMENTO_OK);
    write_turns(f, &writer, 10, &expected);
    assert_int_equal(writer.written, writer.committed);
    log_writer_fini(&writer);
    assert_int_equal(log_close(f->log), MEMENTO_OK);

    assert_int_equal(load_from(f, f->dir), ARCHIVE_CLEAN);
    expect_read(f, &expected);
    archive_close(&f->archive);
    buf_fini(&expected);
}

static void what_was_committed_is_read_after_a_crash_again_and_again(void **state)
{
    struct fixture *f = *state;
    struct buf expected;
    buf_init(&expected);
    begin(f, LOG_NEVER, false);
    for (unsigned run = 0; run < 5; run++) {
        struct log_writer writer;
        assert_int_equal(log_writer_init(&writer, f->log, wake_nobody, NULL), MEMENTO_OK);
        write_turns(f, &writer, 7 + run, &expected);
        log_writer_fini(&writer);
        if (run % 2 == 0) {
            assert_int_equal(log_sync_wait(f->log, log_written_end(f->log)), MEMENTO_OK);
            while (log_sync_step(f->log)) {
            }
        }
        log_abandon(f->log);
        assert_int_equal(load_from(f, f->dir), ARCHIVE_OPEN);
        expect_read(f, &expected);
        go_on(f, LOG_NEVER, false);
    }
    log_abandon(f->log);
    buf_fini(&expected);
}

static void segments_follow_one_another_and_a_large_frame_gets_its_own(void **state)
{
    struct fixture *f = *state;
    struct buf expected;
    buf_init(&expected);
    begin(f, LOG_EVERYSEC, false);
    struct log_writer writer;
    assert_int_equal(log_writer_init(&writer, f->log, wake_nobody, NULL), MEMENTO_OK);
    char *large = heap_alloc(5 * SEGMENT_BYTES);
    memset(large, 'x', 5 * SEGMENT_BYTES);
    for (unsigned i = 0; i < 40; i++) {
        turn_begins(&writer);
        size_t len = i % 13 == 5 ? 5 * SEGMENT_BYTES - i : 9000 + i;
        stage(&writer, "a", bytes_of_string("small"), writer.lowest, &expected);
        stage(&writer, "b", bytes_of(large, len), writer.lowest + 1, &expected);
        stage(&writer, "c", bytes_of(large, i), writer.lowest + 2, &expected);
        log_commit(&writer);
        while (log_keep_step(f->log) || log_sync_step(f->log)) {
        }
        assert_int_equal(writer.written, writer.committed);
    }
    assert_int_equal(releases, 3);
    log_writer_fini(&writer);
    assert_int_equal(log_sync_wait(f->log, log_written_end(f->log)), MEMENTO_OK);
    struct log_stats stats;
    log_stats(f->log, &stats);
    assert_true(stats.segments > 6);
    assert_int_equal(stats.unsynced_bytes, 0);
    log_abandon(f->log);
    assert_int_equal(load_from(f, f->dir), ARCHIVE_OPEN);
    expect_read(f, &expected);
    go_on(f, LOG_EVERYSEC, false);
    assert_int_equal(log_close(f->log), MEMENTO_OK);
    assert_int_equal(load_from(f, f->dir), ARCHIVE_CLEAN);
    expect_read(f, &expected);
    archive_close(&f->archive);
    heap_free(large);
    buf_fini(&expected);
}

static void restarts_leave_no_small_segments_behind(void **state)
{
    struct fixture *f = *state;
    struct buf expected;
    buf_init(&expected);
    begin(f, LOG_EVERYSEC, false);
    for (unsigned run = 0; run < 8; run++) {
        struct log_writer writer;
        assert_int_equal(log_writer_init(&writer, f->log, wake_nobody, NULL), MEMENTO_OK);
        write_turns(f, &writer, 2, &expected);
        log_writer_fini(&writer);
        assert_true(log_keep_step(f->log));
        assert_int_equal(log_close(f->log), MEMENTO_OK);
        assert_int_equal(load_from(f, f->dir), ARCHIVE_CLEAN);
        expect_read(f, &expected);
        assert_int_equal(f->archive.manifest.segment_count, 1);
        assert_true(f->archive.files[0].bytes < SEGMENT_BYTES / 4);
        go_on(f, LOG_EVERYSEC, false);
    }
    assert_int_equal(log_close(f->log), MEMENTO_OK);
    buf_fini(&expected);
}

static void unstaged_records_are_not_written(void **state)
{
    struct fixture *f = *state;
    struct buf expected;
    buf_init(&expected);
    begin(f, LOG_EVERYSEC, false);
    struct log_writer writer;
    assert_int_equal(log_writer_init(&writer, f->log, wake_nobody, NULL), MEMENTO_OK);
    static char large[LOG_REFERENCE_BYTES];
    turn_begins(&writer);
    struct log_mark nothing = log_staged(&writer);
    stage(&writer, "gone", BYTES("1"), writer.lowest, NULL);
    log_unstage(&writer, nothing);
    stage(&writer, "kept", BYTES("2"), writer.lowest + 5, &expected);
    struct log_mark one = log_staged(&writer);
    stage(&writer, "gone", bytes_of(large, sizeof(large)), writer.lowest + 6, NULL);
    log_unstage(&writer, one);
    assert_int_equal(releases, 1);
    log_commit(&writer);
    log_writer_fini(&writer);
    assert_int_equal(log_close(f->log), MEMENTO_OK);
    load_from(f, f->dir);
    expect_read(f, &expected);
    archive_close(&f->archive);
    buf_fini(&expected);
}

static void a_segment_grows_when_the_next_one_is_not_there_yet(void **state)
{
    struct fixture *f = *state;
    struct buf expected;
    buf_init(&expected);
    begin(f, LOG_EVERYSEC, false);
    struct log_writer writer;
    assert_int_equal(log_writer_init(&writer, f->log, wake_nobody, NULL), MEMENTO_OK);
    static char value[8000];
    memset(value, 'v', sizeof(value));
    for (unsigned i = 0; i < 20; i++) { /* more than two segments, and no keeper */
        turn_begins(&writer);
        stage(&writer, "k", bytes_of(value, sizeof(value) - i), writer.lowest, &expected);
        log_commit(&writer);
        assert_int_equal(writer.written, writer.committed);
    }
    assert_int_equal(log_state(f->log), LOG_READY);
    assert_true(log_keep_step(f->log));
    struct log_stats stats;
    log_stats(f->log, &stats);
    assert_int_equal(stats.stalls, 0);
    assert_int_equal(stats.queued_bytes, 0);
    log_writer_fini(&writer);
    log_abandon(f->log);
    assert_int_equal(load_from(f, f->dir), ARCHIVE_OPEN);
    expect_read(f, &expected);
    archive_close(&f->archive);
    buf_fini(&expected);
}

static void a_moment_is_restored_once(void **state)
{
    struct fixture *f = *state;
    begin(f, LOG_EVERYSEC, false);
    struct log_writer writer;
    assert_int_equal(log_writer_init(&writer, f->log, wake_nobody, NULL), MEMENTO_OK);
    write_turns(f, &writer, 6, NULL);
    log_writer_fini(&writer);
    assert_int_equal(log_close(f->log), MEMENTO_OK);

    struct archive_limit limit = {.sequence = 2};
    size_t len[3];
    for (unsigned run = 0; run < 3; run++) {
        struct buf why;
        buf_init(&why);
        buf_reset(&f->read, 0);
        assert_int_equal(archive_open(&f->archive, f->dir, &limit), MEMENTO_OK);
        assert_int_equal(f->archive.was_restored, run > 0);
        for (size_t i = 0; i < f->archive.file_count; i++) {
            assert_int_equal(archive_read_file(&f->archive, i, visit, f, NULL, &why),
                             MEMENTO_OK);
        }
        len[run] = f->read.len;
        buf_fini(&why);
        go_on(f, LOG_EVERYSEC, false);
        assert_int_equal(log_writer_init(&writer, f->log, wake_nobody, NULL), MEMENTO_OK);
        write_turns(f, &writer, 1, NULL);
        log_writer_fini(&writer);
        assert_int_equal(log_close(f->log), MEMENTO_OK);
    }
    assert_true(len[0] > 0 && len[1] > len[0] && len[2] > len[1]);
}

static void a_version_is_settled_when_no_writer_can_be_below_it(void **state)
{
    struct fixture *f = *state;
    fixed_ms = 1000000;
    begin(f, LOG_ALWAYS, false);
    struct log_writer a, b;
    assert_int_equal(log_writer_init(&a, f->log, wake_nobody, NULL), MEMENTO_OK);
    assert_int_equal(log_writer_init(&b, f->log, wake_nobody, NULL), MEMENTO_OK);
    turn_begins(&a);
    uint64_t version = a.lowest + 1;
    fixed_ms += 10;
    turn_begins(&b);
    stage(&b, "k", BYTES("later"), b.lowest + 1, NULL);
    log_commit(&b);
    log_writer_sleeps(&b);
    log_want_sync(&b);
    log_sync_step(f->log);
    assert_true(log_durable_end(f->log) >= b.written_end);
    assert_true(log_settled_version(f->log) < version); /* a may still write it */
    stage(&a, "k", BYTES("earlier"), version, NULL);
    log_commit(&a);
    log_want_sync(&a);
    log_sync_step(f->log);
    assert_true(log_settled_version(f->log) < version); /* a is in the middle of a turn */
    log_writer_sleeps(&a);
    fixed_ms += 1;
    log_want_sync(&a);
    log_sync_step(f->log);
    assert_true(log_settled_version(f->log) >= version);
    log_writer_fini(&a);
    log_writer_fini(&b);
    assert_int_equal(log_close(f->log), MEMENTO_OK);
    fixed_ms = 0;
}

static void everysec_is_overdue_when_a_sync_takes_too_long(void **state)
{
    struct fixture *f = *state;
    clock_freeze_ms(1000);
    begin(f, LOG_EVERYSEC, false);
    struct log_writer writer;
    assert_int_equal(log_writer_init(&writer, f->log, wake_nobody, NULL), MEMENTO_OK);
    write_turns(f, &writer, 1, NULL);
    assert_false(log_is_overdue(f->log));
    clock_freeze_ms(1499);
    assert_false(log_sync_step(f->log));
    clock_freeze_ms(2001);
    assert_true(log_is_overdue(f->log));
    assert_true(log_sync_step(f->log));
    assert_false(log_is_overdue(f->log));
    assert_true(log_sync_step(f->log)); /* a mark */
    assert_false(log_sync_step(f->log));
    log_writer_fini(&writer);
    assert_int_equal(log_close(f->log), MEMENTO_OK);
    clock_freeze_ms(-1);
}

static void a_snapshot_replaces_what_was_before_it(void **state)
{
    struct fixture *f = *state;
    begin(f, LOG_EVERYSEC, false);
    struct log_writer writer;
    assert_int_equal(log_writer_init(&writer, f->log, wake_nobody, NULL), MEMENTO_OK);
    write_turns(f, &writer, 20, NULL);
    uint64_t first;
    assert_int_equal(log_rotate(f->log, &first), MEMENTO_OK);
    struct snapshot *snapshot;
    assert_int_equal(snapshot_create(&snapshot, f->log), MEMENTO_OK);
    char records[128];
    struct record record = {.kind = RECORD_SET,
                            .version = 77,
                            .deadline_ms = RECORD_NO_DEADLINE,
                            .key = BYTES("only"),
                            .value = BYTES("one")};
    size_t len = record_write(records, &record, 70);
    memcpy(records + len, "one", 3);
    assert_int_equal(
        snapshot_append(snapshot, bytes_of(records, len + 3), NULL, 0, 1, 70),
        MEMENTO_OK);
    struct buf expected;
    buf_init(&expected);
    buf_append_string(&expected, "1 only=one\n");
    write_turns(f, &writer, 1, &expected);
    assert_int_equal(snapshot_commit(snapshot, 1, 1, first), MEMENTO_OK);
    log_writer_fini(&writer);
    log_abandon(f->log);
    load_from(f, f->dir);
    expect_read(f, &expected);
    assert_int_equal(f->archive.manifest.cut, 1);
    go_on(f, LOG_EVERYSEC, false);
    assert_int_equal(log_close(f->log), MEMENTO_OK);
    assert_int_equal(load_from(f, f->dir), ARCHIVE_CLEAN);
    expect_read(f, &expected);
    archive_close(&f->archive);
    buf_fini(&expected);
}

/* Zeros from the first frame of a segment on, but for its magic. */
static void damage_first_frame(struct fixture *f, uint64_t segment, size_t bytes)
{
    static const char zeros[SEGMENT_BYTES];
    char name[FILE_NAME_BYTES];
    segment_name(name, segment);
    int fd = os_file_open(f->dir, name, O_RDWR);
    struct iovec part = {(void *)(uintptr_t)zeros, bytes};
    assert_true(os_file_write_all(fd, &part, 1, FILE_HEADER_BYTES + 8));
    os_file_close(fd);
}

static void expect_corrupt(struct fixture *f)
{
    assert_int_equal(archive_open(&f->archive, f->dir, NULL), MEMENTO_ERR_CORRUPT);
    archive_close(&f->archive);
}

static void a_frame_tells_that_those_before_it_were_on_disk(void **state)
{
    struct fixture *f = *state;
    begin(f, LOG_NEVER, false);
    struct log_writer writer;
    assert_int_equal(log_writer_init(&writer, f->log, wake_nobody, NULL), MEMENTO_OK);
    write_turns(f, &writer, 3, NULL);
    assert_int_equal(log_sync_wait(f->log, log_written_end(f->log)), MEMENTO_OK);
    write_turns(f, &writer, 1, NULL);
    log_writer_fini(&writer);
    log_abandon(f->log);
    damage_first_frame(f, 1, 16);
    expect_corrupt(f);
}

static void what_a_snapshot_rests_on_is_required(void **state)
{
    struct fixture *f = *state;
    begin(f, LOG_NEVER, false);
    struct log_writer writer;
    assert_int_equal(log_writer_init(&writer, f->log, wake_nobody, NULL), MEMENTO_OK);
    write_turns(f, &writer, 2, NULL);
    uint64_t first;
    assert_int_equal(log_rotate(f->log, &first), MEMENTO_OK);
    struct snapshot *snapshot;
    assert_int_equal(snapshot_create(&snapshot, f->log), MEMENTO_OK);
    write_turns(f, &writer, 2, NULL);
    assert_int_equal(snapshot_commit(snapshot, 1, 1, first), MEMENTO_OK);
    log_writer_fini(&writer);
    log_abandon(f->log);
    damage_first_frame(f, first, SEGMENT_BYTES - FILE_HEADER_BYTES - 8);
    expect_corrupt(f);
}

static void a_backup_is_a_directory_of_its_own(void **state)
{
    struct fixture *f = *state;
    struct buf expected;
    buf_init(&expected);
    begin(f, LOG_EVERYSEC, false);
    struct log_writer writer;
    assert_int_equal(log_writer_init(&writer, f->log, wake_nobody, NULL), MEMENTO_OK);
    assert_int_equal(log_backup(f->log, f->dir, "empty"), MEMENTO_OK);
    write_turns(f, &writer, 20, &expected);
    assert_int_equal(log_backup(f->log, f->dir, "monday"), MEMENTO_OK);
    assert_int_equal(log_backup(f->log, f->dir, "monday"), MEMENTO_ERR_IO);
    write_turns(f, &writer, 5, NULL);
    log_writer_fini(&writer);
    assert_int_equal(log_close(f->log), MEMENTO_OK);
    int backup = os_dir_open_at(f->dir, "monday");
    assert_int_equal(load_from(f, backup), ARCHIVE_CLEAN);
    expect_read(f, &expected);
    archive_close(&f->archive);
    os_file_close(backup);
    backup = os_dir_open_at(f->dir, "empty");
    assert_int_equal(load_from(f, backup), ARCHIVE_CLEAN);
    assert_int_equal(f->read.len, 0);
    archive_close(&f->archive);
    os_file_close(backup);
    buf_fini(&expected);
}

static void a_directory_is_open_once(void **state)
{
    struct fixture *f = *state;
    int dir, lock;
    long pid;
    assert_int_equal(log_lock_directory(f->path, false, &dir, &lock, &pid),
                     MEMENTO_ERR_BUSY);
    assert_int_equal(pid, getpid());
}

/* ---- threads ---- */

#define THREADS      4
#define THREAD_TURNS 2000

struct worker {
    struct log_writer writer;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t woken;
    bool is_woken;
    unsigned index;
};

static void wake_worker(void *context)
{
    struct worker *worker = context;
    pthread_mutex_lock(&worker->mutex);
    worker->is_woken = true;
    pthread_cond_signal(&worker->woken);
    pthread_mutex_unlock(&worker->mutex);
}

static void wait_woken(struct worker *worker)
{
    pthread_mutex_lock(&worker->mutex);
    while (!worker->is_woken) {
        pthread_cond_wait(&worker->woken, &worker->mutex);
    }
    worker->is_woken = false;
    pthread_mutex_unlock(&worker->mutex);
}

static bool is_durable(struct worker *worker)
{
    return atomic_load(&worker->writer.written) >= worker->writer.committed &&
           log_durable_end(worker->writer.log) >= worker->writer.written_end;
}

static void *work(void *context)
{
    struct worker *worker = context;
    for (unsigned i = 0; i < THREAD_TURNS; i++) {
        char key[32];
        snprintf(key, sizeof(key), "w%u", worker->index);
        char value[256];
        int len = snprintf(value, sizeof(value), "%u", i);
        memset(value + len, '.', sizeof(value) - (size_t)len);
        turn_begins(&worker->writer);
        stage(&worker->writer, key, bytes_of(value, (size_t)len + i % 200),
              worker->writer.lowest + i, NULL);
        log_commit(&worker->writer);
        log_writer_sleeps(&worker->writer);
        while (i % 5 == 0 && !is_durable(worker)) {
            log_want_sync(&worker->writer);
            if (!is_durable(worker)) {
                wait_woken(worker);
            }
        }
    }
    while (atomic_load(&worker->writer.written) < worker->writer.committed) {
        wait_woken(worker);
    }
    log_writer_sleeps(&worker->writer);
    return NULL;
}

/* Each writer's frames in its own order, none lost. */
static enum memento_status visit_order(void *context, const struct archive_frame *frame)
{
    unsigned *next = context;
    struct bytes left = frame->payload;
    struct record record;
    while (left.len > 0) {
        assert_int_equal(record_read(&left, frame->header.base_version, &record),
                         MEMENTO_OK);
        unsigned writer = (unsigned)(record.key.data[1] - '0');
        assert_int_equal(atoi(record.value.data), next[writer]);
        next[writer]++;
    }
    return MEMENTO_OK;
}

static void many_writers_lose_nothing_and_keep_their_order(void **state)
{
    struct fixture *f = *state;
    begin(f, LOG_ALWAYS, true);
    static struct worker workers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        struct worker *worker = &workers[i];
        *worker = (struct worker){.index = i};
        pthread_mutex_init(&worker->mutex, NULL);
        pthread_cond_init(&worker->woken, NULL);
        assert_int_equal(log_writer_init(&worker->writer, f->log, wake_worker, worker),
                         MEMENTO_OK);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    uint64_t now = (uint64_t)(clock_wall_ms()) << LOG_VERSION_SHIFT;
    assert_int_equal(log_settle_wait(f->log, now), MEMENTO_OK);
    for (unsigned i = 0; i < THREADS; i++) {
        log_writer_fini(&workers[i].writer);
    }
    log_abandon(f->log);
    assert_int_equal(archive_open(&f->archive, f->dir, NULL), MEMENTO_OK);
    unsigned next[THREADS] = {0};
    struct buf why;
    buf_init(&why);
    for (size_t i = 0; i < f->archive.file_count; i++) {
        assert_int_equal(archive_read_file(&f->archive, i, visit_order, next, NULL, &why),
                         MEMENTO_OK);
    }
    assert_int_equal(archive_check_chain(&f->archive, &why), MEMENTO_OK);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(next[i], THREAD_TURNS);
    }
    archive_close(&f->archive);
    buf_fini(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(what_was_committed_is_read_after_a_clean_end),
        T(what_was_committed_is_read_after_a_crash_again_and_again),
        T(segments_follow_one_another_and_a_large_frame_gets_its_own),
        T(restarts_leave_no_small_segments_behind),
        T(unstaged_records_are_not_written),
        T(a_segment_grows_when_the_next_one_is_not_there_yet),
        T(a_moment_is_restored_once),
        T(a_version_is_settled_when_no_writer_can_be_below_it),
        T(everysec_is_overdue_when_a_sync_takes_too_long),
        T(a_snapshot_replaces_what_was_before_it),
        T(a_frame_tells_that_those_before_it_were_on_disk),
        T(what_a_snapshot_rests_on_is_required),
        T(a_backup_is_a_directory_of_its_own),
        T(a_directory_is_open_once),
        T(many_writers_lose_nothing_and_keep_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
