/* recover.c - loading: records of all files, by several threads, in any order.
 *
 * What a record does depends on versions alone, so the order does not matter: a SET counts when
 * nothing newer is known of its key; a DELETE leaves a tombstone, so that older records met later
 * lose; a TOUCH is kept aside until the end, when the value it belongs to has been met; a FLUSH
 * is a version below which nothing of its database counts; of maps the newest wins. Records of
 * the log up to the cut are in the snapshot and are passed over.
 *
 * Nothing is due while this goes on: an entry that has expired outdates older ones all the same,
 * and is removed by the sweep like any other. */
#include "base/clock.h"
#include "base/heap.h"
#include "base/trace.h"
#include "engine/persist_parts.h"

#include <inttypes.h>
#include <stdio.h>

/* Records are applied by so many, so that their keys' cache misses are waited for together. */
#define BATCH_RECORDS    64
#define LOAD_THREADS_MAX 16
#define NOTHING_IS_DUE   INT64_MIN

/* A keyspace beside the real one, with the same shards, under the same locks; made when it is
 * first needed. */
struct shadow {
    struct keyspace keyspace;
    atomic_bool exists;
};

struct recovery {
    struct engine *engine;
    struct archive *archive;
    struct load_progress *progress;
    const atomic_bool *stop;
    struct shadow tombstones; /* key, version */
    struct shadow touches;    /* key, version; the deadline as value */
    _Atomic uint64_t flushed[MEMENTO_DATABASES];
    atomic_bool is_failed;
    _Atomic size_t next_file;

    struct lock lock;
    pthread_cond_t done;
    unsigned running;
    enum memento_status status; /* the first failure */
    struct buf *why;
    uint64_t map_version;
    char map[MEMENTO_DATABASES];
    uint64_t version_max;
};

struct loader {
    struct recovery *recovery;
    struct thread thread;
    uint64_t version_max;
    size_t count;
    struct record records[BATCH_RECORDS];
    struct key keys[BATCH_RECORDS];
    uint64_t hashes[BATCH_RECORDS];
};

/* ---- tombstones and touches: the key's shard in the real keyspace is held ---- */

static bool shadow_exists(const struct shadow *shadow)
{
    return atomic_load_explicit(&shadow->exists, memory_order_acquire);
}

/* Before the shard is locked: who finds the shadow's entry under that lock finds the shadow. */
static enum memento_status shadow_need(struct recovery *recovery, struct shadow *shadow)
{
    if (LIKELY(shadow_exists(shadow))) {
        return MEMENTO_OK;
    }
    const struct keyspace *like = &recovery->engine->keyspace;
    enum memento_status status = MEMENTO_OK;
    lock_acquire(&recovery->lock);
    if (!shadow_exists(shadow)) {
        status = keyspace_init(&shadow->keyspace, like->shard_count, &like->seed, 0);
        atomic_store_explicit(&shadow->exists, status == MEMENTO_OK,
                              memory_order_release);
    }
    lock_release(&recovery->lock);
    return status;
}

static void shadow_fini(struct shadow *shadow)
{
    if (shadow_exists(shadow)) {
        keyspace_fini(&shadow->keyspace);
    }
}

/* The version kept under the key; 0 without one. */
static uint64_t shadow_version(struct shadow *shadow,
                               const struct key *key) UNCHECKED_LOCKING
{
    uint64_t version = 0;
    if (shadow_exists(shadow)) {
        struct shard *shard = keyspace_shard(&shadow->keyspace, key->hash);
        (void)!shard_find_version(shard, key, &version);
    }
    return version;
}

static enum memento_status shadow_keep(struct shadow *shadow, const struct key *key,
                                       struct bytes value,
                                       uint64_t version) UNCHECKED_LOCKING
{
    if (shadow_version(shadow, key) >= version) {
        return MEMENTO_OK;
    }
    struct shard_value stored = {value, NULL, ENTRY_NO_DEADLINE, SHARD_CREATED_NOW};
    return shard_put(keyspace_shard(&shadow->keyspace, key->hash), key, &stored, version,
                     NOTHING_IS_DUE);
}

static void shadow_forget(struct shadow *shadow, const struct key *key) UNCHECKED_LOCKING
{
    (void)!shard_remove(keyspace_shard(&shadow->keyspace, key->hash), key,
                        NOTHING_IS_DUE);
}

