/* compact.c - a snapshot of the keyspace while it is being changed, so that the log before it can
 * go; the thread that does it, and the jobs it does besides.
 *
 * The snapshot is fuzzy: a few buckets at a time are copied under their shard's lock, each entry
 * with its own version; what is changed meanwhile is in the log. Why the two together are whole
 * is proved in ../log/README.md. Nobody pays for it but by waiting for a shard some tens of
 * microseconds, and it needs little memory, however many keys there are. */
#include "base/check.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/os_file.h"
#include "base/trace.h"
#include "engine/persist_parts.h"
#include "engine/staging.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* One hold of a shard ends after so many buckets (eight keys each, or so), so many copied bytes
 * or so many blocks referred to. */
#define HOLD_BUCKETS_MAX    8
#define HOLD_BYTES          (64u * 1024)
#define HOLD_REFERENCES_MAX 64
/* Buckets a hold become fewer above this, and more again below a half of it. */
#define HOLD_NS_MAX 50000u
/* What was copied is written when it has so many bytes, or so many more are referred to. One
 * frame refers to no more than that either, unless it is one value. */
#define FRAME_BYTES           (16u * 1024)
#define FRAME_REFERENCE_BYTES (1024u * 1024)
/* Throttling sleeps when it is ahead by so much. A thread that sleeps often never has a core for
 * long, which others would have to wait for; so steps are short. It may be behind by more. */
#define THROTTLE_STEP_NS   300000u
#define THROTTLE_BEHIND_NS 10000000u
/* How often the thread looks whether a compaction is due, and how syncs are doing. */
#define LOOK_MS      100
#define RETRY_MS_MIN 1000
#define RETRY_MS_MAX 300000
/* Room on the disk besides what the snapshot will take. */
#define SPARE_SEGMENTS 2

/* A value in the frame that is not copied, and where a frame can be cut before it. */
struct kept {
    struct large *owner;
    struct bytes bytes;
    size_t record_at, value_at; /* in `records` */
    uint32_t records_before;
};

struct compaction {
    struct compactor *compactor;
    struct engine *engine;
    struct log *log;
    struct snapshot *snapshot;
    /* Copied, and not written yet. */
    struct buf records;
    uint32_t record_count;
    struct kept *kept;
    size_t kept_count, kept_cap, kept_bytes;
    bool is_out_of_memory;
    /* The hold. */
    unsigned hold_buckets;
    uint64_t hold_ns_max;
    /* The throttle: bytes that were written are paid for until then. */
    uint64_t paid_ns, looked_ns;
    bool is_slowed;
};

/* ---- waiting ---- */

static void wait_ns(struct compactor *compactor, uint64_t ns) REQUIRES(compactor->lock)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t sum = (uint64_t)until.tv_nsec + ns;
    until.tv_sec += (time_t)(sum / 1000000000);
    until.tv_nsec = (long)(sum % 1000000000);
    (void)pthread_cond_timedwait(&compactor->changed, &compactor->lock.mutex, &until);
}

