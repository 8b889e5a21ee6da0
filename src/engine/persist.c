/* persist.c - opening and closing a data directory, and what makes its writers log; see
 * persist.h. */
#include "engine/persist.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/os_file.h"
#include "base/trace.h"
#include "engine/persist_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define EXIT_CANNOT_OPEN 1
#define EXIT_CORRUPT     3
#define EXIT_UNSUPPORTED 4

void persist_options_default(struct persist_options *options)
{
    *options = (struct persist_options){
        .policy = LOG_EVERYSEC,
        .segment_bytes = LOG_SEGMENT_BYTES_DEFAULT,
        .max_unsynced_ms = 1000,
        .buffer_bytes_max = 64 * 1024 * 1024,
        .compaction_log_min = 64 * 1024 * 1024,
        .compaction_garbage_percent = 50,
        .compaction_rate = 64 * 1024 * 1024,
        .has_threads = true,
    };
}

/* ---- the struct ---- */

static char *copy_string(const char *text)
{
    return heap_copy(text, strlen(text) + 1);
}

static char *backup_path(const struct persist_options *options)
{
    if (options->backup_directory != NULL) {
        return copy_string(options->backup_directory);
    }
    static const char below[] = "/backups";
    size_t size = strlen(options->directory) + sizeof(below);
    char *path = heap_alloc(size);
    if (path != NULL) {
        snprintf(path, size, "%s%s", options->directory, below);
    }
    return path;
}

static struct persist *persist_create(struct engine *engine,
                                      const struct persist_options *options)
{
    struct persist *persist = heap_alloc_zeroed(1, sizeof(*persist));
    if (persist == NULL) {
        return NULL;
    }
    persist->engine = engine;
    persist->options = *options;
    persist->options.directory = copy_string(options->directory);
    persist->options.backup_directory = backup_path(options);
    persist->options.accept_data_loss = NULL; /* only looked at while loading */
    persist->dir = persist->lock = -1;
    compactor_init(&persist->compactor, persist);
    if (persist->options.directory == NULL || persist->options.backup_directory == NULL) {
        persist_destroy(persist);
        return NULL;
    }
    return persist;
}

void persist_destroy(struct persist *persist)
{
    if (persist == NULL) {
        return;
    }
    CHECK(persist->log == NULL);
    compactor_fini(&persist->compactor);
    heap_free((char *)(uintptr_t)persist->options.directory);
    heap_free((char *)(uintptr_t)persist->options.backup_directory);
    heap_free(persist);
}

static void unlock_directory(struct persist *persist)
{
    if (persist->dir >= 0) {
        log_unlock_directory(persist->dir, persist->lock);
        persist->dir = persist->lock = -1;
    }
}

const struct load_progress *engine_load_progress(const struct engine *engine)
{
    struct persist *persist = engine->persist;
    return persist == NULL ? NULL : &persist->progress;
}

/* ---- refusing ---- */

static int exit_code_of(enum memento_status status)
{
    switch (status) {
    case MEMENTO_ERR_CORRUPT:
        return EXIT_CORRUPT;
    case MEMENTO_ERR_UNSUPPORTED:
        return EXIT_UNSUPPORTED;
    default:
        return EXIT_CANNOT_OPEN;
    }
}

PRINTF_LIKE(3, 4)
static enum memento_status refuse(struct persist_error *error, enum memento_status status,
                                  const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    error->status = status;
    error->exit_code = exit_code_of(status);
    buf_reset(&error->text, SIZE_MAX);
    buf_append_string(&error->text, text);
    return status;
}

/* What is on disk cannot be read: why, and what to do. */
static enum memento_status refuse_data(const struct persist *persist,
                                       struct persist_error *error,
                                       enum memento_status status, struct buf *why)
{
    const char *directory = persist->options.directory;
    const char *text = buf_c_string(why);
    switch (status) {
    case MEMENTO_ERR_CORRUPT:
        return refuse(
            error, status,
            "%s is damaged, and nothing in it was changed: %s. What can be read "
            "is copied by: memento-check repair --out=%s.repaired %s",
            directory, text, directory, directory);
    case MEMENTO_ERR_UNSUPPORTED:
        return refuse(error, status, "%s was written by a newer memento: %s", directory,
                      text);
    case MEMENTO_ERR_INVALID:
        return refuse(error, status, "%s cannot be restored to that moment: %s",
                      directory, text);
    case MEMENTO_CLOSED:
        return refuse(error, status, "loading %s was ended", directory);
    case MEMENTO_ERR_NO_MEMORY:
        return refuse(error, status, "loading %s: %s", directory,
                      why->len > 0 ? text : "there is not enough memory");
    default:
        return refuse(error, status, "%s cannot be read: %s", directory,
                      why->len > 0 ? text : strerror(errno));
    }
}

