/* jobs.c - the compaction thread: when it compacts by itself, and what it is asked for. Compactions,
 * backups and reopenings exclude one another, whoever does them. */
#include "base/check.h"
#include "base/clock.h"
#include "base/os_file.h"
#include "base/trace.h"
#include "engine/persist_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

/* How often the thread looks whether a compaction is due. */
#define LOOK_MS      100
#define RETRY_MS_MIN 1000
#define RETRY_MS_MAX 300000

/* ---- waiting ---- */

void compactor_wait_ns(struct compactor *compactor, uint64_t ns)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t sum = (uint64_t)until.tv_nsec + ns;
    until.tv_sec += (time_t)(sum / 1000000000);
    until.tv_nsec = (long)(sum % 1000000000);
    (void)pthread_cond_timedwait(&compactor->changed, &compactor->lock.mutex, &until);
}

/* Compactions, backups and reopenings: one at a time. */
static void become_busy(struct compactor *compactor) REQUIRES(compactor->lock)
{
    while (compactor->is_busy) {
        pthread_cond_wait(&compactor->changed, &compactor->lock.mutex);
    }
    compactor->is_busy = true;
}

static void end_being_busy(struct compactor *compactor) REQUIRES(compactor->lock)
{
    compactor->is_busy = false;
    pthread_cond_broadcast(&compactor->changed);
}

/* ---- being busy with it ---- */

static void note_outcome(struct compactor *compactor, enum memento_status status,
                         uint64_t begin_ns) REQUIRES(compactor->lock)
{
    uint64_t now_ns = clock_monotonic_ns();
    compactor->last = status;
    compactor->last_compaction_ms = (int64_t)((now_ns - begin_ns) / 1000000);
    if (status == MEMENTO_OK) {
        compactor->compactions++;
        compactor->last_save_ms = clock_wall_ms();
        compactor->retry_ms = 0;
        compactor->retry_ns = 0;
        return;
    }
    compactor->failed++;
    uint32_t longer = compactor->retry_ms * 2;
    compactor->retry_ms = longer < RETRY_MS_MIN   ? RETRY_MS_MIN
                          : longer > RETRY_MS_MAX ? RETRY_MS_MAX
                                                  : longer;
    compactor->retry_ns = now_ns + compactor->retry_ms * 1000000ull;
}

static void trace_outcome(const struct compactor *compactor, enum memento_status status,
                          uint64_t ms)
{
    if (status == MEMENTO_OK) {
        struct log_stats stats;
        log_stats(compactor->persist->log, &stats);
        trace_info("compacted in %" PRIu64 " ms: the snapshot has %" PRIu64
                   " bytes, the log %" PRIu64,
                   ms, stats.snapshot_bytes, stats.log_bytes);
    } else if (status != MEMENTO_CLOSED) {
        trace_warning(
            "compacting failed (%s); the old snapshot and the log stay in force",
            status == MEMENTO_ERR_NO_SPACE     ? "no space"
            : status == MEMENTO_ERR_NO_MEMORY  ? "no memory"
            : status == MEMENTO_ERR_LOG_FAILED ? "the log has failed"
                                               : "the disk");
    }
}

static enum memento_status compact_when_free(struct compactor *compactor)
    REQUIRES(compactor->lock)
{
    become_busy(compactor);
    compactor->is_compacting = true;
    compactor->is_wanted = false;
    uint64_t begin_ns = clock_monotonic_ns();
    lock_release(&compactor->lock);
    enum memento_status status = compaction_run(compactor);
    trace_outcome(compactor, status, (clock_monotonic_ns() - begin_ns) / 1000000);
    lock_acquire(&compactor->lock);
    compactor->is_compacting = false;
    note_outcome(compactor, status, begin_ns);
    end_being_busy(compactor);
    return status;
}

enum memento_status engine_compact_now(struct engine *engine)
{
    struct persist *persist = engine->persist;
    if (persist == NULL) {
        return MEMENTO_ERR_INVALID;
    }
    struct compactor *compactor = &persist->compactor;
    enum memento_status status;
    lock_acquire(&compactor->lock);
    if (compactor->is_compacting) {
        uint64_t ended = compactor->compactions + compactor->failed;
        while (compactor->compactions + compactor->failed == ended) {
            pthread_cond_wait(&compactor->changed, &compactor->lock.mutex);
        }
        status = compactor->last;
    } else {
        status = compact_when_free(compactor);
    }
    lock_release(&compactor->lock);
    return status;
}

enum memento_status engine_compact(struct engine *engine)
{
    struct persist *persist = engine->persist;
    if (persist == NULL) {
        return MEMENTO_ERR_INVALID;
    }
    struct compactor *compactor = &persist->compactor;
    lock_acquire(&compactor->lock);
    bool is_free = !compactor->is_wanted && !compactor->is_compacting;
    compactor->is_wanted = true;
    pthread_cond_broadcast(&compactor->changed);
    lock_release(&compactor->lock);
    return is_free ? MEMENTO_OK : MEMENTO_AGAIN;
}

