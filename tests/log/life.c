#include "log/life.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/number.h"
#include "support/test.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START_MS 1700000000000
#define KEY_MAX  32
/* Parts of memory that a snapshot visits one after the other. */
#define SNAPSHOT_STEPS 8
/* Larger than a segment of the least size. */
#define HUGE_VALUE_BYTES 90000

/* ---- what is in a frame ---- */

static uint64_t spread(uint64_t word)
{
    word += 0x9e3779b97f4a7c15;
    word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9;
    word = (word ^ word >> 27) * 0x94d049bb133111eb;
    return word ^ word >> 31;
}

static size_t value_len(size_t frame, size_t record)
{
    uint64_t draw = spread(frame * LIFE_RECORDS_MAX + record);
    if (frame % 97 == 60 && record == 0) {
        return HUGE_VALUE_BYTES;
    }
    if (draw % 40 == 0) {
        return LOG_REFERENCE_BYTES + (draw >> 8) % 5000;
    }
    return draw % 20 == 1 ? (draw >> 8) % 6000 : (draw >> 8) % 400;
}

static void fill_value(size_t frame, size_t record, char *value, size_t len)
{
    uint64_t first = spread(frame * LIFE_RECORDS_MAX + record) | 1;
    for (size_t at = 0; at < len; at += 8) {
        uint64_t word = first * (at + 1);
        memcpy(value + at, &word, len - at < 8 ? len - at : 8);
    }
}

static struct bytes fill_key(size_t frame, size_t record, char key[KEY_MAX])
{
    int len = snprintf(key, KEY_MAX, "%zu.%zu", frame, record);
    return bytes_of(key, (size_t)len);
}

/* Marks the record as found, when it is one that was written. */
static bool recognise(const struct life *life, const struct record *record,
                      struct life_found *found)
{
    char key[KEY_MAX];
    size_t frame, number;
    if (record->kind != RECORD_SET || record->key.len >= KEY_MAX) {
        return false;
    }
    memcpy(key, record->key.data, record->key.len);
    key[record->key.len] = '\0';
    if (sscanf(key, "%zu.%zu", &frame, &number) != 2 || frame >= life->frame_count ||
        number >= life->frames[frame].records ||
        record->version != life->frames[frame].version + number ||
        record->value.len != value_len(frame, number)) {
        return false;
    }
    char *value = malloc(record->value.len + 1);
    fill_value(frame, number, value, record->value.len);
    bool is_same = memcmp(value, record->value.data, record->value.len) == 0;
    free(value);
    found->records[frame] |= (uint8_t)(1u << number);
    return is_same;
}

/* ---- reading ---- */

struct reading {
    const struct life *life;
    const struct archive *archive;
    struct life_found *found;
};

static enum memento_status visit(void *context, const struct archive_frame *frame)
{
    struct reading *reading = context;
    struct life_found *found = reading->found;
    struct bytes left = frame->payload;
    while (left.len > 0) {
        struct record record;
        enum memento_status status =
            record_read(&left, frame->header.base_version, &record);
        if (status != MEMENTO_OK) {
            return status;
        }
        bool is_outdated = frame->file->kind == FILE_LOG &&
                           record.version <= reading->archive->manifest.cut;
        if (record.version > found->version_max) {
            found->version_max = record.version;
        }
        if (!is_outdated && !recognise(reading->life, &record, found)) {
            snprintf(found->wrong, sizeof(found->wrong),
                     "file %" PRIu64 ", offset %" PRIu64 ": a record nobody wrote",
                     frame->file->id, frame->offset);
        }
    }
    return MEMENTO_OK;
}

static enum memento_status read_archive(const struct life *life, struct archive *archive,
                                        struct life_found *found)
{
    struct reading reading = {life, archive, found};
    struct buf why;
    buf_init(&why);
    enum memento_status status = MEMENTO_OK;
    for (size_t i = 0; i < archive->file_count && status == MEMENTO_OK; i++) {
        status = archive_read_file(archive, i, visit, &reading, NULL, &why);
    }
    if (status == MEMENTO_OK) {
        status = archive_check_chain(archive, &why);
    }
    if (status != MEMENTO_OK) {
        snprintf(found->wrong, sizeof(found->wrong), "%s", buf_c_string(&why));
    }
    buf_fini(&why);
    return status;
}