/* ---- the directory ---- */

static enum memento_status lock_directory(struct persist *persist,
                                          struct persist_error *error)
{
    const char *directory = persist->options.directory;
    long pid;
    enum memento_status status =
        log_lock_directory(directory, true, &persist->dir, &persist->lock, &pid);
    if (status == MEMENTO_OK) {
        struct os_volume volume;
        if (os_volume_of(persist->dir, &volume) && volume.is_remote) {
            trace_warning("%s is on a network file system: its lock may not keep servers "
                          "on other hosts away",
                          directory);
        }
        return MEMENTO_OK;
    }
    int why = errno;
    persist->dir = persist->lock = -1;
    if (status == MEMENTO_ERR_BUSY && pid > 0) {
        return refuse(error, status, "%s is in use by process %ld", directory, pid);
    }
    if (status == MEMENTO_ERR_BUSY) {
        return refuse(error, status, "%s is in use by another process", directory);
    }
    return refuse(error, status, "%s cannot be opened: %s", directory, strerror(why));
}

static void note_file_of_ours(void *context, const char *name)
{
    bool *is_any = context;
    *is_any = *is_any || segment_id_of_name(name) != 0 || part_id_of_name(name) != 0;
}

/* A directory with data but without the file that says what counts is not a new one. */
static enum memento_status check_is_new(struct persist *persist,
                                        struct persist_error *error)
{
    const char *directory = persist->options.directory;
    bool is_any = false;
    if (!os_dir_list(persist->dir, note_file_of_ours, &is_any)) {
        return refuse(error, MEMENTO_ERR_IO, "%s cannot be read: %s", directory,
                      strerror(errno));
    }
    if (is_any) {
        return refuse(error, MEMENTO_ERR_CORRUPT,
                      "%s has files of a log but no %s, which says what counts; nothing "
                      "was changed. Put it back from a copy, or name another directory",
                      directory, MANIFEST_NAME);
    }
    return MEMENTO_OK;
}

/* ---- the log ---- */

static int64_t read_clock(void *context)
{
    return engine_now_ms(context);
}

static void release(void *owner)
{
    large_drop(owner);
}

static enum memento_status open_log(struct persist *persist,
                                    const struct archive *archive,
                                    struct persist_error *error)
{
    const struct persist_options *options = &persist->options;
    const struct log_options log_options = {.policy = options->policy,
                                            .segment_bytes = options->segment_bytes,
                                            .max_unsynced_ms = options->max_unsynced_ms,
                                            .buffer_bytes_max = options->buffer_bytes_max,
                                            .now_ms = read_clock,
                                            .context = persist->engine,
                                            .release = release,
                                            .has_threads = options->has_threads};
    errno = 0;
    struct log *log;
    enum memento_status status = log_open(&log, persist->dir, &log_options, archive);
    if (status != MEMENTO_OK) {
        return refuse(error, status, "no log can be written in %s: %s",
                      options->directory,
                      errno != 0 ? strerror(errno) : "there is not enough memory");
    }
    lock_acquire(&persist->compactor.lock);
    persist->compactor.last_save_ms = clock_wall_ms();
    lock_release(&persist->compactor.lock);
    persist->log = log;
    return MEMENTO_OK;
}

/* ---- loading ---- */

static void time_text(char text[32], int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    strftime(text, 32, "%Y-%m-%d %H:%M:%S UTC", &utc);
}

/* What of the log is not loaded, and stays in files that nobody reads. */
static void warn_of_end(const struct persist *persist, struct archive *archive)
{
    const char *directory = persist->options.directory;
    const struct archive_finding *finding = &archive->finding;
    const struct archive_limit *limit = &archive->limit;
    if (finding->state == ARCHIVE_TORN) {
        trace_warning("%s: %s; cut off, and kept in .torn files", directory,
                      buf_c_string(&archive->finding.text));
    }
    if (finding->frames > 0) {
        char first[32], last[32];
        time_text(first, finding->first_ms);
        time_text(last, finding->last_ms);
        trace_warning("%" PRIu64 " whole frames of it were written from %s to %s",
                      finding->frames, first, last);
    }
    if (finding->is_limited) {
        trace_warning("%s: restored to before frame %" PRIu64
                      ": later ones are not loaded, and kept in .torn files; take "
                      "--restore-to away before the next start",
                      directory, finding->sequence);
    } else if (archive->was_restored) {
        trace_warning(
            "%s: an earlier start has restored this moment: what was written since "
            "is loaded too; take --restore-to away",
            directory);
    } else if (limit->wall_ms != 0 || limit->sequence != 0) {
        trace_warning(
            "%s: the log ends before the moment to restore: all of it is loaded",
            directory);
    }
}