enum memento_status engine_reopen_log(struct engine *engine, struct buf *why)
{
    struct persist *persist = engine->persist;
    if (persist == NULL) {
        buf_append_string(why, "there is no log");
        return MEMENTO_ERR_INVALID;
    }
    struct compactor *compactor = &persist->compactor;
    lock_acquire(&compactor->lock);
    become_busy(compactor);
    lock_release(&compactor->lock);
    enum memento_status status = compaction_reopen(compactor, why);
    lock_acquire(&compactor->lock);
    if (status == MEMENTO_OK) {
        compactor->last_save_ms = clock_wall_ms();
    }
    end_being_busy(compactor);
    lock_release(&compactor->lock);
    return status;
}

/* ---- backups ---- */

static bool is_backup_name(struct bytes name)
{
    if (name.len == 0 || name.len > BACKUP_NAME_MAX || name.data[0] == '.') {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
        if (!is_word) {
            return false;
        }
    }
    return true;
}

static int open_backups(const struct persist *persist)
{
    const char *path = persist->options.backup_directory;
    return os_dir_make(path) == 0 ? os_dir_open(path) : -1;
}

static enum memento_status back_up(struct persist *persist, const char *name,
                                   struct buf *why)
{
    int to = open_backups(persist);
    if (to < 0) {
        buf_appendf(why, "%s: %s", persist->options.backup_directory, strerror(errno));
        return MEMENTO_ERR_IO;
    }
    enum memento_status status = log_backup(persist->log, to, name);
    if (status == MEMENTO_ERR_LOG_FAILED) {
        buf_append_string(why, "the log has failed");
    } else if (status != MEMENTO_OK) {
        buf_appendf(why, "%s/%s: %s", persist->options.backup_directory, name,
                    errno == EXDEV
                        ? "the backup directory is on another file system, where "
                          "no hard links can be made"
                        : strerror(errno));
    }
    os_file_close(to);
    return status;
}

enum memento_status engine_backup(struct engine *engine, struct bytes name,
                                  struct buf *why)
{
    struct persist *persist = engine->persist;
    if (persist == NULL) {
        buf_append_string(why, "there is no log");
        return MEMENTO_ERR_INVALID;
    }
    if (!is_backup_name(name)) {
        buf_append_string(why, "a backup's name has 1 to 64 letters, digits, '.', '_' or "
                               "'-', and does not begin with '.'");
        return MEMENTO_ERR_INVALID;
    }
    char text[BACKUP_NAME_MAX + 1] = {0};
    memcpy(text, name.data, name.len);
    struct compactor *compactor = &persist->compactor;
    lock_acquire(&compactor->lock);
    become_busy(compactor);
    lock_release(&compactor->lock);
    enum memento_status status = back_up(persist, text, why);
    lock_acquire(&compactor->lock);
    end_being_busy(compactor);
    lock_release(&compactor->lock);
    return status;
}

/* ---- jobs ---- */

static enum memento_status do_job(struct engine *engine, const struct job *job,
                                  struct buf *why)
{
    switch (job->kind) {
    case JOB_COMPACT:
        return engine_compact_now(engine);
    case JOB_BACKUP:
        return engine_backup(engine, bytes_of_string(job->name), why);
    case JOB_REOPEN:
        return engine_reopen_log(engine, why);
    case JOB_NONE:
        break;
    }
    CHECK(false);
    return MEMENTO_ERR_INVALID;
}

static void run_job(struct engine *engine, const struct job *job)
{
    struct buf why;
    buf_init(&why);
    enum memento_status status = do_job(engine, job, &why);
    job->done(job->context, status, buf_bytes(&why));
    buf_fini(&why);
}

/* Without a thread it is done at once. */
static enum memento_status ask(struct engine *engine, const struct job *job)
{
    struct persist *persist = engine->persist;
    if (persist == NULL) {
        return MEMENTO_ERR_INVALID;
    }
    struct compactor *compactor = &persist->compactor;
    if (!compactor->has_thread) {
        run_job(engine, job);
        return MEMENTO_OK;
    }
    enum memento_status status = MEMENTO_AGAIN;
    lock_acquire(&compactor->lock);
    if (compactor_is_stopping(compactor)) {
        status = MEMENTO_CLOSED;
    } else if (compactor->job.kind == JOB_NONE) {
        compactor->job = *job;
        pthread_cond_broadcast(&compactor->changed);
        status = MEMENTO_OK;
    }
    lock_release(&compactor->lock);
    return status;
}

enum memento_status engine_backup_job(struct engine *engine, struct bytes name,
                                      engine_done *done, void *context)
{
    if (!is_backup_name(name)) {
        return MEMENTO_ERR_INVALID;
    }
    struct job job = {.kind = JOB_BACKUP, .done = done, .context = context};
    memcpy(job.name, name.data, name.len);
    return ask(engine, &job);
}

enum memento_status engine_reopen_job(struct engine *engine, engine_done *done,
                                      void *context)
{
    struct job job = {.kind = JOB_REOPEN, .done = done, .context = context};
    return ask(engine, &job);
}