/* Leaves the archive open when it is OK. */
static enum memento_status open_archive(const struct life *life, int dir,
                                        struct archive *archive, struct life_found *found)
{
    *found = (struct life_found){.state = ARCHIVE_OPEN};
    enum memento_status status = archive_open(archive, dir, NULL);
    if (status == MEMENTO_OK) {
        found->state = archive->finding.state;
        status = read_archive(life, archive, found);
    } else if (status != MEMENTO_NOT_FOUND) {
        snprintf(found->wrong, sizeof(found->wrong), "%s",
                 buf_c_string(&archive->finding.text));
    }
    if (status != MEMENTO_OK) {
        archive_close(archive);
    }
    return status;
}

enum memento_status life_read(const struct life *life, int dir, struct life_found *found)
{
    struct archive archive;
    enum memento_status status = open_archive(life, dir, &archive, found);
    if (status == MEMENTO_OK) {
        archive_close(&archive);
    }
    return status;
}

/* ---- opening and closing ---- */

static int64_t tell_now(void *context)
{
    return ((const struct life *)context)->now_ms;
}

static void wake_nobody(void *context)
{
    (void)context;
}

static void pass_time(struct life *life, int64_t ms)
{
    life->now_ms += ms;
    clock_freeze_ms(life->has_threads ? -1 : life->now_ms);
}

void life_begin(struct life *life, enum log_policy policy, uint64_t seed)
{
    *life = (struct life){
        .seed = seed, .policy = policy, .backup_at = LIFE_NEVER, .dir = -1, .lock = -1};
    random_init(&life->random, seed);
    pass_time(life, START_MS);
}

/* What is in memory is what was found; frames of the run before are over. Whatever a reader may
 * see now must stay. */
static void take_found(struct life *life)
{
    uint64_t calls = simos_calls(SIMOS_ANY);
    for (size_t i = 0; i < life->frame_count; i++) {
        struct life_frame *frame = &life->frames[i];
        frame->is_in_memory = life_has(life, &life->found, i);
        frame->is_over = true;
        if (!frame->is_in_memory) {
            frame->issued_at = LIFE_NEVER; /* it must not come back */
            frame->acked_at = frame->durable_at = frame->acked_tick = LIFE_NEVER;
        } else if (frame->durable_at == LIFE_NEVER) {
            frame->durable_at = calls;
        }
    }
    life->first_alive = life->frame_count;
}

static void act_meanwhile(void *context, enum simos_call call, bool is_done);

enum memento_status life_open(struct life *life)
{
    long pid;
    enum memento_status status =
        log_lock_directory(LIFE_DIR, true, &life->dir, &life->lock, &pid);
    if (status != MEMENTO_OK) {
        return status;
    }
    struct log_options options = {.policy = life->policy,
                                  .segment_bytes = LOG_SEGMENT_BYTES_MIN,
                                  .max_unsynced_ms = LIFE_MAX_UNSYNCED_MS,
                                  .buffer_bytes_max = 64u * 1024 * 1024,
                                  .now_ms = tell_now,
                                  .context = life,
                                  .release = free,
                                  .has_threads = life->has_threads};
    struct archive archive;
    status = open_archive(life, life->dir, &archive, &life->found);
    bool is_new = status == MEMENTO_NOT_FOUND;
    if (status == MEMENTO_OK || is_new) {
        status = log_open(&life->log, life->dir, &options, is_new ? NULL : &archive);
        if (!is_new) {
            archive_close(&archive);
        }
    }
    if (status != MEMENTO_OK) {
        life->log = NULL;
        log_unlock_directory(life->dir, life->lock);
        return status;
    }
    take_found(life);
    for (size_t i = 0; i < ARRAY_LEN(life->writers); i++) {
        (void)!log_writer_init(&life->writers[i], life->log, wake_nobody, NULL);
    }
    if (life->hook_percent + life->slow_percent > 0) {
        simos_hook(act_meanwhile, life);
    }
    return MEMENTO_OK;
}

static void end_writers(struct life *life)
{
    simos_hook(NULL, NULL);
    for (size_t i = 0; i < ARRAY_LEN(life->writers); i++) {
        log_writer_fini(&life->writers[i]);
    }
}