static void uuid_text(char text[2 * UUID_BYTES + 1], const struct archive *archive)
{
    for (size_t i = 0; i < UUID_BYTES; i++) {
        snprintf(text + 2 * i, 3, "%02x", archive->manifest.uuid[i]);
    }
}

/* Damage in the log itself can be cut off, with everything behind it; damage before it cannot. */
static bool can_be_cut(const struct archive *archive)
{
    uint64_t position = archive->finding.position;
    for (size_t i = 0; i < archive->file_count; i++) {
        const struct archive_file *file = &archive->files[i];
        if (file->kind == FILE_LOG && file->id == position_file(position)) {
            return file->end_is_known && file->end == position_offset(position);
        }
    }
    return false;
}

/* Damage that was met: what to do about it depends on where it is. */
static enum memento_status judge_damage(const struct persist *persist,
                                        const struct persist_options *options,
                                        struct archive *archive,
                                        struct persist_error *error)
{
    const char *directory = options->directory;
    const char *text = buf_c_string(&archive->finding.text);
    char uuid[2 * UUID_BYTES + 1];
    uuid_text(uuid, archive);
    if (archive->file_count == 0) {
        return refuse(
            error, MEMENTO_ERR_CORRUPT,
            "%s: %s. It says which files count: put back the one of a backup of "
            "this directory, with its files",
            directory, text);
    }
    if (!can_be_cut(archive)) {
        return refuse_data(persist, error, MEMENTO_ERR_CORRUPT, &archive->finding.text);
    }
    if (options->accept_data_loss == NULL ||
        strcmp(options->accept_data_loss, uuid) != 0) {
        return refuse(
            error, MEMENTO_ERR_CORRUPT,
            "%s is damaged, and nothing in it was changed: %s. What can be read is "
            "copied by: memento-check repair --out=%s.repaired %s; or start with "
            "--accept-data-loss %s, which leaves out everything from there on%s",
            directory, text, directory, directory, uuid,
            options->accept_data_loss == NULL ? "" : " (the uuid given is another one)");
    }
    trace_warning(
        "%s: DATA IS LOST, as was accepted: everything from here on is left out, "
        "and kept in .torn files: %s",
        directory, text);
    return MEMENTO_OK;
}

static enum memento_status judge(const struct persist *persist,
                                 const struct persist_options *options,
                                 struct archive *archive, enum memento_status status,
                                 struct persist_error *error)
{
    if (status == MEMENTO_ERR_CORRUPT) {
        return judge_damage(persist, options, archive, error);
    }
    if (status != MEMENTO_OK) {
        return refuse_data(persist, error, status, &archive->finding.text);
    }
    warn_of_end(persist, archive);
    return MEMENTO_OK;
}

/* How much of the files was used: zeros that wait for frames do not count. */
static void trace_loaded(struct persist *persist, const struct archive *archive)
{
    uint64_t snapshot = 0, log = 0, keys = 0;
    for (size_t i = 0; i < archive->file_count; i++) {
        const struct archive_file *file = &archive->files[i];
        *(file->kind == FILE_LOG ? &log : &snapshot) += file->end - FILE_HEADER_BYTES;
    }
    for (unsigned db = 0; db < MEMENTO_DATABASES; db++) {
        keys += keyspace_keys(&persist->engine->keyspace, (uint8_t)db);
    }
    trace_info("loaded %" PRIu64 " keys (%.1f MB of snapshot, %.1f MB of log, %" PRIu64
               " records) in %" PRIu64 " ms from %s, which was %s",
               keys, (double)snapshot / 1e6, (double)log / 1e6,
               atomic_load(&persist->progress.records), persist->load_ms,
               persist->options.directory,
               archive->finding.state == ARCHIVE_CLEAN ? "closed cleanly"
                                                       : "left by a crash");
}

