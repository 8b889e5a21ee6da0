/* compact.c - a snapshot of the keyspace while it is being changed, so that the log before it can
 * go.
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
#include <string.h>

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
/* How often it looks how syncs are doing. */
#define LOOK_MS 100
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
        if (!compactor_is_stopping(compactor)) {
            compactor_wait_ns(compactor, compaction->paid_ns - now_ns);
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
        if (compactor_is_stopping(compaction->compactor)) {
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
uint64_t compaction_live_bytes(struct engine *engine)
{
    struct keyspace_memory memory;
    keyspace_memory(&engine->keyspace, &memory);
    return memory.entry_bytes + memory.large_bytes;
}

/* The old files go only when the new ones are whole. */
static enum memento_status check_space(struct persist *persist)
{
    struct os_volume volume;
    uint64_t live = compaction_live_bytes(persist->engine);
    /* On a full disk a compaction is what makes space: it does with what it will write. */
    bool is_full = log_state(persist->log) == LOG_NO_SPACE;
    uint64_t spare = is_full ? 0 : SPARE_SEGMENTS * persist->options.segment_bytes;
    uint64_t needed = live + live / 10 + spare;
    if (!os_volume_of(persist->dir, &volume) || volume.free_bytes >= needed) {
        return MEMENTO_OK;
    }
    trace_warning("not compacting: the disk has %" PRIu64 " MB free, it takes %" PRIu64
                  " MB",
                  volume.free_bytes / 1000000, needed / 1000000);
    return MEMENTO_ERR_NO_SPACE;
}

enum memento_status compaction_run(struct compactor *compactor)
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
        status = status == MEMENTO_ERR_NO_SPACE ? MEMENTO_OK : status;
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

enum memento_status compaction_reopen(struct compactor *compactor, struct buf *why)
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