enum memento_status life_close(struct life *life)
{
    end_writers(life);
    enum memento_status status = log_close(life->log);
    life->log = NULL;
    log_unlock_directory(life->dir, life->lock);
    if (status == MEMENTO_OK) {
        uint64_t calls = simos_calls(SIMOS_ANY);
        for (size_t i = life->first_alive; i < life->frame_count; i++) {
            struct life_frame *frame = &life->frames[i];
            if (frame->need != 0 && frame->durable_at == LIFE_NEVER) {
                frame->durable_at = calls;
            }
        }
    }
    return status;
}

void life_abandon(struct life *life)
{
    end_writers(life);
    log_abandon(life->log);
    life->log = NULL;
    log_unlock_directory(life->dir, life->lock);
}

/* ---- writing ---- */

static uint64_t turn(struct life *life, struct log_writer *writer)
{
    log_writer_wakes(writer);
    uint64_t lowest = (uint64_t)life->now_ms << LOG_VERSION_SHIFT;
    log_writer_turn(writer, lowest);
    return lowest;
}

static enum memento_status stage(struct log_writer *writer, size_t frame, size_t number,
                                 uint64_t version)
{
    char key[KEY_MAX];
    size_t len = value_len(frame, number);
    struct record record = {.kind = RECORD_SET,
                            .version = version,
                            .deadline_ms = RECORD_NO_DEADLINE,
                            .key = fill_key(frame, number, key)};
    enum memento_status status = log_reserve(writer, record.key.len, len);
    if (status != MEMENTO_OK) {
        return status;
    }
    char *value = malloc(len + 1);
    CHECK(value != NULL);
    fill_value(frame, number, value, len);
    record.value = bytes_of(value, len);
    bool by_reference = len >= LOG_REFERENCE_BYTES;
    log_stage(writer, &record, by_reference ? value : NULL);
    if (!by_reference) {
        free(value);
    }
    return MEMENTO_OK;
}

enum memento_status life_write(struct life *life, size_t index)
{
    struct log_writer *writer = &life->writers[index];
    CHECK(life->frame_count < LIFE_FRAMES_MAX);
    uint64_t lowest = turn(life, writer);
    uint64_t version = lowest > life->last_version ? lowest : life->last_version + 1;
    size_t frame = life->frame_count;
    unsigned records = 1 + (unsigned)random_below(&life->random, LIFE_RECORDS_MAX);
    struct log_mark mark = log_staged(writer);
    for (unsigned i = 0; i < records; i++) {
        enum memento_status status = stage(writer, frame, i, version + i);
        if (status != MEMENTO_OK) {
            log_unstage(writer, mark);
            return status;
        }
    }
    life->last_version = version + records - 1;
    life->frames[frame] = (struct life_frame){.records = (uint8_t)records,
                                              .version = version,
                                              .writer = index,
                                              .number = writer->committed + 1,
                                              .issued_at = simos_calls(SIMOS_ANY),
                                              .issued_tick = ++life->tick,
                                              .acked_at = LIFE_NEVER,
                                              .acked_tick = LIFE_NEVER,
                                              .durable_at = LIFE_NEVER,
                                              .is_in_memory = true};
    life->frame_count++;
    log_commit(writer);
    log_writer_sleeps(writer);
    return MEMENTO_OK;
}

static void acknowledge_one(struct life *life, struct life_frame *frame, uint64_t calls)
{
    const struct log_writer *writer = &life->writers[frame->writer];
    if (frame->need == 0 && atomic_load(&writer->written) >= frame->number) {
        frame->need = atomic_load(&writer->written_end);
    }
    if (frame->need == 0) {
        return;
    }
    bool is_durable =
        log_durable_end(life->log) >= frame->need ||
        log_settled_version(life->log) >= frame->version + frame->records - 1;
    if (is_durable && frame->durable_at == LIFE_NEVER) {
        frame->durable_at = calls;
    }
    bool has_failed = log_state(life->log) == LOG_FAILED;
    bool may_go = life->policy == LOG_ALWAYS ? is_durable
                                             : !has_failed && !log_is_overdue(life->log);
    if (may_go && frame->acked_at == LIFE_NEVER) {
        frame->acked_at = calls;
        frame->acked_ms = life->now_ms;
        frame->acked_tick = ++life->tick;
    }
}