static enum memento_status load_files(struct persist *persist, struct archive *archive,
                                      const atomic_bool *stop,
                                      struct persist_error *error)
{
    struct engine *engine = persist->engine;
    struct recovered recovered = {0, 0};
    struct buf why;
    buf_init(&why);
    atomic_store(&persist->progress.bytes_total, archive->bytes);
    uint64_t begin_ns = clock_monotonic_ns();
    enum memento_status status = recover(engine, archive, &persist->options,
                                         &persist->progress, stop, &recovered, &why);
    if (status == MEMENTO_OK) {
        status = archive_check_chain(archive, &why);
    }
    persist->load_ms = (clock_monotonic_ns() - begin_ns) / 1000000;
    if (status != MEMENTO_OK) {
        status = refuse_data(persist, error, status, &why);
    } else {
        /* What has expired stays expired, whatever the wall clock says today. */
        ttl_clock_init(&engine->clock, recovered.newest_ms);
        trace_loaded(persist, archive);
    }
    buf_fini(&why);
    return status;
}

static enum memento_status load_archive(struct persist *persist,
                                        const struct persist_options *options,
                                        const atomic_bool *stop,
                                        struct persist_error *error)
{
    struct archive archive;
    enum memento_status status =
        archive_open(&archive, persist->dir, &options->restore_to);
    if (status == MEMENTO_NOT_FOUND) {
        archive_close(&archive);
        status = check_is_new(persist, error);
        return status == MEMENTO_OK ? open_log(persist, NULL, error) : status;
    }
    status = judge(persist, options, &archive, status, error);
    if (status == MEMENTO_OK) {
        status = load_files(persist, &archive, stop, error);
    }
    if (status == MEMENTO_OK) {
        status = open_log(persist, &archive, error);
    }
    archive_close(&archive);
    return status;
}

static enum memento_status start(struct persist *persist, struct persist_error *error)
{
    if (persist->options.has_threads &&
        compactor_start(&persist->compactor) != MEMENTO_OK) {
        log_abandon(persist->log);
        persist->log = NULL;
        return refuse(error, MEMENTO_ERR_IO, "no thread can be started: %s",
                      strerror(errno));
    }
    return MEMENTO_OK;
}

enum memento_status engine_load(struct engine *engine,
                                const struct persist_options *options,
                                const atomic_bool *stop, struct persist_error *error)
{
    *error = (struct persist_error){.status = MEMENTO_OK};
    buf_init(&error->text);
    struct persist *persist = persist_create(engine, options);
    if (persist == NULL) {
        return refuse(error, MEMENTO_ERR_NO_MEMORY, "there is not enough memory");
    }
    atomic_store(&persist->progress.started_ms, clock_wall_ms());
    atomic_store(&persist->progress.is_loading, true);
    engine->persist = persist;
    enum memento_status status = lock_directory(persist, error);
    if (status == MEMENTO_OK) {
        status = load_archive(persist, options, stop, error);
    }
    if (status == MEMENTO_OK) {
        status = start(persist, error);
    }
    if (status != MEMENTO_OK) {
        unlock_directory(persist);
    }
    atomic_store(&persist->progress.is_loading, false);
    return status;
}

/* ---- the end ---- */

enum memento_status engine_close(struct engine *engine)
{
    struct persist *persist = engine->persist;
    if (persist == NULL) {
        return MEMENTO_OK;
    }
    compactor_stop(&persist->compactor);
    enum memento_status status =
        persist->log != NULL ? log_close(persist->log) : MEMENTO_OK;
    persist->log = NULL;
    unlock_directory(persist);
    engine->persist = NULL;
    persist_destroy(persist);
    return status == MEMENTO_OK ? MEMENTO_OK : MEMENTO_ERR_IO;
}

void engine_abandon(struct engine *engine)
{
    struct persist *persist = engine->persist;
    if (persist == NULL) {
        return;
    }
    compactor_stop(&persist->compactor);
    if (persist->log != NULL) {
        log_abandon(persist->log);
        persist->log = NULL;
    }
    unlock_directory(persist);
    engine->persist = NULL;
    persist_destroy(persist);
}

/* ---- writers ---- */

enum memento_status writer_attach(struct writer *writer, void (*wake)(void *context),
                                  void *context)
{
    struct persist *persist = writer->engine->persist;
    CHECK(writer->log.log == NULL);
    if (persist == NULL) {
        return MEMENTO_OK;
    }
    return log_writer_init(&writer->log, persist->log, wake, context);
}

void writer_detach(struct writer *writer)
{
    CHECK(writer->span_depth == 0);
    if (writer->log.log != NULL) {
        log_commit(&writer->log);
        log_writer_fini(&writer->log);
        writer->log.log = NULL;
    }
}
