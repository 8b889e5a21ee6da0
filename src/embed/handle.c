/* handle.c - opening, closing, and everything about the directory; see memento.h. */
#include "embed/handle.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/os_file.h"
#include "base/trace.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#define SWEEP_NS 100000000
/* Keys a sweep removes before it looks at the clock again. */
#define SWEEP_BUDGET 1000

#define SEGMENT_BYTES_MAX (1ull << 30)

const char *memento_version(void)
{
    return MEMENTO_VERSION;
}

/* ---- what is said ---- */

/* A library says nothing to a program's stdout unasked. */
static void be_quiet(void)
{
    trace_set_level(TRACE_NOTHING);
}

static pthread_once_t is_quiet = PTHREAD_ONCE_INIT;

enum memento_status memento_trace(const char *path, enum memento_trace_level level)
{
    static_assert((int)MEMENTO_TRACE_INFO == (int)TRACE_INFO &&
                      (int)MEMENTO_TRACE_NOTHING == (int)TRACE_NOTHING,
                  "the levels of the library are those of traces");
    pthread_once(&is_quiet, be_quiet);
    if (level < MEMENTO_TRACE_INFO || level > MEMENTO_TRACE_NOTHING) {
        return MEMENTO_ERR_INVALID;
    }
    enum memento_status status = trace_open(path);
    if (status == MEMENTO_OK) {
        trace_set_level((enum trace_level)level);
    }
    return status;
}

void tell(char *why, size_t why_size, struct bytes text)
{
    if (why != NULL && why_size > 0) {
        size_t len = text.len < why_size ? text.len : why_size - 1;
        if (len > 0) {
            memcpy(why, text.data, len);
        }
        why[len] = '\0';
    }
}

/* ---- the thread that removes due keys ---- */

/* False when it is time to end. */
static bool sweeper_sleep(struct memento *handle) UNCHECKED_LOCKING
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += SWEEP_NS;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    lock_acquire(&handle->sweeper_lock);
    int result = 0;
    while (!handle->is_stopping && result == 0) {
        result = pthread_cond_timedwait(&handle->sweeper_woken,
                                        &handle->sweeper_lock.mutex, &until);
    }
    bool goes_on = !handle->is_stopping;
    lock_release(&handle->sweeper_lock);
    return goes_on;
}

/* Removing a due key is no change of the log's concern: its writer is attached to none. */
static void sweep(void *context)
{
    struct memento *handle = context;
    struct writer *writer = &handle->sweeping;
    while (sweeper_sleep(handle)) {
        (void)ttl_clock_follow(&handle->engine.clock);
        seats_rest(handle);
        bool more = true;
        while (more) {
            writer->now_ms = engine_now_ms(&handle->engine);
            more = engine_sweep(writer, 0, 1, SWEEP_BUDGET);
        }
    }
}

static void sweeper_init(struct memento *handle)
{
    lock_init(&handle->sweeper_lock);
    lock_condition_init(&handle->sweeper_woken);
}

static enum memento_status sweeper_start(struct memento *handle)
{
    enum memento_status status = writer_init(&handle->sweeping, &handle->engine);
    if (status == MEMENTO_OK) {
        status = thread_start(&handle->sweeper, "memento-sweeper", sweep, handle);
        handle->has_sweeper = status == MEMENTO_OK;
    }
    return status;
}

static void sweeper_fini(struct memento *handle)
{
    if (handle->has_sweeper) {
        lock_acquire(&handle->sweeper_lock);
        handle->is_stopping = true;
        pthread_cond_signal(&handle->sweeper_woken);
        lock_release(&handle->sweeper_lock);
        thread_join(&handle->sweeper);
    }
    writer_fini(&handle->sweeping);
    pthread_cond_destroy(&handle->sweeper_woken);
    lock_fini(&handle->sweeper_lock);
}

/* ---- opening ---- */