void life_acknowledge(struct life *life)
{
    uint64_t calls = simos_calls(SIMOS_ANY);
    for (size_t i = life->first_alive; i < life->frame_count; i++) {
        struct life_frame *frame = &life->frames[i];
        if (!frame->is_over) {
            acknowledge_one(life, frame, calls);
        }
        bool is_done = frame->acked_at != LIFE_NEVER && frame->durable_at != LIFE_NEVER;
        life->first_alive += i == life->first_alive && (is_done || frame->is_over);
    }
}

enum memento_status life_mend(struct life *life)
{
    enum memento_status status = MEMENTO_OK;
    for (int i = 0; i < 5 && log_state(life->log) != LOG_READY; i++) {
        if (log_state(life->log) == LOG_FAILED) {
            status = life_reopen(life);
        } else {
            (void)log_keep_step(life->log);
        }
    }
    return log_state(life->log) == LOG_READY ? MEMENTO_OK : status;
}

void life_sync(struct life *life)
{
    uint64_t end = log_written_end(life->log);
    if (life->has_threads) {
        (void)!log_sync_wait(life->log, end);
        life_acknowledge(life);
    }
    while (log_durable_end(life->log) < end && log_state(life->log) != LOG_FAILED) {
        log_want_sync(&life->writers[0]);
        (void)log_sync_step(life->log);
        life_acknowledge(life);
    }
}

/* What happens while a call of the disk runs: the second writer goes on, and a sync may take
 * its time. */
static void act_meanwhile(void *context, enum simos_call call, bool is_done)
{
    struct life *life = context;
    if (life->is_busy || life->log == NULL) {
        return;
    }
    life->is_busy = true;
    if (random_below(&life->random, 100) < life->hook_percent) {
        (void)!life_write(life, 1);
        life_acknowledge(life);
    }
    if (call == SIMOS_SYNC_DATA &&
        random_below(&life->random, 100) < life->slow_percent) {
        for (int i = 0; i < (is_done ? 8 : 2); i++) {
            pass_time(life, (int64_t)random_below(&life->random, 600));
            (void)!life_write(life, 1);
            life_acknowledge(life);
        }
    }
    life->is_busy = false;
}

/* ---- what else a server does ---- */

static enum memento_status append_frame(struct life *life, struct snapshot *snapshot,
                                        size_t frame)
{
    struct buf records;
    buf_init(&records);
    const struct life_frame *fate = &life->frames[frame];
    enum memento_status status = MEMENTO_OK;
    for (size_t i = 0; i < fate->records; i++) {
        char key[KEY_MAX];
        size_t len = value_len(frame, i);
        char *value = malloc(len + 1);
        CHECK(value != NULL);
        fill_value(frame, i, value, len);
        struct record record = {.kind = RECORD_SET,
                                .version = fate->version + i,
                                .deadline_ms = RECORD_NO_DEADLINE,
                                .key = fill_key(frame, i, key),
                                .value = bytes_of(value, len)};
        if (buf_reserve(&records, RECORD_OVERHEAD_MAX + KEY_MAX + len)) {
            records.len +=
                record_write(records.data + records.len, &record, fate->version);
            buf_append_bytes(&records, record.value);
        } else {
            status = MEMENTO_ERR_NO_MEMORY;
        }
        free(value);
    }
    if (status == MEMENTO_OK) {
        status = snapshot_append(snapshot, buf_bytes(&records), NULL, 0, fate->records,
                                 fate->version);
    }
    buf_fini(&records);
    return status;
}

/* Everything in memory, a part after the other, while the log goes on: what is written meanwhile
 * is in the snapshot or not, depending on whether its part has had its turn. */
static enum memento_status append_all(struct life *life, struct snapshot *snapshot)
{
    enum memento_status status = MEMENTO_OK;
    for (size_t part = 0; part < SNAPSHOT_STEPS && status == MEMENTO_OK; part++) {
        for (size_t i = 0; i < life->frame_count && status == MEMENTO_OK; i++) {
            if (life->frames[i].is_in_memory && spread(i) % SNAPSHOT_STEPS == part) {
                status = append_frame(life, snapshot, i);
            }
        }
        if (log_state(life->log) == LOG_READY) {
            (void)!life_write(life, 0);
            life_acknowledge(life);
        }
    }
    return status;
}