static bool is_stopping(const struct compactor *compactor)
{
    return atomic_load_explicit(&compactor->is_stopping, memory_order_relaxed);
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

/* ---- writing frames ---- */

/* Half of the rate while syncs take much longer than they use to: somebody else waits for the
 * same disk. */
static void look_at_syncs(struct compaction *compaction, uint64_t now_ns)
{
    if (now_ns - compaction->looked_ns >= LOOK_MS * 1000000ull) {
        struct log_stats stats;
        log_stats(compaction->log, &stats);
        compaction->is_slowed = stats.sync_us_p99 > 2 * stats.sync_us_p50;
        compaction->looked_ns = now_ns;
    }
}

static void throttle(struct compaction *compaction, uint64_t bytes)
{
    struct compactor *compactor = compaction->compactor;
    uint64_t rate = compactor->persist->options.compaction_rate;
    if (rate == 0) {
        return;
    }
    uint64_t now_ns = clock_monotonic_ns();
    look_at_syncs(compaction, now_ns);
    rate = compaction->is_slowed && rate > 1 ? rate / 2 : rate;
    if (compaction->paid_ns + THROTTLE_BEHIND_NS < now_ns) {
        compaction->paid_ns = now_ns - THROTTLE_BEHIND_NS;
    }
    compaction->paid_ns += (uint64_t)((double)bytes * 1e9 / (double)rate);
    if (compaction->paid_ns > now_ns + THROTTLE_STEP_NS) {
        lock_acquire(&compactor->lock);
        if (!is_stopping(compactor)) {
            wait_ns(compactor, compaction->paid_ns - now_ns);
        }
        lock_release(&compactor->lock);
    }
}

static void drop_records(struct compaction *compaction)
{
    for (size_t i = 0; i < compaction->kept_count; i++) {
        large_drop(compaction->kept[i].owner);
    }
    compaction->records.len = 0;
    compaction->record_count = 0;
    compaction->kept_count = 0;
    compaction->kept_bytes = 0;
}

/* A stretch of `records`, and of what it refers to. */
struct stretch {
    size_t from, to;
    uint32_t records_from, records_to;
    size_t kept_from, kept_to;
    size_t kept_bytes;
};

/* Entries are of any age, so versions are written whole: the base is 0. */
static enum memento_status write_stretch(struct compaction *compaction,
                                         const struct stretch *stretch)
{
    struct log_reference references[SNAPSHOT_REFERENCES_MAX];
    size_t count = 0;
    for (size_t i = stretch->kept_from; i < stretch->kept_to; i++) {
        const struct kept *kept = &compaction->kept[i];
        references[count++] = (struct log_reference){kept->bytes, kept->owner,
                                                     kept->value_at - stretch->from};
    }
    struct bytes records =
        bytes_of(compaction->records.data + stretch->from, stretch->to - stretch->from);
    enum memento_status status =
        snapshot_append(compaction->snapshot, records, references, count,
                        stretch->records_to - stretch->records_from, 0);
    if (status == MEMENTO_OK) {
        throttle(compaction, records.len + stretch->kept_bytes);
    }
    return status;
}

/* Into as many frames as the limits of one make necessary: nearly always one. */
static enum memento_status write_records(struct compaction *compaction)
{
    struct stretch stretch = {.to = 0};
    enum memento_status status = MEMENTO_OK;
    for (size_t i = 0; i < compaction->kept_count && status == MEMENTO_OK; i++) {
        const struct kept *kept = &compaction->kept[i];
        bool is_full = i - stretch.kept_from == SNAPSHOT_REFERENCES_MAX ||
                       stretch.kept_bytes + kept->bytes.len > FRAME_REFERENCE_BYTES;
        if (is_full && kept->record_at > stretch.from) {
            stretch.to = kept->record_at;
            stretch.records_to = kept->records_before;
            stretch.kept_to = i;
            status = write_stretch(compaction, &stretch);
            stretch = (struct stretch){.from = kept->record_at,
                                       .records_from = kept->records_before,
                                       .kept_from = i};
        }
        stretch.kept_bytes += kept->bytes.len;
    }
    if (status == MEMENTO_OK && compaction->record_count > 0) {
        stretch.to = compaction->records.len;
        stretch.records_to = compaction->record_count;
        stretch.kept_to = compaction->kept_count;
        status = write_stretch(compaction, &stretch);
    }
    drop_records(compaction);
    return status;
}

/* ---- scanning ---- */

/* A place for one more; grows only when a bucket is very full. */
static bool kept_reserve(struct compaction *compaction)
{
    if (compaction->kept_count < compaction->kept_cap) {
        return true;
    }
    size_t cap = 2 * compaction->kept_cap + 2 * HOLD_REFERENCES_MAX;
    struct kept *more = heap_realloc(compaction->kept, cap * sizeof(*more));
    if (more != NULL) {
        compaction->kept = more;
        compaction->kept_cap = cap;
    }
    return more != NULL;
}

static void add_record(struct compaction *compaction, const struct record *record,
                       struct large *large)
{
    struct buf *records = &compaction->records;
    bool is_kept = large != NULL && record->value.len >= LOG_REFERENCE_BYTES;
    size_t room =
        RECORD_OVERHEAD_MAX + record->key.len + (is_kept ? 0 : record->value.len);
    if (!buf_reserve(records, room) || (is_kept && !kept_reserve(compaction))) {
        compaction->is_out_of_memory = true;
        return;
    }
    size_t record_at = records->len;
    records->len += record_write(records->data + records->len, record, 0);
    if (is_kept) {
        compaction->kept[compaction->kept_count++] =
            (struct kept){large_take(large), record->value, record_at, records->len,
                          compaction->record_count};
        compaction->kept_bytes += record->value.len;
    } else if (record->kind == RECORD_SET) {
        buf_append_bytes(records, record->value);
    }
    compaction->record_count++;
}

static void visit_entry(void *context, const struct item *item)
{
    struct compaction *compaction = context;
    struct record record = record_of_item(item);
    add_record(compaction, &record, item->large);
}

/* Nothing is due here: a writer whose clock was read a moment ago may still give an entry that
 * has just expired another deadline, and then the log has no more than that. */
static uint64_t scan_some(struct compaction *compaction, struct shard *shard,
                          uint64_t position)
{
    size_t bytes_max = compaction->records.len + HOLD_BYTES;
    size_t kept_max = compaction->kept_count + HOLD_REFERENCES_MAX;
    unsigned buckets = 0;
    uint64_t begin_ns = clock_thread_cpu_ns();
    shard_lock(shard);
    do {
        position = shard_scan(shard, position, INT64_MIN, visit_entry, compaction);
        buckets++;
    } while (position != 0 && buckets < compaction->hold_buckets &&
             compaction->records.len < bytes_max && compaction->kept_count < kept_max &&
             !compaction->is_out_of_memory);
    shard_unlock(shard);
    uint64_t held_ns = clock_thread_cpu_ns() - begin_ns;
    if (held_ns > HOLD_NS_MAX) {
        compaction->hold_buckets = (compaction->hold_buckets + 1) / 2;
    } else if (held_ns < HOLD_NS_MAX / 2 && compaction->hold_buckets < HOLD_BUCKETS_MAX) {
        compaction->hold_buckets++;
    }
    compaction->hold_ns_max =
        held_ns > compaction->hold_ns_max ? held_ns : compaction->hold_ns_max;
    return position;
}

static void reach(struct compaction *compaction, enum engine_point point, unsigned shard)
{
    struct compactor *compactor = compaction->compactor;
    if (compactor->hook != NULL) {
        compactor->hook(compactor->hook_context, point, shard);
    }
}

static enum memento_status scan_shard(struct compaction *compaction, unsigned index)
{
    struct shard *shard = &compaction->engine->keyspace.shards[index];
    uint64_t position = 0;
    do {
        if (is_stopping(compaction->compactor)) {
            return MEMENTO_CLOSED;
        }
        position = scan_some(compaction, shard, position);
        if (compaction->is_out_of_memory) {
            return MEMENTO_ERR_NO_MEMORY;
        }
        if (compaction->records.len >= FRAME_BYTES ||
            compaction->kept_bytes >= FRAME_REFERENCE_BYTES) {
            enum memento_status status = write_records(compaction);
            if (status != MEMENTO_OK) {
                return status;
            }
        }
        reach(compaction, ENGINE_STEP, index);
    } while (position != 0);
    return MEMENTO_OK;
}

/* Whoever exchanges databases holds all shards, so one of them is enough to read the map. */
static void add_map(struct compaction *compaction)
{
    struct engine *engine = compaction->engine;
    struct shard *shard = &engine->keyspace.shards[0];
    char map[MEMENTO_DATABASES];
    shard_lock(shard);
    uint64_t version = engine->map_version;
    engine_read_map(engine, map);
    shard_unlock(shard);
    if (version != 0) {
        add_record(compaction,
                   &(struct record){.kind = RECORD_MAP,
                                    .version = version,
                                    .deadline_ms = RECORD_NO_DEADLINE,
                                    .value = bytes_of(map, sizeof(map))},
                   NULL);
    }
}

/* No change made until now has a greater version. */
static uint64_t newest_version(struct keyspace *keyspace)
{
    uint64_t newest = 0;
    for (unsigned i = 0; i < keyspace->shard_count; i++) {
        struct shard *shard = &keyspace->shards[i];
        shard_lock(shard);
        newest = shard->clock > newest ? shard->clock : newest;
        shard_unlock(shard);
    }
    return newest;
}

/* The greatest clock of all shards; then no shard gives a version up to it any more. */
static uint64_t read_cut(struct keyspace *keyspace)
{
    uint64_t cut = newest_version(keyspace);
    for (unsigned i = 0; i < keyspace->shard_count; i++) {
        struct shard *shard = &keyspace->shards[i];
        shard_lock(shard);
        shard_raise_clock(shard, cut);
        shard_unlock(shard);
    }
    return cut;
}

/* The log has rotated: from the cut to the last entry. */
static enum memento_status scan_keyspace(struct compaction *compaction, uint64_t *cut)
{
    struct keyspace *keyspace = &compaction->engine->keyspace;
    reach(compaction, ENGINE_ROTATED, 0);
    *cut = read_cut(keyspace);
    reach(compaction, ENGINE_CUT, 0);
    enum memento_status status = snapshot_create(&compaction->snapshot, compaction->log);
    if (status == MEMENTO_OK) {
        add_map(compaction);
        for (unsigned i = 0; i < keyspace->shard_count && status == MEMENTO_OK; i++) {
            status = scan_shard(compaction, i);
        }
    }
    if (status == MEMENTO_OK) {
        status = write_records(compaction);
    }
    if (status == MEMENTO_OK) {
        reach(compaction, ENGINE_COMMITTING, 0);
    }
    return status;
}

static enum memento_status begin(struct compaction *compaction,
                                 struct compactor *compactor)
{
    *compaction = (struct compaction){.compactor = compactor,
                                      .engine = compactor->persist->engine,
                                      .log = compactor->persist->log,
                                      .hold_buckets = HOLD_BUCKETS_MAX};
    buf_init(&compaction->records);
    bool has_room = buf_reserve(&compaction->records, FRAME_BYTES + 2 * HOLD_BYTES) &&
                    kept_reserve(compaction);
    return has_room ? MEMENTO_OK : MEMENTO_ERR_NO_MEMORY;
}

static void end(struct compaction *compaction)
{
    struct compactor *compactor = compaction->compactor;
    drop_records(compaction);
    buf_fini(&compaction->records);
    heap_free(compaction->kept);
    uint64_t us = compaction->hold_ns_max / 1000;
    lock_acquire(&compactor->lock);
    compactor->hold_us_max = us > compactor->hold_us_max ? us : compactor->hold_us_max;
    lock_release(&compactor->lock);
}

/* ---- compacting and reopening: the caller is busy, without the lock ---- */

/* About what a snapshot would have: chunks and blocks have about the size of their records. */
static uint64_t live_bytes(struct engine *engine)
{
    struct keyspace_memory memory;
    keyspace_memory(&engine->keyspace, &memory);
    return memory.entry_bytes + memory.large_bytes;
}

/* The old files go only when the new ones are whole. */
static enum memento_status check_space(struct persist *persist)
{
    struct os_volume volume;
    uint64_t live = live_bytes(persist->engine);
    uint64_t needed = live + live / 10 + SPARE_SEGMENTS * persist->options.segment_bytes;
    if (!os_volume_of(persist->dir, &volume) || volume.free_bytes >= needed) {
        return MEMENTO_OK;
    }
    trace_warning("not compacting: the disk has %" PRIu64 " MB free, it takes %" PRIu64
                  " MB",
                  volume.free_bytes / 1000000, needed / 1000000);
    return MEMENTO_ERR_NO_SPACE;
}

static enum memento_status compact(struct compactor *compactor)
{
    struct persist *persist = compactor->persist;
    struct compaction compaction;
    uint64_t first_segment, cut;
    enum memento_status status = begin(&compaction, compactor);
    if (status == MEMENTO_OK) {
        status = check_space(persist);
    }
    if (status == MEMENTO_OK) {
        status = log_rotate(persist->log, &first_segment);
    }
    if (status == MEMENTO_OK) {
        status = scan_keyspace(&compaction, &cut);
        if (status == MEMENTO_OK) {
            uint64_t newest = newest_version(&persist->engine->keyspace);
            status = snapshot_commit(compaction.snapshot, cut, newest, first_segment);
        } else {
            snapshot_abandon(compaction.snapshot);
        }
    }
    end(&compaction);
    return status;
}

static enum memento_status reopen(struct compactor *compactor, struct buf *why)
{
    struct persist *persist = compactor->persist;
    struct compaction compaction;
    uint64_t first_segment, cut;
    const char *what = "there is not enough memory";
    enum memento_status status = begin(&compaction, compactor);
    if (status == MEMENTO_OK) {
        what = "no new log could be begun";
        errno = 0;
        status = log_reopen_begin(persist->log, &first_segment);
    }
    if (status == MEMENTO_OK) {
        what = "the snapshot could not be written";
        status = scan_keyspace(&compaction, &cut);
        if (status == MEMENTO_OK) {
            status = log_reopen_commit(compaction.snapshot, cut);
        } else {
            snapshot_abandon(compaction.snapshot);
        }
    }
    if (status == MEMENTO_ERR_INVALID) {
        buf_append_string(why, "the log has not failed");
    } else if (status != MEMENTO_OK) {
        buf_appendf(why, "%s%s%s", what, errno != 0 ? ": " : "",
                    errno != 0 ? strerror(errno) : "");
    }
    end(&compaction);
    return status;
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
    enum memento_status status = compact(compactor);
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
    enum memento_status status = reopen(compactor, why);
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
    if (is_stopping(compactor)) {
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
    uint64_t live = live_bytes(persist->engine);
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
    } else if (!is_stopping(compactor) && compactor->job.kind == JOB_NONE) {
        wait_ns(compactor, LOOK_MS * 1000000ull);
    }
}

static void compactor_main(void *context)
{
    struct compactor *compactor = context;
    lock_acquire(&compactor->lock);
    while (!is_stopping(compactor)) {
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
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&compactor->changed, &attributes);
    pthread_condattr_destroy(&attributes);
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
    stats->live_bytes = live_bytes(engine);
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