/* ---- records ---- */

static bool is_flushed(struct recovery *recovery, uint8_t db, uint64_t version)
{
    return version <= atomic_load_explicit(&recovery->flushed[db], memory_order_relaxed);
}

static enum memento_status put(struct shard *shard, const struct key *key,
                               const struct record *record) REQUIRES(shard)
{
    bool is_carried = (record->flags & RECORD_HAS_CREATED) != 0;
    struct shard_value value = {.bytes = record->value,
                                .deadline_ms = record->deadline_ms,
                                .created_ms =
                                    is_carried ? record->created_ms : SHARD_CREATED_NOW};
    if (UNLIKELY(record->value.len > SHARD_INLINE_MAX)) {
        value.large = large_create(record->value.len);
        if (value.large == NULL) {
            return MEMENTO_ERR_NO_MEMORY;
        }
        memcpy(value.large->bytes, record->value.data, record->value.len);
        value.large->len = record->value.len;
        value.bytes = bytes_of(value.large->bytes, value.large->len);
    }
    enum memento_status status =
        shard_put(shard, key, &value, record->version, NOTHING_IS_DUE);
    if (status != MEMENTO_OK) {
        large_drop(value.large);
    }
    return status;
}

static enum memento_status apply_set(struct recovery *recovery, struct shard *shard,
                                     const struct key *key, const struct record *record)
    REQUIRES(shard)
{
    uint64_t version;
    if (is_flushed(recovery, key->db, record->version) ||
        (shard_find_version(shard, key, &version) && version >= record->version)) {
        return MEMENTO_OK;
    }
    uint64_t deleted = shadow_version(&recovery->tombstones, key);
    if (deleted >= record->version) {
        return MEMENTO_OK;
    }
    enum memento_status status = put(shard, key, record);
    if (status == MEMENTO_OK && deleted > 0) {
        shadow_forget(&recovery->tombstones, key); /* this outdates as much, and more */
    }
    return status;
}

static enum memento_status apply_delete(struct recovery *recovery, struct shard *shard,
                                        const struct key *key,
                                        const struct record *record) REQUIRES(shard)
{
    if (is_flushed(recovery, key->db, record->version)) {
        return MEMENTO_OK;
    }
    uint64_t version;
    if (shard_find_version(shard, key, &version)) {
        if (version >= record->version) {
            return MEMENTO_OK;
        }
        (void)!shard_remove(shard, key, NOTHING_IS_DUE);
    }
    return shadow_keep(&recovery->tombstones, key, (struct bytes){NULL, 0},
                       record->version);
}

static enum memento_status apply_touch(struct recovery *recovery, const struct key *key,
                                       const struct record *record)
{
    return shadow_keep(&recovery->touches, key,
                       bytes_of(&record->deadline_ms, sizeof(record->deadline_ms)),
                       record->version);
}

static enum memento_status apply(struct recovery *recovery, const struct key *key,
                                 const struct record *record)
{
    enum memento_status status = MEMENTO_OK;
    if (record->kind == RECORD_DELETE) {
        status = shadow_need(recovery, &recovery->tombstones);
    } else if (record->kind == RECORD_TOUCH) {
        status = shadow_need(recovery, &recovery->touches);
    }
    if (status != MEMENTO_OK) {
        return status;
    }
    struct shard *shard = keyspace_shard(&recovery->engine->keyspace, key->hash);
    shard_lock(shard);
    if (LIKELY(record->kind == RECORD_SET)) {
        status = apply_set(recovery, shard, key, record);
    } else if (record->kind == RECORD_DELETE) {
        status = apply_delete(recovery, shard, key, record);
    } else {
        status = apply_touch(recovery, key, record);
    }
    shard_unlock(shard);
    return status;
}

static enum memento_status apply_batch(struct loader *loader)
{
    struct recovery *recovery = loader->recovery;
    keyspace_prefetch(&recovery->engine->keyspace, loader->hashes, loader->count);
    if (shadow_exists(&recovery->tombstones)) {
        keyspace_prefetch(&recovery->tombstones.keyspace, loader->hashes, loader->count);
    }
    enum memento_status status = MEMENTO_OK;
    for (size_t i = 0; i < loader->count && status == MEMENTO_OK; i++) {
        status = apply(recovery, &loader->keys[i], &loader->records[i]);
    }
    loader->count = 0;
    return status;
}