static enum memento_status check_options(const struct memento_options *options)
{
    bool is_known = options->sync_policy == MEMENTO_SYNC_EVERY_SECOND ||
                    options->sync_policy == MEMENTO_SYNC_ALWAYS ||
                    options->sync_policy == MEMENTO_SYNC_NEVER;
    bool fits =
        options->segment_bytes == 0 || (options->segment_bytes >= LOG_SEGMENT_BYTES_MIN &&
                                        options->segment_bytes <= SEGMENT_BYTES_MAX);
    return is_known && fits && options->load_threads <= MEMENTO_WORKERS_MAX
               ? MEMENTO_OK
               : MEMENTO_ERR_INVALID;
}

/* The options in this library's size: what an older program does not know is as by default, and
 * what a newer one asks for that is not known here is refused. */
static enum memento_status take_options(const struct memento_options *given_options,
                                        struct memento_options *options)
{
    memset(options, 0, sizeof(*options));
    if (given_options == NULL) {
        return MEMENTO_OK;
    }
    size_t size = given_options->size;
    if (size < sizeof(size)) {
        return MEMENTO_ERR_INVALID;
    }
    const char *bytes = (const char *)given_options;
    for (size_t i = sizeof(*options); i < size; i++) {
        if (bytes[i] != 0) {
            return MEMENTO_ERR_INVALID;
        }
    }
    memcpy(options, given_options, size < sizeof(*options) ? size : sizeof(*options));
    return check_options(options);
}

static enum log_policy policy_of(enum memento_sync_policy policy)
{
    switch (policy) {
    case MEMENTO_SYNC_ALWAYS:
        return LOG_ALWAYS;
    case MEMENTO_SYNC_NEVER:
        return LOG_NEVER;
    case MEMENTO_SYNC_EVERY_SECOND:
        break;
    }
    return LOG_EVERYSEC;
}

static enum memento_status load(struct memento *handle, const char *directory,
                                const struct memento_options *options,
                                struct persist_error *error)
{
    struct persist_options persist;
    persist_options_default(&persist);
    persist.directory = directory;
    persist.backup_directory = options->backup_directory;
    persist.policy = handle->policy;
    persist.accept_data_loss = options->accept_data_loss;
    if (options->compacts_on_call_only) {
        persist.compaction_garbage_percent = 0;
    }
    if (options->load_threads > 0) {
        persist.load_threads = options->load_threads;
    }
    if (options->segment_bytes > 0) {
        persist.segment_bytes = options->segment_bytes;
    }
    if (options->compaction_rate > 0) {
        persist.compaction_rate = options->compaction_rate;
    }
    return engine_load(&handle->engine, &persist, NULL, error);
}

static enum memento_status start_engine(struct memento *handle)
{
    struct hash_seed seed;
    enum memento_status status = random_bytes(&seed, sizeof(seed));
    unsigned shards = 8 * thread_cores() < 16 ? 16 : 8 * thread_cores();
    return status != MEMENTO_OK
               ? status
               : engine_init(&handle->engine,
                             shards < MEMENTO_SHARDS_MAX ? shards : MEMENTO_SHARDS_MAX,
                             &seed, clock_wall_ms());
}

static enum memento_status open_with(const char *directory,
                                     const struct memento_options *options,
                                     struct memento **opened, struct persist_error *error)
{
    struct memento *handle = heap_alloc_aligned(64, sizeof(*handle));
    if (handle == NULL) {
        return MEMENTO_ERR_NO_MEMORY;
    }
    memset(handle, 0, sizeof(*handle));
    handle->policy = policy_of(options->sync_policy);
    enum memento_status status = start_engine(handle);
    if (status != MEMENTO_OK) {
        heap_free(handle);
        return status;
    }
    if (directory != NULL) {
        status = load(handle, directory, options, error);
        handle->is_logged = status == MEMENTO_OK;
    }
    seats_init(handle);
    sweeper_init(handle);
    if (status == MEMENTO_OK) {
        status = sweeper_start(handle);
    }
    if (status != MEMENTO_OK) {
        (void)memento_close(handle); /* what went wrong first is what is told */
        return status;
    }
    *opened = handle;
    return MEMENTO_OK;
}

static bool is_there(const char *directory)
{
    int dir = os_dir_open(directory);
    if (dir >= 0) {
        os_file_close(dir);
    }
    return dir >= 0;
}