enum memento_status engine_compact_job(struct engine *engine, engine_done *done,
                                       void *context)
{
    struct job job = {.kind = JOB_COMPACT, .done = done, .context = context};
    return ask(engine, &job);
}

/* ---- the thread ---- */

/* Whether the log has grown so much that it is worth it; takes the shards' locks only when the
 * first number says that it may. */
static bool is_due(struct persist *persist)
{
    const struct persist_options *options = &persist->options;
    struct log_stats stats;
    log_stats(persist->log, &stats);
    if (log_state(persist->log) == LOG_FAILED) {
        return false;
    }
    if (options->compaction_log_max > 0 &&
        stats.log_bytes >= options->compaction_log_max) {
        return true;
    }
    if (options->compaction_garbage_percent == 0 ||
        stats.log_bytes < options->compaction_log_min) {
        return false;
    }
    uint64_t total = stats.snapshot_bytes + stats.log_bytes;
    uint64_t live = compaction_live_bytes(persist->engine);
    uint64_t garbage = total > live ? total - live : 0;
    return (double)garbage >= (double)total * options->compaction_garbage_percent / 100.0;
}

static bool may_begin_itself(const struct compactor *compactor) REQUIRES(compactor->lock)
{
    return clock_monotonic_ns() >= compactor->retry_ns;
}

/* One look at what there is to do. */
static void look(struct compactor *compactor) REQUIRES(compactor->lock)
{
    if (compactor->job.kind != JOB_NONE) {
        struct job job = compactor->job;
        compactor->job.kind = JOB_NONE;
        lock_release(&compactor->lock);
        run_job(compactor->persist->engine, &job);
        lock_acquire(&compactor->lock);
        return;
    }
    if (!compactor->is_wanted && may_begin_itself(compactor) && !compactor->is_busy) {
        lock_release(&compactor->lock);
        bool wanted = is_due(compactor->persist);
        lock_acquire(&compactor->lock);
        compactor->is_wanted = compactor->is_wanted || wanted;
    }
    if (compactor->is_wanted) {
        (void)!compact_when_free(compactor);
    } else if (!compactor_is_stopping(compactor) && compactor->job.kind == JOB_NONE) {
        compactor_wait_ns(compactor, LOOK_MS * 1000000ull);
    }
}

static void compactor_main(void *context)
{
    struct compactor *compactor = context;
    lock_acquire(&compactor->lock);
    while (!compactor_is_stopping(compactor)) {
        look(compactor);
    }
    struct job job = compactor->job;
    compactor->job.kind = JOB_NONE;
    lock_release(&compactor->lock);
    if (job.kind != JOB_NONE) {
        job.done(job.context, MEMENTO_CLOSED, BYTES("the log is being closed"));
    }
}

void compactor_init(struct compactor *compactor, struct persist *persist)
{
    *compactor = (struct compactor){.persist = persist, .last_compaction_ms = -1};
    lock_init(&compactor->lock);
    lock_condition_init(&compactor->changed);
}

void compactor_fini(struct compactor *compactor)
{
    CHECK(!compactor->has_thread && !compactor->is_busy);
    pthread_cond_destroy(&compactor->changed);
    lock_fini(&compactor->lock);
}

enum memento_status compactor_start(struct compactor *compactor)
{
    enum memento_status status =
        thread_start(&compactor->thread, "compact", compactor_main, compactor);
    compactor->has_thread = status == MEMENTO_OK;
    return status;
}

void compactor_stop(struct compactor *compactor)
{
    lock_acquire(&compactor->lock);
    atomic_store(&compactor->is_stopping, true);
    pthread_cond_broadcast(&compactor->changed);
    lock_release(&compactor->lock);
    if (compactor->has_thread) {
        thread_join(&compactor->thread);
        compactor->has_thread = false;
    }
}

void engine_set_hook(struct engine *engine, engine_hook *hook, void *context)
{
    struct persist *persist = engine->persist;
    CHECK(persist != NULL);
    persist->compactor.hook_context = context;
    persist->compactor.hook = hook;
}

/* ---- INFO ---- */

void engine_persist_stats(struct engine *engine, struct persist_stats *stats)
{
    *stats = (struct persist_stats){.state = LOG_READY, .last_compaction_ms = -1};
    struct persist *persist = engine->persist;
    if (persist == NULL || persist->log == NULL) {
        return;
    }
    log_stats(persist->log, &stats->log);
    stats->state = log_state(persist->log);
    stats->live_bytes = compaction_live_bytes(engine);
    stats->load_ms = persist->load_ms;
    stats->load_records = atomic_load(&persist->progress.records);
    struct compactor *compactor = &persist->compactor;
    lock_acquire(&compactor->lock);
    stats->is_compacting = compactor->is_compacting;
    stats->is_compaction_wanted = compactor->is_wanted;
    stats->compactions = compactor->compactions;
    stats->compactions_failed = compactor->failed;
    stats->last_compaction = compactor->last;
    stats->last_save_ms = compactor->last_save_ms;
    stats->last_compaction_ms = compactor->last_compaction_ms;
    stats->compaction_lock_us_max = compactor->hold_us_max;
    lock_release(&compactor->lock);
}