static void apply_flush(struct recovery *recovery, const struct record *record)
{
    for (unsigned db = 0; db < MEMENTO_DATABASES; db++) {
        if (record->db != RECORD_ALL_DBS && record->db != db) {
            continue;
        }
        uint64_t before = atomic_load(&recovery->flushed[db]);
        while (before < record->version &&
               !atomic_compare_exchange_weak(&recovery->flushed[db], &before,
                                             record->version)) {
        }
    }
}

static void apply_map(struct recovery *recovery, const struct record *record)
{
    lock_acquire(&recovery->lock);
    if (record->version > recovery->map_version) {
        recovery->map_version = record->version;
        memcpy(recovery->map, record->value.data, sizeof(recovery->map));
    }
    lock_release(&recovery->lock);
}

/* The record that was just read into the batch stays there, or has been done with. */
static void take_record(struct loader *loader)
{
    struct recovery *recovery = loader->recovery;
    const struct record *record = &loader->records[loader->count];
    switch (record->kind) {
    case RECORD_SET:
    case RECORD_DELETE:
    case RECORD_TOUCH:
        loader->keys[loader->count] =
            key_make(&recovery->engine->keyspace.seed, record->key, record->db);
        loader->hashes[loader->count] = loader->keys[loader->count].hash;
        loader->count++;
        break;
    case RECORD_FLUSH:
        apply_flush(recovery, record);
        break;
    case RECORD_MAP:
        apply_map(recovery, record);
        break;
    default: /* of a later minor format, and not critical */
        break;
    }
}

/* ---- threads ---- */

static bool is_to_end(const struct recovery *recovery)
{
    return atomic_load_explicit(&recovery->is_failed, memory_order_relaxed) ||
           (recovery->stop != NULL && atomic_load(recovery->stop));
}

static enum memento_status visit_frame(void *context, const struct archive_frame *frame)
{
    struct loader *loader = context;
    struct recovery *recovery = loader->recovery;
    if (is_to_end(recovery)) {
        return MEMENTO_CLOSED;
    }
    bool is_cut = frame->file->kind == FILE_LOG;
    uint64_t cut = recovery->archive->manifest.cut;
    struct bytes left = frame->payload;
    enum memento_status status = MEMENTO_OK;
    while (left.len > 0 && status == MEMENTO_OK) {
        struct record *record = &loader->records[loader->count];
        status = record_read(&left, frame->header.base_version, record);
        if (status == MEMENTO_OK) {
            loader->version_max = record->version > loader->version_max
                                      ? record->version
                                      : loader->version_max;
            if (!is_cut || record->version > cut) {
                take_record(loader);
            }
        }
        if (status == MEMENTO_OK && (loader->count == BATCH_RECORDS || left.len == 0)) {
            status = apply_batch(loader);
        }
    }
    atomic_fetch_add_explicit(&recovery->progress->records, frame->header.records,
                              memory_order_relaxed);
    return status;
}

/* The first failure is the one that is told; the others end because of it. */
static void recovery_fail(struct recovery *recovery, enum memento_status status,
                          struct bytes why)
{
    lock_acquire(&recovery->lock);
    if (recovery->status == MEMENTO_OK) {
        recovery->status = status;
        if (status == MEMENTO_ERR_NO_MEMORY) {
            buf_append_string(recovery->why, "there is not enough memory for the data");
        } else {
            buf_append_bytes(recovery->why, why);
        }
        atomic_store(&recovery->is_failed, true);
    }
    lock_release(&recovery->lock);
}

static void load_files(struct loader *loader)
{
    struct recovery *recovery = loader->recovery;
    while (!is_to_end(recovery)) {
        size_t index = atomic_fetch_add(&recovery->next_file, 1);
        if (index >= recovery->archive->file_count) {
            break;
        }
        struct buf why;
        buf_init(&why);
        enum memento_status status =
            archive_read_file(recovery->archive, index, visit_frame, loader,
                              &recovery->progress->bytes, &why);
        if (status != MEMENTO_OK) {
            recovery_fail(recovery, status, buf_bytes(&why));
        }
        buf_fini(&why);
    }
}

static void loader_main(void *context)
{
    struct loader *loader = context;
    struct recovery *recovery = loader->recovery;
    load_files(loader);
    lock_acquire(&recovery->lock);
    recovery->running--;
    pthread_cond_signal(&recovery->done);
    lock_release(&recovery->lock);
}