enum memento_status memento_open(const char *directory,
                                 const struct memento_options *given_options,
                                 struct memento **handle, char *why, size_t why_size)
{
    pthread_once(&is_quiet, be_quiet);
    *handle = NULL;
    tell(why, why_size, bytes_of(NULL, 0));
    struct memento_options options;
    enum memento_status status = take_options(given_options, &options);
    if (status == MEMENTO_OK && directory != NULL && options.must_exist &&
        !is_there(directory)) {
        status = MEMENTO_NOT_FOUND;
    }
    struct persist_error error = {.status = MEMENTO_OK};
    buf_init(&error.text);
    if (status == MEMENTO_OK) {
        status = open_with(directory, &options, handle, &error);
    }
    if (status != MEMENTO_OK) {
        struct bytes text = buf_bytes(&error.text);
        tell(why, why_size,
             text.len > 0 ? text : bytes_of_string(memento_status_text(status)));
    }
    buf_fini(&error.text);
    return status;
}

enum memento_status memento_close(struct memento *handle)
{
    if (handle == NULL) {
        return MEMENTO_OK;
    }
    sweeper_fini(handle);
    seats_fini(handle);
    enum memento_status status =
        handle->is_logged ? engine_close(&handle->engine) : MEMENTO_OK;
    engine_fini(&handle->engine);
    heap_free(handle);
    return status;
}

/* ---- the directory ---- */

enum memento_status memento_sync(struct memento *handle)
{
    if (!handle->is_logged) {
        return MEMENTO_OK;
    }
    struct seat *seat;
    enum memento_status status = turn_begin(handle, &seat);
    if (status != MEMENTO_OK) {
        return status;
    }
    /* Every call that has returned has been written. */
    struct log *log = seat->writer.log.log;
    status = log_sync_wait(log, log_written_end(log));
    return turn_end(seat, status);
}

enum memento_status memento_compact(struct memento *handle)
{
    return handle->is_logged ? engine_compact_now(&handle->engine) : MEMENTO_OK;
}

enum memento_status memento_backup(struct memento *handle, const char *name, char *why,
                                   size_t why_size)
{
    tell(why, why_size, bytes_of(NULL, 0));
    if (!handle->is_logged) {
        tell(why, why_size, bytes_of_string("the data lives in memory only"));
        return MEMENTO_ERR_INVALID;
    }
    struct buf text;
    buf_init(&text);
    enum memento_status status =
        engine_backup(&handle->engine, bytes_of_string(name), &text);
    tell(why, why_size, buf_bytes(&text));
    buf_fini(&text);
    return status;
}

enum memento_status memento_reopen_log(struct memento *handle, char *why, size_t why_size)
{
    tell(why, why_size, bytes_of(NULL, 0));
    if (!handle->is_logged) {
        return MEMENTO_OK;
    }
    struct buf text;
    buf_init(&text);
    enum memento_status status = engine_reopen_log(&handle->engine, &text);
    if (status == MEMENTO_ERR_INVALID) {
        status = MEMENTO_OK; /* it has not failed, or somebody else has reopened it */
    } else {
        tell(why, why_size, buf_bytes(&text));
    }
    buf_fini(&text);
    return status;
}

void memento_get_stats(struct memento *handle, struct memento_stats *stats, size_t size)
{
    struct persist_stats persist;
    engine_persist_stats(&handle->engine, &persist);
    struct memento_stats all = {
        .state = persist.state == LOG_READY      ? MEMENTO_OK
                 : persist.state == LOG_NO_SPACE ? MEMENTO_ERR_NO_SPACE
                                                 : MEMENTO_ERR_LOG_FAILED,
        .keys = memento_count(handle),
        .log_bytes = persist.log.log_bytes,
        .snapshot_bytes = persist.log.snapshot_bytes,
        .unsynced_bytes = persist.log.unsynced_bytes,
        .syncs = persist.log.syncs,
        .compactions = persist.compactions,
        .load_ms = persist.load_ms,
        .load_records = persist.load_records,
    };
    memset(stats, 0, size); /* of fields that are not known here: nothing */
    memcpy(stats, &all, size < sizeof(all) ? size : sizeof(all));
}