/* As workers do that go to sleep: with everything written nothing of theirs is unsettled. */
static void put_writers_to_sleep(struct life *life)
{
    for (size_t i = 0; i < ARRAY_LEN(life->writers); i++) {
        struct log_writer *writer = &life->writers[i];
        while (life->has_threads && atomic_load(&writer->written) < writer->committed &&
               log_state(life->log) == LOG_READY) {
            sched_yield(); /* somebody else is about to write it */
        }
        log_writer_sleeps(writer);
    }
}

enum memento_status life_compact(struct life *life)
{
    uint64_t first_segment;
    enum memento_status status = log_rotate(life->log, &first_segment);
    if (status != MEMENTO_OK) {
        return status;
    }
    uint64_t cut = life->last_version;
    struct snapshot *snapshot;
    status = snapshot_create(&snapshot, life->log);
    if (status != MEMENTO_OK) {
        return status;
    }
    status = append_all(life, snapshot);
    if (status != MEMENTO_OK) {
        snapshot_abandon(snapshot);
        return status;
    }
    put_writers_to_sleep(life);
    pass_time(life, 1); /* what was written is settled when the clock is beyond it */
    return snapshot_commit(snapshot, cut, life->last_version, first_segment);
}

/* As after LOG_FAILED. What is in memory is durable afterwards, acknowledged or not. */
enum memento_status life_reopen(struct life *life)
{
    uint64_t first_segment;
    enum memento_status status = log_reopen_begin(life->log, &first_segment);
    if (status != MEMENTO_OK) {
        return status;
    }
    uint64_t cut = life->last_version;
    struct snapshot *snapshot;
    status = snapshot_create(&snapshot, life->log);
    if (status != MEMENTO_OK) {
        return status;
    }
    size_t covered = life->frame_count;
    status = append_all(life, snapshot);
    if (status != MEMENTO_OK) {
        snapshot_abandon(snapshot);
        return status;
    }
    status = log_reopen_commit(snapshot, cut);
    uint64_t calls = simos_calls(SIMOS_ANY);
    for (size_t i = 0; i < covered && status == MEMENTO_OK; i++) {
        struct life_frame *frame = &life->frames[i];
        if (frame->is_in_memory && frame->durable_at == LIFE_NEVER) {
            frame->durable_at = calls;
        }
    }
    return status;
}

enum memento_status life_backup(struct life *life)
{
    life_acknowledge(life);
    for (size_t i = 0; i < life->frame_count; i++) {
        struct life_frame *frame = &life->frames[i];
        frame->is_backed_up =
            frame->is_in_memory && (frame->need != 0 || frame->durable_at != LIFE_NEVER);
    }

    int to = os_dir_make(LIFE_BACKUPS) == 0 ? os_dir_open(LIFE_BACKUPS) : -1;
    if (to < 0) {
        return MEMENTO_ERR_IO;
    }
    enum memento_status status = log_backup(life->log, to, LIFE_BACKUP);
    os_file_close(to);
    if (status == MEMENTO_OK) {
        life->backup_at = simos_calls(SIMOS_ANY);
    }
    return status;
}

static bool draw(struct life *life, unsigned percent)
{
    return random_below(&life->random, 100) < percent;
}

static void work_step(struct life *life)
{
    bool is_slow_policy = life->policy != LOG_ALWAYS;
    pass_time(life, (int64_t)random_below(&life->random, is_slow_policy ? 90 : 20));
    if (draw(life, 70)) {
        (void)!life_write(life, random_below(&life->random, 2));
    }
    life_acknowledge(life);
    if (draw(life, is_slow_policy ? 25 : 60)) {
        (void)log_sync_step(life->log);
    }
    if (draw(life, 5)) {
        life_sync(life);
    }
    if (draw(life, 30)) {
        (void)log_keep_step(life->log);
    }
    life_acknowledge(life);
}

void life_work(struct life *life, unsigned steps)
{
    for (unsigned i = 0; i < steps; i++) {
        work_step(life);
    }
}

/* ---- what may be found ---- */

bool life_has(const struct life *life, const struct life_found *found, size_t frame)
{
    return found->records[frame] == (1u << life->frames[frame].records) - 1;
}