static void trace_progress(const struct recovery *recovery, uint64_t begin_ns)
{
    uint64_t bytes = atomic_load(&recovery->progress->bytes);
    uint64_t total = recovery->archive->bytes;
    double seconds = (double)(clock_monotonic_ns() - begin_ns) / 1e9;
    double rate = (double)bytes / (seconds > 0.001 ? seconds : 0.001);
    uint64_t left = total > bytes ? total - bytes : 0;
    trace_info("loading: %.0f of %.0f MB (%.0f %%), %" PRIu64
               " records, %.0f MB/s, about %.0f s left",
               (double)bytes / 1e6, (double)total / 1e6,
               total > 0 ? 100.0 * (double)bytes / (double)total : 100.0,
               atomic_load(&recovery->progress->records), rate / 1e6,
               rate > 0 ? (double)left / rate : 0.0);
}

/* Until all threads are done; a line for the operator each second. */
static void watch_loaders(struct recovery *recovery)
{
    uint64_t begin_ns = clock_monotonic_ns();
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    lock_acquire(&recovery->lock);
    while (recovery->running > 0) {
        until.tv_sec++;
        while (recovery->running > 0 &&
               pthread_cond_timedwait(&recovery->done, &recovery->lock.mutex, &until) ==
                   0) {
        }
        if (recovery->running > 0) {
            trace_progress(recovery, begin_ns);
        }
    }
    lock_release(&recovery->lock);
}

static unsigned thread_count(const struct recovery *recovery,
                             const struct persist_options *options)
{
    unsigned count = options->load_threads > 0 ? options->load_threads : thread_cores();
    count = count < LOAD_THREADS_MAX ? count : LOAD_THREADS_MAX;
    return recovery->archive->file_count < count ? (unsigned)recovery->archive->file_count
                                                 : count;
}

/* As many threads as can be had; the caller's does it alone when there are none. */
static void run_loaders(struct recovery *recovery, struct loader *loaders, unsigned count,
                        bool has_threads)
{
    unsigned started = 0;
    while (has_threads && started < count) {
        struct loader *loader = &loaders[started];
        lock_acquire(&recovery->lock);
        recovery->running++;
        lock_release(&recovery->lock);
        if (thread_start(&loader->thread, "load", loader_main, loader) != MEMENTO_OK) {
            lock_acquire(&recovery->lock);
            recovery->running--;
            lock_release(&recovery->lock);
            break;
        }
        started++;
    }
    if (started == 0) {
        load_files(&loaders[0]);
    }
    watch_loaders(recovery);
    for (unsigned i = 0; i < started; i++) {
        thread_join(&loaders[i].thread);
    }
    for (unsigned i = 0; i < count; i++) {
        recovery->version_max = loaders[i].version_max > recovery->version_max
                                    ? loaders[i].version_max
                                    : recovery->version_max;
    }
}

static void load_with_threads(struct recovery *recovery,
                              const struct persist_options *options)
{
    unsigned count = thread_count(recovery, options);
    if (count == 0) {
        return; /* no files */
    }
    struct loader *loaders = heap_alloc_zeroed(count, sizeof(*loaders));
    if (loaders == NULL) {
        recovery_fail(recovery, MEMENTO_ERR_NO_MEMORY, (struct bytes){NULL, 0});
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        loaders[i].recovery = recovery;
    }
    run_loaders(recovery, loaders, count, options->has_threads);
    heap_free(loaders);
}

/* ---- when everything has been met: one thread ---- */

static bool is_flushed_item(void *context, const struct item *item)
{
    return is_flushed(context, item->db, item->version);
}

/* What was stored before the flush of its database was met. */
static void purge_flushed(struct recovery *recovery) UNCHECKED_LOCKING
{
    uint64_t any = 0;
    for (unsigned db = 0; db < MEMENTO_DATABASES; db++) {
        any |= atomic_load(&recovery->flushed[db]);
    }
    struct keyspace *keyspace = &recovery->engine->keyspace;
    for (unsigned i = 0; any != 0 && i < keyspace->shard_count; i++) {
        shard_remove_if(&keyspace->shards[i], is_flushed_item, recovery);
    }
}