void life_stop(struct life *life, uint64_t calls)
{
    for (size_t i = 0; i < life->frame_count; i++) {
        struct life_frame *frame = &life->frames[i];
        if (frame->acked_at > calls) {
            frame->acked_at = frame->acked_tick = LIFE_NEVER;
        } else {
            frame->acked_at = 0;
        }
        frame->durable_at = frame->durable_at > calls ? LIFE_NEVER : 0;
        frame->issued_at = frame->issued_at >= calls ? LIFE_NEVER : 0;
        frame->is_over = true;
    }
}

static void life_fail(const struct life *life, size_t frame, const char *what,
                      const char *why)
{
    const struct life_frame *fate = &life->frames[frame];
    fail_msg("%s: frame %zu %s (issued at call %" PRIu64 ", acknowledged %" PRId64
             " durable %" PRId64 ", seed %" PRIu64 ")",
             what, frame, why, fate->issued_at, (int64_t)fate->acked_at,
             (int64_t)fate->durable_at, life->seed);
}

/* What power may take under everysec: acknowledgements of no more than a second. */
static void check_span(const struct life *life, const struct life_found *found,
                       uint64_t calls, const char *what)
{
    int64_t first_ms = INT64_MAX, last_ms = INT64_MIN;
    for (size_t i = 0; i < life->frame_count; i++) {
        const struct life_frame *fate = &life->frames[i];
        if (fate->acked_at <= calls && !life_has(life, found, i)) {
            first_ms = fate->acked_ms < first_ms ? fate->acked_ms : first_ms;
            last_ms = fate->acked_ms > last_ms ? fate->acked_ms : last_ms;
            if (last_ms - first_ms > LIFE_MAX_UNSYNCED_MS) {
                life_fail(life, i, what, "is lost, more than a second after others");
            }
        }
    }
}

/* Whoever saw a frame acknowledged before issuing another finds it when the other is there. */
static void check_holes(const struct life *life, const struct life_found *found,
                        const char *what)
{
    uint64_t last_issued = 0;
    for (size_t i = 0; i < life->frame_count; i++) {
        if (life_has(life, found, i) && life->frames[i].issued_tick > last_issued) {
            last_issued = life->frames[i].issued_tick;
        }
    }
    for (size_t i = 0; i < life->frame_count; i++) {
        if (!life_has(life, found, i) && life->frames[i].acked_tick < last_issued) {
            life_fail(life, i, what, "is a hole");
        }
    }
}

void life_check(const struct life *life, const struct life_found *found, uint64_t calls,
                enum life_end end, const char *what)
{
    if (found->wrong[0] != '\0') {
        fail_msg("%s: %s (seed %" PRIu64 ")", what, found->wrong, life->seed);
    }
    for (size_t i = 0; i < life->frame_count; i++) {
        const struct life_frame *fate = &life->frames[i];
        bool has = life_has(life, found, i);
        bool must = fate->durable_at <= calls ||
                    (fate->acked_at <= calls &&
                     (end == LIFE_KILLED || life->policy == LOG_ALWAYS));
        if (must && !has) {
            life_fail(life, i, what, "is lost");
        }
        if (found->records[i] != 0 && !has) {
            life_fail(life, i, what, "is there in part");
        }
        if (has && fate->issued_at >= calls) {
            life_fail(life, i, what, "is there before it was issued");
        }
    }
    check_holes(life, found, what);
    if (life->policy == LOG_EVERYSEC && end == LIFE_LOST_POWER) {
        check_span(life, found, calls, what);
    }
}

void life_check_backup(const struct life *life, uint64_t calls, const char *what)
{
    int dir = os_dir_open(LIFE_BACKUPS "/" LIFE_BACKUP);
    if (dir < 0) {
        if (life->backup_at <= calls) {
            fail_msg("%s: the backup is gone (seed %" PRIu64 ")", what, life->seed);
        }
        return;
    }
    struct life_found found;
    if (life_read(life, dir, &found) != MEMENTO_OK || found.wrong[0] != '\0' ||
        found.state != ARCHIVE_CLEAN) {
        fail_msg("%s: the backup is damaged: %s (seed %" PRIu64 ")", what, found.wrong,
                 life->seed);
    }
    os_file_close(dir);
    for (size_t i = 0; i < life->frame_count; i++) {
        if (life->frames[i].is_backed_up && !life_has(life, &found, i)) {
            life_fail(life, i, what, "is not in the backup");
        }
    }
}