/* A deadline counts when nothing newer is known of its key. */
static void visit_touch(void *context, const struct item *item) UNCHECKED_LOCKING
{
    struct recovery *recovery = context;
    struct keyspace *keyspace = &recovery->engine->keyspace;
    struct key key = key_make(&keyspace->seed, item->key, item->db);
    struct shard *shard = keyspace_shard(keyspace, key.hash);
    uint64_t version;
    if (!shard_find_version(shard, &key, &version) || version >= item->version) {
        return;
    }
    int64_t deadline_ms;
    memcpy(&deadline_ms, item->value.data, sizeof(deadline_ms));
    enum memento_status status =
        shard_set_deadline(shard, &key, deadline_ms, item->version, NOTHING_IS_DUE);
    if (status != MEMENTO_OK) {
        recovery_fail(recovery, status, (struct bytes){NULL, 0});
    }
}

static void apply_touches(struct recovery *recovery) UNCHECKED_LOCKING
{
    struct keyspace *touches = &recovery->touches.keyspace;
    if (!shadow_exists(&recovery->touches)) {
        return;
    }
    for (unsigned i = 0; i < touches->shard_count; i++) {
        uint64_t position = 0;
        do {
            position = shard_scan(&touches->shards[i], position, NOTHING_IS_DUE,
                                  visit_touch, recovery);
        } while (position != 0);
    }
}

/* Whatever is changed from now on is newer than everything on disk. */
static void set_clocks_and_map(struct recovery *recovery) UNCHECKED_LOCKING
{
    struct engine *engine = recovery->engine;
    uint64_t cut = recovery->archive->manifest.cut;
    uint64_t version = cut > recovery->version_max ? cut : recovery->version_max;
    recovery->version_max = version;
    for (unsigned i = 0; i < engine->keyspace.shard_count; i++) {
        struct shard *shard = &engine->keyspace.shards[i];
        shard_lock(shard);
        shard_raise_clock(shard, version);
        shard_unlock(shard);
    }
    if (recovery->map_version > 0) {
        engine->map_version = recovery->map_version;
        for (unsigned i = 0; i < MEMENTO_DATABASES; i++) {
            atomic_store(&engine->database_map[i], (uint8_t)recovery->map[i]);
        }
    }
}

static int64_t newest_ms(const struct archive *archive, uint64_t version_max)
{
    int64_t newest = (int64_t)(version_max >> ENTRY_VERSION_SHIFT);
    newest = archive->manifest.wall_ms > newest ? archive->manifest.wall_ms : newest;
    for (size_t i = 0; i < archive->file_count; i++) {
        int64_t ms = archive->files[i].wall_max_ms;
        newest = ms > newest ? ms : newest;
    }
    return newest;
}

static void recovery_init(struct recovery *recovery)
{
    lock_init(&recovery->lock);
    lock_condition_init(&recovery->done);
}

static void recovery_fini(struct recovery *recovery)
{
    shadow_fini(&recovery->tombstones);
    shadow_fini(&recovery->touches);
    pthread_cond_destroy(&recovery->done);
    lock_fini(&recovery->lock);
}

enum memento_status recover(struct engine *engine, struct archive *archive,
                            const struct persist_options *options,
                            struct load_progress *progress, const atomic_bool *stop,
                            struct recovered *recovered, struct buf *why)
{
    struct recovery *recovery = heap_alloc_zeroed(1, sizeof(*recovery));
    if (recovery == NULL) {
        buf_append_string(why, "there is not enough memory to load the data");
        return MEMENTO_ERR_NO_MEMORY;
    }
    recovery->engine = engine;
    recovery->archive = archive;
    recovery->progress = progress;
    recovery->stop = stop;
    recovery->why = why;
    recovery_init(recovery);
    load_with_threads(recovery, options);
    if (recovery->status == MEMENTO_OK && is_to_end(recovery)) {
        recovery->status = MEMENTO_CLOSED;
    }
    if (recovery->status == MEMENTO_OK) {
        purge_flushed(recovery);
        apply_touches(recovery);
    }
    if (recovery->status == MEMENTO_OK) {
        set_clocks_and_map(recovery);
        *recovered = (struct recovered){recovery->version_max,
                                        newest_ms(archive, recovery->version_max)};
    }
    enum memento_status status = recovery->status;
    recovery_fini(recovery);
    heap_free(recovery);
    return status;
}
